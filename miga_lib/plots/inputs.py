"""The input of a network: heatmaps of joints and limbs, the clip aligned to one length, augmented samples."""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from .. import alignment, augmentation, layouts, streams
from ..clips import Clips
from ..layouts import Layout
from ..settings import PRESETS, Settings
from ..training.inputs import inputs_of
from .shared import BARE, evenly, new_axes
from .skeletons import limb_lines, set_limits, side_colour, skeleton

PAPER = PRESETS["paper"]


def heatmaps(
    keypoints: np.ndarray, layout: Layout, size: int = PAPER["heatmap_size"], count: int = 6
) -> np.ndarray:
    """Frames of a clip, (T, V, 3), as skeletons, joint maps, limb maps, both maps overlaid: (4, count) Axes.

    The maps, ``size`` px high and wide, are those of a network, cropped to the person. Each pixel shows the
    highest value of all joints or limbs; the network takes one map for each.
    """
    chosen, clip = evenly(len(keypoints), count), torch.tensor(keypoints)[None]
    pixels = augmentation.to_pixels(clip, augmentation.crop_box(clip), (size, size))[:, chosen]
    joints, limbs = (
        draw(pixels, layout, (size, size))[0].amax(0).numpy()
        for draw in (streams.joint_heatmaps, streams.limb_heatmaps)
    )
    axes = new_axes(5.2, 4, count, sharex=True, sharey=True, squeeze=False)
    for i, (t, frame) in enumerate(zip(chosen, pixels[0].numpy(), strict=True)):
        axes[0, i].set_title(f"frame {t + 1}", fontsize=9)
        for row, maps in enumerate((joints[i], limbs[i], np.maximum(joints[i], limbs[i])), start=1):
            axes[row, i].imshow(maps, cmap="cividis", vmin=0, vmax=1)
        axes[3, i].add_collection(limb_lines(frame, layout, "white", 0.6))
        skeleton(frame, layout, axes[0, i])
    names = ("skeleton", f"{len(layout.joints)} joints", f"{len(layout.limbs)} limbs", "overlaid")
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.set_ylabel(name, fontsize=9)
        ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
    for ax in axes.flat:
        ax.set(**BARE)
    axes[0, 0].figure.colorbar(
        axes[1, 0].images[0], ax=axes[1:3], shrink=0.8, aspect=30, label="value of the map"
    )
    return axes


def alignments(
    keypoints: np.ndarray, layout: Layout, length: int = PAPER["frames"], count: int = 6
) -> np.ndarray:
    """A clip, (T, V, 3), and its alignment to ``length`` frames by each of ``alignment.METHODS``, without
    randomness: (4, count + 1) Axes.

    Each row has evenly spaced frames with the number of their source frame. The last Axes of a row show the
    source frame of each aligned frame.
    """
    widths = [1] * count + [3.4]
    axes = new_axes(6, 1 + len(alignment.METHODS), count + 1, width_ratios=widths, squeeze=False)
    for row, method in zip(axes, ("clip", *alignment.METHODS), strict=True):
        taken, sources = keypoints, np.arange(len(keypoints), dtype=float)
        if method != "clip":
            taken, sources = aligned(keypoints, length, method)
        for ax, t in zip(row, evenly(len(taken), count), strict=False):
            if np.isnan(sources[t]):
                ax.set(xticks=[], yticks=[], facecolor="#f0f0f0")
                ax.text(0.5, 0.5, "empty", transform=ax.transAxes, ha="center", va="center", fontsize=9)
            else:
                title = f"{sources[t] + 1:.1f}".removesuffix(".0")
                skeleton(taken[t], layout, ax).set_title(title, fontsize=9, pad=2)
                set_limits(ax, keypoints)
        row[0].set_ylabel(method, fontsize=9)
        _draw_sources(row[-1], sources, len(keypoints))
    axes[-1, -1].set_xlabel("source frame", fontsize=9)
    return axes


def aligned(keypoints: np.ndarray, length: int, method: str) -> tuple[np.ndarray, np.ndarray]:
    """A clip aligned to ``length`` frames without randomness, and the source frame of each: fractional
    between two frames, NaN if empty."""
    starts, frames = torch.tensor([0]), torch.tensor([len(keypoints)])
    taken = alignment.resample(torch.tensor(keypoints), starts, frames, length, method)[0].numpy()
    sources = alignment.source_frames(len(keypoints), length, method).numpy()
    return taken, np.where(sources >= 0, sources, np.nan)


def _draw_sources(ax: Axes, sources: np.ndarray, frames: int) -> None:
    """The source frame of each aligned frame; the frames of the clip outside of them are shaded."""
    first, last = np.nanmin(sources), np.nanmax(sources)
    ax.scatter(sources + 1, np.arange(len(sources)) + 1, s=3, color="black")
    for left, right in ((0, first), (last, frames - 1)):
        ax.axvspan(left + 1, right + 1, color="#8c8c8c", alpha=0.35, linewidth=0)
    ax.set(xlim=(0.5, frames + 0.5), ylim=(len(sources) + 1, 0))
    ax.tick_params(labelsize=9)
    title = f"{len(sources)} frames, from {first + 1:.0f} to {last + 1:.0f}"
    if last - first < frames - 1:
        title += f", {first + frames - 1 - last:.0f} outside"
    if np.isnan(sources).any():
        title += f", {np.isnan(sources).sum()} empty"
    ax.set_title(title, fontsize=9)
    ax.set_ylabel("aligned frame", fontsize=9)


def augmented(clips: Clips, row: int, settings: Settings, count: int = 8) -> np.ndarray:
    """The middle frame of a clip as the network takes it in ``count`` epochs of training: two rows of Axes.
    Maps have the colours of ``SIDES``, so mirrored samples can be recognised."""
    inputs = inputs_of(clips.where([row]), settings)
    channels = settings.architecture.channel_names(settings.stream, layouts.get(settings.layout))
    axes = new_axes(5.2, 2, count // 2, squeeze=False)
    for epoch, ax in enumerate(axes.flat):
        maps = inputs.training(torch.tensor([0]), epoch)[0]
        ax.imshow(blended(maps[:, maps.shape[1] // 2].cpu().numpy(), channels))
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"epoch {epoch + 1}", fontsize=9)
    return axes


def blended(maps: np.ndarray, channels: Sequence[Collection[str]]) -> np.ndarray:
    """Maps, (C, H, W), of joints or limbs as a picture (H, W, 3) on white, in the colours of their sides."""
    ink = 1 - np.array([to_rgb(side_colour(joints)) for joints in channels])
    return 1 - np.clip(np.einsum("khw,kc->hwc", maps, ink), 0, 1)
