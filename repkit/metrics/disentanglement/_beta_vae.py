"""The score of beta-VAE: a linear classifier tells which factor pairs of samples share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from repkit._arguments import integer
from repkit._random import generator
from repkit.metrics.disentanglement._batches import MOST_IN_BATCH, Batches, batches, factor_of_each
from repkit.metrics.disentanglement._checks import check_sizes


def beta_vae_score(
    codes: Any,
    factors: Any,
    *,
    encode: Callable[[np.ndarray], Any] | None = None,
    n_train: int = 10000,
    n_eval: int = 5000,
    batch_size: int = 64,
    random_state: Any = 0,
) -> dict[str, float]:
    """Compute the score of beta-VAE: which factor do pairs of samples share.

    Higgins et al. (ICLR 2017, section 3). Each of `n_train` batches picks one random factor and
    `batch_size` pairs of samples that share its value. The mean absolute difference of their codes,
    one number for each code, goes to a logistic regression (scikit-learn's, C = 1, differences not
    scaled) that predicts the factor. The score is its accuracy on `n_eval` further batches: 1 for
    codes that are the factors, about 1 / k for independent ones. It is lenient: mixed codes come
    near 1, too, unless all factors move each of them alike.

    The partner of a random row is another random row with the same value, or the row itself if the
    value occurs once. With `encode` pairs are drawn as published.

    Parameters
    ----------
    codes : array of shape (n, d)
        Representation.
    factors : array of shape (n, k)
        True factors as whole numbers, at least two columns.
    encode : callable, optional
        Maps factors (m, k) to the codes (m, d) of samples that have them, as in
        :func:`factor_vae_score`. It is called about 120 times with 16 384 rows.
    n_train : int, default=10000
        Batches that train the classifier.
    n_eval : int, default=5000
        Batches that are scored.
    batch_size : int, default=64
        Pairs of samples in a batch.
    random_state : int, RandomState, Generator or None, default=0
        Draws the batches.

    Returns
    -------
    scores : dict of str to float
        ``beta_vae`` and ``beta_vae_train``: accuracies, in [0, 1], on the scored and on the
        training batches.

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, there is a single factor, a factor is constant
        or not whole, or `encode` gives another shape.
    """
    from sklearn.linear_model import LogisticRegression

    check_sizes(n_train=n_train, n_eval=n_eval)
    integer(batch_size, "batch_size", 1, MOST_IN_BATCH)
    rng = generator(random_state)
    _, source = batches(codes, factors, encode, rng)
    X, y = _differences(source, n_train, batch_size, rng)
    X_eval, y_eval = _differences(source, n_eval, batch_size, rng)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    return {
        "beta_vae": float(model.score(X_eval, y_eval)),
        "beta_vae_train": float(model.score(X, y)),
    }


def _differences(
    source: Batches, n: int, batch_size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Give the mean absolute differences (n, d) of n batches and the factor (n,) of each."""
    counts = factor_of_each(n, source.n_factors, rng)
    means = [
        np.abs(one - two).mean(axis=1)
        for j, count in enumerate(counts)
        for one, two in source.pairs(j, int(count), batch_size)
    ]
    return np.concatenate(means), np.repeat(np.arange(source.n_factors), counts)
