"""The models on real OpenPose skeletons that anyone can get: which of three cubes a person reaches for.

    git clone https://github.com/nsoul97/object_size_prediction
    python benchmarks/reach_to_grasp.py object_size_prediction

715 reaches of 8 seated people, 50 joints of the upper body and both hands, 60 frames a second. P1–P5 are the
training split, P6 the validation split, P7 and P8 the test split; the classes are the sizes of the cube. All
settings are the defaults. Joint and limb heatmaps are also fused with the stream of ST-GCN++ that is better
on validation; these three are trained leaving out one subject at a time, too. Prints the tables of README.md.

Source: Dagioglou, Soulounias, Giannakopoulos, Object Size Prediction from Hand Movement Using a Single RGB
Sensor, HCII 2022. MIT licence of the data.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import baselines
import numpy as np
import pandas as pd

from miga_lib import ensemble, layouts, metrics, predictions, training
from miga_lib.clips import Clips, load
from miga_lib.predictions import Predictions
from miga_lib.readers import pyskl
from miga_lib.runs import run_folder, run_name
from miga_lib.settings import choose
from miga_lib.sources import outputs_folder
from miga_lib.splits import LEAVE_ONE_OUT

CLASSES = {"S": "small", "M": "medium", "L": "large"}
SPLITS = {"P6": "val", "P7": "test", "P8": "test"}
WIDTH, HEIGHT = 320, 240
JOINTS = [
    *layouts.BODY_25[1:9],
    *(f"{side}_{part}" for side in ("left", "right") for part in layouts.HAND_21),
]
"""The joints of the files, in their order, by the names of OpenPose's layouts."""
STREAMS = {"posec3d": ("joint", "limb"), "stgcn": ("joint", "bone"), "stgcnpp": ("joint", "bone")}
NAMES = {"posec3d": "PoseC3D", "stgcn": "ST-GCN", "stgcnpp": "ST-GCN++"}


def layout() -> layouts.Layout:
    """The 50 joints: arms, mid hip and both hands, with the limbs of ``openpose137`` among them."""
    openpose = layouts.get("openpose137")
    index = {joint: v for v, joint in enumerate(JOINTS)}
    names = [(openpose.joints[a], openpose.joints[b]) for a, b in openpose.limbs]
    limbs = [(index[a], index[b]) for a, b in names if a in index and b in index]
    regions = {}
    for name, joints in openpose.regions.items():
        joints = [index[openpose.joints[v]] for v in joints if openpose.joints[v] in index]
        if joints:
            regions[name] = joints
    return layouts.make("reach50", JOINTS, limbs, "neck", regions=regions)


def read_movement(path: Path, onset: float, end: float) -> np.ndarray:
    """Keypoints (T, 50, 3) of a reach: the frames with onset ≤ time ≤ end, in seconds.

    A last row whose time does not grow is dropped: in most files it repeats the row before, in one it is
    damaged.

    Raises:
        ValueError: another number of columns, or a time within the file that does not grow.
    """
    table = pd.read_csv(path).apply(pd.to_numeric, errors="coerce").to_numpy(float)
    columns, numbers = table.shape[1], 3 * len(JOINTS)
    if columns != 1 + numbers:
        raise ValueError(
            f"{path}: expected a time and {numbers} numbers in each row, found {columns} columns"
        )
    if len(table) > 1 and not table[-1, 0] > table[-2, 0]:
        table = table[:-1]
    times = table[:, 0]
    grows = np.diff(times) > 0
    if not grows.all():
        row = int(grows.argmin()) + 1
        raise ValueError(f"{path}: the time must grow from row to row, in row {row} it does not")
    first, last = np.searchsorted(times, onset, "left"), np.searchsorted(times, end, "right")
    return table[first:last, 1:].reshape(-1, len(JOINTS), 3).astype(np.float32)


def convert(dataset: Path, names: Sequence[str] = ()) -> Clips:
    """The reaches in a folder with ``RtG_onset_end.csv`` and ``data``, in the order of their names; with
    ``names`` only these."""
    bounds = pd.read_csv(dataset / "RtG_onset_end.csv").sort_values("Movement")
    rows, frames, start = [], [], 0
    for movement, onset, end in bounds.itertuples(index=False):
        id = movement.removesuffix(".csv")
        if names and id not in names:
            continue
        subject, size, _ = id.split("_")
        keypoints = read_movement(dataset / "data" / subject / movement, onset, end)
        row = {"id": id, "label": list(CLASSES).index(size), "split": SPLITS.get(subject, "train")}
        row |= {"video": id, "subject": subject, "frames": len(keypoints), "width": WIDTH, "height": HEIGHT}
        rows.append(row | {"missing": (keypoints[..., 2] == 0).mean(), "start": start})
        frames.append(keypoints)
        start += len(keypoints)
    return Clips(pd.DataFrame(rows), np.concatenate(frames), layout(), tuple(CLASSES.values()), "")


def row(name: str, runs: Sequence[Predictions], groups: pd.Series, seconds: float = 0) -> dict[str, str]:
    """A row of the table: accuracy averaged over the predictions of each seed, with its interval over groups
    of clips and seeds."""
    runs = ensemble.join(runs)
    correct = np.array([run.predicted == run.labels for run in runs], dtype=float)
    low, high = metrics.interval(
        lambda clips, seeds: float(correct[np.ix_(seeds, clips)].mean()),
        groups[runs[0].ids].to_numpy(),
        np.arange(len(runs)),
    )
    scores = [metrics.scores(run) for run in runs]
    return {
        "what": name,
        "top-1": f"{100 * correct.mean():.1f} %",
        "interval": f"{100 * low:.1f} to {100 * high:.1f}",
        "seeds": ", ".join(f"{100 * score['top1']:.1f}" for score in scores) if len(scores) > 1 else "",
        "macro-F1": f"{100 * np.mean([score['macro_f1'] for score in scores]):.1f} %",
        "training a run": f"{seconds:.0f} s" if seconds else "",
    }


def fuse_seeds(members: Sequence[Sequence[Predictions]]) -> list[Predictions]:
    """The members fused for each seed."""
    return [ensemble.fuse(runs) for runs in zip(*members, strict=True)]


def show(rows: list[dict[str, str]]) -> None:
    """Print a table as Markdown."""
    print("\n| " + " | ".join(rows[0]) + " |\n|" + " --- |" * len(rows[0]))
    print("\n".join("| " + " | ".join(row.values()) + " |" for row in rows), flush=True)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """What a benchmark on a cloned set of skeletons takes."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form)
    parser.add_argument("clone", type=Path, help="folder of the cloned repository")
    outputs = "folder of runs and caches; empty: the repository's outputs/"
    parser.add_argument("--outputs", default="", help=outputs)
    parser.add_argument("--preset", default="auto")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    return parser


def data_folder(outputs: str) -> Path:
    """Where a converted set is kept; it is made."""
    folder = outputs_folder(outputs) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> None:
    """Convert, train, print."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--denoise", default="", help="filters of detector errors, such as swaps+outliers+gaps"
    )
    parser.add_argument(
        "--fold-seeds", nargs="+", type=int, default=[0], help="seeds of the runs that leave out one subject"
    )
    parser.add_argument("--without-folds", action="store_true", help="do not leave out one subject at a time")
    given = parser.parse_args()
    place = data_folder(given.outputs)
    source, skeleton = place / "reach_to_grasp.pkl", place / "reach50.json"
    if not source.exists():
        pyskl.write(source, convert(given.clone / "dataset"))
    layouts.save(layout(), skeleton)
    data = load(source, str(skeleton), given.outputs)
    print(data.summary().to_string())
    each_clip = pd.Series(data.table["id"].to_numpy(), index=data.table["id"])
    each_subject = data.groups().set_axis(data.table["id"])
    rows = [row("always the most frequent class of training", [baselines.majority(data)], each_clip)]
    rows.append(row("linear classifier on aligned coordinates", [baselines.linear(data)["test"]], each_clip))

    def trained(model: str, stream: str, **more: Any) -> tuple[dict[str, Any], Predictions]:
        """The result of a run and its test predictions."""
        settings = choose(
            model=model,
            stream=stream,
            layout=str(skeleton),
            preset=given.preset,
            denoise=given.denoise,
            **more,
        )
        run = run_folder(run_name(settings, source), given.outputs)
        part = load(source, outputs=given.outputs, **settings.clip_arguments)
        return training.fit(part, settings, run, progress=lambda row: None), predictions.load(
            run / "test.npz"
        )

    runs: dict[tuple[str, str], list[Predictions]] = {}
    validation: dict[tuple[str, str], float] = {}
    for model, streams in STREAMS.items():
        for stream in streams:
            results, tested = zip(*(trained(model, stream, seed=seed) for seed in given.seeds), strict=True)
            runs[model, stream] = list(tested)
            scores = [result["scores"]["val"]["top1"] for result in results]
            validation[model, stream] = float(np.mean(scores))
            seconds = float(np.mean([result["seconds"] for result in results]))
            rows.append(row(f"{NAMES[model]} {stream}", tested, each_clip, seconds))
            print(rows[-1], f"validation {validation[model, stream]:.3f}", flush=True)
        name = f"{NAMES[model]} {' + '.join(streams)}, 1:1"
        rows.append(row(name, fuse_seeds([runs[model, stream] for stream in streams]), each_clip))
    third = max(STREAMS["stgcnpp"], key=lambda stream: validation["stgcnpp", stream])
    members = [("posec3d", "joint"), ("posec3d", "limb"), ("stgcnpp", third)]
    all_three = f"PoseC3D joint + limb + ST-GCN++ {third}, 1:1:1"
    rows.append(row(all_three, fuse_seeds([runs[member] for member in members]), each_clip))
    show(rows)
    if given.without_folds:
        return
    folds = [{"protocol": LEAVE_ONE_OUT, "fold": fold} for fold in range(data.table["subject"].nunique())]
    parts = [load(source, str(skeleton), given.outputs, **fold) for fold in folds]
    linear = predictions.concatenate([baselines.linear(part)["test"] for part in parts])
    rows = [row("linear classifier on aligned coordinates", [linear], each_subject)]
    fold_runs = []
    for model, stream in members:
        seeds = []
        for seed in given.fold_seeds:
            tested = [trained(model, stream, **fold, seed=seed)[1] for fold in folds]
            seeds.append(predictions.concatenate(tested))
        fold_runs.append(seeds)
        rows.append(row(f"{NAMES[model]} {stream}", seeds, each_subject))
    rows.append(row("PoseC3D joint + limb, 1:1", fuse_seeds(fold_runs[:2]), each_subject))
    rows.append(row(all_three, fuse_seeds(fold_runs), each_subject))
    show(rows)


if __name__ == "__main__":
    main()
