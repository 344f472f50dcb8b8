"""More scores that rank adapted models without target labels, as functions of arrays.

They look at how predictions on target rows are spread, and at whether features agree with them.
**Higher is better** for all. The scorers of :mod:`repkit.metrics.target_scorers` call them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from repkit import _arguments
from repkit._random import legacy_generator
from repkit.metrics._arrays import (
    feature_matrix,
    label_vector,
    probability_matrix,
    value_vector,
)
from repkit.metrics.selection import information_maximization

__all__ = [
    "batch_nuclear_norm",
    "class_cluster_information",
    "ensemble_agreement",
    "ensemble_order",
    "logit_matrix_norm",
    "transfer_score",
]

ROUNDING = 1e-12  # of shares: .8 is .1 more than .7
MOST_ORDER = 1000.0  # of a norm: in those of a greater one nothing is left of most numbers
MOST_STARTS = 10**4  # of k-means
_TINY = float(np.finfo(np.float32).tiny)


def batch_nuclear_norm(proba: Any) -> float:
    r"""Compute the nuclear norm of the predictions, from 0 to 1. **Higher is better**.

    .. math:: \frac{\lVert P\rVert_*}{\sqrt{n\,\min(n, c)}}

    with P the n x c matrix of class probabilities and :math:`\lVert P\rVert_*` the sum of its
    singular values (Cui et al. 2020, equation 9; as a score: Musgrave et al. 2022). It is large if
    rows are certain and all classes occur. The paper divides by n alone; this is the norm's share
    of its upper bound, which does not depend on the number of rows.

    Parameters
    ----------
    proba : array of shape (n_samples, n_classes)
        Predicted class probabilities of target rows.

    Returns
    -------
    norm : float
        1 for certain predictions of balanced classes, ``n_classes ** -0.5`` for certain predictions
        of one class, ``1 / n_classes`` for uniform ones, if there are as many rows as classes.

    Raises
    ------
    ValueError
        If the rows are not probabilities.

    Examples
    --------
    >>> round(batch_nuclear_norm([[1.0, 0.0], [0.0, 1.0]]), 3)
    1.0
    >>> round(batch_nuclear_norm([[1.0, 0.0], [1.0, 0.0]]), 3)
    0.707
    """
    P = probability_matrix(proba)
    bound = np.sqrt(len(P) * min(P.shape))
    return float(np.linalg.svd(P, compute_uv=False).sum() / bound)


def logit_matrix_norm(proba: Any, p: float = 4.0, threshold: float = 5.0) -> float:
    r"""Compute MaNo, a norm of the normalized logits (Xie et al. 2024). **Higher is better**.

    .. math:: \Bigl(\frac1{nc}\sum_{i,k}\sigma(q_i)_k^p\Bigr)^{1/p} \quad (2)

    where :math:`\sigma` is the softmax if the predictions are certain,
    :math:`-\frac1{nc}\sum_{i,k}\log p_{ik} > \eta`, and else the gentler
    :math:`v(q) = 1 + q + q^2/2`, brought to a minimum of 0 and a sum of 1 in each row (6). Logits
    are far apart where decision boundaries are far away, and that goes with accuracy. For two
    classes v would make every row certain and rank nothing, so that the softmax is taken.

    Probabilities are what a classifier gives, so the logits here are their logarithms, centered in
    each row. The softmax of these is the given row. The authors take the network's raw logits,
    which differ by a constant that no probability depends on.

    Parameters
    ----------
    proba : array of shape (n_samples, n_classes)
        Predicted class probabilities of target rows.
    p : float, default=4.0
        Order of the norm.
    threshold : float, default=5.0
        The :math:`\eta` above which the softmax is taken. 0 always takes it.

    Returns
    -------
    norm : float
        From ``1 / n_classes``, of uniform predictions, to ``n_classes ** (-1 / p)``.

    Raises
    ------
    ValueError
        If the rows are not probabilities, `p` is not positive or `threshold` is below 0.

    Examples
    --------
    >>> round(logit_matrix_norm([[0.5, 0.5]]), 3)
    0.5
    >>> round(logit_matrix_norm([[1.0, 0.0], [1.0, 0.0]], p=1.0), 3)
    0.5
    """
    p = _arguments.number(p, "p", 0.0, MOST_ORDER, above=True)
    threshold = _arguments.number(threshold, "threshold")
    P = probability_matrix(proba)
    # what a probability of 0 stands for is not known beyond float32
    logs = np.log(np.maximum(P, _TINY))
    certain = -logs.mean() > threshold or P.shape[1] == 2
    S = P if certain else _by_taylor(logs - logs.mean(axis=1, keepdims=True))
    return float(np.mean(S**p) ** (1 / p))


def _by_taylor(logits: np.ndarray) -> np.ndarray:
    V = 1 + logits + logits**2 / 2
    V -= V.min(axis=1, keepdims=True)
    total = V.sum(axis=1, keepdims=True)
    # a row of equal logits is the uniform distribution
    return np.where(total > 0, V / np.where(total > 0, total, 1), 1 / V.shape[1])


def class_cluster_information(
    features: Any,
    labels: Any,
    n_clusters: int | None = None,
    n_init: int = 10,
    random_state: Any = 0,
) -> float:
    r"""Compute ClassAMI: do predicted classes agree with clusters? **Higher is better**.

    .. math:: \mathrm{AMI}\bigl(\hat y,\;\text{k-means}(f)\bigr)

    the adjusted mutual information of predicted classes and as many clusters of the features
    (Musgrave et al. 2022, section 3). 0 is chance. Rows are brought to unit length first.

    Parameters
    ----------
    features : array of shape (n_samples, ...)
        Features of target rows.
    labels : array of shape (n_samples,)
        Predicted classes of the same rows.
    n_clusters : int, optional
        Number of clusters. By default, as many as there are classes among `labels`.
    n_init : int, default=10
        Starts of k-means, of which the best counts.
    random_state : int, RandomState, Generator or None, default=0
        Draws the starts.

    Returns
    -------
    information : float
        At most 1. Labels of a single class share nothing with clusters: 0.

    Raises
    ------
    ValueError
        If features are not finite, lengths differ, or there are fewer rows than clusters.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score

    F = feature_matrix(features, "features")
    y = label_vector(labels, "labels", len(F), "features")
    classes = len(np.unique(y))
    if n_clusters is None:
        k = classes
    else:
        k = _arguments.integer(n_clusters, "n_clusters", otherwise=", or None")
    n_init = _arguments.integer(n_init, "n_init", 1, MOST_STARTS)
    rng = legacy_generator(random_state)
    if len(F) < k:
        raise ValueError(
            f"features must have at least as many rows as n_clusters={k}, not {len(F)}"
        )
    if classes == 1:
        return 0.0
    length = np.linalg.norm(F, axis=1, keepdims=True)
    unit = F / np.where(length > 0, length, 1)
    means = KMeans(k, n_init=n_init, random_state=rng).fit(unit)
    return float(adjusted_mutual_info_score(y, means.labels_))


def ensemble_agreement(probas: Sequence[Any]) -> np.ndarray:
    r"""Compute EnsV: how far each candidate agrees with all of them. **Higher is better**.

    .. math:: \frac1n\sum_i \mathbb 1\bigl[\arg\max p^{(m)}_i = \arg\max \bar p_i\bigr], \qquad
        \bar p = \frac1M\sum_m p^{(m)}

    (Hu et al. 2024): the mean of the candidates' predictions is a better model than most of them,
    and the candidate nearest to it is chosen. The worst candidate is not, unless most are like it.
    Candidates may be the models of a search, or the epochs of one training.

    Parameters
    ----------
    probas : sequence of arrays of shape (n_samples, n_classes)
        Class probabilities that each candidate predicts, all for the same target rows.

    Returns
    -------
    agreement : ndarray of shape (n_candidates,)
        From 0 to 1.

    Raises
    ------
    ValueError
        If there are no candidates, rows are not probabilities, or shapes differ.

    Examples
    --------
    >>> sure, same, other = [[0.9, 0.1]], [[0.8, 0.2]], [[0.4, 0.6]]
    >>> ensemble_agreement([sure, same, other])
    array([1., 1., 0.])
    """
    if not isinstance(probas, list | tuple | np.ndarray):
        shown = _arguments.shown(probas)
        raise TypeError(f"probas must be a list of arrays (n_samples, n_classes), not {shown}")
    tables = [probability_matrix(P, f"probas[{m}]") for m, P in enumerate(probas)]
    if not tables:
        raise ValueError("probas must hold the predictions of at least one candidate, not none")
    for m, P in enumerate(tables):
        if P.shape != tables[0].shape:
            raise ValueError(
                f"probas[{m}] has shape {P.shape} but probas[0] has {tables[0].shape}: let all "
                "candidates predict the same classes for the same rows"
            )
    ensemble = np.mean(tables, axis=0).argmax(axis=1)
    return np.array([np.mean(P.argmax(axis=1) == ensemble) for P in tables])


def ensemble_order(
    agreement: Any, *, baseline: int | None = None, margin: float = 0.1
) -> np.ndarray:
    """Order candidates by their agreement with the ensemble, the best first.

    Parameters
    ----------
    agreement : array of shape (n_candidates,)
        What :func:`ensemble_agreement` gives.
    baseline : int, optional
        The place of the candidate without adaptation. Others come before it only if they agree by
        more than `margin` more than it does.
    margin : float, default=0.1
        From 0 to below 1.

    Returns
    -------
    order : ndarray of int of shape (n_candidates,)
        Places. Of equals, the first comes first.

    Raises
    ------
    TypeError, ValueError
        If `agreement` is empty or not finite, or `baseline` is not the place of a candidate.

    Examples
    --------
    >>> ensemble_order([0.8, 0.85, 0.95], baseline=0, margin=0.1).tolist()
    [2, 0, 1]
    """
    found = value_vector(agreement, "agreement")
    margin = _arguments.number(margin, "margin", 0.0, 1.0, below=True)
    if baseline is None:
        return np.argsort(-found, kind="stable")
    place = _arguments.integer(baseline, "baseline", 0, len(found) - 1)
    behind = found <= found[place] + margin + ROUNDING
    behind[place] = False
    # Of those that are not behind it, the baseline is the last.
    keys = np.where(np.arange(len(found)) == place, np.inf, -found)
    return np.lexsort((keys, behind))


def transfer_score(features: Any, proba: Any, share: float = 0.05, random_state: Any = 0) -> float:
    r"""Compute the Transfer Score (Yang et al. 2024). **Higher is better**.

    .. math:: \mathcal T = -\mathcal U + \mathcal H + \mathcal M / \ln c

    The three terms, for c classes:

    - :math:`\mathcal U`, how far the classifier's weights :math:`w_k` are from the corners of a
      simplex, whose cosines are :math:`-1/(c-1)`: the mean of
      :math:`|\cos(w_j, w_k) + 1/(c-1)|` over all pairs.
    - :math:`\mathcal H`, the Hopkins statistic of the features: :math:`\sum u/(\sum u + \sum v)`
      with v the distances of some rows to the nearest other row, and u those of as many points,
      drawn uniformly from the box around all rows, to the nearest row. 1/2 for rows without
      structure, near 1 for clusters.
    - :math:`\mathcal M`, the mutual information of input and predicted class
      (:func:`~repkit.metrics.information_maximization`).

    The paper reads the weights from the network. Here they are found by least squares from the
    features to the logarithms of the probabilities, centered in each row. For a linear layer on the
    features that gives its weights, less their mean over classes, which no probability depends on;
    two classes then always have opposite weights. For another classifier it is the nearest linear
    one.

    Parameters
    ----------
    features : array of shape (n_samples, ...)
        Features of target rows.
    proba : array of shape (n_samples, n_classes)
        Predicted class probabilities of the same rows.
    share : float, default=0.05
        Share of the rows whose distances are taken.
    random_state : int, RandomState, Generator or None, default=0
        Draws the rows and the points.

    Returns
    -------
    score : float
        At most 2, and above -2.

    Raises
    ------
    ValueError
        If features are not finite, rows are not probabilities, lengths differ, there are fewer than
        2 rows, or `share` is not above 0 and at most 1.
    """
    F = feature_matrix(features, "features", min_rows=2).astype(np.float64)
    P = probability_matrix(proba)
    if len(F) != len(P):
        raise ValueError(
            f"features has {len(F)} rows but proba has {len(P)}: pass both of the same target rows"
        )
    share = _arguments.number(share, "share", 0.0, 1.0, above=True)
    information = information_maximization(P) / np.log(P.shape[1])
    hopkins = _hopkins(F, max(1, round(share * len(F))), legacy_generator(random_state))
    return float(hopkins + information - _unevenness(F, P))


def _hopkins(F: np.ndarray, count: int, rng: np.random.RandomState) -> float:
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=2).fit(F)
    points = rng.uniform(F.min(axis=0), F.max(axis=0), (count, F.shape[1]))
    rows = F[rng.choice(len(F), count, replace=False)]
    to_rows = near.kneighbors(points, 1)[0][:, 0].sum()
    between = near.kneighbors(rows, 2)[0][:, 1].sum()  # the nearest is the row itself
    # all rows in one point: no structure to speak of
    return float(to_rows / (to_rows + between)) if to_rows + between > 0 else 0.5


def _unevenness(F: np.ndarray, P: np.ndarray) -> float:
    logs = np.log(np.maximum(P, _TINY))
    logs -= logs.mean(axis=1, keepdims=True)
    # without their means, features and logits need no intercept
    W = np.linalg.lstsq(F - F.mean(axis=0), logs - logs.mean(axis=0), rcond=None)[0].T
    length = np.linalg.norm(W, axis=1, keepdims=True)
    W = W / np.where(length > 0, length, 1)
    others = ~np.eye(len(W), dtype=bool)
    return float(np.abs((W @ W.T)[others] + 1 / (len(W) - 1)).mean())
