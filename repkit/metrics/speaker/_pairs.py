"""Internal. All pairs of vectors, ranked by cosine, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from repkit.metrics._arrays import batch_size_of, feature_matrix

if TYPE_CHECKING:
    import torch

# Rows of a block on a processor: its scores stay in the cache.
_CPU_ROWS = 512
# Cosines closer than this are equal: the same two directions give products that differ by rounding.
_ROUNDING = 2.0**-40
# Bytes that a pair takes while all pairs are sorted: scores, kinds, their order and copies.
_PAIR_BYTES = 48


def unit_rows(vectors: Any, name: str, device: torch.device, min_rows: int = 2) -> torch.Tensor:
    """Check vectors (n, d) and give them at length 1, in double precision where there is one.

    Ranks of pairs hang on the last digits, so that single precision is for mps alone. A row of
    zeros stays so: it is orthogonal to everything.
    """
    import torch

    X = torch.from_numpy(np.array(feature_matrix(vectors, name, min_rows, any_scale=True)))
    X = X.to(device, torch.float32 if device.type == "mps" else torch.float64)
    # by the greatest entry first: squares of large or tiny numbers leave the range
    X /= X.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(X.dtype).tiny)
    return X.div_(X.norm(dim=1, keepdim=True).clamp_min(torch.finfo(X.dtype).tiny))


def rank_pairs(unit: torch.Tensor, labels: Sequence[np.ndarray], batch_bytes: int) -> np.ndarray:
    """Count pairs of each kind at each cosine, the greatest first.

    While all pairs fit `batch_bytes`, cosines are told apart up to 1e-12. Beyond, they are counted
    in a histogram that fills half of it, and pairs in one bin count as ties.

    Parameters
    ----------
    unit : tensor of shape (n, d)
        Rows of length 1.
    labels : sequence of K arrays of shape (n,)
        Classes from 0. The kind of a pair has bit k set where it agrees in labels k.
    batch_bytes : int
        Memory besides `unit`.

    Returns
    -------
    counts : ndarray of shape (2**K, m), int64
        Pairs i < j of each kind, at each of the m cosines there are.
    """
    n, kinds = len(unit), 2 ** len(labels)
    n_pairs = n * (n - 1) // 2
    classes = [_device_classes(y, unit) for y in labels]
    batch_bytes = batch_size_of(batch_bytes)
    rows = _block_rows(unit, kinds, batch_bytes)
    if n_pairs * _PAIR_BYTES <= batch_bytes:
        return _sorted_counts(unit, classes, rows, kinds)
    return _histogram(unit, classes, rows, kinds, batch_bytes // (16 * kinds))


def _device_classes(y: np.ndarray, unit: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.unique(y, return_inverse=True)[1]).to(unit.device)


def _block_rows(unit: torch.Tensor, kinds: int, batch_bytes: int) -> int:
    """Give the rows of a block: about 40 bytes for each of its pairs, in half of the budget."""
    rows = int((batch_bytes / 80) ** 0.5)
    if rows < 1 or batch_bytes < 32 * kinds:
        raise ValueError(f"batch_bytes must be at least {2**16}, not {batch_bytes}")
    return min(rows, _CPU_ROWS) if unit.device.type == "cpu" else rows


def _blocks(
    unit: torch.Tensor, classes: list[torch.Tensor], size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield cosines and kinds (m,) of every pair i < j once."""
    import torch

    for i in range(0, len(unit), size):
        for j in range(i, len(unit), size):
            one, two = slice(i, i + size), slice(j, j + size)
            cosine = unit[one] @ unit[two].T
            kind = torch.zeros(cosine.shape, dtype=torch.int64, device=unit.device)
            for k, y in enumerate(classes):
                kind += (y[one, None] == y[None, two]).long() << k
            if i == j:
                upper = torch.ones_like(kind, dtype=torch.bool).triu_(1)
                yield cosine[upper], kind[upper]
            else:
                yield cosine.reshape(-1), kind.reshape(-1)


def _sorted_counts(
    unit: torch.Tensor, classes: list[torch.Tensor], size: int, kinds: int
) -> np.ndarray:
    import torch

    n_pairs, start = len(unit) * (len(unit) - 1) // 2, 0
    cosine = torch.empty(n_pairs, dtype=unit.dtype, device=unit.device)
    kind = torch.empty(n_pairs, dtype=torch.uint8, device=unit.device)
    for part, part_kind in _blocks(unit, classes, size):
        cosine[start : start + len(part)] = part
        kind[start : start + len(part)] = part_kind
        start += len(part)
    if unit.dtype == torch.float64:
        cosine.div_(_ROUNDING).round_()
    cosine, order = cosine.sort(descending=True)
    kind = kind[order]
    del order
    # where a run of equal cosines ends
    last = torch.ones(n_pairs, dtype=torch.bool, device=unit.device)
    last[:-1] = cosine[1:] != cosine[:-1]
    ends = last.nonzero()[:, 0]
    counts = np.empty((kinds, len(ends)), dtype=np.int64)
    for k in range(kinds):
        total = (kind == k).cumsum(0)[ends].cpu().numpy()
        counts[k] = np.diff(total, prepend=0)
    return counts


def _histogram(
    unit: torch.Tensor, classes: list[torch.Tensor], size: int, kinds: int, n_bins: int
) -> np.ndarray:
    import torch

    counts = torch.zeros(n_bins * kinds, dtype=torch.int64, device=unit.device)
    one = torch.ones(1, dtype=torch.int64, device=unit.device)
    for cosine, kind in _blocks(unit, classes, size):
        cell = (1 - cosine).mul_(n_bins / 2).long().clamp_(0, n_bins - 1)
        counts.scatter_add_(0, cell.mul_(kinds).add_(kind), one.expand(len(cell)))
    counts = counts.reshape(n_bins, kinds)
    return counts[counts.any(dim=1)].T.cpu().numpy()
