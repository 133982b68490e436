"""Frames of the video that a clip was taken from, for the picture behind the skeleton. Needs the package
``av`` (``miga_lib[video]``)."""

import io
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
TALLEST = 480
"""Pictures are sent with at most this height, in pixels."""
MOST_FRAMES = 600
QUALITY = 70
"""Of the JPEG pictures, in percent."""


@dataclass(frozen=True)
class Video:
    """Where the videos are, and how they lie behind the keypoints.

    ``place`` is a video file, or a folder with a file for each video, named by the video's id. ``offset`` is
    the number of the video's frame that belongs to keypoint frame 0. ``scale`` is the number of the video's
    pixels for one pixel of the keypoints.

    Raises:
        ValueError: there is no such file or folder, or the scale is not above 0.
    """

    place: str | Path
    offset: int = 0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not Path(self.place).exists():
            raise ValueError(
                f"{self.place}: no such file or folder; give a video file, or a folder of videos named by their ids"
            )
        if not self.scale > 0:
            raise ValueError(f"scale must be above 0, got {self.scale!r}")

    def pictures(self, video: str, first: int, count: int) -> tuple[list[bytes], tuple[float, float]]:
        """Some frames of a video as JPEG files, at most ``MOST_FRAMES``, and width and height of a frame in
        pixels of the keypoints.

        Frames are found by their time, so the video must have a constant frame rate. A frame that it lacks is
        the one before; after its end there are none.

        Raises:
            ValueError: there is no file of this video, it is no video, or it does not have the first frame;
                or ``av`` is not installed.
        """
        path = self._file(video)
        try:
            import av
        except ImportError:
            raise ValueError("showing a video needs the package av: pip install 'miga_lib[video]'") from None
        wanted = range(first + self.offset, first + self.offset + min(count, MOST_FRAMES))
        found: dict[int, bytes] = {}
        try:
            with av.open(path) as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                if not stream.average_rate or not stream.time_base:
                    raise ValueError(
                        f"{path}: does not say its frame rate; convert it to a constant frame rate"
                    )
                start, ticks = (
                    stream.start_time or 0,
                    1 / stream.average_rate / stream.time_base,
                )  # of a frame
                container.seek(max(start + int(wanted.start * ticks), 0), stream=stream)
                small = min(TALLEST / stream.height, 1)
                size = max(round(stream.width * small), 1), max(round(stream.height * small), 1)
                for frame in container.decode(stream):
                    number = round(((frame.pts or 0) - start) / ticks)
                    if number >= wanted.stop:
                        break
                    if number in wanted:
                        file = io.BytesIO()
                        frame.to_image(width=size[0], height=size[1]).save(file, "jpeg", quality=QUALITY)
                        found[number] = file.getvalue()
                whole = stream.width / self.scale, stream.height / self.scale
        except (av.error.FFmpegError, IndexError) as error:
            raise ValueError(f"{path}: cannot be read as a video ({error})") from None
        if wanted.start not in found:
            raise ValueError(
                f"{path}: has no frame {wanted.start}; check `offset`, or that it is the video of these keypoints"
            )
        pictures = [found[wanted.start]]
        for number in range(wanted.start + 1, max(found) + 1):
            pictures.append(found.get(number, pictures[-1]))
        return pictures, whole

    def _file(self, video: str) -> Path:
        """The file of a video. Names are compared, so that the text of an id is never a path."""
        place = Path(self.place)
        if place.is_file():
            return place
        if found := [
            path for path in sorted(place.iterdir()) if path.suffix.lower() in SUFFIXES and path.stem == video
        ]:
            return found[0]
        raise ValueError(
            f"{place}: has no video named {video!r:.60} ({', '.join(SUFFIXES)}); rename the file by the video's id"
        )
