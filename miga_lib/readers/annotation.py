"""The gestures that are annotated in a video: label files, whole videos with their segments, and the clips
that are cut out of them."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import labels
from . import untrusted
from .contract import UNKNOWN, Clip, DataError, Progress, Recording, Report, Segment, in_parallel

MAX_FPS = 1000.0
MAX_NUMBER = 2**31 - 1
MAX_COVERAGE, MAX_UNSUSPICIOUS_FRAMES = 100, 10_000
"""The clips of a video may have so many times its frames; up to so many frames it does not matter."""

COLUMNS = {"class": "class", "label": "class"}
COLUMNS |= {
    "start_frame": "start_frame",
    "start": "start_frame",
    "end_frame": "end_frame",
    "end": "end_frame",
}
"""The columns of a label file, by the names that a header may give them."""


def read(
    path: Path, report: Report, known: bool = True, index: Callable[[int], int] = labels.from_file
) -> list[Segment]:
    """The rows of a label file; none where it is wrong, see ``Report.wrong``.

    Args:
        known: whether the classes must be valid; if not, an invalid class becomes unknown, which is noted.
        index: gives the class index of a number in the file. Raises ValueError if there is none.
    """
    try:
        return _read(path, report, known, index)
    except DataError as error:
        report.wrong(str(error))
        return []


def _read(path: Path, report: Report, known: bool, index: Callable[[int], int]) -> list[Segment]:
    if not os.path.exists(path):  # False, too, if the name is too long for a file
        problem = "no such file; each video folder needs its label file: restore it, or remove the folder"
        raise DataError(f"{path}: {problem}")
    table = untrusted.rows(path, COLUMNS)[["class", "start_frame", "end_frame"]]
    if table.empty:
        problem = "no clips in it; expected rows of class,start_frame,end_frame"
        raise DataError(f"{path}: {problem}: restore it, or remove the folder")
    numbers = untrusted.whole_numbers(path, table, -MAX_NUMBER, MAX_NUMBER)
    rows, unknown = [], Counter[int]()
    for row, (number, start, end) in enumerate(numbers.tolist()):
        try:
            label = index(number)
        except ValueError as error:
            if known:
                raise DataError(f"{path}: row {row}: {error}; correct the label file") from None
            label = UNKNOWN
            unknown[number] += 1
        rows.append((label, start, end))
    for number, times in unknown.items():
        report.count("classes that do not exist, of test clips: unknown", f"{path.name}: {number}", times)
    return rows


def read_videos(
    function: Callable[..., Any], calls: Iterable[tuple[Any, ...]], report: Report, progress: Progress
) -> Iterator[Any]:
    """``function(*arguments, report)`` for each tuple of arguments, in parallel, each with a report of its
    own, which is added to the report; None for a video that cannot be read, see ``Report.wrong``."""
    calls = [(function, *arguments) for arguments in calls]
    results = in_parallel(_reported, calls)
    for result, events, error in progress(results, total=len(calls), desc="reading videos"):
        for event, places in events.items():
            report.events[event] += places
        if error:
            report.wrong(error)
        yield result


def _reported(function: Callable[..., Any], *arguments: Any) -> tuple[Any, dict[str, list[str]], str]:
    report = Report()
    try:
        return function(*arguments, report), report.events, ""
    except DataError as error:
        return None, {}, str(error)


def clamped(recording: Recording, report: Report) -> Recording:
    """The same video, with its segments clamped to it. These, and segments without any joint, are reported by
    the id of their clip; and segments that are unsorted or there twice.

    Raises:
        DataError: the clips are together many times longer than the video: a few bytes of a table could ask
            for the whole video many times.
    """
    video, segments, keypoints = recording.video, recording.segments, recording.keypoints
    frames = len(keypoints)
    total = sum(max(min(last, frames - 1) - max(first, 0), 0) + 1 for _, first, last in segments)
    if total > MAX_COVERAGE * frames + MAX_UNSUSPICIOUS_FRAMES:
        problem = f"its clips have {total:,} frames together, the video has {frames:,}"
        raise DataError(f"{video}: {problem}; correct the table of segments")
    spans = [(first, last) for _, first, last in segments]
    if spans != sorted(spans):
        unsorted = "videos whose segments are not sorted by start frame"
        report.note(f"{unsorted}: clips are numbered in the order of the rows", video)
    if len(set(segments)) < len(segments):
        report.note("videos with the same segment twice: both rows are clips", video)
    within = []
    for k, (label, start, end) in enumerate(segments):
        first, last = _clamp(start, end, frames, f"{video}_{k}", report)
        within.append((label, first, last))
        if not keypoints[first : last + 1, :, 2].any():
            report.note("no joint was found in any frame", f"{video}_{k}")
    if not segments and not keypoints[..., 2].any():
        report.note("no joint was found in any frame", video)
    return replace(recording, segments=tuple(within))


def cut(recordings: Iterable[Recording]) -> Iterator[Clip]:
    """The clip of each segment, ``<video>_<k>`` with k from 0; or the whole video, where there is none."""
    for whole in recordings:
        about = (whole.split, whole.video, whole.subject, whole.width, whole.height)
        if not whole.segments:
            yield Clip(whole.id, whole.label, *about, whole.keypoints)
        for k, (label, first, last) in enumerate(whole.segments):
            yield Clip(f"{whole.video}_{k}", label, *about, whole.keypoints[first : last + 1])


def _clamp(start: int, end: int, frames: int, id: str, report: Report) -> tuple[int, int]:
    """First and last frame of a segment within a video; one completely outside keeps the nearest frame."""
    first, last = (min(max(frame, 0), frames - 1) for frame in (start, end))
    if start > end:
        report.note("segment ends before it starts: its first frame was kept", id)
        last = first
    elif start >= frames:
        report.note("segment starts after the video's last frame: the last frame was kept", id)
    elif (first, last) != (start, end):
        report.note("segment clamped to the frames of the video", id)
    return first, last
