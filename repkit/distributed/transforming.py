"""`transform`: what a fitted estimator gives of a dataset of Ray Data or a collection of Dask."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from sklearn.utils.validation import check_is_fitted

from repkit._arguments import choice, integer, shown
from repkit.base.estimator import Estimator
from repkit.distributed.batches import METHODS, Batches
from repkit.loading import load

__all__ = ["transform"]


def transform(
    data: Any,
    model: Any,
    *,
    method: str = "transform",
    columns: str | Sequence[str] | None = None,
    on_error: str = "raise",
    device: str = "auto",
    batch_size: int = 1024,
    workers: int | None = None,
    **options: Any,
) -> Any:
    """Give what a fitted estimator makes of each sample, wherever the samples are.

    Nothing is computed until the result is asked for. The order of the samples stays. Each worker
    gets the estimator once; work of a worker that dies is done again by another.

    Parameters
    ----------
    data : ray.data.Dataset, dask.array.Array or dask.dataframe.DataFrame
        The samples. In a dataset of Ray and in a DataFrame they are rows of a table, or stand in
        one column, as arrays or as paths of files: of sound for a `SpeechAutoencoder`, else of
        images, which are resized to what the estimator was fitted on. Of a path, each worker must
        see the file. An array holds one sample along its first axis.
    model : fitted estimator or path
        One of repkit's, or the file that its ``save`` wrote, which is read here, not by the
        workers.
    method : {"transform", "predict", "predict_proba"}, default="transform"
        What to ask of the estimator.
    columns : str or sequence of str, optional
        Where the samples are: one name for a column that holds whole samples, several for the
        columns of a table. By default, those that the estimator was fitted on, if it knows their
        names, else all. An array has none.
    on_error : {"raise", "skip"}, default="raise"
        Whether a sample that cannot be used (a torn file, say, or a row with NaN) ends all work, or
        has NaN in the result and its reason in the column "error". An array has no such column.
    device : str, default="auto"
        Where each worker computes. "auto" is a GPU if the worker has one, else the CPU.
    batch_size : int, default=1024
        Samples that a worker of Ray computes at a time. Dask's are those of a partition or a chunk.
    workers : int, optional
        Most workers of Ray at a time, each with a copy of the estimator. There is one at first, and
        Ray adds others as long as samples wait and CPUs are left for the tasks that read and write.
        By default Ray chooses how many.
    **options
        More for Ray's ``map_batches``, such as ``num_gpus=1`` or ``num_cpus=4``, which each worker
        asks for. By default it asks for one CPU and no GPU; on a cluster of a single CPU for none,
        which leaves that CPU to the tasks that read and write.

    Returns
    -------
    ray.data.Dataset, dask.array.Array or dask.dataframe.DataFrame
        Of a table, the columns that hold no samples (paths stay), then a column for each feature,
        as `get_feature_names_out` names it, "prediction" (of several numbers "prediction0" and
        on), or ``proba_`` and each class. Of an
        array, an array of shape (n, d), or (n,) of predictions. Features and probabilities are
        float32.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If `data` is of another kind, or an option is none of Ray's.
    ValueError
        If the estimator has no such method, or a column is missing.

    Examples
    --------
    Words of a million recordings, with one GPU a worker:

    >>> import ray  # doctest: +SKIP
    >>> from repkit.distributed import transform
    >>> files = ray.data.read_parquet("recordings.parquet")  # doctest: +SKIP
    >>> vectors = transform(
    ...     files, "speech.safetensors", columns="path", on_error="skip", workers=8, num_gpus=1
    ... )  # doctest: +SKIP
    >>> vectors.write_parquet("vectors")  # doctest: +SKIP
    """
    kind = _kind(data)
    choice(method, "method", METHODS)
    choice(on_error, "on_error", ("raise", "skip"))
    integer(batch_size, "batch_size")
    if workers is not None:
        integer(workers, "workers")
    if not isinstance(device, str):
        raise TypeError(f"device must be a name, as 'auto' or 'cuda', not {shown(device)}")
    estimator = _opened(model)
    if not hasattr(estimator, method):
        there = [name for name in METHODS if hasattr(estimator, name)]
        raise ValueError(
            f"method must be one of {there} for a {type(estimator).__name__}, not {method!r}"
        )
    given = (estimator, method, columns, on_error, device)
    if kind == "ray":
        from repkit.distributed.ray_data import mapped

        return mapped(data, given, batch_size, workers, options)
    if options or workers is not None:
        name = next(iter(options), "workers")
        raise TypeError(f"{name} is an option of Ray, but data is of Dask")
    from repkit.distributed import dask_collections

    return dask_collections.mapped(data, Batches(*given))


def _kind(data: Any) -> str:
    kind = type(data).__module__.partition(".")[0]
    if kind == "ray" and hasattr(data, "map_batches"):
        return kind
    if kind == "dask" and (hasattr(data, "map_blocks") or hasattr(data, "map_partitions")):
        return kind
    raise TypeError(
        "data must be a ray.data.Dataset, a dask.array.Array or a dask.dataframe.DataFrame, not "
        f"{shown(data)}; for an array or a table in memory, call the estimator itself"
    )


def _opened(model: Any) -> Estimator:
    if isinstance(model, str | os.PathLike):
        return load(model)
    if not isinstance(model, Estimator):
        raise TypeError(
            f"model must be a fitted estimator of repkit, or the path of one, not {shown(model)}"
        )
    check_is_fitted(model, "weights_")
    return model
