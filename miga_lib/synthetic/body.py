"""Kinematics of a seated upper body: the movements of its parts give 137 points in space, and those give
points on the image.

Space is in metres with its origin at the neck of the upright subject, who faces the camera: x to the
subject's left (the right of the image), y down, z away from the camera. Everything is computed for all T
frames at once.
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
"""Movements of trunk, head and face: a column each, in metres and radians; expressions in units of
``shapes.EXPRESSIONS``.

Positive directions: sway to the subject's left; rise and stretch down (as y); lean and thrust backwards (as
z); yaw and turn to the subject's right; pitch and nod forwards and down; roll and tilt raise the subject's
right side; ``…_up`` up, ``…_forward`` forwards.
"""
CHANNEL = {name: c for c, name in enumerate(CHANNELS)}
FIRST_EXPRESSION = CHANNEL["jaw"]
SEAT, TORSO, HEAD, FOREARM, OTHER_HAND = range(5)
"""Reference frames of a place. The seat does not move; forearm and hand are those of the other arm."""
LEFT, RIGHT = 0, 1
SIDE = (1.0, -1.0)
"""Sign of x on the left and on the right side."""
CONTACTS = {"tips": 0.0, "palm": 1.0}
"""Position of the point of contact between the fingertips (0) and the palm (1)."""
HIP_BELOW_NECK = 0.50
"""In metres."""
HEAD_PIVOT = np.array((0.0, 0.09, 0.02))
"""The point around which the head turns, in metres in the head frame."""


@dataclass(frozen=True, eq=False)
class Build:
    """The proportions of a subject: lengths in metres, ``head`` and ``hand`` as factors, ``face`` (70, 3) in
    the head frame."""

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
    """Where a hand moves to and what it does there. Written for the left hand; for the right hand, x changes
    its sign.

    ``at`` is the position of the fingertips (or of the palm, see ``contact``), in metres in the reference
    frame ``frame``; ``swing`` is the amplitude of an oscillation about it, ``hertz`` its frequency. ``aim``,
    ``palm`` and ``pole`` are the directions of the fingers, of the palm's normal and of the elbow, in the
    trunk's frame. ``wiggle`` (0…1) is how far the fingers move from ``shape`` towards ``other`` and back with
    the same frequency.
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
    """A hand moves to ``pose`` from frame ``start`` to frame ``arrive`` and stays there until its next
    move."""

    start: float
    arrive: float
    pose: Pose


@dataclass(frozen=True, eq=False)
class Arm:
    """An arm over time: its joints (T, 3), the 21 joints of its hand (T, 21, 3), the direction of its fingers
    (T, 3)."""

    shoulder: np.ndarray
    elbow: np.ndarray
    wrist: np.ndarray
    hand: np.ndarray
    aim: np.ndarray


def minimum_jerk(s: np.ndarray) -> np.ndarray:
    """The rise from 0 at s = 0 to 1 at s = 1 with the least jerk (Flash and Hogan 1985): 10 s³ − 15 s⁴ + 6
    s⁵, constant outside."""
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
    """Each vector (…, 3) rotated by its matrix (…, 3, 3)."""
    return (frames @ v[..., None])[..., 0]


def points(
    build: Build, channels: Float[np.ndarray, "T channels"], moves: Sequence[Sequence[Move]]
) -> Float[np.ndarray, "T 137 3"]:
    """The 137 keypoints in space.

    Args:
        channels: columns as in CHANNELS.
        moves: of the left and of the right hand, in time order and without overlap; the first one is before
            frame 0.
    """
    c = channels.T
    length = len(channels)
    trunk = rotation(*(c[CHANNEL[name]] for name in ("yaw", "pitch", "roll")))
    hip = c[:3].T + np.array((0, HIP_BELOW_NECK, 0))
    neck = hip + turn(trunk, np.broadcast_to((0.0, -HIP_BELOW_NECK, 0.0), (length, 3)))
    skull = trunk @ rotation(*(c[CHANNEL[name]] for name in ("turn", "nod", "tilt")))
    shift = np.stack([np.zeros(length), c[CHANNEL["stretch"]] - build.neck, c[CHANNEL["thrust"]] - 0.01], -1)
    eyes = neck + turn(trunk, shift) - turn(skull, np.broadcast_to(HEAD_PIVOT * build.head, (length, 3)))
    shoulders = []
    for side, up, forward in ((LEFT, "left_up", "left_forward"), (RIGHT, "right_up", "right_forward")):
        local = np.stack(
            [
                np.full(length, SIDE[side] * build.shoulder),
                build.slope - c[CHANNEL[up]],
                -c[CHANNEL[forward]],
            ],
            -1,
        )
        shoulders.append(neck + turn(trunk, local))
    arms = _arms(build, trunk, neck, skull, eyes, shoulders, moves)
    return _assemble(build, channels, hip, neck, skull, eyes, arms)


def _arms(
    build: Build,
    trunk: np.ndarray,
    neck: np.ndarray,
    skull: np.ndarray,
    eyes: np.ndarray,
    shoulders: Sequence[np.ndarray],
    moves: Sequence[Sequence[Move]],
) -> list[Arm]:
    """Both arms, computed twice: a hand that touches the other arm needs the position of that arm."""
    length = len(neck)
    still = np.broadcast_to(np.eye(3), (length, 3, 3))
    frames = np.stack([still, trunk, skull, trunk, trunk])
    front = neck + turn(trunk, np.broadcast_to((0.0, 0.3, -0.25), (length, 3)))
    origins = np.stack([np.zeros((length, 3)), neck, eyes, front, front])
    first = [
        _arm(build, side, frames, origins, trunk, shoulders[side], moves[side]) for side in (LEFT, RIGHT)
    ]
    arms = []
    for side, other in ((LEFT, first[RIGHT]), (RIGHT, first[LEFT])):
        along = unit(other.wrist - other.elbow)
        # The outer side of the other forearm faces the camera and up. In its frame, x is along the forearm
        # and z points into it.
        into = unit(_across(np.broadcast_to((0.0, 0.4, 1.0), along.shape), along))
        frames[FOREARM] = np.stack([along, np.cross(into, along), into], -1)
        origins[FOREARM] = other.elbow
        frames[OTHER_HAND] = trunk
        origins[OTHER_HAND] = other.wrist + 0.09 * build.hand * other.aim
        arms.append(_arm(build, side, frames, origins, trunk, shoulders[side], moves[side]))
    return arms


def _arm(
    build: Build,
    side: int,
    frames: np.ndarray,
    origins: np.ndarray,
    trunk: np.ndarray,
    shoulder: np.ndarray,
    moves: Sequence[Move],
) -> Arm:
    """Two-link inverse kinematics: from the place that the hand touches to the position of the elbow."""
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


def _follow(
    side: int, frames: np.ndarray, origins: np.ndarray, trunk: np.ndarray, moves: Sequence[Move]
) -> tuple[np.ndarray, ...]:
    """The place that the hand touches, its directions, joints and point of contact in each frame, as it moves
    from pose to pose."""
    t = np.arange(len(trunk))
    starts, arrives = (np.array([getattr(move, name) for move in moves]) for name in ("start", "arrive"))
    now = np.clip(np.searchsorted(starts, t, side="right") - 1, 0, None)
    before = np.maximum(now - 1, 0)
    s = minimum_jerk((t - starts[now]) / np.maximum(arrives[now] - starts[now], 1e-3))[:, None]
    table = {f.name: [getattr(move.pose, f.name) for move in moves] for f in fields(Pose)}
    sign = np.array((SIDE[side], 1.0, 1.0))
    at, swing, aim, palm, pole = (
        np.array(table[name], dtype=float) for name in ("at", "swing", "aim", "palm", "pole")
    )
    frame, hertz, wiggle = np.array(table["frame"]), np.array(table["hertz"]), np.array(table["wiggle"])
    # In the frame of the other forearm, x is the distance from its elbow, which is not mirrored.
    at, swing = (np.where((frame == FOREARM)[:, None], v, v * sign) for v in (at, swing))
    shape, other = (
        np.array([shapes.SHAPE_INDEX[name] for name in table[field]]) for field in ("shape", "other")
    )
    contact = np.array([CONTACTS[name] for name in table["contact"]])[:, None]
    touching = contact * (0.075, 0.0, 0.012) + (1 - contact) * shapes.HANDS[shape][:, [8, 12]].mean(1)

    def state(k: np.ndarray) -> list[np.ndarray]:
        wave = np.sin(2 * np.pi * hertz[k] * (t - arrives[k]) / 25)[:, None]
        place = origins[frame[k], t] + turn(frames[frame[k], t], at[k] + wave * swing[k])
        bent = (0.5 - 0.5 * np.cos(2 * np.pi * hertz[k] * (t - arrives[k]) / 25)) * wiggle[k]
        joints = shapes.HANDS[shape[k]] + bent[:, None, None] * (
            shapes.HANDS[other[k]] - shapes.HANDS[shape[k]]
        )
        return [place, aim[k], palm[k], pole[k], joints, touching[k]]

    blended = [
        a + (s if a.ndim == 2 else s[..., None]) * (b - a)
        for a, b in zip(state(before), state(now), strict=True)
    ]
    target, aim, palm, pole, joints, touch = blended
    # A moving hand takes a path towards the camera; the detour is larger for a longer way.
    away = np.linalg.norm(at[now] - at[before], axis=-1, keepdims=True)
    target = target + 4 * s * (1 - s) * np.minimum(away, 0.4) * np.array((0.0, 0.0, -0.2))
    return target, *(turn(trunk, v * sign) for v in (aim, palm, pole)), joints, touch


def _assemble(
    build: Build,
    channels: np.ndarray,
    hip: np.ndarray,
    neck: np.ndarray,
    skull: np.ndarray,
    eyes: np.ndarray,
    arms: Sequence[Arm],
) -> Float[np.ndarray, "T 137 3"]:
    length = len(channels)
    out = np.empty((length, 137, 3))
    face = build.face + (channels[:, FIRST_EXPRESSION:] @ shapes.EXPRESSION_BASIS.reshape(-1, 210)).reshape(
        length, 70, 3
    )
    ears = np.array([shapes.EAR, shapes.EAR]) * ((-1, 1, 1), (1, 1, 1))
    head = np.concatenate([face, np.broadcast_to(ears, (length, 2, 3))], 1) * build.head
    head = eyes[:, None] + head @ skull.swapaxes(1, 2)
    out[:, 25:95] = head[:, :70]
    out[:, 0], out[:, 1], out[:, 8] = head[:, 30], neck, hip
    out[:, 15], out[:, 16], out[:, 17:19] = head[:, 68], head[:, 69], head[:, 70:]
    for arm, first in ((arms[RIGHT], 2), (arms[LEFT], 5)):
        out[:, first], out[:, first + 1], out[:, first + 2] = arm.shoulder, arm.elbow, arm.wrist
    out[:, 95:116], out[:, 116:137] = arms[LEFT].hand, arms[RIGHT].hand
    # Hips, knees, ankles and feet do not move against each other: chair and floor support them.
    legs = {
        9: (-0.09, 0, 0),
        12: (0.09, 0, 0),
        10: (-0.13, 0.02, -0.42),
        13: (0.13, 0.02, -0.42),
        11: (-0.13, 0.44, -0.40),
    }
    legs |= {14: (0.13, 0.44, -0.40), 19: (0.14, 0.5, -0.56), 20: (0.18, 0.5, -0.54), 21: (0.13, 0.48, -0.36)}
    legs |= {22: (-0.14, 0.5, -0.56), 23: (-0.18, 0.5, -0.54), 24: (-0.13, 0.48, -0.36)}
    for v, place in legs.items():
        out[:, v] = hip + place
    return out


@dataclass(frozen=True, eq=False)
class Camera:
    """Position and movement of the camera: angles in radians, ``distance`` in metres, ``scale`` in pixels per
    metre at the subject, ``center`` in pixels, ``shift`` (T, 2) in pixels, ``zoom`` (T,) as a factor."""

    yaw: float
    pitch: float
    roll: float
    distance: float
    scale: float
    center: tuple[float, float]
    shift: np.ndarray
    zoom: np.ndarray


def view(camera: Camera, space: Float[np.ndarray, "T V 3"]) -> Float[np.ndarray, "T V 3"]:
    """Points in the camera's directions: x to the right of the image, y down, z away from the camera; same
    origin, in metres."""
    turned = rotation(*(np.array([angle]) for angle in (camera.yaw, camera.pitch, camera.roll)))[0]
    return space @ turned.T


def project(camera: Camera, seen: Float[np.ndarray, "T V 3"]) -> Float[np.ndarray, "T V 2"]:
    """Pixels of the points that ``view`` gives, in perspective; the origin is at ``center``."""
    scale = camera.scale * camera.zoom[:, None] * camera.distance / (camera.distance + seen[..., 2])
    return seen[..., :2] * scale[..., None] + camera.center + camera.shift[:, None]
