"""From the class posteriors of each frame of a video to segments: by a threshold, or with the durations of
gestures.

Posteriors are (T, K + 1); the last class is *no gesture*. Decoders give a table of segments in time order:
label, first and last frame (inclusive), and probability, the mean posterior of the label over the frames.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from ..labels import NO_GESTURE
from .scoring import COLUMNS

PSEUDO_LENGTHS = 10
"""The durations of a class are estimated as if it had so many further segments, as long as those of all
gestures."""
MIN_POSTERIOR = 1e-6
"""A smaller posterior counts as this one, so that no single frame rules a class out."""


def of_videos(
    posteriors: Mapping[str, np.ndarray], decode: Callable[[np.ndarray], pd.DataFrame]
) -> pd.DataFrame:
    """The segments of all videos: video, label, first and last frame, probability. ``decode`` gives those of
    one video."""
    tables = [decode(of_video).assign(video=video) for video, of_video in posteriors.items()]
    return pd.concat(tables, ignore_index=True)[[*COLUMNS, "probability"]]


def merge(
    posteriors: Float[np.ndarray, "T K1"], threshold: float | Float[np.ndarray, " T"], shortest: int = 1
) -> pd.DataFrame:
    """Threshold and merge: neighbouring frames with the same most probable gesture are a segment. Frames in
    which it is below the threshold are no gesture; segments below ``shortest`` frames are left out."""
    label = posteriors[:, :-1].argmax(1)
    label[posteriors[np.arange(len(label)), label] < threshold] = posteriors.shape[1] - 1
    first = np.flatnonzero(np.diff(label, prepend=-1))
    segments = _table(posteriors, label[first], first, np.append(first[1:], len(label)) - 1)
    return segments[segments["last"] - segments["first"] >= shortest - 1].reset_index(drop=True)


def most_probable(probabilities: Float[np.ndarray, "T K"], classes: Sequence[str]) -> pd.DataFrame:
    """``merge`` of the frames whose most probable class is a gesture; *no gesture* may be one of the classes.
    A frame in which nobody is seen, with 0 in all classes, has none."""
    is_gesture = np.array(classes) != NO_GESTURE
    nothing = np.where(probabilities.any(1), probabilities[:, ~is_gesture].sum(1), 1)
    segments = merge(np.column_stack([probabilities[:, is_gesture], nothing]), threshold=nothing)
    return segments.assign(label=np.flatnonzero(is_gesture)[segments["label"]])


def semi_markov(
    posteriors: Float[np.ndarray, "T K1"],
    durations: Float[np.ndarray, "K1 lengths"],
    weight: float,
    threshold: float = 0.0,
) -> pd.DataFrame:
    """The gestures among ``best_segments`` whose mean posterior is not below the threshold."""
    label, (first, last) = best_segments(posteriors, durations, weight)
    segments = _table(posteriors, label, first, last)
    return segments[segments["probability"] >= threshold].reset_index(drop=True)


def best_segments(
    posteriors: Float[np.ndarray, "T K1"], durations: Float[np.ndarray, "K1 lengths"], weight: float
) -> tuple[Int[np.ndarray, " segments"], Int[np.ndarray, "2 segments"]]:
    """The most probable division of all frames into segments: their labels, and first and last frames.

    A segment has at most as many frames as ``durations`` has lengths. The division maximises the sum over
    segments of the log posteriors of their label in their frames, plus ``weight`` times the log probability
    of their duration. The maximum is exact, by dynamic programming over the last frame of a segment. This is
    a semi-Markov model whose labels do not depend on each other (Sarawagi and Cohen, Semi-Markov Conditional
    Random Fields for Information Extraction, NeurIPS 2004, section 3).

    Args:
        durations: log probabilities, see ``log_durations``.
        weight: posteriors of neighbouring frames come from the same windows, so their sum overstates what is
            known; a weight above 1 balances this.
    """
    count, classes = posteriors.shape
    longest = min(durations.shape[1], count)
    logs = np.log(np.maximum(posteriors, MIN_POSTERIOR))
    sums = np.concatenate([np.zeros((1, classes)), logs.cumsum(0)])
    # Of a segment of d + 1 frames that ends before frame t: the best label and its score.
    label = np.zeros((longest, count + 1), np.int16)
    score = np.full((longest, count + 1), -np.inf)
    for d in range(longest):
        scores = sums[d + 1 :] - sums[: count - d] + weight * durations[:, d]
        label[d, d + 1 :], score[d, d + 1 :] = scores.argmax(1), scores.max(1)
    best, frames = np.zeros(count + 1), np.zeros(count + 1, int)
    for t in range(1, count + 1):
        fitting = min(t, longest)
        candidates = best[t - fitting : t][::-1] + score[:fitting, t]
        frames[t] = candidates.argmax() + 1
        best[t] = candidates[frames[t] - 1]
    ends = [count]
    while ends[-1] > frames[ends[-1]]:
        ends.append(ends[-1] - frames[ends[-1]])
    end = np.array(ends[::-1])
    return label[frames[end] - 1, end].astype(int), np.stack([end - frames[end], end - 1])


def log_durations(lengths: Sequence[Int[np.ndarray, " _"]], longest: int) -> Float[np.ndarray, "K1 lengths"]:
    """Log probability of each duration from 1 to ``longest`` frames, for each class, *no gesture* last.

    Logarithms of durations are taken as normal (lengths of iMiGUE's clips are about log-normal). Mean and
    variance of a class are those of its segments and ``PSEUDO_LENGTHS`` more with the mean and the variance
    of all gestures.

    Args:
        lengths: in frames, of the training segments of each class; a class may have none, all gestures
            together at least one.
    """
    logs = [np.log(of_class) for of_class in lengths]
    gestures = np.concatenate(logs[:-1])
    frames = np.log(np.arange(1, longest + 1))
    rows = []
    for own in logs:
        count = len(own) + PSEUDO_LENGTHS
        mean = (own.sum() + PSEUDO_LENGTHS * gestures.mean()) / count
        pseudo_squares = PSEUDO_LENGTHS * (gestures.var() + (gestures.mean() - mean) ** 2)
        variance = (((own - mean) ** 2).sum() + pseudo_squares) / count
        density = -((frames - mean) ** 2) / (2 * max(variance, 0.01)) - frames
        rows.append(density - np.logaddexp.reduce(density))
    return np.stack(rows)


def _table(posteriors: np.ndarray, label: np.ndarray, first: np.ndarray, last: np.ndarray) -> pd.DataFrame:
    """The segments that are gestures, each with its mean posterior."""
    sums = np.concatenate([np.zeros((1, posteriors.shape[1])), posteriors.cumsum(0)])
    probability = (sums[last + 1, label] - sums[first, label]) / (last + 1 - first)
    segments = pd.DataFrame({"label": label, "first": first, "last": last, "probability": probability})
    return segments[segments["label"] < posteriors.shape[1] - 1].reset_index(drop=True)
