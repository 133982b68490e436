"""Intervals and tests of a score for people who were not measured, and for trainings that were not run.

Clips of one person are alike, and so are the predictions of one training. So the unit is never a clip: a
score is computed again without each person, and what that changes says how much people differ. With several
seeds the same is done for each, and people and seeds are crossed random effects, as readers and cases are in
radiology (Dorfman, Berbaum and Metz, Receiver operating characteristic rating analysis, Investigative
Radiology 1992). Interval and p value come from one t distribution, so they never contradict each other.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

CONFIDENCE_LEVEL = 0.95
"""Confidence level of all intervals."""
MIN_GROUPS = 5
"""With fewer people there is no interval: they do not show how much people differ."""
MIN_SEEDS = 3
"""With fewer seeds there is no interval for other trainings."""

Statistic = Callable[[np.ndarray], float]
"""A score of clips, by their rows."""


class Estimate(NamedTuple):
    """A score, or a difference of scores: its value, its 95 % interval, and the two-sided p value of the test
    that it is 0. The last three are NaN where people or seeds are too few."""

    value: float
    low: float = float("nan")
    high: float = float("nan")
    p: float = float("nan")

    def bounded(self) -> "Estimate":
        """The estimate of a share: an interval within 0 and 1."""
        low, high = np.clip([self.low, self.high], 0, 1).tolist()
        return self._replace(low=low, high=high)


def of_networks(statistic: Statistic, groups: np.ndarray) -> Estimate:
    """A score of given networks, with an interval for other people: a t interval over groups of clips.

    Args:
        groups: the subject or video of each clip, (N,).
    """
    value, counted = statistic(np.arange(len(groups))), len(np.unique(groups))
    if counted < MIN_GROUPS:
        return Estimate(value)
    return _estimate(value, _pseudo_values(statistic, groups).var(ddof=1) / counted, counted - 1)


def of_trainings(statistics: Sequence[Statistic], groups: np.ndarray) -> Estimate:
    """The mean of a score over trainings, with an interval for other people and other trainings.

    The variance of the mean is that of two crossed random effects; an effect whose variance is estimated as
    negative is left out and its mean square pooled with that of the residual. Degrees of freedom by
    Satterthwaite (Biometrics Bulletin 1946).

    Args:
        statistics: the score of each seed.
        groups: the subject or video of each clip, (N,).
    """
    whole = np.arange(len(groups))
    value = float(np.mean([statistic(whole) for statistic in statistics]))
    if len(statistics) < MIN_SEEDS or len(np.unique(groups)) < MIN_GROUPS:
        return Estimate(value)
    values = np.stack([_pseudo_values(statistic, groups) for statistic in statistics])
    mean_square, degrees = _crossed(values)
    return _estimate(value, mean_square / values.size, degrees)


def adjusted(p: np.ndarray) -> np.ndarray:
    """The p values of several tests, adjusted so that the chance of any wrong rejection among them is that of
    one test (Holm, Scandinavian Journal of Statistics 1979). NaN stays NaN, and is not counted."""
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    result = np.full(len(p), np.nan)
    factors = np.arange(len(order), 0, -1)
    result[order] = np.maximum.accumulate(np.minimum(1, factors * p[order]))
    return result


def _pseudo_values(statistic: Statistic, groups: np.ndarray) -> Float[np.ndarray, " groups"]:
    """What each group adds to the score: the pseudo-values of the jackknife that leaves out one group."""
    names = np.unique(groups)
    whole = statistic(np.arange(len(groups)))
    without = np.array([statistic(np.flatnonzero(groups != name)) for name in names])
    return len(names) * whole - (len(names) - 1) * without


def _crossed(values: Float[np.ndarray, "seeds groups"]) -> tuple[float, float]:
    """The mean square that, divided by the number of values, is the variance of their mean, and its degrees
    of freedom."""
    seeds, groups = values.shape
    by_group, by_seed = values.mean(0), values.mean(1)
    residual = values - by_group - by_seed[:, None] + values.mean()
    of_groups, of_seeds = seeds * by_group.var(ddof=1), groups * by_seed.var(ddof=1)
    free_groups, free_seeds, free = groups - 1, seeds - 1, (groups - 1) * (seeds - 1)
    rest = float((residual**2).sum() / free)
    if of_seeds <= rest:
        rest = (of_seeds * free_seeds + rest * free) / (free_seeds + free)
        free += free_seeds
        if of_groups <= rest:
            return (of_groups * free_groups + rest * free) / (free_groups + free), free_groups + free
        return of_groups, free_groups
    if of_groups <= rest:
        return of_seeds, free_seeds
    mean_square = of_groups + of_seeds - rest
    degrees = mean_square**2 / (of_groups**2 / free_groups + of_seeds**2 / free_seeds + rest**2 / free)
    return mean_square, max(degrees, 1.0)


def _estimate(value: float, variance: float, degrees: float) -> Estimate:
    """The t interval, and the t test of 0."""
    from scipy.stats import t

    error = np.sqrt(variance)
    if error == 0:
        return Estimate(value, value, value, float(value == 0))
    low, high = t.interval(CONFIDENCE_LEVEL, degrees, value, error)
    return Estimate(value, float(low), float(high), float(2 * t.sf(abs(value) / error, degrees)))
