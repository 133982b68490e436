"""The input of a network: heatmaps of joints and limbs, the clip aligned to one length, augmented samples."""

from collections.abc import Collection, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from .. import alignment, augmentation, layouts, streams
from ..clips import Clips
from ..layouts import Layout
from ..settings import PRESETS, Settings
from ..training.inputs import inputs_of
from .skeletons import fit, limb_lines, side_colour, skeleton

PAPER = PRESETS["paper"]


def heatmaps(
    keypoints: np.ndarray, layout: Layout, size: int = PAPER["heatmap_size"], count: int = 6
) -> np.ndarray:
    """Frames of a clip, (T, V, 3), as skeletons, joint maps, limb maps, and both maps overlaid: (4, count)
    Axes.

    The maps are cropped to the person and drawn as for a network. Each pixel shows the highest value of all
    joints or limbs; the network takes one map for each.

    Args:
        size: height and width of the maps, in pixels.
    """
    chosen = np.linspace(0, len(keypoints) - 1, count).round().astype(int)
    given = torch.tensor(keypoints)[None]
    pixels = augmentation.to_pixels(given, augmentation.crop_box(given), (size, size))[:, chosen]
    drawn = {"joint": streams.joint_heatmaps, "limb": streams.limb_heatmaps}
    maps = {stream: draw(pixels, layout, (size, size))[0].amax(0).numpy() for stream, draw in drawn.items()}
    figure, axes = plt.subplots(4, count, figsize=(8.3, 5.2), sharex=True, sharey=True, squeeze=False)
    for i, t in enumerate(chosen):
        axes[0, i].set_title(f"frame {t + 1}", fontsize=9)
        for row, stream in ((1, "joint"), (2, "limb")):
            axes[row, i].imshow(maps[stream][i], cmap="cividis", vmin=0, vmax=1)
        axes[3, i].imshow(np.maximum(maps["joint"][i], maps["limb"][i]), cmap="cividis", vmin=0, vmax=1)
        axes[3, i].add_collection(limb_lines(pixels[0, i].numpy(), layout, "white", 0.6))
        skeleton(pixels[0, i].numpy(), layout, axes[0, i])
    for ax, name in zip(
        axes[:, 0],
        ("skeleton", f"{len(layout.joints)} joints", f"{len(layout.limbs)} limbs", "overlaid"),
        strict=True,
    ):
        ax.set_ylabel(name, fontsize=9)
        ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[], frame_on=False)
    figure.colorbar(axes[1, 0].images[0], ax=axes[1:3], shrink=0.8, aspect=30, label="value of the map")
    return axes


def alignments(
    keypoints: np.ndarray, layout: Layout, length: int = PAPER["frames"], count: int = 6
) -> np.ndarray:
    """A clip, (T, V, 3), and its alignment to ``length`` frames by each method of ``alignment``, without
    randomness: (4, count + 1) Axes.

    Each row has frames evenly spaced over the clip, or over the aligned frames. The title of each is the
    number of its source frame. The last Axes of a row show the source frame of each aligned frame.
    """
    widths = [1] * count + [3.4]
    axes = plt.subplots(
        1 + len(alignment.METHODS), count + 1, figsize=(8.3, 6), width_ratios=widths, squeeze=False
    )[1]
    for row, method in enumerate(("clip", *alignment.METHODS)):
        taken, sources = keypoints, np.arange(len(keypoints), dtype=float)
        if method != "clip":
            taken, sources = aligned(keypoints, length, method)
        chosen = np.linspace(0, len(taken) - 1, count).round().astype(int)
        for ax, t in zip(axes[row], chosen, strict=False):
            _frame_of(ax, taken[t], float(sources[t]), keypoints, layout)
        axes[row, 0].set_ylabel(method, fontsize=9)
        _source_frames(axes[row, -1], sources, len(keypoints))
    axes[-1, -1].set_xlabel("source frame", fontsize=9)
    return axes


def aligned(keypoints: np.ndarray, length: int, method: str) -> tuple[np.ndarray, np.ndarray]:
    """A clip aligned to ``length`` frames without randomness, and the source frame of each: fractional
    between two frames, NaN if empty."""
    starts, frames = torch.tensor([0]), torch.tensor([len(keypoints)])
    taken = alignment.resample(torch.tensor(keypoints), starts, frames, length, method)[0].numpy()
    sources = alignment.source_frames(len(keypoints), length, method).numpy()
    return taken, np.where(sources >= 0, sources, np.nan)


def _frame_of(ax: Axes, frame: np.ndarray, source: float, keypoints: np.ndarray, layout: Layout) -> None:
    """One frame, on Axes with the limits of its clip; or a note that it is empty."""
    if np.isnan(source):
        ax.set(xticks=[], yticks=[], facecolor="#f0f0f0")
        ax.text(0.5, 0.5, "empty", transform=ax.transAxes, ha="center", va="center", fontsize=9)
        return
    skeleton(frame, layout, ax).set_title(f"{source + 1:.1f}".removesuffix(".0"), fontsize=9, pad=2)
    fit(ax, keypoints)


def _source_frames(ax: Axes, sources: np.ndarray, frames: int) -> None:
    """The source frame of each aligned frame. The frames of the clip before the first and after the last one
    are shaded."""
    first, last = np.nanmin(sources), np.nanmax(sources)
    empty = int(np.isnan(sources).sum())
    ax.scatter(sources + 1, np.arange(len(sources)) + 1, s=3, color="black")
    for left, right in ((0, first), (last, frames - 1)):
        ax.axvspan(left + 1, right + 1, color="#8c8c8c", alpha=0.35, linewidth=0)
    ax.set(xlim=(0.5, frames + 0.5), ylim=(len(sources) + 1, 0))
    ax.tick_params(labelsize=9)
    outside = f", {first + frames - 1 - last:.0f} outside" if last - first < frames - 1 else ""
    blank = f", {empty} empty" if empty else ""
    ax.set_title(f"{len(sources)} frames, from {first + 1:.0f} to {last + 1:.0f}{outside}{blank}", fontsize=9)
    ax.set_ylabel("aligned frame", fontsize=9)


def augmented(clips: Clips, row: int, settings: Settings, count: int = 8) -> np.ndarray:
    """The middle frame of a clip as the network takes it in ``count`` epochs of training: (2, (count + 1) //
    2) Axes.

    The maps of the subject's left are blue, of the right orange, of the middle grey, so mirrored samples can
    be recognised.
    """
    inputs = inputs_of(clips.where([row]), settings)
    channels = settings.architecture.channel_names(settings.stream, layouts.get(settings.layout))
    axes = plt.subplots(2, (count + 1) // 2, figsize=(8.3, 5.2), squeeze=False)[1]
    for epoch, ax in enumerate(axes.flat):
        maps = inputs.training(torch.tensor([0]), epoch)[0]
        ax.imshow(blended(maps[:, maps.shape[1] // 2].cpu().numpy(), channels))
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"epoch {epoch + 1}", fontsize=9)
    return axes


def blended(maps: np.ndarray, channels: Sequence[Collection[str]]) -> np.ndarray:
    """HeatmapStream of joints or limbs, (C, H, W), as one picture (H, W, 3) on white, each in the colour of its side.

    Args:
        channels: the joint, or the two joints of the limb, of each map.
    """
    ink = 1 - np.array([to_rgb(side_colour(joints)) for joints in channels])
    return 1 - np.clip(np.einsum("khw,kc->hwc", maps, ink), 0, 1)
