"""Predictions are refused when they make no sense, and survive a file."""

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
    assert [path.name for path in tmp_path.iterdir()] == ["val.npz"], "nothing unfinished is left"


def test_guesses_and_known():
    assert make().guesses.tolist() == [1, 0]
    assert make().known().ids.tolist() == ["a"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ("a", "a")}, "ids of predictions must differ, 'a' is there 2 times"),
        ({"classes": ("nod", "nod")}, "classes of predictions must differ, 'nod' is there 2 times"),
        ({"labels": (0.0, 1.0)}, "labels must be whole numbers, found type float64"),
        ({"probabilities": ((0.5, 0.6), (1, 0))}, "those of 'a' sum to 1.1"),
        ({"probabilities": ((0.25, 0.75), (1.5, -0.5))}, "must be 0 or more and sum to 1; those of 'b'"),
        ({"probabilities": ((np.nan, 0.5), (1, 0))}, "those of 'a' sum to nan"),
        ({"labels": (0, 2)}, r"labels must be -1 \(unknown\) to 1, found 0 to 2"),
        ({"labels": (0,)}, "predictions of 2 ids and 2 classes need labels"),
    ],
)
def test_nonsense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        make(**change)


def test_a_file_without_an_array_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", ids=np.array(["a"]))
    with pytest.raises(ValueError, match=r"x\.npz: a predictions file holds .*'labels' is not in it"):
        predictions.load(tmp_path / "x.npz")


def test_the_id_that_is_there_most_often_is_named():
    ids = np.array(["a", "a", "b", "b", "b"])
    with pytest.raises(ValueError, match="'b' is there 3 times"):
        Predictions(ids, np.zeros(5, int), np.tile([0.5, 0.5], (5, 1)), CLASSES)


def test_clips_are_taken_by_id_in_the_order_asked_for():
    taken = make().of(["b", "a"])
    assert taken.ids.tolist() == ["b", "a"]
    assert taken.labels.tolist() == [-1, 0]
    assert taken.probabilities.tolist() == [[1.0, 0.0], [0.25, 0.75]]
    with pytest.raises(ValueError, match="lack 1 of 2 clips, such as 0001_0; its own are such as a"):
        make().of(["a", "0001_0"])


def test_files_of_something_else_are_named_and_sent_elsewhere(tmp_path):
    np.save(tmp_path / "bare.npy", np.zeros((2, 2)))
    (tmp_path / "text.npz").write_text("a,b")
    make().save(tmp_path / "whole.npz")
    (tmp_path / "half.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:200])
    for name in ("bare.npy", "text.npz", "half.npz"):
        with pytest.raises(ValueError, match=rf"{name}: not a predictions file \(.*ensemble\.score_files\.read"):
            predictions.load(tmp_path / name)


def test_a_file_of_nonsense_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", ids=np.array(["a"]), labels=np.array([5]), probabilities=np.array([[0.5, 0.5]]), classes=CLASSES)
    with pytest.raises(ValueError, match=r"x\.npz: labels must be -1 \(unknown\) to 1, found 5 to 5"):
        predictions.load(tmp_path / "x.npz")


def test_validation_is_judged_where_no_test_label_is_known():
    unknown = make(labels=(-1, -1))
    assert predictions.judgeable({"val": unknown, "test": make()}) == ("test", "")
    split, sentence = predictions.judgeable({"val": make(), "test": unknown})
    assert split == "val"
    assert sentence == "The classes of the 2 test clips are unknown, so it is judged on the validation clips."
    with pytest.raises(ValueError, match="no class of the test clips is known, nor of validation clips"):
        predictions.judgeable({"val": unknown, "test": unknown})
    with pytest.raises(ValueError, match="no predictions of split 'train'; there are some of test, val"):
        predictions.judgeable({"val": make(), "test": unknown}, "train")
