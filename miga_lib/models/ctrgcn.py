"""CTR-GCN: graph convolutions whose graph depends on the clip and the channel. The whole network is in this
file.

The network of Chen et al., Channel-wise Topology Refinement Graph Convolution for Skeleton-Based Action
Recognition, ICCV 2021 (arXiv 2107.12213), in the form of PySkl. It has the same weights as the network
published there: a state dict fits after ``cls_head.`` is removed from its keys.

Letters as in ``graphs``.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from .. import layouts
from . import graphs
from .graphs import CHANNELS, TimeConvolution, branch, time_unit

KERNEL_FRAMES, DILATIONS = 5, (1, 2)
"""Kernel size of the convolutions over time, and the distance in frames between their values, in each
branch."""
REDUCTION = 8
"""Input channels / channels from which a graph is computed; these are at least ``REDUCTION``."""


class CTRGCN(graphs.PySklNetwork):
    """Joint coordinates over time to class logits and a label embedding.

    Batch norm of each joint's values, then blocks, then the mean over frames, joints and persons. A block
    with more output than input channels halves T. With the defaults the network has, for 17 joints and 60
    classes, 1.4 million parameters. The arguments are those of ``stgcnpp.STGCNPP``, and:

    Args:
        persons: 1: all persons share the statistics of the first batch norm, and the input has any number of
            them. More, as 2 in PySkl: each has its own; where the input has fewer, the others are missing
            (zeros), as in PySkl.
    """

    def __init__(
        self,
        layout: layouts.Layout,
        num_classes: int,
        *,
        partition: str = "spatial",
        in_channels: int = 3,
        persons: int = 1,
        dropout: float = 0.0,
        embedding_size: int = 0,
        channels: Sequence[int] = CHANNELS,
    ) -> None:
        graph = torch.tensor(layouts.partitions(layout, partition))
        blocks = graphs.blocks(Block, in_channels, channels, len(DILATIONS) + 2, graph)
        norm = nn.BatchNorm1d(persons * graph.shape[1] * in_channels)
        backbone = nn.ModuleDict({"data_bn": norm, "net": blocks})
        backbone.register_buffer("A", graph)  # each block has its own; this one is only in PySkl's files
        super().__init__(backbone, channels[-1], num_classes, dropout, embedding_size)
        self.layout, self.persons = layout, persons

    def features(self, poses: Float[Tensor, "N C T V M"]) -> Float[Tensor, "N C_out"]:
        """The last block averaged over frames, joints and persons: one feature vector for each clip. Raises
        ValueError for another number of joints, or more persons than the network has statistics for."""
        people = poses.shape[4]
        if people > self.persons > 1:
            raise ValueError(
                f"the network has statistics of {self.persons} persons, found {people} in the batch"
            )
        poses = functional.pad(poses, (0, max(self.persons - people, 0)))
        x = graphs.joints_first(poses, self.backbone.data_bn, self.layout)
        x = x.transpose(0, 2).contiguous(memory_format=torch.channels_last)
        for block in self.backbone.net:
            x = block(x)
        return x.mean((2, 3)).unflatten(0, (poses.shape[0], -1)).mean(1)


class Block(nn.Module):
    """A graph convolution, then a convolution over time, added to the input."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, residual: bool, graph: Tensor
    ) -> None:
        super().__init__()
        self.gcn1 = RefinedGraphConvolutions(in_channels, out_channels, graph)
        self.tcn1 = MultiScaleTCN(out_channels, stride)
        # As PySkl initialises them; the residual layers, which follow, keep what PyTorch gave them.
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                nn.init.zeros_(module.get_parameter("bias"))
        nn.init.constant_(self.gcn1.bn.weight, 1e-6)
        self.residual: nn.Module | None = None
        if stride > 1:
            self.residual = time_unit(in_channels, out_channels, stride=stride)
        elif residual:
            self.residual = nn.Identity()

    def forward(self, x: Float[Tensor, "NM C V T"]) -> Float[Tensor, "NM C_out V T_out"]:
        y = self.tcn1(self.gcn1(x))
        if self.residual is None:
            return y
        return torch.relu(y + self.residual(x))


class RefinedGraphConvolutions(nn.Module):
    """A graph convolution for each partition, summed, with batch norm, and the input added."""

    def __init__(self, in_channels: int, out_channels: int, graph: Tensor) -> None:
        super().__init__()
        self.convs = nn.ModuleList(RefinedGraphConvolution(in_channels, out_channels) for _ in graph)
        self.down = graphs.projection(in_channels, out_channels)
        self.A = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Float[Tensor, "NM C V T"]) -> Float[Tensor, "NM C_out V T"]:
        count, _, _, frames = x.shape
        means = x.mean(3, keepdim=True)
        kernels, biases, refinements = zip(*(conv(means, self.alpha) for conv in self.convs), strict=True)
        refined = torch.stack(refinements, 3)
        # In one precision and memory order: with autocast, the sum would be in fp32, and it is the largest
        # tensor of the layer.
        refined = refined + self.A.permute(2, 0, 1).contiguous().type_as(refined)
        # One convolution for all partitions, computed as a product that gives (NM, C_out, P, V, T) in memory.
        columns = x.permute(0, 2, 3, 1).flatten(1, 2).mT
        kernel = torch.stack(kernels, 1).flatten(0, 1).expand(count, -1, -1)
        values = torch.baddbmm(torch.stack(biases, 1).view(-1, 1), kernel, columns)
        values = values.view(count * refined.shape[1], -1, frames)
        total = torch.bmm(refined.flatten(3).flatten(0, 1), values)
        y = total.unflatten(0, (count, -1)).contiguous(memory_format=torch.channels_last)
        return torch.relu(self.bn(y) + self.down(x))


class RefinedGraphConvolution(nn.Module):
    """Features of each joint, and for each clip and channel a graph: the learned one, refined by differences
    between joints."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        reduced = REDUCTION if in_channels <= 2 * REDUCTION else in_channels // REDUCTION
        self.conv1, self.conv2 = nn.Conv2d(in_channels, reduced, 1), nn.Conv2d(in_channels, reduced, 1)
        self.conv3, self.conv4 = nn.Conv2d(in_channels, out_channels, 1), nn.Conv2d(reduced, out_channels, 1)

    def forward(
        self, means: Float[Tensor, "NM C V 1"], alpha: Float[Tensor, "1"]
    ) -> tuple[Float[Tensor, "C_out C"], Float[Tensor, " C_out"], Float[Tensor, "NM C_out V V"]]:
        """The kernel and bias of the features, and ``alpha`` times what is added to the weight of each joint
        (last axis) in the value of each joint.

        ``means`` are those of the input over the frames. The published code takes the mean after the first
        two convolutions, which are linear.
        """
        differences = torch.tanh(self.conv1(means).mT - self.conv2(means))
        kernel, bias = alpha * self.conv4.weight, alpha * self.conv4.get_parameter("bias")
        refinement = functional.conv2d(differences, kernel, bias)
        return self.conv3.weight.flatten(1), self.conv3.get_parameter("bias"), refinement


class MultiScaleTCN(nn.Module):
    """Convolutions over time with several dilations, a maximum of three frames and the frame itself, side by
    side.

    The last branch gets the channels that remain when each of the others has an equal share.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        share = channels // (len(DILATIONS) + 2)
        rest = channels - share * (len(DILATIONS) + 1)
        self.branches = nn.ModuleList()
        for dilation in DILATIONS:
            self.branches.append(
                branch(channels, share, time_unit(share, share, KERNEL_FRAMES, stride, dilation))
            )
        pool = nn.MaxPool2d((1, 3), (1, stride), (0, 1))
        self.branches.append(branch(channels, share, pool, nn.BatchNorm2d(share)))
        conv = TimeConvolution(channels, rest, stride=stride)
        self.branches.append(nn.Sequential(conv, nn.BatchNorm2d(rest)))

    def forward(self, x: Float[Tensor, "NM C V T"]) -> Float[Tensor, "NM C V T_out"]:
        return torch.relu(graphs.concat_branches(self.branches, x))
