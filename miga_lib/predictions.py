"""What a model says of a set of clips: class probabilities, kept with the clips' ids so that nothing depends on an order."""

import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from .clips import Clips

TOLERANCE = 1e-3
"""So much may the sum of a row differ from 1: that of 32-bit or 16-bit rounding, not of another meaning."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class probabilities of N clips, the currency of everything that judges or fuses.

    ``ids`` (N,) are different strings; ``labels`` (N,) are class indices, −1 where unknown; ``probabilities`` is (N, K) with rows
    that sum to 1; ``classes`` (K,) names the columns.

    Raises:
        ValueError: shapes that do not fit, an id or a class given twice, a row that is no distribution, a label that is no class.
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
        for what, names in {"ids": self.ids, "classes": self.classes}.items():
            values, counts = np.unique(names, return_counts=True)
            if (counts > 1).any():
                raise ValueError(f"{what} of predictions must differ, '{values[counts.argmax()]}' is there {counts.max()} times")
        sums = self.probabilities.sum(1)
        wrong = ~((self.probabilities >= 0).all(1) & (np.abs(sums - 1) < TOLERANCE))
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(f"probabilities of a clip must be 0 or more and sum to 1; those of '{self.ids[row]}' sum to {sums[row]:g}")
        if self.labels.dtype.kind not in "iu":
            raise ValueError(f"labels must be whole numbers, found type {self.labels.dtype}")
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
        return self._rows(self.labels >= 0)

    def of(self, ids: Iterable[str]) -> "Predictions":
        """The predictions of the clips with these ids, in their order.

        Raises:
            ValueError: a clip is not there; the message has an example of the ids that are.
        """
        place, wanted = {id: row for row, id in enumerate(self.ids.tolist())}, list(ids)
        if lacking := [id for id in wanted if id not in place]:
            example = f"its own are such as {self.ids[0]}" if len(self) else "they are of no clip at all"
            raise ValueError(f"the predictions lack {len(lacking)} of {len(wanted)} clips, such as {lacking[0]}; {example}")
        return self._rows(np.array([place[id] for id in wanted], dtype=int))

    def _rows(self, rows: np.ndarray) -> "Predictions":
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
    """Predictions from a file that ``Predictions.save`` wrote.

    Raises:
        ValueError: it is no such file, or what it holds makes no sense; scores of other toolboxes are for ``ensemble.score_files``.
    """
    fields = ("ids", "labels", "probabilities", "classes")
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as held:
            missing = [name for name in fields if name not in held]
            arrays = {name: held[name] for name in fields if name in held}
    except TypeError:  # a bare array opens no context
        raise ValueError(f"{path}: not a predictions file (a single array); read it with `ensemble.score_files.read`") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a predictions file ({error}); read other scores with `ensemble.score_files.read`") from None
    if missing:
        raise ValueError(f"{path}: a predictions file holds {', '.join(fields)}; {missing[0]!r} is not in it")
    try:
        return Predictions(**arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def judgeable(by_split: Mapping[str, Predictions], wanted: str = "test") -> tuple[str, str]:
    """The split to judge by: the one wanted, or ``val`` where no label of that is known; and a sentence that says so, else empty.

    Raises:
        ValueError: there are no predictions of the split, or no known labels in either.
    """
    if wanted not in by_split:
        raise ValueError(f"there are no predictions of split {wanted!r}; there are some of {', '.join(sorted(by_split)) or 'none'}")
    if (by_split[wanted].labels >= 0).any():
        return wanted, ""
    if wanted == "val" or "val" not in by_split or not (by_split["val"].labels >= 0).any():
        raise ValueError(f"no class of the {wanted} clips is known, nor of validation clips, so there is nothing to judge by")
    return "val", f"The classes of the {len(by_split[wanted])} {wanted} clips are unknown, so it is judged on the validation clips."


@torch.inference_mode()
def predict(
    model: nn.Module, clips: Clips, views: Callable[[Int[Tensor, " n"]], Iterable[tuple[Tensor, ...]]], batch_size: int
) -> Predictions:
    """Probabilities of each clip, averaged over its test-time views.

    Args:
        model: gives logits and embeddings; it is left in evaluation mode.
        views: what the model is given for some clips, named by their rows: the arguments of one call after the other, each for as
            many views of every clip, clip after clip.
        batch_size: how many clips go through the model at a time.
    """
    model.eval()
    averages = []
    for rows in torch.arange(len(clips)).split(batch_size):
        probabilities = [model(*view)[0].float().softmax(1).unflatten(0, (len(rows), -1)) for view in views(rows)]
        averages.append(torch.cat(probabilities, dim=1).mean(1).double().cpu())
    table = clips.table
    return Predictions(table["id"].to_numpy(str), table["label"].to_numpy(), torch.cat(averages).numpy(), np.array(clips.classes))
