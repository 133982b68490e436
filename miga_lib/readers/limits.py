"""Files of others, opened so that none can write outside its folder or make more of itself than it holds.

What a file claims is checked against the bytes that are there before room is made for it. The limits are far above what a real
recording needs. Pickles have their own page, ``unpickling``.
"""

import json
import os
import re
import shutil
import stat
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pandas as pd

from .contract import DataError

MB, GB = 10**6, 10**9
LARGEST = {".json": 8 * MB, ".csv": GB, ".xlsx": GB}
"""Bytes of one file, by suffix."""
LARGEST_LABELS = 8 * MB
RATIO, UNSUSPICIOUS, UNSUSPICIOUS_WORKBOOK = 100, 64 * MB, 8 * MB
"""Archives may unpack to so many times their size, or to so many bytes at least."""
UNZIPPING = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, LookupError)
"""What a broken zip file brings about."""

MOST_COVERED, UNSUSPICIOUS_FRAMES = 100, 10_000
MOST_COLUMNS = 412
CELL = 8
"""Bytes of a workbook's sheet for each cell of it, at the least; written in full it has 25 and more."""

_CELL_AT = r"""\sr\s*=\s*["']"""
BEYOND_SHEET = re.compile(rf"{_CELL_AT}(?:[A-Z]{{3,}}\d|[P-Z][A-Z]\d|O[W-Z]\d|[A-Z]*\d{{6}})".encode(), re.IGNORECASE)
"""A cell past column OV (412) or row 99,999: a sheet is held as one rectangle up to its last cell, however empty."""
HIGH_ROW = re.compile(rf"{_CELL_AT}[A-Z]*(\d{{5}})\b".encode(), re.IGNORECASE)
FAR = re.compile(rf"{_CELL_AT}(?:[A-Z]{{3}}|[P-Z][A-Z]\d|O[W-Z]\d|[A-Z]*\d{{5}})".encode(), re.IGNORECASE)
"""Either of the two."""
SHARED_STRING = re.compile(rb"""\bt\s*=\s*["']s["']""")


def size(path: Path, largest: int = 0) -> int:
    """Bytes of a file. Raises DataError where it is none, or larger than ``largest`` (by default what its suffix allows)."""
    largest = largest or LARGEST[path.suffix.lower()]
    try:
        about = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(about.st_mode):
        raise DataError(f"{path}: is not a file; take it away")
    if about.st_size > largest:
        raise DataError(f"{path}: has {about.st_size:,} bytes, at most {largest:,} are read; split it or take it away")
    return about.st_size


def array(path: Path) -> np.ndarray:
    """The numbers of a ``.npy`` file, left on disk. Raises DataError where it holds objects or less than it claims."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            numbers = np.lib.format.open_memmap(path, mode="r")  # knows neither pickles nor archives
        if numbers.dtype.kind not in "fiub":
            raise ValueError(f"it holds {numbers.dtype}")
        return numbers
    except Exception as error:  # numpy parses the header as Python literals, which can fail in any way
        text = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not a whole numpy array of numbers ({text or type(error).__name__})") from None


def rows(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A small table of labels, every cell as text, an empty one as empty text.

    Args:
        columns: names of the columns, where the file has no line for them.

    Raises:
        DataError: the file is not there, too large, or no such table.
    """
    size(path, LARGEST_LABELS)
    header = {"names": columns, "header": None} if columns else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # cells too many would be dropped
            return pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, **header)
    except (ValueError, pd.errors.ParserWarning, OSError) as error:  # also EmptyDataError, ParserError and UnicodeDecodeError
        raise DataError(f"{path}: not a table of {','.join(columns or ['labels'])} ({' '.join(str(error).split())[:200]})") from None


def table(path: Path) -> None:
    """See to it that a ``.csv`` file of numbers has no more cells than bytes: short lines are filled up to the longest one.

    Raises:
        DataError: otherwise, or where the file is too large.
    """
    size(path)
    lines = 1
    with path.open("rb") as file:
        columns = file.readline(MB).count(b",") + 1
        file.seek(0)
        while part := file.read(16 * MB):
            lines += max(part.count(b"\n"), part.count(b"\r"))
    if (lines - 1) * columns > path.stat().st_size:
        raise DataError(f"{path}: its {lines:,} lines cannot all have the {columns:,} columns of the first one")


def coverage(segments: Iterable[tuple[int, int]], frames: int, video: str) -> None:
    """See to it that the clips (first and last frame) of a video are not many times longer than the video; some may overlap.

    Raises:
        DataError: otherwise: a few bytes of a table could ask for the whole video again and again.
    """
    total = sum(max(min(end, frames - 1) - max(start, 0), 0) + 1 for start, end in segments)
    if total > MOST_COVERED * frames + UNSUSPICIOUS_FRAMES:
        raise DataError(f"{video}: its clips have {total:,} frames together and it has {frames:,}; correct the table of segments")


def document(path: Path) -> Any:
    """The content of a ``.json`` file. Raises DataError where it is too large or none."""
    size(path)
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:  # also UnicodeDecodeError
        raise DataError(f"{path}: not a json file ({' '.join(str(error).split())[:200]})") from None


def workbook(path: Path) -> None:
    """See to it that an ``.xlsx`` file can be parsed in the memory that its size lets expect.

    Raises:
        DataError: it unpacks to far more than it holds, claims a sheet far larger than its content, or repeats long texts.
    """
    size(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_claims(path, archive, UNSUSPICIOUS_WORKBOOK)
            _check_cells(path, archive)
    except UNZIPPING as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a workbook ({' '.join(str(error).split())[:200] or type(error).__name__})") from None


def _check_cells(path: Path, archive: zipfile.ZipFile) -> None:
    """Unpack a workbook once, piece by piece, and look at how large its parser would make it."""
    strings = repeats = 0
    shared = any("sharedstrings" in name.lower() for name in archive.namelist())
    for member in archive.infolist():
        unpacked, last_row, beyond, is_sheet, tail = 0, 0, None, False, b""
        claimed, member.file_size = member.file_size, 2**62  # read to the true end, as the parser will
        with archive.open(member) as file:
            while part := file.read(MB):
                unpacked += len(part)
                if unpacked > claimed:
                    raise DataError(f"{path}: {member.filename} unpacks to more than the {claimed:,} bytes that it claims")
                text, tail = tail + part, part[-32:]
                is_sheet = is_sheet or b"sheetData" in text  # other members have such attributes too, of another meaning
                if FAR.search(text):
                    beyond = beyond or BEYOND_SHEET.search(text)
                    last_row = max(last_row, *map(int, HIGH_ROW.findall(text)), 0)
                repeats += len(SHARED_STRING.findall(part)) if shared else 0
        if is_sheet and beyond:
            cell = beyond[0].decode("ascii").partition("=")[2].strip(" \"'")
            raise DataError(f"{path}: has a cell at {cell}…; up to column OV and row 99999 are read: take the rest away")
        if is_sheet and last_row * MOST_COLUMNS > max(unpacked / CELL, MB):
            raise DataError(f"{path}: {member.filename} claims {last_row:,} rows in {unpacked:,} bytes: take away the far cells of it")
        strings += unpacked if "sharedstrings" in member.filename.lower() else 0
    if strings * repeats > GB:
        raise DataError(f"{path}: holds {repeats:,} cells of text; keypoints must be stored as numbers")


def unpack(path: Path, folder: Path) -> None:
    """The members of a zip file in ``folder``, which appears once it is whole.

    Raises:
        DataError: a member that leads out of the folder or is a link, a size far beyond that of the archive, or a broken archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_claims(path, archive, UNSUSPICIOUS)
            for member in archive.infolist():
                _check_place(path, member)
            folder.parent.mkdir(parents=True, exist_ok=True)
            needed, free = sum(member.file_size for member in archive.infolist()), shutil.disk_usage(folder.parent).free
            if needed > free:
                raise DataError(f"{path}: unpacks to {needed:,} bytes and {free:,} are free in {folder.parent}; make room")
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as temporary:
                whole = Path(temporary) / "whole"
                archive.extractall(whole)  # never writes more of a member than it claims
                os.replace(whole, folder)
    except UNZIPPING as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be unpacked ({' '.join(str(error).split())[:200] or type(error).__name__})") from None


def _check_claims(path: Path, archive: zipfile.ZipFile, unsuspicious: int) -> None:
    claimed, held = sum(member.file_size for member in archive.infolist()), path.stat().st_size
    if claimed > max(RATIO * held, unsuspicious):
        raise DataError(f"{path}: claims to unpack to {claimed:,} bytes from {held:,}; more than {RATIO} times are not unpacked")


def _check_place(path: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = PurePosixPath(name).parts + PureWindowsPath(name).parts
    if ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
        raise DataError(f"{path}: its member {name!r} would leave the folder that it is unpacked to; nothing was unpacked")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{path}: its member {name!r} is a link; nothing was unpacked")
