"""Internal. What is seen while something runs: a bar on a terminal, else lines."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from repkit.cli.commands import is_quiet, say

EVERY = 30.0  # seconds between lines where there is no bar


def duration(seconds: float) -> str:
    """Seconds as a clock shows them: 0:07, 12:30, 1:02:03."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def on_terminal() -> bool:
    return sys.stderr.isatty()


class Bar:
    """A bar of rich on standard error; nothing where that is no terminal, or with --quiet."""

    def __init__(self, what: str, total: float | None) -> None:
        self.what, self.total = what, total
        self._progress: Any = None

    def __enter__(self) -> Self:
        if on_terminal() and not is_quiet():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
            )

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[said]}"),
                console=Console(stderr=True),
            )
            self._progress.start()
            self._task = self._progress.add_task(self.what, total=self.total, said="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    @property
    def is_shown(self) -> bool:
        return self._progress is not None

    def set(self, done: float, said: str = "") -> None:
        """So much is done; ``said`` stands beside the bar."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, said=said)


class Epochs(Bar):
    """A callback of estimators: a bar, or a line an epoch, with losses, rate and remaining time."""

    def __init__(self, max_epochs: int, trainings: int = 1) -> None:
        super().__init__("epoch", max_epochs * trainings)
        self.max_epochs, self.trainings, self.number, self.last = max_epochs, trainings, 0, 0
        self.first: int | None = None
        self._before = (0, 0.0)  # steps and seconds of the epoch before

    def __call__(self, row: dict[str, Any]) -> None:
        epoch = int(row["epoch"])
        if epoch <= self.last:
            self.number, self._before = self.number + 1, (0, 0.0)
        if self.first is None:
            self.first = epoch
            # Of a run that is gone on: its time before, about, lest the rate be wrong.
            share = (epoch - 1) / epoch
            self._before = (round(row["step"] * share), row["seconds"] * share)
        self.last = epoch
        steps, seconds = int(row["step"]) - self._before[0], row["seconds"] - self._before[1]
        self._before = (int(row["step"]), row["seconds"])
        rate = steps / seconds if seconds > 0 else float("nan")
        done = self.number * self.max_epochs + epoch
        losses = "  ".join(f"{k} {v:.4g}" for k, v in row.items() if k.startswith("loss"))
        left = row["seconds"] / epoch * (self.max_epochs * self.trainings - done)
        said = f"{losses}  {rate:.3g} steps/s  {duration(left)} left"
        self.set(done, said)
        if not self.is_shown:
            which = f"training {self.number + 1}/{self.trainings} " if self.trainings > 1 else ""
            say(f"{which}epoch {epoch}/{self.max_epochs}  {said}")


class Samples(Bar):
    """A bar over samples; without a terminal, a line now and then."""

    def __init__(self, what: str, total: int | None) -> None:
        super().__init__(what, total)
        self._started = self._told = time.monotonic()

    def set(self, done: float, said: str = "") -> None:
        now = time.monotonic()
        rate = done / max(now - self._started, 1e-9)
        said = f"{rate:.3g} a second"
        if self.total:
            said += f"  {duration((self.total - done) / max(rate, 1e-9))} left"
        super().set(done, said)
        if not self.is_shown and now - self._told > EVERY:
            self._told = now
            say(f"{self.what}: {done:.0f}{f' of {self.total}' if self.total else ''}, {said}")
