"""The output of OpenPose: a folder for each video, a json file for each frame, any number of people in it;
``follow`` chooses one.

The number of a frame is at the end of its name, ``…_000000000012_keypoints.json``. ``segments.csv`` beside
the folders lists the clips: columns video, start_frame, end_frame (inclusive, by those numbers), and
optionally class (a name, or a number as in the challenge's label files), split, subject, width, height and
fps (frames per second). Without it each video is one clip of unknown class.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import labels, layouts
from ..layouts import Layout
from . import cutting, folders, tables, untrusted
from .contract import (
    UNKNOWN,
    UNUSED,
    Clip,
    DataError,
    Progress,
    Recording,
    Report,
    in_parallel,
    repair,
    select,
    shown,
)
from .cutting import HIGHEST_FPS, note_order, recording

VERSION = 2
CACHED_LAYOUT = ""
SEGMENTS = "segments.csv"
FRAMES = "_keypoints.json"
FRAME = re.compile(r"(\d{1,15})_keypoints\.json$")
SPLITS = ("train", "val", "test")
PARTS = {
    "pose_keypoints_2d": 25,
    "face_keypoints_2d": 70,
    "hand_left_keypoints_2d": 21,
    "hand_right_keypoints_2d": 21,
}
"""The lists of a person in the order of ``openpose137``, with their numbers of joints."""
Video = tuple[int, np.ndarray, dict[str, list[str]], str]
"""Number of the first frame, keypoints (T, 137, 3) of the main person, the events of the reading, and the
text of an error."""
MOST_PEOPLE = 8
MOST_TRACKS = 16


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
    """The clips of all videos: each row of the segment table, or each video as one clip where there is no
    table.

    The rest is as in ``recordings``, except that the clips of a video may differ in split, subject and frame
    size.
    """
    yield from cut_videos(*_read(source, layout, report, progress), report)


def recordings(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Recording]:
    """All videos. Those that are not annotated are of the test split.

    If a frame has several people, the person with the highest total score over the video is followed. If the
    file of a frame is missing, all of its joints are. Both are reported, as are people without the lists
    (face, hands) that the layout needs.

    Raises:
        DataError: naming the file, what was expected of it and what was found.
    """
    yield from whole(*_read(source, layout, report, progress), report)


def _read(
    source: Path, layout: Layout, report: Report, progress: Progress
) -> tuple[Iterable[Any], pd.DataFrame, np.ndarray]:
    """The arguments of ``cut_videos`` and ``whole``."""
    joints = select(layouts.get("openpose137"), layout, str(source))
    root = folders.only(source, _videos)
    videos = _videos(root)
    if root not in videos.values():
        folders.inside(root, report)
    for place, inner, _ in os.walk(root):
        inner[:] = [name for name in sorted(inner) if not folders.is_litter(name)]
        if Path(place) not in videos.values() and _has_frames(Path(place)):
            name = str(Path(place).relative_to(root))
            report.note(
                "folders of json files left out: they are deeper than the videos, or a video has the same name",
                name,
            )
    table = read_segments(root if (root / SEGMENTS).is_file() else source, videos, report)
    wanted = [video for video in videos if video in set(table["video"])]
    first_joint = np.cumsum([0, *PARTS.values()])
    needed = [
        part
        for part, first in zip(PARTS, first_joint, strict=False)
        if ((first <= joints) & (joints < first + PARTS[part])).any()
    ]
    loaded = in_parallel(_video, ((videos[video], needed) for video in wanted))
    return progress(zip(wanted, loaded, strict=True), total=len(wanted), desc="reading videos"), table, joints


def cut_videos(
    videos: Iterable[Any], table: pd.DataFrame, joints: np.ndarray, report: Report
) -> Iterator[Clip]:
    """The clips of videos, given as pairs of a name and a ``Video``, by the rows of ``read_segments``,
    selected to ``joints``."""
    for of, rows in _recorded(videos, table, joints, report):
        for clip, row in zip(cutting.cut([of]), rows.itertuples(), strict=True):
            yield replace(clip, split=row.split, subject=row.subject, width=row.width, height=row.height)


def whole(
    videos: Iterable[Any], table: pd.DataFrame, joints: np.ndarray, report: Report
) -> Iterator[Recording]:
    """The same videos as recordings. One with rows in several splits is in none.

    Raises:
        DataError: the rows of a video differ in subject, width, height or fps.
    """
    for of, rows in _recorded(videos, table, joints, report):
        for column in ("subject", "width", "height", "fps"):
            if len(found := list(dict.fromkeys(rows[column].tolist()))) > 1:
                raise DataError(
                    f"{of.video}: its rows in {SEGMENTS} have {column} {shown(found[0])} and {shown(found[1])}; a recording has one: "
                    "correct the table"
                )
        if len(set(rows["split"])) > 1:
            report.note(f"videos whose rows in {SEGMENTS} have several splits: used in none", of.video)
            of = replace(of, split=UNUSED)
        yield of


def _recorded(
    videos: Iterable[Any], table: pd.DataFrame, joints: np.ndarray, report: Report
) -> Iterator[tuple[Recording, pd.DataFrame]]:
    """Each video as a recording by its first row; and its rows, with the size of the frame."""
    for video, (first, keypoints, events, error) in videos:
        report.merge(events)
        if error:
            report.wrong(error)
            continue
        rows = table[table["video"] == video]
        note_order(
            list(rows[["label", "start_frame", "end_frame"]].itertuples(index=False, name=None)),
            video,
            report,
        )
        if (unknown := (rows["width"] == 0) | (rows["height"] == 0)).any():
            report.note(
                f"frame size unknown (no width and height in {SEGMENTS}): taken from the largest coordinates",
                video,
            )
            largest = np.clip(np.ceil(keypoints[..., :2].max((0, 1))), 1, untrusted.LARGEST_SIDE).astype(int)
            rows = rows.assign(
                width=rows["width"].mask(unknown, largest[0]), height=rows["height"].mask(unknown, largest[1])
            )
        row = rows.iloc[0]
        placed = rows.assign(start=rows["start_frame"] - first, end=rows["end_frame"] - first)
        segments = list(
            placed.loc[rows["start_frame"] >= 0, ["label", "start", "end"]].itertuples(index=False, name=None)
        )
        about: dict[str, Any] = {
            "split": row["split"],
            "subject": row["subject"],
            "size": (int(row["width"]), int(row["height"])),
        }
        yield recording(video, segments, keypoints[:, joints], report, **about, fps=float(row["fps"])), rows


def read_segments(source: Path, videos: Mapping[str, Path], report: Report) -> pd.DataFrame:
    """A row for each clip: video, start_frame, end_frame (−1: all of it), label, split, subject; width,
    height and fps (0: unknown).

    Without a ``segments.csv`` in the folder, each video is a clip. Videos without a row are left out, and
    reported.

    Raises:
        DataError: the table lacks a column, has a wrong cell, or names a video that is not there.
    """
    path = source / SEGMENTS
    if not path.is_file():
        report.note(
            f"no {SEGMENTS}: each video taken as one clip of unknown class, in the test split", source.name
        )
        table = pd.DataFrame({"video": list(videos)}).assign(
            start_frame=-1, end_frame=-1, label=UNKNOWN, split="test", subject=""
        )
        return table.assign(width=0, height=0, fps=0.0)
    table = untrusted.rows(path)
    if missing := [column for column in ("video", "start_frame", "end_frame") if column not in table]:
        raise DataError(
            f"{path}: has no column {missing[0]!r}; write the header video,start_frame,end_frame, and class,split,subject,width,height "
            "as far as they are known, above the rows"
        )
    for column, default in {"class": "", "split": "", "subject": "", "width": "0", "height": "0"}.items():
        if column not in table:
            report.note(f"columns that {SEGMENTS} does not have: unknown", column)
            table[column] = default
    for column in ("start_frame", "end_frame", "width", "height"):
        if not (valid := table[column].str.fullmatch(r"\d{1,15}")).all():
            value = shown(table[column][~valid].iloc[0])
            raise DataError(
                f"{path}: row {int((~valid).argmax())} has {column} {value}; expected a whole number: correct the row"
            )
        table[column] = table[column].astype(np.int64)
    table["fps"] = pd.to_numeric(table["fps"], errors="coerce") if "fps" in table else 0.0
    if not (valid := table["fps"].between(0, HIGHEST_FPS)).all():
        raise DataError(
            f"{path}: row {int((~valid).argmax())} has no fps of 0 (unknown) to {HIGHEST_FPS:g}; correct the row"
        )
    if (huge := table[["width", "height"]].max(axis=1) > untrusted.LARGEST_SIDE).any():
        raise DataError(
            f"{path}: row {int(huge.argmax())} has a frame of {table['width'][huge].iloc[0]} × {table['height'][huge].iloc[0]} pixels; "
            f"a side has at most {untrusted.LARGEST_SIDE}: correct the row"
        )
    if not (known := table["video"].isin(list(videos))).all():
        raise DataError(
            f"{path}: there is no folder or file of video {shown(table['video'][~known].iloc[0])}; correct its name"
        )
    table["label"] = _labels(path, table["class"], report)
    table.loc[table["split"] == "", "split"] = np.where(
        table["label"][table["split"] == ""] == UNKNOWN, "test", "train"
    )
    if not (valid := table["split"].isin(SPLITS)).all():
        raise DataError(
            f"{path}: split {shown(table['split'][~valid].iloc[0])} is none of {', '.join(SPLITS)}; correct it"
        )
    for video in sorted(set(videos) - set(table["video"])):
        report.note(f"videos without a row in {SEGMENTS} left out", video)
    return table


def _labels(path: Path, classes: pd.Series, report: Report) -> list[int]:
    """Class indices. The names of the classes go to the report: those of iMiGUE if they contain all names,
    else those of the table."""
    numeric = classes.str.fullmatch(r"\d{1,9}")
    no_name = classes.isin(tables.MISSING[1:]) | (pd.to_numeric(classes, errors="coerce").notna() & ~numeric)
    if no_name.any():
        raise DataError(
            f"{path}: row {int(no_name.argmax())} has class {shown(classes[no_name].iloc[0])}; expected a name or a whole number, or "
            "an empty cell if the class is unknown: correct the row"
        )
    if numeric.any() and not (numeric | (classes == "")).all():
        raise DataError(f"{path}: has classes by name and by number; write all of them in one way")
    try:
        if numeric.any():
            return [labels.from_file(int(name)) if name else UNKNOWN for name in classes]
    except ValueError as error:
        raise DataError(f"{path}: {error}; give classes of your own by name") from None
    names = sorted(set(classes) - {""})
    report.classes = labels.CLASSES if set(names) <= set(labels.CLASSES) else tuple(names)
    return [report.classes.index(name) if name else UNKNOWN for name in classes]


def _video(folder: Path, needed: list[str]) -> Video:
    numbered: dict[int, Path] = {}
    report = Report()
    try:
        for path in sorted(path for path in folder.glob(f"*{FRAMES}") if not folders.is_litter(path.name)):
            if not (match := FRAME.search(path.name)):
                raise DataError(
                    f"{path}: its name has no frame number; expected …_000000000012_keypoints.json: rename or remove it"
                )
            if numbered.setdefault(int(match[1]), path) != path:
                other = numbered[int(match[1])].name
                raise DataError(
                    f"{path}: frame {int(match[1])} is there twice, also as {other}; keep one, and one video a folder"
                )
        first, last = min(numbered), max(numbered)
        if (frames := last - first + 1) > 100 * len(numbered) + 1000:
            raise DataError(
                f"{folder}: {len(numbered)} files for frames {first} to {last}; too many are missing: correct their names"
            )
        people = [
            read_frame(numbered[number], report, needed) if number in numbered else []
            for number in range(first, last + 1)
        ]
    except DataError as error:
        return 0, np.zeros((0, 137, 3), np.float32), {}, str(error)
    counts = {event: len(set(where)) for event, where in report.events.items()}
    counts["frames without a file: all joints missing"] = frames - len(numbered)
    counts["frames with several people: the one with the highest total score was followed"] = sum(
        len(frame) > 1 for frame in people
    )
    events = {
        event: [f"{folder.name} ({count} of {frames} frames)"] for event, count in counts.items() if count
    }
    folders.inside(folder, litter := Report())
    return first, follow(people), events | litter.events, ""


def read_frame(path: Path, report: Report, needed: Sequence[str] = ()) -> list[Float[np.ndarray, "137 3"]]:
    """The people of one frame, those with the highest total scores first. The joints of a list that is empty
    or absent are missing.

    Args:
        needed: the lists (of ``PARTS``) whose absence is reported.

    Raises:
        DataError: the file is not one of OpenPose.
    """
    frame = untrusted.document(path)
    people = frame.get("people") if isinstance(frame, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise DataError(
            f"{path}: expected an object with a list `people`, found {shown(frame)}; restore or remove the file"
        )
    if any(
        isinstance(pose := person.get("pose_keypoints_2d"), list) and len(pose) == 3 * 18 for person in people
    ):
        report.note(
            "people with the 18 joints of the COCO model: the other joints of BODY_25 are missing", path.name
        )
    for part in needed:
        if any(not person.get(part) for person in people):
            report.note(f"people without {part}, which the layout needs: its joints are missing", path.name)
    every = (
        np.concatenate([_part(path, person, part, joints) for part, joints in PARTS.items()])
        for person in people[: 16 * MOST_PEOPLE]
    )
    return best([repair(person, path.name, report) for person in every])


def _part(path: Path, person: dict[str, Any], part: str, joints: int) -> np.ndarray:
    """One list of a person as (joints, 3). The 18 joints of OpenPose's COCO model are put in their places of
    BODY_25."""
    values = person.get(part) or []
    body18 = part == "pose_keypoints_2d" and isinstance(values, list) and len(values) == 3 * 18
    if not isinstance(values, list) or (values and len(values) != 3 * joints and not body18):
        raise DataError(
            f"{path}: {part} must have {3 * joints} numbers, found {len(values) if isinstance(values, list) else shown(values)}; "
            "write the file again with OpenPose, or remove it"
        )
    if not all(isinstance(value, int | float) for value in values):
        wrong = shown(next(value for value in values if not isinstance(value, int | float)))
        raise DataError(f"{path}: {part} must have numbers only, found {wrong}; correct or remove the file")
    keypoints = np.zeros((joints, 3))
    try:
        if body18:
            keypoints[layouts.selection(layouts.get("body25"), layouts.get("openpose18"))] = np.reshape(
                values, (18, 3)
            )
        elif values:
            keypoints[:] = np.reshape(values, (joints, 3))
    except OverflowError:
        raise DataError(
            f"{path}: {part} has a number that is too large to read; correct or remove the file"
        ) from None
    return keypoints


def best(people: Iterable[np.ndarray]) -> list[np.ndarray]:
    """The people (V, 3) with the highest total scores, those first; nobody without a joint."""
    return sorted((person for person in people if _total(person) > 0), key=_total, reverse=True)[:MOST_PEOPLE]


def _total(person: np.ndarray) -> float:
    return float(person[:, 2].sum())


def follow(people: list[list[np.ndarray]]) -> Float[np.ndarray, "T V 3"]:
    """The main person of a video: of those that can be followed from frame to frame, the one with the highest
    total score.

    In the next frame, a person continues as the one with the nearest joints, by the median distance over the
    joints that both have, if this is at most half the person's size. A person who was lost is found again
    near the last place.

    Args:
        people: for each frame the people in it, as ``best`` gives them, each (137, 3).
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
