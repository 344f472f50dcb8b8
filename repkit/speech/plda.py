"""Internal. Probabilistic linear discriminant analysis: the two-covariance model of speakers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag, eigh

from repkit.metrics.speaker._verification import speaker_means

SHRINKAGE = 0.3  # of the covariance between speakers, of whom there are few, towards a sphere
RIDGE = 0.02  # of the mean variance within speakers


@dataclass(frozen=True)
class TwoCovariance:
    """A speaker is drawn from one normal distribution, and the speaker's vectors from another.

    In the basis of ``directions`` the covariance within speakers is the identity, and that between
    them diagonal (Brümmer and de Villiers 2010).

    Parameters
    ----------
    mean : ndarray of shape (d,)
    directions : ndarray of shape (d, d)
    between : ndarray of shape (d,)
        Variances between speakers.
    """

    mean: np.ndarray
    directions: np.ndarray
    between: np.ndarray

    @classmethod
    def of_blocks(cls, X: np.ndarray, place: np.ndarray, blocks: list[slice]) -> TwoCovariance:
        """The model whose covariances are 0 between blocks of columns: its scores are sums."""
        parts = [cls.fit(X[:, block], place) for block in blocks]
        return cls(
            np.concatenate([part.mean for part in parts]),
            block_diag(*(part.directions for part in parts)),
            np.concatenate([part.between for part in parts]),
        )

    @classmethod
    def fit(cls, X: np.ndarray, place: np.ndarray) -> TwoCovariance:
        """The model of vectors ``(n, d)`` of speakers ``(n,)``, numbered from 0."""
        from sklearn.covariance import shrunk_covariance

        means = speaker_means(X, place)
        W = within(X, means, place)
        d = len(W)
        W += RIDGE * max(float(np.trace(W)) / d, 1e-12) * np.eye(d)
        B = shrunk_covariance(np.atleast_2d(np.cov(means.T)), SHRINKAGE)
        between, directions = eigh(B, W)
        return cls(X.mean(0), directions, np.maximum(between, 1e-12))

    def enrolled(self, X: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is known of speakers from their vectors: means and variances, ``(k, d)`` each."""
        means = speaker_means((X - self.mean) @ self.directions, place)
        counts = np.bincount(place)[:, None]
        variances = 1.0 / (1.0 / self.between + counts)
        return variances * counts * means, variances

    def scores(self, X: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
        """Log likelihood ratios of vectors ``(m, d)`` and speakers, ``(m, k)``.

        Of being of that speaker, to being of anybody.
        """
        X = (X - self.mean) @ self.directions
        own, anybody = 1.0 / (variances + 1.0), 1.0 / (self.between + 1.0)
        # Of the squared distances to each mean, term by term: no array is (m, k, d).
        far = np.square(X) @ (own - anybody).T - 2 * X @ (own * means).T
        far += (own * np.square(means)).sum(1)
        volumes = np.log(own / anybody).sum(1)
        found: np.ndarray = 0.5 * (volumes - far)
        return found


def within(X: np.ndarray, means: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Covariance within speakers, ``(d, d)``."""
    rest = X - means[place]
    covariance: np.ndarray = rest.T @ rest / max(len(X) - len(means), 1)
    return covariance
