"""Clips of no gesture: parts of the gaps between the gestures of whole videos, from which a network learns
when nothing is performed."""

import zlib

import numpy as np
import pandas as pd
from jaxtyping import Int

MIN_FRAMES = 2
"""Frames of the shortest part of a gap."""


def draw(videos: pd.DataFrame, segments: pd.DataFrame, per_gesture: float) -> pd.DataFrame:
    """Parts of the gaps of each video, as many as ``per_gesture`` times its gestures, rounded.

    A length is drawn from the lengths of the gestures of training videos, and a gap with a probability in
    proportion to its frames; a gap that is shorter is taken whole. Parts of one gap may overlap. Frames of
    every segment are avoided, also of one whose class is unknown. Random numbers depend on the name of the
    video only.

    Args:
        videos: a row for each video: video, split, frames.
        segments: a row for each gesture: video, first and last frame.

    Returns:
        A row for each part, in the order of the videos and in time order: video, first and last frame, each
        part once.
    """
    lengths = segments["last"] - segments["first"] + 1
    training = segments["video"].isin(videos.loc[videos["split"] == "train", "video"])
    if training.any():
        lengths = lengths[training]
    lengths = np.maximum(lengths.to_numpy(), MIN_FRAMES)
    by_video, parts = segments.groupby("video")[["first", "last"]], []
    for video, frames in zip(videos["video"], videos["frames"], strict=True):
        if video not in by_video.groups:
            continue
        gestures = by_video.get_group(video).to_numpy()
        begin, end = between(gestures, frames)
        gap = (end - begin + 1) * (end - begin + 1 >= MIN_FRAMES)
        if not gap.any():
            continue
        rng, count = (
            np.random.default_rng([0, zlib.crc32(video.encode())]),
            round(per_gesture * len(gestures)),
        )
        chosen = rng.choice(len(gap), count, p=gap / gap.sum())
        length = np.minimum(rng.choice(lengths, count), gap[chosen])
        first = begin[chosen] + rng.integers(0, gap[chosen] - length + 1)
        places = set(zip(first.tolist(), (first + length - 1).tolist(), strict=True))
        parts += [(video, *place) for place in sorted(places)]
    return pd.DataFrame(parts, columns=["video", "first", "last"])


def between(gestures: Int[np.ndarray, "gestures 2"], frames: int) -> Int[np.ndarray, "2 gaps"]:
    """First and last frame of each gap in a video of so many frames whose gestures have these first and last
    frames."""
    free = np.ones(frames + 2, bool)
    free[[0, -1]] = False
    for first, last in gestures:
        free[first + 1 : last + 2] = False
    begin, end = np.flatnonzero(np.diff(free)).reshape(-1, 2).T
    return np.stack([begin, end - 1])
