"""What a network sees of a clip: heatmaps of joints and limbs, the clip brought to one length, augmented samples."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from .. import alignment, augmentation, streams
from ..clips import Clips
from ..layouts import Layout
from ..settings import Settings
from ..training.inputs import Inputs
from .skeletons import SIDES, fit, limb_lines, sides, skeleton

SIZE = 56
FRAMES = 48


def heatmaps(keypoints: np.ndarray, layout: Layout, size: int = SIZE, count: int = 6) -> np.ndarray:
    """Frames of a clip, (T, V, 3), as skeleton, joint maps, limb maps, and both over each other: (4, count) Axes.

    The maps are cropped to the person and drawn as for a network; here the highest value of all joints or limbs is shown at each
    pixel, where the network gets a map for each.

    Args:
        size: height and width of the maps.
    """
    chosen = np.linspace(0, len(keypoints) - 1, count).round().astype(int)
    given = torch.tensor(keypoints)[None]
    pixels = augmentation.to_pixels(given, augmentation.crop_box(given), (size, size))[:, chosen]
    drawn = {"joint": streams.joint_heatmaps, "limb": streams.limb_heatmaps}
    maps = {stream: draw(pixels, layout, (size, size))[0].amax(0).numpy() for stream, draw in drawn.items()}
    figure, axes = plt.subplots(4, count, figsize=(9.5, 6.1), sharex=True, sharey=True, squeeze=False)
    for i, t in enumerate(chosen):
        axes[0, i].set_title(f"frame {t + 1}", fontsize=8)
        for row, stream in ((1, "joint"), (2, "limb")):
            image = axes[row, i].imshow(maps[stream][i], cmap="cividis", vmin=0, vmax=1)
        axes[3, i].imshow(np.maximum(maps["joint"][i], maps["limb"][i]), cmap="cividis", vmin=0, vmax=1)
        axes[3, i].add_collection(limb_lines(pixels[0, i].numpy(), layout, "white", 0.6))
        skeleton(pixels[0, i].numpy(), layout, axes[0, i])
    for ax, name in zip(axes[:, 0], ("skeleton", f"{len(layout.joints)} joints", f"{len(layout.limbs)} limbs", "overlaid"), strict=True):
        ax.set_ylabel(name, fontsize=9)
        ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[], frame_on=False)
    figure.colorbar(image, ax=axes[1:3], shrink=0.8, aspect=30, label="height of the map")
    return axes


def alignments(keypoints: np.ndarray, layout: Layout, length: int = FRAMES, count: int = 6) -> np.ndarray:
    """A clip, (T, V, 3), and what each method of ``alignment`` makes of it without chance: (4, count + 1) Axes.

    A row has frames spread evenly over the clip, or over the ``length`` frames that it becomes, under the number of the frame they
    were taken from; the last Axes of a row show which frame of the clip each of the ``length`` is.
    """
    shape = {"figsize": (10, 6), "width_ratios": [1] * count + [2.2], "squeeze": False}
    axes = plt.subplots(1 + len(alignment.METHODS), count + 1, **shape)[1]
    sources = np.arange(len(keypoints))
    for row, method in enumerate(("clip", *alignment.METHODS)):
        taken, places = keypoints, sources.astype(float)
        if method != "clip":
            taken, places = brought_to(keypoints, length, method)
        chosen = np.linspace(0, len(taken) - 1, count).round().astype(int)
        for ax, t in zip(axes[row], chosen, strict=False):
            _frame_of(ax, taken[t], float(places[t]), keypoints, layout)
        axes[row, 0].set_ylabel(method, fontsize=9)
        _which_frames(axes[row, -1], places, len(keypoints))
    axes[-1, -1].set_xlabel("is this frame of the clip", fontsize=8)
    return axes


def brought_to(keypoints: np.ndarray, length: int, method: str) -> tuple[np.ndarray, np.ndarray]:
    """A clip in ``length`` frames, without chance, and the source frame of each, between two where it is a mixture; nan where empty."""
    # A joint more, whose x is the number of the frame, goes through the same mill.
    clock = np.stack([np.arange(len(keypoints)), np.zeros(len(keypoints)), np.ones(len(keypoints))], axis=1)
    both = torch.tensor(np.concatenate([keypoints, clock[:, None]], axis=1, dtype=np.float32))
    starts, frames = torch.tensor([0]), torch.tensor([len(both)])
    taken = alignment.resample(both, starts, frames, length, method)[0].numpy()
    return taken[:, :-1], np.where(taken[:, -1, 2] > 0, taken[:, -1, 0], np.nan)


def _frame_of(ax: Axes, frame: np.ndarray, place: float, keypoints: np.ndarray, layout: Layout) -> None:
    """One frame on Axes as large as all of its clip, or the word that it is empty."""
    if np.isnan(place):
        ax.set(xticks=[], yticks=[], facecolor="#f0f0f0")
        ax.text(0.5, 0.5, "empty", transform=ax.transAxes, ha="center", va="center", fontsize=8)
        return
    skeleton(frame, layout, ax).set_title(f"{place + 1:.1f}".removesuffix(".0"), fontsize=8, pad=2)
    fit(ax, keypoints)


def _which_frames(ax: Axes, places: np.ndarray, frames: int) -> None:
    """The source frame of each frame, over the clip, with all before the first and after the last of them shaded as lost."""
    first, last = np.nanmin(places), np.nanmax(places)
    empty = int(np.isnan(places).sum())
    ax.scatter(places + 1, np.arange(len(places)) + 1, s=3, color="black")
    for left, right in ((0, first), (last, frames - 1)):
        ax.axvspan(left + 1, right + 1, color=SIDES["right"], alpha=0.25, linewidth=0)
    ax.set(xlim=(0.5, frames + 0.5), ylim=(len(places) + 1, 0))
    ax.tick_params(labelsize=7)
    outside = f", {first + frames - 1 - last:.0f} outside" if last - first < frames - 1 else ""
    blank = f", {empty} empty" if empty else ""
    ax.set_title(f"{len(places)} frames, from {first + 1:.0f} to {last + 1:.0f}{outside}{blank}", fontsize=8)
    ax.set_ylabel("frame", fontsize=8)


def augmented(clips: Clips, row: int, settings: Settings, count: int = 8) -> np.ndarray:
    """The middle frame of a clip as training gets it in ``count`` epochs: (2, (count + 1) // 2) Axes.

    The maps of the subject's left are blue, of the right orange, of the middle grey; so a mirrored sample shows as one.
    """
    inputs = Inputs(clips.where([row]), settings)
    axes = plt.subplots(2, (count + 1) // 2, figsize=(9.5, 5.2), squeeze=False)[1]
    for epoch, ax in enumerate(axes.flat):
        maps = inputs.training(torch.tensor([0]), epoch)[0]
        ax.imshow(blended(maps[:, maps.shape[1] // 2].cpu().numpy(), clips.layout, settings.stream))
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"epoch {epoch + 1}", fontsize=9)
    return axes


def blended(maps: np.ndarray, layout: Layout, stream: str) -> np.ndarray:
    """Maps of all joints, or limbs, (C, H, W), as one picture (H, W, 3) on white, each in the colour of its side."""
    colours = sides(layout)
    ends = range(len(layout.joints)) if stream == "joint" else [b for _, b in layout.limbs]
    ink = 1 - np.array([to_rgb(colours[v]) for v in ends])
    return 1 - np.clip(np.einsum("chw,ck->hwk", maps, ink), 0, 1)
