"""Degenerate data in every metric: a number within its bounds, or an error that names the argument.

And whatever holds the data, the number is the same.
"""

import math
import re
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from repkit import metrics

RNG = np.random.default_rng(0)
N = 24
X = RNG.normal(size=(N, 4))
Y = np.arange(N) % 3
FACTORS = np.stack([Y, np.arange(N) // 3 % 2], 1)
FEATURES = {
    "plain": X,
    "a constant column": np.where(np.arange(4) == 1, 3.7, X),
    "all constant": np.full((N, 4), 2.5),
    "zeros": np.zeros((N, 4)),
    "copies": np.repeat(X[:4], 6, 0),
    "two values": np.where(X > 0, 1.0, 0.0),
    "one direction": np.repeat(X[:, :1], 4, 1),
    "far from 0": X + 1e8,
    "huge": X * 1e40,
    "too huge": X * 1e300,
    "tiny": X * 1e-40,
    "subnormal": X * 1e-310,
    "of very different scales": X * np.array([1e-20, 1.0, 1e10, 1e20]),
    "rows of zeros": np.where(np.arange(N)[:, None] < 5, 0.0, X),
    "truth values": X > 0,
    "integers": (X * 100).astype(int),
    "half precision": X.astype(np.float16),
    "single precision, huge": (X * 1e30).astype(np.float32),
    "one column": X[:, :1],
    "two rows": X[:2],
    "one row": X[:1],
}
LABELS = {
    "three": Y,
    "one class": np.zeros(N, int),
    "all different": np.arange(N),
    "one odd": (np.arange(N) == 0).astype(int),
    "text": np.array(["a", "b", "c"])[Y],
}
SHARES = {
    "uniform": np.full((N, 3), 1 / 3),
    "certain": np.eye(3)[Y],
    "one class": np.eye(3)[[0] * N],
    "one row": np.full((1, 3), 1 / 3),
    "single precision": np.full((N, 7), 1 / 7, np.float32),
    "off by a little": np.array([[0.5, 0.5005]] * N),
}
INF = math.inf
ONE_C = {"domain_accuracy": {"C": 0.1}, "proxy_a_distance": {"C": 0.1}}  # for speed
few = {"n_train": 20, "n_eval": 20, "batch_size": 4}
PAIRS = {
    "frechet_distance": (0, INF),
    "precision_recall": (0, N),
    "nearest_neighbor_distance": (0, INF),
    "reconstruction_ratio": (0, INF),
    "domain_accuracy": (0, 1),
    "proxy_a_distance": (0, 2),
    "importance_weights": (0, INF),
}
WITH_LABELS = {
    "speaker_eer": metrics.speaker_eer,
    "same_different": metrics.same_different,
    "abx_error": metrics.abx_error,
    "abx across": lambda A, y: metrics.abx_error(A, y, np.arange(len(A)) % 2, mode="across"),
    "linear_probe": lambda A, y: metrics.linear_probe(A, y, A, y),
    "knn_probe": lambda A, y: metrics.knn_probe(A, y, A, y),
    "knn by cosine": lambda A, y: metrics.knn_probe(A, y, A, y, metric="cosine"),
}
WITH_FACTORS = {
    "mig": metrics.mig,
    "sap": metrics.sap,
    "sap of numbers": partial(metrics.sap, continuous=True),
    "dci": partial(metrics.dci, model="random_forest"),
    "modularity_explicitness": metrics.modularity_explicitness,
    "factor_vae_score": partial(metrics.factor_vae_score, **few),
    "beta_vae_score": partial(metrics.beta_vae_score, **few),
}
BEYOND_ONE = ("log_loss", "n_triplets", "n_cells", "active_codes", "density")


def numbers(found):
    """The numbers of a result by name, those that need not lie in [0, 1] apart."""
    if isinstance(found, dict):
        return {k: v for k, v in found.items() if k not in BEYOND_ONE}, [*found.values()]
    return {"": found}, [found]


def fault(call, low, high, names):
    """What is wrong with a result, if anything."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            bounded, every = numbers(call())
    except ValueError as error:
        named = any(re.search(rf"(?<!\w){n}(?!\w)", str(error)) for n in names)
        return None if named else f"unnamed: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if not all(np.isfinite(v).all() for v in every):
        return f"not finite: {every}"
    wrong = {k: v for k, v in bounded.items() if np.min(v) < low or np.max(v) > high}
    return f"out of bounds: {wrong}" if wrong else None


def none_of(rows):
    found = {label: fault(*row) for label, row in rows.items()}
    wrong = [f"{label}: {what}" for label, what in found.items() if what]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", PAIRS)
def test_two_sets(name):
    names = ["real", "generated", "X", "X_back", "X_source", "X_target", "features_source",
             "features_target"]  # fmt: skip
    call = partial(getattr(metrics, name), **ONE_C.get(name, {}))
    none_of({
        f"{a}, {b}": (partial(call, A, B), *PAIRS[name], names)
        for a, A in FEATURES.items()
        for b, B in FEATURES.items()
        if a in ("plain", b) or b == "plain"
    })  # fmt: skip


@pytest.mark.parametrize("name", WITH_LABELS)
def test_sets_with_labels(name):
    names = ["vectors", "items", "speakers", "categories", "y_train", "y_test", "X_train", "X_test",
             "triplet"]  # fmt: skip
    none_of({
        f"{a}, {b}": (partial(WITH_LABELS[name], A, y[: len(A)]), 0, 1, names)
        for a, A in FEATURES.items()
        for b, y in LABELS.items()
        if a == "plain" or b in ("three", "one class")
    })  # fmt: skip


@pytest.mark.parametrize("name", WITH_FACTORS)
def test_codes_with_factors(name):
    factors = {
        "plain": FACTORS,
        "equal": np.stack([Y, Y], 1),
        "all different": np.stack([np.arange(N), np.arange(N)[::-1]], 1),
        "rare": np.stack([np.arange(N) == 0, np.arange(N) % 2], 1).astype(int),
        "constant": FACTORS * 0,
    }
    none_of({
        f"{a}, {b}": (partial(WITH_FACTORS[name], A, f[: len(A)]), 0, 1, ["codes", "factors"])
        for a, A in FEATURES.items()
        for b, f in factors.items()
        if "plain" in (a, b)
    })  # fmt: skip


def test_probabilities():
    for name in ("prediction_entropy", "information_maximization"):
        rows = {
            k: (partial(getattr(metrics, name), P), -1e-12, 2, ["proba"]) for k, P in SHARES.items()
        }
        none_of(rows)
    density = metrics.soft_neighborhood_density
    none_of({k: (partial(density, A), 0, math.log(N), ["X"]) for k, A in FEATURES.items()})


def test_weighted_losses():
    weights = {"zeros": np.zeros(N), "huge": np.full(N, 1e300), "tiny": np.full(N, 1e-320),
               "spread": np.exp(np.linspace(-300, 300, N)), "one": np.ones(1)}  # fmt: skip
    names = ["loss_source_val", "weights"]
    for call in (metrics.importance_weighted_validation, metrics.control_variate_risk):
        none_of({
            f"{a}, {b}": (partial(call, L, w), -INF, INF, names)
            for a, L in weights.items()
            for b, w in weights.items()
        })  # fmt: skip


def test_frames():
    frames = {"single": [np.ones((1, 3))] * 6, "constant": [np.ones((4, 3))] * 6,
              "zeros": [np.zeros((4, 3))] * 6, "huge": [np.full((4, 3), 1e200)] * 6}  # fmt: skip
    for call in (metrics.mean_std, partial(metrics.resampled_pca, n_components=2),
                 partial(metrics.abx_error, categories=[0, 0, 1, 1, 0, 1])):  # fmt: skip
        none_of(
            {
                k: (partial(call, f), -INF, INF, ["frames", "items", r"frames\[0\]", r"items\[0\]"])
                for k, f in frames.items()
            }
        )


HOLDERS = {
    "Fortran order": np.asfortranarray,
    "negative strides": lambda a: a[::-1].copy()[::-1],
    "every other": lambda a: np.repeat(a, 2, axis=0)[::2],
    "big endian": lambda a: a.astype(">f4"),
    "list": lambda a: a.tolist(),
    "list of arrays": list,
    "tensor with a gradient": lambda a: torch.tensor(a).requires_grad_(),
    "list of tensors": lambda a: [torch.tensor(row) for row in a],
    "data frame": pd.DataFrame,
    "bfloat16": lambda a: torch.tensor(a, dtype=torch.bfloat16),
    "half precision": lambda a: a.astype(np.float16),
}
CALLS = {
    **{
        name: partial(
            lambda A, f: f(A, X[::-1].copy()),
            f=partial(getattr(metrics, name), **ONE_C.get(name, {})),
        )
        for name in PAIRS
    },
    **{name: partial(lambda A, f: f(A, Y), f=f) for name, f in WITH_LABELS.items()},
    **{
        name: partial(lambda A, f: f(A, FACTORS), f=f)
        for name, f in WITH_FACTORS.items()
        if name != "dci"
    },
    "soft_neighborhood_density": metrics.soft_neighborhood_density,
    "nearest_neighbors": lambda A: metrics.nearest_neighbors(A, A),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_what_holds_the_numbers_does_not_matter(name):
    exact = np.round(X * 4).astype(np.float32) / 4  # in half precision, too
    read_only = exact.copy()
    read_only.flags.writeable = False
    wanted = numbers(CALLS[name](exact))[1]
    for holder, hold in {**HOLDERS, "read-only": lambda a: read_only}.items():
        found = numbers(CALLS[name](hold(exact)))[1]
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=holder)
