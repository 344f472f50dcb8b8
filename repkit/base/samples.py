"""Internal. Whatever holds samples, as one array with a known meaning of its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import assert_all_finite
from torch import Tensor

from repkit.engine.batches import passes

PIXELS = ("bytes", "unit", "raw")  # 0..255 to be divided by 255; in [0, 1]; as they are
SOME = 1000  # images by which their scale is told
CHANNELS = (1, 3, 4)  # of an image whose channels may have come last


def as_samples(X: Any) -> Any:
    """One array (or data frame, or sparse table) of what a user gives, values untouched.

    Parameters
    ----------
    X : array-like
        An array, memory map, tensor, data frame or sparse table; a list of arrays, of tensors or of
        PIL images of one shape.

    Returns
    -------
    array-like
        What scikit-learn's validation takes. bfloat16 and float16 tensors are float32.

    Raises
    ------
    TypeError
        If it is a data set or a loader of torch.
    ValueError
        If samples differ in shape, or an image has a mode that is not gray or RGB.
    """
    refuse_dataset(X)
    if isinstance(X, Tensor):
        return _of_tensor(X)
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError("X must not be masked; fill or drop what its mask hides")
    if _is_image(X):
        raise ValueError("X must hold samples, not be one image; give a list of images")
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1 and len(X):
        X = list(X) if _is_sample(X[0]) else X
    if isinstance(X, list | tuple) and len(X) and _is_sample(X[0]):
        return _stacked(X)
    if isinstance(X, list | tuple):
        X = np.asarray(X)
    kind = getattr(getattr(X, "dtype", None), "kind", "")
    if isinstance(X, np.ndarray) and kind in "USmM":
        # Text and dates would be read as numbers where they can be.
        raise ValueError(
            f"X must hold numbers, not {'text' if kind in 'US' else 'dates'} (dtype {X.dtype}): "
            "could not convert string to float; encode it first"
        )
    return X


def refuse_dataset(X: Any) -> None:
    """Raise a TypeError if it is a data set or a loader of torch."""
    if isinstance(X, torch.utils.data.Dataset | torch.utils.data.DataLoader):
        raise TypeError(
            f"X must be one array of samples, not a {type(X).__name__}, whose items can be "
            "anything; give repkit.datasets.gather_samples(X).data"
        )


def _is_image(x: Any) -> bool:
    """Whether it is an image of the package PIL."""
    return type(x).__module__.startswith("PIL.") and hasattr(x, "getbands")


def _is_sample(x: Any) -> bool:
    return _is_image(x) or (isinstance(x, Tensor | np.ndarray) and x.ndim > 0)


def _of_tensor(x: Tensor) -> np.ndarray:
    x = x.detach().cpu()
    if x.is_sparse or x.layout != torch.strided:
        x = x.to_dense()
    if x.dtype in (torch.bfloat16, torch.float16):
        x = x.float()
    array: np.ndarray = x.resolve_conj().resolve_neg().numpy()
    return array


def _of_image(x: Any) -> np.ndarray:
    if x.mode not in ("L", "RGB"):
        raise ValueError(
            f"X has an image of mode {x.mode!r}; call image.convert('RGB') or convert('L') first"
        )
    array = np.asarray(x)
    return array if x.mode == "L" else array.transpose(2, 0, 1)


def _stacked(X: Any) -> np.ndarray:
    samples: list[np.ndarray] = []
    for k, x in enumerate(X):
        if _is_image(x):
            x = _of_image(x)
        elif isinstance(x, Tensor):
            x = _of_tensor(x)
        x = np.asarray(x)
        if samples and x.shape != samples[0].shape:
            raise ValueError(
                f"X must hold samples of one shape, but X[0] has {samples[0].shape} and X[{k}] has "
                f"{x.shape}"
            )
        samples.append(x)
    return np.stack(samples)


def check_range(rows: np.ndarray) -> np.ndarray:
    """Rows as they were given, or a ValueError if float32 cannot hold them."""
    if rows.dtype == np.float32 and not np.isfinite(rows).all():
        raise ValueError(
            "X has values beyond what float32 holds, or far beyond those that fit saw; scale it"
        )
    return rows


def check_layout(X: Any) -> None:
    """Raise a ValueError if an array is not of samples, or looks like images, channels last."""
    if X.ndim > 4:
        raise ValueError(
            f"X has {X.ndim} dimensions; give (n, features), (n, height, width) or "
            "(n, channels, height, width)"
        )
    if 0 in X.shape:
        raise ValueError(f"X has an empty dimension: its shape is {X.shape}")
    if X.ndim == 4 and X.shape[3] in CHANNELS and min(X.shape[1:3]) > 4:
        raise ValueError(
            f"X has shape {X.shape}, which looks like images with their channels last; give "
            "(n, channels, height, width): X.transpose(0, 3, 1, 2)"
        )


def pixels_of(X: Any) -> str:
    """What the numbers of the images that `fit` is given mean: one of ``PIXELS``."""
    if X.ndim < 3:
        return "raw"
    if X.dtype == np.uint8:
        return "bytes"
    return "unit" if _is_unit(X) else "raw"


def _is_unit(X: Any) -> bool:
    """Whether all numbers lie in [0, 1]."""
    low, high = extremes(X)
    return float(low.min()) >= 0.0 and float(high.max()) <= 1.0


def check_finite(X: Any) -> None:
    """Raise a ValueError, scikit-learn's, if a memory map has a number that is not finite."""
    for block in passes(X):
        assert_all_finite(block, input_name="X")


def with_meaning(X: Any, pixels: str) -> Any:
    """Images given after `fit`, their numbers as those of `fit` were meant.

    Raises
    ------
    ValueError
        If ``fit`` saw bytes and these are floats beyond [0, 1], or ``fit`` saw floats in [0, 1] and
        these are far from that.
    """
    if X.ndim < 3:
        return X
    if pixels == "bytes" and X.dtype != np.uint8 and len(X) and not _is_unit(X):
        low, high = (float(values.min()) for values in extremes(X))
        raise ValueError(
            f"X has floats from {low:g} to {high:g}, but fit saw bytes "
            "(uint8, 0 to 255); give bytes, or floats in [0, 1]"
        )
    if pixels == "unit" and X.dtype != np.uint8 and len(X):
        low, high = (float(value) for value in extremes(X[:SOME]))
        if low < -1.0 or high > 2.0:
            raise ValueError(
                f"X has numbers from {low:g} to {high:g}, but fit saw numbers in [0, 1]; divide "
                "those of bytes by 255, or give them as uint8"
            )
    return X


def worked_type(X: Any) -> np.dtype:
    """The type in which rows of X are worked with: float32, float64, or the bytes of images.

    What has at most 11 bits is exact in float32; other integers are float64, lest an offset drown
    their differences before it is taken out.
    """
    if X.dtype == np.uint8 and X.ndim > 2:
        return np.dtype(np.uint8)
    small = X.dtype in (np.float32, np.float16, np.uint8, np.int8)
    return np.dtype(np.float32 if small else np.float64)


def dense(rows: Any, pixels: str) -> np.ndarray:
    """Rows of a table or of images as an array of the type in which they are worked with."""
    array: np.ndarray = rows.toarray() if sparse.issparse(rows) else np.asarray(rows)
    kind = worked_type(array)
    # Bytes are numbers like any others where `fit` saw floats as they are.
    kind = np.dtype(np.float32) if kind == np.uint8 and pixels == "raw" else kind
    return array.astype(kind, copy=False)


def extremes(X: Any) -> tuple[np.ndarray, np.ndarray]:
    """The least and greatest value of each column of a table, of all values of images."""
    if sparse.issparse(X):
        return X.min(0).toarray().ravel(), X.max(0).toarray().ravel()
    found = [
        (x.min(0), x.max(0)) if X.ndim == 2 else (np.asarray(x.min()), np.asarray(x.max()))
        for x in passes(X)
    ]
    if len(found) == 1:
        return found[0]
    lows, highs = zip(*found, strict=True)
    return np.min(lows, axis=0), np.max(highs, axis=0)
