"""The record of runs lists each in the state it is in, finds the newest of the same clips, and goes to TensorBoard whole."""

import json
import os
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from miga_lib import runs, training
from miga_lib.predictions import Predictions
from miga_lib.settings import Settings


def leave(outputs, name, clips, at=0, finished=True, **settings):
    """A run's folder as training leaves it, but for the weights, changed at a second of 1970."""
    folder = runs.folder(name, outputs)
    about = {"settings": asdict(Settings(preset="smoke", device="cpu", **settings).resolve()), "data": runs.fingerprint(clips)}
    runs.write_json(folder / "settings.json", about)
    rows = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0], "val_top1": [0.25, 0.5], "learning_rate": [0.1, 0.0]})
    rows.to_csv(folder / "metrics.csv", index=False)
    if finished:
        predicted = Predictions(np.array(["a"]), np.array([0]), np.ones((1, 1)), np.array(["nod"]))
        for split in ("val", "test"):
            predicted.save(folder / f"{split}.npz")
        runs.write_json(folder / runs.RESULT, about | {"seconds": 3.5, "scores": {"val": {"top1": 0.5}, "test": {"top1": 0.25}}})
    for path in [*folder.iterdir(), folder]:
        os.utime(path, (at, at))
    return folder


def test_the_table_says_what_state_each_run_is_in(tmp_path, smoke):
    leave(tmp_path, "whole", smoke, at=1)
    leave(tmp_path, "half", smoke, at=3, finished=False)
    (leave(tmp_path, "robbed", smoke, at=2) / "test.npz").unlink()
    (leave(tmp_path, "odd", smoke) / "settings.json").write_text('{"settings": [1], "data": {}}')
    (leave(tmp_path, "torn", smoke) / "result.json").write_text("{")
    runs.folder("empty", tmp_path)
    runs.folder(".hidden", tmp_path)
    table = runs.table(tmp_path).set_index("run")
    states = table["state"].to_dict()
    assert set(states) == {"whole", "half", "robbed", "odd", "torn", "empty"}
    assert states["whole"] == "finished"
    assert states["half"] == "unfinished"
    assert states["robbed"] == "broken: test.npz is gone"
    assert states["empty"].startswith("broken: FileNotFoundError")
    assert states["torn"].startswith("broken: ValueError")
    assert states["odd"].startswith("broken: ")
    assert table.loc["half", "epochs_done"] == 2
    assert table.loc["whole", ["stream", "epochs", "test_top1", "seconds"]].tolist() == ["joint", 2, 0.25, 3.5]
    assert [name for name in table.index if name in ("whole", "half", "robbed")] == ["half", "robbed", "whole"], "newest first"


def test_no_runs_make_an_empty_table(tmp_path):
    assert runs.table(tmp_path).empty
    with pytest.raises(FileNotFoundError, match="1 finished runs are needed and 0 are there; train with 04_train first"):
        runs.newest(1, tmp_path)


def test_the_newest_run_is_one_of_the_same_clips(tmp_path, smoke):
    leave(tmp_path, "old", smoke, at=1)
    leave(tmp_path, "other", smoke.split("train"), at=2)
    assert [path.name for path in runs.newest(2, tmp_path)] == ["other", "old"]
    assert [path.name for path in runs.newest(1, tmp_path, smoke)] == ["old"]
    with pytest.raises(FileNotFoundError, match="2 finished runs are needed and 1 are there; .*, on the same `data`"):
        runs.newest(2, tmp_path, smoke)


def test_the_fingerprint_is_the_one_that_training_leaves(tmp_path, smoke):
    training.fit(smoke, Settings(preset="smoke", device="cpu", epochs=1), runs.folder("run", tmp_path), progress=lambda row: None)
    assert json.loads((tmp_path / "runs" / "run" / "result.json").read_text())["data"] == runs.fingerprint(smoke)
    assert runs.fingerprint(smoke)["digest"] != runs.fingerprint(smoke.split("val"))["digest"]


def test_the_joint_run_most_like_the_newest_limb_run_goes_with_it(tmp_path, smoke):
    leave(tmp_path, "limb", smoke, at=9, stream="limb", seed=3)
    leave(tmp_path, "alike", smoke, at=1, seed=3)
    leave(tmp_path, "newer", smoke, at=2, seed=4)
    leave(tmp_path, "graph", smoke, at=3, seed=3, model="stgcn")
    leave(tmp_path, "other", smoke.split("train"), at=4, seed=3)
    assert [path.name for path in runs.newest_streams(tmp_path, smoke)] == ["alike", "limb"]
    leave(tmp_path, "again", smoke, at=5, seed=3)
    assert [path.name for path in runs.newest_streams(tmp_path, smoke)] == ["again", "limb"], "of two alike the newer one"


def test_what_a_pair_of_streams_lacks_is_named(tmp_path, smoke):
    with pytest.raises(FileNotFoundError, match="no finished limb run on these clips; train with 04_train -p stream limb"):
        runs.newest_streams(tmp_path, smoke)
    leave(tmp_path, "limb", smoke, stream="limb")
    with pytest.raises(FileNotFoundError, match="no finished joint run on these clips; train with 04_train -p stream joint"):
        runs.newest_streams(tmp_path, smoke)


def test_runs_and_ensembles_are_found_by_name_or_path(tmp_path, smoke):
    whole = leave(tmp_path, "whole", smoke)
    leave(tmp_path, "half", smoke, finished=False)
    (tmp_path / "ensembles" / "both").mkdir(parents=True)
    runs.write_json(tmp_path / "ensembles" / "both" / runs.RESULT, {})
    assert runs.find("whole", tmp_path) == whole
    assert runs.find(str(whole), tmp_path / "elsewhere") == whole
    assert runs.find("both", tmp_path) == tmp_path / "ensembles" / "both"
    for name in ("half", "none", ""):
        with pytest.raises(ValueError, match=f"there is no finished run or ensemble '{name}' in .*; there are whole"):
            runs.find(name, tmp_path)


def test_tensorboard_is_told_all_epochs_and_settings(tmp_path, smoke):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    leave(tmp_path, "whole", smoke)
    leave(tmp_path, "half", smoke, finished=False, seed=7)
    (leave(tmp_path, "odd", smoke) / "settings.json").write_text("{")
    for _ in range(2):
        folder = runs.to_tensorboard(tmp_path)
    assert {path.name for path in folder.iterdir()} == {"whole", "half"}
    for name in ("whole", "half"):
        events = accumulator.EventAccumulator(str(folder / name)).Reload()
        assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 2.0), (2, 1.0)], "once, though written twice"
        assert [event.value for event in events.Scalars("validation/top1")] == [0.25, 0.5]
    assert accumulator.EventAccumulator(str(folder / "whole")).Reload().Scalars("test_top1")[0].value == 0.25


def test_the_command_prints_the_table(tmp_path, smoke, capsys):
    leave(tmp_path, "whole", smoke)
    runs.main(["--outputs", str(tmp_path)])
    assert "whole finished" in capsys.readouterr().out
