"""Spotted gestures: timelines of videos, precision by recall, and errors by kind."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from pandas.io.formats.style import Styler

from ..metrics import percent
from ..predictions import Predictions
from ..spotting import scoring
from .evaluation import RUN_COLOURS
from .links import link
from .tables import styled

KIND_COLOURS = dict(zip(scoring.KINDS, ("#009e73", "#8fd3bd", "#e69f00", "#56b4e9", "#8b2161"), strict=True))
FOUND_COLOURS = {"found": "#009e73", "missed": "#262626"}
HEADS = {
    "low": "from",
    "high": "to",
    "official_precision": "official precision",
    "official_f1": "official F1",
}


def timeline(
    truth: pd.DataFrame, predicted: pd.DataFrame, videos: Sequence[str], shown: Predictions, fps: float = 25
) -> np.ndarray:
    """A row for each video: true segments above, predicted ones below, coloured by ``scoring.kinds``. An
    array of Axes.

    A predicted segment links to its clip in the viewer, by its confidence.

    Args:
        shown: of the predicted segments, see ``spotting.as_clips``.
    """
    kinds, hit = scoring.kinds(truth, predicted)
    confidence, colours = shown.probabilities.max(1), FOUND_COLOURS | KIND_COLOURS
    figure, axes = plt.subplots(len(videos), 1, figsize=(8.3, 0.6 + 0.95 * len(videos)), squeeze=False)
    rows = [(truth, np.where(hit, "found", "missed"), 1), (predicted, kinds, 0)]
    for ax, video in zip(axes[:, 0], videos, strict=True):
        for table, names, height in rows:
            for row in np.flatnonzero(table["video"] == video):
                label, first, last = table.iloc[row][["label", "first", "last"]]
                span, colour = [(first / fps, (last - first + 1) / fps)], colours[names[row]]
                style = {"facecolors": colour, "edgecolors": "white", "linewidth": 0.4}
                bars = ax.broken_barh(span, (height, 0.8), **style)
                if not height:
                    title = f"{shown.classes[label]}, frames {first} to {last}: {names[row]}"
                    bars.set_urls([link(title, low=np.nextafter(confidence[row], 0), high=confidence[row])])
        ax.set(yticks=[0.4, 1.4], yticklabels=["predicted", "true"], title=video, ylim=(-0.1, 1.9))
        ax.grid(visible=False)
    axes[-1, 0].set_xlabel("seconds")
    handles = [Patch(color=colour, label=kind) for kind, colour in colours.items()]
    figure.legend(handles=handles, ncols=4, loc="outside lower center", frameon=False)
    return axes[:, 0]


def spotting_table(scores: Mapping[str, Mapping[str, float]]) -> Styler:
    """The scores of some predictions, as ``scoring.scores`` returns them, as a table."""
    table = pd.DataFrame(scores).T.drop(columns="official_recall").rename(columns=HEADS)
    heads = table.columns.str.replace("f1", "F1").str.replace("map", "mAP").str.replace("_", " at ")
    return styled(table.set_axis(heads, axis=1)).format(percent)


def precision_recall(
    truth: pd.DataFrame, predicted: Mapping[str, pd.DataFrame], ax: Axes | None = None
) -> Axes:
    """Precision by recall of the predictions of some decoders where only those above a probability are kept,
    all classes together.

    Hits are those of ``scoring.by_confidence``.
    """
    ax = ax or plt.subplots(figsize=(5.5, 4))[1]
    styles = zip(cycle(RUN_COLOURS), cycle(("-", "--", "-.")), strict=True)
    for (name, table), (colour, dashes) in zip(predicted.items(), styles, strict=False):
        order = np.argsort(-table["probability"].to_numpy(), kind="stable")
        hits = scoring.by_confidence(truth, table)[order].cumsum()
        recall, precision = 100 * hits / max(len(truth), 1), 100 * hits / np.arange(1, len(hits) + 1)
        ax.plot(recall, precision, dashes, color=colour, label=name)
        ax.plot(recall[-1:], precision[-1:], "o", color=colour)
    ax.set(xlabel="recall (%)", ylabel="precision (%)", xlim=(0, None), ylim=(0, 105))
    ax.legend(frameon=False)
    return ax


def error_kinds(truth: pd.DataFrame, predicted: Mapping[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """How many predictions of some decoders are of each of ``scoring.KINDS``, and how many true segments are
    missed."""
    ax = ax or plt.subplots(figsize=(8.3, 0.9 + 0.55 * len(predicted)))[1]
    for row, table in enumerate(predicted.values()):
        kinds, hit = scoring.kinds(truth, table)
        names, left = [*kinds, *np.where(hit, "found", "missed")], 0
        for kind, colour in (KIND_COLOURS | {"missed": FOUND_COLOURS["missed"]}).items():
            count = names.count(kind)
            ax.barh(row, count, left=left, color=colour, label=kind if row == 0 else None)
            if count:
                ax.text(left + count / 2, row, str(count), ha="center", va="center", fontsize=9)
            left += count
    ax.set_yticks(range(len(predicted)), list(predicted))
    ax.set(xlabel=f"predictions, and true segments that are missed (of {len(truth)})")
    ax.grid(visible=False)
    ax.figure.legend(ncols=6, loc="outside lower center")
    return ax
