"""Internal. What the probes share: the classes they may be asked for, and the linear one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from repkit import _arguments

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def logistic_probe(C: float, max_iter: int = 1000) -> Pipeline:
    """Make a logistic regression on standardized features, not fitted yet."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _arguments.number(C, "C", above=True)
    _arguments.integer(max_iter, "max_iter")
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=max_iter))


def probe_classes(
    y_train: np.ndarray, y_test: np.ndarray, names: tuple[str, str] = ("y_train", "y_test")
) -> np.ndarray:
    """Give the classes (k,) of the training labels: at least two, and all of the test labels."""
    classes = np.unique(y_train)
    if len(classes) < 2:
        raise ValueError(
            f"{names[0]} must hold at least 2 classes, not {classes[0]!r} alone: check "
            "the labels or the split"
        )
    unseen = np.setdiff1d(y_test, classes)
    if len(unseen):
        raise ValueError(
            f"{names[1]} must hold classes of {names[0]} only, not {unseen[:5].tolist()}: "
            "add training rows of these classes or drop the test rows"
        )
    return classes
