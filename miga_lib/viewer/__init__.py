"""A viewer that shows, plays and compares clips in the browser. The kernel sends each clip once.

This module is the kernel's part: the list of clips, the keypoints of the chosen clip and of the figure beside it, and a still picture
for places without a browser. All drawing is in ``viewer.js``.
"""

import base64
import html
import io
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import matplotlib as mpl
import numpy as np
import torch
import traitlets
from jaxtyping import Bool, Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from .. import alignment, augmentation, layouts, plots
from ..clips import Clips
from ..layouts import Layout
from ..predictions import Predictions
from ..settings import PRESETS

BESIDE = {
    "nothing": "nothing",
    "align": "aligned to {}",
    "crop_pad": "cropped, padded to {}",
    "segments": "one of each of {} parts",
    "mirrored": "mirrored",
    "nearest": "nearest other class",
}
"""What can be shown beside a clip: the clip aligned to ``length`` frames by each method of ``alignment``, mirrored, or ``nearest``."""

COLOURS = {
    "light": plots.SIDES | {"missing": "#707070"},
    "dark": {"left": "#56b4e9", "right": "#f08a3c", "middle": "#c8c8c8", "missing": "#a0a0a0"},
}
"""Colours on a light and on a dark page, distinct with any colour vision."""
HEATMAP = {"size": PRESETS["paper"].size, "sigma": 0.6, "rgb": [0, 158, 115]}
"""Size (px), sigma (px) and colour of the overlaid heatmap. Its size is that of the paper's training input."""


class SkeletonViewer(anywidget.AnyWidget):
    """The clips of a table, played in the browser.

    Clips are chosen by split, class and id. Space plays, arrow keys step. A missing joint is drawn as a ring at its position nearest in
    time. If something cannot be shown (no clips, a clip without a person, predictions of other classes), the viewer says so and does
    not raise.

    In exported HTML the clip that the cell showed first can be played without a kernel. If a notebook has saved widget state, as
    papermill's outputs do, nbconvert prefers that, which needs internet. For a page that works offline::

        jupyter nbconvert --to html --NbConvertBase.display_data_priority='["text/html", "image/png", "text/plain"]' notebook.ipynb

    Args:
        clips: listed in the order of their table.
        predictions: of some or all of the clips, such as a run's ``val.npz`` and ``test.npz``. They are joined on ids.
        clip: the first one shown, by row or id.
        beside: what is shown beside it, one of ``BESIDE``.
        length: frames T to which a clip is aligned for comparison.
        rate: frames per second at speed 1.

    Raises:
        ValueError: an unknown id, row or ``beside``, or a length below 1.
    """

    _esm = Path(__file__).with_name("viewer.js")
    _css = Path(__file__).with_name("viewer.css")
    _list = traitlets.Dict().tag(sync=True)
    _choice = traitlets.Dict().tag(sync=True)
    _clip = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        clips: Clips,
        predictions: Predictions | Sequence[Predictions] = (),
        clip: int | str = 0,
        beside: str = "nothing",
        length: int = 48,
        rate: float | int = 25,
    ) -> None:
        if beside not in BESIDE:
            raise ValueError(f"`beside` must be one of {', '.join(BESIDE)}, got {beside!r}")
        if length < 1:
            raise ValueError(f"`length` must be 1 frame or more, got {length}")
        self._clips, self._length = clips, length
        self._poses: tuple[Tensor, Tensor] | None = None
        runs = [predictions] if isinstance(predictions, Predictions) else list(predictions)
        self._notices = [notice for run in runs if (notice := mismatch(run, clips.classes))]
        fitting = [run for run in runs if not mismatch(run, clips.classes)]
        self._probabilities = {id: row for run in fitting for id, row in zip(run.ids.tolist(), run.probabilities, strict=True)}
        if self._probabilities and not self._probabilities.keys() & set(clips.table["id"]):
            found = f"The run predicts {len(self._probabilities)} clips, but none of these {len(clips)}"
            self._notices.append(f"{found}: no bars are shown. Give the data that it was tested on.")
        choice: dict[str, Any] = {"row": self._row(clip) if len(clips) else -1, "beside": beside}
        super().__init__(_list=self._describe(rate), _choice=choice, _clip=self._prepare(**choice))
        self.observe(self._send_choice, "_choice")

    def show(self, clip: int | str) -> None:
        """Show another clip, by row or id, in all displays of the viewer. Raises ValueError if there is none."""
        self._choice = self._choice | {"row": self._row(clip)}

    def _row(self, clip: int | str) -> int:
        ids = self._clips.table["id"].tolist()
        if clip not in (ids if isinstance(clip, str) else range(len(ids))):
            raise ValueError(f"there is no clip {clip!r} among the {len(ids)} clips; give a row, or an id such as {ids[0]!r}")
        return ids.index(clip) if isinstance(clip, str) else int(clip)

    def _send_choice(self, change: dict[str, Any]) -> None:
        self._clip = self._prepare(**change["new"])

    def _describe(self, rate: float | int) -> dict[str, Any]:
        """The list of clips, as bytes for each column; and the choices of the controls."""
        table, known = self._clips.table, available_layouts(self._clips.layout)
        split_names = table["split"].unique().tolist()
        predicted = [int(self._probabilities[id].argmax()) if id in self._probabilities else -1 for id in table["id"]]
        return {
            "ids": "\n".join(table["id"]),
            "labels": _bytes(table["label"], "<i2"),
            "predicted": _bytes(predicted, "<i2"),
            "splits": _bytes(table["split"].map(split_names.index), "u1"),
            "frames": _bytes(table["frames"], "<i4"),
            "classes": list(self._clips.classes),
            "split_names": split_names,
            "layouts": known,
            "shown": [layout["name"] for layout in known].index(self._clips.layout.name),
            "comparisons": [[key, text.format(self._length)] for key, text in BESIDE.items()],
            "rate": float(rate),
            "colours": COLOURS,
            "heatmap": HEATMAP,
            "scale": [mpl.colors.to_hex(colour) for colour in mpl.colormaps["cividis"](np.linspace(0, 1, 16))],
        }

    def _prepare(self, row: int, beside: str) -> dict[str, Any]:
        """One clip in the form that the browser takes, and the messages about it."""
        sent: dict[str, Any] = {"row": row, "requested": beside, "messages": list(self._notices)}
        sent |= {"main": None, "beside": None, "bars": None}
        if not len(self._clips):
            sent["messages"].append("There are no clips to show: the selection is empty.")
            return sent
        clip, keypoints = self._clips.table.iloc[row], self._clips[row]
        sent["bars"] = self._bars(clip["id"], int(clip["label"])) if self._probabilities else None
        if not len(keypoints):
            sent["messages"].append(f"Clip {clip['id']} has no frames: there is nothing to draw.")
            return sent
        if not (keypoints[..., 2] > 0).any():
            sent["messages"].append(f"Clip {clip['id']} has no person: no joint was found in any of its {len(keypoints)} frames.")
        sent["main"] = _figure(f"{clip['id']}: {self._name(row)}", keypoints)
        if beside == "nearest":
            if (other := self.nearest(row)) is None:
                sent["messages"].append("No clip of another class has enough joints in common with this one to be compared.")
            else:
                sent["beside"] = _figure(f"nearest: {self._clips.table['id'].iloc[other]}, {self._name(other)}", self._clips[other])
        elif beside != "nothing":
            changed = transformed(keypoints, self._clips.layout, beside, self._length, int(clip["width"]))
            sent["beside"] = _figure(BESIDE[beside].format(self._length), changed)
        return sent

    def _name(self, row: int) -> str:
        label = self._clips.table["label"].iloc[row]
        return self._clips.classes[label] if label >= 0 else "class unknown"

    def _bars(self, id: str, label: int) -> list[dict[str, Any]]:
        """The five most probable classes, and the true one if it is not among them; empty for a clip without prediction."""
        if id not in self._probabilities:
            return []
        probabilities = self._probabilities[id]
        order = (-probabilities).argsort(kind="stable").tolist()
        shown = order[:5] + [k for k in order[5:] if k == label]
        names = self._clips.classes
        return [{"name": names[k], "probability": float(probabilities[k]), "rank": order.index(k) + 1, "truth": k == label} for k in shown]

    def nearest(self, row: int) -> int | None:
        """The row of the clip of another known class with the most similar motion, see ``nearest``; None if there is none."""
        if self._poses is None:
            self._poses = poses(self._clips)
        labels = torch.tensor(self._clips.table["label"].to_numpy())
        return nearest(*self._poses, labels, row)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget; and, for places without widgets, a page that plays without a kernel, a still picture, and a line of text."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        picture = base64.b64encode(self._still()).decode()
        return data | {"text/html": self._page(picture), "image/png": picture}, metadata

    def __repr__(self) -> str:
        shown = self._clip["main"]["title"] if self._clip["main"] else "nothing"
        return f"SkeletonViewer of {len(self._clips)} clips, showing {shown}"

    def _still(self) -> bytes:
        """Frames of the clip that is shown, and the messages about it, as a png file."""
        keypoints = self._clips[self._choice["row"]] if self._clip["main"] else np.zeros((0, 0, 3))
        figure = Figure(figsize=(9, 2.3 if len(keypoints) else 0.8), layout="constrained")
        figure.suptitle("\n".join([repr(self), *self._clip["messages"]]), fontsize=9)
        if len(keypoints):
            chosen = np.unique(np.linspace(0, len(keypoints) - 1, 6).round().astype(int))
            axes = figure.subplots(1, len(chosen), sharex=True, sharey=True, squeeze=False)[0]
            for ax, t in zip(axes, chosen, strict=True):
                if (keypoints[t, :, 2] > 0).any():
                    plots.skeleton(keypoints[t], self._clips.layout, ax)
                ax.set_title(f"frame {t + 1}", fontsize=8)
                ax.set_axis_off()
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100)
        return file.getvalue()

    def _page(self, picture: str) -> str:
        """HTML of the picture, and a script that replaces it by the viewer where scripts run."""
        state = {name: getattr(self, name) for name in ("_list", "_choice", "_clip")} | {"css": str(self._css)}
        content = json.dumps(state, default=lambda raw: {"base64": base64.b64encode(raw).decode()}).replace("<", "\\u003c")
        place = f"miga-{uuid.uuid4().hex}"
        image = f'<img src="data:image/png;base64,{picture}" alt="{html.escape(repr(self))}" style="max-width: 100%">'
        start = f'{self._esm}\nplayAlone("{place}");'
        return (
            f'<div id="{place}">{image}</div>'
            f'<script type="application/json" id="{place}-state">{content}</script><script type="module">{start}</script>'
        )


def mismatch(predictions: Predictions, classes: Sequence[str]) -> str:
    """A sentence on how the classes of predictions differ from these classes; empty if they are the same."""
    theirs, ours = [str(name) for name in predictions.classes], list(classes)
    if theirs == ours:
        return ""
    differing = [k for k, (their, our) in enumerate(zip(theirs, ours, strict=False)) if their != our]
    found = f"The run predicts {len(theirs)} classes and the data have {len(ours)}"
    if len(theirs) == len(ours):
        found = f"The run's class {differing[0]} is {theirs[differing[0]]!r} and the data's is {ours[differing[0]]!r}"
    return f"{found}: no bars are shown. Give a run of these classes."


def available_layouts(source: Layout) -> list[dict[str, Any]]:
    """The layouts whose joints ``source`` has, fewest joints first, each in the form that the browser takes."""
    targets = [layouts.get(name) for name in layouts.names() if name != source.name]
    targets = [target for target in targets if set(target.joints) <= set(source.joints)] + [source]
    return [
        {
            "name": target.name,
            "joints": list(target.joints),
            "rows": layouts.selection(source, target).tolist(),
            "limbs": [list(limb) for limb in target.limbs],
            "sides": [side if side in ("left", "right") else "middle" for side in (joint.partition("_")[0] for joint in target.joints)],
        }
        for target in sorted(targets, key=lambda target: len(target.joints))
    ]


def transformed(keypoints: np.ndarray, layout: Layout, method: str, length: int, width: int) -> np.ndarray:
    """A clip (T, V, 3), mirrored in a video ``width`` px wide, or aligned to ``length`` frames by a method without randomness."""
    given = torch.tensor(keypoints)
    if method == "mirrored":
        return augmentation.flip(given[None], layout, torch.tensor([True]), width)[0].numpy()
    starts, frames = torch.tensor([0]), torch.tensor([len(given)])
    return alignment.resample(given, starts, frames, length, method)[0].numpy()


def poses(clips: Clips, frames: int = 16) -> tuple[Float[Tensor, "N D 2"], Bool[Tensor, "N D"]]:
    """Each clip as D = frames × joints positions, aligned, centred and scaled to a spread of 1; and which of them were found.

    If the layout has the 22 joints of ``imigue22`` (body and fingertips), only these are used.
    """
    body = layouts.get("imigue22")
    joints = layouts.selection(clips.layout, body) if set(body.joints) <= set(clips.layout.joints) else np.arange(len(clips.layout.joints))
    nothing, chunks = np.zeros((1, len(joints), 3), np.float32), []
    for rows in torch.arange(len(clips)).split(512):
        given = [clip if len(clip := clips[row][:, joints]) else nothing for row in rows.tolist()]
        lengths = torch.tensor([len(clip) for clip in given])
        chunks.append(alignment.resample(torch.tensor(np.concatenate(given)), lengths.cumsum(0) - lengths, lengths, frames))
    aligned = torch.cat(chunks)
    places, present = aligned[..., :2].flatten(1, 2), aligned[..., 2].flatten(1) > 0
    found = present[..., None]
    count = found.sum(1, keepdim=True).clamp(min=1)
    places = (places - (places * found).sum(1, keepdim=True) / count) * found
    spread = (places.square().sum((1, 2), keepdim=True) / count).sqrt()
    return places / spread.clamp(min=1e-6), present


def nearest(places: Float[Tensor, "N D 2"], present: Bool[Tensor, "N D"], labels: Int[Tensor, " N"], row: int) -> int | None:
    """The row with another known label whose positions, from ``poses``, have the smallest mean squared distance to those of this row.

    The mean is over the positions found in both rows. These must be more than half of this row's; None if no row has so many.
    """
    both = present & present[row]
    apart = ((places - places[row]).square().sum(-1) * both).sum(1) / both.sum(1)
    possible = (labels >= 0) & (labels != labels[row]) & (both.sum(1) > present[row].sum() / 2)
    return int(apart.where(possible, torch.inf).argmin()) if possible.any() else None


def _figure(title: str, keypoints: np.ndarray) -> dict[str, Any]:
    return {"title": title, "frames": len(keypoints), "keypoints": _bytes(keypoints, "<f4")}


def _bytes(numbers: object, kind: str) -> bytes:
    return np.ascontiguousarray(numbers, dtype=kind).tobytes()
