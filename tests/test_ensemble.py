"""Fusing joins on ids, in any order; weights and temperatures agree with cases worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_runs import leave

from miga_lib import ensemble
from miga_lib.predictions import Predictions
from miga_lib.readers import Report
from miga_lib.splits import LEAVE_ONE_OUT

CLASSES = np.array(["nod", "shake"])


def make(rows, classes=CLASSES):
    """Predictions from (id, label, probability of the first of two classes)."""
    ids, labels, first = zip(*rows, strict=True)
    return Predictions(
        np.array(ids), np.array(labels), np.stack([first, 1 - np.array(first)], axis=1), classes
    )


JOINT = make([("1_0", 0, 0.9), ("1_1", 1, 0.6), ("2_0", 1, 0.2)])
LIMB = make([("2_0", 1, 0.4), ("1_0", 0, 0.5), ("1_1", 1, 0.2)])


def test_members_are_joined_on_ids_not_on_rows():
    fused = ensemble.fuse([JOINT, LIMB])
    assert fused.ids.tolist() == ["1_0", "1_1", "2_0"]
    assert fused.probabilities[:, 0] == pytest.approx([0.7, 0.4, 0.3])
    assert fused.predicted.tolist() == [0, 1, 1]


@given(st.permutations(range(3)), st.permutations(range(3)))
def test_the_order_of_clips_changes_nothing(a, b):
    def shuffled(member, order):
        return Predictions(
            member.ids[order], member.labels[order], member.probabilities[order], member.classes
        )

    fused = ensemble.fuse([shuffled(JOINT, list(a)), shuffled(LIMB, list(b))])
    whole = ensemble.fuse([JOINT, LIMB])
    place = [fused.ids.tolist().index(id) for id in whole.ids]
    assert np.allclose(fused.probabilities[place], whole.probabilities)


def test_weights_need_no_sum():
    assert ensemble.fuse([JOINT, LIMB], [3, 1]).probabilities[:, 0] == pytest.approx([0.8, 0.5, 0.25])
    assert np.allclose(ensemble.fuse([JOINT, LIMB], [5, 0]).probabilities, JOINT.probabilities)


@pytest.mark.parametrize(
    ("ids", "labels", "classes", "message"),
    [
        (
            ["1_0"],
            [0],
            CLASSES,
            r"member 2 has 1 clips and the first 3; 2 are not in both \(such as 1_1\): fuse",
        ),
        (
            ["1_0", "1_1", "2_0", "3_0"],
            [0, 1, 1, 1],
            CLASSES,
            r"4 clips and .* 3; 1 are not .* \(such as 3_0\)",
        ),
        (["1_0"], [0], np.array(["nod", "bow"]), r"member 2 has other classes than .* \(shake against bow\)"),
        (["1_0", "1_1", "2_0"], [1, 1, 1], CLASSES, "has another label of clip 1_0 than the others"),
    ],
)
def test_members_that_do_not_fit_are_refused(ids, labels, classes, message):
    member = make([(id, label, 0.5) for id, label in zip(ids, labels, strict=True)], classes)
    with pytest.raises(ValueError, match=message):
        ensemble.fuse([JOINT, member])


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [np.nan, 1]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="weights must be 2 numbers of 0 or more"):
        ensemble.fuse([JOINT, LIMB], weights)


def test_the_shared_clips_can_be_joined_alone():
    joined = ensemble.join([JOINT, make([("2_0", 1, 0.4), ("7_0", 0, 0.5)])], shared_only=True)
    assert [member.ids.tolist() for member in joined] == [["2_0"], ["2_0"]]
    message = r"no clip that all 2 members have \(ids such as 1_0 against videos/1_0\.mp4\)"
    with pytest.raises(ValueError, match=message):
        ensemble.join([JOINT, make([("videos/1_0.mp4", 0, 0.5)])], shared_only=True)
    with pytest.raises(ValueError, match="an ensemble needs at least one set of predictions"):
        ensemble.join([])


def test_a_label_that_one_member_knows_is_kept():
    unlabelled = make([("1_0", -1, 0.5), ("1_1", -1, 0.5), ("2_0", -1, 0.5)])
    assert ensemble.fuse([unlabelled, JOINT]).labels.tolist() == [0, 1, 1]


def test_a_member_that_is_always_more_confident_of_the_truth_gets_all_weight():
    right = make([("1_0", 0, 0.9), ("1_1", 1, 0.1)])
    wrong = make([("1_0", 0, 0.4), ("1_1", 1, 0.6)])
    assert ensemble.search([right, wrong]) == pytest.approx([1, 0], abs=1e-4)


def test_the_search_by_hand():
    """The true classes have 0.8 and 0.2 in member 1, 0.2 and 0.8 in member 2: by symmetry equal weights are
    best."""
    first = make([("1_0", 0, 0.8), ("1_1", 0, 0.2)])
    second = make([("1_0", 0, 0.2), ("1_1", 0, 0.8)])
    assert ensemble.search([first, second]) == pytest.approx([0.5, 0.5], abs=1e-4)


def test_one_member_has_all_the_weight():
    assert ensemble.search([JOINT]).tolist() == [1]


@given(st.integers(0, 1000), st.integers(2, 6), st.booleans())
def test_the_search_ends_at_the_best_weights_for_any_members(seed, count, twins):
    """At the best weights no member has a mean of p / mixture above 1, since more weight for it gains nothing
    (Lindsay 1983)."""
    random = np.random.default_rng(seed)
    of_truth = random.uniform(0.01, 0.99, (count, 40))
    of_truth[-1] = of_truth[0] if twins else of_truth[-1]
    members = [make([(str(i), 0, p) for i, p in enumerate(row)]) for row in of_truth]
    mixture = ensemble.search(members) @ of_truth
    assert (of_truth / mixture).mean(1).max() <= 1.001


def test_temperature_by_hand():
    """Confidence 0.9 and 3 of 4 correct: calibrated at 0.75, where log-odds log 9 / T = log 3, so T = 2."""
    member = make([("1_0", 0, 0.9), ("1_1", 0, 0.9), ("1_2", 0, 0.9), ("1_3", 1, 0.9)])
    assert ensemble.temperature(member) == pytest.approx(2, rel=1e-3)
    assert ensemble.temper(member, 2).probabilities[:, 0] == pytest.approx(0.75)


def test_temperature_never_changes_the_predicted_class_and_1_changes_nothing():
    assert np.allclose(ensemble.temper(JOINT, 1).probabilities, JOINT.probabilities)
    assert ensemble.temper(JOINT, 7).predicted.tolist() == JOINT.predicted.tolist()


def test_oracle_by_hand():
    """Joint is correct on 1_0 and 2_0; limb on 1_0, 1_1 and 2_0 (0.5 is a tie, which goes to the first
    class)."""
    assert ensemble.oracle([JOINT]) == pytest.approx(2 / 3)
    assert ensemble.oracle([JOINT, LIMB]) == 1


@pytest.fixture
def members(smoke, tmp_path):
    """Folders of two runs on the smoke clips, and a csv with the scores of a third model for validation and
    test clips."""
    random, table = np.random.default_rng(0), smoke.table[smoke.table["split"] != "train"]
    for name in ("joint", "limb"):
        leave(tmp_path, name, smoke, stream=name)
        for split, rows in table.groupby("split"):
            probabilities = random.dirichlet(np.ones(32), len(rows))
            Predictions(
                rows["id"].to_numpy(str), rows["label"].to_numpy(), probabilities, np.array(smoke.classes)
            ).save(tmp_path / "runs" / name / f"{split}.npz")
    scores = pd.DataFrame(random.dirichlet(np.ones(32), len(table)), index=table["id"], columns=smoke.classes)
    scores.sample(frac=1, random_state=0).to_csv(tmp_path / "rgb.csv")
    return [tmp_path / "runs" / name for name in ("joint", "limb")], str(tmp_path / "rgb.csv"), scores


def test_runs_and_scores_are_gathered_by_split_in_one_order(members, smoke):
    folders, path, scores = members
    gathered = ensemble.gather(folders, [path], "test", smoke, lambda **_: smoke)
    assert list(gathered) == ["joint", "limb", path]
    test = smoke.split("test").table
    assert all(member.ids.tolist() == test["id"].tolist() for member in gathered.values())
    assert np.allclose(gathered[path].probabilities, scores.loc[test["id"]])
    assert gathered[path].labels.tolist() == test["label"].tolist(), "the data have the labels"
    (alone,) = ensemble.gather([], [path], "test", smoke, lambda **_: smoke).values()
    assert alone.labels.tolist() == test["label"].tolist()


def test_a_member_that_lacks_clips_is_refused_unless_only_shared_clips_are_wanted(members, smoke):
    folders, path, scores = members
    first, last = smoke.split("test").table["id"].iloc[[0, -1]]
    scores.drop([first, last]).to_csv(path)
    with pytest.raises(ValueError, match=rf"member 3 has 7 clips and the first 9; 2 .* \(such as {first}\)"):
        ensemble.gather(folders, [path], "test", smoke, lambda **_: smoke)
    report = Report()
    shared = ensemble.gather(
        folders, [path], "test", smoke, lambda **_: smoke, shared_only=True, report=report
    )
    assert [len(member) for member in shared.values()] == [7, 7, 7]
    assert "clips left out because a member lacks them: test (2 of 9)" in str(report)


def test_what_cannot_be_gathered_is_named(members, smoke):
    folders, path, scores = members
    with pytest.raises(ValueError, match="members of an ensemble must be unique, got joint, joint"):
        ensemble.gather([folders[0], folders[0]], [], "test", smoke, lambda **_: smoke)
    (folders[1] / "test.npz").unlink()
    with pytest.raises(ValueError, match=r"limb.best\.ckpt: "):
        ensemble.gather(folders, [], "test", smoke, lambda **_: smoke)
    scores.rename(index="clip {}".format).to_csv(path)
    message = r"rgb\.csv: has none of the 9 clips of split 'val'; use ids such as 0.*, found clip 0"
    with pytest.raises(ValueError, match=message):
        ensemble.gather(folders, [path], "val", smoke, lambda **_: smoke)


def test_names_of_files_are_ids_without_folder_and_ending(members, smoke):
    folders, path, scores = members
    scores.rename(index="videos/{}.mp4".format).to_csv(path)
    report = Report()
    gathered = ensemble.gather(folders, [path], "test", smoke, lambda **_: smoke, report=report)
    test = smoke.split("test").table["id"]
    assert np.allclose(gathered[path].probabilities, scores.loc[test])
    assert "1 × ids of score files taken without the folder and the ending of a file: rgb.csv" in str(report)


def test_a_path_can_contain_the_split(members, smoke):
    folders, path, scores = members
    for split in ("val", "test"):
        scores.loc[smoke.split(split).table["id"]].to_csv(path.replace("rgb", f"rgb-{split}"))
    pattern = path.replace("rgb", "rgb-{split}")
    gathered = ensemble.gather(folders, [pattern], "val", smoke, lambda **_: smoke)
    assert gathered[pattern].ids.tolist() == smoke.split("val").table["id"].tolist()


def test_missing_folds_are_named(tmp_path, smoke):
    folds = [leave(tmp_path, f"own-fold{fold}", smoke, folds=4, fold=fold) for fold in (3, 1)]
    plain = leave(tmp_path, "plain", smoke)
    others = "(no finished run); all scores and figures are of the others only."
    assert ensemble.joined_folds([*folds, plain], smoke) == [
        f"own: 2 of 4 folds are joined; missing: fold 0, fold 2 {others}"
    ]
    folds += [leave(tmp_path, f"own-fold{fold}", smoke, folds=4, fold=fold) for fold in (0, 2)]
    assert ensemble.joined_folds(folds, smoke) == ["own: 4 of 4 folds are joined."]
    two = [leave(tmp_path, f"fold{fold}", smoke, protocol=LEAVE_ONE_OUT, fold=fold) for fold in (1, 0)]
    three = smoke.where(smoke.table["subject"].isin(smoke.table["subject"].unique()[:3]))
    assert ensemble.joined_folds(two, three) == [f"fold1: 2 of 3 folds are joined; missing: fold 2 {others}"]


def test_cross_validations_that_differ_are_members_of_their_own_where_names_are_equal_without_the_fold(
    tmp_path, smoke
):
    first, second = (
        leave(tmp_path, "own-fold0", smoke, folds=3),
        leave(tmp_path, "own_fold0", smoke, folds=3, seed=1),
    )
    assert list(ensemble.group_folds([first, second])) == ["own", "own_fold0"]
    plain = leave(tmp_path, "own", smoke)
    assert list(ensemble.group_folds([first, plain])) == ["own-fold0", "own"]
