"""The shortest time in which a device can train PoseC3D of the `paper` preset, layer by layer: ``python
benchmarks/roofline.py``.

A layer needs at least its arithmetic / the device's peak, and its memory traffic / the device's bandwidth;
the larger of both counts (the roofline model of Williams, Waterman and Patterson, Communications of the ACM
52(4), 2009). A training step has for each convolution the forward pass, the gradient of the input and that of
the weights, and for each batch norm eight passes over its map: forward reads it for the statistics, reads it
again and writes the result; backward reads map and gradient for the sums, reads both again and writes the
gradient. ReLU is part of a pass of the batch norm. A residual sum reads its second input once in each
direction. Everything else (heatmaps, pooling, heads, optimiser) is left out.

``--measure`` also times each convolution on this machine; the stem a second time with its channels filled up
to a multiple of 8, as NVIDIA recommends for tensor cores. The defaults are of one NVIDIA H200: 989 TFLOP/s in
bf16 without sparsity and 4.8 TB/s, by its data sheet.
"""

import argparse

import pandas as pd
import torch
from costs import FULL_CLIPS
from torch import nn
from torch.utils.benchmark import Timer

from miga_lib.models import posec3d
from miga_lib.settings import choose
from miga_lib.training import networks

BYTES = 2
"""Of a value in bf16."""
CLASSES, EMBEDDING_SIZE = 32, 384
KINDS = {(1, 1): "1×1", (3, 1): "3 in time", (1, 3): "3×3", (1, 7): "7×7"}
"""Kernels by their extent in time and in space."""


def convolutions(
    network: nn.Module, heatmaps: torch.Tensor
) -> list[tuple[str, posec3d.FlatConvolution, torch.Size, torch.Size]]:
    """Name, layer, shape of the input and of the output of each convolution."""
    shapes = []
    for name, layer in network.named_modules():
        if isinstance(layer, posec3d.FlatConvolution):
            layer.register_forward_hook(
                lambda layer, maps, out, name=name: shapes.append((name, layer, maps[0].shape, out.shape))
            )
    network(heatmaps)
    return shapes


def traffic(network: nn.Module, heatmaps: torch.Tensor) -> pd.DataFrame:
    """A row for each pass of each layer: its arithmetic (FLOP) and its memory traffic (bytes)."""
    rows = []
    for name, layer, maps, out in convolutions(network, heatmaps):
        title = name.removeprefix("backbone.").removesuffix(".conv")
        kind = KINDS[layer.kernel_size[0], layer.kernel_size[2]]
        arithmetic = 2 * out.numel() * layer.weight[0].numel()
        moved = BYTES * (maps.numel() + out.numel() + layer.weight.numel())
        rows.append((title, kind, "forward", arithmetic, moved))
        rows.append((title, kind, "gradient of weights", arithmetic, moved))
        if title != "conv1":  # heatmaps have no gradient
            rows.append((title, kind, "gradient of input", arithmetic, moved))
        rows.append((title, "batch norm", "both", 0, 8 * BYTES * out.numel()))
        if title.endswith("conv3"):
            rows.append((title, "residual sum", "both", 0, 2 * BYTES * out.numel()))
    return pd.DataFrame(rows, columns=["layer", "kind", "pass", "FLOP", "bytes"])


def measured(network: nn.Module, heatmaps: torch.Tensor, device: str) -> pd.DataFrame:
    """The time of each different convolution on this machine, forward and backward, in bf16 and channels-last
    memory.

    Backward is with the gradient of the input, except in the stem.
    """
    rows, seen, options = [], set(), {"device": device, "dtype": torch.bfloat16}
    for name, layer, maps, out in convolutions(network, heatmaps):
        key = layer.weight.shape, maps, layer.stride
        if key in seen:
            continue
        seen.add(key)
        filled = -(-layer.in_channels // 8) * 8
        for channels in dict.fromkeys([layer.in_channels, filled]):
            stem = name.startswith("backbone.conv1")
            x = torch.randn(maps[0], channels, *maps[2:], **options)
            x = x.contiguous(memory_format=torch.channels_last_3d)
            own = posec3d.FlatConvolution(
                channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, bias=False
            )
            own.to(**options, memory_format=torch.channels_last_3d)
            gradient = torch.randn(out, **options).contiguous(memory_format=torch.channels_last_3d)
            names = {"own": own, "x": x.requires_grad_(not stem), "gradient": gradient}
            seconds = Timer("own(x).backward(gradient)", globals=names).blocked_autorange().median
            arithmetic = (2 if stem else 3) * 2 * out.numel() * layer.weight[0].numel()
            title = name.removeprefix("backbone.")
            rows.append((title, channels, arithmetic / 1e12 / seconds, 1e3 * seconds))
    return pd.DataFrame(rows, columns=["layer", "input channels", "TFLOP/s", "ms"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description="The shortest possible training step of PoseC3D, layer by layer."
    )
    parser.add_argument("--stream", default="joint", help="default 'joint'")
    parser.add_argument("--batch-size", type=int, default=24, help="default 24")
    parser.add_argument(
        "--peak", type=float, default=989.0, help="TFLOP/s of the device in bf16; default 989"
    )
    parser.add_argument("--bandwidth", type=float, default=4.8, help="TB/s of its memory; default 4.8")
    parser.add_argument("--measure", action="store_true", help="also time each convolution on this machine")
    given = parser.parse_args()
    settings = choose(
        stream=given.stream, preset="paper", batch_size=given.batch_size, device="cpu", precision="bf16"
    )
    network = networks.build(settings, CLASSES, EMBEDDING_SIZE).train().to("meta")  # shapes only
    channels = settings.architecture.in_channels(settings.stream, settings.skeleton)
    shape = (settings.batch_size, channels, settings.frames, settings.heatmap_size, settings.heatmap_size)
    heatmaps = torch.empty(shape, device="meta")
    table = traffic(network, heatmaps)
    table["ms of arithmetic"] = table["FLOP"] / given.peak / 1e9
    table["ms of memory"] = table["bytes"] / given.bandwidth / 1e9
    table["ms at least"] = table[["ms of arithmetic", "ms of memory"]].max(axis=1)
    totals = table.groupby("kind")[["FLOP", "bytes", "ms of arithmetic", "ms of memory", "ms at least"]].sum()
    totals.loc["all"] = totals.sum()
    shown = totals.assign(TFLOP=totals["FLOP"] / 1e12, GB=totals["bytes"] / 1e9)
    print(shown.drop(columns=["FLOP", "bytes"]).round(2).to_string())
    at_least = totals.loc["all", "ms at least"] / 1e3
    rate = settings.batch_size / at_least
    clips = f"{rate:.0f} clips/s, an epoch {FULL_CLIPS / rate:.1f} s"
    print(f"\na step of {settings.batch_size} clips takes {1e3 * at_least:.1f} ms or more: {clips}")
    print(table.nlargest(12, "ms at least").drop(columns=["FLOP", "bytes"]).round(3).to_string(index=False))
    if given.measure:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        times = measured(network, heatmaps, device).round(2).to_string(index=False)
        print(f"\non {device}, forward and backward:\n{times}")


if __name__ == "__main__":
    main()
