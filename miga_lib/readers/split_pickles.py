"""Pickles of one split each, as Micro-Action-52 has them.

The split is in the name of the file, and the labels may be in a file of their own beside it.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import unpickling, untrusted
from .contract import DataError, Report, shown

SPLIT = re.compile("train(ing)?|eval(uation)?|valid(ation|ate)?|val|test(ing)?")
KINDS = {"tr": "train", "ev": "val", "va": "val", "te": "test"}
LABELS = ("_label", "_lable")
"""How the names of files of labels end; the second one is that of a release."""
VIDEO_ENDING = re.compile(r"\.(mp4|avi|mkv|mov)$", re.IGNORECASE)
MA52_NAME = re.compile(r"(\d{4})_\d{2}_\d{4}(\.\w+)?")
"""Of a clip of Micro-Action-52: perhaps the person, the coarse class, a number."""


def kind(path: Path) -> str:
    """The split that the name of a file says, train, val or test; else empty."""
    match = SPLIT.search(path.stem.lower())
    return KINDS[match[0][:2]] if match else ""


def common(source: Path, paths: Sequence[Path]) -> Path:
    """The path of a single pickle; of several of one split each, with ``*`` for the split. Raises DataError
    for other sets of pickles."""
    first, kinds = paths[0], [kind(path) for path in paths]
    if len(paths) == 1:
        return first
    patterns = {SPLIT.sub("*", path.stem.lower(), count=1) for path in paths}
    if len(patterns) > 1 or "" in kinds or len(set(kinds)) < len(kinds):
        names = ", ".join(path.name[:100] for path in paths[:3]) + ", …" * (len(paths) > 3)
        way_out = f"give one of them: {names}; or one a split, such as a_train.pkl and a_test.pkl"
        raise DataError(f"{source}: has {len(paths)} pickles; {way_out}")
    return first.with_name(patterns.pop() + first.suffix)


def label_files(path: Path) -> list[Path]:
    """Where the labels of a pickle without labels can be."""
    stem = re.sub("_(data|new)$", "", path.stem)
    return [path.with_name(f"{stem}{ending}{path.suffix}") for ending in LABELS]


def labelled(path: Path, annotations: list[dict[Any, Any]], report: Report) -> list[dict[Any, Any]]:
    """The annotations of a pickle of one split, with the labels of the file beside it if they have none.

    Labels of the test split that are all the same are placeholders: they become unknown. Raises DataError for
    a file of labels of another form, or of other clips.
    """
    files = [file for file in label_files(path) if file.is_file()]
    unlabelled = all(annotation.get("label") is None for annotation in annotations)
    if files and unlabelled:
        label_of = _labels(files[0])
        names = [_name(annotation.get("frame_dir")) for annotation in annotations]
        if not label_of.keys() & set(names):
            problem = f"names {shown(next(iter(label_of), ''))} and no clip of {path.name}, such as"
            raise DataError(f"{files[0]}: {problem} {shown(names[0])}; give the labels of these clips")
        for name in label_of.keys() - set(names):
            report.note("labels of clips that are not there", name)
        annotations = [a | {"label": label_of.get(name)} for a, name in zip(annotations, names, strict=True)]
    elif unlabelled:
        report.note(f"no labels, and no {label_files(path)[0].name} beside it", path.name)
    values = {repr(annotation.get("label")) for annotation in annotations}
    if kind(path) == "test" and len(annotations) > 1 == len(values) and values != {"None"}:
        event = f"labels of the test split are all {shown(annotations[0]['label'])}: taken as unknown"
        report.note(event, path.name)
        annotations = [annotation | {"label": None} for annotation in annotations]
    return annotations


def _labels(path: Path) -> dict[str, Any]:
    """The label of each clip by its name without ending."""
    rows, label_of = unpickling.load(path), dict[str, Any]()
    for row in rows if isinstance(rows, list) else [rows]:
        name, label = untrusted.entry(row, "file_name"), untrusted.entry(row, "label")
        if not isinstance(name, str) or not isinstance(label, unpickling.PLAIN):
            raise DataError(f"{path}: expected a list of dicts with file_name and label, found {shown(row)}")
        if isinstance(label, str) and re.fullmatch(r"\d{1,9}", label):
            label = int(label)
        if label_of.setdefault(_name(name), label) != label:
            problem = f"clip {shown(name)} has labels {shown(label_of[_name(name)])} and {shown(label)}"
            raise DataError(f"{path}: {problem}; give it one")
    return label_of


def _name(value: Any) -> str:
    return VIDEO_ENDING.sub("", str(value))


def subject(id: str, report: Report) -> str:
    """The first field of the name of a clip of Micro-Action-52; empty for names of another form, as of the
    test clips. The second field is the coarse class, which nobody may use."""
    match = MA52_NAME.fullmatch(id)
    if not match:
        return ""
    report.note("first field of the name, perhaps the person, taken as the subject", id)
    return match[1]
