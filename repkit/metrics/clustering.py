"""Clusters and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from repkit.metrics._arrays import as_numpy, label_vector


def match_clusters(clusters: Any, labels: Any, n_clusters: int | None = None) -> np.ndarray:
    """Name the clusters after labels, by the most agreement (Hungarian method).

    ``names[clusters]`` are then labels. Each label goes to one cluster at most, as long as there
    are labels; the clusters beyond them get their commonest one.

    Parameters
    ----------
    clusters : array of shape (n,)
        Numbers from 0.
    labels : array of shape (n,)
        Of any kind.
    n_clusters : int, optional
        Default: the greatest number and one.

    Returns
    -------
    names : ndarray of shape (n_clusters,)

    Raises
    ------
    ValueError
        On missing labels, different lengths, or clusters that are not 0 to ``n_clusters - 1``.
    """
    clusters = as_numpy(clusters)
    labels = label_vector(labels, "labels", len(clusters))
    n_clusters = int(clusters.max()) + 1 if n_clusters is None else n_clusters
    if clusters.dtype.kind not in "iu" or clusters.min() < 0 or clusters.max() >= n_clusters:
        raise ValueError(
            f"clusters must be integers from 0 to {n_clusters - 1}, not {clusters.dtype} "
            f"from {clusters.min()} to {clusters.max()}"
        )
    known, place = np.unique(labels, return_inverse=True)
    counts = np.zeros((n_clusters, len(known)), dtype=np.int64)
    np.add.at(counts, (clusters, place), 1)
    chosen = counts.argmax(1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    chosen[rows] = columns
    return known[chosen]
