"""Gas sensors that drift: batch 1, labeled, to each later batch of 36 months, without labels."""

from __future__ import annotations

from functools import cache

import numpy as np

from benchmarks.pairs import Pair, alone, on_target, table, whole
from benchmarks.recipes import GAS, GAS_AUGMENT, GAS_RADIUS, GAS_RECIPE
from benchmarks.runner import Case
from repkit.datasets import GAS_BATCHES, load_gas_drift

TASK = "gas drift, 1 to 2 3 4 5 6 8 9"
PAIRS = tuple((1, k) for k in GAS_BATCHES[1:])
TOUCHED = ("1->2",)  # whose labels the recipe's choice has seen


@cache
def logs(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Signed logarithms: responses of a sensor span four orders of magnitude."""
    data = load_gas_drift(batch)
    return np.sign(data.data) * np.log1p(np.abs(data.data)), data.target


def standardized(X: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Standardized columns, then rows of one length: the concentration stretches a whole row."""
    X = (X - by.mean(0)) / (by.std(0) + 1e-6)
    X *= np.sqrt(X.shape[1]) / np.linalg.norm(X, axis=1, keepdims=True)
    return X.astype(np.float32)


def load(source: int, target: int) -> Pair:
    """Each batch standardized by itself, which needs no label and takes a sensor's gain away.

    The accuracy is on the target rows themselves, as everywhere with this data.
    """
    (X_source, y_source), (X_target, y_target) = logs(source), logs(target)
    X_source, X_target = standardized(X_source, X_source), standardized(X_target, X_target)
    return Pair(X_source, y_source, X_target, X_target, y_target)


def load_unseen(source: int, target: int) -> Pair:
    """The target standardized by the source: nothing of the target is used at all."""
    (X_source, y_source), (X_target, y_target) = logs(source), logs(target)
    X_source, X_target = standardized(X_source, X_source), standardized(X_target, X_source)
    return Pair(X_source, y_source, X_target, X_target, y_target)


def load_on_target(source: int, target: int) -> Pair:
    return on_target(load(source, target))


def cases(preset: str, device: str) -> list[Case]:
    """Each method alone, the recipe and what it is without some parts, baselines, and peers."""
    unseen = "source only, target standardized by the source"
    variants = {
        **alone(GAS_AUGMENT, GAS_RADIUS),
        unseen: {"on": "source"},
        **whole(GAS_RECIPE),
        "train on target": {"on": "source"},
    }
    return table(
        TASK,
        PAIRS,
        load,
        device,
        base=GAS,
        variants=variants,
        loads={unseen: load_unseen, "train on target": load_on_target},
        C=0.1,
        left_out=TOUCHED,
    )
