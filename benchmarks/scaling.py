"""Time against clips, frames, joints and batch size, as a table and a figure: ``python benchmarks/scaling.py
--figure scaling.png``.

Times are medians. Both axes are logarithmic, so that linear growth is a line of slope 1. The printed slope is
fitted to the upper half of the sizes, where the constant cost of a call does not matter.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from miga_lib import layouts, plots, training
from miga_lib.clips import Clips, load
from miga_lib.readers import miga
from miga_lib.settings import choose
from miga_lib.training import processes
from miga_lib.training.inputs import inputs_of

REPEATS = 5
LAYOUTS = ("coco17", "light_hand35", "imigue41", "openpose137")


def seconds(work: Callable[[], object]) -> float:
    """Median time of some work, after a first call that is not counted."""
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def made(count: int, frames: int, layout: str) -> Clips:
    """Clips of random keypoints that move little from frame to frame."""
    rng, rows = np.random.default_rng(0), np.arange(count)
    joints = len(layouts.get(layout).joints)
    keypoints = np.ones((count, frames, joints, 3), np.float32)
    shifts = rng.normal(0, 2, (count, frames, joints, 2)).cumsum(1)
    keypoints[..., :2] = rng.uniform(300, 600, (count, 1, joints, 2)) + shifts
    table = pd.DataFrame({"id": rows.astype(str), "label": rows % 32, "split": "train", "frames": frames})
    table = table.assign(start=rows * frames, missing=0.0)
    classes = tuple(map(str, range(32)))
    return Clips(table, keypoints.reshape(-1, joints, 3), layouts.get(layout), classes, "")


@processes.kept_memory()  # as training.fit does
def learning(batch: int = 16, frames: int = 16, layout: str = "imigue41") -> dict[str, float]:
    """Seconds for drawing a batch and for a step of the `quick` network, with another number of frames than
    the preset's."""
    some, rows, costs = made(batch, 2 * frames, layout), torch.arange(batch), {}
    for name, model in {"PoseC3D": "posec3d", "ST-GCN": "stgcn"}.items():
        settings = choose(model=model, preset="quick", frames=frames, layout=layout, device="cpu")
        inputs, network = inputs_of(some, settings), training.build(settings, 32, 384).train()
        given = inputs.training(rows, 0)

        def step(inputs=inputs, network=network, given=given, settings=settings) -> None:
            with training.autocast(settings):
                logits, _ = network(given)
            functional.cross_entropy(logits.float(), inputs.labels[rows]).backward()

        costs[f"step of {name}"] = seconds(step)
        if model == "posec3d":
            costs["drawing joints"] = seconds(lambda inputs=inputs: inputs.training(rows, 0))
    return costs


def collecting(count: int) -> dict[str, float]:
    """Seconds for reading ``count`` clips from MiGA folders, opening their cache and predicting them."""
    with tempfile.TemporaryDirectory() as folder:
        source, outputs = Path(folder) / "source", Path(folder) / "outputs"
        rng = np.random.default_rng(0)
        keypoints = rng.uniform(300, 600, (1, 137, 3)) + rng.normal(0, 2, (2000, 137, 3)).cumsum(0)
        keypoints[..., 2] = 1
        for video in range(1, count // 50 + 1):
            segments = [(label % 32, 40 * label, 40 * label + 39) for label in range(50)]
            miga.write_video(source, "train", f"{video:04d}", keypoints.astype(np.float32), segments)
        began = time.perf_counter()
        data = load(source, "imigue22", outputs)
        reading = time.perf_counter() - began
        opening = seconds(lambda: load(source, "imigue22", outputs))
    settings = choose(preset="smoke", layout="imigue22", device="cpu")
    few = made(count, 40, "imigue22")
    model = training.build(settings, 32, 384)
    assert len(data) == count
    return {
        "reading MiGA folders": reading,
        "opening the cache": opening,
        "predicting (smoke)": seconds(lambda: training.predict(model, few, settings)),
    }


def main() -> None:
    """Measure, print a table, draw a figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--figure", type=Path, default="outputs/scaling.png")
    path = parser.parse_args().figure
    collecting(250)  # starts the processes that read
    sizes = {
        "clips": [(count, collecting(count)) for count in (250, 500, 1000, 2000, 4000)],
        "frames T": [(frames, learning(frames=frames)) for frames in (8, 16, 32, 64, 128)],
        "joints V": [(len(layouts.get(name).joints), learning(layout=name)) for name in LAYOUTS],
        "clips a batch N": [(batch, learning(batch=batch)) for batch in (4, 8, 16, 32, 64)],
    }
    plots.style()
    figure, axes = plt.subplots(1, 4, figsize=(15, 4), sharey=True)
    for ax, (quantity, measurements) in zip(axes, sizes.items(), strict=True):
        table = pd.DataFrame(dict(measurements)).T
        for work, line in table.items():
            upper = line.iloc[len(line) // 2 - 1 :]
            slope = np.polyfit(np.log(upper.index), np.log(upper), 1)[0]
            ax.loglog(line.index, line, marker="o", label=f"{work}, slope {slope:.2f}")
            times = "  ".join(f"{size}: {median:.4f} s" for size, median in line.items())
            print(f"{quantity:16s} {work:24s} slope {slope:5.2f}   {times}")
        ax.set_xticks(table.index, [f"{size:,}" for size in table.index])
        ax.minorticks_off()
        ax.set_xlabel(quantity)
        ax.legend(fontsize=8)
    axes[0].set_ylabel("seconds")
    figure.savefig(path, dpi=100, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
