"""Trained runs on new data: gestures of whole recordings, or the classes of cut clips.

``python -m miga_lib.recognise <source> --runs a b`` writes a table, the probabilities of all classes, and a
page to look at.
"""

import argparse
import base64
import hashlib
import html
import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import nn

from . import atomic, detect, ensemble, metrics, plots, spotting, synthetic, threads, training, viewer
from .clips import (
    ASSUMED_FPS,
    Clips,
    Recordings,
    has_recordings,
    load,
    load_recordings,
    terminal,
    terminal_progress,
)
from .detect import pictures
from .ensemble import submissions
from .labels import CLASSES, MA52_CLASSES
from .predictions import Predictions
from .readers import UNKNOWN, DataError, Progress, Report, printable
from .runs import RESULT, find_run, newest_runs, read_json, run_result, safe_name
from .settings import Settings
from .sources import outputs_folder, place_of, places_of, reader_of, source_name
from .spotting import decoding, windows

COLUMNS = ("recording", "first_frame", "last_frame", "seconds", "class", "probability")
HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="miga_lib.recognise" content="{}">'
)
"""How a page begins: with a checksum of the table and the probabilities beside it."""
SUBMITTED = (CLASSES, MA52_CLASSES)
"""The classes of the challenges whose submissions are written."""
MAX_PLAYED, MAX_DRAWN = 24, 12
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
    posteriors: dict[str, Float[np.ndarray, "T K"]]
    """The probabilities in each frame of each recording, 0 where nobody is seen; empty for clips."""
    fps: dict[str, float]
    """Frames per second of each recording."""
    report: str
    recordings: Recordings | None = None
    """The recordings, whose segments are the rows of the table; None for clips."""


def videos(source: str | Path, outputs: str | Path = "") -> Path | None:
    """The source, if it is a video, or a folder with videos that no reader recognises; else None."""
    try:
        for place in places_of(source):
            reader_of(place_of(place, outputs))
    except DataError:
        with suppress(ValueError):
            pictures.find([Path(source).expanduser()])
            return Path(source).expanduser()
    return None


def detected(
    source: str | Path,
    outputs: str | Path = "",
    progress: Progress | None = None,
    report: Report | None = None,
) -> str | Path:
    """The source; of ``videos`` the folder of their joints, ``outputs/detected/<name>``, found once.

    Raises as ``detect.write`` does.
    """
    place = videos(source, outputs)
    if place is None:
        return source
    folder = outputs_folder(outputs) / "detected" / safe_name(place.name)
    for video in pictures.find([place]):
        for line in detect.write(video, folder, progress=progress or terminal_progress()):
            (report or Report()).note(line, video.name)
    return folder


def members(
    names: Sequence[str],
    outputs: str | Path = "",
    device: str = "auto",
    report: Report | None = None,
    data: str = "",
) -> list[Member]:
    """The networks of some runs and ensembles, by name or path; without names, of the run that was finished
    last, of those that were trained on ``data``, or, where there is none, of all.

    Each name has the same weight. The members of an ensemble have its weights and temperatures, the folds of
    a member equal weights.

    Raises:
        ValueError, FileNotFoundError: a run is not finished or not there, runs have different classes, or an
            ensemble has a file of scores.
    """
    folders = [find_run(name, outputs) for name in names] or newest_runs(1, outputs, source=data)
    networks: list[Member] = []
    for folder in folders:
        for run, weight, temperature in _parts(folder, report or Report()):
            classes = tuple(run_result(run)["data"]["classes"])
            first = networks[0].classes if networks else classes
            if classes != first:
                pairs = zip(first, classes, strict=False)
                differences = [f"{name!r} and {other!r}" for name, other in pairs if name != other]
                differences.append(f"{len(first)} and {len(classes)} classes")
                others = f"{networks[0].run.name} ({differences[0]:.100})"
                raise ValueError(f"{run}: has other classes than {others}; give runs of the same classes")
            model, settings = training.load_model(run, device)
            networks.append(Member(run, weight / len(folders), temperature, model, settings, classes))
    return networks


def origins(networks: Sequence[Member], data: str = "") -> list[str]:
    """What each run was trained on and how good it is there, in a sentence; with ``data``, what is to be
    recognised, also a warning where it was trained on others."""
    sentences = []
    for run in dict.fromkeys(network.run for network in networks):
        result = run_result(run)
        source = result.get("source") or "unknown data"
        top1 = metrics.percent(result["scores"]["val"]["top1"])
        clips = f"{result['train_clips']:,} clips of {source}"
        sentence = f"{run.name}: trained on {clips}, validation top-1 {top1}."
        if data and source != source_name(data):
            sentence += f" Not on {source_name(data)}: other people, another camera or another detector."
            if source in synthetic.SIZES:
                sentence += " Its clips are generated, so its answers on real recordings may mean nothing."
        sentences.append(sentence)
    return sentences


def _parts(folder: Path, report: Report) -> Iterator[tuple[Path, float, float]]:
    """Each run of a run or ensemble, its weight and its temperature."""
    result = read_json(folder / RESULT)
    if "members" not in result:
        yield folder, 1.0, 1.0
        return
    recipes = read_json(folder / RESULT, "members")["members"]
    runs = ensemble.group_folds([folder.parents[1] / "runs" / name for name in result.get("runs", [])])
    for name in recipes:
        if name not in runs:
            reason = "is no run here but scores of known clips; give the runs by name instead"
            raise ValueError(f"{folder}: its member {name!r:.100} {reason}")
    if result.get("adjustment"):
        report.note("ensembles whose adjustment for rare classes is not applied to new data", folder.name)
    weights = ensemble.shares([recipe["weight"] for recipe in recipes.values()], len(recipes))
    for (name, recipe), weight in zip(recipes.items(), weights.tolist(), strict=True):
        for run in runs[name] if weight else []:
            yield run, weight / len(runs[name]), float(recipe["temperature"])


def _fused(networks: Sequence[Member], parts: Sequence[np.ndarray]) -> np.ndarray:
    """The weighted mean of the probabilities (N, K) of members at their temperatures; 0 where nobody is
    seen."""
    total = np.zeros_like(parts[0])
    for member, probabilities in zip(networks, parts, strict=True):
        powers = probabilities ** (1 / member.temperature)
        total += member.weight * powers / np.maximum(powers.sum(1, keepdims=True), 1e-30)
    return total / np.maximum(total.sum(1, keepdims=True), 1e-30)


def recognise(
    source: str | Path,
    networks: Sequence[Member],
    outputs: str | Path = "",
    progress: Progress | None = None,
    report: Report | None = None,
    *,
    cut: bool = False,
    lengths: Sequence[int] = windows.LENGTHS,
    stride: int = windows.STRIDE,
    least: float | int = 0.0,
    fps: float | int = 0.0,
) -> Recognised:
    """The gestures of whole recordings: ``decoding.most_probable`` of ``windows.posteriors``. Or, with
    ``cut`` and of a source that has only clips, the classes of cut clips.

    Args:
        report: of ``members``; what is reported is added.
        lengths, stride: of the windows, in frames.
        least: the smallest probability of a row of the table.
        fps: see ``clips.load_recordings``.

    Raises:
        DataError, ValueError: as ``clips.load``, ``clips.load_recordings`` and ``windows.bounds`` do.
    """
    if not 0 <= least <= 1:
        raise ValueError(f"the least probability must be 0 to 1, got {least!r}")
    windows.bounds(1, lengths, stride)  # raises before anything is read
    report, progress = report or Report(), progress or terminal_progress()
    cut = cut or not has_recordings(source, outputs)
    loader = load if cut else partial(load_recordings, fps=float(fps))
    in_joints = cache(lambda layout, persons: loader(source, layout, outputs, progress, persons=persons))
    loaded: list[Any] = [in_joints(member.settings.layout, member.settings.persons) for member in networks]
    recordings = max(loaded, key=lambda clips: len(clips.layout.joints))  # which are shown
    if cut:
        return _in_clips(networks, loaded, recordings, report)
    classes, fuse = networks[0].classes, partial(_fused, networks)
    models = [(member.model, member.settings) for member in networks]
    posteriors = windows.posteriors(models, loaded, len(classes), lengths, stride, fuse, progress)
    spotting.note(recordings, min(lengths), report)
    segments = decoding.of_videos(posteriors, partial(decoding.most_probable, classes=classes))
    segments = segments[segments["probability"] >= least].reset_index(drop=True)
    clips, predictions = spotting.as_clips(segments, recordings, posteriors, classes)
    rates = dict(zip(recordings.table["id"], recordings.table["fps"], strict=True))
    first, names = segments["first"], predictions.classes[segments["label"]]
    seconds = first / segments["video"].map(rates).astype(float)
    values = [segments["video"], first, segments["last"], seconds, names, segments["probability"]]
    table = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
    shown = replace(recordings, segments=segments, classes=tuple(classes), class_regions=())
    return Recognised(table, clips, predictions, posteriors, rates, _joined(recordings.report, report), shown)


def _in_clips(
    networks: Sequence[Member], loaded: Sequence[Clips], shown: Clips, report: Report
) -> Recognised:
    """The classes of cut clips. Labels of classes that the runs know, by name, are kept; all others become
    unknown."""
    classes, parts = networks[0].classes, []
    for member, clips in zip(networks, loaded, strict=True):
        labelled = _labelled(clips, classes, Report())
        parts.append(training.predict(member.model, labelled, member.settings).probabilities)
    clips, probabilities = _labelled(shown, classes, report), _fused(networks, parts)
    ids, labels, frames = (clips.table[name].to_numpy() for name in ("id", "label", "frames"))
    predictions = Predictions(ids.astype(str), labels, probabilities, np.array(classes))
    for id in ids[clips.table["missing"] == 1]:
        report.note("clips without any joint: not in the table", id)
    rows = np.flatnonzero(clips.table["missing"] < 1)
    best = predictions.predicted[rows]
    values = [ids[rows], 0, frames[rows] - 1, np.nan, predictions.classes[best], probabilities[rows, best]]
    table = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
    return Recognised(table, clips, predictions, {}, {}, _joined(clips.report, report))


def _labelled(clips: Clips, classes: tuple[str, ...], report: Report) -> Clips:
    """The clips with the classes of a run."""
    index = {name: label for label, name in enumerate(classes)}
    new_labels = np.array([*(index.get(name, UNKNOWN) for name in clips.classes), UNKNOWN])
    labels = new_labels[clips.table["label"]]
    for label in sorted(set(clips.table["label"][labels < 0]) - {UNKNOWN}):
        report.note("classes of the data that the runs do not know: taken as unknown", clips.classes[label])
    return replace(clips, classes=classes, table=clips.table.assign(label=labels), class_regions=())


def _joined(text: str, report: Report) -> str:
    return f"{text}\n{report}" if report.events else text


def write(recognised: Recognised, out: Path) -> list[Path]:
    """Write the table (``out``, csv), and beside it the probabilities (npz), the page (html) and, of clips of
    a challenge, its submission (zip); gives their paths. What is in them: docs/recordings.md. They get their
    names when all of them are complete.

    Raises:
        ValueError: as ``require_own_files`` does.
        OSError: a file cannot be written.
    """
    paths, archive = require_own_files(out), submission(recognised)
    written = paths if archive else paths[:-1]
    with ExitStack() as stack:
        table, arrays, shown, *zipped = (stack.enter_context(atomic.file(path)) for path in written)
        table.write_text(recognised.table.to_csv(index=False, float_format="%.6g"), encoding="utf-8")
        if recognised.posteriors:
            videos, posteriors = zip(*recognised.posteriors.items(), strict=True)
            with arrays.open("wb") as file:
                np.savez_compressed(
                    file,
                    recordings=np.array(videos),
                    frames=np.array([len(of_frames) for of_frames in posteriors]),
                    fps=np.array([recognised.fps[video] for video in videos]),
                    classes=recognised.predictions.classes.astype(str),
                    probabilities=np.concatenate(posteriors).astype(np.float32),
                )
        else:
            recognised.predictions.save(arrays)
        for path in zipped:
            path.write_bytes(archive)
        if not archive:
            paths[-1].unlink(missing_ok=True)  # that of the result that is replaced
        head = HEAD.format(_checksum(table, arrays, *zipped))
        shown.write_text(head + page(recognised, out.stem), encoding="utf-8")
    return written


def annotate(recognised: Recognised, out: Path, media: Path | None = None) -> list[str]:
    """Write what was found in recordings as files of ELAN, see ``spotting.annotate``, into ``<out without
    .csv>/``. Nothing for clips."""
    if not recognised.posteriors:
        return []
    columns = ["recording", "first_frame", "last_frame", "class", "probability"]
    found = recognised.table[columns].set_axis(["video", "first", "last", "name", "probability"], axis=1)
    return spotting.annotate(found, recognised.fps, out.with_suffix(""), media)


def submission(recognised: Recognised) -> bytes:
    """The later form of the submission, see ``submissions.write_all``; empty where the classes or the ids are
    those of no challenge."""
    clips = recognised.predictions
    if recognised.posteriors or tuple(clips.classes) not in SUBMITTED:
        return b""
    with tempfile.TemporaryDirectory() as folder, suppress(ValueError):  # ids of another form
        *_, path = submissions.write_all(clips, folder, clips.ids.tolist()).values()
        return path.read_bytes()
    return b""


def require_own_files(out: Path) -> list[Path]:
    """The paths that ``write`` replaces. Raises ValueError where one of them is there, and they are not the
    files of an earlier result as it was written."""
    paths = [out, *map(out.with_suffix, (".npz", ".html", ".zip"))]
    there = [path for path in paths if os.path.lexists(path)]
    if there and not (all(path.is_file() for path in [*paths[:3], *there]) and _are_own(*paths)):
        reason = "is there, and is no part of a result of recognise as it was written"
        raise ValueError(f"{there[0]}: {reason}; give another name as `out`, or move the file away")
    return paths


def _are_own(table: Path, arrays: Path, page: Path, archive: Path) -> bool:
    zipped = [archive] if archive.exists() else []
    head = HEAD.format(_checksum(table, arrays, *zipped)).encode()
    with page.open("rb") as file:
        return file.read(len(head)) == head


def _checksum(*paths: Path) -> str:
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in paths]
    return hashlib.sha256(b"".join(digests)).hexdigest()


def page(recognised: Recognised, title: str) -> str:
    """A page that works offline, after its ``HEAD``: the table, the probabilities over time, and the most
    probable gestures to play."""
    clips, predictions, posteriors = recognised.clips, recognised.predictions, recognised.posteriors
    highest = predictions.probabilities.max(1, initial=0)
    order = np.sort((-highest).argsort(kind="stable")[:MAX_PLAYED])
    rates = set(recognised.fps.values())
    rate = rates.pop() if len(rates) == 1 else ASSUMED_FPS
    player = viewer.SkeletonViewer(clips, rate=rate)
    if len(order):
        player = viewer.SkeletonViewer(clips.where(order), predictions, kept=range(len(order)), rate=rate)
    parts = [
        f"<title>{html.escape(title)}</title>",
        "<style>body {font-family: sans-serif; max-width: 75em; margin: 1em auto; padding: 0 1em}</style>",
        f"</head><body><h1>{html.escape(title)}</h1>",
    ]
    if len(predictions) > len(order):
        parts.append(f"<p>The {len(order)} of {len(predictions)} with the highest probabilities.</p>")
    parts.append(player.standalone()["text/html"])
    parts.append(f"<h2>Gestures</h2>{plots.sortable(recognised.table, ['probability']).data}")
    drawn = list(posteriors)[:MAX_DRAWN]
    if drawn:
        parts.append("<h2>Probabilities over time</h2>")
    if len(drawn) < len(posteriors):
        parts.append(f"<p>{len(drawn)} of {len(posteriors)} recordings.</p>")
    parts += [_picture(posteriors[video], clips.classes, recognised.fps[video], video) for video in drawn]
    report = "<br>".join(html.escape(printable(line)) for line in recognised.report.split("\n"))
    return "".join([*parts, f"<h2>Report</h2><p>{report}</p></body></html>\n"])


def _picture(probabilities: np.ndarray, classes: Sequence[str], fps: float, video: str) -> str:
    """The probabilities of a recording over time, as an image in html."""
    file, figure = io.BytesIO(), Figure(figsize=(8.3, 2.8), layout="constrained")
    with mpl.rc_context({"text.parse_math": False}):
        plots.over_time(probabilities, classes, fps, video, figure.subplots())
        figure.savefig(file, format="png", dpi=200)
    picture = base64.b64encode(file.getvalue()).decode()
    description = f"probabilities over time of {html.escape(video)}"
    return f'<img src="data:image/png;base64,{picture}" alt="{description}" style="max-width: 100%">'


def accuracy(recognised: Recognised) -> str:
    """A sentence on the accuracy where some classes are known, else empty."""
    known = recognised.predictions.known()
    if not len(known):
        return ""
    return f"Top-1 on {len(known)} clips of known class: {metrics.percent(metrics.scores(known)['top1'])}."


def table_path(source: str | Path, out: str | Path = "", outputs: str | Path = "") -> Path:
    """Where the table is written: ``out``, or else ``outputs/recognised/<name of the source>.csv``. Raises
    ValueError where ``out`` does not end with ``.csv``, and as ``require_own_files`` does."""
    name = safe_name(source_name(source))
    path = Path(out or outputs_folder(outputs) / "recognised" / f"{name}.csv").expanduser()
    if path.suffix != ".csv":
        raise ValueError(f"{out}: the table is a csv file; give a name that ends with .csv")
    return require_own_files(path)[0]


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """``python -m miga_lib.recognise <source> --runs …``. Errors that a user can correct are one line."""
    name = "python -m miga_lib.recognise"
    parser = argparse.ArgumentParser(prog=name, description="Recognise gestures with trained runs.")
    add, lengths = parser.add_argument, list(windows.LENGTHS)
    add("source", help="recordings or clips of any known format, a synthetic set's name, or videos")
    add("--runs", nargs="+", default=[], help="runs or ensembles, averaged; default: the newest finished run")
    add("--out", default="", help="the table, a .csv file; default outputs/recognised/<source>.csv")
    add("--clips", action="store_true", help="the annotated clips, where the source has whole recordings")
    add("--lengths", nargs="+", type=int, default=lengths, help="of windows in frames, default %(default)s")
    add("--stride", type=int, default=windows.STRIDE, help="frames between windows, default %(default)s")
    add("--least", type=float, default=0.0, help="smallest probability in the table, default %(default)s")
    add("--fps", type=float, default=0.0, help="frames per second; default: of the source, or else 25")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:<number>")
    add("--outputs", default="", help="folder of runs and caches; empty: the repository's outputs/")
    given = parser.parse_args(arguments)
    threads.choose()
    try:
        report, out = Report(), table_path(given.source, given.out, given.outputs)
        networks = members(given.runs, given.outputs, given.device, report, given.source)
        print(*map(printable, origins(networks, given.source)), sep="\n")
        options = {option: getattr(given, option) for option in ("lengths", "stride", "least", "fps")}
        source = detected(given.source, given.outputs, None, report)
        recognised = recognise(source, networks, given.outputs, None, report, cut=given.clips, **options)
        paths = write(recognised, out)
        lines = [*recognised.report.split("\n"), *map(str, paths)]
        lines += annotate(recognised, out, videos(given.source, given.outputs))
        if not recognised.posteriors and paths[-1].suffix != ".zip":
            lines.append("No submission: the classes or the ids of the clips are those of no challenge.")
        print(*map(printable, lines), sep="\n")
        runs = ", ".join(member.run.name for member in networks)
        print(printable(accuracy(recognised) or f"{len(recognised.table)} rows by {runs}"))
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        raise SystemExit(f"{name}: {error}") from None


if __name__ == "__main__":
    main()
