"""`IVectorExtractor`: scikit-learn's whole suite, and each step against its formula."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # or check_array_api_input is skipped

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from repkit.speech import IVectorExtractor, ivectors

SMALL = IVectorExtractor(2, n_factors=2, n_iter=2)


@parametrize_with_checks([SMALL])
def test_scikit_learn(estimator, check):
    check(estimator)


def test_the_suite_is_whole():
    results = check_estimator(SMALL, on_fail=None, on_skip=None)
    assert not [r for r in results if r["status"] == "skipped"]


@pytest.fixture(scope="module")
def speech():
    """Recordings of six sounds in other proportions, each sound moved by two factors."""
    rng = np.random.default_rng(0)
    centers = 4.0 * rng.normal(size=(6, 5))
    moves = rng.normal(size=(6, 2, 5))
    factors = rng.normal(size=(60, 2))
    frames = []
    for own in factors:
        sound = rng.choice(6, size=rng.integers(40, 80), p=rng.dirichlet(np.ones(6)))
        x = centers[sound] + np.einsum("q,tqd->td", own, moves[sound])
        frames.append(x + 0.3 * rng.normal(size=x.shape))
    return frames, factors


def fitted(frames, **settings):
    return IVectorExtractor(
        **{"n_components": 6, "n_factors": 2, "random_state": 0, **settings}
    ).fit(frames)


def test_it_finds_the_factors_whatever_is_said(speech):
    frames, factors = speech
    model = fitted(frames[:40])
    found = model.transform(frames)
    means = np.array([x.mean(0) for x in frames])

    def told(Z):
        return LinearRegression().fit(Z[:40], factors[:40]).score(Z[40:], factors[40:])

    assert told(found) > 0.7
    assert told(found) > told(means) + 0.2


def test_vectors_are_the_expected_factors(speech):
    frames, _ = speech
    model = fitted(frames, n_factors=3)
    x = (frames[7] - model.mean_) / model.scale_
    share = model.mixture_.predict_proba(x)
    precision, along = np.eye(3), np.zeros(3)
    for k, T in enumerate(model.directions_):
        inverse = np.diag(1 / model.mixture_.covariances_[k])
        precision += share[:, k].sum() * T.T @ inverse @ T
        along += T.T @ inverse @ (share[:, k] @ (x - model.mixture_.means_[k]))
    found = model.transform(frames)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[7], np.linalg.solve(precision, along), rtol=1e-3, atol=1e-4)


def test_no_step_makes_the_frames_less_likely(speech):
    frames, _ = speech

    def likelihood(model):
        """Of the frames as the mixture divides them, but for what no direction changes."""
        counts, sums = model._gathered(np.concatenate(frames), [len(x) for x in frames])
        T, inverse = model.directions_, 1 / model.mixture_.covariances_
        total = 0.0
        for count, s in zip(counts, sums, strict=True):
            precision = np.eye(T.shape[2]) + np.einsum("k,kdq,kd,kdp->qp", count, T, inverse, T)
            along = np.einsum("kdq,kd,kd->q", T, inverse, s)
            total += along @ np.linalg.solve(precision, along) - np.linalg.slogdet(precision)[1]
        return total / 2

    found = [likelihood(fitted(frames, n_iter=n)) for n in range(1, 9)]
    assert (np.diff(found) > -1e-6 * np.abs(found[0])).all()
    assert found[-1] > found[0]


def test_a_step_against_its_formula(speech):
    """Each cluster's directions are a regression of what differs on the factors and their doubt."""
    frames, _ = speech
    before, after = fitted(frames, n_iter=1), fitted(frames, n_iter=2)
    left, right = np.zeros((6, 2, 2)), np.zeros((6, 5, 2))
    counts, sums = before._gathered(np.concatenate(frames), [len(x) for x in frames])
    for count, total in zip(counts, sums, strict=True):
        precision, along = np.eye(2), np.zeros(2)
        for k, T in enumerate(before.directions_):
            weighted = T / before.mixture_.covariances_[k][:, None]
            precision += count[k] * weighted.T @ T
            along += weighted.T @ total[k]
        mean = np.linalg.solve(precision, along)
        left += count[:, None, None] * (np.linalg.inv(precision) + np.outer(mean, mean))
        right += total[:, :, None] * mean
    wanted = right @ np.linalg.inv(left)
    np.testing.assert_allclose(after.directions_, wanted, rtol=1e-3, atol=1e-4)


def test_less_is_known_of_short_recordings(speech):
    frames, _ = speech
    model = fitted(frames)
    long = np.linalg.norm(model.transform(frames), axis=1)
    short = np.linalg.norm(model.transform([x[:1] for x in frames]), axis=1)
    assert short.mean() < 0.5 * long.mean()


def test_neither_blocks_nor_neighbors_matter(speech, monkeypatch):
    frames, _ = speech
    model = fitted(frames)
    whole = model.transform(frames)
    alone = np.concatenate([model.transform([x]) for x in frames])
    np.testing.assert_allclose(alone, whole, atol=1e-4)
    monkeypatch.setattr(ivectors, "BLOCK", 17)
    monkeypatch.setattr(ivectors, "RECORDINGS", 7)
    np.testing.assert_allclose(model.transform(frames), whole, atol=1e-4)
    again = fitted(frames)
    np.testing.assert_allclose(again.directions_, model.directions_, rtol=1e-3, atol=1e-4)


def test_scales_of_columns_do_not_matter(speech):
    frames, _ = speech
    scale, shift = np.array([1e-3, 1.0, 50.0, 1.0, 1e4]), np.arange(5.0)
    other = [x * scale + shift for x in frames]
    found = fitted(other).transform(other)
    np.testing.assert_allclose(found, fitted(frames).transform(frames), atol=0.02)
    still = [np.hstack([x, np.ones((len(x), 1))]) for x in frames]
    assert np.isfinite(fitted(still).transform(still)).all()


def test_errors(speech):
    frames, _ = speech
    with pytest.raises(ValueError, match="needs at least 4096 frames"):
        fitted(frames[:3], n_components=1024)
    for name in ("n_components", "n_factors", "n_iter"):
        with pytest.raises(ValueError, match=f"{name} must be"):
            fitted(frames, **{name: 0})
    with pytest.raises(NotFittedError):
        IVectorExtractor().transform(frames)
    with pytest.raises(ValueError, match="features"):
        fitted(frames).transform([x[:, :3] for x in frames])
