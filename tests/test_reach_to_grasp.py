"""The conversion of the reach-to-grasp set, on files as its authors write them."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from miga_lib import layouts


@pytest.fixture
def reach(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("reach_to_grasp")


def write(folder, name, times, last=""):
    """A file of 50 joints; the number k of row t is 100 t + k."""
    path = folder / "data" / name.split("_")[0] / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    header = ["Time", *(f"J{v}.{c}" for v in range(50) for c in ("x", "y", "prob"))]
    rows = [[time, *(100 * t + k for k in range(150))] for t, time in enumerate(times)]
    path.write_text("\n".join(",".join(map(str, row)) for row in [header, *rows]) + last + "\n")
    return path


@pytest.fixture
def dataset(tmp_path):
    write(tmp_path, "P7_M_02", [0.0, 0.1, 0.2, 0.3, 0.3])  # the last row repeats the time before it
    write(tmp_path, "P1_S_01", [0.5, 0.6, 0.7], last="\n0.7,12,broken")
    write(tmp_path, "P2_L_01", [0.0, 0.1])  # not in the table: excluded by the authors
    (tmp_path / "RtG_onset_end.csv").write_text(
        "Movement,RtG onset,RtG end\nP7_M_02.csv,0.1,0.25\nP1_S_01.csv,0.55,0.7\n"
    )
    return tmp_path


def test_a_reach_is_the_frames_from_onset_to_end(reach, dataset):
    data = reach.convert(dataset)
    assert data.table[["id", "label", "split", "subject", "frames"]].to_numpy().tolist() == [
        ["P1_S_01", 0, "train", "P1", 2],
        ["P7_M_02", 1, "test", "P7", 2],
    ]
    assert data[0][:, 0].tolist() == [[100, 101, 102], [200, 201, 202]]
    assert data[1][:, 49].tolist() == [[247, 248, 249], [347, 348, 349]]
    assert data.classes == ("small", "medium", "large")


def test_the_layout_has_the_joints_of_the_files_and_both_sides(reach):
    layout = reach.layout()
    assert len(layout.joints) == 50
    assert layout.joints[:2] == ("neck", "right_shoulder")
    assert layout.joints[8] == "left_hand"
    assert layout.joints[29] == "right_hand"
    assert np.isfinite(layout.distances).all()
    assert set(layout.joints) < set(layouts.get("openpose137").joints)


def test_a_file_of_another_form_is_refused(reach, tmp_path):
    path = write(tmp_path, "P1_S_01", [0.0, 0.2, 0.1, 0.3])
    message = "P1_S_01.csv: the time must grow from row to row, in row 2 it does not"
    with pytest.raises(ValueError, match=message):
        reach.read_movement(path, 0, 1)
    path.write_text("Time,x\n0,1\n")
    with pytest.raises(ValueError, match="expected a time and 150 numbers in each row, found 2 columns"):
        reach.read_movement(path, 0, 1)
