"""The files that keep the clips of a source for later loads: a table, the keypoints in one array, and what
the reader reported."""

import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import atomic, splits, synthetic
from .layouts import Layout
from .readers import READERS, UNUSED, BesideReader, Clip, DataError, Recording, Report, shown, untrusted

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
COLUMNS = {
    "id": str,
    "label": int,
    "split": str,
    "video": str,
    "subject": str,
    "frames": int,
    "width": int,
    "height": int,
}
COLUMNS |= {"missing": float, "start": int}
SEGMENT_COLUMNS = {"video": str, "label": int, "first": int, "last": int}


@dataclass(frozen=True, eq=False)
class Cached:
    """What a cache holds: the fields of ``Clips``, and of ``Recordings`` where there are segments."""

    table: pd.DataFrame
    """Columns are those of ``Clips``, then a column for each further protocol, and for recordings fps (0:
    unknown)."""
    keypoints: np.ndarray
    classes: tuple[str, ...]
    class_regions: tuple[str, ...]
    report: str
    checksum: str
    """CRC-32 of the keypoints."""
    segments: pd.DataFrame | None
    """None: cut clips."""


def folder(place: Path, layout: Layout, outputs: Path, whole: bool = False) -> Path:
    """Where the clips of a source, or its ``whole`` videos, are cached in a layout: another folder whenever a
    reader, joints or a file changes. Raises DataError where a folder of the source cannot be listed."""
    readers = [(name, reader.VERSION) for name, reader in {**READERS, "synthetic": synthetic}.items()]
    key = hashlib.sha256(repr((VERSION, readers, layout.joints, str(place))).encode())
    for listed in _listing(place):
        key.update(repr(listed).encode())
    key.update(b"recordings" * whole)
    what = f"{place.name[:MAX_FOLDER_NAME_LENGTH]}-{layout.name}{'-recordings' * whole}"
    return outputs / "cache" / f"{what}-{key.hexdigest()[:16]}"


def _listing(place: Path) -> Iterator[tuple[str, object]]:
    """Each folder of a source with the names, sizes and times of change of its files, and the files that
    readers read beside it.

    Links are followed, to each folder once.

    Raises:
        DataError: a folder cannot be listed.
    """
    yield (
        "",
        _states(
            "",
            [
                str(path)
                for reader in READERS.values()
                if isinstance(reader, BesideReader)
                for path in reader.beside(place)
            ],
        ),
    )
    if not place.is_dir():
        yield str(place.parent), _states(str(place.parent), [place.name])
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
            yield folder, _states(folder, sorted(files))


def _refuse(error: OSError) -> None:
    raise DataError(
        f"{error.filename}: cannot be listed ({error.strerror}); allow reading this folder, or remove it"
    )


def _states(folder: str, names: list[str]) -> list[tuple[str, int, int]]:
    """Name, size and time of change of each file; −1 for a broken link."""
    states = []
    for name in names:
        try:
            about = os.stat(os.path.join(folder, name))
            states.append((name, about.st_size, about.st_mtime_ns))
        except OSError:
            states.append((name, -1, -1))
    return states


def write(folder: Path, clips: Iterable[Clip], layout: Layout, report: Report, source: Path) -> None:
    """Write a cache.

    Raises:
        DataError: the source has no clips, two with the same id, or a name that a table cannot hold.
        OSError: the disk is full.
    """
    atomic.remove_leftovers(folder.parents[1] / "data")
    with atomic.folder(folder) as new:
        new.mkdir()
        of_videos: list[tuple[Any, ...]] = []
        rows, checksum = _write_keypoints(
            new / KEYPOINTS, _noted(clips, of_videos), len(layout.joints), source
        )
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        if table.empty:
            raise DataError(
                f"{source}: has no clips; `python -m miga_lib.clips check` shows what was found there"
            )
        if (again := table["id"].duplicated()).any():
            twice = table[table["id"] == table["id"][again].iloc[0]]
            where = (
                f"clip {row} in split {of['split']}, of video {shown(of['video'])}"
                for row, of in twice.iloc[:2].iterrows()
            )
            raise DataError(
                f"{source}: ids of clips must differ, {shown(twice['id'].iloc[0])} is there twice ({' and '.join(where)}); "
                "rename or remove one"
            )
        for protocol, of in report.protocols.items():
            of_row = (
                of.get(id, of.get(video, UNUSED))
                for id, video in zip(table["id"], table["video"], strict=True)
            )
            table[f"{splits.PROTOCOL}{protocol}"] = list(of_row)
        if of_videos:
            table["fps"], segments = zip(*of_videos, strict=True)
            each = [
                (video, *segment)
                for video, of in zip(table["video"], segments, strict=True)
                for segment in of
            ]
            (new / SEGMENTS).write_bytes(
                pd.DataFrame(each, columns=list(SEGMENT_COLUMNS)).to_csv(index=False).encode()
            )
        (new / TABLE).write_bytes(table.to_csv(index=False).encode())
        about: dict[str, Any] = {"folder": folder.name, "layout": layout.name, "joints": layout.joints}
        about |= {"classes": report.classes, "class_regions": report.class_regions, "report": str(report)}
        about |= {"keypoints": checksum, "written": (new / KEYPOINTS).stat().st_mtime_ns}
        (new / ABOUT).write_text(
            json.dumps(about | {"checksum": _checksum(_tables(new), about)}, indent=1), encoding="utf-8"
        )


def _noted(clips: Iterable[Clip], of_videos: list[tuple[Any, ...]]) -> Iterator[Clip]:
    """The same clips; frame rate and segments of recordings are added to a list, since their keypoints are
    not kept."""
    for clip in clips:
        if isinstance(clip, Recording):
            of_videos.append((clip.fps, clip.segments))
        yield clip


def _tables(folder: Path) -> dict[str, bytes]:
    """The tables of a cache, by the names of their files."""
    return {name: (folder / name).read_bytes() for name in (TABLE, SEGMENTS) if (folder / name).exists()}


def _write_keypoints(
    path: Path, clips: Iterable[Clip], joints: int, source: Path
) -> tuple[list[tuple[Any, ...]], str]:
    """Write the keypoints of clip after clip, of any number of clips, to a npy file; gives the rows of the
    table and a checksum."""
    header = {"descr": "<f4", "fortran_order": False}
    rows, frames, checksum = [], 0, 0
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": (0, joints, 3)})
        for clip in clips:
            content = np.ascontiguousarray(clip.keypoints, dtype="<f4").tobytes()
            file.write(content)
            rows.append(row(clip, frames, source))
            frames += len(clip.keypoints)
            checksum = zlib.crc32(content, checksum)
        # numpy pads the header so that the length of the first axis can grow in place
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, header | {"shape": (frames, joints, 3)})
    return rows, f"{checksum:08x}"


def row(clip: Clip, start: int, source: str | Path = "the source") -> tuple[Any, ...]:
    """A clip's row of the table. Raises DataError for a name that a table cannot hold."""
    for name in (clip.id, clip.video, clip.subject):
        if not name.isprintable() or len(name) > MAX_NAME_LENGTH:
            rule = f"ids, videos and subjects are up to {MAX_NAME_LENGTH} printable characters"
            raise DataError(f"{source}: {rule}, found {shown(name)}; rename it")
    missing = float((clip.keypoints[..., 2] == 0).mean())
    return (
        clip.id,
        clip.label,
        clip.split,
        clip.video,
        clip.subject,
        len(clip.keypoints),
        clip.width,
        clip.height,
        missing,
        start,
    )


def _checksum(tables: dict[str, bytes], about: dict[str, Any]) -> str:
    """CRC-32 of all that a cache holds beside the keypoints."""
    return f"{zlib.crc32(json.dumps(about).encode(), zlib.crc32(b''.join(tables.values()))):08x}"


def read(folder: Path, layout: Layout, every_byte: bool = False) -> Cached:
    """What a cache holds, once it was compared with what was written there.

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
        segments = _parsed(tables[SEGMENTS], SEGMENT_COLUMNS) if SEGMENTS in tables else None
        keypoints, shape = (
            untrusted.array(folder / KEYPOINTS),
            (int(table["frames"].sum()), len(layout.joints), 3),
        )
        if keypoints.shape != shape or keypoints.dtype.str != "<f4":
            raise ValueError(
                f"{KEYPOINTS} has shape {keypoints.shape} and type {keypoints.dtype}, not {shape} and float32"
            )
        state = (folder / KEYPOINTS).stat()
        if every_byte or state.st_mtime_ns != about["written"]:
            if f"{zlib.crc32(keypoints.data):08x}" != about["keypoints"]:
                raise ValueError(f"{KEYPOINTS} is not as it was written")
            with suppress(OSError):  # a copy: the next time need not compare it again
                os.utime(folder / KEYPOINTS, ns=(state.st_atime_ns, about["written"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BufferError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{folder}: this cache is damaged ({reason}); delete this folder and load the clips again"
        ) from None
    regions = tuple(about.get("class_regions", ()))
    return Cached(
        table, keypoints, tuple(about["classes"]), regions, about["report"], about["keypoints"], segments
    )


def _parsed(table: bytes, columns: dict[str, type]) -> pd.DataFrame:
    # pandas 2 does not read back every float that was written; Python does.
    shares = [name for name, kind in columns.items() if kind is float]
    read = pd.read_csv(
        io.BytesIO(table), dtype={**columns, **dict.fromkeys(shares, str)}, keep_default_na=False
    )
    return read.assign(**{name: read[name].map(float).astype(float) for name in shares if name in read})
