"""The makers for domain adaptation."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from repkit.datasets import load_digits_domains, make_domains

SHIFTS = ["rotated", "blurred", "textured", "inverted"]


def same(one, two):
    return all(np.array_equal(one[key], two[key]) for key in one)


def accuracy(model, x_train, y_train, x, y):
    flat = [a.reshape(len(a), -1) for a in (x_train, x)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(flat[0], y_train).score(flat[1], y)


def test_moons_layout():
    data = make_domains(n_samples=101, random_state=0)
    assert data.X.shape == (202, 2)
    assert data.X.dtype == np.float64
    assert data.y.dtype == data.sample_domain.dtype == np.int64
    assert data.sample_domain.tolist() == [1] * 101 + [-2] * 101
    for part in (data.y[:101], data.y[101:]):
        assert sorted(np.bincount(part)) == [50, 51]


@pytest.mark.parametrize("rotation", [0.0, 35.0, 90.0])
def test_target_moons_are_turned_counterclockwise(rotation):
    data = make_domains(400, rotation=rotation, noise=0.0, random_state=0)
    source, target = data.X[:400], data.X[400:]
    angle = np.deg2rad(-rotation)
    back = target @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).T
    for label in (0, 1):
        # Without noise both samples hold the same points, each in its own order.
        one = source[data.y[:400] == label]
        two = back[data.y[400:] == label]
        np.testing.assert_allclose(np.sort(one, axis=0), np.sort(two, axis=0), atol=1e-9)
    np.testing.assert_allclose(source.mean(0), 0, atol=0.01)
    assert np.ptp(source[:, 0]) == pytest.approx(6, abs=0.01)  # doubled in size


def test_target_moons_are_a_sample_of_their_own():
    data = make_domains(rotation=0.0, noise=0.1, random_state=0)
    assert not np.isin(np.round(data.X[:300, 0], 9), np.round(data.X[300:, 0], 9)).any()


def test_moons_are_a_shift():
    data = make_domains(random_state=0)
    source = data.sample_domain > 0
    model = MLPClassifier((15,), solver="lbfgs", max_iter=300, random_state=0)
    args = data.X[source], data.y[source]
    assert accuracy(model, *args, *args) > 0.97
    assert 0.6 < accuracy(model, *args, data.X[~source], data.y[~source]) < 0.92


@pytest.mark.parametrize("args", [{"n_samples": 1}, {"noise": -0.1}])
def test_moons_refuse(args):
    with pytest.raises(ValueError, match=f"{next(iter(args))} must be"):
        make_domains(**args)


@pytest.mark.parametrize("make", [make_domains, lambda **kw: load_digits_domains("textured", **kw)])
def test_seeds(make):
    before = np.random.get_state()
    assert same(make(random_state=5), make(random_state=5))
    assert same(make(random_state=5), make(random_state=np.random.default_rng(5)))
    assert not same(make(random_state=5), make(random_state=6))
    one, two, other = (make(random_state=np.random.RandomState(s)) for s in (1, 1, 2))
    assert same(one, two)
    assert not same(one, other)
    assert not same(make(), make())
    after = np.random.get_state()
    np.testing.assert_array_equal(after[1], before[1])
    assert after[2:] == before[2:]


@pytest.mark.parametrize("shift", [*SHIFTS, "inverted+textured", ["rotated", "inverted"]])
def test_digits_layout(shift):
    data = load_digits_domains(shift, random_state=0)
    assert data.X.shape == (1497, 1, 8, 8)
    assert data.X_test.shape == (300, 1, 8, 8)
    assert data.X.dtype == data.X_test.dtype == np.float32
    assert data.X.flags.c_contiguous
    for x in (data.X, data.X_test):
        assert x.min() >= 0
        assert x.max() <= 1
    assert data.y.dtype == data.y_test.dtype == data.sample_domain.dtype == np.int64
    assert data.sample_domain.tolist() == [1] * 898 + [-2] * 599
    # Every digit is in exactly one part, with its label.
    every = np.concatenate([data["index"], data.index_test])
    np.testing.assert_array_equal(np.sort(every), np.arange(1797))
    digits = load_digits()
    np.testing.assert_array_equal(digits.target[every], np.concatenate([data.y, data.y_test]))
    source = data.sample_domain > 0
    np.testing.assert_array_equal(data.X[source, 0] * 16, digits.images[data["index"][source]])
    for y in (data.y[source], data.y[~source], data.y_test):
        assert np.ptp(np.bincount(y) / len(y)) < 0.02


def target(shift):
    data = load_digits_domains(shift, random_state=0)
    rows = np.concatenate([data["index"][data.sample_domain < 0], data.index_test])
    shifted = np.concatenate([data.X[data.sample_domain < 0], data.X_test])[:, 0]
    return load_digits().images[rows] / 16, shifted


def test_shifts_do_what_they_say():
    plain, shifted = target("inverted")
    np.testing.assert_allclose(shifted, 1 - plain, atol=1e-6)
    plain, shifted = target("blurred")
    np.testing.assert_allclose(shifted.mean(), plain.mean(), atol=0.01)
    assert 0.5 < np.abs(np.diff(shifted)).mean() / np.abs(np.diff(plain)).mean() < 0.9
    plain, shifted = target("textured")
    paper = np.where(plain == 0, shifted, np.nan)
    assert 0.2 < np.nanmean(paper) < 0.3
    assert np.nanmax(paper) <= 0.5
    full = plain == 1
    np.testing.assert_allclose((1 - shifted)[full].mean(), np.nanmean(paper), atol=0.02)


def test_rotation_is_counterclockwise_by_20_degrees():
    grid = np.arange(8) - 3.5

    def axis(images):
        """Direction of the ink's long axis, x to the right and y upwards."""
        weights = images.mean(0) / images.mean(0).sum()
        x, y = np.meshgrid(grid, -grid)
        x, y = x - (weights * x).sum(), y - (weights * y).sum()
        xy = (weights * x * y).sum()
        return np.rad2deg(np.arctan2(2 * xy, (weights * (x**2 - y**2)).sum()) / 2)

    data = load_digits_domains("rotated", random_state=0)
    ones = data.y_test == 1
    before = load_digits().images[data.index_test[ones]]
    assert (axis(data.X_test[ones, 0]) - axis(before)) % 180 == pytest.approx(20, abs=5)


def test_shifts_are_applied_in_order():
    _, one = target(["inverted", "textured"])
    _, two = target("textured+inverted")
    assert np.abs(one - two).mean() > 0.05
    assert same(
        load_digits_domains("inverted+textured", random_state=0),
        load_digits_domains(["inverted", "textured"], random_state=0),
    )


def test_default_shift_is_strong_but_not_hopeless():
    source_only, on_target = [], []
    for seed in range(3):
        data = load_digits_domains(random_state=seed)
        source = data.sample_domain > 0
        test = data.X_test, data.y_test
        for rows, scores in ((source, source_only), (~source, on_target)):
            model = MLPClassifier((64,), max_iter=60, random_state=seed)
            scores.append(accuracy(model, data.X[rows], data.y[rows], *test))
    assert 0.45 < np.mean(source_only) < 0.75
    assert np.mean(on_target) > 0.88


def test_size_of_the_test_part():
    data = load_digits_domains(test_size=100, random_state=0)
    assert len(data.X_test) == 100
    assert len(data.X) == 1697
    with pytest.raises(ValueError, match="test_size"):
        load_digits_domains(test_size=1.5)


@pytest.mark.parametrize("shift", ["", "mirrored", "rotated+", [], ["rotated", "mirrored"]])
def test_unknown_shift(shift):
    with pytest.raises(ValueError, match="shift must be one or more of rotated, blurred, textured"):
        load_digits_domains(shift)
