"""The networks on real people, and which of them are better: the tables of docs/results.md.

    python benchmarks/claims.py

prints them from the files in ``benchmarks/results``, in a second. These files hold, for each network, seed
and person, the number of clips and of correct predictions by networks that did not see the person. They are
written by ``kinder_gator.py`` and ``reach_to_grasp.py``, which train the networks.

With three seeds, intervals and tests are for other people and other trainings, ``intervals.of_trainings``.
With fewer, the folds are the unit: every fold has other people and a training of its own.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import baselines
import numpy as np
import pandas as pd

from miga_lib import compare, ensemble, intervals, predictions, training
from miga_lib.clips import Clips, load
from miga_lib.intervals import Estimate
from miga_lib.predictions import Predictions
from miga_lib.runs import run_folder, run_name, safe_name
from miga_lib.settings import choose
from miga_lib.sources import outputs_folder

RESULTS = Path(__file__).parent / "results"
LINEAR = "linear classifier"
NETWORKS = {
    "PoseC3D joint": {"model": "posec3d", "stream": "joint"},
    "PoseC3D limb": {"model": "posec3d", "stream": "limb"},
    "ST-GCN joint": {"model": "stgcn", "stream": "joint"},
    "ST-GCN++ joint": {"model": "stgcnpp", "stream": "joint"},
    "ST-GCN++ bone": {"model": "stgcnpp", "stream": "bone"},
    "PoseC3D joint, crop and pad": {"model": "posec3d", "stream": "joint", "temporal": "crop_pad"},
}
FUSED = {
    "joint + limb": ("PoseC3D joint", "PoseC3D limb"),
    "joint + limb + ST-GCN++ joint": ("PoseC3D joint", "PoseC3D limb", "ST-GCN++ joint"),
    "joint + limb + ST-GCN++ bone": ("PoseC3D joint", "PoseC3D limb", "ST-GCN++ bone"),
}
"""The mean of the probabilities of the members."""


class Comparison(NamedTuple):
    """A question about two of the rows, and the sets on which it was planned before training."""

    first: str
    second: str
    planned: tuple[str, ...] = ()


SETS = {"kinder_gator": "Kinder-Gator, 20 people", "reach_to_grasp": "reaches, 8 people"}
BOTH = tuple(SETS)
COMPARISONS = (
    Comparison("PoseC3D joint", "ST-GCN joint", BOTH),
    Comparison("PoseC3D joint", "PoseC3D joint, crop and pad", BOTH),
    Comparison("joint + limb", "PoseC3D joint", BOTH),
    Comparison("joint + limb", "PoseC3D limb", ("reach_to_grasp",)),
    Comparison("PoseC3D joint", "ST-GCN++ joint", ("kinder_gator",)),
    Comparison("PoseC3D joint", "ST-GCN++ bone", ("kinder_gator",)),
    Comparison("joint + limb + ST-GCN++ joint", "joint + limb", ("kinder_gator",)),
    Comparison("joint + limb + ST-GCN++ bone", "joint + limb"),
    Comparison("PoseC3D joint", "PoseC3D limb"),
    Comparison("PoseC3D joint", LINEAR),
    Comparison("ST-GCN joint", LINEAR),
    Comparison("ST-GCN++ joint", LINEAR),
)


def measure(name: str, source: Path, given: argparse.Namespace, folds: Sequence[Mapping[str, Any]]) -> None:
    """Train every network on every fold with every seed, write the results of a set, print them.

    Seeds of which the file has all networks are not trained again, so seeds can be added one by one, on any
    machine.

    Args:
        given: what ``arguments`` returns.
        folds: the settings of all runs of a fold.
    """
    if given.only_convert:
        print(f"{source}, with the layout {folds[0]['layout']}")
        return
    parts = [load(source, outputs=given.outputs, **choose(**fold).clip_arguments) for fold in folds]
    # With a share of the training clips, as many steps as with all of them.
    steps = len(parts[0].split("train")) // choose(given.preset).batch_size
    parts = [share(part, given.share) for part in parts]
    ending = "" if given.share == 1 else f"-{100 * given.share:g}"
    path = RESULTS / f"{name}{ending}.csv"
    table = _read(path) if path.exists() else pd.DataFrame(columns=["network", "seed"])
    linear = [baselines.linear(part)["test"] for part in parts]
    for seed in given.seeds:
        if {LINEAR, *NETWORKS, *FUSED} <= set(table["network"][table["seed"] == seed]):
            continue
        rows = _by_person(LINEAR, seed, linear, parts)
        tested: dict[str, list[Predictions]] = {}
        for title, changes in NETWORKS.items():
            tested[title], seconds = [], []
            for part, fold in zip(parts, folds, strict=True):
                settings = choose(given.preset, **changes, **fold, seed=seed)
                if given.share < 1:
                    settings = replace(settings, min_steps=settings.epochs * steps)
                run = run_folder(safe_name(run_name(settings, source) + ending), given.outputs)
                seconds.append(training.fit(part, settings, run, progress=lambda row: None)["seconds"])
                tested[title].append(predictions.load(run / "test.npz"))
            rows += _by_person(title, seed, tested[title], parts, float(np.mean(seconds)))
            print(f"{title}, seed {seed}: {np.mean(seconds):.0f} s a training", flush=True)
        for title, members in FUSED.items():
            of_folds = zip(*(tested[member] for member in members), strict=True)
            rows += _by_person(title, seed, [ensemble.fuse(of_fold) for of_fold in of_folds], parts)
        others = [table[table["seed"] != seed]] if len(table) else []
        table = pd.concat([*others, pd.DataFrame(rows)]).sort_values("seed", kind="stable")
        RESULTS.mkdir(exist_ok=True)
        table.to_csv(path, index=False)
    print(f"{path}\n{scores(_read(path))}")


def share(clips: Clips, part: float) -> Clips:
    """The clips with a share of the training clips of each class, at least two; the other splits stay."""
    table = clips.table
    train = table["split"] == "train"
    order = pd.Series(np.random.default_rng(0).random(len(table)), index=table.index)[train]
    labels = table.loc[train, "label"]
    sizes = np.maximum(2, np.ceil(part * labels.map(labels.value_counts())))
    drawn = order.groupby(labels).rank() <= sizes
    return clips.where(~train.to_numpy() | drawn.reindex(table.index, fill_value=False).to_numpy())


def arguments(description: str | None) -> argparse.Namespace:
    """What a benchmark on a cloned set of skeletons takes."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form)
    parser.add_argument("clone", type=Path, help="folder of the cloned repository")
    outputs = "folder of runs and caches; empty: the repository's outputs/"
    parser.add_argument("--outputs", default="", help=outputs)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--share", type=float, default=1.0, help="share of the training clips of each class")
    parser.add_argument("--only-convert", action="store_true", help="train nothing")
    return parser.parse_args()


def data_folder(outputs: str) -> Path:
    """Where a converted set is kept; it is made."""
    folder = outputs_folder(outputs) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _by_person(
    title: str, seed: int, of_folds: Sequence[Predictions], parts: Sequence[Clips], seconds: float = 0
) -> list[dict[str, Any]]:
    """A row for each test person."""
    rows = []
    for fold, (tested, part) in enumerate(zip(of_folds, parts, strict=True)):
        people = part.groups().set_axis(part.table["id"])[tested.ids].to_numpy()
        for person in np.unique(people):
            correct = (tested.predicted == tested.labels)[people == person]
            row = {"network": title, "seed": seed, "fold": fold, "person": person, "clips": len(correct)}
            rows.append(row | {"correct": int(correct.sum()), "seconds": round(seconds)})
    return rows


def estimate(table: pd.DataFrame, first: str, second: str = "") -> Estimate:
    """Top-1 of a network, or its difference from that of a second one. NaN where one was not measured."""
    people = table.drop_duplicates("person").set_index("person")
    if not {first, second or first} <= set(table["network"]):
        return Estimate(float("nan"))
    correct = table.pivot_table("correct", ["network", "seed"], "person")[people.index]
    gap = (correct.loc[first] - correct.loc[second]).dropna() if second else correct.loc[first]
    clips = people["clips"].to_numpy()

    def share_of(correct: np.ndarray) -> Callable[[np.ndarray], float]:
        return lambda rows: float(correct[rows].sum() / clips[rows].sum())

    if len(gap) >= intervals.MIN_SEEDS:
        return intervals.of_trainings(list(map(share_of, gap.to_numpy())), np.arange(len(people)))
    return intervals.of_networks(share_of(gap.mean().to_numpy()), people["fold"].to_numpy())


def scores(table: pd.DataFrame) -> str:
    """The networks, their top-1 and the time of a training, as Markdown."""
    rows = []
    for title, own in table.groupby("network", sort=False):
        value, low, high, _ = estimate(table, title).bounded()
        of_seeds = own.groupby("seed")[["correct", "clips"]].sum()
        shares = 100 * of_seeds["correct"] / of_seeds["clips"]
        row = {"network": title, "top-1": f"{100 * value:.1f} %"}
        row |= {"95 % interval": f"{100 * low:.1f} to {100 * high:.1f}"}
        row |= {"each seed": ", ".join(f"{share:.1f}" for share in dict.fromkeys(shares.round(1)))}
        seconds = own["seconds"].mean()
        rows.append(row | {"one training": f"{seconds / 60:.1f} min" if seconds else ""})
    return markdown(rows)


def answers(tables: Mapping[str, pd.DataFrame]) -> str:
    """All comparisons on all sets, as Markdown. The p values of a set are adjusted among the planned
    comparisons and among the exploratory ones, those not measured yet among them; a star marks the planned
    ones."""
    rows = [{"first against second": f"{first} against {second}"} for first, second, _ in COMPARISONS]
    for name, table in tables.items():
        estimates = [estimate(table, first, second) for first, second, _ in COMPARISONS]
        planned = np.array([name in comparison.planned for comparison in COMPARISONS])
        p = np.nan_to_num([item.p for item in estimates], nan=1.0)
        for kind in (planned, ~planned):
            p[kind] = intervals.adjusted(p[kind])
        for row, item, is_planned, chance in zip(rows, estimates, planned, p, strict=True):
            tested = not np.isnan(item.value)
            row[f"{SETS[name]}: difference (points)"] = compare.with_interval(*item[:3]) if tested else "–"
            row[f"p, {name}"] = f"{chance:.2g}" if tested else "–"
            verdict = compare.verdict(item.value, chance) if tested else "not measured yet"
            row[f"verdict, {name}"] = verdict + " *" * bool(is_planned)
    return markdown(rows)


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """A table as Markdown."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *(row.values() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measured() -> dict[str, pd.DataFrame]:
    """The results of each set that has been measured."""
    files = {name: RESULTS / f"{name}.csv" for name in SETS}
    return {name: _read(path) for name, path in files.items() if path.exists()}


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"person": str})


if __name__ == "__main__":
    for name, table in measured().items():
        print(f"\n{SETS[name]}\n\n{scores(table)}")
    print(f"\n{answers(measured())}")
