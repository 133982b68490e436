"""A training step and a test clip of the `paper` networks against plain PyTorch: ``pytest
benchmarks/test_network.py --benchmark-only -s``.

The plain PoseC3D is the same with PyTorch's own 3-D convolutions and pooling, in fp32 and contiguous memory,
without compilation. Both run on all cores in one process, one after the other, and the ratio of their times
is printed.

A plain graph network computes each sum as the published code writes it, on (NM, C, T, V) in contiguous
memory: an ``einsum`` over partitions, and each branch of a convolution over time by itself.
"""

import copy
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from miga_lib import training
from miga_lib.clips import load
from miga_lib.models import MODELS, ctrgcn, graphs, stgcn, stgcnpp
from miga_lib.models.posec3d import FlatConvolution, FlatMaxPool
from miga_lib.settings import choose
from miga_lib.training import processes
from miga_lib.training.inputs import inputs_of


def plain(model):
    """The same network and weights with PyTorch's own layers."""
    model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    model.backbone.maxpool = nn.MaxPool3d((1, 3, 3), stride=1, padding=(0, 1, 1))
    for module in model.modules():
        if isinstance(module, FlatConvolution):
            module.__class__ = nn.Conv3d
        assert not isinstance(module, FlatMaxPool)
    return model


def step(model, settings, maps, labels):
    torch.manual_seed(0)  # so that both networks drop the same features
    with training.autocast(settings):
        logits, embedding = model(maps)
    loss = functional.cross_entropy(logits.float(), labels) + embedding.float().square().sum() / len(maps)
    model.zero_grad()
    loss.backward()
    return loss.item()


def seconds(function, *arguments, rounds=1):
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - began)
    return min(times)


class PlainGraph(graphs.GraphConvolution):
    def forward(self, x, weights):
        features = self.conv(x).unflatten(1, (len(weights), -1))
        return torch.einsum("bpdtv,pvw->bdtw", features, weights).contiguous()


class PlainLearned(stgcnpp.LearnedGraphConvolution):
    def forward(self, x):
        return torch.relu(self.bn(PlainGraph.forward(self, x, self.A)) + self.down(x))


class PlainRefined(ctrgcn.RefinedGraphConvolutions):
    def forward(self, x):
        total = 0
        for conv, graph in zip(self.convs, self.A, strict=True):
            first, second = conv.conv1(x).mean(2), conv.conv2(x).mean(2)
            refined = conv.conv4(torch.tanh(first[..., :, None] - second[..., None, :])) * self.alpha + graph
            total = total + torch.einsum("ncuv,nctu->nctv", refined, conv.conv3(x))
        return torch.relu(self.bn(total) + self.down(x))


class PlainTCN(nn.Module):
    def forward(self, x):
        y = torch.cat([branch(x) for branch in self.branches], 1)
        return self.bn(self.transform(y)) if hasattr(self, "transform") else torch.relu(y)


PLAIN = {
    graphs.TimeConvolution: nn.Conv2d,
    graphs.Dropout: nn.Dropout,
    graphs.GraphConvolution: PlainGraph,
    stgcnpp.LearnedGraphConvolution: PlainLearned,
    stgcnpp.MultiScaleTCN: PlainTCN,
    ctrgcn.RefinedGraphConvolutions: PlainRefined,
    ctrgcn.MultiScaleTCN: PlainTCN,
}


class PlainGraphNetwork(nn.Module):
    """The same network and weights, as the published code computes it."""

    def __init__(self, model):
        super().__init__()
        self.model = copy.deepcopy(model)
        for module in self.model.modules():
            module.__class__ = PLAIN.get(type(module), type(module))
            if isinstance(module, nn.MaxPool2d):
                module.kernel_size, module.stride, module.padding = (3, 1), module.stride[::-1], (1, 0)

    def forward(self, poses):
        model = self.model
        clips, channels, frames, joints, persons = poses.shape
        norm = model.data_bn if isinstance(model, stgcn.STGCN) else model.backbone.data_bn
        x = norm(poses.permute(0, 4, 3, 1, 2).reshape(-1, norm.num_features, frames))
        x = x.reshape(clips * persons, joints, channels, frames).permute(0, 2, 3, 1).contiguous()
        if isinstance(model, stgcn.STGCN):
            for block, importance in zip(model.st_gcn_networks, model.edge_importance, strict=True):
                x = block(x, model.A * importance)
        else:
            for block in model.backbone.gcn if isinstance(model, stgcnpp.STGCNPP) else model.backbone.net:
                x = block(x)
        feature = x.mean((2, 3)).unflatten(0, (clips, persons)).mean(1)
        if isinstance(model, stgcn.STGCN):
            return model.fcn(feature[:, :, None, None]).flatten(1), model.emb_fc(feature)
        return model.fc_cls(model.dropout(feature)), model.emb_fc(feature)


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.input == "graph"])
def test_a_training_step_of_a_graph_network(benchmark, name):
    """24 clips × 48 frames × 17 joints at the published width, without dropout, as in PySkl; then ours with
    the preset's dropout."""
    settings = choose(model=name, preset="paper", layout="coco17", device="cpu")
    fp32 = replace(settings, precision="fp32")
    ours, dropped = (training.build(settings, 32, 384).train() for _ in range(2))
    for module in ours.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0
        if isinstance(module, ctrgcn.RefinedGraphConvolutions):
            nn.init.constant_(module.alpha, 0.3)  # at 0, its initial value, the refinement would be 0
            nn.init.ones_(module.bn.weight)
    theirs, labels = PlainGraphNetwork(ours), torch.arange(24)
    poses = torch.randn(24, 3, 48, 17, 1, generator=torch.Generator().manual_seed(0))
    with processes.kept_memory():
        expected = step(theirs, fp32, poses, labels)
        assert step(ours, settings, poses, labels) == pytest.approx(
            expected, rel=1e-4 if settings.precision == "fp32" else 0.02
        )
        loops = []

        def plain_first():  # both sides by turns, since the load of the machine changes
            loops.append(seconds(step, theirs, fp32, poses, labels))

        benchmark.pedantic(step, (ours, settings, poses, labels), setup=plain_first, rounds=8)
        with_dropout = seconds(step, dropped, settings, poses, labels, rounds=4)
    best, loop = benchmark.stats.stats.min, min(loops)
    print(
        f"\n{name} step of 24 clips, {settings.precision}: plain fp32 {loop:.2f} s, ours {best:.2f} s: "
        f"{loop / best:.2f} times faster; with dropout 0.5 {with_dropout:.2f} s"
    )


@pytest.mark.parametrize(("preset", "count"), [("paper", 12), ("quick", 16)])
def test_a_training_step(benchmark, preset, count):
    """The batch of `paper` is halved: in kept memory, plain fp32 of all 24 clips does not fit in 24 GB."""
    settings = choose(preset=preset, device="cpu")
    fp32 = replace(settings, precision="fp32")
    ours = training.build(settings, 32, 384).train()
    theirs = plain(ours)
    maps, labels = (
        inputs_of(load("synthetic").split("train"), settings).training(torch.arange(count), 0),
        torch.arange(count),
    )
    contiguous = maps.contiguous()
    expected = step(theirs, fp32, contiguous, labels)
    loop = seconds(step, theirs, fp32, contiguous, labels, rounds=2)
    with processes.kept_memory():
        assert step(ours, settings, maps, labels) == pytest.approx(expected, rel=0.02)
        benchmark.pedantic(step, (ours, settings, maps, labels), rounds=4, warmup_rounds=2)
        kept = seconds(step, theirs, fp32, contiguous, labels, rounds=2)
    best = benchmark.stats.stats.min
    print(
        f"\n{preset} step of {count} clips, {settings.precision}: plain {count / loop:.2f} clips/s, "
        f"ours {count / best:.2f}: {loop / best:.1f} times faster "
        f"(plain in kept memory {count / kept:.2f}: {kept / best:.1f} times)"
    )


def test_a_test_clip_of_ten_views_and_two_flips(benchmark):
    settings = choose(preset="paper", temporal="segments", device="cpu")
    ours = training.build(settings, 32, 384).eval()
    with torch.no_grad():  # at 0, their initial value, every residual branch would be 0
        for module in ours.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.weight.fill_(1.0)
    test = load("synthetic").split("test")
    median = int((test.table["frames"] - test.table["frames"].median()).abs().argmin())
    theirs, one = plain(ours), test.where([median])
    views = [
        maps[:, :, of_view].contiguous()
        for maps, frames in inputs_of(one, settings).views(torch.arange(1))
        for of_view in frames
    ]
    assert len(views) == 20

    def by_view():
        with torch.inference_mode():
            return torch.stack([theirs(view)[0].softmax(1) for view in views]).mean(0)

    expected = by_view()
    probabilities = training.predict(ours, one, settings).probabilities
    assert np.abs(probabilities - expected.numpy()).max() < 0.01
    loop = seconds(by_view)
    benchmark.pedantic(training.predict, (ours, one, settings), rounds=3, warmup_rounds=1)
    best = benchmark.stats.stats.min
    print(
        f"\ntest clip, 20 views, {settings.precision}: plain {loop:.1f} s, ours {best:.2f} s: "
        f"{loop / best:.1f} times faster"
    )


def test_two_hundred_steps_of_the_quick_network_agree(benchmark):
    """Not a timing: the plain network in fp32 and ours have the same losses in each step, within noise."""
    settings = choose(preset="quick", device="cpu", semantic_weight=0.0)
    fp32 = choose(preset="quick", device="cpu", precision="fp32", semantic_weight=0.0)
    data = load("synthetic").split("train")
    curves = {}
    for name, of in {"ours": settings, "plain": fp32}.items():
        model = training.build(of, 32, 0).train()
        model = plain(model) if name == "plain" else model
        inputs = inputs_of(data, of)
        optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=3e-4)
        losses, epoch = [], 0
        while len(losses) < 200:
            for rows in training.batches(len(inputs), of, epoch)[: 200 - len(losses)]:
                maps = inputs.training(rows, epoch)
                losses.append(
                    step(model, of, maps.contiguous() if name == "plain" else maps, inputs.labels[rows])
                )
                optimizer.step()
            epoch += 1
        curves[name] = np.array(losses)
    smooth = {name: np.convolve(curve, np.ones(20) / 20, "valid") for name, curve in curves.items()}
    gap = np.abs(smooth["ours"] - smooth["plain"])
    print(
        f"\n200 steps: mean loss of the last 20 {smooth['plain'][-1]:.3f} plain, "
        f"{smooth['ours'][-1]:.3f} ours; largest gap {gap.max():.3f}"
    )
    assert gap.max() < 0.15
    benchmark.pedantic(lambda: None)
