"""What is in a set of clips: classes, lengths, subjects, missing joints, scores, and a table of the clips."""

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter, ScalarFormatter

from ..analysis import survey
from ..clips import Clips
from ..layouts import Layout
from ..metrics import percent
from ..settings import PRESETS
from .shared import BARE, LEGEND, Look, label_columns, label_rows, new_axes, plain_ticks, short
from .skeletons import limb_lines
from .tables import sortable

SPLIT_MARKS = {"train": ("#009e73", "o"), "val": ("#e69f00", "s"), "test": ("#56b4e9", "^")}
"""Colour and marker of each split. None is a colour of left or right (Okabe and Ito's palette)."""
OTHER_MARK = ("#404040", "D")
"""Colour and marker of splits with another name."""
MAX_NAMES = 45
"""Of subjects or videos below a figure; more would overlap."""
MAX_ROWS = 300
"""Of the table of clips."""


def class_counts(clips: Clips) -> Axes:
    """Clips of each class and split as dots on a logarithmic axis that also shows 0, most frequent first."""
    counts = survey.clips_per_class(clips)
    counts = counts.sort_values(list(counts), ascending=False, kind="stable")
    ax = new_axes(1.2 + 0.21 * len(counts))
    for i, (split, values) in enumerate(counts.items()):
        colour, mark = SPLIT_MARKS.get(str(split), OTHER_MARK)
        rows = np.arange(len(counts)) + 0.22 * (i - (len(counts.columns) - 1) / 2)
        fills = np.where(values > 0, colour, "none").tolist()
        label = f"{split}: {values.sum():,} clips"
        ax.scatter(values, rows, s=26, marker=mark, edgecolors=colour, facecolors=fills, label=label)
    ax.axvspan(-1, 0.4, color="#f0f0f0", zorder=0)
    ax.set_xscale("symlog", linthresh=1, linscale=0.5)
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.set(xlim=(-0.3, counts.to_numpy().max() * 1.6), xlabel="clips (hollow: none)")
    label_rows(ax, counts.index)
    first = counts.drop(survey.UNKNOWN, errors="ignore").iloc[:, 0]
    if first.any():
        share = f"{percent(first.max() / first.sum())} of {first.name}"
        ax.set_title(f"Always predicting “{short(first.idxmax())}” is correct for {share}", fontsize=10)
    ax.legend(loc="lower right", frameon=True)
    return ax


def clip_lengths(clips: Clips) -> Axes:
    """Frames of the clips, as shares of each split on a logarithmic axis; the frames of the ``paper`` preset
    are marked."""
    ax, length = new_axes(3.2), PRESETS["paper"]["frames"]
    frames = clips.table["frames"].clip(lower=1)
    edges = np.geomspace(frames.min() * 0.9, frames.max() * 1.1, 31)
    for split in survey.splits(clips):
        members = frames[clips.table["split"] == split]
        shares, colour = np.histogram(members, edges)[0] / len(members), SPLIT_MARKS.get(split, OTHER_MARK)[0]
        label = f"{split}: median {members.median():.0f} frames"
        ax.stairs(shares, edges, color=colour, linewidth=1.8, label=label)
    label = f"{length} frames: input of the network"
    ax.axvline(length, color="black", linestyle="--", linewidth=1, label=label)
    ax.set(xscale="log", xlabel="frames", ylabel="share of the split's clips")
    plain_ticks(ax.xaxis)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    longer, shorter = (percent(share.mean(), 0) for share in (frames > length, frames < length))
    changes = f"{longer} of the clips are shortened, {shorter} are lengthened"
    ax.set_title(f"{frames.min()} to {frames.max()} frames: {changes}", fontsize=10)
    ax.legend(**LEGEND)
    return ax


def group_counts(clips: Clips, kind: str = "subject") -> Axes:
    """Clips of each subject, or video, stacked by split, most clips first; a cross: in two splits."""
    counts = survey.clips_per_group(clips, kind)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    ax = new_axes(3)
    base = np.zeros(len(counts))
    for split, values in counts.items():
        colour = SPLIT_MARKS.get(str(split), OTHER_MARK)[0]
        ax.bar(range(len(counts)), values, bottom=base, color=colour, width=0.85, linewidth=0, label=split)
        base += values.to_numpy()
    twice = np.flatnonzero((counts > 0).sum(axis=1) > 1)
    if len(twice):
        ax.scatter(twice, base[twice] * 1.03 + 0.3, marker="x", color="black", s=20, label="in two splits")
    label_columns(ax, counts.index if len(counts) <= MAX_NAMES else [""] * len(counts))
    ax.grid(False, axis="x")
    ax.set(xlabel=kind, ylabel="clips")
    ax.set_title(f"{len(counts)} {kind}s, {len(twice)} of them in more than one split", fontsize=10)
    ax.legend(**LEGEND)
    return ax


def missing_joints(clips: Clips) -> np.ndarray:
    """The share of frames in which each joint is missing, on the body and by region: two Axes."""
    layout, counts = clips.layout, survey.score_counts(clips)
    missing = counts[:, 0] / counts.sum(1)
    body, bars = axes = new_axes(4.2, 1, 2, width_ratios=[1, 1.3])
    _shade_joints(body, survey.clearest_frame(clips), layout, missing)
    regions = _regions(layout, missing)
    look: Look = {"s": 16, "color": "black", "linewidth": 0, "alpha": 0.7, "zorder": 2}
    for row, members in enumerate(regions.values()):
        shares = missing[members]
        bars.barh(row, shares.mean(), height=0.7, color="#d9d9d9", linewidth=0)
        bars.scatter(shares, np.linspace(row - 0.22, row + 0.22, len(shares)), **look)
        worst, place = layout.joints[members[shares.argmax()]].replace("_", " "), (shares.max(), row)
        bars.annotate(worst, place, xytext=(6, 0), textcoords="offset points", va="center", fontsize=9)
    bars.set_yticks(range(len(regions)), list(regions))
    bars.grid(False, axis="y")
    bars.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    bars.set(xlim=(0, 1.3 * max(0.01, missing.max())), xlabel="missing (share of all frames)")
    bars.set_title("Bar: the region’s mean. Dots: its joints", fontsize=10)
    return axes


def _shade_joints(ax: Axes, frame: np.ndarray, layout: Layout, missing: np.ndarray) -> None:
    """A frame (V, 3). The colour of each joint shows how often it is missing."""
    present = frame[:, 2] > 0
    ax.add_collection(limb_lines(frame, layout, "#c0c0c0"))
    look: Look = {"c": 100 * missing[present], "s": 22, "cmap": "cividis_r", "vmin": 0, "zorder": 2}
    dots = ax.scatter(*frame[present, :2].T, **look)
    ax.set(aspect="equal", **BARE)
    ax.invert_yaxis()
    title = f"{percent(missing.mean(), 0)} of all joints are missing"
    if (missing == 1).any():
        title += f", {np.sum(missing == 1)} joints always missing"
    ax.set_title(title, fontsize=10)
    plt.colorbar(dots, ax=ax, location="bottom", shrink=0.7, aspect=30, label="missing (% of all frames)")


def confidence(clips: Clips) -> Axes:
    """The scores of detected joints by region: the median, the middle 50 % (bar), the middle 90 % (line)."""
    counts = survey.score_counts(clips)
    regions = _regions(clips.layout, counts[:, 0] / counts.sum(1))
    ax = new_axes(0.9 + 0.32 * len(regions))
    for row, members in enumerate(regions.values()):
        shares = (0.05, 0.25, 0.5, 0.75, 0.95)
        low, lower, median, upper, high = survey.quantiles(counts[members].sum(0), shares)
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


def clip_table(clips: Clips, by: str = "missing") -> HTML:
    """The ``MAX_ROWS`` clips with the highest values of a column of ``Clips.table``, in a scrolling box."""
    if by not in clips.table:
        columns = ", ".join(clips.table.columns.drop("start"))
        raise ValueError(f"clips can be sorted by one of {columns}, got {by!r}")
    rows = clips.table.sort_values(by, ascending=False, kind="stable").head(MAX_ROWS)
    names = {-1: survey.UNKNOWN, **dict(enumerate(clips.classes))}
    table = rows[["id", "split", "video", "subject", "frames"]].rename(columns={"id": "clip"})
    table.insert(1, "class", rows["label"].map(names))
    table["joints missing (%)"] = (rows["missing"] * 100).round().astype(int)
    box = "max-height: 24em; overflow: auto; width: max-content; max-width: 100%"
    return HTML(f'<div style="{box}">{sortable(table).data}</div>')
