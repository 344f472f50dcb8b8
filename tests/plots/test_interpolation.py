"""`InterpolationDisplay`: the inputs at the ends, what is decoded between."""

import numpy as np
import pytest

from repkit import DANN, InterpolationDisplay


class Straight:
    """The straight line between two images, in their type or in another."""

    def __init__(self, scale=1.0, out=None):
        self.scale, self.out = scale, out

    def interpolate(self, X_start, X_end, n_steps):
        a, b = (np.asarray(X, dtype=float)[:, None] for X in (X_start, X_end))
        t = np.linspace(0, 1, n_steps).reshape(-1, *[1] * (a.ndim - 2))
        steps = (a + t * (b - a)) * self.scale
        return steps.astype(self.out or steps.dtype)


@pytest.fixture
def pairs():
    return np.random.default_rng(0).random((2, 4, 3, 5))


def test_start_steps_end(plt, pairs):
    figure, axes = plt.subplots()
    display = InterpolationDisplay.from_estimator(Straight(0.5), *pairs, n_steps=6, ax=axes)
    assert display.images.shape == (4, 8, 3, 5, 1)
    images = display.images[..., 0]
    np.testing.assert_array_equal(images[:, 0], pairs[0])
    np.testing.assert_array_equal(images[:, -1], pairs[1])
    for k in range(6):
        np.testing.assert_allclose(images[:, k + 1], (pairs[0] * (5 - k) + pairs[1] * k) / 10)
    picture = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(picture[8:11, 12:17, 0], images[2, 2])
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["start", *[""] * 6, "end"]
    assert (display.ax_, display.figure_) == ([axes], figure)


def test_there_are_eight_steps_unless_said(plt, pairs):
    assert InterpolationDisplay.from_estimator(Straight(), *pairs).images.shape[1] == 10


def test_color_flat_rows_and_units(plt):
    X = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 4, 4), dtype=np.uint8)
    # fitted on floats, the estimator gives fractions
    display = InterpolationDisplay.from_estimator(Straight(1 / 255, float), *X, n_steps=2)
    assert display.value_range == (0.0, 255.0)
    np.testing.assert_allclose(display.images[:, 1], np.moveaxis(X[0], 1, -1))
    flat = np.random.default_rng(0).random((2, 5, 16)) * 9
    display = InterpolationDisplay.from_estimator(Straight(), *flat, image_shape=(4, 4))
    np.testing.assert_allclose(display.images[2, 1].ravel(), flat[0, 2])
    # uint8 rows are numbers like others
    rows = np.full((2, 1, 16), 200, dtype=np.uint8)
    display = InterpolationDisplay.from_estimator(Straight(), *rows, image_shape=(4, 4))
    assert display.images.max() == 200


def test_the_range_is_that_of_the_inputs(plt, pairs):
    display = InterpolationDisplay.from_estimator(Straight(7.0), *(pairs * 4.0))
    assert display.value_range == (4 * pairs.min(), 4 * pairs.max())


def test_interpolation_refuses(plt, pairs):
    with pytest.raises(
        TypeError, match="estimator must have the method interpolate, as VAEGAN has; DANN"
    ):
        InterpolationDisplay.from_estimator(DANN(), *pairs)
    with pytest.raises(
        ValueError, match="X_start and X_end must hold as many images of one kind, not"
    ):
        InterpolationDisplay.from_estimator(Straight(), pairs[0], pairs[1][:3])
    with pytest.raises(
        ValueError, match="X_start and X_end must hold as many images of one kind, not"
    ):
        InterpolationDisplay.from_estimator(Straight(), pairs[0], pairs[1].astype(np.uint8))
    with pytest.raises(
        ValueError, match=r"starts and ends must have shape \(n_pairs, \.\.\.\) and between"
    ):
        InterpolationDisplay(*pairs, np.zeros((3, 2, 3, 5)))
    with pytest.raises(
        ValueError, match=r"between must have shape \(n_rows, n_columns, \.\.\.\), not \(4"
    ):
        InterpolationDisplay(*pairs, np.zeros((4, 3)))
    with pytest.raises(
        ValueError, match=r"starts must be images of shape \(height, width\), \(1, height"
    ):
        InterpolationDisplay(np.zeros((2, 16)), np.zeros((2, 16)), np.zeros((2, 3, 16)))
    assert not plt.get_fignums()
