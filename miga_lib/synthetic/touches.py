"""Gestures in which a hand moves to a place on the body and stays: the places of each class, the shape of the
hand, what oscillates.

Places are for the left hand, in metres; see ``body`` for the reference frames.
"""

from dataclasses import dataclass, replace

import numpy as np

from .body import FOREARM, HEAD, SEAT, TORSO, Pose, unit
from .script import Act, Vector


@dataclass(frozen=True)
class Touch:
    """A class in which a hand moves to a place on the body.

    ``places`` are the possible places in the reference frame ``frame``, with noise of ``spread`` metres.
    ``shapes`` are the possible shapes of the hand. ``palm``, ``rubs``, ``wiggles`` and ``both`` are
    probabilities: of contact with the palm, of an oscillation (of ``swing`` metres and ``hertz``), of moving
    fingers, of both hands. ``pole`` is the direction of the elbow, as in ``body.Pose``.
    """

    frame: int
    places: tuple[Vector, ...]
    spread: float = 0.012
    shapes: tuple[str, ...] = ("relaxed", "point", "pinch", "flat")
    palm: float = 0.2
    rubs: float = 0.4
    swing: float = 0.012
    hertz: tuple[float, float] = (1.0, 3.0)
    wiggles: float = 0.2
    both: float = 0.0
    pole: Vector = (0.7, 0.9, -0.5)


TOUCHES = {
    "touch hat": Touch(HEAD, ((0.05, -0.10, -0.03), (0.02, -0.075, -0.085), (0.06, -0.06, -0.05)), shapes=("pinch", "flat", "open"),
                       both=0.2, rubs=0.3),
    "touch face": Touch(HEAD, ((0.055, 0.045, -0.045), (0.05, 0.07, -0.05), (0.062, 0.03, -0.03)), spread=0.015, palm=0.4),
    "touch forehead": Touch(HEAD, ((0.02, -0.045, -0.075), (0.035, -0.04, -0.065), (0.0, -0.05, -0.08)),
                            shapes=("relaxed", "flat", "point")),
    "cover face": Touch(HEAD, ((0.03, 0.03, -0.10), (0.02, 0.06, -0.105)), shapes=("flat", "open"), palm=0.8, both=0.5, rubs=0.25),
    "rub eyes": Touch(HEAD, ((0.032, 0.002, -0.075), (0.02, 0.008, -0.08)), spread=0.007, shapes=("relaxed", "point", "fist"), palm=0.0,
                      rubs=0.9, swing=0.01, both=0.2),
    "touch other face part": Touch(HEAD, ((0.005, 0.03, -0.11), (0.01, 0.045, -0.1), (0.01, 0.068, -0.095), (0.066, -0.012, -0.03),
                                          (0.03, 0.095, -0.08), (0.04, 0.015, -0.07)), spread=0.014),
    "touch ears": Touch(HEAD, ((0.08, 0.015, 0.01), (0.078, 0.035, 0.005)), spread=0.008, shapes=("pinch", "point", "relaxed"), palm=0.05,
                        rubs=0.5),
    "bite nails": Touch(HEAD, ((0.008, 0.072, -0.098), (0.015, 0.07, -0.095)), spread=0.006, shapes=("pinch", "claw"), palm=0.0, rubs=0.7,
                        swing=0.005, wiggles=0.6),
    "touch chin": Touch(HEAD, ((0.01, 0.118, -0.075), (0.025, 0.108, -0.07), (0.0, 0.125, -0.06)), spread=0.01,
                        shapes=("relaxed", "pinch", "point", "fist")),
    "touch neck": Touch(HEAD, ((0.055, 0.15, 0.0), (0.03, 0.085, 0.10), (0.02, 0.16, -0.04)), spread=0.018, shapes=("flat", "relaxed"),
                        palm=0.4, pole=(0.9, 0.5, -0.2)),
    "play hair": Touch(HEAD, ((0.07, -0.05, 0.03), (0.03, -0.10, 0.0), (0.06, -0.02, 0.07), (0.05, -0.08, -0.04)), spread=0.018,
                       shapes=("pinch", "claw", "open"), rubs=0.7, swing=0.02, wiggles=0.5, pole=(0.9, 0.5, -0.1)),
    "adjust tie": Touch(TORSO, ((0.01, 0.03, -0.10), (0.03, 0.0, -0.09), (0.01, 0.08, -0.11)), shapes=("pinch", "relaxed"), palm=0.05,
                        rubs=0.6, both=0.4, wiggles=0.4),
    "touch chest": Touch(TORSO, ((-0.02, 0.12, -0.12), (0.05, 0.10, -0.12), (-0.05, 0.07, -0.11)), spread=0.02,
                         shapes=("flat", "relaxed", "open"), palm=0.6, pole=(0.9, 0.7, 0.0)),
    "scratch back": Touch(TORSO, ((0.10, -0.03, 0.08), (0.05, 0.0, 0.10), (0.12, 0.32, 0.12)), spread=0.02, shapes=("claw", "relaxed"),
                          palm=0.0, rubs=0.8, swing=0.02, pole=(0.9, -0.2, -0.2)),
    "put arm back": Touch(TORSO, ((0.02, 0.36, 0.23), (0.05, 0.32, 0.22)), spread=0.02, shapes=("relaxed", "flat"), palm=0.5, rubs=0.0,
                          both=0.3, pole=(0.8, 0.4, 0.6)),
    "arm akimbo": Touch(TORSO, ((0.16, 0.40, -0.02), (0.17, 0.36, 0.01)), spread=0.015, shapes=("flat", "fist", "relaxed"), palm=0.8,
                        rubs=0.0, both=0.4, pole=(1.0, 0.1, 0.3)),
    "tidy sleeve": Touch(FOREARM, ((0.20, 0.0, -0.03), (0.23, 0.0, -0.025), (0.14, 0.0, -0.035)), shapes=("pinch", "relaxed"), palm=0.1,
                         rubs=0.8, swing=0.025, hertz=(0.6, 1.6)),
    "scratch arm": Touch(FOREARM, ((0.04, 0.0, -0.04), (0.12, 0.0, -0.035), (0.18, 0.0, -0.03), (-0.02, -0.03, -0.05)), spread=0.02,
                         shapes=("claw", "relaxed"), palm=0.05, rubs=0.85, swing=0.025, hertz=(1.5, 3.5), wiggles=0.3),
}  # fmt: skip

# In the trunk's frame, in metres: the eyes, the elbow of a raised arm, and an offset towards the axis of the
# body. They determine the directions of the fingers and the palm of a touching hand.
EYES, ELBOW, AXIS = np.array((0.0, -0.2, 0.0)), np.array((0.28, 0.27, -0.12)), np.array((0.0, -0.05, 0.03))


def touch(act: Act, what: Touch) -> None:
    """One hand, or both, at one of the places. Where that is on the forearm, the other arm moves up."""
    side, index = act.side(), int(act.rng.integers(len(what.places)))
    both = act.chance(what.both)
    times = times_of(act)
    if what.frame == FOREARM:
        held = Pose(
            SEAT,
            act.near((-0.02, 0.28, -0.26), 0.04),
            (-0.9, -0.1, -0.3),
            (0, 0.5, 0.8),
            contact="palm",
            pole=(0.8, 0.8, 0.1),
        )
        visit(act, 1 - side, held, times)
    pose = _touching(act, what, what.places[index])
    for hand in (side, 1 - side) if both else (side,):
        visit(act, hand, pose, times)
    if what.frame == HEAD and act.chance(0.5):
        # The head moves towards the hand.
        act.script.bump(
            "nod", act.uniform(0.02, 0.2), times[0], times[3], times[1] - times[0], times[3] - times[2]
        )
        act.script.bump(
            "tilt", act.uniform(-0.1, 0.1), times[0], times[3], times[1] - times[0], times[3] - times[2]
        )
    if what.frame == HEAD and 0.04 < what.places[index][1] < 0.1:
        act.script.silences.append((times[0], times[3]))


def _touching(act: Act, what: Touch, place: Vector) -> Pose:
    at = np.array(act.near(place, what.spread))
    if act.chance(0.12):
        at = at + act.uniform(0.2, 0.7) * np.array((0.04, 0.08, -0.08))  # it does not reach the place
    if what.frame == FOREARM:
        aim, palm, way = np.array((-0.6, -0.1, -0.4)), np.array((0.0, 0.5, 0.8)), np.array((1.0, 0.3, 0.0))
    else:
        inside = at + EYES if what.frame == HEAD else at
        middle = EYES + AXIS if what.frame == HEAD else 3 * AXIS
        aim, palm, way = inside - ELBOW, middle - inside, act.rng.normal(0, 1, 3) * (1, 1, 0.3)
    swing = act.size(0.5, 1.5) * what.swing * unit(way) if act.chance(what.rubs) else np.zeros(3)
    contact = "palm" if act.chance(what.palm) else "tips"
    pose = Pose(
        what.frame,
        tuple(at.tolist()),
        act.near(unit(aim), 0.2),
        act.near(unit(palm), 0.15),
        act.near(what.pole, 0.12),
    )
    pose = replace(
        pose,
        shape=act.one(what.shapes),
        contact=contact,
        swing=tuple(swing.tolist()),
        hertz=act.uniform(*what.hertz),
    )
    return replace(pose, wiggle=act.uniform(0.2, 0.6)) if act.chance(what.wiggles) else pose


def times_of(act: Act) -> tuple[float, float, float, float]:
    """Frames at which a hand starts, arrives, leaves again and is back. They differ from the labels by some
    frames, as annotators' do."""
    travel, back = act.travel(), act.travel() * act.uniform(0.9, 1.4)
    start = act.start + float(np.clip(act.rng.normal(0, 3), -6, 6))
    if act.chance(0.12):
        start = act.start - travel * act.uniform(0.5, 1.0)  # the label begins when the hand has arrived
    start = max(start, act.script.busy)
    end = act.end + float(np.clip(act.rng.normal(0, 4), -8, 8))
    if act.chance(0.15):
        end = act.end + back * act.uniform(0.4, 1.0)  # the label ends before the hand leaves
    arrive = start + min(travel, max(4.0, 0.6 * act.length))
    end = max(end, arrive + 6)
    return start, arrive, max(arrive + 3, end - back), end


def visit(
    act: Act, side: int, pose: Pose, times: tuple[float, float, float, float], lingers: float = 0.15
) -> None:
    """Move a hand to a pose, keep it there with small shifts, and move it back; with probability ``lingers``
    it stays there instead."""
    start, arrive, leave, end = times
    here = act.script.move(side, start, arrive - start, pose)
    while leave - here > 30 and act.chance(0.6):
        here += act.uniform(14, 28)
        pose = replace(pose, at=act.near(pose.at, 0.01), aim=act.near(pose.aim, 0.08))
        here = act.script.move(side, here, act.uniform(6, 10), pose)
    if not act.chance(lingers):
        act.script.home(side, max(leave, here + 2), end - leave)
