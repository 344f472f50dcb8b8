"""Slant and stroke width of a digit, computed from its image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.stats import spearmanr

ZOOM = 3  # thresholds on a finer grid see fractions of a pixel


def slant(images: np.ndarray) -> np.ndarray:
    """Shear of the ink, a tangent: its covariance of x and y over its variance of y."""
    ink = images.reshape(len(images), *images.shape[-2:]).astype(np.float64)
    rows, columns = np.indices(ink.shape[1:])
    mass = ink.sum((1, 2))

    def moment(weights: np.ndarray) -> np.ndarray:
        return (ink * weights).sum((1, 2)) / mass

    x, y = moment(columns), moment(rows)
    dy = rows - y[:, None, None]
    return moment((columns - x[:, None, None]) * dy) / moment(dy**2)


def width(images: np.ndarray) -> np.ndarray:
    """Stroke width in pixels, from the mean distance of ink to paper.

    Across a stroke w pixels wide the distances are 1, 2, ... w / 2 and back: w / 4 + 1 / 2 on
    average.
    """
    ink = images.reshape(len(images), *images.shape[-2:]).astype(np.float64)
    ink = ink / ink.max((1, 2), keepdims=True)
    found = []
    for image in ink:
        fine = ndimage.zoom(image, ZOOM, order=1) > 0.5
        distance = ndimage.distance_transform_edt(fine)[fine].mean()
        found.append(4.0 * (distance - 0.5) / ZOOM)
    return np.array(found)


def correlations(codes: np.ndarray, images: np.ndarray) -> dict[str, float]:
    """The greatest absolute rank correlation of a code with slant, and with stroke width."""
    return {
        f"rho of {name}": max(abs(spearmanr(code, values).statistic) for code in codes.T)
        for name, values in (("slant", slant(images)), ("width", width(images)))
    }
