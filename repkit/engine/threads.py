"""Internal. Threads that wait for each other give way on a busy machine."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import torch

INTERVAL = 0.05  # seconds between two looks, or as much more as keeps looking at 2 % of the time
CROWDED = 0.2  # seconds a second that threads wait for a processor: others take as much of a core
CALM = 20  # looks without that, until the threads may spin again
REMEMBERED = 10.0  # seconds for which the next call begins as crowded as the last one ended
TASKS = "/proc/self/task"

_crowded_until = 0.0


@contextmanager
def giving_way() -> Iterator[None]:
    """While others want the processors, threads that wait for each other sleep; else they spin.

    A step of a small network is some hundred parallel regions. Between two of them OpenMP's threads
    wait in a spin of some milliseconds, which is the quickest way on an idle machine: with threads
    that sleep at once fits took up to 1.3 times as long, since waking them takes longer than many a
    region. Beside two busy processes on two cores spinning is the slowest way: a thread
    burns its share of a core while it waits for another that has none, and a step of 20 ms took a
    second. No fixed length of the spin was good at both. One thread is not either: idle, some fits
    take 1.3 to 1.5 times as long, and results would depend on the choice, since another number of
    threads rounds differently. How threads wait changes no result.

    So another thread looks, twenty times a second, how long the threads of this process have waited
    for a processor. If others take more than a fifth of a core, it makes libgomp cut the spin to
    next to nothing, as it does by itself where it has more threads than there are processors: it
    gets as many more, which sleep. They go after a second without such waiting. Of many short fits
    each begins as the last one ended, so that not each has to find out again.

    Nothing is done with one thread, where the environment says how OpenMP's threads wait
    (``OMP_WAIT_POLICY``, ``GOMP_SPINCOUNT``), with another OpenMP than libgomp, or on systems
    without Linux's ``/proc``.
    """
    told = not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}.isdisjoint(os.environ)
    if torch.get_num_threads() == 1 or told or not os.path.isdir(TASKS):
        yield
        return
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(over,), name="repkit-watcher", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _watch(over: threading.Event) -> None:
    """Hold a surplus of threads whenever this process waits for processors, until it is over."""
    global _crowded_until
    surplus = Surplus() if time.monotonic() < _crowded_until else None
    own = str(threading.get_native_id())
    calm, before, looked, pause = 0, waits(), time.monotonic_ns(), INTERVAL
    while not over.wait(pause):
        spent = time.thread_time()
        now, looks = waits(), time.monotonic_ns()
        waited = sum(ns - before.get(task, 0) for task, ns in now.items() if task != own)
        calm = 0 if waited > CROWDED * (looks - looked) else calm + 1
        before, looked = now, looks
        if calm == 0 and surplus is None:
            surplus = Surplus()
        elif calm == CALM and surplus is not None:
            surplus.end()
            surplus = None
        pause = max(INTERVAL, 50 * (time.thread_time() - spent))
    _crowded_until = 0.0 if surplus is None else time.monotonic() + REMEMBERED
    if surplus is not None:
        surplus.end()


def waits() -> dict[str, int]:
    """Nanoseconds that each thread of this process has waited for a processor so far."""
    found = {}
    for task in os.listdir(TASKS):
        # A thread may have ended meanwhile, and not every kernel counts.
        with suppress(OSError, IndexError), open(f"{TASKS}/{task}/schedstat", "rb", 0) as file:
            found[task] = int(file.read().split()[1])
    return found


class Surplus:
    """As many threads of libgomp that it has more than there are processors, asleep until `end`.

    It then lets threads spin for 100 turns instead of 300,000, as its documentation of
    ``GOMP_SPINCOUNT`` says.
    Each thread that opens a parallel region has a team of its own for as long as it lives.
    """

    def __init__(self) -> None:
        missing = len(os.sched_getaffinity(0)) - torch.get_num_threads()
        self._team = max(missing, 0) + 2
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._hold, name="repkit-surplus", daemon=True)
        self._thread.start()

    def _hold(self) -> None:
        for library in libgomp():
            nothing = ctypes.cast(library.omp_get_thread_num, ctypes.c_void_p)
            library.GOMP_parallel(nothing, None, ctypes.c_uint(self._team), ctypes.c_uint(0))
        self._over.wait()

    def end(self) -> None:
        self._over.set()
        self._thread.join()


@cache
def libgomp() -> tuple[ctypes.CDLL, ...]:
    """All that are loaded: torch brings one of its own, scikit-learn another."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    found = []
    for path in dict.fromkeys(line.split(maxsplit=5)[-1] for line in lines if "libgomp" in line):
        with suppress(OSError, AttributeError):  # deleted since, or only named so
            library = ctypes.CDLL(path)
            _ = library.GOMP_parallel, library.omp_get_thread_num
            found.append(library)
    return tuple(found)
