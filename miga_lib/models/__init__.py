"""The networks, one file each, and ``MODELS``: what the rest of the library knows about them.

A new model is a file in this folder and a row of ``MODELS``; CONTRIBUTING.md has an example.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .. import streams
from ..layouts import Layout
from . import ctrgcn, graphs, posec3d, stgcn, stgcnpp
from .folding import folded

INPUTS = ("heatmaps", "graph")
"""Kinds of input. ``training.inputs`` has a source of batches for each."""


@dataclass(frozen=True)
class Model:
    """One row of ``MODELS``."""

    input: str
    """``heatmaps``: streams draw (N, C, T, H, W), and clips are randomly cropped in training. ``graph``:
    streams give (N, C, T, V, M), and the network depends on the limbs of the layout."""
    streams: Mapping[str, Callable[..., Tensor]]
    """Functions of ``streams`` by name; those of heatmaps as ``streams.HeatmapStream``."""
    presets: Mapping[str, Mapping[str, Any]]
    """What this model adds to each preset: ``learning_rate`` at the preset's batch size, and the
    arguments of ``build`` that only this model has, such as ``width``."""
    build: Callable[..., nn.Module]
    """``build(layout, in_channels, num_classes, *, dropout, embedding_size, **network)``: a network that
    gives class logits (N, K) and label embeddings (N, E)."""
    shares_frames: bool = False
    """Whether the network can also be called as ``network(maps, places)``: maps of single frames, (1, C,
    frames, H, W), and the indices of the T frames of each of its clips among them, (N, T)."""
    for_prediction: Callable[[Any], nn.Module] = lambda network: network
    """Returns a network that gives the same predictions faster."""
    compiles: bool = False
    """Whether ``torch.compile`` saves time in a run of the ``paper`` preset on a GPU."""

    def __post_init__(self) -> None:
        if self.input not in INPUTS:
            raise ValueError(f"input of a model must be one of {', '.join(INPUTS)}, got {self.input!r}")
        for name, stream in self.streams.items():
            if self.input == "heatmaps" and not isinstance(stream, streams.HeatmapStream):
                rule = "of a model that takes heatmaps must be a streams.HeatmapStream"
                raise ValueError(f"stream {name!r} {rule}, got {stream!r:.100}")

    def network(self, preset: str) -> dict[str, Any]:
        """The arguments of ``build`` that only this model has, with their values in a preset."""
        own = self.presets[preset]
        return {name: value for name, value in own.items() if name != "learning_rate"}

    def tensor(self, stream: str, keypoints: Tensor, layout: Layout, side: int) -> Tensor:
        """The input of the network, from keypoints (N, T, V, 3) in the pixels of a heatmap of that side.

        The heatmaps of two persons are merged by maximum, as in PySkl; graphs get M = 2, as in ST-GCN.
        """
        if self.input == "graph":
            nodes = self.streams[stream](keypoints, layout)
            return torch.cat(nodes.chunk(layout.persons, dim=3), dim=4) if layout.single_person else nodes
        maps = self.streams[stream](keypoints, layout, (side, side))
        if layout.single_person:
            maps = maps.unflatten(1, (layout.persons, -1)).amax(1)
        return maps.contiguous(memory_format=torch.channels_last_3d)

    def channel_names(self, stream: str, layout: Layout) -> list[frozenset[str]]:
        """The joint, or the two joints of a limb, in each channel; none of a graph stream."""
        drawn = self.streams[stream]
        return drawn.channel_names(layout) if isinstance(drawn, streams.HeatmapStream) else []

    def draws_frames_once(self, stream: str) -> bool:
        """Whether a frame that several views have can be drawn, and computed, once for all of them."""
        drawn = self.streams[stream]
        return self.shares_frames and isinstance(drawn, streams.HeatmapStream) and drawn.framewise

    def in_channels(self, stream: str, layout: Layout) -> int:
        """C, the channels of the network's input, found by calling the stream once on zeros.

        Raises ValueError where a heatmap stream draws another number of maps than it ``shows``.
        """
        channels = self.tensor(stream, torch.zeros(1, 2, len(layout.joints), 3), layout, 1).shape[1]
        names = self.channel_names(stream, layout.single_person or layout)
        if names and len(names) != channels:
            raise ValueError(
                f"stream {stream!r} draws {channels} maps and its `shows` says {len(names)}; "
                "correct its row in the streams of the model"
            )
        return channels


GRAPH_STREAMS = {
    "joint": streams.joint_graph,
    "bone": streams.bone_graph,
    "joint_motion": streams.joint_motion_graph,
    "bone_motion": streams.bone_motion_graph,
}


def _graph_model(network: Callable[..., nn.Module], learning_rate: float) -> Model:
    """The row of a network of the ``graphs`` family, with the learning rate of its ``paper`` preset."""

    def build(
        layout: Layout,
        in_channels: int,
        classes: int,
        *,
        width: int,
        multiples: Sequence[int],
        **options: Any,
    ) -> nn.Module:
        channels = [width * multiple for multiple in multiples]
        return network(layout, classes, in_channels=in_channels, channels=channels, **options)

    sizes: dict[str, tuple[float, int, Sequence[int]]] = {
        "smoke": (0.05, 8, (1, 2)),
        "quick": (0.05, 32, (1, 1, 2, 2, 4)),
        "paper": (learning_rate, graphs.WIDTH, graphs.MULTIPLES),
    }
    presets = {
        preset: {"learning_rate": rate, "width": width, "multiples": multiples, "partition": "spatial"}
        for preset, (rate, width, multiples) in sizes.items()
    }
    return Model(input="graph", streams=GRAPH_STREAMS, presets=presets, build=build, for_prediction=folded)


POSEC3D_PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {"learning_rate": 0.1, "width": 4, "stage_blocks": (1, 1), "stem_kernel": 3},
    "quick": {"learning_rate": 0.1, "width": 16, "stage_blocks": (1, 1, 1), "stem_kernel": 3},
    "paper": {"learning_rate": 0.1 / 3, "width": 32, "stage_blocks": (4, 6, 3), "stem_kernel": 7},
}

MODELS = {
    "posec3d": Model(
        input="heatmaps",
        streams={
            "joint": streams.HeatmapStream(streams.joint_heatmaps, shows="joints", framewise=True),
            "limb": streams.HeatmapStream(streams.limb_heatmaps, shows="limbs", framewise=True),
            "joint_motion": streams.HeatmapStream(streams.joint_motion_heatmaps, shows="joints"),
            "limb_motion": streams.HeatmapStream(streams.limb_motion_heatmaps, shows="limbs"),
        },
        presets=POSEC3D_PRESETS,
        build=posec3d.build,
        shares_frames=True,
        for_prediction=folded,
        compiles=True,
    ),
    # The learning rate of ST-GCN's own publication.
    "stgcn": _graph_model(stgcn.STGCN, 0.1),
    # PySkl trains both with a learning rate of 0.1 for 8 × 16 clips a step, in proportion to the clips:
    # 0.1 · 24 / 128 for 24.
    "stgcnpp": _graph_model(stgcnpp.STGCNPP, 0.1 * 24 / 128),
    "ctrgcn": _graph_model(ctrgcn.CTRGCN, 0.1 * 24 / 128),
}
