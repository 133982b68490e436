import pytest
import torch
from networks import draw, randomised
from torch import Tensor
from torch.nn import functional

from miga_lib.models.posec3d import PoseC3D

# Stages of the published network: blocks, kernel size in time of a block's first convolution, strides of T, H
# and W.
STAGES = [(4, 1, (1, 2, 2)), (6, 3, (1, 2, 2)), (3, 3, (2, 2, 2))]


def published(state: dict[str, Tensor], heatmaps: Tensor) -> tuple[tuple[Tensor, ...], set[str]]:
    """The outputs of the published network, computed from its description on a state dict with the published
    names, and the names that it used."""
    used = set()

    def weight(name: str) -> Tensor:
        used.add(name)
        return state[name]

    def unit(x: Tensor, name: str, stride: tuple[int, ...] = (1, 1, 1)) -> Tensor:
        kernel = weight(f"{name}.conv.weight")
        x = functional.conv3d(x, kernel, None, stride, [size // 2 for size in kernel.shape[2:]])
        norm = [weight(f"{name}.bn.{part}") for part in ("running_mean", "running_var", "weight", "bias")]
        mean, variance, scale, bias = (values.view(-1, 1, 1, 1) for values in norm)
        return (x - mean) / (variance + 1e-5).sqrt() * scale + bias

    x = unit(heatmaps, "backbone.conv1").relu()
    x = functional.max_pool3d(x, (1, 3, 3), 1, (0, 1, 1))
    for stage, (blocks, frames, stride) in enumerate(STAGES, start=1):
        for block in range(blocks):
            name, step = f"backbone.layer{stage}.{block}", stride if block == 0 else (1, 1, 1)
            assert state[f"{name}.conv1.conv.weight"].shape[2] == frames
            inner = unit(unit(x, f"{name}.conv1").relu(), f"{name}.conv2", step).relu()
            carried = unit(x, f"{name}.downsample", step) if block == 0 else x
            x = (unit(inner, f"{name}.conv3") + carried).relu()
    feature = x.flatten(2).mean(2)
    heads = ("cls_head.fc_cls", "cls_head.emb_fc")
    return tuple(feature @ weight(f"{head}.weight").T + weight(f"{head}.bias") for head in heads), used


def test_equals_the_published_network_weight_for_weight():
    model = randomised(PoseC3D(5, 7, embedding_size=3).double()).eval()
    state = {
        name if name.startswith("backbone") else f"cls_head.{name}": tensor
        for name, tensor in model.state_dict().items()
    }
    heatmaps = draw(2, 5, 6, 20, 24, dtype=torch.float64)
    expected, used = published(state, heatmaps)
    torch.testing.assert_close(model(heatmaps), expected)
    assert {name for name in state if not name.endswith("num_batches_tracked")} == used


def test_sizes_of_the_stages():
    model, sizes = PoseC3D(17, 60).eval(), {}
    for name, module in model.backbone.named_children():
        module.register_forward_hook(
            lambda module, inputs, output, name=name: sizes.update({name: tuple(output.shape[1:])})
        )
    logits, embedding = model(draw(1, 17, 4, 56, 48))
    assert sizes == {
        "conv1": (32, 4, 56, 48),
        "maxpool": (32, 4, 56, 48),
        "layer1": (128, 4, 28, 24),
        "layer2": (256, 4, 14, 12),
        "layer3": (512, 2, 7, 6),
    }
    assert (logits.shape, embedding.shape) == ((1, 60), (1, 0))


@pytest.mark.parametrize(("stage_blocks", "width"), [((1,), 32), ((1, 2), 64), ((1, 1, 1, 1), 256)])
def test_smaller_networks(stage_blocks, width):
    model = PoseC3D(3, 4, base_channels=8, stage_blocks=stage_blocks, embedding_size=6)
    assert model.features(draw(2, 3, 4, 16, 16)).shape == (2, width)
    assert [tuple(output.shape) for output in model(draw(2, 3, 4, 16, 16))] == [(2, 4), (2, 6)]


def test_frames_are_combined_only_after_the_first_stage():
    backbone = randomised(PoseC3D(2, 3, base_channels=4)).eval().backbone
    heatmaps = draw(1, 2, 12, 16, 16)
    changed = heatmaps.clone()
    changed[:, :, 5] += 1
    frames = {}
    for name, module in backbone.named_children():
        heatmaps, changed = module(heatmaps), module(changed)
        frames[name] = (heatmaps != changed).any(4).any(3).any(1).flatten().nonzero().flatten().tolist()
    assert frames["layer1"] == [5]
    # Each of six blocks adds one frame on both sides.
    assert frames["layer2"] == list(range(12))


@pytest.mark.parametrize("stage_blocks", [(1,), (2, 1), (1, 1, 1)])
def test_views_give_the_same_as_their_frames_alone(stage_blocks):
    model = randomised(PoseC3D(2, 3, base_channels=4, stage_blocks=stage_blocks, embedding_size=5)).eval()
    heatmaps = draw(2, 2, 6, 8, 8)
    views = torch.tensor([[0, 0, 3, 5], [6, 8, 9, 11], [7, 7, 7, 2]])
    alone = [heatmaps[view // 6, :, view % 6].transpose(0, 1) for view in views]
    torch.testing.assert_close(model(heatmaps, views), model(torch.stack(alone)))


def test_each_block_that_keeps_the_shape_begins_as_the_identity():
    model, x = PoseC3D(2, 3, base_channels=4), draw(2, 16, 3, 8, 8)
    for block in model.backbone.layer1[1:]:
        assert torch.equal(block(x), x)


def test_channels_last_agrees():
    model = randomised(PoseC3D(3, 4, base_channels=8, stage_blocks=(1, 1), embedding_size=5)).eval()
    heatmaps = draw(2, 3, 4, 16, 16)
    expected = model(heatmaps)
    model.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(model(heatmaps.to(memory_format=torch.channels_last_3d)), expected)


@pytest.mark.parametrize("stage_blocks", [(), (4, 0, 3)])
def test_a_stage_without_blocks_is_refused(stage_blocks):
    with pytest.raises(
        ValueError, match="stage_blocks must name at least one stage, each of one block or more, got"
    ):
        PoseC3D(17, 60, stage_blocks=stage_blocks)
