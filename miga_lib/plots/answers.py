"""The results of a comparison of runs: differences with their intervals, and the scores of both sides."""

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from pandas.io.formats.style import Styler

from ..analysis import questions
from .tables import styled

VERDICT_COLOURS = {"supported": "#009e73", "refuted": "#8b2161", "undecided": "#262626"}
"""Distinct with any colour vision; none is a colour of left or right."""
LONGEST_NAME = 24
"""Letters of a side's name in a figure; the sentences of the answers have the whole name."""
DIFFERENCE = ["difference", "low", "high"]


def differences(answers: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The difference in top-1 of each answer of ``questions.answer_all`` with its interval, in the colour of
    its verdict."""
    ax = ax or plt.subplots(figsize=(8.3, 0.8 + 0.45 * len(answers)))[1]
    for place, answer in enumerate(answers.itertuples()):
        colour = VERDICT_COLOURS[answer.verdict]
        ax.plot([100 * answer.low, 100 * answer.high], [place, place], color=colour, linewidth=2)
        ax.plot(100 * answer.difference, place, "o", color=colour)
        ax.annotate(
            answer.verdict,
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            color=colour,
            fontsize=9,
        )
    ax.axvline(0, color="black", linewidth=0.8)
    _write_claims(ax, answers)
    ax.invert_yaxis()
    ax.set(
        xlabel="difference in top-1 (percentage points), 95 % interval",
        title="Do these runs support the claim?",
    )
    return ax


def both_sides(answers: pd.DataFrame) -> np.ndarray:
    """Top-1 and macro-F1 of the two sides of each answer with their intervals; ticks mark single runs: an
    array of two Axes."""
    axes = plt.subplots(1, 2, figsize=(8.3, 1 + 0.62 * len(answers)), sharey=True)[1]
    for ax, score, label in zip(axes, ("top1", "macro_f1"), ("top-1 (%)", "macro-F1 (%)"), strict=True):
        for place, answer in answers.iterrows():
            for side, shift, colour in (("better", -0.16, "black"), ("worse", 0.16, "#8c8c8c")):
                low, high = answer[f"{score}_interval_{side}"]
                value = answer[f"{score}_{side}"]
                ax.plot([100 * low, 100 * high], [place + shift] * 2, color=colour, linewidth=2)
                ax.plot(100 * value, place + shift, "o", color=colour)
                name = (
                    answer[side]
                    if len(answer[side]) <= LONGEST_NAME
                    else f"{answer[side][: LONGEST_NAME - 1]}…"
                )
                ax.annotate(
                    name,
                    (100 * high, place + shift),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=9,
                )
                if score == "top1":
                    runs = 100 * np.array(answer["seeds_" + side])
                    ax.scatter(runs, [place + shift] * len(runs), marker="|", s=60, color="black", zorder=3)
        ax.set_xlabel(label)
        ax.margins(x=0.25)
    _write_claims(axes[0], answers)
    axes[0].invert_yaxis()
    return axes


def _write_claims(ax: Axes, answers: pd.DataFrame) -> None:
    """Write the claims beside their rows, in lines that leave more than half of the figure to the axes."""
    ax.set_yticks(range(len(answers)), [fill(claim, 32) for claim in answers["claim"]])


def answer_table(answers: pd.DataFrame) -> Styler:
    """The answers as a table: scores of both sides, differences with their intervals, test, verdict."""
    shown = pd.DataFrame(
        {"claim": answers["claim"], "pairs of runs": answers["pairs"], "seeds": answers["seeds"]}
    )
    for score, label, names in (
        ("top1", "top-1", DIFFERENCE),
        ("macro_f1", "macro-F1", [f"macro_f1_{name}" for name in DIFFERENCE]),
    ):
        sides = 100 * answers[[f"{score}_better", f"{score}_worse"]].to_numpy(float)
        shown[f"{label} (%): first, second side"] = [f"{better:.1f}, {worse:.1f}" for better, worse in sides]
        shown[f"{label}: difference (points)"] = [
            questions.with_interval(*row) for row in answers[names].to_numpy(float)
        ]
    shown["McNemar p"] = answers["p"].map("{:.2g}".format)
    return styled(shown.assign(verdict=answers["verdict"])).hide(axis="index")
