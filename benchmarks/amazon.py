"""Amazon reviews, twelve pairs of domains: log TF-IDF, tested on the target's test file.

The whole recipe reads rows that mSDA has denoised, fitted to the training rows of both domains.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer

from benchmarks.pairs import (
    DENOISED,
    GUARD,
    Pair,
    alone,
    denoised,
    logistic,
    over_pairs,
    table,
    whole,
)
from benchmarks.recipes import (
    AMAZON,
    AMAZON_AUGMENT,
    AMAZON_DENOISED,
    AMAZON_FIRST,
    AMAZON_RADIUS,
    AMAZON_RECIPE,
)
from benchmarks.runner import Case
from repkit.datasets import AMAZON_DOMAINS, load_amazon_reviews

TASK = "Amazon reviews, 12 pairs"
RAW = "Ganin et al. 2016, table 1a, raw counts, mean of 12 (read)"
PUBLISHED: dict[tuple[str, str], dict[str, tuple[float, str]]] = {
    ("DANN", "source only"): {"accuracy_last": (0.761, f"NN, {RAW}")},
    ("DANN", "joint"): {"accuracy_last": (0.763, f"DANN, {RAW}")},
}


@cache
def load(source: str, target: str) -> Pair:
    """Words weighted by log(1 + count) and by how rare they are in the rows of both domains."""
    a, b = load_amazon_reviews(source), load_amazon_reviews(target)
    parts = [x.astype(np.float32).log1p() for x in (a.x_train, b.x_train, b.x_test)]
    weights = TfidfTransformer().fit(sparse.vstack(parts[:2]))
    # Rows of length 10 rather than 1: values of the size that networks are initialized for.
    X_source, X_target, X_test = (
        10 * weights.transform(x).toarray().astype(np.float32) for x in parts
    )
    return Pair(X_source, a.y_train, X_target, X_test, b.y_test)


load_denoised = denoised(load, 0.8, 1.0)


@cache
def load_on_target(source: str, target: str) -> Pair:
    """The same pair with the target's labeled training rows in the source's place."""
    pair = load(source, target)
    labels = load_amazon_reviews(target).y_train
    return pair._replace(X_source=pair.X_target, y_source=labels)


def cases(preset: str, device: str) -> list[Case]:
    """Each method alone, the recipe and what it is without some parts, a baseline, and peers."""
    variants = {
        **alone(AMAZON_AUGMENT, AMAZON_RADIUS),
        "conditional + entropy": {"conditional": True, "entropy": 0.2},
        "entropy + pseudo, no adversary": {**AMAZON_FIRST, "lam": 0.0, "conditional": False},
        "conditional + entropy + pseudo": AMAZON_FIRST,
        "source only, denoised": {**AMAZON_DENOISED, "on": "source"},
        "joint, denoised": AMAZON_DENOISED,
        **{name: {**AMAZON_DENOISED, **s} for name, s in whole(AMAZON_RECIPE).items()},
        "joint, guarded": {"select": GUARD},
        "train on target": {"on": "source"},
    }
    pairs = tuple(permutations(AMAZON_DOMAINS, 2))
    linear = Case(
        TASK,
        "LogisticRegression",
        "source only, denoised",
        over_pairs(pairs, load_denoised, logistic(1e-2)),
        seeds=1,
    )
    ours_and_peers = table(
        TASK,
        pairs,
        load,
        device,
        base=AMAZON,
        variants=variants,
        loads={
            "train on target": load_on_target,
            **dict.fromkeys((*DENOISED, "joint, denoised"), load_denoised),
        },
        C=1e-3,
        # Roots of matrices of 5 000 columns, or of as many as there are rows.
        without=("CORAL", "linear optimal transport", "transfer components"),
        published=PUBLISHED,
    )
    return [linear, *ours_and_peers]
