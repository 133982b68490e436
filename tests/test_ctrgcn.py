import numpy as np
import pytest
import torch
from test_stgcn import CHAIN, draw
from test_stgcnpp import NORM, Reference, randomised

from miga_lib import layouts
from miga_lib.models.ctrgcn import CTRGCN, DILATIONS
from miga_lib.models.folding import folded
from miga_lib.models.graphs import MULTIPLES

SMALL = {"channels": (8, 8, 18), "embedding_size": 5}


def reference(model: CTRGCN, poses: torch.Tensor) -> list[np.ndarray]:
    of = Reference(model.state_dict())
    people = []
    for x in of.inputs("backbone.data_bn", poses):
        for i in range(len(model.backbone.net)):
            block = f"backbone.net.{i}"
            graph, alpha = of.state[f"{block}.gcn1.A"], of.state[f"{block}.gcn1.alpha"]
            wide, joints = len(of.state[f"{block}.gcn1.bn.weight"]), x.shape[2]
            stride = 2 if i and wide != len(x) else 1
            y = np.zeros((wide, *x.shape[1:]))
            for p in range(len(graph)):
                conv = f"{block}.gcn1.convs.{p}.conv"
                first, second, values = (of.over_time(f"{conv}{number}", x) for number in (1, 2, 3))
                kernel, bias = of.state[f"{conv}4.weight"][:, :, 0, 0], of.state[f"{conv}4.bias"]
                for u in range(joints):
                    for v in range(joints):
                        difference = np.tanh(first[:, :, u].mean(1) - second[:, :, v].mean(1))
                        y[:, :, v] += (graph[p, u, v] + alpha * (kernel @ difference + bias))[
                            :, None
                        ] * values[:, :, u]
            down = (
                x
                if len(x) == wide
                else of.norm(f"{block}.gcn1.down.1", of.over_time(f"{block}.gcn1.down.0", x))
            )
            y = np.maximum(of.norm(f"{block}.gcn1.bn", y) + down, 0)
            outputs = []
            for b in range(4):
                branch = f"{block}.tcn1.branches.{b}"
                z = of.norm(f"{branch}.1", of.over_time(f"{branch}.0", y, stride if b == 3 else 1))
                if b < 2:
                    z = of.norm(
                        f"{branch}.3.bn",
                        of.over_time(f"{branch}.3.conv", np.maximum(z, 0), stride, DILATIONS[b]),
                    )
                elif b == 2:
                    z = of.norm(f"{branch}.4", of.largest(np.maximum(z, 0), stride))
                outputs.append(z)
            z = np.maximum(np.concatenate(outputs), 0)
            if i:
                changed = f"{block}.residual"
                z += (
                    x
                    if len(x) == wide
                    else of.norm(f"{changed}.bn", of.over_time(f"{changed}.conv", x, stride))
                )
            x = np.maximum(z, 0)
        people.append(x)
    return of.heads(people)


@pytest.mark.parametrize(
    ("frames", "persons", "partition", "people"),
    [(9, 1, "spatial", 1), (4, 1, "distance", 2), (5, 2, "spatial", 2), (4, 2, "spatial", 1)],
)
def test_equals_the_published_network_weight_for_weight(frames, persons, partition, people):
    """As in PySkl, where a network of two persons gets one, the other is zeros."""
    model = randomised(CTRGCN(CHAIN, 4, partition=partition, persons=persons, **SMALL)).eval()
    poses = draw(2, 3, frames, 3, people)
    outputs = model(poses)
    for n in range(2):
        filled = torch.cat([poses[n], torch.zeros(3, frames, 3, max(persons - people, 0))], 3)
        for found, expected in zip(outputs, reference(model, filled), strict=True):
            np.testing.assert_allclose(found[n].detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_keys_and_shapes_are_those_of_pyskl():
    """Of the published configuration, with two persons, joints of COCO and 60 classes."""
    shapes = {f"backbone.data_bn.{part}": (102,) for part in NORM} | {"backbone.A": (3, 17, 17)}
    shapes |= {"fc_cls.weight": (60, 256), "fc_cls.bias": (60,)}
    wide = 3

    def conv(name, *shape):
        shapes.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

    def norm(name, width):
        shapes.update({f"{name}.{part}": (width,) for part in NORM})

    for i, wider in enumerate(64 * multiple for multiple in MULTIPLES):
        gcn, tcn, residual = (f"backbone.net.{i}.{name}" for name in ("gcn1", "tcn1", "residual"))
        shapes |= {f"{gcn}.A": (3, 17, 17), f"{gcn}.alpha": (1,)}
        norm(f"{gcn}.bn", wider)
        reduced = {3: 8, 64: 8, 128: 16, 256: 32}[wide]
        for p in range(3):
            for number, (rows, columns) in enumerate(
                [(reduced, wide), (reduced, wide), (wider, wide), (wider, reduced)], 1
            ):
                conv(f"{gcn}.convs.{p}.conv{number}", rows, columns, 1, 1)
        if wide != wider:
            conv(f"{gcn}.down.0", wider, wide, 1, 1)
            norm(f"{gcn}.down.1", wider)
        if i in (4, 7):
            conv(f"{residual}.conv", wider, wide, 1, 1)
            norm(f"{residual}.bn", wider)
        for b in range(4):
            conv(f"{tcn}.branches.{b}.0", wider // 4, wider, 1, 1)
            norm(f"{tcn}.branches.{b}.1", wider // 4)
            if b < 2:
                conv(f"{tcn}.branches.{b}.3.conv", wider // 4, wider // 4, 5, 1)
                norm(f"{tcn}.branches.{b}.3.bn", wider // 4)
        norm(f"{tcn}.branches.2.4", wider // 4)
        wide = wider
    shapes |= {name: () for name in shapes if name.endswith("num_batches_tracked")}
    model = CTRGCN(layouts.get("coco17"), 60, persons=2)
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == shapes


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
    model = CTRGCN(CHAIN, 4, **SMALL)
    x = draw(2, 8, 3, 5)
    torch.testing.assert_close(model.backbone.net[1].gcn1(x), x, atol=1e-4, rtol=0)


def test_folding_batch_norm_keeps_the_results():
    model = randomised(CTRGCN(CHAIN, 4, **SMALL)).eval()
    poses = draw(2, 3, 8, 3, 2)
    for a, b in zip(model(poses), folded(model)(poses), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_more_persons_than_the_network_knows_are_refused():
    with pytest.raises(ValueError, match="the network has statistics of 2 persons, found 3 in the batch"):
        CTRGCN(CHAIN, 4, persons=2, **SMALL)(draw(1, 3, 4, 3, 3))


@pytest.mark.parametrize("channels", [(), (8, 3)])
def test_fewer_channels_than_branches_are_refused(channels):
    with pytest.raises(
        ValueError, match="channels must have a number of 4 or more for at least one block, got"
    ):
        CTRGCN(CHAIN, 4, channels=channels)
