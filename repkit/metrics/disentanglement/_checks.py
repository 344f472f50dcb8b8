"""Internal. What the disentanglement scores share: checked tables and a random split."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from repkit._arguments import integer, shown
from repkit._random import generator
from repkit.metrics._arrays import as_numpy, check_finite, feature_matrix

MOST = 10**6  # rows, batches or bins: beyond it, a score takes hours, or memory there is not


class Split(NamedTuple):
    """Training and test rows of codes (n, d) and factors (n, k)."""

    codes: np.ndarray
    factors: np.ndarray
    codes_test: np.ndarray
    factors_test: np.ndarray


def check_sizes(**sizes: Any) -> None:
    """Raise an error that names the argument unless all are numbers of rows or batches."""
    for name, value in sizes.items():
        integer(value, name, 2 if name == "n_bins" else 1, MOST)


def code_table(codes: Any, min_codes: int, min_rows: int) -> np.ndarray:
    """Check codes and give them as float64 (n, d)."""
    codes = feature_matrix(codes, "codes", min_rows).astype(np.float64)
    if codes.shape[1] < min_codes:
        raise ValueError(
            f"codes must have at least {min_codes} columns, which the score compares, not "
            f"{codes.shape[1]}"
        )
    return codes


def factor_table(
    factors: Any, n_samples: int, min_factors: int = 1, continuous: Any = False
) -> np.ndarray:
    """Check factors and give them as (n, k): classes from 0, or the numbers where continuous.

    Raises
    ------
    ValueError
        On another shape, missing entries, text, fractions in a discrete factor, or a constant one.
    """
    factors = as_numpy(factors, "factors")
    if factors.ndim != 2:
        raise ValueError(
            f"factors must have shape (n_samples, n_factors), not {factors.shape}: use "
            "reshape(-1, 1) for a single factor"
        )
    if len(factors) != n_samples:
        raise ValueError(
            f"factors has {len(factors)} rows for {n_samples} rows of codes: pass one row for each"
        )
    k = factors.shape[1]
    if k < min_factors:
        raise ValueError(
            f"factors must have at least {min_factors} columns, which the score compares, not {k}"
        )
    if factors.dtype.kind not in "fiub":
        raise ValueError(
            f"factors must hold whole numbers, not dtype {factors.dtype}: encode each "
            "column, for example with np.unique(column, return_inverse=True)[1]"
        )
    check_finite(factors, "factors")
    mask = as_numpy(continuous, "continuous")
    if mask.dtype != bool or mask.shape not in ((), (k,)):
        raise ValueError(
            f"continuous must be True, False or a sequence of {k} of these, not {shown(continuous)}"
        )
    mask = np.broadcast_to(mask, k)
    table = np.empty(factors.shape, dtype=np.float64 if mask.any() else np.int64)
    for j, column in enumerate(factors.T):
        values, classes = np.unique(column, return_inverse=True)
        if len(values) == 1:
            raise ValueError(
                f"factors[:, {j}] must vary, not always be {values[0]}: drop it, for "
                f"example with np.delete(factors, {j}, axis=1)"
            )
        if not mask[j] and (values != np.floor(values)).any():
            raise ValueError(
                f"factors[:, {j}] must hold class numbers, not fractions: discretize it, for "
                "example with np.digitize(column, np.quantile(column, np.arange(1, 10) / 10))"
            )
        table[:, j] = column if mask[j] else classes
    return table


def random_split(
    codes: np.ndarray, factors: np.ndarray, n_train: int, n_test: int, random_state: Any
) -> Split:
    """Draw disjoint training and test rows, in the same proportion when there are too few."""
    n = len(codes)
    if n < n_train + n_test:
        n_train = round(n * n_train / (n_train + n_test))
        n_test = n - n_train
    rows = generator(random_state).permutation(n)[: n_train + n_test]
    train, test = rows[:n_train], rows[n_train:]
    for j in range(factors.shape[1]):
        if n_test == 0 or len(np.unique(factors[train, j])) < 2:
            raise ValueError(
                f"codes has {n} rows, too few, for all {n_train} training rows have the same "
                f"factors[:, {j}]: pass more rows"
            )
    return Split(codes[train], factors[train], codes[test], factors[test])
