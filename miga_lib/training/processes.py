"""Requests to the operating system: several training processes, Ctrl-C after a step, kept memory."""

import ctypes
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import torch

from ..runs import run_folder, run_name, run_result
from ..settings import Settings

MODULE = "miga_lib.training"

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
"""Parameters of glibc's ``mallopt``: how many free bytes the process keeps; the bytes above which an
allocation has its own mapping, which is returned when freed; and the largest number of such mappings."""
GLIBC_VALUES = {M_TRIM_THRESHOLD: 1 << 26, M_MMAP_THRESHOLD: 1 << 25, M_MMAP_MAX: 1 << 16}
"""The values that glibc reaches by itself after large pieces were freed. It stops adapting them once a
program has set one."""


def launch(
    settings: Settings,
    data: str = "synthetic",
    outputs: str | Path = "",
    run: str = "",
    show: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train as ``training.fit`` does, in ``settings.devices`` new processes: one for each GPU, or sharing the
    CPU. Returns the content of ``result.json``. Ctrl-C is passed on to them, and waits until they end.

    Args:
        data, outputs, run: as the parameters of ``04_train``.
        show: called with each line that the processes print.

    Raises:
        ValueError: more devices than there are GPUs, or clips in a step.
        RuntimeError: the processes failed; the message is their error, or the end of their output.
    """
    limit, limited_by = settings.batch_size, "the clips of a step"
    if settings.device.startswith("cuda"):
        limit, limited_by = torch.cuda.device_count(), "the GPUs of this machine"
    if settings.devices > limit:
        raise ValueError(f"devices must be 1 to {limit}, {limited_by}, got {settings.devices}")
    options = [f"--data={data}", f"--outputs={outputs}", f"--run={run}"]
    options.append(f"--settings={json.dumps(settings.values())}")
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={settings.devices}"]
    # Without the dashes torchrun takes our --run for one of its own options.
    _run([sys.executable, "-m", *torchrun, "-m", "--", MODULE, *options], settings.devices, show)
    return run_result(run_folder(run or run_name(settings, data), outputs))


def _run(command: list[str], count: int, show: Callable[[str], None]) -> None:
    """Run a command that starts ``count`` processes, and show what they print."""
    threads = max(1, joblib.cpu_count() // count)
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONUNBUFFERED": "1"}
    text: dict[str, Any] = {"text": True, "encoding": "utf-8", "env": environment, "start_new_session": True}
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, **text) as job,
    ):
        assert job.stdout is not None  # it is a pipe
        try:
            for line in job.stdout:
                show(line.rstrip("\n"))
            job.wait()
        except KeyboardInterrupt:
            job.send_signal(signal.SIGINT)
            job.wait()
            raise
        finally:
            job.terminate()
        if job.returncode:
            errors.seek(0)
            printed = errors.read()
            for line in printed.splitlines():
                if line.startswith(f"python -m {MODULE}: "):
                    raise RuntimeError(line.partition(": ")[2])
            raise RuntimeError(f"{' '.join(command)} failed:\n{printed[-2000:]}")


@contextmanager
def postponed_interrupt() -> Iterator[Callable[[], bool]]:
    """In this block the first Ctrl-C only sets a flag, and the second one raises KeyboardInterrupt.

    Yields a function that returns the flag, so that the block can stop where it chooses. If it does not,
    KeyboardInterrupt is raised at its end. Only the main thread of Python gets signals.
    """
    pressed: list[int] = []

    def note(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def kept_memory() -> Iterator[None]:
    """In this block the process keeps freed memory for the next step; at the end the system gets it back.

    The maps of a batch are far larger than the memory that glibc keeps by itself. To return and request them
    page by page, each page zeroed, takes more than half of the time of a CPU step of the `paper` network. The
    cost is about 1.5 times the peak memory. Without glibc this does nothing. It cannot be nested: the end of
    the inner block ends both.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        for parameter, value in GLIBC_VALUES.items():
            libc.mallopt(parameter, value)
        libc.malloc_trim(0)
