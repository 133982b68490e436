"""A data set whose every string is hostile goes through the notebooks and their exported pages: no script
runs, no file goes astray."""

import json
import os
import pickle
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import papermill
import pytest
from nbconvert import HTMLExporter
from test_notebooks import FOLDER

from miga_lib import layouts
from miga_lib.clips import load
from miga_lib.ensemble import submissions
from miga_lib.readers import openpose, pyskl
from miga_lib.training import __main__ as command_line

pytestmark = pytest.mark.slow

SCRIPT = "<script>document.title='ran'</script>"
IMAGE = "<img src=x onerror=document.title='ran'>"
HOSTILE = [
    SCRIPT, IMAGE, "$x^2_$ and \\(y\\)", "../../../astray", "a" * 200, "שלום مرحبا",
    "😀 **bold** `code` [link](x)", "'\"&<>", "</table></code>", "-p run x; touch astray",
    "%s {0} {name} \\n", "=1+1",
]  # fmt: skip


PROTOCOL = IMAGE
RUNS = {"joint": "__proto__", "limb": "שלום_=1+1,.."}
"""Names of runs, as far as they may be hostile."""


@pytest.fixture(scope="module")
def hostile(smoke_outputs, tmp_path_factory):
    """A pickle of clips with such ids, videos, subjects, classes, regions, splits and protocols, under such a
    name."""
    smoke = load("synthetic-smoke", outputs=smoke_outputs)
    table, count = smoke.table, len(smoke)
    names = {
        column: [f"{HOSTILE[i % len(HOSTILE)]}_{part(i)}" for i in range(count)]
        for column, part in PARTS.items()
    }
    classes, regions = (
        tuple(f"{HOSTILE[k % len(HOSTILE)]} {k % different}" for k in range(len(smoke.classes)))
        for different in (32, 12)
    )
    path = tmp_path_factory.mktemp("data") / "<b>$my$ data.pkl"
    pyskl.write(path, replace(smoke, table=table.assign(**names), classes=classes, class_regions=regions))
    content = pickle.loads(path.read_bytes())
    splits = content["split"]
    content["split"] = {}
    for protocol in (SCRIPT, PROTOCOL):
        content["split"] |= {f"{protocol}_{split}": ids for split, ids in splits.items()}
    content["split"][IMAGE] = splits["train"]
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """A file of a layout with such joints and regions, under such a name."""
    source = layouts.get("imigue41")
    joints = [f"{HOSTILE[v % len(HOSTILE)]} {v}" for v in range(len(source.joints))]
    regions = {f"{HOSTILE[i]} {i}": members for i, members in enumerate(source.regions.values())}
    own = layouts.make("own", joints, source.limbs, source.center, source.mirror, regions)
    return layouts.save(own, tmp_path_factory.mktemp("layout") / "<b>$my$ layout.json")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Whole videos of OpenPose with such names, subjects and classes: 60 frames, of which gestures leave the
    first and last ten out."""
    folder = tmp_path_factory.mktemp("recordings")
    names = [text for text in HOSTILE if "/" not in text and len(text) < 100][:6]
    rng, rows = np.random.default_rng(0), []
    for i, video in enumerate(names):
        (folder / video).mkdir()
        for t, frame in enumerate(rng.uniform(100, 600, (1, 137, 3)) + rng.normal(0, 5, (60, 137, 3))):
            frame[:, 2] = 0.9
            parts = np.split(frame, np.cumsum(list(openpose.PARTS.values()))[:-1])
            person = {
                name: part.ravel().round(1).tolist() for name, part in zip(openpose.PARTS, parts, strict=True)
            }
            (folder / video / f"x_{t:012d}_keypoints.json").write_text(json.dumps({"people": [person]}))
        row = {"video": video, "split": ["train", "val", "test"][i % 3], "subject": f"{names[-i]} {i}"}
        row |= {"width": 1280, "height": 720}
        for k in range(2):
            segment = {"start_frame": 10 + 20 * k, "end_frame": 19 + 20 * k, "class": f"{names[k]} {k}"}
            rows.append(row | segment)
    pd.DataFrame(rows).to_csv(folder / "segments.csv", index=False)
    return folder


PARTS = {"id": lambda i: i, "video": lambda i: i // 4, "subject": lambda i: i // 8}


@pytest.fixture(scope="module")
def executed(hostile, layout, recordings, tmp_path_factory):
    """The notebooks run on it, one after the other, by name; and a limb run for 06."""
    place = tmp_path_factory.mktemp("hostile")
    common = {"data": str(hostile), "outputs": str(place / "outputs")}
    own_layout, protocol, runs = (
        {"layout": str(layout)},
        {"protocol": PROTOCOL},
        {"runs": list(RUNS.values())},
    )
    short = {"preset": "smoke", "epochs": 1}
    smoke = [f"--outputs={place / 'outputs'}", "--preset=smoke", "--epochs=1", "--semantic-weight=0"]
    command_line.main([*smoke, f"--data={recordings}", "--no-gesture-ratio=1", "--run=spotter"])
    limb = ["--stream=limb", f"--layout={layout}", f"--protocol={PROTOCOL}", f"--run={RUNS['limb']}"]
    command_line.main([*smoke, f"--data={hostile}", *limb])
    choices = {"models": ["posec3d"], "layouts": [str(layout)], "temporals": ["align"], "semantic": [False]}
    parameters = {
        "01_explore": own_layout | protocol,
        "04_train": own_layout | short | {"more": protocol, "semantic_weight": 0.0, "run": RUNS["joint"]},
        "02_visualise": own_layout | {"source_layout": str(layout), "preset": "smoke"} | runs,
        "05_confusion": runs | {"order": "region"},
        "06_ensemble": {},
        "07_recognise": runs,
        "03_compare": protocol | choices | short,
        "08_spot": {"data": str(recordings), "runs": ["spotter"], "lengths": [16]},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "OMP_NUM_THREADS", "1")
        patch.setitem(os.environ, "PYTHONWARNINGS", "ignore")
        notebooks = {}
        for name, values in parameters.items():
            source, target = (str(folder / f"{name}.ipynb") for folder in (FOLDER, place))
            notebooks[name] = papermill.execute_notebook(
                source, target, common | values, cwd=str(FOLDER), progress_bar=False
            )
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
    archives = list((place / "outputs" / "ensembles").glob("*/*.zip"))
    ids = set(load(hostile, outputs=place / "outputs", protocol=PROTOCOL).split("test").table["id"])
    assert [set(submissions.read(path)) for path in archives] == [ids, ids]
    for folder in (place.parent, place.parent.parent, FOLDER, FOLDER.parent):
        assert list(folder.glob("*astray*")) == []
    assert all(path.parent.name == "figures" for path in (place / "outputs").rglob("*.gif"))


@pytest.mark.filterwarnings("ignore")
def test_no_script_of_the_data_runs_in_exported_pages(executed, open_page, tmp_path):
    page = open_page()
    page.route(re.compile("^https?:"), lambda route: route.abort())
    widths = {}
    for name, notebook in executed[1].items():
        exported = HTMLExporter().from_notebook_node(notebook)[0]
        (tmp_path / f"{name}.html").write_text(exported, encoding="utf-8")
    own = [path for name in ("pages", "recognised") for path in executed[0].glob(f"outputs/{name}/*.html")]
    assert len(own) == 2
    for path in [*tmp_path.glob("*.html"), *own]:
        name = path.stem
        page.goto(path.as_uri())
        page.wait_for_timeout(500)
        assert page.title() != "ran", name
        if name in ("02_visualise", "05_confusion"):
            assert page.locator(".miga-viewer").count() == 1
            page.locator(".miga-viewer").get_by_label("play or pause").click()
            page.wait_for_function("document.querySelector('.miga-frame').value > 2")
            assert page.locator("svg a[*|href^='#miga']").count() > (9 if name == "05_confusion" else -1)
        outputs = page.locator(".jp-OutputArea-output")
        widths[name] = outputs.evaluate_all("(nodes) => nodes.map((o) => o.scrollWidth - o.clientWidth)")
    page.close()
    wide = [name for name, beyond in widths.items() if np.max(beyond, initial=0) > 20]
    assert wide == [], "a long name widens no page"
