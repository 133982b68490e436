"""Synthetic clips that stand in for iMiGUE, which is given out on request only: interviewed people whose gestures a detector saw.

What is modelled, and from which facts:

- *Body* (``body``, ``shapes``): a seated upper body in three dimensions. Trunk and head are rigid, each arm is two links whose elbow
  follows from where the hand is, a hand bends its fingers between eight shapes, a face is 70 landmarks and ten expressions. Hands travel
  in minimum-jerk movements (Flash and Hogan 1985). Subjects differ in proportions, posture, handedness, energy, pace and habits.
- *Gestures* (``gestures``): a programme for each of the 32 classes, written from what the class's name means to an annotator: which
  effector goes where, how long it stays, what oscillates. Hand, speed, amplitude and completeness vary in every class. Neighbours in
  meaning are neighbours in space (touch chin, touch face, bite nails), and some are told only by the face (bite lip).
- *Interview* (``recording``): gestures are performed one after another in one recording and cut out of it, so clips begin and end in the
  middle of things, with labels early or late by some frames, hands that linger, a second thing done meanwhile, speech (which
  moves mouth and head in most clips), breathing, glances, blinks, changing rests, and a camera off to one side that shakes and reframes.
- *Detector* (``detector``): what output of OpenPose shows: quantised coordinates, drifting errors that grow as the score falls, face
  points that lose score under a hand, hands that vanish when blurred, hidden, below the table or without a wrist, swaps of left
  and right, and frames with nobody in them.
- *Numbers* (``plan``): the class frequencies, subjects and splits are those of iMiGUE; clip lengths are log-normal, 2 to 400 frames.

What is not: clothes and objects, the touch of skin on skin (a hand may sink into a cheek), any tie between a gesture and what is felt,
other people in the picture, and correlations between classes. Accuracy on these clips says nothing about accuracy on iMiGUE.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from .. import labels, layouts
from ..layouts import Layout
from ..readers import Clip, Progress, Report, in_parallel, miga
from .detector import HEIGHT, WIDTH
from .plan import SIZES, Plan, Size, plans
from .recording import Video, record

__all__ = ["SIZES", "VERSION", "Plan", "Size", "Video", "plans", "read", "record", "videos", "write"]

VERSION = 2
"""Of the generator: goes up whenever the same size and seed give other clips."""
CACHED_LAYOUT = ""
STREAMED = "synthetic-full"
"""The size that is not written as MiGA folders first; the generator is its reader."""
ABOUT = "synthetic.json"
SMOKE_FILES = {1: "csv", 4: "xlsx"}
"""The smoke set holds every kind of keypoint file: these videos have theirs as csv and xlsx, the others as npy."""


def videos(size: str, seed: int = 0) -> Iterator[Video]:
    """The videos of a size, in the order of their ids. Each depends only on (size, seed, its id): see ``record`` for one alone.

    Raises ValueError for a size that is not in SIZES.
    """
    for plan in plans(size, seed):
        yield record(plan, seed, size)


def write(folder: Path, size: str, seed: int = 0) -> None:
    """The videos of a size as MiGA folders, with the subjects' table of the full release and a ``synthetic.json`` that tells the origin.

    Written beside ``folder`` and renamed into place last, so an interrupted run leaves nothing under that name.

    Raises:
        FileExistsError: the folder is there already.
        ValueError: a size that is not in SIZES.
    """
    import joblib

    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder}: is there already; delete it or choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as temporary:
        whole = Path(temporary) / folder.name
        whole.mkdir()
        job = joblib.delayed(_write_video)
        rows = joblib.Parallel(n_jobs=-1)(job(whole, plan, size, seed) for plan in plans(size, seed))
        miga.write_subjects(whole, pd.DataFrame([row for of_video in rows for row in of_video]))
        about = {"size": size, "seed": seed, "version": VERSION}
        (whole / ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")
        try:
            whole.rename(folder)
        except OSError:  # another process was first, with the same content
            if not folder.exists():
                raise


def _write_video(root: Path, plan: Plan, size: str, seed: int) -> list[dict[str, str | int]]:
    """Write one video; gives its rows of the subjects' table."""
    video = record(plan, seed, size)
    openpose = SMOKE_FILES.get(plan.number, "npy") if size == "synthetic-smoke" else "npy"
    miga.write_video(root, video.split, video.id, video.keypoints, video.segments, openpose=openpose)
    return [
        {
            "video_id": video.id,
            "subject_id": video.subject,
            "class": labels.to_file(label),
            "start_frame": start,
            "end_frame": end,
            "win_or_lose": plan.number % 2,
        }
        for label, start, end in video.segments
    ]


def recognises(source: str | Path) -> bool:
    """Whether the source is the set that ``read`` gives straight from the generator."""
    return str(source) == STREAMED


def read(source: str | Path, layout: Layout, report: Report, progress: Progress | None = None, seed: int = 0) -> Iterator[Clip]:
    """The clips of a size straight from the generator, without files: what a reader gives, test labels and subjects included.

    Args:
        source: a name in SIZES.
        report: nothing is ever noted in it.
        progress: wraps the iteration over videos, called as ``progress(iterable, total=…, desc=…)``.

    Raises ValueError for a size that is not in SIZES, or a layout with joints that OpenPose does not have.
    """
    chosen = layouts.selection(layouts.get("openpose137"), layout)
    everyone = plans(str(source), seed)
    made = in_parallel(_clips, ((plan, str(source), seed, chosen) for plan in everyone))
    for clips in progress(made, total=len(everyone), desc="generating videos") if progress else made:
        yield from clips


def _clips(plan: Plan, size: str, seed: int, chosen: np.ndarray) -> list[Clip]:
    video = record(plan, seed, size)
    subject, joints = str(video.subject), video.keypoints[:, chosen]
    return [
        Clip(f"{video.id}_{k}", label, video.split, video.id, subject, WIDTH, HEIGHT, joints[start : end + 1].copy())
        for k, (label, start, end) in enumerate(video.segments)
    ]
