"""Synthetic clips in place of iMiGUE, which is only available on request: gestures of interviewed people, as
a detector saw them.

What is modelled, and how:

- *Body* (``body``, ``shapes``): a seated upper body in three dimensions. Trunk and head are rigid. Each arm
has two links; the position of
  the hand determines the elbow. A hand has eight shapes, and its fingers move between two of them. A face has
  70 landmarks and ten expressions. Hands move with minimum jerk (Flash and Hogan 1985). Subjects differ in
  proportions, posture, handedness, energy, pace and habits.
- *Gestures* (``gestures``): a programme for each of the 32 classes, written from the meaning of the class's
name: which effector moves
  where, how long it stays, what oscillates. Hand, speed, amplitude and completeness vary in every class.
  Classes with similar meanings are close to each other in space (touch chin, touch face, bite nails), and
  some differ only in the face (bite lip).
- *Interview* (``recording``): gestures are performed one after another in a recording and then cut out of it.
So clips begin and end in
  the middle of movements, labels are some frames early or late, and hands may stay after a gesture. There are
  second movements during a gesture, speech (which moves mouth and head in most clips), breathing, glances,
  blinks, changing rest poses, and a camera that stands to one side, shakes and reframes.
- *Detector* (``detector``): faults as in the output of OpenPose: quantised coordinates; drifting errors,
larger with a lower score; lower
  scores of face points under a hand; missing hands where they are blurred, hidden, below the table or without
  a wrist; left and right swapped; frames without a person.
- *Numbers* (``plan``): the class frequencies, subjects and splits are those of iMiGUE; clip lengths are
log-normal, 2 to 400 frames.

What is not modelled: clothes and objects, contact (a hand may sink into a cheek), any relation between a
gesture and an emotion, other people in the image, and correlations between classes. Accuracy on these clips
says nothing about accuracy on iMiGUE.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import atomic, labels, layouts
from ..layouts import Layout
from ..readers import UNKNOWN, Clip, Progress, Recording, Report, annotation, in_parallel, miga
from .detector import HEIGHT, WIDTH
from .plan import SIZES, Plan, Size, plans
from .recording import Video, record
from .script import FPS

__all__ = [
    "CACHED_LAYOUT",
    "SIZES",
    "VERSION",
    "Plan",
    "Size",
    "Video",
    "clean",
    "plans",
    "read",
    "recognises",
    "record",
    "recordings",
    "videos",
    "write",
]

VERSION = 2
"""Version of the generator; it increases when the same size and seed give other clips."""
CACHED_LAYOUT = ""
STREAMED = "synthetic-full"
"""The size that is not written as MiGA folders first: its clips are read from the generator."""
ABOUT = "synthetic.json"
"""The file with size, seed and version in the folder of a written set."""
SMOKE_FILES = {1: "csv", 4: "xlsx"}
"""Keypoint files of the smoke set by video number, so that it has every kind; the other videos have npy
files."""


def videos(size: str, seed: int = 0) -> Iterator[Video]:
    """The videos of a size, in the order of their ids. Each depends only on size, seed and its id; ``record``
    makes a single one.

    Raises ValueError for a size that is not in SIZES.
    """
    for plan in plans(size, seed):
        yield record(plan, seed, size)


def write(folder: Path, size: str, seed: int = 0) -> None:
    """Write the videos of a size as MiGA folders, with the subjects' table of the full release and a
    ``synthetic.json`` on the origin.

    The folder appears when it is complete, see ``atomic.folder``.

    Raises:
        FileExistsError: the folder already exists.
        OSError: the disk is full.
        ValueError: a size that is not in SIZES.
    """
    import joblib

    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder}: already exists; delete it or choose another folder")
    with atomic.folder(folder) as whole:
        whole.mkdir()
        job = joblib.delayed(_write_video)
        rows = joblib.Parallel(n_jobs=-1)(job(whole, plan, size, seed) for plan in plans(size, seed))
        miga.write_subjects(whole, pd.DataFrame([row for of_video in rows for row in of_video]))
        about = {"size": size, "seed": seed, "version": VERSION}
        (whole / ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")


def _write_video(root: Path, plan: Plan, size: str, seed: int) -> list[dict[str, str | int]]:
    """Write one video. Returns its rows of the subjects' table."""
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
    """Whether the source is the size that ``read`` generates without files."""
    return str(source) == STREAMED


def read(
    source: str | Path, layout: Layout, report: Report, progress: Progress | None = None, seed: int = 0
) -> Iterator[Clip]:
    """The clips of a size, generated without files: the same as a reader gives, with test labels and
    subjects. As ``recordings``."""
    return annotation.cut(recordings(source, layout, report, progress, seed))


def recordings(
    source: str | Path, layout: Layout, report: Report, progress: Progress | None = None, seed: int = 0
) -> Iterator[Recording]:
    """The videos of a size, generated without files.

    Args:
        source: a name in SIZES.
        report: stays empty.
        progress: wraps the iteration over videos, called as ``progress(iterable, total=…, desc=…)``.

    Raises ValueError for a size that is not in SIZES, or a layout with joints that OpenPose does not have.
    """
    chosen = layouts.selection(layouts.get("openpose137"), layout)
    everyone = plans(str(source), seed)
    made = in_parallel(_recording, ((plan, str(source), seed, chosen) for plan in everyone))
    yield from progress(made, total=len(everyone), desc="generating videos") if progress else made


def clean(ids: Sequence[str], size: str, layout: Layout, seed: int = 0) -> list[Float[np.ndarray, "T V 2"]]:
    """Where the joints of some clips of a size really are, in pixels, in every frame: the clips' keypoints
    without the detector's faults.

    The videos of these clips are generated again, see ``record``, whose ``Video`` has both.

    Args:
        ids: of clips as ``clips.load(size)`` gives them.

    Raises:
        ValueError: an unknown size, an id that is not of one of its clips, or a layout with joints that
            OpenPose does not have.
    """
    chosen, wanted = (
        layouts.selection(layouts.get("openpose137"), layout),
        {id.partition("_")[0] for id in ids},
    )
    jobs = ((plan, size, seed, chosen) for plan in plans(size, seed) if plan.id in wanted)
    places = {id: of_clip for of_video in in_parallel(_clean, jobs) for id, of_clip in of_video.items()}
    if unknown := [id for id in ids if id not in places]:
        raise ValueError(
            f"{size} with seed {seed} has no clip {unknown[0]!r:.100}; give ids of its clips, such as '0001_0'"
        )
    return [places[id] for id in ids]


def _clean(plan: Plan, size: str, seed: int, chosen: np.ndarray) -> dict[str, np.ndarray]:
    video = record(plan, seed, size)
    return {
        f"{video.id}_{k}": video.clean[start : end + 1, chosen]
        for k, (_, start, end) in enumerate(video.segments)
    }


def _recording(plan: Plan, size: str, seed: int, chosen: np.ndarray) -> Recording:
    video = record(plan, seed, size)
    names = video.id, UNKNOWN, video.split, video.id, str(plan.subject)
    recording = Recording(*names, WIDTH, HEIGHT, video.keypoints[:, chosen], FPS, video.segments)
    return annotation.clamped(recording, Report())
