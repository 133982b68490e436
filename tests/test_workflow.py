"""The sweep: its parameters are those of the notebooks, its result is a table and a figure, and a killed
sweep resumes."""

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
import papermill
import pytest
import yaml

from miga_lib.settings import names

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / "workflow"
SNAKEMAKE = shutil.which(
    "snakemake", path=f"{ROOT / '.venv' / 'sweep' / 'bin'}{os.pathsep}{os.environ['PATH']}"
)
NEEDS_SNAKEMAKE = pytest.mark.skipif(
    SNAKEMAKE is None, reason="Snakemake has an environment of its own; `make .venv/sweep/installed`"
)

TINY = ("--data=synthetic-smoke", "--preset=smoke", "--batch-size=4", "--epochs=30", "--device=cpu")


def loaded(place):
    """A script, imported as a module."""
    specification = importlib.util.spec_from_file_location(place.stem, place)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def summary():
    """The script that summarises a sweep."""
    return loaded(WORKFLOW / "summary.py")


def write(outputs, kind, name, content):
    """The result of a run or an ensemble."""
    path = outputs / kind / name / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def results(tmp_path):
    """Two streams at two seeds, and their ensembles."""
    paths = []
    for seed in (0, 1):
        for stream, top1 in {"joint": 0.5 + 0.1 * seed, "limb": 0.4}.items():
            settings = {"model": "posec3d", "stream": stream, "seed": seed, "device": "cpu"}
            scores = {split: {"top1": top1, "majority": 0.3} for split in ("val", "test")}
            paths.append(
                write(
                    tmp_path,
                    "runs",
                    f"{stream}-{seed}",
                    {"settings": settings, "seconds": 10.0, "scores": scores},
                )
            )
        scores = {split: {"top1": 0.7, "majority": 0.3} for split in ("val", "test")}
        members = {f"joint-{seed}": {}, f"limb-{seed}": {}}
        paths.append(write(tmp_path, "ensembles", f"both-{seed}", {"members": members, "scores": scores}))
    return paths


def test_the_table_has_a_row_for_each_result_and_a_column_for_each_varied_setting(summary, results):
    table = summary.table(results)
    assert table.columns.tolist() == [
        "name",
        "stream",
        "seed",
        "seconds",
        "val_top1",
        "val_majority",
        "test_top1",
        "test_majority",
    ]
    assert table["name"].tolist()[:2] == ["both-0", "both-1"]
    both = table.set_index("name").loc["both-1"]
    assert (both["stream"], both["seconds"], both["test_top1"]) == ("joint+limb", 20, 0.7)


def test_an_ensemble_of_two_models_names_both_and_no_setting_that_follows_from_them(summary, tmp_path):
    settings = {"one": ("posec3d", "joint", 0.1), "other": ("stgcnpp", "joint", 0.05)}
    paths = [
        write(
            tmp_path,
            "runs",
            name,
            {
                "settings": dict(zip(("model", "stream", "learning_rate"), of_run, strict=True)),
                "seconds": 1,
                "scores": {"val": {"top1": 0.5}},
            },
        )
        for name, of_run in settings.items()
    ]
    paths.append(
        write(
            tmp_path,
            "ensembles",
            "both",
            {"runs": list(settings), "members": {}, "scores": {"val": {"top1": 0.5}}},
        )
    )
    table = summary.table(paths)
    assert table[["name", "model", "stream"]].to_numpy().tolist() == [
        ["one", "posec3d", "joint"],
        ["other", "stgcnpp", "joint"],
        ["both", "posec3d", "joint+stgcnpp joint"],
    ]
    assert "learning_rate" not in table


def test_the_figure_has_a_dot_for_each_run_and_a_line_for_each_mean(summary, results):
    ax = summary.draw(summary.table(results), "test", "made-up")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["limb", "joint", "joint+limb"]
    assert sorted(ax.collections[0].get_offsets()[:, 0].tolist()) == pytest.approx([40, 40, 50, 60, 70, 70])
    assert [segment[0][0] for segment in ax.collections[1].get_segments()] == pytest.approx([40, 55, 70])
    assert "made-up" in ax.get_xlabel()
    plt.close("all")


@pytest.mark.filterwarnings("ignore")
def test_its_parameters_are_those_of_the_notebooks():
    config = yaml.safe_load((WORKFLOW / "config.yaml").read_text())
    known = {
        name: papermill.inspect_notebook(str(ROOT / "notebooks" / f"{name}.ipynb"))
        for name in ("04_train", "05_confusion", "06_ensemble")
    }
    assert {*config["fixed"], *config["grid"]} <= names().keys()
    assert {"data", "outputs", "run", "more"} <= known["04_train"].keys()
    assert {"data", "outputs", "runs"} <= known["05_confusion"].keys()
    assert {"data", "outputs", "runs", "name"} <= known["06_ensemble"].keys()
    assert not {*config["fixed"]} & {*config["grid"]}


def rehearsal(profile, folder, configfile=None, **changes):
    """The jobs that Snakemake plans for the grid in the repository, or in a file of one's own."""
    given = [f"{name}={value}" for name, value in {"outputs": folder, **changes}.items()]
    own = ["--configfile", str(configfile)] if configfile else []
    command = [
        SNAKEMAKE,
        "-s",
        str(WORKFLOW / "Snakefile"),
        "--profile",
        str(WORKFLOW / "profiles" / profile),
        "-n",
        *own,
        "--config",
        *given,
    ]
    job = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert job.returncode == 0, job.stderr
    return job.stdout + job.stderr


def planned(said):
    """How many jobs of each kind there will be."""
    counts = {
        line.split()[0]: int(line.split()[1])
        for line in said.splitlines()
        if len(line.split()) == 2 and line.split()[1].isdigit()
    }
    return {name: count for name, count in counts.items() if name != "jobid:"}


@NEEDS_SNAKEMAKE
@pytest.mark.parametrize("profile", ["local", "slurm"])
def test_every_point_of_the_grid_is_trained_and_fused(profile, tmp_path):
    said = rehearsal(profile, tmp_path, gpus=1)
    assert planned(said) == {"train": 4, "ensemble": 2, "confusion": 2, "table": 1, "all": 1, "total": 10}
    assert "gpu=1" in said
    assert "runs/sweep-joint-align-0/result.json" in said
    assert "ensembles/sweep-align-0-ensemble/result.json" in said


@NEEDS_SNAKEMAKE
def test_a_stream_of_another_model_is_fused_with_the_others(tmp_path):
    config = yaml.safe_load((WORKFLOW / "config.yaml").read_text())
    config["grid"] = {"stream": ["joint", "limb", "stgcnpp bone"], "seed": [0, 1]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    said = rehearsal("local", tmp_path, tmp_path / "mine.yaml")
    assert planned(said) == {"train": 6, "ensemble": 2, "confusion": 2, "table": 1, "all": 1, "total": 12}
    assert "runs/sweep-stgcnpp_bone-1/result.json" in said


@NEEDS_SNAKEMAKE
@pytest.mark.parametrize(("streams", "ensembles"), [(["joint", "limb"], 1), (["joint"], 0)])
def test_the_folds_of_a_cross_validation_are_evaluated_together(streams, ensembles, tmp_path):
    config = yaml.safe_load((WORKFLOW / "config.yaml").read_text())
    config |= {"fixed": {"preset": "smoke", "folds": 3}, "grid": {"stream": streams, "fold": [0, 1, 2]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    found = planned(rehearsal("local", tmp_path, tmp_path / "mine.yaml"))
    assert {"train": 3 * len(streams), "confusion": 1, "table": 1} == {
        name: found[name] for name in ("train", "confusion", "table")
    }
    assert found.get("ensemble", 0) == ensembles


@pytest.mark.soak
@NEEDS_SNAKEMAKE
def test_a_killed_job_and_a_killed_driver_lose_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "driver killed" in loaded(ROOT / "benchmarks" / "soak.py").sweep(tmp_path, TINY, seeds=1)
