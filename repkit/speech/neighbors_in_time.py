"""Internal. Frames with those before and after them, in a table of recordings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def joined(
    table: np.ndarray, lengths: Sequence[int], context: int, rows: np.ndarray | None = None
) -> np.ndarray:
    """Frames beside their neighbors: ``(n, d) -> (len(rows), (2 context + 1) d)``.

    Parameters
    ----------
    table : ndarray of shape (n, d)
        Frames of recordings, one after the other.
    lengths : sequence of int
        Frames of each; they sum to n. Its first and its last stand for those that are not there.
    context : int
    rows : ndarray of int, optional
        The frames that are wanted. Default: all.
    """
    rows = np.arange(len(table)) if rows is None else rows
    ends = np.cumsum(lengths)
    owner = np.searchsorted(ends, rows, side="right")
    first, last = (ends - lengths)[owner, None], ends[owner, None] - 1
    index = np.clip(rows[:, None] + np.arange(-context, context + 1), first, last)
    return table[index].reshape(len(rows), -1)
