"""The results of a run: learning curves, scores, predictions of single clips."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullFormatter
from pandas.io.formats.style import Styler

from ..clips import Clips
from ..metrics import percent
from ..predictions import Predictions
from .skeletons import frames
from .tables import styled

MAX_LETTERS = 52
"""Of a name in a figure; the longest name of a class of iMiGUE and SMG has 51."""
MAX_LETTERS_BELOW = 24
"""Of a name that is written vertically below a figure."""
SCORE_NAMES = {
    "top1": "top-1",
    "top5": "top-5",
    "mean_class": "mean class",
    "macro_f1": "macro-F1",
    "classes_present": "classes present",
}
"""The names of ``metrics.scores`` in figures and tables."""
TERM_NAMES = {"cross_entropy": "cross-entropy"}
"""The names of terms of the loss whose weight is 1."""
KEPT_COLOUR, MAJORITY_COLOUR = "#8b2161", "#8c8c8c"


def learning_curves(rows: pd.DataFrame, result: Mapping[str, Any] | None = None) -> np.ndarray:
    """Each term of the loss, and the validation scores, over the epochs: an array with an Axes for each term
    and one for the scores.

    Args:
        rows: of ``metrics.csv``. Its columns between ``loss`` and ``val_top1`` are the terms; a term that is
            always 0 is not drawn.
        result: of ``training.fit``: adds the kept epoch, and the score of always predicting the commonest
            class of the validation clips.
    """
    terms = [term for term in rows.loc[:, "loss":"val_top1"].columns[1:-1] if rows[term].any()]
    axes = plt.subplots(1, len(terms) + 1, figsize=(8.3, 3.2))[1]
    for ax, term in zip(axes, terms, strict=False):
        ax.plot(rows["epoch"], rows[term], color="black")
        title = TERM_NAMES.get(term, f"{term.replace('_', ' ')} (unweighted)")
        ax.set(title=title, ylabel="training loss", yscale="log")
        plain_ticks(ax.yaxis)
    for score, style in (("top1", "-"), ("mean_class", "--"), ("macro_f1", ":")):
        axes[-1].plot(
            rows["epoch"], 100 * rows[f"val_{score}"], style, color="black", label=SCORE_NAMES[score]
        )
    axes[-1].set(title="validation", ylabel="%")
    if result:
        majority = 100 * result["scores"]["val"]["majority"]
        axes[-1].axhline(majority, color=MAJORITY_COLOUR, linewidth=1, label="commonest class")
    for ax in axes:
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        if result:
            epoch = result["best_epoch"]
            ax.axvline(epoch, color=KEPT_COLOUR, linewidth=1, label=f"kept: epoch {epoch}")
    handles = axes[-1].get_legend_handles_labels()
    axes[0].figure.legend(*handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return axes


def short(name: object, most: int = MAX_LETTERS) -> str:
    """A name as a label in a figure: the middle of a very long one is left out, since it would take the place
    of the data."""
    text, end = str(name), most // 3
    return text if len(text) <= most else f"{text[: most - end - 1]}…{text[-end:]}"


def plain_ticks(axis: Axis) -> None:
    """Label a logarithmic axis at 1, 2, 5, 10 … in plain numbers, since matplotlib's powers of ten need
    ``text.parse_math``."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def score_table(scores: Mapping[str, Mapping[str, float]]) -> Styler:
    """The scores of each split, as ``metrics.scores`` returns them, as a table."""
    table = pd.DataFrame(scores).T.rename(columns=SCORE_NAMES)
    counts = [name for name in ("classes present", "clips") if name in table]
    return styled(table).format(percent).format("{:.0f}", subset=counts)


def sample_predictions(predictions: Predictions, clips: Clips, chosen: Sequence[int]) -> np.ndarray:
    """Clips with the five most probable classes of each, and the true one, in black: rows of frames and a bar
    chart, as an array of Axes.

    Args:
        clips: must contain the clips of the predictions.
        chosen: rows of ``predictions``.
    """
    rows = {id: row for row, id in enumerate(clips.table["id"])}
    size = (8.3, 2.1 * len(chosen))
    axes = plt.subplots(len(chosen), 4, figsize=size, width_ratios=[1, 1, 1, 1.5], squeeze=False)[1]
    for line, row in zip(axes, chosen, strict=True):
        for ax in line[1:3]:  # before anything is drawn, so that the limits include all frames
            ax.sharex(line[0])
            ax.sharey(line[0])
        frames(clips[rows[predictions.ids[row]]], clips.layout, 3, line[:3])
        order, truth = predictions.probabilities[row].argsort()[::-1].tolist(), predictions.labels[row]
        classes, labels = order[:5], [short(predictions.classes[k]) for k in order[:5]]
        if truth in order[5:]:
            classes.append(truth)
            labels.append(f"{short(predictions.classes[truth])} (rank {order.index(truth) + 1})")
        colours = ["black" if k == truth else "#b0b0b0" for k in classes]
        bars = line[3]
        bars.barh(range(len(classes)), 100 * predictions.probabilities[row][classes], color=colours)
        bars.set_yticks(range(len(classes)), labels)
        bars.invert_yaxis()
        bars.set_xlim(0, 100)
        name = short(predictions.classes[truth]) if truth >= 0 else "class unknown"
        bars.set_title(f"{short(predictions.ids[row])}: {name}", fontsize=9, loc="right")
        bars.tick_params(labelsize=9)
    axes[-1, 3].set_xlabel("probability (%)", fontsize=9)
    return axes
