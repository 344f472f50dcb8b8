"""Internal. What may stand in a model file's header: the type and range of each entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from repkit._arguments import shown
from repkit.base.samples import PIXELS

LARGEST = 10**9  # of any count, and of any dimension of a sample
COLUMNS = 1000  # of a history
CELLS = 2_000_000  # of a history
# Fitted attributes that not every fit sets.
OPTIONAL = {
    "feature_names_in_",
    "selected_epoch_",
    "precision_",  # of models saved by earlier versions there is none
    "guarded_",
    "erasure_mean_",
    "erasure_matrix_",
    "frame_mean_",
    "frame_basis_",
    "frame_erasure_mean_",
    "frame_erasure_matrix_",
}


def _count(low: int, high: int = LARGEST) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, Integral) and not isinstance(v, bool) and low <= int(v) <= high


def _numbers(v: Any, ndim: int | None = None) -> bool:
    """Finite numbers: an array, or one of them."""
    if not isinstance(v, np.ndarray | Real) or isinstance(v, bool):
        return False
    x = np.asarray(v)
    good = x.dtype.kind in "iuf" and (ndim is None or x.ndim == ndim)
    return bool(good and np.isfinite(x).all())


def _spread(v: Any) -> bool:
    return _numbers(v) and bool((np.asarray(v) > 0).all())


def _labels(v: Any) -> bool:
    """Different labels in one dimension."""
    if not isinstance(v, np.ndarray) or v.ndim != 1:
        return False
    values = v.tolist()
    return len(values) < LARGEST and len(set(values)) == len(values)


def _shape(v: Any) -> bool:
    good = _count(1)
    return isinstance(v, list | tuple) and 1 <= len(v) <= 3 and all(good(n) for n in v)


def _strings(v: Any) -> bool:
    return isinstance(v, np.ndarray) and v.ndim == 1 and all(isinstance(s, str) for s in v.tolist())


# What each fitted attribute is, in words, and whether a value is that.
FITTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "input_shape_": ("one to three sizes of at least 1", _shape),
    "pixels_": (f"one of {list(PIXELS)}", lambda v: isinstance(v, str) and v in PIXELS),
    "n_features_in_": ("an integer of at least 1", _count(1)),
    "feature_names_in_": ("names", _strings),
    "n_iter_": ("an integer of at least 0", _count(0)),
    "selected_epoch_": ("an integer of at least 1", _count(1)),
    "precision_": (
        "'fp32' or 'bf16'",
        lambda v: isinstance(v, str) and v in ("fp32", "bf16"),
    ),
    "seed_": ("an integer from 0 to 2**63 - 1", _count(0, 2**63 - 1)),
    "classes_": ("different labels", _labels),
    "domains_": ("different labels", _labels),
    "guarded_": ("True or False", lambda v: isinstance(v, bool)),
    "speakers_": ("different labels", _labels),
    "n_source_domains_": ("an integer of at least 1", _count(1)),
    "y_mean_": ("finite numbers", _numbers),
    "y_scale_": ("finite numbers above 0", _spread),
    "low_": ("finite numbers", _numbers),
    "span_": ("finite numbers above 0", _spread),
    "dtype_": (
        "'uint8', 'float32' or 'float64'",
        lambda v: isinstance(v, str) and v in ("uint8", "float32", "float64"),
    ),
    "reconstruction_ratio_": ("a number", lambda v: isinstance(v, float)),
    "kind_": ("'audio' or 'frames'", lambda v: isinstance(v, str) and v in ("audio", "frames")),
    "mean_": ("a vector of finite numbers", lambda v: _numbers(v, 1)),
    "std_": ("a vector of finite numbers above 0", lambda v: _numbers(v, 1) and _spread(v)),
    "erasure_mean_": ("a vector of finite numbers", lambda v: _numbers(v, 1)),
    "erasure_matrix_": ("a matrix of finite numbers", lambda v: _numbers(v, 2)),
    "frame_mean_": ("a vector of finite numbers", lambda v: _numbers(v, 1)),
    "frame_basis_": ("a matrix of finite numbers", lambda v: _numbers(v, 2)),
    "frame_erasure_mean_": ("a vector of finite numbers", lambda v: _numbers(v, 1)),
    "frame_erasure_matrix_": ("a matrix of finite numbers", lambda v: _numbers(v, 2)),
}


def check_entries(header: Mapping[str, Any]) -> None:
    """Raise a ValueError unless a header has its entries, each of its type."""
    kinds: dict[str, type] = {"class": str, "params": dict, "code": list, "fitted": dict}
    for name, kind in {**kinds, "history": list}.items():
        if name not in header:
            raise ValueError(f"its header has no {name!r}")
        if not isinstance(header[name], kind):
            raise ValueError(f"its header must hold a {kind.__name__} in {name!r}")
    if not all(isinstance(name, str) for name in header["code"]):
        raise ValueError("its header must hold names in 'code'")
    _check_history(header["history"])


def _check_history(history: list[Any]) -> None:
    if not all(isinstance(row, dict) for row in history):
        raise ValueError("its header must hold rows in 'history'")
    columns = {name for row in history for name in row}
    if len(columns) > COLUMNS or len(columns) * len(history) > CELLS:
        raise ValueError(
            f"its header has a history of {len(history)} rows of {len(columns)} columns: more than "
            f"{CELLS} cells, or {COLUMNS} columns"
        )


def check_fitted(fitted: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise a ValueError unless there are these fitted attributes and no others, each in range."""
    known = set(known)
    # Of speech, kept by its kind, there may be a table or none.
    optional = OPTIONAL | ({"pixels_", "n_features_in_"} if "kind_" in known else set())
    if unknown := set(fitted) - known:
        raise ValueError(f"it has unknown fitted attributes {sorted(unknown)}")
    if missing := known - set(fitted) - optional:
        raise ValueError(f"it lacks the fitted attributes {sorted(missing)}")
    for name, value in fitted.items():
        words, good = FITTED[name]
        if not good(value):
            raise ValueError(f"its {name} must be {words}, not {shown(value)}")
