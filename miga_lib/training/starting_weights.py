"""The setting ``start_from``: the weights that a run starts from, and which of them fit other joints or
classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from .. import checkpoints, layouts
from ..readers import DataError
from ..runs import RESULT, run_result, stored_settings
from ..settings import Settings
from .networks import untrained


class Origin(NamedTuple):
    """What weights were trained on, as far as weights depend on it."""

    model: str
    stream: str
    joints: list[str]
    limbs: list[list[int]]
    channels: list[list[str]]
    """Of a heatmap model: the joint of each channel of the input, or the two joints of the limb."""

    @classmethod
    def of(cls, settings: Settings) -> "Origin":
        """The origin of weights that are trained with these settings."""
        skeleton, channels = (
            settings.skeleton,
            settings.of_model.channel_names(settings.stream, layouts.get(settings.layout)),
        )
        return cls(
            settings.model,
            settings.stream,
            [*skeleton.joints],
            [[*limb] for limb in skeleton.limbs],
            [sorted(names) for names in channels],
        )

    @classmethod
    def of_file(cls, path: Path) -> "Origin | None":
        """The origin that a file of ``pretraining`` names; None for a file of another library. Raises
        DataError where it is damaged."""
        stored = checkpoints.origin(path)
        if stored is None:
            return None
        kinds = {"model": str, "stream": str, "joints": list, "limbs": list, "channels": list}
        if {name: type(value) for name, value in stored.items()} != kinds:
            raise DataError(
                f"{path}: expected an origin of {', '.join(kinds)}, found {', '.join(map(str, stored)):.100}"
            )
        return cls(**stored)


def start_weights(
    network: nn.Module, settings: Settings, classes: Sequence[str], embedding_size: int, run: Path
) -> tuple[str, ...]:
    """Give a network of ``build`` the weights of ``settings.start_from``, as far as they fit.

    Weights that depend on the joints (the stem of PoseC3D; batch norm of the input and edge importance of
    ST-GCN) are only taken where the joints and the stream are the same, and those of the head only where the
    classes are the same. The stem of PoseC3D has a channel for each joint or limb: from a run of the same
    stream on other joints, the channels of the joints or limbs that both have are taken. So they are from a
    file of ``pretraining``, which has no head. A checkpoint of another library does not name its joints and
    classes, so their numbers are compared.

    Args:
        run: the folder of the run that starts; ``start_from`` may name a run beside it.

    Returns:
        The names of the tensors that keep their initial values, at least in part.

    Raises:
        ValueError: there is no such run or file, or it is of another model.
        DataError: as ``checkpoints.fitting`` does.
    """
    path, folder = start_file(settings, run)
    head = depending(settings, len(classes), embedding_size, on="classes")
    differing = head if settings.trained == "head" else set()
    ours = Origin.of(settings)
    if folder:
        about = run_result(folder)
        theirs = Origin.of(stored_settings(folder, about["settings"]))
        if about["data"]["classes"] != list(classes):
            differing |= head
    else:
        theirs = Origin.of_file(path) or ours
    if theirs.model != ours.model:
        place = folder or path
        raise ValueError(
            f"{place}: its model is {theirs.model!r:.100}; start a run of model {ours.model!r} from one of the same model"
        )
    if theirs != ours:
        differing |= depending(settings, len(classes), embedding_size, on="joints")
    weights = checkpoints.fitting(path, network, differing)
    if theirs != ours and theirs.stream == ours.stream:
        kept, own = checkpoints.read(path), network.state_dict()
        for name in differing & kept.keys():
            by_channel = (kept[name].shape[1:2], own[name].shape[1:2]) == (
                (len(theirs.channels),),
                (len(ours.channels),),
            )
            if (
                by_channel and kept[name][:, :1].shape == own[name][:, :1].shape
            ):  # not where another width or kernel was trained
                for i, channel in enumerate(ours.channels):
                    if channel in theirs.channels:
                        own[name][:, i] = kept[name][:, theirs.channels.index(channel)]
    network.load_state_dict(weights, strict=False)
    return tuple(name for name in network.state_dict() if name not in weights)


def start_file(settings: Settings, run: Path) -> tuple[Path, Path | None]:
    """The checkpoint that ``start_from`` names, and the folder of its run, if it is of a run. Raises
    ValueError where there is none."""
    given = Path(settings.start_from).expanduser()
    folder = next((path for path in (given, run.parent / given) if (path / RESULT).exists()), None)
    if folder is None and not given.is_file():
        known = sorted(path.parent.name for path in run.parent.glob(f"*/{RESULT}"))
        shown = ", ".join(known[:10]) or "none"
        raise ValueError(
            f"start_from {settings.start_from[:200]!r} is no finished run and no file; finished runs are {shown}"
        )
    return folder / "best.ckpt" if folder else given, folder


def depending(settings: Settings, classes: int, embedding_size: int, on: str) -> set[str]:
    """The names of the tensors whose shapes change with the ``joints``, the number of ``classes``, or the
    size of the ``embedding``."""
    layout = layouts.get(settings.layout)
    count = len(layout.joints) + len(layout.limbs) + 2
    other = layouts.make(
        "another", [f"joint {v}" for v in range(count)], [(v, v + 1) for v in range(count - 1)], 0
    )
    sizes = (layout, classes, embedding_size)
    changed = {
        "joints": (other, classes, embedding_size),
        "classes": (layout, classes + 1, embedding_size),
        "embedding": (layout, classes, embedding_size + 1),
    }
    with torch.device("meta"):
        shapes = [untrained(settings, *of).state_dict() for of in (sizes, changed[on])]
    return {name for name, tensor in shapes[0].items() if tensor.shape != shapes[1][name].shape}
