"""Training of the `paper` network on a GPU: ``pytest benchmarks/test_training_on_gpu.py --benchmark-only
-s``. Skipped where there is none.

An epoch is that of the training loop: augmentation, heatmaps, step. Plain is the step alone, of the same
network with PyTorch's own 3-D convolutions, in fp32, contiguous memory and without compilation.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from costs import FULL_CLIPS, epoch, seconds, started
from test_network import plain, step

from miga_lib.clips import load
from miga_lib.settings import choose
from miga_lib.training import loop

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICE, PRESET, STEPS = "cuda", "paper", 60


@pytest.mark.parametrize("stream", ["joint", "limb"])
def test_an_epoch(benchmark, tmp_path, stream):
    settings = choose(stream=stream, preset=PRESET, device=DEVICE)
    beside = replace(settings, side_stream=True)
    fp32 = replace(settings, precision="fp32")
    task, state = started(load("synthetic"), settings, tmp_path, count := STEPS * settings.batch_size)
    # An epoch waits for the loss of its last step.
    benchmark.pedantic(epoch, (task, state), rounds=5, warmup_rounds=2)
    other = replace(task, settings=beside)
    two_streams = count / seconds(lambda: epoch(other, state), 3)
    rows = torch.arange(settings.batch_size)
    maps, labels = task.inputs.training(rows, 0), task.inputs.labels[rows]
    drawing = seconds(lambda: task.inputs.training(rows, 0), 20)
    theirs = plain(state.model).train()
    contiguous = maps.contiguous()
    of_plain = len(rows) / seconds(lambda: step(theirs, fp32, contiguous, labels), 5)
    ours = count / benchmark.stats.stats.median
    print(
        f"\n{stream}: {ours:.0f} clips/s, an epoch of {FULL_CLIPS:,} clips {FULL_CLIPS / ours:.1f} s; input "
        f"on a side stream {two_streams:.0f} clips/s; an input alone {1e3 * drawing:.1f} ms; "
        f"plain fp32 step {of_plain:.0f} clips/s"
    )


def test_two_hundred_steps_agree(benchmark, tmp_path):
    """Not a timing: the losses of our network and of the plain one in fp32, on the same batches and without
    dropout."""
    curves = {}
    for name, precision in {"ours": "auto", "plain": "fp32"}.items():
        settings = choose(preset=PRESET, device=DEVICE, precision=precision, semantic_weight=0.0, dropout=0.0)
        task, state = started(load("synthetic"), settings, tmp_path / name, 200 * settings.batch_size)
        module = state.model.train()
        if name == "plain":
            module = plain(module)
            task = replace(task, network=module)
        weights, decay = module.parameters(), settings.weight_decay
        optimizer = torch.optim.SGD(weights, settings.learning_rate, settings.momentum, weight_decay=decay)
        losses = []
        for rows in loop.batches(len(task.inputs), settings, 0):
            loss = loop.forward(task, task.inputs.training(rows, 0), task.inputs.labels[rows])["loss"]
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), loop.MAX_GRADIENT_NORM)
            optimizer.step()
            losses.append(loss.item())
        curves[name] = np.convolve(losses, np.ones(20) / 20, "valid")
    gap = np.abs(curves["ours"] / curves["plain"] - 1).max()
    ends = {name: f"{curve[-1]:.3f}" for name, curve in curves.items()}
    means = f"{ends['plain']} plain, {ends['ours']} ours"
    print(f"\n200 steps, mean loss of the last 20: {means}; largest gap {100 * gap:.2f} %")
    assert gap < 0.02
    benchmark.pedantic(lambda: None)
