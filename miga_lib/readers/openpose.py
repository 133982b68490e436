"""The output of OpenPose: a folder for each video, a json file for each frame, any number of people in it;
one is followed.

The number of a frame is at the end of its name, ``…_000000000012_keypoints.json``. ``segments.csv`` beside
the folders lists the clips by those numbers, see ``videos``.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import layouts
from ..layouts import Layout
from . import folders, untrusted, videos
from .contract import Clip, DataError, Progress, Recording, Report, repair, select, shown

VERSION = 4
CACHED_LAYOUT = ""
FRAMES = "_keypoints.json"
FRAME = re.compile(r"(\d{1,15})_keypoints\.json$")
PARTS = {
    "pose_keypoints_2d": 25,
    "face_keypoints_2d": 70,
    "hand_left_keypoints_2d": 21,
    "hand_right_keypoints_2d": 21,
}
"""The lists of a person in the order of ``openpose137``, with their numbers of joints."""


def recognises(source: Path) -> bool:
    """Whether the folder, or the only folder in it, contains folders of json files of OpenPose."""
    return bool(_videos(folders.only(source, _videos)))


def _videos(root: Path) -> dict[str, Path]:
    candidates = [root, *folders.inside(root)] if root.is_dir() else []
    places = {
        folder.name: folder if _has_frames(folder) else folders.innermost(folder) for folder in candidates
    }
    return {video: folder for video, folder in places.items() if _has_frames(folder)}


def _has_frames(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(FRAMES) and not folders.is_litter(entry.name) for entry in entries)
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from None


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all videos: each row of the segment table, or each video where there is no table."""
    return videos.cut(_recorded(source, layout, report, progress))


def recordings(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Recording]:
    """All videos. Those that are not annotated are of the test split. If the file of a frame is missing, all
    of its joints are."""
    return videos.whole(_recorded(source, layout, report, progress), report)


def _recorded(
    source: Path, layout: Layout, report: Report, progress: Progress
) -> Iterator[tuple[Recording, pd.DataFrame]]:
    joints = select(layouts.get("openpose137"), layout, str(source))
    root = folders.only(source, _videos)
    places = _videos(root)
    if root not in places.values():
        folders.inside(root, report)
    for place, inner, files in os.walk(root):
        if not inner and not files:
            report.note("empty folders left out", str(Path(place).relative_to(root)))
        inner[:] = [name for name in sorted(inner) if not folders.is_litter(name)]
        if Path(place) not in places.values() and _has_frames(Path(place)):
            event = "they are deeper than the videos, or a video has the same name"
            report.note(f"folders of json files left out: {event}", str(Path(place).relative_to(root)))
    folder = root if (root / videos.SEGMENTS).is_file() else source
    table = videos.read_table(folder, places, report, [root, source, *places.values()])
    owners = np.repeat(list(PARTS), list(PARTS.values()))
    needed = [part for part in PARTS if part in owners[joints]]
    calls = {video: (folder, needed) for video, folder in places.items()}
    yield from videos.recorded(table, _video, calls, joints, report, progress)


def _video(folder: Path, needed: list[str], size: tuple[int, int], report: Report) -> videos.Video:
    """One video. ``size`` is width and height of the frame, 0 if they are unknown."""
    paths: dict[int, Path] = {}
    for path in sorted(folder.glob(f"*{FRAMES}")):
        if folders.is_litter(path.name):
            continue
        match = FRAME.search(path.name)
        if not match:
            expected = "expected …_000000000012_keypoints.json"
            raise DataError(f"{path}: its name has no frame number; {expected}: rename or remove it")
        number = int(match[1])
        if number in paths:
            problem = f"frame {number} is there twice, also as {paths[number].name}"
            raise DataError(f"{path}: {problem}; keep one, and one video a folder")
        paths[number] = path
    first, last = min(paths), max(paths)
    frames = last - first + 1
    if frames > 100 * len(paths) + 1000:
        problem = f"{len(paths)} files for frames {first} to {last}; too many are missing"
        raise DataError(f"{folder}: {problem}: correct their names")
    of_frames = Report()
    people: list[list[np.ndarray]] = [[] for _ in range(frames)]
    for number, path in sorted(paths.items()):
        people[number - first] = _people(path, of_frames, needed)
    for event, names in of_frames.events.items():
        report.count(event, folder.name, len(set(names)), f"{frames} frames")
    lost = frames - len(paths)
    report.count("frames without a file: all joints missing", folder.name, lost, f"{frames} frames")
    people = videos.in_pixels(folder.name, people, size, report)
    keypoints = videos.follow(folder.name, people, report)
    folders.inside(folder, report)
    return first, keypoints


def _people(path: Path, report: Report, needed: Sequence[str]) -> list[Float[np.ndarray, "137 3"]]:
    """The people of one frame, see ``videos.best``. The joints of a list that is empty or absent are missing;
    that of a ``needed`` one is reported. Raises DataError if the file is not one of OpenPose."""
    frame = untrusted.document(path)
    people = untrusted.entry(frame, "people")
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        problem = f"expected an object with a list `people`, found {shown(frame)}"
        raise DataError(f"{path}: {problem}; restore or remove the file")
    if any(_is_body18(person.get("pose_keypoints_2d")) for person in people):
        event = "people with the 18 joints of the COCO model: the other joints of BODY_25 are missing"
        report.note(event, path.name)
    for part in needed:
        if any(not person.get(part) for person in people):
            report.note(f"people without {part}, which the layout needs: its joints are missing", path.name)
    everyone = (
        np.concatenate([_part(path, person, part) for part in PARTS])
        for person in people[: 16 * videos.MAX_PEOPLE]
    )
    return videos.best([repair(person, path.name, report) for person in everyone])


def _is_body18(values: Any) -> bool:
    return isinstance(values, list) and len(values) == 3 * 18


def _part(path: Path, person: dict[str, Any], part: str) -> np.ndarray:
    """One list of a person as (joints, 3). The 18 joints of OpenPose's COCO model are put in their places of
    BODY_25."""
    values, places = person.get(part) or [], np.arange(PARTS[part])
    keypoints = np.zeros((len(places), 3))
    if part == "pose_keypoints_2d" and _is_body18(values):
        places = layouts.selection(layouts.get("body25"), layouts.get("openpose18"))
    if not isinstance(values, list) or len(values) not in (0, 3 * len(places)):
        length = len(values) if isinstance(values, list) else shown(values)
        problem = f"{part} must have {keypoints.size} numbers, found {length}"
        raise DataError(f"{path}: {problem}; write the file again with OpenPose, or remove it")
    for value in values:
        if type(value) not in (int, float):
            problem = f"{part} must have numbers only, found {shown(value)}"
            raise DataError(f"{path}: {problem}; correct or remove the file")
    try:
        if values:
            keypoints[places] = np.reshape(values, (-1, 3))
    except OverflowError:
        problem = f"{part} has a number that is too large to read"
        raise DataError(f"{path}: {problem}; correct or remove the file") from None
    return keypoints
