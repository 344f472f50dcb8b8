import tracemalloc

import numpy as np
import pytest
import torch
from scipy.optimize import check_grad
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch.utils._python_dispatch import TorchDispatchMode

from repkit.metrics import knn_predict, knn_probe, linear_probe
from repkit.metrics._logistic import Blocks, SoftmaxRegression

CPU = torch.device("cpu")


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


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("C", [0.01, 10.0])
@pytest.mark.parametrize("rows", [7, 160])
def test_the_optimum_is_sklearns(blobs, n_classes, C, rows):
    X, y = blobs[0], blobs[1] % n_classes
    Z = StandardScaler().fit_transform(X)
    model = LogisticRegression(C=C, tol=1e-10, max_iter=10**4).fit(Z, y)
    budget = rows * 8 * (2 * 6 + 6 * n_classes)
    probe = SoftmaxRegression(C, 10**4, 1e-9, device="cpu", batch_bytes=budget)
    probe.fit(X, y, n_classes, "X")
    assert probe.blocks_.size == rows
    np.testing.assert_allclose(probe.weights_, model.coef_, atol=1e-5)
    # the scores of several classes may be shifted together
    bias, wanted = (b - b.mean() * (n_classes > 2) for b in (probe.bias_, model.intercept_))
    np.testing.assert_allclose(bias, wanted, atol=1e-5)
    predicted, log_probability = probe.train_scores()
    np.testing.assert_array_equal(predicted, model.predict(Z))
    np.testing.assert_allclose(
        log_probability, model.predict_log_proba(Z)[range(160), y], atol=1e-5
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_linear_probe_of_digits_is_sklearns(dtype):
    X, y = load_digits(return_X_y=True)
    X = X.astype(dtype)
    scaler = StandardScaler().fit(X[:1200])
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(X[:1200]), y[:1200])
    scores = linear_probe(X[:1200], y[:1200], X[1200:], y[1200:])
    assert scores["accuracy"] == model.score(scaler.transform(X[1200:]), y[1200:])
    assert scores["train_accuracy"] == model.score(scaler.transform(X[:1200]), y[:1200])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradient(blobs, n_classes):
    X, y = blobs[0], blobs[1] % n_classes
    probe = SoftmaxRegression(0.02, 1, device="cpu", batch_bytes=4000)
    with pytest.warns(ConvergenceWarning):
        probe.fit(X, y, n_classes, "X")
    flat = np.random.default_rng(0).normal(size=7 * (n_classes if n_classes > 2 else 1))
    error = check_grad(*(lambda v, i=i: probe._objective(v)[i] for i in (0, 1)), flat)
    assert error < 1e-6


def test_precision_follows_the_training_rows(blobs):
    X, y, X_test, y_test = blobs
    for train, test in ((np.float32, np.float64), (np.float64, np.float32)):
        probe = SoftmaxRegression(1.0, 100, device="cpu").fit(X.astype(train), y, 3, "X")
        assert next(iter(probe.blocks_))[1].numpy().dtype == train
        assert np.mean(probe.scores(X_test.astype(test), y_test, "X")[0] == y_test) > 0.6
    single = linear_probe(X.astype(np.float32), y, X_test, y_test)
    assert single == pytest.approx(linear_probe(X, y, X_test, y_test), rel=1e-4)


@pytest.mark.parametrize("rows", [1, 7, 50])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_are_standardized(rows, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 4)) * [1, 1e3, 1e-3, 0] + [0, 1e5, 1, 0.1]
    X = X.astype(dtype)
    itemsize = X.dtype.itemsize
    # the smallest budget that gives blocks of this many rows
    budget = rows * itemsize * (2 * 4 + 6 * 3)
    args, kind = ("X", CPU, budget, 3), torch.from_numpy(X).dtype
    blocks = Blocks(X, *args, dtype=kind)
    assert blocks.size == rows
    scaler = StandardScaler().fit(X.astype(np.float64))
    tolerance = 1e-6 if dtype == np.float32 else 1e-10
    # a constant column is not divided by its rounding
    scaler.scale_[3] = 1
    np.testing.assert_allclose(blocks.center, scaler.mean_, rtol=tolerance, atol=1e-7)
    np.testing.assert_allclose(blocks.scale, scaler.scale_, rtol=100 * tolerance)
    slices, Z = zip(*((r, z.numpy().copy()) for r, z in blocks), strict=True)
    assert [(r.start, r.stop) for r in slices] == [
        (i, min(i + rows, 50)) for i in range(0, 50, rows)
    ]
    np.testing.assert_allclose(
        np.concatenate(Z), scaler.transform(X.astype(np.float64)), atol=2e4 * tolerance
    )
    # other rows, with these moments
    other = Blocks(X[:9] + 1, *args, dtype=kind, center=blocks.center, scale=blocks.scale)
    np.testing.assert_allclose(
        np.concatenate([z.numpy().copy() for _, z in other]),
        (X[:9].astype(float) + 1 - blocks.center) / blocks.scale,
        rtol=1e-2,
        atol=0.02,
    )


def test_blocks_may_stay_on_the_device(blobs):
    # on a processor they do not, and blocks are small
    assert (
        Blocks(blobs[0], "X", CPU, 2**28, 3, dtype=torch.float64).size * 8 * (2 * 6 + 6 * 3)
        <= 2**22
    )
    blocks = Blocks(blobs[0], "X", CPU, 10**4, 3, dtype=torch.float64)
    assert not blocks.keeps
    wanted = [(rows, Z.clone()) for rows, Z in blocks]
    assert len(wanted) > 2
    assert next(iter(blocks))[1] is not next(iter(blocks))[1]
    blocks.keeps = True
    first, second = list(blocks), list(blocks)
    for (rows, Z), (_, one), (same_rows, two) in zip(wanted, first, second, strict=True):
        assert rows == same_rows
        assert one is two
        torch.testing.assert_close(two, Z)


def peak_bytes(call):
    """Most bytes that numpy and python hold at once during a call, beyond those before it."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_linear_probe_needs_no_second_copy(tmp_path):
    rng = np.random.default_rng(0)
    n, budget = 6000, 2**17
    y = rng.integers(0, 3, n)
    X = (rng.normal(size=(n, 128)) + np.eye(3, 128)[y]).astype(np.float32)  # 3 MB
    np.save(tmp_path / "X.npy", X)
    wanted = linear_probe(X, y, X[:500], y[:500], device="cpu")
    for given in (X, np.load(tmp_path / "X.npy", mmap_mode="r"), torch.from_numpy(X)):

        def call(X_train=given, **kwargs):
            return linear_probe(
                X_train, y, X[:500], y[:500], device="cpu", batch_bytes=budget, **kwargs
            )

        assert call() == pytest.approx(wanted, rel=1e-4)
        # blocks, and a few numbers for each row; torch's memory is not in it
        assert peak_bytes(call) < X.nbytes / 4
        with Largest() as seen, pytest.warns(ConvergenceWarning):
            call(max_iter=1)
        assert seen.bytes <= budget


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
    with pytest.warns(ConvergenceWarning, match="after 2 iterations .* raise max_iter or lower C"):
        linear_probe(*blobs, max_iter=2)


def test_linear_probe_errors(blobs):
    with pytest.raises(ValueError, match=r"C=0; wanted a positive number"):
        linear_probe(*blobs, C=0)
    with pytest.raises(ValueError, match=r"batch_bytes=100 is too small .*at least 240") as error:
        linear_probe(*blobs, batch_bytes=100)
    needed = int(str(error.value).split("at least ")[1].rstrip("."))
    assert linear_probe(*blobs, batch_bytes=needed)["accuracy"] > 0.6
    with pytest.raises(ValueError, match=r"X_train is too large to square in torch\.float32"):
        linear_probe(np.full((4, 1), 1e30, np.float32), [0, 1, 0, 1], [[1.0]], [1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_linear_probe_on_the_gpu(blobs):
    for X, X_test in ((blobs[0], blobs[2]), (v.astype(np.float32) for v in blobs[::2])):
        wanted = linear_probe(X, blobs[1], X_test, blobs[3], device="cpu")
        # kept there whole, and walked in small blocks
        for budget in (2**28, 4000):
            scores = linear_probe(X, blobs[1], X_test, blobs[3], device="cuda", batch_bytes=budget)
            assert scores == pytest.approx(wanted, rel=1e-3)


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
        ({"y_train": [[0], [1], [0], [1]]}, r"y_train has shape \(4, 1\).*ravel"),
        ({"y_train": [1, 1, 1, 1]}, "y_train holds 1 class .*at least 2"),
        ({"y_test": [0, 5]}, r"y_test holds classes that y_train lacks: \[5\]"),
        ({"X_train": np.zeros(4)}, r"X_train has shape \(4,\)"),
        ({"X_train": np.array([["a", "b"]] * 4)}, "X_train has dtype .*real numbers"),
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
