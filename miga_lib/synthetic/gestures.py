"""The gestures: a programme for each of the 32 classes, which an actor performs.

A programme defines which effector moves where, how long it stays, what oscillates. The rest is random: which
hand, how fast, how far, how completely. Gestures in which a hand moves to a place on the body are in
``touches``, those without hands in ``postures``.
"""

from dataclasses import replace

import numpy as np

from .. import labels
from . import postures, touches
from .actor import Actor, Times
from .body import LEFT, OTHER_HAND, RIGHT, SEAT, TORSO, Pose, Vector

ALONG = (-0.6, -0.2, -0.6)
"""The direction of the fingers of hands in front of the trunk: inwards and towards the camera."""
CROSSED = (
    Pose(TORSO, (-0.14, 0.17, -0.15), (-0.8, -0.2, 0.4), (-0.2, 0.1, 1), (0.9, 0.8, 0), "flat", on_palm=True),
    Pose(TORSO, (-0.13, 0.22, -0.19), (-0.9, -0.1, 0.3), (0, 0, 1.0), (0.9, 0.8, 0), on_palm=True),
)
"""Crossed arms: each hand at the other arm, the second forearm in front of the first."""
BEAT_SHAPES = (
    ("open", "relaxed"), ("relaxed", "flat"), ("point", "relaxed"), ("pinch", "open"), ("fist", "relaxed"),
    ("flat", "open"),
)  # fmt: skip


def _place(actor: Actor, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> Vector:
    return actor.uniform(*x), actor.uniform(*y), actor.uniform(*z)


def _meeting(actor: Actor, low: float = 0.26, high: float = 0.40) -> Vector:
    """A place in front of the trunk or over the table where two hands can meet."""
    return _place(actor, (-0.05, 0.05), (low, high), (-0.36, -0.24))


def _swing(actor: Actor, path: Vector, low: float, high: float) -> Vector:
    x, y, z = (actor.amplitude(low, high) * length for length in path)
    return x, y, z


def _pair(actor: Actor, first: Pose, second: Pose, lingers: float) -> None:
    side, times = actor.side(), actor.times()
    actor.visit(1 - side, first, times, lingers)
    actor.visit(side, second, times._replace(start=times.start + actor.uniform(0, 3)), lingers)


def rub_hand(actor: Actor) -> None:
    """One hand moves back and forth over the other, which moves a little the other way."""
    path = actor.choice(((0.03, 0.0, 0.01), (0.01, 0.03, 0.01), (0.015, 0.01, -0.03)))
    x, y, z = _swing(actor, path, 0.5, 1.5)
    pose = Pose(SEAT, _meeting(actor), actor.near(ALONG, 0.1), (-0.6, 0.3, 0.7))
    pose = replace(pose, hertz=actor.uniform(0.8, 2.8))
    first = replace(pose, on_palm=True, swing=(-0.4 * x, -0.4 * y, -0.4 * z))
    shape, on_palm = actor.choice(("relaxed", "flat", "claw")), actor.choice((True, False))
    at, wiggle = actor.near((0.0, -0.015, -0.015), 0.012), actor.uniform(0, 0.3)
    pose = replace(pose, frame=OTHER_HAND, shape=shape, on_palm=on_palm, at=at, wiggle=wiggle)
    _pair(actor, first, replace(pose, swing=(x, y, z)), 0.15)


def cross_finger(actor: Actor) -> None:
    """The fingers of both hands are interlaced, still or moving."""
    wiggle = actor.maybe(0.5, 0.1, 0.5)
    pose = Pose(SEAT, _meeting(actor), actor.near(ALONG, 0.15), (-0.7, 0.2, 0.5), shape="laced", other="open")
    pose = replace(pose, on_palm=True, hertz=actor.uniform(0.4, 1.5), wiggle=wiggle)
    _pair(actor, pose, replace(pose, frame=OTHER_HAND, at=actor.near((0.0, 0.0, -0.005), 0.008)), 0.3)


def minaret_hand(actor: Actor) -> None:
    """The fingertips of both hands touch each other and point up; they may tap."""
    x, y, z = _meeting(actor, 0.16, 0.32)
    aim, swing = actor.near((-0.35, -0.85, -0.25), 0.12), (0.0, actor.uniform(0, 0.008), 0.0)
    pose = Pose(SEAT, (x, y, z), aim, (-0.8, 0.1, 0.3), shape="flat", other="claw", swing=swing)
    pose = replace(pose, hertz=actor.uniform(0.8, 2.0), wiggle=actor.uniform(0, 0.4))
    _pair(actor, pose, replace(pose, at=(0.01 - x, y, z)), 0.2)


def play_things(actor: Actor) -> None:
    """A pen, a cap or the stand of the microphone: small movements of one or both hands at a point on the
    table."""
    x, y, z = _place(actor, (0.0, 0.16), (0.30, 0.36), (-0.42, -0.30))
    aim, shape = actor.near((-0.5, 0.0, -0.8), 0.15), actor.choice(("pinch", "claw", "relaxed"))
    swing = _swing(actor, (0.015, 0.01, 0.012), 0.2, 1.0)
    other, hertz = actor.choice(("fist", "open")), actor.uniform(0.7, 2.5)
    pose = Pose(SEAT, (x, y, z), aim, (-0.4, 0.8, 0.3), shape=shape, other=other, swing=swing, hertz=hertz)
    pose = replace(pose, wiggle=actor.uniform(0.15, 0.6))
    side, times = actor.side(), actor.times()
    actor.visit(side, pose, times)
    if actor.chance(0.5):
        beside = (actor.uniform(0.02, 0.06) - x, y, z)
        actor.visit(1 - side, replace(pose, at=beside, hertz=hertz * actor.uniform(0.8, 1.2)), times)
    actor.bump(times.start, times.end, 8, 8, nod=actor.uniform(0.0, 0.25))


def fold_arm(actor: Actor) -> None:
    """Both forearms are crossed in front of the chest; where that is the rest pose, the arms open first."""
    side, times, lower = actor.side(), actor.times(), actor.uniform(-0.02, 0.05)
    if actor.rest[LEFT].frame == actor.rest[RIGHT].frame == TORSO:
        opened = max(times.start - 14, actor.busy)
        for hand in (LEFT, RIGHT):
            apart = actor.near((0.16, 0.34, -0.30), 0.03)
            actor.move(hand, opened, 10, Pose(SEAT, apart, ALONG, (0.0, 1.0, 0.1), on_palm=True))
        late = max(opened + 11 - times.start, 0)
        times = Times(*(time + late for time in times))
    for hand, pose in ((side, CROSSED[0]), (1 - side, CROSSED[1])):
        x, y, z = pose.at
        at = actor.near((x, y + lower, z), 0.012)
        rub = actor.maybe(0.2, 0.005, 0.02)
        pose = replace(pose, at=at, swing=(0.0, rub, 0.0), hertz=1.5)
        actor.visit(hand, pose, times._replace(start=times.start + actor.uniform(0, 4)), 0.35)


def withdraw_arms(actor: Actor) -> None:
    """Hands move from the table back to the body or the lap; before the gesture they move forward."""
    times = actor.times()
    for side in actor.hands(0.6):
        at = (actor.uniform(0.03, 0.22), 0.35, actor.uniform(-0.44, -0.34))
        pose = Pose(SEAT, at, actor.near((-0.5, 0.1, -0.8), 0.15), (0.0, 1.0, 0.2), on_palm=True)
        there = actor.move(side, max(times.start - 16, actor.busy), 10, pose)
        back = replace(pose, at=_place(actor, (0.04, 0.24), (0.38, 0.5), (-0.2, -0.08)))
        there = actor.move(side, max(times.start, there + 1), actor.travel() * 1.3, back)
        if actor.chance(0.6):
            actor.home(side, max(actor.end + actor.uniform(0, 10), there + 4), 2 * actor.travel())
    if actor.chance(0.5):
        lean = -actor.amplitude(0.02, 0.08)
        actor.bump(times.start, actor.end + 60, actor.travel() * 1.4, 50, pitch=lean)


def illustrative(actor: Actor) -> None:
    """Beats during speech: one hand or both anywhere in front of the body, with nods of the head; the class
    that varies most."""
    actor.speeches.append((actor.start - 5, actor.end + 5))
    if actor.chance(0.12):
        _head_talk(actor)
        return
    hands, mirrored, beats = actor.hands(0.5), actor.chance(0.6), _beats(actor)
    stop = actor.end - actor.travel() * actor.uniform(-0.6, 0.8)
    for hand in hands:
        start = max(actor.start + actor.uniform(-4, 4), actor.busy)
        here = actor.move(hand, start, actor.travel(), beats[0])
        for pose in beats[1:]:
            if here > stop - 4:
                break
            if not mirrored and hand == RIGHT:
                pose = replace(pose, at=actor.near(pose.at, 0.05))
            start = here + max(0.0, actor.rng.normal(2, 4))
            here = actor.move(hand, start, actor.uniform(5, 11) / actor.subject.pace, pose)
        if not actor.chance(0.25):
            actor.home(hand, max(stop, here + 1), actor.travel() * 1.2)
    nod = actor.amplitude(0.0, 0.08)
    actor.wave(actor.start, actor.end, actor.uniform(0.8, 2.2), nod=nod)
    actor.bump(actor.start, actor.end + 10, 10, 14, turn=actor.uniform(-0.2, 0.2))


def _beats(actor: Actor) -> list[Pose]:
    """Random poses around one place, enough for the whole gesture."""
    center = _place(actor, (-0.04, 0.28), (-0.05, 0.36), (-0.42, -0.18))
    if actor.chance(0.08):  # near the face or the head
        center = _place(actor, (0.0, 0.12), (-0.3, 0.0), (-0.25, -0.12))
    spread, shapes = actor.amplitude(0.02, 0.09), actor.choice(BEAT_SHAPES)
    palm, aim = actor.near((-0.4, 0.2, 0.3), 0.5), actor.near((-0.3, -0.3, -0.7), 0.3)
    beats = []
    for _ in range(2 + int(max(actor.end - actor.start, 6) / 5)):
        at, beat_aim, beat_palm = actor.near(center, spread), actor.near(aim, 0.15), actor.near(palm, 0.15)
        pose = Pose(TORSO, at, beat_aim, beat_palm, shape=actor.choice(shapes), on_palm=True)
        swing = (0.0, actor.uniform(0, 0.02), 0.0)
        beats.append(replace(pose, swing=swing, hertz=actor.uniform(1.0, 3.0)))
    return beats


def _head_talk(actor: Actor) -> None:
    """Movements of the head and the brows, and in some cases a lifted hand."""
    start, end = actor.start, actor.end
    nod = actor.amplitude(0.06, 0.18)
    actor.wave(start, end, actor.uniform(0.7, 1.8), nod=nod)
    turn = {actor.choice(("turn", "tilt")): actor.amplitude(0.05, 0.25)}
    actor.wave(start, end, actor.uniform(0.4, 1.2), **turn)
    actor.bump(start, end, 6, 8, brow=actor.uniform(0.2, 1.0))
    if actor.chance(0.6):
        left, right = actor.amplitude(0.0, 0.03), actor.amplitude(0.0, 0.03)
        actor.bump(start, end, 7, 9, left_up=left, right_up=right)
    if actor.chance(0.5):
        side = actor.side()
        pose = actor.rest[side]
        pose = replace(pose, at=actor.near(pose.at, 0.04), shape="open")
        actor.visit(side, pose, actor.times())


PROGRAMMES = {
    programme.__name__.replace("_", " "): programme
    for programme in (
        rub_hand, cross_finger, minaret_hand, play_things, fold_arm, withdraw_arms, illustrative,
        postures.turtle_neck, postures.deep_breath, postures.move_torso, postures.sit_straight,
        postures.head_up, postures.bite_lip, postures.shake_shoulder,
    )
}  # fmt: skip

USUAL_FRAMES = 40
CLASS_FRAMES = {
    "shake shoulder": 29, "head up": 32, "bite lip": 35, "deep breath": 48, "fold arm": 66, "rub hand": 52,
    "cross finger": 62, "play things": 64, "minaret hand": 58, "arm akimbo": 64, "move torso": 37,
    "illustrative": 44, "put arm back": 54, "withdraw arms": 30,
}  # fmt: skip
"""Median clip lengths in frames, of classes whose median is not ``USUAL_FRAMES``."""


def clip_length(label: int, rng: np.random.Generator) -> int:
    """In frames, 2 to 400: log-normal around the median of the class; 3 % of clips have only 2 to 12."""
    if rng.random() < 0.03:
        return int(rng.integers(2, 13))
    median = CLASS_FRAMES.get(labels.CLASSES[label], USUAL_FRAMES)
    return int(np.clip(median * np.exp(rng.normal(0, 0.65)), 4, 400))


def perform(actor: Actor, label: int) -> None:
    """The gesture of a class."""
    name = labels.CLASSES[label]
    if name in touches.TOUCHES:
        touches.perform(actor, touches.TOUCHES[name])
    else:
        PROGRAMMES[name](actor)
