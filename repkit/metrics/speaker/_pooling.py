"""Vectors from frames without any training: what a learned representation must beat."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit._arguments import integer
from repkit.metrics._arrays import as_numpy
from repkit.metrics.speaker._frames import frame_arrays

MOST = 10**4  # steps to which an utterance is resampled


def mean_std(frames: Any) -> np.ndarray:
    """Compute the mean and the standard deviation over time of each utterance.

    Parameters
    ----------
    frames : sequence of n arrays of shape (T_i, d)
        Frames of each utterance.

    Returns
    -------
    vectors : ndarray of shape (n, 2 d)
        The d means of each utterance, then its d standard deviations (0 for a single frame).

    Raises
    ------
    ValueError
        If there is no utterance, one is empty or not of shape (T_i, d), widths differ, or frames
        are not finite.

    Examples
    --------
    >>> mean_std([[[1.0], [3.0]], [[5.0]]])
    array([[2., 1.],
           [5., 0.]])
    """
    return pooled(frames, "frames")


def pooled(frames: Any, name: str) -> np.ndarray:
    """Do what `mean_std` does for a function whose argument has another name."""
    arrays = frame_arrays(frames, name)
    return np.stack([np.concatenate([a.mean(axis=0), a.std(axis=0)]) for a in arrays])


def resampled_pca(
    frames: Any, test: Any = None, *, n_steps: int = 20, n_components: int = 64
) -> np.ndarray:
    """Compute principal components of utterances that are brought to one length.

    Each utterance is resampled to `n_steps` frames by linear interpolation in time, its first and
    last frame kept. The components are those of the training utterances.

    Parameters
    ----------
    frames : sequence of n arrays of shape (T_i, d)
        Frames of each utterance.
    test : bool array of shape (n,), optional
        True for utterances that the components are not fitted to. Default: all are fitted to.
    n_steps : int, default=20
        Frames of each resampled utterance.
    n_components : int, default=64
        Number of components, at most n_steps d and the number of training utterances.

    Returns
    -------
    vectors : ndarray of shape (n, n_components)
        Components of all utterances.

    Raises
    ------
    ValueError
        If there is no utterance, one is empty or not of shape (T_i, d), widths differ, frames are
        not finite, or `test`, `n_steps` or `n_components` is out of range.
    """
    from sklearn.decomposition import PCA

    integer(n_steps, "n_steps", 1, MOST)
    integer(n_components, "n_components")
    arrays = frame_arrays(frames, "frames")
    train = np.ones(len(arrays), bool) if test is None else ~check_mask(test, len(arrays))
    rows = np.stack([resampled(a, n_steps).ravel() for a in arrays])
    most = min(rows.shape[1], int(train.sum()))
    if n_components > most:
        raise ValueError(
            f"n_components must be from 1 to {most}, the lesser of n_steps x width and "
            f"the number of training utterances, not {n_components}"
        )
    with np.errstate(invalid="ignore"):  # shares of no variance, which nobody asks for
        pca = PCA(n_components, svd_solver="full").fit(rows[train])
    return pca.transform(rows)


def resampled(array: np.ndarray, n_steps: int) -> np.ndarray:
    """Interpolate frames (T, d) at n_steps even times."""
    import torch
    from torch.nn.functional import interpolate

    bands = torch.from_numpy(array).T[None]
    return interpolate(bands, n_steps, mode="linear", align_corners=True)[0].T.numpy()


def check_mask(test: Any, n: int) -> np.ndarray:
    """Check a mask (n,) that takes some utterances and leaves some for training."""
    mask = as_numpy(test, "test")
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
