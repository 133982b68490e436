"""Whole videos with their segments, and the clips that are cut out of them."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from . import untrusted
from .contract import UNKNOWN, Clip, Recording, Report

HIGHEST_FPS = 1000.0
"""A higher frame rate is an error."""


def recording(
    video: str,
    segments: Sequence[tuple[int, int, int]],
    keypoints: np.ndarray,
    report: Report,
    *,
    split: str,
    subject: str,
    size: tuple[int, int],
    fps: float = 0.0,
) -> Recording:
    """A video (T, V, 3) with its segments clamped to it; they, and segments without any joint, are reported
    by the id of their clip.

    Args:
        segments: class index, first and last frame of each, as in the source.
        size: width and height in pixels.

    Raises:
        DataError: as ``untrusted.coverage`` does.
    """
    untrusted.coverage(((first, last) for _, first, last in segments), len(keypoints), video)
    within = []
    for k, (label, start, end) in enumerate(segments):
        first, last = clamp(start, end, len(keypoints), f"{video}_{k}", report)
        within.append((label, first, last))
        if not keypoints[first : last + 1, :, 2].any():
            report.note("no joint was found in any frame", f"{video}_{k}")
    if not segments and not keypoints[..., 2].any():
        report.note("no joint was found in any frame", video)
    return Recording(video, UNKNOWN, split, video, subject, *size, keypoints, fps, tuple(within))


def cut(recordings: Iterable[Recording]) -> Iterator[Clip]:
    """The clip of each segment, with the id ``<video>_<k>``, where k counts the segments of a video from 0;
    else the whole video."""
    for of in recordings:
        every = [(f"{of.video}_{k}", *segment) for k, segment in enumerate(of.segments)]
        for id, label, first, last in every or [(of.id, of.label, 0, len(of.keypoints) - 1)]:
            yield Clip(
                id, label, of.split, of.video, of.subject, of.width, of.height, of.keypoints[first : last + 1]
            )


def note_order(segments: Sequence[tuple[int, int, int]], video: str, report: Report) -> None:
    """Report duplicate or unsorted rows (class, first frame, last frame) of a video; clip ids come from the
    row positions."""
    frames = [(start, end) for _, start, end in segments]
    if frames != sorted(frames):
        report.note(
            "videos whose segments are not sorted by start frame: clips are numbered in the order of the rows",
            video,
        )
    if len(set(segments)) < len(segments):
        report.note("videos with the same segment twice: both rows are clips", video)


def clamp(start: int, end: int, frames: int, id: str, report: Report) -> tuple[int, int]:
    """First and last frame of a segment within a video of that many frames; a segment completely outside
    keeps the nearest frame."""
    first, last = (min(max(frame, 0), frames - 1) for frame in (start, end))
    if start > end:
        report.note("segment ends before it starts: its first frame was kept", id)
        last = first
    elif start >= frames:
        report.note("segment starts after the video's last frame: the last frame was kept", id)
    elif (first, last) != (start, end):
        report.note("segment clamped to the frames of the video", id)
    return first, last
