"""Intervals: hand-worked values, laws, and how often they contain what they should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from miga_lib import intervals

SIMULATIONS = 800
"""The share of intervals that contain the truth is then known to about 0.8 points."""


def mean_of(values):
    return lambda rows: float(values[rows].mean())


def test_one_network_by_hand():
    """Five people with one clip each: pseudo-values are the values, the interval is that of the t test."""
    values = np.array([0.1, 0.3, 0.2, 0.4, 0.5])
    estimate = intervals.of_networks(mean_of(values), np.arange(5))
    test = stats.ttest_1samp(values, 0)
    assert estimate.value == pytest.approx(0.3)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(test.confidence_interval()))
    assert estimate.p == pytest.approx(test.pvalue)


def test_crossed_effects_by_hand():
    """Values a_g + b_s without a residual: the variance of the mean is var(a)/G + var(b)/S. With a = 0 to 4
    and b = 0, 3, 6 that is 2.5/5 + 9/3 = 3.5. Mean squares: 3·2.5 = 7.5 with 4 and 5·9 = 45 with 2 degrees of
    freedom, so Satterthwaite's are 52.5² / (7.5²/4 + 45²/2) = 2.685."""
    values = np.arange(5.0) + 3 * np.arange(3.0)[:, None]
    estimate = intervals.of_trainings([mean_of(row) for row in values], np.arange(5))
    assert estimate.value == pytest.approx(5)
    half = stats.t.ppf(0.975, 52.5**2 / (7.5**2 / 4 + 45**2 / 2)) * np.sqrt(3.5)
    assert estimate.high - estimate.value == pytest.approx(half)


def test_equal_trainings_are_like_one():
    """Seeds that change nothing: only people count."""
    values = np.array([0.1, 0.3, 0.2, 0.4, 0.5])
    three = intervals.of_trainings([mean_of(values)] * 3, np.arange(5))
    assert three == pytest.approx(intervals.of_networks(mean_of(values), np.arange(5)))


@pytest.mark.parametrize(("people", "seeds"), [(4, 3), (35, 2), (35, 1)])
def test_too_few_people_or_seeds_have_no_interval(people, seeds):
    values = np.linspace(0, 1, people)
    estimate = intervals.of_trainings([mean_of(values)] * seeds, np.arange(people))
    assert estimate.value == pytest.approx(0.5)
    assert np.isnan(estimate[1:]).all()


def test_nothing_that_differs_is_no_evidence():
    assert intervals.of_trainings([mean_of(np.zeros(9))] * 3, np.arange(9)) == (0, 0, 0, 1)


@given(st.lists(st.floats(-1, 1), min_size=15, max_size=15).filter(lambda values: np.ptp(values) > 1e-3))
def test_the_interval_excludes_0_where_the_test_rejects(values):
    rows = np.array(values).reshape(3, 5)
    estimate = intervals.of_trainings([mean_of(row) for row in rows], np.arange(5))
    if abs(estimate.p - 0.05) > 1e-9:
        assert (estimate.p < 0.05) == (estimate.low > 0 or estimate.high < 0)


def test_clips_of_one_person_count_once():
    """Ten equal clips of each person say no more than one."""
    values = np.array([0.0, 1, 1, 0, 1, 1])
    once = intervals.of_networks(mean_of(values), np.arange(6))
    often = intervals.of_networks(mean_of(np.repeat(values, 10)), np.repeat(np.arange(6), 10))
    assert often == pytest.approx(once)


def test_holm_by_hand():
    p = np.array([0.04, 0.01, np.nan, 0.03])
    np.testing.assert_allclose(intervals.adjusted(p), [0.06, 0.03, np.nan, 0.06])


DESIGNS = {
    # people, seeds, clips a person; standard deviations over people, seeds, and both together
    "synthetic, seeds differ little": (35, 3, 14, 0.03, 0.01, 0.03),
    "synthetic, seeds differ by 2 points": (35, 3, 14, 0.05, 0.02, 0.03),
    "synthetic, seeds differ by 5 points": (35, 3, 14, 0.05, 0.05, 0.03),
    "synthetic, six seeds": (35, 6, 14, 0.05, 0.05, 0.03),
    "Kinder-Gator": (20, 3, 58, 0.1, 0.02, 0.08),
    "Kinder-Gator, seeds differ by 5 points": (20, 3, 58, 0.05, 0.05, 0.05),
    "reaches, each person left out": (8, 3, 90, 0.1, 0.0, 0.1),
    "reaches, six seeds": (8, 6, 90, 0.1, 0.0, 0.1),
    "the fewest": (5, 3, 25, 0.05, 0.05, 0.05),
}


@pytest.mark.parametrize("design", DESIGNS, ids=list(DESIGNS))
def test_95_of_100_intervals_contain_the_difference(design):
    """Two methods with true accuracies 0.65 and 0.7, whose difference varies with people and trainings."""
    people, seeds, clips, *deviations = DESIGNS[design]
    rng = np.random.default_rng(len(design))
    contained = 0
    for _ in range(SIMULATIONS):
        counts = 1 + rng.poisson(clips, people)
        first, second = (np.full((seeds, people), accuracy) for accuracy in (0.65, 0.7))
        first = first + rng.normal(0, 0.1, people)
        second = second + first - 0.65
        for shape, deviation in zip([people, (seeds, 1), (seeds, people)], deviations, strict=True):
            first = first + rng.normal(0, deviation, shape)
        gaps = [rng.binomial(counts, np.clip(side, 0, 1)) for side in (first, second)]
        of_seeds = [shares(gap, counts) for gap in gaps[0] - gaps[1]]
        estimate = intervals.of_trainings(of_seeds, np.arange(people))
        contained += estimate.low <= -0.05 <= estimate.high
    assert 0.92 <= contained / SIMULATIONS <= 0.98


def shares(correct, counts):
    """The share of correct clips over people, by their rows."""
    return lambda rows: correct[rows].sum() / counts[rows].sum()


@pytest.mark.parametrize(("folds", "people"), [(5, 20), (8, 8)])
def test_95_of_100_intervals_over_folds_of_one_seed_contain_the_difference(folds, people):
    """Every fold has other people and a training of its own, so folds are independent."""
    rng = np.random.default_rng(folds)
    contained, fold = 0, np.arange(people) % folds
    for _ in range(SIMULATIONS):
        counts = 1 + rng.poisson(60, people)
        trained, of_people = rng.normal(0, 0.04, folds)[fold], rng.normal(0, 0.1, people)
        gap = rng.binomial(counts, 0.6) - rng.binomial(counts, np.clip(0.65 + trained + of_people, 0, 1))
        estimate = intervals.of_networks(shares(gap, counts), fold)
        contained += estimate.low <= -0.05 <= estimate.high
    assert 0.92 <= contained / SIMULATIONS <= 0.98


@pytest.mark.parametrize("videos", [6, 35])
def test_95_of_100_intervals_contain_f1_of_spotting(videos):
    """Hits, predictions and gestures of each video are random; F1 is that of all videos together."""
    rng = np.random.default_rng(videos)
    contained, truth = 0, 2 * 0.4 / (1 + 0.8)
    for _ in range(SIMULATIONS):
        gestures = 1 + rng.poisson(14, videos)
        hits = rng.binomial(gestures, np.clip(rng.normal(0.4, 0.1, videos), 0, 1))
        predicted = np.maximum(hits, rng.binomial(gestures, 0.8))
        estimate = intervals.of_networks(f1_of(hits, predicted + gestures), np.arange(videos))
        contained += estimate.low <= truth <= estimate.high
    assert 0.92 <= contained / SIMULATIONS <= 0.98


def f1_of(hits, either):
    return lambda rows: 2 * hits[rows].sum() / either[rows].sum()
