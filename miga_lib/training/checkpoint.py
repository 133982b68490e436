"""What a training run keeps on disk to go on from: the network, the optimiser, and how far it has come."""

import io
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import losses, runs

VERSION = 2
"""Of the checkpoint's form. 1 kept the sums of the losses as a tuple, without names."""
SUMS_OF_VERSION_1 = ("loss", "cross_entropy", "semantic")
POSITION = ("epoch", "step", "sums", "seconds", "rows", "best")


@dataclass
class State:
    """A run in training. Everything but ``saved`` is kept in its checkpoint."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    """Epochs that are finished."""
    step: int = 0
    """Steps of the current epoch whose update was made."""
    sums: dict[str, float] = field(default_factory=dict)
    """Over the clips of the current epoch so far, the sum of the loss and of each of its terms."""
    seconds: float = 0.0
    """Spent on the steps of the current epoch."""
    rows: tuple[dict[str, float], ...] = ()
    """A row of ``metrics.csv`` for each finished epoch."""
    best: float = -1.0
    """The best validation top-1 so far."""
    saved: float = field(default_factory=time.monotonic)
    """When the last checkpoint was written."""

    def __post_init__(self) -> None:
        self.sums = dict.fromkeys(("loss", *losses.TERMS), 0.0) | self.sums

    def end_epoch(self, row: dict[str, float]) -> bool:
        """Begin the next epoch; gives whether the one that ends, with its row of metrics, is the best on validation so far.

        Of epochs with equal top-1 the first counts as the best.
        """
        improved = row["val_top1"] > self.best
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.sums, self.rows = dict.fromkeys(self.sums, 0.0), (*self.rows, row)
        self.best = max(row["val_top1"], self.best)
        return improved

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all. Raises OSError where it cannot be written; the file before it stays."""
        position = {name: getattr(self, name) for name in POSITION}
        weights = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        buffer = io.BytesIO()
        torch.save({"version": VERSION, **weights, "position": position}, buffer)
        runs.write_bytes(path, buffer.getvalue())
        self.saved = time.monotonic()

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Go on from what ``read`` gave. A term of the loss that the checkpoint does not know starts at 0."""
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        position = dict(checkpoint["position"])
        if checkpoint.get("version", 1) == 1:
            position["sums"] = dict(zip(SUMS_OF_VERSION_1, position["sums"], strict=True))
        self.sums |= position.pop("sums")
        for name, value in position.items():
            setattr(self, name, value)


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, opened by PyTorch's weights-only loader, which runs no code.

    Raises:
        ValueError: it was written by a later version of this library.
    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if (version := checkpoint.get("version", 1)) > VERSION:
        raise ValueError(f"{path}: a checkpoint of version {version}, this library reads up to {VERSION}; update miga_lib")
    return checkpoint
