"""Scores of spotted segments: every number is worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from miga_lib.spotting import scoring


def segments(*rows, video="a"):
    """Rows (label, first, last) or (label, first, last, probability)."""
    table = pd.DataFrame([(video, *row, 1.0)[:5] for row in rows], columns=[*scoring.COLUMNS, "probability"])
    return table.astype({"label": int, "first": int, "last": int, "probability": float})


def pooled(truth, predicted, min_iou=0.3, match="one-to-one"):
    """Precision, recall and F1."""
    shares = scoring.pooled(scoring.counts(truth, predicted, min_iou, match))
    return pytest.approx((shares["precision"], shares["recall"], shares["f1"]))


NOTHING = segments()
THREE = segments((5, 0, 40), (5, 41, 80), (5, 82, 120))


@pytest.mark.parametrize("match", scoring.MATCHES)
def test_exact_bounds_are_all_hits(match):
    truth = pd.concat([THREE, segments((2, 7, 8), video="b")])
    assert pooled(truth, truth, match=match) == (1, 1, 1)
    assert pooled(truth, truth, min_iou=0.999, match=match) == (1, 1, 1)


@pytest.mark.parametrize("match", scoring.MATCHES)
def test_the_class_and_the_video_must_be_the_same(match):
    truth = segments((1, 0, 9))
    assert pooled(truth, segments((2, 0, 9)), match=match) == (0, 0, 0)
    assert pooled(truth, segments((1, 0, 9), video="b"), match=match) == (0, 0, 0)


def test_the_overlap_counts_both_ends_and_must_be_larger():
    truth = segments((1, 0, 9))  # 10 frames
    iou = scoring.overlap(truth, segments((1, 0, 2), (1, 0, 3), (1, 5, 14), (1, 10, 12), (1, 12, 14)))
    assert iou == pytest.approx(np.array([[3 / 10, 4 / 10, 5 / 15, 0 / 13, -2 / 15]]))
    assert pooled(truth, segments((1, 0, 2))) == (0, 0, 0), "3 of 10 frames are exactly 0.3, which is no hit"
    assert pooled(truth, segments((1, 0, 3))) == (1, 1, 1)
    assert pooled(segments((1, 0, 99)), segments((1, 0, 29))) == (0, 0, 0)
    assert pooled(segments((1, 0, 99)), segments((1, 0, 30))) == (1, 1, 1)


def test_the_official_overlap_leaves_the_last_frame_out():
    truth = segments((1, 0, 10))  # from 0 to 10: a length of 10
    assert pooled(truth, segments((1, 0, 3)), match="official") == (0, 0, 0), (
        "3 / 10 is no hit; with both ends it is 4 / 11"
    )
    assert pooled(truth, segments((1, 0, 3))) == (1, 1, 1)
    assert pooled(truth, segments((1, 0, 4)), match="official") == (1, 1, 1)
    one_frame = segments((1, 4, 4))
    assert pooled(one_frame, one_frame, match="official") == (0, 0, 0), "0 / 0"
    assert pooled(one_frame, one_frame) == (1, 1, 1)


def test_one_prediction_on_three_gestures():
    """Lengths 40, 39 and 38 of 120 are 0.333, 0.325 and 0.317: all above 0.3."""
    whole = segments((5, 0, 120))
    assert pooled(THREE, whole, match="official") == (3, 1, 2 * 3 / 4)
    assert pooled(THREE, whole) == (1, 1 / 3, 1 / 2)


def test_duplicates_cost_precision():
    truth, twice = segments((5, 0, 40)), segments((5, 0, 40), (5, 2, 38))
    for match in scoring.MATCHES:
        assert pooled(truth, twice, match=match) == (1 / 2, 1, 2 / 3)


def test_the_official_hit_is_the_first_in_time_and_the_strict_one_the_best():
    truth, predicted = segments((5, 10, 19)), segments((5, 10, 19), (5, 5, 19), (3, 0, 19))
    assert scoring.pairs(truth, predicted, match="official").tolist() == [[0], [1]]
    assert scoring.pairs(truth, predicted).tolist() == [[0], [0]]


def test_one_to_one_finds_the_most_hits_where_the_best_pair_would_cost_one():
    """The first prediction has the bounds of the first gesture, but only it fits the second; two hits of 0.4
    are better than one of 1."""
    truth = segments((1, 0, 9), (1, 0, 3))
    predicted = segments((1, 0, 9), (1, 6, 9))
    assert scoring.overlap(truth, predicted) == pytest.approx(np.array([[1, 4 / 10], [4 / 10, -2 / 10]]))
    assert scoring.pairs(truth, predicted).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("match", scoring.MATCHES)
def test_nothing_predicted_or_nothing_true(match):
    assert pooled(THREE, NOTHING, match=match) == (0, 0, 0)
    assert pooled(NOTHING, THREE, match=match) == (0, 0, 0)
    assert pooled(NOTHING, NOTHING, match=match) == (0, 0, 0)
    both = pd.concat([THREE, segments((1, 0, 9), video="b")])
    assert pooled(both, THREE, match=match) == (1, 3 / 4, 6 / 7), "a video without predictions"
    assert pooled(THREE, both, match=match) == (3 / 4, 1, 6 / 7), "a video without true segments"


def test_counts_are_pooled_over_videos():
    truth = pd.concat([THREE, segments((1, 0, 9), video="b")])
    predicted = pd.concat(
        [segments((5, 0, 40), (5, 200, 240)), segments((1, 0, 8), (2, 0, 8), (2, 9, 9), video="b")]
    )
    table = scoring.counts(truth, predicted)
    assert table.to_dict("index") == {
        "a": {"hits": 1, "predictions": 2, "truths": 3},
        "b": {"hits": 1, "predictions": 3, "truths": 1},
    }
    assert pooled(truth, predicted) == (2 / 5, 2 / 4, 4 / 9)


def some_segments(draw):
    """Up to five random segments of two classes within 12 frames."""
    rows = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 11), st.integers(0, 11)), max_size=5))
    return segments(*((label, min(a, b), max(a, b)) for label, a, b in rows))


@settings(max_examples=30)
@given(st.data())
def test_one_to_one_is_a_largest_matching(data):
    truth, predicted = some_segments(data.draw), some_segments(data.draw)
    true, hits = scoring.pairs(truth, predicted)
    assert len(set(true.tolist())) == len(set(hits.tolist())) == len(true)
    same = truth["label"].to_numpy()[:, None] == predicted["label"].to_numpy()
    allowed = same & (scoring.overlap(truth, predicted) > 0.3)
    assert allowed[true, hits].all()
    largest = (maximum_bipartite_matching(csr_array(allowed)) >= 0).sum() if allowed.size else 0
    assert len(true) == largest
    assert len(scoring.pairs(predicted, truth)[0]) == len(true)


def test_average_precision():
    """Class 5: hit, miss, hit of three: recall 1/3 at precision 1, 2/3 at 2/3. Class 1 is never predicted.
    Class 9 is not true."""
    truth = pd.concat([THREE, segments((1, 0, 9), video="b")])
    predicted = segments((5, 0, 40, 0.9), (5, 200, 240, 0.8), (5, 82, 119, 0.7), (9, 0, 9, 0.6))
    assert scoring.by_confidence(truth, predicted).tolist() == [True, False, True, False]
    assert scoring.mean_average_precision(truth, predicted) == pytest.approx((1 / 3 + 2 / 3 * 1 / 3 + 0) / 2)
    assert scoring.mean_average_precision(truth, truth) == 1
    assert scoring.mean_average_precision(truth, NOTHING) == 0
    assert np.isnan(scoring.mean_average_precision(NOTHING, truth))


def test_the_more_probable_of_two_duplicates_is_the_hit():
    predicted = segments((5, 0, 40, 0.2), (5, 0, 39, 0.3))
    assert scoring.by_confidence(THREE, predicted).tolist() == [False, True]


def test_errors_by_kind():
    truth = segments((5, 0, 9), (5, 100, 109), (2, 200, 209))
    predicted = segments((5, 0, 9), (5, 1, 9), (2, 100, 109), (2, 207, 230), (7, 300, 309), (5, 207, 230))
    kinds, is_found = scoring.kinds(truth, predicted)
    assert kinds.tolist() == [*scoring.KINDS, "invented"]
    assert is_found.tolist() == [True, False, False]
    assert scoring.kinds(NOTHING, predicted)[0].tolist() == ["invented"] * 6
    assert scoring.kinds(truth, NOTHING)[1].tolist() == [False] * 3


def test_all_scores_of_a_perfect_prediction():
    truth = pd.concat([THREE, segments((1, 0, 9), video="b")])
    scores = scoring.scores(truth, truth)
    assert np.isnan([scores.pop("low"), scores.pop("high")]).all(), "two videos have no interval"
    assert set(scores.values()) == {1}
    many = pd.concat([segments((1, 0, 9), video=video) for video in "abcde"])
    scores |= scoring.scores(many, many)
    assert (scores["low"], scores["high"]) == (1, 1)
    assert {"f1", "low", "high", "f1_0.1", "f1_0.5", "map_0.3", "official_precision"} <= scores.keys()


def test_the_difference_of_two_predictions_is_paired():
    """In every video one of two hits is lost: 1 − 2/3 whatever videos are drawn."""
    videos = "abcdef"
    truth = pd.concat([segments((1, 0, 9), (2, 20, 29), video=video) for video in videos])
    half = truth[truth["label"] == 1]
    gap = scoring.f1_difference(truth, truth, half)
    assert gap == pytest.approx([1 - 2 / 3] * 3 + [0])
    assert scoring.f1_difference(truth, truth, NOTHING).value == 1


def test_another_match_is_refused():
    with pytest.raises(ValueError, match="match must be one of one-to-one, official, got 'greedy'"):
        scoring.pairs(THREE, THREE, match="greedy")
