"""Threads that wait for each other give way on a busy machine."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

import repkit
from repkit.engine import threads
from repkit.engine.threads import Surplus, giving_way, libgomp, waits

linux = pytest.mark.skipif(not os.path.isdir(threads.TASKS), reason="needs Linux's /proc")


@pytest.fixture
def two_threads(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def held(monkeypatch):
    """What would have been held: +1 where a surplus begins, -1 where it ends."""
    changes = []

    class Recorded:
        def __init__(self):
            changes.append(1)

        def end(self):
            changes.append(-1)

    monkeypatch.setattr(threads, "Surplus", Recorded)
    monkeypatch.setattr(threads, "INTERVAL", 0.001)
    monkeypatch.setattr(threads, "_crowded_until", 0.0)
    return changes


@pytest.fixture
def waiting(monkeypatch):
    """Threads that wait for as long as the list holds something."""
    busy, total = [], [0]

    def told():
        total[0] += 10**9 * len(busy)
        return {"1": total[0], "2": 0}

    monkeypatch.setattr(threads, "waits", told)
    return busy


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.001)


@linux
@pytest.mark.usefixtures("two_threads")
def test_a_surplus_comes_with_crowding_and_goes_with_it(held, waiting):
    with giving_way():
        time.sleep(0.05)
        assert held == []
        waiting.append("a neighbor")
        until(lambda: held == [1])
        time.sleep(0.05)
        assert held == [1]
        waiting.clear()
        until(lambda: held == [1, -1])
        waiting.append("a neighbor")
        until(lambda: held == [1, -1, 1])
    assert held == [1, -1, 1, -1]
    assert not any(t.name.startswith("repkit") for t in threading.enumerate())


@linux
@pytest.mark.usefixtures("two_threads")
def test_a_short_pause_of_the_neighbors_is_no_calm(held, waiting, monkeypatch):
    monkeypatch.setattr(threads, "CALM", 10**9)
    waiting.append("a neighbor")
    with giving_way():
        until(lambda: held == [1])
        waiting.clear()
        time.sleep(0.05)
        assert held == [1]


@linux
@pytest.mark.usefixtures("two_threads")
def test_a_call_begins_as_the_last_one_ended(held, waiting, monkeypatch):
    waiting.append("a neighbor")
    with giving_way():
        until(lambda: held == [1])
    assert held == [1, -1]
    waiting.clear()
    monkeypatch.setattr(threads, "CALM", 10**9)
    monkeypatch.setattr(threads, "INTERVAL", 10.0)  # no look comes
    with giving_way():
        until(lambda: held == [1, -1, 1])
    assert held == [1, -1, 1, -1]
    monkeypatch.setattr(threads, "_crowded_until", time.monotonic() - 1)  # long ago
    with giving_way():
        time.sleep(0.05)
    assert held == [1, -1, 1, -1]


@linux
@pytest.mark.usefixtures("two_threads")
def test_the_surplus_goes_after_an_error_too(held, waiting):
    waiting.append("a neighbor")

    def failing():
        with giving_way():
            until(lambda: held == [1])
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert held == [1, -1]


@linux
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", None])
def test_a_user_who_says_how_threads_wait_is_obeyed(held, waiting, monkeypatch, name):
    waiting.append("a neighbor")
    if name is None:
        torch.set_num_threads(1)
    else:
        monkeypatch.setenv(name, "1")
    with giving_way():
        time.sleep(0.05)
    assert held == []


@linux
@pytest.mark.usefixtures("two_threads")
def test_a_fit_gives_way(held, waiting):
    waiting.append("a neighbor")
    X = np.random.default_rng(0).random((8, 4))

    def callback(*_):
        until(lambda: held == [1])
        assert torch.get_num_threads() == 2

    repkit.VAE(max_epochs=1, steps_per_epoch=1, device="cpu", callbacks=[callback]).fit(X)
    assert held == [1, -1]


def spent(regions=20, pause=0.004):
    """Processor time of regions of no work, with pauses in which the other thread waits."""
    x = torch.ones(100_000)
    before = time.process_time()
    for _ in range(regions):
        x.add_(1)
        time.sleep(pause)
    return time.process_time() - before


@linux
@pytest.mark.usefixtures("two_threads")
@pytest.mark.skipif(os.cpu_count() == 1, reason="needs two processors")
def test_threads_of_libgomp_sleep_beside_a_surplus():
    if not libgomp():
        pytest.skip("torch has another OpenMP")
    spinning = spent()
    if spinning < 0.02:
        pytest.skip("threads sleep anyway, as the environment said when torch was loaded")
    surplus = Surplus()
    until(lambda: spent() < 0.3 * spinning)
    surplus.end()
    assert spent() > 0.3 * spinning


@linux
def test_waiting_for_a_processor_is_seen():
    """Beside a busy process on the one processor that both may use."""
    allowed = os.sched_getaffinity(0)
    one = {min(allowed)}
    code = f"import os; os.sched_setaffinity(0, {one}); print(1, flush=True)\nwhile True: pass"
    task = str(threading.get_native_id())
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as neighbor:
        neighbor.stdout.readline()
        os.sched_setaffinity(0, one)
        try:
            before, started = waits()[task], time.monotonic()
            while time.monotonic() < started + 0.3:
                pass
            share = (waits()[task] - before) / (time.monotonic() - started) / 1e9
        finally:
            os.sched_setaffinity(0, allowed)
            neighbor.kill()
    assert share > threads.CROWDED
