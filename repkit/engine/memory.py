"""Internal. Memory that a step lets go of is kept for the next step."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # the numbers of mallopt's parameters in malloc.h
KEPT = {MMAP_THRESHOLD: 2**30, TRIM_THRESHOLD: 2**31 - 1}
# What the thresholds come to by themselves in a process that has let go of large blocks.
USUAL = {MMAP_THRESHOLD: 2**25, TRIM_THRESHOLD: 2**26}
LONG = 1.0  # seconds
TOLD = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"}

_lock = threading.Lock()
_keeping = 0


@contextmanager
def keeping_memory() -> Iterator[None]:
    """Let glibc keep what is freed inside, and give it back to the system after a long fit.

    Every step of a training makes the same large tensors and frees them. Blocks of more than 32 MB
    glibc returns to the system at once, and smaller ones when enough of them are free; each page
    then has to be cleared anew at the next step. Without that, steps of convolutions take 1 to 7 %
    less time. The thresholds are those of the process, and are left at the highest that glibc sets
    by itself.

    Nothing is done where the environment sets the thresholds, or with another libc than glibc.
    """
    global _keeping
    libc, start = glibc(), time.monotonic()
    if libc is None:
        yield
        return
    with _lock:
        _keeping += 1
        if _keeping == 1:
            set_thresholds(KEPT)
    try:
        yield
    finally:
        with _lock:
            _keeping -= 1
            if _keeping == 0:
                set_thresholds(USUAL)
                if time.monotonic() - start > LONG:  # the next of many short ones would ask for it
                    libc.malloc_trim(0)


def set_thresholds(values: dict[int, int]) -> None:
    """Set parameters of glibc's malloc, where it is there and nobody else has set them."""
    libc = glibc()
    for parameter, value in values.items() if libc is not None else ():
        libc.mallopt(parameter, value)


@cache
def glibc() -> Any:
    """The C library of the process, or None if it is none that this is for."""
    if not TOLD.isdisjoint(os.environ) or os.name != "posix":
        return None
    libc = ctypes.CDLL(None)
    return libc if all(hasattr(libc, x) for x in ("gnu_get_libc_version", "mallopt")) else None
