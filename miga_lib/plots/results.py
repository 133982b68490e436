"""The results of a run: learning curves, scores, predictions of single clips."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullFormatter
from pandas.io.formats.style import Styler

from ..clips import Clips
from ..predictions import Predictions
from .skeletons import SIDES, frames
from .tables import styled

MOST_LETTERS = 60
"""Of a name in a figure; the longest name of a class of iMiGUE and SMG has 51."""
MOST_LETTERS_BELOW = 24
"""Of a name that is written vertically below a figure."""
TERM_LABELS = {"cross_entropy": "cross-entropy"}
"""Labels of the terms of the loss. Any other term is labelled by its name, as unweighted."""


def learning_curves(rows: pd.DataFrame) -> np.ndarray:
    """The terms of the loss and the validation scores over the epochs: an array of two Axes.

    Args:
        rows: of ``metrics.csv``. Its columns between ``loss`` and ``val_top1`` are the terms; a term that is always 0 is not drawn.
    """
    axes = plt.subplots(1, 2, figsize=(10, 3.4))[1]
    for term in rows.loc[:, "loss":"val_top1"].columns[1:-1]:
        if rows[term].any():
            axes[0].plot(rows["epoch"], rows[term], label=TERM_LABELS.get(term, f"{term.replace('_', ' ')} (unweighted)"))
    axes[0].set(xlabel="epoch", ylabel="training loss", yscale="log", title="Terms of the loss")
    plain_ticks(axes[0].yaxis)
    for score, label in {"val_top1": "top-1", "val_mean_class": "mean class", "val_macro_f1": "macro-F1"}.items():
        axes[1].plot(rows["epoch"], 100 * rows[score], label=label)
    axes[1].set(xlabel="epoch", ylabel="validation score (%)", title="Validation")
    for ax in axes:
        ax.legend(frameon=False)
        ax.xaxis.get_major_locator().set_params(integer=True)
    return axes


def short(name: object, most: int = MOST_LETTERS) -> str:
    """A name as a label in a figure: the middle of a very long one is left out, since it would take the place of the data."""
    text, end = str(name), most // 3
    return text if len(text) <= most else f"{text[: most - end - 1]}…{text[-end:]}"


def plain_ticks(axis: Axis) -> None:
    """Label a logarithmic axis at 1, 2, 5, 10 … in plain numbers, since matplotlib's powers of ten need ``text.parse_math``."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def score_table(scores: Mapping[str, Mapping[str, float]]) -> Styler:
    """The scores of each split, as ``metrics.scores`` returns them, as a table."""
    table = pd.DataFrame(scores).T
    counts = [name for name in ("classes_present", "clips") if name in table]
    names = {"top1": "top-1", "top5": "top-5", "mean_class": "mean class", "macro_f1": "macro-F1", "classes_present": "classes present"}
    shown = table.rename(columns=names)
    return styled(shown).format("{:.1%}").format("{:.0f}", subset=[names.get(name, name) for name in counts])


def sample_predictions(predictions: Predictions, clips: Clips, chosen: Sequence[int]) -> np.ndarray:
    """Clips with the five most probable classes of each, the true one in blue: rows of frames and a bar chart, as an array of Axes.

    Args:
        clips: must contain the clips of the predictions.
        chosen: rows of ``predictions``.
    """
    rows = {id: row for row, id in enumerate(clips.table["id"])}
    axes = plt.subplots(len(chosen), 5, figsize=(10, 1.9 * len(chosen)), width_ratios=[1, 1, 1, 1, 1.9], squeeze=False)[1]
    for line, row in zip(axes, chosen, strict=True):
        for ax in line[1:4]:  # before anything is drawn, so that the limits include all frames
            ax.sharex(line[0])
            ax.sharey(line[0])
        frames(clips[rows[predictions.ids[row]]], clips.layout, 4, line[:4])
        top = predictions.probabilities[row].argsort()[::-1][:5]
        truth = predictions.labels[row]
        colours = [SIDES["left"] if k == truth else "#b0b0b0" for k in top]
        line[4].barh(range(len(top)), 100 * predictions.probabilities[row][top], color=colours)
        line[4].set_yticks(range(len(top)), [short(predictions.classes[k]) for k in top])
        line[4].invert_yaxis()
        name = short(predictions.classes[truth]) if truth >= 0 else "class unknown"
        line[4].set(xlim=(0, 100), title=f"{short(predictions.ids[row])}: {name}")
        line[4].title.set_fontsize(9)
        line[4].tick_params(labelsize=8)
    axes[-1, 4].set_xlabel("probability (%)", fontsize=8)
    return axes
