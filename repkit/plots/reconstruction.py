"""`ReconstructionDisplay`: what an encoder keeps, and whether a generator memorizes."""

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

__all__ = [
    "ReconstructionDisplay",
]

_NAMES = 1.25  # inches of the names of the rows


class ReconstructionDisplay:
    """Images above their reconstructions and, below, the training images nearest to these.

    A reconstruction that resembles its training neighbor, but not its input, is memorized.
    Reconstructions of several models are drawn one below the other, under one row of inputs.

    Parameters
    ----------
    inputs : array-like of shape (n, ...)
        Images, gray (height, width) or (1, height, width), or in color (3, height, width).
    reconstructions : array-like of shape (n, ...), or mapping of str to such arrays
        Reconstructions by one model, or by several under their names.
    neighbors : array-like of shape (n, ...), optional
        Training images nearest to the reconstructions.
    image_shape : tuple of int, optional
        Shape of images that are flat rows, such as (8, 8).
    value_range : (low, high), optional
        Values that are drawn black and white. Default: 0 and 255 for uint8, 0 and 1 for values
        within, else the least and the greatest value of inputs and neighbors.

    Attributes
    ----------
    reconstructions : ndarray of shape (n, height, width, channels), or dict of such arrays
        Reconstructions as images, by model if there are several.
    errors : ndarray of shape (n,), or dict of such arrays
        Mean squared error of each reconstruction, on values scaled from the range to [0, 1].
    ax_ : list of one Axes
        Where the images are drawn.
    figure_ : Figure
        The figure that holds the Axes.
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
            Such as BiGAN, VAE or VAEGAN.
        X : array-like of shape (n_samples, ...)
            Images. Those that the estimator was not fitted on show more.
        X_train : array-like of shape (n_train, ...), optional
            Images among which to find the nearest to each reconstruction, by Euclidean distance.
        n : int, default=10
            Most images to draw, chosen at random.
        random_state : int, RandomState, Generator or None, default=None
            Chooses the images.
        image_shape : tuple of int, optional
            Shape of the images of an estimator of flat rows, such as (8, 8).
        ax : Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : ReconstructionDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        TypeError
            If the estimator does not reconstruct.
        ValueError
            If `X` or `X_train` holds no images, or images of different kinds.
        """
        _check_reconstructs(estimator)
        part = _some_rows(X, n, random_state)
        inputs = np.asarray(part)
        back = in_units_of(inputs, np.asarray(estimator.reconstruct(part)))
        near = None if X_train is None else _neighbors_in(X_train, back, inputs)
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
        """Plot reconstructions of the same rows of X by several estimators.

        Parameters
        ----------
        estimators : mapping of str to fitted estimator with ``reconstruct``
            Under the names to write beside their rows: ``{"VAE": vae, "VAE-GAN": vaegan}``.
        X : array-like of shape (n_samples, ...)
            Images. Those that the estimators were not fitted on show more.
        n : int, default=10
            Most images to draw, chosen at random.
        random_state : int, RandomState, Generator or None, default=None
            Chooses the images.
        image_shape : tuple of int, optional
            Shape of the images of an estimator of flat rows, such as (8, 8).
        ax : Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : ReconstructionDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        TypeError
            If an estimator does not reconstruct.
        ValueError
            If there is no estimator, or `X` holds no images.
        """
        for estimator in estimators.values():
            _check_reconstructs(estimator)
        part = _some_rows(X, n, random_state)
        inputs = np.asarray(part)
        back = {
            name: in_units_of(inputs, np.asarray(estimator.reconstruct(part)))
            for name, estimator in estimators.items()
        }
        return cls(inputs, back, image_shape=image_shape).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the rows of images.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : ReconstructionDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        ValueError
            If `ax` does not hold one Axes.
        """
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
        size = (width + _NAMES, height)
        self.ax_, self.figure_ = take_axes(ax, [size], each="display")
        names = [name for name, _ in rows]
        draw_grid(self.ax_[0], images, self.value_range, title=title, rows=names)
        return self


def _check_reconstructs(estimator: Any) -> None:
    if not hasattr(estimator, "reconstruct"):
        raise TypeError(
            "estimator must have the method reconstruct, as BiGAN has; "
            f"{type(estimator).__name__} does not have it"
        )


def _some_rows(X: Any, n: int, random_state: Any) -> Any:
    """Choose at most n rows of X at random, in their order."""
    if not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n must be an integer of at least 1, not {n!r}")
    rng = legacy_generator(random_state)
    return _safe_indexing(X, np.sort(rng.permutation(len(X))[:n]))


def _neighbors_in(X_train: Any, queries: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Find the rows of the training data that are nearest to the queries."""
    from repkit.metrics import nearest_neighbors

    known = X_train if isinstance(X_train, np.ndarray) else np.asarray(X_train)
    if (known.dtype == np.uint8) != (inputs.dtype == np.uint8):
        raise ValueError(
            "X and X_train must both be uint8, which runs to 255, or neither, not "
            f"{inputs.dtype} and {known.dtype}"
        )
    return known[nearest_neighbors(known, queries)[:, 0]]
