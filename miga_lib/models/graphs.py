"""What the graph networks have in common: their layers, computed with few large matrix products.

Inside these networks a tensor is (V, C, NM, T) in channels-last memory, so in memory its axes are V, NM, T,
C. With joints as rows, the sum over partitions and neighbours is one matrix product, and each joint of a
person is an image of one row, along which oneDNN computes convolutions over time as fast as a matrix product.
Weights have the published shapes, which have an axis of frames before one of joints.

Letters: NM counts the persons of all clips, N · M. C_out and T_out are C and T after a layer.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..layouts import Layout

WIDTH, MULTIPLES = 64, (1, 1, 1, 1, 2, 2, 2, 4, 4, 4)
"""Output channels of the first block of ST-GCN and of the networks after it, and of each block as a multiple
of that."""
CHANNELS = tuple(WIDTH * multiple for multiple in MULTIPLES)


def joints_first(
    poses: Float[Tensor, "N C T V M"], norm: nn.BatchNorm1d, layout: Layout
) -> Float[Tensor, "V C NM T"]:
    """Joint coordinates as the layers take them, after a batch norm of each joint's values.

    Args:
        norm: has V · C features, or M · V · C where each person has statistics of its own.

    Raises:
        ValueError: V is not the layout's number of joints.
    """
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


def graph_convolution(
    conv: nn.Conv2d, x: Float[Tensor, "V C NM T"], weights: Float[Tensor, "P V V"]
) -> Float[Tensor, "V C_out NM T"]:
    """New features of each joint in each partition, summed over its neighbours: Σₚ Wₚ x Aₚ, equation 10 of
    Yan et al. (AAAI 2018).

    Args:
        conv: a 1×1 convolution to P · C_out channels, all those of the first partition first.
        weights: Aₚ, see ``layouts.partitions``.
    """
    partitions, joints, _ = weights.shape
    rows = x.permute(0, 2, 3, 1)
    copies = rows.reshape(1, -1, conv.in_channels).expand(partitions, -1, -1)
    kernels = conv.weight.view(partitions, -1, conv.in_channels).mT
    each = torch.baddbmm(conv.get_parameter("bias").view(partitions, 1, -1), copies, kernels)
    summed = weights.permute(2, 0, 1).reshape(joints, -1) @ each.view(partitions * joints, -1)
    return summed.view(*rows.shape[:3], -1).permute(0, 3, 1, 2)


class TimeConvolution(nn.Conv2d):
    """A convolution over time, whose weight and arguments have the published order of axes: frames before
    joints."""

    padding: tuple[int, int]  # never a name, such as "same"

    def forward(self, x: Float[Tensor, "V C NM T"]) -> Float[Tensor, "V C_out NM T_out"]:
        kernel, stride = self.weight.transpose(2, 3), self.stride[::-1]
        if self.kernel_size == (1, 1):  # with a stride, oneDNN may crash, see ``posec3d.FlatConvolution``
            x, stride = (
                x[..., :: stride[0], :: stride[1]].contiguous(memory_format=torch.channels_last),
                (1, 1),
            )
        return functional.conv2d(x, kernel, self.bias, stride, self.padding[::-1], self.dilation[::-1])


def concat_branches(
    branches: Iterable[nn.Module], x: Float[Tensor, "images C rows T"]
) -> Float[Tensor, "images C_out rows T_out"]:
    """The channels of all branches. Each begins with a 1×1 convolution of the same input, and these are
    computed as one.

    Args:
        branches: such convolutions, or sequences that begin with one.
    """
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
        draws = (
            torch.empty(-(-x.numel() // 4), dtype=torch.int64)
            .random_(-(2**63), None)
            .view(torch.int16)[: x.numel()]
        )
        kept = draws >= round(self.p * 2**16) - 2**15
        return x * torch.empty_like(x).copy_(kept.view_as(x)).mul_(1 / (1 - self.p))
