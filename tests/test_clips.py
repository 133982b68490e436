"""Loading: recognised, cached under a key of the source, whole or not at all; and the table beside the keypoints."""

import json

import numpy as np
import pytest

from miga_lib import clips, layouts
from miga_lib.readers import DataError, Report, miga


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    keypoints = np.arange(5 * 137 * 3, dtype=np.float32).reshape(5, 137, 3) / 1000
    miga.write_video(root, "train", "0012", keypoints, [(3, 0, 1), (4, 1, 4)])
    miga.write_video(root, "train", "0013", keypoints[:2], [(3, 0, 1)])
    miga.write_video(root, "test", "0200", keypoints, [(3, 4, 4), (7, 0, 4)])
    return root


def test_each_row_of_the_table_finds_its_frames(source, tmp_path):
    loaded = clips.load(source, "openpose137", tmp_path / "outputs")
    assert loaded.table["id"].tolist() == ["0012_0", "0012_1", "0013_0", "0200_0", "0200_1"]
    assert loaded.table["frames"].tolist() == [2, 4, 2, 1, 5]
    assert loaded[1][0, 0, 0] == pytest.approx(137 * 3 / 1000)
    assert loaded.split("test")[0].shape == (1, 137, 3)
    assert loaded.where([2])[0][1, 0, 0] == pytest.approx(137 * 3 / 1000)


def test_the_share_of_missing_joints_goes_by_the_score(tmp_path):
    keypoints = np.ones((2, 137, 3), np.float32)
    keypoints[0, :, 2] = 0  # one of two frames
    keypoints[1, :, :2] = 0  # a joint at the origin is there
    miga.write_video(tmp_path / "source", "train", "0012", keypoints, [(3, 0, 1)])
    assert clips.load(tmp_path / "source", outputs=tmp_path).table["missing"].tolist() == [0.5]


def test_the_second_time_nothing_is_read(source, tmp_path, monkeypatch):
    first = clips.load(source, outputs=tmp_path)
    monkeypatch.setattr(miga, "read", lambda *_: pytest.fail("the source was read again"))
    second = clips.load(source, outputs=tmp_path)
    assert first.table.equals(second.table)
    assert np.array_equal(first.keypoints, second.keypoints)
    assert isinstance(second.keypoints, np.memmap)
    assert second.report == first.report


def test_a_changed_file_is_read_again(source, tmp_path):
    assert len(clips.load(source, outputs=tmp_path)) == 5
    (source / "imigue_skeleton_train/0013/0013_label.csv").write_text("4,0,1\n5,0,0\n")
    assert len(clips.load(source, outputs=tmp_path)) == 6


def test_nothing_is_left_of_a_reading_that_failed(source, tmp_path):
    (source / "imigue_skeleton_test/0200/0200_light_hand.csv").write_text("")
    with pytest.raises(DataError, match="0200_light_hand"):
        clips.load(source, "imigue22", tmp_path / "outputs")
    assert list((tmp_path / "outputs" / "cache").iterdir()) == []


def test_a_missing_folder_says_what_there_is(tmp_path):
    with pytest.raises(
        DataError, match="nowhere: no such file or folder; give an existing one or one of synthetic-smoke, synthetic, synth"
    ):
        clips.load(tmp_path / "nowhere")


def test_an_unknown_format_says_what_was_tried(tmp_path):
    with pytest.raises(DataError, match="no known format, tried .*miga"):
        clips.load(tmp_path)


def test_an_unknown_split_says_which_there_are(source, tmp_path):
    with pytest.raises(ValueError, match="no clips of split 'val'; there are test, train"):
        clips.load(source, outputs=tmp_path).split("val")


def test_an_id_given_twice_is_refused(source, tmp_path, monkeypatch):
    once = list(miga.read(source, layouts.get("imigue22"), Report(), lambda items, **_: items))
    monkeypatch.setattr(miga, "read", lambda *_: iter(once + once))
    with pytest.raises(DataError, match="ids of clips must differ, '0012_0' is there twice"):
        clips.load(source, "imigue22", tmp_path / "outputs")


def test_outputs_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("MIGA_OUTPUTS", raising=False)
    assert clips.outputs_folder().name == "outputs"
    assert (clips.outputs_folder().parent / "pyproject.toml").exists()
    monkeypatch.setenv("MIGA_OUTPUTS", str(tmp_path))
    assert clips.outputs_folder() == tmp_path.resolve()
    assert clips.outputs_folder("~").is_absolute()


def test_groups_are_subjects_and_else_videos(smoke):
    mixed = clips.Clips(smoke.table.assign(subject=["7", *[""] * (len(smoke) - 1)]), smoke.keypoints, smoke.layout, smoke.classes, "")
    assert mixed.groups().tolist()[:2] == ["7", "video 0001"]


def test_hold_out_tears_no_subject_apart_and_leaves_test_alone(smoke):
    held = clips.hold_out(smoke, folds=3)
    assert (held.table["split"] == "test").equals(smoke.table["split"] == "test")
    subjects = {split: set(held.split(split).table["subject"]) for split in ("train", "val")}
    assert subjects["val"]
    assert not subjects["train"] & subjects["val"]
    with pytest.raises(ValueError, match=r"cannot make 50 folds of \d+ subjects or videos"):
        clips.hold_out(smoke, folds=50)


def test_summary_counts_each_split(smoke):
    assert smoke.summary().loc["test", "clips"] == (smoke.table["split"] == "test").sum()


def test_the_cache_says_what_it_holds(source, tmp_path):
    clips.load(source, "imigue22", tmp_path / "outputs")
    (folder,) = (tmp_path / "outputs" / "cache").iterdir()
    assert json.loads((folder / "about.json").read_text())["layout"] == "imigue22"
    assert np.load(folder / "keypoints.npy").shape == (14, 22, 3)
