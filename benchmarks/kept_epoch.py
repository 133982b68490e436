"""Which network of a run should be kept: that of the last epoch, or of the epoch that is best on validation?

    python benchmarks/kept_epoch.py

There is one rule for all models and presets, so it is chosen here, on synthetic clips of people that no table
of docs/results.md uses (seed 1000 of the generator). What decides was written down before the first run: the
last epoch is kept, unless the best one has the higher top-1 over all networks and seeds together, with an
interval over the 35 test people that does not contain 0. The last epoch needs no choice by validation clips,
which are few in most sets, and the learning rate has fallen to 0 there.
"""

import argparse

import pandas as pd

from miga_lib import compare, intervals, metrics, predictions, synthetic, training
from miga_lib.clips import load
from miga_lib.runs import run_folder, run_name
from miga_lib.settings import choose
from miga_lib.sources import outputs_folder
from miga_lib.training import checkpoint

GENERATOR_SEED = 1000
NETWORKS = (("posec3d", "joint"), ("stgcn", "joint"), ("stgcnpp", "joint"))


def main() -> None:
    """Generate, train, print a row for each network and seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outputs", default="")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    given = parser.parse_args()
    source = outputs_folder(given.outputs) / "data" / f"synthetic-{GENERATOR_SEED}"
    if not source.exists():
        source.parent.mkdir(parents=True, exist_ok=True)
        synthetic.write(source, "synthetic", GENERATOR_SEED)
    differences = []
    for seed in given.seeds:
        for model, stream in NETWORKS:
            settings = choose(given.preset, model, stream=stream, seed=seed, keep="best")
            clips = load(source, outputs=given.outputs, **settings.clip_arguments)
            folder = run_folder(run_name(settings, source), given.outputs)
            training.fit(clips, settings, folder, progress=lambda row: None)
            network, settings = training.load_model(folder)
            network.load_state_dict(checkpoint.read(folder / "last.ckpt")["model"])
            last = training.predict(network, clips.split("test"), settings)
            best = predictions.load(folder / "test.npz")
            gap = (best.predicted == best.labels).astype(float) - (last.predicted == last.labels)
            differences.append(pd.Series(gap, index=best.ids))
            top1 = [metrics.percent((kept.predicted == kept.labels).mean()) for kept in (last, best)]
            print(f"{model} {stream}, seed {seed}: last {top1[0]}, best {top1[1]}", flush=True)
    gap = pd.concat(differences, axis=1).mean(axis=1)
    people = clips.groups().set_axis(clips.table["id"])[gap.index]
    best = intervals.of_networks(lambda some: float(gap.iloc[some].mean()), people.to_numpy())
    print(f"best against last: {compare.with_interval(*best[:3])} points, p = {best.p:.2g}")


if __name__ == "__main__":
    main()
