"""Windows of recordings: where they are, what a network says of them, and of the frames that they cover."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miga_lib import alignment, augmentation, clips, streams, training
from miga_lib.models import MODELS, Model
from miga_lib.settings import choose
from miga_lib.spotting import windows

CLASSES = 5


def made(**changes):
    """An untrained network whose outputs differ, and its settings."""
    settings = choose(**{"preset": "smoke", "device": "cpu", "precision": "fp32"} | changes)
    model = training.build(settings, CLASSES, 384).eval()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name in ("fc_cls.weight", "fcn.weight"):
                weights.normal_(0, 20, generator=torch.Generator().manual_seed(0))
            elif name.endswith(("bn.weight", "bn2.weight")):
                weights.fill_(1)  # blocks begin as the identity
    return model, settings


class MeanOfMaps(torch.nn.Module):
    """A network of heatmaps that does not know of shared frames: the mean of each map, weighted by its time →
    classes."""

    def __init__(self, channels, classes, embedding_size, **_):
        super().__init__()
        self.embedding_size = embedding_size
        self.fc_cls = torch.nn.Linear(channels, classes)

    def forward(self, maps):
        of_times = maps.mean((3, 4)) * torch.arange(maps.shape[2])
        return self.fc_cls(of_times.mean(2)), maps.new_zeros(len(maps), self.embedding_size)


@pytest.fixture(autouse=True)
def another_model(monkeypatch):
    """A row of a model of heatmaps, with a stream of its own, as a user would add it."""
    row = Model(
        input="heatmaps",
        streams={"edges": streams.HeatmapStream(streams.limb_heatmaps, shows="limbs")},
        presets=MODELS["posec3d"].presets,
        build=lambda layout, channels, classes, **options: MeanOfMaps(channels, classes, **options),
    )
    monkeypatch.setitem(MODELS, "mean_of_maps", row)


@pytest.fixture(scope="module")
def videos(smoke_outputs):
    return clips.load_recordings("synthetic-smoke", outputs=smoke_outputs)


@pytest.mark.parametrize(
    ("frames", "lengths", "stride", "expected"),
    [
        (10, (4,), 3, [(0, 3), (3, 6), (6, 9)]),
        (11, (4,), 3, [(0, 3), (3, 6), (6, 9), (7, 10)]),
        (6, (4, 6, 7), 4, [(0, 3), (2, 5), (0, 5)]),
        (3, (4, 8), 4, [(0, 2)]),
        (1, (1,), 1, [(0, 0)]),
    ],
)
def test_where_windows_are(frames, lengths, stride, expected):
    assert windows.bounds(frames, lengths, stride).tolist() == list(map(list, expected))


@given(st.integers(1, 200), st.lists(st.integers(1, 60), min_size=1, max_size=3), st.integers(1, 9))
def test_windows_cover_every_frame_where_they_overlap(frames, lengths, stride):
    bounds = windows.bounds(frames, lengths, stride)
    assert ((bounds[:, 0] >= 0) & (bounds[:, 1] < frames) & (bounds[:, 0] <= bounds[:, 1])).all()
    assert len(np.unique(bounds, axis=0)) == len(bounds)
    covered = np.zeros(frames, bool)
    for first, last in bounds:
        covered[first : last + 1] = True
    assert covered[[0, -1]].all()
    assert covered.all() or min(lengths) < stride


@pytest.mark.parametrize(
    ("frames", "lengths", "stride"), [(0, (4,), 1), (9, (), 1), (9, (0,), 1), (9, (4,), 0)]
)
def test_impossible_windows_are_refused(frames, lengths, stride):
    message = "windows need frames, lengths and a stride of 1 or more, got"
    with pytest.raises(ValueError, match=message):
        windows.bounds(frames, lengths, stride)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stream": "limb", "temporal": "segments"},
        {"stream": "joint_motion"},
        {"temporal": "crop_pad", "frames": 30},
        {"model": "stgcn"},
        {"stream": "limb_motion", "temporal": "segments"},
        {"model": "stgcnpp", "stream": "bone_motion", "temporal": "segments"},
        {"model": "mean_of_maps", "stream": "edges"},
        {"model": "mean_of_maps", "stream": "edges", "temporal": "segments"},
        {"denoise": "savitzky_golay"},
    ],
    ids=str,
)
def test_a_window_is_predicted_as_the_clip_with_a_rounded_box(videos, monkeypatch, changes):
    """Windows that overlap and share frames, against the same frames as clips, one by one."""
    model, settings = made(**changes)
    video = videos.where([0])
    bounds = np.concatenate([windows.bounds(40, (5, 13), 3), [[0, 90], [300, 340]]])
    if settings.denoise:  # a filter sees the whole recording, and only the cut clip
        start = video.table["start"].iloc[0] + 20
        video = replace(video, table=video.table.assign(frames=11, start=start))
        bounds = np.array([[0, 10]])
    segments = pd.DataFrame(bounds, columns=["first", "last"])
    segments = segments.assign(video=video.table["id"].iloc[0], label=-1)
    cut = replace(replace(video, segments=segments).cut(), classes=tuple("abcde"))
    exact = augmentation.crop_box
    monkeypatch.setattr(augmentation, "crop_box", lambda keypoints: windows.rounded(exact(keypoints)))
    singly = np.log(np.maximum(training.predict(model, cut, settings).probabilities, 1e-20))
    monkeypatch.setattr(augmentation, "crop_box", exact)
    together = np.log(np.maximum(windows.predict(model, video[0], bounds, settings, CLASSES), 1e-20))
    apart = np.ptp(singly, axis=0).max() if len(bounds) > 1 else 0.01
    assert apart > 1e-4, "the network tells windows apart"
    assert np.abs(together - singly).max() < 0.02 * apart


def test_the_result_of_a_window_does_not_depend_on_others(videos, monkeypatch):
    model, settings = made()
    bounds = windows.bounds(len(videos[0]), (8, 20), 7)
    together = windows.predict(model, videos[0], bounds, settings, CLASSES)
    monkeypatch.setattr(windows, "MIN_WINDOWS", 3)
    monkeypatch.setattr(windows, "MAX_VALUES", 0)
    third = windows.predict(model, videos[0], bounds[::3], settings, CLASSES)
    assert np.abs(third - together[::3]).max() < 1e-6
    backwards = windows.predict(model, videos[0], bounds[::-1].copy(), settings, CLASSES)
    assert np.abs(backwards[::-1] - together).max() < 1e-6


def test_a_window_without_a_person_has_no_class(videos):
    model, settings = made()
    keypoints = np.array(videos[0][:60])
    keypoints[10:40] = 0
    bounds = np.array([[0, 9], [10, 39], [5, 12], [20, 21]])
    probabilities = windows.predict(model, keypoints, bounds, settings, CLASSES)
    assert probabilities.sum(1) == pytest.approx([1, 0, 1, 0])
    assert not windows.predict(model, np.zeros_like(keypoints), bounds, settings, CLASSES).any()
    frames = windows.of_frames(bounds, probabilities)
    assert frames[20:40].sum() == 0
    assert frames[:13].sum(1) == pytest.approx(np.ones(13))


def test_the_posterior_of_a_frame_is_the_mean_over_its_windows():
    probabilities = np.array([[0.2, 0.8], [1.0, 0.0], [0.0, 0.0]])
    posteriors = windows.of_frames(np.array([[0, 2], [2, 3], [0, 5]]), probabilities)
    expected = [[0.2, 0.8], [0.2, 0.8], [0.6, 0.4], [1, 0], [0, 0], [0, 0]]
    assert posteriors == pytest.approx(np.array(expected))


@given(st.integers(0, 2**32 - 1))
def test_rounded_boxes_are_near(seed):
    keypoints = torch.rand(50, 3, 7, 3, generator=torch.Generator().manual_seed(seed)) * 900 + 1
    boxes = augmentation.crop_box(keypoints)
    near = windows.rounded(boxes)
    side, other = ((of[:, 2] - of[:, 0]) for of in (boxes, near))
    assert ((other / side - 1).abs() < 0.05).all()
    moved = (near[:, :2] + near[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2
    assert (moved.abs() <= 0.0251 * other[:, None]).all()
    assert torch.allclose(windows.rounded(near), near, rtol=1e-4), "a rounded box stays"


@given(st.integers(0, 2**32 - 1), st.sampled_from(alignment.METHODS))
def test_each_frame_once_gives_the_same_clips(seed, method):
    rng = torch.Generator().manual_seed(seed)
    keypoints = torch.rand(30, 4, 3, generator=rng) * (torch.rand(30, 4, 1, generator=rng) > 0.3)
    starts = torch.randint(0, 20, (9,), generator=rng)
    frames = torch.randint(1, 11, (9,), generator=rng)
    uniform = torch.rand(9, alignment.draws(method, 6), generator=rng)
    once, places = alignment.resample_once(keypoints, starts, frames, 6, method, uniform)
    assert torch.equal(once[places], alignment.resample(keypoints, starts, frames, 6, method, uniform))
    assert len(places.unique()) == len(once)
