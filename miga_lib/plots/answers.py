"""The results of a comparison of runs: differences with their intervals, and the scores of both sides."""

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from pandas.io.formats.style import Styler

from .. import compare
from .shared import MAX_LETTERS_BELOW, beside, new_axes, short
from .tables import styled

VERDICT_COLOURS = {"supported": "#009e73", "refuted": "#8b2161", "undecided": "#262626"}
"""Distinct with any colour vision; none is a colour of left or right."""


def differences(answers: pd.DataFrame) -> Axes:
    """The difference in top-1 of each of ``compare.answers`` with its interval, coloured by verdict."""
    ax = new_axes(0.8 + 0.45 * len(answers))
    for row, answer in enumerate(answers.itertuples()):
        colour = VERDICT_COLOURS[answer.verdict]
        ax.plot([100 * answer.low, 100 * answer.high], [row, row], color=colour, linewidth=2)
        ax.plot(100 * answer.difference, row, "o", color=colour)
        beside(ax, row, answer.verdict, colour)
    ax.axvline(0, color="black", linewidth=0.8)
    _write_claims(ax, answers)
    ax.set_xlabel("difference in top-1 (percentage points), 95 % interval")
    ax.set_title("Do these runs support the claim?")
    return ax


def both_sides(answers: pd.DataFrame) -> np.ndarray:
    """Top-1 and macro-F1 of both sides of each answer with intervals: two Axes. Ticks are single runs."""
    axes = new_axes(1 + 0.62 * len(answers), 1, 2, sharey=True)
    for row, answer in answers.iterrows():
        for side, shift, colour in (("first", -0.16, "black"), ("second", 0.16, "#8c8c8c")):
            y, name = row + shift, short(answer[side], MAX_LETTERS_BELOW)
            for ax, score in zip(axes, ("top1", "macro_f1"), strict=True):
                low, high = answer[f"{score}_interval_{side}"]
                ax.plot([100 * low, 100 * high], [y, y], color=colour, linewidth=2)
                ax.plot(100 * answer[f"{score}_{side}"], y, "o", color=colour)
                place = {"xytext": (4, 0), "textcoords": "offset points"}
                ax.annotate(name, (100 * high, y), **place, va="center", fontsize=9)
            runs = 100 * np.array(answer[f"seeds_{side}"])
            axes[0].scatter(runs, [y] * len(runs), marker="|", s=60, color="black", zorder=3)
    for ax, label in zip(axes, ("top-1 (%)", "macro-F1 (%)"), strict=True):
        ax.set_xlabel(label)
        ax.margins(x=0.25)
    _write_claims(axes[0], answers)
    return axes


def _write_claims(ax: Axes, answers: pd.DataFrame) -> None:
    """Write the claims beside their rows, in lines that leave more than half of the figure to the axes."""
    ax.set_yticks(range(len(answers)), [fill(claim, 32) for claim in answers["claim"]])
    ax.invert_yaxis()


def answer_table(answers: pd.DataFrame) -> Styler:
    """The answers as a table: scores of both sides, differences with their intervals, test, verdict."""
    shown = answers[["claim", "pairs", "seeds"]].rename(columns={"pairs": "pairs of runs"})
    for score, label, prefix in (("top1", "top-1", ""), ("macro_f1", "macro-F1", "macro_f1_")):
        sides = 100 * answers[[f"{score}_first", f"{score}_second"]].to_numpy(float)
        shown[f"{label} (%): first, second side"] = [f"{first:.1f}, {second:.1f}" for first, second in sides]
        bounds = answers[[prefix + name for name in ("difference", "low", "high")]].to_numpy(float)
        shown[f"{label}: difference (points)"] = [compare.with_interval(*row) for row in bounds]
    shown["McNemar p"] = answers["p"].map("{:.2g}".format)
    return styled(shown.assign(verdict=answers["verdict"])).hide(axis="index")
