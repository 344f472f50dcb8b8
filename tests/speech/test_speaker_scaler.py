"""`SpeakerScaler`: scikit-learn's whole suite, and the formula."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # or check_array_api_input is skipped

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from repkit.speech import SpeakerScaler


@parametrize_with_checks([SpeakerScaler()])
def test_scikit_learn(estimator, check):
    check(estimator)


def test_the_suite_is_whole():
    results = check_estimator(SpeakerScaler(), on_fail=None, on_skip=None)
    assert not [r for r in results if r["status"] == "skipped"]


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    speaker = np.array(["ann"] * 30 + ["bob"] * 50)
    X = rng.normal(size=(80, 3))
    X[30:] = 4 * X[30:] + [1, -2, 3]
    return X, speaker


def test_moments_are_averaged_by_numbers_of_rows(rows):
    X, speaker = rows
    model = SpeakerScaler(6.0).fit(X, speaker=speaker)
    np.testing.assert_allclose(model.mean_, X.mean(0))
    within = (30 * X[:30].var(0) + 50 * X[30:].var(0)) / 80
    np.testing.assert_allclose(model.var_, within)
    new = 2 + X[:9]
    found = model.transform(new, speaker=[7] * 4 + [-1] * 2 + [9] * 3)
    for part in (slice(0, 4), slice(6, 9)):
        x = new[part]
        n = len(x)
        mean = (n * x.mean(0) + 6 * X.mean(0)) / (n + 6)
        var = (n * x.var(0) + 6 * within) / (n + 6)
        np.testing.assert_allclose(found[part], (x - mean) / np.sqrt(var))
    np.testing.assert_allclose(found[4:6], (new[4:6] - X.mean(0)) / np.sqrt(within))
    np.testing.assert_allclose(found[4:6], model.transform(new[4:6]))


def test_without_names_all_are_one(rows):
    X, _ = rows
    model = SpeakerScaler().fit(X)
    np.testing.assert_allclose(model.var_, X.var(0))
    np.testing.assert_allclose(model.transform(X), (X - X.mean(0)) / X.std(0))


def test_one_row_is_not_made_nothing(rows):
    X, speaker = rows
    model = SpeakerScaler().fit(X, speaker=speaker)
    alone = model.transform(X[:1], speaker=["carl"])
    assert np.abs(alone).max() > 0.1
    nothing = SpeakerScaler(0.0).fit(X, speaker=speaker).transform(X[:1], speaker=["carl"])
    np.testing.assert_array_equal(nothing, np.zeros((1, 3)))


def test_fit_transform_uses_the_names_twice(rows):
    X, speaker = rows
    found = SpeakerScaler(0.0).fit_transform(X, speaker=speaker)
    for who in ("ann", "bob"):
        own = found[speaker == who]
        np.testing.assert_allclose(own.mean(0), 0, atol=1e-12)
        np.testing.assert_allclose(own.std(0), 1)
    assert SpeakerScaler().fit_transform(X.astype(np.float32)).dtype == np.float32


def test_in_a_pipeline(rows):
    X, speaker = rows
    y = (X[:, 0] > np.where(speaker == "bob", 1, 0)).astype(int)
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = SpeakerScaler().set_fit_request(speaker=True).set_transform_request(speaker=True)
        model = make_pipeline(scaler, LogisticRegression()).fit(X, y, speaker=speaker)
        assert model.score(X, y, speaker=speaker) > 0.9


def test_what_cannot_be_used(rows):
    X, speaker = rows
    with pytest.raises(ValueError, match="relevance must be"):
        SpeakerScaler(-1.0).fit(X)
    with pytest.raises(ValueError, match="speaker"):
        SpeakerScaler().fit(X, speaker=speaker[:5])
    with pytest.raises(ValueError, match="speaker"):
        SpeakerScaler().fit(X).transform(X, speaker=["ann"])
    constant = SpeakerScaler().fit_transform(np.ones((5, 2)), speaker=[1] * 5)
    np.testing.assert_array_equal(constant, np.zeros((5, 2)))
    alone = SpeakerScaler().fit(np.ones((5, 2))).transform(np.full((1, 2), 3.0))
    np.testing.assert_array_equal(alone, [[2.0, 2.0]])
