import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch.utils._python_dispatch import TorchDispatchMode

from repkit.metrics import frechet_distance, nearest_neighbor_distance, precision_recall


class Largest(TorchDispatchMode):
    """Record the size of the largest tensor that any operation makes."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(t, torch.Tensor):
                self.bytes = max(self.bytes, t.numel() * t.element_size())
        return out


def with_moments(mean, root, n=50, seed=0):
    """Rows whose sample mean is `mean` and whose sample covariance is root root^T, exactly."""
    X = np.random.default_rng(seed).normal(size=(n, len(mean)))
    X -= X.mean(0)
    X = X @ np.linalg.inv(np.linalg.cholesky(np.cov(X.T, ddof=1).reshape(len(mean), -1))).T
    return X @ np.asarray(root).T + mean


def balls(X, k):
    return np.sort(np.linalg.norm(X[:, None] - X[None], axis=2), axis=1)[:, k]


def brute_force(real, generated, k):
    d = np.linalg.norm(real[:, None] - generated[None], axis=2)
    inside = d <= balls(real, k)[:, None]
    return {
        "precision": inside.any(0).mean(),
        "recall": (d <= balls(generated, k)[None]).any(1).mean(),
        "density": inside.sum(0).mean() / k,
        "coverage": inside.any(1).mean(),
    }


def test_frechet_in_one_dimension():
    # (m1 - m2)^2 + (s1 - s2)^2
    real = with_moments([1.0], [[2.0]])
    generated = with_moments([-2.0], [[0.5]], seed=1)
    assert frechet_distance(real, generated) == pytest.approx(9 + 1.5**2, rel=1e-12)


def test_frechet_of_covariances_that_commute():
    s1, s2 = np.array([3.0, 1.0, 0.2]), np.array([1.0, 4.0, 0.2])
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    real = with_moments([0.0, 0.0, 0.0], turn * s1)
    generated = with_moments([1.0, -2.0, 0.0], turn * s2, n=80, seed=1)
    wanted = 5 + np.square(s1 - s2).sum()
    assert frechet_distance(real, generated) == pytest.approx(wanted, rel=1e-12)
    assert frechet_distance(generated, real) == pytest.approx(wanted, rel=1e-12)


def test_frechet_against_the_matrix_root_of_scipy():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(90, 6)) @ rng.normal(size=(6, 6)) + 100.0
    generated = rng.normal(size=(70, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6) + 100.0
    S1, S2 = np.cov(real.T), np.cov(generated.T)
    root = sqrtm(S1 @ S2).real.trace()  # the root as the formula is often written
    wanted = np.square(real.mean(0) - generated.mean(0)).sum() + np.trace(S1 + S2) - 2 * root
    assert frechet_distance(real, generated) == pytest.approx(wanted, rel=1e-9)


def test_frechet_of_singular_covariances():
    rng = np.random.default_rng(0)
    few = rng.normal(size=(10, 40))
    assert 0.0 <= frechet_distance(few, few) < 1e-6
    assert frechet_distance(few, few + 0.5) == pytest.approx(40 * 0.25, abs=1e-6)
    # two planes at a right angle: nothing in common but the mean
    A, B = np.zeros((2, 30, 4))
    A[:, :2], B[:, 2:] = (
        with_moments([0, 0], np.eye(2), 30),
        with_moments([0, 0], 2 * np.eye(2), 30),
    )
    assert frechet_distance(A, B) == pytest.approx(2 + 8, rel=1e-9)
    assert frechet_distance(A[:5] * 0, B) == pytest.approx(8, rel=1e-9)  # a point


def test_frechet_of_float32_far_from_the_origin_and_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    real, generated = (rng.normal(size=(200, 5)).astype(np.float32) + 1000 for _ in range(2))
    wanted = frechet_distance(real.astype(float), generated.astype(float))
    assert frechet_distance(real, torch.from_numpy(generated)) == pytest.approx(wanted, rel=1e-12)
    monkeypatch.setattr("repkit.metrics.generation._BATCH_BYTES", 24 * 5 * 7)
    assert frechet_distance(real, generated) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("budget", [2**12, 2**28])
def test_precision_and_recall_are_those_of_brute_force(k, budget):
    rng = np.random.default_rng(k)
    real, generated = rng.normal(size=(60, 3)), rng.normal(size=(45, 3)) * 0.8 + 0.7
    wanted = brute_force(real, generated, k)
    assert min(wanted.values()) > 0
    assert max(wanted["precision"], wanted["recall"]) < 1
    assert precision_recall(real, generated, k, batch_bytes=budget) == pytest.approx(wanted)


def test_a_mode_that_is_never_generated_costs_recall_and_coverage():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(400, 2)) + np.repeat([[0.0, 0.0], [50.0, 0.0]], 200, axis=0)
    lost = precision_recall(real, rng.normal(size=(400, 2)), k=5)
    assert lost["precision"] > 0.95
    assert lost["recall"] < 0.52
    assert lost["coverage"] < 0.52
    blurred = precision_recall(real, real + rng.normal(size=real.shape) * 6)
    assert blurred["precision"] < 0.5 < 0.9 < blurred["recall"]


def test_an_outlier_raises_the_precision_but_not_the_density():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 2))
    real[0] = 30.0  # its ball reaches over the others
    generated = rng.normal(size=(300, 2)) + 8.0
    scores = precision_recall(real, generated)
    assert scores["precision"] > 0.9
    assert scores["density"] < 0.4


def test_equal_distributions():
    real, generated = np.random.default_rng(0).normal(size=(2, 2000, 4))
    scores = precision_recall(real, generated, k=5)
    assert scores["density"] == pytest.approx(1, abs=0.05)
    assert scores["coverage"] == pytest.approx(1 - 2**-5, abs=0.01)
    assert min(scores["precision"], scores["recall"]) > 0.9


def test_memory_is_bounded():
    real, generated = np.random.default_rng(0).normal(size=(2, 700, 16)).astype(np.float32)
    budget = 2**16  # the distances would take 2e6 bytes
    with Largest() as seen:
        scores = precision_recall(real, generated, device="cpu", batch_bytes=budget)
        nearest_neighbor_distance(real, generated, device="cpu", batch_bytes=budget)
    checks = real.nbytes  # the pass that looks for NaN has a budget of its own
    assert seen.bytes <= max(budget, checks)
    wanted = brute_force(real.astype(float), generated.astype(float), 3)
    assert scores == pytest.approx(wanted, abs=2 / 700)


def test_nearest_neighbor_distance():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(40, 3)), rng.normal(size=(25, 3)) + 1.0
    d = np.linalg.norm(real[:, None] - generated[None], axis=2)
    wanted = {"generated_to_real": d.min(0).mean(), "real_to_generated": d.min(1).mean()}
    for budget in (2**10, 2**28):
        found = nearest_neighbor_distance(real, generated, batch_bytes=budget)
        assert found == pytest.approx(wanted, rel=1e-12)
    found = nearest_neighbor_distance(torch.from_numpy(real), torch.from_numpy(generated))
    assert found == pytest.approx(wanted, rel=1e-12)
    # copies are at distance 0 to the last digit, far from the origin too
    images = rng.normal(size=(30, 2, 2)).astype(np.float32) + 500
    assert nearest_neighbor_distance(images, images[:9])["generated_to_real"] == 0.0


@pytest.mark.parametrize("metric", [frechet_distance, precision_recall, nearest_neighbor_distance])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generated": np.zeros((9, 3))}, "real has 2 features but generated has 3"),
        ({"real": np.r_[np.zeros((7, 2)), [[0, np.nan]]]}, r"real contains NaN .*row 7\)"),
        ({"generated": np.full((9, 2), np.inf)}, r"generated contains NaN or infinity .*row 0\)"),
        (
            {"real": np.zeros((0, 2))},
            r"real must have shape \(n_samples, n_features\), both at least",
        ),
        (
            {"generated": np.zeros(9)},
            r"generated must have shape \(n_samples, n_features\), both at",
        ),
        (
            {"generated": np.full((9, 2), "a")},
            "generated must hold real numbers, not dtype <U1: encode or cast",
        ),
    ],
)
def test_errors(metric, change, message):
    with pytest.raises(ValueError, match=message):
        metric(**{"real": np.eye(9, 2), "generated": np.ones((9, 2)), **change})


def test_too_few_rows():
    with pytest.raises(
        ValueError, match="generated must have at least 2 rows for a covariance, not 1"
    ):
        frechet_distance(np.eye(3), np.ones((1, 3)))
    with pytest.raises(
        ValueError, match="real must have at least 4 rows for balls up to neighbor k=3"
    ):
        precision_recall(np.eye(3), np.ones((9, 3)))
    for k in (0, 1.5, "3"):
        with pytest.raises((TypeError, ValueError), match="k must be an integer of at least 1"):
            precision_recall(np.eye(3), np.eye(3), k=k)
