"""The motion of a clip: the paths of its joints, the clip and its mirror image, and an animation."""

import base64
import html
import itertools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML
from jaxtyping import Float
from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .. import atomic, augmentation
from ..layouts import Layout
from .evaluation import LINES, RUN_COLOURS
from .results import short
from .skeletons import SIDES, fit, frames, limb_lines, sides, skeleton

DEFAULT_JOINTS = ("nose", "right_wrist", "left_wrist", "right_index_4", "left_index_4")


def trajectories(keypoints: np.ndarray, layout: Layout, joints: Sequence[str] = ()) -> np.ndarray:
    """The paths of some joints of a clip, (T, V, 3), over its middle frame, and their x and y over time: an
    array of three Axes.

    A line has a gap where the joint is missing. A dot marks the start of a path.

    Args:
        joints: by name. By default nose, wrists and tips of the index fingers, or the first five joints if
            the layout has none of them.

    Raises:
        ValueError: a name that is not a joint of the layout.
    """
    joints = (
        list(joints) or [name for name in DEFAULT_JOINTS if name in layout.joints] or list(layout.joints[:5])
    )
    if unknown := [name for name in joints if name not in layout.joints]:
        raise ValueError(
            f"layout {layout.name!r} has no joint {unknown[0]!r}; it has {', '.join(layout.joints)}"
        )
    axes = plt.subplot_mosaic([["path", "x"], ["path", "y"]], figsize=(8.3, 4.2), width_ratios=[1, 1.3])[1]
    axes["path"].add_collection(limb_lines(keypoints[len(keypoints) // 2], layout, "#d0d0d0"))
    parts = list(dict.fromkeys(name.removeprefix("left_").removeprefix("right_") for name in joints))
    dashes = dict(zip(parts, itertools.cycle(["-", "--", ":", "-."])))
    time = np.arange(len(keypoints)) + 1
    for name in joints:
        v = layout.joints.index(name)
        x, y = np.where(keypoints[:, v, 2:] > 0, keypoints[:, v, :2], np.nan).T
        look: dict[str, Any] = {
            "color": sides(layout)[v],
            "linestyle": dashes[name.removeprefix("left_").removeprefix("right_")],
        }
        axes["path"].plot(x, y, linewidth=1.2, **look)
        axes["path"].scatter(
            x[np.isfinite(x)][:1], y[np.isfinite(x)][:1], color=look["color"], s=18, zorder=3
        )
        axes["x"].plot(time, x, label=name.replace("_", " "), **look)
        axes["y"].plot(time, y, **look)
    axes["path"].set(xlabel="x (px)", ylabel="y (px)", aspect="equal")
    axes["path"].invert_yaxis()
    axes["x"].set(ylabel="x (px)")
    axes["y"].set(ylabel="y (px)", xlabel="frame")
    axes["y"].invert_yaxis()
    axes["x"].sharex(axes["y"])
    axes["x"].tick_params(labelbottom=False)
    axes["x"].legend(frameon=False, fontsize=9, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    return np.array([axes[name] for name in ("path", "x", "y")])


def mirrored(keypoints: np.ndarray, layout: Layout, width: int, count: int = 5) -> np.ndarray:
    """Frames of a clip, (T, V, 3), and of its mirror image in a video ``width`` px wide: (2, count) Axes.

    In both rows blue is the subject's left, by the names of the joints: the left hand becomes the right hand
    of the mirror image.
    """
    image = augmentation.flip(torch.tensor(keypoints)[None], layout, torch.tensor([True]), width)[0].numpy()
    figure, axes = plt.subplots(2, count, figsize=(8.3, 4.4), sharex="row", sharey=True)
    for row, shown, name in ((0, keypoints, "as filmed"), (1, image, "mirrored")):
        frames(shown, layout, count, axes[row])
        axes[row, 0].set_ylabel(name)
    lines = [
        Line2D([], [], color=colour, label=f"subject's {side}" if side != "middle" else side)
        for side, colour in SIDES.items()
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return axes


def denoised(
    before: np.ndarray, after: np.ndarray, layout: Layout, clean: np.ndarray | None = None
) -> np.ndarray:
    """A clip, (T, V, 3), before and after filters: the frame that they changed most, and the two joints. An
    array of four Axes.

    Of each of the two joints the coordinate with the larger range is drawn over time: dots before, a line
    after. A joint that was filled or removed counts as moved by 1 px.

    Args:
        clean: the true places, (T, V, 2), drawn as a dashed line.
    """
    there, kept = before[..., 2] > 0, after[..., 2] > 0
    change = np.where(there & kept, np.linalg.norm(after[..., :2] - before[..., :2], axis=-1), there != kept)
    most = int(change.sum(1).argmax())
    places: list[Any] = [["before", "after", "first"], ["before", "after", "second"]]
    _, axes = plt.subplot_mosaic(places, figsize=(8.3, 4.2), width_ratios=[1, 1, 1.6])
    for name, keypoints in (("before", before), ("after", after)):
        skeleton(keypoints[most], layout, axes[name]).set_title(f"{name}, frame {most + 1}", fontsize=9)
        fit(axes[name], np.stack([before[most], after[most]]))
    time = np.arange(len(before)) + 1
    for name, v in zip(("first", "second"), change.sum(0).argsort()[::-1], strict=False):
        seen = after[kept[:, v], v, :2]
        axis = int(np.ptp(seen, axis=0).argmax()) if len(seen) else 0
        lines = {
            "before": np.where(there[:, v], before[:, v, axis], np.nan),
            "after": np.where(kept[:, v], after[:, v, axis], np.nan),
        }
        axes[name].plot(time, lines["before"], ".", color="#a0a0a0", label="before")
        axes[name].plot(time, lines["after"], color=sides(layout)[v], linewidth=1.2, label="after")
        if clean is not None:
            axes[name].plot(
                time, clean[:, v, axis], color="black", linewidth=0.8, linestyle="--", label="true"
            )
        axes[name].set(ylabel=f"{'xy'[axis]} (px)", title=layout.joints[v].replace("_", " "))
    axes["second"].set_xlabel("frame")
    axes["first"].legend(frameon=False, fontsize=9, ncols=3)
    return np.array([axes[name] for name in ("before", "after", "first", "second")])


def filter_effects(gained: pd.DataFrame, kept: pd.DataFrame) -> np.ndarray:
    """The two tables of ``noise.effects``, a line for each row: errors by score, and the motion that is left.
    An array of two Axes."""
    figure, axes = plt.subplots(1, 2, figsize=(8.3, 3.4))
    for (name, of_score), line in zip(gained.iterrows(), itertools.cycle(LINES), strict=False):
        look: dict[str, Any] = {**line, "markersize": 4, "linewidth": 1.2}
        axes[0].plot(
            [f"to {part.right:g}" if part.right < 1 else "above" for part in gained],
            of_score,
            label=name,
            **look,
        )
        axes[1].plot([band.removesuffix(" Hz") for band in kept], 100 * kept.loc[name], **look)
    axes[0].set(xlabel="score of the detector", ylabel="mean error (px)", ylim=(0, None))
    axes[1].set(xlabel="frequency (Hz)", ylabel="motion that is left (%)")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return axes


def animate(shown: Mapping[str, np.ndarray], layout: Layout, path: str | Path, rate: int = 25) -> Path:
    """Write an animation of one clip, or of several side by side. A clip that ends before the others stays at
    its last frame.

    Args:
        shown: clips (T, V, 3) by their titles.
        path: of a ``.gif``, or of a ``.mp4`` if ffmpeg is installed. The file appears under its name only
            when it is complete.
        rate: frames per second.

    Raises:
        ValueError: another file type, no ffmpeg for a ``.mp4``, or a clip without frames.
    """
    path = Path(path)
    if path.suffix not in (".gif", ".mp4"):
        raise ValueError(f"{path}: an animation must be a .gif or .mp4 file, got {path.suffix!r}")
    if path.suffix == ".mp4" and not shutil.which("ffmpeg"):
        raise ValueError(f"{path}: writing .mp4 needs ffmpeg, which is not installed; choose .gif")
    if not shown or not all(len(clip) for clip in shown.values()):
        raise ValueError("an animation needs at least one clip, and each clip at least one frame")
    # To compute the layout again for each frame would take most of the time.
    figure = Figure(figsize=(3 * len(shown), 3.2), layout="none")  # type: ignore[arg-type]  # left out of matplotlib's annotations
    axes = figure.subplots(
        1, len(shown), squeeze=False, gridspec_kw={"left": 0, "right": 1, "bottom": 0, "top": 0.86}
    )[0]
    for ax, clip in zip(axes, shown.values(), strict=True):
        fit(ax, clip)
    writer = (PillowWriter if path.suffix == ".gif" else FFMpegWriter)(fps=rate)
    with atomic.file(path) as unfinished, writer.saving(figure, str(unfinished), dpi=72):
        for t in range(max(map(len, shown.values()))):
            for ax, (title, clip) in zip(axes, shown.items(), strict=True):
                moment = min(t, len(clip) - 1)
                for artist in list(ax.collections):
                    artist.remove()
                skeleton(clip[moment], layout, ax).set_title(
                    f"{title}\n{moment + 1} of {len(clip)}", fontsize=9
                )
            writer.grab_frame()
    return path


def film(path: str | Path) -> HTML:
    """An animation of ``animate``, shown in the notebook and in pages exported from it."""
    path = Path(path)
    content = base64.b64encode(path.read_bytes()).decode()
    if path.suffix == ".mp4":
        return HTML(
            f'<video controls loop src="data:video/mp4;base64,{content}" style="max-width: 100%"></video>'
        )
    return HTML(
        f'<img src="data:image/gif;base64,{content}" alt="{html.escape(path.stem)}" style="max-width: 100%">'
    )


def over_time(
    probabilities: Float[np.ndarray, "T K"],
    classes: Sequence[str],
    fps: float,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """The probabilities of the classes in each frame of a recording: a line for each of the six that reach
    the highest ones.

    A line has a gap where nothing was recognised (all probabilities are 0).
    """
    ax = plt.subplots(figsize=(8.3, 2.8))[1] if ax is None else ax
    shown = np.where(probabilities.any(1, keepdims=True), probabilities, np.nan)
    highest = (-probabilities.max(0)).argsort(kind="stable")[:6]
    for rank, (k, colour) in enumerate(zip(highest, itertools.cycle(RUN_COLOURS), strict=False)):
        dashes = "-" if rank < 3 else "--"
        ax.plot(
            np.arange(len(shown)) / fps,
            100 * shown[:, k],
            dashes,
            color=colour,
            linewidth=1.2,
            label=short(classes[k]),
        )
    ax.set(
        xlabel="time (s)",
        ylabel="probability (%)",
        ylim=(0, 100),
        xlim=(0, len(shown) / fps),
        title=short(title),
    )
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
