"""Discrete units of speech: repeats merged, and the counts that a language model of units needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from repkit import _arguments

__all__ = ["merge_repeats", "unit_counts"]

EDGE = -1  # stands before the start and after the end of a sequence


def merge_repeats(units: Any) -> tuple[np.ndarray, np.ndarray]:
    """Merge the runs of a sequence of units.

    Parameters
    ----------
    units : array of int of shape (K,)
        One unit for each step, as `repkit.SpeechAutoencoder.transform_units` gives them.

    Returns
    -------
    merged : ndarray of int of shape (M,)
        One unit for each run.
    steps : ndarray of int of shape (M,)
        Steps of each run.

    Raises
    ------
    TypeError, ValueError
        If units are not whole numbers of shape (K,).

    Examples
    --------
    >>> from repkit.speech import merge_repeats
    >>> merged, steps = merge_repeats([5, 5, 2, 2, 2, 5])
    >>> merged.tolist(), steps.tolist()
    ([5, 2, 5], [2, 3, 1])
    """
    found = _checked(units, "units")
    if not len(found):
        return found, found
    first = np.flatnonzero(np.diff(found, prepend=found[0] - 1))
    return found[first], np.diff(first, append=len(found))


def unit_counts(sequences: Iterable[Any], order: int = 2) -> Counter[tuple[int, ...]]:
    """Count the n-grams of units, whose edges are marked.

    Parameters
    ----------
    sequences : iterable of arrays of int of shape (K,)
        Units of each utterance, merged or not.
    order : int, default=2
        Length of the n-grams.

    Returns
    -------
    Counter
        How often each tuple of ``order`` units occurs. -1 stands ``order - 1`` times before the
        start of a sequence, and once after its end.

    Raises
    ------
    TypeError, ValueError
        If a sequence does not hold whole numbers of at least 0, or `order` is below 1.

    Examples
    --------
    >>> from repkit.speech import unit_counts
    >>> sorted(unit_counts([[3, 4], [3]]).items())
    [((-1, 3), 2), ((3, -1), 1), ((3, 4), 1), ((4, -1), 1)]
    """
    order = _arguments.integer(order, "order", 1, 100)
    counts: Counter[tuple[int, ...]] = Counter()
    for k, units in enumerate(sequences):
        found = _checked(units, f"sequences[{k}]")
        if len(found) and found.min() < 0:
            raise ValueError(f"sequences[{k}] must have units of at least 0, not {found.min()}")
        whole = [EDGE] * (order - 1) + found.tolist() + [EDGE]
        counts.update(tuple(whole[j : j + order]) for j in range(len(whole) - order + 1))
    return counts


def _checked(units: Any, name: str) -> np.ndarray:
    with _arguments.named(name, "whole numbers, one for each step"):
        found = np.asarray(units)
    if not found.size and found.ndim == 1:
        return found.astype(np.int64)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must be whole numbers of shape (K,), not {found.dtype} of shape {found.shape}"
        )
    return found.astype(np.int64)
