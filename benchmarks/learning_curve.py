"""Accuracy against the number of training clips: of several models, from random weights and from given ones.

    python benchmarks/learning_curve.py outputs/data/reach_to_grasp.pkl --layout outputs/data/reach50.json \\
        --models posec3d stgcn --start-from "" outputs/runs/posec3d-joint-openpose137-align-quick-0 --figure
        outputs/accuracy-by-clips.png

Each share of the training clips is drawn at random within every class; a smaller share is a part of a larger
one with the same seed. By default all runs of a table have the same number of optimiser steps, those of all
training clips. Prints a row for each share: the mean test top-1 over the seeds for the linear classifier and
for each model and start, their mean validation top-1, and the gain over the first of them with its bootstrap
interval over seeds and the test clips' subjects or videos, or clips where these are fewer than ten. A start
is for the first model.
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import baselines
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import reach_to_grasp
import seaborn as sns

from miga_lib import compare, metrics, plots, predictions, training
from miga_lib.clips import Clips, load
from miga_lib.predictions import Predictions
from miga_lib.runs import run_folder, run_name, safe_name
from miga_lib.settings import choose


def part(data: Clips, share: float, seed: int) -> Clips:
    """The clips with a share of the training clips, at least two of each class; the other splits stay as they
    are."""
    table, rng = data.table, np.random.default_rng(seed)
    order = pd.Series(rng.random(len(table)), index=table.index)
    train = table["split"] == "train"
    labels = table.loc[train, "label"]
    sizes = np.maximum(2, np.ceil(share * labels.map(labels.value_counts())))
    drawn = order[train].groupby(labels).rank() <= sizes
    return data.where(~train.to_numpy() | drawn.reindex(table.index, fill_value=False).to_numpy())


def gain(better: list[Predictions], worse: list[Predictions], groups: pd.Series) -> str:
    """The difference in top-1, averaged over pairs of runs of one seed, and its interval over groups and
    seeds."""
    correct = [np.stack([run.predicted == run.labels for run in runs]) for runs in (better, worse)]
    differences = correct[0].astype(float) - correct[1].astype(float)
    low, high = metrics.interval(
        lambda clips, seeds: differences[np.ix_(seeds, clips)].mean(),
        groups[better[0].ids].to_numpy(),
        np.arange(len(better)),
    )
    return compare.with_interval(differences.mean(), low, high)


def main() -> None:
    """Train, print, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--layout", default="imigue41")
    parser.add_argument("--models", nargs="+", default=["posec3d"])
    parser.add_argument("--stream", default="joint")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.1, 0.25, 0.5, 1.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--min-steps", type=int, help="as in the settings; default: the steps of all training clips"
    )
    parser.add_argument(
        "--start-from", nargs="+", default=[""], help="runs or files of weights; the first is the base"
    )
    parser.add_argument("--outputs", default="")
    parser.add_argument("--figure", default="")
    given = parser.parse_args()
    base = choose(given.preset, given.models[0], stream=given.stream, layout=given.layout)
    data = load(given.data, outputs=given.outputs, **base.clip_arguments)
    groups = data.groups().set_axis(data.table["id"])
    if groups[data.split("test").table["id"]].nunique() < metrics.MIN_GROUPS:
        groups[:] = groups.index  # an interval over so few people would be too narrow
    steps = base.epochs * math.ceil((data.table["split"] == "train").sum() / base.batch_size)
    base = replace(base, min_steps=steps if given.min_steps is None else given.min_steps)
    starts = {
        f"{base.model} from {Path(start).name}" if start else base.model: start for start in given.start_from
    }
    compared = {name: replace(base, start_from=start) for name, start in starts.items()}
    common = {"stream": given.stream, "layout": given.layout, "min_steps": base.min_steps}
    compared |= {model: choose(given.preset, model, **common) for model in given.models[1:]}
    names = list(compared)
    rows, points = [], []
    for share in given.shares:
        parts = {seed: part(data, share, seed) for seed in given.seeds}
        validation: dict[str, list[float]] = {name: [] for name in names}
        tested = {"linear": [baselines.linear(clips)["test"] for clips in parts.values()]}
        for name, variant in compared.items():
            tested[name] = []
            for seed, clips in parts.items():
                settings = replace(variant, seed=seed)
                run = run_folder(safe_name(f"{run_name(settings, given.data)}-share{share:g}"), given.outputs)
                result = training.fit(clips, settings, run, progress=lambda row: None)
                validation[name].append(result["scores"]["val"]["top1"])
                tested[name].append(predictions.load(run / "test.npz"))
        count = len(parts[given.seeds[0]].split("train"))
        row = {"training clips": str(count)}
        for name, runs in tested.items():
            scores = [100 * metrics.scores(run)["top1"] for run in runs]
            row[name] = f"{np.mean(scores):.1f} %"
            points += [{"clips": count, "what": name, "top1": score} for score in scores]
        row |= {f"validation: {name}": f"{100 * np.mean(top1):.1f} %" for name, top1 in validation.items()}
        row |= {f"gain: {name}": gain(tested[name], tested[names[0]], groups) for name in names[1:]}
        rows.append(row)
        print(row, flush=True)
    reach_to_grasp.show(rows)
    if given.figure:
        plots.style()
        ax = plt.subplots(figsize=(7, 4))[1]
        sns.lineplot(
            pd.DataFrame(points),
            x="clips",
            y="top1",
            hue="what",
            style="what",
            markers=True,
            errorbar=("pi", 100),
            ax=ax,
        )
        ax.set(
            xscale="log",
            xlabel="training clips",
            ylabel="test top-1 (%)",
            title=f"bands: lowest to highest of {len(given.seeds)} seeds",
        )
        counts = [int(row["training clips"]) for row in rows]
        ax.set_xticks(counts, counts)
        ax.minorticks_off()
        ax.legend(frameon=False)
        ax.figure.savefig(given.figure, dpi=150)


if __name__ == "__main__":
    main()
