"""One video: a subject with gestures one after another, idling and speech, as the detector saw it."""

import numpy as np

from ..readers import UNKNOWN, Recording
from . import idling, shapes
from .actor import Actor, Subject
from .body import FPS, Build, Camera, points, project, view
from .detector import HEIGHT, WIDTH, Conditions, detect, drift
from .gestures import clip_length, perform
from .plan import SIZES, Plan

TABLE_EDGE = (0.0, 0.44, -0.36)
"""A point of the table's front edge, in metres. A table, in four of five videos, hides everything below."""


def record(plan: Plan) -> tuple[Recording, np.ndarray]:
    """The video of a plan, with the joints of ``openpose137``; and where these joints really are, (T, 137, 2)
    float32 in pixels, also those that the detector did not find."""
    rng = np.random.default_rng([plan.seed, list(SIZES).index(plan.size), plan.number])
    subject = draw_subject(plan.subject, plan.seed)
    segments, length = _schedule(rng, plan)
    actor = Actor(subject, rng, length, idling.rest(rng, subject))
    for label, start, end in segments:
        actor.start, actor.end = start, end
        idling.pause(actor)
        perform(actor, label)
        idling.second(actor)
        actor.busy = end
    idling.idle(actor)
    idling.speak(actor)
    camera, conditions = _filming(rng, length)
    space = view(camera, points(subject.build, actor.channels, actor.moves))
    clean = project(camera, space)
    keypoints = detect(rng, clean, space, conditions)
    about = (plan.id, UNKNOWN, plan.split, plan.id, str(plan.subject), WIDTH, HEIGHT)
    return Recording(*about, keypoints, FPS, segments), clean.astype(np.float32)


def draw_subject(number: int, seed: int) -> Subject:
    """The subject with that number, the same in every size."""
    rng = np.random.default_rng([seed, 72, number])
    size = rng.normal(1, 0.04)
    face = shapes.FACE * rng.normal(1, (0.05, 0.05, 0.06)) + rng.normal(0, 0.0012, (70, 3)) * (0.5, 1, 1)
    # The lengths of Build; all but slope and head grow with the subject's size.
    means = (0.178, 0.01, 0.285, 0.25, 0.1, 1.03, 1)
    deviations = (0.011, 0.008, 0.012, 0.011, 0.01, 0.03, 0.06)
    lengths = rng.normal(means, deviations) * (size, 1, size, size, size, 1, size)
    build = Build(face, *lengths.tolist())
    preferred, one_sided = int(rng.random() < 0.87), rng.uniform(0.6, 0.9)
    energy, pace = np.exp(rng.normal(0, 0.22)), np.exp(rng.normal(0, 0.15))
    talk, slump = rng.uniform(0.35, 0.85), rng.uniform(0.03, 0.14)
    resting, nervous = rng.dirichlet(6 * idling.REST_SHARES), rng.dirichlet(np.full(6, 2.0))
    return Subject(build, preferred, one_sided, float(energy), float(pace), talk, slump, resting, nervous)


def _schedule(rng: np.random.Generator, plan: Plan) -> tuple[tuple[tuple[int, int, int], ...], int]:
    """Segments with gaps between them, and the number of frames of the video."""
    size = SIZES[plan.size]
    segments, end = [], int(rng.integers(4, 14))
    for label in plan.labels:
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
    if rng.random() >= 0.8:
        table = float("inf")
    return camera, Conditions(scale, sharpness, table, flaws)
