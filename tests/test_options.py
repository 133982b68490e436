"""The settings of training that are off by default: what each does, and that a run with all of them resumes
to the same bits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from miga_lib import augmentation, denoising, metrics, predictions, runs, training
from miga_lib.settings import choose
from miga_lib.training import checkpoint, loop
from miga_lib.training.distributed import World

pytestmark = pytest.mark.slow

SMOKE = choose(preset="smoke", device="cpu", precision="fp32", semantic_weight=0.0)
EVERY = replace(
    SMOKE,
    denoise="+".join(denoising.FILTERS),
    augment="+".join(augmentation.AUGMENTATIONS),
    logit_adjustment=1.0,
    min_steps=9,
)


def quiet(row):
    """Progress that reports nothing."""


def start(clips, settings, run):
    return loop.start(clips, settings, run, World(), quiet, lambda: False)


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


def test_a_small_set_has_as_many_epochs_as_the_least_number_of_steps_needs(smoke, tmp_path):
    task, _ = start(smoke, SMOKE, tmp_path)
    assert task.epochs == 2
    steps = len(training.batches(len(task.inputs), SMOKE, 0))
    for least, epochs in ((2 * steps, 2), (2 * steps + 1, 3), (7 * steps, 7)):
        assert start(smoke, replace(SMOKE, min_steps=least), tmp_path)[0].epochs == epochs


def test_logit_adjustment_adds_the_shares_of_the_training_clips(smoke, tmp_path):
    task, _ = start(smoke, replace(SMOKE, logit_adjustment=0.5), tmp_path)
    counts = np.maximum(np.bincount(task.inputs.labels, minlength=32), 1)
    torch.testing.assert_close(
        task.adjustment, torch.tensor(0.5 * np.log(counts / counts.sum()), dtype=torch.float32)
    )


def test_a_run_predicts_filtered_clips_and_is_of_the_clips_as_they_were(smoke, tmp_path):
    settings = replace(SMOKE, denoise="swaps+outliers+gaps")
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


def test_the_last_epoch_can_be_kept(smoke, tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.2, 0.3])
    real = metrics.scores
    monkeypatch.setattr(
        loop.metrics, "scores", lambda predicted, *_: real(predicted) | {"top1": next(accuracies, 0.0)}
    )
    result = training.fit(smoke, replace(SMOKE, epochs=3, keep="last"), tmp_path, progress=quiet)
    assert result["best_epoch"] == 3
    kept, last = weights(tmp_path), weights(tmp_path, "last.ckpt")
    assert all(torch.equal(tensor, last[name]) for name, tensor in kept.items())
