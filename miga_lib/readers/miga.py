"""The folders of the MiGA challenges 2024 to 2026, read and written.

``imigue_skeleton_{train,validate,test}/<id>/`` hold, for each video, the joints of every frame in up to three
files and a label file with a row ``class,start_frame,end_frame`` for each clip. Frames are numbered from 0
and the end is inclusive.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import labels, layouts
from ..layouts import Layout
from . import folders, tables, untrusted
from .contract import (
    UNKNOWN,
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
from .cutting import cut, note_order, recording

VERSION = 2
CACHED_LAYOUT = ""
WIDTH, HEIGHT = 1280, 720

SPLIT_FOLDERS = {
    "train": "imigue_skeleton_train",
    "val": "imigue_skeleton_validate",
    "test": "imigue_skeleton_test",
}
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

LABELS = {
    "class": "class",
    "label": "class",
    "start_frame": "start_frame",
    "start": "start_frame",
    "end_frame": "end_frame",
}
LABELS |= {"end": "end_frame"}
"""The columns of a label file, by the names that a header may give them."""


UNUSABLE_VIDEOS = ("0218", "0319", "0347", "0348")
"""Videos whose skeleton files are known to be empty or broken in the release; if they are, the videos are
skipped and reported."""


def recognises(source: Path) -> bool:
    """Whether the folder, or one up to three levels below it, is a split folder of the challenge."""
    return bool(split_folders(source))


def split_folders(source: Path) -> dict[str, Path]:
    """The folder of each split, in the source or up to three levels further down. Raises DataError if a split
    is found twice."""
    found: dict[str, Path] = {}
    for split, name in SPLIT_FOLDERS.items():
        places = (
            {source}
            if source.name == name and source.is_dir()
            else {path for path in folders.below(source, name) if path.is_dir()}
        )
        places = {folders.innermost(path) for path in places}
        if filled := sorted(path for path in places if folders.inside(path)) or sorted(places)[:1]:
            found[split] = filled[0]
        if len(filled) > 1:
            above = ", ".join(str(path.parent.relative_to(source)) for path in filled[:2])
            raise DataError(
                f"{source}: found {name} {len(filled)} times; give one of the folders that hold it: {above}"
            )
    return found


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all splits under ``source``, by split, video and row of the label file: ``recordings`` cut
    at their segments."""
    return cut(recordings(source, layout, report, progress))


def recordings(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Recording]:
    """The videos of all splits under ``source``, by split and name.

    Segments are clamped to the video. Labels of a test split that are all the same are placeholders and
    become unknown. Both are reported. The files do not say the frame rate.

    Args:
        progress: wraps the iteration over videos, called as ``progress(iterable, total=…, desc=…)``.

    Raises:
        DataError: naming the file, what was expected of it and what was found.
    """
    splits = split_folders(source)
    if source not in splits.values():
        folders.inside(source, report)
    videos = [
        (split, folders.innermost(folder))
        for split, root in splits.items()
        for folder in folders.inside(root, report)
    ]
    subjects = read_subjects(source, report)
    segments = [_segments_of(folder, split, report) for split, folder in videos]
    tested = {
        label
        for (split, _), rows in zip(videos, segments, strict=True)
        if split == "test"
        for label, _, _ in rows
    }
    if placeholders := len(tested) == 1 and tested != {UNKNOWN}:
        report.note("all labels of the test split are the same: taken as placeholders", SPLIT_FOLDERS["test"])
    if subjects:
        for video in sorted({folder.name for split, folder in videos if split != "test"} - set(subjects)):
            report.note(f"videos that {SUBJECTS_FILE} does not list: subject unknown", video)
    frames = in_parallel(_keypoints_of, ((folder, layout) for _, folder in videos))
    for (split, folder), rows, (keypoints, events, error) in progress(
        zip(videos, segments, frames, strict=True), total=len(videos), desc="reading videos"
    ):
        report.merge(events)
        if error:
            report.wrong(error)
        if placeholders and split == "test":
            rows = [(UNKNOWN, start, end) for _, start, end in rows]
        if rows and len(keypoints):
            about: dict[str, Any] = {
                "split": split,
                "subject": subjects.get(folder.name, ""),
                "size": (WIDTH, HEIGHT),
            }
            yield recording(folder.name, rows, keypoints, report, **about)


def _segments_of(folder: Path, split: str, report: Report) -> list[tuple[int, int, int]]:
    try:
        segments = read_segments(folder / f"{folder.name}_label.csv", known=split != "test")
    except DataError as error:
        report.wrong(str(error))
        return []
    note_order(segments, folder.name, report)
    return segments


def _keypoints_of(folder: Path, layout: Layout) -> tuple[np.ndarray, dict[str, list[str]], str]:
    """As ``read_keypoints``, with the text of an error: an exception would end the reading of the other
    videos."""
    try:
        return *read_keypoints(folder, layout), ""
    except DataError as error:
        return np.zeros((0, len(layout.joints), 3), np.float32), {}, str(error)


def read_segments(
    path: Path, known: bool = True, index: Callable[[int], int] = labels.from_file
) -> list[tuple[int, int, int]]:
    """Rows (class index, first frame, last frame) of a label file.

    Args:
        known: whether the classes must be valid; if not, an invalid class becomes unknown.
        index: gives the class index of a number in the file. Raises ValueError if there is none.

    Raises:
        DataError: no such file, no rows, a row that is not three whole numbers, or a class that is not valid.
    """
    if not os.path.exists(path):  # False, too, if the name is too long for a file
        raise DataError(
            f"{path}: no such file; each video folder needs its label file: restore it, or remove the folder"
        )
    table = untrusted.rows(path, LABELS)[["class", "start_frame", "end_frame"]]
    numbers = table.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    if not len(numbers):
        raise DataError(
            f"{path}: no clips in it; expected rows of class,start_frame,end_frame: restore it, or remove the folder"
        )
    if (wrong := ~((np.abs(numbers) < 2**31) & (numbers == np.round(numbers))).all(1)).any():
        row = int(wrong.argmax())
        raise DataError(
            f"{path}: row {row} is {','.join(table.iloc[row])[:80]!r}; expected three whole numbers, class,start_frame,end_frame: "
            "correct the row, or delete it if it is no clip"
        )
    rows = []
    for row, (number, start, end) in enumerate(numbers.astype(int).tolist()):
        try:
            label = index(number)
        except ValueError as error:
            if known:
                raise DataError(f"{path}: row {row}: {error}; correct the label file") from None
            label = UNKNOWN
        rows.append((label, start, end))
    return rows


def read_subjects(source: Path, report: Report) -> dict[str, str]:
    """The subject of each video, if the label table of the full release is among the folders; else
    nothing."""
    paths = folders.below(source, SUBJECTS_FILE)
    if not paths:
        return {}
    if len(paths) > 1:
        raise DataError(
            f"{source}: found {SUBJECTS_FILE} {len(paths)} times; remove all but one, such as {paths[1]}"
        )
    table = untrusted.rows(paths[0])
    if missing := {"video_id", "subject_id"} - set(table):
        raise DataError(
            f"{paths[0]}: expected columns video_id and subject_id, found no {min(missing)}; restore the header"
        )
    subjects = table.assign(video_id=table["video_id"].str.zfill(4)).drop_duplicates(
        ["video_id", "subject_id"]
    )
    if (again := subjects["video_id"].duplicated()).any():
        raise DataError(
            f"{paths[0]}: video {shown(subjects['video_id'][again].iloc[0])} has two subjects; correct the table"
        )
    return dict(zip(subjects["video_id"], subjects["subject_id"], strict=True))


def read_keypoints(folder: Path, layout: Layout) -> tuple[np.ndarray, dict[str, list[str]]]:
    """All frames of a video in the joints of ``layout``, (T, V, 3) float32, and the events of their reading.

    Raises:
        DataError: no file of the folder has the joints of the layout, or it cannot be read.
    """
    path, stored = keypoint_file(folder, layout)
    try:
        frames, events = read_frames(path, stored)
    except DataError:
        if folder.name not in UNUSABLE_VIDEOS:
            raise
        unusable = {"video skipped: its skeleton file is known to be unusable": [folder.name]}
        return np.zeros((0, len(layout.joints), 3), np.float32), unusable
    if stored.name == "light_hand35" and fingertips_swapped(frames):
        events[
            "fingertips 25–29 are nearer to the right wrist than to the left: check which hand they are"
        ] = [folder.name]
    return frames[:, layouts.selection(stored, layout)], events


def keypoint_file(folder: Path, layout: Layout) -> tuple[Path, Layout]:
    """The quickest file of a video folder that has the joints of ``layout``, and the layout of that file."""
    present = [suffix for suffix in KEYPOINT_FILES if os.path.exists(folder / f"{folder.name}{suffix}")]
    for suffix in present:
        stored = layouts.get(KEYPOINT_FILES[suffix])
        if set(layout.joints) <= set(stored.joints):
            return folder / f"{folder.name}{suffix}", stored
    sufficient = [
        s for s, name in KEYPOINT_FILES.items() if set(layout.joints) <= set(layouts.get(name).joints)
    ]
    if layout.single_person:
        select(layouts.get("openpose137"), layout, str(folder))  # raises the error for two persons
    if not sufficient:
        raise DataError(
            f"{folder}: no file of the challenge has the joints of layout {layout.name!r}; choose another layout"
        )
    found = (
        ", ".join(f"*{s} ({len(layouts.get(KEYPOINT_FILES[s]).joints)} joints)" for s in present)
        or "no keypoint file"
    )
    wanted = " or ".join(f"*{s}" for s in sufficient)
    raise DataError(
        f"{folder}: layout {layout.name!r} has {len(layout.joints)} joints and needs a file {wanted}; found {found}"
    )


def read_frames(path: Path, stored: Layout) -> tuple[Float[np.ndarray, "T V 3"], dict[str, list[str]]]:
    """Every frame of one keypoint file, float32, and the events of its reading. Raises DataError."""
    report = Report()
    frames = repair(tables.read(path, len(stored.joints), report), path.name, report)
    return frames, dict(report.events)


def fingertips_swapped(frames: np.ndarray) -> bool:
    """Whether fingertips 25–29 of frames (T, 35, 3) are, by the median, nearer to wrist 4 (right) than to
    wrist 7 (left)."""

    def distance(wrist: int) -> float:
        both = (frames[:, wrist, None, 2] > 0) & (frames[:, 25:30, 2] > 0)
        gaps = np.linalg.norm(frames[:, 25:30, :2] - frames[:, wrist, None, :2], axis=-1)[both]
        return float(np.median(gaps)) if gaps.size else np.nan

    return distance(4) < distance(7)


def write_video(
    root: Path,
    split: str,
    video: str,
    keypoints: np.ndarray,
    segments: Sequence[tuple[int, int, int]],
    openpose: str = "npy",
) -> None:
    """Write one video like the challenge: light_hand csv, label csv, and all 137 keypoints as ``npy``,
    ``csv`` or ``xlsx``.

    Args:
        keypoints: (T, 137, 3); they are rounded to three decimals, as OpenPose writes them.
        segments: (class index, first frame, last frame) of each clip.
    """
    folder = root / SPLIT_FOLDERS[split] / video
    folder.mkdir(parents=True, exist_ok=True)
    keypoints = np.round(keypoints.astype(np.float32), 3)
    pd.DataFrame(
        [(0 if label == UNKNOWN else labels.to_file(label), start, end) for label, start, end in segments]
    ).to_csv(folder / f"{video}_label.csv", header=False, index=False)
    light = keypoints[:, layouts.selection(layouts.get("openpose137"), layouts.get("light_hand35"))]
    pd.DataFrame(light.reshape(len(light), -1)).to_csv(
        folder / f"{video}_light_hand.csv", header=False, float_format="%.6g"
    )
    path, table = folder / f"{video}_openpose.{openpose}", pd.DataFrame(keypoints.reshape(len(keypoints), -1))
    if openpose == "npy":
        np.save(path, table.to_numpy())
    elif openpose == "csv":
        table.to_csv(path, header=False, index=False, float_format="%.6g")
    else:
        _write_xlsx(path, table)


def _write_xlsx(path: Path, table: pd.DataFrame) -> None:
    import openpyxl

    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet()
    for row in table.round(3).to_numpy(dtype=float).tolist():
        sheet.append(row)
    workbook.save(path)


def write(root: str | Path, clips: Any) -> None:
    """Write ``clips.Clips`` of layout ``openpose137`` as folders of the challenge. The clips of a video are
    joined in their order.

    The clips of a video become ``<video>_0``, ``<video>_1``, …; a test clip of unknown class gets the invalid
    class 0. Known subjects are written to the table of the full release.

    Raises:
        ValueError: another layout, other classes than iMiGUE's, or a clip of unknown class that is not a test
            clip.
    """
    if clips.layout.name != "openpose137":
        raise ValueError(
            f"the challenge's folders hold 137 keypoints, these clips are in layout {clips.layout.name!r}; load them with 'openpose137'"
        )
    if tuple(clips.classes) != labels.CLASSES:
        raise ValueError(
            f"label files of the challenge have only the 32 classes of iMiGUE, these clips have {len(clips.classes)} others"
        )
    table = clips.table.reset_index(drop=True)
    if (unknown := (table["label"] == UNKNOWN) & (table["split"] != "test")).any():
        raise ValueError(
            f"clip {table['id'][unknown].iloc[0]!r} is of unknown class; only test clips may be: leave it out"
        )
    for (split, video), rows in table.groupby(["split", "video"], sort=False):
        ends = rows["frames"].cumsum()
        segments = zip(rows["label"], (ends - rows["frames"]).tolist(), (ends - 1).tolist(), strict=True)
        write_video(Path(root), split, video, np.concatenate([clips[i] for i in rows.index]), list(segments))
    known = table[table["subject"] != ""].drop_duplicates("video")
    if len(known):
        write_subjects(Path(root), known[["video", "subject"]].set_axis(["video_id", "subject_id"], axis=1))


def write_subjects(root: Path, table: pd.DataFrame) -> None:
    """The label table of the full release: columns video_id, subject_id, class, start_frame, end_frame,
    win_or_lose."""
    (root / "Label").mkdir(parents=True, exist_ok=True)
    table.to_csv(root / "Label" / SUBJECTS_FILE, index=False)
