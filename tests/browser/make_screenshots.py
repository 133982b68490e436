"""Make the pictures of the viewer in `docs/images`: `python tests/browser/make_screenshots.py`. Needs Chromium and playwright.

The clips are synthetic. The predictions are those of a linear model of the joints' positions, fitted on the training split.
"""

import json
import tempfile
from pathlib import Path

import lab

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
LOAD = """from miga_lib import clips, viewer
shown = clips.load("synthetic", "openpose137")"""
FIT = """import numpy as np
from sklearn.linear_model import LogisticRegression
from miga_lib.predictions import Predictions
places = viewer.poses(shown)[0].flatten(1).numpy()
train, val = (np.flatnonzero(shown.table["split"] == split) for split in ("train", "val"))
labels = shown.table["label"].to_numpy()
model = LogisticRegression(C=0.01, max_iter=300).fit(places[train], labels[train])
probabilities = np.zeros((len(val), len(shown.classes)))
probabilities[:, model.classes_] = model.predict_proba(places[val])
predictions = Predictions(shown.table["id"].to_numpy(str)[val], labels[val], probabilities, np.array(shown.classes))"""
SHOW = """viewer.SkeletonViewer(shown, {{"linear model": predictions}}, clip=int(val[{place}]), beside="{beside}")"""
THEMES = "@jupyterlab/apputils-extension/themes.jupyterlab-settings"


def picture(name: str, theme: str, place: int, beside: str, frame: int, looks: dict[str, str]) -> None:
    """Run a notebook that shows the viewer, set its controls, and write its picture at 1.5 times the resolution of the screen."""
    with tempfile.TemporaryDirectory() as folder, lab.jupyterlab(Path(folder)) as address, lab.browser(height=1400, scale=1.5) as browser:
        settings = Path(folder) / ".jupyter" / "settings" / THEMES
        settings.write_text(json.dumps({"theme": theme}))
        lab.write_notebook(Path(folder) / "viewer.ipynb", LOAD, FIT, SHOW.format(place=place, beside=beside))
        page = browser.new_page()
        shown = lab.run_notebook(page, address, "viewer.ipynb").first
        for label, choice in looks.items():
            shown.get_by_label(label).select_option(label=choice)
        shown.get_by_label("trails").click()
        shown.get_by_label("Frame", exact=True).fill(str(frame))
        page.wait_for_timeout(500)
        IMAGES.mkdir(parents=True, exist_ok=True)
        shown.screenshot(path=IMAGES / name)


if __name__ == "__main__":
    picture("viewer.png", "JupyterLab Light", 11, "align", 18, {"Split": "val", "Heatmap": "limbs"})
    picture("viewer-dark.png", "JupyterLab Dark", 8, "nearest", 8, {"Split": "val", "Layout": "imigue41 (41)", "Score": "colour"})
