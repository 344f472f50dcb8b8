"""`IVectorExtractor`: one vector of a recording, learned without labels. Of anybody's frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from repkit import _arguments
from repkit.base.all_or_nothing import all_or_nothing
from repkit.speech.frame_table import MOST_FRAMES, enough_frames, mixture, read_table

__all__ = ["IVectorExtractor"]

BLOCK = 2**14  # frames whose clusters are found at once
RECORDINGS = 256  # of which posteriors are found at once
FLOOR = 0.01  # least variance of a cluster of scaled frames
START = 0.1  # deviation of the factors' first directions, in those of the clusters
MOST, MOST_ITERATIONS = 2**14, 1000


class IVectorExtractor(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turn recordings into vectors that tell how their sounds differ from those of others.

    A mixture of Gaussians is fitted to all frames. In a recording its means are moved, all
    together, along few directions; where they lie is the recording's vector (i-vector: Dehak et
    al. 2011), in which each sound is compared with its like. Nobody needs to be named. In the
    benchmark of Arabic words ``repkit.speech.SpeakerVerifier(scoring="plda")`` told speakers by
    them better than by the means of the same frames. Words can be read of them, too.

    Frames are MFCC with differences, as ``FrontEnd("mfcc", deltas=True)`` gives them, or those of
    any encoder. Bring recordings to one loudness before, if that tells nothing.

    Parameters
    ----------
    n_components : int, default=64
        Clusters of the mixture.
    n_factors : int, default=100
        Directions, the numbers of a vector.
    n_iter : int, default=8
        Steps of expectation and maximization by which the directions are learned.
    random_state : int, RandomState or None, default=None
        Draws where the mixture and the directions start.

    Attributes
    ----------
    mixture_ : GaussianMixture
        The clusters of frames that are scaled to mean 0 and deviation 1.
    mean_, scale_ : ndarray of shape (n_features,)
        Mean and deviation of the columns of all frames.
    directions_ : ndarray of shape (n_components, n_features, n_factors)
        How the factors move the mean of each cluster, of scaled frames.
    n_features_in_ : int
        Columns of a frame.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.speech import IVectorExtractor
    >>> rng = np.random.default_rng(0)
    >>> frames = [rng.normal(size=(n, 13)) for n in (80, 120, 100)]
    >>> model = IVectorExtractor(8, n_factors=4, random_state=0).fit(frames)
    >>> model.transform(frames).shape
    (3, 4)
    """

    def __init__(
        self,
        n_components: int = 64,
        *,
        n_factors: int = 100,
        n_iter: int = 8,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.n_factors = n_factors
        self.n_iter = n_iter
        self.random_state = random_state

    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the mixture, and the directions in which recordings differ.

        Parameters
        ----------
        X : list of m arrays of shape (T, n_features), or array of shape (m, n_features)
            Frames of recordings; or recordings of a single frame each.
        y : None
            Not read.

        Returns
        -------
        IVectorExtractor
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, X is not finite, or there are fewer than four
            frames for each cluster.
        """
        k = _arguments.integer(self.n_components, "n_components", 1, MOST)
        n_factors = _arguments.integer(self.n_factors, "n_factors", 1, MOST)
        n_iter = _arguments.integer(self.n_iter, "n_iter", 1, MOST_ITERATIONS)
        rng = check_random_state(self.random_state)
        table, lengths = read_table(self, X, reset=True)
        enough_frames(table, k)
        self.mean_ = table.mean(0, dtype=np.float64)
        deviation = table.std(0, dtype=np.float64)
        self.scale_ = np.where(deviation > 1e-6 * (1 + np.abs(self.mean_)), deviation, 1.0)
        chosen = np.sort(rng.permutation(len(table))[:MOST_FRAMES])
        with config_context(array_api_dispatch=False):
            self.mixture_ = mixture(self._scaled(table[chosen]), k, FLOOR, rng)
        counts, sums = self._gathered(table, lengths)
        deviations = np.sqrt(self.mixture_.covariances_)
        start = rng.standard_normal((*deviations.shape, n_factors))
        self.directions_ = START * deviations[:, :, None] * start
        for _ in range(n_iter):
            self.directions_ = self._maximized(counts, sums)
        self._n_features_out = n_factors
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Give the vector of each recording.

        Parameters
        ----------
        X : list of m arrays of shape (T, n_features), or array of shape (m, n_features)
            Frames of recordings of any length; or recordings of a single frame each.

        Returns
        -------
        ndarray of shape (m, n_factors)
            Float32 means of the factors, given the frames. The fewer frames, the nearer to 0.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If X is not finite or has another number of columns.
        """
        check_is_fitted(self)
        table, lengths = read_table(self, X, reset=False)
        found = [means for *_, means, _ in self._expected(*self._gathered(table, lengths))]
        return np.concatenate(found).astype(np.float32)

    def _scaled(self, table: np.ndarray) -> np.ndarray:
        return (table - self.mean_) / self.scale_

    def _gathered(self, table: np.ndarray, lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """How much of each recording is in each cluster, and the sum of what it differs there.

        ``(m, k)`` and ``(m, k, d)``; frames are worked on block by block.
        """
        means = self.mixture_.means_
        counts = np.zeros((len(lengths), len(means)))
        sums = np.zeros((len(lengths), *means.shape), dtype=np.float32)
        owner = np.repeat(np.arange(len(lengths)), lengths)
        with config_context(array_api_dispatch=False):
            for start in range(0, len(table), BLOCK):
                rows = owner[start : start + BLOCK]
                x = self._scaled(table[start : start + BLOCK])
                share = self.mixture_.predict_proba(x)
                first = np.flatnonzero(np.diff(rows, prepend=-1))
                for a, b in zip(first, [*first[1:], len(rows)], strict=True):
                    own = share[a:b]
                    mass = own.sum(0)
                    counts[rows[a]] += mass
                    sums[rows[a]] += own.T @ x[a:b] - mass[:, None] * means
        return counts, sums

    def _expected(
        self, counts: np.ndarray, sums: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """What is known of the factors of some recordings after others.

        Their counts ``(n, k)`` and sums ``(n, k, d)``, means ``(n, q)`` and covariances
        ``(n, q, q)``.
        """
        T = self.directions_
        q = T.shape[2]
        weighted = T / self.mixture_.covariances_[:, :, None]
        inner = (weighted.transpose(0, 2, 1) @ T).reshape(len(T), -1)
        for start in range(0, len(counts), RECORDINGS):
            some = slice(start, start + RECORDINGS)
            precisions = np.eye(q) + (counts[some] @ inner).reshape(-1, q, q)
            covariances = np.linalg.inv(precisions)
            along = sums[some].reshape(len(precisions), -1) @ weighted.reshape(-1, q)
            means = (covariances @ along[:, :, None])[:, :, 0]
            yield counts[some], sums[some], means, covariances

    def _maximized(self, counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """The directions that make the frames most likely, given what is known of the factors."""
        k, d, q = self.directions_.shape
        squares, products = np.zeros((k, q * q)), np.zeros((k * d, q))
        for count, total, means, covariances in self._expected(counts, sums):
            second = covariances + means[:, :, None] * means[:, None, :]
            squares += count.T @ second.reshape(len(means), -1)
            products += total.reshape(len(means), -1).T @ means
        squares = squares.reshape(k, q, q)
        ridge = 1e-6 * np.maximum(np.trace(squares, axis1=1, axis2=2) / q, 1e-6)
        squares = squares + ridge[:, None, None] * np.eye(q)
        solved: np.ndarray = np.linalg.solve(squares, products.reshape(k, d, q).transpose(0, 2, 1))
        return solved.transpose(0, 2, 1)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
