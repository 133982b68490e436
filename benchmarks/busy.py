"""Training steps a second on a machine that does something else, too.

    python benchmarks/busy.py

Beside none, one and six processes that compute: with one thread, with a thread for each core, and with as
many as ``threads.choose`` takes, in turn in one process. The aim: what is chosen is never slower than the
better of one thread and all threads by more than a factor of 1.3.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import costs
import joblib
import torch

from miga_lib import threads
from miga_lib.clips import load
from miga_lib.settings import choose

BUSY = "while True: pass"
STEPS = 20
ROUNDS = 3


def main() -> None:
    """Measure and print a row for each number of busy processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="quick")
    given = parser.parse_args()
    for name in threads.VARIABLES:
        os.environ.pop(name, None)
    settings = choose(given.preset, device="cpu")
    cores = joblib.cpu_count()
    torch.set_num_threads(threads._last)
    print(f"| busy processes | one thread | {cores} threads | chosen | threads chosen | best / chosen |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        task, state = costs.started(load("synthetic"), settings, Path(folder), STEPS * settings.batch_size)
        for busy in (0, 1, 6):
            others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy)]
            time.sleep(1)
            best: dict[str, float] = {}
            for _ in range(ROUNDS):
                threads.choose()
                counts = {"one": 1, "all": cores, "chosen": torch.get_num_threads()}
                for name, count in counts.items():
                    torch.set_num_threads(count)
                    began = time.perf_counter()
                    costs.epoch(task, state)
                    speed = STEPS / (time.perf_counter() - began)
                    best[name] = max(best.get(name, 0), speed)
                torch.set_num_threads(counts["chosen"])
            for other in others:
                other.kill()
                other.wait()
            ratio = max(best["one"], best["all"]) / best["chosen"]
            speeds = " | ".join(f"{best[name]:.1f} steps/s" for name in ("one", "all", "chosen"))
            print(f"| {busy} | {speeds} | {counts['chosen']} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
