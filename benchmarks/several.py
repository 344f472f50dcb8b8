"""Eight small fits in a process a core: how many times as long as one fit they take."""

from __future__ import annotations

import statistics
import time
import warnings
from functools import partial

from joblib import Parallel, cpu_count, delayed

from benchmarks.outside import fit_of
from benchmarks.runner import Case
from benchmarks.steps import SYSTEMS

FITS = 8
ROUNDS = 3
STEPS, EPOCHS = 64, 10


def seconds(system: str, random_state: int) -> float:
    """Of a fit."""
    fit = fit_of(system)
    start = time.perf_counter()
    with warnings.catch_warnings(action="ignore"):
        fit(max_epochs=EPOCHS, steps_per_epoch=STEPS, random_state=random_state)
    return time.perf_counter() - start


def eight(system: str, seed: int) -> dict[str, float]:
    """Times as long as one fit alone, which has all cores; processes are there already."""
    one = statistics.median(seconds(system, k) for k in range(ROUNDS + 1))
    found = []
    with Parallel(n_jobs=cpu_count()) as parallel:
        for _ in range(ROUNDS + 1):
            start = time.perf_counter()
            parallel(delayed(seconds)(system, k) for k in range(FITS))
            found.append(time.perf_counter() - start)
    return {"times one": statistics.median(found[1:]) / one, "s of one": one}


def cases() -> list[Case]:
    """The seeds are repetitions."""
    variant = f"{cpu_count()} processes (joblib)"
    return [Case("eight fits, MLPs of 128", s, variant, partial(eight, s)) for s in SYSTEMS]
