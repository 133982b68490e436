"""Scores that other toolboxes wrote, read as Predictions: csv, npz, npy, and the result pickles of PySkl, of
mmaction2 and of toolboxes based on ST-GCN.

Scores are matched by ids, never by position. A file without ids (PySkl's ``result.pkl`` is a plain list) is
read in the order of the annotation file that it was made from. Columns are matched by the names or the
indices of the classes. Rows that are not probabilities are refused, or converted as the caller says. Every
change to the scores is noted in a report.
"""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .. import labels
from ..predictions import SUM_TOLERANCE, Predictions
from ..readers import UNKNOWN, DataError, Report, pyskl, shown, unpickling, untrusted
from ..settings import check_choice

NORMALISATIONS = ("", "softmax", "divide")
"""What to do with rows that are not probabilities; empty: refuse them."""
ROUNDED_SUM_TOLERANCE = 1e-2
"""How far from 1 the sum of 16-bit probabilities may be. Such rows are divided by their sum."""
ID_NAMES = ("", "id", "ids", "clip", "clip_id", "name", "file", "filename", "frame_dir", "sample", "video")
"""What a header calls the column of ids, without case. Above numbered classes it tells a header from a
clip."""
ROW_NUMBERS = ("", "unnamed: 0")
"""What a header has above the row numbers that pandas writes before the first column."""
SUMMARIES = ("", "nan", "none", "count", "mean", "average", "avg", "std", "min", "max", "sum", "total")
"""Ids, without case, of rows that spreadsheets and pandas add to the clips."""
SAMPLE_IDS = ("frame_dir", "filename", "video_path", "video_id", "img_key")
"""The keys of a sample of mmaction2 that may be its id."""
MODALITY = "#"
"""Between the path of a file and the modality of its scores."""
MAX_DOUBTFUL = 5
"""A line of numbers 0 to K − 1 may be the whole scores of a clip where there are so few classes."""


def read(
    path: str | Path,
    classes: Sequence[str] = labels.CLASSES,
    annotations: str | Path = "",
    split: str = "",
    normalise: str = "",
    report: Report | None = None,
) -> Predictions:
    """The scores of a file, as probabilities of ``classes`` in their order. Labels are left unknown: they
    come from the data.

    Args:
        path: a csv whose first column is the id, with or without a header (a column ``label`` and the row
            numbers of pandas are ignored, the others are scores under the names or indices of their classes);
            an npz with one two-dimensional array and, optionally, ``ids`` and ``classes``; a pickle of a list
            of score arrays, of a dict of them by id, or of mmaction2's samples (its ``--dump``; of several
            modalities one is named: ``result.pkl#rgb``); an npy of shape (N, K). Ids are those of the data,
            with all leading zeros and without the ending of a file.
        classes: of the predictions to fuse with. If the file names its classes, or numbers them from 0 (also
            as ``class_0``), its columns are put into their order.
        annotations, split: for a file without ids, the annotation file whose order the scores have, and its
            split that was tested: a pickle of PySkl, or a text with a name at the beginning of each line.
        normalise: one of ``NORMALISATIONS``: ``softmax`` for logits and log-probabilities, ``divide`` (by the
            sum) for other scores of 0 or more.

    Raises:
        DataError: no scores, ids that are missing, not unique, too many or of no clip (a mean), other
            classes, scores that are not numbers or not probabilities.
    """
    report, modality = report or Report(), ""
    if not Path(path).exists():
        path, _, modality = str(path).partition(MODALITY)
    path = Path(path)
    check_choice("normalise", normalise, NORMALISATIONS)
    if path.suffix.lower() not in READERS:
        ending = path.suffix[:20] or "no ending"
        raise DataError(f"{path}: a score file must be one of {', '.join(READERS)}, got {ending}")
    untrusted.size(path, untrusted.GB)
    reader = READERS[path.suffix.lower()]
    if modality and reader is not _pickle:
        raise DataError(f"{path}: has no modalities; leave out {MODALITY}{shown(modality)}")
    scores, stored_ids, names = reader(path, classes, report, modality)
    if not len(scores):
        raise DataError(f"{path}: has no scores of clips; write them again")
    ids = None if stored_ids is None else _checked(path, stored_ids, report)
    if not np.isfinite(scores).all():
        row, column = np.argwhere(~np.isfinite(scores))[0]
        place = f"{scores[row, column]} in row {row}, column {column}"
        raise DataError(f"{path}: scores must be finite numbers, found {place}")
    if ids is None:
        ids = _annotated_ids(path, annotations, split)
        if len(ids) != len(scores):
            numbers = f"{len(scores)} clips, and split {split!r} of {annotations} has {len(ids)}"
            way_out = "give the annotation file and the split from which the scores were made"
            raise DataError(f"{path}: has scores of {numbers}; {way_out}")
        names_of_files = f"{path.name} (from {Path(annotations).name})"
        report.note("ids taken from the order of an annotation file", names_of_files)
    if names is not None:
        scores = scores[:, _columns(path, names, classes, report)]
    elif scores.shape[1] != len(classes):
        expected = f"{len(classes)} classes ({shown(classes[0])} to {shown(classes[-1])})"
        raise DataError(f"{path}: must have scores of {expected}, found {scores.shape[1]}")
    probabilities = _probabilities(path, scores, ids, normalise, report)
    try:
        return Predictions(ids, np.full(len(ids), UNKNOWN), probabilities, np.array(classes))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


class Table(NamedTuple):
    """The contents of a score file: scores (N, K); ids (N,) and names of classes (K,) if it has them."""

    scores: np.ndarray
    ids: Sequence[Any] | None = None
    classes: Sequence[str] | None = None


def _csv(path: Path, classes: Sequence[str], report: Report, _: str) -> Table:
    """The first column is the id, unless there are only as many columns as classes: under their names or
    indices, or all numbers without a header."""
    content, widths = untrusted.table(path)
    untrusted.even(path, widths)
    file = io.BytesIO(content)
    try:
        cells = pd.read_csv(file, header=None, dtype=str, keep_default_na=False, skipinitialspace=True)
    except ValueError as error:  # the base class of what pandas raises
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not a table of scores ({reason}); save it again as csv in UTF-8") from None
    cells = cells.apply(lambda column: column.str.strip())
    names, numbers = cells.iloc[0].tolist(), cells.apply(pd.to_numeric, errors="coerce")
    if not _is_header(path, names, numbers.iloc[0].to_numpy(float), classes):
        if len(names) == len(classes) and numbers[0].notna().all():
            return Table(numbers.to_numpy(float))
        return Table(numbers.iloc[:, 1:].to_numpy(float), cells[0].tolist())
    cells, numbers = cells.iloc[1:], numbers.iloc[1:]
    repeated = (cells == names).all(axis=1).to_numpy()
    if repeated.any():
        raise DataError(f"{path}: row {repeated.argmax()} is the header again; delete the row")
    columns = [column for column, name in enumerate(names) if name.lower() != "label"]
    counted = [str(row) for row in range(len(cells))]
    if columns and names[columns[0]].lower() in ROW_NUMBERS and cells[columns[0]].tolist() == counted:
        report.note("row numbers of pandas before the first column ignored", path.name)
        columns.pop(0)
    named = [names[column] for column in columns]
    if len(columns) == len(classes) and _order(path, named, classes) is not None:
        return Table(numbers[columns].to_numpy(float), None, named)
    ids = cells[columns[0]].tolist() if columns else None
    return Table(numbers[columns[1:]].to_numpy(float), ids, named[1:])


def _is_header(path: Path, names: Sequence[str], numbers: np.ndarray, classes: Sequence[str]) -> bool:
    """Whether the first line names its columns. A line with text is a header, and so is one that counts the
    classes, from 0 or 1. Raises DataError where it may be either."""
    if np.isnan(numbers[1:]).any():
        return True
    ordered, counted = (np.sort(numbers), np.sort(numbers[1:])), np.arange(len(classes))
    counts = any(np.array_equal(part, counted + first) for part in ordered for first in (0, 1))
    is_named = names[0].lower() in ID_NAMES
    if counts and not is_named and len(classes) <= MAX_DOUBTFUL:
        way_out = "write a header above it, or `id` as the first cell if it is one"
        raise DataError(f"{path}: line 1 ({shown(','.join(names))}) is a header or a clip; {way_out}")
    return counts or is_named


def _npz(path: Path, *_: Any) -> Table:
    stored = untrusted.arrays(path)
    tables = [name for name, array in stored.items() if array.ndim == 2 and array.dtype.kind in "fiu"]
    if len(tables) != 1:
        listed = ", ".join(f"{shown(name)} ({array.dtype})" for name, array in stored.items())[:100]
        names = ", ".join(map(shown, tables))[:100] or f"none among {listed or 'no arrays'}"
        raise DataError(f"{path}: expected one array of numbers of shape (clips, classes), found {names}")
    scores, ids, classes = stored[tables[0]].astype(float), stored.get("ids"), stored.get("classes")
    for name, array, count in (("ids", ids, len(scores)), ("classes", classes, scores.shape[1])):
        if array is not None and array.shape != (count,):
            shapes = f"scores of shape {scores.shape} and `{name}` of shape {array.shape}"
            raise DataError(f"{path}: has {shapes}; there must be one for each clip and class")
    named = None if classes is None else classes.astype(str).tolist()
    return Table(scores, None if ids is None else ids.tolist(), named)


def _npy(path: Path, *_: Any) -> Table:
    scores = untrusted.array(path)
    if scores.ndim != 2 or scores.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: expected an array of numbers of shape (clips, classes), found {shown(scores)}"
        )
    return Table(scores.astype(float))


def _pickle(path: Path, classes: Sequence[str], report: Report, modality: str) -> Table:
    """A list of arrays (K,) or (1, K), as PySkl writes it, a dict of them, as toolboxes based on ST-GCN write
    it, or a list of samples of mmaction2."""
    content, ids = unpickling.load(path), None
    rows = content
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        ids, rows = _samples(path, content, modality)
    elif modality:
        raise DataError(f"{path}: has no modalities; leave out {MODALITY}{shown(modality)}")
    if isinstance(content, dict):
        ids, rows = list(content), list(content.values())
    if isinstance(rows, np.ndarray) and rows.ndim == 2:
        rows = list(rows)
    if not isinstance(rows, list | tuple):
        kinds = "a list of score arrays, one a clip, or a dict of them by id"
        raise DataError(f"{path}: expected {kinds}, found {shown(content)}")
    for number, row in enumerate(rows):
        is_vector = isinstance(row, np.ndarray) and row.ndim and row.dtype.kind in "fiu"
        if not is_vector or not row.size == row.shape[-1] == np.size(rows[0]):
            raise DataError(
                f"{path}: expected arrays of a score for each class, found {shown(row)} at {number}; "
                "average the views of a clip first"
            )
    table = [row.reshape(-1) for row in rows]
    return Table(np.stack(table).astype(float) if table else np.empty((0, len(classes))), ids)


def _samples(
    path: Path, samples: list[dict[Any, Any]], modality: str
) -> tuple[list[str] | None, list[np.ndarray]]:
    """The ids and scores of mmaction2's samples. Which keys a sample has beside its scores depends on
    ``meta_keys`` of the configuration; by default none is an id.

    Source: open-mmlab/mmengine, evaluator/metric.py, DumpResults; open-mmlab/mmaction2,
    tools/analysis_tools/report_accuracy.py, and ``pred_scores`` of its first versions.
    """
    rows = []
    for number, sample in enumerate(samples):
        scores = sample.get("pred_score", sample.get("pred_scores"))
        if isinstance(scores, dict):
            names = [str(name) for name in scores]
            name = modality or (names[0] if len(names) == 1 else "")
            if name not in names:
                listed = ", ".join(map(shown, names))
                way_out = f"name one after the path, such as {path.name}{MODALITY}{names[0] if names else ''}"
                raise DataError(f"{path}: has scores of several modalities ({listed}); {way_out}")
            scores = scores[name]
        elif modality:
            raise DataError(f"{path}: has no modalities; leave out {MODALITY}{shown(modality)}")
        if scores is None:
            raise DataError(f"{path}: sample {number} has no pred_score, found {shown(list(sample))}")
        rows.append(scores)
    for key in SAMPLE_IDS:
        ids = [sample.get(key) for sample in samples]
        texts = [id for id in ids if isinstance(id, str)]
        # The first two name a clip: where they are not unique, the scores are not one for each clip.
        if len(texts) == len(samples) and (key in SAMPLE_IDS[:2] or len(set(texts)) == len(texts)):
            return texts, rows
    return None, rows


READERS = {".csv": _csv, ".npz": _npz, ".npy": _npy, ".pkl": _pickle, ".pickle": _pickle}
"""The reader of each ending of a file; it takes the path, the classes, the report and the modality."""


def _checked(path: Path, ids: Sequence[Any], report: Report) -> np.ndarray:
    """The ids (N,) as text. Raises DataError for one that no clip has."""
    for row, id in enumerate(ids):
        if not isinstance(id, str | int | np.integer) or isinstance(id, bool):
            raise DataError(
                f"{path}: row {row} has id {shown(id)}; ids must be text: write those of the data"
            )
        if str(id).strip().casefold() in SUMMARIES:
            raise DataError(f"{path}: row {row} has id {shown(id)}, which is no clip; delete the row")
    if not all(isinstance(id, str) for id in ids):
        report.note("ids stored as numbers, without leading zeros, taken as text", path.name)
    texts = [str(id) for id in ids]
    trimmed = [text.strip() for text in texts]
    changed = sum(text != other for text, other in zip(texts, trimmed, strict=True))
    report.count("spaces around ids removed", path.name, changed, len(ids))
    return np.array(trimmed)


def _annotated_ids(path: Path, annotations: str | Path, split: str) -> np.ndarray:
    """The ids of one split of an annotation file, in the order of its annotations, in which PySkl tests
    them."""
    if not annotations:
        way_out = "give `annotations`, the PySkl annotation file whose order the scores have"
        raise DataError(f"{path}: has no ids; {way_out}")
    if Path(annotations).suffix.lower() == ".txt":
        untrusted.size(Path(annotations), untrusted.MAX_LABEL_BYTES)
        try:
            lines = Path(annotations).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{annotations}: not text in UTF-8 ({error}); save it again as such") from None
        return np.array([line.split()[0] for line in lines if line.strip()])
    content, splits = unpickling.load(Path(annotations)), None
    clips = content
    if isinstance(content, dict):
        clips, splits = content.get("annotations"), content.get("split")
    if not isinstance(clips, list) or not clips or not all(isinstance(clip, dict) for clip in clips):
        kind = "a dict with `split` and a list `annotations`"
        raise DataError(f"{annotations}: expected {kind}, found {shown(content)}")
    name = "filename" if "filename" in clips[0] else "frame_dir"  # PySkl looks for them in this order
    ids = np.array([str(clip.get(name)) for clip in clips])
    if not isinstance(splits, dict):
        return ids
    splits = {str(name): members for name, members in splits.items()}
    names = [name for name in splits if name == split]
    names = names or [name for name in splits if split and name.endswith(f"_{split}")]
    if len(names) != 1:
        listed = ", ".join(map(shown, splits))[:150]
        raise DataError(f"{annotations}: split must be one of {listed}, got {split!r:.80}")
    members = splits[names[0]]
    if not pyskl.is_list(members):
        raise DataError(
            f"{annotations}: split {names[0]!r:.80} must be a list of ids, found {shown(members)}"
        )
    return ids[np.isin(ids, [str(id) for id in members])]


def _columns(path: Path, names: Sequence[str], classes: Sequence[str], report: Report) -> list[int]:
    """The column of each class in a file that names or numbers its columns."""
    order = _order(path, names, classes)
    if order is None:
        columns, plain = [_plain(name) for name in names], [_plain(name) for name in classes]
        faults = [f"{shown(name)} is missing" for name in classes if _plain(name) not in columns]
        faults += [f"{shown(name)} is not one of them" for name in names if _plain(name) not in plain]
        faults += ["one is there twice"]
        raise DataError(
            f"{path}: its {len(names)} classes must be the {len(classes)} of the data: {faults[0]}; "
            f"name the columns as the classes, or number them 0 to {len(classes) - 1}"
        )
    if order != list(range(len(classes))):
        report.note("columns reordered by class", path.name)
    return order


def _order(path: Path, names: Sequence[str], classes: Sequence[str]) -> list[int] | None:
    """The column of each class where the names are those of the classes, or their indices from 0, all after
    the same word, such as ``class_0``; else None. Raises DataError where they are both, in other orders."""
    orders, columns = [], [_plain(name) for name in names]
    plain = [_plain(name) for name in classes]
    if sorted(columns) == sorted(plain) and len(set(plain)) == len(plain):
        orders.append([columns.index(name) for name in plain])
    numbered = [re.fullmatch(r"(\D*?) ?([0-9]{1,4})", name) for name in columns]
    indices = [int(match[2]) if match else UNKNOWN for match in numbered]
    same_word = len({match and match[1] for match in numbered}) == 1
    if same_word and sorted(indices) == list(range(len(classes))):
        orders.append([indices.index(label) for label in range(len(classes))])
    if any(order != orders[0] for order in orders):
        raise DataError(f"{path}: its columns are names or indices of classes, in other orders; write names")
    return orders[0] if orders else None


def _plain(name: str) -> str:
    """A class name without case, underscores and hyphens, which toolboxes write differently."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _probabilities(
    path: Path, scores: np.ndarray, ids: np.ndarray, normalise: str, report: Report
) -> np.ndarray:
    """The scores as probabilities (N, K): rows of 0 or more that sum to 1."""
    sums = scores.sum(1, keepdims=True)
    distances = np.where((scores >= 0).all(1), np.abs(sums[:, 0] - 1), np.inf)
    if (distances < SUM_TOLERANCE).all():
        return scores
    if (distances < ROUNDED_SUM_TOLERANCE).all():
        report.note("rounded probabilities divided by their sum", path.name)
        return scores / sums
    if normalise == "softmax":
        from scipy.special import softmax

        report.note("scores converted to probabilities by softmax", path.name)
        return softmax(scores, axis=1)
    row = int(distances.argmax())
    bounds = f"between {scores[row].min():g} and {scores[row].max():g} and sum to {sums[row, 0]:g}"
    example = f"those of clip {shown(str(ids[row]))} are {bounds}"
    if not normalise:
        way_out = "'softmax' for logits or log-probabilities, 'divide' for other scores of 0 or more"
        raise DataError(
            f"{path}: scores of a clip must be 0 or more and sum to 1, {example}; give `normalise`: {way_out}"
        )
    if (scores < 0).any() or not (sums > 0).all():
        rule = "only scores of 0 or more, not all 0, can be divided by their sum"
        raise DataError(f"{path}: {rule}, {example}; for logits give `normalise`: 'softmax'")
    report.note("scores divided by their sum", path.name)
    return scores / sums
