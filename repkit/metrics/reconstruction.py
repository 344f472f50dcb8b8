"""Reconstructions against the samples they were made from."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit._random import generator
from repkit.metrics._arrays import feature_matrix, same_width

__all__ = [
    "reconstruction_ratio",
]


def reconstruction_ratio(X: Any, X_back: Any, *, random_state: Any = 0) -> float:
    r"""Divide the mean distance of reconstructions to their samples by that to other samples.

    Mean :math:`|x - \hat x|` over mean :math:`|x' - \hat x|`, with x' another row of X. It is near
    0 if each reconstruction belongs to its own sample, and 1 if it might belong to any. Donahue et
    al. 2017 print both distances during training.

    Parameters
    ----------
    X : array of shape (n, ...)
        At least two samples, which are flattened.
    X_back : array of shape (n, ...)
        Reconstructions of the samples, in the same order.
    random_state : int, RandomState, Generator or None, default=0
        Draws the other rows, so that the order of X does not matter.

    Returns
    -------
    ratio : float
        At least 0, without a unit. Lower is better.

    Raises
    ------
    ValueError
        If input is not finite, there are fewer than two rows, shapes do not match, or all rows
        and reconstructions are the same.

    Examples
    --------
    >>> round(reconstruction_ratio([[0.0], [2.0]], [[0.1], [1.9]]), 3)
    0.053
    """
    X, X_back = feature_matrix(X, "X", 2), feature_matrix(X_back, "X_back", 2)
    same_width(X, X_back, ("X", "X_back"))
    if len(X) != len(X_back):
        raise ValueError(
            f"X has {len(X)} rows but X_back has {len(X_back)}: pass one reconstruction "
            "for each row"
        )
    order = generator(random_state).permutation(len(X))
    own = np.linalg.norm(X - X_back, axis=1).mean()
    other = np.linalg.norm(X[np.roll(order, 1)] - X_back[order], axis=1).mean()
    if other == 0.0:
        raise ValueError(
            "X must have rows that differ: every row equals every reconstruction, so that there is "
            "nothing to compare with"
        )
    return float(own / other)
