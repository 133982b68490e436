"""Figures. Each function draws one, on the Axes it is given or on new ones, and returns them."""

import matplotlib.pyplot as plt
import seaborn as sns

from .answers import answer_table, both_sides, differences
from .data import class_counts, clip_lengths, clip_table, confidence, group_counts, missing_joints
from .inputs import alignments, augmented, heatmaps
from .judging import accuracy_by, accuracy_by_group, alone, calibration, class_scores, confusion, gains
from .motion import animate, film, mirrored, trajectories
from .results import learning_curves, sample_predictions, score_table
from .skeletons import SIDES, frames, layout_skeletons, sides, skeleton
from .tables import judgement, record, sortable

__all__ = [
    "SIDES",
    "accuracy_by",
    "accuracy_by_group",
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
    "confidence",
    "confusion",
    "differences",
    "film",
    "frames",
    "gains",
    "group_counts",
    "heatmaps",
    "judgement",
    "layout_skeletons",
    "learning_curves",
    "mirrored",
    "missing_joints",
    "record",
    "sample_predictions",
    "score_table",
    "sides",
    "skeleton",
    "sortable",
    "style",
    "trajectories",
]


def style() -> None:
    """Set the look of all figures, once at the top of a notebook."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.9)
    plt.rcParams.update({"figure.dpi": 100, "figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False})
