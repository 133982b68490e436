"""The widget: it sends the list of clips and the chosen clip to the browser, and answers its buttons."""

import base64
import html
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import anywidget
import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
import traitlets
from IPython.display import display
from torch import Tensor

from .. import alignment, atomic, denoising, layouts, plots
from ..clips import Clips, Recordings
from ..layouts import Layout
from ..predictions import Predictions
from ..runs import safe_name
from ..settings import PRESETS, check_choice
from ..sources import outputs_folder
from . import notes, page
from .beside import BESIDE, filled, motion, nearest, poses, transformed
from .video import Video, around, segment
from .views import available_layouts, sent

DARK_SIDES = {"left": "#56b4e9", "right": "#f08a3c", "middle": "#c8c8c8"}
COLOURS = {
    "light": plots.SIDES | {"missing": "#8f8f8f", "used": "#9e2a8d"},
    "dark": DARK_SIDES | {"missing": "#8a8a8a", "used": "#b5179e"},
}
"""Colours on a light and on a dark page, distinct with any colour vision."""
HEATMAP = {"size": PRESETS["paper"]["heatmap_size"], "sigma": 0.6, "rgb": [0, 158, 115]}
"""Size (px; that of the ``paper`` preset in training), sigma (px) and colour of the overlaid heatmap."""
MAX_RATE = 1000
MAX_ON_PAGE = 100
"""Clips in a file of ``save_page``: 100 clips of 41 joints and 100 frames take about 7 MB."""
TOP = 5
"""Most probable classes of a run that have bars."""
SCRIPTS = ("figures", "clips", "viewer")

Run = Predictions | Sequence[Predictions]


class SkeletonViewer(anywidget.AnyWidget):
    """The clips of a table, played in the browser. Every action has a key; ``?`` lists them.

    A missing joint is a ring at its position nearest in time. The links of figures, see ``plots.linked``,
    fill the list with the clips of a number. What cannot be shown (no clips, a clip without a person,
    predictions of other classes) is said in the viewer. In exported HTML and without a kernel, the clip that
    was shown first and those in ``kept`` can be played; where no scripts run there is a still picture.

    Args:
        predictions: of some of the clips, such as a run's ``val.npz`` and ``test.npz``; or those of several
            runs, by their names. They are joined on ids.
        clip: the first one shown, by row or id; None: one with motion that has predictions.
        beside: what is shown beside it, one of ``BESIDE``.
        length: frames T to which a clip is aligned for comparison.
        rate: frames per second at speed 1.
        layout: the joints that are shown first, such as those that a network takes; None: all.
        kept: further clips for exported pages, by row or id.
        outputs: the folder of ``notes.csv`` and of ``figures`` for animations; empty: the repository's.
        saliency: gives, for a row, how much each joint counted in each frame, (T, V), when a user asks for
            it; such as ``analysis.saliency.of_run``.
        recordings: that the clips were cut from. They tell the gestures before and after a clip.
        video: the pictures behind the skeleton: a ``Video``, or its ``place``. Without ``recordings``, each
            clip is a whole video.
        filters: names of ``denoising.FILTERS``, joined by ``+``, for the clip denoised.

    Raises ValueError for an unknown id, row, filter or ``beside``, a layout with joints that the clips lack,
    a length below 1, and where there is no such video.
    """

    _esm = "\n".join(Path(__file__).with_name(f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    _css = Path(__file__).with_name("viewer.css")
    _list = traitlets.Dict().tag(sync=True)
    _choice = traitlets.Dict().tag(sync=True)
    _clip = traitlets.Dict().tag(sync=True)
    _notes = traitlets.Dict().tag(sync=True)
    _used = traitlets.Dict().tag(sync=True)
    _video = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        clips: Clips,
        predictions: Run | Mapping[str, Run] = (),
        clip: int | str | None = None,
        beside: str = "nothing",
        length: int = 48,
        rate: float | int = 25,
        layout: Layout | None = None,
        kept: Sequence[int | str] = (),
        outputs: str | Path = "",
        saliency: Callable[[int], np.ndarray] | None = None,
        recordings: Recordings | None = None,
        video: Video | str | Path | None = None,
        filters: str = "swaps+outliers+gaps+savitzky_golay",
    ) -> None:
        check_choice("beside", beside, BESIDE)
        for name in filter(None, filters.split("+")):
            check_choice("a name in filters", name, denoising.FILTERS)
        if length < 1:
            raise ValueError(f"`length` must be 1 frame or more, got {length}")
        if not 0 < rate <= MAX_RATE:
            raise ValueError(f"rate must be above 0 and up to {MAX_RATE} frames per second, got {rate!r}")
        self._clips, self._length, self._rate = clips, length, float(rate)
        self._outputs, self._saliency, self._recordings = outputs_folder(outputs), saliency, recordings
        self._pictures = Video(video) if isinstance(video, str | Path) else video
        self._filters = "" if clips.denoised else filters  # no clip is filtered twice
        self._ids: list[str] = clips.table["id"].tolist()
        self._names = {-1: "class unknown"} | dict(enumerate(clips.classes))
        self._notices: list[str] = []
        runs = predictions if isinstance(predictions, Mapping) else {"": predictions}
        aligned = {name: self._aligned(name, run) for name, run in runs.items()}
        self._runs = {name: table for name, table in aligned.items() if table.shape[1]}
        first = layout or clips.layout
        self._layouts = {target.name: target for target in (*available_layouts(clips.layout), first)}
        row = self._row(clip)
        self._exported = [self._row(clip) for clip in kept]
        remarks = _told(self._notices, notes.read, self._outputs) or {}
        choice = {"row": row, "beside": beside}
        super().__init__(_list=self._describe(first), _choice=choice, _notes=remarks)
        self.on_msg(self._answer)

    def _aligned(self, name: str, run: Run) -> np.ndarray:
        """The probabilities of a run for each clip, (N, K), NaN where it has none; (N, 0) if its classes are
        others. Faults become notices."""
        parts = [run] if isinstance(run, Predictions) else list(run)
        faults = [_mismatch(part, self._clips.classes) for part in parts]
        pairs = zip(parts, faults, strict=True)
        tables = [pd.DataFrame(part.probabilities, part.ids) for part, fault in pairs if not fault]
        table = pd.concat([pd.DataFrame(), *tables])
        table = table[~table.index.duplicated(keep="last")]
        probabilities = table.reindex(self._ids).to_numpy()
        if len(table) and np.isnan(probabilities).all():
            counts = f"The run predicts {len(table)} clips, but none of these {len(self._clips)}"
            faults.append(f"{counts}: no bars are shown. Give the data that it was tested on.")
        self._notices += [": ".join(filter(None, (name, fault))) for fault in faults if fault]
        return probabilities

    def _opening(self) -> int:
        """The row of the clip shown first: of the first 50 that every run predicts, or else of all, the one
        with the most motion."""
        first = np.stack([np.zeros(len(self._ids)), *(run[:, 0] for run in self._runs.values())])
        lacking = np.isnan(first).any(0)
        rows = np.flatnonzero(~lacking | lacking.all())[:50].tolist()
        return max(rows, key=lambda row: motion(self._clips[row]), default=-1)

    def _row(self, clip: int | str | None) -> int:
        """The row of a clip, by row or id, or of the one shown first; −1 if there are no clips."""
        if clip is None:
            return self._opening()
        rows: dict[int | str, int] = {row: row for row in range(len(self._ids))}
        rows |= {id: row for row, id in enumerate(self._ids)}
        if rows and clip not in rows:
            way_out = f"give a row, or an id such as {self._ids[0]!r}"
            raise ValueError(f"there is no clip {clip!r} among the {len(self._ids)} clips; {way_out}")
        return rows.get(clip, -1)

    @traitlets.observe("_choice")
    def _send_clip(self, change: dict[str, Any]) -> None:
        self._clip = self._prepare(**change["new"])

    def _answer(self, widget: Any, request: dict[str, Any], buffers: Any) -> None:
        """Do what a button of the browser asks for, and tell what was done, or why not."""
        try:
            row = self._row(request["row"])
            match request["ask"]:
                case "used":
                    text = self._compute_used(row)
                case "video":
                    text = self._send_video(row)
                case "note":
                    text = f"Saved: {notes.write(self._outputs, self._ids[row], str(request['note']))}"
                    self._notes = notes.read(self._outputs)
                case _:
                    text = f"Saved: {self._film(row, self._layouts[request['layout']])}"
        except (OSError, ValueError) as error:
            text = str(error)
        self.send({"text": text})

    def _compute_used(self, row: int) -> str:
        """Send what the network used of a clip; gives a sentence with the joints that counted most."""
        assert self._saliency, "the button is there only with saliency"
        values = np.asarray(self._saliency(row))
        self._used = {"row": row, "values": _bytes(values, "<f4")}
        of_joints = values.clip(min=0).sum(0)
        joints = [self._clips.layout.joints[v] for v in (-of_joints).argsort()[:3] if of_joints[v] > 0]
        return f"Used most: {', '.join(joints).replace('_', ' ') or 'no joint'}."

    def _send_video(self, row: int) -> str:
        """Send the pictures behind a clip; gives a sentence about them."""
        assert self._pictures, "the button is there only with a video"
        clip, first = self._clips.table.iloc[row], 0
        if self._recordings is not None:
            first = int(segment(self._recordings, clip["id"])["first"])
        pictures, size = self._pictures.pictures(clip["video"], first, int(clip["frames"]))
        files = [f"data:image/jpeg;base64,{base64.b64encode(file).decode()}" for file in pictures]
        self._video = {"row": row, "pictures": files, "size": size}
        return f"{len(pictures)} of {clip['frames']} frames of the video are shown."

    def _film(self, row: int, layout: Layout) -> Path:
        """Write the clip, and what is beside it, as an animation."""
        form, id = self._choice["beside"], self._ids[row]
        shown = {id: self._clips[row]}
        if form not in ("nothing", "nearest"):
            keypoints = transformed(self._clips, row, form, self._length, self._filters)
            shown[BESIDE[form].format(self._length)] = keypoints
        joints = layouts.selection(self._clips.layout, layout)
        shown = {title: keypoints[:, joints] for title, keypoints in shown.items()}
        path = self._outputs / "figures" / f"{safe_name(id)}.gif"
        with mpl.rc_context({"text.parse_math": False}):
            return plots.animate(shown, layout, path, max(round(self._rate), 1))

    def _describe(self, layout: Layout) -> dict[str, Any]:
        """The list of clips, as bytes for each column; and the choices of the controls."""
        table = self._clips.table
        splits = table["split"].unique().tolist()
        colours = mpl.colormaps["cividis"](np.linspace(0, 1, 16))
        return {
            "viewer": f"miga-{uuid.uuid4().hex}",
            "ids": "\n".join(self._ids),
            "labels": _bytes(table["label"], "<i2"),
            "splits": _bytes(table["split"].map(splits.index), "u1"),
            "frames": _bytes(table["frames"], "<i4"),
            "runs": [_columns(name, probabilities) for name, probabilities in self._runs.items()],
            "classes": list(self._clips.classes),
            "split_names": splits,
            "layouts": [sent(target, self._clips.layout) for target in self._layouts.values()],
            "shown": list(self._layouts).index(layout.name),
            "comparisons": [[form, title.format(self._length)] for form, title in BESIDE.items()],
            "rate": self._rate,
            "used": self._saliency is not None,
            "video": self._pictures is not None,
            "colours": COLOURS,
            "heatmap": HEATMAP,
            "scale": [mpl.colors.to_hex(colour) for colour in colours],
        }

    def _prepare(self, row: int, beside: str) -> dict[str, Any]:
        """A clip in the form that the browser takes, and the messages about it."""
        messages = self._notices.copy()
        say = messages.append
        figures: dict[str, Any] = {"row": row, "requested": beside, "messages": messages}
        figures |= {"main": None, "beside": None, "bars": None}
        if not self._ids:
            say("There are no clips to show: the selection is empty.")
            return figures
        id, keypoints = self._ids[row], self._clips[row]
        if self._runs:
            figures["bars"] = self._bars(row)
        if not len(keypoints):
            say(f"Clip {id} has no frames: there is nothing to draw.")
            return figures
        if not (keypoints[..., 2] > 0).any():
            say(f"Clip {id} has no person: no joint was found in any of its {len(keypoints)} frames.")
        figures["main"] = _figure(f"{id}: {self._class(row)}", keypoints)
        if self._recordings is not None:
            figures["around"] = _told(messages, around, self._recordings, id, self._names)
        figures["beside"] = _told(messages, self._beside, row, beside)
        return figures

    def _beside(self, row: int, form: str) -> dict[str, Any] | None:
        """The figure beside a clip. Raises ValueError where there is none."""
        if form == "nothing":
            return None
        if form == "nearest":
            other = nearest(*self._poses, torch.tensor(self._clips.table["label"].to_numpy()), row)
            if other is None:
                raise ValueError("No clip of another class has enough joints in common with this one.")
            return _figure(f"nearest: {self._ids[other]}, {self._class(other)}", self._clips[other])
        if form == "denoised" and self._clips.denoised:
            way_out = "load them without `denoise` to compare"
            raise ValueError(f"These clips are already denoised ({self._clips.denoised}): {way_out}.")
        keypoints = transformed(self._clips, row, form, self._length, self._filters)
        figure = _figure(BESIDE[form].format(self._length), keypoints)
        frames = torch.arange(len(self._clips[row]))
        if form in alignment.METHODS:
            frames = alignment.source_frames(len(frames), self._length, form)
        figure["source"] = _bytes(frames, "<f4")
        if form == "denoised":
            figure["title"] += f": {self._filters}"
            figure["filled"] = _bytes(filled(self._clips, row, keypoints, self._filters), "u1")
        return figure

    @cached_property
    def _poses(self) -> tuple[Tensor, Tensor]:
        return poses(self._clips)

    def _class(self, row: int) -> str:
        return self._names[self._clips.table["label"].iloc[row]]

    def _bars(self, row: int) -> list[dict[str, Any]]:
        """The ``TOP`` classes of each run and the true one, in the order of the mean over the runs; empty
        without predictions. A run that does not predict the clip has −1 for probability and rank."""
        probabilities = np.stack([run[row] for run in self._runs.values()])  # (runs, K)
        predicted = ~np.isnan(probabilities[:, 0])
        if not predicted.any():
            return []
        ranks = (-probabilities).argsort(kind="stable").argsort() + 1
        truth = np.arange(len(self._clips.classes)) == self._clips.table["label"].iloc[row]
        shown = (ranks[predicted] <= TOP).any(0) | truth
        order = (-probabilities[predicted].mean(0)).argsort(kind="stable")
        probabilities[~predicted], ranks[~predicted] = -1, -1
        return [
            {"name": self._clips.classes[k], "truth": bool(truth[k])}
            | {"probabilities": probabilities[:, k].tolist(), "ranks": ranks[:, k].tolist()}
            for k in order[shown[order]].tolist()
        ]

    def _ipython_display_(self) -> None:
        """Show the widget and, in an output of its own, what replaces it without a kernel; this is hidden
        where the widget is shown."""
        widget, metadata = super()._repr_mimebundle_() or ({}, {})
        display(widget | {"text/plain": ""}, metadata=metadata, raw=True)
        display(self.standalone(), raw=True)

    def standalone(self) -> dict[str, str]:
        """By mime type: a page that plays without a kernel, a still picture, and a line of text."""
        traits = ("_list", "_choice", "_clip", "_notes", "_used")
        state = {name: getattr(self, name) for name in traits} | {"css": str(self._css)}
        exported = {row: self._prepare(row, self._choice["beside"]) for row in self._exported}
        state["_exported"] = exported | {self._clip["row"]: self._clip}
        keypoints = np.zeros((0, 0, 3))
        if self._clip["main"]:
            keypoints = self._clips[self._clip["row"]]
        text = "\n".join([repr(self), *self._clip["messages"]])
        picture = page.still(text, keypoints, self._clips.layout)
        return {
            "text/html": page.markup(state, str(self._esm), picture, repr(self)),
            "image/png": base64.b64encode(picture).decode(),
            "text/plain": repr(self),
        }

    def __repr__(self) -> str:
        main = self._clip["main"] or {"title": "nothing"}
        return f"SkeletonViewer of {len(self._clips)} clips, showing {main['title']}"


def save_page(path: str | Path, clips: Clips, predictions: Any = (), **arguments: Any) -> Path:
    """Write a viewer of 1 to ``MAX_ON_PAGE`` clips, which ``clips.where`` chooses, as one HTML file, which
    replaces one that is there. It opens in any browser without a kernel or network.

    ``predictions`` and ``arguments`` are of ``SkeletonViewer``. Returns ``path``. Raises ValueError for
    another number of clips and where ``SkeletonViewer`` does, and OSError if the file cannot be written.
    """
    path = Path(path)
    if not 1 <= len(clips) <= MAX_ON_PAGE:
        way_out = "choose some with `clips.where`"
        raise ValueError(f"{path}: a page has 1 to {MAX_ON_PAGE} clips, got {len(clips)}; {way_out}")
    viewer = SkeletonViewer(clips, predictions, kept=range(len(clips)), **arguments)
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head = f"<head>{meta}<title>{html.escape(path.stem)}</title></head>"
    body = f"<body>{viewer.standalone()['text/html']}</body>"
    atomic.write_text(path, f'<!DOCTYPE html><html lang="en">{head}{body}</html>')
    return path


def _mismatch(predictions: Predictions, classes: Sequence[str]) -> str:
    """A sentence on how the classes of predictions differ from these classes; empty if they are the same."""
    theirs, ours = predictions.classes.tolist(), list(classes)
    if theirs == ours:
        return ""
    fault = f"The run predicts {len(theirs)} classes and the data have {len(ours)}"
    if len(theirs) == len(ours):
        k = [their == our for their, our in zip(theirs, ours, strict=True)].index(False)
        fault = f"The run's class {k} is {theirs[k]!r} and the data's is {ours[k]!r}"
    return f"{fault}: no bars are shown. Give a run of these classes."


def _told(messages: list[str], compute: Callable[..., Any], *arguments: Any) -> Any:
    """What ``compute`` gives; if it raises ValueError, None and a message."""
    try:
        return compute(*arguments)
    except ValueError as error:
        messages.append(str(error))
        return None


def _figure(title: str, keypoints: np.ndarray) -> dict[str, Any]:
    return {"title": title, "frames": len(keypoints), "keypoints": _bytes(keypoints, "<f4")}


def _columns(name: str, probabilities: np.ndarray) -> dict[str, Any]:
    """The predicted class of each clip by a run, and its probability; −1 and 0 where it has no prediction."""
    confidence = np.nan_to_num(probabilities).max(1)
    predicted = np.where(confidence > 0, np.nan_to_num(probabilities).argmax(1), -1)
    return {"name": name, "predicted": _bytes(predicted, "<i2"), "confidence": _bytes(confidence, "<f8")}


def _bytes(numbers: object, kind: str) -> bytes:
    return np.ascontiguousarray(numbers, dtype=kind).tobytes()
