"""`TraversalDisplay`: what each code of a generator changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from repkit._random import legacy_generator
from repkit.plots.figure import take_axes
from repkit.plots.images import draw_grid, fitted_range, grid_of, panel_size, range_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CONTINUOUS = np.linspace(-2.0, 2.0, 10)  # as in the paper, beyond the prior's [-1, 1]


class TraversalDisplay:
    """Generated images, a panel for each code: along a row only the code changes.

    Parameters
    ----------
    samples : mapping of str to array-like of shape (n_rows, n_values, ...)
        For each code its images, gray (height, width) or (1, height, width), or in color
        (3, height, width).
    values : mapping of str to sequence, optional
        For each code the values of the columns, written below them.
    image_shape : tuple of int, optional
        Of samples that are flat rows: (8, 8), say.
    value_range : (low, high), optional
        What is drawn black and white. Default: 0 and 255 for uint8, 0 and 1 for what lies between,
        else the least and greatest value.

    Attributes
    ----------
    images : dict of str to ndarray of shape (n_rows, n_values, height, width, channels)
    ax_ : list of Axes
    figure_ : Figure
    """

    ax_: list[Axes]
    figure_: Figure

    def __init__(
        self,
        samples: Mapping[str, Any],
        values: Mapping[str, Any] | None = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.images = {name: grid_of(x, image_shape) for name, x in samples.items()}
        if not self.images:
            raise ValueError("samples must have at least one code to draw")
        self.values = {name: list(v) for name, v in (values or {}).items()}
        for name, row in self.values.items():
            if name not in self.images:
                raise ValueError(
                    f"values must name codes of samples, {list(self.images)}, not {name!r}"
                )
            columns = self.images[name].shape[1]
            if len(row) != columns:
                raise ValueError(
                    f"values[{name!r}] must have {columns} entries, one for each column of "
                    f"samples, not {len(row)}"
                )
        self.value_range = range_of(list(self.images.values()), value_range)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        codes: str | Iterable[str] | None = None,
        values: Any = None,
        n_rows: int = 5,
        *,
        random_state: Any = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot ``estimator.traverse`` of some codes; row k has the same noise in every panel.

        Parameters
        ----------
        estimator : fitted InfoGAN
        codes : str or sequence of str, optional
            "category0", "continuous1"; default: all.
        values : array-like, or mapping of str to array-like, optional
            Of every code drawn, or by code. Default: every category; ten values from -2 to 2.
        n_rows : int
        random_state : int, RandomState or None
            Of the noise.
        image_shape : tuple of int, optional
            For an estimator of flat rows.
        ax : sequence of Axes, optional
            One for each code.

        Raises
        ------
        TypeError
            If the estimator has no codes to traverse.
        ValueError
            If a code or a value is unknown, or what is generated is no image.
        """
        if not hasattr(estimator, "traverse"):
            raise TypeError(
                f"{type(estimator).__name__} has no codes to traverse; InfoGAN, say, has"
            )
        known = codes_of(estimator)
        chosen = list(known) if codes is None else [codes] if isinstance(codes, str) else [*codes]
        given = values if isinstance(values, Mapping) else dict.fromkeys(chosen, values)
        if unknown := [code for code in [*chosen, *given] if code not in known]:
            raise ValueError(f"codes must be among {list(known)}, not {unknown[0]!r}")
        shown = {
            code: known[code] if given.get(code) is None else np.ravel(given[code])
            for code in chosen
        }
        if not isinstance(random_state, int | np.integer):  # one noise for all codes
            random_state = legacy_generator(random_state).randint(2**31 - 1)
        samples = {
            code: estimator.traverse(code, row, n_rows=n_rows, random_state=random_state)
            for code, row in shown.items()
        }
        display = cls(samples, shown, image_shape=image_shape, value_range=fitted_range(estimator))
        return display.plot(ax=ax)

    @classmethod
    def from_samples(
        cls,
        samples: Any,
        values: Any = None,
        *,
        title: str = "",
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot one panel of images from anywhere.

        Parameters
        ----------
        samples : array-like of shape (n_rows, n_values, ...)
        values : sequence of length n_values, optional
            Numbers or words, written below the columns.
        title : str
        image_shape, value_range
            See the class.
        ax : Axes, optional
        """
        display = cls(
            {title: samples},
            None if values is None else {title: values},
            image_shape=image_shape,
            value_range=value_range,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw; ``ax`` is one Axes for each code."""
        sizes = [panel_size(images, labels=bool(self.values)) for images in self.images.values()]
        self.ax_, self.figure_ = take_axes(ax, sizes, each="code")
        for axes, (name, images) in zip(self.ax_, self.images.items(), strict=True):
            labels = labels_of(self.values.get(name, ()))
            draw_grid(axes, images, self.value_range, title=name, columns=labels)
        return self


def codes_of(estimator: Any) -> dict[str, np.ndarray]:
    """The codes of a fitted estimator, by the names of its features, and values to show."""
    codes: dict[str, np.ndarray] = {}
    for name in estimator.get_feature_names_out():
        if category := re.fullmatch(r"(category\d+)_\d+", name):
            code = category[1]
            codes[code] = np.arange(len(codes.get(code, ())) + 1)
        else:
            codes[name] = CONTINUOUS
    return codes


def labels_of(values: Iterable[Any]) -> list[str]:
    """Short names of values that tell them apart."""
    values = list(values)
    if not all(isinstance(v, float | np.floating) for v in values):
        return [str(v) for v in values]
    for digits in range(2, 8):
        labels = [f"{v + 0.0:.{digits}g}" for v in values]
        if len(set(labels)) == len(set(values)):
            break
    return labels
