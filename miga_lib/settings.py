"""``Settings``: everything besides the clips that a run depends on, for notebooks, command line and sweeps.

``choose`` lays values over a preset. A new setting is one line in ``Settings``, or in the presets of the
models that have it.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

import torch

from . import alignment, augmentation, denoising, layouts, losses
from .layouts import Layout
from .models import MODELS, Model
from .readers import shown

MAX_NUMBER = 2**63
"""Settings are smaller: PyTorch computes in whole numbers of 64 bits."""
MAX_PIXELS = 2**25
"""Of one map of all frames of a clip in test: more need gigabytes for the maps of a clip."""
MAX_OF_NETWORK, MAX_LAYERS = 4096, 100
"""The largest number among the settings of a network, and the most numbers in one of them."""

PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {
        "epochs": 2,
        "batch_size": 16,
        "dropout": 0.0,
        "frames": 8,
        "heatmap_size": 16,
        "test_scale": 1.0,
        "segment_clips": 2,
    },
    "quick": {
        "epochs": 60,
        "batch_size": 16,
        "dropout": 0.3,
        "frames": 8,
        "heatmap_size": 16,
        "test_scale": 1.0,
        "segment_clips": 4,
    },
    # The paper and the code that it builds on: docs/training.md says which number comes from where.
    "paper": {
        "epochs": 100,
        "batch_size": 24,
        "dropout": 0.5,
        "frames": 48,
        "heatmap_size": 56,
        "test_scale": 64 / 56,
        "segment_clips": 10,
    },
}
"""The size of the input and the schedule. A model adds its learning rate and the size of its network:
``models.Model.presets``."""


def setting(
    default: Any = MISSING, *, choices: Collection[str] = (), parts: Collection[str] = (), **rule: Any
) -> Any:
    """A field of ``Settings`` with its rule; without a default, each preset has the value.

    Args:
        choices: the possible values.
        parts: the possible names in a text that joins several with ``+``.
        rule: ``positive=True``: above 0; ``below``: the value is smaller; ``most``: the largest value, far
            above any use, since memory or time grow with it; ``execution=True``: how a run is computed, not
            what: it is not in a run's name, and may change when the run goes on.
    """
    return field(default=default, metadata={"choices": choices, "parts": parts, **rule})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a run, complete: each value is the one that is used. ``choose`` makes them.

    Raises ValueError where a value is not possible.
    """

    model: str
    preset: str
    stream: str = "joint"
    layout: str = "imigue41"
    temporal: str = setting("align", choices=alignment.METHODS)
    semantic_weight: float = 20.0
    """Weight of the semantic loss; 0: no semantic loss."""
    embeddings: str = ""
    """Table of class embeddings, see ``labels.embeddings``; empty: the table of the package."""
    logit_adjustment: float = 0.0
    """τ of the logit-adjusted cross-entropy, see ``losses.cross_entropy``; 1 is the balanced softmax."""

    epochs: int = setting(positive=True, most=10**6)
    min_steps: int = setting(0, most=10**9)
    """The least number of optimiser steps: on a small data set there are more epochs."""
    batch_size: int = setting(positive=True, most=2**16)
    learning_rate: float = setting(positive=True)
    """At the start; it falls to 0 along a cosine."""
    momentum: float = setting(0.9, below=1)
    weight_decay: float = 3e-4
    dropout: float = setting(below=1)
    """Share of values dropped before the classifier (PoseC3D) or in each block (graph networks)."""
    keep: str = setting("last", choices=("last", "best"))
    """The epoch whose network is kept and evaluated: the last, or the best on validation."""
    augment: str = setting("", parts=augmentation.AUGMENTATIONS)
    """Names of ``augmentation.AUGMENTATIONS``, joined by ``+``, such as ``rotate+drop_joints``."""
    start_from: str = ""
    """Start weights: the name or folder of a run, or a checkpoint of PySkl or ST-GCN; empty: random."""
    seed: int = 0

    frames: int = setting(positive=True, most=10_000)
    """T, the number of frames that every clip is resampled to."""
    heatmap_size: int = setting(positive=True, most=1024)
    """Side of a heatmap in training, in pixels."""
    test_scale: float = setting(positive=True, most=16)
    """Side of a heatmap in test, as a multiple of that in training."""
    segment_clips: int = setting(positive=True, most=1000)
    """Temporal views of a test clip where ``temporal`` is ``segments``."""
    denoise: str = setting("", parts=denoising.FILTERS)
    """Names of ``denoising.FILTERS``, joined by ``+``, applied to all clips."""
    network: Mapping[str, Any]
    """What only this model has, such as ``width``; see ``models.Model.presets``."""

    protocol: str = ""
    """The way in which the source is split, see ``clips.load``; empty: its first one."""
    folds: int = setting(0, most=10_000)
    """Cross-validation in so many folds, of which ``fold`` is the test split; 0: none."""
    fold: int = 0
    persons: int = 1
    """2: the second person of a clip is kept."""
    no_gesture_ratio: float = setting(0.0, most=1000)
    """Clips of no gesture for each gesture: parts of the gaps of whole videos, as a class more; 0: none."""

    device: str = setting("cpu", execution=True)
    precision: str = setting("fp32", choices=("fp32", "bf16"), execution=True)
    devices: int = setting(1, positive=True, most=4096, execution=True)
    """GPUs, or processes on a CPU, that train together; under ``torchrun`` its own number counts."""
    side_stream: bool = setting(False, execution=True)
    """Inputs are computed beside the step before, on a stream of their own. No GPU has run it yet."""
    resume: bool = setting(True, execution=True)
    """Continue an unfinished run and return a finished one; False: train again and replace it."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.name != "network":
                _check(item.name, getattr(self, item.name), item.type, item.metadata)
        preset = self.architecture.network(self.preset)
        if self.network.keys() != preset.keys():
            rule = f"the network of model {self.model!r} has {', '.join(preset)}"
            raise ValueError(f"{rule}, got {', '.join(self.network)}; make settings with `choose`")
        for name, value in self.network.items():
            _check(name, value, type(preset[name]), {"positive": True, "most": MAX_OF_NETWORK})
            if isinstance(value, tuple) and len(value) > MAX_LAYERS:
                raise ValueError(f"{name} must have at most {MAX_LAYERS} numbers, got {len(value)}")
        if "partition" in self.network:
            check_choice("partition", self.network["partition"], layouts.PARTITIONS)
        pixels = self.frames * self.test_size**2
        if self.architecture.input == "heatmaps" and pixels > MAX_PIXELS:
            size = f"{self.frames} frames of {self.test_size} × {self.test_size} pixels"
            raise ValueError(f"a clip must have at most {MAX_PIXELS:,} pixels, got {size} in test")
        check_choice("stream", self.stream, self.architecture.streams, f" for model {self.model!r}")
        if layouts.is_file(self.layout):
            layouts.get(self.layout)
        else:
            check_choice("layout", self.layout, [*layouts.names(), "the path of a .json file"])
        if self.folds and not self.fold < self.folds:
            raise ValueError(f"fold must be 0 to {self.folds - 1} with {self.folds} folds, got {self.fold!r}")
        if self.fold and not self.folds and not self.protocol:
            raise ValueError(f"fold {self.fold!r} is of a cross-validation; set `folds`, too")
        if self.persons not in (1, 2):
            raise ValueError(f"persons must be 1 or 2, got {self.persons!r}")
        _check_device(self.device)

    @property
    def architecture(self) -> Model:
        """The row of the model in ``models.MODELS``."""
        return MODELS[self.model]

    @property
    def skeleton(self) -> Layout:
        """The layout of the clips: ``layout``, for two persons twice."""
        layout = layouts.get(self.layout)
        return layouts.pair(layout) if self.persons == 2 else layout

    @property
    def test_size(self) -> int:
        """Side of a heatmap in test, in pixels."""
        return round(self.heatmap_size * self.test_scale)

    @property
    def loss_weights(self) -> dict[str, float]:
        """The weight of each term of the loss that has one, by the term's name."""
        names = [name for name in losses.TERMS if hasattr(self, f"{name}_weight")]
        return {name: getattr(self, f"{name}_weight") for name in names}

    @property
    def recording_arguments(self) -> dict[str, Any]:
        """The settings that ``clips.load_recordings`` takes: joints, splits and persons."""
        return {name: getattr(self, name) for name in ("layout", "protocol", "folds", "fold", "persons")}

    @property
    def clip_arguments(self) -> dict[str, Any]:
        """The settings that ``clips.load`` takes."""
        return {**self.recording_arguments, "no_gesture_ratio": self.no_gesture_ratio}

    def values(self, execution: bool = True) -> dict[str, Any]:
        """All settings by name, with those of the network: ``choose(**values)`` gives the same settings."""
        names = [item.name for item in fields(self) if execution or not item.metadata.get("execution")]
        names.remove("network")
        return {name: getattr(self, name) for name in names} | dict(self.network)

    def changes(self) -> dict[str, Any]:
        """The settings that differ from the preset of the model, by name."""
        preset = choose(self.preset, self.model, device="cpu", precision="fp32").values(execution=False)
        values = self.values(execution=False)
        return {name: value for name, value in values.items() if value != preset[name]}


def choose(preset: str = "auto", model: str = "posec3d", **changes: Any) -> Settings:
    """The settings of a preset and a model, with ``changes`` by name, those of the network among them.

    ``auto`` stands for: a GPU where there is one as ``device``, bf16 where the processor computes in it as
    ``precision``, ``paper`` with a GPU and ``quick`` without as ``preset``. ``epochs=0``: the preset's.

    Raises ValueError for an unknown name, or what ``Settings`` refuses.
    """
    check_choice("model", model, MODELS)
    check_choice("preset", preset, ("auto", *PRESETS))
    device, precision = changes.pop("device", "auto"), changes.pop("precision", "auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    _check_device(device)
    if precision == "auto":
        precision = _fast_precision(device)
    if preset == "auto":
        preset = "paper" if device.startswith("cuda") else "quick"
    if changes.get("epochs") == 0:
        del changes["epochs"]

    network = MODELS[model].network(preset)
    for name in changes:
        if name not in network and name not in _NAMES:
            near = difflib.get_close_matches(name, [*_NAMES, *network], n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            names = ", ".join([*sorted(_NAMES), *network])
            raise ValueError(f"model {model!r} has no setting {name!r:.100}{meant}; it has {names}")
    values = {**PRESETS[preset], **MODELS[model].presets[preset], **changes}
    for name, example in network.items():
        network[name] = values.pop(name)
        if isinstance(example, tuple) and isinstance(network[name], list):
            network[name] = tuple(network[name])
    return Settings(model=model, preset=preset, network=network, device=device, precision=precision, **values)


_NAMES = frozenset(item.name for item in fields(Settings)) - {"network"}


def names() -> dict[str, Any]:
    """The names of all settings, those of any model's network among them, with an example of a value."""
    values: dict[str, Any] = {}
    for model in MODELS:
        values = choose("quick", model, device="cpu", precision="fp32").values() | values
    return values


def of_parameters(parameters: Mapping[str, Any]) -> Settings:
    """The settings among the parameters of a notebook, whose ``more`` has further ones by name."""
    more = dict(parameters.get("more", {}))
    for name in more:
        if name in parameters:
            raise ValueError(f"more[{name!r}]: {name} is a parameter of its own; set it there")
    settings = {name: value for name, value in parameters.items() if name in names()}
    return choose(**settings, **more)


def check_choice(name: str, value: Any, choices: Any, context: str = "") -> None:
    """Raise ValueError where a parameter has none of the values in ``choices``."""
    if value not in list(choices):
        listed = [repr(item) if item == "" or "," in str(item) else str(item) for item in choices]
        raise ValueError(f"{name} must be one of {', '.join(listed)}{context}, got {value!r:.100}")


def _check(name: str, value: Any, kind: Any, rule: Mapping[str, Any]) -> None:
    """Check the type and the rule of one setting. A float may be given as a whole number."""
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError(f"{name} must be {kind.__name__}, got {shown(value)} ({type(value).__name__})")
    if kind is str:
        _check_text(name, value, rule)
    for number in value if kind is tuple else [value]:
        if kind in (int, float, tuple):
            _check_number(name, number, rule)


def _check_text(name: str, text: str, rule: Mapping[str, Any]) -> None:
    if "\0" in text:
        raise ValueError(f"{name} cannot have a null character, got {shown(text)}")
    if rule.get("choices"):
        check_choice(name, text, rule["choices"])
    parts = text.split("+") if rule.get("parts") and text else []
    for part in parts:
        check_choice(f"a name in {name}", part, rule["parts"])
        if parts.count(part) > 1:
            raise ValueError(f"{name} has {part} twice, and each is applied once; give each name once")


def _check_number(name: str, number: Any, rule: Mapping[str, Any]) -> None:
    if type(number) not in (int, float) or not 0 <= number < MAX_NUMBER:
        raise ValueError(f"{name} must be 0 or more and below 2**63, got {shown(number)}")
    if rule.get("positive") and number == 0:
        raise ValueError(f"{name} must be above 0, got {number!r}")
    if number >= rule.get("below", MAX_NUMBER):
        raise ValueError(f"{name} must be below {rule['below']}, got {number!r}")
    if number > rule.get("most", MAX_NUMBER):
        raise ValueError(f"{name} must be at most {rule['most']:,}, got {number!r}")


def _check_device(device: Any) -> None:
    if not isinstance(device, str) or not re.fullmatch(r"cpu|cuda(:\d{1,4})?", device):
        reason = ""
        if str(device).startswith("mps"):
            reason = "; streams are computed in 64-bit numbers, which mps does not have: use cpu"
        raise ValueError(f"device must be auto, cpu, cuda or cuda:<number>, got {device!r:.100}{reason}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        reason = f"device {device!r} was requested and PyTorch finds no CUDA device"
        raise ValueError(f"{reason}; use 'auto' or 'cpu'")


def _fast_precision(device: str) -> str:
    """bf16 where the processor has instructions for it, else fp32."""
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    # PyTorch has no public function for this. Where a release removes these, fp32 is used, which always
    # works.
    onednn = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    processor = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    supported = onednn is not None and processor is not None and onednn() and processor()
    return "bf16" if supported else "fp32"
