"""ST-GCN++: ST-GCN with learned graphs and convolutions over time of several dilations. The whole network is
in this file.

The network of Duan et al., PYSKL: Towards Good Practices for Skeleton Action Recognition, ACM MM 2022 (arXiv
2205.09443). It has the same weights as the network published in PySkl: a state dict from there fits after
``cls_head.`` is removed from its keys.

Letters: NM counts the persons of all clips, N · M. C_out and T_out are C and T after a layer.
"""

import itertools
from collections import OrderedDict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import layouts
from .graphs import CHANNELS, TimeConvolution, concat_branches, graph_convolution, joints_first, mean

DILATIONS = (1, 2, 3, 4)
"""Distance in frames between the three values that a convolution over time combines, in each of its
branches."""


class STGCNPP(nn.Module):
    """Joint coordinates over time to class logits and a label embedding.

    Batch norm of each joint's values, then blocks, then the mean over frames, joints and persons. A block
    with more output than input channels halves T. With the defaults the network has, for 17 joints and 60
    classes, 1.4 million parameters.

    Args:
        layout: the skeleton; the input has its V joints.
        num_classes: K.
        partition: the partitions with which the learned graphs begin, see ``layouts.partitions``.
        in_channels: C, the values of each joint.
        dropout: share of the feature's values dropped before the classification head (0 in PySkl); the
            embedding head gets all.
        embedding_size: E; 0: no embedding head.
        channels: output channels of each block; fewer or smaller numbers make a smaller network.

    Raises:
        ValueError: an unknown partition, no blocks, or a block of fewer channels than the branches of its
            convolution over time.
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
        super().__init__()
        branches = len(DILATIONS) + 2
        if not channels or min(channels) < branches:
            raise ValueError(
                f"channels must have a number of {branches} or more for at least one block, got {tuple(channels)}"
            )
        self.layout = layout
        self.backbone = Backbone(torch.tensor(layouts.partitions(layout, partition)), in_channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.fc_cls = nn.Linear(channels[-1], num_classes)
        self.emb_fc = nn.Linear(channels[-1], embedding_size) if embedding_size else None
        # The other layers begin as PyTorch initialises them, as in PySkl.
        nn.init.normal_(self.fc_cls.weight, std=0.01)
        nn.init.zeros_(self.fc_cls.bias)

    def features(self, poses: Float[Tensor, "N C T V M"]) -> Float[Tensor, "N C_out"]:
        """The last block averaged over frames, joints and persons: one feature vector for each clip.

        Raises ValueError where V is not the layout's number of joints.
        """
        x = joints_first(poses, self.backbone.data_bn, self.layout)
        for block in self.backbone.gcn:
            x = block(x)
        return mean(x, poses.shape[4])

    def forward(self, poses: Float[Tensor, "N C T V M"]) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N E"]]:
        """Class logits and the label embedding (E = 0 where the network has no embedding head)."""
        feature = self.features(poses)
        embedding = feature[:, :0] if self.emb_fc is None else self.emb_fc(feature)
        return self.fc_cls(self.dropout(feature)), embedding


class Backbone(nn.Module):
    """The layers before the heads, by the names that PySkl gives them."""

    def __init__(self, graph: Tensor, in_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.data_bn = nn.BatchNorm1d(graph.shape[1] * in_channels)
        first = Block(in_channels, channels[0], graph, residual=False)
        self.gcn = nn.ModuleList(
            [first, *(Block(wide, wider, graph) for wide, wider in itertools.pairwise(channels))]
        )


class Block(nn.Module):
    """A graph convolution, then a convolution over time, added to the input."""

    def __init__(self, in_channels: int, out_channels: int, graph: Tensor, residual: bool = True) -> None:
        super().__init__()
        widens = in_channels != out_channels
        stride = 2 if residual and widens else 1
        self.gcn = LearnedGraphConvolution(in_channels, out_channels, graph)
        self.tcn = MultiScaleTCN(out_channels, stride)
        self.residual: nn.Module | None
        if residual and widens:
            conv, bn = (
                TimeConvolution(in_channels, out_channels, 1, (stride, 1)),
                nn.BatchNorm2d(out_channels),
            )
            self.residual = nn.Sequential(OrderedDict(conv=conv, bn=bn))
        else:
            self.residual = nn.Identity() if residual else None

    def forward(self, x: Float[Tensor, "V C NM T"]) -> Float[Tensor, "V C_out NM T_out"]:
        y = self.tcn(self.gcn(x))
        return torch.relu(y if self.residual is None else y + self.residual(x))


class LearnedGraphConvolution(nn.Module):
    """A graph convolution over a graph that is a weight of the block, with batch norm, and the input
    added."""

    def __init__(self, in_channels: int, out_channels: int, graph: Tensor) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels * len(graph), 1)
        self.A = nn.Parameter(graph.clone())
        self.bn = nn.BatchNorm2d(out_channels)
        same = in_channels == out_channels
        self.down = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))
        )

    def forward(self, x: Float[Tensor, "V C NM T"]) -> Float[Tensor, "V C_out NM T"]:
        return torch.relu(self.bn(graph_convolution(self.conv, x, self.A)) + self.down(x))


class MultiScaleTCN(nn.Module):
    """Convolutions over three frames with several dilations, a maximum of three frames and the frame itself,
    side by side.

    The first branch gets the channels that remain when each of the others has an equal share.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        share = channels // (len(DILATIONS) + 2)
        rest = channels - share * (len(DILATIONS) + 1)

        def reduced(width: int, *more: nn.Module) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(channels, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True), *more
            )

        def over_time(width: int, dilation: int) -> nn.Sequential:
            conv = TimeConvolution(width, width, (3, 1), (stride, 1), (dilation, 0), (dilation, 1))
            return reduced(width, nn.Sequential(OrderedDict(conv=conv)))

        self.branches = nn.ModuleList(
            over_time(share if i else rest, dilation) for i, dilation in enumerate(DILATIONS)
        )
        self.branches.append(reduced(share, nn.MaxPool2d((1, 3), (1, stride), (0, 1))))
        self.branches.append(TimeConvolution(channels, share, 1, (stride, 1)))
        self.transform = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, channels, 1)
        )
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Float[Tensor, "V C NM T"]) -> Float[Tensor, "V C NM T_out"]:
        return self.bn(self.transform(concat_branches(self.branches, x)))
