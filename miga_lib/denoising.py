"""Errors of the detector, repaired before a network sees them: swapped sides, outliers, gaps and jitter.
``FILTERS`` has them by name.

A batch of clips is (N, T, V, 3); a shorter clip is followed by frames in which all joints are missing (score
0). No filter uses another clip, and none gives a value to a joint outside the frames between two detections
of it. So a joint that is missing throughout stays missing, and so do the frames after a clip. Lengths that a
filter needs are shares of the size of the person in the image, see ``size``, and times are in frames, so that
the filters do not depend on the resolution. Smoothing, except for the median, takes the error of a joint to
be inversely proportional to its score. Scores change only where a joint is removed, filled or exchanged.

The repairs (swaps, outliers, gaps) change nothing where there is no fault. Smoothing also changes what is
correct; each filter says by how much.
"""

import hashlib
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from . import cache
from .clips import Clips
from .layouts import Layout
from .readers import Report

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
NOISE = 0.001
"""Standard deviation of the position of a joint with score 1, as a share of the person's size; at score s it
is ``NOISE / s``."""
ACCELERATION = 0.008
"""Standard deviation of the acceleration of a joint, as a share of the person's size per frame²."""
MAX_SPEED = 0.1
"""Standard deviation of the speed of a joint before the first observation, as a share of the person's size
per frame."""
CUTOFF, CUTOFF_SLOPE = 0.1, 50.0
"""Cutoff of the one-euro filter at rest in cycles per frame, and its growth with the speed in cycles per
share of the person's size."""
SPEED_CUTOFF = 0.1
"""Cutoff of the low-pass filter of the one-euro filter's speed, in cycles per frame."""
FRAMES_AT_ONCE = 8_000
"""Frames of a batch in ``denoise``, which bounds its memory."""


def size(keypoints: Float[Tensor, "N T V 3"]) -> Float[Tensor, " N"]:
    """The size of the person in each clip in pixels: the median over the frames of the longer side of the box
    around all joints.

    1 where no frame has two joints at different places.
    """
    (x, y), score = _planes(keypoints)
    spans = [
        one.where(score > 0, -math.inf).amax(2) - one.where(score > 0, math.inf).amin(2) for one in (x, y)
    ]
    sides = spans[0].maximum(spans[1])
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
    one = layout.single_person or layout
    regions, pairs = [list(members) for members in one.regions.values()], []
    for members in regions:
        image = [one.mirror[v] for v in members]
        if min(members) < min(image) and sorted(image) in map(sorted, regions):
            pairs += [
                ([v + first for v in members], [v + first for v in image])
                for first in range(0, len(layout.joints), len(one.joints))
            ]
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
    last, age = (
        torch.zeros_like(frames[0, :2])[:, None].repeat(1, 2, 1, 1, 1),
        torch.full((2, *frames.shape[2:]), MAX_GAP + 2),
    )
    change_cost, swapped_cost = (
        EXCHANGE_COST * (1 - torch.eye(2))[..., None],
        torch.tensor([0, SWAPPED_COST])[:, None],
    )
    for frame in frames:
        there = torch.stack([frame[2] > 0, frame[2].flip(0) > 0])
        place = torch.stack([frame[:2], frame[:2].flip(1)], 1)
        distance = (torch.hypot(*(place[:, None] - last[:, :, None])) / unit).clamp(max=MAX_STEP)
        known = (there[0].all(0) & (age <= MAX_GAP + 1).all(1))[:, None]
        moved = (distance.sum(2) * known).sum(2) / (2 * known.sum(2)).clamp(min=1)
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
    window, pairs = _window(places), _pairs(score)
    center = _median_of(window, pairs)
    distances = [torch.hypot(*(frame - center)) for frame in window]
    low, high = OUTLIER_FLOOR
    floor = (low + (high - low) * score.clamp(max=1)) * size(keypoints)[:, None, None]
    kept = distances[2] <= floor.maximum(OUTLIER_FACTOR * _median_of(distances, pairs))
    return keypoints.where(kept[..., None], 0)


def fill_gaps(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N T V 3"]:
    """Interpolate a joint linearly where it is missing for at most ``MAX_GAP`` frames between two detections.

    The score of a filled joint is ``FILLED_SCORE``. Nothing is extrapolated before the first or after the
    last detection.
    """
    present, last = keypoints[..., 2] > 0, keypoints.shape[1] - 1
    before, after = _last_seen(present), last - _last_seen(present.flip(1)).flip(1)
    clip, time, joint = (
        ~present & (before >= 0) & (after <= last) & (after - before - 1 <= MAX_GAP)
    ).nonzero(as_tuple=True)
    first, second = before[clip, time, joint], after[clip, time, joint]
    start, end = keypoints[clip, first, joint], keypoints[clip, second, joint]
    filled = torch.lerp(start, end, ((time - first) / (second - first))[:, None])
    filled[:, 2] = FILLED_SCORE
    return keypoints.index_put((clip, time, joint), filled)


def median(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N T V 3"]:
    """The median of x and of y over five frames, without regard to the score: with weights, a straight line
    would change.

    Two frames before and after a frame are used, each only if the joint is present in the other, too. So a
    straight line is unchanged, also at its ends. Of 10 px of an oscillation of 3 Hz, at 25 frames per second,
    up to 5 px are lost.
    """
    places, score = _planes(keypoints)
    return _keypoints(_median_of(_window(places), _pairs(score)), score)


def savitzky_golay(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N T V 3"]:
    """The value of the parabola that fits a joint best in five frames, each weighted by the square of its
    score.

    In a frame with fewer than four detections in the window nothing changes. A parabola is unchanged. With
    equal scores, and away from the ends and from gaps, this is the filter of ``scipy.signal.savgol_filter(x,
    5, 2)``, which has no weights. Of 10 px of an oscillation of 3 Hz, at 25 frames per second, up to 0.5 px
    are lost.

    Source: Savitzky and Golay, Analytical Chemistry 1964.
    """
    places, score = _planes(keypoints)
    # In float64, since a determinant of weights of very different size loses most digits.
    offsets, weights = range(-2, 3), [frame.double() ** 2 for frame in _window(score)]
    shifts = [(frame - places).double() for frame in _window(places)]
    s0, s1, s2, s3, s4 = (sum(w * o**k for w, o in zip(weights, offsets, strict=True)) for k in range(5))
    t0, t1, t2 = (
        sum((w * o**k) * d for w, o, d in zip(weights, offsets, shifts, strict=True)) for k in range(3)
    )
    of0, of1, of2 = s2 * s4 - s3**2, s2 * s3 - s1 * s4, s1 * s3 - s2**2
    determinant = s0 * of0 + s1 * of1 + s2 * of2
    enough = sum((w > 0).int() for w in weights) >= 4
    shift = (of0 * t0 + of1 * t1 + of2 * t2) / determinant.where(enough, 1)
    return _keypoints(places + shift.where(enough, 0).to(places.dtype), score)


def one_euro(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N T V 3"]:
    """The mean of two one-euro filters, forwards and backwards in time, so that their delays cancel.

    A one-euro filter is exponential smoothing whose cutoff frequency rises with the speed. Here the cutoff is
    multiplied by the score. After a gap it starts again. A joint at rest is unchanged. One with constant
    speed is moved by up to 0.0016 / score of the person's size, at its ends. Of 10 px of an oscillation of 3
    Hz, at 25 frames per second, up to 1.4 px are lost at score 0.8.

    Source: Casiez et al., 1€ Filter, CHI 2012. Its filter works forwards only and knows no score.
    """
    places, score = _planes(keypoints)
    unit = size(keypoints)[:, None]
    both = [_one_euro(*frames, unit) for frames in ((places, score), (places.flip(2), score.flip(1)))]
    return _keypoints((both[0] + both[1].flip(2)) / 2, score)


def _one_euro(
    places: Float[Tensor, "2 N T V"], scores: Float[Tensor, "N T V"], unit: Float[Tensor, "N 1"]
) -> Float[Tensor, "2 N T V"]:
    smooth, speed = torch.zeros_like(places[:, :, 0]), torch.zeros_like(places[:, :, 0])
    seen, smoothed, of_speed = (
        torch.zeros_like(scores[:, 0], dtype=torch.bool),
        [],
        _share(torch.tensor(SPEED_CUTOFF)),
    )
    for place, score in zip(places.unbind(2), scores.unbind(1), strict=True):
        change = place - smooth
        speed = (speed + of_speed * (change - speed)) * seen
        cutoff = score * (CUTOFF + CUTOFF_SLOPE * torch.hypot(*speed) / unit)
        smooth = torch.where(seen, smooth + _share(cutoff) * change, place)
        smoothed.append(smooth)
        seen = score > 0
    return torch.stack(smoothed, 2)


def _share(cutoff: Tensor) -> Tensor:
    """The weight of a new value in exponential smoothing with this cutoff frequency, in cycles per frame."""
    return 1 - 1 / (1 + 2 * math.pi * cutoff)


def kalman(keypoints: Float[Tensor, "N T V 3"], layout: Layout) -> Float[Tensor, "N T V 3"]:
    """A Kalman smoother: each coordinate moves with constant speed, up to random accelerations
    (``ACCELERATION``).

    The standard deviation of an observed position is ``NOISE`` / score. A frame in which the joint is missing
    has no observation, and the joint stays missing in it. A joint at rest is unchanged; one with constant
    speed up to 0.00005 of the person's size, since its first speed is assumed to be 0 ± ``MAX_SPEED``. Of 10
    px of an oscillation of 3 Hz, at 25 frames per second, up to 0.2 px are lost at score 0.8.

    Source: Rauch, Tung and Striebel, Maximum likelihood estimates of linear dynamic systems, AIAA Journal
    1965.
    """
    places, scores = _planes(keypoints)
    present, variances = scores > 0, (NOISE / scores) ** 2  # infinite where missing
    place, speed = torch.zeros_like(places[:, :, 0]), torch.zeros_like(places[:, :, 0])
    # The covariance of place and speed, [[a, b], [b, c]], in shares of the person's size, which cancels. It
    # is the same for x and y.
    a, b, c = (torch.full_like(scores[:, 0], value) for value in (0, 0, MAX_SPEED**2))
    seen, filtered = torch.zeros_like(present[:, 0]), list[tuple[Tensor, ...]]()
    for observed, variance, there in zip(
        places.unbind(2), variances.unbind(1), present.unbind(1), strict=True
    ):
        place = place + speed
        a, b, c = _one_frame_later(a, b, c)
        surprise, gain, of_speed = observed - place, a / (a + variance), b / (a + variance)
        # The first observation of a joint gives its place; its speed stays as assumed.
        place = torch.where(seen, place + gain * surprise, observed)
        speed = torch.where(seen, speed + of_speed * surprise, 0)
        c = torch.where(seen, c - of_speed * b, MAX_SPEED**2)
        a, b = (
            torch.where(seen, (1 - gain) * a, variance.where(there, 0)),
            torch.where(seen, (1 - gain) * b, 0),
        )
        seen = seen | there
        filtered.append((place, speed, a, b, c))
    return _keypoints(torch.stack(_backwards(filtered), 2), scores)


def _one_frame_later(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The covariance F P Fᵀ + Q, with F = [[1, 1], [0, 1]] and Q = ``ACCELERATION``² · [[1/4, 1/2], [1/2,
    1]]."""
    noise = ACCELERATION**2
    return a + 2 * b + c + noise / 4, b + c + noise / 2, c + noise


def _backwards(filtered: list[tuple[Tensor, ...]]) -> list[Tensor]:
    """The second pass of the smoother: the places in all frames, given also what was observed later."""
    place, speed = filtered[-1][:2]
    places = [place]
    for before, its_speed, a, b, c in filtered[-2::-1]:
        variance, covariance, of_speed = _one_frame_later(a, b, c)
        # G = P Fᵀ (F P Fᵀ + Q)⁻¹, times the difference from the prediction.
        share = 1 / (variance * of_speed - covariance**2)
        moved, faster = place - before - its_speed, speed - its_speed
        first, second = (
            (of_speed * moved - covariance * faster) * share,
            (variance * faster - covariance * moved) * share,
        )
        place, speed = before + (a + b) * first + b * second, its_speed + (b + c) * first + c * second
        places.append(place)
    return places[::-1]


FILTERS: dict[str, Callable[[Tensor, Layout], Tensor]] = {
    "swaps": unswap,
    "outliers": remove_outliers,
    "gaps": fill_gaps,
    "median": median,
    "savitzky_golay": savitzky_golay,
    "one_euro": one_euro,
    "kalman": kalman,
}
"""The filters, in the order in which they are applied. Each takes a batch of clips, (N, T, V, 3), and its
layout."""
SMOOTHING = ("median", "savitzky_golay", "one_euro", "kalman")
"""Those that also change what is correct."""


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
    """The clips filtered, in memory, with their new share of missing joints; the same clips where they
    already are.

    Raises:
        ValueError: they were filtered in another way.
    """
    if names == clips.denoised:
        return clips
    if clips.denoised:
        raise ValueError(
            f"the clips are already filtered with {clips.denoised!r}, and not with {names!r}; load them again"
        )
    frames = clips.table["frames"].to_numpy(copy=True)
    compact = torch.from_numpy(np.concatenate([clips[i] for i in range(len(clips))]))
    keypoints = denoise(compact, torch.from_numpy(frames), names, clips.layout).numpy()
    starts = frames.cumsum() - frames
    missing = np.add.reduceat((keypoints[..., 2] == 0).mean(1), starts) / frames
    return replace(
        clips, table=clips.table.assign(start=starts, missing=missing), keypoints=keypoints, denoised=names
    )


def kept(clips: Clips, names: str) -> Clips:
    """The clips filtered, see ``denoised``, from a cache beside the one that they were loaded from. It is
    written by the first call.

    The cache is another one whenever the clips, the layout or this module changes. Clips that were not loaded
    are filtered in memory.

    Raises:
        ValueError: they were filtered in another way.
        DataError: the cache is damaged; the message says to delete its folder.
        OSError: the cache cannot be written: no room, or no permission.
    """
    if not clips.cached or clips.denoised or not names:
        return denoised(clips, names)
    of_clips = clips.checksum, clips.table["id"].tolist(), clips.table["frames"].tolist()
    layout, chosen = clips.layout, [name for name in FILTERS if name in names.split("+")]
    key = hashlib.sha256(
        repr((chosen, layout.joints, layout.mirror, dict(layout.regions), of_clips)).encode()
    )
    key.update(Path(__file__).read_bytes())
    folder = clips.cached.with_name(f"{clips.cached.name}-denoised-{key.hexdigest()[:16]}")
    if not folder.exists():
        cache.write(folder, denoised(clips, names).records(), layout, Report(classes=clips.classes), folder)
    found = cache.read(folder, layout)
    changed = {column: found.table[column].to_numpy() for column in ("start", "missing")}
    return replace(clips, table=clips.table.assign(**changed), keypoints=found.keypoints, denoised=names)


def _planes(keypoints: Float[Tensor, "N T V 3"]) -> tuple[Float[Tensor, "2 N T V"], Float[Tensor, "N T V"]]:
    """x and y, and the score, each contiguous in memory, which makes the arithmetic several times faster."""
    planes = keypoints.movedim(-1, 0).contiguous()
    return planes[:2], planes[2]


def _keypoints(places: Float[Tensor, "2 N T V"], score: Float[Tensor, "N T V"]) -> Float[Tensor, "N T V 3"]:
    """The inverse of ``_planes``. A missing joint gets the coordinates 0."""
    return torch.stack([*places.where(score > 0, 0), score], -1)


def _last_seen(present: Tensor) -> Tensor:
    """The last frame up to each frame in which a joint is present, −1 where there is none; time is axis 1."""
    time = torch.arange(present.shape[1]).reshape(-1, *[1] * (present.ndim - 2))
    return time.where(present, -1).cummax(1).values


def _window(values: Float[Tensor, "*shape T V"]) -> list[Float[Tensor, "*shape T V"]]:
    """The two frames before each frame, the frame, and the two frames after it; zeros outside the clip."""
    padded = torch.nn.functional.pad(values, (0, 0, 2, 2))
    return [padded[..., o : o + values.shape[-2], :] for o in range(5)]


def _pairs(score: Float[Tensor, "N T V"]) -> tuple[Tensor, Tensor]:
    """Whether a joint is present both two frames before and two frames after each frame; and so for one
    frame."""
    first, second, _, fourth, fifth = (frame > 0 for frame in _window(score))
    return first & fifth, second & fourth


def _median_of(window: list[Tensor], pairs: tuple[Tensor, Tensor]) -> Tensor:
    """The median of a frame and of those pairs of its neighbours that are complete."""
    # Instead of an incomplete pair, −∞ and ∞ leave the median of the others as it is.
    ends = [
        (window[o].where(both, -math.inf), window[4 - o].where(both, math.inf))
        for o, both in enumerate(pairs)
    ]
    # Without their least and their greatest, two pairs leave two numbers. The fifth is the median where it is
    # between them.
    (p, q), (r, s) = ends
    low, high = p.minimum(q).maximum(r.minimum(s)), p.maximum(q).minimum(r.maximum(s))
    return window[2].clamp(low.minimum(high), low.maximum(high))
