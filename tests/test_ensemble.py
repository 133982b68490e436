"""Fusing joins on ids, whatever the order; weights and temperatures are what hand-worked cases say; archives read back."""

import csv
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miga_lib import ensemble
from miga_lib.predictions import Predictions

CLASSES = np.array(["nod", "shake"])


def make(rows, classes=CLASSES):
    """Predictions from (id, label, probability of the first of two classes)."""
    ids, labels, first = zip(*rows, strict=True)
    return Predictions(np.array(ids), np.array(labels), np.stack([first, 1 - np.array(first)], axis=1), classes)


JOINT = make([("1_0", 0, 0.9), ("1_1", 1, 0.6), ("2_0", 1, 0.2)])
LIMB = make([("2_0", 1, 0.4), ("1_0", 0, 0.5), ("1_1", 1, 0.2)])


def test_members_are_joined_on_ids_not_on_rows():
    fused = ensemble.fuse([JOINT, LIMB])
    assert fused.ids.tolist() == ["1_0", "1_1", "2_0"]
    assert fused.probabilities[:, 0] == pytest.approx([0.7, 0.4, 0.3])
    assert fused.guesses.tolist() == [0, 1, 1]


@given(st.permutations(range(3)), st.permutations(range(3)))
def test_the_order_of_clips_changes_nothing(a, b):
    def shuffled(member, order):
        return Predictions(member.ids[order], member.labels[order], member.probabilities[order], member.classes)

    fused = ensemble.fuse([shuffled(JOINT, list(a)), shuffled(LIMB, list(b))])
    whole = ensemble.fuse([JOINT, LIMB])
    place = [fused.ids.tolist().index(id) for id in whole.ids]
    assert np.allclose(fused.probabilities[place], whole.probabilities)


def test_weights_need_no_sum():
    assert ensemble.fuse([JOINT, LIMB], [3, 1]).probabilities[:, 0] == pytest.approx([0.8, 0.5, 0.25])
    assert np.allclose(ensemble.fuse([JOINT, LIMB], [5, 0]).probabilities, JOINT.probabilities)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (make([("1_0", 0, 0.5)]), r"member 2 lacks 2 clips of the first and has 0 others \(such as 1_1\); use `common`"),
        (make([("1_0", 0, 0.5), ("1_1", 1, 0.5), ("9_9", 1, 0.5)]), "member 2 lacks 1 clips of the first and has 1 others"),
        (make([("1_0", 0, 0.5), ("1_1", 1, 0.5), ("2_0", 1, 0.5), ("3_0", 1, 0.5)]), r"lacks 0 .* has 1 others \(such as 3_0\)"),
        (make([("1_0", 0, 0.5)], np.array(["nod", "bow"])), r"member 2 has other classes than the first \(shake against bow\)"),
        (make([("1_0", 1, 0.5), ("1_1", 1, 0.5), ("2_0", 1, 0.5)]), "gives clip 1_0 another label than the others"),
    ],
)
def test_members_that_do_not_fit_are_refused(member, message):
    with pytest.raises(ValueError, match=message):
        ensemble.fuse([JOINT, member])


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [np.nan, 1]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="weights must be 2 numbers of 0 or more"):
        ensemble.fuse([JOINT, LIMB], weights)


def test_common_keeps_what_all_have_and_says_what_that_loses():
    cut, lost = ensemble.common([JOINT, make([("2_0", 1, 0.4), ("7_0", 0, 0.5)])])
    assert [member.ids.tolist() for member in cut] == [["2_0"], ["2_0"]]
    assert lost == 3


def test_a_label_that_one_member_knows_is_kept():
    unlabelled = make([("1_0", -1, 0.5), ("1_1", -1, 0.5), ("2_0", -1, 0.5)])
    assert ensemble.fuse([unlabelled, JOINT]).labels.tolist() == [0, 1, 1]


def test_the_search_gives_all_weight_to_a_member_that_is_always_surer_of_the_truth():
    right = make([("1_0", 0, 0.9), ("1_1", 1, 0.1)])
    wrong = make([("1_0", 0, 0.4), ("1_1", 1, 0.6)])
    assert ensemble.search([right, wrong]) == pytest.approx([1, 0], abs=1e-4)


def test_the_search_by_hand():
    """Two clips; member 1 gives the truths 0.8 and 0.2, member 2 gives 0.2 and 0.8: by symmetry half and half is best."""
    first = make([("1_0", 0, 0.8), ("1_1", 0, 0.2)])
    second = make([("1_0", 0, 0.2), ("1_1", 0, 0.8)])
    assert ensemble.search([first, second]) == pytest.approx([0.5, 0.5], abs=1e-4)


@given(st.lists(st.floats(0.05, 0.95), min_size=4, max_size=4), st.floats(0, 1))
def test_no_other_weights_beat_the_searched_ones(first, share):
    a = make([(str(i), i % 2, p) for i, p in enumerate(first[:2])])
    b = make([(str(i), i % 2, p) for i, p in enumerate(first[2:])])

    def cross_entropy(weights):
        fused = ensemble.fuse([a, b], weights)
        return -np.log(fused.probabilities[np.arange(2), fused.labels]).mean()

    assert cross_entropy(ensemble.search([a, b])) <= cross_entropy([share, 1 - share]) + 1e-6


def test_temperature_by_hand():
    """Sure at 0.9 and right in 3 of 4: calibrated at 0.75, where log-odds log 9 / T = log 3, so T = 2."""
    sure = make([("1_0", 0, 0.9), ("1_1", 0, 0.9), ("1_2", 0, 0.9), ("1_3", 1, 0.9)])
    assert ensemble.temperature(sure) == pytest.approx(2, rel=1e-3)
    assert ensemble.temper(sure, 2).probabilities[:, 0] == pytest.approx(0.75)


def test_temperature_never_changes_the_guess_and_1_changes_nothing():
    assert np.allclose(ensemble.temper(JOINT, 1).probabilities, JOINT.probabilities)
    assert ensemble.temper(JOINT, 7).guesses.tolist() == JOINT.guesses.tolist()


def test_oracle_by_hand():
    """Joint is right on 1_0 and 2_0; limb on 1_0, 1_1 and 2_0 (0.5 is a draw, which goes to the first class)."""
    assert ensemble.oracle([JOINT]) == pytest.approx(2 / 3)
    assert ensemble.oracle([JOINT, LIMB]) == 1


@pytest.mark.parametrize(
    ("year", "archive", "table", "rows"),
    [
        (2023, "Submission.zip", "Submission.csv", [["0002_0", "1"], ["0010_2", "0"], ["0010_10", "1"]]),
        (2026, "prediction.zip", "prediction.csv", [["Id", "Target"], ["0002_0", "1"], ["0010_2", "0"], ["0010_10", "1"]]),
    ],
)
def test_a_submission_is_sorted_by_video_and_number(tmp_path, year, archive, table, rows):
    predictions = make([("0010_10", -1, 0.1), ("0010_2", -1, 0.9), ("0002_0", -1, 0.3)])
    path = ensemble.submit(predictions, tmp_path, year)
    assert path == tmp_path / archive
    with zipfile.ZipFile(path) as file:
        assert file.namelist() == [table]
        assert list(csv.reader(file.read(table).decode().splitlines())) == rows
    assert ensemble.read_submission(path) == {"0002_0": 1, "0010_2": 0, "0010_10": 1}
    assert [p.name for p in tmp_path.iterdir()] == [archive]


def test_a_submission_must_be_of_the_test_split(tmp_path):
    with pytest.raises(ValueError, match=r"exactly the 3 clips of the test split; 1 are missing and 1 do not belong \(such as 2_0\)"):
        ensemble.submit(JOINT, tmp_path, ids=["1_0", "1_1", "7_7"])
    with pytest.raises(ValueError, match="names clips <video>_<number>, found 'clip'"):
        ensemble.submit(make([("clip", 0, 0.5)]), tmp_path)
    assert list(tmp_path.iterdir()) == []
