"""Frames of a video behind the skeleton, and what is before and after a clip in its recording."""

import base64
import io
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from browser import samples
from PIL import Image

from miga_lib.clips import load, load_recordings
from miga_lib.viewer import SkeletonViewer
from miga_lib.viewer.video import MAX_FRAMES, MAX_HEIGHT, Video, around

av = pytest.importorskip("av")
STEP = 8
"""Difference of brightness between a frame and the next."""


def film(path, frames=25, size=(64, 48), rate=Fraction(25)):
    """A video whose frame i is grey of brightness STEP · i."""
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *size, "yuv420p", 4_000_000
        for i in range(frames):
            picture = np.full((size[1], size[0], 3), STEP * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def numbers(pictures):
    """The numbers of the frames, from their brightness."""
    return [round(np.asarray(Image.open(io.BytesIO(file)).convert("L")).mean() / STEP) for file in pictures]


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)])
def test_the_frames_are_those_of_the_clip(tmp_path, rate):
    film(tmp_path / "0012.mp4", rate=rate)
    pictures, size = Video(tmp_path).pictures("0012", 7, 5)
    assert numbers(pictures) == [7, 8, 9, 10, 11]
    assert size == (64, 48)
    shifted, size = Video(tmp_path, offset=3, scale=2).pictures("0012", 7, 2)
    assert numbers(shifted) == [10, 11]
    assert size == (32, 24)


def test_a_clip_that_goes_on_after_the_video_has_fewer_pictures(tmp_path):
    assert numbers(Video(film(tmp_path / "a.mp4")).pictures("0012", 22, 9)[0]) == [22, 23, 24]


def test_pictures_are_small_and_few(tmp_path):
    path = film(tmp_path / "a.mp4", frames=3, size=(1280, 720))
    picture = Image.open(io.BytesIO(Video(path).pictures("", 0, 10 * MAX_FRAMES)[0][0]))
    assert picture.size == (round(1280 * MAX_HEIGHT / 720), MAX_HEIGHT)


def test_an_id_is_never_a_path(tmp_path):
    film(tmp_path / "secret.mp4")
    (tmp_path / "videos").mkdir()
    with pytest.raises(ValueError, match=re.escape("has no video named '../secret'")):
        Video(tmp_path / "videos").pictures("../secret", 0, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"place": "nowhere"}, "nowhere: no such file or folder; give a video file, or a folder"),
        ({"scale": 0.0}, "scale must be above 0, got 0.0"),
        ({"offset": 100}, "has no frame 100; check `offset`"),
        ({"place": __file__}, "cannot be read as a video"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path, changes, message):
    arguments = {"place": film(tmp_path / "a.mp4"), **changes}
    with pytest.raises(ValueError, match=message):
        Video(**arguments).pictures("0012", 0, 1)


def test_the_viewer_tells_what_is_around_a_clip_and_sends_its_pictures(smoke_outputs, tmp_path):
    recordings = load_recordings("synthetic-smoke", "imigue22", smoke_outputs)
    data = load("synthetic-smoke", "imigue22", smoke_outputs)
    id, segments = recordings.ids.iloc[1], recordings.segments
    before, own, after = (segments.iloc[k] for k in range(3))
    video = Video(film(tmp_path / "a.mp4"), offset=-int(own["first"]))
    shown = SkeletonViewer(data, clip=id, recordings=recordings, video=video)
    place = f"{own['video']}: {own['first'] / 25:.1f} to {(own['last'] + 1) / 25:.1f} s"
    gaps = [(own["first"] - before["last"] - 1) / 25, (after["first"] - own["last"] - 1) / 25]
    names = [data.classes[gesture["label"]] for gesture in (before, after)]
    beside = f"{gaps[0]:.1f} s before: {names[0]}; {gaps[1]:.1f} s after: {names[1]}"
    assert shown._clip["around"] == f"{place}; {beside}"
    row = data.table["id"].tolist().index(id)
    frames = int(data.table["frames"].iloc[row])
    assert shown._send_video(row) == f"{min(frames, 25)} of {frames} frames of the video are shown."
    files = [base64.b64decode(file.partition(",")[2]) for file in shown._video["pictures"]]
    assert numbers(files) == list(range(min(frames, 25)))
    whole = SkeletonViewer(data, clip=id, video=str(tmp_path / "a.mp4"))
    assert whole._send_video(row).startswith(f"{min(frames, 25)} of")
    with pytest.raises(ValueError, match="nowhere: no such file or folder"):
        SkeletonViewer(data, video="nowhere")
    others = recordings.where(recordings.table["video"] != own["video"])
    messages = SkeletonViewer(data, clip=id, recordings=others)._clip["messages"]
    assert f"the recordings have no clip {id!r}" in messages[0]


def test_the_nearest_gestures_before_and_after_by_hand():
    """At 25 frames a second: 5 frames after the first, 10 before the third; the fourth overlaps."""
    data = samples.oddities()
    recordings = replace(
        samples.recording_of(data),
        segments=pd.DataFrame(
            {"video": "a", "label": [3, 5, -1, 7], "first": [0, 15, 35, 20], "last": [9, 24, 40, 60]}
        ),
    )
    names = {-1: "class unknown"} | dict(enumerate(data.classes))
    sentence = f"a: 0.6 to 1.0 s; 0.2 s before: {names[3]}; 0.4 s after: class unknown; 1 overlapping"
    assert around(recordings, "a_1", names) == sentence
