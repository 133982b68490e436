"""What a network is fed with: clips on the device, cropped, flipped and drawn there, in training or in test form.

All that is random comes from ``uniform(…, seed, epoch)``, a row for each clip: the same clip in the same epoch is always augmented
the same way, whoever asks and whatever was asked before.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from . import alignment, augmentation, layouts, streams
from .clips import Clips
from .settings import PRESETS, Settings


class Inputs:
    """What a network is fed with: the clips of one split on the device, drawn as the settings say, in training or in test form."""

    def __init__(self, clips: Clips, settings: Settings) -> None:
        self.settings, self.layout, self.preset = settings, layouts.get(settings.layout), PRESETS[settings.preset]
        table = clips.table
        compact = np.concatenate([clips[i] for i in range(len(clips))])
        self.keypoints = torch.from_numpy(compact).to(settings.device)
        # Copied, since pandas may give arrays that must not be written to, which PyTorch warns about.
        self.frames, self.labels = (torch.tensor(table[name].to_numpy(), device=settings.device) for name in ("frames", "label"))
        self.starts = self.frames.cumsum(0) - self.frames
        self.ids = table["id"].to_numpy(str)

    def __len__(self) -> int:
        return len(self.ids)

    def training(self, rows: Int[Tensor, " n"], epoch: int) -> Float[Tensor, "n ..."]:
        """Augmented inputs of some clips, the same whenever the same epoch asks for the same clips."""
        columns = 5 + alignment.draws(self.settings.temporal, self.preset.frames)
        draws = uniform(len(self), columns, self.settings.seed, epoch)[rows].to(self.settings.device)
        keypoints = self._resample(rows, draws[:, 5:])
        boxes = augmentation.crop_box(keypoints)
        if self.settings.model == "posec3d":
            boxes = augmentation.random_resized_crop(boxes, draws[:, :4])
        return self._draw(augmentation.to_pixels(keypoints, boxes, (self.preset.size,) * 2), self.preset.size, draws[:, 4] < 0.5)

    @property
    def temporal_views(self) -> int:
        """How many choices of frames a test clip is looked at in."""
        return self.preset.segment_clips if self.settings.temporal == "segments" else 1

    def views(self, rows: Int[Tensor, " n"]) -> Iterator[tuple[Tensor, ...]]:
        """Test inputs of some clips, plain and then mirrored: the arguments of the network, which gives one row for each temporal
        view, clip after clip."""
        size, frames = self.preset.test_size, None
        if self.settings.temporal == "segments":
            pixels, frames = self._segments(rows, size)
        else:
            keypoints = self._resample(rows, None)
            pixels = augmentation.to_pixels(keypoints, augmentation.crop_box(keypoints), (size, size))
        if frames is not None and self.settings.model == "stgcn":
            pixels, frames = pixels[0, frames], None
        for mirrored in (False, True):
            view = self._draw(pixels, size, torch.full((len(pixels),), mirrored, device=pixels.device))
            yield (view,) if frames is None else (view, frames)

    def _segments(self, rows: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """All frames that a view of one of the clips needs, one after the other in pixels, (1, U, V, 3), and which of them each needs.

        The views of a clip share one box, as in PySkl, which crops after its test clips are drawn.
        """
        # The same draws for all clips, as PySkl's test clips have them.
        draws = torch.cat([uniform(1, self.preset.frames, view) for view in range(self.temporal_views)]).to(self.settings.device)
        pixels, views, seen = [], [], 0
        for row in rows:
            chosen = alignment.segment_frames(self.frames[row].expand(len(draws)), self.preset.frames, draws)
            own, places = chosen.unique(return_inverse=True)
            keypoints = self.keypoints[self.starts[row] + own][None]
            pixels.append(augmentation.to_pixels(keypoints, augmentation.crop_box(keypoints), (size, size)))
            views.append(places + seen)
            seen += len(own)
        return torch.cat(pixels, dim=1), torch.cat(views)

    def _resample(self, rows: Tensor, draws: Tensor | None) -> Tensor:
        starts, frames = self.starts[rows], self.frames[rows]
        return alignment.resample(self.keypoints, starts, frames, self.preset.frames, self.settings.temporal, draws)

    def _draw(self, pixels: Tensor, side: int, mirrored: Tensor) -> Tensor:
        pixels = augmentation.flip(pixels, self.layout, mirrored, width=side)
        if self.settings.model == "stgcn":
            return streams.graph(pixels, self.layout, self.settings.stream)
        maps = streams.heatmaps(pixels, self.layout, self.settings.stream, (side, side))
        return maps.contiguous(memory_format=torch.channels_last_3d)


@lru_cache(maxsize=4)  # each batch of an epoch asks for the same numbers
def uniform(rows: int, columns: int, *key: int) -> Float[Tensor, "{rows} {columns}"]:
    """Uniform random numbers in [0, 1) that depend on ``key`` alone."""
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed))
