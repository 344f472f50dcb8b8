"""Labels that most rows do not have."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

__all__ = ["partial_labels"]


def partial_labels(X: np.ndarray, y: Any, *, owner: str) -> tuple[np.ndarray, np.ndarray]:
    """Find the classes, and the place of each row's label among them, -1 where there is none.

    Parameters
    ----------
    X : ndarray of shape (n, ...)
        Its length is compared with that of y.
    y : array-like of shape (n,)
        Labels of any kind; -1 (or "-1" among strings) where there is none. Where the values are -1
        and 1 and no others, both are classes: one labeled class would teach nothing.
    owner : str
        Name of the estimator, for the error if there is no y.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The classes that have a label, sorted.
    place : ndarray of int of shape (n,)
        Indices of ``classes``, or -1.

    Raises
    ------
    ValueError
        If there is no label at all, or unlabeled rows beside labels of one class only; if y is
        not of the length of X, or not of labels.
    """
    if y is None:
        raise ValueError(
            f"{owner} requires y to be passed, but the target y is None: give "
            "labels, and -1 where there is none"
        )
    y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
    y = column_or_1d(y, warn=True)
    check_consistent_length(X, y)
    known = y.astype(str) != "-1" if y.dtype.kind in "OU" else y != -1
    if y.dtype.kind in "iuf" and set(np.unique(y)) == {-1, 1}:
        known[:] = True
    if not known.any():
        raise ValueError("y has no label at all: every value is -1")
    check_classification_targets(y[known])
    classes, found = np.unique(y[known], return_inverse=True)
    if len(classes) == 1 and not known.all():
        raise ValueError(
            f"the labels in y are all {classes[0]!r}: unlabeled rows can only be told apart with "
            "labels of at least two classes"
        )
    place = np.full(len(y), -1, dtype=np.int64)
    place[known] = found
    return classes, place
