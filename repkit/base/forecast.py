"""Internal. A warning, early in a fit of nothing but defaults, that it will take long."""

from __future__ import annotations

import dataclasses
import warnings
from time import perf_counter
from typing import Any

from repkit._caller import outside
from repkit.base.parameters import Part

LONG = 600.0  # seconds
PACE = 10.0  # seconds of training after which it is known how long a step takes
WARM = 3  # steps before that, which are slower


def is_wanted(estimator: Any) -> bool:
    """Whether nobody watches a fit on a CPU, keeps its state, or has said how long it is to be."""
    defaults = {f.name: f.default for f in dataclasses.fields(estimator)}
    untouched = all(getattr(estimator, k) == defaults[k] for k in ("max_epochs", "steps_per_epoch"))
    watched = estimator.verbose or estimator.callbacks or estimator.checkpoint is not None
    return estimator.device.type == "cpu" and untouched and not watched


class Forecast:
    """Measures the pace of the first steps, and warns once if the end of the fit is far.

    It is told of each step, as a callback with ``on_step`` is, and not of epochs.

    Parameters
    ----------
    estimator : estimator
        Which is fitted, its parameters resolved.
    trainings : int
        How many there will be.
    """

    def __init__(self, estimator: Any, trainings: int) -> None:
        self.estimator, self.trainings = estimator, trainings
        self.steps, self.start, self.told = 0, 0.0, False

    def on_step(self, done: int, of: int) -> None:
        """Of each step, look at the clock until the pace is known."""
        if self.told:
            return
        self.steps += 1
        if self.steps == WARM:
            self.start = perf_counter()
        spent = perf_counter() - self.start
        if self.steps <= WARM or spent < PACE:
            return
        self.told = True
        pace, epochs = spent / (self.steps - WARM), int(self.estimator.max_epochs)
        steps = of * epochs * self.trainings
        if pace * steps > LONG:
            warnings.warn(self._said(pace, steps, epochs), stacklevel=outside())

    def _said(self, pace: float, steps: int, epochs: int) -> str:
        within = max(1, int(epochs * LONG / (pace * steps)))
        told = (
            f"this fit will take about {pace * steps / 60:.0f} minutes on the CPU ({steps:,} steps "
            f"of {pace:.2g} s); verbose=1 shows how far it is; with max_epochs={within} it takes "
            f"{max(1, round(within * pace * steps / epochs / 60))}"
        )
        smaller = [f"{name}='mlp'" for name in _made_for_images(self.estimator)]
        if smaller:
            told += f"; less work is {', '.join(smaller)}"
        return told + "; repkit.recipes has settings that take minutes"


def _made_for_images(estimator: Any) -> list[str]:
    """Parameters that were left to take a network for images by themselves."""
    if len(estimator.input_shape_) != 3:
        return []
    found = []
    for f in dataclasses.fields(estimator):
        value = getattr(estimator, f.name)
        value = getattr(value, "network", None) if isinstance(value, Part) else value
        within = dataclasses.fields(f.metadata["part"]) if "part" in f.metadata else ()
        if value == "auto" and any("network" in g.metadata for g in (f, *within)):
            found.append(f.name)
    return found
