"""A batch of keypoints → the tensor that a model takes: joint or limb heatmaps for PoseC3D, joint, bone or motion graphs for ST-GCN."""

import torch
from jaxtyping import Float
from torch import Tensor

from . import heatmaps as drawing
from .layouts import Layout

STREAMS = {"posec3d": ("joint", "limb"), "stgcn": ("joint", "bone", "joint_motion", "bone_motion")}
"""The streams of each model."""


def channels(model: str, stream: str, layout: Layout) -> int:
    """How many channels the model's input has: a map for each joint or limb, or the 3 values of a graph's node.

    Raises ValueError for a model or stream that does not exist.
    """
    _check(model, stream)
    return {"joint": len(layout.joints), "limb": len(layout.limbs)}[stream] if model == "posec3d" else 3


def heatmaps(
    keypoints: Float[Tensor, "N T V 3"], layout: Layout, stream: str, size: tuple[int, int], sigma: float = 0.6
) -> Float[Tensor, "N C T {size[0]} {size[1]}"]:
    """The maps of all joints (C = V) or limbs (C = L) of a layout, from keypoints in heatmap pixels.

    Raises:
        ValueError: another stream, keypoints that do not have the layout's joints, a size below 1 or a sigma that is not above 0.
    """
    _check("posec3d", stream, keypoints, layout)
    # Drawing asks nothing of the order of its axes, and the model wants channels before frames.
    places, scores = keypoints[..., :2].transpose(1, 2), keypoints[..., 2].transpose(1, 2)
    if stream == "joint":
        return drawing.joints(places, scores, size, sigma)
    a, b = torch.tensor(layout.limbs, device=keypoints.device).T
    return drawing.segments(places[:, a], places[:, b], scores[:, a], scores[:, b], size, sigma)


def graph(keypoints: Float[Tensor, "N T V 3"], layout: Layout, stream: str) -> Float[Tensor, "N 3 T V 1"]:
    """The nodes of ST-GCN's graph in each frame, for one person: x, y and score, from keypoints in any unit.

    ``joint`` is the place of the joint, ``bone`` its place less that of its parent in the layout; ``joint_motion`` and
    ``bone_motion`` are the same in the next frame less in this one. What needs a missing joint or the frame after the last is 0 in
    all three; what needs two joints has the lower score of the two. The centre, having no parent, has a bone of length 0.

    Places are measured from the mean place of the layout's centre in the clip, in units of the mean distance of the joints from
    there. So neither the position of the person in the video nor the distance of the camera matter, while the movements in
    the clip, of the whole body too, are kept: one offset and one unit a clip. A mean is less at the mercy of one wrong detection than
    a largest extent, and, unlike the width of the shoulders, exists in every layout and does not shrink as the body turns. Where the
    centre is never seen, the mean over all joints takes its place.

    Source: input and streams of Yan et al. (AAAI 2018) and Shi et al., Two-Stream Adaptive Graph Convolutional Networks, CVPR 2019;
    the published ST-GCN scales by the video's frame instead.

    Raises:
        ValueError: another stream, or keypoints that do not have the layout's joints.
    """
    _check("stgcn", stream, keypoints, layout)
    places, scores = _normalised(keypoints[..., :2], keypoints[..., 2:], layout.center), keypoints[..., 2:]
    if stream.startswith("bone"):
        parents = torch.from_numpy(layout.parents).to(keypoints.device)
        places, scores = _difference(places, scores, places[:, :, parents], scores[:, :, parents])
    if stream.endswith("motion"):
        following = [torch.cat([of[:, 1:], torch.zeros_like(of[:, :1])], dim=1) for of in (places, scores)]
        places, scores = _difference(*following, places, scores)
    return torch.cat([places, scores], dim=-1).permute(0, 3, 1, 2)[..., None].contiguous()


def _normalised(places: Tensor, scores: Tensor, center: int) -> Tensor:
    """Places (N, T, V, 2) from the mean place of the centre, in units of the mean distance from there; 0 where the score is 0."""
    present, places = (scores > 0).double(), places.where(scores > 0, 0)
    is_center = torch.arange(places.shape[2], device=places.device)[:, None] == center
    origins = torch.where((present * is_center).sum((1, 2), keepdim=True) > 0, present * is_center, present)
    origin = (places * origins).sum((1, 2), keepdim=True) / origins.sum((1, 2), keepdim=True).clamp(min=1)
    centered = (places - origin) * present
    unit = centered.norm(dim=-1, keepdim=True).sum((1, 2), keepdim=True) / present.sum((1, 2), keepdim=True).clamp(min=1)
    # A clip all of whose joints lie in one place has no extent but rounding errors.
    extent = unit > 1e-6 * places.abs().amax((1, 2, 3), keepdim=True)
    return torch.where(extent, centered / unit.where(extent, 1), 0).to(places.dtype)


def _difference(places: Tensor, scores: Tensor, other_places: Tensor, other_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Places less the other ones, with the lower score; both 0 where one of the two is missing."""
    lower = scores.minimum(other_scores)
    return (places - other_places).where(lower > 0, 0), lower


def _check(model: str, stream: str, keypoints: Tensor | None = None, layout: Layout | None = None) -> None:
    if model not in STREAMS:
        raise ValueError(f"model must be one of {', '.join(STREAMS)}, got {model!r}")
    if stream not in STREAMS[model]:
        raise ValueError(f"stream of {model} must be one of {', '.join(STREAMS[model])}, got {stream!r}")
    if keypoints is not None and layout is not None and keypoints.shape[2] != len(layout.joints):
        raise ValueError(
            f"layout {layout.name!r} has {len(layout.joints)} joints, the keypoints have {keypoints.shape[2]}: "
            "`layouts.selection` gives the indices that take one layout from another"
        )
