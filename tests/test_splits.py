"""How clips are divided: protocols of a source, held out validation clips, cross-validation."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miga_lib import clips, layouts, splits
from miga_lib.clips import Clips
from miga_lib.readers import pyskl
from miga_lib.splits import LEAVE_ONE_OUT

STICK = layouts.make("stick", ["hip", "head"], [(0, 1)], "hip")


def made_up(subjects, labels=None, split="train"):
    """Clips of one frame, one for each subject that is named."""
    count = len(subjects)
    table = pd.DataFrame(
        {
            "id": [f"c{i}" for i in range(count)],
            "label": labels or [i % 2 for i in range(count)],
            "split": split,
        }
    )
    table = table.assign(
        video=[f"v{i}" for i in range(count)], subject=subjects, frames=1, width=10, height=10, missing=0.0
    )
    return Clips(
        table.assign(start=range(count)), np.ones((count, 2, 3), np.float32), STICK, ("a", "b"), "Nothing."
    )


def load(made, tmp_path, **more):
    path = tmp_path / "own.pkl"
    pyskl.write(path, made)
    return clips.load(path, STICK, tmp_path, **more)


def split_of_each(loaded):
    return dict(zip(loaded.table["id"], loaded.table["split"], strict=True))


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=12, max_size=40).filter(
        lambda names: len(set(names)) >= 4
    ),
    st.integers(3, 4),
)
def test_each_clip_is_tested_once_and_validated_once_and_no_subject_is_in_two_splits(names, folds):
    made = made_up(names)
    tested, validated = [], []
    for fold in range(folds):
        divided, note = splits.cross_validate(made.table, folds, fold)
        by_split = divided.groupby("split")["subject"].agg(set)
        assert (
            not by_split["train"] & by_split["test"]
            | by_split["train"] & by_split["val"]
            | by_split["val"] & by_split["test"]
        )
        tested += divided["id"][divided["split"] == "test"].tolist()
        validated += divided["id"][divided["split"] == "val"].tolist()
        assert note.startswith(f"Fold {fold} of {folds} (0 to {folds - 1}): ")
    assert sorted(tested) == sorted(validated) == sorted(made.table["id"])


def test_leave_one_subject_out_takes_the_subjects_in_the_order_of_their_names(tmp_path):
    made = made_up(["p2", "p1", "p3", "p3"])
    found = load(made, tmp_path, protocol=LEAVE_ONE_OUT, fold=1)
    assert split_of_each(found) == {"c0": "test", "c1": "train", "c2": "val", "c3": "val"}
    assert found.report.endswith("Fold 1 of 3 (0 to 2): 1 test clips of p2.")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"folds": 2}, "folds must be 3 or more, for training, validation and test, got 2"),
        ({"folds": 3, "fold": 3}, "fold must be 0 to 2 with 3 folds, got 3"),
        ({"folds": 5}, "cannot make 5 folds of 3 subjects or videos; ask for fewer folds"),
        ({"protocol": LEAVE_ONE_OUT, "folds": 3}, "makes a fold of each subject: leave `folds` at 0"),
        ({"protocol": LEAVE_ONE_OUT, "fold": 3}, "fold must be 0 to 2 with 3 folds, got 3"),
        (
            {"protocol": "xsub"},
            r"own.pkl: protocol 'xsub' is unknown; this source has 'leave-one-subject-out'",
        ),
        ({"persons": 3}, "persons must be 1 or 2, got 3"),
    ],
)
def test_what_cannot_be_divided_is_refused(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        load(made_up(["p1", "p2", "p3"]), tmp_path, **given)


def test_leave_one_subject_out_needs_subjects(tmp_path):
    message = "'leave-one-subject-out' needs the subject of every clip: use `folds`"
    with pytest.raises(ValueError, match=message):
        load(made_up(["p1", "p2", ""]), tmp_path, protocol=LEAVE_ONE_OUT)


def test_clips_of_unknown_class_are_in_no_fold():
    divided, _ = splits.cross_validate(made_up(["a", "b", "c", "d"], [0, 1, 0, -1]).table, 3, 0)
    assert divided["split"].tolist()[3] == "none"


def test_without_a_validation_split_the_same_tenth_of_the_subjects_is_held_out_and_reported(tmp_path):
    made = made_up([f"p{i % 20:02}" for i in range(60)])
    first, again = (load(made, tmp_path / name) for name in ("a", "b") if (tmp_path / name).mkdir() is None)
    held = first.table["subject"][first.table["split"] == "val"]
    assert held.nunique() == 2
    assert len(held) == 6
    assert split_of_each(first) == split_of_each(again)
    shown = ", ".join(sorted(held.unique()))
    assert (
        f"There is no validation split: the training clips of {shown} (6) are held out for validation."
        in first.report
    )
    assert first.checksum == replace(first).checksum


def test_what_is_held_out_divides_no_subject_and_is_not_of_the_test_split(smoke):
    table = smoke.table.assign(split=smoke.table["split"].replace("val", "train"))
    divided, _ = splits.with_validation(table)
    assert (divided["split"] == "test").equals(table["split"] == "test")
    subjects = {split: set(divided["subject"][divided["split"] == split]) for split in ("train", "val")}
    assert subjects["val"]
    assert not subjects["train"] & subjects["val"]


def test_check_says_beforehand_what_will_be_held_out(tmp_path):
    path = tmp_path / "own.pkl"
    pyskl.write(path, made_up(["p1", "p2"]))
    layouts.save(STICK, tmp_path / "stick.json")
    text, usable = clips.check(path, str(tmp_path / "stick.json"), tmp_path)
    assert usable
    assert "There is no validation split: the training clips of p" in text
    pyskl.write(path, made_up(["p1", "p1"]))
    text, _ = clips.check(path, str(tmp_path / "stick.json"), tmp_path)
    assert "all training clips are of one subject or video, so none can be held out" in text


def test_a_protocol_is_chosen_by_name_and_other_splits_are_left_out(tmp_path):
    made, path = made_up([""] * 4, split="train"), tmp_path / "own.pkl"
    pyskl.write(path, made)
    content = pyskl.unpickling.load(path)
    content["split"] = {
        "xsub_train": ["c0", "c1"], "xsub_val": ["c2"], "hard": ["c3"],
        "xview_train": ["c1"], "xview_val": ["c3"], "xview_test": ["c0"],
    }  # fmt: skip
    path.write_bytes(pickle.dumps(content))
    default = clips.load(path, STICK, tmp_path)
    assert split_of_each(default) == {"c0": "train", "c1": "train", "c2": "val", "c3": "none"}
    assert "Of the protocols xsub, xview the first was taken." in default.report
    assert "1 × splits that are none of train, val and test left out: 'hard'" in default.report
    view = clips.load(path, STICK, tmp_path, protocol="xview")
    assert split_of_each(view) == {"c0": "test", "c1": "train", "c2": "none", "c3": "val"}
    assert view.summary().index.tolist() == ["train", "val", "test"]
    assert len(list((tmp_path / "cache").iterdir())) == 1, "read once for all protocols"
    message = "protocol 'xset' is unknown; this source has 'xsub', 'xview', 'leave-one-subject-out'"
    with pytest.raises(ValueError, match=message):
        clips.load(path, STICK, tmp_path, protocol="xset")
    assert (
        "Protocols: xsub, xview. The first is shown."
        in clips.check(path, str(layouts.save(STICK, tmp_path / "s.json")), tmp_path)[0]
    )


def test_two_persons_are_kept_on_request_and_refused_where_there_is_one(smoke_outputs, tmp_path):
    path = tmp_path / "own.pkl"
    pyskl.write(path, made_up(["a", "b"]))
    content = pyskl.unpickling.load(path)
    for annotation in content["annotations"]:
        one = 100 * annotation["keypoint"]
        annotation["keypoint"] = np.concatenate([one, one + 5])
        annotation["keypoint_score"] = np.concatenate([annotation["keypoint_score"]] * 2)
    path.write_bytes(pickle.dumps(content))
    two = clips.load(path, STICK, tmp_path, persons=2)
    assert two.layout.joints == ("hip", "head", "hip 2", "head 2")
    assert two[0][0, :, 0].tolist() == [100, 100, 105, 105]
    assert clips.load(path, STICK, tmp_path)[0].shape == (1, 2, 3)
    message = "two persons were requested, and the data have one in each clip; set `persons` to 1"
    with pytest.raises(ValueError, match=message):
        clips.load("synthetic-smoke", "imigue22", smoke_outputs, persons=2)
