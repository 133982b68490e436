"""The files that keep the clips of a source for later loads: a table, the keypoints in one array, and what
the reader reported."""

import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import atomic, splits
from .layouts import Layout
from .readers import UNUSED, BesideReader, Clip, DataError, Reader, Recording, Report, shown, untrusted

VERSION = 2
"""Version of the cache's files; raise it when their form changes. A cache of another version is not opened
and not removed: the source is read into a new one. Folders in ``outputs/cache`` can be deleted at any
time."""
TABLE, KEYPOINTS, ABOUT, SEGMENTS = "clips.csv", "keypoints.npy", "about.json", "segments.csv"
"""The files of a cache; only that of recordings has segments."""

MAX_NAME_LENGTH = 250
MAX_FOLDER_NAME_LENGTH = 40
"""How many characters of the source's name are used in the cache's name; a name on disk has at most 255
bytes."""
COLUMNS: dict[str, type] = {
    "id": str, "label": int, "split": str, "video": str, "subject": str, "frames": int, "width": int,
    "height": int, "missing": float, "start": int,
}  # fmt: skip
SEGMENT_COLUMNS: dict[str, type] = {"video": str, "label": int, "first": int, "last": int}


def folder(place: Path, reader: Reader, layout: Layout, outputs: Path, whole: bool = False) -> Path:
    """Where the clips of a source, or its ``whole`` videos, are cached in a layout: another folder whenever
    its reader, the joints or a file changes. Raises DataError where a folder of it cannot be listed."""
    name = f"{place.name[:MAX_FOLDER_NAME_LENGTH]}-{layout.name}{'-recordings' * whole}"
    key = hashlib.sha256(repr((VERSION, reader.__name__, reader.VERSION, layout.joints, whole)).encode())
    for listed in _listing(place, reader):
        key.update(repr(listed).encode())
    return outputs / "cache" / f"{name}-{key.hexdigest()[:16]}"


def _listing(place: Path, reader: Reader) -> Iterator[tuple[Any, ...]]:
    """Name, size and time of change of each file of a source, and of those that its reader reads beside it.

    Links are followed, to each folder once.

    Raises:
        DataError: a folder cannot be listed.
    """
    if isinstance(reader, BesideReader):
        yield from map(_state, reader.beside(place))
    if not place.is_dir():
        yield _state(place)
        return
    seen = set()
    for folder, inner, files in os.walk(place, onerror=_refuse, followlinks=True):
        about = os.stat(folder)
        if (about.st_dev, about.st_ino) in seen:  # such as a link to a folder above, which would never end
            inner.clear()
            yield folder, os.path.realpath(folder)
        else:
            seen.add((about.st_dev, about.st_ino))
            inner.sort()  # os.walk goes on in this order
            yield folder, [_state(os.path.join(folder, name)) for name in sorted(files)]


def _refuse(error: OSError) -> None:
    reason = f"cannot be listed ({error.strerror}); allow reading this folder, or remove it"
    raise DataError(f"{error.filename}: {reason}")


def _state(path: str | Path) -> tuple[str, int, int]:
    """Name, size and time of change of a file; −1 for a broken link."""
    try:
        about = os.stat(path)
        return str(path), about.st_size, about.st_mtime_ns
    except OSError:
        return str(path), -1, -1


def write(folder: Path, clips: Iterable[Clip], layout: Layout, report: Report, source: Path) -> None:
    """Write a cache.

    Raises:
        DataError: the source has no clips, two with the same id, or a name that a table cannot hold.
        OSError: the disk is full.
    """
    atomic.remove_leftovers(folder.parents[1] / "data")
    with atomic.folder(folder) as new:
        new.mkdir()
        rows, rates, segments = [], [], []
        header = {"descr": "<f4", "fortran_order": False}
        frames, checksum = 0, 0
        with (new / KEYPOINTS).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header | {"shape": (0, len(layout.joints), 3)})
            for clip in clips:  # one after the other, of which only the row is kept
                content = np.ascontiguousarray(clip.keypoints, dtype="<f4").tobytes()
                file.write(content)
                checksum = zlib.crc32(content, checksum)
                rows.append(row(clip, frames, source))
                frames += len(clip.keypoints)
                if isinstance(clip, Recording):
                    rates.append(clip.fps)
                    segments += [(clip.video, *segment) for segment in clip.segments]
            # numpy pads the header so that the length of the first axis can grow in place
            file.seek(0)
            np.lib.format.write_array_header_1_0(file, header | {"shape": (frames, len(layout.joints), 3)})
        table = _table(rows, report, source)
        if rates:
            table["fps"] = rates
            in_time = pd.DataFrame(segments, columns=list(SEGMENT_COLUMNS))
            (new / SEGMENTS).write_bytes(in_time.to_csv(index=False).encode())
        (new / TABLE).write_bytes(table.to_csv(index=False).encode())
        about: dict[str, Any] = {"folder": folder.name, "layout": layout.name, "joints": layout.joints}
        about |= {"classes": report.classes, "class_regions": report.class_regions, "report": str(report)}
        about |= {"keypoints": f"{checksum:08x}", "written": (new / KEYPOINTS).stat().st_mtime_ns}
        about["checksum"] = _checksum(_tables(new), about)
        (new / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")


def row(clip: Clip, start: int, source: str | Path = "the source") -> tuple[Any, ...]:
    """A clip's row of the table. Raises DataError for a name that a table cannot hold."""
    for name in (clip.id, clip.video, clip.subject):
        if not name.isprintable() or len(name) > MAX_NAME_LENGTH:
            rule = f"ids, videos and subjects are up to {MAX_NAME_LENGTH} printable characters"
            raise DataError(f"{source}: {rule}, found {shown(name)}; rename it")
    names = clip.id, clip.label, clip.split, clip.video, clip.subject
    missing = float((clip.keypoints[..., 2] == 0).mean())
    return *names, len(clip.keypoints), clip.width, clip.height, missing, start


def _table(rows: list[tuple[Any, ...]], report: Report, source: Path) -> pd.DataFrame:
    """The table of some rows, with a column for each protocol. Raises DataError as ``write`` does."""
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if table.empty:
        way_out = "`python -m miga_lib.clips check` shows what was found there"
        raise DataError(f"{source}: has no clips; {way_out}")
    again = table["id"][table["id"].duplicated()]
    if len(again):
        id = again.iloc[0]
        first, second = (
            f"clip {row} in split {clip['split']}, of video {shown(clip['video'])}"
            for row, clip in table[table["id"] == id].iloc[:2].iterrows()
        )
        twice = f"{shown(id)} is there twice ({first} and {second})"
        raise DataError(f"{source}: ids of clips must differ, {twice}; rename or remove one")
    for protocol, splits_of in report.protocols.items():
        of_videos = table["video"].map(splits_of).fillna(UNUSED)
        table[f"{splits.PROTOCOL}{protocol}"] = table["id"].map(splits_of).fillna(of_videos)
    return table


def _tables(folder: Path) -> dict[str, bytes]:
    """The tables of a cache, by the names of their files."""
    return {name: (folder / name).read_bytes() for name in (TABLE, SEGMENTS) if (folder / name).exists()}


def _checksum(tables: dict[str, bytes], about: dict[str, Any]) -> str:
    """CRC-32 of all that a cache holds beside the keypoints."""
    return f"{zlib.crc32(json.dumps(about).encode(), zlib.crc32(b''.join(tables.values()))):08x}"


def read(folder: Path, layout: Layout, every_byte: bool = False) -> dict[str, Any]:
    """The fields of ``Clips``, or of ``Recordings``, and the checksum of the keypoints, once they were
    compared with what was written there. The table has a column more for each further protocol.

    The tables, the text beside it and the shape of the keypoints are always compared. The keypoints
    themselves are compared where their file was changed or copied after it was written, and with
    ``every_byte``.

    Raises:
        DataError: something differs; the message says to delete the folder.
    """
    try:
        about = json.loads((folder / ABOUT).read_bytes())
        tables = _tables(folder)
        if about.pop("checksum") != _checksum(tables, about) or about["folder"] != folder.name:
            raise ValueError(f"{' or '.join([*tables, ABOUT])} is not as it was written")
        table = _parsed(tables[TABLE], COLUMNS | {"fps": float})  # the columns of protocols are text
        keypoints = untrusted.array(folder / KEYPOINTS)
        shape = (int(table["frames"].sum()), len(layout.joints), 3)
        if keypoints.shape != shape or keypoints.dtype.str != "<f4":
            found = f"shape {keypoints.shape} and type {keypoints.dtype}"
            raise ValueError(f"{KEYPOINTS} has {found}, not {shape} and float32")
        state = (folder / KEYPOINTS).stat()
        if every_byte or state.st_mtime_ns != about["written"]:
            if f"{zlib.crc32(keypoints.data):08x}" != about["keypoints"]:
                raise ValueError(f"{KEYPOINTS} is not as it was written")
            with suppress(OSError):  # a copy: the next time need not compare it again
                os.utime(folder / KEYPOINTS, ns=(state.st_atime_ns, about["written"]))
        fields = {"table": table, "keypoints": keypoints, "layout": layout, "cached": folder}
        fields |= {name: tuple(about[name]) for name in ("classes", "class_regions")}
        fields |= {"report": about["report"], "checksum": about["keypoints"]}
        if SEGMENTS in tables:
            fields["segments"] = _parsed(tables[SEGMENTS], SEGMENT_COLUMNS)
        return fields
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BufferError) as error:
        reason = " ".join(str(error).split())[:200]
        way_out = "delete this folder and load the clips again"
        raise DataError(f"{folder}: this cache is damaged ({reason}); {way_out}") from None


def _parsed(table: bytes, columns: dict[str, type]) -> pd.DataFrame:
    # pandas 2 does not read back every float that was written; Python does.
    types = {name: str if kind is float else kind for name, kind in columns.items()}
    parsed = pd.read_csv(io.BytesIO(table), dtype=types, keep_default_na=False)
    floats = [name for name, kind in columns.items() if kind is float and name in parsed]
    return parsed.assign(**{name: parsed[name].map(float).astype(float) for name in floats})
