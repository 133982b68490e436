"""PySkl's pickles: what is written is read back, files of others are understood, and errors are described."""

import pickle
import re

import numpy as np
import pytest
from reading import reading

from miga_lib import clips, labels, layouts
from miga_lib.analysis import failures
from miga_lib.readers import DataError, pyskl

COCO = layouts.get("coco17")


def annotation(id="a", persons=1, frames=4, joints=17, label=0, **more):
    points = np.random.default_rng(0).uniform(1, 100, (persons, frames, joints, 2)).astype(np.float16)
    scores = np.full((persons, frames, joints), 0.5, np.float16)
    return {
        "frame_dir": id, "total_frames": frames, "img_shape": (720, 1280), "original_shape": (720, 1280),
        "label": label, "keypoint": points, "keypoint_score": scores,
    } | more  # fmt: skip


def file(tmp_path, *annotations, split=None, **more):
    split = {"train": [a["frame_dir"] for a in annotations]} if split is None else split
    path = tmp_path / "own.pkl"
    path.write_bytes(pickle.dumps({"split": split, "annotations": list(annotations)} | more))
    return path


read, refused = reading(pyskl, COCO)


def test_what_is_written_is_read_back(smoke, tmp_path):
    pyskl.write(tmp_path / "smoke.pkl", smoke)
    again = clips.load(tmp_path / "smoke.pkl", outputs=tmp_path)
    assert again.table.equals(smoke.table)
    assert np.array_equal(again.keypoints, smoke.keypoints)
    assert again.classes == smoke.classes


def test_pyskl_finds_what_it_looks_for_in_what_is_written(smoke, tmp_path):
    """Its dataset takes `split` and `annotations`; its pipeline works in place on (M, T, V, 2) and (M, T,
    V)."""
    pyskl.write(tmp_path / "smoke.pkl", smoke)
    with (tmp_path / "smoke.pkl").open("rb") as opened:
        held = pickle.load(opened)
    first = held["annotations"][0]
    assert first["keypoint"].shape == (1, first["total_frames"], 41, 2)
    assert first["keypoint_score"].shape == (1, first["total_frames"], 41)
    assert first["img_shape"] == (720, 1280)
    assert first["keypoint"].flags.writeable
    assert sorted(held["split"]) == ["test", "train", "val"]
    assert {a["frame_dir"] for a in held["annotations"]} == {
        id for ids in held["split"].values() for id in ids
    }


def test_the_file_names_nothing_that_only_one_numpy_has(smoke, tmp_path):
    pyskl.write(tmp_path / "smoke.pkl", smoke)
    assert b"numpy._core" not in (tmp_path / "smoke.pkl").read_bytes()


def test_the_joints_are_taken_in_the_order_of_a_layout_of_that_many(tmp_path):
    whole = annotation(joints=22, label=5)
    (clip,), report = read(file(tmp_path, whole), layouts.get("imigue22"))
    assert np.array_equal(clip.keypoints[..., :2], whole["keypoint"][0].astype(np.float32))
    body = layouts.make("upper8", layouts.BODY_25[:8], [(0, 1)], "neck")
    (clip,), report = read(file(tmp_path, annotation(joints=137)), body)
    assert clip.keypoints.shape == (4, 8, 3)
    assert "the 137 joints of the file taken in the order of layout 'openpose137'" in str(report)


def test_a_layout_that_does_not_fit_names_those_that_do(tmp_path):
    message = "has 17 joints and layout 'imigue41' has 41; choose layout coco17"
    refused(message, file(tmp_path, annotation()), layouts.get("imigue41"))
    message = "has 23 joints and layout 'coco17' has 17; write a layout file for them .docs/own-data.md, A l"
    refused(message, file(tmp_path, annotation(joints=23)))


def test_of_several_persons_the_one_with_the_highest_total_score_is_taken(tmp_path):
    both = annotation(persons=2)
    both["keypoint_score"][1] = 0.9
    (clip,), report = read(file(tmp_path, both))
    assert np.array_equal(clip.keypoints[..., :2], both["keypoint"][1].astype(np.float32))
    event = "1 × clips of more persons than requested: the one with the highest total score was read: a"
    assert event in str(report)


def walk(frames=12, joints=17, x=100.0, seed=0):
    """A person of about 130 pixels (T, V, 3) who moves by one or two pixels a frame."""
    rng = np.random.default_rng(seed)
    body = rng.uniform([x, 50], [x + 100, 150], (joints, 2))
    moved = body + rng.uniform(-1, 1, (frames, 1, 2)).cumsum(0) + rng.uniform(-1, 1, (frames, joints, 2))
    return np.concatenate([moved, np.full((frames, joints, 1), 0.9 - x / 1000)], -1).astype(np.float32)


def of_slots(slots, id="a"):
    more = {"keypoint": slots[..., :2], "keypoint_score": slots[..., 2]}
    return annotation(id, frames=slots.shape[1], **more)


MIXED = "1 × clips whose persons change places in the file: followed from frame to frame: a"


@pytest.mark.parametrize("distance", [500, 60])
@pytest.mark.parametrize("persons", [1, 2])
def test_people_who_change_places_are_followed(tmp_path, persons, distance):
    """PySkl's own tool writes the detections of a frame in the order of their scores."""
    both = np.stack([walk(), walk(x=100 + distance, seed=1)])
    mixed = both.copy()
    mixed[:, 3:5], mixed[:, 8] = both[::-1, 3:5], both[::-1, 8]
    layout = layouts.pair(COCO) if persons == 2 else COCO
    (clip,), report = read(file(tmp_path, of_slots(mixed)), layout)
    assert np.array_equal(clip.keypoints, np.concatenate(both[:persons], 1))
    assert MIXED in str(report)


def test_a_person_who_takes_the_place_of_one_who_is_lost_is_followed(tmp_path):
    both = np.stack([walk(), walk(x=600, seed=1)])
    both[0, 5] = 0
    mixed = both.copy()
    mixed[:, 5] = both[::-1, 5]
    (clip,), report = read(file(tmp_path, of_slots(mixed)))
    assert np.array_equal(clip.keypoints, both[0])
    assert MIXED in str(report)


@pytest.mark.parametrize("distance", [500, 60])
def test_a_person_who_comes_in_the_place_of_another_is_followed(tmp_path, distance):
    both = np.stack([walk(), walk(x=100 + distance, seed=1)])
    both[1, :4], both[1, 4:, :, 2] = 0, 0.9
    mixed = both.copy()
    mixed[:, 4:] = both[::-1, 4:]
    (clip,), report = read(file(tmp_path, of_slots(mixed)), layouts.pair(COCO))
    assert np.array_equal(clip.keypoints, np.concatenate(both, 1))
    assert MIXED in str(report)


def leaves_and_another_comes():
    slots = np.stack([walk(), walk(x=110, seed=1)])
    slots[0, 6:] = slots[1, :6] = 0
    return slots


def jumps_alone():
    slots = np.stack([walk(), walk(x=600, seed=1)])
    slots[0, 6:, :, :2] += 300
    return slots


def close_together():
    """Two detections of one person, of whom the second loses the person for a frame."""
    slots = np.stack([walk(), walk() + np.float32([2, 2, 0])])
    slots[1, 5, :, 0] += 200
    return slots


def cross():
    """Two people walk through each other, by a twentieth of their size a frame."""
    slots = np.stack([walk(40), walk(40, x=300, seed=1)])
    slots[0, :, :, 0] += 7 * np.arange(40, dtype=np.float32)[:, None]
    slots[1, :, :, 0] -= 7 * np.arange(40, dtype=np.float32)[:, None]
    return slots


@pytest.mark.parametrize("slots", [leaves_and_another_comes, jumps_alone, close_together, cross])
def test_people_who_keep_their_places_are_read_as_they_are(tmp_path, slots):
    held = slots()
    (clip,), report = read(file(tmp_path, of_slots(held)), layouts.pair(COCO))
    assert np.array_equal(clip.keypoints, np.concatenate(held, 1))
    assert "change places" not in str(report)
    event = "1 × clips of several persons, one of whom jumps by half the own size: read as in the file: a"
    assert (event in str(report)) == (slots in (jumps_alone, close_together))


def test_a_clip_without_persons_or_frames_is_left_out(tmp_path):
    """PySkl's own tool writes no persons where nobody is found in the whole video."""
    nobody, nothing = annotation("b", persons=0), annotation("c", frames=0)
    found, report = read(file(tmp_path, nobody, annotation("a"), nothing))
    assert [clip.id for clip in found] == ["a"]
    event = (
        "2 × clips with nobody in them left out: b (keypoint of shape (0, 4, 17, 2)), c (keypoint of shape"
    )
    assert event in str(report)


@pytest.mark.parametrize("subject", [7, np.int32(7), 7.0, np.float32(7), "7"])
def test_people_and_videos_may_be_numbers(tmp_path, subject):
    (clip,), report = read(file(tmp_path, annotation(subject=subject, video=np.int64(12))))
    assert (clip.subject, clip.video) == ("7", "12")
    assert "1 × whole numbers as `video` taken as text: 12" in str(report)
    assert ("whole numbers as `subject` taken as text: 7" in str(report)) == (subject != "7")


def test_people_and_videos_may_be_unknown(tmp_path):
    (clip,), _ = read(file(tmp_path, annotation("0012_3", subject=None, video=None)))
    assert (clip.subject, clip.video) == ("", "0012")


def test_ids_may_be_numbers(tmp_path):
    path = file(tmp_path, annotation(7), annotation(8), split={"train": np.array([7]), "test": ["8"]})
    found, report = read(path)
    assert {clip.id: clip.split for clip in found} == {"7": "train", "8": "test"}
    assert "2 × whole numbers as `frame_dir` taken as text: 7, 8" in str(report)


def test_keys_that_are_not_read_are_told(tmp_path):
    _, report = read(file(tmp_path, annotation(subject_id=3), annotation("b", person="p"), subjects=[1]))
    event = "3 × keys of the file and its annotations that are not read: 'subjects', 'subject_id', 'person'"
    assert event in str(report)


def test_labels_may_be_names(tmp_path):
    path = file(
        tmp_path, annotation("a", label="wave"), annotation("b", label=None), annotation("c", label="nod")
    )
    found, report = read(path)
    assert [clip.label for clip in found] == [1, -1, 0]
    assert report.classes == ("nod", "wave")
    assert "labels by name, and no `classes`: classes in the order of the alphabet: own.pkl" in str(report)
    assert "1 × clips without a label, or with label -1: of unknown class: b" in str(report)
    found, report = read(file(tmp_path, annotation("a", label="wave"), classes=["wave", "nod"]))
    assert [clip.label for clip in found] == [0]
    (clip,), report = read(file(tmp_path, annotation(label="head up")))
    assert report.classes[clip.label] == "head up"
    assert report.classes == labels.CLASSES


@pytest.mark.parametrize(
    ("held", "more", "message"),
    [
        (["wave", 1], {}, "own.pkl: has labels 'wave' and 1; write all of them as whole numbers"),
        (["0", "1"], {}, "has labels '0' and '1'; write all of them as whole numbers from 0, or"),
        (["wave", "bow"], {"classes": ["wave"]}, "'b' has label 'bow'; .* from 0 to 0, or the name of"),
        ([1, 2], {"classes": ["wave", "bow"]}, "labels are 1 to 2 and there are 2 names of classes; "),
        ([0, 9999], {}, "has label 9999, only 2 different labels, and no names of classes; corr"),
        ([0, 2], {"classes": ["wave", "bow"], "split": {"test": ["b"]}}, "'b' has label 2; expected a whole"),
    ],
)  # fmt: skip
def test_labels_in_doubt_are_refused(tmp_path, held, more, message):
    annotations = [annotation(id, label=label) for id, label in zip("ab", held, strict=True)]
    refused(message, file(tmp_path, *annotations, **more))


def test_what_is_unusual_in_the_labels_is_told(tmp_path):
    path = file(tmp_path, annotation("a", label=1), annotation("b", label=np.int8(3)))
    report = read(path)[1]
    assert "1 × no label is 0, the lowest is 1: labels taken as counted from 0: own.pkl" in str(report)
    assert "2 × classes without a clip: 'class 0', 'class 2'" in str(report)
    path = file(tmp_path, annotation("a", label=2), annotation("b", label=2.0), classes=["x", "y", "z"])
    found, report = read(path)
    assert [clip.label for clip in found] == [2, 2]
    assert "1 × all clips of known class are of the same: 'z'" in str(report)


def test_scores_of_true_and_false_are_told(tmp_path):
    scores = np.ones((1, 4, 17), bool)
    scores[0, 1, 2] = False
    (clip,), report = read(file(tmp_path, annotation(keypoint_score=scores)))
    assert np.array_equal(clip.keypoints[..., 2], scores[0].astype(np.float32))
    assert "`keypoint_score` of True and False taken as 1 and 0: a" in str(report)


def test_true_is_no_number_of_frames_or_pixels(tmp_path):
    whole = annotation(frames=1, total_frames=True, img_shape=(True, True), original_shape=(720.0, 1280.0))
    (clip,), report = read(file(tmp_path, whole))
    assert (clip.width, clip.height) == (1280, 720)
    assert "a (True for 1)" in str(report)


def test_an_empty_second_person_is_no_person(tmp_path):
    both = annotation(persons=2)
    both["keypoint_score"][1] = 0
    event = (
        "no names of classes: they are numbered (write them to label_map.txt beside the pickle, one a line)"
    )
    assert read(file(tmp_path, both))[1].events == {event: ["own.pkl"]}


def test_classes_come_from_the_file_or_beside_it_or_are_numbered(tmp_path):
    path = file(tmp_path, annotation(label=2), classes=["a", "b", "c", "d"])
    assert read(path)[1].classes == ("a", "b", "c", "d")
    path = file(tmp_path, annotation(label=2))
    assert read(path)[1].classes == ("class 0", "class 1", "class 2")
    (tmp_path / "label_map.txt").write_text("sit\nstand\nwave\n")
    assert read(path)[1].classes == ("sit", "stand", "wave")
    (tmp_path / "label_map.txt").unlink()
    assert (
        read(file(tmp_path, annotation(joints=22, label=31)), layouts.get("imigue22"))[1].classes
        == labels.CLASSES
    )


def test_loading_brings_the_classes_along(tmp_path):
    loaded = clips.load(file(tmp_path, annotation(label=2)), "coco17", tmp_path / "outputs")
    assert loaded.classes == ("class 0", "class 1", "class 2")
    (tmp_path / "label_map.txt").write_text("sit\nstand\nwave\n")
    assert clips.load(tmp_path / "own.pkl", "coco17", tmp_path / "outputs").classes == (
        "sit",
        "stand",
        "wave",
    )


@pytest.mark.parametrize(
    ("split", "expected", "told"),
    [
        ({"train": ["a"], "val": ["b"]}, {"a": "train", "b": "val"}, ""),
        ({"xsub_train": ["a"], "xsub_val": ["b"], "xview_train": ["b"]}, {"a": "train", "b": "val"}, ""),
        ({"train1": ["a"], "test1": ["b"], "train2": ["b"]}, {"a": "train", "b": "test"}, ""),
        (
            {"train": ["a", "b"], "validation": ["b"]},
            {"a": "train", "b": "val"},
            "ids in several splits taken from train for val",
        ),
        ({"xsub_train": ["a"], "xsub_eval": ["b"]}, {"a": "train", "b": "val"}, ""),
        ({"train": ["a"]}, {"a": "train"}, "annotations in no split left out: b"),
        ({"train": ["a", "b", "c"]}, {"a": "train", "b": "train"}, "ids in `split` without an annotation: c"),
    ],
)
def test_splits_are_recognised_by_name(tmp_path, split, expected, told):
    found, report = read(file(tmp_path, annotation("a"), annotation("b"), split=split))
    assert {clip.id: clip.split for clip in found} == expected
    assert told in str(report)


def test_a_bare_list_is_one_split_told_by_the_name_of_the_file(tmp_path):
    path = tmp_path / "ntu_xsub_val.pkl"
    path.write_bytes(pickle.dumps([annotation("a")]))
    (clip,), report = read(path)
    assert clip.split == "val"
    assert "no `split` in the file: all clips taken as the val split" in str(report)


def test_scores_may_be_the_third_value_or_missing(tmp_path):
    points = np.ones((1, 4, 17, 3), np.float32)
    points[..., 2] = 0.25
    (clip,), report = read(file(tmp_path, annotation(keypoint=points, keypoint_score=None)))
    assert (clip.keypoints[..., 2] == 0.25).all()
    assert "the third value of `keypoint` taken as the score: a" in str(report)
    points[0, 0, 0] = 0
    (clip,), report = read(file(tmp_path, annotation(keypoint=points[..., :2], keypoint_score=None)))
    assert clip.keypoints[0, 0, 2] == 0
    assert clip.keypoints[..., 2].sum() == 4 * 17 - 1
    assert "no `keypoint_score`: joints at (0, 0) taken as missing" in str(report)


def test_ids_of_imigue_tell_the_video(tmp_path):
    found, _ = read(file(tmp_path, annotation("0012_3"), annotation("S001C001")))
    assert [clip.video for clip in found] == ["0012", "S001C001"]


def test_small_faults_are_repaired_and_told(tmp_path):
    (clip,), report = read(file(tmp_path, annotation(total_frames=np.zeros(0))))  # found by mutation
    assert "(an array of shape (0,) and type float64 for 4)" in str(report)
    broken = annotation(total_frames=9, img_shape=None, original_shape="?")
    broken["keypoint"][0, 1, 3, 0] = np.nan
    broken["keypoint"][0, 0, 0] = (640, 200)
    (clip,), report = read(file(tmp_path, broken))
    assert clip.keypoints[1, 3].tolist() == [0, 0, 0]
    assert (clip.width, clip.height) == (640, 200)
    for told in (
        "infinite cell taken as missing: a",
        "`total_frames` differs .* a \\(9 for 4\\)",
        "no usable `img_shape`: frame size taken from the largest coordinates",
    ):
        assert re.search(told, str(report))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"keypoint": np.zeros((4, 17, 2))}, r"shape .persons, frames, 17 joints, .*, found .* \(4, 17, 2\)"),
        ({"keypoint": [[1, 2]]}, r"keypoint must be an array of numbers, found \[\[1, 2\]\]"),
        ({"keypoint": np.ones((1, 4, 17, 2), bool)}, "must be an array of numbers, found .* type bool"),
        ({"keypoint": None, "raw_file": "x.pkl"}, "found None and `raw_file`; put the arrays of"),
        (
            {"keypoint": np.ones((8, 17, 3)), "frame_inds": np.arange(8)},
            "and `frame_inds`, PySkl's compressed form; write it without --compress",
        ),
        ({"keypoint": np.ones((4, 1, 17, 2))}, "and total_frames is 4; write persons first, then frames"),
        (
            {"keypoint": np.stack([np.full((4, 17, 2), x) for x in (90, 80, 0.5)]), "keypoint_score": None},
            "no value beyond 0.5 in the third part; this looks like ST-GCN's order",
        ),
        ({"keypoint_score": np.ones((1, 3, 17))}, r"of shape \(1, 3, 17\).*expected .* \(1, 4, 17\)"),
        ({"keypoint": np.full((1, 4, 17, 3), 3.0), "keypoint_score": None}, "3D joints are not read; give x"),
        ({"label": -3}, "has label -3; expected a whole number from 0 to 0"),
        ({"label": 1.5}, "has label 1.5; expected a whole number"),
        ({"label": True}, "has label True; expected a whole number from 0 to 0"),
        ({"label": np.bool_(0)}, "has label .*False.*; expected a whole number"),
        ({"label": [0, 1]}, r"has label \[0, 1\]; .*; a clip has one class, clips of several"),
        ({"label": np.array([0, 1])}, "has label an array .*; a clip has one class"),
        ({"label": 10**12}, "has label 1000000000000; expected"),
        ({"frame_dir": 7.5}, "an annotation has frame_dir 7.5; expected text or a whole number"),
        ({"frame_dir": True}, "an annotation has frame_dir True; expected text or a whole number"),
        ({"frame_dir": None}, "an annotation has no frame_dir; expected the id of its clip"),
        ({"subject": True}, "'a' has subject True; expected text or a whole number, or None where"),
        ({"subject": float("nan")}, "'a' has subject nan; expected text or a whole number, or None"),
        ({"video": ["0012"]}, r"'a' has video \['0012'\]; expected text or a whole number, or None"),
    ],
)  # fmt: skip
def test_a_wrong_annotation_is_named_with_what_is_wrong(tmp_path, wrong, message):
    path = file(tmp_path, annotation("b"), annotation("a") | wrong, split={"train": ["a", "b"]})
    with pytest.raises(DataError, match=message) as error:
        read(path)
    assert "own.pkl" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "a list `annotations` of at least one clip"),
        ({"annotations": [3]}, "annotation 0 is 3; expected a dict"),
        (
            {"annotations": [annotation()], "split": [1]},
            r"`split` must be a dict of lists of ids, found \[1\]",
        ),
        (
            {"annotations": [annotation()], "split": {"train": np.array(5.0)}},
            r"`split` must be a dict of lists of ids, found \{'train'",
        ),
        (
            {"annotations": [annotation()], "split": {"fold": ["a"]}},
            r"none of its splits \(\['fold'\]\) is train, val or test",
        ),
        ({"annotations": [annotation()], "split": {"train": [1.5]}}, "split 'train' holds 1.5; expected ids"),
        (
            ([1], [2]),
            "a pair of names and labels, as beside arrays of ST-GCN .clips, 3, frames, joints, persons.",
        ),
        ([np.zeros((4, 17, 2))], "annotation 0 is an array .*; expected a dict with frame_dir and keypoint"),
        ({"a": np.zeros((4, 17, 2))}, "expected a dict with `split` and a list `annotations`"),
        (
            [{"frame_dir": "a", "frame_inds": np.arange(8), "keypoint": np.ones((8, 17, 3))}],
            r"no annotation has a `keypoint` array .*shape \(8, 17, 3\).*; write it without --compress",
        ),
        ({"annotations": [annotation()], "classes": [1]}, r"`classes` must be a list of names, found \[1\]"),
        ({"annotations": [{"frame_dir": "a"}]}, "no annotation has a `keypoint` array"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "own.pkl"
    path.write_bytes(pickle.dumps(content))
    refused(message, path)


def test_a_folder_of_several_pickles_asks_which(tmp_path):
    file(tmp_path, annotation())
    assert pyskl.recognises(tmp_path)
    (tmp_path / "second.pkl").write_bytes(b"")
    refused("has 2 pickles; give one of them: own.pkl, second.pkl", tmp_path)


def test_one_array_claimed_by_many_annotations_is_refused(tmp_path):
    shared = np.zeros((1, 100, 17, 2))
    message = "its annotations share a few arrays, which would unfold to 13,600,000 bytes"
    refused(
        message,
        file(tmp_path, *(annotation(str(i), keypoint=shared, keypoint_score=None) for i in range(500))),
    )


def test_a_byte_order_mark_is_no_part_of_a_class(tmp_path):
    path = file(tmp_path, annotation(label=1))
    (tmp_path / "label_map.txt").write_bytes(b"\xef\xbb\xbfsit\r\nstand\r\n\r\n")
    assert read(path)[1].classes == ("sit", "stand")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sit\n\nstand\n", r"label_map\.txt: line 2 is blank; each line must name a class"),
        (b"sit\nstand\nsit\n", r"label_map\.txt: 'sit' is no class name, or is there twice"),
        ("sit\nstand\n".encode("utf-16"), r"label_map\.txt: not text in UTF-8 .*"),
        (b"\xef\xbb\xbf\xef\xbb\xbfsit\nstand\n", r"label_map\.txt: '\\ufeffsit' is no class name"),
        (b"", r"label_map\.txt: line 1 is blank"),
    ],
)
def test_names_of_classes_in_doubt_are_refused(tmp_path, content, message):
    """A blank line would move the names of all later classes."""
    path = file(tmp_path, annotation(label=1))
    (tmp_path / "label_map.txt").write_bytes(content)
    refused(message, path)


def test_names_of_classes_in_the_file_must_differ(tmp_path):
    message = r"own\.pkl: 'sit' is no class name, or is there twice"
    refused(message, file(tmp_path, annotation(label=1), classes=["sit", "sit"]))


def test_a_pickle_is_found_in_the_only_folder_and_litter_is_no_pickle(tmp_path):
    (tmp_path / "in" / "unpacked").mkdir(parents=True)
    path = file(tmp_path / "in" / "unpacked", annotation())
    (path.parent / "._own.pkl").write_bytes(b"\0\5\x16\7")
    (tmp_path / "in" / "__MACOSX").mkdir()
    found, report = read(tmp_path / "in")
    assert [clip.id for clip in found] == ["a"]
    assert "1 × files and folders of other programs ignored: unpacked/._own.pkl" in str(report)


def test_an_absurd_size_of_the_frame_is_not_taken(tmp_path):
    (clip,), report = read(file(tmp_path, annotation(img_shape=(720, 40_000), original_shape=(720, 40_000))))
    assert clip.width <= 100
    assert "no usable `img_shape`: frame size taken from the largest coordinates: a" in str(report)


def test_regions_of_the_classes_come_from_the_file_or_beside_it_and_order_the_confusion_matrix(tmp_path):
    path = file(
        tmp_path, annotation(label=1), classes=["wave", "nod", "clap"], class_regions=["hand", "head", "hand"]
    )
    loaded = clips.load(path, COCO, tmp_path)
    assert loaded.class_regions == clips.load(path, COCO, tmp_path).class_regions == ("hand", "head", "hand")
    assert failures.by_region(loaded.classes, loaded.class_regions) == {"hand": [0, 2], "head": [1]}
    pyskl.write(tmp_path / "again.pkl", loaded)
    assert clips.load(tmp_path / "again.pkl", COCO, tmp_path).class_regions == loaded.class_regions
    bare = file(tmp_path, annotation(label=1))
    (tmp_path / "label_map.txt").write_text("wave\thand\nnod\thead\n")
    report = read(bare)[1]
    assert (report.classes, report.class_regions) == (("wave", "nod"), ("hand", "head"))


@pytest.mark.parametrize(
    ("more", "beside", "message"),
    [
        ({"classes": ["a", "b"], "class_regions": ["x"]}, "", "`class_regions` has 1 names and `classes` 2"),
        (
            {"classes": ["a"], "class_regions": [3]},
            "",
            r"`class_regions` must be a list of names, found \[3\]",
        ),
        (
            {},
            "a\thand\nb\n",
            "each line must have the name of a class, and in all lines or in none a tab and its region",
        ),
        ({}, "a\thand\tleft\n", "each line must have the name of a class"),
    ],
)
def test_wrong_regions_are_refused(tmp_path, more, beside, message):
    if beside:
        (tmp_path / "label_map.txt").write_text(beside)
    refused(message, file(tmp_path, annotation(), **more))
