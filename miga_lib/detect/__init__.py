"""Joints of videos: the files that OpenPose would write, from mp4 and other videos, by another detector.

``python -m miga_lib.detect talk.mp4 --out recordings`` makes a folder ``recordings/talk`` of json files, one
for each frame, and a row of ``recordings/segments.csv``: the whole video, of unknown class, with its size,
frames a second, and the detector. ``recordings`` is then a source as ``readers.openpose`` reads it.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import atomic
from ..readers import DataError, Progress, openpose, untrusted
from ..readers.videos import OPTIONAL, SEGMENTS
from . import holistic, pictures, whole_body

Detector = Callable[[], AbstractContextManager[tuple[str, Callable[[np.ndarray], np.ndarray]]]]
DETECTORS: dict[str, Detector] = {"mediapipe": holistic.detector, "rtmlib": whole_body.detector}
"""Each gives its version, and a function from a frame (H, W, 3) to the joints of people (M, 137, 3)."""
COLUMNS = ("video", "start_frame", "end_frame", *OPTIONAL, "fps", "detector", "version", "bytes")
PARTS = {
    "body": slice(0, 25),
    "face": slice(25, 95),
    "left hand": slice(95, 116),
    "right hand": slice(116, 137),
}


def write(video: Path, out: Path, detector: str = "mediapipe", progress: Progress | None = None) -> list[str]:
    """Write the folder of a video and its row of the table; gives sentences on what was found.

    The folder appears when it is complete. One that is there already is left as it is.

    Raises:
        DataError: the video cannot be read, has no person, or changes its size; or the folder is of another
            file or detector.
        RuntimeError: the detector, or the package ``av``, is not installed.
        OSError: the folder cannot be written.
    """
    folder = out / video.stem
    source = {"detector": detector, "bytes": str(video.stat().st_size)}
    _require_same(folder, source)
    if folder.exists():
        return ["is there already"]
    told: list[str] = []
    times: list[float] = []
    found: list[np.ndarray] = []
    with DETECTORS[detector]() as (version, joints), atomic.folder(folder) as unfinished:
        frames: Iterable[tuple[np.ndarray, float]] = pictures.read(video, told)
        if progress:
            frames = progress(frames, total=pictures.count(video), desc=video.stem)
        unfinished.mkdir()
        height = width = 0
        for number, (picture, time) in enumerate(frames):
            height, width = picture.shape[:2]
            people = within(joints(picture), width, height)
            text = json.dumps(document(people), separators=(",", ":"))
            (unfinished / f"{video.stem}_{number:012d}{openpose.FRAMES}").write_text(text)
            times.append(time)
            found.append(np.array([people[:, part, 2].any() for part in PARTS.values()]))
        if not np.any(found):
            problem = f"no person was found in any of its {len(times)} frames"
            raise DataError(f"{video}: {problem}; nothing is written: give another video")
        fps = pictures.rate(times, told)
        row = {"video": video.stem, "start_frame": 0, "end_frame": len(times) - 1, "fps": f"{fps:.10g}"}
        _add(out / SEGMENTS, row | {"width": width, "height": height, "version": version} | source)
    shares = 100 * np.mean(found, 0)
    parts = ", ".join(f"{part} in {share:.0f} %" for part, share in zip(PARTS, shares, strict=True))
    return [f"{len(times)} frames of {width}×{height}, {fps:.2f} a second; {parts}", *told]


def within(people: Float[np.ndarray, "M 137 3"], width: int, height: int) -> Float[np.ndarray, "M 137 3"]:
    """The same people, rounded to thousandths of a pixel. Joints outside the frame are invented: they are
    missing, as in OpenPose's files."""
    people = np.round(people.astype(float), 3)
    inside = (people[..., :2] >= 0).all(-1) & (people[..., 0] < width) & (people[..., 1] < height)
    return np.where((inside & (people[..., 2] > 0))[..., None], people, 0)


def document(people: Float[np.ndarray, "M 137 3"]) -> dict[str, Any]:
    """The content of OpenPose's file of a frame; people without joints are left out."""
    ends = np.cumsum(list(openpose.PARTS.values()))[:-1]
    present = people[people[..., 2].any(1)]
    lists = [[part.ravel().tolist() for part in np.split(person, ends)] for person in present]
    return {"version": 1.3, "people": [dict(zip(openpose.PARTS, parts, strict=True)) for parts in lists]}


def _require_same(folder: Path, source: dict[str, str]) -> None:
    """Raise DataError if the table has rows of another file of this name, or its folder is of another
    detector."""
    table = _table(folder.parent / SEGMENTS)
    for column in ["bytes", "detector"] if folder.exists() else ["bytes"]:
        others = set(table.loc[table["video"] == folder.name, column]) - {"", source[column]}
        if others:
            problem = f"{SEGMENTS} has it with {column} {others.pop()}, and it is {source[column]} now"
            way_out = "give another --out, or rename the video, or remove its folder"
            rows = " and its rows" if column == "bytes" else ""
            raise DataError(f"{folder}: {problem}; {way_out}{rows}")


def _table(path: Path) -> pd.DataFrame:
    """The table of segments with all of its columns, as text; without rows where there is no file."""
    table = untrusted.rows(path) if path.exists() else pd.DataFrame()
    for column in COLUMNS:
        if column not in table:
            table[column] = OPTIONAL.get(column, "0" if column == "fps" else "")
    return table


def _add(path: Path, row: dict[str, Any]) -> None:
    """Add a row for a video to the table of segments, or, where it has rows, what is known of it to these."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_name(f"{atomic.UNFINISHED}table.lock")):
        table = _table(path)
        own = table["video"] == row["video"]
        for column in ("width", "height", "fps", "detector", "version", "bytes"):
            table.loc[own, column] = str(row[column])
        if not own.any():
            whole = pd.DataFrame([dict.fromkeys(table.columns, "") | OPTIONAL | row])
            table = pd.concat([table, whole])
        atomic.write_text(path, table.to_csv(index=False, lineterminator="\n"))
    atomic.remove_leftovers(path.parent)  # the lock file
