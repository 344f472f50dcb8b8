"""Internal. Closed-form erasure of a label from vectors: LEACE."""

from __future__ import annotations

from typing import Any

import numpy as np

CORRELATED = 1e-5  # of whitened vectors and labels: below, there is nothing to erase
RANK = 1e-9  # eigenvalues below this share of the greatest are taken as zero


def leace(X: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    r"""Find the least change of vectors after which no linear probe can tell their labels.

    LEACE (Belrose et al. 2023, theorem 4.3): of all affine maps after which every linear
    classifier is at best as good as a constant, the one that moves the vectors least in the mean
    square,

    .. math:: r(x) = x - W^+ P_{W \Sigma_{xz}} W (x - \mu), \qquad W = (\Sigma_{xx}^{1/2})^+

    where z are the labels one-hot and P is the orthogonal projection on the column space.

    Parameters
    ----------
    X : array of shape (n, d)
    labels : array of shape (n,)
        Of any kind that can be sorted.

    Returns
    -------
    mean : float64 ndarray of shape (d,)
    matrix : float64 ndarray of shape (d, d)
        ``(x - mean) @ matrix.T + mean`` is the erased x; see `erased`.

    Raises
    ------
    ValueError
        If the shapes do not fit, or there is a single label.
    """
    X = np.asarray(X, dtype=np.float64)
    labels = np.asarray(labels)
    if X.ndim != 2 or labels.shape != (len(X),):
        raise ValueError(
            f"X must have shape (n, d) and labels (n,); they have {X.shape} and {labels.shape}"
        )
    names, place = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"labels has {len(names)} kinds: there is nothing to erase")
    mean = X.mean(0)
    centered = X - mean
    onehot = np.eye(len(names))[place]
    cross = centered.T @ (onehot - onehot.mean(0)) / len(X)
    values, vectors = np.linalg.eigh(centered.T @ centered / len(X))
    keep = values > RANK * max(values[-1], 0.0)
    roots, vectors = np.sqrt(values[keep]), vectors[:, keep]
    whiten = (vectors / roots) @ vectors.T
    color = (vectors * roots) @ vectors.T
    directions, sizes, _ = np.linalg.svd(whiten @ cross, full_matrices=False)
    # The columns of the cross-covariance sum to zero: one direction fewer than labels.
    directions = directions[:, sizes > CORRELATED][:, : len(names) - 1]
    return mean, np.eye(X.shape[1]) - color @ directions @ directions.T @ whiten


def erased(X: np.ndarray, mean: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Vectors ``(n, d)`` through the map that `leace` found, in their own precision."""
    return ((X - mean) @ matrix.T + mean).astype(X.dtype, copy=False)
