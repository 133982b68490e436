"""ST-GCN++: ST-GCN with learned graphs and convolutions over time of several dilations. The whole network is
in this file.

The network of Duan et al., PYSKL: Towards Good Practices for Skeleton Action Recognition, ACM MM 2022 (arXiv
2205.09443). It has the same weights as the network published in PySkl: a state dict from there fits after
``cls_head.`` is removed from its keys.

Letters as in ``graphs``.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import layouts
from . import graphs
from .graphs import CHANNELS, TimeConvolution, branch

DILATIONS = (1, 2, 3, 4)
"""Distance in frames between the three values that a convolution over time combines, in each of its
branches."""


class STGCNPP(graphs.PySklNetwork):
    """Joint coordinates over time to class logits and a label embedding.

    Batch norm of each joint's values, then blocks, then the mean over frames, joints and persons. A block
    with more output than input channels halves T. With the defaults the network has, for 17 joints and 60
    classes, 1.4 million parameters. The arguments are those of ``stgcn.STGCN``, apart from:

    Args:
        partition: the partitions with which the learned graphs begin.
        dropout: share of the feature's values dropped before the classification head (0 in PySkl); the
            embedding head gets all.
        channels: each not less than the branches of a convolution over time.
    """

    def __init__(
        self,
        layout: layouts.Layout,
        num_classes: int,
        *,
        partition: str = "spatial",
        in_channels: int = 3,
        dropout: float = 0.0,
        embedding_size: int = 0,
        channels: Sequence[int] = CHANNELS,
    ) -> None:
        graph = torch.tensor(layouts.partitions(layout, partition))
        blocks = graphs.blocks(Block, in_channels, channels, len(DILATIONS) + 2, graph)
        norm = nn.BatchNorm1d(graph.shape[1] * in_channels)
        backbone = nn.ModuleDict({"data_bn": norm, "gcn": blocks})
        super().__init__(backbone, channels[-1], num_classes, dropout, embedding_size)
        self.layout = layout

    def features(self, poses: Float[Tensor, "N C T V M"]) -> Float[Tensor, "N C_out"]:
        """The last block averaged over frames, joints and persons: one feature vector for each clip."""
        x = graphs.joints_first(poses, self.backbone.data_bn, self.layout)
        for block in self.backbone.gcn:
            x = block(x)
        return graphs.mean(x, poses.shape[4])


class Block(nn.Module):
    """A graph convolution, then a convolution over time, added to the input."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, residual: bool, graph: Tensor
    ) -> None:
        super().__init__()
        self.gcn = LearnedGraphConvolution(in_channels, out_channels, graph)
        self.tcn = MultiScaleTCN(out_channels, stride)
        self.residual: nn.Module | None = None
        if stride > 1:
            self.residual = graphs.time_unit(in_channels, out_channels, stride=stride)
        elif residual:
            self.residual = nn.Identity()

    def forward(self, x: Float[Tensor, "V C NM T"]) -> Float[Tensor, "V C_out NM T_out"]:
        y = self.tcn(self.gcn(x))
        if self.residual is not None:
            y = y + self.residual(x)
        return torch.relu(y)


class LearnedGraphConvolution(graphs.GraphConvolution):
    """A graph convolution over a graph that is a weight of the block, with batch norm, and the input
    added."""

    def __init__(self, in_channels: int, out_channels: int, graph: Tensor) -> None:
        super().__init__(in_channels, out_channels, len(graph))
        self.A = nn.Parameter(graph.clone())
        self.bn = nn.BatchNorm2d(out_channels)
        self.down = graphs.projection(in_channels, out_channels)

    def forward(  # type: ignore[override]
        self,
        x: Float[Tensor, "V C NM T"],
    ) -> Float[Tensor, "V C_out NM T"]:
        return torch.relu(self.bn(super().forward(x, self.A)) + self.down(x))


class MultiScaleTCN(nn.Module):
    """Convolutions over three frames with several dilations, a maximum of three frames and the frame itself,
    side by side.

    The first branch gets the channels that remain when each of the others has an equal share.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        share = channels // (len(DILATIONS) + 2)
        widths = [channels - share * (len(DILATIONS) + 1)] + [share] * (len(DILATIONS) - 1)
        self.branches = nn.ModuleList()
        for width, dilation in zip(widths, DILATIONS, strict=True):
            conv = TimeConvolution(width, width, 3, stride, dilation)
            self.branches.append(branch(channels, width, nn.Sequential(OrderedDict(conv=conv))))
        self.branches.append(branch(channels, share, nn.MaxPool2d((1, 3), (1, stride), (0, 1))))
        self.branches.append(TimeConvolution(channels, share, stride=stride))
        self.transform = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, channels, 1)
        )
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Float[Tensor, "V C NM T"]) -> Float[Tensor, "V C NM T_out"]:
        return self.bn(self.transform(graphs.concat_branches(self.branches, x)))
