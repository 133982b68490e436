"""Folders as people have them: unpacked into folders of their own, with litter of other programs."""

import os
from collections.abc import Callable
from pathlib import Path

from .contract import DataError, Report

LITTER = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found", "Thumbs.db", "desktop.ini")
"""Names of what unpackers, file servers and editors leave; names that begin with a dot or ``~$`` are litter, too."""


def is_litter(name: str) -> bool:
    """Whether a file or folder of that name was left by another program."""
    return name.startswith((".", "~$")) or name in LITTER


def inside(parent: Path, report: Report | None = None) -> list[Path]:
    """The folders in a folder, sorted, without litter, which is counted in the report. Raises DataError if it cannot be listed."""
    try:
        with os.scandir(parent) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
    except OSError as error:
        raise DataError(f"{parent}: cannot be listed ({error.strerror}); check its permissions") from None
    for name, _ in found:
        if report is not None and is_litter(name):
            report.note("files and folders of other programs ignored", f"{parent.name}/{name}")
    return [parent / name for name, is_folder in found if is_folder and not is_litter(name)]


def innermost(folder: Path) -> Path:
    """The folder, or the folder of the same name in it if it has no other: archives are often unpacked into such a folder."""
    while inside(folder) == [folder / folder.name]:
        folder /= folder.name
    return folder


def only(source: Path, has: Callable[[Path], object], depth: int = 3) -> Path:
    """The source, or the only folder in it, or the only one in that, …: the first that has what a reader looks for."""
    for _ in range(depth):
        if not source.is_dir() or has(source) or len(folders := inside(source)) != 1:
            break
        source = folders[0]
    return source


def below(source: Path, pattern: str, depth: int = 3) -> list[Path]:
    """The paths that match a pattern in a folder or up to ``depth`` levels below it, without litter."""
    found = sorted(path for level in range(depth + 1) for path in source.glob("*/" * level + pattern))
    return [path for path in found if not any(map(is_litter, path.relative_to(source).parts))]
