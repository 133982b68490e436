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
    message = "has 23 joints and layout 'coco17' has 17; `layouts.register` one that has"
    refused(message, file(tmp_path, annotation(joints=23)))


def test_of_several_persons_the_one_with_the_highest_total_score_is_taken(tmp_path):
    both = annotation(persons=2)
    both["keypoint_score"][1] = 0.9
    (clip,), report = read(file(tmp_path, both))
    assert np.array_equal(clip.keypoints[..., :2], both["keypoint"][1].astype(np.float32))
    event = "1 × clips of more persons than requested: the one with the highest total score was read: a"
    assert event in str(report)


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
        ({"keypoint": np.zeros((4, 17, 2))}, r"'a': keypoint has shape \(4, 17, 2\); expected \(persons"),
        ({"keypoint": [[1, 2]]}, r"keypoint is \[\[1, 2\]\]; expected an array of numbers"),
        ({"keypoint_score": np.ones((1, 3, 17))}, r"of shape \(1, 3, 17\).*expected .* \(1, 4, 17\)"),
        ({"keypoint": np.full((1, 4, 17, 3), 3.0), "keypoint_score": None}, "3D joints are not read; give x"),
        ({"label": -3}, "has label -3; expected a whole number from 0 to 0"),
        ({"label": 1.5}, "has label 1.5; expected a whole number"),
        ({"label": 10**12}, "has label 1000000000000; expected"),
        ({"frame_dir": 7}, "an annotation has frame_dir 7; expected the id of its clip"),
        ({"keypoint": np.zeros((1, 0, 17, 2))}, r"keypoint has shape \(1, 0, 17, 2\)"),
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
        ({"annotations": [annotation()], "split": {"train": [1]}}, "split 'train' holds 1; expected ids"),
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
