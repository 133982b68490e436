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

MOST_LETTERS = 52
"""Of a name in a figure; the longest name of a class of iMiGUE and SMG has 51."""
MOST_LETTERS_BELOW = 24
"""Of a name that is written vertically below a figure."""
SCORE_LABELS = {"val_top1": "top-1", "val_mean_class": "mean class", "val_macro_f1": "macro-F1"}
TERM_LABELS = {"cross_entropy": "cross-entropy"}
"""Labels of the terms of the loss. Any other term is labelled by its name, as unweighted."""


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
        ax.set(
            title=TERM_LABELS.get(term, f"{term.replace('_', ' ')} (unweighted)"),
            ylabel="training loss",
            yscale="log",
        )
        plain_ticks(ax.yaxis)
    for (score, label), style in zip(SCORE_LABELS.items(), ("-", "--", ":"), strict=True):
        axes[-1].plot(rows["epoch"], 100 * rows[score], style, color="black", label=label)
    axes[-1].set(title="validation", ylabel="%")
    if result:
        axes[-1].axhline(
            100 * result["scores"]["val"]["majority"], color="#8c8c8c", linewidth=1, label="commonest class"
        )
    for ax in axes:
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        if result:
            ax.axvline(
                result["best_epoch"],
                color="#8b2161",
                linewidth=1,
                label=f"kept: epoch {result['best_epoch']}",
            )
    axes[0].figure.legend(
        *axes[-1].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=9
    )
    return axes


def short(name: object, most: int = MOST_LETTERS) -> str:
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
    table = pd.DataFrame(scores).T
    counts = [name for name in ("classes_present", "clips") if name in table]
    names = {
        "top1": "top-1",
        "top5": "top-5",
        "mean_class": "mean class",
        "macro_f1": "macro-F1",
        "classes_present": "classes present",
    }
    shown = table.rename(columns=names)
    return styled(shown).format(percent).format("{:.0f}", subset=[names.get(name, name) for name in counts])


def sample_predictions(predictions: Predictions, clips: Clips, chosen: Sequence[int]) -> np.ndarray:
    """Clips with the five most probable classes of each, and the true one, in black: rows of frames and a bar
    chart, as an array of Axes.

    Args:
        clips: must contain the clips of the predictions.
        chosen: rows of ``predictions``.
    """
    rows = {id: row for row, id in enumerate(clips.table["id"])}
    axes = plt.subplots(
        len(chosen), 4, figsize=(8.3, 2.1 * len(chosen)), width_ratios=[1, 1, 1, 1.5], squeeze=False
    )[1]
    for line, row in zip(axes, chosen, strict=True):
        for ax in line[1:3]:  # before anything is drawn, so that the limits include all frames
            ax.sharex(line[0])
            ax.sharey(line[0])
        frames(clips[rows[predictions.ids[row]]], clips.layout, 3, line[:3])
        order, truth = predictions.probabilities[row].argsort()[::-1].tolist(), predictions.labels[row]
        top = [*order[:5], *([truth] if truth in order[5:] else [])]
        colours = ["black" if k == truth else "#b0b0b0" for k in top]
        line[3].barh(range(len(top)), 100 * predictions.probabilities[row][top], color=colours)
        ranks = ["" if k in order[:5] else f" (rank {order.index(k) + 1})" for k in top]
        line[3].set_yticks(
            range(len(top)),
            [short(predictions.classes[k]) + rank for k, rank in zip(top, ranks, strict=True)],
        )
        line[3].invert_yaxis()
        name = short(predictions.classes[truth]) if truth >= 0 else "class unknown"
        line[3].set(xlim=(0, 100))
        line[3].set_title(f"{short(predictions.ids[row])}: {name}", fontsize=9, loc="right")
        line[3].tick_params(labelsize=9)
    axes[-1, 3].set_xlabel("probability (%)", fontsize=9)
    return axes
