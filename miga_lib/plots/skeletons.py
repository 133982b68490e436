"""Skeletons: one frame, in one layout or in several with names of joints; and some frames of a clip."""

import re
from collections.abc import Collection, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from .. import layouts
from ..layouts import Layout
from .shared import BARE, WIDTH, Look, evenly, new_axes

SIDES = {"left": "#0072b2", "right": "#d55e00", "middle": "#595959"}
"""Colours of the subject's left, right and middle, distinct with any colour vision (Okabe and Ito)."""
MAX_SINGLE_LABELS = 60
"""In a layout with more joints, the joints of one finger or one line of the face share a label."""
LABELLED_PARTS = {"body": (), "head": ("head", "jaw", "brows", "lips"), "right hand": ("right_hand",)}
"""The rows of a figure with names of joints, and the regions in each close-up; the left hand has none."""


def side_colour(joints: Collection[str]) -> str:
    """The colour of a joint, or of a limb by its two joints: the middle's for both sides or none."""
    side = {joint.partition("_")[0] for joint in joints} & {"left", "right"}
    return SIDES[side.pop() if len(side) == 1 else "middle"]


def sides(layout: Layout) -> list[str]:
    """The colour of each joint."""
    return [side_colour([joint]) for joint in layout.joints]


def limb_lines(keypoints: np.ndarray, layout: Layout, colour: str = "", width: float = 1.2) -> LineCollection:
    """The limbs of one frame, (V, 3), that are not missing, in one colour or the colours of their sides."""
    limbs = [limb for limb in layout.limbs if (keypoints[list(limb), 2] > 0).all()]
    lines = [keypoints[list(limb), :2] for limb in limbs]
    colours = [colour or side_colour([layout.joints[v] for v in limb]) for limb in limbs]
    return LineCollection(lines, colors=colours, linewidths=width, zorder=1)


def skeleton(keypoints: np.ndarray, layout: Layout, ax: Axes) -> Axes:
    """One frame, (V, 3): joints as dots, fainter for lower scores, limbs as lines; no missing joints."""
    present, colours = keypoints[:, 2] > 0, np.array(sides(layout))
    ax.add_collection(limb_lines(keypoints, layout))
    if present.any():
        x, y, scores = keypoints[present].T
        ax.scatter(x, y, s=9, c=colours[present], alpha=np.clip(scores, 0.15, 1), zorder=2)
    ax.set_aspect("equal")
    if not ax.yaxis_inverted():
        ax.invert_yaxis()
    return ax


def frames(
    keypoints: np.ndarray, layout: Layout, count: int = 6, axes: Sequence[Axes] | np.ndarray | None = None
) -> np.ndarray:
    """``count`` frames of a clip, (T, V, 3), side by side on the same scale: an array of Axes. They are
    evenly spaced over the frames in which a joint was found; of a clip without any, over all."""
    filled = np.flatnonzero((keypoints[..., 2] > 0).any(1))
    if not len(filled):
        filled = np.arange(len(keypoints))
    if axes is None:
        axes = plt.subplots(1, count, figsize=(min(1.9 * count, WIDTH), 2.3), sharex=True, sharey=True)[1]
    for ax, t in zip(axes, filled[np.unique(evenly(len(filled), count))], strict=False):
        skeleton(keypoints[t], layout, ax).set_title(f"frame {t + 1}", fontsize=9)
    for ax in axes:
        ax.set(**BARE)
    return np.asarray(axes)


def set_limits(ax: Axes, keypoints: np.ndarray) -> None:
    """Bare Axes with limits that include all joints of a clip, (T, V, 3), and a margin of 20 px."""
    places = keypoints[keypoints[..., 2] > 0][:, :2]
    if len(places):
        (left, top), (right, bottom) = places.min(0) - 20, places.max(0) + 20
        ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.set(**BARE)


def layout_skeletons(
    keypoints: np.ndarray, source: Layout, names: Sequence[str], labelled: bool = True
) -> np.ndarray:
    """One frame, (V of source, 3), in several layouts, a column of Axes each: the body; and if labelled, with
    names of joints, close-ups of the head and the right hand."""
    own = {source.name: source}  # that of a file has no known name
    columns = [own.get(name) or layouts.get(name) for name in names]
    parts, across, height = list(LABELLED_PARTS), 2, 3.0  # two: names at both sides, and titles, have room
    if not labelled:
        parts, across, height = ["body"], min(5, len(columns)), 2.3
    count = len(parts) * len(columns)
    down = -(-count // across)
    grid = new_axes(height * down, down, across, squeeze=False).flat
    for ax in grid[count:]:
        ax.remove()
    axes = np.reshape(grid[:count], (len(columns), len(parts))).T
    for column, layout in zip(axes.T, columns, strict=True):
        frame = keypoints[layouts.selection(source, layout)]
        for ax, part in zip(column, parts, strict=True):
            ax.set(**BARE)
            ax.set_title(f"{layout.name}: {part}", fontsize=9)
            _draw_part(ax, frame, layout, part, labelled)
        joints = f"{np.sum(frame[:, 2] > 0)} of {len(frame)} joints"
        column[0].set_title(f"{layout.name}\n{joints}\n{len(layout.limbs)} limbs", fontsize=9)
    return axes


def _draw_part(ax: Axes, frame: np.ndarray, layout: Layout, part: str, labelled: bool) -> None:
    """Draw the body, or a close-up of one of its parts, with the names of the joints of this part."""
    present = np.flatnonzero(frame[:, 2] > 0).tolist()
    members = [v for v in present if _part(layout, v) == part]
    if not members:
        return
    near = present if part == "body" else members  # the limbs of a close-up end at the joints beside it
    ends = [v for limb in layout.limbs if set(limb) & set(near) for v in limb]
    drawn = frame.copy()
    drawn[np.setdiff1d(np.arange(len(frame)), near + ends), 2] = 0
    skeleton(drawn, layout, ax)
    if labelled:
        low, high = frame[near, :2].min(0), frame[near, :2].max(0)
        (x, y), half = (low + high) / 2, max(*(high - low), 1) / 2
        # There is room for the labels on both sides.
        ax.set(xlim=(x - 2.45 * half, x + 2.45 * half), ylim=(y + 1.4 * half, y - 1.4 * half))
        _label_joints(ax, frame, layout, members)


def _part(layout: Layout, joint: int) -> str:
    """The key of ``LABELLED_PARTS`` under which a joint is labelled; empty in the left hand."""
    region = next((name for name, members in layout.regions.items() if joint in members), "")
    for part, regions in LABELLED_PARTS.items():
        if region in regions:
            return part
    return "" if region == "left_hand" else "body"


def _label_joints(ax: Axes, keypoints: np.ndarray, layout: Layout, members: Sequence[int]) -> None:
    """Write the names of joints in two columns at the sides, each connected to its joint by a thin line."""
    groups: dict[str, list[int]] = {}
    for v in members:
        name = layout.joints[v]
        if len(layout.joints) > MAX_SINGLE_LABELS:
            name = re.sub(r"_\d+$|(?<=_eye)_.*$", "", name)
        groups.setdefault(name, []).append(v)
    places = {name: keypoints[group, :2].mean(0) for name, group in groups.items()}
    by_x = sorted(places, key=lambda name: places[name][0])
    half = (len(by_x) + 1) // 2
    line = {"arrowstyle": "-", "color": "#c0c0c0", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 1}
    for names, side, align in ((by_x[:half], 0.0, "left"), (by_x[half:], 1.0, "right")):
        look: Look = {"textcoords": "axes fraction", "fontsize": 9, "ha": align, "va": "center"}
        for i, name in enumerate(sorted(names, key=lambda name: places[name][1])):
            group, text = groups[name], name.replace("_", " ")
            if len(group) > 1:
                text += f" 1–{len(group)}"
            place, colour = (side, 1 - (i + 0.5) / len(names)), side_colour([name])
            label = ax.annotate(text, places[name], place, **look, color=colour, arrowprops=line)
            label.set_in_layout(False)  # to measure a hundred labels takes longer than to draw them
