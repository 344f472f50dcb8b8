import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from repkit.metrics import nearest_neighbors
from repkit.metrics._blocks import block_rows


class Largest(TorchDispatchMode):
    """Record the size of the largest tensor that any operation makes, and count the products."""

    def __init__(self):
        super().__init__()
        self.bytes, self.products = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(t, torch.Tensor):
                self.bytes = max(self.bytes, t.numel() * t.element_size())
        self.products += "addmm" in str(func)
        return out


def brute_force(reference, query, k, metric):
    if metric == "cosine":
        unit = [X / np.linalg.norm(X, axis=1, keepdims=True) for X in (reference, query)]
        cost = -unit[1] @ unit[0].T
    else:
        cost = np.linalg.norm(query[:, None] - reference[None], axis=2)
    return cost.argsort(axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("blocks", [1, 7, 1000])
def test_any_blocks_give_brute_force(metric, blocks):
    rng = np.random.default_rng(0)
    reference, query = rng.normal(size=(91, 5)), rng.normal(size=(40, 5))
    # the smallest budget that gives blocks of this many rows
    budget = 8 * (blocks**2 + 2 * blocks * (2 * 5 + 6 * 3))
    assert block_rows(5, 3, 8, budget) == blocks
    index = nearest_neighbors(reference, query, 3, metric=metric, batch_bytes=budget)
    np.testing.assert_array_equal(index, brute_force(reference, query, 3, metric))


def test_memory_is_bounded():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(900, 32)).astype(np.float32)
    query = rng.normal(size=(300, 32)).astype(np.float32)
    budget = 2**16  # the distances would take 1.1e6 bytes
    with Largest() as seen:
        index = nearest_neighbors(reference, query, device="cpu", batch_bytes=budget)
    rows = block_rows(32, 1, 4, budget)
    assert seen.bytes <= budget
    assert seen.products == -(-900 // rows) * -(-300 // rows)  # and the budget is used
    assert 4 * rows * (rows + 4 * 32 + 12) > budget / 2
    np.testing.assert_array_equal(index, brute_force(reference, query, 1, "euclidean"))


def test_block_size_of_the_papers_sizes():
    # 60 000 x 10 000 x 1024 in float32: 10 x 2 blocks within the default 256 MiB, not 2.4 GB
    rows = block_rows(1024, 5, 4, 2**28)
    assert 4 * (rows**2 + rows * (4 * 1024 + 12 * 5)) <= 2**28
    assert 6000 < rows < 7000


def test_far_from_the_origin():
    # |q|^2 - 2qr + |r|^2 alone would keep no digit of these distances in float32
    rng = np.random.default_rng(0)
    reference, query = rng.normal(size=(2, 50, 4))
    index = nearest_neighbors(
        (reference + 3000).astype(np.float32), (query + 3000).astype(np.float32), 2
    )
    agree = index == brute_force(reference, query, 2, "euclidean")
    assert agree.mean() > 0.97


def test_kinds_of_input(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(30, 1, 4, 4), dtype=np.uint8)
    wanted = brute_force(images.reshape(30, -1).astype(float), images.reshape(30, -1) + 0.0, 1, "e")
    np.save(tmp_path / "images.npy", images)
    memmap = np.load(tmp_path / "images.npy", mmap_mode="r")
    frozen = images.astype(np.float64)
    frozen.flags.writeable = False
    for X in (images, memmap, frozen, torch.tensor(images), torch.tensor(images).to(torch.float16)):
        np.testing.assert_array_equal(nearest_neighbors(X, X, batch_bytes=2**12), wanted)
    # the caller's tensors are not centered in place
    T = torch.tensor(images, dtype=torch.float32)
    nearest_neighbors(T, T)
    np.testing.assert_array_equal(T.numpy(), images)
    gradient = torch.randn(5, 2, requires_grad=True)
    assert nearest_neighbors(gradient, gradient)[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_cosine_of_zeros_is_orthogonal():
    index = nearest_neighbors([[1.0, 0], [-1, 0], [0, 0]], [[-2.0, 0], [3, 0]], 3, metric="cosine")
    assert index.tolist() == [[1, 2, 0], [0, 2, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_neighbors": 0}, "n_neighbors must be an integer of at least 1, not 0"),
        ({"n_neighbors": 4}, "n_neighbors must be from 1 to 3, the number of rows of X_reference"),
        ({"metric": "l1"}, "metric must be one of \\['euclidean', 'cosine'\\], not 'l1'"),
        ({"batch_bytes": 60}, "batch_bytes must be at least 84 for one row of 2 features and 1"),
        ({"X_query": np.array([[1.0, 0], [0, np.nan]])}, "X_query contains NaN .*row 1"),
        ({"X_query": np.full((1, 2), 1e30, np.float32)}, "X_query is too large to square"),
        (
            {"X_query": np.zeros((0, 2))},
            r"X_query must have shape \(n_samples, n_features\), both at",
        ),
    ],
)
def test_errors(change, message):
    good = {"X_reference": np.zeros((3, 2), np.float32), "X_query": np.ones((2, 2), np.float32)}
    with pytest.raises(ValueError, match=message):
        nearest_neighbors(**{**good, **change})


def test_the_budget_named_in_the_error_suffices():
    with pytest.raises(
        ValueError, match="batch_bytes must be at least 200 for one row of 3 features and"
    ) as error:
        nearest_neighbors(np.eye(3), np.eye(3), batch_bytes=8)
    needed = int(str(error.value).split("at least ")[1].split()[0])
    assert nearest_neighbors(np.eye(3), np.eye(3), batch_bytes=needed)[:, 0].tolist() == [0, 1, 2]
