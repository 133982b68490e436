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
from .contract import DataError, Report, shown

MISSING = (
    "",
    "-",
    "--",
    "?",
    "NA",
    "na",
    "N/A",
    "n/a",
    "#N/A",
    "<NA>",
    "NaN",
    "nan",
    "NAN",
    "NULL",
    "null",
    "Null",
    "None",
    "none",
)
"""Cells of a joint without a value."""
MOST_ROWS_ABOVE = 12
"""Rows in which titles and headers are looked for."""
FROM_1 = (
    "frame index begins with 1, which was taken as the first frame; if these videos are numbered from 0, their first row is lost and all "
    "other frames are one too early: restore it"
)
SURE = 8
"""Rows from which a column that counts cannot be a coordinate."""


class Joint(NamedTuple):
    """The numbers of a joint in a row: how many, what they are, and at which of them a pair of pixels (x, y)
    begins."""

    numbers: int
    what: str
    pixels: tuple[int, ...]


OPENPOSE = (Joint(3, "x, y, score", (0,)),)


def read(
    path: Path, joints: int, report: Report, kinds: Sequence[Joint] = OPENPOSE
) -> Float[np.ndarray, "T V C"]:
    """All frames of one file, NaN where a cell is empty.

    Args:
        kinds: the numbers that a joint of the file may have, the most first.

    Raises:
        DataError: the file is no such table, or its rows can be read in two ways.
    """
    numbers, above, blank_lines = {".npy": _npy, ".csv": _csv, ".xlsx": _xlsx}[path.suffix](path, report)
    if not len(numbers):
        raise DataError(f"{path}: no frames in it; restore the file from the release, or remove its folder")
    kind = next((kind for kind in kinds if kind.numbers * joints <= numbers.shape[1]), kinds[-1])
    wanted, filled = kind.numbers * joints, ~np.isnan(numbers)
    indices = 0
    while indices < min(numbers.shape[1] - wanted, 2) and _counts(numbers[:, indices]):
        indices += 1
    surplus = filled[:, indices + wanted :]
    if not indices and len(numbers) >= SURE and numbers.shape[1] == wanted and _counts(numbers[:, 0]):
        raise DataError(
            f"{path}: its first column counts the frames, so a column of the {joints} joints is missing; restore the file"
        )
    if (
        numbers.shape[1] < wanted
        or surplus.any()
        or (indices == 2 and not np.array_equal(numbers[:, 0], numbers[:, 1], equal_nan=True))
    ):
        expected = " or ".join(
            f"{count * joints} columns ({joints} joints × {what})" for count, what, _ in kinds
        )
        more = " or ".join(str(count * joints + 1) for count, _, _ in kinds)
        raise DataError(
            f"{path}: expected {expected}, or {more} with a first one that counts the frames, "
            f"found {numbers.shape[1]}; separate the cells by commas and delete the surplus columns"
        )
    frames = numbers[:, indices : indices + wanted].reshape(len(numbers), joints, kind.numbers)
    if not np.isfinite(frames).all(-1).any():
        raise DataError(
            f"{path}: every joint of every frame is empty or not finite; restore the file from the release"
        )
    _refuse_shifted(path, frames, kind)
    if above:
        report.note("title or header rows left out", f"{path.name} ({above})")
    if surplus.size:
        report.note("empty columns at the end left out", f"{path.name} ({surplus.shape[1]})")
    if indices:
        return _by_index(path, numbers[:, 0], frames, report)
    if blank_lines:
        raise DataError(
            f"{path}: has {blank_lines} blank lines between its rows, and no frame index; delete them, "
            "or write a frame without a person as zeros"
        )
    return _by_row(path, frames, above > 0, report)


def _refuse_shifted(path: Path, values: np.ndarray, kind: Joint) -> None:
    """Raise DataError if joints (T, V, C) are shifted against their columns, or the first frame became a
    header."""
    empty = np.isnan(values).all(0)
    if (half := empty.any(1) & ~empty.all(1)).any():
        raise DataError(
            f"{path}: joint {int(half.argmax())} has an empty column beside a filled one, so columns are missing or shifted; "
            "restore the file"
        )
    reach = np.concatenate([values[..., first : first + 2].max(-1) for first in kind.pixels], 1)
    in_first_pixel = np.asarray(((reach > 0) & (reach < 1)).any(1))
    if in_first_pixel[0] and len(values) > 1 and not in_first_pixel[1:].any():
        raise DataError(
            f"{path}: a joint lies between 0 and 1 pixel in the first row only; pandas writes such numbers when it took the first frame "
            "for a header: restore the file, and read it with header=None"
        )


def _by_index(path: Path, index: np.ndarray, values: np.ndarray, report: Report) -> np.ndarray:
    """Each row at the frame of its index; frames without a row are zeros."""
    empty = np.isnan(index) & np.isnan(values).all((1, 2))
    if empty.any():
        report.note("empty rows without a frame index left out", f"{path.name} ({np.count_nonzero(empty)})")
        index, values = index[~empty], values[~empty]
    if np.isnan(index).any():
        raise DataError(
            f"{path}: row {int(np.isnan(index).argmax())} has joints and no frame index; complete the first column or remove it"
        )
    if np.array_equal(index, np.arange(len(index))):
        return values
    if (first := int(index.min())) == 1:
        report.note(FROM_1, path.name)
    index = index.astype(int) - (first == 1)
    if (np.diff(index) < 0).any():
        report.note("rows put into the order of their frame index", path.name)
        order = np.argsort(index, kind="stable")
        index, values = index[order], values[order]
    if again := (np.flatnonzero(np.diff(index) == 0) + 1).tolist():
        for row in again:
            if not np.array_equal(values[row], values[row - 1], equal_nan=True):
                raise DataError(
                    f"{path}: frame index {index[row] + (first == 1)} is there twice, with different joints; delete one of the rows"
                )
        report.note("rows of a frame that was there before left out", f"{path.name} ({len(again)})")
    frames = np.zeros((index[-1] + 1, *values.shape[1:]))
    frames[index] = values
    if lost := len(frames) - len(values) + len(again):
        report.note(
            "frames that the index has no row for: all joints missing",
            f"{path.name} ({lost} of {len(frames)})",
        )
    return frames


def _by_row(path: Path, values: np.ndarray, has_header: bool, report: Report) -> np.ndarray:
    """Each row at its place; an empty row is a frame without a person, except at the end."""
    empty = np.isnan(values).all((1, 2))
    frames = int(np.flatnonzero(~empty)[-1]) + 1
    if frames < len(values):
        report.note("empty rows at the end left out", f"{path.name} ({len(values) - frames})")
    if has_header and empty[0]:
        raise DataError(
            f"{path}: the row below the header is empty; delete it, or write a frame without a person as zeros"
        )
    if lost := np.count_nonzero(empty[:frames]):
        report.note("empty rows taken as frames without a person", f"{path.name} ({lost} of {frames})")
    return values[:frames]


def _counts(column: np.ndarray) -> bool:
    """Whether a column numbers frames: whole numbers, at least half of them different, the largest not far
    beyond their count."""
    numbers = column[~np.isnan(column)]
    if (
        not len(numbers)
        or (numbers != np.round(numbers)).any()
        or numbers.min() < 0
        or numbers.max() > 2 * len(numbers)
    ):
        return False
    return len(np.unique(numbers)) * 2 >= len(numbers)


def _rows_above(rows: Iterable[Sequence[Any]]) -> int:
    """How many of the first rows are titles or a header: rows with text and no number, or rows that number
    the columns."""
    above = 0
    for row, cells in enumerate(rows, 1):
        numbers = pd.to_numeric(pd.Series(list(cells), dtype=object), errors="coerce").to_numpy(dtype=float)
        columns = numbers[2:][~np.isnan(numbers[2:])]
        numbered = len(columns) > 3 and (columns == np.round(columns)).all() and (np.diff(columns) == 1).all()
        if numbered or (np.isnan(numbers).all() and not all(map(_is_missing, cells))):
            above = row
        elif not np.isnan(numbers).all():
            return above
    return 0


def _is_missing(cell: object) -> bool:
    return isinstance(cell, str) and cell.strip() in MISSING


def _numbers(path: Path, cells: np.ndarray, above: int) -> np.ndarray:
    """Cells of text or numbers, (rows, columns) objects, as float64. Raises DataError for one that is neither
    a number nor missing."""
    numbers = (
        pd.to_numeric(pd.Series(cells.ravel(), dtype=object), errors="coerce")
        .to_numpy(dtype=np.float64)
        .reshape(cells.shape)
    )
    holes = np.isnan(numbers)
    if wrong := [cell for cell in pd.unique(cells[holes]) if not _is_missing(cell)]:
        row, column = next(
            (row, column) for row, column in np.argwhere(holes) if cells[row, column] == wrong[0]
        )
        raise DataError(
            f"{path}: line {above + row + 1}, column {column + 1} holds {shown(wrong[0])}; expected a number: "
            "correct the cell, leave it empty for a missing joint, or delete a title; separate cells by commas"
        )
    return numbers


def _csv(path: Path, report: Report) -> tuple[np.ndarray, int, int]:
    """The numbers below the header, the number of lines above them, and the number of blank lines among
    them."""
    content, widths = untrusted.table(path)
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8", errors="replace", newline="")
    above = _rows_above(itertools.islice(csv.reader(text, skipinitialspace=True), MOST_ROWS_ABOVE))
    untrusted.even(path, widths, above)
    if not (columns := max(widths[above:], default=0)):
        raise DataError(f"{path}: the file is empty; restore it from the release, or remove its folder")
    columns_of = {"header": None, "names": range(columns), "index_col": False, "keep_default_na": False}
    lines_of = {"skiprows": above, "skip_blank_lines": False, "nrows": len(widths) - above}
    reading = partial(pd.read_csv, **columns_of, **lines_of)
    try:
        numbers = reading(io.BytesIO(content), dtype=np.float64, na_values=[*MISSING, " "]).to_numpy()
    except ValueError:  # some cell is no number; this is slow, and finds it
        try:
            parts = reading(io.BytesIO(content), dtype=str, encoding_errors="replace", chunksize=1000)
            numbers = np.concatenate(
                [_numbers(path, part.to_numpy(dtype=object), above + part.index[0]) for part in parts]
            )
        except pd.errors.ParserError as error:
            raise DataError(
                f"{path}: not a csv table ({' '.join(str(error).split())}); save it again"
            ) from None
    return numbers, above, widths[above:].count(0)


def _npy(path: Path, report: Report) -> tuple[np.ndarray, int, int]:
    """As ``_csv``, for an array (T, 3·V), with or without an index, or (T, V, 3)."""
    frames = untrusted.array(path)
    if frames.ndim not in (2, 3) or not frames.size or (frames.ndim == 3 and frames.shape[2] != 3):
        raise DataError(
            f"{path}: expected an array (frames, 3 × joints) or (frames, joints, 3), found shape {frames.shape}"
        )
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
        report.note(
            "workbooks with several sheets: the first one was read",
            f"{path.name} ({shown(workbook.sheet_names[0])})",
        )
    above = _rows_above(rows[:MOST_ROWS_ABOVE])
    return _numbers(path, np.array(rows[above:], dtype=object), above), above, 0
