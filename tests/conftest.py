"""Small sets of clips in the real formats, made once for the whole test run."""

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
