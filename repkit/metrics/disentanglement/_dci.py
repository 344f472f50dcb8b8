"""Disentanglement, completeness and informativeness."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import entr

from repkit._arguments import shown
from repkit._random import generator
from repkit.metrics.disentanglement._checks import (
    check_sizes,
    code_table,
    factor_table,
    random_split,
)

_WANTED = (
    "model must be 'gradient_boosting', 'random_forest' or a classifier that has "
    "feature_importances_ once fitted"
)


def dci(
    codes: Any,
    factors: Any,
    *,
    model: Any = "gradient_boosting",
    n_train: int = 10000,
    n_test: int = 5000,
    random_state: Any = 0,
) -> dict[str, float]:
    r"""Compute disentanglement, completeness and informativeness.

    Eastwood and Williams (ICLR 2018, section 2). A classifier of each factor from all codes gives
    importances :math:`R_{ij}` of code i for factor j. A code's disentanglement is
    :math:`1 - H_k(R_{i\cdot})`, with the entropy (base k) of its row scaled to sum 1. A factor's
    completeness is :math:`1 - H_d(R_{\cdot j})`, with that of its column. Both are averaged with
    total importances as weights. Informativeness is the mean accuracy of the classifiers.

    Codes that are the factors give 1, up to splits on noise; independent codes give about 0.

    Parameters
    ----------
    codes : array of shape (n, d)
        Representation, at least two columns.
    factors : array of shape (n, k)
        True factors as whole numbers, at least two columns.
    model : {"gradient_boosting", "random_forest"} or classifier, default="gradient_boosting"
        Classifier of each factor. "gradient_boosting", scikit-learn's with its defaults, is the
        choice of Locatello et al. (ICML 2019): it grows 100 trees for *each class* and takes some
        minutes at full size. "random_forest", 20 trees for each factor, takes 5 to 10 seconds. Its
        figures rank codes alike but differ: compare like with like. Any other classifier must have
        ``feature_importances_`` once fitted. Clones of it are fitted.
    n_train : int, default=10000
        Rows drawn for training.
    n_test : int, default=5000
        Rows drawn for test. With fewer rows than both, all are used, in the same proportion.
    random_state : int, RandomState, Generator or None, default=0
        Draws the rows and seeds the classifiers.

    Returns
    -------
    scores : dict of str to float
        ``disentanglement``, ``completeness``, ``informativeness_train`` and
        ``informativeness_test``, in [0, 1].

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, there is a single code or factor, a factor is
        constant or not whole, there are fewer than 10 rows, or the model is unknown.
    """
    from sklearn.base import clone

    check_sizes(n_train=n_train, n_test=n_test)
    rng = generator(random_state)
    _model(model, 0)  # a wrong one is told before the work
    codes = code_table(codes, min_codes=2, min_rows=10)
    factors = factor_table(factors, len(codes), min_factors=2)
    part = random_split(codes, factors, n_train, n_test, rng)
    chosen = _model(model, int(rng.integers(2**31)))
    importance = np.empty((codes.shape[1], factors.shape[1]))
    right = np.empty((2, factors.shape[1]))
    greatest = np.abs(codes).max(axis=0)
    if greatest.max() > 1e30:  # trees are of float32
        part = part._replace(
            codes=part.codes / np.maximum(greatest, 1.0),
            codes_test=part.codes_test / np.maximum(greatest, 1.0),
        )
    for j in range(factors.shape[1]):
        fitted = clone(chosen).fit(part.codes, part.factors[:, j])
        if not hasattr(fitted, "feature_importances_"):
            raise ValueError(f"{_WANTED}, not {model!r}, which has none")
        importance[:, j] = np.abs(fitted.feature_importances_)
        right[0, j] = np.mean(fitted.predict(part.codes) == part.factors[:, j])
        right[1, j] = np.mean(fitted.predict(part.codes_test) == part.factors_test[:, j])
    return {
        "disentanglement": _concentration(importance),
        "completeness": _concentration(importance.T),
        "informativeness_train": float(right[0].mean()),
        "informativeness_test": float(right[1].mean()),
    }


def _model(model: Any, seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

    if hasattr(model, "fit") and hasattr(model, "get_params") and not isinstance(model, type):
        return model
    if not isinstance(model, str):
        raise TypeError(f"{_WANTED}, not {shown(model)}")
    if model == "gradient_boosting":
        return GradientBoostingClassifier(random_state=seed)
    if model == "random_forest":
        # All codes at each split: a tree that may not see the right code must use a wrong one.
        # Leaves of some rows: smaller ones are split on noise, which would count as importance.
        return RandomForestClassifier(
            20, max_features=None, min_samples_leaf=0.002, random_state=seed
        )
    raise ValueError(f"{_WANTED}, not {model!r}")


def _concentration(importance: np.ndarray) -> float:
    """Mean over rows (a, b) of 1 - entropy to base b, weighted by the sums of the rows."""
    total = importance.sum(axis=1)
    if total.sum() == 0:
        return 0.0
    used = total > 0
    share = importance[used] / total[used, None]
    concentration = 1 - entr(share).sum(axis=1) / np.log(importance.shape[1])
    return float(np.clip(np.average(concentration, weights=total[used]), 0.0, 1.0))
