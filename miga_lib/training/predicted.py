"""The predictions of a finished run for any clips: those that it stored, or else made now."""

from pathlib import Path
from typing import Any

import numpy as np

from .. import denoising, predictions
from ..clips import Clips
from ..predictions import Predictions
from ..readers import Progress, Report
from ..runs import identity, run_result, splits_of, stored_settings
from .networks import load_model, predict

CLIPS_AT_A_TIME = 256


def predictions_of(
    run: Path, clips: Clips, report: Report | None = None, progress: Progress | None = None
) -> Predictions:
    """The predictions of a finished run for some clips, with the labels of these clips.

    The predictions that training stored are used where they are of the same ids and keypoints. For other
    clips the network of the run makes them, and they are kept in the folder of the run.

    Args:
        clips: as ``clips.load`` gives them with the ``clip_arguments`` of the run's settings.
        report: gets a note on predictions that were made.

    Raises:
        ValueError: clips of other joints or classes than the run's, or clips that trained it.
        FileNotFoundError: the run is not finished.
    """
    report, result = report or Report(), run_result(run)
    _refuse_others(run, clips, result, report)
    now, ids = identity(clips), clips.table["id"].tolist()
    paths = [run / f"predicted-{now['ids']}-{now['keypoints']}.npz"]
    for split, stored in result["data"]["splits"].items():
        if all(stored[name] == now[name] for name in ("ids", "keypoints")):
            paths.insert(0, run / f"{split}.npz")
    for path in paths:
        if path.exists():
            try:
                return predictions.load(path).of(ids).labelled(clips.table["label"])
            except ValueError:  # a damaged file, or one that lacks clips
                report.note("files of predictions that are damaged or lack clips: made again", str(path))
    made = _predict(run, clips, progress)
    report.note("predictions of other clips than at training, made by the run", f"{run.name} ({len(clips)})")
    try:
        made.save(paths[-1])
    except OSError as error:
        report.note("predictions that could not be kept beside their run", str(error))
    return made


def _refuse_others(run: Path, clips: Clips, result: dict[str, Any], report: Report) -> None:
    """Raise ValueError for clips that the run cannot predict, or that trained it."""
    skeleton = stored_settings(run, result["settings"]).skeleton
    if clips.layout.joints != skeleton.joints:
        joints = f"those of {skeleton.name!r} and the clips those of {clips.layout.name!r}"
        raise ValueError(f"{run}: has other joints than the clips, {joints}; load the clips in its layout")
    before, now = result["data"]["classes"], list(clips.classes)
    if before != now:
        pairs = zip([*before, "none"], [*now, "none"], strict=False)
        difference = next(f"{one!r:.60} against {other!r:.60}" for one, other in pairs if one != other)
        raise ValueError(
            f"{run}: was trained on {len(before)} classes, the data have {len(now)} ({difference}); "
            "give the classes that it knows, or train a new run"
        )
    splits = clips.table["id"].map(splits_of(run))
    trained = clips.table["id"][splits == "train"].tolist()
    if trained:
        raise ValueError(
            f"{run}: was trained on {len(trained)} of these {len(clips)} clips (such as {trained[0]}), so "
            "its accuracy on them says nothing; correct the splits of the data, or train a new run"
        )
    chosen_on = np.count_nonzero((splits == "val") & (clips.table["split"] != "val"))
    event = "clips of another split now, whose validation accuracy chose the epoch of the run"
    report.count(event, run.name, chosen_on, len(clips))


def _predict(run: Path, clips: Clips, progress: Progress | None) -> Predictions:
    model, settings = load_model(run)
    filtered = denoising.denoised(clips, settings.denoise)
    parts = np.split(np.arange(len(clips)), range(CLIPS_AT_A_TIME, len(clips), CLIPS_AT_A_TIME))
    shown = progress(parts, total=len(parts), desc=f"predicting by {run.name}") if progress else parts
    return predictions.concatenate([predict(model, filtered.where(rows), settings) for rows in shown])
