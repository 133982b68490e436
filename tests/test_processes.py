"""What is asked of the operating system."""

import platform
import subprocess
import sys

import pytest

HELD = """
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
maps = torch.ones(50_000_000)
del maps
print(held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is asked to keep memory")
def test_memory_is_kept_for_the_next_step_and_then_given_back():
    """A process of its own frees 200 MB ten times. What glibc keeps is cut so that it fits only from the third time on."""
    said = subprocess.run([sys.executable, "-c", HELD], check=True, stdout=subprocess.PIPE, text=True).stdout
    *kept, after, later = map(float, said.split())
    assert kept[0] > 190
    assert kept[-1] < 2 * kept[0] + 20, "later tensors lie where the first ones were"
    assert after < 50
    assert later < 50, "what comes after it is handed back as before"
