"""Errors of filters against the true places of synthetic joints."""

import numpy as np
import pytest
from test_survey import STICK, clips_of

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
    with pytest.raises(
        ValueError,
        match="synthetic-smoke with seed 0 has no clip '0001_99'; give ids of its clips, such as '0001_0'",
    ):
        synthetic.clean(["0001_0", "0001_99"], "synthetic-smoke", smoke.layout)


def test_errors_by_hand():
    clean = np.array([[[0.0, 0.0], [0.0, 200.0], [200.0, 0.0]]] * 5)
    detected = np.concatenate([clean, np.full((5, 3, 1), 0.4)], -1)
    detected[2, 0] = 0  # a gap
    detected[3, 1, :2] += (3.0, 4.0)
    detected[2, 2, 0] += 90.0
    raw = clips_of((detected, 1, "train", "v", ""), layout=HANDS)
    filtered = denoising.denoised(raw, "outliers+gaps")
    found = noise.errors(raw, filtered, clean)
    assert len(found) == 15
    assert found["joint"].value_counts().to_dict() == {"detected": 14, "filled": 1}
    assert found.groupby("region", observed=True)["error"].sum().to_dict() == {"torso": 0, "hand": 5}
    assert set(found["class"]) == {"nod"}
    assert found["score"].value_counts().to_dict() == pytest.approx({np.float32(0.4): 14, 0.0: 1})
    removed = noise.errors(raw, denoising.denoised(raw, "outliers"), clean)
    assert removed[removed["joint"] == "removed"]["error"].tolist() == [90]


def test_a_spectrum_by_hand():
    """A sine of 3.125 Hz, 4 periods in 32 frames, of which the clip has half; and noise that alternates each
    frame, 12.5 Hz."""
    time = np.arange(64)
    wave = 8 * np.sin(2 * np.pi * 4 * time / 32)
    clean, keypoints = np.zeros((64, 3, 2)), np.full((64, 3, 3), 0.5)
    clean[:, 1, 0] = wave
    keypoints[..., :2] = clean
    keypoints[:, 1, 0] = wave / 2 + (-1.0) ** time
    keypoints[5, 2] = 0  # so that its first piece does not count
    table = noise.spectrum(clips_of((keypoints, 0, "train", "v", ""), layout=HANDS), clean)
    # Of six coordinates in three pieces two are the sine, whose root mean square is 8 / √2. The window moves
    # a sixth of its square to the frequency below, which is in another band.
    share = np.sqrt(2 / 6 * 5 / 6)
    low, _, band, high = table.index
    assert table.loc[band, "motion"] == pytest.approx(8 / np.sqrt(2) * share, rel=1e-2)
    assert table.loc[band, "kept"] == pytest.approx(0.5, abs=1e-3)
    assert table.loc[band, "error"] == pytest.approx(4 / np.sqrt(2) * share, rel=1e-2)
    assert table.loc[low, "motion"] < 0.5
    assert table.loc[high, "error"] > 0.3


def test_effects_are_by_score_and_by_frequency_of_what_was_detected():
    rng = np.random.default_rng(0)
    clean = np.tile([[[0.0, 0.0], [0.0, 200.0], [200.0, 0.0]]], (64, 1, 1))
    clean[:, 1, 0] += 8 * np.sin(2 * np.pi * 4 * np.arange(64) / 32)
    detected = np.concatenate([clean, np.full((64, 3, 1), 0.4)], -1)
    detected[:, 2, :2] += rng.normal(0, 3, (64, 2))
    detected[:, 2, 2] = 0.05
    detected[:32:9, 1] = 0
    raw = clips_of((detected, 0, "train", "v", ""), layout=HANDS)
    gained, kept = noise.effects(raw, clean, ["", "gaps", "one_euro"])
    assert gained.index.tolist() == kept.index.tolist() == ["none", "gaps", "one_euro"]
    assert [str(part) for part in gained] == ["(0.0, 0.1]", "(0.3, 0.5]"]
    errors = np.linalg.norm(detected[:, 2, :2] - clean[:, 2], axis=-1).mean()
    assert gained.loc["none"].tolist() == pytest.approx([errors, 0], abs=1e-6)
    assert gained.loc["one_euro"].iloc[0] < errors
    band = "3–4.5 Hz"
    assert kept.loc["none", band] == pytest.approx(1, abs=0.05)
    assert kept.loc["gaps", band] == pytest.approx(kept.loc["none", band]), "filled joints are not counted"
    assert kept.loc["one_euro", band] < 0.99


def test_regions_without_sides_are_left_out_of_the_spectrum():
    with pytest.raises(
        ValueError, match="no piece of 32 frames in which a joint of arm, hand is never missing"
    ):
        noise.spectrum(
            clips_of((np.ones((64, 3, 3)), 0, "train", "v", ""), layout=STICK), np.ones((64, 3, 2))
        )


def test_filters_are_compared_by_region():
    clean = np.array([[[0.0, 0.0], [0.0, 200.0], [200.0, 0.0]]] * 5)
    detected = np.concatenate([clean, np.full((5, 3, 1), 0.4)], -1)
    detected[2, 0] = 0
    detected[2, 2, 0] += 100.0
    table = noise.compared(
        clips_of((detected, 1, "train", "v", ""), layout=HANDS), clean, ["", "outliers", "outliers+gaps"]
    )
    assert table.index.tolist() == ["none", "outliers", "outliers+gaps"]
    assert table["hand"].tolist() == [10, 10, 0], "a removed joint counts with its detection"
    assert table["filled"].tolist() == [0, 0, 1]
    assert table["removed"].tolist() == [0, 1, 0]
