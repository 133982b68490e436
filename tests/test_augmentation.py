import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miga_lib import augmentation, layouts, streams

LAYOUT = layouts.get("imigue22")
WINDOW_CUT = np.exp(-4.5)
"""Height of a Gaussian 3σ from its centre. By int(), a window ends there on one side and up to a pixel later
on the other."""


def clips(seed: int = 0, missing: float = 0.3) -> torch.Tensor:
    """Three random clips (N, T, V, 3) of 4 frames in video pixels: persons of different sizes and places."""
    rng = np.random.default_rng(seed)
    corners, sides = rng.random((3, 1, 1, 2)) * 500, rng.uniform(20, 300, (3, 1, 1, 1))
    places = corners + rng.random((3, 4, 22, 2)) * sides
    keypoints = np.concatenate([places, rng.uniform(0.1, 1, (3, 4, 22, 1))], axis=-1)
    keypoints[rng.random((3, 4, 22)) < missing] = 0
    return torch.tensor(keypoints, dtype=torch.float32)


def test_box_is_a_square_with_a_margin_around_the_joints():
    keypoints = torch.tensor(
        [[[[100.0, 50.0, 1.0], [180.0, 70.0, 0.2]], [[0.0, 0.0, 0.0], [140.0, 90.0, 0.9]]]]
    )
    # x from 100 to 180 is the longer side: 80 · 1.25 = 100 around (140, 70). The missing joint at (0, 0) is
    # ignored.
    assert augmentation.crop_box(keypoints).tolist() == [[90.0, 20.0, 190.0, 120.0]]
    assert augmentation.crop_box(keypoints, margin=0).tolist() == [[100.0, 30.0, 180.0, 110.0]]


def test_joint_at_the_origin_is_in_the_box_if_it_has_a_score():
    keypoints = torch.tensor([[[[0.0, 0.0, 0.5], [40.0, 20.0, 0.5]]]])
    assert augmentation.crop_box(keypoints, margin=0).tolist() == [[0.0, -10.0, 40.0, 30.0]]


def test_box_of_one_joint_is_10_px_wide_and_an_empty_clip_has_one_too():
    keypoints = torch.zeros(2, 3, 4, 3)
    keypoints[0, 1, 2] = torch.tensor([300.0, 200.0, 0.7])
    assert augmentation.crop_box(keypoints).tolist() == [[295.0, 195.0, 305.0, 205.0], [-5.0, -5.0, 5.0, 5.0]]


@given(st.integers(0, 999), st.floats(0, 1))
def test_box_contains_all_present_joints_of_its_clip(seed, margin):
    keypoints = clips(seed)
    boxes = augmentation.crop_box(keypoints, margin)
    sides = boxes[:, 2:] - boxes[:, :2]
    torch.testing.assert_close(sides[:, 0], sides[:, 1], rtol=0, atol=1e-3)
    for n, box in enumerate(boxes):
        places = keypoints[n][keypoints[n, ..., 2] > 0][:, :2]
        assert ((places >= box[:2] - 1e-3) & (places <= box[2:] + 1e-3)).all()


@given(st.lists(st.tuples(*[st.floats(0, 1, exclude_max=True)] * 4), min_size=1, max_size=5))
def test_random_crop_is_in_its_box_with_area_and_aspect_in_range(uniform):
    boxes = torch.tensor([[10.0, -20.0, 110.0, 80.0]], dtype=torch.float64).expand(len(uniform), -1)
    crops = augmentation.random_resized_crop(boxes, torch.tensor(uniform, dtype=torch.float64))
    width, height = (crops[:, 2:] - crops[:, :2]).T
    assert (crops[:, :2] >= boxes[:, :2]).all()
    assert (crops[:, 2:] <= boxes[:, 2:] + 1e-9).all()
    area, aspect = width * height / 1e4, width / height
    assert ((area > 0.56 - 1e-9) & (area < 1 + 1e-9)).all()
    assert ((aspect > 3 / 4 - 1e-9) & (aspect < 4 / 3 + 1e-9)).all()


def test_random_crop_worked_by_hand():
    boxes = torch.tensor([[0.0, 0.0, 100.0, 100.0]]).expand(3, -1)
    # In the middle the logarithm of the aspect ratio is 0, so sides are the root of the area: √0.78 · 100 =
    # 88.3, then √0.56 · 100 = 74.8.
    uniform = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [1.0, 0.0, 0.0, 0.5]])
    crops = augmentation.random_resized_crop(boxes, uniform)
    assert crops[0].tolist() == pytest.approx([0, 0, 88.318, 88.318], abs=1e-3)
    assert crops[1].tolist() == pytest.approx([12.583, 0, 87.417, 74.833], abs=1e-3)
    # Area 1 and aspect 3/4 would be √(4/3) = 1.155 high: set to the box's height, with a width of √(3/4) =
    # 0.866.
    assert crops[2].tolist() == pytest.approx([0, 0, 86.603, 100], abs=1e-3)


def test_random_crop_refuses_another_number_of_random_numbers():
    with pytest.raises(ValueError, match="takes 4 random numbers a clip, got 3"):
        augmentation.random_resized_crop(torch.zeros(2, 4), torch.zeros(2, 3))


def test_corners_of_the_box_become_corners_of_the_map():
    keypoints = torch.tensor([[[[10.0, 20.0, 0.5], [110.0, 70.0, 0.5], [60.0, 45.0, 0.5], [0.0, 0.0, 0.0]]]])
    pixels = augmentation.to_pixels(keypoints, torch.tensor([[10.0, 20.0, 110.0, 70.0]]), (56, 48))
    # Height 56, width 48; the missing joint stays at (0, 0).
    assert pixels.tolist() == [[[[0.0, 0.0, 0.5], [48.0, 56.0, 0.5], [24.0, 28.0, 0.5], [0.0, 0.0, 0.0]]]]


def test_size_without_pixels_is_an_error():
    with pytest.raises(ValueError, match=r"size must be \(H, W\) of at least 1 pixel each, got \(0, 56\)"):
        augmentation.to_pixels(torch.zeros(1, 1, 2, 3), torch.ones(1, 4), (0, 56))


def test_flip_mirrors_coordinates_and_exchanges_sides():
    keypoints = torch.zeros(2, 1, 22, 3)
    keypoints[:, 0, LAYOUT.joints.index("left_wrist")] = torch.tensor([3.0, 7.0, 0.9])
    flipped = augmentation.flip(keypoints, LAYOUT, torch.tensor([True, False]), 56)
    # 56 − 1 − 3 = 52, now the right wrist's
    assert flipped[0, 0, LAYOUT.joints.index("right_wrist")].tolist() == pytest.approx([52.0, 7.0, 0.9])
    assert flipped[0].count_nonzero() == 3
    assert torch.equal(flipped[1], keypoints[1])


@given(st.integers(0, 999))
def test_flip_is_its_own_inverse(seed):
    keypoints, flags = clips(seed), torch.tensor([True, False, True])
    twice = augmentation.flip(augmentation.flip(keypoints, LAYOUT, flags, 1280), LAYOUT, flags, 1280)
    torch.testing.assert_close(twice, keypoints, rtol=0, atol=1e-3)


@given(st.integers(0, 999))
def test_heatmaps_of_flipped_joints_are_flipped_heatmaps(seed):
    keypoints, size = clips(seed), (40, 56)
    pixels = augmentation.to_pixels(keypoints, augmentation.crop_box(keypoints), size)
    flipped = augmentation.flip(pixels, LAYOUT, torch.ones(3, dtype=torch.bool), 56)

    pairs = [frozenset(limb) for limb in LAYOUT.limbs]
    mirrored_limbs = [pairs.index(frozenset(LAYOUT.mirror[v] for v in limb)) for limb in LAYOUT.limbs]
    for stream, mirror in ((streams.joint_heatmaps, LAYOUT.mirror), (streams.limb_heatmaps, mirrored_limbs)):
        expected = stream(pixels, LAYOUT, size).flip(-1)[:, list(mirror)]
        assert (stream(flipped, LAYOUT, size) - expected).abs().max() <= WINDOW_CUT + 1e-5


def test_flip_of_other_joints_is_an_error():
    with pytest.raises(
        ValueError, match=r"layout 'imigue22' has 22 joints, the keypoints have 41: `layouts.selection`"
    ):
        augmentation.flip(torch.zeros(1, 2, 41, 3), LAYOUT, torch.tensor([True]), 56)


def present(keypoints):
    return keypoints[..., 2] > 0


@pytest.mark.parametrize("name", augmentation.AUGMENTATIONS)
def test_each_augmentation_keeps_clips_apart_and_missing_joints_missing(name):
    augment, count = augmentation.AUGMENTATIONS[name]
    keypoints, numbers = clips(1), torch.rand(3, count(4, LAYOUT), generator=torch.Generator().manual_seed(2))
    changed = augment(keypoints, numbers, LAYOUT)
    assert changed.shape == keypoints.shape
    assert not torch.equal(changed, keypoints)
    assert (changed[~present(keypoints)] == 0).all()
    assert (changed[~present(changed)] == 0).all()
    assert torch.equal(changed[..., 2], keypoints[..., 2].where(present(changed), 0))
    torch.testing.assert_close(augment(keypoints[1:2], numbers[1:2], LAYOUT), changed[1:2])


def test_rotation_of_a_clip_worked_by_hand():
    # Around (10, 10), by 15°: the joint 6 px to the right goes to 6 (cos 15°, sin 15°), the others likewise.
    keypoints = torch.tensor([[[[16.0, 10.0, 0.5], [4.0, 10.0, 1.0]], [[10.0, 10.0, 1.0], [0.0, 0.0, 0.0]]]])
    rotated = augmentation.rotate(keypoints, torch.tensor([[1.0]]), layouts.get("imigue22"))
    x, y = 6 * np.cos(np.pi / 12), 6 * np.sin(np.pi / 12)
    expected = [[[10 + x, 10 + y, 0.5], [10 - x, 10 - y, 1.0]], [[10.0, 10.0, 1.0], [0.0, 0.0, 0.0]]]
    torch.testing.assert_close(rotated, torch.tensor([expected], dtype=torch.float32))


def test_stretch_and_shear_worked_by_hand():
    keypoints = torch.tensor([[[[20.0, 0.0, 1.0], [0.0, 40.0, 1.0]]]])  # (±10, ∓20) around (10, 20)
    wide = augmentation.stretch(keypoints, torch.tensor([[1.0, 0.0]]), LAYOUT)
    torch.testing.assert_close(wide[0, 0, :, :2], torch.tensor([[21.0, 2.0], [-1.0, 38.0]]))
    # x + 0.2 y and y − 0.2 x: (10, −20) → (6, −22).
    sheared = augmentation.shear(keypoints, torch.tensor([[1.0, 0.0]]), LAYOUT)
    torch.testing.assert_close(sheared[0, 0, :, :2], torch.tensor([[16.0, -2.0], [4.0, 42.0]]))


@pytest.mark.parametrize("name", ["rotate", "stretch", "shear", "noise"])
def test_random_numbers_in_the_middle_change_nothing(name):
    augment, count = augmentation.AUGMENTATIONS[name]
    torch.testing.assert_close(
        augment(clips(), torch.full((3, count(4, LAYOUT)), 0.5), LAYOUT), clips(), atol=1e-3, rtol=0
    )


@given(st.integers(0, 999), st.floats(0, 1, width=32))
def test_a_rotation_keeps_all_distances(seed, number):
    keypoints = clips(seed, missing=0.0)
    rotated = augmentation.rotate(keypoints, torch.full((3, 1), number), LAYOUT)
    before, after = (x[..., :2].flatten(1, 2).double() for x in (keypoints, rotated))
    torch.testing.assert_close(torch.cdist(before, before), torch.cdist(after, after), atol=1e-2, rtol=0)


def test_shift_and_scale_would_change_no_input():
    """Why there is no augmentation of that kind."""
    moved = clips()
    moved[..., :2] = (1.3 * moved[..., :2] + 40).where(present(moved)[..., None], 0)
    pixels = [augmentation.to_pixels(x, augmentation.crop_box(x), (56, 56)) for x in (clips(), moved)]
    torch.testing.assert_close(*pixels, atol=1e-2, rtol=0)
    graphs = [streams.joint_graph(x, LAYOUT) for x in (clips(), moved)]
    torch.testing.assert_close(*graphs, atol=1e-3, rtol=0)


def missing(keypoints: torch.Tensor) -> list[list[int]]:
    """The joints of each clip that are missing in all frames."""
    return [(~present(clip).any(0)).nonzero().flatten().tolist() for clip in keypoints]


def test_dropped_joints():
    numbers = torch.full((3, 22), 0.5)
    numbers[1, [3, 7]] = 0.05
    assert missing(augmentation.drop_joints(clips(missing=0.0), numbers, LAYOUT)) == [[], [3, 7], []]


def test_dropped_regions():
    keypoints, numbers = clips(missing=0.0), torch.full((3, len(LAYOUT.regions)), 0.5)
    numbers[2, 0] = 0.0
    region = sorted(next(iter(LAYOUT.regions.values())))
    dropped = augmentation.drop_regions(keypoints, numbers, LAYOUT)
    assert missing(dropped) == [[], [], region]
    assert torch.equal(dropped[:2], keypoints[:2])


def test_a_clip_never_loses_all_its_joints():
    keypoints, numbers = clips(missing=0.0), torch.zeros(3, len(LAYOUT.regions))
    assert torch.equal(augmentation.drop_regions(keypoints, numbers, LAYOUT)[0, :, 0], keypoints[0, :, 0])
    only_first = torch.zeros_like(keypoints)
    region = list(next(iter(LAYOUT.regions.values())))
    only_first[:, :, region] = keypoints[:, :, region]
    numbers[:, 1:] = 0.5
    assert torch.equal(augmentation.drop_regions(only_first, numbers, LAYOUT), only_first)


def test_dropped_frames():
    numbers = torch.tensor([[0.0, 0.05, 0.5, 0.1]]).expand(3, -1)
    dropped = augmentation.drop_frames(clips(missing=0.0), numbers, LAYOUT)
    assert present(dropped)[0].all(1).tolist() == [True, False, True, True]


def test_noise_falls_with_the_score_and_has_the_documented_size():
    keypoints = torch.zeros(1, 2000, 3, 3)
    keypoints[0, :, 0] = torch.tensor([0.0, 0.0, 1.0])
    keypoints[0, :, 1] = torch.tensor([100.0, 30.0, 0.5])
    keypoints[0, :, 2] = torch.tensor([50.0, 20.0, 1e-6])
    moved = augmentation.noise(
        keypoints, torch.rand(1, 2 * 2000 * 3, generator=torch.Generator().manual_seed(0)), LAYOUT
    )
    assert torch.equal(moved[0, :, 0], keypoints[0, :, 0])
    # 2 % of 100 px at score 0, half of that at 0.5.
    assert (moved - keypoints)[0, :, 1:, :2].std((0, 2)).tolist() == pytest.approx([1.0, 2.0], rel=0.05)
