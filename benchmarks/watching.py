"""What is seen while cases run: a bar on a terminal, with the epochs of each fit; else lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self
from unittest import mock

from benchmarks.runner import Case
from repkit._progress import Bar
from repkit.engine import Training, train


class Watch:
    """Follows the cases of a benchmark; `began` is told of every run.

    On a terminal the bar counts runs, and moves within a run as the estimators of the package
    train. A method of others moves it from run to run.

    Parameters
    ----------
    name : str
        Of the benchmark.
    runs : int
        How many runs there will be.
    echo : callable
        Prints a line where there is no bar.
    """

    def __init__(self, name: str, runs: int, echo: Callable[[str], None] = print) -> None:
        self.echo, self.done, self.said = echo, -1, ""
        self.bar = Bar(name, runs)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.bar)
        if self.bar.is_shown:  # where nobody looks, fits are left alone
            for place in ("repkit.base.estimator.train", "repkit.dann.source_free.train"):
                self._stack.enter_context(mock.patch(place, self.train))
        return self

    def __exit__(self, *how: Any) -> None:
        self._stack.close()

    def began(self, case: Case, seed: int, seeds: int) -> None:
        """One more run."""
        self.done += 1
        self.said = f"{case.name}, seed {seed}"
        self.bar.set(self.done, self.said)
        if not self.bar.is_shown and seed == 0:
            self.echo(f"{time.strftime('%H:%M:%S')} {case.name}")

    def train(self, engine: Any, *, max_epochs: int, **options: Any) -> Training:
        """The engine's loop; at the end of each epoch the bar moves on."""
        judge, epochs = options.pop("evaluate", None), 0

        def evaluate() -> dict[str, Any]:
            nonlocal epochs
            epochs += 1
            share = epochs / (max_epochs + 1)
            self.bar.set(self.done + share, f"{self.said}, epoch {epochs}/{max_epochs}")
            return {} if judge is None else judge()

        return train(engine, max_epochs=max_epochs, evaluate=evaluate, **options)
