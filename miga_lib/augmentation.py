"""Crop to the person, random resized crop and flip, on whole batches of keypoints.

A box is (x0, y0, x1, y1) in the coordinates of the keypoints. Joints are cropped and flipped as coordinates, before anything is
drawn; a missing joint, of score 0, stays (0, 0, 0). Randomness is an argument: numbers in [0, 1), drawn by the caller.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .layouts import Layout

AREA = (0.56, 1.0)
"""Area of a random resized crop as a share of its box."""
ASPECT = (3 / 4, 4 / 3)
"""Width of a random resized crop over its height, where the box is a square."""
LEAST_SIDE = 10.0
"""No box around a person is smaller, in px: a person that small is a stray detection."""


def crop_box(keypoints: Float[Tensor, "N T V 3"], margin: float = 0.25) -> Float[Tensor, "N 4"]:
    """The square around all that is present in a clip, ``margin`` wider than its longer side and at least 10 px wide.

    The square has the centre of the tight box and may reach out of the video's frame. A clip without any joint gets the box
    (−5, −5, 5, 5).

    Source: PoseC3D (Duan et al., CVPR 2022) and PySkl's PoseCompact with ``hw_ratio=1, allow_imgpad=True``. That one cuts its box
    to ints, takes a coordinate of 0 for a missing joint, and leaves the whole frame where the tight box is under 10 px.
    """
    xy, present = keypoints[..., :2].flatten(1, 2), keypoints[..., 2:].flatten(1, 2) > 0
    low, high = xy.where(present, math.inf).amin(1), xy.where(present, -math.inf).amax(1)
    found = present.any(1)
    center = ((low + high) / 2).where(found, 0)
    side = ((high - low).amax(1, keepdim=True) * (1 + margin)).clamp(min=LEAST_SIDE).where(found, LEAST_SIDE)
    return torch.cat([center - side / 2, center + side / 2], dim=1)


def random_resized_crop(boxes: Float[Tensor, "N 4"], uniform: Float[Tensor, "N k"]) -> Float[Tensor, "N 4"]:
    """A random box in each box: area 0.56 to 1 of it, aspect 3/4 to 4/3 times its own, anywhere inside.

    Args:
        uniform: in [0, 1), k = 4: for the area (even), the aspect (even in its logarithm), and the place along x and y (even).

    A side that comes out longer than the box's is cut to it, which keeps area and aspect in their ranges.

    Raises:
        ValueError: another k.

    Source: RandomResizedCrop of PySkl and torchvision, which draw up to ten times until the crop fits, and round to whole pixels.
    """
    if uniform.shape[1] != 4:
        raise ValueError(f"a random resized crop takes 4 random numbers a clip, got {uniform.shape[1]}")
    area = AREA[0] + (AREA[1] - AREA[0]) * uniform[:, 0]
    aspect = torch.exp(math.log(ASPECT[0]) + (math.log(ASPECT[1]) - math.log(ASPECT[0])) * uniform[:, 1])
    share = torch.stack([area * aspect, area / aspect], dim=1).sqrt().clamp(max=1)
    corner, extent = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    low = corner + uniform[:, 2:] * (1 - share) * extent
    return torch.cat([low, low + share * extent], dim=1)


def to_pixels(keypoints: Float[Tensor, "N T V 3"], boxes: Float[Tensor, "N 4"], size: tuple[int, int]) -> Float[Tensor, "N T V 3"]:
    """Keypoints in the pixels of a heatmap (H, W) that shows the box: x ← (x − x0) · W / (x1 − x0), likewise y.

    The scaling is PySkl's, so that its weights see what they were trained on. As a pixel's centre lies at a whole number, the map
    shows the box from half a pixel outside its left and upper edge on.

    Raises:
        ValueError: a size below 1.
    """
    if min(size) < 1:
        raise ValueError(f"size must be (H, W) of at least 1 pixel each, got {size}")
    extent = boxes[:, 2:] - boxes[:, :2]
    scale = boxes.new_tensor([size[1], size[0]]) / extent
    places = (keypoints[..., :2] - boxes[:, None, None, :2]) * scale[:, None, None]
    return torch.cat([places.where(keypoints[..., 2:] > 0, 0), keypoints[..., 2:]], dim=-1)


def flip(keypoints: Float[Tensor, "N T V 3"], layout: Layout, flags: Bool[Tensor, " N"], width: float) -> Float[Tensor, "N T V 3"]:
    """Mirror the clips whose flag is set: x ← width − 1 − x, and left and right joints exchanged as ``layout.mirror`` says.

    Drawing flipped keypoints in a heatmap ``width`` pixels wide gives the flipped heatmap with left and right channels exchanged
    (as the test-time flip of PySkl does; its training flip, width − x, lies one pixel further).

    Raises:
        ValueError: keypoints that do not have the layout's joints.
    """
    if keypoints.shape[2] != len(layout.joints):
        raise ValueError(
            f"layout {layout.name!r} has {len(layout.joints)} joints, the keypoints have {keypoints.shape[2]}: "
            "`layouts.selection` gives the indices that take one layout from another"
        )
    x, y, score = keypoints[:, :, list(layout.mirror)].split(1, dim=-1)
    mirrored = torch.cat([(width - 1 - x).where(score > 0, 0), y, score], dim=-1)
    return torch.where(flags[:, None, None, None], mirrored, keypoints)
