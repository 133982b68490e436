"""Micro-Action-52 in small pickles of the three releases: read, scored and submitted."""

import csv
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
from reading import reading

from miga_lib import clips, labels, layouts, metrics, predictions
from miga_lib.ensemble import recipes, submissions
from miga_lib.predictions import Predictions
from miga_lib.readers import pyskl

MA28 = layouts.get("ma28")
TRAINED = {"0003_01_0001": 0, "0003_06_0001": 51, "0007_02_0012": 9, "0007_03_0002": 13}
VALIDATED = {"0003_02_0007": 9, "0009_01_0002": 1}
TESTED = {"test0000": 0, "test0001": 0}
read, refused = reading(pyskl, MA28, by_id=True)


def annotations(label_of, joints=28, labelled=True):
    rng = np.random.default_rng(joints)
    return [
        {"frame_dir": id, "total_frames": 5, "img_shape": (720, 1280), "original_shape": (720, 1280)}
        | {"keypoint": rng.uniform(50, 600, (1, 5, joints, 2)).astype(np.float16)}
        | {"keypoint_score": np.full((1, 5, joints), 0.5, np.float16)}
        | ({"label": label} if labelled else {})
        for id, label in label_of.items()
    ]


def dump(path, content):
    path.write_bytes(pickle.dumps(content))


def release(folder, form="MA52_{}.pkl", **splits):
    """A folder of plain lists, as MA-52_openpose_28kp has it."""
    splits = splits or {"train": TRAINED, "val": VALIDATED, "test": TESTED}
    for name, label_of in splits.items():
        dump(folder / form.format(name), annotations(label_of))
    return folder


def separate(folder, names=("{}_data.pkl", "{}_label.pkl"), ending="", joints=44):
    """A folder of data and labels in files of their own; none of the test labels."""
    for split, label_of in {"train": TRAINED, "val": VALIDATED, "test": TESTED}.items():
        dump(folder / names[0].format(split), {"annotations": annotations(label_of, joints, labelled=False)})
        rows = [{"file_name": id + ending, "label": str(label)} for id, label in label_of.items()]
        if split != "test":
            dump(folder / names[1].format(split), rows[::-1])
    return folder


def test_layouts_have_the_order_of_the_releases():
    ma28, ma44, halpe = (layouts.get(name).joints for name in ("ma28", "ma44", "halpe136"))
    assert ma28[:18] == layouts.get("openpose18").joints
    assert (ma28[4], ma28[7], ma28[18], ma28[27]) == (
        "right_wrist", "left_wrist", "left_thumb_4", "right_little_4",
    )  # fmt: skip
    assert layouts.selection(MA28, layouts.get("imigue22")).tolist() == [*range(8), *range(14, 28)]
    assert ma44[:26] == halpe[:26]
    assert halpe[:20] == (*layouts.get("coco17").joints, "head_top", "neck", "mid_hip")
    assert halpe[20:26] == tuple(
        f"{side}_{part}" for part in ("big_toe", "small_toe", "heel") for side in ("left", "right")
    )
    picked = layouts.selection(layouts.get("halpe136"), layouts.get("ma44"))[26:]
    face = [26 + v for v in (28, 33, 36, 45, 51, 57)]
    hands = [first + v for first in (94, 115) for v in (0, 4, 8, 12, 16, 20)]
    assert picked.tolist() == [*face, *hands]


def test_halpe136_gives_openpose_joints_as_published():
    """The published table from Halpe-136 to OpenPose's 137, without the pupils."""
    openpose, halpe = layouts.get("openpose137").joints, layouts.get("halpe136").joints
    body = [0, 18, 6, 8, 10, 5, 7, 9, 19, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3, 20, 22, 24, 21, 23, 25]
    source = dict(enumerate([*body, *range(26, 94)])) | {95 + v: 94 + v for v in range(42)}
    assert {v: halpe.index(openpose[v]) for v in source} == source


def test_there_are_52_classes_of_7_parts():
    assert len(set(labels.MA52_CLASSES)) == len(labels.MA52_REGIONS) == 52
    parts = dict(zip(labels.MA52_CLASSES, labels.MA52_REGIONS, strict=True))
    ends = {"rising up": "body", "shaking head": "head", "illustrative gestures": "upper limb"}
    ends |= {"tiptoe": "lower limb", "crossing arms": "body-hand", "pushing glasses": "head-hand"}
    assert {name: parts[name] for name in ends} == ends
    assert list(dict.fromkeys(labels.MA52_REGIONS)) == [*ends.values(), "leg-hand"]
    rows = labels.embeddings(labels.MA52_CLASSES)
    np.testing.assert_allclose((rows**2).mean(1), 0.1, rtol=1e-5)
    nearest = labels.MA52_CLASSES[int((rows @ labels.embeddings(("play hair",))[0]).argmax())]
    assert nearest == "playing or tidying hair"


def test_a_folder_of_one_pickle_a_split_is_one_source(tmp_path):
    found, report = read(release(tmp_path))
    assert {id: clip.split for id, clip in found.items()} == dict.fromkeys(TRAINED, "train") | dict.fromkeys(
        VALIDATED, "val"
    ) | dict.fromkeys(TESTED, "test")
    assert {id: clip.label for id, clip in found.items()} == TRAINED | VALIDATED | dict.fromkeys(TESTED, -1)
    assert (report.classes, report.class_regions) == (labels.MA52_CLASSES, labels.MA52_REGIONS)
    assert {id: clip.subject for id, clip in found.items() if clip.subject} == {
        id: id[:4] for id in TRAINED | VALIDATED
    }
    assert report.events["labels of the test split are all 0: taken as unknown"] == ["MA52_test.pkl"]
    assert report.events["no names of classes: labels taken as those of Micro-Action-52"] == ["ma52_*.pkl"]
    expected = annotations(TRAINED)[1]["keypoint"][0].astype(np.float32)
    np.testing.assert_array_equal(found["0003_06_0001"].keypoints[..., :2], expected)


@pytest.mark.parametrize("ending", ["", ".mp4"])
@pytest.mark.parametrize("names", [("{}_data.pkl", "{}_label.pkl"), ("{}_new.pkl", "{}_lable.pkl")])
def test_labels_in_a_file_of_their_own_are_joined_by_name(tmp_path, names, ending):
    folder = separate(tmp_path, names, ending)
    layout = layouts.get("ma44")
    found, report = read(folder, layout)
    assert {id: clip.label for id, clip in found.items()} == TRAINED | VALIDATED | dict.fromkeys(TESTED, -1)
    assert report.classes == labels.MA52_CLASSES
    name = names[0].format("test")
    assert report.events["no labels, and no test_label.pkl beside it"] == [name]
    alone, _ = read(folder / names[0].format("train"), layout)
    assert {id: clip.label for id, clip in alone.items()} == TRAINED
    assert folder / names[1].format("train") in pyskl.beside(folder / names[0].format("train"))


def test_136_joints_give_those_of_imigue(tmp_path):
    found, report = read(separate(tmp_path, joints=136), layouts.get("imigue41"))
    assert found["test0000"].keypoints.shape == (5, 41, 3)
    assert "the 136 joints of the file taken in the order of layout 'halpe136'" in report.events


def test_imigue_in_one_pickle_a_split_has_its_own_classes(tmp_path):
    found, report = read(
        release(tmp_path, "imigue_{}.pkl", train={"0001_0": 31, "0001_1": 4}, val={"2_0": 3})
    )
    assert (report.classes, report.class_regions) == (labels.CLASSES, ())
    assert {id: clip.subject for id, clip in found.items()} == {"0001_0": "", "0001_1": "", "2_0": ""}


@pytest.mark.parametrize(
    ("splits", "form", "message"),
    [
        (
            {"train": TRAINED, "val": VALIDATED | {"0003_01_0001": 0}},
            "MA52_{}.pkl",
            r"MA52_val.pkl: clip '0003_01_0001' is also in the train split \(1 such clips\); remove it",
        ),
        (
            {"train": TRAINED, "training": VALIDATED},
            "MA52_{}.pkl",
            "has 2 pickles; give one of them: MA52_train.pkl, MA52_training.pkl; or one a split, such as",
        ),
        ({"a_train": TRAINED, "b_val": VALIDATED}, "{}.pkl", "has 2 pickles; give one of them"),
    ],
)
def test_what_is_not_one_pickle_a_split_is_refused(tmp_path, splits, form, message):
    refused(message, release(tmp_path, form, **splits))


def test_files_that_contradict_each_other_are_refused(tmp_path):
    release(tmp_path)
    dump(tmp_path / "MA52_val.pkl", {"annotations": annotations(VALIDATED), "split": {"val": [*VALIDATED]}})
    refused("MA52_val.pkl: has a `split` of its own, and is one of 3 pickles of one split each", tmp_path)
    dump(tmp_path / "MA52_val.pkl", {"annotations": annotations(VALIDATED), "classes": list("abc")})
    refused("MA52_val.pkl: its `classes` is not that of MA52_test.pkl", tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"0003_01_0001": 0}, "expected a list of dicts with file_name and label, found"),
        ([{"file_name": "0003_01_0001", "label": [1]}], "expected a list of dicts with file_name and label"),
        ([{"file_name": "x", "label": 1}], "names 'x' and no clip of train_data.pkl, such as '0003_01_0001'"),
        (
            [{"file_name": "a", "label": 1}, {"file_name": "a.mp4", "label": 2}],
            "train_label.pkl: clip 'a.mp4' has labels 1 and 2; give it one",
        ),
    ],
)
def test_labels_of_another_form_are_refused(tmp_path, rows, message):
    dump(separate(tmp_path) / "train_label.pkl", rows)
    refused(message, tmp_path, layouts.get("ma44"))


def test_clips_without_a_row_of_the_labels_are_told(tmp_path):
    dump(
        separate(tmp_path) / "val_label.pkl", [{"file_name": id, "label": 9} for id in ("0003_02_0007", "x")]
    )
    found, report = read(tmp_path, layouts.get("ma44"))
    assert (found["0003_02_0007"].label, found["0009_01_0002"].label) == (9, -1)
    assert report.events["labels of clips that are not there"] == ["x"]
    assert "0009_01_0002" in report.events["clips without a label, or with label -1: of unknown class"]


def test_fingertips_of_the_other_hand_are_told(tmp_path):
    clip = annotations(TRAINED)[0]
    clip["keypoint"][:, :, 18:23] = clip["keypoint"][:, :, 4:5] + 3
    clip["keypoint"][:, :, 7] = clip["keypoint"][:, :, 4] + 200
    dump(tmp_path / "MA52_train.pkl", [clip])
    event = "left fingertips are nearer to the right wrist than to the left: check which hand they are"
    assert read(tmp_path)[1].events[event] == ["0003_01_0001"]
    clip["keypoint"][:, :, 18:23] = clip["keypoint"][:, :, 7:8] + 3
    dump(tmp_path / "MA52_train.pkl", [clip])
    assert event not in read(tmp_path)[1].events


def test_check_says_what_a_folder_holds(tmp_path):
    text, usable = clips.check(release(tmp_path), "ma28", tmp_path / "outputs")
    assert usable, text
    rows = [line.split()[:2] for line in text.splitlines() if line.startswith(("train ", "val ", "test "))]
    assert rows == [["train", "4"], ["val", "2"], ["test", "2"]]
    assert "52 classes, layout 'ma28'" in text
    loaded = clips.load(tmp_path, "ma28", tmp_path / "outputs")
    assert loaded.class_regions == labels.MA52_REGIONS
    assert set(loaded.split("train").groups()) == {"0003", "0007"}


def of_classes(ids, truth, probable):
    """Predictions with the given probabilities, the rest on class 51."""
    rows = np.zeros((len(ids), 52))
    for row, chosen in zip(rows, probable, strict=True):
        row[list(chosen)] = list(chosen.values())
        row[51] += 1 - row.sum()
    return Predictions(np.array(ids), np.array(truth), rows, np.array(labels.MA52_CLASSES))


def test_the_four_f1_by_hand():
    """Truth 0, 1, 5, 24, predicted 0, 0, 5, 5.

    Classes: top-1 2/4; F1 of 0 is 2/3, of 1 is 0, of 5 is 2/3, of 24 is 0: macro 1/3. Parts: body, body,
    head, lower limb, predicted body, body, head, head: top-1 3/4; F1 1, 2/3, 0: macro 5/9. The mean is
    (1/2 + 1/3 + 3/4 + 5/9) / 4 = 77/144.
    """
    predicted = of_classes(list("abcd"), [0, 1, 5, 24], [{0: 1.0}, {0: 1.0}, {5: 1.0}, {5: 1.0}])
    scores = metrics.scores(predicted, labels.MA52_REGIONS)
    expected = {"top1": 1 / 2, "macro_f1": 1 / 3, "region_top1": 3 / 4, "region_macro_f1": 5 / 9}
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert scores["mean_f1"] == pytest.approx(77 / 144)
    assert "mean_f1" not in metrics.scores(predicted)
    table = recipes.compare({"one": predicted}, "one", pd.Series(), labels.MA52_REGIONS)
    assert table.loc["one", "mean_f1"] == pytest.approx(77 / 144)


def test_a_region_has_the_sum_of_its_classes():
    """The most probable class is of the head, the most probable part is the body."""
    predicted = of_classes(["a", "b"], [3, -1], [{0: 0.3, 1: 0.3, 5: 0.4}, {5: 1.0}])
    parts = predictions.of_regions(predicted, labels.MA52_REGIONS)
    np.testing.assert_allclose(parts.probabilities[0], [0.6, 0.4, 0, 0, 0, 0, 0])
    assert (parts.labels.tolist(), parts.predicted.tolist()) == ([0, -1], [0, 1])
    assert parts.classes[6] == "leg-hand"


def test_the_submission_has_five_classes_and_five_parts(tmp_path):
    probable = [{5: 0.3, 0: 0.25, 1: 0.2, 24: 0.1, 32: 0.09}, {50: 0.4, 6: 0.3, 7: 0.2, 11: 0.06, 38: 0.03}]
    predicted = of_classes(["test0001", "test0000.mp4"], [-1, -1], probable)
    paths = submissions.write_all(predicted, tmp_path, predicted.ids.tolist())
    assert paths == {"Micro-Action-52": tmp_path / "prediction.zip"}
    with zipfile.ZipFile(tmp_path / "prediction.zip") as archive:
        assert archive.namelist() == ["prediction.csv"]
        header, *rows = csv.reader(archive.read("prediction.csv").decode().splitlines())
    assert ",".join(header) == (
        "vid,action_pred_1,action_pred_2,action_pred_3,action_pred_4,action_pred_5,"
        "body_pred_1,body_pred_2,body_pred_3,body_pred_4,body_pred_5"
    )
    # parts of test0000: head 0.5, leg-hand 0.41, upper limb 0.06, head-hand 0.03; of test0001: body 0.45, …
    assert rows == [
        ["test0000.mp4", "50", "6", "7", "11", "38", "1", "6", "2", "5", "0"],
        ["test0001.mp4", "5", "0", "1", "24", "32", "0", "1", "3", "4", "6"],
    ]
    with pytest.raises(ValueError, match="exactly the 1 clips of the test split"):
        submissions.write_ma52(predicted, tmp_path, ["test0001"])
    wrong = of_classes(["0003_01_0001"], [-1], probable[:1])
    with pytest.raises(ValueError, match="must be test0000 to test9999.*found '0003_01_0001'"):
        submissions.write_ma52(wrong, tmp_path)


def test_other_archives_are_no_submission_for_ma52(tmp_path):
    for text, message in {
        "Id,Target\n": "prediction.csv must begin with vid,action_pred_1",
        ",".join(submissions.MA52_COLUMNS)
        + "\ntest0000.mp4,1\n": "rows must be <vid>, five classes and five",
        ",".join(submissions.MA52_COLUMNS) + 2 * ("\na" + 10 * ",1"): "ids must be unique, found 1 again",
    }.items():
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr("prediction.csv", text)
        with pytest.raises(ValueError, match=message):
            submissions.read_ma52(tmp_path / "x.zip")
