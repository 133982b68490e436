"""Movements that have no label: resting, fidgeting, swaying, breathing, glancing, blinking and speaking."""

from dataclasses import replace

import numpy as np

from .actor import Actor, Subject
from .body import CHANNEL, FPS, HEAD, LEFT, RIGHT, SEAT, TORSO, Pose, by_name
from .detector import drift
from .gestures import CROSSED
from .touches import TOUCHES

RESTS = {
    "lap": Pose(SEAT, (0.08, 0.49, -0.22), (-0.5, 0.2, -0.8), (0.0, 1.0, 0.0), on_palm=True),
    "clasped in lap": Pose(
        SEAT, (0.01, 0.46, -0.24), (-0.7, 0.0, -0.6), (-0.5, 0.6, 0.3), shape="laced", on_palm=True),
    "table": Pose(SEAT, (0.14, 0.355, -0.34), (-0.6, 0.0, -0.8), (0.0, 1.0, 0.1), on_palm=True),
    "clasped on table": Pose(
        SEAT, (0.01, 0.34, -0.34), (-0.7, -0.2, -0.6), (-0.6, 0.4, 0.4), shape="laced", on_palm=True),
    "armrest": Pose(SEAT, (0.28, 0.36, -0.16), (-0.1, 0.1, -1.0), (-0.2, 1.0, 0.0), on_palm=True),
    "crossed": CROSSED[0],
    "chin": Pose(HEAD, (0.03, 0.115, -0.07), (-0.4, -0.8, 0.1), (-0.3, 0.0, 0.9), shape="fist"),
    "raised": Pose(TORSO, (0.10, 0.22, -0.26), (-0.5, -0.5, -0.6), (-0.3, 0.3, 0.6), on_palm=True),
}  # fmt: skip
REST_SHARES = np.array((0.22, 0.10, 0.24, 0.18, 0.10, 0.05, 0.04, 0.07))
"""Mean probability of each of ``RESTS``."""
SWAYS = {
    "sway": 0.010, "rise": 0.003, "lean": 0.010, "yaw": 0.045, "pitch": 0.022, "roll": 0.022,
    "left_forward": 0.008, "right_forward": 0.008, "left_up": 0.004, "right_up": 0.004, "tilt": 0.05,
    "turn": 0.05, "nod": 0.05, "thrust": 0.005,
}  # fmt: skip
"""Standard deviation of each channel at rest, in metres and radians."""
FACE_PLACES = tuple(touch.places[0] for touch in TOUCHES.values() if touch.frame == HEAD)


def rest(rng: np.random.Generator, subject: Subject) -> list[Pose]:
    """The rest poses of both hands, the same pose or two different ones."""
    names = list(RESTS)
    first, second = (names[rng.choice(len(names), p=subject.resting)] for _ in range(2))
    if rng.random() < 0.7:
        second = first
    pair = [RESTS[first], RESTS[second]]
    if "crossed" in (first, second):
        pair = list(CROSSED)
    elif first == second == "chin":
        pair[1] = RESTS["table"]
    if rng.random() < 0.5:
        pair.reverse()
    shift = rng.normal(0, 0.02, 3)
    return [_moved(pose, shift + rng.normal(0, 0.015, 3)) for pose in pair]


def _moved(pose: Pose, shift: np.ndarray) -> Pose:
    if pose.frame == HEAD:
        shift = 0.3 * shift
    return replace(pose, at=tuple((np.array(pose.at) + shift).tolist()))


def pause(actor: Actor) -> None:
    """Between two gestures: hands may move back to their rest pose, change their rest pose, or fidget."""
    rng, end = actor.rng, actor.busy
    if actor.chance(0.15):
        actor.rest = rest(rng, actor.subject)
        for side in (LEFT, RIGHT):
            actor.home(side, end + actor.uniform(0, 6), actor.uniform(12, 22))
    for side in (LEFT, RIGHT):
        if actor.moves[side][-1].pose != actor.rest[side] and actor.chance(0.5):
            actor.home(side, end + actor.uniform(0, 8), actor.uniform(10, 20))
        if actor.start - end > 24 and actor.chance(0.2):
            start, duration = end + actor.uniform(4, 10), actor.uniform(6, 10)
            here = actor.move(side, start, duration, _moved(actor.rest[side], rng.normal(0, 0.04, 3)))
            actor.home(side, here + 2, 9)


def second(actor: Actor) -> None:
    """In some gestures a second movement at the same time."""
    length = actor.end - actor.start
    if actor.rng.random() > 0.22 or length < 12:
        return
    start, end = (
        actor.start + actor.uniform(-0.2, 0.4) * length,
        actor.end + actor.uniform(-0.3, 0.4) * length,
    )
    kind = actor.rng.choice(6, p=actor.subject.nervous)
    if kind == 0:
        nod = actor.uniform(0.03, 0.1)
        actor.wave(start, end, actor.uniform(0.8, 2), nod=nod)
    elif kind == 1:
        turn = {actor.choice(("roll", "yaw", "pitch")): actor.uniform(-0.07, 0.07)}
        actor.bump(start, end, 0.4 * length, 0.4 * length, **turn)
    elif kind == 2:
        left, right = actor.uniform(0.0, 0.022), actor.uniform(0.0, 0.022)
        actor.bump(start, end, 7, 8, left_up=left, right_up=right)
    elif kind == 3:
        tuck = {actor.choice(("tuck_lower", "tuck_upper")): actor.uniform(0.3, 0.9)}
        actor.bump(start, start + actor.uniform(10, 25), 5, 5, **tuck)
    elif kind == 4:
        actor.bump(start, end, 0.3 * length, 0.3 * length, nod=-actor.uniform(0.1, 0.3))
    else:
        _fidget(actor, start, end)


def _fidget(actor: Actor, start: float, end: float) -> None:
    """Shift a hand that does not move, or move it to the face for a moment."""
    for side in (LEFT, RIGHT):
        if actor.moves[side][-1].arrive < start:
            pose = _moved(actor.rest[side], actor.rng.normal(0, 0.06, 3))
            if actor.chance(0.25):
                pose = Pose(HEAD, actor.choice(FACE_PLACES))
            here = actor.move(side, start, 11, pose)
            actor.home(side, max(here + 4, end - 10), 11)
            return


def idle(actor: Actor) -> None:
    """Add posture, sway, breathing, gaze and blinks to all frames."""
    rng, length, c = actor.rng, len(actor.channels), by_name(actor.channels)
    columns, deviations = [CHANNEL[name] for name in SWAYS], np.array(list(SWAYS.values()))
    for period, share in ((140, 0.85), (25, 0.25)):
        actor.channels[:, columns] += share * deviations * drift(rng, length, len(columns), period)
    slump = actor.subject.slump + rng.normal(0, 0.02)
    c["pitch"] += slump
    c["nod"] += rng.normal(0.02, 0.05) - 0.8 * slump
    c["yaw"] += rng.normal(0, 0.1)
    hertz = rng.uniform(0.2, 0.32) * (1 + 0.15 * drift(rng, length, 1, 100)[:, 0])
    breath = np.sin(2 * np.pi * np.cumsum(hertz) / FPS)
    for name, amount in (("left_up", 0.0018), ("right_up", 0.0018), ("pitch", -0.003)):
        c[name] += amount * breath
    for name, spread in (("turn", 0.22), ("nod", 0.06)):
        c[name] += _glances(rng, length, rng.normal(0, 0.5 * spread), spread)
    blinks = np.convolve(rng.random(length) < 0.012, np.array((0.5, 1.0, 1.0, 0.8, 0.3)))
    c["blink"] += blinks[:length].clip(max=1)
    c["smile"] += np.maximum(drift(rng, length, 1, 60)[:, 0] - 0.6, 0)
    c["brow"] += np.maximum(drift(rng, length, 1, 35)[:, 0] - 0.4, 0) * 0.6
    c["frown"] += np.maximum(drift(rng, length, 1, 80)[:, 0] - 0.2, 0) * 0.6


def _glances(rng: np.random.Generator, length: int, middle: float, spread: float) -> np.ndarray:
    """The direction of the head, in radians, which stays for one to six seconds and turns in half a one."""
    stays = rng.uniform(25, 150, size=length // 25 + 2)
    step = np.searchsorted(np.cumsum(stays), np.arange(length))
    looks = rng.normal(middle, spread, size=len(stays) + 1)[step]
    window = np.hanning(15)[1:-1]
    return np.convolve(np.pad(looks, 6, mode="edge"), window / window.sum(), mode="valid")


def speak(actor: Actor) -> None:
    """Add speech in phrases: the mouth moves with three to six syllables a second, and the head nods."""
    rng, length, c = actor.rng, len(actor.channels), by_name(actor.channels)
    phrases = np.repeat(rng.random(length // 40 + 2) < actor.subject.talk, 40)
    talking = phrases[rng.integers(40) :][:length].astype(float)
    for spans, value in ((actor.speeches, 1), (actor.silences, 0)):
        for start, end in spans:
            talking[max(int(start), 0) : max(int(end), 0)] = value
    window = np.hanning(9)[1:-1]
    talking = np.convolve(talking, window / window.sum(), mode="same")
    syllables, slow = drift(rng, length, 4, 3.5), drift(rng, length, 4, 11)
    c["jaw"] += talking * np.clip(0.28 + 0.30 * syllables[:, 0] + 0.12 * slow[:, 0], 0, 1.1)
    c["wide"] += talking * (0.35 * syllables[:, 1] + 0.25 * slow[:, 1])
    c["pucker"] += talking * np.maximum(0.4 * syllables[:, 2], 0)
    c["tuck_lower"] += talking * np.maximum(0.45 * syllables[:, 3] - 0.2, 0)
    c["nod"] += talking * (0.018 * slow[:, 2] + 0.006 * syllables[:, 3])
    c["brow"] += talking * np.maximum(0.4 * slow[:, 3], 0)
