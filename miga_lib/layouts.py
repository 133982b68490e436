"""Skeleton layouts: the joints, the limbs that connect them, and the mirror image of each joint.

A layout is defined by joint names. The mirror follows from the names (``left_x`` and ``right_x`` swap), and
so does the selection of one layout from another, so both always agree with the joint order. Left and right
are the subject's own.
"""

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from . import atomic


@dataclass(frozen=True)
class Layout:
    """The joints of a skeleton and how they are connected.

    All numbers are indices into ``joints``. A limb is a pair of joints; ``mirror[v]`` is the joint that joint
    v becomes when left and right are exchanged; ``regions`` names groups of joints; ``center`` is the root of
    the graph.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    mirror: tuple[int, ...]
    regions: Mapping[str, tuple[int, ...]]
    center: int
    single_person: "Layout | None" = None
    """For a layout of two persons, see ``pair``: that of each of them."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Layout":
        """Itself, since it cannot be changed. Without this, networks that hold a layout cannot be copied, as
        their mappings cannot."""
        return self

    @property
    def persons(self) -> int:
        """How many persons the joints belong to."""
        return len(self.joints) // len(self.single_person.joints) if self.single_person else 1

    @cached_property
    def adjacency(self) -> np.ndarray:
        """Whether two joints share a limb: (V, V) bool, symmetric, False on the diagonal."""
        adjacency = np.zeros((len(self.joints), len(self.joints)), dtype=bool)
        first, second = np.array(self.limbs).T
        adjacency[first, second] = adjacency[second, first] = True
        return adjacency

    @cached_property
    def distances(self) -> np.ndarray:
        """Number of limbs on the shortest path between two joints: (V, V) float, ``inf`` where there is
        none."""
        from scipy.sparse.csgraph import shortest_path

        return shortest_path(self.adjacency, unweighted=True)

    @cached_property
    def parents(self) -> np.ndarray:
        """For each joint the neighbour on its shortest path to the centre, or the joint itself where there is
        none: (V,) int."""
        if self.single_person:
            return np.concatenate(
                [
                    self.single_person.parents + first
                    for first in range(0, len(self.joints), len(self.single_person.joints))
                ]
            )
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
LEFT_FINGERTIPS, RIGHT_FINGERTIPS = (
    [f"{side}_{finger}_4" for finger in FINGERS] for side in ("left", "right")
)

OPENPOSE_137 = [
    *BODY_25,
    *FACE_70,
    *(f"left_{part}" for part in HAND_21),
    *(f"right_{part}" for part in HAND_21),
]
LIGHT_HAND_35 = [*BODY_25, *LEFT_FINGERTIPS, *RIGHT_FINGERTIPS]
IMIGUE_22 = [*BODY_25[:8], *BODY_25[15:19], *LEFT_FINGERTIPS, *RIGHT_FINGERTIPS]
# The paper names the regions of its 19 landmarks (cheeks, eyebrows, lips) and not the points. Ours are spread
# evenly along the jaw and the brows; the lips take their corners, their bows and, at the mouth's opening, the
# inner edge.
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
# The joints of a Kinect v2. They have names of their own where a joint of OpenPose is another point: its neck
# is the spine between the shoulders, and its hands begin at the wrist. The Kinect's neck is higher, at the
# throat.
KINECT_25 = (
    "spine_base spine_mid spine_neck head left_shoulder left_elbow left_wrist left_palm right_shoulder right_elbow right_wrist "
    "right_palm left_hip left_knee left_ankle left_foot right_hip right_knee right_ankle right_foot spine_shoulder "
    "left_hand_tip left_thumb right_hand_tip right_thumb"
).split()
_FEET_FACE_HANDS = [*BODY_25[19:], *FACE_70[:68], *OPENPOSE_137[95:]]  # the pupils are not among them
# The joints of COCO-WholeBody; and the same with a neck, in the order that rtmlib and MMPose call "openpose".
WHOLEBODY_133 = [*COCO_17, *_FEET_FACE_HANDS]
WHOLEBODY_134 = [*OPENPOSE_18, *_FEET_FACE_HANDS]
MEANS = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
"""The joints of OpenPose that are means of two others if a detector does not have them."""

ARMS = "neck-right_shoulder-right_elbow-right_wrist neck-left_shoulder-left_elbow-left_wrist"
LEGS = "right_hip-right_knee-right_ankle left_hip-left_knee-left_ankle"
HEAD = "neck-nose-right_eye-right_ear nose-left_eye-left_ear"
FEET = " ".join(
    f"{side}_ankle-{side}_big_toe-{side}_small_toe {side}_ankle-{side}_heel" for side in ("left", "right")
)
FINGERTIPS = " ".join(f"{tip.split('_')[0]}_wrist-{tip}" for tip in LEFT_FINGERTIPS + RIGHT_FINGERTIPS)
BODY_25_LIMBS = f"{ARMS} {HEAD} neck-mid_hip-right_hip mid_hip-left_hip {LEGS} {FEET}"
# As in PySkl, the shoulders and eyes are connected to the nose.
COCO_17_LIMBS = (
    "nose-left_shoulder-left_elbow-left_wrist nose-right_shoulder-right_elbow-right_wrist "
    "left_shoulder-left_hip-left_knee-left_ankle right_shoulder-right_hip-right_knee-right_ankle "
    "nose-left_eye-left_ear nose-right_eye-right_ear left_hip-right_hip"
)
KINECT_25_LIMBS = "head-spine_neck-spine_shoulder-spine_mid-spine_base " + " ".join(
    f"spine_shoulder-{side}_shoulder-{side}_elbow-{side}_wrist-{side}_palm-{side}_hand_tip {side}_palm-{side}_thumb "
    f"spine_base-{side}_hip-{side}_knee-{side}_ankle-{side}_foot"
    for side in ("left", "right")
)
FACE_19_LIMBS = (
    "right_ear-right_jaw_6-right_jaw_3-chin left_ear-left_jaw_6-left_jaw_3-chin "
    "right_eye-right_brow_3-right_brow_1 right_brow_3-right_brow_5 left_eye-left_brow_3-left_brow_1 left_brow_3-left_brow_5 "
    "nose-upper_mouth-right_upper_lip_1-right_lip_corner upper_mouth-left_upper_lip_1-left_lip_corner "
    "chin-lower_mouth-right_lower_lip_1-right_lip_corner lower_mouth-left_lower_lip_1-left_lip_corner"
)


def _face_limbs(pupils: bool = True) -> str:
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
            f"{side}_eye {side}_pupil {side}_eye_inner" if pupils else f"{side}_eye {side}_eye_inner",
            eyelid,
            f"nose_base {side}_nostril_1 {side}_nostril_2",
            *(chain.format(side) for chain in lips),
        ]
    return " ".join("-".join(chain.split()) for chain in chains)


def _hand_21_limbs(side: str) -> str:
    fingers = (f"{side}_hand-" + "-".join(f"{side}_{finger}_{i}" for i in range(1, 5)) for finger in FINGERS)
    return f"{side}_wrist-{side}_hand " + " ".join(fingers)


HANDS_LIMBS = f"{_hand_21_limbs('left')} {_hand_21_limbs('right')}"


def _region(joint: str) -> str:
    """The body region of a joint; for the joint names of this module."""
    side, _, part = joint.partition("_") if joint.startswith(("left_", "right_")) else ("", "", joint)
    if part.startswith((*FINGERS, "hand", "palm")):
        return f"{side}_hand"
    if part in ("elbow", "wrist"):
        return f"{side}_arm"
    if (
        part.split("_")[0] in ("mid", "hip", "knee", "ankle", "big", "small", "heel", "foot")
        or part == "spine_base"
    ):
        return "lower_body"
    if part in ("neck", "shoulder") or part.startswith("spine"):
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
            raise ValueError(
                f"joint {joint!r} has no mirror image: {other!r} is not among the joints; give `mirror` yourself"
            )
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
        limbs: pairs of joint indices, or chains of names such as ``"neck-nose
            neck-left_shoulder-left_elbow"``.
        center: the root of the graph, by name or index.
        mirror: V indices; by default from the names: ``left_x`` and ``right_x`` swap.
        regions: names for groups of joints; by default one region, ``all``.

    Raises:
        ValueError: a name or index that is not a joint, a limb given twice, or a mirror that is not its own
            inverse.
    """
    joints = tuple(joints)
    index = {joint: v for v, joint in enumerate(joints)}
    if len(index) != len(joints):
        raise ValueError(
            f"layout {name!r}: joint names must differ, found {sorted({j for j in joints if joints.count(j) > 1})} twice"
        )
    try:
        if isinstance(limbs, str):
            chains = [chain.split("-") for chain in limbs.split()]
            limbs = [(index[a], index[b]) for chain in chains for a, b in itertools.pairwise(chain)]
        center = index[center] if isinstance(center, str) else center
    except KeyError as error:
        raise ValueError(
            f"layout {name!r}: {error.args[0]!r} is not one of its {len(joints)} joints"
        ) from None
    limbs = tuple((int(a), int(b)) for a, b in limbs)
    mirror = tuple(mirror) if mirror is not None else mirror_names(joints)
    of_region = {
        region: tuple(members) for region, members in (regions or {"all": range(len(joints))}).items()
    }
    used = {
        center,
        *mirror,
        *(v for limb in limbs for v in limb),
        *(v for members in of_region.values() for v in members),
    }
    if wrong := sorted(v for v in used if not 0 <= v < len(joints)):
        raise ValueError(f"layout {name!r}: joints are numbered 0 to {len(joints) - 1}, found {wrong}")
    if not limbs or len({frozenset(limb) for limb in limbs}) != len(limbs) or any(a == b for a, b in limbs):
        raise ValueError(f"layout {name!r}: limbs must be different pairs of different joints, at least one")
    if len(mirror) != len(joints) or any(mirror[m] != v for v, m in enumerate(mirror)):
        raise ValueError(
            f"layout {name!r}: mirror must be its own inverse over all {len(joints)} joints, got {mirror}"
        )
    return Layout(name, joints, limbs, mirror, MappingProxyType(of_region), center)


def _openpose(
    name: str, joints: Sequence[str], limbs: str | Iterable[tuple[int, int]], center: str = "neck"
) -> Layout:
    members: dict[str, list[int]] = {}
    for v, joint in enumerate(joints):
        members.setdefault(_region(joint), []).append(v)
    return make(name, joints, limbs, center, regions=members)


# The graph of the official starting kit takes 1-based joint numbers for 0-based ones: the nose has no
# neighbour and each hand is connected to the wrong joint. It is here to reproduce that baseline.
OFFICIAL_LIMBS = [(2, 1), (2, 3), (3, 4), (4, 5), (2, 6), (6, 7), (7, 8), (1, 9), (9, 11), (1, 10), (10, 11)]
OFFICIAL_LIMBS += [(5, v) for v in range(12, 17)] + [(8, v) for v in range(17, 22)]

_LAYOUTS = {
    layout.name: layout
    for layout in (
        _openpose(
            "openpose137",
            OPENPOSE_137,
            f"{BODY_25_LIMBS} {_face_limbs()} {HANDS_LIMBS}",
        ),
        _openpose("body25", BODY_25, BODY_25_LIMBS),
        _openpose("light_hand35", LIGHT_HAND_35, f"{BODY_25_LIMBS} {FINGERTIPS}"),
        _openpose("imigue22", IMIGUE_22, f"{ARMS} {HEAD} {FINGERTIPS}"),
        _openpose("imigue41", IMIGUE_22 + FACE_19, f"{ARMS} {HEAD} {FINGERTIPS} {FACE_19_LIMBS}"),
        _openpose("imigue22_official", IMIGUE_22, OFFICIAL_LIMBS),
        # As in ST-GCN's graph, the hips are connected to the shoulders.
        _openpose(
            "openpose18", OPENPOSE_18, f"{ARMS} {HEAD} right_shoulder-right_hip left_shoulder-left_hip {LEGS}"
        ),
        _openpose("coco17", COCO_17, COCO_17_LIMBS, center="nose"),
        _openpose(
            "wholebody133",
            WHOLEBODY_133,
            f"{COCO_17_LIMBS} {FEET} {_face_limbs(pupils=False)} {HANDS_LIMBS}",
            center="nose",
        ),
        _openpose("kinect25", KINECT_25, KINECT_25_LIMBS, center="spine_shoulder"),
    )
}


MAX_FILE_SIZE = 2**20
"""Bytes of a layout in a file; 137 joints take about 10,000."""
FILE_NAME = re.compile(r"\w[\w.+-]{0,59}")
"""The pattern of a layout's name in a file, since folders are named after it."""

PARTITIONS = ("uniform", "distance", "spatial")
"""Ways to partition the neighbours of a joint, see ``partitions``."""


def names() -> list[str]:
    """The names that ``get`` knows."""
    return list(_LAYOUTS)


def get(name: str) -> Layout:
    """The layout with that name, or the one in the JSON file with that path.

    Raises:
        ValueError: an unknown name, where the message lists the known ones; or as ``read`` does.
    """
    if is_file(name):
        return read(name)
    if name not in _LAYOUTS:
        raise ValueError(
            f"layout {name[:100]!r} is unknown; known are {', '.join(_LAYOUTS)}; give one of your own as the path of a .json file"
        )
    return _LAYOUTS[name]


def is_file(name: str) -> bool:
    """Whether a layout is given as the path of a file, not by its name."""
    return name.lower().endswith(".json")


def save(layout: Layout, path: str | Path) -> Path:
    """Write a layout as a JSON file, which ``read`` and every parameter ``layout`` take. Gives the path,
    which must end with .json.

    The file names joints, so it can be written and corrected by hand: ``name``, ``joints`` (in the order of
    the keypoints), ``limbs`` (pairs of joints), ``center``, ``mirror`` (the mirror image of each joint that
    is not its own) and ``regions`` (joints by region).

    Raises:
        ValueError: another ending, or a layout of two persons.
        OSError: as ``atomic.file`` does.
    """
    path = Path(path)
    if layout.single_person or not is_file(path.name):
        raise ValueError(f"{path}: save the layout of one person, in a file that ends with .json")
    joints = layout.joints
    mirror = {joints[v]: joints[m] for v, m in enumerate(layout.mirror) if v != m}
    regions = {region: [joints[v] for v in members] for region, members in layout.regions.items()}
    content: dict[str, Any] = {
        "name": layout.name,
        "joints": joints,
        "limbs": [[joints[a], joints[b]] for a, b in layout.limbs],
    }
    content |= {"center": joints[layout.center], "mirror": mirror, "regions": regions}
    lines = (f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items())
    with atomic.file(path) as unfinished:
        unfinished.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return path


def read(path: str | Path) -> Layout:
    """The layout in a JSON file, see ``save``. ``mirror`` and ``regions`` may be left out, as in ``make``.

    Raises:
        ValueError: the file is not there or not such a file, one of its names is not a joint, a joint or limb
            is there twice, or the mirror does not map limbs onto limbs.
    """
    path = Path(path).expanduser()
    try:
        if path.stat().st_size > MAX_FILE_SIZE:
            raise ValueError(f"it has more than {MAX_FILE_SIZE} bytes")
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path}: the layout cannot be read ({reason}); give a JSON file as `layouts.save` writes it"
        ) from None
    if not isinstance(content, dict) or (
        lacking := [key for key in ("joints", "limbs", "center") if key not in content]
    ):
        wanted = f"has no {lacking[0]!r}" if isinstance(content, dict) else "is not a JSON object"
        raise ValueError(
            f"{path}: {wanted}; a layout has joints, limbs and center, and may have name, mirror and regions"
        )
    layout = _from_names(path, content)
    if not FILE_NAME.fullmatch(layout.name) or _LAYOUTS.get(layout.name, layout) != layout:
        rule = (
            "is that of another layout"
            if layout.name in _LAYOUTS
            else "must be up to 60 letters, digits and . _ + -"
        )
        raise ValueError(f"{path}: name {layout.name[:100]!r} {rule}; give the layout another `name`")
    return layout


def _from_names(path: Path, content: Mapping[str, Any]) -> Layout:
    """The layout with the names in a file."""
    joints, mirror, regions = content["joints"], content.get("mirror"), content.get("regions")
    of_names = {
        "joints": joints,
        **({f"region {name}": of for name, of in regions.items()} if isinstance(regions, dict) else {}),
        "center": [content["center"]],
    }
    limbs = content["limbs"] if isinstance(content["limbs"], list) else [content["limbs"]]
    of_names |= {f"limb {number}": limb for number, limb in enumerate(limbs)}
    of_names |= {"mirror": [*mirror, *mirror.values()]} if isinstance(mirror, dict) else {}
    for what, names in of_names.items():
        empty = not names and what != "mirror"
        if (
            not isinstance(names, list)
            or empty
            or not all(isinstance(name, str) and name.isprintable() for name in names)
        ):
            raise ValueError(
                f"{path}: {what:.80} must be a list of names of joints, found {json.dumps(names)[:100]}"
            )
        if unknown := [name for name in names if name not in joints]:
            raise ValueError(
                f"{path}: {what:.80}: {unknown[0]!r:.80} is not one of its {len(joints)} joints; correct the name"
            )
        if what.startswith("limb ") and len(names) != 2:
            raise ValueError(f"{path}: {what} must be two joints, found {json.dumps(names)[:100]}")
    for what, given in {"mirror": mirror, "regions": regions}.items():
        if not isinstance(given, dict | None):
            raise ValueError(
                f"{path}: {what} must be a JSON object, found {json.dumps(given)[:100]}; correct it, or leave it out"
            )
    if wrong := [name for name in regions or () if not name.isprintable() or not name]:
        raise ValueError(
            f"{path}: region {wrong[0]!r:.80} is no name; give it a name of printable characters"
        )
    index = {joint: v for v, joint in enumerate(joints)}
    pairs = [(index[a], index[b]) for a, b in limbs]
    images = None if mirror is None else [index[mirror.get(joint, joint)] for joint in joints]
    members = (
        None
        if regions is None
        else {region: [index[joint] for joint in of] for region, of in regions.items()}
    )
    try:
        layout = make(str(content.get("name", path.stem)), joints, pairs, content["center"], images, members)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    connected = {frozenset(limb) for limb in layout.limbs}
    for a, b in layout.limbs:
        if frozenset((layout.mirror[a], layout.mirror[b])) not in connected:
            image = f"{joints[layout.mirror[a]]}-{joints[layout.mirror[b]]}"
            raise ValueError(
                f"{path}: the mirror image of limb {joints[a]}-{joints[b]}, {image}, is not a limb; add it, or correct `mirror`"
            )
    return layout


def pair(layout: Layout) -> Layout:
    """The layout of two persons: the joints of one, then those of the other, whose names end with `` 2``."""
    count = len(layout.joints)

    def twice(indices: Iterable[int]) -> tuple[int, ...]:
        return tuple(v + first for first in (0, count) for v in indices)

    limbs = tuple((a + first, b + first) for first in (0, count) for a, b in layout.limbs)
    regions = MappingProxyType({region: twice(members) for region, members in layout.regions.items()})
    joints = (*layout.joints, *(f"{joint} 2" for joint in layout.joints))
    return Layout(f"{layout.name}-2", joints, limbs, twice(layout.mirror), regions, layout.center, layout)


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
    """Indices into the joints of ``source`` that give the joints of ``target``, matched by name: (V of
    target,) int.

    Raises ValueError where joints are missing in ``source``, which the message names, or where it has one
    person and ``target`` two.
    """
    if target.persons > source.persons:
        raise ValueError("two persons were requested, and the data have one in each clip; set `persons` to 1")
    index = {joint: v for v, joint in enumerate(source.joints)}
    if missing := [joint for joint in target.joints if joint not in index]:
        shown = ", ".join(missing[:3]) + ("…" if len(missing) > 3 else "")
        raise ValueError(
            f"layout {target.name!r} needs {len(missing)} joints that {source.name!r} does not have ({shown})"
        )
    return np.array([index[joint] for joint in target.joints])


def to_openpose137(
    keypoints: Float[np.ndarray, "*shape V 3"], joints: Sequence[str] = WHOLEBODY_133
) -> Float[np.ndarray, "*shape 137 3"]:
    """The joints of OpenPose from those of COCO-WholeBody, or of another detector that gives them the same
    names.

    Neck and mid hip, where they are not among ``joints``, are the means of the shoulders and of the hips,
    with the smaller of the two scores; if one of the two is missing, so is the mean. All other joints that
    are not there, such as the pupils, are missing (zeros).
    """
    index = {joint: v for v, joint in enumerate(joints)}
    mapped = np.zeros((*keypoints.shape[:-2], len(OPENPOSE_137), 3), keypoints.dtype)
    for joint, of in MEANS.items():
        two = keypoints[..., [index[name] for name in of], :]
        mean = np.concatenate([two[..., :2].mean(-2), two[..., 2].min(-1, keepdims=True)], -1)
        mapped[..., OPENPOSE_137.index(joint), :] = np.where(
            (two[..., 2] > 0).all(-1, keepdims=True), mean, 0
        )
    there = [v for v, joint in enumerate(OPENPOSE_137) if joint in index]
    mapped[..., there, :] = keypoints[..., [index[OPENPOSE_137[v]] for v in there], :]
    return mapped


def partitions(layout: Layout, partition: str = "spatial") -> np.ndarray:
    """The neighbourhood of each joint, split into P partitions: the normalised adjacency matrices of ST-GCN.

    Args:
        partition: ``uniform`` (P = 1: a joint and its neighbours together), ``distance`` (P = 2: the joint
            itself; its neighbours) or ``spatial`` (P = 3: the joint itself; its neighbours at the same or a
            larger distance from the centre; its neighbours nearer to the centre). All joints two limbs or
            more from the centre count as equally far from it.

    Returns:
        (P, V, V) float32. Entry [p, u, v] is the weight of joint u in the new value of joint v. For each v,
        the sum over p and u is 1.

    Raises:
        ValueError: an unknown partition.

    Source: Yan et al., Spatial Temporal Graph Convolutional Networks, AAAI 2018, and its published code, to
    which these are equal. The paper's section 3.3 does not limit the distance to two limbs; the code does,
    and the published weights were trained with it.
    """
    itself, neighbours = np.eye(len(layout.joints)), layout.adjacency
    share = (itself + neighbours) / (1 + neighbours.sum(0))
    # Partition 2 goes from a limb's outer end to its inner end, partition 3 the other way. The published code
    # does not measure distances above one limb: the ends of a limb further out count as equally far, so both
    # ways are in partition 2.
    to_center = np.minimum(layout.distances[:, layout.center], 2)
    outer = neighbours & (to_center[:, None] >= to_center[None, :])
    if partition not in PARTITIONS:
        raise ValueError(f"partition must be one of {', '.join(PARTITIONS)}, got {partition!r}")
    subsets = {
        "uniform": [itself + neighbours],
        "distance": [itself, neighbours],
        "spatial": [itself, outer, neighbours & ~outer],
    }
    return (np.stack(subsets[partition]) * share).astype(np.float32)
