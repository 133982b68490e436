"""Laws of all layouts, and facts of OpenPose that a wrong index would break."""

import json

import numpy as np
import pytest

from miga_lib import layouts

COUNTS = {
    "openpose137": 137, "body25": 25, "light_hand35": 35, "imigue22": 22, "imigue41": 41,
    "imigue22_official": 22, "openpose18": 18, "coco17": 17, "wholebody133": 133, "kinect25": 25,
    "ma28": 28, "ma44": 44, "halpe136": 136,
}  # fmt: skip
NAMES = list(COUNTS)
SOUND = [name for name in NAMES if name != "imigue22_official"]


def limb_set(layout):
    return {frozenset(limb) for limb in layout.limbs}


def test_every_documented_layout_exists():
    assert {name: len(layouts.get(name).joints) for name in layouts.names()[: len(NAMES)]} == COUNTS


@pytest.mark.parametrize("name", NAMES)
def test_mirror_is_its_own_inverse_and_swaps_sides(name):
    layout = layouts.get(name)
    assert [layout.mirror[m] for m in layout.mirror] == list(range(len(layout.joints)))
    swap = str.maketrans("LR", "RL")
    sides = [joint.replace("left_", "L_").replace("right_", "R_") for joint in layout.joints]
    assert [sides[m] for m in layout.mirror] == [joint.translate(swap) for joint in sides]


@pytest.mark.parametrize("name", SOUND)
def test_mirror_maps_limbs_onto_limbs(name):
    layout = layouts.get(name)
    assert {frozenset(layout.mirror[v] for v in limb) for limb in layout.limbs} == limb_set(layout)


@pytest.mark.parametrize("name", SOUND)
def test_graph_is_connected(name):
    assert np.isfinite(layouts.get(name).distances).all()


@pytest.mark.parametrize("name", NAMES)
def test_regions_name_every_joint_once(name):
    layout = layouts.get(name)
    assert sorted(v for members in layout.regions.values() for v in members) == list(
        range(len(layout.joints))
    )


@pytest.mark.parametrize("name", SOUND)
def test_parents_lead_to_the_centre(name):
    layout = layouts.get(name)
    parents = layout.parents
    walk = np.arange(len(layout.joints))
    for _ in range(len(layout.joints)):
        walk = parents[walk]
    assert (walk == layout.center).all()


def test_the_official_graph_has_its_published_faults():
    official = layouts.get("imigue22_official")
    assert not official.adjacency[0].any(), "the nose has no neighbour"
    assert official.joints == layouts.get("imigue22").joints
    assert {frozenset(official.mirror[v] for v in limb) for limb in official.limbs} != limb_set(official)


def test_imigue22_are_the_first_joints_of_imigue41():
    assert layouts.get("imigue41").joints[:22] == layouts.get("imigue22").joints
    assert limb_set(layouts.get("imigue22")) < limb_set(layouts.get("imigue41"))


def test_imigue22_takes_the_published_columns_of_body25_and_light_hand():
    body, light, small = (layouts.get(name) for name in ("body25", "light_hand35", "imigue22"))
    upper = layouts.make("upper", small.joints[:12], [(0, 1)], 0)
    assert layouts.selection(body, upper).tolist() == [*range(8), *range(15, 19)]
    assert layouts.selection(light, small).tolist() == [*range(8), *range(15, 19), *range(25, 35)]


def test_landmarks_have_the_indices_of_openpose():
    """Face landmark i is keypoint 25 + i; the hands start at 95 (left) and 116 (right), fingertips every
    fourth point."""
    face = {
        "chin": 8, "right_jaw_8": 0, "left_jaw_8": 16, "right_brow_1": 17, "left_brow_1": 26, "nose_base": 33,
        "right_eye_outer": 36, "left_eye_outer": 45, "right_lip_corner": 48, "left_lip_corner": 54,
        "upper_mouth": 62, "lower_mouth": 66, "left_pupil": 69,
    }  # fmt: skip
    hands = {
        "left_hand": 95,
        "left_thumb_4": 99,
        "left_little_4": 115,
        "right_hand": 116,
        "right_index_4": 124,
    }
    expected = {joint: 25 + landmark for joint, landmark in face.items()} | hands
    joints = layouts.get("openpose137").joints
    assert {joint: joints.index(joint) for joint in expected} == expected


def test_selection_names_what_is_missing():
    message = (
        r"'imigue41' needs 19 joints that 'light_hand35' does not have \(right_jaw_6, right_jaw_3, chin…\)"
    )
    with pytest.raises(ValueError, match=message):
        layouts.selection(layouts.get("light_hand35"), layouts.get("imigue41"))


def test_unknown_layout_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"layout 'imigue23' is unknown; known are openpose137, .*coco17"):
        layouts.get("imigue23")


def test_partitions_of_three_joints_worked_by_hand():
    """a–b–c with centre a: distances 0, 1, 2; each column sums to 1 over the joint and its neighbours."""
    path = layouts.make("path", ["a", "b", "c"], "a-b-c", center="a")
    assert path.distances[0].tolist() == [0, 1, 2]
    assert path.parents.tolist() == [0, 0, 1]
    half, third = 1 / 2, 1 / 3
    assert layouts.partitions(path, "uniform").tolist() == pytest.approx(
        np.array([[[half, third, 0], [half, third, half], [0, third, half]]])
    )
    itself, outer, inner = layouts.partitions(path, "spatial")
    assert np.diag(itself) == pytest.approx([half, third, half])
    assert outer == pytest.approx(np.array([[0, 0, 0], [half, 0, 0], [0, third, 0]]))
    assert inner == pytest.approx(np.array([[0, third, 0], [0, 0, half], [0, 0, 0]]))
    assert layouts.partitions(path, "distance")[1] == pytest.approx(outer + inner)


def test_far_from_the_centre_both_ends_of_a_limb_are_equally_far():
    """a–b–c–d with centre a: c and d are both beyond one limb, so both ways of c–d are in partition 2."""
    path = layouts.make("path", ["a", "b", "c", "d"], "a-b-c-d", center="a")
    _, outer, inner = layouts.partitions(path, "spatial")
    assert outer[2, 3] == 1 / 2
    assert outer[3, 2] == pytest.approx(1 / 3)
    assert not inner[2:, 2:].any()


def test_unknown_strategy():
    with pytest.raises(ValueError, match="partition must be one of uniform, distance, spatial, got 'ring'"):
        layouts.partitions(layouts.get("coco17"), "ring")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": ["a", "a"]}, "joint names must differ, found 'a' twice"),
        ({"limbs": "a-z"}, "'z' is not one of its 2 joints"),
        ({"limbs": [(0, 2)]}, "joints are numbered 0 to 1, found 2"),
        ({"limbs": [(0, 1), (1, 0)]}, "limbs must be different pairs"),
        ({"mirror": [1, 1]}, "mirror must be its own inverse"),
        (
            {"joints": ["left_a", "b"], "limbs": [(0, 1)], "center": 0},
            "'left_a' has no mirror image: 'right_a' is",
        ),
    ],
)
def test_a_wrong_layout_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        layouts.make(**{"name": "mine", "joints": ["a", "b"], "limbs": "a-b", "center": "a"} | change)


def test_a_registered_layout_is_found_by_its_name(monkeypatch):
    monkeypatch.setattr(layouts, "_LAYOUTS", dict(layouts._LAYOUTS))
    mine = layouts.register(layouts.make("mine", ["hip", "foot"], "hip-foot", center="hip"))
    assert layouts.get("mine") is mine
    with pytest.raises(ValueError, match="another layout named 'mine' is already registered; choose another"):
        layouts.register(layouts.make("mine", ["hip", "knee"], "hip-knee", center="hip"))


@pytest.mark.parametrize("name", SOUND)
def test_a_saved_layout_is_read_back(name, tmp_path):
    path = layouts.save(layouts.get(name), tmp_path / "mine.json")
    assert layouts.get(str(path)) == layouts.get(name)


STICK = {
    "joints": ["hip", "left_hand", "right_hand"],
    "limbs": [["hip", "left_hand"], ["hip", "right_hand"]],
    "center": "hip",
}


def written(tmp_path, **changes):
    path = tmp_path / "stick.json"
    content = {key: value for key, value in (STICK | changes).items() if value is not None}
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def test_a_file_of_joints_limbs_and_center_is_a_layout(tmp_path):
    stick = layouts.get(written(tmp_path))
    assert stick == layouts.make("stick", STICK["joints"], [(0, 1), (0, 2)], "hip")
    assert stick.mirror == (0, 2, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": ["hip", "hip", "left_hand", "right_hand"]}, "joint names must differ, found 'hip' twice"),
        ({"limbs": [["hip", "foot"]]}, "limb 0: 'foot' is not one of its 3 joints; correct the name"),
        ({"limbs": [["hip", "left_hand"], ["hip"]]}, r'limb 1 must be two joints, found \["hip"\]'),
        ({"limbs": [["hip", "left_hand"]]}, "image of limb hip-left_hand, hip-right_hand, is not a limb"),
        ({"limbs": [["hip", "left_hand"], ["left_hand", "hip"]]}, "limbs must be different pairs"),
        ({"limbs": 3}, "limbs must be a list of pairs, found 3"),
        ({"center": None}, "has no 'center'; a layout has joints, limbs and center"),
        ({"center": "neck"}, "center: 'neck' is not one of its 3 joints"),
        ({"mirror": {"hip": "left_hand"}}, "mirror must be its own inverse over all 3 joints"),
        ({"centre": "hip"}, "has 'centre'; a layout has joints, .*: correct the name, or remove it"),
        ({"mirror": []}, r"mirror must be a JSON object, found \[\]"),
        ({"regions": {"arms": ["elbow"]}}, "region arms: 'elbow' is not one of its 3 joints"),
        ({"regions": {"<b>\n": ["hip"]}}, r"region '<b>\\n' is no name; give it a name of printable"),
        ({"regions": 3}, "regions must be a JSON object, found 3"),
        ({"name": "coco17"}, "name 'coco17' is that of another layout; give the layout another `name`"),
        ({"name": "../x"}, r"name '../x' must be up to 60 letters, digits and . _ \+ -"),
        ({"joints": ["hip", "left_hand", "wrist"]}, "'right_hand' is not one of its 3 joints"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=f"stick.json: .*(?:{message})") as error:
        layouts.get(written(tmp_path, **changes))
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("content", ["", "[1]", "{", "[" * 100_000])
def test_what_is_no_layout_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ValueError, match=r"x.json: (the layout cannot be read|is not a JSON object)"):
        layouts.get(str(tmp_path / "x.json"))
    message = r"none.json: the layout cannot be read \(No such file or directory\)"
    with pytest.raises(ValueError, match=message):
        layouts.get(str(tmp_path / "none.json"))


def test_of_two_persons_each_has_its_own_limbs_parents_and_mirror():
    one = layouts.get("coco17")
    two = layouts.pair(one)
    assert (two.persons, one.persons) == (2, 1)
    assert two.joints[:17] == one.joints
    assert two.limbs == one.limbs + tuple((a + 17, b + 17) for a, b in one.limbs)
    assert two.mirror == one.mirror + tuple(m + 17 for m in one.mirror)
    assert two.parents.tolist() == [*one.parents, *(one.parents + 17)]


LONG = "x" * 3000


@pytest.mark.parametrize("part", [{"limbs": [["hip", LONG]]}, {"center": LONG}, {"regions": {LONG: [LONG]}}])
def test_long_names_make_no_long_message(tmp_path, part):
    path = written(tmp_path, **part)
    with pytest.raises(ValueError, match=r"\.json: .* is not one of its 3 joints; correct the name") as error:
        layouts.read(path)
    assert len(str(error.value)) <= 400 + len(path)
