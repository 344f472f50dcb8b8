"""`SpeakerScaler`: vectors of speech at the mean and deviation of their speakers. Of anybody's."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from repkit import _arguments
from repkit.base.all_or_nothing import all_or_nothing
from repkit.speech.by_speaker import BySpeaker
from repkit.speech.speakers import read_speakers

__all__ = ["SpeakerScaler"]

MOST = 1e9


class SpeakerScaler(OneToOneFeatureMixin, BySpeaker, BaseEstimator):
    """Bring vectors to mean 0 and deviation 1 for each speaker, who need not be known beforehand.

    Which rows are of the same speaker must be known, also in use; what is said need not be.
    `SpeakerErasure` is for rows of which nothing is known. Speakers of few rows are scaled partly
    as those of ``fit``: means and variances are averaged with theirs, by numbers of rows (maximum
    a posteriori: Reynolds, Quatieri and Dunn 2000).

    Parameters
    ----------
    relevance : float, default=10.0
        Rows that the mean and the variance of ``fit`` count for. Of n rows, ``relevance / (n +
        relevance)`` of what sets their speaker apart is left. 0 trusts the speaker's own rows
        alone, however few they are.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Of all rows of ``fit``; rows of unknown speakers are scaled by it.
    var_ : ndarray of shape (n_features,)
        Variance about the means of the speakers; 1 where nothing varies.
    n_features_in_ : int
        Columns of X.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.speech import SpeakerScaler
    >>> rng = np.random.default_rng(0)
    >>> speaker = np.repeat(["ann", "bob"], 100)
    >>> p = rng.normal(size=(200, 4)) + 5 * (speaker == "bob")[:, None]
    >>> scaled = SpeakerScaler(0.0).fit(p, speaker=speaker).transform(p, speaker=speaker)
    >>> bool(abs(scaled[100:].mean(0)).max() < 1e-9)
    True
    """

    def __init__(self, relevance: float = 10.0) -> None:
        self.relevance = relevance

    @all_or_nothing
    def fit(self, X: Any, y: Any = None, *, speaker: Any = None) -> Self:
        """Compute the mean of all rows, and the variance within speakers.

        Parameters
        ----------
        X : array of shape (n, n_features)
            Vectors, one for each recording or each frame.
        y : None
            Not read.
        speaker : array-like of shape (n,), optional
            The speaker of each row, labels of any kind; -1 where it is unknown. Without, all rows
            are taken as of one.

        Returns
        -------
        SpeakerScaler
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If ``relevance`` is out of its range, X is not finite, or ``speaker`` is of another
            length.
        """
        _arguments.number(self.relevance, "relevance", 0.0, MOST)
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        self.mean_ = X.mean(0, dtype=np.float64)
        centers = np.tile(self.mean_, (len(X), 1))
        for rows in _rows(speaker, len(X)):
            centers[rows] = X[rows].mean(0, dtype=np.float64)
        var = np.square(X - centers).mean(0)
        self.var_ = np.where(var > 0, var, 1.0)
        return self

    def transform(self, X: Any, *, speaker: Any = None) -> np.ndarray:
        """Scale the rows of each speaker.

        Parameters
        ----------
        X : array of shape (n, n_features)
            Vectors of any speakers.
        speaker : array-like of shape (n,), optional
            The speaker of each row, who need not have been in ``fit``; -1 where it is unknown.
            Those rows, and all without names, are scaled as the rows of ``fit``.

        Returns
        -------
        ndarray of shape (n, n_features)
            Of the type of X if that is float32 or float64, else float64.

        Raises
        ------
        NotFittedError
            If the scaler is not fitted.
        ValueError
            If X is not finite or has another number of columns, or ``speaker`` is of another
            length.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        found = ((X - self.mean_) / np.sqrt(self.var_)).astype(X.dtype)
        for rows in _rows(speaker, len(X)):
            own, count = X[rows].astype(np.float64), len(rows) + self.relevance
            mean = (own.sum(0) + self.relevance * self.mean_) / count
            var = (len(rows) * own.var(0) + self.relevance * self.var_) / count
            found[rows] = (own - mean) / np.sqrt(np.where(var > 0, var, 1.0))
        return found

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _rows(speaker: Any, n: int) -> list[np.ndarray]:
    """Where the rows of each known speaker are."""
    if speaker is None:
        return []
    codes = read_speakers(speaker, n, name="speaker").codes
    order = np.argsort(codes, kind="stable")
    order = order[np.count_nonzero(codes < 0) :]
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
