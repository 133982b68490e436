"""Heatmaps of a batch against a plain loop over frames and joints: ``pytest benchmarks/test_heatmaps.py
--benchmark-only -s``.

Sixteen clips of 48 frames, 41 joints and 43 limbs, 56×56 pixels, on one core. The loop fills each Gaussian's
window with numpy, by the definitions. Each comparison is made for a person that fills the map, and for joints
spread evenly over the map, whose long limbs are the worst case. Both sides must agree to 1e-6; the ratio of
their times is printed.
"""

import time

import numpy as np
import pytest
import torch

from miga_lib import heatmaps, layouts
from miga_lib.training import processes

CLIPS, FRAMES, SIZE, SIGMA = 16, 48, (56, 56), 0.6
LAYOUT = layouts.get("imigue41")


def window(low: float, high: float, extent: int) -> np.ndarray:
    return np.arange(max(int(low - 3 * SIGMA), 0), min(int(high + 3 * SIGMA) + 1, extent))


def plain_joints(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(T, V, 2) and (T, V) float64 → (T, V, H, W) float32, joint by joint."""
    maps = np.zeros((*scores.shape, *SIZE), dtype=np.float32)
    for t, v in np.ndindex(scores.shape):
        if scores[t, v] >= 1e-3:
            draw_joint(maps[t, v], keypoints[t, v], scores[t, v])
    return maps


def draw_joint(drawn: np.ndarray, place: np.ndarray, score: float) -> None:
    x, y = window(place[0], place[0], SIZE[1]), window(place[1], place[1], SIZE[0])
    if len(x) and len(y):
        squared_distance = (x - place[0]) ** 2 + (y[:, None] - place[1]) ** 2
        drawn[y[0] : y[-1] + 1, x[0] : x[-1] + 1] = score * np.exp(-squared_distance / (2 * SIGMA**2))


def plain_limbs(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(T, V, 2) and (T, V) float64 → (T, L, H, W) float32, limb by limb."""
    maps = np.zeros((len(scores), len(LAYOUT.limbs), *SIZE), dtype=np.float32)
    for t in range(len(scores)):
        for limb, (a, b) in enumerate(LAYOUT.limbs):
            if min(scores[t, a], scores[t, b]) >= 1e-3:
                draw_limb(maps[t, limb], keypoints[t, a], keypoints[t, b], scores[t, a], scores[t, b])
    return maps


def draw_limb(drawn: np.ndarray, a: np.ndarray, b: np.ndarray, a_score: float, b_score: float) -> None:
    vector = b - a
    squared_length = vector @ vector
    if squared_length < 1:
        return draw_joint(drawn, a, a_score)
    x, y = (window(min(a[axis], b[axis]), max(a[axis], b[axis]), SIZE[1 - axis]) for axis in (0, 1))
    if len(x) and len(y):
        from_a_x, from_a_y = x - a[0], y[:, None] - a[1]
        along = np.clip((from_a_x * vector[0] + from_a_y * vector[1]) / squared_length, 0, 1)
        squared_distance = (from_a_x - along * vector[0]) ** 2 + (from_a_y - along * vector[1]) ** 2
        heights = min(a_score, b_score) * np.exp(-squared_distance / (2 * SIGMA**2))
        drawn[y[0] : y[-1] + 1, x[0] : x[-1] + 1] = heights


def person(rng: np.random.Generator) -> np.ndarray:
    """Joints in the map, placed from the centre outwards, with limbs of 1 to 8 px."""
    parents, depth = LAYOUT.parents, LAYOUT.distances[LAYOUT.center]
    places = np.zeros((CLIPS, FRAMES, len(parents), 2))
    for v in np.argsort(depth)[1:]:
        angle, length = rng.uniform(0, 2 * np.pi, (CLIPS, 1)), rng.uniform(1, 8, (CLIPS, 1))
        limb = length[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        places[:, :, v] = places[:, :, parents[v]] + limb
    return 28 + places + rng.normal(0, 0.5, places.shape)


def spread(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0, 56, (CLIPS, FRAMES, len(LAYOUT.joints), 2))


@pytest.fixture
def one_core():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with processes.kept_memory():  # as in training
        yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("poses", [person, spread])
@pytest.mark.parametrize("name", ["joints", "limbs"])
def test_heatmaps_against_a_plain_loop(benchmark, name, poses):
    rng = np.random.default_rng(0)
    keypoints = poses(rng).astype(np.float32)
    scores = rng.uniform(0.1, 1, keypoints.shape[:3]).astype(np.float32)
    batch = torch.tensor(keypoints), torch.tensor(scores)
    plain, draw, arguments = {
        "joints": (plain_joints, heatmaps.joints, (SIZE, SIGMA)),
        "limbs": (plain_limbs, heatmaps.limbs, (LAYOUT.limbs, SIZE, SIGMA)),
    }[name]

    seconds = []
    for n in range(4):
        arrays = keypoints[n].astype(float), scores[n].astype(float)
        begin = time.perf_counter()
        expected = plain(*arrays)
        seconds.append(time.perf_counter() - begin)
        maps = draw(batch[0][n], batch[1][n], *arguments)
        np.testing.assert_allclose(maps.numpy(), expected, rtol=0, atol=1e-6)
    benchmark.pedantic(draw, (*batch, *arguments), rounds=10, warmup_rounds=2)

    # The minimum of each, since other work of the machine can only add time.
    loop, ours = 1e3 * min(seconds), 1e3 * benchmark.stats.stats.min / CLIPS
    print(
        f"\n{name}, {poses.__name__}: plain loop {loop:.1f} ms a clip, heatmaps.{name} {ours:.2f} ms: "
        f"{loop / ours:.1f} times faster"
    )
