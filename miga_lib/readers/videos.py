"""What readers of videos of any number of people share: ``segments.csv``, the table of the clips, and the
choice of the person to follow.

Its columns are video, start_frame, end_frame (inclusive), and optionally class (a name, or a number as in the
challenge's label files), split, subject, width, height and fps (frames per second). Without the table each
video is one clip of unknown class. The gestures of a video can also be in an ``.eaf`` file of ELAN beside the
table, in which the video then has one row, without a class, and its fps.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import labels
from . import annotation, contract, elan, tables, untrusted
from .contract import (
    MAX_SIDE,
    UNKNOWN,
    UNUSED,
    Clip,
    DataError,
    Progress,
    Recording,
    Report,
    frame_size,
    shown,
)

SEGMENTS = "segments.csv"
FRAMES, SIDES = ["start_frame", "end_frame"], ["width", "height"]
SPLITS = ("train", "val", "test")
OPTIONAL = {"class": "", "split": "", "subject": "", "width": "0", "height": "0"}
NUMERIC = r"\d{1,9}"
"""A class by its number in the label files of the challenge."""
MAX_FRAME_NUMBER = 10**15 - 1
MAX_PEOPLE, MAX_TRACKS = 8, 16
MIN_JUMP, MAX_STEP = 1 / 8, 1 / 2
"""A person whose step is below the first share of the own size does not jump; beyond the second share, it is
another person."""
MIN_SIZE = 1e-6
CHANGED = "clips whose persons change places in the file: followed from frame to frame"
JUMPED = "clips of several persons, one of whom jumps by half the own size: read as in the file"
Video = tuple[int, np.ndarray]
"""Number of the first frame, and keypoints (T, 137, 3) of the person who was followed."""


def read_table(
    folder: Path, videos: Iterable[str], report: Report, places: Iterable[Path] = ()
) -> pd.DataFrame:
    """A row for each clip: video, start_frame, end_frame (−1: all of it), label, split, subject; width,
    height and fps (0: unknown); and ``timed``, whether the frames are counted from the first of the video, as
    those of ELAN's files are, which lie in the folder or in ``places``. Raises DataError for a wrong table or
    file."""
    path, files = folder / SEGMENTS, elan.find([folder, *places], videos)
    if not path.is_file():
        for file in files.values():
            way_out = f"write {SEGMENTS} with its row: video,start_frame,end_frame,fps"
            raise DataError(f"{file}: the frames per second of its video are not known; {way_out}")
        event = f"no {SEGMENTS}: each video taken as one clip of unknown class, in the test split"
        report.note(event, folder.name)
        table = pd.DataFrame({"video": list(videos)}).assign(start_frame=-1, end_frame=-1, label=UNKNOWN)
        return table.assign(split="test", subject="", width=0, height=0, fps=0.0, timed=False)
    table = untrusted.rows(path)
    missing = [column for column in ("video", *FRAMES) if column not in table]
    if missing:
        optional = f"{','.join(OPTIONAL)} as far as they are known, above the rows"
        way_out = f"write the header video,start_frame,end_frame, and {optional}"
        raise DataError(f"{path}: has no column {missing[0]!r}; {way_out}")
    for column, default in OPTIONAL.items():
        if column not in table:
            report.note(f"columns that {SEGMENTS} does not have: unknown", column)
            table[column] = default
    annotated = table["video"].isin(files)
    table.loc[annotated, FRAMES] = table.loc[annotated, FRAMES].replace("", "0")
    for columns, maximum in ((FRAMES, MAX_FRAME_NUMBER), (SIDES, MAX_SIDE)):
        table[columns] = untrusted.whole_numbers(path, table[columns], 0, maximum)
    if "fps" not in table:
        table["fps"] = "0"
    rule = f"expected 0 (unknown) to {annotation.MAX_FPS:g}"
    table["fps"] = untrusted.numbers(path, table[["fps"]], 0, annotation.MAX_FPS, rule)[:, 0]
    unknown = ~table[["video"]].isin(list(videos)).to_numpy()
    untrusted.refuse_cells(path, table[["video"]], unknown, "there is no folder or file of this video")
    _require_classes(path, table["class"])
    wrong = ~table[["split"]].isin((*SPLITS, "")).to_numpy()
    untrusted.refuse_cells(path, table[["split"]], wrong, f"expected one of {', '.join(SPLITS)}")
    table = _annotated(table.assign(timed=False), files, report)
    table["label"] = _labels(path, table["class"], report)
    default_split = np.where(table["label"] == UNKNOWN, "test", "train")
    table["split"] = table["split"].where(table["split"] != "", default_split)
    for video in sorted(set(videos) - set(table["video"])):
        report.note(f"videos without a row in {SEGMENTS} left out", video)
    return table


def _annotated(table: pd.DataFrame, files: Mapping[str, Path], report: Report) -> pd.DataFrame:
    """The table with the gestures of ELAN's files in place of the row of their video, all in one split."""
    parts = [table[~table["video"].isin(files)]]
    for video, path in files.items():
        rows = table[table["video"] == video]
        if rows.empty:
            problem = f"its video has no row in {SEGMENTS}"
            raise DataError(f"{path}: {problem}; add one without a class, with its fps")
        if len(rows) > 1 or rows["class"].iloc[0]:
            problem = f"{SEGMENTS} has gestures of this video, too"
            raise DataError(f"{path}: {problem}; leave one row without a class, or remove the file")
        fps = float(rows["fps"].iloc[0])
        if not fps:
            raise DataError(f"{path}: times need the fps of the video; write it into {SEGMENTS}")
        gestures = elan.read(path, fps, report)
        if not rows["split"].iloc[0] and any(gesture.name for gesture in gestures):
            rows = rows.assign(split="train")
        spans = pd.DataFrame(gestures).set_axis([*FRAMES, "class"], axis=1)
        rows = rows.loc[rows.index.repeat(len(gestures))]
        parts.append(rows.assign(**spans.to_dict("list"), timed=True))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _require_classes(path: Path, classes: pd.Series) -> None:
    """Raise DataError for a cell that is no name, no whole number and not empty."""
    numeric = classes.str.fullmatch(NUMERIC)
    no_name = classes.isin(tables.MISSING[1:]) | (pd.to_numeric(classes, errors="coerce").notna() & ~numeric)
    no_name |= np.array([not name.isprintable() for name in classes], dtype=bool)
    rule = "expected a printable name or a whole number, or an empty cell if the class is unknown"
    untrusted.refuse_cells(path, classes.to_frame(), no_name.to_numpy()[:, None], rule)


def _labels(path: Path, classes: pd.Series, report: Report) -> list[int]:
    """Class indices. The names of the classes go to the report: those of iMiGUE if they contain all names,
    else those of the table."""
    numeric = classes.str.fullmatch(NUMERIC)
    if numeric.any() and not (numeric | (classes == "")).all():
        raise DataError(f"{path}: has classes by name and by number; write all of them in one way")
    try:
        if numeric.any():
            return [labels.from_file(int(name)) if name else UNKNOWN for name in classes]
    except ValueError as error:
        raise DataError(f"{path}: {error}; give classes of your own by name") from None
    names = sorted(set(classes) - {""})
    report.classes = tuple(names)
    if set(names) <= set(labels.CLASSES):
        report.classes = labels.CLASSES
    indices = {name: index for index, name in enumerate(report.classes)} | {"": UNKNOWN}
    return [indices[name] for name in classes]


def recorded(
    table: pd.DataFrame,
    function: Callable[..., Video],
    calls: Mapping[str, tuple[Any, ...]],
    joints: np.ndarray,
    report: Report,
    progress: Progress,
) -> Iterator[tuple[Recording, pd.DataFrame]]:
    """Each video of the table as a recording in some joints, by its first row; and its rows, with the size of
    the frame. ``function`` reads a video, and ``calls`` has its arguments for each; the size of the frame
    follows, see ``_frame_of``."""
    names = [video for video in calls if video in set(table["video"])]
    arguments = [(*calls[video], _frame_of(table[table["video"] == video])) for video in names]
    loaded = annotation.read_videos(function, arguments, report, progress)
    for video, loaded_video in zip(names, loaded, strict=True):
        if loaded_video is None:
            continue
        first_frame, keypoints = loaded_video
        rows = table[table["video"] == video]
        unknown = (rows["width"] == 0) | (rows["height"] == 0)
        if unknown.any():
            unknown_size = f"frame size unknown (no width and height in {SEGMENTS})"
            report.note(f"{unknown_size}: taken from the largest coordinates", video)
            rows = rows.copy()
            rows.loc[unknown, SIDES] = frame_size(keypoints)
        row = rows.iloc[0]
        if row["timed"]:
            problem = _misplaced(first_frame, len(keypoints), rows)
            if problem:
                report.wrong(f"{video}{elan.ENDING}: {problem}")
                continue
            if first_frame:
                report.note(f"frames numbered from 1: {elan.ENDING} files begin with that one", video)
            first_frame = 0
        spans = rows[FRAMES] - first_frame
        spans.insert(0, "label", rows["label"])
        segments = spans[rows["start_frame"] >= 0].itertuples(index=False, name=None)
        about = video, UNKNOWN, row["split"], video, row["subject"], int(row["width"]), int(row["height"])
        recording = Recording(*about, keypoints[:, joints], float(row["fps"]), tuple(segments))
        yield annotation.clamped(recording, report), rows


def _misplaced(first_frame: int, frames: int, rows: pd.DataFrame) -> str:
    """Why times cannot be those of the video, and a way out; empty where they can."""
    if first_frame > 1:
        problem = f"times need a video that begins with frame 0 or 1, this one begins with {first_frame}"
        return f"{problem}; number its frames from 0, or write the gestures to {SEGMENTS}"
    late = rows.loc[rows["start_frame"] >= frames, "start_frame"]
    if late.empty:
        return ""
    rate = f"at {rows['fps'].iloc[0]:g} frames per second"
    problem = f"an annotation begins at frame {late.min()} of {frames} {rate}, after the end of the video"
    return f"{problem}; correct fps in {SEGMENTS}, or the annotation"


def _frame_of(rows: pd.DataFrame) -> tuple[int, int]:
    """Width and height of the frame by the rows of a video; 0 where they are unknown, or the rows differ."""
    sizes = rows[SIDES].drop_duplicates().to_numpy().tolist()
    return tuple(sizes[0]) if len(sizes) == 1 else (0, 0)


def cut(videos: Iterable[tuple[Recording, pd.DataFrame]]) -> Iterator[Clip]:
    """The clips of the rows, which may differ in split, subject and frame size."""
    for recording, rows in videos:
        for clip, row in zip(annotation.cut([recording]), rows.itertuples(), strict=True):
            yield replace(clip, split=row.split, subject=row.subject, width=row.width, height=row.height)


def whole(videos: Iterable[tuple[Recording, pd.DataFrame]], report: Report) -> Iterator[Recording]:
    """The recordings. One with rows in several splits is in none. Raises DataError if the rows differ in
    subject, width, height or fps."""
    for recording, rows in videos:
        for column in ("subject", "width", "height", "fps"):
            values = rows[column].unique().tolist()
            if len(values) > 1:
                problem = f"its rows in {SEGMENTS} have {column} {shown(values[0])} and {shown(values[1])}"
                raise DataError(f"{recording.video}: {problem}; a recording has one: correct the table")
        if len(set(rows["split"])) > 1:
            event = f"videos whose rows in {SEGMENTS} have several splits: used in none"
            report.note(event, recording.video)
            recording = replace(recording, split=UNUSED)
        yield recording


def best(people: Iterable[np.ndarray]) -> list[np.ndarray]:
    """The people (V, 3) with the highest total scores, those first; nobody without a joint."""
    present = [person for person in people if _total(person) > 0]
    return sorted(present, key=_total, reverse=True)[:MAX_PEOPLE]


def _total(person: np.ndarray) -> float:
    return float(person[:, 2].sum())


def in_pixels(
    video: str, people: list[list[np.ndarray]], size: tuple[int, int], report: Report
) -> list[list[np.ndarray]]:
    """The people (V, 3) of each frame of a video, see ``contract.in_pixels``."""
    everyone = [person for persons in people for person in persons]
    if not everyone:
        return people
    changed = iter(contract.in_pixels(np.stack(everyone), size, video, report))
    return [[next(changed) for _ in persons] for persons in people]


def follow(video: str, people: list[list[np.ndarray]], report: Report) -> Float[np.ndarray, "T V 3"]:
    """The main person of a video, see ``followed``.

    Args:
        people: for each frame the people in it, as ``best`` gives them, each (137, 3).
    """
    several = sum(len(persons) > 1 for persons in people)
    event = "frames with several people: the one with the highest total score was followed"
    report.count(event, video, several, f"{len(people)} frames")
    return followed(people, 1, (137, 3))[0]


def followed(
    people: list[list[np.ndarray]], count: int, shape: tuple[int, ...]
) -> Float[np.ndarray, "count T V 3"]:
    """Of the people who can be followed from frame to frame, those with the highest total scores, in the
    order in which they appear; the joints of a person who is not there are 0.

    People continue so that the sum of their steps is smallest. A step is the median distance over the joints
    that both have, and must be below half the person's size. A person who was lost is found again near the
    last place.

    Args:
        people: for each frame the people in it, as ``best`` gives them, each of ``shape`` (V, 3).
        count: how many are wanted.
    """
    from scipy.optimize import linear_sum_assignment

    tracks: list[dict[int, np.ndarray]] = []
    totals: list[float] = []
    for t, persons in enumerate(people):
        steps = np.full((len(tracks), len(persons)), MAX_STEP)
        for i, j in np.ndindex(steps.shape):
            steps[i, j] = _step(next(reversed(tracks[i].values())), persons[j])
        pairs = zip(*linear_sum_assignment(steps), strict=True)
        continued = {j: i for i, j in pairs if steps[i, j] < MAX_STEP}
        for j, person in enumerate(persons):
            if j not in continued:
                tracks.append({})
                totals.append(0.0)
            i = continued.get(j, len(tracks) - 1)
            tracks[i][t] = person
            totals[i] += _total(person)
        if len(tracks) > MAX_TRACKS:
            highest = sorted(range(len(tracks)), key=totals.__getitem__)[-MAX_TRACKS:]
            tracks, totals = [tracks[i] for i in highest], [totals[i] for i in highest]
    highest = sorted(range(len(tracks)), key=totals.__getitem__, reverse=True)[:count]
    keypoints = np.zeros((count, len(people), *shape), np.float32)
    for place, track in enumerate(sorted((tracks[i] for i in highest), key=min)):
        for t, person in track.items():
            keypoints[place, t] = person
    return keypoints


def choose(
    id: str, slots: Float[np.ndarray, "M T V 3"], count: int, report: Report
) -> Float[np.ndarray, "count T V 3"]:
    """The people of a clip with the highest total scores. Each slot is one of them; where slots mix people,
    these are followed from frame to frame."""
    totals = slots[..., 2].sum((1, 2), dtype=np.float64)
    present = np.count_nonzero(totals)
    if present > count:
        which = f"{count} with the highest total scores were"
        if count == 1:
            which = "one with the highest total score was"
        report.note(f"clips of more persons than requested: the {which} read", id)
    if present < count > 1:
        report.note(f"clips of fewer than {count} persons: the joints of the others are missing", id)
    order = np.argsort(-totals, kind="stable")
    event = _disorder(slots[np.sort(order[: min(present, MAX_PEOPLE)])])
    if event:
        report.note(event, id)
    if event == CHANGED:
        return followed([best(persons) for persons in slots.swapaxes(0, 1)], count, slots.shape[2:])
    absent = np.zeros((max(count - len(slots), 0), *slots.shape[1:]), np.float32)
    return np.concatenate([slots[np.sort(order[:count])], absent])


def _disorder(slots: Float[np.ndarray, "M T V 3"]) -> str:
    """``CHANGED`` if the joints in a slot jump in some frame, and those in all slots fit the people of before
    better in another order; ``JUMPED`` if they only jump; else empty."""
    from scipy.optimize import linear_sum_assignment

    event, last = "", dict[int, np.ndarray]()
    for persons in slots.swapaxes(0, 1) if len(slots) > 1 else ():
        here = {slot: person for slot, person in enumerate(persons) if _total(person) > 0}
        both = last.keys() & here.keys()
        farthest = max((_step(last[slot], here[slot]) for slot in both), default=0)
        if farthest > MIN_JUMP:
            steps = np.full((len(slots), len(slots)), MAX_STEP)
            for i, j in itertools.product(last, here):
                if i in both or j in both:  # else one person leaves slot i, another one comes to slot j
                    steps[i, j] = _step(last[i], here[j])
            if np.trace(steps) - steps[linear_sum_assignment(steps)].sum() > MIN_JUMP:
                return CHANGED
        if farthest == MAX_STEP:
            event = JUMPED
        last |= here
    return event


def _step(one: np.ndarray, other: np.ndarray) -> float:
    """The distance of two people as a share of the size of the second, up to ``MAX_STEP``."""
    return min(_distance(one, other) / max(_size(other), MIN_SIZE), MAX_STEP)


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    both = (one[:, 2] > 0) & (other[:, 2] > 0)
    if not both.any():
        return np.inf
    return float(np.median(np.linalg.norm(one[both, :2] - other[both, :2], axis=1)))


def _size(person: np.ndarray) -> float:
    return float(np.linalg.norm(np.ptp(person[person[:, 2] > 0, :2], axis=0)))
