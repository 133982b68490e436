"""The results of a run: learning curves, scores, predictions of single clips."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from pandas.io.formats.style import Styler

from ..clips import Clips
from ..metrics import percent
from ..predictions import Predictions
from .shared import LEGEND, new_axes, plain_ticks, short
from .skeletons import frames
from .tables import heading, styled


def learning_curves(rows: pd.DataFrame, result: Mapping[str, Any] | None = None) -> np.ndarray:
    """Each term of the loss that is not always 0, and the validation scores, over the epochs: an Axes each.

    Args:
        rows: of ``metrics.csv``. Its columns between ``loss`` and ``val_top1`` are the terms.
        result: of ``training.fit``: adds the kept epoch, and the score of always predicting the commonest
            class of the validation clips.
    """
    terms = [term for term in rows.loc[:, "loss":"val_top1"].columns[1:-1] if rows[term].any()]
    axes = new_axes(3.2, 1, len(terms) + 1)
    for ax, term in zip(axes, terms, strict=False):
        ax.plot(rows["epoch"], rows[term], color="black")
        title = heading(term)
        if term != "cross_entropy":
            title += " (unweighted)"
        ax.set(title=title, ylabel="training loss", yscale="log")
        plain_ticks(ax.yaxis)
    scores = axes[-1]
    for score, dash in (("top1", "-"), ("mean_class", "--"), ("macro_f1", ":")):
        scores.plot(rows["epoch"], 100 * rows[f"val_{score}"], dash, color="black", label=heading(score))
    scores.set(title="validation", ylabel="%")
    for ax in axes:
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
    if result:
        majority, epoch = result["scores"]["val"]["majority"], result["best_epoch"]
        scores.axhline(100 * majority, color="#8c8c8c", linewidth=1, label="commonest class")
        for ax in axes:
            ax.axvline(epoch, color="#8b2161", linewidth=1, label=f"kept: epoch {epoch}")
    handles = scores.get_legend_handles_labels()
    scores.figure.legend(*handles, **LEGEND, loc="outside lower center", ncols=5)
    return axes


def score_table(scores: Mapping[str, Mapping[str, float]]) -> Styler:
    """The scores of each split, as ``metrics.scores`` returns them, as a table."""
    table = pd.DataFrame(scores).T.rename(columns=heading)
    counts = [name for name in ("classes present", "clips") if name in table]
    return styled(table).format(percent).format("{:.0f}", subset=counts)


def sample_predictions(predictions: Predictions, clips: Clips, chosen: Sequence[int]) -> np.ndarray:
    """Chosen rows of predictions of some of the clips, a row of three frames and a bar chart each: the five
    most probable classes, and the true one in black."""
    rows = {id: row for row, id in enumerate(clips.table["id"])}
    axes = new_axes(2.1 * len(chosen), len(chosen), 4, width_ratios=[1, 1, 1, 1.5], squeeze=False)
    for line, row in zip(axes, chosen, strict=True):
        for ax in line[1:3]:  # before anything is drawn, so that the limits include all frames
            ax.sharex(line[0])
            ax.sharey(line[0])
        frames(clips[rows[predictions.ids[row]]], clips.layout, 3, line[:3])
        _draw_classes(line[3], predictions, row)
    axes[-1, 3].set_xlabel("probability (%)", fontsize=9)
    return axes


def _draw_classes(ax: Axes, predictions: Predictions, row: int) -> None:
    """The probabilities of the five most probable classes of a clip and of the true one as bars."""
    order, truth = predictions.probabilities[row].argsort()[::-1].tolist(), predictions.labels[row]
    top, title = order[:5], "class unknown"
    labels = [short(predictions.classes[k]) for k in top]
    if truth >= 0:
        title = short(predictions.classes[truth])
        if truth not in top:
            top.append(truth)
            labels.append(f"{title} (rank {order.index(truth) + 1})")
    colours = np.where(np.array(top) == truth, "black", "#b0b0b0").tolist()
    ax.barh(range(len(top)), 100 * predictions.probabilities[row][top], color=colours)
    ax.set_yticks(range(len(top)), labels)
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.set_title(f"{short(predictions.ids[row])}: {title}", fontsize=9, loc="right")
    ax.tick_params(labelsize=9)
