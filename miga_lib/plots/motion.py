"""The motion of a clip: the paths of its joints, the clip filtered and mirrored, and an animation."""

import base64
import html
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML
from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .. import atomic, augmentation
from ..layouts import Layout
from .shared import LEGEND, WIDTH, Look, new_axes
from .skeletons import SIDES, frames, limb_lines, set_limits, side_colour, skeleton

DEFAULT_JOINTS = ("nose", "right_wrist", "left_wrist", "right_index_4", "left_index_4")
WRITERS: dict[str, Any] = {".gif": PillowWriter, ".mp4": FFMpegWriter}


def trajectories(keypoints: np.ndarray, layout: Layout) -> np.ndarray:
    """The paths of ``DEFAULT_JOINTS``, or of the first five, over the middle frame of a clip, (T, V, 3), with
    a dot at the start, and their x and y over time: three Axes."""
    joints = [name for name in DEFAULT_JOINTS if name in layout.joints] or layout.joints[:5]
    axes = plt.subplot_mosaic([["path", "x"], ["path", "y"]], figsize=(WIDTH, 4.2), width_ratios=[1, 1.3])[1]
    path, over, below = (axes[name] for name in ("path", "x", "y"))
    path.add_collection(limb_lines(keypoints[len(keypoints) // 2], layout, "#d0d0d0"))
    dashes: dict[str, str] = {}
    time = np.arange(len(keypoints)) + 1
    for name in joints:
        part, v = name.removeprefix("left_").removeprefix("right_"), layout.joints.index(name)
        x, y = np.where(keypoints[:, v, 2:] > 0, keypoints[:, v, :2], np.nan).T
        dash = dashes.setdefault(part, ("-", "--", ":", "-.")[len(dashes) % 4])
        look: Look = {"color": side_colour([name]), "linestyle": dash}
        path.plot(x, y, linewidth=1.2, **look)
        start = np.flatnonzero(np.isfinite(x))[:1]
        path.scatter(x[start], y[start], color=look["color"], s=18, zorder=3)
        over.plot(time, x, label=name.replace("_", " "), **look)
        below.plot(time, y, **look)
    path.set(xlabel="x (px)", ylabel="y (px)", aspect="equal")
    path.invert_yaxis()
    over.set_ylabel("x (px)")
    below.set(ylabel="y (px)", xlabel="frame")
    below.invert_yaxis()
    over.sharex(below)
    over.tick_params(labelbottom=False)
    over.legend(**LEGEND, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    return np.array([path, over, below])


def mirrored(keypoints: np.ndarray, layout: Layout, width: int, count: int = 5) -> np.ndarray:
    """Frames of a clip, (T, V, 3), and of its mirror image in a video ``width`` px wide, whose right hand was
    the left hand: (2, count) Axes."""
    image = augmentation.flip(torch.tensor(keypoints)[None], layout, torch.tensor([True]), width)[0].numpy()
    axes = new_axes(4.4, 2, count, sharex="row", sharey=True)
    for row, clip, name in zip(axes, (keypoints, image), ("as filmed", "mirrored"), strict=True):
        frames(clip, layout, count, row)
        row[0].set_ylabel(name)
    labels = ("subject's left", "subject's right", "middle")
    lines = [
        Line2D([], [], color=colour, label=label)
        for label, colour in zip(labels, SIDES.values(), strict=True)
    ]
    axes[0, 0].figure.legend(handles=lines, **LEGEND, loc="outside lower center", ncols=3)
    return axes


def denoised(
    before: np.ndarray, after: np.ndarray, layout: Layout, clean: np.ndarray | None = None
) -> np.ndarray:
    """A clip, (T, V, 3), before and after filters: the frame that they changed most, and the two joints, each
    by the coordinate with the larger range: four Axes.

    A joint that was filled or removed counts as moved by 1 px. A dashed line is the true place, (T, V, 2).
    """
    present, left = before[..., 2] > 0, after[..., 2] > 0
    moved = np.linalg.norm(after[..., :2] - before[..., :2], axis=-1)
    change = np.where(present & left, moved, present != left)
    frame = int(change.sum(1).argmax())
    places: list[Any] = [["before", "after", "first"], ["before", "after", "second"]]
    axes = plt.subplot_mosaic(places, figsize=(WIDTH, 4.2), width_ratios=[1, 1, 1.6])[1]
    for name, keypoints in (("before", before), ("after", after)):
        skeleton(keypoints[frame], layout, axes[name]).set_title(f"{name}, frame {frame + 1}", fontsize=9)
        set_limits(axes[name], np.stack([before[frame], after[frame]]))
    time = np.arange(len(before)) + 1
    for name, v in zip(("first", "second"), change.sum(0).argsort()[::-1], strict=False):
        ax, joint, axis = axes[name], layout.joints[v], 0
        if left[:, v].any():
            axis = int(np.ptp(after[left[:, v], v, :2], axis=0).argmax())
        dots = np.where(present[:, v], before[:, v, axis], np.nan)
        line = np.where(left[:, v], after[:, v, axis], np.nan)
        ax.plot(time, dots, ".", color="#a0a0a0", label="before")
        ax.plot(time, line, color=side_colour([joint]), linewidth=1.2, label="after")
        if clean is not None:
            ax.plot(time, clean[:, v, axis], "--", color="black", linewidth=0.8, label="true")
        ax.set(ylabel=f"{'xy'[axis]} (px)", title=joint.replace("_", " "))
    axes["second"].set_xlabel("frame")
    axes["first"].legend(**LEGEND, ncols=3)
    return np.array([axes[name] for name in ("before", "after", "first", "second")])


def animate(shown: Mapping[str, np.ndarray], layout: Layout, path: str | Path, rate: int = 25) -> Path:
    """Write an animation of one clip, or of several side by side; one that ends early stays at its end.

    Args:
        shown: clips (T, V, 3) by their titles.
        path: of a ``.gif``, or of a ``.mp4`` if ffmpeg is installed.
        rate: frames per second.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise ValueError(f"{path}: an animation must be a .gif or .mp4 file, got {path.suffix!r}")
    if path.suffix == ".mp4" and not shutil.which("ffmpeg"):
        raise ValueError(f"{path}: writing .mp4 needs ffmpeg, which is not installed; choose .gif")
    if not shown or not all(len(clip) for clip in shown.values()):
        raise ValueError("an animation needs at least one clip, and each clip at least one frame")
    # To compute the layout again for each frame would take most of the time.
    figure = Figure(figsize=(3 * len(shown), 3.2), layout="none")  # type: ignore[arg-type]  # not in stubs
    figure.subplots_adjust(left=0, right=1, bottom=0, top=0.86)
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for ax, clip in zip(axes, shown.values(), strict=True):
        set_limits(ax, clip)
    writer = WRITERS[path.suffix](fps=rate)
    with atomic.file(path) as unfinished, writer.saving(figure, str(unfinished), dpi=72):
        for t in range(max(map(len, shown.values()))):
            for ax, (title, clip) in zip(axes, shown.items(), strict=True):
                frame = min(t, len(clip) - 1)
                for artist in list(ax.collections):
                    artist.remove()
                title = f"{title}\n{frame + 1} of {len(clip)}"
                skeleton(clip[frame], layout, ax).set_title(title, fontsize=9)
            writer.grab_frame()
    return path


def film(path: str | Path) -> HTML:
    """An animation of ``animate``, shown in the notebook and in pages exported from it."""
    path = Path(path)
    content = base64.b64encode(path.read_bytes()).decode()
    opening, ending = f'<img src="data:image/gif;base64,{content}" alt="{html.escape(path.stem)}"', ""
    if path.suffix == ".mp4":
        opening, ending = f'<video controls loop src="data:video/mp4;base64,{content}"', "</video>"
    return HTML(f'{opening} style="max-width: 100%">{ending}')
