"""`InterpolationDisplay`: what lies between two images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from repkit.plots.figure import take_axes
from repkit.plots.images import as_images, draw_grid, grid_of, in_units_of, panel_size, range_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "InterpolationDisplay",
]


class InterpolationDisplay:
    """Rows of decoded images on the way from one input to another, the inputs at both ends.

    Parameters
    ----------
    starts : array-like of shape (n_pairs, ...)
        Images, gray (height, width) or (1, height, width), or in color (3, height, width).
    ends : array-like of shape (n_pairs, ...)
        Images of the same kind.
    between : array-like of shape (n_pairs, n_steps, ...)
        Images decoded on the way.
    image_shape : tuple of int, optional
        Shape of images that are flat rows, such as (8, 8).
    value_range : (low, high), optional
        Values that are drawn black and white. Default: 0 and 255 for uint8, 0 and 1 for values
        within, else the least and the greatest value of the inputs.

    Attributes
    ----------
    images : ndarray of shape (n_pairs, n_steps + 2, height, width, channels)
        Start, steps and end of each pair.
    ax_ : list of one Axes
        Where the images are drawn.
    figure_ : Figure
        The figure that holds the Axes.
    """

    ax_: list[Axes]
    figure_: Figure

    def __init__(
        self,
        starts: Any,
        ends: Any,
        between: Any,
        *,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        inputs = [as_images(starts, image_shape, name="starts")]
        inputs.append(as_images(ends, image_shape, name="ends"))
        steps = grid_of(between, image_shape, name="between")
        if not inputs[0].shape == inputs[1].shape == (len(steps), *steps.shape[2:]):
            raise ValueError(
                "starts and ends must have shape (n_pairs, ...) and between (n_pairs, "
                f"n_steps, ...), not {np.shape(starts)}, {np.shape(ends)} and "
                f"{np.shape(between)}"
            )
        self.value_range = range_of(inputs, value_range)
        self.images = np.concatenate([inputs[0][:, None], steps, inputs[1][:, None]], axis=1)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X_start: Any,
        X_end: Any,
        *,
        n_steps: int = 8,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot ``estimator.interpolate``: a row for each pair.

        Parameters
        ----------
        estimator : fitted estimator with ``interpolate``
            Such as BiGAN, VAE or VAEGAN.
        X_start : array-like of shape (n_pairs, ...)
            Images to start from.
        X_end : array-like of shape (n_pairs, ...)
            Images of the same kind to end at.
        n_steps : int, default=8
            Images to decode in each row, including both reconstructed ends.
        image_shape : tuple of int, optional
            Shape of the images of an estimator of flat rows, such as (8, 8).
        ax : Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : InterpolationDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        TypeError
            If the estimator does not interpolate.
        ValueError
            If `X_start` and `X_end` are not images of one kind, or not equally many.
        """
        if not hasattr(estimator, "interpolate"):
            raise TypeError(
                "estimator must have the method interpolate, as VAEGAN has; "
                f"{type(estimator).__name__} does not have it"
            )
        starts, ends = np.asarray(X_start), np.asarray(X_end)
        if starts.shape != ends.shape or starts.dtype != ends.dtype:
            raise ValueError(
                f"X_start and X_end must hold as many images of one kind, not {starts.dtype} "
                f"of shape {starts.shape} and {ends.dtype} of shape {ends.shape}"
            )
        steps = in_units_of(starts, np.asarray(estimator.interpolate(X_start, X_end, n_steps)))
        return cls(starts, ends, steps, image_shape=image_shape).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the rows of images.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : InterpolationDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        ValueError
            If `ax` does not hold one Axes.
        """
        size = panel_size(self.images, labels=True)
        self.ax_, self.figure_ = take_axes(ax, [size], each="display")
        labels = ["start", *[""] * (self.images.shape[1] - 2), "end"]
        draw_grid(self.ax_[0], self.images, self.value_range, title="interpolation", columns=labels)
        return self
