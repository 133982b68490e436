"""A trained network on windows of a recording. Windows that overlap share the heatmaps of a frame and the
first layers of the network."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .. import alignment, augmentation, denoising
from ..settings import Settings
from . import processes
from .inputs import TEST_BATCH_SIZE, uniform
from .networks import autocast

LENGTHS = (16, 32, 64)
"""Default lengths of windows in frames: most synthetic training clips have 15 to 107 frames (10 % and 90 %
quantile), half 40."""
STRIDE = 4
"""Default distance between the beginnings of two windows, in frames."""
VALUES, LEAST_WINDOWS = 2**25, 32
"""So many windows are computed together that their maps, if none were shared, had the first number of values;
but at least the second."""
SIDE_RATIO, CENTRE_SHARE = 1.1, 0.05
"""The sides of rounded boxes are powers of the first; their centres are multiples of the second times the
side."""


def places(
    frames: int, lengths: Sequence[int] = LENGTHS, stride: int = STRIDE
) -> Int[np.ndarray, "windows 2"]:
    """First and last frame of each window of a recording: one of each length every ``stride`` frames, and one
    that ends with it.

    A length above that of the recording has no window. If all are, the whole recording is one window.

    Raises:
        ValueError: no frames or lengths, or a length or stride below 1.
    """
    if frames < 1 or not lengths or min(lengths) < 1 or stride < 1:
        found = f"{frames} frames, lengths {list(lengths)[:10]} and stride {stride}"
        raise ValueError(
            "windows need a recording of 1 frame or more, lengths and a stride of 1 frame or more, got"
            f" {found}"
        )
    fitting = sorted({length for length in lengths if length <= frames}) or [frames]
    begins = [np.union1d(np.arange(0, frames - length + 1, stride), [frames - length]) for length in fitting]
    return np.concatenate(
        [np.stack([first, first + length - 1], 1) for first, length in zip(begins, fitting, strict=True)]
    )


def predict(
    model: nn.Module,
    keypoints: Float[np.ndarray, "T V 3"],
    windows: Int[np.ndarray, "windows 2"],
    settings: Settings,
    classes: int,
) -> Float[np.ndarray, "windows {classes}"]:
    """Class probabilities of each window, averaged over its test views, float64; 0 in all classes for a
    window without any joint.

    Windows are computed as test clips are, see ``Inputs.views``, except that the box around the person is
    rounded: neighbouring windows get the same box. So the result of a window depends on its own frames only.

    Args:
        model: of ``load_model``, which also gives the settings.
        windows: first and last frame (inclusive) of each.
        classes: K.
    """
    network = settings.architecture.for_prediction(model.eval())
    given = torch.from_numpy(np.array(keypoints)).to(settings.device)
    if settings.denoise:
        given = denoising.denoise(given, torch.tensor([len(given)]), settings.denoise, settings.skeleton)
    first, last = torch.from_numpy(windows).to(settings.device).T
    seen_before = torch.nn.functional.pad((given[..., 2] > 0).any(1).cumsum(0), (1, 0))
    seen = (seen_before[last + 1] > seen_before[first]).nonzero()[:, 0]
    neighbours = seen[(first[seen] + last[seen]).argsort(stable=True)]
    at_once = max(LEAST_WINDOWS, VALUES // (settings.frames * settings.test_size**2 * keypoints.shape[1]))
    probabilities = torch.zeros(len(windows), classes, dtype=torch.float64)
    with torch.inference_mode(), processes.kept_memory(), autocast(settings):
        for rows in neighbours.split(at_once) if len(neighbours) else ():
            probabilities[rows.cpu()] = _predict(
                network, given, first[rows], last[rows] - first[rows] + 1, settings
            )
    return probabilities.numpy()


def _predict(
    network: nn.Module, keypoints: Tensor, starts: Tensor, frames: Tensor, settings: Settings
) -> Float[Tensor, "windows K"]:
    """The probabilities of some windows that have joints."""
    model, stream, side, views, draws = settings.architecture, settings.stream, settings.test_size, 1, None
    if settings.temporal == "segments":
        views = settings.segment_clips
        draws = (
            torch.cat([uniform(1, settings.frames, view) for view in range(views)])
            .to(starts.device)
            .repeat(len(starts), 1)
        )
    each = torch.arange(len(starts), device=starts.device).repeat_interleave(views)
    poses, chosen = alignment.resample_once(
        keypoints, starts[each], frames[each], settings.frames, settings.temporal, draws
    )
    chosen = chosen.view(len(starts), -1)
    boxes, of_window = rounded(augmentation.crop_box(poses[chosen])).unique(dim=0, return_inverse=True)
    # Windows share the frames that they have in the same box.
    pairs, places = (chosen * len(boxes) + of_window[:, None]).unique(return_inverse=True)
    places = places.view(len(each), -1)
    pixels = augmentation.to_pixels(
        poses[pairs // len(boxes), None], boxes[pairs % len(boxes)], (side, side)
    ).transpose(0, 1)
    sums = []
    for mirrored in (False, True):
        flipped = augmentation.flip(
            pixels, settings.skeleton, torch.tensor([mirrored], device=pixels.device), width=side
        )
        if model.draws_frames_once(stream):
            logits = [network(model.tensor(stream, flipped, settings.skeleton, side), places)[0]]
        else:
            parts = places.split(TEST_BATCH_SIZE)
            logits = [
                network(model.tensor(stream, flipped[0, part], settings.skeleton, side))[0] for part in parts
            ]
        sums.append(torch.cat(logits).float().softmax(1).unflatten(0, (-1, views)))
    return torch.cat(sums, dim=1).mean(1).double().cpu()


def rounded(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
    """Square boxes with a side and a centre of a grid: the side changes by 5 % at most, the centre by 2.5 %
    of it in x and in y."""
    power = (
        (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True).double().log() / math.log(SIDE_RATIO)
    ).round()
    side = (power * math.log(SIDE_RATIO)).exp()
    step = side * CENTRE_SHARE
    centre = ((boxes[:, :2] + boxes[:, 2:]).double() / 2 / step).round() * step
    return torch.cat([centre - side / 2, centre + side / 2], dim=1).to(boxes.dtype)


def of_frames(
    frames: int, windows: Int[np.ndarray, "windows 2"], probabilities: Float[np.ndarray, "windows K"]
) -> Float[np.ndarray, "{frames} K"]:
    """The mean of the probabilities of those windows that cover a frame and have a joint; 0 in all classes
    where none does."""
    found = probabilities.any(1)
    (first, last), values = (
        windows[found].T,
        np.pad(probabilities[found], ((0, 0), (0, 1)), constant_values=1),
    )
    changes = np.zeros((frames + 1, values.shape[1]))
    np.add.at(changes, first, values)
    np.subtract.at(changes, last + 1, values)
    sums = changes[:-1].cumsum(0)
    count = np.rint(sums[:, -1:])
    return np.where(count > 0, sums[:, :-1].clip(min=0) / np.maximum(count, 1), 0)
