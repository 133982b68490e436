"""The 133 joints of COCO-WholeBody as MMPose and rtmlib write them, a file for each video, mapped to the 137
of OpenPose.

MMPose: ``<video>.json`` of its inferencer (in a folder ``predictions``) or ``results_<video>.json`` of its
demo script. rtmlib: a pickle ``<video>.pkl`` of a dict of two lists with an entry for each frame,
``keypoints``, arrays (M, 133, 2), and ``scores``, (M, 133). Beside the files, or beside their folder:
``segments.csv`` as for OpenPose, and ``reader.json`` with ``score_threshold``.

The scores of these models are no probabilities; values far above 1 are usual. A joint with a score below the
threshold is missing (default: 0, none is); of the other joints, a score above 1 becomes 1. Sources:
open-mmlab/mmpose at 759b39c, Tau-J/rtmlib at 2f36e3b.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import layouts
from ..layouts import Layout
from . import folders, pyskl, unpickling, untrusted, videos
from .contract import Clip, DataError, Progress, Recording, Report, in_pixels, repair, select, shown

VERSION = 3
CACHED_LAYOUT = ""
PREDICTIONS = "predictions"
SUFFIXES = (".json", *pyskl.SUFFIXES)
BEGINS = re.compile(
    rb'\s*(\[\s*\{\s*"(frame_id|instances|keypoints|keypoint_scores|bbox)"|\{\s*"(meta_info|instance_info)")'
)
"""How a json file of MMPose begins."""
MAX_JSON_BYTES = 128 * untrusted.MB
"""About 9 minutes of one person at 30 frames a second. Each process takes about five times as much memory."""
MAX_FRAMES = 200_000
JOINTS = {133: layouts.WHOLEBODY_133, 134: layouts.WHOLEBODY_134}
"""The orders of joints, by their number."""
MAX_CONFIDENCE = 10
"""The largest score that these models are known to give."""


class People(NamedTuple):
    """What a file has: the numbers of its frames, and for each person the number of the frame and the joints
    (V, 3)."""

    numbers: list[int]
    frames: list[int]
    joints: list[np.ndarray]


def recognises(source: Path) -> bool:
    """Whether the folder, or the only folder in it, has files of MMPose or rtmlib, or is such a file."""
    if source.is_file():
        return _is_known(source)
    return _has_known(folders.only(source, _has_known))


def _has_known(folder: Path) -> bool:
    return any(map(_is_known, _files(folder)))


def _files(folder: Path) -> list[Path]:
    """The json files and pickles in a folder and in its folder ``predictions``."""
    inner = folder / PREDICTIONS
    places = [folder]
    if inner.is_dir():
        places.append(folders.innermost(inner))
    return [path for place in places for path in folders.below(place, "*", depth=0) if _is_candidate(path)]


def _is_candidate(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.name != folders.OPTIONS


def _is_known(path: Path) -> bool:
    if path.suffix.lower() in pyskl.SUFFIXES:
        return unpickling.first_text(path) in pyskl.RTMLIB
    return path.suffix.lower() == ".json" and bool(BEGINS.match(_beginning(path)))


def _beginning(path: Path) -> bytes:
    """The first bytes of a file, without a byte order mark and the zeros of UTF-16."""
    try:
        with path.open("rb") as file:
            return file.read(512).translate(None, b"\0\xef\xbb\xbf\xfe\xff")
    except OSError:
        return b""


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all videos, as in ``openpose``."""
    return videos.cut(_recorded(source, layout, report, progress))


def recordings(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Recording]:
    """All videos, in the order of their files, as in ``openpose``."""
    return videos.whole(_recorded(source, layout, report, progress), report)


def _recorded(
    source: Path, layout: Layout, report: Report, progress: Progress
) -> Iterator[tuple[Recording, pd.DataFrame]]:
    joints = select(layouts.get("openpose137"), layout, str(source))
    if source.is_file():
        reason = f"so that {videos.SEGMENTS} and {folders.OPTIONS} are read from it, too"
        raise DataError(f"{source}: give the folder of this file, {reason}")
    root = folders.only(source, _has_known)
    paths = _paths(root, report)
    places = [*{path.parent for path in paths.values()}, root, source]
    table = videos.read_table(_place(videos.SEGMENTS, places), paths, report, places)
    options = folders.options(_place(folders.OPTIONS, places), {"score_threshold": 0.0})
    threshold = options["score_threshold"]
    if not threshold:
        event = "these models place every joint, so joints out of sight are not missing"
        report.note(f"score_threshold in {folders.OPTIONS} not set: {event}", root.name)
    if set(layout.joints) & {"right_pupil", "left_pupil"}:
        report.note("pupils, which the layout needs, are not among the 133 joints: missing", root.name)
    calls = {video: (video, path, threshold) for video, path in paths.items()}
    yield from videos.recorded(table, _video, calls, joints, report, progress)


def _paths(root: Path, report: Report) -> dict[str, Path]:
    """The file of each video. Litter, and files that are deeper, are reported. Raises DataError if a video
    has two files."""
    files = _files(root)
    for place in dict.fromkeys((root, *(path.parent for path in files))):
        folders.inside(place, report)
    for path in folders.below(root, "*"):
        if _is_candidate(path) and path not in files:
            report.note("json files and pickles in other folders left out", str(path.relative_to(root)))
    paths: dict[str, Path] = {}
    for path in files:
        of_demo = path.suffix.lower() == ".json" and _beginning(path).lstrip().startswith(b"{")
        video = path.stem.removeprefix("results_") if of_demo else path.stem
        if video in paths:
            problem = f"{paths[video].name} is of the same video, {video!r}"
            raise DataError(f"{path}: {problem}; remove or rename one of them")
        paths[video] = path
    return paths


def _place(name: str, places: list[Path]) -> Path:
    """The only one of some folders that has a file of that name, or the last folder. Raises DataError if
    several have one."""
    having = [place for place in dict.fromkeys(places) if (place / name).is_file()]
    if len(having) > 1:
        raise DataError(f"{having[0] / name}: there is another one in {having[1]}; remove one of them")
    return next(iter(having), places[-1])


def _video(video: str, path: Path, threshold: float, size: tuple[int, int], report: Report) -> videos.Video:
    """One video. ``size`` is width and height of the frame, 0 if they are unknown."""
    if path.suffix.lower() in pyskl.SUFFIXES:
        people = _rtmlib(video, path, report)
    else:
        people = _mmpose(video, path, size, report)
    first, last = min(people.numbers), max(people.numbers)
    frames = last - first + 1
    if frames > min(2 * len(people.numbers) + 1000, MAX_FRAMES):
        problem = f"has {len(people.numbers):,} entries for frames {first} to {last}"
        rule = f"at most {MAX_FRAMES:,} frames are read, and at least every second one needs an entry"
        raise DataError(f"{path}: {problem}; {rule}: correct their numbers")
    keypoints = _mapped(video, path, people, size, threshold, report)
    of_frame: list[list[np.ndarray]] = [[] for _ in range(frames)]
    for number, person in zip(people.frames, keypoints, strict=True):
        of_frame[number - first].append(person)
    lost = frames - len(people.numbers)
    report.count("frames without an entry: all joints missing", video, lost, f"{frames} frames")
    return first, videos.follow(video, list(map(videos.best, of_frame)), report)


def _mmpose(video: str, path: Path, size: tuple[int, int], report: Report) -> People:
    """The people of a json file. Raises DataError if it is not MMPose's result of a video."""
    content = untrusted.document(path, MAX_JSON_BYTES)
    entries, form = content, "the inferencer's"
    if isinstance(content, dict):
        entries, form = content.get("instance_info"), "the demo script's"
    if not isinstance(entries, list) or not entries or not all(map(_is_frame, entries)):
        expected = "expected MMPose's result of a video, a list of frames with frame_id and instances"
        way_out = "results of single images are not read: run MMPose on the video, or remove the file"
        raise DataError(f"{path}: {expected}, found {shown(content)}; {way_out}")
    numbers = [entry["frame_id"] for entry in entries]
    number, times = Counter(numbers).most_common(1)[0]
    if times > 1:
        raise DataError(f"{path}: frame_id {number} is there twice; remove one of the entries")
    people, invented, unboxed = People(numbers, [], []), 0, 0
    for number, instance in ((entry["frame_id"], i) for entry in entries for i in entry["instances"]):
        people.frames.append(number)
        people.joints.append(_person(path, number, instance))
        box = np.ravel(_numbers(instance.get("bbox")))  # in two brackets: [[x1, y1, x2, y2]]
        if len(box) != 4:
            unboxed += 1
        elif not box[:2].any():
            whole = (box[2:] == size).all() if any(size) else instance.get("bbox_score") == 1
            invented += bool(whole)  # MMPose gives a box that it made up the score 1
    numbered = f"frames numbered from {min(numbers)} in {form} form"
    report.note(f"{numbered}: start_frame and end_frame are taken as such numbers", video)
    event = "people in a box of the whole image: MMPose invents one if it finds nobody; they were read"
    report.count(event, video, invented, len(people.joints))
    event = "people without a box: those invented where nobody was found cannot be told from others"
    report.count(event, video, unboxed)
    return people


def _is_frame(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    number, instances = entry.get("frame_id"), entry.get("instances")
    numbered = type(number) is int and 0 <= number <= videos.MAX_FRAME_NUMBER
    return numbered and isinstance(instances, list) and all(isinstance(i, dict) for i in instances)


def _person(path: Path, number: int, instance: dict[str, Any]) -> np.ndarray:
    """The joints (V, 3) of one of the people of a frame."""
    listed, rated = instance.get("keypoints"), instance.get("keypoint_scores")
    points, scores = _numbers(listed), _numbers(rated)
    if points.shape != (len(scores), 2) or scores.ndim != 1:
        problem = f"frame_id {number} has keypoints {shown(listed)} and keypoint_scores {shown(rated)}"
        raise DataError(f"{path}: {problem}; expected x and y in pixels, and a score, of each of 133 joints")
    return np.column_stack([points, scores])


def _numbers(value: Any) -> np.ndarray:
    """A list of numbers, or of such lists, as an array; an empty array for anything else."""
    try:
        array = np.array(value)
    except (ValueError, OverflowError):  # lists of different lengths
        return np.zeros(0)
    if not array.ndim or array.dtype.kind not in "fiu":
        return np.zeros(0)
    if untrusted.truths(np.array(value, dtype=object), array).any():
        return np.zeros(0)
    return array.astype(np.float64)


def _rtmlib(video: str, path: Path, report: Report) -> People:
    """The people of a pickle. Raises DataError if it has no arrays as of rtmlib."""
    content = unpickling.load(path)
    lists = [untrusted.entry(content, key) for key in pyskl.RTMLIB]
    points, scores = lists
    if not all(isinstance(part, list) and part for part in lists) or len(points) != len(scores):
        expected = "expected a dict of two lists of one length, keypoints and scores"
        raise DataError(f"{path}: {expected}, found {shown(content)}; write it again")
    if len(points) > MAX_FRAMES:
        raise DataError(f"{path}: has {len(points):,} frames, at most {MAX_FRAMES:,} are read; split it")
    unpickling.refuse_shared(path, [*points, *scores], "frame")
    people = People(list(range(len(points))), [], [])
    for number, (xy, score) in enumerate(zip(points, scores, strict=True)):
        if isinstance(xy, list) and isinstance(score, list) and not xy and not score:
            continue  # the tracker's result of nobody
        arrays = unpickling.is_numeric(xy) and unpickling.is_numeric(score)
        if not arrays or xy.ndim != 3 or xy.shape != (*score.shape, 2):
            problem = f"frame {number} has keypoints {shown(xy)} and scores {shown(score)}"
            expected = "expected arrays (persons, 133, 2) and (persons, 133), or two empty lists"
            raise DataError(f"{path}: {problem}; {expected}")
        people.joints.extend(np.concatenate([xy, score[..., None]], -1))
        people.frames.extend([number] * len(xy))
    report.note("frames without numbers, counted from 0", video)
    event = "files without boxes: people invented where nobody was found cannot be told from others"
    report.note(event, video)
    return people


def _mapped(
    video: str, path: Path, people: People, size: tuple[int, int], threshold: float, report: Report
) -> Float[np.ndarray, "M 137 3"]:
    """The people in pixels, with scores up to 1, in the joints of OpenPose. Raises DataError if the joints or
    the unit are unknown."""
    counts = sorted({len(person) for person in people.joints}) or [133]
    if counts[0] not in JOINTS or len(counts) > 1:
        problem = f"has people of {' and '.join(map(str, counts[:4]))} joints"
        expected = "expected the 133 of COCO-WholeBody, or the 134 in the order that rtmlib calls openpose"
        way_out = "run a whole-body model, or write a pickle and a layout of your own (docs/own-data.md)"
        raise DataError(f"{path}: {problem}; {expected}: {way_out}")
    if counts[0] == 134:
        report.note("134 joints, taken in the order that rtmlib and MMPose call openpose", video)
    keypoints = repair(np.reshape(people.joints, (-1, counts[0], 3)), video, report)
    low = (keypoints[..., 2] > 0) & (keypoints[..., 2] < threshold)
    event = f"joints with a score below {threshold:g} taken as missing"
    report.count(event, video, int(low.sum()), low.size)
    keypoints[low] = 0
    highest = keypoints[..., 2].max(initial=0)
    if 1 < highest <= MAX_CONFIDENCE:
        report.note("scores above 1, which these models give, set to 1", f"{video} (up to {highest:.3g})")
        keypoints[..., 2] = keypoints[..., 2].clip(max=1)
    elif highest > MAX_CONFIDENCE and 0 < threshold < 1:
        problem = f"score_threshold is {threshold:g} and the scores go up to {highest:.3g}"
        raise DataError(f"{path}: {problem}; write both as shares of 1")
    keypoints = in_pixels(keypoints, size, video, report)
    return layouts.to_openpose137(keypoints, JOINTS[counts[0]])
