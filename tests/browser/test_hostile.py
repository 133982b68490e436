"""A data set whose every string is hostile goes through the notebooks and their exported pages: no script runs, no file goes astray."""

import json
import os
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import papermill
import pytest
from nbconvert import HTMLExporter
from test_notebooks import FOLDER

from miga_lib import clips
from miga_lib.readers import openpose, pyskl
from miga_lib.training import __main__ as command_line

pytestmark = pytest.mark.slow

SCRIPT = "<script>document.title='ran'</script>"
IMAGE = "<img src=x onerror=document.title='ran'>"
HOSTILE = [
    SCRIPT, IMAGE, "$x^2_$ and \\(y\\)", "../../../astray", "a" * 200, "שלום مرحبا", "😀 **bold** `code` [link](x)", "'\"&<>",
    "</table></code>", "-p run x; touch astray", "%s {0} {name} \\n", "=1+1",
]  # fmt: skip


@pytest.fixture(scope="module")
def hostile(smoke_outputs, tmp_path_factory):
    """A pickle of clips with such ids, videos, subjects and classes, in a folder of such a name."""
    smoke = clips.load("synthetic-smoke", outputs=smoke_outputs)
    table, count = smoke.table, len(smoke)
    names = {column: [f"{HOSTILE[i % len(HOSTILE)]}"[: 240 - 4] + f" {part(i)}" for i in range(count)] for column, part in PARTS.items()}
    classes = tuple(f"{HOSTILE[k % len(HOSTILE)]} {k}" for k in range(len(smoke.classes)))
    path = tmp_path_factory.mktemp("data") / "<b>$my$ data.pkl"
    pyskl.write(path, replace(smoke, table=table.assign(**names), classes=classes))
    return path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Whole videos of OpenPose with such names, subjects and classes: 60 frames, of which gestures leave the first and last ten out."""
    folder = tmp_path_factory.mktemp("recordings")
    names = [text for text in HOSTILE if "/" not in text and len(text) < 100][:6]
    rng, rows = np.random.default_rng(0), []
    for i, video in enumerate(names):
        (folder / video).mkdir()
        for t, frame in enumerate(rng.uniform(100, 600, (1, 137, 3)) + rng.normal(0, 5, (60, 137, 3))):
            frame[:, 2] = 0.9
            parts = np.split(frame, np.cumsum(list(openpose.PARTS.values()))[:-1])
            person = {name: part.ravel().round(1).tolist() for name, part in zip(openpose.PARTS, parts, strict=True)}
            (folder / video / f"x_{t:012d}_keypoints.json").write_text(json.dumps({"people": [person]}))
        about = {"video": video, "split": ["train", "val", "test"][i % 3], "subject": f"{names[-i]} {i}", "width": 1280, "height": 720}
        rows += [about | {"start_frame": 10 + 20 * k, "end_frame": 19 + 20 * k, "class": f"{names[k]} {k}"} for k in range(2)]
    pd.DataFrame(rows).to_csv(folder / "segments.csv", index=False)
    return folder


PARTS = {"id": lambda i: i, "video": lambda i: i // 4, "subject": lambda i: i // 8}


@pytest.fixture(scope="module")
def executed(hostile, recordings, tmp_path_factory):
    """The notebooks run on it, one after the other, by name; and a limb run for 06."""
    place = tmp_path_factory.mktemp("hostile")
    given = {"data": str(hostile), "outputs": str(place / "outputs")}
    smoke = [f"--outputs={place / 'outputs'}", "--preset=smoke", "--epochs=1", "--semantic-weight=0"]
    command_line.main([*smoke, f"--data={recordings}", "--background=1", "--run=spotter"])
    command_line.main([*smoke, f"--data={hostile}", "--stream=limb"])
    calls = {
        "01_explore": given,
        "02_visualise": given | {"source_layout": "imigue41", "preset": "smoke"},
        "03_compare": given
        | {"models": ["posec3d"], "layouts": ["imigue41"], "temporals": ["align"], "semantic": [False]}
        | {"preset": "smoke", "epochs": 1},
        "04_train": given | {"preset": "smoke", "epochs": 1, "semantic_weight": 0.0},
        "05_confusion": given,
        "06_ensemble": given,
        "07_recognise": given,
        "08_spot": given | {"data": str(recordings), "runs": ["spotter"], "lengths": [16]},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "OMP_NUM_THREADS", "1")
        patch.setitem(os.environ, "PYTHONWARNINGS", "ignore")
        notebooks = {
            name: papermill.execute_notebook(
                str(FOLDER / f"{name}.ipynb"), str(place / f"{name}.ipynb"), call, cwd=str(FOLDER), progress_bar=False
            )
            for name, call in calls.items()
        }
    return place, notebooks


@pytest.mark.filterwarnings("ignore")
def test_no_text_of_the_data_is_markup(executed):
    for name, notebook in executed[1].items():
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                for kind in ("text/html", "text/markdown"):
                    shown = output.get("data", {}).get(kind, "")
                    assert SCRIPT not in shown, f"{name}: {shown[:200]}"
                    assert IMAGE not in shown, f"{name}: {shown[:200]}"


@pytest.mark.filterwarnings("ignore")
def test_nothing_is_written_outside_outputs(executed, hostile):
    place, notebooks = executed
    assert {path.name for path in place.iterdir()} == {"outputs", *(f"{name}.ipynb" for name in notebooks)}
    assert list(hostile.parent.iterdir()) == [hostile]
    astray = [path for folder in (place.parent, place.parent.parent, FOLDER, FOLDER.parent) for path in folder.glob("*astray*")]
    assert astray == []
    assert all(path.parent.name == "figures" for path in (place / "outputs").rglob("*.gif"))


@pytest.mark.filterwarnings("ignore")
def test_no_script_of_the_data_runs_in_exported_pages(executed, open_page, tmp_path):
    page = open_page()
    page.route(re.compile("^https?:"), lambda route: route.abort())
    widths = {}
    for name, notebook in executed[1].items():
        (tmp_path / f"{name}.html").write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    own = [path for folder in ("pages", "recognised") for path in (executed[0] / "outputs" / folder).glob("*.html")]
    assert len(own) == 2
    for path in [*tmp_path.glob("*.html"), *own]:
        name = path.stem
        page.goto(path.as_uri())
        page.wait_for_timeout(500)
        assert page.title() != "ran", name
        widths[name] = page.evaluate("[...document.querySelectorAll('.jp-OutputArea-output')].map((o) => o.scrollWidth - o.clientWidth)")
    page.close()
    assert {name for name, beyond in widths.items() if np.max(beyond, initial=0) > 400} == set(), "a long name widens no page"
