"""What a network used of a clip."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from miga_lib import clips, layouts, streams, training
from miga_lib.analysis import saliency
from miga_lib.models import MODELS
from miga_lib.settings import choose
from miga_lib.training.inputs import inputs_of

LAYOUT = layouts.get("coco17")
WRIST = LAYOUT.joints.index("left_wrist")
BASE = {"layout": "coco17", "preset": "smoke", "device": "cpu"}
SETTINGS = choose(**BASE)


def made(wrist, frames=20, seed=0):
    """A clip in which all joints stay where they are, except for the left wrist, whose height in each frame
    is given."""
    places = np.random.default_rng(seed).uniform(100, 200, (len(LAYOUT.joints), 2))
    clip = np.concatenate([np.tile(places, (frames, 1, 1)), np.ones((frames, len(LAYOUT.joints), 1))], axis=2)
    clip[:, WRIST, 1] = wrist
    return clip.astype(np.float32)


def together(parts, labels):
    """Clips of two classes; every second one is of the validation split."""
    lengths = [len(part) for part in parts]
    table = pd.DataFrame({"id": [f"clip {i}" for i in range(len(parts))], "label": labels, "frames": lengths})
    table["split"] = ["train", "val"] * (len(parts) // 2) + ["val"] * (len(parts) % 2)
    table = table.assign(
        video=table["id"], subject="", width=300, height=300, missing=0.0, start=np.cumsum([0, *lengths[:-1]])
    )
    return clips.Clips(table, np.concatenate(parts).astype(np.float32), LAYOUT, ("low", "high"), "")


class OnlyTheWrist(nn.Module):
    """A network of heatmaps whose logit of the second class is 3 · the mean of the wrist's map, and of the
    first one 0."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Conv3d(len(LAYOUT.joints), 1, 1, bias=False)
        self.fc_cls = nn.Linear(1, 2, bias=False)
        self.backbone.weight.data.zero_()[:, WRIST] = 1
        self.fc_cls.weight.data[:] = torch.tensor([[0.0], [3.0]])

    def forward(self, heatmaps):
        return self.fc_cls(self.backbone(heatmaps).mean((2, 3, 4))), heatmaps.new_zeros(len(heatmaps), 0)


@pytest.mark.parametrize("method", saliency.METHODS)
def test_only_the_joint_that_the_network_uses_counts(method):
    clip = made(np.linspace(110, 190, 20))
    clip[5, WRIST, 2] = 0.0
    data = together([clip], [1])
    counts = saliency.importance(OnlyTheWrist(), data, replace(SETTINGS, frames=20), 0, method)
    assert counts.shape == (20, len(LAYOUT.joints))
    assert (np.delete(counts, WRIST, axis=1) == 0).all()
    assert counts.sum(0).argmax() == WRIST
    assert (np.delete(counts[:, WRIST], 5) > 0).all()
    if method != "occlusion":  # which gives a sixth of the clip one value
        assert counts[5, WRIST] == 0
    against = saliency.importance(OnlyTheWrist(), data, replace(SETTINGS, frames=20), 0, method, label=0)
    assert (against == 0).all()


def test_occlusion_and_gradient_of_a_linear_network_are_what_the_joint_adds():
    """The logit is linear in the maps, so the parts of each method add up to it."""
    data, settings = together([made(150)], [1]), replace(SETTINGS, frames=20)
    (maps,) = next(inputs_of(data, settings).views(torch.tensor([0])))
    logit = OnlyTheWrist()(maps)[0][0, 1].item()
    occluded, sloped = (
        saliency.importance(OnlyTheWrist(), data, settings, 0, method) for method in ("occlusion", "gradient")
    )
    assert sloped.sum() == pytest.approx(logit, rel=1e-4)
    lengths = np.bincount(np.arange(20) * saliency.PARTS // 20)
    assert (occluded[:, WRIST] / np.repeat(lengths, lengths)).sum() == pytest.approx(logit, rel=1e-4)


@pytest.mark.parametrize("method", ["occlusion", "gradient"])
def test_a_limb_shares_its_value_between_its_joints(method):
    """A limb is hidden, and not all limbs of a joint."""
    data, settings = together([made(150, frames=6)], [1]), replace(SETTINGS, stream="limb", frames=6)

    class OneLimb(OnlyTheWrist):
        def __init__(self):
            super().__init__()
            self.backbone = nn.Conv3d(len(LAYOUT.limbs), 1, 1, bias=False)
            self.backbone.weight.data.zero_()[:, 3] = 1

    counts = saliency.importance(OneLimb(), data, settings, 0, method).sum(0)
    a, b = LAYOUT.limbs[3]
    assert counts[a] == counts[b] > 0
    assert np.count_nonzero(counts) == 2
    (maps,) = next(inputs_of(data, settings).views(torch.tensor([0])))
    assert counts.sum() == pytest.approx(OneLimb()(maps)[0][0, 1].item(), rel=1e-4), "it counts once"


def test_frames_that_a_crop_cuts_off_count_nothing():
    data = together([made(150, frames=40)], [1])
    counts = saliency.importance(OnlyTheWrist(), data, replace(SETTINGS, frames=20, temporal="crop_pad"), 0)[
        :, WRIST
    ]
    assert np.flatnonzero(counts).tolist() == list(range(10, 30))  # of 40


def test_joints_are_those_of_the_clips():
    """The network has 17 joints, the clips have OpenPose's 25 of the body."""
    body = layouts.get("body25")
    clip = np.random.default_rng(0).uniform(1, 200, (9, 25, 3)).astype(np.float32)
    data = replace(together([made(150, frames=9)], [1]), keypoints=clip, layout=body)
    counts = saliency.importance(OnlyTheWrist(), data, SETTINGS, 0)
    assert np.flatnonzero(counts.any(0)).tolist() == [body.joints.index("left_wrist")]


def test_filters_see_the_joints_of_the_network_only():
    """The wrist jumps by 60 px in one frame. Among joints that the network does not have, the person seems
    too large for an outlier."""
    clip = made(150)
    clip[10, WRIST, 1] += 60
    body, settings = layouts.get("body25"), replace(SETTINGS, frames=20, denoise="outliers")
    larger = np.concatenate([np.zeros((20, 25, 2)), np.ones((20, 25, 1))], axis=2).astype(np.float32)
    larger[:, ::2, :2] = 5000
    larger[:, layouts.selection(body, LAYOUT)] = clip
    wide = replace(together([clip], [1]), keypoints=larger, layout=body)
    counts = saliency.importance(OnlyTheWrist(), wide, settings, 0, "gradient")
    alone = saliency.importance(OnlyTheWrist(), together([clip], [1]), settings, 0, "gradient")
    assert (counts[:, layouts.selection(body, LAYOUT)] == alone).all()
    assert alone[10, WRIST] == 0  # removed


def test_only_the_joint_that_a_graph_network_reads_counts():
    settings = choose(**BASE, model="stgcn", frames=20)
    network = training.build(settings, 2, 0)
    network.data_bn.weight.data.view(len(LAYOUT.joints), -1)[np.arange(len(LAYOUT.joints)) != WRIST] = 0
    data = together([made(np.linspace(110, 190, 20))], [1])
    counts = saliency.importance(network, data, settings, 0)
    assert np.flatnonzero(counts.any(0)).tolist() == [WRIST]
    assert (counts == saliency.importance(network, data, settings, 0, "gradient")).all(), (
        "the default for graphs"
    )


def test_a_fold_explains_the_clips_that_it_was_tested_on(tmp_path, monkeypatch):
    data = together([made(150), made(110)], [1, 0])
    for fold, row in enumerate((1, 0)):
        (tmp_path / str(fold)).mkdir()
        (tmp_path / str(fold) / "best.ckpt").touch()
        splits = data.table.assign(split=["test" if place == row else "train" for place in (0, 1)])
        splits[["id", "split"]].to_csv(tmp_path / str(fold) / "clips.csv", index=False)
    read = []
    monkeypatch.setattr(
        saliency.training, "load_model", lambda run: (read.append(run.name), (OnlyTheWrist(), SETTINGS))[1]
    )
    counts = saliency.of_run([tmp_path / "0", tmp_path / "1"], data)
    for row in (0, 1, 1):
        counts(row)
    assert read == ["1", "0"]
    with pytest.raises(ValueError, match="clip 'clip 0' is not in split 'test' of any of 2 folds; choose"):
        saliency.of_run([tmp_path / "0"] * 2, data)(0)


def test_an_ensemble_has_no_network(tmp_path):
    with pytest.raises(ValueError, match="has no network of its own"):
        saliency.of_run([tmp_path], together([made(150)], [1]))(0)


def test_what_cannot_be_computed_is_refused():
    data = together([made(150)], [1])
    with pytest.raises(ValueError, match="method must be one of occlusion, gradient, got 'lime'"):
        saliency.importance(OnlyTheWrist(), data, SETTINGS, 0, "lime")
    with pytest.raises(ValueError, match="method 'gradient' is for one person; use method 'occlusion'"):
        saliency.importance(OnlyTheWrist(), data, replace(SETTINGS, persons=2), 0, "gradient")
    with pytest.raises(ValueError, match="joints"):
        saliency.importance(OnlyTheWrist(), data, replace(SETTINGS, layout="openpose137"), 0)


def test_a_stream_of_another_name_is_explained_by_what_its_channels_show(monkeypatch):
    monkeypatch.setitem(
        MODELS["posec3d"].streams, "edges", streams.HeatmapStream(streams.limb_heatmaps, shows="limbs")
    )
    settings, data = replace(SETTINGS, stream="limb"), together([made(150)], [1])
    network = training.build(settings, 2, 0)
    for method in saliency.METHODS:
        usual, renamed = (
            saliency.importance(network, data, replace(settings, stream=name), 0, method)
            for name in ("limb", "edges")
        )
        assert np.array_equal(usual, renamed)
        assert usual.any()
