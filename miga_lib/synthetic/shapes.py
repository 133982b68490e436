"""The face as 70 landmarks with expressions, and the hand as 21 joints in eight shapes, in metres.

The head frame has its origin between the eyes: x to the subject's left, y down, z backwards. The hand frame
has its origin at the wrist: x along the fingers, y towards the thumb, z out of the palm.
"""

import math
from collections.abc import Sequence

import numpy as np

from .. import layouts


def _vectors(text: str) -> dict[str, np.ndarray]:
    """A vector for each name, of lines such as ``chin 0 12 -7, pupil 3.1 0 -6.6``."""
    rows = [row.split() for row in text.strip().replace("\n", ",").split(",")]
    return {name: np.array(vector, dtype=float) for name, *vector in rows}


LANDMARKS = _vectors("""
chin 0 12 -7, brow_1 5.8 -1 -4.2, brow_2 4.9 -1.9 -5.6, brow_3 3.7 -2.3 -6.6, brow_4 2.5 -2.2 -7.3
brow_5 1.3 -1.8 -7.7, nose_bridge_1 0 -0.4 -7.8, nose_bridge_2 0 0.8 -8.8, nose_bridge_3 0 1.9 -9.9
nose_bridge_4 0 3 -10.9, nose_base 0 4.5 -9.2, nostril_1 0.8 4.4 -8.9, nostril_2 1.5 4.1 -8.3
eye_outer 4.4 0.1 -5.8, eye_upper_outer 3.7 -0.4 -6.5, eye_upper_inner 2.6 -0.4 -6.7, eye_inner 1.7 0.2 -6.4
eye_lower_inner 2.6 0.5 -6.6, eye_lower_outer 3.6 0.5 -6.4, pupil 3.1 0 -6.6, lip_corner 2.6 7.2 -7.2
upper_lip_2 1.7 6.6 -8.2, upper_lip_1 0.7 6.2 -8.8, upper_lip 0 6.35 -9, lower_lip_2 1.7 7.8 -8
lower_lip_1 0.8 8.2 -8.5, lower_lip 0 8.3 -8.6, mouth_corner 2.2 7.2 -7.4, upper_mouth 0 7.05 -8.7
lower_mouth 0 7.2 -8.6
""")
"""Landmarks in the middle and on the subject's left, in centimetres. The right side is the mirror image. The
jaw is a curve, see ``face``."""
SIDED_MOUTH = _vectors("upper_mouth 0.9 7 -8.6, lower_mouth 0.9 7.15 -8.5")
EARS = np.array(((-0.074, 0.010, 0.015), (0.074, 0.010, 0.015)))
"""Of the right and the left side, in metres."""
_EXPRESSIONS = {
    "jaw": """chin 0 1.9 0.4, jaw_1 0 1.8 0.4, jaw_2 0 1.5 0.3, jaw_3 0 1.1 0.2, jaw_4 0 0.6 0.1
        lower_lip 0 1.6 0.3, lower_mouth 0 1.7 0.3, lip_corner -0.2 0.6 0.1, mouth_corner -0.2 0.6 0.1
        upper_lip 0 -0.1 0, upper_mouth 0 -0.1 0""",
    "wide": "lip_corner 0.7 0 0.3, mouth_corner 0.7 0 0.3, upper_lip_2 0.4 0 0.1, lower_lip_2 0.4 0 0.1",
    "tuck_lower": """lower_lip 0 -0.75 0.6, lower_mouth 0 -0.2 0.5, lip_corner -0.15 0.05 0
        mouth_corner -0.15 0.05 0, chin 0 -0.25 0""",
    "tuck_upper": "upper_lip 0 0.5 0.4, upper_mouth 0 0.15 0.3, lip_corner 0.1 0.05 0",
    "pucker": """lip_corner -0.7 0 -0.4, mouth_corner -0.7 0 -0.4, upper_lip_2 -0.35 0 -0.4
        lower_lip_2 -0.35 0 -0.4""",
    "smile": "lip_corner 0.6 -0.5 0.2, mouth_corner 0.6 -0.5 0.2, upper_lip 0 -0.15 0, eye_lower 0 -0.15 0",
    "brow": "brow 0 -0.9 0",
    "frown": "brow_5 -0.3 0.45 0, brow_4 -0.3 0.35 0, brow_3 -0.1 0.2 0",
    "blink": "eye_upper 0 0.8 0.1",
}
EXPRESSIONS = {name: _vectors(text) for name, text in _EXPRESSIONS.items()}
"""Shifts of landmarks by one unit of each expression, in centimetres: the beginning of landmark names, and
their shift on the left side."""

# The bend of each finger (0 straight, 1 as in a fist), thumb first; then the angle between neighbouring
# fingers in radians.
HAND_SHAPES = {
    "open": (0.10, 0.05, 0.05, 0.08, 0.10, 0.20),
    "flat": (0.25, 0.03, 0.03, 0.03, 0.05, 0.04),
    "relaxed": (0.35, 0.32, 0.38, 0.44, 0.48, 0.08),
    "claw": (0.30, 0.45, 0.45, 0.45, 0.48, 0.16),
    "pinch": (0.60, 0.50, 0.55, 0.70, 0.75, 0.03),
    "point": (0.70, 0.05, 0.80, 0.88, 0.90, 0.02),
    "laced": (0.40, 0.62, 0.62, 0.62, 0.62, 0.10),
    "fist": (0.80, 0.95, 0.95, 0.95, 0.95, 0.0),
}
# Position (x, y) of the knuckles and lengths of the bones of the four fingers, index finger first, in metres.
KNUCKLES = ((0.088, 0.022), (0.089, 0.002), (0.083, -0.016), (0.074, -0.033))
PHALANGES = ((0.044, 0.026, 0.021), (0.049, 0.030, 0.022), (0.045, 0.028, 0.022), (0.036, 0.021, 0.019))


def face() -> tuple[np.ndarray, np.ndarray]:
    """The landmarks at rest, (70, 3) metres, in the order of ``layouts.FACE_70``; and their shifts by each of
    ``EXPRESSIONS``, and last by a mouth drawn to the subject's left, (10, 70, 3)."""
    points, basis = np.zeros((70, 3)), np.zeros((len(EXPRESSIONS) + 1, 70, 3))
    for v, name in enumerate(layouts.FACE_70):
        side, _, part = name.partition("_")
        sign = {"left": 1, "right": -1}.get(side, 0)
        if not sign:  # in the middle
            part = name
        if part.startswith("jaw"):
            step = int(part[-1]) / 8
            angle = step * math.pi / 2
            # The jaw is rather square and extends back towards the ear.
            points[v] = 7.4 * math.sin(angle) ** 0.6, 0.3 + 11.7 * math.cos(angle) ** 1.1, 6.8 * step**1.2 - 7
        elif sign and part in SIDED_MOUTH:
            points[v] = SIDED_MOUTH[part]
        else:
            points[v] = LANDMARKS[part]
        for b, shifts in enumerate(EXPRESSIONS.values()):
            for start, shift in shifts.items():
                if part.startswith(start):
                    basis[b, v] = shift
        points[v, 0] *= sign
        basis[:, v, 0] *= sign
        if "lip" in part or "mouth" in part:
            basis[-1, v, 0] = 0.6
    return points / 100, basis / 100


def hand(bends: Sequence[float]) -> np.ndarray:
    """The joints of a hand, (21, 3) metres, in the order of ``layouts.HAND_21``; ``bends`` as in
    HAND_SHAPES."""
    bone, thumb, spread = np.arange(3), bends[0], bends[5]
    across, under = 0.85 - 0.9 * thumb - 0.15 * bone, (0.25 + 0.5 * bone) * thumb + 0.15
    joints = [(0.0, 0.0, 0.0), *_finger((0.022, 0.024, 0.008), (0.044, 0.034, 0.027), across, under)]
    for f, (knuckle, lengths) in enumerate(zip(KNUCKLES, PHALANGES, strict=True)):
        across, under = np.full(3, (1.2 - f) * spread), np.cumsum((1.25, 1.65, 1.0)) * bends[f + 1]
        joints += _finger((*knuckle, 0.0), lengths, across, under)
    return np.array(joints)


def _finger(
    knuckle: Sequence[float], lengths: Sequence[float], across: np.ndarray, under: np.ndarray
) -> list[np.ndarray]:
    """Its four joints; ``across`` and ``under`` are the angles of the three bones in and out of the plane of
    the palm."""
    joints = [np.array(knuckle)]
    for length, a, u in zip(lengths, across, under, strict=True):
        direction = (math.cos(a) * math.cos(u), math.sin(a) * math.cos(u), math.sin(u))
        joints.append(joints[-1] + length * np.array(direction))
    return joints


FACE, EXPRESSION_BASIS = face()
HANDS = {name: hand(bends) for name, bends in HAND_SHAPES.items()}
