"""Invalid predictions are refused, and a file preserves predictions."""

import numpy as np
import pytest

from miga_lib import predictions
from miga_lib.predictions import Predictions

CLASSES = np.array(["nod", "shake"])


def make(ids=("a", "b"), labels=(0, -1), probabilities=((0.25, 0.75), (1.0, 0.0)), classes=CLASSES):
    return Predictions(np.array(ids), np.array(labels), np.array(probabilities), np.array(classes))


def test_a_file_gives_back_what_was_saved(tmp_path):
    make().save(tmp_path / "val.npz")
    loaded = predictions.load(tmp_path / "val.npz")
    assert loaded.ids.tolist() == ["a", "b"]
    assert loaded.labels.tolist() == [0, -1]
    assert loaded.probabilities.tolist() == [[0.25, 0.75], [1.0, 0.0]]
    assert [path.name for path in tmp_path.iterdir()] == ["val.npz"], "no unfinished file is left"


def test_predicted_and_known():
    assert make().predicted.tolist() == [1, 0]
    assert make().known().ids.tolist() == ["a"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ("a", "a")}, "ids of predictions must be unique, found 'a' 2 times"),
        ({"classes": ("nod", "nod")}, "classes of predictions must be unique, found 'nod' 2 times"),
        ({"labels": (0.0, 1.0)}, "labels must be whole numbers, found type float64"),
        ({"probabilities": ((0.5, 0.6), (1, 0))}, "those of 'a' sum to 1.1"),
        ({"probabilities": ((0.25, 0.75), (1.5, -0.5))}, "must be 0 or more and sum to 1, those of 'b'"),
        ({"probabilities": ((np.nan, 0.5), (1, 0))}, "those of 'a' sum to nan"),
        ({"labels": (0, 2)}, r"labels must be -1 \(unknown\) to 1, found 0 to 2"),
        ({"probabilities": (("0.5", "0.5"), ("1", "0"))}, "probabilities must be numbers, found type <U3"),
        ({"ids": "a"}, "predictions of 1 ids and 2 classes need labels"),
        ({"labels": (0,)}, "predictions of 2 ids and 2 classes need labels"),
    ],
)
def test_invalid_predictions_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        make(**change)


def test_a_file_without_an_array_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", ids=np.array(["a"]))
    with pytest.raises(ValueError, match=r"x\.npz: a predictions file contains .*'labels' is missing"):
        predictions.load(tmp_path / "x.npz")


def test_the_most_frequent_id_is_named():
    ids = np.array(["a", "a", "b", "b", "b"])
    with pytest.raises(ValueError, match="found 'b' 3 times"):
        Predictions(ids, np.zeros(5, int), np.tile([0.5, 0.5], (5, 1)), CLASSES)


def test_clips_are_selected_by_id_in_the_given_order():
    taken = make().of(["b", "a"])
    assert taken.ids.tolist() == ["b", "a"]
    assert taken.labels.tolist() == [-1, 0]
    assert taken.probabilities.tolist() == [[1.0, 0.0], [0.25, 0.75]]
    with pytest.raises(
        ValueError, match=r"lack 1 of 2 clips \(such as 0001_0\); they are of clips such as a; choose"
    ):
        make().of(["a", "0001_0"])


def test_other_files_are_named_with_the_function_that_reads_scores(tmp_path):
    np.save(tmp_path / "bare.npy", np.zeros((2, 2)))
    (tmp_path / "text.npz").write_text("a,b")
    make().save(tmp_path / "whole.npz")
    (tmp_path / "half.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:200])
    way_out = r"; predict again, .*ensemble\.score_files\.read"
    for name in ("bare.npy", "text.npz", "half.npz"):
        with pytest.raises(ValueError, match=rf"{name}: not an npz file of complete arrays .*{way_out}"):
            predictions.load(tmp_path / name)


def test_a_file_with_invalid_predictions_is_named(tmp_path):
    np.savez(
        tmp_path / "x.npz",
        ids=np.array(["a"]),
        labels=np.array([5]),
        probabilities=np.array([[0.5, 0.5]]),
        classes=CLASSES,
    )
    with pytest.raises(ValueError, match=r"x\.npz: labels must be -1 \(unknown\) to 1, found 5 to 5"):
        predictions.load(tmp_path / "x.npz")


def test_validation_is_used_where_no_label_of_the_wanted_split_is_known():
    labels, unknown = np.array([0, -1]), np.array([-1, -1])
    assert predictions.split_with_labels({"val": unknown, "test": labels}) == ("test", "")
    split, sentence = predictions.split_with_labels({"val": labels, "test": unknown})
    assert split == "val"
    assert sentence == "The classes of the 2 test clips are unknown, so the validation clips are used."
    assert predictions.split_with_labels({"val": labels, "test": labels}, "val") == ("val", "")


@pytest.mark.parametrize(
    ("splits", "preferred", "message"),
    [
        (
            ["val", "test"],
            "test",
            "no label of split test or val is known, so nothing can be evaluated; give data with labels",
        ),
        (["test"], "test", "no label of split test or val is known"),
        (["val", "test"], "val", "no label of split val is known"),
        (["val", "test"], "train", "split must be one of test, val, got 'train'"),
    ],
)
def test_a_split_without_any_known_label_is_refused(splits, preferred, message):
    with pytest.raises(ValueError, match=message):
        predictions.split_with_labels(dict.fromkeys(splits, np.array([-1])), preferred)


def test_data_without_test_clips_are_evaluated_on_validation():
    assert predictions.split_with_labels({"val": np.array([1]), "train": np.array([0])}) == (
        "val",
        "There are no test clips, so the validation clips are used.",
    )


def test_adjustment_for_rare_classes_worked_by_hand():
    # 3 and 1 training clips: 0.6 / 0.75 = 0.8 and 0.4 / 0.25 = 1.6, so 1/3 and 2/3.
    plain = Predictions(np.array(["a"]), np.array([1]), np.array([[0.6, 0.4]]), np.array(["x", "y"]))
    assert predictions.adjusted(plain, np.array([3, 1]), 1.0).probabilities.tolist() == [
        pytest.approx([1 / 3, 2 / 3])
    ]
    assert predictions.adjusted(plain, np.array([3, 1]), 0.0).probabilities.tolist() == [
        pytest.approx([0.6, 0.4])
    ]
    # A class without training clips counts as one clip.
    assert np.isfinite(predictions.adjusted(plain, np.array([3, 0]), 1.0).probabilities).all()
