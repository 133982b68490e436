"""Small sets of clips in the real formats, made once for the whole test run."""

import errno
import os
import sys

import hypothesis
import pytest

from miga_lib import clips

# A machine that is busy with something else must not fail a test.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


def pytest_collection_modifyitems(items):
    """The slow files come first, so that no core is idle at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def smoke_outputs(tmp_path_factory):
    """An outputs folder that holds the smallest synthetic set, written and read once."""
    outputs = tmp_path_factory.mktemp("outputs")
    clips.load("synthetic-smoke", outputs=outputs)
    return outputs


@pytest.fixture
def smoke(smoke_outputs):
    """The clips of the smallest synthetic set, in 41 joints."""
    return clips.load("synthetic-smoke", outputs=smoke_outputs)


CLOSED: list[str] = []


def refuse_writing(event, arguments):
    """Refuses what would change a closed folder, as the operating system does for everyone but root."""
    if CLOSED and (
        event in ("os.mkdir", "os.remove", "os.rename", "os.utime")
        or (event == "open" and arguments[2] & WRITING)
    ):
        path = str(arguments[0])
        if path.startswith(tuple(CLOSED)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
sys.addaudithook(refuse_writing)


@pytest.fixture
def close():
    """A function that closes a folder: until the end of the test nothing can be written there."""
    yield lambda folder: CLOSED.append(str(folder))
    CLOSED.clear()
