"""Generated samples against real ones, in a space of features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from repkit import _arguments
from repkit.metrics._arrays import batch_size_of
from repkit.metrics._blocks import (
    block_rows,
    checked_rows,
    cost_blocks,
    dtype_for,
    load_rows,
    squared_norms,
)
from repkit.metrics.neighbors import nearest_neighbors

if TYPE_CHECKING:
    import torch

__all__ = [
    "frechet_distance",
    "nearest_neighbor_distance",
    "precision_recall",
]

_BATCH_BYTES = 2**28


def frechet_distance(real: Any, generated: Any, *, device: Any = "auto") -> float:
    r"""Fréchet distance between Gaussians fitted to two sets of features.

    .. math:: \|m_1 - m_2\|^2 + \mathrm{tr}\,(S_1 + S_2 - 2\,(S_1^{1/2} S_2 S_1^{1/2})^{1/2})

    (Dowson and Landau 1982; Heusel et al. 2017, eq. 6, for images), a squared length. Means and
    covariances (divided by n - 1) are computed in float64. The trace of the root is the sum of the
    roots of the eigenvalues of a symmetric matrix. Covariances may be singular.

    The features may come from any encoder, such as the hidden layer of a classifier,
    ``DANN(lam=0.0).fit(X, y).transform(X)``. The result is **not the FID**, which is defined on the
    features of one Inception network: compare distances only under the same features. Compare them
    only at equal numbers of rows, too, for the distance of finite samples is biased upwards, and
    more so the fewer rows there are for each feature.

    Parameters
    ----------
    real : array or tensor of shape (n_real, ...)
        Features of real samples, at least two rows. Samples are flattened. A memmap is read in
        blocks.
    generated : array or tensor of shape (n_generated, ...)
        Features of generated samples, at least two rows, as wide as `real`.
    device : str or torch.device, default="auto"
        Where to compute. "auto" takes cuda if there is one, else cpu. A device without float64 is
        replaced by cpu.

    Returns
    -------
    distance : float
        At least 0, in squared units of the features. Accurate to about 1e-8 of the variance.

    Raises
    ------
    ValueError
        If there are fewer than two rows, widths differ, or features are not finite numbers.
    """
    import torch

    real, generated = _checked(real, generated, 2, "a covariance")
    where = _arguments.device(device)
    if where.type == "mps":
        where = torch.device("cpu")
    m1, S1 = _moments(real, where)
    m2, S2 = _moments(generated, where)
    scale = max(float(S1.trace()), float(S2.trace())) or 1.0
    S1, S2 = S1 / scale, S2 / scale
    value, vector = torch.linalg.eigh(S1)
    root = vector * value.clamp_min(0).sqrt()  # S1 = root root^T
    # root^T S2 root has the eigenvalues of S1^{1/2} S2 S1^{1/2}; rounding makes some zeros negative
    cross = torch.linalg.eigvalsh(root.T @ S2 @ root).clamp_min(0).sqrt().sum()
    distance = (m1 - m2).square().sum() + scale * (S1.trace() + S2.trace() - 2 * cross)
    return max(float(distance), 0.0)


def precision_recall(
    real: Any, generated: Any, k: int = 3, *, device: Any = "auto", batch_bytes: int = _BATCH_BYTES
) -> dict[str, float]:
    """Measure fidelity and diversity of generated samples by nearest neighbors.

    Every row has a ball that reaches to its k-th nearest other row of the same set.

    - ``precision``: the share of generated rows in the ball of some real row; ``recall``: the share
      of real rows in the ball of some generated row (Kynkäänniemi et al. 2019, eq. 1-2, k = 3).
    - ``density``: how many real balls a generated row lies in on average, divided by k, which may
      exceed 1; ``coverage``: the share of real balls with a generated row inside (Naeem et al.
      2020, k = 5). One outlier among the real rows does not raise these.

    One `k` serves all four: 3 for the figures of the first paper, 5 for those of the second. Two
    large sets of one distribution have a density of 1 and, if of equal size, a coverage of about
    1 - 2^-k. Features may come from any encoder: compare numbers only under the same features,
    `k` and numbers of rows.

    Parameters
    ----------
    real : array or tensor of shape (n_real, ...)
        Features of real samples, more than `k` rows. Samples are flattened.
    generated : array or tensor of shape (n_generated, ...)
        Features of generated samples, more than `k` rows, as wide as `real`.
    k : int, default=3
        Which nearest neighbor a ball reaches to.
    device : str or torch.device, default="auto"
        Where to compute. "auto" takes the first there is of cuda, mps and cpu.
    batch_bytes : int, default=2**28
        Memory for blocks of distances, in bytes. The whole matrix is never held.

    Returns
    -------
    scores : dict of str to float
        ``precision``, ``recall`` and ``coverage`` in [0, 1], and ``density``, at least 0.

    Raises
    ------
    ValueError
        If `k` is not a positive integer, there are `k` rows or fewer, widths differ, or features
        are not finite numbers.
    """
    import torch

    _arguments.integer(k, "k")
    batch_bytes = batch_size_of(batch_bytes)
    real, generated = _checked(real, generated, k + 1, f"balls up to neighbor k={k}")
    where, dtype = _arguments.device(device), dtype_for((real, generated), device)
    half_squares = []  # of the radii, as the costs are halves of squares
    for X in (real, generated):
        # the row itself is among its k + 1 nearest, at distance 0
        near = nearest_neighbors(X, X, k + 1, device=where, batch_bytes=batch_bytes)
        radius = _distances(X, X, near, where, dtype, batch_bytes).max(axis=1)
        half_squares.append(torch.from_numpy(radius**2 / 2).to(where, dtype))
    real_ball, generated_ball = half_squares

    precise, recalled, covered = (
        torch.zeros(len(X), dtype=torch.bool, device=where) for X in (generated, real, real)
    )
    inside = 0
    # of costs by rounding: a copy is inside a ball of no radius
    longest = max(
        float(load_rows(X, rows, where, dtype).square().sum(1).max())
        for X in (real, generated)
        for rows in _slices(len(X), _width(X), batch_bytes)
    )
    slack = 8 * torch.finfo(dtype).eps * longest
    # half of the budget, for the masks stand beside the costs
    size = block_rows(_width(real), 1, dtype.itemsize, batch_bytes // 2)
    for columns, rows, cost, half in cost_blocks(real, generated, size, where, dtype):
        cost += half[:, None] - slack
        mask = cost <= real_ball[columns]
        precise[rows] |= mask.any(dim=1)
        covered[columns] |= mask.any(dim=0)
        inside += int(mask.sum())
        recalled[columns] |= (cost <= generated_ball[rows, None]).any(dim=0)
        del cost, mask  # before the next block is made
    return {
        "precision": _share(precise),
        "recall": _share(recalled),
        "density": inside / (k * len(generated)),
        "coverage": _share(covered),
    }


def nearest_neighbor_distance(
    real: Any, generated: Any, *, device: Any = "auto", batch_bytes: int = _BATCH_BYTES
) -> dict[str, float]:
    """Compute the mean Euclidean distance to the nearest row of the other set, both ways.

    A large distance from generated to real means samples unlike any real one. If it is near zero
    and `real` are the training rows, the samples are copies. A large distance from real to
    generated means kinds of real rows that are never generated. Compare distances only under the
    same features and numbers of rows.

    Parameters
    ----------
    real : array or tensor of shape (n_real, ...)
        Features of real samples. Samples are flattened.
    generated : array or tensor of shape (n_generated, ...)
        Features of generated or reconstructed samples, as wide as `real`.
    device : str or torch.device, default="auto"
        Where to compute. "auto" takes the first there is of cuda, mps and cpu.
    batch_bytes : int, default=2**28
        Memory for blocks of distances, in bytes. The whole matrix is never held.

    Returns
    -------
    distances : dict of str to float
        ``generated_to_real`` and ``real_to_generated``, in units of the features.

    Raises
    ------
    ValueError
        If a set is empty, widths differ, or features are not finite numbers.

    Examples
    --------
    >>> nearest_neighbor_distance([[0.0], [10.0]], [[1.0], [1.0]])
    {'generated_to_real': 1.0, 'real_to_generated': 5.0}
    """
    batch_bytes = batch_size_of(batch_bytes)
    real, generated = _checked(real, generated, 1, "a nearest row")
    where, dtype = _arguments.device(device), dtype_for((real, generated), device)

    def mean_distance(reference: Any, query: Any) -> float:
        near = nearest_neighbors(reference, query, device=where, batch_bytes=batch_bytes)
        return float(_distances(reference, query, near, where, dtype, batch_bytes).mean())

    return {
        "generated_to_real": mean_distance(real, generated),
        "real_to_generated": mean_distance(generated, real),
    }


def _checked(real: Any, generated: Any, min_rows: int, purpose: str) -> tuple[Any, Any]:
    """Check shapes, row counts and, block by block, that all is finite."""
    import torch

    checked = []
    for X, name in ((real, "real"), (generated, "generated")):
        X, width = checked_rows(X, name)
        if len(X) < min_rows:
            raise ValueError(
                f"{name} must have at least {min_rows} rows for {purpose}, not {len(X)}"
            )
        for rows in _slices(len(X), width, _BATCH_BYTES):
            part = load_rows(X, rows, torch.device("cpu"), dtype_for([X], "cpu"))
            squared_norms(part, X, rows, name)
        checked.append(X)
    if _width(checked[0]) != _width(checked[1]):
        raise ValueError(
            f"real has {_width(checked[0])} features but generated has {_width(checked[1])}: "
            "both must come from the same encoder"
        )
    return checked[0], checked[1]


def _moments(X: Any, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the mean (d,) and the covariance (d, d) in float64, in two passes over blocks."""
    import torch

    blocks = _slices(len(X), _width(X), _BATCH_BYTES)
    mean = torch.zeros(_width(X), dtype=torch.float64, device=device)
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=device)
    for rows in blocks:
        mean += load_rows(X, rows, device, torch.float64).sum(dim=0) / len(X)
    for rows in blocks:
        part = load_rows(X, rows, device, torch.float64) - mean
        covariance.addmm_(part.T, part, alpha=1 / (len(X) - 1))
    return mean, covariance


def _distances(
    reference: Any,
    query: Any,
    index: np.ndarray,
    device: torch.device,
    dtype: torch.dtype,
    batch_bytes: int,
) -> np.ndarray:
    """Distances (n_query, m) to the given rows (n_query, m), from differences: exact near 0."""
    import torch

    out = np.empty(index.shape)
    for rows in _slices(len(query), _width(query), batch_bytes):
        Q = load_rows(query, rows, device, dtype)
        for column in range(index.shape[1]):
            near = _take(reference, index[rows, column])
            gap = load_rows(near, slice(None), device, dtype) - Q
            out[rows, column] = torch.linalg.vector_norm(gap, dim=1).cpu().numpy()
    return out


def _take(X: Any, index: np.ndarray) -> Any:
    import torch

    return X[index] if isinstance(X, np.ndarray) else X[torch.from_numpy(index).to(X.device)]


def _slices(n: int, width: int, batch_bytes: int) -> list[slice]:
    """Cut n rows so that three float64 copies of a part fit in `batch_bytes`."""
    size = max(1, batch_bytes // (24 * width))
    return [slice(start, start + size) for start in range(0, n, size)]


def _width(X: Any) -> int:
    return int(np.prod(X.shape[1:]))


def _share(mask: torch.Tensor) -> float:
    return int(mask.sum()) / len(mask)
