"""The pictures of a video, upright and in their order, and the times when they are shown."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from ..readers import DataError, annotation, folders

if TYPE_CHECKING:
    import av

TURNS = [(1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)]
"""The first two rows and columns of a display matrix that turns a picture 0, 1, 2 and 3 times by 90°
counterclockwise."""
CONVERT = "ffmpeg -i <video> other.mp4"
SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


def find(places: Sequence[str | Path]) -> list[Path]:
    """Videos, and those in folders up to three levels down, each once.

    Raises DataError where a place does not exist or has no video, or two videos have the same name without
    suffix, or one that a table cannot hold.
    """
    videos: dict[str, Path] = {}
    for place in map(Path, places):
        files = [place]
        if place.is_dir():
            files = [path for path in folders.below(place, "*") if path.suffix.lower() in SUFFIXES]
        if not files or not all(path.is_file() for path in files):
            problem = "has no videos" if place.is_dir() else "no such file or folder"
            raise DataError(f"{place}: {problem}; give videos ({', '.join(SUFFIXES)}) or folders of them")
        for path in files:
            name = path.stem
            if not name.isprintable() or name != name.strip() or folders.is_litter(name):
                rule = "the name of a video must be printable, and not begin or end with a space or a dot"
                raise DataError(f"{path!s:.200}: {rule}; rename it")
            other = videos.setdefault(name.casefold(), path)
            if other.resolve() != path.resolve():
                raise DataError(f"{other} and {path}: would have the same name; rename one of them")
    return list(videos.values())


def read(path: Path, told: list[str]) -> Iterator[tuple[UInt8[np.ndarray, "H W 3"], float]]:
    """The frames of a video as RGB, and the second at which each is shown (nan: unknown). What is unusual is
    added to ``told``. Needs the package ``av`` (``miga_lib[video]``).

    Raises:
        DataError: it is no video, cannot be read to its end, changes its size, or is to be mirrored.
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
                turns = quarters(path, frame)
                if not number and turns:
                    told.append(f"its frames are turned by {360 - 90 * turns}° clockwise, to be upright")
                picture = np.rot90(frame.to_ndarray(format="rgb24"), turns)
                shape = shape or picture.shape
                if picture.shape != shape:
                    sizes = " and ".join(f"{size[1]}×{size[0]}" for size in (shape, picture.shape))
                    way_out = f"convert it: ffmpeg -i <video> -vf scale={shape[1]}:{shape[0]} other.mp4"
                    raise DataError(f"{path}: changes its size at frame {number} ({sizes}); {way_out}")
                number += 1
                damaged += frame.is_corrupt
                yield picture, np.nan if frame.pts is None else frame.time
            if number < stream.frames:
                told.append(f"has {number} of the {stream.frames} frames that its header states")
    except av.error.FFmpegError as error:
        problem = f"cannot be read as a video at frame {number} ({error.strerror})"
        raise DataError(f"{path}: {problem}; copy it again, or convert it: {CONVERT}") from None
    if not number:
        raise DataError(f"{path}: has no frames; give another file")
    if damaged:
        told.append(f"{damaged} of {number} frames are damaged, and their joints may be wrong")


def quarters(path: Path, frame: "av.VideoFrame") -> int:
    """How often a frame of a video is to be turned by 90° counterclockwise before it is shown. Raises
    DataError where it is to be mirrored, or turned by another angle."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0
    numbers = np.frombuffer(bytes(matrix), np.int32).reshape(3, 3)[:2, :2] / 2**16
    turn = tuple(np.round(numbers.ravel(), 3).tolist())
    if turn not in TURNS:
        problem = "is to be mirrored, or turned by no multiple of 90°, when it is shown"
        raise DataError(f"{path}: {problem}; see which way is right, and convert it: {CONVERT}")
    return TURNS.index(turn)


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
