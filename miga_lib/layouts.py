"""Skeleton layouts: the joints, the limbs that connect them, and the mirror image of each joint.

A layout is defined by joint names. The mirror follows from the names (``left_x`` and ``right_x`` swap), and so does the selection of
one layout from another, so both always agree with the joint order. Left and right are the subject's own.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np


@dataclass(frozen=True)
class Layout:
    """The joints of a skeleton and how they are connected.

    All numbers are indices into ``joints``. A limb is a pair of joints; ``mirror[v]`` is the joint that joint v becomes when
    left and right are exchanged; ``regions`` names groups of joints; ``center`` is the root of the graph.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    mirror: tuple[int, ...]
    regions: Mapping[str, tuple[int, ...]]
    center: int

    @cached_property
    def adjacency(self) -> np.ndarray:
        """Whether two joints share a limb: (V, V) bool, symmetric, False on the diagonal."""
        adjacency = np.zeros((len(self.joints), len(self.joints)), dtype=bool)
        first, second = np.array(self.limbs).T
        adjacency[first, second] = adjacency[second, first] = True
        return adjacency

    @cached_property
    def distances(self) -> np.ndarray:
        """Number of limbs on the shortest path between two joints: (V, V) float, ``inf`` where there is none."""
        from scipy.sparse.csgraph import shortest_path

        return shortest_path(self.adjacency, unweighted=True)

    @cached_property
    def parents(self) -> np.ndarray:
        """For each joint the neighbour on its shortest path to the centre, or the joint itself where there is none: (V,) int."""
        to_center = self.distances[:, self.center]
        nearer = self.adjacency & (to_center[None, :] < to_center[:, None])
        return np.where(nearer.any(1), nearer.argmax(1), np.arange(len(self.joints)))


BODY_25 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip right_hip right_knee right_ankle "
    "left_hip left_knee left_ankle right_eye left_eye right_ear left_ear left_big_toe left_small_toe left_heel right_big_toe "
    "right_small_toe right_heel"
).split()
EYE = "outer upper_outer upper_inner inner lower_inner lower_outer".split()
# The 70 landmarks of OpenPose run from the subject's right to the left along the jaw, the brows and the nose.
FACE_70 = [
    *(f"right_jaw_{i}" for i in range(8, 0, -1)),
    "chin",
    *(f"left_jaw_{i}" for i in range(1, 9)),
    *(f"right_brow_{i}" for i in range(1, 6)),
    *(f"left_brow_{i}" for i in range(5, 0, -1)),
    *(f"nose_bridge_{i}" for i in range(1, 5)),
    *"right_nostril_2 right_nostril_1 nose_base left_nostril_1 left_nostril_2".split(),
    *(f"right_eye_{part}" for part in EYE),
    *(f"left_eye_{EYE[i]}" for i in (3, 2, 1, 0, 5, 4)),
    *"right_lip_corner right_upper_lip_2 right_upper_lip_1 upper_lip left_upper_lip_1 left_upper_lip_2 left_lip_corner".split(),
    *"left_lower_lip_2 left_lower_lip_1 lower_lip right_lower_lip_1 right_lower_lip_2".split(),
    *"right_mouth_corner right_upper_mouth upper_mouth left_upper_mouth left_mouth_corner".split(),
    *"left_lower_mouth lower_mouth right_lower_mouth right_pupil left_pupil".split(),
]
FINGERS = "thumb index middle ring little".split()
HAND_21 = ["hand", *(f"{finger}_{i}" for finger in FINGERS for i in range(1, 5))]
LEFT_FINGERTIPS, RIGHT_FINGERTIPS = ([f"{side}_{finger}_4" for finger in FINGERS] for side in ("left", "right"))

OPENPOSE_137 = [*BODY_25, *FACE_70, *(f"left_{part}" for part in HAND_21), *(f"right_{part}" for part in HAND_21)]
LIGHT_HAND_35 = [*BODY_25, *LEFT_FINGERTIPS, *RIGHT_FINGERTIPS]
IMIGUE_22 = [*BODY_25[:8], *BODY_25[15:19], *LEFT_FINGERTIPS, *RIGHT_FINGERTIPS]
# The paper names the regions of its 19 landmarks (cheeks, eyebrows, lips) and not the points. Ours are spread evenly along the
# jaw and the brows; the lips take their corners, their bows and, at the mouth's opening, the inner edge.
FACE_19 = (
    "right_jaw_6 right_jaw_3 chin left_jaw_3 left_jaw_6 "
    "right_brow_1 right_brow_3 right_brow_5 left_brow_5 left_brow_3 left_brow_1 "
    "right_lip_corner right_upper_lip_1 upper_mouth left_upper_lip_1 left_lip_corner left_lower_lip_1 lower_mouth right_lower_lip_1"
).split()
OPENPOSE_18 = [*BODY_25[:8], *BODY_25[9:19]]
COCO_17 = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
    "left_hip right_hip left_knee right_knee left_ankle right_ankle"
).split()

ARMS = "neck-right_shoulder-right_elbow-right_wrist neck-left_shoulder-left_elbow-left_wrist"
LEGS = "right_hip-right_knee-right_ankle left_hip-left_knee-left_ankle"
HEAD = "neck-nose-right_eye-right_ear nose-left_eye-left_ear"
FEET = "ankle-{0}_big_toe-{0}_small_toe {0}_ankle-{0}_heel"
FINGERTIPS = " ".join(f"{tip.split('_')[0]}_wrist-{tip}" for tip in LEFT_FINGERTIPS + RIGHT_FINGERTIPS)
BODY_25_LIMBS = f"{ARMS} {HEAD} neck-mid_hip-right_hip mid_hip-left_hip {LEGS} " + " ".join(
    f"{side}_{FEET.format(side)}" for side in ("left", "right")
)
FACE_19_LIMBS = (
    "right_ear-right_jaw_6-right_jaw_3-chin left_ear-left_jaw_6-left_jaw_3-chin "
    "right_eye-right_brow_3-right_brow_1 right_brow_3-right_brow_5 left_eye-left_brow_3-left_brow_1 left_brow_3-left_brow_5 "
    "nose-upper_mouth-right_upper_lip_1-right_lip_corner upper_mouth-left_upper_lip_1-left_lip_corner "
    "chin-lower_mouth-right_lower_lip_1-right_lip_corner lower_mouth-left_lower_lip_1-left_lip_corner"
)


def _face_70_limbs() -> str:
    """The contours of the landmarks, each connected to the nearest joint of the head."""
    jaw, brow = [f"_jaw_{i}" for i in range(8, 0, -1)], [f"_brow_{i}" for i in range(5, 0, -1)]
    lips = [
        "upper_lip {0}_upper_lip_1 {0}_upper_lip_2 {0}_lip_corner",
        "lower_lip {0}_lower_lip_1 {0}_lower_lip_2 {0}_lip_corner",
        "upper_mouth {0}_upper_mouth {0}_mouth_corner",
        "lower_mouth {0}_lower_mouth {0}_mouth_corner",
    ]
    chains = [
        "nose nose_bridge_4 nose_bridge_3 nose_bridge_2 nose_bridge_1",
        "nose nose_base upper_lip upper_mouth",
        "chin lower_lip lower_mouth",
    ]
    for side in ("right", "left"):
        eyelid = " ".join(f"{side}_eye_{part}" for part in (*EYE, EYE[0]))
        chains += [
            f"{side}_ear " + " ".join(side + point for point in jaw) + " chin",
            "nose_bridge_1 " + " ".join(side + point for point in brow),
            f"{side}_eye {side}_pupil {side}_eye_inner",
            eyelid,
            f"nose_base {side}_nostril_1 {side}_nostril_2",
            *(chain.format(side) for chain in lips),
        ]
    return " ".join("-".join(chain.split()) for chain in chains)


def _hand_21_limbs(side: str) -> str:
    fingers = (f"{side}_hand-" + "-".join(f"{side}_{finger}_{i}" for i in range(1, 5)) for finger in FINGERS)
    return f"{side}_wrist-{side}_hand " + " ".join(fingers)


def _region(joint: str) -> str:
    """The body region of a joint; for the joint names of this module."""
    side, _, part = joint.partition("_") if joint.startswith(("left_", "right_")) else ("", "", joint)
    if part.startswith((*FINGERS, "hand")):
        return f"{side}_hand"
    if part in ("elbow", "wrist"):
        return f"{side}_arm"
    if part.split("_")[0] in ("mid", "hip", "knee", "ankle", "big", "small", "heel"):
        return "lower_body"
    if part in ("neck", "shoulder"):
        return "torso"
    if part.startswith(("jaw", "chin")):
        return "jaw"
    if part.startswith("brow"):
        return "brows"
    if part.startswith(("lip", "upper", "lower", "mouth")):
        return "lips"
    return "head"


def mirror_names(joints: Sequence[str]) -> tuple[int, ...]:
    """For each joint the index of its mirror image: ``left_x`` and ``right_x`` swap, every other joint stays.

    Raises ValueError for a sided joint whose other side is not among the joints.
    """
    swap = {"left_": "right_", "right_": "left_"}
    mirror = []
    for joint in joints:
        side = next((side for side in swap if joint.startswith(side)), None)
        other = joint if side is None else swap[side] + joint.removeprefix(side)
        if other not in joints:
            raise ValueError(f"joint {joint!r} has no mirror image: {other!r} is not among the joints; give `mirror` yourself")
        mirror.append(joints.index(other))
    return tuple(mirror)


def make(
    name: str,
    joints: Sequence[str],
    limbs: str | Iterable[tuple[int, int]],
    center: str | int,
    mirror: Sequence[int] | None = None,
    regions: Mapping[str, Sequence[int]] | None = None,
) -> Layout:
    """Make a layout from the names of its joints, and check it.

    Args:
        joints: V different names, in the order of axis V of the keypoints.
        limbs: pairs of joint indices, or chains of names such as ``"neck-nose neck-left_shoulder-left_elbow"``.
        center: the root of the graph, by name or index.
        mirror: V indices; by default from the names: ``left_x`` and ``right_x`` swap.
        regions: names for groups of joints; by default one region, ``all``.

    Raises:
        ValueError: a name or index that is not a joint, a limb given twice, or a mirror that is not its own inverse.
    """
    joints = tuple(joints)
    index = {joint: v for v, joint in enumerate(joints)}
    if len(index) != len(joints):
        raise ValueError(f"layout {name!r}: joint names must differ, found {sorted({j for j in joints if joints.count(j) > 1})} twice")
    try:
        if isinstance(limbs, str):
            chains = [chain.split("-") for chain in limbs.split()]
            limbs = [(index[a], index[b]) for chain in chains for a, b in itertools.pairwise(chain)]
        center = index[center] if isinstance(center, str) else center
    except KeyError as error:
        raise ValueError(f"layout {name!r}: {error.args[0]!r} is not one of its {len(joints)} joints") from None
    limbs = tuple((int(a), int(b)) for a, b in limbs)
    mirror = tuple(mirror) if mirror is not None else mirror_names(joints)
    of_region = {region: tuple(members) for region, members in (regions or {"all": range(len(joints))}).items()}
    used = {center, *mirror, *(v for limb in limbs for v in limb), *(v for members in of_region.values() for v in members)}
    if wrong := sorted(v for v in used if not 0 <= v < len(joints)):
        raise ValueError(f"layout {name!r}: joints are numbered 0 to {len(joints) - 1}, found {wrong}")
    if not limbs or len({frozenset(limb) for limb in limbs}) != len(limbs) or any(a == b for a, b in limbs):
        raise ValueError(f"layout {name!r}: limbs must be different pairs of different joints, at least one")
    if len(mirror) != len(joints) or any(mirror[m] != v for v, m in enumerate(mirror)):
        raise ValueError(f"layout {name!r}: mirror must be its own inverse over all {len(joints)} joints, got {mirror}")
    return Layout(name, joints, limbs, mirror, MappingProxyType(of_region), center)


def _openpose(name: str, joints: Sequence[str], limbs: str | Iterable[tuple[int, int]], center: str = "neck") -> Layout:
    members: dict[str, list[int]] = {}
    for v, joint in enumerate(joints):
        members.setdefault(_region(joint), []).append(v)
    return make(name, joints, limbs, center, regions=members)


# The graph of the official starting kit takes 1-based joint numbers for 0-based ones: the nose has no neighbour and each hand is
# connected to the wrong joint. It is here to reproduce that baseline.
OFFICIAL_LIMBS = [(2, 1), (2, 3), (3, 4), (4, 5), (2, 6), (6, 7), (7, 8), (1, 9), (9, 11), (1, 10), (10, 11)]
OFFICIAL_LIMBS += [(5, v) for v in range(12, 17)] + [(8, v) for v in range(17, 22)]

_LAYOUTS = {
    layout.name: layout
    for layout in (
        _openpose(
            "openpose137",
            OPENPOSE_137,
            f"{BODY_25_LIMBS} {_face_70_limbs()} {_hand_21_limbs('left')} {_hand_21_limbs('right')}",
        ),
        _openpose("body25", BODY_25, BODY_25_LIMBS),
        _openpose("light_hand35", LIGHT_HAND_35, f"{BODY_25_LIMBS} {FINGERTIPS}"),
        _openpose("imigue22", IMIGUE_22, f"{ARMS} {HEAD} {FINGERTIPS}"),
        _openpose("imigue41", IMIGUE_22 + FACE_19, f"{ARMS} {HEAD} {FINGERTIPS} {FACE_19_LIMBS}"),
        _openpose("imigue22_official", IMIGUE_22, OFFICIAL_LIMBS),
        # As in ST-GCN's graph, the hips are connected to the shoulders.
        _openpose("openpose18", OPENPOSE_18, f"{ARMS} {HEAD} right_shoulder-right_hip left_shoulder-left_hip {LEGS}"),
        # As in PySkl, the shoulders and eyes are connected to the nose.
        _openpose(
            "coco17",
            COCO_17,
            "nose-left_shoulder-left_elbow-left_wrist nose-right_shoulder-right_elbow-right_wrist "
            "left_shoulder-left_hip-left_knee-left_ankle right_shoulder-right_hip-right_knee-right_ankle "
            "nose-left_eye-left_ear nose-right_eye-right_ear left_hip-right_hip",
            center="nose",
        ),
    )
}


STRATEGIES = ("uniform", "distance", "spatial")
"""Ways to partition the neighbours of a joint, see ``partitions``."""


def names() -> list[str]:
    """The names that ``get`` knows."""
    return list(_LAYOUTS)


def get(name: str) -> Layout:
    """The layout with that name. Raises ValueError for an unknown name; the message lists the known ones."""
    if name not in _LAYOUTS:
        raise ValueError(f"layout {name!r} is unknown; known are {', '.join(_LAYOUTS)}; add your own with `layouts.register`")
    return _LAYOUTS[name]


def register(layout: Layout) -> Layout:
    """Add a layout of your own, so that ``get`` finds it by its name.

    >>> register(make("stick", ["head", "hip"], [(0, 1)], center="hip")).name
    'stick'

    Raises ValueError where another layout already has that name.
    """
    if _LAYOUTS.setdefault(layout.name, layout) != layout:
        raise ValueError(f"another layout named {layout.name!r} is already registered; choose another name")
    return layout


def selection(source: Layout, target: Layout) -> np.ndarray:
    """Indices into the joints of ``source`` that give the joints of ``target``, matched by name: (V of target,) int.

    Raises ValueError where joints are missing in ``source``; the message names them.
    """
    index = {joint: v for v, joint in enumerate(source.joints)}
    if missing := [joint for joint in target.joints if joint not in index]:
        shown = ", ".join(missing[:3]) + ("…" if len(missing) > 3 else "")
        raise ValueError(f"layout {target.name!r} needs {len(missing)} joints that {source.name!r} does not have ({shown})")
    return np.array([index[joint] for joint in target.joints])


def partitions(layout: Layout, strategy: str = "spatial") -> np.ndarray:
    """The neighbourhood of each joint, split into P partitions: the normalised adjacency matrices of ST-GCN.

    Args:
        strategy: ``uniform`` (P = 1: a joint and its neighbours together), ``distance`` (P = 2: the joint itself; its neighbours) or
            ``spatial`` (P = 3: the joint itself; its neighbours at the same or a larger distance from the centre; its neighbours
            nearer to the centre). All joints two limbs or more from the centre count as equally far from it.

    Returns:
        (P, V, V) float32. Entry [p, u, v] is the weight of joint u in the new value of joint v. For each v, the sum over p and u is 1.

    Raises:
        ValueError: an unknown strategy.

    Source: Yan et al., Spatial Temporal Graph Convolutional Networks, AAAI 2018, and its published code, to which these are equal.
    The paper's section 3.3 does not limit the distance to two limbs; the code does, and the published weights were trained with it.
    """
    itself, neighbours = np.eye(len(layout.joints)), layout.adjacency
    share = (itself + neighbours) / (1 + neighbours.sum(0))
    # Partition 2 goes from a limb's outer end to its inner end, partition 3 the other way. The published code does not
    # measure distances above one limb: the ends of a limb further out count as equally far, so both ways are in partition 2.
    to_center = np.minimum(layout.distances[:, layout.center], 2)
    outer = neighbours & (to_center[:, None] >= to_center[None, :])
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
    subsets = {"uniform": [itself + neighbours], "distance": [itself, neighbours], "spatial": [itself, outer, neighbours & ~outer]}
    return (np.stack(subsets[strategy]) * share).astype(np.float32)
