"""The score of FactorVAE: which code varies least when a factor is fixed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from repkit._random import generator
from repkit.metrics.disentanglement._batches import Batches, batches, factor_of_each


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
    """Score of Kim and Mnih (ICML 2018, section 4): majority votes of the least varying code.

    Each of `n_train` batches fixes one random factor. The code whose variance in the batch, over
    its variance in all rows, is least casts a vote for that factor. Each code then stands for the
    factor that it got most votes for, and the score is the share of `n_eval` further votes that
    are right: 1 for codes that are the factors, about 1 / k for independent ones. It is lenient:
    mixed codes also have 1 when each of them leans to a factor of its own.

    Batches are drawn among the rows that share the factor's value, without replacement; where a
    value has fewer rows than a batch, with replacement and a warning. With `encode` they are drawn
    as published.

    Parameters
    ----------
    codes : array of shape (n, d)
        Representation.
    factors : array of shape (n, k)
        True factors as whole numbers, at least two columns.
    encode : callable, optional
        Makes codes (m, d) of the samples with given factors (m, k): draws (or looks up) the
        samples and encodes them. The factors are drawn uniformly and independently among the
        values that `factors` holds; `codes` then only gives the variances. It is called about 60
        times with 16 384 rows. For sprites and an estimator `model`:
        ``lambda f: model.transform(make_sprites(factors=f).X)``.
    n_train, n_eval : int, default=10000, 5000
        Votes that choose the majorities, and votes that are scored.
    batch_size : int, default=64
        Rows of a batch.
    min_std : float, default=0.05
        Codes of a smaller standard deviation do not vote (those of a variational autoencoder that
        ignores them are nearly constant). Scale codes that are small by nature, or lower it.
    random_state : int, RandomState, Generator or None, default=0

    Returns
    -------
    scores : dict of str to float
        ``factor_vae`` and ``factor_vae_train``, the accuracies of the two sets of votes, and
        ``active_codes``, how many vote. All are 0, with a warning, when none does.

    Raises
    ------
    ValueError
        On NaN, shapes that do not match, a single factor, a factor that is constant or not whole,
        or an `encode` that gives another shape.
    """
    if min(n_train, n_eval) < 1 or batch_size < 2:
        raise ValueError(
            f"n_train, n_eval and batch_size must be at least 1, 1 and 2, not {n_train}, "
            f"{n_eval} and {batch_size}"
        )
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
