"""Internal. Arrays and DataFrames of Dask."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit._optional import need
from repkit.distributed.batches import ERROR, Batches


def mapped(data: Any, batches: Batches) -> Any:
    """Map a collection, chunk by chunk or partition by partition.

    Parameters
    ----------
    data : dask.array.Array or dask.dataframe.DataFrame
    batches : Batches
        With the estimator.

    Returns
    -------
    dask.array.Array or dask.dataframe.DataFrame
    """
    # One task holds the estimator; each worker fetches it once.
    held = need("dask", "dask").delayed(batches, pure=True)
    return _array(data, batches, held) if hasattr(data, "chunks") else _table(data, batches, held)


def _array(data: Any, batches: Batches, held: Any) -> Any:
    if batches.single or (batches.columns and not hasattr(batches.model, "feature_names_in_")):
        raise ValueError("columns must not be given: an array has none")
    if any(len(sizes) > 1 for sizes in data.chunks[1:]):
        data = data.rechunk(dict.fromkeys(range(1, data.ndim), -1))
    of = batches.example
    return data.map_blocks(
        _block,
        held,
        dtype=of.dtype,
        drop_axis=list(range(1, data.ndim)),
        **({} if of.ndim == 1 else {"new_axis": 1}),
        chunks=(data.chunks[0], *((size,) for size in of.shape[1:])),
        meta=np.empty((0,) * of.ndim, of.dtype),
    )


def _block(block: np.ndarray, batches: Batches) -> np.ndarray:
    return batches.of_array(block)


def _table(data: Any, batches: Batches, held: Any) -> Any:
    pandas = need("pandas", "dask")
    head = data._meta
    there = [str(name) for name in head.columns]
    paths = batches.single is not None and str(head.dtypes[batches.single]) in (
        "object", "string", "str",
    )  # fmt: skip
    meta = head[batches.kept(there, paths)].copy()
    for name in batches.names:
        meta[name] = pandas.Series([], dtype=batches.example.dtype, index=head.index)
    if batches.skip:
        meta[ERROR] = pandas.Series([], dtype=object, index=head.index)
    return data.map_partitions(_partition, held, list(meta.columns), meta=meta)


def _partition(table: Any, batches: Batches, columns: list[str]) -> Any:
    import pandas

    found = batches({name: table[name].to_numpy() for name in table.columns})
    kept = table[[name for name in columns if name in table.columns]]
    new = {name: found[name] for name in columns if name not in table.columns}
    return pandas.concat([kept, pandas.DataFrame(new, index=table.index)], axis=1)
