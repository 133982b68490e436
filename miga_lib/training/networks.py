"""Networks: built from settings, loaded from a finished run, and used for predictions. A new model needs no change here.

Where a run starts from other weights than random ones: ``starting_weights``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import layouts, predictions, runs
from ..clips import Clips
from ..layouts import Layout
from ..predictions import Predictions
from ..settings import PRESETS, Settings
from . import processes
from .checkpoint import read
from .distributed import World
from .inputs import Inputs


def build(settings: Settings, classes: int, embedding_size: int) -> nn.Module:
    """The untrained network of resolved settings, on its device. Its initial weights depend on the seed only."""
    with seeded(settings.device, settings.seed):
        return untrained(settings, layouts.get(settings.layout), classes, embedding_size).to(settings.device)


def untrained(settings: Settings, layout: Layout, classes: int, embedding_size: int) -> nn.Module:
    """The network of resolved settings for any layout, on the device and with the random numbers of the caller."""
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


def compiled(network: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The network, compiled at its first batch. Where that fails, as without a compiler or Triton, a line says so and it stays as it is."""
    fast, chosen = torch.compile(network, dynamic=False), None

    def run(inputs: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal chosen
        if chosen is None:
            try:
                output = fast(inputs)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                print(f"This machine cannot compile the network, so training is slower than it could be ({reason})", flush=True)
                chosen = network
            else:
                chosen = fast
                return output
        return chosen(inputs)

    return run


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
