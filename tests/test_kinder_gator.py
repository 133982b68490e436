"""The converter of Kinder-Gator: joints in pixels, people from the names of files, variants of a motion
in one class."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import kinder_gator

JOINTS = list(dict.fromkeys("-".join(kinder_gator.LIMBS.split()).split("-")))


@pytest.fixture
def clone(tmp_path):
    """Three recordings of two people; the lines of the files end with a comma."""
    for name, frames in {
        "Adults/POSE-p565_05-Bow-1469182474370": 3,
        "Adults/POSE-p565_61-Throw-a-ball--1469": 2,
        "Children/POSE-p103_09-Throw-a-ball-as-far-as-you-can-with-the-other-arm-1470": 4,
    }.items():
        path = tmp_path / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        columns = {
            f"{joint}{axis}": {"X": 0.5, "Y": 0.25, "Z": 3.0}[axis] for joint in JOINTS for axis in "XYZ"
        }
        table = pd.DataFrame([{"Timestamp": 1.0} | columns | {"User-ID": "565", "Action": "x"}] * frames)
        lines = table.to_csv(index=False).splitlines()
        path.write_text("".join(f"{line},\n" for line in lines))
    return tmp_path


def test_recordings_are_clips_of_people_and_merged_motions(clone):
    clips = kinder_gator.convert(clone)
    assert clips.table[["subject", "frames", "label"]].to_numpy().tolist() == [
        ["565", 3, 0],
        ["565", 2, 1],
        ["103", 4, 1],
    ]
    assert clips.classes == ("bow", "throw a ball")
    assert np.unique(clips.keypoints.reshape(-1, 3), axis=0).tolist() == [[400, 200, 1]]


def test_the_layout_is_a_tree_whose_sides_are_mirrored(clone):
    layout = kinder_gator.convert(clone).layout
    assert len(layout.joints) == 20 == len(layout.limbs) + 1
    assert np.isfinite(layout.distances).all()
    assert layout.joints[layout.mirror[layout.joints.index("left_hand")]] == "right_hand"
