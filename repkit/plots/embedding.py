"""`EmbeddingDisplay`: features in the plane."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from repkit._random import legacy_generator
from repkit.plots.figure import COLORS, take_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class EmbeddingDisplay:
    """Features in the plane, colored by class and by domain, side by side.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
    labels : ndarray of shape (n,), optional
        Classes; rows whose class is not known carry ``unlabeled``.
    sample_domain : ndarray of shape (n,), optional
        Domain ids, >= 0 for a source, < 0 for a target.
    unlabeled : object, default=-1

    Attributes
    ----------
    ax_ : list of Axes
    figure_ : Figure
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
        self.points = np.asarray(points)
        if self.points.ndim != 2 or self.points.shape[1] != 2:
            raise ValueError(f"points must have shape (n, 2), not {self.points.shape}")
        self.labels = None if labels is None else np.asarray(labels)
        self.sample_domain = None if sample_domain is None else np.asarray(sample_domain)
        self.unlabeled = unlabeled
        if self.labels is None and self.sample_domain is None:
            raise ValueError(
                "labels, sample_domain or both must be given, or there is nothing to color by"
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
        """Plot ``estimator.transform(X)``; see `from_embedding`."""
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
        """Reduce features ``(n, d)`` to the plane by UMAP and plot a random part of them.

        Parameters
        ----------
        features : array-like of shape (n, d)
        y, sample_domain : array-like of shape (n,), optional
            At least one of them.
        max_points : int
            Rows drawn at random when there are more.
        random_state : int, RandomState or None
        ax : sequence of two Axes, optional
        """
        features = np.asarray(features)
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
        """Draw; ``ax`` is one Axes for each coloring."""
        colorings = [
            (title, values)
            for title, values in (("class", self.labels), ("domain", self.sample_domain))
            if values is not None
        ]
        self.ax_, self.figure_ = take_axes(ax, [(5.2, 4.2)] * len(colorings), each="coloring")
        for axes, (title, values) in zip(self.ax_, colorings, strict=True):
            self._scatter(axes, title, values)
        return self

    def _scatter(self, axes: Axes, title: str, values: np.ndarray) -> None:
        kinds = list(np.unique(values))
        unknown = title == "class" and self.unlabeled in kinds
        if unknown:
            kinds.remove(self.unlabeled)
            rows = values == self.unlabeled
            x, y = self.points[rows].T
            axes.scatter(x, y, s=5, c="#CCCCCC", label="unlabeled", linewidths=0)
        if title == "domain":  # sources first
            kinds.sort(key=lambda kind: (kind < 0, abs(kind)))
        names = {kind: str(kind) for kind in kinds}
        if title == "domain":
            names = {k: f"source {k}" if k >= 0 else f"target {k}" for k in kinds}
        scatter(axes, self.points, values, names)
        axes.set_title(f"by {title}")


def scatter(axes: Axes, points: np.ndarray, values: np.ndarray, names: Mapping[Any, str]) -> None:
    """Points ``(n, 2)`` colored by their values, those that have a name, with a legend."""
    for k, (kind, name) in enumerate(names.items()):
        x, y = points[values == kind].T
        color = COLORS[k % len(COLORS)]
        axes.scatter(x, y, s=6, c=color, label=name, linewidths=0, alpha=0.7)
    axes.set(xticks=[], yticks=[])
    axes.legend(
        markerscale=2.5,
        fontsize="small",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
    )


def to_plane(features: np.ndarray, *, seed: int) -> np.ndarray:
    """UMAP to two dimensions, ``(n, d) -> (n, 2)``; features of two dimensions are left alone."""
    if features.shape[1] == 2:
        return features
    with warnings.catch_warnings():
        # umap says that a seed costs it parallelism; numba of deprecations that are its own.
        warnings.simplefilter("ignore")
        from umap import UMAP

        return np.asarray(UMAP(random_state=seed, n_jobs=1).fit_transform(features))
