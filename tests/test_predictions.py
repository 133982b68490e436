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
