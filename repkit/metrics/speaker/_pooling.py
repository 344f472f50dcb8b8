"""Vectors from frames without any training: what a learned representation must beat."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit.metrics._arrays import as_numpy
from repkit.metrics.speaker._frames import frame_arrays


def mean_std(frames: Any) -> np.ndarray:
    """Give the mean and the deviation over time of each utterance.

    Parameters
    ----------
    frames : sequence of n arrays of shape (T_i, d)

    Returns
    -------
    vectors : ndarray of shape (n, 2 d)
        The d means, then the d standard deviations, 0 for a single frame.

    Raises
    ------
    ValueError
        On no utterance, one that is empty or not (T_i, d), another width, NaN or infinity.
    """
    arrays = frame_arrays(frames, "frames")
    return np.stack([np.concatenate([a.mean(axis=0), a.std(axis=0)]) for a in arrays])


def resampled_pca(
    frames: Any, test: Any = None, *, n_steps: int = 20, n_components: int = 64
) -> np.ndarray:
    """Give the principal components of utterances that are brought to one length.

    Each is resampled to `n_steps` frames by linear interpolation in time, its ends staying where
    they are; components are those of the training utterances.

    Parameters
    ----------
    frames : sequence of n arrays of shape (T_i, d)
    test : bool array of shape (n,), optional
        Utterances that the components are not fitted to; None fits to all.
    n_steps : int, default=20
        Frames of each utterance.
    n_components : int, default=64
        At most n_steps d and the number of training utterances.

    Returns
    -------
    vectors : ndarray of shape (n, n_components)

    Raises
    ------
    ValueError
        As :func:`mean_std`, and on a bad mask, `n_steps` or `n_components`.
    """
    from sklearn.decomposition import PCA

    arrays = frame_arrays(frames, "frames")
    train = np.ones(len(arrays), bool) if test is None else ~check_mask(test, len(arrays))
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, not {n_steps!r}")
    resampled = np.stack([_resample(a, n_steps).ravel() for a in arrays])
    most = min(resampled.shape[1], int(train.sum()))
    if not 1 <= n_components <= most:
        raise ValueError(
            f"n_components must be from 1 to {most}, the lesser of n_steps x width and "
            f"the number of training utterances, not {n_components}"
        )
    pca = PCA(n_components, svd_solver="full").fit(resampled[train])
    return pca.transform(resampled)


def _resample(array: np.ndarray, n_steps: int) -> np.ndarray:
    """Interpolate frames (T, d) at n_steps even times."""
    import torch
    from torch.nn.functional import interpolate

    bands = torch.from_numpy(array).T[None]
    return interpolate(bands, n_steps, mode="linear", align_corners=True)[0].T.numpy()


def check_mask(test: Any, n: int) -> np.ndarray:
    """Check a mask (n,) that takes some utterances and leaves some for training."""
    mask = as_numpy(test)
    if mask.dtype != bool or mask.shape != (n,):
        raise ValueError(
            f"test must be a bool mask of shape ({n},), True for test utterances, not "
            f"{mask.dtype} of shape {mask.shape}"
        )
    if mask.all() or not mask.any():
        raise ValueError(
            "test must leave some utterances for training and take some, not "
            f"{int(mask.sum())} of {n}"
        )
    return mask
