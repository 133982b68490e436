"""The summary of a sweep: one table and one figure of all its runs and ensembles.

python workflow/summary.py --data synthetic --table table.csv --figure figure.png outputs/runs/*/result.json
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from miga_lib import atomic, plots
from miga_lib.models import MODELS
from miga_lib.runs import read_json

SCORES = ["top1", "top5", "mean_class", "macro_f1", "majority"]
OF_MODEL = {name for model in MODELS.values() for preset in model.presets.values() for name in preset}
"""The settings whose values in a preset depend on the model."""


def settings_of(path: Path) -> dict:
    """The settings and seconds of a run. For an ensemble: those of its first member, with the streams of all
    members and the sum of their seconds.

    The stream of a member of another model has the model's name before it.
    """
    result = read_json(path)
    if "settings" in result:
        return result["settings"] | {"seconds": result["seconds"]}
    names, runs = result.get("runs", result["members"]), path.parents[2] / "runs"
    members = [settings_of(runs / name / path.name) for name in names]
    streams = []
    for member in members:
        other = member["model"] != members[0]["model"]
        streams.append(f"{member['model']} {member['stream']}" if other else member["stream"])
    stream = "+".join(dict.fromkeys(streams))
    return members[0] | {"stream": stream, "seconds": sum(member["seconds"] for member in members)}


def table(results: list[Path]) -> pd.DataFrame:
    """A row for each result, the best on validation first: the settings that differ, and the scores as
    ``<split>_<score>``.

    Settings that follow from the model, such as its learning rate, are left out.
    """
    rows, names = [], set()
    for path in results:
        settings = settings_of(path)
        names |= settings.keys() - {"seconds"}
        rows.append({"name": path.parent.name, **settings})
        for split, scores in read_json(path)["scores"].items():
            rows[-1] |= {f"{split}_{name}": scores[name] for name in SCORES if name in scores}
    frame = pd.DataFrame(rows).map(lambda value: tuple(value) if isinstance(value, list) else value)
    same = [name for name in sorted(names) if (frame[name] == frame[name].iloc[0]).all()]
    by_model = frame.groupby("model")[[name for name in OF_MODEL if name in names]].nunique().max()
    frame = frame.drop(columns={*same, *by_model.index[by_model < 2]})
    return frame.sort_values("val_top1", ascending=False, ignore_index=True, kind="stable")


def draw(frame: pd.DataFrame, split: str, data: str) -> Axes:
    """Top-1 of each combination of settings: a dot for each run, a line at the mean."""
    other = ("val_", "test_", "seed", "fold", "device", "name", "seconds")
    varied = [name for name in frame.columns if not name.startswith(other)]
    frame = frame.assign(settings="all runs", top1=100 * frame[f"{split}_top1"])
    if varied:
        frame["settings"] = frame[varied].astype(str).agg(", ".join, axis=1)
    means = frame.groupby("settings")["top1"].mean().sort_values()
    places = pd.Series(range(len(means)), means.index)
    ax = plt.subplots(figsize=(8, 1.2 + 0.35 * len(means)))[1]
    ax.scatter(frame["top1"], frame["settings"].map(places), zorder=3)
    ax.vlines(means, places - 0.3, places + 0.3, color="0.3")
    majority = 100 * frame[f"{split}_majority"].iloc[0]
    ax.axvline(majority, color="0.6", linestyle="--", label="always the most frequent class")
    ax.set_yticks(places, means.index)
    ax.set_xlabel(f"top-1 on the {split} clips of {data} (%)\na dot is a run, a line their mean")
    ax.set_ylabel(", ".join(varied))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    return ax


def main() -> None:
    """Write the table and the figure that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--table", required=True, type=Path)
    parser.add_argument("--figure", required=True, type=Path)
    parser.add_argument("results", nargs="+", type=lambda path: Path(path).resolve())
    options = parser.parse_args()
    frame = table(options.results)
    split = "test" if "test_top1" in frame else "val"
    plots.style()
    with atomic.file(options.figure) as unfinished:
        draw(frame, split, Path(options.data).name).figure.savefig(unfinished)
    atomic.write_text(options.table, frame.to_csv(index=False))
    print(frame.to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
