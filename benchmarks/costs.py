"""Time and memory for a clip at each stage on this machine: the numbers of docs/scaling.md.

    python benchmarks/costs.py --preset quick --folder outputs/data/synthetic-v2
    python benchmarks/costs.py --preset paper --device cuda

Times are medians of ``--repeats``; ``OMP_NUM_THREADS`` sets the number of threads.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from miga_lib import cache, predictions, training
from miga_lib.clips import Clips, load
from miga_lib.runs import fingerprint
from miga_lib.settings import Settings, choose
from miga_lib.training import loop, processes
from miga_lib.training.distributed import World
from miga_lib.training.inputs import uniform

FULL_CLIPS = 13_936
"""Training clips of iMiGUE in the MiGA challenge."""


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of some work, after a first call that is not counted."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def size(folder: Path) -> int:
    """Bytes of all files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def reading(folder: Path, outputs: Path) -> tuple[Clips, list[tuple[str, float, str]]]:
    """The clips of a folder read into a new cache, and the costs of that."""
    began = time.perf_counter()
    data = load(folder, outputs=outputs)
    duration, cache, count = time.perf_counter() - began, size(outputs / "cache"), len(data)
    frames = data.table["frames"].sum()
    rows = [
        ("clips", count, ""),
        ("frames a clip, mean", frames / count, ""),
        ("source files", size(folder) / count / 1e3, "kB a clip"),
        ("reading them, once", 1e3 * duration / count, "ms a clip"),
        ("cache", cache / count / 1e3, "kB a clip"),
        ("opening the cache", 1e3 * seconds(lambda: load(folder, outputs=outputs), 5), "ms in all"),
    ]
    return data, rows


def started(data: Clips, settings: Settings, folder: Path, count: int) -> tuple[loop.Task, loop.State]:
    """A training whose epochs have ``count`` clips: the training clips of the data, some of them several
    times."""
    train, val = (np.flatnonzero(data.table["split"] == split) for split in ("train", "val"))
    part = data.where(np.concatenate([np.resize(train, count), val]))
    part = replace(part, table=part.table.assign(id=[f"clip {number}" for number in range(len(part))]))
    return loop.start(part, settings, folder, World(), lambda row: None, lambda: False)


def epoch(task: loop.Task, state: loop.State) -> None:
    """The steps of an epoch, without validation."""
    state.step = 0
    loop._train_epoch(task, state)


def learning(data: Clips, settings: Settings, repeats: int) -> list[tuple[str, float, str]]:
    """The costs of drawing, training and predicting a clip. Training is that of the loop, with ``repeats``
    steps in an epoch."""
    train, batch = data.split("train"), settings.batch_size
    few = train.where(np.arange(min(64, len(train))))
    with tempfile.TemporaryDirectory() as folder:
        task, state = started(data, settings, Path(folder), repeats * batch)
        step = seconds(lambda: epoch(task, state), 2) / repeats / batch
        drawing = seconds(lambda: task.inputs.training(torch.arange(batch), 0), repeats) / batch
        predicting = seconds(lambda: training.predict(state.model, few, settings), max(2, repeats // 4))
        path = Path(folder) / "last.ckpt"
        saving = seconds(lambda: state.save(path), 5)
        checkpoint = path.stat().st_size
    return [
        ("keypoints in memory", task.inputs.keypoints.nbytes / len(task.inputs) / 1e3, "kB a clip"),
        ("drawing a training input", 1e3 * drawing, "ms a clip"),
        ("training: drawing, forward, backward, update", 1e3 * step, "ms a clip"),
        (f"the same, {FULL_CLIPS:,} clips", FULL_CLIPS * step, "s an epoch"),
        ("predicting (all test views)", 1e3 * predicting / len(few), "ms a clip"),
        ("checkpoint", checkpoint / 1e6, "MB"),
        ("writing it", 1e3 * saving, "ms"),
    ]


def bookkeeping(data: Clips, count: int) -> list[tuple[str, float, str]]:
    """The costs of the table, the random numbers and the predictions of ``count`` clips, without those of
    keypoints."""
    table = pd.concat([data.table] * -(-count // len(data)), ignore_index=True).head(count)
    table = table.assign(id=[f"{row:010d}" for row in range(count)])
    many = replace(data, table=table)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(len(data.classes)), count)
    predicted = predictions.Predictions(
        table["id"].to_numpy(str), table["label"].to_numpy(), probabilities, np.array(data.classes)
    )
    with tempfile.TemporaryDirectory() as folder:
        path, npz = Path(folder) / "clips.csv", Path(folder) / "test.npz"
        table.to_csv(path, index=False)
        reading = seconds(lambda: pd.read_csv(path, dtype=cache.COLUMNS, keep_default_na=False), 3)
        saving = seconds(lambda: predicted.save(npz), 1)
        drawing = seconds(lambda: uniform.__wrapped__(count, 5, 0, 0), 3)
        return [
            ("clips in the table", count, ""),
            ("table on disk", path.stat().st_size / count, "bytes a clip"),
            ("table in memory", table.memory_usage(deep=True).sum() / count, "bytes a clip"),
            ("reading the table", 1e6 * reading / count, "us a clip"),
            ("its fingerprint", 1e6 * seconds(lambda: fingerprint(many), 3) / count, "us a clip"),
            ("random numbers of an epoch", 1e6 * drawing / count, "us a clip"),
            ("predictions on disk", npz.stat().st_size / count, "bytes a clip"),
            ("writing them", 1e6 * saving / count, "us a clip"),
        ]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="read this folder into a new cache; by default the cached synthetic clips"
    )
    parser.add_argument("--preset", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--stream", default="joint")
    parser.add_argument("--table", type=int, default=0, help="also measure a table of this number of clips")
    parser.add_argument("--repeats", type=int, default=20)
    given = parser.parse_args()
    settings = choose(preset=given.preset, device=given.device, stream=given.stream)
    with tempfile.TemporaryDirectory() if given.folder else nullcontext() as outputs, processes.kept_memory():
        data, rows = reading(given.folder, Path(outputs)) if given.folder else (load("synthetic"), [])
        rows += learning(data, settings, given.repeats)
        if given.table:
            rows += bookkeeping(data, given.table)
    hardware = platform.processor() or platform.machine()
    if settings.device.startswith("cuda"):
        hardware = torch.cuda.get_device_name()
    cores, threads = os.cpu_count(), torch.get_num_threads()
    print(f"{hardware}, {cores} cores, {threads} threads, torch {torch.__version__}, {settings.precision}")
    network = f"{settings.preset} preset, {settings.model} {settings.stream}, {settings.layout}"
    print(f"{network}, batch {settings.batch_size}")
    table = pd.DataFrame(rows, columns=["what", "cost", "unit"])
    print(table.to_string(index=False, float_format="{:.3g}".format))


if __name__ == "__main__":
    main()
