"""PoseC3D: a 3D ResNet over joint or limb heatmaps. The whole network is in this file.

The slim SlowOnly network of Duan et al., Revisiting Skeleton-based Action Recognition, CVPR 2022 (arXiv
2104.13586). It has the same weights as the network published in PySkl: a state dict from there fits after
``cls_head.`` is removed from its keys.

Letters: C_out, T_out, H_out and W_out are C, T, H and W after a layer. R counts views of clips; R = N where
each clip has one view.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from ..layouts import Layout

VALUES_AT_ONCE = {"cpu": 2 * 48 * 32 * 32 * 128}
"""Values that the later stages take at a time, by device type: on a CPU two views of the published size, more
do not fit in its cache."""
EXPANSION = 4
"""Output channels of a bottleneck / channels inside it."""


class PoseC3D(nn.Module):
    """Heatmaps to class logits and a label embedding.

    A stem with a 1×7×7 kernel and no stride, then stages of bottlenecks. Each stage halves H and W and has
    twice the channels of the stage before. All stages but the first also convolve over time. The last stage
    halves T. With the defaults the pooled feature has 512 values, and for 17 joints and 60 classes the
    network has 2.0 million parameters.

    Args:
        in_channels: C, the number of joints or limbs; each has one heatmap.
        num_classes: K.
        base_channels: channels of the stem.
        stage_blocks: number of bottlenecks in each stage; fewer or shorter stages make a smaller network.
        stem_kernel: side of the stem's kernel in pixels, an odd number; 3 for heatmaps of about half the
            published size.
        dropout: share of the feature's values dropped before the classification head; the embedding head gets
        all. embedding_size: E; 0: no embedding head.

    Raises:
        ValueError: no stages, or a stage without blocks.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        base_channels: int = 32,
        stage_blocks: Sequence[int] = (4, 6, 3),
        stem_kernel: int = 7,
        dropout: float = 0.5,
        embedding_size: int = 0,
    ) -> None:
        super().__init__()
        if not stage_blocks or min(stage_blocks) < 1:
            raise ValueError(
                "stage_blocks must name at least one stage, each of one block or more, "
                f"got {tuple(stage_blocks)}"
            )
        # The published stem ends with a max pool of stride 1. It has no weights and keeps the size, but it
        # changes the values.
        stem = _convolution(in_channels, base_channels, (1, stem_kernel, stem_kernel), relu=True)
        self.backbone = nn.Sequential(OrderedDict(conv1=stem, maxpool=FlatMaxPool()))
        channels = base_channels
        for stage, blocks in enumerate(stage_blocks):
            width, frames = base_channels * 2**stage, 3 if stage > 0 else 1
            stride = (2 if stage == len(stage_blocks) - 1 else 1, 2, 2)
            layer = nn.Sequential(Bottleneck(channels, width, frames, stride))
            channels = width * EXPANSION
            for _ in range(blocks - 1):
                layer.append(Bottleneck(channels, width, frames))
            self.backbone.add_module(f"layer{stage + 1}", layer)
        self.dropout = nn.Dropout(dropout)
        self.fc_cls = nn.Linear(channels, num_classes)
        self.emb_fc: nn.Module | None = None
        if embedding_size:
            self.emb_fc = nn.Linear(channels, embedding_size)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
            elif isinstance(module, Bottleneck):
                # Each block begins as the identity (Goyal et al., arXiv 1706.02677, section 5.1).
                nn.init.zeros_(module.conv3.get_parameter("bn.weight"))

    def features(
        self, heatmaps: Float[Tensor, "N C T H W"], frames: Int[Tensor, "R T_view"] | None = None
    ) -> Float[Tensor, "R C_out"]:
        """The last stage averaged over time and space: one feature vector for each clip, or for each view of
        a clip; see ``forward``."""
        if frames is None:
            return self.backbone(heatmaps).mean((2, 3, 4))
        # Stem and first stage; the stem alone where there is a single stage, since that one halves T.
        framewise = min(3, len(self.backbone) - 1)
        maps = self.backbone[:framewise](heatmaps).permute(0, 2, 3, 4, 1).flatten(0, 1)
        view_values = maps[0].numel() * frames.shape[1]
        views_at_once = len(frames)
        if heatmaps.device.type in VALUES_AT_ONCE:
            views_at_once = max(1, VALUES_AT_ONCE[heatmaps.device.type] // view_values)
        features = []
        for part in frames.split(views_at_once):
            views = self.backbone[framewise:](maps[part].permute(0, 4, 1, 2, 3))
            features.append(views.mean((2, 3, 4)))
        return torch.cat(features)

    def forward(
        self, heatmaps: Float[Tensor, "N C T H W"], frames: Int[Tensor, "R T_view"] | None = None
    ) -> tuple[Float[Tensor, "R K"], Float[Tensor, "R E"]]:
        """Class logits and the label embedding (E = 0 where the network has no embedding head).

        ``frames`` are, for each of R views, the frames that it consists of, as indices into all N · T frames,
        counted clip after clip. The stem and the first stage, most of the computation, work on single frames;
        views that share a frame share its result.
        """
        feature = self.features(heatmaps, frames)
        embedding = feature[:, :0]
        if self.emb_fc is not None:
            embedding = self.emb_fc(feature)
        return self.fc_cls(self.dropout(feature)), embedding


class Bottleneck(nn.Module):
    """A residual block: 1×1 to fewer channels, 3×3 in space, 1×1 to more channels, added to the input.

    ``frames`` is the kernel size in time of the first convolution. Where the block has a stride or changes
    the channels, another convolution gives the input the same shape.
    """

    def __init__(
        self, in_channels: int, width: int, frames: int, stride: tuple[int, int, int] = (1, 1, 1)
    ) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.conv1 = _convolution(in_channels, width, (frames, 1, 1), relu=True)
        self.conv2 = _convolution(width, width, (1, 3, 3), stride, relu=True)
        self.conv3 = _convolution(width, out_channels, (1, 1, 1))
        self.downsample: nn.Module = nn.Identity()
        if in_channels != out_channels or stride != (1, 1, 1):
            self.downsample = _convolution(in_channels, out_channels, (1, 1, 1), stride)

    def forward(self, x: Float[Tensor, "N C T H W"]) -> Float[Tensor, "N C_out T_out H_out W_out"]:
        y = self.conv3(self.conv2(self.conv1(x)))
        # In place, as the ReLU: these are the largest maps, and a CPU is limited by memory.
        y += self.downsample(x)
        return torch.relu_(y)


class FlatConvolution(nn.Conv3d):
    """A 3-D convolution over space only or over time only, computed as a 2-D convolution.

    Weights and results are those of ``nn.Conv3d``. The network trains twice as fast with it on an H200, and
    at the same speed on a CPU with AVX-512 and bf16 (``benchmarks/README.md``). For a kernel in space, each
    frame is an image of the batch. For a kernel in time, each clip is an image with a row for each frame. In
    channels-last memory both are views, and no data are copied.
    """

    padding: tuple[int, int, int]  # never a name, such as "same"

    def forward(self, x: Float[Tensor, "N C T H W"]) -> Float[Tensor, "N C_out T_out H_out W_out"]:
        frames, *space = self.stride
        x = x[:, :, ::frames]
        if self.kernel_size == (1, 1, 1):
            # With a stride and less than 16 channels, oneDNN writes outside its memory in the backward pass
            # (its issue 6035).
            x, space = x[..., :: space[0], :: space[1]], [1, 1]
        n, c, t, h, w = x.shape
        last = x.permute(0, 2, 3, 4, 1)
        if self.kernel_size[0] == 1:
            maps = last.reshape(n * t, h, w, c).permute(0, 3, 1, 2)
            y = functional.conv2d(maps, self.weight[:, :, 0], self.bias, space, self.padding[1:])
            h, w = y.shape[2:]
        else:
            rows = last.reshape(n, t, h * w, c).permute(0, 3, 1, 2)
            y = functional.conv2d(rows, self.weight[..., 0], self.bias, padding=(self.padding[0], 0))
        return y.permute(0, 2, 3, 1).reshape(n, t, h, w, -1).permute(0, 4, 1, 2, 3)


class FlatMaxPool(nn.Module):
    """The published stem's 1×3×3 max pool of stride 1, computed as a 2-D max pool for the same reason."""

    def forward(self, x: Float[Tensor, "N C T H W"]) -> Float[Tensor, "N C T H W"]:
        n, c, t, h, w = x.shape
        maps = x.permute(0, 2, 3, 4, 1).reshape(n * t, h, w, c).permute(0, 3, 1, 2)
        y = functional.max_pool2d(maps, 3, stride=1, padding=1)
        return y.permute(0, 2, 3, 1).reshape(n, t, h, w, c).permute(0, 4, 1, 2, 3)


def build(layout: Layout, in_channels: int, num_classes: int, *, width: int, **arguments: Any) -> PoseC3D:
    """The network of a row of ``models.MODELS``. Heatmaps have no graph, so the layout is ignored."""
    network = PoseC3D(in_channels, num_classes, base_channels=width, **arguments)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def _convolution(
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int] = (1, 1, 1),
    relu: bool = False,
) -> nn.Sequential:
    """A convolution that keeps the size, apart from its stride; batch norm instead of a bias; perhaps a
    ReLU."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    conv = FlatConvolution(in_channels, out_channels, kernel, stride, padding, bias=False)
    layers = OrderedDict(conv=conv, bn=nn.BatchNorm3d(out_channels))
    if relu:
        layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)
