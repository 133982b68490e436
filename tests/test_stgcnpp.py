import numpy as np
import pytest
import torch
from networks import CHAIN, Published, assert_equal_outputs, draw, randomised

from miga_lib import layouts
from miga_lib.models.stgcnpp import DILATIONS, STGCNPP

SMALL = {"channels": (8, 8, 14), "embedding_size": 5}


def graph_convolution(weights: Published, block: str, x: np.ndarray) -> np.ndarray:
    graph, kernel, bias = (weights[f"{block}.gcn.{name}"] for name in ("A", "conv.weight", "conv.bias"))
    kernels, biases = np.split(kernel[:, :, 0, 0], len(graph)), np.split(bias, len(graph))
    y = np.zeros((len(kernels[0]), *x.shape[1:]))
    for p, u, w in np.ndindex(graph.shape):
        y[:, :, w] += graph[p, u, w] * (kernels[p] @ x[:, :, u] + biases[p][:, None])
    return np.maximum(
        weights.norm(f"{block}.gcn.bn", y) + weights.projection(f"{block}.gcn.down", x, len(y)), 0
    )


def over_time(weights: Published, block: str, x: np.ndarray, stride: int) -> np.ndarray:
    outputs = []
    for b in range(5):
        branch = f"{block}.tcn.branches.{b}"
        y = np.maximum(weights.norm(f"{branch}.1", weights.over_time(f"{branch}.0", x)), 0)
        if b < 4:
            outputs.append(weights.over_time(f"{branch}.3.conv", y, stride, DILATIONS[b]))
        else:
            outputs.append(weights.max_pool(y, stride))
    outputs.append(weights.over_time(f"{block}.tcn.branches.5", x, stride))
    y = np.maximum(weights.norm(f"{block}.tcn.transform.0", np.concatenate(outputs)), 0)
    return weights.norm(f"{block}.tcn.bn", weights.over_time(f"{block}.tcn.transform.2", y))


def published(weights: Published, blocks: int, poses: torch.Tensor) -> list[np.ndarray]:
    """The outputs of the published network for one clip (C, T, V, M)."""
    persons = []
    for x in weights.inputs("backbone.data_bn", poses):
        for i in range(blocks):
            block = f"backbone.gcn.{i}"
            y = graph_convolution(weights, block, x)
            stride = 2 if i and len(y) != len(x) else 1
            y = over_time(weights, block, y, stride)
            if i:
                y = y + weights.residual(f"{block}.residual", x, len(y), stride)
            x = np.maximum(y, 0)
        persons.append(x)
    return weights.heads(persons)


@pytest.mark.parametrize(("frames", "persons", "partition"), [(9, 1, "spatial"), (4, 2, "distance")])
def test_equals_the_published_network_weight_for_weight(frames, persons, partition):
    model = randomised(STGCNPP(CHAIN, 4, partition=partition, **SMALL)).eval()
    weights, poses = Published(model.state_dict()), draw(2, 3, frames, 3, persons)
    for n in range(2):
        assert_equal_outputs(model(poses), published(weights, 3, poses[n]), n)
    assert weights.unused() == []


def test_channels_of_the_branches_are_those_of_pyskl():
    model = STGCNPP(layouts.get("coco17"), 60)
    widths = {64: [14, 10, 10, 10, 10, 10], 128: [23, 21, 21, 21, 21, 21], 256: [46, 42, 42, 42, 42, 42]}
    for block in model.backbone.gcn:
        firsts = [*(branch[0] for branch in block.tcn.branches[:5]), block.tcn.branches[5]]
        assert [conv.out_channels for conv in firsts] == widths[firsts[0].in_channels]


def test_the_learned_graph_begins_with_the_partitions_of_the_layout():
    for block in STGCNPP(CHAIN, 4, **SMALL).backbone.gcn:
        np.testing.assert_array_equal(block.gcn.A.detach().numpy(), layouts.partitions(CHAIN))
