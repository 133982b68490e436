"""Faults during training: kills, a full disk and others, and whether the resumed run gives the same bits.

    make soak
    python benchmarks/soak.py --only kills disk --kills 5

Prints a row for each fault, with what was observed in the last column. Every run is compared with one without
a fault: weights, epochs and predictions must be equal, bit for bit.
"""

import argparse
import atexit
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from miga_lib import atomic, predictions
from miga_lib.clips import load
from miga_lib.training import __main__ as command_line
from miga_lib.training import loop

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("--data=synthetic-smoke", "--preset=quick", "--batch-size=4", "--epochs=8", "--device=cpu")
"""A quick network on few clips, some 50 steps."""
QUICK = ("--data=synthetic", "--preset=quick", "--epochs=3", "--device=cpu")
CHECKPOINT_SECONDS = 0.1
SNAKEMAKE = shutil.which("snakemake", path=f"{ROOT / '.venv/sweep/bin'}{os.pathsep}{os.environ['PATH']}")


def command(outputs: Path, run: str, options: tuple[str, ...], processes: int = 1) -> list[str]:
    """The command that trains, with very frequent checkpoints."""
    main = [str(Path(__file__).resolve()), "train", f"--outputs={outputs}", f"--run={run}", *options]
    if processes == 1:
        return [sys.executable, *main]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--max-restarts=3"]
    return [sys.executable, *torchrun, f"--nproc-per-node={processes}", "--", *main]


def parameters(options: Iterable[str]) -> dict[str, str]:
    """The values of options, by name."""
    return dict(option.removeprefix("--").split("=", 1) for option in options)


def start(*arguments, **process_options) -> subprocess.Popen:
    """Start training in a new process."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command(*arguments), **pipes, **process_options)


def finish(*arguments) -> str:
    """Train to the end. Returns the printed text."""
    job = start(*arguments)
    printed = job.communicate()[0]
    assert job.returncode == 0, f"{' '.join(job.args)}\n{printed}"
    return printed


def wait_for(condition: Callable[[], object], job: subprocess.Popen, seconds: float = 300) -> None:
    """Wait until a condition is true; the job must not end before."""
    end = time.monotonic() + seconds
    while not condition():
        assert job.poll() is None, f"ended early: {job.stdout.read() if job.stdout else ''}"
        assert time.monotonic() < end, f"nothing happened for {seconds:g} s: {' '.join(job.args)}"
        time.sleep(0.02)


def position(run: Path) -> str:
    """The position of a run's last checkpoint, as text."""
    if not (run / "last.ckpt").exists():
        return "before the first checkpoint"
    stored = torch.load(run / "last.ckpt", weights_only=True)["position"]
    return f"epoch {stored['epoch'] + 1}, step {stored['step']}"


def same(run: Path, other: Path) -> None:
    """Check that two finished runs have the same weights, epochs and predictions."""
    for name in ("last.ckpt", "best.ckpt"):
        ours, theirs = (torch.load(folder / name, weights_only=True)["model"] for folder in (run, other))
        differing = [key for key in ours if not torch.equal(ours[key], theirs[key])]
        assert not differing, f"{run}: {len(differing)} of {len(ours)} tensors of {name} differ from {other}"
    rows, others = (pd.read_csv(folder / "metrics.csv").drop(columns="seconds") for folder in (run, other))
    assert rows["epoch"].tolist() == list(range(1, len(rows) + 1)), f"{run}: epochs {rows['epoch'].tolist()}"
    pd.testing.assert_frame_equal(rows, others, check_exact=True)
    for split in ("val", "test"):
        ours, theirs = (predictions.load(folder / f"{split}.npz") for folder in (run, other))
        equal = np.array_equal(ours.probabilities, theirs.probabilities)
        assert equal, f"{run}: predictions of {split} differ"


@cache
def untouched(outputs: Path, options: tuple[str, ...], processes: int = 1) -> tuple[Path, float, float]:
    """The folder of a run without a fault, the seconds until its first checkpoint, and until its end."""
    load(parameters(options)["data"], outputs=outputs)
    run, began = outputs / "runs" / f"untouched-{processes}-{abs(hash(options))}", time.monotonic()
    job = start(outputs, run.name, options, processes)
    wait_for((run / "last.ckpt").exists, job)
    first = time.monotonic() - began
    printed = job.communicate()[0]
    assert job.returncode == 0, printed
    return run, first, time.monotonic() - began


def kills(outputs: Path, options: tuple[str, ...] = QUICK, count: int = 20, seed: int = 0) -> str:
    """kill -9 at random times; the run is resumed after each."""
    reference, first, seconds = untouched(outputs, options)
    rng, killed, runs, positions = random.Random(seed), 0, 0, []
    while killed < count:
        name, runs = f"killed-{runs}", runs + 1
        while not (outputs / "runs" / name / "result.json").exists():
            job = start(outputs, name, options)
            if killed < count:
                try:
                    printed = job.communicate(timeout=rng.uniform(0.8 * first, seconds))[0]
                    assert job.returncode == 0, printed
                    continue
                except subprocess.TimeoutExpired:
                    job.kill()
                    killed += 1
            printed = job.communicate()[0]
            assert job.returncode in (0, -signal.SIGKILL), printed
            positions.append(position(outputs / "runs" / name))
        same(outputs / "runs" / name, reference)
    middle = sum("step" in place and not place.endswith("step 0") for place in positions)
    kills = f"{killed} kills ({middle} resumed within an epoch)"
    return f"{kills}, {runs} runs of {seconds:.0f} s, all with the same bits, each epoch once"


def notebook(outputs: Path, options: tuple[str, ...] = SMALL) -> str:
    """Ctrl-C in a notebook (its kernel is interrupted); then the cell is run again."""
    from jupyter_client.manager import start_new_kernel

    reference, *_ = untouched(outputs, options)
    option = parameters(options)
    values = f"batch_size={option['batch-size']}, epochs={option['epochs']}, device='cpu'"
    code = (
        "from miga_lib import clips, runs, training\n"
        f"settings = training.choose(preset='quick', {values})\n"
        f"folder = runs.run_folder('interrupted', {str(outputs)!r})\n"
        f"result = training.fit(clips.load({option['data']!r}, outputs={str(outputs)!r}), settings, folder)"
    )
    manager, client = start_new_kernel(env=os.environ | {"PYTHONWARNINGS": "ignore"})
    try:

        def interrupt_after_epoch_2(message: dict) -> None:
            if message["msg_type"] == "stream" and "epoch   2" in message["content"]["text"]:
                manager.interrupt_kernel()

        reply = client.execute_interactive(code, timeout=600, output_hook=interrupt_after_epoch_2)["content"]
        assert reply["status"] == "error", "the interrupt did not stop it"
        assert reply["ename"] == "KeyboardInterrupt", reply
        stopped = position(outputs / "runs" / "interrupted")
        reply = client.execute_interactive(code, timeout=600, output_hook=lambda message: None)["content"]
        assert reply["status"] == "ok", reply
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    same(outputs / "runs" / "interrupted", reference)
    return f"stopped after a step ({stopped}); the cell run again gave the same bits"


def twice(outputs: Path, options: tuple[str, ...] = SMALL) -> str:
    """A second run with the same name; then the first is killed with kill -9, its lock must be free, and it
    resumes."""
    reference, *_ = untouched(outputs, options)
    first, run = start(outputs, "twice", options), outputs / "runs" / "twice"
    wait_for((run / "best.ckpt").exists, first)  # after an epoch, so that there is a best one to resume with
    first.send_signal(signal.SIGSTOP)  # so that it does not end before the other starts
    second = start(outputs, "twice", options)
    printed = second.communicate()[0]
    assert second.returncode == 1, printed
    assert f"held by process {first.pid} on {os.uname().nodename}" in printed, printed
    first.kill()
    first.communicate()
    finish(outputs, "twice", options)
    same(run, reference)
    lock = "the lock of the first ended with its process, and it resumed to the same bits"
    return f"the second was refused with host and process; {lock}"


def worker(outputs: Path, options: tuple[str, ...] = SMALL) -> str:
    """kill -9 of one of two processes under torchrun --max-restarts."""
    reference, *_ = untouched(outputs, options, 2)
    job, run = start(outputs, "worker", options, 2), outputs / "runs" / "worker"
    wait_for((run / "last.ckpt").exists, job)
    time.sleep(2 * CHECKPOINT_SECONDS)
    kill_position = position(run)
    os.kill(int((run / ".rank1.pid").read_text()), signal.SIGKILL)
    printed = job.communicate()[0]
    assert job.returncode == 0, printed
    starts = (run / ".rank1.starts").read_text()
    assert starts == "2", f"started {starts} times\n{printed}"
    same(run, reference)
    bits = "with the same bits as two processes without a fault"
    return f"torchrun restarted both; they resumed from {kill_position} or later, {bits}"


def fill(folder: Path) -> Path:
    """Fill the disk of a folder."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 12))
    return ballast


def full_disk(outputs: Path, options: tuple[str, ...] = SMALL) -> str:
    """The disk becomes full during a run; then space is freed and the run is started again. The disk is a
    tmpfs, mounted by root."""
    reference, *_ = untouched(outputs, options)
    disk = outputs / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        return f"SKIPPED: {mounted.stderr.strip()}"
    try:
        job, run = start(disk, "full", options), disk / "runs" / "full"
        wait_for((run / "best.ckpt").exists, job)
        ballast = fill(disk)
        printed = job.communicate()[0]
        assert job.returncode == 1, printed
        assert "cannot be written (No space left on device)" in printed, printed
        last, leftovers = position(run), [path.name for path in run.glob(f"{atomic.UNFINISHED}*")]
        assert not leftovers, leftovers
        ballast.unlink()
        finish(disk, "full", options)
        same(run, reference)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    return f"one line of error, last checkpoint complete ({last}); with free space again the same bits"


def sweep(outputs: Path, options: tuple[str, ...] = SMALL, seeds: int = 2) -> str:
    """A sweep: a job is killed, a second driver is started, the driver is killed; then the same command is
    run again."""
    if not SNAKEMAKE:
        return "SKIPPED: no Snakemake; `make sweep` makes its environment"
    given = {name.replace("-", "_"): value for name, value in parameters(options).items()}
    fixed = {name: int(value) if value.isdecimal() else value for name, value in given.items()}
    config = {"name": "soak", "data": fixed.pop("data"), "outputs": str(outputs), "gpus": 0, "threads": 1}
    config |= {"bin": str(Path(sys.executable).parent), "fixed": fixed, "grid": {"seed": list(range(seeds))}}
    (outputs / "soak.yaml").write_text(json.dumps(config))
    workflow = ROOT / "workflow"
    drive = [SNAKEMAKE, "-s", str(workflow / "Snakefile"), "--profile", str(workflow / "profiles" / "local")]
    drive += ["--configfile", str(outputs / "soak.yaml"), "--cores", "1"]
    begin = {"cwd": outputs, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with (outputs / "driver.log").open("w") as log:  # a pipe that is not read would block it
        driver = subprocess.Popen(drive, **begin | {"stdout": log})
    atexit.register(driver.kill)
    victim = next_run(outputs, seeds, driver)
    kill_position = position(victim)
    kill_papermill(victim.name)
    second = subprocess.run(drive, **begin)
    assert second.returncode == 1, second.stdout
    assert "cannot be locked" in second.stdout, second.stdout
    wait_for(lambda: len(list(outputs.glob("runs/soak-*/result.json"))) == seeds - 1, driver)
    finished = {path.parent / "last.ckpt" for path in outputs.glob("runs/soak-*/result.json")}
    stamps = {path: path.stat().st_mtime_ns for path in finished}
    last = next_run(outputs, seeds, driver)
    driver.kill()
    driver.wait()
    third = subprocess.run(drive, **begin)
    assert third.returncode == 0, third.stdout
    unchanged = all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert unchanged, "a finished run was trained again"
    for seed in range(seeds):
        same(outputs / "runs" / f"soak-{seed}", untouched(outputs, (*options, f"--seed={seed}"))[0])
    assert (outputs / "sweeps" / "soak" / "table.csv").exists()
    return (
        f"job killed at {kill_position} resumed; second driver refused; driver killed during {last.name}; "
        f"after the same command again: {len(finished)} finished runs unchanged, {seeds} runs with the same "
        "bits, table and figure written"
    )


def next_run(outputs: Path, seeds: int, driver: subprocess.Popen) -> Path:
    """The unfinished run, when it has a checkpoint."""
    runs = [outputs / "runs" / f"soak-{seed}" for seed in range(seeds)]
    unfinished = []

    def find() -> bool:
        for run in runs:
            if (run / "last.ckpt").exists() and not (run / "result.json").exists():
                unfinished.append(run)
        return bool(unfinished)

    wait_for(find, driver)
    return unfinished[0]


def kill_papermill(run: str) -> None:
    """kill -9 of the papermill that trains a run; its kernel ends some seconds later."""
    ps = subprocess.run(["ps", "-axww", "-o", "pid=,args="], capture_output=True, text=True, check=True)
    listing = ps.stdout.splitlines()
    pids = [int(line.split()[0]) for line in listing if "bin/papermill" in line and f"-p run {run}" in line]
    pids = [pid for pid in pids if "bash" not in Path(f"/proc/{pid}/comm").read_text()]
    assert len(pids) == 1, listing
    os.kill(pids[0], signal.SIGKILL)


TRIALS = {
    "kills": ("kill -9 at random times", kills),
    "notebook": ("Ctrl-C in a notebook", notebook),
    "twice": ("two runs with the same name, the first killed", twice),
    "worker": ("a torchrun worker killed", worker),
    "disk": ("disk full", full_disk),
    "sweep": ("a sweep's job and driver killed", sweep),
}


def train(arguments: list[str]) -> None:
    """``soak.py train``: ``python -m miga_lib.training`` with more checkpoints; under torchrun it also
    records process ids and starts."""
    loop.CHECKPOINT_SECONDS = CHECKPOINT_SECONDS
    options, rank = parameters(arguments), os.environ.get("RANK")
    if rank:
        run = Path(options["outputs"]) / "runs" / options["run"]
        run.mkdir(parents=True, exist_ok=True)
        (run / f".rank{rank}.pid").write_text(str(os.getpid()))
        (run / f".rank{rank}.starts").write_text(str(int(os.environ["TORCHELASTIC_RESTART_COUNT"]) + 1))
    command_line.main(arguments)


def main() -> None:
    """Run the trials and print their table; exit status 1 where one failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=list(TRIALS), choices=TRIALS)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the random times")
    parser.add_argument("--folder", help="an empty folder to work in and keep; by default a temporary one")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = []
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        for name in options.only:
            fault, trial = TRIALS[name]
            arguments = {"count": options.kills, "seed": options.seed} if name == "kills" else {}
            began, verdict = time.monotonic(), "passed"
            try:
                observation = trial(Path(options.folder or folder).resolve(), **arguments)
            except Exception as error:
                verdict, observation = "failed", repr(error)
            if observation.startswith("SKIPPED"):
                verdict = "skipped"
            rows.append((fault, verdict, observation))
            print(f"{fault}: {verdict}, {observation} [{time.monotonic() - began:.0f} s]", flush=True)
    print("\n| fault | verdict | observed |\n| --- | --- | --- |")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    raise SystemExit(any(verdict == "failed" for _, verdict, _ in rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train(sys.argv[2:])
    else:
        main()
