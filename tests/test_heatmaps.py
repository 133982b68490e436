import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miga_lib import heatmaps

CHAIN = ((0, 1), (1, 2), (3, 2), (4, 0))
SIZE = (20, 26)
DRAW = (heatmaps.joints, lambda keypoints, scores, *more: heatmaps.limbs(keypoints, scores, CHAIN, *more))


def joint_by_its_definition(x, y, score, size, sigma):
    """One joint's map in float64, straight from the definition."""
    (height, width), drawn = size, np.zeros(size)
    if score >= 1e-3:
        for row in range(max(int(y - 3 * sigma), 0), min(int(y + 3 * sigma) + 1, height)):
            for column in range(max(int(x - 3 * sigma), 0), min(int(x + 3 * sigma) + 1, width)):
                drawn[row, column] = score * math.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2))
    return drawn


def limb_by_its_definition(a, b, a_score, b_score, size, sigma):
    """One limb's map in float64, straight from the definition."""
    (height, width), drawn = size, np.zeros(size)
    a, b = np.array(a), np.array(b)
    low, high, squared_length = np.minimum(a, b) - 3 * sigma, np.maximum(a, b) + 3 * sigma, (b - a) @ (b - a)
    score = min(a_score, b_score)
    if score < 1e-3:
        return drawn
    if squared_length < 1:
        return joint_by_its_definition(*a, a_score, size, sigma)
    for row in range(max(int(low[1]), 0), min(int(high[1]) + 1, height)):
        for column in range(max(int(low[0]), 0), min(int(high[0]) + 1, width)):
            pixel = np.array([column, row])
            along = np.clip((pixel - a) @ (b - a) / squared_length, 0, 1)
            squared_distance = ((pixel - a - along * (b - a)) ** 2).sum()
            drawn[row, column] = score * math.exp(-squared_distance / (2 * sigma**2))
    return drawn


def poses(
    seed: int, *batch: int, spread: float = 40.0, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random joints (…, 5, 2) in and around a map of SIZE, and scores (…, 5), some of them below the
    threshold."""
    rng = np.random.default_rng(seed)
    keypoints = rng.random((*batch, 5, 2)) * spread + 10 - spread / 2
    scores = rng.random((*batch, 5)) * (rng.random((*batch, 5)) > 0.2) + rng.choice([0, 5e-4], (*batch, 5))
    return torch.tensor(keypoints, dtype=dtype), torch.tensor(scores, dtype=dtype)


sigmas = st.sampled_from([0.6, 1, 0.25, 2.5])
spreads = st.sampled_from([3.0, 12.0, 40.0, 150.0])


@given(st.integers(0, 9999), sigmas, spreads)
def test_joints_equal_their_definition(seed, sigma, spread):
    keypoints, scores = poses(seed, 3, spread=spread)
    maps = heatmaps.joints(keypoints, scores, SIZE, sigma)
    for t in range(3):
        for v in range(5):
            expected = joint_by_its_definition(*keypoints[t, v].tolist(), scores[t, v].item(), SIZE, sigma)
            np.testing.assert_allclose(maps[t, v].numpy(), expected, rtol=0, atol=1e-12)


@given(st.integers(0, 9999), sigmas, spreads)
def test_limbs_equal_their_definition(seed, sigma, spread):
    keypoints, scores = poses(seed, 2, spread=spread)
    maps = heatmaps.limbs(keypoints, scores, CHAIN, SIZE, sigma)
    for t in range(2):
        for limb, (a, b) in enumerate(CHAIN):
            places, heights = keypoints[t, [a, b]].tolist(), scores[t, [a, b]].tolist()
            expected = limb_by_its_definition(*places, *heights, SIZE, sigma)
            np.testing.assert_allclose(maps[t, limb].numpy(), expected, rtol=0, atol=8e-7)


@given(st.integers(0, 9999), sigmas, spreads)
def test_maps_for_export_equal_the_others(seed, sigma, spread):
    """Those of all pixels, computed in float32 where the others are exact; also of no joints."""
    keypoints, scores = poses(seed, 2, spread=spread)
    maps = []
    for exporting in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.compiler, "is_compiling", lambda exporting=exporting: exporting)
            limbs = heatmaps.limbs(keypoints, scores, CHAIN, SIZE, sigma)
            maps.append((limbs, heatmaps.joints(keypoints[:0], scores[:0], SIZE)))
    torch.testing.assert_close(*maps, rtol=0, atol=1e-5)


@given(st.integers(0, 9999), sigmas, spreads)
def test_float32_agrees_with_float64(seed, sigma, spread):
    # Odd sixteenths are exact in float32, and with these sigmas no window ends so close to a whole number
    # that rounding matters.
    keypoints, scores = poses(seed, 2, spread=spread)
    keypoints, scores = (keypoints * 8).round() / 8 + 1 / 16, scores.float().double()
    for draw in DRAW:
        single = draw(keypoints.float(), scores.float(), SIZE, sigma)
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), draw(keypoints, scores, SIZE, sigma), rtol=0, atol=1e-6)


def test_heights_of_a_joint_and_its_window():
    maps = heatmaps.joints(torch.tensor([[5.0, 3.0]]), torch.tensor([0.8]), (8, 10), sigma=1)[0]
    assert maps[3, 5].item() == pytest.approx(0.8)
    assert maps[3, 6].item() == pytest.approx(0.8 * math.exp(-1 / 2))
    assert maps[5, 6].item() == pytest.approx(0.8 * math.exp(-5 / 2))
    # From int(5 − 3) = 2 to int(5 + 3) = 8 across, from 0 to int(3 + 3) = 6 down
    assert maps.nonzero().amin(0).tolist() == [0, 2]
    assert maps.nonzero().amax(0).tolist() == [6, 8]


def test_window_left_of_the_map_is_truncated_towards_zero():
    # int(−2.3 + 1.8) = int(−0.5) = 0, so the window ends after pixel 0, 2.3 px away.
    maps = heatmaps.joints(torch.tensor([[-2.3, 4.0]]), torch.ones(1), (8, 8))[0]
    assert maps[4, 0].item() == pytest.approx(math.exp(-(2.3**2) / 0.72))
    assert not maps[:, 1:].any()
    # int(−2.9 + 1.8) = −1: nothing.
    assert not heatmaps.joints(torch.tensor([[-2.9, 4.0]]), torch.ones(1), (8, 8)).any()


def test_heights_along_a_limb_and_beyond_its_ends():
    keypoints = torch.tensor([[2.0, 4.0], [7.0, 4.0]])
    maps = heatmaps.limbs(keypoints, torch.tensor([0.5, 0.9]), [(0, 1)], (9, 12), sigma=1)[0]
    assert maps[4, 2:8].tolist() == pytest.approx([0.5] * 6)
    assert maps[5, 5].item() == pytest.approx(0.5 * math.exp(-1 / 2))
    assert maps[4, 9].item() == pytest.approx(0.5 * math.exp(-4 / 2))
    assert maps[6, 8].item() == pytest.approx(0.5 * math.exp(-5 / 2))


def test_limb_under_a_pixel_is_a_joint_at_its_start():
    keypoints = torch.tensor([[5.0, 4.0], [5.5, 4.5]])
    scores = torch.tensor([0.9, 0.3])
    for limb in ((0, 1), (1, 0)):
        (drawn,) = heatmaps.limbs(keypoints, scores, [limb], (9, 12))
        torch.testing.assert_close(drawn, heatmaps.joints(keypoints, scores, (9, 12))[limb[0]])
    # The lower of the two scores decides whether it is drawn.
    assert not heatmaps.limbs(keypoints, torch.tensor([0.9, 5e-4]), [(0, 1)], (9, 12)).any()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
def test_joint_without_finite_coordinates_is_not_drawn(value):
    keypoints = torch.tensor([[value, 4.0], [4.0, value], [4.0, 4.0], [9.0, 4.0]])
    alone = torch.tensor([0.0, 0.0, 1.0, 1.0])
    maps, expected = (heatmaps.joints(keypoints, scores, (9, 12)) for scores in (torch.ones(4), alone))
    assert torch.equal(maps, expected)
    if not math.isfinite(value):
        assert not heatmaps.limbs(keypoints, torch.ones(4), [(0, 2), (3, 1)], (9, 12)).any()


@pytest.mark.parametrize("score", [0.0, 9e-4, -1.0, math.nan, math.inf])
def test_score_below_the_threshold_or_nan_draws_nothing(score):
    keypoints, scores = torch.tensor([[5.0, 4.0], [5.2, 4.0], [9.0, 6.0]]), torch.tensor([score, 1.0, 1.0])
    assert not heatmaps.joints(keypoints[:1], scores[:1], (9, 12)).any()
    if not score > 1:
        assert not heatmaps.limbs(keypoints, scores, [(0, 1), (1, 0), (0, 2)], (9, 12)).any()


def test_score_at_the_threshold_is_drawn():
    maps = heatmaps.joints(torch.tensor([[5.0, 4.0]]), torch.tensor([1e-3]), (9, 12))
    assert maps[0, 4, 5].item() == pytest.approx(1e-3)


@given(st.integers(0, 9999), st.integers(-4, 4), st.integers(-4, 4))
def test_moving_by_whole_pixels_moves_the_maps(seed, right, down):
    keypoints, scores = poses(seed, spread=10.0)
    keypoints = keypoints + 10
    for draw in DRAW:
        maps = draw(keypoints, scores, (40, 40))
        moved = draw(keypoints + torch.tensor([right, down]), scores, (40, 40))
        torch.testing.assert_close(moved, maps.roll((down, right), (1, 2)), rtol=0, atol=1e-9)


@given(st.integers(0, 9999), st.integers(1, 3))
def test_persons_merge_by_maximum(seed, persons):
    keypoints, scores = poses(seed, persons, 2)
    for draw in DRAW:
        merged = draw(keypoints, scores, SIZE, 0.6, True)
        assert torch.equal(merged, draw(keypoints, scores, SIZE).amax(0))


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (2, 1, 3), (0,), (2, 0)])
def test_batch_equals_its_frames_one_by_one(batch):
    keypoints, scores = poses(0, *batch, dtype=torch.float32)
    joints = heatmaps.joints(keypoints, scores, SIZE)
    limbs = heatmaps.limbs(keypoints, scores, torch.tensor(CHAIN), SIZE)
    assert joints.shape == (*batch, 5, *SIZE)
    assert limbs.shape == (*batch, 4, *SIZE)
    for index in np.ndindex(*batch):
        assert torch.equal(joints[index], heatmaps.joints(keypoints[index], scores[index], SIZE))
        assert torch.equal(limbs[index], heatmaps.limbs(keypoints[index], scores[index], CHAIN, SIZE))


def test_large_batch_is_drawn_in_chunks_that_agree():
    keypoints, scores = poses(1, 900, spread=30.0, dtype=torch.float32)
    parts = [heatmaps.limbs(keypoints[t : t + 1], scores[t : t + 1], CHAIN, SIZE) for t in range(0, 900, 30)]
    assert torch.equal(heatmaps.limbs(keypoints, scores, CHAIN, SIZE)[::30], torch.cat(parts))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_only_rounds_the_heights(dtype):
    keypoints = torch.tensor([[5.5, 4.25], [15.0, 9.5], [7.0, 2.5], [3.5, 8.0], [16.0, 3.0]])
    scores = torch.tensor([0.75, 0.5, 1.0, 0.25, 0.125])
    for draw in DRAW:
        maps = draw(keypoints.to(dtype), scores.to(dtype), SIZE)
        assert maps.dtype == dtype
        assert torch.equal(maps, draw(keypoints, scores, SIZE).to(dtype))


def test_arguments_are_not_changed():
    keypoints, scores = poses(2, 4)
    copies = keypoints.clone(), scores.clone()
    heatmaps.limbs(keypoints, scores, CHAIN, SIZE)
    assert torch.equal(keypoints, copies[0])
    assert torch.equal(scores, copies[1])


@pytest.mark.parametrize(
    ("size", "sigma", "message"),
    [
        ((0, 9), 0.6, r"size must be \(H, W\) of at least 1 pixel each, got \(0, 9\)"),
        ((9, 9), 0, "sigma must be above 0 pixels, got 0"),
        ((9, 9), math.nan, "sigma must be above 0 pixels, got nan"),
    ],
)
def test_errors_name_what_is_wrong(size, sigma, message):
    with pytest.raises(ValueError, match=message):
        heatmaps.joints(torch.zeros(1, 2), torch.ones(1), size, sigma)
