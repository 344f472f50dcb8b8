"""Grids of images: what counts as one, what is black and white, and where each goes."""

import numpy as np
import pytest

from repkit.plots.images import as_images, draw_grid, gap, mosaic, panel_size, range_of


@pytest.mark.parametrize(
    ("shape", "image_shape", "wanted"),
    [
        ((5, 4, 6), None, (5, 4, 6, 1)),
        ((5, 1, 4, 6), None, (5, 4, 6, 1)),
        ((5, 3, 4, 6), None, (5, 4, 6, 3)),
        ((5, 24), (4, 6), (5, 4, 6, 1)),
        ((5, 72), (3, 4, 6), (5, 4, 6, 3)),
    ],
)
def test_images_of_every_shape(shape, image_shape, wanted):
    samples = np.random.default_rng(0).random(shape)
    images = as_images(samples, image_shape)
    assert images.shape == wanted
    channels_first = samples.reshape(5, -1, 4, 6)
    np.testing.assert_array_equal(images[2, 1, 3], channels_first[2, :, 1, 3])


@pytest.mark.parametrize(
    ("shape", "image_shape", "message"),
    [
        ((5, 64), None, r"rows must be images of shape \(height, width\), \(1, height"),
        ((5, 63), None, r"rows must be images of shape \(height, width\), \(1, height"),
        ((5, 4, 6, 3), None, r"rows must be images of shape \(height, width\), \(1, height"),
        ((5, 64), (4, 6), r"image_shape must hold as many numbers as rows of shape \(64,\)"),
        ((5, 64), (64,), r"rows must be images of shape \(height, width\), \(1, height"),
        ((5,), None, r"rows must be images of shape \(height, width\), \(1, height"),
    ],
)
def test_what_is_no_image(shape, image_shape, message):
    with pytest.raises(ValueError, match=message):
        as_images(np.zeros(shape), image_shape, name="rows")


def test_words_are_no_images():
    with pytest.raises(ValueError, match="samples must be numbers, not of dtype <U1"):
        as_images(np.full((2, 3, 3), "a"))


def test_the_range_is_that_of_the_kind_of_data():
    floats = np.linspace(0.2, 0.6, 4)
    assert range_of([np.array([3, 9], dtype=np.uint8)]) == (0.0, 255.0)
    assert range_of([floats]) == (0.0, 1.0)
    assert range_of([floats, 16.0 * floats]) == pytest.approx((0.2, 9.6))
    assert range_of([floats - 0.5]) == pytest.approx((-0.3, 0.1))
    assert range_of([np.full(3, 7.0)]) == (7.0, 8.0)
    assert range_of([floats], (-1, 2)) == (-1.0, 2.0)
    with pytest.raises(ValueError, match=r"value_range must be \(low, high\), not \(2, 1\)"):
        range_of([floats], (2, 1))


@pytest.mark.parametrize("side", [4, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_has_its_place_and_white_around(side, channels):
    images = np.random.default_rng(0).random((2, 3, side, side + 1, channels)) * 10.0
    picture = mosaic(images, (0.0, 10.0))
    g = gap(side)
    assert picture.shape == (2 * (side + g) - g, 3 * (side + 1 + g) - g, 3)
    seen = np.zeros(picture.shape[:2], dtype=bool)
    for row in range(2):
        for column in range(3):
            y, x = row * (side + g), column * (side + 1 + g)
            part = np.s_[y : y + side, x : x + side + 1]
            np.testing.assert_allclose(
                picture[part], np.broadcast_to(images[row, column] / 10.0, (side, side + 1, 3))
            )
            seen[part] = True
    assert (picture[~seen] == 1.0).all()


def test_values_out_of_the_range_are_clipped():
    images = np.array([-5.0, 0.0, 5.0, 25.0]).reshape(1, 1, 2, 2, 1)
    picture = mosaic(images, (0.0, 10.0))
    np.testing.assert_allclose(picture[..., 0], [[0.0, 0.0], [0.5, 1.0]])


def test_a_grid_is_drawn_with_square_pixels_and_labels_at_the_middle_of_cells(plt):
    axes = plt.figure().subplots()
    images = np.zeros((2, 3, 4, 6, 1))
    draw_grid(axes, images, (0.0, 1.0), title="t", columns=list("abc"), rows=["r", "s"])
    assert axes.get_aspect() == 1.0
    assert not any(spine.get_visible() for spine in axes.spines.values())
    assert axes.get_title() == "t"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["r", "s"]
    for ticks, step, size in ((axes.get_xticks(), 7, 6), (axes.get_yticks(), 5, 4)):
        middles = [np.arange(k * step, k * step + size).mean() for k in range(len(ticks))]
        np.testing.assert_allclose(ticks, middles)


def test_a_panel_grows_with_the_grid():
    few, many = np.zeros((2, 10, 8, 8, 1)), np.zeros((4, 20, 8, 8, 1))
    assert panel_size(many)[0] > panel_size(few)[0]
    assert panel_size(many)[1] > panel_size(few)[1]
    assert panel_size(few, labels=True)[1] > panel_size(few)[1]
