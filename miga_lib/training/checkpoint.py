"""Checkpoints of a training run: its network, its optimiser and its position, from which it resumes. ``loop``
decides whether it does."""

import io
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from .. import atomic, losses
from ..readers import untrusted

VERSION = 2
"""Version of the checkpoint's format. Version 1 stored the sums of the losses as a tuple, without names."""
SUMS_OF_VERSION_1 = ("loss", "cross_entropy", "semantic")
POSITION = ("epoch", "step", "sums", "seconds", "rows", "best", "anew")


@dataclass
class State:
    """The state of a run in training. A checkpoint stores all fields except ``saved``."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None = None
    """The moving average of the weights, with ``weight_average``."""
    epoch: int = 0
    """Number of finished epochs."""
    step: int = 0
    """Number of finished steps of the current epoch."""
    sums: dict[str, float] = field(default_factory=dict)
    """The sum of the loss, and of each of its terms, over the clips of the current epoch so far."""
    seconds: float = 0.0
    """Time spent on the steps of the current epoch."""
    rows: tuple[dict[str, float], ...] = ()
    """A row of ``metrics.csv`` for each finished epoch."""
    best: float = -1.0
    """The best validation top-1 so far."""
    anew: tuple[str, ...] = ()
    """Names of the weights that ``start_from`` did not give; see ``starting_weights.start_weights``."""
    saved: float = field(default_factory=time.monotonic)
    """When the last checkpoint was written, in seconds of ``time.monotonic``."""

    def __post_init__(self) -> None:
        self.sums = dict.fromkeys(("loss", *losses.TERMS), 0.0) | self.sums

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated and kept: the average of the weights, if there is one."""
        return self.average.module if self.average else self.model

    @property
    def epochs_without_gain(self) -> int:
        """Number of epochs since the best one."""
        accuracies = [row["val_top1"] for row in self.rows]
        return len(accuracies) - 1 - accuracies.index(max(accuracies)) if accuracies else 0

    def end_epoch(self, row: dict[str, float]) -> bool:
        """End the current epoch with its row of metrics. Returns whether it is the best on validation so far.

        Of epochs with equal top-1 the first is the best.
        """
        improved = row["val_top1"] > self.best
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.sums, self.rows = dict.fromkeys(self.sums, 0.0), (*self.rows, row)
        self.best = max(row["val_top1"], self.best)
        return improved

    def save(self, path: Path) -> None:
        """Write a complete checkpoint. Raises OSError where that fails; an older checkpoint then stays as it
        was."""
        position = {name: getattr(self, name) for name in POSITION}
        weights = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        weights |= {"average": self.average.state_dict()} if self.average else {}
        buffer = io.BytesIO()
        torch.save({"version": VERSION, **weights, "position": position}, buffer)
        atomic.write_bytes(path, buffer.getvalue())
        self.saved = time.monotonic()

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Resume from a checkpoint that ``read`` returned. The sum of a loss term that is not in the
        checkpoint starts at 0."""
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        if self.average:
            self.average.load_state_dict(checkpoint["average"])
        position = dict(checkpoint["position"])
        if checkpoint.get("version", 1) == 1:
            position["sums"] = dict(zip(SUMS_OF_VERSION_1, position["sums"], strict=True))
        self.sums |= position.pop("sums")
        for name, value in position.items():
            setattr(self, name, value)


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, opened by PyTorch's weights-only loader, which runs no code.

    Raises:
        ValueError: the file is missing or damaged, or it has the format of a later version of this library.
    """
    way_out = "train the run again with `resume=False`"
    try:
        untrusted.unpacked(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such checkpoint; {way_out}") from None
    except Exception as error:  # torch raises half a dozen kinds for a file that is not its own
        raise ValueError(
            f"{path}: damaged ({' '.join(str(error).split())[:120] or type(error).__name__}); {way_out}"
        ) from None
    if not isinstance(checkpoint, dict) or not {"model", "optimizer", "position"} <= checkpoint.keys():
        raise ValueError(f"{path}: not a checkpoint of a training run; {way_out}")
    if (version := checkpoint.get("version", 1)) > VERSION:
        raise ValueError(
            f"{path}: checkpoint format {version} is newer than this library, which reads up to {VERSION}; update miga_lib"
        )
    return checkpoint
