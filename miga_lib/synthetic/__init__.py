"""Synthetic clips in place of iMiGUE, which is only available on request: gestures of interviewed people, as
a detector saw them.

- *Body* (``body``, ``shapes``): a seated upper body in three dimensions. Trunk and head are rigid; an arm has
  two links, and the position of the hand determines the elbow; the fingers move between two of eight shapes
  of the hand; a face has 70 landmarks and ten expressions. Hands move with minimum jerk (Flash and Hogan
  1985). Subjects differ in proportions, posture, handedness, energy, pace and habits.
- *Gestures* (``gestures``, ``touches``, ``postures``): a programme for each of the 32 classes, written from
  the meaning of its name. Hand, speed, amplitude and completeness vary. Classes with similar meanings are
  close to each other in space (touch chin, touch face, bite nails); some differ only in the face (bite lip).
- *Interview* (``recording``, ``idling``): gestures are performed one after another and then cut out. So clips
  begin and end in the middle of movements, labels are some frames early or late, and hands may stay. There
  are second movements, speech (which moves mouth and head), breathing, glances, blinks, changing rest poses,
  and a camera that stands to one side, shakes and reframes.
- *Detector* (``detector``): the faults of OpenPose.
- *Numbers* (``plan``): the class frequencies, subjects and splits are those of iMiGUE; clip lengths are
  log-normal, 2 to 400 frames.

Not modelled: clothes and objects, contact (a hand may sink into a cheek), any relation between a gesture and
an emotion, other people, correlations between classes. Accuracy on these clips says nothing about iMiGUE.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import atomic, labels, layouts
from ..layouts import Layout
from ..readers import Clip, Progress, Recording, Report, annotation, in_parallel, miga, release
from .plan import SEED, SIZES, Plan, plans
from .recording import record

__all__ = ["CACHED_LAYOUT", "SIZES", "VERSION", "clean", "read", "recognises", "recordings", "write"]

VERSION = 2
"""Version of the generator; it increases when the same size gives other clips."""
CACHED_LAYOUT = ""
STREAMED = "synthetic-full"
"""The size that is not written as MiGA folders first: its clips are read from the generator."""
FILES = {("synthetic-smoke", 1): "csv", ("synthetic-smoke", 4): "xlsx"}
"""Keypoint files of some videos, so that the smallest set has every kind; all others are npy files."""


def write(folder: Path, size: str, seed: int = SEED) -> None:
    """Write the videos of a size and a seed as MiGA folders, with the subjects' table of the full release and
    a ``synthetic.json`` on the origin. The folder appears when it is complete, see ``atomic.folder``.

    Raises FileExistsError where it exists, and ValueError for a size that is not in SIZES.
    """
    if folder.exists():
        raise FileExistsError(f"{folder}: already exists; delete it or choose another folder")
    with atomic.folder(folder) as unfinished:
        unfinished.mkdir()
        rows = in_parallel(_write_video, ((unfinished, plan) for plan in plans(size, seed)))
        miga.write_subjects(unfinished, pd.concat(rows, ignore_index=True))
        origin = {"size": size, "seed": seed, "version": VERSION}
        (unfinished / "synthetic.json").write_text(json.dumps(origin) + "\n", encoding="utf-8")


def _write_video(root: Path, plan: Plan) -> pd.DataFrame:
    """Write one video. Returns its rows of the subjects' table."""
    video, _ = record(plan)
    openpose = FILES.get((plan.size, plan.number), "npy")
    miga.write_video(root, video.split, video.id, video.keypoints, video.segments, openpose)
    rows = [(video.id, plan.subject, labels.to_file(k), start, end) for k, start, end in video.segments]
    return pd.DataFrame(rows, columns=release.COLUMNS).assign(win_or_lose=plan.number % 2)


def recognises(source: str | Path) -> bool:
    """Whether the source is the size that ``read`` generates without files."""
    return str(source) == STREAMED


def read(source: str | Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Clip]:
    """The clips of ``recordings``, with test labels and subjects."""
    return annotation.cut(recordings(source, layout, report, progress))


def recordings(source: str | Path, layout: Layout, report: Report, progress: Progress) -> Iterator[Recording]:
    """The videos of a size, generated without files, in the order of their ids. The report stays empty.

    Raises ValueError for a size that is not in SIZES, or a layout with joints that OpenPose does not have.
    """
    joints = layouts.selection(layouts.get("openpose137"), layout)
    videos = plans(str(source))
    generated = in_parallel(_recording, ((plan, joints) for plan in videos))
    yield from progress(generated, total=len(videos), desc="generating videos")


def _recording(plan: Plan, joints: np.ndarray) -> Recording:
    video, _ = record(plan)
    return replace(video, keypoints=video.keypoints[:, joints])


def clean(ids: Sequence[str], size: str, layout: Layout) -> list[Float[np.ndarray, "T V 2"]]:
    """Where the joints of some clips, by their ids, really are, in pixels, in every frame: without the
    detector's faults. Their videos are generated again.

    Raises ValueError as ``recordings`` does, and for an id that the size does not have.
    """
    joints = layouts.selection(layouts.get("openpose137"), layout)
    videos = {id.partition("_")[0] for id in ids}
    places: dict[str, np.ndarray] = {}
    for clips in in_parallel(_clean, ((plan, joints) for plan in plans(size) if plan.id in videos)):
        places |= clips
    for id in ids:
        if id not in places:
            raise ValueError(
                f"{size} with seed {SEED} has no clip {id!r:.100}; give ids of its clips, such as '0001_0'"
            )
    return [places[id] for id in ids]


def _clean(plan: Plan, joints: np.ndarray) -> dict[str, np.ndarray]:
    video, places = record(plan)
    segments = enumerate(video.segments)
    return {f"{video.id}_{k}": places[start : end + 1, joints] for k, (_, start, end) in segments}
