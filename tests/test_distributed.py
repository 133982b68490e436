"""Several processes train the same network as one process, and predict each clip once. Here two processes on
the CPU run this file."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from miga_lib import clips, runs, training
from miga_lib.predictions import Predictions
from miga_lib.settings import choose
from miga_lib.training import distributed, processes
from miga_lib.training.distributed import World

pytestmark = pytest.mark.slow

SMOKE = choose(preset="smoke", device="cpu", precision="fp32")
PAIR = replace(SMOKE, devices=2)
UNEVEN = replace(PAIR, batch_size=5, augment="rotate+drop_joints", logit_adjustment=0.5)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """One thread for each of two processes, since other processes run on the same machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A run of two processes, started as in a notebook, with an outputs folder without a cache; and the lines
    that they printed."""
    outputs, lines = tmp_path_factory.mktemp("pair"), []
    result = processes.launch(UNEVEN, "synthetic-smoke", outputs, "pair", show=lines.append)
    return outputs, lines, result


def test_two_processes_train_the_same_network_as_one(pair, smoke, tmp_path):
    outputs, _, result = pair
    alone = training.fit(smoke, replace(UNEVEN, devices=1), tmp_path, progress=lambda row: None)
    together = outputs / "runs" / "pair"
    ours, theirs = (torch.load(run / "last.ckpt", weights_only=True)["model"] for run in (together, tmp_path))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():  # sums are in another order
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-4)
    losses, others = (pd.read_csv(run / "metrics.csv")["loss"].to_numpy() for run in (together, tmp_path))
    assert losses == pytest.approx(others, rel=1e-4)
    assert losses[0] == pytest.approx(others[0], rel=1e-6)
    assert result["processes"] == 2
    counts = [{split: run["scores"][split]["clips"] for split in run["scores"]} for run in (result, alone)]
    assert counts[0] == counts[1]


def test_clips_are_read_once_and_printed_lines_are_passed_on(pair):
    outputs, lines, _ = pair
    assert len(list((outputs / "cache").iterdir())) == 1
    assert sum(line.startswith("epoch ") for line in lines) == 2
    text = "A step learns from 5 clips, 2.5 in each of 2 processes; the learning rate is that of one"
    assert any(line.startswith(text) for line in lines)


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands for torchrun")
@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ("python -m miga_lib.training: wrong", "^wrong$"),
        ("Segmentation fault", "failed:\nSegmentation fault"),
    ],
)
def test_the_error_of_the_processes_is_reported(tmp_path, monkeypatch, printed, message):
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho trace >&2\necho '{printed}' >&2\nexit 1\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(RuntimeError, match=message.replace("failed:\n", "failed:\ntrace\n")):
        processes.launch(PAIR, "synthetic-smoke", tmp_path, "run")


def test_ctrl_c_stops_all_processes_at_the_same_step(pair):
    outputs, lines = pair[0], []

    def interrupt(line):
        lines.append(line)
        if line.startswith("epoch   1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        processes.launch(replace(PAIR, epochs=100), "synthetic-smoke", outputs, "interrupted", show=interrupt)
    held = torch.load(outputs / "runs" / "interrupted" / "last.ckpt", weights_only=True)["position"]
    assert 1 <= held["epoch"] < 100
    assert not (outputs / "runs" / "interrupted" / "result.json").exists()
    with runs.lock_run(outputs / "runs" / "interrupted"):
        """The lock of the folder is free."""


def test_more_devices_than_clips_in_a_step_are_refused(tmp_path):
    with pytest.raises(ValueError, match="devices must be 1 to 16, the clips of a step, got 17"):
        processes.launch(replace(SMOKE, devices=17), outputs=tmp_path)


def test_one_process_does_not_pretend_to_be_several(smoke, tmp_path):
    with pytest.raises(ValueError, match="devices is 2, and this is a single process; start them by"):
        training.fit(smoke, PAIR, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_gpu_for_all_is_refused():
    assert World(1, 2).device("cpu") == "cpu"
    with pytest.raises(
        ValueError, match="device must be auto, cpu or cuda where 2 processes train together, got 'cuda:1'"
    ):
        World(1, 2).device("cuda:1")


@pytest.mark.parametrize(
    ("gpus", "device", "backend"), [(1, "cuda:0", "gloo"), (2, "cuda:1", "cpu:gloo,cuda:nccl")]
)
def test_each_process_has_its_own_gpu_where_there_are_enough(monkeypatch, gpus, device, backend):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert (World(1, 2).device("cuda"), distributed._backend("cuda")) == (device, backend)
    assert (World(1, 2).device("cpu"), distributed._backend("cpu")) == ("cpu", "gloo")


@given(count=st.integers(0, 50), size=st.integers(1, 9))
def test_every_clip_is_in_exactly_one_share(count, size):
    shares = [World(rank, size).share(torch.arange(count)) for rank in range(size)]
    assert sorted(torch.cat(shares).tolist()) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What two processes computed together: see ``together``."""
    folder = tmp_path_factory.mktemp("together")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    job = subprocess.run([*torchrun, __file__, str(folder)], capture_output=True, text=True)
    assert job.returncode == 0, job.stderr
    return json.loads((folder / "told.json").read_text())


def test_uneven_shares_are_gathered_with_each_clip_once(told):
    assert told["gathered"] == {"1": True, "2": True, "3": True, "8": True}


def test_sums_and_results_are_the_same_in_all_processes(told):
    assert told["sum"] == [3.0]
    assert told["from_first"] == [5 + 5]
    assert told["first_alone"] == [0, 1]


def test_batch_norm_over_uneven_shares_equals_that_of_the_whole_batch(told):
    assert told["outputs"] < 1e-5
    assert told["gradients"] < 1e-5
    assert told["statistics"] < 1e-6


def test_a_step_with_fewer_clips_than_processes_is_refused(told):
    message = "a step of 1 clips cannot be shared by 2 processes; use fewer, or a larger batch_size"
    assert told["refused"] == message


def predicted(rows: np.ndarray) -> Predictions | None:
    """Predictions of some of 8 clips."""
    if not len(rows):
        return None
    ids, classes = np.array([f"clip {row}" for row in rows]), np.array([f"class {k}" for k in range(8)])
    return Predictions(ids, rows, np.eye(8)[rows] * 0.5 + 0.5 / 8, classes)


def gathered(world: World, count: int) -> bool:
    """Whether the gathered predictions of ``count`` clips are those of one process."""
    alone = predicted(np.arange(count))
    ours = world.gather(predicted(world.share(torch.arange(count)).numpy()), alone.ids)
    columns = ("ids", "labels", "probabilities")
    return all(np.array_equal(getattr(ours, name), getattr(alone, name)) for name in columns)


def batch_norm(world: World) -> dict[str, float]:
    """The largest differences between batch norm in one process and in all of them, where the first has one
    clip of four."""
    torch.manual_seed(0)
    x, weights = torch.randn(4, 3, 2, 5, 5) * 4 + 100, torch.randn(4, 3, 2, 5, 5)
    plain, shared = nn.BatchNorm3d(3), nn.BatchNorm3d(3)
    whole, mine = x.clone().requires_grad_(), x.clone().requires_grad_()
    rows = [0] if world.rank == 0 else [1, 2, 3]
    expected, found = plain(whole), distributed.normalise(shared, mine[rows])
    (expected * weights).sum().backward()
    (found * weights[rows]).sum().backward()
    return {
        "outputs": (found - expected[rows]).abs().max().item(),
        "gradients": (mine.grad[rows] - whole.grad[rows]).abs().max().item(),
        "statistics": max(
            (getattr(plain, name) - getattr(shared, name)).abs().max().item()
            for name in ("running_mean", "running_var")
        ),
    }


def refused(folder: Path) -> str:
    """The error of training with batches of one clip."""
    data = clips.load("synthetic-smoke", outputs=folder / "outputs")
    try:
        training.fit(data, replace(SMOKE, batch_size=1), runs.run_folder("one", folder))
    except ValueError as error:
        return str(error)
    return "nothing"


def together(folder: Path) -> None:
    """Run by each of two processes; the first writes the results that the tests read."""
    world = distributed.join("cpu")
    told = {
        "sum": world.sum(torch.tensor([world.rank + 1.0], dtype=torch.float64)).tolist(),
        "from_first": world.sum(
            torch.tensor([world.from_first(lambda: world.rank + 5.0)], dtype=torch.float64)
        ).tolist(),
        "gathered": {count: gathered(world, count) for count in (1, 2, 3, 8)},
        **batch_norm(world),
    }
    with world.first_alone(), (folder / "order").open("a") as file:
        file.write(f"{world.rank}\n")
        clips.load("synthetic-smoke", outputs=folder / "outputs")
    world.wait()
    told |= {
        "first_alone": [int(line) for line in (folder / "order").read_text().split()],
        "refused": refused(folder),
    }
    if world.rank == 0:
        (folder / "told.json").write_text(json.dumps(told))
    distributed.leave()


if __name__ == "__main__":
    together(Path(sys.argv[1]))
