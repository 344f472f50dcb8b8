"""ABX discrimination: is X closer to A, of its own category, than to B, of another?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from repkit import _arguments
from repkit._random import check_seed, generator
from repkit.metrics._arrays import as_numpy, batch_size_of, label_vector
from repkit.metrics.speaker._dtw import Sequences
from repkit.metrics.speaker._frames import are_frames
from repkit.metrics.speaker._pairs import unit_rows

if TYPE_CHECKING:
    import torch


def abx_error(
    items: Any,
    categories: Any,
    speakers: Any = None,
    *,
    mode: str = "within",
    max_items: int | None = None,
    random_state: Any = 0,
    return_cells: bool = False,
    device: Any = "auto",
    batch_bytes: int = 2**28,
) -> dict[str, Any]:
    r"""Compute the ABX error over all triplets, averaged as in the ZeroSpeech challenges.

    A and X are of category a, B of category b. A triplet counts 1 if X is further from A than from
    B, and 1/2 if it is as far (Schatz et al., Interspeech 2013). All triplets of a cell share a, b,
    the speaker of A and B, and the speaker of X. Cells are averaged over speakers for each ordered
    (a, b), and then over these.

    Parameters
    ----------
    items : array of shape (n, d), or sequence of n arrays of shape (T_i, d)
        One vector for each item, compared by cosine; or the frames of each item, compared by the
        mean angular distance along the path of dynamic time warping.
    categories : array of shape (n,)
        Word or phone of each item.
    speakers : array of shape (n,), optional
        Speaker of each item. Default: one speaker for all.
    mode : {"within", "across"}, default="within"
        "within": A, B and X are of one speaker. "across": A and B are of one speaker and X of
        another, so that the error is low if the word outweighs the voice.
    max_items : int, optional
        Most items of each speaker and category, drawn at random. ZeroSpeech draws 10, anew for each
        cell. Default: all.
    random_state : int, RandomState, Generator or None, default=0
        Draws the items if `max_items` is given.
    return_cells : bool, default=False
        Whether to return the cells, too.
    device : str or torch.device, default="auto"
        Where to compute distances. "auto" takes the first there is of cuda, mps and cpu.
    batch_bytes : int, default=2**28
        Memory besides a copy of the items, in bytes.

    Returns
    -------
    scores : dict of str to number
        ``error`` (0 is perfect, 0.5 is chance), ``n_triplets`` and ``n_cells``. With `return_cells`
        also ``cells``, a DataFrame with a row for each cell: ``category_a``, ``category_b``,
        ``speaker`` (of A and B), ``speaker_x``, ``error`` and ``n_triplets``.

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, the mode is unknown, "across" comes without
        speakers, or there is no triplet at all.

    Notes
    -----
    Distances closer than 1e-12 (1e-6 in single precision) count as equal.

    Examples
    --------
    >>> scores = abx_error([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], ["a", "a", "b"])
    >>> scores["error"], scores["n_triplets"]
    (0.0, 2)
    """
    _arguments.choice(mode, "mode", ("within", "across"))
    if max_items is not None:
        _arguments.integer(max_items, "max_items", otherwise=", or None for all")
    check_seed(random_state)
    return_cells = _arguments.choice(return_cells, "return_cells", (False, True))
    batch_bytes = batch_size_of(batch_bytes)
    source = _source(items, _arguments.device(device), batch_bytes // 2)
    n = len(source)
    labels = label_vector(categories, "categories", n, "items")
    names, category = np.unique(labels, return_inverse=True)
    if speakers is None and mode == "across":
        raise ValueError(
            "speakers must name the speaker of each item with mode='across', not be None"
        )
    given = np.zeros(n, dtype=int) if speakers is None else speakers
    people, speaker = np.unique(label_vector(given, "speakers", n, "items"), return_inverse=True)
    rows = _draw(category, speaker, max_items, random_state)
    groups = [rows[speaker[rows] == s] for s in range(len(people))]

    total, count = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)), int)
    n_triplets, tables = 0, []
    for cells in _cells(source, category, groups, mode, batch_bytes // 2):
        total[cells.a, cells.b] += cells.error
        count[cells.a, cells.b] += 1
        n_triplets += int(cells.n_triplets.sum())
        if return_cells:
            tables.append(cells)
    if n_triplets == 0:
        wanted = (
            "two items of one category and one of another, all of one speaker"
            if mode == "within"
            else "items of two categories by one speaker, and of one of these by another"
        )
        raise ValueError(f"there is no triplet with mode={mode!r}: pass {wanted}")
    some = count > 0
    scores: dict[str, Any] = {
        "error": float(np.mean(total[some] / count[some])),
        "n_triplets": n_triplets,
        "n_cells": int(count.sum()),
    }
    if return_cells:
        scores["cells"] = _table(tables, names, people)
    return scores


class _Cells(NamedTuple):
    """Cells of one speaker of A and B and one of X: category codes, errors and triplets (m,)."""

    a: np.ndarray
    b: np.ndarray
    speaker: int
    speaker_x: int
    error: np.ndarray
    n_triplets: np.ndarray


class _Vectors:
    """Pooled vectors; as far apart as their cosine is small."""

    def __init__(self, items: Any, device: torch.device) -> None:
        self.unit = unit_rows(items, "items", device)

    def __len__(self) -> int:
        return len(self.unit)

    def distances(self, rows: np.ndarray, columns: np.ndarray) -> torch.Tensor:
        import torch

        r, c = (torch.from_numpy(v).to(self.unit.device) for v in (rows, columns))
        rounding = 2.0**-20 if self.unit.dtype == torch.float32 else 2.0**-40
        return (self.unit[r] @ self.unit[c].T).div_(-rounding).round_()


def _source(items: Any, device: torch.device, batch_bytes: int) -> _Vectors | Sequences:
    if not isinstance(items, list | tuple):
        items = as_numpy(items, "items")
    if getattr(items, "ndim", 1) and not len(items):
        raise ValueError("items must not be empty: check the split that made it")
    if are_frames(items, "items"):
        return Sequences(items, "items", device, batch_bytes)
    return _Vectors(items, device)


def _draw(
    category: np.ndarray, speaker: np.ndarray, max_items: int | None, random_state: Any
) -> np.ndarray:
    """Give the items (m,) that take part: at most `max_items` of a speaker and category."""
    import pandas as pd

    if max_items is None:
        return np.arange(len(category))
    table = pd.DataFrame({"category": category, "speaker": speaker})
    shuffled = table.iloc[generator(random_state).permutation(len(table))]
    taken = shuffled.groupby(["category", "speaker"]).head(max_items)
    return np.sort(taken.index.to_numpy())


def _cells(
    source: _Vectors | Sequences,
    category: np.ndarray,
    groups: list[np.ndarray],
    mode: str,
    batch_bytes: int,
) -> Iterator[_Cells]:
    people = range(len(groups))
    pairs = permutations(people, 2) if mode == "across" else ((s, s) for s in people)
    for s, t in pairs:
        same = s == t
        local, code = np.unique(category[groups[s]], return_inverse=True)
        n_a = np.bincount(code) - same
        # items of X that have an A
        X = groups[t][np.isin(category[groups[t]], local[n_a > 0])]
        if len(X) == 0 or len(local) < 2:
            continue
        code_x = np.searchsorted(local, category[X])
        errors = _errors(source, groups[s], code, X, code_x, same, batch_bytes)
        n_x = np.bincount(code_x, minlength=len(local))
        triplets = (n_x * n_a)[:, None] * np.bincount(code)
        a, b = np.nonzero((triplets > 0) & ~np.eye(len(local), dtype=bool))
        yield _Cells(local[a], local[b], s, t, errors[a, b] / triplets[a, b], triplets[a, b])


def _errors(
    source: _Vectors | Sequences,
    pool: np.ndarray,
    code: np.ndarray,
    X: np.ndarray,
    code_x: np.ndarray,
    same: bool,
    batch_bytes: int,
) -> np.ndarray:
    """Count the wrong triplets (k, k) of categories a and b, ties as halves.

    `pool` (n,) are the items A and B are taken from, `X` (m,) the others; `code` and `code_x`
    their categories from 0 to k - 1.
    """
    import torch

    k, sizes = code.max() + 1, np.bincount(code)
    # where in the pool the items of each category are, and nowhere (-1) after the last of them
    place = np.full((k, sizes.max()), -1)
    by_code = np.argsort(code, kind="stable")
    first = np.cumsum(sizes) - sizes
    place[code[by_code], np.arange(len(pool)) - first[code[by_code]]] = by_code
    # distances, two counts of 8 bytes and their mean; the candidates for A and their order
    row_bytes = 40 * len(pool) + 32 * (place.shape[1] + k)
    step = max(1, batch_bytes // row_bytes)
    errors = np.zeros((k, k))
    for start in range(0, len(X), step):
        rows = slice(start, start + step)
        D = source.distances(X[rows], pool)
        where = place[code_x[rows]]
        gone = where < 0
        if same:
            gone |= pool[where] == X[rows, None]
        near = D.gather(1, torch.from_numpy(np.maximum(where, 0)).to(D.device))
        # what is no A is never further than a B
        near = near.masked_fill_(torch.from_numpy(gone).to(D.device), -torch.inf).sort(dim=1)[0]
        not_further = torch.searchsorted(near, D, right=True)
        not_further += torch.searchsorted(near, D)
        wrong = near.shape[1] - not_further.to(D.dtype) / 2
        columns = torch.from_numpy(code).to(D.device)
        by_b = wrong.new_zeros(len(wrong), k).index_add_(1, columns, wrong).cpu().double().numpy()
        np.add.at(errors, code_x[rows], by_b)
    return errors


def _table(tables: list[_Cells], names: np.ndarray, people: np.ndarray) -> Any:
    import pandas as pd

    parts = [
        pd.DataFrame(
            {
                "category_a": names[cells.a],
                "category_b": names[cells.b],
                "speaker": people[cells.speaker],
                "speaker_x": people[cells.speaker_x],
                "error": cells.error,
                "n_triplets": cells.n_triplets,
            }
        )
        for cells in tables
    ]
    return pd.concat(parts, ignore_index=True)
