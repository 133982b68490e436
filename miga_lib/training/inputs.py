"""The input of a network: clips on the device, cropped, flipped and drawn there, for training or for test.

All random numbers come from ``uniform(…, seed, epoch)``, a row for each clip. So the augmentation of a clip
depends only on the seed, the epoch and the clip; where a clip can come twice in an epoch, on its position in
the epoch in place of the clip.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import alignment, augmentation, denoising
from ..clips import Clips
from ..settings import PRESETS, Settings


class Inputs:
    """The clips of one split on the device, and the network's input made from them, for training or for test.
    Settings are resolved."""

    def __init__(self, clips: Clips, settings: Settings) -> None:
        self.settings, self.layout, self.model = settings, settings.skeleton, settings.of_model
        clips = denoising.denoised(clips, settings.denoise)
        table = clips.table
        compact = np.concatenate([clips[i] for i in range(len(clips))])
        self.keypoints = torch.from_numpy(compact).to(settings.device)
        # Copied, since arrays of pandas may be read-only, which PyTorch warns about.
        self.frames, self.labels = (
            torch.tensor(table[name].to_numpy(), device=settings.device) for name in ("frames", "label")
        )
        self.starts = self.frames.cumsum(0) - self.frames
        self.ids = table["id"].to_numpy(str)

    def __len__(self) -> int:
        return len(self.ids)

    def training(
        self, rows: Int[Tensor, " n"], epoch: int, positions: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n ..."]:
        """Augmented inputs of some clips; the same clip in the same epoch, at the same position, always gives
        the same input.

        Args:
            positions: which of the N rows of random numbers each takes; the one of the clip where it is None.
        """
        return self.tensor(self.pixels(rows, epoch, positions), self.settings.size)

    def pixels(
        self, rows: Int[Tensor, " n"], epoch: int, positions: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n T V 3"]:
        """The augmented keypoints from which ``training`` makes the inputs, in the pixels of the heatmaps."""
        positions = rows if positions is None else positions
        columns = 5 + alignment.draws(self.settings.temporal, self.settings.frames)
        draws = uniform(len(self), columns, self.settings.seed, epoch)[positions].to(self.settings.device)
        keypoints = self._resample(rows, draws[:, 5:], epoch, positions)
        boxes = augmentation.crop_box(keypoints)
        if self.model.input == "heatmaps":
            boxes = augmentation.random_resized_crop(boxes, draws[:, :4])
        side = self.settings.size
        pixels = augmentation.to_pixels(keypoints, boxes, (side, side))
        return augmentation.flip(pixels, self.layout, draws[:, 4] < 0.5, width=side)

    def tensor(self, pixels: Float[Tensor, "n T V 3"], side: int) -> Float[Tensor, "n ..."]:
        """The input of the network, from keypoints in the pixels of a square heatmap with that side."""
        return self.model.tensor(self.settings.stream, pixels, self.layout, side)

    @property
    def temporal_views(self) -> int:
        """How many temporal views of a test clip are predicted; each is another choice of its frames."""
        return PRESETS[self.settings.preset].segment_clips if self.settings.temporal == "segments" else 1

    def views(self, rows: Int[Tensor, " n"]) -> Iterator[tuple[Tensor, ...]]:
        """Test inputs of some clips, first unchanged and then mirrored: each is the arguments of the network,
        whose output has one row for each temporal view, clip after clip."""
        frames = None
        if self.settings.temporal == "segments":
            pixels, frames = self._segments(rows, self.settings.test_size)
        else:
            pixels = test_pixels(self._resample(rows, None), self.settings)
        if frames is not None and not self.model.draws_frames_once(self.settings.stream):
            pixels, frames = pixels[0, frames], None
        for keypoints in unchanged_and_mirrored(pixels, self.settings):
            view = self.tensor(keypoints, self.settings.test_size)
            yield (view,) if frames is None else (view, frames)

    def _segments(self, rows: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """All frames that the views of the clips need, and the frames of each view.

        The views of a clip share one box, as in PySkl, which crops after it has drawn the frames of all
        views.

        Returns keypoints in pixels, (1, frames, V, 3), and for each view the indices of its T frames among
        them, (views, T).
        """
        # The same random numbers for all clips, as in PySkl's test clips.
        draws = torch.cat([uniform(1, self.settings.frames, view) for view in range(self.temporal_views)]).to(
            self.settings.device
        )
        pixels, views, count = [], [], 0
        for row in rows:
            chosen = alignment.segment_frames(
                self.frames[row].expand(len(draws)), self.settings.frames, draws
            )
            own, places = chosen.unique(return_inverse=True)
            keypoints = self.keypoints[self.starts[row] + own][None]
            pixels.append(augmentation.to_pixels(keypoints, augmentation.crop_box(keypoints), (side, side)))
            views.append(places + count)
            count += len(own)
        return torch.cat(pixels, dim=1), torch.cat(views)

    def _resample(
        self, rows: Tensor, draws: Tensor | None, epoch: int | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """Clips of T frames; with an epoch and positions, with the augmentations of the settings."""
        settings, starts, frames = self.settings, self.starts[rows], self.frames[rows]
        names = () if epoch is None else settings.augmentations
        steps = [augmentation.AUGMENTATIONS[name] for name in names if name != "shorten"]
        counts = [2, *(count(settings.frames, self.layout) for _, count in steps)]
        numbers: Sequence[Tensor] = ()
        if names:
            numbers = (
                uniform(len(self), sum(counts), settings.seed, epoch, 2)[positions]
                .to(starts.device)
                .split(counts, dim=1)
            )
        if "shorten" in names:
            first, frames = augmentation.shorten(frames, numbers[0])
            starts = starts + first
        keypoints = alignment.resample(
            self.keypoints, starts, frames, settings.frames, settings.temporal, draws
        )
        for (augment, _), of_step in zip(steps, numbers[1:], strict=True):
            keypoints = augment(keypoints, of_step, self.layout)
        return keypoints


def test_pixels(keypoints: Float[Tensor, "n T V 3"], settings: Settings) -> Float[Tensor, "n T V 3"]:
    """Resampled keypoints in the pixels of a test heatmap that shows the person."""
    return augmentation.to_pixels(
        keypoints, augmentation.crop_box(keypoints), (settings.test_size, settings.test_size)
    )


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
