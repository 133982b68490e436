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
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import layouts
from ..layouts import Layout
from . import folders, openpose, pyskl, unpickling, untrusted
from .contract import Clip, DataError, Progress, Recording, Report, in_parallel, repair, select, shown

VERSION = 1
CACHED_LAYOUT = ""
PREDICTIONS = "predictions"
SUFFIXES = (".json", *pyskl.SUFFIXES)
BEGINS = re.compile(
    rb'\s*(\[\s*\{\s*"(frame_id|instances|keypoints|keypoint_scores|bbox)"|\{\s*"(meta_info|instance_info)")'
)
"""How a json file of MMPose begins."""
LARGEST = 128 * untrusted.MB
"""Bytes of a json file: about 9 minutes of one person at 30 frames a second. Each process takes about five
times as much memory."""
MOST_FRAMES = 200_000
JOINTS = {133: layouts.WHOLEBODY_133, 134: layouts.WHOLEBODY_134}
"""The orders of joints, by their number."""
FARTHEST_SHARE, NEAREST_PIXEL = 2, 8
"""If no coordinate is beyond the first, they are shares of the frame; if some are beyond the second,
pixels."""


class Found(NamedTuple):
    """What a file has: the numbers of its frames, and for each person found the number of the frame and the
    joints (V, 3)."""

    numbers: list[int]
    frames: list[int]
    people: list[np.ndarray]


def recognises(source: Path) -> bool:
    """Whether the folder, or the only folder in it, has files of MMPose or rtmlib, or is such a file."""
    return _is_known(source) if source.is_file() else bool(_has_known(folders.only(source, _has_known)))


def _has_known(folder: Path) -> bool:
    return any(map(_is_known, _files(folder)))


def _files(folder: Path) -> list[Path]:
    """The json files and pickles in a folder and in its folder ``predictions``."""
    inner = folder / PREDICTIONS
    places = [folder, folders.innermost(inner)] if inner.is_dir() else [folder]
    paths = [path for place in places for path in folders.below(place, "*", depth=0)]
    return [path for path in paths if path.suffix.lower() in SUFFIXES and path.name != folders.OPTIONS]


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
    yield from openpose.cut_videos(*_read(source, layout, report, progress), report)


def recordings(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Recording]:
    """All videos, in the order of their files. Of several people in a frame, one is followed as in
    ``openpose``.

    Raises:
        DataError: naming the file, what was expected of it and what was found.
    """
    yield from openpose.whole(*_read(source, layout, report, progress), report)


def _read(
    source: Path, layout: Layout, report: Report, progress: Progress
) -> tuple[Iterable[Any], pd.DataFrame, np.ndarray]:
    """The arguments of ``openpose.cut_videos``."""
    joints = select(layouts.get("openpose137"), layout, str(source))
    if source.is_file():
        raise DataError(
            f"{source}: give the folder of this file, so that {openpose.SEGMENTS} and {folders.OPTIONS} are read from it, too"
        )
    root = folders.only(source, _has_known)
    videos = _videos(root, report)
    places = [*{path.parent for path in videos.values()}, root, source]
    table = openpose.read_segments(_place(openpose.SEGMENTS, places), videos, report)
    options = _place(folders.OPTIONS, places)
    threshold = folders.options(options, {"score_threshold": 0.0})["score_threshold"]
    if not 0 <= threshold <= sys.float_info.max:
        raise DataError(
            f"{options / folders.OPTIONS}: score_threshold must be 0 or more, found {shown(threshold)}; correct the file"
        )
    if not threshold:
        what = f"score_threshold in {folders.OPTIONS} not set: these models place every joint, so joints out of sight are not missing"
        report.note(what, root.name)
    if set(layout.joints) & {"right_pupil", "left_pupil"}:
        report.note("pupils, which the layout needs, are not among the 133 joints: missing", root.name)
    wanted = [video for video in videos if video in set(table["video"])]
    sizes = {
        video: rows[["width", "height"]].drop_duplicates().to_numpy()
        for video, rows in table.groupby("video")
    }
    size_of = {video: tuple(map(int, size[0])) if len(size) == 1 else (0, 0) for video, size in sizes.items()}
    loaded = in_parallel(_video, ((video, videos[video], size_of[video], threshold) for video in wanted))
    read_videos = progress(zip(wanted, loaded, strict=True), total=len(wanted), desc="reading videos")
    return read_videos, table, joints


def _videos(root: Path, report: Report) -> dict[str, Path]:
    """The file of each video. Litter, and files that are deeper, are reported. Raises DataError if a video
    has two files."""
    files = _files(root)
    for place in dict.fromkeys((root, *(path.parent for path in files))):
        folders.inside(place, report)
    for path in folders.below(root, "*"):
        if path.suffix.lower() in SUFFIXES and path.name != folders.OPTIONS and path not in files:
            report.note("json files and pickles in other folders left out", str(path.relative_to(root)))
    videos: dict[str, Path] = {}
    for path in files:
        of_demo = path.suffix.lower() == ".json" and _beginning(path).lstrip().startswith(b"{")
        video = path.stem.removeprefix("results_") if of_demo else path.stem
        if videos.setdefault(video, path) != path:
            raise DataError(
                f"{path}: {videos[video].name} is of the same video, {video!r}; remove or rename one of them"
            )
    return videos


def _place(name: str, places: list[Path]) -> Path:
    """The only one of some folders that has a file of that name, or the last folder. Raises DataError if
    several have one."""
    having = [place for place in dict.fromkeys(places) if (place / name).is_file()]
    if len(having) > 1:
        raise DataError(f"{having[0] / name}: there is another one in {having[1]}; remove one of them")
    return having[0] if having else places[-1]


def _video(video: str, path: Path, size: tuple[int, int], threshold: float) -> openpose.Video:
    """One video as of ``openpose``. ``size`` is width and height of the frame, 0 if they are unknown."""
    report = Report()
    try:
        found = (
            _rtmlib(video, path, report)
            if path.suffix.lower() in pyskl.SUFFIXES
            else _mmpose(video, path, size, report)
        )
        first, last = min(found.numbers), max(found.numbers)
        if (count := last - first + 1) > min(2 * len(found.numbers) + 1000, MOST_FRAMES):
            raise DataError(
                f"{path}: has {len(found.numbers):,} entries for frames {first} to {last}; at most {MOST_FRAMES:,} frames are read, "
                "and at least every second one needs an entry: correct their numbers"
            )
        keypoints = _mapped(video, path, found, size, threshold, report)
    except DataError as error:
        return 0, np.zeros((0, 137, 3), np.float32), {}, str(error)
    of_frame: list[list[np.ndarray]] = [[] for _ in range(count)]
    for number, person in zip(found.frames, keypoints, strict=True):
        of_frame[number - first].append(person)
    of_frame = [openpose.best(people) for people in of_frame]
    counts = {
        "frames without an entry: all joints missing": count - len(found.numbers),
        "frames with several people: the one with the highest total score was followed": sum(
            len(people) > 1 for people in of_frame
        ),
    }
    report.merge({event: [f"{video} ({some} of {count} frames)"] for event, some in counts.items() if some})
    return first, openpose.follow(of_frame), dict(report.events), ""


def _mmpose(video: str, path: Path, size: tuple[int, int], report: Report) -> Found:
    """The people of a json file. Raises DataError if it is not MMPose's result of a video."""
    content = untrusted.document(path, LARGEST)
    entries = content.get("instance_info") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries or not all(map(_is_frame, entries)):
        raise DataError(
            f"{path}: expected MMPose's result of a video, a list of frames with frame_id and instances, found {shown(content)}; "
            "results of single images are not read: run MMPose on the video, or remove the file"
        )
    numbers = [entry["frame_id"] for entry in entries]
    if len(set(numbers)) < len(numbers):
        raise DataError(
            f"{path}: frame_id {Counter(numbers).most_common(1)[0][0]} is there twice; remove one of the entries"
        )
    found = Found(numbers, [], [])
    invented, unboxed = 0, 0
    for entry in entries:
        for instance in entry["instances"]:
            found.frames.append(entry["frame_id"])
            found.people.append(_person(path, entry["frame_id"], instance))
            box = np.ravel(_numbers(instance.get("bbox")))  # in two brackets: [[x1, y1, x2, y2]]
            unboxed += len(box) != 4
            if len(box) == 4 and not box[:2].any():  # MMPose gives a box that it made up the score 1
                invented += bool((box[2:] == size).all()) if any(size) else instance.get("bbox_score") == 1
    form = "the demo script's" if isinstance(content, dict) else "the inferencer's"
    report.note(
        f"frames numbered from {min(numbers)} in {form} form: start_frame and end_frame are taken as such numbers",
        video,
    )
    if invented:
        what = "people in a box of the whole image: MMPose invents one if it finds nobody; they were read"
        report.note(what, f"{video} ({invented} of {len(found.people)})")
    if unboxed:
        report.note(
            "people without a box: those invented where nobody was found cannot be told from others",
            f"{video} ({unboxed})",
        )
    return found


def _is_frame(entry: Any) -> bool:
    if (
        not isinstance(entry, dict)
        or type(number := entry.get("frame_id")) is not int
        or not 0 <= number < 10**15
    ):
        return False
    return isinstance(instances := entry.get("instances"), list) and all(
        isinstance(instance, dict) for instance in instances
    )


def _person(path: Path, number: int, instance: dict[str, Any]) -> np.ndarray:
    """The joints (V, 3) of one of the people of a frame."""
    points, scores = _numbers(instance.get("keypoints")), _numbers(instance.get("keypoint_scores"))
    if points.shape != (len(scores), 2) or scores.ndim != 1:
        raise DataError(
            f"{path}: frame_id {number} has keypoints {shown(instance.get('keypoints'))} and keypoint_scores "
            f"{shown(instance.get('keypoint_scores'))}; expected x and y in pixels, and a score, of each of 133 joints"
        )
    return np.column_stack([points, scores])


def _numbers(value: Any) -> np.ndarray:
    """A list of numbers, or of such lists, as an array; an empty array for anything else."""
    try:
        array = np.array(value)
    except (ValueError, OverflowError):  # lists of different lengths
        return np.zeros(0)
    return array.astype(np.float64) if array.ndim and array.dtype.kind in "fiu" else np.zeros(0)


def _rtmlib(video: str, path: Path, report: Report) -> Found:
    """The people of a pickle. Raises DataError if it has no arrays as of rtmlib."""
    content = unpickling.load(path)
    points, scores = (content.get(key) if isinstance(content, dict) else None for key in pyskl.RTMLIB)
    if (
        not isinstance(points, list)
        or not isinstance(scores, list)
        or len(points) != len(scores)
        or not points
    ):
        raise DataError(
            f"{path}: expected a dict of two lists of one length, keypoints and scores, found {shown(content)}; write it again"
        )
    if len(points) > MOST_FRAMES:
        raise DataError(f"{path}: has {len(points):,} frames, at most {MOST_FRAMES:,} are read; split it")
    claimed = sum(array.nbytes for array in (*points, *scores) if isinstance(array, np.ndarray))
    if claimed > 8 * path.stat().st_size:
        raise DataError(f"{path}: its frames share a few arrays; write each frame with an array of its own")
    found = Found(list(range(len(points))), [], [])
    for number, (xy, score) in enumerate(zip(points, scores, strict=True)):
        if (
            isinstance(xy, list) and isinstance(score, list) and not xy and not score
        ):  # the tracker's result of nobody
            continue
        arrays = (
            isinstance(xy, np.ndarray)
            and isinstance(score, np.ndarray)
            and {xy.dtype.kind, score.dtype.kind} <= set("fiu")
        )
        if not arrays or xy.ndim != 3 or xy.shape != (*score.shape, 2):
            raise DataError(
                f"{path}: frame {number} has keypoints {shown(xy)} and scores {shown(score)}; expected arrays (persons, 133, 2) and "
                "(persons, 133), or two empty lists"
            )
        found.people.extend(np.concatenate([xy, score[..., None]], -1))
        found.frames.extend([number] * len(xy))
    report.note("frames without numbers, counted from 0", video)
    report.note(
        "files without boxes: people invented where nobody was found cannot be told from others", video
    )
    return found


def _mapped(
    video: str, path: Path, found: Found, size: tuple[int, int], threshold: float, report: Report
) -> Float[np.ndarray, "M 137 3"]:
    """The people in pixels, with scores up to 1, in the joints of OpenPose. Raises DataError if the joints or
    the unit are unknown."""
    counts = sorted({len(person) for person in found.people}) or [133]
    if counts[0] not in JOINTS or len(counts) > 1:
        raise DataError(
            f"{path}: has people of {' and '.join(map(str, counts[:4]))} joints; expected the 133 of COCO-WholeBody, or the 134 in the "
            "order that rtmlib calls openpose: run a whole-body model"
        )
    if counts[0] == 134:
        report.note("134 joints, taken in the order that rtmlib and MMPose call openpose", video)
    keypoints = repair(np.reshape(found.people, (-1, counts[0], 3)), video, report)
    if (low := (keypoints[..., 2] > 0) & (keypoints[..., 2] < threshold)).any():
        report.note(
            f"joints with a score below {threshold:g} taken as missing",
            f"{video} ({low.sum()} of {low.size})",
        )
        keypoints[low] = 0
    if (highest := keypoints[..., 2].max(initial=0)) > 1:
        report.note("scores above 1, which these models give, set to 1", f"{video} (up to {highest:.3g})")
        keypoints[..., 2] = keypoints[..., 2].clip(max=1)
    reach = np.abs(keypoints[keypoints[..., 2] > 0][:, :2]).max(initial=0)
    if 0 < reach <= FARTHEST_SHARE and all(size):
        report.note("coordinates were shares of the frame: multiplied by its width and height", video)
        keypoints[..., :2] *= size
    elif 0 < reach <= NEAREST_PIXEL:
        unit = "shares of the frame" if reach <= FARTHEST_SHARE else "neither pixels nor shares of the frame"
        raise DataError(
            f"{path}: its coordinates, up to {reach:.3g}, are {unit}; write pixels, or shares of the frame together with width and height "
            f"of the video in {openpose.SEGMENTS}, the same in all of its rows"
        )
    return layouts.to_openpose137(keypoints, JOINTS[counts[0]])
