"""Filters of detector errors, measured on synthetic clips against the true places of the joints: the tables
of docs/results.md.

    python benchmarks/denoising.py --data synthetic --split test --figure docs/images/denoising.png
    python benchmarks/denoising.py --speed

``--speed`` measures instead how long each filter takes for as many clips as synthetic-full has, of random
keypoints.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from miga_lib import denoising, layouts, plots
from miga_lib.analysis import noise
from miga_lib.clips import load

FACE = ("head", "jaw", "brows", "lips")
REPAIRS = "swaps+outliers+gaps"
CHAINS = ("", *denoising.FILTERS, REPAIRS, *(f"{REPAIRS}+{name}" for name in denoising.SMOOTHING))
FIGURED = ("", *denoising.SMOOTHING, REPAIRS, f"{REPAIRS}+savitzky_golay")
CLIPS = 18_499


def markdown(table: pd.DataFrame, form: str) -> str:
    """A table with one number format, its index as the first column."""
    cells = table.map(lambda value: "" if pd.isna(value) else format(value, form))
    rows = [[table.index.name or "filters", *table.columns], ["---"] * (1 + len(table.columns))]
    rows += [[name or "none", *row] for name, row in zip(cells.index, cells.to_numpy(), strict=True)]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def tables(data: str, split: str, chains: Sequence[str], figure: str = "") -> None:
    """Print all tables of one split of a synthetic set, and write the figure."""
    raw = load(data).split(split)
    clean, found, kept, spectra = noise.truth(raw, data), {}, {}, {}
    for chain in chains:
        filtered = denoising.denoised(raw, chain)
        of_joints = noise.errors(raw, filtered, clean)
        of_joints["region"] = of_joints["region"].astype(str).where(~of_joints["region"].isin(FACE), "face")
        of_joints["moving"] = np.where(of_joints["class"].isin(noise.OSCILLATING), "oscillating", "other")
        detected = of_joints[of_joints["joint"] == "detected"]
        hands = detected[detected["region"].isin(["arm", "hand"])]
        found[chain] = {
            "mean": detected.groupby("region")["error"].mean(),
            "over 15 px": 100 * detected.groupby("region")["error"].agg(lambda error: (error > 15).mean()),
            "by score": noise.by_score(of_joints),
            "median": hands.groupby(["region", "moving"])["error"].median(),
        }
        others = of_joints[of_joints["joint"] != "detected"].groupby("joint")["error"].agg(["size", "mean"])
        kept[chain] = {
            f"{joint}, {what}": value for joint, row in others.iterrows() for what, value in row.items()
        }
        moving = (
            raw.table["label"]
            .isin([raw.classes.index(name) for name in noise.OSCILLATING if name in raw.classes])
            .to_numpy()
        )
        rows = np.repeat(moving, raw.table["frames"])
        spectra[chain] = noise.spectrum(filtered.where(moving), clean[rows])
    if figure:
        plots.style()
        drawn = plots.filter_effects(*noise.effects(raw, clean, FIGURED))[0].figure
        drawn.savefig(figure, dpi=150, pil_kwargs={"optimize": True})
    print(f"{len(raw)} clips, {len(clean):,} frames, {moving.sum()} clips of oscillating classes\n")
    for what, form in (("mean", ".2f"), ("over 15 px", ".2f"), ("by score", ".2f"), ("median", ".2f")):
        print(f"{what}\n\n{markdown(pd.DataFrame({name: of[what] for name, of in found.items()}).T, form)}\n")
    print(f"filled and removed: number, mean error\n\n{markdown(pd.DataFrame(kept).T, '.1f')}\n")
    print(
        f"true motion of {', '.join(f'{band} {value:.2f} px' for band, value in next(iter(spectra.values()))['motion'].items())}\n"
    )
    for what, form in (("kept", ".0%"), ("error", ".2f")):
        print(
            f"{what} by frequency\n\n{markdown(pd.DataFrame({name: of[what] for name, of in spectra.items()}).T, form)}\n"
        )


def speed(chains: Sequence[str]) -> None:
    """Print the seconds that each filter takes."""
    rng, layout = np.random.default_rng(0), layouts.get("imigue41")
    frames = np.clip(40 * np.exp(rng.normal(0, 0.65, CLIPS)), 2, 400).astype(int)
    keypoints = rng.random((frames.sum(), len(layout.joints), 3), dtype=np.float32) * np.float32(
        [600, 600, 1]
    )
    keypoints[rng.random(keypoints.shape[:2]) < 0.15] = 0
    print(f"{CLIPS:,} clips, {len(keypoints):,} frames, {torch.get_num_threads()} threads of PyTorch")
    for chain in chains:
        began, busy = time.perf_counter(), time.process_time()
        denoising.denoise(torch.from_numpy(keypoints), torch.from_numpy(frames), chain, layout)
        took, busy = time.perf_counter() - began, time.process_time() - busy
        print(f"{chain or 'none':45} {took:6.1f} s, {busy:6.1f} s of CPU time", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="synthetic", help="a synthetic set")
    parser.add_argument("--split", default="test")
    parser.add_argument("--filters", nargs="+", default=CHAINS, help="values of `denoise`")
    parser.add_argument("--figure", default="", help="where to write a figure of some of them, a png file")
    parser.add_argument("--speed", action="store_true", help="measure the time only")
    chosen = parser.parse_args()
    if chosen.speed:
        speed(chosen.filters)
    else:
        tables(chosen.data, chosen.split, chosen.filters, chosen.figure)
