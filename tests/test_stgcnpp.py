import numpy as np
import pytest
import torch
from test_stgcn import CHAIN, draw
from torch import nn

from miga_lib import layouts
from miga_lib.models.folding import folded
from miga_lib.models.graphs import CHANNELS, MULTIPLES
from miga_lib.models.stgcnpp import DILATIONS, STGCNPP

SMALL = {"channels": (8, 8, 14), "embedding_size": 5}
AFFINE, NORM = ("weight", "bias"), ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and running statistics, so that no path is blocked by an initial 0, and no variance is
    negative."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            spread = tensor[0].numel() ** -0.5 if tensor.dim() > 1 else 0.1
            tensor.copy_(
                spread * noise
                if tensor.dim() > 1
                else (0.5 if name.endswith("alpha") else 1) + spread * noise
            )
    return model


class Reference:
    """The published layers in numpy, for one person (C, T, V): sums over single frames and joints, from a
    state dict."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        self.state = {name: tensor.double().numpy() for name, tensor in state.items()}

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        """Of the first axis."""
        weight, bias, mean, variance = (
            self.state[f"{name}.{part}"].reshape(-1, *[1] * (x.ndim - 1)) for part in NORM[:4]
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    def over_time(self, name: str, x: np.ndarray, stride: int = 1, dilation: int = 1) -> np.ndarray:
        kernel, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        _, frames, joints = x.shape
        y = np.zeros((len(kernel), -(-frames // stride), joints)) + bias[:, None, None]
        for t in range(y.shape[1]):
            for k in range(kernel.shape[2]):
                at = t * stride + (k - kernel.shape[2] // 2) * dilation
                if 0 <= at < frames:
                    y[:, t] += kernel[:, :, k, 0] @ x[:, at]
        return y

    def largest(self, x: np.ndarray, stride: int) -> np.ndarray:
        frames = range(0, x.shape[1], stride)
        return np.stack([x[:, max(t - 1, 0) : t + 2].max(1) for t in frames], 1)

    def inputs(self, norm: str, poses: torch.Tensor) -> list[np.ndarray]:
        """(C, T, V) of each person, whose values are normalised joint after joint; those of one person after
        those of another."""
        c, t, v, m = poses.shape
        of_persons = poses.double().numpy().transpose(3, 2, 0, 1).reshape(-1, t)
        width = len(self.state[f"{norm}.weight"])
        rows = np.concatenate(
            [self.norm(norm, part) for part in np.split(of_persons, len(of_persons) // width)]
        )
        return [person.transpose(1, 2, 0) for person in rows.reshape(m, v, c, t)]

    def heads(self, people: list[np.ndarray]) -> list[np.ndarray]:
        feature = np.mean([person.mean((1, 2)) for person in people], 0)
        return [
            self.state[f"{head}.weight"] @ feature + self.state[f"{head}.bias"]
            for head in ("fc_cls", "emb_fc")
        ]


def reference(model: STGCNPP, poses: torch.Tensor) -> list[np.ndarray]:
    of = Reference(model.state_dict())
    people = []
    for x in of.inputs("backbone.data_bn", poses):
        for i in range(len(model.backbone.gcn)):
            block = f"backbone.gcn.{i}"
            graph, kernel, bias = (
                of.state[f"{block}.gcn.{name}"] for name in ("A", "conv.weight", "conv.bias")
            )
            wide = len(kernel) // len(graph)
            stride = 2 if i and wide != len(x) else 1
            y = np.zeros((wide, *x.shape[1:]))
            for p in range(len(graph)):
                for u in range(x.shape[2]):
                    value = (
                        kernel[p * wide : (p + 1) * wide, :, 0, 0] @ x[:, :, u]
                        + bias[p * wide : (p + 1) * wide, None]
                    )
                    for w in range(x.shape[2]):
                        y[:, :, w] += graph[p, u, w] * value
            down = (
                x
                if len(x) == wide
                else of.norm(f"{block}.gcn.down.1", of.over_time(f"{block}.gcn.down.0", x))
            )
            y = np.maximum(of.norm(f"{block}.gcn.bn", y) + down, 0)
            outputs = []
            for b in range(6):
                branch = f"{block}.tcn.branches.{b}"
                if b == 5:
                    outputs.append(of.over_time(branch, y, stride))
                    continue
                z = np.maximum(of.norm(f"{branch}.1", of.over_time(f"{branch}.0", y)), 0)
                outputs.append(
                    of.largest(z, stride)
                    if b == 4
                    else of.over_time(f"{branch}.3.conv", z, stride, DILATIONS[b])
                )
            z = np.maximum(of.norm(f"{block}.tcn.transform.0", np.concatenate(outputs)), 0)
            z = of.norm(f"{block}.tcn.bn", of.over_time(f"{block}.tcn.transform.2", z))
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


@pytest.mark.parametrize(("frames", "persons", "partition"), [(9, 1, "spatial"), (4, 2, "distance")])
def test_equals_the_published_network_weight_for_weight(frames, persons, partition):
    model = randomised(STGCNPP(CHAIN, 4, partition=partition, **SMALL)).eval()
    poses = draw(2, 3, frames, 3, persons)
    outputs = model(poses)
    for n in range(2):
        for found, expected in zip(outputs, reference(model, poses[n]), strict=True):
            np.testing.assert_allclose(found[n].detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_keys_and_shapes_are_those_of_pyskl():
    """Of the published configuration, with joints of COCO and 60 classes."""
    share, rest = {64: 10, 128: 21, 256: 42}, {64: 14, 128: 23, 256: 46}
    shapes = {f"backbone.data_bn.{part}": (51,) for part in NORM} | {
        "fc_cls.weight": (60, 256),
        "fc_cls.bias": (60,),
    }
    wide = 3

    def conv(name, *shape):
        shapes.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

    def norm(name, width):
        shapes.update({f"{name}.{part}": (width,) for part in NORM})

    for i, wider in enumerate(64 * multiple for multiple in MULTIPLES):
        block = f"backbone.gcn.{i}"
        shapes[f"{block}.gcn.A"] = (3, 17, 17)
        conv(f"{block}.gcn.conv", 3 * wider, wide, 1, 1)
        norm(f"{block}.gcn.bn", wider)
        if wide != wider:
            conv(f"{block}.gcn.down.0", wider, wide, 1, 1)
            norm(f"{block}.gcn.down.1", wider)
        if i in (4, 7):
            conv(f"{block}.residual.conv", wider, wide, 1, 1)
            norm(f"{block}.residual.bn", wider)
        for b in range(6):
            branch, width = f"{block}.tcn.branches.{b}", rest[wider] if b == 0 else share[wider]
            conv(branch if b == 5 else f"{branch}.0", width, wider, 1, 1)
            if b < 5:
                norm(f"{branch}.1", width)
            if b < 4:
                conv(f"{branch}.3.conv", width, width, 3, 1)
        norm(f"{block}.tcn.transform.0", wider)
        conv(f"{block}.tcn.transform.2", wider, wider, 1, 1)
        norm(f"{block}.tcn.bn", wider)
        wide = wider
    shapes |= {name: () for name in shapes if name.endswith("num_batches_tracked")}
    model = STGCNPP(layouts.get("coco17"), 60)
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == shapes
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_393_016, (
        "1.39 million in the paper's table"
    )
    assert tuple(64 * multiple for multiple in MULTIPLES) == CHANNELS


def test_the_learned_graph_begins_with_the_partitions_of_the_layout():
    model = STGCNPP(CHAIN, 4, **SMALL)
    for block in model.backbone.gcn:
        np.testing.assert_array_equal(block.gcn.A.detach().numpy(), layouts.partitions(CHAIN))


def test_folding_batch_norm_keeps_the_results():
    model = randomised(STGCNPP(CHAIN, 4, **SMALL)).eval()
    poses = draw(2, 3, 8, 3, 2)
    for a, b in zip(model(poses), folded(model)(poses), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [(), (8, 5)])
def test_fewer_channels_than_branches_are_refused(channels):
    with pytest.raises(
        ValueError, match="channels must have a number of 6 or more for at least one block, got"
    ):
        STGCNPP(CHAIN, 4, channels=channels)
