"""`ReconstructionDisplay`: what an encoder keeps, and whether a generator only remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils import _safe_indexing, check_random_state

from .figure import take_axes
from .images import as_images, draw_grid, panel_size, range_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = 1.25  # inches of the names of the rows


class ReconstructionDisplay:
    """Images above their reconstructions and, below, the training images nearest to these.

    A reconstruction that is like its training neighbour, but not like its input, is a memory.

    Parameters
    ----------
    inputs : array-like of shape (n, ...)
        Images, grey (height, width) or (1, height, width), or in colour (3, height, width).
    reconstructions : array-like of the same shape
    neighbours : array-like of the same shape, optional
    image_shape : tuple of int, optional
        Of images that are flat rows: (8, 8), say.
    value_range : (low, high), optional
        What is drawn black and white. Default: 0 and 255 for uint8, 0 and 1 for what lies between,
        else the least and greatest value of inputs and neighbours.

    Attributes
    ----------
    errors : ndarray of shape (n,)
        Mean squared error of each reconstruction, on values scaled from the range to [0, 1].
    ax_ : list of one Axes
    figure_ : Figure
    """

    ax_: list[Axes]
    figure_: Figure

    def __init__(
        self,
        inputs: Any,
        reconstructions: Any,
        neighbours: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        given = {"inputs": inputs, "reconstructions": reconstructions, "neighbours": neighbours}
        if neighbours is None:
            del given["neighbours"]
        images = {k: as_images(x, image_shape, name=k) for k, x in given.items()}
        for name, x in images.items():
            if x.shape != images["inputs"].shape or not len(x):
                raise ValueError(
                    f"{name} have the shape {np.shape(given[name])}, inputs {np.shape(inputs)}; "
                    "wanted the same, at least one image"
                )
        self.inputs, self.reconstructions = images["inputs"], images["reconstructions"]
        self.neighbours = images.get("neighbours")
        real = [x for x in (self.inputs, self.neighbours) if x is not None]
        self.value_range = range_of(real, value_range)
        difference = self.inputs.astype(np.float64) - self.reconstructions
        difference /= self.value_range[1] - self.value_range[0]
        self.errors = np.square(difference).reshape(len(difference), -1).mean(1)

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
            Where the neighbours of the reconstructions are looked for, by Euclidean distance.
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
        if not hasattr(estimator, "reconstruct"):
            raise TypeError(f"{type(estimator).__name__} has no reconstruct; BiGAN, say, has")
        if not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(f"n must be an integer of at least 1, not {n!r}")
        rng = check_random_state(random_state)
        rows = np.sort(rng.permutation(len(X))[:n])
        part = _safe_indexing(X, rows)
        inputs = np.asarray(part)
        back = in_units_of(inputs, np.asarray(estimator.reconstruct(part)))
        near = None if X_train is None else neighbours_in(X_train, back, inputs)
        return cls(inputs, back, near, image_shape=image_shape).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw; ``ax`` is one Axes."""
        rows = {"input": self.inputs, "reconstruction": self.reconstructions}
        if self.neighbours is not None:
            rows["nearest in training"] = self.neighbours
        images = np.stack(np.broadcast_arrays(*rows.values()))
        width, height = panel_size(images)
        size = (width + NAMES, height)
        self.ax_, self.figure_ = take_axes(ax, [size], each="display")
        title = f"mean squared error {self.errors.mean():.2g}"
        draw_grid(self.ax_[0], images, self.value_range, title=title, rows=list(rows))
        return self


def in_units_of(inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """What was reconstructed, in the units of the input.

    Estimators take uint8 images for fractions of 255, whichever of both they were fitted on; flat
    rows of uint8 are to them numbers like others.
    """
    if outputs.dtype == np.uint8 and inputs.dtype != np.uint8:
        return outputs / 255.0
    if inputs.dtype == np.uint8 and outputs.dtype != np.uint8 and inputs.ndim > 2:
        return outputs * 255.0
    return outputs


def neighbours_in(X_train: Any, queries: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """The rows of the training data that are nearest to the queries."""
    from repkit.metrics import nearest_neighbors

    known = X_train if isinstance(X_train, np.ndarray) else np.asarray(X_train)
    if (known.dtype == np.uint8) != (inputs.dtype == np.uint8):
        raise ValueError(
            f"X has dtype {inputs.dtype} and X_train {known.dtype}: only one of them runs to 255"
        )
    return known[nearest_neighbors(known, queries)[:, 0]]
