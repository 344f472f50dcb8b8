"""A progress bar for downloads: rich's or tqdm's where one is installed, else none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any


class _RichBar:
    """What pooch asks of a bar (``total``, ``update``, ``reset``, ``close``), drawn by rich."""

    def __init__(self, progress: Any, label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=None)

    @property
    def total(self) -> float | None:
        return self._progress.tasks[0].total

    @total.setter
    def total(self, value: int) -> None:
        # 0 is pooch's word for an unknown size.
        self._progress.update(self._task, total=value or None)

    def update(self, n: int) -> None:
        self._progress.advance(self._task, n)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.refresh()


@contextmanager
def progress_bar(label: str) -> Iterator[Any]:
    """Give what pooch's ``progressbar`` argument takes: a bar, True for tqdm, or False."""
    if find_spec("rich") is None:
        yield find_spec("tqdm") is not None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        yield _RichBar(progress, label)
