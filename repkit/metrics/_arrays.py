"""Internal. Checks shared by the metrics: finite arrays, or an error; and devices."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_numpy(X: Any) -> np.ndarray:
    """Give `X` (array, DataFrame, list or torch tensor on any device) as a numpy array."""
    if hasattr(X, "detach"):  # a torch tensor, recognized without importing torch
        X = X.detach().cpu()
        # numpy has no bfloat16
        X = (X.float() if str(X.dtype) == "torch.bfloat16" else X).numpy()
    return np.asarray(X)


def feature_matrix(X: Any, name: str, min_rows: int = 1) -> np.ndarray:
    """Check features and give them as a finite matrix (n_samples, n_features).

    Samples of more than one dimension (images) are flattened. float32 and float64 are kept,
    narrower numbers become float32, integers of 32 bits and more float64.

    Raises
    ------
    ValueError
        When `X` is sparse, not numeric, 0-D or 1-D, too short, without columns, or not finite.
    """
    if hasattr(X, "toarray"):
        raise ValueError(f"{name} must be dense, not a sparse matrix: pass {name}.toarray()")
    X = as_numpy(X)
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
    return X


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


def label_vector(y: Any, name: str, n_samples: int) -> np.ndarray:
    """Check labels and give them as a vector (n_samples,) without missing entries."""
    y = as_numpy(y)
    if y.ndim != 1:
        raise ValueError(
            f"{name} must be a vector of shape (n_samples,), not {y.shape}: use ravel()"
        )
    if len(y) == 0:
        raise ValueError(f"{name} must not be empty: check the split that made it")
    if len(y) != n_samples:
        raise ValueError(
            f"{name} has {len(y)} entries for {n_samples} rows: pass one label for each row"
        )
    # None and NaN alone differ from themselves or are None: true for float and object labels
    missing = np.array([v is None or v != v for v in y]) if y.dtype.kind in "fO" else None
    if missing is not None and missing.any():
        raise ValueError(
            f"{name} is missing (NaN or None) in {int(missing.sum())} of {n_samples} rows: "
            "drop the rows without a label"
        )
    return y


def value_vector(v: Any, name: str) -> np.ndarray:
    """Check per-sample numbers (losses, weights) and give a finite float64 vector."""
    v = as_numpy(v)
    if v.ndim != 1 or len(v) == 0:
        raise ValueError(f"{name} must be a non-empty vector of shape (n_samples,), not {v.shape}")
    if v.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, not dtype {v.dtype}")
    v = v.astype(np.float64)
    check_finite(v, name)
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


def resolve_device(device: Any) -> Any:
    """Turn "auto" into cuda, mps or cpu, the first there is; anything else into torch.device."""
    import torch

    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
