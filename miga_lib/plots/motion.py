"""A clip in motion: the paths of its joints, the clip beside its mirror image, and a film of it."""

import base64
import html
import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML
from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .. import augmentation
from ..layouts import Layout
from .skeletons import SIDES, fit, frames, limb_lines, sides, skeleton

MOVERS = ("nose", "right_wrist", "left_wrist", "right_index_4", "left_index_4")


def trajectories(keypoints: np.ndarray, layout: Layout, joints: Sequence[str] = ()) -> np.ndarray:
    """The paths of some joints of a clip, (T, V, 3), over its middle frame, and their x and y in time: an array of three Axes.

    A line has a gap where the joint is missing; a dot marks where its path begins.

    Args:
        joints: by name; by default nose, wrists and tips of the index fingers, or the first five where the layout has none of them.

    Raises:
        ValueError: a name that is no joint of the layout.
    """
    joints = list(joints) or [name for name in MOVERS if name in layout.joints] or list(layout.joints[:5])
    if unknown := [name for name in joints if name not in layout.joints]:
        raise ValueError(f"layout {layout.name!r} has no joint {unknown[0]!r}; it has {', '.join(layout.joints)}")
    axes = plt.subplot_mosaic([["path", "x"], ["path", "y"]], figsize=(10, 4.2), width_ratios=[1, 1.3])[1]
    axes["path"].add_collection(limb_lines(keypoints[len(keypoints) // 2], layout, "#d0d0d0"))
    parts = list(dict.fromkeys(name.removeprefix("left_").removeprefix("right_") for name in joints))
    dashes = dict(zip(parts, itertools.cycle(["-", "--", ":", "-."])))
    time = np.arange(len(keypoints)) + 1
    for name in joints:
        v = layout.joints.index(name)
        x, y = np.where(keypoints[:, v, 2:] > 0, keypoints[:, v, :2], np.nan).T
        look = {"color": sides(layout)[v], "linestyle": dashes[name.removeprefix("left_").removeprefix("right_")]}
        axes["path"].plot(x, y, linewidth=1.2, **look)
        axes["path"].scatter(x[np.isfinite(x)][:1], y[np.isfinite(x)][:1], color=look["color"], s=18, zorder=3)
        axes["x"].plot(time, x, label=name.replace("_", " "), **look)
        axes["y"].plot(time, y, **look)
    axes["path"].set(xlabel="x (px)", ylabel="y (px)", aspect="equal")
    axes["path"].invert_yaxis()
    axes["x"].set(ylabel="x (px)")
    axes["y"].set(ylabel="y (px)", xlabel="frame")
    axes["y"].invert_yaxis()
    axes["x"].sharex(axes["y"])
    axes["x"].tick_params(labelbottom=False)
    axes["x"].legend(frameon=False, fontsize=7, ncols=len(joints), loc="lower center", bbox_to_anchor=(0.5, 1))
    return np.array([axes[name] for name in ("path", "x", "y")])


def mirrored(keypoints: np.ndarray, layout: Layout, width: int, count: int = 5) -> np.ndarray:
    """Frames of a clip, (T, V, 3), above those of its mirror image in a video ``width`` px wide, left and right coloured: (2, count) Axes.

    In both rows blue is the subject's left, as the joints are named: what was the left hand is the right one in the mirror.
    """
    image = augmentation.flip(torch.tensor(keypoints)[None], layout, torch.tensor([True]), width)[0].numpy()
    figure, axes = plt.subplots(2, count, figsize=(10, 4.4), sharex="row", sharey=True)
    for row, shown, name in ((0, keypoints, "as filmed"), (1, image, "mirrored")):
        frames(shown, layout, count, axes[row])
        axes[row, 0].set_ylabel(name)
    lines = [Line2D([], [], color=colour, label=f"subject's {side}" if side != "middle" else side) for side, colour in SIDES.items()]
    figure.legend(handles=lines, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return axes


def animate(shown: Mapping[str, np.ndarray], layout: Layout, path: str | Path, rate: int = 25) -> Path:
    """Write a film of one clip or several side by side; a clip that ends before the others stands still.

    Args:
        shown: clips (T, V, 3) by the titles that they get.
        path: of a ``.gif``, or of a ``.mp4`` where ffmpeg is installed; it appears under its name once it is whole.
        rate: frames a second.

    Raises:
        ValueError: another ending, no ffmpeg for a ``.mp4``, or no clip with frames.
    """
    path = Path(path)
    if path.suffix not in (".gif", ".mp4"):
        raise ValueError(f"{path}: a film ends in .gif or .mp4, got {path.suffix!r}")
    if path.suffix == ".mp4" and not shutil.which("ffmpeg"):
        raise ValueError(f"{path}: writing .mp4 needs ffmpeg, which is not installed; choose .gif")
    if not shown or not all(len(clip) for clip in shown.values()):
        raise ValueError("a film needs one clip or more, each with a frame at least")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".unfinished-{path.name}")
    # A layout that is worked out anew for each frame would take most of the time.
    figure = Figure(figsize=(3 * len(shown), 3.2), layout="none")
    axes = figure.subplots(1, len(shown), squeeze=False, gridspec_kw={"left": 0, "right": 1, "bottom": 0, "top": 0.86})[0]
    for ax, clip in zip(axes, shown.values(), strict=True):
        fit(ax, clip)
    writer = (PillowWriter if path.suffix == ".gif" else FFMpegWriter)(fps=rate)
    with writer.saving(figure, str(unfinished), dpi=72):
        for t in range(max(map(len, shown.values()))):
            for ax, (title, clip) in zip(axes, shown.items(), strict=True):
                moment = min(t, len(clip) - 1)
                for artist in list(ax.collections):
                    artist.remove()
                skeleton(clip[moment], layout, ax).set_title(f"{title}\n{moment + 1} of {len(clip)}", fontsize=9)
            writer.grab_frame()
    os.replace(unfinished, path)
    return path


def film(path: str | Path) -> HTML:
    """A film of ``animate`` inside the notebook, and in pages that are made of it."""
    path = Path(path)
    content = base64.b64encode(path.read_bytes()).decode()
    if path.suffix == ".mp4":
        return HTML(f'<video controls loop src="data:video/mp4;base64,{content}" style="max-width: 100%"></video>')
    return HTML(f'<img src="data:image/gif;base64,{content}" alt="{html.escape(path.stem)}" style="max-width: 100%">')
