"""What the graph networks have in common: their layers, computed with few large matrix products.

Inside these networks a tensor is (V, C, NM, T) in channels-last memory, so in memory its axes are V, NM, T,
C. With joints as rows, the sum over partitions and neighbours is one matrix product, and each joint of a
person is an image of one row, along which oneDNN computes convolutions over time as fast as a matrix product.
Weights have the published shapes, which have an axis of frames before one of joints.

Letters: NM counts the persons of all clips, N · M. C_out and T_out are C and T after a layer.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..layouts import Layout

WIDTH, MULTIPLES = 64, (1, 1, 1, 1, 2, 2, 2, 4, 4, 4)
"""Output channels of the first block of ST-GCN and of the networks after it, and of each block as a multiple
of that."""
CHANNELS = tuple(WIDTH * multiple for multiple in MULTIPLES)


class PySklNetwork(nn.Module):
    """A backbone and the heads of PySkl, by its names."""

    backbone: Any

    def __init__(
        self, backbone: nn.Module, width: int, num_classes: int, dropout: float, embedding_size: int
    ) -> None:
        super().__init__()
        self.backbone, self.dropout = backbone, nn.Dropout(dropout)
        self.fc_cls = nn.Linear(width, num_classes)
        self.emb_fc: nn.Module | None = None
        if embedding_size:
            self.emb_fc = nn.Linear(width, embedding_size)
        # As in PySkl; the embedding head begins as PyTorch initialises it.
        nn.init.normal_(self.fc_cls.weight, std=0.01)
        nn.init.zeros_(self.fc_cls.bias)

    def features(self, poses: Float[Tensor, "N C T V M"]) -> Float[Tensor, "N C_out"]:
        """The last block averaged over frames, joints and persons: one feature vector for each clip."""
        raise NotImplementedError

    def forward(self, poses: Float[Tensor, "N C T V M"]) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N E"]]:
        """Class logits and the label embedding (E = 0 where the network has no embedding head)."""
        feature = self.features(poses)
        embedding = feature[:, :0]
        if self.emb_fc is not None:
            embedding = self.emb_fc(feature)
        return self.fc_cls(self.dropout(feature)), embedding


def blocks(
    block: Callable[..., nn.Module], in_channels: int, channels: Sequence[int], minimum: int, *arguments: Any
) -> nn.ModuleList:
    """A chain of ``block(in_channels, out_channels, stride, residual, *arguments)``. The first has no
    residual; each other that changes the channels halves T. Raises ValueError where there is none, or one of
    less than ``minimum`` channels."""
    if not channels or min(channels) < minimum:
        raise ValueError(
            f"channels must have a number of {minimum} or more for at least one block, got {tuple(channels)}"
        )
    chain = nn.ModuleList([block(in_channels, channels[0], 1, False, *arguments)])
    for narrow, wide in pairwise(channels):
        stride = 1
        if narrow != wide:
            stride = 2
        chain.append(block(narrow, wide, stride, True, *arguments))
    return chain


def joints_first(
    poses: Float[Tensor, "N C T V M"], norm: nn.BatchNorm1d, layout: Layout
) -> Float[Tensor, "V C NM T"]:
    """Joint coordinates as the layers take them, after a batch norm of V · C features, or of M · V · C where
    each person has statistics of its own. Raises ValueError where V is not the layout's number of joints."""
    clips, channels, frames, joints, persons = poses.shape
    if joints != len(layout.joints):
        raise ValueError(
            f"layout {layout.name!r} has {len(layout.joints)} joints, found {joints} in the batch"
        )
    values = norm(poses.permute(0, 4, 3, 1, 2).reshape(-1, norm.num_features, frames))
    rows = values.reshape(clips * persons, joints, channels, frames).permute(1, 0, 3, 2).contiguous()
    return rows.permute(0, 3, 1, 2)


def mean(x: Float[Tensor, "V C NM T"], persons: int) -> Float[Tensor, "N C"]:
    """The mean over frames, joints and persons: one feature vector for each clip."""
    return x.mean((0, 3)).T.unflatten(0, (-1, persons)).mean(1)


class GraphConvolution(nn.Module):
    """New features of each joint in each partition, summed over its neighbours: Σₚ Wₚ x Aₚ, equation 10 of
    Yan et al. (AAAI 2018). Its 1×1 convolution has P · C_out channels, all those of the first partition
    first."""

    def __init__(self, in_channels: int, out_channels: int, partitions: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels * partitions, 1)

    def forward(
        self, x: Float[Tensor, "V C NM T"], weights: Float[Tensor, "P V V"]
    ) -> Float[Tensor, "V C_out NM T"]:
        """``weights`` are Aₚ, see ``layouts.partitions``."""
        partitions, joints, _ = weights.shape
        rows = x.permute(0, 2, 3, 1)
        copies = rows.reshape(1, -1, self.conv.in_channels).expand(partitions, -1, -1)
        kernels = self.conv.weight.view(partitions, -1, self.conv.in_channels).mT
        features = torch.baddbmm(self.conv.get_parameter("bias").view(partitions, 1, -1), copies, kernels)
        summed = weights.permute(2, 0, 1).reshape(joints, -1) @ features.view(partitions * joints, -1)
        return summed.view(*rows.shape[:3], -1).permute(0, 3, 1, 2)


class TimeConvolution(nn.Conv2d):
    """A convolution over time that keeps T, apart from its stride; its weight has the published order of
    axes: frames before joints."""

    def __init__(
        self, in_channels: int, out_channels: int, frames: int = 1, stride: int = 1, dilation: int = 1
    ) -> None:
        padding = frames // 2 * dilation
        super().__init__(in_channels, out_channels, (frames, 1), (stride, 1), (padding, 0), (dilation, 1))

    def forward(self, x: Float[Tensor, "V C NM T"]) -> Float[Tensor, "V C_out NM T_out"]:
        kernel, stride = self.weight.transpose(2, 3), self.stride[::-1]
        if self.kernel_size == (1, 1):  # with a stride, oneDNN may crash, see ``posec3d.FlatConvolution``
            x = x[..., :: stride[1]].contiguous(memory_format=torch.channels_last)
            stride = (1, 1)
        return functional.conv2d(x, kernel, self.bias, stride, self.padding[::-1], self.dilation[::-1])


def time_unit(
    in_channels: int, out_channels: int, frames: int = 1, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """A convolution over time and batch norm, by the names that PySkl gives them."""
    conv = TimeConvolution(in_channels, out_channels, frames, stride, dilation)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(out_channels)))


def projection(in_channels: int, out_channels: int) -> nn.Module:
    """What gives a layer's input the channels of its output, so that they can be added."""
    if in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))


def branch(in_channels: int, out_channels: int, *layers: nn.Module) -> nn.Sequential:
    """A 1×1 convolution with batch norm and ReLU, and further layers."""
    conv, norm = nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels)
    return nn.Sequential(conv, norm, nn.ReLU(inplace=True), *layers)


def concat_branches(
    branches: Iterable[nn.Module], x: Float[Tensor, "images C rows T"]
) -> Float[Tensor, "images C_out rows T_out"]:
    """The channels of all branches. Each is a 1×1 convolution of the same input, or begins with one, and
    these are computed as one."""
    firsts = [
        next(layer for layer in branch.modules() if isinstance(layer, nn.Conv2d)) for branch in branches
    ]
    weight, bias = (torch.cat([first.get_parameter(name) for first in firsts]) for name in ("weight", "bias"))
    parts = functional.conv2d(x, weight, bias).split([first.out_channels for first in firsts], 1)
    outputs = []
    for branch, first, part in zip(branches, firsts, parts, strict=True):
        y = part[..., :: first.stride[0]].contiguous(memory_format=torch.channels_last)
        outputs.append(branch[1:](y) if isinstance(branch, nn.Sequential) else y)
    return torch.cat(outputs, 1)


class Dropout(nn.Dropout):
    """Dropout whose random numbers take less time on a CPU, where PyTorch draws one for each value.

    A value is dropped where a random 16-bit number is small, and one draw gives four of them.
    """

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        if not self.training or self.p == 0 or x.device.type != "cpu":
            return super().forward(x)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        passed = draws.view(torch.int16)[: x.numel()] >= round(self.p * 2**16) - 2**15
        return x * torch.empty_like(x).copy_(passed.view_as(x)).mul_(1 / (1 - self.p))
