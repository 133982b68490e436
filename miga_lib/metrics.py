"""How good a set of predictions is. Everything here sees predictions, never models, so a fused result is scored like a single one."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from .predictions import Predictions


def scores(predictions: Predictions) -> dict[str, float]:
    """Top-1, top-5, mean-class accuracy and macro-F1 over the clips whose label is known, each 0 to 1.

    ``mean_class`` is the mean recall and ``macro_f1`` the mean F1 over the ``classes_present`` classes that have clips; absent
    classes are left out, not counted as 0. ``majority`` is what always guessing the commonest of these labels would score.

    Raises:
        ValueError: no clip has a label.
    """
    from sklearn.metrics import top_k_accuracy_score

    known = _labelled(predictions)
    present, counts = np.unique(known.labels, return_counts=True)
    by_class = per_class(known).loc[known.classes[present].tolist()]
    every = np.arange(len(known.classes))
    return {
        "top1": float((known.guesses == known.labels).mean()),
        "top5": float(top_k_accuracy_score(known.labels, known.probabilities, k=5, labels=every)) if len(every) > 5 else 1.0,
        "mean_class": float(by_class["recall"].mean()),
        "macro_f1": float(by_class["f1"].mean()),
        "majority": float(counts.max() / counts.sum()),
        "classes_present": len(present),
        "clips": len(known),
    }


def per_class(predictions: Predictions) -> pd.DataFrame:
    """Recall, precision and F1 of each class, with its support (clips) and guesses: a row for each class, by name.

    What cannot be said is NaN: the recall and F1 of a class without clips, the precision of a class never guessed.
    """
    from sklearn.metrics import precision_recall_fscore_support

    known = _labelled(predictions)
    every = np.arange(len(known.classes))
    precision, recall, f1, support = precision_recall_fscore_support(known.labels, known.guesses, labels=every, zero_division=0)
    guessed = np.bincount(known.guesses, minlength=len(every))
    table = pd.DataFrame({"recall": recall, "precision": precision, "f1": f1, "support": support, "guessed": guessed}, index=known.classes)
    table.loc[table["support"] == 0, ["recall", "f1"]] = np.nan
    table.loc[table["guessed"] == 0, "precision"] = np.nan
    return table


def confusion(predictions: Predictions) -> np.ndarray:
    """Number of clips of class i that were taken for class j: (K, K) int."""
    from sklearn.metrics import confusion_matrix

    known = _labelled(predictions)
    return confusion_matrix(known.labels, known.guesses, labels=np.arange(len(known.classes)))


def interval(
    statistic: Callable[[np.ndarray], float], groups: np.ndarray, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of clips, resampled by whole groups (subjects or videos).

    Clips of one person are alike; resampling them one by one would make every interval too narrow.

    Args:
        statistic: of the rows of the resampled clips, some of them more than once.
        groups: (N,) the group of each clip.
    """
    from scipy.stats import bootstrap

    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    if len(members) < 2:
        return float("nan"), float("nan")

    def of_groups(chosen: np.ndarray) -> float:
        return statistic(np.concatenate([members[group] for group in chosen]))

    result = bootstrap(
        (np.arange(len(members)),),
        of_groups,
        vectorized=False,
        n_resamples=resamples,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Exact two-sided McNemar test: how likely two sets of answers to the same clips differ this much by chance.

    Args:
        first, second: (N,) bool, whether each side got the clip right.
    """
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binomtest(only_first, only_first + only_second).pvalue) if only_first + only_second else 1.0


def _labelled(predictions: Predictions) -> Predictions:
    known = predictions.known()
    if not len(known):
        raise ValueError(f"none of the {len(predictions)} clips has a known label, so there is nothing to score")
    return known
