"""The full iMiGUE release: a workbook of 137 keypoints for each video, and one table of labels and subjects.

``mg_skeleton_only/<id>/<id>_2.xlsx`` (or npy, csv) has 411 columns and a row a frame;
``Label/labels_20200831.csv`` has the columns video_id, subject_id, class, start_frame, end_frame and
win_or_lose. The split is the official one between subjects. The files do not say the frame rate.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from .. import labels, layouts
from ..layouts import Layout
from . import annotation, folders, miga, untrusted
from .contract import UNKNOWN, Clip, DataError, Progress, Recording, Report, select

VERSION = 3
CACHED_LAYOUT = "openpose137"
SKELETONS = "mg_skeleton_only"
COLUMNS = ["video_id", "subject_id", "class", "start_frame", "end_frame"]

TRAINING_SUBJECTS = (
    2, 4, 5, 6, 9, 10, 12, 13, 14, 15, 17, 18, 20, 21, 22, 23, 25, 28, 29, 30, 31, 35, 36, 38, 39, 41, 42, 43,
    44, 46, 47, 48, 52, 53, 59, 61, 62,
)  # fmt: skip
"""The 37 training subjects of iMiGUE's cross-subject protocol; the other 35 of 1…72 are test subjects."""
TEST_SUBJECTS = tuple(subject for subject in range(1, 73) if subject not in TRAINING_SUBJECTS)


def recognises(source: Path) -> bool:
    """Whether the folder, or one up to three levels below it, holds the skeletons of the release."""
    return bool(folders.named(source, SKELETONS))


def beside(source: Path) -> list[Path]:
    """The label table, where the source is only the folder of the skeletons."""
    return folders.below(source.parent, miga.SUBJECTS_FILE) if source.name == SKELETONS else []


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all videos, by video and row of the label table."""
    return annotation.cut(recordings(source, layout, report, progress))


def recordings(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Recording]:
    """All videos with labels, split by subject into train and test."""
    skeletons = folders.single(folders.named(source, SKELETONS), source, SKELETONS)
    assert skeletons, "the source is recognised"
    stored = layouts.get(CACHED_LAYOUT)
    select(stored, layout, str(source))
    if source != skeletons:
        folders.inside(source, report)
    videos = {folder.name: folders.innermost(folder) for folder in folders.inside(skeletons, report)}
    paths = folders.below(source, miga.SUBJECTS_FILE) or folders.below(skeletons.parent, miga.SUBJECTS_FILE)
    if len(paths) != 1:
        problem = f"expected {miga.SUBJECTS_FILE} once beside {SKELETONS}, as in Label/"
        raise DataError(f"{source}: {problem}, found it {len(paths)} times")
    table = _read_table(paths[0])
    for video in sorted(set(table["video_id"]) - set(videos)):
        report.note("labelled videos without a skeleton folder left out", video)
    for video in sorted(set(videos) - set(table["video_id"])):
        report.note("skeleton folders without labels left out", video)
    groups = [(video, rows) for video, rows in table.groupby("video_id") if video in videos]
    calls = ((_file(videos[video]), stored, layout) for video, _ in groups)
    frames = annotation.read_videos(miga.read_video, calls, report, progress)
    for (video, rows), keypoints in zip(groups, frames, strict=True):
        if keypoints is not None:
            segments = tuple(rows[["label", "start_frame", "end_frame"]].itertuples(index=False, name=None))
            subject = rows["subject_id"].iloc[0]
            split = "train" if subject in TRAINING_SUBJECTS else "test"
            names = video, UNKNOWN, split, video, str(subject)
            recording = Recording(*names, miga.WIDTH, miga.HEIGHT, keypoints, 0.0, segments)
            yield annotation.clamped(recording, report)


def _file(folder: Path) -> Path:
    """The quickest file of a video's keypoints; the workbook where there is none."""
    paths = [folder / f"{folder.name}_2{suffix}" for suffix in (".npy", ".csv", ".xlsx")]
    return next((path for path in paths if path.exists()), paths[-1])


def _read_table(path: Path) -> pd.DataFrame:
    """The label table: video_id of four digits, subject_id, start_frame, end_frame, and the class index
    ``label``. Raises DataError for a wrong one."""
    text = untrusted.rows(path)
    missing = [column for column in COLUMNS if column not in text]
    if missing:
        problem = f"has no column {missing[0]!r}; expected {', '.join(COLUMNS)}"
        raise DataError(f"{path}: {problem}; restore the header")
    bound = annotation.MAX_NUMBER
    table = pd.DataFrame(untrusted.whole_numbers(path, text[COLUMNS], -bound, bound), columns=COLUMNS)
    classes = [labels.to_file(label) for label in range(len(labels.CLASSES))]
    for column, rule, valid in (
        ("subject_id", "a subject is 1 to 72", TRAINING_SUBJECTS + TEST_SUBJECTS),
        ("class", "a class is 1 to 31 or 99", classes),
    ):
        untrusted.refuse_cells(path, text[[column]], ~np.isin(table[[column]], valid), rule)
    subjects = table.groupby("video_id")["subject_id"].nunique()
    if (subjects > 1).any():
        raise DataError(f"{path}: video {subjects.idxmax():04d} has two subjects; correct the table")
    return table.assign(
        video_id=table["video_id"].map("{:04d}".format), label=table["class"].map(labels.from_file)
    )
