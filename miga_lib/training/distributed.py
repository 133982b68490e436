"""The processes that train together: a single one, or those that ``torchrun`` started, with PyTorch's
DistributedDataParallel.

The result does not depend on their number: ``batch_size`` counts the clips of all processes, gradients are
those of the mean over the whole batch, and batch norm uses the whole batch on any device. So learning rate
and schedule do not depend on it either.
"""

import gc
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ..predictions import Predictions, concatenate

BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

TIMEOUT = timedelta(hours=2)
"""How long processes wait for one that reads clips. ``torchrun`` detects at once that a process died."""


@dataclass(frozen=True)
class World:
    """This process as number ``rank`` of ``size`` processes. Only the process with rank 0 writes files."""

    rank: int = 0
    size: int = 1

    def device(self, requested: str) -> str:
        """The device of this process. Each of several processes has its own GPU, if there are enough.

        Raises ValueError where one certain GPU is requested for several processes.
        """
        if self.size == 1 or not requested.startswith("cuda"):
            return requested
        if requested != "cuda":
            rule = f"auto, cpu or cuda where {self.size} processes train together"
            raise ValueError(f"device must be {rule}, got {requested!r}")
        return f"cuda:{_gpu()}"

    def share(self, rows: Int[Tensor, " n"]) -> Int[Tensor, " m"]:
        """The rows that this process computes. Each row is in the share of exactly one process."""
        return rows[self.rank :: self.size]

    def wrap(self, model: nn.Module, device: str) -> nn.Module:
        """The model with gradients averaged over all processes, and batch norm over the clips of all.

        PyTorch has such a batch norm for GPUs only; on other devices ``normalise`` is used.
        """
        if self.size == 1:
            return model
        # This warning is about kernels of one pixel, whose strides have no effect, so nothing is slower.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        if device.startswith("cuda"):
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
            return DistributedDataParallel(model, device_ids=[torch.device(device)])
        for layer in model.modules():
            if isinstance(layer, BATCH_NORM):
                layer.forward = partial(normalise, layer)  # type: ignore[method-assign]  # of this one layer
        return DistributedDataParallel(model)

    def sum(self, values: Float64[Tensor, " values"]) -> Float64[Tensor, " values"]:
        """The sum over all processes, on the CPU."""
        if self.size > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def gather(self, predictions: Predictions | None, ids: np.ndarray) -> Predictions:
        """The predictions of all processes in the order of ``ids``; a process without clips passes None."""
        gathered: list[Predictions | None] = [predictions] * self.size
        if self.size > 1:
            distributed.all_gather_object(gathered, predictions)
        return concatenate([part for part in gathered if part is not None]).of(ids)

    def from_first(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The result of a function that only the first process calls, so that all act on the same files."""
        result = [function(*arguments) if self.rank == 0 else None]
        if self.size > 1:
            distributed.broadcast_object_list(result)
        return result[0]

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process runs the block alone; then the others run it, and find the files of the first."""
        if self.rank > 0:
            self.wait()
        yield
        if self.rank == 0:
            self.wait()

    def wait(self) -> None:
        """Return when every process has called this."""
        self.sum(torch.zeros(1, dtype=torch.float64))


def join(device: str) -> World:
    """The world that ``torchrun`` describes in environment variables, or this process alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return World()
    if not distributed.is_initialized():
        if device.startswith("cuda"):
            torch.cuda.set_device(_gpu())
        store, rank, size = next(distributed.rendezvous("env://", timeout=TIMEOUT))
        place: dict[str, Any] = {"store": _fresh(store), "rank": rank, "world_size": size}
        distributed.init_process_group(_backend(device), timeout=TIMEOUT, **place)
    return World(distributed.get_rank(), distributed.get_world_size())


def _gpu() -> int:
    return int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count()


def _backend(device: str) -> str:
    """NCCL takes one process for each GPU, so processes that share a GPU use gloo.

    Small messages go through the CPU on any machine, so that tests without a GPU cover them.
    """
    own = device.startswith("cuda") and int(os.environ["LOCAL_WORLD_SIZE"]) <= torch.cuda.device_count()
    return "cpu:gloo,cuda:nccl" if own else "gloo"


def _fresh(store: distributed.Store) -> distributed.Store:
    """A part of torchrun's store without the addresses from before a restart, which make the restart fail
    (PyTorch issue 135712).

    Raises ValueError where several nodes restart without the environment variable that they need.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return store
    if int(os.environ["GROUP_WORLD_SIZE"]) == 1:
        return distributed.PrefixStore(f"start {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    if int(os.environ["TORCHELASTIC_MAX_RESTARTS"]):  # nodes can count restarts differently
        needed = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the environment of each torchrun"
        raise ValueError(f"--max-restarts on several nodes needs {needed}")
    return store


def leave() -> None:
    """Leave the process group that ``join`` created."""
    if distributed.is_initialized():
        gc.collect()  # a wrapped model that exists when the interpreter ends can make it abort
        distributed.destroy_process_group()


class Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; backward, the sum of its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total


def normalise(
    layer: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d, x: Float[Tensor, "N C *rest"]
) -> Float[Tensor, "N C *rest"]:
    """A batch norm layer's forward pass, over the shares of all processes, which may differ in size."""
    if not layer.training:
        return nn.functional.batch_norm(
            x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps
        )
    axes, shape, wide = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)], x.float()
    count = Sum.apply(wide.new_tensor([x.numel() // x.shape[1]]))
    mean = Sum.apply(wide.sum(axes)) / count
    centred = wide - mean.view(shape)
    variance = Sum.apply(centred.square().sum(axes)) / count
    with torch.no_grad():
        momentum = layer.momentum
        assert momentum is not None, "batch norm without momentum needs a GPU or a single process"
        layer.get_buffer("num_batches_tracked").add_(1)
        layer.get_buffer("running_mean").lerp_(mean, momentum)
        layer.get_buffer("running_var").lerp_(variance * count / (count - 1), momentum)
    scale = layer.weight * (variance + layer.eps).rsqrt()
    return (centred * scale.view(shape) + layer.bias.view(shape)).to(x.dtype)
