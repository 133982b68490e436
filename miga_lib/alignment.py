"""Clips of any length → T frames: a plan of which two source frames make an output frame and with which weights, then one gather.

The clips of a batch lie one after the other in one array of frames (F, V, 3), clip n being the ``frames[n]`` frames from
``starts[n]`` on. A joint is missing where its score is 0. Randomness is an argument: numbers in [0, 1), drawn by the caller.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

METHODS = ("align", "crop_pad", "segments")

Plan = tuple[Tensor, Tensor, Tensor, Tensor]
"""The first and second source frame of each output frame, counted from the start of the clip, and the weights of the two (float64),
each (N, length). Both weights are 0 where the output frame is empty."""


def draws(method: str, length: int) -> int:
    """How many random numbers a clip takes: the k of ``uniform`` (N, k) in ``resample``."""
    _check(method, length)
    return {"align": 0, "crop_pad": 1, "segments": length}[method]


def resample(
    keypoints: Float[Tensor, "F V 3"],
    starts: Int[Tensor, " N"],
    frames: Int[Tensor, " N"],
    length: int,
    method: str = "align",
    uniform: Float[Tensor, "N k"] | None = None,
) -> Float[Tensor, "N {length} V 3"]:
    """Give every clip of a batch ``length`` frames.

    Args:
        keypoints: x, y and score of each joint, all frames of all clips; may hold more clips than are asked for.
        starts, frames: where in ``keypoints`` each clip starts, and its number of frames.
        method: one of ``METHODS``, each described at the function of that name.
        uniform: in [0, 1), k = ``draws(method, length)``; None for the form without randomness, used in tests.

    Raises:
        ValueError: another method, a length below 1, a clip with no frames or with frames that ``keypoints`` does not have, or a
            wrong k. Looking at the clips waits for the device once.
    """
    _check(method, length)
    if len(frames) and not bool(((frames >= 1) & (starts >= 0) & (starts + frames <= len(keypoints))).all()):
        raise ValueError(
            f"every clip needs at least 1 frame, and all of them among the {len(keypoints)} given: found clips of {int(frames.min())} to "
            f"{int(frames.max())} frames that start at {int(starts.min())} to {int(starts.max())}; leave out clips without frames"
        )
    if uniform is not None and uniform.shape[1] != draws(method, length):
        raise ValueError(f"method {method!r} takes {draws(method, length)} random numbers a clip, got {uniform.shape[1]}: see `draws`")
    first, second, *weights = _PLANS[method](frames.long(), length, uniform)
    before, after = keypoints[starts[:, None] + first], keypoints[starts[:, None] + second]
    return _blend(before, after, *(weight[..., None, None].to(keypoints.dtype) for weight in weights))


def align(keypoints: Float[Tensor, "T V 3"], length: int) -> Float[Tensor, "{length} V 3"]:
    """Sample a clip at uniform intervals, first and last frame included.

    A longer clip gives its frames ``round(linspace(0, T − 1, length))``, halves going to the even number as in numpy. A shorter one
    is interpolated at ``linspace(0, T − 1, length)``: at weight a between two frames the score is (1 − a)·s₀ + a·s₁, and the
    coordinates are the average, with weights 1 − a and a, of the frames in which the joint is present. A joint missing in both
    stays (0, 0, 0).

    Source: the temporal alignment of Xu et al., arXiv 2506.12848. Raises ValueError as ``resample`` does.
    """
    return _one(keypoints, length, "align", None)


def crop_pad(keypoints: Float[Tensor, "T V 3"], length: int, uniform: Float[Tensor, " 1"] | None = None) -> Float[Tensor, "{length} V 3"]:
    """Cut ``length`` frames in a row out of a longer clip; fill a shorter one with empty frames at its end.

    Every cut is equally likely; without ``uniform`` it is the central one, starting at (T − length) // 2.

    Source: the habit of ST-GCN (Yan et al., AAAI 2018, published code). Raises ValueError as ``resample`` does.
    """
    return _one(keypoints, length, "crop_pad", uniform)


def segments(
    keypoints: Float[Tensor, "T V 3"], length: int, uniform: Float[Tensor, " length"] | None = None
) -> Float[Tensor, "{length} V 3"]:
    """One random frame in each of ``length`` equal segments: output frame i is source frame ⌊(i + uᵢ)·T / length⌋.

    So a shorter clip repeats its frames in order. Without ``uniform`` the middle of each segment is taken. PySkl's test clips are
    several draws of a generator with a fixed seed: repeat the clip in the batch and draw ``uniform`` so.

    Source: the uniform sampling of PoseC3D (Duan et al., CVPR 2022). PySkl's code differs where T is no multiple of ``length``:
    it cuts the segments at whole frames ⌊i·T / length⌋ from T = 2·length on, below that takes ``length`` different frames in
    order, and below T = ``length`` takes frames in a row from a random start on, going round to the first after the last.
    Raises ValueError as ``resample`` does.
    """
    return _one(keypoints, length, "segments", uniform)


def segment_frames(frames: Int[Tensor, " N"], length: int, uniform: Float[Tensor, "N {length}"] | None = None) -> Int[Tensor, "N {length}"]:
    """Which frames of clips of so many ``frames`` the method ``segments`` takes, counted from the start of each clip."""
    segment = torch.arange(length, device=frames.device)
    place = segment + (0.5 if uniform is None else uniform.double())
    # A number just under 1 may round up into the next segment.
    end = ((segment + 1) * frames[:, None] - 1) // length
    return (place * frames[:, None] / length).long().minimum(end)


def _one(keypoints: Tensor, length: int, method: str, uniform: Tensor | None) -> Tensor:
    starts, frames = (torch.tensor([number], device=keypoints.device) for number in (0, len(keypoints)))
    return resample(keypoints, starts, frames, length, method, None if uniform is None else uniform[None])[0]


def _plan_align(frames: Tensor, length: int, uniform: Tensor | None) -> Plan:
    # The very numbers of numpy.linspace, in float64: rounding at a half hangs on their last bit.
    last = (frames - 1).double()[:, None]
    place = torch.arange(length, device=frames.device) * (last / max(length - 1, 1))
    if length > 1:
        place[:, -1:] = last
    place = torch.where(frames[:, None] > length, place.round(), place)
    first = place.floor()
    weight = place - first
    return first.long(), (first + 1).minimum(last).long(), 1 - weight, weight


def _plan_crop_pad(frames: Tensor, length: int, uniform: Tensor | None) -> Plan:
    spare = (frames - length).clamp(min=0)[:, None]
    begin = spare // 2 if uniform is None else (uniform.double() * (spare + 1)).long().minimum(spare)
    first = begin + torch.arange(length, device=frames.device)
    weight = (first < frames[:, None]).double()
    first = first.minimum(frames[:, None] - 1)
    return first, first, weight, torch.zeros_like(weight)


def _plan_segments(frames: Tensor, length: int, uniform: Tensor | None) -> Plan:
    first = segment_frames(frames, length, uniform)
    weight = torch.ones_like(first, dtype=torch.float64)
    return first, first, weight, torch.zeros_like(weight)


_PLANS: dict[str, Callable[[Tensor, int, Tensor | None], Plan]] = {
    "align": _plan_align,
    "crop_pad": _plan_crop_pad,
    "segments": _plan_segments,
}


def _blend(before: Tensor, after: Tensor, weight_before: Tensor, weight_after: Tensor) -> Tensor:
    """Average scores over both frames, coordinates over those in which the joint is present; a frame alone is copied as it is."""
    shares, sums = [], []
    for frame, weight in ((before, weight_before), (after, weight_after)):
        present = frame[..., 2:] > 0
        shares.append(weight * present)
        sums.append(weight * frame[..., :2].where(present, 0))
    share = sum(shares)
    places = sum(sums) / share.where(share > 0, 1)
    score = (weight_before * before[..., 2:] + weight_after * after[..., 2:]).where(share > 0, 0)
    copied = before.where(weight_before > 0, 0)
    return torch.where(weight_after > 0, torch.cat([places, score], dim=-1), copied)


def _check(method: str, length: int) -> None:
    if method not in METHODS:
        raise ValueError(f"temporal method must be one of {', '.join(METHODS)}, got {method!r}")
    if length < 1:
        raise ValueError(f"length must be 1 frame or more, got {length}")
