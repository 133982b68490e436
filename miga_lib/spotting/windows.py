"""Windows of recordings, and what trained networks say of the frames that they cover.

Windows that overlap share the heatmaps of a frame and the first layers of the network.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .. import alignment, augmentation, denoising
from ..clips import Recordings
from ..readers import Progress
from ..settings import Settings
from ..training import autocast, processes
from ..training.inputs import TEST_BATCH_SIZE, unchanged_and_mirrored, uniform

LENGTHS = (16, 32, 64)
"""Default lengths of windows in frames: most synthetic training clips have 15 to 107 frames (10 % and 90 %
quantile), half 40."""
STRIDE = 4
"""Default distance between the beginnings of two windows, in frames."""
MAX_VALUES, MIN_WINDOWS = 2**25, 32
"""So many windows are computed together that their maps, if none were shared, had at most the first number of
values; but at least the second."""
SIDE_RATIO, CENTRE_SHARE = 1.1, 0.05
"""The sides of rounded boxes are powers of the first; their centres are multiples of the second times the
side."""


def bounds(frames: int, lengths: Sequence[int], stride: int) -> Int[np.ndarray, "windows 2"]:
    """First and last frame of each window of a recording: one of each length every ``stride`` frames, and one
    that ends with it.

    A length above that of the recording has no window. If all are, the whole recording is one window. Raises
    ValueError where a number is below 1, or there is no length.
    """
    if frames < 1 or not lengths or min(lengths) < 1 or stride < 1:
        values = f"{frames} frames, lengths {list(lengths)[:10]} and stride {stride}"
        raise ValueError(f"windows need frames, lengths and a stride of 1 or more, got {values}")
    windows = []
    for length in sorted({length for length in lengths if length <= frames}) or [frames]:
        first = np.union1d(np.arange(0, frames - length + 1, min(stride, frames)), [frames - length])
        windows.append(np.stack([first, first + length - 1], 1))
    return np.concatenate(windows)


def posteriors(
    networks: Sequence[tuple[nn.Module, Settings]],
    recordings: Sequence[Recordings],
    classes: int,
    lengths: Sequence[int],
    stride: int,
    fuse: Callable[[Sequence[np.ndarray]], np.ndarray],
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """The probabilities in each frame of each recording, (T, K), by video: ``of_frames`` of the probabilities
    of its windows, fused over networks.

    Args:
        networks: as ``training.load_model`` gives them.
        recordings: the same recordings for each network, in its joints.
        fuse: the probabilities of each network for the windows, (windows, K) → one such array.
    """
    table, by_video = recordings[0].table, {}
    rows: Iterable[int] = range(len(table))
    if progress:
        rows = progress(rows, total=len(table), desc="recognising")
    for row in rows:
        windows, parts = bounds(int(table["frames"].iloc[row]), lengths, stride), []
        for (model, settings), videos in zip(networks, recordings, strict=True):
            parts.append(predict(model, videos[row], windows, settings, classes))
        by_video[table["video"].iloc[row]] = of_frames(windows, fuse(parts))
    return by_video


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
    """
    network = settings.architecture.for_prediction(model.eval())
    poses = torch.from_numpy(np.array(keypoints)).to(settings.device)
    if settings.denoise:
        poses = denoising.denoise(poses, torch.tensor([len(poses)]), settings.denoise, settings.skeleton)
    first, last = torch.from_numpy(windows).to(settings.device).T
    seen_before = torch.nn.functional.pad((poses[..., 2] > 0).any(1).cumsum(0), (1, 0))
    seen = (seen_before[last + 1] > seen_before[first]).nonzero()[:, 0]
    neighbours = seen[(first[seen] + last[seen]).argsort(stable=True)]
    values = settings.frames * settings.test_size**2 * keypoints.shape[1]
    probabilities = torch.zeros(len(windows), classes, dtype=torch.float64)
    with torch.inference_mode(), processes.kept_memory(), autocast(settings):
        for rows in neighbours.split(max(MIN_WINDOWS, MAX_VALUES // values)):
            if len(rows):
                frames = last[rows] - first[rows] + 1
                probabilities[rows.cpu()] = _predict(network, poses, first[rows], frames, settings)
    return probabilities.numpy()


def _predict(
    network: nn.Module, keypoints: Tensor, starts: Tensor, frames: Tensor, settings: Settings
) -> Float[Tensor, "windows K"]:
    """The probabilities of some windows that have joints."""
    model, stream, side = settings.architecture, settings.stream, settings.test_size
    views, draws = 1, None
    if settings.temporal == "segments":
        views = settings.segment_clips
        draws = torch.cat([uniform(1, settings.frames, view) for view in range(views)])
        draws = draws.to(starts.device).repeat(len(starts), 1)
    starts, frames = starts.repeat_interleave(views), frames.repeat_interleave(views)
    length, method = settings.frames, settings.temporal
    poses, chosen = alignment.resample_once(keypoints, starts, frames, length, method, draws)
    chosen = chosen.view(-1, views * length)
    boxes, box = rounded(augmentation.crop_box(poses[chosen])).unique(dim=0, return_inverse=True)
    # Windows share the frames that they have in the same box.
    pairs, places = (chosen * len(boxes) + box[:, None]).unique(return_inverse=True)
    places = places.view(-1, length)
    poses, boxes = poses[pairs // len(boxes), None], boxes[pairs % len(boxes)]
    pixels = augmentation.to_pixels(poses, boxes, (side, side)).transpose(0, 1)
    probabilities = []
    for flipped in unchanged_and_mirrored(pixels, settings):
        if model.draws_frames_once(stream):
            logits = [network(model.tensor(stream, flipped, settings.skeleton, side), places)[0]]
        else:
            logits = []
            for part in places.split(TEST_BATCH_SIZE):
                logits.append(network(model.tensor(stream, flipped[0, part], settings.skeleton, side))[0])
        probabilities.append(torch.cat(logits).float().softmax(1).unflatten(0, (-1, views)))
    return torch.cat(probabilities, dim=1).mean(1).double().cpu()


def rounded(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
    """Square boxes with a side and a centre of a grid: the side changes by 5 % at most, the centre by 2.5 %
    of it in x and in y."""
    side = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True).double()
    side = ((side.log() / math.log(SIDE_RATIO)).round() * math.log(SIDE_RATIO)).exp()
    step = side * CENTRE_SHARE
    centre = ((boxes[:, :2] + boxes[:, 2:]).double() / 2 / step).round() * step
    return torch.cat([centre - side / 2, centre + side / 2], dim=1).to(boxes.dtype)


def of_frames(
    windows: Int[np.ndarray, "windows 2"], probabilities: Float[np.ndarray, "windows K"]
) -> Float[np.ndarray, "T K"]:
    """The mean of the probabilities of those windows that cover a frame and have a joint; 0 in all classes
    where none does. The last frame is that of the last window."""
    seen = probabilities.any(1)
    first, last = windows[seen].T
    values = np.pad(probabilities[seen], ((0, 0), (0, 1)), constant_values=1)  # the last column counts
    changes = np.zeros((windows.max() + 2, values.shape[1]))
    np.add.at(changes, first, values)
    np.subtract.at(changes, last + 1, values)
    sums = changes[:-1].cumsum(0)
    count = np.rint(sums[:, -1:])
    return np.where(count > 0, sums[:, :-1].clip(min=0) / np.maximum(count, 1), 0)
