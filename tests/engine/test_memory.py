"""What a step frees is kept for the next one, and given back at the end."""

import os
import subprocess
import sys
import warnings
from contextlib import suppress

import numpy as np
import pytest
import torch

from benchmarks import steps
from repkit import VAE
from repkit.engine import memory
from repkit.engine.memory import KEPT, USUAL, glibc, keeping_memory

SCRIPT = """
import resource, torch
from contextlib import nullcontext
from repkit.engine.memory import keeping_memory

def faults(context):
    with context:
        torch.ones(10_000_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            torch.ones(10_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(nullcontext()), faults(keeping_memory()))
"""


def run(**environment):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=True
    )
    return [int(x) for x in out.stdout.split()]


needs_glibc = pytest.mark.skipif(glibc() is None, reason="needs glibc")


@needs_glibc
def test_who_has_set_thresholds_keeps_them():
    plain, kept = run(MALLOC_MMAP_THRESHOLD_="1000000")
    assert kept > plain / 2


@pytest.fixture
def told(monkeypatch):
    found = []

    class Libc:
        def mallopt(self, parameter, value):
            found.append((parameter, value))

        def malloc_trim(self, pad):
            found.append("trim")

    libc = Libc()
    monkeypatch.setattr(memory, "glibc", lambda: libc)
    return found


@pytest.mark.parametrize("long", [False, True])
def test_the_outermost_sets_and_the_last_gives_back(long, told, monkeypatch):
    monkeypatch.setattr(memory, "LONG", 0.0 if long else 100.0)
    with keeping_memory():
        with suppress(KeyError), keeping_memory():
            assert told == [*KEPT.items()]
            raise KeyError
        assert told == [*KEPT.items()]
    assert told == [*KEPT.items(), *USUAL.items(), *["trim"] * long]


def test_without_glibc_nothing_is_done(monkeypatch):
    monkeypatch.setattr(memory, "glibc", lambda: None)
    with keeping_memory():
        memory.set_thresholds(USUAL)
        assert torch.ones(2).sum() == 2


def test_every_fit_keeps_memory(told):
    X = np.random.default_rng(0).random((20, 3))
    seen = []
    model = VAE(width=8, max_epochs=1, callbacks=[lambda row: seen.extend(told)], device="cpu")
    with warnings.catch_warnings(action="ignore"):
        model.fit(X)
    assert seen == [*KEPT.items()]
    assert told[:4] == [*KEPT.items(), *USUAL.items()]


def test_a_loop_beside_a_fit_does_not(told):
    """In the benchmark of steps."""
    seen = []
    turns = steps.Turns(lambda block: seen.extend(told), 1, "cpu")
    turns.on_step(steps.WARM + 1, steps.WARM + 1)
    assert seen == [*USUAL.items()]
    assert told == [*USUAL.items(), *KEPT.items()]
