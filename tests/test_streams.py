from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miga_lib import heatmaps, layouts, streams
from miga_lib.models import MODELS

LAYOUT = layouts.get("imigue22")
HEATMAPS, GRAPHS = MODELS["posec3d"].streams, MODELS["stgcn"].streams
# A chain with its centre in the middle: `middle` is the parent of `low` and of `high`.
STICK = layouts.make("stick", ["low", "middle", "high"], "low-middle-high", center="middle", mirror=[0, 1, 2])


def clips(
    seed: int = 0, number: int = 2, frames: int = 4, missing: float = 0.3, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    keypoints = rng.random((number, frames, 22, 3)) * (300, 200, 0.9) + (100, 50, 0.1)
    keypoints[rng.random((number, frames, 22)) < missing] = 0
    return torch.tensor(keypoints, dtype=dtype)


def stick(*frames: list[tuple[float, float, float]]) -> torch.Tensor:
    return torch.tensor([frames], dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("stream", "number"), [("joint", 22), ("limb", len(LAYOUT.limbs))])
def test_heatmaps_equal_those_of_each_frame_with_channels_before_time(stream, number, dtype):
    keypoints = clips(dtype=dtype) * torch.tensor([0.1, 0.1, 1], dtype=dtype)
    maps = HEATMAPS[stream](keypoints, LAYOUT, (24, 40))
    assert maps.shape == (2, number, 4, 24, 40)
    assert maps.is_contiguous()
    assert maps.dtype == dtype
    places, scores = keypoints[..., :2], keypoints[..., 2]
    expected = heatmaps.limbs(places, scores, LAYOUT.limbs, (24, 40))
    if stream == "joint":
        expected = heatmaps.joints(places, scores, (24, 40))
    assert torch.equal(maps.transpose(1, 2), expected)


def test_joint_stream_worked_by_hand():
    keypoints = stick(
        [(10.0, 0.0, 0.5), (10.0, 4.0, 0.6), (10.0, 7.0, 0.7)],
        [(0.0, 0.0, 0.0), (10.0, 6.0, 0.8), (15.0, 5.0, 0.9)],
    )
    # The centre's mean is (10, 5); relative to it (0, −5), (0, −1), (0, 2), (0, 1), (5, 0), at a mean
    # distance of 14/5.
    x, y, score = GRAPHS["joint"](keypoints, STICK)[0, ..., 0]
    torch.testing.assert_close(x * 2.8, torch.tensor([[0.0, 0, 0], [0, 0, 5]], dtype=torch.float64))
    torch.testing.assert_close(y * 2.8, torch.tensor([[-5.0, -1, 2], [0, 1, 0]], dtype=torch.float64))
    assert torch.equal(score, keypoints[0, ..., 2])


def test_bone_and_motion_streams_worked_by_hand():
    keypoints = stick(
        [(10.0, 0.0, 0.5), (10.0, 4.0, 0.6), (10.0, 7.0, 0.7)],
        [(0.0, 0.0, 0.0), (10.0, 6.0, 0.8), (15.0, 5.0, 0.9)],
    )
    expected = {
        # (0, 0) − (0, 4), nothing, (0, 7) − (0, 4); then low is missing, and (15, 5) − (10, 6)
        "bone": ([[0, 0, 0], [0, 0, 5]], [[-4, 0, 3], [0, 0, -1]], [[0.5, 0.6, 0.6], [0, 0.8, 0.8]]),
        "joint_motion": ([[0, 0, 5], [0, 0, 0]], [[0, 2, -2], [0, 0, 0]], [[0, 0.6, 0.7], [0, 0, 0]]),
        "bone_motion": ([[0, 0, 5], [0, 0, 0]], [[0, 0, -4], [0, 0, 0]], [[0, 0.6, 0.6], [0, 0, 0]]),
    }
    for stream, channels in expected.items():
        expected_x, expected_y, expected_score = torch.tensor(channels, dtype=torch.float64)
        x, y, score = GRAPHS[stream](keypoints, STICK)[0, ..., 0]
        torch.testing.assert_close(x * 2.8, expected_x)
        torch.testing.assert_close(y * 2.8, expected_y)
        torch.testing.assert_close(score, expected_score)


@given(st.integers(0, 999), st.sampled_from(sorted(GRAPHS)), st.floats(-2000, 2000), st.floats(0.01, 100))
def test_graph_does_not_depend_on_position_and_size_of_the_person(seed, stream, shift, scale):
    keypoints = clips(seed)
    moved = torch.cat([keypoints[..., :2] * scale + shift, keypoints[..., 2:]], dim=-1)
    moved = moved.where(keypoints[..., 2:] > 0, 0)
    torch.testing.assert_close(
        GRAPHS[stream](moved, LAYOUT), GRAPHS[stream](keypoints, LAYOUT), rtol=0, atol=1e-7
    )


@given(st.integers(0, 999), st.floats(0, 1), st.sampled_from(sorted(GRAPHS)))
def test_missing_joints_are_zero_and_their_coordinates_do_not_matter(seed, missing, stream):
    keypoints = clips(seed, missing=missing)
    graph = GRAPHS[stream](keypoints, LAYOUT)
    assert graph.isfinite().all()
    assert not graph.where(graph[:, 2:] == 0, 0).any()
    keypoints[..., :2][keypoints[..., 2] == 0] = torch.nan
    assert torch.equal(GRAPHS[stream](keypoints, LAYOUT), graph)


@given(st.integers(0, 999), st.integers(1, 5))
def test_each_clip_is_normalised_by_itself(seed, number):
    keypoints = clips(seed, number)
    graph = GRAPHS["bone_motion"](keypoints, LAYOUT)
    alone = [GRAPHS["bone_motion"](clip[None], LAYOUT) for clip in keypoints]
    torch.testing.assert_close(torch.cat(alone), graph)


def test_mean_distance_is_one_and_the_centre_is_at_the_origin():
    keypoints = clips(5)
    x, y, score = GRAPHS["joint"](keypoints, LAYOUT)[..., 0].unbind(1)
    for n in range(2):
        assert torch.hypot(x, y)[n][score[n] > 0].mean().item() == pytest.approx(1)
        assert x[n, :, LAYOUT.center].sum().item() == pytest.approx(0, abs=1e-9)


def test_without_the_centre_the_mean_of_all_joints_is_used():
    keypoints = stick([(2.0, 0.0, 1.0), (0.0, 0.0, 0.0), (6.0, 0.0, 1.0)])
    assert GRAPHS["joint"](keypoints, STICK)[0, 0, 0, :, 0].tolist() == pytest.approx([-1, 0, 1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("stream", sorted(GRAPHS))
def test_clip_without_extent_is_zero_except_for_the_scores(stream, dtype):
    keypoints = torch.zeros(2, 3, 22, 3, dtype=dtype)
    keypoints[1, :, 4] = torch.tensor([1234.567, 321.987, 0.3])
    graph = GRAPHS[stream](keypoints, LAYOUT)
    assert graph.dtype == dtype
    assert not graph[:, :2].any()
    assert not graph[0].any()


@pytest.mark.parametrize("stream", ["joint_motion", "bone_motion"])
def test_single_frame_has_no_motion(stream):
    assert not GRAPHS[stream](clips(frames=1), LAYOUT).any()


@pytest.mark.parametrize(
    ("model", "stream", "expected"),
    [("posec3d", "joint", 22), ("posec3d", "limb", 21), ("stgcn", "joint", 3), ("stgcn", "bone_motion", 3)],
)
def test_channels(model, stream, expected):
    assert MODELS[model].in_channels(stream, LAYOUT) == expected


def test_errors_name_what_is_wrong():
    for stream, more in ((GRAPHS["joint"], ()), (HEATMAPS["joint"], ((8, 8),))):
        with pytest.raises(ValueError, match="'stick' has 3 joints, the keypoints have 22: `layouts"):
            stream(clips(), STICK, *more)


def test_motion_heatmaps_worked_by_hand():
    """A joint that moves by 0.3 px has half the height at σ = 0.6; one that stays, or is missing in the next
    frame, is not drawn."""
    layout = layouts.make("three", ["a", "b", "c"], [(0, 1), (1, 2)], 0)
    keypoints = torch.zeros(1, 4, 3, 3)
    keypoints[0, :, 0] = torch.tensor([[4.0, 4.0, 0.8], [4.3, 4.0, 0.5], [9.0, 4.0, 0.5], [9.0, 4.3, 0.5]])
    keypoints[0, :, 1] = torch.tensor([[8.0, 8.0, 0.4]] * 4)
    keypoints[0, :, 2] = torch.tensor([[2.0, 8.0, 1.0], [0.0, 0.0, 0.0], [4.0, 8.0, 1.0], [4.0, 8.0, 1.0]])
    speeds = torch.tensor([0.5, 1.0, 0.5, 0.0])[:, None, None]
    # The limb from the moving to the resting joint turns; the other has no end that moves.
    for still, moving in (
        (streams.joint_heatmaps, streams.joint_motion_heatmaps),
        (streams.limb_heatmaps, streams.limb_motion_heatmaps),
    ):
        expected, maps = (stream(keypoints, layout, (12, 12))[0] for stream in (still, moving))
        torch.testing.assert_close(maps[0], expected[0] * speeds, atol=1e-6, rtol=0)
        assert expected[0, 1].max() > 0.3
        assert (maps[1:] == 0).all()


def test_a_heatmap_stream_says_what_its_channels_show():
    joints = [frozenset([joint]) for joint in LAYOUT.joints]
    limbs = [frozenset(LAYOUT.joints[v] for v in limb) for limb in LAYOUT.limbs]
    assert [stream.channel_names(LAYOUT) for stream in HEATMAPS.values()] == [joints, limbs] * 2
    with pytest.raises(ValueError, match="shows of a heatmap stream must be joints or limbs, got 'bones'"):
        streams.HeatmapStream(streams.joint_heatmaps, shows="bones")
    row = replace(
        MODELS["posec3d"], streams={"joint": streams.HeatmapStream(streams.joint_heatmaps, shows="limbs")}
    )
    with pytest.raises(ValueError, match="'joint' draws 22 maps and its `shows` says 21; correct its row"):
        row.in_channels("joint", LAYOUT)
    with pytest.raises(ValueError, match=r"'joint' .* must be a streams\.HeatmapStream, got <function"):
        replace(row, streams={"joint": streams.joint_heatmaps})


def test_a_centre_that_is_detected_once_is_the_origin():
    keypoints = stick(
        [(0.0, 0.0, 0.5), (2.0, 4.0, 0.5), (6.0, 0.0, 0.5)],
        [(1.0, 0.0, 0.5), (0.0, 0.0, 0.0), (5.0, 0.0, 0.5)],
    )
    x, y, _ = GRAPHS["joint"](keypoints, STICK)[0, ..., 0]
    assert (x[0, 1].item(), y[0, 1].item()) == (0, 0)
