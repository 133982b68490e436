"""The results of a comparison of runs: differences with their intervals, and the scores of both sides."""

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from pandas.io.formats.style import Styler

from .. import compare
from .shared import MAX_LETTERS_BELOW, beside, new_axes, short
from .tables import styled

VERDICT_COLOURS = {
    "supported": "#009e73",
    "refuted": "#8b2161",
    "undecided": "#262626",
}
"""Distinct with any colour vision; none is a colour of left or right."""
LINES = ("-", "--", ":", "-.")
SIDES = ("first", "second")


def differences(answers: pd.DataFrame) -> Axes:
    """The difference in top-1 of each of ``compare.answers`` with its interval, coloured by verdict.

    The interval is of one question, the verdict's test is adjusted for all of them, so an interval without 0
    can be undecided.
    """
    ax = new_axes(0.8 + 0.45 * len(answers))
    for row, answer in enumerate(answers.itertuples()):
        colour = VERDICT_COLOURS.get(answer.verdict, VERDICT_COLOURS["undecided"])
        ax.plot([100 * answer.low, 100 * answer.high], [row, row], color=colour, linewidth=2)
        ax.plot(100 * answer.difference, row, "o", color=colour)
        beside(ax, row, answer.verdict, colour)
    ax.axvline(0, color="black", linewidth=0.8)
    _write_claims(ax, answers)
    ax.set_xlabel("difference in top-1 (percentage points), 95 % interval")
    ax.set_title("Do these runs support the claim?")
    return ax


def both_sides(answers: pd.DataFrame) -> np.ndarray:
    """Top-1 of both sides of each answer with intervals, and macro-F1: two Axes. Ticks are the seeds."""
    axes = new_axes(1 + 0.62 * len(answers), 1, 2, sharey=True)
    for row, answer in answers.iterrows():
        for side, shift, colour in (("first", -0.16, "black"), ("second", 0.16, "#8c8c8c")):
            y, name = row + shift, short(answer[side], MAX_LETTERS_BELOW)
            interval = 100 * np.array(answer[f"top1_interval_{side}"])
            axes[0].plot(interval, [y, y], color=colour, linewidth=2)
            runs = 100 * np.array(answer[f"top1_seeds_{side}"])
            place = {"xytext": (8, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
            for ax, score in zip(axes, ("top1", "macro_f1"), strict=True):
                value = 100 * answer[f"{score}_{side}"]
                ax.plot(value, y, "o", color=colour)
                right = np.nanmax([value, interval[1], *runs]) if ax is axes[0] else value
                ax.annotate(name, (right, y), **place)
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


def robustness(table: pd.DataFrame) -> np.ndarray:
    """Top-1 of ``analysis.reasons.robustness`` by the level of noise and of missing joints: two Axes. A line
    for each model, the mean of its seeds, in a band from the lowest to the highest."""
    axes = new_axes(3.4, 1, 2, sharey=True)
    labels = {"noise": "noise (% of the person's size)", "missing": "missing joints (%)"}
    for ax, (kind, label) in zip(axes, labels.items(), strict=True):
        rows = table[table["kind"] == kind]
        for (model, of_model), style in zip(rows.groupby("model", sort=False), LINES, strict=False):
            top1 = 100 * of_model.groupby("level")["top1"].agg(["mean", "min", "max"])
            ax.fill_between(100 * top1.index, top1["min"], top1["max"], color="black", alpha=0.12)
            ax.plot(100 * top1.index, top1["mean"], style, color="black", marker="o", label=model)
        ax.set(xlabel=label, ylim=(0, None))
    axes[0].set_ylabel("top-1 (%)")
    axes[0].figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return axes


def answer_table(answers: pd.DataFrame) -> Styler:
    """The answers as a table: scores of both sides, difference with its interval, test, verdict."""
    shown = answers[["claim"]].assign(kind=answers["planned"].map({True: "planned", False: "exploratory"}))
    shown[["pairs of runs", "seeds"]] = answers[["pairs", "seeds"]]
    for score, label in (("top1", "top-1"), ("macro_f1", "macro-F1")):
        sides = 100 * answers[[f"{score}_first", f"{score}_second"]].to_numpy(float)
        shown[f"{label} (%): first, second side"] = [f"{first:.1f}, {second:.1f}" for first, second in sides]
    bounds = answers[["difference", "low", "high"]].to_numpy(float)
    shown["top-1: difference (points)"] = [compare.with_interval(*row) for row in bounds]
    spread = {
        side: [np.std(tops, ddof=len(tops) > 1) for tops in answers[f"top1_seeds_{side}"]] for side in SIDES
    }
    shown["spread over seeds (points): first, second"] = [
        f"{100 * first:.1f}, {100 * second:.1f}" for first, second in zip(*spread.values(), strict=True)
    ]
    for name, label in (("p", "p"), ("p_adjusted", "p, adjusted")):
        shown[label] = answers[name].map("{:.2g}".format).replace("nan", "–")
    return styled(shown.assign(verdict=answers["verdict"])).hide(axis="index")
