"""The choices of spotting, made on validation videos: the lengths of windows, and the parameters of each
decoder.

Every combination of the values below, and of the lengths that the caller computed, is tried, and for each
decoder the one with the best F1 (one-to-one, IoU > 0.3, pooled over the videos) is taken; of equal ones the
first. Test videos are decoded once, with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from . import decoding, scoring

DECODERS = ("threshold", "semi-markov")
THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
"""Least posterior of a frame (threshold) or mean posterior of a segment (semi-Markov)."""
SHORTEST = (1, 8, 16, 24)
"""Frames of the shortest segment (threshold)."""
WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Weight of the durations (semi-Markov)."""

Posteriors = Mapping[str, np.ndarray]
"""Of each video, (T, K + 1), by its name."""


def try_all(of_lengths: Mapping[int, Posteriors], truth: pd.DataFrame, durations: np.ndarray) -> pd.DataFrame:
    """Scores of every combination on the validation videos: a row for each, with the columns decoder,
    lengths, threshold, shortest and weight, which ``spot`` takes, and precision, recall and F1.

    Args:
        of_lengths: the posteriors of the videos from windows of one length, for each length.
        truth: their true segments, see ``scoring``.
        durations: see ``decoding.log_durations``.
    """
    rows = []
    for lengths in combinations(list(of_lengths)):
        posteriors = averaged(of_lengths, lengths)
        for threshold in THRESHOLDS:
            found = spot(
                posteriors, {"decoder": "threshold", "threshold": threshold, "shortest": 1}, durations
            )
            frames = found["last"] - found["first"] + 1
            rows += [("threshold", lengths, threshold, few, 0.0, found[frames >= few]) for few in SHORTEST]
        for weight in WEIGHTS:
            found = spot(
                posteriors, {"decoder": "semi-markov", "threshold": 0.0, "weight": weight}, durations
            )
            rows += [
                ("semi-markov", lengths, least, 1, weight, found[found["probability"] >= least])
                for least in (0.0, *THRESHOLDS)
            ]
    tried = pd.DataFrame(
        [row[:-1] for row in rows], columns=["decoder", "lengths", "threshold", "shortest", "weight"]
    )
    hits, predictions = np.array([(scoring.pairs(truth, row[-1]).shape[1], len(row[-1])) for row in rows]).T
    precision, recall = hits / np.maximum(predictions, 1), hits / len(truth)
    return tried.assign(precision=precision, recall=recall, f1=2 * hits / (predictions + len(truth)))


def combinations(lengths: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Each length alone, and every run of neighbouring lengths."""
    ordered = sorted(lengths)
    return (
        tuple(ordered[first:last])
        for first, last in product(range(len(ordered)), range(1, len(ordered) + 1))
        if first < last
    )


def averaged(of_lengths: Mapping[int, Posteriors], lengths: Sequence[int]) -> dict[str, np.ndarray]:
    """The mean over some lengths of the posteriors of each video."""
    return {
        video: np.mean([of_lengths[length][video] for length in lengths], axis=0)
        for video in of_lengths[lengths[0]]
    }


def best(tried: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The best row of each decoder in a table of ``try_all``, by the decoder's name."""
    rows = tried.loc[tried.groupby("decoder", sort=False)["f1"].idxmax()]
    return {row["decoder"]: row for row in rows.to_dict("records")}


def spot(posteriors: Posteriors, choice: Mapping[str, Any], durations: np.ndarray) -> pd.DataFrame:
    """The segments of all videos by one row of ``try_all``: video, label, first and last frame,
    probability."""
    tables = []
    for video, of_video in posteriors.items():
        if choice["decoder"] == "threshold":
            found = decoding.merge(of_video, choice["threshold"], choice["shortest"])
        else:
            found = decoding.semi_markov(of_video, durations, choice["weight"], choice["threshold"])
        tables.append(found.assign(video=video)[[*scoring.COLUMNS, "probability"]])
    return pd.concat(tables, ignore_index=True)
