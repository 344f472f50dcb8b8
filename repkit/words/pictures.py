"""Frames of an utterance as a picture of one size."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit import _arguments
from repkit.metrics.speaker._frames import frame_arrays
from repkit.metrics.speaker._pooling import resampled

__all__ = ["as_pictures"]

MOST_STEPS = 10**4


def as_pictures(frames: Any, n_steps: int = 48) -> np.ndarray:
    """Bring the frames of each utterance to one length, and their values to mean 0 and deviation 1.

    Networks on images take such pictures; `repkit.augment` changes them.

    Parameters
    ----------
    frames : list of arrays of shape (T, D)
        Log-mel frames of each utterance, say, as `repkit.audio.extract` gives them.
    n_steps : int, default=48
        Columns of a picture. Time is resampled linearly between them.

    Returns
    -------
    ndarray of shape (n, 1, D, n_steps)
        Float32, the first column of the frames in the first row. Frames that do not vary give a
        picture of zeros.

    Raises
    ------
    TypeError, ValueError
        If ``n_steps`` is out of its range, or frames are empty, not finite or of several widths.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.words import as_pictures
    >>> rng = np.random.default_rng(0)
    >>> as_pictures([rng.normal(size=(n, 40)) for n in (70, 90)]).shape
    (2, 1, 40, 48)
    """
    n_steps = _arguments.integer(n_steps, "n_steps", 2, MOST_STEPS)
    sequences = frame_arrays(frames, "frames")
    found = np.empty((len(sequences), 1, sequences[0].shape[1], n_steps), dtype=np.float32)
    for place, x in zip(found, sequences, strict=True):
        bands = resampled(x, n_steps).T
        std = bands.std(ddof=1)
        place[0] = (bands - bands.mean()) / (std if std > 0 else 1.0)
    return found
