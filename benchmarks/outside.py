"""How much of a step is not spent in torch's operators, for small networks on a CPU.

A fit is timed, and then one in which each operator of the recorded step is timed. What the second
adds up to is what the first has in operators; the clock itself is taken off.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.gpu import Clock
from benchmarks.runner import Case
from benchmarks.steps import SYSTEMS, mlp, spoken, tables
from repkit import DANN, VAE, VAEGAN, BiGAN, InfoGAN, SpeechAutoencoder, TripleGAN
from repkit.engine import tape

ROUNDS = 5
STEPS, EPOCHS = 160, 3
SPEECH = "SpeechAutoencoder"


@dataclasses.dataclass
class Spent:
    """In operators of recorded steps.

    Parameters
    ----------
    seconds : float
    calls : int
    steps : int
    """

    seconds: float = 0.0
    calls: int = 0
    steps: int = 0


def timed(function: Callable[..., Any], spent: Spent) -> Callable[..., Any]:
    """A function whose calls are counted and timed."""
    now = time.perf_counter

    def call(*args: Any, **named: Any) -> Any:
        start = now()
        out = function(*args, **named)
        spent.seconds += now() - start
        spent.calls += 1
        return out

    return call


def clock_seconds(n: int = 100_000) -> float:
    """What `timed` finds of a call that does nothing."""
    spent = Spent()
    nothing = timed(lambda: None, spent)
    for _ in range(n):
        nothing()
    return spent.seconds / n


@contextmanager
def operators_timed() -> Iterator[Spent]:
    """Time the operators of recorded steps."""
    spent, function, quickest = Spent(), tape.function, tape.quickest

    def counted(calls: Any, given: Any, wanted: Any) -> Any:
        step = function(calls, given, wanted)

        def act() -> Any:
            spent.steps += 1
            return step()

        return act

    with (
        patch.object(tape, "function", counted),
        patch.object(tape, "quickest", lambda call: timed(quickest(call), spent)),
    ):
        yield spent


def fit_of(system: str) -> Callable[..., Any]:
    """``(**parameters) -> fitted``: networks of width 128 on tables, or images of 8 x 8."""
    given: dict[str, Any] = {"device": "cpu", "precision": "fp32", "random_state": 0}
    if system == "DANN":
        X, y, domain = tables()
        return lambda **p: DANN(mlp, **(given | p)).fit(X, y, sample_domain=domain)
    if system == SPEECH:
        frames, speaker = spoken()
        frames = [x[:40] for x in frames]
        return lambda **p: SpeechAutoencoder(prototypes=None, **(given | p)).fit(frames, speaker)
    rng = np.random.default_rng(0)
    X, y = rng.random((1024, 8, 8), dtype=np.float32), np.arange(1024) % 5
    given |= {"width": 128, "generator": "mlp"}
    if system == "TripleGAN":
        few = np.where(np.arange(1024) < 200, y, -1)
        given |= {"classifier": "mlp", "discriminator": "mlp"}
        return lambda **p: TripleGAN(**(given | p)).fit(X, few)
    made: Any = {"VAE": VAE, "VAEGAN": VAEGAN, "BiGAN": BiGAN, "InfoGAN": InfoGAN}[system]
    given |= {} if system == "VAE" else {"discriminator": "mlp"}
    given |= {} if system == "InfoGAN" else {"encoder": "mlp"}
    return lambda **p: made(**(given | p)).fit(X)


def outside_share(system: str, seed: int = 0) -> dict[str, float]:
    """The share of a step outside torch's operators, how many those are, and milliseconds."""
    fit, tick, found = fit_of(system), clock_seconds(), []
    with warnings.catch_warnings(action="ignore"):
        fit(max_epochs=1, steps_per_epoch=STEPS)
        for _ in range(ROUNDS):
            clock = Clock(wait=lambda: None)
            fit(max_epochs=EPOCHS, steps_per_epoch=STEPS, callbacks=[clock])
            step = clock.measured()["step"]
            with operators_timed() as spent:
                fit(max_epochs=EPOCHS, steps_per_epoch=STEPS)
            inside = (spent.seconds - tick * spent.calls) / spent.steps
            found.append((1 - inside / step, spent.calls / spent.steps, 1000 * step))
    names = ("share outside operators", "operators", "ms")
    medians = map(statistics.median, zip(*found, strict=True))
    return dict(zip(names, medians, strict=True))


def cases() -> list[Case]:
    """The seeds are repetitions."""
    networks = {**dict.fromkeys(SYSTEMS, "MLPs of 128"), SPEECH: "convolutions of 96"}
    return [
        Case("share of a step outside operators", system, variant, partial(outside_share, system))
        for system, variant in networks.items()
    ]
