"""The faults of OpenPose: from the positions of joints on the image to the output of a detector, with scores,
errors and gaps.

Modelled on the output of OpenPose: coordinates on the grid of the network's input; errors that drift and
jump; typical scores for each kind of joint; low scores of face points under a hand; hands that are only found
next to a found wrist, and not where they are blurred, hidden or close to each other; frames with swapped
arms; frames without a person. A missing joint has x = y = score = 0.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

WIDTH, HEIGHT = 1280, 720
"""Size of the video in pixels."""
BODY, FACE, LEFT_HAND, RIGHT_HAND = slice(0, 25), slice(25, 95), slice(95, 116), slice(116, 137)
ARMS = ((6, 7, LEFT_HAND), (3, 4, RIGHT_HAND))
# Mean score of each joint of the body: nose, neck, arms, hips and legs, eyes, ears, feet.
BODY_SCORES = np.array(
    [
        0.88,
        0.72,
        0.68,
        0.62,
        0.60,
        0.68,
        0.62,
        0.60,
        0.38,
        0.34,
        0.2,
        0.12,
        0.34,
        0.2,
        0.12,
        0.91,
        0.91,
        0.82,
        0.82,
    ]
    + [0.1] * 6
)


@dataclass(frozen=True)
class Conditions:
    """How difficult a recording is: ``scale`` in pixels per metre; ``sharpness`` of hands (0…1), from light
    and resolution; ``table``, the image row below which the table hides everything, or infinity; ``flaws``, a
    factor on the frequency of errors."""

    scale: float
    sharpness: float
    table: float
    flaws: float


def bursts(rng: np.random.Generator, chance: np.ndarray, mean_length: float) -> Bool[np.ndarray, " T"]:
    """Periods that begin at each frame with probability ``chance`` (T,) and have a geometric length with the
    given mean, in frames."""
    hit = np.zeros(len(chance), dtype=bool)
    for start in np.flatnonzero(rng.random(len(chance)) < chance):
        hit[start : start + rng.geometric(1 / mean_length)] = True
    return hit


def drift(rng: np.random.Generator, length: int, width: int, period: float) -> Float[np.ndarray, "T {width}"]:
    """``width`` smooth random curves of unit variance and ``length`` frames, which change within about
    ``period`` frames."""
    knots = rng.standard_normal((int(length / period) + 3, width), dtype=np.float32)
    at = np.arange(length, dtype=np.float32) / np.float32(period) + np.float32(rng.random())
    whole = at.astype(int)
    part = (at - whole)[:, None]
    part = part * part * (3 - 2 * part)
    # Midway between two knots the variance is 0.5; averaged over all phases it is 0.74.
    return (knots[whole] + part * (knots[whole + 1] - knots[whole])) / np.float32(0.74**0.5)


def detect(
    rng: np.random.Generator,
    pixels: Float[np.ndarray, "T 137 2"],
    space: Float[np.ndarray, "T 137 3"],
    conditions: Conditions,
) -> Float[np.ndarray, "T 137 3"]:
    """The output of OpenPose: (T, 137, 3) float32, x and y in pixels with two decimals, score with three."""
    scores = _scores(rng, pixels, space, conditions)
    seen = _errors(rng, pixels, scores, conditions)
    out = np.concatenate([seen, scores[..., None]], -1)
    _swap(rng, out, space, conditions)
    outside = (out[..., 0] < 0) | (out[..., 0] > WIDTH - 1) | (out[..., 1] < 0) | (out[..., 1] > HEIGHT - 1)
    out[outside] = 0
    length = len(out)
    lost = bursts(rng, np.full(length, 0.0007 * conditions.flaws), 3) | bursts(
        rng, np.full(length, 0.00004 * conditions.flaws), 25
    )
    out[lost] = 0
    out[..., :2] = np.round(out[..., :2], 2)
    out[..., 2] = np.round(out[..., 2], 3)
    out[out[..., 2] <= 0] = 0
    return out.astype(np.float32)


def _scores(
    rng: np.random.Generator, pixels: np.ndarray, space: np.ndarray, conditions: Conditions
) -> np.ndarray:
    """Scores (T, 137) float32, 0 where a joint is not found."""
    length = len(pixels)
    scores = np.empty((length, 137), dtype=np.float32)
    body = BODY_SCORES + rng.normal(0, 0.04, 25)
    scores[:, BODY] = (
        body + 0.05 * drift(rng, length, 25, 20) + 0.025 * rng.standard_normal((length, 25), dtype=np.float32)
    )
    point = 0.85 + rng.normal(0, 0.02) + rng.normal(0, 0.025, 70)
    scores[:, FACE] = (
        point + 0.03 * drift(rng, length, 1, 40) + 0.03 * rng.standard_normal((length, 70), dtype=np.float32)
    )
    # The far ear is lost when the head turns away, and the scores of the face fall.
    nose, ears = space[:, 0], space[:, 17:19]
    away = np.clip((np.abs(nose[:, None, 0] - ears[..., 0]).min(1) / 0.05), 0, 1)
    far = np.abs(nose[:, None, 0] - ears[..., 0]).argmin(1)
    scores[np.arange(length), 17 + far] *= np.where(away < 0.5, 0.0, away)
    scores[:, FACE] *= (0.7 + 0.3 * away)[:, None]
    _cover(scores, space)
    hidden = pixels[:, BODY, 1] > conditions.table
    scores[:, BODY] *= np.where(hidden, 0.25, 1)
    scores[:, BODY][scores[:, BODY] < 0.07 + 0.1 * rng.random((length, 25), dtype=np.float32)] = 0
    for (_, wrist, hand), other in zip(ARMS, (RIGHT_HAND, LEFT_HAND), strict=True):
        _hand_scores(rng, scores, pixels, space, conditions, wrist, hand, other)
    weak = rng.random((length, 137), dtype=np.float32) < 0.004 * conditions.flaws
    scores[weak] *= 0.1
    return np.clip(scores, 0, 1.04)


def _cover(scores: np.ndarray, space: np.ndarray) -> None:
    """Lower the scores of face points and body joints behind a hand."""
    covered = np.r_[0, 15:19, 25:95]
    for hand in (LEFT_HAND, RIGHT_HAND):
        blobs = (
            space[:, hand][:, [9, 6, 14, 12]].mean(1, keepdims=True),
            space[:, hand][:, [8, 12, 16]].mean(1, keepdims=True),
        )
        for blob, size in zip(blobs, (0.055, 0.035), strict=True):
            near = np.abs(blob - space[:, covered])
            inside = np.exp(-((near[..., 0] ** 2 + near[..., 1] ** 2) / size**2)) * (near[..., 2] < 0.15)
            scores[:, covered] *= 1 - 0.6 * inside


def _hand_scores(
    rng: np.random.Generator,
    scores: np.ndarray,
    pixels: np.ndarray,
    space: np.ndarray,
    conditions: Conditions,
    wrist: int,
    hand: slice,
    other: slice,
) -> None:
    length = len(scores)
    speed = (
        np.linalg.norm(np.gradient(space[:, hand][:, 9], axis=0), axis=-1) * 25
        if length > 1
        else np.zeros(length)
    )
    meeting = np.linalg.norm(space[:, hand][:, 9] - space[:, other][:, 9], axis=-1) < 0.11
    base = (
        conditions.sharpness
        + 0.08 * drift(rng, length, 1, 30)[:, 0]
        - 0.12 * np.clip(speed - 0.3, 0, 2)
        - 0.1 * meeting
    )
    finger = rng.normal(0, 0.06, 21) - 0.04 * np.isin(np.arange(21), (4, 8, 12, 16, 20))
    scores[:, hand] = (
        base[:, None]
        + finger
        + 0.07 * drift(rng, length, 21, 6)
        + 0.06 * rng.standard_normal((length, 21), dtype=np.float32)
    )
    scores[:, hand] = np.maximum(scores[:, hand], 0.005)
    behind = (space[:, wrist, 2] > space[:, 8, 2] + 0.06) & (
        np.abs(space[:, wrist, 0] - space[:, 8, 0]) < 0.22
    )
    scores[behind, wrist] *= 0.3
    chance = conditions.flaws * (
        0.006 + 0.02 * (1 - conditions.sharpness) + 0.05 * np.clip(speed - 0.8, 0, 1) + 0.03 * meeting
    )
    missing = (
        bursts(rng, chance, 12)
        | behind
        | (pixels[:, hand, 1].mean(1) > conditions.table)
        | (scores[:, wrist] < 0.12)
    )
    scores[missing, hand] = 0
    no_wrist = bursts(rng, np.full(length, 0.003 * conditions.flaws), 8)
    scores[no_wrist, wrist] = 0
    scores[no_wrist, hand] = 0


def _errors(
    rng: np.random.Generator, pixels: np.ndarray, scores: np.ndarray, conditions: Conditions
) -> np.ndarray:
    """Pixels with the detector's errors, (T, 137, 2): larger where the score is low, and rounded to the grid
    of its networks' input."""
    length = len(pixels)
    # In pixels of 1280 × 720. The input of the body network has 368 rows; that of the face and hand networks
    # is a crop of 368 rows.
    grid = np.concatenate(
        [
            np.full(25, HEIGHT / 368),
            np.full(70, 0.0008 * conditions.scale),
            np.full(42, 0.00095 * conditions.scale),
        ]
    )
    steady = np.concatenate([np.full(25, 1.6), np.full(70, 0.9), np.full(42, 2.2)]) * conditions.scale / 800
    noisy = np.concatenate([np.full(25, 0.45), np.full(70, 0.2), np.full(42, 0.6)]) * conditions.scale / 800
    doubt = np.clip(1.7 - scores, 0.7, 1.7)[..., None] ** 2
    slow = drift(rng, length, 274, 12).reshape(length, 137, 2) * steady[:, None]
    fast = rng.standard_normal((length, 137, 2), dtype=np.float32) * noisy[:, None]
    wild = (scores < 0.12)[..., None] * (
        rng.standard_normal((length, 137, 2), dtype=np.float32) * 0.02 * conditions.scale
    )
    raw = pixels + (slow + fast) * doubt + wild
    return np.round(raw / grid[:, None]) * grid[:, None]


def _swap(rng: np.random.Generator, out: np.ndarray, space: np.ndarray, conditions: Conditions) -> None:
    """Swap arms, or only hands, in some frames; and in others find one hand twice."""
    crossed = space[:, 7, 0] < space[:, 4, 0]
    near = np.linalg.norm(space[:, 7] - space[:, 4], axis=-1) < 0.14
    arms = bursts(rng, conditions.flaws * np.where(crossed, 0.012, 0.0006), 3)
    hands = arms | bursts(rng, conditions.flaws * np.where(near | crossed, 0.015, 0.0002), 5)
    for which, left, right in ((arms, slice(6, 8), slice(3, 5)), (hands, LEFT_HAND, RIGHT_HAND)):
        out[which, left], out[which, right] = out[which, right].copy(), out[which, left].copy()
    twice = bursts(rng, conditions.flaws * np.where(near, 0.008, 0.0), 6)
    out[twice, LEFT_HAND] = out[twice, RIGHT_HAND]
