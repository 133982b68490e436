"""Write the figures of the README to ``docs/images/``: ``python docs/make_figures.py``, a minute after ``make
demo``."""

from functools import partial
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import pandas as pd
from matplotlib.axes import Axes

from miga_lib import ensemble, plots
from miga_lib.analysis import survey
from miga_lib.clips import load
from miga_lib.runs import newest_streams, run_result

IMAGES = Path(__file__).parent / "images"
CLIP = "0065_31"
"""A clip of “cover face”, which begins and ends with the hand away from it."""
MIN_CLIPS = 10
"""Classes with fewer test clips are folded in the confusion matrix."""


def write(name: str, ax: Axes, dpi: int) -> None:
    """Write the figure of some Axes as a small file."""
    ax.figure.savefig(IMAGES / f"{name}.png", dpi=dpi, pil_kwargs={"optimize": True})


def main() -> None:
    """Draw a synthetic clip as heatmaps, and brought to one length; and of the runs of the demo a learning
    curve and their confusions."""
    plots.style()
    data_set = load("synthetic")
    keypoints, layout = data_set[survey.row_of(data_set, CLIP)], data_set.layout
    demo = newest_streams(clips=data_set)
    rows, result = pd.read_csv(demo[0] / "metrics.csv"), run_result(demo[0])
    members = ensemble.gather(demo, [], "test", data_set, partial(load, "synthetic"))
    fused = ensemble.fuse([*members.values()])
    write("heatmaps", plots.heatmaps(keypoints, layout)[0, 0], 100)
    write("alignments", plots.alignments(keypoints, layout)[0, 0], 100)
    write("confusion", plots.confusion(fused, fewest=MIN_CLIPS), 150)
    write("learning_curves", plots.learning_curves(rows, result)[0], 150)


if __name__ == "__main__":
    main()
