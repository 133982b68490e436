"""Where predictions fail, and the gain of fusing them: confusion, scores per class, calibration, accuracy by
properties of the clips."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from .. import metrics
from ..analysis import failures
from ..predictions import Predictions
from ..settings import check_choice
from .links import counted, link
from .results import MAX_LETTERS_BELOW, plain_ticks, short

POINT_COLOUR, INTERVAL_COLOUR, EXPECTED_COLOUR = "#262626", "#bdbdbd", "#8b2161"
"""None is a colour of left or right."""
RUN_COLOURS = (POINT_COLOUR, EXPECTED_COLOUR, "#e69f00", "#009e73", "#56b4e9")
LINES: tuple[dict[str, Any], ...] = tuple(
    {"color": colour, "linestyle": dash, "marker": mark}
    for (dash, colour), mark in zip(itertools.product(("-", "--"), RUN_COLOURS), 2 * "os^Dv", strict=True)
)
"""Styles of ten lines, distinct with any colour vision."""
PALE = ListedColormap(plt.colormaps["Greys"](np.linspace(0, 0.55, 256)))
"""Of the confusion matrix, whose numbers are black."""
WIDE_CELLS = 20
"""Most classes of a confusion matrix whose cells are as wide as three digits of 9 pt."""
OUTCOME_COLOURS = {"both": "#595959", "only_first": "#56b4e9", "only_second": "#e69f00", "neither": "#e8e8e8"}
"""By which of two sets of predictions are correct; distinct with any colour vision (Okabe and Ito's
palette)."""
PER = {
    "class": "share of the true class (%)",
    "predicted": "share of the predicted class (%)",
    "counts": "clips",
}
"""Units of a confusion matrix, each with its label."""
ORDERS = ("confusion", "region", "index")
"""Orders of the classes in a confusion matrix."""


def confusion(
    predictions: Predictions,
    per: str = "class",
    order: str = "confusion",
    class_regions: Sequence[str] = (),
    fewest: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """A confusion matrix: true classes in rows and predicted classes in columns, each with its number of
    clips; the diagonal is outlined.

    Args:
        per: ``class``: each row sums to 100 % and the diagonal is the recall; ``predicted``: each column sums
            to 100 % and the diagonal is the precision; or ``counts``. Rows and columns whose denominator is 0
            are grey. With more than ``WIDE_CELLS`` classes, 100 is written as ●.
        order: ``confusion``: classes that are confused with each other are neighbours; ``region``: classes of
            one part of the body are; ``index``: the order of the class indices.
        class_regions: as for ``failures.by_region``.
        fewest: classes with fewer clips than this are one row and one column, the last.

    Raises:
        ValueError: another ``per`` or ``order``; no clip of known label.
    """
    check_choice("per", per, PER)
    check_choice("order", order, ORDERS)
    matrix, names = metrics.confusion_matrix(predictions), predictions.classes.tolist()
    regions = _order(matrix, names, order, class_regions)
    rare = [k for k in range(len(names)) if matrix[k].sum() < fewest]
    regions = {
        name: kept for name, members in regions.items() if (kept := [k for k in members if k not in rare])
    }
    groups = [[k] for members in regions.values() for k in members] + ([rare] if rare else [])
    titles = [
        names[group[0]] if len(group) == 1 and group != rare else f"{len(group)} rare classes"
        for group in groups
    ]
    members_of = [",".join(map(str, group)) for group in groups]
    member = np.array([[k in group for k in range(len(names))] for group in groups], dtype=int)
    counts = member @ matrix @ member.T
    totals = {
        "class": counts.sum(1, keepdims=True),
        "predicted": counts.sum(0, keepdims=True),
        "counts": np.ones((1, 1)),
    }[per]
    with np.errstate(invalid="ignore"):
        values = counts / totals * (1 if per == "counts" else 100)
    ax = ax or plt.subplots(figsize=(8.3, 2.9 + 0.2 * len(groups)))[1]
    ax.set_facecolor("#dcdcdc")
    norm = "symlog" if per == "counts" else None
    image = ax.imshow(
        values, cmap=PALE, norm=norm, vmin=0, vmax=None if per == "counts" else 100, aspect="auto"
    )
    narrow = per != "counts" and len(groups) > WIDE_CELLS
    for i, j in np.argwhere(counts > 0):
        if values[i, j] >= 0.5:
            whole = narrow and values[i, j] >= 99.5
            ax.text(
                j,
                i,
                "●" if whole else f"{values[i, j]:.0f}",
                ha="center",
                va="center",
                fontsize=9,
                color="black",
            )
        title = f"{titles[i]} predicted as {titles[j]}: {counted(int(counts[i, j]))}"
        address = link(title, label=members_of[i], predicted=members_of[j])
        ax.add_patch(
            Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="none", edgecolor="none", zorder=4, url=address)
        )
    labels = [short(title) for title in titles]
    for axis, numbers in ((ax.yaxis, counts.sum(1)), (ax.xaxis, counts.sum(0))):
        axis.set_ticks(
            range(len(titles)),
            [f"{label} ({n})" for label, n in zip(labels, numbers, strict=True)],
            fontsize=9,
        )
    ax.tick_params(axis="x", rotation=90, top=True, bottom=False, labeltop=True, labelbottom=False)
    ax.xaxis.set_label_position("top")
    for row, column, of_title, title in zip(
        ax.get_yticklabels(), ax.get_xticklabels(), members_of, titles, strict=True
    ):
        row.set_url(link(f"clips of {title}", label=of_title))
        column.set_url(link(f"clips predicted as {title}", predicted=of_title))
    ax.set(xlabel="predicted class (clips)", ylabel="true class (clips)")
    ax.grid(visible=False)
    ax.set_xticks(np.arange(1, len(titles)) - 0.5, minor=True)
    ax.set_yticks(np.arange(1, len(titles)) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=0.8)
    ax.tick_params(which="minor", length=0, top=False)
    for i in range(len(titles)):
        ax.add_patch(
            Rectangle(
                (i - 0.5, i - 0.5), 1, 1, facecolor="none", edgecolor=EXPECTED_COLOUR, linewidth=1.2, zorder=3
            )
        )
    edges = np.cumsum([len(members) for members in regions.values()])
    for edge in edges[:-1]:
        ax.axhline(edge - 0.5, color="black", linewidth=0.6)
        ax.axvline(edge - 0.5, color="black", linewidth=0.6)
    for name, start, end in zip(regions, [0, *edges], edges, strict=False):
        ax.annotate(
            short(name),
            (1.006, (start + end - 1) / 2),
            xycoords=("axes fraction", "data"),
            fontsize=9,
            va="center",
            annotation_clip=False,
        )
    label = PER[per].replace("%", "%, ● = 100") if narrow else PER[per]
    ax.figure.colorbar(
        image, ax=ax, label=label, location="bottom", shrink=0.4, aspect=30, pad=0.01, format="%.0f"
    )
    return ax


def _order(
    matrix: np.ndarray, names: list[str], order: str, class_regions: Sequence[str]
) -> dict[str, list[int]]:
    """The classes in one of ``ORDERS``, by the name of their region if the order is by region."""
    if order == "region":
        return {name: list(members) for name, members in failures.by_region(names, class_regions).items()}
    return {"": (failures.by_confusion(matrix) if order == "confusion" else np.arange(len(matrix))).tolist()}


def class_scores(table: pd.DataFrame) -> np.ndarray:
    """Recall, precision and F1 of each class with their intervals, the class with most clips first: an array
    of three Axes.

    Args:
        table: of ``metrics.per_class``.
    """
    order, table = table.index.tolist(), table.sort_values("support", ascending=False, kind="stable")
    axes = plt.subplots(1, 3, figsize=(8.3, 1.1 + 0.22 * len(table)), sharey=True)[1]
    titles = {
        "recall": "recall: of the class's clips,\npredicted correctly",
        "precision": "precision: of the predictions\nof the class, correct",
        "f1": "F1: harmonic mean\nof recall and precision",
    }
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        present = table[name].notna().to_numpy()
        rows, known = np.flatnonzero(present), table[present]
        ax.hlines(
            rows,
            100 * known[f"{name}_low"],
            100 * known[f"{name}_high"],
            color=INTERVAL_COLOUR,
            linewidth=2.5,
        )
        ax.plot(100 * known[name], rows, "o", color=POINT_COLOUR, markersize=4.5)
        for row in np.flatnonzero(~present):
            text = "never predicted" if name == "precision" else "no clips"
            ax.text(
                2,
                row,
                text,
                fontsize=9,
                color="#595959",
                va="center",
                bbox={"facecolor": "white", "linewidth": 0, "pad": 0},
            )
        ax.set(xlim=(-3, 103), ylim=(len(table) - 0.4, -0.6), xlabel="%")
        ax.set_title(title, fontsize=9)
    labels = [
        f"{short(name)} ({row.support} / {row.predicted})"
        for name, row in zip(table.index, table.itertuples(), strict=True)
    ]
    axes[0].set_yticks(range(len(table)), labels, fontsize=9)
    for text, name in zip(axes[0].get_yticklabels(), table.index, strict=True):
        text.set_url(link(f"clips of {name}", label=order.index(name)))
    axes[0].set_ylabel("class (clips / predictions)")
    return axes


def calibration(predictions: Mapping[str, Predictions], bins: int = metrics.CALIBRATION_BINS) -> np.ndarray:
    """The accuracy of predictions by their confidence, and a histogram of the confidence: an array of two
    Axes.

    Args:
        predictions: one or more sets by name.
    """
    axes = plt.subplots(1, 2, figsize=(8.3, 3.9 + 0.2 * len(predictions)))[1]
    axes[0].plot([0, 100], [0, 100], color=INTERVAL_COLOUR, linestyle="--", label="perfect calibration")
    for (name, one), colour, mark in zip(predictions.items(), RUN_COLOURS, "os^Dv", strict=False):
        table = metrics.calibration_bins(one, bins)
        error = metrics.calibration_error(table)
        bars = 100 * np.abs(table[["low", "high"]].to_numpy().T - table["accuracy"].to_numpy())
        label = f"{short(name)}: expected calibration error {100 * error:.1f} %"
        axes[0].errorbar(
            100 * table["confidence"],
            100 * table["accuracy"],
            bars,
            fmt=mark,
            color=colour,
            elinewidth=1,
            label=label,
        )
        for part in table.itertuples():
            title = (
                f"{name}, confidence {100 * part.left:.0f} to {100 * part.right:.0f} %: {counted(part.clips)}"
            )
            address = link(title, run=name, low=part.left, high=part.right)
            axes[0].plot(
                100 * part.confidence,
                100 * part.accuracy,
                mark,
                color=colour,
                markersize=9,
                alpha=0.5,
                url=address,
            )
        axes[1].stairs(
            *np.histogram(100 * one.known().probabilities.max(1), bins, (0, 100)), color=colour, linewidth=1.8
        )
    axes[0].set(
        xlim=(0, 100),
        ylim=(0, 102),
        xlabel="confidence: probability of the predicted class (%)",
        ylabel="accuracy (%)",
    )
    axes[0].figure.legend(
        frameon=False, fontsize=9, loc="outside upper left"
    )  # the name of an ensemble can be as long as the figure
    axes[1].set(xlim=(0, 100), xlabel=f"confidence (%), {bins} bins of equal width", ylabel="clips")
    axes[1].yaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def adjustment(
    curves: Mapping[str, pd.DataFrame], strength: float | None = None, ax: Axes | None = None
) -> Axes:
    """Top-1 against macro-F1 by the strength of the adjustment for rare classes: a line for each table, a
    mark for each fifth strength.

    The larger mark is where nothing is adjusted. Further up and further right is better.

    Args:
        curves: tables of ``metrics.by_adjustment``, by name.
        strength: the chosen one, which has a ring.
    """
    ax = ax or plt.subplots(figsize=(8.3, 4.4 + 0.2 * len(curves)))[1]
    for (name, table), look in zip(curves.items(), itertools.cycle(LINES), strict=False):
        x, y = 100 * table["macro_f1"], 100 * table["top1"]
        ax.plot(x, y, **look, markersize=4, markevery=5, label=short(name))
        ax.plot(x.iloc[0], y.iloc[0], **look, markersize=9)
        if strength is not None:
            chosen = (table["strength"] - strength).abs().argmin()
            ax.plot(
                x.iloc[chosen], y.iloc[chosen], **{**look, "marker": "o"}, fillstyle="none", markersize=15
            )
    every = next(iter(curves.values()))["strength"].iloc[::5].map("{:g}".format)
    title = f"strengths {', '.join(every)}" + ("" if strength is None else f"; ring: {strength:g}")
    ax.set(xlabel="macro-F1 (%)", ylabel="top-1 (%)", title=title)
    ax.figure.legend(frameon=False, fontsize=9, loc="outside upper left")
    return ax


def hard_clips(table: pd.DataFrame, scores: pd.DataFrame, bins: int = 6) -> np.ndarray:
    """Accuracy by the length of the clips, by their missing joints, and by the training clips of their class:
    three Axes.

    Hollow marks show ``expected`` of ``failures.accuracy_by``: a difference from them is not due to the
    classes of the clips.

    Args:
        table: of ``failures.by_clip``.
        scores: of ``metrics.per_class``, for the third.
        bins: number of bins, with about the same number of clips each, for the first two.
    """
    axes = plt.subplots(1, 3, figsize=(8.3, 3.4), sharey=True)[1]
    for ax, (column, label) in zip(
        axes, {"frames": "frames of the clip", "missing": "joints missing (%)"}.items(), strict=False
    ):
        parts = failures.accuracy_by(table, column, bins)
        middle = parts["middle"] * (100 if column == "missing" else 1)
        _points(ax, middle, parts["accuracy"], parts["low"], parts["high"])
        ax.plot(
            middle,
            100 * parts["expected"],
            "o",
            markerfacecolor="none",
            color=EXPECTED_COLOUR,
            label="expected from their classes",
        )
        ax.set(xlabel=label)
    known = scores.assign(training=table.drop_duplicates("class").set_index("class")["training"]).dropna(
        subset="recall"
    )
    _points(
        axes[2], known["training"].clip(lower=0.5), known["recall"], known["recall_low"], known["recall_high"]
    )
    axes[2].set(xscale="log", xlabel="training clips of the class")
    axes[0].set(xscale="log", ylabel="accuracy (%)", ylim=(-3, 103))
    for ax in (axes[0], axes[2]):
        plain_ticks(ax.xaxis)
    axes[0].legend(frameon=False, fontsize=9)
    for ax, title in zip(
        axes, ("by length", "by missing joints", "recall by training clips of the class"), strict=True
    ):
        ax.set_title(title, fontsize=9)
    return axes


def accuracy_by_group(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Accuracy on each subject (or video) with its interval, the lowest first; hollow marks show ``expected``
    of ``failures.accuracy_by``.

    Args:
        table: of ``failures.by_clip``.
    """
    parts = failures.accuracy_by(table, "group").sort_values("accuracy", kind="stable")
    ax = ax or plt.subplots(figsize=(8.3, 3.6))[1]
    places = np.arange(len(parts))
    ax.axhline(
        100 * table["right"].mean(), color=INTERVAL_COLOUR, linestyle="--", label=f"all {len(table)} clips"
    )
    _points(ax, places, parts["accuracy"], parts["low"], parts["high"])
    ax.plot(
        places,
        100 * parts["expected"],
        "o",
        markerfacecolor="none",
        color=EXPECTED_COLOUR,
        label="expected from their classes",
    )
    ax.set_xticks(
        places,
        [
            f"{short(name, MAX_LETTERS_BELOW)} ({n})"
            for name, n in zip(parts.index, parts["clips"], strict=True)
        ],
        rotation=90,
        fontsize=9,
    )
    ax.set(
        ylim=(-3, 103),
        xlim=(-0.8, len(parts) - 0.2),
        ylabel="accuracy (%)",
        xlabel="subject, or video where it is unknown (clips)",
    )
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    return ax


def _points(ax: Axes, x: np.ndarray | pd.Series, y: pd.Series, low: pd.Series, high: pd.Series) -> None:
    ax.vlines(x, 100 * low, 100 * high, color=INTERVAL_COLOUR, linewidth=2)
    ax.plot(x, 100 * y, "o", color=POINT_COLOUR, markersize=4.5)


def alone(table: pd.DataFrame, names: tuple[str, str], ax: Axes | None = None) -> Axes:
    """The share of each class's clips that both, one or neither of two sets of predictions predict correctly;
    only classes with clips.

    Args:
        table: of ``metrics.outcomes_per_class``.
    """
    table = table[table.sum(axis=1) > 0]
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    ax = ax or plt.subplots(figsize=(8.3, 1.4 + 0.22 * len(table)))[1]
    labels = {
        "both": "both correct",
        "only_first": f"only {short(names[0])}",
        "only_second": f"only {short(names[1])}",
        "neither": "neither",
    }
    base = np.zeros(len(table))
    for outcome, colour in OUTCOME_COLOURS.items():
        shares = 100 * (table[outcome] / table.sum(axis=1)).to_numpy()
        ax.barh(
            range(len(table)), shares, left=base, color=colour, linewidth=0, height=0.8, label=labels[outcome]
        )
        for row in np.flatnonzero(shares > 1.5):
            shade = "white" if outcome == "both" else "black"
            ax.text(
                base[row] + shares[row] / 2,
                int(row),
                table[outcome].iloc[row],
                ha="center",
                va="center",
                fontsize=9,
                color=shade,
            )
        base += shares
    ax.set_yticks(
        range(len(table)), [f"{short(name)} ({n})" for name, n in table.sum(axis=1).items()], fontsize=9
    )
    ax.set(
        xlim=(0, 100),
        ylim=(len(table) - 0.4, -0.6),
        xlabel="share of the class's clips (%); numbers are clips",
    )
    ax.grid(visible=False)
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def gains(table: pd.DataFrame, column: str, label: str, ax: Axes | None = None) -> Axes:
    """Differences in top-1 with their intervals, a row each.

    Args:
        table: has the columns ``column``, low and high. Rows without a difference are left out.
        label: of the axis, without its unit.
    """
    known = table.dropna(subset=column)
    ax = ax or plt.subplots(figsize=(8.3, 1.2 + 0.38 * len(known)))[1]
    rows = np.arange(len(known))
    ax.axvline(0, color="black", linewidth=0.8)
    ax.hlines(rows, 100 * known["low"], 100 * known["high"], color=INTERVAL_COLOUR, linewidth=3)
    ax.plot(100 * known[column], rows, "o", color=POINT_COLOUR)
    for row, (value, low, high) in enumerate(known[[column, "low", "high"]].to_numpy() * 100):
        bounds = (
            f"  [{low:+.1f}, {high:+.1f}]" if np.isfinite(low) else "  (one subject or video: no interval)"
        )
        ax.annotate(
            f"{value:+.1f}{bounds}",
            (1.01, row),
            xycoords=("axes fraction", "data"),
            fontsize=9,
            va="center",
            annotation_clip=False,
        )
    ax.set_yticks(rows, map(short, known.index), fontsize=9)
    ax.set(ylim=(len(known) - 0.4, -0.6), xlabel=f"{short(label)} (points of top-1)")
    ax.margins(x=0.08)
    return ax
