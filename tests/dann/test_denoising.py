"""`MarginalizedDenoiser`: scikit-learn's whole suite, and the expectation by enumeration."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # or check_array_api_input is skipped

from itertools import product

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from repkit.dann import MarginalizedDenoiser


@parametrize_with_checks([MarginalizedDenoiser(), MarginalizedDenoiser(0.8, n_layers=1)])
def test_scikit_learn(estimator, check):
    check(estimator)


def test_the_suite_is_whole():
    results = check_estimator(MarginalizedDenoiser(), on_fail=None, on_skip=None)
    assert not [r for r in results if r["status"] == "skipped"]


@pytest.mark.parametrize("noise", [0.2, 0.7])
def test_a_layer_has_the_least_expected_error(noise):
    """The gradient of the error, over all ways to spoil each row, is 0 at the map."""
    X = np.random.default_rng(0).normal(size=(30, 3)) + 0.5
    found = MarginalizedDenoiser(noise, n_layers=1, ridge=0.0).fit(X).maps_[0]
    gradient = np.zeros_like(found)
    for kept in product([0, 1], repeat=3):
        weight = np.prod([1 - noise if k else noise for k in kept])
        spoiled = np.hstack([X * kept, np.ones((30, 1))])
        gradient += weight * spoiled.T @ (spoiled @ found - X)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-10)


def test_layers_stand_on_each_other():
    X = np.random.default_rng(0).normal(size=(40, 4)) / 3
    model = MarginalizedDenoiser(0.4, n_layers=2).fit(X)
    first = np.tanh(np.hstack([X, np.ones((40, 1))]) @ model.maps_[0])
    alone = MarginalizedDenoiser(0.4, n_layers=1).fit(first)
    np.testing.assert_allclose(model.transform(X), alone.transform(first))


def test_sparse_rows_and_types():
    X = sparse.random(60, 8, 0.3, format="csr", random_state=0)
    model = MarginalizedDenoiser().fit(X)
    expected = MarginalizedDenoiser().fit(X.toarray()).transform(X.toarray())
    np.testing.assert_allclose(model.transform(X), expected, atol=1e-12)
    few = MarginalizedDenoiser().fit(X.astype(np.float32)).transform(X.astype(np.float32))
    assert few.dtype == np.float32
    np.testing.assert_allclose(few, expected, atol=1e-3)


def test_float32_is_as_exact_with_words_that_hardly_occur():
    """The map of a column depends on all others, of which some are a millionth of the largest."""
    rng = np.random.default_rng(0)
    X = rng.random((400, 30)) * np.logspace(0, -3, 30)
    X[:, -5:] *= rng.random((400, 5)) < 0.02
    single = X.astype(np.float32)
    wanted, found = (
        MarginalizedDenoiser(0.5, n_layers=1, ridge=1e-7).fit(rows).maps_[0]
        for rows in (single.astype(np.float64), single)
    )
    np.testing.assert_array_equal(found, wanted.astype(np.float32))


def test_words_of_another_domain_are_filled_in():
    """A word that the source never uses is known by the company that it keeps."""
    rng = np.random.default_rng(0)

    def rows(n, own):
        y = rng.integers(2, size=n)
        X = np.zeros((n, 12))
        X[:, 4:6] = rng.random((n, 2)) < np.stack([1 - y, y], 1) * 0.4 + 0.1  # shared words
        X[:, own] = rng.random((n, 2)) < np.stack([1 - y, y], 1) * 0.7 + 0.1
        return X, y

    (source, y), (target, z) = rows(500, [0, 1]), rows(500, [2, 3])
    plain = LogisticRegression().fit(source, y).score(target, z)
    denoiser = MarginalizedDenoiser(0.7).fit(np.vstack([source, target]))
    model = LogisticRegression(C=100).fit(denoiser.transform(source), y)
    assert model.score(denoiser.transform(target), z) > plain + 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": 0.0}, "noise must be a number above 0"),
        ({"noise": 1}, "noise must be a number"),
        ({"n_layers": 0}, "n_layers must be an integer"),
        ({"ridge": -1.0}, "ridge must be a number"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        MarginalizedDenoiser(**options).fit(np.eye(4))
