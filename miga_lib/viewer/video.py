"""The video that a clip was cut from: its frames behind the skeleton, and the gestures around the clip."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..clips import Recordings
from ..detect.pictures import SUFFIXES, quarters

MAX_HEIGHT, MAX_FRAMES, QUALITY = 480, 600, 70
"""Of the pictures that are sent: height in pixels, number, and quality of the JPEG files in percent."""


@dataclass(frozen=True)
class Video:
    """Where the videos are: ``place`` is a file, or a folder with a file for each video, named by its id.

    ``offset`` is the number of the video's frame that belongs to keypoint frame 0, and ``scale`` the number
    of the video's pixels for one pixel of the keypoints. Raises ValueError where there is no such file or
    folder, or the scale is not above 0.
    """

    place: str | Path
    offset: int = 0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not Path(self.place).exists():
            raise ValueError(
                f"{self.place}: no such file or folder; give a video file, or a folder of videos"
            )
        if not self.scale > 0:
            raise ValueError(f"scale must be above 0, got {self.scale!r}")

    def pictures(self, video: str, first: int, count: int) -> tuple[list[bytes], tuple[float, float]]:
        """Frames of a video as JPEG files, at most ``MAX_FRAMES``, and the width and height of a frame in
        pixels of the keypoints. Needs the package ``av`` (``miga_lib[video]``).

        Frames are found by their time, so the video must have a constant frame rate. A frame that it lacks is
        the one before; after its end there are none. Raises ValueError where there is no file of this video,
        it is no video, or it does not have the first frame.
        """
        path = self._file(video)
        try:
            import av
        except ImportError:
            raise ValueError("showing a video needs the package av: pip install 'miga_lib[video]'") from None
        start = first + self.offset
        stop = start + min(count, MAX_FRAMES)
        files: dict[int, bytes] = {}
        turns = 0
        try:
            with av.open(path) as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                if not stream.average_rate or not stream.time_base:
                    raise ValueError(f"{path}: does not say its frame rate; convert it to a constant one")
                origin = stream.start_time or 0
                ticks = 1 / stream.average_rate / stream.time_base  # of a frame
                container.seek(max(origin + int(start * ticks), 0), stream=stream)
                shrink = min(MAX_HEIGHT / stream.height, 1)
                width, height = (max(round(side * shrink), 1) for side in (stream.width, stream.height))
                size = stream.width / self.scale, stream.height / self.scale
                for frame in container.decode(stream):
                    number = round(((frame.pts or 0) - origin) / ticks)
                    if number >= stop:
                        break
                    if number >= start:
                        turns = quarters(path, frame)
                        file = io.BytesIO()
                        picture = frame.to_image(width=width, height=height)
                        picture = picture.rotate(90 * turns, expand=True)  # as `detect` sees it
                        picture.save(file, "jpeg", quality=QUALITY)
                        files[number] = file.getvalue()
                if turns % 2:
                    size = size[::-1]
        except (av.error.FFmpegError, IndexError) as error:
            raise ValueError(f"{path}: cannot be read as a video ({error})") from None
        if start not in files:
            raise ValueError(f"{path}: has no frame {start}; check `offset`, or give the clip's own video")
        pictures = [files[start]]
        for number in range(start + 1, max(files) + 1):
            pictures.append(files.get(number, pictures[-1]))
        return pictures, size

    def _file(self, video: str) -> Path:
        """The file of a video. Names are compared, so that the text of an id is never a path."""
        place = Path(self.place)
        if place.is_file():
            return place
        for path in sorted(place.iterdir()):
            if path.suffix.lower() in SUFFIXES and path.stem == video:
                return path
        suffixes = ", ".join(SUFFIXES)
        raise ValueError(f"{place}: has no video named {video!r:.60} ({suffixes}); rename it by the id")


def segment(recordings: Recordings, id: str) -> pd.Series:
    """The segment of a clip in its recording. Raises ValueError where the recordings do not have it."""
    segments = recordings.segments[recordings.ids == id]
    if segments.empty:
        raise ValueError(f"the recordings have no clip {id!r:.60}; give those that the clips were cut from")
    return segments.iloc[0]


def around(recordings: Recordings, id: str, names: Mapping[int, str]) -> str:
    """Where a clip is in its recording, and the gestures before and after it, by the names of the labels.
    Raises as ``segment`` does."""
    own = segment(recordings, id)
    segments = recordings.segments[recordings.segments["video"] == own["video"]]
    rate = recordings.table.set_index("video")["fps"][own["video"]]
    parts = [f"{own['video']}: {own['first'] / rate:.1f} to {(own['last'] + 1) / rate:.1f} s"]
    overlapping = len(segments) - 1
    gaps = {"before": own["first"] - segments["last"] - 1, "after": segments["first"] - own["last"] - 1}
    for side, frames in gaps.items():
        frames = frames[frames >= 0]
        overlapping -= len(frames)
        if len(frames):
            name = names[segments["label"][frames.idxmin()]]
            parts.append(f"{frames.min() / rate:.1f} s {side}: {name}")
    if overlapping:
        parts.append(f"{overlapping} overlapping")
    return "; ".join(parts)
