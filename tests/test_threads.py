"""The number of threads: a thread for each idle core, unless the user has chosen; and a machine that becomes
busy is noticed."""

import psutil
import pytest
import torch

from miga_lib import threads


@pytest.fixture
def machine(monkeypatch):
    """Four cores that the process may use, whose load is set; no choice of the user; threads as before
    afterwards."""
    before, load = torch.get_num_threads(), [0.0] * 4
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(len(load))), raising=False)
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds, percpu: list(load))
    monkeypatch.setattr(threads, "_last", before)
    monkeypatch.setattr(threads, "_told", 0)
    yield load
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("usable", "idle", "threads_"), [(4, 4, 4), (4, 1, 1), (4, 0, 1), (4, -3, 1), (2, 9, 2)]
)
def test_a_thread_for_each_idle_core(usable, idle, threads_):
    assert threads.count(usable, idle) == threads_


def test_the_number_is_set_and_told_once(machine):
    machine[:] = [100, 80, 5, 0]
    expected = "Computing with 2 threads (4 cores that this process may use, 2 idle; OMP_NUM_THREADS sets"
    assert threads.choose().startswith(expected)
    assert torch.get_num_threads() == 2
    assert threads.choose() == ""
    machine[:] = [0, 0, 5, 0]
    assert threads.choose().startswith("Computing with 4 threads")


def test_cores_of_other_processes_do_not_count(machine, monkeypatch):
    """With two of four cores by affinity, the load of the other two says nothing."""
    machine[:] = [100, 100, 0, 0]
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {2, 3}, raising=False)
    assert threads.idle_cores() == 2


@pytest.mark.parametrize("name", threads.VARIABLES)
def test_the_environment_has_the_last_word(machine, monkeypatch, name):
    monkeypatch.setenv(name, "3")
    before = torch.get_num_threads()
    assert threads.choose() == ""
    assert torch.get_num_threads() == before


def test_what_the_user_set_in_python_stays(machine):
    torch.set_num_threads(threads._last + 1)
    assert threads.choose() == ""
    assert torch.get_num_threads() == threads._last + 1


def test_a_machine_that_becomes_busy_is_noticed_once(machine):
    torch.set_num_threads(2)
    threads._last = 2
    pace = threads.Pace()
    said = [pace.step(0.1) for _ in range(30)] + [pace.step(0.5) for _ in range(30)]
    assert [number for number, sentence in enumerate(said) if sentence] == [32], "three of the last five"
    assert said[32].startswith(
        "A step takes 0.5 s, before it took 0.1 s: the machine is busy; stop and start"
    )


def test_the_advice_is_one_that_helps(machine):
    """Nothing helps a single thread; where the user has chosen two, starting again would choose two again."""
    for count, sentence in ((1, None), (2, "stop and start again with OMP_NUM_THREADS=1, the run goes on")):
        torch.set_num_threads(count)
        threads._last = 3
        pace = threads.Pace()
        said = "".join(pace.step(seconds) for seconds in [0.1] * 30 + [0.5] * 5)
        assert (sentence in said) if sentence else not said


def test_single_slow_steps_and_a_slow_beginning_are_not_noticed():
    pace = threads.Pace()
    times = [1.0] * 3 + ([0.1] * 20 + [0.9] * 2) * 5
    assert not any(pace.step(seconds) for seconds in times)
