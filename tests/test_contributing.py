"""The examples of CONTRIBUTING.md, applied to a copy of the package: what they add works without any other
edit.

This file is also the script of the process that imports the copy.
"""

import contextlib
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import miga_lib
from miga_lib import clips, layouts, runs, training
from miga_lib.settings import choose, of_parameters

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^`([\w./]+)`:\n\n```(python|diff)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SMOKE = ["--preset=smoke", "--device=cpu", "--precision=fp32"]
ADDED = ["--model=frames", "--layout=upper8", "--confidence-weight=0.5", "--augment=reverse", *SMOKE]


def apply(page, root):
    """Write the new files of a page, and make the changes of its diffs."""
    for place, kind, text in BLOCK.findall(page):
        path = root / place
        content = path.read_text(encoding="utf-8") if path.exists() else ""
        if kind == "python":
            content += f"\n\n{text}" if content else text
        hunks = text.split("@@\n") if kind == "diff" else []
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] == " ")
            count = content.count(before)
            assert count == 1, f"{place} has these lines {count} times:\n{before}"
            content = content.replace(before, "".join(line[1:] for line in lines))
        path.write_text(content, encoding="utf-8")


class StoppedError(Exception):
    """Stands for whatever ends a process."""


def stop(row):
    """Progress that ends the run after its first epoch."""
    if "val_top1" in row:
        raise StoppedError


@pytest.fixture(scope="module")
def place(tmp_path_factory, smoke_outputs):
    """A folder with an unfinished run of the package as it is, and with the changed copy of the package."""
    root = tmp_path_factory.mktemp("contributing")
    shutil.copytree(smoke_outputs / "data", root / "outputs" / "data", dirs_exist_ok=True)
    smoke = clips.load("synthetic-smoke", "imigue22", root / "outputs")
    settings = choose(model="stgcn", layout="imigue22", preset="smoke", device="cpu", precision="fp32")
    with pytest.raises(StoppedError):
        training.fit(smoke, settings, runs.run_folder("before", root / "outputs"), progress=stop)
    shutil.copytree(ROOT / "miga_lib", root / "miga_lib", ignore=shutil.ignore_patterns("__pycache__"))
    apply(PAGE, root)
    return root


@pytest.fixture(scope="module")
def told(place):
    """The results of the process that imports the copy; see ``tell``."""
    environment = {"PYTHONPATH": str(place), "MIGA_OUTPUTS": str(place / "outputs"), "OMP_NUM_THREADS": "1"}
    job = subprocess.run(
        [sys.executable, __file__], cwd=place, env=os.environ | environment, capture_output=True, text=True
    )
    assert job.returncode == 0, job.stderr
    return json.loads((place / "told.json").read_text(encoding="utf-8"))


def metrics_of(place, run):
    return pd.read_csv(place / "outputs" / "runs" / run / "metrics.csv")


def test_the_copy_is_what_was_imported(told, place):
    assert Path(told["package"]) == place / "miga_lib"


def test_the_model_trains_resumes_to_the_same_bits_and_predicts(told, place):
    assert (told["stopped"], told["finished"]) == (["epoch 1"], True)
    paths = (place / "outputs" / "runs" / run / "last.ckpt" for run in ("stop", "go"))
    stopped, straight = (torch.load(path, weights_only=True)["model"] for path in paths)
    assert stopped.keys() == straight.keys()
    assert all(torch.equal(stopped[name], straight[name]) for name in stopped)
    assert told["predicts_the_same"]


def test_what_was_added_is_among_the_choices_and_in_messages(told):
    assert "frames" in told["models_of_04"]
    assert {"frames", "posec3d"} <= set(told["models_of_03"])
    assert "parameters" in told["costs_of_03"]
    assert re.search(r"model must be one of frames, posec3d, .*, got 'no'", told["no_model"])
    streams = r"stream must be one of joint_acceleration, joint, .* for model 'stgcn', got 'no'"
    assert re.search(streams, told["no_stream"])
    assert re.search(r"layout must be one of upper8, .*, got 'no'", told["no_layout"])
    assert re.search(r"no known format, tried arrays, miga, ", told["no_format"])


def test_the_stream_trains_and_is_0_at_constant_speed(told):
    assert told["stream_epochs"] == 1
    assert max(map(abs, told["even_speed"])) < 1e-4
    assert max(map(abs, told["uneven_speed"])) > 0.1


def test_the_reader_reads_its_file(told):
    assert told["arrays"] == {
        "ids": ["a", "b"],
        "labels": [1, 0],
        "splits": ["train", "val"],
        "classes": ["nod", "wave"],
        "x": 30.0,
    }


def test_the_data_set_is_read(told):
    assert told["my_set"] == {"clips": {"train": 8, "val": 4}, "classes": ["nod", "wave"]}


def test_the_loss_term_is_part_of_the_loss_and_reported(told, place):
    table = metrics_of(place, "go")
    assert (table["confidence"] < 0).all(), "minus an entropy"
    assert (table["loss"] - table["cross_entropy"] - 20 * table["semantic"]).to_numpy() == pytest.approx(
        0.5 * table["confidence"].to_numpy(), abs=1e-4
    )
    assert re.search(
        r"epoch   1: loss \d\S* \(confidence -\d\S*, cross-entropy \d\S*, semantic \d\S*\)", told["printed"]
    )
    assert told["name"] == "synthetic-frames-joint-upper8-align-smoke-confidence_weight=0.5-augment=reverse-0"


def test_a_run_from_before_the_term_resumes(told, place):
    table = metrics_of(place, "before")
    assert table["epoch"].tolist() == [1, 2]
    assert table["confidence"].iloc[1] == 0
    assert "holds a run with confidence_weight=0.0; choose another `run` name" in told["other_weight"]


def test_every_example_is_applied():
    sections = re.findall(r"^### (.*)$", PAGE, re.MULTILINE)
    assert sections == [
        "A model",
        "A stream",
        "A reader",
        "A data set",
        "A layout",
        "A loss term",
        "A kind of input",
        "An augmentation or a filter",
    ]
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        name = section.partition("\n")[0]
        assert BLOCK.search(section) or name == "A kind of input", name
    assert len(BLOCK.findall(PAGE)) == PAGE.count("```") / 2


def test_hooks_format_as_make_test_checks():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = [hook["entry"].replace(".venv/bin/", "$(BIN)/") for hook in config["repos"][0]["hooks"]]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    flags = re.search(r"nbstripout --verify (--extra-keys \".*?\")", makefile)[1]
    assert entries == [
        "$(BIN)/ruff check --fix --force-exclude",
        "$(BIN)/ruff format --force-exclude",
        f"$(BIN)/nbstripout {flags}",
    ]


def refused(function, *arguments, **named):
    """The message of the error that a call raises."""
    try:
        function(*arguments, **named)
    except (ValueError, SystemExit) as error:
        return str(error)
    raise AssertionError("nothing was refused")


def tell(root):
    """Use what the examples added, and return what was observed."""
    from miga_lib import compare, predictions
    from miga_lib.models import MODELS
    from miga_lib.training.__main__ import main

    folder, data, stopped = root / "outputs" / "runs", "--data=synthetic-smoke", []
    settings = choose(
        "smoke",
        "frames",
        layout="upper8",
        device="cpu",
        precision="fp32",
        confidence_weight=0.5,
        augment="reverse",
    )
    smoke = clips.load("synthetic-smoke", "upper8")
    try:
        training.fit(smoke, settings, runs.run_folder("stop"), progress=stop)
    except StoppedError:
        stopped.append(f"epoch {len(metrics_of(root, 'stop'))}")
    main([*ADDED, data, "--run=stop"])
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main([*ADDED, data, "--run=go"])
    model, loaded = training.load_model(folder / "go", "cpu")
    kept = predictions.load(folder / "go" / "test.npz")
    again = training.predict(model, smoke.split("test"), settings)
    given = {"model": "frames", "layout": "upper8", "preset": "smoke", "more": {"confidence_weight": 0.5}}

    lists = (["frames", "posec3d"], ["joint", "limb"], ["upper8"], ["align"], [True], [0])
    wanted = compare.grid(*lists, preset="smoke", epochs=1)
    cost = compare.cost(compare.train(wanted[:1], "synthetic-smoke"), "synthetic-smoke", clips=2)

    main(
        [
            "--model=stgcn",
            "--stream=joint_acceleration",
            "--layout=imigue22",
            "--epochs=1",
            *SMOKE,
            data,
            "--run=stream",
        ]
    )
    before = ["--model=stgcn", "--layout=imigue22", *SMOKE, data, "--run=before"]
    main(before)
    (root / "empty").mkdir()

    frames = torch.arange(6.0)
    moving = torch.ones(1, 6, 8, 3).cumsum(2)
    even, uneven = moving.clone(), moving.clone()
    even[0, :, 4, 0] += frames
    uneven[0, :, 4, 0] += frames**2
    acceleration = MODELS["stgcn"].streams["joint_acceleration"]

    for number, (split, name) in enumerate({"train": "wave", "val": "nod"}.items()):
        path = root / "mine" / split / name / f"{'ab'[number]}.npy"
        path.parent.mkdir(parents=True)
        np.save(path, np.full((5, 22, 3), 30 - 20 * number) * np.float32([1, 1, 0.01]))
    arrays = clips.load(root / "mine", "imigue22")
    own = runpy.run_path(str(root / "my_set.py"))["data"]
    return {
        "package": str(Path(miga_lib.__file__).parent),
        "stopped": stopped,
        "finished": (folder / "stop" / "result.json").exists(),
        "predicts_the_same": bool(np.array_equal(kept.probabilities, again.probabilities))
        and loaded.model == "frames",
        "models_of_04": of_parameters(given).model,
        "models_of_03": [settings.model for settings in wanted],
        "costs_of_03": list(cost),
        "no_model": refused(main, ["--model=no"]),
        "no_stream": refused(choose, model="stgcn", stream="no"),
        "no_layout": refused(choose, layout="no"),
        "no_format": refused(clips.load, root / "empty"),
        "stream_epochs": len(metrics_of(root, "stream")),
        # The last two frames have no following ones.
        "even_speed": acceleration(even, layouts.get("upper8"))[0, :2, :-2].flatten().tolist(),
        "uneven_speed": acceleration(uneven, layouts.get("upper8"))[0, :2, :-2].flatten().tolist(),
        "arrays": {
            **{f"{name}s": arrays.table[name].tolist() for name in ("id", "label", "split")},
            "classes": list(arrays.classes),
            "x": float(arrays[0][0, 0, 0]),
        },
        "my_set": {"clips": own.table["split"].value_counts().to_dict(), "classes": list(own.classes)},
        "printed": printed.getvalue(),
        "name": runs.run_name(settings),
        "other_weight": refused(main, [*before, "--confidence-weight=0.5"]),
    }


if __name__ == "__main__":
    (Path.cwd() / "told.json").write_text(json.dumps(tell(Path.cwd())), encoding="utf-8")
