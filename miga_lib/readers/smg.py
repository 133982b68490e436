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
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import labels, layouts
from ..layouts import Layout
from . import annotation, folders, tables, untrusted
from .contract import MAX_COORDINATE, UNKNOWN, Clip, DataError, Progress, Recording, Report, repair, select

VERSION = 1
CACHED_LAYOUT = "kinect25"

SKELETON, LABELS, ABOUT = "_skeleton.csv", "_finelabels.csv", "_data.csv"
PERSON = "Sample[0-9][0-9][0-9][0-9]"
DEPTH = 6
"""Levels below the source where the tables may be."""
PROTOCOLS = {
    "challenge": {"train": range(1, 31), "val": range(31, 36), "test": range(36, 41)},
    "kit": {"train": range(1, 36), "test": range(36, 41)},
}
"""The people of each split: of the MiGA challenges, which is the default, and of the authors' kits."""
SPLIT_FOLDERS = {"smg_skeleton_train": "train", "smg_skeleton_validate": "val", "smg_skeleton_test": "test"}
ROWS = {"half_open": "start … end − 1", "inclusive": "start − 1 … end − 1"}
"""The rows, counted from 0, of a segment: in the kit for clips, and in the kit for spotting."""
OPTIONS = {"frames": tuple(ROWS), "pixels": ("auto", "7-8", "9-10")}
"""What ``reader.json`` may set: the rows of a segment, and the numbers of a joint, counted from 0, that are
its pixels."""
JOINTS = (
    tables.Joint(11, "x, y, z, orientation, two pairs of pixels", (7, 9)),
    tables.Joint(9, "x, y, z, orientation, pixels", (7,)),
)
SIZES = {"depth": (512, 424), "colour": (1920, 1080)}
"""Width and height of the pictures of a Kinect v2."""
MIN_SPREAD = 10
"""Pixels between the joints of a person; numbers that are nearer to each other are something else."""
ABOUT_COLUMNS = {"numframes": "numFrames", "fps": "fps", "maxdepth": "maxDepth"}


def recognises(source: Path) -> bool:
    """Whether the folder, at some usual depth, has tables of SMG's joints."""
    return bool(folders.below(source, PERSON + SKELETON, DEPTH))


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all people, by person and row of the label file."""
    return annotation.cut(recordings(source, layout, report, progress))


def recordings(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Recording]:
    """The recording of each person with labels, split by person as in each of ``PROTOCOLS``. Whether the
    pixels are of the depth or the colour picture is recognised by their values."""
    joints = select(layouts.get(CACHED_LAYOUT), layout, str(source))
    paths = folders.below(source, folders.OPTIONS, DEPTH)
    place = folders.single(paths, source, folders.OPTIONS)
    options = folders.options((place or source / folders.OPTIONS).parent, OPTIONS)
    people = _people(source, report)
    report.classes = labels.SMG_CLASSES
    report.protocols |= {name: {} for name in PROTOCOLS}
    rule, (other,) = options["frames"], set(ROWS) - {options["frames"]}
    way_out = f"for {ROWS[other]}, set frames to {other!r} in {folders.OPTIONS}"
    event = f"clips are the rows {ROWS[rule]} of their segments, counted from 0; {way_out}"
    report.note(event, source.name)
    segments = [_segments(path, rule, report) for path in people.values()]
    calls = ((path, joints, options["pixels"]) for path in people.values())
    frames = annotation.read_videos(_frames, calls, report, progress)
    for person, rows, video in zip(people, segments, frames, strict=True):
        if rows and video:
            for protocol, splits in report.protocols.items():
                splits[person] = _split(person, protocol)
            keypoints, (width, height), fps = video
            names = (
                person,
                UNKNOWN,
                _split(person, "challenge"),
                person,
                str(int(person.removeprefix("Sample"))),
            )
            recording = Recording(*names, width, height, keypoints, fps, tuple(rows))
            yield annotation.clamped(recording, report)


def _split(person: str, protocol: str) -> str:
    """The split of a person; empty if there is no such person."""
    number = int(person.removeprefix("Sample"))
    return next((split for split, numbers in PROTOCOLS[protocol].items() if number in numbers), "")


def _people(source: Path, report: Report) -> dict[str, Path]:
    """The table of joints of each person who also has labels. Raises DataError if a person is there twice."""
    tables_of: dict[str, list[Path]] = {}
    for path in folders.below(source, PERSON + SKELETON, DEPTH):
        tables_of.setdefault(path.name.removesuffix(SKELETON), []).append(path)
    places = [path for path in folders.below(source, PERSON, DEPTH) if path.is_dir()]
    for place in sorted({source, *(path.parent for path in places)}):
        folders.inside(place, report)
    for person in sorted({path.name for path in places} - set(tables_of)):
        report.note(f"folders without a file {SKELETON} left out", person)
    people = {}
    for person, (path, *others) in sorted(tables_of.items()):
        folders.single([path, *others], source, path.name)
        split, folder = _split(person, "challenge"), path.parent.name
        if not split or (re.fullmatch(PERSON, folder) and folder != person):
            rule = "the people of SMG are Sample0001 to Sample0040, each in a folder of that name"
            report.wrong(f"{path}: {rule}; correct the names")
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
    """Class index, first and last row of each clip of a person; overlapping ones are reported."""
    person = path.name.removesuffix(SKELETON)
    rows = annotation.read(path.with_name(person + LABELS), report, index=_class)
    segments = [(label, start - (rule == "inclusive"), end - 1) for label, start, end in rows]
    ordered = sorted((first, last) for _, first, last in segments)
    reach = itertools.accumulate((last for _, last in ordered), max)
    overlapping = sum(first <= before for (first, _), before in zip(ordered[1:], reach, strict=False))
    event = "people with segments that begin before an earlier one ends"
    report.count(event, person, overlapping, len(segments))
    return segments


def _frames(path: Path, joints: np.ndarray, pixels: str, report: Report) -> tuple[np.ndarray, Any, float]:
    """Keypoints (T, V, 3), width and height of the picture, and frames per second."""
    values = tables.read(path, len(layouts.get(CACHED_LAYOUT).joints), report, JOINTS)
    fps = _check_count(path.with_name(path.name.removesuffix(SKELETON) + ABOUT), len(values), report)
    pair, size = _pair(path, values, pixels, report)
    nothing = np.asarray(~values.any(-1))
    _note_losses(values, nothing, path.name, report)
    unplaced = np.count_nonzero(~pair.any(-1) & ~nothing)
    event = "joints with a position in metres and the pixel 0, 0 taken as missing"
    report.count(event, path.name, unplaced, nothing.size)
    keypoints = np.concatenate([pair, pair.any(-1, keepdims=True)], -1)
    return repair(keypoints, path.name, report)[:, joints], size, fps


def _check_count(path: Path, rows: int, report: Report) -> float:
    """Compare the number of rows with ``numFrames`` of the file beside them; gives its ``fps``, 0 where that
    is no possible number. Raises DataError where the file is another one."""
    if not path.exists():
        report.note(f"people without a file {ABOUT}: the number of their frames was not checked", path.name)
        return 0.0
    table = untrusted.rows(path, ABOUT_COLUMNS)
    if len(table) != 1:
        expected = "expected one row numFrames,fps,maxDepth of whole numbers"
        raise DataError(f"{path}: {expected}; restore the file, or remove it")
    count = untrusted.whole_numbers(path, table[["numFrames"]], 0, annotation.MAX_NUMBER).item()
    if count != rows:
        event = f"numFrames of {ABOUT} is not the number of rows: check that none is missing"
        report.note(event, f"{path.name} ({count}, {rows})")
    fps = float(pd.to_numeric(table["fps"], errors="coerce").iloc[0])
    return fps if 0 < fps <= annotation.MAX_FPS else 0.0


def _pair(
    path: Path, values: Float[np.ndarray, "T V C"], pixels: str, report: Report
) -> tuple[Float[np.ndarray, "T V 2"], tuple[int, int]]:
    """The pair of pixels (x, y) to use, and width and height of its picture: colour rather than depth, if
    ``pixels`` is ``auto``. Raises DataError if it is not pixels, or both are pixels of the same picture."""
    pairs = {"7-8": values[..., 7:9], "9-10": values[..., 9:11]}
    pictures, reaches = {}, []
    for name, pair in pairs.items():
        if pair.shape[-1]:
            pictures[name], reach = _picture(pair)
            reaches.append(f"numbers {name} {reach}: {pictures[name] or 'no'} pixels")
    best = "colour" if "colour" in pictures.values() else "depth"
    fitting = [name for name, picture in pictures.items() if picture == best]
    if pixels != "auto":
        fitting = [name for name, picture in pictures.items() if name == pixels and picture]
    if len(fitting) != 1:
        way_out = f"set pixels to one that fits, '7-8' or '9-10', in {folders.OPTIONS}"
        raise DataError(f"{path}: which numbers of a joint are its pixels? {'; '.join(reaches)}; {way_out}")
    (name,) = fitting
    picture = pictures.pop(name)
    width, height = SIZES[picture]
    event = f"numbers {name} of a joint taken as {picture} pixels ({width} × {height})"
    for other in pictures:
        event += f"; numbers {other} seem to be {pictures[other] or 'no'} pixels"
    report.note(event, path.name)
    return pairs[name], (width, height)


def _picture(pair: Float[np.ndarray, "T V 2"]) -> tuple[str, str]:
    """The smallest of ``SIZES`` that most joints are inside; empty if there is none, or if they are all at
    one place. And their range."""
    places = pair[(np.abs(pair) <= MAX_COORDINATE).all(-1) & pair.any(-1)]
    if not len(places):
        return "", "are empty"
    (left, top), (right, bottom) = np.percentile(places, (5, 95), axis=0)
    reach = f"are {left:.0f} to {right:.0f} and {top:.0f} to {bottom:.0f}"
    for name, size in SIZES.items():
        inside = ((places >= 0) & (places < size)).all(1)
        if inside.mean() > 0.5 and min(right - left, bottom - top) >= MIN_SPREAD:
            return name, reach
    return "", reach


def _note_losses(values: np.ndarray, nothing: np.ndarray, file: str, report: Report) -> None:
    """Report frames and joints of zeros (``nothing`` (T, V)), and those that stayed at exactly their last
    values (T, V, C)."""
    empty = np.asarray(nothing.all(1))
    begun = np.flatnonzero(~empty)[0]
    same = (values[1:] == values[:-1]).all(-1) & ~nothing[1:]
    repeated = same.any(1) & (same | (nothing[1:] & nothing[:-1])).all(1)
    frozen = np.count_nonzero(same & ~repeated[:, None])
    lost, zeros = np.count_nonzero(empty[begun:]), np.count_nonzero(nothing[~empty])
    event = (
        "joints exactly at their last place, where the recorder leaves a joint that it lost: taken as found"
    )
    frames, joints = f"{len(values)} frames", f"{nothing.size} joints"
    report.count("frames of zeros before the first person: all joints missing", file, begun, frames)
    report.count("frames of zeros after the first person: all joints missing", file, lost, frames)
    report.count("joints of zeros in other frames taken as missing", file, zeros, joints)
    report.count("frames exactly as the one before", file, np.count_nonzero(repeated), frames)
    report.count(event, file, frozen, joints)
