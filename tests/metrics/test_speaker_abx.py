from itertools import product

import numpy as np
import pytest
import torch

from repkit.metrics import abx_error
from repkit.metrics.speaker import _dtw
from repkit.metrics.speaker._dtw import Sequences

CPU = torch.device("cpu")


def angle(x, y):
    cosine = x @ y / (np.linalg.norm(x) * np.linalg.norm(y))
    return np.arccos(np.clip(round(cosine, 14), -1, 1)) / np.pi


def warp(x, y):
    """Mean angular distance along the cheapest path, followed back from its end."""
    local = np.array([[angle(a, b) for b in y] for a in x])
    cost = np.full((len(x) + 1, len(y) + 1), np.inf)
    cost[0, 0] = 0
    for i, j in product(range(len(x)), range(len(y))):
        best = min(cost[i, j], cost[i + 1, j], cost[i, j + 1])
        cost[i + 1, j + 1] = local[i, j] + best
    i, j, steps = len(x), len(y), 1
    while (i, j) != (1, 1):
        back = [(i - 1, j - 1), (i, j - 1), (i - 1, j)]
        i, j = min(back, key=lambda cell: cost[cell])
        steps += 1
    return cost[-1, -1] / steps


def brute_force(items, categories, speakers, mode, distance):
    """Every triplet in plain loops: cells, then speakers, then pairs of categories."""
    n = len(items)
    D = np.array([[round(distance(items[i], items[j]), 9) for j in range(n)] for i in range(n)])
    cells = {}
    for x, a, b in product(range(n), repeat=3):
        if x == a or categories[x] != categories[a] or categories[b] == categories[a]:
            continue
        if speakers[a] != speakers[b] or (speakers[x] == speakers[a]) != (mode == "within"):
            continue
        wrong = 1.0 if D[x, a] > D[x, b] else 0.5 if D[x, a] == D[x, b] else 0.0
        key = categories[a], categories[b], speakers[a], speakers[x]
        cells.setdefault(key, []).append(wrong)
    by_pair = {}
    for (a, b, _, _), wrong in cells.items():
        by_pair.setdefault((a, b), []).append(np.mean(wrong))
    error = np.mean([np.mean(v) for v in by_pair.values()])
    return error, sum(map(len, cells.values())), {k: np.mean(v) for k, v in cells.items()}


def words(n=36, d=4, seed=0):
    """Vectors of uneven cells: some speakers lack a word or have it once."""
    rng = np.random.default_rng(seed)
    category, speaker = rng.integers(4, size=n), rng.integers(3, size=n)
    X = rng.normal(size=(4, d))[category] + rng.normal(size=(3, d))[speaker]
    return X + rng.normal(size=(n, d)), category, speaker


def utterances(n=24, seed=0):
    rng = np.random.default_rng(seed)
    X, category, speaker = words(n, 3, seed)
    lengths = rng.integers(1, 9, size=n)
    return [x + rng.normal(size=(t, 3)) for x, t in zip(X, lengths, strict=True)], category, speaker


@pytest.mark.parametrize("mode", ["within", "across"])
@pytest.mark.parametrize("seed", range(3))
def test_vectors_give_brute_force(mode, seed):
    X, category, speaker = words(seed=seed)
    error, n_triplets, cells = brute_force(X, category, speaker, mode, angle)
    found = abx_error(X, category, speaker, mode=mode, return_cells=True)
    assert found["error"] == pytest.approx(error, abs=1e-12)
    assert found["n_triplets"] == n_triplets
    table = found["cells"].set_index(["category_a", "category_b", "speaker", "speaker_x"])
    assert table["error"].to_dict() == pytest.approx(cells)
    assert table["n_triplets"].sum() == n_triplets
    assert found["n_cells"] == len(cells) == len(table)


@pytest.mark.parametrize("mode", ["within", "across"])
def test_sequences_give_brute_force(mode):
    X, category, speaker = utterances()
    error, n_triplets, _ = brute_force(X, category, speaker, mode, warp)
    assert abx_error(X, category, speaker, mode=mode) == {
        "error": pytest.approx(error, abs=1e-12),
        "n_triplets": n_triplets,
        "n_cells": abx_error(X, category, speaker, mode=mode)["n_cells"],
    }
    single = [x.astype(np.float32) for x in X]
    assert abx_error(single, category, speaker, mode=mode)["error"] == pytest.approx(error)


@pytest.mark.parametrize("mode", ["within", "across"])
def test_ties_count_half(mode):
    rng = np.random.default_rng(0)
    X = rng.integers(-1, 2, size=(40, 2)) + np.array([3, 0])
    scaled = X * rng.uniform(0.1, 9, size=(40, 1))
    category, speaker = rng.integers(3, size=40), rng.integers(2, size=40)
    error = brute_force(X, category, speaker, mode, angle)[0]
    assert abx_error(scaled, category, speaker, mode=mode)["error"] == pytest.approx(error)
    assert abx_error(np.ones((40, 2)), category, speaker, mode=mode)["error"] == 0.5
    # as sequences of two equal frames they are as far apart
    frames = np.repeat(scaled[:, None], 2, axis=1)
    found = abx_error(frames, category, speaker, mode=mode)["error"]
    assert found == pytest.approx(error)


def test_without_speakers_all_items_are_of_one():
    X, category, _ = words()
    error, n_triplets, _ = brute_force(X, category, np.zeros(len(X)), "within", angle)
    found = abx_error(X, ["abcd"[c] for c in category])
    assert (found["error"], found["n_triplets"]) == (pytest.approx(error), n_triplets)


def test_its_ends_and_chance():
    rng = np.random.default_rng(0)
    category, speaker = np.tile(np.arange(4), 30), np.repeat(np.arange(3), 40)
    both = np.concatenate([np.eye(4)[category], 3 * np.eye(3)[speaker]], axis=1)
    for mode in ("within", "across"):
        assert abx_error(both, category, speaker, mode=mode)["error"] == 0
        noise = abx_error(rng.normal(size=(120, 5)), category, speaker, mode=mode)["error"]
        assert noise == pytest.approx(0.5, abs=0.03)
    # a voice that drowns the word: A and B are as far from X
    assert abx_error(np.eye(3)[speaker], category, speaker, mode="across")["error"] == 0.5


@pytest.mark.parametrize("budget", [2**12, 2**15, 2**28])
def test_memory_does_not_change_the_numbers(budget):
    X, category, speaker = words(n=80)
    found = abx_error(X, category, speaker, mode="across", batch_bytes=budget)
    assert found == abx_error(X, category, speaker, mode="across")


@pytest.mark.parametrize("cache", [1, 2**12, 2**30])
def test_any_tiles_give_the_distances(monkeypatch, cache):
    monkeypatch.setattr(_dtw, "_CACHE_BYTES", cache)
    X, _, _ = utterances(seed=1)
    rows, columns = np.array([3, 0, 17, 5]), np.array([8, 2, 3, 21, 0])
    source = Sequences(X, "X", CPU, 2**28)
    found = source.distances(rows, columns).numpy() * source.rounding
    wanted = [[warp(X[i], X[j]) for j in columns] for i in rows]
    np.testing.assert_allclose(found, wanted, atol=1e-11)


def test_at_most_max_items_of_a_cell():
    X, category, speaker = words(n=200)
    found = abx_error(X, category, speaker, max_items=3, return_cells=True)
    assert found["cells"]["n_triplets"].max() == 3 * 2 * 3
    again = [abx_error(X, category, speaker, max_items=3, random_state=s)["error"] for s in (0, 1)]
    assert again[0] == found["error"] != again[1]
    everything = abx_error(X, category, speaker)
    assert abx_error(X, category, speaker, max_items=200) == everything


@pytest.mark.parametrize("mode", ["within", "across"])
@pytest.mark.parametrize("frames", [False, True])
def test_equal_to_fastabx(mode, frames):
    fastabx = pytest.importorskip("fastabx")
    items, category, speaker = utterances(n=40) if frames else words(n=60)
    arrays = [np.atleast_2d(x).astype(np.float32) for x in items]
    last = np.cumsum([len(a) for a in arrays])
    first = last - [len(a) for a in arrays]
    pl = pytest.importorskip("polars")
    labels = pl.DataFrame({"word": category.astype(str), "speaker": speaker.astype(str)})
    ends = dict(enumerate(zip(first.tolist(), last.tolist(), strict=True)))
    data = torch.from_numpy(np.concatenate(arrays))
    accessor = pytest.importorskip("fastabx.accessor").InMemoryAccessor(ends, data, CPU)
    condition = {"by": ["speaker"]} if mode == "within" else {"across": ["speaker"]}
    task = fastabx.Task(fastabx.Dataset(labels, accessor), on="word", **condition)
    wanted = fastabx.Score(task, "angular").collapse(levels=["speaker"])
    found = abx_error(arrays if frames else np.concatenate(arrays), category, speaker, mode=mode)
    assert found["error"] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda X, y: abx_error(X, y, mode="any"),
            "mode must be one of \\['within', 'across'\\], not 'any'",
        ),
        (
            lambda X, y: abx_error(X, y, mode="across"),
            "speakers must name the speaker of each item with mode='across'",
        ),
        (lambda X, y: abx_error(X, y, y, mode="across"), "no triplet with mode='across'"),
        (lambda X, y: abx_error(X, np.arange(4)), "no triplet with mode='within'"),
        (lambda X, y: abx_error(X, y[:3]), "categories has 3 entries for 4 rows"),
        (
            lambda X, y: abx_error(X, y, max_items=0),
            "max_items must be an integer of at least 1, or None for all, not 0",
        ),
        (lambda X, y: abx_error(X * np.nan, y), "items contains NaN"),
        (lambda X, y: abx_error([], y), "items must not be empty: check the split that made it"),
        (
            lambda X, y: abx_error([X, X, X[:0], X], y),
            r"items\[2\] must have at least 1 rows, not 0: check the split",
        ),
        (lambda X, y: abx_error([X, X, X[:, :2], X], y), r"items\[0\] has 4 .* items\[2\] has 2"),
        (
            lambda X, y: abx_error([X, X, X[0], X], y),
            r"items\[2\] must be frames of shape \(T, d\), not \(4,\)",
        ),
        (
            lambda X, y: abx_error([X] * 4, y, batch_bytes=99),
            "batch_bytes must be at least 832 for a pair of 4 frames of 4",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.eye(4), np.array([0, 0, 1, 1]))
