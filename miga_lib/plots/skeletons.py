"""Skeletons: one frame, some frames of a clip."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from ..layouts import Layout

SIDES = {"left": "#0072b2", "right": "#d55e00", "middle": "#595959"}
"""Colours of the subject's left, right and middle, told apart with any kind of colour vision (Okabe and Ito's palette)."""


def sides(layout: Layout) -> list[str]:
    """The colour of each joint: by the side of the subject it belongs to."""
    named = (joint.partition("_")[0] for joint in layout.joints)
    return [SIDES.get(side, SIDES["middle"]) for side in named]


def skeleton(keypoints: np.ndarray, layout: Layout, ax: Axes | None = None, names: bool = False) -> Axes:
    """One frame, (V, 3): joints as dots, fainter with a lower score, limbs as lines; missing joints are not drawn.

    Args:
        names: write the joints' names beside them.
    """
    ax = ax or plt.gca()
    present, colours = keypoints[:, 2] > 0, np.array(sides(layout))
    limbs = [limb for limb in layout.limbs if present[list(limb)].all()]
    ax.add_collection(LineCollection([keypoints[list(limb), :2] for limb in limbs], colors=[colours[b] for _, b in limbs], linewidths=1.2))
    strength = np.clip(keypoints[present, 2], 0.15, 1)
    ax.scatter(*keypoints[present, :2].T, s=9, c=colours[present], alpha=strength, zorder=2)
    if names:
        for v in np.flatnonzero(present):
            ax.annotate(layout.joints[v].replace("_", " "), keypoints[v, :2], fontsize=5, xytext=(2, 2), textcoords="offset points")
    ax.set_aspect("equal")
    if not ax.yaxis_inverted():
        ax.invert_yaxis()
    return ax


def frames(keypoints: np.ndarray, layout: Layout, count: int = 6, axes: Sequence[Axes] | None = None) -> np.ndarray:
    """Some frames of a clip, (T, V, 3), evenly spread from first to last, side by side on one scale: an array of Axes."""
    chosen = np.unique(np.linspace(0, len(keypoints) - 1, count).round().astype(int))
    if axes is None:
        axes = plt.subplots(1, count, figsize=(1.9 * count, 2.3), sharex=True, sharey=True)[1]
    for ax, t in zip(axes, chosen, strict=False):
        skeleton(keypoints[t], layout, ax).set_title(f"frame {t}", fontsize=8)
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.set_frame_on(False)
    return np.asarray(axes)
