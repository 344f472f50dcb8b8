"""Office-Caltech SURF, twelve pairs of domains, transductive: the target rows, without labels."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import numpy as np

from benchmarks.pairs import DENOISED, Pair, alone, denoised, on_target, table, whole
from benchmarks.recipes import (
    OFFICE,
    OFFICE_AUGMENT,
    OFFICE_FIRST,
    OFFICE_RADIUS,
    OFFICE_RECIPE,
    OFFICE_SMOOTH,
)
from benchmarks.runner import Case
from repkit.datasets import OFFICE_DOMAINS, load_office_caltech

TASK = "Office-Caltech SURF, 12 pairs"
TOUCHED = ("caltech->amazon", "webcam->caltech")  # whose labels the recipe's choice has seen


@cache
def shares(domain: str) -> tuple[np.ndarray, np.ndarray]:
    """Square roots of each row's shares."""
    data = load_office_caltech(domain)
    return np.sqrt(data.data / data.data.sum(1, keepdims=True)), data.target


def standardized(X: np.ndarray, by: np.ndarray) -> np.ndarray:
    return ((X - by.mean(0)) / (by.std(0) + 1e-6)).astype(np.float32)


def load(source: str, target: str) -> Pair:
    """One pair, each domain standardized by itself (no label needed).

    The accuracy is on the target rows themselves, as everywhere with this data.
    """
    (X_source, y_source), (X_target, y_target) = shares(source), shares(target)
    X_source, X_target = standardized(X_source, X_source), standardized(X_target, X_target)
    return Pair(X_source, y_source, X_target, X_target, y_target)


def load_unseen(source: str, target: str) -> Pair:
    """The same, the target standardized by the source: nothing of the target is used at all."""
    (X_source, y_source), (X_target, y_target) = shares(source), shares(target)
    X_source, X_target = standardized(X_source, X_source), standardized(X_target, X_source)
    return Pair(X_source, y_source, X_target, X_target, y_target)


load_denoised = denoised(load, 0.5, 3.0)


def load_on_target(source: str, target: str) -> Pair:
    return on_target(load(source, target))


def cases(preset: str, device: str) -> list[Case]:
    """Each method alone, the recipe, a baseline, and peers.

    The settings of skada's shallow methods are the best of a few tried on these very labels (sizes,
    regularization, the classifier's C): the bar is set as high as it goes.
    """
    unseen = "source only, target standardized by the source"
    variants = {
        **alone(OFFICE_AUGMENT, OFFICE_RADIUS),
        unseen: {"on": "source"},
        "entropy, no adversary": {"lam": 0.0, "entropy": 1.0},
        "conditional + entropy": {"conditional": True, "entropy": 1.0},
        "conditional + entropy + pseudo": OFFICE_FIRST,
        "conditional + entropy + pseudo + smoothness": OFFICE_SMOOTH,
        "source only, three times the steps": {"on": "source", "max_epochs": 30, "ema": 0.995},
        "source only, denoised": {"on": "source"},
        **whole(OFFICE_RECIPE),
        "train on target": {"on": "source"},
    }
    return table(
        TASK,
        tuple(permutations(OFFICE_DOMAINS, 2)),
        load,
        device,
        base=OFFICE,
        variants=variants,
        loads={
            unseen: load_unseen,
            "train on target": load_on_target,
            **dict.fromkeys(DENOISED, load_denoised),
        },
        C=0.01,
        left_out=TOUCHED,
    )
