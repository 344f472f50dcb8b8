import numpy as np
import pytest
import torch

from repkit.metrics import (
    batch_nuclear_norm,
    class_cluster_information,
    ensemble_agreement,
    information_maximization,
    logit_matrix_norm,
    transfer_score,
)


def softmax(n=60, c=4, scale=3.0, seed=0):
    Z = np.exp(scale * np.random.default_rng(seed).normal(size=(n, c)))
    return Z / Z.sum(axis=1, keepdims=True)


# -------------------------------------------------------------------- nuclear norm


@pytest.mark.parametrize(
    ("proba", "wanted"),
    [
        ([[1, 0], [0, 1]], 1),  # singular values 1 and 1, bound sqrt(2 * 2)
        ([[1, 0], [1, 0]], 2**-0.5),  # sqrt(2) alone
        ([[0.5, 0.5], [0.5, 0.5]], 0.5),  # 1 alone
        ([[1, 0], [0, 1], [1, 0], [0, 1]], 1),  # sqrt(2) twice, bound sqrt(4 * 2)
        ([[0.5, 0.5, 0]], 2**-0.5),  # fewer rows than classes: the row's length
        # squared singular values are the eigenvalues of [[1, 0], [0, .5]] at rows (1, 0), (.5, .5)
        ([[1, 0], [0.5, 0.5]], np.sqrt(1.5 + 2 * 0.5) / 2),  # (a + b)^2 = a^2 + b^2 + 2 |det|
    ],
)
def test_nuclear_norm_by_hand(proba, wanted):
    assert batch_nuclear_norm(proba) == pytest.approx(wanted)


def test_nuclear_norm_does_not_depend_on_the_number_of_rows():
    P = softmax()
    assert batch_nuclear_norm(np.tile(P, (5, 1))) == pytest.approx(batch_nuclear_norm(P))
    assert 1 / 4 < batch_nuclear_norm(P) < 1


# -------------------------------------------------------------------- MaNo


def test_logit_matrix_norm_by_hand():
    # certain: the softmax, that is the row. (.5^4 * 2 / 2)^(1/4) = .5
    assert logit_matrix_norm([[0.5, 0.5]]) == pytest.approx(0.5)
    assert logit_matrix_norm(np.eye(3)) == pytest.approx((1 / 3) ** 0.25)
    P = np.array([[0.7, 0.2, 0.1]])
    assert logit_matrix_norm(P, p=2, threshold=0) == pytest.approx(np.sqrt((P**2).mean()))
    # logits (1, 0, -1): v = (2.5, 1, .5), less the minimum (2, .5, 0), of a sum of 2.5
    P = np.exp([[1.0, 0, -1]]) / np.exp([1.0, 0, -1]).sum()
    assert logit_matrix_norm(P, p=1) == pytest.approx(1 / 3)
    assert logit_matrix_norm(P, p=2) == pytest.approx(np.sqrt((0.8**2 + 0.2**2) / 3))
    # without a preference a row is uniform, not 0 / 0
    assert logit_matrix_norm([[0.25] * 4]) == pytest.approx(0.25)


def test_the_threshold_is_on_the_mean_of_minus_the_logarithms():
    P = softmax()
    level = -np.log(P).mean()
    soft = np.mean(P**4) ** 0.25
    assert logit_matrix_norm(P, threshold=level * 0.999) == pytest.approx(soft)
    assert logit_matrix_norm(P, threshold=level * 1.001) != pytest.approx(soft, rel=1e-3)


def test_two_classes_are_ranked():
    sure, unsure = [[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.45, 0.55]]
    assert logit_matrix_norm(sure) > logit_matrix_norm(unsure) + 0.1


# -------------------------------------------------------------------- clusters


def blobs(classes=4, size=25, spread=0.05, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), size)
    return np.eye(classes)[labels] + spread * rng.normal(size=(classes * size, classes)), labels


def test_class_cluster_information_by_hand():
    F, y = blobs()
    assert class_cluster_information(F, y) == pytest.approx(1)
    assert class_cluster_information(F, (y + 1) % 4) == pytest.approx(1)  # names do not count
    assert class_cluster_information(F, np.array(list("abcd"))[y]) == pytest.approx(1)
    chance = np.random.default_rng(1).permutation(y)
    assert abs(class_cluster_information(F, chance)) < 0.1
    assert class_cluster_information(F, np.zeros(100)) == 0.0
    # labels that join two clusters tell ln 2 of the 2 ln 2 nats of four
    half = class_cluster_information(F, y // 2, 4)
    assert half == pytest.approx(2 / 3, abs=0.02)  # 2 I / (H + H) with H = ln 2 and 2 ln 2


def test_clusters_see_directions_only():
    F, y = blobs()
    lengths = np.random.default_rng(0).uniform(0.1, 10, size=(100, 1))
    assert class_cluster_information(F * lengths, y) == pytest.approx(1)
    F[0] = 0  # no direction at all
    assert np.isfinite(class_cluster_information(F, y))


# -------------------------------------------------------------------- ensemble


def test_ensemble_agreement_by_hand():
    a = [[0.6, 0.4], [0.6, 0.4], [0.2, 0.8]]
    b = [[0.7, 0.3], [0.3, 0.7], [0.4, 0.6]]
    c = [[0.1, 0.9], [0.7, 0.3], [0.3, 0.7]]
    # means: (.467, .533), (.533, .467), (.3, .7), that is classes 1, 0, 1
    np.testing.assert_allclose(ensemble_agreement([a, b, c]), [2 / 3, 1 / 3, 1])
    np.testing.assert_allclose(ensemble_agreement([c, torch.tensor(a), b]), [1, 2 / 3, 1 / 3])
    np.testing.assert_allclose(ensemble_agreement([b]), [1])


def test_the_worst_candidate_is_not_chosen():
    """Candidates that err independently: the ensemble is right nearly everywhere."""
    rng = np.random.default_rng(0)
    y, rates = rng.integers(0, 4, 500), np.array([0.1, 0.2, 0.3, 0.4, 0.6])
    probas = []
    for rate in rates:
        found = np.where(rng.random(500) < rate, rng.integers(0, 4, 500), y)
        probas.append(0.8 * np.eye(4)[found] + 0.05)
    agreement = ensemble_agreement(probas)
    assert (np.diff(agreement) < 0).all()
    # where most fail in the same way, so does the ensemble, as the scorer says
    wrong = 0.8 * np.eye(4)[(y + 1) % 4] + 0.05
    assert ensemble_agreement([probas[0], wrong, wrong])[0] < 0.2


# -------------------------------------------------------------------- Transfer Score


def linear(F, W, bias=0.0):
    Z = np.exp(F @ np.asarray(W).T + bias)
    return Z / Z.sum(axis=1, keepdims=True)


SIMPLEX = np.eye(3, 5) - np.r_[1, 1, 1, 0, 0] / 3  # corners of a triangle


def terms(F, P, share=0.05):
    """Hopkins statistic less the unevenness of the weights: the score without information."""
    return transfer_score(F, P, share) - information_maximization(P) / np.log(P.shape[1])


def test_transfer_score_finds_the_weights_of_a_linear_layer():
    F = np.random.default_rng(0).normal(size=(200, 5))
    bias = np.array([0.1, 0.5, -0.3])
    even = terms(F, linear(F, SIMPLEX))  # the Hopkins statistic alone
    assert 0.4 < even < 0.8
    # neither scale nor bias nor a vector that all weights have in common counts
    assert terms(F, linear(F, 2 * SIMPLEX + 1.7, bias)) == pytest.approx(even)
    crowded = SIMPLEX.copy()
    crowded[1] = 0.9 * SIMPLEX[0] + 0.1 * SIMPLEX[1]
    W = crowded - crowded.mean(axis=0)
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    unevenness = np.abs((W @ W.T)[np.triu_indices(3, 1)] + 0.5).mean()
    assert unevenness > 0.3
    assert even - terms(F, linear(F, crowded + 1.7, bias)) == pytest.approx(unevenness)
    # the weights of two classes are always opposite
    assert terms(F, linear(F, SIMPLEX[:2] + F[:2])) == pytest.approx(even)


def test_transfer_score_by_hand():
    # features at two points, of a classifier that is sure: H is nearly 1, M / ln 2 is 1, U is 0
    F = np.repeat([[0.0, 0.0], [1.0, 1.0]], 50, axis=0)
    P = np.repeat([[1.0, 0.0], [0.0, 1.0]], 50, axis=0)
    assert transfer_score(F, P) == pytest.approx(2)
    # all rows in one point, no preference: 1/2 of the rows; weights of length 0 are as uneven as 1
    assert transfer_score(np.ones((10, 2)), np.full((10, 2), 0.5)) == pytest.approx(0.5 - 1)


def test_transfer_score_measures_clusters():
    rng = np.random.default_rng(0)
    box = rng.uniform(size=(2000, 5))
    assert terms(box, linear(box, SIMPLEX), 0.5) == pytest.approx(0.5, abs=0.05)
    clusters = np.repeat(np.eye(5), 400, axis=0) + 0.02 * rng.normal(size=(2000, 5))
    assert terms(clusters, linear(clusters, SIMPLEX)) > 0.9


# -------------------------------------------------------------------- all of them


def of_rows(P):
    """The one that reads features, too."""
    return transfer_score(np.random.default_rng(5).normal(size=(60, 3)), P)


@pytest.mark.parametrize("score", [batch_nuclear_norm, logit_matrix_norm, of_rows])
def test_classes_may_be_permuted(score):
    P = softmax()
    wanted = score(P)
    assert score(P[:, [2, 0, 3, 1]]) == pytest.approx(wanted)
    assert score(P.astype(np.float32)) == pytest.approx(wanted, rel=1e-4)
    assert score(torch.tensor(P)) == pytest.approx(wanted)


@pytest.mark.parametrize("score", [batch_nuclear_norm, logit_matrix_norm])
def test_rows_may_be_permuted(score):
    P = softmax()
    shuffled = P[np.random.default_rng(0).permutation(len(P))]
    assert score(shuffled) == pytest.approx(score(P))


@pytest.mark.parametrize("score", [batch_nuclear_norm, logit_matrix_norm])
def test_confidence_is_rewarded(score):
    levels = [score(softmax(scale=s)) for s in (0.1, 1.0, 3.0)]
    assert levels[0] < levels[1] < levels[2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: batch_nuclear_norm([[2.0, -1.0]]), "proba must hold probabilities"),
        (lambda: logit_matrix_norm([[0.2, 0.2]]), "proba must hold probabilities"),
        (lambda: logit_matrix_norm([[0.5, 0.5]], p=0), "p must be a number above 0, not 0"),
        (
            lambda: logit_matrix_norm([[0.5, 0.5]], threshold=-1),
            "threshold must be a number of at least 0, not -1",
        ),
        (lambda: ensemble_agreement([]), "probas must hold the predictions of at least one cand"),
        (
            lambda: ensemble_agreement([[[0.5, 0.5]], [[0.2, 0.3, 0.5]]]),
            r"probas\[1\] has shape \(1, 3\) but probas\[0\] has \(1, 2\): let all",
        ),
        (lambda: ensemble_agreement([[[0.5, 0.5]], [[2, 0]]]), r"probas\[1\] must hold prob"),
        (
            lambda: class_cluster_information(np.eye(3), [0, 1]),
            "labels has 2 entries for 3 rows",
        ),
        (
            lambda: class_cluster_information(np.eye(3), [0, 1, 2], 4),
            "features must have at least as many rows as n_clusters=4, not 3",
        ),
        (lambda: transfer_score(np.eye(3), softmax(4)), "features has 3 rows but proba has 4"),
        (
            lambda: transfer_score(np.eye(3), softmax(3), 0),
            "share must be a number above 0 and at",
        ),
        (
            lambda: transfer_score(np.eye(3), softmax(3), 2),
            "share must be .* at most 1, not 2",
        ),
        (lambda: transfer_score([[np.nan], [1]], softmax(2)), "features contains NaN"),
        (lambda: transfer_score([[1.0]], softmax(1)), "features must have at least 2 rows, not 1"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
