import numpy as np
import pytest
import torch

from repkit.metrics import (
    control_variate_risk,
    deep_embedded_validation,
    importance_weighted_validation,
    importance_weights,
    information_maximization,
    prediction_entropy,
    soft_neighborhood_density,
)

LOG2 = np.log(2)


@pytest.mark.parametrize(
    ("proba", "entropy", "information"),
    [
        ([[1, 0], [0, 1]], 0, LOG2),  # certain and balanced
        ([[1, 0], [1, 0]], 0, 0),  # certain and collapsed
        ([[0.5, 0.5], [0.5, 0.5]], LOG2, 0),  # ignorant
        ([[1, 0], [0.5, 0.5]], LOG2 / 2, 0.75 * np.log(4 / 3) + 0.25 * np.log(4) - LOG2 / 2),
    ],
)
def test_entropies_by_hand(proba, entropy, information):
    assert prediction_entropy(proba) == pytest.approx(entropy)
    assert information_maximization(torch.tensor(proba)) == pytest.approx(information)


def softmax(n=50, c=4, scale=3.0, seed=0):
    Z = np.exp(scale * np.random.default_rng(seed).normal(size=(n, c)))
    return Z / Z.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "score", [prediction_entropy, information_maximization, soft_neighborhood_density]
)
def test_rows_and_classes_may_be_permuted(score):
    P, rng = softmax(), np.random.default_rng(0)
    wanted = score(P)
    assert score(P[rng.permutation(50)]) == pytest.approx(wanted)
    assert score(P[:, rng.permutation(4)]) == pytest.approx(wanted)
    assert score(P.astype(np.float32)) == pytest.approx(wanted, rel=1e-4)


def test_snd_by_hand():
    # rows at 0, 0 and 90 degrees, temperature 1: similarities to the others are (1, 0) for the
    # first two rows and (0, 0) for the third
    p = np.e / (np.e + 1)
    H = -p * np.log(p) - (1 - p) * np.log(1 - p)
    X = [[1, 0], [5, 0], [0, 2]]
    assert soft_neighborhood_density(X, temperature=1) == pytest.approx((2 * H + LOG2) / 3)


def test_snd_blocks_are_brute_force():
    P = softmax(n=37)
    Z = P / np.linalg.norm(P, axis=1, keepdims=True)
    S = (Z @ Z.T / 0.05)[~np.eye(37, dtype=bool)].reshape(37, 36)
    W = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
    wanted = -(W * np.log(W)).sum(axis=1).mean()
    for batch_bytes in (1, 3 * 37 * 8 * 5, 2**26):  # blocks of 1, 5 and all rows
        assert soft_neighborhood_density(P, batch_bytes=batch_bytes) == pytest.approx(wanted)


def test_snd_prefers_clusters_and_is_fooled_by_one_blob():
    rng = np.random.default_rng(0)
    clusters = np.eye(5)[rng.integers(0, 5, 200)] * 0.95 + 0.01
    scattered = rng.dirichlet(np.ones(5), 200)
    blob = np.tile([[0.6, 0.1, 0.1, 0.1, 0.1]], (200, 1))
    density = [soft_neighborhood_density(P) for P in (scattered, clusters, blob)]
    assert density[0] < density[1] < density[2]
    assert density[2] == pytest.approx(np.log(199))  # the upper bound


def test_weights_of_a_known_ratio():
    # N(1, 1) over N(0, 1) at x is exp(x - 1/2), log-linear as the classifier supposes
    rng = np.random.default_rng(0)
    S, T = rng.normal(size=(20_000, 1)), rng.normal(size=(10_000, 1)) + 1
    at = np.array([[-1.0], [0.0], [1.0], [2.0]])
    np.testing.assert_allclose(importance_weights(S, T, at), np.exp(at[:, 0] - 0.5), rtol=0.12)
    w = importance_weights(S, T)
    assert w.shape == (20_000,)
    assert w.mean() == pytest.approx(1, abs=0.03)
    assert (w * S[:, 0]).mean() == pytest.approx(1, abs=0.1)  # the target's mean


def test_weights_of_equal_domains_are_one_whatever_their_sizes():
    rng = np.random.default_rng(0)
    w = importance_weights(rng.normal(size=(3000, 2)), rng.normal(size=(500, 2)), C=1e-3)
    np.testing.assert_allclose(w, 1, atol=0.15)


def test_weights_of_disjoint_domains_are_finite():
    S, T = np.zeros((5, 1)), np.ones((5, 1))
    w = importance_weights(S, T, np.array([[-1e9], [1e9]]), C=1e9)
    assert np.isfinite(w).all()
    assert w[0] < 1e-12
    assert w[1] > 1e12


def test_importance_weighted_validation_by_hand():
    assert importance_weighted_validation([0, 1, 1, 0], [3.0, 0.5, 0.1, 0.4]) == pytest.approx(0.15)
    loss = np.array([0.3, 0.1])
    assert importance_weighted_validation(loss, np.ones(2)) == pytest.approx(0.2)


def test_control_variate_by_hand():
    # w = (0, 2, 1), l = (1, 1, 0): wl = (0, 2, 0), mean 2/3; mean w = 1, so nothing to correct
    assert control_variate_risk([1, 1, 0], [0, 2, 1]) == pytest.approx(2 / 3)
    # w = (0, 3, 3): wl = (0, 3, 0), mean 1; cov = 1.5, var = 3, eta = -1/2; 1 - (2 - 1) / 2
    assert control_variate_risk([1, 1, 0], [0, 3, 3]) == pytest.approx(0.5)
    assert control_variate_risk([1, 0, 0, 0], [1, 1, 1, 1]) == pytest.approx(0.25)


def test_control_variate_lowers_the_variance():
    rng = np.random.default_rng(0)
    plain, corrected = [], []
    for _ in range(200):
        x = rng.normal(size=200)
        w, loss = np.exp(x - 0.5), (x > -0.5).astype(float)  # true risk: P(x > -0.5), x ~ N(1, 1)
        plain.append(importance_weighted_validation(loss, w))
        corrected.append(control_variate_risk(loss, w))
    assert np.mean(corrected) == pytest.approx(0.9332, abs=0.02)
    assert np.std(corrected) < 0.5 * np.std(plain)


def test_deep_embedded_validation_joins_its_parts():
    rng = np.random.default_rng(0)
    train, val, target = (rng.normal(size=(60, 3)) + m for m in (0, 0, 0.7))
    loss = rng.integers(0, 2, 60)
    w = importance_weights(train, target, val, C=0.1)
    wanted = control_variate_risk(loss, w)
    assert deep_embedded_validation(train, val, target, loss, C=0.1) == pytest.approx(wanted)
    order = rng.permutation(60)
    shuffled = deep_embedded_validation(train, val[order], target, loss[order], C=0.1)
    assert shuffled == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: prediction_entropy([[2.0, -1.0]]),
            "proba must hold probabilities, not entries of .* or rows whose.*softmax",
        ),
        (
            lambda: prediction_entropy([[0.2, 0.2]]),
            "proba must hold probabilities, not entries of .* or rows whose.*softmax",
        ),
        (
            lambda: information_maximization([[1.0], [1.0]]),
            "proba must have a column for each of at least 2 classes, not 1",
        ),
        (
            lambda: information_maximization(np.zeros((0, 2))),
            "proba must have at least 1 rows, not 0: check the split that",
        ),
        (lambda: prediction_entropy([[np.nan, 1.0]]), "proba contains NaN"),
        (
            lambda: prediction_entropy([0.5, 0.5]),
            r"proba must have shape \(n_samples, n_features\), not \(2,\)",
        ),
        (
            lambda: soft_neighborhood_density([[1.0, 0.0]]),
            "X must have at least 2 rows, not 1: check the split that made",
        ),
        (
            lambda: soft_neighborhood_density(np.eye(2), 0),
            r"temperature must be a number above 0, not 0",
        ),
        (lambda: importance_weights(np.eye(2), np.eye(3)), "features_source has 2 .*target has 3"),
        (lambda: importance_weights(np.eye(2), np.eye(2), np.eye(3)), "features_at has 3"),
        (lambda: importance_weighted_validation([1, 0], [1.0]), "2 entries but weights has 1"),
        (
            lambda: importance_weighted_validation([1, 0], [1, -1]),
            "weights must be 0 or more, as density ratios are, not -1",
        ),
        (
            lambda: importance_weighted_validation([], []),
            "loss_source_val must be a non-empty vector of shape",
        ),
        (lambda: importance_weighted_validation([np.inf], [1]), "loss_source_val contains NaN"),
        (
            lambda: control_variate_risk([1], [1]),
            "loss_source_val must have at least 2 entries for a covariance",
        ),
        (
            lambda: deep_embedded_validation(np.eye(2), np.eye(2), np.eye(2), [1, 0, 0]),
            "loss_source_val has 3 entries but features_source_val has 2",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
