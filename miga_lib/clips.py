"""A set of clips: a table with a row for each clip, and the keypoints of all clips in one array that stays on
disk.

``load`` recognises the format of a folder or file and reads it once into a cache. Later loads take less than
a second. ``load_recordings`` does the same for whole videos.
"""

import argparse
import io
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from . import cache, layouts, no_gesture, splits
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
    folders,
    printable,
    select,
    shown,
)
from .sources import JOIN, outputs_folder, place_of, places_of, reader_of, source_name

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
    source: str = ""
    """The name of what they were loaded from, such as ``synthetic``."""
    cached: Path | None = None
    """The folder of the cache that all of them were loaded from; None: clips that were not, or a part."""

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> np.ndarray:
        """Keypoints (T, V, 3) of the clip in that row of the table."""
        start, frames = self.table["start"].iloc[index], self.table["frames"].iloc[index]
        return self.keypoints[start : start + frames]

    @cached_property
    def checksum(self) -> str:
        """CRC-32 of the keypoints of all clips in the order of the table, whatever their source. That of
        clips as loaded is known from their cache."""
        checksum = 0
        for i in range(len(self)):
            checksum = zlib.crc32(np.ascontiguousarray(self[i], dtype="<f4").data, checksum)
        return f"{checksum:08x}"

    def records(self) -> Iterator[Clip]:
        """The clips one by one, with what the table says of each."""
        names = ["id", "label", "split", "video", "subject", "width", "height"]
        for i, row in enumerate(self.table[names].itertuples(index=False)):
            yield Clip(**row._asdict(), keypoints=self[i])

    def where(self: ClipsOrRecordings, rows: Sequence[int] | pd.Series | np.ndarray) -> ClipsOrRecordings:
        """The clips of some rows, given as a boolean for each row or as row numbers."""
        boolean = np.asarray(rows).dtype == bool
        table = self.table[np.asarray(rows)] if boolean else self.table.iloc[rows]
        return replace(self, table=table, cached=None)

    def split(self: ClipsOrRecordings, name: str) -> ClipsOrRecordings:
        """The clips of one split. Raises ValueError, with the names of the splits, where it has none."""
        rows = self.table["split"] == name
        if not rows.any():
            names = ", ".join(sorted(self.table["split"].unique()))
            raise ValueError(f"there are no clips of split {name!r:.100}; there are {names}")
        return self.where(rows)

    def summary(self) -> pd.DataFrame:
        """A row for each split: its clips, classes, videos, subjects, median frames and missing joints."""
        by_split = self.table.groupby("split")
        labelled = self.table[self.table["label"] >= 0].groupby("split")
        columns = {
            "clips": by_split.size(),
            "classes": labelled["label"].nunique(),
            "videos": by_split["video"].nunique(),
            "subjects": self.table[self.table["subject"] != ""].groupby("split")["subject"].nunique(),
            "median frames": by_split["frames"].median(),
            "joints missing": (by_split["missing"].mean() * 100).round(1).astype(str) + " %",
        }
        return pd.DataFrame(columns).reindex(
            [split for split in ("train", "val", "test") if split in by_split.groups]
        )

    @property
    def training_counts(self) -> np.ndarray:
        """The number of training clips of each class, (K,)."""
        training = (self.table["split"] == "train") & (self.table["label"] >= 0)
        return np.bincount(self.table.loc[training, "label"], minlength=len(self.classes))

    def groups(self) -> pd.Series:
        """The group of each clip, see ``splits.groups``."""
        return splits.groups(self.table)

    def _divided(self: ClipsOrRecordings, table: pd.DataFrame, note: str) -> ClipsOrRecordings:
        """The same keypoints with another table, and a note on it in the report."""
        divided = replace(self, table=table, report=f"{self.report}\n{note}".rstrip("\n"))
        vars(divided)["checksum"] = self.checksum
        return divided


@dataclass(frozen=True, eq=False)
class Recordings(Clips):
    """Whole videos. Each is a clip of unknown class whose id is the video, so everything that takes clips
    takes recordings. ``table`` also has the column fps, frames per second."""

    segments: pd.DataFrame = field(kw_only=True)
    """A row for each gesture, in the order of the source: video, label (−1: unknown), first and last frame,
    counted from 0, inclusive. No rows: not annotated."""

    def records(self) -> Iterator[Recording]:
        """As of ``Clips``, with their segments."""
        by_video = dict(list(self.segments.groupby("video")[["label", "first", "last"]]))
        for clip, fps in zip(super().records(), self.table["fps"], strict=True):
            rows = by_video.get(clip.id, self.segments[:0])
            yield Recording(**vars(clip), fps=fps, segments=tuple(rows.itertuples(index=False, name=None)))

    def where(self, rows: Sequence[int] | pd.Series | np.ndarray) -> "Recordings":
        """As of ``Clips``, with their segments."""
        part = super().where(rows)
        return replace(part, segments=self.segments[self.segments["video"].isin(part.table["video"])])

    def cut(self) -> Clips:
        """The clip of each segment, as ``load`` gives it, and videos without segments as a whole."""
        shared = {part.name: getattr(self, part.name) for part in fields(Clips)}
        clips = Clips(**shared | {"table": self._cut()})
        missing = [float((clips[i][..., 2] == 0).mean()) for i in range(len(clips))]
        return replace(clips, table=clips.table.assign(missing=missing)[list(COLUMNS)])

    @property
    def ids(self) -> pd.Series:
        """The id of the clip of each segment."""
        number = self.segments.groupby("video", sort=False).cumcount()
        return self.segments["video"] + "_" + number.astype(str)

    def _cut(self) -> pd.DataFrame:
        """The table of ``cut``, in which the share of missing joints is that of the whole video."""
        table = self.segments[["video"]].merge(self.table, on="video").set_axis(self.segments.index)
        first, last = self.segments["first"], self.segments["last"]
        cut = {"label": self.segments["label"], "frames": last - first + 1, "start": table["start"] + first}
        table = table.assign(id=self.ids, **cut)
        whole = self.table[~self.table["video"].isin(self.segments["video"])]
        if len(whole):
            table, place = pd.concat([table, whole]), self.table["video"].tolist().index
            table = table.sort_values("video", key=lambda video: video.map(place), kind="stable")
        return table.reset_index(drop=True)


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
            ``synthetic-full``. README.md lists all formats. Several, such as the two phases of a challenge,
            are joined by `` + ``: ``"phase1 + phase2.zip"``.
        layout: a layout, its name, or the path of its JSON file, see ``layouts.save``.
        outputs: where the cache is kept, see ``outputs_folder``.
        progress: shows how much was read, called like ``tqdm``; by default a bar in a terminal and nothing
            elsewhere.
        protocol: the way to split, where the source has several, such as ``xview``; empty: its first one.
            With ``leave-one-subject-out``, each subject is a fold.
        folds, fold: cross-validation, see ``splits.cross_validate``; ``folds`` = 0: none.
        persons: 2: the second person is kept, so the layout has every joint twice, see ``layouts.pair``.
        no_gesture_ratio: above 0: clips of the gaps between gestures follow, of one class more,
            ``labels.NO_GESTURE``; so many for each gesture, see ``no_gesture.draw``. The source must have
            whole videos, see ``load_recordings``.

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
    clips = _read(source, _layout(layout, persons), outputs, progress)
    table, note = splits.divide(clips.table, str(source), protocol, folds, fold)
    return clips._divided(table[list(COLUMNS)], note)


def _with_gaps(whole: Recordings, per_gesture: float, source: str | Path) -> Clips:
    """The clips of the gestures of some recordings and of the gaps between, whose ids are
    ``<video>_gap<number>``."""
    way_out = "set `no_gesture_ratio` to 0"
    if NO_GESTURE in whole.classes:
        rule = f"has a class {NO_GESTURE!r} of its own, which these clips would join"
        raise ValueError(f"{source}: {rule}; {way_out}, or rename it")
    parts = no_gesture.draw(whole.table, whole.segments, per_gesture)
    if parts.empty:
        gestures = f"{len(whole.segments)} annotated gestures in {len(whole)} videos"
        gap = f"no gap of {no_gesture.MIN_FRAMES} frames for {per_gesture:g} clips each"
        raise ValueError(f"{source}: {gestures} leave {gap}; {way_out}")
    having_gaps = whole.where(whole.table["video"].isin(parts["video"]))
    clips, gaps = whole.cut(), replace(having_gaps, segments=parts.assign(label=len(whole.classes))).cut()
    ids = gaps.table["id"].str.replace(r"_(?=\d+$)", "_gap", regex=True)
    note = f"{len(parts)} parts of the gaps between gestures are clips of class {NO_GESTURE!r}."
    return replace(
        clips,
        table=pd.concat([clips.table, gaps.table.assign(id=ids)], ignore_index=True),
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
    whole = _read(source, _layout(layout, persons), outputs, progress, whole=True)
    assert isinstance(whole, Recordings)
    clips, note = splits.divide(whole._cut(), str(source), protocol, folds, fold)
    split = clips[clips["split"] != UNUSED].drop_duplicates("video").set_index("video")["split"]
    rates, unknown = whole.table["fps"], whole.table["fps"] == 0
    if unknown.any() and not fps:
        assumed = f"frames per second of {unknown.sum()} videos: {ASSUMED_FPS:g} assumed"
        note += f"\nThe source does not say the {assumed}; give `fps` to change it."
    table = whole.table.assign(split=whole.table["video"].map(split).fillna(UNUSED))
    table = table.assign(fps=fps or rates.mask(unknown, ASSUMED_FPS))
    return whole._divided(table[[*COLUMNS, "fps"]], note.lstrip("\n"))


def has_recordings(source: str | Path, outputs: str | Path = "") -> bool:
    """Whether a source has whole videos, and not only cut clips. Raises DataError as ``load`` does."""
    places = [place_of(part, outputs) for part in places_of(source)]
    return all(isinstance(reader_of(place), RecordingReader) for place in places)


def _read(
    source: str | Path, layout: Layout, outputs: str | Path, progress: Progress | None, whole: bool = False
) -> Clips:
    """The clips or recordings of one place or of several, with all of their splits as the readers gave
    them."""
    places = [place_of(part, outputs) for part in places_of(source)]
    name = source_name(source)
    parts = [_cached(place, layout, outputs, progress, whole, name) for place in places]
    if len(parts) == 1:
        return parts[0]
    first, tables, frames = parts[0], [], 0
    for place, part in zip(places, parts, strict=True):
        if part.classes != first.classes:
            classes = f"{len(part.classes)} classes, and {places[0]} has {len(first.classes)} others"
            raise DataError(f"{place}: has {classes}; join sources of the same classes")
        tables.append(part.table.assign(start=part.table["start"] + frames))
        frames += len(part.keypoints)
    table = pd.concat(tables, ignore_index=True)
    again = table["id"][table["id"].duplicated()].tolist()
    if again:
        rule = f"ids of clips must differ, {shown(again[0])} is in two of the joined sources"
        raise DataError(f"{source}: {rule}; give each clip once")
    for name in splits.protocols(table):
        column = f"{splits.PROTOCOL}{name}"
        table[column] = table[column].fillna(table["split"])
    joined: dict[str, Any] = {"table": table}
    joined["keypoints"] = np.concatenate([part.keypoints for part in parts])
    reports = [f"{place.name}:\n{part.report}" for place, part in zip(places, parts, strict=True)]
    joined["report"] = "\n".join(reports)
    recordings = [part for part in parts if isinstance(part, Recordings)]
    if recordings:
        segments = pd.concat([part.segments for part in recordings], ignore_index=True)
        return replace(recordings[0], segments=segments, cached=None, **joined)
    return replace(first, cached=None, **joined)


def _layout(layout: str | Layout, persons: int) -> Layout:
    if persons not in (1, 2):
        raise ValueError(f"persons must be 1 or 2, got {persons!r}")
    layout = layouts.get(layout) if isinstance(layout, str) else layout
    return layouts.pair(layout) if persons == 2 else layout


def _cached(
    place: Path, layout: Layout, outputs: str | Path, progress: Progress | None, whole: bool, source: str
) -> Clips:
    """The clips of a source as its reader gave them, or its recordings, from their cache."""
    reader = reader_of(place)
    folder = cache.folder(place, reader, layout, outputs_folder(outputs), whole)
    # Also where nothing may be read there: then writing says so.
    if not os.path.exists(folder):
        report = Report()
        stored = layouts.get(reader.CACHED_LAYOUT) if reader.CACHED_LAYOUT else layout
        if stored.name == layout.name:
            read = _whole(reader, place).recordings if whole else reader.read
            records = read(place, layout, report, progress or terminal_progress())
        else:  # a format that is slow to read is read once; other layouts are taken from that cache
            full = _cached(place, stored, outputs, progress, whole, source)
            joints = select(full.layout, layout, str(place))
            report = Report(classes=full.classes, class_regions=full.class_regions, earlier=full.report)
            for name, split in splits.protocols(full.table).items():
                report.protocols[name] = dict(zip(full.table["id"], split, strict=True))
            records = (replace(clip, keypoints=clip.keypoints[:, joints]) for clip in full.records())
        for path in folders.below(place, "*.[zZ][iI][pP]", 1) if place.is_dir() else []:
            event = f"zip files beside the data not read (to read both, give folder{JOIN}file)"
            report.note(event, path.name)
        cache.write(folder, checks.named(records, report), layout, report, place)
    fields = cache.read(folder, layout)
    checksum = fields.pop("checksum")
    fields["source"] = source
    clips = Recordings(**fields) if whole else Clips(**fields)
    vars(clips)["checksum"] = checksum  # so it is not computed; `replace` leaves it behind
    return clips


def _whole(reader: Reader, place: Path) -> RecordingReader:
    """The reader, if it knows whole videos. Raises DataError where it does not."""
    if not isinstance(reader, RecordingReader):
        formats = [name for name, other in READERS.items() if isinstance(other, RecordingReader)]
        rule = f"format {reader.__name__.rpartition('.')[2]} has only cut clips"
        raise DataError(f"{place}: {rule}; give whole videos in one of the formats {', '.join(formats)}")
    return reader


def terminal_progress() -> Progress:
    """A bar in a terminal, nothing elsewhere."""
    from tqdm import tqdm

    return partial(tqdm, disable=None, leave=False)


@contextmanager
def terminal() -> Iterator[None]:
    """For a command line: a character that the terminal cannot show is printed as ``?``, a closed pipe ends
    the program silently, and a source or a folder that cannot be read with one line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python writes what is left when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except DataError as error:
        raise SystemExit(str(error)) from None


def check(source: str | Path, layout: str = "imigue41", outputs: str | Path = "") -> tuple[str, bool]:
    """A text on what a source holds, what is unusual and what is wrong in it and in its caches; and whether
    it can be used. Each place of a joined source is checked by itself."""
    places = places_of(source)
    if len(places) > 1:
        texts, usable = zip(*(check(place, layout, outputs) for place in places), strict=True)
        return "\n\n".join(texts), all(usable)
    errors: list[str] = []
    report, rows, heading = Report(errors=errors), [], str(source)
    try:
        place = place_of(source, outputs)
        reader = reader_of(place)
        title = (reader.__doc__ or "").partition("\n")[0].rstrip(".")
        heading = f"{place}: {title} [{reader.__name__.rpartition('.')[2]}]"
        for clip in checks.look(reader.read(place, layouts.get(layout), report, terminal_progress()), report):
            rows.append(cache.row(clip, 0, place))
        names = {layout, reader.CACHED_LAYOUT or layout}
        for stored, whole in product(map(layouts.get, names), (False, True)):
            folder = cache.folder(place, reader, stored, outputs_folder(outputs), whole)
            if folder.exists():
                cache.read(folder, stored, every_byte=True)
    except ValueError as error:
        errors.append(str(error))
    if not rows and not errors:
        errors.append("the source has no clips")
    lines = [printable(heading), ""]
    if rows:
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        clips = Clips(table, np.zeros(0), layouts.get(layout), report.classes, "")
        lines.append(clips.summary().to_string(na_rep="–", float_format="%g"))
        lines += [f"{len(report.classes)} classes, layout {layout!r}", ""]
        if report.protocols:
            lines += [printable(f"Protocols: {', '.join(report.protocols)}. The first is shown."), ""]
        if note := splits.with_validation(table)[1]:
            lines += [note, ""]
    if report.events:
        lines += [str(report), ""]
    lines += [printable(f"ERROR {error}") for error in errors[:MAX_ERRORS_SHOWN]]
    if len(errors) > MAX_ERRORS_SHOWN:
        lines.append(f"… and {len(errors) - MAX_ERRORS_SHOWN} more errors")
    lines.append(
        f"Cannot be used: {len(errors)} error{'s' * (len(errors) > 1)}." if errors else "Can be used."
    )
    return "\n".join(lines), not errors


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """``python -m miga_lib.clips check <source>``: exit status 1 where the source cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m miga_lib.clips", description="Check a source of clips.")
    purpose = "show what it holds and what is wrong in it and in its caches"
    checking = parser.add_subparsers(required=True).add_parser("check", help=purpose)
    checking.add_argument("source", help="folder or file of clips")
    checking.add_argument("--layout", default="imigue41", help="default 'imigue41'")
    caches = "where caches and unpacked zip files are; empty: the repository's outputs/"
    checking.add_argument("--outputs", default="", help=caches)
    text, usable = check(**vars(parser.parse_args(arguments)))
    print(text)
    raise SystemExit(0 if usable else 1)


if __name__ == "__main__":
    main()
