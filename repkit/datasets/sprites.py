"""Sprites: white shapes on black whose five factors of variation are known.

Our own drawings with the factors of dSprites (Matthey, Higgins, Hassabis and Lerchner, 2017), but
with gray edges, so that a small turn or shift changes the picture by a small amount.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch

from repkit import _arguments
from repkit._random import Seed, generator

__all__ = [
    "Sprites",
    "make_sprites",
]

_VALUES = {
    "shape": np.arange(3.0),
    "scale": np.linspace(0.5, 1, 6),
    "orientation": np.arange(40) * (2 * np.pi / 40),
    "x": np.linspace(0, 1, 32),
    "y": np.linspace(0, 1, 32),
}
_SIZES = tuple(len(values) for values in _VALUES.values())

# In image widths: a shape of scale 1 fits in a circle of this radius about its center of mass,
# and that center moves from a quarter to three quarters. Hence nothing is cut at the border.
_RADIUS = 7 / 32
_FIRST, _TRAVEL = 1 / 4, 1 / 2
# Half a side of the heart's square and its center of mass along each axis of that square, for a
# heart in a circle of radius 1. The square has the area 4, the half discs on two of its sides
# pi / 2 each, their own centers 1 + 4 / (3 pi) away; the tip is the farthest point.
_SHIFT = (np.pi / 2 + 2 / 3) / (4 + np.pi)
_HALF = 1 / (np.sqrt(2) * (1 + _SHIFT))


class Sprites:
    """All 737 280 sprites, as a sequence that draws only what is asked for.

    ``sprites[i]`` is one image (size, size). ``sprites[rows]``, with a slice, an array of rows or a
    mask, is (m, size, size). Both are uint8. Nothing is kept in memory but the rows asked for. Rows
    are in the order of dSprites: y varies fastest, then x, orientation, scale and shape.

    Parameters
    ----------
    size : int, default=64
        Height and width of the images in pixels, at least 16.

    Attributes
    ----------
    shape : tuple of int
        Shape of the whole set, (737280, size, size).
    dtype : numpy.dtype
        Type of the images, uint8.
    factor_names : tuple of str
        Names of the five factors (see :func:`make_sprites`).
    factor_sizes : tuple of int
        Number of values of each factor.

    Raises
    ------
    ValueError
        If `size` is not an integer of at least 16.

    Examples
    --------
    >>> sprites = Sprites()
    >>> sprites[:3].shape
    (3, 64, 64)

    To write the whole set (3 GB) to a file with a few megabytes of memory:

    >>> out = np.lib.format.open_memmap(
    ...     "sprites.npy", "w+", sprites.dtype, sprites.shape)  # doctest: +SKIP
    >>> for start in range(0, len(sprites), 1024):  # doctest: +SKIP
    ...     out[start : start + 1024] = sprites[start : start + 1024]
    """

    dtype = np.dtype(np.uint8)
    factor_names = tuple(_VALUES)
    factor_sizes = _SIZES

    def __init__(self, size: int = 64) -> None:
        self.size = _checked_size(size)
        self.shape = (int(np.prod(_SIZES)), self.size, self.size)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        factors = self.factors(rows)
        images = _draw(factors.reshape(-1, len(_SIZES)), self.size)
        return images.reshape(*factors.shape[:-1], self.size, self.size)

    def factors(self, rows: Any) -> NDArray[np.int64]:
        """Give the class indices of the factors of some rows.

        Parameters
        ----------
        rows : int, slice or array of int or bool
            Rows, chosen as in ``sprites[rows]``.

        Returns
        -------
        factors : ndarray of shape (5,) or (m, 5), int64
            Class indices from 0, in the order of ``factor_names``.

        Raises
        ------
        IndexError
            If a row is below -737280 or above 737279.
        """
        return np.stack(np.unravel_index(self._index(rows), _SIZES), axis=-1).astype(np.int64)

    def _index(self, rows: Any) -> Any:
        """Resolve negative rows, slices and masks as numpy does, without an array of all rows."""
        if isinstance(rows, slice):
            return np.arange(*rows.indices(len(self)))
        index = np.asarray(rows)
        if index.dtype == bool:
            if index.shape != (len(self),):
                raise IndexError(
                    f"rows must have shape ({len(self)},) as a mask, not {index.shape}"
                )
            return np.flatnonzero(index)
        if index.ndim > 1 or (index.dtype.kind not in "iu" and index.size):
            raise IndexError(
                f"rows must be an integer, a vector of integers, a slice or a mask, not {rows!r}"
            )
        index = index.astype(np.int64)
        if index.size and not (-len(self) <= index.min() and index.max() < len(self)):
            raise IndexError(f"rows must be in the range of {len(self)} sprites, not {rows!r}")
        return index % len(self)


def make_sprites(
    n_samples: int = 10000,
    *,
    size: int = 64,
    random_state: Seed = None,
    factors: ArrayLike | None = None,
) -> Bunch:
    """Draw sprites: a random sample, or those of given factors.

    The factors and their values are those of dSprites:

    - ``shape``: 0 square, 1 ellipse (half as wide as long), 2 heart;
    - ``scale``: 6 values from 0.5 to 1, proportional to the radius;
    - ``orientation``: 40 angles from 0 to below 2 pi, clockwise as seen. A square looks the same
      every 10 classes and an ellipse every 20. Only the heart shows them all. (dSprites has both 0
      and 2 pi, the same picture twice.)
    - ``x``, ``y``: 32 values each from 0 to 1, of the center of mass, to the right and *down*. It
      moves over the middle half of the image.

    Parameters
    ----------
    n_samples : int, default=10000
        Number of sprites. Each factor is drawn uniformly and independently of the others, so that a
        sprite may come twice. Ignored if `factors` is given.
    size : int, default=64
        Height and width of the images in pixels, at least 16.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the factors. Numpy's global state is never used.
    factors : array_like of shape (n, 5), optional
        Class indices of the sprites to draw, in the order above.

    Returns
    -------
    data : Bunch
        ``X`` uint8 (n, size, size), 0 = background, 255 = shape, in between where an edge covers
        a part of a pixel; ``factors`` int64 (n, 5), class indices from 0; ``factor_values``
        float64 (n, 5); ``factor_names`` and ``factor_sizes``, tuples of 5.

    Raises
    ------
    ValueError
        If `n_samples` is below 1, `size` is below 16, or `factors` has another shape, is not
        integer, or is out of range.

    See Also
    --------
    Sprites : The whole set, drawn as needed.

    Examples
    --------
    >>> sprites = make_sprites(factors=[[0, 5, 0, 16, 16]])
    >>> sprites.X.shape, sprites.X.max()
    ((1, 64, 64), np.uint8(255))
    """
    size = _checked_size(size)
    if factors is None:
        _arguments.integer(n_samples, "n_samples", 1, 10**7)
        index = generator(random_state).integers(0, _SIZES, size=(n_samples, len(_SIZES)))
    else:
        with _arguments.named("factors", "class indices (n, 5)"):
            index = _checked_factors(np.asarray(factors))
    values = np.stack([v[index[:, j]] for j, v in enumerate(_VALUES.values())], axis=1)
    return Bunch(
        X=_draw(index, size),
        factors=index,
        factor_values=values,
        factor_names=tuple(_VALUES),
        factor_sizes=_SIZES,
    )


def _checked_size(size: int) -> int:
    return _arguments.integer(size, "size", 16, 4096)


def _checked_factors(factors: NDArray[Any]) -> NDArray[np.int64]:
    if factors.ndim != 2 or factors.shape[1] != len(_SIZES):
        raise ValueError(
            f"factors must have shape (n, 5), one column for each, not {factors.shape}"
        )
    if factors.dtype.kind not in "iu":
        raise ValueError(
            f"factors must hold class indices, which are integers, not dtype {factors.dtype}"
        )
    for j, (name, n) in enumerate(zip(_VALUES, _SIZES, strict=True)):
        column = factors[:, j]
        if column.size and not (column.min() >= 0 and column.max() < n):
            raise ValueError(
                f"factors[:, {j}] ({name}) must run from 0 to {n - 1}, not from "
                f"{column.min()} to {column.max()}"
            )
    return factors.astype(np.int64)


def _draw(factors: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """Draw the images (n, size, size) of checked class indices (n, 5)."""
    images = np.zeros((len(factors), size, size), dtype=np.uint8)
    kind = factors[:, 0] * len(_VALUES["scale"]) + factors[:, 1]
    for k in np.unique(kind):
        rows = np.flatnonzero(kind == k)
        # small blocks, whose arrays stay in the processor's cache
        for start in range(0, len(rows), 64):
            _draw_block(images, rows[start : start + 64], factors)
    return images


def _draw_block(
    images: NDArray[np.uint8], rows: NDArray[np.intp], factors: NDArray[np.int64]
) -> None:
    """Draw some rows of one shape and one scale, each in a square window about its center."""
    size = images.shape[1]
    shape, scale, turn, x, y = factors[rows].T
    radius = _RADIUS * size * _VALUES["scale"][scale[0]]
    center = size * (_FIRST + _TRAVEL * np.stack([_VALUES["x"][x], _VALUES["y"][y]]))
    # the edge's gray reaches half a pixel beyond the radius
    window = int(np.ceil(2 * radius + 1)) + 1
    corner = np.clip(np.floor(center - radius - 0.5).astype(np.int64), 0, size - window)

    # Coverage is read off the distance to the edge, which errs at corners: by a fixed share of a
    # pixel, so that finer pixels, averaged afterwards, make it negligible in small images too.
    fine = -(-128 // size)
    grid = (np.arange(window * fine) + 0.5) / fine
    u, v = (corner[:, :, None] + grid - center[:, :, None]).astype(np.float32)
    angle = _VALUES["orientation"][turn]
    cos, sin = (f(angle).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    along = cos * u[:, None, :] + sin * v[:, :, None]
    across = cos * v[:, :, None] - sin * u[:, None, :]
    distance = _DISTANCES[shape[0]](along, across, np.float32(radius))
    cover = np.clip(np.float32(0.5) - distance * np.float32(fine), 0, 1)
    cover = cover.reshape(len(rows), window, fine, window, fine).mean(axis=(2, 4))

    pixels = corner[:, :, None] + np.arange(window)
    images[rows[:, None, None], pixels[1][:, :, None], pixels[0][:, None, :]] = np.rint(255 * cover)


# Signed distances to the edge, negative inside, of shapes whose farthest point from their center
# of mass is r away. They are exact near the edge, the only place where they count.
Plane = NDArray[np.float32]


def _square(u: Plane, v: Plane, r: np.float32) -> Plane:
    return _box(u, v, r / np.float32(np.sqrt(2)))


def _ellipse(u: Plane, v: Plane, r: np.float32) -> Plane:
    # With q the point in units of the half axes, |q| - 1 is 0 on the edge; divided by its slope
    # it is the distance, to first order.
    a, b = r, r / 2
    level = np.hypot(u / a, v / b)
    slope = np.hypot(u / (a * a), v / (b * b))
    return (level - 1) * level / np.maximum(slope, np.float32(1e-6))


def _heart(u: Plane, v: Plane, r: np.float32) -> Plane:
    # A square stood on its corner with a half disc on each of the two upper sides.
    half, shift = r * np.float32(_HALF), r * np.float32(_HALF * _SHIFT)
    diagonal = np.float32(np.sqrt(0.5))
    p, q = (u - v) * diagonal + shift, -(u + v) * diagonal + shift
    discs = np.minimum(np.hypot(p - half, q), np.hypot(p, q - half)) - half
    return np.minimum(_box(p, q, half), discs)


def _box(u: Plane, v: Plane, half: np.float32) -> Plane:
    # Inside and along the sides the larger excess counts, beyond a corner their hypotenuse.
    du, dv = np.abs(u) - half, np.abs(v) - half
    outside = np.hypot(np.maximum(du, 0), np.maximum(dv, 0))
    return outside + np.minimum(np.maximum(du, dv), 0)


_DISTANCES = (_square, _ellipse, _heart)
