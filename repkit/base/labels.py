"""Internal. Labels of which some are missing: one rule for classes and for speakers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, column_or_1d

from repkit._arguments import named


@dataclass(frozen=True)
class Labels:
    """Labels as places among their kinds.

    Attributes
    ----------
    classes : ndarray of shape (classes,)
        The labels that occur, sorted, of the type that was given.
    codes : ndarray of int of shape (n,)
        The place of each row's label among them; -1 where there is none.
    """

    classes: np.ndarray
    codes: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Whether a row has a label, ``(n,)``."""
        return self.codes >= 0


def read_labels(y: Any, n: int, *, name: str = "y") -> Labels:
    """Tell labels from missing ones.

    None, NaN, NA and -1 (the string "-1" among strings) say that there is no label. -1 is a label
    where the others tell: where all that is there are -1 and 1.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, 1)
        A list, array, Series or categorical, of labels of any one kind.
    n : int
        Rows of X.
    name : str
        Of the argument, for errors.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        If it is not of length n, not of labels (continuous numbers), or of kinds that cannot be
        sorted together.
    """
    values = as_label_array(y, name)
    check_count(values, n, name)
    known = ~missing(values)
    found = values[known]
    if found.dtype == object and not any(isinstance(v, str) for v in found):
        found = np.array(found.tolist())  # numbers that stood beside None or NA
    codes = np.full(n, -1, dtype=np.int64)
    if not known.any():
        return Labels(found, codes)
    kinds = sorted({type(v).__name__ for v in found}) if found.dtype == object else []
    told = f"{name} must have labels of one kind, not of {kinds}: they cannot be sorted"
    words = [isinstance(v, str) for v in found] if kinds else []
    if any(words) and not all(words):
        raise TypeError(told)
    with named(name, "labels of classes"):
        check_classification_targets(found)
    try:
        classes, codes[known] = np.unique(found, return_inverse=True)
    except TypeError as error:
        raise TypeError(told) from error
    return Labels(classes, codes)


def check_count(y: Any, n: int, name: str) -> None:
    """Raise a ValueError unless there is one of y for each row."""
    if len(y) != n:
        raise ValueError(
            f"{name} must have one label for each of the {n} rows of X; it has {len(y)} "
            f"(inconsistent numbers of samples: [{n}, {len(y)}])"
        )


def accuracy(y: Any, found: np.ndarray, sample_weight: Any, classes: np.ndarray) -> float:
    """The share of labels that were found, each row counting by its weight; rows without do not.

    -1 is a label if it is one of the classes.
    """
    from sklearn.metrics import accuracy_score

    y = as_label_array(y, "y")
    check_count(y, len(found), "y")
    sample_weight = checked_weight(sample_weight, found)
    there = ~missing(y, minus_one=not any(_is_minus_one(x) for x in classes))
    if not there.any():
        raise ValueError(
            f"y has no label in {len(y)} rows, so there is nothing to score by; a scorer such as "
            "InfoMaxScorer needs none"
        )
    if not there.all():
        y, found = y[there], found[there]
        sample_weight = None if sample_weight is None else sample_weight[there]
    with named("y", "labels of the kind that fit saw"):
        y = np.array(y.tolist()) if y.dtype == object else y  # that stood beside None or NA
        return float(accuracy_score(y, found, sample_weight=sample_weight))


def checked_weight(sample_weight: Any, found: np.ndarray) -> np.ndarray | None:
    """Weights of the rows that were found, or None."""
    if sample_weight is None:
        return None
    with named("sample_weight", "numbers of at least 0, one for each row"):
        return _check_sample_weight(
            sample_weight, found, dtype=np.float64, ensure_non_negative=True
        )


def as_plain(y: Any) -> Any:
    """Labels as a list, a Series of numpy's types or an array, missing ones still told from others.

    Whole numbers beside NA would else become floats, and what a mask hides would be a label.
    """
    if isinstance(y, list | tuple | str):
        return y
    if hasattr(y, "detach"):
        y = y.detach().cpu()
        return (y.float() if str(y.dtype) == "torch.bfloat16" else y).numpy()
    if isinstance(y, np.ma.MaskedArray):
        values = np.asarray(y.data).astype(object)
        values[np.ma.getmaskarray(y)] = None
        return values
    kind: Any = getattr(y, "dtype", None)
    if hasattr(kind, "categories"):
        labels = np.array([*kind.categories, None], dtype=object)
        return labels[np.asarray(getattr(y, "cat", y).codes)]
    if kind is not None and not isinstance(kind, np.dtype):  # of pandas
        return np.asarray(y, dtype=object)
    return y if hasattr(y, "iloc") else np.asarray(y)


def as_label_array(y: Any, name: str) -> np.ndarray:
    """Labels as an array of shape (n,), missing ones as they were given."""
    with named(name, "labels, one for each row"):
        return _as_label_array(y, name)


def _as_label_array(y: Any, name: str) -> np.ndarray:
    if isinstance(y, list | tuple):
        plain = np.asarray(y) if not any(_is_none(v) for v in y) else None
        mixed = plain is None or (
            (plain.dtype.kind in "US" and not all(isinstance(v, str | bytes) for v in y))
            or (plain.dtype.kind in "iuf" and any(isinstance(v, bool | np.bool_) for v in y))
        )
        y = np.array(y, dtype=object) if mixed else plain
    values = column_or_1d(np.asarray(as_plain(y)), warn=True)
    if values.dtype.kind == "c":
        raise ValueError(f"{name} has complex data: complex data not supported")
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError(f"{name} contains infinity; give labels")
    return values


def _is_none(value: Any) -> bool:
    """Whether it is None, NaN, NaT or NA; nothing else may be asked for its truth."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def missing(values: np.ndarray, minus_one: bool | None = None) -> np.ndarray:
    """Which values say that there is no label, ``(n,)``.

    Parameters
    ----------
    values : ndarray of shape (n,)
        See `as_label_array`.
    minus_one : bool, optional
        Whether -1 is one of them. By default the other values tell.
    """
    kind = values.dtype.kind
    if kind == "b":
        return np.zeros(len(values), dtype=bool)
    if kind in "mM":
        return np.isnat(values)
    if kind in "iuf":
        gone = np.isnan(values) if kind == "f" else np.zeros(len(values), dtype=bool)
        minus = values == -1
    elif kind in "US":
        gone = np.zeros(len(values), dtype=bool)
        minus = values.astype(str) == "-1"
    else:
        gone = np.array([_is_none(v) for v in values], dtype=bool)
        minus = np.array([_is_minus_one(v) for v in values], dtype=bool)
    if minus_one is not None:
        return gone | minus if minus_one else gone
    rest = values[~gone & ~minus]
    if minus.any() and kind != "U" and len(rest) and all(_is_number(v) and v == 1 for v in rest):
        return gone  # -1 and 1: two classes
    return gone | minus


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)


def _is_minus_one(value: Any) -> bool:
    return bool(value == -1) if _is_number(value) else isinstance(value, str) and value == "-1"
