"""What keeps a GPU busy: inputs computed beside the network, values read later, a compiled network. A CPU
computes one after the other."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from ..settings import Settings

Network = Callable[..., tuple[Tensor, Tensor]]
"""Inputs → class logits and label embeddings: a module, or what stands for it."""
SIDE_STREAMS: dict[str, torch.cuda.Stream] = {}
"""The side stream of each device; PyTorch keeps freed memory for its stream, so more would need more."""


def side_stream(settings: Settings) -> torch.cuda.Stream | None:
    """A stream for ``ahead``, whose work begins after all work that was started before; None on a CPU, and
    where the settings do not ask for it."""
    device = settings.device
    if not (settings.side_stream and device.startswith("cuda")):
        return None
    if device not in SIDE_STREAMS:
        # Its many small kernels come before the few large ones of the network.
        SIDE_STREAMS[device] = torch.cuda.Stream(device, priority=-1)
    side = SIDE_STREAMS[device]
    side.wait_stream(torch.cuda.current_stream(device))
    return side


def ahead(
    batches: Iterable[tuple[Tensor, ...]], side: torch.cuda.Stream | None
) -> Iterator[tuple[Tensor, ...]]:
    """The same batches, computed on the side stream while the caller's stream works on the ones before.

    So a wait for the device within ``batches`` is one for the side stream only.
    """
    if side is None:
        yield from batches
        return
    own, source = torch.cuda.current_stream(side.device), iter(batches)
    while True:
        with torch.cuda.stream(side):
            batch = next(source, None)
        if batch is None:
            return
        own.wait_stream(side)
        for tensor in batch:
            tensor.record_stream(own)  # else its memory could be used again while `own` still reads it
        yield batch


def read_later(values: Tensor) -> Callable[[], Tensor]:
    """Begin to copy values to the CPU. The result returns the copy, and waits only for earlier work."""
    copy = values.to("cpu", non_blocking=True)  # into pinned memory
    if not values.is_cuda:
        return lambda: copy
    copied = torch.cuda.current_stream(values.device).record_event()

    def wait() -> Tensor:
        copied.synchronize()
        return copy

    return wait


def compiled(network: Network, settings: Settings, clips: int) -> Network:
    """The network, compiled for batches of so many clips where that saves time: in long runs on a GPU."""
    long = settings.device.startswith("cuda") and settings.preset == "paper"
    return CompiledNetwork(network, clips) if long and settings.architecture.compiles else network


class CompiledNetwork:
    """A network that is compiled at its first batch of ``clips``; other batches are computed as usual.

    Compiling takes up to a minute and makes a GPU 1.9 times as fast. Where it fails, as without a compiler or
    Triton, a line says so and the network stays as it is.
    """

    def __init__(self, network: Network, clips: int) -> None:
        self.network, self.clips = network, clips
        self.fast: Network = torch.compile(network, dynamic=False)
        self.tried = False

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        if len(inputs) != self.clips:
            return self.network(inputs)
        if self.tried:
            return self.fast(inputs)
        self.tried = True
        try:
            return self.fast(inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            text = "This machine cannot compile the network, so training is slower than it could be"
            print(f"{text} ({reason})", flush=True)
            self.fast = self.network
            return self.network(inputs)
