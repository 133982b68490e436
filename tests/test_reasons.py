"""The paper's reasons, measured on clips whose answer is known by hand, and on small runs."""

from dataclasses import replace

import numpy as np
import pytest

from miga_lib import compare
from miga_lib.analysis import reasons
from miga_lib.clips import load

LISTS = (["posec3d", "stgcn"], ["joint"], ["imigue41", "imigue22"], ["align"], [True], [0])


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def runs(outputs):
    listed = compare.grid(*LISTS, preset="smoke", epochs=1, device="cpu")
    return compare.train(listed, "synthetic-smoke", outputs, progress=lambda row: None)


@pytest.fixture(scope="module")
def clips(outputs):
    return load("synthetic-smoke", outputs=outputs).split("test")


def test_the_motion_of_a_region_is_that_of_its_joints(clips):
    """All joints stand still but those of the first region, which move by a tenth of the person's size."""
    still = np.zeros((4, 41, 3), np.float32) + np.float32([0, 0, 1])
    still[:, 40, :2] = 100
    name, joints = next(iter(clips.layout.regions.items()))
    assert 40 not in joints
    still[1::2, list(joints), 1] = 10
    one = clips.where([0])
    moved = replace(one, table=one.table.assign(start=0, frames=4), keypoints=still)
    table = reasons.by_region(moved, [])
    assert table["motion"].drop(name.replace("_", " ")).tolist() == [0] * (len(table) - 1)
    assert table.loc[name.replace("_", " "), "motion"] == pytest.approx(0.1)


def test_the_use_of_all_joints_is_1_in_the_mean(clips, runs):
    table = reasons.by_region(clips, runs, count=2)
    assert {"use by posec3d", "use by stgcn", "edges of stgcn"} <= set(table)
    covered = np.zeros(41)
    for joints in clips.layout.regions.values():
        covered[list(joints)] += 1
    assert (covered == 1).all()
    for model in ("posec3d", "stgcn"):
        assert np.average(table[f"use by {model}"], weights=table["joints"]) == pytest.approx(1)
    assert table["edges of stgcn"].between(0.9, 1.1).all(), "after an epoch near the 1 at the start"


def test_the_gap_is_that_of_training_and_other_clips(outputs, runs):
    table = reasons.gaps(runs, "synthetic-smoke", "test", outputs, count=5)
    assert table["layout"].tolist() == ["imigue41", "imigue22"] * 2
    assert (table["gap"] == table["train"] - table["test"]).all()
    assert (5 * table["train"] % 1 == 0).all()


def test_faults_are_added_to_the_joints_that_are_there(clips):
    raw = clips[0]
    assert (raw[..., 2] == 0).any()
    for kind, level in (("noise", 0.1), ("missing", 0.5)):
        faulty = reasons.perturbed(clips, kind, level, 0)[0]
        assert (faulty[raw[..., 2] == 0] == 0).all()
        changed = (faulty != raw).any(-1)[raw[..., 2] > 0].mean()
        assert changed == 1 if kind == "noise" else 0.4 < changed < 0.6
    np.testing.assert_array_equal(reasons.perturbed(clips, "noise", 0, 0)[0], raw)


def test_without_faults_the_accuracy_is_that_of_the_run(clips, runs):
    table = reasons.robustness(compare.base(runs), clips)
    assert len(table) == 2 * (len(reasons.NOISE) + len(reasons.MISSING))
    clean = table[table["level"] == 0].set_index("model")["top1"]
    for run in compare.base(runs):
        assert clean[run.settings.model].tolist() == [run.result["scores"]["test"]["top1"]] * 2


def test_the_base_has_the_first_values(runs):
    assert [run.settings.layout for run in compare.base(runs)] == ["imigue41"] * 2
