"""Probes: how well a simple classifier reads labels from a frozen representation."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit.metrics._arrays import feature_matrix, label_vector, same_width
from repkit.metrics._blocks import checked_rows
from repkit.metrics._probe import logistic_probe, probe_classes
from repkit.metrics.neighbors import _nearest

__all__ = [
    "knn_predict",
    "knn_probe",
    "linear_probe",
]


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
    X_train : array or tensor of shape (n_train, ...)
        Training features. Samples are flattened.
    y_train : array of shape (n_train,)
        Training labels of at least two classes.
    X_test : array or tensor of shape (n_test, ...)
        Test features, as wide as `X_train`.
    y_test : array of shape (n_test,)
        Test labels, all of classes in `y_train`.
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
    >>> scores["accuracy"] > 0.9
    True
    """
    X_train, X_test = feature_matrix(X_train, "X_train"), feature_matrix(X_test, "X_test")
    same_width(X_train, X_test, ("X_train", "X_test"))
    y_train = label_vector(y_train, "y_train", len(X_train), "X_train")
    y_test = label_vector(y_test, "y_test", len(X_test), "X_test")
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

    The search is exact and runs on the device in bounded memory (see :func:`nearest_neighbors`):
    60 000 x 10 000 rows need `batch_bytes`, not the 2.4 GB of their distances.

    Parameters
    ----------
    X_train : array or tensor of shape (n_train, ...)
        Training features. Samples are flattened.
    y_train : array of shape (n_train,)
        Training labels of at least two classes.
    X_test : array or tensor of shape (n_test, ...)
        Test features, as wide as `X_train`.
    y_test : array of shape (n_test,)
        Test labels, all of classes in `y_train`.
    n_neighbors : int, default=1
        Number of neighbors that vote, at most n_train.
    metric : {"euclidean", "cosine"}, default="euclidean"
        Kind of distance between features, which are taken as they are, without standardization.
    device : str or torch.device, default="auto"
        Where to compute distances. "auto" takes the first there is of cuda, mps and cpu.
    batch_bytes : int, default=2**28
        Memory for blocks of distances, in bytes. The whole matrix is never held.

    Returns
    -------
    scores : dict of str to float
        ``accuracy`` and ``balanced_accuracy`` (mean over classes).

    Raises
    ------
    ValueError
        If features are empty or not finite, shapes do not match, `n_neighbors` is out of range,
        or labels are missing, of one class, or unseen in training.
    """
    (X_train, _), (X_test, _) = checked_rows(X_train, "X_train"), checked_rows(X_test, "X_test")
    y_test = label_vector(y_test, "y_test", len(X_test), "X_test")
    probe_classes(label_vector(y_train, "y_train", len(X_train), "X_train"), y_test)
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
    """Predict the majority label of the nearest training rows of each test row.

    Ties go to the smallest label, as in scikit-learn's ``KNeighborsClassifier``.

    Parameters
    ----------
    X_train : array or tensor of shape (n_train, ...)
        Training features. Samples are flattened.
    y_train : array of shape (n_train,)
        Training labels.
    X_test : array or tensor of shape (n_test, ...)
        Test features, as wide as `X_train`.
    n_neighbors : int, default=1
        Number of neighbors that vote, at most n_train.
    metric : {"euclidean", "cosine"}, default="euclidean"
        Kind of distance between features, which are taken as they are, without standardization.
    device : str or torch.device, default="auto"
        Where to compute distances. "auto" takes the first there is of cuda, mps and cpu.
    batch_bytes : int, default=2**28
        Memory for blocks of distances, in bytes. The whole matrix is never held.

    Returns
    -------
    y : ndarray of shape (n_test,)
        Predicted labels, of the dtype of `y_train`.

    Raises
    ------
    ValueError
        If features are empty or not finite, shapes do not match, `n_neighbors` is out of range,
        or labels are missing.

    Examples
    --------
    >>> knn_predict([[0.0], [1.0], [9.0]], ["a", "a", "b"], [[2.0], [8.0]]).tolist()
    ['a', 'b']
    """
    X_train, _ = checked_rows(X_train, "X_train")
    y_train = label_vector(y_train, "y_train", len(X_train), "X_train")
    classes, code = np.unique(y_train, return_inverse=True)
    index = _nearest(
        X_train,
        X_test,
        n_neighbors,
        metric=metric,
        device=device,
        batch_bytes=batch_bytes,
        names=("X_train", "X_test"),
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
