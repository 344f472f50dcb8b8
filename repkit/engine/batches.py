"""Internal. Batches that are addressed by one integer, over data that lives on the device."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from repkit.engine.ranks import here
from repkit.engine.rng import Kind, seed_of


class Batch(SimpleNamespace):
    """What one step sees: a tensor per name, plus the engine's noise and schedules."""


def to_float(x: Tensor) -> Tensor:
    """float32; uint8 images (3 or more dimensions) are scaled from 0..255 to [0, 1]."""
    if x.dtype == torch.uint8 and x.ndim > 2:
        return x.float().div_(255.0)
    return x.float()


# Bytes of a memory map that may stay in memory, about: of rows anywhere, and of rows in order.
TOUCHED = 2**28
READ = 2**25
PAGES = 2**21  # bytes that come in when a row is touched, at most: a huge page of the file


def let_go(X: Any) -> None:
    """Let what was read of a memory map go out of memory; the file has it, and reading goes on."""
    held = getattr(X, "_mmap", None)
    # A private map ("c") would lose what was written to it.
    if held is not None and getattr(X, "mode", "c") != "c" and hasattr(mmap, "MADV_DONTNEED"):
        held.madvise(mmap.MADV_DONTNEED)


def _count(X: np.memmap, most: int, least: int = 1) -> int:
    """How many rows, each of at least so many bytes, bring in no more than ``most``."""
    return max(1, most // max(least, X.nbytes // max(1, len(X))))


def rows_of(X: Any, rows: np.ndarray) -> Any:
    """Rows of an array, a sparse table or a memory map, of which nothing stays in memory."""
    if not isinstance(X, np.memmap):
        return X[rows]
    step = _count(X, TOUCHED, PAGES)
    found = np.empty((len(rows), *X.shape[1:]), X.dtype)
    for start in range(0, len(rows), step):
        found[start : start + step] = X[rows[start : start + step]]
        let_go(X)
    return found


def passes(X: Any) -> Iterator[Any]:
    """Blocks of the rows of an array, in order; of a memory map, one is in memory at a time."""
    if not isinstance(X, np.memmap):
        yield X
        return
    step = _count(X, READ)
    for start in range(0, len(X), step):
        yield X[start : start + step]
        let_go(X)


@dataclass(frozen=True)
class HostRows:
    """Rows that stay where they are, on the disk or sparse, until a batch needs them.

    Parameters
    ----------
    source : memory map, array or sparse table
        With one row a sample.
    convert : callable
        ``rows of the source -> array`` of float32 or uint8.
    """

    source: Any
    convert: Callable[[Any], np.ndarray]
    _since: list[int] = field(default_factory=lambda: [0], compare=False, repr=False)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """These rows, as an array."""
        if isinstance(self.source, np.memmap):
            self._since[0] += len(rows)
            if self._since[0] < _count(self.source, TOUCHED, PAGES):
                return self.convert(np.asarray(self.source[rows]))
            self._since[0] = 0
        return self.convert(rows_of(self.source, rows))


Store = Tensor | HostRows
PINNED = 2**26  # bytes of a batch, at most, that is sent from pinned memory


def sent(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device; the host does not wait until it is there.

    A GPU can take it while the host goes on only if it lies in pinned memory, which is scarce: a
    whole data set, which is sent once, does without.
    """
    if device.type == "cuda" and x.numel() * x.element_size() <= PINNED:
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


def to_device(x: np.ndarray, device: torch.device) -> Tensor:
    """A copy of ``x`` on the device: uint8 and int64 as they are, all else as float32."""
    keep = x.dtype if x.dtype in (np.uint8, np.int64) else np.dtype(np.float32)
    # A copy, never from_numpy of the caller's memory: read-only arrays, and no aliasing.
    tensor = torch.from_numpy(np.array(x, dtype=keep, order="C", copy=True))
    if tensor.ndim == 4 and tensor.shape[1] == 1:
        # The channels are last already, but for what the strides say.
        tensor = tensor[:, 0, :, :, None].permute(0, 3, 1, 2)
    elif tensor.ndim == 4:
        tensor = tensor.to(memory_format=torch.channels_last)
    return sent(tensor, device)


def take(store: Tensor, rows: Tensor) -> Tensor:
    """The given rows of a tensor."""
    if store.ndim == 4:
        # The permuted view is contiguous, so its rows are copied whole; permuted back, the
        # result is channels_last without a conversion.
        return store.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
    return store.index_select(0, rows)


class BatchSource(Protocol):
    """What the engine asks of batches: `Batches`, or others that depend on the step alone.

    In two parts: `fill` is recorded with the step. A tensor that `draw` gives is the same one at
    every step, or is made for this one: the next may be written to its place.
    """

    device: torch.device
    size: int  # rows of a batch, at most, those of all processes together
    own: Tensor | None  # places in it of this process's rows, if there are others
    steps_per_epoch: int

    def draw(self, step: int) -> Batch:
        """What the batch of a step is made of, as the host chooses it."""

    def fill(self, batch: Batch) -> None:
        """Make the rest of it on the device, by the same operations at every step."""

    def at(self, step: int) -> Batch:
        """Make the batch of a step.

        Parameters
        ----------
        step : int
            Number of the step, from 0.

        Returns
        -------
        Batch
            All of it, on the device, in memory of its own.
        """
        batch = self.draw(step)
        self.fill(batch)
        kept = {k: x.clone() if isinstance(x, Tensor) else x for k, x in vars(batch).items()}
        return Batch(**kept)

    def digest(self) -> int:
        """A number that other data hardly have: processes that train together compare it."""


LOOKED_AT = 64  # rows of each store for a digest


def digest(stores: Iterable[Store], n: int) -> int:
    """See `BatchSource`: of some of the n rows of each store."""
    rows, found = np.linspace(0, n - 1, LOOKED_AT).astype(np.int64), zlib.crc32(str(n).encode())
    for store in stores:
        if isinstance(store, HostRows):
            some = store.take(rows)
        else:
            some = store[torch.from_numpy(rows).to(store.device)].cpu().numpy()
        found = zlib.crc32(np.asarray(some).tobytes(), found)
    return found


class Batches(BatchSource):
    """Rows of every step, derived from ``(seed, step)`` alone.

    Each stream is a set of rows and how many of them a batch holds; it is walked through in a
    fresh random order again and again, whatever the other streams do. A batch is the streams'
    rows one after the other, so its layout is the same at every step.

    Parameters
    ----------
    stores : mapping of str to Tensor or HostRows
        One row a sample; each batch has their rows under the same names.
    streams : sequence of (rows, count)
        Indices of the stream's rows, and the number of them in every batch.
    seed : int
        Two objects with the same seed give the same batches.
    device : torch.device
        Where batches are made.
    steps_per_epoch : int, optional
        Default: the steps after which every row of every stream has been drawn at least once.
    constants : mapping of str to Tensor, optional
        What is the same in every batch.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        streams: Sequence[tuple[np.ndarray, int]],
        *,
        seed: int,
        device: torch.device,
        steps_per_epoch: int | None = None,
        constants: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.stores = dict(stores)
        self._host_stores = {k: x for k, x in stores.items() if isinstance(x, HostRows)}
        self.streams = [(torch.as_tensor(rows, dtype=torch.int64), n) for rows, n in streams]
        self.seed = seed
        self.device = device
        counts, ranks = [count for _, count in self.streams], here()
        self.size = sum(counts)
        self.own = None if ranks.world == 1 else ranks.places(counts)
        self.steps_per_epoch = steps_per_epoch or max(
            -(-len(rows) // count) for rows, count in self.streams
        )
        self.constants = {k: v.to(device) for k, v in (constants or {}).items()}
        self._epoch = -1
        self._table = torch.empty(0)
        self._host_table = np.empty(0)
        n = self.size if self.own is None else len(self.own)
        self._rows = torch.empty(n, dtype=torch.int64, device=device)
        # No operation of torch, of which each takes longer than numpy for a row.
        self._on_host = self._rows.numpy() if device.type == "cpu" else None
        self._reader: ThreadPoolExecutor | None = None
        self._ahead: dict[str, tuple[int, Future[np.ndarray]]] = {}

    def _order(self, stream: int, first: int, last: int) -> Tensor:
        """Places ``first`` to ``last`` of the stream's endless sequence of permutations."""
        rows, _ = self.streams[stream]
        n = len(rows)
        parts = []
        for turn in range(first // n, (last - 1) // n + 1):
            generator = torch.Generator().manual_seed(
                seed_of(self.seed, Kind.ROW_ORDER, stream, turn)
            )
            parts.append(torch.randperm(n, generator=generator))
        start = first - (first // n) * n
        return rows[torch.cat(parts)[start : start + last - first]]

    def rows(self, step: int) -> Tensor:
        """Draw the rows of a step.

        Parameters
        ----------
        step : int
            Number of the step, from 0.

        Returns
        -------
        int64 Tensor of shape (size,)
            Indices into the stores, on the device.
        """
        place = self._place(step)
        return self._table[place]

    def _place(self, step: int) -> int:
        """Where in the tables a step is; they are those of its epoch."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            steps = self.steps_per_epoch
            columns = [
                self._order(k, epoch * steps * count, (epoch + 1) * steps * count).view(-1, count)
                for k, (_, count) in enumerate(self.streams)
            ]
            table = torch.cat(columns, 1)
            if self.own is not None:
                table = table[:, self.own]
            self._host_table, self._table = table.numpy(), sent(table, self.device)
            self._epoch = epoch
        return place

    def draw(self, step: int) -> Batch:
        """Choose the rows of a step, and read those that the host has.

        Parameters
        ----------
        step : int
            Number of the step, from 0.

        Returns
        -------
        Batch
            The constants, ``rows``, and rows of the host's stores by name, on the device.
        """
        place = self._place(step)
        if self._on_host is None:
            self._rows.copy_(self._table[place])
        else:
            self._on_host[:] = self._host_table[place]
        read = {name: self._read(name, store, step) for name, store in self._host_stores.items()}
        return Batch(rows=self._rows, **read, **self.constants)

    def fill(self, batch: Batch) -> None:
        """Take the rows of the device's stores.

        Parameters
        ----------
        batch : Batch
            What `draw` gave; gets the rows by name.
        """
        for name, store in self.stores.items():
            if not isinstance(store, HostRows):
                setattr(batch, name, take(store, batch.rows))

    def digest(self) -> int:
        """Give a number that other data hardly have: processes that train together compare it.

        Returns
        -------
        int
            Of the number of rows, and of some of them.
        """
        return digest(self.stores.values(), max(int(rows.max()) for rows, _ in self.streams) + 1)

    def _read(self, name: str, store: HostRows, step: int) -> Tensor:
        """Rows from the host; those of the next step of the epoch are read meanwhile."""
        place = step % self.steps_per_epoch
        ahead = self._ahead.pop(name, None)
        if ahead is not None and ahead[0] == step:
            found = ahead[1].result()
        else:
            found = store.take(self._host_table[place])
        if place + 1 < self.steps_per_epoch:
            self._reader = self._reader or ThreadPoolExecutor(1, "repkit-rows")
            then = self._reader.submit(store.take, self._host_table[place + 1])
            self._ahead[name] = step + 1, then
        return to_device(found, self.device)
