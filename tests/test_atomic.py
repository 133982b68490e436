"""A file or folder is complete or not there, and nothing else is left, whatever ends the writing."""

import errno
import os
import re
import shutil

import pytest

from miga_lib import atomic


class StoppedError(Exception):
    """Stands for whatever ends the writing."""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def stop(write, path, error):
    """Begin to write a file or folder, and end with an error."""
    with write(path) as unfinished:
        unfinished.mkdir() if write is atomic.folder else unfinished.touch()
        raise error


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")
    with atomic.file(path) as unfinished:
        unfinished.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert unfinished.suffix == ".npz", "libraries choose the format by it"
    assert (names(tmp_path), path.read_bytes()) == (["a.npz"], b"new")


def test_the_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_ino, names(tmp_path)))
    )
    with atomic.file(tmp_path / "a") as unfinished:
        unfinished.write_bytes(b"new")
    assert synced == [((tmp_path / "a").stat().st_ino, [".unfinished-a"])]


@pytest.mark.parametrize("error", [StoppedError, KeyboardInterrupt])
@pytest.mark.parametrize("write", [atomic.file, atomic.folder])
def test_nothing_is_left_of_what_was_stopped(tmp_path, write, error):
    with pytest.raises(error):
        stop(write, tmp_path / "a", error)
    assert names(tmp_path) == []


def test_what_a_killed_process_left_of_a_file_is_overwritten(tmp_path):
    with atomic.file(tmp_path / "a") as unfinished:
        unfinished.write_bytes(b"half")
        left = shutil.copy(unfinished, tmp_path / "left")
    os.replace(left, unfinished)
    with atomic.file(tmp_path / "a") as unfinished:
        unfinished.write_bytes(b"new")
    assert (names(tmp_path), (tmp_path / "a").read_bytes()) == (["a"], b"new")


def test_the_folder_of_a_file_is_made_and_an_impossible_one_is_named(tmp_path):
    with atomic.file(tmp_path / "new" / "a") as unfinished:
        unfinished.write_bytes(b"new")
    assert (tmp_path / "new" / "a").read_bytes() == b"new"
    message = r"new/a/b: cannot be written \((Not a directory|File exists)\), .*; give a folder that"
    with pytest.raises(OSError, match=message), atomic.file(tmp_path / "new" / "a" / "b") as unfinished:
        unfinished.write_bytes(b"new")


def test_only_a_full_disk_is_reworded_for_a_folder(tmp_path):
    message = r"a: cannot be written \(No space left on device\), nothing of it was kept; make room and run"
    with pytest.raises(OSError, match=message):
        stop(atomic.folder, tmp_path / "a", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(FileNotFoundError, match="its own words"):
        stop(atomic.folder, tmp_path / "a", FileNotFoundError("its own words"))


def test_of_two_folders_written_at_once_the_first_one_stays(tmp_path):
    with atomic.folder(tmp_path / "a") as second:
        with atomic.folder(tmp_path / "a") as first:
            first.mkdir()
            (first / "first").touch()
        second.mkdir()
    assert (names(tmp_path), names(tmp_path / "a")) == (["a"], ["first"])


def test_a_folder_that_cannot_be_removed_is_removed_by_a_later_call(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as where a worker still writes into it
        with pytest.raises(StoppedError):
            stop(atomic.folder, tmp_path / "a", StoppedError)
    folder, lock = names(tmp_path)
    assert lock == f"{folder}.lock"
    assert re.fullmatch(r"\.unfinished-[0-9a-f]{32}", folder)
    atomic.remove_leftovers(tmp_path)
    assert names(tmp_path) == []
