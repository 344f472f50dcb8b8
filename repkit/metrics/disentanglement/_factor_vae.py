"""The score of FactorVAE: which code varies least when a factor is fixed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from repkit._arguments import integer, number
from repkit._random import generator
from repkit.metrics.disentanglement._batches import MOST_IN_BATCH, Batches, batches, factor_of_each
from repkit.metrics.disentanglement._checks import check_sizes


def factor_vae_score(
    codes: Any,
    factors: Any,
    *,
    encode: Callable[[np.ndarray], Any] | None = None,
    n_train: int = 10000,
    n_eval: int = 5000,
    batch_size: int = 64,
    min_std: float = 0.05,
    random_state: Any = 0,
) -> dict[str, float]:
    """Compute the score of FactorVAE: majority votes of the code that varies least.

    Kim and Mnih (ICML 2018, section 4). Each of `n_train` batches fixes one random factor. The code
    whose variance in the batch, divided by its variance in all rows, is least casts a vote for that
    factor. Each code then stands for the factor with most of its votes, and the score is the share
    of `n_eval` further votes that are right: 1 for codes that are the factors, about 1 / k for
    independent ones. It is lenient: mixed codes reach 1, too, if each leans to a factor of its own.

    Batches are drawn without replacement among the rows that share the factor's value. If a value
    has fewer rows than a batch, they are drawn with replacement, and a warning says so. With
    `encode` batches are drawn as published.

    Parameters
    ----------
    codes : array of shape (n, d)
        Representation.
    factors : array of shape (n, k)
        True factors as whole numbers, at least two columns.
    encode : callable, optional
        Maps factors (m, k) to the codes (m, d) of samples that have them: it draws or looks up the
        samples and encodes them. Factors are drawn uniformly and independently among the values in
        `factors`, and `codes` is used for its variances alone. It is called about 60 times with
        16 384 rows. For sprites and an estimator `model`:
        ``lambda f: model.transform(make_sprites(factors=f).X)``.
    n_train : int, default=10000
        Votes that choose the majorities.
    n_eval : int, default=5000
        Votes that are scored.
    batch_size : int, default=64
        Rows in a batch.
    min_std : float, default=0.05
        Codes of a smaller standard deviation do not vote: a code that a variational autoencoder
        ignores is nearly constant. If codes are small by nature, scale them or lower this.
    random_state : int, RandomState, Generator or None, default=0
        Draws the batches.

    Returns
    -------
    scores : dict of str to float
        ``factor_vae`` and ``factor_vae_train``: accuracies, in [0, 1], of the scored and of the
        training votes; ``active_codes``: number of codes that vote. All are 0, with a warning, if
        no code votes.

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, there is a single factor, a factor is constant
        or not whole, or `encode` gives another shape.
    """
    check_sizes(n_train=n_train, n_eval=n_eval)
    integer(batch_size, "batch_size", 2, MOST_IN_BATCH)
    number(min_std, "min_std")
    rng = generator(random_state)
    table, source = batches(codes, factors, encode, rng)
    variance = table.var(axis=0, ddof=1)
    active = (np.sqrt(variance) >= min_std) & (variance > 0)
    if not active.any():
        warnings.warn(
            f"no column of codes has a standard deviation of min_std={min_std} (the "
            f"greatest is {np.sqrt(variance.max()):.3g}), so that the score is 0: scale "
            "the codes or lower min_std",
            stacklevel=2,
        )
        return {"factor_vae": 0.0, "factor_vae_train": 0.0, "active_codes": 0.0}
    votes = [_votes(source, variance, active, n, batch_size, rng) for n in (n_train, n_eval)]
    train, test = _majority_vote(*votes)
    return {
        "factor_vae": test,
        "factor_vae_train": train,
        "active_codes": float(active.sum()),
    }


def _votes(
    source: Batches,
    variance: np.ndarray,
    active: np.ndarray,
    n: int,
    batch_size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Count the votes (k, d) of n batches: entry (j, i) when code i varies least, j fixed."""
    votes = np.zeros((source.n_factors, len(variance)), dtype=np.int64)
    for j, count in enumerate(factor_of_each(n, source.n_factors, rng)):
        for block in source.same_value(j, int(count), batch_size):
            ratio = block.var(axis=1, ddof=1) / np.where(active, variance, 1)
            least = np.where(active, ratio, np.inf).argmin(axis=1)
            votes[j] += np.bincount(least, minlength=len(variance))
    return votes


def _majority_vote(train: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    """Give the shares of votes (k, d) for the factor that each code has most of in `train`."""
    factor = train.argmax(axis=0)
    code = np.arange(train.shape[1])
    right = [float(votes[factor, code].sum() / votes.sum()) for votes in (train, test)]
    return right[0], right[1]
