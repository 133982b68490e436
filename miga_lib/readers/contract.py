"""What every reader offers: clips one by one, and a report of everything that it skipped, clamped or
repaired."""

import reprlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from .. import labels, layouts
from ..layouts import Layout

MAX_COORDINATE = 2.0**17
"""Pixels; far larger coordinates overflow when they are squared."""
MAX_SIDE = 2**15
"""Pixels of the width or height of a frame."""
MAX_NO_PIXEL = 8
"""Where most joints are that near to the corner of the frame, their coordinates are no pixels."""
MAX_OUTSIDE = 0.1
"""How far outside the frame a joint that is given in shares of it may be."""
MAX_NEGATIVE, MIN_CENTRED = 0.1, 0.25
"""Parts of the joints with a negative coordinate: at most the first in shares from 0 to 1, at least the
second in shares from −1 to 1."""
MAX_SCORE, MIN_PERCENT, MAX_PERCENT = 1.5, 50, 110
"""OpenPose's scores go a little beyond 1. The highest score of a video in percent is in the other bounds."""
UNKNOWN = -1
"""The label of a clip whose class is not known."""
UNUSED = "none"
"""The split of a clip that only other protocols of its source use."""
Progress = Callable[..., Iterable[Any]]
"""Wraps an iteration, called like ``tqdm``: ``progress(iterable, total=…, desc=…)``."""
Segment = tuple[int, int, int]
"""Class index, first frame and last frame (inclusive) of a gesture."""


class DataError(ValueError):
    """A file or folder that cannot be read; the message is one line: the file, what is required, what was
    found, how to fix it. Characters that a terminal would obey are shown escaped."""

    def __str__(self) -> str:
        return printable(super().__str__())


@dataclass(frozen=True, eq=False)
class Clip:
    """One annotated micro-gesture.

    ``keypoints`` is (T, V, 3) float32: x and y in pixels of the ``width`` × ``height`` video, and the
    detector's score. A joint whose score is 0 is missing. ``subject`` is empty if it is unknown.
    """

    id: str
    label: int
    split: str
    video: str
    subject: str
    width: int
    height: int
    keypoints: np.ndarray


@dataclass(frozen=True, eq=False)
class Recording(Clip):
    """A whole video: a clip of unknown class whose id is the video."""

    fps: float
    """Frames per second; 0 where the source does not say."""
    segments: tuple[Segment, ...]
    """The gestures in the order of the source; empty: it was not annotated."""


@dataclass
class Report:
    """What a reader reports beside the clips."""

    events: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """For each kind of event, the places where it happened."""
    classes: tuple[str, ...] = labels.CLASSES
    class_regions: tuple[str, ...] = ()
    """The region of each class, for the order of a confusion matrix; empty where the source has none."""
    protocols: dict[str, dict[str, str]] = field(default_factory=dict)
    """Where a source can be split in several ways: the split of each clip id or video in each, by its name.
    The first one is that of ``Clip.split``, which is ``UNUSED`` for a clip that only others use."""
    errors: list[str] | None = None
    """A list: all errors of a source are collected; None: the first one is raised."""
    earlier: str = ""
    """The report of an earlier reading of the source, for another layout."""

    def note(self, event: str, where: str) -> None:
        """An event, such as ``"segment clamped to the frames of the video"``, at a clip, video or file."""
        self.events[event].append(where)

    def count(self, event: str, where: str, number: int | np.integer, total: object = "") -> None:
        """An event that happened so many times (of a total) at one place; nothing is noted of 0."""
        if number:
            self.note(event, f"{where} ({number} of {total})" if total else f"{where} ({number})")

    def wrong(self, message: str) -> None:
        """A clip or video that cannot be read: raises DataError, or collects the message."""
        if self.errors is None:
            raise DataError(message)
        self.errors.append(message)

    def __str__(self) -> str:
        if self.earlier:
            return self.earlier
        lines = [
            printable(f"{len(places):6d} × {event}: {', '.join(places[:4])}{', …' * (len(places) > 4)}")
            for event, places in self.events.items()
        ]
        return "\n".join(lines) or "Nothing was skipped, clamped or repaired."


@runtime_checkable
class Reader(Protocol):
    """What a module in this folder offers. The first line of its docstring names the format."""

    __name__: str
    VERSION: int
    """Raised when the same files give other clips, so that caches of earlier versions are not used."""
    CACHED_LAYOUT: str
    """Where reading is slow: the layout that is cached, and from which others are selected; else empty."""

    def recognises(self, source: Path) -> bool:
        """Whether the folder or file is in this format."""

    def read(self, source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
        """The clips in the order of the source, selected to the joints of ``layout``. Raises DataError.

        Only files in the source are read, unless the module is a ``BesideReader``, too: a change of another
        file would not be noticed.
        """


@runtime_checkable
class RecordingReader(Reader, Protocol):
    """A reader of whole videos. Its clips are cut out of its recordings."""

    def recordings(
        self, source: Path, layout: Layout, report: Report, progress: Progress
    ) -> Iterator[Recording]:
        """The videos in the order of the source, selected to the joints of ``layout``. Raises DataError."""


@runtime_checkable
class BesideReader(Reader, Protocol):
    """A reader that also reads files beside the source. Where one of them changes, the source is read
    again."""

    def beside(self, source: Path) -> list[Path]:
        """The files beside a source of any format that this reader would read; they need not exist."""


def in_parallel(function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Yield the result of a function for each tuple of arguments, in their order, from as many processes as
    there are cores.

    Four calls per core are started at a time: few results are in memory at once, and no work is left if the
    caller stops early.
    """
    import joblib

    calls, some = list(calls), 4 * joblib.cpu_count()
    job = joblib.delayed(function)
    with joblib.Parallel(n_jobs=-1) as parallel:
        for first in range(0, len(calls), some):
            yield from parallel(job(*arguments) for arguments in calls[first : first + some])


def repair(keypoints: np.ndarray, where: str, report: Report) -> np.ndarray:
    """The same joints (…, V, 3) as float32; joints with impossible values become missing, and are noted."""
    far = f"joints with a coordinate beyond {MAX_COORDINATE:.0f} pixels taken as missing"
    with np.errstate(over="ignore", invalid="ignore"):
        keypoints = np.array(keypoints, dtype=np.float32)
        faults = {
            "joints with an empty or infinite cell taken as missing": ~np.isfinite(keypoints).all(-1),
            far: (np.abs(keypoints) > MAX_COORDINATE).any(-1),
            "joints with a negative score taken as missing": keypoints[..., 2] < 0,
        }
    for fault, joints in faults.items():
        if joints.any():
            report.note(fault, where)
            keypoints[joints] = 0
    return keypoints


def in_pixels(
    keypoints: Float[np.ndarray, "... V 3"], size: tuple[int, int], where: str, report: Report
) -> Float[np.ndarray, "... V 3"]:
    """The same joints, as ``repair`` gives them, in pixels and with scores up to about 1. They are converted,
    which is noted, where their unit is certain: shares of the frame, from 0 to 1 or from −1 to 1, and scores
    in percent. It should get all frames of a video.

    Args:
        size: width and height of the frame, 0 if they are unknown.

    Raises:
        DataError: another unit, or shares of a frame whose size is unknown.
    """
    is_present, highest = keypoints[..., 2] > 0, keypoints[..., 2].max(initial=0)
    if highest > MAX_SCORE and not MIN_PERCENT <= highest <= MAX_PERCENT:
        problem = f"its scores, up to {highest:.3g}, are neither from 0 to 1 nor percent"
        raise DataError(f"{where}: {problem}; divide them, so that 1 is certain")
    if highest > MAX_SCORE:
        report.note("scores were percent: divided by 100", f"{where} (up to {highest:.3g})")
        keypoints = keypoints * np.array([1, 1, 0.01], np.float32)
    near = (
        is_present & (np.abs(keypoints[..., 0]) <= MAX_NO_PIXEL) & (np.abs(keypoints[..., 1]) <= MAX_NO_PIXEL)
    )
    if 2 * np.count_nonzero(near) <= np.count_nonzero(is_present) or not keypoints[near, :2].any():
        return keypoints
    xy, present = keypoints[..., :2], keypoints[is_present, :2]
    low, high, negative = present.min(), present.max(), (present < 0).any(1).mean()
    # Of all joints: OpenPose puts missing ones at −1, −1 if it scales from −1 to 1.
    from_0 = negative <= MAX_NEGATIVE and xy.min() >= -MAX_OUTSIDE and high <= 1 + MAX_OUTSIDE
    from_minus_1 = negative >= MIN_CENTRED and low >= -1 - 2 * MAX_OUTSIDE and high <= 1 + 2 * MAX_OUTSIDE
    if not all(size) or not (from_0 or from_minus_1):
        unit = "neither pixels nor shares of the frame"
        way_out = "write x and y in pixels"
        if from_0 or from_minus_1:
            unit = "shares of a frame of unknown size"
            way_out += ", or give the width and height of the video, one for all of its frames"
        raise DataError(f"{where}: its coordinates, {low:.3g} to {high:.3g}, are {unit}; {way_out}")
    report.note(f"coordinates were shares of the frame from {0 if from_0 else -1} to 1: now pixels", where)
    if from_minus_1:
        xy = (xy + 1) / 2
    xy = np.where(is_present[..., None], xy * np.array(size, np.float32), 0)
    return np.concatenate([xy, keypoints[..., 2:]], -1)


def frame_size(keypoints: np.ndarray) -> tuple[int, int]:
    """Width and height of a frame that just has all joints (…, 3)."""
    corner = np.ceil(keypoints[..., :2].reshape(-1, 2).max(0))
    right, bottom = np.clip(corner, 1, MAX_SIDE).astype(int).tolist()
    return right, bottom


def select(stored: Layout, requested: Layout, where: str) -> np.ndarray:
    """Indices (V of requested,) of the requested joints among the stored ones.

    Raises DataError where some are not stored; the message lists the layouts that fit.
    """
    try:
        return layouts.selection(stored, requested)
    except ValueError as error:
        way_out = ""
        if not requested.single_person:
            fitting = [n for n in layouts.names() if set(layouts.get(n).joints) <= set(stored.joints)]
            way_out = f"; choose layout {' or '.join(fitting)}"
        raise DataError(f"{where}: {error}{way_out}") from None


def printable(text: str) -> str:
    """A text in one line, in which characters that move, hide or reverse others are shown escaped."""
    if text.isprintable():
        return text
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(escaped)


def shown(value: object) -> str:
    """A value from a file in a short form, for an error message: one line of at most 80 characters."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    try:
        text = reprlib.repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = "a huge number"
    return text if len(text) <= 80 else f"{text[:77]}…"


def reason(error: Exception) -> str:
    """What an error of another library says: one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__
