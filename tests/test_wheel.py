"""The wheel, installed apart from the repository: it has everything that runs, and writes to ./outputs where
it is used."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from miga_lib import clips
from miga_lib.readers import pyskl

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")
FACTS = """
import json
from pathlib import Path
import miga_lib
from miga_lib import clips, labels, sources
from miga_lib.readers import READERS
from miga_lib.viewer import SkeletonViewer
viewer = SkeletonViewer(clips.load("mine.pkl", "imigue22"))
print(json.dumps({
    "package": str(Path(miga_lib.__file__).parents[1]),
    "outputs": str(sources.outputs_folder()),
    "readers": list(READERS),
    "embeddings": labels.embeddings().shape,
    "assets": [len(str(SkeletonViewer._esm)), len(str(SkeletonViewer._css))],
}))
"""


def pip(*arguments):
    job = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--quiet", "--no-deps"], capture_output=True, text=True
    )
    assert job.returncode == 0, job.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: building leaves folders beside the sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "miga_lib", copy / "miga_lib", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["wheel", str(copy), f"--wheel-dir={copy}"]
    if importlib.util.find_spec("setuptools") and int(version("setuptools").partition(".")[0]) >= 77:
        options.append("--no-build-isolation")
    pip(*options)
    return next(copy.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, smoke_outputs, tmp_path_factory):
    """Runs Python with the installed wheel, and the dependencies of this environment, in a folder with a file
    of clips."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere")
    pip("install", str(wheel), f"--target={site}")
    pyskl.write(folder / "mine.pkl", clips.load("synthetic-smoke", "imigue22", smoke_outputs))
    environment = {name: value for name, value in os.environ.items() if name != "MIGA_OUTPUTS"}
    environment |= {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}

    def run(*arguments):
        job = subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert job.returncode == 0, job.stderr
        return job.stdout

    return run, site, folder


def test_it_holds_the_package_and_what_goes_with_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    paths = [path for path in (ROOT / "miga_lib").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    files = {path.relative_to(ROOT).as_posix() for path in paths}
    assert {name for name in names if name.startswith("miga_lib/")} == files
    assert "miga_lib/py.typed" in names
    assert {f"miga_lib/viewer/{name}" for name in ("clips.js", "viewer.js", "viewer.css")} <= names
    assert {name.partition(".dist-info/licenses/")[2] for name in names} >= {"LICENSE", "NOTICE"}
    assert "License-Expression: Apache-2.0" in metadata


def test_what_is_read_shown_and_embedded_is_there(python):
    run, site, folder = python
    facts = json.loads(run("-c", FACTS))
    assert (facts["package"], facts["outputs"]) == (str(site), str(folder / "outputs"))
    assert facts["readers"] == list(clips.READERS)
    assert facts["embeddings"] == [32, 384]
    assert min(facts["assets"]) > 1000


def test_its_commands_run_where_they_are_called(python):
    run, _, folder = python
    verdict = run("-m", "miga_lib.clips", "check", "mine.pkl", "--layout=imigue22")
    assert verdict.rstrip().endswith("Can be used.")
    options = "--layout=imigue22 --preset=smoke --epochs=1 --device=cpu --precision=fp32 --run=first".split()
    assert "epoch   1: loss" in run("-m", "miga_lib.training", "--data=mine.pkl", *options)
    assert (folder / "outputs" / "runs" / "first" / "result.json").exists()
