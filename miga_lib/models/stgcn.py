"""ST-GCN: graph convolutions over joints and convolutions over time. The whole network is in this file.

The network of Yan et al., Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action
Recognition, AAAI 2018 (arXiv 1801.07455). It has the same weights as the published code, whose state dicts
fit without a change. They contain their own graph ``A``, which replaces that of the layout.

Letters as in ``graphs``.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import layouts
from . import graphs
from .graphs import CHANNELS, GraphConvolution, TimeConvolution

KERNEL_FRAMES = 9
"""Kernel size of the convolution over time, in frames."""


class STGCN(nn.Module):
    """Joint coordinates over time to class logits and a label embedding.

    Batch norm of each joint's values, then blocks, then the mean over frames, joints and persons. A block
    with more output than input channels halves T. With the defaults the network has, for 17 joints and 60
    classes, 3.1 million parameters.

    Args:
        layout: the skeleton; the input has its V joints.
        num_classes: K.
        partition: how a neighbourhood is split into P partitions, see ``layouts.partitions``.
        in_channels: C, the values of each joint.
        dropout: share of the values dropped after each convolution over time; 0.5 in the paper (0 in its
            settings for Kinetics).
        embedding_size: E; 0: no embedding head.
        channels: output channels of each block; fewer or smaller numbers make a smaller network.

    Raises:
        ValueError: an unknown partition, or no blocks.
    """

    def __init__(
        self,
        layout: layouts.Layout,
        num_classes: int,
        *,
        partition: str = "spatial",
        in_channels: int = 3,
        dropout: float = 0.5,
        embedding_size: int = 0,
        channels: Sequence[int] = CHANNELS,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.A: Tensor
        self.register_buffer("A", torch.tensor(layouts.partitions(layout, partition)))
        partitions, joints, _ = self.A.shape
        self.data_bn = nn.BatchNorm1d(joints * in_channels)
        self.st_gcn_networks = graphs.blocks(Block, in_channels, channels, 1, partitions, dropout)
        # A factor for each limb and partition.
        self.edge_importance = nn.ParameterList(torch.ones_like(self.A) for _ in channels)
        self.fcn = nn.Conv2d(channels[-1], num_classes, 1)
        self.emb_fc: nn.Module | None = None
        if embedding_size:
            self.emb_fc = nn.Linear(channels[-1], embedding_size)
        for module in self.modules():  # as the published training code does
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.get_parameter("bias"))
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.normal_(module.weight, mean=1.0, std=0.02)

    def features(self, poses: Float[Tensor, "N C T V M"]) -> Float[Tensor, "N C_out"]:
        """The last block averaged over frames, joints and persons: one feature vector for each clip."""
        x = graphs.joints_first(poses, self.data_bn, self.layout)
        for block, importance in zip(self.st_gcn_networks, self.edge_importance, strict=True):
            x = block(x, self.A * importance)
        return graphs.mean(x, poses.shape[4])

    def forward(self, poses: Float[Tensor, "N C T V M"]) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N E"]]:
        """Class logits and the label embedding (E = 0 where the network has no embedding head)."""
        feature = self.features(poses)
        embedding = feature[:, :0]
        if self.emb_fc is not None:
            embedding = self.emb_fc(feature)
        return self.fcn(feature[:, :, None, None]).flatten(1), embedding


class Block(nn.Module):
    """A residual block: a graph convolution, then a convolution over time, added to the input."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        residual: bool,
        partitions: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.gcn = GraphConvolution(in_channels, out_channels, partitions)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            TimeConvolution(out_channels, out_channels, KERNEL_FRAMES, stride),
            nn.BatchNorm2d(out_channels),
            graphs.Dropout(dropout),
        )
        self.residual: nn.Module | None = None
        if stride > 1:
            conv = TimeConvolution(in_channels, out_channels, stride=stride)
            self.residual = nn.Sequential(conv, nn.BatchNorm2d(out_channels))
        elif residual:
            self.residual = nn.Identity()

    def forward(
        self, x: Float[Tensor, "V C NM T"], weights: Float[Tensor, "P V V"]
    ) -> Float[Tensor, "V C_out NM T_out"]:
        y = self.tcn(self.gcn(x, weights))
        if self.residual is not None:
            y = y + self.residual(x)
        return torch.relu(y)
