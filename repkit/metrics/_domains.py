"""Internal. Rows of two domains: parted, split, stacked; and what an estimator makes of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from repkit._random import legacy_generator


class Domains(NamedTuple):
    """The rows of one call, parted; `y_source` is None where no labels were given."""

    X_source: Any
    X_target: Any
    y_source: np.ndarray | None
    domain_source: np.ndarray
    domain_target: np.ndarray


def take(X: Any, rows: np.ndarray) -> Any:
    """Select rows of an array, DataFrame, tensor, or list of samples."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    return X[rows] if hasattr(X, "shape") else [X[i] for i in rows]


def call(scorer: Any, estimator: Any, method: str, X: Any) -> Any:
    """Call a method of the estimator, or say which scorer misses it."""
    if not hasattr(estimator, method):
        hint = "; pass features='input' or a function (estimator, X) -> features"
        raise TypeError(
            f"{type(scorer).__name__} needs estimator.{method}, which "
            f"{type(estimator).__name__} lacks{hint if method == 'transform' else ''}"
        )
    return getattr(estimator, method)(X)


def halves(n_samples: int, val_size: float, random_state: Any) -> tuple[np.ndarray, np.ndarray]:
    """Split row numbers at random into two parts, the second of `val_size`, each of 2 or more."""
    if not 0 < val_size < 1:
        raise ValueError(f"val_size must lie between 0 and 1, such as 0.5, not {val_size!r}")
    order = legacy_generator(random_state).permutation(n_samples)
    n_val = min(max(2, round(val_size * n_samples)), n_samples - 2)
    return order[n_val:], order[:n_val]


def takes_domain(estimator: Any) -> bool:
    """Tell whether `fit` takes `sample_domain`, itself or by routing (a Pipeline)."""
    from sklearn.utils.metadata_routing import get_routing_for_object
    from sklearn.utils.validation import has_fit_parameter

    if has_fit_parameter(estimator, "sample_domain"):
        return True
    routing = get_routing_for_object(estimator)
    return "sample_domain" in routing.consumes("fit", ["sample_domain"])


def stack(A: Any, B: Any) -> Any:
    """Put the rows of B under those of A, in the container they came in."""
    if hasattr(A, "iloc"):
        import pandas as pd

        return pd.concat([A, B])
    if hasattr(A, "detach"):
        import torch

        return torch.cat([A, B])
    return np.concatenate([A, B]) if hasattr(A, "shape") else [*A, *B]
