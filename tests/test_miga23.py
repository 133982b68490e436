"""The arrays of 2023: true lengths are recovered, and validation clips are removed from the training
split."""

import pickle

import numpy as np
import pytest
from reading import reading

from miga_lib import clips, layouts
from miga_lib.readers import DataError, miga23

SMALL = layouts.get("imigue22")


def write(folder, split, clips_of, persons=1):
    """``{id: (label, keypoints)}`` as the challenge stores it: cut to the last 90 frames, filled with zeros
    at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    data = np.zeros((len(clips_of), 3, 90, 22, persons), np.float32)
    for row, (_, keypoints) in enumerate(clips_of.values()):
        kept = keypoints[-90:]
        data[row, :, : len(kept), :, 0] = kept.transpose(2, 0, 1)
    np.save(folder / f"{split}_data.npy", data)
    with (folder / f"{split}_label.pkl").open("wb") as file:
        pickle.dump((list(clips_of), [label for label, _ in clips_of.values()]), file)


def walk(frames, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 1, (frames, 22, 3)).astype(np.float32)


read, refused = reading(miga23, SMALL, by_id=True)


def test_synthetic_clips_make_the_round_trip(smoke_outputs, tmp_path):
    smoke = clips.load("synthetic-smoke", "imigue22", smoke_outputs)
    names = {"train": "train", "val": "valid", "test": "test"}
    last_frames = [
        i for i, row in enumerate(smoke.table.itertuples()) if smoke[i][-1].any() and row.frames <= 90
    ]
    for split, rows in smoke.where(last_frames).table.groupby("split"):
        held = {row.id: (row.label, smoke[i]) for i, row in zip(rows.index, rows.itertuples(), strict=True)}
        write(tmp_path, names[split], held)
    again = clips.load(tmp_path, "imigue22", tmp_path / "outputs")
    before = {clip.id: clip for clip in smoke.where(last_frames).records()}
    assert len(again) == len(before) > 30
    for clip in again.records():
        assert np.array_equal(clip.keypoints, before[clip.id].keypoints)
        assert (clip.label, clip.split, clip.video) == (
            before[clip.id].label,
            before[clip.id].split,
            before[clip.id].video,
        )


def test_the_true_length_is_where_the_zeros_at_the_end_begin(tmp_path):
    inside = walk(5)
    inside[2] = 0  # nobody was found in the middle: those frames count
    write(tmp_path, "train", {"0012_0": (3, inside), "0012_1": (4, walk(120)), "0012_2": (5, walk(90))})
    found, report = read(tmp_path)
    assert np.array_equal(found["0012_0"].keypoints, inside)
    assert np.array_equal(found["0012_1"].keypoints, walk(120)[-90:])
    assert len(found["0012_2"].keypoints) == 90
    event = "2 × clips of 90 frames: longer ones were cut to their last 90 in the file: 0012_1, 0012_2"
    assert event in str(report)


def test_a_clip_of_zeros_keeps_one_frame_and_is_told(tmp_path):
    write(tmp_path, "train", {"0012_0": (3, np.zeros((4, 22, 3), np.float32))})
    found, report = read(tmp_path)
    assert found["0012_0"].keypoints.shape == (1, 22, 3)
    assert "no joint was found in any frame: 0012_0" in str(report)


def test_validation_clips_are_taken_out_of_training_by_their_ids(tmp_path):
    """0001 is a validation video of the release; here the validation file decides, and does not name it."""
    write(tmp_path, "valid", {"0300_0": (1, walk(3)), "0300_1": (2, walk(3))})
    write(
        tmp_path,
        "train",
        {"0012_0": (3, walk(4)), "0300_0": (1, walk(3)), "0001_0": (3, walk(4)), "0300_1": (2, walk(3))},
    )
    found, report = read(tmp_path)
    assert {id: clip.split for id, clip in found.items()} == {
        "0012_0": "train",
        "0001_0": "train",
        "0300_0": "val",
        "0300_1": "val",
    }
    event = "2 × validation clips in the training file left to the validation split: 0300_0, 0300_1"
    assert event in str(report)


def test_without_the_validation_file_the_known_videos_are_told_apart(tmp_path):
    write(
        tmp_path,
        "train",
        {"0012_0": (3, walk(4)), "0001_0": (1, walk(3)), "0005_0": (1, walk(3)), "0011_7": (1, walk(3))},
    )
    found, report = read(tmp_path)
    assert {id: clip.split for id, clip in found.items()} == {
        "0012_0": "train",
        "0001_0": "val",
        "0005_0": "train",
        "0011_7": "val",
    }
    event = "2 × clips of validation videos in the training file taken as the validation split: 0001_0,"
    event += " 0011_7"
    assert event in str(report)


def test_test_labels_may_be_placeholders_or_missing(tmp_path):
    write(tmp_path, "test", {"0400_0": (0, walk(3)), "0400_1": (0, walk(3))})
    assert [clip.label for clip in read(tmp_path)[0].values()] == [-1, -1]
    (tmp_path / "test_label.pkl").unlink()
    assert [(id, clip.label) for id, clip in read(tmp_path)[0].items()] == [("test_0", -1), ("test_1", -1)]


def test_test_labels_that_are_no_class_are_unknown_and_told(tmp_path):
    held = {"0400_0": (3, walk(3)), "0400_1": (32, walk(3)), "0400_2": (True, walk(3))}
    write(tmp_path, "test", held)
    found, report = read(tmp_path)
    assert [clip.label for clip in found.values()] == [3, -1, -1]
    event = "2 × classes of the test split that are none: taken as unknown: 0400_1 (32), 0400_2 (True)"
    assert event in str(report)
    (tmp_path / "test_label.pkl").unlink()
    event = "1 × no labels of the test split: clips numbered, of unknown class: test_label.pkl"
    assert event in str(read(tmp_path)[1])


def test_people_who_change_places_are_followed(tmp_path):
    rng = np.random.default_rng(0)
    places = np.arange(2)[:, None, None, None] * np.float32([500, 0, -0.1]) + np.float32([9, 9, 0.5])
    both = places + rng.uniform(0, 0.1, (2, 6, 22, 3)) + np.linspace(0, 90, 22)[:, None] * [1, 1, 0]
    mixed = both.copy()
    mixed[:, 2:4] = both[::-1, 2:4]
    write(tmp_path, "train", {"0012_0": (3, walk(6))}, persons=2)
    data = np.zeros((1, 3, 90, 22, 2), np.float32)
    data[0, :, :6] = mixed.transpose(3, 1, 2, 0)
    np.save(tmp_path / "train_data.npy", data)
    found, report = read(tmp_path)
    assert np.array_equal(found["0012_0"].keypoints, both[0].astype(np.float32))
    for event in (
        "clips whose persons change places in the file: followed from frame to frame: 0012_0",
        "clips of more persons than requested: the one with the highest total score was read: 0012_0",
    ):
        assert event in str(report)


def test_labels_without_their_array_are_told(tmp_path):
    write(tmp_path, "train", {"0012_0": (3, walk(3))})
    write(tmp_path, "test", {"0400_0": (0, walk(3))})
    (tmp_path / "test_data.npy").unlink()
    found, report = read(tmp_path)
    assert [*found] == ["0012_0"]
    event = "1 × label files without their test_data.npy: the test split is not read: test_label.pkl"
    assert event in str(report)


def test_names_and_classes_may_be_arrays_even_of_python_2(tmp_path):
    write(tmp_path, "train", {"0012_0": (3, walk(3)), "0012_1": (4, walk(3))})
    (tmp_path / "train_label.pkl").write_bytes(
        pickle.dumps((np.array([b"0012_0.npy", b"0012_1.npy"]), np.array([3, 4])))
    )
    assert {id: clip.label for id, clip in read(tmp_path)[0].items()} == {"0012_0": 3, "0012_1": 4}


def test_other_joints_than_those_held_are_refused_with_what_would_do(tmp_path):
    write(tmp_path, "train", {"0012_0": (3, walk(4))})
    message = r"'imigue41' needs 19 joints that 'imigue22' does not have .*choose layout .*imigue22"
    refused(message, tmp_path, layouts.get("imigue41"))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((["0012_0"], [3]), r"train_label\.pkl: has 1 names and 1 classes for the 2 clips beside it"),
        ((["0012_0", 5], [3, 3]), "name 1 is 5; expected text such as '0012_3'"),
        ((["0012_0", "0012_1"], [3, 32]), "class 1 is 32; expected a whole number from 0 to 31"),
        ((["0012_0", "0012_1"], [True, 3]), "class 0 is True; expected a whole number from 0 to 31"),
        ({"names": []}, r"expected a pair of names and classes, found \{'names': \[\]\}"),
    ],
)
def test_wrong_labels_are_named(tmp_path, labels, message):
    write(tmp_path, "train", {"0012_0": (3, walk(4)), "0012_1": (3, walk(4))})
    (tmp_path / "train_label.pkl").write_bytes(pickle.dumps(labels))
    refused(message, tmp_path)


def test_wrong_arrays_and_missing_labels_are_named(tmp_path):
    write(tmp_path, "train", {"0012_0": (3, walk(4))})
    (tmp_path / "train_label.pkl").unlink()
    message = r"train_label\.pkl: no such file; restore it: it has the names and classes of the 1 clips"
    message += r" beside it"
    refused(message, tmp_path)
    np.save(tmp_path / "train_data.npy", np.zeros((2, 3, 90, 17, 1), np.float32))
    refused(r"train_data\.npy: expected \(clips, 3, 90, 22, 1\), found \(2, 3, 90, 17, 1\)", tmp_path)


def test_one_file_in_place_of_the_folder_is_told(tmp_path):
    write(tmp_path, "train", {"0012_0": (3, walk(4))})
    with pytest.raises(DataError, match="is one file of a set that belongs together; give its folder"):
        clips.load(tmp_path / "train_data.npy", "imigue22", tmp_path)


def test_litter_is_ignored_and_two_sets_are_refused(tmp_path):
    write(tmp_path / "data", "train", {"0012_0": (3, walk(4))})
    write(tmp_path / "__MACOSX" / "data", "train", {"0012_0": (3, walk(4))})
    found, report = read(tmp_path)
    assert list(found) == ["0012_0"]
    assert f"1 × files and folders of other programs ignored: {tmp_path.name}/__MACOSX" in str(report)
    write(tmp_path / "old", "train", {"0012_0": (3, walk(4))})
    refused(r"found train_data\.npy 2 times; keep one of data/train_data\.npy, old", tmp_path)
