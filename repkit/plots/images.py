"""Internal. Grids of images: what is an image, its range and units, where each is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from repkit._arguments import named
from repkit.metrics._arrays import as_numpy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL = 0.45  # inches of a cell's height
TITLE = 0.35  # inches
LABELS = 0.3  # inches of the labels below


def as_images(samples: Any, image_shape: Any = None, *, name: str = "samples") -> np.ndarray:
    """Samples as images with their channels last, ``(n, ...) -> (n, height, width, 1 or 3)``.

    Parameters
    ----------
    samples : array-like
        Of shape (n, height, width) or (n, 1 or 3, height, width); with ``image_shape``, of as many
        numbers.
    image_shape : tuple of int, optional
        (height, width), (1, height, width) or (3, height, width).

    Raises
    ------
    ValueError
        If they are not images.
    """
    samples = as_numpy(samples, name)
    if samples.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be numbers, not of dtype {samples.dtype}")
    found = samples.shape[1:]
    with named("image_shape", "a tuple of integers"):
        shape = found if image_shape is None else tuple(int(k) for k in np.ravel(image_shape))
    if prod(shape) != prod(found):
        raise ValueError(
            f"image_shape must hold as many numbers as {name} of shape {found}, not {shape}"
        )
    height_width = (1, *shape) if len(shape) == 2 else shape
    if len(height_width) != 3 or height_width[0] not in (1, 3) or not all(shape):
        side = isqrt(prod(found))
        advice = f"; or give image_shape=({side}, {side})" if side**2 == prod(found) else ""
        raise ValueError(
            f"{name} must be images of shape (height, width), (1, height, width) or (3, "
            f"height, width), not {shape}{advice}"
        )
    return np.moveaxis(samples.reshape(-1, *height_width), 1, -1)


def grid_of(samples: Any, image_shape: Any = None, *, name: str = "samples") -> np.ndarray:
    """Rows of images, ``(n_rows, n_columns, ...) -> (n_rows, n_columns, h, w, 1 or 3)``."""
    samples = as_numpy(samples, name)
    if samples.ndim < 3 or 0 in samples.shape:
        raise ValueError(f"{name} must have shape (n_rows, n_columns, ...), not {samples.shape}")
    rows, columns, *rest = samples.shape
    images = as_images(samples.reshape(-1, *rest), image_shape, name=name)
    return images.reshape(rows, columns, *images.shape[1:])


def range_of(samples: Sequence[np.ndarray], given: Any = None) -> tuple[float, float]:
    """The values that are drawn black and white: those given, or those that such data can have.

    0 and 255 for uint8, 0 and 1 for what lies between, else the least and the greatest.
    """
    if given is not None:
        with named("value_range", "(low, high)"):
            low, high = (float(v) for v in given)
        if not low < high:
            raise ValueError(f"value_range must be (low, high), not {given!r}")
        return low, high
    if samples[0].dtype == np.uint8:
        return 0.0, 255.0
    low = min(float(x.min()) for x in samples)
    high = max(float(x.max()) for x in samples)
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    return low, high if high > low else low + 1.0


def fitted_range(estimator: Any) -> tuple[float, float] | None:
    """The range of the floats that an estimator was fitted on: samples alone can be all gray."""
    if not hasattr(estimator, "span_") or estimator.dtype_ == "uint8":
        return None
    low, span = np.asarray(estimator.low_), np.asarray(estimator.span_)
    return float(low.min()), float((low + span).max())


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


def mosaic(images: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """One white-grouted picture of many, ``(rows, columns, h, w, 1 or 3) -> (H, W, 3)``."""
    low, high = limits
    shown = ((images.astype(np.float64) - low) / (high - low)).clip(0.0, 1.0)
    rows, columns, h, w, _ = shown.shape
    g = gap(h)
    out = np.ones((rows, h + g, columns, w + g, 3))
    out[:, :h, :, :w] = shown.transpose(0, 2, 1, 3, 4)
    return out.reshape(rows * (h + g), columns * (w + g), 3)[:-g, :-g]


def gap(height: int) -> int:
    """Pixels between images."""
    return max(1, height // 14)


def panel_size(images: np.ndarray, *, labels: bool = False) -> tuple[float, float]:
    """Inches for a grid ``(rows, columns, h, w, channels)`` with its title and labels below."""
    rows, columns, h, w, _ = images.shape
    return max(columns * CELL * w / h, 1.6) + 0.3, rows * CELL + TITLE + LABELS * labels


def draw_grid(
    axes: Axes,
    images: np.ndarray,
    limits: tuple[float, float],
    *,
    title: str,
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
) -> None:
    """Draw a grid ``(rows, columns, h, w, channels)``, labels below its columns and left of it."""
    h, w = images.shape[2:4]
    g = gap(h)
    axes.imshow(mosaic(images, limits))
    axes.set_anchor("N")
    axes.set_xticks(np.arange(len(columns)) * (w + g) + (w - 1) / 2, columns, fontsize="small")
    axes.set_yticks(np.arange(len(rows)) * (h + g) + (h - 1) / 2, rows, fontsize="small")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title)
