"""Figures. Each function draws one, on the Axes it is given or on new ones, and returns them."""

import matplotlib.pyplot as plt
import seaborn as sns

from .results import learning_curves, sample_predictions, score_table
from .skeletons import SIDES, frames, sides, skeleton

__all__ = ["SIDES", "frames", "learning_curves", "sample_predictions", "score_table", "sides", "skeleton", "style"]


def style() -> None:
    """Set the look of all figures, once at the top of a notebook."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.9)
    plt.rcParams.update({"figure.dpi": 100, "figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False})
