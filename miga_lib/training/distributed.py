"""The processes that train together: one alone, or as many as ``torchrun`` started.

What they learn does not depend on how many they are: ``batch_size`` counts the clips of all of them, gradients are those of the mean
over the whole batch, and batch norm sees all of it on any device. So neither learning rate nor schedule changes with their number.
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

from ..predictions import Predictions

BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

TIMEOUT = timedelta(hours=2)
"""How long processes wait for one that reads clips; one that has died is noticed at once, by ``torchrun``."""


@dataclass(frozen=True)
class World:
    """This process among ``size``; ``rank`` 0 is the one that writes files."""

    rank: int = 0
    size: int = 1

    def device(self, wanted: str) -> str:
        """The device of this process: its own GPU where there are several processes. Raises ValueError for one GPU asked for by all."""
        if self.size == 1 or not wanted.startswith("cuda"):
            return wanted
        if wanted != "cuda":
            raise ValueError(f"device must be auto, cpu or cuda where {self.size} processes train together, got {wanted!r}")
        return f"cuda:{os.environ['LOCAL_RANK']}"

    def share(self, rows: Int[Tensor, " n"]) -> Int[Tensor, " m"]:
        """The part of a batch that this process learns from, or of a set that it predicts: every row in one part, none in two."""
        return rows[self.rank :: self.size]

    def wrap(self, model: nn.Module, device: str) -> nn.Module:
        """The model with its gradients averaged over the processes, and batch norm over the clips of all of them.

        PyTorch has such a batch norm for GPUs; elsewhere ``normalise`` does the same.
        """
        if self.size == 1:
            return model
        # Of a kernel of one pixel; its strides mean nothing, so nothing is lost.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        if device.startswith("cuda"):
            return DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(model), device_ids=[torch.device(device)])
        for layer in model.modules():
            if isinstance(layer, BATCH_NORM):
                layer.forward = partial(normalise, layer)
        return DistributedDataParallel(model)

    def sum(self, values: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        """The sum over all processes, on the CPU."""
        if self.size > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def gather(self, predictions: Predictions | None, ids: np.ndarray) -> Predictions:
        """The predictions of all processes, each clip once, in the order of ``ids``; a process without clips gives None."""
        parts: list[Predictions | None] = [predictions] * self.size
        if self.size > 1:
            distributed.all_gather_object(parts, predictions)
        every = [part for part in parts if part is not None]
        columns = (np.concatenate([getattr(part, name) for part in every]) for name in ("ids", "labels", "probabilities"))
        return Predictions(*columns, every[0].classes).of(ids)

    def from_first(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function gives in the first process, which alone calls it, told to all: one look at a disk, one answer."""
        told = [function(*arguments) if self.rank == 0 else None]
        if self.size > 1:
            distributed.broadcast_object_list(told)
        return told[0]

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process goes through the block alone, the others together after it: what it makes there, they find."""
        if self.rank > 0:
            self.wait()
        yield
        if self.rank == 0:
            self.wait()

    def wait(self) -> None:
        """Return once every process has come here."""
        self.sum(torch.zeros(1, dtype=torch.float64))


def join(device: str) -> World:
    """The world that ``torchrun`` describes in the environment, or this process alone.

    Raises:
        ValueError: restarts on several nodes without the switch that they need.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return World()
    if not distributed.is_initialized():
        if device.startswith("cuda"):
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        # Small things go through the CPU on any machine, so that what was tested without GPUs holds with them.
        backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
        store, rank, size = next(distributed.rendezvous("env://", timeout=TIMEOUT))
        distributed.init_process_group(backend, store=_fresh(store), rank=rank, world_size=size, timeout=TIMEOUT)
    return World(distributed.get_rank(), distributed.get_world_size())


def _fresh(store: distributed.Store) -> distributed.Store:
    """A part of torchrun's store in which nobody left an address before a restart (PyTorch issue 135712 has what happens else)."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return store
    if int(os.environ["GROUP_WORLD_SIZE"]) == 1:
        return distributed.PrefixStore(f"start {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    if int(os.environ["TORCHELASTIC_MAX_RESTARTS"]):  # the nodes do not agree on how many there were
        raise ValueError("--max-restarts on several nodes needs TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the environment of each torchrun")
    return store


def leave() -> None:
    """The end of what ``join`` began."""
    if distributed.is_initialized():
        gc.collect()  # a wrapped model that lives on to the end of the interpreter makes it abort there, one time in three
        distributed.destroy_process_group()


class Sum(torch.autograd.Function):
    """The sum of a tensor over all processes, and of its gradient on the way back."""

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


def normalise(layer: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d, x: Float[Tensor, "N C *rest"]) -> Float[Tensor, "N C *rest"]:
    """A batch norm layer's forward pass, with mean and variance over the batches of all processes, however many clips each has."""
    if not layer.training:
        return nn.functional.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps)
    axes, shape, wide = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)], x.float()
    count = Sum.apply(wide.new_tensor([x.numel() // x.shape[1]]))
    mean = Sum.apply(wide.sum(axes)) / count
    centred = wide - mean.view(shape)
    variance = Sum.apply(centred.square().sum(axes)) / count
    with torch.no_grad():
        layer.num_batches_tracked.add_(1)
        layer.running_mean.lerp_(mean, layer.momentum)
        layer.running_var.lerp_(variance * count / (count - 1), layer.momentum)
    scale = layer.weight * (variance + layer.eps).rsqrt()
    return (centred * scale.view(shape) + layer.bias.view(shape)).to(x.dtype)
