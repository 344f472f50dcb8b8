import tracemalloc

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch.utils._python_dispatch import TorchDispatchMode

from repkit.metrics import knn_predict, knn_probe, linear_probe


class Largest(TorchDispatchMode):
    """Record the size of the largest tensor that any operation makes."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(t, torch.Tensor):
                self.bytes = max(self.bytes, t.numel() * t.element_size())
        return out


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 240)
    X = rng.normal(size=(240, 6)) + 1.2 * np.eye(3, 6)[y]
    return X[:160], y[:160], X[160:], y[160:]


def test_linear_probe_is_sklearns_on_standardized_features(blobs):
    X, y, X_test, y_test = blobs
    scale = np.array([1e-3, 1, 1, 1e3, 1, 1])  # standardization takes any scale out
    scaler = StandardScaler().fit(X)
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(X), y)
    proba = model.predict_proba(scaler.transform(X_test))
    predicted = proba.argmax(axis=1)
    scores = linear_probe(X * scale, y, X_test * scale, y_test)
    assert scores["accuracy"] == np.mean(predicted == y_test)
    recalls = [np.mean(predicted[y_test == c] == c) for c in range(3)]
    assert scores["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert scores["log_loss"] == pytest.approx(-np.log(proba[range(80), y_test]).mean(), rel=1e-4)
    assert scores["train_accuracy"] == model.score(scaler.transform(X), y)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_linear_probe_of_digits_is_sklearns(dtype):
    X, y = load_digits(return_X_y=True)
    X = X.astype(dtype)
    scaler = StandardScaler().fit(X[:1200])
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(X[:1200]), y[:1200])
    scores = linear_probe(X[:1200], y[:1200], X[1200:], y[1200:])
    assert scores["accuracy"] == model.score(scaler.transform(X[1200:]), y[1200:])
    assert scores["train_accuracy"] == model.score(scaler.transform(X[:1200]), y[:1200])


def peak_bytes(call):
    """Most bytes that numpy and python hold at once during a call, beyond those before it."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_linear_probe_far_from_the_origin(blobs):
    # float32 keeps 3 digits of these features: centered block by block, none is lost to products
    X, y, X_test, y_test = blobs
    far = [(v + 4000).astype(np.float32) for v in (X, X_test)]
    near = [v.astype(np.float64) - 4000 for v in far]
    scores = linear_probe(far[0], y, far[1], y_test)
    assert scores == pytest.approx(linear_probe(near[0], y, near[1], y_test), rel=1e-3)


def test_a_constant_feature_changes_nothing(blobs):
    X, y, X_test, y_test = blobs
    wanted = linear_probe(X, y, X_test, y_test)
    # 0.1 has no exact mean; the test rows must not be divided by its rounding
    train, test = (np.column_stack([v, np.full(len(v), 0.1)]) for v in (X, X_test))
    assert linear_probe(train, y, test, y_test) == pytest.approx(wanted, rel=1e-4)


def test_linear_probe_warns_when_it_stops_early(blobs):
    with pytest.warns(ConvergenceWarning, match="lbfgs"):
        linear_probe(*blobs, max_iter=2)


def test_linear_probe_errors(blobs):
    with pytest.raises(ValueError, match=r"^C must be a number above 0, not 0$"):
        linear_probe(*blobs, C=0)


def test_linear_probe_takes_images_tensors_and_strings(blobs):
    X, y, X_test, y_test = blobs
    wanted = linear_probe(X, y, X_test, y_test)
    names = np.array(["ant", "bee", "cat"])
    images = torch.tensor(X).reshape(-1, 1, 2, 3)
    given = linear_probe(images, names[y], torch.tensor(X_test), names[y_test].tolist())
    assert given == pytest.approx(wanted)


def test_perfect_separation_has_a_finite_loss():
    X, y = np.array([[-1e4], [1e4]] * 5), np.array([0, 1] * 5)
    flipped = linear_probe(X, y, X * 1e4, 1 - y, C=1e6)
    assert flipped["accuracy"] == 0
    assert np.isfinite(flipped["log_loss"])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [1, 4, 7])
def test_knn_is_sklearns(blobs, metric, k):
    X, y, X_test, y_test = blobs
    # k = 4 has tied votes: both give them to the smallest label
    model = KNeighborsClassifier(k, metric=metric, algorithm="brute").fit(X, y)
    np.testing.assert_array_equal(knn_predict(X, y, X_test, k, metric), model.predict(X_test))
    scores = knn_probe(X, y, X_test, y_test, k, metric)
    assert scores["accuracy"] == model.score(X_test, y_test)


def test_knn_by_hand():
    X, y = [[0.0], [1.0], [10.0], [11.0], [12.0]], ["a", "b", "c", "c", "b"]
    assert knn_predict(X, y, [[0.4], [11.1]]).tolist() == ["a", "c"]
    # the three nearest of 11.1 are 11 (c), 12 (b), 10 (c); those of 0.4 vote a, b, c: a tie
    assert knn_predict(X, y, [[0.4], [11.1]], 3).tolist() == ["a", "c"]
    scores = knn_probe(X, y, [[0.4], [0.3], [0.2], [11.1]], ["a", "a", "b", "c"])
    assert scores == {"accuracy": 0.75, "balanced_accuracy": pytest.approx(2 / 3)}


def test_knn_votes_are_counted_in_batches():
    labels = np.arange(3000)  # as many classes as rows: the ballots of all rows would be 9e6
    X = labels[:, None].astype(float)
    np.testing.assert_array_equal(knn_predict(X, labels, X + 0.1), labels)


def test_knn_probe_never_holds_all_distances():
    rng = np.random.default_rng(0)
    y, y_test = rng.integers(0, 3, 3000), rng.integers(0, 3, 700)
    X, X_test = (rng.normal(size=(len(v), 16)).astype(np.float32) for v in (y, y_test))
    wanted = KNeighborsClassifier(5, algorithm="brute").fit(X, y).score(X_test, y_test)
    budget = 2**17  # the distances would take 8.4e6 bytes

    def call():
        return knn_probe(X, y, X_test, y_test, 5, device="cpu", batch_bytes=budget)

    with Largest() as seen:
        scores = call()
    assert budget / 4 < seen.bytes <= budget
    # blocks, and the places and votes of 5 neighbors of each test row; torch's is not in it
    assert peak_bytes(call) < 4 * 3000 * 700 / 8
    assert scores["accuracy"] == wanted


@pytest.mark.parametrize("probe", [linear_probe, knn_probe])
def test_row_order_and_labels_do_not_matter(blobs, probe):
    X, y, X_test, y_test = blobs
    order, back = np.random.default_rng(1).permutation(160), np.array([2, 0, 1])
    wanted = probe(X, y, X_test, y_test)
    assert probe(X[order], back[y[order]], X_test, back[y_test]) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("probe", [linear_probe, knn_probe])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X_train": np.full((4, 2), np.nan)}, "X_train.* NaN or infinity .*row 0.*drop"),
        ({"X_test": np.array([[0, 0], [np.inf, 0]])}, "X_test.* NaN or infinity .*row 1"),
        ({"X_train": np.zeros((0, 2)), "y_train": []}, "X_train|y_train"),
        ({"X_test": np.zeros((2, 3))}, "has 2 features but X_.* has 3"),
        ({"y_train": [0, 1, 0]}, "y_train has 3 entries for 4 rows"),
        ({"y_train": [0, 1, 0, np.nan]}, "y_train is missing .* in 1 of 4 rows"),
        (
            {"y_train": [[0], [1], [0], [1]]},
            r"y_train must be a vector of shape \(n_samples,\), not \(4, 1\).*ravel",
        ),
        (
            {"y_train": [1, 1, 1, 1]},
            r"y_train must hold at least 2 classes, not np\.int64\(1\) alone",
        ),
        ({"y_test": [0, 5]}, r"y_test must hold classes of y_train only, not \[5\]: add"),
        ({"X_train": np.zeros(4)}, r"X_train must have shape .*not \(4,\)"),
        ({"X_train": np.array([["a", "b"]] * 4)}, "X_train must hold real numbers"),
    ],
)
def test_errors_name_the_argument(probe, change, message):
    good = {
        "X_train": np.array([[0.0, 0], [1, 1], [0, 1], [1, 0]]),
        "y_train": [0, 1, 0, 1],
        "X_test": np.array([[0.0, 0], [1, 1]]),
        "y_test": [0, 1],
    }
    message = message.replace("X_train", "X_(train|reference)").replace("X_test", "X_(test|query)")
    with pytest.raises(ValueError, match=message):
        probe(**{**good, **change})
