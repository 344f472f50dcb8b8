"""Conversion by matching of frames, without training."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit import _arguments
from repkit.metrics.speaker._frames import frame_arrays

__all__ = ["match_frames"]

BLOCK = 2**22  # cosines that are in memory at once


def match_frames(
    X: Any, reference: Any, reference_frames: Any = None, *, n_neighbors: int = 4
) -> list[np.ndarray]:
    """Say what X says with frames of a reference: the mean of those that are nearest by cosine.

    It needs no training and keeps the voice of the reference (Baas et al. 2023, kNN-VC), with as
    much of what is said as the vectors tell.

    Parameters
    ----------
    X : array of shape (T, d), or list of them
        Vectors along the time of what is to be said: frames, or what
        `repkit.SpeechAutoencoder.transform_frames` gives.
    reference : array of shape (K, d), or list of them
        The same of utterances of the voice.
    reference_frames : array of shape (K, D), or list of them, optional
        What is given back of the reference, row by row of it. Default: its vectors themselves.
    n_neighbors : int, default=4
        Frames of the reference of which the mean is taken.

    Returns
    -------
    list of ndarray of shape (T, D)
        One for each of X.

    Raises
    ------
    ValueError
        If input is not finite, or shapes do not match.

    Examples
    --------
    >>> from repkit.speech import match_frames
    >>> match_frames([[2.0, 0.1], [0.0, 3.0]], [[1.0, 0.0], [0.0, 1.0]], n_neighbors=1)[0].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    sequences, known = _several(X, "X"), _several(reference, "reference")
    given = known
    if reference_frames is not None:
        given = _several(reference_frames, "reference_frames")
        if [len(a) for a in known] != [len(a) for a in given]:
            raise ValueError(
                "reference_frames must have a row for each of reference, "
                f"{[len(a) for a in known]} rows, not {[len(a) for a in given]}"
            )
    if sequences[0].shape[1] != known[0].shape[1]:
        raise ValueError(
            f"reference must have the {sequences[0].shape[1]} columns of X, not {known[0].shape[1]}"
        )
    table, rows = _unit(np.concatenate(known)), np.concatenate(given)
    n_neighbors = _arguments.integer(n_neighbors, "n_neighbors", 1, len(table))
    step = max(1, BLOCK // len(table))

    def matched(x: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, len(x), step):
            cosines = _unit(x[start : start + step]) @ table.T
            nearest = np.argpartition(-cosines, n_neighbors - 1, axis=1)[:, :n_neighbors]
            found.append(rows[nearest].mean(1))
        return np.concatenate(found)

    return [matched(x) for x in sequences]


def _several(X: Any, name: str) -> list[np.ndarray]:
    """A sequence of frames, or one alone."""
    shape = getattr(X, "ndim", None)
    if shape is None and len(X) and np.ndim(X[0]) == 1:
        shape = 2
    return frame_arrays([X] if shape == 2 else X, name)


def _unit(x: np.ndarray) -> np.ndarray:
    unit: np.ndarray = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return unit
