"""`MarginalizedDenoiser`: features of a table that do without any one column, in closed form."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import linalg, sparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from repkit import _arguments
from repkit.base.all_or_nothing import all_or_nothing

__all__ = ["MarginalizedDenoiser"]

MOST_LAYERS = 100


class MarginalizedDenoiser(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    r"""Marginalized stacked denoising auto-encoder, mSDA (Chen, Xu, Weinberger and Sha 2012).

    Each layer rebuilds a row from what is left of it when columns are set to 0 at random, by the
    linear map with the least expected error, and squashes the result,

    .. math::

        h = \tanh(W x), \quad W = \arg\min_W \sum_i E\, |x_i - W \tilde x_i|^2.

    No copy of a row is ever spoiled: the expectation has a closed form (equation 5 of the paper).
    Words that one domain uses and another does not, say, are filled in from the company they keep.
    Fit it to the rows of all domains; no label is needed. What comes out goes into `repkit.DANN` or
    a linear classifier in the place of X. Where the domains lie apart, take the mean of each domain
    out of its denoised rows first: the threshold of one is wrong for the other.

    Parameters
    ----------
    noise : float, default=0.5
        Probability with which a column of a row is set to 0; above 0 and below 1.
    n_layers : int, default=3
        Number of layers. Each has a matrix of ``(n_features + 1) x n_features``, found in a time
        that grows with the third power of the columns.
    ridge : float, default=1e-5
        What is added to the diagonal before a layer is solved for, in units of its mean.

    Attributes
    ----------
    maps_ : list of ndarray of shape (n_features + 1, n_features)
        One for each layer: ``tanh([x, 1] @ map)``.
    n_features_in_ : int
        Columns of X.

    Notes
    -----
    Rows should be of about unit length, or columns about within -1 and 1: beyond, the hyperbolic
    tangent tells little apart.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.dann import MarginalizedDenoiser
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((200, 2)).repeat(5, axis=1)  # five columns that say the same
    >>> denoiser = MarginalizedDenoiser().fit(X)
    >>> spoiled = X.copy()
    >>> spoiled[:, 0] = 0
    >>> away = np.abs(denoiser.transform(spoiled) - denoiser.transform(X))[:, 0]
    >>> bool(away.mean() < 0.3 * X[:, 0].mean())
    True
    """

    def __init__(
        self,
        noise: float = 0.5,
        *,
        n_layers: int = 3,
        ridge: float = 1e-5,
    ) -> None:
        self.noise = noise
        self.n_layers = n_layers
        self.ridge = ridge

    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the maps.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, n_features)
            Rows of all domains.
        y : None
            Not read.

        Returns
        -------
        MarginalizedDenoiser
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, or X is not finite.
        """
        noise = _arguments.number(self.noise, "noise", 0.0, 1.0, above=True, below=True)
        layers = _arguments.integer(self.n_layers, "n_layers", 1, MOST_LAYERS)
        ridge = _arguments.number(self.ridge, "ridge", 0.0)
        h = self._rows(X, reset=True)
        self.maps_: list[np.ndarray] = []
        for _ in range(layers):
            self.maps_.append(_denoising_map(h, noise, ridge))
            h = _squashed(h, self.maps_[-1])
        return self

    def _rows(self, X: Any, reset: bool) -> Any:
        return validate_data(
            self, X, dtype=[np.float64, np.float32], accept_sparse="csr", reset=reset
        )

    def transform(self, X: Any) -> np.ndarray:
        """Denoise rows.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, n_features)
            Rows of any domain.

        Returns
        -------
        ndarray of shape (n, n_features)
            What the last layer makes of them; of the type of X if that is float32 or float64, else
            float64.

        Raises
        ------
        NotFittedError
            If the maps are not found yet.
        ValueError
            If X is not finite or has another number of columns.
        """
        check_is_fitted(self)
        h = self._rows(X, reset=False)
        for found in self.maps_:
            h = _squashed(h, found)
        return np.asarray(h)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _denoising_map(X: Any, noise: float, ridge: float) -> np.ndarray:
    """The map of least expected error from spoiled rows, and a 1 behind them, to the rows.

    Parameters
    ----------
    X : array or sparse matrix of shape (n, d)
    noise : float
        Probability with which a column of a row is set to 0; the 1 never is.
    ridge : float

    Returns
    -------
    ndarray of shape (d + 1, d)
    """
    n, d = X.shape
    # In float64, since many words are rare: float32 cannot tell such a matrix from a singular one.
    own, X = X.dtype, X.astype(np.float64)
    scatter = np.empty((d + 1, d + 1))
    product = X.T @ X
    scatter[:d, :d] = product.toarray() if sparse.issparse(product) else product
    scatter[d, :d] = scatter[:d, d] = np.asarray(X.sum(axis=0)).ravel()
    scatter[d, d] = n
    kept = np.full(d + 1, 1.0 - noise)
    kept[d] = 1.0
    # E of spoiled x x^T; a column is there with itself as often as alone.
    spoiled = scatter * kept[:, None] * kept
    spoiled[np.diag_indices(d + 1)] = kept * np.diag(scatter)
    spoiled[np.diag_indices(d + 1)] += ridge * np.diag(scatter).mean() + np.finfo(float).tiny
    found: np.ndarray = linalg.solve(
        spoiled, kept[:, None] * scatter[:, :d], assume_a="pos", overwrite_a=True, overwrite_b=True
    )
    return found.astype(own)


def _squashed(X: Any, found: np.ndarray) -> np.ndarray:
    """``tanh([x, 1] @ map)``."""
    return np.tanh(X @ found[:-1] + found[-1])
