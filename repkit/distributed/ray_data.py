"""Internal. Datasets of Ray Data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repkit._optional import need
from repkit.distributed.batches import Batches


def mapped(
    data: Any,
    given: tuple[Any, ...],
    batch_size: int,
    workers: int | None,
    options: Mapping[str, Any],
) -> Any:
    """Map a dataset, its order kept. Each worker makes `Batches` once.

    Parameters
    ----------
    data : ray.data.Dataset
    given : tuple
        What `Batches` is made of.
    batch_size : int
        Samples at a time.
    workers : int or None
        None: Ray chooses.
    options : mapping
        More for ``map_batches``.

    Returns
    -------
    ray.data.Dataset
    """
    ray_data = need("ray.data", "ray")
    schema = data.schema(fetch_if_missing=False)
    if schema is not None:
        Batches(*given).kept(list(schema.names), paths=True)  # whether the columns are there
    pool = {} if workers is None else {"size": workers}
    result = data.map_batches(
        Batches,
        fn_constructor_args=given,
        batch_size=batch_size,
        batch_format="numpy",
        compute=ray_data.ActorPoolStrategy(**pool),
        **options,
    )
    result.context.execution_options.preserve_order = True
    return result
