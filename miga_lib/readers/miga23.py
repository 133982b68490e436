"""The arrays of the MiGA challenge 2023: clips of 22 joints, cut or padded to 90 frames.

``{train,valid,test}_data.npy`` are float32 (N, 3, 90, 22, 1): clips, (x, y, score), frames, joints, persons.
Beside each is ``{…}_label.pkl``, a pickled pair of names and class indices. The published training file also
contains the validation clips.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .. import labels, layouts
from ..layouts import Layout
from . import folders, unpickling, untrusted
from .contract import UNKNOWN, Clip, DataError, Progress, Report, repair, select, shown

VERSION = 1
CACHED_LAYOUT = ""
WIDTH, HEIGHT = 1280, 720
FRAMES = 90
FILES = {"val": "valid", "train": "train", "test": "test"}
VALIDATION_VIDEOS = ("0001", "0002", "0003", "0004", "0006", "0007", "0008", "0009", "0010", "0011")
"""The videos of the validation split; needed if there is a training file and no validation file."""


def recognises(source: Path) -> bool:
    """Whether the folder, or one up to three levels below it, contains arrays of the challenge."""
    return bool(_arrays(source))


def _arrays(source: Path) -> dict[str, Path]:
    """The array of each split. Raises DataError if one is found twice, or if the source is one file instead
    of the folder."""
    if (
        source.name in {f"{name}_{part}" for name in FILES.values() for part in ("data.npy", "label.pkl")}
        and source.is_file()
    ):
        raise DataError(
            f"{source}: is one file of a set that belongs together; give its folder, {source.parent}"
        )
    found = {split: folders.below(source, f"{name}_data.npy") for split, name in FILES.items()}
    for paths in found.values():
        if len(paths) > 1:
            names = ", ".join(str(path.parent.relative_to(source)) for path in paths[:2])
            raise DataError(
                f"{source}: found {paths[0].name} {len(paths)} times; give the folder of one of them: {names}"
            )
    return {split: paths[0] for split, paths in found.items() if paths and paths[0].is_file()}


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of all splits: validation, training, test; each without the empty frames at its end.

    Validation clips in the training file are found by the names in the validation file, else by their video,
    and belong to the validation split; their number is in the report.

    Raises:
        DataError: naming the file, what was expected of it and what was found.
    """
    joints = select(layouts.get("imigue22"), layout, str(source))
    folders.inside(source, report)
    arrays, validation = _arrays(source), set[str]()
    for split in [split for split in FILES if split not in arrays]:
        for labelled in folders.below(source, f"{FILES[split]}_label.pkl"):
            report.note(
                f"label files without their {FILES[split]}_data.npy: the {split} split is not read",
                labelled.name,
            )
    for split, path in progress(arrays.items(), total=len(arrays), desc="reading arrays"):
        frames = _frames(path)
        names, classes = _names(path.with_name(f"{FILES[split]}_label.pkl"), len(frames), split)
        validation |= set(names) if split == "val" else set()
        if split == "test" and len(set(classes)) == 1 and len(classes) > 1:
            report.note("all labels of the test split are the same: taken as placeholders", path.name)
            classes = [UNKNOWN] * len(classes)
        for row, (id, label) in enumerate(zip(names, classes, strict=True)):
            of = split
            if split == "train" and id in validation:
                report.note("validation clips in the training file left to the validation split", id)
                continue
            if split == "train" and not validation and id.partition("_")[0] in VALIDATION_VIDEOS:
                report.note(
                    "clips of validation videos in the training file taken as the validation split", id
                )
                of = "val"
            keypoints = _clip(frames[row], id, report)[:, joints]
            yield Clip(id, label, of, id.rpartition("_")[0] or id, "", WIDTH, HEIGHT, keypoints)


def _frames(path: Path) -> np.ndarray:
    frames = untrusted.array(path)
    if frames.ndim == 5 and frames.shape[1] == 3 and frames.shape[3] == 25:
        raise DataError(
            f"{path}: has clips of 25 joints, as the arrays of SMG; these have metres and no pixels and are not read: give the folder of "
            "SampleNNNN folders"
        )
    if (
        frames.ndim != 5
        or frames.shape[1] != 3
        or frames.shape[3] != 22
        or not frames.shape[2]
        or not frames.shape[4]
    ):
        raise DataError(
            f"{path}: expected (clips, 3, {FRAMES}, 22, 1), found {frames.shape}; restore the file"
        )
    return frames


def _names(path: Path, count: int, split: str) -> tuple[list[str], list[int]]:
    """Ids and class indices of the clips. A test split may have no file and no valid classes."""
    if split == "test" and not path.exists():
        return [f"test_{row}" for row in range(count)], [UNKNOWN] * count
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; restore it: it has the names and classes of the {count} clips beside it"
        )
    content = unpickling.load(path)
    if not (
        isinstance(content, list | tuple)
        and len(content) == 2
        and all(isinstance(part, list | tuple | np.ndarray) for part in content)
    ):
        raise DataError(
            f"{path}: expected a pair of names and classes, found {shown(content)}; restore the file"
        )
    names, classes = (
        part.ravel().tolist() if isinstance(part, np.ndarray) else list(part) for part in content
    )
    if len(names) != count or len(classes) != count:
        raise DataError(
            f"{path}: has {len(names)} names and {len(classes)} classes for the {count} clips of {FILES[split]}_data.npy; "
            "restore both files from one release"
        )
    names = [
        name.decode("latin1") if isinstance(name, bytes) else name for name in names
    ]  # written by Python 2
    for row, name in enumerate(names):
        if not isinstance(name, str) or not name:
            raise DataError(f"{path}: name {row} is {shown(name)}; expected text such as '0012_3'")
    classes = [_label(label, path, row, split) for row, label in enumerate(classes)]
    return [name.replace("\\", "/").rpartition("/")[2].partition(".")[0] for name in names], classes


def _label(label: object, path: Path, row: int, split: str) -> int:
    if isinstance(label, int | np.integer) and 0 <= label < len(labels.CLASSES):
        return int(label)
    if split == "test":
        return UNKNOWN
    raise DataError(
        f"{path}: class {row} is {shown(label)}; expected a whole number from 0 to {len(labels.CLASSES) - 1}"
    )


def _clip(values: np.ndarray, id: str, report: Report) -> np.ndarray:
    """One clip (3, T, V, M) as (T, V, 3): the person with the highest total score, without the empty frames
    at the end."""
    persons = repair(values.transpose(3, 1, 2, 0), id, report)
    keypoints = persons[persons[..., 2].sum((1, 2)).argmax()]
    filled = np.flatnonzero(keypoints.any((1, 2)))
    if not len(filled):
        report.note("no joint was found in any frame", id)
        return keypoints[:1]
    if filled[-1] == len(keypoints) - 1:
        report.note(
            f"clips of {len(keypoints)} frames: longer ones were cut to their last {len(keypoints)} in the file",
            id,
        )
    return keypoints[: filled[-1] + 1]
