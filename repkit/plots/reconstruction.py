"""`ReconstructionDisplay`: what an encoder keeps, and whether a generator only remembers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils import _safe_indexing

from repkit._random import legacy_generator
from repkit.plots.figure import take_axes
from repkit.plots.images import as_images, draw_grid, in_units_of, panel_size, range_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = 1.25  # inches of the names of the rows


class ReconstructionDisplay:
    """Images above their reconstructions and, below, the training images nearest to these.

    A reconstruction that is like its training neighbor, but not like its input, is a memory.
    Reconstructions of several models stand one below the other, under one row of inputs.

    Parameters
    ----------
    inputs : array-like of shape (n, ...)
        Images, gray (height, width) or (1, height, width), or in color (3, height, width).
    reconstructions : array-like of the same shape, or mapping of str to such
        Of one model, or of several by name.
    neighbors : array-like of the same shape, optional
    image_shape : tuple of int, optional
        Of images that are flat rows: (8, 8), say.
    value_range : (low, high), optional
        What is drawn black and white. Default: 0 and 255 for uint8, 0 and 1 for what lies between,
        else the least and greatest value of inputs and neighbors.

    Attributes
    ----------
    reconstructions : ndarray of shape (n, height, width, channels), or dict of them by model
    errors : ndarray of shape (n,), or dict of them by model
        Mean squared error of each reconstruction, on values scaled from the range to [0, 1].
    ax_ : list of one Axes
    figure_ : Figure
    """

    reconstructions: Any  # an array or a dict, as given
    errors: Any
    ax_: list[Axes]
    figure_: Figure

    def __init__(
        self,
        inputs: Any,
        reconstructions: Any,
        neighbors: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        def images_of(x: Any, name: str) -> np.ndarray:
            images = as_images(x, image_shape, name=name)
            if images.shape != self.inputs.shape:
                raise ValueError(
                    f"{name} must have the shape of inputs, {np.shape(inputs)}, not {np.shape(x)}"
                )
            return images

        self.inputs = as_images(inputs, image_shape, name="inputs")
        if not len(self.inputs):
            raise ValueError("inputs must hold at least one image")
        self.neighbors = None if neighbors is None else images_of(neighbors, "neighbors")
        real = [x for x in (self.inputs, self.neighbors) if x is not None]
        self.value_range = range_of(real, value_range)
        if isinstance(reconstructions, Mapping):
            if not reconstructions:
                raise ValueError("reconstructions must name at least one model")
            self.reconstructions = {k: images_of(x, k) for k, x in reconstructions.items()}
            self.errors = {k: self._errors(x) for k, x in self.reconstructions.items()}
        else:
            self.reconstructions = images_of(reconstructions, "reconstructions")
            self.errors = self._errors(self.reconstructions)

    def _errors(self, images: np.ndarray) -> np.ndarray:
        difference = self.inputs.astype(np.float64) - images
        difference /= self.value_range[1] - self.value_range[0]
        return np.square(difference).reshape(len(difference), -1).mean(1)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        X_train: Any = None,
        n: int = 10,
        *,
        random_state: Any = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot ``estimator.reconstruct`` of some rows of X.

        Parameters
        ----------
        estimator : fitted estimator with ``reconstruct``
        X : array-like of shape (n_samples, ...)
            Images that the estimator was not fitted on show more.
        X_train : array-like of shape (n_train, ...), optional
            Where the neighbors of the reconstructions are looked for, by Euclidean distance.
        n : int
            Rows drawn at random when there are more.
        random_state : int, RandomState or None
            Of these rows.
        image_shape : tuple of int, optional
            For an estimator of flat rows.
        ax : Axes, optional

        Raises
        ------
        TypeError
            If the estimator does not reconstruct.
        ValueError
            If X or X_train does not hold images that go together.
        """
        check_reconstructs(estimator)
        part = some_rows(X, n, random_state)
        inputs = np.asarray(part)
        back = in_units_of(inputs, np.asarray(estimator.reconstruct(part)))
        near = None if X_train is None else neighbors_in(X_train, back, inputs)
        return cls(inputs, back, near, image_shape=image_shape).plot(ax=ax)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: Any,
        n: int = 10,
        *,
        random_state: Any = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot what several estimators make of the same rows of X, a row of images for each.

        Parameters
        ----------
        estimators : mapping of str to fitted estimator with ``reconstruct``
            By the names written beside their rows: ``{"VAE": vae, "VAE-GAN": vaegan}``.
        X, n, random_state, image_shape, ax
            See `from_estimator`.

        Raises
        ------
        TypeError
            If an estimator does not reconstruct.
        ValueError
            If there is no estimator, or X does not hold images.
        """
        for estimator in estimators.values():
            check_reconstructs(estimator)
        part = some_rows(X, n, random_state)
        inputs = np.asarray(part)
        back = {
            name: in_units_of(inputs, np.asarray(estimator.reconstruct(part)))
            for name, estimator in estimators.items()
        }
        return cls(inputs, back, image_shape=image_shape).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw; ``ax`` is one Axes."""
        rows = [("input", self.inputs)]
        if isinstance(self.reconstructions, dict):
            title = "reconstructions, mean squared errors"
            for name, images in self.reconstructions.items():
                rows.append((f"{name}\nerror {self.errors[name].mean():.2g}", images))
        else:
            rows.append(("reconstruction", self.reconstructions))
            title = f"mean squared error {self.errors.mean():.2g}"
        if self.neighbors is not None:
            rows.append(("nearest in training", self.neighbors))
        images = np.stack([x for _, x in rows])
        width, height = panel_size(images)
        size = (width + NAMES, height)
        self.ax_, self.figure_ = take_axes(ax, [size], each="display")
        names = [name for name, _ in rows]
        draw_grid(self.ax_[0], images, self.value_range, title=title, rows=names)
        return self


def check_reconstructs(estimator: Any) -> None:
    if not hasattr(estimator, "reconstruct"):
        raise TypeError(
            "estimator must have the method reconstruct, as BiGAN has; "
            f"{type(estimator).__name__} does not have it"
        )


def some_rows(X: Any, n: int, random_state: Any) -> Any:
    """At most n rows of X, drawn at random and in their order."""
    if not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n must be an integer of at least 1, not {n!r}")
    rng = legacy_generator(random_state)
    return _safe_indexing(X, np.sort(rng.permutation(len(X))[:n]))


def neighbors_in(X_train: Any, queries: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """The rows of the training data that are nearest to the queries."""
    from repkit.metrics import nearest_neighbors

    known = X_train if isinstance(X_train, np.ndarray) else np.asarray(X_train)
    if (known.dtype == np.uint8) != (inputs.dtype == np.uint8):
        raise ValueError(
            "X and X_train must both be uint8, which runs to 255, or neither, not "
            f"{inputs.dtype} and {known.dtype}"
        )
    return known[nearest_neighbors(known, queries)[:, 0]]
