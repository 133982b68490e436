"""Make the pictures and the film of the viewer in `docs/images`, and further pictures in `outputs/figures`
that are only looked at: `python tests/browser/make_screenshots.py`.

Needs Chromium, playwright, and for the film and for what a network used the runs that `make demo` leaves. The
clips are synthetic. The predictions in the pictures are those of linear models of the joints' positions,
fitted on the training split.
"""

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lab
from PIL import Image

from miga_lib import ensemble, plots, viewer
from miga_lib.analysis import failures
from miga_lib.clips import load
from miga_lib.runs import newest_streams
from miga_lib.sources import outputs_folder
from miga_lib.viewer.beside import motion

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
LOOKED_AT = outputs_folder() / "figures"
LOAD = """from miga_lib import notebook, plots, training, viewer
from miga_lib.analysis import saliency
from miga_lib.clips import load
from miga_lib.runs import newest_runs, run_folder
from miga_lib.settings import choose
shown = load("synthetic", "openpose137")"""
FIT = """import numpy as np
from sklearn.linear_model import LogisticRegression
from miga_lib.predictions import Predictions
from miga_lib.viewer.beside import poses
places = poses(shown)[0].flatten(1).numpy()
train, val = (np.flatnonzero(shown.table["split"] == split) for split in ("train", "val"))
labels = shown.table["label"].to_numpy()
predicted = {}
for name, strength in (("linear model", 0.01), ("smoother model", 0.0001)):
    model = LogisticRegression(C=strength, max_iter=300).fit(places[train], labels[train])
    probabilities = np.zeros((len(val), len(shown.classes)))
    probabilities[:, model.classes_] = model.predict_proba(places[val])
    ids = shown.table["id"].to_numpy(str)[val]
    predicted[name] = Predictions(ids, labels[val], probabilities, np.array(shown.classes))
single = {"linear model": predicted["linear model"]}"""
USED = ", layout=choose().skeleton, saliency=saliency.of_run(newest_runs(1), shown)"
TRAIN = """plots.style()
settings = choose(preset="smoke", epochs=3000, device="cpu")
data = load("synthetic-smoke", outputs=OUTPUTS)
training.fit(data, settings, run_folder("shown", OUTPUTS), progress=notebook.Progress())"""
THEMES = "@jupyterlab/apputils-extension/themes.jupyterlab-settings"


def show(place: int = 11, beside: str = "nothing", predictions: str = "single", more: str = "") -> str:
    """The code of a cell with a viewer."""
    return f"viewer.SkeletonViewer(shown, {predictions}, clip=int(val[{place}]), beside='{beside}'{more})"


@contextmanager
def notebook(*cells: str, theme: str = "Light", width: int = 1000) -> Iterator[tuple[Any, str]]:
    """A page of a JupyterLab of a theme, at 1.5 times the resolution of the screen, and the address;
    ``viewer.ipynb`` has these cells."""
    with tempfile.TemporaryDirectory() as folder, lab.jupyterlab(Path(folder)) as address:
        settings = Path(folder) / ".jupyter" / "settings" / THEMES
        settings.write_text(json.dumps({"theme": f"JupyterLab {theme}"}))
        lab.write_notebook(Path(folder) / "viewer.ipynb", f"OUTPUTS = {folder!r}", LOAD, *cells)
        with lab.browser(width=width, height=2600, scale=1.5) as browser:
            yield browser.new_page(), address


def picture(
    path: Path,
    cell: str,
    frame: int,
    looks: dict[str, str],
    keys: str = "t",
    theme: str = "Light",
    width: int = 1000,
) -> None:
    """Run a notebook that shows the viewer, set its controls, press keys, and write its picture."""
    with notebook(FIT, cell, theme=theme, width=width) as (page, address):
        shown = lab.run_notebook(page, address, "viewer.ipynb").first
        for label, choice in looks.items():
            shown.get_by_label(label).select_option(label=choice)
        page.wait_for_timeout(500)
        shown.focus()
        for key in keys:
            page.keyboard.press(key)
        page.wait_for_timeout(5000 if "x" in keys else 500)
        shown.get_by_label("Frame", exact=True).fill(str(frame))
        page.wait_for_timeout(500)
        path.parent.mkdir(parents=True, exist_ok=True)
        shown.screenshot(path=path)


def progress(path: Path) -> None:
    """The picture of a cell that trains: the bar, the live curves and the lines of the first epochs."""
    with notebook(TRAIN) as (page, address):
        lab.open_notebook(page, address, "viewer.ipynb")
        page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_selector(".jp-OutputArea-output img", timeout=120_000)
        page.wait_for_timeout(1000)
        page.locator(".jp-CodeCell").last.screenshot(path=path)


CURSOR = """const dot = Object.assign(document.createElement('div'), {id: 'cursor'});
dot.style = 'position: fixed; width: 22px; height: 22px; margin: -11px; border-radius: 50%; left: -1em; '
  + 'background: #d55e00a0; z-index: 9; pointer-events: none';
document.body.append(dot);"""
FILMED = "0065_31"
"""A clip of “cover face”."""
FILM_RATE = 8
"""Frames per second."""


def film(name: str) -> None:
    """Play a clip, zoom to the face, click a cell of the confusion matrix, and play a clip that it lists."""
    load_data = partial(load, "synthetic")
    data_set = load_data()
    members = ensemble.gather(newest_streams(clips=data_set), [], "test", data_set, load_data)
    fused = ensemble.fuse([*members.values()])
    cell = failures.confused(fused).iloc[0]
    label, predicted = (fused.classes.tolist().index(cell[name]) for name in ("class", "predicted"))
    of_cell = (fused.labels == label) & (fused.predicted == predicted)
    tested = data_set.where(data_set.table["id"].isin(fused.ids))
    listed = tested.where(tested.table["id"].isin(fused.ids[of_cell]))
    liveliest = max(range(len(listed)), key=lambda row: motion(listed[row]))
    plots.style()
    matrix = plots.linked(plots.confusion(fused).figure, "confusion matrix").data
    row = tested.table["id"].tolist().index(FILMED)
    exported = [*range(row - 20, row + 20), *listed.table["id"]]
    shown = viewer.SkeletonViewer(tested, {"joint + limb": fused}, clip=row, kept=exported)
    with tempfile.TemporaryDirectory() as folder, lab.browser(width=900, height=760) as browser:
        path = Path(folder) / "page.html"
        body = matrix + shown.standalone()["text/html"]
        path.write_text(f'<!doctype html><meta charset="utf-8"><body>{body}', encoding="utf-8")
        page, frames = browser.new_page(), []
        page.goto(path.as_uri())
        page.evaluate(CURSOR)

        def take(count: int = 1) -> None:
            for _ in range(count):
                picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
                frames.append(picture.resize((720, 608), Image.Resampling.LANCZOS))

        def play(count: int, step: int = 2) -> None:
            slider = page.get_by_label("Frame", exact=True)
            advance = """(slider, step) => {
                slider.value = (Number(slider.value) + step) % (Number(slider.max) + 1);
                slider.dispatchEvent(new Event('input'));
            }"""
            for _ in range(count):
                slider.evaluate(advance, step)
                page.wait_for_timeout(60)
                take()

        def point(x: float, y: float) -> None:
            place = "(cursor, place) => Object.assign(cursor.style, place)"
            page.locator("#cursor").evaluate(place, {"left": f"{x}px", "top": f"{y}px"})

        stage = page.locator(".miga-viewer")
        stage.focus()
        stage.evaluate("(node) => node.scrollIntoView({block: 'start'})")
        play(12)
        page.keyboard.press("2")  # the face
        play(10)
        page.keyboard.press("1")
        page.evaluate("scrollTo(0, 0)")
        take(3)
        title = f"{cell['class']} predicted as {cell['predicted']}"
        target = page.locator(f'svg a[aria-label^="{title}"]').first
        box = target.bounding_box()
        point(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        take(6)
        target.dispatch_event("click")
        stage.evaluate("(node) => node.scrollIntoView({block: 'start'})")
        page.wait_for_timeout(300)
        take(2)
        point(-50, 0)
        for _ in range(liveliest):
            page.keyboard.press("j")
        page.wait_for_timeout(300)
        play(16)
        looks = {"duration": 1000 // FILM_RATE, "loop": 0, "quality": 60, "method": 6}
        frames[0].save(IMAGES / name, save_all=True, append_images=frames[1:], **looks)


if __name__ == "__main__":
    film("viewer.webp")
    dark = {"Split": "val", "Layout": "imigue41 (41)", "Score": "colour"}
    picture(IMAGES / "viewer.png", show(beside="align"), 18, {"Split": "val", "Heatmap": "limbs"})
    picture(IMAGES / "viewer-dark.png", show(8, "nearest"), 8, dark, theme="Dark")
    picture(LOOKED_AT / "viewer-two-runs.png", show(predictions="predicted"), 18, {})
    picture(LOOKED_AT / "viewer-used.png", show(more=USED), 18, {}, keys="x")
    picture(LOOKED_AT / "viewer-used-dark.png", show(more=USED), 18, {}, keys="x", theme="Dark")
    picture(
        LOOKED_AT / "viewer-denoised.png", show(beside="denoised"), 18, {"Layout": "imigue41 (41)"}, keys=""
    )
    picture(LOOKED_AT / "viewer-narrow.png", show(beside="align"), 18, {"Heatmap": "joints"}, width=620)
    progress(LOOKED_AT / "progress.png")
