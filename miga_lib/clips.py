"""A set of clips: a table with a row for each clip, and the keypoints of all clips in one array that stays on disk.

``load`` recognises the format of a folder or file and reads it once into a cache. Later loads take less than a second. ``recordings``
does the same for whole videos.
"""

import argparse
import hashlib
import io
import json
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from . import gaps as gaps_of_videos
from . import layouts, splits, synthetic, writing
from .labels import NO_GESTURE
from .layouts import Layout
from .readers import (
    READERS,
    UNUSED,
    Clip,
    DataError,
    Progress,
    Reader,
    Recording,
    RecordingReader,
    Report,
    checks,
    cutting,
    limits,
    pyskl,
    select,
    shown,
)

VERSION = 2
"""Version of the cache's files; raise it when their form changes. A cache of another version is not opened and not removed: the source is
read into a new one. Folders in ``outputs/cache`` can be deleted at any time."""
TABLE, KEYPOINTS, ABOUT, SEGMENTS = "clips.csv", "keypoints.npy", "about.json", "segments.csv"
"""The files of a cache; only that of recordings has segments."""

MAX_NAME_LENGTH = 250
MAX_FOLDER_NAME_LENGTH = 40
"""How many characters of the source's name are used in the cache's name; a name on disk has at most 255 bytes."""
MAX_ERRORS_SHOWN = 20
COLUMNS = {"id": str, "label": int, "split": str, "video": str, "subject": str, "frames": int, "width": int, "height": int}
COLUMNS |= {"missing": float, "start": int}
SEGMENT_COLUMNS = {"video": str, "label": int, "first": int, "last": int}
ASSUMED_FPS = 25.0
"""Frames per second where neither the source nor the user says it: that of iMiGUE."""
Some = TypeVar("Some", bound="Clips")


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips and their keypoints. Neither is changed in place: ``dataclasses.replace`` makes other clips.

    ``table`` has the columns id, label (−1: unknown), split, video, subject (empty: unknown), frames, width, height, missing (the
    share of missing joints) and start: clip i is ``keypoints[start : start + frames]``, which is ``clips[i]``.
    ``keypoints`` is (F, V, 3) float32, all frames of all clips. ``report`` says what the reader had to repair.
    """

    table: pd.DataFrame
    keypoints: np.ndarray
    layout: Layout
    classes: tuple[str, ...]
    report: str
    class_regions: tuple[str, ...] = ()
    """The part of the body that each class is about; empty where the source does not say."""
    denoised: str = ""
    """The filters that the keypoints went through, see ``denoising.denoised``; empty: none."""

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> np.ndarray:
        """Keypoints (T, V, 3) of the clip in that row of the table."""
        start, frames = self.table["start"].iloc[index], self.table["frames"].iloc[index]
        return self.keypoints[start : start + frames]

    @cached_property
    def checksum(self) -> str:
        """CRC-32 of the keypoints of all clips, in the order of the table: the same for the same content, whatever its source.

        For clips as loaded it is the one that their cache keeps. For others (``where``, ``hold_out``, ``replace``) it is computed.
        """
        keypoints, checksum = np.asarray(self.keypoints), 0
        for start, frames in zip(self.table["start"], self.table["frames"], strict=True):
            checksum = zlib.crc32(np.ascontiguousarray(keypoints[start : start + frames], dtype="<f4").data, checksum)
        return f"{checksum:08x}"

    def records(self) -> Iterator[Clip]:
        """The clips one by one, with what the table says of each."""
        fields = ["id", "label", "split", "video", "subject", "width", "height"]
        for i, row in enumerate(self.table[fields].itertuples(index=False)):
            yield Clip(**row._asdict(), keypoints=self[i])

    def where(self: Some, rows: Sequence[int] | pd.Series | np.ndarray) -> Some:
        """The clips of some rows, given as a boolean for each row or as row numbers."""
        return replace(self, table=self.table[np.asarray(rows)] if np.asarray(rows).dtype == bool else self.table.iloc[rows])

    def split(self: Some, name: str) -> Some:
        """The clips of one split. Raises ValueError, with the names of the splits, where it has none."""
        if not (chosen := self.table["split"] == name).any():
            raise ValueError(f"there are no clips of split {name!r:.100}; there are {', '.join(sorted(self.table['split'].unique()))}")
        return self.where(chosen)

    def summary(self) -> pd.DataFrame:
        """A row for each split: clips, classes with clips, videos, subjects, median frames, and the share of missing joints."""
        by_split = self.table.groupby("split")
        known = self.table[self.table["label"] >= 0].groupby("split")
        return pd.DataFrame(
            {
                "clips": by_split.size(),
                "classes": known["label"].nunique(),
                "videos": by_split["video"].nunique(),
                "subjects": self.table[self.table["subject"] != ""].groupby("split")["subject"].nunique(),
                "median frames": by_split["frames"].median(),
                "joints missing": (by_split["missing"].mean() * 100).round(1).astype(str) + " %",
            }
        ).reindex([split for split in ("train", "val", "test") if split in by_split.groups])

    @property
    def training_counts(self) -> np.ndarray:
        """The number of training clips of each class, (K,)."""
        known = (self.table["split"] == "train") & (self.table["label"] >= 0)
        return np.bincount(self.table.loc[known, "label"], minlength=len(self.classes))

    def groups(self) -> pd.Series:
        """The group of each clip, which must stay whole when clips are divided: its subject where that is known, else its video."""
        return splits.groups(self.table)


@dataclass(frozen=True, eq=False)
class Recordings(Clips):
    """Whole videos. Each is a clip of unknown class whose id is the video, so everything that takes clips takes recordings.

    ``table`` also has the column fps, frames per second. A set that was not annotated has no segments.
    """

    segments: pd.DataFrame = field(kw_only=True)
    """A row for each gesture, in the order of the source: video, label (−1: unknown), first and last frame, counted from 0, inclusive."""

    def records(self) -> Iterator[Recording]:
        """The recordings one by one, with what the tables say of each."""
        of_video = dict(list(self.segments.groupby("video")[["label", "first", "last"]]))
        for clip, fps in zip(super().records(), self.table["fps"], strict=True):
            segments = of_video[clip.id].itertuples(index=False, name=None) if clip.id in of_video else ()
            yield Recording(**vars(clip), fps=fps, segments=tuple(segments))

    def where(self, rows: Sequence[int] | pd.Series | np.ndarray) -> "Recordings":
        """The recordings of some rows, as of ``Clips``, with their segments."""
        table = super().where(rows).table
        return replace(self, table=table, segments=self.segments[self.segments["video"].isin(table["video"])])

    def cut(self) -> Clips:
        """The clip of each segment, as ``load`` gives it; without segments, the whole videos. The keypoints are not copied."""
        table = self._cut()
        clips = Clips(table, self.keypoints, self.layout, self.classes, self.report, self.class_regions, self.denoised)
        missing = [float((clips[i][..., 2] == 0).mean()) for i in range(len(clips))]
        return replace(clips, table=table.assign(missing=missing)[list(COLUMNS)])

    @property
    def ids(self) -> pd.Series:
        """The id of the clip of each segment: the video, and the number of the segment in it."""
        return self.segments["video"] + "_" + self.segments.groupby("video", sort=False).cumcount().astype(str)

    def _cut(self) -> pd.DataFrame:
        """The table of ``cut``, in which the share of missing joints is that of the whole video."""
        if self.segments.empty:
            return self.table
        table = self.segments[["video"]].merge(self.table, on="video").set_axis(self.segments.index)
        frames, start = self.segments["last"] - self.segments["first"] + 1, table["start"] + self.segments["first"]
        table = table.assign(id=self.ids, label=self.segments["label"], frames=frames, start=start)
        return table.reset_index(drop=True)


def outputs_folder(outputs: str | Path = "") -> Path:
    """Where everything is written: ``outputs``, else the variable ``MIGA_OUTPUTS``, else ``outputs/`` of the repository."""
    repository = Path(__file__).resolve().parents[1]
    fallback = repository / "outputs" if (repository / "pyproject.toml").exists() else Path("outputs")
    return _path(outputs or os.environ.get("MIGA_OUTPUTS") or fallback)


def _path(given: str | Path) -> Path:
    if "\0" in str(given):
        raise DataError(f"{shown(str(given))}: a path cannot have a null character; remove it")
    return Path(given).expanduser().resolve()


def load(
    source: str | Path,
    layout: str | Layout = "imigue41",
    outputs: str | Path = "",
    progress: Progress | None = None,
    *,
    protocol: str = "",
    folds: int = 0,
    fold: int = 0,
    persons: int = 1,
    gaps: float = 0.0,
) -> Clips:
    """The clips of a folder or file, in the joints of ``layout``.

    Args:
        source: MiGA folders, MiGA'23 arrays, the full iMiGUE release, OpenPose's output, a PySkl pickle, …, each also as a zip file;
            or the name of a synthetic set: ``synthetic-smoke``, ``synthetic`` or ``synthetic-full``. README.md lists all formats.
        layout: a layout, its name, or the path of its JSON file, see ``layouts.save``.
        outputs: where the cache is kept, see ``outputs_folder``.
        progress: shows how much was read, called like ``tqdm``; by default a bar in a terminal and nothing elsewhere.
        protocol: the way to split, where the source has several, such as ``xview``; empty: its first one. With
            ``leave-one-subject-out``, each subject is a fold.
        folds, fold: cross-validation, see ``splits.cross_validate``; ``folds`` = 0: none.
        persons: 2: the second person is kept, so the layout has every joint twice, see ``layouts.pair``.
        gaps: above 0: clips of the gaps between gestures follow, of one class more, ``labels.NO_GESTURE``; so many for each gesture,
            see ``gaps.draw``. The source must have whole videos, see ``recordings``.

    A source without a validation split gets one, see ``splits.with_validation``; the report says so.

    Raises:
        DataError: the source does not exist, its format is unknown, a file of it is broken, or its cache is damaged.
        OSError: the cache cannot be written: no room, or no permission.
        ValueError: an unknown layout or protocol, folds that cannot be made, or no gaps.
    """
    if gaps:
        whole = recordings(source, layout, outputs, progress, protocol=protocol, folds=folds, fold=fold, persons=persons)
        return _with_gaps(whole, gaps, source)
    clips = _cached(_place(source, outputs), _layout(layout, persons), outputs, progress or terminal_progress())
    table, note = splits.divide(clips.table, str(source), protocol, folds, fold)
    report = f"{clips.report}\n{note}" if note else clips.report
    divided = replace(clips, table=table[list(COLUMNS)], report=report)
    vars(divided)["checksum"] = clips.checksum  # the keypoints are the same
    return divided


def _with_gaps(whole: Recordings, per_gesture: float, source: str | Path) -> Clips:
    """The clips of the gestures of some recordings and of the gaps between, whose ids are ``<video>_gap<number>``."""
    if NO_GESTURE in whole.classes:
        raise ValueError(f"{source}: has a class {NO_GESTURE!r} of its own, which clips of gaps would join; set `gaps` to 0, or rename it")
    parts = gaps_of_videos.draw(whole.table, whole.segments, per_gesture)
    if parts.empty:
        found = f"{len(whole.segments)} annotated gestures in {len(whole)} videos"
        raise ValueError(
            f"{source}: {found} leave no gap of {gaps_of_videos.SHORTEST} frames for {per_gesture:g} clips each; set `gaps` to 0"
        )
    gestures, between = whole.cut(), replace(whole, segments=parts.assign(label=len(whole.classes))).cut()
    ids = between.table["id"].str.replace(r"_(?=\d+$)", "_gap", regex=True)
    note = f"{len(parts)} parts of the gaps between gestures are clips of class {NO_GESTURE!r}."
    return replace(
        gestures,
        table=pd.concat([gestures.table, between.table.assign(id=ids)], ignore_index=True),
        classes=(*whole.classes, NO_GESTURE),
        class_regions=(*whole.class_regions, "other") if whole.class_regions else (),
        report=f"{whole.report}\n{note}",
    )


def recordings(
    source: str | Path,
    layout: str | Layout = "imigue41",
    outputs: str | Path = "",
    progress: Progress | None = None,
    *,
    protocol: str = "",
    folds: int = 0,
    fold: int = 0,
    persons: int = 1,
    fps: float = 0.0,
) -> Recordings:
    """The whole videos of a folder, in the joints of ``layout``, with their annotated segments.

    The arguments are those of ``load``, and so are splits: a recording is in the split of its clips.

    Args:
        fps: frames per second of all videos. 0: what the source says, or else 25, which is reported.

    Raises:
        DataError: as ``load`` does, or the source has only cut clips.
        OSError, ValueError: as ``load`` does.
    """
    if not 0 <= fps <= cutting.HIGHEST_FPS:
        raise ValueError(f"fps must be 0 (of the source) to {cutting.HIGHEST_FPS:g}, got {fps!r}")
    whole = _cached(_place(source, outputs), _layout(layout, persons), outputs, progress or terminal_progress(), whole=True)
    assert isinstance(whole, Recordings)
    table, note = splits.divide(whole._cut(), str(source), protocol, folds, fold)
    used = table[table["split"] != UNUSED].drop_duplicates("video").set_index("video")["split"]
    unknown = whole.table["fps"] == 0
    assumed = f"The source does not say the frames per second of {unknown.sum()} videos: {ASSUMED_FPS:g} assumed; give `fps` to change it."
    rates = fps or whole.table["fps"].mask(unknown, ASSUMED_FPS)
    table = whole.table.assign(split=whole.table["video"].map(used).fillna(UNUSED), fps=rates)[[*COLUMNS, "fps"]]
    report = "\n".join(filter(None, (whole.report, note, assumed if unknown.any() and not fps else "")))
    divided = replace(whole, table=table, report=report)
    vars(divided)["checksum"] = whole.checksum
    return divided


def has_recordings(source: str | Path, outputs: str | Path = "") -> bool:
    """Whether a source has whole videos, and not only cut clips. Raises DataError as ``load`` does."""
    return isinstance(_reader(_place(source, outputs)), RecordingReader)


def _layout(layout: str | Layout, persons: int) -> Layout:
    if persons not in (1, 2):
        raise ValueError(f"persons must be 1 or 2, got {persons!r}")
    layout = layouts.get(layout) if isinstance(layout, str) else layout
    return layouts.pair(layout) if persons == 2 else layout


def _cached(place: Path, layout: Layout, outputs: str | Path, progress: Progress, whole: bool = False) -> Clips:
    """The clips of a source as its reader gave them, or its recordings, from their cache. The table has a column more for each further
    protocol."""
    folder = _cache_folder(place, layout, outputs, whole)
    if not os.path.exists(folder):  # False, too, if nothing may be read there: then it says that nothing can be written there
        reader = _reader(place)
        if (cached := reader.CACHED_LAYOUT or layout.name) == layout.name:
            report = Report()
            clips = (_whole(reader, place).recordings if whole else reader.read)(place, layout, report, progress)
        else:  # a format that is slow to read is read once; other layouts are taken from that cache
            every = _cached(place, layouts.get(cached), outputs, progress, whole)
            joints = select(every.layout, layout, str(place))
            report = Report(classes=every.classes, class_regions=every.class_regions, earlier=every.report)
            report.protocols = {name: dict(zip(every.table["id"], of, strict=True)) for name, of in splits.protocols(every.table).items()}
            clips = (replace(clip, keypoints=clip.keypoints[:, joints]) for clip in every.records())
        _write(folder, clips, layout, report, place)
    return _open(folder, layout)


def _whole(reader: Reader, place: Path) -> RecordingReader:
    """The reader, if it knows whole videos. Raises DataError where it does not."""
    if not isinstance(reader, RecordingReader):
        having = ", ".join(name for name, one in READERS.items() if isinstance(one, RecordingReader))
        name = reader.__name__.rpartition(".")[2]
        raise DataError(f"{place}: format {name} has only cut clips; give whole videos in one of the formats {having}")
    return reader


def terminal_progress() -> Progress:
    """A bar in a terminal, nothing elsewhere."""
    from tqdm import tqdm

    return partial(tqdm, disable=None, leave=False)


@contextmanager
def terminal() -> Iterator[None]:
    """For a command line: a character that the terminal cannot show is printed as ``?``, and a closed pipe ends the program silently.

    A source or a folder that cannot be read ends it with one line.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes what is left when it ends
        raise SystemExit(1) from None
    except DataError as error:
        raise SystemExit(str(error)) from None


def _place(source: str | Path, outputs: str | Path) -> Path:
    """Where the files of a source are: zip files are unpacked, and the smaller synthetic sets written as MiGA folders, once."""
    if synthetic.recognises(source):
        return Path(source)
    if str(source) in synthetic.SIZES:
        place = outputs_folder(outputs) / "data" / f"{source}-v{synthetic.VERSION}"
        if not os.path.exists(place):
            with suppress(FileExistsError):  # another process was first
                synthetic.write(place, str(source))
        return place
    place = _path(source)
    if not os.path.exists(place):
        raise DataError(f"{place}: no such file or folder; give an existing one or one of {', '.join(synthetic.SIZES)}")
    return _unpacked(place, outputs) if place.suffix.lower() == ".zip" and place.is_file() else place


def _unpacked(archive: Path, outputs: str | Path) -> Path:
    about = archive.stat()
    key = hashlib.sha256(repr((str(archive), about.st_size, about.st_mtime_ns)).encode()).hexdigest()[:16]
    place = outputs_folder(outputs) / "data" / f"{archive.stem[:MAX_FOLDER_NAME_LENGTH]}-{key}"
    if not os.path.exists(place):
        with writing.folder(place) as folder:
            limits.unpack(archive, folder)
    return place


def _reader(place: Path) -> Reader:
    """The one reader that recognises the files. Raises DataError where none or several do."""
    if synthetic.recognises(place):
        return synthetic
    known = {name: reader for name, reader in READERS.items() if reader.recognises(place)}
    if len(known) != 1:
        formats = ", ".join(known or READERS)
        raise DataError(
            f"{place}: "
            + (f"could be any of {formats}; give the folder or file of one alone" if known else f"no known format, tried {formats}")
        )
    return next(iter(known.values()))


def _cache_folder(place: Path, layout: Layout, outputs: str | Path, whole: bool = False) -> Path:
    """Where the clips or recordings of a source are cached in a layout: in another folder whenever a reader, joints or a file changes."""
    readers = [(name, reader.VERSION) for name, reader in {**READERS, "synthetic": synthetic}.items()]
    key = hashlib.sha256(repr((VERSION, readers, layout.joints, str(place))).encode())
    for listed in _listing(place):
        key.update(repr(listed).encode())
    key.update(b"recordings" * whole)
    what = f"{place.name[:MAX_FOLDER_NAME_LENGTH]}-{layout.name}{'-recordings' * whole}"
    return outputs_folder(outputs) / "cache" / f"{what}-{key.hexdigest()[:16]}"


def _listing(place: Path) -> Iterator[tuple[str, object]]:
    """Each folder of a source with the names, sizes and times of change of its files. Links are followed, to each folder once.

    Raises:
        DataError: a folder cannot be listed.
    """
    if not place.is_dir():
        yield str(place.parent), _states(str(place.parent), [place.name, pyskl.LABEL_MAP])
        return
    seen = set()
    for folder, folders, files in os.walk(place, onerror=_refuse, followlinks=True):
        about = os.stat(folder)
        if (about.st_dev, about.st_ino) in seen:  # such as a link to a folder above, which would never end
            folders.clear()
            yield folder, os.path.realpath(folder)
        else:
            seen.add((about.st_dev, about.st_ino))
            folders.sort()  # os.walk goes on in this order
            yield folder, _states(folder, sorted(files))


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be listed ({error.strerror}); allow reading this folder, or remove it")


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


def _write(folder: Path, clips: Iterable[Clip], layout: Layout, report: Report, source: Path) -> None:
    """Write a cache.

    Raises:
        DataError: the source has no clips, two with the same id, or a name that a table cannot hold.
        OSError: the disk is full.
    """
    writing.remove_leftovers(folder.parents[1] / "data")
    with writing.folder(folder) as whole:
        whole.mkdir()
        of_videos: list[tuple[Any, ...]] = []
        rows, checksum = _write_keypoints(whole / KEYPOINTS, _noted(clips, of_videos), len(layout.joints), source)
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        if table.empty:
            raise DataError(f"{source}: has no clips; `python -m miga_lib.clips check` shows what was found there")
        if (again := table["id"].duplicated()).any():
            twice = table[table["id"] == table["id"][again].iloc[0]]
            raise DataError(
                f"{source}: ids of clips must differ, {shown(twice['id'].iloc[0])} is there twice (clips {twice.index[0]} and "
                f"{twice.index[1]}, of videos {shown(twice['video'].iloc[0])} and {shown(twice['video'].iloc[1])}); rename or remove one"
            )
        for protocol, of in report.protocols.items():
            of_row = (of.get(id, of.get(video, UNUSED)) for id, video in zip(table["id"], table["video"], strict=True))
            table[f"{splits.PROTOCOL}{protocol}"] = list(of_row)
        if of_videos:
            table["fps"], segments = zip(*of_videos, strict=True)
            each = [(video, *segment) for video, of in zip(table["video"], segments, strict=True) for segment in of]
            (whole / SEGMENTS).write_bytes(pd.DataFrame(each, columns=list(SEGMENT_COLUMNS)).to_csv(index=False).encode())
        (whole / TABLE).write_bytes(table.to_csv(index=False).encode())
        about: dict[str, Any] = {"folder": folder.name, "layout": layout.name, "joints": layout.joints}
        about |= {"classes": report.classes, "class_regions": report.class_regions, "report": str(report)}
        about |= {"keypoints": checksum, "written": (whole / KEYPOINTS).stat().st_mtime_ns}
        (whole / ABOUT).write_text(json.dumps(about | {"checksum": _checksum(_text(whole), about)}, indent=1), encoding="utf-8")


def _noted(clips: Iterable[Clip], of_videos: list[tuple[Any, ...]]) -> Iterator[Clip]:
    """The same clips; frame rate and segments of recordings are added to a list, since their keypoints are not kept."""
    for clip in clips:
        if isinstance(clip, Recording):
            of_videos.append((clip.fps, clip.segments))
        yield clip


def _text(folder: Path) -> bytes:
    """The tables of a cache."""
    return b"".join((folder / name).read_bytes() for name in (TABLE, SEGMENTS) if (folder / name).exists())


def _write_keypoints(path: Path, clips: Iterable[Clip], joints: int, source: Path) -> tuple[list[tuple[Any, ...]], str]:
    """Write the keypoints of clip after clip, of any number of clips, to a npy file; gives the rows of the table and a checksum."""
    header = {"descr": "<f4", "fortran_order": False}
    rows, frames, checksum = [], 0, 0
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": (0, joints, 3)})
        for clip in clips:
            content = np.ascontiguousarray(clip.keypoints, dtype="<f4").tobytes()
            file.write(content)
            rows.append(_row(clip, frames, source))
            frames += len(clip.keypoints)
            checksum = zlib.crc32(content, checksum)
        # numpy pads the header so that the length of the first axis can grow in place
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, header | {"shape": (frames, joints, 3)})
    return rows, f"{checksum:08x}"


def _row(clip: Clip, start: int, source: str | Path = "the source") -> tuple[Any, ...]:
    """A clip's row of the table. Raises DataError for a name that a table cannot hold."""
    for name in (clip.id, clip.video, clip.subject):
        if not name.isprintable() or len(name) > MAX_NAME_LENGTH:
            rule = f"ids, videos and subjects are up to {MAX_NAME_LENGTH} printable characters"
            raise DataError(f"{source}: {rule}, found {shown(name)}; rename it")
    missing = float((clip.keypoints[..., 2] == 0).mean())
    return (clip.id, clip.label, clip.split, clip.video, clip.subject, len(clip.keypoints), clip.width, clip.height, missing, start)


def _checksum(table: bytes, about: dict[str, Any]) -> str:
    """CRC-32 of all that a cache holds beside the keypoints."""
    return f"{zlib.crc32(json.dumps(about).encode(), zlib.crc32(table)):08x}"


def _open(folder: Path, layout: Layout, every_byte: bool = False) -> Clips:
    """The clips of a cache, once it was compared with what was written there.

    The table, the text beside it and the shape of the keypoints are always compared. The keypoints themselves are compared where
    their file was changed or copied after it was written, and with ``every_byte``.

    Raises:
        DataError: something differs; the message says to delete the folder.
    """
    try:
        about = json.loads((folder / ABOUT).read_bytes())
        if about.pop("checksum") != _checksum(_text(folder), about) or about["folder"] != folder.name:
            raise ValueError(f"{TABLE} or {ABOUT} is not as it was written")
        table = pd.read_csv(folder / TABLE, dtype=COLUMNS | {"fps": float}, keep_default_na=False)  # the columns of protocols are text, too
        keypoints, shape = limits.array(folder / KEYPOINTS), (int(table["frames"].sum()), len(layout.joints), 3)
        if keypoints.shape != shape or keypoints.dtype.str != "<f4":
            raise ValueError(f"{KEYPOINTS} has shape {keypoints.shape} and type {keypoints.dtype}, not {shape} and float32")
        state = (folder / KEYPOINTS).stat()
        if every_byte or state.st_mtime_ns != about["written"]:
            if f"{zlib.crc32(keypoints.data):08x}" != about["keypoints"]:
                raise ValueError(f"{KEYPOINTS} is not as it was written")
            with suppress(OSError):  # a copy: the next time need not compare it again
                os.utime(folder / KEYPOINTS, ns=(state.st_atime_ns, about["written"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BufferError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{folder}: this cache is damaged ({reason}); delete this folder and load the clips again") from None
    of = table, keypoints, layout, tuple(about["classes"]), about["report"], tuple(about.get("class_regions", ()))
    segments = pd.read_csv(folder / SEGMENTS, dtype=SEGMENT_COLUMNS, keep_default_na=False) if (folder / SEGMENTS).exists() else None
    clips = Clips(*of) if segments is None else Recordings(*of, segments=segments)
    vars(clips)["checksum"] = about["keypoints"]  # known, so never computed; `replace` leaves it behind
    return clips


def hold_out(clips: Clips, fold: int = 0, folds: int = splits.HELD_OUT, seed: int = 0) -> Clips:
    """The same clips with training and validation divided anew, see ``splits.hold_out``."""
    return replace(clips, table=splits.hold_out(clips.table, fold, folds, seed))


def check(source: str | Path, layout: str = "imigue41", outputs: str | Path = "") -> tuple[str, bool]:
    """A text on what a source holds, what is unusual and what is wrong in it and in its caches; and whether it can be used."""
    errors: list[str] = []
    report, rows, heading = Report(errors=errors), [], str(source)
    try:
        place = _place(source, outputs)
        reader = _reader(place)
        heading = f"{place}: {(reader.__doc__ or '').partition(chr(10))[0].rstrip('.')} [{reader.__name__.rpartition('.')[2]}]"
        for clip in checks.look(reader.read(place, layouts.get(layout), report, terminal_progress()), report):
            rows.append(_row(clip, 0, place))
        for cached in map(layouts.get, {layout, reader.CACHED_LAYOUT or layout}):
            if (folder := _cache_folder(place, cached, outputs)).exists():
                _open(folder, cached, every_byte=True)
    except ValueError as error:
        errors.append(str(error))
    if not rows and not errors:
        errors.append("the source has no clips")
    lines = [heading, ""]
    if rows:
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        found = Clips(table, np.zeros(0), layouts.get(layout), report.classes, "")
        note = splits.with_validation(table)[1]
        lines += [found.summary().to_string(na_rep="–", float_format="%g"), f"{len(report.classes)} classes, layout {layout!r}", ""]
        lines += [f"Protocols: {', '.join(report.protocols)}. The first is shown.", ""] if report.protocols else []
        lines += [note, ""] if note else []
    lines += [str(report), ""] if report.events else []
    lines += [f"ERROR {error}" for error in errors[:MAX_ERRORS_SHOWN]]
    lines += [f"… and {len(errors) - MAX_ERRORS_SHOWN} more errors"] * (len(errors) > MAX_ERRORS_SHOWN)
    lines += [f"Cannot be used: {len(errors)} error{'s' * (len(errors) > 1)}." if errors else "Can be used."]
    return "\n".join(lines), not errors


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """``python -m miga_lib.clips check <source>``: exit status 1 where the source cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m miga_lib.clips", description="Check a source of clips.")
    checking = parser.add_subparsers(required=True).add_parser("check", help="show what it holds and what is wrong in it and in its caches")
    checking.add_argument("source", help="folder or file of clips")
    checking.add_argument("--layout", default="imigue41", help="default 'imigue41'")
    checking.add_argument("--outputs", default="", help="where caches and unpacked zip files are; empty: the repository's outputs/")
    text, usable = check(**vars(parser.parse_args(arguments)))
    print(text)
    raise SystemExit(0 if usable else 1)


if __name__ == "__main__":
    main()
