"""Internal. What is seen while something runs: a bar on a terminal or in a notebook, else lines."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

TICKS = 0.1  # seconds between two ticks that are shown


def duration(seconds: float) -> str:
    """Seconds as a clock shows them: 0:07, 12:30, 1:02:03."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def on_terminal() -> bool:
    """Whether standard error is a terminal on which lines can be overwritten."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def in_notebook() -> bool:
    """Whether the code runs in a notebook, which shows what is displayed."""
    main = sys.modules.get("IPython")
    shell = main and main.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell"


def has_rich() -> bool:
    """Whether bars can be drawn."""
    try:
        import rich.progress  # noqa: F401
    except ImportError:
        return False
    return True


def can_show() -> bool:
    """Whether there is something to draw a bar with, and on."""
    return (on_terminal() or in_notebook()) and has_rich()


class Bar:
    """A bar of rich on standard error, or in a notebook; nothing where there is neither.

    Parameters
    ----------
    what : str
        Stands before the bar.
    total : float, optional
        What ``done`` is at the end.
    shown : bool, optional
        Whether to draw it. By default, wherever it can be.
    counted : bool, default=True
        Whether "done/total" stands behind the bar.
    """

    def __init__(
        self, what: str, total: float | None, *, shown: bool | None = None, counted: bool = True
    ) -> None:
        self.what, self.total, self.wanted, self.counted = what, total, shown, counted
        self._progress: Any = None

    def __enter__(self) -> Self:
        if can_show() if self.wanted is None else self.wanted:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
            )

            columns: list[Any] = [TextColumn("{task.description}"), BarColumn(bar_width=24)]
            if self.counted:
                columns.append(TextColumn("{task.fields[count]}"))
            columns += [TimeElapsedColumn(), TextColumn("{task.fields[said]}")]
            self._progress = Progress(*columns, console=Console(stderr=True))
            self._progress.start()
            self._task = self._progress.add_task(
                self.what, total=self.total, said="", count=self._count(0)
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _count(self, done: float) -> str:
        return f"{int(done)}/{'?' if self.total is None else int(self.total)}"

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # who copies an estimator that shows it does not want another bar

    @property
    def is_shown(self) -> bool:
        """Whether a bar has been drawn."""
        return self._progress is not None

    def set(self, done: float, said: str = "", what: str | None = None) -> None:
        """So much is done; ``said`` stands behind the bar, ``what`` before it."""
        if self._progress is not None:
            more = {} if what is None else {"description": what}
            self._progress.update(
                self._task, completed=done, said=said, count=self._count(done), **more
            )


class Epochs(Bar):
    """A callback of estimators: a bar with ticks inside an epoch, or a line an epoch.

    Parameters
    ----------
    max_epochs : int
        Epochs of one training.
    trainings : int, default=1
        Trainings one after the other.
    line : callable, optional
        ``line(row, text)`` is called after an epoch where there is no bar.
    shown : bool, optional
        Whether to draw the bar.
    """

    def __init__(
        self,
        max_epochs: int,
        trainings: int = 1,
        *,
        line: Callable[[dict[str, Any], str], None] | None = None,
        shown: bool | None = None,
    ) -> None:
        super().__init__("epoch", max_epochs * trainings, shown=shown)
        self.max_epochs, self.trainings, self.number, self.last = max_epochs, trainings, 0, 0
        self.line = line
        self.first: int | None = None
        self._before = (0, 0.0)  # steps and seconds of the epoch before
        self._done, self._said, self._ticked = 0.0, "", 0.0

    def resumed(self, epochs: int) -> None:
        """So many epochs were taken in an earlier run."""
        self._done = epochs
        self.set(epochs)

    def on_step(self, done: int, of: int) -> None:
        """So many steps of this epoch are taken: told by the host, which waits for nothing."""
        now = time.monotonic()
        if self.is_shown and now - self._ticked > TICKS:
            self._ticked = now
            self.set(min(self._done + done / of, self._done + 1), f"step {done}/{of}  {self._said}")

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
        self._done = self.number * self.max_epochs + epoch
        losses = "  ".join(f"{k} {v:.4g}" for k, v in row.items() if k.startswith("loss"))
        left = row["seconds"] / epoch * (self.max_epochs * self.trainings - self._done)
        self._said = f"{losses}  {rate:.3g} steps/s  {duration(left)} left"
        self.set(self._done, self._said)
        if not self.is_shown and self.line is not None:
            which = f"training {self.number + 1}/{self.trainings} " if self.trainings > 1 else ""
            self.line(row, f"{which}epoch {epoch}/{self.max_epochs}  {self._said}")
