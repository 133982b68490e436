"""Checkpoints of a training run: its network, its optimiser and its position, from which it resumes."""

import io
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import atomic, losses
from ..readers import untrusted

VERSION = 1
"""Of the checkpoint's format."""
POSITION = ("epoch", "step", "sums", "seconds", "rows", "best")
WAY_OUT = "train the run again with `resume=False`"


@dataclass
class State:
    """The state of a run in training. A checkpoint stores all fields except ``saved``."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    """Finished epochs."""
    step: int = 0
    """Finished steps of the current epoch."""
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("loss", *losses.TERMS), 0.0))
    """The sums of the loss and of its terms over the clips of the current epoch so far."""
    seconds: float = 0.0
    """Time spent on the steps of the current epoch."""
    rows: tuple[dict[str, float], ...] = ()
    """A row of ``metrics.csv`` for each finished epoch."""
    best: float = -1.0
    """The best validation top-1 so far."""
    saved: float = field(default_factory=time.monotonic)
    """When the last checkpoint was written, in seconds of ``time.monotonic``."""

    def end_epoch(self, row: dict[str, float]) -> bool:
        """End the current epoch. Returns whether it is the best so far: of equal ones the first is."""
        improved = row["val_top1"] > self.best
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.sums, self.rows = dict.fromkeys(self.sums, 0.0), (*self.rows, row)
        self.best = max(row["val_top1"], self.best)
        return improved

    def save(self, path: Path) -> None:
        """Write a checkpoint. Raises OSError where that fails; an older one then stays as it is."""
        position = {name: getattr(self, name) for name in POSITION}
        weights = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        buffer = io.BytesIO()
        torch.save({"version": VERSION, **weights, "position": position}, buffer)
        atomic.write_bytes(path, buffer.getvalue())
        self.saved = time.monotonic()

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Resume from a checkpoint that ``read`` returned. The sum of a term that it lacks starts at 0."""
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        sums = self.sums
        for name in POSITION:
            setattr(self, name, checkpoint["position"][name])
        self.sums = sums | self.sums


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, opened by PyTorch's weights-only loader, which runs no code.

    Raises ValueError where it is missing, damaged, or of a later version of this library.
    """
    try:
        untrusted.unpacked(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such checkpoint; {WAY_OUT}") from None
    except Exception as error:  # torch raises half a dozen kinds for a file that is not its own
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ValueError(f"{path}: damaged ({reason}); {WAY_OUT}") from None
    parts = {"version", "model", "optimizer", "position"}
    if not isinstance(checkpoint, dict) or not parts <= checkpoint.keys():
        raise ValueError(f"{path}: not a checkpoint of a training run; {WAY_OUT}")
    if checkpoint["version"] > VERSION:
        newer = f"checkpoint format {checkpoint['version']} is newer than this library"
        raise ValueError(f"{path}: {newer}, which reads up to {VERSION}; update miga_lib")
    return checkpoint
