"""Networks: built from settings, loaded from a finished run, and used for predictions. A new model needs no change here."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from .. import checkpoints, layouts, predictions, runs, streams
from ..clips import Clips
from ..layouts import Layout
from ..predictions import Predictions
from ..readers import DataError
from ..settings import PRESETS, Settings
from . import processes
from .checkpoint import read
from .distributed import World
from .inputs import Inputs


def build(settings: Settings, classes: int, embedding_size: int) -> nn.Module:
    """The untrained network of resolved settings, on its device. Its initial weights depend on the seed only."""
    with seeded(settings.device, settings.seed):
        return _network(settings, layouts.get(settings.layout), classes, embedding_size).to(settings.device)


def _network(settings: Settings, layout: Layout, classes: int, embedding_size: int) -> nn.Module:
    model = settings.of_model
    with torch.device("cpu"):  # counted on real maps, also where the weights get no memory
        channels = model.in_channels(settings.stream, layout)
    return model.build(
        layout,
        channels,
        classes,
        width=settings.width,
        dropout=settings.dropout,
        embedding_size=embedding_size if settings.semantic_weight else 0,
        strategy=settings.strategy,
        **model.sizes[settings.preset].arguments,
    )


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
        skeleton, heatmaps = settings.skeleton, settings.of_model.input == "heatmaps"
        channels = streams.channel_names(settings.stream, layouts.get(settings.layout)) if heatmaps else []
        return cls(
            settings.model, settings.stream, [*skeleton.joints], [[*limb] for limb in skeleton.limbs], [sorted(names) for names in channels]
        )

    @classmethod
    def of_file(cls, path: Path) -> "Origin | None":
        """The origin that a file of ``pretraining`` names; None for a file of another library. Raises DataError where it is damaged."""
        stored = checkpoints.origin(path)
        if stored is None:
            return None
        kinds = {"model": str, "stream": str, "joints": list, "limbs": list, "channels": list}
        if {name: type(value) for name, value in stored.items()} != kinds:
            raise DataError(f"{path}: expected an origin of {', '.join(kinds)}, found {', '.join(map(str, stored)):.100}")
        return cls(**stored)


def start_weights(network: nn.Module, settings: Settings, classes: Sequence[str], embedding_size: int, run: Path) -> tuple[str, ...]:
    """Give a network of ``build`` the weights of ``settings.start_from``, as far as they fit.

    Weights that depend on the joints (the stem of PoseC3D; batch norm of the input and edge importance of ST-GCN) are only taken where
    the joints and the stream are the same, and those of the head only where the classes are the same. The stem of PoseC3D has a channel
    for each joint or limb: from a run of the same stream on other joints, the channels of the joints or limbs that both have are taken.
    So they are from a file of ``pretraining``, which has no head. A checkpoint of another library does not name its joints and classes, so
    their numbers are compared.

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
        about = runs.result(folder)
        theirs = Origin.of(runs.stored_settings(folder, about["settings"]))
        if about["data"]["classes"] != list(classes):
            differing |= head
    else:
        theirs = Origin.of_file(path) or ours
    if theirs.model != ours.model:
        place = folder or path
        raise ValueError(f"{place}: its model is {theirs.model!r:.100}; start a run of model {ours.model!r} from one of the same model")
    if theirs != ours:
        differing |= depending(settings, len(classes), embedding_size, on="joints")
    weights = checkpoints.fitting(path, network, differing)
    if theirs != ours and theirs.stream == ours.stream:
        kept, own = checkpoints.read(path), network.state_dict()
        for name in differing & kept.keys():
            if (kept[name].shape[1:2], own[name].shape[1:2]) == ((len(theirs.channels),), (len(ours.channels),)):
                for i, channel in enumerate(ours.channels):
                    if channel in theirs.channels:
                        own[name][:, i] = kept[name][:, theirs.channels.index(channel)]
    network.load_state_dict(weights, strict=False)
    return tuple(name for name in network.state_dict() if name not in weights)


def start_file(settings: Settings, run: Path) -> tuple[Path, Path | None]:
    """The checkpoint that ``start_from`` names, and the folder of its run, if it is of a run. Raises ValueError where there is none."""
    given = Path(settings.start_from).expanduser()
    folder = next((path for path in (given, run.parent / given) if (path / runs.RESULT).exists()), None)
    if folder is None and not given.is_file():
        known = sorted(path.parent.name for path in run.parent.glob(f"*/{runs.RESULT}"))
        shown = ", ".join(known[:10]) or "none"
        raise ValueError(f"start_from {settings.start_from[:200]!r} is no finished run and no file; finished runs are {shown}")
    return folder / "best.ckpt" if folder else given, folder


def depending(settings: Settings, classes: int, embedding_size: int, on: str) -> set[str]:
    """The names of the tensors whose shapes change with the joints, or with the classes."""
    layout = layouts.get(settings.layout)
    count = len(layout.joints) + len(layout.limbs) + 2
    other = layouts.make("another", [f"joint {v}" for v in range(count)], [(v, v + 1) for v in range(count - 1)], 0)
    changed = (other, classes) if on == "joints" else (layout, classes + 1)
    with torch.device("meta"):
        shapes = [_network(settings, *sizes, embedding_size).state_dict() for sizes in ((layout, classes), changed)]
    return {name for name, tensor in shapes[0].items() if tensor.shape != shapes[1][name].shape}


@contextmanager
def seeded(device: str, seed: int) -> Iterator[None]:
    """A block whose random numbers, on the CPU and on the device, depend on the seed only. The caller's generators are not changed."""
    with torch.random.fork_rng(devices=[torch.device(device)] if device.startswith("cuda") else []):
        torch.manual_seed(seed)
        yield


def load_model(run: Path, device: str = "auto") -> tuple[nn.Module, Settings]:
    """The network that a finished run kept, and its settings for this device: the arguments of ``predict``."""
    result = runs.result(run)
    settings = runs.stored_settings(run, result["settings"], device)
    model = build(settings, len(result["data"]["classes"]), result["embedding_size"])
    model.load_state_dict(read(run / "best.ckpt")["model"])
    return model.eval(), settings


def predict(model: nn.Module, clips: Clips, settings: Settings, world: World | None = None) -> Predictions:
    """Predictions of clips by a model, from their test views. Settings are resolved. Each process predicts its share of the clips."""
    memory = nullcontext() if world else processes.kept_memory()  # `fit`, which passes its world, is already within it
    world = world or World()
    share = clips.where(world.share(torch.arange(len(clips))).numpy())
    predicted = None
    model = settings.of_model.for_prediction(model.eval())
    if len(share):
        inputs = Inputs(share, settings)
        at_once = max(1, PRESETS[settings.preset].test_batch_size // inputs.temporal_views)
        with autocast(settings), memory:
            predicted = predictions.predict(model, share, inputs.views, at_once)
    return world.gather(predicted, clips.table["id"].to_numpy(str))


def autocast(settings: Settings) -> torch.autocast:
    """The numerical precision of resolved settings, as a block."""
    return torch.autocast(torch.device(settings.device).type, torch.bfloat16, enabled=settings.precision == "bf16")
