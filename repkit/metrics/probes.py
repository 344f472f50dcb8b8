"""Probes: how much of the labels a frozen representation gives away to a simple classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit.metrics._arrays import label_vector
from repkit.metrics._blocks import checked_rows
from repkit.metrics._logistic import SoftmaxRegression
from repkit.metrics.neighbors import nearest_neighbors


def linear_probe(
    X_train: Any,
    y_train: Any,
    X_test: Any,
    y_test: Any,
    *,
    C: float = 1.0,
    max_iter: int = 1000,
    device: Any = "auto",
    batch_bytes: int = 2**28,
) -> dict[str, float]:
    r"""Score multinomial logistic regression on standardized features.

    With :math:`z` the features at zero mean and unit deviation over the *training* rows, minimize
    :math:`\tfrac12\|W\|^2 + C\sum_i -\log\mathrm{softmax}(Wz_i + b)_{y_i}`
    by L-BFGS and count the correct test rows. It is the optimum of scikit-learn's
    ``LogisticRegression``, also with two classes, where the first one's scores are fixed at 0. The
    device walks the rows in blocks: besides the inputs about `batch_bytes` are in use, not a
    second copy of the features. Choose `C` on a part of the training rows; the test rows are for
    the last call alone.

    Parameters
    ----------
    X_train, X_test : array or tensor of shape (n_samples, ...)
        Features; samples are flattened. A memmap is read block by block.
    y_train, y_test : array of shape (n_samples,)
        Labels of at least two classes; every class of `y_test` must be in `y_train`.
    C : float, default=1.0
        Inverse strength of the L2 penalty.
    max_iter : int, default=1000
        Limit of the optimizer, which warns (``ConvergenceWarning``) when it is reached.
    device : str or torch.device, default="auto"
        Where the blocks are computed; "auto" takes cuda, mps or cpu, the first there is. In single
        precision, or in double where `X_train` has it and the device knows it.
    batch_bytes : int, default=2**28
        Memory for the blocks. On an accelerator the training rows stay there when half of it holds
        them, which saves moving them at every step.

    Returns
    -------
    scores : dict of str to float
        ``accuracy``, ``balanced_accuracy`` (mean over classes), ``log_loss`` (nats per row) on the
        test rows, and ``train_accuracy``.

    Raises
    ------
    ValueError
        On not finite or empty input, shapes that do not match, one class, unseen test classes, a
        `C` that is not positive, or `batch_bytes` too small for a single row.
    """
    X_train, width = checked_rows(X_train, "X_train")
    X_test, test_width = checked_rows(X_test, "X_test")
    if width != test_width:
        raise ValueError(
            f"X_train has {width} features but X_test has {test_width}: "
            "both must come from the same representation."
        )
    if not C > 0:
        raise ValueError(f"C={C!r}; wanted a positive number, such as 1.0.")
    y_train = label_vector(y_train, "y_train", len(X_train))
    y_test = label_vector(y_test, "y_test", len(X_test))
    classes = probe_classes(y_train, y_test)
    code, code_test = (np.searchsorted(classes, y) for y in (y_train, y_test))
    probe = SoftmaxRegression(C, max_iter, device=device, batch_bytes=batch_bytes)
    probe.fit(X_train, code, len(classes), "X_train")
    predicted, log_probability = probe.scores(X_test, code_test, "X_test")
    scores = _accuracies(code_test, predicted)
    scores["log_loss"] = float(-log_probability.mean())
    scores["train_accuracy"] = float(np.mean(probe.train_scores()[0] == code))
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


def probe_classes(
    y_train: np.ndarray, y_test: np.ndarray, names: tuple[str, str] = ("y_train", "y_test")
) -> np.ndarray:
    """Give the classes (k,) of the training labels: at least two, and all of the test labels."""
    classes = np.unique(y_train)
    if len(classes) < 2:
        raise ValueError(
            f"{names[0]} holds 1 class ({classes[0]!r}); a probe needs at least 2: "
            "check the labels or the split."
        )
    unseen = np.setdiff1d(y_test, classes)
    if len(unseen):
        raise ValueError(
            f"{names[1]} holds classes that {names[0]} lacks: {unseen[:5].tolist()}; add training "
            "rows of these classes or drop the test rows."
        )
    return classes


def _accuracies(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    right = predicted == y
    balanced = np.mean([right[y == c].mean() for c in np.unique(y)])
    return {"accuracy": float(right.mean()), "balanced_accuracy": float(balanced)}
