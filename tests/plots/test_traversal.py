"""`TraversalDisplay`: which image is in which cell, and under which name."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from repkit import DANN, VAE, BiGAN, InfoGAN, TraversalDisplay
from repkit.plots.traversal import _labels_of


def cell(axes, row, column, height, width):
    """What is drawn in a cell of a grid of small images, of which the gaps are one pixel."""
    y, x = row * (height + 1), column * (width + 1)
    return np.asarray(axes.images[0].get_array())[y : y + height, x : x + width]


def labels(axes):
    return [text.get_text() for text in axes.get_xticklabels()]


def fitted(X, **parameters):
    model = InfoGAN((3,), 2, latent_dim=2, width=8, max_epochs=1, random_state=0, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X)


@pytest.fixture(scope="module")
def model():
    return fitted(np.random.default_rng(0).random((30, 4, 3)))


def test_all_codes_of_an_infogan(plt, model):
    display = TraversalDisplay.from_estimator(model, n_rows=2, random_state=5)
    assert [axes.get_title() for axes in display.ax_] == ["category0", "continuous0", "continuous1"]
    assert labels(display.ax_[0]) == ["0", "1", "2"]
    assert labels(display.ax_[1])[::9] == ["-2", "2"]
    for axes in display.ax_:
        wanted = model.traverse(axes.get_title(), n_rows=2, random_state=5)
        for row in range(2):
            for column in range(wanted.shape[1]):
                found = cell(axes, row, column, 4, 3)
                np.testing.assert_allclose(found[..., 1], wanted[row, column], rtol=1e-6)


def test_a_seed_gives_the_same_picture(plt, model):
    def images(seed):
        return TraversalDisplay.from_estimator(model, "category0", random_state=seed).images

    np.testing.assert_array_equal(images(0)["category0"], images(0)["category0"])
    assert not np.array_equal(images(0)["category0"], images(1)["category0"])


class Numbered:
    """Images that show what they were asked for: the noise, the code and its value."""

    def get_feature_names_out(self):
        return ["category0_0", "category0_1", "continuous0"]

    def traverse(self, code, values, n_rows, random_state):
        noise = np.random.RandomState(random_state).rand(n_rows)
        out = np.zeros((n_rows, len(values), 1, 2, 2))
        out[..., 0, 0] = noise[:, None, None]
        out[..., 0, 1] = {"category0": 0.25, "continuous0": 0.5}[code]
        out[..., 1, 0] = np.asarray(values)[:, None] / 4 + 0.5
        return out


@pytest.mark.parametrize("seed", [None, 7, np.random.RandomState(0)])
def test_rows_are_noises_columns_values_panels_codes(plt, seed):
    display = TraversalDisplay.from_estimator(
        Numbered(), values={"continuous0": [-1, 0, 1.5]}, n_rows=3, random_state=seed
    )
    assert labels(display.ax_[0]) == ["0", "1"]
    assert labels(display.ax_[1]) == ["-1", "0", "1.5"]
    noises = []
    for axes, code, values in zip(display.ax_, (0.25, 0.5), ([0, 1], [-1, 0, 1.5]), strict=True):
        for column, value in enumerate(values):
            cells = [cell(axes, row, column, 2, 2)[..., 0] for row in range(3)]
            assert [c[0, 1] for c in cells] == [code] * 3
            assert [c[1, 0] for c in cells] == [value / 4 + 0.5] * 3
            noises.append([c[0, 0] for c in cells])
    np.testing.assert_allclose(noises, [noises[0]] * 5)
    assert len(set(noises[0])) == 3


def test_one_code_some_values_on_the_axes_given(plt, model):
    figure, axes = plt.subplots()
    display = TraversalDisplay.from_estimator(
        model, "continuous1", [-1.0, 0.25], random_state=0, ax=axes
    )
    assert display.ax_ == [axes]
    assert display.figure_ is figure
    assert labels(axes) == ["-1", "0.25"]
    assert display.images["continuous1"].shape == (5, 2, 4, 3, 1)
    with pytest.raises(ValueError, match="ax must hold 3 Axes, one for each code"):
        TraversalDisplay.from_estimator(model, ax=axes)


def test_flat_rows_need_the_shape_of_their_images(plt):
    rows = np.random.default_rng(0).random((30, 16)) * 9.0
    rows[0], rows[1] = 0.0, 9.0
    model = fitted(rows)
    with pytest.raises(
        ValueError, match=r"samples must be images of shape \(height, width\), \(1, height"
    ):
        TraversalDisplay.from_estimator(model)
    display = TraversalDisplay.from_estimator(model, image_shape=(4, 4), random_state=1)
    # Black and white are those of the data, however gray the samples are.
    assert display.value_range == (0.0, 9.0)
    wanted = model.traverse("category0", n_rows=5, random_state=1)[1, 2].reshape(4, 4) / 9.0
    np.testing.assert_allclose(cell(display.ax_[0], 1, 2, 4, 4)[..., 2], wanted, rtol=1e-6)


def test_uint8_color(plt):
    X = np.random.default_rng(0).integers(0, 256, (30, 3, 2, 5), dtype=np.uint8)
    model = fitted(X)
    display = TraversalDisplay.from_estimator(model, "category0", random_state=1)
    wanted = model.traverse("category0", n_rows=5, random_state=1)[4, 0] / 255.0
    np.testing.assert_allclose(cell(display.ax_[0], 4, 0, 2, 5), np.moveaxis(wanted, 0, -1))


def test_samples_from_anywhere(plt):
    samples = np.arange(24.0).reshape(2, 3, 2, 2)
    display = TraversalDisplay.from_samples(
        samples, ["thin", "plain", "bold"], title="stroke", value_range=(0, 30)
    )
    assert display.ax_[0].get_title() == "stroke"
    assert labels(display.ax_[0]) == ["thin", "plain", "bold"]
    np.testing.assert_allclose(cell(display.ax_[0], 1, 2, 2, 2)[..., 0], samples[1, 2] / 30.0)
    assert labels(TraversalDisplay.from_samples(samples).ax_[0]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({},), "samples must have at least one code to draw"),
        (({"a": np.zeros((2, 3))},), r"shape \(n_rows, n_columns, ...\), not \(2, 3\)"),
        (({"a": np.zeros((0, 3, 4, 4))},), "n_rows"),
        (
            ({"a": np.zeros((2, 3, 4, 4))}, {"a": [1, 2]}),
            r"values\['a'\] must have 3 entries, one for each column of",
        ),
        (
            ({"a": np.zeros((2, 3, 4, 4))}, {"b": [1, 2, 3]}),
            r"values must name codes of samples, \['a'\], not 'b'",
        ),
    ],
)
def test_traversal_refuses_samples(arguments, message):
    with pytest.raises(ValueError, match=message):
        TraversalDisplay(*arguments)


def test_traversal_refuses_estimators(plt, model):
    with pytest.raises(TypeError, match=r"must have codes to traverse, .*; DANN does not$"):
        TraversalDisplay.from_estimator(DANN())
    with pytest.raises(NotFittedError):
        TraversalDisplay.from_estimator(BiGAN())
    with pytest.raises(NotFittedError):
        TraversalDisplay.from_estimator(InfoGAN())
    with pytest.raises(ValueError, match=r"codes must be among \['category0', 'continuous0'"):
        TraversalDisplay.from_estimator(model, "continuous7")
    with pytest.raises(ValueError, match=r"codes must be among \['category0', 'continuous0'"):
        TraversalDisplay.from_estimator(model, values={"slant": [1]})
    with pytest.raises(ValueError, match="category0 must have values from 0 to 2"):
        TraversalDisplay.from_estimator(model, values=[-1, 1])
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 1, 10], ["0", "1", "10"]),
        (np.linspace(-2, 2, 4), ["-2", "-0.67", "0.67", "2"]),
        ([-1.0, -0.0], ["-1", "0"]),
        ([1.01, 1.02], ["1.01", "1.02"]),
        ([0.5, 0.5], ["0.5", "0.5"]),
        (["a", 1.5], ["a", "1.5"]),
        ([], []),
    ],
)
def test_labels_are_short_and_tell_values_apart(values, wanted):
    assert _labels_of(values) == wanted


class Additive:
    """An encoder and a generator whose images show the latent columns as they are."""

    def fit(self):
        self.fitted_ = True
        return self

    def get_feature_names_out(self):
        return np.array([f"additive{k}" for k in range(4)])

    def sample(self, n, random_state):
        rng = np.random.RandomState(random_state)
        return rng.normal(size=(n, 2, 2)) * [[0.1, 1.0], [2.0, 3.0]]

    def transform(self, X):
        return np.reshape(X, (-1, 4))

    def inverse_transform(self, Z):
        return np.reshape(Z, (-1, 2, 2))


@pytest.mark.parametrize("seed", [3, None, np.random.default_rng(3)])
def test_along_a_row_only_one_latent_column_changes(plt, seed):
    X = np.arange(12.0).reshape(3, 2, 2)
    display = TraversalDisplay.from_estimator(
        Additive().fit(), ["additive2", "additive0"], [-1, 4], 2, X=X, random_state=seed
    )
    assert [axes.get_title() for axes in display.ax_] == ["additive2", "additive0"]
    for name, column in (("additive2", 2), ("additive0", 0)):
        images = display.images[name].reshape(2, 2, 4)
        np.testing.assert_array_equal(images[:, :, column], [[-1, 4]] * 2)
        others = np.delete(images, column, axis=2)
        np.testing.assert_array_equal(others[:, 0], others[:, 1])
    first = display.images["additive2"].reshape(2, 2, 4)[:, 0, 0]
    assert set(first) <= set(X[:, 0, 0])  # rows of X, and in the other panel the same
    rows = display.images["additive0"].reshape(2, 2, 4)[:, 0, 1]
    np.testing.assert_array_equal(rows, first + 1)


def test_the_latent_columns_that_vary_most_are_drawn(plt, monkeypatch):
    monkeypatch.setattr("repkit.plots.traversal._COLUMNS", 2)
    display = TraversalDisplay.from_estimator(Additive().fit(), n_rows=1, random_state=0)
    assert list(display.images) == ["additive2", "additive3"]
    assert display.images["additive3"].shape == (1, 10, 2, 2, 1)
    assert labels(display.ax_[0])[::9] == ["-2", "2"]


def test_latent_columns_of_a_vae_and_of_a_bigan(plt):
    X = np.random.default_rng(0).random((40, 4, 3))
    for model, ends in (
        (VAE(latent_dim=2, max_epochs=1, random_state=0), ["-2", "2"]),
        (BiGAN(latent_dim=2, prior="uniform", max_epochs=1, random_state=0), ["-1", "1"]),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X)
        display = TraversalDisplay.from_estimator(model, n_rows=3, X=X, random_state=0)
        assert list(display.images) == list(model.get_feature_names_out())
        assert labels(display.ax_[0])[::9] == ends
        for images in display.images.values():
            assert images.shape == (3, 10, 4, 3, 1)
