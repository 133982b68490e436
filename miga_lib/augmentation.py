"""Crop to the person, random resized crop, flip, and ``AUGMENTATIONS``, on whole batches of keypoints.

A box is (x0, y0, x1, y1) in the coordinates of the keypoints. Crop and flip change the coordinates of the
joints, before heatmaps are drawn. A missing joint, with score 0, stays (0, 0, 0). The functions draw no
random numbers: the caller, ``training.inputs``, passes numbers in [0, 1).
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .layouts import Layout

Keypoints = Float[Tensor, "N T V 3"]
"""x, y and score of each joint."""

AREA_SHARES = (0.56, 1.0)
"""Smallest and largest area of a random resized crop, as a share of the area of its box."""
ASPECT_RATIOS = (3 / 4, 4 / 3)
"""Smallest and largest width / height of a random resized crop, relative to that of its box."""
MIN_SIDE_PX = 10.0
"""The smallest box around a person: a smaller person is a false detection."""
MAX_ANGLE = math.radians(15)
MAX_STRETCH = 0.1
"""Largest change of the width, and of the height, as a share of it."""
MAX_SHEAR = 0.2
"""Largest shift of x for each unit of y, and of y for each unit of x."""
DROP_PROBABILITY = 0.1
"""Probability with which a joint, a region or a frame is dropped."""
NOISE_SHARE = 0.02
"""Standard deviation of the noise of a joint with score 0, as a share of the side of the box around the
person."""


def crop_box(keypoints: Keypoints, margin: float = 0.25) -> Float[Tensor, "N 4"]:
    """A square around all present joints of a clip, in all its frames.

    Its centre is that of the tight box around the joints. Its side is the longer side of the tight box times
    1 + ``margin``, at least 10 px. It may extend beyond the image of the video. A clip without any joint gets
    the box (−5, −5, 5, 5).

    Source: PoseC3D (Duan et al., CVPR 2022) and PySkl's PoseCompact with ``hw_ratio=1, allow_imgpad=True``.
    PoseCompact differs: it truncates the box to ints, regards a joint with a coordinate of 0 as missing, and
    does not crop where the tight box is under 10 px.
    """
    xy, present = keypoints[..., :2].flatten(1, 2), keypoints[..., 2:].flatten(1, 2) > 0
    low, high = xy.where(present, math.inf).amin(1), xy.where(present, -math.inf).amax(1)
    detected = present.any(1)
    center = ((low + high) / 2).where(detected, 0)
    side = (high - low).amax(1, keepdim=True) * (1 + margin)
    side = side.clamp(min=MIN_SIDE_PX).where(detected, MIN_SIDE_PX)
    return torch.cat([center - side / 2, center + side / 2], dim=1)


def random_resized_crop(
    boxes: Float[Tensor, "N 4"], uniform: Float[Tensor, "N draws"]
) -> Float[Tensor, "N 4"]:
    """A random box inside each box: its area is 0.56 to 1 times that of the box, its aspect ratio 3/4 to 4/3
    times that of the box. A side that would be longer than the box's is set to the box's; both stay in their
    ranges.

    ``uniform`` has four numbers for each clip: for the area (uniform), the aspect ratio (uniform in its
    logarithm), and the position along x and along y (uniform).

    Source: RandomResizedCrop of PySkl and torchvision, which draw up to ten times until the crop fits, and
    round to whole pixels.
    """
    if uniform.shape[1] != 4:
        raise ValueError(f"a random resized crop takes 4 random numbers a clip, got {uniform.shape[1]}")
    low_area, high_area = AREA_SHARES
    area = low_area + (high_area - low_area) * uniform[:, 0]
    narrow, wide = map(math.log, ASPECT_RATIOS)
    aspect = torch.exp(narrow + (wide - narrow) * uniform[:, 1])
    share = torch.stack([area * aspect, area / aspect], dim=1).sqrt().clamp(max=1)
    corner, extent = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    low = corner + uniform[:, 2:] * (1 - share) * extent
    return torch.cat([low, low + share * extent], dim=1)


def to_pixels(keypoints: Keypoints, boxes: Float[Tensor, "N 4"], size: tuple[int, int]) -> Keypoints:
    """Keypoints in the pixels of a heatmap of ``size`` (H, W) that shows the box: x ← (x − x0) · W / (x1 −
    x0), y ← (y − y0) · H / (y1 − y0).

    The scaling is PySkl's, so that weights of PySkl get the input that they were trained on. The centre of a
    pixel has whole numbers as coordinates, so the map begins half a pixel outside the left and upper edge of
    the box. Raises ValueError for a size below 1.
    """
    if min(size) < 1:
        raise ValueError(f"size must be (H, W) of at least 1 pixel each, got {size}")
    extent = boxes[:, 2:] - boxes[:, :2]
    scale = boxes.new_tensor([size[1], size[0]]) / extent
    places = (keypoints[..., :2] - boxes[:, None, None, :2]) * scale[:, None, None]
    return torch.cat([places.where(keypoints[..., 2:] > 0, 0), keypoints[..., 2:]], dim=-1)


def flip(keypoints: Keypoints, layout: Layout, flags: Bool[Tensor, " N"], width: float) -> Keypoints:
    """Mirror the clips whose flag is set: x ← width − 1 − x; left and right joints are exchanged by
    ``layout.mirror``.

    Heatmaps of ``width`` pixels drawn from flipped keypoints are the flipped heatmaps with left and right
    channels exchanged. PySkl flips in the same way in test; in training it uses width − x, one pixel further.
    Raises ValueError as ``check_joints`` does.
    """
    check_joints(keypoints, layout)
    x, y, score = keypoints[:, :, list(layout.mirror)].split(1, dim=-1)
    mirrored = torch.cat([(width - 1 - x).where(score > 0, 0), y, score], dim=-1)
    return torch.where(flags[:, None, None, None], mirrored, keypoints)


def check_joints(keypoints: Keypoints, layout: Layout) -> None:
    """Raise ValueError where the keypoints do not have the layout's number of joints."""
    if keypoints.shape[2] != len(layout.joints):
        raise ValueError(
            f"layout {layout.name!r} has {len(layout.joints)} joints, the keypoints have "
            f"{keypoints.shape[2]}: `layouts.selection` gives the indices that take one layout from another"
        )


def rotate(keypoints: Keypoints, uniform: Float[Tensor, "N 1"], layout: Layout) -> Keypoints:
    """Rotate each clip around the centre of its joints, by −15° to 15°."""
    angle = MAX_ANGLE * (2 * uniform[:, 0] - 1)
    cos, sin = angle.cos(), angle.sin()
    return _transform(keypoints, torch.stack([cos, -sin, sin, cos], dim=1).unflatten(1, (2, 2)))


def stretch(keypoints: Keypoints, uniform: Float[Tensor, "N 2"], layout: Layout) -> Keypoints:
    """Scale the width and the height of each clip, by 0.9 to 1.1 each.

    A scale of both together, and a shift, would change nothing: networks get positions relative to the
    person's box or centre.
    """
    return _transform(keypoints, torch.diag_embed(1 + MAX_STRETCH * (2 * uniform - 1)))


def shear(keypoints: Keypoints, uniform: Float[Tensor, "N 2"], layout: Layout) -> Keypoints:
    """Shear each clip along x and along y, by −0.2 to 0.2."""
    x, y = (MAX_SHEAR * (2 * uniform - 1)).T
    ones = torch.ones_like(x)
    return _transform(keypoints, torch.stack([ones, x, y, ones], dim=1).unflatten(1, (2, 2)))


def drop_joints(keypoints: Keypoints, uniform: Float[Tensor, "N V"], layout: Layout) -> Keypoints:
    """Each joint of a clip is missing in all frames, with a probability of 0.1."""
    return _without(keypoints, uniform < DROP_PROBABILITY)


def drop_regions(keypoints: Keypoints, uniform: Float[Tensor, "N regions"], layout: Layout) -> Keypoints:
    """All joints of a region of the layout, such as a hand, are missing in all frames, with a probability of
    0.1 for each region."""
    members = torch.zeros(len(layout.regions), len(layout.joints), device=keypoints.device)
    for row, region in zip(members, layout.regions.values(), strict=True):
        row[list(region)] = 1
    return _without(keypoints, (uniform < DROP_PROBABILITY).to(members.dtype) @ members > 0)


def drop_frames(keypoints: Keypoints, uniform: Float[Tensor, "N T"], layout: Layout) -> Keypoints:
    """All joints of a frame are missing, with a probability of 0.1 for each frame; the first frame stays."""
    present = uniform >= DROP_PROBABILITY
    present[:, 0] = True
    return keypoints * present[:, :, None, None]


def noise(keypoints: Keypoints, uniform: Float[Tensor, "N numbers"], layout: Layout) -> Keypoints:
    """Gaussian noise of each coordinate; its standard deviation falls from 2 % of the person's size at score
    0 to 0 at score 1."""
    boxes = crop_box(keypoints, margin=0.0)
    side, score = (boxes[:, 2] - boxes[:, 0])[:, None, None, None], keypoints[..., 2:]
    normal = torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6)).reshape(*keypoints.shape[:3], 2)
    moved = keypoints[..., :2] + NOISE_SHARE * side * (1 - score).clamp(0, 1) * normal
    return torch.cat([moved.where(score > 0, 0), score], dim=-1)


AUGMENTATIONS: dict[str, tuple[Callable[[Tensor, Tensor, Layout], Tensor], Callable[[int, Layout], int]]] = {
    "rotate": (rotate, lambda frames, layout: 1),
    "stretch": (stretch, lambda frames, layout: 2),
    "shear": (shear, lambda frames, layout: 2),
    "noise": (noise, lambda frames, layout: 2 * frames * len(layout.joints)),
    "drop_joints": (drop_joints, lambda frames, layout: len(layout.joints)),
    "drop_regions": (drop_regions, lambda frames, layout: len(layout.regions)),
    "drop_frames": (drop_frames, lambda frames, layout: frames),
}
"""Further augmentations of training clips of T frames, in the order in which they are applied, and the number
of random numbers that each takes for a clip."""


def _without(keypoints: Keypoints, dropped: Bool[Tensor, "N V"]) -> Keypoints:
    """The clips without some joints; of a clip that would lose all joints that it has, everything is kept."""
    present = (keypoints[..., 2] > 0).any(1)
    return keypoints * ~(dropped & (present & ~dropped).any(1, keepdim=True))[:, None, :, None]


def _transform(keypoints: Keypoints, matrices: Float[Tensor, "N 2 2"]) -> Keypoints:
    """Each clip's positions times a matrix, measured from the mean position of its joints, which stays where
    it is."""
    places, present = keypoints[..., :2], keypoints[..., 2:] > 0
    center = (places * present).sum((1, 2), keepdim=True) / present.sum((1, 2), keepdim=True).clamp(min=1)
    moved = center + torch.einsum("nij,ntvj->ntvi", matrices, places - center)
    return torch.cat([moved.where(present, 0), keypoints[..., 2:]], dim=-1)
