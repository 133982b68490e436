"""The annotation pickles of PySkl and mmaction2, of any skeleton layout, read and written.

A dict of ``split``, {name: [ids]}, and ``annotations``, a list of dicts with ``frame_dir`` (the id),
``total_frames``, ``img_shape`` (height, width), ``label``, ``keypoint`` (M, T, V, 2) and ``keypoint_score``
(M, T, V). The order of the joints is not in the file: it is that of the requested layout. ``write`` adds
``classes`` and, to each annotation, ``video`` and ``subject``; PySkl ignores them.
"""

import pickle
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import atomic, labels, layouts
from ..layouts import Layout
from . import folders, unpickling, untrusted
from .contract import UNKNOWN, UNUSED, Clip, DataError, Progress, Report, repair, shown

VERSION = 3
CACHED_LAYOUT = ""
SUFFIXES = (".pkl", ".pickle")
LABEL_MAP = "label_map.txt"
"""Names of the classes, one in a line, beside a pickle that does not have them; after a tab, their
regions."""
MOST_CLASSES = 10_000
RTMLIB = ("keypoints", "scores")
"""The first key of a pickle of rtmlib's results, which ``wholebody`` reads."""
SPLIT = re.compile("train(ing)?|eval(uation)?|valid(ation|ate)?|val|test(ing)?")
KINDS = {"tr": "train", "ev": "val", "va": "val", "te": "test"}
HIGHEST_SCORE = 1.5
"""OpenPose's scores go a little beyond 1. A third value beyond this limit is a depth, not a score."""


def recognises(source: Path) -> bool:
    """Whether the file is a pickle, or the folder, or the only folder in it, contains one."""
    return bool(_pickles(folders.only(source, _pickles)))


def _pickles(source: Path) -> list[Path]:
    paths = sorted(source.iterdir()) if source.is_dir() else [source]
    paths = [path for path in paths if path.suffix.lower() in SUFFIXES and not path.stem.endswith("_label")]
    return [
        path
        for path in paths
        if not folders.is_litter(path.name) and unpickling.first_text(path) not in RTMLIB
    ]


def read(source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of a pickle, in its order. Of more persons than the layout has, those with the highest total
    scores are read.

    Raises:
        DataError: naming the file, the annotation, what was expected of it and what was found.
    """
    source = folders.only(source, _pickles)
    paths = _pickles(source)
    if len(paths) > 1:
        listed = ", ".join(path.name[:100] for path in paths[:3]) + ", …" * (len(paths) > 3)
        raise DataError(f"{source}: has {len(paths)} pickles; give one of them: {listed}")
    path = paths[0]
    if path != source:
        folders.inside(source, report)
    annotations, splits, names = _open(path, report)
    stored = _stored(path, annotations, layout.single_person or layout, report)
    mapped = layouts.get("openpose137") if stored.name == "wholebody133" else stored
    joints = layouts.selection(mapped if layout.single_person is None else layouts.pair(mapped), layout)
    labelled = (a.get("label") for a in annotations)
    largest = max(
        (int(label) for label in labelled if isinstance(label, int | np.integer) and label < MOST_CLASSES),
        default=0,
    )
    report.classes = names or _classes(path, max(largest, 0) + 1, stored, report)
    if report.class_regions and len(report.class_regions) != len(report.classes):
        raise DataError(
            f"{path}: `class_regions` has {len(report.class_regions)} names and `classes` {len(report.classes)}; give one for each"
        )
    for annotation in progress(annotations, total=len(annotations), desc="reading annotations"):
        clip = _clip(annotation, stored, layout.persons, report)
        if isinstance(clip, str):
            report.wrong(f"{path}: {clip}")
        elif clip["id"] not in splits:
            report.note("annotations in no split left out", clip["id"])
        else:
            clip["split"] = splits[clip["id"]]
            yield Clip(**clip | {"keypoints": clip["keypoints"][:, joints]})


def _open(path: Path, report: Report) -> tuple[list[dict[Any, Any]], dict[str, str], tuple[str, ...]]:
    """The annotations, the split of each id, and the names of the classes if the file has them."""
    content = unpickling.load(path)
    content = {"annotations": content} if isinstance(content, list) else content
    if (
        not isinstance(content, dict)
        or not isinstance(annotations := content.get("annotations"), list)
        or not annotations
    ):
        raise DataError(
            f"{path}: expected a dict with `split` and a list `annotations` of at least one clip, found {shown(content)}"
        )
    if (row := next((row for row, a in enumerate(annotations) if not isinstance(a, dict)), None)) is not None:
        raise DataError(
            f"{path}: annotation {row} is {shown(annotations[row])}; expected a dict; correct or remove it"
        )
    claimed = sum(
        a[key].nbytes
        for a in annotations
        for key in ("keypoint", "keypoint_score")
        if isinstance(a.get(key), np.ndarray)
    )
    if claimed > 8 * path.stat().st_size:
        raise DataError(
            f"{path}: its annotations share a few arrays, which would unfold to {claimed:,} bytes from {path.stat().st_size:,}; "
            "write each annotation with an array of its own"
        )
    names = content.get("classes", ())
    if (
        not isinstance(names, list | tuple)
        or not all(isinstance(name, str) for name in names)
        or len(names) > MOST_CLASSES
    ):
        raise DataError(f"{path}: `classes` must be a list of names, found {shown(names)}")
    _check_names(path, names)
    regions = content.get("class_regions", ())
    if not isinstance(regions, list | tuple) or not all(
        isinstance(name, str) and name.isprintable() and name for name in regions
    ):
        raise DataError(f"{path}: `class_regions` must be a list of names, found {shown(regions)}")
    report.class_regions = tuple(regions)
    return annotations, _splits(path, content.get("split"), annotations, report), tuple(names)


def _check_names(path: Path, names: Sequence[str]) -> None:
    wrong = [
        name
        for name, count in Counter(names).items()
        if count > 1 or not name.isprintable() or not name.strip()
    ]
    if wrong:
        raise DataError(
            f"{path}: {shown(wrong[0])} is no class name, or is there twice; each class needs a printable name of its own"
        )


def _splits(path: Path, split: Any, annotations: list[dict[Any, Any]], report: Report) -> dict[str, str]:
    """The split of each id in the first protocol (xsub_train, xview_train are of two); a clip that only
    others use has ``UNUSED``."""
    ids = [a["frame_dir"] for a in annotations if isinstance(a.get("frame_dir"), str)]
    if split is None:
        found = SPLIT.search(path.stem.lower())
        name = KINDS[found[0][:2]] if found else "train"
        report.note(f"no `split` in the file: all clips taken as the {name} split", path.name)
        return dict.fromkeys(ids, name)
    if not isinstance(split, dict) or not all(
        isinstance(name, str) and is_list(of) for name, of in split.items()
    ):
        raise DataError(f"{path}: `split` must be a dict of lists of ids, found {shown(split)}")
    protocols: dict[str, dict[str, str]] = {}
    for name in split:
        if found := SPLIT.search(name.lower()):
            protocols.setdefault(name.lower().replace(found[0], "").strip("_-"), {})[name] = KINDS[
                found[0][:2]
            ]
        else:
            report.note("splits that are none of train, val and test left out", shown(name))
    if split and not protocols:
        raise DataError(
            f"{path}: none of its splits ({shown(list(split))}) is train, val or test; rename them in `split`"
        )
    of_protocols = {
        protocol: _of_protocol(path, split, names, report) for protocol, names in protocols.items()
    }
    known, placed = set(ids), dict.fromkeys(id for of in of_protocols.values() for id in of)
    for id in [id for id in placed if id not in known]:
        report.note("ids in `split` without an annotation", id)
    if len(of_protocols) > 1:
        report.protocols = {protocol or "default": of for protocol, of in of_protocols.items()}
    return dict.fromkeys(placed, UNUSED) | next(iter(of_protocols.values()), {})


def is_list(value: object) -> bool:
    """Whether a value can be a list of ids, as ``split`` has them; an array needs one axis."""
    return value.ndim == 1 if isinstance(value, np.ndarray) else isinstance(value, list | tuple | set)


def _of_protocol(
    path: Path, split: dict[str, Any], names: Mapping[str, str], report: Report
) -> dict[str, str]:
    """The split of each id in one protocol; ``names`` has its entries of ``split``, and whether each is
    train, val or test."""
    of: dict[str, str] = {}
    for name, kind in sorted(names.items(), key=lambda item: item[1] != "train"):
        for id in split[name]:
            if not isinstance(id, str):
                raise DataError(
                    f"{path}: split {shown(name)} holds {shown(id)}; expected ids, as in `frame_dir`"
                )
            if of.get(id, kind) != kind:
                report.note(f"ids in several splits taken from {of[id]} for {kind}", id)
            of[id] = kind
    return of


def _stored(path: Path, annotations: list[dict[Any, Any]], wanted: Layout, report: Report) -> Layout:
    """The layout of the file's joints: the wanted one if it has as many, else a known one with as many that
    has the wanted joints."""
    arrays = [
        a["keypoint"]
        for a in annotations
        if isinstance(a.get("keypoint"), np.ndarray) and a["keypoint"].ndim == 4
    ]
    if not arrays:
        raise DataError(f"{path}: no annotation has a `keypoint` array of shape (persons, frames, joints, 2)")
    count = arrays[0].shape[2]
    if count == len(wanted.joints):
        return wanted
    alike = [layout for layout in map(layouts.get, layouts.names()) if len(layout.joints) == count]
    for layout in alike:
        mapped = layouts.get("openpose137") if layout.name == "wholebody133" else layout
        if set(wanted.joints) <= set(mapped.joints):
            to = (
                ""
                if layout is mapped
                else f" and mapped to {mapped.name!r}, with neck and mid hip as means, without pupils"
            )
            report.note(
                f"the {count} joints of the file taken in the order of layout {layout.name!r}{to}", path.name
            )
            return layout
    choose = (
        f"choose layout {' or '.join(layout.name for layout in alike)}"
        if alike
        else "`layouts.register` one that has"
    )
    raise DataError(
        f"{path}: has {count} joints and layout {wanted.name!r} has {len(wanted.joints)}; {choose}"
    )


def beside(source: Path) -> list[Path]:
    """The file with the names of the classes."""
    return [source.with_name(LABEL_MAP)] if source.is_file() else []


def _classes(path: Path, count: int, stored: Layout, report: Report) -> tuple[str, ...]:
    """Names of at least ``count`` classes: from the file beside the pickle, else those of iMiGUE for its
    joints, else numbers."""
    names_file = path.with_name(LABEL_MAP)
    if names_file.is_file():
        untrusted.size(names_file, 2**20)
        try:
            lines = [
                line.strip().split("\t")
                for line in names_file.read_text(encoding="utf-8-sig").rstrip().split("\n")
            ]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{names_file}: not text in UTF-8 ({error}); save it again in this encoding"
            ) from None
        names = [line[0].strip() for line in lines]
        if len(cells := {len(line) for line in lines}) > 1 or max(cells) > 2:
            raise DataError(
                f"{names_file}: each line must have the name of a class, and in all lines or in none a tab and its region"
            )
        report.class_regions = tuple(line[1].strip() for line in lines) if max(cells) == 2 else ()
        if "" in names:
            raise DataError(
                f"{names_file}: line {names.index('') + 1} is blank; each line must name a class: complete or delete it"
            )
        _check_names(names_file, names)
        return tuple(names)
    if stored.name.startswith("imigue") and count <= len(labels.CLASSES):
        report.note("no names of classes: labels taken as those of iMiGUE", path.name)
        return labels.CLASSES
    report.note(
        f"no names of classes: they are numbered (write them to {LABEL_MAP} beside the pickle, one a line)",
        path.name,
    )
    return tuple(f"class {label}" for label in range(count))


def _clip(annotation: Mapping[Any, Any], stored: Layout, wanted: int, report: Report) -> dict[str, Any] | str:
    """The fields of a Clip without its split, in the joints of the file for ``wanted`` persons; or the text
    of an error."""
    id, label = annotation.get("frame_dir"), annotation.get("label", UNKNOWN)
    if not isinstance(id, str) or not id:
        return f"an annotation has frame_dir {shown(id)}; expected the id of its clip as text"
    if not isinstance(label, int | np.integer) or not UNKNOWN <= label < len(report.classes):
        return f"annotation {shown(id)} has label {shown(label)}; expected a whole number from 0 to {len(report.classes) - 1}"
    persons = _persons(annotation, id, len(stored.joints), report)
    if isinstance(persons, str):
        return f"annotation {shown(id)}: {persons}"
    if stored.name == "wholebody133":
        persons = layouts.to_openpose137(persons)
    there = np.count_nonzero(persons[..., 2].any((1, 2)))
    if there > wanted:
        which = (
            "one with the highest total score was"
            if wanted == 1
            else f"{wanted} with the highest total scores were"
        )
        report.note(f"clips of more persons than requested: the {which} read", id)
    if there < wanted > 1:
        report.note(f"clips of fewer than {wanted} persons: the joints of the others are missing", id)
    best = np.argsort(-persons[..., 2].sum((1, 2), dtype=np.float64), kind="stable")[:wanted]
    persons = np.concatenate(
        [persons[np.sort(best)], np.zeros((wanted - len(best), *persons.shape[1:]), np.float32)]
    )
    keypoints = persons.swapaxes(0, 1).reshape(len(persons[0]), -1, 3)
    if not keypoints[..., 2].any():
        report.note("no joint was found in any frame", id)
    if not isinstance(total := annotation.get("total_frames"), int | np.integer) or total != len(keypoints):
        report.note(
            "`total_frames` differs from the frames of `keypoint`, which were read",
            f"{id} ({shown(total)} for {len(keypoints)})",
        )
    width, height = _frame_size(annotation, keypoints, id, report)
    video, subject = annotation.get("video"), annotation.get("subject")
    video = (
        video
        if isinstance(video, str) and video
        else id.partition("_")[0]
        if re.fullmatch(r"\d{4}_\d+", id)
        else id
    )
    return {
        "id": id, "label": int(label), "video": video, "subject": subject if isinstance(subject, str) else "",
        "width": width, "height": height, "keypoints": keypoints,
    }  # fmt: skip


def _persons(annotation: Mapping[Any, Any], id: str, joints: int, report: Report) -> np.ndarray | str:
    """Joints of all persons, (M, T, V, 3); or the text of an error."""
    points, scores = annotation.get("keypoint"), annotation.get("keypoint_score")
    if not isinstance(points, np.ndarray) or points.dtype.kind not in "fiu":
        return f"keypoint is {shown(points)}; expected an array of numbers"
    if (
        points.ndim != 4
        or points.shape[2] != joints
        or points.shape[3] not in (2, 3)
        or not all(points.shape)
    ):
        return f"keypoint has shape {points.shape}; expected (persons, frames, {joints} joints, 2 or 3)"
    if scores is None and points.shape[3] == 3:
        if not (
            np.nan_to_num(points[..., 2], nan=0).max() <= HIGHEST_SCORE
            and np.nan_to_num(points[..., 2], nan=0).min() >= 0
        ):
            return (
                "the third value of `keypoint` is no score (0 to 1): 3D joints are not read; give x, y, score"
            )
        report.note("the third value of `keypoint` taken as the score", id)
        scores = points[..., 2]
    elif scores is None:
        report.note("no `keypoint_score`: joints at (0, 0) taken as missing, all others as certain", id)
        scores = points.any(-1).astype(np.float32)
    elif points.shape[3] == 3:
        report.note("the third value of `keypoint` left out: `keypoint_score` has the scores", id)
    if (
        not isinstance(scores, np.ndarray)
        or scores.dtype.kind not in "fiub"
        or scores.shape != points.shape[:3]
    ):
        return f"keypoint_score is {shown(scores)}; expected one of shape {points.shape[:3]}, as of keypoint {points.shape}"
    return repair(np.concatenate([points[..., :2], scores[..., None]], -1), id, report)


def _frame_size(
    annotation: Mapping[Any, Any], keypoints: np.ndarray, id: str, report: Report
) -> tuple[int, int]:
    """Width and height of the video, from ``img_shape`` or ``original_shape``, which are (height, width)."""
    for key in ("img_shape", "original_shape"):
        shape = annotation.get(key)
        shape = shape.tolist() if isinstance(shape, np.ndarray) and shape.size == 2 else shape
        if (
            isinstance(shape, list | tuple)
            and len(shape) == 2
            and all(
                isinstance(side, int | np.integer) and 0 < side <= untrusted.LARGEST_SIDE for side in shape
            )
        ):
            return int(shape[1]), int(shape[0])
    report.note("no usable `img_shape`: frame size taken from the largest coordinates", id)
    right, bottom = (
        np.clip(np.ceil(keypoints[..., :2].max((0, 1))), 1, untrusted.LARGEST_SIDE).astype(int).tolist()
    )
    return right, bottom


def write(path: str | Path, clips: Any) -> None:
    """Write ``clips.Clips`` as a pickle that this module and PySkl read. Raises OSError as ``atomic.file``
    does.

    Joints are (1, T, V, 2) and (1, T, V), both float32. The arrays are pickled in a form that every version
    of numpy can load.
    """
    path = Path(path)
    annotations = [
        {
            "frame_dir": row.id, "label": int(row.label), "total_frames": int(row.frames), "img_shape": (int(row.height), int(row.width)),
            "original_shape": (int(row.height), int(row.width)), "video": row.video, "subject": row.subject,
            "keypoint": np.array(clips[i][None, :, :, :2]), "keypoint_score": np.array(clips[i][None, :, :, 2]),
        }
        for i, row in enumerate(clips.table.itertuples())
    ]  # fmt: skip
    split = {name: rows["id"].tolist() for name, rows in clips.table.groupby("split", sort=False)}
    of_classes = {"classes": list(clips.classes), "class_regions": list(clips.class_regions)}
    with atomic.file(path) as unfinished, unfinished.open("wb") as file:
        _Pickler(file, protocol=4).dump({"split": split, "annotations": annotations, **of_classes})


class _Pickler(pickle.Pickler):
    """Numpy 2 refers to functions that numpy 1 does not have; the name of ``ndarray`` itself is the same in
    both."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, np.ndarray):
            return np.ndarray, (obj.shape, obj.dtype.str, bytearray(obj.tobytes()))
        return NotImplemented
