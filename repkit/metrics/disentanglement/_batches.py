"""Internal. Batches with one factor held fixed: rows of given arrays, or codes made on demand."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from repkit._arguments import function
from repkit.metrics._arrays import as_numpy, feature_matrix
from repkit.metrics.disentanglement._checks import code_table, factor_table

# Rows of codes gathered at a time: enough to amortize a call, few enough for the cache.
_ROWS = 2**14
MOST_IN_BATCH = 10**4  # rows


class Batches(Protocol):
    """Where the batches of one factor come from."""

    n_factors: int

    def same_value(self, j: int, count: int, size: int) -> Iterator[np.ndarray]:
        """Yield codes (m, size, d), m adding up to `count`: each batch shares factor j's value."""

    def pairs(self, j: int, count: int, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield two arrays of codes (m, size, d): each *pair* of rows shares factor j's value."""


def batches(
    codes: Any, factors: Any, encode: Callable[[np.ndarray], Any] | None, rng: np.random.Generator
) -> tuple[np.ndarray, Batches]:
    """Check the arguments of a score and give the codes (n, d) and the source of its batches."""
    function(encode, "encode", "factors -> codes")
    table = code_table(codes, min_codes=1, min_rows=2)
    classes = factor_table(factors, len(table), min_factors=2)
    if encode is None:
        return table, _Rows(table, classes, rng)
    values = [np.unique(column) for column in as_numpy(factors, "factors").T]
    return table, _Fresh(encode, values, table.shape[1], rng)


class _Rows:
    """Batches among the rows of codes (n, d) whose factors (n, k) are classes from 0."""

    def __init__(self, codes: np.ndarray, factors: np.ndarray, rng: np.random.Generator) -> None:
        self.codes, self.factors, self.rng = codes, factors, rng
        self.n_factors = factors.shape[1]
        # Rows sorted by each factor: those of one class are next to each other.
        self.order = factors.argsort(axis=0, kind="stable")
        self.sizes = [np.bincount(column) for column in factors.T]

    def same_value(self, j: int, count: int, size: int) -> Iterator[np.ndarray]:
        if self.sizes[j].min() < size:
            warnings.warn(
                f"factors[:, {j}] has a value with only {self.sizes[j].min()} rows, so that "
                f"batches of {size} draw rows with replacement: pass more rows, or encode",
                stacklevel=4,
            )
        # the value of a random row: frequent values come more often
        value = self.factors[self.rng.integers(len(self.codes), size=count), j]
        groups = np.split(self.order[:, j], np.cumsum(self.sizes[j])[:-1])
        rows = np.empty((count, size), dtype=np.int64)
        for v in np.unique(value):
            chosen = value == v
            rows[chosen] = _subsets(groups[v], int(chosen.sum()), size, self.rng)
        for start, stop in _blocks(count, size):
            yield self.codes[rows[start:stop]]

    def pairs(self, j: int, count: int, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        first = np.cumsum(self.sizes[j]) - self.sizes[j]
        for start, stop in _blocks(count, size):
            # places in the sorted order: the second is another one of the first's class, if any
            place = self.rng.integers(len(self.codes), size=(stop - start, size))
            value = self.factors[self.order[place, j], j]
            others = np.maximum(self.sizes[j][value] - 1, 1)
            step = 1 + self.rng.integers(others)
            partner = first[value] + (place - first[value] + step) % self.sizes[j][value]
            yield self.codes[self.order[place, j]], self.codes[self.order[partner, j]]


class _Fresh:
    """Batches of freshly drawn factors, uniform and independent, turned into codes by `encode`."""

    def __init__(
        self,
        encode: Callable[[np.ndarray], Any],
        values: list[np.ndarray],
        width: int,
        rng: np.random.Generator,
    ) -> None:
        self.encode, self.values, self.width, self.rng = encode, values, width, rng
        self.n_factors = len(values)

    def same_value(self, j: int, count: int, size: int) -> Iterator[np.ndarray]:
        for start, stop in _blocks(count, size):
            factors = self._draw(stop - start, size)
            factors[:, :, j] = factors[:, :1, j]
            yield self._codes(factors)

    def pairs(self, j: int, count: int, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start, stop in _blocks(count, size):
            one, two = self._draw(stop - start, size), self._draw(stop - start, size)
            two[:, :, j] = one[:, :, j]
            yield self._codes(one), self._codes(two)

    def _draw(self, count: int, size: int) -> np.ndarray:
        return np.stack([self.rng.choice(v, size=(count, size)) for v in self.values], axis=-1)

    def _codes(self, factors: np.ndarray) -> np.ndarray:
        rows = factors.reshape(-1, self.n_factors)
        codes = feature_matrix(self.encode(rows), "encode(factors)").astype(np.float64)
        if codes.shape != (len(rows), self.width):
            raise ValueError(
                f"encode must give the shape {(len(rows), self.width)}, as wide as codes, for "
                f"{len(rows)} rows of factors, not {codes.shape}"
            )
        return codes.reshape(*factors.shape[:2], self.width)


def _subsets(group: np.ndarray, count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `count` random subsets of `size` rows of a group, or multisets of a smaller group."""
    per_pass = len(group) // size
    if per_pass == 0:
        return rng.choice(group, size=(count, size))
    # consecutive pieces of a random order: each is a random subset, at the cost of its length
    passes = -(-count // per_pass)
    orders = rng.permuted(np.tile(group, (passes, 1)), axis=1)
    return orders[:, : per_pass * size].reshape(-1, size)[:count]


def _blocks(count: int, size: int) -> Iterator[tuple[int, int]]:
    step = max(1, _ROWS // size)
    for start in range(0, count, step):
        yield start, min(start + step, count)


def factor_of_each(n: int, n_factors: int, rng: np.random.Generator) -> np.ndarray:
    """Draw which factor is fixed in each of n batches, uniformly: how often (k,) each is."""
    return np.bincount(rng.integers(n_factors, size=n), minlength=n_factors)
