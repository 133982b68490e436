"""Streams: a batch of keypoints → the tensor that a model takes.

Heatmap streams, ``(keypoints, layout, size)`` → (N, C, T, H, W), take keypoints in heatmap pixels. Graph
streams, ``(keypoints, layout)`` → (N, 3, T, V, 1), take keypoints in any unit. A new stream is a function
here and an entry in the ``streams`` of its model's row in ``models.MODELS``; that of a heatmap stream is a
``HeatmapStream``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from . import heatmaps
from .layouts import Layout

SIGMA_PX = 0.6
"""Standard deviation of a Gaussian in heatmap pixels, as in PoseC3D's configurations."""


@dataclass(frozen=True)
class HeatmapStream:
    """A heatmap stream as models know it: a function, and what its channels are.

    Raises:
        ValueError: ``shows`` is another word.
    """

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

    def __call__(self, keypoints: Tensor, layout: Layout, size: tuple[int, int]) -> Tensor:
        return self.draw(keypoints, layout, size)

    def channel_names(self, layout: Layout) -> list[frozenset[str]]:
        """The joint, or the two joints of the limb, that each channel shows."""
        groups = layout.limbs if self.shows == "limbs" else [(v,) for v in range(len(layout.joints))]
        return [frozenset(layout.joints[v] for v in group) for group in groups]


def joint_heatmaps(
    keypoints: Float[Tensor, "N T V 3"], layout: Layout, size: tuple[int, int], sigma: float = SIGMA_PX
) -> Float[Tensor, "N V T {size[0]} {size[1]}"]:
    """A map for each joint of the layout, see ``heatmaps.joints``; ``size`` is (H, W).

    Raises:
        ValueError: keypoints that do not have the layout's joints, a size below 1 or a sigma that is not
            above 0.
    """
    return heatmaps.joints(*_channels_first(keypoints, layout), size, sigma)


def limb_heatmaps(
    keypoints: Float[Tensor, "N T V 3"], layout: Layout, size: tuple[int, int], sigma: float = SIGMA_PX
) -> Float[Tensor, "N L T {size[0]} {size[1]}"]:
    """A map for each limb of the layout, see ``heatmaps.limbs``; ``size`` is (H, W).

    Raises:
        ValueError: keypoints that do not have the layout's joints, a size below 1 or a sigma that is not
            above 0.
    """
    places, scores = _channels_first(keypoints, layout)
    a, b = torch.tensor(layout.limbs, device=keypoints.device).T
    return heatmaps.segments(places[:, a], places[:, b], scores[:, a], scores[:, b], size, sigma)


def joint_motion_heatmaps(
    keypoints: Float[Tensor, "N T V 3"], layout: Layout, size: tuple[int, int], sigma: float = SIGMA_PX
) -> Float[Tensor, "N V T {size[0]} {size[1]}"]:
    """``joint_heatmaps`` times the speed of each joint: how far it moves until the next frame, in units of
    ``sigma``, at most 1.

    So a joint that does not move is not drawn, and in the last frame none is. With this definition, unlike
    with differences of heatmaps, values stay between 0 and 1, as those of the other streams, and persons can
    be merged by maximum. The definition is ours.

    Errors as for ``joint_heatmaps``.
    """
    places, scores = _channels_first(keypoints, layout)
    return heatmaps.joints(places, _speeds(places, scores, sigma) * scores, size, sigma)


def limb_motion_heatmaps(
    keypoints: Float[Tensor, "N T V 3"], layout: Layout, size: tuple[int, int], sigma: float = SIGMA_PX
) -> Float[Tensor, "N L T {size[0]} {size[1]}"]:
    """``limb_heatmaps`` times the speed of the faster end of each limb, see ``joint_motion_heatmaps``."""
    places, scores = _channels_first(keypoints, layout)
    speeds, (a, b) = _speeds(places, scores, sigma), torch.tensor(layout.limbs, device=keypoints.device).T
    faster = speeds[:, a].maximum(speeds[:, b])
    return heatmaps.segments(
        places[:, a], places[:, b], faster * scores[:, a], faster * scores[:, b], size, sigma
    )


def joint_graph(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N 3 T V 1"]:
    """Position and score of each joint, for one person.

    Positions are measured from the mean position of the layout's centre in the clip, in units of the mean
    distance of the joints from it. So the result does not depend on the position of the person in the video
    or the distance of the camera, but all movements in the clip are kept: each clip has one origin and one
    unit. A mean depends less on one wrong detection than a maximum does. Unlike the width of the shoulders,
    it exists in every layout and does not shrink when the body turns. Where the centre is never detected, the
    mean over all joints is used. A missing joint is 0 in all three channels.

    Source: input of Yan et al. (AAAI 2018), who scale by the video's frame instead.

    Raises:
        ValueError: keypoints that do not have the layout's joints.
    """
    return _nodes(*_normalised(keypoints, layout))


def bone_graph(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N 3 T V 1"]:
    """The vector to each joint from its parent in the layout, with the lower score of the two; 0 where either
    is missing.

    Positions are those of ``joint_graph``. The centre has no parent; its bone has length 0.

    Source: Shi et al., Two-Stream Adaptive Graph Convolutional Networks, CVPR 2019.

    Raises:
        ValueError: keypoints that do not have the layout's joints.
    """
    return _nodes(*_bones(keypoints, layout))


def joint_motion_graph(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N 3 T V 1"]:
    """``joint_graph`` of the next frame minus this one, with the lower score; 0 where either is missing, and
    in the last frame.

    Source and errors as for ``bone_graph``.
    """
    return _nodes(*_motion(*_normalised(keypoints, layout)))


def bone_motion_graph(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N 3 T V 1"]:
    """``bone_graph`` of the next frame minus this one, with the lower score; 0 where either is missing, and
    in the last frame.

    Source and errors as for ``bone_graph``.
    """
    return _nodes(*_motion(*_bones(keypoints, layout)))


def _speeds(
    places: Float[Tensor, "N V T 2"], scores: Float[Tensor, "N V T"], sigma: float
) -> Float[Tensor, "N V T"]:
    """How far each joint moves until the next frame, in units of ``sigma`` and at most 1; 0 where it is
    missing there."""
    moved = (places[:, :, 1:] - places[:, :, :-1]).norm(dim=-1).where(scores[:, :, 1:] > 0, 0) / sigma
    return torch.cat([moved.clamp(max=1), torch.zeros_like(scores[:, :, :1])], dim=2)


def _channels_first(keypoints: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """Positions (N, V, T, 2) and scores (N, V, T), so that maps come with channels first, as models take
    them."""
    _check(keypoints, layout)
    return keypoints[..., :2].transpose(1, 2), keypoints[..., 2].transpose(1, 2)


def _normalised(keypoints: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """Positions (N, T, V, 2) as described at ``joint_graph``, and scores (N, T, V, 1)."""
    _check(keypoints, layout)
    places, scores = keypoints[..., :2], keypoints[..., 2:]
    present, places = (scores > 0).double(), places.where(scores > 0, 0)
    is_center = torch.arange(places.shape[2], device=places.device)[:, None] == layout.center
    origins = torch.where((present * is_center).sum((1, 2), keepdim=True) > 0, present * is_center, present)
    origin = (places * origins).sum((1, 2), keepdim=True) / origins.sum((1, 2), keepdim=True).clamp(min=1)
    centered = (places - origin) * present
    unit = centered.norm(dim=-1, keepdim=True).sum((1, 2), keepdim=True) / present.sum(
        (1, 2), keepdim=True
    ).clamp(min=1)
    # The extent of a clip whose joints are all at one point is rounding error.
    extent = unit > 1e-6 * places.abs().amax((1, 2, 3), keepdim=True)
    return torch.where(extent, centered / unit.where(extent, 1), 0).to(places.dtype), scores


def _bones(keypoints: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    places, scores = _normalised(keypoints, layout)
    parents = torch.from_numpy(layout.parents).to(keypoints.device)
    return _difference(places, scores, places[:, :, parents], scores[:, :, parents])


def _motion(places: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    next_places, next_scores = (
        torch.cat([of[:, 1:], torch.zeros_like(of[:, :1])], dim=1) for of in (places, scores)
    )
    return _difference(next_places, next_scores, places, scores)


def _difference(
    places: Tensor, scores: Tensor, other_places: Tensor, other_scores: Tensor
) -> tuple[Tensor, Tensor]:
    """Positions minus the other positions, and the lower of both scores; 0 where one of the two joints is
    missing."""
    lower = scores.minimum(other_scores)
    return (places - other_places).where(lower > 0, 0), lower


def _nodes(places: Tensor, scores: Tensor) -> Tensor:
    """Positions and scores as graph models take them, (N, 3, T, V, M), for M = 1 person."""
    return torch.cat([places, scores], dim=-1).permute(0, 3, 1, 2)[..., None].contiguous()


def _check(keypoints: Tensor, layout: Layout) -> None:
    if keypoints.shape[2] != len(layout.joints):
        raise ValueError(
            f"layout {layout.name!r} has {len(layout.joints)} joints, the keypoints have {keypoints.shape[2]}: "
            "`layouts.selection` gives the indices that take one layout from another"
        )
