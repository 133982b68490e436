"""The pictures of a video, upright and in their order, and the times when they are shown."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from ..readers import DataError, annotation, folders

if TYPE_CHECKING:
    import av

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


def find(places: Sequence[str | Path]) -> list[Path]:
    """Videos, and those in folders up to three levels down, each once.

    Raises ValueError where a place does not exist or has no video, or two videos have the same name without
    suffix, or one that a table cannot hold.
    """
    videos: dict[str, Path] = {}
    for place in map(Path, places):
        files = [place]
        if place.is_dir():
            files = [path for path in folders.below(place, "*") if path.suffix.lower() in SUFFIXES]
        if not files or not all(path.is_file() for path in files):
            problem = "has no videos" if place.is_dir() else "no such file or folder"
            raise ValueError(f"{place}: {problem}; give videos ({', '.join(SUFFIXES)}) or folders of them")
        for path in files:
            name = path.stem
            if not name.isprintable() or name != name.strip() or folders.is_litter(name):
                rule = "the name of a video must be printable, and not begin or end with a space or a dot"
                raise ValueError(f"{path!s:.200}: {rule}; rename it")
            other = videos.setdefault(name.casefold(), path)
            if other.resolve() != path.resolve():
                raise ValueError(f"{other} and {path}: would have the same name; rename one of them")
    return list(videos.values())


def read(path: Path, told: list[str]) -> Iterator[tuple[UInt8[np.ndarray, "H W 3"], float]]:
    """The frames of a video as RGB, and the second at which each is shown (nan: unknown). What is unusual is
    added to ``told``. Needs the package ``av`` (``miga_lib[video]``).

    Raises:
        DataError: it is no video, cannot be read to its end, or its frames change their size.
        RuntimeError: ``av`` is not installed.
    """
    try:
        import av
    except ImportError:
        raise RuntimeError("reading videos needs the package av: pip install 'miga_lib[video]'") from None
    number, damaged = 0, 0
    shape: tuple[int, ...] = ()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: has sound only; give a video")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                picture = _upright(path, frame)
                if not number and frame.rotation:
                    told.append(f"is stored turned by {frame.rotation}°: its frames are turned upright")
                shape = shape or picture.shape
                if picture.shape != shape:
                    sizes = " and ".join(f"{size[1]}×{size[0]}" for size in (shape, picture.shape))
                    way_out = f"convert it: ffmpeg -i {path.name} -vf scale={shape[1]}:{shape[0]} other.mp4"
                    raise DataError(f"{path}: changes its size at frame {number} ({sizes}); {way_out}")
                number += 1
                damaged += frame.is_corrupt
                yield picture, np.nan if frame.pts is None else frame.time
            if number < stream.frames:
                told.append(f"ends after {number} of the {stream.frames} frames that its header has")
    except av.error.FFmpegError as error:
        way_out = "copy it again, or convert it: ffmpeg -i <video> other.mp4"
        problem = f"cannot be read as a video at frame {number} ({error.strerror})"
        raise DataError(f"{path}: {problem}; {way_out}") from None
    if not number:
        raise DataError(f"{path}: has no frames; give another file")
    if damaged:
        told.append(f"{damaged} of {number} frames are damaged, and their joints may be wrong")


def _upright(path: Path, frame: "av.VideoFrame") -> UInt8[np.ndarray, "H W 3"]:
    """The picture of a frame as it is to be shown."""
    quarters, rest = divmod(frame.rotation, 90)
    if rest:
        way_out = "convert it: ffmpeg -i <video> other.mp4"
        raise DataError(f"{path}: is to be turned by {frame.rotation}°, and not by 90 or 180; {way_out}")
    return np.rot90(frame.to_ndarray(format="rgb24"), quarters)


def count(path: Path) -> int | None:
    """About how many frames a video has by its header; None: unknown, or it cannot be read."""
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            duration = container.duration or 0
            return stream.frames or int(duration / av.time_base * (stream.average_rate or 0)) or None
    except (av.error.FFmpegError, IndexError):
        return None


def rate(times: Sequence[float], told: list[str]) -> float:
    """The mean number of frames a second of frames that are shown at some seconds; 0: unknown. If a frame is
    more than a frame away from its time at this rate, ``told`` gets a sentence about it."""
    seconds = np.array(times, float) - times[0]
    if not (len(times) > 1 and seconds[-1] > (len(times) - 1) / annotation.MAX_FPS):
        told.append("frames a second are unknown")
        return 0.0
    interval = float(seconds[-1] / (len(times) - 1))
    away = float(np.abs(seconds - interval * np.arange(len(times))).max())
    if away > interval:
        steps = 1000 * np.diff(seconds)
        told.append(
            f"variable frame rate ({steps.min():.0f} to {steps.max():.0f} ms from frame to frame): frames are"
            f" taken as they come, and at the mean rate of {1 / interval:.2f}, times are wrong by up to"
            f" {away:.2f} s"
        )
    return round(1 / interval, 6)
