"""From recordings to segments: windows, choices, baselines, what is refused, what is written."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from torch import nn

from miga_lib import clips, labels, layouts, predictions, runs, spotting, training
from miga_lib.predictions import Predictions
from miga_lib.readers import Report
from miga_lib.settings import choose
from miga_lib.spotting import decoding, scoring, search, windows

SETTINGS = choose(preset="smoke", device="cpu", precision="fp32", no_gesture_ratio=1.0)
STUB = (nn.Identity(), SETTINGS)
"""A network that is not asked, since ``predicting`` answers."""
BOUNDS = ["label", "first", "last"]


def recordings_of(*sizes, segments=(), classes=labels.CLASSES):
    """Test recordings a, b, … of so many frames in which every joint is present; segments (video, label,
    first, last)."""
    names, layout = "abcdef"[: len(sizes)], layouts.get("imigue22")
    table = pd.DataFrame({"id": list(names), "video": list(names), "frames": sizes})
    table = table.assign(label=-1, split="test", subject="", fps=25.0, width=1280, height=720)
    table = table.assign(missing=0.0, start=np.cumsum(sizes) - sizes)
    keypoints = np.ones((sum(sizes), len(layout.joints), 3), np.float32)
    segments = pd.DataFrame(segments, columns=scoring.COLUMNS)
    return clips.Recordings(table, keypoints, layout, classes, "", segments=segments)


def predicting(monkeypatch, *rows):
    """Each window is predicted as the next of these rows; gives the windows that were asked for."""
    asked, answers = [], iter(rows)

    def predict(model, keypoints, bounds, settings, classes):
        asked.extend(bounds.tolist())
        return np.array([next(answers) for _ in bounds], float)

    monkeypatch.setattr(windows, "predict", predict)
    return asked


def test_a_frame_has_the_mean_of_its_windows(monkeypatch):
    """Ten frames, windows of 4 from frames 0, 3 and 6: frames 3 and 6 are in two of them."""
    one, two, three, four = [1, 0, 0], [0, 1, 0], [0.5, 0, 0.5], [0, 0.25, 0.75]
    asked = predicting(monkeypatch, one, two, three, four)
    recordings = recordings_of(10, 3, classes=("nod", "wave"))
    posteriors = spotting.posteriors([STUB], recordings, length=4, stride=3)
    assert asked == [[0, 3], [3, 6], [6, 9], [0, 2]], "the video of three frames is one window"
    expected = [one] * 3 + [[0.5, 0.5, 0]] + [two] * 2 + [[0.25, 0.5, 0.25]] + [three] * 3
    assert posteriors["a"] == pytest.approx(np.array(expected))
    assert posteriors["b"] == pytest.approx(np.array([four] * 3))


def test_networks_are_averaged(monkeypatch):
    predicting(monkeypatch, [1, 0], [0.5, 0.5])
    recordings = recordings_of(4, classes=("nod",))
    assert spotting.posteriors([STUB] * 2, recordings, 4, 3)["a"].tolist() == [[0.75, 0.25]] * 4


def test_frames_without_a_person_are_no_gesture(monkeypatch):
    """A window without any joint has probabilities of 0, and says nothing where another one covers the
    frame."""
    predicting(monkeypatch, [1, 0], [0, 0])
    posteriors = spotting.posteriors([STUB], recordings_of(6, classes=("nod",)), length=4, stride=4)
    assert posteriors["a"].tolist() == [[1, 0]] * 4 + [[0, 1]] * 2


def test_recordings_in_which_little_can_be_found_are_named():
    recordings = recordings_of(40, 20, 30)
    recordings.keypoints[40:60] = recordings.keypoints[70:72] = recordings.keypoints[75:80] = 0
    report = Report()
    spotting.note(recordings, 32, report)
    assert dict(report.events) == {
        "recordings shorter than a window of 32 frames: taken as one window": ["b (20)", "c (30)"],
        "recordings without any joint: no gesture": ["b"],
        "recordings with frames without a person": ["c (7 of 30, at most 0.2 s in a row)"],
    }
    report = Report()
    spotting.note(recordings.where([0]), 32, report)
    assert not report.events


def test_durations_are_those_of_gestures_and_gaps():
    """Gestures of 10 frames, gaps of 5 frames before, between and after them."""
    durations = spotting.durations(recordings_of(35, segments=[("a", 0, 5, 14), ("a", 3, 20, 29)]))
    assert durations.shape == (33, 10)
    lengths = [np.full(int(label in (0, 3)), 10) for label in range(32)]
    np.testing.assert_allclose(durations, decoding.log_durations([*lengths, np.full(3, 5)], 10))


def test_the_baselines():
    """The median length in training is 4, the commonest class 2; the run prefers class 1, and would prefer no
    gesture to it."""
    segments = [("a", 2, 0, 3), ("a", 2, 10, 13), ("b", 0, 1, 5), ("b", 1, 6, 6)]
    recordings = recordings_of(20, 9, segments=segments, classes=("nod", "wave", "bow"))
    recordings.table["split"] = ["train", "test"]
    test = recordings.split("test")
    ids, probabilities = np.array(["b_0", "b_1", "b_gap0"]), np.array([[0, 0.4, 0.1, 0.5]] * 3)
    classes = np.array([*recordings.classes, labels.NO_GESTURE])
    predicted = Predictions(ids, np.array([0, 1, 3]), probabilities, classes)
    always, exact = spotting.baselines(recordings, test, predicted).values()
    assert always["video"].eq("b").all()
    assert always[BOUNDS].to_numpy().tolist() == [[2, 0, 3], [2, 4, 7], [2, 8, 8]]
    assert exact[BOUNDS].to_numpy().tolist() == [[1, 1, 5], [1, 6, 6]]
    assert scoring.pooled(scoring.counts(test.segments, exact))["f1"] == 1 / 2


def test_predicted_segments_are_clips_of_the_class_they_overlap():
    truth = [("a", 1, 0, 9), ("a", 0, 10, 19)]
    recordings = recordings_of(30, 10, segments=truth, classes=("nod", "wave"))
    segments = pd.DataFrame([("a", 1, 8, 15), ("b", 1, 0, 3), ("a", 0, 25, 29)], columns=scoring.COLUMNS)
    posteriors = {"a": np.tile([0.5, 0.25, 0.25], (30, 1)), "b": np.tile([0, 0.5, 0.5], (10, 1))}
    arguments = recordings, posteriors, ("nod", "wave", labels.NO_GESTURE)
    cut, predicted = spotting.as_clips(segments, *arguments, truth=recordings.segments)
    assert cut.table["id"].tolist() == predicted.ids.tolist() == ["a_0", "b_0", "a_1"]
    assert cut.table[["label", "frames", "start"]].to_numpy().tolist() == [[0, 8, 8], [2, 4, 30], [2, 5, 25]]
    assert predicted.probabilities.tolist() == [[0.5, 0.25, 0.25], [0, 0.5, 0.5], [0.5, 0.25, 0.25]]
    assert cut.classes == ("nod", "wave", labels.NO_GESTURE)
    assert spotting.as_clips(segments, *arguments)[1].labels.tolist() == [-1] * 3, "without truth"
    cut, predicted = spotting.as_clips(segments[:0], *arguments)
    assert cut.table["id"].tolist() == ["a", "b"], "the recordings, without segments"
    assert len(predicted) == 0


def test_the_submission_has_a_file_for_each_video(tmp_path):
    recordings = recordings_of(30, 10)
    segments = pd.DataFrame([("a", 31, 8, 15), ("a", 0, 2, 4)], columns=scoring.COLUMNS)
    with zipfile.ZipFile(spotting.submission(segments, recordings, tmp_path)) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert files == {"Sequencea_prediction.csv": "1,2,4\n99,8,15\n", "Sequenceb_prediction.csv": ""}
    with pytest.raises(ValueError, match="the 32 classes of iMiGUE, these recordings have 1 others"):
        spotting.submission(segments, replace(recordings, classes=("nod",)), tmp_path)


def test_recordings_without_known_classes_are_refused():
    with pytest.raises(ValueError, match="none of the 1 recordings has a gesture of known class"):
        spotting.true_segments(recordings_of(30, segments=[("a", -1, 0, 9)]))


def test_validation_chooses_lengths_and_parameters():
    """Windows of 8 frames are right and those of 16 say nothing: the best rows use 8 alone and find the
    gesture."""
    right = np.full((40, 3), 0.1)
    right[:, 2] = 0.8
    right[10:20] = 0.8, 0.1, 0.1
    truth = pd.DataFrame([("a", 0, 10, 19)], columns=scoring.COLUMNS)
    durations = decoding.log_durations([np.full(9, 10), np.full(9, 10), np.full(9, 15)], 20)
    tried = search.try_all({16: {"a": np.full((40, 3), 1 / 3)}, 8: {"a": right}}, truth, durations)
    best = search.best(tried)
    assert list(best) == list(search.DECODERS)
    assert [(choice["lengths"], choice["f1"]) for choice in best.values()] == [((8,), 1), ((8,), 1)]
    assert set(tried["lengths"]) == {(8,), (16,), (8, 16)}
    for choice in best.values():
        segments = search.spot({"a": right}, choice, durations)
        assert segments[["video", *BOUNDS]].to_numpy().tolist() == [["a", 0, 10, 19]]


def finished(outputs, name, classes, **changes):
    """The folder of a run that looks finished, with these classes."""
    folder = runs.run_folder(name, outputs)
    settings = replace(SETTINGS, **changes).values()
    result = {"settings": settings, "data": {"classes": list(classes)}, "scores": {}, "seconds": 1.0}
    for file in (runs.SETTINGS, runs.RESULT):
        (folder / file).write_text(json.dumps(result))
    return folder


def test_runs_that_cannot_spot_are_refused(tmp_path):
    missing = (
        "no finished run knows 'no gesture'; train one with 04_train -p more '.\"no_gesture_ratio\": 1.'"
    )
    with pytest.raises(ValueError, match=missing):
        spotting.find_runs([], tmp_path)
    finished(tmp_path, "plain", labels.CLASSES, no_gesture_ratio=0.0)
    runs.run_folder("unfinished", tmp_path)
    with pytest.raises(ValueError, match=missing):
        spotting.find_runs([], tmp_path)
    good = finished(tmp_path, "good", (*labels.CLASSES, labels.NO_GESTURE))
    assert spotting.find_runs([], tmp_path) == spotting.find_runs(["good"], tmp_path) == [good]
    with pytest.raises(ValueError, match="plain: must be a run .* train one .*, or give one of good"):
        spotting.find_runs(["plain"], tmp_path)
    with pytest.raises(ValueError, match="there is no finished run or ensemble 'unfinished'"):
        spotting.find_runs(["unfinished"], tmp_path)


def test_runs_of_other_classes_or_joints_are_refused(tmp_path, smoke_outputs):
    good = finished(tmp_path, "good", (*labels.CLASSES, labels.NO_GESTURE))
    assert spotting.load("synthetic-smoke", [good], smoke_outputs).classes == labels.CLASSES
    other = finished(tmp_path, "other", (*labels.SMG_CLASSES, labels.NO_GESTURE))
    message = (
        "other: knows 17 classes such as 'turtling neck and shoulder', the recordings 32 such as 'turtle"
    )
    with pytest.raises(ValueError, match=message):
        spotting.load("synthetic-smoke", [other], smoke_outputs)
    fewer = finished(tmp_path, "fewer", (*labels.CLASSES, labels.NO_GESTURE), layout="imigue22")
    message = "fewer: has the joints of 'imigue22' and good those of 'imigue41'; give runs of one layout"
    with pytest.raises(ValueError, match=message):
        spotting.load("synthetic-smoke", [good, fewer], smoke_outputs)


@pytest.mark.slow
def test_a_trained_run_spots(smoke_outputs, tmp_path):
    both = clips.load("synthetic-smoke", outputs=smoke_outputs, **SETTINGS.clip_arguments)
    folder = runs.run_folder("spotter", tmp_path)
    training.fit(both, SETTINGS, folder, progress=lambda row: None)
    recordings = spotting.load("synthetic-smoke", spotting.find_runs([], tmp_path), smoke_outputs)
    test = recordings.split("test")
    posteriors = spotting.posteriors([training.load_model(folder, "cpu")], test, length=16, stride=8)
    for video, frames in zip(test.table["video"], test.table["frames"], strict=True):
        assert posteriors[video].shape == (frames, 33)
        np.testing.assert_allclose(posteriors[video].sum(1), 1)
    baselines = spotting.baselines(recordings, test, predictions.load(folder / "test.npz"))
    assert len(baselines["true bounds"]) == len(test.segments)
