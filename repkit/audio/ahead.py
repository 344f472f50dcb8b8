"""Internal. Work done ahead of its turn in threads: files are read while frames are computed.

``Executor.map`` takes all inputs at once, and joblib's generator works on without waiting for
whoever uses the results: neither bounds what is in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")


def ahead(work: Callable[[S], T], inputs: Iterable[S], workers: int) -> Iterator[T]:
    """``map(work, inputs)``, of which the next few are worked on while one is used.

    Parameters
    ----------
    work : callable
        Of one input, called in other threads. What it raises is raised at its turn.
    inputs : iterable
    workers : int
        Threads; 0 works on each input when its turn comes. As many results wait at a time.

    Yields
    ------
    object
        What ``work`` gives, in the order of the inputs.
    """
    if workers == 0:
        yield from map(work, inputs)
        return
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="repkit-ahead")
    try:
        for x in inputs:
            waiting.append(pool.submit(work, x))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also if nobody wants the rest
        pool.shutdown(cancel_futures=True)


def each_ahead(values: Iterable[T]) -> Iterator[T]:
    """The same values; the next is made in another thread while one is used."""
    iterator, end = iter(values), object()
    turns = ahead(lambda _: next(iterator, end), iter(int, 1), workers=1)
    try:
        for value in turns:
            if value is end:
                return
            yield value  # type: ignore[misc]
    finally:
        turns.close()  # type: ignore[attr-defined]
