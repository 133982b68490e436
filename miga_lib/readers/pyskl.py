"""The annotation pickles of PySkl and mmaction2, of any skeleton layout, read and written.

A dict of ``split``, {name: [ids]}, and ``annotations``, a list of dicts with ``frame_dir`` (the id),
``total_frames``, ``img_shape`` (height, width), ``label``, ``keypoint`` (M, T, V, 2) and ``keypoint_score``
(M, T, V). The order of the joints is not in the file: it is that of the requested layout. ``write`` adds
``classes`` and, to each annotation, ``video`` and ``subject``; PySkl ignores them.

A folder may have one pickle a split instead, see ``split_pickles``.

PySkl's own tool writes detection m of each frame to place m, whoever it is; ``videos.choose`` notices this.
"""

import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import atomic, labels, layouts
from ..layouts import Layout
from . import checks, class_names, folders, split_pickles, unpickling, untrusted, videos
from .contract import (
    MAX_SIDE,
    UNKNOWN,
    UNUSED,
    Clip,
    DataError,
    Progress,
    Report,
    frame_size,
    in_pixels,
    repair,
    shown,
)
from .split_pickles import KINDS, SPLIT

VERSION = 6
CACHED_LAYOUT = ""
SUFFIXES = (".pkl", ".pickle")
RTMLIB = ("keypoints", "scores")
"""The first key of a pickle of rtmlib's results, which ``wholebody`` reads."""
KEYS = "frame_dir total_frames img_shape original_shape label keypoint keypoint_score video subject".split()
KEYS += "split annotations classes class_regions".split()
"""What is read of an annotation and of the file."""
MAX_SCORE = 1.5
"""OpenPose's scores go a little beyond 1. A third value beyond this limit is a depth, not a score."""


def recognises(source: Path) -> bool:
    """Whether the file is a pickle, or the folder, or the only folder in it, contains one."""
    return bool(_pickles(folders.only(source, _pickles)))


def beside(source: Path) -> list[Path]:
    """The files with the names of the classes and with the labels."""
    if not source.is_file():
        return []
    return [source.with_name(class_names.LABEL_MAP), *split_pickles.label_files(source)]


def _pickles(source: Path) -> list[Path]:
    paths = sorted(source.iterdir()) if source.is_dir() else [source]
    paths = [path for path in paths if path.suffix.lower() in SUFFIXES and not folders.is_litter(path.name)]
    paths = [path for path in paths if not path.stem.endswith(split_pickles.LABELS)]
    return [path for path in paths if unpickling.first_text(path) not in RTMLIB]


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of a pickle, or of one for each split, in their order.

    Of more persons than the layout has, those with the highest total scores are read.
    """
    source = folders.only(source, _pickles)
    paths = _pickles(source)
    path = split_pickles.common(source, paths)
    if path != source:
        folders.inside(source, report)
    content, splits = _joined(paths, report)
    annotations = content["annotations"]
    stored = _stored(path, annotations, layout.single_person or layout, report)
    mapped = _mapped(stored)
    joints = layouts.selection(layouts.pair(mapped) if layout.single_person else mapped, layout)
    report.classes = class_names.read(path, content, stored, report)
    places = {name: index for index, name in enumerate(report.classes)}
    keys = dict.fromkeys(key for part in (content, *annotations) for key in part)
    for key in [key for key in keys if key not in KEYS]:
        report.note("keys of the file and its annotations that are not read", shown(key))
    for annotation in progress(annotations, total=len(annotations), desc="reading annotations"):
        try:
            clip = _clip(annotation, stored, places, layout.persons, report)
        except DataError as error:
            report.wrong(f"{path}: {error}")
            continue
        if clip is None:
            continue
        if clip.id in splits:
            yield replace(clip, split=splits[clip.id], keypoints=clip.keypoints[:, joints])
        else:
            report.note("annotations in no split left out", clip.id)


def _joined(paths: Sequence[Path], report: Report) -> tuple[dict[Any, Any], dict[str, str]]:
    """The content of the pickles of a source as that of one, and the split of each id. Raises DataError."""
    joined: dict[Any, Any] = {}
    annotations: list[dict[Any, Any]] = []
    splits: dict[str, str] = {}
    for path in paths:
        content, own = _open(path)
        if content.get("split") is None:
            own = split_pickles.labelled(path, own, report)
        elif len(paths) > 1:
            problem = f"has a `split` of its own, and is one of {len(paths)} pickles of one split each"
            raise DataError(f"{path}: {problem}; remove the `split`, or give the file alone")
        placed = _splits(path, content.get("split"), own, report)
        again = sorted((placed.keys() & splits.keys()) - {""})
        if again:
            problem = f"clip {shown(again[0])} is also in the {splits[again[0]]} split"
            raise DataError(f"{path}: {problem} ({len(again)} such clips); remove it from one of the two")
        for key in ("classes", "class_regions"):
            if joined and repr(joined.get(key)) != repr(content.get(key)):
                raise DataError(f"{path}: its `{key}` is not that of {paths[0].name}; write the same in all")
        splits |= placed
        annotations += own
        joined |= content
    return joined | {"annotations": annotations}, splits


def _open(path: Path) -> tuple[dict[Any, Any], list[dict[Any, Any]]]:
    """The content of a pickle, and its annotations."""
    content = unpickling.load(path)
    if isinstance(content, list):
        content = {"annotations": content}
    if isinstance(content, tuple) and len(content) == 2:
        problem = "a pair of names and labels, as beside arrays of ST-GCN (clips, 3, frames, joints, persons)"
        way_out = "only those of MiGA 2023 are read, give their folder; write others as a pickle of PySkl"
        raise DataError(f"{path}: {problem}; {way_out}")
    annotations = untrusted.entry(content, "annotations")
    if not isinstance(annotations, list) or not annotations:
        expected = "expected a dict with `split` and a list `annotations` of at least one clip"
        raise DataError(f"{path}: {expected}, found {shown(content)}; write an annotation for each clip")
    for row, annotation in enumerate(annotations):
        if not isinstance(annotation, dict):
            problem = f"annotation {row} is {shown(annotation)}; expected a dict with frame_dir and keypoint"
            raise DataError(f"{path}: {problem}; correct or remove it")
    arrays = [a.get(key) for a in annotations for key in ("keypoint", "keypoint_score")]
    unpickling.refuse_shared(path, arrays, "annotation")
    return content, annotations


def _splits(path: Path, split: Any, annotations: list[dict[Any, Any]], report: Report) -> dict[str, str]:
    """The split of each id in the first protocol (xsub_train, xview_train are of two); a clip that only
    others use has ``UNUSED``."""
    ids = [_text(a.get("frame_dir")) or "" for a in annotations]
    if split is None:
        kind = split_pickles.kind(path) or "train"
        report.note(f"no `split` in the file: all clips taken as the {kind} split", path.name)
        return dict.fromkeys(ids, kind)
    strings = isinstance(split, dict) and all(isinstance(name, str) for name in split)
    if not strings or not all(map(is_list, split.values())):
        raise DataError(f"{path}: `split` must be a dict of lists of ids, found {shown(split)}")
    protocols: dict[str, dict[str, str]] = {}
    for name in split:
        match = SPLIT.search(name.lower())
        if match:
            protocol = name.lower().replace(match[0], "").strip("_-")
            protocols.setdefault(protocol, {})[name] = KINDS[match[0][:2]]
        else:
            report.note("splits that are none of train, val and test left out", shown(name))
    if split and not protocols:
        problem = f"none of its splits ({shown(list(split))}) is train, val or test"
        raise DataError(f"{path}: {problem}; rename them in `split`")
    by_protocol = {name: _of_protocol(path, split, kinds, report) for name, kinds in protocols.items()}
    placed = dict.fromkeys((id for splits in by_protocol.values() for id in splits), UNUSED)
    annotated = set(ids)
    for id in placed:
        if id not in annotated:
            report.note("ids in `split` without an annotation", id)
    if len(by_protocol) > 1:
        report.protocols = {protocol or "default": splits for protocol, splits in by_protocol.items()}
    return placed | next(iter(by_protocol.values()), {})


def is_list(value: object) -> bool:
    """Whether a value can be a list of ids, as ``split`` has them; an array needs one axis."""
    return value.ndim == 1 if isinstance(value, np.ndarray) else isinstance(value, list | tuple | set)


def _text(value: Any) -> str | None:
    """A name as text, a whole number as its digits, nothing as an empty text; None for anything else."""
    if value is None or isinstance(value, str):
        return value or ""
    number = unpickling.whole_number(value)
    return None if number is None else str(number)


def _of_protocol(
    path: Path, split: dict[str, Any], kinds: Mapping[str, str], report: Report
) -> dict[str, str]:
    """The split of each id in one protocol; ``kinds`` has train, val or test for its entries of ``split``."""
    splits: dict[str, str] = {}
    for name, kind in sorted(kinds.items(), key=lambda item: item[1] != "train"):
        for value in split[name]:
            id = _text(value)
            if not id:
                problem = f"split {shown(name)} holds {shown(value)}"
                raise DataError(f"{path}: {problem}; expected ids, as in `frame_dir`")
            if splits.get(id, kind) != kind:
                report.note(f"ids in several splits taken from {splits[id]} for {kind}", id)
            splits[id] = kind
    return splits


def _mapped(stored: Layout) -> Layout:
    return layouts.get("openpose137") if stored.name == "wholebody133" else stored


def _stored(path: Path, annotations: list[dict[Any, Any]], wanted: Layout, report: Report) -> Layout:
    """The wanted layout if the file has as many joints, else a known one with as many and the wanted ones."""
    arrays = [a["keypoint"] for a in annotations if isinstance(a.get("keypoint"), np.ndarray)]
    joints = next((array.shape[2] for array in arrays if array.ndim == 4 and array.shape[2]), None)
    if joints is None:
        expected = "no annotation has a `keypoint` array of shape (persons, frames, joints, 2)"
        raise DataError(f"{path}: {expected}: {_found(annotations[0])}")
    if joints == len(wanted.joints):
        return wanted
    alike = [layout for layout in map(layouts.get, layouts.names()) if len(layout.joints) == joints]
    for layout in alike:
        mapped = _mapped(layout)
        if set(wanted.joints) <= set(mapped.joints):
            event = f"the {joints} joints of the file taken in the order of layout {layout.name!r}"
            if layout is not mapped:
                event += f" and mapped to {mapped.name!r}, with neck and mid hip as means, without pupils"
            report.note(event, path.name)
            return layout
    names = " or ".join(layout.name for layout in alike)
    way_out = "write a layout file for them (docs/own-data.md, A layout of your own), and give its path"
    if alike:
        way_out = f"choose layout {names}"
    problem = f"has {joints} joints and layout {wanted.name!r} has {len(wanted.joints)}"
    raise DataError(f"{path}: {problem}; {way_out}")


def _clip(
    annotation: Mapping[Any, Any], stored: Layout, places: Mapping[str, int], count: int, report: Report
) -> Clip | None:
    """The clip of an annotation without its split, in all joints of the file; None if nobody is in it.
    ``places`` has the number of each class. Raises DataError."""
    id = _name(annotation, "frame_dir", "an annotation", report)
    if not id:
        raise DataError("an annotation has no frame_dir; expected the id of its clip")
    label = _label(id, annotation.get("label"), places, report)
    slots = _persons(annotation, id, len(stored.joints), report)
    if slots is None:
        return None
    size = _frame_size(annotation)
    slots = in_pixels(slots, size, id, report)
    if stored.name == "wholebody133":
        slots = layouts.to_openpose137(slots)
    persons = videos.choose(id, slots, count, report)
    keypoints = persons.swapaxes(0, 1).reshape(len(persons[0]), -1, 3)
    if not keypoints[..., 2].any():
        report.note("no joint was found in any frame", id)
    elif stored.name in ("ma28", "ma44") and checks.fingertips_are_swapped(persons[0], stored):
        event = "left fingertips are nearer to the right wrist than to the left: check which hand they are"
        report.note(event, id)
    total = annotation.get("total_frames")
    if unpickling.whole_number(total) != len(keypoints):
        event = "`total_frames` differs from the frames of `keypoint`, which were read"
        report.note(event, f"{id} ({shown(total)} for {len(keypoints)})")
    if not all(size):
        report.note("no usable `img_shape`: frame size taken from the largest coordinates", id)
        size = frame_size(keypoints)
    where = f"annotation {shown(id)}"
    video, subject = (_name(annotation, key, where, report) for key in ("video", "subject"))
    if not subject and report.classes == labels.MA52_CLASSES:
        subject = split_pickles.subject(id, report)
    if not video:
        video = id.partition("_")[0] if re.fullmatch(r"\d{4}_\d+", id) else id
    return Clip(id, label, UNUSED, video, subject, *size, keypoints)


def _label(id: str, value: Any, places: Mapping[str, int], report: Report) -> int:
    """The number of a clip's class. Raises DataError."""
    label = UNKNOWN if value is None else class_names.number_of(value, places)
    if label is None or not UNKNOWN <= label < len(places):
        rule = f"expected a whole number from 0 to {len(places) - 1}"
        if isinstance(value, str):
            rule += ", or the name of a class"
        if isinstance(value, list | tuple | set | dict | np.ndarray):
            rule += "; a clip has one class, clips of several classes are not read"
        raise DataError(f"annotation {shown(id)} has label {shown(value)}; {rule}")
    if label == UNKNOWN:
        report.note("clips without a label, or with label -1: of unknown class", id)
    return label


def _name(annotation: Mapping[Any, Any], key: str, where: str, report: Report) -> str:
    """The clip's id, video or subject, empty where it is unknown. Raises DataError."""
    value = annotation.get(key)
    name = _text(value)
    if name is None:
        rule = "expected text or a whole number, or None where it is unknown"
        raise DataError(f"{where} has {key} {shown(value)}; {rule}")
    if value is not None and not isinstance(value, str):
        report.note(f"whole numbers as `{key}` taken as text", name)
    return name


def _found(annotation: Mapping[Any, Any]) -> str:
    """What an annotation has as keypoints, and what to do if it is a form that is not read."""
    points = annotation.get("keypoint")
    found = f"found {shown(points)}"
    if "raw_file" in annotation:
        return f"{found} and `raw_file`; put the arrays of these files into the annotations"
    if "frame_inds" in annotation or "anno_inds" in annotation:
        return f"{found} and `frame_inds`, PySkl's compressed form; write it without --compress"
    return found


def _persons(annotation: Mapping[Any, Any], id: str, joints: int, report: Report) -> np.ndarray | None:
    """Joints of all persons, (M, T, V, 3); None if there are no persons or no frames."""
    points, where = annotation.get("keypoint"), f"annotation {shown(id)}"
    scores: Any = annotation.get("keypoint_score")
    if not unpickling.is_numeric(points):
        raise DataError(f"{where}: keypoint must be an array of numbers, {_found(annotation)}")
    shape = points.shape
    if not points.size:
        report.note("clips with nobody in them left out", f"{id} (keypoint of shape {shape})")
        return None
    if len(shape) != 4 or shape[2] != joints or shape[3] not in (2, 3):
        expected = f"keypoint must have shape (persons, frames, {joints} joints, 2 or 3)"
        raise DataError(f"{where}: {expected}, {_found(annotation)}")
    if unpickling.whole_number(annotation.get("total_frames")) == shape[0] > shape[1]:
        problem = f"keypoint has shape {shape}, and total_frames is {shape[0]}"
        raise DataError(f"{where}: {problem}; write persons first, then frames")
    if scores is None and shape[3] == 2:
        _refuse_rows_of_scores(points, where)
        report.note("no `keypoint_score`: joints at (0, 0) taken as missing, all others as certain", id)
        scores = points.any(-1).astype(np.float32)
    elif scores is None:
        third = np.nan_to_num(points[..., 2], nan=0)
        if not 0 <= third.min() <= third.max() <= MAX_SCORE:
            problem = "the third value of `keypoint` is no score (0 to 1): 3D joints are not read"
            raise DataError(f"{where}: {problem}; give x and y in pixels, and the score")
        report.note("the third value of `keypoint` taken as the score", id)
        scores = points[..., 2]
    elif shape[3] == 3:
        report.note("the third value of `keypoint` left out: `keypoint_score` has the scores", id)
    numeric = isinstance(scores, np.ndarray) and scores.dtype.kind in "fiub"
    if not numeric or scores.shape != shape[:3]:
        expected = f"expected one of shape {shape[:3]}, as of keypoint {shape}"
        raise DataError(f"{where}: keypoint_score is {shown(scores)}; {expected}")
    if scores.dtype.kind == "b":
        report.note("`keypoint_score` of True and False taken as 1 and 0", id)
    return repair(np.concatenate([points[..., :2], scores[..., None]], -1), id, report)


def _refuse_rows_of_scores(points: np.ndarray, where: str) -> None:
    """Raise DataError where the first axis is x, y and score, as ST-GCN has it, instead of three persons."""
    highest = np.nan_to_num(points).max((1, 2, 3))
    if len(points) == 3 and 0 < highest[2] <= MAX_SCORE < min(highest[:2]):
        problem = f"keypoint has shape {points.shape}, and no value beyond {highest[2]:g} in the third part"
        way_out = "this looks like ST-GCN's order (x, y, score; frames; joints; persons)"
        raise DataError(f"{where}: {problem}; {way_out}: write (persons, frames, joints, 3)")


def _frame_size(annotation: Mapping[Any, Any]) -> tuple[int, int]:
    """Width and height of the video, from ``img_shape`` or ``original_shape``, which are (height, width); 0
    where they are unknown."""
    for key in ("img_shape", "original_shape"):
        shape = annotation.get(key)
        sides = shape.tolist() if isinstance(shape, np.ndarray) and shape.size == 2 else shape
        if not isinstance(sides, list | tuple) or len(sides) != 2:
            continue
        height, width = map(unpickling.whole_number, sides)
        if height and width and min(height, width) > 0 and max(height, width) <= MAX_SIDE:
            return width, height
    return 0, 0


def write(path: str | Path, clips: Any) -> None:
    """Write ``clips.Clips`` as a pickle that this module and PySkl read, with every version of numpy.

    Joints are (1, T, V, 2) and (1, T, V), both float32. Raises OSError as ``atomic.file`` does.
    """
    annotations = []
    for i, row in enumerate(clips.table.itertuples()):
        size, keypoints = (int(row.height), int(row.width)), clips[i][None]
        annotations.append({
            "frame_dir": row.id, "label": int(row.label), "total_frames": int(row.frames), "img_shape": size,
            "original_shape": size, "video": row.video, "subject": row.subject,
            "keypoint": np.array(keypoints[..., :2]), "keypoint_score": np.array(keypoints[..., 2]),
        })  # fmt: skip
    split = {name: rows["id"].tolist() for name, rows in clips.table.groupby("split", sort=False)}
    classes = {"classes": list(clips.classes), "class_regions": list(clips.class_regions)}
    with atomic.file(Path(path)) as unfinished, unfinished.open("wb") as file:
        _Pickler(file, protocol=4).dump({"split": split, "annotations": annotations, **classes})


class _Pickler(pickle.Pickler):
    """Numpy 2 refers to functions that numpy 1 does not have; the name of ``ndarray`` itself is the same in
    both."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, np.ndarray):
            return np.ndarray, (obj.shape, obj.dtype.str, bytearray(obj.tobytes()))
        return NotImplemented
