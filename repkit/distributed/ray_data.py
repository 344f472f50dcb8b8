"""Internal. Datasets of Ray Data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from repkit._optional import need
from repkit.distributed.batches import Batches


class Worker:
    """One of Ray's: it keeps what it was made with.

    Parameters
    ----------
    batches : Batches
        With the estimator.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Give the columns of the result.

        Parameters
        ----------
        batch : dict of str to ndarray

        Returns
        -------
        dict of str to ndarray
        """
        return self.batches(batch)


def mapped(
    data: Any, batches: Batches, batch_size: int, workers: int | None, options: Mapping[str, Any]
) -> Any:
    """Map a dataset, its order kept.

    Parameters
    ----------
    data : ray.data.Dataset
    batches : Batches
        With the estimator.
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
        batches.kept(list(schema.names), paths=True)  # whether the columns are there
    pool = {} if workers is None else {"size": workers}
    result = data.map_batches(
        Worker,
        fn_constructor_args=(batches,),
        batch_size=batch_size,
        batch_format="numpy",
        compute=ray_data.ActorPoolStrategy(**pool),
        **options,
    )
    result.context.execution_options.preserve_order = True
    return result
