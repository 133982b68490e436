"""How good a set of predictions is. Everything here takes predictions, never models, so a fused result is
scored like a single one."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from . import intervals
from .intervals import CONFIDENCE_LEVEL, MIN_GROUPS, Estimate
from .predictions import Predictions, adjusted, of_regions

CALIBRATION_BINS = 15
"""Bins of the confidence, as many as Guo et al. take."""
STRENGTHS = tuple(step / 10 for step in range(16))
"""Strengths of ``predictions.adjusted`` that are tried, from 0 to 1.5."""
MIN_PROBABILITY = 1e-12
"""A smaller one counts as this in a logarithm."""
OUTCOMES = ["both", "only_first", "only_second", "neither"]
"""Which of two sets of predictions are correct for a clip."""


def scores(predictions: Predictions, class_regions: Sequence[str] = ()) -> dict[str, float]:
    """Top-1, top-5, mean-class accuracy and macro-F1 over the clips whose label is known, each 0 to 1.

    ``mean_class`` is the mean recall and ``macro_f1`` the mean F1 over the ``classes_present`` classes that
    have clips. ``majority`` is the top-1 accuracy of always predicting the most frequent of these labels.

    With the region of each class also ``region_top1`` and ``region_macro_f1``, of ``predictions.of_regions``,
    and ``mean_f1``, the score of the Micro-Action challenge: the mean of the macro-F1 and the micro-F1, which
    is top-1, of classes and of regions.
    """
    from sklearn.metrics import top_k_accuracy_score

    clips = labelled(predictions)
    present, counts = np.unique(clips.labels, return_counts=True)
    recall, _, f1, _ = _by_class(clips)
    classes, top5 = np.arange(len(clips.classes)), 1.0
    if len(classes) > 5:
        top5 = float(top_k_accuracy_score(clips.labels, clips.probabilities, k=5, labels=classes))
    top1, macro_f1, regions = float((clips.predicted == clips.labels).mean()), float(f1[present].mean()), {}
    if class_regions:
        coarse = scores(of_regions(clips, class_regions))
        regions = {f"region_{name}": coarse[name] for name in ("top1", "macro_f1")}
        regions["mean_f1"] = (top1 + macro_f1 + sum(regions.values())) / 4
    return {
        "top1": top1,
        "top5": top5,
        "mean_class": float(recall[present].mean()),
        "macro_f1": macro_f1,
        **regions,
        "majority": float(counts.max() / counts.sum()),
        "classes_present": len(present),
        "clips": len(clips),
    }


def per_class(predictions: Predictions) -> pd.DataFrame:
    """Recall, precision and F1 of each class, by name, their intervals, and the numbers of its clips
    (support) and of the clips predicted as it (predicted).

    Recall and F1 of a class without clips are NaN, and so is the precision of a class that is never
    predicted. Intervals are Wilson's. F1 is not a proportion, but F1 / (2 − F1) is one: the clips predicted
    correctly, of all clips that are of the class or were predicted as it (Hand, Christen and Kirielle, F*: an
    interpretable transformation of the F-measure, Machine Learning 110, 2021).
    """
    clips = labelled(predictions)
    recall, precision, f1, support = _by_class(clips)
    predicted = np.bincount(clips.predicted, minlength=len(support))
    correct = np.bincount(clips.labels[clips.predicted == clips.labels], minlength=len(support))
    table = pd.DataFrame({"recall": recall, "precision": precision, "f1": f1})
    table.index = pd.Index(clips.classes.tolist(), name="class")
    table.loc[support == 0, ["recall", "f1"]] = np.nan
    table.loc[predicted == 0, "precision"] = np.nan
    either = np.where(support > 0, support + predicted - correct, 0)
    for name, trials in {"recall": support, "precision": predicted, "f1": either}.items():
        low, high = wilson(correct, trials)
        if name == "f1":
            low, high = 2 * low / (1 + low), 2 * high / (1 + high)
        table[f"{name}_low"], table[f"{name}_high"] = low, high
    return table.assign(support=support, predicted=predicted)


def _by_class(clips: Predictions) -> tuple[np.ndarray, ...]:
    """Recall, precision, F1 and support of each class, (K,) each; 0 where the denominator is 0."""
    from sklearn.metrics import precision_recall_fscore_support

    classes = np.arange(len(clips.classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        clips.labels, clips.predicted, labels=classes, zero_division=0
    )
    return recall, precision, f1, support


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """Number of clips of class i that were predicted as class j: (K, K) int."""
    from sklearn.metrics import confusion_matrix

    clips = labelled(predictions)
    return confusion_matrix(clips.labels, clips.predicted, labels=np.arange(len(clips.classes)))


def cross_entropy(predictions: Predictions) -> float:
    """Mean of −log of the probability of the true class, over the clips of known label, in nats."""
    return float(-np.log(np.maximum(of_truth(predictions), MIN_PROBABILITY)).mean())


def of_truth(predictions: Predictions) -> np.ndarray:
    """The predicted probability of the true class of each clip of known label, (N,)."""
    clips = labelled(predictions)
    return clips.probabilities[np.arange(len(clips)), clips.labels]


def calibration_bins(predictions: Predictions, bins: int = CALIBRATION_BINS) -> pd.DataFrame:
    """How often predictions of a given confidence are correct: a row for each bin that has clips.

    The confidence is the probability of the predicted class. Bins have equal width and include their upper
    edge (Guo et al., ICML 2017). Columns: left and right edge, clips, confidence (the mean), accuracy and its
    Wilson interval low to high.
    """
    clips = labelled(predictions)
    confidence, correct = clips.probabilities.max(1), clips.predicted == clips.labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    parts = pd.DataFrame({"confidence": confidence, "correct": correct}).groupby(place)
    table = parts.agg(
        clips=("correct", "size"), confidence=("confidence", "mean"), accuracy=("correct", "mean")
    )
    table.insert(0, "left", table.index / bins)
    table.insert(1, "right", (table.index + 1) / bins)
    table["low"], table["high"] = wilson(parts["correct"].sum().to_numpy(), table["clips"].to_numpy())
    return table.reset_index(drop=True)


def calibration_error(table: pd.DataFrame) -> float:
    """The expected calibration error of a table of ``calibration_bins``: |accuracy − confidence|, averaged
    over the clips."""
    return float(np.average((table["accuracy"] - table["confidence"]).abs(), weights=table["clips"]))


def wilson(successes: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of each proportion ``successes / trials``, NaN where there are no trials: two
    arrays, low and high. It treats clips as independent, so for similar clips of one person it is somewhat
    too narrow."""
    from scipy.stats import binomtest

    bounds = np.full((2, len(trials)), np.nan)
    for i in np.flatnonzero(trials):
        test = binomtest(int(successes[i]), int(trials[i]))
        bounds[:, i] = test.proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    return bounds[0], bounds[1]


def by_adjustment(predicted: Predictions, counts: np.ndarray) -> pd.DataFrame:
    """Scores of ``predictions.adjusted`` for each of ``STRENGTHS``: columns strength, top1, mean_class,
    macro_f1."""
    rows = [{"strength": strength, **scores(adjusted(predicted, counts, strength))} for strength in STRENGTHS]
    return pd.DataFrame(rows)[["strength", "top1", "mean_class", "macro_f1"]]


def choose_adjustment(table: pd.DataFrame) -> float:
    """The strength in a table of ``by_adjustment`` with the best macro-F1 among those whose top-1 is not
    below that without adjustment; of equal ones the smallest."""
    not_worse = table[table["top1"] >= table["top1"].iloc[0]]
    return float(not_worse.loc[not_worse["macro_f1"].idxmax(), "strength"])


def groups_in_words(groups: Collection[Any]) -> str:
    """The number of groups as text, such as 35 subjects or videos."""
    count = len(set(groups))
    return f"{count} subject{'s' * (count > 1)} or video{'s' * (count > 1)}"


def percent(share: float, decimals: int = 1) -> str:
    """A share in the unit of all scores, such as 50.2 %."""
    return f"{100 * share:.{decimals}f} %"


def in_words(low: float, high: float, p: float = float("nan")) -> str:
    """An interval of proportions as text, in percent, and the p value, if there is one."""
    if np.isnan(low):
        return f"no interval, which needs {MIN_GROUPS} subjects or videos"
    tested = "" if np.isnan(p) else f", p = {p:.2g}"
    return f"{percent(CONFIDENCE_LEVEL, 0)} interval {100 * low:.1f} to {percent(high)}{tested}"


def top1(predictions: Predictions, groups: pd.Series) -> Estimate:
    """Top-1 accuracy, with an interval for other people of ``intervals.of_networks``.

    Args:
        groups: the subject or video of each clip, by the clip's id.
    """
    clips = labelled(predictions)
    correct = clips.predicted == clips.labels
    by_clip = groups[clips.ids].to_numpy()
    return intervals.of_networks(lambda rows: float(correct[rows].mean()), by_clip).bounded()


def difference(first: Predictions, second: Predictions, groups: pd.Series) -> Estimate:
    """The top-1 accuracy of the first predictions minus that of the second, both as ``ensemble.join`` returns
    them, with an interval for other people of ``intervals.of_networks``.

    Args:
        groups: the subject or video of each clip, by the clip's id.
    """
    a, b = _correct(first, second).astype(float)
    by_clip = groups[labelled(first).ids].to_numpy()
    return intervals.of_networks(lambda rows: float((a - b)[rows].mean()), by_clip)


def outcomes(first: Predictions, second: Predictions) -> dict[str, int]:
    """The number of clips with each of ``OUTCOMES``."""
    a, b = _correct(first, second)
    counts = [int(clips.sum()) for clips in (a & b, a & ~b, b & ~a, ~a & ~b)]
    return dict(zip(OUTCOMES, counts, strict=True))


def outcomes_per_class(first: Predictions, second: Predictions) -> pd.DataFrame:
    """Number of clips of each class with each of ``OUTCOMES``: a row for each class, by name."""
    a, b = _correct(first, second)
    clips, outcome = labelled(first), np.array(OUTCOMES)[2 * ~a + ~b]
    table = pd.crosstab(clips.classes[clips.labels], outcome)
    return table.reindex(index=clips.classes.tolist(), columns=OUTCOMES, fill_value=0)


def _correct(first: Predictions, second: Predictions) -> np.ndarray:
    """Whether each of the two predicts each clip of known label correctly: (2, N) bool. Raises ValueError
    where they are not of the same clips in the same order."""
    if first.ids.tolist() != second.ids.tolist() or first.labels.tolist() != second.labels.tolist():
        raise ValueError(
            "predictions can only be compared on the same clips in the same order; call `ensemble.join` first"
        )
    return np.stack([clips.predicted == clips.labels for clips in (labelled(first), labelled(second))])


def labelled(predictions: Predictions) -> Predictions:
    """The predictions of the clips whose label is known. Raises ValueError where there is none."""
    clips = predictions.known()
    if not len(clips):
        raise ValueError(
            f"none of the {len(predictions)} clips has a known label, so there is nothing to score; "
            "use a split with labels"
        )
    return clips
