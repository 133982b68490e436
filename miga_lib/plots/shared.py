"""What figures share: colours, short names, ticks, labels of rows and legends."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullFormatter

Look = dict[str, Any]
"""Keywords of matplotlib."""
WIDTH = 8.3
"""Of a figure in inches, 830 px: a cell does not make it, nor its text of 9 pt and more, smaller."""
LEGEND: Look = {"frameon": False, "fontsize": 9}
BARE: Look = {"xticks": [], "yticks": [], "frame_on": False}
POINT_COLOUR, INTERVAL_COLOUR, EXPECTED_COLOUR = "#262626", "#bdbdbd", "#8b2161"
"""None is a colour of left or right."""
RUN_COLOURS = (POINT_COLOUR, EXPECTED_COLOUR, "#e69f00", "#009e73", "#56b4e9")
RUN_MARKS = "os^Dv"
LINES: tuple[Look, ...] = tuple(
    {"color": colour, "linestyle": dash, "marker": mark}
    for dash in ("-", "--")
    for colour, mark in zip(RUN_COLOURS, RUN_MARKS, strict=True)
)
"""Styles of ten lines, distinct with any colour vision."""
MAX_LETTERS = 52
"""Of a name in a figure; the longest name of a class of iMiGUE and SMG has 51."""
MAX_LETTERS_BELOW = 24
"""Of a name that is written vertically below a figure, or beside a point."""


def short(name: object, most: int = MAX_LETTERS) -> str:
    """A name as a label in a figure: of a very long one the middle is left out, the end often differs."""
    text, end = str(name), most // 3
    return text if len(text) <= most else f"{text[: most - end - 1]}…{text[-end:]}"


def with_counts(names: Iterable[object], counts: Iterable[object], most: int = MAX_LETTERS) -> list[str]:
    """Names as labels, each with a number in parentheses."""
    return [f"{short(name, most)} ({count})" for name, count in zip(names, counts, strict=True)]


def plain_ticks(axis: Axis) -> None:
    """Label a logarithmic axis at 1, 2, 5, 10 … in plain numbers: powers of ten need ``text.parse_math``."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def label_rows(ax: Axes, labels: Sequence[str]) -> None:
    """Name the rows of a figure; the first is at the top."""
    ax.set_yticks(range(len(labels)), labels, fontsize=9)
    ax.set_ylim(len(labels) - 0.4, -0.6)


def label_columns(ax: Axes, labels: Sequence[str]) -> None:
    """Name the columns of a figure, vertically."""
    ax.set_xticks(range(len(labels)), labels, rotation=90, fontsize=9)
    ax.set_xlim(-0.8, len(labels) - 0.2)


def write_beside(ax: Axes, row: float, text: str, colour: str | None = None, x: float = 1.01) -> None:
    """Write a text at the right of a row."""
    place: Look = {"xycoords": ("axes fraction", "data"), "annotation_clip": False}
    ax.annotate(text, (x, row), **place, fontsize=9, va="center", color=colour)


def evenly(frames: int, count: int) -> np.ndarray:
    """``count`` frames, evenly spaced, with the first and the last one."""
    return np.linspace(0, frames - 1, count).round().astype(int)
