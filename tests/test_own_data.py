"""The page on own data does what it says: a layout of three statements trains both models on both streams;
written clips are read alike."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from miga_lib import clips, layouts
from miga_lib.readers import miga, pyskl

PAGE = Path(__file__).parents[1] / "docs" / "own-data.md"


@pytest.fixture
def coco_pickle(tmp_path):
    """Twelve clips of two classes, waving the left or the right wrist, in COCO's 17 joints."""
    rng = np.random.default_rng(0)
    annotations = []
    for k in range(12):
        points = np.tile(rng.uniform(100, 600, (17, 2)), (1, 9, 1, 1))
        points[0, :, 9 + k % 2, 0] += 80 * np.sin(np.arange(9))
        annotations.append(
            {
                "frame_dir": f"clip {k}", "total_frames": 9, "img_shape": (720, 1280),
                "original_shape": (720, 1280), "label": k % 2,
                "keypoint": points.astype(np.float16), "keypoint_score": np.full((1, 9, 17), 0.8, np.float16),
            }
        )  # fmt: skip
    ids = [a["frame_dir"] for a in annotations]
    path = tmp_path / "my_clips.pkl"
    path.write_bytes(pickle.dumps({"split": {"train": ids[:8], "val": ids[8:]}, "annotations": annotations}))
    return path


def test_the_examples_of_the_page_run_as_they_stand(coco_pickle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIGA_OUTPUTS", str(tmp_path / "outputs"))
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 3
    monkeypatch.setattr(layouts, "_LAYOUTS", dict(layouts._LAYOUTS))  # what is registered here is forgotten
    names: dict = {}
    for example in examples:
        exec(example.replace('preset="quick"', 'preset="smoke", epochs=1'), names)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "posec3d-joint",
        "posec3d-limb",
        "stgcn-bone",
        "stgcn-joint",
    ]
    for run in (tmp_path / "runs").iterdir():
        assert (run / "result.json").exists()
    again = clips.load(tmp_path / "for_pyskl.pkl", str(tmp_path / "my_body.json"))
    assert np.array_equal(again.keypoints, names["mine"].keypoints)
    assert again.classes == ("class 0", "class 1")


def test_the_layout_of_the_page_has_the_joints_of_coco():
    joints, limbs = re.search(
        r"joints = (\(.*?\))\.split\(\)\nlimbs = (\(.*?\n\))", PAGE.read_text(encoding="utf-8"), re.DOTALL
    ).groups()
    layout = layouts.make("page", eval(joints).split(), eval(limbs), "nose")
    assert layout.joints == layouts.get("coco17").joints
    assert np.isfinite(layout.distances).all()


def test_the_formats_of_the_page_are_those_that_are_tried():
    assert len(
        re.findall(
            r"^\| (?!what|---|one of|no data|Micro-Action-52)", PAGE.read_text(encoding="utf-8"), re.MULTILINE
        )
    ) == len(clips.READERS)


def test_clips_of_the_challenge_are_the_same_after_a_pickle_and_back(smoke_outputs, tmp_path):
    whole = clips.load("synthetic-smoke", "openpose137", smoke_outputs)
    pyskl.write(tmp_path / "smoke.pkl", whole)
    pickled = clips.load(tmp_path / "smoke.pkl", "openpose137", tmp_path / "outputs")
    miga.write(tmp_path / "challenge", pickled)
    again = clips.load(tmp_path / "challenge", "openpose137", tmp_path / "outputs")
    assert again.table.equals(whole.table)
    assert np.array_equal(again.keypoints, whole.keypoints)


def test_test_clips_of_unknown_class_are_written_too(smoke_outputs, tmp_path):
    whole = clips.load("synthetic-smoke", "openpose137", smoke_outputs).split("test").where([0, 1, 2])
    whole.table["label"] = [-1, 4, -1]
    miga.write(tmp_path, whole)
    assert clips.load(tmp_path, "openpose137", tmp_path / "outputs").table["label"].tolist() == [-1, 4, -1]


def test_what_the_challenge_cannot_hold_is_refused(smoke, smoke_outputs, tmp_path):
    with pytest.raises(
        ValueError,
        match="hold 137 keypoints, these clips are in layout 'imigue41'; load them with 'openpose137'",
    ):
        miga.write(tmp_path, smoke)
    whole = clips.load("synthetic-smoke", "openpose137", smoke_outputs)
    whole.table.loc[0, "label"] = -1
    with pytest.raises(ValueError, match=r"clip '0001_0' is of unknown class; only test clips may be"):
        miga.write(tmp_path, whole)
    with pytest.raises(ValueError, match="only the 32 classes of iMiGUE, these clips have 2 others"):
        miga.write(tmp_path, clips.Clips(whole.table, whole.keypoints, whole.layout, ("a", "b"), ""))
