"""Finding data in user folders: extra folder levels from unpacking, and files of other programs to ignore."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import untrusted
from .contract import DataError, Report, shown

OPTIONS = "reader.json"
"""What a format leaves open, decided by the user: a JSON object in the folder of the data."""

LITTER = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found", "Thumbs.db", "desktop.ini")
"""Names of what unpackers, file servers and editors leave; names that begin with a dot or ``~$`` are litter,
too."""


def is_litter(name: str) -> bool:
    """Whether a file or folder of that name was left by another program."""
    return name.startswith((".", "~$")) or name in LITTER


def options(folder: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """The choices in ``reader.json`` of a folder, and the default of every other choice.

    Args:
        known: name and default of each choice; for a choice among words, a tuple of the words, the default
            first.

    Raises:
        DataError: the file has an unknown name, or a value of another type or that is not among the words.
    """
    path = folder / OPTIONS
    given = untrusted.document(path) if path.is_file() else {}
    defaults = {name: value[0] if isinstance(value, tuple) else value for name, value in known.items()}
    if not isinstance(given, dict) or (unknown := sorted(given.keys() - known.keys())):
        found = shown(unknown[0] if isinstance(given, dict) else given)
        raise DataError(
            f"{path}: expected a JSON object with {', '.join(map(repr, known)) or 'nothing'}, found {found}; correct the file"
        )
    for name, value in given.items():
        words, kind = known[name], type(defaults[name])
        if (
            value not in words
            if isinstance(words, tuple)
            else type(value) is not kind and not (kind is float and type(value) is int)
        ):
            rule = f"one of {', '.join(map(repr, words))}" if isinstance(words, tuple) else kind.__name__
            raise DataError(f"{path}: {name} must be {rule}, found {shown(value)}; correct the file")
    return defaults | given


def inside(parent: Path, report: Report | None = None, missing: bool = False) -> list[Path]:
    """The folders in a folder, sorted, without litter, which is counted in the report.

    Args:
        missing: a folder that does not exist has none.

    Raises:
        DataError: the folder cannot be listed.
    """
    try:
        with os.scandir(parent) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
    except OSError as error:
        if missing and isinstance(error, FileNotFoundError):
            return []
        raise DataError(f"{parent}: cannot be listed ({error.strerror}); check its permissions") from None
    for name, _ in found:
        if report is not None and is_litter(name):
            report.note("files and folders of other programs ignored", f"{parent.name}/{name}")
    return [parent / name for name, is_folder in found if is_folder and not is_litter(name)]


def innermost(folder: Path) -> Path:
    """The folder, or the folder of the same name in it if it has no other: archives are often unpacked into
    such a folder."""
    while inside(folder) == [folder / folder.name]:
        folder /= folder.name
    return folder


def only(source: Path, has: Callable[[Path], object], depth: int = 3) -> Path:
    """The source, or the only folder in it, or the only one in that, …: the first that has what a reader
    looks for."""
    for _ in range(depth):
        if not source.is_dir() or has(source) or len(folders := inside(source)) != 1:
            break
        source = folders[0]
    return source


def below(source: Path, pattern: str, depth: int = 3) -> list[Path]:
    """The paths that match a pattern in a folder or up to ``depth`` levels below it, without litter."""
    found = sorted(path for level in range(depth + 1) for path in source.glob("*/" * level + pattern))
    return [path for path in found if not any(map(is_litter, path.relative_to(source).parts))]
