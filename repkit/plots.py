"""Pictures, in the manner of scikit-learn's displays. matplotlib and umap load when needed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils import check_random_state

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A palette that readers with any colour vision can tell apart (Okabe and Ito), then more.
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9",
    "#D55E00", "#F0E442", "#000000", "#8C564B", "#7F7F7F",
)  # fmt: skip


class EmbeddingDisplay:
    """Features in the plane, coloured by class and by domain, side by side.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
    labels : ndarray of shape (n,), optional
        Classes; rows whose class is not known carry ``unlabelled``.
    sample_domain : ndarray of shape (n,), optional
        Domain ids, >= 0 for a source, < 0 for a target.
    unlabelled : object, default=-1

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
        unlabelled: Any = -1,
    ) -> None:
        self.points = np.asarray(points)
        if self.points.ndim != 2 or self.points.shape[1] != 2:
            raise ValueError(f"points must have the shape (n, 2), not {self.points.shape}")
        self.labels = None if labels is None else np.asarray(labels)
        self.sample_domain = None if sample_domain is None else np.asarray(sample_domain)
        self.unlabelled = unlabelled
        if self.labels is None and self.sample_domain is None:
            raise ValueError("give labels, sample_domain or both: there is nothing to colour by")

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
        rng = check_random_state(random_state)
        rows = np.sort(rng.permutation(len(features))[:max_points])
        points = to_plane(features[rows], seed=int(rng.randint(2**31 - 1)))
        display = cls(
            points,
            None if y is None else np.asarray(y)[rows],
            None if sample_domain is None else np.asarray(sample_domain)[rows],
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw; ``ax`` is one Axes for each colouring."""
        import matplotlib.pyplot as plt

        colourings = [
            (title, values)
            for title, values in (("class", self.labels), ("domain", self.sample_domain))
            if values is not None
        ]
        if ax is None:
            _, ax = plt.subplots(
                1,
                len(colourings),
                figsize=(5.2 * len(colourings), 4.2),
                squeeze=False,
                layout="constrained",
            )
        self.ax_ = list(np.ravel(ax))
        if len(self.ax_) != len(colourings):
            raise ValueError(f"ax must hold {len(colourings)} Axes, one for each colouring")
        for axes, (title, values) in zip(self.ax_, colourings, strict=True):
            self._scatter(axes, title, values)
        self.figure_ = self.ax_[0].get_figure()  # type: ignore[assignment]
        return self

    def _scatter(self, axes: Axes, title: str, values: np.ndarray) -> None:
        kinds = list(np.unique(values))
        unknown = title == "class" and self.unlabelled in kinds
        if unknown:
            kinds.remove(self.unlabelled)
            rows = values == self.unlabelled
            x, y = self.points[rows].T
            axes.scatter(x, y, s=5, c="#CCCCCC", label="unlabelled", linewidths=0)
        if title == "domain":  # sources first
            kinds.sort(key=lambda kind: (kind < 0, abs(kind)))
        for k, kind in enumerate(kinds):
            rows = values == kind
            name = str(kind)
            if title == "domain":
                name = f"source {kind}" if kind >= 0 else f"target {kind}"
            x, y = self.points[rows].T
            axes.scatter(
                x,
                y,
                s=6,
                c=COLOURS[k % len(COLOURS)],
                label=name,
                linewidths=0,
                alpha=0.7,
            )
        axes.set(title=f"by {title}", xticks=[], yticks=[])
        axes.legend(
            markerscale=2.5,
            fontsize="small",
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
        )


class HistoryDisplay:
    """The history of a fit: losses, the adversary, and label-free scores.

    Parameters
    ----------
    history : DataFrame
        ``history_`` of an estimator.
    selected_epoch : int, optional
        Marked by a line.

    Attributes
    ----------
    ax_ : list of Axes
    figure_ : Figure
    """

    ax_: list[Axes]
    figure_: Figure
    panels = (
        ("losses", ("label_loss", "domain_loss", "information_loss", "pseudo_loss")),
        ("adversary", ("domain_accuracy", "domain_chance", "lam")),
        ("label-free scores, scaled to [0, 1]", ("entropy", "infomax", "snd", "score")),
    )

    def __init__(self, history: pd.DataFrame, selected_epoch: int | None = None) -> None:
        self.history = history
        self.selected_epoch = selected_epoch

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Plot ``estimator.history_``."""
        display = cls(estimator.history_, getattr(estimator, "selected_epoch_", None))
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw; ``ax`` is one Axes for each panel that has a column in the history."""
        import matplotlib.pyplot as plt

        panels = [
            (title, [name for name in names if name in self.history])
            for title, names in self.panels
        ]
        panels = [(title, names) for title, names in panels if names]
        if ax is None:
            _, ax = plt.subplots(
                1, len(panels), figsize=(4 * len(panels), 3), squeeze=False, layout="constrained"
            )
        self.ax_ = list(np.ravel(ax))
        if len(self.ax_) != len(panels):
            raise ValueError(f"ax must hold {len(panels)} Axes, one for each panel")
        for axes, (title, names) in zip(self.ax_, panels, strict=True):
            for k, name in enumerate(names):
                values = self.history[name]
                if "scores" in title:
                    spread = values.max() - values.min()
                    values = (values - values.min()) / (spread if spread > 0 else 1.0)
                axes.plot(
                    self.history["epoch"],
                    values,
                    color=COLOURS[k],
                    linestyle="--" if name == "domain_chance" else "-",
                    label=name,
                )
            if self.selected_epoch is not None:
                axes.axvline(self.selected_epoch, color="#7F7F7F", linewidth=0.8)
            axes.set(title=title, xlabel="epoch")
            axes.legend(fontsize="small")
        self.figure_ = self.ax_[0].get_figure()  # type: ignore[assignment]
        return self


def to_plane(features: np.ndarray, *, seed: int) -> np.ndarray:
    """UMAP to two dimensions, ``(n, d) -> (n, 2)``; features of two dimensions are left alone."""
    if features.shape[1] == 2:
        return features
    with warnings.catch_warnings():
        # umap says that a seed costs it parallelism; numba of deprecations that are its own.
        warnings.simplefilter("ignore")
        from umap import UMAP

        return np.asarray(UMAP(random_state=seed, n_jobs=1).fit_transform(features))
