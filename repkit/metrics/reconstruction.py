"""How much of a sample its reconstruction holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit._random import generator
from repkit.metrics._arrays import feature_matrix, same_width


def reconstruction_ratio(X: Any, X_back: Any, *, random_state: Any = 0) -> float:
    r"""Mean :math:`|x - \hat x|` over mean :math:`|x' - \hat x|`, x' another row of X.

    Near 0 where each reconstruction is that of its own sample, 1 where it might be anybody's: the
    ratio of the figures that Donahue et al. 2017 print while they train.

    Parameters
    ----------
    X, X_back : array of shape (n, ...)
        Samples, at least two, and their reconstructions; flattened.
    random_state : int, RandomState, Generator or None, default=0
        Of the other rows, drawn at random, so that the order of X does not matter.

    Raises
    ------
    ValueError
        On not finite input, fewer than two rows or shapes that do not match.
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
    return float(own / other)
