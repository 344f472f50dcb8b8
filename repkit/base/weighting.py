"""Internal. Weights of rows from what a user gives for samples and for classes."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import _check_sample_weight

from repkit._arguments import named


def class_weight_rule(name: str, value: Any) -> Any:
    """Let None, "balanced" and dicts of numbers of at least 0 pass as they are."""
    if isinstance(value, Mapping):
        for label, weight in value.items():
            if isinstance(weight, bool | np.bool_) or not isinstance(weight, Real):
                raise TypeError(f"{name}[{label!r}] must be a number of at least 0, not {weight!r}")
            if not 0.0 <= float(weight) < np.inf:
                raise ValueError(
                    f"{name}[{label!r}] must be a finite number of at least 0, not {weight!r}"
                )
    if (
        value is None
        or isinstance(value, Mapping)
        or (isinstance(value, str) and value == "balanced")
    ):
        return value
    raise ValueError(
        f"{name} must be 'balanced', a dict of weights by class or None, not {value!r}"
    )


def row_weights(
    sample_weight: Any, class_weight: Any, classes: np.ndarray, codes: np.ndarray
) -> np.ndarray | None:
    """Weight of every row, with a mean of 1 over the labeled ones; None if all are alike.

    Parameters
    ----------
    sample_weight : array-like of shape (n,), number or None
        At least 0.
    class_weight : dict, "balanced" or None
        By label. "balanced" makes the labeled rows of every class weigh the same in sum.
    classes : ndarray of shape (classes,)
        The labels.
    codes : ndarray of int of shape (n,)
        The place of each row's label among them, -1 where there is none.

    Returns
    -------
    float32 ndarray of shape (n,), or None

    Raises
    ------
    ValueError
        If a weight is negative or not finite, the labeled rows weigh nothing, or ``class_weight``
        names what is no class.
    """
    if sample_weight is None and class_weight is None:
        return None
    known = codes >= 0
    frame = np.empty((len(codes), 1))
    with named("sample_weight", "numbers of at least 0, one for each row"):
        weights = _check_sample_weight(
            sample_weight, frame, dtype=np.float64, ensure_non_negative=True
        ).copy()
    if isinstance(class_weight, Mapping):
        unknown = [label for label in class_weight if label not in classes.tolist()]
        if unknown:
            raise ValueError(
                f"class_weight must name classes, of {classes.tolist()}, not {unknown}"
            )
    if class_weight is not None:
        # As scikit-learn counts them: rows, not their weights.
        per_class = compute_class_weight(
            class_weight if isinstance(class_weight, str) else dict(class_weight),
            classes=np.arange(len(classes)) if isinstance(class_weight, str) else classes,
            y=codes[known] if isinstance(class_weight, str) else classes[codes[known]],
        )
        weights[known] *= per_class[codes[known]]
    greatest = weights[known].max(initial=0.0)
    if not greatest > 0.0:
        which = "class_weight" if sample_weight is None else "sample_weight"
        raise ValueError(
            f"{which} is zero for all labeled rows: there is nothing to learn from; give some of "
            "them a weight above 0"
        )
    weights = weights / greatest  # first, for sums of huge weights are infinite
    return (weights * (known.sum() / weights[known].sum())).astype(np.float32)
