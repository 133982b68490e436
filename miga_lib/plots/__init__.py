"""Figures. Each function draws one and returns its Axes."""

import html

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython import get_ipython
from IPython.core.pylabtools import retina_figure
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats

from .answers import answer_table, both_sides, differences, robustness
from .data import class_counts, clip_lengths, clip_table, confidence, group_counts, missing_joints
from .evaluation import (
    ORDERS,
    PER,
    accuracy_by_group,
    adjustment,
    alone,
    calibration,
    class_scores,
    confusion,
    gains,
    hard_clips,
)
from .inputs import alignments, augmented, heatmaps
from .links import linked, pair_table
from .motion import animate, denoised, film, mirrored, trajectories
from .results import learning_curves, sample_predictions, score_table
from .skeletons import SIDES, frames, layout_skeletons, skeleton
from .spotting import error_kinds, over_time, precision_recall, spotting_table, timeline
from .tables import comparison_table, runs_list, sortable, styled

__all__ = [
    "ORDERS", "PER", "SIDES", "accuracy_by_group", "adjustment", "alignments", "alone", "alternative",
    "animate", "answer_table", "augmented", "both_sides", "calibration", "class_counts", "class_scores",
    "clip_lengths", "clip_table", "comparison_table", "confidence", "confusion", "denoised", "differences",
    "error_kinds", "film", "frames", "gains", "group_counts", "hard_clips", "heatmaps", "layout_skeletons",
    "learning_curves", "linked", "mirrored", "missing_joints", "over_time", "pair_table",
    "precision_recall", "robustness", "runs_list", "sample_predictions", "score_table", "skeleton",
    "sortable", "spotting_table", "style", "styled", "timeline", "trajectories",
]  # fmt: skip


def style() -> None:
    """Set the style of all figures and tables. Call it once, at the top of a notebook: figures then have
    twice the resolution and alternative text."""
    if shell := get_ipython():
        set_matplotlib_formats("retina")
        shell.display_formatter.formatters["text/html"].for_type(Figure, _with_text)
        shell.display_formatter.formatters["image/png"].for_type(Figure, _picture)
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.9)
    # A name in a table or figure is no formula.
    pd.set_option("display.html.use_mathjax", False)
    plt.rcParams |= {"text.parse_math": False, "figure.dpi": 100, "figure.constrained_layout.use": True}
    plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False}


def alternative(figure: Figure) -> str:
    """The alternative text of a figure: its titles and the labels of its axes."""
    parts = [figure.get_suptitle()]
    for ax in figure.axes:
        parts += [ax.get_title(), " by ".join(filter(None, (ax.get_ylabel(), ax.get_xlabel())))]
    return "; ".join(dict.fromkeys(filter(None, parts))) or "figure without text"


def _with_text(figure: Figure) -> str | None:
    """The picture as HTML: neither JupyterLab nor nbconvert gives alternative text to other pictures."""
    drawn = retina_figure(figure, base64=True)
    if not drawn:
        return None  # an empty figure
    picture, size = vars(figure)["picture"] = drawn
    text = html.escape(alternative(figure))
    return f'<img src="data:image/png;base64,{picture}" width="{size["width"]}" alt="{text}">'


def _picture(figure: Figure) -> tuple[str, dict[str, int]] | None:
    """The same picture, for places that show no HTML, drawn once: IPython asks for it last."""
    return vars(figure).pop("picture", None) or retina_figure(figure, base64=True)
