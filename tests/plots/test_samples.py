"""`SampleGridDisplay`: which sample is in which row, and the name of the row."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from repkit import DANN, BiGAN, SampleGridDisplay


class Conditional:
    """Samples that show their class and their place among all."""

    def __init__(self, classes=("four", "nine"), shape=(2, 2)):
        self.classes_ = np.array(classes)
        self.shape = shape

    def sample(self, n=1, y=None, random_state=None):
        out = np.zeros((n, 4))
        out[:, 0] = np.searchsorted(self.classes_, y) / 4
        out[:, 1] = np.arange(n) / 100
        out[:, 2] = np.random.RandomState(random_state).rand(n)
        return out.reshape(n, *self.shape)


def names(display):
    return [text.get_text() for text in display.ax_[0].get_yticklabels()]


def test_a_row_for_each_class(plt):
    figure, axes = plt.subplots()
    display = SampleGridDisplay.from_estimator(
        Conditional(), n_per_class=3, random_state=0, ax=axes
    )
    assert names(display) == ["four", "nine"]
    np.testing.assert_allclose(display.images[:, :, 0, 0, 0], [[0.0] * 3, [0.25] * 3])
    np.testing.assert_allclose(display.images[..., 0, 1, 0], np.arange(6).reshape(2, 3) / 100)
    picture = np.asarray(axes.images[0].get_array())
    assert picture.shape == (5, 8, 3)
    np.testing.assert_allclose(picture[3:, 6:, 0], display.images[1, 2, ..., 0])
    assert (display.ax_, display.figure_) == ([axes], figure)


def test_a_seed_gives_the_same_picture(plt):
    def images(seed):
        return SampleGridDisplay.from_estimator(Conditional(), random_state=seed).images

    np.testing.assert_array_equal(images(0), images(0))
    assert not np.array_equal(images(0), images(1))


def test_without_classes_the_grid_is_square(plt):
    X = np.random.default_rng(0).random((30, 3, 4, 5)) * 20.0
    model = BiGAN(latent_dim=2, width=8, max_epochs=1, random_state=0)
    with pytest.warns(UserWarning, match="not linked"):
        model.fit(X)
    display = SampleGridDisplay.from_estimator(model, n_per_class=4, random_state=1)
    assert display.images.shape == (4, 4, 4, 5, 3)
    wanted = model.sample(16, random_state=1)[6]
    np.testing.assert_array_equal(display.images[1, 2], np.moveaxis(wanted, 0, -1))
    assert names(display) == []
    # black and white are those of the data, however gray the samples are
    assert display.value_range == pytest.approx((X.min(), X.max()))


def test_classes_without_the_parameter_are_no_rows(plt):
    class Plain:
        classes_ = np.arange(5)

        def sample(self, n, random_state=None):
            return np.zeros((n, 3, 3))

    display = SampleGridDisplay.from_estimator(Plain(), n_per_class=2)
    assert display.images.shape[:2] == (2, 2)
    assert names(display) == []


def test_flat_rows_need_the_shape_of_their_images(plt):
    model = Conditional(classes=(0, 1, 2), shape=(4,))
    with pytest.raises(
        ValueError, match=r"samples must be images of shape \(height, width\), \(1, height"
    ):
        SampleGridDisplay.from_estimator(model)
    display = SampleGridDisplay.from_estimator(model, image_shape=(2, 2))
    assert display.images.shape == (3, 10, 2, 2, 1)
    assert names(display) == ["0", "1", "2"]


def test_long_names_have_room(plt):
    display = SampleGridDisplay(np.zeros((2, 4, 8, 8)), ["a", "a class of many words"]).plot()
    display.figure_.canvas.draw()
    extents = [text.get_window_extent() for text in display.ax_[0].get_yticklabels()]
    assert min(extent.x0 for extent in extents) >= 0
    assert display.ax_[0].get_window_extent().width > 0.2 * display.figure_.bbox.width


def test_samples_refuse(plt):
    with pytest.raises(
        TypeError, match="estimator must have the method sample, as BiGAN has; DANN does"
    ):
        SampleGridDisplay.from_estimator(DANN())
    with pytest.raises(NotFittedError):
        SampleGridDisplay.from_estimator(BiGAN())
    for n in (0, 2.5):
        with pytest.raises(ValueError, match="n_per_class must be an integer of at least 1"):
            SampleGridDisplay.from_estimator(Conditional(), n_per_class=n)
    with pytest.raises(ValueError, match="classes must name 3 rows of samples, not 2"):
        SampleGridDisplay(np.zeros((3, 4, 8, 8)), ["a", "b"])
    assert not plt.get_fignums()
