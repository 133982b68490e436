"""The input of a network: that of a clip does not depend on other clips, and views that share frames give the
same as separate views."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from miga_lib import alignment, augmentation, denoising, layouts, training
from miga_lib.models import MODELS
from miga_lib.settings import choose
from miga_lib.training.inputs import KeypointInputs, uniform

BASE = {"preset": "smoke", "device": "cpu", "precision": "fp32", "semantic_weight": 0.0}
SMOKE = choose(**BASE)
SEGMENTS = choose(**BASE, temporal="segments")


def network(settings):
    """A network in which every block changes the output."""
    model = training.build(settings, 32, 0).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.weight.fill_(1.0)
    return model


@pytest.mark.parametrize("settings", [SMOKE, SEGMENTS, choose(**BASE, model="stgcn")])
def test_augmentation_of_a_clip_does_not_depend_on_other_clips(smoke, settings):
    inputs = KeypointInputs(smoke.split("train"), settings)
    together = inputs.training(torch.tensor([5, 2, 7]), epoch=3)
    torch.testing.assert_close(inputs.training(torch.tensor([2]), epoch=3), together[1:2])
    assert not torch.equal(inputs.training(torch.tensor([2]), epoch=4), together[1:2])


@pytest.mark.parametrize("stream", MODELS["posec3d"].streams)
def test_views_that_share_frames_give_the_same_as_separate_views(smoke, stream):
    """As in PySkl, view after view: draw its frames, crop to the person in all views of the clip, flip,
    predict."""
    clips, settings = smoke.split("test").where([0, 3]), replace(SEGMENTS, stream=stream)
    model, layout, size = network(settings), layouts.get("imigue41"), SEGMENTS.test_size
    expected = []
    for i in range(2):
        keypoints, of_clip = torch.from_numpy(np.array(clips[i])), []
        views = [
            alignment.segments(keypoints, SEGMENTS.frames, uniform(1, SEGMENTS.frames, view)[0])
            for view in range(SEGMENTS.segment_clips)
        ]
        box = augmentation.crop_box(torch.cat(views)[None])
        for view in views:
            for mirrored in (False, True):
                pixels = augmentation.to_pixels(view[None], box, (size, size))
                pixels = augmentation.flip(pixels, layout, torch.tensor([mirrored]), width=size)
                maps = settings.architecture.tensor(stream, pixels, layout, size)
                of_clip.append(model(maps)[0].softmax(1))
        expected.append(torch.cat(of_clip).mean(0))
    with torch.no_grad():
        found = training.predict(model, clips, settings).probabilities
    np.testing.assert_allclose(found, torch.stack(expected).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [SEGMENTS, replace(SEGMENTS, stream="limb_motion"), choose(**BASE, model="stgcn", temporal="segments")],
)
def test_the_prediction_of_a_clip_does_not_depend_on_other_clips(smoke, settings):
    clips, model = smoke.split("test"), network(settings)
    together = training.predict(model, clips, settings).probabilities
    alone = [training.predict(model, clips.where([i]), settings).probabilities[0] for i in range(len(clips))]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-5)


def test_the_first_stage_computes_each_frame_once(smoke):
    inputs = KeypointInputs(smoke.split("test"), SEGMENTS)
    rows = torch.arange(3)
    (maps, frames), _ = inputs.views(rows)
    assert frames.shape == (3 * SEGMENTS.segment_clips, SEGMENTS.frames)
    assert frames.unique().tolist() == list(range(maps.shape[2])), "every frame drawn is used, and none twice"
    assert maps.shape[2] <= int(inputs.frames[rows].sum())


EVERY = "+".join(augmentation.AUGMENTATIONS)


@pytest.mark.parametrize("name", EVERY.split("+"))
def test_each_further_augmentation_changes_training_and_not_test(smoke, name):
    clips, rows = smoke.split("train"), torch.arange(8)
    plain, augmented = KeypointInputs(clips, SMOKE), KeypointInputs(clips, replace(SMOKE, augment=name))
    assert not torch.equal(augmented.training(rows, 0), plain.training(rows, 0))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(augmented.views(rows), plain.views(rows), strict=True))


def test_all_augmentations_together_depend_on_seed_epoch_and_clip_only(smoke):
    inputs = KeypointInputs(smoke.split("train"), replace(SMOKE, augment=EVERY))
    together = inputs.training(torch.tensor([5, 2, 7]), epoch=3)
    torch.testing.assert_close(inputs.training(torch.tensor([2]), epoch=3), together[1:2])
    assert not torch.equal(inputs.training(torch.tensor([2]), epoch=4), together[1:2])


def test_the_order_of_the_names_does_not_matter(smoke):
    rows, clips = torch.tensor([1]), smoke.split("train")
    both = [
        KeypointInputs(clips, replace(SMOKE, augment=names)).training(rows, 0)
        for names in ("noise+rotate", "rotate+noise")
    ]
    assert torch.equal(*both)


def test_clips_are_filtered_in_training_and_in_test(smoke):
    rows, clips = torch.tensor([1, 4]), smoke.split("train")
    filtered, expected = (
        KeypointInputs(clips, replace(SMOKE, denoise="gaps")),
        KeypointInputs(denoising.denoised(clips, "gaps"), replace(SMOKE, denoise="gaps")),
    )
    plain = KeypointInputs(clips, SMOKE)
    for inputs in (expected, plain):
        same = [torch.equal(filtered.training(rows, 0), inputs.training(rows, 0))]
        same += [
            torch.equal(a[0], b[0]) for a, b in zip(filtered.views(rows), inputs.views(rows), strict=True)
        ]
        assert same == [inputs is expected] * 3
