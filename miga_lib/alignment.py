"""Clips of any length → T frames: the paper's alignment (``align``), and those of ST-GCN and PySkl.

The clips of a batch are stored one after the other in one array of frames (F, V, 3): clip n is the
``frames[n]`` frames from ``starts[n]`` on. A plan says which two frames each output frame blends, and how;
then all frames are read and blended at once. A joint is missing where its score is 0. The functions draw no
random numbers: the caller passes numbers in [0, 1).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

METHODS = ("align", "crop_pad", "segments")


def draws(method: str, length: int) -> int:
    """How many random numbers a clip needs: the second axis of ``uniform`` in ``resample``. Raises ValueError
    for an unknown method, or a length below 1."""
    if method not in METHODS:
        raise ValueError(f"temporal method must be one of {', '.join(METHODS)}, got {method!r}")
    if length < 1:
        raise ValueError(f"length must be 1 frame or more, got {length}")
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
        uniform: random numbers in [0, 1), ``draws(method, length)`` for each clip; None: the form for test
            clips, without randomness.

    Raises:
        ValueError: as ``draws``; a clip without frames or with frames outside ``keypoints`` (this check waits
            for the device once); a wrong number of random numbers.
    """
    return _blend(keypoints, _plan(keypoints, starts, frames, length, method, uniform))


def resample_once(
    keypoints: Float[Tensor, "F V 3"],
    starts: Int[Tensor, " N"],
    frames: Int[Tensor, " N"],
    length: int,
    method: str = "align",
    uniform: Float[Tensor, "N draws"] | None = None,
) -> tuple[Float[Tensor, "F_out V 3"], Int[Tensor, "N {length}"]]:
    """``resample`` for clips that overlap: each different output frame once, and the place of each clip's
    frames among them. ``resample`` gives the first output at the indices of the second."""
    plan = _plan(keypoints, starts, frames, length, method, uniform)
    different, places = plan.flatten(0, 1).unique(dim=0, return_inverse=True)
    return _blend(keypoints, different), places.view(-1, length)


def source_frames(frames: int, length: int, method: str = "align") -> Float[Tensor, " {length}"]:
    """The frame of a clip that each output frame shows, without randomness: between two whole numbers where
    two frames are averaged, and −1 where the output frame is empty. Raises ValueError as ``resample``
    does."""
    plan = _plan(torch.empty(frames), torch.tensor([0]), torch.tensor([frames]), length, method, None)
    first, second, first_weight, second_weight = plan[0].unbind(-1)
    return (first * first_weight + second * second_weight).where(first_weight + second_weight > 0, -1)


def align(keypoints: Float[Tensor, "T V 3"], length: int) -> Float[Tensor, "{length} V 3"]:
    """Sample a clip at uniform intervals, first and last frame included.

    T > length: the frames ``round(linspace(0, T − 1, length))``; halves are rounded to the even number, as in
    numpy. T < length: linear interpolation at ``linspace(0, T − 1, length)``. At weight a between two frames,
    the score is (1 − a)·s₀ + a·s₁ and the coordinates are the average, with weights 1 − a and a, over the
    frames in which the joint is present. A joint that is missing in both frames stays (0, 0, 0).

    Source: the temporal alignment of Xu et al., arXiv 2506.12848.
    """
    return _resample_clip(keypoints, length, "align", None)


def crop_pad(
    keypoints: Float[Tensor, "T V 3"], length: int, uniform: Float[Tensor, " 1"] | None = None
) -> Float[Tensor, "{length} V 3"]:
    """Take ``length`` consecutive frames of a longer clip; fill a shorter one with empty frames at its end.

    Every start is equally likely; without ``uniform`` it is (T − length) // 2, the middle of the clip.

    Source: published code of ST-GCN (Yan et al., AAAI 2018).
    """
    return _resample_clip(keypoints, length, "crop_pad", uniform)


def segments(
    keypoints: Float[Tensor, "T V 3"], length: int, uniform: Float[Tensor, " length"] | None = None
) -> Float[Tensor, "{length} V 3"]:
    """One random frame in each of ``length`` equal segments: output frame i is source frame
    ⌊(i + uᵢ)·T / length⌋.

    A clip shorter than ``length`` repeats its frames in order. Without ``uniform`` the middle of each segment
    is taken.

    Source: the uniform sampling of PoseC3D (Duan et al., CVPR 2022). PySkl's code differs where T is not a
    multiple of ``length``. For T ≥ 2·length, its segments begin at the whole frames ⌊i·T / length⌋. For
    length ≤ T < 2·length, it takes ``length`` different frames in order. For T < length, it takes consecutive
    frames from a random start and continues at the first frame after the last.
    """
    return _resample_clip(keypoints, length, "segments", uniform)


def segment_frames(
    frames: Int[Tensor, " N"], length: int, uniform: Float[Tensor, "N {length}"] | None = None
) -> Int[Tensor, "N {length}"]:
    """The frames that ``segments`` takes of clips with ``frames`` frames, counted from the start of each."""
    segment = torch.arange(length, device=frames.device)
    if uniform is None:
        uniform = segment.new_full((1, 1), 0.5, dtype=torch.float64)
    # A number just below 1 may be rounded up into the next segment.
    last = ((segment + 1) * frames[:, None] - 1) // length
    return ((segment + uniform.double()) * frames[:, None] / length).long().minimum(last)


def _resample_clip(keypoints: Tensor, length: int, method: str, uniform: Tensor | None) -> Tensor:
    start, frames = torch.tensor([[0], [len(keypoints)]], device=keypoints.device)
    if uniform is not None:
        uniform = uniform[None]
    return resample(keypoints, start, frames, length, method, uniform)[0]


def _plan(
    keypoints: Tensor, starts: Tensor, frames: Tensor, length: int, method: str, uniform: Tensor | None
) -> Float[Tensor, "N {length} 4"]:
    """Two rows of ``keypoints`` for each output frame, and their weights, both 0 where it is empty. In
    float64, in which rows are exact."""
    count = draws(method, length)
    if uniform is not None and uniform.shape[1] != count:
        raise ValueError(
            f"method {method!r} takes {count} random numbers a clip, got {uniform.shape[1]}: see `draws`"
        )
    exporting = torch.compiler.is_compiling()  # by torch.export, which gives every clip its frames
    if not exporting and ((frames < 1) | (starts < 0) | (starts + frames > len(keypoints))).any():
        raise ValueError(
            f"each clip must have at least 1 frame and lie within the {len(keypoints)} given frames, found "
            f"clips of {frames.min()} to {frames.max()} frames that start at {starts.min()} to {starts.max()}"
            "; leave out clips without frames"
        )
    place = _places(frames.long()[:, None], length, method, uniform)
    last = frames[:, None] - 1
    first = place.floor().minimum(last)
    second_weight = (place - first).where(place <= last, 0)
    first_weight = (1 - second_weight).where(place <= last, 0)
    first = first + starts[:, None]
    return torch.stack([first, first + (second_weight > 0), first_weight, second_weight], dim=-1)


def _places(
    frames: Int[Tensor, "N 1"], length: int, method: str, uniform: Tensor | None
) -> Float[Tensor, "N {length}"]:
    """The place of each output frame in its clip, in float64; after the last frame where it is empty."""
    if method == "segments":
        return segment_frames(frames[:, 0], length, uniform).double()
    steps = torch.arange(length, device=frames.device)
    if method == "crop_pad":
        spare = (frames - length).clamp(min=0)
        begin = spare // 2 if uniform is None else (uniform.double() * (spare + 1)).long().minimum(spare)
        return (begin + steps).double()
    # The same bits as numpy.linspace: where a number is close to a half, its last bit decides how it is
    # rounded.
    last = (frames - 1).double()
    place = steps * (last / max(length - 1, 1))
    if length > 1:
        place[:, -1:] = last
    return torch.where(frames > length, place.round(), place)


def _blend(keypoints: Tensor, plan: Float[Tensor, "*batch 4"]) -> Tensor:
    """The output frames of a plan: the average of both scores, and of the coordinates where the joint is
    present; a single frame is copied unchanged."""
    rows, weights = plan.split(2, dim=-1)
    pairs, weights = keypoints[rows.long()], weights.to(keypoints.dtype)[..., None, None]
    present = pairs[..., 2:] > 0
    share = (weights * present).sum(-3)
    places = (weights * pairs[..., :2].where(present, 0)).sum(-3) / share.where(share > 0, 1)
    scores = (weights * pairs[..., 2:]).sum(-3).where(share > 0, 0)
    first_weight, second_weight = weights.unbind(-3)
    copied = pairs[..., 0, :, :].where(first_weight > 0, 0)
    return torch.where(second_weight > 0, torch.cat([places, scores], dim=-1), copied)
