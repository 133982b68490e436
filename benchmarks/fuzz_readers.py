"""Ten thousand changed files for each reader and each kind of change, in bounded time and memory.

``habits`` changes valid files as people and their programs do, and compares the clips with those of the
original: the same clips, a refusal, or a new line in the report. ``bytes`` mutates bytes and values: clips
that keep their promises, or a refusal.

``python benchmarks/fuzz_readers.py [--count 10000] [--seed 0] [--kind habits] [reader …]`` prints the number
of each outcome, the slowest case and the memory. It stops at the first fault and prints the changes that
cause it. The tests run a few hundred cases.
"""

import argparse
import gc
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import fuzzing
import habits

KINDS = {"bytes": (fuzzing.attack, fuzzing.CHANGES), "habits": (habits.follow, habits.HABITS)}

MEMORY_BYTES = 4 * 2**30
"""Limit of the address space, in addition to that of the process before."""
CASE_SECONDS = 5.0
"""Limit of the time of a case."""


def run(name: str, kind: str, count: int, number: int) -> str:
    """Fuzz one reader. Raises the error found, for the smallest case to which hypothesis reduces it."""
    seen: Counter = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        attack, changes_of = KINDS[kind]
        once = attack(name, Path(folder))

        @seed(number)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(changes_of)
        def each(changes):
            nonlocal slowest
            began = time.process_time()
            seen[once(changes)] += 1
            took = time.process_time() - began
            slowest = max(slowest, took)
            assert took < CASE_SECONDS, f"took {took:.1f} s"

        began = time.process_time()
        each()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in sorted(seen.items()))
    cost = f"slowest {slowest * 1000:.0f} ms, peak {peak:.0f} MB, {time.process_time() - began:.0f} s in all"
    return f"{name:12s} {kind:6s} {sum(seen.values()):6d} cases: {outcomes}; {cost}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("readers", nargs="*", choices=[*fuzzing.SOURCES, []], help="default: all")
    parser.add_argument("--kind", choices=KINDS, help="default: both")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given_arguments = parser.parse_args()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY_BYTES,) * 2)
    warnings.simplefilter("error")
    gc.freeze()  # else each collection goes through all objects of the imported libraries
    for reader in given_arguments.readers or fuzzing.SOURCES:
        for change in [given_arguments.kind] if given_arguments.kind else KINDS:
            print(run(reader, change, given_arguments.count, given_arguments.seed), flush=True)
