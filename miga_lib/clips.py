"""A set of clips: a table with a row for each clip, and the keypoints of all clips in one array that stays on
disk.

``load`` recognises the format of a folder or file and reads it once into a cache. Later loads take less than
a second. ``load_recordings`` does the same for whole videos.
"""

import argparse
import hashlib
import io
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from . import atomic, cache, layouts, no_gesture, splits, synthetic
from .cache import COLUMNS
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
    annotation,
    checks,
    select,
    shown,
    untrusted,
)

ASSUMED_FPS = 25.0
"""Frames per second where neither the source nor the user says it: that of iMiGUE."""
MAX_ERRORS_SHOWN = 20
ClipsOrRecordings = TypeVar("ClipsOrRecordings", bound="Clips")


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips and their keypoints. Neither is changed in place: ``dataclasses.replace`` makes other clips.

    ``table`` has the columns id, label (−1: unknown), split, video, subject (empty: unknown), frames, width,
    height, missing (the share of missing joints) and start: clip i is ``keypoints[start : start + frames]``,
    which is ``clips[i]``. ``keypoints`` is (F, V, 3) float32, all frames of all clips. ``report`` says what
    the reader had to repair.
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
    cached: Path | None = None
    """The folder of the cache that they were loaded from; None: clips that were not loaded."""

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> np.ndarray:
        """Keypoints (T, V, 3) of the clip in that row of the table."""
        start, frames = self.table["start"].iloc[index], self.table["frames"].iloc[index]
        return self.keypoints[start : start + frames]

    @cached_property
    def checksum(self) -> str:
        """CRC-32 of the keypoints of all clips, in the order of the table: the same for the same content,
        whatever its source.

        For clips as loaded it is the one that their cache keeps. For others (``where``, ``hold_out``,
        ``replace``) it is computed.
        """
        keypoints, checksum = np.asarray(self.keypoints), 0
        for start, frames in zip(self.table["start"], self.table["frames"], strict=True):
            checksum = zlib.crc32(
                np.ascontiguousarray(keypoints[start : start + frames], dtype="<f4").data, checksum
            )
        return f"{checksum:08x}"

    def records(self) -> Iterator[Clip]:
        """The clips one by one, with what the table says of each."""
        fields = ["id", "label", "split", "video", "subject", "width", "height"]
        for i, row in enumerate(self.table[fields].itertuples(index=False)):
            yield Clip(**row._asdict(), keypoints=self[i])

    def where(self: ClipsOrRecordings, rows: Sequence[int] | pd.Series | np.ndarray) -> ClipsOrRecordings:
        """The clips of some rows, given as a boolean for each row or as row numbers."""
        return replace(
            self,
            table=self.table[np.asarray(rows)] if np.asarray(rows).dtype == bool else self.table.iloc[rows],
        )

    def split(self: ClipsOrRecordings, name: str) -> ClipsOrRecordings:
        """The clips of one split. Raises ValueError, with the names of the splits, where it has none."""
        if not (chosen := self.table["split"] == name).any():
            raise ValueError(
                f"there are no clips of split {name!r:.100}; there are {', '.join(sorted(self.table['split'].unique()))}"
            )
        return self.where(chosen)

    def summary(self) -> pd.DataFrame:
        """A row for each split: clips, classes with clips, videos, subjects, median frames, and the share of
        missing joints."""
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
        """The group of each clip, which must stay whole when clips are divided: its subject where that is
        known, else its video."""
        return splits.groups(self.table)


@dataclass(frozen=True, eq=False)
class Recordings(Clips):
    """Whole videos. Each is a clip of unknown class whose id is the video, so everything that takes clips
    takes recordings.

    ``table`` also has the column fps, frames per second. A set that was not annotated has no segments.
    """

    segments: pd.DataFrame = field(kw_only=True)
    """A row for each gesture, in the order of the source: video, label (−1: unknown), first and last frame,
    counted from 0, inclusive."""

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
        """The clip of each segment, as ``load`` gives it; without segments, the whole videos. The keypoints
        are not copied."""
        table = self._cut()
        clips = Clips(
            table,
            self.keypoints,
            self.layout,
            self.classes,
            self.report,
            self.class_regions,
            self.denoised,
            self.cached,
        )
        missing = [float((clips[i][..., 2] == 0).mean()) for i in range(len(clips))]
        return replace(clips, table=table.assign(missing=missing)[list(COLUMNS)])

    @property
    def ids(self) -> pd.Series:
        """The id of the clip of each segment: the video, and the number of the segment in it."""
        return (
            self.segments["video"] + "_" + self.segments.groupby("video", sort=False).cumcount().astype(str)
        )

    def _cut(self) -> pd.DataFrame:
        """The table of ``cut``, in which the share of missing joints is that of the whole video."""
        if self.segments.empty:
            return self.table
        table = self.segments[["video"]].merge(self.table, on="video").set_axis(self.segments.index)
        frames, start = (
            self.segments["last"] - self.segments["first"] + 1,
            table["start"] + self.segments["first"],
        )
        table = table.assign(id=self.ids, label=self.segments["label"], frames=frames, start=start)
        return table.reset_index(drop=True)


def outputs_folder(outputs: str | Path = "") -> Path:
    """Where everything is written: ``outputs``, else the variable ``MIGA_OUTPUTS``, else ``outputs/`` of the
    repository."""
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
    no_gesture_ratio: float = 0.0,
) -> Clips:
    """The clips of a folder or file, in the joints of ``layout``.

    Args:
        source: MiGA folders, MiGA'23 arrays, the full iMiGUE release, OpenPose's output, a PySkl pickle, …,
            each also as a zip file; or the name of a synthetic set: ``synthetic-smoke``, ``synthetic`` or
            ``synthetic-full``. README.md lists all formats.
        layout: a layout, its name, or the path of its JSON file, see ``layouts.save``.
        outputs: where the cache is kept, see ``outputs_folder``.
        progress: shows how much was read, called like ``tqdm``; by default a bar in a terminal and nothing
            elsewhere.
        protocol: the way to split, where the source has several, such as ``xview``; empty: its first one.
            With ``leave-one-subject-out``, each subject is a fold.
        folds, fold: cross-validation, see ``splits.cross_validate``; ``folds`` = 0: none.
        persons: 2: the second person is kept, so the layout has every joint twice, see ``layouts.pair``.
        no_gesture_ratio: above 0: clips of the gaps between gestures follow, of one class more,
            ``labels.NO_GESTURE``; so many for each gesture, see ``no_gesture.draw``. The source must have whole
            videos, see ``load_recordings``.

    A source without a validation split gets one, see ``splits.with_validation``; the report says so.

    Raises:
        DataError: the source does not exist, its format is unknown, a file of it is broken, or its cache is
            damaged.
        OSError: the cache cannot be written: no room, or no permission.
        ValueError: an unknown layout or protocol, folds that cannot be made, or no gaps.
    """
    if no_gesture_ratio:
        whole = load_recordings(
            source, layout, outputs, progress, protocol=protocol, folds=folds, fold=fold, persons=persons
        )
        return _with_gaps(whole, no_gesture_ratio, source)
    clips = _cached(
        _place(source, outputs), _layout(layout, persons), outputs, progress or terminal_progress()
    )
    table, note = splits.divide(clips.table, str(source), protocol, folds, fold)
    report = f"{clips.report}\n{note}" if note else clips.report
    divided = replace(clips, table=table[list(COLUMNS)], report=report)
    vars(divided)["checksum"] = clips.checksum  # the keypoints are the same
    return divided


def _with_gaps(whole: Recordings, per_gesture: float, source: str | Path) -> Clips:
    """The clips of the gestures of some recordings and of the gaps between, whose ids are
    ``<video>_gap<number>``."""
    if NO_GESTURE in whole.classes:
        raise ValueError(
            f"{source}: has a class {NO_GESTURE!r} of its own, which these clips would join; set `no_gesture_ratio` to 0, or rename it"
        )
    parts = no_gesture.draw(whole.table, whole.segments, per_gesture)
    if parts.empty:
        found = f"{len(whole.segments)} annotated gestures in {len(whole)} videos"
        raise ValueError(
            f"{source}: {found} leave no gap of {no_gesture.SHORTEST} frames for {per_gesture:g} clips each; set `no_gesture_ratio` to 0"
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


def load_recordings(
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
    if not 0 <= fps <= annotation.MAX_FPS:
        raise ValueError(f"fps must be 0 (of the source) to {annotation.MAX_FPS:g}, got {fps!r}")
    whole = _cached(
        _place(source, outputs),
        _layout(layout, persons),
        outputs,
        progress or terminal_progress(),
        whole=True,
    )
    assert isinstance(whole, Recordings)
    table, note = splits.divide(whole._cut(), str(source), protocol, folds, fold)
    used = table[table["split"] != UNUSED].drop_duplicates("video").set_index("video")["split"]
    unknown = whole.table["fps"] == 0
    assumed = f"The source does not say the frames per second of {unknown.sum()} videos: {ASSUMED_FPS:g} assumed; give `fps` to change it."
    rates = fps or whole.table["fps"].mask(unknown, ASSUMED_FPS)
    table = whole.table.assign(split=whole.table["video"].map(used).fillna(UNUSED), fps=rates)[
        [*COLUMNS, "fps"]
    ]
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


def _cached(
    place: Path, layout: Layout, outputs: str | Path, progress: Progress, whole: bool = False
) -> Clips:
    """The clips of a source as its reader gave them, or its recordings, from their cache. The table has a
    column more for each further protocol."""
    folder = cache.folder(place, layout, outputs_folder(outputs), whole)
    if not os.path.exists(
        folder
    ):  # False, too, if nothing may be read there: then it says that nothing can be written there
        reader = _reader(place)
        if (name := reader.CACHED_LAYOUT or layout.name) == layout.name:
            report = Report()
            clips = (_whole(reader, place).recordings if whole else reader.read)(
                place, layout, report, progress
            )
        else:  # a format that is slow to read is read once; other layouts are taken from that cache
            every = _cached(place, layouts.get(name), outputs, progress, whole)
            joints = select(every.layout, layout, str(place))
            report = Report(classes=every.classes, class_regions=every.class_regions, earlier=every.report)
            report.protocols = {
                name: dict(zip(every.table["id"], of, strict=True))
                for name, of in splits.protocols(every.table).items()
            }
            clips = (replace(clip, keypoints=clip.keypoints[:, joints]) for clip in every.records())
        cache.write(folder, clips, layout, report, place)
    cached = cache.read(folder, layout)
    of = cached.table, cached.keypoints, layout, cached.classes, cached.report, cached.class_regions
    found = (
        Clips(*of, cached=folder)
        if cached.segments is None
        else Recordings(*of, cached=folder, segments=cached.segments)
    )
    vars(found)["checksum"] = cached.checksum  # known, so never computed; `replace` leaves it behind
    return found


def _whole(reader: Reader, place: Path) -> RecordingReader:
    """The reader, if it knows whole videos. Raises DataError where it does not."""
    if not isinstance(reader, RecordingReader):
        having = ", ".join(name for name, one in READERS.items() if isinstance(one, RecordingReader))
        name = reader.__name__.rpartition(".")[2]
        raise DataError(
            f"{place}: format {name} has only cut clips; give whole videos in one of the formats {having}"
        )
    return reader


def terminal_progress() -> Progress:
    """A bar in a terminal, nothing elsewhere."""
    from tqdm import tqdm

    return partial(tqdm, disable=None, leave=False)


@contextmanager
def terminal() -> Iterator[None]:
    """For a command line: a character that the terminal cannot show is printed as ``?``, and a closed pipe
    ends the program silently.

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
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # Python writes what is left when it ends
        raise SystemExit(1) from None
    except DataError as error:
        raise SystemExit(str(error)) from None


def _place(source: str | Path, outputs: str | Path) -> Path:
    """Where the files of a source are: zip files are unpacked, and the smaller synthetic sets written as MiGA
    folders, once."""
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
        raise DataError(
            f"{place}: no such file or folder; give an existing one or one of {', '.join(synthetic.SIZES)}"
        )
    return _unpacked(place, outputs) if place.suffix.lower() == ".zip" and place.is_file() else place


def _unpacked(archive: Path, outputs: str | Path) -> Path:
    about = archive.stat()
    key = hashlib.sha256(repr((str(archive), about.st_size, about.st_mtime_ns)).encode()).hexdigest()[:16]
    place = outputs_folder(outputs) / "data" / f"{archive.stem[: cache.MAX_FOLDER_NAME_LENGTH]}-{key}"
    if not os.path.exists(place):
        with atomic.folder(place) as folder:
            untrusted.unpack(archive, folder)
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
            + (
                f"could be any of {formats}; give the folder or file of one alone"
                if known
                else f"no known format, tried {formats}"
            )
        )
    return next(iter(known.values()))


def hold_out(clips: Clips, fold: int = 0, folds: int = splits.HELD_OUT, seed: int = 0) -> Clips:
    """The same clips with training and validation divided again, see ``splits.hold_out``."""
    return replace(clips, table=splits.hold_out(clips.table, fold, folds, seed))


def check(source: str | Path, layout: str = "imigue41", outputs: str | Path = "") -> tuple[str, bool]:
    """A text on what a source holds, what is unusual and what is wrong in it and in its caches; and whether
    it can be used."""
    errors: list[str] = []
    report, rows, heading = Report(errors=errors), [], str(source)
    try:
        place = _place(source, outputs)
        reader = _reader(place)
        heading = f"{place}: {(reader.__doc__ or '').partition(chr(10))[0].rstrip('.')} [{reader.__name__.rpartition('.')[2]}]"
        for clip in checks.look(reader.read(place, layouts.get(layout), report, terminal_progress()), report):
            rows.append(cache.row(clip, 0, place))
        for cached, whole in product(
            map(layouts.get, {layout, reader.CACHED_LAYOUT or layout}), (False, True)
        ):
            if (folder := cache.folder(place, cached, outputs_folder(outputs), whole)).exists():
                cache.read(folder, cached, every_byte=True)
    except ValueError as error:
        errors.append(str(error))
    if not rows and not errors:
        errors.append("the source has no clips")
    lines = [heading, ""]
    if rows:
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        found = Clips(table, np.zeros(0), layouts.get(layout), report.classes, "")
        note = splits.with_validation(table)[1]
        lines += [
            found.summary().to_string(na_rep="–", float_format="%g"),
            f"{len(report.classes)} classes, layout {layout!r}",
            "",
        ]
        lines += (
            [f"Protocols: {', '.join(report.protocols)}. The first is shown.", ""] if report.protocols else []
        )
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
    checking = parser.add_subparsers(required=True).add_parser(
        "check", help="show what it holds and what is wrong in it and in its caches"
    )
    checking.add_argument("source", help="folder or file of clips")
    checking.add_argument("--layout", default="imigue41", help="default 'imigue41'")
    checking.add_argument(
        "--outputs",
        default="",
        help="where caches and unpacked zip files are; empty: the repository's outputs/",
    )
    text, usable = check(**vars(parser.parse_args(arguments)))
    print(text)
    raise SystemExit(0 if usable else 1)


if __name__ == "__main__":
    main()
