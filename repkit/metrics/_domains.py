"""Internal. Rows of two domains: parted, split, stacked; and what an estimator makes of them."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import numpy as np

from repkit._arguments import shown
from repkit._random import legacy_generator
from repkit.metrics._arrays import label_vector


class Domains(NamedTuple):
    """The rows of one call, parted; `y_source` is None where no labels were given."""

    X_source: Any
    X_target: Any
    y_source: np.ndarray | None
    domain_source: np.ndarray
    domain_target: np.ndarray


# ---------------------------------------------------------------- rows


def n_rows(X: Any, name: str) -> int:
    """Count the samples of an array, DataFrame, tensor, or list."""
    shape = getattr(X, "shape", None)
    if isinstance(shape, tuple) and shape:
        return int(shape[0])
    if isinstance(X, list | tuple):
        return len(X)
    raise TypeError(f"{name} must be an array, or a list of samples, not {shown(X)}")


def take(X: Any, rows: np.ndarray) -> Any:
    """Select rows of an array, DataFrame, tensor, or list of samples."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    return X[rows] if hasattr(X, "shape") else [X[i] for i in rows]


def stack(A: Any, B: Any) -> Any:
    """Put the rows of B under those of A, in the container they came in."""
    if hasattr(A, "iloc"):
        import pandas as pd

        return pd.concat([A, B])
    if hasattr(A, "detach"):
        import torch

        return torch.cat([A, B])
    if hasattr(A, "tocsr"):
        import scipy.sparse

        return scipy.sparse.vstack([A, B], format="csr")
    return np.concatenate([A, B]) if hasattr(A, "shape") else [*A, *B]


def mixed(A: Any, B: Any, share: float) -> Any:
    """Mix rows of A with rows of B, in the container they came in; images of bytes stay bytes."""
    if isinstance(A, list):
        A, B = np.asarray(A), np.asarray(B)
    if hasattr(A, "iloc"):
        # by position: the names of the rows do not count
        return A * share + B.set_axis(A.index, axis=0) * (1 - share)
    name = str(getattr(A, "dtype", "")).removeprefix("torch.")
    if name == "uint8" and not hasattr(A, "tocsr"):
        a, b = (v.float() if hasattr(v, "float") else v.astype(np.float32) for v in (A, B))
        M = (a * share + b * (1 - share)).round()
        return M.to(A.dtype) if hasattr(M, "to") else M.astype(A.dtype)
    return A * share + B * (1 - share)


def halves(
    n_samples: int, val_size: float, random_state: Any, domain: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split row numbers at random into two parts, the second of `val_size`, each of 2 or more.

    With the `domain` (n,) of each row, the first part has 2 or more of every domain, if there are.
    """
    order = legacy_generator(random_state).permutation(n_samples)
    n_val = min(max(2, round(val_size * n_samples)), n_samples - 2)
    kept, held_out = order[n_val:], order[:n_val]
    if domain is None:
        return kept, held_out
    moved = [
        held_out[domain[held_out] == d][: 2 - int((domain[kept] == d).sum())]
        for d in np.unique(domain)
        if (domain[kept] == d).sum() < 2
    ]
    back = np.concatenate([*moved, held_out[:0]])
    left = held_out[~np.isin(held_out, back)]
    return (np.concatenate([kept, back]), left) if len(left) else (kept, held_out)


# ---------------------------------------------------------------- domains


def domain_ids(sample_domain: Any, n_samples: int, of: str = "X") -> np.ndarray:
    """Check the `sample_domain` of rows, and give it as (n_samples,) whole numbers or names."""
    ids = label_vector(sample_domain, "sample_domain", n_samples, of)
    if ids.dtype == object and all(isinstance(v, str) for v in ids):
        ids = ids.astype(str)
    elif ids.dtype == object:
        ids = np.array(ids.tolist())
    if (ids.dtype.kind == "f" and (ids == np.rint(ids)).all()) or ids.dtype.kind in "iu":
        return ids.astype(np.int64)
    if ids.dtype.kind == "U":
        return ids
    raise ValueError(f"sample_domain must hold integers or names, not dtype {ids.dtype}")


def are_sources(estimator: Any, ids: np.ndarray) -> np.ndarray:
    """Tell which of the domains (n,) are sources: as the estimator was fitted, else by the sign.

    An estimator that was told which domains are sources knows it: ``domains_``, the sources first,
    and ``n_source_domains_``.
    """
    model = last_step(estimator)
    fitted, n_sources = (getattr(model, k, None) for k in ("domains_", "n_source_domains_"))
    known = np.zeros(len(ids), dtype=bool)
    sources = known
    # of one kind with what is known: a number is no name
    if (
        fitted is not None
        and n_sources is not None
        and (fitted.dtype.kind == "U") == (ids.dtype.kind == "U")
    ):
        known, sources = np.isin(ids, fitted), np.isin(ids, fitted[:n_sources])
    if known.all() or ids.dtype.kind != "U":
        return np.where(known, sources, False if ids.dtype.kind == "U" else ids >= 0)
    names = np.unique(ids[~known])[:5].tolist()
    raise ValueError(
        "sample_domain must hold integers (source >= 0, target < 0) or names of domains that the "
        f"estimator was fitted with, not {names}"
    )


def mirrored(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give integers to domains so that source (n,) and target (m,) change their roles."""
    names = source.dtype.kind == "U" or target.dtype.kind == "U"
    if not names and (source >= 0).all() and (target < 0).all():
        # keeps every domain apart, and the names that users gave recognizable
        return -1 - source, -1 - target
    places = [np.unique(d, return_inverse=True)[1] for d in (source, target)]
    return -1 - places[0], places[1]


# ---------------------------------------------------------------- estimators


def model_of(estimator: Any) -> Any:
    """Give the estimator, or the best one of a fitted search, which takes no metadata itself."""
    while hasattr(estimator, "best_estimator_"):  # a search between searches
        estimator = estimator.best_estimator_
    return estimator


def last_step(estimator: Any) -> Any:
    """Give the last step of a Pipeline, or the estimator."""
    estimator = model_of(estimator)
    steps = getattr(estimator, "steps", None)
    return last_step(steps[-1][1]) if steps else estimator


def check_method(scorer: Any, estimator: Any, method: str) -> None:
    """Raise a TypeError if the scorer misses a method of the estimator."""
    if not hasattr(model_of(estimator), method):
        hint = "; pass features='input' or a function (estimator, X) -> features"
        raise TypeError(
            f"{type(scorer).__name__} needs estimator.{method}, which "
            f"{type(estimator).__name__} lacks{hint if method == 'transform' else ''}"
        )


def call(estimator: Any, method: str, X: Any, domain: np.ndarray) -> Any:
    """Call a method of a fitted estimator with the domains of the rows, if it can use them.

    A Pipeline that does not route `sample_domain` is walked through step by step.
    """
    estimator = model_of(estimator)
    use = getattr(estimator, method)
    if _takes(estimator, method, "sample_domain"):
        # skada's estimators refuse source rows unless told that they are meant
        meant = {"allow_source": True} if _takes(estimator, method, "allow_source") else {}
        return use(X, sample_domain=domain, **meant)
    steps = [step for _, step in getattr(estimator, "steps", ())]
    if not any(_takes(step, m, "sample_domain") for step in steps for m in ("transform", method)):
        return use(X)
    return call(steps[-1], method, through(estimator, X, domain), domain)


def through(estimator: Any, X: Any, domain: np.ndarray) -> Any:
    """Give the rows as the last step of a Pipeline sees them, or as they are."""
    for _, step in getattr(model_of(estimator), "steps", ())[:-1]:
        if hasattr(step, "transform"):
            X = call(step, "transform", X, domain)
    return X


def accepts(function: Any, name: str) -> bool:
    """Tell whether a function has an argument of a name."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def fit_arguments(estimator: Any, domain: np.ndarray) -> dict[str, np.ndarray]:
    """Give the keywords that bring `domain` to `fit`; none if the estimator cannot use it."""
    if _takes(estimator, "fit", "sample_domain"):
        return {"sample_domain": domain}
    # without metadata routing, a Pipeline takes arguments of a step by the step's name
    return {
        f"{step}__{name}": domain
        for step, model in getattr(estimator, "steps", ())
        if hasattr(model, "fit")
        for name in fit_arguments(model, domain)
    }


def _takes(estimator: Any, method: str, name: str) -> bool:
    """Tell whether a method takes a keyword, itself or by routing (a Pipeline)."""
    from sklearn import get_config
    from sklearn.utils.metadata_routing import get_routing_for_object

    if accepts(getattr(estimator, method, None), name):
        return True
    routes = get_config()["enable_metadata_routing"] and hasattr(estimator, "get_metadata_routing")
    return routes and name in get_routing_for_object(estimator).consumes(method, [name])
