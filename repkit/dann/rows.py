"""Internal. Which rows are source and which target, and the labels that may be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from repkit._arguments import named
from repkit.base.labels import as_label_array, as_plain, check_count, missing, read_labels
from repkit.engine.rng import Kind, generator_of


@dataclass(frozen=True)
class Domains:
    """Domain ids in their order, sources first, and each row's place among them."""

    ids: np.ndarray
    rows: np.ndarray  # (n,) index into ids
    n_source: int  # domains, not rows

    def of(self, domain: int) -> np.ndarray:
        """Indices of a domain's rows."""
        return np.flatnonzero(self.rows == domain)

    @property
    def source(self) -> np.ndarray:
        return np.flatnonzero(self.rows < self.n_source)

    @property
    def target(self) -> np.ndarray:
        return np.flatnonzero(self.rows >= self.n_source)

    @property
    def signed(self) -> np.ndarray:
        """Each row's id as scorers want it: at least 0 for a source, below 0 for a target."""
        return signed_ids(self.ids, self.n_source)[self.rows]


def signed_ids(ids: np.ndarray, n_source: int) -> np.ndarray:
    """Give ids whose sign tells sources from targets: those of the domains, or stand-ins.

    No stand-in is the id of another domain, so that both can be told apart where either is given.
    """
    if ids.dtype.kind != "i":
        first = 0
    elif (ids[:n_source] >= 0).all() and (ids[n_source:] < 0).all():
        return ids
    else:
        first = int(np.abs(ids).max()) + 1
    return np.concatenate(
        [first + np.arange(n_source), -1 - first - np.arange(len(ids) - n_source)]
    )


def check_domains(sample_domain: Any, n: int, source: Any = None) -> Domains:
    """Validated ``sample_domain``; None is one source.

    Parameters
    ----------
    sample_domain : array-like of shape (n,) or None
        Integers, or names if ``source`` is given.
    n : int
        Rows of X.
    source : scalar or list, optional
        The domains that are sources. By default, integers of at least 0.

    Returns
    -------
    Domains

    Raises
    ------
    ValueError
        If it is not one domain a row, has no source, or has fewer than two rows of a domain.
    """
    if sample_domain is None:
        if source is not None:
            raise ValueError(f"source={source!r} needs sample_domain, the domain of each row")
        return Domains(np.array([0]), np.zeros(n, dtype=np.int64), 1)
    array = as_domain_ids(sample_domain, n, names=source is not None)
    values, place, counts = np.unique(array, return_inverse=True, return_counts=True)
    if source is None:
        is_source = values >= 0
        # Sources first; targets by their distance from 0, so that -1 is the first.
        order = np.concatenate([np.flatnonzero(is_source), np.flatnonzero(~is_source)[::-1]])
    else:
        with named("source", "a domain, or a list of domains"):
            wanted = np.atleast_1d(np.asarray(source))
        unknown = [name for name in wanted.tolist() if name not in values.tolist()]
        if unknown:
            raise ValueError(
                f"source has {unknown}, which sample_domain does not have; it has {values.tolist()}"
            )
        if not len(wanted):
            raise ValueError("source must name at least one domain of sample_domain, not none")
        is_source = np.isin(values, wanted)
        order = np.concatenate([np.flatnonzero(is_source), np.flatnonzero(~is_source)])
    if not is_source.any():
        raise ValueError(
            "sample_domain has target rows (< 0) only; training needs labeled source rows (>= 0); "
            "in a cross-validation, shuffle, so that every fold has both"
        )
    if counts.min() < 2:
        raise ValueError(
            f"sample_domain has 1 row of the domain {values.tolist()[counts.argmin()]!r}; each "
            "domain needs at least 2"
        )
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return Domains(values[order], rank[place], int(is_source.sum()))


def as_domain_ids(sample_domain: Any, n: int, *, names: bool) -> np.ndarray:
    """``sample_domain`` as ``(n,)`` integers or names, or a ValueError that says what is wrong."""
    with named("sample_domain", "integers or names of domains, one for each row"):
        array = np.asarray(sample_domain)
    if array.shape != (n,):
        raise ValueError(
            f"sample_domain must have one domain for each of the {n} rows of X; its shape is "
            f"{array.shape}"
        )
    if array.dtype.kind == "O" and all(isinstance(v, str) for v in array):
        array = array.astype(str)
    if array.dtype.kind == "U":
        if names:
            return array
        raise ValueError(
            "sample_domain has names; say which of them are sources: fit(X, y, "
            f"sample_domain=..., source={str(array[0])!r}), or a list of names"
        )
    if array.dtype.kind == "b" and not names:
        raise ValueError(
            "sample_domain has truth values, which do not say what the target is; for a mask "
            "of the target give np.where(mask, -1, 0)"
        )
    whole = array.dtype.kind in "iub" or (
        array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.rint(array)).all()
    )
    if not whole:
        raise ValueError(
            "sample_domain must hold integers, >= 0 for a source domain and < 0 for a target "
            "domain, or names together with source"
        )
    return array.astype(np.int64)


def check_labels(
    y: Any, domains: Domains, *, target_labels: bool, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Classes, and each row's class index; -1 for every label that must not be read.

    The target part of ``y`` is only touched with ``target_labels``.

    Raises
    ------
    ValueError
        If ``y`` is missing, not a class each, has a single class among the source rows, or labels
        a target row with a class that no source row has.
    """
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None")
    with named("y", "labels, one for each row"):
        y = as_plain(y)
        _num_samples(y)
    n, source, target = len(domains.rows), domains.source, domains.target
    check_count(y, n, "y")
    labels = read_labels(_safe_indexing(y, source), len(source))
    if not labels.known.all():
        raise ValueError(
            f"y has no label at {(~labels.known).sum()} source rows (-1, None or NaN), the first "
            f"of them row {source[~labels.known][0]}; every source row needs one; a class that is "
            "called -1 beside classes other than 1 needs another name"
        )
    classes = labels.classes
    codes = np.full(n, -1, dtype=np.int64)
    codes[source] = labels.codes
    if len(classes) < 2:
        raise ValueError(
            f"{name} needs source rows of at least 2 classes in y; the data contains only one "
            f"class: {classes.tolist()[0]!r}"
        )
    if target_labels and len(target):
        codes[target] = _places(_safe_indexing(y, target), classes, target)
    return classes, codes


def _places(y: Any, classes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The class index of labels at target rows, -1 for missing ones."""
    values = as_label_array(y, "y")
    place = {label: k for k, label in enumerate(classes.tolist())}
    codes = np.full(len(values), -1, dtype=np.int64)
    # Source labels say whether -1 is a class.
    gone = missing(values, minus_one=-1 not in place)
    for k in np.flatnonzero(~gone):
        label = values[k].item() if isinstance(values[k], np.generic) else values[k]
        if label not in place:
            raise ValueError(
                f"y has the label {label!r} at the target row {rows[k]}, which no source row has; "
                "mark a target row without a label by -1, None or NaN"
            )
        codes[k] = place[label]
    return codes


def hold_back(codes: np.ndarray, domains: Domains, fraction: float, seed: int) -> np.ndarray:
    """A random part of the source rows, to be kept out of training.

    Parameters
    ----------
    codes : ndarray of int of shape (n,)
        Class of each row.
    domains : Domains
        Of the rows.
    fraction : float
        Share of the source rows of each class, in each domain. One row of every class, and two of
        every domain, always stay.
    seed : int
        Of the choice.

    Returns
    -------
    ndarray of int
        Sorted places.
    """
    rng = generator_of(seed, Kind.HELD_BACK)
    chosen: list[np.ndarray] = []
    for domain in range(domains.n_source):
        rows = domains.of(domain)
        own: list[np.ndarray] = []
        for label in np.unique(codes[rows]):
            members = rng.permutation(rows[codes[rows] == label])
            own.append(members[: min(round(fraction * len(members)), len(members) - 1)])
        held = np.concatenate(own)
        chosen.append(rng.permutation(held)[: max(len(rows) - 2, 0)])
    return np.sort(np.concatenate(chosen))


def batch_parts(
    codes: np.ndarray, domains: Domains, batch_size: int
) -> tuple[list[tuple[np.ndarray, int]], list[tuple[int, int]], int]:
    """How a batch is put together: ``batch_size`` labeled rows, then as many target rows.

    Each side is shared equally by its domains; the labeled rows of a target, if any may be read,
    are a part of their own, so that few of them are seen as often as the source.

    Returns
    -------
    streams : list of (rows, count)
    layout : list of (count, domain)
    labeled : int
        Rows of the labeled side.
    """
    rows_of = [domains.of(k) for k in range(len(domains.ids))]
    labeled = [(rows[codes[rows] >= 0], k) for k, rows in enumerate(rows_of)]
    labeled = [(rows, k) for rows, k in labeled if len(rows)]
    target = [(rows, k) for k, rows in enumerate(rows_of) if k >= domains.n_source]
    parts = [
        (rows, max(1, batch_size // len(side)), k) for side in (labeled, target) for rows, k in side
    ]
    return (
        [(rows, count) for rows, count, _ in parts],
        [(count, k) for _, count, k in parts],
        sum(count for _, count, _ in parts[: len(labeled)]),
    )
