import math

import numpy as np
import pytest
import torch
from networks import CHAIN, draw, randomised
from torch import Tensor
from torch.nn import functional

from miga_lib import layouts
from miga_lib.models.graphs import CHANNELS, Dropout, GraphConvolution
from miga_lib.models.stgcn import STGCN

SMALL = {"channels": (8, 8, 16), "embedding_size": 5}


def published(state: dict[str, Tensor], poses: Tensor) -> tuple[tuple[Tensor, Tensor], set[str]]:
    """The outputs of the published network, computed from the paper, sum by sum, on a state dict with the
    published names, and the names that it used."""
    used = set()

    def weight(name: str) -> Tensor:
        used.add(name)
        return state[name]

    def conv(x: Tensor, name: str, *arguments: object, rows: slice = slice(None)) -> Tensor:
        return functional.conv2d(x, weight(f"{name}.weight")[rows], weight(f"{name}.bias")[rows], *arguments)

    def norm(x: Tensor, name: str) -> Tensor:
        parts = [weight(f"{name}.{part}") for part in ("running_mean", "running_var", "weight", "bias")]
        mean, variance, scale, bias = (part.view(1, -1, *[1] * (x.dim() - 2)) for part in parts)
        return (x - mean) / (variance + 1e-5).sqrt() * scale + bias

    clips, channels, frames, joints, persons = poses.shape
    features = []
    for person in range(persons):
        # The first C of the normalised values are those of the first joint.
        x = norm(poses[..., person].permute(0, 3, 1, 2).reshape(clips, joints * channels, frames), "data_bn")
        x = torch.stack([x[:, v * channels : (v + 1) * channels] for v in range(joints)], dim=3)
        for i, width in enumerate(CHANNELS):
            name, graph = f"st_gcn_networks.{i}", weight("A") * weight(f"edge_importance.{i}")
            stride = (2, 1) if i in (4, 7) else (1, 1)
            y = 0
            for p in range(len(graph)):
                y = y + conv(x, f"{name}.gcn.conv", rows=slice(p * width, (p + 1) * width)) @ graph[p]
            y = conv(norm(y, f"{name}.tcn.0").relu(), f"{name}.tcn.2", stride, (4, 0))
            y = norm(y, f"{name}.tcn.3")
            if i in (4, 7):
                y = y + norm(conv(x, f"{name}.residual.0", stride), f"{name}.residual.1")
            elif i > 0:
                y = y + x
            x = y.relu()
        features.append(x.flatten(2).mean(2))
    feature = sum(features) / persons
    logits = conv(feature[..., None, None], "fcn").flatten(1)
    return (logits, feature @ weight("emb_fc.weight").T + weight("emb_fc.bias")), used


def test_equals_the_published_network_weight_for_weight():
    model = randomised(STGCN(layouts.get("imigue22"), 7, embedding_size=3).double()).eval()
    poses, state = draw(2, 3, 21, 22, 2, dtype=torch.float64), model.state_dict()
    expected, used = published(state, poses)
    torch.testing.assert_close(model(poses), expected)
    assert {name for name in state if not name.endswith("num_batches_tracked")} == used


@pytest.mark.parametrize(("frames", "halved", "quartered"), [(16, 8, 4), (21, 11, 6), (1, 1, 1)])
def test_sizes_of_the_blocks(frames, halved, quartered):
    model, sizes = STGCN(CHAIN, 4).eval(), []
    for block in model.st_gcn_networks:
        block.register_forward_hook(lambda module, inputs, output: sizes.append(tuple(output.shape)))
    logits, embedding = model(draw(2, 3, frames, 3, 2))
    assert sizes == [(3, 64, 4, frames)] * 4 + [(3, 128, 4, halved)] * 3 + [(3, 256, 4, quartered)] * 3
    assert (logits.shape, embedding.shape) == ((2, 4), (2, 0))


@pytest.mark.parametrize(("partition", "count"), [("uniform", 1), ("distance", 2), ("spatial", 3)])
def test_each_strategy_has_its_partitions(partition, count):
    model = STGCN(layouts.get("imigue41"), 4, partition=partition, **SMALL)
    assert model.A.shape == (count, 41, 41)
    assert [tuple(output.shape) for output in model(draw(2, 3, 8, 41, 1))] == [(2, 4), (2, 5)]


def test_an_unknown_strategy_is_refused():
    with pytest.raises(
        ValueError, match="partition must be one of uniform, distance, spatial, got 'angular'"
    ):
        STGCN(CHAIN, 4, partition="angular")


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
    neighbours = {v: {v} for v in joints}
    for a, b in layout.limbs:
        neighbours[a].add(b)
        neighbours[b].add(a)
    distance = dict.fromkeys(joints, math.inf) | dict.fromkeys(neighbours[layout.center], 1)
    distance[layout.center] = 0
    expected = np.zeros((3, len(joints), len(joints)))
    for v in joints:
        for w in neighbours[v]:
            subset = 2
            if w == v or distance[w] >= distance[v]:
                subset = 0 if w == v else 1
            expected[subset, w, v] = 1 / len(neighbours[v])
    np.testing.assert_allclose(STGCN(layout, 2, **SMALL).A.numpy(), expected, rtol=1e-6)


def test_a_graph_convolution_depends_only_on_neighbours():
    layout = layouts.get("imigue22")
    weights = torch.from_numpy(layouts.partitions(layout))
    convolution = randomised(GraphConvolution(3, 6, 3))
    x = draw(22, 3, 1, 2)
    moved = x.clone()
    moved[layout.joints.index("right_elbow")] += 1
    changed = (convolution(x, weights) != convolution(moved, weights)).flatten(1).any(1)
    names = {layout.joints[v] for v in changed.nonzero().flatten()}
    assert names == {"right_shoulder", "right_elbow", "right_wrist"}


def test_a_checkpoint_has_its_own_graph():
    source, target = randomised(STGCN(CHAIN, 4, **SMALL)).eval(), STGCN(CHAIN, 4, **SMALL).eval()
    target.load_state_dict(source.state_dict())
    poses = draw(2, 3, 8, 3, 1)
    torch.testing.assert_close(target(poses), source(poses), rtol=0, atol=0)
    target.A.copy_(torch.from_numpy(layouts.partitions(CHAIN)))
    assert not torch.allclose(target(poses)[0], source(poses)[0])


def test_edge_importance_begins_at_one_and_each_limb_learns_its_own():
    model = STGCN(layouts.get("imigue22"), 4, dropout=0, **SMALL)
    assert all(torch.equal(importance, torch.ones(3, 22, 22)) for importance in model.edge_importance)
    logits, embedding = randomised(model)(draw(4, 3, 12, 22, 1))
    (logits.square().sum() + embedding.square().sum()).backward()
    for importance in model.edge_importance:
        assert torch.equal(importance.grad != 0, model.A != 0)


def test_dropout_keeps_the_share_and_the_mean_and_depends_on_the_seed():
    dropout, x = Dropout(0.3), torch.ones(50, 7, 11, 13, requires_grad=True)
    torch.manual_seed(0)
    y, other = dropout(x), dropout(x)
    for zeros, share in ((y == 0, 0.3), ((y == 0) & (other == 0), 0.09)):  # two draws are independent
        tolerance = 4 * (share * (1 - share) / x.numel()) ** 0.5
        assert zeros.float().mean().item() == pytest.approx(share, abs=tolerance)
    torch.testing.assert_close(y[y != 0], torch.full_like(y[y != 0], 1 / 0.7))
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach())
    torch.manual_seed(0)
    assert torch.equal(dropout(x), y)
    assert dropout.eval()(x) is x
