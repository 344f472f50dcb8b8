"""Internal. Rows of large arrays, and pairs of them, walked in blocks on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from repkit import _arguments
from repkit.metrics._arrays import as_numpy, batch_size_of

if TYPE_CHECKING:
    import torch


def cost_blocks(
    reference: Any,
    query: Any,
    size: int,
    device: torch.device,
    dtype: torch.dtype,
    *,
    cosine: bool = False,
    names: tuple[str, str] = ("real", "generated"),
) -> Iterator[tuple[slice, slice, torch.Tensor, torch.Tensor]]:
    """Walk all pairs of rows in blocks of at most `size` by `size`.

    Yields
    ------
    columns, rows : slice
        The reference rows and the query rows of the block.
    cost : Tensor of shape (n_rows, n_columns)
        |q-r|^2 / 2 - |q|^2 / 2, or minus the cosine. It may be changed in place.
    half : Tensor of shape (n_rows,)
        |q|^2 / 2, which completes the squared distance.
    """
    import torch

    center = None
    for r in range(0, len(reference), size):
        columns = slice(r, r + size)
        R = load_rows(reference, columns, device, dtype)
        if not cosine:
            # |q-r|^2 is computed from products, which lose digits far from the origin. Distances
            # do not change under a shift and any shift near the data will do.
            if center is None:
                center = R.mean(dim=0)
                squared_norms(center[None], center[None], slice(0, 1), names[0])
            R -= center
        norm = squared_norms(R, reference, columns, names[0])
        if cosine:
            R /= norm.sqrt().clamp_min(torch.finfo(dtype).tiny)[:, None]
        offset = torch.zeros_like(norm) if cosine else norm / 2
        for q in range(0, len(query), size):
            rows = slice(q, q + size)
            Q = load_rows(query, rows, device, dtype)
            if center is not None:
                Q -= center
            norm = squared_norms(Q, query, rows, names[1])
            if cosine:
                Q /= norm.sqrt().clamp_min(torch.finfo(dtype).tiny)[:, None]
            yield columns, rows, torch.addmm(offset, Q, R.T, alpha=-1), norm / 2


def dtype_for(arrays: Sequence[Any], device: Any) -> torch.dtype:
    """Give double precision only where the caller has it and the device knows it."""
    import torch

    double = _arguments.device(device).type != "mps" and any(_is_double(X) for X in arrays)
    return torch.float64 if double else torch.float32


def block_rows(width: int, n_neighbors: int, itemsize: int, batch_bytes: int) -> int:
    """Give the number of rows of a block that keeps one step within `batch_bytes`.

    A step of s x s rows holds s^2 costs, up to two copies of both blocks of rows (4 s width) and
    the candidates with their 8-byte indices, old and merged (at most 12 s n_neighbors).
    """
    budget, b = batch_size_of(batch_bytes) // itemsize, 2 * width + 6 * n_neighbors
    size = isqrt(b * b + budget) - b  # root of s^2 + 2 b s = budget
    if size < 1:
        raise ValueError(
            f"batch_bytes must be at least {(2 * b + 1) * itemsize} for one row of "
            f"{width} features and {n_neighbors} neighbors, not {batch_bytes}"
        )
    return size


def checked_rows(X: Any, name: str) -> tuple[Any, int]:
    """Check the shape of `X` without reading it, so that a memmap stays on disk."""
    tensor = hasattr(X, "detach") and str(X.layout) == "torch.strided"
    plain = isinstance(X, np.ndarray) and not np.ma.isMaskedArray(X)
    X = X if tensor or plain else as_numpy(X, name)
    real = not X.is_complex() if tensor else X.dtype.kind in "fiub"
    if not real:
        raise ValueError(f"{name} must hold real numbers, not dtype {X.dtype}: encode or cast it")
    width = int(np.prod(X.shape[1:]))
    if X.ndim < 2 or len(X) == 0 or width == 0:
        raise ValueError(
            f"{name} must have shape (n_samples, n_features), both at least 1, not {tuple(X.shape)}"
        )
    return X, width


def _is_double(X: Any) -> bool:
    if isinstance(X, np.ndarray):
        return np.result_type(X.dtype, np.float32) == np.float64
    return str(X.dtype) in ("torch.float64", "torch.int64", "torch.int32")


def load_rows(X: Any, rows: slice, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Copy some rows to the device: always a copy, for it is changed in place afterwards."""
    import torch

    part = X[rows]
    if isinstance(part, np.ndarray):
        part = torch.from_numpy(np.array(part, dtype=str(dtype).removeprefix("torch.")))
        part = part.to(device)
    else:
        part = part.detach().to(device, dtype, copy=True)
    return part.reshape(len(part), -1)


def squared_norms(block: torch.Tensor, X: Any, rows: slice, name: str) -> torch.Tensor:
    """Give |x|^2 of each row; it is finite only if the row is, which makes the check cheap."""
    norm = block.square().sum(dim=1)
    if not norm.isfinite().all():
        row = rows.start + int((~norm.isfinite()).nonzero()[0])
        if np.isfinite(as_numpy(X[row])).all():
            raise ValueError(
                f"{name} is too large to square in {block.dtype} (row {row}): scale it or pass "
                "float64"
            )
        raise ValueError(
            f"{name} contains NaN or infinity (first in row {row}): drop or impute those rows"
        )
    return norm
