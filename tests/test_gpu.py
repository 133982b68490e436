"""Inputs computed ahead and values read later: on the CPU, on a stand-in for a GPU that records what waits
for what, and on a GPU."""

from contextlib import contextmanager
from inspect import unwrap
from types import SimpleNamespace

import pytest
import torch

from miga_lib.settings import choose
from miga_lib.training import gpu


class Stream:
    """``before``: the work that is finished when the next work of this stream begins. ``waited``: what the
    CPU waited for."""

    def __init__(self, device="cuda:0", priority=0):
        self.device, self.before, self.waited = device, set(), set()

    def wait_stream(self, other):
        self.before |= other.before

    def record_event(self):
        return Event(self, set(self.before))


class Event:
    def __init__(self, stream, before):
        self.stream, self.before = stream, before

    def synchronize(self):
        self.stream.waited |= self.before


class Values(torch.Tensor):
    """A tensor of the stand-in, computed on the current stream."""

    is_cuda, device = True, "cuda:0"

    def __new__(cls, name):
        return super().__new__(cls)

    def __init__(self, name):
        self.of, self.readers = name, []
        torch.cuda.current_stream().before.add(name)

    def record_stream(self, stream):
        self.readers.append(stream)

    def to(self, device, non_blocking):
        assert (device, non_blocking) == ("cpu", True)
        return Values(f"copy of {self.of}")


@pytest.fixture
def own(monkeypatch):
    """The stream of the caller, on the stand-in."""
    current = [Stream()]

    @contextmanager
    def stream(side):
        current.append(side)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: current[-1])
    monkeypatch.setattr(gpu, "SIDE_STREAMS", {})
    return current[0]


def test_on_a_cpu_each_batch_is_computed_when_it_is_asked_for():
    done = []

    def batches():
        for number in range(3):
            done.append(f"batch {number}")
            yield (torch.tensor(number),)

    for (number,) in gpu.ahead(batches(), gpu.side_stream(choose("smoke", device="cpu", side_stream=True))):
        done.append(f"step {number}")
    assert done == ["batch 0", "step 0", "batch 1", "step 1", "batch 2", "step 2"]


def test_a_step_waits_for_its_batch_and_no_batch_waits_for_a_step(own):
    own.before.add("upload")
    on_gpu = SimpleNamespace(device="cuda:0", side_stream=True)
    side = unwrap(gpu.side_stream)(on_gpu)  # without the check of types, which the stand-ins do not have
    assert side.before == {"upload"}
    on_gpu.side_stream = False
    assert unwrap(gpu.side_stream)(on_gpu) is None, "the order that was measured is the default"
    on_gpu.side_stream = True
    assert unwrap(gpu.side_stream)(on_gpu) is side, "memory that one stream has freed is not used by another"
    seen = []
    for inputs, classes in unwrap(gpu.ahead)(
        ((Values(f"inputs {n}"), Values(f"classes {n}")) for n in range(3)), side
    ):
        assert {inputs.of, classes.of} <= own.before
        assert inputs.readers == classes.readers == [own], (
            "the memory is not used again before the step has read it"
        )
        own.before.add(f"step {len(seen)}")
        seen.append(inputs.of)
    assert seen == ["inputs 0", "inputs 1", "inputs 2"]
    assert side.before == {"upload", *seen, "classes 0", "classes 1", "classes 2"}


def test_values_are_read_after_their_copy_and_without_later_work(own):
    read = gpu.read_later(Values("loss 0"))
    own.before.add("step 1")
    assert not own.waited
    assert read().of == "copy of loss 0"
    assert own.waited == {"loss 0", "copy of loss 0"}


def test_on_a_cpu_the_values_are_there():
    assert gpu.read_later(torch.tensor([1.0, 2.0]))().tolist() == [1.0, 2.0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_batches_and_values_are_the_same():
    """Each batch is a new tensor in memory that is used again and again, while the caller's stream is far
    behind."""

    def batches():
        for number in range(200):
            yield (torch.full((1 << 20,), float(number), device="cuda") + torch.zeros(1).to("cuda"),)

    slow, later = torch.randn(2048, 2048, device="cuda"), []
    for (batch,) in gpu.ahead(batches(), gpu.side_stream(choose("smoke", device="cuda", side_stream=True))):
        for _ in range(5):
            slow = torch.nn.functional.normalize(slow @ slow)
        later.append(gpu.read_later(torch.stack([batch.min(), batch.max(), slow.isfinite().all()])))
    assert [read().tolist() for read in later] == [[float(n), float(n), 1.0] for n in range(200)]
