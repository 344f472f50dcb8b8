"""Separated attribute predictability."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit._arguments import number
from repkit._random import generator
from repkit.metrics.disentanglement._checks import (
    check_sizes,
    code_table,
    factor_table,
    random_split,
)


def sap(
    codes: Any,
    factors: Any,
    *,
    continuous: Any = False,
    C: float = 0.01,
    n_train: int = 10000,
    n_test: int = 5000,
    random_state: Any = 0,
) -> dict[str, float]:
    r"""Compute the separated attribute predictability (Kumar et al., ICLR 2018, section 3).

    .. math:: \frac1k \sum_j S_{(1)j} - S_{(2)j}

    where :math:`S_{ij}` says how well code i *alone* predicts factor j, and the two best codes
    count. For a discrete factor it is the test accuracy of a linear SVM (balanced classes), for a
    continuous one the squared correlation.

    Codes that are the factors give 1 for continuous factors. For discrete ones they give less,
    since a code that knows nothing still guesses one class in a few: 1/2 with two classes. And a
    linear SVM cannot tell the inner ones of many classes along one code.

    Parameters
    ----------
    codes : array of shape (n, d)
        Representation, at least two columns.
    factors : array of shape (n, k)
        True factors: whole numbers if discrete, any numbers if continuous.
    continuous : bool or sequence of k bool, default=False
        Which factors are continuous.
    C : float, default=0.01
        Inverse strength of the SVM's penalty. Codes are not scaled.
    n_train : int, default=10000
        Rows drawn for training.
    n_test : int, default=5000
        Rows drawn for test. With fewer rows than both, all are used, in the same proportion. The
        correlation is that of the training rows.
    random_state : int, RandomState, Generator or None, default=0
        Draws the rows.

    Returns
    -------
    scores : dict of str to float
        ``sap``, in [0, 1].

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, there is a single code, a factor is constant or
        not whole, or there are fewer than 10 rows.
    """
    from sklearn.svm import LinearSVC

    number(C, "C", above=True)
    check_sizes(n_train=n_train, n_test=n_test)
    rng = generator(random_state)
    codes = code_table(codes, min_codes=2, min_rows=10)
    factors = factor_table(factors, len(codes), continuous=continuous)
    part = random_split(codes, factors, n_train, n_test, rng)
    squared = _squared_correlations(part.codes, part.factors)
    matrix = np.where(np.broadcast_to(continuous, factors.shape[1]), squared, 0.0)
    for j in np.flatnonzero(~np.broadcast_to(continuous, factors.shape[1])):
        for i in range(codes.shape[1]):
            # the primal problem: same optimum, far fewer steps where rows outnumber columns
            svm = LinearSVC(C=C, class_weight="balanced", dual=False, random_state=0)
            svm.fit(part.codes[:, [i]], part.factors[:, j])
            matrix[i, j] = svm.score(part.codes_test[:, [i]], part.factors_test[:, j])
    return {"sap": _mean_gap(matrix)}


def _mean_gap(matrix: np.ndarray) -> float:
    """Mean over columns of (d, k) of the greatest entry less the second greatest."""
    second, first = np.sort(matrix, axis=0)[-2:]
    return float(np.mean(first - second))


def _squared_correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Give the squared correlations (d, k) of columns (n, d) and (n, k); 0 with a constant."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    scale = np.outer(np.square(a).sum(axis=0), np.square(b).sum(axis=0))
    # a column whose variance is rounding has no correlation
    flat = np.square(a).mean(axis=0) < 1e-12
    return np.where(flat[:, None], 0.0, np.square(a.T @ b) / np.where(scale > 0, scale, 1))
