"""The table of runs lists each with its state; the newest runs on the same clips are found; all epochs are
written for TensorBoard."""

import contextlib
import errno
import io
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from miga_lib import atomic, clips, runs, training
from miga_lib.predictions import Predictions
from miga_lib.readers import DataError
from miga_lib.settings import choose


def leave(outputs, name, clips, at=0, finished=True, **settings):
    """A run's folder as after training, without the weights, last changed at that second of 1970."""
    folder = runs.run_folder(name, outputs)
    settings = choose(preset="smoke", device="cpu", **settings)
    about = {"settings": settings.values(), "data": runs.fingerprint(clips)}
    atomic.write_json(folder / "settings.json", about)
    clips.table[["id", "label", "split"]].to_csv(folder / "clips.csv", index=False)
    rows = pd.DataFrame(
        {"epoch": [1, 2], "loss": [2.0, 1.0], "val_top1": [0.25, 0.5], "learning_rate": [0.1, 0.0]}
    )
    rows.to_csv(folder / "metrics.csv", index=False)
    if finished:
        predicted = Predictions(np.array(["a"]), np.array([0]), np.ones((1, 1)), np.array(["nod"]))
        for split in ("val", "test"):
            predicted.save(folder / f"{split}.npz")
        scores = {"val": {"top1": 0.5}, "test": {"top1": 0.25}}
        atomic.write_json(
            folder / runs.RESULT, about | {"seconds": 3.5, "scores": scores, "embedding_size": 384}
        )
    for path in [*folder.iterdir(), folder]:
        os.utime(path, (at, at))
    return folder


def test_the_table_has_the_state_of_each_run(tmp_path, smoke):
    leave(tmp_path, "whole", smoke, at=1)
    leave(tmp_path, "half", smoke, at=3, finished=False)
    (leave(tmp_path, "robbed", smoke, at=2) / "test.npz").unlink()
    (leave(tmp_path, "odd", smoke) / "settings.json").write_text('{"settings": [1], "data": {}}')
    (leave(tmp_path, "torn", smoke) / "result.json").write_text("{")
    (leave(tmp_path, "aimless", smoke) / "settings.json").unlink()
    (runs.run_folder("begun", tmp_path) / ".lock").touch()
    (tmp_path / "runs" / ".hidden").mkdir()
    table = runs.runs_table(tmp_path).set_index("run")
    states = table["state"].to_dict()
    assert set(states) == {"whole", "half", "robbed", "odd", "torn", "aimless", "begun"}
    assert states["whole"] == "finished"
    assert states["half"] == states["begun"] == "unfinished"
    assert states["robbed"] == "broken: test.npz is missing"
    assert "settings.json: cannot be read" in states["aimless"]
    assert states["torn"].startswith("broken: ValueError")
    assert states["odd"].startswith("broken: ")
    assert table.loc["half", "epochs_done"] == 2
    columns = ["stream", "epochs", "test_top1", "seconds"]
    assert table.loc["whole", columns].tolist() == ["joint", 2, 0.25, 3.5]
    dated = [name for name in table.index if name in ("whole", "half", "robbed")]
    assert dated == ["half", "robbed", "whole"], "newest first"


def test_the_table_lists_ensembles_which_are_no_runs(tmp_path, smoke):
    leave(tmp_path, "old", smoke, at=1)
    content = {"members": {}, "scores": {"test": {"top1": 0.75}}}
    both = runs.run_folder("both", tmp_path, "ensemble")
    atomic.write_json(both / runs.RESULT, content)
    (both / "test.npz").touch()
    table = runs.runs_table(tmp_path).set_index("run")
    assert table["state"].to_dict() == {"both": "ensemble", "old": "finished"}
    assert table.loc["both", "test_top1"] == 0.75
    assert [path.name for path in runs.newest_runs(1, tmp_path, smoke)] == ["old"]


def test_without_runs_the_table_is_empty(tmp_path):
    assert runs.runs_table(tmp_path).empty
    with pytest.raises(
        FileNotFoundError, match="at least 1 finished runs, found 0; train with 04_train first"
    ):
        runs.newest_runs(1, tmp_path)


def test_the_newest_run_on_the_same_clips_is_found(tmp_path, smoke):
    leave(tmp_path, "old", smoke, at=1)
    leave(tmp_path, "other", smoke.split("train"), at=2)
    assert [path.name for path in runs.newest_runs(2, tmp_path)] == ["other", "old"]
    assert [path.name for path in runs.newest_runs(1, tmp_path, smoke)] == ["old"]
    with pytest.raises(FileNotFoundError, match="at least 2 finished runs, found 1; .*, on the same `data`"):
        runs.newest_runs(2, tmp_path, smoke)


def test_the_fingerprint_is_the_one_that_training_writes(trained, smoke):
    assert runs.run_result(trained)["data"] == runs.fingerprint(smoke)
    assert runs.fingerprint(smoke)["content"] != runs.fingerprint(smoke.split("val"))["content"]


def test_the_joint_run_most_similar_to_the_newest_limb_run_is_chosen(tmp_path, smoke):
    leave(tmp_path, "limb", smoke, at=9, stream="limb", seed=3)
    leave(tmp_path, "alike", smoke, at=1, seed=3)
    leave(tmp_path, "newer", smoke, at=2, seed=4)
    leave(tmp_path, "graph", smoke, at=3, seed=3, model="stgcn")
    leave(tmp_path, "other", smoke.split("train"), at=4, seed=3)
    assert [path.name for path in runs.newest_streams(tmp_path, smoke)] == ["alike", "limb"]
    leave(tmp_path, "again", smoke, at=5, seed=3)
    streams = [path.name for path in runs.newest_streams(tmp_path, smoke)]
    assert streams == ["again", "limb"], "of two with the same settings the newer one"


def test_a_missing_stream_is_named(tmp_path, smoke):
    message = "no finished {0} run on these clips; train with 04_train -p stream {0}"
    with pytest.raises(FileNotFoundError, match=message.format("limb")):
        runs.newest_streams(tmp_path, smoke)
    leave(tmp_path, "limb", smoke, stream="limb")
    with pytest.raises(FileNotFoundError, match=message.format("joint")):
        runs.newest_streams(tmp_path, smoke)


def test_runs_and_ensembles_are_found_by_name_or_path(tmp_path, smoke):
    whole = leave(tmp_path, "whole", smoke)
    leave(tmp_path, "half", smoke, finished=False)
    (tmp_path / "ensembles" / "both").mkdir(parents=True)
    atomic.write_json(tmp_path / "ensembles" / "both" / runs.RESULT, {})
    assert runs.find_run("whole", tmp_path) == whole
    assert runs.find_run(str(whole), tmp_path / "elsewhere") == whole
    assert runs.find_run("both", tmp_path) == tmp_path / "ensembles" / "both"
    for name in ("half", "none", ""):
        with pytest.raises(
            ValueError, match=f"there is no finished run or ensemble '{name}' in .*; finished runs are whole"
        ):
            runs.find_run(name, tmp_path)


def test_tensorboard_gets_all_epochs_and_settings(tmp_path, smoke):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    leave(tmp_path, "whole", smoke)
    leave(tmp_path, "half", smoke, finished=False, seed=7)
    (leave(tmp_path, "odd", smoke) / "settings.json").write_text("{")
    for _ in range(2):
        folder = runs.to_tensorboard(tmp_path)
    assert {path.name for path in folder.iterdir()} == {"whole", "half"}
    for name in ("whole", "half"):
        events = accumulator.EventAccumulator(str(folder / name)).Reload()
        losses = [(event.step, event.value) for event in events.Scalars("loss")]
        assert losses == [(1, 2.0), (2, 1.0)], "once, although written twice"
        assert [event.value for event in events.Scalars("validation/top1")] == [0.25, 0.5]
    assert accumulator.EventAccumulator(str(folder / "whole")).Reload().Scalars("test_top1")[0].value == 0.25


def test_for_tensorboard_only_the_event_files_of_runs_are_replaced(tmp_path, smoke, monkeypatch):
    class Writer(contextlib.nullcontext):
        def __init__(self, folder):
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / "events.out.tfevents.2").touch()
            super().__init__(SimpleNamespace(add_scalar=lambda *_: None, add_hparams=lambda *_, **__: None))

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    leave(tmp_path, "whole", smoke)
    folder = tmp_path / "tensorboard"
    for name in ("notes.txt", "whole/notes.txt", "whole/events.out.tfevents.1", "mine/events.out.tfevents.1"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert runs.to_tensorboard(tmp_path) == folder
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    replaced = {"whole/notes.txt", "whole/events.out.tfevents.2"}
    assert left == {"notes.txt", "mine/events.out.tfevents.1", *replaced}


def test_the_command_prints_the_table(tmp_path, smoke, capsys):
    runs.main(["--outputs", str(tmp_path)])
    nothing = f"no runs in {tmp_path / 'runs'}; `python -m miga_lib.training` trains one\n"
    assert capsys.readouterr().out == nothing
    leave(tmp_path, "whole", smoke)
    runs.main(["--outputs", str(tmp_path)])
    assert "whole finished" in capsys.readouterr().out
    (leave(tmp_path, "robbed", smoke) / "test.npz").unlink()
    runs.main(["--outputs", str(tmp_path)])
    *table, reason = capsys.readouterr().out.splitlines()
    assert reason == "robbed is broken: test.npz is missing"
    assert any("robbed   broken" in line for line in table)
    assert len({len(line) for line in table}) == 1


@pytest.mark.parametrize(
    "name", ["", "a b", "a\n", "x" * 151, "é" * 100, *". .. a/b ../x /tmp/x a\\b .hidden <i> $x$ 😀".split()]
)
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="the name of a run must be up to 150 letters, digits and"):
        runs.run_folder(name, tmp_path)
    assert list(tmp_path.iterdir()) == []
    made = runs.safe_name(name)
    assert runs.run_folder(made, tmp_path).parent == tmp_path / "runs"
    assert runs.safe_name(made) == made


def test_the_name_of_a_run_is_the_preset_and_what_differs_from_it():
    settings = choose("smoke", device="cpu")
    assert runs.run_name(settings) == "synthetic-posec3d-joint-imigue41-align-smoke-0"
    assert (
        runs.run_name(choose("smoke", epochs=2), "/data/own.pkl")
        == "own.pkl-posec3d-joint-imigue41-align-smoke-0"
    )
    settings = choose(
        "quick", "stgcn", stream="bone", seed=3, dropout=0, augment="rotate+noise", multiples=(1, 2),
        start_from="/runs/first.pth", partition="distance",
    )  # fmt: skip
    changes = "dropout=0-augment=rotate+noise-start_from=first-multiples=1,2-partition=distance"
    assert runs.run_name(settings) == f"synthetic-stgcn-bone-imigue41-align-quick-{changes}-3"


def test_every_setting_that_changes_the_result_changes_the_name():
    common = {"start_from": "checkpoint", "protocol": "cross-subject"}
    base = choose("smoke", "stgcn", device="cpu", **common)
    others = {
        "stream": "bone",
        "layout": "imigue22",
        "temporal": "crop_pad",
        "partition": "uniform",
        "multiples": (1, 3),
        "keep": "best",
        "augment": "rotate",
        "denoise": "gaps",
        "persons": 2,
    }
    for name, value in base.values(execution=False).items():
        if name in ("model", "preset", "fold"):
            continue
        other = others.get(name, {int: 3, float: 0.25, str: "other"}.get(type(value)))
        changed = choose(**{**base.values(), name: other})
        assert runs.run_name(changed) != runs.run_name(base), name
    folds = choose("smoke", folds=5)
    assert runs.run_name(choose("smoke", folds=5, fold=1)) == runs.run_name(folds).replace("fold0", "fold1")
    assert runs.run_name(choose("quick", "stgcn", **common)) != runs.run_name(base)
    assert runs.run_name(choose("smoke", "ctrgcn", **common)) != runs.run_name(base)
    assert runs.run_name(
        choose("smoke", "stgcn", device="cpu", precision="bf16", devices=2, **common)
    ) == runs.run_name(base)


def test_a_name_made_safe_is_short_enough_for_a_disk():
    """A name on disk has at most 255 bytes, and a letter up to 4."""
    assert {len(runs.safe_name(letter * 250).encode()) for letter in "xé漢𝒳"} <= {147, 148, 149, 150}
    assert len(runs.safe_name("x" * 150)) == 150


def test_names_made_safe_stay_apart():
    assert runs.safe_name("joint-0.5") == "joint-0.5"
    assert len({runs.safe_name(text) for text in ("a/b", "a-b", "a b", "a\\b")}) == 4


def test_a_name_made_of_data_cannot_lead_elsewhere(tmp_path):
    settings = choose(preset="smoke", device="cpu")
    assert runs.run_folder(runs.run_name(settings, "/data/my set/$(x)"), tmp_path).parent == tmp_path / "runs"


ONE_EPOCH = choose(preset="smoke", device="cpu", precision="fp32", epochs=1)


@pytest.fixture(scope="module")
def trained(smoke_outputs, tmp_path_factory):
    """The folder of a finished run, to copy."""
    run = tmp_path_factory.mktemp("trained")
    smoke = clips.load("synthetic-smoke", outputs=smoke_outputs)
    training.fit(smoke, ONE_EPOCH, run, progress=lambda row: None)
    return run


@pytest.fixture
def finished(trained, tmp_path):
    """A finished run to damage."""
    return shutil.copytree(trained, tmp_path / "run")


def test_what_a_finished_run_lost_is_predicted_again_or_refused(smoke, finished):
    scores = runs.run_result(finished)["scores"]
    before = {name: (finished / name).read_bytes() for name in ("metrics.csv", "last.ckpt")}
    for lost in ("val.npz", "metrics.csv"):
        (finished / lost).unlink()
        assert training.fit(smoke, ONE_EPOCH, finished)["scores"] == scores
        assert (finished / lost).exists()
    assert before == {name: (finished / name).read_bytes() for name in before}, "nothing was trained"
    for lost in ("best.ckpt", "last.ckpt", "settings.json"):
        content = (finished / lost).read_bytes()
        (finished / lost).unlink()
        with pytest.raises(ValueError, match=rf"{lost}; restore it, or train again with `resume=False`"):
            training.fit(smoke, ONE_EPOCH, finished)
        (finished / lost).write_bytes(content)


def test_a_finished_run_is_returned_where_nothing_can_be_written(smoke, finished, close):
    result = runs.run_result(finished)
    close(finished)
    assert training.fit(smoke, ONE_EPOCH, finished) == result
    with pytest.raises(ValueError, match="holds a run with epochs=1; choose another `run` name"):
        training.fit(smoke, replace(ONE_EPOCH, epochs=2), finished)


def test_where_nothing_can_be_written_it_says_so_before_training(smoke, finished, tmp_path, close):
    (finished / "result.json").unlink()
    close(tmp_path)
    refused = (
        r"run: cannot be written \(Permission denied\); give a folder that you may write to as `outputs` or"
        r" MIGA_OUTPUTS"
    )
    for resume in (True, False):
        with pytest.raises(OSError, match=refused):
            training.fit(smoke, replace(ONE_EPOCH, resume=resume), finished)
    with pytest.raises(
        OSError, match=r"runs.new: cannot be written \(Permission denied\); give a folder that"
    ):
        runs.run_folder("new", tmp_path)
    with pytest.raises(
        OSError,
        match=(
            r"a\.csv: cannot be written \(Permission denied\), an older file stays as it was; give a folder"
        ),
    ):
        atomic.write_text(tmp_path / "a.csv", "")


def test_a_folder_of_runs_that_cannot_be_listed_is_no_empty_table(tmp_path, smoke, monkeypatch):
    leave(tmp_path, "whole", smoke)

    def locked(folder):
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(
        DataError, match=r"runs: cannot be listed \(Permission denied\); check its permissions"
    ):
        runs.runs_table(tmp_path)
    with pytest.raises(SystemExit, match=r"runs: cannot be listed"):
        runs.main(["--outputs", str(tmp_path)])


def test_a_run_of_a_name_that_is_too_long_does_not_exist(tmp_path):
    with pytest.raises(ValueError, match="there is no finished run or ensemble 'xxx") as error:
        runs.find_run("x" * 5000, tmp_path)
    assert len(str(error.value)) <= 400


ODD = [b'{"settings": [1], "data": {}}', b'{"settings": {"seed": "x"}, "data": {}}']


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"\xff", b'{"settings": {}}', *ODD])
def test_damaged_settings_stop_and_nothing_is_replaced(smoke, finished, content):
    (finished / "settings.json").write_bytes(content)
    before = (finished / "last.ckpt").read_bytes()
    with pytest.raises(
        ValueError,
        match=(
            r"settings\.json: (?s:.*)restore it, choose another `run` name, or train the run again with"
            r" `resume=False`"
        ),
    ):
        training.fit(smoke, ONE_EPOCH, finished)
    assert (finished / "last.ckpt").read_bytes() == before


def test_damaged_settings_can_be_replaced_when_told_so(smoke, finished):
    (finished / "settings.json").write_bytes(b"{")
    training.fit(smoke, replace(ONE_EPOCH, resume=False), finished, progress=lambda row: None)
    assert runs.read_json(finished / "settings.json", "settings")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no checkpoint", "foreign"])
def test_a_damaged_checkpoint_is_named_with_the_way_out(smoke, finished, content):
    (finished / "result.json").unlink()
    if content == "foreign":
        torch.save({"state_dict": {}}, finished / "last.ckpt")
    else:
        (finished / "last.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"last\.ckpt: .*; train the run again with `resume=False`"):
        training.fit(smoke, ONE_EPOCH, finished)


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_with_files_of_others_is_never_written_to(smoke, tmp_path, resume):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "val.npz").write_bytes(b"mine")
    with pytest.raises(
        ValueError,
        match=r"not overwritten, since it has 'thesis\.tex', a file of another origin; choose another name",
    ):
        training.fit(smoke, choose("smoke", device="cpu", resume=resume), tmp_path)
    assert (tmp_path / "val.npz").read_bytes() == b"mine"


def test_validation_clips_without_classes_are_refused_before_training(smoke, tmp_path):
    labels = smoke.table["label"].where(smoke.table["split"] != "val", -1)
    with pytest.raises(ValueError, match="the class of every validation clip is unknown"):
        training.fit(
            replace(smoke, table=smoke.table.assign(label=labels)),
            choose(preset="smoke", device="cpu"),
            tmp_path,
        )
    twice = replace(smoke, classes=("same", "same", *smoke.classes[2:]))
    with pytest.raises(ValueError, match="class names must differ, 'same' is there more than once"):
        training.fit(twice, choose(preset="smoke", device="cpu", semantic_weight=0.0), tmp_path / "other")


@pytest.mark.parametrize("content", [b"a," * 10**5, b"epoch\n" * 2 * 10**6, b"\xff\n1\n"])
def test_a_run_with_an_absurd_table_is_broken_and_the_others_are_listed(tmp_path, smoke, content):
    leave(tmp_path, "whole", smoke)
    (leave(tmp_path, "odd", smoke) / "metrics.csv").write_bytes(content)
    states = runs.runs_table(tmp_path).set_index("run")["state"]
    assert states["whole"] == "finished"
    assert states["odd"].startswith("broken: DataError: ")


def test_any_terminal_shows_the_table(tmp_path, smoke, monkeypatch):
    """A score that is missing is shown as a dash that ascii does not have."""
    leave(tmp_path, "whole", smoke)
    leave(tmp_path, "half", smoke, finished=False)
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", shown)
    runs.main(["--outputs", str(tmp_path)])
    assert b"whole   finished" in shown.buffer.getvalue()


def test_a_closed_pipe_ends_the_command_silently(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    code = "from miga_lib import clips\nwith clips.terminal():\n    print('a')"
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_does_not_hide_the_other_runs(tmp_path, smoke):
    leave(tmp_path, "whole", smoke)
    closed = leave(tmp_path, "closed", smoke)
    closed.chmod(0)
    states = runs.runs_table(tmp_path).set_index("run")["state"]
    closed.chmod(0o700)
    assert states["whole"] == "finished"
    assert "settings.json: cannot be read (Permission denied)" in states["closed"]
