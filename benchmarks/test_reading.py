"""Reading, opening a cache, importing: ``pytest benchmarks/test_reading.py --jaxtyping-packages=
--benchmark-only -s``.

The empty ``--jaxtyping-packages=`` leaves out the type checks that the tests make at every call.
"""

import contextlib
import subprocess
import sys
import time

import numpy as np
import openpyxl
import pandas as pd
import pytest

from miga_lib import layouts
from miga_lib.cache import COLUMNS
from miga_lib.clips import load
from miga_lib.readers import Clip, Report, miga, openpose


def keypoints(frames, seed=0):
    values = np.random.default_rng(seed).uniform(0, 700, (frames, 137, 3)) * [1, 1, 1 / 700]
    return values.round(3).astype(np.float32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Forty videos of 10,000 frames, each with its light_hand file of 106 columns."""
    root = tmp_path_factory.mktemp("miga")
    light = layouts.selection(layouts.get("openpose137"), layouts.get("light_hand35"))
    first = root / miga.SPLIT_FOLDERS["train"] / "0001"
    first.mkdir(parents=True)
    table = pd.DataFrame(keypoints(10_000)[:, light].reshape(10_000, -1))
    table.to_csv(first / "0001_light_hand.csv", header=False, float_format="%.6g")
    text = (first / "0001_light_hand.csv").read_bytes()
    for number in range(1, 41):
        folder = first.parent / f"{number:04d}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:04d}_light_hand.csv").write_bytes(text)
        (folder / f"{number:04d}_label.csv").write_text("1,0,50\n")
    return root


def test_forty_folders_of_ten_thousand_frames(benchmark, folders):
    def read():
        return sum(
            len(clip.keypoints)
            for clip in miga.read(folders, layouts.get("imigue22"), Report(), lambda items, **_: items)
        )

    assert benchmark.pedantic(read, rounds=3, warmup_rounds=1) == 40 * 51
    print(f"\n40 folders of 10,000 frames: {benchmark.stats.stats.min:.2f} s")


@pytest.mark.parametrize(("videos", "frames"), [(1, 1), (1_000, 100)])
def test_a_cached_set_of_13936_clips_opens(benchmark, tmp_path, monkeypatch, videos, frames):
    """Each file of the source is listed at every opening: one file, and the 100,000 small files that OpenPose
    writes for 1,000 videos."""

    def many(*_):
        keypoints = np.zeros((50, 41, 3), np.float32)
        for number in range(13_936):
            yield Clip(
                f"{number // 100:04d}_{number % 100}",
                number % 32,
                "train",
                f"{number // 100:04d}",
                "1",
                1280,
                720,
                keypoints,
            )

    for video in range(videos):
        folder = tmp_path / "source" / f"{video:04d}"
        folder.mkdir(parents=True)
        for frame in range(frames):
            (folder / f"{video:04d}_{frame:012d}_keypoints.json").write_text('{"people": []}')
    monkeypatch.setattr(openpose, "read", many)
    load(tmp_path / "source", outputs=tmp_path)
    loaded = benchmark.pedantic(load, (tmp_path / "source",), {"outputs": tmp_path}, rounds=5)
    assert len(loaded) == 13_936
    assert set(COLUMNS) <= set(loaded.table)
    times = benchmark.stats.stats
    seconds = f"{times.median:.3f} s, at the most {times.max:.3f} s"
    print(f"\ncached set of 13,936 clips, source of {videos * frames:,} files: {seconds}")


def test_a_workbook_against_openpyxl(benchmark, tmp_path):
    miga.write_video(tmp_path, "train", "0001", keypoints(500), [(0, 0, 1)], openpose="xlsx")
    path = tmp_path / miga.SPLIT_FOLDERS["train"] / "0001" / "0001_openpose.xlsx"
    began = time.perf_counter()
    with contextlib.closing(openpyxl.load_workbook(path, read_only=True)) as workbook:
        expected = np.array(list(workbook.active.iter_rows(values_only=True)), dtype=np.float32)
    theirs = time.perf_counter() - began
    frames = benchmark.pedantic(miga.read_frames, (path, layouts.get("openpose137"), Report()), rounds=3)
    assert np.array_equal(frames.reshape(500, -1), expected)
    ours = benchmark.stats.stats.min
    ratio = f"{theirs / ours:.1f} times faster"
    print(f"\nworkbook of 500 frames: openpyxl {theirs:.2f} s, ours {ours:.2f} s: {ratio}")


def test_importing_the_package(benchmark):
    def fresh():
        light = "import sys, miga_lib; assert not {'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", light], check=True)

    def empty():
        subprocess.run([sys.executable, "-c", ""], check=True)

    began = time.perf_counter()
    empty()
    python = time.perf_counter() - began
    benchmark.pedantic(fresh, rounds=5, warmup_rounds=1)
    print(f"\nimport miga_lib: {benchmark.stats.stats.min:.3f} s with Python's own start of {python:.3f} s")
