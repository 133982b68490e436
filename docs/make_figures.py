"""Write the figures of the README to ``docs/images/``: ``python docs/make_figures.py``, a minute with the synthetic clips at hand."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

from miga_lib import clips, plots
from miga_lib.analysis import survey

IMAGES = Path(__file__).parent / "images"
CLIP = "0065_31"
"""A clip of “cover face”, which begins and ends with the hand away from it."""


def main() -> None:
    """Draw the same synthetic clip as heatmaps, and brought to one length."""
    plots.style()
    data_set = clips.load("synthetic")
    keypoints, layout = data_set[survey.row_of(data_set, CLIP)], data_set.layout
    for name, draw in (("heatmaps", plots.heatmaps), ("alignments", plots.alignments)):
        figure = draw(keypoints, layout)[0, 0].figure
        figure.savefig(IMAGES / f"{name}.png", dpi=100, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
