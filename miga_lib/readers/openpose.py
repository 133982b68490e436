"""What OpenPose writes: a folder for each video, a json file for each frame, any number of people in it.

The frame's number is at the end of its name, ``…_000000000012_keypoints.json``. ``segments.csv`` beside the folders tells which
frames are clips: columns video, start_frame, end_frame (inclusive, by those numbers), and if known class (a name, or a number as in
the challenge's label files), split and subject, width and height. Without it each video is one clip of unknown class.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import labels, layouts
from ..layouts import Layout
from . import limits
from .contract import UNKNOWN, Clip, DataError, Progress, Report, in_parallel, repair, select, shown
from .miga import clamp

VERSION = 1
CACHED_LAYOUT = ""
SEGMENTS = "segments.csv"
FRAME = re.compile(r"(\d{1,15})_keypoints\.json$")
SPLITS = ("train", "val", "test")
PARTS = {"pose_keypoints_2d": 25, "face_keypoints_2d": 70, "hand_left_keypoints_2d": 21, "hand_right_keypoints_2d": 21}
"""The lists of a person in the order of ``openpose137``, with their numbers of joints."""
MOST_PEOPLE = 8
MOST_TRACKS = 16


def recognises(source: Path) -> bool:
    """Whether the folder, or one directly in it, holds json files of OpenPose."""
    return bool(_videos(source))


def _videos(source: Path) -> dict[str, Path]:
    folders = [source, *sorted(path for path in source.iterdir() if path.is_dir())] if source.is_dir() else []
    return {folder.name: folder for folder in folders if next(folder.glob("*_keypoints.json"), None)}


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all videos, in the order of the segment table.

    Where a frame holds several people, the one with the highest total score over the video is followed; where its file is missing,
    all joints are. Both are counted in the report.

    Raises:
        DataError: naming the file, what was expected of it and what was found.
    """
    joints = select(layouts.get("openpose137"), layout, str(source))
    videos = _videos(source)
    table = _segments(source, videos, report)
    wanted = [video for video in videos if video in set(table["video"])]
    loaded = in_parallel(_video, ((videos[video],) for video in wanted))
    for video, (first, keypoints, events, error) in progress(zip(wanted, loaded, strict=True), total=len(wanted), desc="reading videos"):
        for event in events:
            report.note(event, video)
        if error:
            report.wrong(error)
            continue
        rows = table[table["video"] == video]
        limits.coverage(zip(rows["start_frame"] - first, rows["end_frame"] - first, strict=True), len(keypoints), video)
        for k, row in enumerate(rows.itertuples()):
            yield _clip(video if row.start_frame < 0 else f"{video}_{k}", row, first, keypoints, joints, report)


def _clip(id: str, row, first: int, keypoints: np.ndarray, joints: np.ndarray, report: Report) -> Clip:
    start, end = (row.start_frame - first, row.end_frame - first) if row.start_frame >= 0 else (0, len(keypoints) - 1)
    start, end = clamp(start, end, len(keypoints), id, report)
    width, height = row.width, row.height
    if not width or not height:
        report.note("size of the frame not told in the segment table: taken as large as the joints reach", row.video)
        width, height = np.clip(np.ceil(keypoints[..., :2].max((0, 1))), 1, 2**16).astype(int).tolist()
    clip = keypoints[start : end + 1, joints]
    if not clip[..., 2].any():
        report.note("no joint was found in any frame", id)
    return Clip(id, row.label, row.split, row.video, row.subject, int(width), int(height), clip)


def _segments(source: Path, videos: dict[str, Path], report: Report) -> pd.DataFrame:
    """A row for each clip: video, start_frame, end_frame (−1: all of it), label, split, subject, width and height (0: not told)."""
    path = source / SEGMENTS
    if not path.is_file():
        report.note(f"no {SEGMENTS}: each video taken as one clip of unknown class, in the test split", source.name)
        table = pd.DataFrame({"video": list(videos)}).assign(start_frame=-1, end_frame=-1, label=UNKNOWN, split="test", subject="")
        return table.assign(width=0, height=0)
    table = limits.rows(path)
    if missing := [column for column in ("video", "start_frame", "end_frame") if column not in table]:
        raise DataError(f"{path}: has no column {missing[0]!r}; expected video, start_frame, end_frame and perhaps class, split, subject")
    for column, default in {"class": "", "split": "", "subject": "", "width": "0", "height": "0"}.items():
        table[column] = table[column].str.strip() if column in table else default
    for column in ("start_frame", "end_frame", "width", "height"):
        if not (valid := table[column].str.fullmatch(r"\d{1,15}")).all():
            raise DataError(f"{path}: row {int((~valid).argmax())} has {column} {shown(table[column][~valid].iloc[0])}; expected a number")
        table[column] = table[column].astype(np.int64)
    if not (known := table["video"].isin(list(videos))).all():
        raise DataError(f"{path}: there is no folder of json files for video {shown(table['video'][~known].iloc[0])}; correct its name")
    table["label"] = _labels(path, table["class"], report)
    table.loc[table["split"] == "", "split"] = np.where(table["label"][table["split"] == ""] == UNKNOWN, "test", "train")
    if not (valid := table["split"].isin(SPLITS)).all():
        raise DataError(f"{path}: split {shown(table['split'][~valid].iloc[0])} is none of {', '.join(SPLITS)}")
    return table


def _labels(path: Path, classes: pd.Series, report: Report) -> list[int]:
    """Class indices; the names of the classes go to the report: those of iMiGUE where all are among them, else those of the table."""
    numeric = classes.str.fullmatch(r"\d{1,9}") & (classes != "")
    if numeric.any() and not (numeric | (classes == "")).all():
        raise DataError(f"{path}: has classes by name and by number; write them in one way")
    try:
        if numeric.any():
            return [labels.from_file(int(name)) if name else UNKNOWN for name in classes]
    except ValueError as error:
        raise DataError(f"{path}: {error}; classes of your own are given by name") from None
    names = sorted(set(classes) - {""})
    report.classes = labels.CLASSES if set(names) <= set(labels.CLASSES) else tuple(names)
    return [report.classes.index(name) if name else UNKNOWN for name in classes]


def _video(folder: Path) -> tuple[int, np.ndarray, list[str], str]:
    """Number of the first frame, keypoints (T, 137, 3) of the main person, what is to be told, and what made it unreadable."""
    numbered: dict[int, Path] = {}
    report = Report()
    try:
        for path in sorted(folder.glob("*_keypoints.json")):
            if not (match := FRAME.search(path.name)):
                raise DataError(f"{path}: its name tells no frame; expected …_000000000012_keypoints.json")
            if numbered.setdefault(int(match[1]), path) != path:
                raise DataError(f"{path}: frame {int(match[1])} is there twice, also as {numbered[int(match[1])].name}; one folder a video")
        first, last = min(numbered), max(numbered)
        if (frames := last - first + 1) > 100 * len(numbered) + 1000:
            raise DataError(f"{folder}: {len(numbered)} files for frames {first} to {last}; too many are missing: check their names")
        people = [read_frame(numbered[number], report) if number in numbered else [] for number in range(first, last + 1)]
    except DataError as error:
        return 0, np.zeros((0, 137, 3), np.float32), [], str(error)
    events = [f"{event} (in {len(where)} of {frames} frames)" for event, where in report.events.items()]
    if missing := frames - len(numbered):
        events.append(f"frames without a file: all joints missing ({missing} of {frames})")
    if several := sum(len(frame) > 1 for frame in people):
        events.append(f"frames with several people: the one with the highest total score was followed ({several} of {frames})")
    return first, follow(people), events, ""


def read_frame(path: Path, report: Report) -> list[Float[np.ndarray, "137 3"]]:
    """The people of one frame, those with the highest scores first. A part that was not looked for is missing.

    Raises:
        DataError: the file is none of OpenPose's.
    """
    frame = limits.document(path)
    people = frame.get("people") if isinstance(frame, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise DataError(f"{path}: expected an object with a list `people`, found {shown(frame)}")
    every = (np.concatenate([_part(path, person, part, joints) for part, joints in PARTS.items()]) for person in people[: 16 * MOST_PEOPLE])
    found = [repair(person, path.name, report) for person in every]
    return sorted((person for person in found if _total(person) > 0), key=_total, reverse=True)[:MOST_PEOPLE]


def _part(path: Path, person: dict, part: str, joints: int) -> np.ndarray:
    """One list of a person as (joints, 3); the 18 joints of OpenPose's COCO model find their places among BODY_25."""
    values = person.get(part) or []
    body18 = part == "pose_keypoints_2d" and isinstance(values, list) and len(values) == 3 * 18
    if not isinstance(values, list) or (values and len(values) != 3 * joints and not body18):
        raise DataError(
            f"{path}: {part} must hold {3 * joints} numbers, found {len(values) if isinstance(values, list) else shown(values)}"
        )
    if not all(isinstance(value, int | float) for value in values):
        raise DataError(f"{path}: {part} must hold numbers, found {shown(next(v for v in values if not isinstance(v, int | float)))}")
    keypoints = np.zeros((joints, 3))
    try:
        if body18:
            keypoints[layouts.selection(layouts.get("body25"), layouts.get("openpose18"))] = np.reshape(values, (18, 3))
        elif values:
            keypoints[:] = np.reshape(values, (joints, 3))
    except OverflowError:
        raise DataError(f"{path}: {part} holds a number beyond all pictures") from None
    return keypoints


def _total(person: np.ndarray) -> float:
    return float(person[:, 2].sum())


def follow(people: list[list[np.ndarray]]) -> Float[np.ndarray, "T V 3"]:
    """The main person of a video: of those that can be followed from frame to frame, the one with the highest total score.

    A person goes on in the next frame as the one whose joints lie nearest, by the median over the joints that both have, if that is
    no further than half its own size; who is lost can be found again where he was.

    Args:
        people: for each frame the people in it, each (V, 3).
    """
    tracks: list[dict[int, np.ndarray]] = []
    totals: list[float] = []
    for t, persons in enumerate(people):
        free = set(range(len(tracks)))
        for person in persons:
            distances = {i: _distance(next(reversed(tracks[i].values())), person) for i in free}
            nearest = min(distances, key=distances.__getitem__, default=None)
            if nearest is None or distances[nearest] > _size(person) / 2:
                tracks.append({})
                totals.append(0.0)
                nearest = len(tracks) - 1
            free.discard(nearest)
            tracks[nearest][t] = person
            totals[nearest] += _total(person)
        if len(tracks) > MOST_TRACKS:
            kept = sorted(range(len(tracks)), key=totals.__getitem__)[-MOST_TRACKS:]
            tracks, totals = [tracks[i] for i in kept], [totals[i] for i in kept]
    followed = np.zeros((len(people), 137, 3), np.float32)
    if tracks:
        for t, person in tracks[int(np.argmax(totals))].items():
            followed[t] = person
    return followed


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    both = (one[:, 2] > 0) & (other[:, 2] > 0)
    return float(np.median(np.linalg.norm(one[both, :2] - other[both, :2], axis=1))) if both.any() else np.inf


def _size(person: np.ndarray) -> float:
    found = person[person[:, 2] > 0, :2]
    return float(np.linalg.norm(np.ptp(found, axis=0))) if len(found) else 0.0
