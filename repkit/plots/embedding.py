"""`EmbeddingDisplay`: features in the plane."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from repkit._arguments import shown
from repkit._optional import need
from repkit._random import check_seed, legacy_generator
from repkit.metrics._arrays import as_numpy, feature_matrix
from repkit.metrics._domains import domain_ids
from repkit.plots.figure import are_numbers, scatter, scatter_by_label, take_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "EmbeddingDisplay",
    "to_plane",
]


class EmbeddingDisplay:
    """Features in the plane, colored by label and by domain, side by side.

    Labels are classes, each with a color of its own, or numbers, on a scale of colors: floats of
    which some are not whole. There is a legend of up to 60 classes.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Coordinates of each row.
    labels : ndarray of shape (n,), optional
        Label of each row. None, NaN and `unlabeled` say that it is not known.
    sample_domain : ndarray of shape (n,), optional
        Domain ids, at least 0 for source rows and below 0 for target rows.
    unlabeled : object, default=-1
        Label of rows whose class is not known, as a text, too, if it is -1. They are drawn in
        gray.

    Attributes
    ----------
    ax_ : list of Axes
        One for each coloring.
    figure_ : Figure
        The figure that holds the Axes.

    Raises
    ------
    ValueError
        If `points` has another shape, or there is nothing to color by.
    """

    ax_: list[Axes]
    figure_: Figure

    def __init__(
        self,
        points: Any,
        labels: Any = None,
        sample_domain: Any = None,
        *,
        unlabeled: Any = -1,
    ) -> None:
        self.points = feature_matrix(points, "points")
        if self.points.ndim != 2 or self.points.shape[1] != 2:
            raise ValueError(f"points must have shape (n, 2), not {self.points.shape}")
        n = len(self.points)
        self.labels = None if labels is None else _column(labels, "labels", n)
        self.sample_domain = (
            None if sample_domain is None else domain_ids(sample_domain, n, "points")
        )
        self.unlabeled = unlabeled
        if self.labels is None and self.sample_domain is None:
            raise ValueError(
                "labels, sample_domain or both must be given, or there is nothing to color the "
                "points by"
            )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        sample_domain: Any = None,
        *,
        max_points: int = 2000,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Reduce ``estimator.transform(X)`` to the plane by UMAP and plot it.

        The first map of a process compiles UMAP, which takes about half a minute.

        Parameters
        ----------
        estimator : fitted estimator with ``transform``
            Whose features to plot. Its ``transform`` gets `sample_domain` if that is given.
        X : array-like of shape (n, ...)
            Samples.
        y : array-like of shape (n,), optional
            Label of each row: a class, -1 if unknown, or a number, NaN if unknown. Either `y` or
            `sample_domain` is needed.
        sample_domain : array-like of shape (n,), optional
            Domain ids, at least 0 for source rows and below 0 for target rows.
        max_points : int, default=2000
            Most rows to draw, chosen at random.
        random_state : int, RandomState, Generator or None, default=None
            Chooses the rows and seeds UMAP.
        ax : sequence of Axes, optional
            One for each coloring. Default: a new figure.

        Returns
        -------
        display : EmbeddingDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib or umap-learn is missing: install the extra `plots`.
        """
        kwargs = {} if sample_domain is None else {"sample_domain": sample_domain}
        features = estimator.transform(X, **kwargs)
        return cls.from_embedding(
            features, y, sample_domain, max_points=max_points, random_state=random_state, ax=ax
        )

    @classmethod
    def from_embedding(
        cls,
        features: Any,
        y: Any = None,
        sample_domain: Any = None,
        *,
        max_points: int = 2000,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Reduce features to the plane by UMAP and plot them.

        The first map of a process compiles UMAP, which takes about half a minute.

        Parameters
        ----------
        features : array-like of shape (n, d)
            Features of any origin.
        y : array-like of shape (n,), optional
            Label of each row: a class, -1 if unknown, or a number, NaN if unknown. Either `y` or
            `sample_domain` is needed.
        sample_domain : array-like of shape (n,), optional
            Domain ids, at least 0 for source rows and below 0 for target rows.
        max_points : int, default=2000
            Most rows to draw, chosen at random.
        random_state : int, RandomState, Generator or None, default=None
            Chooses the rows and seeds UMAP.
        ax : sequence of Axes, optional
            One for each coloring. Default: a new figure.

        Returns
        -------
        display : EmbeddingDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib or umap-learn is missing: install the extra `plots`.
        """
        features = feature_matrix(features, "features")
        if y is not None:
            y = _column(y, "y", len(features))
        if sample_domain is not None:
            sample_domain = _column(sample_domain, "sample_domain", len(features))
        rng = legacy_generator(random_state)
        rows = np.sort(rng.permutation(len(features))[:max_points])
        points = to_plane(features[rows], seed=int(rng.randint(2**31 - 1)))
        display = cls(
            points,
            None if y is None else np.asarray(y)[rows],
            None if sample_domain is None else np.asarray(sample_domain)[rows],
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the points.

        Parameters
        ----------
        ax : sequence of Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : EmbeddingDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        ValueError
            If `ax` does not hold one Axes for each coloring.
        """
        panels: list[Callable[[Axes], None]] = []
        if self.labels is not None:
            panels.append(self._by_label)
        if self.sample_domain is not None:
            panels.append(self._by_domain)
        self.ax_, self.figure_ = take_axes(ax, [(5.2, 4.2)] * len(panels), each="coloring")
        for axes, draw in zip(self.ax_, panels, strict=True):
            draw(axes)
        return self

    def _by_label(self, axes: Axes) -> None:
        assert self.labels is not None
        scatter_by_label(axes, self.points, self.labels, self.unlabeled)
        axes.set_title("by label" if are_numbers(self.labels) else "by class")

    def _by_domain(self, axes: Axes) -> None:
        assert self.sample_domain is not None
        domains = sorted(set(self.sample_domain), key=lambda k: (k < 0, abs(k)))  # sources first
        names = {k: f"source {k}" if k >= 0 else f"target {k}" for k in domains}
        scatter(axes, self.points, self.sample_domain, names)
        axes.set_title("by domain")


def _column(values: Any, name: str, n: int) -> np.ndarray:
    """One label or domain for each point; missing labels may be among them."""
    array = as_numpy(values, name)
    if array.shape != (n,):
        raise ValueError(f"{name} must have one entry for each of {n} points, not {array.shape}")
    if array.dtype == object and not all(v is None or isinstance(v, Hashable) for v in array):
        raise TypeError(f"{name} must hold labels, not {shown(array[0])}")
    return array


def to_plane(features: np.ndarray, *, seed: int, metric: str = "euclidean") -> np.ndarray:
    """Reduce features to two dimensions by UMAP. Two-dimensional features stay as they are.

    The first map of a process compiles UMAP, which takes about half a minute.

    Parameters
    ----------
    features : ndarray of shape (n, d)
        Features, d of at least 2.
    seed : int
        Seed of UMAP.
    metric : str, default="euclidean"
        Distance of rows, by UMAP's name of it: "cosine" for vectors that are compared by cosine.

    Returns
    -------
    points : ndarray of shape (n, 2)
        A point for each row.

    Raises
    ------
    ImportError
        If umap-learn is missing: install the extra `plots`.
    """
    import torch

    features = feature_matrix(features, "features", 2)
    check_seed(seed, "seed")
    if features.shape[1] == 2:
        return features
    with warnings.catch_warnings():
        # umap says that a seed costs it parallelism; numba of deprecations that are its own.
        warnings.simplefilter("ignore")
        UMAP = need("umap", "plots").UMAP
        umap = UMAP(metric=metric, random_state=seed, n_jobs=1)
        # numba sets the threads of OpenMP, which are torch's, too: fits after it would be others.
        threads = torch.get_num_threads()
        try:
            return np.asarray(umap.fit_transform(features))
        finally:
            torch.set_num_threads(threads)
