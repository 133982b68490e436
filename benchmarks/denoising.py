"""Filters of detector errors, measured on synthetic clips against the true places of the joints: the tables
of docs/results.md.

    python benchmarks/denoising.py --data synthetic --split test
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

from miga_lib import denoising, layouts
from miga_lib.analysis import noise
from miga_lib.clips import load

SCORE_EDGES = (0, 0.1, 0.3, 0.5, 0.7, 1.1)
"""Edges of the ranges of the score for which errors are given."""
LARGE_ERROR = 15
"""Pixels."""
FACE = ("head", "jaw", "brows", "lips")
REPAIRS = "swaps+outliers+gaps"
CHAINS = ("", *denoising.FILTERS, REPAIRS, f"{REPAIRS}+savitzky_golay")
CLIPS = 18_499


def markdown(rows: dict[str, pd.Series], form: str) -> str:
    """A table with one number format, the filters as the first column."""
    table = pd.DataFrame(rows).T
    cells = table.map(lambda value: "" if pd.isna(value) else format(value, form))
    lines = [["filters", *table.columns], ["---"] * (1 + len(table.columns))]
    lines += [[name or "none", *row] for name, row in zip(cells.index, cells.to_numpy(), strict=True)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def tables(data: str, split: str, chains: Sequence[str]) -> None:
    """Print all tables of one split of a synthetic set."""
    raw = load(data).split(split)
    clean = noise.truth(raw, data)
    means, large, by_score, others = {}, {}, {}, {}
    for chain in chains:
        table = noise.errors(raw, denoising.denoised(raw, chain), clean)
        table["region"] = table["region"].astype(str).where(~table["region"].isin(FACE), "face")
        detected = table[table["joint"] == "detected"]
        by_region = detected.groupby("region")["error"]
        means[chain] = by_region.mean()
        large[chain] = 100 * by_region.agg(lambda error: (error > LARGE_ERROR).mean())
        ranges = pd.cut(detected["score"], SCORE_EDGES)
        by_score[chain] = detected.groupby(ranges, observed=True)["error"].mean()
        by_joint = table[table["joint"] != "detected"].groupby("joint")["error"]
        sizes, errors = by_joint.size().add_suffix(", number"), by_joint.mean().add_suffix(", error")
        others[chain] = pd.concat([sizes, errors])
    print(f"{len(raw)} clips, {len(clean):,} frames\n")
    print(f"mean error of detected joints, px\n\n{markdown(means, '.2f')}\n")
    print(f"by score\n\n{markdown(by_score, '.2f')}\n")
    print(f"over {LARGE_ERROR} px, %\n\n{markdown(large, '.2f')}\n")
    print(f"joints that are filled or removed, and their mean error in px\n\n{markdown(others, '.1f')}")


def speed(chains: Sequence[str]) -> None:
    """Print the seconds that each filter takes."""
    rng, layout = np.random.default_rng(0), layouts.get("imigue41")
    frames = np.clip(40 * np.exp(rng.normal(0, 0.65, CLIPS)), 2, 400).astype(int)
    keypoints = rng.random((frames.sum(), len(layout.joints), 3), dtype=np.float32)
    keypoints *= np.float32([600, 600, 1])
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
    parser.add_argument("--speed", action="store_true", help="measure the time only")
    chosen = parser.parse_args()
    if chosen.speed:
        speed(chosen.filters)
    else:
        tables(chosen.data, chosen.split, chosen.filters)
