"""Files and folders that appear under their name only when they are complete."""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, a used up quota, and a file that may not grow."""
UNFINISHED = ".unfinished-"
"""Prefix of the names of unfinished files and folders, and of the lock files beside the folders."""


@contextmanager
def explained(path: Path, outcome: str = "") -> Iterator[None]:
    """In this block, an error of the operating system becomes an OSError that names ``path``, which is to be
    written, the ``outcome`` for an older or unfinished file, and a way out."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # of this library
            raise
        way_out = "give a folder that you may write to as `outputs` or MIGA_OUTPUTS"
        if error.errno in NO_ROOM:
            way_out = "make room and run the same again"
        raise OSError(f"{path}: cannot be written ({error.strerror}){outcome}; {way_out}") from None


@contextmanager
def file(path: Path) -> Iterator[Path]:
    """A path to write a file at. At the end the file is brought to the disk and renamed, so ``path`` is
    either the old or the new file.

    Its folder is made if it does not exist. The temporary name depends only on ``path``, and has its suffix:
    what a killed process left is overwritten by the next one.

    Raises:
        OSError: the file cannot be written. The old file stays as it was, and the temporary one is removed.
    """
    unfinished = path.with_name(UNFINISHED + path.name)
    try:
        with explained(path, ", an older file stays as it was"):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield unfinished
            with unfinished.open("rb+") as written:
                os.fsync(written.fileno())
            os.replace(unfinished, path)
    finally:
        with suppress(OSError):  # it was renamed, or was never there
            unfinished.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file as ``file`` does."""
    with file(path) as unfinished:
        unfinished.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file as ``file`` does."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a dict as indented json as ``file`` does."""
    write_text(path, json.dumps(content, indent=1) + "\n")


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """A path to write a folder at, which is renamed to ``path`` at the end. Where another process was first,
    its folder stays. Leftovers of killed processes beside it are removed first.

    Raises:
        OSError: the folder cannot be written, as on a full disk.
    """
    lock = path.with_name(f"{UNFINISHED}{uuid.uuid4().hex}.lock")
    whole, owner = lock.with_suffix("") / path.name, filelock.FileLock(lock)
    try:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(path.parent)
            owner.acquire()  # before the folder exists, so that no other process finds it without an owner
            whole.parent.mkdir()
        yield whole
        try:
            whole.rename(path)
        except OSError:  # another process was first, with the same content
            if not path.exists():
                raise
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        with explained(path, ", nothing of it was kept"):
            raise
    finally:
        owner.release()
        _remove(lock)


def remove_leftovers(parent: Path) -> None:
    """Remove the unfinished folders of killed processes, whose locks the operating system has freed. What
    belongs to a process at work, or cannot be removed, stays."""
    with suppress(OSError):  # a folder that cannot be read
        for lock in parent.glob(f"{UNFINISHED}*.lock"):
            _remove(lock)


def _remove(lock: Path) -> None:
    """Remove an unfinished folder and then its lock file, if nobody has the lock."""
    with suppress(OSError):  # its owner is at work (filelock.Timeout), or it belongs to another user
        with filelock.FileLock(lock, timeout=0):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
        if not lock.with_suffix("").exists():  # else a later call tries again
            lock.unlink(missing_ok=True)
