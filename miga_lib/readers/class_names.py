"""The names of the classes of a pickle: its own, those of a file beside it, its labels, or those of a known
set."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import labels
from ..layouts import Layout
from . import unpickling, untrusted
from .contract import DataError, Report, shown

LABEL_MAP = "label_map.txt"
"""Beside a pickle: the name of a class in each line, and perhaps a tab and its region."""
MAX_LABEL_MAP_BYTES = 2**20
MAX_CLASSES = 10_000
MAX_UNUSED = 1000
"""Classes without names that no clip has: more are the work of a wrong label."""
MA52_JOINTS = (28, 44, 136)
"""How many joints the releases of Micro-Action-52 have."""


def read(path: Path, content: Mapping[Any, Any], stored: Layout, report: Report) -> tuple[str, ...]:
    """Names of the classes, whose regions go to the report: from the pickle, else from the file beside it,
    else those that the labels are, else those of iMiGUE or Micro-Action-52 for its joints, else numbers."""
    names, regions = content.get("classes", ()), content.get("class_regions", ())
    for key, value in {"classes": names, "class_regions": regions}.items():
        strings = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
        if not strings or len(value) > MAX_CLASSES:
            raise DataError(f"{path}: `{key}` must be a list of names, found {shown(value)}")
    held, names_file = [a.get("label") for a in content["annotations"]], path.with_name(LABEL_MAP)
    source = path
    if not names and names_file.is_file():
        source = names_file
        names, regions = _label_map(source)
    if not names:
        names = _names_in_labels(path, held, report)
    wrong = [name for name, count in Counter(names).items() if count > 1 or not _is_name(name)]
    wrong += [name for name in regions if not _is_name(name)]
    if wrong:
        rule = "each class needs a printable name of its own, and a region has a printable name"
        raise DataError(f"{source}: {shown(wrong[0])} is no class name, or is there twice; {rule}")
    places = {name: index for index, name in enumerate(names)}
    indices = [number_of(label, places) for label in held]
    used = {index for index in indices if index is not None and 0 <= index < MAX_CLASSES}
    names = names or _default_names(path, used, stored, report)
    if regions and len(regions) != len(names):
        problem = f"`class_regions` has {len(regions)} names and `classes` {len(names)}"
        raise DataError(f"{source}: {problem}; give one for each")
    if used and (min(used), max(used)) == (1, len(names)):
        problem = f"its labels are 1 to {len(names)} and there are {len(names)} names of classes"
        raise DataError(f"{path}: {problem}; write labels from 0")
    if used and min(used) == 1:
        report.note("no label is 0, the lowest is 1: labels taken as counted from 0", path.name)
    if not regions and tuple(names) == labels.MA52_CLASSES:
        regions = labels.MA52_REGIONS
    report.class_regions = tuple(regions)
    return tuple(names)


def number_of(label: Any, places: Mapping[str, int]) -> int | None:
    """The number of a class that is given as number or by its name; None for anything else."""
    return places.get(label) if isinstance(label, str) else unpickling.whole_number(label)


def _names_in_labels(path: Path, held: list[Any], report: Report) -> Sequence[str]:
    """The names of the classes if the labels are names: those of iMiGUE if they contain all, else the labels
    in the order of the alphabet. Raises DataError where some are numbers."""
    names = sorted({label for label in held if isinstance(label, str)})
    if not names:
        return ()
    others = [label for label in held if label is not None and not isinstance(label, str)]
    others += [name for name in names if re.fullmatch(r"\s*[-+]?[\d.]+\s*", name)]
    if others:
        problem = f"has labels {shown(names[0])} and {shown(others[-1])}"
        raise DataError(f"{path}: {problem}; write all of them as whole numbers from 0, or all as names")
    if len(names) > MAX_CLASSES:
        raise DataError(f"{path}: has {len(names):,} different labels; at most {MAX_CLASSES:,} are read")
    if set(names) <= set(labels.CLASSES):
        report.note("labels by name: classes in the order of iMiGUE", path.name)
        return labels.CLASSES
    report.note("labels by name, and no `classes`: classes in the order of the alphabet", path.name)
    return names


def _default_names(path: Path, used: set[int], stored: Layout, report: Report) -> Sequence[str]:
    count, stem = max([0, *used]) + 1, path.stem.lower()
    if (stored.name.startswith("imigue") or stem.startswith("imigue")) and count <= len(labels.CLASSES):
        report.note("no names of classes: labels taken as those of iMiGUE", path.name)
        return labels.CLASSES
    all_used, named = count == len(labels.MA52_CLASSES), stem.startswith("ma52")
    if len(stored.joints) in MA52_JOINTS and (all_used or (named and count <= len(labels.MA52_CLASSES))):
        report.note("no names of classes: labels taken as those of Micro-Action-52", path.name)
        return labels.MA52_CLASSES
    way_out = f"write them to {LABEL_MAP} beside the pickle, one a line"
    if count - len(used) > MAX_UNUSED:
        problem = f"has label {count - 1}, only {len(used)} different labels, and no names of classes"
        raise DataError(f"{path}: {problem}; correct the label, or, if the names are known, {way_out}")
    report.note(f"no names of classes: they are numbered ({way_out})", path.name)
    return [f"class {label}" for label in range(count)]


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
