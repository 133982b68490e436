"""Coordinates in shares of the frame and scores in percent: converted and told where that is certain, else
refused, in every format."""

import json

import fuzzing
import joblib
import numpy as np
import pytest

from miga_lib import layouts
from miga_lib.readers import DataError, Report, contract

NAMES = ["miga", "miga arrays", "miga23", "pyskl", "openpose", "release"]
SIZE = np.array([1280, 720])
SHARES, CENTRED = (f"coordinates were shares of the frame from {least} to 1: now pixels" for least in (0, -1))
PERCENT = "scores were percent: divided by 100"


def in_shares(pixels):
    return np.concatenate([pixels[..., :2] / SIZE, pixels[..., 2:]], -1)


def centred(pixels):
    """As OpenPose scales with ``--keypoint_scale 4``: missing joints, too, so they are at −1, −1."""
    return np.concatenate([pixels[..., :2] / SIZE * 2 - 1, pixels[..., 2:]], -1)


def percent(pixels):
    return pixels * [1, 1, 100]


def read(name, folder, monkeypatch, unit=None, change=None):
    """The clips of a good source whose keypoints are in another unit."""
    reader, layout, write = fuzzing.SOURCES[name]

    def keypoints(frames=9, joints=137):
        rng = np.random.default_rng(0)
        values = np.concatenate([rng.integers(10, 990, (frames, joints, 2)) * SIZE / 1000] * 2, -1)[..., :3]
        values[..., 2] = rng.integers(20, 99, (frames, joints)) / 100
        values[0, ::5] = 0
        return unit(values) if unit else values

    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(fuzzing, "keypoints", keypoints)
        write(folder)
    if change:
        change(folder)
    report = Report()
    with joblib.parallel_config(backend="sequential"):
        clips = list(reader.read(folder, layouts.get(layout), report, lambda items, **_: items))
    return {clip.id: clip for clip in clips}, report


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("unit", "event"),
    [(in_shares, SHARES), (centred, CENTRED), (percent, PERCENT)],
    ids=["0", "-1", "percent"],
)
def test_other_units_give_the_same_clips_and_a_note(tmp_path, monkeypatch, name, unit, event):
    expected, report = read(name, tmp_path / "pixels", monkeypatch)
    assert not {SHARES, CENTRED, PERCENT} & set(report.events)
    found, report = read(name, tmp_path / "other", monkeypatch, unit)
    assert event in report.events
    assert found.keys() == expected.keys()
    for id, clip in found.items():
        np.testing.assert_allclose(clip.keypoints, expected[id].keypoints, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("unit", "problem"),
    [
        (
            lambda pixels: pixels * [1 / 720, 1 / 720, 1],
            r"coordinates, \S+ to 1\.7\S*, are neither pixels nor",
        ),
        (
            lambda pixels: pixels * [1 / 200, 1 / 200, 1],
            r"coordinates, \S+ to [3-6]\S*, are neither pixels nor",
        ),
        (
            lambda pixels: pixels * [1, 1, 5],
            r"scores, up to 4\.9\S*, are neither from 0 to 1 nor percent; divide",
        ),
        (
            lambda pixels: pixels * [1, 1, 255],
            "scores, up to 2.., are neither from 0 to 1 nor percent; divide",
        ),
    ],
    ids=["of the height", "small", "5", "255"],
)
def test_units_in_doubt_are_refused(tmp_path, monkeypatch, name, unit, problem):
    with pytest.raises(DataError, match=f": its {problem}"):
        read(name, tmp_path / "in", monkeypatch, unit)


def without_sizes(folder):
    for table in folder.glob("segments.csv"):
        rows = [line.split(",")[:-2] for line in table.read_text().splitlines()]
        table.write_text("\n".join(map(",".join, rows)))
    for path in folder.glob("own.pkl"):
        import pickle

        content = pickle.loads(path.read_bytes())
        for annotation in content["annotations"]:
            del annotation["img_shape"]
        path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("name", ["pyskl", "openpose"])
@pytest.mark.parametrize("unit", [in_shares, centred])
def test_shares_of_a_frame_of_unknown_size_are_refused(tmp_path, monkeypatch, name, unit):
    message = "are shares of a frame of unknown size; write x and y in pixels, or give the width and height"
    with pytest.raises(DataError, match=message):
        read(name, tmp_path / "in", monkeypatch, unit, without_sizes)


def body(*places, missing=0):
    """Joints (V, 3) at some places, of score 0.5, and some missing ones."""
    return np.float32([*((x, y, 0.5) for x, y in places), *[(0, 0, 0)] * missing])


@pytest.mark.parametrize(
    "keypoints",
    [
        body((0.5, 0.5), (100, 90), (200, 300)),
        body((-9, 8), (1, 9), (12, 0)),
        body((9, 9), missing=40),
        body((0, 0), (0, 0)),
        body(missing=3),
        np.zeros((0, 5, 3), np.float32),
        body((100, 100)) * np.float32([1, 1, 2.1]),
    ],
)
def test_pixels_are_not_touched(keypoints):
    before, report = keypoints.copy(), Report()
    found = contract.in_pixels(keypoints, (1280, 720), "a", report)
    assert found is keypoints
    assert np.array_equal(found, before)
    assert not report.events


@pytest.mark.parametrize(
    ("keypoints", "expected"),
    [
        (body((0, 0), (1, 1), missing=1), [(0, 0), (1280, 720), (0, 0)]),
        (body((-1, -1), (1, 0), missing=1), [(0, 0), (1280, 360), (0, 0)]),
        (body((-0.3, 0.2), (0.3, 0.8)), [(448, 432), (832, 648)]),
    ],
)
def test_where_shares_are_certain_their_place_is_exact(keypoints, expected):
    found = contract.in_pixels(keypoints, (1280, 720), "a", Report())
    np.testing.assert_allclose(found[:, :2], expected, atol=1e-3)
    assert np.array_equal(found[:, 2], keypoints[:, 2])


@pytest.mark.parametrize(
    "places",
    [
        [(-0.05, 0.3)] * 3
        + [(0.4, 0.5)] * 17,  # leaving a frame from 0 to 1, or sitting in one from −1 to 1?
        [(-0.4, 0.3)] + [(0.4, 0.5)] * 19,
        [(0.4, 0.5)] * 19 + [(1.4, 0.5)],
        [(-0.4, 0.3)] * 10 + [(0.4, 1.3)] * 10,
        [(0.4, 0.5)] * 19 + [(900, 500)],
    ],
)
def test_shares_in_doubt_are_refused(places):
    with pytest.raises(DataError, match="a: its coordinates, .* are neither pixels nor shares of the frame"):
        contract.in_pixels(body(*places), (1280, 720), "a", Report())


def test_a_missing_joint_at_minus_one_makes_shares_from_0_doubtful():
    """The person may sit in the lower right quarter of a frame from −1 to 1."""
    keypoints = body((0.2, 0.4), (0.5, 0.9), missing=1)
    keypoints[2, :2] = -1
    with pytest.raises(DataError, match=r"a: its coordinates, 0\.2 to 0\.9, are neither pixels nor shares"):
        contract.in_pixels(keypoints, (1280, 720), "a", Report())


@pytest.mark.parametrize("value", [True, False])
def test_truth_in_json_is_no_number(tmp_path, monkeypatch, value):
    def in_a_frame(folder):
        path = folder / "a" / "a_000000000001_keypoints.json"
        content = json.loads(path.read_text())
        content["people"][0]["pose_keypoints_2d"][3] = value
        path.write_text(json.dumps(content))

    message = rf"a_000000000001_keypoints\.json: pose_keypoints_2d must have numbers only, found {value}"
    with pytest.raises(DataError, match=message):
        read("openpose", tmp_path / "in", monkeypatch, change=in_a_frame)


@pytest.mark.parametrize("key", ["keypoints", "keypoint_scores"])
def test_truth_in_the_json_of_mmpose_is_no_number(tmp_path, monkeypatch, key):
    def in_a_person(folder):
        path = folder / "predictions" / "a.json"
        content = json.loads(path.read_text())
        values = content[1]["instances"][0][key]
        values[0] = [True, 5.5] if key == "keypoints" else True
        path.write_text(json.dumps(content))

    with pytest.raises(DataError, match=r"a\.json: frame_id 1 has keypoints \[.*True"):
        read("wholebody", tmp_path / "in", monkeypatch, change=in_a_person)


@pytest.mark.parametrize("name", ["miga", "release"])
def test_truth_in_a_workbook_is_no_number(tmp_path, monkeypatch, name):
    import openpyxl

    def in_a_cell(folder):
        path = min(folder.rglob("*.xlsx"))
        (path.parent / f"{path.parent.name}_light_hand.csv").unlink(missing_ok=True)
        workbook = openpyxl.load_workbook(path)
        workbook.active["D3"] = True
        workbook.save(path)

    with pytest.raises(DataError, match=r"\.xlsx: line 3, column 4 holds True; expected a number"):
        read(name, tmp_path / "in", monkeypatch, change=in_a_cell)


def test_an_array_of_truth_is_refused(tmp_path, monkeypatch):
    def in_a_file(folder):
        path = min(folder.rglob("*.npy"))
        np.save(path, np.load(path) > 0)

    with pytest.raises(DataError, match=r"\.npy: not a complete numpy array of numbers \(it holds bool\)"):
        read("miga arrays", tmp_path / "in", monkeypatch, change=in_a_file)
