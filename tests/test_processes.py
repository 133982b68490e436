"""Requests to the operating system."""

import platform
import subprocess
import sys

import pytest

MEASURE_MEMORY = """
import psutil, torch
from miga_lib.training.processes import kept_memory

def held():
    return psutil.Process().memory_info().rss / 1e6

before = held()
with kept_memory():
    for _ in range(10):
        maps = torch.ones(50_000_000)
        del maps
        print(held() - before)
print(held() - before)
maps = torch.ones(150_000_000)
del maps
print(held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory")
def test_memory_is_kept_for_the_next_step_and_returned_at_the_end():
    """A new process frees 200 MB ten times. glibc splits the memory that it keeps, so a tensor only fits into
    it from the third time on."""
    said = subprocess.run(
        [sys.executable, "-c", MEASURE_MEMORY], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    *kept, after, later = map(float, said.split())
    assert kept[0] > 190
    assert kept[-1] < 2 * kept[0] + 20, "later tensors use the memory of the first ones"
    assert after < 50
    assert later < 50, "later memory that fits into no hole of the heap is returned at once, as before"


TRAIN_NARROW = """
import sys, torch
from miga_lib.models.graphs import TimeConvolution
from miga_lib.models.posec3d import FlatConvolution

torch.set_num_threads(2)
if sys.argv[1] == "graph":
    conv = TimeConvolution(8, 16, 1, 2)
    x = torch.randn(41, 8, 24, 24).contiguous(memory_format=torch.channels_last)
else:
    conv = FlatConvolution(8, 16, (1, 1, 1), (1, 2, 2))
    x = torch.randn(1, 8, 41, 24, 24).contiguous(memory_format=torch.channels_last_3d)
for _ in range(20):
    conv(x).sum().backward()
print(conv.weight.grad.isfinite().all().item())
"""


@pytest.mark.parametrize("kind", ["graph", "heatmaps"])
def test_narrow_networks_are_trained_with_several_threads(kind):
    """oneDNN writes outside its memory in a strided 1×1 convolution of few channels, which crashed the
    process or left it waiting."""
    command = [sys.executable, "-c", TRAIN_NARROW, kind]
    assert (
        subprocess.run(command, check=True, timeout=120, stdout=subprocess.PIPE, text=True).stdout == "True\n"
    )
