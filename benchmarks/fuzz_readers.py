"""Ten thousand mutated files for each reader: clips or one of our own errors, in bounded time and memory.

``python benchmarks/fuzz_readers.py [--count 10000] [--seed 0] [reader …]`` prints, for each, how many were read and refused, the
slowest case and the memory; it stops at the first fault with the changes that bring it about. A seeded few hundred run in the tests.
"""

import argparse
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

MEMORY = 4 * 2**30
"""Bytes of address space beyond what the process had before."""
LONGEST = 5.0
"""Seconds a case may take."""


def run(name: str, count: int, number: int) -> str:
    """Fuzz one reader. Raises whatever was found, after hypothesis has made it small."""
    seen: Counter = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        once = fuzzing.attack(name, Path(folder))

        @seed(number)
        @settings(
            max_examples=count, deadline=None, database=None, phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck)
        )
        @given(fuzzing.CHANGES)
        def each(changes):
            nonlocal slowest
            began = time.process_time()
            seen[once(changes)] += 1
            took = time.process_time() - began
            slowest = max(slowest, took)
            assert took < LONGEST, f"took {took:.1f} s"

        began = time.process_time()
        each()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{name:12s} {sum(seen.values()):6d} files: {seen['clips']} read, {seen['refused']} refused; slowest {slowest * 1000:.0f} ms, "
        f"peak {peak:.0f} MB, {time.process_time() - began:.0f} s in all"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("readers", nargs="*", choices=[*fuzzing.SOURCES, []], help="default: all")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given_arguments = parser.parse_args()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    warnings.simplefilter("error")
    for reader in given_arguments.readers or fuzzing.SOURCES:
        print(run(reader, given_arguments.count, given_arguments.seed), flush=True)
