"""Trained runs on new data: recordings and clips of other sources, one run, several and ensembles, and what
cannot be recognised."""

import json
import re
from dataclasses import replace

import fuzzing
import numpy as np
import pandas as pd
import pytest

from miga_lib import clips, labels, predictions, recognise, runs, training
from miga_lib.ensemble import recipes
from miga_lib.readers import Report
from miga_lib.settings import choose
from miga_lib.training import windows

RUNS = {"joint": {}, "limb": {"stream": "limb"}, "body": {"layout": "body25", "model": "stgcn"}}


@pytest.fixture(scope="module")
def trained(smoke_outputs):
    """Finished runs: joint and limb of 41 joints, and a graph network of 25; and an ensemble of the first
    two."""
    for name, changes in RUNS.items():
        settings = choose(
            **{"preset": "smoke", "device": "cpu", "epochs": 1, "semantic_weight": 0.0, "precision": "fp32"}
            | changes
        )
        data = clips.load("synthetic-smoke", settings.layout, smoke_outputs)
        training.fit(data, settings, runs.run_folder(f"of_{name}", smoke_outputs), progress=lambda row: None)
    parts = [predictions.load(smoke_outputs / "runs" / name / "val.npz") for name in ("of_joint", "of_limb")]
    about = {"runs": ["of_joint", "of_limb"], "data": {}, "adjustment": 0.5}
    recipe = recipes.Recipe((1.0, 2.0), (0.25, 0.75))
    recipes.save(
        smoke_outputs / "ensembles" / "both",
        recipe,
        ["of_joint", "of_limb"],
        {"val": recipe.fuse(parts)},
        about,
    )
    return smoke_outputs


def shown(outputs, *names, **options):
    options = {"lengths": (32,), "stride": 24} | options
    return recognise.recordings(
        "synthetic-smoke", recognise.members(names, outputs, "cpu"), outputs, **options
    )


def test_the_probabilities_of_frames_and_the_rows_of_the_table_follow_from_the_windows(trained):
    """A row has the class that is the most probable one in all its frames, the time of its first frame, and
    the mean probability."""
    found = shown(trained, "of_joint", lengths=(24,), stride=16, fps=10)
    (member,) = recognise.members(["of_joint"], trained, "cpu")
    videos = clips.load_recordings("synthetic-smoke", outputs=trained)
    assert list(found.of_frames) == videos.table["id"].tolist()
    for i, (video, posteriors) in enumerate(found.of_frames.items()):
        places = windows.places(len(videos[i]), (24,), 16)
        each = windows.predict(member.model, videos[i], places, member.settings, 32)
        assert np.allclose(posteriors, windows.of_frames(len(videos[i]), places, each))
        rows = found.table[found.table["recording"] == video]
        covered = np.concatenate(
            [np.arange(row.first_frame, row.last_frame + 1) for row in rows.itertuples()]
        )
        assert covered.tolist() == np.flatnonzero(posteriors.any(1)).tolist()
        for row in rows.itertuples():
            within = posteriors[row.first_frame : row.last_frame + 1]
            label = labels.CLASSES.index(rows["class"][row.Index])
            assert (within.argmax(1) == label).all()
            assert row.probability == pytest.approx(within[:, label].mean())
            assert row.seconds == pytest.approx(row.first_frame / 10)


def test_runs_are_averaged_and_an_ensemble_has_its_weights_and_temperatures(trained):
    names = (["of_joint"], ["of_limb"], ["of_joint", "of_limb"], ["both"])
    joint, limb, both, fused = (shown(trained, *of).of_frames for of in names)
    for video in joint:
        assert np.allclose(both[video], (joint[video] + limb[video]) / 2)
        assert not np.allclose(fused[video], both[video])
    by = recognise.members(["both", "of_joint"], trained, "cpu", report := Report())
    assert [(m.run.name, m.weight, m.temperature) for m in by] == [
        ("of_joint", 0.125, 1),
        ("of_limb", 0.375, 2),
        ("of_joint", 0.5, 1),
    ]
    assert "adjustment for rare classes is not applied to new data: both" in str(report)


def test_clips_are_predicted_as_by_the_run_itself(trained):
    by = recognise.members(["both"], trained, "cpu")
    found = recognise.clips("synthetic-smoke", by, trained)
    expected = predictions.load(trained / "ensembles" / "both" / "val.npz")
    assert np.allclose(found.predictions.of(expected.ids).probabilities, expected.probabilities, atol=1e-5)
    assert found.table["recording"].tolist() == found.clips.table["id"].tolist()
    assert (found.table["last_frame"] + 1).tolist() == found.clips.table["frames"].tolist()
    right = (found.predictions.predicted == found.predictions.labels).mean()
    assert (
        recognise.accuracy(found) == f"Top-1 on {len(found.table)} clips of known class: {100 * right:.1f} %."
    )


def test_runs_of_different_joints_recognise_together(trained):
    found = shown(trained, "of_joint", "of_body")
    assert found.clips.layout.name == "imigue41"
    assert all(posteriors.any(1).all() for video, posteriors in found.of_frames.items() if video != "0004")


def test_classes_of_other_data_are_compared_by_name(trained, tmp_path):
    (tmp_path / "in").mkdir()
    fuzzing.make_openpose(tmp_path / "in")
    table = tmp_path / "in" / "segments.csv"
    table.write_text(table.read_text().replace("wave", "fold arm"))
    found = recognise.clips(tmp_path / "in", recognise.members(["of_joint"], trained, "cpu"), tmp_path)
    fold = labels.CLASSES.index("fold arm")
    assert found.predictions.labels.tolist() == [fold, -1, -1, -1]
    assert "1 × classes of the data that the runs do not know: taken as unknown: bow" in found.report
    assert "Top-1 on 1 clips of known class" in recognise.accuracy(found)


def people(tmp_path, seen):
    """A folder of one video, with the person of ``fuzzing`` where ``seen``."""
    (tmp_path / "made").mkdir()
    fuzzing.make_openpose(tmp_path / "made")
    frames = sorted((tmp_path / "made" / "a").glob("*.json"))
    empty, full = (frames[number].read_text() for number in (0, 1))
    for number, there in enumerate(seen):
        path = tmp_path / "in" / "talk" / f"talk_{number:012d}_keypoints.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(full if there else empty)
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("seen", "note"),
    [
        ([1] * 5, "recordings shorter than 8 frames, the shortest window: taken as one window: talk (5)"),
        ([0] * 12, "recordings without any joint: no gesture: talk"),
        (
            [1] * 9 + [0] * 20 + [1] * 9,
            "recordings with frames without a person: talk (20 of 38, at most 0.8 s in a row)",
        ),
    ],
)
def test_recordings_that_are_short_or_empty_are_reported(trained, tmp_path, seen, note):
    by = recognise.members(["of_joint"], trained, "cpu")
    found = recognise.recordings(people(tmp_path, seen), by, tmp_path, lengths=(8,))
    assert note in found.report
    assert "25 assumed" in found.report
    assert found.of_frames["talk"][np.array(seen) == 1].sum(1) == pytest.approx(np.ones(sum(seen)))
    assert not found.of_frames["talk"][16:22].any()
    assert all(path.exists() for path in recognise.write(found, tmp_path / "table.csv"))
    assert bool(len(found.table)) == any(seen)


def test_frames_of_no_gesture_have_no_row(trained):
    posteriors = {"a": np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0, 0], [0.6, 0.4], [0.7, 0.3]])}
    rows, means = recognise._gestures(posteriors, ("wave", "nod"), 0)
    assert rows == [("a", 0, 0, 0), ("a", 1, 1, 2), ("a", 0, 4, 5)]
    assert np.allclose(means, [[0.9, 0.1], [0.3, 0.7], [0.65, 0.35]])
    assert [row[1:] for row in recognise._gestures(posteriors, ("wave", labels.NO_GESTURE), 0)[0]] == [
        (0, 0, 0),
        (0, 4, 5),
    ]
    assert [row[1:] for row in recognise._gestures(posteriors, ("wave", "nod"), 0.7)[0]] == [
        (0, 0, 0),
        (1, 1, 2),
    ]


def test_the_files_say_what_was_found(trained, tmp_path):
    found = shown(trained, "of_joint")
    table, arrays, page = recognise.write(found, tmp_path / "new" / "table.csv")
    assert pd.read_csv(table, dtype={"recording": str})["class"].tolist() == found.table["class"].tolist()
    with np.load(arrays, allow_pickle=False) as kept:
        assert kept["recordings"].tolist() == list(found.of_frames)
        assert kept["frames"].tolist() == [len(one) for one in found.of_frames.values()]
        assert set(kept["fps"]) == {25}
        assert np.allclose(kept["probabilities"], np.concatenate(list(found.of_frames.values())))
        assert tuple(kept["classes"]) == labels.CLASSES
    assert "http" not in re.sub(
        r'xmlns="[^"]*"|"http://www.w3.org/[^"]*"', "", page.read_text().split("<script")[0]
    )
    of_clips = recognise.clips("synthetic-smoke", recognise.members(["of_joint"], trained, "cpu"), trained)
    assert len(predictions.load(recognise.write(of_clips, tmp_path / "c.csv")[1])) == 42


def test_text_from_data_is_no_markup_in_the_page(trained):
    found, evil = shown(trained, "of_joint"), "<img src=x onerror=alert(1)>"
    table, of_frames = found.table.assign(recording=evil), {evil: found.of_frames["0001"]}
    assert evil not in recognise.page(
        replace(found, table=table, report=evil, of_frames=of_frames, fps={evil: 25.0}), evil
    )


def test_the_command_line(trained, tmp_path, capsys):
    common = ["synthetic-smoke", "--outputs", str(trained), "--out", str(tmp_path / "t.csv")]
    recognise.main(
        [
            *common,
            "--runs",
            "of_joint",
            "of_limb",
            "--least",
            "0.9",
            "--lengths",
            "32",
            "64",
            "--stride",
            "32",
        ]
    )
    said = capsys.readouterr().out
    assert "25 assumed; give `fps` to change it" in said
    assert said.endswith("0 rows by of_joint, of_limb\n")
    recognise.main([*common, "--clips", "--runs", "both"])
    assert "Top-1 on 42 clips of known class" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["synthetic-smoke", "--runs", "nope"],
            "there is no finished run or ensemble 'nope' in .*; finished runs are .*of_",
        ),
        (["nowhere", "--runs", "of_joint"], "nowhere: no such file or folder"),
        (
            ["synthetic-smoke", "--runs", "of_joint", "--lengths", "0"],
            r"windows need .* got 1 frames, lengths \[0\] and stride 4",
        ),
        (
            ["synthetic-smoke", "--runs", "of_joint", "--least", "2"],
            "the least probability must be 0 to 1, got 2.0",
        ),
        (
            ["synthetic-smoke", "--runs", "of_joint", "--fps", "-1"],
            r"fps must be 0 \(of the source\) to 1000, got -1.0",
        ),
        (
            ["synthetic-smoke", "--runs", "of_joint", "--out", "t.txt"],
            "t.txt: the table is a csv file; give a name that ends with .csv",
        ),
        (
            ["synthetic-smoke", "--runs", "of_joint", "other"],
            "has other classes than of_joint .'turtle neck' and 'x'.",
        ),
        (
            ["synthetic-smoke", "--runs", "scored"],
            "scored: its member 'scores.csv' is no run here but scores of known clips",
        ),
    ],
)
def test_what_cannot_be_recognised_is_said_in_one_line(trained, capsys, arguments, message):
    for folder, about in (
        ("runs/other", {"settings": {}, "scores": {}, "data": {"classes": ["x", *labels.CLASSES[1:]]}}),
        (
            "ensembles/scored",
            {"members": {"scores.csv": {"weight": 1, "temperature": 1}}, "runs": [], "scores": {}},
        ),
    ):
        (trained / folder).mkdir(exist_ok=True, parents=True)
        (trained / folder / runs.RESULT).write_text(json.dumps(about))
    with pytest.raises(SystemExit, match=message) as error:
        recognise.main([*arguments, "--outputs", str(trained)])
    assert len(str(error.value).splitlines()) == 1


def test_a_source_without_the_joints_of_the_run_is_refused(trained, tmp_path):
    fuzzing.make_pyskl(tmp_path)
    with pytest.raises(ValueError, match="has 17 joints and layout 'imigue41' has 41"):
        recognise.recognise(tmp_path / "own.pkl", recognise.members(["of_joint"], trained, "cpu"), tmp_path)
