"""Figures. Each function draws one, on given Axes or on new ones, and returns the Axes."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython import get_ipython
from matplotlib_inline.backend_inline import set_matplotlib_formats

from .answers import answer_table, both_sides, differences
from .data import class_counts, clip_lengths, clip_table, confidence, group_counts, missing_joints
from .evaluation import ORDERS, PER, accuracy_by_group, adjustment, alone, calibration, class_scores, confusion, gains, hard_clips
from .inputs import alignments, augmented, heatmaps
from .links import linked, pair_table
from .motion import animate, denoised, film, mirrored, over_time, trajectories
from .results import learning_curves, sample_predictions, score_table
from .skeletons import SIDES, frames, layout_skeletons, sides, skeleton
from .spotting import error_kinds, precision_recall, spotting_table, timeline
from .tables import comparison_table, record, sortable, styled

__all__ = [
    "ORDERS",
    "PER",
    "SIDES",
    "accuracy_by_group",
    "adjustment",
    "alignments",
    "alone",
    "animate",
    "answer_table",
    "augmented",
    "both_sides",
    "calibration",
    "class_counts",
    "class_scores",
    "clip_lengths",
    "clip_table",
    "comparison_table",
    "confidence",
    "confusion",
    "denoised",
    "differences",
    "error_kinds",
    "film",
    "frames",
    "gains",
    "group_counts",
    "hard_clips",
    "heatmaps",
    "layout_skeletons",
    "learning_curves",
    "linked",
    "mirrored",
    "missing_joints",
    "over_time",
    "pair_table",
    "precision_recall",
    "record",
    "sample_predictions",
    "score_table",
    "sides",
    "skeleton",
    "sortable",
    "spotting_table",
    "style",
    "styled",
    "timeline",
    "trajectories",
]


def style() -> None:
    """Set the style of all figures. Call it once, at the top of a notebook, where figures then have twice the resolution.

    Figures are at most 8.3 inches, 830 px, wide, so that a cell does not make them and their text of 9 pt and more smaller.
    """
    if get_ipython():
        set_matplotlib_formats("retina")
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.9)
    pd.set_option("display.html.use_mathjax", False)  # a name in a table is no formula, nor is one in a figure
    plt.rcParams.update(
        {
            "text.parse_math": False,
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
