"""Scores that other toolboxes wrote, read as Predictions: csv, npz, npy, and the result pickles of PySkl and
of toolboxes based on ST-GCN.

Scores are matched by ids, never by position. A file without ids (PySkl's ``result.pkl`` is a plain list) is
read in the order of the annotation file that it was made from. Rows that are not probabilities are refused,
or converted as the caller says. Every change to the scores is noted in a report.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import labels
from ..predictions import SUM_TOLERANCE, Predictions
from ..readers import UNKNOWN, DataError, Report, pyskl, shown, unpickling, untrusted

NORMALISATIONS = ("", "softmax", "divide")
"""What to do with rows that are not probabilities; empty: refuse them."""
ROUNDED_SUM_TOLERANCE = 1e-2
"""How far from 1 the sum of 16-bit probabilities may be. Such rows are divided by their sum."""
IDENTIFIERS = ("filename", "frame_dir")
"""Fields with the id of an annotation, in the order in which PySkl looks for them."""


@dataclass(frozen=True, eq=False)
class Table:
    """The contents of a score file: scores (N, K); and ids (N,), labels (N,) and classes (K,) if it has
    them."""

    scores: np.ndarray
    ids: np.ndarray | None = None
    labels: np.ndarray | None = None
    classes: tuple[str, ...] | None = None


def read(
    path: str | Path,
    classes: Sequence[str] = labels.CLASSES,
    annotations: str | Path = "",
    split: str = "",
    normalise: str = "",
    report: Report | None = None,
) -> Predictions:
    """The scores of a file, as probabilities of ``classes`` in their order.

    Args:
        path: a csv whose first column is the id, with or without a header (a column ``label`` can have the
            class indices, the others are scores under the names or indices of their classes); an npz with one
            two-dimensional array and, optionally, ``ids``, ``labels`` and ``classes``; a pickle of a list of
            score arrays, or of a dict of them by id; an npy of shape (N, K).
        classes: of the predictions to fuse with. If the file names its classes, they are matched by name.
        annotations: for a file without ids, the PySkl annotation file whose order the scores have.
        split: of the annotation file. PySkl's test script writes the scores of one split.
        normalise: what to do with rows that are not probabilities: ``softmax`` for logits and
            log-probabilities, ``divide`` (by the sum) for other scores of 0 or more; empty: refuse them.
        report: every change to the scores is noted in it.

    Raises:
        ValueError: ids that are missing, not unique or too many, other classes, scores that are not numbers
            or not probabilities.
    """
    path, report = Path(path), report or Report()
    if normalise not in NORMALISATIONS:
        raise ValueError(f"normalise must be softmax, divide or empty, got {normalise!r}")
    suffix, arrays = path.suffix.lower(), {".npz": _npz, ".npy": _npy, ".pkl": _pickle, ".pickle": _pickle}
    if suffix not in (".csv", *arrays):
        raise DataError(
            f"{path}: a score file must be one of .csv, {', '.join(arrays)}, got {suffix[:20] or 'no ending'}"
        )
    untrusted.size(path, untrusted.GB)
    table = _csv(path, len(classes)) if suffix == ".csv" else arrays[suffix](path)
    for name, values in {"ids": table.ids, "labels": table.labels}.items():
        if values is not None and values.shape != (len(table.scores),):
            raise DataError(
                f"{path}: has scores of {len(table.scores)} clips and `{name}` of shape {values.shape}; each clip needs one"
            )
    if not np.isfinite(table.scores).all():
        row, column = np.argwhere(~np.isfinite(table.scores))[0]
        raise DataError(
            f"{path}: scores must be finite numbers, found {table.scores[row, column]} in row {row}, column {column}"
        )
    ids = table.ids
    if ids is None:
        ids, known = _order(path, annotations, split)
        if len(ids) != len(table.scores):
            raise DataError(
                f"{path}: has scores of {len(table.scores)} clips, and split {split!r} of {annotations} has {len(ids)}; "
                "give the annotation file and the split from which the scores were made"
            )
        report.note(
            "ids taken from the order of an annotation file", f"{path.name} (from {Path(annotations).name})"
        )
        table = Table(table.scores, ids, known if table.labels is None else table.labels, table.classes)
    columns = _columns(path, table, classes, report)
    probabilities = _probabilities(path, table.scores[:, columns], ids, normalise, report)
    known = (
        np.full(len(ids), UNKNOWN) if table.labels is None else _labels(path, table.labels, columns, report)
    )
    try:
        return Predictions(np.asarray(ids, dtype=str), known, probabilities, np.array(classes))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _csv(path: Path, count: int) -> Table:
    """The first column is the id, unless the file has no header, only numbers, and as many columns as there
    are classes."""
    content, widths = untrusted.table(path)
    untrusted.even(path, widths)
    try:
        cells = pd.read_csv(
            io.BytesIO(content), header=None, dtype=str, keep_default_na=False, skipinitialspace=True
        )
    except ValueError as error:  # the base class of what pandas raises
        raise DataError(
            f"{path}: not a table of scores ({' '.join(str(error).split())[:200]}); save it again as csv in UTF-8"
        ) from None
    names = cells.iloc[0].tolist()
    header = not _numeric(names[1:]) or names[1:] == [str(k) for k in range(len(names) - 1)]
    cells = cells.iloc[1:] if header else cells
    has_ids = header or len(names) != count or not _numeric(cells[0])
    of_scores = [
        c
        for c, name in enumerate(names)
        if not (has_ids and c == 0) and not (header and name.lower() == "label")
    ]
    numbers = cells[of_scores].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    label = [c for c, name in enumerate(names) if header and c and name.lower() == "label"]
    given = [names[c] for c in of_scores]
    return Table(
        numbers,
        cells[0].to_numpy(str) if has_ids else None,
        pd.to_numeric(cells[label[0]], errors="coerce").to_numpy(float) if label else None,
        tuple(given) if header and given != [str(k) for k in range(len(given))] else None,
    )


def _numeric(cells: Sequence[str] | pd.Series) -> bool:
    return bool(pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").notna().all())


def _npz(path: Path) -> Table:
    stored = untrusted.arrays(path)
    tables = [name for name, array in stored.items() if array.ndim == 2 and array.dtype.kind in "fiu"]
    if len(tables) != 1:
        found = (
            ", ".join(tables)[:100]
            or f"none among {', '.join(f'{name} ({array.dtype})' for name, array in stored.items())[:100]}"
        )
        raise DataError(f"{path}: expected one array of numbers of shape (clips, classes), found {found}")
    names = stored.get("classes")
    classes = tuple(names.astype(str).tolist()) if names is not None else None
    return Table(stored[tables[0]].astype(float), stored.get("ids"), stored.get("labels"), classes)


def _npy(path: Path) -> Table:
    scores = untrusted.array(path)
    if scores.ndim != 2 or scores.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: expected an array of numbers of shape (clips, classes), found {shown(scores)}"
        )
    return Table(scores.astype(float))


def _pickle(path: Path) -> Table:
    """A list of arrays (K,) or (1, K), as PySkl writes it, or a dict of them, as toolboxes based on ST-GCN
    write it."""
    loaded = unpickling.load(path)
    ids = np.array([str(id) for id in loaded]) if isinstance(loaded, dict) else None
    rows = list(loaded.values()) if isinstance(loaded, dict) else loaded
    if isinstance(rows, np.ndarray) and rows.ndim == 2:
        rows = list(rows)
    if not isinstance(rows, list | tuple) or not rows:
        raise DataError(
            f"{path}: expected a list of score arrays, one a clip, or a dict of them by id, found {shown(loaded)}"
        )
    for number, row in enumerate(rows):
        whole = (
            isinstance(row, np.ndarray)
            and row.ndim
            and row.dtype.kind in "fiu"
            and row.size == np.size(rows[0]) == row.shape[-1]
        )
        if not whole:
            raise DataError(
                f"{path}: expected arrays of a score for each class, found {shown(row)} at {number}; average the views of a clip first"
            )
    return Table(np.stack([row.reshape(-1) for row in rows]).astype(float), ids)


def _order(path: Path, annotations: str | Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids and labels of one split of an annotation file, in the order of its annotations, in which PySkl
    tests them."""
    if not annotations:
        raise DataError(
            f"{path}: has no ids; give `annotations`, the PySkl annotation file whose order the scores have"
        )
    loaded = unpickling.load(Path(annotations))
    listed = loaded.get("annotations") if isinstance(loaded, dict) else loaded
    if not isinstance(listed, list) or not listed or not all(isinstance(one, dict) for one in listed):
        raise DataError(
            f"{annotations}: expected a dict with `split` and a list `annotations`, found {shown(loaded)}"
        )
    splits, of_split = loaded.get("split") if isinstance(loaded, dict) else None, None
    if isinstance(splits, dict):
        splits = {str(name): ids for name, ids in splits.items()}
        near = [name for name in splits if name == split] or [
            name for name in splits if split and name.endswith(f"_{split}")
        ]
        if len(near) != 1:
            raise DataError(
                f"{annotations}: split must be one of {', '.join(splits)[:150]}, got {split!r:.80}"
            )
        if not pyskl.is_list(ids := splits[near[0]]):
            raise DataError(f"{annotations}: split {near[0]!r:.80} must be a list of ids, found {shown(ids)}")
        of_split = {str(id) for id in ids}
    identifier = next((name for name in IDENTIFIERS if name in listed[0]), "frame_dir")
    chosen = [one for one in listed if of_split is None or str(one.get(identifier)) in of_split]
    known = [one.get("label", UNKNOWN) for one in chosen]
    if not all(isinstance(label, int | np.integer) for label in known):
        raise DataError(
            f"{annotations}: labels must be whole numbers, found {shown(next(k for k in known if not isinstance(k, int)))}"
        )
    return np.array([str(one.get(identifier)) for one in chosen]), np.array(known, dtype=int)


def _columns(path: Path, table: Table, classes: Sequence[str], report: Report) -> np.ndarray:
    """The column of each class in the file, (K,): by name if the file has names, else in the same order."""
    if table.classes is None:
        if table.scores.shape[1] != len(classes):
            raise DataError(
                f"{path}: must have scores of {len(classes)} classes ({classes[0]:.80} to {classes[-1]:.80}), found {table.scores.shape[1]}"
            )
        return np.arange(len(classes))
    place = {_plain(name): column for column, name in enumerate(table.classes)}
    lacking = [name for name in classes if _plain(name) not in place]
    extra = [name for name in table.classes if _plain(name) not in {_plain(name) for name in classes}]
    if lacking or extra or len(place) != len(table.classes):
        names = (
            f"{shown(lacking[0])} is missing"
            if lacking
            else f"{shown(extra[0])} is not one of them"
            if extra
            else "one is there twice"
        )
        raise DataError(
            f"{path}: its {len(table.classes)} classes must be the {len(classes)} of the data: {names}"
        )
    columns = np.array([place[_plain(name)] for name in classes])
    if (columns != np.arange(len(columns))).any():
        report.note("columns reordered by class name", path.name)
    return columns


def _plain(name: str) -> str:
    """A class name without case, underscores and hyphens, which toolboxes write differently."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _probabilities(
    path: Path, scores: np.ndarray, ids: np.ndarray, normalise: str, report: Report
) -> np.ndarray:
    """The scores as probabilities (N, K): rows of 0 or more that sum to 1."""
    sums = scores.sum(1)
    away = np.where((scores >= 0).all(1), np.abs(sums - 1), np.inf)
    if (away < SUM_TOLERANCE).all():
        return scores
    if (away < ROUNDED_SUM_TOLERANCE).all():
        report.note("rounded probabilities divided by their sum", path.name)
        return scores / sums[:, None]
    if normalise == "softmax":
        report.note("scores converted to probabilities by softmax", path.name)
        powers = np.exp(scores - scores.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)
    row = int(away.argmax())
    found = f"those of clip {ids[row]!s:.80} are between {scores[row].min():g} and {scores[row].max():g} and sum to {sums[row]:g}"
    if not normalise:
        means = "'softmax' for logits or log-probabilities, 'divide' for other scores of 0 or more"
        raise DataError(
            f"{path}: scores of a clip must be 0 or more and sum to 1, {found}; give `normalise`: {means}"
        )
    if (scores < 0).any() or not (sums > 0).all():
        raise DataError(
            f"{path}: only scores of 0 or more, not all 0, can be divided by their sum, {found}; for logits give `normalise`: 'softmax'"
        )
    report.note("scores divided by their sum", path.name)
    return scores / sums[:, None]


def _labels(path: Path, given: np.ndarray, columns: np.ndarray, report: Report) -> np.ndarray:
    """Labels as indices of the classes, (N,). Labels that are all equal are placeholders, as test sets are
    published with: unknown."""
    if given.dtype.kind not in "fiu" or not np.isin(given, np.arange(UNKNOWN, len(columns))).all():
        raise DataError(
            f"{path}: labels must be whole numbers from {UNKNOWN} (unknown) to {len(columns) - 1}, found {shown(given)}"
        )
    if len(given) > 1 and (given == given[0]).all() and given[0] != UNKNOWN:
        report.note(
            "labels that are all equal treated as unknown", f"{path.name} ({len(given)} × {given[0]:g})"
        )
        return np.full(len(given), UNKNOWN)
    return np.where(given == UNKNOWN, UNKNOWN, columns.argsort()[given.astype(int)])
