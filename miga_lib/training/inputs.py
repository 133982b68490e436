"""The input of a network: clips on the device, cropped, flipped and drawn there, for training or for test.

``inputs_of`` gives the source of batches of a model's kind of input. A new kind is a class like ``Inputs`` in
a module of its own, and a row of ``SOURCES``.

All random numbers come from ``uniform(…, seed, epoch)``, a row for each clip. So the augmentation of a clip
depends only on the seed, the epoch and the clip.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import alignment, augmentation, denoising
from ..clips import Clips
from ..settings import Settings

TEST_BATCH_SIZE = 32
"""Number of views that are predicted together."""


@runtime_checkable
class Inputs(Protocol):
    """The clips of one split, and the network's input made from them."""

    settings: Settings
    ids: np.ndarray
    """The ids of the N clips."""
    labels: Int[Tensor, " N"]
    """Their classes, on the device; −1: unknown."""

    def __len__(self) -> int: ...

    @property
    def temporal_views(self) -> int:
        """How many temporal views of a test clip are predicted; each is another choice of its frames."""

    def training(self, rows: Int[Tensor, " n"], epoch: int) -> Float[Tensor, "n ..."]:
        """Augmented inputs of some clips; the same clip in the same epoch always gives the same input."""

    def views(self, rows: Int[Tensor, " n"]) -> Iterator[tuple[Tensor, ...]]:
        """Test inputs of some clips, first unchanged and then mirrored: each is the arguments of the network,
        whose output has one row for each temporal view, clip after clip."""


class KeypointInputs:
    """``Inputs`` made from keypoints: heatmaps, or the joints of a graph."""

    def __init__(self, clips: Clips, settings: Settings) -> None:
        self.settings, self.layout, self.model = settings, settings.skeleton, settings.architecture
        clips = denoising.denoised(clips, settings.denoise)
        keypoints = np.concatenate([clips[i] for i in range(len(clips))])
        self.keypoints = torch.from_numpy(keypoints).to(settings.device)
        # Copied, since arrays of pandas may be read-only, which PyTorch warns about.
        self.frames = torch.tensor(clips.table["frames"].to_numpy(), device=settings.device)
        self.labels = torch.tensor(clips.table["label"].to_numpy(), device=settings.device)
        self.starts = self.frames.cumsum(0) - self.frames
        self.ids = clips.table["id"].to_numpy(str)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def temporal_views(self) -> int:
        return self.settings.segment_clips if self.settings.temporal == "segments" else 1

    def training(self, rows: Int[Tensor, " n"], epoch: int) -> Float[Tensor, "n ..."]:
        settings, size = self.settings, self.settings.heatmap_size
        columns = 5 + alignment.draws(settings.temporal, settings.frames)
        draws = uniform(len(self), columns, settings.seed, epoch)[rows].to(settings.device)
        keypoints = self._augment(self._resample(rows, draws[:, 5:]), rows, epoch)
        boxes = augmentation.crop_box(keypoints)
        if self.model.input == "heatmaps":
            boxes = augmentation.random_resized_crop(boxes, draws[:, :4])
        pixels = augmentation.to_pixels(keypoints, boxes, (size, size))
        return self._tensor(augmentation.flip(pixels, self.layout, draws[:, 4] < 0.5, width=size), size)

    def views(self, rows: Int[Tensor, " n"]) -> Iterator[tuple[Tensor, ...]]:
        settings, frames = self.settings, None
        if settings.temporal == "segments":
            pixels, frames = self._segments(rows)
        else:
            pixels = test_pixels(self._resample(rows, None), settings)
        if frames is not None and not self.model.draws_frames_once(settings.stream):
            pixels, frames = pixels[0, frames], None
        for keypoints in unchanged_and_mirrored(pixels, settings):
            view = self._tensor(keypoints, settings.test_size)
            yield (view,) if frames is None else (view, frames)

    def _tensor(self, pixels: Float[Tensor, "n T V 3"], side: int) -> Float[Tensor, "n ..."]:
        """The input of the network, from keypoints in the pixels of a square heatmap with that side."""
        return self.model.tensor(self.settings.stream, pixels, self.layout, side)

    def _segments(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """All frames that the views of the clips need, and the frames of each view.

        The views of a clip share one box, as in PySkl, which crops after it has drawn the frames of all
        views.

        Returns keypoints in pixels, (1, frames, V, 3), and for each view the indices of its T frames among
        them, (views, T).
        """
        length = self.settings.frames
        # The same random numbers for all clips, as in PySkl's test clips.
        draws = [uniform(1, length, view) for view in range(self.temporal_views)]
        uniforms = torch.cat(draws).to(self.settings.device)
        pixels, views, count = [], [], 0
        for row in rows:
            segments = alignment.segment_frames(self.frames[row].expand(len(uniforms)), length, uniforms)
            frames, places = segments.unique(return_inverse=True)
            pixels.append(test_pixels(self.keypoints[self.starts[row] + frames][None], self.settings))
            views.append(places + count)
            count += len(frames)
        return torch.cat(pixels, dim=1), torch.cat(views)

    def _resample(self, rows: Tensor, draws: Tensor | None) -> Tensor:
        """Clips of T frames."""
        starts, frames = self.starts[rows], self.frames[rows]
        length, method = self.settings.frames, self.settings.temporal
        return alignment.resample(self.keypoints, starts, frames, length, method, draws)

    def _augment(self, keypoints: Tensor, rows: Tensor, epoch: int) -> Tensor:
        """The clips after the augmentations of the settings."""
        steps = [augmentation.AUGMENTATIONS[name] for name in self.settings.augmentations]
        counts = [count(self.settings.frames, self.layout) for _, count in steps]
        if steps:
            numbers = uniform(len(self), sum(counts), self.settings.seed, epoch, 2)[rows]
            draws = numbers.to(keypoints.device).split(counts, dim=1)
            for (augment, _), columns in zip(steps, draws, strict=True):
                keypoints = augment(keypoints, columns, self.layout)
        return keypoints


SOURCES: Mapping[str, Callable[[Clips, Settings], Inputs]] = {
    "heatmaps": KeypointInputs,
    "graph": KeypointInputs,
}
"""The source of batches for each of ``models.INPUTS``."""


def inputs_of(clips: Clips, settings: Settings) -> Inputs:
    """The inputs of some clips for the model of the settings."""
    return SOURCES[settings.architecture.input](clips, settings)


def test_pixels(keypoints: Float[Tensor, "n T V 3"], settings: Settings) -> Float[Tensor, "n T V 3"]:
    """Resampled keypoints in the pixels of a test heatmap that shows the person."""
    side = settings.test_size
    return augmentation.to_pixels(keypoints, augmentation.crop_box(keypoints), (side, side))


def unchanged_and_mirrored(
    pixels: Float[Tensor, "n T V 3"], settings: Settings
) -> Iterator[Float[Tensor, "n T V 3"]]:
    """The two views of test clips, both in the pixels of a test heatmap."""
    for mirrored in (False, True):
        flags = torch.full_like(pixels[:, 0, 0, 0], mirrored, dtype=torch.bool)
        yield augmentation.flip(pixels, settings.skeleton, flags, width=settings.test_size)


@lru_cache(maxsize=4)  # each batch of an epoch asks for the same numbers
def uniform(rows: int, columns: int, *key: int) -> Float[Tensor, "{rows} {columns}"]:
    """Uniform random numbers in [0, 1) that depend only on ``key``."""
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed_of(*key)))


def seed_of(*key: int) -> int:
    """A seed for PyTorch's generators that depends on all numbers of a key."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
