"""Gestures in which a hand moves to a place on the body and stays."""

from dataclasses import dataclass, replace

import numpy as np

from .actor import Actor
from .body import FOREARM, HEAD, SEAT, TORSO, Pose, Vector, unit


@dataclass(frozen=True)
class Touch:
    """A class in which a hand moves to a place on the body.

    ``places`` are the possible places of the left hand in the reference frame ``frame``, with noise of
    ``spread``, in metres; ``shapes`` the possible shapes of the hand. ``palm``, ``rubs``, ``wiggles`` and
    ``both`` are probabilities: of contact with the palm, of an oscillation (of ``swing`` metres and
    ``hertz``), of moving fingers, of both hands. ``pole`` is the direction of the elbow, as in ``body.Pose``.
    """

    frame: int
    places: tuple[Vector, ...]
    shapes: tuple[str, ...] = ("relaxed", "point", "pinch", "flat")
    spread: float = 0.012
    palm: float = 0.2
    rubs: float = 0.4
    swing: float = 0.012
    hertz: tuple[float, float] = (1.0, 3.0)
    wiggles: float = 0.2
    both: float = 0.0
    pole: Vector = (0.7, 0.9, -0.5)


TOUCHES = {
    "touch hat": Touch(HEAD, ((0.05, -0.10, -0.03), (0.02, -0.075, -0.085), (0.06, -0.06, -0.05)),
        ("pinch", "flat", "open"), both=0.2, rubs=0.3),
    "touch face": Touch(HEAD, ((0.055, 0.045, -0.045), (0.05, 0.07, -0.05), (0.062, 0.03, -0.03)),
        spread=0.015, palm=0.4),
    "touch forehead": Touch(HEAD, ((0.02, -0.045, -0.075), (0.035, -0.04, -0.065), (0.0, -0.05, -0.08)),
        ("relaxed", "flat", "point")),
    "cover face": Touch(HEAD, ((0.03, 0.03, -0.10), (0.02, 0.06, -0.105)), ("flat", "open"), palm=0.8,
        both=0.5, rubs=0.25),
    "rub eyes": Touch(HEAD, ((0.032, 0.002, -0.075), (0.02, 0.008, -0.08)), ("relaxed", "point", "fist"),
        spread=0.007, palm=0.0, rubs=0.9, swing=0.01, both=0.2),
    "touch other face part": Touch(HEAD, ((0.005, 0.03, -0.11), (0.01, 0.045, -0.1), (0.01, 0.068, -0.095),
        (0.066, -0.012, -0.03), (0.03, 0.095, -0.08), (0.04, 0.015, -0.07)), spread=0.014),
    "touch ears": Touch(HEAD, ((0.08, 0.015, 0.01), (0.078, 0.035, 0.005)), ("pinch", "point", "relaxed"),
        spread=0.008, palm=0.05, rubs=0.5),
    "bite nails": Touch(HEAD, ((0.008, 0.072, -0.098), (0.015, 0.07, -0.095)), ("pinch", "claw"),
        spread=0.006, palm=0.0, rubs=0.7, swing=0.005, wiggles=0.6),
    "touch chin": Touch(HEAD, ((0.01, 0.118, -0.075), (0.025, 0.108, -0.07), (0.0, 0.125, -0.06)),
        ("relaxed", "pinch", "point", "fist"), spread=0.01),
    "touch neck": Touch(HEAD, ((0.055, 0.15, 0.0), (0.03, 0.085, 0.10), (0.02, 0.16, -0.04)),
        ("flat", "relaxed"), spread=0.018, palm=0.4, pole=(0.9, 0.5, -0.2)),
    "play hair": Touch(HEAD, ((0.07, -0.05, 0.03), (0.03, -0.10, 0.0), (0.06, -0.02, 0.07),
        (0.05, -0.08, -0.04)), ("pinch", "claw", "open"), spread=0.018, rubs=0.7, swing=0.02, wiggles=0.5,
        pole=(0.9, 0.5, -0.1)),
    "adjust tie": Touch(TORSO, ((0.01, 0.03, -0.10), (0.03, 0.0, -0.09), (0.01, 0.08, -0.11)),
        ("pinch", "relaxed"), palm=0.05, rubs=0.6, both=0.4, wiggles=0.4),
    "touch chest": Touch(TORSO, ((-0.02, 0.12, -0.12), (0.05, 0.10, -0.12), (-0.05, 0.07, -0.11)),
        ("flat", "relaxed", "open"), spread=0.02, palm=0.6, pole=(0.9, 0.7, 0.0)),
    "scratch back": Touch(TORSO, ((0.10, -0.03, 0.08), (0.05, 0.0, 0.10), (0.12, 0.32, 0.12)),
        ("claw", "relaxed"), spread=0.02, palm=0.0, rubs=0.8, swing=0.02, pole=(0.9, -0.2, -0.2)),
    "put arm back": Touch(TORSO, ((0.02, 0.36, 0.23), (0.05, 0.32, 0.22)), ("relaxed", "flat"), spread=0.02,
        palm=0.5, rubs=0.0, both=0.3, pole=(0.8, 0.4, 0.6)),
    "arm akimbo": Touch(TORSO, ((0.16, 0.40, -0.02), (0.17, 0.36, 0.01)), ("flat", "fist", "relaxed"),
        spread=0.015, palm=0.8, rubs=0.0, both=0.4, pole=(1.0, 0.1, 0.3)),
    "tidy sleeve": Touch(FOREARM, ((0.20, 0.0, -0.03), (0.23, 0.0, -0.025), (0.14, 0.0, -0.035)),
        ("pinch", "relaxed"), palm=0.1, rubs=0.8, swing=0.025, hertz=(0.6, 1.6)),
    "scratch arm": Touch(FOREARM, ((0.04, 0.0, -0.04), (0.12, 0.0, -0.035), (0.18, 0.0, -0.03),
        (-0.02, -0.03, -0.05)), ("claw", "relaxed"), spread=0.02, palm=0.05, rubs=0.85, swing=0.025,
        hertz=(1.5, 3.5), wiggles=0.3),
}  # fmt: skip

# In the trunk's frame, in metres: the elbow of a raised arm; and for each reference frame its origin, and a
# point on the axis of the body. They determine the directions of the fingers and the palm.
ELBOW, EYES, AXIS = np.array((0.28, 0.27, -0.12)), np.array((0.0, -0.2, 0.0)), np.array((0.0, -0.05, 0.03))
CENTERS = {HEAD: (EYES, EYES + AXIS), TORSO: (np.zeros(3), 3 * AXIS)}


def perform(actor: Actor, touch: Touch) -> None:
    """One hand, or both, at one of the places. Where that is on the forearm, the other arm moves up."""
    side, place = actor.side(), actor.choice(touch.places)
    both, times = actor.chance(touch.both), actor.times()
    if touch.frame == FOREARM:
        at = actor.near((-0.02, 0.28, -0.26), 0.04)
        arm = Pose(SEAT, at, (-0.9, -0.1, -0.3), (0, 0.5, 0.8), (0.8, 0.8, 0.1), on_palm=True)
        actor.visit(1 - side, arm, times)
    pose = _pose(actor, touch, place)
    actor.visit(side, pose, times)
    if both:
        actor.visit(1 - side, pose, times)
    if touch.frame == HEAD and actor.chance(0.5):
        # The head moves towards the hand.
        rise, fall = times.arrive - times.start, times.end - times.leave
        nod, tilt = actor.uniform(0.02, 0.2), actor.uniform(-0.1, 0.1)
        actor.bump(times.start, times.end, rise, fall, nod=nod, tilt=tilt)
    if touch.frame == HEAD and 0.04 < place[1] < 0.1:
        actor.silences.append((times.start, times.end))


def _pose(actor: Actor, touch: Touch, place: Vector) -> Pose:
    at = np.array(actor.near(place, touch.spread))
    if actor.chance(0.12):
        at = at + actor.uniform(0.2, 0.7) * np.array((0.04, 0.08, -0.08))  # it does not reach the place
    if touch.frame == FOREARM:
        aim, palm, path = np.array((-0.6, -0.1, -0.4)), np.array((0.0, 0.5, 0.8)), np.array((1.0, 0.3, 0.0))
    else:
        origin, axis = CENTERS[touch.frame]
        aim, palm, path = origin + at - ELBOW, axis - (origin + at), actor.rng.normal(0, 1, 3) * (1, 1, 0.3)
    pose = Pose(touch.frame, tuple(at.tolist()))
    if actor.chance(touch.rubs):
        swing = actor.amplitude(0.5, 1.5) * touch.swing * unit(path)
        pose = replace(pose, swing=tuple(swing.tolist()))
    pose = replace(pose, on_palm=actor.chance(touch.palm), aim=actor.near(unit(aim), 0.2))
    pose = replace(pose, palm=actor.near(unit(palm), 0.15), pole=actor.near(touch.pole, 0.12))
    pose = replace(pose, shape=actor.choice(touch.shapes), hertz=actor.uniform(*touch.hertz))
    return replace(pose, wiggle=actor.maybe(touch.wiggles, 0.2, 0.6))
