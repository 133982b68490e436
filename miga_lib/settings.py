"""``Settings`` of a run, and the presets, which give the values that settings leave open."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from . import alignment, augmentation, denoising, layouts, losses
from .layouts import Layout
from .models import KEPT, MODELS, Model
from .readers import shown

PRECISIONS = ("auto", "fp32", "bf16")
DEVICES = "auto, cpu, cuda or cuda:<number>"
MOST = 2**63
"""Settings are smaller: PyTorch computes in whole numbers of 64 bits."""


@dataclass(frozen=True)
class Preset:
    """The size of the input, and the schedule. The size of a network in each preset is in its row of
    ``models.MODELS``.

    Where a setting of ``IN_PRESET`` is 0, the field with its name is used.
    """

    epochs: int
    batch_size: int
    frames: int
    size: int
    """Side of a heatmap in training, in pixels."""
    test_size: int
    dropout: float
    segment_clips: int
    """Number of temporal views of a test clip where ``temporal`` is ``segments``."""
    test_batch_size: int = 32
    weight_decay: float = 3e-4
    momentum: float = 0.9
    min_steps: int = 0
    """The least number of optimiser steps of a run: on a small data set it has more epochs."""


PRESETS = {
    "smoke": Preset(epochs=2, batch_size=16, frames=8, size=16, test_size=16, dropout=0.0, segment_clips=2),
    "quick": Preset(epochs=60, batch_size=16, frames=8, size=16, test_size=16, dropout=0.3, segment_clips=4),
    # The recipe of the paper.
    "paper": Preset(
        epochs=100, batch_size=24, frames=48, size=56, test_size=64, dropout=0.5, segment_clips=10
    ),
}


@dataclass(frozen=True)
class Settings:
    """Everything besides the clips that determines the result of a run.

    In the numbers of ``IN_PRESET`` and ``OF_MODEL`` 0 means the preset's value; in the others 0 is a value,
    which for most means off. ``auto`` is chosen by machine, preset or model. ``resolve`` fills both in.

    Raises:
        ValueError: a setting has a value that it cannot have, or one of another type; the message names the
            setting, what is possible and the value found.
    """

    model: str = "posec3d"
    stream: str = "joint"
    layout: str = "imigue41"
    temporal: str = "align"
    semantic_weight: float = 20.0
    """Weight of the semantic loss; 0: no semantic loss."""
    preset: str = "auto"
    epochs: int = 0
    batch_size: int = 0
    learning_rate: float = 0.0
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    partition: str = "spatial"
    """How a graph model partitions the neighbours of a joint; heatmap models ignore it."""
    embeddings: str = ""
    """Table of class embeddings, see ``labels.embeddings``; empty: the table of the package."""
    frames: int = 0
    """T, the number of frames that every clip is resampled to."""
    size: int = 0
    """Side of a heatmap in training, in pixels; test heatmaps keep the preset's ratio to it."""
    width: int = 0
    """Channels of the network's first layer; the other layers have multiples of it."""
    dropout: float = 0.0
    """Share of values dropped, below 1. 0 is the preset's value; for a network without dropout, set a tiny
    value such as 1e-9."""
    weight_decay: float = 0.0
    """0 is the preset's value; for no weight decay, set a tiny value such as 1e-12."""
    protocol: str = ""
    """The way in which the source is split, see ``clips.load``; empty: its first one."""
    folds: int = 0
    """Cross-validation in so many folds, of which ``fold`` is the test split; 0: none."""
    fold: int = 0
    persons: int = 1
    """2: the second person of a clip is kept."""
    no_gesture_ratio: float = 0.0
    """Clips of no gesture for each gesture: parts of the gaps of whole videos, as a class more, see
    ``no_gesture.draw``; 0: none."""
    denoise: str = ""
    """Names of ``denoising.FILTERS``, joined by ``+``, such as ``swaps+outliers+gaps``: applied to all clips,
    in training and in test."""
    start_from: str = ""
    """Weights to start from: the name or folder of a run, or a checkpoint of PySkl or ST-GCN; empty: random
    weights."""
    kept_learning_rate: float = 0.0
    """Initial learning rate of the weights that ``start_from`` gave; 0: that of the others."""
    trained: str = "all"
    """``head``: only the weights that ``start_from`` did not give are trained, at least the classifier (cRT
    of Kang et al., ICLR 2020, with ``sampling`` by class). Batch norm keeps its statistics, and there is no
    dropout."""
    min_steps: int = 0
    """The least number of optimiser steps: on a small data set there are more epochs. With 0, and where
    ``epochs`` is not set, the preset's."""
    warmup: float = 0.0
    """Share of all steps in which the learning rate rises linearly from 0."""
    weight_average: float = 0.0
    """Decay of the exponential moving average of the weights, a value for each step; validation and test use
    the average. 0: none."""
    patience: int = 0
    """Training stops after so many epochs without a better validation top-1, and not before ``min_steps``; 0:
    never."""
    keep: str = "auto"
    """The epoch whose network is kept and evaluated: the ``best`` on validation, or the ``last``; ``auto``:
    as the preset of the model, and with ``patience`` the best."""
    augment: str = ""
    """Names of ``augmentation.AUGMENTATIONS``, and ``shorten``, joined by ``+``, such as
    ``rotate+drop_joints``."""
    mixing: float = 0.0
    """Mixup (Zhang et al., ICLR 2018): inputs and losses of two clips are averaged, with a weight from
    Beta(mixing, mixing); 0: none."""
    label_smoothing: float = 0.0
    """Share of the target probability that cross-entropy gives to all classes equally."""
    logit_adjustment: float = 0.0
    """τ of the logit-adjusted cross-entropy, see ``losses.cross_entropy``; 1 is the balanced softmax. 0:
    none."""
    sampling: str = "clips"
    """How training clips are drawn: each once an epoch (``clips``), or with replacement so that each class is
    equally likely (``classes``), or likely as the square root of its number of clips (``square_root``)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            check_type(field.name, getattr(self, field.name), field.type)
        of_model = f" for model {self.model!r}"
        check_choice("model", self.model, MODELS)
        check_choice("stream", self.stream, MODELS[self.model].streams, of_model)
        for name, known in CHOICES.items():
            check_choice(name, getattr(self, name), known)
        if layouts.is_file(self.layout):
            layouts.get(self.layout)
        else:
            check_choice("layout", self.layout, [*layouts.names(), "the path of a .json file"])
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is str and "\0" in value:
                raise ValueError(f"{field.name} cannot have a null character, got {shown(value)}")
            if field.type in (int, float) and not 0 <= value < MOST:
                raise ValueError(f"{field.name} must be 0 or more and below 2**63, got {shown(value)}")
        if self.folds and not self.fold < self.folds:
            raise ValueError(f"fold must be 0 to {self.folds - 1} with {self.folds} folds, got {self.fold!r}")
        if self.fold and not self.folds and not self.protocol:
            raise ValueError(f"fold {self.fold!r} is of a cross-validation; set `folds`, too")
        if self.persons not in (1, 2):
            raise ValueError(f"persons must be 1 or 2, got {self.persons!r}")
        if self.kept_learning_rate and not self.start_from:
            raise ValueError(
                "kept_learning_rate is of the weights that `start_from` gives; set `start_from`, too"
            )
        if self.trained == "head" and not self.start_from:
            raise ValueError(
                "trained 'head' keeps the other weights, which `start_from` gives; set `start_from`, too"
            )
        for name in ("dropout", "warmup", "weight_average", "label_smoothing"):
            if getattr(self, name) >= 1:
                raise ValueError(f"{name} must be below 1, got {getattr(self, name)!r}")
        for setting, names in (
            ("augment", ["shorten", *augmentation.AUGMENTATIONS]),
            ("denoise", [*denoising.FILTERS]),
        ):
            given = getattr(self, setting).split("+") if getattr(self, setting) else []
            for name in given:
                check_choice(f"a name in {setting}", name, names)
            if twice := next((name for name in given if given.count(name) > 1), ""):
                raise ValueError(
                    f"{setting} has {twice} twice, and each is applied once; give each name once"
                )
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,4})?", self.device):
            reason = (
                "; streams are computed in 64-bit numbers, which mps does not have: use cpu"
                * self.device.startswith("mps")
            )
            raise ValueError(f"device must be {DEVICES}, got {self.device!r:.100}{reason}")
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(
                f"device {self.device!r} was requested and PyTorch finds no CUDA device; use 'auto' or 'cpu'"
            )

    @classmethod
    def choose(cls, parameters: Mapping[str, Any]) -> "Settings":
        """The settings among the parameters of a notebook; other parameters are ignored.

        The parameter ``more`` is a dict of further settings, for the fields that a notebook does not list.

        Raises:
            ValueError: ``more`` has a name that is not a setting, a setting that is also a parameter, or a
                value of the wrong type.
        """
        known = {field.name: field.type for field in fields(cls)}
        more = dict(parameters.get("more", {}))
        for name, value in more.items():
            if name in parameters:
                raise ValueError(f"more[{name!r}]: {name} is a parameter of its own; set it there")
            check_choice("a name in more", name, [field for field in known if field not in parameters])
            check_type(f"more[{name!r}]", value, known[name])
        return cls(**{name: parameters[name] for name in known if name in parameters} | more)

    @classmethod
    def of_run(cls, stored: Mapping[str, Any], device: str = "cpu") -> "Settings":
        """The resolved settings that a run stored, on another device. A setting that is newer than the run
        has the value that does what earlier versions did.

        Raises:
            ValueError: a setting that this version does not know, or what ``Settings`` refuses.
        """
        known = {field.name: field.type for field in fields(cls)}
        for name, value in stored.items():
            if name not in known:
                raise ValueError(
                    f"the run has a setting {name!r:.100} that this version of miga_lib does not know; update it"
                )
            check_type(f"the run's {name}", value, known[name])
        before: dict[str, Any] = {"keep": "best"}
        if stored.get("preset") == "quick":  # its size then; `smoke` and `paper` still have theirs
            before |= {"frames": 12, "size": 20}
        # Earlier versions took a name that was given twice as one.
        lists = {
            name: "+".join(dict.fromkeys(filter(None, stored[name].split("+"))))
            for name in ("augment", "denoise")
            if name in stored
        }
        return cls(**{**before, **stored, **lists, "device": device, "precision": "auto"}).resolve()

    def resolve(self) -> "Settings":
        """These settings, with every 0 and ``auto`` replaced by the value that it stands for on this
        machine."""
        device = self.device if self.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        name = self.preset if self.preset != "auto" else "paper" if device.startswith("cuda") else "quick"
        precision = self.precision if self.precision != "auto" else _fast_precision(device)
        filled = {field: getattr(self, field) or value for field, value in self._defaults(name).items()}
        if self.epochs:
            filled["min_steps"] = self.min_steps
        if self.keep == "auto":
            filled["keep"] = self._defaults(name)["keep"]
        return replace(self, preset=name, device=device, precision=precision, **filled)

    def differing(self) -> dict[str, Any]:
        """The values that differ from the preset, by name, of resolved settings."""
        defaults = self._defaults(self.preset)
        return {
            name: getattr(self, name)
            for name, value in defaults.items()
            if getattr(self, name) not in (value, 0)
        }

    def _defaults(self, preset: str) -> dict[str, Any]:
        """The values that 0 stands for in a preset, by setting."""
        size = MODELS[self.model].sizes[preset]
        common = {name: getattr(PRESETS[preset], name) for name in IN_PRESET}
        of_patience = {"keep": "best"} if self.patience else {}
        return common | {name: getattr(size, name) for name in OF_MODEL} | of_patience

    @property
    def skeleton(self) -> Layout:
        """The layout of the clips: ``layout``, for two persons twice. Raises ValueError as ``layouts.get``
        does."""
        layout = layouts.get(self.layout)
        return layouts.pair(layout) if self.persons == 2 else layout

    @property
    def clip_arguments(self) -> dict[str, Any]:
        """The settings that ``clips.load`` takes: those of ``recording_arguments``, and the clips of gaps."""
        return {**self.recording_arguments, "no_gesture_ratio": self.no_gesture_ratio}

    @property
    def recording_arguments(self) -> dict[str, Any]:
        """The settings that ``clips.load_recordings`` takes, too: the layout, how clips are divided, and how many
        persons each has."""
        return {name: getattr(self, name) for name in ("layout", "protocol", "folds", "fold", "persons")}

    @property
    def of_model(self) -> Model:
        """The row of the model in ``models.MODELS``."""
        return MODELS[self.model]

    @property
    def augmentations(self) -> tuple[str, ...]:
        """The names in ``augment``, in the order in which they are applied."""
        return tuple(
            name for name in ("shorten", *augmentation.AUGMENTATIONS) if name in self.augment.split("+")
        )

    @property
    def test_size(self) -> int:
        """Side of a heatmap in test, in pixels; of resolved settings."""
        preset = PRESETS[self.preset]
        return round(self.size * preset.test_size / preset.size)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each term of the loss that has one, by the term's name."""
        return {
            name: getattr(self, f"{name}_weight") for name in losses.TERMS if hasattr(self, f"{name}_weight")
        }


CHOICES = {
    "temporal": alignment.METHODS,
    "preset": ("auto", *PRESETS),
    "precision": PRECISIONS,
    "partition": layouts.PARTITIONS,
    "trained": ("all", "head"),
    "keep": ("auto", *KEPT),
    "sampling": ("clips", "square_root", "classes"),
}
"""Possible values of settings that have a fixed set of them."""
OPTIONS = (
    "denoise", "trained", "warmup", "weight_average", "patience", "augment", "mixing", "label_smoothing", "logit_adjustment", "sampling",
    "no_gesture_ratio",
)  # fmt: skip
"""Settings that are switched off by default; a run's name shows those that are not. A new one must stand
here, or two runs that differ in it alone get the same name."""
IN_PRESET = ("epochs", "batch_size", "frames", "size", "dropout", "weight_decay", "min_steps")
"""Settings whose preset value is the same for all models."""
OF_MODEL = ("learning_rate", "width", "keep")
"""Settings whose preset value depends on the model."""


def check_choice(name: str, value: Any, known: Any, about: str = "") -> None:
    """Check that a parameter has one of the values in ``known``.

    Raises:
        ValueError: it does not; the message names the parameter, the possible values and the value found.
    """
    if value not in list(known):
        shown = (repr(one) if one == "" or "," in str(one) else str(one) for one in known)
        raise ValueError(f"{name} must be one of {', '.join(shown)}{about}, got {value!r:.100}")


def check_type(name: str, value: Any, kind: Any) -> None:
    """Check that a value is of the type of a setting; a float may be given as a whole number. Raises
    ValueError where it is not."""
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError(f"{name} must be {kind.__name__}, got {shown(value)} ({type(value).__name__})")


def _fast_precision(device: str) -> str:
    """bf16 where the processor has instructions for it, else fp32."""
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    # PyTorch has no public function for this. Where a release removes these, fp32 is used, which always
    # works.
    checks = (
        getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None),
        getattr(torch.cpu, "_is_avx512_bf16_supported", None),
    )
    return "bf16" if all(check is not None and check() for check in checks) else "fp32"
