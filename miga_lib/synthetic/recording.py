"""One video: a subject in front of a camera, with gestures one after another, idling and speech, as the
detector saw it."""

from dataclasses import dataclass

import numpy as np

from . import idling
from .body import CHANNELS, Camera, points, project, view
from .detector import Conditions, detect, drift
from .gestures import clip_length, perform
from .plan import SIZES, Plan, Size, size_named
from .script import Act, Script
from .subjects import subject

TABLE_EDGE = (0.0, 0.44, -0.36)
"""A point of the table's front edge, in metres. In four of five videos there is a table; it hides everything
below this edge."""


@dataclass(frozen=True, eq=False)
class Video:
    """One recording: ``keypoints`` (T, 137, 3) float32, x, y (pixels of a 1280 × 720 video) and score, in the
    order of ``openpose137``; ``clean`` (T, 137, 2) float32, where these joints really are, also those that
    the detector did not find; ``segments``, (class index, first frame, last frame) of its gestures in time
    order."""

    id: str
    subject: int
    split: str
    keypoints: np.ndarray
    clean: np.ndarray
    segments: tuple[tuple[int, int, int], ...]


def record(chosen: Plan, seed: int, size: str) -> Video:
    """The video of a plan from ``plans(size, seed)``. It depends only on plan, seed and size."""
    rng = np.random.default_rng([seed, list(SIZES).index(size), chosen.number])
    who = subject(chosen.subject, seed)
    segments, length = _schedule(rng, chosen.labels, size_named(size))
    script = Script(np.zeros((length, len(CHANNELS))), idling.rest(rng, who))
    end = 0
    for label, start, last in segments:
        idling.pause(rng, script, who, end, start)
        perform(Act(script, who.style, rng, start, last), label)
        idling.second(rng, script, who, start, last)
        end = script.busy = last
    idling.idle(rng, script, who)
    idling.speak(rng, script, who)
    camera, conditions = _filming(rng, length)
    seen = view(camera, points(who.build, script.channels, script.moves))
    clean = project(camera, seen)
    keypoints = detect(rng, clean, seen, conditions)
    return Video(chosen.id, chosen.subject, chosen.split, keypoints, clean.astype(np.float32), segments)


def _schedule(
    rng: np.random.Generator, wanted: tuple[int, ...], size: Size
) -> tuple[tuple[tuple[int, int, int], ...], int]:
    """Segments with gaps between them, and the number of frames of the video."""
    segments, end = [], int(rng.integers(4, 14))
    for label in wanted:
        start = end + 2 + int(rng.gamma(2, (size.gap - 2) / 2))
        end = start + max(int(clip_length(label, rng) * size.length), 2) - 1
        segments.append((label, start, end))
    return tuple(segments), end + 1 + int(rng.integers(4, 14))


def _filming(rng: np.random.Generator, length: int) -> tuple[Camera, Conditions]:
    """Position, shake, pan and zoom of the camera; and the conditions for the detector."""
    scale = float(np.clip(np.exp(rng.normal(np.log(780), 0.22)), 480, 1150))
    shake = drift(rng, length, 2, 9) * rng.gamma(1.5, 0.4) + drift(rng, length, 2, 120) * rng.gamma(2.0, 2.0)
    zoom = 1 + 0.015 * drift(rng, length, 1, 200)[:, 0]
    for start in np.flatnonzero(rng.random(length) < 0.0006):
        # The operator reframes the image.
        ramp = np.clip((np.arange(length) - start) / rng.uniform(10, 40), 0, 1)
        shake = shake + ramp[:, None] * rng.normal(0, (50, 15))
        zoom = zoom * (1 + ramp * rng.normal(0, 0.08))
    yaw, pitch, roll = rng.normal((0, 0.08, 0), (0.28, 0.07, 0.02)).tolist()
    center = (float(rng.normal(640, 70)), float(np.clip(rng.normal(360, 30), 0.28 * scale, 420)))
    camera = Camera(yaw, pitch, roll, rng.uniform(2.2, 5.0), scale, center, shake, zoom)
    table = float(project(camera, view(camera, np.tile(TABLE_EDGE, (length, 1, 1))))[..., 1].mean())
    sharpness, flaws = float(np.clip(rng.normal(0.52, 0.1), 0.25, 0.75)), float(np.exp(rng.normal(0, 0.4)))
    return camera, Conditions(scale, sharpness, table if rng.random() < 0.8 else float("inf"), flaws)
