"""How encoders are judged: nearest neighbors, and a linear probe."""

from __future__ import annotations

import numpy as np

from repkit.metrics import knn_probe, linear_probe

Features = tuple[np.ndarray, np.ndarray]  # of the training and of the test rows


def judge(features: Features, y_train, y_test, device: str) -> dict[str, float]:
    """1-NN and linear-probe accuracy of features, fitted on the training rows."""
    train, test = features
    return {
        "1-NN": knn_probe(train, y_train, test, y_test, n_neighbors=1, device=device)["accuracy"],
        "linear probe": linear_probe(train, y_train, test, y_test)["accuracy"],
    }
