"""The arrays of the MiGA challenge 2023: clips of 22 joints, cut or padded to 90 frames.

``{train,valid,test}_data.npy`` are float32 (N, 3, 90, 22, 1): clips, (x, y, score), frames, joints, persons.
Beside each is ``{…}_label.pkl``, a pickled pair of names and class indices. The published training file also
contains the validation clips.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import labels, layouts
from ..layouts import Layout
from . import folders, miga, unpickling, untrusted, videos
from .contract import UNKNOWN, Clip, DataError, Progress, Report, repair, select, shown

VERSION = 2
CACHED_LAYOUT = ""
FILES = {"val": "valid", "train": "train", "test": "test"}
VALIDATION_VIDEOS = ("0001", "0002", "0003", "0004", "0006", "0007", "0008", "0009", "0010", "0011")
"""The videos of the validation split; needed if there is a training file and no validation file."""


def recognises(source: Path) -> bool:
    """Whether the folder, or one up to three levels below it, contains arrays of the challenge."""
    return bool(_arrays(source))


def _arrays(source: Path) -> dict[str, Path]:
    """The array of each split. Raises DataError if one is found twice, or if the source is one file instead
    of the folder."""
    arrays = {}
    for split, name in FILES.items():
        if source.name in (f"{name}_data.npy", f"{name}_label.pkl") and source.is_file():
            problem = "is one file of a set that belongs together"
            raise DataError(f"{source}: {problem}; give its folder, {source.parent}")
        paths = folders.below(source, f"{name}_data.npy")
        path = folders.single(paths, source, f"{name}_data.npy")
        if path and path.is_file():
            arrays[split] = path
    return arrays


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all splits: validation, training, test; each without the empty frames at its end.

    Validation clips in the training file are found by the names in the validation file, else by their video,
    and belong to the validation split.
    """
    joints = select(layouts.get("imigue22"), layout, str(source))
    folders.inside(source, report)
    arrays, validation_ids = _arrays(source), set[str]()
    for split in [split for split in FILES if split not in arrays]:
        for labelled in folders.below(source, f"{FILES[split]}_label.pkl"):
            event = f"label files without their {FILES[split]}_data.npy: the {split} split is not read"
            report.note(event, labelled.name)
    for split, path in progress(arrays.items(), total=len(arrays), desc="reading arrays"):
        frames = _frames(path)
        names, classes = _names(path.with_name(f"{FILES[split]}_label.pkl"), len(frames), split, report)
        if split == "val":
            validation_ids = set(names)
        if len(set(classes)) == 1 and len(classes) > 1:
            event = f"all labels of the {split} split are the same"
            if split == "test":
                event += ": taken as placeholders"
                classes = [UNKNOWN] * len(classes)
            report.note(event, path.name)
        for row, (id, label) in enumerate(zip(names, classes, strict=True)):
            true_split = split
            if split == "train" and id in validation_ids:
                event = "validation clips in the training file left to the validation split"
                report.note(event, id)
                continue
            if split == "train" and not validation_ids and id.partition("_")[0] in VALIDATION_VIDEOS:
                event = "clips of validation videos in the training file taken as the validation split"
                report.note(event, id)
                true_split = "val"
            keypoints, video = _keypoints(frames[row], id, report)[:, joints], id.rpartition("_")[0] or id
            yield Clip(id, label, true_split, video, "", miga.WIDTH, miga.HEIGHT, keypoints)


def _frames(path: Path) -> np.ndarray:
    frames = untrusted.array(path)
    _, values, length, joints, persons = frames.shape if frames.ndim == 5 else [0] * 5
    if values == 3 and joints == 25:
        problem = "has clips of 25 joints, as the arrays of SMG; these have metres and no pixels"
        raise DataError(f"{path}: {problem}, and are not read: give the folder of SampleNNNN folders")
    if values != 3 or joints != 22 or not length or not persons:
        problem = f"expected (clips, 3, 90, 22, 1), found {frames.shape}"
        way_out = "restore the file, or write arrays of other joints as a pickle of PySkl (docs/own-data.md)"
        raise DataError(f"{path}: {problem}; {way_out}")
    return frames


def _names(path: Path, count: int, split: str, report: Report) -> tuple[list[str], list[int]]:
    """Ids and class indices of the clips. A test split may have no file and no valid classes."""
    if split == "test" and not path.exists():
        report.note("no labels of the test split: clips numbered, of unknown class", path.name)
        return [f"test_{row}" for row in range(count)], [UNKNOWN] * count
    if not path.is_file():
        problem = f"no such file; restore it: it has the names and classes of the {count} clips beside it"
        raise DataError(f"{path}: {problem}")
    content = unpickling.load(path)
    pair: Any = content if isinstance(content, list | tuple) and len(content) == 2 else (None, None)
    if not all(isinstance(part, list | tuple | np.ndarray) for part in pair):
        problem = f"expected a pair of names and classes, found {shown(content)}"
        raise DataError(f"{path}: {problem}; restore the file")
    names, classes = (part.ravel().tolist() if isinstance(part, np.ndarray) else list(part) for part in pair)
    if len(names) != count or len(classes) != count:
        problem = f"has {len(names)} names and {len(classes)} classes for the {count} clips beside it"
        raise DataError(f"{path}: {problem}; restore both files from one release")
    ids = []
    for row, name in enumerate(names):
        text = name
        if isinstance(name, bytes):  # written by Python 2
            text = name.decode("latin1")
        if not isinstance(text, str) or not text:
            raise DataError(f"{path}: name {row} is {shown(name)}; expected text such as '0012_3'")
        ids.append(text.replace("\\", "/").rpartition("/")[2].partition(".")[0])
    for row, label in enumerate(classes):
        number = isinstance(label, int | np.integer) and not isinstance(label, bool)
        valid = number and 0 <= label < len(labels.CLASSES)
        if not valid and split != "test":
            rule = f"expected a whole number from 0 to {len(labels.CLASSES) - 1}"
            raise DataError(f"{path}: class {row} is {shown(label)}; {rule}")
        if not valid:
            report.note(
                "classes of the test split that are none: taken as unknown", f"{ids[row]} ({shown(label)})"
            )
        classes[row] = int(label) if valid else UNKNOWN
    return ids, classes


def _keypoints(values: np.ndarray, id: str, report: Report) -> np.ndarray:
    """One clip (3, T, V, M) as (T, V, 3): the person with the highest total score, without the empty frames
    at the end."""
    keypoints = videos.choose(id, repair(values.transpose(3, 1, 2, 0), id, report), 1, report)[0]
    filled, frames = np.flatnonzero(keypoints.any((1, 2))), len(keypoints)
    if not len(filled):
        report.note("no joint was found in any frame", id)
        return keypoints[:1]
    if filled[-1] == frames - 1:
        event = f"clips of {frames} frames: longer ones were cut to their last {frames} in the file"
        report.note(event, id)
    return keypoints[: filled[-1] + 1]
