"""The full iMiGUE release: a workbook of 137 keypoints for each video, and one table of labels and subjects.

``mg_skeleton_only/<id>/<id>_2.xlsx`` has 411 columns and a row a frame; ``Label/labels_20200831.csv`` has the
columns video_id, subject_id, class, start_frame, end_frame and win_or_lose. The split is the official one
between subjects.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from .. import labels, layouts
from ..layouts import Layout
from . import folders, miga, untrusted
from .contract import Clip, DataError, Progress, Recording, Report, in_parallel, select
from .cutting import cut, note_order, recording

VERSION = 2
CACHED_LAYOUT = "openpose137"
"""The workbooks are slow to read: all joints are cached, and other layouts are selected from this cache."""

SKELETONS = "mg_skeleton_only"
COLUMNS = ("video_id", "subject_id", "class", "start_frame", "end_frame")

TRAINING_SUBJECTS = (
    2, 4, 5, 6, 9, 10, 12, 13, 14, 15, 17, 18, 20, 21, 22, 23, 25, 28, 29, 30, 31, 35, 36, 38, 39, 41, 42, 43, 44, 46, 47, 48, 52, 53, 59,
    61, 62,
)  # fmt: skip
"""The 37 training subjects of iMiGUE's cross-subject protocol; the other 35 of 1…72 are test subjects."""
TEST_SUBJECTS = tuple(subject for subject in range(1, 73) if subject not in TRAINING_SUBJECTS)


def recognises(source: Path) -> bool:
    """Whether the folder, or one up to three levels below it, holds the skeletons of the release."""
    return bool(_skeletons(source))


def _skeletons(source: Path) -> list[Path]:
    places = (
        [source]
        if source.name == SKELETONS and source.is_dir()
        else [path for path in folders.below(source, SKELETONS) if path.is_dir()]
    )
    return sorted({folders.innermost(path) for path in places})


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all videos, by video and row of the label table: ``recordings`` cut at their segments."""
    return cut(recordings(source, layout, report, progress))


def recordings(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Recording]:
    """All videos, split by subject into train and test.

    Segments are clamped to the video. Videos without labels, and labels without a video, are left out. Both
    are reported. The files do not say the frame rate.

    Raises:
        DataError: naming the file, what was expected of it and what was found.
    """
    skeletons = _skeletons(source)
    if len(skeletons) > 1:
        names = ", ".join(str(path.relative_to(source)) for path in skeletons[:2])
        raise DataError(f"{source}: found {SKELETONS} {len(skeletons)} times; keep one of {names}")
    joints = select(layouts.get(CACHED_LAYOUT), layout, str(source))
    if source != skeletons[0]:
        folders.inside(source, report)
    videos = {folder.name: folders.innermost(folder) for folder in folders.inside(skeletons[0], report)}
    table = read_table(_table(source, skeletons[0]))
    for video in sorted(set(table["video_id"]) - set(videos)):
        report.note("labelled videos without a skeleton folder left out", video)
    for video in sorted(set(videos) - set(table["video_id"])):
        report.note("skeleton folders without labels left out", video)
    rows = [(video, group) for video, group in table.groupby("video_id") if video in videos]
    frames = in_parallel(_frames, ((videos[video], joints) for video, _ in rows))
    for (video, group), (keypoints, events, error) in progress(
        zip(rows, frames, strict=True), total=len(rows), desc="reading workbooks"
    ):
        report.merge(events)
        segments = list(group[["label", "start_frame", "end_frame"]].itertuples(index=False, name=None))
        note_order(segments, video, report)
        if error:
            report.wrong(error)
        if len(keypoints):
            subject = group["subject_id"].iloc[0]
            split = "train" if subject in TRAINING_SUBJECTS else "test"
            size = miga.WIDTH, miga.HEIGHT
            yield recording(video, segments, keypoints, report, split=split, subject=str(subject), size=size)


def beside(source: Path) -> list[Path]:
    """The label table, where the source is only the folder of the skeletons."""
    return folders.below(source.parent, miga.SUBJECTS_FILE) if source.name == SKELETONS else []


def _table(source: Path, skeletons: Path) -> Path:
    paths = folders.below(source, miga.SUBJECTS_FILE) or folders.below(skeletons.parent, miga.SUBJECTS_FILE)
    if len(paths) != 1:
        raise DataError(
            f"{source}: expected {miga.SUBJECTS_FILE} once beside {SKELETONS}, as in Label/, found it {len(paths)} times"
        )
    return paths[0]


def read_table(path: Path) -> pd.DataFrame:
    """The label table: video_id of four digits, subject_id, start_frame, end_frame, and the class index
    ``label``.

    Raises:
        DataError: a column is missing, a row has an invalid class, subject or frame, or a video has two
            subjects.
    """
    table = untrusted.rows(path)
    if missing := [column for column in COLUMNS if column not in table]:
        raise DataError(
            f"{path}: has no column {missing[0]!r}; expected {', '.join(COLUMNS)}; restore the header"
        )
    numbers = table[list(COLUMNS)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    valid = (np.abs(numbers) < 2**31) & (numbers == np.round(numbers))
    valid[:, 1] &= np.isin(numbers[:, 1], TRAINING_SUBJECTS + TEST_SUBJECTS)
    valid[:, 2] &= np.isin(numbers[:, 2], [labels.to_file(label) for label in range(len(labels.CLASSES))])
    if not valid.all():
        row, column = np.argwhere(~valid)[0]
        rule = {1: "a subject is 1 to 72", 2: "a class is 1 to 31 or 99"}.get(
            int(column), "expected a whole number"
        )
        value = str(table[COLUMNS[column]].iloc[row])[:40]
        raise DataError(f"{path}: row {row} has {COLUMNS[column]} {value!r}; {rule}: correct the row")
    read = pd.DataFrame(numbers.astype(int), columns=list(COLUMNS))
    if (again := read.groupby("video_id")["subject_id"].nunique().gt(1)).any():
        raise DataError(f"{path}: video {again.idxmax():04d} has two subjects; correct the table")
    return read.assign(
        video_id=read["video_id"].map("{:04d}".format), label=read["class"].map(labels.from_file)
    )


def _frames(folder: Path, joints: np.ndarray) -> tuple[np.ndarray, dict[str, list[str]], str]:
    """All frames of a video, the events of their reading, and the text of an error."""
    nothing = np.zeros((0, len(joints), 3), np.float32)
    try:
        frames, events = miga.read_frames(folder / f"{folder.name}_2.xlsx", layouts.get(CACHED_LAYOUT))
    except DataError as error:
        if folder.name in miga.UNUSABLE_VIDEOS:
            return nothing, {"video skipped: its skeleton file is known to be unusable": [folder.name]}, ""
        return nothing, {}, str(error)
    return frames[:, joints], events, ""
