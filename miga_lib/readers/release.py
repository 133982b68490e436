"""The full iMiGUE release: a workbook of 137 keypoints for each video, and one table of labels that knows the subjects.

``mg_skeleton_only/<id>/<id>_2.xlsx`` has 411 columns and a row a frame; ``Label/labels_20200831.csv`` has the columns video_id,
subject_id, class, start_frame, end_frame and win_or_lose. The split is the official one between subjects.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from .. import labels, layouts
from ..layouts import Layout
from . import limits, miga
from .contract import Clip, DataError, Progress, Report, below, in_parallel, select

VERSION = 1
CACHED_LAYOUT = "openpose137"
"""What is read, whatever is asked for: the workbooks are slow, so other layouts are taken from the cache of this one."""

SKELETONS = "mg_skeleton_only"
TABLE = "Label/labels_20200831.csv"
COLUMNS = ("video_id", "subject_id", "class", "start_frame", "end_frame")

TRAINING_SUBJECTS = (
    2, 4, 5, 6, 9, 10, 12, 13, 14, 15, 17, 18, 20, 21, 22, 23, 25, 28, 29, 30, 31, 35, 36, 38, 39, 41, 42, 43, 44, 46, 47, 48, 52, 53, 59,
    61, 62,
)  # fmt: skip
"""The 37 subjects that train in iMiGUE's cross-subject protocol; the other 35 of 1…72 test."""
TEST_SUBJECTS = tuple(subject for subject in range(1, 73) if subject not in TRAINING_SUBJECTS)


def recognises(source: Path) -> bool:
    """Whether the folder, or one up to three levels below it, holds the skeletons of the release."""
    return bool(_skeletons(source))


def _skeletons(source: Path) -> list[Path]:
    return [source] if source.name == SKELETONS else [path for path in below(source, SKELETONS) if path.is_dir()]


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all videos, by video and row of the label table, split by subject into train and test.

    A clip's id is ``<video>_<k>``, k counting the rows of its video. Segments are clamped to the video. Videos without labels, or
    labels without a video, are left out and counted.

    Raises:
        DataError: naming the file, what was expected of it and what was found.
    """
    skeletons = _skeletons(source)
    if len(skeletons) > 1:
        raise DataError(f"{source}: {SKELETONS} is there {len(skeletons)} times; name one of {', '.join(map(str, skeletons))}")
    joints = select(layouts.get(CACHED_LAYOUT), layout, str(source))
    videos = {folder.name: folder for folder in sorted(skeletons[0].iterdir()) if folder.is_dir()}
    table = read_table(_table(source, skeletons[0]))
    for video in sorted(set(table["video_id"]) - set(videos)):
        report.note("labelled videos without a skeleton folder left out", video)
    for video in sorted(set(videos) - set(table["video_id"])):
        report.note("skeleton folders without labels left out", video)
    rows = [(video, group) for video, group in table.groupby("video_id") if video in videos]
    frames = in_parallel(_frames, ((videos[video], joints) for video, _ in rows))
    for (video, group), (keypoints, events, error) in progress(zip(rows, frames, strict=True), total=len(rows), desc="reading workbooks"):
        for event in events:
            report.note(event, video)
        if error:
            report.wrong(error)
        limits.coverage(zip(group["start_frame"], group["end_frame"], strict=True), len(keypoints), video)
        for k, row in enumerate(group.itertuples() if len(keypoints) else []):
            id = f"{video}_{k}"
            first, last = miga.clamp(row.start_frame, row.end_frame, len(keypoints), id, report)
            clip = keypoints[first : last + 1]
            if not clip[..., 2].any():
                report.note("no joint was found in any frame", id)
            split = "train" if row.subject_id in TRAINING_SUBJECTS else "test"
            yield Clip(id, row.label, split, video, str(row.subject_id), miga.WIDTH, miga.HEIGHT, clip)


def _table(source: Path, skeletons: Path) -> Path:
    paths = below(source, TABLE) or below(skeletons.parent, TABLE, depth=0)
    if len(paths) != 1:
        raise DataError(f"{source}: expected {TABLE} once beside {SKELETONS}, found it {len(paths)} times")
    return paths[0]


def read_table(path: Path) -> pd.DataFrame:
    """The label table: video_id of four digits, subject_id, start_frame, end_frame, and the class index ``label``.

    Raises:
        DataError: a column is missing, or a row holds what is no class, subject or frame.
    """
    table = limits.rows(path)
    if missing := [column for column in COLUMNS if column not in table]:
        raise DataError(f"{path}: has no column {missing[0]!r}; expected {', '.join(COLUMNS)}")
    numbers = table[list(COLUMNS)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    valid = (np.abs(numbers) < 2**31) & (numbers == np.round(numbers))
    valid[:, 1] &= np.isin(numbers[:, 1], TRAINING_SUBJECTS + TEST_SUBJECTS)
    valid[:, 2] &= np.isin(numbers[:, 2], [labels.to_file(label) for label in range(len(labels.CLASSES))])
    if not valid.all():
        row, column = np.argwhere(~valid)[0]
        rule = {1: "a subject is 1 to 72", 2: "a class is 1 to 31 or 99"}.get(int(column), "expected a whole number")
        value = str(table[COLUMNS[column]].iloc[row])[:40]
        raise DataError(f"{path}: row {row} has {COLUMNS[column]} {value!r}; {rule}")
    read = pd.DataFrame(numbers.astype(int), columns=list(COLUMNS))
    return read.assign(video_id=read["video_id"].map("{:04d}".format), label=read["class"].map(labels.from_file))


def _frames(folder: Path, joints: np.ndarray) -> tuple[np.ndarray, list[str], str]:
    """All frames of a video, what had to be repaired, and what made it unreadable."""
    nothing = np.zeros((0, len(joints), 3), np.float32)
    try:
        frames, events = miga.read_frames(folder / f"{folder.name}_2.xlsx", layouts.get(CACHED_LAYOUT))
    except DataError as error:
        if folder.name in miga.UNUSABLE_VIDEOS:
            return nothing, ["video skipped: its skeleton file is known to be unusable"], ""
        return nothing, [], str(error)
    return frames[:, joints], events, ""
