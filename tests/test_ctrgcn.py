import numpy as np
import pytest
import torch
from networks import CHAIN, Published, assert_equal_outputs, draw, randomised

from miga_lib import layouts
from miga_lib.models.ctrgcn import CTRGCN, DILATIONS

SMALL = {"channels": (8, 8, 18), "embedding_size": 5}


def graph_convolution(weights: Published, block: str, x: np.ndarray) -> np.ndarray:
    graph, alpha = weights[f"{block}.gcn1.A"], weights[f"{block}.gcn1.alpha"]
    y = 0
    for p in range(len(graph)):
        conv = f"{block}.gcn1.convs.{p}.conv"
        first, second, values = (weights.over_time(f"{conv}{number}", x) for number in (1, 2, 3))
        kernel, bias = weights[f"{conv}4.weight"][:, :, 0, 0], weights[f"{conv}4.bias"]
        total = np.zeros_like(values)
        for u, v in np.ndindex(graph[p].shape):
            difference = np.tanh(first[:, :, u].mean(1) - second[:, :, v].mean(1))
            refined = graph[p, u, v] + alpha * (kernel @ difference + bias)
            total[:, :, v] += refined[:, None] * values[:, :, u]
        y = y + total
    down = weights.projection(f"{block}.gcn1.down", x, len(y))
    return np.maximum(weights.norm(f"{block}.gcn1.bn", y) + down, 0)


def over_time(weights: Published, block: str, x: np.ndarray, stride: int) -> np.ndarray:
    outputs = []
    for b in range(4):
        branch = f"{block}.tcn1.branches.{b}"
        y = weights.norm(f"{branch}.1", weights.over_time(f"{branch}.0", x, stride if b == 3 else 1))
        if b < 2:
            y = weights.over_time(f"{branch}.3.conv", np.maximum(y, 0), stride, DILATIONS[b])
            y = weights.norm(f"{branch}.3.bn", y)
        elif b == 2:
            y = weights.norm(f"{branch}.4", weights.max_pool(np.maximum(y, 0), stride))
        outputs.append(y)
    return np.maximum(np.concatenate(outputs), 0)


def published(weights: Published, blocks: int, poses: torch.Tensor) -> list[np.ndarray]:
    """The outputs of the published network for one clip (C, T, V, M)."""
    persons = []
    for x in weights.inputs("backbone.data_bn", poses):
        for i in range(blocks):
            block = f"backbone.net.{i}"
            y = graph_convolution(weights, block, x)
            stride = 2 if i and len(y) != len(x) else 1
            y = over_time(weights, block, y, stride)
            if i:
                y = np.maximum(y + weights.residual(f"{block}.residual", x, len(y), stride), 0)
            x = y
        persons.append(x)
    return weights.heads(persons)


@pytest.mark.parametrize(
    ("frames", "persons", "partition", "people"),
    [(9, 1, "spatial", 1), (4, 1, "distance", 2), (5, 2, "spatial", 2), (4, 2, "spatial", 1)],
)
def test_equals_the_published_network_weight_for_weight(frames, persons, partition, people):
    """As in PySkl, where a network of two persons gets one, the other is zeros."""
    model = randomised(CTRGCN(CHAIN, 4, partition=partition, persons=persons, **SMALL)).eval()
    weights, poses = Published(model.state_dict()), draw(2, 3, frames, 3, people)
    for n in range(2):
        filled = torch.cat([poses[n], torch.zeros(3, frames, 3, max(persons - people, 0))], 3)
        assert_equal_outputs(model(poses), published(weights, 3, filled), n)
    assert weights.unused() == ["backbone.A"]


def test_channels_are_those_of_pyskl():
    """Of the published configuration, with two persons, joints of COCO and 60 classes."""
    backbone = CTRGCN(layouts.get("coco17"), 60, persons=2).backbone
    assert backbone.data_bn.num_features == 2 * 17 * 3
    reduced = {3: 8, 64: 8, 128: 16, 256: 32}
    for block in backbone.net:
        for conv in block.gcn1.convs:
            assert conv.conv1.out_channels == reduced[conv.conv1.in_channels]
        for branch in block.tcn1.branches:
            assert branch[0].out_channels == branch[0].in_channels // 4
    halving = [i for i, block in enumerate(backbone.net) if isinstance(block.residual, torch.nn.Sequential)]
    assert halving == [4, 7]


def test_a_graph_is_refined_only_where_alpha_is_not_0():
    """So at the beginning, every clip has the graph of the layout."""
    gcn = randomised(CTRGCN(CHAIN, 4, **SMALL)).eval().backbone.net[1].gcn1
    gcn.alpha.data.zero_()
    x = draw(2, 8, 3, 5)
    before = gcn(x)
    for conv in gcn.convs:
        conv.conv1.weight.data += 1
    assert torch.equal(gcn(x), before)
    gcn.alpha.data.fill_(1)
    assert not torch.allclose(gcn(x), before)


def test_each_block_begins_almost_without_its_graph_convolution():
    x = draw(2, 8, 3, 5)
    torch.testing.assert_close(CTRGCN(CHAIN, 4, **SMALL).backbone.net[1].gcn1(x), x, atol=1e-4, rtol=0)


def test_more_persons_than_the_network_knows_are_refused():
    with pytest.raises(ValueError, match="the network has statistics of 2 persons, found 3 in the batch"):
        CTRGCN(CHAIN, 4, persons=2, **SMALL)(draw(1, 3, 4, 3, 3))
