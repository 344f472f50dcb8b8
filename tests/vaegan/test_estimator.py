"""VAEGAN: its discriminators, and the options of its losses."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn

from repkit import VAEGAN, load
from repkit.engine.modes import norms
from repkit.vaegan.networks import FeatureDiscriminator

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
FAST = {
    "latent_dim": 6,
    "n_features": 32,
    "max_epochs": 3,
    "steps_per_epoch": 6,
    "batch_size": 16,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def digits():
    return (load_digits().images[:300] / 16).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(digits):
    return VAEGAN(**FAST).fit(digits)


def test_the_columns_of_the_history(fitted):
    assert set(fitted.history_) == {
        "epoch",
        "step",
        "loss_E",
        "loss_G",
        "loss_D",
        "kl",
        "kl_weight",
        "similarity_loss",
        "adversarial_loss",
        "d_real",
        "d_fake",
        "d_reconstructed",
        "reconstruction_ratio",
        "seconds",
    }
    assert list(fitted.networks_) == ["E", "G", "D"]


@pytest.mark.parametrize(
    "options",
    [
        {"discriminator": "three_way"},
        {"loss": "hinge"},
        {"beta": 5.0},
        {"gamma": 50.0},
        {"pixel": 1.0},
        {"r1": 10.0, "steps_per_epoch": 17},
        # Without spectral norms, or no D of few steps is too good.
        {"balance": True, "learning_rate": 1e-2, "discriminator_norm": "batch"},
        {"augment": lambda x: x.roll(1, -1)},
        {"discriminator_norm": "batch", "discriminator_body": "conv"},
        {"ema": 0.9},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_train(digits, options):
    model = VAEGAN(**{**FAST, **options}).fit(digits)
    name = next(iter(options))
    plain = clone(model).set_params(**{name: VAEGAN().get_params()[name]}).fit(digits)
    assert np.isfinite(model.history_.to_numpy(dtype=float)).all()
    assert np.abs(model.reconstruct(digits) - plain.reconstruct(digits)).max() > 1e-5


@pytest.mark.parametrize(("kind", "columns"), [("two_way", 1), ("three_way", 3)])
def test_the_discriminator(digits, kind, columns):
    D = VAEGAN(**FAST, discriminator=kind).fit(digits).networks_["D"]
    assert isinstance(D, FeatureDiscriminator)
    assert D.judge[-1].out_features == columns
    assert not norms(D)
    linear = [m for m in D.modules() if isinstance(m, nn.Linear)]
    assert len(linear) == 3
    assert [hasattr(m, "parametrizations") for m in linear] == [True, True, False]


def test_batch_norm_takes_the_place_of_spectral_normalization(digits):
    images = np.random.default_rng(0).random((40, 28, 28), dtype=np.float32)
    D = VAEGAN(**FAST, discriminator_norm="batch").fit(images).networks_["D"]
    assert norms(D)
    assert not any(hasattr(m, "parametrizations") for m in D.modules())


@pytest.mark.parametrize("through", ["pickle", "deepcopy", "file"])
@pytest.mark.parametrize("kind", ["two_way", "three_way"])
def test_copies_hold_the_whole_discriminator(digits, tmp_path, through, kind):
    """With its singular vectors, so that training could go on from it."""
    model = VAEGAN(**FAST, discriminator=kind).fit(digits)
    if through == "file":
        model.save(tmp_path / "m.safetensors")
        found = load(tmp_path / "m.safetensors")
    else:
        found = copy.deepcopy(model) if through == "deepcopy" else pickle.loads(pickle.dumps(model))
    states = (m.networks_["D"].state_dict() for m in (found, model))
    one, other = ({k: v.numpy() for k, v in state.items()} for state in states)
    assert one.keys() == other.keys()
    assert any("_u" in k for k in one)
    for key, value in one.items():
        np.testing.assert_array_equal(value, other[key])
    np.testing.assert_array_equal(found.reconstruct(digits), model.reconstruct(digits))
    again = [clone(m).set_params(warm_start=True) for m in (found, model)]
    for new, old in zip(again, (found, model), strict=True):
        new.networks_, new.weights_ = old.networks_, old.weights_
        new.fit(digits)
    np.testing.assert_array_equal(*(m.reconstruct(digits) for m in again))


def test_networks_of_the_users_own(digits, tmp_path):
    def body(shape_in, n_features):
        assert (shape_in, n_features) == ((8, 8), 32)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.BatchNorm1d(20), nn.ReLU())

    plane = nn.Sequential(nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 3, 4, 2), nn.ReLU())
    before = plane[1].weight.clone()
    for given in (body, plane):
        model = VAEGAN(**FAST, discriminator_body=given).fit(digits)
        D = model.networks_["D"]
        assert not any(hasattr(m, "parametrizations") for m in D.body.modules())
    assert bool((plane[1].weight == before).all())
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="discriminator_body"):
        load(tmp_path / "m.safetensors")
    found = load(tmp_path / "m.safetensors", discriminator_body=plane)
    np.testing.assert_array_equal(found.reconstruct(digits), model.reconstruct(digits))
    with pytest.raises(ValueError, match="discriminator_body does not take samples"):
        VAEGAN(**FAST, discriminator_body=nn.Linear(3, 4)).fit(digits)
    with pytest.raises(ValueError, match="discriminator_body='dense' is not known"):
        VAEGAN(**FAST, discriminator_body="dense").fit(digits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discriminator": "four_way"}, "discriminator must be one of"),
        ({"discriminator_norm": "layer"}, "discriminator_norm must be one of"),
        ({"beta": -1}, "beta must be between"),
        ({"gamma": -1}, "gamma must be between"),
        ({"pixel": "much"}, "pixel must be a number"),
        ({"balance": "yes"}, "balance must be one of"),
        ({"discriminator": "three_way", "loss": "hinge"}, "discriminator='three_way' is a softmax"),
        ({"balance": True, "loss": "hinge"}, "balance=True compares costs in nats"),
        ({"balance": True, "discriminator": "three_way"}, "it needs discriminator='two_way'"),
    ],
)
def test_bad_parameters(digits, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        VAEGAN(**{**FAST, **options}).fit(digits[:50])
