"""Decoders of posteriors: against a search through all segmentations, and on cases worked out by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miga_lib.spotting import decoding

NOTHING = 2


def one_hot(labels, certain=0.9):
    """Posteriors (T, 3) of two gestures and no gesture, which agree with the labels of the frames."""
    return np.where(np.arange(3) == np.array(labels)[:, None], certain, (1 - certain) / 2)


def rows(segments):
    return segments[["label", "first", "last"]].to_numpy().tolist()


FLAT = np.full((3, 8), -np.log(8))
"""Every duration from 1 to 8 is equally likely."""


def test_threshold_and_merge():
    labels = [2, 0, 0, 0, 2, 1, 1, 0, 2]
    segments = decoding.merge(one_hot(labels), threshold=0.5)
    assert rows(segments) == [[0, 1, 3], [1, 5, 6], [0, 7, 7]]
    assert segments["probability"].tolist() == pytest.approx([0.9] * 3)
    assert rows(decoding.merge(one_hot(labels), 0.5, shortest=2)) == [[0, 1, 3], [1, 5, 6]]
    assert rows(decoding.merge(one_hot(labels), 0.95)) == []
    assert rows(decoding.merge(np.array([[0.4, 0.1, 0.5]]), 0.4)) == [[0, 0, 0]], (
        "a gesture may be less probable than no gesture"
    )


def test_gestures_are_where_no_other_class_is_more_probable():
    """Of runs with *no gesture* and without; nobody is seen in the fourth frame."""
    rows_of = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0, 0], [0.6, 0.4], [0.7, 0.3]]
    segments = decoding.most_probable(np.array(rows_of), ("wave", "nod"))
    assert rows(segments) == [[0, 0, 0], [1, 1, 2], [0, 4, 5]]
    assert segments["probability"].tolist() == pytest.approx([0.9, 0.7, 0.65])
    assert rows(decoding.most_probable(np.array(rows_of), ("wave", "no gesture"))) == [[0, 0, 0], [0, 4, 5]]
    assert rows(decoding.most_probable(np.array(rows_of), ("no gesture", "nod"))) == [[1, 1, 2]]


def test_one_doubtful_frame_divides_a_segment_only_where_durations_do_not_count():
    labels = [2, 0, 0, 0, 1, 0, 0, 2]
    posteriors = one_hot(labels, 0.7)
    assert rows(decoding.semi_markov(posteriors, FLAT, weight=0.1)) == [[0, 1, 3], [1, 4, 4], [0, 5, 6]]
    # A segment pays 0.7 log 8 = 1.46, a wrong frame log(0.7 / 0.15) = 1.54.
    assert rows(decoding.semi_markov(posteriors, FLAT, weight=0.7)) == [[0, 1, 6]]
    assert rows(decoding.semi_markov(posteriors, FLAT, weight=0.7, threshold=0.65)) == [], (
        "the mean is (5 · 0.7 + 0.15) / 6 = 0.61"
    )


def test_durations_decide_where_posteriors_do_not():
    """Class 0 lasts 4 frames and no gesture 2; six frames that may be both are a gesture of four and two
    frames of nothing."""
    durations = np.full((3, 6), -20.0)
    durations[0, 3] = durations[2, 1] = 0
    posteriors = np.tile([0.45, 0.1, 0.45], (6, 1))
    posteriors[0] = 0.4, 0.1, 0.5
    assert rows(decoding.semi_markov(posteriors, durations, weight=1.0)) == [[0, 2, 5]]


def best_by_search(posteriors, durations, weight):
    """The largest score of any segmentation, by trying all."""
    count, classes = posteriors.shape
    logs = np.log(np.maximum(posteriors, decoding.MIN_POSTERIOR))
    scores = []
    for cuts in itertools.product([False, True], repeat=count - 1):
        bounds = [0, *(t + 1 for t in range(count - 1) if cuts[t]), count]
        parts = list(itertools.pairwise(bounds))
        if max(b - a for a, b in parts) <= durations.shape[1]:
            scores.append(
                sum(
                    max(logs[a:b, k].sum() + weight * durations[k, b - a - 1] for k in range(classes))
                    for a, b in parts
                )
            )
    return max(scores)


@settings(max_examples=60)
@given(st.integers(1, 7), st.integers(1, 7), st.sampled_from([0.0, 0.5, 3.0]), st.integers(0, 2**32 - 1))
def test_the_semi_markov_decoder_is_exact(count, longest, weight, seed):
    rng = np.random.default_rng(seed)
    posteriors = rng.dirichlet(np.full(3, 0.5), count)
    durations = np.log(rng.dirichlet(np.ones(longest), 3))
    labels, parts = decoding.best_segments(posteriors, durations, weight)
    assert parts[0, 0] == 0
    assert parts[1, -1] == count - 1
    assert (parts[0, 1:] == parts[1, :-1] + 1).all(), "the segments divide all frames"
    logs = np.log(np.maximum(posteriors, decoding.MIN_POSTERIOR))
    score = sum(
        logs[a : b + 1, k].sum() + weight * durations[k, b - a]
        for k, a, b in zip(labels, *parts, strict=True)
    )
    assert score == pytest.approx(best_by_search(posteriors, durations, weight))


@pytest.mark.parametrize(
    "decode", [lambda p: decoding.merge(p, 0.5), lambda p: decoding.semi_markov(p, FLAT, 1.0)]
)
def test_a_video_without_gestures_gives_an_empty_table(decode):
    assert decode(one_hot([2] * 20)).empty


def test_durations_are_probabilities_with_the_mode_of_their_class():
    durations = decoding.log_durations([np.full(1000, 20), np.array([], int), np.full(1000, 5)], longest=60)
    assert np.exp(durations).sum(1) == pytest.approx(1)
    assert (durations.argmax(1) + 1).tolist()[0] == pytest.approx(20, abs=1)
    assert (durations.argmax(1) + 1).tolist()[2] == pytest.approx(5, abs=1)
    assert durations[1] == pytest.approx(durations[0], abs=0.1), (
        "a class without segments lasts as long as all gestures"
    )


def test_a_class_of_few_segments_is_drawn_towards_all_gestures():
    """Its mean and variance are those of its two logarithms and of ten more with the mean and the variance of
    all."""
    lengths = [np.full(100, 40), np.array([4, 4]), np.full(100, 9), np.array([4])]
    logs_of_all, own = np.log([40] * 100 + [4, 4] + [9] * 100), np.log([4, 4])
    mean = (own.sum() + 10 * logs_of_all.mean()) / 12
    variance = (((own - mean) ** 2).sum() + 10 * ((logs_of_all - mean) ** 2).mean()) / 12
    durations, logs = np.exp(decoding.log_durations(lengths, longest=3000)[1]), np.log(np.arange(1, 3001))
    assert np.average(logs, weights=durations) == pytest.approx(mean, abs=0.02)
    assert np.average((logs - mean) ** 2, weights=durations) == pytest.approx(variance, abs=0.02)
