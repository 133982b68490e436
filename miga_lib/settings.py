"""What a run is asked to do: ``Settings``, and the presets that fill in what they leave open."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from . import alignment, layouts, stgcn, streams

PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class Preset:
    """The size of a network, of what it sees, and of its schedule; where a setting is 0, the preset's value holds."""

    epochs: int
    batch_size: int
    learning_rate: float
    frames: int
    size: int
    """Side of a heatmap in training, in pixels."""
    test_size: int
    base_channels: int
    stage_blocks: tuple[int, ...]
    stem_kernel: int
    graph_channels: tuple[int, ...]
    graph_learning_rate: float
    dropout: float
    segment_clips: int
    """Temporal views of a test clip where frames are drawn by segments."""
    test_batch_size: int = 32
    weight_decay: float = 3e-4
    momentum: float = 0.9


PRESETS = {
    "smoke": Preset(
        epochs=2, batch_size=16, learning_rate=0.1, frames=8, size=16, test_size=16, base_channels=4, stage_blocks=(1, 1),
        stem_kernel=3, graph_channels=(8, 16), graph_learning_rate=0.05, dropout=0.0, segment_clips=2,
    ),
    "quick": Preset(
        epochs=25, batch_size=16, learning_rate=0.1, frames=12, size=20, test_size=20, base_channels=16, stage_blocks=(1, 1, 1),
        stem_kernel=3, graph_channels=(32, 32, 64, 64, 128), graph_learning_rate=0.05, dropout=0.3, segment_clips=4,
    ),
    # The recipe of the paper; the learning rate of ST-GCN is the one of its own publication.
    "paper": Preset(
        epochs=100, batch_size=24, learning_rate=0.1 / 3, frames=48, size=56, test_size=64, base_channels=32, stage_blocks=(4, 6, 3),
        stem_kernel=7, graph_channels=stgcn.CHANNELS, graph_learning_rate=0.1, dropout=0.5, segment_clips=10,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Everything that decides the outcome of a run, beside the clips. 0 and ``auto`` are settled by ``resolve``.

    Raises:
        ValueError: naming the setting, what it may be and what it was.
    """

    model: str = "posec3d"
    stream: str = "joint"
    layout: str = "imigue41"
    temporal: str = "align"
    semantic_weight: float = 20.0
    preset: str = "auto"
    epochs: int = 0
    batch_size: int = 0
    learning_rate: float = 0.0
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    strategy: str = "spatial"
    """How ST-GCN partitions the neighbours of a joint; PoseC3D has no use for it."""
    embeddings: str = ""
    """Table of class embeddings, see ``labels.embeddings``; empty: the one that comes with the package."""

    def __post_init__(self) -> None:
        choices = {
            "model": tuple(streams.STREAMS),
            "stream": streams.STREAMS.get(self.model, ()),
            "layout": tuple(layouts.names()),
            "temporal": alignment.METHODS,
            "preset": ("auto", *PRESETS),
            "precision": PRECISIONS,
            "strategy": ("uniform", "distance", "spatial"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                of = f" for model {self.model!r}" if name == "stream" else ""
                raise ValueError(f"{name} must be one of {', '.join(known)}{of}, got {getattr(self, name)!r}")
        for name in ("semantic_weight", "epochs", "batch_size", "learning_rate", "seed"):
            if not (getattr(self, name) >= 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)!r}")
        if self.device != "auto" and not self.device.startswith(("cpu", "cuda", "mps")):
            raise ValueError(f"device must be auto, cpu, cuda, cuda:<number> or mps, got {self.device!r}")
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(f"device {self.device!r} was asked for and PyTorch finds no CUDA device; use 'auto' or 'cpu'")

    @classmethod
    def choose(cls, parameters: Mapping[str, Any]) -> "Settings":
        """The settings among the parameters of a notebook; the others are none of ours."""
        return cls(**{field.name: parameters[field.name] for field in fields(cls) if field.name in parameters})

    def resolve(self) -> "Settings":
        """The same settings with every 0 and ``auto`` replaced by what it stands for on this machine."""
        device = self.device if self.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        name = self.preset if self.preset != "auto" else "paper" if device.startswith("cuda") else "quick"
        preset = PRESETS[name]
        rate = preset.learning_rate if self.model == "posec3d" else preset.graph_learning_rate
        return replace(
            self,
            preset=name,
            device=device,
            epochs=self.epochs or preset.epochs,
            batch_size=self.batch_size or preset.batch_size,
            learning_rate=self.learning_rate or rate,
            precision=self.precision if self.precision != "auto" else _fast_precision(device),
        )


def _fast_precision(device: str) -> str:
    """bf16 where the processor computes in it, fp32 elsewhere."""
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if device == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported() else "fp32"
