"""The folders of the MiGA challenges 2024 to 2026, read and written.

``imigue_skeleton_{train,validate,test}/<id>/`` hold, for each video, the joints of every frame in up to three files and a label
file with a row ``class,start_frame,end_frame`` for each clip. Frames are numbered from 0 and the end is inclusive.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import labels, layouts
from ..layouts import Layout
from . import limits
from .contract import UNKNOWN, Clip, DataError, Progress, Report, below, in_parallel, repair

VERSION = 1
CACHED_LAYOUT = ""
WIDTH, HEIGHT = 1280, 720

SPLIT_FOLDERS = {"train": "imigue_skeleton_train", "val": "imigue_skeleton_validate", "test": "imigue_skeleton_test"}
SUBJECTS_FILE = "labels_20200831.csv"
KEYPOINT_FILES = {
    "_light_hand.csv": "light_hand35",
    "_light.csv": "body25",
    "_openpose.npy": "openpose137",
    "_openpose.csv": "openpose137",
    "_openpose.xlsx": "openpose137",
}
"""What each file holds, in the order in which they are preferred where several would do: quick ones first."""

UNUSABLE_VIDEOS = ("0218", "0319", "0347", "0348")
"""Videos whose skeleton files are known to be empty or broken in the release; they are skipped where they are."""


def recognises(source: Path) -> bool:
    """Whether the folder, or one up to three levels below it, is a split of the challenge."""
    return bool(split_folders(source))


def split_folders(source: Path) -> dict[str, Path]:
    """The folder of each split, however deep the archives were unpacked. Raises DataError where a split is there twice."""
    found: dict[str, Path] = {}
    for split, name in SPLIT_FOLDERS.items():
        candidates = [source] if source.name == name else below(source, name)
        if len(candidates) > 1:
            raise DataError(
                f"{source}: {name} is there {len(candidates)} times; name the folder above one of {', '.join(map(str, candidates))}"
            )
        if candidates and candidates[0].is_dir():
            found[split] = candidates[0]
    return found


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all splits under ``source``, by split, video and row of the label file.

    A clip's id is ``<video>_<row>``. Segments are clamped to the video; labels of a test split that are all the same are
    placeholders and become unknown; both are counted in the report.

    Args:
        progress: wraps the iteration over videos, called as ``progress(iterable, total=…, desc=…)``.

    Raises:
        DataError: naming the file, what was expected of it and what was found.
    """
    videos = [(split, folder) for split, root in split_folders(source).items() for folder in sorted(root.iterdir()) if folder.is_dir()]
    subjects = read_subjects(source)
    segments = [_segments_of(folder, split, report) for split, folder in videos]
    tested = {label for (split, _), rows in zip(videos, segments, strict=True) if split == "test" for label, _, _ in rows}
    if placeholders := len(tested) == 1 and tested != {UNKNOWN}:
        report.note("all labels of the test split are the same: taken as placeholders", SPLIT_FOLDERS["test"])
    frames = in_parallel(_keypoints_of, ((folder, layout) for _, folder in videos))
    for (split, folder), rows, (keypoints, events, error) in progress(
        zip(videos, segments, frames, strict=True), total=len(videos), desc="reading videos"
    ):
        for event in events:
            report.note(event, folder.name)
        if error:
            report.wrong(error)
        limits.coverage(((start, end) for _, start, end in rows), len(keypoints), folder.name)
        for k, (label, start, end) in enumerate(rows if len(keypoints) else []):
            id = f"{folder.name}_{k}"
            first, last = clamp(start, end, len(keypoints), id, report)
            label = UNKNOWN if placeholders and split == "test" else label
            clip = keypoints[first : last + 1]
            if not clip[..., 2].any():
                report.note("no joint was found in any frame", id)
            yield Clip(id, label, split, folder.name, subjects.get(folder.name, ""), WIDTH, HEIGHT, clip)


def _segments_of(folder: Path, split: str, report: Report) -> list[tuple[int, int, int]]:
    try:
        return read_segments(folder / f"{folder.name}_label.csv", known=split != "test")
    except DataError as error:
        report.wrong(str(error))
        return []


def _keypoints_of(folder: Path, layout: Layout) -> tuple[np.ndarray, list[str], str]:
    """As ``read_keypoints``, with the error in words: an exception would end the reading of the other videos."""
    try:
        return *read_keypoints(folder, layout), ""
    except DataError as error:
        return np.zeros((0, len(layout.joints), 3), np.float32), [], str(error)


def clamp(start: int, end: int, frames: int, id: str, report: Report) -> tuple[int, int]:
    """First and last frame of a segment inside a video of that many frames; a segment wholly outside keeps the nearest frame."""
    first, last = (min(max(frame, 0), frames - 1) for frame in (start, end))
    if start > end:
        report.note("segment ends before it starts: its first frame was kept", id)
        last = first
    elif start >= frames:
        report.note("segment starts after the video's last frame: the last frame was kept", id)
    elif (first, last) != (start, end):
        report.note("segment clamped to the frames of the video", id)
    return first, last


def read_segments(path: Path, known: bool = True) -> list[tuple[int, int, int]]:
    """Rows (class index, first frame, last frame) of a label file.

    Args:
        known: whether the classes must be valid; where not, a class that is none becomes unknown.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; each video folder needs its label file")
    table = limits.rows(path, ["class", "start_frame", "end_frame"]) if path.stat().st_size else pd.DataFrame(columns=["class"])
    if len(table) and not str(table["class"].iloc[0]).strip().lstrip("+-").replace(".", "").isdigit():
        table = table.iloc[1:]  # a header
    numbers = table.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    if not len(numbers):
        raise DataError(f"{path}: no clips in it; expected rows of class,start_frame,end_frame")
    if (wrong := ~((np.abs(numbers) < 2**31) & (numbers == np.round(numbers))).all(1)).any():
        row = int(wrong.argmax())
        raise DataError(
            f"{path}: row {row} is {','.join(table.iloc[row])[:80]!r}; expected three whole numbers, class,start_frame,end_frame"
        )
    rows = []
    for row, (number, start, end) in enumerate(numbers.astype(int).tolist()):
        try:
            label = labels.from_file(number)
        except ValueError as error:
            if known:
                raise DataError(f"{path}: row {row}: {error}; correct the label file") from None
            label = UNKNOWN
        rows.append((label, start, end))
    return rows


def read_subjects(source: Path) -> dict[str, str]:
    """Subject of each video, where the label table of the full release lies beside the folders; else nothing."""
    paths = below(source, SUBJECTS_FILE)
    if not paths:
        return {}
    table = limits.rows(paths[0])
    if missing := {"video_id", "subject_id"} - set(table):
        raise DataError(f"{paths[0]}: expected columns video_id and subject_id, found no {min(missing)}")
    return dict(zip(table["video_id"].str.zfill(4), table["subject_id"], strict=True))


def read_keypoints(folder: Path, layout: Layout) -> tuple[np.ndarray, list[str]]:
    """All frames of a video in the joints of ``layout``, (T, V, 3) float32, and what had to be repaired.

    Raises:
        DataError: no file of the folder holds the joints that the layout needs, or it cannot be read.
    """
    path, held = keypoint_file(folder, layout)
    try:
        frames, events = read_frames(path, held)
    except DataError:
        if folder.name not in UNUSABLE_VIDEOS:
            raise
        return np.zeros((0, len(layout.joints), 3), np.float32), ["video skipped: its skeleton file is known to be unusable"]
    if held.name == "light_hand35" and fingertips_swapped(frames):
        events.append("fingertips 25–29 lie nearer the right wrist than the left: check which hand they are")
    return frames[:, layouts.selection(held, layout)], events


def keypoint_file(folder: Path, layout: Layout) -> tuple[Path, Layout]:
    """The quickest file of a video folder that holds the joints of ``layout``, and the layout of that file."""
    present = [suffix for suffix in KEYPOINT_FILES if (folder / f"{folder.name}{suffix}").exists()]
    for suffix in present:
        held = layouts.get(KEYPOINT_FILES[suffix])
        if set(layout.joints) <= set(held.joints):
            return folder / f"{folder.name}{suffix}", held
    sufficient = [s for s, name in KEYPOINT_FILES.items() if set(layout.joints) <= set(layouts.get(name).joints)]
    if not sufficient:
        raise DataError(f"{folder}: no file of the challenge holds the joints of layout {layout.name!r}; choose another layout")
    found = ", ".join(f"{folder.name}{s} ({len(layouts.get(KEYPOINT_FILES[s]).joints)} joints)" for s in present) or "no keypoint file"
    wanted = " or ".join(f"{folder.name}{s}" for s in sufficient)
    raise DataError(f"{folder}: layout {layout.name!r} has {len(layout.joints)} joints and needs {wanted}; found {found}")


def read_frames(path: Path, held: Layout) -> tuple[np.ndarray, list[str]]:
    """Every frame of one keypoint file, (T, V, 3) float32, and what was repaired in it.

    A frame index in front and a header row are recognised and left out; a joint with an empty or infinite cell becomes missing.
    """
    rows = {".npy": _read_npy, ".csv": _read_csv, ".xlsx": _read_xlsx}[path.suffix](path)
    wanted = 3 * len(held.joints)
    if rows.ndim != 2 or rows.shape[1] not in (wanted, wanted + 1):
        raise DataError(
            f"{path}: expected {wanted} columns ({len(held.joints)} joints × x, y, score) or {wanted + 1} with a frame index, "
            f"found {rows.shape[-1] if rows.ndim else 0}"
        )
    with np.errstate(invalid="ignore"):
        if len(rows) and np.array_equal(rows[0], np.arange(rows.shape[1])):
            rows = rows[1:]  # a header that numbers the columns
    values = rows[:, -wanted:].reshape(len(rows), -1, 3)
    if not len(values):
        raise DataError(f"{path}: no frames in it; restore the file from the release, or take its folder away")
    if not np.isfinite(values).all(-1).any():
        raise DataError(f"{path}: every joint of every frame is empty or not finite; restore the file from the release")
    report = Report()
    return repair(values, path.name, report), list(report.events)


def _read_csv(path: Path) -> np.ndarray:
    limits.table(path)
    try:
        with path.open(encoding="utf-8") as file:
            header = not all(map(_is_number, file.readline().strip().split(",")))
        return pd.read_csv(path, header=None, skiprows=int(header), dtype=np.float64, engine="c", quoting=csv.QUOTE_NONE).to_numpy()
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: the file is empty; restore it from the release, or take its folder away") from None
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: not a table of numbers ({str(error).strip()})") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _read_npy(path: Path) -> np.ndarray:
    frames = limits.array(path)
    if frames.ndim not in (2, 3) or not frames.size:
        raise DataError(f"{path}: expected an array of frames and joints, found shape {frames.shape}")
    return frames.reshape(len(frames), -1)


def _read_xlsx(path: Path) -> np.ndarray:
    import python_calamine

    limits.workbook(path)
    try:
        # With the empty rows at the top, which are frames too.
        rows = python_calamine.CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python(skip_empty_area=False)
        return pd.DataFrame(rows).apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    except (python_calamine.CalamineError, ValueError, IndexError) as error:
        raise DataError(f"{path}: not a workbook with one sheet of numbers ({error})") from None


def fingertips_swapped(frames: np.ndarray) -> bool:
    """Whether fingertips 25–29 of (T, 35, 3) frames lie, by the median, nearer wrist 4 (right) than wrist 7 (left)."""

    def distance(wrist: int) -> float:
        both = (frames[:, wrist, None, 2] > 0) & (frames[:, 25:30, 2] > 0)
        gaps = np.linalg.norm(frames[:, 25:30, :2] - frames[:, wrist, None, :2], axis=-1)[both]
        return float(np.median(gaps)) if gaps.size else np.nan

    return distance(4) < distance(7)


def write_video(
    root: Path, split: str, video: str, keypoints: np.ndarray, segments: Sequence[tuple[int, int, int]], openpose: str = "npy"
) -> None:
    """One video as the challenge gives it: light_hand csv, label csv, and all 137 keypoints as ``npy``, ``csv`` or ``xlsx``.

    Args:
        keypoints: (T, 137, 3), rounded here to the three decimals that OpenPose writes.
        segments: (class index, first frame, last frame) of each clip.
    """
    folder = root / SPLIT_FOLDERS[split] / video
    folder.mkdir(parents=True, exist_ok=True)
    keypoints = np.round(keypoints.astype(np.float32), 3)
    pd.DataFrame([(0 if label == UNKNOWN else labels.to_file(label), start, end) for label, start, end in segments]).to_csv(
        folder / f"{video}_label.csv", header=False, index=False
    )
    light = keypoints[:, layouts.selection(layouts.get("openpose137"), layouts.get("light_hand35"))]
    pd.DataFrame(light.reshape(len(light), -1)).to_csv(folder / f"{video}_light_hand.csv", header=False, float_format="%.6g")
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
    """Write ``clips.Clips`` of layout ``openpose137`` as folders of the challenge: the clips of a video, one after the other.

    The clips of a video become ``<video>_0``, ``<video>_1``, …; a test clip of unknown class gets class 0, which is none. Subjects, if
    known, go to the table of the full release.

    Raises:
        ValueError: another layout, other classes than iMiGUE's, or a clip of unknown class that is not a test clip.
    """
    if clips.layout.name != "openpose137":
        raise ValueError(
            f"the challenge's folders hold 137 keypoints, these clips are in layout {clips.layout.name!r}; load them with 'openpose137'"
        )
    if tuple(clips.classes) != labels.CLASSES:
        raise ValueError(f"the challenge's label files know the 32 classes of iMiGUE alone, these clips have {len(clips.classes)} others")
    table = clips.table.reset_index(drop=True)
    if (unknown := (table["label"] == UNKNOWN) & (table["split"] != "test")).any():
        raise ValueError(f"clip {table['id'][unknown].iloc[0]!r} is of unknown class; only test clips may be")
    for (split, video), rows in table.groupby(["split", "video"], sort=False):
        ends = rows["frames"].cumsum()
        segments = zip(rows["label"], (ends - rows["frames"]).tolist(), (ends - 1).tolist(), strict=True)
        write_video(Path(root), split, video, np.concatenate([clips[i] for i in rows.index]), list(segments))
    known = table[table["subject"] != ""].drop_duplicates("video")
    if len(known):
        write_subjects(Path(root), known[["video", "subject"]].set_axis(["video_id", "subject_id"], axis=1))


def write_subjects(root: Path, table: pd.DataFrame) -> None:
    """The label table of the full release: columns video_id, subject_id, class, start_frame, end_frame, win_or_lose."""
    (root / "Label").mkdir(parents=True, exist_ok=True)
    table.to_csv(root / "Label" / SUBJECTS_FILE, index=False)
