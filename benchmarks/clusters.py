"""Features of a folder of Parquet files: one process, plain processes, Dask and Ray.

``python -m benchmarks.clusters`` prints how many rows a second each reads, transforms and writes.
Each job is done for few files, to start what stays, then timed for few and for many: the rate is
that of the files between. One process is timed again between the others, as a machine may be
shared. Ray starts workers for each job.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import repkit
from repkit.distributed import transform

COLUMNS = [f"x{k}" for k in range(256)]
ROWS = 5_000  # of a file
FEW = 4  # files of the short job

Job = Callable[[Path, Path], None]  # reads a folder and writes another


def alone(model: Any, source: Path, out: Path, part: slice = slice(None)) -> None:
    """One process, file by file."""
    import pandas

    names = model.get_feature_names_out()
    for file in sorted(source.iterdir())[part]:
        table = pandas.read_parquet(file)
        found = pandas.DataFrame(model.transform(table[COLUMNS]), columns=names)
        found.assign(id=table["id"]).to_parquet(out / file.name)


@contextmanager
def processes(model: Any, workers: int) -> Iterator[Job]:
    """Plain processes, which share the files out beforehand."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:

        def job(source: Path, out: Path) -> None:
            parts = [slice(k, None, workers) for k in range(workers)]
            list(pool.map(partial(alone, model, source, out), parts))

        yield job


@contextmanager
def dask(model: Any, workers: int) -> Iterator[Job]:
    """A cluster of processes of one thread."""
    import dask.dataframe
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        yield lambda source, out: transform(
            dask.dataframe.read_parquet(source, split_row_groups=False), model
        ).to_parquet(out)


@contextmanager
def ray(model: Any, workers: int, **options: float) -> Iterator[Job]:
    """A cluster of as many CPUs as workers."""
    import ray

    os.environ.update(RAY_worker_niceness="0")  # that of the others
    ray.init(num_cpus=workers, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False

    def job(source: Path, out: Path) -> None:
        data = ray.data.read_parquet(str(source))
        transform(data, model, workers=workers, **options).write_parquet(str(out))

    yield job
    ray.shutdown()


def seconds(job: Job, source: Path) -> tuple[int, float]:
    """How many files a job has, and what it takes; all rows must be written."""
    import pyarrow.dataset

    files = len(list(source.iterdir()))
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        job(source, Path(out))
        taken = time.perf_counter() - started
        written = pyarrow.dataset.dataset(out, format="parquet").count_rows()
    if written != ROWS * files:
        raise RuntimeError(f"{written} rows were written, not {ROWS * files}")
    return files, taken


def show(name: str, job: Job, few: Path, many: Path) -> None:
    """Print the rate, and what a job takes beside it."""
    seconds(job, few)
    (n, short), (m, long) = seconds(job, few), seconds(job, many)
    each = (long - short) / (m - n)
    print(
        f"{name:<28}{ROWS / each:8.0f} rows/s; {short:6.1f} s for {n} files, {long:6.1f} s for {m}",
        flush=True,
    )


def written(folder: Path, files: int) -> Path:
    """A folder of tables."""
    import pandas

    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(files):
        values = rng.random((ROWS, len(COLUMNS)), dtype=np.float32)
        table = pandas.DataFrame(values, columns=COLUMNS)
        table.assign(id=np.arange(ROWS)).to_parquet(folder / f"{number:03}.parquet")
    return folder


def main() -> None:
    """Time all of them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=40)
    options.add_argument("--workers", type=int, default=2)
    given = options.parse_args()
    warnings.simplefilter("ignore")
    import pandas
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        few, many = written(Path(folder) / "few", FEW), written(Path(folder) / "many", given.files)
        table = pandas.read_parquet(few / "000.parquet")
        model = repkit.VAE(
            latent_dim=16, width=2048, max_epochs=1, steps_per_epoch=5, device="cpu", random_state=0
        ).fit(table[COLUMNS])
        one = partial(alone, model)
        show("one process", one, few, many)
        with processes(model, given.workers) as job:
            show("plain processes", job, few, many)
        with dask(model, given.workers) as job:
            show("Dask", job, few, many)
        show("one process", one, few, many)
        with ray(model, given.workers) as job:
            show("Ray", job, few, many)
        with ray(model, given.workers, num_cpus=0.5) as job:
            show("Ray, half a CPU a worker", job, few, many)
        show("one process", one, few, many)


if __name__ == "__main__":
    main()
