"""How much of a step is not spent in torch's operators, for small networks on a CPU.

In one fit every second step is taken as it is, and timed whole, from where it begins to where the
next one does. In the others each operator is timed; the clock itself is taken off.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.runner import Case
from benchmarks.steps import SYSTEMS, mlp, spoken, tables
from repkit import DANN, VAE, VAEGAN, BiGAN, InfoGAN, SpeechAutoencoder, TripleGAN
from repkit.engine import tape

ROUNDS = 5
STEPS, EPOCHS = 160, 3
SPEECH = "SpeechAutoencoder"


class Spent:
    """Seconds of recorded steps.

    Attributes
    ----------
    whole : list of float
        Of steps that are taken as they are.
    inside : list of float
        In the operators of the others.
    calls : list of int
        Operators of each of those.
    """

    def __init__(self) -> None:
        self.whole: list[float] = []
        self.inside: list[float] = []
        self.calls: list[int] = []
        self._seconds = 0.0
        self._begun: float | None = None  # of a step as it is

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function whose calls are timed."""
        now = time.perf_counter

        def call(*args: Any, **named: Any) -> Any:
            start = now()
            out = function(*args, **named)
            self._seconds += now() - start
            return out

        return call

    def in_turn(self, plain: tape.Step, watched: tape.Step, calls: int) -> tape.Step:
        """The one and the other, which do the same by so many calls."""

        def step() -> Any:
            if self._begun is None:
                self._begun = time.perf_counter()
                return plain()
            self.whole.append(time.perf_counter() - self._begun)
            self._begun, self._seconds = None, 0.0
            found = watched()
            self.inside.append(self._seconds)
            self.calls.append(calls)
            return found

        return step


def clock_seconds(n: int = 100_000) -> float:
    """What `Spent` finds of a call that does nothing."""
    spent = Spent()
    nothing = spent.timed(lambda: None)
    for _ in range(n):
        nothing()
    return spent._seconds / n


@contextmanager
def operators_timed() -> Iterator[Spent]:
    """Time recorded steps, and their operators."""
    spent, function, quickest = Spent(), tape.function, tape.quickest

    def both(calls: Any, given: Any, wanted: Any) -> tape.Step:
        plain = function(calls, given, wanted)
        with patch.object(tape, "quickest", lambda call: spent.timed(quickest(call))):
            return spent.in_turn(plain, function(calls, given, wanted), len(calls))

    with patch.object(tape, "function", both):
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
    for _ in range(ROUNDS):
        with operators_timed() as spent, warnings.catch_warnings(action="ignore"):
            fit(max_epochs=EPOCHS, steps_per_epoch=STEPS)
        whole = statistics.median(spent.whole)
        calls = statistics.median(spent.calls)
        inside = statistics.median(spent.inside) - tick * calls
        found.append((1 - inside / whole, calls, 1000 * whole))
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
