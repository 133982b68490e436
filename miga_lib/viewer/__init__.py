"""A viewer that shows, plays and compares clips in the browser. The kernel sends each clip once.

This module is the kernel's part: the list of clips, the keypoints of the chosen clip and of the figure beside
it, and a still picture for places without a browser. All drawing is in ``figures.js``, the list in
``clips.js``, the rest of the page in ``viewer.js``.
"""

import base64
import html
import io
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
import traitlets
from IPython.display import display
from jaxtyping import Bool, Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from .. import alignment, atomic, augmentation, denoising, layouts, plots
from ..clips import Clips, Recordings, outputs_folder
from ..layouts import Layout
from ..predictions import Predictions
from ..runs import safe_name
from ..settings import PRESETS, check_choice
from . import notes
from .video import Video

BESIDE = {
    "nothing": "nothing",
    "align": "aligned to {}",
    "crop_pad": "cropped, padded to {}",
    "segments": "one of each of {} parts",
    "denoised": "denoised",
    "mirrored": "mirrored",
    "nearest": "nearest other class",
}
"""What can be shown beside a clip: the clip aligned to ``length`` frames by each method of ``alignment``,
denoised, mirrored, or the clip ``nearest`` to it."""

COLOURS = {
    "light": plots.SIDES | {"missing": "#8f8f8f", "used": "#9e2a8d"},
    "dark": {
        "left": "#56b4e9",
        "right": "#f08a3c",
        "middle": "#c8c8c8",
        "missing": "#8a8a8a",
        "used": "#b5179e",
    },
}
"""Colours on a light and on a dark page, distinct with any colour vision."""
FACE = ("head", "jaw", "brows", "lips")
"""The regions of a layout that the view of the face shows."""
HEATMAP = {"size": PRESETS["paper"]["heatmap_size"], "sigma": 0.6, "rgb": [0, 158, 115]}
"""Size (px), sigma (px) and colour of the overlaid heatmap. Its size is that of the paper's training
input."""


MOST_ON_PAGE = 100
"""Clips in a file of ``save_page``: 100 clips of 41 joints and 100 frames take about 7 MB."""


class SkeletonViewer(anywidget.AnyWidget):
    """The clips of a table, played in the browser.

    Clips are found by split, class, predicted class, confidence, id and note; every action has a key, and
    ``?`` lists the keys. A missing joint is drawn as a ring at its position nearest in time. The links of
    figures and tables, see ``plots.linked``, fill the list with the clips of a number. If something cannot be
    shown (no clips, a clip without a person, predictions of other classes), the viewer says so and does not
    raise.

    ``save_page`` writes some clips as a file for others. In a notebook that is opened without its kernel, and
    in exported HTML, the clip that the cell showed first, and those in ``kept``, can be played; where scripts
    do not run there is a still picture.

    Args:
        clips: listed in the order of their table.
        predictions: of some or all of the clips, such as a run's ``val.npz`` and ``test.npz``; or those of
            several runs, by their names. They are joined on ids.
        clip: the first one shown, by row or id; None: of the first clips that have predictions, the one with
            the most motion.
        beside: what is shown beside it, one of ``BESIDE``.
        length: frames T to which a clip is aligned for comparison.
        rate: frames per second at speed 1.
        layout: the joints that are shown first, such as those that a network takes; None: all that the clips
            have.
        kept: further clips for exported pages, by row or id.
        outputs: notes are kept in its ``notes.csv`` and animations in its ``figures``; empty: the
            repository's ``outputs/``.
        saliency: gives, for a row, how much each joint counted in each frame, (T, V); such as
            ``analysis.saliency.of_run``. It is called when a user asks for it.
        recordings: the videos that the clips were cut from. They tell the gestures before and after a clip,
            and where it is in its video.
        video: the pictures behind the skeleton: a ``Video``, or its ``place``. Without ``recordings``, each
            clip is a whole video.
        filters: names of ``denoising.FILTERS``, joined by ``+``, for the clip denoised, where a joint that
            was filled in is hollow.

    Raises:
        ValueError: an unknown id, row, filter or ``beside``, a layout with joints that the clips lack, a
            length below 1, or no such video.
    """

    _esm = "\n".join(
        Path(__file__).with_name(f"{name}.js").read_text(encoding="utf-8")
        for name in ("figures", "clips", "viewer")
    )
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
        predictions: Predictions
        | Sequence[Predictions]
        | Mapping[str, Predictions | Sequence[Predictions]] = (),
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
        self._clips, self._length, self._rate, self._outputs = (
            clips,
            length,
            float(rate),
            outputs_folder(outputs),
        )
        self._poses: tuple[Tensor, Tensor] | None = None
        self._saliency, self._recordings = saliency, recordings
        self._videos = Video(video) if isinstance(video, str | Path) else video
        self._filters = "" if clips.denoised else filters  # no clip is filtered twice
        runs = predictions if isinstance(predictions, Mapping) else {"": predictions}
        self._notices: list[str] = []
        given = {
            name: self._rows_by_id(name, [one] if isinstance(one, Predictions) else list(one))
            for name, one in runs.items()
        }
        self._runs = {name: rows for name, rows in given.items() if rows}
        first = layout or clips.layout
        self._layouts = {known.name: known for known in (*available_layouts(clips.layout), first)}
        choice: dict[str, Any] = {
            "row": self._opening() if clip is None else self._row(clip),
            "beside": beside,
        }
        self._kept_rows = [self._row(one) for one in kept]
        try:
            noted = notes.read(self._outputs)
        except ValueError as error:
            noted, self._notices = {}, [*self._notices, str(error)]
        described = self._describe(first.name)
        super().__init__(_list=described, _choice=choice, _clip=self._prepare(**choice), _notes=noted)
        self.observe(self._send_choice, "_choice")
        self.on_msg(self._answer)

    def show(self, clip: int | str) -> None:
        """Show another clip, by row or id, in all displays of the viewer. Raises ValueError if there is
        none."""
        self._choice = self._choice | {"row": self._row(clip)}

    def _rows_by_id(self, name: str, parts: Sequence[Predictions]) -> dict[str, np.ndarray]:
        """The probabilities of a run by clip id; what does not fit the clips is left out and noted."""
        of_run = f"{name}: " if name else ""
        faults = [fault for one in parts if (fault := mismatch(one, self._clips.classes))]
        fitting = [one for one in parts if not mismatch(one, self._clips.classes)]
        rows = {
            id: row for one in fitting for id, row in zip(one.ids.tolist(), one.probabilities, strict=True)
        }
        if rows and not rows.keys() & set(self._clips.table["id"]):
            found = f"The run predicts {len(rows)} clips, but none of these {len(self._clips)}"
            faults.append(f"{found}: no bars are shown. Give the data that it was tested on.")
        self._notices += [of_run + fault for fault in faults]
        return rows

    def _opening(self) -> int:
        """The row of the clip shown first: of the first 50 that every run predicts, or else of all, the one
        with the most motion."""
        ids = self._clips.table["id"].tolist()
        rows = [row for row, id in enumerate(ids) if all(id in of_run for of_run in self._runs.values())]
        return max((rows or range(len(ids)))[:50], key=lambda row: motion(self._clips[row]), default=-1)

    def _row(self, clip: int | str) -> int:
        ids = self._clips.table["id"].tolist()
        if not ids:
            return -1
        if clip not in (ids if isinstance(clip, str) else range(len(ids))):
            raise ValueError(
                f"there is no clip {clip!r} among the {len(ids)} clips; give a row, or an id such as {ids[0]!r}"
            )
        return ids.index(clip) if isinstance(clip, str) else int(clip)

    def _send_choice(self, change: dict[str, Any]) -> None:
        self._clip = self._prepare(**change["new"])

    def _answer(self, widget: Any, asked: dict[str, Any], buffers: Any) -> None:
        """Do what a button of the browser asks for, and tell it in a sentence what was done, or why not."""
        try:
            if "note" in asked:
                path = notes.write(
                    self._outputs, self._clips.table["id"].iloc[self._row(asked["row"])], str(asked["note"])
                )
                self._notes = notes.read(self._outputs)
            elif "used" in asked:
                return self.send({"text": self._compute_used(self._row(asked["used"]))})
            elif "video" in asked:
                return self.send({"text": self._send_video(self._row(asked["video"]))})
            else:
                path = self._film(self._row(asked["film"]), self._layouts[asked["layout"]])
            self.send({"text": f"Saved: {path}"})
        except (OSError, ValueError) as error:
            self.send({"text": str(error)})

    def _compute_used(self, row: int) -> str:
        """Send what the network used of a clip; gives a sentence with the joints that counted most."""
        values = np.asarray(self._saliency(row)) if self._saliency else np.zeros((0, 0))
        self._used = {"row": row, "values": _bytes(values, "<f4")}
        of_joints = values.clip(min=0).sum(0)
        most = [
            self._clips.layout.joints[v].replace("_", " ")
            for v in (-of_joints).argsort()[:3]
            if of_joints[v] > 0
        ]
        return f"Used most: {', '.join(most) or 'no joint'}."

    def _send_video(self, row: int) -> str:
        """Send the pictures behind a clip; gives a sentence about them."""
        if not self._videos:
            return "No video was given: pass `video=` to the viewer."
        clip = self._clips.table.iloc[row]
        first = 0 if self._recordings is None else int(self._place(clip["id"])["first"])
        pictures, size = self._videos.pictures(clip["video"], first, int(clip["frames"]))
        self._video = {"row": row, "pictures": pictures, "size": size}
        return f"{len(pictures)} of {clip['frames']} frames of the video are shown."

    def _place(self, id: str) -> pd.Series:
        """The segment of a clip in its recording. Raises ValueError where the recordings do not have it."""
        assert self._recordings is not None
        if not (found := self._recordings.ids == id).any():
            raise ValueError(
                f"the recordings have no clip {id!r:.60}; give the recordings that the clips were cut from"
            )
        return self._recordings.segments[found].iloc[0]

    def _around(self, id: str) -> str:
        """Where a clip is in its recording, and the gestures before and after it, in a sentence."""
        own, known = self._place(id), self._recordings
        assert known is not None
        rate = known.table.loc[known.table["video"] == own["video"], "fps"].iloc[0]
        beside = known.segments[known.segments["video"] == own["video"]]
        parts = [f"{own['video']}: {own['first'] / rate:.1f} to {(own['last'] + 1) / rate:.1f} s"]
        for side, some in (
            ("before", beside[beside["last"] < own["first"]]),
            ("after", beside[beside["first"] > own["last"]]),
        ):
            if len(some):
                near = some.loc[some["last"].idxmax() if side == "before" else some["first"].idxmin()]
                apart = (
                    own["first"] - near["last"] - 1 if side == "before" else near["first"] - own["last"] - 1
                )
                name = self._clips.classes[near["label"]] if near["label"] >= 0 else "class unknown"
                parts.append(f"{apart / rate:.1f} s {side}: {name}")
        if others := (~((beside["last"] < own["first"]) | (beside["first"] > own["last"]))).sum() - 1:
            parts.append(f"{others} overlapping")
        return "; ".join(parts)

    def _film(self, row: int, layout: Layout) -> Path:
        """Write the clip, and what is beside it, as an animation."""
        joints = layouts.selection(self._clips.layout, layout)
        keypoints, id, beside = self._clips[row], self._clips.table["id"].iloc[row], self._choice["beside"]
        shown = {id: keypoints[:, joints]}
        if beside not in ("nothing", "nearest"):
            width = int(self._clips.table["width"].iloc[row])
            changed = transformed(keypoints, self._clips.layout, beside, self._length, width, self._filters)
            shown[BESIDE[beside].format(self._length)] = changed[:, joints]
        with mpl.rc_context({"text.parse_math": False}):
            return plots.animate(
                shown, layout, self._outputs / "figures" / f"{safe_name(id)}.gif", max(round(self._rate), 1)
            )

    def _describe(self, layout: str) -> dict[str, Any]:
        """The list of clips, as bytes for each column; and the choices of the controls."""
        table = self._clips.table
        split_names, ids = table["split"].unique().tolist(), table["id"].tolist()
        return {
            "viewer": f"miga-{uuid.uuid4().hex}",
            "ids": "\n".join(ids),
            "labels": _bytes(table["label"], "<i2"),
            "splits": _bytes(table["split"].map(split_names.index), "u1"),
            "frames": _bytes(table["frames"], "<i4"),
            "runs": [_columns(name, [of_run.get(id) for id in ids]) for name, of_run in self._runs.items()],
            "classes": list(self._clips.classes),
            "split_names": split_names,
            "layouts": [_sent(known, self._clips.layout) for known in self._layouts.values()],
            "shown": list(self._layouts).index(layout),
            "comparisons": [[key, text.format(self._length)] for key, text in BESIDE.items()],
            "rate": self._rate,
            "explains": self._saliency is not None,
            "videos": self._videos is not None,
            "colours": COLOURS,
            "heatmap": HEATMAP,
            "scale": [
                mpl.colors.to_hex(colour) for colour in mpl.colormaps["cividis"](np.linspace(0, 1, 16))
            ],
        }

    def _prepare(self, row: int, beside: str) -> dict[str, Any]:
        """One clip in the form that the browser takes, and the messages about it."""
        sent: dict[str, Any] = {"row": row, "requested": beside, "messages": list(self._notices)}
        sent |= {"main": None, "beside": None, "bars": None}
        if not len(self._clips):
            sent["messages"].append("There are no clips to show: the selection is empty.")
            return sent
        clip, keypoints = self._clips.table.iloc[row], self._clips[row]
        sent["bars"] = self._bars(clip["id"], int(clip["label"])) if self._runs else None
        if not len(keypoints):
            sent["messages"].append(f"Clip {clip['id']} has no frames: there is nothing to draw.")
            return sent
        if not (keypoints[..., 2] > 0).any():
            sent["messages"].append(
                f"Clip {clip['id']} has no person: no joint was found in any of its {len(keypoints)} frames."
            )
        sent["main"] = _figure(f"{clip['id']}: {self._name(row)}", keypoints)
        if self._recordings is not None:
            try:
                sent["around"] = self._around(clip["id"])
            except ValueError as error:
                sent["messages"].append(str(error))
        if beside == "nearest":
            if (other := self.nearest(row)) is None:
                sent["messages"].append(
                    "No clip of another class has enough joints in common with this one to be compared."
                )
            else:
                sent["beside"] = _figure(
                    f"nearest: {self._clips.table['id'].iloc[other]}, {self._name(other)}", self._clips[other]
                )
        elif beside == "denoised" and self._clips.denoised:
            sent["messages"].append(
                f"These clips are already denoised ({self._clips.denoised}): load them without `denoise` to compare."
            )
        elif beside != "nothing":
            changed = transformed(
                keypoints, self._clips.layout, beside, self._length, int(clip["width"]), self._filters
            )
            sent["beside"] = _figure(BESIDE[beside].format(self._length), changed)
            frames = np.arange(len(keypoints))
            sources = (
                alignment.source_frames(len(keypoints), self._length, beside)
                if beside in alignment.METHODS
                else frames
            )
            sent["beside"]["source"] = _bytes(sources, "<f4")
            if beside == "denoised":
                sent["beside"]["title"] += f": {self._filters}"
                sent["beside"]["filled"] = _bytes(
                    filled(keypoints, changed, self._clips.layout, self._filters), "u1"
                )
        return sent

    def _name(self, row: int) -> str:
        label = self._clips.table["label"].iloc[row]
        return self._clips.classes[label] if label >= 0 else "class unknown"

    def _bars(self, id: str, label: int) -> list[dict[str, Any]]:
        """The five most probable classes of each run, and the true one if it is not among them; empty for a
        clip without prediction.

        They are in the order of the mean over the runs. A run without a prediction of the clip has None for
        probability and rank.
        """
        found = [of_run.get(id) for of_run in self._runs.values()]
        if not (present := [row for row in found if row is not None]):
            return []
        orders = [None if row is None else (-row).argsort(kind="stable").tolist() for row in found]
        top = {k for order in orders if order for k in order[:5]} | ({label} if label >= 0 else set())
        names = self._clips.classes
        return [
            {
                "name": names[k],
                "truth": k == label,
                "probabilities": [None if row is None else float(row[k]) for row in found],
                "ranks": [None if order is None else order.index(k) + 1 for order in orders],
            }
            for k in (-np.mean(present, axis=0)).argsort(kind="stable").tolist()
            if k in top
        ]

    def nearest(self, row: int) -> int | None:
        """The row of the clip of another known class with the most similar motion, see ``nearest``; None if
        there is none."""
        if self._poses is None:
            self._poses = poses(self._clips)
        labels = torch.tensor(self._clips.table["label"].to_numpy())
        return nearest(*self._poses, labels, row)

    def _ipython_display_(self) -> None:
        """Show the widget and, in an output of its own, what replaces it without a kernel; this is hidden
        where the widget is shown."""
        widget, metadata = super()._repr_mimebundle_() or ({}, {})
        display(widget | {"text/plain": ""}, metadata=metadata, raw=True)
        display(self.standalone(), raw=True)

    def standalone(self) -> dict[str, str]:
        """By mime type: a page that plays without a kernel, a still picture, and a line of text."""
        picture = base64.b64encode(self._still()).decode()
        return {"text/html": self._page(picture), "image/png": picture, "text/plain": repr(self)}

    def __repr__(self) -> str:
        shown = self._clip["main"]["title"] if self._clip["main"] else "nothing"
        return f"SkeletonViewer of {len(self._clips)} clips, showing {shown}"

    def _still(self) -> bytes:
        """Frames of the clip that is shown, and the messages about it, as a png file."""
        keypoints = self._clips[self._choice["row"]] if self._clip["main"] else np.zeros((0, 0, 3))
        figure = Figure(figsize=(8.3, 2.3 if len(keypoints) else 0.8), layout="constrained")
        figure.suptitle("\n".join([repr(self), *self._clip["messages"]]), fontsize=9)
        if len(keypoints):
            chosen = np.unique(np.linspace(0, len(keypoints) - 1, 6).round().astype(int))
            axes = figure.subplots(1, len(chosen), sharex=True, sharey=True, squeeze=False)[0]
            for ax, t in zip(axes, chosen, strict=True):
                if (keypoints[t, :, 2] > 0).any():
                    plots.skeleton(keypoints[t], self._clips.layout, ax)
                ax.set_title(f"frame {t + 1}", fontsize=9)
                ax.set_axis_off()
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100)
        return file.getvalue()

    def _page(self, picture: str) -> str:
        """HTML of the picture, and a script that replaces it by the viewer where scripts run."""
        state = {name: getattr(self, name) for name in ("_list", "_choice", "_clip", "_notes", "_used")} | {
            "css": str(self._css)
        }
        kept = {row: self._prepare(row, self._choice["beside"]) for row in self._kept_rows}
        state["_kept"] = kept | {self._clip["row"]: self._clip}
        content = json.dumps(state, default=lambda raw: {"base64": base64.b64encode(raw).decode()}).replace(
            "<", "\\u003c"
        )
        place = f"miga-{uuid.uuid4().hex}"
        image = f'<img src="data:image/png;base64,{picture}" alt="{html.escape(repr(self))}" style="max-width: 100%">'
        start = f'{self._esm}\nplayUnlessLive("{place}");'
        return (
            f'<div id="{place}" class="{self._list["viewer"]}">{image}</div>'
            f'<script type="application/json" id="{place}-state">{content}</script><script type="module">{start}</script>'
        )


def save_page(path: str | Path, clips: Clips, predictions: Any = (), **arguments: Any) -> Path:
    """Write a viewer of some clips as one HTML file, which opens in any browser without a kernel or network.
    Returns its path.

    Args:
        path: made with its folder, or replaced.
        clips: at most ``MOST_ON_PAGE``; ``clips.where`` chooses some. All of them are in the file.
        predictions, arguments: of ``SkeletonViewer``.

    Raises:
        ValueError: no clips, more than a page can have, or what ``SkeletonViewer`` refuses.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if not 1 <= len(clips) <= MOST_ON_PAGE:
        raise ValueError(
            f"{path}: a page has 1 to {MOST_ON_PAGE} clips, got {len(clips)}; choose some with `clips.where`"
        )
    viewer = SkeletonViewer(clips, predictions, kept=range(len(clips)), **arguments)
    page = viewer.standalone()["text/html"]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(path.stem)}</title>'
    with atomic.file(path) as unfinished:
        unfinished.write_text(
            f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{page}</body></html>', encoding="utf-8"
        )
    return path


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


def available_layouts(source: Layout) -> list[Layout]:
    """The layouts whose joints ``source`` has, fewest joints first."""
    targets = [layouts.get(name) for name in layouts.names() if name != source.name]
    targets = [target for target in targets if set(target.joints) <= set(source.joints)] + [source]
    return sorted(targets, key=lambda target: len(target.joints))


def views(layout: Layout) -> dict[str, list[int]]:
    """The joints of each close-up: the face, the hands, then the other regions of the layout that have two
    joints or more."""
    face = [v for region in FACE for v in layout.regions.get(region, ())]
    hands = {region: layout.regions.get(region, ()) for region in ("left_hand", "right_hand")}
    others = {region: members for region, members in layout.regions.items() if region not in FACE}
    found = {"face": face} | hands | others
    return {
        name.replace("_", " "): list(members)
        for name, members in found.items()
        if 1 < len(members) < len(layout.joints)
    }


def _sent(layout: Layout, source: Layout) -> dict[str, Any]:
    """A layout in the form that the browser takes."""
    return {
        "name": layout.name,
        "joints": list(layout.joints),
        "rows": layouts.selection(source, layout).tolist(),
        "limbs": [list(limb) for limb in layout.limbs],
        "sides": [
            side if side in ("left", "right") else "middle"
            for side in (joint.partition("_")[0] for joint in layout.joints)
        ],
        "views": [[name, members] for name, members in views(layout).items()],
    }


def motion(keypoints: np.ndarray) -> float:
    """How far a joint of a clip, (T, V, 3), moves in all, averaged over the joints, in units of the clip's
    extent; 0 without motion."""
    places, present = keypoints[..., :2], keypoints[..., 2] > 0
    both = present[1:] & present[:-1]
    if not both.any():
        return 0.0
    extent = np.ptp(places[present], axis=0).max()
    return float(
        np.linalg.norm(np.diff(places, axis=0), axis=-1)[both].sum() / keypoints.shape[1] / max(extent, 1e-6)
    )


def transformed(
    keypoints: np.ndarray, layout: Layout, method: str, length: int, width: int, filters: str
) -> np.ndarray:
    """A clip (T, V, 3), mirrored in a video ``width`` px wide, denoised, or aligned to ``length`` frames by a
    method without randomness."""
    given = torch.tensor(keypoints)
    if method == "mirrored":
        return augmentation.flip(given[None], layout, torch.tensor([True]), width)[0].numpy()
    starts, frames = torch.tensor([0]), torch.tensor([len(given)])
    if method == "denoised":
        return denoising.denoise(given, frames, filters, layout).numpy()
    return alignment.resample(given, starts, frames, length, method)[0].numpy()


def filled(keypoints: np.ndarray, denoised: np.ndarray, layout: Layout, filters: str) -> np.ndarray:
    """Whether the filters gave a joint its place in a frame, (T, V): it was missing there, or an outlier.

    Scores of present joints change only there, and where left and right were exchanged.
    """
    swaps = "swaps" if "swaps" in filters.split("+") else ""
    before = transformed(keypoints, layout, "denoised", len(keypoints), 1, swaps)
    return (denoised[..., 2] > 0) & (denoised[..., 2] != before[..., 2])


def poses(clips: Clips, frames: int = 16) -> tuple[Float[Tensor, "N D 2"], Bool[Tensor, "N D"]]:
    """Each clip as D = frames × joints positions, aligned, centred and scaled to a spread of 1; and which of
    them were found.

    If the layout has the 22 joints of ``imigue22`` (body and fingertips), only these are used.
    """
    body = layouts.get("imigue22")
    joints = (
        layouts.selection(clips.layout, body)
        if set(body.joints) <= set(clips.layout.joints)
        else np.arange(len(clips.layout.joints))
    )
    nothing, chunks = np.zeros((1, len(joints), 3), np.float32), []
    for rows in torch.arange(len(clips)).split(512):
        given = [clip if len(clip := clips[row][:, joints]) else nothing for row in rows.tolist()]
        lengths = torch.tensor([len(clip) for clip in given])
        chunks.append(
            alignment.resample(
                torch.tensor(np.concatenate(given)), lengths.cumsum(0) - lengths, lengths, frames
            )
        )
    aligned = torch.cat(chunks)
    places, present = aligned[..., :2].flatten(1, 2), aligned[..., 2].flatten(1) > 0
    found = present[..., None]
    count = found.sum(1, keepdim=True).clamp(min=1)
    places = (places - (places * found).sum(1, keepdim=True) / count) * found
    spread = (places.square().sum((1, 2), keepdim=True) / count).sqrt()
    return places / spread.clamp(min=1e-6), present


def nearest(
    places: Float[Tensor, "N D 2"], present: Bool[Tensor, "N D"], labels: Int[Tensor, " N"], row: int
) -> int | None:
    """The row with another known label whose positions, from ``poses``, have the smallest mean squared
    distance to those of this row.

    The mean is over the positions found in both rows. These must be more than half of this row's; None if no
    row has so many.
    """
    both = present & present[row]
    apart = ((places - places[row]).square().sum(-1) * both).sum(1) / both.sum(1)
    possible = (labels >= 0) & (labels != labels[row]) & (both.sum(1) > present[row].sum() / 2)
    return int(apart.where(possible, torch.inf).argmin()) if possible.any() else None


def _figure(title: str, keypoints: np.ndarray) -> dict[str, Any]:
    return {"title": title, "frames": len(keypoints), "keypoints": _bytes(keypoints, "<f4")}


def _columns(name: str, rows: Sequence[np.ndarray | None]) -> dict[str, Any]:
    """The predicted class of each clip by a run, and its probability; −1 and 0 where there is no
    prediction."""
    predicted = [-1 if row is None else int(row.argmax()) for row in rows]
    confidence = [0.0 if row is None else float(row.max()) for row in rows]
    return {"name": name, "predicted": _bytes(predicted, "<i2"), "confidence": _bytes(confidence, "<f8")}


def _bytes(numbers: object, kind: str) -> bytes:
    return np.ascontiguousarray(numbers, dtype=kind).tobytes()
