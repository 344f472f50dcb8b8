"""VAE: what is its own beside codes and reconstructions."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from repkit import VAE

FAST = {"latent_dim": 6, "width": 32, "max_epochs": 3, "batch_size": 16, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    return (load_digits().images[:300] / 16).astype(np.float32)


def test_the_columns_of_the_history(digits):
    model = VAE(**FAST).fit(digits)
    assert set(model.history_) == {
        "epoch",
        "step",
        "loss_EG",
        "reconstruction_loss",
        "kl",
        "kl_weight",
        "reconstruction_ratio",
        "seconds",
    }
    assert list(model.networks_) == ["E", "G"]
    assert model.history_["reconstruction_loss"].is_monotonic_decreasing


@pytest.mark.parametrize(
    "options",
    [
        {"beta": 5.0},
        {"likelihood": "gaussian"},
        {"augment": lambda x: x.roll(1, -1)},
        {"ema": 0.9},
        {"recalibrate": True},
        {"encoder": "conv", "generator": "dcgan"},
        {"encoder": "dcgan"},
    ],
    ids=", ".join,
)
def test_options_train(digits, options):
    model, plain = VAE(**FAST, **options).fit(digits), VAE(**FAST).fit(digits)
    assert np.isfinite(model.history_.to_numpy(dtype=float)).all()
    assert np.abs(model.transform(digits) - plain.transform(digits)).max() > 1e-5


def test_a_greater_beta_says_less_in_the_codes(digits):
    little, much = (VAE(**{**FAST, "max_epochs": 8}, beta=b).fit(digits) for b in (0.1, 20.0))
    assert much.history_["kl"].iloc[-1] < 0.3 * little.history_["kl"].iloc[-1]
    assert much.reconstruction_ratio_ > little.reconstruction_ratio_


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"likelihood": "laplace"}, "likelihood must be one of"),
        ({"beta": -1}, "beta must be a number of at least 0"),
        ({"beta": "much"}, "beta must be a number"),
        ({"beta": float("nan")}, "beta must be a number of at least 0"),
    ],
)
def test_bad_parameters(digits, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        VAE(**FAST, **options).fit(digits)
