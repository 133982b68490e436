"""The gestures: a programme for each of the 32 classes, which writes movements of hands, trunk, head and face
into a script.

A programme defines what its gesture looks like: which effector moves where, how long it stays, what
oscillates. The rest is random: which hand, how fast, how far, how completely. Gestures in which a hand moves
to a place on the body are in ``touches``, those without hands in ``postures``, and those of two hands
together and of speech in this module.
"""

from dataclasses import replace

import numpy as np

from .. import labels
from .body import LEFT, OTHER_HAND, RIGHT, SEAT, TORSO, Pose
from .postures import bite_lip, deep_breath, head_up, move_torso, shake_shoulder, sit_straight, turtle_neck
from .script import Act, Vector
from .touches import TOUCHES, times_of, touch, visit

ALONG = (-0.6, -0.2, -0.6)
"""The direction of the fingers of hands in front of the trunk: inwards and towards the camera."""


def _together(act: Act, low: float = 0.26, high: float = 0.40) -> Vector:
    """A place in front of the trunk or over the table where two hands can meet."""
    return (act.uniform(-0.05, 0.05), act.uniform(low, high), act.uniform(-0.36, -0.24))


def _pair(act: Act, first: Pose, second: Pose, lingers: float) -> None:
    side, times = act.side(), times_of(act)
    visit(act, 1 - side, first, times, lingers)
    visit(act, side, second, (times[0] + act.uniform(0, 3), *times[1:]), lingers)


def rub_hand(act: Act) -> None:
    """One hand moves back and forth over the other, which moves a little the other way."""
    way = act.one(((0.03, 0.0, 0.01), (0.01, 0.03, 0.01), (0.015, 0.01, -0.03)))
    swing = (way[0] * act.size(0.5, 1.5), way[1] * act.size(0.5, 1.5), way[2] * act.size(0.5, 1.5))
    held = Pose(
        SEAT,
        _together(act),
        act.near(ALONG, 0.1),
        (-0.6, 0.3, 0.7),
        contact="palm",
        hertz=act.uniform(0.8, 2.8),
    )
    shape, contact, on = (
        act.one(("relaxed", "flat", "claw")),
        act.one(("palm", "tips")),
        act.near((0.0, -0.015, -0.015), 0.012),
    )
    rubbing = replace(
        held, frame=OTHER_HAND, at=on, shape=shape, contact=contact, swing=swing, wiggle=act.uniform(0, 0.3)
    )
    _pair(act, replace(held, swing=(-0.4 * swing[0], -0.4 * swing[1], -0.4 * swing[2])), rubbing, 0.15)


def cross_finger(act: Act) -> None:
    """The fingers of both hands are interlaced, still or moving."""
    wiggle = act.uniform(0.1, 0.5) if act.chance(0.5) else 0.0
    first = Pose(
        SEAT,
        _together(act),
        act.near(ALONG, 0.15),
        (-0.7, 0.2, 0.5),
        shape="laced",
        other="open",
        contact="palm",
        wiggle=wiggle,
    )
    first = replace(first, hertz=act.uniform(0.4, 1.5))
    _pair(act, first, replace(first, frame=OTHER_HAND, at=act.near((0.0, 0.0, -0.005), 0.008)), 0.3)


def minaret_hand(act: Act) -> None:
    """The fingertips of both hands touch each other and point up; they may tap."""
    place, up = _together(act, 0.16, 0.32), act.near((-0.35, -0.85, -0.25), 0.12)
    first = Pose(
        SEAT, place, up, (-0.8, 0.1, 0.3), shape="flat", other="claw", swing=(0.0, act.uniform(0, 0.008), 0.0)
    )
    first = replace(first, hertz=act.uniform(0.8, 2.0), wiggle=act.uniform(0, 0.4))
    _pair(act, first, replace(first, at=(0.01 - place[0], *place[1:])), 0.2)


def play_things(act: Act) -> None:
    """A pen, a cap or the stand of the microphone: small movements of one or both hands at a point on the
    table."""
    place = (act.uniform(0.0, 0.16), act.uniform(0.30, 0.36), act.uniform(-0.42, -0.30))
    pose = Pose(
        SEAT,
        place,
        act.near((-0.5, 0.0, -0.8), 0.15),
        (-0.4, 0.8, 0.3),
        shape=act.one(("pinch", "claw", "relaxed")),
    )
    swing = (act.size(0.2, 1.0) * 0.015, act.size(0.2, 1.0) * 0.01, act.size(0.2, 1.0) * 0.012)
    pose = replace(
        pose,
        other=act.one(("fist", "open")),
        swing=swing,
        hertz=act.uniform(0.7, 2.5),
        wiggle=act.uniform(0.15, 0.6),
    )
    side, times = act.side(), times_of(act)
    visit(act, side, pose, times)
    if act.chance(0.5):
        beside = (act.uniform(0.02, 0.06) - place[0], *place[1:])
        visit(act, 1 - side, replace(pose, at=beside, hertz=pose.hertz * act.uniform(0.8, 1.2)), times)
    act.script.bump("nod", act.uniform(0.0, 0.25), times[0], times[3], 8, 8)


CROSSED = (
    Pose(
        TORSO,
        (-0.14, 0.17, -0.15),
        (-0.8, -0.2, 0.4),
        (-0.2, 0.1, 1.0),
        (0.9, 0.8, 0.0),
        "flat",
        contact="palm",
    ),
    Pose(
        TORSO,
        (-0.13, 0.22, -0.19),
        (-0.9, -0.1, 0.3),
        (0.0, 0.0, 1.0),
        (0.9, 0.8, 0.0),
        "relaxed",
        contact="palm",
    ),
)
"""Crossed arms: each hand at the other arm, the second forearm in front of the first."""


def fold_arm(act: Act) -> None:
    """Both forearms are crossed in front of the chest; where that is the rest pose, the arms open first."""
    side, times, high = act.side(), times_of(act), act.uniform(-0.02, 0.05)
    if act.script.rest[LEFT].frame == act.script.rest[RIGHT].frame == TORSO:
        opened = max(times[0] - 14, act.script.busy)
        for hand in (LEFT, RIGHT):
            apart = act.near((0.16, 0.34, -0.30), 0.03)
            act.script.move(hand, opened, 10, Pose(SEAT, apart, ALONG, (0.0, 1.0, 0.1), contact="palm"))
        late = max(opened + 11 - times[0], 0)
        times = (times[0] + late, times[1] + late, times[2] + late, times[3] + late)
    for hand, pose in ((side, CROSSED[0]), (1 - side, CROSSED[1])):
        at = act.near((pose.at[0], pose.at[1] + high, pose.at[2]), 0.012)
        rub = act.uniform(0.005, 0.02) if act.chance(0.2) else 0.0
        visit(
            act,
            hand,
            replace(pose, at=at, swing=(0.0, rub, 0.0), hertz=1.5),
            (times[0] + act.uniform(0, 4), *times[1:]),
            0.35,
        )


def withdraw_arms(act: Act) -> None:
    """Hands move from the table back to the body or the lap; before the gesture they move forward."""
    times = times_of(act)
    for side in (LEFT, RIGHT) if act.chance(0.6) else (act.side(),):
        at = (act.uniform(0.03, 0.22), 0.35, act.uniform(-0.44, -0.34))
        forward = Pose(SEAT, at, act.near((-0.5, 0.1, -0.8), 0.15), (0.0, 1.0, 0.2), contact="palm")
        there = act.script.move(side, max(times[0] - 16, act.script.busy), 10, forward)
        back = replace(
            forward, at=(act.uniform(0.04, 0.24), act.uniform(0.38, 0.5), act.uniform(-0.2, -0.08))
        )
        there = act.script.move(side, max(times[0], there + 1), act.travel() * 1.3, back)
        if act.chance(0.6):
            act.script.home(side, max(act.end + act.uniform(0, 10), there + 4), 2 * act.travel())
    if act.chance(0.5):
        act.script.bump("pitch", -act.size(0.02, 0.08), times[0], act.end + 60, act.travel() * 1.4, 50)


BEAT_SHAPES = (
    ("open", "relaxed"),
    ("relaxed", "flat"),
    ("point", "relaxed"),
    ("pinch", "open"),
    ("fist", "relaxed"),
    ("flat", "open"),
)


def illustrative(act: Act) -> None:
    """Beats during speech: one hand or both anywhere in front of the body, with nods of the head; the class
    that varies most."""
    act.script.speeches.append((act.start - 5, act.end + 5))
    if act.chance(0.12):
        _head_talk(act)
        return
    hands, mirrored = (LEFT, RIGHT) if act.chance(0.5) else (act.side(),), act.chance(0.6)
    beats = _beats(act)
    stop = act.end - act.travel() * act.uniform(-0.6, 0.8)
    for hand in hands:
        here = act.script.move(
            hand, max(act.start + act.uniform(-4, 4), act.script.busy), act.travel(), beats[0]
        )
        for beat in beats[1:]:
            if here > stop - 4:
                break
            pose = beat if mirrored or hand == LEFT else replace(beat, at=act.near(beat.at, 0.05))
            here = act.script.move(
                hand, here + max(0.0, act.rng.normal(2, 4)), act.uniform(5, 11) / act.style.pace, pose
            )
        if not act.chance(0.25):
            act.script.home(hand, max(stop, here + 1), act.travel() * 1.2)
    act.script.wave("nod", act.size(0.0, 0.08), act.start, act.end, act.uniform(0.8, 2.2))
    act.script.bump("turn", act.uniform(-0.2, 0.2), act.start, act.end + 10, 10, 14)


def _beats(act: Act) -> list[Pose]:
    """Random poses around one place, enough for the whole act."""
    center = (act.uniform(-0.04, 0.28), act.uniform(-0.05, 0.36), act.uniform(-0.42, -0.18))
    if act.chance(0.08):
        center = (
            act.uniform(0.0, 0.12),
            act.uniform(-0.3, 0.0),
            act.uniform(-0.25, -0.12),
        )  # near the face or the head
    spread, shapes = act.size(0.02, 0.09), act.one(BEAT_SHAPES)
    palm, aim = act.near((-0.4, 0.2, 0.3), 0.5), act.near((-0.3, -0.3, -0.7), 0.3)
    beats = []
    for _ in range(2 + int(act.length / 5)):
        pose = Pose(
            TORSO,
            act.near(center, spread),
            act.near(aim, 0.15),
            act.near(palm, 0.15),
            shape=act.one(shapes),
            contact="palm",
        )
        beats.append(replace(pose, swing=(0.0, act.uniform(0, 0.02), 0.0), hertz=act.uniform(1.0, 3.0)))
    return beats


def _head_talk(act: Act) -> None:
    """Speech with movements of the head and the brows, and in some cases a lifted hand."""
    act.script.wave("nod", act.size(0.06, 0.18), act.start, act.end, act.uniform(0.7, 1.8))
    act.script.wave(
        act.one(("turn", "tilt")), act.size(0.05, 0.25), act.start, act.end, act.uniform(0.4, 1.2)
    )
    act.script.bump("brow", act.uniform(0.2, 1.0), act.start, act.end, 6, 8)
    if act.chance(0.6):
        for channel in ("left_up", "right_up"):
            act.script.bump(channel, act.size(0.0, 0.03), act.start, act.end, 7, 9)
    if act.chance(0.5):
        side = act.side()
        lifted = replace(act.script.rest[side], at=act.near(act.script.rest[side].at, 0.04), shape="open")
        visit(act, side, lifted, times_of(act))


PROGRAMMES = {
    "turtle neck": turtle_neck, "deep breath": deep_breath, "fold arm": fold_arm, "move torso": move_torso, "sit straight": sit_straight,
    "rub hand": rub_hand, "cross finger": cross_finger, "minaret hand": minaret_hand, "play things": play_things,
    "withdraw arms": withdraw_arms, "head up": head_up, "bite lip": bite_lip, "shake shoulder": shake_shoulder,
    "illustrative": illustrative,
}  # fmt: skip

USUAL_FRAMES = 40
CLASS_FRAMES = {
    "shake shoulder": 29, "head up": 32, "bite lip": 35, "deep breath": 48, "fold arm": 66, "cross finger": 62, "rub hand": 52,
    "play things": 64, "minaret hand": 58, "arm akimbo": 64, "move torso": 37, "illustrative": 44, "put arm back": 54, "withdraw arms": 30,
}  # fmt: skip
"""Median clip lengths in frames, of classes whose median is not ``USUAL_FRAMES``."""


def clip_length(label: int, rng: np.random.Generator) -> int:
    """Length of a clip in frames, 2 to 400: log-normal around the median of its class; 3 % of clips have only
    2 to 12 frames."""
    if rng.random() < 0.03:
        return int(rng.integers(2, 13))
    return int(
        np.clip(CLASS_FRAMES.get(labels.CLASSES[label], USUAL_FRAMES) * np.exp(rng.normal(0, 0.65)), 4, 400)
    )


def perform(act: Act, label: int) -> None:
    """Write the gesture of class ``label`` into the act's script."""
    name = labels.CLASSES[label]
    if name in TOUCHES:
        touch(act, TOUCHES[name])
    else:
        PROGRAMMES[name](act)
