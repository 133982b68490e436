"""Gestures in recordings: probabilities over time, timelines, precision by recall, and errors by kind."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from pandas.io.formats.style import Styler

from ..metrics import percent
from ..predictions import Predictions
from ..spotting import scoring
from .evaluation import RUN_COLOURS
from .links import link
from .shared import LEGEND, Look, new_axes, short
from .tables import styled

KIND_COLOURS = dict(zip(scoring.KINDS, ("#009e73", "#8fd3bd", "#e69f00", "#56b4e9", "#8b2161"), strict=True))
TRUTH_COLOURS = {"found": "#009e73", "missed": "#262626"}


def over_time(
    probabilities: Float[np.ndarray, "T K"],
    classes: Sequence[str],
    fps: float,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """The six classes with the highest probabilities in the frames of a recording; gaps where all are 0."""
    if ax is None:
        ax = new_axes(2.8)
    time = np.arange(len(probabilities)) / fps
    lines = 100 * np.where(probabilities.any(1, keepdims=True), probabilities, np.nan)
    highest = (-probabilities.max(0)).argsort(kind="stable")[:6]
    for k, colour, dash in zip(highest, cycle(RUN_COLOURS), 3 * ["-"] + 3 * ["--"], strict=False):
        ax.plot(time, lines[:, k], dash, color=colour, linewidth=1.2, label=short(classes[k]))
    ax.set(xlabel="time (s)", xlim=(0, len(time) / fps), title=short(title))
    ax.set(ylabel="probability (%)", ylim=(0, 100))
    ax.legend(**LEGEND, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def timeline(
    truth: pd.DataFrame, predicted: pd.DataFrame, videos: Sequence[str], shown: Predictions, fps: float
) -> np.ndarray:
    """An Axes for each video: true segments above, predicted ones below, coloured by ``scoring.kinds``. A
    predicted one links to its clip by the confidence in ``shown``, of ``spotting.as_clips``."""
    kinds, hits = scoring.kinds(truth, predicted)
    rows = {1: (truth, np.where(hits, "found", "missed")), 0: (predicted, kinds)}
    colours, confidence = TRUTH_COLOURS | KIND_COLOURS, shown.probabilities.max(1)
    axes = new_axes(0.6 + 0.95 * len(videos), len(videos), squeeze=False)[:, 0]
    for ax, video in zip(axes, videos, strict=True):
        for height, (table, kinds_of_rows) in rows.items():
            for row in np.flatnonzero(table["video"] == video):
                segment, kind = table.iloc[row], kinds_of_rows[row]
                first, last = segment["first"], segment["last"]
                look: Look = {"facecolors": colours[kind], "edgecolors": "white", "linewidth": 0.4}
                bars = ax.broken_barh([(first / fps, (last - first + 1) / fps)], (height, 0.8), **look)
                if height == 0:
                    title = f"{shown.classes[segment['label']]}, frames {first} to {last}: {kind}"
                    low, high = np.nextafter(confidence[row], 0), confidence[row]
                    bars.set_urls([link(title, low=low, high=high)])
        ax.set(yticks=[0.4, 1.4], yticklabels=["predicted", "true"], title=video, ylim=(-0.1, 1.9))
        ax.grid(visible=False)
    axes[-1].set_xlabel("seconds")
    handles = [Patch(color=colour, label=kind) for kind, colour in colours.items()]
    axes[0].figure.legend(handles=handles, ncols=4, loc="outside lower center", frameon=False)
    return axes


def spotting_table(scores: Mapping[str, Mapping[str, float]]) -> Styler:
    """The scores of some predictions, as ``scoring.scores`` returns them, as a table; a dash where there is
    none, such as an interval over one video."""
    table = pd.DataFrame(scores).T.drop(columns="official_recall")
    heads = table.columns.str.replace("official_", "official ").str.replace("_", " at ")
    heads = heads.str.replace("f1", "F1").str.replace("map", "mAP")
    table = table.set_axis(heads, axis=1).rename(columns={"low": "from", "high": "to"})
    return styled(table).format(percent, na_rep="–")


def precision_recall(truth: pd.DataFrame, predicted: Mapping[str, pd.DataFrame]) -> Axes:
    """Precision by recall of the predictions of some decoders above each probability, of all classes."""
    ax, segments = plt.subplots(figsize=(5.5, 4))[1], max(len(truth), 1)
    looks = zip(cycle(RUN_COLOURS), cycle(("-", "--", "-.")), strict=False)
    for (name, table), (colour, dash) in zip(predicted.items(), looks, strict=False):
        order = np.argsort(-table["probability"].to_numpy(), kind="stable")
        hits = scoring.by_confidence(truth, table)[order].cumsum()
        recall, precision = 100 * hits / segments, 100 * hits / np.arange(1, len(hits) + 1)
        ax.plot(recall, precision, dash, color=colour, label=name)
        if len(hits):
            ax.plot(recall[-1], precision[-1], "o", color=colour)
    ax.set(xlabel="recall (%)", ylabel="precision (%)", xlim=(0, None), ylim=(0, 105))
    ax.legend(frameon=False)
    return ax


def error_kinds(truth: pd.DataFrame, predicted: Mapping[str, pd.DataFrame]) -> Axes:
    """Predictions of some decoders by ``scoring.KINDS``, and the true segments that they miss."""
    ax = new_axes(0.9 + 0.55 * len(predicted))
    for row, table in enumerate(predicted.values()):
        kinds, hits = scoring.kinds(truth, table)
        kinds = np.append(kinds, ["missed"] * int(np.sum(~hits)))
        left = 0
        for kind, colour in (KIND_COLOURS | {"missed": TRUTH_COLOURS["missed"]}).items():
            count = int(np.sum(kinds == kind))
            ax.barh(row, count, left=left, color=colour, label=kind if row == 0 else None)
            if count:
                ax.text(left + count / 2, row, str(count), ha="center", va="center", fontsize=9)
            left += count
    ax.set_yticks(range(len(predicted)), list(predicted))
    ax.set(xlabel=f"predictions, and true segments that are missed (of {len(truth)})")
    ax.grid(visible=False)
    ax.figure.legend(ncols=6, loc="outside lower center")
    return ax
