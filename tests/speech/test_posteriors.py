"""`FramePosteriors`: scikit-learn's whole suite, and what its rounds are."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # or check_array_api_input is skipped

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from repkit.speech import FramePosteriors, frame_table, posteriors

SMALL = FramePosteriors(2, n_rounds=1)
NAMES = ["ann", "ann", "bob", "bob"]


@parametrize_with_checks([SMALL])
def test_scikit_learn(estimator, check):
    check(estimator)


def test_the_suite_is_whole():
    results = check_estimator(SMALL, on_fail=None, on_skip=None)
    assert not [r for r in results if r["status"] == "skipped"]


@pytest.fixture(scope="module")
def frames():
    """Five phones in runs of eight frames, two people with gains and offsets of their own."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(5, 6))
    phones = [np.repeat(rng.permutation(np.arange(20) % 5), 8) for _ in NAMES]
    found = []
    for name, phone in zip(NAMES, phones, strict=True):
        x = centers[phone] + 0.2 * rng.normal(size=(len(phone), 6))
        found.append(x if name == "ann" else 3 * x - 7)
    return found, phones


def fitted(frames, **settings):
    return FramePosteriors(**{"n_components": 5, "random_state": 0, **settings}).fit(
        frames, speaker=NAMES
    )


def test_the_first_round_is_the_mixture_of_scaled_frames(frames):
    X, _ = frames
    model = fitted(X, n_rounds=0, temperature=1.0)
    own = np.concatenate(X[2:])  # of bob
    scaled = (X[2] - own.mean(0)) / own.std(0)
    wanted = model.mixtures_[0].predict_proba(scaled)
    found = model.transform(X, speaker=NAMES)
    np.testing.assert_allclose(found[2], wanted, atol=2e-5)
    np.testing.assert_allclose(model.transform_units(X, speaker=NAMES)[2], wanted.argmax(1))
    # Without a name, by all frames of fit, whose deviation is that within speakers.
    both = [np.concatenate(X[:2]), own]
    within = np.sqrt(np.mean([x.var(0) for x in both], axis=0))
    alone = (X[2] - np.concatenate(both).mean(0)) / within
    wanted = model.mixtures_[0].predict_proba(alone)
    np.testing.assert_allclose(model.transform(X[2:3])[0], wanted, atol=2e-5)


def test_a_temperature_divides_the_logarithms(frames):
    X = [x + 0.8 * np.random.default_rng(1).normal(size=x.shape) for x in frames[0]]
    model = fitted(X, n_rounds=0, temperature=3.0)
    mixture = model.mixtures_[0]
    own = np.concatenate(X[:2])
    scaled = (X[0][:4] - own.mean(0)) / own.std(0)
    densities = [
        norm.logpdf(scaled, m, np.sqrt(c)).sum(1) + np.log(w)
        for m, c, w in zip(mixture.means_, mixture.covariances_, mixture.weights_, strict=True)
    ]
    scores = np.exp(np.stack(densities, 1) / 3)
    wanted = scores / scores.sum(1, keepdims=True)
    assert (wanted.max(1) < 0.99).any()
    found = model.transform(X, speaker=NAMES)[0][:4]
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_a_round_tells_the_clusters_of_the_round_before_apart(frames):
    X, _ = frames
    model = fitted(X, n_rounds=1, context=1)
    (discriminant,) = model.discriminants_
    basis = discriminant.scalings_[:, :4]  # one less than the clusters
    own = {
        name: np.concatenate([x for x, n in zip(X, NAMES, strict=True) if n == name])
        for name in NAMES
    }
    scaled = [(x - own[n].mean(0)) / own[n].std(0) for x, n in zip(X, NAMES, strict=True)]
    wide = [
        np.hstack([np.concatenate([x[:1], x[:-1]]), x, np.concatenate([x[1:], x[-1:]])])
        for x in scaled
    ]
    z = [discriminant.transform(w) for w in wide]
    assert z[0].shape == (160, 4)
    cluster = model.mixtures_[0].predict(np.concatenate(scaled))
    wanted = LinearDiscriminantAnalysis(
        solver="eigen", shrinkage=posteriors.SHRINKAGE, n_components=4
    ).fit(np.concatenate(wide), cluster)
    np.testing.assert_allclose(discriminant.means_, wanted.means_, atol=1e-5)
    # Within the clusters the directions are not correlated, and vary by about 1.
    rows = np.concatenate(wide)
    means = np.stack([rows[cluster == k].mean(0) for k in range(5)])[cluster]
    within = np.cov(((rows - means) @ basis).T)
    np.testing.assert_allclose(within, np.eye(4), atol=0.15)
    wanted = model.mixtures_[1].predict(z[3])
    np.testing.assert_array_equal(model.transform_units(X, speaker=NAMES)[3], wanted)


def test_rounds_stand_beside_each_other_and_sum_to_1(frames):
    X, _ = frames
    found = fitted(X, n_rounds=2).transform(X, speaker=NAMES)
    assert [f.shape for f in found] == [(160, 15)] * 4
    assert found[0].dtype == np.float32
    for part in np.split(found[1], 3, axis=1):
        np.testing.assert_allclose(part.sum(1), 1 / 3, atol=1e-5)


def test_clusters_are_the_same_for_all_speakers(frames):
    X, phones = frames
    units = fitted(X).transform_units(X, speaker=NAMES)
    truth = np.array([np.bincount(units[0][phones[0] == k]).argmax() for k in range(5)])
    for u, p in zip(units, phones, strict=True):
        assert np.mean(truth[p] == u) > 0.95
    # Unless nobody is told from anybody.
    blind = FramePosteriors(5, random_state=0).fit(X).transform_units(X)
    assert len(set(blind[0]) & set(blind[2])) <= 1


def test_each_round_has_its_least_variance(frames, monkeypatch):
    X, _ = frames
    monkeypatch.setattr(posteriors, "FLOOR_WITHIN", 3.0)
    first, *further = fitted(X, n_rounds=2).mixtures_
    assert posteriors.FLOOR <= first.covariances_.min() < 3
    assert all(mixture.covariances_.min() >= 3 for mixture in further)


def test_a_seed_draws_where_each_mixture_starts(frames):
    X, _ = frames
    a, b = (fitted(X, n_components=12, random_state=k) for k in (0, 1))
    for one, other in zip(a.mixtures_, b.mixtures_, strict=True):
        assert not np.allclose(one.means_, other.means_)
    assert len({mixture.random_state for mixture in a.mixtures_}) == len(a.mixtures_)


@pytest.mark.parametrize("context", [0, 2])
def test_neighbors_are_read_as_far_as_context_says(frames, context):
    X, _ = frames
    model = fitted(X, n_rounds=1, context=context)
    whole = model.transform(X, speaker=NAMES)[0]
    other = [x.copy() for x in X]
    other[0][20] += 1e-3  # the mean of the speaker hardly moves
    changed = np.abs(model.transform(other, speaker=NAMES)[0] - whole)[:, 5:].max(1)
    assert model.discriminants_[0].n_features_in_ == 6 * (2 * context + 1)
    far = np.abs(np.arange(len(changed)) - 20) > context
    assert changed[far].max() < 1e-4


def test_new_people_and_unknown_ones(frames):
    X, _ = frames
    model = fitted(X)
    a = model.transform(X, speaker=["x", "x", -1, None])
    b = model.transform(X[:2], speaker=[7, 7])
    c = model.transform(X[2:])
    for one, other in zip(a, b + c, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(ValueError, match="speaker"):
        model.transform(X, speaker=["x"])


def test_fit_transform_uses_the_names_twice(frames):
    X, _ = frames
    a = FramePosteriors(5, random_state=0).fit_transform(X, speaker=NAMES)
    b = fitted(X).transform(X, speaker=NAMES)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


def test_some_of_many_frames_are_enough(frames, monkeypatch):
    X, phones = frames
    whole = fitted(X)
    monkeypatch.setattr(posteriors, "MOST_FRAMES", 200)
    model = fitted(X)
    assert not np.allclose(model.mixtures_[0].means_, whole.mixtures_[0].means_)
    units = model.transform_units(X, speaker=NAMES)
    counts = np.array([np.bincount(units[0][phones[0] == k], minlength=5) for k in range(5)])
    assert counts.max(1).sum() > 0.95 * counts.sum()


def test_a_table_is_frames_without_neighbors(frames, monkeypatch):
    X, _ = frames
    monkeypatch.setattr(frame_table, "BLOCK", 50)
    model = FramePosteriors(3, random_state=0).fit(X[0])
    whole = model.transform(X[0])
    assert whole.shape == (160, 18)
    assert list(model.get_feature_names_out()[[0, 17]]) == ["round0_0", "round5_2"]
    each = model.transform([x[None] for x in X[0]])
    np.testing.assert_allclose(whole, np.concatenate(each), atol=1e-6)


def test_what_cannot_be_used(frames):
    X, _ = frames
    with pytest.raises(ValueError, match="n_components=200 needs at least 800 frames"):
        FramePosteriors(200).fit(X)
    with pytest.raises(ValueError, match="temperature"):
        FramePosteriors(5, temperature=0.0).fit(X)
    with pytest.raises(ValueError, match="X has 5 features"):
        fitted(X).transform([x[:, :5] for x in X])
    with pytest.raises(ValueError, match=r"X\[1\] contains NaN"):
        FramePosteriors(5).fit([X[0], np.full((3, 6), np.nan)])
    with pytest.raises(TypeError, match="n_rounds must be an integer"):
        FramePosteriors(5, n_rounds=1.5).fit(X)
    # What does not vary has one cluster, and no further round.
    model = FramePosteriors(2, random_state=0).fit([np.ones((20, 3))])
    assert len(model.mixtures_) == 1
