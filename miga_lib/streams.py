"""Streams: a batch of keypoints → the tensor that a model takes.

Heatmap streams, ``(keypoints, layout, size)`` → (N, C, T, H, W), take keypoints in heatmap pixels; ``size``
is (H, W). Graph streams, ``(keypoints, layout)`` → (N, 3, T, V, 1), take keypoints in any unit. All raise
ValueError where keypoints do not have the layout's joints. A new stream is a function here and an entry in
the ``streams`` of its model's row in ``models.MODELS``; that of a heatmap stream is a ``HeatmapStream``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from . import heatmaps
from .augmentation import Keypoints, check_joints
from .layouts import Layout

Size = tuple[int, int]
Maps = Float[Tensor, "N C T H W"]
SIGMA_PX = 0.6
"""Standard deviation of a Gaussian in heatmap pixels, as in PoseC3D's configurations."""


@dataclass(frozen=True)
class HeatmapStream:
    """A heatmap stream as models know it: a function, and what its channels are."""

    draw: Callable[..., Tensor]
    """``(keypoints, layout, size)`` → (N, C, T, H, W)."""
    shows: str
    """What each channel shows: ``joints`` or ``limbs`` of the layout, in its order."""
    framewise: bool = False
    """Whether the map of a frame depends on that frame alone, so that it can be drawn once for all views that
    have it."""

    def __post_init__(self) -> None:
        if self.shows not in ("joints", "limbs"):
            raise ValueError(f"shows of a heatmap stream must be joints or limbs, got {self.shows!r}")

    def __call__(self, keypoints: Keypoints, layout: Layout, size: Size) -> Maps:
        return self.draw(keypoints, layout, size)

    def channel_names(self, layout: Layout) -> list[frozenset[str]]:
        """The joint, or the two joints of the limb, that each channel shows."""
        if self.shows == "joints":
            return [frozenset([joint]) for joint in layout.joints]
        return [frozenset(layout.joints[v] for v in limb) for limb in layout.limbs]


def joint_heatmaps(keypoints: Keypoints, layout: Layout, size: Size) -> Maps:
    """A map for each joint of the layout, see ``heatmaps.joints``."""
    return heatmaps.joints(*_channels_first(keypoints, layout), size, SIGMA_PX)


def limb_heatmaps(keypoints: Keypoints, layout: Layout, size: Size) -> Maps:
    """A map for each limb of the layout, see ``heatmaps.limbs``."""
    places, scores = _channels_first(keypoints, layout)
    a, b = torch.tensor(layout.limbs, device=keypoints.device).T
    return heatmaps.lines(places[:, a], places[:, b], scores[:, a], scores[:, b], size, SIGMA_PX)


def joint_motion_heatmaps(keypoints: Keypoints, layout: Layout, size: Size) -> Maps:
    """``joint_heatmaps`` times the speed of each joint: how far it moves until the next frame, in sigmas, at
    most 1.

    So a joint that does not move is not drawn, and in the last frame none is. With this definition, unlike
    with differences of heatmaps, values stay between 0 and 1, as those of the other streams, and persons can
    be merged by maximum. The definition is ours.
    """
    places, scores = _channels_first(keypoints, layout)
    return heatmaps.joints(places, _speeds(places, scores) * scores, size, SIGMA_PX)


def limb_motion_heatmaps(keypoints: Keypoints, layout: Layout, size: Size) -> Maps:
    """``limb_heatmaps`` times the speed of the faster end of each limb, see ``joint_motion_heatmaps``."""
    places, scores = _channels_first(keypoints, layout)
    speeds = _speeds(places, scores)
    a, b = torch.tensor(layout.limbs, device=keypoints.device).T
    scores_a, scores_b = speeds[:, a].maximum(speeds[:, b]) * torch.stack([scores[:, a], scores[:, b]])
    return heatmaps.lines(places[:, a], places[:, b], scores_a, scores_b, size, SIGMA_PX)


def joint_graph(keypoints: Keypoints, layout: Layout) -> Float[Tensor, "N 3 T V 1"]:
    """Position and score of each joint, for one person.

    Positions are measured from the mean position of the layout's centre in the clip, in units of the mean
    distance of the joints from it. So the result does not depend on the position of the person in the video
    or the distance of the camera, but all movements in the clip are kept: each clip has one origin and one
    unit. A mean depends less on one wrong detection than a maximum does. Unlike the width of the shoulders,
    it exists in every layout and does not shrink when the body turns. Where the centre is never detected, the
    mean over all joints is used. A missing joint is 0 in all three channels.

    Source: input of Yan et al. (AAAI 2018), who scale by the video's frame instead.
    """
    return _graph(_normalised(keypoints, layout))


def bone_graph(keypoints: Keypoints, layout: Layout) -> Float[Tensor, "N 3 T V 1"]:
    """The vector to each joint from its parent in the layout, with the lower score of the two; 0 where either
    is missing.

    Positions are those of ``joint_graph``. The centre has no parent; its bone has length 0.

    Source: Shi et al., Two-Stream Adaptive Graph Convolutional Networks, CVPR 2019.
    """
    return _graph(_bones(_normalised(keypoints, layout), layout))


def joint_motion_graph(keypoints: Keypoints, layout: Layout) -> Float[Tensor, "N 3 T V 1"]:
    """``joint_graph`` of the next frame minus this one, with the lower score; 0 where either is missing, and
    in the last frame. Source as for ``bone_graph``."""
    return _graph(_motion(_normalised(keypoints, layout)))


def bone_motion_graph(keypoints: Keypoints, layout: Layout) -> Float[Tensor, "N 3 T V 1"]:
    """``bone_graph`` of the next frame minus this one, as ``joint_motion_graph``."""
    return _graph(_motion(_bones(_normalised(keypoints, layout), layout)))


def _channels_first(keypoints: Keypoints, layout: Layout) -> tuple[Tensor, Tensor]:
    """Positions (N, V, T, 2) and scores (N, V, T): maps come in the order in which models take them."""
    check_joints(keypoints, layout)
    return keypoints[..., :2].transpose(1, 2), keypoints[..., 2].transpose(1, 2)


def _speeds(places: Float[Tensor, "N V T 2"], scores: Float[Tensor, "N V T"]) -> Float[Tensor, "N V T"]:
    """How far each joint moves until the next frame, in sigmas, at most 1; 0 where it is missing there."""
    moved = (places[:, :, 1:] - places[:, :, :-1]).norm(dim=-1).where(scores[:, :, 1:] > 0, 0) / SIGMA_PX
    return torch.cat([moved.clamp(max=1), torch.zeros_like(scores[:, :, :1])], dim=2)


def _normalised(keypoints: Keypoints, layout: Layout) -> Keypoints:
    """Positions as described at ``joint_graph``, and scores."""
    check_joints(keypoints, layout)
    places, scores = keypoints[..., :2], keypoints[..., 2:]
    present, places = (scores > 0).double(), places.where(scores > 0, 0)
    is_center = torch.arange(places.shape[2], device=places.device)[:, None] == layout.center
    origins = torch.where((present * is_center).sum((1, 2), keepdim=True) > 0, present * is_center, present)
    origin = (places * origins).sum((1, 2), keepdim=True) / origins.sum((1, 2), keepdim=True).clamp(min=1)
    centered = (places - origin) * present
    count = present.sum((1, 2), keepdim=True).clamp(min=1)
    unit = centered.norm(dim=-1, keepdim=True).sum((1, 2), keepdim=True) / count
    # The extent of a clip whose joints are all at one point is rounding error.
    extended = unit > 1e-6 * places.abs().amax((1, 2, 3), keepdim=True)
    places = torch.where(extended, centered / unit.where(extended, 1), 0).to(keypoints.dtype)
    return torch.cat([places, scores], dim=-1)


def _bones(nodes: Keypoints, layout: Layout) -> Keypoints:
    return _difference(nodes, nodes[:, :, torch.from_numpy(layout.parents).to(nodes.device)])


def _motion(nodes: Keypoints) -> Keypoints:
    return _difference(torch.cat([nodes[:, 1:], torch.zeros_like(nodes[:, :1])], dim=1), nodes)


def _difference(nodes: Keypoints, others: Keypoints) -> Keypoints:
    """Positions minus the other positions, and the lower of both scores; 0 where one of the two is
    missing."""
    lower = nodes[..., 2:].minimum(others[..., 2:])
    return torch.cat([(nodes - others)[..., :2].where(lower > 0, 0), lower], dim=-1)


def _graph(nodes: Keypoints) -> Float[Tensor, "N 3 T V 1"]:
    """Nodes as graph models take them, for one person."""
    return nodes.permute(0, 3, 1, 2)[..., None].contiguous()
