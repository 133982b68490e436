"""What a model says of a set of clips: class probabilities, kept with the clips' ids so that nothing depends on an order."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .clips import Clips


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class probabilities of N clips, the currency of everything that judges or fuses.

    ``ids`` (N,) are different strings; ``labels`` (N,) are class indices, −1 where unknown; ``probabilities`` is (N, K) with rows
    that sum to 1; ``classes`` (K,) names the columns.

    Raises:
        ValueError: shapes that do not fit, an id given twice, a row that is no distribution, a label that is no class.
    """

    ids: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    classes: np.ndarray

    def __post_init__(self) -> None:
        count, columns = len(self.ids), len(self.classes)
        if self.labels.shape != (count,) or self.probabilities.shape != (count, columns):
            raise ValueError(
                f"predictions of {count} ids and {columns} classes need labels ({count},) and probabilities ({count}, {columns}), "
                f"got {self.labels.shape} and {self.probabilities.shape}"
            )
        values, counts = np.unique(self.ids, return_counts=True)
        if (counts > 1).any():
            raise ValueError(f"ids of predictions must differ, '{values[counts > 1][0]}' is there {counts.max()} times")
        sums = self.probabilities.sum(1)
        wrong = ~((self.probabilities >= 0).all(1) & (np.abs(sums - 1) < 1e-3))
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(f"probabilities of a clip must be 0 or more and sum to 1; those of '{self.ids[row]}' sum to {sums[row]:g}")
        if count and not (self.labels.min() >= -1 and self.labels.max() < columns):
            raise ValueError(f"labels must be -1 (unknown) to {columns - 1}, found {self.labels.min()} to {self.labels.max()}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def guesses(self) -> np.ndarray:
        """The most probable class of each clip, (N,)."""
        return self.probabilities.argmax(1)

    def known(self) -> "Predictions":
        """The predictions of the clips whose label is known."""
        rows = self.labels >= 0
        return Predictions(self.ids[rows], self.labels[rows], self.probabilities[rows], self.classes)

    def save(self, path: str | Path) -> None:
        """Write an ``npz`` file that loads without pickle; it appears under its name once it is whole."""
        path = Path(path)
        unfinished = path.with_name(f".{path.stem}.unfinished.npz")
        arrays = {
            "ids": self.ids.astype(str),
            "labels": self.labels,
            "probabilities": self.probabilities,
            "classes": self.classes.astype(str),
        }
        np.savez_compressed(unfinished, **arrays)
        os.replace(unfinished, path)


def load(path: str | Path) -> Predictions:
    """Predictions from a file that ``Predictions.save`` wrote. Raises ValueError where an array is not in it."""
    with np.load(path, allow_pickle=False) as file:
        fields = ("ids", "labels", "probabilities", "classes")
        if missing := [name for name in fields if name not in file]:
            raise ValueError(f"{path}: a predictions file holds {', '.join(fields)}; {missing[0]!r} is not in it")
        return Predictions(*(file[name] for name in fields))


@torch.inference_mode()
def predict(
    model: nn.Module, clips: Clips, views: Callable[[Int[Tensor, " n"]], Iterable[Float[Tensor, "n ..."]]], batch_size: int
) -> Predictions:
    """Probabilities of each clip, averaged over its test-time views.

    Args:
        model: gives logits and embeddings; it is left in evaluation mode.
        views: the views of some clips, named by their row, one batch of model inputs after the other.
        batch_size: how many clips go through the model at a time.
    """
    model.eval()
    averages = []
    for rows in torch.arange(len(clips)).split(batch_size):
        probabilities = [model(view)[0].float().softmax(1) for view in views(rows)]
        averages.append(torch.stack(probabilities).mean(0).double().cpu())
    table = clips.table
    return Predictions(table["id"].to_numpy(str), table["label"].to_numpy(), torch.cat(averages).numpy(), np.array(clips.classes))
