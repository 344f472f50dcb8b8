"""Exact nearest neighbors on the device, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit.metrics._arrays import resolve_device
from repkit.metrics._blocks import block_rows, checked_rows, cost_blocks, dtype_for


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

    References and queries are walked in blocks and the best `n_neighbors` so far are kept, so that
    the full matrix of distances never exists: besides the inputs and the result, about
    `batch_bytes` are in use whatever the sizes.

    Parameters
    ----------
    X_reference : array or tensor of shape (n_reference, ...)
        Rows searched. A memmap is read block by block. Samples are flattened.
    X_query : array or tensor of shape (n_query, ...)
        Rows whose neighbors are wanted.
    n_neighbors : int, default=1
        How many neighbors, at most n_reference.
    metric : {"euclidean", "cosine"}, default="euclidean"
        Cosine treats a row of zeros as orthogonal to everything, as scikit-learn does.
    device : str or torch.device, default="auto"
        Where the distances are computed; "auto" takes cuda, mps or cpu, the first there is.
    batch_bytes : int, default=2**28
        Memory for the blocks.

    Returns
    -------
    index : ndarray of shape (n_query, n_neighbors)
        Rows of `X_reference`, nearest first. The order among equal distances is not specified.

    Raises
    ------
    ValueError
        On empty, ragged or not finite input, different widths, an unknown metric, `n_neighbors`
        out of range, or `batch_bytes` too small for a single row.
    """
    import torch

    reference, width = checked_rows(X_reference, "X_reference")
    query, query_width = checked_rows(X_query, "X_query")
    if width != query_width:
        raise ValueError(
            f"X_reference has {width} features but X_query has {query_width}: "
            "both must come from the same representation"
        )
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f"metric must be 'euclidean' or 'cosine', not {metric!r}")
    if not 1 <= n_neighbors <= len(reference):
        raise ValueError(
            f"n_neighbors must be from 1 to {len(reference)}, the number of reference "
            f"rows, not {n_neighbors}"
        )
    where, dtype = resolve_device(device), dtype_for((reference, query), device)
    size = block_rows(width, n_neighbors, dtype.itemsize, batch_bytes)
    best = torch.full((len(query), n_neighbors), torch.inf, dtype=dtype, device=where)
    index = torch.zeros((len(query), n_neighbors), dtype=torch.int64, device=where)
    blocks = cost_blocks(reference, query, size, where, dtype, cosine=metric == "cosine")
    for columns, rows, cost, _ in blocks:
        # |q|^2 / 2 is not in the cost and does not change the order
        value, column = cost.topk(min(n_neighbors, cost.shape[1]), largest=False)
        value = torch.cat([best[rows], value], dim=1)
        column = torch.cat([index[rows], column + columns.start], dim=1)
        best[rows], kept = value.topk(n_neighbors, largest=False)
        index[rows] = column.gather(1, kept)
    return index.cpu().numpy()
