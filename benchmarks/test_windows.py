"""A recording of ten minutes, recognised: ``pytest benchmarks/test_windows.py --jaxtyping-packages=
--benchmark-only -s``.

15,000 frames of 137 joints are read, and joint and limb ``quick`` networks recognise a window every 4 frames.
The networks are not trained, which changes no time. Windows one by one are test clips of
``training.predict``, on a part of the recording; both sides use all cores. The recording is synthetic videos,
one after the other.
"""

import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch

from miga_lib import layouts, synthetic, training
from miga_lib.clips import load_recordings
from miga_lib.readers import Report, miga
from miga_lib.runs import environment
from miga_lib.settings import choose
from miga_lib.spotting import windows

FRAMES, FPS, STRIDE = 15_000, 25, 4
PART = 1_500


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A MiGA folder with one test video of ten minutes."""
    layout = layouts.get("openpose137")
    generated = synthetic.recordings("synthetic", layout, Report(), lambda videos, **_: videos)
    videos = [video.keypoints for video in islice(generated, 12)]
    keypoints = np.resize(np.concatenate(videos), (FRAMES, 137, 3))
    root = tmp_path_factory.mktemp("ten_minutes")
    miga.write_video(root, "train", "0001", keypoints, [(0, 0, 49)])
    return root


@pytest.fixture(scope="module")
def networks():
    settings = [choose(stream=stream, preset="quick", device="cpu") for stream in ("joint", "limb")]
    return [(training.build(stream, 32, 384).eval(), stream) for stream in settings]


def recognised(source, outputs, networks, lengths):
    """The posteriors of each frame, from the files on; the cache is written."""
    videos = load_recordings(source, outputs=outputs)
    both = [videos] * len(networks)
    by_video = windows.posteriors(networks, both, 32, lengths, STRIDE, lambda of: np.mean(of, axis=0))
    return by_video["0001"], videos


@pytest.mark.parametrize("lengths", [(32,), windows.LENGTHS], ids=str)
def test_ten_minutes_of_video(benchmark, source, networks, tmp_path, lengths):
    outputs = iter(tmp_path / str(number) for number in range(9))
    began = time.process_time()
    frames, videos = benchmark.pedantic(
        lambda: recognised(source, next(outputs), networks, lengths), rounds=1
    )
    spent, seconds = time.process_time() - began, benchmark.stats.stats.min
    assert np.allclose(frames.sum(1), 1, atol=1e-6)
    bounds = windows.bounds(PART, lengths, STRIDE)
    part = replace(videos, table=videos.table.assign(frames=PART))
    rows = pd.DataFrame(bounds, columns=["first", "last"]).assign(video="0001", label=-1)
    cut = replace(part, segments=rows[["video", "label", "first", "last"]]).cut()
    sides = {}
    for side in ("together", "one by one"):
        began, cpu = time.perf_counter(), time.process_time()
        for model, settings in networks:
            if side == "together":
                windows.predict(model, videos[0][:PART], bounds, settings, 32)
            else:
                training.predict(model, cut, settings)
        sides[side] = time.perf_counter() - began, time.process_time() - cpu
    (ours, ours_cpu), (theirs, theirs_cpu) = sides["together"], sides["one by one"]
    speed = f"{FRAMES / FPS / seconds:.1f} times as fast as real time"
    print(f"\nlengths {lengths}: {seconds:.1f} s ({spent:.1f} s of CPU time), {speed}")
    print(f"{PART} frames together {ours:.1f} s ({ours_cpu:.1f} s of CPU time)")
    print(f"one by one {theirs:.1f} s ({theirs_cpu:.1f} s of CPU time): {theirs / ours:.1f} times as long")
    print(f"{torch.get_num_threads()} threads, {environment()['machine']}")
