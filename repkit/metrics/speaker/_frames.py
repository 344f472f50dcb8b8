"""Internal. Utterances as sequences of frames of any length."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit.metrics._arrays import as_numpy, feature_matrix, same_width


def are_frames(items: Any, name: str) -> bool:
    """Tell sequences of frames, n arrays (T_i, d) or one (n, T, d), from vectors (n, d)."""
    if isinstance(items, (list, tuple)):
        return len(items) > 0 and as_numpy(items[0], f"{name}[0]").ndim == 2
    return as_numpy(items, name).ndim == 3


def frame_arrays(sequences: Any, name: str) -> list[np.ndarray]:
    """Check sequences of frames and give them as finite arrays (T_i, d) of one width.

    Raises
    ------
    ValueError
        On no sequence, one that is empty or not (T_i, d), another width, NaN or infinity.
    """
    if not isinstance(sequences, list | tuple):
        array = as_numpy(sequences, name)
        sequences = list(array) if array.ndim else [array]
    if len(sequences) == 0:
        raise ValueError(f"{name} must not be empty: pass at least one array (T, d) of frames")
    arrays = []
    for i, sequence in enumerate(sequences):
        label = f"{name}[{i}]"
        array = as_numpy(sequence, label)
        if array.ndim != 2:
            raise ValueError(f"{label} must be frames of shape (T, d), not {array.shape}")
        arrays.append(feature_matrix(array, label))
        same_width(arrays[0], arrays[-1], (f"{name}[0]", label))
    return arrays
