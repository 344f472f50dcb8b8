"""`TraversalDisplay`: what each code of a generator changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils import _safe_indexing

from repkit._arguments import mapping
from repkit._random import legacy_generator
from repkit.plots.figure import take_axes
from repkit.plots.images import draw_grid, fitted_range, grid_of, panel_size, range_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "TraversalDisplay",
]

_CONTINUOUS = np.linspace(-2.0, 2.0, 10)  # as in InfoGAN's paper, beyond the prior's [-1, 1]
_UNIFORM = np.linspace(-1.0, 1.0, 10)
_COLUMNS = 8  # latent columns drawn by default
_ENCODED = 256  # samples that tell which columns vary


class TraversalDisplay:
    """Generated images with a panel for each code: along a row, only the code changes.

    Parameters
    ----------
    samples : mapping of str to array-like of shape (n_rows, n_values, ...)
        Images of each code, gray (height, width) or (1, height, width), or in color
        (3, height, width).
    values : mapping of str to sequence, optional
        Values of the columns of each code, to write below them.
    image_shape : tuple of int, optional
        Shape of samples that are flat rows, such as (8, 8).
    value_range : (low, high), optional
        Values that are drawn black and white. Default: 0 and 255 for uint8, 0 and 1 for values
        within, else the least and the greatest value.

    Attributes
    ----------
    images : dict of str to ndarray of shape (n_rows, n_values, height, width, channels)
        Images of each code.
    ax_ : list of Axes
        One for each code.
    figure_ : Figure
        The figure that holds the Axes.
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
        mapping(samples, "samples", "images (n_rows, n_columns, ...) by code")
        mapping({} if values is None else values, "values", "values by code")
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
        X: Any = None,
        random_state: Any = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot what some codes of an estimator change.

        The codes of an InfoGAN, or columns of the latent space of a BiGAN, VAE or VAEGAN. Row k
        has the same noise or the same sample in every panel.

        Parameters
        ----------
        estimator : fitted estimator
            With ``traverse``, or with ``transform``, ``inverse_transform`` and ``sample``.
        codes : str or sequence of str, optional
            Names of codes, such as "category0" or "vae3" (see ``get_feature_names_out``). Default:
            all codes of an InfoGAN; the eight latent columns that vary most.
        values : array-like, or mapping of str to array-like, optional
            Values of every code, or by code. Default: all categories, and ten values from -2 to 2
            (from -1 to 1 if the prior is uniform).
        n_rows : int, default=5
            Rows of each panel.
        X : array-like of shape (n, ...), optional
            Samples whose latent columns change: `n_rows` of them, chosen at random. Default:
            generated samples. Not for an InfoGAN, whose rows are noise.
        random_state : int, RandomState, Generator or None, default=None
            Draws the noise or the samples.
        image_shape : tuple of int, optional
            Shape of the images of an estimator of flat rows, such as (8, 8).
        ax : sequence of Axes, optional
            One for each code. Default: a new figure.

        Returns
        -------
        display : TraversalDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        TypeError
            If the estimator has no codes to traverse.
        ValueError
            If a code or a value is unknown, or samples are not images.
        """
        if not isinstance(random_state, int | np.integer):  # one seed for all codes
            random_state = legacy_generator(random_state).randint(2**31 - 1)
        if hasattr(estimator, "traverse"):
            known = _codes_of(estimator)
            default = list(known)
        elif all(hasattr(estimator, name) for name in ("inverse_transform", "sample")):
            latents, default = _latents_of(estimator, X, n_rows, random_state)
            uniform = getattr(estimator, "prior", None) == "uniform"
            known = dict.fromkeys(latents, _UNIFORM if uniform else _CONTINUOUS)
        else:
            raise TypeError(
                "estimator must have codes to traverse, as InfoGAN and VAE have; "
                f"{type(estimator).__name__} does not"
            )
        chosen = default if codes is None else [codes] if isinstance(codes, str) else [*codes]
        given = values if isinstance(values, Mapping) else dict.fromkeys(chosen, values)
        if unknown := [code for code in [*chosen, *given] if code not in known]:
            raise ValueError(f"codes must be among {list(known)}, not {unknown[0]!r}")
        shown = {
            code: known[code] if given.get(code) is None else np.ravel(given[code])
            for code in chosen
        }
        if hasattr(estimator, "traverse"):
            samples = {
                code: estimator.traverse(code, row, n_rows=n_rows, random_state=random_state)
                for code, row in shown.items()
            }
        else:
            rows = np.stack(list(latents.values()), axis=1)
            samples = {
                code: _traversed(estimator, rows, list(latents).index(code), row)
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
            Images, gray (height, width) or (1, height, width), or in color (3, height, width).
        values : sequence of length n_values, optional
            Numbers or words to write below the columns.
        title : str, default=""
            Title of the panel.
        image_shape : tuple of int, optional
            Shape of samples that are flat rows, such as (8, 8).
        value_range : (low, high), optional
            Values that are drawn black and white. Default: 0 and 255 for uint8, 0 and 1 for values
            within, else the least and the greatest value.
        ax : Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : TraversalDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        ValueError
            If samples are not images, or `values` has another length.
        """
        display = cls(
            {title: samples},
            None if values is None else {title: values},
            image_shape=image_shape,
            value_range=value_range,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the panels.

        Parameters
        ----------
        ax : sequence of Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : TraversalDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        ValueError
            If `ax` does not hold one Axes for each code.
        """
        sizes = [panel_size(images, labels=bool(self.values)) for images in self.images.values()]
        self.ax_, self.figure_ = take_axes(ax, sizes, each="code")
        for axes, (name, images) in zip(self.ax_, self.images.items(), strict=True):
            labels = _labels_of(self.values.get(name, ()))
            draw_grid(axes, images, self.value_range, title=name, columns=labels)
        return self


def _latents_of(
    estimator: Any, X: Any, n_rows: int, seed: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Give the latent columns (n_rows,) of some samples, and the names that vary most."""
    if X is None:
        encoded = estimator.transform(estimator.sample(max(n_rows, _ENCODED), random_state=seed))
    else:
        rows = legacy_generator(seed).permutation(len(X))[: max(n_rows, _ENCODED)]
        encoded = estimator.transform(_safe_indexing(X, rows))
    encoded = np.asarray(encoded)
    names = [str(name) for name in estimator.get_feature_names_out()]
    most = np.sort(np.argsort(-encoded.std(axis=0), kind="stable")[:_COLUMNS])
    return dict(zip(names, encoded[:n_rows].T, strict=True)), [names[k] for k in most]


def _traversed(estimator: Any, latents: np.ndarray, column: int, values: Any) -> np.ndarray:
    """Give samples (n_rows, n_values, ...) of latents (n_rows, d) with one column set to values."""
    values = np.asarray(values, dtype=latents.dtype)
    changed = np.repeat(latents[:, None], len(values), axis=1)
    changed[:, :, column] = values
    samples = np.asarray(estimator.inverse_transform(changed.reshape(-1, latents.shape[1])))
    return samples.reshape(len(latents), len(values), *samples.shape[1:])


def _codes_of(estimator: Any) -> dict[str, np.ndarray]:
    """Give the codes of a fitted InfoGAN, by the names of its features, with values to show."""
    codes: dict[str, np.ndarray] = {}
    for name in estimator.get_feature_names_out():
        if category := re.fullmatch(r"(category\d+)_\d+", name):
            code = category[1]
            codes[code] = np.arange(len(codes.get(code, ())) + 1)
        else:
            codes[name] = _CONTINUOUS
    return codes


def _labels_of(values: Iterable[Any]) -> list[str]:
    """Give short names of values that tell them apart."""
    values = list(values)
    if not all(isinstance(v, float | np.floating) for v in values):
        return [str(v) for v in values]
    for digits in range(2, 8):
        labels = [f"{v + 0.0:.{digits}g}" for v in values]
        if len(set(labels)) == len(set(values)):
            break
    return labels
