"""The options of training that are off by default: what each does, and that a run with all of them resumes to
the same bits."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch

from miga_lib import augmentation, checkpoints, denoising, metrics, predictions, runs, training
from miga_lib.settings import PRESETS, Settings
from miga_lib.training import checkpoint, loop
from miga_lib.training.distributed import World

pytestmark = pytest.mark.slow

SMOKE = Settings(preset="smoke", device="cpu", precision="fp32", semantic_weight=0.0)
EVERY = replace(
    SMOKE,
    denoise="+".join(denoising.FILTERS),
    augment="+".join(["shorten", *augmentation.AUGMENTATIONS]),
    mixing=0.2,
    label_smoothing=0.1,
    logit_adjustment=1.0,
    sampling="square_root",
    warmup=0.3,
    weight_average=0.8,
    min_steps=9,
    patience=9,
)


def quiet(row):
    """Progress that reports nothing."""


def start(clips, settings, run):
    return loop.start(clips, settings.resolve(), run, World(), quiet, lambda: False)


def weights(run, name="best.ckpt"):
    return checkpoint.read(run / name)["model"]


def test_a_run_with_every_option_resumes_to_the_same_bits(smoke, tmp_path):
    training.fit(smoke, EVERY, tmp_path / "straight", progress=quiet)

    def stop(row):
        if (row["epoch"], row["step"]) == (2, 2) and "val_top1" not in row:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        training.fit(smoke, EVERY, tmp_path / "stopped", progress=stop)
    training.fit(smoke, EVERY, tmp_path / "stopped", progress=quiet)
    for name in ("best.ckpt", "last.ckpt"):
        one, other = (weights(tmp_path / run, name) for run in ("straight", "stopped"))
        assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())
    one, other = (checkpoint.read(tmp_path / run / "last.ckpt")["average"] for run in ("straight", "stopped"))
    assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def test_the_name_of_a_run_shows_its_options():
    assert runs.run_name(SMOKE) == "posec3d-joint-imigue41-align-smoke-plain-0"
    assert (
        runs.run_name(replace(SMOKE, denoise="swaps+gaps"))
        == "posec3d-joint-imigue41-align-smoke-plain-denoise_swaps+gaps-0"
    )
    some = replace(
        SMOKE, augment="rotate+noise", weight_average=0.9, sampling="classes", min_steps=500, keep="last"
    )
    assert runs.run_name(some).endswith(
        "-smoke-plain-min_steps500-keep_last-weight_average0.9-augment_rotate+noise-sampling_classes-0"
    )


def test_a_small_set_has_as_many_epochs_as_the_least_number_of_steps_needs(smoke, tmp_path):
    task, _ = start(smoke, SMOKE, tmp_path)
    assert task.epochs == PRESETS["smoke"].epochs == 2
    steps = len(training.batches(task.inputs.labels, SMOKE.resolve(), 0))
    for wanted, epochs in ((2 * steps, 2), (2 * steps + 1, 3), (7 * steps, 7)):
        assert start(smoke, replace(SMOKE, min_steps=wanted), tmp_path)[0].epochs == epochs


def test_epochs_that_are_set_switch_off_the_presets_least_steps(monkeypatch):
    monkeypatch.setitem(PRESETS, "smoke", replace(PRESETS["smoke"], min_steps=100))
    assert SMOKE.resolve().min_steps == 100
    chosen = replace(SMOKE, epochs=3).resolve()
    assert (chosen.epochs, chosen.min_steps) == (3, 0)
    assert "min_steps" not in runs.run_name(replace(SMOKE, epochs=3))
    assert SMOKE.resolve().resolve() == SMOKE.resolve(), "also with the least steps of the preset"


def test_patience_waits_for_the_least_number_of_steps_and_keeps_the_best_epoch(smoke, tmp_path):
    settings = replace(SMOKE, learning_rate=1e-9, patience=1, min_steps=13, preset="quick", frames=8, width=4)
    result = training.fit(smoke, settings, tmp_path, progress=quiet)
    steps = len(training.batches(torch.zeros(result["train_clips"], dtype=torch.long), settings.resolve(), 0))
    assert len(pd.read_csv(tmp_path / "metrics.csv")) == -(-13 // steps), "no epoch is better than the first"
    assert result["best_epoch"] == 1
    assert replace(settings, patience=0).resolve().keep == "last"


def test_patience_counts_the_epochs_before_a_stop(smoke, tmp_path):
    settings = replace(SMOKE, epochs=9, patience=2, learning_rate=1e-9)
    training.fit(smoke, settings, tmp_path / "straight", progress=quiet)

    def stop(row):
        if "val_top1" in row and row["epoch"] == 2:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        training.fit(smoke, settings, tmp_path / "stopped", progress=stop)
    training.fit(smoke, settings, tmp_path / "stopped", progress=quiet)
    assert [len(pd.read_csv(tmp_path / run / "metrics.csv")) for run in ("straight", "stopped")] == [3, 3]


def test_lost_predictions_of_a_run_with_patience_are_made_again_without_training(smoke, tmp_path):
    settings = replace(SMOKE, epochs=9, patience=1, learning_rate=1e-9)
    training.fit(smoke, settings, tmp_path, progress=quiet)
    about = checkpoint.read(tmp_path / "last.ckpt")
    assert about["position"]["epoch"] == 2
    # An earlier version may have stopped where this one would go on.
    about["position"]["rows"] = tuple(
        row | {"val_top1": float(row["epoch"])} for row in about["position"]["rows"]
    )
    torch.save(about, tmp_path / "last.ckpt")
    kept = predictions.load(tmp_path / "test.npz")
    (tmp_path / "test.npz").unlink()
    training.fit(smoke, settings, tmp_path, progress=lambda row: pytest.fail("it trained"))
    assert np.array_equal(predictions.load(tmp_path / "test.npz").probabilities, kept.probabilities)


def test_training_stops_after_epochs_without_gain(smoke, tmp_path, monkeypatch):
    accuracies = iter([0.2, 0.5, 0.5, 0.4, 0.9])
    real = metrics.scores
    monkeypatch.setattr(loop.metrics, "scores", lambda of: real(of) | {"top1": next(accuracies, 0.0)})
    result = training.fit(smoke, replace(SMOKE, epochs=20, patience=2), tmp_path, progress=quiet)
    assert pd.read_csv(tmp_path / "metrics.csv")["val_top1"].tolist() == [0.2, 0.5, 0.5, 0.4]
    assert result["best_epoch"] == 2


def test_the_average_of_the_weights_is_what_is_evaluated(smoke, tmp_path):
    """By hand: the average starts as the weights after the first step, then moves by a fifth of the
    difference in each step."""
    settings = replace(SMOKE, weight_average=0.8, epochs=1).resolve()
    seen = []
    task, state = start(smoke, settings, tmp_path)
    name = "fc_cls.weight"
    step = state.optimizer.step
    state.optimizer.step = lambda: (step(), seen.append(state.model.state_dict()[name].clone()))[0]
    loop._train_epoch(task, state)
    expected = seen[0]
    for tensor in seen[1:]:
        expected = 0.8 * expected + 0.2 * tensor
    assert len(seen) > 1
    torch.testing.assert_close(state.evaluated.state_dict()[name], expected)
    training.fit(smoke, settings, tmp_path / "run", progress=quiet)
    torch.testing.assert_close(weights(tmp_path / "run")[name], expected)
    assert not torch.equal(weights(tmp_path / "run", "last.ckpt")[name], expected)


def test_warm_up_multiplies_the_cosine():
    settings = Settings(learning_rate=0.2, warmup=0.25)
    rates = [training.learning_rate(settings, done) for done in (0, 0.125, 0.25, 0.5, 1)]
    plain = [training.learning_rate(Settings(learning_rate=0.2), done) for done in (0, 0.125, 0.25, 0.5, 1)]
    assert rates == pytest.approx([0, 0.5 * plain[1], *plain[2:]])


@pytest.mark.parametrize("sampling", ["classes", "square_root"])
def test_other_seeds_draw_other_clips_and_the_same_seed_the_same(sampling):
    classes = torch.tensor([0] * 40 + [1] * 10)
    one, again, other = (
        torch.cat(training.batches(classes, replace(SMOKE, sampling=sampling, seed=seed).resolve(), 3))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one.sort()[0], other.sort()[0])


def test_a_clip_that_is_drawn_twice_is_augmented_in_two_ways(smoke, tmp_path, monkeypatch):
    settings, made = replace(SMOKE, sampling="classes", epochs=1), []
    task, state = start(smoke, settings, tmp_path)
    drawn = torch.cat(training.batches(task.inputs.labels, task.settings, 0))
    assert len(drawn.unique()) < len(drawn) - 2
    real = task.inputs.training
    monkeypatch.setattr(task.inputs, "training", lambda *of: made.append(real(*of)) or made[-1])
    loop._train_epoch(task, state)
    inputs = torch.cat(made)
    assert len(inputs) == len(drawn)
    assert len(inputs.unique(dim=0)) == len(inputs)


@pytest.mark.parametrize(
    ("sampling", "shares"), [("clips", (0.8, 0.2)), ("square_root", (2 / 3, 1 / 3)), ("classes", (0.5, 0.5))]
)
def test_how_often_each_class_is_drawn(sampling, shares):
    # 16 clips of one class and 4 of another, whose square roots are 4 and 2.
    classes = torch.tensor([0] * 16 + [1] * 4)
    settings = replace(SMOKE, sampling=sampling).resolve()
    drawn = torch.cat([torch.cat(training.batches(classes, settings, epoch)) for epoch in range(200)])
    assert len(drawn) == 200 * 20
    assert (classes[drawn].bincount() / len(drawn)).tolist() == pytest.approx(shares, abs=0.03)
    assert len(drawn.unique()) == 20, "all clips of a class are drawn"


def test_the_loss_of_a_step_has_the_adjustment_and_the_smoothing(smoke, tmp_path):
    settings = replace(SMOKE, logit_adjustment=1.5, label_smoothing=0.2)
    task, _ = start(smoke, settings, tmp_path)
    rows = torch.arange(12)
    task.network.eval()
    logits = (
        task.network(task.inputs.training(rows, 0))[0].double()
        + 1.5 * (task.inputs.labels.bincount(minlength=32).clamp(min=1) / len(task.inputs)).log()
    )
    target = torch.nn.functional.one_hot(task.inputs.labels[rows], 32) * 0.8 + 0.2 / 32
    expected = -(target * logits.log_softmax(1)).sum(1).mean().item()
    parts = loop.forward(task, task.inputs.training(rows, 0), task.inputs.labels[rows], task.network)
    assert parts["loss"].item() == pytest.approx(expected, rel=1e-3)


def test_the_average_has_the_statistics_of_batch_norm():
    model = torch.nn.BatchNorm1d(2)
    average = loop._average(model, replace(SMOKE, weight_average=0.75))
    average.update_parameters(model)
    model.running_mean += torch.tensor([4.0, 8.0])
    average.update_parameters(model)
    assert average.module.running_mean.tolist() == [1.0, 2.0]


def test_the_learning_rate_of_a_run_warms_up(smoke, tmp_path):
    training.fit(smoke, replace(SMOKE, epochs=4, warmup=0.5), tmp_path, progress=quiet)
    rates = pd.read_csv(tmp_path / "metrics.csv")["learning_rate"]
    assert rates[0] < rates[1]


def test_logit_adjustment_adds_the_shares_of_the_training_clips(smoke, tmp_path):
    task, _ = start(smoke, replace(SMOKE, logit_adjustment=0.5), tmp_path)
    counts = np.maximum(np.bincount(task.inputs.labels, minlength=32), 1)
    torch.testing.assert_close(
        task.adjustment, torch.tensor(0.5 * np.log(counts / counts.sum()), dtype=torch.float32)
    )


def test_mixing_averages_the_losses_of_two_clips(smoke, tmp_path, monkeypatch):
    """With a weight of 0.25: a quarter of the loss against the clip's own class, three quarters against that
    of the clip before it."""
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self: torch.tensor(0.25))
    task, _ = start(smoke, replace(SMOKE, mixing=0.2), tmp_path)
    rows, given = torch.tensor([0, 5, 9]), []

    def network(inputs):
        given.append(inputs)
        return torch.log_softmax(torch.eye(3, 32), 1), torch.zeros(3, 0)

    plain = task.inputs.training(rows, 0)
    parts = loop.forward(task, plain, task.inputs.labels[rows], network)
    torch.testing.assert_close(given[0], 0.25 * plain + 0.75 * plain[[2, 0, 1]])
    cost = -torch.log_softmax(torch.eye(3, 32), 1)
    own, other = (cost[range(3), task.inputs.labels[rows[order]]].mean() for order in ([0, 1, 2], [2, 0, 1]))
    torch.testing.assert_close(parts["loss"], 0.25 * own + 0.75 * other)


@pytest.mark.parametrize("start_from", ["first", "{run}/best.ckpt", "{run}/theirs.pth"])
def test_a_new_head_leaves_all_other_weights_and_statistics_as_they_were(smoke, tmp_path, start_from):
    training.fit(smoke, SMOKE, tmp_path / "first", progress=quiet)
    checkpoints.save_pyskl(
        training.load_model(tmp_path / "first", "cpu")[0], tmp_path / "first" / "theirs.pth"
    )
    balanced = replace(
        SMOKE, start_from=start_from.format(run=tmp_path / "first"), trained="head", sampling="classes"
    )
    training.fit(smoke, balanced, tmp_path / "second", progress=quiet)
    before, after = (weights(tmp_path / run) for run in ("first", "second"))
    assert {name for name, tensor in before.items() if not torch.equal(tensor, after[name])} == {
        "fc_cls.weight",
        "fc_cls.bias",
    }


def test_a_run_predicts_filtered_clips_and_is_of_the_clips_as_they_were(smoke, tmp_path):
    settings = replace(SMOKE, denoise="swaps+outliers+gaps+savitzky_golay")
    result = training.fit(smoke, settings, tmp_path / "runs" / "filtered", progress=quiet)
    assert result["data"] == runs.fingerprint(smoke)
    kept = predictions.load(tmp_path / "runs" / "filtered" / "test.npz").probabilities
    model, loaded = training.load_model(tmp_path / "runs" / "filtered", "cpu")
    test = smoke.split("test")
    for clips in (test, denoising.denoised(test, settings.denoise)):
        assert np.array_equal(
            training.predict(model, clips, replace(loaded, precision="fp32")).probabilities, kept
        )
    assert not np.array_equal(
        training.predict(model, test, replace(loaded, precision="fp32", denoise="")).probabilities, kept
    )


def test_processes_share_the_gradients_of_a_new_head_only(smoke, tmp_path, monkeypatch):
    """What is wrapped for several processes knows which weights are frozen; otherwise its second step waits
    for their gradients."""
    training.fit(smoke, SMOKE, tmp_path / "first", progress=quiet)
    trained = []

    def wrap(self, model, device):
        trained.extend(name for name, weights in model.named_parameters() if weights.requires_grad)
        return model

    monkeypatch.setattr(World, "wrap", wrap)
    start(smoke, replace(SMOKE, start_from="first", trained="head"), tmp_path / "second")
    assert trained == ["fc_cls.weight", "fc_cls.bias"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"augment": "rotate+spin"}, "a name in augment must be one of shorten, rotate, .*, got 'spin'"),
        (
            {"denoise": "gaps+blur"},
            "a name in denoise must be one of swaps, outliers, gaps, savitzky_golay, got 'blur'",
        ),
        (
            {"augment": "rotate+rotate"},
            "augment has rotate twice, and each is applied once; give each name once",
        ),
        ({"augment": "rotate+"}, "a name in augment must be one of shorten, rotate, .*, got ''"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be below 1, got 1.0"),
        ({"weight_average": 1.5}, r"weight_average must be below 1, got 1.5"),
        ({"sampling": "random"}, "sampling must be one of clips, square_root, classes, got 'random'"),
        (
            {"trained": "head"},
            "trained 'head' keeps the other weights, which `start_from` gives; set `start_from`, too",
        ),
    ],
)
def test_wrong_options_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        replace(SMOKE, **wrong)


def test_a_run_of_an_earlier_version_kept_the_best_epoch():
    stored = asdict(replace(SMOKE, preset="quick").resolve())
    assert stored.pop("keep") == "last"
    assert Settings.of_run(stored).keep == "best"
    for name in ("frames", "size"):
        del stored[name]
    assert (Settings.of_run(stored).frames, Settings.of_run(stored).size) == (12, 20), (
        "the input of `quick` when runs did not store it"
    )
    assert Settings.of_run(stored | {"preset": "smoke"}).frames == 8
    assert Settings.of_run(stored | {"augment": "rotate+rotate+", "denoise": ""}).augment == "rotate"


def test_the_last_epoch_can_be_kept(smoke, tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.2, 0.3])
    real = metrics.scores
    monkeypatch.setattr(loop.metrics, "scores", lambda of: real(of) | {"top1": next(accuracies, 0.0)})
    result = training.fit(smoke, replace(SMOKE, epochs=3, keep="last"), tmp_path, progress=quiet)
    assert result["best_epoch"] == 3
    kept, last = weights(tmp_path), weights(tmp_path, "last.ckpt")
    assert all(torch.equal(tensor, last[name]) for name, tensor in kept.items())
