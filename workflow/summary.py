"""The summary of a sweep: one table and one figure of all its runs and ensembles.

python workflow/summary.py --data synthetic --table table.csv --figure figure.png outputs/runs/*/result.json
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from miga_lib import atomic, plots
from miga_lib.runs import read_json
from miga_lib.settings import OF_MODEL

SCORES = ["top1", "top5", "mean_class", "macro_f1", "majority"]
ABOUT = ("name", "seconds")


def settings_of(result: Path) -> dict:
    """The settings of a run. For an ensemble: those of its first member, with the streams of all members and
    the sum of their seconds.

    The stream of a member of another model has the model's name before it.
    """
    about = read_json(result)
    if "settings" in about:
        return about["settings"] | {"seconds": about["seconds"]}
    members = [
        settings_of(result.parents[2] / "runs" / name / result.name)
        for name in about.get("runs", about["members"])
    ]
    model, seconds = members[0]["model"], sum(member["seconds"] for member in members)
    streams = dict.fromkeys(
        member["stream"] if member["model"] == model else f"{member['model']} {member['stream']}"
        for member in members
    )
    return members[0] | {"stream": "+".join(streams), "seconds": seconds}


def table(results: list[Path]) -> pd.DataFrame:
    """A row for each result, the best on validation first: the settings that differ, and the scores as
    ``<split>_<score>``.

    Settings that follow from the model, such as its learning rate, are left out.
    """
    rows = []
    for path in results:
        scores = {
            f"{split}_{name}": every[name]
            for split, every in read_json(path)["scores"].items()
            for name in SCORES
            if name in every
        }
        rows.append({"name": path.parent.name, **settings_of(path), **scores})
    frame = pd.DataFrame(rows)
    of_model = [
        name for name in OF_MODEL if name in frame and frame.groupby("model")[name].nunique().max() < 2
    ]
    frame = frame.drop(columns=of_model)
    same = [
        name
        for name in frame
        if (frame[name] == frame[name].iloc[0]).all() and not name.startswith(("val_", "test_", *ABOUT))
    ]
    return frame.drop(columns=same).sort_values("val_top1", ascending=False, ignore_index=True, kind="stable")


def draw(frame: pd.DataFrame, split: str, data: str) -> Axes:
    """Top-1 of each combination of settings: a dot for each run, a line at the mean."""
    varied = [
        name
        for name in frame.columns
        if not name.startswith(("val_", "test_", "seed", "fold", "device", *ABOUT))
    ]
    what = frame[varied].astype(str).agg(", ".join, axis=1) if varied else "all runs"
    frame = frame.assign(what=what, shown=100 * frame[f"{split}_top1"])
    means = frame.groupby("what")["shown"].mean().sort_values()
    ax = plt.subplots(figsize=(8, 1.2 + 0.35 * len(means)))[1]
    ax.scatter(frame["shown"], frame["what"].map({what: y for y, what in enumerate(means.index)}), zorder=3)
    ax.vlines(means, [y - 0.3 for y in range(len(means))], [y + 0.3 for y in range(len(means))], color="0.3")
    ax.axvline(
        100 * frame[f"{split}_majority"].iloc[0],
        color="0.6",
        linestyle="--",
        label="always the most frequent class",
    )
    ax.set_yticks(range(len(means)), means.index)
    ax.set(
        xlabel=f"top-1 on the {split} clips of {data} (%)\na dot is a run, a line their mean",
        ylabel=", ".join(varied),
    )
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
    given = parser.parse_args()
    frame = table(given.results)
    split = "test" if "test_top1" in frame else "val"
    plots.style()
    with atomic.file(given.figure) as unfinished:
        draw(frame, split, Path(given.data).name).figure.savefig(unfinished)
    atomic.write_text(given.table, frame.to_csv(index=False))
    print(frame.to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
