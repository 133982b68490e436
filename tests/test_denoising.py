"""Filters of detector errors: cases worked by hand, and laws that hold for all of them."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter
from test_survey import clips_of

from miga_lib import denoising, layouts, synthetic
from miga_lib.denoising import FILTERS, MAX_GAP
from miga_lib.readers import DataError

LAYOUT = layouts.get("imigue41")
EVERY = "+".join(FILTERS)
ANCHORS = [[0.0, 0.0], [400.0, 300.0]]
"""Two joints that stay where they are, so that the size of the person is 400 px."""
V = 2
"""The joint that moves."""


def clip(x, y=100.0, scores=0.8):
    """One clip, (1, T, 3, 3): two joints at rest, and one at these places."""
    keypoints = torch.zeros(1, len(x), 3, 3)
    keypoints[..., :2, :2], keypoints[..., :2, 2] = torch.tensor(ANCHORS), 1.0
    moving = torch.stack(torch.broadcast_tensors(*map(torch.as_tensor, (x, y, scores))), -1)
    keypoints[0, :, V] = moving * (moving[:, 2:] > 0)
    return keypoints


def apply(name, keypoints):
    return FILTERS[name](keypoints, LAYOUT)


def hands(region="hand"):
    """The joints of the left and of the right hand, or arm."""
    return [list(LAYOUT.regions[f"{side}_{region}"]) for side in ("left", "right")]


def swap(keypoints, frames, left, right):
    """The same keypoints with left and right exchanged in some frames."""
    swapped = keypoints.clone()
    swapped[frames, left], swapped[frames, right] = keypoints[frames, right], keypoints[frames, left]
    return swapped


def pose(frames=12):
    """A person of about 400 px in 41 joints, at rest; left is 200 px to the right of the image."""
    keypoints = torch.zeros(frames, len(LAYOUT.joints), 3)
    for v, name in enumerate(LAYOUT.joints):
        side = {"left": 100.0, "right": -100.0}.get(name.partition("_")[0], 0.0)
        keypoints[:, v] = torch.tensor([500.0 + side, 100.0 + 7.0 * LAYOUT.mirror[v] + 7.0 * v, 0.7])
    return keypoints


def noisy(seed, number=3, frames=9, missing=0.3):
    """Random walks of 41 joints (N, T, V, 3) with random scores and gaps."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 10, (number, frames, 41, 2)).cumsum(1) + rng.uniform(0, 600, (number, 1, 41, 2))
    keypoints = np.concatenate([steps, rng.uniform(0.05, 1, (*steps.shape[:3], 1))], -1)
    keypoints[rng.random(steps.shape[:3]) < missing] = 0
    keypoints[:, :, rng.integers(41)] = 0
    return torch.tensor(keypoints, dtype=torch.float32)


# --- worked by hand


def test_the_size_of_a_person_is_the_median_of_the_longer_sides():
    keypoints = clip([0.0, 0.0, 900.0])
    keypoints[0, 2, V, 2] = 0.5
    assert denoising.size(keypoints).tolist() == [400.0]
    assert denoising.size(torch.zeros(2, 3, 4, 3)).tolist() == [1.0, 1.0]


def test_a_gap_of_three_frames_is_filled_on_a_line():
    filled = denoising.fill_gaps(
        clip([10.0, 0.0, 0.0, 0.0, 30.0], [5.0, 0.0, 0.0, 0.0, 1.0], [0.9, 0.0, 0.0, 0.0, 0.4]), LAYOUT
    )
    expected = [[10, 5, 0.9], [15, 4, 0.1], [20, 3, 0.1], [25, 2, 0.1], [30, 1, 0.4]]
    torch.testing.assert_close(filled[0, :, V], torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize(("gap", "filled"), [(MAX_GAP, True), (MAX_GAP + 1, False)])
def test_only_short_gaps_are_filled_and_nothing_at_the_ends(gap, filled):
    scores = [0.0] + [0.5] + [0.0] * gap + [0.5] + [0.0]
    after = denoising.fill_gaps(clip([7.0] * len(scores), scores=scores), LAYOUT)[0, :, V, 2]
    assert (after[2:-2] > 0).tolist() == [filled] * gap
    assert after[[0, -1]].tolist() == [0, 0]


@pytest.mark.parametrize("region", ["arm", "hand"])
def test_two_swapped_frames_are_exchanged_back(region):
    keypoints, (left, right) = pose(), hands(region)
    keypoints[:, left, 2] = 0.6
    swapped = swap(keypoints, slice(5, 7), left, right)
    assert not torch.equal(swapped, keypoints)
    assert torch.equal(denoising.unswap(swapped[None], LAYOUT)[0], keypoints)


def test_a_hand_goes_back_to_its_side_also_where_the_other_is_missing():
    keypoints, (left, right) = pose(), hands()
    keypoints[6, right] = 0
    swapped = swap(keypoints, slice(5, 8), left, right)
    assert torch.equal(denoising.unswap(swapped[None], LAYOUT)[0], keypoints)


def test_a_joint_that_is_missing_throughout_is_not_taken_from_the_other_side():
    keypoints, (left, right) = pose(), hands()
    thumb = LAYOUT.joints.index("left_thumb_4")
    keypoints[:, thumb] = 0
    swapped = swap(keypoints, slice(5, 7), left, right)
    swapped[5:7, thumb] = 0
    swapped[5:7, LAYOUT.mirror[thumb]] = 0.5  # a detection of the missing thumb, on the wrong side
    assert not denoising.unswap(swapped[None], LAYOUT)[0, :, thumb].any()


def test_one_hand_alone_tells_nothing():
    keypoints, (left, right) = pose(), hands()
    keypoints[5:7, left] = keypoints[5:7, right]
    keypoints[5:7, right] = 0
    assert torch.equal(denoising.unswap(keypoints[None], LAYOUT)[0], keypoints)


def test_a_swap_in_the_last_frame_costs_the_same_whatever_follows():
    """Hands 0.05 of the person's size apart: that is more than 0.02 for the frame and 0.02 for the change,
    and less than another change."""
    keypoints, (left, right) = pose(8), hands()
    keypoints[:, right, :2] = keypoints[:, left, :2]
    keypoints[:, right, 0] += 0.05 * denoising.size(keypoints[None])
    swapped = torch.zeros(1, 40, *keypoints.shape[1:])
    swapped[0, :8] = swap(keypoints, slice(7, 8), left, right)
    assert torch.equal(denoising.unswap(swapped[:, :8], LAYOUT)[0], keypoints)
    assert torch.equal(denoising.unswap(swapped, LAYOUT)[0, :8], keypoints)


def test_hands_that_cross_are_not_swapped():
    keypoints, (left, right) = pose(41), hands()
    path = torch.linspace(0, 200, 41)[:, None]
    keypoints[:, left, 0] -= path
    keypoints[:, right, 0] += path
    assert torch.equal(denoising.unswap(keypoints[None], LAYOUT)[0], keypoints)


def test_each_of_two_persons_has_sides_of_their_own():
    one = pose()
    other = one + torch.tensor([600.0, 0.0, 0.0])
    both = torch.cat([swap(one, slice(3, 5), *hands()), other], 1)
    result = denoising.unswap(both[None], layouts.pair(LAYOUT))[0]
    assert torch.equal(result, torch.cat([one, other], 1))


def test_a_layout_without_sides_is_not_changed():
    keypoints, plain = noisy(0), layouts.make("plain", LAYOUT.joints, LAYOUT.limbs, "neck")
    assert denoising.unswap(keypoints, plain) is keypoints


@pytest.mark.parametrize(
    ("distance", "score", "removed"),
    [(30.0, 0.9, True), (20.0, 0.9, False), (20.0, 0.1, True), (8.0, 0.1, False)],
)
def test_one_outlier_is_removed_if_it_is_far_for_its_score(distance, score, removed):
    # At 400 px the least distance is 400 · (0.02 + 0.04 · 0.9) = 22.4 px at score 0.9, and 9.6 px at score
    # 0.1.
    scores = torch.full((9,), 0.8)
    scores[4] = score
    given = clip([50.0] * 4 + [50.0 + distance] + [50.0] * 4, scores=scores)
    result = denoising.remove_outliers(given, LAYOUT)
    assert (result[0, 4, V] == 0).all() == removed
    result[0, 4] = given[0, 4]
    assert torch.equal(result, given)


def test_a_jump_to_a_new_place_is_not_an_outlier():
    given = clip([50.0] * 5 + [250.0] * 5)
    assert torch.equal(denoising.remove_outliers(given, LAYOUT), given)


def test_savitzky_golay_is_scipys_where_scores_are_equal():
    x = np.random.default_rng(0).normal(0, 5, 20).astype(np.float32)
    found = denoising.savitzky_golay(clip(x), LAYOUT)[0, :, V, 0]
    np.testing.assert_allclose(found[2:-2], savgol_filter(x, 5, 2)[2:-2], atol=1e-4)


def test_savitzky_golay_is_a_weighted_fit_of_a_parabola():
    rng = np.random.default_rng(1)
    x, scores = rng.normal(0, 5, 5), np.array([0.9, 0.2, 0.0, 0.5, 0.7])
    scores[2] = 0.3
    expected = np.polyval(np.polyfit(range(-2, 3), x, 2, w=scores), 0)
    given = clip(x.astype(np.float32), scores=scores.astype(np.float32))
    assert denoising.savitzky_golay(given, LAYOUT)[0, 2, V, 0].item() == pytest.approx(expected, abs=1e-3)


# --- clean clips


@pytest.mark.parametrize(
    ("x", "scores", "tolerance"),
    [
        ([123.4] * 20, torch.linspace(0.1, 1, 20), 1e-3),
        (5.0 * np.arange(30, dtype=np.float32), 0.8, 1e-3),
        (0.1 * np.arange(30, dtype=np.float32) ** 2, 0.8, 1e-3),
    ],
    ids=["rest", "line", "parabola"],
)
def test_savitzky_golay_leaves_a_parabola_as_it_is(x, scores, tolerance):
    given = clip(x, scores=scores)
    result = denoising.savitzky_golay(given, LAYOUT)
    torch.testing.assert_close(result, given, rtol=0, atol=tolerance)


def test_savitzky_golay_loses_half_a_pixel_of_ten_of_a_sine_of_three_hertz():
    """25 frames per second, without the first and the last second."""
    given = clip(10 * np.sin(2 * np.pi * 3 * np.arange(100, dtype=np.float32) / 25))
    change = (denoising.savitzky_golay(given, LAYOUT) - given)[0, 25:75, V, 0].abs()
    assert 0 < change.max() < 0.5


@pytest.mark.parametrize("name", ["swaps", "outliers", "gaps"])
@pytest.mark.parametrize("hertz", [0.0, 0.5, 3.0])
def test_repairs_leave_a_clean_clip_as_it_is(name, hertz):
    keypoints = pose(60)
    wave = 15 * torch.sin(2 * math.pi * hertz * torch.arange(60) / 25)
    keypoints[:, hands()[0], 0] += wave[:, None]
    assert torch.equal(apply(name, keypoints[None])[0], keypoints)


def test_clean_synthetic_clips_are_unchanged_by_repairs_and_hardly_by_smoothing(smoke):
    """Smoothing moves a joint by 0.2 % of the person's size at most, in the mean over any of the clips: 0.8
    px of 400."""
    some = smoke.where(range(8))
    for places in synthetic.clean(some.table["id"].tolist(), "synthetic-smoke", some.layout):
        scores = torch.full((*places.shape[:2], 1), 0.8)
        keypoints = torch.cat([torch.tensor(places), scores], -1).float()[None]
        repaired = apply("gaps", apply("outliers", apply("swaps", keypoints)))
        assert torch.equal(repaired, keypoints)
        change = (apply("savitzky_golay", keypoints) - keypoints).norm(dim=-1).mean()
        assert 0 < change / denoising.size(keypoints) < 0.002


# --- laws


@settings(max_examples=30)
@given(st.sampled_from(list(FILTERS)), st.integers(0, 999))
def test_missing_stays_missing(name, seed):
    given = noisy(seed)
    before = given.clone()
    result = apply(name, given)
    assert torch.equal(given, before), "the caller's keypoints are not changed"
    assert result.isfinite().all()
    assert not result[..., :2][result[..., 2] == 0].any()
    present = given[..., 2] > 0
    assert not (result[..., 2] > 0).any(1)[~present.any(1)].any()
    if name == "swaps":
        image = given[:, :, list(LAYOUT.mirror), 2] > 0
        assert (present | image)[result[..., 2] > 0].all()
    elif name == "gaps":
        assert torch.equal(result[present], given[present])
        assert ((result[..., 2] == denoising.FILLED_SCORE) == ((result[..., 2] > 0) & ~present)).all()
    else:
        assert torch.equal(result[..., 2], given[..., 2].where(result[..., 2] > 0, 0))
        assert name == "outliers" or torch.equal(result[..., 2], given[..., 2])


@settings(max_examples=60)
@given(st.sampled_from([*FILTERS, EVERY]), st.integers(0, 999), st.floats(-44, 0), st.floats(-44, 0))
def test_scores_of_any_size_give_places_in_the_frame(name, seed, low, high):
    """Scores from 1e-44, which float32 just has, to 1: of all joints alike, or of each frame by itself."""
    given = noisy(seed, number=1)
    spread = torch.rand(*given.shape[:3], generator=torch.Generator().manual_seed(seed))
    given[..., 2] = (given[..., 2].double() * 10.0 ** (low + (high - low) * spread.double())).float()
    given = given * (given[..., 2:] > 0)
    result = denoising.denoise(given[0], torch.tensor([given.shape[1]]), name, LAYOUT)
    assert result.isfinite().all()
    # A parabola through noise reaches beyond its points by no more than a few times their distance.
    assert result[..., :2].abs().max() <= 10 * given[..., :2].abs().max().clamp(min=1)


def test_a_joint_of_a_tiny_score_hardly_moves_the_parabola():
    """Three certain places are on a line; two of score 1e-20 count as 1e-3, so their noise of 30 px moves a
    joint by less than 0.01 px."""
    scores = torch.tensor([1.0, 1e-20, 1.0, 1e-20, 1.0])
    smooth = apply("savitzky_golay", clip([100.0, 135.0, 110.0, 85.0, 120.0], scores=scores))
    assert smooth[0, 2, V, 0].item() == pytest.approx(110, abs=0.01)


@settings(max_examples=30)
@given(st.sampled_from(list(FILTERS)), st.integers(0, 999), st.floats(0.2, 5), st.floats(-300, 300))
def test_a_larger_person_elsewhere_gets_the_same_result(name, seed, scale, shift):
    given = noisy(seed, number=1)
    change = torch.tensor([scale, scale, 1.0]), torch.tensor([shift, -shift, 0.0])
    there = (given * change[0] + change[1]) * (given[..., 2:] > 0)
    result = apply(name, given)
    expected = (result * change[0] + change[1]) * (result[..., 2:] > 0)
    torch.testing.assert_close(apply(name, there), expected, rtol=1e-3, atol=0.05)


@settings(max_examples=30)
@given(st.integers(0, 999))
def test_smoothing_does_not_depend_on_the_direction_of_time(seed):
    given = noisy(seed, number=1)
    backwards = apply("savitzky_golay", given.flip(1)).flip(1)
    torch.testing.assert_close(backwards, apply("savitzky_golay", given), rtol=0, atol=1e-2)


@settings(max_examples=30)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=6),
    st.integers(0, 99),
    st.sampled_from([*FILTERS, EVERY]),
    st.sampled_from([5, 4000]),
)
def test_clips_are_never_mixed(frames, seed, names, at_once):
    """Each clip alone gives the same as all of them together, in batches of any size and padded to any
    length."""
    keypoints = noisy(seed, number=1, frames=sum(frames))[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(denoising, "FRAMES_AT_ONCE", at_once)
        together = denoising.denoise(keypoints, torch.tensor(frames), names, LAYOUT)
    for own, expected in zip(keypoints.split(frames), together.split(frames), strict=True):
        torch.testing.assert_close(
            denoising.denoise(own, torch.tensor([len(own)]), names, LAYOUT), expected, rtol=0, atol=1e-3
        )


def test_the_order_of_the_names_does_not_matter():
    keypoints, frames = noisy(3)[0], torch.tensor([4, 5])
    first, second = "savitzky_golay+gaps+swaps", "swaps+gaps+savitzky_golay"
    result = denoising.denoise(keypoints, frames, first, LAYOUT)
    assert torch.equal(result, denoising.denoise(keypoints, frames, second, LAYOUT))
    assert torch.equal(denoising.denoise(keypoints, frames, "", LAYOUT), keypoints)


# --- sets of clips


def test_a_set_of_clips_is_filtered_once_and_its_missing_share_counted_anew(smoke):
    some = smoke.where([4, 1])
    filtered = denoising.denoised(some, "gaps")
    assert filtered.denoised == "gaps"
    assert filtered.table["start"].tolist() == [0, len(some[0])]
    for i, missing in enumerate(filtered.table["missing"]):
        expected = denoising.fill_gaps(torch.tensor(some[i])[None], smoke.layout)[0].numpy()
        np.testing.assert_array_equal(filtered[i], expected)
        assert missing == pytest.approx((expected[..., 2] == 0).mean())
    assert filtered.table["missing"].sum() < some.table["missing"].sum()
    assert denoising.denoised(filtered, "gaps") is filtered
    assert denoising.denoised(some, "") is some
    message = "the clips are already filtered with 'gaps', and not with 'swaps'; load them again"
    with pytest.raises(ValueError, match=message):
        denoising.denoised(filtered, "swaps")


def test_filtered_clips_are_cached_and_told_by_content(tmp_path, smoke, monkeypatch):
    loaded = replace(smoke, cached=tmp_path / "cache" / "smoke-imigue41-1")
    first = denoising.denoised(loaded, "gaps+swaps")
    folders = list((tmp_path / "cache").iterdir())
    assert [folder.name.rpartition("-")[0] for folder in folders] == ["smoke-imigue41-1-denoised"]
    expected = denoising.denoised(replace(smoke, cached=None), "swaps+gaps")
    monkeypatch.setattr(denoising, "_in_memory", None)  # the second call must not filter
    for names in ("gaps+swaps", "swaps+gaps"):
        again = denoising.denoised(loaded, names)
        np.testing.assert_array_equal(again.keypoints, expected.keypoints)
        pd.testing.assert_frame_equal(again.table, expected.table)
        assert again.denoised == names
        assert again.checksum == first.checksum == expected.checksum
    other = replace(loaded, keypoints=loaded.keypoints * 2)
    for clips, names in ((loaded, "gaps"), (other, "gaps+swaps")):
        with pytest.raises(TypeError):
            denoising.denoised(clips, names)
    with monkeypatch.context() as patch:
        patch.setattr(denoising, "VERSION", denoising.VERSION + 1)
        with pytest.raises(TypeError):
            denoising.denoised(loaded, "gaps+swaps")
    (folders[0] / "keypoints.npy").write_bytes(b"")
    message = "this cache is damaged .*; delete this folder and load the clips again"
    with pytest.raises(DataError, match=message):
        denoising.denoised(loaded, "gaps+swaps")


def test_a_part_of_loaded_clips_is_filtered_in_memory(smoke, monkeypatch):
    monkeypatch.setattr(denoising.cache, "write", None)
    assert denoising.denoised(smoke.split("train"), "gaps").denoised == "gaps"
    assert denoising.denoised(smoke, "") is smoke


def test_a_clip_without_joints_stays_empty():
    clips = clips_of((np.zeros((4, 3, 3)), 0, "train", "v", ""))
    assert not denoising.denoised(clips, EVERY).keypoints.any()
