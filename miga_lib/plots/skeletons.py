"""Skeletons: one frame, in one layout or in several with names of joints; and some frames of a clip."""

import re
from collections.abc import Collection, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from .. import layouts
from ..layouts import Layout

SIDES = {"left": "#0072b2", "right": "#d55e00", "middle": "#595959"}
"""Colours of the subject's left, right and middle, distinct with any colour vision (Okabe and Ito's
palette)."""
MAX_SINGLE_LABELS = 60
"""In a layout with more joints, the joints of one finger or one line of the face share a label."""
LABELLED_PARTS = {"body": (), "head": ("head", "jaw", "brows", "lips"), "right hand": ("right_hand",)}
"""The rows of a figure with names of joints, and the regions in each close-up. The left hand has none: it is
the mirrored right one."""


def side_colour(joints: Collection[str]) -> str:
    """The colour of a joint, or of a limb by its two joints: of the side of the subject's body, the middle
    for both sides or none."""
    side = {joint.partition("_")[0] for joint in joints} & {"left", "right"}
    return SIDES[side.pop() if len(side) == 1 else "middle"]


def sides(layout: Layout) -> list[str]:
    """The colour of each joint."""
    return [side_colour([joint]) for joint in layout.joints]


def limb_lines(keypoints: np.ndarray, layout: Layout, colour: str = "", width: float = 1.2) -> LineCollection:
    """The limbs of one frame, (V, 3), whose two joints were found, in one colour or the colours of their
    sides."""
    present = keypoints[:, 2] > 0
    limbs = [limb for limb in layout.limbs if present[list(limb)].all()]
    lines = [keypoints[list(limb), :2] for limb in limbs]
    return LineCollection(
        lines,
        colors=[colour or side_colour([layout.joints[v] for v in limb]) for limb in limbs],
        linewidths=width,
        zorder=1,
    )


def skeleton(keypoints: np.ndarray, layout: Layout, ax: Axes | None = None, names: bool = False) -> Axes:
    """One frame, (V, 3): joints as dots, fainter for lower scores, limbs as lines. Missing joints are not
    drawn.

    Args:
        names: write the name of each joint next to it.
    """
    ax = ax or plt.gca()
    present, colours = keypoints[:, 2] > 0, np.array(sides(layout))
    ax.add_collection(limb_lines(keypoints, layout))
    if present.any():
        strength = np.clip(keypoints[present, 2], 0.15, 1)
        ax.scatter(
            keypoints[present, 0], keypoints[present, 1], s=9, c=colours[present], alpha=strength, zorder=2
        )
    if names:
        for v in np.flatnonzero(present):
            x, y = keypoints[v, :2]
            ax.annotate(
                layout.joints[v].replace("_", " "),
                (x, y),
                fontsize=9,
                xytext=(2, 2),
                textcoords="offset points",
            )
    ax.set_aspect("equal")
    if not ax.yaxis_inverted():
        ax.invert_yaxis()
    return ax


def frames(
    keypoints: np.ndarray, layout: Layout, count: int = 6, axes: Sequence[Axes] | np.ndarray | None = None
) -> np.ndarray:
    """``count`` frames of a clip, (T, V, 3), side by side on the same scale: an array of Axes.

    They are evenly spaced over the frames in which a joint was found; of a clip without any, over all.
    """
    found = np.flatnonzero((keypoints[..., 2] > 0).any(1))
    found = found if len(found) else np.arange(len(keypoints))
    chosen = found[np.unique(np.linspace(0, len(found) - 1, count).round().astype(int))]
    if axes is None:
        axes = plt.subplots(1, count, figsize=(min(1.9 * count, 8.3), 2.3), sharex=True, sharey=True)[1]
    for ax, t in zip(axes, chosen, strict=False):
        skeleton(keypoints[t], layout, ax).set_title(f"frame {t + 1}", fontsize=9)
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.set_frame_on(False)
    return np.asarray(axes)


def fit(ax: Axes, keypoints: np.ndarray, margin: float = 20) -> None:
    """Remove the ticks and frame of Axes, and set limits that include all joints of a clip, (T, V, 3), and a
    margin in px."""
    places = keypoints[keypoints[..., 2] > 0][:, :2]
    if len(places):
        (left, top), (right, bottom) = places.min(0) - margin, places.max(0) + margin
        ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.set(xticks=[], yticks=[], frame_on=False)


def layout_skeletons(
    keypoints: np.ndarray, source: Layout, names: Sequence[str], labelled: bool = True
) -> np.ndarray:
    """One frame, (V of source, 3), in several layouts: an array of Axes, a column for each layout.

    Args:
        names: layouts whose joints ``source`` has.
        labelled: write the names of the joints, in a row each for the body, the head and the right hand.

    Raises:
        ValueError: an unknown layout, or one with joints that ``source`` lacks.
    """
    wanted = [
        source if name == source.name else layouts.get(name) for name in names
    ]  # that of a file has no known name
    parts = list(LABELLED_PARTS) if labelled else ["body"]
    count = len(parts) * len(wanted)
    across = 2 if labelled else min(5, count)  # so that names at both sides, and titles, have room
    down = -(-count // across)
    grid = plt.subplots(down, across, figsize=(8.3, (3 if labelled else 2.3) * down), squeeze=False)[1].flat
    for ax in grid[count:]:
        ax.remove()
    axes = np.reshape(grid[:count], (len(wanted), len(parts))).T
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[], frame_on=False)
    for column, layout in zip(axes.T, wanted, strict=True):
        own = keypoints[layouts.selection(source, layout)]
        found = np.flatnonzero(own[:, 2] > 0).tolist()
        column[0].set_title(
            f"{layout.name}\n{len(found)} of {len(own)} joints\n{len(layout.limbs)} limbs", fontsize=9
        )
        for ax, part in zip(column, parts, strict=True):
            if part != "body":
                ax.set_title(f"{layout.name}: {part}", fontsize=9)
            members = [v for v in found if _part(layout, v) == part]
            near = found if part == "body" else members  # the limbs of a close-up end at the joints beside it
            if members:
                ends = [v for limb in layout.limbs if set(limb) & set(near) for v in limb]
                drawn = own.copy()
                drawn[np.setdiff1d(np.arange(len(own)), near + ends), 2] = 0
                skeleton(drawn, layout, ax)
            if members and labelled:
                _close_up(ax, own[near, :2])
                _label_joints(ax, own, layout, members)
    return axes


def _part(layout: Layout, joint: int) -> str:
    """The key of ``LABELLED_PARTS`` under which a joint is labelled; empty if there is none."""
    region = next((name for name, members in layout.regions.items() if joint in members), "")
    return next(
        (part for part, regions in LABELLED_PARTS.items() if region in regions),
        "" if region == "left_hand" else "body",
    )


def _close_up(ax: Axes, places: np.ndarray) -> None:
    """Set limits that leave room for labels on both sides of these places, (n, 2)."""
    low, high = places.min(0), places.max(0)
    x, y = (low + high) / 2
    half = max(*(high - low), 1) / 2
    ax.set(xlim=(x - 2.45 * half, x + 2.45 * half), ylim=(y + 1.4 * half, y - 1.4 * half))


def _label_joints(ax: Axes, keypoints: np.ndarray, layout: Layout, members: Sequence[int]) -> None:
    """Write the names of joints in two columns at the sides, each connected to its joint by a thin line."""
    groups: dict[str, list[int]] = {}
    for v in members:
        name = layout.joints[v]
        groups.setdefault(
            re.sub(r"_\d+$|(?<=_eye)_.*$", "", name) if len(layout.joints) > MAX_SINGLE_LABELS else name, []
        ).append(v)
    places = {name: keypoints[group, :2].mean(0) for name, group in groups.items()}
    by_x = sorted(places, key=lambda name: places[name][0])
    half = (len(by_x) + 1) // 2
    for names, side, align in ((by_x[:half], 0.0, "left"), (by_x[half:], 1.0, "right")):
        for i, name in enumerate(sorted(names, key=lambda name: places[name][1])):
            label = ax.annotate(
                name.replace("_", " ") + (f" 1–{len(groups[name])}" if len(groups[name]) > 1 else ""),
                places[name],
                xytext=(side, 1 - (i + 0.5) / len(names)),
                textcoords="axes fraction",
                fontsize=9,
                ha=align,
                va="center",
                color=sides(layout)[groups[name][0]],
                arrowprops={
                    "arrowstyle": "-",
                    "color": "#c0c0c0",
                    "linewidth": 0.5,
                    "shrinkA": 0,
                    "shrinkB": 1,
                },
            )
            label.set_in_layout(False)  # to measure a hundred labels takes longer than to draw them
