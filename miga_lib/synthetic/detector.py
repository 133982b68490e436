"""The faults of OpenPose: from the positions of joints on the image to a detector's output.

Modelled are coordinates on the grid of the network's input; errors that drift and
jump; typical scores for each kind of joint; low scores of face points under a hand; hands that are only found
next to a found wrist, and not where they are blurred, hidden or close to each other; frames with swapped
arms; frames without a person. A missing joint has x = y = score = 0.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.random import Generator

from .body import FPS, LEFT, RIGHT, Array

WIDTH, HEIGHT = 1280, 720
"""Size of the video in pixels."""
BODY, FACE, HANDS = slice(0, 25), slice(25, 95), (slice(95, 116), slice(116, 137))
WRISTS = (7, 4)
"""Of the left and the right arm, as ``HANDS``."""
PARTS = (25, 70, 42)
"""Number of joints of body, face and hands."""
BODY_SCORES = np.array(
    (0.88, 0.72, 0.68, 0.62, 0.60, 0.68, 0.62, 0.60, 0.38, 0.34, 0.2, 0.12, 0.34, 0.2, 0.12, 0.91, 0.91, 0.82,
     0.82, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
)  # fmt: skip
"""Mean score of each joint of the body: nose, neck, arms, hips and legs, eyes, ears, feet."""


@dataclass(frozen=True)
class Conditions:
    """How difficult a recording is: ``scale`` in pixels per metre; ``sharpness`` of hands (0…1), from light
    and resolution; ``table``, the image row below which the table hides everything, or infinity; ``flaws``, a
    factor on the frequency of errors."""

    scale: float
    sharpness: float
    table: float
    flaws: float


def bursts(rng: Generator, chance: np.ndarray, mean_length: float) -> Bool[np.ndarray, " T"]:
    """Periods that begin at each frame with probability ``chance`` (T,) and have a geometric length with the
    given mean, in frames."""
    hit = np.zeros(len(chance), dtype=bool)
    for start in np.flatnonzero(rng.random(len(chance)) < chance):
        hit[start : start + rng.geometric(1 / mean_length)] = True
    return hit


def drift(rng: Generator, length: int, width: int, period: float) -> Float[np.ndarray, "T {width}"]:
    """``width`` smooth random curves of unit variance and ``length`` frames, which change within about
    ``period`` frames."""
    knots = _noise(rng, int(length / period) + 3, width)
    at = np.arange(length, dtype=np.float32) / np.float32(period) + np.float32(rng.random())
    whole = at.astype(int)
    part = (at - whole)[:, None]
    part = part * part * (3 - 2 * part)
    # Midway between two knots the variance is 0.5; averaged over all phases it is 0.74.
    return (knots[whole] + part * (knots[whole + 1] - knots[whole])) / np.float32(0.74**0.5)


def _noise(rng: Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def detect(
    rng: Generator,
    pixels: Float[np.ndarray, "T 137 2"],
    space: Float[np.ndarray, "T 137 3"],
    conditions: Conditions,
) -> Float[np.ndarray, "T 137 3"]:
    """The output of OpenPose: (T, 137, 3) float32, x and y in pixels with two decimals, score with three."""
    scores = _scores(rng, pixels, space, conditions)
    out = np.concatenate([_errors(rng, pixels, scores, conditions.scale), scores[..., None]], -1)
    _swap(rng, out, space, conditions.flaws)
    outside = (out[..., :2] < 0) | (out[..., :2] > (WIDTH - 1, HEIGHT - 1))
    out[outside.any(-1)] = 0
    for chance, mean_length in ((0.0007, 3), (0.00004, 25)):
        out[bursts(rng, np.full(len(out), chance * conditions.flaws), mean_length)] = 0
    out[..., :2] = np.round(out[..., :2], 2)
    out[..., 2] = np.round(out[..., 2], 3)
    out[out[..., 2] <= 0] = 0
    return out.astype(np.float32)


def _scores(rng: Generator, pixels: Array, space: Array, conditions: Conditions) -> Array:
    """Scores (T, 137) float32, 0 where a joint is not found."""
    length = len(pixels)
    scores = np.empty((length, 137), dtype=np.float32)
    body = BODY_SCORES + rng.normal(0, 0.04, 25)
    scores[:, BODY] = body + 0.05 * drift(rng, length, 25, 20) + 0.025 * _noise(rng, length, 25)
    face = 0.85 + rng.normal(0, 0.02) + rng.normal(0, 0.025, 70)
    scores[:, FACE] = face + 0.03 * drift(rng, length, 1, 40) + 0.03 * _noise(rng, length, 70)
    # The far ear is lost when the head turns away, and the scores of the face fall.
    from_ears = np.abs(space[:, :1, 0] - space[:, 17:19, 0])
    away = np.clip(from_ears.min(1) / 0.05, 0, 1)
    scores[np.arange(length), 17 + from_ears.argmin(1)] *= np.where(away < 0.5, 0.0, away)
    scores[:, FACE] *= (0.7 + 0.3 * away)[:, None]
    _cover(scores, space)
    scores[:, BODY] *= np.where(pixels[:, BODY, 1] > conditions.table, 0.25, 1)
    scores[:, BODY][scores[:, BODY] < 0.07 + 0.1 * rng.random((length, 25), dtype=np.float32)] = 0
    for side in (LEFT, RIGHT):
        _hand_scores(rng, scores, pixels, space, conditions, side)
    weak = rng.random((length, 137), dtype=np.float32) < 0.004 * conditions.flaws
    scores[weak] *= 0.1
    return np.clip(scores, 0, 1.04)


def _cover(scores: Array, space: Array) -> None:
    """Lower the scores of face points and body joints behind a hand."""
    covered = np.r_[0, 15:19, 25:95]
    for hand in HANDS:
        for joints, size in (([9, 6, 14, 12], 0.055), ([8, 12, 16], 0.035)):
            near = np.abs(space[:, hand][:, joints].mean(1, keepdims=True) - space[:, covered])
            inside = np.exp(-((near[..., 0] ** 2 + near[..., 1] ** 2) / size**2)) * (near[..., 2] < 0.15)
            scores[:, covered] *= 1 - 0.6 * inside


def _hand_scores(
    rng: Generator, scores: Array, pixels: Array, space: Array, conditions: Conditions, side: int
) -> None:
    wrist, hand = WRISTS[side], HANDS[side]
    length, sharpness, flaws = len(scores), conditions.sharpness, conditions.flaws
    speed = np.linalg.norm(np.gradient(space[:, hand][:, 9], axis=0), axis=-1) * FPS
    meeting = np.linalg.norm(space[:, HANDS[LEFT]][:, 9] - space[:, HANDS[RIGHT]][:, 9], axis=-1) < 0.11
    slow_drift = 0.08 * drift(rng, length, 1, 30)[:, 0]
    base = sharpness + slow_drift - 0.12 * np.clip(speed - 0.3, 0, 2) - 0.1 * meeting
    finger = rng.normal(0, 0.06, 21) - 0.04 * np.isin(np.arange(21), (4, 8, 12, 16, 20))
    noise = 0.07 * drift(rng, length, 21, 6), 0.06 * _noise(rng, length, 21)
    scores[:, hand] = base[:, None] + finger + noise[0] + noise[1]
    scores[:, hand] = np.maximum(scores[:, hand], 0.005)
    beside, _, depth = np.moveaxis(space[:, wrist] - space[:, 8], -1, 0)
    behind = (depth > 0.06) & (np.abs(beside) < 0.22)
    scores[behind, wrist] *= 0.3
    chance = 0.006 + 0.02 * (1 - sharpness) + 0.05 * np.clip(speed - 0.8, 0, 1) + 0.03 * meeting
    hidden = pixels[:, hand, 1].mean(1) > conditions.table
    missing = bursts(rng, flaws * chance, 12) | behind | hidden | (scores[:, wrist] < 0.12)
    scores[missing, hand] = 0
    no_wrist = bursts(rng, np.full(length, 0.003 * flaws), 8)
    scores[no_wrist, wrist] = 0
    scores[no_wrist, hand] = 0


def _errors(rng: Generator, pixels: Array, scores: Array, scale: float) -> Array:
    """Pixels with the detector's errors, (T, 137, 2): larger where the score is low, and rounded to the grid
    of its networks' input."""
    length = len(pixels)
    # In pixels of 1280 × 720. The input of the body network has 368 rows; that of the face and hand networks
    # is a crop of 368 rows.
    grid = np.repeat((HEIGHT / 368, 0.0008 * scale, 0.00095 * scale), PARTS)[:, None]
    steady = (np.repeat((1.6, 0.9, 2.2), PARTS) * scale / 800)[:, None]
    noisy = (np.repeat((0.45, 0.2, 0.6), PARTS) * scale / 800)[:, None]
    doubt = np.clip(1.7 - scores, 0.7, 1.7)[..., None] ** 2
    slow = drift(rng, length, 274, 12).reshape(length, 137, 2) * steady
    fast = _noise(rng, length, 137, 2) * noisy
    wild = (scores < 0.12)[..., None] * (_noise(rng, length, 137, 2) * 0.02 * scale)
    return np.round((pixels + (slow + fast) * doubt + wild) / grid) * grid


def _swap(rng: Generator, out: Array, space: Array, flaws: float) -> None:
    """Swap arms, or only hands, in some frames; and in others find one hand twice."""
    crossed = space[:, 7, 0] < space[:, 4, 0]
    near = np.linalg.norm(space[:, 7] - space[:, 4], axis=-1) < 0.14
    arms = bursts(rng, flaws * np.where(crossed, 0.012, 0.0006), 3)
    hands = arms | bursts(rng, flaws * np.where(near | crossed, 0.015, 0.0002), 5)
    for frames, left, right in ((arms, slice(6, 8), slice(3, 5)), (hands, *HANDS)):
        out[frames, left], out[frames, right] = out[frames, right].copy(), out[frames, left].copy()
    twice = bursts(rng, flaws * np.where(near, 0.008, 0.0), 6)
    out[twice, HANDS[LEFT]] = out[twice, HANDS[RIGHT]]
