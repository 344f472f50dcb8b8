"""Internal. DATA larger than memory: written to a file one block after the other, and mapped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from repkit.cli.commands import say
from repkit.cli.progress import Samples
from repkit.cli.sources import Arrays, Pictures, Source, Table

LARGE = 2**28  # bytes of samples, from which on they are not held in memory


def is_large(sources: Sequence[Source]) -> bool:
    """Whether samples are better mapped from a file than held in memory.

    Those of a single .npy file are mapped already; a .npz file, an embedded set and frames of sound
    are held in memory whatever their size.
    """
    if len(sources) == 1 and isinstance(sources[0], Arrays):
        return False
    able = all(isinstance(source, Table | Pictures | Arrays) for source in sources)
    return able and sum(source.n_bytes() for source in sources) > LARGE


def poured(
    sources: Sequence[Source], path: Path
) -> tuple[np.memmap, list[np.ndarray | None], list[int]]:
    """The samples of all sources in a file, the labels of each, and how many each has."""
    from repkit.datasets._mapped import RowWriter

    labels: list[np.ndarray | None] = []
    counts = []
    pictures = [source for source in sources if isinstance(source, Pictures)]
    if any(source.color is None for source in pictures):
        colored = any(source.colored() for source in pictures)
        for source in pictures:
            source.color = colored
    with RowWriter(path) as writer:
        for source in sources:
            kept: list[int] = []
            place = 0
            with Samples(f"reading {source.given}", None) as shown:
                for block in source.blocks(0, None):
                    if len(block.ids):
                        _append(writer, block.X, sources, source)
                    left_out = {name for name, _ in block.skipped}
                    kept += _places(source, block.ids, place, left_out)
                    place += len(block.ids) + len(block.skipped)
                    source.skipped += block.skipped
                    shown.set(place)
            y = None if source.wanted.lenient else source.labels(source.wanted.label)
            labels.append(None if y is None else y[kept])
            counts.append(len(kept))
            if not kept:
                raise ValueError(f"{source.given} has no sample that can be used")
    say(f"{writer.n} samples are mapped from {path}, {path.stat().st_size / 1e9:.1f} GB")
    return writer.mapped(), labels, counts


def _append(writer: Any, X: Any, sources: Sequence[Source], source: Source) -> None:
    if hasattr(X, "columns"):
        tables = [one for one in sources if isinstance(one, Table)]
        X = X.to_numpy(dtype=np.result_type(*(t.file.float_type(t.names) for t in tables)))
    if writer.shape is not None and (X.dtype == np.uint8) != (writer.dtype == np.uint8):
        raise click.UsageError(
            f"{source.given} holds {X.dtype} and {sources[0].given} {writer.dtype}: bytes and "
            "other numbers do not go together"
        )
    try:
        writer.append(X)
    except ValueError as error:
        hint = "; give --size" if isinstance(source, Pictures) else ""
        raise click.UsageError(f"{source.given}: {error}{hint}") from error


def _places(source: Source, ids: list[Any], first: int, left_out: set[Any]) -> list[int]:
    """Which samples of a source those of a block are."""
    if source.id_name == "index":
        return [int(k) for k in ids]
    # Paths: those left out have their place in the order, too.
    assert isinstance(source, Pictures)
    names = (source.name_of(k) for k in range(first, first + len(ids) + len(left_out)))
    return [k for k, name in enumerate(names, first) if name not in left_out]
