"""Internal. Closed forms that take the speaker out of vectors: affine maps, found in one go.

Each function returns a mean and a matrix; `erased` applies them. What they need at fit differs, and
at use none needs a label: they are defined for speakers that were never seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit.metrics.speaker._verification import speaker_means

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
    X, place, k = _labeled(X, labels)
    mean = X.mean(0)
    centered = X - mean
    onehot = np.eye(k)[place]
    cross = centered.T @ (onehot - onehot.mean(0)) / len(X)
    values, vectors = np.linalg.eigh(centered.T @ centered / len(X))
    keep = values > RANK * max(values[-1], 0.0)
    roots, vectors = np.sqrt(values[keep]), vectors[:, keep]
    whiten = (vectors / roots) @ vectors.T
    color = (vectors * roots) @ vectors.T
    directions, sizes, _ = np.linalg.svd(whiten @ cross, full_matrices=False)
    # The columns of the cross-covariance sum to zero: one direction fewer than labels.
    directions = directions[:, sizes > CORRELATED][:, : k - 1]
    return mean, np.eye(X.shape[1]) - color @ directions @ directions.T @ whiten


def subspace(X: Any, labels: Any, n_components: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    r"""Find the map that collapses the principal subspace of the speakers' means.

    Liu, Tang and Goldwater (2023) found that what tells speakers and what tells phones lie in
    nearly orthogonal directions of self-supervised features, and projected the former out,

    .. math:: r(x) = x - V V^T (x - \mu)

    where the orthonormal columns of V are the principal directions of the means of all speakers,
    each speaker counting once.

    Parameters
    ----------
    X : array of shape (n, d)
    labels : array of shape (n,)
        Of any kind that can be sorted.
    n_components : int or float, default=0.95
        Number of directions, at most one fewer than labels; or, below 1, the share of the variance
        of the means that the directions are to hold.

    Returns
    -------
    mean : float64 ndarray of shape (d,)
    matrix : float64 ndarray of shape (d, d)

    Raises
    ------
    ValueError
        If the shapes do not fit, or there is a single label.
    """
    X, place, _ = _labeled(X, labels)
    V = principal(speaker_means(X, place), n_components)
    return X.mean(0), np.eye(X.shape[1]) - V @ V.T


def regression(
    X: Any, voices: Any, n_components: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Find the part of vectors that a linear map of the speaker vector explains, and take it out.

    Eta-WavLM (Ruggiero et al. 2025) regresses features on the speaker vector of their utterance,

    .. math:: r(x, s) = x - A^T (s - \bar s), \qquad
              A = \arg\min_A \sum_i \lVert x_i - \bar x - A^T (s_i - \bar s) \rVert^2

    and needs no label, neither here nor at use. Of solutions the one of least norm is taken.

    Parameters
    ----------
    X : array of shape (n, d)
    voices : array of shape (n, k)
        The speaker vector of each row.
    n_components : int or float, optional
        Principal components of the speaker vectors that are used: their number or, below 1, the
        share of the variance that they are to hold. By default, all.

    Returns
    -------
    mean : float64 ndarray of shape (d + k,)
    matrix : float64 ndarray of shape (d, d + k)
        Of vectors with the speaker vector behind them.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    X, voices = (np.asarray(v, dtype=np.float64) for v in (X, voices))
    if X.ndim != 2 or voices.ndim != 2 or len(X) != len(voices):
        raise ValueError(
            f"X must have shape (n, d) and voices (n, k); they have {X.shape} and {voices.shape}"
        )
    mean, center = X.mean(0), voices.mean(0)
    V = np.eye(voices.shape[1]) if n_components is None else principal(voices, n_components)
    A = V @ np.linalg.lstsq((voices - center) @ V, X - mean, rcond=RANK)[0]
    return np.concatenate([mean, center]), np.hstack([np.eye(X.shape[1]), -A.T])


def principal(rows: np.ndarray, n_components: float) -> np.ndarray:
    """Principal directions of rows ``(n, d)``, orthonormal columns ``(d, k)``.

    As many as asked for, or as hold this share of the variance; none without variance.
    """
    _, sizes, directions = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    energy = sizes**2
    some = int((energy > RANK * max(energy.max(initial=0.0), np.finfo(float).tiny)).sum())
    wanted = n_components
    if n_components < 1:
        # The sum of all may fall short of the share by rounding.
        wanted = 1 + np.searchsorted(np.cumsum(energy), n_components * energy.sum() * (1 - RANK))
    return directions[: min(int(wanted), some)].T


def erased(X: np.ndarray, mean: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Vectors through a map of this module, in their own precision: ``(n, d) -> (n, d)``.

    For that of `regression` their speaker vectors stand behind them: ``(n, d + k) -> (n, d)``.
    """
    return ((X - mean) @ matrix.T + mean[: len(matrix)]).astype(X.dtype, copy=False)


def erasure(
    method: str, p: np.ndarray, s: np.ndarray, speaker: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The map of a method, of phonetic and speaker vectors; speakers from 0, -1 where unknown."""
    known = speaker >= 0
    if method == "regression":
        return regression(p, s)
    return (leace if method == "leace" else subspace)(p[known], speaker[known])


def erased_by(p: np.ndarray, s: np.ndarray, mean: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Phonetic vectors through a map that `erasure` found."""
    return erased(p if len(mean) == p.shape[1] else np.hstack([p, s]), mean, matrix)


def _labeled(X: Any, labels: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Vectors, the number of each row's label, and how many labels there are."""
    X = np.asarray(X, dtype=np.float64)
    labels = np.asarray(labels)
    if X.ndim != 2 or labels.shape != (len(X),):
        raise ValueError(
            f"X must have shape (n, d) and labels (n,); they have {X.shape} and {labels.shape}"
        )
    names, place = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"labels has {len(names)} kinds: there is nothing to erase")
    return X, place, len(names)
