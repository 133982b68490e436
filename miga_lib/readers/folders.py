"""Finding data in user folders: extra folder levels from unpacking, and files of other programs to ignore."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from . import untrusted
from .contract import DataError, Report, shown

OPTIONS = "reader.json"
"""What a format leaves open, decided by the user: a JSON object in the folder of the data."""
MAX_NUMBER = 1e30
"""Of an option; it can be compared with float32."""
LITTER = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found", "Thumbs.db", "desktop.ini")


def is_litter(name: str) -> bool:
    """Whether a file or folder of that name was left by an unpacker, file server or editor."""
    return name.startswith((".", "~$")) or name in LITTER


def options(folder: Path, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The choices in ``reader.json`` of a folder, and the default of every other choice: a number of 0 or
    more, or the first of a tuple of words. Raises DataError for an unknown name or a wrong value."""
    path = folder / OPTIONS
    chosen: Any = {}
    if path.is_file():
        chosen = untrusted.document(path)
    if not isinstance(chosen, dict) or not chosen.keys() <= choices.keys():
        rule = f"expected a JSON object with {', '.join(map(repr, choices))}"
        raise DataError(f"{path}: {rule}, found {shown(chosen)}; correct the file")
    for name, choice in choices.items():
        if isinstance(choice, tuple):
            value, rule = chosen.setdefault(name, choice[0]), f"one of {', '.join(map(repr, choice))}"
            valid = value in choice
        else:
            value, rule = chosen.setdefault(name, choice), "a number of 0 or more"
            valid = type(value) in (int, float) and 0 <= value <= MAX_NUMBER
        if not valid:
            raise DataError(f"{path}: {name} must be {rule}, found {shown(value)}; correct the file")
    return chosen


def inside(parent: Path, report: Report | None = None, missing: bool = False) -> list[Path]:
    """The folders in a folder, sorted, without litter, which is noted; none in one that does not exist, if it
    may be ``missing``. Raises DataError where it cannot be listed."""
    try:
        with os.scandir(parent) as entries:
            listed = sorted((entry.name, entry.is_dir()) for entry in entries)
    except OSError as error:
        if missing and isinstance(error, FileNotFoundError):
            return []
        raise DataError(f"{parent}: cannot be listed ({error.strerror}); check its permissions") from None
    for name, _ in listed:
        if report is not None and is_litter(name):
            report.note("files and folders of other programs ignored", f"{parent.name}/{name}")
    return [parent / name for name, is_folder in listed if is_folder and not is_litter(name)]


def innermost(folder: Path) -> Path:
    """The folder, or the only folder in it if it has the same name: archives are often unpacked so."""
    while inside(folder) == [folder / folder.name]:
        folder /= folder.name
    return folder


def only(source: Path, has: Callable[[Path], object], depth: int = 3) -> Path:
    """The first of the source, the only folder in it, the only one in that, … that ``has`` what is sought."""
    for _ in range(depth):
        if not source.is_dir() or has(source):
            break
        folders = inside(source)
        if len(folders) != 1:
            break
        source = folders[0]
    return source


def below(source: Path, pattern: str, depth: int = 3) -> list[Path]:
    """The paths that match a pattern in a folder or up to ``depth`` levels below it, without litter."""
    paths = sorted(path for level in range(depth + 1) for path in source.glob("*/" * level + pattern))
    return [path for path in paths if not any(map(is_litter, path.relative_to(source).parts))]


def named(source: Path, *names: str) -> list[Path]:
    """The folders of one of the names, in small or capital letters: the source, or else those up to three
    levels below it."""
    if source.name.lower() in names and source.is_dir():
        return [innermost(source)]
    patterns = [re.sub(r"[a-z]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", name) for name in names]
    paths = [path for pattern in patterns for path in below(source, pattern)]
    return sorted({innermost(path) for path in paths if path.is_dir()})


def single(paths: Iterable[Path], source: Path, name: str) -> Path | None:
    """The only one of the paths in a source with that name. Raises DataError where there are several."""
    paths = list(dict.fromkeys(paths))
    if len(paths) > 1:
        places = ", ".join(str(path.relative_to(source)) for path in paths[:2])
        raise DataError(f"{source}: found {name} {len(paths)} times; keep one of {places}")
    return next(iter(paths), None)
