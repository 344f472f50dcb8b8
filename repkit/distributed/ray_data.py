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

    The pool has one worker at first. Ray adds others while CPUs are left for the tasks that read,
    split and write. A pool of fixed size takes its CPUs before all else: as many workers as CPUs
    would wait for ever for blocks that no CPU is left to read. On a cluster of a single CPU a
    worker asks for none, for the same reason.

    Parameters
    ----------
    data : ray.data.Dataset
    given : tuple
        What `Batches` is made of.
    batch_size : int
        Samples at a time.
    workers : int or None
        At most so many. None: Ray chooses.
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
    if need("ray", "ray").cluster_resources().get("CPU") == 1:
        options = {"num_cpus": 0, **options}
    result = data.map_batches(
        Batches,
        fn_constructor_args=given,
        batch_size=batch_size,
        batch_format="numpy",
        compute=ray_data.ActorPoolStrategy(min_size=1, max_size=workers),
        **options,
    )
    result.context.execution_options.preserve_order = True
    return result
