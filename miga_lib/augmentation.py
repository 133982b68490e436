"""Crop to the person, random resized crop and flip, on whole batches of keypoints.

A box is (x0, y0, x1, y1) in the coordinates of the keypoints. Crop and flip change the coordinates of the joints, before heatmaps are
drawn. A missing joint, with score 0, stays (0, 0, 0). The functions draw no random numbers: the caller passes numbers in [0, 1).
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .layouts import Layout

AREA_SHARES = (0.56, 1.0)
"""Smallest and largest area of a random resized crop, as a share of the area of its box."""
ASPECT_RATIOS = (3 / 4, 4 / 3)
"""Smallest and largest width / height of a random resized crop, relative to that of its box."""
LEAST_SIDE_PX = 10.0
"""The smallest box around a person: a smaller person is a false detection."""


def crop_box(keypoints: Float[Tensor, "N T V 3"], margin: float = 0.25) -> Float[Tensor, "N 4"]:
    """A square around all present joints of a clip, in all its frames.

    Its centre is that of the tight box around the joints. Its side is the longer side of the tight box times 1 + ``margin``, at least
    10 px. It may extend beyond the image of the video. A clip without any joint gets the box (−5, −5, 5, 5).

    Source: PoseC3D (Duan et al., CVPR 2022) and PySkl's PoseCompact with ``hw_ratio=1, allow_imgpad=True``. PoseCompact differs: it
    truncates the box to ints, regards a joint with a coordinate of 0 as missing, and does not crop where the tight box is under 10 px.
    """
    xy, present = keypoints[..., :2].flatten(1, 2), keypoints[..., 2:].flatten(1, 2) > 0
    low, high = xy.where(present, math.inf).amin(1), xy.where(present, -math.inf).amax(1)
    found = present.any(1)
    center = ((low + high) / 2).where(found, 0)
    side = ((high - low).amax(1, keepdim=True) * (1 + margin)).clamp(min=LEAST_SIDE_PX).where(found, LEAST_SIDE_PX)
    return torch.cat([center - side / 2, center + side / 2], dim=1)


def random_resized_crop(boxes: Float[Tensor, "N 4"], uniform: Float[Tensor, "N draws"]) -> Float[Tensor, "N 4"]:
    """A random box inside each box: its area is 0.56 to 1 times that of the box, its aspect ratio 3/4 to 4/3 times that of the box.

    A side that would be longer than the box's is set to the box's; area and aspect ratio stay in their ranges.

    Args:
        uniform: random numbers in [0, 1), four for each clip: for the area (uniform), the aspect ratio (uniform in its logarithm), and
            the position along x and along y (uniform).

    Raises:
        ValueError: another number of random numbers.

    Source: RandomResizedCrop of PySkl and torchvision, which draw up to ten times until the crop fits, and round to whole pixels.
    """
    if uniform.shape[1] != 4:
        raise ValueError(f"a random resized crop takes 4 random numbers a clip, got {uniform.shape[1]}")
    least, most = AREA_SHARES
    area = least + (most - least) * uniform[:, 0]
    narrow, wide = map(math.log, ASPECT_RATIOS)
    aspect = torch.exp(narrow + (wide - narrow) * uniform[:, 1])
    share = torch.stack([area * aspect, area / aspect], dim=1).sqrt().clamp(max=1)
    corner, extent = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    low = corner + uniform[:, 2:] * (1 - share) * extent
    return torch.cat([low, low + share * extent], dim=1)


def to_pixels(keypoints: Float[Tensor, "N T V 3"], boxes: Float[Tensor, "N 4"], size: tuple[int, int]) -> Float[Tensor, "N T V 3"]:
    """Keypoints in the pixels of a heatmap that shows the box: x ← (x − x0) · W / (x1 − x0), y ← (y − y0) · H / (y1 − y0).

    The scaling is PySkl's, so that weights of PySkl get the input that they were trained on. The centre of a pixel has whole numbers
    as coordinates, so the map begins half a pixel outside the left and upper edge of the box.

    Args:
        size: (H, W) of the heatmap.

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
    """Mirror the clips whose flag is set: x ← width − 1 − x; left and right joints are exchanged by ``layout.mirror``.

    Heatmaps of ``width`` pixels drawn from flipped keypoints are the flipped heatmaps with left and right channels exchanged. PySkl
    flips in the same way in test; in training it uses width − x, one pixel further.

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
