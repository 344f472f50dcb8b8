"""Small InfoGANs, fitted once."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning

from repkit import InfoGAN

_FAST = {
    "latent_dim": 5,
    "width": 32,
    "max_epochs": 2,
    "steps_per_epoch": 4,
    "batch_size": 16,
    "random_state": 0,
    "recalibrate": False,
}


@pytest.fixture
def fast():
    """Parameters of a fit of a moment."""
    return dict(_FAST)


@pytest.fixture(scope="session")
def digits():
    return (load_digits().images / 16).astype(np.float32)


@pytest.fixture(scope="session")
def fitted(digits):
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        return InfoGAN((4, 3), 2, **_FAST).fit(digits[:300])


@pytest.fixture(scope="session")
def plain(digits):
    """What a model with an option is compared with."""
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        return InfoGAN((3,), **{**_FAST, "steps_per_epoch": 17}).fit(digits[:300])


@pytest.fixture(scope="session")
def blobs():
    X, y = make_blobs(600, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    return X, y


@pytest.fixture(scope="session")
def on_blobs(blobs):
    model = InfoGAN(
        (3,),
        1,
        4,
        width=64,
        steps_per_epoch=100,
        max_epochs=8,
        batch_size=64,
        learning_rate=1e-3,
        random_state=0,
    )
    return model.fit(blobs[0])
