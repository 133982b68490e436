"""Networks: built from settings, loaded from a finished run, and used for predictions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from .. import layouts
from ..clips import Clips
from ..layouts import Layout
from ..predictions import Predictions
from ..runs import run_result, stored_settings
from ..settings import Settings
from . import gpu, processes
from .checkpoint import read
from .distributed import World
from .inputs import TEST_BATCH_SIZE, Inputs, inputs_of


def build(settings: Settings, classes: int, embedding_size: int) -> nn.Module:
    """The untrained network of settings, on its device. Its initial weights depend on the seed only."""
    with seeded(settings.device, settings.seed):
        return untrained(settings, layouts.get(settings.layout), classes, embedding_size).to(settings.device)


def untrained(settings: Settings, layout: Layout, classes: int, embedding_size: int) -> nn.Module:
    """The network of settings for any layout, on the device and with the random numbers of the caller."""
    model = settings.architecture
    with torch.device("cpu"):  # counted on real maps, also where the weights get no memory
        channels = model.in_channels(settings.stream, layout)
    options = {"dropout": settings.dropout, "embedding_size": embedding_size, **settings.network}
    return model.build(layout, channels, classes, **options)


@contextmanager
def seeded(device: str, seed: int) -> Iterator[None]:
    """A block whose random numbers depend on the seed only. The caller's generators are not changed."""
    with torch.random.fork_rng(devices=[torch.device(device)] if device.startswith("cuda") else []):
        torch.manual_seed(seed)
        yield


def load_model(run: Path, device: str = "auto") -> tuple[nn.Module, Settings]:
    """The network of a finished run, and its settings for this device: the arguments of ``predict``."""
    result = run_result(run)
    settings = stored_settings(run, result["settings"], device)
    model = build(settings, len(result["data"]["classes"]), result["embedding_size"])
    model.load_state_dict(read(run / "best.ckpt")["model"])
    return model.eval(), settings


def predict(model: nn.Module, clips: Clips, settings: Settings, world: World | None = None) -> Predictions:
    """Probabilities of each clip, averaged over its test views. The model is left in evaluation mode.

    Each process of a ``world`` predicts its share of the clips.
    """
    # `fit`, which passes its world, is already within it.
    memory = nullcontext() if world else processes.kept_memory()
    world = world or World()
    share = clips.where(world.share(torch.arange(len(clips))).numpy())
    predicted = None
    model = settings.architecture.for_prediction(model.eval())
    if len(share):
        with autocast(settings), memory:
            probabilities = _probabilities(model, inputs_of(share, settings)).numpy()
        ids, classes = share.table["id"].to_numpy(str), share.table["label"].to_numpy()
        predicted = Predictions(ids, classes, probabilities, np.array(clips.classes))
    return world.gather(predicted, clips.table["id"].to_numpy(str))


@torch.inference_mode()
def _probabilities(model: nn.Module, inputs: Inputs) -> Float64[Tensor, "N K"]:
    """The mean of each clip's probabilities over its test views."""
    averages: list[Callable[[], Tensor]] = []
    side = gpu.side_stream(inputs.settings)
    for rows in torch.arange(len(inputs)).split(max(1, TEST_BATCH_SIZE // inputs.temporal_views)):
        # Each call of the model takes the same number of views of every clip, clip after clip.
        views = []
        for view in gpu.ahead(inputs.views(rows), side):
            views.append(model(*view)[0].float().softmax(1).unflatten(0, (len(rows), -1)))
        averages.append(gpu.read_later(torch.cat(views, dim=1).mean(1).double()))
        if len(averages) > 1:  # wait for the clips before: inputs of many batches would fill a GPU's memory
            averages[-2]()
    return torch.cat([read() for read in averages])


def autocast(settings: Settings) -> torch.autocast:
    """The numerical precision of settings, as a block."""
    device = torch.device(settings.device).type
    return torch.autocast(device, torch.bfloat16, enabled=settings.precision == "bf16")
