import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from miga_lib.models.folding import folded
from miga_lib.models.posec3d import PoseC3D

# Stages of the published network: blocks, kernel size in time of a block's first convolution, strides of T, H
# and W.
STAGES = [(4, 1, (1, 2, 2)), (6, 3, (1, 2, 2)), (3, 3, (2, 2, 2))]


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and running statistics, so that no path is blocked by an initial 0 and no variance is
    negative."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            spread = tensor[0].numel() ** -0.5 if tensor.dim() > 1 else 0.1
            noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            tensor.copy_(spread * noise if tensor.dim() > 1 else 1 + spread * noise)
    return model


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def reference(state: dict[str, Tensor], heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """The published network computed from its description, on a state dict with the published names."""

    def unit(x: Tensor, name: str, stride: tuple[int, ...] = (1, 1, 1)) -> Tensor:
        kernel = state[f"{name}.conv.weight"]
        x = functional.conv3d(x, kernel, None, stride, [size // 2 for size in kernel.shape[2:]])
        mean, variance, weight, bias = (
            state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        column = (-1, 1, 1, 1)
        return (x - mean.view(column)) / (variance.view(column) + 1e-5).sqrt() * weight.view(
            column
        ) + bias.view(column)

    x = unit(heatmaps, "backbone.conv1").relu()
    x = functional.max_pool3d(x, (1, 3, 3), 1, (0, 1, 1))
    for stage, (blocks, frames, stride) in enumerate(STAGES, start=1):
        for block in range(blocks):
            name, step = f"backbone.layer{stage}.{block}", stride if block == 0 else (1, 1, 1)
            assert state[f"{name}.conv1.conv.weight"].shape[2] == frames
            inner = unit(unit(x, f"{name}.conv1").relu(), f"{name}.conv2", step).relu()
            x = (
                unit(inner, f"{name}.conv3") + (unit(x, f"{name}.downsample", step) if block == 0 else x)
            ).relu()
    feature = x.flatten(2).mean(2)
    return tuple(
        feature @ state[f"cls_head.{head}.weight"].T + state[f"cls_head.{head}.bias"]
        for head in ("fc_cls", "emb_fc")
    )


@pytest.fixture(scope="module")
def published() -> PoseC3D:
    return PoseC3D(17, 60)


def test_equals_the_published_network_weight_for_weight():
    model = randomised(PoseC3D(5, 7, embedding_size=3).double()).eval()
    state = {
        name if name.startswith("backbone") else f"cls_head.{name}": tensor
        for name, tensor in model.state_dict().items()
    }
    heatmaps = draw(2, 5, 6, 20, 24, dtype=torch.float64)
    for found, expected in zip(model(heatmaps), reference(state, heatmaps), strict=True):
        torch.testing.assert_close(found, expected)


def test_parameter_count_is_the_published_2_0_million(published):
    count = 17 * 32 * 7 * 7 + 2 * 32
    channels = 32
    for stage, (blocks, frames, _) in enumerate(STAGES):
        width, wide = 32 * 2**stage, 128 * 2**stage
        for block in range(blocks):
            count += channels * width * frames + width * width * 9 + width * wide + 2 * (width + width + wide)
            count += channels * wide + 2 * wide if block == 0 else 0
            channels = wide
    count += 512 * 60 + 60
    assert sum(parameter.numel() for parameter in published.parameters()) == count == 2_024_860


def test_keys_are_those_of_pyskl(published):
    units = ["backbone.conv1"]
    for stage, (blocks, _, _) in enumerate(STAGES, start=1):
        units += [f"backbone.layer{stage}.{block}.conv{i}" for block in range(blocks) for i in (1, 2, 3)]
        units += [f"backbone.layer{stage}.0.downsample"]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    keys = {f"{unit}.conv.weight" for unit in units} | {
        f"{unit}.bn.{part}" for unit in units for part in norm
    }
    assert set(published.state_dict()) == keys | {"fc_cls.weight", "fc_cls.bias"}


def test_multiply_adds_are_the_published_15_9_billion():
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        PoseC3D(17, 60)(torch.empty(1, 17, 48, 56, 56))
    # The paper also counts batch norm and ReLU, this test only convolutions; if T were never halved, they
    # would be 17.0.
    assert counter.get_total_flops() / 2 == pytest.approx(15.9e9, rel=0.02)


def test_sizes_of_the_stages(published):
    sizes = {}
    for name, module in published.backbone.named_children():
        module.register_forward_hook(
            lambda module, inputs, output, name=name: sizes.update({name: tuple(output.shape[1:])})
        )
    logits, embedding = published.eval()(draw(1, 17, 4, 56, 48))
    assert sizes == {
        "conv1": (32, 4, 56, 48),
        "maxpool": (32, 4, 56, 48),
        "layer1": (128, 4, 28, 24),
        "layer2": (256, 4, 14, 12),
        "layer3": (512, 2, 7, 6),
    }
    assert logits.shape == (1, 60)
    assert embedding.shape == (1, 0)


@pytest.mark.parametrize(
    ("stage_blocks", "width"), [((1,), 32), ((1, 2), 64), ((1, 1, 1), 128), ((1, 1, 1, 1), 256)]
)
def test_smaller_networks(stage_blocks, width):
    model = PoseC3D(3, 4, base_channels=8, stage_blocks=stage_blocks, embedding_size=6)
    assert model.features(draw(2, 3, 4, 16, 16)).shape == (2, width)
    assert [tuple(output.shape) for output in model(draw(2, 3, 4, 16, 16))] == [(2, 4), (2, 6)]


def test_frames_are_combined_only_after_the_first_stage():
    backbone = randomised(PoseC3D(2, 3, base_channels=4)).eval().backbone
    heatmaps = draw(1, 2, 12, 16, 16)
    changed = heatmaps.clone()
    changed[:, :, 5] += 1
    reached = {}
    for name, module in backbone.named_children():
        heatmaps, changed = module(heatmaps), module(changed)
        reached[name] = (heatmaps != changed).any(4).any(3).any(1).flatten().nonzero().flatten().tolist()
    assert reached["layer1"] == [5]
    # Each of six blocks adds one frame on both sides.
    assert reached["layer2"] == list(range(12))


@pytest.mark.parametrize("stage_blocks", [(1,), (2, 1), (1, 1, 1)])
def test_views_give_the_same_as_their_frames_alone(stage_blocks):
    model = randomised(PoseC3D(2, 3, base_channels=4, stage_blocks=stage_blocks, embedding_size=5)).eval()
    heatmaps = draw(2, 2, 6, 8, 8)
    views = torch.tensor([[0, 0, 3, 5], [6, 8, 9, 11], [7, 7, 7, 2]])
    alone = [heatmaps[view // 6, :, view % 6].transpose(0, 1) for view in views]
    for shared, expected in zip(model(heatmaps, views), model(torch.stack(alone)), strict=True):
        torch.testing.assert_close(shared, expected)


def test_each_block_that_keeps_the_shape_begins_as_the_identity():
    model = PoseC3D(2, 3, base_channels=4)
    x = draw(2, 16, 3, 8, 8)
    for block in model.backbone.layer1[1:]:
        torch.testing.assert_close(block(x), x, rtol=0, atol=0)


def test_gradient_reaches_every_parameter():
    model = randomised(PoseC3D(3, 4, base_channels=8, embedding_size=5))
    logits, embedding = model(draw(4, 3, 4, 16, 16))
    (logits.square().sum() + embedding.square().sum()).backward()
    assert [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ] == []


def test_dropout_is_before_the_class_head_and_not_before_the_embedding_head():
    model = randomised(PoseC3D(3, 4, base_channels=8, stage_blocks=(1,), dropout=1.0, embedding_size=5))
    logits, embedding = model(draw(2, 3, 4, 16, 16))
    torch.testing.assert_close(logits, model.fc_cls.bias.expand(2, -1))
    assert (embedding - model.emb_fc.bias).abs().min() > 0


def test_clips_are_independent_in_evaluation():
    model = randomised(PoseC3D(3, 4, base_channels=8, embedding_size=5)).eval()
    heatmaps = draw(5, 3, 4, 16, 16)
    order = torch.tensor([3, 0, 4, 2, 1])
    for together, shuffled in zip(model(heatmaps), model(heatmaps[order]), strict=True):
        torch.testing.assert_close(together[order], shuffled)
    torch.testing.assert_close(model(heatmaps)[0], model(heatmaps)[0], rtol=0, atol=0)


def test_half_precision_and_channels_last_agree_with_full_precision():
    model = randomised(PoseC3D(3, 4, base_channels=8, stage_blocks=(1, 1), embedding_size=5)).eval()
    heatmaps = draw(2, 3, 4, 16, 16)
    expected = model(heatmaps)
    model.to(memory_format=torch.channels_last_3d)
    heatmaps = heatmaps.to(memory_format=torch.channels_last_3d)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(heatmaps)
    for full, last, half in zip(expected, model(heatmaps), rounded, strict=True):
        torch.testing.assert_close(last, full)
        torch.testing.assert_close(half.float(), full, rtol=0.03, atol=0.03)
        assert half.dtype == torch.bfloat16


@pytest.mark.parametrize("stage_blocks", [(), (4, 0, 3)])
def test_a_stage_without_blocks_is_refused(stage_blocks):
    with pytest.raises(
        ValueError, match="stage_blocks must name at least one stage, each of one block or more, got"
    ):
        PoseC3D(17, 60, stage_blocks=stage_blocks)


def test_folding_batch_norm_keeps_the_results():
    model = randomised(PoseC3D(3, 4, base_channels=4, stage_blocks=(2, 1), embedding_size=5)).eval()
    maps = draw(2, 3, 4, 8, 8)
    before, after = model(maps), folded(model)(maps)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm3d) for module in folded(model).modules())
    assert any(isinstance(module, nn.BatchNorm3d) for module in model.modules()), (
        "the network itself stays as it is"
    )
