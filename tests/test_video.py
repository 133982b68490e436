"""Frames of a video behind the skeleton, and what is before and after a clip in its recording."""

import io
import re
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from miga_lib import clips
from miga_lib.viewer import SkeletonViewer
from miga_lib.viewer.video import MOST_FRAMES, TALLEST, Video

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
    return [round(np.asarray(Image.open(io.BytesIO(one)).convert("L")).mean() / STEP) for one in pictures]


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
    picture = Image.open(io.BytesIO(Video(path).pictures("", 0, 10 * MOST_FRAMES)[0][0]))
    assert picture.size == (round(1280 * TALLEST / 720), TALLEST)


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
    given = {"place": film(tmp_path / "a.mp4"), **changes}
    with pytest.raises(ValueError, match=message):
        Video(**given).pictures("0012", 0, 1)


def test_the_viewer_tells_what_is_around_a_clip_and_sends_its_pictures(smoke_outputs, tmp_path):
    recordings = clips.load_recordings("synthetic-smoke", "imigue22", smoke_outputs)
    data = clips.load("synthetic-smoke", "imigue22", smoke_outputs)
    id, segments = recordings.ids.iloc[1], recordings.segments
    before, own, after = (segments.iloc[k] for k in range(3))
    shown = SkeletonViewer(
        data, clip=id, recordings=recordings, video=Video(film(tmp_path / "a.mp4"), offset=-int(own["first"]))
    )
    around = shown._clip["around"]
    assert around.startswith(f"{own['video']}: {own['first'] / 25:.1f} to {(own['last'] + 1) / 25:.1f} s; ")
    assert (
        f"{(own['first'] - before['last'] - 1) / 25:.1f} s before: {data.classes[before['label']]}" in around
    )
    assert f"{(after['first'] - own['last'] - 1) / 25:.1f} s after: {data.classes[after['label']]}" in around
    row = data.table["id"].tolist().index(id)
    frames = int(data.table["frames"].iloc[row])
    assert shown._send_video(row) == f"{min(frames, 25)} of {frames} frames of the video are shown."
    assert numbers(shown._video["pictures"]) == list(range(min(frames, 25)))
    assert (
        SkeletonViewer(data, clip=id, video=str(tmp_path / "a.mp4"))
        ._send_video(row)
        .startswith(f"{min(frames, 25)} of")
    )
    with pytest.raises(ValueError, match="nowhere: no such file or folder"):
        SkeletonViewer(data, video="nowhere")
    other = SkeletonViewer(
        data, clip=id, recordings=recordings.where(recordings.table["video"] != own["video"])
    )
    assert f"the recordings have no clip {id!r}" in other._clip["messages"][0]
