"""`SampleGridDisplay`: samples of a generator, class by class."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import signature
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from repkit.plots.figure import take_axes
from repkit.plots.images import draw_grid, fitted_range, grid_of, panel_size, range_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "SampleGridDisplay",
]

_LETTER = 0.08  # inches of a letter of a row's name


class SampleGridDisplay:
    """Generated images in a grid, with a row for each class of a conditional generator.

    Parameters
    ----------
    samples : array-like of shape (n_rows, n_columns, ...)
        Images, gray (height, width) or (1, height, width), or in color (3, height, width).
    classes : sequence of length n_rows, optional
        Names to write beside the rows.
    image_shape : tuple of int, optional
        Shape of samples that are flat rows, such as (8, 8).
    value_range : (low, high), optional
        Values that are drawn black and white. Default: 0 and 255 for uint8, 0 and 1 for values
        within, else the least and the greatest value.

    Attributes
    ----------
    images : ndarray of shape (n_rows, n_columns, height, width, channels)
        Samples as images.
    ax_ : list of one Axes
        Where the images are drawn.
    figure_ : Figure
        The figure that holds the Axes.
    """

    ax_: list[Axes]
    figure_: Figure

    def __init__(
        self,
        samples: Any,
        classes: Iterable[Any] | None = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.images = grid_of(samples, image_shape)
        self.classes = None if classes is None else list(classes)
        if self.classes is not None and len(self.classes) != len(self.images):
            raise ValueError(
                f"classes must name {len(self.images)} rows of samples, not {len(self.classes)}"
            )
        self.value_range = range_of([self.images], value_range)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        n_per_class: int = 10,
        random_state: Any = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot samples of an estimator.

        There is a row for each of ``classes_`` if ``sample`` takes the classes of its samples as
        ``y``, and a square grid otherwise.

        Parameters
        ----------
        estimator : fitted estimator with ``sample``
            Such as BiGAN, InfoGAN, TripleGAN, VAE or VAEGAN.
        n_per_class : int, default=10
            Samples in a row, and the number of rows if there are no classes.
        random_state : int, RandomState, Generator or None, default=None
            Passed on to ``sample``.
        image_shape : tuple of int, optional
            Shape of the images of an estimator of flat rows, such as (8, 8).
        ax : Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : SampleGridDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        TypeError
            If the estimator does not sample.
        ValueError
            If `n_per_class` is not a positive integer, or samples are not images.
        """
        if not hasattr(estimator, "sample"):
            raise TypeError(
                "estimator must have the method sample, as BiGAN has; "
                f"{type(estimator).__name__} does not have it"
            )
        if not isinstance(n_per_class, int | np.integer) or n_per_class < 1:
            raise ValueError(f"n_per_class must be an integer of at least 1, not {n_per_class!r}")
        classes = None
        if hasattr(estimator, "classes_") and "y" in signature(estimator.sample).parameters:
            classes = np.asarray(estimator.classes_)
            y = np.repeat(classes, n_per_class)
            samples = estimator.sample(len(y), y=y, random_state=random_state)
        else:
            samples = estimator.sample(n_per_class**2, random_state=random_state)
        samples = np.asarray(samples)
        grid = samples.reshape(-1, n_per_class, *samples.shape[1:])
        display = cls(grid, classes, image_shape=image_shape, value_range=fitted_range(estimator))
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the grid of images.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : SampleGridDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        ValueError
            If `ax` does not hold one Axes.
        """
        names = [str(name) for name in self.classes or ()]
        width, height = panel_size(self.images)
        size = (width + _LETTER * max(map(len, names), default=0), height)
        self.ax_, self.figure_ = take_axes(ax, [size], each="display")
        title = "samples" if self.classes is None else "samples by class"
        draw_grid(self.ax_[0], self.images, self.value_range, title=title, rows=names)
        return self
