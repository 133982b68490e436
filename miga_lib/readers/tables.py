"""Tables of keypoints with a row for each frame: csv, xlsx and npy files, read by the same rules.

Around the frames there may be title and header rows, a frame index in the first column, and empty columns at
the end. The index decides which frame a row is. Whatever is left out, moved or filled in is reported; a table
that can be read in two ways is refused.
"""

import csv
import io
import itertools
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from . import untrusted
from .contract import DataError, Report, reason, shown

MISSING = ("", *"- -- ? NA na N/A n/a #N/A <NA> NaN nan NAN NULL null Null None none".split())
"""Cells of a joint without a value."""
TRUTHS = (b"True", b"TRUE", b"true", b"False", b"FALSE", b"false")
MAX_ROWS_ABOVE = 12
"""Rows in which titles and headers are looked for."""
FROM_1 = (
    "frame index begins with 1, which was taken as the first frame; if these videos are numbered from 0, "
    "their first row is lost and all other frames are one too early: restore it"
)
MIN_SURE_ROWS = 8
"""Rows from which a column that counts cannot be a coordinate."""


class Joint(NamedTuple):
    """The numbers of a joint in a row."""

    numbers: int
    meaning: str
    pixels: tuple[int, ...]
    """Where a pair of pixels (x, y) begins."""


OPENPOSE = (Joint(3, "x, y, score", (0,)),)


def read(
    path: Path, joints: int, report: Report, kinds: Sequence[Joint] = OPENPOSE
) -> Float[np.ndarray, "T V C"]:
    """All frames of one file, NaN where a cell is empty. A joint has the numbers of one of the ``kinds``, the
    longest first. Raises DataError where the file is no such table, or can be read in two ways."""
    numbers, above, blank_lines = {".npy": _npy, ".csv": _csv, ".xlsx": _xlsx}[path.suffix](path, report)
    if not numbers.size:
        raise DataError(f"{path}: no frames in it; restore the file from the release, or remove its folder")
    rows, columns = numbers.shape
    kind = next((kind for kind in kinds if kind.numbers * joints <= columns), kinds[-1])
    needed = kind.numbers * joints
    indices = 0
    while indices < min(columns - needed, 2) and _counts(numbers[:, indices]):
        indices += 1
    if not indices and rows >= MIN_SURE_ROWS and columns == needed and _counts(numbers[:, 0]):
        problem = f"its first column counts the frames, so a column of the {joints} joints is missing"
        raise DataError(f"{path}: {problem}; restore the file")
    surplus = numbers[:, indices + needed :]
    unequal = indices == 2 and not np.array_equal(numbers[:, 0], numbers[:, 1], equal_nan=True)
    if columns < needed or unequal or not np.isnan(surplus).all():
        expected = " or ".join(f"{k.numbers * joints} columns ({joints} joints × {k.meaning})" for k in kinds)
        indexed = " or ".join(str(k.numbers * joints + 1) for k in kinds)
        expected += f", or {indexed} with a first one that counts the frames"
        way_out = "separate the cells by commas and delete the surplus columns"
        raise DataError(f"{path}: expected {expected}, found {columns}; {way_out}")
    frames = numbers[:, indices : indices + needed].reshape(rows, joints, kind.numbers)
    if not np.isfinite(frames).all(-1).any():
        problem = "every joint of every frame is empty or not finite"
        raise DataError(f"{path}: {problem}; restore the file from the release")
    _refuse_shifted(path, frames, kind)
    report.count("title or header rows left out", path.name, above)
    report.count("empty columns at the end left out", path.name, surplus.shape[1])
    if indices:
        return _by_index(path, numbers[:, 0], frames, report)
    if blank_lines:
        problem = f"has {blank_lines} blank lines between its rows, and no frame index"
        raise DataError(f"{path}: {problem}; delete them, or write a frame without a person as zeros")
    return _by_row(path, frames, above > 0, report)


def _refuse_shifted(path: Path, frames: np.ndarray, kind: Joint) -> None:
    """Raise DataError if joints (T, V, C) are shifted against their columns, or the first frame became a
    header."""
    empty = np.isnan(frames).all(0)
    for joint in np.flatnonzero(empty.any(1) & ~empty.all(1)):
        problem = f"joint {joint} has an empty column beside a filled one"
        raise DataError(f"{path}: {problem}, so columns are missing or shifted; restore the file")
    reach = np.concatenate([frames[..., first : first + 2].max(-1) for first in kind.pixels], 1)
    in_first_pixel = np.asarray(((reach > 0) & (reach < 1)).any(1))
    if in_first_pixel[0] and len(frames) > 1 and not in_first_pixel[1:].any():
        problem = "a joint lies between 0 and 1 pixel in the first row only"
        cause = "pandas writes such numbers when it took the first frame for a header"
        raise DataError(f"{path}: {problem}; {cause}: restore the file, and read it with header=None")


def _by_index(path: Path, index: np.ndarray, values: np.ndarray, report: Report) -> np.ndarray:
    """Each row at the frame of its index; frames without a row are zeros."""
    empty = np.isnan(index) & np.isnan(values).all((1, 2))
    report.count("empty rows without a frame index left out", path.name, np.count_nonzero(empty))
    index, values = index[~empty], values[~empty]
    if np.isnan(index).any():
        problem = f"row {np.isnan(index).argmax()} has joints and no frame index"
        raise DataError(f"{path}: {problem}; complete the first column or remove it")
    if np.array_equal(index, np.arange(len(index))):
        return values
    first = int(index.min() == 1)
    if first == 1:
        report.note(FROM_1, path.name)
    index = index.astype(int) - first
    if (np.diff(index) < 0).any():
        report.note("rows put into the order of their frame index", path.name)
        order = np.argsort(index, kind="stable")
        index, values = index[order], values[order]
    again = (np.flatnonzero(np.diff(index) == 0) + 1).tolist()
    for row in again:
        if not np.array_equal(values[row], values[row - 1], equal_nan=True):
            problem = f"frame index {index[row] + first} is there twice, with different joints"
            raise DataError(f"{path}: {problem}; delete one of the rows")
    report.count("rows of a frame that was there before left out", path.name, len(again))
    frames = np.zeros((index[-1] + 1, *values.shape[1:]))
    frames[index] = values
    lost = len(frames) - len(values) + len(again)
    event = "frames that the index has no row for: all joints missing"
    report.count(event, path.name, lost, len(frames))
    return frames


def _by_row(path: Path, values: np.ndarray, has_header: bool, report: Report) -> np.ndarray:
    """Each row at its place; an empty row is a frame without a person, except at the end."""
    empty = np.isnan(values).all((1, 2))
    frames = int(np.flatnonzero(~empty)[-1]) + 1
    report.count("empty rows at the end left out", path.name, len(values) - frames)
    if has_header and empty[0]:
        way_out = "delete it, or write a frame without a person as zeros"
        raise DataError(f"{path}: the row below the header is empty; {way_out}")
    lost = np.count_nonzero(empty[:frames])
    report.count("empty rows taken as frames without a person", path.name, lost, frames)
    return values[:frames]


def _counts(column: np.ndarray) -> bool:
    """Whether a column numbers frames: whole numbers, at least half of them different, the largest not far
    beyond their count."""
    numbers = column[~np.isnan(column)]
    if not len(numbers) or (numbers != np.round(numbers)).any():
        return False
    in_range = numbers.min() >= 0 and numbers.max() <= 2 * len(numbers)
    return bool(in_range) and len(np.unique(numbers)) * 2 >= len(numbers)


def _rows_above(rows: Iterable[Sequence[Any]]) -> int:
    """How many of the first rows are titles or a header: rows with text and no number, or rows that number
    the columns."""
    above = 0
    for row, cells in enumerate(rows, 1):
        numbers = _to_numbers(np.array(cells, dtype=object))
        columns = numbers[2:][~np.isnan(numbers[2:])]
        numbered = len(columns) > 3 and (columns == np.round(columns)).all() and (np.diff(columns) == 1).all()
        if numbered or (np.isnan(numbers).all() and not all(map(_is_missing, cells))):
            above = row
        elif not np.isnan(numbers).all():
            return above
    return 0


def _is_missing(cell: object) -> bool:
    return isinstance(cell, str) and cell.strip() in MISSING


def _to_numbers(cells: np.ndarray) -> np.ndarray:
    """Cells of text or numbers as float64; NaN for what is no number, such as TRUE."""
    numbers = pd.to_numeric(pd.Series(cells.ravel(), dtype=object), errors="coerce")
    values = numbers.to_numpy(dtype=np.float64).reshape(cells.shape)
    return np.where(untrusted.truths(cells, values), np.nan, values)


def _numbers(path: Path, cells: np.ndarray, above: int) -> np.ndarray:
    """Cells (rows, columns) as float64. Raises DataError for one that is neither a number nor missing."""
    numbers = _to_numbers(cells)
    holes = np.isnan(numbers)
    if not all(map(_is_missing, pd.unique(cells[holes]))):
        row, column = next(place for place in np.argwhere(holes) if not _is_missing(cells[tuple(place)]))
        problem = f"line {above + row + 1}, column {column + 1} holds {shown(cells[row, column])}"
        way_out = "correct the cell, leave it empty for a missing joint, or delete a title"
        raise DataError(f"{path}: {problem}; expected a number: {way_out}; separate cells by commas")
    return numbers


def _csv(path: Path, report: Report) -> tuple[np.ndarray, int, int]:
    """The numbers below the header, the number of lines above them, and the number of blank lines among
    them."""
    content, widths = untrusted.table(path)
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8", errors="replace", newline="")
    above = _rows_above(itertools.islice(csv.reader(text, skipinitialspace=True), MAX_ROWS_ABOVE))
    untrusted.even(path, widths, above)
    columns = max(widths[above:], default=0)
    if not columns:
        raise DataError(f"{path}: the file is empty; restore it from the release, or remove its folder")
    names: dict[str, Any] = {"header": None, "names": range(columns), "index_col": False}
    rows = {"skiprows": above, "skip_blank_lines": False, "nrows": len(widths) - above}
    parse = partial(pd.read_csv, **names, **rows, keep_default_na=False)
    try:
        if any(word in content for word in TRUTHS):  # pandas takes a column of them for 1 and 0
            raise ValueError
        numbers = parse(io.BytesIO(content), dtype=np.float64, na_values=[*MISSING, " "]).to_numpy()
    except ValueError:  # some cell is no number; this is slow, and finds it
        try:
            parts = parse(io.BytesIO(content), dtype=str, encoding_errors="replace", chunksize=1000)
            cells = ((part.to_numpy(dtype=object), above + part.index[0]) for part in parts)
            numbers = np.concatenate([_numbers(path, part, first) for part, first in cells])
        except pd.errors.ParserError as error:
            raise DataError(f"{path}: not a csv table ({reason(error)}); save it again") from None
    return numbers, above, widths[above:].count(0)


def _npy(path: Path, report: Report) -> tuple[np.ndarray, int, int]:
    """As ``_csv``, for an array (T, 3·V), with or without an index, or (T, V, 3)."""
    frames = untrusted.array(path)
    if frames.ndim not in (2, 3) or not frames.size or (frames.ndim == 3 and frames.shape[2] != 3):
        expected = "expected an array (frames, 3 × joints) or (frames, joints, 3)"
        raise DataError(f"{path}: {expected}, found shape {frames.shape}")
    return frames.reshape(len(frames), -1), 0, 0


def _xlsx(path: Path, report: Report) -> tuple[np.ndarray, int, int]:
    """As ``_csv``, for the first sheet of a workbook."""
    import python_calamine

    untrusted.workbook(path)
    try:
        workbook = python_calamine.CalamineWorkbook.from_path(path)
        # With the empty rows at the top, which can be frames.
        rows = workbook.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, ValueError, IndexError) as error:
        raise DataError(f"{path}: not a workbook with a sheet of numbers ({error}); save it again") from None
    if len(workbook.sheet_names) > 1:
        first = f"{path.name} ({shown(workbook.sheet_names[0])})"
        report.note("workbooks with several sheets: the first one was read", first)
    above = _rows_above(rows[:MAX_ROWS_ABOVE])
    return _numbers(path, np.array(rows[above:], dtype=object), above), above, 0
