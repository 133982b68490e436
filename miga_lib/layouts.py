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
        """Itself: networks that hold a layout are copied, and a read-only mapping cannot be."""
        return self

    @property
    def persons(self) -> int:
        """How many persons the joints belong to."""
        return 2 if self.single_person else 1

    @cached_property
    def adjacency(self) -> np.ndarray:
        """Whether two joints share a limb: (V, V) bool, symmetric, False on the diagonal."""
        adjacency = np.zeros((len(self.joints), len(self.joints)), dtype=bool)
        first, second = np.array(self.limbs).T
        adjacency[first, second] = adjacency[second, first] = True
        return adjacency

    @cached_property
    def distances(self) -> np.ndarray:
        """Number of limbs on the shortest path between two joints: (V, V) float; ``inf``: no path."""
        from scipy.sparse.csgraph import shortest_path

        return shortest_path(self.adjacency, unweighted=True)

    @cached_property
    def parents(self) -> np.ndarray:
        """For each joint the neighbour on its shortest path to the centre, or the joint itself where there is
        none: (V,) int."""
        if self.single_person:
            parents = self.single_person.parents
            return np.concatenate([parents, parents + len(parents)])
        to_center = self.distances[:, self.center]
        nearer = self.adjacency & (to_center[None, :] < to_center[:, None])
        return np.where(nearer.any(1), nearer.argmax(1), np.arange(len(self.joints)))


def _sided(pattern: str, sides: str = "left right") -> str:
    """The pattern once for each side, whose name takes the place of ``*``."""
    return " ".join(pattern.replace("*", side) for side in sides.split())


def _down(name: str, count: int) -> str:
    """A chain of numbered joints, the highest number first."""
    return "-".join(f"{name}_{i}" for i in range(count, 0, -1))


BODY_25 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip right_hip "
    "right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear left_big_toe "
    "left_small_toe left_heel right_big_toe right_small_toe right_heel"
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
    *"right_lip_corner right_upper_lip_2 right_upper_lip_1 upper_lip left_upper_lip_1".split(),
    *"left_upper_lip_2 left_lip_corner left_lower_lip_2 left_lower_lip_1 lower_lip right_lower_lip_1".split(),
    *"right_lower_lip_2 right_mouth_corner right_upper_mouth upper_mouth left_upper_mouth".split(),
    *"left_mouth_corner left_lower_mouth lower_mouth right_lower_mouth right_pupil left_pupil".split(),
]
FINGERS = ("thumb", "index", "middle", "ring", "little")
HAND_21 = ["hand", *(f"{finger}_{i}" for finger in FINGERS for i in range(1, 5))]
FINGERTIPS = [f"{side}_{finger}_4" for side in ("left", "right") for finger in FINGERS]
OPENPOSE_137 = [*BODY_25, *FACE_70, *(f"{side}_{part}" for side in ("left", "right") for part in HAND_21)]
IMIGUE_22 = [*BODY_25[:8], *BODY_25[15:19], *FINGERTIPS]
# The paper names the regions of its 19 landmarks (cheeks, eyebrows, lips) and not the points. Ours are spread
# evenly along the jaw and the brows; the lips take their corners, their bows and, at the mouth's opening, the
# inner edge.
FACE_19 = (
    "right_jaw_6 right_jaw_3 chin left_jaw_3 left_jaw_6 "
    "right_brow_1 right_brow_3 right_brow_5 left_brow_5 left_brow_3 left_brow_1 "
    "right_lip_corner right_upper_lip_1 upper_mouth left_upper_lip_1 left_lip_corner "
    "left_lower_lip_1 lower_mouth right_lower_lip_1"
).split()
OPENPOSE_18 = [*BODY_25[:8], *BODY_25[9:19]]
COCO_17 = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
).split()
# The joints of a Kinect v2. They have names of their own where a joint of OpenPose is another point: its neck
# is the spine between the shoulders, and its hands begin at the wrist. The Kinect's neck is higher, at the
# throat.
KINECT_25 = (
    "spine_base spine_mid spine_neck head left_shoulder left_elbow left_wrist left_palm right_shoulder "
    "right_elbow right_wrist right_palm left_hip left_knee left_ankle left_foot right_hip right_knee "
    "right_ankle right_foot spine_shoulder left_hand_tip left_thumb right_hand_tip right_thumb"
).split()
# The joints of COCO-WholeBody, which has no pupils; and the same with a neck, in the order that rtmlib and
# MMPose call "openpose".
_FEET_FACE_HANDS = [*BODY_25[19:], *FACE_70[:68], *OPENPOSE_137[95:]]
WHOLEBODY_133 = [*COCO_17, *_FEET_FACE_HANDS]
WHOLEBODY_134 = [*OPENPOSE_18, *_FEET_FACE_HANDS]
# The joints of Halpe, and those of them that a skeleton release of Micro-Action-52 has. That release numbers
# no joints: their order is that of the bones in its authors' code, the fingertips from the thumb on.
HALPE_26 = [*COCO_17, "head_top", "neck", "mid_hip"]
HALPE_26 += [f"{side}_{part}" for part in ("big_toe", "small_toe", "heel") for side in ("left", "right")]
HALPE_136 = [*HALPE_26, *FACE_70[:68], *OPENPOSE_137[95:]]
MA_44 = [*HALPE_26, *(FACE_70[i] for i in (28, 33, 36, 45, 51, 57))]
MA_44 += [f"{side}_{HAND_21[i]}" for side in ("left", "right") for i in range(0, 21, 4)]
MEANS = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
"""The joints of OpenPose that are means of two others if a detector does not have them."""

ARMS = _sided("neck-*_shoulder-*_elbow-*_wrist", "right left")
LEGS = _sided("*_hip-*_knee-*_ankle", "right left")
HEAD = "neck-nose-right_eye-right_ear nose-left_eye-left_ear"
FEET = _sided("*_ankle-*_big_toe-*_small_toe *_ankle-*_heel")
FINGERTIP_LIMBS = _sided(" ".join(f"*_wrist-*_{finger}_4" for finger in FINGERS))
FINGER_LIMBS = " ".join("*_hand-" + "-".join(f"*_{finger}_{i}" for i in range(1, 5)) for finger in FINGERS)
HANDS_LIMBS = _sided(f"*_wrist-*_hand {FINGER_LIMBS}")
EYELID = "-".join(f"*_eye_{part}" for part in (*EYE, EYE[0]))
# The contours of the landmarks, each connected to the nearest joint of the head.
FACE_LIMBS = (
    f"nose-{_down('nose_bridge', 4)} nose-nose_base-upper_lip-upper_mouth chin-lower_lip-lower_mouth "
) + _sided(
    f"*_ear-{_down('*_jaw', 8)}-chin nose_bridge_1-{_down('*_brow', 5)} *_eye-*_pupil-*_eye_inner "
    f"{EYELID} nose_base-*_nostril_1-*_nostril_2 upper_lip-*_upper_lip_1-*_upper_lip_2-*_lip_corner "
    "lower_lip-*_lower_lip_1-*_lower_lip_2-*_lip_corner upper_mouth-*_upper_mouth-*_mouth_corner "
    "lower_mouth-*_lower_mouth-*_mouth_corner",
    "right left",
)
FACE_19_LIMBS = (
    f"{_sided('*_ear-*_jaw_6-*_jaw_3-chin', 'right left')} "
    f"{_sided('*_eye-*_brow_3-*_brow_1 *_brow_3-*_brow_5', 'right left')} "
    "nose-upper_mouth-right_upper_lip_1-right_lip_corner upper_mouth-left_upper_lip_1-left_lip_corner "
    "chin-lower_mouth-right_lower_lip_1-right_lip_corner lower_mouth-left_lower_lip_1-left_lip_corner"
)
BODY_25_LIMBS = f"{ARMS} {HEAD} neck-mid_hip-right_hip mid_hip-left_hip {LEGS} {FEET}"
IMIGUE_22_LIMBS = f"{ARMS} {HEAD} {FINGERTIP_LIMBS}"
# The graph of the official starting kit takes 1-based joint numbers for 0-based ones: the nose has no
# neighbour and each hand is connected to the wrong joint. It is here to reproduce that baseline.
OFFICIAL_LIMBS = [(2, 1), (2, 3), (3, 4), (4, 5), (2, 6), (6, 7), (7, 8), (1, 9), (9, 11), (1, 10), (10, 11)]
OFFICIAL_LIMBS += [(5, v) for v in range(12, 17)] + [(8, v) for v in range(17, 22)]
# As in PySkl, the shoulders and eyes are connected to the nose.
COCO_17_LIMBS = (
    f"{_sided('nose-*_shoulder-*_elbow-*_wrist')} {_sided('*_shoulder-*_hip-*_knee-*_ankle')} "
    f"{_sided('nose-*_eye-*_ear')} left_hip-right_hip"
)
# As in ST-GCN's graph, the hips are connected to the shoulders.
OPENPOSE_18_LIMBS = f"{ARMS} {HEAD} {_sided('*_shoulder-*_hip', 'right left')} {LEGS}"
HALPE_26_LIMBS = f"{BODY_25_LIMBS} neck-head_top"
MA_44_LIMBS = f"{HALPE_26_LIMBS} nose-nose_bridge_2 nose-nose_base-upper_lip-lower_lip " + _sided(
    "*_eye-*_eye_outer *_wrist-*_hand " + " ".join(f"*_hand-*_{finger}_4" for finger in FINGERS)
)
WITHOUT_PUPILS = re.sub("-[a-z]+_pupil", "", FACE_LIMBS)
KINECT_25_LIMBS = "head-spine_neck-spine_shoulder-spine_mid-spine_base " + _sided(
    "spine_shoulder-*_shoulder-*_elbow-*_wrist-*_palm-*_hand_tip *_palm-*_thumb "
    "spine_base-*_hip-*_knee-*_ankle-*_foot"
)
REGIONS = {
    "*_hand": (*FINGERS, "hand", "palm"),
    "*_arm": ("elbow", "wrist"),
    "lower_body": ("mid_hip", "hip", "knee", "ankle", "big_toe", "small_toe", "heel", "foot", "spine_base"),
    "torso": ("neck", "shoulder", "spine"),
    "jaw": ("jaw", "chin"),
    "brows": ("brow",),
    "lips": ("lip", "upper", "lower", "mouth"),
    "head": ("",),
}
"""How the names of a region's joints begin, without their side. A joint is in the first region that fits."""


def _regions(joints: Sequence[str]) -> dict[str, list[int]]:
    """The joints of each region, for the joint names of this module."""
    members: dict[str, list[int]] = {}
    for v, joint in enumerate(joints):
        part = re.sub("^(left|right)_", "", joint)
        region = next(region for region, beginnings in REGIONS.items() if part.startswith(beginnings))
        members.setdefault(region.replace("*", joint.partition("_")[0]), []).append(v)
    return members


def make(
    name: str,
    joints: Sequence[str],
    limbs: str | Iterable[Sequence[str | int]],
    center: str | int,
    mirror: Sequence[str | int] | None = None,
    regions: Mapping[str, Sequence[str | int]] | None = None,
) -> Layout:
    """Make a layout from the names of its joints, and check it. Joints are given by name or index.

    Args:
        joints: V different names, in the order of axis V of the keypoints.
        limbs: pairs of joints, or chains of names such as ``"neck-nose neck-left_shoulder-left_elbow"``.
        center: the root of the graph.
        mirror: the mirror images of all joints; by default ``left_x`` and ``right_x`` swap.
        regions: names for groups of joints; by default one region, ``all``.

    Raises ValueError for what is no joint, a limb given twice, or a mirror that is not its own inverse.
    """
    count, index = len(joints), {joint: v for v, joint in enumerate(joints)}

    def numbers(members: Iterable[str | int]) -> tuple[int, ...]:
        members = list(members)
        if unknown := [joint for joint in members if isinstance(joint, str) and joint not in index]:
            raise ValueError(f"layout {name!r}: {unknown[0]!r:.80} is not one of its {count} joints")
        indices = [index[joint] if isinstance(joint, str) else int(joint) for joint in members]
        if wrong := [v for v in indices if not 0 <= v < count]:
            raise ValueError(f"layout {name!r}: joints are numbered 0 to {count - 1}, found {wrong[0]}")
        return tuple(indices)

    if twice := [joint for v, joint in enumerate(joints) if index[joint] != v]:
        raise ValueError(f"layout {name!r}: joint names must differ, found {twice[0]!r:.80} twice")
    if isinstance(limbs, str):
        limbs = [limb for chain in limbs.split() for limb in itertools.pairwise(chain.split("-"))]
    pairs = [numbers(limb) for limb in limbs]
    different = {frozenset(limb) for limb in pairs}
    if not pairs or len(different) != len(pairs) or any(len(set(limb)) != 2 for limb in pairs):
        raise ValueError(f"layout {name!r}: limbs must be different pairs of different joints, at least one")
    if mirror is None:
        swap = {"left_": "right_", "right_": "left_"}
        mirror = [re.sub("^(left|right)_", lambda side: swap[side[0]], joint) for joint in joints]
        for joint, image in zip(joints, mirror, strict=True):
            if image not in index:
                rule = f"has no mirror image: {image!r:.80} is not among the joints; give `mirror` yourself"
                raise ValueError(f"joint {joint!r:.80} {rule}")
    images = numbers(mirror)
    if len(images) != count or any(images[image] != v for v, image in enumerate(images)):
        raise ValueError(f"layout {name!r}: mirror must be its own inverse over all {count} joints")
    members = {region: numbers(part) for region, part in (regions or {"all": range(count)}).items()}
    (root,) = numbers([center])
    ends = tuple((a, b) for a, b in pairs)
    return Layout(name, tuple(joints), ends, images, MappingProxyType(members), root)


_ROWS: dict[str, tuple[list[str], str | list[tuple[int, int]], str]] = {
    "openpose137": (OPENPOSE_137, f"{BODY_25_LIMBS} {FACE_LIMBS} {HANDS_LIMBS}", "neck"),
    "body25": (BODY_25, BODY_25_LIMBS, "neck"),
    "light_hand35": (BODY_25 + FINGERTIPS, f"{BODY_25_LIMBS} {FINGERTIP_LIMBS}", "neck"),
    "imigue22": (IMIGUE_22, IMIGUE_22_LIMBS, "neck"),
    "imigue41": (IMIGUE_22 + FACE_19, f"{IMIGUE_22_LIMBS} {FACE_19_LIMBS}", "neck"),
    "imigue22_official": (IMIGUE_22, OFFICIAL_LIMBS, "neck"),
    "openpose18": (OPENPOSE_18, OPENPOSE_18_LIMBS, "neck"),
    "coco17": (COCO_17, COCO_17_LIMBS, "nose"),
    "wholebody133": (WHOLEBODY_133, f"{COCO_17_LIMBS} {FEET} {WITHOUT_PUPILS} {HANDS_LIMBS}", "nose"),
    "kinect25": (KINECT_25, KINECT_25_LIMBS, "spine_shoulder"),
    "ma28": (OPENPOSE_18 + FINGERTIPS, f"{OPENPOSE_18_LIMBS} {FINGERTIP_LIMBS}", "neck"),
    "ma44": (MA_44, MA_44_LIMBS, "neck"),
    "halpe136": (HALPE_136, f"{HALPE_26_LIMBS} {WITHOUT_PUPILS} {HANDS_LIMBS}", "neck"),
}
_LAYOUTS = {name: make(name, *row, regions=_regions(row[0])) for name, row in _ROWS.items()}

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
    """The layout with that name, or in the JSON file with that path. Raises ValueError for an unknown name,
    and as ``read`` does."""
    if is_file(name):
        return read(name)
    if name not in _LAYOUTS:
        way_out = "give one of your own as the path of a .json file"
        raise ValueError(f"layout {name[:100]!r} is unknown; known are {', '.join(_LAYOUTS)}; {way_out}")
    return _LAYOUTS[name]


def is_file(name: str) -> bool:
    """Whether a layout is given as the path of a file, not by its name."""
    return name.lower().endswith(".json")


def save(layout: Layout, path: str | Path) -> Path:
    """Write a layout as a JSON file, which ``read`` and every parameter ``layout`` take. Gives the path,
    which must end with .json; a file that is there is replaced.

    The file names joints, so it can be written and corrected by hand: ``name``, ``joints`` (in the order of
    the keypoints), ``limbs`` (pairs of joints), ``center``, ``mirror`` (the mirror image of each joint that
    is not its own) and ``regions`` (joints by region). Raises ValueError for another ending, or a layout of
    two persons.
    """
    path, joints = Path(path), layout.joints
    if layout.single_person or not is_file(path.name):
        raise ValueError(f"{path}: save the layout of one person, in a file that ends with .json")
    content = {
        "name": layout.name,
        "joints": joints,
        "limbs": [[joints[a], joints[b]] for a, b in layout.limbs],
        "center": joints[layout.center],
        "mirror": {joints[v]: joints[image] for v, image in enumerate(layout.mirror) if v != image},
        "regions": {region: [joints[v] for v in members] for region, members in layout.regions.items()},
    }
    lines = (f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items())
    atomic.write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
    return path


def read(path: str | Path) -> Layout:
    """The layout in a JSON file, see ``save``. ``mirror`` and ``regions`` may be left out, as in ``make``.

    Raises ValueError as ``make`` does, for another file, and where the mirror does not map limbs onto limbs.
    """
    path = Path(path).expanduser()
    try:
        if path.stat().st_size > MAX_FILE_SIZE:
            raise ValueError(f"it has more than {MAX_FILE_SIZE} bytes")
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(getattr(error, "strerror", error)).split())[:200]
        way_out = "give a JSON file as `layouts.save` writes it"
        raise ValueError(f"{path}: the layout cannot be read ({reason}); {way_out}") from None
    try:
        _check_content(content)
        joints, mirror, name = content["joints"], content.get("mirror"), str(content.get("name", path.stem))
        if not FILE_NAME.fullmatch(name):
            rule = "must be up to 60 letters, digits and . _ + -"
            raise ValueError(f"name {name[:100]!r} {rule}; give the layout another `name`")
        images = None if mirror is None else [mirror.get(joint, joint) for joint in joints]
        layout = make(name, joints, content["limbs"], content["center"], images, content.get("regions"))
        if _LAYOUTS.get(name, layout) != layout:
            raise ValueError(f"name {name!r} is that of another layout; give the layout another `name`")
        connected = {frozenset(limb) for limb in layout.limbs}
        for limb in layout.limbs:
            image = [layout.mirror[v] for v in limb]
            if frozenset(image) not in connected:
                own, other = ("-".join(joints[v] for v in ends) for ends in (limb, image))
                rule = f"the mirror image of limb {own:.80}, {other:.80}, is not a limb"
                raise ValueError(f"{rule}; add it, or correct `mirror`")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return layout


def _check_content(content: Any) -> None:
    """Raises ValueError where a part is missing, of another type, or names what is not a joint."""
    parts = "a layout has joints, limbs and center, and may have name, mirror and regions"
    if not isinstance(content, dict):
        raise ValueError(f"is not a JSON object; {parts}")
    if lacking := [key for key in ("joints", "limbs", "center") if key not in content]:
        raise ValueError(f"has no {lacking[0]!r}; {parts}")
    for key in content:
        if key not in ("name", "joints", "limbs", "center", "mirror", "regions"):
            raise ValueError(f"has {key!r:.100}; {parts}: correct the name, or remove it")
    for part in ("mirror", "regions"):
        if not isinstance(content.get(part), dict | None):
            value = json.dumps(content[part])[:100]
            raise ValueError(f"{part} must be a JSON object, found {value}; correct it, or leave it out")
    mirror, regions = content.get("mirror") or {}, content.get("regions") or {}
    if wrong := [region for region in regions if not region.isprintable() or not region]:
        raise ValueError(f"region {wrong[0]!r:.80} is no name; give it a name of printable characters")
    _check_names("joints", content["joints"])
    joints = frozenset(content["joints"])
    _check_names("center", [content["center"]], joints)
    _check_names("mirror", [*mirror, *mirror.values(), content["center"]], joints)
    for region, members in regions.items():
        _check_names(f"region {region}", members, joints)
    if not isinstance(content["limbs"], list):
        raise ValueError(f"limbs must be a list of pairs, found {json.dumps(content['limbs'])[:100]}")
    for number, limb in enumerate(content["limbs"]):
        _check_names(f"limb {number}", limb, joints)
        if len(limb) != 2:
            raise ValueError(f"limb {number} must be two joints, found {json.dumps(limb)[:100]}")


def _check_names(part: str, value: Any, joints: frozenset[str] | None = None) -> None:
    """Raises ValueError for what is not a list of names, or not of ``joints``."""
    texts = isinstance(value, list) and all(isinstance(name, str) and name.isprintable() for name in value)
    if not texts or not value:
        shown = json.dumps(value)[:100]
        raise ValueError(f"{part:.80} must be a list of names of joints, found {shown}")
    if joints and (unknown := [name for name in value if name not in joints]):
        rule = f"is not one of its {len(joints)} joints; correct the name"
        raise ValueError(f"{part:.80}: {unknown[0]!r:.80} {rule}")


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
    """Indices into the joints of ``source`` that give those of ``target``, by name: (V of target,) int.

    Raises ValueError where joints, or the second person, are missing in ``source``.
    """
    if target.persons > source.persons:
        raise ValueError("two persons were requested, and the data have one in each clip; set `persons` to 1")
    index = {joint: v for v, joint in enumerate(source.joints)}
    if missing := [joint for joint in target.joints if joint not in index]:
        shown = ", ".join(missing[:3]) + "…" * (len(missing) > 3)
        rule = f"needs {len(missing)} joints that {source.name!r} does not have ({shown})"
        raise ValueError(f"layout {target.name!r} {rule}")
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
    for joint, ends in MEANS.items():
        two = keypoints[..., [index[end] for end in ends], :]
        mean = np.concatenate([two[..., :2].mean(-2), two[..., 2].min(-1, keepdims=True)], -1)
        present = (two[..., 2] > 0).all(-1, keepdims=True)
        mapped[..., OPENPOSE_137.index(joint), :] = np.where(present, mean, 0)
    shared = [v for v, joint in enumerate(OPENPOSE_137) if joint in index]
    mapped[..., shared, :] = keypoints[..., [index[OPENPOSE_137[v]] for v in shared], :]
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
    # Partition 2 goes from a limb's outer end to its inner end, partition 3 the other way. The ends of a limb
    # further out count as equally far, so both ways are in partition 2.
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
