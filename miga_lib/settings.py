"""What a run is asked to do: ``Settings``, and the presets that fill in what they leave open."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from . import alignment, layouts, losses
from .models import MODELS, Model

PRECISIONS = ("auto", "fp32", "bf16")
DEVICES = "auto, cpu, cuda or cuda:<number>"


@dataclass(frozen=True)
class Preset:
    """The size of the input and the schedule. The size of each network in a preset is in its row of ``models.MODELS``.

    The fields that ``Settings`` has too hold where a setting is 0.
    """

    epochs: int
    batch_size: int
    frames: int
    size: int
    """Side of a heatmap in training, in pixels."""
    test_size: int
    dropout: float
    segment_clips: int
    """Temporal views of a test clip where ``temporal`` is ``segments``."""
    test_batch_size: int = 32
    weight_decay: float = 3e-4
    momentum: float = 0.9


PRESETS = {
    "smoke": Preset(epochs=2, batch_size=16, frames=8, size=16, test_size=16, dropout=0.0, segment_clips=2),
    "quick": Preset(epochs=25, batch_size=16, frames=12, size=20, test_size=20, dropout=0.3, segment_clips=4),
    # The recipe of the paper.
    "paper": Preset(epochs=100, batch_size=24, frames=48, size=56, test_size=64, dropout=0.5, segment_clips=10),
}


@dataclass(frozen=True)
class Settings:
    """Everything that decides the outcome of a run, beside the clips.

    A number that is 0 where 0 makes no sense, and ``auto``, stand for the value of the preset; ``resolve`` fills them in.

    Raises:
        ValueError: naming the setting, the values it may have and the value it had.
    """

    model: str = "posec3d"
    stream: str = "joint"
    layout: str = "imigue41"
    temporal: str = "align"
    semantic_weight: float = 20.0
    """Weight of the semantic loss; 0 switches it off."""
    preset: str = "auto"
    epochs: int = 0
    batch_size: int = 0
    learning_rate: float = 0.0
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    strategy: str = "spatial"
    """How a graph model partitions the neighbours of a joint; heatmap models ignore it."""
    embeddings: str = ""
    """Table of class embeddings, see ``labels.embeddings``; empty: the one that comes with the package."""
    frames: int = 0
    """T, the number of frames that every clip is brought to."""
    size: int = 0
    """Side of a heatmap in training, in pixels; test heatmaps keep the preset's ratio to it."""
    width: int = 0
    """Channels of the network's first layer; the other layers have multiples of it."""
    dropout: float = 0.0
    """Share of values dropped, below 1; 0: the preset's, so a network without dropout is asked for by a tiny value such as 1e-9."""
    weight_decay: float = 0.0
    """0: the preset's; a tiny value such as 1e-12 switches it off."""

    def __post_init__(self) -> None:
        of_model = f" for model {self.model!r}"
        check_choice("model", self.model, MODELS)
        check_choice("stream", self.stream, MODELS[self.model].streams, of_model)
        for name, known in CHOICES.items():
            check_choice(name, getattr(self, name), known)
        check_choice("layout", self.layout, layouts.names())
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in (int, float) and not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{field.name} must be 0 or more, got {value!r}")
        if self.dropout >= 1:
            raise ValueError(f"dropout must be below 1, got {self.dropout!r}")
        if self.device != "auto" and not self.device.startswith(("cpu", "cuda")):
            reason = "; streams are computed in 64-bit numbers, which mps does not have: use cpu" * self.device.startswith("mps")
            raise ValueError(f"device must be {DEVICES}, got {self.device!r}{reason}")
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(f"device {self.device!r} was asked for and PyTorch finds no CUDA device; use 'auto' or 'cpu'")

    @classmethod
    def choose(cls, parameters: Mapping[str, Any]) -> "Settings":
        """The settings among the parameters of a notebook; other parameters are ignored.

        The parameter ``more`` is a dict of further settings, for the fields that a notebook does not list.

        Raises:
            ValueError: ``more`` names something that is no setting, or that is a parameter of its own; a value of another type.
        """
        known = {field.name: field.type for field in fields(cls)}
        more = dict(parameters.get("more", {}))
        for name, value in more.items():
            if name in parameters:
                raise ValueError(f"more[{name!r}]: {name} is a parameter of its own; set it there")
            check_choice("a name in more", name, [field for field in known if field not in parameters])
            if type(value) is not known[name] and not (known[name] is float and type(value) is int):
                raise ValueError(f"more[{name!r}] must be {known[name].__name__}, got {value!r} ({type(value).__name__})")
        return cls(**{name: parameters[name] for name in known if name in parameters} | more)

    def resolve(self) -> "Settings":
        """The same settings with every 0 and ``auto`` replaced by the value that it stands for on this machine."""
        device = self.device if self.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        name = self.preset if self.preset != "auto" else "paper" if device.startswith("cuda") else "quick"
        precision = self.precision if self.precision != "auto" else _fast_precision(device)
        filled = {field: getattr(self, field) or value for field, value in self._defaults(name).items()}
        return replace(self, preset=name, device=device, precision=precision, **filled)

    def differing(self) -> dict[str, Any]:
        """The (resolved) numbers that are not those of the preset, by name."""
        return {name: getattr(self, name) for name, value in self._defaults(self.preset).items() if getattr(self, name) != value}

    def _defaults(self, preset: str) -> dict[str, Any]:
        """What 0 stands for in a preset."""
        size = MODELS[self.model].sizes[preset]
        common = {name: getattr(PRESETS[preset], name) for name in IN_PRESET}
        return common | {"learning_rate": size.learning_rate, "width": size.width}

    @property
    def of_model(self) -> Model:
        """The row of the model in ``models.MODELS``."""
        return MODELS[self.model]

    @property
    def test_size(self) -> int:
        """Side of a heatmap in test, in pixels, of resolved settings."""
        preset = PRESETS[self.preset]
        return round(self.size * preset.test_size / preset.size)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each term of the loss that has one, by the term's name."""
        return {name: getattr(self, f"{name}_weight") for name in losses.TERMS if hasattr(self, f"{name}_weight")}


CHOICES = {
    "temporal": alignment.METHODS,
    "preset": ("auto", *PRESETS),
    "precision": PRECISIONS,
    "strategy": layouts.STRATEGIES,
}
"""Settings with a closed set of values that does not depend on other settings."""
IN_PRESET = ("epochs", "batch_size", "frames", "size", "dropout", "weight_decay")
"""Settings whose value in a preset is the same for all models."""


def check_choice(name: str, value: Any, known: Any, about: str = "") -> None:
    """See to it that a parameter has one of the values in ``known``.

    Raises:
        ValueError: naming the parameter, the values it may have and the value it had.
    """
    if value not in list(known):
        raise ValueError(f"{name} must be one of {', '.join(map(str, known))}{about}, got {value!r}")


def _fast_precision(device: str) -> str:
    """bf16 where the processor computes in it, fp32 elsewhere."""
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    # PyTorch has no public question for this. Where a release drops these, the answer is fp32, which always works.
    questions = (getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None), getattr(torch.cpu, "_is_avx512_bf16_supported", None))
    return "bf16" if all(question is not None and question() for question in questions) else "fp32"
