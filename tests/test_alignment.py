import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miga_lib import alignment, layouts

NEARLY_ONE = float(np.nextafter(1, 0))


def clip(
    frames: int, seed: int = 0, joints: int = 5, missing: float = 0.3, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """A random clip (T, V, 3) in video pixels, in which each joint is missing in some frames."""
    rng = np.random.default_rng(seed)
    keypoints = rng.random((frames, joints, 3)) * (1280, 720, 0.9) + (0, 0, 0.1)
    keypoints[rng.random((frames, joints)) < missing] = 0
    return torch.tensor(keypoints, dtype=dtype)


def align_joint_by_joint(keypoints: np.ndarray, length: int) -> np.ndarray:
    """The definition of `align`, computed joint by joint."""
    frames, joints, _ = keypoints.shape
    places = np.linspace(0, frames - 1, length)
    if frames >= length:
        return keypoints[np.round(places).astype(int)]
    aligned = np.zeros((length, joints, 3))
    for i, v in np.ndindex(length, joints):
        first, weight = int(places[i]), places[i] - int(places[i])
        a, b = keypoints[first, v], keypoints[min(first + 1, frames - 1), v]
        shares = np.array([(1 - weight) * (a[2] > 0), weight * (b[2] > 0)])
        if shares.any():
            aligned[i, v] = shares @ np.array([a, b]) / shares.sum()
            aligned[i, v, 2] = (1 - weight) * a[2] + weight * b[2]
    return aligned


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(0, 99),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_align_equals_its_definition(frames, length, seed, dtype):
    keypoints = clip(frames, seed, dtype=dtype)
    aligned = alignment.align(keypoints, length)
    assert aligned.dtype == dtype
    np.testing.assert_allclose(
        aligned.numpy(), align_joint_by_joint(keypoints.double().numpy(), length), rtol=1e-6, atol=1e-6
    )


def test_long_clip_is_sampled_with_halves_rounded_to_even():
    keypoints = clip(6, missing=0)
    # linspace(0, 5, 3) = 0, 2.5, 5 and linspace(0, 3, 3) = 0, 1.5, 3
    assert torch.equal(alignment.align(keypoints, 3), keypoints[[0, 2, 5]])
    assert torch.equal(alignment.align(keypoints[:4], 3), keypoints[[0, 2, 3]])


def test_short_clip_is_interpolated_over_the_frames_in_which_a_joint_is_present():
    nothing = [0.0, 0.0, 0.0]
    keypoints = torch.tensor(
        [
            [[10.0, 20.0, 0.8], [10.0, 20.0, 0.8], nothing, nothing],
            [[30.0, 40.0, 0.4], nothing, [30.0, 40.0, 0.4], nothing],
        ]
    )
    middle = alignment.align(keypoints, 3)[1]
    # Present in both frames: the average. In one: its position and half its score. In none: missing.
    assert middle.tolist() == pytest.approx(
        torch.tensor([[20.0, 30.0, 0.6], [10.0, 20.0, 0.4], [30.0, 40.0, 0.2], nothing])
    )
    # At weight 1/4: 3/4 of the first frame and 1/4 of the second.
    assert alignment.align(keypoints, 5)[1, 0].tolist() == pytest.approx([15.0, 25.0, 0.7])


@given(st.integers(1, 60), st.integers(2, 60), st.integers(0, 99))
def test_align_keeps_the_first_and_the_last_frame(frames, length, seed):
    keypoints = clip(frames, seed)
    aligned = alignment.align(keypoints, length)
    assert torch.equal(aligned[0], keypoints[0])
    assert torch.equal(aligned[-1], keypoints[-1])


@given(st.integers(1, 60), st.integers(0, 99))
def test_align_to_the_clips_own_length_changes_nothing(frames, seed):
    keypoints = clip(frames, seed)
    assert torch.equal(alignment.align(keypoints, frames), keypoints)


@pytest.mark.parametrize("method", alignment.METHODS)
def test_single_frame_is_enough(method):
    keypoints = clip(1)
    aligned = getattr(alignment, method)(keypoints, 4)
    rest = torch.zeros(3, 5, 3) if method == "crop_pad" else keypoints.expand(3, -1, -1)
    assert torch.equal(aligned, torch.cat([keypoints, rest]))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_values_lie_between_those_of_the_clip(frames, length, seed):
    keypoints = clip(frames, seed, dtype=torch.float64)
    aligned = alignment.align(keypoints, length)
    for clip_joint, aligned_joint in zip(keypoints.unbind(1), aligned.unbind(1), strict=True):
        assert (aligned_joint[:, 2] <= clip_joint[:, 2].max()).all()
        if not clip_joint.any():
            assert not aligned_joint.any()
            continue
        low, high = clip_joint[clip_joint[:, 2] > 0, :2].aminmax(dim=0)
        places = aligned_joint[aligned_joint[:, 2] > 0, :2]
        assert ((places >= low - 1e-9) & (places <= high + 1e-9)).all()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_mirrored_input_gives_mirrored_output(frames, length, seed):
    layout = layouts.get("imigue22")

    def mirrored(keypoints):
        x, y, score = keypoints[:, list(layout.mirror)].unbind(-1)
        return torch.stack([(1279 - x).where(score > 0, 0), y, score], dim=-1)

    keypoints = clip(frames, seed, joints=22, dtype=torch.float64)
    torch.testing.assert_close(
        alignment.align(mirrored(keypoints), length), mirrored(alignment.align(keypoints, length))
    )


@given(st.integers(2, 40), st.integers(1, 40), st.integers(0, 99))
def test_coordinates_of_a_missing_joint_do_not_matter(frames, length, seed):
    keypoints = clip(frames, seed)
    written = keypoints.clone()
    written[..., :2][keypoints[..., 2] == 0] = torch.nan
    expected, aligned = alignment.align(keypoints, length), alignment.align(written, length)
    assert torch.equal(aligned[..., 2], expected[..., 2])
    assert torch.equal(aligned[expected[..., 2] > 0], expected[expected[..., 2] > 0])


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=6),
    st.integers(1, 30),
    st.sampled_from(alignment.METHODS),
    st.booleans(),
    st.integers(0, 99),
)
def test_batch_equals_its_clips_one_by_one(frames, length, method, random, seed):
    keypoints, frames = clip(sum(frames), seed), torch.tensor(frames)
    starts = frames.cumsum(0) - frames
    uniform = None
    if random:
        generator = torch.Generator().manual_seed(seed)
        uniform = torch.rand(len(frames), alignment.draws(method, length), generator=generator)
    batch = alignment.resample(keypoints, starts, frames, length, method, uniform)
    for n, clip_keypoints in enumerate(keypoints.split(frames.tolist())):
        numbers = [uniform[n]] if random and method != "align" else []
        assert torch.equal(batch[n], getattr(alignment, method)(clip_keypoints, length, *numbers))
    once, places = alignment.resample_once(keypoints, starts, frames, length, method, uniform)
    assert torch.equal(once[places], batch)


def test_clips_of_a_batch_are_in_the_requested_order():
    keypoints = clip(9)
    batch = alignment.resample(keypoints, torch.tensor([5, 0, 5]), torch.tensor([4, 2, 2]), 2)
    assert torch.equal(batch, keypoints[torch.tensor([[5, 8], [0, 1], [5, 6]])])


@given(st.integers(1, 40), st.integers(1, 40), st.none() | st.floats(0, NEARLY_ONE))
def test_crop_pad_takes_consecutive_frames_and_fills_the_end(frames, length, uniform):
    keypoints = clip(frames, missing=0)
    numbers = [] if uniform is None else [torch.tensor([uniform], dtype=torch.float64)]
    cut = alignment.crop_pad(keypoints, length, *numbers)
    begin = (keypoints[:, 0, 0] == cut[0, 0, 0]).nonzero().item()
    taken = keypoints[begin : begin + length]
    assert len(taken) == min(frames, length)
    assert torch.equal(cut[: len(taken)], taken)
    assert not cut[len(taken) :].any()
    if uniform is None:
        assert begin == max(frames - length, 0) // 2


def test_crop_pad_takes_every_start_equally_often():
    keypoints = clip(7, missing=0)
    uniform = torch.linspace(0.05, 0.95, 10, dtype=torch.float64)
    # 5 starts for 3 frames, each for a fifth of the numbers
    first = [alignment.crop_pad(keypoints, 3, number[None])[0, 0, 0] for number in uniform]
    begins = [keypoints[:, 0, 0].tolist().index(x) for x in first]
    assert begins == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@given(
    st.integers(1, 90),
    st.integers(1, 60),
    st.integers(0, 99),
    st.sampled_from([None, 0.0, NEARLY_ONE, "random"]),
)
def test_segments_take_one_frame_of_each_segment(frames, length, seed, draw):
    keypoints = torch.arange(frames, dtype=torch.float64)[:, None, None].expand(-1, 1, 3)
    uniform = torch.rand(length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    if draw is None:
        uniform = None
    elif draw != "random":
        uniform = uniform.fill_(draw)
    for i, frame in enumerate(alignment.segments(keypoints, length, uniform)[:, 0, 0].tolist()):
        # Frame f is the interval from f to f + 1, segment i that from i·T/length to (i + 1)·T/length: they
        # overlap.
        assert frame * length < (i + 1) * frames
        assert (frame + 1) * length > i * frames
        if draw is None:
            assert frame == (2 * i + 1) * frames // (2 * length)


def test_segments_of_a_short_clip_repeat_its_frames_in_order():
    frames = torch.tensor([2])
    assert alignment.segment_frames(frames, 5).tolist() == [[0, 0, 1, 1, 1]]
    uniform = torch.tensor([[0.9, 0.9, 0.4, 0.0, 0.0]])
    assert alignment.segment_frames(frames, 5, uniform).tolist() == [[0, 0, 0, 1, 1]]


def test_draws_is_the_number_of_random_numbers_of_a_clip():
    assert [alignment.draws(method, 48) for method in alignment.METHODS] == [0, 1, 48]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "stretch"}, "temporal method must be one of align, crop_pad, segments, got 'stretch'"),
        ({"length": 0}, "length must be 1 frame or more, got 0"),
        ({"frames": torch.tensor([4, 0])}, "at least 1 frame.*found clips of 0 to 4 frames"),
        ({"starts": torch.tensor([0, 7])}, "within the 9 given frames, found .* start at 0 to 7"),
        ({"starts": torch.tensor([-1, 0])}, "start at -1 to 0"),
        ({"uniform": torch.rand(2, 3)}, "'segments' takes 5 random numbers a clip, got 3: see `draws`"),
    ],
)
def test_errors_name_what_is_wrong(change, message):
    good = {
        "keypoints": clip(9),
        "starts": torch.tensor([0, 4]),
        "frames": torch.tensor([4, 5]),
        "length": 5,
        "method": "segments",
    }
    with pytest.raises(ValueError, match=message):
        alignment.resample(**(good | change))


def test_clip_without_frames_is_an_error():
    message = "found clips of 0 to 0 frames that start at 0 to 0; leave out clips without frames"
    with pytest.raises(ValueError, match=message):
        alignment.align(torch.zeros(0, 5, 3), 4)
    with pytest.raises(ValueError, match=message):
        alignment.source_frames(0, 4)


@pytest.mark.parametrize(
    ("method", "frames", "length", "expected"),
    [
        ("align", 5, 3, [0, 2, 4]),
        ("align", 3, 5, [0, 0.5, 1, 1.5, 2]),
        ("crop_pad", 5, 3, [1, 2, 3]),
        ("crop_pad", 3, 5, [0, 1, 2, -1, -1]),
        ("segments", 5, 2, [1, 3]),
    ],
)
def test_source_frames_by_hand(method, frames, length, expected):
    assert alignment.source_frames(frames, length, method).tolist() == expected


@given(frames=st.integers(1, 200), length=st.integers(1, 60), method=st.sampled_from(alignment.METHODS))
def test_a_joint_that_carries_the_number_of_its_frame_arrives_at_the_source_frames(frames, length, method):
    clock = torch.ones(frames, 1, 3, dtype=torch.float64)
    clock[:, 0, 0] = torch.arange(frames)
    x, _, score = getattr(alignment, method)(clock, length)[:, 0].T
    torch.testing.assert_close(alignment.source_frames(frames, length, method), x.where(score > 0, -1))
