"""One browser and one JupyterLab for all tests of this folder. They are skipped where no browser can be
used."""

from pathlib import Path

import lab
import nbclient
import nbformat
import pytest

HERE = Path(__file__).parent
SETUP = f"""import sys
sys.path[:0] = [{str(HERE)!r}, {str(HERE.parents[1])!r}]
import numpy as np
import samples
from miga_lib import plots, viewer
from miga_lib.clips import load
from miga_lib.predictions import Predictions
"""

TEXTS = ".miga-caption, .miga-place, .miga-viewer :is(button, kbd, label), .miga-list span:last-child"
CUT = f"""[...document.querySelectorAll('{TEXTS}')]
    .filter((node) => node.scrollWidth > node.clientWidth).map((node) => node.outerHTML)"""
"""Texts that do not fit into their place; names of clips and classes may be longer and have a tooltip."""


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if reason := lab.lacking():
                item.add_marker(pytest.mark.skip(reason=f"no browser: {reason}"))


@pytest.fixture(scope="session")
def context():
    """A browser with a window so high that several viewers are visible."""
    with lab.browser(width=1000, height=5600) as context:
        yield context


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="session")
def jupyter(folder):
    """The address of a JupyterLab that serves ``folder``."""
    with lab.jupyterlab(folder) as address:
        yield address


@pytest.fixture(scope="session")
def open_page(context):
    """A function that opens pages. The session fails at the end if a page had a script error."""
    errors = []

    def new():
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield new
    assert errors == []


@pytest.fixture(scope="session")
def executed(folder):
    """A notebook that shows a small viewer, run without a browser, as papermill does."""
    show = "viewer.SkeletonViewer(samples.oddities(), samples.predictions_of(samples.oddities()), clip=1)"
    notebook = nbformat.read(lab.write_notebook(folder / "executed.ipynb", SETUP, show), 4)
    nbclient.NotebookClient(notebook, timeout=120).execute()
    nbformat.write(notebook, folder / "executed.ipynb")
    return notebook
