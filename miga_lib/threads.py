"""How many threads PyTorch computes with on a CPU: one for each core that is idle.

The threads of a step wait for each other by spinning. Where one of them shares its core with another process,
all of them wait for it, and a step with two threads takes longer than with one (``benchmarks/busy.py``).
"""

import os
import statistics
from collections import deque

import torch

SECONDS = 0.3
"""For how long the load of the machine is measured."""
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""With one of these in the environment, the user has chosen."""
RECENT, EARLIER = 5, 200
"""Steps whose median is compared with that of so many steps before, or of ``FEWEST`` or more."""
FEWEST = 20
SLOWER = 3.0
"""From this ratio on the machine is said to be busy."""

_last = torch.get_num_threads()
"""The number that PyTorch or ``choose`` has set. Another one now was set by the user."""
_told = 0


def choose() -> str:
    """Set the number of threads, unless the user has set it. Returns a sentence about it, empty where it has
    been told before."""
    global _last, _told
    if _chosen_by_user():
        return ""
    import joblib

    usable, idle = joblib.cpu_count(), idle_cores()
    _last = count(usable, idle)
    if _last != torch.get_num_threads():
        torch.set_num_threads(_last)
    if _last == _told:
        return ""
    _told = _last
    cores = f"{usable} core{'s' * (usable > 1)} that this process may use, {min(idle, usable)} idle"
    return f"Computing with {_last} thread{'s' * (_last > 1)} ({cores}; OMP_NUM_THREADS sets another number)."


def _chosen_by_user() -> bool:
    return any(name in os.environ for name in VARIABLES) or torch.get_num_threads() != _last


def count(usable: int, idle: int) -> int:
    """The number of threads: at least one, and none on a core that another process computes on.

    Args:
        usable: cores by affinity and quota of the process.
        idle: idle cores among those of its affinity.
    """
    return max(1, min(usable, idle))


def idle_cores() -> int:
    """The cores of the process's affinity that other processes leave idle, measured for ``SECONDS``."""
    import psutil

    busy = psutil.cpu_percent(SECONDS, percpu=True)
    if hasattr(os, "sched_getaffinity"):
        own = os.sched_getaffinity(0)
        busy = [share for core, share in enumerate(busy) if core in own]
    return len(busy) - round(sum(busy) / 100)


class Pace:
    """Notices, once, that steps take much longer than before."""

    def __init__(self) -> None:
        self._seconds: deque[float] | None = deque(maxlen=RECENT + EARLIER)

    def step(self, seconds: float) -> str:
        """A sentence with advice at the step that shows it, else empty."""
        if self._seconds is None:
            return ""
        self._seconds.append(seconds)
        times = list(self._seconds)
        if len(times) < RECENT + FEWEST:
            return ""
        now, before = statistics.median(times[-RECENT:]), statistics.median(times[:-RECENT])
        if now < SLOWER * before or torch.get_num_threads() == 1:  # a single thread waits for no other
            return ""
        self._seconds = None
        advice = "stop and start again, the run goes on with a thread for each idle core"
        if _chosen_by_user():
            advice = "stop and start again with OMP_NUM_THREADS=1, the run goes on"
        return f"A step takes {now:.2g} s, before it took {before:.2g} s: the machine is busy; {advice}."
