"""Modularity and explicitness."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit._random import generator
from repkit.metrics.disentanglement._checks import (
    Split,
    check_sizes,
    code_table,
    factor_table,
    random_split,
)
from repkit.metrics.disentanglement._mig import histogram_bins, mutual_information


def modularity_explicitness(
    codes: Any,
    factors: Any,
    *,
    n_bins: int = 20,
    n_train: int = 10000,
    n_test: int = 5000,
    random_state: Any = 0,
) -> dict[str, float]:
    r"""Compute modularity and explicitness (Ridgeway and Mozer, NeurIPS 2018, section 3).

    Modularity is high when each code knows about one factor only: the mean over codes of
    :math:`1 - \sum_{j\ne j^*} I_{ij}^2 / (I_{ij^*}^2 (k-1))`, with :math:`I_{ij}` the mutual
    information as in :func:`mig` and :math:`j^*` the factor that code i knows most about; 0 for a
    code without any information. Explicitness is the area under the ROC curve of logistic
    regressions, one for each class of a factor against the rest, on standardized codes, averaged
    over classes and then factors.

    Chance is 0.5 for explicitness (it is not rescaled, as in Locatello et al., ICML 2019). Codes
    that are the factors give the modularity 1 up to the bias of finite samples, and the
    explicitness 1 with two classes; an inner class of an ordered code is not linearly separable,
    so that more classes give less. Modularity alone says little: codes of pure noise have two
    thirds with the factors of dSprites.

    Parameters
    ----------
    codes : array of shape (n, d)
        Representation.
    factors : array of shape (n, k)
        True factors as whole numbers, at least two columns.
    n_bins : int, default=20
        Number of equal bins of each code.
    n_train : int, default=10000
        Rows drawn for training.
    n_test : int, default=5000
        Rows drawn for test. With fewer rows than both, all are used, in the same proportion. The
        mutual information is that of the training rows.
    random_state : int, RandomState, Generator or None, default=0
        Draws the rows.

    Returns
    -------
    scores : dict of str to float
        ``modularity``, ``explicitness_train`` and ``explicitness_test``, in [0, 1].

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, there is a single factor, a factor is constant
        or not whole, or there are fewer than 10 rows.
    """
    check_sizes(n_bins=n_bins, n_train=n_train, n_test=n_test)
    rng = generator(random_state)
    codes = code_table(codes, min_codes=1, min_rows=10)
    factors = factor_table(factors, len(codes), min_factors=2)
    part = random_split(codes, factors, n_train, n_test, rng)
    information = mutual_information(histogram_bins(part.codes, n_bins), part.factors)
    train, test = _explicitness(part)
    return {
        "modularity": _modularity(information),
        "explicitness_train": train,
        "explicitness_test": test,
    }


def _modularity(information: np.ndarray) -> float:
    """Give the modularity of I(code; factor) (d, k)."""
    square = np.square(information)
    top = square.max(axis=1)
    rest = square.sum(axis=1) - top
    known = top > 1e-9  # squares of nats: below, rounding alone says that the code says something
    share = rest / (np.where(known, top, 1) * (information.shape[1] - 1))
    return float(np.clip(np.where(known, 1 - share, 0).mean(), 0.0, 1.0))


def _explicitness(part: Split) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(part.codes)
    Z, Z_test = scaler.transform(part.codes), scaler.transform(part.codes_test)
    means = []
    for y, y_test in zip(part.factors.T, part.factors_test.T, strict=True):
        areas = []
        for c in np.intersect1d(y, y_test):
            if (y_test == c).all():
                continue  # no curve without a row of another class
            margin = LogisticRegression(max_iter=1000).fit(Z, y == c).decision_function
            areas.append(
                (roc_auc_score(y == c, margin(Z)), roc_auc_score(y_test == c, margin(Z_test)))
            )
        if not areas:
            raise ValueError(
                f"codes has {len(Z) + len(Z_test)} rows, too few for a class of each factor "
                "to be in both the training and the test part beside another: pass more rows"
            )
        means.append(np.mean(areas, axis=0))
    train, test = np.mean(means, axis=0)
    return float(train), float(test)
