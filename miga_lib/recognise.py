"""Trained runs on new data: gestures of whole recordings, or the classes of cut clips.

``python -m miga_lib.recognise <source> --runs a b`` writes a table, the probabilities of all classes, and a
page to look at.
"""

import argparse
import base64
import html
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import nn

from . import atomic, ensemble, metrics, plots, training, viewer
from .clips import (
    ASSUMED_FPS,
    Clips,
    Recordings,
    has_recordings,
    load,
    load_recordings,
    outputs_folder,
    terminal,
    terminal_progress,
)
from .labels import NO_GESTURE
from .predictions import Predictions
from .readers import UNKNOWN, Progress, Report
from .runs import RESULT, find_run, newest_runs, read_json, run_result, safe_name
from .settings import Settings
from .training import windows

COLUMNS = ("recording", "first_frame", "last_frame", "seconds", "class", "probability")
MOST_PLAYED, MOST_DRAWN = 24, 12
"""How many of the most probable gestures can be played, and of how many recordings the probabilities are
drawn, in a page."""


@dataclass(frozen=True, eq=False)
class Member:
    """A network that takes part, with its weight among all (their sum is 1) and its temperature."""

    run: Path
    weight: float
    temperature: float
    model: nn.Module
    settings: Settings
    classes: tuple[str, ...]

    def scaled(self, probabilities: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
        """Its share of the sum over all members."""
        powers = probabilities ** (1 / self.temperature)
        return self.weight * powers / np.maximum(powers.sum(1, keepdims=True), 1e-30)


@dataclass(frozen=True, eq=False)
class Recognised:
    """What was recognised.

    ``table`` has ``COLUMNS``: the recording (or the id of a clip), its first and last frame counted from 0
    (of a clip: all of it), the time of the first frame in seconds (unknown for clips), the most probable
    class and its probability (its mean over these frames).
    """

    table: pd.DataFrame
    clips: Clips
    """The clip of each row of the table; where no gesture was found, the recordings."""
    predictions: Predictions
    """The probabilities of each clip."""
    of_frames: dict[str, Float[np.ndarray, "T K"]]
    """The probabilities in each frame of each recording, 0 where nobody is seen; empty for clips."""
    fps: dict[str, float]
    """Frames per second of each recording."""
    report: str


def members(
    names: Sequence[str], outputs: str | Path = "", device: str = "auto", report: Report | None = None
) -> list[Member]:
    """The networks of some runs and ensembles, by name or path; without names, of the newest finished run.

    Each name has the same weight. The members of an ensemble have its weights and temperatures, the folds of
    a member equal weights.

    Raises:
        ValueError: a name that is not of a finished run or ensemble, runs of different classes, or an
            ensemble with a file of scores.
        FileNotFoundError: there is no finished run, or a run of an ensemble is not there any more.
    """
    folders = [find_run(name, outputs) for name in names] or newest_runs(1, outputs)
    found: list[Member] = []
    for folder in folders:
        for run, weight, temperature in _parts(folder, report or Report()):
            classes = run_result(run)["data"]["classes"]
            if found and list(found[0].classes) != classes:
                pairs = zip(found[0].classes, classes, strict=False)
                other = next((f"{one!r} and {another!r}" for one, another in pairs if one != another), "")
                what = other or f"{len(found[0].classes)} and {len(classes)} classes"
                raise ValueError(
                    f"{run}: has other classes than {found[0].run.name} ({what:.100}); give runs of the same classes"
                )
            found.append(
                Member(
                    run, weight / len(folders), temperature, *training.load_model(run, device), tuple(classes)
                )
            )
    return found


def _parts(folder: Path, report: Report) -> Iterator[tuple[Path, float, float]]:
    """Each run of a run or ensemble, its weight and its temperature."""
    about = read_json(folder / RESULT)
    if "members" not in about:
        yield folder, 1.0, 1.0
        return
    given = read_json(folder / RESULT, "members")["members"]
    of_members = ensemble.group_folds([folder.parents[1] / "runs" / name for name in about.get("runs", [])])
    if scores := [name for name in given if name not in of_members]:
        raise ValueError(
            f"{folder}: its member {scores[0]!r:.100} is no run here but scores of known clips; give the runs by name instead"
        )
    if about.get("adjustment"):
        report.note("ensembles whose adjustment for rare classes is not applied to new data", folder.name)
    parts = ensemble.shares([member["weight"] for member in given.values()], len(given))
    for (name, member), part in zip(given.items(), parts, strict=True):
        for run in of_members[name] if part else []:
            yield run, float(part) / len(of_members[name]), float(member["temperature"])


def clips(
    source: str | Path, by: Sequence[Member], outputs: str | Path = "", progress: Progress | None = None
) -> Recognised:
    """The classes of cut clips. Labels of classes that the runs know, by name, are kept; all others become
    unknown.

    Raises:
        DataError: as ``clips.load`` does.
    """
    report = Report()
    given = _loaded(by, load, source, outputs, progress)
    loaded = [_labelled(one, by[0].classes, Report()) for one in given]
    parts = [
        m.scaled(training.predict(m.model, one, m.settings).probabilities)
        for m, one in zip(by, loaded, strict=True)
    ]
    every = _labelled(max(given, key=_joints), by[0].classes, report)
    total = np.sum(parts, axis=0)
    table, probabilities = every.table, total / total.sum(1, keepdims=True)
    predicted = Predictions(
        table["id"].to_numpy(str), table["label"].to_numpy(), probabilities, np.array(every.classes)
    )
    rows = np.flatnonzero(table["missing"] < 1)
    for id in table["id"][table["missing"] == 1]:
        report.note("clips without any joint: not in the table", id)
    best = predicted.predicted[rows]
    values = [
        table["id"].iloc[rows],
        0,
        table["frames"].iloc[rows] - 1,
        np.nan,
        predicted.classes[best],
        probabilities[rows, best],
    ]
    shown = pd.DataFrame(dict(zip(COLUMNS, values, strict=True))).reset_index(drop=True)
    return Recognised(shown, every, predicted, {}, {}, _joined(every.report, report))


def _loaded(by: Sequence[Member], load: Callable[..., Any], *arguments: Any, **options: Any) -> list[Any]:
    """The data in the joints of each member; those of members with the same joints are loaded once."""
    loaded: dict[Any, Any] = {}
    for member in by:
        asked = {"layout": member.settings.layout, "persons": member.settings.persons}
        if (key := tuple(asked.values())) not in loaded:
            loaded[key] = load(
                *arguments[:1], outputs=arguments[1], progress=arguments[2], **asked, **options
            )
    return [loaded[member.settings.layout, member.settings.persons] for member in by]


def _joints(data: Clips) -> int:
    return len(data.layout.joints)


def _labelled(data: Clips, classes: tuple[str, ...], report: Report) -> Clips:
    """The clips with the classes of a run."""
    index = {name: k for k, name in enumerate(classes)}
    known = np.array([*(index.get(name, UNKNOWN) for name in data.classes), UNKNOWN])
    labels = known[data.table["label"]]
    for label in sorted(set(data.table["label"][labels < 0]) - {UNKNOWN}):
        report.note("classes of the data that the runs do not know: taken as unknown", data.classes[label])
    return replace(data, classes=classes, table=data.table.assign(label=labels), class_regions=())


def recordings(
    source: str | Path,
    by: Sequence[Member],
    outputs: str | Path = "",
    progress: Progress | None = None,
    *,
    lengths: Sequence[int] = windows.LENGTHS,
    stride: int = windows.STRIDE,
    least: float | int = 0.0,
    fps: float | int = 0.0,
) -> Recognised:
    """The gestures of whole recordings: frames in a row with the same most probable class, by the mean over
    the windows of each frame.

    Frames without a person have no gesture, nor have frames of class *no gesture*, which only some runs know.

    Args:
        lengths, stride: of the windows, in frames.
        least: the smallest probability of a row of the table.
        fps: see ``clips.load_recordings``.

    Raises:
        DataError, ValueError: as ``clips.load_recordings`` and ``windows.places`` do.
    """
    if not 0 <= least <= 1:
        raise ValueError(f"the least probability must be 0 to 1, got {least!r}")
    windows.places(1, lengths, stride)  # raises before anything is read
    report, loaded = Report(), _loaded(by, load_recordings, source, outputs, progress, fps=float(fps))
    every = max(loaded, key=_joints)
    of_frames, rates = {}, dict(zip(every.table["id"], every.table["fps"], strict=True))
    numbers = range(len(every))
    for i in (progress or terminal_progress())(numbers, total=len(every), desc="recognising"):
        video, frames = every.table["id"].iloc[i], int(every.table["frames"].iloc[i])
        places, keypoints = windows.places(frames, lengths, stride), [one[i] for one in loaded]
        parts = [
            m.scaled(windows.predict(m.model, x, places, m.settings, len(m.classes)))
            for m, x in zip(by, keypoints, strict=True)
        ]
        total = np.sum(parts, axis=0)
        fused = total / np.maximum(total.sum(1, keepdims=True), 1e-30)  # where some members see nobody
        of_frames[video] = windows.of_frames(frames, places, fused)
        _note(video, every[i], rates[video], min(lengths), report)
    rows, means = _gestures(of_frames, by[0].classes, least)
    return _of_rows(every, rows, means, by[0].classes, of_frames, rates, _joined(every.report, report))


def _note(video: str, keypoints: np.ndarray, fps: float, shortest: int, report: Report) -> None:
    """Report a recording that is shorter than every window, has nobody in it, or in some of its frames."""
    seen = np.asarray((keypoints[..., 2] > 0).any(1))
    if len(seen) < shortest:
        report.note(
            f"recordings shorter than {shortest} frames, the shortest window: taken as one window",
            f"{video} ({len(seen)})",
        )
    if not seen.any():
        report.note("recordings without any joint: no gesture", video)
    elif not seen.all():
        seconds = (np.diff(np.flatnonzero(np.concatenate([[True], seen, [True]]))).max() - 1) / fps
        where = f"{video} ({(~seen).sum()} of {len(seen)}, at most {seconds:.1f} s in a row)"
        report.note("recordings with frames without a person", where)


def _gestures(
    of_frames: dict[str, np.ndarray], classes: Sequence[str], least: float
) -> tuple[list[tuple[str, int, int, int]], list[np.ndarray]]:
    """Video, class, first and last frame of each gesture, and the mean probabilities of all classes in it."""
    rows, means = [], []
    for video, probabilities in of_frames.items():
        best = np.where(probabilities.any(1), probabilities.argmax(1), UNKNOWN)
        begins = np.flatnonzero(np.diff(best, prepend=UNKNOWN - 1))
        for first, last in zip(begins, [*(begins[1:] - 1), len(best) - 1], strict=True):
            mean = probabilities[first : last + 1].mean(0)
            if best[first] != UNKNOWN and classes[best[first]] != NO_GESTURE and mean[best[first]] >= least:
                rows.append((video, int(best[first]), int(first), int(last)))
                means.append(mean)
    return rows, means


def _of_rows(
    every: Recordings,
    rows: list[Any],
    means: list[np.ndarray],
    classes: tuple[str, ...],
    of_frames: Any,
    rates: Any,
    report: str,
) -> Recognised:
    found = pd.DataFrame(rows, columns=["video", "label", "first", "last"]).astype(
        {"label": int, "first": int, "last": int}
    )
    unlabelled = replace(every, classes=classes, class_regions=(), segments=found.assign(label=UNKNOWN))
    shown = unlabelled.cut()
    probabilities = np.array(means).reshape(len(rows), len(classes))
    best = found["label"].to_numpy()
    values = [
        found["video"],
        found["first"],
        found["last"],
        found["first"] / found["video"].map(rates).astype(float),
    ]
    values += [np.array(classes)[best], probabilities[np.arange(len(best)), best]]
    ids = shown.table["id"].to_numpy(str)[: len(rows)]
    predicted = Predictions(ids, np.full(len(rows), UNKNOWN), probabilities, np.array(classes))
    return Recognised(
        pd.DataFrame(dict(zip(COLUMNS, values, strict=True))), shown, predicted, of_frames, rates, report
    )


def _joined(text: str, report: Report) -> str:
    return f"{text}\n{report}" if report.events else text


def write(found: Recognised, out: Path) -> list[Path]:
    """Write the table (``out``, csv), the probabilities (npz) and the page (html) beside it; gives their
    paths.

    The npz file loads without pickle. Of clips it is a file of ``predictions``. Of recordings it has
    ``recordings``, ``frames`` and ``fps`` of each recording, ``classes`` (K,), and ``probabilities``, (sum of
    frames, K) float32, one recording after the other.

    Raises:
        OSError: a file cannot be written.
    """
    paths = [out, out.with_suffix(".npz"), out.with_suffix(".html")]
    atomic.write_text(out, found.table.to_csv(index=False, float_format="%.6g"))
    if found.of_frames:
        each = list(found.of_frames.values())
        with atomic.file(paths[1]) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(
                file,
                recordings=np.array(list(found.of_frames)),
                frames=np.array([len(one) for one in each]),
                fps=np.array([found.fps[video] for video in found.of_frames]),
                classes=found.predictions.classes.astype(str),
                probabilities=np.concatenate(each).astype(np.float32),
            )
    else:
        found.predictions.save(paths[1])
    atomic.write_text(paths[2], page(found, out.stem))
    return paths


def page(found: Recognised, title: str) -> str:
    """A page that works offline: the table, the probabilities over time, and the most probable gestures to
    play."""
    order = np.sort((-found.predictions.probabilities.max(1, initial=0)).argsort(kind="stable")[:MOST_PLAYED])
    several = len(found.predictions) > len(order)
    some = found.clips.where(order) if len(order) else found.clips
    kept = range(len(order))
    played = viewer.SkeletonViewer(
        some, found.predictions if len(order) else (), kept=kept, rate=_rate(found)
    )
    most = (
        f"<p>The {len(order)} of {len(found.predictions)} with the highest probabilities.</p>"
        if several
        else ""
    )
    videos = list(found.of_frames)[:MOST_DRAWN]
    drawn = [
        _picture(found.of_frames[video], found.clips.classes, found.fps[video], video) for video in videos
    ]
    few = (
        f"<p>{len(videos)} of {len(found.of_frames)} recordings.</p>"
        if len(videos) < len(found.of_frames)
        else ""
    )
    over_time = f"<h2>Probabilities over time</h2>{few}{''.join(drawn)}" if drawn else ""
    content = played.standalone()["text/html"]
    table = plots.sortable(found.table, ["probability"]).data
    report = "<br>".join(html.escape(line) for line in found.report.splitlines())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        "<style>body {font-family: sans-serif; max-width: 75em; margin: 1em auto; padding: 0 1em}</style></head>"
        f"<body><h1>{html.escape(title)}</h1>{most}{content}<h2>Gestures</h2>{table}{over_time}<h2>Report</h2><p>{report}</p></body></html>\n"
    )


def _rate(found: Recognised) -> float:
    rates = set(found.fps.values())
    return rates.pop() if len(rates) == 1 else ASSUMED_FPS


def _picture(probabilities: np.ndarray, classes: Sequence[str], fps: float, video: str) -> str:
    """The probabilities of a recording over time, as an image in html."""
    file, figure = io.BytesIO(), Figure(figsize=(8.3, 2.8), layout="constrained")
    with mpl.rc_context({"text.parse_math": False}):
        plots.over_time(probabilities, classes, fps, video, figure.subplots())
        figure.savefig(file, format="png", dpi=200)
    picture = base64.b64encode(file.getvalue()).decode()
    return f'<img src="data:image/png;base64,{picture}" alt="probabilities over time of {html.escape(video)}" style="max-width: 100%">'


def accuracy(found: Recognised) -> str:
    """A sentence on the accuracy where some classes are known, else empty."""
    known = found.predictions.known()
    return (
        f"Top-1 on {len(known)} clips of known class: {metrics.percent(metrics.scores(known)['top1'])}."
        if len(known)
        else ""
    )


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """``python -m miga_lib.recognise <source> --runs …``. Errors that a user can correct are one line."""
    parser = argparse.ArgumentParser(
        prog="python -m miga_lib.recognise", description="Recognise gestures with trained runs."
    )
    parser.add_argument(
        "source",
        help="recordings or clips: a folder or file of any known format, or the name of a synthetic set",
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        default=[],
        help="names of runs or ensembles, averaged; default: the newest finished run",
    )
    parser.add_argument(
        "--out", default="", help="the table, a .csv file; default outputs/recognised/<source>.csv"
    )
    parser.add_argument(
        "--clips", action="store_true", help="the annotated clips, where the source has whole recordings"
    )
    parser.add_argument(
        "--lengths",
        nargs="+",
        type=int,
        default=list(windows.LENGTHS),
        help="of windows in frames, default %(default)s",
    )
    parser.add_argument(
        "--stride", type=int, default=windows.STRIDE, help="frames between windows, default %(default)s"
    )
    parser.add_argument(
        "--least",
        type=float,
        default=0.0,
        help="smallest probability of a gesture in the table, default %(default)s",
    )
    parser.add_argument(
        "--fps", type=float, default=0.0, help="frames per second; default: of the source, or else 25"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<number>")
    parser.add_argument(
        "--outputs", default="", help="folder of runs and caches; empty: the repository's outputs/"
    )
    given = parser.parse_args(arguments)
    try:
        report = Report()
        out = place(given.source, given.out, given.outputs)
        by = members(given.runs, given.outputs, given.device, report)
        options = {name: getattr(given, name) for name in ("lengths", "stride", "least", "fps")}
        found = recognise(given.source, by, given.outputs, cut=given.clips, **options)
        print(_joined(found.report, report))
        for path in write(found, out):
            print(path)
        print(accuracy(found) or f"{len(found.table)} rows by {', '.join(member.run.name for member in by)}")
    except (ValueError, RuntimeError, OSError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from None


def recognise(
    source: str | Path,
    by: Sequence[Member],
    outputs: str | Path = "",
    progress: Progress | None = None,
    *,
    cut: bool = False,
    **options: Any,
) -> Recognised:
    """``recordings`` with their options where the source has whole videos, else, or with ``cut``,
    ``clips``."""
    if cut or not has_recordings(source, outputs):
        return clips(source, by, outputs, progress)
    return recordings(source, by, outputs, progress, **options)


def place(source: str | Path, out: str | Path = "", outputs: str | Path = "") -> Path:
    """Where the table is written: ``out``, or else ``outputs/recognised/<name of the source>.csv``.

    Raises:
        ValueError: ``out`` does not end with ``.csv``.
    """
    if str(out) and Path(out).suffix != ".csv":
        raise ValueError(f"{out}: the table is a csv file; give a name that ends with .csv")
    name = safe_name(Path(source).expanduser().resolve().name)
    return Path(out).expanduser() if str(out) else outputs_folder(outputs) / "recognised" / f"{name}.csv"


if __name__ == "__main__":
    main()
