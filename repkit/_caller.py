"""Internal. Where the package was called from."""

from __future__ import annotations

import sys


def outside() -> int:
    """How many calls above the caller the package was entered, for ``stacklevel``."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("repkit."):
        level, frame = level + 1, frame.f_back
    return level
