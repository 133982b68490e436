"""The folders of the MiGA challenges 2024 to 2026, read and written.

``imigue_skeleton_{train,validate,test}/<id>/`` hold, for each video, the joints of every frame in up to three
files and a label file with a row ``class,start_frame,end_frame`` for each clip. Frames are numbered from 0
and the end is inclusive. The files do not say the frame rate.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import labels, layouts
from ..layouts import Layout
from . import annotation, checks, folders, tables, untrusted
from .contract import (
    UNKNOWN,
    Clip,
    DataError,
    Progress,
    Recording,
    Report,
    Segment,
    in_pixels,
    repair,
    select,
    shown,
)

VERSION = 3
CACHED_LAYOUT = ""
WIDTH, HEIGHT = 1280, 720

SPLIT_FOLDERS = {
    "train": "imigue_skeleton_train",
    "val": "imigue_skeleton_validate",
    "test": "imigue_skeleton_test",
}
OTHER_NAMES = {"val": [f"imigue_skeleton_{name}" for name in ("valid", "val", "validation")]}
"""Other names that the folder of a split has in some places."""
SUBJECTS_FILE = "labels_20200831.csv"
KEYPOINT_FILES = {
    "_light_hand.csv": "light_hand35",
    "_light.csv": "body25",
    "_openpose.npy": "openpose137",
    "_openpose.csv": "openpose137",
    "_openpose.xlsx": "openpose137",
}
"""The layout of each file. If several files have the requested joints, the first in this order is read: it is
the quickest."""
LABELS = "_label.csv"
SUFFIXES = (*KEYPOINT_FILES, LABELS)
UNUSABLE_VIDEOS = ("0218", "0319", "0347", "0348")
"""Videos whose skeleton files are known to be empty or broken in the release."""


def recognises(source: Path) -> bool:
    """Whether the folder, or one up to three levels below it, is a split folder of the challenge."""
    return bool(split_folders(source))


def split_folders(source: Path) -> dict[str, Path]:
    """The folder of each split, in the source or up to three levels further down. Raises DataError if a split
    is found twice."""
    splits = {}
    for split, name in SPLIT_FOLDERS.items():
        places = folders.named(source, name, *OTHER_NAMES.get(split, ()))
        filled = [place for place in places if folders.inside(place)] or places[:1]
        folder = folders.single(filled, source, name)
        if folder:
            splits[split] = folder
    return splits


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all splits, by split, video and row of the label file."""
    return annotation.cut(recordings(source, layout, report, progress))


def recordings(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Recording]:
    """The videos of all splits, by split and name. Labels of a test split that are all the same are
    placeholders and become unknown."""
    splits = split_folders(source)
    if source not in splits.values():
        folders.inside(source, report)
    for parent in sorted({place.parent for place in splits.values() if place != source}):
        for folder in folders.inside(parent):
            if folder not in splits.values() and not folders.below(folder, SUBJECTS_FILE, 0):
                report.note("folders beside those of the splits not read", folder.name)
    inner = [(split, folder) for split, root in splits.items() for folder in folders.inside(root, report)]
    places = [(split, _video(folders.innermost(folder), report)) for split, folder in inner]
    videos = [(split, video) for split, video in places if video]
    subjects = _read_subjects(source)
    segments = [_segments(video, split, report) for split, video in videos]
    test_rows = [rows for (split, _), rows in zip(videos, segments, strict=True) if split == "test"]
    test_labels = {label for rows in test_rows for label, _, _ in rows}
    placeholders = len(test_labels) == 1 and test_labels != {UNKNOWN}
    if placeholders:
        report.note("all labels of the test split are the same: taken as placeholders", SPLIT_FOLDERS["test"])
    if subjects:
        for name in sorted({video.name for split, video in videos if split != "test"} - set(subjects)):
            report.note(f"videos that {SUBJECTS_FILE} does not list: subject unknown", name)
    calls = ((video, layout) for _, video in videos)
    frames = annotation.read_videos(read_keypoints, calls, report, progress)
    for (split, video), rows, keypoints in zip(videos, segments, frames, strict=True):
        if placeholders and split == "test":
            rows = [(UNKNOWN, start, end) for _, start, end in rows]
        if keypoints is not None and (rows or _is_without_labels(video, split)):
            names = video.name, UNKNOWN, split, video.name, subjects.get(video.name, "")
            recording = Recording(*names, WIDTH, HEIGHT, keypoints, 0.0, tuple(rows))
            yield annotation.clamped(recording, report)


def _video(folder: Path, report: Report) -> Path | None:
    """What the paths of the files of a video begin with: the name of the folder in it, or that which all its
    files have, as in a renamed folder. None where there is no file of the challenge, in any place. This, and
    other files, are noted."""
    paths, name = folders.below(folder, "*", 0), folder.name
    own = {path.name: suffix for path in paths for suffix in SUFFIXES if path.name.endswith(suffix)}
    if not own and not any(path.name.endswith(SUFFIXES) for path in folders.below(folder, "*")):
        report.note("folders without keypoints and without labels left out", name)
        return None
    for suffix in sorted({path.suffix for path in paths if path.name not in own}):
        report.note(f"other files in the folders of videos not read: {shown(suffix or 'no suffix')}", name)
    prefixes = {file.removesuffix(suffix) for file, suffix in own.items()}
    if len(prefixes) == 1 and name not in prefixes and not (folder.parent / min(prefixes)).exists():
        report.note("folders with files of another name: the video has theirs", f"{name} ({min(prefixes)})")
        name = min(prefixes)
    return folder / name


def _of(video: Path, suffix: str) -> Path:
    return video.with_name(f"{video.name}{suffix}")


def _is_without_labels(video: Path, split: str) -> bool:
    """Whether it is a test video of the track in which gestures are to be found in time."""
    return split == "test" and not os.path.exists(_of(video, LABELS))


def _segments(video: Path, split: str, report: Report) -> list[Segment]:
    if _is_without_labels(video, split):
        report.note("test videos without a label file: each is one clip of unknown class", video.name)
        return []
    return annotation.read(_of(video, LABELS), report, known=split != "test")


def _read_subjects(source: Path) -> dict[str, str]:
    """The subject of each video, if the label table of the full release is among the folders."""
    path = folders.single(folders.below(source, SUBJECTS_FILE), source, SUBJECTS_FILE)
    if path is None:
        return {}
    table = untrusted.rows(path)
    missing = {"video_id", "subject_id"} - set(table)
    if missing:
        problem = f"expected columns video_id and subject_id, found no {min(missing)}"
        raise DataError(f"{path}: {problem}; restore the header")
    table = table.assign(video_id=table["video_id"].str.zfill(4)).drop_duplicates(["video_id", "subject_id"])
    again = table["video_id"][table["video_id"].duplicated()].tolist()
    if again:
        raise DataError(f"{path}: video {shown(again[0])} has two subjects; correct the table")
    return dict(zip(table["video_id"], table["subject_id"], strict=True))


def read_keypoints(video: Path, layout: Layout, report: Report) -> np.ndarray | None:
    """``read_video`` of the quickest file of a video that has the joints of the layout. The paths of its
    files begin with ``video``."""
    return read_video(*_keypoint_file(video, layout), layout, report)


def _keypoint_file(video: Path, layout: Layout) -> tuple[Path, Layout]:
    """The quickest file of a video that has the joints of a layout, and the layout of that file."""
    folder = video.parent
    if layout.single_person:
        select(layouts.get("openpose137"), layout, str(folder))  # raises the error for two persons
    stored = {suffix: layouts.get(name) for suffix, name in KEYPOINT_FILES.items()}
    sufficient = [suffix for suffix in stored if set(layout.joints) <= set(stored[suffix].joints)]
    if not sufficient:
        problem = f"no file of the challenge has the joints of layout {layout.name!r}"
        raise DataError(f"{folder}: {problem}; choose another layout")
    paths = {suffix: _of(video, suffix) for suffix in stored}
    for suffix in sufficient:
        if os.path.exists(paths[suffix]):  # False, too, if the name is too long for a file
            return paths[suffix], stored[suffix]
    present = [f"*{s} ({len(stored[s].joints)} joints)" for s in stored if os.path.exists(paths[s])]
    need = f"layout {layout.name!r} has {len(layout.joints)} joints and needs a file"
    names = " or ".join(f"*{suffix}" for suffix in sufficient)
    raise DataError(f"{folder}: {need} {names}; found {', '.join(present) or 'no keypoint file'}")


def read_video(path: Path, stored: Layout, layout: Layout, report: Report) -> np.ndarray | None:
    """All frames of a video's file in the joints of ``layout``, (T, V, 3); None where it is known to be
    unusable, and is."""
    try:
        frames = in_pixels(read_frames(path, stored, report), (WIDTH, HEIGHT), path.name, report)
    except DataError:
        if path.parent.name not in UNUSABLE_VIDEOS:
            raise
        report.note("video skipped: its skeleton file is known to be unusable", path.parent.name)
        return None
    if stored.name == "light_hand35" and checks.fingertips_are_swapped(frames, stored):
        event = "fingertips 25–29 are nearer to the right wrist than to the left: check which hand they are"
        report.note(event, path.parent.name)
    return frames[:, layouts.selection(stored, layout)]


def read_frames(path: Path, stored: Layout, report: Report) -> Float[np.ndarray, "T V 3"]:
    """Every frame of one keypoint file, float32. Raises DataError."""
    return repair(tables.read(path, len(stored.joints), report), path.name, report)


def write_video(
    root: Path,
    split: str,
    video: str,
    keypoints: np.ndarray,
    segments: Sequence[Segment],
    openpose: str = "npy",
) -> None:
    """Write one video like the challenge: light_hand csv, label csv, and all 137 keypoints as ``npy``,
    ``csv`` or ``xlsx``. The keypoints (T, 137, 3) are rounded to three decimals, as OpenPose writes them."""
    folder = root / SPLIT_FOLDERS[split] / video
    folder.mkdir(parents=True, exist_ok=True)
    keypoints = np.round(keypoints.astype(np.float32), 3)
    rows = [(0 if label == UNKNOWN else labels.to_file(label), start, end) for label, start, end in segments]
    pd.DataFrame(rows).to_csv(folder / f"{video}{LABELS}", header=False, index=False)
    light = keypoints[:, layouts.selection(layouts.get("openpose137"), layouts.get("light_hand35"))]
    light_table = pd.DataFrame(light.reshape(len(light), -1))
    light_table.to_csv(folder / f"{video}_light_hand.csv", header=False, float_format="%.6g")
    path, table = folder / f"{video}_openpose.{openpose}", pd.DataFrame(keypoints.reshape(len(keypoints), -1))
    if openpose == "npy":
        np.save(path, table.to_numpy())
    elif openpose == "csv":
        table.to_csv(path, header=False, index=False, float_format="%.6g")
    else:
        table.astype(float).round(3).to_excel(path, header=False, index=False)


def write(root: str | Path, clips: Any) -> None:
    """Write ``clips.Clips`` of layout ``openpose137`` as folders of the challenge, with the subjects' table.

    The clips of a video are joined in their order, and become ``<video>_0``, ``<video>_1``, …; a test clip of
    unknown class gets the invalid class 0. Raises ValueError for another layout, for other classes than
    iMiGUE's, and for other clips of unknown class.
    """
    if clips.layout.name != "openpose137":
        problem = (
            f"the challenge's folders hold 137 keypoints, these clips are in layout {clips.layout.name!r}"
        )
        raise ValueError(f"{problem}; load them with 'openpose137'")
    if tuple(clips.classes) != labels.CLASSES:
        problem = f"these clips have {len(clips.classes)} others"
        raise ValueError(f"label files of the challenge have only the 32 classes of iMiGUE, {problem}")
    table = clips.table.reset_index(drop=True)
    unknown = table["id"][(table["label"] == UNKNOWN) & (table["split"] != "test")].tolist()
    if unknown:
        raise ValueError(f"clip {unknown[0]!r} is of unknown class; only test clips may be: leave it out")
    for (split, video), rows in table.groupby(["split", "video"], sort=False):
        ends = rows["frames"].cumsum()
        segments = zip(rows["label"], (ends - rows["frames"]).tolist(), (ends - 1).tolist(), strict=True)
        write_video(Path(root), split, video, np.concatenate([clips[i] for i in rows.index]), list(segments))
    subjects = table[table["subject"] != ""].drop_duplicates("video")[["video", "subject"]]
    if len(subjects):
        write_subjects(Path(root), subjects.set_axis(["video_id", "subject_id"], axis=1))


def write_subjects(root: Path, table: pd.DataFrame) -> None:
    """The label table of the full release: columns video_id, subject_id, class, start_frame, end_frame,
    win_or_lose."""
    (root / "Label").mkdir(parents=True, exist_ok=True)
    table.to_csv(root / "Label" / SUBJECTS_FILE, index=False)
