"""Who is told that images are learned from as they are, and when."""

import warnings

import numpy as np
import pytest
import torch

from repkit import DANN, TripleGAN
from repkit.base.plain_images import PlainImagesWarning
from repkit.dann import Entropy, Selection

FEW = {"max_epochs": 1, "steps_per_epoch": 1, "random_state": 0, "width": 8}
X = np.random.default_rng(0).random((40, 8, 8), dtype=np.float32)
HALF = np.arange(40) % 2


def told(fit):
    """The warnings, each at the line of the caller."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        fit()
    found = [w for w in record if w.category is PlainImagesWarning]
    assert all(w.filename == __file__ for w in found)
    return len(found)


@pytest.mark.parametrize(
    ("params", "times"),
    [
        ({}, 1),
        ({"divergence": "coral"}, 1),
        ({"lam": lambda p: p}, 1),
        ({"divergence": None, "entropy": 0.1}, 1),
        ({"divergence": None, "entropy": Entropy(confusion=1.0)}, 1),
        ({"lam": 0.0, "entropy": Entropy(smoothness=1.0)}, 1),
        ({"lam": 0.0, "consistency": 1.0, "ema": 0.9}, 1),
        ({"select": Selection(guard=True)}, 1),  # not for the twin too
        ({"lam": 0.0}, 0),
        ({"divergence": None}, 0),
        ({"augment": torch.nn.Identity()}, 0),
        ({"strong_augment": torch.nn.Identity()}, 0),
    ],
)
def test_adaptation(params, times):
    model = DANN(**FEW, **params)
    assert told(lambda: model.fit(X, HALF, sample_domain=np.repeat([1, -1], 20))) == times


@pytest.mark.parametrize(
    ("params", "times"),
    [
        ({}, 1),
        ({"consistency": 0.0}, 0),
        ({"augment": torch.nn.Identity()}, 0),
        ({"strong_augment": torch.nn.Identity()}, 0),
    ],
)
def test_few_labels(params, times):
    few = np.where(np.arange(40) < 10, HALF, -1)
    assert told(lambda: TripleGAN(**FEW, **params).fit(X, few)) == times


def test_tables_and_fits_without_unlabeled_images_are_not_told_of():
    table, domain = X.reshape(40, -1), np.repeat([1, -1], 20)
    few = np.where(np.arange(40) < 10, HALF, -1)
    assert told(lambda: DANN(**FEW).fit(table, HALF, sample_domain=domain)) == 0
    assert told(lambda: DANN(**FEW).fit(X, HALF)) == 0
    assert told(lambda: TripleGAN(**FEW).fit(table, few)) == 0
    assert told(lambda: TripleGAN(**FEW).fit(X, HALF)) == 0
