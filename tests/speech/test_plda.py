"""The two-covariance model: its scores are likelihood ratios of joint normal distributions."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from repkit.metrics.speaker._verification import speaker_means
from repkit.speech import plda
from repkit.speech.plda import TwoCovariance, within


def speakers(k=30, n=6, d=4, seed=0):
    """Vectors of speakers drawn by the model, with the covariances that drew them."""
    rng = np.random.default_rng(seed)
    inner, outer = rng.normal(size=(2, d, d))
    place = np.repeat(np.arange(k), n)
    X = (2.0 * rng.normal(size=(k, d)) @ outer)[place] + rng.normal(size=(k * n, d)) @ inner + 3.0
    return X, place, inner.T @ inner, 4.0 * outer.T @ outer


def test_scores_are_ratios_of_joint_densities():
    """Of all vectors of a claim at once, by the covariances between and within speakers."""
    X, place, *_ = speakers()
    model = TwoCovariance.fit(X, place)
    back = np.linalg.inv(model.directions)
    W, B = back.T @ back, back.T @ np.diag(model.between) @ back

    def log_density(rows):
        n = len(rows)
        joint = np.kron(np.eye(n), W) + np.kron(np.ones((n, n)), B)
        return multivariate_normal(np.tile(model.mean, n), joint).logpdf(rows.ravel())

    enrolled, owner, tests = X[:5], np.array([0, 0, 1, 1, 1]), X[5:9]
    found = model.scores(tests, *model.enrolled(enrolled, owner))
    for i, x in enumerate(tests):
        for k in (0, 1):
            own = enrolled[owner == k]
            both = log_density(np.vstack([own, x]))
            assert found[i, k] == pytest.approx(both - log_density(own) - log_density(x[None]))


def test_blocks_add_up():
    X, place, *_ = speakers()
    blocks = [slice(0, 1), slice(1, 4)]
    model = TwoCovariance.of_blocks(X, place, blocks)
    parts = [(TwoCovariance.fit(X[:, b], place), X[:, b]) for b in blocks]
    found = model.scores(X, *model.enrolled(X, place))
    wanted = sum(part.scores(x, *part.enrolled(x, place)) for part, x in parts)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_one_against_one_is_symmetric():
    X, place, *_ = speakers()
    model = TwoCovariance.fit(X, place)
    scores = model.scores(X[:20], *model.enrolled(X[:20], np.arange(20)))
    np.testing.assert_allclose(scores, scores.T, atol=1e-9)


def test_covariances_are_found(monkeypatch):
    monkeypatch.setattr(plda, "SHRINKAGE", 0.0)
    monkeypatch.setattr(plda, "RIDGE", 0.0)
    X, place, W, B = speakers(k=4000, n=20)
    model = TwoCovariance.fit(X, place)
    back = np.linalg.inv(model.directions)
    np.testing.assert_allclose(back.T @ back, W, atol=0.05 * np.abs(W).max())
    # The covariance of means holds a twentieth of that within.
    found = back.T @ np.diag(model.between) @ back
    np.testing.assert_allclose(found, B + W / 20, atol=0.1 * np.abs(B).max())


def test_the_shrunk_covariance_keeps_its_trace():
    X, place, *_ = speakers(k=3, d=8)  # two directions between speakers at most
    model = TwoCovariance.fit(X, place)
    back = np.linalg.inv(model.directions)
    B = np.cov(speaker_means(X, place).T)
    found = back.T @ np.diag(model.between) @ back
    share = plda.SHRINKAGE
    expected = (1 - share) * B + share * np.trace(B) / 8 * np.eye(8)
    np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(B).max())


def test_within_counts_what_is_free():
    X, place, W, _ = speakers(k=2000, n=2)
    means = speaker_means(X, place)
    np.testing.assert_allclose(means[7], X[14:16].mean(0))
    np.testing.assert_allclose(within(X, means, place), W, atol=0.1 * np.abs(W).max())


def test_speakers_alike_and_vectors_alike():
    """Where nothing varies between or within speakers, scores are finite."""
    rng = np.random.default_rng(0)
    place = np.repeat(np.arange(4), 5)
    same = np.repeat(rng.normal(size=(1, 3)), 20, axis=0)
    still = rng.normal(size=(4, 3))[place]
    for X in (same, still):
        model = TwoCovariance.fit(X, place)
        assert np.isfinite(model.scores(X, *model.enrolled(X, place))).all()
