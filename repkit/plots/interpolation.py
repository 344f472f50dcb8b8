"""`InterpolationDisplay`: what lies between two images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from repkit.plots.figure import take_axes
from repkit.plots.images import as_images, draw_grid, grid_of, in_units_of, panel_size, range_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class InterpolationDisplay:
    """Rows of decoded images on the way from one input to another, the inputs at both ends.

    Parameters
    ----------
    starts, ends : array-like of shape (n_pairs, ...)
        Images, gray (height, width) or (1, height, width), or in color (3, height, width).
    between : array-like of shape (n_pairs, n_steps, ...)
        What is decoded on the way.
    image_shape : tuple of int, optional
        Of images that are flat rows: (8, 8), say.
    value_range : (low, high), optional
        What is drawn black and white. Default: 0 and 255 for uint8, 0 and 1 for what lies between,
        else the least and greatest value of the inputs.

    Attributes
    ----------
    images : ndarray of shape (n_pairs, n_steps + 2, height, width, channels)
        Start, steps, end.
    ax_ : list of one Axes
    figure_ : Figure
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
        """Plot ``estimator.interpolate``, a row for each pair.

        Parameters
        ----------
        estimator : fitted estimator with ``interpolate``
        X_start, X_end : array-like of shape (n_pairs, ...)
        n_steps : int
            Images decoded in each row, both reconstructed ends among them.
        image_shape : tuple of int, optional
            For an estimator of flat rows.
        ax : Axes, optional

        Raises
        ------
        TypeError
            If the estimator does not interpolate.
        ValueError
            If X_start and X_end do not hold images that go together.
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
        """Draw; ``ax`` is one Axes."""
        size = panel_size(self.images, labels=True)
        self.ax_, self.figure_ = take_axes(ax, [size], each="display")
        labels = ["start", *[""] * (self.images.shape[1] - 2), "end"]
        draw_grid(self.ax_[0], self.images, self.value_range, title="interpolation", columns=labels)
        return self
