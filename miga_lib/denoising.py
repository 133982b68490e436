"""Errors of the detector, repaired before a network sees them: swapped sides, outliers, gaps and jitter.
``FILTERS`` has them by name.

A batch of clips is (N, T, V, 3); a shorter clip is followed by frames in which all joints are missing (score
0). No filter uses another clip, and none gives a value to a joint outside the frames between two detections
of it. So a joint that is missing throughout stays missing, and so do the frames after a clip. Lengths that a
filter needs are shares of the size of the person in the image, see ``size``, and times are in frames, so that
the filters do not depend on the resolution. Scores change only where a joint is removed, filled or exchanged.

The repairs (swaps, outliers, gaps) change nothing where there is no fault. Smoothing also changes what is
correct.
"""

import hashlib
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from . import cache
from .clips import Clips
from .layouts import Layout
from .readers import Report

VERSION = 2
"""Raised when a filter gives other keypoints, so that caches of filtered clips are made anew."""
MAX_GAP = 5
"""Longest gap, in frames, that is filled."""
FILLED_SCORE = 0.1
"""Score of a joint whose position was interpolated: that of a very uncertain detection."""
SWAPPED_COST, EXCHANGE_COST = 0.02, 0.02
"""What a frame with swapped sides costs, and each change between swapped and not, in shares of the person's
size."""
MAX_STEP = 0.25
"""Largest distance between two frames that counts in the comparison of sides, as a share of the person's
size."""
OUTLIER_FLOOR = (0.02, 0.06)
"""Distance from the local median, at score 0 and at score 1, below which nothing is an outlier; as shares of
the person's size."""
OUTLIER_FACTOR = 3.0
"""Distance from the local median above which a joint is an outlier, in medians of the distances of its
neighbours."""
MIN_WEIGHT = 1e-3
"""Least score in a fit of ``savitzky_golay``, as a share of the highest in its window."""
FRAMES_AT_ONCE = 8_000
"""Frames of a batch in ``denoise``, which bounds its memory."""


def size(keypoints: Float[Tensor, "N T V 3"]) -> Float[Tensor, " N"]:
    """The size of the person in each clip in pixels: the median over the frames of the longer side of the box
    around all joints.

    1 where no frame has two joints at different places.
    """
    (x, y), score = _planes(keypoints)
    present = score > 0
    width, height = (
        places.where(present, -math.inf).amax(2) - places.where(present, math.inf).amin(2)
        for places in (x, y)
    )
    sides = width.maximum(height)
    return sides.where(sides > 0, math.nan).nanmedian(1).values.nan_to_num(1.0)


def unswap(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N T V 3"]:
    """Exchange left and right in the frames in which the detector swapped them: in the arms, and in the
    hands.

    For each pair of regions of the layout that mirror each other, a clip has the sequence of frames, swapped
    or not, with the least sum of costs: the mean distance of the joints from where the same joints were
    before, at most ``MAX_STEP`` each; ``SWAPPED_COST`` for each swapped frame; and ``EXCHANGE_COST`` for each
    change. It is found by the Viterbi algorithm. So sides that are swapped in most frames of a clip are
    regarded as correct. A joint without any detection stays so: what the other side has of it in swapped
    frames is removed. A layout without such regions is not changed.
    """
    if not (pairs := _sides(layout)):
        return keypoints
    result, unit = keypoints.clone(), size(keypoints)
    for left, right in pairs:
        sides = torch.stack([keypoints[:, :, left], keypoints[:, :, right]], 2)
        exchanged = sides.flip(2).where(_swapped(sides, unit)[..., None, None, None], sides)
        exchanged = exchanged * (sides[..., 2:] > 0).any(1, keepdim=True)
        result[:, :, left], result[:, :, right] = exchanged.unbind(2)
    return result


def _sides(layout: Layout) -> list[tuple[list[int], list[int]]]:
    """The joints of each pair of regions that mirror each other, of one person after the other."""
    person = layout.single_person or layout
    regions, pairs = [list(members) for members in person.regions.values()], []
    for members in regions:
        image = [person.mirror[v] for v in members]
        if min(members) < min(image) and sorted(image) in map(sorted, regions):
            for first in range(0, len(layout.joints), len(person.joints)):
                pairs.append(([v + first for v in members], [v + first for v in image]))
    return pairs


def _swapped(sides: Float[Tensor, "N T 2 joints 3"], unit: Float[Tensor, " N"]) -> Bool[Tensor, "N T"]:
    """Whether each frame is swapped. Distances count for joints that are on both sides, now and at most
    ``MAX_GAP`` + 1 frames before."""
    # Axes from here on: (x and y,) state before, state now, side, joint, clip. The clips are last, which
    # makes the arithmetic faster.
    frames = sides.permute(1, 4, 2, 3, 0).contiguous()
    cost, origins = sides.new_zeros(2, len(sides)), []
    # Of the cheapest sequence that ends in each of the two states: where it saw each joint last, and how many
    # frames ago.
    last = torch.zeros_like(frames[0, :2])[:, None].repeat(1, 2, 1, 1, 1)
    age = torch.full((2, *frames.shape[2:]), MAX_GAP + 2)
    change_cost = EXCHANGE_COST * (1 - torch.eye(2))[..., None]
    swapped_cost = torch.tensor([0, SWAPPED_COST])[:, None]
    for frame in frames:
        there = torch.stack([frame[2] > 0, frame[2].flip(0) > 0])
        place = torch.stack([frame[:2], frame[:2].flip(1)], 1)
        distance = (torch.hypot(*(place[:, None] - last[:, :, None])) / unit).clamp(max=MAX_STEP)
        comparable = (there[0].all(0) & (age <= MAX_GAP + 1).all(1))[:, None]
        moved = (distance.sum(2) * comparable).sum(2) / (2 * comparable.sum(2)).clamp(min=1)
        cost, origin = (cost[:, None] + moved + change_cost).min(0)
        cost = cost + swapped_cost * there[0].any(1).any(0)
        origins.append(origin)
        changed = origin[:, None, None].bool()
        last = torch.where(there, place, torch.where(changed, last[:, 1:], last[:, :1]))
        age = torch.where(there, 1, torch.where(changed, age[1:], age[:1]) + 1)
    states = [cost.argmin(0, keepdim=True)]
    for origin in origins[:0:-1]:
        states.append(origin.gather(0, states[-1]))
    return torch.cat(states[::-1]).T.bool()


def remove_outliers(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N T V 3"]:
    """Remove joints that jump away for one frame or two: their score and coordinates become 0.

    The distance from the place before and after decides, and not the speed alone, so a fast movement to
    another place stays. A longer jump stays, too, and so does one in the first or last frame or beside a gap,
    where one neighbour is not enough to tell which is wrong.

    A joint is an outlier if its distance from its median over five frames is more than ``OUTLIER_FACTOR``
    times the median of these frames' distances from there, and more than a share of the person's size that
    rises with the score (``OUTLIER_FLOOR``).

    Source: the Hampel identifier (Davies and Gather, JASA 1993), in two dimensions; the dependence on the
    score is ours.
    """
    places, score = _planes(keypoints)
    window, present = _window(places), [frame > 0 for frame in _window(score)]
    center = _median(window, present)
    distances = [torch.hypot(*(frame - center)) for frame in window]
    low, high = OUTLIER_FLOOR
    floor = (low + (high - low) * score.clamp(max=1)) * size(keypoints)[:, None, None]
    near = distances[2] <= floor.maximum(OUTLIER_FACTOR * _median(distances, present))
    return keypoints.where(near[..., None], 0)


def fill_gaps(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N T V 3"]:
    """Interpolate a joint linearly where it is missing for at most ``MAX_GAP`` frames between two detections.

    The score of a filled joint is ``FILLED_SCORE``. Nothing is extrapolated before the first or after the
    last detection.
    """
    present, last = keypoints[..., 2] > 0, keypoints.shape[1] - 1
    before, after = _last_seen(present), last - _last_seen(present.flip(1)).flip(1)
    short = ~present & (before >= 0) & (after <= last) & (after - before - 1 <= MAX_GAP)
    clip, time, joint = short.nonzero(as_tuple=True)
    first, second = before[clip, time, joint], after[clip, time, joint]
    start, end = keypoints[clip, first, joint], keypoints[clip, second, joint]
    filled = torch.lerp(start, end, ((time - first) / (second - first))[:, None])
    filled[:, 2] = FILLED_SCORE
    return keypoints.index_put((clip, time, joint), filled)


def savitzky_golay(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N T V 3"]:
    """The value of the parabola that fits a joint best in five frames, each weighted by the square of its
    score, or of ``MIN_WEIGHT`` times the highest of these scores.

    In a frame with fewer than four detections in the window nothing changes. A parabola is unchanged. With
    equal scores, and away from the ends and from gaps, this is the filter of ``scipy.signal.savgol_filter(x,
    5, 2)``, which has no weights. Of 10 px of an oscillation of 3 Hz, at 25 frames per second, up to 0.5 px
    are lost.

    Source: Savitzky and Golay, Analytical Chemistry 1964.
    """
    places, score = _planes(keypoints)
    # In float64, since a determinant of weights of very different size loses most digits.
    scores = torch.stack(_window(score.double()))
    least = MIN_WEIGHT * scores.amax(0)  # or rounding leaves no determinant
    offsets, weights = range(-2, 3), list(scores.clamp(min=least).where(scores > 0, 0) ** 2)
    shifts = [(frame - places).double() for frame in _window(places)]
    s0, s1, s2, s3, s4 = (sum(w * o**k for w, o in zip(weights, offsets, strict=True)) for k in range(5))
    window = list(zip(weights, offsets, shifts, strict=True))
    t0, t1, t2 = (sum((w * o**k) * d for w, o, d in window) for k in range(3))
    of0, of1, of2 = s2 * s4 - s3**2, s2 * s3 - s1 * s4, s1 * s3 - s2**2
    determinant = s0 * of0 + s1 * of1 + s2 * of2
    enough = sum((w > 0).int() for w in weights) >= 4
    shift = (of0 * t0 + of1 * t1 + of2 * t2) / determinant.where(enough, 1)
    smooth = places + shift.where(enough, 0).to(places.dtype)
    return torch.stack([*smooth.where(score > 0, 0), score], -1)


FILTERS: dict[str, Callable[[Tensor, Layout], Tensor]] = {
    "swaps": unswap,
    "outliers": remove_outliers,
    "gaps": fill_gaps,
    "savitzky_golay": savitzky_golay,
}
"""The filters, in the order in which they are applied. Each takes a batch of clips, (N, T, V, 3), and its
layout."""


def denoise(
    keypoints: Float[Tensor, "F V 3"], frames: Int[Tensor, " N"], names: str, layout: Layout
) -> Float[Tensor, "F V 3"]:
    """Filter clips that are stored one after the other: clip n is the next ``frames[n]`` frames.

    Args:
        names: of ``FILTERS``, joined by ``+``, in any order; ``Settings.denoise``.
    """
    result, starts = keypoints.clone(), frames.cumsum(0) - frames
    # Clips of similar length are filtered together, so that little is computed for frames that no clip has.
    order = frames.argsort(stable=True)
    batches = (frames[order].cumsum(0) // FRAMES_AT_ONCE).unique_consecutive(return_counts=True)[1]
    chosen = [FILTERS[name] for name in FILTERS if name in names.split("+")]

    def filter_rows(rows: Tensor) -> None:
        time = torch.arange(int(frames[rows].max()))
        inside = time < frames[rows, None]
        places = (starts[rows, None] + time)[inside]
        batch = keypoints.new_zeros(*inside.shape, *keypoints.shape[1:])
        batch[inside] = keypoints[places]
        for apply in chosen:
            batch = apply(batch, layout)
        result[places] = batch[inside]

    # The tensors of a step in time are too small for PyTorch to divide them between its threads.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(filter_rows, order.split(batches.tolist())))
    return result


def denoised(clips: Clips, names: str) -> Clips:
    """The clips filtered, with their new share of missing joints; the same clips where they already are.

    All clips of a source are filtered once: the result is kept in a cache beside theirs, another one whenever
    the clips, the layout or ``VERSION`` changes. A part of them, and clips that were not loaded, are filtered
    in memory.

    Raises:
        ValueError: they were filtered in another way.
        DataError: the cache is damaged; the message says to delete its folder.
        OSError: the cache cannot be written: no room, or no permission.
    """
    if names == clips.denoised:
        return clips
    if clips.denoised:
        filters = f"{clips.denoised!r}, and not with {names!r}"
        raise ValueError(f"the clips are already filtered with {filters}; load them again")
    if not clips.cached:
        return _in_memory(clips, names)
    layout, chosen = clips.layout, [name for name in FILTERS if name in names.split("+")]
    content = clips.checksum, clips.table["id"].tolist(), clips.table["frames"].tolist()
    key = repr((VERSION, chosen, layout.joints, layout.mirror, dict(layout.regions), content))
    name = f"{clips.cached.name}-denoised-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    folder = clips.cached.with_name(name)
    if not folder.exists():
        records = _in_memory(clips, names).records()
        cache.write(folder, records, layout, Report(classes=clips.classes), folder)
    cached = cache.read(folder, layout)
    columns = {column: cached["table"][column].to_numpy() for column in ("start", "missing")}
    return replace(clips, table=clips.table.assign(**columns), keypoints=cached["keypoints"], denoised=names)


def _in_memory(clips: Clips, names: str) -> Clips:
    frames = clips.table["frames"].to_numpy(copy=True)
    compact = torch.from_numpy(np.concatenate([clips[i] for i in range(len(clips))]))
    keypoints = denoise(compact, torch.from_numpy(frames), names, clips.layout).numpy()
    starts = frames.cumsum() - frames
    missing = np.add.reduceat((keypoints[..., 2] == 0).mean(1), starts) / frames
    table = clips.table.assign(start=starts, missing=missing)
    return replace(clips, table=table, keypoints=keypoints, denoised=names)


def _planes(keypoints: Float[Tensor, "N T V 3"]) -> tuple[Float[Tensor, "2 N T V"], Float[Tensor, "N T V"]]:
    """x and y, and the score, each contiguous in memory, which makes the arithmetic several times faster."""
    planes = keypoints.movedim(-1, 0).contiguous()
    return planes[:2], planes[2]


def _last_seen(present: Tensor) -> Tensor:
    """The last frame up to each frame in which a joint is present, −1 where there is none; time is axis 1."""
    time = torch.arange(present.shape[1]).reshape(-1, *[1] * (present.ndim - 2))
    return time.where(present, -1).cummax(1).values


def _window(values: Float[Tensor, "*shape T V"]) -> list[Float[Tensor, "*shape T V"]]:
    """The two frames before each frame, the frame, and the two frames after it; zeros outside the clip."""
    padded = torch.nn.functional.pad(values, (0, 0, 2, 2))
    return [padded[..., o : o + values.shape[-2], :] for o in range(5)]


def _median(window: list[Tensor], present: list[Bool[Tensor, "N T V"]]) -> Tensor:
    """The median of a frame and of those pairs of its neighbours, one and two frames away on both sides, in
    which a joint is present in both frames."""
    # Instead of an incomplete pair, −∞ and ∞ leave the median of the others as it is.
    far, near = present[0] & present[4], present[1] & present[3]
    p, q = window[0].where(far, -math.inf), window[4].where(far, math.inf)
    r, s = window[1].where(near, -math.inf), window[3].where(near, math.inf)
    # Without their least and their greatest, two pairs leave two numbers. The fifth is the median where it is
    # between them.
    low, high = p.minimum(q).maximum(r.minimum(s)), p.maximum(q).minimum(r.maximum(s))
    return window[2].clamp(low.minimum(high), low.maximum(high))
