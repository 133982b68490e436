"""Starting the processes that train together from within another one, stopping one where it is clean, and keeping its memory."""

import ctypes
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .. import runs
from ..settings import Settings

MODULE = "miga_lib.training"

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
"""What ``mallopt`` of glibc sets: how many free bytes are kept; from what size on pieces are mapped apart, which are never kept; and
how many of these there may be."""
USUAL = {M_TRIM_THRESHOLD: 1 << 26, M_MMAP_THRESHOLD: 1 << 25, M_MMAP_MAX: 1 << 16}
"""What glibc comes to by itself where large pieces are freed; once one of these was set, it no longer moves them."""


def launch(
    settings: Settings,
    devices: int,
    data: str = "synthetic",
    outputs: str | Path = "",
    run: str = "",
    resume: bool = True,
    show: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train as ``training.fit`` does, in ``devices`` processes of this machine: one for each GPU, or sharing the CPU.

    It is the command ``torchrun --nproc-per-node <devices> -m miga_lib.training``. The processes are new ones, so this works from a
    notebook that has a GPU in use. Ctrl-C is passed on to them and they are waited for; where this process dies, they end at the
    next line that they have to say.

    Args:
        data, outputs, run, resume: as ``04_train`` has them.
        show: told each line that the processes print.

    Returns:
        The content of ``result.json``.

    Raises:
        ValueError: fewer devices than 1, or more than there are GPUs.
        RuntimeError: the processes failed; with the reason that they gave, or the end of what they said.
    """
    on_gpus = settings.resolve().device.startswith("cuda")
    if devices < 1 or (on_gpus and devices > torch.cuda.device_count()):
        most = f" and no more than the {torch.cuda.device_count()} GPUs of this machine" if on_gpus else ""
        raise ValueError(f"devices must be 1 or more{most}, got {devices}")
    given = {"data": data, "outputs": outputs, "run": run, **asdict(settings)}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    _run(devices, [*options, "--resume" if resume else "--no-resume"], show)
    return runs.result(runs.folder(run or runs.name(settings, data), outputs))


def _run(count: int, options: Sequence[str], show: Callable[[str], None]) -> None:
    # The dashes keep torchrun from taking our --run for one of its own options.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", "-m", "--", MODULE, *options]
    threads = max(1, (os.cpu_count() or 1) // count)
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONUNBUFFERED": "1"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "encoding": "utf-8", "start_new_session": True}
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(command, stderr=errors, env=environment, **pipes) as job,
    ):
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
            said = errors.read()
            reasons = [line.partition(": ")[2] for line in said.splitlines() if line.startswith(f"python -m {MODULE}: ")]
            raise RuntimeError(reasons[0] if reasons else f"{' '.join(command)} failed:\n{said[-2000:]}")


@contextmanager
def postponed_interrupt() -> Iterator[Callable[[], bool]]:
    """Let a block ask whether Ctrl-C was pressed, and stop where it is clean; a second Ctrl-C interrupts at once.

    Python tells the main thread alone of signals, so nothing is postponed in another one.
    """
    pressed: list[int] = []

    def keep(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, keep)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def kept_memory() -> Iterator[None]:
    """Within it, memory that is freed stays with the process, for the next step to use; at the end it goes back to the system.

    The maps of a batch are far larger than what glibc keeps by itself. It would hand each of them back once it is freed, and get it
    again page by page, each of them zeroed: more than half of the time of a CPU step of the `paper` network. The price is that what
    the process holds at its peak is about 1.5 times as much. Where another library allocates memory, this does nothing. It does
    not nest: the end of the inner one is the end of both.
    """
    libc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    if libc:
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        if libc:
            for parameter, value in USUAL.items():
                libc.mallopt(parameter, value)
            libc.malloc_trim(0)
