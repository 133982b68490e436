"""Memory of training and of reading, each in a new process: ``pytest benchmarks/test_memory.py
--benchmark-only -s``.

Only on Linux, which reports the peak.
"""

import json
import subprocess
import sys
import textwrap

import pytest

MEASURE = """
import json
from pathlib import Path

import psutil
import torch

from miga_lib import clips, layouts, training
from miga_lib.training.inputs import inputs_of
from miga_lib.training.processes import kept_memory
from miga_lib.readers import Report, miga
from miga_lib.settings import Settings, choose

GB = 1e9

def memory():
    return psutil.Process().memory_info().rss / GB

def peak():  # not that of `resource`, which includes the process that started this one
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / GB

@kept_memory()  # as training.fit does
def learn(preset, count, **changes):
    settings = choose(preset, device="cpu", **changes)
    inputs = inputs_of(clips.load("synthetic").split("train"), settings)
    model = training.build(settings, 32, 384).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    sizes, epoch = [], 0
    while len(sizes) < count:
        for rows in training.batches(len(inputs), settings, epoch)[: count - len(sizes)]:
            with training.autocast(settings):
                logits, embedding = model(inputs.training(rows, epoch))
            loss = torch.nn.functional.cross_entropy(logits.float(), inputs.labels[rows])
            loss = loss + embedding.float().square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sizes.append(memory())
        epoch += 1
    return sizes
"""


def measured(code):
    """The json that some code prints, run after ``MEASURE`` in a new process."""
    script = MEASURE + textwrap.dedent(code)
    command = [sys.executable, "-c", script]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def test_a_training_step_of_the_paper_network(benchmark):
    # A third of the preset's batch, since a step of 24 clips in fp32 needs more than 22 GB.
    code = "before = memory(); learn('paper', 2, batch_size=8); print(json.dumps([before, peak()]))"
    before, peak = benchmark.pedantic(measured, (code,))
    assert peak > before
    print(
        f"\npaper, batch 8: {peak:.1f} GB at the peak of two steps, {before:.1f} GB with everything imported"
    )


def test_five_hundred_steps_hold_no_more(benchmark):
    """Memory still grows a little in the first steps. If each step leaked a batch, it would grow by 6 GB."""
    sizes = benchmark.pedantic(measured, ("print(json.dumps(learn('quick', 1000)))",))
    early, late = sizes[499], sizes[-1]
    print(f"\nquick, batch 16: {early:.3f} GB after 500 steps, {late:.3f} GB after 1,000")
    assert late < early + 0.02


@pytest.mark.parametrize("frames", [10_000, 40_000])
def test_reading(benchmark, tmp_path, frames):
    """Four videos with 137 joints, each with a clip of 50 frames: the reader needs the memory of one video at
    a time."""
    code = f"""
    root = Path({str(tmp_path)!r})
    import numpy as np
    for number in range(1, 5):
        name, folder = f"{{number:04d}}", root / miga.SPLIT_FOLDERS["train"] / f"{{number:04d}}"
        folder.mkdir(parents=True)
        np.save(folder / f"{{name}}_openpose.npy", np.zeros(({frames}, 411), np.float32))
        (folder / f"{{name}}_label.csv").write_text("1,0,49\\n")
    """
    measured(code + "print(0)")
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.npy")) / 1e9
    read = f"""
    before = memory()
    count = len(clips.load({str(tmp_path)!r}, outputs={str(tmp_path / "outputs")!r}))
    print(json.dumps([before, peak(), count]))
    """
    before, peak, count = benchmark.pedantic(measured, (read,))
    assert count == 4
    print(
        f"\nreading {size:.2f} GB of {frames} frames a video: {peak:.2f} GB at the peak, "
        f"{before:.2f} GB with everything imported"
    )
