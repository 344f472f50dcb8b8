"""Triple-GAN: digits from few labels, and what generator and discriminator add to the classifier.

The labelled images are drawn anew for each seed, as many of each digit; all other training images
are unlabelled. Beside the whole stands the same classifier with every other term and no generator
or discriminator, for as many seconds; then the same on its labels alone, and what scikit-learn
has.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from benchmarks.bigan_mnist import load
from benchmarks.runner import Case
from repkit import TripleGAN
from repkit.augment import RandomAffine
from repkit.nets import conv

LI = {
    20: (0.0481, "Li et al. 2017, table 2"),
    50: (0.0156, "Li et al. 2017, table 2"),
    100: (0.0091, "Li et al. 2017, table 1"),
    200: (0.0067, "Li et al. 2017, table 2"),
}
LABELS = {"digits": (50,), "MNIST": (20, 50, 100, 200)}
SPREAD_ROWS = 10_000  # unlabelled rows of LabelSpreading on MNIST: it holds a matrix of all pairs

# Chosen on training images without a label in the fit: the last 10 000 of MNIST, a quarter of those
# of digits.
MNIST: dict[str, Any] = {
    "classifier": partial(conv, width=16),
    "generator": "mlp",
    "discriminator": "mlp",
    "n_features": 256,
    "augment": RandomAffine(degrees=6, zoom=0.06, stretch=0.03, shear=0.1, shift=0.03),
    "view_augment": RandomAffine(degrees=15, zoom=0.12, stretch=0.06, shear=0.25, shift=0.08),
    "threshold": 0.8,
    "entropy": 0.0,
    "balance": 0.3,
    "learning_rate": 2e-3,
    "weight_decay": 5e-3,
    "precision": "bf16",
    "steps_per_epoch": 300,
    "max_epochs": 8,
}
DIGITS: dict[str, Any] = {
    "classifier": "conv",
    "generator": "mlp",
    "discriminator": "mlp",
    "n_features": 128,
    "augment": RandomAffine(degrees=6, zoom=0.06, stretch=0.03, shear=0.1, shift=0.04),
    "view_augment": RandomAffine(degrees=15, zoom=0.12, stretch=0.06, shear=0.25, shift=0.1),
    "threshold": 0.8,
    "entropy": 0.0,
    "balance": 0.3,
    "weight_decay": 5e-3,
    "batch_size": 64,
    "steps_per_epoch": 100,
    "max_epochs": 8,
}
