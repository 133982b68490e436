"""Write the figures of the README to ``docs/images/``: ``python docs/make_figures.py``, a minute after ``make
demo``."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import pandas as pd

from miga_lib import ensemble, plots
from miga_lib.analysis import survey
from miga_lib.clips import load
from miga_lib.runs import newest_streams, run_result

IMAGES = Path(__file__).parent / "images"
CLIP = "0065_31"
"""A clip of “cover face”, which begins and ends with the hand away from it."""
FEWEST = 10
"""Classes with fewer test clips are folded in the confusion matrix."""


def main() -> None:
    """Draw a synthetic clip as heatmaps, and brought to one length; and of the runs of the demo a learning
    curve and their confusions."""
    plots.style()
    data_set = load("synthetic")
    keypoints, layout = data_set[survey.row_of(data_set, CLIP)], data_set.layout
    for name, draw in (("heatmaps", plots.heatmaps), ("alignments", plots.alignments)):
        figure = draw(keypoints, layout)[0, 0].figure
        figure.savefig(IMAGES / f"{name}.png", dpi=100, pil_kwargs={"optimize": True})
    demo = newest_streams(clips=data_set)
    fused = ensemble.fuse([*ensemble.gather(demo, [], "test", data_set).values()])
    drawn = {"confusion": plots.confusion(fused, fewest=FEWEST).figure}
    drawn["learning_curves"] = plots.learning_curves(
        pd.read_csv(demo[0] / "metrics.csv"), run_result(demo[0])
    )[0].figure
    for name, figure in drawn.items():
        figure.savefig(IMAGES / f"{name}.png", dpi=150, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
