"""Scores that rank adapted models without target labels, as functions of arrays.

Each docstring says whether lower or higher is better. The scorers of
:mod:`repkit.metrics.scorers` flip signs so that greater is always better.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit import _arguments
from repkit.metrics._arrays import (
    batch_size_of,
    feature_matrix,
    probability_matrix,
    same_width,
    value_vector,
)

__all__ = [
    "control_variate_risk",
    "deep_embedded_validation",
    "importance_weighted_validation",
    "importance_weights",
    "information_maximization",
    "prediction_entropy",
    "soft_neighborhood_density",
]


def prediction_entropy(proba: Any) -> float:
    r"""Compute the mean entropy of predictions. **Lower is better**.

    .. math:: \frac1n\sum_i H(p_i), \qquad H(p) = -\sum_c p_c\log p_c

    The criterion of Morerio et al. 2018.

    Parameters
    ----------
    proba : array of shape (n_samples, n_classes)
        Predicted class probabilities of target rows.

    Returns
    -------
    entropy : float
        In nats, from 0 (certain) to log(n_classes).

    Raises
    ------
    ValueError
        If the rows are not probabilities.

    Examples
    --------
    >>> round(prediction_entropy([[0.5, 0.5], [1.0, 0.0]]), 3)
    0.347
    """
    return float(_entropy(probability_matrix(proba)).mean())


def information_maximization(proba: Any) -> float:
    r"""Compute the mutual information of input and predicted class. **Higher is better**.

    .. math:: H\Bigl(\frac1n\sum_i p_i\Bigr) - \frac1n\sum_i H(p_i)

    (Bridle et al. 1991; Shi and Sha 2012.) Confident predictions that use all classes have much.

    Parameters
    ----------
    proba : array of shape (n_samples, n_classes)
        Predicted class probabilities of target rows.

    Returns
    -------
    information : float
        In nats, from 0 to log(n_classes).

    Raises
    ------
    ValueError
        If the rows are not probabilities.
    """
    P = probability_matrix(proba)
    return float(_entropy(P.mean(axis=0)) - _entropy(P).mean())


def soft_neighborhood_density(
    X: Any, temperature: float = 0.05, *, device: Any = "auto", batch_bytes: int = 2**26
) -> float:
    r"""Compute the soft neighborhood density (Saito et al. 2021). **Higher is better**.

    With :math:`S_{ij}` the cosine similarity of rows i and j (eq. 1), a row is compared with all
    others, itself left out,

    .. math:: P_{ij} = \frac{\exp(S_{ij}/\tau)}{\sum_{k\ne i}\exp(S_{ik}/\tau)} \quad (2), \qquad
        H(P) = -\frac1n\sum_i\sum_{j\ne i} P_{ij}\log P_{ij} \quad (3)

    A row in a dense cluster spreads its weight over many neighbors. The bound depends on the number
    of rows: compare only scores over equally many.

    The earlier spelling, ``soft_neighbourhood_density``, still works.

    Parameters
    ----------
    X : array of shape (n_samples, ...)
        Class probabilities of target rows (as in the paper) or their features.
    temperature : float, default=0.05
        Temperature :math:`\tau` of the similarities.
    device : str or torch.device, default="auto"
        Where to compute similarities. "auto" takes the first there is of cuda, mps and cpu.
    batch_bytes : int, default=2**26
        Memory for a block of similarities, in bytes. The n x n matrix is never held.

    Returns
    -------
    density : float
        In nats, from 0 to log(n_samples - 1).

    Raises
    ------
    ValueError
        If input is not finite, there are fewer than 2 rows, or `temperature` is not positive.
    """
    import torch

    _arguments.number(temperature, "temperature", above=True)
    batch_bytes = batch_size_of(batch_bytes)
    X = feature_matrix(X, "X", min_rows=2)
    where = _arguments.device(device)
    dtype = torch.float32 if where.type == "mps" else torch.float64
    Z = torch.nn.functional.normalize(torch.tensor(X).to(where, dtype), dim=1)
    # similarities and their exponentials live at once
    rows = max(1, batch_bytes // (3 * len(Z) * Z.element_size()))
    total = torch.zeros((), dtype=dtype, device=where)
    for start in range(0, len(Z), rows):
        S = Z[start : start + rows] @ Z.T / temperature
        itself = torch.arange(len(S), device=where)
        S[itself, itself + start] = -torch.inf
        S -= S.amax(dim=1, keepdim=True)
        E = S.exp()
        S[itself, itself + start] = 0  # E is 0 there, and 0 * inf would be NaN
        # H = -sum P log P with P = E / sum E, and log P = S - log sum E
        sums = E.sum(dim=1)
        total += (sums.log() - E.mul_(S).sum(dim=1) / sums).sum()
    return float(total) / len(Z)


def importance_weights(
    features_source: Any, features_target: Any, features_at: Any = None, *, C: float = 1.0
) -> np.ndarray:
    r"""Estimate the density ratio target / source with a logistic domain classifier.

    .. math:: w(f) = \frac{n_s}{n_t}\,\frac{J(\mathrm{target}\mid f)}{J(\mathrm{source}\mid f)}

    with :math:`J` logistic regression on standardized features (Bickel et al. 2007; You et al.
    2019 take a small network). The ratio is log-linear in the features: it sees shifts of the mean
    but not of the spread. Pass richer features if that matters.

    Parameters
    ----------
    features_source : array of shape (n_source, ...)
        Source rows that train the domain classifier.
    features_target : array of shape (n_target, ...)
        Target rows that train the domain classifier.
    features_at : array of shape (n_at, ...), optional
        Rows to weigh. Default: the source rows themselves. Weights of rows that the classifier has
        not seen are less biased.
    C : float, default=1.0
        Inverse strength of the classifier's penalty. Lower it if a few weights dominate.

    Returns
    -------
    weights : ndarray of shape (n_at,) or (n_source,)
        At least 0, and about 1 in the mean over source rows.

    Raises
    ------
    ValueError
        If input is empty or not finite, or widths differ.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _arguments.number(C, "C", above=True)
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
    r"""Compute the importance-weighted risk on held-out source rows. **Lower is better**.

    .. math:: \frac1n\sum_i w_i\,\ell_i

    (Sugiyama et al. 2007.) It is an unbiased estimate of the target risk if only the distribution
    of inputs differs and the weights are the true density ratio. Its variance grows with theirs.

    Parameters
    ----------
    loss_source_val : array of shape (n_samples,)
        Loss of each held-out source row, for instance 0 or 1.
    weights : array of shape (n_samples,)
        Density ratios target / source of the rows (see :func:`importance_weights`).

    Returns
    -------
    risk : float
        In units of the loss.

    Raises
    ------
    ValueError
        If lengths differ, an entry is not finite, or a weight is negative.

    Examples
    --------
    >>> importance_weighted_validation([0.0, 1.0, 1.0], [2.0, 0.5, 0.5])
    0.333...
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
    r"""Compute the deep embedded validation risk. **Lower is better**.

    You et al. 2019, algorithms 1 and 2. The weights :math:`w` are density ratios in the space of
    the adapted features, and a control variate of known mean, :math:`E[w] = 1`, takes variance out
    of the weighted risk:

    .. math:: \frac1n\sum_i w_i\ell_i + \eta\,\Bigl(\frac1n\sum_i w_i - 1\Bigr), \qquad
        \eta = -\frac{\mathrm{Cov}(w\ell, w)}{\mathrm{Var}(w)}

    Only the order of models has a meaning: unlike a risk, it may fall below 0.

    Parameters
    ----------
    features_source_train : array of shape (n_train, ...)
        Source rows that train the domain classifier.
    features_source_val : array of shape (n_val, ...)
        Held-out source rows to weigh, at least 2.
    features_target : array of shape (n_target, ...)
        Target rows that train the domain classifier.
    loss_source_val : array of shape (n_val,)
        Loss of each held-out source row, for instance 0 or 1.
    C : float, default=1.0
        Inverse strength of the domain classifier's penalty. Lower it if a few weights dominate.

    Returns
    -------
    risk : float
        In units of the loss.

    Raises
    ------
    ValueError
        If input is empty or not finite, widths or lengths differ, or there are fewer than 2
        held-out rows.
    """
    _arguments.number(C, "C", above=True)
    val = feature_matrix(features_source_val, "features_source_val", min_rows=2)
    train = feature_matrix(features_source_train, "features_source_train")
    target = feature_matrix(features_target, "features_target")
    same_width(train, val, ("features_source_train", "features_source_val"))
    same_width(train, target, ("features_source_train", "features_target"))
    loss, w = _weighted(
        loss_source_val, importance_weights(train, target, val, C=C), "features_source_val"
    )
    return control_variate_risk(loss, w)


def control_variate_risk(loss_source_val: Any, weights: Any) -> float:
    """Compute the risk of deep embedded validation from given weights. **Lower is better**.

    See :func:`deep_embedded_validation`. Equal weights leave nothing to correct: the result is
    then the plain weighted risk.

    Parameters
    ----------
    loss_source_val : array of shape (n_samples,)
        Loss of each held-out source row, at least 2.
    weights : array of shape (n_samples,)
        Density ratios target / source of the rows (see :func:`importance_weights`).

    Returns
    -------
    risk : float
        In units of the loss.

    Raises
    ------
    ValueError
        If lengths differ, there are fewer than 2 rows, an entry is not finite, or a weight is
        negative.
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
