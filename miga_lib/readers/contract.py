"""What every reader gives: clips one by one, and a report of everything that it skipped, clamped or repaired."""

import reprlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .. import labels, layouts
from ..layouts import Layout

FARTHEST = 2.0**17
"""Pixels from the corner of a frame; numbers far beyond overflow where they are squared."""

UNKNOWN = -1
"""The label of a clip whose class is not known."""

Progress = Callable[..., Iterable]
"""Wraps the iteration over the parts of a source, called like ``tqdm``: ``progress(iterable, total=…, desc=…)``."""


class DataError(ValueError):
    """A file or folder that cannot be read, with the file, the rule, the value found and the way out in one line."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One annotated micro-gesture, as a reader gives it.

    ``keypoints`` is (T, V, 3) float32: x and y in pixels of the ``width`` × ``height`` video, and the detector's score. A joint
    whose score is 0 is missing. ``subject`` is empty where the source does not tell it.
    """

    id: str
    label: int
    split: str
    video: str
    subject: str
    width: int
    height: int
    keypoints: np.ndarray


@dataclass
class Report:
    """What a reader tells beside the clips: for each kind of event, where it happened; and the names of the classes.

    ``errors`` is a list where all that is wrong with a source is wanted, and not just the first of it; ``earlier`` is what was told
    when the source was read for another layout.
    """

    events: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    classes: tuple[str, ...] = labels.CLASSES
    errors: list[str] | None = None
    earlier: str = ""

    def note(self, event: str, where: str) -> None:
        """Count one event, such as ``"segment clamped to the video's last frame"``, at a clip, video or file."""
        self.events[event].append(where)

    def wrong(self, message: str) -> None:
        """A clip or video that cannot be read: raises DataError, or goes without it where errors are collected."""
        if self.errors is None:
            raise DataError(message)
        self.errors.append(message)

    def __str__(self) -> str:
        if self.earlier:
            return self.earlier
        if not self.events:
            return "Nothing was skipped, clamped or repaired."
        return "\n".join(
            f"{len(where):6d} × {event}: {', '.join(where[:4])}{', …' if len(where) > 4 else ''}" for event, where in self.events.items()
        )


@runtime_checkable
class Reader(Protocol):
    """What a module in this folder offers; its docstring's first line names the format."""

    __name__: str
    VERSION: int
    """Goes up when the same files give other clips, so that caches of earlier versions are not used."""
    CACHED_LAYOUT: str
    """The layout that is read and cached, whatever layout is asked for, where reading is slow; empty: the one asked for."""

    def recognises(self, source: Path) -> bool:
        """Whether the folder or file is in this format."""

    def read(self, source: Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
        """The clips in the order of the source, selected to the joints of ``layout``. Raises DataError."""


def in_parallel(function: Callable[..., Any], calls: Iterable[tuple]) -> Iterator[Any]:
    """What a function gives for each tuple of arguments, in their order, from as many processes as there are cores.

    The calls are made some at a time: few results are ever held, and whoever stops listening leaves no work behind.
    """
    import joblib

    calls, some = list(calls), 4 * joblib.cpu_count()
    with joblib.Parallel(n_jobs=-1) as parallel:
        for first in range(0, len(calls), some):
            yield from parallel(joblib.delayed(function)(*arguments) for arguments in calls[first : first + some])


def below(source: Path, pattern: str, depth: int = 3) -> list[Path]:
    """What matches a pattern in a folder or up to that many levels below it: archives are unpacked in many ways."""
    return sorted(path for level in range(depth + 1) for path in source.glob("*/" * level + pattern))


def repair(keypoints: np.ndarray, where: str, report: Report) -> np.ndarray:
    """The same (…, V, 3) joints as float32; one that cannot be becomes a missing one, and is told."""
    with np.errstate(over="ignore", invalid="ignore"):
        keypoints = np.array(keypoints, dtype=np.float32)
        faults = {
            "joints with an empty or infinite cell taken as missing": ~np.isfinite(keypoints).all(-1),
            "joints farther out than any frame reaches taken as missing": (np.abs(keypoints) > FARTHEST).any(-1),
            "joints with a negative score taken as missing": keypoints[..., 2] < 0,
        }
    for fault, found in faults.items():
        if found.any():
            report.note(fault, where)
            keypoints[found] = 0
    return keypoints


def select(held: Layout, wanted: Layout, where: str) -> np.ndarray:
    """Where the joints of the layout that is ``wanted`` stand among those that are ``held``.

    Raises:
        DataError: some are not there; the message lists the layouts that would do.
    """
    try:
        return layouts.selection(held, wanted)
    except ValueError as error:
        fitting = [name for name in layouts.names() if set(layouts.get(name).joints) <= set(held.joints)]
        raise DataError(f"{where}: {error}; choose layout {' or '.join(fitting)}") from None


def shown(value: object) -> str:
    """A short form of whatever a file held, for an error message: one line, never long, however deep or large the value is."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    try:
        text = reprlib.repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = "a huge number"
    return text if len(text) <= 80 else f"{text[:77]}…"
