"""The small classifier in whose features generated images are compared with real ones.

A source-only `DANN`, a convolutional net with 128 features, trained on the labeled training images
of the task. Distances in its features are not the "FID", which is one of Inception's.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np

from benchmarks.bigan_mnist import load
from repkit import DANN, NoTargetWarning
from repkit.metrics import frechet_distance, precision_recall


@cache
def referee(task: str, device: str) -> DANN:
    """The classifier: it reads 99 % of the test images of either task."""
    X, y, _, _ = load(task)
    epochs = {"MNIST": 3, "digits": 30}[task]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoTargetWarning)
        return DANN("conv", width=128, max_epochs=epochs, device=device, random_state=0).fit(X, y)


def distance(task: str, images: np.ndarray, device: str) -> dict[str, float]:
    """Frechet distance to the test images, and improved precision and recall."""
    model, real = referee(task, device), load(task)[2]
    features = model.transform(real), model.transform(images)
    shares = precision_recall(*features, device=device)
    return {
        "Frechet": frechet_distance(*features, device=device),
        "precision": shares["precision"],
        "recall": shares["recall"],
    }


def accuracy(task: str, images: np.ndarray, device: str) -> float:
    """The share of images, as many as test images, that are read as these are labeled."""
    return float(np.mean(referee(task, device).predict(images) == load(task)[3]))
