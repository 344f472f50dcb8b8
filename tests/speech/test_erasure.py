"""LEACE: nothing left for a linear probe, and no smaller change does it."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from repkit.speech.erasure import erased, leace


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


def test_errors():
    X, labels = make()
    with pytest.raises(ValueError, match="labels has 1 kinds"):
        leace(X, np.zeros(600))
    with pytest.raises(ValueError, match=r"\(600, 6\) and \(3,\)"):
        leace(X, labels[:3])
