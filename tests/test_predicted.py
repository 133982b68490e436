"""Clips, labels and splits come from the data; a finished run predicts the clips that it has no predictions
of, and never those that trained it."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from miga_lib import clips, ensemble, layouts, predictions, runs, training
from miga_lib.ensemble import recipes
from miga_lib.readers import Report
from miga_lib.settings import choose

ONE_EPOCH = choose(preset="smoke", device="cpu", precision="fp32", epochs=1)
MADE = "predictions of other clips than at training, made by the run: run"


@pytest.fixture(scope="module")
def trained(smoke_outputs, tmp_path_factory):
    """The folder of a run that was finished without some of the test clips, to copy."""
    run = tmp_path_factory.mktemp("trained")
    training.fit(earlier(clips.load("synthetic-smoke", outputs=smoke_outputs)), ONE_EPOCH, run, quiet)
    return run


@pytest.fixture
def run(trained, tmp_path):
    """A finished run to add to."""
    return shutil.copytree(trained, tmp_path / "runs" / "run")


def quiet(row):
    pass


def earlier(smoke):
    """The clips without the last ones of the test split."""
    last = smoke.split("test").table["id"].iloc[-3:]
    return smoke.where(~smoke.table["id"].isin(last))


def changed(smoke, id, **values):
    """The clips, of which one has another label or split."""
    table = smoke.table.copy()
    for name, value in values.items():
        table.loc[table["id"] == id, name] = value
    return replace(smoke, table=table)


def test_stored_predictions_are_used_where_ids_and_keypoints_are_the_same(run, smoke, monkeypatch):
    monkeypatch.delattr(training.predicted, "load_model")
    report = Report()
    for split in ("val", "test"):
        predicted = training.predictions_of(run, earlier(smoke).split(split), report)
        stored = predictions.load(run / f"{split}.npz")
        assert np.array_equal(predicted.probabilities, stored.probabilities)
        assert predicted.ids.tolist() == stored.ids.tolist()
    assert not report.events


def test_labels_are_those_of_the_data(run, smoke):
    before = earlier(smoke)
    first = before.split("test").table["id"].iloc[0]
    right = training.predictions_of(run, before.split("test"))
    corrected = changed(before, first, label=int(right.predicted[0]))
    assert training.predictions_of(run, corrected.split("test")).labels[0] == right.predicted[0]
    members = ensemble.gather([run], [], "test", corrected, lambda **_: corrected)
    assert members["run"].labels[0] == right.predicted[0]
    assert np.array_equal(members["run"].probabilities, right.probabilities)


def test_clips_that_came_after_training_are_predicted_once_and_kept(run, smoke, monkeypatch):
    report, test = Report(), smoke.split("test")
    predicted = training.predictions_of(run, test, report)
    assert f"{MADE} ({len(test)})" in str(report)
    model, settings = training.load_model(run, "cpu")
    assert np.allclose(predicted.probabilities, training.predict(model, test, settings).probabilities)
    assert predicted.ids.tolist() == test.table["id"].tolist()
    monkeypatch.delattr(training.predicted, "load_model")
    again = training.predictions_of(run, test)
    assert np.array_equal(again.probabilities, predicted.probabilities)


def test_changed_keypoints_are_predicted_again(run, smoke):
    before = earlier(smoke)
    shifted = replace(before, keypoints=before.keypoints * np.float32([0.5, 1, 1]))
    report = Report()
    predicted = training.predictions_of(run, shifted.split("val"), report)
    assert MADE in str(report)
    assert not np.array_equal(predicted.probabilities, predictions.load(run / "val.npz").probabilities)


@pytest.mark.parametrize("damage", ["truncated", "broken", "gone"])
def test_damaged_predictions_are_made_again(run, smoke, damage):
    part, path = earlier(smoke).split("test"), run / "test.npz"
    whole = predictions.load(path)
    path.unlink()
    if damage == "truncated":
        whole.of(whole.ids[1:]).save(path)
    elif damage == "broken":
        path.write_bytes(b"PK")
    report = Report()
    predicted = training.predictions_of(run, part, report)
    # Training was in 32 bits, and a run predicts in the precision that is usual on the device.
    assert np.allclose(predicted.probabilities, whole.probabilities, atol=1e-3)
    assert ("damaged or lack clips: made again" in str(report)) == (damage != "gone")


def test_a_clip_that_trained_the_run_is_refused(run, smoke):
    before = earlier(smoke)
    id = before.split("train").table["id"].iloc[0]
    leaked = changed(before, id, split="test")
    message = (
        rf"run: was trained on 1 of these \d+ clips \(such as {id}\), so its accuracy on them says nothing"
    )
    with pytest.raises(ValueError, match=message):
        training.predictions_of(run, leaked.split("test"))
    with pytest.raises(ValueError, match=message):
        ensemble.gather([run], [], "test", leaked, lambda **_: leaked)


def test_a_validation_clip_that_is_a_test_clip_now_is_told(run, smoke):
    before, report = earlier(smoke), Report()
    id = before.split("val").table["id"].iloc[0]
    training.predictions_of(run, changed(before, id, split="test").split("test"), report)
    assert "whose validation accuracy chose the epoch of the run: run (1 of" in str(report)


def test_other_classes_and_joints_are_refused(run, smoke, smoke_outputs):
    test = smoke.split("test")
    with pytest.raises(
        ValueError, match=r"trained on 32 classes, the data have 32 \('turtle neck' against 'x'\)"
    ):
        training.predictions_of(run, replace(test, classes=("x", *test.classes[1:])))
    fewer = clips.load("synthetic-smoke", "imigue22", smoke_outputs).split("test")
    assert len(fewer.layout.joints) == len(layouts.get("imigue22").joints)
    with pytest.raises(
        ValueError, match="has other joints than the clips, those of 'imigue41' and the clips those"
    ):
        training.predictions_of(run, fewer)
    (run / "clips.csv").unlink()
    with pytest.raises(ValueError, match=r"clips\.csv: cannot be read"):
        training.predictions_of(run, test)


def test_the_same_command_predicts_new_test_clips_and_trains_nothing(run, smoke):
    weights = (run / "last.ckpt").read_bytes()
    result = training.fit(smoke, ONE_EPOCH, run, quiet)
    assert predictions.load(run / "test.npz").ids.tolist() == smoke.split("test").table["id"].tolist()
    assert result["data"] == runs.run_result(run)["data"] == runs.fingerprint(smoke)
    assert (run / "last.ckpt").read_bytes() == weights
    fewer = smoke.where(smoke.table["id"] != smoke.split("train").table["id"].iloc[0])
    with pytest.raises(
        ValueError, match="holds a run with other clips in split 'train'; choose another `run`"
    ):
        training.fit(fewer, ONE_EPOCH, run, quiet)


def test_training_again_removes_the_predictions_of_other_clips(run, smoke):
    training.predictions_of(run, smoke.split("test"))
    assert len(list(run.glob(runs.PREDICTED))) == 1
    training.fit(smoke, replace(ONE_EPOCH, resume=False), run, quiet)
    assert not list(run.glob(runs.PREDICTED))


def test_runs_are_found_after_test_clips_were_added(run, smoke, tmp_path):
    assert runs.newest_runs(1, tmp_path, smoke) == [run]


def test_an_ensemble_of_other_clips_is_refused(run, smoke, tmp_path):
    before = earlier(smoke)
    members = {split: training.predictions_of(run, before.split(split)) for split in ("val", "test")}
    folder, recipe = tmp_path / "ensembles" / "own", recipes.Recipe((1.0,), (1.0,))
    about = {"data": runs.fingerprint(before), "layout": "imigue41", "runs": ["run"]}
    recipes.save(folder, recipe, ["run"], members, about)
    id = before.split("test").table["id"].iloc[0]
    corrected = changed(before, id, label=int(members["test"].predicted[0]))
    gathered = ensemble.gather([folder], [], "test", corrected, lambda **_: corrected)
    assert gathered["own"].labels[0] == members["test"].predicted[0]
    message = "own: was not made of the {} test clips that the data have; run 06_ensemble again"
    with pytest.raises(ValueError, match=message.format(len(smoke.split("test")))):
        ensemble.gather([folder], [], "test", smoke, lambda **_: smoke)
    members["test"].of(members["test"].ids[1:]).save(folder / "test.npz")
    with pytest.raises(ValueError, match=message.format(len(before.split("test")))):
        ensemble.gather([folder], [], "test", before, lambda **_: before)


def test_where_nothing_can_be_written_predictions_are_made_and_this_is_told(run, smoke, close):
    close(run)
    report = Report()
    assert len(training.predictions_of(run, smoke.split("test"), report)) == len(smoke.split("test"))
    assert "predictions that could not be kept beside their run" in str(report)
