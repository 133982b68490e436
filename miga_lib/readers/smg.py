"""SMG (Spontaneous Micro-Gesture): recordings of 40 people with 25 joints of a Kinect v2, and 17 classes.

A folder ``SampleNNNN`` for each person, 1 to 40, all of them in one folder or in
``smg_skeleton_{train,validate,test}``. It holds ``SampleNNNN_skeleton.csv`` with a row a frame and 11 (or 9)
numbers a joint: x, y, z in metres, an orientation of four, and two pairs of pixels (or one).
``SampleNNNN_finelabels.csv`` has a row ``class,start,end`` for each clip, and ``SampleNNNN_data.csv`` the row
``numFrames,fps,maxDepth``. A joint has no score: 1 if it was found. What the format leaves open is set in
``reader.json``: ``OPTIONS``.

Source: the authors' starting kits, github.com/mikecheninoulu/SMG, and their recorder,
github.com/HenglinShi/MicroGestureDataCollection.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import labels, layouts
from ..layouts import Layout
from . import folders, miga, tables, untrusted
from .contract import FARTHEST, Clip, DataError, Progress, Recording, Report, in_parallel, repair, select
from .cutting import HIGHEST_FPS, cut, note_order, recording

VERSION = 1
CACHED_LAYOUT = "kinect25"
"""The tables are slow to read: all joints are cached, and other layouts are selected from this cache."""

SKELETON, LABELS, ABOUT = "_skeleton.csv", "_finelabels.csv", "_data.csv"
PERSON = "Sample[0-9][0-9][0-9][0-9]"
DEPTH = 6
"""How many levels below the source the tables may be."""

PROTOCOLS = {
    "challenge": {"train": range(1, 31), "val": range(31, 36), "test": range(36, 41)},
    "kit": {"train": range(1, 36), "test": range(36, 41)},
}
"""The people of each split: of the MiGA challenges, which is the default, and of the authors' starting
kits."""
SPLIT_FOLDERS = {"smg_skeleton_train": "train", "smg_skeleton_validate": "val", "smg_skeleton_test": "test"}

ROWS = {"half_open": "start … end − 1", "inclusive": "start − 1 … end − 1"}
"""The rows, counted from 0, of a segment: the kit for clips takes the first, the kit for spotting the
second."""
OPTIONS = {"frames": tuple(ROWS), "pixels": ("auto", "7-8", "9-10")}
"""What ``reader.json`` may set: the rows of a segment, and the numbers of a joint, counted from 0, that are
its pixels."""
JOINTS = (
    tables.Joint(11, "x, y, z, orientation, two pairs of pixels", (7, 9)),
    tables.Joint(9, "x, y, z, orientation, pixels", (7,)),
)
SIZES = {"depth": (512, 424), "colour": (1920, 1080)}
"""Width and height of the pictures of a Kinect v2."""
LEAST_SPREAD = 10
"""Pixels between the joints of a person; numbers that are nearer to each other are something else."""
ABOUT_COLUMNS = {"numframes": "numFrames", "fps": "fps", "maxdepth": "maxDepth"}


def recognises(source: Path) -> bool:
    """Whether the folder, at some usual depth, has tables of SMG's joints."""
    return bool(folders.below(source, PERSON + SKELETON, DEPTH))


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all people, by person and row of the label file: ``recordings`` cut at their segments."""
    return cut(recordings(source, layout, report, progress))


def recordings(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Recording]:
    """The recording of each person, split by person as in each of ``PROTOCOLS``.

    Segments are clamped to the recording. The pictures that the pixels belong to, depth or colour, are
    recognised by the values. People without a label file are left out. All of this is reported.

    Raises:
        DataError: naming the file, what was expected of it and what was found.
    """
    joints = select(layouts.get(CACHED_LAYOUT), layout, str(source))
    options = _options(source)
    people = _people(source, report)
    report.classes = labels.SMG_CLASSES
    report.protocols |= {name: {} for name in PROTOCOLS}
    rule, other = options["frames"], next(rows for rows in ROWS if rows != options["frames"])
    what = f"clips are the rows {ROWS[rule]} of their segments, counted from 0; for {ROWS[other]}, set frames to {other!r}"
    report.note(f"{what} in {folders.OPTIONS}", source.name)
    segments = [_segments(path, rule, report) for path in people.values()]
    frames = in_parallel(_keypoints, ((path, joints, options["pixels"]) for path in people.values()))
    for (person, rows), (keypoints, size, fps, events, error) in progress(
        zip(zip(people, segments, strict=True), frames, strict=True), total=len(people), desc="reading people"
    ):
        report.merge(events)
        if error:
            report.wrong(error)
        if rows and len(keypoints):
            for protocol, splits in report.protocols.items():
                splits[person] = _split(person, protocol)
            subject = str(_number(person))
            yield recording(
                person,
                rows,
                keypoints,
                report,
                split=_split(person, "challenge"),
                subject=subject,
                size=size,
                fps=fps,
            )


def _number(person: str) -> int:
    return int(person.removeprefix("Sample"))


def _split(person: str, protocol: str) -> str:
    """The split of a person; empty if there is no such person."""
    return next((split for split, numbers in PROTOCOLS[protocol].items() if _number(person) in numbers), "")


def _options(source: Path) -> dict[str, str]:
    """The choices of ``OPTIONS``, from the only ``reader.json`` in the source, wherever it is."""
    paths = folders.below(source, folders.OPTIONS, DEPTH)
    if len(paths) > 1:
        names = ", ".join(str(path.relative_to(source)) for path in paths[:2])
        raise DataError(f"{source}: found {folders.OPTIONS} {len(paths)} times; keep one of {names}")
    return folders.options(paths[0].parent if paths else source, OPTIONS)


def _people(source: Path, report: Report) -> dict[str, Path]:
    """The table of joints of each person who also has labels, by person. Raises DataError if a person is
    there twice."""
    found: dict[str, Path] = {}
    for path in folders.below(source, PERSON + SKELETON, DEPTH):
        person = path.name.removesuffix(SKELETON)
        if person in found:
            names = ", ".join(str(each.relative_to(source)) for each in (found[person], path))
            raise DataError(f"{source}: found {person}{SKELETON} twice; keep one of {names}")
        found[person] = path
    places = [path for path in folders.below(source, PERSON, DEPTH) if path.is_dir()]
    for place in sorted({source, *(path.parent for path in places)}):
        folders.inside(place, report)
    for person in sorted({path.name for path in places} - set(found)):
        report.note(f"folders without a file {SKELETON} left out", person)
    people = {}
    for person, path in sorted(found.items()):
        folder = path.parent.name
        if not (split := _split(person, "challenge")) or (re.fullmatch(PERSON, folder) and folder != person):
            report.wrong(
                f"{path}: the people of SMG are Sample0001 to Sample0040, each in a folder of that name; correct the names"
            )
            continue
        if any(SPLIT_FOLDERS.get(part, split) != split for part in path.parts):
            report.note("people in the folder of another split: split by their number", person)
        if path.with_name(person + LABELS).exists():
            people[person] = path
        else:
            report.note(f"people without a file {LABELS} left out: their segments are unknown", person)
    return people


def _class(number: int) -> int:
    if not 1 <= number <= len(labels.SMG_CLASSES):
        raise ValueError(f"a class is 1 to {len(labels.SMG_CLASSES)}, found {number}")
    return number - 1


def _segments(path: Path, rule: str, report: Report) -> list[tuple[int, int, int]]:
    """Class index, first and last row of each clip of a person; unsorted, doubled and overlapping ones are
    reported."""
    person = path.name.removesuffix(SKELETON)
    try:
        rows = miga.read_segments(path.with_name(person + LABELS), index=_class)
    except DataError as error:
        report.wrong(str(error))
        return []
    segments = [(label, start - (rule == "inclusive"), end - 1) for label, start, end in rows]
    note_order(segments, person, report)
    ordered = sorted((first, last) for _, first, last in segments)
    reach = itertools.accumulate((last for _, last in ordered), max)
    if overlapping := sum(first <= before for (first, _), before in zip(ordered[1:], reach, strict=False)):
        report.note(
            "people with segments that begin before an earlier one ends",
            f"{person} ({overlapping} of {len(segments)})",
        )
    return segments


def _keypoints(
    path: Path, joints: np.ndarray, pixels: str
) -> tuple[np.ndarray, tuple[int, int], float, dict[str, list[str]], str]:
    """All frames of a person, width and height of the picture, frames per second, the events of the reading,
    and the text of an error."""
    report = Report()
    try:
        values = tables.read(path, len(layouts.get(CACHED_LAYOUT).joints), report, JOINTS)
        fps = _check_count(path.with_name(path.name.removesuffix(SKELETON) + ABOUT), len(values), report)
        pair, size = _pair(path, values, pixels, report)
    except DataError as error:
        return np.zeros((0, len(joints), 3), np.float32), (0, 0), 0.0, {}, str(error)
    nothing = np.asarray(~values.any(-1))
    _note_losses(values, nothing, path.name, report)
    if unplaced := np.count_nonzero(~pair.any(-1) & ~nothing):
        report.note(
            "joints with a position in metres and the pixel 0, 0 taken as missing",
            f"{path.name} ({unplaced} of {nothing.size})",
        )
    found = pair.any(-1, keepdims=True)
    keypoints = repair(np.concatenate([pair, found], -1), path.name, report)[:, joints]
    return keypoints, size, fps, dict(report.events), ""


def _check_count(path: Path, rows: int, report: Report) -> float:
    """Compare the number of rows with ``numFrames`` of the file beside them; gives its ``fps``, 0 where that
    is no possible number.

    Raises:
        DataError: there is no such number in it.
    """
    if not path.exists():
        report.note(f"people without a file {ABOUT}: the number of their frames was not checked", path.name)
        return 0.0
    about = untrusted.rows(path, ABOUT_COLUMNS)[["numFrames", "fps"]].apply(pd.to_numeric, errors="coerce")
    counts = about["numFrames"].tolist()
    if len(counts) != 1 or not 0 <= counts[0] < 2**31 or counts[0] != round(counts[0]):
        raise DataError(
            f"{path}: expected one row numFrames,fps,maxDepth of whole numbers; restore the file, or remove it"
        )
    if counts[0] != rows:
        report.note(
            f"numFrames of {ABOUT} is not the number of rows: check that none is missing",
            f"{path.name} ({counts[0]:.0f}, {rows})",
        )
    return float(fps) if 0 < (fps := about["fps"].iloc[0]) <= HIGHEST_FPS else 0.0


def _pair(
    path: Path, values: Float[np.ndarray, "T V C"], pixels: str, report: Report
) -> tuple[Float[np.ndarray, "T V 2"], tuple[int, int]]:
    """The pair of pixels (x, y) to use, and width and height of its picture: colour rather than depth, if
    ``pixels`` is ``auto``.

    Raises:
        DataError: the pair is not pixels, or two pairs are pixels of the same picture.
    """
    pairs = {
        name: values[..., first : first + 2]
        for name, first in (("7-8", 7), ("9-10", 9))
        if first < values.shape[-1]
    }
    seen = {name: _picture(pair) for name, pair in pairs.items()}
    fitting = [name for picture in ("colour", "depth") for name in seen if seen[name][0] == picture]
    fitting = [
        name
        for name in fitting
        if pixels == name or (pixels == "auto" and seen[name][0] == seen[fitting[0]][0])
    ]
    if len(fitting) != 1:
        found = "; ".join(
            f"numbers {name} {reach}: {picture or 'no'} pixels" for name, (picture, reach) in seen.items()
        )
        raise DataError(
            f"{path}: which numbers of a joint are its pixels? {found}; set pixels to one that fits, '7-8' or '9-10', in {folders.OPTIONS}"
        )
    picture = seen[fitting[0]][0]
    width, height = SIZES[picture]
    others = "".join(
        f"; numbers {name} seem to be {other or 'no'} pixels"
        for name, (other, _) in seen.items()
        if name != fitting[0]
    )
    report.note(
        f"numbers {fitting[0]} of a joint taken as {picture} pixels ({width} × {height}){others}", path.name
    )
    return pairs[fitting[0]], (width, height)


def _picture(pair: Float[np.ndarray, "T V 2"]) -> tuple[str, str]:
    """The smallest of ``SIZES`` that most joints are inside; empty if there is none, or if they are all at
    one place. And their range."""
    places = pair[(np.abs(pair) <= FARTHEST).all(-1) & pair.any(-1)]
    if not len(places):
        return "", "are empty"
    (left, top), (right, bottom) = np.percentile(places, (5, 95), axis=0)
    fitting = (name for name, size in SIZES.items() if ((places >= 0) & (places < size)).all(1).mean() > 0.5)
    picture = next(fitting, "") if min(right - left, bottom - top) >= LEAST_SPREAD else ""
    return picture, f"are {left:.0f} to {right:.0f} and {top:.0f} to {bottom:.0f}"


def _note_losses(values: np.ndarray, nothing: np.ndarray, file: str, report: Report) -> None:
    """Report frames and joints of zeros (``nothing`` (T, V)), and those that stayed at exactly their last
    values (T, V, C)."""
    empty = np.asarray(nothing.all(1))
    begun = np.flatnonzero(~empty)[0]
    same = (values[1:] == values[:-1]).all(-1) & ~nothing[1:]
    repeated = same.any(1) & (same | (nothing[1:] & nothing[:-1])).all(1)
    frozen = np.count_nonzero(same & ~repeated[:, None])
    frames, joints = f"of {len(values)} frames", f"of {nothing.size} joints"
    for event, count, of in (
        ("frames of zeros before the first person: all joints missing", begun, frames),
        (
            "frames of zeros after the first person: all joints missing",
            np.count_nonzero(empty[begun:]),
            frames,
        ),
        ("joints of zeros in other frames taken as missing", np.count_nonzero(nothing[~empty]), joints),
        ("frames exactly as the one before", np.count_nonzero(repeated), frames),
        (
            "joints exactly at their last place, where the recorder leaves a joint that it lost: taken as found",
            frozen,
            joints,
        ),
    ):
        if count:
            report.note(event, f"{file} ({count} {of})")
