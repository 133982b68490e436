"""The choices of spotting, made on validation videos: the lengths of windows, and the parameters of each
decoder.

Every combination of the values in ``GRID``, and of the lengths that the caller computed, is tried, and for
each decoder the one with the best F1 (one-to-one, IoU > 0.3, pooled over the videos) is taken; of equal ones
the first. Test videos are decoded once, with it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from . import decoding, scoring

DECODERS = ("threshold", "semi-markov")
GRID = {
    "threshold": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6),
    "shortest": (1, 8, 16, 24),
    "weight": (0.25, 0.5, 1.0, 2.0, 4.0),
}
"""Posterior of a frame (threshold) or mean posterior of a segment (semi-Markov), frames of a segment
(threshold), weight of the durations (semi-Markov); the first two are lower bounds."""

Posteriors = Mapping[str, np.ndarray]
"""Of each video, (T, K + 1), by its name."""


def try_all(by_length: Mapping[int, Posteriors], truth: pd.DataFrame, durations: np.ndarray) -> pd.DataFrame:
    """Scores of every combination on the validation videos: a row for each, with the columns decoder,
    lengths, threshold, shortest and weight, which ``spot`` takes, and precision, recall and F1.

    Args:
        by_length: the posteriors of the videos from windows of one length, for each length.
        truth, durations: see ``scoring`` and ``decoding.log_durations``.
    """
    rows = []
    for lengths in combinations(list(by_length)):
        posteriors = averaged(by_length, lengths)
        for threshold in GRID["threshold"]:
            segments = decoding.of_videos(posteriors, partial(decoding.merge, threshold=threshold))
            frames = segments["last"] - segments["first"] + 1
            for shortest in GRID["shortest"]:
                rows.append(("threshold", lengths, threshold, shortest, 0.0, segments[frames >= shortest]))
        for weight in GRID["weight"]:
            decode = partial(decoding.semi_markov, durations=durations, weight=weight)
            segments = decoding.of_videos(posteriors, decode)
            for threshold in (0.0, *GRID["threshold"]):
                likely = segments[segments["probability"] >= threshold]
                rows.append(("semi-markov", lengths, threshold, 1, weight, likely))
    *columns, tables = zip(*rows, strict=True)
    names = ["decoder", "lengths", "threshold", "shortest", "weight"]
    tried = pd.DataFrame(dict(zip(names, columns, strict=True)))
    hits = np.array([scoring.pairs(truth, table).shape[1] for table in tables])
    predictions = np.array([len(table) for table in tables])
    precision, recall = hits / np.maximum(predictions, 1), hits / len(truth)
    return tried.assign(precision=precision, recall=recall, f1=2 * hits / (predictions + len(truth)))


def combinations(lengths: Sequence[int]) -> list[tuple[int, ...]]:
    """Each length alone, and every run of neighbouring lengths."""
    ordered, ends = sorted(lengths), range(1, len(lengths) + 1)
    return [tuple(ordered[first:end]) for first in range(len(lengths)) for end in ends if first < end]


def averaged(by_length: Mapping[int, Posteriors], lengths: Sequence[int]) -> dict[str, np.ndarray]:
    """The mean over some lengths of the posteriors of each video."""
    videos = by_length[lengths[0]]
    return {video: np.mean([by_length[length][video] for length in lengths], axis=0) for video in videos}


def best(tried: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The best row of each decoder in a table of ``try_all``, by the decoder's name."""
    rows = tried.loc[tried.groupby("decoder", sort=False)["f1"].idxmax()]
    return {row["decoder"]: row for row in rows.to_dict("records")}


def spot(posteriors: Posteriors, choice: Mapping[str, Any], durations: np.ndarray) -> pd.DataFrame:
    """The segments of all videos by one row of ``try_all``, see ``decoding.of_videos``."""
    decode = partial(decoding.merge, threshold=choice["threshold"], shortest=choice["shortest"])
    if choice["decoder"] == "semi-markov":
        arguments = {"durations": durations, "weight": choice["weight"], "threshold": choice["threshold"]}
        decode = partial(decoding.semi_markov, **arguments)
    return decoding.of_videos(posteriors, decode)
