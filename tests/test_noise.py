"""Errors of filters against the true places of synthetic joints."""

import numpy as np
import pytest
from test_survey import clips_of

from miga_lib import denoising, layouts, synthetic
from miga_lib.analysis import noise

HANDS = layouts.make("hands", ["neck", "left_palm", "right_palm"], "neck-left_palm neck-right_palm", "neck",
                     regions={"torso": (0,), "left_hand": (1,), "right_hand": (2,)})  # fmt: skip


def test_the_true_places_are_those_of_the_clips(smoke):
    rows = [20, 3]
    places = synthetic.clean(smoke.table["id"].iloc[rows].tolist(), "synthetic-smoke", smoke.layout)
    for own, row in zip(places, rows, strict=True):
        keypoints = smoke[row]
        assert own.shape == (*keypoints.shape[:2], 2)
        distance = np.linalg.norm(own - keypoints[..., :2], axis=-1)[keypoints[..., 2] > 0.3]
        # Errors of a few pixels; a place of another frame or joint is tens of pixels away.
        assert np.median(distance) < 4
    np.testing.assert_array_equal(noise.truth(smoke.where(rows), "synthetic-smoke"), np.concatenate(places))


def test_an_id_that_the_size_does_not_have_is_refused(smoke):
    message = "synthetic-smoke with seed 0 has no clip '0001_99'; give ids of its clips, such as '0001_0'"
    with pytest.raises(ValueError, match=message):
        synthetic.clean(["0001_0", "0001_99"], "synthetic-smoke", smoke.layout)


def test_errors_by_hand():
    clean = np.array([[[0.0, 0.0], [0.0, 200.0], [200.0, 0.0]]] * 5)
    detected = np.concatenate([clean, np.full((5, 3, 1), 0.4)], -1)
    detected[2, 0] = 0  # a gap
    detected[3, 1, :2] += (3.0, 4.0)
    detected[2, 2, 0] += 90.0
    raw = clips_of((detected, 1, "train", "v", ""), layout=HANDS)
    filtered = denoising.denoised(raw, "outliers+gaps")
    table = noise.errors(raw, filtered, clean)
    assert len(table) == 15
    assert table["joint"].value_counts().to_dict() == {"detected": 14, "filled": 1}
    assert table.groupby("region", observed=True)["error"].sum().to_dict() == {"torso": 0, "hand": 5}
    assert table["score"].value_counts().to_dict() == pytest.approx({np.float32(0.4): 14, 0.0: 1})
    removed = noise.errors(raw, denoising.denoised(raw, "outliers"), clean)
    assert removed[removed["joint"] == "removed"]["error"].tolist() == [90]


def test_filters_are_compared_by_region():
    clean = np.array([[[0.0, 0.0], [0.0, 200.0], [200.0, 0.0]]] * 5)
    detected = np.concatenate([clean, np.full((5, 3, 1), 0.4)], -1)
    detected[2, 0] = 0
    detected[2, 2, 0] += 100.0
    raw = clips_of((detected, 1, "train", "v", ""), layout=HANDS)
    table = noise.compared(raw, clean, ["", "outliers", "outliers+gaps"])
    assert table.index.tolist() == ["none", "outliers", "outliers+gaps"]
    assert table["hand"].tolist() == [10, 10, 0], "a removed joint counts with its detection"
    assert table["filled"].tolist() == [0, 0, 1]
    assert table["removed"].tolist() == [0, 1, 0]
