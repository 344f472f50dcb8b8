"""How encoders are judged: nearest neighbours, a linear probe, and what a code gives back."""

from __future__ import annotations

import numpy as np

from repkit.metrics import knn_probe, linear_probe

Features = tuple[np.ndarray, np.ndarray]  # of the training and of the test rows


def judge(features: Features, y_train, y_test, device: str) -> dict[str, float]:
    """1-NN and linear-probe accuracy of features, fitted on the training rows."""
    train, test = features
    return {
        "1-NN": knn_probe(train, y_train, test, y_test, n_neighbors=1, device=device)["accuracy"],
        "linear probe": linear_probe(train, y_train, test, y_test, device=device)["accuracy"],
    }


def ratio(X: np.ndarray, back: np.ndarray, seed: int = 0) -> float:
    """Mean ``|x - back(x)|`` over mean ``|x' - back(x)|``, x' another row of X."""
    flat, back = (np.asarray(a, dtype=np.float32).reshape(len(X), -1) for a in (X, back))
    other = np.roll(np.random.default_rng(seed).permutation(len(X)), 1)
    order = np.random.default_rng(seed).permutation(len(X))
    own = np.linalg.norm(flat - back, axis=1).mean()
    return float(own / np.linalg.norm(flat[other] - back[order], axis=1).mean())
