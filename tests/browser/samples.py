"""Clips for which it is known what a viewer must show."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from miga_lib import alignment, labels, layouts
from miga_lib.clips import Clips, Recordings, load
from miga_lib.layouts import Layout
from miga_lib.predictions import Predictions


def clips_of(
    keypoints: Sequence[np.ndarray], classes: Sequence[int], layout: Layout | str = "coco17"
) -> Clips:
    """Clips a_0, a_1, … of the keypoints (T, V, 3) and class indices given, all of split train."""
    frames = [len(clip) for clip in keypoints]
    ids = [f"a_{i}" for i in range(len(keypoints))]
    table = pd.DataFrame(
        {"id": ids, "label": classes, "split": "train", "video": "a", "subject": "", "frames": frames}
    )
    table = table.assign(width=1280, height=720, missing=0.0, start=np.cumsum(frames) - frames)
    layout = layouts.get(layout) if isinstance(layout, str) else layout
    return Clips(table, np.concatenate(keypoints).astype(np.float32), layout, labels.CLASSES, "made by hand")


def ring(frames: int = 5) -> np.ndarray:
    """The 17 joints evenly on a circle of radius 100 around the origin, the nose at (100, 0); in frame 1 the
    nose is missing."""
    angle = 2 * np.pi * np.arange(17) / 17
    clip = np.stack([100 * np.cos(angle), 100 * np.sin(angle), np.ones(17)], axis=1)[None].repeat(
        frames, axis=0
    )
    clip[1, 0] = 0
    return clip


def oddities() -> Clips:
    """A ring; a ring that rotates by a tenth of a turn per frame; a clip in which no joint was found."""
    return clips_of([ring(), turning(np.arange(10) / 10), np.zeros((4, 17, 3))], [3, 5, 5])


def turning(turns: np.ndarray) -> np.ndarray:
    """The complete ring, rotated by a part of a turn in each frame."""
    angle = 2 * np.pi * np.asarray(turns)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # (2, 2, T)
    places = np.einsum("vc,cdt->tvd", ring()[0, :, :2], rotation)
    return np.concatenate([places, np.ones((len(angle), 17, 1))], axis=-1)


def predictions_of(clips: Clips, seed: int = 0) -> Predictions:
    """Random predictions, of which about half are correct."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(len(clips.classes), 0.1), len(clips))
    correct = np.flatnonzero(random.random(len(clips)) < 0.5)
    probabilities[correct, clips.table["label"].to_numpy()[correct]] += 1
    ids, classes = clips.table["id"].to_numpy(str), np.array(clips.classes)
    return Predictions(
        ids, clips.table["label"].to_numpy(), probabilities / probabilities.sum(1, keepdims=True), classes
    )


def at_joint(clips: Clips, joint: str) -> Callable[[int], np.ndarray]:
    """What a network would have used that uses one joint only, and more so in later frames: (T, V) for a
    row."""

    def of_clip(row: int) -> np.ndarray:
        counts = np.zeros(clips[row].shape[:2], np.float32)
        counts[:, clips.layout.joints.index(joint)] = np.arange(1, len(counts) + 1)
        return counts

    return of_clip


def recording_of(clips: Clips, apart: int = 25) -> Recordings:
    """The video of 25 frames per second from which clips a_0, a_1, … were cut, with so many frames between
    them; without its keypoints."""
    frames = clips.table["frames"]
    first = frames.cumsum() - frames + apart * np.arange(len(clips))
    segments = {"video": "a", "label": clips.table["label"], "first": first, "last": first + frames - 1}
    table, segments = pd.DataFrame({"video": ["a"], "fps": 25.0}), pd.DataFrame(segments)
    return Recordings(table, clips.keypoints, clips.layout, clips.classes, "", segments=segments)


def red_video(path: Path, clips: Clips, id: str) -> Path:
    """A video of a red picture for each frame of a clip."""
    import av

    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for _ in range(int(clips.table.set_index("id").loc[id, "frames"])):
            picture = np.tile(np.uint8([200, 0, 0]), (720, 1280, 1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def many(outputs: str | Path, count: int = 5000, frames: int = 300) -> Clips:
    """A synthetic clip of 137 joints, aligned to ``frames`` frames and listed ``count`` times with different
    ids and classes."""
    loaded = load("synthetic-smoke", "openpose137", outputs)
    row = int(loaded.table["frames"].argmax())
    keypoints = alignment.align(torch.tensor(loaded[row]), frames).numpy()
    table = clips_of([keypoints], [0], "openpose137").table
    table = table.loc[table.index.repeat(count)].reset_index(drop=True)
    ids = [f"{i // 40:04d}_{i % 40}" for i in range(count)]
    splits = np.where(np.arange(count) % 5, "train", "val")
    table = table.assign(id=ids, label=np.arange(count) % 32, split=splits)
    return Clips(table, keypoints, loaded.layout, loaded.classes, "")
