"""Exact nearest neighbors on the device, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit import _arguments
from repkit.metrics._blocks import block_rows, checked_rows, cost_blocks, dtype_for

__all__ = [
    "nearest_neighbors",
]


def nearest_neighbors(
    X_reference: Any,
    X_query: Any,
    n_neighbors: int = 1,
    *,
    metric: str = "euclidean",
    device: Any = "auto",
    batch_bytes: int = 2**28,
) -> np.ndarray:
    """Find the nearest reference rows of every query row, exactly.

    References and queries are walked in blocks and the best `n_neighbors` so far are kept. The
    full matrix of distances is never held: besides the inputs and the result, about `batch_bytes`
    of memory are in use.

    Parameters
    ----------
    X_reference : array or tensor of shape (n_reference, ...)
        Rows to search. Samples are flattened. A memmap is read block by block.
    X_query : array or tensor of shape (n_query, ...)
        Rows whose neighbors are wanted, as wide as `X_reference`.
    n_neighbors : int, default=1
        Number of neighbors, at most n_reference.
    metric : {"euclidean", "cosine"}, default="euclidean"
        Kind of distance. "cosine" takes a row of zeros as orthogonal to every row, as scikit-learn
        does.
    device : str or torch.device, default="auto"
        Where to compute distances. "auto" takes the first there is of cuda, mps and cpu.
    batch_bytes : int, default=2**28
        Memory for the blocks, in bytes.

    Returns
    -------
    index : ndarray of shape (n_query, n_neighbors)
        Rows of `X_reference`, nearest first. The order among equal distances is not specified.

    Raises
    ------
    ValueError
        If input is empty, ragged or not finite, widths differ, the metric is unknown,
        `n_neighbors` is out of range, or `batch_bytes` is too small for a single row.

    Examples
    --------
    >>> nearest_neighbors([[0.0], [5.0], [9.0]], [[6.0]], n_neighbors=2).tolist()
    [[1, 2]]
    """
    return _nearest(
        X_reference,
        X_query,
        n_neighbors,
        metric=metric,
        device=device,
        batch_bytes=batch_bytes,
        names=("X_reference", "X_query"),
    )


def _nearest(
    X_reference: Any,
    X_query: Any,
    n_neighbors: int,
    *,
    metric: str = "euclidean",
    device: Any,
    batch_bytes: int,
    names: tuple[str, str],
) -> np.ndarray:
    """Do what `nearest_neighbors` does for a function whose arguments have other names."""
    import torch

    reference, width = checked_rows(X_reference, names[0])
    query, query_width = checked_rows(X_query, names[1])
    if width != query_width:
        raise ValueError(
            f"{names[0]} has {width} features but {names[1]} has {query_width}: "
            "both must come from the same representation"
        )
    _arguments.choice(metric, "metric", ("euclidean", "cosine"))
    _arguments.integer(n_neighbors, "n_neighbors")
    if n_neighbors > len(reference):
        raise ValueError(
            f"n_neighbors must be from 1 to {len(reference)}, the number of rows of {names[0]}, "
            f"not {n_neighbors}"
        )
    where, dtype = _arguments.device(device), dtype_for((reference, query), device)
    size = block_rows(width, n_neighbors, dtype.itemsize, batch_bytes)
    best = torch.full((len(query), n_neighbors), torch.inf, dtype=dtype, device=where)
    index = torch.zeros((len(query), n_neighbors), dtype=torch.int64, device=where)
    blocks = cost_blocks(
        reference, query, size, where, dtype, cosine=metric == "cosine", names=names
    )
    for columns, rows, cost, _ in blocks:
        # |q|^2 / 2 is not in the cost and does not change the order
        value, column = cost.topk(min(n_neighbors, cost.shape[1]), largest=False)
        value = torch.cat([best[rows], value], dim=1)
        column = torch.cat([index[rows], column + columns.start], dim=1)
        best[rows], kept = value.topk(n_neighbors, largest=False)
        index[rows] = column.gather(1, kept)
        del cost  # before the next block is made
    return index.cpu().numpy()
