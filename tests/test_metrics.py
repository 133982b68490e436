"""Scores worked out by hand, and the laws of intervals and tests."""

import numpy as np
import pytest

from miga_lib import metrics
from miga_lib.predictions import Predictions


def certain(labels, guesses, classes=3):
    """Predictions that put 0.9 on their guess."""
    probabilities = np.full((len(labels), classes), 0.1 / (classes - 1))
    probabilities[np.arange(len(labels)), guesses] = 0.9
    ids = np.array([f"c{i}" for i in range(len(labels))])
    return Predictions(ids, np.array(labels), probabilities, np.array([f"class {k}" for k in range(classes)]))


def test_scores_by_hand():
    """Class 0: 2 of 3 found, guessed 3 times, 2 right. Class 1: 0 of 1, guessed once. Class 2 has no clips and is left out.

    Recall 2/3 and 0, so their mean is 1/3; F1 of class 0 is 2·2/(3 + 3) = 2/3, of class 1 is 0, mean 1/3; majority 3 of 4.
    """
    scores = metrics.scores(certain([0, 0, 0, 1], [0, 0, 1, 0]))
    assert scores["top1"] == pytest.approx(2 / 4)
    assert scores["mean_class"] == pytest.approx(1 / 3)
    assert scores["macro_f1"] == pytest.approx(1 / 3)
    assert scores["majority"] == pytest.approx(3 / 4)
    assert scores["classes_present"] == 2


def test_top5_counts_the_five_most_probable():
    probabilities = np.tile(np.array([0.3, 0.25, 0.2, 0.12, 0.08, 0.05]), (2, 1))
    predictions = Predictions(np.array(["a", "b"]), np.array([4, 5]), probabilities, np.array(list("uvwxyz")))
    assert metrics.scores(predictions)["top5"] == pytest.approx(1 / 2)


def test_clips_of_unknown_class_do_not_count():
    assert metrics.scores(certain([0, -1, 1], [0, 2, 1]))["clips"] == 2
    with pytest.raises(ValueError, match="none of the 1 clips has a known label"):
        metrics.scores(certain([-1], [0]))


def test_what_cannot_be_said_of_a_class_is_nan():
    table = metrics.per_class(certain([0, 0, 1], [0, 1, 1]))
    assert table.loc["class 0", ["recall", "precision", "support", "guessed"]].tolist() == [1 / 2, 1, 2, 1]
    assert table.loc["class 2", ["recall", "precision", "f1"]].isna().all()


def test_confusion_has_truth_in_rows():
    assert metrics.confusion(certain([0, 0, 1], [0, 2, 1])).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_interval_of_groups_that_agree_inside_is_wider_than_that_of_clips():
    right = np.repeat(np.arange(10) < 7, 20)
    by_group = metrics.interval(lambda rows: right[rows].mean(), np.repeat(np.arange(10), 20))
    by_clip = metrics.interval(lambda rows: right[rows].mean(), np.arange(200))
    assert by_group[0] < by_clip[0] < 0.7 < by_clip[1] < by_group[1]


def test_interval_of_one_group_is_unknown():
    assert np.isnan(metrics.interval(lambda rows: 0.5, np.zeros(5))).all()


def test_mcnemar_by_hand():
    """8 clips only the first gets right, 1 only the second: two-sided p = 2·(C(9,0) + C(9,1)) / 2⁹ = 20/512."""
    first = np.array([True] * 8 + [False] + [True] * 5)
    second = np.array([False] * 8 + [True] + [True] * 5)
    assert metrics.mcnemar(first, second) == pytest.approx(20 / 512)
    assert metrics.mcnemar(first, first) == 1
