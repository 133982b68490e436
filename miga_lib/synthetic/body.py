"""Kinematics of a seated upper body: what each part does over time becomes 137 points in space, and then on the image.

Space is in metres with its origin at the neck of the upright subject: x to the subject's left (the image's right, the subject facing
the camera), y down, z away from the camera. Everything is computed for all T frames at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float

from . import shapes

CHANNELS = (
    "sway rise lean yaw pitch roll left_up right_up left_forward right_forward turn nod tilt thrust stretch "
    "jaw wide tuck_lower tuck_upper pucker smile brow frown blink skew"
).split()
"""What the trunk, head and face do, a column each. Metres and radians; expressions in units of ``shapes.EXPRESSIONS``.

Positive: sway to the subject's left, rise down (as y), lean and thrust backwards (as z), yaw and turn to the subject's right, pitch
and nod forwards and down, roll and tilt to the subject's right ear's side being raised, up and forward as said, stretch down (as y).
"""
CHANNEL = {name: c for c, name in enumerate(CHANNELS)}
FIRST_EXPRESSION = CHANNEL["jaw"]
SEAT, TORSO, HEAD, FOREARM, OTHER_HAND = range(5)
"""Frames in which a place is given: the seat does not move; forearm and hand are those of the other arm."""
LEFT, RIGHT = 0, 1
SIDE = (1.0, -1.0)
CONTACTS = {"tips": 0.0, "palm": 1.0}
HIP = 0.50
HEAD_PIVOT = np.array((0.0, 0.09, 0.02))


@dataclass(frozen=True, eq=False)
class Build:
    """The proportions of a subject: lengths in metres, ``head`` and ``hand`` as factors, ``face`` (70, 3) in the head frame."""

    shoulder: float
    slope: float
    upper_arm: float
    forearm: float
    neck: float
    head: float
    hand: float
    face: np.ndarray


@dataclass(frozen=True)
class Pose:
    """Where a hand goes and what it does there, written for the left hand; ``mirrored`` gives the right hand's.

    ``at`` is where the fingertips (or the palm) are, in metres of ``frame``; ``swing`` is the amplitude of an oscillation about it.
    ``aim`` is where the fingers point, ``palm`` where the palm looks, ``pole`` where the elbow is, as directions of the trunk.
    ``wiggle`` (0…1) is how far the fingers go from ``shape`` towards ``other`` and back with the same frequency.
    """

    frame: int
    at: tuple[float, float, float]
    aim: tuple[float, float, float] = (-0.3, -0.6, 0.3)
    palm: tuple[float, float, float] = (0.0, 0.0, 1.0)
    pole: tuple[float, float, float] = (0.35, 0.8, 0.5)
    shape: str = "relaxed"
    other: str = "fist"
    contact: str = "tips"
    swing: tuple[float, float, float] = (0.0, 0.0, 0.0)
    hertz: float = 0.0
    wiggle: float = 0.0


@dataclass(frozen=True)
class Move:
    """A hand leaves for ``pose`` at frame ``start`` and reaches it at frame ``arrive``; it stays until its next move."""

    start: float
    arrive: float
    pose: Pose


@dataclass(frozen=True, eq=False)
class Arm:
    """An arm over time: joints (T, 3), the 21 joints of the hand (T, 21, 3), the direction of its fingers (T, 3)."""

    shoulder: np.ndarray
    elbow: np.ndarray
    wrist: np.ndarray
    hand: np.ndarray
    aim: np.ndarray


def minimum_jerk(s: np.ndarray) -> np.ndarray:
    """The smoothest rise from 0 at s = 0 to 1 at s = 1 (Flash and Hogan 1985): 10 s³ − 15 s⁴ + 6 s⁵, constant outside."""
    s = np.clip(s, 0, 1)
    return s**3 * (10 - 15 * s + 6 * s**2)


def rotation(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> Float[np.ndarray, "T 3 3"]:
    """Rotation by roll about z, then pitch about x, then yaw about y, for angles (T,) in radians."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(angle), np.sin(angle)) for angle in (yaw, pitch, roll))
    rows = [
        [cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, sy * cp],
        [cp * sr, cp * cr, -sp],
        [-sy * cr + cy * sp * sr, sy * sr + cy * sp * cr, cy * cp],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def unit(v: np.ndarray) -> np.ndarray:
    """The direction of each vector in the last axis."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-6)


def turn(frames: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Each vector (…, 3) turned by its matrix (…, 3, 3)."""
    return (frames @ v[..., None])[..., 0]


def points(build: Build, channels: Float[np.ndarray, "T C"], moves: Sequence[Sequence[Move]]) -> Float[np.ndarray, "T 137 3"]:
    """The 137 keypoints in space.

    Args:
        channels: the columns of CHANNELS.
        moves: of the left and of the right hand, in time order and not overlapping, the first one before frame 0.
    """
    c = channels.T
    length = len(channels)
    trunk = rotation(*(c[CHANNEL[name]] for name in ("yaw", "pitch", "roll")))
    hip = c[:3].T + np.array((0, HIP, 0))
    neck = hip + turn(trunk, np.broadcast_to((0.0, -HIP, 0.0), (length, 3)))
    skull = trunk @ rotation(*(c[CHANNEL[name]] for name in ("turn", "nod", "tilt")))
    shift = np.stack([np.zeros(length), c[CHANNEL["stretch"]] - build.neck, c[CHANNEL["thrust"]] - 0.01], -1)
    eyes = neck + turn(trunk, shift) - turn(skull, np.broadcast_to(HEAD_PIVOT * build.head, (length, 3)))
    shoulders = []
    for side, up, forward in ((LEFT, "left_up", "left_forward"), (RIGHT, "right_up", "right_forward")):
        local = np.stack([np.full(length, SIDE[side] * build.shoulder), build.slope - c[CHANNEL[up]], -c[CHANNEL[forward]]], -1)
        shoulders.append(neck + turn(trunk, local))
    arms = _arms(build, trunk, neck, skull, eyes, shoulders, moves)
    return _assemble(build, channels, hip, neck, trunk, skull, eyes, arms)


def _arms(build, trunk, neck, skull, eyes, shoulders, moves) -> list[Arm]:
    """Both arms, twice: what one hand does on the other arm is only known once that arm is."""
    length = len(neck)
    still = np.broadcast_to(np.eye(3), (length, 3, 3))
    frames = np.stack([still, trunk, skull, trunk, trunk])
    front = neck + turn(trunk, np.broadcast_to((0.0, 0.3, -0.25), (length, 3)))
    origins = np.stack([np.zeros((length, 3)), neck, eyes, front, front])
    first = [_arm(build, side, frames, origins, trunk, shoulders[side], moves[side]) for side in (LEFT, RIGHT)]
    arms = []
    for side, other in ((LEFT, first[RIGHT]), (RIGHT, first[LEFT])):
        along = unit(other.wrist - other.elbow)
        # The outside of the other forearm looks at the camera and up: x runs along it, z into it.
        into = unit(_across(np.broadcast_to((0.0, 0.4, 1.0), along.shape), along))
        frames[FOREARM] = np.stack([along, np.cross(into, along), into], -1)
        origins[FOREARM] = other.elbow
        frames[OTHER_HAND] = trunk
        origins[OTHER_HAND] = other.wrist + 0.09 * build.hand * other.aim
        arms.append(_arm(build, side, frames, origins, trunk, shoulders[side], moves[side]))
    return arms


def _arm(build, side, frames, origins, trunk, shoulder, moves) -> Arm:
    """Two-link inverse kinematics from where the hand is to touch to where the elbow is."""
    target, aim, palm, pole, joints, contact = _follow(side, frames, origins, trunk, moves)
    x = unit(aim)
    z = unit(_across(palm, x))
    axes = np.stack([x, SIDE[side] * np.cross(z, x), z], -1)
    joints = joints * build.hand
    wrist = target - turn(axes, contact * build.hand)
    reach = wrist - shoulder
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    shortest, longest = abs(build.upper_arm - build.forearm) + 0.03, 0.985 * (build.upper_arm + build.forearm)
    within = np.clip(distance, shortest, longest)
    along = reach / np.maximum(distance, 1e-6)
    wrist = shoulder + within * along
    foot = (build.upper_arm**2 - build.forearm**2 + within**2) / (2 * within)
    height = np.sqrt(np.maximum(build.upper_arm**2 - foot**2, 0))
    elbow = shoulder + foot * along + height * unit(_across(pole, along))
    return Arm(shoulder, elbow, wrist, wrist[:, None] + joints @ axes.swapaxes(1, 2), x)


def _across(v: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The part of v at right angles to the unit vector ``axis``."""
    return v - (v * axis).sum(-1, keepdims=True) * axis


def _follow(side: int, frames, origins, trunk, moves: Sequence[Move]):
    """What the hand is to touch, its directions, joints and point of contact at each frame, moving from pose to pose."""
    t = np.arange(len(trunk))
    starts, arrives = (np.array([getattr(move, name) for move in moves]) for name in ("start", "arrive"))
    now = np.clip(np.searchsorted(starts, t, side="right") - 1, 0, None)
    before = np.maximum(now - 1, 0)
    s = minimum_jerk((t - starts[now]) / np.maximum(arrives[now] - starts[now], 1e-3))[:, None]
    table = {f.name: [getattr(move.pose, f.name) for move in moves] for f in fields(Pose)}
    sign = np.array((SIDE[side], 1.0, 1.0))
    at, swing, aim, palm, pole = (np.array(table[name], dtype=float) for name in ("at", "swing", "aim", "palm", "pole"))
    frame, hertz, wiggle = np.array(table["frame"]), np.array(table["hertz"]), np.array(table["wiggle"])
    # Along the other forearm, x is a distance from its elbow and so knows no side.
    at, swing = (np.where((frame == FOREARM)[:, None], v, v * sign) for v in (at, swing))
    shape, other = (np.array([shapes.SHAPE_INDEX[name] for name in table[field]]) for field in ("shape", "other"))
    contact = np.array([CONTACTS[name] for name in table["contact"]])[:, None]
    touching = contact * (0.075, 0.0, 0.012) + (1 - contact) * shapes.HANDS[shape][:, [8, 12]].mean(1)

    def state(k: np.ndarray) -> list[np.ndarray]:
        wave = np.sin(2 * np.pi * hertz[k] * (t - arrives[k]) / 25)[:, None]
        place = origins[frame[k], t] + turn(frames[frame[k], t], at[k] + wave * swing[k])
        bent = (0.5 - 0.5 * np.cos(2 * np.pi * hertz[k] * (t - arrives[k]) / 25)) * wiggle[k]
        joints = shapes.HANDS[shape[k]] + bent[:, None, None] * (shapes.HANDS[other[k]] - shapes.HANDS[shape[k]])
        return [place, aim[k], palm[k], pole[k], joints, touching[k]]

    blended = [a + (s if a.ndim == 2 else s[..., None]) * (b - a) for a, b in zip(state(before), state(now), strict=True)]
    target, aim, palm, pole, joints, touch = blended
    # A hand on its way swings out towards the camera, the more the further it goes.
    away = np.linalg.norm(at[now] - at[before], axis=-1, keepdims=True)
    target = target + 4 * s * (1 - s) * np.minimum(away, 0.4) * np.array((0.0, 0.0, -0.2))
    return target, *(turn(trunk, v * sign) for v in (aim, palm, pole)), joints, touch


def _assemble(build, channels, hip, neck, trunk, skull, eyes, arms) -> Float[np.ndarray, "T 137 3"]:
    length = len(channels)
    out = np.empty((length, 137, 3))
    face = build.face + (channels[:, FIRST_EXPRESSION:] @ shapes.EXPRESSION_BASIS.reshape(-1, 210)).reshape(length, 70, 3)
    ears = np.array([shapes.EAR, shapes.EAR]) * ((-1, 1, 1), (1, 1, 1))
    head = np.concatenate([face, np.broadcast_to(ears, (length, 2, 3))], 1) * build.head
    head = eyes[:, None] + head @ skull.swapaxes(1, 2)
    out[:, 25:95] = head[:, :70]
    out[:, 0], out[:, 1], out[:, 8] = head[:, 30], neck, hip
    out[:, 15], out[:, 16], out[:, 17:19] = head[:, 68], head[:, 69], head[:, 70:]
    for arm, first in ((arms[RIGHT], 2), (arms[LEFT], 5)):
        out[:, first], out[:, first + 1], out[:, first + 2] = arm.shoulder, arm.elbow, arm.wrist
    out[:, 95:116], out[:, 116:137] = arms[LEFT].hand, arms[RIGHT].hand
    # Hips, knees, ankles and feet stay where the chair and the floor hold them.
    legs = {9: (-0.09, 0, 0), 12: (0.09, 0, 0), 10: (-0.13, 0.02, -0.42), 13: (0.13, 0.02, -0.42), 11: (-0.13, 0.44, -0.40)}
    legs |= {14: (0.13, 0.44, -0.40), 19: (0.14, 0.5, -0.56), 20: (0.18, 0.5, -0.54), 21: (0.13, 0.48, -0.36)}
    legs |= {22: (-0.14, 0.5, -0.56), 23: (-0.18, 0.5, -0.54), 24: (-0.13, 0.48, -0.36)}
    for v, place in legs.items():
        out[:, v] = hip + place
    return out


@dataclass(frozen=True, eq=False)
class Camera:
    """Where the camera stands and what it does: ``scale`` in pixels per metre at the subject; ``shift`` (T, 2) pixels; ``zoom`` (T,)."""

    yaw: float
    pitch: float
    roll: float
    distance: float
    scale: float
    center: tuple[float, float]
    shift: np.ndarray
    zoom: np.ndarray


def view(camera: Camera, space: Float[np.ndarray, "T V 3"]) -> Float[np.ndarray, "T V 3"]:
    """Points as they lie before the camera: x to the right of its image, y down, z away from it, from the neck of the upright subject."""
    turned = rotation(*(np.array([angle]) for angle in (camera.yaw, camera.pitch, camera.roll)))[0]
    return space @ turned.T


def project(camera: Camera, seen: Float[np.ndarray, "T V 3"]) -> Float[np.ndarray, "T V 2"]:
    """Pixels of points before the camera, in perspective; the origin comes at ``center``."""
    scale = camera.scale * camera.zoom[:, None] * camera.distance / (camera.distance + seen[..., 2])
    return seen[..., :2] * scale[..., None] + camera.center + camera.shift[:, None]
