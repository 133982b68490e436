"""How good a set of predictions is. Everything here takes predictions, never models, so a fused result is
scored like a single one."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pandas as pd

from .predictions import Predictions, adjusted

CONFIDENCE_LEVEL = 0.95
"""Confidence level of all intervals."""
FEWEST_GROUPS = 10
"""Groups that an ``interval`` should have."""
CALIBRATION_BINS = 15
"""Bins of the confidence, as many as Guo et al. take."""
STRENGTHS = tuple(step / 10 for step in range(16))
"""Strengths of ``predictions.adjusted`` that are tried, from 0 to 1.5."""


def scores(predictions: Predictions) -> dict[str, float]:
    """Top-1, top-5, mean-class accuracy and macro-F1 over the clips whose label is known, each 0 to 1.

    ``mean_class`` is the mean recall and ``macro_f1`` the mean F1 over the ``classes_present`` classes that
    have clips. Absent classes are left out, not counted as 0. ``majority`` is the top-1 accuracy of always
    predicting the most frequent of these labels.

    Raises:
        ValueError: no clip has a label.
    """
    from sklearn.metrics import top_k_accuracy_score

    known = labelled(predictions)
    present, counts = np.unique(known.labels, return_counts=True)
    recall, _, f1, _ = _by_class(known)
    every = np.arange(len(known.classes))
    return {
        "top1": float((known.predicted == known.labels).mean()),
        "top5": float(top_k_accuracy_score(known.labels, known.probabilities, k=5, labels=every))
        if len(every) > 5
        else 1.0,
        "mean_class": float(recall[present].mean()),
        "macro_f1": float(f1[present].mean()),
        "majority": float(counts.max() / counts.sum()),
        "classes_present": len(present),
        "clips": len(known),
    }


def per_class(predictions: Predictions) -> pd.DataFrame:
    """Recall, precision and F1 of each class, their intervals, and the numbers of its clips and of the clips
    predicted as this class.

    A row for each class, by name; the two numbers are the columns support and predicted. A value whose
    denominator is 0 is NaN: recall and F1 of a class without clips, precision of a class that is never
    predicted. Intervals are Wilson's (``wilson``). F1 is not a proportion, but F1 / (2 − F1) is one: the
    clips predicted correctly, of all clips that are of the class or were predicted as it (Hand, Christen and
    Kirielle, F*: an interpretable transformation of the F-measure, Machine Learning 110, 2021).
    """
    known = labelled(predictions)
    recall, precision, f1, support = _by_class(known)
    predicted = np.bincount(known.predicted, minlength=len(support))
    correct = np.bincount(known.labels[known.predicted == known.labels], minlength=len(support))
    table = pd.DataFrame(
        {"recall": recall, "precision": precision, "f1": f1},
        index=pd.Index(known.classes.tolist(), name="class"),
    )
    table.loc[support == 0, ["recall", "f1"]] = np.nan
    table.loc[predicted == 0, "precision"] = np.nan
    either = np.where(support > 0, support + predicted - correct, 0)
    for name, trials in {"recall": support, "precision": predicted, "f1": either}.items():
        bounds = wilson(correct, trials)
        table[f"{name}_low"], table[f"{name}_high"] = (2 * b / (1 + b) if name == "f1" else b for b in bounds)
    return table.assign(support=support, predicted=predicted)


def _by_class(known: Predictions) -> tuple[np.ndarray, ...]:
    """Recall, precision, F1 and support of each class, (K,) each; 0 where the denominator is 0."""
    from sklearn.metrics import precision_recall_fscore_support

    every = np.arange(len(known.classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        known.labels, known.predicted, labels=every, zero_division=0
    )
    return recall, precision, f1, support


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """Number of clips of class i that were predicted as class j: (K, K) int."""
    from sklearn.metrics import confusion_matrix

    known = labelled(predictions)
    return confusion_matrix(known.labels, known.predicted, labels=np.arange(len(known.classes)))


def cross_entropy(predictions: Predictions) -> float:
    """Mean of −log of the probability of the true class, over the clips of known label, in nats; a
    probability of 0 counts as 1e-12."""
    known = labelled(predictions)
    return float(-np.log(np.maximum(known.probabilities[np.arange(len(known)), known.labels], 1e-12)).mean())


def calibration_bins(predictions: Predictions, bins: int = CALIBRATION_BINS) -> pd.DataFrame:
    """How often predictions of a given confidence are correct: a row for each bin that has clips.

    The confidence is the probability of the predicted class. Bins have equal width and include their upper
    edge (Guo et al., ICML 2017, who take 15). Columns: left and right edge, clips, confidence (the mean),
    accuracy and its Wilson interval low to high.
    """
    known = labelled(predictions)
    confidence, correct = known.probabilities.max(1), known.predicted == known.labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    parts = pd.DataFrame({"confidence": confidence, "hit": correct}).groupby(place)
    table = parts.agg(
        clips=("hit", "size"),
        hits=("hit", "sum"),
        confidence=("confidence", "mean"),
        accuracy=("hit", "mean"),
    )
    table.insert(0, "left", table.index / bins)
    table.insert(1, "right", (table.index + 1) / bins)
    table["low"], table["high"] = wilson(table.pop("hits").to_numpy(), table["clips"].to_numpy())
    return table.reset_index(drop=True)


def calibration_error(table: pd.DataFrame) -> float:
    """The expected calibration error of a table of ``calibration_bins``: |accuracy − confidence|, averaged
    over the clips."""
    return float(np.average((table["accuracy"] - table["confidence"]).abs(), weights=table["clips"]))


def wilson(
    successes: np.ndarray, trials: np.ndarray, level: float = CONFIDENCE_LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of each proportion ``successes / trials``, NaN where there are no trials: two
    arrays, low and high.

    It treats clips as independent. Clips of one person are similar, so the interval is somewhat too narrow.
    """
    from scipy.stats import binomtest

    bounds = np.full((2, len(trials)), np.nan)
    for i in np.flatnonzero(trials):
        bounds[:, i] = binomtest(int(successes[i]), int(trials[i])).proportion_ci(level, method="wilson")
    return bounds[0], bounds[1]


def by_adjustment(predicted: Predictions, counts: np.ndarray) -> pd.DataFrame:
    """Scores of ``predictions.adjusted`` for each of ``STRENGTHS``: columns strength, top1, mean_class,
    macro_f1.

    Args:
        counts: (K,), the number of training clips of each class.
    """
    rows = [{"strength": strength, **scores(adjusted(predicted, counts, strength))} for strength in STRENGTHS]
    return pd.DataFrame(rows)[["strength", "top1", "mean_class", "macro_f1"]]


def choose_adjustment(table: pd.DataFrame) -> float:
    """The strength with the best macro-F1 among those whose top-1 is not below that without adjustment; of
    equal ones the smallest.

    Args:
        table: of ``by_adjustment``, on validation clips.
    """
    kept = table[table["top1"] >= table["top1"].iloc[0]]
    return float(kept.loc[kept["macro_f1"].idxmax(), "strength"])


def interval(
    statistic: Callable[..., float],
    groups: np.ndarray,
    run_seeds: np.ndarray | None = None,
    level: float = CONFIDENCE_LEVEL,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of clips, resampled by whole groups (subjects or videos).

    Clips of one person are similar, so an interval from clips resampled one by one is too narrow. With fewer
    than ``FEWEST_GROUPS`` groups this one is too narrow as well. With one group it is NaN.

    With ``run_seeds``, the interval is for the training and not only for the runs at hand: groups and seeds
    are resampled together, each by itself (Owen, The pigeonhole bootstrap, Annals of Applied Statistics
    2007). This counts chance that is of one run and one clip three times, so the interval is rather too wide
    than too narrow. A single seed is not resampled.

    Args:
        statistic: takes the rows of the resampled clips, and with ``run_seeds`` the rows of the resampled
            runs as well. A row can occur more than once.
        groups: (N,) the group of each clip.
        run_seeds: (R,) the seed of each run.
        seed: of the random numbers of the bootstrap.
    """
    from scipy.stats import bootstrap

    axes = [
        [np.flatnonzero(of_axis == one) for one in np.unique(of_axis)]
        for of_axis in (groups, run_seeds)
        if of_axis is not None
    ]
    if len(axes[0]) < 2:
        return float("nan"), float("nan")
    resampled = axes[:1] + [members for members in axes[1:] if len(members) > 1]
    kept = [members[0] for members in axes[len(resampled) :]]

    def of_groups(*chosen: np.ndarray) -> float:
        rows = [
            np.concatenate([members[one] for one in drawn])
            for members, drawn in zip(resampled, chosen, strict=True)
        ]
        return statistic(*rows, *kept)

    result = bootstrap(
        [np.arange(len(members)) for members in resampled],
        of_groups,
        vectorized=False,
        n_resamples=resamples,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def groups_in_words(groups: Collection[Any]) -> str:
    """The number of groups as text, such as 35 subjects or videos, with a caution where ``interval`` over so
    few is too narrow.

    Args:
        groups: the group of each clip.
    """
    count = len(set(groups))
    what = f"{count} {'subject or video' if count == 1 else 'subjects or videos'}"
    return what + (
        f" (fewer than {FEWEST_GROUPS}: intervals over so few are too narrow)"
        if 1 < count < FEWEST_GROUPS
        else ""
    )


def percent(share: float, decimals: int = 1) -> str:
    """A share in the unit of all scores, such as 50.2 %."""
    return f"{100 * share:.{decimals}f} %"


def in_words(low: float, high: float) -> str:
    """An interval of proportions as text, in percent."""
    if np.isnan(low):
        return "no interval, since all clips are of one subject or video"
    return f"{percent(CONFIDENCE_LEVEL, 0)} interval {100 * low:.1f} to {percent(high)}"


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Exact two-sided McNemar test: the probability that two sets of predictions of the same clips differ
    this much by chance.

    Args:
        first, second: (N,) bool, whether each predicts the clip correctly.
    """
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binomtest(only_first, only_first + only_second).pvalue) if only_first + only_second else 1.0


def difference(first: Predictions, second: Predictions, groups: pd.Series) -> dict[str, float]:
    """The difference between the top-1 accuracies of two sets of predictions: the first minus the second.

    Args:
        first, second: of the same clips in the same order, as ``ensemble.join`` returns them.
        groups: the subject or video of each clip, by the clip's id.

    Returns:
        ``difference``, its paired bootstrap interval ``low`` to ``high`` over groups, McNemar's ``p``, and
        how many clips ``both``, ``only_first``, ``only_second`` and ``neither`` predict correctly.

    Raises:
        ValueError: other clips or another order of them; no label is known.
    """
    a, b = _correct(first, second)
    gap = a.astype(float) - b
    of_clips = groups.loc[labelled(first).ids].to_numpy()
    low, high = interval(lambda rows: float(gap[rows].mean()), of_clips)
    outcomes = {"both": a & b, "only_first": a & ~b, "only_second": b & ~a, "neither": ~a & ~b}
    result = {"difference": float(gap.mean()), "low": low, "high": high, "p": mcnemar(a, b)}
    return result | {name: int(clips.sum()) for name, clips in outcomes.items()}


def outcomes_per_class(first: Predictions, second: Predictions) -> pd.DataFrame:
    """Number of clips of each class that both, only_first, only_second or neither predict correctly: a row
    for each class, by name.

    Args:
        first, second: of the same clips in the same order, as ``ensemble.join`` returns them.
    """
    correct, known = _correct(first, second), labelled(first)
    outcome = np.array(["neither", "only_second", "only_first", "both"])[2 * correct[0] + correct[1]]
    table = pd.crosstab(known.classes[known.labels], outcome)
    return table.reindex(
        index=known.classes.tolist(), columns=["both", "only_first", "only_second", "neither"], fill_value=0
    )


def _correct(first: Predictions, second: Predictions) -> np.ndarray:
    """Whether each of the two predicts each clip of known label correctly: (2, N) bool."""
    if first.ids.tolist() != second.ids.tolist() or first.labels.tolist() != second.labels.tolist():
        raise ValueError(
            "predictions can only be compared on the same clips in the same order; call `ensemble.join` first"
        )
    return np.stack([known.predicted == known.labels for known in (labelled(first), labelled(second))])


def labelled(predictions: Predictions) -> Predictions:
    """The predictions of the clips whose label is known. Raises ValueError where there is none."""
    known = predictions.known()
    if not len(known):
        raise ValueError(
            f"none of the {len(predictions)} clips has a known label, so there is nothing to score; use a split with labels"
        )
    return known
