"""A Parquet file, and a folder of images, that are larger than the memory that is taken for them.

A file is made, then another process loads it with ``memory_map=``, fits a `VAE` and transforms all
rows. "GB at most" is that process's memory at its highest, libraries included, and "extra GB" how
far that is above what it had when everything was imported; pages of the memory map that are
resident count too. The codes themselves are part of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.runner import Case

COLUMNS = 1000
ROWS = {"quick": 20_000, "cpu": 1_000_000, "paper": 5_000_000}
IMAGES = {"quick": 200, "cpu": 80_000, "paper": 400_000}
SIDE = 64
BLOCK = 20_000

CHILD = """
import json, re, sys, time
import numpy as np, pandas, pyarrow.parquet, torch
from sklearn.utils import validation
from repkit import VAE
from repkit.datasets import load_image_folder, load_table
kind, source, mapped, device = sys.argv[1:]
def highest():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1e6
model = VAE(latent_dim=4, width=32, encoder="mlp", generator="mlp", batch_size=64,
            max_epochs=2, steps_per_epoch=100, device=device, random_state=0)
model.fit(np.random.default_rng(0).normal(size=(200, 8)))  # what a first fit imports
before, started = highest(), time.perf_counter()
load = load_table if kind == "parquet" else load_image_folder
X = load(source, memory_map=mapped).data
loaded = time.perf_counter()
model.fit(X)
fitted = time.perf_counter()
codes = model.transform(X)
assert codes.shape == (len(X), 4)
print(json.dumps({"GB at most": highest(), "extra GB": highest() - before,
                  "s to load": loaded - started, "s to fit": fitted - loaded,
                  "s to transform": time.perf_counter() - fitted}))
"""


def make_parquet(path: Path, rows: int) -> float:
    """Normal numbers in float32 columns, in row groups; the file's gigabytes."""
    import pyarrow
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    names = [f"c{k}" for k in range(COLUMNS)]
    schema = pyarrow.schema([(name, pyarrow.float32()) for name in names])
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for first in range(0, rows, BLOCK):
            block = rng.random((COLUMNS, min(BLOCK, rows - first)), dtype=np.float32)
            writer.write_table(pyarrow.table(dict(zip(names, block, strict=True)), schema))
    return path.stat().st_size / 1e9


def make_images(folder: Path, n: int) -> float:
    """Noise in color; the gigabytes of the images as bytes."""
    from PIL import Image

    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(n):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:06}.bmp")
    return n * SIDE * SIDE * 3 / 1e9


def run(kind: str, n: int, device: str) -> dict[str, float]:
    """Figures of a file of so many rows, or of a folder of so many images."""
    with tempfile.TemporaryDirectory() as name:
        source, mapped = Path(name) / f"source.{kind}", Path(name) / "rows.npy"
        started = time.perf_counter()
        size = make_parquet(source, n) if kind == "parquet" else make_images(source, n)
        made = time.perf_counter() - started
        done = subprocess.run(
            [sys.executable, "-c", CHILD, kind, str(source), str(mapped), device],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return {"GB": size, **json.loads(done.stdout.splitlines()[-1]), "s to make": made}


def cases(preset: str, device: str) -> list[Case]:
    """Both kinds, once."""
    return [
        Case(
            f"{n} rows of {COLUMNS} float32 columns" if kind == "parquet" else f"{n} images",
            "VAE",
            kind,
            lambda seed, k=kind, n=n: run(k, n, device),
            seeds=1,
        )
        for kind, n in (("parquet", ROWS[preset]), ("folder", IMAGES[preset]))
    ]
