"""Where predictions fail, and the gain of fusing them: confusion, scores, calibration, accuracy."""

from collections.abc import Mapping, Sequence
from itertools import cycle

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
from .shared import LEGEND, Look, beside, label_columns, label_rows, labels, new_axes, plain_ticks, short

POINT_COLOUR, INTERVAL_COLOUR, EXPECTED_COLOUR = "#262626", "#bdbdbd", "#8b2161"
"""None is a colour of left or right."""
RUN_COLOURS = (POINT_COLOUR, EXPECTED_COLOUR, "#e69f00", "#009e73", "#56b4e9")
RUN_MARKS = "os^Dv"
PALE = ListedColormap(plt.colormaps["Greys"](np.linspace(0, 0.55, 256)))
"""Of the confusion matrix, whose numbers are black."""
MAX_WIDE_CELLS = 20
"""Classes of a confusion matrix whose cells are as wide as three digits of 9 pt."""
OUTCOME_COLOURS = {"both": "#595959", "only_first": "#56b4e9", "only_second": "#e69f00", "neither": "#e8e8e8"}
"""By which of two sets of predictions are correct; distinct with any colour vision (Okabe and Ito)."""
PER = {
    "class": "share of the true class (%)",
    "predicted": "share of the predicted class (%)",
    "counts": "clips",
}
ORDERS = ("confusion", "region", "index")


def confusion(
    predictions: Predictions,
    per: str = "class",
    order: str = "confusion",
    class_regions: Sequence[str] = (),
    fewest: int = 0,
) -> Axes:
    """A confusion matrix: true classes in rows, predicted ones in columns, numbers of clips, links to them.

    Args:
        per: one of ``PER``. The diagonal of ``class``, whose rows sum to 100 %, is the recall, of
            ``predicted`` the precision. Rows and columns without clips are grey.
        order: one of ``ORDERS``: neighbours are classes that are confused with each other, or of one part of
            the body, by ``class_regions`` as for ``failures.by_region``; or in the order of their indices.
        fewest: classes with fewer clips than this are one row and one column, the last.
    """
    check_choice("per", per, PER)
    check_choice("order", order, ORDERS)
    matrix, names = metrics.confusion_matrix(predictions), predictions.classes.tolist()
    rare = np.flatnonzero(matrix.sum(1) < fewest).tolist()
    regions = _regions(matrix, names, order, class_regions, rare)
    groups = [[k] for members in regions.values() for k in members]
    titles = [names[k] for [k] in groups]
    if rare:
        groups.append(rare)
        titles.append(f"{len(rare)} rare classes")
    member = np.array([np.isin(range(len(names)), group) for group in groups], dtype=int)
    counts = member @ matrix @ member.T
    ax = new_axes(2.9 + 0.2 * len(groups))
    ax.set_facecolor("#dcdcdc")
    _draw_cells(ax, counts, per)
    _link_cells(ax, counts, titles, [",".join(map(str, group)) for group in groups])
    ax.set(xlabel="predicted class (clips)", ylabel="true class (clips)")
    edges = np.cumsum([len(members) for members in regions.values()])
    for edge in edges[:-1]:
        ax.axhline(edge - 0.5, color="black", linewidth=0.6)
        ax.axvline(edge - 0.5, color="black", linewidth=0.6)
    for name, start, end in zip(regions, [0, *edges], edges, strict=False):
        beside(ax, (start + end - 1) / 2, short(name), x=1.006)
    return ax


def _regions(
    matrix: np.ndarray, names: list[str], order: str, class_regions: Sequence[str], rare: list[int]
) -> dict[str, list[int]]:
    """The classes that are not rare in one of ``ORDERS``, by their region if the order is by region."""
    regions: Mapping[str, Sequence[int]] = {"": range(len(names))}
    if order == "region":
        regions = failures.by_region(names, class_regions)
    elif order == "confusion":
        regions = {"": failures.by_confusion(matrix).tolist()}
    common = {name: [k for k in members if k not in rare] for name, members in regions.items()}
    return {name: members for name, members in common.items() if members}


def _draw_cells(ax: Axes, counts: np.ndarray, per: str) -> None:
    """Draw the cells in grey with their numbers, lines between them, and a bar for the greys."""
    values, label = counts.astype(float), PER[per]
    scale: Look = {"norm": "symlog", "vmin": 0}
    if per != "counts":
        with np.errstate(invalid="ignore"):
            values = counts / counts.sum({"class": 1, "predicted": 0}[per], keepdims=True) * 100
        scale = {"vmin": 0, "vmax": 100}
    narrow = per != "counts" and len(counts) > MAX_WIDE_CELLS
    if narrow:
        label = label.replace("%", "%, ● = 100")
    image = ax.imshow(values, cmap=PALE, aspect="auto", **scale)
    for i, j in np.argwhere((counts > 0) & (values >= 0.5)):
        text = f"{values[i, j]:.0f}"
        if narrow and text == "100":
            text = "●"
        ax.text(j, i, text, ha="center", va="center", fontsize=9, color="black")
    ax.grid(visible=False)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(np.arange(1, len(counts)) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=0.8)
    bar: Look = {"location": "bottom", "shrink": 0.4, "aspect": 30, "pad": 0.01}
    ax.figure.colorbar(image, ax=ax, label=label, format="%.0f", **bar)


def _link_cells(ax: Axes, counts: np.ndarray, titles: list[str], members: list[str]) -> None:
    """Link cells and names of classes to the ``members`` of a row: indices of classes, with commas."""
    clickable: Look = {"facecolor": "none", "edgecolor": "none", "zorder": 4}
    outline: Look = {"facecolor": "none", "edgecolor": EXPECTED_COLOUR, "linewidth": 1.2, "zorder": 3}
    for i, j in np.argwhere(counts > 0):
        title = f"{titles[i]} predicted as {titles[j]}: {counted(int(counts[i, j]))}"
        url = link(title, label=members[i], predicted=members[j])
        ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, **clickable, url=url))
    for i in range(len(titles)):
        ax.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, **outline))
    ax.set_yticks(range(len(titles)), labels(titles, counts.sum(1)), fontsize=9)
    ax.set_xticks(range(len(titles)), labels(titles, counts.sum(0)), fontsize=9)
    ax.tick_params(axis="x", rotation=90, top=True, bottom=False, labeltop=True, labelbottom=False)
    ax.tick_params(which="minor", length=0, top=False)
    ax.xaxis.set_label_position("top")
    rows, columns = ax.get_yticklabels(), ax.get_xticklabels()
    for title, group, row, column in zip(titles, members, rows, columns, strict=True):
        row.set_url(link(f"clips of {title}", label=group))
        column.set_url(link(f"clips predicted as {title}", predicted=group))


def class_scores(table: pd.DataFrame) -> np.ndarray:
    """Recall, precision and F1 of ``metrics.per_class`` with intervals, most clips first: three Axes."""
    order, table = table.index.tolist(), table.sort_values("support", ascending=False, kind="stable")
    axes = new_axes(1.1 + 0.22 * len(table), 1, 3, sharey=True)
    titles = {
        "recall": "recall: of the class's clips,\npredicted correctly",
        "precision": "precision: of the predictions\nof the class, correct",
        "f1": "F1: harmonic mean\nof recall and precision",
    }
    box = {"facecolor": "white", "linewidth": 0, "pad": 0}
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        score, low, high = (100 * table[name + bound].to_numpy() for bound in ("", "_low", "_high"))
        rows = np.flatnonzero(np.isfinite(score))
        ax.hlines(rows, low[rows], high[rows], color=INTERVAL_COLOUR, linewidth=2.5)
        ax.plot(score[rows], rows, "o", color=POINT_COLOUR, markersize=4.5)
        note = {"precision": "never predicted"}.get(name, "no clips")
        for row in np.flatnonzero(np.isnan(score)):
            ax.text(2, row, note, fontsize=9, color="#595959", va="center", bbox=box)
        ax.set(xlim=(-3, 103), xlabel="%")
        ax.set_title(title, fontsize=9)
    counts = [f"{row.support} / {row.predicted}" for row in table.itertuples()]
    label_rows(axes[0], table.index, counts)
    for text, name in zip(axes[0].get_yticklabels(), table.index, strict=True):
        text.set_url(link(f"clips of {name}", label=order.index(name)))
    axes[0].set_ylabel("class (clips / predictions)")
    return axes


def calibration(predictions: Mapping[str, Predictions], bins: int = metrics.CALIBRATION_BINS) -> np.ndarray:
    """The accuracy of named sets of predictions by their confidence, and histograms of it: two Axes."""
    left, right = axes = new_axes(3.9 + 0.2 * len(predictions), 1, 2)
    left.plot([0, 100], [0, 100], color=INTERVAL_COLOUR, linestyle="--", label="perfect calibration")
    for (name, run), colour, mark in zip(predictions.items(), RUN_COLOURS, RUN_MARKS, strict=False):
        table = metrics.calibration_bins(run, bins)
        error = 100 * metrics.calibration_error(table)
        x, y = 100 * table["confidence"], 100 * table["accuracy"]
        bars = 100 * np.abs(table[["low", "high"]].to_numpy().T - table["accuracy"].to_numpy())
        label = f"{short(name)}: expected calibration error {error:.1f} %"
        left.errorbar(x, y, bars, fmt=mark, color=colour, elinewidth=1, label=label)
        for row in table.itertuples():
            span = f"{100 * row.left:.0f} to {100 * row.right:.0f} %"
            title = f"{name}, confidence {span}: {counted(row.clips)}"
            look = {"color": colour, "markersize": 9, "alpha": 0.5}
            place = 100 * row.confidence, 100 * row.accuracy
            left.plot(*place, mark, **look, url=link(title, run=name, low=row.left, high=row.right))
        confidence = 100 * run.known().probabilities.max(1)
        right.stairs(*np.histogram(confidence, bins, (0, 100)), color=colour, linewidth=1.8)
    left.set(xlim=(0, 100), ylim=(0, 102), ylabel="accuracy (%)")
    left.set_xlabel("confidence: probability of the predicted class (%)")
    left.figure.legend(**LEGEND, loc="outside upper left")  # a name can be as long as the figure
    right.set(xlim=(0, 100), xlabel=f"confidence (%), {bins} bins of equal width", ylabel="clips")
    right.yaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def adjustment(curves: Mapping[str, pd.DataFrame], strength: float | None = None) -> Axes:
    """Top-1 against macro-F1 by the strength of the adjustment for rare classes: a line for each table, a
    mark for each fifth strength, a larger one where nothing is adjusted, a ring for the chosen strength.

    Args:
        curves: tables of ``metrics.by_adjustment``, by name.
    """
    ax = new_axes(4.4 + 0.2 * len(curves))
    strengths = next(iter(curves.values()))["strength"]
    title = f"strengths {', '.join(strengths.iloc[::5].map('{:g}'.format))}"
    looks = zip(cycle(RUN_COLOURS), cycle(RUN_MARKS), cycle(5 * ["-"] + 5 * ["--"]), strict=False)
    for (name, table), (colour, mark, dash) in zip(curves.items(), looks, strict=False):
        look: Look = {"color": colour, "marker": mark, "linestyle": dash}
        x, y = 100 * table["macro_f1"], 100 * table["top1"]
        ax.plot(x, y, **look, markersize=4, markevery=5, label=short(name))
        ax.plot(x.iloc[0], y.iloc[0], **look, markersize=9)
        if strength is not None:
            chosen, ring = (table["strength"] - strength).abs().argmin(), look | {"marker": "o"}
            ax.plot(x.iloc[chosen], y.iloc[chosen], **ring, fillstyle="none", markersize=15)
    if strength is not None:
        title += f"; ring: {strength:g}"
    ax.set(xlabel="macro-F1 (%)", ylabel="top-1 (%)", title=title)
    ax.figure.legend(**LEGEND, loc="outside upper left")
    return ax


def hard_clips(table: pd.DataFrame, scores: pd.DataFrame) -> np.ndarray:
    """Accuracy by the length of the clips, by their missing joints, and by the training clips of their class:
    three Axes, from ``failures.by_clip`` and ``metrics.per_class``.

    A difference from the hollow marks is not due to the classes of the clips.
    """
    length, missing, training = axes = new_axes(3.4, 1, 3, sharey=True)
    parts = failures.accuracy_by(table, "frames", 6)
    _draw_accuracy(length, parts["middle"], parts)
    parts = failures.accuracy_by(table, "missing", 6)
    _draw_accuracy(missing, 100 * parts["middle"], parts)
    counts = table.drop_duplicates("class").set_index("class")["training"]
    scores = scores.assign(training=counts).dropna(subset="recall")
    bounds = scores["recall"], scores["recall_low"], scores["recall_high"]
    _draw_points(training, scores["training"].clip(lower=0.5), *bounds)
    length.set(xscale="log", xlabel="frames of the clip", ylabel="accuracy (%)", ylim=(-3, 103))
    missing.set_xlabel("joints missing (%)")
    training.set(xscale="log", xlabel="training clips of the class")
    plain_ticks(length.xaxis)
    plain_ticks(training.xaxis)
    length.legend(**LEGEND)
    titles = ("by length", "by missing joints", "recall by training clips of the class")
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title, fontsize=9)
    return axes


def accuracy_by_group(table: pd.DataFrame) -> Axes:
    """Accuracy on each subject (or video) of ``failures.by_clip``, the lowest first; see ``hard_clips``."""
    parts = failures.accuracy_by(table, "group").sort_values("accuracy", kind="stable")
    ax, mean = new_axes(3.6), 100 * table["right"].mean()
    ax.axhline(mean, color=INTERVAL_COLOUR, linestyle="--", label=f"all {len(table)} clips")
    _draw_accuracy(ax, np.arange(len(parts)), parts)
    label_columns(ax, parts.index, parts["clips"])
    ax.set(ylim=(-3, 103), ylabel="accuracy (%)", xlabel="subject, or video where it is unknown (clips)")
    ax.legend(**LEGEND, loc="lower right")
    return ax


def _draw_accuracy(ax: Axes, x: np.ndarray | pd.Series, parts: pd.DataFrame) -> None:
    """Draw a table of ``failures.accuracy_by``."""
    _draw_points(ax, x, parts["accuracy"], parts["low"], parts["high"])
    look: Look = {"markerfacecolor": "none", "color": EXPECTED_COLOUR}
    ax.plot(x, 100 * parts["expected"], "o", **look, label="expected from their classes")


def _draw_points(ax: Axes, x: np.ndarray | pd.Series, y: pd.Series, low: pd.Series, high: pd.Series) -> None:
    ax.vlines(x, 100 * low, 100 * high, color=INTERVAL_COLOUR, linewidth=2)
    ax.plot(x, 100 * y, "o", color=POINT_COLOUR, markersize=4.5)


def alone(table: pd.DataFrame, names: tuple[str, str]) -> Axes:
    """The shares of each class's clips that both, one or neither of two runs predict correctly, from
    ``metrics.outcomes_per_class``."""
    totals = table.sum(axis=1).sort_values(ascending=False, kind="stable")
    totals = totals[totals > 0]
    table = table.loc[totals.index]
    ax = new_axes(1.4 + 0.22 * len(table))
    titles = ("both correct", f"only {short(names[0])}", f"only {short(names[1])}", "neither")
    base = np.zeros(len(table))
    for (outcome, colour), label in zip(OUTCOME_COLOURS.items(), titles, strict=True):
        shares = 100 * (table[outcome] / totals).to_numpy()
        shade = "white" if outcome == "both" else "black"
        ax.barh(range(len(table)), shares, left=base, color=colour, linewidth=0, height=0.8, label=label)
        for row in np.flatnonzero(shares > 1.5):
            place, number = (base[row] + shares[row] / 2, int(row)), table[outcome].iloc[row]
            ax.text(*place, number, ha="center", va="center", fontsize=9, color=shade)
        base += shares
    label_rows(ax, table.index, totals)
    ax.set(xlim=(0, 100), xlabel="share of the class's clips (%); numbers are clips")
    ax.grid(visible=False)
    ax.legend(**LEGEND, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def gains(table: pd.DataFrame, column: str, label: str) -> Axes:
    """Differences in top-1, of one column, with their intervals, low to high; unknown ones are left out."""
    table = table.dropna(subset=column)
    ax = new_axes(1.2 + 0.38 * len(table))
    ax.axvline(0, color="black", linewidth=0.8)
    for row, (value, low, high) in enumerate(table[[column, "low", "high"]].to_numpy() * 100):
        ax.hlines(row, low, high, color=INTERVAL_COLOUR, linewidth=3)
        ax.plot(value, row, "o", color=POINT_COLOUR)
        text = f"{value:+.1f}  (no interval)"
        if np.isfinite(low):
            text = f"{value:+.1f}  [{low:+.1f}, {high:+.1f}]"
        beside(ax, row, text)
    label_rows(ax, table.index)
    ax.set_xlabel(f"{short(label)} (points of top-1)")
    ax.margins(x=0.08)
    return ax
