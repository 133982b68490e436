"""Spotting: finding gestures in whole videos.

Windows of a video → posteriors of each frame, by a run that knows class *no gesture* (here); posteriors →
segments (``decoding``); the choices, made on validation videos (``search``); scores of segments
(``scoring``).
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from .. import atomic, labels, no_gesture
from ..clips import Clips, Recordings, load_recordings, outputs_folder
from ..labels import NO_GESTURE
from ..predictions import Predictions
from ..readers import Progress
from ..runs import RESULT, find_run, read_json, run_result, runs_table, stored_settings
from ..settings import Settings
from ..training import windows
from . import decoding, scoring


def find_runs(names: Sequence[str], outputs: str | Path = "") -> list[Path]:
    """The folders of some runs, by names or paths; without names, of the newest finished run that knows *no
    gesture*.

    Raises:
        ValueError: a run is not finished or does not know *no gesture*; or there is none.
    """
    every = runs_table(outputs)
    known = (
        every.loc[(every["state"] == "finished") & (every["no_gesture_ratio"] > 0), "run"].tolist()
        if "no_gesture_ratio" in every
        else []
    )
    if not names and not known:
        raise ValueError(
            f"{outputs_folder(outputs) / 'runs'}: no finished run knows {NO_GESTURE!r}; train one with 04_train -p no_gesture_ratio 1"
        )
    folders = [find_run(name, outputs) for name in names or known[:1]]
    for folder in folders:
        if read_json(folder / RESULT).get("data", {}).get("classes", [])[-1:] != [NO_GESTURE]:
            way_out = f"train one with 04_train -p no_gesture_ratio 1, or give one of {', '.join(known[:4]) or 'those'}"
            raise ValueError(f"{folder}: must be a run (no ensemble) that knows {NO_GESTURE!r}; {way_out}")
    return folders


def load(
    source: str | Path, folders: Sequence[Path], outputs: str | Path = "", progress: Progress | None = None
) -> Recordings:
    """The recordings of a source in the joints and the splits of some runs.

    Raises:
        ValueError: a run has other joints than the first, or was trained on other classes; or as
            ``clips.load_recordings`` does.
    """
    of_runs = [run_result(folder) for folder in folders]
    chosen = [
        stored_settings(folder, about["settings"]) for folder, about in zip(folders, of_runs, strict=True)
    ]
    recordings = load_recordings(source, outputs=outputs, progress=progress, **chosen[0].recording_arguments)
    for folder, settings, about in zip(folders, chosen, of_runs, strict=True):
        if settings.skeleton.joints != chosen[0].skeleton.joints:
            both = f"{settings.layout!r} and {folders[0].name} those of {chosen[0].layout!r}"
            raise ValueError(f"{folder}: has the joints of {both}; give runs of one layout")
        if (known := about["data"]["classes"][:-1]) != list(recordings.classes):
            shown = f"{len(known)} classes such as {known[0]!r:.60}, the recordings {len(recordings.classes)} such as"
            raise ValueError(
                f"{folder}: knows {shown} {recordings.classes[0]!r:.60}; give recordings of the data that it was trained on"
            )
    return recordings


def true_segments(recordings: Recordings) -> pd.DataFrame:
    """The segments of known class, see ``scoring``. Raises ValueError where there are none."""
    known = recordings.segments[recordings.segments["label"] >= 0].reset_index(drop=True)
    if known.empty:
        raise ValueError(
            f"none of the {len(recordings)} recordings has a gesture of known class, so nothing can be chosen or scored on them"
        )
    return known


def durations(recordings: Recordings) -> np.ndarray:
    """``decoding.log_durations`` of the gestures of recordings and of the gaps between them, up to the
    longest of both."""
    known, of_video = (
        true_segments(recordings),
        dict(iter(recordings.segments.groupby("video")[["first", "last"]])),
    )
    parts = [
        no_gesture.between(of_video[video].to_numpy(), frames)
        for video, frames in _sizes(recordings)
        if video in of_video
    ]
    nothing = np.concatenate([last - first + 1 for first, last in parts])
    frames = known["last"] - known["first"] + 1
    lengths = [frames[known["label"] == label].to_numpy() for label in range(len(recordings.classes))]
    return decoding.log_durations([*lengths, nothing], int(max(frames.max(), nothing.max(initial=1))))


def posteriors(
    networks: Sequence[tuple[nn.Module, Settings]], recordings: Recordings, length: int, stride: int
) -> dict[str, np.ndarray]:
    """The posteriors of each frame of each recording, (T, K + 1), by video: the mean over networks and the
    windows that cover the frame.

    A recording shorter than ``length`` is one window. Frames that only windows without any joint cover are
    *no gesture*.

    Args:
        networks: as ``training.load_model`` gives them, of ``find_runs``.
        length, stride: of the windows, see ``windows.places``.
    """
    found = {}
    for row, (video, frames) in enumerate(_sizes(recordings)):
        places, count = windows.places(frames, [length], stride), len(recordings.classes) + 1
        parts = [
            windows.predict(model, recordings[row], places, settings, count) for model, settings in networks
        ]
        found[video] = windows.of_frames(frames, places, np.mean(parts, axis=0))
        found[video][:, -1] += 1 - found[video].sum(1)
    return found


def notes(recordings: Recordings, lengths: Sequence[int]) -> list[str]:
    """Sentences on recordings in which less can be found: without any joint, or shorter than the longest
    window."""
    table = recordings.table
    empty, short = (
        table.loc[table["missing"] == 1, "video"],
        table.loc[table["frames"] < max(lengths), "video"],
    )
    found = {"have no person in any frame, so no gesture is found in them": empty}
    found[f"are shorter than a window of {max(lengths)} frames, so the whole video is the window"] = short
    return [
        f"{len(videos)} videos {what}: {', '.join(videos[:4])}{', …' * (len(videos) > 4)}"
        for what, videos in found.items()
        if len(videos)
    ]


def baselines(recordings: Recordings, test: Recordings, predicted: Predictions) -> dict[str, pd.DataFrame]:
    """Predictions to compare with: ``always``, without a network, and ``true bounds``, what perfect bounds
    would give.

    ``always``: the commonest class of the training recordings, in segments of the median length of their
    gestures, one after another through each test recording. ``true bounds``: the true segments with the most
    probable gesture of a run for their clips.

    Args:
        recordings: with the training split.
        test: those whose segments are predicted.
        predicted: of the clips of ``test``; the last class is *no gesture*.
    """
    known, cut = true_segments(recordings.split("train")), test.cut()
    length = int((known["last"] - known["first"] + 1).median())
    tiles = [
        (video, first, min(first + length, frames) - 1)
        for video, frames in _sizes(test)
        for first in range(0, frames, length)
    ]
    always = pd.DataFrame(tiles, columns=["video", "first", "last"]).assign(
        label=known["label"].mode()[0], probability=1.0
    )
    probabilities = predicted.of(cut.table["id"]).probabilities[:, :-1]
    exact = test.segments.assign(label=probabilities.argmax(1), probability=probabilities.max(1))
    return {"always": always, "true bounds": exact}


def _sizes(recordings: Recordings) -> list[tuple[str, int]]:
    """The video and the number of frames of each recording."""
    return list(recordings.table[["video", "frames"]].itertuples(index=False, name=None))


def as_clips(
    predicted: pd.DataFrame, recordings: Recordings, of_frames: Mapping[str, np.ndarray]
) -> tuple[Clips, Predictions]:
    """Predicted segments as clips, for the viewer: their label is the class of the true segment with the
    largest overlap, or *no gesture*.

    Args:
        of_frames: the posteriors of each recording; their means over the frames of a segment are its
            probabilities.
    """
    nothing, of_truth = len(recordings.classes), recordings.segments.groupby("video").indices
    label = np.full(len(predicted), nothing)
    for video, rows in predicted.groupby("video").indices.items():
        beside = recordings.segments.iloc[of_truth.get(video, [])]
        of_pair = np.concatenate(
            [np.full((1, len(rows)), 1e-9), scoring.overlap(beside, predicted.iloc[rows])]
        )
        label[rows] = np.append(nothing, beside["label"])[of_pair.argmax(0)]
    classes = (*recordings.classes, NO_GESTURE)
    found = replace(recordings, segments=predicted.assign(label=label), classes=classes)
    cut = (
        found.cut() if len(predicted) else found.where([]).cut()
    )  # recordings without segments are cut to whole videos
    spans = predicted[["video", "first", "last"]].itertuples(index=False, name=None)
    means = np.array([of_frames[video][first : last + 1].mean(0) for video, first, last in spans]).reshape(
        -1, len(classes)
    )
    return cut, Predictions(
        cut.table["id"].to_numpy(str), cut.table["label"].to_numpy(int), means, np.array(classes)
    )


def submission(predicted: pd.DataFrame, recordings: Recordings, folder: str | Path) -> Path:
    """Write the archive of the challenge's second track in 2023: for each recording
    ``Sequence<video>_prediction.csv``.

    Its rows are class (the number of label files), first and last frame, without a header, in time order.
    Whether 2023 wanted a header is not known to us, nor the columns of the single csv that later years ask
    for.

    Raises:
        ValueError: other classes than those of iMiGUE, which have no number in label files.
    """
    if tuple(recordings.classes) != labels.CLASSES:
        raise ValueError(
            f"the challenge has the 32 classes of iMiGUE, these recordings have {len(recordings.classes)} others; keep the csv"
        )
    path, ordered = Path(folder) / "spotting.zip", predicted.sort_values(["video", "first"], kind="stable")
    with atomic.file(path) as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for video in recordings.table["video"]:
            own = ordered.loc[ordered["video"] == video, ["label", "first", "last"]]
            text = own.assign(label=own["label"].map(labels.to_file)).to_csv(
                header=False, index=False, lineterminator="\n"
            )
            archive.writestr(f"Sequence{video}_prediction.csv", text)
    return path
