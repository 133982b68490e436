"""The processes that train together: one alone, or as many as ``torchrun`` started."""

import os
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from .predictions import Predictions


@dataclass(frozen=True)
class World:
    """This process among ``size``; ``rank`` 0 is the one that writes files."""

    rank: int = 0
    size: int = 1

    def device(self, wanted: str) -> str:
        """The device of this process: its own GPU where there are several processes."""
        return f"cuda:{os.environ['LOCAL_RANK']}" if self.size > 1 and wanted == "cuda" else wanted

    def share(self, rows: Int[Tensor, " n"]) -> Int[Tensor, " m"]:
        """The part of a batch that this process learns from; with as many clips as processes, or more, nobody goes without."""
        return rows[self.rank :: self.size]

    def wrap(self, model: nn.Module, device: str) -> nn.Module:
        """The model with its gradients averaged over the processes.

        On GPUs batch norm is synchronised too, so it sees the batch as one process would. PyTorch has no such layer for CPUs: there
        each process normalises its own share, and the running statistics that are kept are those of rank 0.
        """
        if self.size == 1:
            return model
        if device.startswith("cuda"):
            return DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(model), device_ids=[torch.device(device)])
        return DistributedDataParallel(model)

    def sum(self, values: Float[Tensor, " n"], device: str) -> Float[Tensor, " n"]:
        """The sum over all processes."""
        if self.size == 1:
            return values
        total = values.to(device)
        distributed.all_reduce(total)
        return total.cpu()

    def gather(self, predictions: Predictions, ids: np.ndarray) -> Predictions:
        """The predictions of all processes, each clip once, in the order of ``ids``."""
        if self.size == 1:
            return predictions
        parts: list[Predictions] = [predictions] * self.size
        distributed.all_gather_object(parts, predictions)
        place = {id: row for row, id in enumerate(np.concatenate([part.ids for part in parts]).tolist())}
        order = np.array([place[id] for id in ids.tolist()])
        labels, probabilities = (np.concatenate([getattr(part, name) for part in parts])[order] for name in ("labels", "probabilities"))
        return Predictions(ids, labels, probabilities, predictions.classes)

    def wait(self) -> None:
        """Return once every process has come here."""
        if self.size > 1:
            distributed.barrier()


def join(device: str) -> World:
    """The world that ``torchrun`` describes in the environment, or this process alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return World()
    if not distributed.is_initialized():
        if device.startswith("cuda"):
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return World(distributed.get_rank(), distributed.get_world_size())
