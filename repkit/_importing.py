"""Internal. Imports while Python's garbage collector rests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector from running; it is on again afterwards if it was on before.

    Modules make many objects that stay and hardly any that goes, yet their number starts the
    collector, which then visits all that torch holds: half of the time of a first import.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
