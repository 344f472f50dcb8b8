"""Internal. Frames with those before and after them."""

from __future__ import annotations

import numpy as np


def joined(x: np.ndarray, context: int) -> np.ndarray:
    """Each frame beside its neighbors: ``(T, d) -> (T, (2 context + 1) d)``.

    The first and the last frame stand for those that are not there.
    """
    padded = np.pad(x, ((context, context), (0, 0)), mode="edge")
    return np.hstack([padded[k : k + len(x)] for k in range(2 * context + 1)])
