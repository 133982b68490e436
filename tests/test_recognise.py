"""Trained runs on new data: recordings and clips of other sources, one run, several and ensembles, and what
cannot be recognised."""

import json
import re
from dataclasses import replace
from pathlib import Path

import fuzzing
import numpy as np
import pandas as pd
import pytest

from miga_lib import clips, labels, predictions, recognise, runs, training
from miga_lib.ensemble import recipes, submissions
from miga_lib.readers import Report, elan
from miga_lib.settings import choose
from miga_lib.spotting import windows

RUNS = {"joint": {}, "limb": {"stream": "limb"}, "body": {"layout": "body25", "model": "stgcn"}}


@pytest.fixture(scope="module")
def trained(smoke_outputs):
    """Finished runs: joint and limb of 41 joints, and a graph network of 25; and an ensemble of the first
    two."""
    for name, changes in RUNS.items():
        settings = choose("smoke", device="cpu", epochs=1, semantic_weight=0.0, precision="fp32", **changes)
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
    return recognise.recognise(
        "synthetic-smoke", recognise.members(names, outputs, "cpu"), outputs, **options
    )


def test_what_the_runs_were_trained_on_is_said(trained, tmp_path):
    networks = recognise.members(["both", "of_joint"], trained, "cpu")
    sentences = recognise.origins(networks, "synthetic-smoke")
    assert len(sentences) == 2, "each run once"
    assert re.fullmatch(
        r"of_joint: trained on 24 clips of synthetic-smoke, validation top-1 \d+\.\d %\.", sentences[0]
    )
    elsewhere = recognise.origins(networks, "videos/mine")[0]
    assert elsewhere.startswith(sentences[0])
    assert "Not on mine: other people, another camera" in elsewhere
    assert elsewhere.endswith("Its clips are generated, so its answers on real recordings may mean nothing.")


def test_the_newest_run_on_the_data_comes_before_the_newest_of_all(trained, monkeypatch):
    rows = [{"run": "new", "source": "other"}, {"run": "of_joint", "source": "mine"}]
    monkeypatch.setattr(runs, "_finished", lambda outputs, clips: pd.DataFrame(rows))
    assert [run.name for run in runs.newest_runs(1, trained, source="data/mine")] == ["of_joint"]
    assert [run.name for run in runs.newest_runs(1, trained, source="elsewhere")] == ["new"]


def test_the_probabilities_of_frames_and_the_rows_of_the_table_follow_from_the_windows(trained):
    """A row has the class that is the most probable one in all its frames, the time of its first frame, and
    the mean probability."""
    recognised = shown(trained, "of_joint", lengths=(24,), stride=16, fps=10)
    (member,) = recognise.members(["of_joint"], trained, "cpu")
    videos = clips.load_recordings("synthetic-smoke", outputs=trained)
    assert list(recognised.posteriors) == videos.table["id"].tolist()
    for i, (video, posteriors) in enumerate(recognised.posteriors.items()):
        bounds = windows.bounds(len(videos[i]), (24,), 16)
        probabilities = windows.predict(member.model, videos[i], bounds, member.settings, 32)
        assert np.allclose(posteriors, windows.of_frames(bounds, probabilities))
        rows = recognised.table[recognised.table["recording"] == video]
        frames = [np.arange(row.first_frame, row.last_frame + 1) for row in rows.itertuples()]
        covered = np.concatenate(frames)
        assert covered.tolist() == np.flatnonzero(posteriors.any(1)).tolist()
        for row in rows.itertuples():
            within = posteriors[row.first_frame : row.last_frame + 1]
            label = labels.CLASSES.index(rows["class"][row.Index])
            assert (within.argmax(1) == label).all()
            assert row.probability == pytest.approx(within[:, label].mean())
            assert row.seconds == pytest.approx(row.first_frame / 10)


def test_runs_are_averaged_and_an_ensemble_has_its_weights_and_temperatures(trained):
    names = (["of_joint"], ["of_limb"], ["of_joint", "of_limb"], ["both"])
    joint, limb, both, fused = (shown(trained, *of).posteriors for of in names)
    for video in joint:
        assert np.allclose(both[video], (joint[video] + limb[video]) / 2)
        assert not np.allclose(fused[video], both[video])
    report = Report()
    members = recognise.members(["both", "of_joint"], trained, "cpu", report)
    assert [(m.run.name, m.weight, m.temperature) for m in members] == [
        ("of_joint", 0.125, 1),
        ("of_limb", 0.375, 2),
        ("of_joint", 0.5, 1),
    ]
    assert "adjustment for rare classes is not applied to new data: both" in str(report)


def test_clips_are_predicted_as_by_the_run_itself(trained):
    recognised = shown(trained, "both", cut=True)
    expected = predictions.load(trained / "ensembles" / "both" / "val.npz")
    probabilities = recognised.predictions.of(expected.ids).probabilities
    assert np.allclose(probabilities, expected.probabilities, atol=1e-5)
    assert recognised.table["recording"].tolist() == recognised.clips.table["id"].tolist()
    assert (recognised.table["last_frame"] + 1).tolist() == recognised.clips.table["frames"].tolist()
    right = (recognised.predictions.predicted == recognised.predictions.labels).mean()
    sentence = f"Top-1 on {len(recognised.table)} clips of known class: {100 * right:.1f} %."
    assert recognise.accuracy(recognised) == sentence


def test_clips_with_ids_and_classes_of_a_challenge_get_a_submission(trained, tmp_path):
    recognised, out = shown(trained, "of_joint", cut=True), tmp_path / "own.csv"
    paths = recognise.write(recognised, out)
    assert [path.suffix for path in paths] == [".csv", ".npz", ".html", ".zip"]
    rows = submissions.read(tmp_path / "own.zip")
    assert rows == dict(zip(recognised.table["recording"], recognised.predictions.predicted, strict=True))
    others = replace(recognised.predictions, classes=np.arange(32).astype(str))
    assert len(recognise.write(replace(recognised, predictions=others), out)) == 3
    assert not (tmp_path / "own.zip").exists(), "that of the earlier result"
    (tmp_path / "own.zip").touch()
    with pytest.raises(ValueError, match=r"own\.csv: is there, and is no part of a result of recognise"):
        recognise.write(recognised, out)


def test_runs_of_different_joints_recognise_together(trained):
    recognised = shown(trained, "of_joint", "of_body")
    assert recognised.clips.layout.name == "imigue41"
    del recognised.posteriors["0004"]  # nobody is seen in some of its frames
    assert all(of_frames.any(1).all() for of_frames in recognised.posteriors.values())


def test_classes_of_other_data_are_compared_by_name(trained, tmp_path):
    (tmp_path / "in").mkdir()
    fuzzing.make_openpose(tmp_path / "in")
    table = tmp_path / "in" / "segments.csv"
    table.write_text(table.read_text().replace("wave", "fold arm"))
    members = recognise.members(["of_joint"], trained, "cpu")
    recognised = recognise.recognise(tmp_path / "in", members, tmp_path, cut=True)
    fold = labels.CLASSES.index("fold arm")
    assert recognised.predictions.labels.tolist() == [fold, -1, -1, -1]
    assert "1 × classes of the data that the runs do not know: taken as unknown: bow" in recognised.report
    assert "Top-1 on 1 clips of known class" in recognise.accuracy(recognised)


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
        ([1] * 5, "recordings shorter than a window of 8 frames: taken as one window: talk (5)"),
        ([0] * 12, "recordings without any joint: no gesture: talk"),
        (
            [1] * 9 + [0] * 20 + [1] * 9,
            "recordings with frames without a person: talk (20 of 38, at most 0.8 s in a row)",
        ),
    ],
)
def test_recordings_that_are_short_or_empty_are_reported(trained, tmp_path, seen, note):
    members = recognise.members(["of_joint"], trained, "cpu")
    recognised = recognise.recognise(people(tmp_path, seen), members, tmp_path, lengths=(8,))
    assert note in recognised.report
    assert "25 assumed" in recognised.report
    assert recognised.posteriors["talk"][np.array(seen) == 1].sum(1) == pytest.approx(np.ones(sum(seen)))
    assert not recognised.posteriors["talk"][16:22].any()
    assert all(path.exists() for path in recognise.write(recognised, tmp_path / "table.csv"))
    assert bool(len(recognised.table)) == any(seen)


def test_the_files_say_what_was_found(trained, tmp_path):
    recognised = shown(trained, "of_joint")
    table, arrays, page = recognise.write(recognised, tmp_path / "new" / "table.csv")
    written = pd.read_csv(table, dtype={"recording": str})
    assert written["class"].tolist() == recognised.table["class"].tolist()
    with np.load(arrays, allow_pickle=False) as kept:
        assert kept["recordings"].tolist() == list(recognised.posteriors)
        assert kept["frames"].tolist() == [len(of_frames) for of_frames in recognised.posteriors.values()]
        assert set(kept["fps"]) == {25}
        assert np.allclose(kept["probabilities"], np.concatenate(list(recognised.posteriors.values())))
        assert tuple(kept["classes"]) == labels.CLASSES
    markup = page.read_text().split("<script")[0]
    assert "http" not in re.sub(r'xmlns="[^"]*"|"http://www.w3.org/[^"]*"', "", markup)
    of_clips = shown(trained, "of_joint", cut=True)
    assert len(predictions.load(recognise.write(of_clips, tmp_path / "c.csv")[1])) == 42


def test_text_from_data_is_no_markup_in_the_page(trained):
    recognised, evil = shown(trained, "of_joint"), "<img src=x onerror=alert(1)>"
    table, posteriors = recognised.table.assign(recording=evil), {evil: recognised.posteriors["0001"]}
    recognised = replace(recognised, table=table, report=evil, posteriors=posteriors, fps={evil: 25.0})
    assert evil not in recognise.page(recognised, evil)


@pytest.mark.parametrize("name", ["own.csv", "own.npz", "own.html"])
def test_no_file_is_replaced_that_is_no_result_as_it_was_written(trained, tmp_path, capsys, name):
    """A file alone, and one of a result that was changed. Nothing is read before."""
    out = tmp_path / "own.csv"
    (tmp_path / name).write_text(",".join(recognise.COLUMNS))
    rule = "is there, and is no part of a result of recognise as it was written; give another name as `out`"
    command = ["nowhere", "--outputs", str(trained), "--out", str(out)]
    with pytest.raises(SystemExit, match=rf"{name}: {rule}") as error:
        recognise.main(command)
    assert len(str(error.value).splitlines()) == 1
    recognised = shown(trained, "of_joint", cut=True)
    with pytest.raises(ValueError, match=rule):
        recognise.write(recognised, out)
    assert (tmp_path / name).read_text() == ",".join(recognise.COLUMNS)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    (tmp_path / name).unlink()
    for _ in range(2):  # a result is replaced
        recognise.write(recognised, recognise.table_path("nowhere", out))
    content = b"!" + (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rule):
        recognise.write(recognised, out)
    assert (tmp_path / name).read_bytes() == content


def test_the_predictions_of_a_run_and_the_tables_of_a_source_stay(trained, tmp_path):
    fuzzing.make_openpose(tmp_path)
    for path in (trained / "runs" / "of_joint" / "test.csv", tmp_path / "segments.csv"):
        before = {file: file.read_bytes() for file in path.parent.glob("*") if file.is_file()}
        with pytest.raises(ValueError, match="is there, and is no part of a result of recognise"):
            recognise.table_path(tmp_path, path)
        assert {file: file.read_bytes() for file in path.parent.glob("*") if file.is_file()} == before


def test_what_was_found_is_read_from_its_elan_files_as_the_same_frames(trained, tmp_path):
    """And a file that was corrected since stays."""
    recognised = shown(trained, "of_joint", lengths=(24,), stride=16)
    sentences = recognise.annotate(recognised, tmp_path / "own.csv")
    assert sentences == [str(tmp_path / "own" / f"{video}.eaf") for video in recognised.posteriors]
    for video, rows in recognised.table.groupby("recording"):
        read = elan.read(tmp_path / "own" / f"{video}.eaf", recognised.fps[video], Report())
        expected = rows[["first_frame", "last_frame", "class"]].itertuples(index=False, name=None)
        assert read == list(expected)
    corrected = Path(sentences[0])
    corrected.write_text("corrected")
    again = recognise.annotate(recognised, tmp_path / "own.csv")
    assert again[0].endswith(
        "is there with other content, perhaps corrected, and stays; move it to get the new one"
    )
    assert again[1:] == sentences[1:]
    assert corrected.read_text() == "corrected"


def test_a_result_that_cannot_be_written_leaves_the_earlier_one(trained, tmp_path, monkeypatch):
    recognised, out = shown(trained, "of_joint", cut=True), tmp_path / "own.csv"
    before = {path: path.read_bytes() for path in recognise.write(recognised, out)}
    monkeypatch.setattr(recognise, "page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        recognise.write(replace(recognised, table=recognised.table[:1]), out)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_control_characters_are_printed_escaped(trained, tmp_path, capsys, monkeypatch):
    recognised = replace(shown(trained, "of_joint", cut=True), report="a\x1b[2J\nb")
    monkeypatch.setattr(recognise, "recognise", lambda *_, **__: recognised)
    recognise.main(["x", "--runs", "of_joint", "--outputs", str(trained), "--out", str(tmp_path / "x.csv")])
    assert "\na\\x1b[2J\nb\n" in capsys.readouterr().out


def test_the_command_line(trained, tmp_path, capsys):
    common = ["synthetic-smoke", "--outputs", str(trained), "--out", str(tmp_path / "t.csv")]
    options = ["--least", "0.9", "--lengths", "32", "64", "--stride", "32"]
    recognise.main([*common, "--runs", "of_joint", "of_limb", *options])
    said = capsys.readouterr().out
    assert "25 assumed; give `fps` to change it" in said
    assert said.endswith("0 rows by of_joint, of_limb\n")
    recognise.main([*common, "--clips", "--runs", "both"])
    assert "Top-1 on 42 clips of known class" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--runs nope", "there is no finished run or ensemble 'nope' in .*; finished runs are .*of_"),
        ("--lengths 0", r"windows need .* got 1 frames, lengths \[0\] and stride 4"),
        ("--least 2", "the least probability must be 0 to 1, got 2.0"),
        ("--fps -1", r"fps must be 0 \(of the source\) to 1000, got -1.0"),
        ("--out t.txt", "t.txt: the table is a csv file; give a name that ends with .csv"),
        ("--runs of_joint other", "has other classes than of_joint .'turtle neck' and 'x'."),
        ("--runs scored", "scored: its member 'scores.csv' is no run here but scores of known clips"),
    ],
)
def test_what_cannot_be_recognised_is_said_in_one_line(trained, capsys, arguments, message):
    other = {"settings": {}, "scores": {}, "data": {"classes": ["x", *labels.CLASSES[1:]]}}
    member = {"scores.csv": {"weight": 1, "temperature": 1}}
    scored = {"members": member, "runs": [], "scores": {}}
    for folder, about in (("runs/other", other), ("ensembles/scored", scored)):
        (trained / folder).mkdir(exist_ok=True, parents=True)
        (trained / folder / runs.RESULT).write_text(json.dumps(about))
    common = ["synthetic-smoke", "--outputs", str(trained), "--runs", "of_joint"]
    with pytest.raises(SystemExit, match=message) as error:
        recognise.main([*common, *arguments.split()])
    assert len(str(error.value).splitlines()) == 1


def test_a_source_without_the_joints_of_the_run_is_refused(trained, tmp_path):
    fuzzing.make_pyskl(tmp_path)
    members = recognise.members(["of_joint"], trained, "cpu")
    with pytest.raises(ValueError, match="has 17 joints and layout 'imigue41' has 41"):
        recognise.recognise(tmp_path / "own.pkl", members, tmp_path)
