"""Internal. Who speaks: labels, or pairs known to be of one speaker, as numbers from 0."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from repkit.base.labels import Labels, read_labels


def read_speakers(y: Any, n: int, *, name: str = "y") -> Labels:
    """`read_labels` of people, of whom each may have a single row.

    Scikit-learn suspects regression where labels hardly repeat, such as numbers of recordings.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return read_labels(y, n, name=name)


def speaker_labels(y: Any, pairs: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of n utterances, and which of them are known.

    Parameters
    ----------
    y : array-like of shape (n,) or None
        Of any kind that can be sorted; -1 (or "-1" among strings) where unknown.
    pairs : array-like of shape (m, 2) or None
        Numbers of utterances known to be of the same speaker. What is connected is one speaker; an
        utterance in no pair is unknown.
    n : int

    Returns
    -------
    labels : ndarray of shape (n,)
    known : bool ndarray of shape (n,)

    Raises
    ------
    ValueError
        If both are given, or one of another shape, or a pair with a number of no utterance.
    """
    if y is not None and pairs is not None:
        raise ValueError("give y or pairs, not both: both say who speaks")
    if pairs is not None:
        return _connected(pairs, n)
    if y is None:
        return np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    found = read_speakers(y, n)
    if not len(found.classes):
        return np.zeros(n, dtype=np.int64), found.known
    return found.classes[np.maximum(found.codes, 0)], found.known


def numbered(labels: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The known speakers ``(k,)``; the place among them of each utterance's, or -1 ``(n,)``."""
    speakers, found = np.unique(labels[known], return_inverse=True)
    place = np.full(len(labels), -1, dtype=np.int64)
    place[known] = found
    return speakers, place


def _connected(pairs: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    found = np.asarray(pairs)
    if found.ndim != 2 or found.shape[1] != 2 or found.dtype.kind not in "iu" or not len(found):
        raise ValueError(
            "pairs must be whole numbers of shape (m, 2), the places of two utterances of one "
            f"speaker in each row; given: shape {found.shape}, {found.dtype}"
        )
    if found.min() < 0 or found.max() >= n:
        raise ValueError(
            f"pairs must hold numbers of utterances, 0 to {n - 1}, not {found.min()} to "
            f"{found.max()}"
        )
    edges = coo_array((np.ones(len(found)), (found[:, 0], found[:, 1])), shape=(n, n))
    _, labels = connected_components(edges, directed=False)
    known = np.zeros(n, dtype=bool)
    known[found.ravel()] = True
    return labels.astype(np.int64), known
