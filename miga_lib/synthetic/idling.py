"""Movements of a subject that have no label: resting, fidgeting, swaying, breathing, glancing, blinking and
speaking."""

from dataclasses import replace

import numpy as np

from .body import CHANNEL, HEAD, LEFT, RIGHT, SEAT, TORSO, Pose
from .detector import drift
from .gestures import CROSSED
from .script import FPS, Script
from .subjects import Subject
from .touches import TOUCHES

RESTS = {
    "lap": Pose(SEAT, (0.08, 0.49, -0.22), (-0.5, 0.2, -0.8), (0.0, 1.0, 0.0), contact="palm"),
    "clasped in lap": Pose(
        SEAT, (0.01, 0.46, -0.24), (-0.7, 0.0, -0.6), (-0.5, 0.6, 0.3), shape="laced", contact="palm"
    ),
    "table": Pose(SEAT, (0.14, 0.355, -0.34), (-0.6, 0.0, -0.8), (0.0, 1.0, 0.1), contact="palm"),
    "clasped on table": Pose(
        SEAT, (0.01, 0.34, -0.34), (-0.7, -0.2, -0.6), (-0.6, 0.4, 0.4), shape="laced", contact="palm"
    ),
    "armrest": Pose(SEAT, (0.28, 0.36, -0.16), (-0.1, 0.1, -1.0), (-0.2, 1.0, 0.0), contact="palm"),
    "crossed": CROSSED[0],
    "chin": Pose(HEAD, (0.03, 0.115, -0.07), (-0.4, -0.8, 0.1), (-0.3, 0.0, 0.9), shape="fist"),
    "raised": Pose(TORSO, (0.10, 0.22, -0.26), (-0.5, -0.5, -0.6), (-0.3, 0.3, 0.6), contact="palm"),
}
SWAYS = {
    "sway": 0.010, "rise": 0.003, "lean": 0.010, "yaw": 0.045, "pitch": 0.022, "roll": 0.022, "left_forward": 0.008, "right_forward": 0.008,
    "left_up": 0.004, "right_up": 0.004, "tilt": 0.05, "turn": 0.05, "nod": 0.05, "thrust": 0.005,
}  # fmt: skip
"""Standard deviation of each channel at rest, in metres and radians."""


def rest(rng: np.random.Generator, who: Subject) -> list[Pose]:
    """The rest poses of both hands, the same pose or two different ones."""
    names = list(RESTS)
    name, other = names[rng.choice(len(names), p=who.resting)], names[rng.choice(len(names), p=who.resting)]
    if rng.random() < 0.7:
        other = name
    pair = [RESTS[name], RESTS[other]]
    if "crossed" in (name, other):
        pair = list(CROSSED)
    elif name == other == "chin":
        pair[1] = RESTS["table"]
    if rng.random() < 0.5:
        pair.reverse()
    shift = rng.normal(0, 0.02, 3)
    return [_moved(pose, shift + rng.normal(0, 0.015, 3)) for pose in pair]


def _moved(pose: Pose, shift: np.ndarray) -> Pose:
    shift = shift * (0.3 if pose.frame == HEAD else 1.0)
    return replace(pose, at=tuple((np.array(pose.at) + shift).tolist()))


def pause(rng: np.random.Generator, script: Script, who: Subject, end: int, start: int) -> None:
    """Between two gestures: hands may move back to their rest pose, change their rest pose, or fidget."""
    if rng.random() < 0.15:
        script.rest = rest(rng, who)
        for side in (LEFT, RIGHT):
            script.home(side, end + rng.uniform(0, 6), rng.uniform(12, 22))
    for side in (LEFT, RIGHT):
        if script.moves[side][-1].pose != script.rest[side] and rng.random() < 0.5:
            script.home(side, end + rng.uniform(0, 8), rng.uniform(10, 20))
        if start - end > 24 and rng.random() < 0.2:
            here = script.move(
                side,
                end + rng.uniform(4, 10),
                rng.uniform(6, 10),
                _moved(script.rest[side], rng.normal(0, 0.04, 3)),
            )
            script.home(side, here + 2, 9)


def second(rng: np.random.Generator, script: Script, who: Subject, start: int, end: int) -> None:
    """In some gestures a second movement at the same time."""
    length = end - start
    if rng.random() > 0.22 or length < 12:
        return
    begin, stop = start + rng.uniform(-0.2, 0.4) * length, end + rng.uniform(-0.3, 0.4) * length
    kind = rng.choice(6, p=who.nervous)
    if kind == 0:
        script.wave("nod", rng.uniform(0.03, 0.1), begin, stop, rng.uniform(0.8, 2))
    elif kind == 1:
        script.bump(
            str(rng.choice(("roll", "yaw", "pitch"))),
            rng.uniform(-0.07, 0.07),
            begin,
            stop,
            0.4 * length,
            0.4 * length,
        )
    elif kind == 2:
        for channel in ("left_up", "right_up"):
            script.bump(channel, rng.uniform(0.0, 0.022), begin, stop, 7, 8)
    elif kind == 3:
        script.bump(
            str(rng.choice(("tuck_lower", "tuck_upper"))),
            rng.uniform(0.3, 0.9),
            begin,
            begin + rng.uniform(10, 25),
            5,
            5,
        )
    elif kind == 4:
        script.bump("nod", -rng.uniform(0.1, 0.3), begin, stop, 0.3 * length, 0.3 * length)
    else:
        _fidget(rng, script, begin, stop)


def _fidget(rng: np.random.Generator, script: Script, begin: float, stop: float) -> None:
    """Shift a hand that does not move, or move it to the face for a moment."""
    for side in (LEFT, RIGHT):
        if script.moves[side][-1].arrive < begin:
            pose = _moved(script.rest[side], rng.normal(0, 0.06, 3))
            if rng.random() < 0.25:
                place = TOUCHES[
                    str(rng.choice([name for name, what in TOUCHES.items() if what.frame == HEAD]))
                ]
                pose = Pose(place.frame, place.places[0])
            here = script.move(side, begin, 11, pose)
            script.home(side, max(here + 4, stop - 10), 11)
            return


def idle(rng: np.random.Generator, script: Script, who: Subject) -> None:
    """Add posture, sway, breathing, gaze and blinks to all frames."""
    length = len(script.channels)
    columns, amounts = [CHANNEL[name] for name in SWAYS], np.array(list(SWAYS.values()))
    for period, share in ((140, 0.85), (25, 0.25)):
        script.channels[:, columns] += share * amounts * drift(rng, length, len(columns), period)
    c = {name: script.channels[:, i] for name, i in CHANNEL.items()}
    slump = who.slump + rng.normal(0, 0.02)
    c["pitch"] += slump
    c["nod"] += rng.normal(0.02, 0.05) - 0.8 * slump
    c["yaw"] += rng.normal(0, 0.1)
    breath = np.sin(
        2 * np.pi * np.cumsum(rng.uniform(0.2, 0.32) * (1 + 0.15 * drift(rng, length, 1, 100)[:, 0])) / FPS
    )
    for name, amount in (("left_up", 0.0018), ("right_up", 0.0018), ("pitch", -0.003)):
        c[name] += amount * breath
    for name, spread in (("turn", 0.22), ("nod", 0.06)):
        c[name] += _glances(rng, length, rng.normal(0, 0.5 * spread), spread)
    c["blink"] += np.convolve(rng.random(length) < 0.012, np.array((0.5, 1.0, 1.0, 0.8, 0.3)))[:length].clip(
        max=1
    )
    c["smile"] += np.maximum(drift(rng, length, 1, 60)[:, 0] - 0.6, 0)
    c["brow"] += np.maximum(drift(rng, length, 1, 35)[:, 0] - 0.4, 0) * 0.6
    c["frown"] += np.maximum(drift(rng, length, 1, 80)[:, 0] - 0.2, 0) * 0.6


def _glances(rng: np.random.Generator, length: int, middle: float, spread: float) -> np.ndarray:
    """The direction of the head in radians: it stays for one to six seconds, then turns within half a
    second."""
    stays = rng.uniform(25, 150, size=length // 25 + 2)
    step = np.searchsorted(np.cumsum(stays), np.arange(length))
    looks = rng.normal(middle, spread, size=len(stays) + 1)[step]
    window = np.hanning(15)[1:-1]
    return np.convolve(np.pad(looks, 6, mode="edge"), window / window.sum(), mode="valid")


def speak(rng: np.random.Generator, script: Script, who: Subject) -> None:
    """Add speech: the mouth moves with three to six syllables a second, in phrases, and the head nods. There
    is none in silences."""
    length = len(script.channels)
    talking = np.repeat(rng.random(length // 40 + 2) < who.style.talk, 40)[rng.integers(40) :][
        :length
    ].astype(float)
    for start, end in script.speeches:
        talking[max(int(start), 0) : max(int(end), 0)] = 1
    for start, end in script.silences:
        talking[max(int(start), 0) : max(int(end), 0)] = 0
    window = np.hanning(9)[1:-1]
    talking = np.convolve(talking, window / window.sum(), mode="same")
    syllables, slow = drift(rng, length, 4, 3.5), drift(rng, length, 4, 11)
    c = {name: script.channels[:, i] for name, i in CHANNEL.items()}
    c["jaw"] += talking * np.clip(0.28 + 0.30 * syllables[:, 0] + 0.12 * slow[:, 0], 0, 1.1)
    c["wide"] += talking * (0.35 * syllables[:, 1] + 0.25 * slow[:, 1])
    c["pucker"] += talking * np.maximum(0.4 * syllables[:, 2], 0)
    c["tuck_lower"] += talking * np.maximum(0.45 * syllables[:, 3] - 0.2, 0)
    c["nod"] += talking * (0.018 * slow[:, 2] + 0.006 * syllables[:, 3])
    c["brow"] += talking * np.maximum(0.4 * slow[:, 3], 0)
