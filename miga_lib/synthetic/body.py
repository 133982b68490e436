"""Kinematics of a seated upper body: movements give 137 points in space, and those points on the image.

Space is in metres with its origin at the neck of the upright subject, who faces the camera: x to the
subject's left (the right of the image), y down, z away from the camera. Everything is computed for all T
frames at once.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from . import shapes

FPS = 25
"""Frames per second."""
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
SEAT, TORSO, HEAD, FOREARM, OTHER_HAND = range(5)
"""Reference frames of a place. The seat does not move; forearm and hand are those of the other arm."""
LEFT, RIGHT = 0, 1
SIDE = (1.0, -1.0)
"""Sign of x on the left and on the right side."""
TO_NECK = np.array((0.0, -0.50, 0.0))
"""From the hip, in metres in the trunk's frame."""
HEAD_PIVOT = np.array((0.0, 0.09, 0.02))
"""The point around which the head turns, in metres in the head frame."""
LEG = np.array(
    ((0.09, 0, 0), (0.13, 0.02, -0.42), (0.13, 0.44, -0.4), (0.14, 0.5, -0.56), (0.18, 0.5, -0.54),
     (0.13, 0.48, -0.36))
)  # fmt: skip
"""Hip, knee, ankle and foot of the left leg, from the middle of the hips. They do not move against each
other: chair and floor support them."""
Array = np.ndarray
Vector = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Build:
    """The proportions of a subject: ``face`` (70, 3) in the head frame, lengths in metres, ``head`` and
    ``hand`` as factors."""

    face: np.ndarray
    shoulder: float
    slope: float
    upper_arm: float
    forearm: float
    neck: float
    head: float
    hand: float


@dataclass(frozen=True)
class Pose:
    """Where a hand moves to and what it does there. Written for the left hand; for the right hand, x changes
    its sign.

    ``at`` is the position of the fingertips (of the palm where ``on_palm``), in metres in the reference
    frame ``frame``; ``swing`` is the amplitude of an oscillation about it, ``hertz`` its frequency. ``aim``,
    ``palm`` and ``pole`` are the directions of the fingers, of the palm's normal and of the elbow, in the
    trunk's frame. ``wiggle`` (0…1) is how far the fingers move from ``shape`` towards ``other`` and back with
    the same frequency.
    """

    frame: int
    at: Vector
    aim: Vector = (-0.3, -0.6, 0.3)
    palm: Vector = (0.0, 0.0, 1.0)
    pole: Vector = (0.35, 0.8, 0.5)
    shape: str = "relaxed"
    other: str = "fist"
    on_palm: bool = False
    swing: Vector = (0.0, 0.0, 0.0)
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

    elbow: np.ndarray
    wrist: np.ndarray
    hand: np.ndarray
    aim: np.ndarray


def minimum_jerk(s: Array) -> Array:
    """The rise from 0 at s = 0 to 1 at s = 1 with the least jerk (Flash and Hogan 1985): 10 s³ − 15 s⁴ + 6
    s⁵, constant outside."""
    s = np.clip(s, 0, 1)
    return s**3 * (10 - 15 * s + 6 * s**2)


def rotation(yaw: Array, pitch: Array, roll: Array) -> Float[np.ndarray, "T 3 3"]:
    """Rotation by roll about z, then pitch about x, then yaw about y, for angles (T,) in radians."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(angle), np.sin(angle)) for angle in (yaw, pitch, roll))
    rows = [
        [cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, sy * cp],
        [cp * sr, cp * cr, -sp],
        [-sy * cr + cy * sp * sr, sy * sr + cy * sp * cr, cy * cp],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def unit(v: Array) -> Array:
    """Each vector at length 1."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-6)


def turn(frames: Array, v: Array) -> Array:
    """Each vector (…, 3) rotated by its matrix (…, 3, 3)."""
    return (frames @ v[..., None])[..., 0]


def across(v: Array, axis: Array) -> Array:
    """The direction of the part of v at right angles to the unit vector ``axis``."""
    return unit(v - (v * axis).sum(-1, keepdims=True) * axis)


def by_name(channels: Float[np.ndarray, "T channels"]) -> dict[str, np.ndarray]:
    """A view of each column."""
    return dict(zip(CHANNELS, channels.T, strict=True))


def points(
    build: Build, channels: Float[np.ndarray, "T channels"], moves: Sequence[Sequence[Move]]
) -> Float[np.ndarray, "T 137 3"]:
    """The 137 keypoints in space.

    Args:
        channels: columns as in CHANNELS.
        moves: of the left and of the right hand, in time order and without overlap; the first one is before
            frame 0.
    """
    c = by_name(channels)
    zero = np.zeros(len(channels))
    trunk = rotation(c["yaw"], c["pitch"], c["roll"])
    skull = trunk @ rotation(c["turn"], c["nod"], c["tilt"])
    hip = channels[:, :3] - TO_NECK
    neck = hip + trunk @ TO_NECK
    pivot = np.stack([zero, c["stretch"] - build.neck, c["thrust"] - 0.01], -1)
    eyes = neck + turn(trunk, pivot) - skull @ (HEAD_PIVOT * build.head)
    shoulders = []
    for sign, side in zip(SIDE, ("left", "right"), strict=True):
        shoulder = (zero + sign * build.shoulder, build.slope - c[f"{side}_up"], -c[f"{side}_forward"])
        shoulders.append(neck + turn(trunk, np.stack(shoulder, -1)))
    front = neck + trunk @ (0.0, 0.3, -0.25)
    frames = np.stack([np.broadcast_to(np.eye(3), trunk.shape), trunk, skull, trunk, trunk])
    origins = np.stack([np.zeros_like(neck), neck, eyes, front, front])
    left, right = _arms(build, frames, origins, shoulders, moves)
    expression = channels[:, CHANNEL["jaw"] :] @ shapes.EXPRESSION_BASIS.reshape(-1, 210)
    face = build.face + expression.reshape(-1, 70, 3)
    ears = np.broadcast_to(shapes.EARS, (len(face), 2, 3))
    head = np.concatenate([face, ears], 1) * build.head
    head = eyes[:, None] + head @ skull.swapaxes(1, 2)
    out = np.empty((len(channels), 137, 3))
    out[:, 0], out[:, 1], out[:, 8] = head[:, 30], neck, hip
    out[:, 2], out[:, 3], out[:, 4] = shoulders[RIGHT], right.elbow, right.wrist
    out[:, 5], out[:, 6], out[:, 7] = shoulders[LEFT], left.elbow, left.wrist
    out[:, [9, 10, 11, 22, 23, 24]] = hip[:, None] + LEG * (-1, 1, 1)
    out[:, [12, 13, 14, 19, 20, 21]] = hip[:, None] + LEG
    out[:, 15:19] = head[:, 68:]
    out[:, 25:95] = head[:, :70]
    out[:, 95:116], out[:, 116:137] = left.hand, right.hand
    return out


def _arms(
    build: Build, frames: Array, origins: Array, shoulders: Sequence[Array], moves: Sequence[Sequence[Move]]
) -> list[Arm]:
    """Both arms, computed twice: a hand that touches the other arm needs the position of that arm."""
    first = [_arm(build, side, frames, origins, shoulders[side], moves[side]) for side in (LEFT, RIGHT)]
    arms = []
    for side, other in ((LEFT, first[RIGHT]), (RIGHT, first[LEFT])):
        along = unit(other.wrist - other.elbow)
        # The outer side of the other forearm faces the camera and up. In its frame, x is along the forearm
        # and z points into it.
        into = across(np.broadcast_to((0.0, 0.4, 1.0), along.shape), along)
        frames[FOREARM] = np.stack([along, np.cross(into, along), into], -1)
        origins[FOREARM] = other.elbow
        origins[OTHER_HAND] = other.wrist + 0.09 * build.hand * other.aim
        arms.append(_arm(build, side, frames, origins, shoulders[side], moves[side]))
    return arms


def _arm(
    build: Build, side: int, frames: Array, origins: Array, shoulder: Array, moves: Sequence[Move]
) -> Arm:
    """Two-link inverse kinematics: from the place that the hand touches to the position of the elbow."""
    target, aim, palm, pole, joints, contact = _follow(side, frames, origins, moves)
    x = unit(aim)
    z = across(palm, x)
    axes = np.stack([x, SIDE[side] * np.cross(z, x), z], -1)
    reach = target - turn(axes, contact * build.hand) - shoulder
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    upper, fore = build.upper_arm, build.forearm
    within = np.clip(distance, abs(upper - fore) + 0.03, 0.985 * (upper + fore))
    along = reach / np.maximum(distance, 1e-6)
    wrist = shoulder + within * along
    foot = (upper**2 - fore**2 + within**2) / (2 * within)
    height = np.sqrt(np.maximum(upper**2 - foot**2, 0))
    elbow = shoulder + foot * along + height * across(pole, along)
    return Arm(elbow, wrist, wrist[:, None] + (joints * build.hand) @ axes.swapaxes(1, 2), x)


def _follow(side: int, frames: Array, origins: Array, moves: Sequence[Move]) -> tuple[Array, ...]:
    """The place that the hand touches, its directions, joints and point of contact in each frame."""
    t = np.arange(frames.shape[1])
    start, arrive = (np.array([getattr(move, name) for move in moves]) for name in ("start", "arrive"))
    now = np.clip(np.searchsorted(start, t, side="right") - 1, 0, None)
    before = np.maximum(now - 1, 0)
    s = minimum_jerk((t - start[now]) / np.maximum(arrive[now] - start[now], 1e-3))[:, None]
    poses = [asdict(move.pose) for move in moves]
    pose = {name: np.array([pose[name] for pose in poses]) for name in poses[0]}
    frame, mirror = pose["frame"], np.array((SIDE[side], 1.0, 1.0))
    # In the frame of the other forearm, x is the distance from its elbow, which is not mirrored.
    at, swing = (np.where((frame == FOREARM)[:, None], pose[v], pose[v] * mirror) for v in ("at", "swing"))
    hands, others = (np.stack([shapes.HANDS[name] for name in pose[v]]) for v in ("shape", "other"))
    contact = np.where(pose["on_palm"][:, None], (0.075, 0.0, 0.012), hands[:, [8, 12]].mean(1))

    def state(k: Array) -> list[Array]:
        phase = 2 * np.pi * pose["hertz"][k] * (t - arrive[k]) / FPS
        place = origins[frame[k], t] + turn(frames[frame[k], t], at[k] + np.sin(phase)[:, None] * swing[k])
        bent = (0.5 - 0.5 * np.cos(phase)) * pose["wiggle"][k]
        joints = hands[k] + bent[:, None, None] * (others[k] - hands[k])
        return [place, *(pose[v][k] for v in ("aim", "palm", "pole")), contact[k], joints]

    pairs = list(zip(state(before), state(now), strict=True))
    target, aim, palm, pole, touch = (a + s * (b - a) for a, b in pairs[:-1])
    a, b = pairs[-1]
    joints = a + s[..., None] * (b - a)
    # A moving hand takes a path towards the camera; the detour is larger for a longer way.
    away = np.linalg.norm(at[now] - at[before], axis=-1, keepdims=True)
    target = target + 4 * s * (1 - s) * np.minimum(away, 0.4) * np.array((0.0, 0.0, -0.2))
    return target, *(turn(frames[TORSO], v * mirror) for v in (aim, palm, pole)), joints, touch


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
    """Points in the camera's directions: x to the right of the image, y down, z away from it."""
    turned = rotation(*(np.array([angle]) for angle in (camera.yaw, camera.pitch, camera.roll)))[0]
    return space @ turned.T


def project(camera: Camera, seen: Float[np.ndarray, "T V 3"]) -> Float[np.ndarray, "T V 2"]:
    """Pixels of the points that ``view`` gives, in perspective; the origin is at ``center``."""
    scale = camera.scale * camera.zoom[:, None] * camera.distance / (camera.distance + seen[..., 2])
    return seen[..., :2] * scale[..., None] + camera.center + camera.shift[:, None]
