"""Internal. Checks shared by the metrics: finite arrays, or an error; and devices."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit._arguments import MOST_BYTES, integer, shown


def as_numpy(X: Any, name: str = "X") -> np.ndarray:
    """Give `X` (array, DataFrame, tensor on any device, list of these) as an array of numpy.

    This is the one way into the metrics. The array has no negative strides and the byte order of
    the machine, so that it can become a tensor; it may be read-only.

    Raises
    ------
    TypeError
        When `X` is no array and nothing that can become one.
    ValueError
        When `X` is sparse, masked, or a list of samples that differ in shape.
    """
    if isinstance(X, list | tuple) and any(hasattr(x, "detach") for x in X):
        X = [as_numpy(x, name) if hasattr(x, "detach") else x for x in X]
    if hasattr(X, "detach"):  # a torch tensor, recognized without importing torch
        X = _tensor_to_numpy(X, name)
    if hasattr(X, "toarray"):
        raise ValueError(f"{name} must be dense, not a sparse matrix: pass {name}.toarray()")
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(f"{name} must not be masked: fill or drop what its mask hides")
    try:
        X = np.asarray(X)
    except ValueError as error:
        raise ValueError(
            f"{name} must have samples of one shape, not a ragged sequence: cut or pad them"
        ) from error
    if X.ndim == 0 and X.dtype.kind in "OUSV":
        raise TypeError(f"{name} must be an array, or a list of samples, not {shown(X.item())}")
    if X.dtype.kind == "f" and X.dtype.itemsize > 8:
        X = X.astype(np.float64)
    if not X.dtype.isnative:
        X = X.astype(X.dtype.newbyteorder("="))
    return np.ascontiguousarray(X) if any(s < 0 for s in X.strides) else X


def _tensor_to_numpy(X: Any, name: str) -> np.ndarray:
    import torch

    if X.layout != torch.strided:
        raise ValueError(f"{name} must be dense, not a sparse tensor: pass {name}.to_dense()")
    X = X.detach().cpu().resolve_conj().resolve_neg()
    # numpy has no bfloat16 and no float8
    known = (torch.float16, torch.float32, torch.float64)
    return (X.float() if X.is_floating_point() and X.dtype not in known else X).numpy()


def as_tensor(X: np.ndarray, device: Any = None, dtype: Any = None) -> Any:
    """Copy an array that :func:`as_numpy` gave into a tensor, which may be changed in place."""
    import torch

    return torch.from_numpy(np.array(X, order="C")).to(device=device, dtype=dtype)


def batch_size_of(batch_bytes: Any) -> int:
    """Check the memory that a user grants to a block, in bytes."""
    return integer(batch_bytes, "batch_bytes", 1, MOST_BYTES)


def feature_matrix(X: Any, name: str, min_rows: int = 1, *, any_scale: bool = False) -> np.ndarray:
    """Check features and give them as a finite matrix (n_samples, n_features).

    Samples of more than one dimension (images) are flattened. float32 and float64 are kept,
    narrower numbers become float32, integers of 32 bits and more float64. With `any_scale` the
    caller scales the rows itself, and numbers whose squares leave the range are taken, too.

    Raises
    ------
    ValueError
        When `X` is sparse, not numeric, 0-D or 1-D, too short, without columns, or not finite.
    """
    X = as_numpy(X, name)
    if X.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, not dtype {X.dtype}: encode or cast it")
    if X.ndim < 2:
        raise ValueError(
            f"{name} must have shape (n_samples, n_features), not {X.shape}: use "
            "reshape(-1, 1) for a single feature"
        )
    if len(X) < min_rows:
        raise ValueError(
            f"{name} must have at least {min_rows} rows, not {len(X)}: check the split that made it"
        )
    X = X.reshape(len(X), -1) if X.size else X.reshape(len(X), 0)
    if X.shape[1] == 0:
        raise ValueError(f"{name} must have at least 1 feature, not 0")
    X = X.astype(np.result_type(X.dtype, np.float32), copy=False)
    check_finite(X, name)
    if not any_scale:
        check_scale(X, name, 1e15 if X.dtype == np.float32 else 1e50)
    return X


def check_scale(X: np.ndarray, name: str, limit: float) -> None:
    """Raise a ValueError where squares, and what is made of them, leave the range of floats."""
    greatest = float(max(-X.min(), X.max()))
    if greatest > limit or 0.0 < greatest < 1.0 / limit:
        raise ValueError(
            f"{name} must have a greatest entry from {1 / limit:g} to {limit:g}, whose square is a "
            f"number, not {greatest:.3g}: scale it"
        )


def check_finite(X: np.ndarray, name: str) -> None:
    """Raise a ValueError naming the first bad row when `X` holds NaN or infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        # a finite sum proves finite entries without a mask as large as X
        if np.isfinite(X.sum()):
            return
    bad = ~np.isfinite(X)
    if bad.any():
        first = int(np.flatnonzero(bad.reshape(len(X), -1).any(axis=1))[0])
        raise ValueError(
            f"{name} contains NaN or infinity (first in row {first}): drop or impute those rows, "
            "and check that the model which made them has not diverged"
        )


def same_width(A: np.ndarray, B: np.ndarray, names: tuple[str, str]) -> None:
    """Raise a ValueError when two matrices differ in their number of columns."""
    if A.shape[1] != B.shape[1]:
        raise ValueError(
            f"{names[0]} has {A.shape[1]} features but {names[1]} has {B.shape[1]}: "
            "both must come from the same representation"
        )


def label_vector(
    y: Any, name: str, n_samples: int | None = None, of: str | None = None
) -> np.ndarray:
    """Check labels and give them as a vector (n_samples,) of one kind, none of them missing.

    The rows that they belong to are those `of` an argument, which errors name.
    """
    given = y
    y = as_numpy(y, name)
    if y.ndim != 1:
        raise ValueError(
            f"{name} must be a vector of shape (n_samples,), not {y.shape}: use ravel()"
        )
    if len(y) == 0:
        raise ValueError(f"{name} must not be empty: check the split that made it")
    if n_samples is not None and len(y) != n_samples:
        raise ValueError(
            f"{name} has {len(y)} entries for {n_samples} rows{f' of {of}' if of else ''}: pass "
            "one for each row"
        )
    missing = np.zeros(len(y), dtype=bool)
    if y.dtype.kind == "f":
        missing = np.isnan(y)
    elif y.dtype.kind == "O":
        missing = np.array([_is_missing(v) for v in y])
    if missing.any():
        raise ValueError(
            f"{name} is missing (NaN or None) in {int(missing.sum())} of {len(y)} rows: "
            "drop the rows without a label"
        )
    _check_one_kind(given if isinstance(given, list | tuple) else y, y, name)
    return y


def _check_one_kind(given: Any, y: np.ndarray, name: str) -> None:
    """Raise a TypeError if labels are text and numbers, or cannot be sorted."""
    told = f"{name} must hold labels of one kind, numbers or text"
    if y.dtype.kind == "c":
        raise TypeError(f"{told}, not dtype {y.dtype}")
    if y.dtype.kind not in "OUS" or (isinstance(given, np.ndarray) and y.dtype.kind in "US"):
        return
    text = np.array([isinstance(v, str | bytes) for v in given])
    if text.any() and not text.all():
        kinds = sorted({type(v).__name__ for v in given})
        raise TypeError(f"{told}, not of {kinds}")
    try:
        sorted(set(given))
    except TypeError as error:
        raise TypeError(f"{told}, not {shown(given[0])}, which cannot be sorted") from error


def _is_missing(value: Any) -> bool:
    """Tell None, NaN, NA and NaT; nothing else is asked whether it equals itself."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def value_vector(v: Any, name: str) -> np.ndarray:
    """Check per-sample numbers (losses, weights) and give a finite float64 vector."""
    v = as_numpy(v, name)
    if v.ndim != 1 or len(v) == 0:
        raise ValueError(f"{name} must be a non-empty vector of shape (n_samples,), not {v.shape}")
    if v.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, not dtype {v.dtype}")
    v = v.astype(np.float64)
    check_finite(v, name)
    if np.abs(v).max() > 1e70:
        raise ValueError(f"{name} must lie within 1e70, not reach {np.abs(v).max():.3g}: scale it")
    return v


def probability_matrix(proba: Any, name: str = "proba") -> np.ndarray:
    """Check class probabilities (n_samples, n_classes): non-negative, rows summing to one."""
    P = feature_matrix(proba, name).astype(np.float64)
    if P.shape[1] < 2:
        raise ValueError(f"{name} must have a column for each of at least 2 classes, not 1 column")
    gap = np.abs(P.sum(axis=1) - 1).max()
    if P.min() < 0 or gap > 1e-3:
        raise ValueError(
            f"{name} must hold probabilities, not entries of {P.min():.3g} or rows whose "
            f"sum is off by {gap:.3g}: pass softmax outputs, not logits"
        )
    return P
