"""Orders, tables and calibration worked out by hand, on a few predictions."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miga_lib import labels, metrics
from miga_lib.analysis import failures
from miga_lib.predictions import Predictions


def make(rows, classes=3):
    """Predictions from (id, label, predicted class, its probability). The other classes have equal
    probabilities."""
    probabilities = np.array(
        [
            [p if k == predicted else (1 - p) / (classes - 1) for k in range(classes)]
            for _, _, predicted, p in rows
        ]
    )
    names = np.array([f"class {k}" for k in range(classes)])
    return Predictions(
        np.array([row[0] for row in rows]), np.array([row[1] for row in rows]), probabilities, names
    )


def test_each_class_has_one_region():
    listed = [name for names in failures.REGIONS.values() for name in names]
    assert sorted(listed) == sorted([*labels.CLASSES, *labels.SMG_CLASSES])
    regions = failures.by_region([*labels.CLASSES, "jump"])
    assert sorted(itertools.chain(*regions.values())) == list(range(33))
    assert regions["speech"] == [31]
    assert regions["other"] == [32]


@given(st.permutations(range(9)))
def test_classes_confused_with_each_other_are_neighbours(shuffled):
    """Three blocks of three classes, in any order. Within a block, half of the clips are confused; between
    blocks, none."""
    block = np.array(shuffled) // 3
    matrix = np.where(block[:, None] == block[None, :], 5, 0) + 10 * np.eye(9, dtype=int)
    ordered = block[failures.by_confusion(matrix)]
    assert len(set(map(tuple, ordered.reshape(3, 3)))) == 3
    assert all(len(set(part)) == 1 for part in ordered.reshape(3, 3))


def test_classes_without_clips_come_last():
    matrix = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 1], [0, 0, 1, 2]])
    assert failures.by_confusion(matrix).tolist()[-1] == 1
    assert failures.by_confusion(np.zeros((2, 2), int)).tolist() == [0, 1]


def test_confused_pairs_by_hand():
    """Class 0 is predicted as 1 twice (of 4 clips), class 1 as 2 once (of 1): most frequent first, each with
    its most confident example."""
    rows = [
        ("a", 0, 0, 0.9),
        ("b", 0, 1, 0.6),
        ("c", 0, 1, 0.8),
        ("d", 0, 0, 0.9),
        ("e", 1, 2, 0.5),
        ("f", -1, 1, 0.9),
    ]
    table = failures.confused(make(rows))
    assert table.to_dict("list") == {
        "class": ["class 0", "class 1"],
        "predicted": ["class 1", "class 2"],
        "clips": [2, 1],
        "share": [0.5, 1.0],
        "example": ["c", "e"],
    }
    assert len(failures.confused(make(rows), most=1)) == 1
    assert failures.confused(make(rows[:1])).empty


def test_in_short_names_the_class_predicted_wrongly_most_often():
    rows = [("a", 0, 0, 0.9), ("b", 1, 0, 0.9), ("c", 1, 0, 0.9), ("d", 2, 1, 0.9)]
    wrong, missed, confidence = failures.in_short(make(rows))
    number, of_class = wrong.split(". ")
    assert number == "3 of 4 clips are predicted wrongly, 2 of them as “class 0”"
    assert of_class == "This class is predicted 3 times and has 1 clips."
    assert missed == "2 of the 3 classes that have clips are never predicted correctly; they have 3 clips."
    assert confidence == "The mean confidence is 90 % and the accuracy 25 %: overconfident."
    assert failures.in_short(make(rows[:1])) == ["All 1 clips are predicted correctly."]


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.4, "40 % and the accuracy 50 %: underconfident."), (0.51, "51 % and the accuracy 50 %.")],
)
def test_confidence_near_the_accuracy_is_neither_too_high_nor_too_low(probability, words):
    assert (
        failures.in_short(make([("a", 0, 0, probability), ("b", 1, 0, probability)]))[-1]
        == f"The mean confidence is {words}"
    )


def test_clips_are_joined_on_ids(smoke):
    test = smoke.split("test").table
    mirrored = test.iloc[::-1]
    probabilities = np.tile(np.eye(32)[31], (len(test), 1))
    predictions = Predictions(
        mirrored["id"].to_numpy(str), mirrored["label"].to_numpy(), probabilities, np.array(smoke.classes)
    )
    table = failures.by_clip(predictions, smoke)
    assert table.index.tolist() == mirrored["id"].tolist()
    assert table["frames"].tolist() == mirrored["frames"].tolist()
    assert table["right"].tolist() == (mirrored["label"] == 31).tolist()
    assert table["class"].tolist() == [smoke.classes[k] for k in mirrored["label"]]
    assert set(table["group"]) == set(test["subject"])
    train = smoke.split("train").table["label"]
    assert table["training"].tolist() == [(train == k).sum() for k in mirrored["label"]]


def test_clips_of_other_data_are_refused(smoke):
    with pytest.raises(
        ValueError, match=r"1 of 1 clips \(such as zzz\) are not in `data`; give the data of the run"
    ):
        failures.by_clip(make([("zzz", 0, 0, 0.9)]), smoke)


TABLE = pd.DataFrame(
    {
        "class": list("xxxxyyyy"),
        "right": [True, True, True, False, False, False, False, True],
        "frames": [1, 2, 3, 10, 11, 12, 13, 14],
        "group": list("aabbaabb"),
    }
)


def test_accuracy_by_group_by_hand():
    """Classes x and y have accuracies 3/4 and 1/4. Each group has two clips of each: 1/2 expected; 2 of 4 are
    correct in a and in b."""
    table = failures.accuracy_by(TABLE, "group")
    assert table.index.tolist() == ["a", "b"]
    assert table["clips"].tolist() == [4, 4]
    assert table["accuracy"].tolist() == [0.5, 0.5]
    assert table["expected"].tolist() == [0.5, 0.5]


def test_accuracy_by_length_by_hand():
    """Two bins of four clips: the first has only x (3 of 4 correct, so 3/4 is expected), the second only
    y."""
    table = failures.accuracy_by(TABLE.assign(frames=range(8)), "frames", bins=2)
    assert table["middle"].tolist() == [1.5, 5.5]
    assert table["accuracy"].tolist() == [0.75, 0.25]
    assert table["expected"].tolist() == [0.75, 0.25]
    assert (table["low"] < table["accuracy"]).all()
    assert (table["accuracy"] < table["high"]).all()


def test_bins_with_equal_edges_become_one():
    assert len(failures.accuracy_by(TABLE.assign(frames=5), "frames", bins=4)) <= 1


def test_calibration_by_hand():
    """Ten bins. 0.55 and 0.6 fall into the sixth (0.5, 0.6]; 0.95 twice into the tenth, one of them wrong.

    Sixth: confidence 0.575, 2 of 2 correct; tenth: 0.95, 1 of 2 correct. Error: (2 · 0.425 + 2 · 0.45) / 4 =
    0.4375.
    """
    predictions = make([("a", 0, 0, 0.55), ("b", 0, 0, 0.6), ("c", 1, 1, 0.95), ("d", 1, 2, 0.95)])
    table = metrics.calibration_bins(predictions, bins=10)
    assert table["left"].tolist() == pytest.approx([0.5, 0.9])
    assert table["clips"].tolist() == [2, 2]
    assert table["confidence"].tolist() == pytest.approx([0.575, 0.95])
    assert table["accuracy"].tolist() == [1, 0.5]
    assert metrics.calibration_error(table) == pytest.approx(0.4375)


def test_a_confident_and_correct_model_is_calibrated():
    table = metrics.calibration_bins(make([("a", 0, 0, 1.0), ("b", 1, 1, 1.0)]))
    assert len(table) == 1
    assert metrics.calibration_error(table) == 0


def test_clips_of_one_length_are_one_bin():
    table = pd.DataFrame({"class": ["a", "a", "b"], "right": [True, False, True], "frames": [6, 6, 6]})
    (part,) = failures.accuracy_by(table, "frames", 4).to_dict("records")
    assert (part["clips"], part["accuracy"], part["middle"]) == (3, pytest.approx(2 / 3), 6)
