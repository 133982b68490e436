"""Training: the network learns, a resumed run gives the same bits, and a finished run predicts the same."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from miga_lib import clips, models, predictions, runs, streams, training
from miga_lib.settings import PRESETS, choose
from miga_lib.training import checkpoint, gpu, loop
from miga_lib.training.__main__ import main

pytestmark = pytest.mark.slow

BASE = {"preset": "smoke", "device": "cpu", "precision": "fp32"}
SMOKE = choose(**BASE)


def quiet(row):
    """Progress that reports nothing."""


@pytest.fixture(scope="module")
def finished(smoke_outputs, tmp_path_factory):
    """A finished run, its folder and its result."""
    run = tmp_path_factory.mktemp("run")
    return run, training.fit(clips.load("synthetic-smoke", outputs=smoke_outputs), SMOKE, run, progress=quiet)


@pytest.mark.parametrize(
    ("model", "stream"),
    [
        ("posec3d", "joint"),
        ("posec3d", "limb"),
        ("stgcn", "bone"),
        ("stgcnpp", "joint"),
        ("ctrgcn", "bone_motion"),
    ],
)
def test_each_stream_overfits_four_clips(smoke, tmp_path, monkeypatch, model, stream):
    """Four clips of four classes in a hundred steps: the loss must fall to a quarter, and all clips must be
    predicted correctly."""
    validate, losses = loop._validate, []

    def validate_the_last(task, state, clips):
        if state.epoch + 1 == task.epochs:
            validate(task, state, clips)
        else:
            state.end_epoch({"val_top1": 0.0, "seconds": 0.0})

    def note(row):
        if "val_top1" not in row:
            losses.append(row["loss"])

    monkeypatch.setattr(loop, "_validate", validate_the_last)  # most of the time of such short epochs
    first = smoke.split("train").table.drop_duplicates("label").index[:4]
    four = smoke.where(np.repeat(first.to_numpy(), 2))
    table = four.table.assign(split=["train", "val"] * 4, id=[f"clip {i}" for i in range(8)])
    four = replace(four, table=table)
    options = {"stream": stream, "epochs": 100, "batch_size": 4, "semantic_weight": 0.0}
    result = training.fit(four, choose(**BASE, model=model, **options), tmp_path, progress=note)
    assert len(losses) == 100
    assert losses[-1] < 0.25 * losses[0]
    assert result["scores"]["val"]["top1"] == 1


def test_a_network_that_cannot_be_compiled_is_trained_as_it_is(
    smoke, finished, tmp_path, monkeypatch, capsys
):
    def refuse(inputs):
        raise RuntimeError("no compiler\nwith a long explanation")

    monkeypatch.setattr(gpu, "compiled", lambda network, settings, clips: gpu.CompiledNetwork(network, clips))
    monkeypatch.setattr(torch, "compile", lambda network, dynamic: refuse)
    training.fit(smoke, SMOKE, tmp_path, progress=quiet)
    said = (
        "This machine cannot compile the network, so training is slower than it could be (RuntimeError: no"
        " compiler)\n"
    )
    assert capsys.readouterr().out.count(said) == 1
    weights, as_it_is = (checkpoint.read(run / "last.ckpt")["model"] for run in (tmp_path, finished[0]))
    assert all(torch.equal(value, as_it_is[name]) for name, value in weights.items())


def test_a_run_writes_all_documented_files(finished):
    run, result = finished
    names = {path.name for path in run.iterdir() if not path.name.startswith(".")}
    files = "settings.json clips.csv metrics.csv last.ckpt best.ckpt val.npz test.npz result.json"
    assert names == set(files.split())
    assert runs.run_result(run)["scores"] == result["scores"]
    metrics = pd.read_csv(run / "metrics.csv")
    assert metrics["epoch"].tolist() == [1, 2]
    # That of the last step of each epoch, the second and the fourth of four: after 1/4 and 3/4 of the cosine.
    assert metrics["learning_rate"].tolist() == pytest.approx([0.05 * (1 + 0.5**0.5), 0.05 * (1 - 0.5**0.5)])
    assert result["settings"]["epochs"] == PRESETS["smoke"]["epochs"]


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
    """In place of anything that ends a process."""


@pytest.fixture(scope="module")
def four_steps(smoke_outputs, tmp_path_factory):
    """Settings with four steps an epoch, and a run of them that was not stopped."""
    settings, run = replace(SMOKE, batch_size=6), tmp_path_factory.mktemp("straight")
    training.fit(clips.load("synthetic-smoke", outputs=smoke_outputs), settings, run, progress=quiet)
    return settings, run


@pytest.mark.parametrize(
    ("at", "kept"), [((1, 1), None), ((1, 3), (0, 2)), ((2, 1), (1, 0)), ((2, 3), (1, 2))]
)
def test_a_run_stopped_at_a_step_resumes_from_its_last_checkpoint_to_the_same_bits(
    four_steps, smoke, tmp_path, monkeypatch, at, kept
):
    """Stopped at a step of an epoch; kept are the finished epochs, and the steps of the next one, of the last
    checkpoint."""
    settings, run = four_steps
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)

    def stop(row):
        if (row["epoch"], row["step"]) == at:
            raise StoppedError

    with pytest.raises(StoppedError):
        training.fit(smoke, settings, tmp_path, progress=stop)
    assert not (tmp_path / "result.json").exists()
    if kept:
        position = checkpoint.read(tmp_path / "last.ckpt")["position"]
        assert (position["epoch"], position["step"]) == kept
    else:
        assert not (tmp_path / "last.ckpt").exists()
    training.fit(smoke, settings, tmp_path, progress=quiet)
    assert same_weights(run, tmp_path)
    straight, resumed = (
        pd.read_csv(folder / "metrics.csv").drop(columns="seconds") for folder in (run, tmp_path)
    )
    pd.testing.assert_frame_equal(straight, resumed, check_exact=True)


def test_a_resumed_run_reports_its_earlier_epochs_and_its_position(smoke, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)

    settings = replace(SMOKE, batch_size=6)

    def stop(row):
        if (row["epoch"], row["step"]) == (2, 3):
            raise StoppedError

    with pytest.raises(StoppedError):
        training.fit(smoke, settings, tmp_path, progress=stop)
    done, seen = checkpoint.read(tmp_path / "last.ckpt")["position"]["step"], []
    training.fit(smoke, settings, tmp_path, progress=seen.append)
    resumed = [
        (row["epoch"], row["step"] == row["steps"], "val_top1" in row) for row in seen if "resumed" in row
    ]
    assert resumed == [(1, True, True), (2, False, False)]
    assert [row["step"] for row in seen if row["epoch"] == 2][:2] == [done, done + 1]
    assert [row["epoch"] for row in seen if "val_top1" in row] == [1, 2]


def test_of_epochs_with_equal_accuracy_the_first_is_the_best():
    state = checkpoint.State(model := torch.nn.Linear(1, 1), torch.optim.SGD(model.parameters()))
    accuracies = [0.0, 0.5, 0.5, 0.25, 0.4, 0.75, 0.75, 0.5]
    improved = [state.end_epoch({"val_top1": top1}) for top1 in accuracies]
    assert np.flatnonzero(improved).tolist() == [0, 1, 5]
    assert state.best == 0.75
    assert state.epoch == 8
    assert [row["val_top1"] for row in state.rows] == accuracies


class Scaled(torch.nn.Module):
    """The same logits for all clips: the weights, which start at 0, times a constant."""

    def __init__(self, classes, scale):
        super().__init__()
        self.weights, self.scale = torch.nn.Parameter(torch.zeros(classes)), scale

    def forward(self, poses):
        return self.scale * self.weights.expand(len(poses), -1), poses.new_zeros(len(poses), 0)


def fit_scaled(smoke, run, monkeypatch, scale, **settings):
    """The weights after training on clips of a single class, which is returned too, in steps of all clips
    with learning rate 0.1."""

    def build(layout, in_channels, classes, *, dropout, embedding_size):
        return Scaled(classes, scale)

    presets = {"smoke": {"learning_rate": 0.1}}
    row = models.Model("graph", {"joint": streams.joint_graph}, presets, build)
    monkeypatch.setitem(models.MODELS, "scaled", row)
    label = smoke.split("train").table["label"].mode()[0]
    some = smoke.where((smoke.table["split"] == "val") | (smoke.table["label"] == label))
    training.fit(
        some,
        choose(**BASE, model="scaled", batch_size=100, semantic_weight=0.0, **settings),
        run,
        progress=quiet,
    )
    return torch.load(run / "last.ckpt", weights_only=True)["model"]["weights"], label


@pytest.mark.parametrize(("scale", "norm"), [(30.0, 30 * (31 / 32) ** 0.5), (1000.0, 40.0)])
def test_a_gradient_with_norm_above_40_is_scaled_down_to_40(smoke, tmp_path, monkeypatch, scale, norm):
    """Of 32 equal logits, the gradient is scale · (1/32 − 1 for the class of the clips), whose norm is scale
    · √(31/32).

    The first step is −0.1 times it: without momentum yet, and without weight decay, since the weights are 0.
    """
    weights, label = fit_scaled(smoke, tmp_path, monkeypatch, scale, epochs=1)
    direction = torch.nn.functional.one_hot(torch.tensor(label), 32) - 1 / 32
    torch.testing.assert_close(weights, 0.1 * norm * direction / direction.norm())


def test_best_ckpt_is_the_first_of_epochs_with_equal_accuracy(smoke, tmp_path, monkeypatch):
    """From the first step on, all clips are predicted as the one class that there is to learn."""
    last, _ = fit_scaled(smoke, tmp_path, monkeypatch, 1.0, epochs=3, keep="best")
    assert len(set(pd.read_csv(tmp_path / "metrics.csv")["val_top1"])) == 1
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert runs.run_result(tmp_path)["best_epoch"] == best["position"]["epoch"] == 1
    first, _ = fit_scaled(smoke, tmp_path / "one step", monkeypatch, 1.0, epochs=1)
    assert torch.equal(best["model"]["weights"], first)
    assert not torch.equal(last, first)


def generators():
    """The state of the generators of PyTorch and NumPy. (The type checker of the tests draws from Python's
    own.)"""
    _, keys, *rest = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), keys.tolist(), rest


def test_the_callers_random_generators_are_not_changed(finished, smoke, tmp_path):
    settings = SMOKE
    torch.manual_seed(11)
    built = training.build(settings, 32, 5).state_dict()
    torch.manual_seed(12)
    before = generators()
    again = training.build(settings, 32, 5).state_dict()
    assert generators() == before
    model, _ = training.load_model(finished[0], "cpu")
    assert generators() == before
    training.fit(smoke, SMOKE, tmp_path, progress=quiet)
    assert generators() == before
    training.predict(model, smoke.split("val"), settings)
    assert generators() == before
    assert all(torch.equal(built[name], again[name]) for name in built), (
        "weights depend on the seed of the settings alone"
    )
    assert not torch.equal(
        built["fc_cls.weight"], training.build(replace(settings, seed=1), 32, 5).state_dict()["fc_cls.weight"]
    )


def test_a_folder_with_another_run_is_refused_and_can_be_replaced(finished, smoke, tmp_path):
    settings = replace(SMOKE, epochs=1)
    training.fit(smoke, settings, tmp_path, progress=quiet)
    with pytest.raises(
        ValueError,
        match=r"holds a run with epochs=1; choose another `run` name, or `resume=False` to replace it",
    ):
        training.fit(smoke, SMOKE, tmp_path, progress=quiet)
    fewer = smoke.where(smoke.table.index != 0)
    with pytest.raises(ValueError, match="holds a run with other clips"):
        training.fit(fewer, settings, tmp_path, progress=quiet)
    training.fit(smoke, replace(SMOKE, resume=False), tmp_path, progress=quiet)
    assert len(pd.read_csv(tmp_path / "metrics.csv")) == 2


def test_a_loss_that_is_not_finite_stops_and_names_the_clips(smoke, tmp_path):
    broken = replace(smoke, keypoints=np.full_like(smoke.keypoints, 1e30))
    settings = choose(**BASE, model="stgcn", semantic_weight=0.0, learning_rate=1e18)
    with pytest.raises(
        FloatingPointError,
        match=r"the loss is (nan|inf) in epoch 1, step \d+, clips 0\d+_\d+.*lower learning_rate",
    ):
        training.fit(broken, settings, tmp_path, progress=quiet)


def test_batches_have_every_clip_once_and_no_batch_is_very_small():
    settings = choose(preset="smoke", batch_size=4)
    parts = training.batches(9, settings, 0)
    assert sorted(torch.cat(parts).tolist()) == list(range(9))
    assert [len(part) for part in parts] == [4, 5]
    assert torch.cat(parts).tolist() != torch.cat(training.batches(9, settings, 1)).tolist()


def test_the_command_line_takes_the_notebooks_parameters(tmp_path, capsys):
    options = "--data synthetic-smoke --preset smoke --stream limb --epochs 1 --outputs".split()
    main([*options, str(tmp_path)])
    run = tmp_path / "runs" / "synthetic-smoke-posec3d-limb-imigue41-align-smoke-epochs=1-0"
    assert (run / "result.json").exists()
    assert "epoch   1: loss" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="stream must be one of joint, .* for model 'posec3d', got 'elbow'"):
        main(["--stream", "elbow"])
