import numpy as np
import pytest
import torch

from repkit.metrics import domain_accuracy, proxy_a_distance


def normal(n, d=5, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_identical_domains_are_near_zero():
    assert proxy_a_distance(normal(1000, seed=1), normal(1000, seed=2)) < 0.15


def test_disjoint_domains_are_near_two():
    assert proxy_a_distance(normal(100), normal(100, shift=50, seed=1)) == 2.0


def test_one_feature_by_hand():
    # the best threshold between N(0, 1) and N(2, 1) errs with probability Phi(-1) = 0.1587
    distance = proxy_a_distance(normal(4000, 1), normal(4000, 1, shift=2, seed=1))
    assert distance == pytest.approx(2 * (1 - 2 * 0.1587), abs=0.05)


def test_distance_is_the_formula_of_the_held_out_error():
    S, T = normal(200), normal(150, shift=0.4, seed=1)
    accuracy = domain_accuracy(S, T, C=0.1)
    assert 0.5 < accuracy < 1
    assert proxy_a_distance(S, T, C=0.1) == pytest.approx(2 * (1 - 2 * (1 - accuracy)))


def test_the_best_strength_counts():
    # 40 noise features for 30 rows: the weak penalty overfits, the strong one does not
    S, T = normal(30, 40), normal(30, 40, seed=1)
    T[:, 0] += 3
    each = [domain_accuracy(S, T, C=c) for c in (1e-3, 1e3)]
    assert each[0] != each[1]
    assert domain_accuracy(S, T, C=(1e-3, 1e3)) == max(each)


def test_the_error_is_held_out():
    # more features than rows: any training error would be 0, and the distance 2
    assert proxy_a_distance(normal(40, 200), normal(40, 200, seed=1)) < 0.8


def test_unequal_sizes_are_no_distance():
    # "always target" is right for 95% of the rows, yet tells nothing apart
    assert proxy_a_distance(normal(100), normal(1900, seed=1)) < 0.4
    # nor do they hide one: an unweighted SVM would call nearly every row a target
    distance = proxy_a_distance(normal(300, 1), normal(4700, 1, shift=1, seed=1))
    assert distance == pytest.approx(2 * (1 - 2 * 0.3085), abs=0.15)


def test_clipped_below():
    # two copies of the same rows: the held-out error lies above one half for some splits
    values = [domain_accuracy(normal(20), normal(20), C=1.0, random_state=s) for s in range(10)]
    assert min(values) < 0.5
    worst = int(np.argmin(values))
    assert proxy_a_distance(normal(20), normal(20), C=1.0, random_state=worst) == 0.0


def test_scale_and_row_order_do_not_matter():
    S, T = normal(400), normal(400, shift=0.5, seed=1)
    wanted = proxy_a_distance(S, T)
    scaled = proxy_a_distance(S * 1e3, torch.tensor(T * 1e3))
    assert scaled == pytest.approx(wanted, abs=1e-9)
    order = np.random.default_rng(3).permutation(400)
    assert proxy_a_distance(S[order], T) == pytest.approx(wanted, abs=0.15)


def test_max_samples_and_the_global_generator():
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    S, T = normal(300), normal(300, shift=1, seed=1)
    first = proxy_a_distance(S, T, max_samples=50)
    assert first == proxy_a_distance(S, T, max_samples=50)
    assert first != proxy_a_distance(S, T, max_samples=50, random_state=1)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X_source": np.full((5, 2), np.nan)}, "X_source contains NaN"),
        ({"X_target": np.zeros((5, 3))}, "X_source has 2 features but X_target has 3"),
        (
            {"X_target": np.zeros((1, 2))},
            "X_target must have at least 2 rows for n_splits=2, not 1: pass more",
        ),
        ({"C": 0.0}, "C must be a number above 0, or a sequence of such numbers, not 0"),
        ({"C": ()}, r"C must be one or more numbers above 0, such as \(0\.01, 1\), not"),
        ({"n_splits": 1}, "n_splits must be an integer of at least 2, not 1"),
        (
            {"max_samples": 1},
            "max_samples must be an integer of at least 2, or None for all, not 1",
        ),
    ],
)
def test_errors(change, message):
    good = {"X_source": np.zeros((5, 2)), "X_target": np.ones((5, 2))}
    with pytest.raises(ValueError, match=message):
        proxy_a_distance(**{**good, **change})
