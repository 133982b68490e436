"""The annotation pickles of PySkl and mmaction2, of any skeleton layout, read and written.

A dict of ``split``, {name: [ids]}, and ``annotations``, a list of dicts with ``frame_dir`` (the id),
``total_frames``, ``img_shape`` (height, width), ``label``, ``keypoint`` (M, T, V, 2) and ``keypoint_score``
(M, T, V). The order of the joints is not in the file: it is that of the requested layout. ``write`` adds
``classes`` and, to each annotation, ``video`` and ``subject``; PySkl ignores them.
"""

import pickle
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import atomic, labels, layouts
from ..layouts import Layout
from . import folders, unpickling, untrusted
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

VERSION = 4
CACHED_LAYOUT = ""
SUFFIXES = (".pkl", ".pickle")
LABEL_MAP = "label_map.txt"
"""Beside a pickle: the name of a class in each line, and perhaps a tab and its region."""
MAX_LABEL_MAP_BYTES = 2**20
MAX_CLASSES = 10_000
RTMLIB = ("keypoints", "scores")
"""The first key of a pickle of rtmlib's results, which ``wholebody`` reads."""
SPLIT = re.compile("train(ing)?|eval(uation)?|valid(ation|ate)?|val|test(ing)?")
KINDS = {"tr": "train", "ev": "val", "va": "val", "te": "test"}
MAX_SCORE = 1.5
"""OpenPose's scores go a little beyond 1. A third value beyond this limit is a depth, not a score."""


def recognises(source: Path) -> bool:
    """Whether the file is a pickle, or the folder, or the only folder in it, contains one."""
    return bool(_pickles(folders.only(source, _pickles)))


def beside(source: Path) -> list[Path]:
    """The file with the names of the classes."""
    return [source.with_name(LABEL_MAP)] if source.is_file() else []


def _pickles(source: Path) -> list[Path]:
    paths = sorted(source.iterdir()) if source.is_dir() else [source]
    paths = [path for path in paths if path.suffix.lower() in SUFFIXES and not folders.is_litter(path.name)]
    paths = [path for path in paths if not path.stem.endswith("_label")]
    return [path for path in paths if unpickling.first_text(path) not in RTMLIB]


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of a pickle, in its order. Of more persons than the layout has, those with the highest total
    scores are read."""
    source = folders.only(source, _pickles)
    paths = _pickles(source)
    if len(paths) > 1:
        names = ", ".join(path.name[:100] for path in paths[:3]) + ", …" * (len(paths) > 3)
        raise DataError(f"{source}: has {len(paths)} pickles; give one of them: {names}")
    path = paths[0]
    if path != source:
        folders.inside(source, report)
    content, annotations = _open(path)
    splits = _splits(path, content.get("split"), annotations, report)
    stored = _stored(path, annotations, layout.single_person or layout, report)
    mapped = _mapped(stored)
    joints = layouts.selection(layouts.pair(mapped) if layout.single_person else mapped, layout)
    report.classes = _classes(path, content, stored, report)
    for annotation in progress(annotations, total=len(annotations), desc="reading annotations"):
        try:
            clip = _clip(annotation, stored, layout.persons, report)
        except DataError as error:
            report.wrong(f"{path}: {error}")
            continue
        if clip.id in splits:
            yield replace(clip, split=splits[clip.id], keypoints=clip.keypoints[:, joints])
        else:
            report.note("annotations in no split left out", clip.id)


def _open(path: Path) -> tuple[dict[Any, Any], list[dict[Any, Any]]]:
    """The content of a pickle, and its annotations."""
    content = unpickling.load(path)
    if isinstance(content, list):
        content = {"annotations": content}
    annotations = untrusted.entry(content, "annotations")
    if not isinstance(annotations, list) or not annotations:
        expected = "expected a dict with `split` and a list `annotations` of at least one clip"
        raise DataError(f"{path}: {expected}, found {shown(content)}")
    for row, annotation in enumerate(annotations):
        if not isinstance(annotation, dict):
            problem = f"annotation {row} is {shown(annotation)}; expected a dict"
            raise DataError(f"{path}: {problem}; correct or remove it")
    arrays = [a.get(key) for a in annotations for key in ("keypoint", "keypoint_score")]
    unpickling.refuse_shared(path, arrays, "annotation")
    return content, annotations


def _splits(path: Path, split: Any, annotations: list[dict[Any, Any]], report: Report) -> dict[str, str]:
    """The split of each id in the first protocol (xsub_train, xview_train are of two); a clip that only
    others use has ``UNUSED``."""
    ids = [a["frame_dir"] for a in annotations if isinstance(a.get("frame_dir"), str)]
    if split is None:
        match = SPLIT.search(path.stem.lower())
        kind = KINDS[match[0][:2]] if match else "train"
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


def _of_protocol(
    path: Path, split: dict[str, Any], kinds: Mapping[str, str], report: Report
) -> dict[str, str]:
    """The split of each id in one protocol; ``kinds`` has train, val or test for its entries of ``split``."""
    splits: dict[str, str] = {}
    for name, kind in sorted(kinds.items(), key=lambda item: item[1] != "train"):
        for id in split[name]:
            if not isinstance(id, str):
                problem = f"split {shown(name)} holds {shown(id)}"
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
    joints = next((array.shape[2] for array in arrays if array.ndim == 4), None)
    if joints is None:
        raise DataError(f"{path}: no annotation has a `keypoint` array of shape (persons, frames, joints, 2)")
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
    way_out = f"choose layout {names}" if alike else "`layouts.register` one that has, or give its file"
    way_out += ", see A layout of your own in docs/own-data.md" * (not alike)
    problem = f"has {joints} joints and layout {wanted.name!r} has {len(wanted.joints)}"
    raise DataError(f"{path}: {problem}; {way_out}")


def _classes(path: Path, content: Mapping[Any, Any], stored: Layout, report: Report) -> tuple[str, ...]:
    """Names of the classes, whose regions go to the report: from the pickle, else from the file beside it,
    else those of iMiGUE for its joints, else numbers."""
    names, regions = content.get("classes", ()), content.get("class_regions", ())
    for key, value in {"classes": names, "class_regions": regions}.items():
        strings = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
        if not strings or len(value) > MAX_CLASSES:
            raise DataError(f"{path}: `{key}` must be a list of names, found {shown(value)}")
    names_file = path.with_name(LABEL_MAP)
    if not names and names_file.is_file():
        path = names_file
        names, regions = _label_map(path)
    wrong = [name for name, count in Counter(names).items() if count > 1 or not _is_name(name)]
    wrong += [name for name in regions if not _is_name(name)]
    if wrong:
        rule = "each class needs a printable name of its own, and a region has a printable name"
        raise DataError(f"{path}: {shown(wrong[0])} is no class name, or is there twice; {rule}")
    labelled = [a.get("label") for a in content["annotations"]]
    indices = [int(n) for n in labelled if isinstance(n, int | np.integer) and n < MAX_CLASSES]
    count = max([0, *indices]) + 1
    if not names and stored.name.startswith("imigue") and count <= len(labels.CLASSES):
        report.note("no names of classes: labels taken as those of iMiGUE", path.name)
        names = labels.CLASSES
    elif not names:
        way_out = f"write them to {LABEL_MAP} beside the pickle, one a line"
        report.note(f"no names of classes: they are numbered ({way_out})", path.name)
        names = [f"class {label}" for label in range(count)]
    if regions and len(regions) != len(names):
        problem = f"`class_regions` has {len(regions)} names and `classes` {len(names)}"
        raise DataError(f"{path}: {problem}; give one for each")
    report.class_regions = tuple(regions)
    return tuple(names)


def _is_name(text: str) -> bool:
    return text.isprintable() and bool(text.strip())


def _label_map(path: Path) -> tuple[list[str], list[str]]:
    """The names and regions in the file beside a pickle."""
    untrusted.size(path, MAX_LABEL_MAP_BYTES)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not text in UTF-8 ({error}); save it again in this encoding") from None
    lines = [line.strip().split("\t") for line in text.rstrip().split("\n")]
    cells = {len(line) for line in lines}
    if len(cells) > 1 or max(cells) > 2:
        rule = "each line must have the name of a class, and in all lines or in none a tab and its region"
        raise DataError(f"{path}: {rule}")
    names = [line[0].strip() for line in lines]
    if "" in names:
        problem = f"line {names.index('') + 1} is blank; each line must name a class"
        raise DataError(f"{path}: {problem}: complete or delete it")
    return names, [line[1].strip() for line in lines if len(line) == 2]


def _clip(annotation: Mapping[Any, Any], stored: Layout, count: int, report: Report) -> Clip:
    """The clip of an annotation without its split, in all joints of the file. Raises DataError."""
    id, label = annotation.get("frame_dir"), annotation.get("label", UNKNOWN)
    if not isinstance(id, str) or not id:
        raise DataError(f"an annotation has frame_dir {shown(id)}; expected the id of its clip as text")
    if not isinstance(label, int | np.integer) or not UNKNOWN <= label < len(report.classes):
        rule = f"expected a whole number from 0 to {len(report.classes) - 1}"
        raise DataError(f"annotation {shown(id)} has label {shown(label)}; {rule}")
    size = _frame_size(annotation)
    persons = in_pixels(_persons(annotation, id, len(stored.joints), report), size, id, report)
    if stored.name == "wholebody133":
        persons = layouts.to_openpose137(persons)
    present = np.count_nonzero(persons[..., 2].any((1, 2)))
    if present > count:
        which = f"{count} with the highest total scores were"
        if count == 1:
            which = "one with the highest total score was"
        report.note(f"clips of more persons than requested: the {which} read", id)
    if present < count > 1:
        report.note(f"clips of fewer than {count} persons: the joints of the others are missing", id)
    best = np.argsort(-persons[..., 2].sum((1, 2), dtype=np.float64), kind="stable")[:count]
    absent = np.zeros((count - len(best), *persons.shape[1:]), np.float32)
    persons = np.concatenate([persons[np.sort(best)], absent])
    keypoints = persons.swapaxes(0, 1).reshape(len(persons[0]), -1, 3)
    if not keypoints[..., 2].any():
        report.note("no joint was found in any frame", id)
    total = annotation.get("total_frames")
    if not isinstance(total, int | np.integer) or total != len(keypoints):
        event = "`total_frames` differs from the frames of `keypoint`, which were read"
        report.note(event, f"{id} ({shown(total)} for {len(keypoints)})")
    if not all(size):
        report.note("no usable `img_shape`: frame size taken from the largest coordinates", id)
        size = frame_size(keypoints)
    video, subject = annotation.get("video"), annotation.get("subject")
    if not isinstance(video, str) or not video:
        video = id.partition("_")[0] if re.fullmatch(r"\d{4}_\d+", id) else id
    if not isinstance(subject, str):
        subject = ""
    return Clip(id, int(label), UNUSED, video, subject, *size, keypoints)


def _persons(annotation: Mapping[Any, Any], id: str, joints: int, report: Report) -> np.ndarray:
    """Joints of all persons, (M, T, V, 3)."""
    points, where = annotation.get("keypoint"), f"annotation {shown(id)}"
    scores: Any = annotation.get("keypoint_score")
    if not unpickling.is_numeric(points):
        raise DataError(f"{where}: keypoint is {shown(points)}; expected an array of numbers")
    shape = points.shape
    if len(shape) != 4 or shape[2] != joints or shape[3] not in (2, 3) or not all(shape):
        expected = f"expected (persons, frames, {joints} joints, 2 or 3)"
        raise DataError(f"{where}: keypoint has shape {shape}; {expected}")
    if scores is None and shape[3] == 2:
        report.note("no `keypoint_score`: joints at (0, 0) taken as missing, all others as certain", id)
        scores = points.any(-1).astype(np.float32)
    elif scores is None:
        third = np.nan_to_num(points[..., 2], nan=0)
        if not 0 <= third.min() <= third.max() <= MAX_SCORE:
            problem = "the third value of `keypoint` is no score (0 to 1): 3D joints are not read"
            raise DataError(f"{where}: {problem}; give x, y, score")
        report.note("the third value of `keypoint` taken as the score", id)
        scores = points[..., 2]
    elif shape[3] == 3:
        report.note("the third value of `keypoint` left out: `keypoint_score` has the scores", id)
    numeric = isinstance(scores, np.ndarray) and scores.dtype.kind in "fiub"
    if not numeric or scores.shape != shape[:3]:
        expected = f"expected one of shape {shape[:3]}, as of keypoint {shape}"
        raise DataError(f"{where}: keypoint_score is {shown(scores)}; {expected}")
    return repair(np.concatenate([points[..., :2], scores[..., None]], -1), id, report)


def _frame_size(annotation: Mapping[Any, Any]) -> tuple[int, int]:
    """Width and height of the video, from ``img_shape`` or ``original_shape``, which are (height, width); 0
    where they are unknown."""
    for key in ("img_shape", "original_shape"):
        shape = annotation.get(key)
        sides = shape.tolist() if isinstance(shape, np.ndarray) and shape.size == 2 else shape
        if not isinstance(sides, list | tuple) or len(sides) != 2:
            continue
        if all(isinstance(side, int | np.integer) and 0 < side <= MAX_SIDE for side in sides):
            return int(sides[1]), int(sides[0])
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
