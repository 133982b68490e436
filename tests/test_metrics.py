"""Scores worked out by hand, and the laws of intervals and tests."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from miga_lib import metrics
from miga_lib.predictions import Predictions


def confident(labels, predicted, classes=3):
    """Predictions with probability 0.9 for the predicted class."""
    probabilities = np.full((len(labels), classes), 0.1 / (classes - 1))
    probabilities[np.arange(len(labels)), predicted] = 0.9
    ids = np.array([f"c{i}" for i in range(len(labels))])
    return Predictions(ids, np.array(labels), probabilities, np.array([f"class {k}" for k in range(classes)]))


def test_scores_by_hand():
    """Class 0: 2 of 3 clips correct, predicted 3 times. Class 1: 0 of 1 correct, predicted once. Class 2 has
    no clips and is left out.

    Recall 2/3 and 0, so their mean is 1/3; F1 of class 0 is 2·2/(3 + 3) = 2/3, of class 1 is 0, mean 1/3;
    majority 3 of 4.
    """
    scores = metrics.scores(confident([0, 0, 0, 1], [0, 0, 1, 0]))
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
    assert metrics.scores(confident([0, -1, 1], [0, 2, 1]))["clips"] == 2
    with pytest.raises(ValueError, match="none of the 1 clips has a known label"):
        metrics.scores(confident([-1], [0]))


def test_scores_with_nothing_to_divide_by_are_nan():
    table = metrics.per_class(confident([0, 0, 1], [0, 1, 1]))
    assert table.loc["class 0", ["recall", "precision", "support", "predicted"]].tolist() == [1 / 2, 1, 2, 1]
    assert table.loc["class 2", ["recall", "precision", "f1"]].isna().all()


def test_confusion_has_truth_in_rows():
    assert metrics.confusion_matrix(confident([0, 0, 1], [0, 2, 1])).tolist() == [
        [1, 0, 1],
        [0, 1, 0],
        [0, 0, 0],
    ]


def test_wilson_by_hand():
    """For 0 successes of n, Wilson's interval is [0, z² / (n + z²)]; for n of n, it is 1 minus that; z =
    1.959964."""
    upper = 1.959964**2 / (3 + 1.959964**2)
    low, high = metrics.wilson(np.array([0, 3, 0]), np.array([3, 3, 0]))
    assert low[:2] == pytest.approx([0, 1 - upper], abs=1e-6)
    assert high[:2] == pytest.approx([upper, 1], abs=1e-6)
    assert np.isnan([low[2], high[2]]).all()


def test_95_of_100_intervals_of_a_class_contain_its_recall():
    """A class has 15 clips of up to 35 people, whose accuracy differs by 10 points: nearly independent.
    With more clips of each person the interval would be too narrow."""
    rng = np.random.default_rng(0)
    recall = np.clip(0.6 + rng.normal(0, 0.1, (2000, 35)), 0, 1)
    correct = rng.random((2000, 15)) < np.take_along_axis(recall, rng.integers(0, 35, (2000, 15)), 1)
    low, high = metrics.wilson(correct.sum(1), np.full(2000, 15))
    assert 0.92 <= ((low <= 0.6) & (high >= 0.6)).mean() <= 0.98


def test_intervals_of_a_class_by_hand():
    """Class 0: 3 clips, predicted 3 times, 2 correct: recall and precision 2 of 3. 4 clips are of it or
    predicted as it."""
    table = metrics.per_class(confident([0, 0, 0, 1], [0, 0, 1, 0]))
    row = table.loc["class 0"]
    for name in ("recall", "precision"):
        low, high = metrics.wilson(np.array([2]), np.array([3]))
        assert row[[f"{name}_low", f"{name}_high"]].tolist() == pytest.approx([low[0], high[0]])
    low, high = metrics.wilson(np.array([2]), np.array([4]))
    assert row["f1"] == pytest.approx(2 / 3), "F1 = 2·2 / (3 + 3), and 2·(2/4) / (1 + 2/4) is the same"
    assert row[["f1_low", "f1_high"]].tolist() == pytest.approx(
        [2 * low[0] / (1 + low[0]), 2 * high[0] / (1 + high[0])]
    )
    assert table.loc["class 2", ["recall_low", "precision_low", "f1_low"]].isna().all()


def test_classes_of_one_name_do_not_upset_the_means():
    """Scores are computed by class index, not by name."""
    predictions = confident([0, 1, 1], [0, 1, 2])
    assert metrics.scores(predictions)["mean_class"] == pytest.approx((1 + 1 / 2) / 2)


def test_cross_entropy_by_hand():
    assert metrics.cross_entropy(confident([0, 1, -1], [0, 2, 0])) == pytest.approx(
        -(np.log(0.9) + np.log(0.05)) / 2
    )


FIRST, SECOND = confident([0, 0, 1, 1, 2], [0, 0, 1, 0, 0]), confident([0, 0, 1, 1, 2], [0, 1, 0, 0, 2])
GROUPS = pd.Series(list("ppqqq"), index=FIRST.ids)


def test_difference_by_hand():
    """The first is correct on clips 0, 1, 2, the second on 0 and 4: 3/5 − 2/5, as groups too few for a test,
    with five as in the t test."""
    assert metrics.difference(FIRST, SECOND, GROUPS)[:1] == pytest.approx((1 / 5,))
    assert np.isnan(metrics.difference(FIRST, SECOND, GROUPS)[1:]).all()
    by_clip = metrics.difference(FIRST, SECOND, pd.Series(range(5), index=FIRST.ids))
    assert by_clip.p == pytest.approx(ttest_1samp([0, 1, 1, 0, -1], 0).pvalue)
    outcomes = {"both": 1, "only_first": 2, "only_second": 1, "neither": 1}
    assert metrics.outcomes(FIRST, SECOND) == outcomes


def test_the_interval_of_top1_stays_below_1():
    correct = confident([0] * 8 + [1], [0] * 9)
    estimate = metrics.top1(correct, pd.Series(range(9), index=correct.ids))
    assert estimate.value == pytest.approx(8 / 9)
    assert 0.6 < estimate.low < estimate.high == 1


def test_outcomes_per_class_by_hand():
    table = metrics.outcomes_per_class(FIRST, SECOND)
    assert table.loc["class 0"].tolist() == [1, 1, 0, 0]
    assert table.loc["class 1"].tolist() == [0, 1, 0, 1]
    assert table.loc["class 2"].tolist() == [0, 0, 1, 0]
    assert table.columns.tolist() == ["both", "only_first", "only_second", "neither"]


def test_only_the_same_clips_in_one_order_are_compared():
    with pytest.raises(ValueError, match="on the same clips in the same order; call `ensemble.join` first"):
        metrics.difference(FIRST, SECOND.of(SECOND.ids[::-1].tolist()), GROUPS)


def test_groups_in_words():
    assert metrics.groups_in_words(["p"] * 3) == "1 subject or video"
    assert metrics.groups_in_words(list("pqp")) == "2 subjects or videos"


def test_an_interval_in_words():
    assert metrics.in_words(0.1, 0.256) == "95 % interval 10.0 to 25.6 %"
    assert metrics.in_words(0.1, 0.256, 0.0123) == "95 % interval 10.0 to 25.6 %, p = 0.012"
    assert metrics.in_words(float("nan"), float("nan")) == "no interval, which needs 5 subjects or videos"


def test_the_adjustment_that_is_chosen_does_not_lower_top_1():
    table = pd.DataFrame(
        {"strength": [0.0, 0.1, 0.2, 0.3], "top1": [0.5, 0.5, 0.6, 0.4], "macro_f1": [0.1, 0.3, 0.3, 0.9]}
    )
    assert metrics.choose_adjustment(table) == 0.1
    assert metrics.choose_adjustment(table.assign(top1=[0.7, 0.5, 0.6, 0.4])) == 0.0


def test_adjusting_moves_predictions_to_the_rare_class():
    """The rare class has 1 of 10 training clips: its probability of 0.3 wins once 0.3 / 0.1^s exceeds 0.7 /
    0.9^s, from s = 0.39 on."""
    predicted = Predictions(
        np.array(["a", "b"]),
        np.array([0, 1]),
        np.array([[0.9, 0.1], [0.7, 0.3]]),
        np.array(["often", "rare"]),
    )
    table = metrics.by_adjustment(predicted, np.array([9, 1])).set_index("strength")
    assert table.loc[[0.0, 0.3, 0.4, 0.9], "top1"].tolist() == [0.5, 0.5, 1.0, 1.0]
    # From s = 1 on, 0.1 / 0.1^s is above 0.9 / 0.9^s, too.
    assert table.loc[1.1, "top1"] == 0.5
