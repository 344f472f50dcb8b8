"""Internal. What is seen while a command runs: a bar on a terminal, else lines."""

from __future__ import annotations

import time
from typing import Any

from repkit import _progress
from repkit.cli.commands import is_quiet, say

EVERY = 30.0  # seconds between lines where there is no bar


def wants_bar() -> bool:
    """Whether a bar can be drawn, and is not unwanted."""
    return _progress.on_terminal() and not is_quiet()


def epochs(max_epochs: int, trainings: int = 1) -> _progress.Epochs:
    """A callback of estimators: a bar, or a line an epoch, with losses, rate and remaining time."""

    def line(row: dict[str, Any], said: str) -> None:
        say(said)

    return _progress.Epochs(max_epochs, trainings, line=line, shown=wants_bar())


class Samples(_progress.Bar):
    """A bar over samples; without a terminal, a line now and then."""

    def __init__(self, what: str, total: int | None) -> None:
        super().__init__(what, total, shown=wants_bar())
        self._started = self._told = time.monotonic()

    def set(self, done: float, said: str = "", what: str | None = None) -> None:
        now = time.monotonic()
        rate = done / max(now - self._started, 1e-9)
        said = f"{rate:.3g} a second"
        if self.total:
            said += f"  {_progress.duration((self.total - done) / max(rate, 1e-9))} left"
        super().set(done, said, what)
        if not self.is_shown and now - self._told > EVERY:
            self._told = now
            say(f"{self.what}: {done:.0f}{f' of {self.total}' if self.total else ''}, {said}")
