import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from miga_lib import layouts
from miga_lib.models.folding import folded
from miga_lib.models.graphs import CHANNELS, Dropout, graph_convolution
from miga_lib.models.stgcn import STGCN

CHAIN = layouts.make("chain", ["head", "hip", "foot"], "head-hip-foot", center="head")
SMALL = {"channels": (8, 8, 16), "embedding_size": 5}


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights, running statistics and graph; the graph gets no new limbs."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            if name == "A" or name.startswith("edge_importance"):
                tensor.mul_(1 + 0.5 * noise)
            else:
                tensor.copy_(noise * tensor[0].numel() ** -0.5 if tensor.dim() > 1 else 1 + 0.1 * noise)
    return model


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def reference(state: dict[str, Tensor], poses: Tensor) -> tuple[Tensor, Tensor]:
    """The published network computed from the paper, sum by sum, on a state dict with the published names."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (
            state[f"{name}.{part}"].view(1, -1, *[1] * (x.dim() - 2))
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    clips, channels, frames, joints, persons = poses.shape
    people = []
    for person in range(persons):
        # The first C of the normalised values are those of the first joint.
        x = norm(poses[..., person].permute(0, 3, 1, 2).reshape(clips, joints * channels, frames), "data_bn")
        x = torch.stack([x[:, v * channels : (v + 1) * channels] for v in range(joints)], dim=3)
        for i, wide in enumerate(CHANNELS):
            name, graph = f"st_gcn_networks.{i}", state["A"] * state[f"edge_importance.{i}"]
            stride = (2, 1) if i in (4, 7) else (1, 1)
            y = 0
            for p in range(len(graph)):
                weight, bias = (
                    state[f"{name}.gcn.conv.{part}"][p * wide : (p + 1) * wide] for part in ("weight", "bias")
                )
                y = y + functional.conv2d(x, weight, bias) @ graph[p]
            y = norm(y, f"{name}.tcn.0").relu()
            y = functional.conv2d(
                y, state[f"{name}.tcn.2.weight"], state[f"{name}.tcn.2.bias"], stride, (4, 0)
            )
            y = norm(y, f"{name}.tcn.3")
            if i in (4, 7):
                x = functional.conv2d(
                    x, state[f"{name}.residual.0.weight"], state[f"{name}.residual.0.bias"], stride
                )
                y = y + norm(x, f"{name}.residual.1")
            elif i > 0:
                y = y + x
            x = y.relu()
        people.append(x.flatten(2).mean(2))
    feature = sum(people) / persons
    logits = feature @ state["fcn.weight"][:, :, 0, 0].T + state["fcn.bias"]
    return logits, feature @ state["emb_fc.weight"].T + state["emb_fc.bias"]


def test_equals_the_published_network_weight_for_weight():
    model = randomised(STGCN(layouts.get("imigue22"), 7, embedding_size=3).double()).eval()
    poses = draw(2, 3, 21, 22, 2, dtype=torch.float64)
    for found, expected in zip(model(poses), reference(model.state_dict(), poses), strict=True):
        torch.testing.assert_close(found, expected)


def test_parameter_count_is_the_published_3_1_million():
    joints, partitions = 17, 3
    count = 2 * 3 * joints
    wide = 3
    for i, wider in enumerate(CHANNELS):
        count += partitions * (wide * wider + wider)  # graph convolution
        count += 9 * wider * wider + wider + 2 * 2 * wider  # convolution over time between two batch norms
        count += wide * wider + wider + 2 * wider if i in (4, 7) else 0  # residual
        count += partitions * joints * joints  # edge importance
        wide = wider
    count += 256 * 60 + 60
    model = STGCN(layouts.get("coco17"), 60)
    assert sum(parameter.numel() for parameter in model.parameters()) == count == 3_088_704


def test_multiply_adds_are_the_published_3_8_billion():
    # Two persons of 17 joints over 100 frames, as in MMAction2's table.
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        STGCN(layouts.get("coco17"), 60)(torch.empty(1, 3, 100, 17, 2))
    assert counter.get_total_flops() / 2 == pytest.approx(3.8e9, rel=0.01)


def test_keys_are_those_of_the_published_code():
    affine, norm = (
        ("weight", "bias"),
        ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"),
    )
    keys = (
        {"A", "fcn.weight", "fcn.bias"}
        | {f"data_bn.{part}" for part in norm}
        | {f"edge_importance.{i}" for i in range(10)}
    )
    for i in range(10):
        parts = {"gcn.conv": affine, "tcn.0": norm, "tcn.2": affine, "tcn.3": norm}
        parts |= {"residual.0": affine, "residual.1": norm} if i in (4, 7) else {}
        keys |= {f"st_gcn_networks.{i}.{module}.{name}" for module, names in parts.items() for name in names}
    assert set(STGCN(layouts.get("openpose18"), 400).state_dict()) == keys


@pytest.mark.parametrize(("frames", "halved", "quartered"), [(16, 8, 4), (21, 11, 6), (1, 1, 1)])
def test_sizes_of_the_blocks(frames, halved, quartered):
    model = STGCN(CHAIN, 4).eval()
    sizes = []
    for block in model.st_gcn_networks:
        block.register_forward_hook(lambda module, inputs, output: sizes.append(tuple(output.shape)))
    logits, embedding = model(draw(2, 3, frames, 3, 2))
    wide = [(3, 64, 4, frames)] * 4 + [(3, 128, 4, halved)] * 3 + [(3, 256, 4, quartered)] * 3
    assert sizes == wide
    assert logits.shape == (2, 4)
    assert embedding.shape == (2, 0)


@pytest.mark.parametrize(("partition", "partitions"), [("uniform", 1), ("distance", 2), ("spatial", 3)])
def test_each_strategy_has_its_partitions(partition, partitions):
    model = STGCN(layouts.get("imigue41"), 4, partition=partition, **SMALL)
    assert model.A.shape == (partitions, 41, 41)
    assert [tuple(output.shape) for output in model(draw(2, 3, 8, 41, 1))] == [(2, 4), (2, 5)]


def test_spatial_partitions_of_a_chain_worked_by_hand():
    # Neighbourhoods: {head, hip}, all three, {hip, foot}, so the weights in the columns are 1/2, 1/3, 1/2.
    # Row: from, column: to.
    half, third = 1 / 2, 1 / 3
    expected = [
        [[half, 0, 0], [0, third, 0], [0, 0, half]],
        [[0, 0, 0], [half, 0, 0], [0, third, 0]],  # from the outer joint to the inner
        [[0, third, 0], [0, 0, half], [0, 0, 0]],  # from the inner joint to the outer
    ]
    np.testing.assert_allclose(STGCN(CHAIN, 2, **SMALL).A.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["openpose18", "imigue22", "imigue41"])
def test_spatial_partitions_are_those_of_the_published_code(name):
    """Its rule for each pair of joints: a distance to the centre of more than one limb is infinite, and
    infinite distances are equal."""
    layout = layouts.get(name)
    joints = range(len(layout.joints))
    neighbours = {
        v: {v, *(b for a, b in layout.limbs if a == v), *(a for a, b in layout.limbs if b == v)}
        for v in joints
    }
    distance = {
        v: 0 if v == layout.center else 1 if v in neighbours[layout.center] else math.inf for v in joints
    }
    expected = np.zeros((3, len(joints), len(joints)))
    for v in joints:
        for w in neighbours[v]:
            subset = 0 if w == v else 1 if distance[w] >= distance[v] else 2
            expected[subset, w, v] = 1 / len(neighbours[v])
    np.testing.assert_allclose(STGCN(layout, 2, **SMALL).A.numpy(), expected, rtol=1e-6)


def test_a_graph_convolution_depends_only_on_neighbours():
    layout = layouts.get("imigue22")
    weights = torch.from_numpy(layouts.partitions(layout))
    convolution = randomised(nn.Conv2d(3, 6 * 3, 1))
    x = draw(22, 3, 1, 2)
    elbow = layout.joints.index("right_elbow")
    moved = x.clone()
    moved[elbow] += 1
    heard = (
        (graph_convolution(convolution, x, weights) != graph_convolution(convolution, moved, weights))
        .flatten(1)
        .any(1)
    )
    heard = heard.nonzero().flatten().tolist()
    assert {layout.joints[v] for v in heard} == {"right_shoulder", "right_elbow", "right_wrist"}


def test_a_checkpoint_has_its_own_graph():
    source, target = (STGCN(CHAIN, 4, **SMALL).eval() for _ in range(2))
    randomised(source)
    target.load_state_dict(source.state_dict())
    poses = draw(2, 3, 8, 3, 1)
    torch.testing.assert_close(target(poses), source(poses), rtol=0, atol=0)
    target.A.copy_(torch.from_numpy(layouts.partitions(CHAIN)))
    assert not torch.allclose(target(poses)[0], source(poses)[0])


def test_gradient_reaches_every_parameter_and_the_importance_of_every_limb():
    model = randomised(STGCN(layouts.get("imigue22"), 4, dropout=0, **SMALL))
    logits, embedding = model(draw(4, 3, 12, 22, 1))
    (logits.square().sum() + embedding.square().sum()).backward()
    assert [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ] == []
    for importance in model.edge_importance:
        assert torch.equal(importance.grad != 0, model.A != 0)


def test_edge_importance_begins_at_one():
    weighted, plain = STGCN(CHAIN, 4, **SMALL).eval(), STGCN(CHAIN, 4, edge_importance=False, **SMALL).eval()
    state = weighted.state_dict()
    plain.load_state_dict(
        {name: tensor for name, tensor in state.items() if not name.startswith("edge_importance")}
    )
    poses = draw(2, 3, 8, 3, 2)
    torch.testing.assert_close(weighted(poses), plain(poses), rtol=0, atol=0)
    assert state["edge_importance.0"].shape == (3, 3, 3)


def test_wrong_settings_are_refused():
    with pytest.raises(
        ValueError, match="partition must be one of uniform, distance, spatial, got 'angular'"
    ):
        STGCN(CHAIN, 4, partition="angular")
    with pytest.raises(ValueError, match="channels must have a number for at least one block, got none"):
        STGCN(CHAIN, 4, channels=())


def test_dropout_keeps_the_share_and_the_mean_and_depends_on_the_seed():
    dropout, x = Dropout(0.3), torch.ones(50, 7, 11, 13, requires_grad=True)
    torch.manual_seed(0)
    y, other = dropout(x), dropout(x)
    dropped = (y == 0).float().mean().item()
    assert dropped == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / x.numel()) ** 0.5)
    torch.testing.assert_close(y[y != 0], torch.full_like(y[y != 0], 1 / 0.7))
    together = ((y == 0) & (other == 0)).float().mean().item()
    assert together == pytest.approx(0.09, abs=4 * (0.09 * 0.91 / x.numel()) ** 0.5), (
        "two draws are independent"
    )
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach())
    torch.manual_seed(0)
    assert torch.equal(dropout(x), y)
    assert dropout.eval()(x) is x


def test_folding_batch_norm_keeps_the_results():
    model = randomised(STGCN(CHAIN, 4, **SMALL)).eval()
    poses = draw(2, 3, 8, 3, 2)
    fast = folded(model)
    for a, b in zip(model(poses), fast(poses), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    count = [sum(isinstance(module, nn.BatchNorm2d) for module in of.modules()) for of in (model, fast)]
    assert count == [7, 3], "those after a graph convolution stay, and the network itself stays as it is"
