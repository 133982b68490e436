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
    random = np.random.default_rng(0)
    joints = len(layouts.get(layout).joints)
    places = random.uniform(300, 600, (count, 1, joints, 2)) + random.normal(
        0, 2, (count, frames, joints, 2)
    ).cumsum(1)
    keypoints = (
        np.concatenate([places, np.ones((count, frames, joints, 1))], axis=-1)
        .astype(np.float32)
        .reshape(-1, joints, 3)
    )
    table = pd.DataFrame(
        {
            "id": [f"{i}" for i in range(count)],
            "label": np.arange(count) % 32,
            "split": "train",
            "frames": frames,
        }
    )
    table = table.assign(start=np.arange(count) * frames, missing=0.0)
    return Clips(table, keypoints, layouts.get(layout), tuple(map(str, range(32))), "")


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
        moving = np.random.default_rng(0).uniform(300, 600, (1, 137, 3)) + np.random.default_rng(1).normal(
            0, 2, (2000, 137, 3)
        ).cumsum(0)
        for video in range(1, count // 50 + 1):
            segments = [(label % 32, 40 * label, 40 * label + 39) for label in range(50)]
            miga.write_video(source, "train", f"{video:04d}", moving.astype(np.float32), segments)
        began = time.perf_counter()
        read = load(source, "imigue22", outputs)
        reading = time.perf_counter() - began
        opening = seconds(lambda: load(source, "imigue22", outputs))
    settings = choose(preset="smoke", layout="imigue22", device="cpu")
    few = made(count, 40, "imigue22")
    model = training.build(settings, 32, 384)
    assert len(read) == count
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
    rows = [
        (against, size, what, took)
        for against, found in sizes.items()
        for size, costs in found
        for what, took in costs.items()
    ]
    table = pd.DataFrame(rows, columns=["against", "size", "what", "seconds"])
    plots.style()
    figure, axes = plt.subplots(1, 4, figsize=(15, 4), sharey=True)
    for ax, (against, of) in zip(axes, table.groupby("against", sort=False), strict=True):
        for what, line in of.groupby("what", sort=False):
            upper = line.iloc[len(line) // 2 - 1 :]
            slope = np.polyfit(np.log(upper["size"]), np.log(upper["seconds"]), 1)[0]
            ax.loglog(line["size"], line["seconds"], marker="o", label=f"{what}, slope {slope:.2f}")
            print(
                f"{against:16s} {what:24s} slope {slope:5.2f}   "
                + "  ".join(f"{n}: {s:.4f} s" for n, s in zip(line["size"], line["seconds"], strict=True))
            )
        ax.set_xticks(of["size"].unique(), [f"{size:,}" for size in of["size"].unique()])
        ax.minorticks_off()
        ax.set_xlabel(against)
        ax.legend(fontsize=8)
    axes[0].set_ylabel("seconds")
    figure.savefig(path, dpi=100, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
