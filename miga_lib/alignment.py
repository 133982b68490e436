"""Clips of any length → T frames: the paper's alignment (``align``), and those of ST-GCN and PySkl.

A plan gives, for each output frame, two source frames and their weights; then all frames are read and blended
at once. The clips of a batch are stored one after the other in one array of frames (F, V, 3): clip n is the
``frames[n]`` frames from ``starts[n]`` on. A joint is missing where its score is 0. The functions draw no
random numbers: the caller passes numbers in [0, 1).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

METHODS = ("align", "crop_pad", "segments")

Plan = tuple[Tensor, Tensor, Tensor, Tensor]
"""First source frame, second source frame (int, counted from the start of the clip) and their weights
(float64) for each output frame: four tensors (N, length). Both weights are 0 where the output frame is
empty."""


def draws(method: str, length: int) -> int:
    """How many random numbers a clip needs: the second axis of ``uniform`` in ``resample``. Raises the same
    errors as ``resample``."""
    _check(method, length)
    return {"align": 0, "crop_pad": 1, "segments": length}[method]


def resample(
    keypoints: Float[Tensor, "F V 3"],
    starts: Int[Tensor, " N"],
    frames: Int[Tensor, " N"],
    length: int,
    method: str = "align",
    uniform: Float[Tensor, "N draws"] | None = None,
) -> Float[Tensor, "N {length} V 3"]:
    """Give every clip of a batch ``length`` frames.

    Args:
        keypoints: x, y and score of each joint, in all frames of all clips; other clips may be in it too.
        starts, frames: the row of ``keypoints`` at which each clip starts, and its number of frames.
        method: one of ``METHODS``; each is described at the function with its name.
        uniform: random numbers in [0, 1), ``draws(method, length)`` for each clip; None: the form without
            randomness, for test clips.

    Raises:
        ValueError: an unknown method, a length below 1, a clip without frames or with frames outside
            ``keypoints``, or a wrong number of random numbers. The check of the clips waits for the device
            once.
    """
    first, second, *weights = _placed_plan(keypoints, starts, frames, length, method, uniform)
    return _blend(
        keypoints[first],
        keypoints[second],
        *(weight[..., None, None].to(keypoints.dtype) for weight in weights),
    )


def resample_once(
    keypoints: Float[Tensor, "F V 3"],
    starts: Int[Tensor, " N"],
    frames: Int[Tensor, " N"],
    length: int,
    method: str = "align",
    uniform: Float[Tensor, "N draws"] | None = None,
) -> tuple[Float[Tensor, "F_out V 3"], Int[Tensor, "N {length}"]]:
    """``resample`` for clips that overlap: each different output frame once, and the place of each clip's
    frames among them.

    The arguments and errors are those of ``resample``, whose result is the first output at the indices of the
    second.
    """
    first, second, *weights = _placed_plan(keypoints, starts, frames, length, method, uniform)
    plan = torch.stack(
        [first, second.where(weights[1] > 0, first), *weights], dim=-1
    )  # frames are exact in float64
    different, places = plan.flatten(0, 1).unique(dim=0, return_inverse=True)
    (first, second), weights = (
        different[:, :2].long().T,
        different[:, 2:].to(keypoints.dtype).T[..., None, None],
    )
    return _blend(keypoints[first], keypoints[second], *weights), places.view(-1, length)


def source_frames(frames: int, length: int, method: str = "align") -> Float[Tensor, " {length}"]:
    """The frame of a clip that each output frame shows, without randomness: between two whole numbers where
    two frames are averaged, and −1 where the output frame is empty. Raises ValueError as ``resample``
    does."""
    first, second, *weights = _placed_plan(
        torch.empty(frames), torch.tensor([0]), torch.tensor([frames]), length, method, None
    )
    return (first * weights[0] + second * weights[1]).where(weights[0] + weights[1] > 0, -1)[0]


def _placed_plan(
    keypoints: Tensor, starts: Tensor, frames: Tensor, length: int, method: str, uniform: Tensor | None
) -> Plan:
    """The plan of a method, with source frames counted from the first of ``keypoints``. Raises ValueError as
    ``resample`` does."""
    _check(method, length)
    exported = torch.compiler.is_compiling()  # by torch.export, which gives every clip its frames
    if (
        not exported
        and len(frames)
        and not bool(((frames >= 1) & (starts >= 0) & (starts + frames <= len(keypoints))).all())
    ):
        raise ValueError(
            f"each clip must have at least 1 frame and lie within the {len(keypoints)} given frames, found clips of {int(frames.min())} to "
            f"{int(frames.max())} frames that start at {int(starts.min())} to {int(starts.max())}; leave out clips without frames"
        )
    if uniform is not None and uniform.shape[1] != draws(method, length):
        raise ValueError(
            f"method {method!r} takes {draws(method, length)} random numbers a clip, got {uniform.shape[1]}: see `draws`"
        )
    first, second, *weights = _PLANS[method](frames.long(), length, uniform)
    return starts[:, None] + first, starts[:, None] + second, weights[0], weights[1]


def align(keypoints: Float[Tensor, "T V 3"], length: int) -> Float[Tensor, "{length} V 3"]:
    """Sample a clip at uniform intervals, first and last frame included.

    T > length: the frames ``round(linspace(0, T − 1, length))``; halves are rounded to the even number, as in
    numpy. T < length: linear interpolation at ``linspace(0, T − 1, length)``. At weight a between two frames,
    the score is (1 − a)·s₀ + a·s₁ and the coordinates are the average, with weights 1 − a and a, over the
    frames in which the joint is present. A joint that is missing in both frames stays (0, 0, 0).

    Source: the temporal alignment of Xu et al., arXiv 2506.12848. Raises ValueError as ``resample`` does.
    """
    return _one(keypoints, length, "align", None)


def crop_pad(
    keypoints: Float[Tensor, "T V 3"], length: int, uniform: Float[Tensor, " 1"] | None = None
) -> Float[Tensor, "{length} V 3"]:
    """Take ``length`` consecutive frames of a longer clip; fill a shorter one with empty frames at its end.

    Every start is equally likely; without ``uniform`` it is (T − length) // 2, which gives the middle of the
    clip.

    Source: published code of ST-GCN (Yan et al., AAAI 2018). Raises ValueError as ``resample`` does.
    """
    return _one(keypoints, length, "crop_pad", uniform)


def segments(
    keypoints: Float[Tensor, "T V 3"], length: int, uniform: Float[Tensor, " length"] | None = None
) -> Float[Tensor, "{length} V 3"]:
    """One random frame in each of ``length`` equal segments: output frame i is source frame ⌊(i + uᵢ)·T /
    length⌋.

    A clip shorter than ``length`` repeats its frames in order. Without ``uniform`` the middle of each segment
    is taken. For PySkl's test clips, repeat the clip in the batch and draw ``uniform`` from a generator with
    a fixed seed.

    Source: the uniform sampling of PoseC3D (Duan et al., CVPR 2022). PySkl's code differs where T is not a
    multiple of ``length``. For T ≥ 2·length, its segments begin at the whole frames ⌊i·T / length⌋. For
    length ≤ T < 2·length, it takes ``length`` different frames in order. For T < length, it takes consecutive
    frames from a random start and continues at the first frame after the last. Raises ValueError as
    ``resample`` does.
    """
    return _one(keypoints, length, "segments", uniform)


def segment_frames(
    frames: Int[Tensor, " N"], length: int, uniform: Float[Tensor, "N {length}"] | None = None
) -> Int[Tensor, "N {length}"]:
    """The frames that the method ``segments`` takes from clips with ``frames`` frames, counted from the start
    of each clip."""
    segment = torch.arange(length, device=frames.device)
    place = segment + (0.5 if uniform is None else uniform.double())
    # A number just below 1 may be rounded up into the next segment.
    end = ((segment + 1) * frames[:, None] - 1) // length
    return (place * frames[:, None] / length).long().minimum(end)


def _one(keypoints: Tensor, length: int, method: str, uniform: Tensor | None) -> Tensor:
    starts, frames = (torch.tensor([number], device=keypoints.device) for number in (0, len(keypoints)))
    return resample(keypoints, starts, frames, length, method, None if uniform is None else uniform[None])[0]


def _plan_align(frames: Tensor, length: int, uniform: Tensor | None) -> Plan:
    # The same bits as numpy.linspace in float64: where a number is close to a half, its last bit decides how
    # it is rounded.
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
    """Average scores over both frames, coordinates over those in which the joint is present; a single frame
    is copied unchanged."""
    shares, sums = [], []
    for frame, weight in ((before, weight_before), (after, weight_after)):
        present = frame[..., 2:] > 0
        shares.append(weight * present)
        sums.append(weight * frame[..., :2].where(present, 0))
    share = shares[0] + shares[1]
    places = (sums[0] + sums[1]) / share.where(share > 0, 1)
    score = (weight_before * before[..., 2:] + weight_after * after[..., 2:]).where(share > 0, 0)
    copied = before.where(weight_before > 0, 0)
    return torch.where(weight_after > 0, torch.cat([places, score], dim=-1), copied)


def _check(method: str, length: int) -> None:
    if method not in METHODS:
        raise ValueError(f"temporal method must be one of {', '.join(METHODS)}, got {method!r}")
    if length < 1:
        raise ValueError(f"length must be 1 frame or more, got {length}")
