"""What figures share: short names, ticks, labels of rows and legends."""

from collections.abc import Collection
from typing import Any

import matplotlib.pyplot as plt
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
MAX_LETTERS = 52
"""Of a name in a figure; the longest name of a class of iMiGUE and SMG has 51."""
MAX_LETTERS_BELOW = 24
"""Of a name that is written vertically below a figure, or beside a point."""


def new_axes(height: float, rows: int = 1, columns: int = 1, **options: Any) -> Any:
    """The Axes of a figure that is as wide as a cell, and some inches high: one, or an array."""
    return plt.subplots(rows, columns, figsize=(WIDTH, height), **options)[1]


def short(name: object, letters: int = MAX_LETTERS) -> str:
    """A name as a label in a figure: of a very long one the middle is left out, the end often differs."""
    text, end = str(name), letters // 3
    return text if len(text) <= letters else f"{text[: letters - end - 1]}…{text[-end:]}"


def labels(names: Collection[Any], counts: Collection[Any] = (), letters: int = MAX_LETTERS) -> list[str]:
    """Short names, each with a number in parentheses if there are some."""
    if not len(counts):
        return [short(name, letters) for name in names]
    return [f"{short(name, letters)} ({count})" for name, count in zip(names, counts, strict=True)]


def plain_ticks(axis: Axis) -> None:
    """Label a logarithmic axis at 1, 2, 5, 10 … in plain numbers: powers of ten need ``text.parse_math``."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def label_rows(ax: Axes, names: Collection[Any], counts: Collection[Any] = ()) -> None:
    """Name the rows of a figure, with a number each if there are some; the first is at the top."""
    ax.set_yticks(range(len(names)), labels(names, counts), fontsize=9)
    ax.set_ylim(len(names) - 0.4, -0.6)


def label_columns(ax: Axes, names: Collection[Any], counts: Collection[Any] = ()) -> None:
    """Name the columns of a figure, vertically."""
    ax.set_xticks(range(len(names)), labels(names, counts, MAX_LETTERS_BELOW), rotation=90, fontsize=9)
    ax.set_xlim(-0.8, len(names) - 0.2)


def beside(ax: Axes, row: float, text: str, colour: str | None = None, x: float = 1.01) -> None:
    """Write a text at the right of a row."""
    place: Look = {"xycoords": ("axes fraction", "data"), "annotation_clip": False}
    ax.annotate(text, (x, row), **place, fontsize=9, va="center", color=colour)


def evenly(frames: int, count: int) -> np.ndarray:
    """``count`` frames, evenly spaced, with the first and the last one."""
    return np.linspace(0, frames - 1, count).round().astype(int)
