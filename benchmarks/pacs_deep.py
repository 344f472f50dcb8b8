"""PACS as frozen deep features: twelve pairs of styles, and three styles to the fourth."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import numpy as np

from benchmarks.methods import methods
from benchmarks.pairs import Pair, alone, on_target, table, whole
from benchmarks.recipes import PACS, PACS_AUGMENT, PACS_RADIUS, PACS_RECIPE
from benchmarks.runner import Case
from repkit.datasets import PACS_DOMAINS, load_pacs_deep

PAIRS_TASK = "PACS features, 12 pairs"
THREE_TASK = "PACS features, three to one"
OTHERS = "others"
TOUCHED = ("photo->art_painting", "others->art_painting")  # whose labels chose the recipe


@cache
def rows(domain: str) -> tuple[np.ndarray, np.ndarray]:
    """Square roots, standardized within the domain, of one length; no label is needed."""
    data = load_pacs_deep(domain)
    X = np.sqrt(data.data)
    X = (X - X.mean(0)) / (X.std(0) + 1e-6)
    X *= np.sqrt(X.shape[1]) / np.linalg.norm(X, axis=1, keepdims=True)
    return X.astype(np.float32), data.target


def load(source: str, target: str) -> Pair:
    """One pair, or all other domains to the target.

    The accuracy is on the target rows themselves, as everywhere with this data.
    """
    sources = [d for d in PACS_DOMAINS if d != target] if source == OTHERS else [source]
    parts = [rows(d) for d in sources]
    X_target, y_target = rows(target)
    return Pair(
        np.concatenate([x for x, _ in parts]),
        np.concatenate([y for _, y in parts]),
        X_target,
        X_target,
        y_target,
        np.repeat(np.arange(1, 1 + len(parts)), [len(y) for _, y in parts]),
    )


def load_on_target(source: str, target: str) -> Pair:
    return on_target(load(source, target))


def cases(preset: str, device: str) -> list[Case]:
    """For both tasks: each method alone, the recipe, baselines, and peers."""
    variants = {
        **alone(PACS_AUGMENT, PACS_RADIUS),
        **whole(PACS_RECIPE),
        "source only, linear classifier": {"on": "source", "heads": None},
        "confusion, linear classifier": {**methods(PACS_RADIUS)["confusion"], "heads": None},
        "train on target": {"on": "source"},
    }
    pairs = {
        PAIRS_TASK: tuple(permutations(PACS_DOMAINS, 2)),
        THREE_TASK: tuple((OTHERS, target) for target in PACS_DOMAINS),
    }
    return [
        case
        for task, chosen in pairs.items()
        for case in table(
            task,
            chosen,
            load,
            device,
            base=PACS,
            variants=variants,
            loads={"train on target": load_on_target},
            C=0.003,
            # An eigenvalue problem of as many columns as there are rows, 3 700 to 9 991.
            without=("transfer components",),
            left_out=TOUCHED,
        )
    ]
