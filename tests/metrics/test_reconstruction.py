import numpy as np
import pytest

from repkit.metrics import reconstruction_ratio


@pytest.fixture
def X():
    return np.random.default_rng(0).random((300, 2, 3))


def test_perfect_and_random_codes(X):
    assert reconstruction_ratio(X, X) == 0
    assert reconstruction_ratio(X, np.full_like(X, X.mean())) == pytest.approx(1, abs=0.03)
    assert reconstruction_ratio(X, X[::-1]) == pytest.approx(1, abs=0.05)


def test_by_hand():
    X, back = np.array([[0.0], [3.0]]), np.array([[1.0], [3.0]])
    assert reconstruction_ratio(X, back) == pytest.approx(0.5 / 2.5)


def test_the_order_of_the_rows_does_not_matter():
    """Sorted by class the row before is alike; another row must not be."""
    X = np.repeat(np.eye(10), 50, 0)
    assert reconstruction_ratio(X, 0.9 * X + 0.01) == pytest.approx(
        reconstruction_ratio(
            *(a[np.random.default_rng(0).permutation(500)] for a in (X, 0.9 * X + 0.01))
        ),
        rel=0.1,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[:, :1], "features"),
        (lambda X: X[:5], "X has 300 rows but X_back has 5"),
        (lambda X: X * np.nan, "NaN"),
    ],
)
def test_bad_input(X, change, message):
    with pytest.raises(ValueError, match=message):
        reconstruction_ratio(X, change(X))
