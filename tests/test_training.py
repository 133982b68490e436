"""Training: it learns, it resumes to the bit, it refuses nonsense, and what it leaves behind predicts the same."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from miga_lib import predictions, runs, training
from miga_lib.settings import PRESETS, Settings
from miga_lib.training import loop
from miga_lib.training.__main__ import main

SMOKE = Settings(preset="smoke", device="cpu", precision="fp32")


def quiet(row):
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def finished(smoke_outputs, tmp_path_factory):
    """A finished run, its folder and its result."""
    from miga_lib import clips

    run = tmp_path_factory.mktemp("run")
    return run, training.fit(clips.load("synthetic-smoke", outputs=smoke_outputs), SMOKE, run, progress=quiet)


@pytest.mark.parametrize(("model", "stream"), [("posec3d", "joint"), ("posec3d", "limb"), ("stgcn", "joint"), ("stgcn", "bone")])
def test_each_stream_overfits_four_clips(smoke, tmp_path, model, stream):
    """Four clips of four classes, seen a hundred times: the loss must fall to a tenth and every one of them be known."""
    first = smoke.split("train").table.drop_duplicates("label").index[:4]
    four = smoke.where(np.repeat(first.to_numpy(), 2))
    table = four.table.assign(split=["train", "val"] * 4, id=[f"clip {i}" for i in range(8)])
    four = replace(four, table=table)
    settings = Settings(model, stream, preset="smoke", epochs=200, batch_size=4, semantic_weight=0.0, device="cpu", precision="fp32")
    result = training.fit(four, settings, tmp_path, progress=quiet)
    losses = pd.read_csv(tmp_path / "metrics.csv")["cross_entropy"]
    assert losses.iloc[-1] < 0.1 * losses.iloc[0]
    assert result["scores"]["val"]["top1"] == 1


def test_a_run_leaves_what_it_promises(finished):
    run, result = finished
    names = {path.name for path in run.iterdir() if not path.name.startswith(".")}
    assert names == {"settings.json", "metrics.csv", "last.ckpt", "best.ckpt", "val.npz", "test.npz", "result.json"}
    assert runs.result(run)["scores"] == result["scores"]
    assert pd.read_csv(run / "metrics.csv")["epoch"].tolist() == [1, 2]
    assert result["settings"]["epochs"] == PRESETS["smoke"].epochs


def test_the_reloaded_network_predicts_the_same(finished, smoke):
    run, _ = finished
    model, settings = training.load_model(run, "cpu")
    again = training.predict(model, smoke.split("test"), replace(settings, precision="fp32"))
    saved = predictions.load(run / "test.npz")
    assert again.ids.tolist() == saved.ids.tolist()
    assert np.array_equal(again.probabilities, saved.probabilities)


def test_a_finished_run_is_reused(finished, smoke):
    run, result = finished
    stamp = (run / "last.ckpt").stat().st_mtime_ns
    assert training.fit(smoke, SMOKE, run, progress=quiet)["scores"] == result["scores"]
    assert (run / "last.ckpt").stat().st_mtime_ns == stamp


def test_the_same_settings_give_the_same_bits(finished, smoke, tmp_path):
    run, _ = finished
    training.fit(smoke, SMOKE, tmp_path, progress=quiet)
    assert same_weights(run, tmp_path)


def same_weights(first, second):
    a, b = (torch.load(run / "last.ckpt", weights_only=True)["model"] for run in (first, second))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class StoppedError(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_run_stopped_in_mid_epoch_goes_on_to_the_same_bits(finished, smoke, tmp_path, monkeypatch, stop_after):
    run, _ = finished
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    seen = []

    def stop(row):
        seen.append(row)
        if len(seen) > stop_after:
            raise StoppedError

    with pytest.raises(StoppedError):
        training.fit(smoke, SMOKE, tmp_path, progress=stop)
    assert not (tmp_path / "result.json").exists()
    training.fit(smoke, SMOKE, tmp_path, progress=quiet)
    assert same_weights(run, tmp_path)
    assert pd.read_csv(tmp_path / "metrics.csv")["epoch"].tolist() == [1, 2]


def test_a_folder_with_another_run_is_refused_and_can_be_replaced(finished, smoke, tmp_path):
    settings = replace(SMOKE, epochs=1)
    training.fit(smoke, settings, tmp_path, progress=quiet)
    with pytest.raises(ValueError, match=r"holds a run with epochs=1; choose another `run` name, or `resume=False` to replace it"):
        training.fit(smoke, SMOKE, tmp_path, progress=quiet)
    fewer = smoke.where(smoke.table.index != 0)
    with pytest.raises(ValueError, match="holds a run with other clips"):
        training.fit(fewer, settings, tmp_path, progress=quiet)
    training.fit(smoke, SMOKE, tmp_path, resume=False, progress=quiet)
    assert len(pd.read_csv(tmp_path / "metrics.csv")) == 2


def test_a_loss_that_is_not_finite_stops_and_names_the_clips(smoke, tmp_path):
    broken = replace(smoke, keypoints=np.full_like(smoke.keypoints, 1e30))
    settings = replace(SMOKE, model="stgcn", semantic_weight=0.0, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf) in epoch 1, step \d+, clips 0\d+_\d+.*lower learning_rate"):
        training.fit(broken, settings, tmp_path, progress=quiet)


def test_batches_hold_every_clip_once_and_no_batch_is_tiny():
    settings = Settings(preset="smoke", batch_size=4).resolve()
    parts = training.batches(9, settings, 0)
    assert sorted(torch.cat(parts).tolist()) == list(range(9))
    assert [len(part) for part in parts] == [4, 5]
    assert torch.cat(parts).tolist() != torch.cat(training.batches(9, settings, 1)).tolist()


def test_learning_rate_falls_along_a_cosine():
    settings = Settings(learning_rate=0.2)
    assert [training.learning_rate(settings, done) for done in (0, 0.5, 1)] == pytest.approx([0.2, 0.1, 0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stream": "elbow"}, "stream must be one of joint, limb for model 'posec3d', got 'elbow'"),
        ({"model": "stgcn", "stream": "limb"}, "stream must be one of joint, bone, .* for model 'stgcn', got 'limb'"),
        ({"model": "lstm"}, "model must be one of posec3d, stgcn, got 'lstm'"),
        ({"epochs": -1}, "epochs must be 0 or more, got -1"),
        ({"learning_rate": float("nan")}, "learning_rate must be 0 or more, got nan"),
        ({"preset": "huge"}, "preset must be one of auto, smoke, quick, paper, got 'huge'"),
        ({"temporal": "stretch"}, "temporal must be one of align, crop_pad, segments, got 'stretch'"),
        ({"layout": "imigue23"}, "layout must be one of openpose137"),
        ({"device": "tpu"}, "device must be auto, cpu, cuda"),
    ],
)
def test_settings_refuse_nonsense(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)


def test_two_runs_at_once_in_a_folder_are_refused(tmp_path):
    with (
        runs.lock(tmp_path),
        pytest.raises(RuntimeError, match=r"held by process \d+ on .*; wait for it, end it, or choose another `run` name"),
        runs.lock(tmp_path),
    ):
        pass


def test_the_table_of_runs_lists_the_broken_and_the_unfinished_too(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("MIGA_OUTPUTS", str(tmp_path))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "whole").symlink_to(finished[0])
    for name, text in {"half": (finished[0] / "settings.json").read_text(), "broken": "{"}.items():
        (runs.folder(name) / "settings.json").write_text(text)
    states = runs.table().set_index("run")["state"]
    assert states["whole"] == "finished"
    assert states["half"] == "unfinished"
    assert states["broken"].startswith("broken: ValueError")
    assert [path.name for path in runs.newest(1)] == ["whole"]
    with pytest.raises(FileNotFoundError, match="2 finished runs are needed and 1 are there; train with 04_train first"):
        runs.newest(2)


def test_the_command_line_takes_the_notebooks_parameters(tmp_path, capsys):
    main(["--data", "synthetic-smoke", "--preset", "smoke", "--stream", "limb", "--outputs", str(tmp_path), "--epochs", "1"])
    assert (tmp_path / "runs" / "synthetic-smoke-posec3d-limb-imigue41-align-smoke-epochs1-0" / "result.json").exists()
    assert "epoch   1: loss" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="stream must be one of joint, limb for model 'posec3d', got 'elbow'"):
        main(["--stream", "elbow"])
