"""The results of a comparison of runs: differences with their intervals, and the scores of both sides."""

from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from pandas.io.formats.style import Styler

from .. import compare
from .results import short
from .tables import styled

VERDICT_COLOURS = {"supported": "#009e73", "refuted": "#8b2161", "undecided": "#262626"}
"""Distinct with any colour vision; none is a colour of left or right."""
MAX_SIDE_LETTERS = 24
"""Of a side's name in a figure; the sentences of the answers have the whole name."""


def differences(answers: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The difference in top-1 of each of ``compare.answers`` with its interval, in the colour of its
    verdict."""
    ax = ax or plt.subplots(figsize=(8.3, 0.8 + 0.45 * len(answers)))[1]
    at_right: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 9}
    for place, answer in enumerate(answers.itertuples()):
        colour = VERDICT_COLOURS[answer.verdict]
        ax.plot([100 * answer.low, 100 * answer.high], [place, place], color=colour, linewidth=2)
        ax.plot(100 * answer.difference, place, "o", color=colour)
        ax.annotate(answer.verdict, (1.01, place), color=colour, **at_right)
    ax.axvline(0, color="black", linewidth=0.8)
    _write_claims(ax, answers)
    ax.set_xlabel("difference in top-1 (percentage points), 95 % interval")
    ax.set_title("Do these runs support the claim?")
    return ax


def both_sides(answers: pd.DataFrame) -> np.ndarray:
    """Top-1 and macro-F1 of the two sides of each answer with their intervals; ticks mark single runs: an
    array of two Axes."""
    axes = plt.subplots(1, 2, figsize=(8.3, 1 + 0.62 * len(answers)), sharey=True)[1]
    beside: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
    for ax, score, label in zip(axes, ("top1", "macro_f1"), ("top-1 (%)", "macro-F1 (%)"), strict=True):
        for place, answer in answers.iterrows():
            for side, shift, colour in (("first", -0.16, "black"), ("second", 0.16, "#8c8c8c")):
                row = place + shift
                low, high = answer[f"{score}_interval_{side}"]
                ax.plot([100 * low, 100 * high], [row, row], color=colour, linewidth=2)
                ax.plot(100 * answer[f"{score}_{side}"], row, "o", color=colour)
                ax.annotate(short(answer[side], MAX_SIDE_LETTERS), (100 * high, row), **beside)
                if score == "top1":
                    runs = 100 * np.array(answer[f"seeds_{side}"])
                    ax.scatter(runs, [row] * len(runs), marker="|", s=60, color="black", zorder=3)
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
    columns = {"claim": "claim", "pairs": "pairs of runs", "seeds": "seeds"}
    shown = answers[list(columns)].rename(columns=columns)
    for score, label, prefix in (("top1", "top-1", ""), ("macro_f1", "macro-F1", "macro_f1_")):
        sides = 100 * answers[[f"{score}_first", f"{score}_second"]].to_numpy(float)
        gaps = answers[[f"{prefix}{name}" for name in ("difference", "low", "high")]].to_numpy(float)
        shown[f"{label} (%): first, second side"] = [f"{first:.1f}, {second:.1f}" for first, second in sides]
        shown[f"{label}: difference (points)"] = [compare.with_interval(*gap) for gap in gaps]
    shown["McNemar p"] = answers["p"].map("{:.2g}".format)
    return styled(shown.assign(verdict=answers["verdict"])).hide(axis="index")
