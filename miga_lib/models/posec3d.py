"""PoseC3D: a 3D ResNet over joint or limb heatmaps, whole in this file.

The slim SlowOnly network of Duan et al., Revisiting Skeleton-based Action Recognition, CVPR 2022 (arXiv 2104.13586), equal weight
for weight to the one published in PySkl: a state dict of theirs fits once ``cls_head.`` is taken off its keys.
"""

import copy
from collections import OrderedDict
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..layouts import Layout

VIEWS_AT_ONCE = {"cpu": 2}
"""How many views of a clip pass the later stages together, by device type; on a CPU more would not fit in its cache."""
EXPANSION = 4
"""A bottleneck gives this many times the channels that it works with inside."""


class PoseC3D(nn.Module):
    """Heatmaps to class logits and a label embedding.

    A stem of 1×7×7 without stride; then stages of bottlenecks. Each stage halves H and W and works with twice the channels of the
    one before; every stage but the first also looks at neighbouring frames; the last halves T. With the defaults the pooled
    feature has 512 values and the network, for 17 joints and 60 classes, 2.0 million parameters.

    Args:
        in_channels: joints or limbs, one heatmap each.
        num_classes: K.
        base_channels: channels of the stem.
        stage_blocks: number of bottlenecks in each stage; fewer or shorter stages make a smaller network.
        stem_kernel: side of the stem's kernel in pixels, an odd number; 3 for heatmaps of about half the published size.
        dropout: share of the feature that is dropped before the classes are told apart; the embedding sees all of it.
        embedding_size: E; 0 leaves the embedding head out.

    Raises:
        ValueError: no stage, or one without a block.
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
            raise ValueError(f"stage_blocks must name at least one stage, each of one block or more, got {tuple(stage_blocks)}")
        # The published stem ends in a max pool of stride 1: it has no weights and shrinks nothing, but it does change the values.
        self.backbone = nn.Sequential(
            OrderedDict(
                conv1=_convolution(in_channels, base_channels, (1, stem_kernel, stem_kernel), relu=True),
                maxpool=FlatMaxPool(),
            )
        )
        channels = base_channels
        for stage, blocks in enumerate(stage_blocks):
            width = base_channels * 2**stage
            stride = (2 if stage == len(stage_blocks) - 1 else 1, 2, 2)
            frames = 3 if stage > 0 else 1
            first = Bottleneck(channels, width, frames, stride)
            channels = width * EXPANSION
            self.backbone.add_module(
                f"layer{stage + 1}", nn.Sequential(first, *(Bottleneck(channels, width, frames) for _ in range(blocks - 1)))
            )
        self.dropout = nn.Dropout(dropout)
        self.fc_cls = nn.Linear(channels, num_classes)
        self.emb_fc = nn.Linear(channels, embedding_size) if embedding_size else None
        self._initialise()

    def features(self, heatmaps: Float[Tensor, "N C T H W"], frames: Int[Tensor, "R t"] | None = None) -> Float[Tensor, "R F"]:
        """The last stage averaged over time and space: one feature vector a clip, or a view of a clip; see ``forward``."""
        if frames is None:
            return self.backbone(heatmaps).mean((2, 3, 4))
        # Stem and first stage, but for a network of a single stage, which also halves T.
        apart = 3 if len(self.backbone) > 3 else 2
        of_frames = self.backbone[:apart](heatmaps).permute(0, 2, 3, 4, 1).flatten(0, 1)
        together = VIEWS_AT_ONCE.get(heatmaps.device.type, len(frames))
        views = [self.backbone[apart:](of_frames[part].permute(0, 4, 1, 2, 3)) for part in frames.split(together)]
        return torch.cat([view.mean((2, 3, 4)) for view in views])

    def forward(
        self, heatmaps: Float[Tensor, "N C T H W"], frames: Int[Tensor, "R t"] | None = None
    ) -> tuple[Float[Tensor, "R K"], Float[Tensor, "R E"]]:
        """Class logits, and the embedding of the label (E = 0 where the network has no such head); R = N without ``frames``.

        Args:
            frames: R views, each a choice of t frames among all N · T given, counted clip after clip. Stem and first stage, most of
                the network's arithmetic, look at single frames and are computed once for all views that share them.
        """
        feature = self.features(heatmaps, frames)
        embedding = feature[:, :0] if self.emb_fc is None else self.emb_fc(feature)
        return self.fc_cls(self.dropout(feature)), embedding

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
            elif isinstance(module, Bottleneck):
                # Each block starts as the identity (Goyal et al., arXiv 1706.02677, section 5.1).
                nn.init.zeros_(module.conv3.bn.weight)


class Bottleneck(nn.Module):
    """1×1 down, 3×3 in space, 1×1 up, added to the input; ``frames`` is how many frames the first of them sees.

    A stride, or a change of channels, is carried over to the input by a convolution of its own.
    """

    def __init__(self, in_channels: int, width: int, frames: int, stride: tuple[int, int, int] = (1, 1, 1)) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.conv1 = _convolution(in_channels, width, (frames, 1, 1), relu=True)
        self.conv2 = _convolution(width, width, (1, 3, 3), stride, relu=True)
        self.conv3 = _convolution(width, out_channels, (1, 1, 1))
        carried = in_channels == out_channels and stride == (1, 1, 1)
        self.downsample = nn.Identity() if carried else _convolution(in_channels, out_channels, (1, 1, 1), stride)

    def forward(self, x: Float[Tensor, "N C T H W"]) -> Float[Tensor, "N D t h w"]:
        y = self.conv3(self.conv2(self.conv1(x)))
        y += self.downsample(x)  # in place, as the ReLU: these are the largest maps, and memory is what a CPU waits for
        return torch.relu_(y)


class FlatConvolution(nn.Conv3d):
    """A 3-D convolution over space alone or over time alone, computed as the 2-D one that it is.

    Same weights and same numbers as ``nn.Conv3d``; the network trains twice as fast on an H200, and as fast on a CPU with AVX-512 and
    bf16 (``benchmarks/README.md``). Over space the frames count as clips of the batch, over time all pixels of a frame as one row.
    In channels-last memory neither moves any data.
    """

    def forward(self, x: Float[Tensor, "N C T H W"]) -> Float[Tensor, "N D t h w"]:
        frames, *space = self.stride
        x = x[:, :, ::frames]
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
    """The published stem's 1×3×3 max pool of stride 1, frame by frame, for the same reason."""

    def forward(self, x: Float[Tensor, "N C T H W"]) -> Float[Tensor, "N C T H W"]:
        n, c, t, h, w = x.shape
        maps = x.permute(0, 2, 3, 4, 1).reshape(n * t, h, w, c).permute(0, 3, 1, 2)
        y = functional.max_pool2d(maps, 3, stride=1, padding=1)
        return y.permute(0, 2, 3, 1).reshape(n, t, h, w, c).permute(0, 4, 1, 2, 3)


def build(
    layout: Layout,
    in_channels: int,
    num_classes: int,
    *,
    width: int,
    dropout: float,
    embedding_size: int,
    strategy: str,
    stage_blocks: Sequence[int],
    stem_kernel: int,
) -> PoseC3D:
    """The network of a row of ``models.MODELS``. Heatmaps have no graph: layout and strategy change nothing."""
    network = PoseC3D(
        in_channels,
        num_classes,
        base_channels=width,
        stage_blocks=stage_blocks,
        stem_kernel=stem_kernel,
        dropout=dropout,
        embedding_size=embedding_size,
    )
    return network.to(memory_format=torch.channels_last_3d)


def folded(model: PoseC3D) -> PoseC3D:
    """A copy of a network for prediction, each batch norm folded into the convolution before it: the same numbers, faster."""
    model = copy.deepcopy(model).eval()
    for unit in [module for module in model.modules() if isinstance(getattr(module, "bn", None), nn.BatchNorm3d)]:
        unit.conv = fuse_conv_bn_eval(unit.conv, unit.bn)
        unit.bn = nn.Identity()
    return model


def _convolution(
    in_channels: int, out_channels: int, kernel: tuple[int, int, int], stride: tuple[int, int, int] = (1, 1, 1), relu: bool = False
) -> nn.Sequential:
    """A convolution that keeps the size up to its stride, batch norm in place of a bias, and a ReLU where asked for."""
    padding = tuple(size // 2 for size in kernel)
    parts = OrderedDict(
        conv=FlatConvolution(in_channels, out_channels, kernel, stride, padding, bias=False),
        bn=nn.BatchNorm3d(out_channels),
    )
    if relu:
        parts["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)
