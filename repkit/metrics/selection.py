"""Scores that rank adapted models without target labels, as functions of arrays.

Here a *risk* is lower-is-better and a *score* higher-is-better, as each docstring says; the
scorers of :mod:`repkit.metrics.scorers` flip the signs so that greater is always better.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit.metrics._arrays import (
    feature_matrix,
    probability_matrix,
    resolve_device,
    same_width,
    value_vector,
)


def prediction_entropy(proba: Any) -> float:
    r"""Mean entropy of the predictions, in nats. **Lower is better**.

    .. math:: \frac1n\sum_i H(p_i), \qquad H(p) = -\sum_c p_c\log p_c

    (the criterion of Morerio et al. 2018). Between 0 (certain) and log(n_classes).

    Parameters
    ----------
    proba : array of shape (n_samples, n_classes)
        Predicted class probabilities of target rows.

    Raises
    ------
    ValueError
        When the rows are no probabilities.
    """
    return float(_entropy(probability_matrix(proba)).mean())


def information_maximization(proba: Any) -> float:
    r"""Mutual information of input and predicted class, in nats. **Higher is better**.

    .. math:: H\Bigl(\frac1n\sum_i p_i\Bigr) - \frac1n\sum_i H(p_i)

    (Bridle et al. 1991; Shi and Sha 2012): confident predictions that use all classes. Between 0
    and log(n_classes).

    Parameters
    ----------
    proba : array of shape (n_samples, n_classes)
        Predicted class probabilities of target rows.

    Raises
    ------
    ValueError
        When the rows are no probabilities.
    """
    P = probability_matrix(proba)
    return float(_entropy(P.mean(axis=0)) - _entropy(P).mean())


def soft_neighborhood_density(
    X: Any, temperature: float = 0.05, *, device: Any = "auto", batch_bytes: int = 2**26
) -> float:
    r"""Soft neighborhood density (Saito et al. 2021). **Higher is better**.

    With :math:`S_{ij}` the cosine similarity of rows i and j (eq. 1), a row is compared with all
    others, itself left out,

    .. math:: P_{ij} = \frac{\exp(S_{ij}/\tau)}{\sum_{k\ne i}\exp(S_{ik}/\tau)} \quad (2), \qquad
        H(P) = -\frac1n\sum_i\sum_{j\ne i} P_{ij}\log P_{ij} \quad (3)

    A row in a dense cluster spreads its weight over many neighbors. Between 0 and log(n - 1), so
    compare only scores over the same number of rows.

    Parameters
    ----------
    X : array of shape (n_samples, ...)
        Class probabilities of target rows (as in the paper) or their features.
    temperature : float, default=0.05
        :math:`\tau`.
    device : str or torch.device, default="auto"
        Where the similarities are computed.
    batch_bytes : int, default=2**26
        Memory for a block of similarities; the n x n matrix never exists.

    Raises
    ------
    ValueError
        On not finite input, fewer than 2 rows, or a temperature that is not positive.
    """
    import torch

    if not temperature > 0:
        raise ValueError(
            f"temperature must be a positive number, such as 0.05, not {temperature!r}"
        )
    X = feature_matrix(X, "X", min_rows=2)
    where = resolve_device(device)
    dtype = torch.float32 if where.type == "mps" else torch.float64
    Z = torch.nn.functional.normalize(torch.tensor(X).to(where, dtype), dim=1)
    # similarities, their softmax and the product live at once
    rows = max(1, int(batch_bytes) // (3 * len(Z) * Z.element_size()))
    total = torch.zeros((), dtype=dtype, device=where)
    for start in range(0, len(Z), rows):
        S = Z[start : start + rows] @ Z.T / temperature
        itself = torch.arange(len(S), device=where)
        S[itself, itself + start] = -torch.inf
        P, log_sum = S.softmax(dim=1), S.logsumexp(dim=1)
        S[itself, itself + start] = 0  # P is 0 there, and 0 * inf would be NaN
        # H = -sum P log P with log P = S - log_sum
        total += (log_sum - (P * S).sum(dim=1)).sum()
    return float(total) / len(Z)


def importance_weights(
    features_source: Any, features_target: Any, features_at: Any = None, *, C: float = 1.0
) -> np.ndarray:
    r"""Estimate the density ratio target / source with a logistic domain classifier.

    .. math:: w(f) = \frac{n_s}{n_t}\,\frac{J(\mathrm{target}\mid f)}{J(\mathrm{source}\mid f)}

    with :math:`J` logistic regression on standardized features (Bickel et al. 2007; You et al.
    2019 take a small network). Being log-linear in the features, the ratio sees shifts of the mean
    but not of the spread: pass richer features where that matters.

    Parameters
    ----------
    features_source : array of shape (n_source, ...)
    features_target : array of shape (n_target, ...)
        Rows that train the domain classifier.
    features_at : array of shape (n_at, ...), optional
        Rows to weigh; the source rows themselves when None. Weights of rows that the classifier
        has not seen are less biased.
    C : float, default=1.0
        Inverse strength of the classifier's penalty; lower it when a few weights carry all.

    Returns
    -------
    weights : ndarray of shape (n_at,) or (n_source,)
        Non-negative, about 1 in the mean over source rows.

    Raises
    ------
    ValueError
        On empty or not finite input, or different widths.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    S = feature_matrix(features_source, "features_source")
    T = feature_matrix(features_target, "features_target")
    A = S if features_at is None else feature_matrix(features_at, "features_at")
    same_width(S, T, ("features_source", "features_target"))
    same_width(S, A, ("features_source", "features_at"))
    domain = np.repeat([0, 1], [len(S), len(T)])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000))
    log_odds = classifier.fit(np.concatenate([S, T]), domain).decision_function(A)
    # J/(1-J) as the exponential of the log odds keeps its digits; beyond e^30 it says "disjoint"
    return np.exp(np.clip(log_odds.astype(np.float64), -30, 30)) * (len(S) / len(T))


def importance_weighted_validation(loss_source_val: Any, weights: Any) -> float:
    r"""Importance-weighted risk on held-out source rows. **Lower is better**.

    .. math:: \frac1n\sum_i w_i\,\ell_i

    (Sugiyama et al. 2007): unbiased for the target risk when only the inputs' distribution differs
    and the weights are the true density ratio; its variance grows with the weights'.

    Parameters
    ----------
    loss_source_val : array of shape (n_samples,)
        Loss of each held-out source row, for instance 0 or 1.
    weights : array of shape (n_samples,)
        Density ratios, see :func:`importance_weights`.

    Raises
    ------
    ValueError
        When the lengths differ, an entry is not finite, or a weight is negative.
    """
    loss, w = _weighted(loss_source_val, weights)
    return float((w * loss).mean())


def deep_embedded_validation(
    features_source_train: Any,
    features_source_val: Any,
    features_target: Any,
    loss_source_val: Any,
    *,
    C: float = 1.0,
) -> float:
    r"""Deep embedded validation (You et al. 2019, algorithms 1 and 2). **Lower is better**.

    The weights :math:`w` are density ratios in the space of the adapted features, and a control
    variate of known mean, :math:`E[w] = 1`, takes variance out of the weighted risk:

    .. math:: \frac1n\sum_i w_i\ell_i + \eta\,\Bigl(\frac1n\sum_i w_i - 1\Bigr), \qquad
        \eta = -\frac{\mathrm{Cov}(w\ell, w)}{\mathrm{Var}(w)}

    It may fall below 0, unlike a risk: only the order of models has a meaning.

    Parameters
    ----------
    features_source_train : array of shape (n_train, ...)
    features_target : array of shape (n_target, ...)
        Rows that train the domain classifier.
    features_source_val : array of shape (n_val, ...)
        Held-out source rows, at least 2.
    loss_source_val : array of shape (n_val,)
        Loss of each of them.
    C : float, default=1.0
        As in :func:`importance_weights`.

    Raises
    ------
    ValueError
        As :func:`importance_weights` and :func:`importance_weighted_validation`.
    """
    val = feature_matrix(features_source_val, "features_source_val", min_rows=2)
    train = feature_matrix(features_source_train, "features_source_train")
    same_width(train, val, ("features_source_train", "features_source_val"))
    loss, w = _weighted(
        loss_source_val, importance_weights(train, features_target, val, C=C), "features_source_val"
    )
    return control_variate_risk(loss, w)


def control_variate_risk(loss_source_val: Any, weights: Any) -> float:
    """Give the risk of :func:`deep_embedded_validation` from given weights. **Lower is better**.

    Equal weights leave nothing to correct: the result is then the plain weighted risk.
    """
    loss, w = _weighted(loss_source_val, weights)
    if len(w) < 2:
        raise ValueError(
            f"loss_source_val must have at least 2 entries for a covariance, not {len(w)}"
        )
    weighted = w * loss
    (_, cov), (_, var) = np.cov(weighted, w)
    eta = -cov / var if var > 0 else 0.0
    return float(weighted.mean() + eta * (w.mean() - 1))


def _entropy(p: np.ndarray) -> np.ndarray:
    from scipy.special import entr

    return entr(p).sum(axis=-1)


def _weighted(loss: Any, weights: Any, other: str = "weights") -> tuple[np.ndarray, np.ndarray]:
    loss, w = value_vector(loss, "loss_source_val"), value_vector(weights, "weights")
    if len(loss) != len(w):
        raise ValueError(
            f"loss_source_val has {len(loss)} entries but {other} has {len(w)}: "
            "pass one of each for every held-out source row"
        )
    if w.min() < 0:
        raise ValueError(f"weights must be 0 or more, as density ratios are, not {w.min():.3g}")
    return loss, w
