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
        return self._draw(keypoints, boxes, self.preset.size, draws[:, 4] < 0.5)

    def views(self, rows: Int[Tensor, " n"]) -> Iterator[Float[Tensor, "n ..."]]:
        """Test inputs of some clips: each temporal view, plain and mirrored."""
        segmented = self.settings.temporal == "segments"
        for view in range(self.preset.segment_clips if segmented else 1):
            # The same draws for all clips, as PySkl's test clips have them.
            draws = uniform(1, self.preset.frames, view).expand(len(rows), -1).to(self.settings.device) if segmented else None
            keypoints = self._resample(rows, draws)
            boxes = augmentation.crop_box(keypoints)
            for mirrored in (False, True):
                flags = torch.full((len(rows),), mirrored, device=self.settings.device)
                yield self._draw(keypoints, boxes, self.preset.test_size, flags)

    def _resample(self, rows: Tensor, draws: Tensor | None) -> Tensor:
        starts, frames = self.starts[rows], self.frames[rows]
        return alignment.resample(self.keypoints, starts, frames, self.preset.frames, self.settings.temporal, draws)

    def _draw(self, keypoints: Tensor, boxes: Tensor, side: int, mirrored: Tensor) -> Tensor:
        size = (side, side)
        pixels = augmentation.to_pixels(keypoints, boxes, size)
        pixels = augmentation.flip(pixels, self.layout, mirrored, width=side)
        if self.settings.model == "stgcn":
            return streams.graph(pixels, self.layout, self.settings.stream)
        maps = streams.heatmaps(pixels, self.layout, self.settings.stream, size)
        return maps.contiguous(memory_format=torch.channels_last_3d)


@lru_cache(maxsize=4)  # each batch of an epoch asks for the same numbers
def uniform(rows: int, columns: int, *key: int) -> Float[Tensor, "{rows} {columns}"]:
    """Uniform random numbers in [0, 1) that depend on ``key`` alone."""
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed))
