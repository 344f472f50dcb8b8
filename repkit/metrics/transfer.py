"""Distances between two domains in a representation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from repkit import _arguments
from repkit._random import legacy_generator
from repkit.metrics._arrays import feature_matrix, same_width

__all__ = [
    "domain_accuracy",
    "proxy_a_distance",
]

_C = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def proxy_a_distance(
    X_source: Any,
    X_target: Any,
    *,
    C: float | Sequence[float] = _C,
    n_splits: int = 2,
    max_samples: int | None = 5000,
    random_state: Any = 0,
) -> float:
    r"""Estimate the proxy A-distance between two domains (Ben-David et al. 2007).

    .. math:: \hat d_A = 2\,(1 - 2\epsilon)

    (Ganin et al. 2016, eq. 3), where :math:`\epsilon` is the held-out error of a linear classifier
    that tells source rows from target rows. As in their section 5.1.5, half of the rows train
    linear SVMs over a range of `C`, the other half measures their errors, and the **lowest error**
    counts. Four details differ or are left open there:

    - Both halves take both roles and their errors are averaged (`n_splits` = 2), which halves the
      variance. Larger `n_splits` train on more rows.
    - The error is the mean of the two domains' errors, and the SVM is weighted accordingly, so that
      domains of unequal size do not look different. Nothing changes for equal sizes.
    - Features are standardized on the training part, so that one range of `C` fits all scales.
    - Chance can push the error above 1/2: the result is clipped to [0, 2].

    Taking the lowest of several noisy errors biases the distance upwards, by about
    :math:`1/\sqrt n` for two domains of n rows that do not differ. Compare distances at equal sizes
    only.

    Parameters
    ----------
    X_source : array of shape (n_source, ...)
        Features of the source domain. Samples are flattened.
    X_target : array of shape (n_target, ...)
        Features of the target domain, as wide as `X_source`.
    C : float or sequence of float, default=(1e-4, 1e-3, 1e-2, 0.1, 1, 10)
        Inverse strengths of the SVM's penalty to try.
    n_splits : int, default=2
        Number of folds of the cross-validation.
    max_samples : int or None, default=5000
        Most rows of each domain to use, drawn at random. With 5000 the standard deviation of the
        error is below 0.006. None takes all.
    random_state : int, RandomState, Generator or None, default=0
        Draws the rows and the folds.

    Returns
    -------
    distance : float
        From 0 (aligned) to 2 (separable).

    Raises
    ------
    ValueError
        If input is not finite, widths differ, there are fewer rows than folds, or `C` is not
        positive.
    """
    accuracy = domain_accuracy(
        X_source,
        X_target,
        C=C,
        n_splits=n_splits,
        max_samples=max_samples,
        random_state=random_state,
    )
    return float(np.clip(2 * (1 - 2 * (1 - accuracy)), 0.0, 2.0))


def domain_accuracy(
    X_source: Any,
    X_target: Any,
    *,
    C: float | Sequence[float] = _C,
    n_splits: int = 2,
    max_samples: int | None = 5000,
    random_state: Any = 0,
) -> float:
    """Measure how well the best linear SVM tells two domains apart on held-out rows.

    This is ``1 - error`` of :func:`proxy_a_distance`, not clipped.

    Parameters
    ----------
    X_source : array of shape (n_source, ...)
        Features of the source domain. Samples are flattened.
    X_target : array of shape (n_target, ...)
        Features of the target domain, as wide as `X_source`.
    C : float or sequence of float, default=(1e-4, 1e-3, 1e-2, 0.1, 1, 10)
        Inverse strengths of the SVM's penalty to try.
    n_splits : int, default=2
        Number of folds of the cross-validation.
    max_samples : int or None, default=5000
        Most rows of each domain to use, drawn at random. With 5000 the standard deviation of the
        error is below 0.006. None takes all.
    random_state : int, RandomState, Generator or None, default=0
        Draws the rows and the folds.

    Returns
    -------
    accuracy : float
        Balanced accuracy: about 0.5 if no linear classifier can separate the domains, 1 if one can.

    Raises
    ------
    ValueError
        If input is not finite, widths differ, there are fewer rows than folds, or `C` is not
        positive.
    """
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    strengths = _strengths(C)
    _arguments.integer(n_splits, "n_splits", 2, 1000)
    if max_samples is not None:
        _arguments.integer(max_samples, "max_samples", n_splits, otherwise=", or None for all")
    rng = legacy_generator(random_state)
    domains = []
    for X, name in ((X_source, "X_source"), (X_target, "X_target")):
        X = feature_matrix(X, name)
        if len(X) < n_splits:
            raise ValueError(
                f"{name} must have at least {n_splits} rows for n_splits={n_splits}, not {len(X)}: "
                "pass more rows"
            )
        if max_samples is not None and len(X) > max_samples:
            X = X[rng.choice(len(X), max_samples, replace=False)]
        domains.append(X)
    same_width(domains[0], domains[1], ("X_source", "X_target"))

    X = np.concatenate(domains)
    d = np.repeat([0, 1], [len(domains[0]), len(domains[1])])
    folds = StratifiedKFold(n_splits, shuffle=True, random_state=rng)
    accuracy = np.zeros(len(strengths))
    for train, test in folds.split(X, d):
        for i, c in enumerate(strengths):
            # dual=False: Newton steps, which converge for every C in the range. They need no
            # chance, but without random_state the solver draws a seed from the global generator.
            svm = make_pipeline(
                StandardScaler(),
                LinearSVC(C=c, dual=False, class_weight="balanced", random_state=0),
            )
            right = svm.fit(X[train], d[train]).predict(X[test]) == d[test]
            accuracy[i] += (right[d[test] == 0].mean() + right[d[test] == 1].mean()) / 2
    return float(accuracy.max() / n_splits)


def _strengths(C: Any) -> list[float]:
    """Check one inverse strength of a penalty, or several."""
    several = isinstance(C, list | tuple) or (isinstance(C, np.ndarray) and C.ndim == 1)
    if not several:
        return [_arguments.number(C, "C", above=True, otherwise=", or a sequence of such numbers")]
    if not len(C):
        raise ValueError("C must be one or more numbers above 0, such as (0.01, 1), not empty")
    return [_arguments.number(c, f"C[{k}]", above=True) for k, c in enumerate(C)]
