"""The class probabilities of a set of clips, stored with the clips' ids so that nothing depends on their
order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from . import atomic
from .readers import DataError, shown, untrusted
from .settings import check_choice

SUM_TOLERANCE = 1e-3
"""How far the sum of a row may be from 1. Rounding to 32 or 16 bits stays below it."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class probabilities of N clips. Everything that scores or fuses takes them.

    ``ids`` (N,) are unique strings. ``labels`` (N,) are class indices, −1 where unknown. ``probabilities`` is
    (N, K), and its rows sum to 1. ``classes`` (K,) names its columns.

    Raises:
        ValueError: shapes that do not match, an id or a class that is there twice, a row that does not sum to
            1, a label that is not a class index.
    """

    ids: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    classes: np.ndarray

    def __post_init__(self) -> None:
        count, columns, labels, rows = self.ids.size, self.classes.size, self.labels, self.probabilities
        shapes = [array.shape for array in (self.ids, self.classes, labels, rows)]
        if shapes != [(count,), (columns,), (count,), (count, columns)]:
            raise ValueError(
                f"predictions of {count} ids and {columns} classes need labels ({count},) and probabilities "
                f"({count}, {columns}), got {labels.shape} and {rows.shape}"
            )
        for name in ("ids", "classes"):
            values, counts = np.unique(getattr(self, name), return_counts=True)
            if (counts > 1).any():
                repeated = f"{shown(str(values[counts.argmax()]))} {counts.max()} times"
                raise ValueError(f"{name} of predictions must be unique, found {repeated}")
        if rows.dtype.kind not in "fiu":
            raise ValueError(f"probabilities must be numbers, found type {rows.dtype}")
        sums = rows.sum(1)
        wrong = ~((rows >= 0).all(1) & (np.abs(sums - 1) < SUM_TOLERANCE))
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                "probabilities of a clip must be 0 or more and sum to 1, "
                f"those of {shown(str(self.ids[row]))} sum to {sums[row]:g}"
            )
        if labels.dtype.kind not in "iu":
            raise ValueError(f"labels must be whole numbers, found type {labels.dtype}")
        if count and not (labels.min() >= -1 and labels.max() < columns):
            bounds = f"{labels.min()} to {labels.max()}"
            raise ValueError(f"labels must be -1 (unknown) to {columns - 1}, found {bounds}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each clip, (N,)."""
        return self.probabilities.argmax(1)

    def known(self) -> "Predictions":
        """The predictions of the clips whose label is known."""
        return self._rows(self.labels >= 0)

    def labelled(self, labels: Iterable[int]) -> "Predictions":
        """The same predictions with other labels, one for each clip in their order."""
        return replace(self, labels=np.array(list(labels), dtype=int))

    def of(self, ids: Iterable[str]) -> "Predictions":
        """The predictions of the clips with these ids, in the order of ``ids``. Raises ValueError where there
        is none of a clip."""
        rows, ids = {id: row for row, id in enumerate(self.ids.tolist())}, list(ids)
        lacking = [id for id in ids if id not in rows]
        if lacking:
            example = f"clips such as {self.ids[0]!s:.80}" if len(self) else "no clips"
            raise ValueError(
                f"the predictions lack {len(lacking)} of {len(ids)} clips (such as {lacking[0]!s:.80}); "
                f"they are of {example}; choose predictions of the same data"
            )
        return self._rows(np.array([rows[id] for id in ids], dtype=int))

    def _rows(self, rows: np.ndarray) -> "Predictions":
        return Predictions(self.ids[rows], self.labels[rows], self.probabilities[rows], self.classes)

    def save(self, path: str | Path) -> None:
        """Write an ``npz`` file that loads without pickle. A file that is there is replaced when it is
        complete."""
        arrays = vars(self) | {"ids": self.ids.astype(str), "classes": self.classes.astype(str)}
        with atomic.file(Path(path)) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, **arrays)


def load(path: str | Path) -> Predictions:
    """Predictions from a file that ``Predictions.save`` wrote. Raises ValueError for any other file."""
    names = [field.name for field in fields(Predictions)]
    try:
        arrays = untrusted.arrays(Path(path))
    except DataError as error:
        scores = "predict again, or read other scores with `ensemble.score_files.read`"
        raise ValueError(f"{error}; {scores}") from None
    missing = [name for name in names if name not in arrays]
    if missing:
        listed = ", ".join(names)
        raise ValueError(f"{path}: a predictions file contains {listed}; {missing[0]!r} is missing")
    try:
        return Predictions(**{name: arrays[name] for name in names})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of several sets of clips, such as the folds of a cross-validation, as one. Raises
    ValueError for other classes, or a clip that is in two of them."""
    if any(part.classes.tolist() != parts[0].classes.tolist() for part in parts):
        raise ValueError("predictions of the folds have different classes; train all folds on the same data")
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("ids", "labels", "probabilities")
    }
    return Predictions(**joined, classes=parts[0].classes)


def of_regions(predictions: Predictions, class_regions: Sequence[str]) -> Predictions:
    """The same clips with the regions as classes, in the order in which they occur in ``class_regions``, that
    of each class (K,). The probability of a region is the sum of those of its classes."""
    regions = list(dict.fromkeys(class_regions))
    places = np.array([regions.index(region) for region in class_regions])
    probabilities = predictions.probabilities @ np.eye(len(regions))[places]
    labels = np.where(predictions.labels >= 0, places[predictions.labels], -1)
    return Predictions(predictions.ids, labels, probabilities, np.array(regions))


def adjusted(predictions: Predictions, counts: np.ndarray, strength: float) -> Predictions:
    """Probabilities divided by (share of the class in training) ^ ``strength``, so that rare classes are
    predicted more often. With a strength of 1 and accurate probabilities, these are the predictions with the
    best mean accuracy over classes.

    Source: Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, equation 9.

    Args:
        counts: (K,), the number of training clips of each class; a class without any counts as one.
    """
    shares = np.maximum(counts, 1) / np.maximum(counts, 1).sum()
    probabilities = predictions.probabilities / shares**strength
    return replace(predictions, probabilities=probabilities / probabilities.sum(1, keepdims=True))


def split_with_labels(labels: Mapping[str, np.ndarray], preferred: str = "test") -> tuple[str, str]:
    """The split to evaluate on: the preferred one if a label of it is known, else ``val``; and a sentence
    that says why it is not the preferred one, else empty.

    Args:
        labels: class indices of the clips of each split, −1 where unknown.

    Raises:
        ValueError: there is no such split, or no label of it or of ``val`` is known.
    """
    if preferred not in labels and not (preferred == "test" and "val" in labels):
        check_choice("split", preferred, sorted(labels))
    splits = list(dict.fromkeys([preferred, "val"]))
    usable = [split for split in splits if split in labels and (labels[split] >= 0).any()]
    if not usable:
        reason = f"no label of split {' or '.join(splits)} is known, so nothing can be evaluated"
        raise ValueError(f"{reason}; give data with labels")
    if usable[0] == preferred:
        return preferred, ""
    reason = f"There are no {preferred} clips"
    if preferred in labels:
        reason = f"The classes of the {len(labels[preferred])} {preferred} clips are unknown"
    return usable[0], f"{reason}, so the validation clips are used."
