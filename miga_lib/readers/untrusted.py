"""Bounded reading of untrusted files: none may write outside its folder, or take far more memory or time than
its size justifies.

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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pandas as pd

from ..atomic import NO_ROOM
from .contract import DataError, reason, shown

MB, GB = 10**6, 10**9
MAX_BYTES = {".json": 8 * MB, ".csv": GB, ".xlsx": GB}
"""Bytes of one file, by suffix."""
MAX_LABEL_BYTES = 8 * MB
"""Bytes of a table of labels."""
MAX_LINE_BYTES, MAX_LINES, MAX_CELLS = 2**16, 10**6, 2000
"""Limits of a table in text: bytes of a line, number of lines, and cells of a line."""
MAX_RATIO, MAX_UNSUSPICIOUS, MAX_UNSUSPICIOUS_WORKBOOK = 100, 64 * MB, 8 * MB
"""Archives may unpack to so many times their size; up to so many bytes the ratio does not matter."""
MAX_COLUMNS = 412
MIN_CELL_BYTES = 8
"""Of a workbook's sheet; a usual cell has 25 or more."""
UNZIPPING = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError, LookupError)
"""The exceptions that a broken zip file can raise."""

_CELL_AT = r"""\sr\s*=\s*["']"""
_FAR_COLUMN = r"[P-Z][A-Z]\d|O[W-Z]\d"
BEYOND_SHEET = re.compile(rf"{_CELL_AT}(?:[A-Z]{{3,}}\d|{_FAR_COLUMN}|[A-Z]*\d{{6}})".encode(), re.IGNORECASE)
"""A cell beyond column OV (412) or row 99,999: the parser allocates the whole rectangle up to the last cell,
even if it is empty."""
HIGH_ROW = re.compile(rf"{_CELL_AT}[A-Z]*(\d{{5}})\b".encode(), re.IGNORECASE)
FAR = re.compile(rf"{_CELL_AT}(?:[A-Z]{{3}}|{_FAR_COLUMN}|[A-Z]*\d{{5}})".encode(), re.IGNORECASE)
"""Either ``BEYOND_SHEET`` or ``HIGH_ROW``."""
SHARED_STRING = re.compile(rb"""\bt\s*=\s*["']s["']""")


def size(path: Path, max_bytes: int = 0) -> None:
    """Raise DataError if it is no file, or has more bytes (0: the limit of its suffix)."""
    max_bytes = max_bytes or MAX_BYTES[path.suffix.lower()]
    try:
        status = path.stat()
    except OSError as error:
        way_out = "give the path of an existing file, and allow reading it"
        raise DataError(f"{path}: cannot be read ({error.strerror}); {way_out}") from None
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: is not a file; remove it")
    if status.st_size > max_bytes:
        limit = f"at most {max_bytes:,} are read"
        raise DataError(f"{path}: has {status.st_size:,} bytes, {limit}; split it or remove it")


# Arrays.


def array(path: Path) -> np.ndarray:
    """The numbers of a ``.npy`` file, memory-mapped. Raises DataError if it holds objects or fewer bytes than
    it claims."""
    try:
        with warnings.catch_warnings(action="ignore"):  # about headers that Python 2 wrote
            numbers = np.lib.format.open_memmap(path, mode="r")  # reads neither pickles nor archives
        if numbers.dtype.kind not in "fiu":
            raise ValueError(f"it holds {numbers.dtype}")
        return numbers
    except Exception as error:  # numpy parses the header as Python literals, which can fail in any way
        problem = f"not a complete numpy array of numbers ({reason(error)})"
        raise DataError(f"{path}: {problem}; save it again") from None


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file by name; each holds numbers or text. Raises DataError for another one,
    or one that unpacks to far more than its size."""
    size(path, GB)
    stored = {}
    with _archive(path, "not an npz file of complete arrays of numbers or text") as archive:
        for member in archive.infolist():
            content = archive.open(member.filename).read(member.file_size)  # never more than it claims
            stored[member.filename.removesuffix(".npy")] = _array(content)
    return stored


def _array(content: bytes) -> np.ndarray:
    """The array of a ``.npy`` file, whose header is compared with its bytes before anything is allocated."""
    file = io.BytesIO(content)
    v1, v2 = np.lib.format.read_array_header_1_0, np.lib.format.read_array_header_2_0
    shape, _, kind = {(1, 0): v1, (2, 0): v2}[np.lib.format.read_magic(file)](file)
    if kind.kind not in "fiubU" or not kind.itemsize:
        raise ValueError(f"an array holds {kind}")
    claimed, held = math.prod(shape) * kind.itemsize, len(content) - file.tell()
    if claimed != held:
        raise ValueError(f"an array of shape {shape} claims {claimed:,} bytes and has {held:,}")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


# Text.


def document(path: Path, max_bytes: int = 0) -> Any:
    """The content of a ``.json`` file. Raises DataError if it has more bytes (0: the limit of json) or is not
    json."""
    size(path, max_bytes)
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:  # also UnicodeDecodeError
        raise DataError(f"{path}: not a json file ({reason(error)}); write it again or remove it") from None


def truths(cells: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Where cells are true or false; ``numbers`` is what a library made of the cells: 1 and 0."""
    truth = (numbers == 0) | (numbers == 1)
    truth[truth] = [isinstance(cell, bool) for cell in cells[truth]]
    return truth


def entry(content: Any, key: str) -> Any:
    """The value of a key of a dict, None where the content is another thing."""
    return content.get(key) if isinstance(content, dict) else None


def table(path: Path, max_bytes: int = 0) -> tuple[bytes, list[int]]:
    """The content of a ``.csv`` file without its byte order mark, and the cells of each line (0: blank) up to
    the last that has any. Raises DataError if it is too large or not UTF-8."""
    size(path, max_bytes)
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if b"\0" in content or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        way_out = "save it again as csv with this encoding (in spreadsheets: CSV UTF-8)"
        raise DataError(f"{path}: is not text in UTF-8; {way_out}")
    if max(content.count(b"\n"), content.count(b"\r")) > MAX_LINES:
        raise DataError(f"{path}: has more than {MAX_LINES:,} lines; split it or remove it")
    lines = content.splitlines()
    longest = max(map(len, lines), default=0)
    if longest > MAX_LINE_BYTES:
        problem = f"has a line of {longest:,} bytes, at most {MAX_LINE_BYTES:,} are read"
        raise DataError(f"{path}: {problem}; write a line for each row")
    cells = [line.count(b",") + 1 if line else 0 for line in lines]
    if b'"' in content:
        text = io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="")
        try:
            cells = [len(row) for row in csv.reader(text, skipinitialspace=True)]
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}: is not a csv file in UTF-8 ({error}); save it again as one") from None
    widest = max(cells, default=0)
    if widest > MAX_CELLS:
        problem = f"has a line of {widest:,} cells, at most {MAX_CELLS:,} are read"
        raise DataError(f"{path}: {problem}; remove the surplus columns")
    while cells and not cells[-1]:
        cells.pop()
    return content, cells


def even(path: Path, cells: Sequence[int], above: int = 0) -> None:
    """Raise DataError if lines below the first ``above`` that are not blank differ in their cells."""
    widths = [(line, width) for line, width in enumerate(cells[above:], above + 1) if width]
    for line, width in widths:
        first, expected = widths[0]
        if width != expected:
            problem = f"line {line} has {width} cells and line {first} has {expected}"
            way_out = "restore the file, or delete what is no row (a title, a note, a torn line)"
            raise DataError(f"{path}: {problem}; all rows need the same number: {way_out}")


def rows(path: Path, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A small table of labels, every cell as text without the spaces around it. Raises DataError.

    Args:
        columns: {name that a header may use: name of the column}, in the order of the columns in a file
            without a header. A first line is a header only if all of its cells are among these names. None:
            the first line is the header.
    """
    content, cells = table(path, MAX_LABEL_BYTES)
    above = content.partition(b"\n")[0]
    for separator, name in ((b";", "semicolons"), (b"\t", "tabs")):
        if separator in above and b"," not in above:
            raise DataError(f"{path}: its cells are separated by {name}; save it as csv with commas")
    even(path, cells)
    if 0 in cells:
        way_out = "complete it if a row is missing, or delete it"
        raise DataError(f"{path}: line {cells.index(0) + 1} is blank; {way_out}")
    names = list(dict.fromkeys((columns or {}).values()))
    expected = "expected a table with " + (f"the columns {','.join(names)}" if names else "a header")
    try:
        options: dict[str, Any] = {"header": None, "dtype": str, "keep_default_na": False}
        text = pd.read_csv(io.BytesIO(content), skipinitialspace=True, **options)
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=names)
    except ValueError as error:  # also ParserError and UnicodeDecodeError
        problem = f"{expected}, in UTF-8 ({reason(error)[:100]})"
        raise DataError(f"{path}: {problem}; save it again as csv") from None
    text = text.apply(lambda column: column.str.strip())
    header = text.iloc[0].tolist()
    if columns and {name.lower() for name in header} <= set(columns):
        header = [columns[name.lower()] for name in header]
    elif columns and len(header) == len(names):
        if header in ([str(first + column) for column in range(len(names))] for first in (0, 1)):
            problem = f"row 0 is {','.join(header)}, as programs number columns"
            way_out = f"delete it, or, if it is a row of the table, write {','.join(names)} above it"
            raise DataError(f"{path}: {problem}; {way_out}")
        return text.set_axis(names, axis=1)
    if len(set(header)) < len(header) or set(names) - set(header):
        problem = f"{expected}, each once, found {shown(','.join(header))}"
        raise DataError(f"{path}: {problem}; separate cells by commas and delete surplus columns")
    return text.iloc[1:].set_axis(header, axis=1).reset_index(drop=True)


def numbers(path: Path, text: pd.DataFrame, minimum: float, maximum: float, rule: str) -> np.ndarray:
    """Columns of ``rows`` as float64 (rows, columns). Raises DataError for a cell out of bounds."""
    values = text.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    refuse_cells(path, text, ~((values >= minimum) & (values <= maximum)), rule)
    return values


def whole_numbers(path: Path, text: pd.DataFrame, minimum: int, maximum: int) -> np.ndarray:
    """The same as int64. Raises DataError for a cell that is no whole number in the bounds."""
    rule = "expected a whole number" if minimum < 0 else f"expected a whole number up to {maximum}"
    values = numbers(path, text, minimum, maximum, rule)
    refuse_cells(path, text, values != np.round(values), rule)
    return values.astype(np.int64)


def refuse_cells(path: Path, text: pd.DataFrame, wrong: np.ndarray, rule: str) -> None:
    """Raise DataError for the first wrong cell (rows, columns) of a table, if there is one."""
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        cell = f"{text.columns[column]} {shown(text.iloc[row, column])}"
        raise DataError(
            f"{path}: row {row} has {cell}; {rule}: correct the row, or delete it if it is a header"
        )


# Zip files.


@contextmanager
def _archive(path: Path, problem: str, unsuspicious: int = MAX_UNSUSPICIOUS) -> Iterator[zipfile.ZipFile]:
    """A zip file that claims to unpack to memory proportional to its size. What a broken one raises becomes a
    DataError; a full disk does not."""
    try:
        with zipfile.ZipFile(path) as archive:
            claimed, held = sum(member.file_size for member in archive.infolist()), path.stat().st_size
            if claimed > max(MAX_RATIO * held, unsuspicious):
                claim = f"claims to unpack to {claimed:,} bytes from {held:,}"
                raise DataError(f"{path}: {claim}; more than {MAX_RATIO} times are not unpacked")
            yield archive
    except Exception as error:
        if isinstance(error, DataError) or getattr(error, "errno", None) in NO_ROOM:
            raise
        raise DataError(f"{path}: {problem} ({reason(error)}); save it again") from None


def unpacked(path: Path) -> None:
    """Raise DataError if a zip file unpacks to far more than its size; other files may be anything."""
    if zipfile.is_zipfile(path):
        with _archive(path, "not a complete zip file"):
            pass


def unpack(path: Path, folder: Path) -> None:
    """Unpack a zip file to a new folder, which the caller removes after an error.

    Raises:
        DataError: a broken archive, one far larger than its file, or a member that leads out of the folder.
        OSError: the disk is full.
    """
    with _archive(path, "cannot be unpacked") as archive:
        for member in archive.infolist():
            name = member.filename
            parts = PurePosixPath(name).parts + PureWindowsPath(name).parts
            if ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
                problem = f"its member {name!r} would leave the folder that it is unpacked to"
                raise DataError(f"{path}: {problem}; nothing was unpacked")
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DataError(f"{path}: its member {name!r} is a link; nothing was unpacked")
        folder.mkdir(parents=True)
        needed = sum(member.file_size for member in archive.infolist())
        free = shutil.disk_usage(folder).free
        if needed > free:
            problem = f"unpacks to {needed:,} bytes and {free:,} are free in `outputs`"
            raise DataError(f"{path}: {problem}; make room")
        archive.extractall(folder)  # never writes more of a member than it claims


def workbook(path: Path) -> None:
    """Raise DataError if parsing an ``.xlsx`` file takes far more memory than its size: it unpacks to more,
    claims a sheet larger than its content, or repeats long texts. It is unpacked once, piece by piece."""
    size(path)
    strings = repeats = 0
    with _archive(path, "not an xlsx workbook", MAX_UNSUSPICIOUS_WORKBOOK) as archive:
        for member in archive.infolist():
            length, references = _check_cells(path, archive, member)
            repeats += references
            if "sharedstrings" in member.filename.lower():
                strings += length
    if strings * repeats > GB:
        raise DataError(f"{path}: holds {repeats:,} cells of long text; store keypoints as numbers")


def _check_cells(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[int, int]:
    """The unpacked bytes of a member of a workbook, and how many cells refer to a shared text."""
    length, references, last_row, beyond, is_sheet, tail = 0, 0, 0, None, False, b""
    shared = any("sharedstrings" in name.lower() for name in archive.namelist())
    claimed, member.file_size = member.file_size, 2**62  # read to the true end, as the parser will
    with archive.open(member) as file:
        while part := file.read(MB):
            length += len(part)
            if length > claimed:
                problem = f"{member.filename} unpacks to more than the {claimed:,} bytes that it claims"
                raise DataError(f"{path}: {problem}")
            text, tail = tail + part, part[-32:]
            is_sheet = is_sheet or b"sheetData" in text  # such attributes mean something else elsewhere
            if FAR.search(text):
                beyond = beyond or BEYOND_SHEET.search(text)
                last_row = max(last_row, *map(int, HIGH_ROW.findall(text)), 0)
            if shared:
                references += len(SHARED_STRING.findall(part))
    if is_sheet and beyond:
        cell = beyond[0].decode("ascii").partition("=")[2].strip(" \"'")
        problem = f"has a cell at {cell}…; up to column OV and row 99999 are read"
        raise DataError(f"{path}: {problem}: delete the rest")
    if is_sheet and last_row * MAX_COLUMNS > max(length / MIN_CELL_BYTES, MB):
        problem = f"{member.filename} claims {last_row:,} rows in {length:,} bytes"
        raise DataError(f"{path}: {problem}: delete its far cells")
    return length, references
