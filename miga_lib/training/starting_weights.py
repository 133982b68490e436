"""The setting ``start_from``: start weights, and which of them fit other joints or classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import checkpoints, layouts
from ..runs import run_result, start_checkpoint, stored_settings
from ..settings import Settings
from .networks import untrained


def start_weights(
    network: nn.Module, settings: Settings, classes: Sequence[str], embedding_size: int, run: Path
) -> tuple[str, ...]:
    """Give a network of ``build`` the weights of ``settings.start_from``, as far as they fit. Returns the
    names of the tensors that keep their initial values, at least in part.

    Weights that depend on the joints are only taken where joints and stream are the same, and those of the
    head only where the classes are. The stem of PoseC3D has a channel for each joint or limb: from a run of
    the same stream on other joints, the channels that both have are taken. A checkpoint of another library
    does not name its joints and classes, so their numbers are compared.

    Args:
        run: the folder of the run that starts; ``start_from`` may name a run beside it.

    Raises:
        ValueError: there is no such run or file, or it is of another model.
        DataError: as ``checkpoints.fitting`` does.
    """
    path, folder = start_checkpoint(settings.start_from, run)
    stems: set[str] = set()
    heads: set[str] = set()
    source = settings
    if folder:
        result = run_result(folder)
        source = stored_settings(folder, result["settings"])
        if source.model != settings.model:
            way_out = f"start a run of model {settings.model!r} from one of the same model"
            raise ValueError(f"{folder}: its model is {source.model!r:.100}; {way_out}")
        if result["data"]["classes"] != list(classes):
            heads = depending(settings, len(classes), embedding_size, on="classes")
        old, new = source.skeleton, settings.skeleton
        if (source.stream, old.joints, old.limbs) != (settings.stream, new.joints, new.limbs):
            stems = depending(settings, len(classes), embedding_size, on="joints")
    weights = checkpoints.fitting(path, network, stems | heads)
    if stems and source.stream == settings.stream:
        _copy_channels(
            checkpoints.read(path), network.state_dict(), stems, _channels(source), _channels(settings)
        )
    network.load_state_dict(weights, strict=False)
    return tuple(name for name in network.state_dict() if name not in weights)


Channels = list[frozenset[str]]


def _channels(settings: Settings) -> Channels:
    """The joint or the two joints of a limb in each channel of the input of a heatmap model."""
    return settings.architecture.channel_names(settings.stream, layouts.get(settings.layout))


def _copy_channels(
    stored: Mapping[str, Tensor], weights: Mapping[str, Tensor], names: set[str], old: Channels, new: Channels
) -> None:
    """Copy, in the named tensors with an axis of channels, those of the joints or limbs that both have."""
    for name in names & stored.keys():
        source, target = stored[name], weights[name]
        channels = source.shape[1:2] == (len(old),) and target.shape[1:2] == (len(new),)
        if channels and source[:, :1].shape == target[:, :1].shape:  # the same width and kernel
            for i, channel in enumerate(new):
                if channel in old:
                    target[:, i] = source[:, old.index(channel)]


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
