"""Closed forms: nothing left for a linear probe, or of the means, or of what a vector explains."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression

from repkit.speech.erasure import erased, leace, principal, regression, subspace


def make(n=600, d=6, k=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    X = rng.standard_normal((n, d)) @ rng.standard_normal((d, d))
    return X + 2 * rng.standard_normal((k, d))[labels] + 5, labels


def covariance(X, labels):
    onehot = labels[:, None] == np.unique(labels)
    return (X - X.mean(0)).T @ (onehot - onehot.mean(0)) / len(X)


def test_a_linear_probe_is_at_chance():
    X, labels = make()
    assert LogisticRegression(max_iter=1000).fit(X, labels).score(X, labels) > 0.9
    clean = erased(X, *leace(X, labels))
    assert np.abs(covariance(clean, labels)).max() < 1e-12
    # The best constant is the best linear probe on what it was fitted on.
    probe = LogisticRegression(C=np.inf, solver="newton-cg", tol=1e-10).fit(clean, labels)
    assert probe.score(clean, labels) == pytest.approx(np.bincount(labels).max() / len(labels))
    assert np.abs((clean - clean.mean(0)) @ probe.coef_.T).max() < 1e-6


def test_no_smaller_change_does_it():
    """Against the orthogonal projection, and small steps from the solution that keep the zero."""
    X, labels = make()
    mean, matrix = leace(X, labels)
    least = ((erased(X, mean, matrix) - X) ** 2).sum()
    directions = np.linalg.svd(covariance(X, labels), full_matrices=False)[0][:, :2]
    projected = X - (X - mean) @ directions @ directions.T
    assert np.abs(covariance(projected, labels)).max() < 1e-12
    assert least < 0.9 * ((projected - X) ** 2).sum()
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = 1e-3 * rng.standard_normal((6, 6))
        step -= step @ directions @ directions.T
        other = erased(X, mean, matrix + step)
        assert np.abs(covariance(other, labels)).max() < 1e-12
        assert ((other - X) ** 2).sum() > least


def test_means_of_all_labels_become_one():
    X, labels = make(k=4)
    clean = erased(X, *leace(X, labels))
    for k in range(4):
        np.testing.assert_allclose(clean[labels == k].mean(0), X.mean(0), atol=1e-10)
    once_more = erased(clean, *leace(X, labels))
    np.testing.assert_allclose(once_more, clean, atol=1e-10)


def test_what_has_nothing_to_do_with_the_label_stays():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    X = np.column_stack([labels - 0.5, np.tile(rng.standard_normal(50), 2)])
    clean = erased(X, *leace(X, labels))
    np.testing.assert_allclose(clean, np.column_stack([np.zeros(100), X[:, 1]]), atol=1e-12)


def test_columns_without_variance_and_few_rows():
    X, labels = make(n=5)
    X[:, 0] = 1.0
    clean = erased(X.astype(np.float32), *leace(X, labels))
    assert clean.dtype == np.float32
    assert np.abs(covariance(clean, labels)).max() < 1e-4
    np.testing.assert_allclose(clean[:, 0], 1.0)
    _, matrix = leace(np.zeros((4, 2)), [0, 0, 1, 1])
    np.testing.assert_array_equal(matrix, np.eye(2))


def test_labels_of_any_kind():
    X, labels = make()
    for x, y in zip(leace(X, labels), leace(X, np.array(["b", "a", "c"])[labels]), strict=True):
        np.testing.assert_allclose(x, y)


# -------------------------------------------------------------------- the means' subspace


def test_subspace_is_the_projection_off_the_means():
    """Against scikit-learn's PCA of the means, one row a speaker; nothing else changes."""
    X, labels = make(n=700, d=6, k=4)
    labels[:300] = 0  # one speaker more often than others: each counts once
    means = np.stack([X[labels == k].mean(0) for k in range(4)])
    for n in (2, 0.8):
        V = PCA(n, svd_solver="full").fit(means).components_
        clean = erased(X, *subspace(X, labels, n))
        np.testing.assert_allclose(clean, X - (X - X.mean(0)) @ V.T @ V, atol=1e-10)
        np.testing.assert_allclose(clean.mean(0), X.mean(0), atol=1e-10)
    whole = erased(X, *subspace(X, labels, 3))
    for k in range(4):
        np.testing.assert_allclose(whole[labels == k].mean(0), X.mean(0), atol=1e-10)
    # No more directions than there are, however many are asked for.
    np.testing.assert_allclose(erased(X, *subspace(X, labels, 100)), whole, atol=1e-10)


def test_subspace_serves_speakers_that_were_never_seen():
    """Who speaks lies in three directions of ten: the means of others lie there, too."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    speaker = np.repeat(np.arange(24), 40)
    voices = 3 * rng.standard_normal((24, 3))
    said = rng.standard_normal((960, 7))
    X = voices[speaker] @ basis[:3] + said @ basis[3:]
    seen = speaker < 12
    clean = erased(X[~seen], *subspace(X[seen], speaker[seen], 3))
    spread = [np.stack([Z[speaker[~seen] == k].mean(0) for k in range(12, 24)]).std(0).max()
              for Z in (X[~seen], clean)]  # fmt: skip
    assert spread[1] < 0.5 < 1.5 < spread[0]
    # What is said stays.
    model = LinearRegression().fit(clean, said[~seen])
    assert model.score(clean, said[~seen]) > 0.95


def test_principal_directions():
    assert principal(np.ones((4, 3)), 2).shape == (3, 0)
    rows = np.diag([3.0, 2.0, 1.0, 0.0])[:, :3]
    for share, k in ((0.5, 1), (0.9, 2), (0.999, 3), (1, 1), (3, 3), (9, 3)):
        V = principal(np.concatenate([rows, -rows]), share)
        assert V.shape == (3, k)
        np.testing.assert_allclose(np.abs(V), np.eye(3)[:, :k], atol=1e-12)


# -------------------------------------------------------------------- regression on a vector


def test_regression_leaves_what_the_vector_does_not_explain():
    rng = np.random.default_rng(0)
    s = rng.standard_normal((300, 4)) + 2
    A = rng.standard_normal((4, 5))
    X = s @ A + 0.1 * rng.standard_normal((300, 5))
    mean, matrix = regression(X, s)
    clean = erased(np.hstack([X, s]), mean, matrix)
    model = LinearRegression().fit(s, X)
    np.testing.assert_allclose(clean, X - model.predict(s) + X.mean(0), atol=1e-10)
    assert np.abs((clean - clean.mean(0)).T @ (s - s.mean(0))).max() < 1e-9
    # Of a speaker that was never seen, the same.
    other = rng.standard_normal((50, 4))
    noise = 0.1 * rng.standard_normal((50, 5))
    found = erased(np.hstack([other @ A + noise, other]), mean, matrix)
    np.testing.assert_allclose(found - found.mean(0), noise - noise.mean(0), atol=0.1)


def test_regression_on_components_and_on_columns_that_are_no_news():
    rng = np.random.default_rng(0)
    s = rng.standard_normal((200, 3)) * [5, 1, 0.1]
    X = s @ rng.standard_normal((3, 4))
    two = erased(np.hstack([X, s]), *regression(X, s, 2))
    V = PCA(2).fit(s).components_.T
    np.testing.assert_allclose(
        two, X - LinearRegression().fit(s @ V, X).predict(s @ V) + X.mean(0), atol=1e-10
    )
    doubled = np.hstack([s, s, np.ones((200, 1))])
    clean = erased(np.hstack([X, doubled]), *regression(X, doubled))
    np.testing.assert_allclose(clean, np.tile(X.mean(0), (200, 1)), atol=1e-9)


def test_errors():
    X, labels = make()
    with pytest.raises(ValueError, match="labels has 1 kinds"):
        leace(X, np.zeros(600))
    with pytest.raises(ValueError, match=r"\(600, 6\) and \(3,\)"):
        leace(X, labels[:3])
    with pytest.raises(ValueError, match="labels has 1 kinds"):
        subspace(X, np.zeros(600))
    with pytest.raises(ValueError, match=r"\(600, 6\) and \(3, 2\)"):
        regression(X, np.zeros((3, 2)))
