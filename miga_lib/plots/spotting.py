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


def timeline(
    truth: pd.DataFrame, predicted: pd.DataFrame, videos: Sequence[str], shown: Predictions, fps: float = 25
) -> np.ndarray:
    """A row for each video: true segments above, predicted ones below, coloured by ``scoring.kinds``. An
    array of Axes.

    A predicted segment links to its clip in the viewer, by its confidence.

    Args:
        shown: of the predicted segments, see ``spotting.as_clips``.
    """
    of_prediction, found = scoring.kinds(truth, predicted)
    confidence, classes = shown.probabilities.max(1), shown.classes
    figure, axes = plt.subplots(len(videos), 1, figsize=(8.3, 0.6 + 0.95 * len(videos)), squeeze=False)
    for ax, video in zip(axes[:, 0], videos, strict=True):
        rows = {
            1: (truth, np.where(found, "found", "missed"), FOUND_COLOURS),
            0: (predicted, of_prediction, KIND_COLOURS),
        }
        for height, (table, kinds, colours) in rows.items():
            for row in np.flatnonzero(table["video"] == video):
                segment, kind = table.iloc[row], str(kinds[row])
                title = f"{classes[segment['label']]}, frames {segment['first']} to {segment['last']}: {kind}"
                span = [(segment["first"] / fps, (segment["last"] - segment["first"] + 1) / fps)]
                bars = ax.broken_barh(
                    span, (height, 0.8), facecolors=colours[kind], edgecolors="white", linewidth=0.4
                )
                if not height:
                    bars.set_urls([link(title, low=np.nextafter(confidence[row], 0), high=confidence[row])])
        ax.set(yticks=[0.4, 1.4], yticklabels=["predicted", "true"], title=video, ylim=(-0.1, 1.9))
        ax.grid(visible=False)
    axes[-1, 0].set_xlabel("seconds")
    colours = FOUND_COLOURS | KIND_COLOURS
    handles = [Patch(color=colour, label=kind) for kind, colour in colours.items()]
    figure.legend(handles=handles, ncols=4, loc="outside lower center", frameon=False)
    return axes[:, 0]


def spotting_table(scores: Mapping[str, Mapping[str, float]]) -> Styler:
    """The scores of some predictions, as ``scoring.scores`` returns them, as a table."""
    table = pd.DataFrame(scores).T.drop(columns="official_recall")
    heads = {
        "low": "from",
        "high": "to",
        "official_precision": "official precision",
        "official_f1": "official F1",
    }
    named = {
        name: heads.get(name, name.replace("f1", "F1").replace("map", "mAP").replace("_", " at "))
        for name in table
    }
    return styled(table.rename(columns=named)).format(percent)


def precision_recall(
    truth: pd.DataFrame, predicted: Mapping[str, pd.DataFrame], ax: Axes | None = None
) -> Axes:
    """Precision by recall of the predictions of some decoders where only those above a probability are kept,
    all classes together.

    Hits are those of ``scoring.by_confidence``.
    """
    ax = ax or plt.subplots(figsize=(5.5, 4))[1]
    for (name, table), colour, dashes in zip(
        predicted.items(), cycle(RUN_COLOURS), cycle(("-", "--", "-.")), strict=False
    ):
        order = np.argsort(-table["probability"].to_numpy(), kind="stable")
        hits = scoring.by_confidence(truth, table)[order].cumsum()
        ax.plot(
            100 * hits / max(len(truth), 1),
            100 * hits / np.arange(1, len(hits) + 1),
            dashes,
            color=colour,
            label=name,
        )
        if len(hits):
            ax.plot(100 * hits[-1] / max(len(truth), 1), 100 * hits[-1] / len(hits), "o", color=colour)
    ax.set(xlabel="recall (%)", ylabel="precision (%)", xlim=(0, None), ylim=(0, 105))
    ax.legend(frameon=False)
    return ax


def error_kinds(truth: pd.DataFrame, predicted: Mapping[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """How many predictions of some decoders are of each of ``scoring.KINDS``, and how many true segments are
    missed."""
    ax = ax or plt.subplots(figsize=(8.3, 0.9 + 0.55 * len(predicted)))[1]
    for row, table in enumerate(predicted.values()):
        of_prediction, found = scoring.kinds(truth, table)
        left = 0
        for kind, colour in (KIND_COLOURS | {"missed": FOUND_COLOURS["missed"]}).items():
            count = int((~found).sum()) if kind == "missed" else int((of_prediction == kind).sum())
            ax.barh(row, count, left=left, color=colour, label=kind if row == 0 else None)
            if count:
                ax.text(left + count / 2, row, str(count), ha="center", va="center", fontsize=9)
            left += count
    ax.set_yticks(range(len(predicted)), list(predicted))
    ax.set(xlabel=f"predictions, and true segments that are missed (of {len(truth)})")
    ax.grid(visible=False)
    ax.figure.legend(ncols=6, loc="outside lower center")
    return ax
