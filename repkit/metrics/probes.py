"""Probes: how much of the labels a frozen representation gives away to a simple classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit.metrics._arrays import feature_matrix, label_vector, same_width
from repkit.metrics._probe import logistic_probe, probe_classes
from repkit.metrics.neighbors import nearest_neighbors


def linear_probe(
    X_train: Any,
    y_train: Any,
    X_test: Any,
    y_test: Any,
    *,
    C: float = 1.0,
    max_iter: int = 1000,
) -> dict[str, float]:
    r"""Score multinomial logistic regression on standardized features.

    With :math:`z` the features at zero mean and unit deviation over the *training* rows, scikit-
    learn's ``LogisticRegression`` minimizes
    :math:`\tfrac12\|W\|^2 + C\sum_i -\log\mathrm{softmax}(Wz_i + b)_{y_i}`.
    Choose `C` on a part of the training rows, and keep the test rows for the last call.

    Parameters
    ----------
    X_train, X_test : array or tensor of shape (n_samples, ...)
        Features. Samples are flattened.
    y_train, y_test : array of shape (n_samples,)
        Labels of at least two classes. Every class of `y_test` must be in `y_train`.
    C : float, default=1.0
        Inverse strength of the L2 penalty.
    max_iter : int, default=1000
        Most iterations of the optimizer, which warns (``ConvergenceWarning``) if it stops there.

    Returns
    -------
    scores : dict of str to float
        ``accuracy``, ``balanced_accuracy`` (mean over classes) and ``log_loss`` (nats per row) on
        the test rows, and ``train_accuracy``.

    Raises
    ------
    ValueError
        If the input is empty or not finite, shapes do not match, there is only one class, a test
        class is missing from training, or `C` is not positive.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> scores = linear_probe(X[::2], y[::2], X[1::2], y[1::2])
    >>> round(scores["accuracy"], 2)
    0.96
    """
    X_train, X_test = feature_matrix(X_train, "X_train"), feature_matrix(X_test, "X_test")
    same_width(X_train, X_test, ("X_train", "X_test"))
    y_train = label_vector(y_train, "y_train", len(X_train))
    y_test = label_vector(y_test, "y_test", len(X_test))
    classes = probe_classes(y_train, y_test)
    code, code_test = (np.searchsorted(classes, y) for y in (y_train, y_test))
    probe = logistic_probe(C, max_iter).fit(X_train, code)
    probability = probe.predict_proba(X_test)
    scores = _accuracies(code_test, probability.argmax(axis=1))
    # A probability of 0 in floating point is a small one, not an infinite loss.
    true = probability[np.arange(len(X_test)), code_test].astype(np.float64)
    scores["log_loss"] = float(-np.log(np.maximum(true, np.finfo(probability.dtype).tiny)).mean())
    scores["train_accuracy"] = float(probe.score(X_train, code))
    return scores


def knn_probe(
    X_train: Any,
    y_train: Any,
    X_test: Any,
    y_test: Any,
    n_neighbors: int = 1,
    metric: str = "euclidean",
    *,
    device: Any = "auto",
    batch_bytes: int = 2**28,
) -> dict[str, float]:
    """Score the k-nearest-neighbor classifier of the training rows on the test rows.

    Exact search on the device in bounded memory (see :func:`nearest_neighbors`): 60 000 x 10 000
    rows need `batch_bytes`, not the 2.4 GB of their distances.

    Parameters
    ----------
    X_train, X_test : array or tensor of shape (n_samples, ...)
        Features; samples are flattened and taken as they are, without standardization.
    y_train, y_test : array of shape (n_samples,)
        Labels of at least two classes; every class of `y_test` must be in `y_train`.
    n_neighbors, metric, device, batch_bytes
        As in :func:`nearest_neighbors`.

    Returns
    -------
    scores : dict of str to float
        ``accuracy`` and ``balanced_accuracy`` (mean over classes).

    Raises
    ------
    ValueError
        As :func:`nearest_neighbors`, and on labels that do not match, are missing, of one class,
        or unseen in training.
    """
    y_test = label_vector(y_test, "y_test", len(X_test))
    probe_classes(label_vector(y_train, "y_train", len(X_train)), y_test)
    predicted = knn_predict(
        X_train, y_train, X_test, n_neighbors, metric, device=device, batch_bytes=batch_bytes
    )
    return _accuracies(y_test, predicted)


def knn_predict(
    X_train: Any,
    y_train: Any,
    X_test: Any,
    n_neighbors: int = 1,
    metric: str = "euclidean",
    *,
    device: Any = "auto",
    batch_bytes: int = 2**28,
) -> np.ndarray:
    """Give the majority label of the nearest training rows of each test row.

    Equal votes go to the smallest label, as in scikit-learn's ``KNeighborsClassifier``.

    Parameters
    ----------
    X_train, y_train, X_test, n_neighbors, metric, device, batch_bytes
        As in :func:`knn_probe`.

    Returns
    -------
    y : ndarray of shape (n_test,)
        Predicted labels, of the dtype of `y_train`.

    Raises
    ------
    ValueError
        As :func:`knn_probe`.
    """
    y_train = label_vector(y_train, "y_train", len(X_train))
    classes, code = np.unique(y_train, return_inverse=True)
    index = nearest_neighbors(
        X_train, X_test, n_neighbors, metric=metric, device=device, batch_bytes=batch_bytes
    )
    winner = np.empty(len(index), dtype=np.int64)
    # the ballot box has one cell for each row and class: empty it before it grows large
    rows = max(1, 2**22 // len(classes))
    for start in range(0, len(index), rows):
        votes = code[index[start : start + rows]]
        cell = np.arange(len(votes))[:, None] * len(classes) + votes
        ballot = np.bincount(cell.ravel(), minlength=len(votes) * len(classes))
        winner[start : start + rows] = ballot.reshape(len(votes), -1).argmax(axis=1)
    return classes[winner]


def _accuracies(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    right = predicted == y
    balanced = np.mean([right[y == c].mean() for c in np.unique(y)])
    return {"accuracy": float(right.mean()), "balanced_accuracy": float(balanced)}
