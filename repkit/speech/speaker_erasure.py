"""`SpeakerErasure`: the speaker taken out of anybody's features, in closed form."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from repkit import _arguments
from repkit.base.all_or_nothing import all_or_nothing
from repkit.base.parameters import MOST_UNITS
from repkit.speech.erasure import erased, leace, regression, subspace
from repkit.speech.speakers import read_speakers

__all__ = ["SpeakerErasure"]


class SpeakerErasure(TransformerMixin, BaseEstimator):
    r"""Take the speaker out of features of speech by an affine map that is found in one go.

    Rows are vectors of words, or frames of any encoder; the frames of all utterances one after the
    other, say. No label is needed to use the map, which is defined for speakers that were never
    seen.

    Parameters
    ----------
    method : {"subspace", "regression", "leace"}, default="subspace"
        "subspace" projects out the principal directions of the speakers' means,
        :math:`x - V V^T (x - \mu)` (Liu, Tang and Goldwater 2023). "regression" subtracts what a
        linear map of the row's speaker vector explains, :math:`x - A^T (s - \bar s)` (Eta-WavLM:
        Ruggiero et al. 2025). "leace" is the least change after which no linear probe can tell the
        speakers of ``fit`` (Belrose et al. 2023).
    n_components : int or float, optional
        Directions that "subspace" projects out, or principal components of the speaker vector that
        "regression" uses: their number or, below 1, the share of the variance that they are to
        hold. By default, .95 for "subspace" and all for "regression". "leace" has no use for it.
    speaker_dim : int, optional
        For "regression", which needs it: the last so many columns of X are the speaker vector of
        the row. They are read, and left out of what comes out.

    Attributes
    ----------
    speakers_ : ndarray
        The speakers of ``fit``; not with "regression".
    mean_ : ndarray of shape (n_features,)
        Mean of the rows.
    matrix_ : ndarray of shape (n_out, n_features)
        ``(x - mean_) @ matrix_.T + mean_[:n_out]`` is what comes out.
    n_features_in_ : int
        Columns of X.

    Examples
    --------
    A stand-in for frames of 768 numbers by a pretrained encoder: what is said plus who says it.

    >>> import numpy as np
    >>> from repkit.speech import SpeakerErasure
    >>> rng = np.random.default_rng(0)
    >>> speaker = np.repeat(np.arange(5), 200)
    >>> frames = rng.normal(size=(1000, 768)) + rng.normal(size=(5, 768))[speaker]
    >>> clean = SpeakerErasure().fit_transform(frames, speaker)
    >>> means = np.stack([clean[speaker == k].mean(0) for k in range(5)])
    >>> bool(means.std(0).max() < 1e-6)
    True
    """

    def __init__(
        self,
        method: str = "subspace",
        *,
        n_components: float | None = None,
        speaker_dim: int | None = None,
    ) -> None:
        self.method = method
        self.n_components = n_components
        self.speaker_dim = speaker_dim

    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the map.

        Parameters
        ----------
        X : array of shape (n, n_features)
            Features; with "regression", the speaker vector of each row behind them.
        y : array-like of shape (n,), optional
            The speaker of each row, labels of any kind; -1 where it is unknown. The number of the
            recording will do where nothing else is known. "regression" does not read it.

        Returns
        -------
        SpeakerErasure
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, X is not finite, y is missing, of another length or
            names fewer than two speakers.
        """
        method = _arguments.choice(self.method, "method", ("subspace", "regression", "leace"))
        n = _n_components(self.n_components)
        if method == "regression":
            X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
            d = X.shape[1] - self._speaker_columns(X.shape[1])
            self.mean_, self.matrix_ = regression(X[:, :d], X[:, d:], n)
            return self
        if y is None:
            raise ValueError(
                f"method={method!r} needs the speaker of each row: this estimator requires y to be "
                "passed, but the target y is None"
            )
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        labels = read_speakers(y, len(X))
        if len(labels.classes) < 2:
            raise ValueError(
                f"y must name at least 2 speakers, not {len(labels.classes)}: there is nothing to "
                "erase"
            )
        self.speakers_ = labels.classes
        rows, codes = X[labels.known], labels.codes[labels.known]
        if method == "leace":
            self.mean_, self.matrix_ = leace(rows, codes)
        else:
            self.mean_, self.matrix_ = subspace(rows, codes, 0.95 if n is None else n)
        return self

    def _speaker_columns(self, columns: int) -> int:
        if self.speaker_dim is None:
            raise ValueError(
                "speaker_dim must say how many columns at the end of X are the speaker vector with "
                "method='regression', not be None"
            )
        dim = _arguments.integer(self.speaker_dim, "speaker_dim", 1, MOST_UNITS)
        if dim >= columns:
            raise ValueError(
                f"speaker_dim={dim} leaves no column of X, which has {columns} "
                f"(n_features = {columns}): append the speaker vector to the features"
            )
        return dim

    def transform(self, X: Any) -> np.ndarray:
        """Take the speaker out.

        Parameters
        ----------
        X : array of shape (n, n_features)
            Features of any speakers; with "regression", the speaker vector of each row behind
            them.

        Returns
        -------
        ndarray of shape (n, n_features) or (n, n_features - speaker_dim)
            Of the type of X if that is float32 or float64, else float64.

        Raises
        ------
        NotFittedError
            If the map is not found yet.
        ValueError
            If X is not finite or has another number of columns.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return erased(X, self.mean_, self.matrix_)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns that `transform` gives.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the columns of X.

        Returns
        -------
        ndarray of str
            Those of X, without the columns of the speaker vector.
        """
        check_is_fitted(self)
        names: np.ndarray = _check_feature_names_in(self, input_features)
        return names[: len(self.matrix_)]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.method != "regression"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _n_components(value: Any) -> float | None:
    """A share of the variance, a number of directions, or None."""
    if value is None:
        return None
    wanted = "; below 1 it is a share of the variance, and from 1 on it is a whole number"
    found = _arguments.number(value, "n_components", 0.0, MOST_UNITS, above=True)
    if found >= 1 and found != int(found):
        raise ValueError(f"n_components must not be {value!r}{wanted}")
    return int(found) if found >= 1 else found
