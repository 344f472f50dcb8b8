"""The mutual information gap, and the mutual information that modularity shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import entr

from repkit._arguments import integer
from repkit._random import generator
from repkit.metrics.disentanglement._checks import check_sizes, code_table, factor_table


def mig(
    codes: Any,
    factors: Any,
    *,
    n_bins: int = 20,
    max_samples: int | None = 10000,
    random_state: Any = 0,
) -> dict[str, float]:
    r"""Compute the mutual information gap (Chen et al., NeurIPS 2018, eq. 6).

    .. math:: \frac1k \sum_j \frac{I(c_{(1)}; v_j) - I(c_{(2)}; v_j)}{H(v_j)}

    with :math:`c_{(1)}, c_{(2)}` the two codes that know most about the factor :math:`v_j`. High
    when each factor is in one code alone. Information is counted from histograms of `n_bins` equal
    bins between a code's least and greatest value, as Locatello et al. (ICML 2019) do.

    Codes that are the factors give 1, as long as no factor has more classes than `n_bins` (of 32
    equally likely values 20 bins see 84 %). Independent codes give about 0.

    Parameters
    ----------
    codes : array of shape (n, d)
        Representation, at least two columns.
    factors : array of shape (n, k)
        True factors as whole numbers.
    n_bins : int, default=20
        Number of equal bins of each code.
    max_samples : int or None, default=10000
        Most rows to use, drawn at random. None takes all.
    random_state : int, RandomState, Generator or None, default=0
        Draws the rows.

    Returns
    -------
    scores : dict of str to float
        ``mig``, in [0, 1].

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, there is a single code, or a factor is constant
        or not whole.

    Examples
    --------
    >>> factors = np.indices((4, 4)).reshape(2, -1).T
    >>> mig(factors, factors)
    {'mig': 1.0}
    """
    check_sizes(n_bins=n_bins)
    if max_samples is not None:
        integer(max_samples, "max_samples", 2, otherwise=", or None for all")
    rng = generator(random_state)
    codes = code_table(codes, min_codes=2, min_rows=2)
    factors = factor_table(factors, len(codes))
    if max_samples is not None and len(codes) > max_samples:
        rows = rng.permutation(len(codes))[:max_samples]
        codes = codes[rows]
        # the classes that are left, checked and numbered again
        factors = factor_table(factors[rows], len(codes))
    information = mutual_information(histogram_bins(codes, n_bins), factors)
    return {"mig": float(_gaps(information, entropies(factors)).mean())}


def _gaps(information: np.ndarray, entropy: np.ndarray) -> np.ndarray:
    """Give the gap (k,) of each factor from I(code; factor) (d, k) and H(factor) (k,)."""
    second, first = np.sort(information, axis=0)[-2:]
    return np.clip((first - second) / entropy, 0.0, 1.0)


def histogram_bins(codes: np.ndarray, n_bins: int) -> np.ndarray:
    """Number the equal bins, 0 to n_bins - 1, in which the entries of each column (n, d) fall."""
    bins = np.empty(codes.shape, dtype=np.int64)
    for i, column in enumerate(codes.T):
        edges = np.linspace(column.min(), column.max(), n_bins + 1)
        # without the first edge and the last, so that the greatest value is in the last bin
        bins[:, i] = np.digitize(column, edges[1:-1])
    return bins


def mutual_information(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Give the mutual information (d, k), in nats, of class columns a (n, d) and b (n, k)."""
    h_a, h_b = entropies(a), entropies(b)
    out = np.empty((a.shape[1], b.shape[1]))
    for j in range(b.shape[1]):
        joint = a * (b[:, j].max() + 1) + b[:, [j]]
        out[:, j] = h_a + h_b[j] - entropies(joint)
    # a tiny negative difference is rounding
    return np.maximum(out, 0)


def entropies(classes: np.ndarray) -> np.ndarray:
    """Give the entropy (k,), in nats, of each column of non-negative integers (n, k)."""
    return np.array([entr(np.bincount(c) / len(c)).sum() for c in classes.T])
