"""Spotting: finding gestures in whole videos.

Windows of a video → posteriors of each frame, by trained networks (``windows``); posteriors → segments
(``decoding``); the choices, made on validation videos (``search``); scores of segments (``scoring``). Here:
the same for runs that know class *no gesture*, and what is made of the segments.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from .. import atomic, labels, no_gesture
from ..clips import Clips, Recordings, load_recordings
from ..detect import pictures
from ..labels import NO_GESTURE
from ..predictions import Predictions
from ..readers import UNKNOWN, Progress, Report, elan
from ..runs import RESULT, find_run, read_json, run_result, runs_table, stored_settings
from ..settings import Settings
from ..sources import outputs_folder
from . import decoding, scoring, windows


def find_runs(names: Sequence[str], outputs: str | Path = "") -> list[Path]:
    """The folders of some runs, by names or paths; without names, of the newest finished run that knows *no
    gesture*. Raises ValueError where a run is not finished or does not know it, or there is none."""
    table, runs = runs_table(outputs), []
    if "no_gesture_ratio" in table:
        runs = table.loc[(table["state"] == "finished") & (table["no_gesture_ratio"] > 0), "run"].tolist()
    way_out = """train one with 04_train -p more '{"no_gesture_ratio": 1}'"""
    if not names and not runs:
        folder = outputs_folder(outputs) / "runs"
        raise ValueError(f"{folder}: no finished run knows {NO_GESTURE!r}; {way_out}")
    folders = [find_run(name, outputs) for name in names or runs[:1]]
    for folder in folders:
        classes = read_json(folder / RESULT).get("data", {}).get("classes", [])
        if NO_GESTURE not in classes[-1:]:
            way_out += f", or give one of {', '.join(runs[:4])}" if runs else ""
            raise ValueError(f"{folder}: must be a run (no ensemble) that knows {NO_GESTURE!r}; {way_out}")
    return folders


def load(
    source: str | Path, folders: Sequence[Path], outputs: str | Path = "", progress: Progress | None = None
) -> Recordings:
    """The recordings of a source in the joints and the splits of some runs. Raises ValueError where runs have
    different joints or were trained on other classes, or as ``clips.load_recordings`` does."""
    results = [run_result(folder) for folder in folders]
    settings = [stored_settings(run, about["settings"]) for run, about in zip(folders, results, strict=True)]
    first = settings[0]
    recordings = load_recordings(source, outputs=outputs, progress=progress, **first.recording_arguments)
    for folder, own, result in zip(folders, settings, results, strict=True):
        if own.skeleton.joints != first.skeleton.joints:
            layouts = f"{own.layout!r} and {folders[0].name} those of {first.layout!r}"
            raise ValueError(f"{folder}: has the joints of {layouts}; give runs of one layout")
        classes = result["data"]["classes"][:-1]
        if classes != list(recordings.classes):
            others = f"the recordings {len(recordings.classes)} such as {recordings.classes[0]!r:.60}"
            raise ValueError(
                f"{folder}: knows {len(classes)} classes such as {classes[0]!r:.60}, {others}; "
                "give recordings of the data that it was trained on"
            )
    return recordings


def true_segments(recordings: Recordings) -> pd.DataFrame:
    """The segments of known class, see ``scoring``. Raises ValueError where there are none."""
    segments = recordings.segments[recordings.segments["label"] >= 0].reset_index(drop=True)
    if segments.empty:
        raise ValueError(
            f"none of the {len(recordings)} recordings has a gesture of known class, "
            "so nothing can be chosen or scored on them"
        )
    return segments


def durations(recordings: Recordings) -> np.ndarray:
    """``decoding.log_durations`` of the gestures of recordings and of the gaps between them, up to the
    longest of both."""
    gestures = true_segments(recordings)
    of_video = dict(iter(recordings.segments.groupby("video")[["first", "last"]]))
    gaps = []
    for video, frames in zip(recordings.table["video"], recordings.table["frames"], strict=True):
        if video in of_video:
            first, last = no_gesture.between(of_video[video].to_numpy(), frames)
            gaps.append(last - first + 1)
    nothing = np.concatenate(gaps)
    lengths = gestures["last"] - gestures["first"] + 1
    by_class = [lengths[gestures["label"] == label].to_numpy() for label in range(len(recordings.classes))]
    longest = max(lengths.max(), nothing.max(initial=1))
    return decoding.log_durations([*by_class, nothing], int(longest))


def posteriors(
    networks: Sequence[tuple[nn.Module, Settings]], recordings: Recordings, length: int, stride: int
) -> dict[str, np.ndarray]:
    """``windows.posteriors`` of each recording, (T, K + 1), by video: the mean over networks. Frames that
    only windows without any joint cover are *no gesture*."""
    same, classes = [recordings] * len(networks), len(recordings.classes) + 1
    by_video = windows.posteriors(networks, same, classes, [length], stride, lambda of: np.mean(of, axis=0))
    for of_frames in by_video.values():
        of_frames[:, -1] += 1 - of_frames.sum(1)
    return by_video


def note(recordings: Recordings, length: int, report: Report) -> None:
    """Report the recordings in which less can be found: shorter than ``length``, the frames of a window, or
    without a person in some frames or all."""
    for row, (video, fps) in enumerate(zip(recordings.table["video"], recordings.table["fps"], strict=True)):
        seen = np.asarray((recordings[row][..., 2] > 0).any(1))
        if len(seen) < length:
            event = f"recordings shorter than a window of {length} frames: taken as one window"
            report.note(event, f"{video} ({len(seen)})")
        if not seen.any():
            report.note("recordings without any joint: no gesture", video)
        elif not seen.all():
            edges = np.flatnonzero(np.concatenate([[True], seen, [True]]))
            seconds = (np.diff(edges).max() - 1) / fps
            where = f"{video} ({(~seen).sum()} of {len(seen)}, at most {seconds:.1f} s in a row)"
            report.note("recordings with frames without a person", where)


def baselines(recordings: Recordings, test: Recordings, predicted: Predictions) -> dict[str, pd.DataFrame]:
    """Segments to compare with: ``always``, without a network, and ``true bounds``, what perfect bounds would
    give.

    ``always``: the commonest class of the training recordings, in segments of the median length of their
    gestures, one after another through each test recording. ``true bounds``: the true segments of ``test``
    with the most probable gesture that was predicted for their clips.
    """
    gestures = true_segments(recordings.split("train"))
    length = int((gestures["last"] - gestures["first"] + 1).median())
    tiles = []
    for video, frames in zip(test.table["video"], test.table["frames"], strict=True):
        for first in range(0, frames, length):
            tiles.append((video, first, min(first + length, frames) - 1))
    always = pd.DataFrame(tiles, columns=["video", "first", "last"])
    always = always.assign(label=gestures["label"].mode()[0], probability=1.0)
    probabilities = predicted.of(test.ids).probabilities[:, :-1]
    exact = test.segments.assign(label=probabilities.argmax(1), probability=probabilities.max(1))
    return {"always": always, "true bounds": exact}


def as_clips(
    segments: pd.DataFrame,
    recordings: Recordings,
    posteriors: Mapping[str, np.ndarray],
    classes: Sequence[str],
    truth: pd.DataFrame | None = None,
) -> tuple[Clips, Predictions]:
    """Segments as clips, for the viewer, with the mean posteriors of their frames as probabilities. Without
    segments the clips are the recordings.

    Args:
        posteriors: of each recording, by video; ``classes`` names their columns.
        truth: true segments: the label of a clip is the class of the one with the largest overlap, or else
            the last class. None: labels are unknown.
    """
    label = np.full(len(segments), UNKNOWN)
    if truth is not None:
        for rows, columns, iou, _ in scoring.by_video(truth, segments):
            candidates = np.append(len(classes) - 1, truth["label"].to_numpy()[rows])
            iou = np.concatenate([np.full((1, len(columns)), 1e-9), iou])
            label[columns] = candidates[iou.argmax(0)]
    labelled = segments.assign(label=label)
    if len(segments):
        recordings = recordings.where(recordings.table["video"].isin(segments["video"]))
    cut = replace(recordings, segments=labelled, classes=tuple(classes), class_regions=()).cut()
    spans = zip(segments["video"], segments["first"], segments["last"], strict=True)
    means = [posteriors[video][first : last + 1].mean(0) for video, first, last in spans]
    probabilities = np.array(means).reshape(-1, len(classes))
    ids = cut.table["id"].to_numpy(str)[: len(segments)]
    return cut, Predictions(ids, label, probabilities, np.array(classes))


def annotate(
    segments: pd.DataFrame, fps: Mapping[str, float], folder: Path, media: Path | None = None
) -> list[str]:
    """Write the segments of each video as a file of ELAN, ``<folder>/<video>.eaf``, to be corrected there,
    also where a video has none; a sentence for each. One that is there with other content stays.

    Args:
        segments: columns video, first and last (frames, inclusive), name (of the class) and probability.
        fps: frames per second of each video.
        media: the video, or a folder with the videos of these names, to be shown in ELAN.
    """
    files = {} if media is None else {path.stem: path for path in pictures.find([media])}
    sentences = []
    for video, rate in fps.items():
        # The file is found again by the name of the video.
        path, rows = folder / f"{Path(video).name}{elan.ENDING}", segments[segments["video"] == video]
        kept = "is there with other content, perhaps corrected, and stays; move it to get the new one"
        written = elan.write(path, rows, float(rate), files.get(video))
        sentences.append(str(path) if written else f"{path}: {kept}")
    return sentences


def submission(segments: pd.DataFrame, recordings: Recordings, folder: str | Path) -> Path:
    """Write the archive of the challenge's second track in 2023: for each recording
    ``Sequence<video>_prediction.csv``, with rows of class (the number of label files), first and last frame,
    in time order. Whether a header was wanted is not known to us.

    Raises ValueError for other classes than those of iMiGUE, which have no number in label files.
    """
    if tuple(recordings.classes) != labels.CLASSES:
        others = f"these recordings have {len(recordings.classes)} others"
        raise ValueError(f"the challenge has the 32 classes of iMiGUE, {others}; keep the csv")
    path, ordered = Path(folder) / "spotting.zip", segments.sort_values(["video", "first"], kind="stable")
    with atomic.file(path) as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for video in recordings.table["video"]:
            rows = ordered.loc[ordered["video"] == video, ["label", "first", "last"]]
            rows = rows.assign(label=rows["label"].map(labels.to_file))
            text = rows.to_csv(header=False, index=False, lineterminator="\n")
            archive.writestr(f"Sequence{video}_prediction.csv", text)
    return path
