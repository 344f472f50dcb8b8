"""`ReconstructionDisplay`: three rows that belong together, and the error above them."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError

from repkit import BiGAN, InfoGAN, ReconstructionDisplay


class Darker:
    """Reconstructs an image at half its brightness, in its type or in another."""

    def __init__(self, out=None):
        self.out = out

    def reconstruct(self, X):
        self.seen = X
        half = np.asarray(X) / 2.0
        return half.astype(self.out or np.asarray(X).dtype)


def cells(display, height, width):
    """Rows of images drawn, ``(rows, n, height, width, 3)``; the gaps are one pixel."""
    picture = np.asarray(display.ax_[0].images[0].get_array())
    padded = np.pad(picture, ((0, 1), (0, 1), (0, 0)))
    rows, columns = padded.shape[0] // (height + 1), padded.shape[1] // (width + 1)
    grid = padded.reshape(rows, height + 1, columns, width + 1, 3).transpose(0, 2, 1, 3, 4)
    return grid[:, :, :height, :width]


def names(display):
    return [text.get_text() for text in display.ax_[0].get_yticklabels()]


@pytest.fixture
def X():
    return np.random.default_rng(0).random((20, 4, 3))


def test_inputs_reconstructions_and_training_neighbors(plt, X):
    X_train = np.random.default_rng(1).random((50, 4, 3)) / 2.0
    display = ReconstructionDisplay.from_estimator(Darker(), X, X_train, n=6, random_state=0)
    assert names(display) == ["input", "reconstruction", "nearest in training"]
    shown, back, near = cells(display, 4, 3)[..., 0]
    assert len(shown) == 6
    np.testing.assert_allclose(back, shown / 2.0)
    assert all(any(np.allclose(image, x) for x in X) for image in shown)
    for image, neighbor in zip(back, near, strict=True):  # of the reconstruction, not the input
        distances = np.square(X_train - image).sum((1, 2))
        np.testing.assert_allclose(neighbor, X_train[distances.argmin()])
    np.testing.assert_allclose(display.errors, np.square(shown / 2.0).mean((1, 2)))
    assert display.ax_[0].get_title() == f"mean squared error {display.errors.mean():.2g}"


def test_several_models_below_one_row_of_inputs(plt, X):
    class Same:
        def reconstruct(self, X):
            return np.asarray(X)

    figure, axes = plt.subplots()
    models = {"half": Darker(), "inputs": Same()}  # any name will do
    display = ReconstructionDisplay.from_estimators(models, X, n=4, random_state=0, ax=axes)
    alone = ReconstructionDisplay.from_estimator(Darker(), X, n=4, random_state=0)
    shown, half, same = cells(display, 4, 3)[..., 0]
    np.testing.assert_array_equal(shown, alone.inputs[..., 0])
    np.testing.assert_allclose(half, shown / 2.0)
    np.testing.assert_allclose(same, shown)
    np.testing.assert_array_equal(display.errors["half"], alone.errors)
    assert not display.errors["inputs"].any()
    wanted = f"half\nerror {alone.errors.mean():.2g}"
    assert names(display) == ["input", wanted, "inputs\nerror 0"]
    assert (display.ax_, display.figure_) == ([axes], figure)
    X_bytes = np.full((2, 4, 4), 200, dtype=np.uint8)
    display = ReconstructionDisplay.from_estimators({"float": Darker(float)}, X_bytes / 255.0)
    np.testing.assert_allclose(display.reconstructions["float"], 100 / 255.0)


def test_rows_are_drawn_at_random_and_again(plt, X):
    def inputs(seed, n=5):
        return ReconstructionDisplay.from_estimator(Darker(), X, n=n, random_state=seed).inputs

    np.testing.assert_array_equal(inputs(0), inputs(0))
    assert not np.array_equal(inputs(0), inputs(1))
    np.testing.assert_array_equal(inputs(0, n=100)[..., 0], X)  # all of them, in their order


def test_without_training_data_there_are_two_rows(plt, X):
    figure, axes = plt.subplots()
    display = ReconstructionDisplay.from_estimator(Darker(), X, n=3, ax=axes)
    assert names(display) == ["input", "reconstruction"]
    assert (display.ax_, display.figure_) == ([axes], figure)


def test_color_and_uint8(plt):
    X = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 4), dtype=np.uint8)
    display = ReconstructionDisplay.from_estimator(Darker(), X, X, n=5)
    drawn = cells(display, 4, 4)
    np.testing.assert_allclose(drawn[0], np.moveaxis(X, 1, -1) / 255.0)
    np.testing.assert_allclose(drawn[1], np.moveaxis(X // 2, 1, -1) / 255.0)
    assert display.errors.max() < 0.25  # on [0, 1]


@pytest.mark.parametrize(
    ("X", "out", "factor"),
    [
        (np.full((2, 4, 4), 200, dtype=np.uint8), float, 255.0),  # fitted on floats in [0, 1]
        (np.full((2, 4, 4), 0.5), np.uint8, 1 / 255.0),  # fitted on uint8
        (np.full((2, 16), 200, dtype=np.uint8), float, 1.0),  # flat rows are numbers like others
    ],
)
def test_a_reconstruction_comes_in_the_units_of_the_input(plt, X, out, factor):
    class Fixed:
        def reconstruct(self, X):
            return np.full(X.shape, 100, dtype=out)

    display = ReconstructionDisplay.from_estimator(Fixed(), X, image_shape=(4, 4))
    np.testing.assert_allclose(display.reconstructions, 100 * factor)


def test_the_range_is_that_of_real_images_and_scales_the_error(plt):
    X = np.linspace(-4.0, 4.0, 24).reshape(2, 12)
    display = ReconstructionDisplay(X, 3.0 * X, image_shape=(3, 4)).plot()
    assert display.value_range == (-4.0, 4.0)
    np.testing.assert_allclose(display.errors, np.square(2.0 * X / 8.0).mean(1))
    assert cells(display, 3, 4)[1].min() == 0.0
    assert cells(display, 3, 4)[1].max() == 1.0


def test_frames_and_tensors(plt):
    rows = np.random.default_rng(0).random((6, 9))
    frame = pd.DataFrame(rows, columns=[f"p{k}" for k in range(9)])
    model = Darker()
    display = ReconstructionDisplay.from_estimator(model, frame, frame, n=2, image_shape=(3, 3))
    assert list(model.seen.columns) == list(frame.columns)
    assert display.inputs.shape == (2, 3, 3, 1)
    tensor = torch.from_numpy(rows.reshape(6, 3, 3))
    display = ReconstructionDisplay.from_estimator(Darker(), tensor, tensor, n=6)
    np.testing.assert_array_equal(display.inputs[..., 0], tensor)


def test_reconstructions_of_a_bigan(plt, X):
    model = BiGAN(latent_dim=2, width=8, max_epochs=1, random_state=0)
    with pytest.warns(UserWarning, match="not linked"):
        model.fit(X)
    display = ReconstructionDisplay.from_estimator(model, X, X, n=20)
    np.testing.assert_allclose(display.reconstructions[..., 0], model.reconstruct(X))


def test_reconstruction_refuses(plt, X):
    with pytest.raises(TypeError, match="estimator must have the method reconstruct, as BiGAN has"):
        ReconstructionDisplay.from_estimator(InfoGAN(), X)
    with pytest.raises(NotFittedError):
        ReconstructionDisplay.from_estimator(BiGAN(), X)
    with pytest.raises(ValueError, match="n must be an integer of at least 1, not 0"):
        ReconstructionDisplay.from_estimator(Darker(), X, n=0)
    with pytest.raises(
        ValueError, match=r"inputs must be images of shape \(height, width\), \(1, height"
    ):
        ReconstructionDisplay.from_estimator(Darker(), X.reshape(20, 12))
    with pytest.raises(ValueError, match="X and X_train must both be uint8, which runs to 255, or"):
        ReconstructionDisplay.from_estimator(Darker(), X, X.astype(np.uint8))
    with pytest.raises(ValueError, match="X_reference has 16 features but X_query has 12"):
        ReconstructionDisplay.from_estimator(Darker(), X, np.zeros((5, 4, 4)))
    with pytest.raises(
        ValueError, match=r"reconstructions must have the shape of inputs, \(20, 4, 3\)"
    ):
        ReconstructionDisplay(X, X[1:])
    with pytest.raises(ValueError, match="at least one image"):
        ReconstructionDisplay(X[:0], X[:0])
    with pytest.raises(TypeError, match="estimator must have the method reconstruct, as BiGAN has"):
        ReconstructionDisplay.from_estimators({"a": Darker(), "b": InfoGAN()}, X)
    with pytest.raises(ValueError, match="reconstructions must name at least one model"):
        ReconstructionDisplay.from_estimators({}, X)
    with pytest.raises(
        ValueError, match=r"VAE must have the shape of inputs, \(20, 4, 3\), not \(19, 4"
    ):
        ReconstructionDisplay(X, {"VAE": X[1:]})
    assert not plt.get_fignums()
