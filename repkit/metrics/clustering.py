"""Clusters named after labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from repkit import _arguments
from repkit.metrics._arrays import label_vector

__all__ = [
    "match_clusters",
]

MOST = 10**5  # clusters: they and the labels make one table


def match_clusters(clusters: Any, labels: Any, n_clusters: int | None = None) -> np.ndarray:
    """Name each cluster after a label, so that most samples agree (Hungarian method).

    ``names[clusters]`` are then labels. No two clusters share a label while there are labels left.
    A cluster beyond that gets the label that is most common in it.

    Parameters
    ----------
    clusters : array of shape (n,)
        Cluster of each sample, an integer from 0.
    labels : array of shape (n,)
        Label of each sample, of any type.
    n_clusters : int, optional
        Number of clusters. Default: one more than the greatest entry of `clusters`.

    Returns
    -------
    names : ndarray of shape (n_clusters,)
        Label of each cluster.

    Raises
    ------
    ValueError
        If labels are missing, lengths differ, or clusters are not from 0 to ``n_clusters - 1``.

    Examples
    --------
    >>> names = match_clusters([0, 0, 1, 1, 1], ["cat", "cat", "dog", "dog", "cat"])
    >>> names.tolist()
    ['cat', 'dog']
    """
    clusters = label_vector(clusters, "clusters")
    if clusters.dtype.kind not in "iu":
        raise ValueError(f"clusters must be integers from 0, not dtype {clusters.dtype}")
    labels = label_vector(labels, "labels", len(clusters), "clusters")
    if n_clusters is None:
        n_clusters = int(clusters.max()) + 1
    else:
        n_clusters = _arguments.integer(n_clusters, "n_clusters", 1, MOST, otherwise=", or None")
    if clusters.min() < 0 or clusters.max() >= n_clusters or n_clusters > MOST:
        raise ValueError(
            f"clusters must be integers from 0 to {min(n_clusters, MOST) - 1}, not from "
            f"{clusters.min()} to {clusters.max()}"
        )
    known, place = np.unique(labels, return_inverse=True)
    counts = np.zeros((n_clusters, len(known)), dtype=np.int64)
    np.add.at(counts, (clusters, place), 1)
    chosen = counts.argmax(1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    chosen[rows] = columns
    return known[chosen]
