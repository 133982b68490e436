"""A run survives Ctrl-C, kill -9, a full disk and a second run with its name; it stops at numbers that are
not finite.

The short form of ``benchmarks/soak.py``, whose checks are used here.
"""

import errno
import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from miga_lib import atomic, runs, training
from miga_lib.settings import choose
from miga_lib.training import loop, processes

pytestmark = pytest.mark.slow

SMOKE = choose(preset="smoke", device="cpu", precision="fp32")
TINY = ("--data=synthetic-smoke", "--preset=smoke", "--batch-size=4", "--epochs=5", "--device=cpu")
POSIX = pytest.mark.skipif(os.name != "posix", reason="kill -9 and limits to the size of files are POSIX's")


def quiet(row):
    """Progress that reports nothing."""


@pytest.fixture(scope="module")
def soak():
    """The module of ``make soak``."""
    path = Path(__file__).parents[1] / "benchmarks" / "soak.py"
    specification = importlib.util.spec_from_file_location("soak", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """One thread in this process and in the others: the bits depend on it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@POSIX
def test_a_second_run_with_the_same_name_is_refused_and_a_killed_one_resumes_to_the_same_bits(
    soak, smoke, smoke_outputs, tmp_path
):
    """``make soak`` kills at random times, too."""
    run = runs.run_folder("killed", smoke_outputs)
    options = [*TINY, "--precision=fp32", f"--outputs={smoke_outputs}", f"--run={run.name}"]
    settings = replace(SMOKE, batch_size=4, epochs=5)
    first = subprocess.Popen([sys.executable, "-m", processes.MODULE, *options], stdout=subprocess.DEVNULL)
    try:
        soak.wait_for((run / "best.ckpt").exists, first)
        first.send_signal(signal.SIGSTOP)  # so that it does not end before the other starts
        with pytest.raises(RuntimeError, match=f"held by process {first.pid} on {os.uname().nodename}; wait"):
            training.fit(smoke, settings, run, progress=quiet)
    finally:
        first.kill()
        first.wait()
    training.fit(smoke, settings, run, progress=quiet)
    training.fit(smoke, settings, tmp_path, progress=quiet)
    soak.same(run, tmp_path)


@POSIX
def test_a_file_that_cannot_grow_is_an_error_and_no_partial_file_is_left(smoke, tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # less than a checkpoint
    try:
        with pytest.raises(OSError, match=r"ckpt: cannot be written \(File too large\)"):
            training.fit(smoke, SMOKE, tmp_path, progress=quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name for path in tmp_path.iterdir()} == {".holder.json", ".lock", "settings.json"}
    assert training.fit(smoke, SMOKE, tmp_path, progress=quiet)["scores"]


@POSIX
def test_a_killed_worker_is_restarted_and_resumes_to_the_same_bits(soak, tmp_path):
    assert "they resumed" in soak.worker(tmp_path, TINY)


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    atomic.write_bytes(path, b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    message = r"last.ckpt: cannot be written \(No space left on device\), an older file stays as it was; make"
    with pytest.raises(OSError, match=message):
        atomic.write_bytes(path, b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("last.ckpt", b"old")]


@pytest.mark.parametrize("after", [1, 3])
def test_ctrl_c_stops_after_a_step_and_the_same_call_resumes(soak, smoke, tmp_path, after):
    seen = []

    def interrupt(row):
        seen.append(row)
        if len(seen) == after:
            signal.raise_signal(signal.SIGINT)

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for run in (whole, stopped):
        run.mkdir()
    training.fit(smoke, SMOKE, whole, progress=quiet)
    message = r"stopped: stopped after step 2 of epoch \d; run the same again to resume"
    with pytest.raises(KeyboardInterrupt, match=message):
        training.fit(smoke, SMOKE, stopped, progress=interrupt)
    assert not (stopped / "result.json").exists()
    training.fit(smoke, SMOKE, stopped, progress=quiet)
    soak.same(stopped, whole)


def test_a_run_that_goes_on_with_other_threads_says_so(smoke, tmp_path, capsys):
    def interrupt(row):
        if (row["epoch"], row["step"]) == (1, 1):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        training.fit(smoke, SMOKE, tmp_path, progress=interrupt)
    settings = tmp_path / "settings.json"
    settings.write_text(settings.read_text().replace('"threads": "1"', '"threads": "8"'))
    capsys.readouterr()
    training.fit(smoke, SMOKE, tmp_path, progress=quiet)
    message = "The run began with 8 threads and goes on with 1: the last bits of its weights may differ."
    assert message in capsys.readouterr().out
    assert runs.run_result(tmp_path)["environment"]["threads"] == "1"


def test_a_second_ctrl_c_stops_at_once_and_a_late_one_is_not_lost():
    before = signal.getsignal(signal.SIGINT)
    reached = []

    def press(times):
        with processes.postponed_interrupt() as interrupted:
            for time in range(times):
                reached.append((time, interrupted()))
                signal.raise_signal(signal.SIGINT)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        press(2)
    assert reached == [(0, False), (1, True)]
    with pytest.raises(KeyboardInterrupt):
        press(1)
    assert reached[2:] == [(0, False), "the end"]
    assert signal.getsignal(signal.SIGINT) is before


@POSIX
def test_an_interrupted_notebook_shows_no_stack_and_papermill_fails(smoke_outputs, tmp_path):
    """The stack that papermill shows of itself cannot be changed here, nor that it may end the kernel before
    the line was sent."""
    root, out, log = Path(__file__).parents[1], tmp_path / "out.ipynb", tmp_path / "log.txt"
    metrics = smoke_outputs / "runs" / "stopped" / "metrics.csv"
    values = {"data": "synthetic-smoke", "preset": "smoke", "epochs": "2000", "run": "stopped"}
    options = [word for name, value in values.items() for word in ("-p", name, value)]
    options += ["-p", "outputs", str(smoke_outputs), "--no-progress-bar"]
    with log.open("w+") as errors:  # no pipe, whose end a kernel that is still ending holds open
        process = subprocess.Popen(
            [sys.executable, "-m", "papermill", "04_train.ipynb", str(out), *options],
            cwd=root / "notebooks",
            env=os.environ | {"PYTHONPATH": str(root)},
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            # A shell starts what ends with `&` with Ctrl-C ignored, and so would be this suite.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            while not metrics.exists() and process.poll() is None:
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()
    stopped = smoke_outputs / "runs" / "stopped"
    assert process.returncode > 0
    assert not re.findall('File ".*miga_lib.*', log.read_text())
    outputs = [output for cell in nbformat.read(out, 4).cells for output in cell.get("outputs", [])]
    shown = [line for output in outputs for line in output.get("traceback", [])]
    assert len(shown) <= 1
    assert all(line.startswith(f"KeyboardInterrupt: {stopped}: stopped after step ") for line in shown)
    assert torch.load(stopped / "last.ckpt", weights_only=True)["position"]["epoch"] > 0
    assert not (stopped / "result.json").exists()


def test_interrupts_are_unchanged_outside_the_main_thread():
    asked = []

    def work():
        with processes.postponed_interrupt() as interrupted:
            asked.append(interrupted())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert asked == [False]


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(smoke, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    clip = torch.nn.utils.clip_grad_norm_
    norms = []

    def with_large_norm(parameters, most):
        norms.append(clip(parameters, most))
        return norms[-1] if len(norms) < 3 else torch.tensor(float("inf"))

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", with_large_norm)
    message = r"the loss is \d.* in epoch 2, step 1, clips 0\d+_\d+, .* and 8 more, with gradient norm inf"
    with pytest.raises(FloatingPointError, match=message):
        training.fit(smoke, SMOKE, tmp_path, progress=quiet)
    held = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert (held["position"]["epoch"], held["position"]["step"]) == (1, 0)
    assert all(values.isfinite().all() for values in held["model"].values())


def test_clips_without_any_joint_are_left_out_of_training_and_counted(smoke, tmp_path):
    train = np.flatnonzero(smoke.table["split"] == "train")
    missing = smoke.table["missing"].to_numpy(copy=True)
    missing[train[:3]] = 1.0
    labels = smoke.table["label"].to_numpy(copy=True)
    labels[train[5]] = -1
    some = replace(smoke, table=smoke.table.assign(missing=missing, label=labels))
    assert training.left_out(some) == "Left out of training: 1 clips of unknown class, 3 without any joint."
    seen = training.fit(some, replace(SMOKE, epochs=1), tmp_path, progress=quiet)
    assert seen["train_clips"] == len(train) - 4
    missing[train] = 1.0
    empty = replace(smoke, table=smoke.table.assign(missing=missing))
    message = "none of the 24 training clips can be used. Left out of training: 0 clips"
    with pytest.raises(ValueError, match=message):
        training.fit(empty, SMOKE, tmp_path / "none", progress=quiet)
