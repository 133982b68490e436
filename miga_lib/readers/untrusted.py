"""Limits for untrusted files: none may write outside its folder, or take far more memory or time than its
size justifies.

What a file claims is checked against its bytes before memory is allocated. The limits are far above what a
real recording needs. Pickles have their own module, ``unpickling``.
"""

import codecs
import csv
import io
import json
import math
import re
import shutil
import stat
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pandas as pd

from ..atomic import NO_ROOM
from .contract import DataError, shown

MB, GB = 10**6, 10**9
LARGEST = {".json": 8 * MB, ".csv": GB, ".xlsx": GB}
"""Bytes of one file, by suffix."""
LARGEST_LABELS = 8 * MB
LONGEST_LINE, MOST_LINES, MOST_CELLS_OF_A_LINE = 2**16, 10**6, 2000
"""Limits of a table in text: bytes of a line, number of lines, and cells of a line."""
RATIO, UNSUSPICIOUS, UNSUSPICIOUS_WORKBOOK = 100, 64 * MB, 8 * MB
"""Archives may unpack to ``RATIO`` times their size; below so many bytes the ratio does not matter."""
UNZIPPING = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
)
"""The exceptions that a broken zip file can raise."""

LARGEST_SIDE = 2**15
"""Pixels of the width or height of a frame."""
MOST_COVERED, UNSUSPICIOUS_FRAMES = 100, 10_000
MOST_COLUMNS = 412
CELL = 8
"""Least bytes per cell of a workbook's sheet; a usual cell has 25 or more."""

_CELL_AT = r"""\sr\s*=\s*["']"""
BEYOND_SHEET = re.compile(
    rf"{_CELL_AT}(?:[A-Z]{{3,}}\d|[P-Z][A-Z]\d|O[W-Z]\d|[A-Z]*\d{{6}})".encode(), re.IGNORECASE
)
"""A cell beyond column OV (412) or row 99,999: the parser allocates the whole rectangle up to the last cell,
even if it is empty."""
HIGH_ROW = re.compile(rf"{_CELL_AT}[A-Z]*(\d{{5}})\b".encode(), re.IGNORECASE)
FAR = re.compile(rf"{_CELL_AT}(?:[A-Z]{{3}}|[P-Z][A-Z]\d|O[W-Z]\d|[A-Z]*\d{{5}})".encode(), re.IGNORECASE)
"""Either ``BEYOND_SHEET`` or ``HIGH_ROW``."""
SHARED_STRING = re.compile(rb"""\bt\s*=\s*["']s["']""")


def size(path: Path, largest: int = 0) -> int:
    """Bytes of a file. Raises DataError if it is no file, or larger than ``largest`` bytes (0: the limit of
    its suffix)."""
    largest = largest or LARGEST[path.suffix.lower()]
    try:
        about = path.stat()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); give the path of an existing file, and allow reading it"
        ) from None
    if not stat.S_ISREG(about.st_mode):
        raise DataError(f"{path}: is not a file; remove it")
    if about.st_size > largest:
        raise DataError(
            f"{path}: has {about.st_size:,} bytes, at most {largest:,} are read; split it or remove it"
        )
    return about.st_size


def array(path: Path) -> np.ndarray:
    """The numbers of a ``.npy`` file, memory-mapped. Raises DataError if it holds objects or fewer bytes than
    it claims."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers that Python 2 wrote
            numbers = np.lib.format.open_memmap(path, mode="r")  # reads neither pickles nor archives
        if numbers.dtype.kind not in "fiub":
            raise ValueError(f"it holds {numbers.dtype}")
        return numbers
    except Exception as error:  # numpy parses the header as Python literals, which can fail in any way
        text = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: not a complete numpy array of numbers ({text or type(error).__name__}); save it again"
        ) from None


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file by name; each holds numbers or text.

    Raises:
        DataError: the file is missing, encrypted or damaged, unpacks to far more than its size, or has an
            array of another type.
    """
    size(path, GB)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_claims(path, archive, UNSUSPICIOUS)
            # never reads more of a member than it claims
            return {
                one.filename.removesuffix(".npy"): _array(archive.open(one.filename).read(one.file_size))
                for one in archive.infolist()
            }
    except DataError:
        raise
    except Exception as error:  # as in `array`, and what a broken zip file raises
        text = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: not an npz file of complete arrays of numbers or text ({text or type(error).__name__})"
        ) from None


def _array(content: bytes) -> np.ndarray:
    """The array of a ``.npy`` file. What its header claims is compared with its bytes before the array is
    allocated."""
    file, headers = (
        io.BytesIO(content),
        {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0},
    )
    shape, _, kind = headers[np.lib.format.read_magic(file)](file)
    if kind.kind not in "fiubU" or not kind.itemsize:
        raise ValueError(f"an array holds {kind}")
    if (claimed := math.prod(shape) * kind.itemsize) != (held := len(content) - file.tell()):
        raise ValueError(f"an array of shape {shape} claims {claimed:,} bytes and has {held:,}")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def unpacked(path: Path) -> None:
    """Check that a file, if it is a zip file, unpacks to memory proportional to its size. Raises DataError if
    not."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_claims(path, archive, UNSUSPICIOUS)


def table(path: Path, largest: int = 0) -> tuple[bytes, list[int]]:
    """The content of a ``.csv`` file without its byte order mark, and the cells of each line (0: blank) up to
    the last that has any.

    Raises:
        DataError: a file that is too large or not UTF-8, or too many lines, or a line of too many bytes or
            cells.
    """
    size(path, largest)
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if b"\0" in content or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(
            f"{path}: is not text in UTF-8; save it again as csv with this encoding (in spreadsheets: CSV UTF-8)"
        )
    if content.count(b"\n") > MOST_LINES or (b"\r" in content and content.count(b"\r") > MOST_LINES):
        raise DataError(f"{path}: has more than {MOST_LINES:,} lines; split it or remove it")
    lines = content.splitlines()
    if (longest := max(map(len, lines), default=0)) > LONGEST_LINE:
        raise DataError(
            f"{path}: has a line of {longest:,} bytes, at most {LONGEST_LINE:,} are read; write a line for each row"
        )
    cells = [line.count(b",") + 1 if line else 0 for line in lines]
    try:
        if b'"' in content:
            cells = [
                len(row)
                for row in csv.reader(
                    io.TextIOWrapper(io.BytesIO(content), "utf-8", newline=""), skipinitialspace=True
                )
            ]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not a csv file in UTF-8 ({error}); save it again as one") from None
    if (most := max(cells, default=0)) > MOST_CELLS_OF_A_LINE:
        raise DataError(
            f"{path}: has a line of {most:,} cells, at most {MOST_CELLS_OF_A_LINE:,} are read; remove the surplus columns"
        )
    while cells and not cells[-1]:
        cells.pop()
    return content, cells


def even(path: Path, cells: Sequence[int], above: int = 0) -> None:
    """Check that all lines below the first ``above`` have the same number of cells, blank lines apart. Raises
    DataError."""
    if len(set(cells[above:]) - {0}) > 1:
        widths = [(line, width) for line, width in enumerate(cells[above:], above + 1) if width]
        first, expected = widths[0]
        line, width = next((line, width) for line, width in widths if width != expected)
        raise DataError(
            f"{path}: line {line} has {width} cells and line {first} has {expected}; "
            "all rows need the same number: restore the file, or delete what is no row (a title, a note, a torn line)"
        )


def rows(path: Path, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A small table of labels, every cell as text without the spaces around it, an empty one as empty text.

    Args:
        columns: {name that a header may use: name of the column}, in the order of the columns in a file
            without a header. A first line is a header only if all of its cells are among these names. None:
            the first line is the header.

    Raises:
        DataError: the file is missing, too large, or no such table.
    """
    content, cells = table(path, LARGEST_LABELS)
    even(path, cells)
    if 0 in cells:
        raise DataError(
            f"{path}: line {cells.index(0) + 1} is blank; complete it if a row is missing, or delete it"
        )
    names = list(dict.fromkeys(columns.values())) if columns else []
    expected = (
        f"{path}: expected a table with the columns {','.join(names)}"
        if names
        else f"{path}: expected a table with a header"
    )
    try:
        text = pd.read_csv(
            io.BytesIO(content), header=None, dtype=str, keep_default_na=False, skipinitialspace=True
        )
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=names)
    except ValueError as error:  # also ParserError and UnicodeDecodeError
        raise DataError(
            f"{expected}, in UTF-8 ({' '.join(str(error).split())[:100]}); save it again as csv"
        ) from None
    text = text.apply(lambda column: column.str.strip())
    header = text.iloc[0].tolist()
    if columns and {name.lower() for name in header} <= set(columns):
        header = [columns[name.lower()] for name in header]
    elif columns and len(header) == len(names):
        if header in ([str(column + first) for column in range(len(names))] for first in (0, 1)):
            raise DataError(
                f"{path}: row 0 is {','.join(header)}, as programs number columns; delete it, or, if it is a row of the table, "
                f"write {','.join(names)} above it"
            )
        return text.set_axis(names, axis=1)
    if len(set(header)) < len(header) or set(names) - set(header):
        raise DataError(
            f"{expected}, each once, found {shown(','.join(header))}; separate cells by commas and delete surplus columns"
        )
    return text.iloc[1:].set_axis(header, axis=1).reset_index(drop=True)


def coverage(segments: Iterable[tuple[int, int]], frames: int, video: str) -> None:
    """Check that the clips (first and last frame) of a video together are not many times longer than the
    video; some may overlap.

    Raises:
        DataError: they are; a few bytes of a table could ask for the whole video many times.
    """
    total = sum(max(min(end, frames - 1) - max(start, 0), 0) + 1 for start, end in segments)
    if total > MOST_COVERED * frames + UNSUSPICIOUS_FRAMES:
        raise DataError(
            f"{video}: its clips have {total:,} frames together, the video has {frames:,}; correct the table of segments"
        )


def document(path: Path, largest: int = 0) -> Any:
    """The content of a ``.json`` file. Raises DataError if it is larger than ``largest`` bytes (0: the limit
    of json) or not json."""
    size(path, largest)
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:  # also UnicodeDecodeError
        raise DataError(
            f"{path}: not a json file ({' '.join(str(error).split())[:200]}); write it again or remove it"
        ) from None


def workbook(path: Path) -> None:
    """Check that an ``.xlsx`` file can be parsed in memory proportional to its size.

    Raises:
        DataError: it unpacks to far more than its size, claims a sheet far larger than its content, or
            repeats long texts.
    """
    size(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_claims(path, archive, UNSUSPICIOUS_WORKBOOK)
            _check_cells(path, archive)
    except UNZIPPING as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path}: not an xlsx workbook ({' '.join(str(error).split())[:200] or type(error).__name__}); save it again"
        ) from None


def _check_cells(path: Path, archive: zipfile.ZipFile) -> None:
    """Unpack a workbook once, piece by piece, and check how much memory its parser would need."""
    strings = repeats = 0
    shared = any("sharedstrings" in name.lower() for name in archive.namelist())
    for member in archive.infolist():
        unpacked, last_row, beyond, is_sheet, tail = 0, 0, None, False, b""
        claimed, member.file_size = member.file_size, 2**62  # read to the true end, as the parser will
        with archive.open(member) as file:
            while part := file.read(MB):
                unpacked += len(part)
                if unpacked > claimed:
                    raise DataError(
                        f"{path}: {member.filename} unpacks to more than the {claimed:,} bytes that it claims"
                    )
                text, tail = tail + part, part[-32:]
                is_sheet = (
                    is_sheet or b"sheetData" in text
                )  # other members have such attributes too, of another meaning
                if FAR.search(text):
                    beyond = beyond or BEYOND_SHEET.search(text)
                    last_row = max(last_row, *map(int, HIGH_ROW.findall(text)), 0)
                repeats += len(SHARED_STRING.findall(part)) if shared else 0
        if is_sheet and beyond:
            cell = beyond[0].decode("ascii").partition("=")[2].strip(" \"'")
            raise DataError(
                f"{path}: has a cell at {cell}…; up to column OV and row 99999 are read: delete the rest"
            )
        if is_sheet and last_row * MOST_COLUMNS > max(unpacked / CELL, MB):
            raise DataError(
                f"{path}: {member.filename} claims {last_row:,} rows in {unpacked:,} bytes: delete its far cells"
            )
        strings += unpacked if "sharedstrings" in member.filename.lower() else 0
    if strings * repeats > GB:
        raise DataError(f"{path}: holds {repeats:,} cells of long text; store keypoints as numbers")


def unpack(path: Path, folder: Path) -> None:
    """Unpack a zip file to a new folder. What was unpacked before an error stays there: the caller removes
    it.

    Raises:
        DataError: a member that leads out of the folder or is a link, a size far beyond that of the archive,
            or a broken archive.
        OSError: the disk is full.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_claims(path, archive, UNSUSPICIOUS)
            for member in archive.infolist():
                _check_place(path, member)
            folder.mkdir(parents=True)
            needed, free = (
                sum(member.file_size for member in archive.infolist()),
                shutil.disk_usage(folder).free,
            )
            if needed > free:
                raise DataError(
                    f"{path}: unpacks to {needed:,} bytes and {free:,} are free in `outputs`; make room"
                )
            archive.extractall(folder)  # never writes more of a member than it claims
    except UNZIPPING as error:
        if isinstance(error, DataError) or getattr(error, "errno", None) in NO_ROOM:
            raise
        raise DataError(
            f"{path}: cannot be unpacked ({' '.join(str(error).split())[:200] or type(error).__name__})"
        ) from None


def _check_claims(path: Path, archive: zipfile.ZipFile, unsuspicious: int) -> None:
    claimed, held = sum(member.file_size for member in archive.infolist()), path.stat().st_size
    if claimed > max(RATIO * held, unsuspicious):
        raise DataError(
            f"{path}: claims to unpack to {claimed:,} bytes from {held:,}; more than {RATIO} times are not unpacked"
        )


def _check_place(path: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = PurePosixPath(name).parts + PureWindowsPath(name).parts
    if ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
        raise DataError(
            f"{path}: its member {name!r} would leave the folder that it is unpacked to; nothing was unpacked"
        )
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{path}: its member {name!r} is a link; nothing was unpacked")
