"""What is in a set of clips: classes, lengths, the subjects of each split, missing joints, scores, and a
table of the clips."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter, ScalarFormatter

from ..analysis import survey
from ..clips import Clips
from ..layouts import Layout
from ..metrics import percent
from ..settings import PRESETS
from .results import MAX_LETTERS_BELOW, plain_ticks, short
from .skeletons import limb_lines
from .tables import sortable

SPLIT_MARKS = {"train": ("#009e73", "o"), "val": ("#e69f00", "s"), "test": ("#56b4e9", "^")}
"""Colour and marker of each split. None is a colour of left or right (Okabe and Ito's palette)."""
OTHER_MARK = ("#404040", "D")
"""Colour and marker of splits with another name."""
MOST_NAMES = 45
"""Of subjects or videos below a figure; more would overlap."""
PAPER_FRAMES = PRESETS["paper"]["frames"]


def class_counts(clips: Clips, ax: Axes | None = None) -> Axes:
    """Clips of each class and split as dots on a logarithmic axis that also shows 0; the most frequent class
    first."""
    counts = survey.clips_per_class(clips)
    counts = counts.sort_values(list(counts), ascending=False, kind="stable")
    ax = ax or plt.subplots(figsize=(8.3, 1.2 + 0.21 * len(counts)))[1]
    for i, (split, values) in enumerate(counts.items()):
        colour, mark = SPLIT_MARKS.get(str(split), OTHER_MARK)
        rows = np.arange(len(counts)) + 0.22 * (i - (len(counts.columns) - 1) / 2)
        inside = [colour if value else "none" for value in values]
        ax.scatter(
            values,
            rows,
            s=26,
            marker=mark,
            edgecolors=colour,
            facecolors=inside,
            label=f"{split}: {values.sum():,} clips",
        )
    ax.axvspan(-1, 0.4, color="#f0f0f0", zorder=0)
    ax.set_xscale("symlog", linthresh=1, linscale=0.5)
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.set(
        xlim=(-0.3, counts.to_numpy().max() * 1.6),
        ylim=(len(counts) - 0.4, -0.6),
        xlabel="clips (hollow: none)",
        ylabel="",
    )
    ax.set_yticks(range(len(counts)), map(short, counts.index), fontsize=9)
    first = counts.drop(survey.UNKNOWN, errors="ignore").iloc[:, 0]
    if first.any():
        ax.set_title(
            f"Always predicting “{short(first.idxmax())}” is correct for {percent(first.max() / first.sum())} of {first.name}",
            fontsize=10,
        )
    ax.legend(loc="lower right", frameon=True)
    return ax


def clip_lengths(clips: Clips, length: int = PAPER_FRAMES, ax: Axes | None = None) -> Axes:
    """Number of frames of the clips in each split, as shares of the split on a logarithmic axis.

    Args:
        length: frames of the clips that a network takes; marked in the figure.
    """
    ax = ax or plt.subplots(figsize=(8.3, 3.2))[1]
    frames = clips.table["frames"].clip(lower=1)
    edges = np.geomspace(frames.min() * 0.9, frames.max() * 1.1, 31)
    for split in survey.splits(clips):
        own = frames[clips.table["split"] == split]
        shares, colour = np.histogram(own, edges)[0] / len(own), SPLIT_MARKS.get(split, OTHER_MARK)[0]
        ax.stairs(
            shares, edges, color=colour, linewidth=1.8, label=f"{split}: median {own.median():.0f} frames"
        )
    ax.axvline(
        length, color="black", linestyle="--", linewidth=1, label=f"{length} frames: input of the network"
    )
    ax.set(xscale="log", xlabel="frames", ylabel="share of the split's clips")
    plain_ticks(ax.xaxis)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    ax.set_title(
        f"{frames.min()} to {frames.max()} frames: {percent((frames > length).mean(), 0)} of the clips are shortened, "
        f"{percent((frames < length).mean(), 0)} are lengthened",
        fontsize=10,
    )
    ax.legend(frameon=False, fontsize=9)
    return ax


def group_counts(clips: Clips, kind: str = "subject", ax: Axes | None = None) -> Axes:
    """Clips of each subject, or video, stacked by split, the one with most clips first; a cross marks those
    in two splits."""
    counts = survey.clips_per_group(clips, kind)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    ax = ax or plt.subplots(figsize=(8.3, 3))[1]
    base = np.zeros(len(counts))
    for split, values in counts.items():
        colour = SPLIT_MARKS.get(str(split), OTHER_MARK)[0]
        ax.bar(range(len(counts)), values, bottom=base, color=colour, width=0.85, linewidth=0, label=split)
        base += values.to_numpy()
    twice = np.flatnonzero((counts > 0).sum(axis=1) > 1)
    if len(twice):
        ax.scatter(twice, base[twice] * 1.03 + 0.3, marker="x", color="black", s=20, label="in two splits")
    names = [short(name, MAX_LETTERS_BELOW) if len(counts) <= MOST_NAMES else "" for name in counts.index]
    ax.set_xticks(range(len(counts)), names, rotation=90, fontsize=9)
    ax.grid(False, axis="x")
    ax.set(xlabel=kind, ylabel="clips", xlim=(-0.8, len(counts) - 0.2))
    ax.set_title(f"{len(counts)} {kind}s, {len(twice)} of them in more than one split", fontsize=10)
    ax.legend(frameon=False, fontsize=9)
    return ax


def missing_joints(clips: Clips) -> np.ndarray:
    """The share of frames in which each joint is missing: on the body, and by region with a bar for the mean.
    An array of two Axes."""
    layout, counts = clips.layout, survey.score_counts(clips)
    missing = counts[:, 0] / counts.sum(1)
    axes = plt.subplots(1, 2, figsize=(8.3, 4.2), width_ratios=[1, 1.3])[1]
    _shade_joints(axes[0], survey.clearest_frame(clips), layout, missing)
    regions = _regions(layout, missing)
    for row, members in enumerate(regions.values()):
        own = missing[members]
        axes[1].barh(row, own.mean(), height=0.7, color="#d9d9d9", linewidth=0)
        axes[1].scatter(
            own,
            np.linspace(row - 0.22, row + 0.22, len(own)),
            s=16,
            color="black",
            linewidth=0,
            alpha=0.7,
            zorder=2,
        )
        worst = layout.joints[members[own.argmax()]].replace("_", " ")
        axes[1].annotate(
            worst, (own.max(), row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes[1].set_yticks(range(len(regions)), list(regions))
    axes[1].grid(False, axis="y")
    axes[1].xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes[1].set(xlim=(0, 1.3 * max(0.01, missing.max())), xlabel="missing (share of all frames)")
    axes[1].set_title("Bar: the region’s mean. Dots: its joints", fontsize=10)
    return axes


def _shade_joints(ax: Axes, frame: np.ndarray, layout: Layout, missing: np.ndarray) -> None:
    """A frame (V, 3). The colour of each joint shows how often it is missing."""
    found = frame[:, 2] > 0
    ax.add_collection(limb_lines(frame, layout, "#c0c0c0"))
    dots = ax.scatter(
        frame[found, 0], frame[found, 1], c=100 * missing[found], s=22, cmap="cividis_r", vmin=0, zorder=2
    )
    ax.set(aspect="equal", xticks=[], yticks=[], frame_on=False)
    ax.invert_yaxis()
    never = f", {np.sum(missing == 1)} joints always missing" if (missing == 1).any() else ""
    ax.set_title(f"{percent(missing.mean(), 0)} of all joints are missing{never}", fontsize=10)
    plt.colorbar(dots, ax=ax, location="bottom", shrink=0.7, aspect=30, label="missing (% of all frames)")


def confidence(clips: Clips, ax: Axes | None = None) -> Axes:
    """The scores of the joints that were found, by region: the median, the middle 50 % as a bar and the
    middle 90 % as a line."""
    counts = survey.score_counts(clips)
    regions = _regions(clips.layout, counts[:, 0] / counts.sum(1))
    ax = ax or plt.subplots(figsize=(8.3, 0.9 + 0.32 * len(regions)))[1]
    for row, members in enumerate(regions.values()):
        low, lower, median, upper, high = survey.quantiles(
            counts[members].sum(0), (0.05, 0.25, 0.5, 0.75, 0.95)
        )
        ax.hlines(row, low, high, color="#595959", linewidth=1.2)
        ax.hlines(row, lower, upper, color="#595959", linewidth=7, alpha=0.5)
        ax.scatter(median, row, color="black", s=18, zorder=3)
    ax.set_yticks(range(len(regions)), list(regions))
    ax.set(xlim=(0, 1), ylim=(-0.6, len(regions) - 0.4), xlabel="score of the joints that were found")
    ax.set_title("Dot: median. Bar: the middle 50 %. Line: the middle 90 %", fontsize=10)
    return ax


def _regions(layout: Layout, missing: np.ndarray) -> dict[str, list[int]]:
    """The joints of each region by its name, the region whose joints are missing most last."""
    ordered = sorted(layout.regions.items(), key=lambda region: missing[list(region[1])].mean())
    return {name.replace("_", " "): list(members) for name, members in ordered}


def clip_table(clips: Clips, by: str = "missing", most: int = 300) -> HTML:
    """The clips with the highest values of a column, in a box that scrolls. A click on a heading sorts the
    rows.

    Args:
        by: a column of ``Clips.table``.
        most: number of rows that are shown.

    Raises:
        ValueError: another column.
    """
    if by not in clips.table:
        raise ValueError(
            f"clips can be sorted by one of {', '.join(clips.table.columns.drop('start'))}, got {by!r}"
        )
    rows = clips.table.sort_values(by, ascending=False, kind="stable").head(most)
    names = [clips.classes[label] if label >= 0 else survey.UNKNOWN for label in rows["label"]]
    columns = {
        "clip": rows["id"],
        "class": names,
        "split": rows["split"],
        "video": rows["video"],
        "subject": rows["subject"],
    }
    columns |= {"frames": rows["frames"], "joints missing (%)": (rows["missing"] * 100).round().astype(int)}
    table = sortable(pd.DataFrame(columns)).data
    return HTML(
        f'<div style="max-height: 24em; overflow: auto; width: max-content; max-width: 100%">{table}</div>'
    )
