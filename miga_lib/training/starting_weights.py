"""The setting ``start_from``: start weights, and which of them fit other joints or classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .. import checkpoints, layouts
from ..runs import run_result, start_checkpoint, stored_settings
from ..settings import Settings
from .networks import untrained


class Origin(NamedTuple):
    """What weights depend on."""

    model: str
    stream: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    channels: list[frozenset[str]]
    """Of a heatmap model: the joint of each channel of the input, or the two joints of the limb."""

    @classmethod
    def of(cls, settings: Settings) -> "Origin":
        skeleton = settings.skeleton
        channels = settings.architecture.channel_names(settings.stream, layouts.get(settings.layout))
        return cls(settings.model, settings.stream, skeleton.joints, skeleton.limbs, channels)


def start_weights(
    network: nn.Module, settings: Settings, classes: Sequence[str], embedding_size: int, run: Path
) -> tuple[str, ...]:
    """Give a network of ``build`` the weights of ``settings.start_from``, as far as they fit.

    Weights that depend on the joints are only taken where joints and stream are the same, and those of the
    head only where the classes are. The stem of PoseC3D has a channel for each joint or limb: from a run of
    the same stream on other joints, the channels that both have are taken. A checkpoint of another library
    does not name its joints and classes, so their numbers are compared.

    Args:
        run: the folder of the run that starts; ``start_from`` may name a run beside it.

    Returns:
        The names of the tensors that keep their initial values, at least in part.

    Raises:
        ValueError: there is no such run or file, or it is of another model.
        DataError: as ``checkpoints.fitting`` does.
    """
    path, folder = start_checkpoint(settings.start_from, run)
    target = source = Origin.of(settings)
    differing: set[str] = set()
    if folder:
        result = run_result(folder)
        source = Origin.of(stored_settings(folder, result["settings"]))
        if result["data"]["classes"] != list(classes):
            differing |= depending(settings, len(classes), embedding_size, on="classes")
    if source.model != target.model:
        way_out = f"start a run of model {target.model!r} from one of the same model"
        raise ValueError(f"{folder}: its model is {source.model!r:.100}; {way_out}")
    if source != target:
        differing |= depending(settings, len(classes), embedding_size, on="joints")
    weights = checkpoints.fitting(path, network, differing)
    if source != target and source.stream == target.stream:
        _copy_channels(checkpoints.read(path), network.state_dict(), differing, source, target)
    network.load_state_dict(weights, strict=False)
    return tuple(name for name in network.state_dict() if name not in weights)


def _copy_channels(
    stored: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    names: set[str],
    source: Origin,
    target: Origin,
) -> None:
    """Copy, in the named tensors with an axis of channels, those of the joints or limbs that both have."""
    for name in names & stored.keys():
        old, new = stored[name], weights[name]
        channels = old.shape[1:2] == (len(source.channels),) and new.shape[1:2] == (len(target.channels),)
        if not channels or old[:, :1].shape != new[:, :1].shape:  # another width or kernel
            continue
        for i, channel in enumerate(target.channels):
            if channel in source.channels:
                new[:, i] = old[:, source.channels.index(channel)]


def depending(settings: Settings, classes: int, embedding_size: int, on: str) -> set[str]:
    """The names of the tensors whose shapes change with the ``joints``, or with the number of ``classes``."""
    layout = layouts.get(settings.layout)
    other_layout, other_classes = layout, classes + 1
    if on == "joints":
        joints = [f"joint {v}" for v in range(len(layout.joints) + len(layout.limbs) + 2)]
        limbs = [(v, v + 1) for v in range(len(joints) - 1)]
        other_layout, other_classes = layouts.make("another", joints, limbs, 0), classes
    with torch.device("meta"):
        weights = untrained(settings, layout, classes, embedding_size).state_dict()
        others = untrained(settings, other_layout, other_classes, embedding_size).state_dict()
    return {name for name, tensor in weights.items() if tensor.shape != others[name].shape}
