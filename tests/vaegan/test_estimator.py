"""VAEGAN: its discriminators, and the options of its losses."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn

from repkit import VAEGAN, Discriminator, Optimizer, load
from repkit.engine.modes import norms
from repkit.vaegan import Objective
from repkit.vaegan.networks import FeatureDiscriminator

HINGE = Discriminator(loss="hinge")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
FAST = {
    "latent_dim": 6,
    "width": 32,
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
        {"discriminator_kind": "three_way"},
        {"discriminator": Discriminator(loss="hinge")},
        {"beta": 5.0},
        {"gamma": 50.0},
        {"pixel": 1.0},
        {"discriminator": Discriminator(r1=10.0), "steps_per_epoch": 17},
        # Without spectral norms, or no D of few steps is too good.
        {"balanced_steps": True, "learning_rate": 1e-2, "discriminator_norm": "batch"},
        {"augment": lambda x: x.roll(1, -1)},
        {"discriminator_norm": "batch", "discriminator": "dcgan"},
        {"ema": 0.9},
        {"encoder": "conv", "discriminator": "conv", "generator": "dcgan"},
        {"optimizer": Optimizer("sgd"), "balanced_steps": True},
        {"learning_rate": {"D": 1e-4}},
    ],
    ids=", ".join,
)
def test_options_train(digits, options):
    model = VAEGAN(**{**FAST, **options}).fit(digits)
    name = next(iter(options))
    plain = clone(model).set_params(**{name: VAEGAN().get_params()[name]}).fit(digits)
    assert np.isfinite(model.history_.to_numpy(dtype=float)).all()
    assert np.abs(model.reconstruct(digits) - plain.reconstruct(digits)).max() > 1e-5


@pytest.mark.parametrize(("kind", "columns"), [("two_way", 1), ("three_way", 3)])
def test_the_discriminator(digits, kind, columns):
    D = VAEGAN(**FAST, discriminator_kind=kind).fit(digits).networks_["D"]
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
    model = VAEGAN(**FAST, discriminator_kind=kind).fit(digits)
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
    def body(shape_in, width):
        assert (shape_in, width) == ((8, 8), 32)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.BatchNorm1d(20), nn.ReLU())

    plane = nn.Sequential(nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 3, 4, 2), nn.ReLU())
    before = plane[1].weight.clone()
    for given in (body, plane):
        model = VAEGAN(**FAST, discriminator=given).fit(digits)
        D = model.networks_["D"]
        assert not any(hasattr(m, "parametrizations") for m in D.body.modules())
    assert bool((plane[1].weight == before).all())
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="discriminator"):
        load(tmp_path / "m.safetensors")
    found = load(tmp_path / "m.safetensors", discriminator=plane)
    np.testing.assert_array_equal(found.reconstruct(digits), model.reconstruct(digits))
    with pytest.raises(ValueError, match="discriminator does not take samples"):
        VAEGAN(**FAST, discriminator=nn.Linear(3, 4)).fit(digits)
    with pytest.raises(ValueError, match="discriminator='dense' is not known"):
        VAEGAN(**FAST, discriminator="dense").fit(digits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discriminator_kind": "four_way"}, "discriminator_kind must be one of"),
        ({"discriminator_norm": "layer"}, "discriminator_norm must be one of"),
        ({"beta": -1}, "beta must be a number of at least 0"),
        ({"gamma": -1}, "gamma must be a number of at least 0"),
        ({"pixel": "much"}, "pixel must be a number of at least 0"),
        ({"balanced_steps": "yes"}, "balanced_steps must be one of"),
        ({"discriminator": Discriminator(r1=-1)}, "^discriminator__r1 must be a number"),
        (
            {"discriminator_kind": "three_way", "discriminator": HINGE},
            "'three_way' is a softmax: it needs discriminator__loss='logistic', not 'hinge'$",
        ),
        (
            {"balanced_steps": True, "discriminator": HINGE},
            "compares costs in nats: it needs discriminator__loss='logistic', not 'hinge'$",
        ),
        (
            {"balanced_steps": True, "discriminator_kind": "three_way"},
            "it needs discriminator_kind='two_way', not 'three_way'$",
        ),
    ],
)
def test_bad_parameters(digits, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        VAEGAN(**{**FAST, **options}).fit(digits[:50])


def test_the_rule_of_who_steps_shows_in_the_history(digits):
    options = {"balanced_steps": True, "discriminator_norm": "batch", "learning_rate": 1e-2}
    model = VAEGAN(**{**FAST, **options, "max_epochs": 8}).fit(digits)
    shares = model.history_[["skip_D", "skip_G"]]
    assert ((shares >= 0) & (shares <= 1)).all(axis=None)
    assert (shares.sum() > 0).any()
    assert (shares.sum(axis=1) <= 1).all()  # never both at once


def test_both_objectives_have_one_default():
    fields = Objective()
    found = VAEGAN().get_params()
    assert all(found[name] == value for name, value in vars(fields).items())
    assert found["gamma"] == 5.0


def test_short_and_long_forms_are_one_model(digits):
    short = VAEGAN(**FAST, discriminator="mlp").fit(digits)
    long = VAEGAN(**FAST, discriminator=Discriminator("mlp")).fit(digits)
    np.testing.assert_array_equal(short.transform(digits), long.transform(digits))
    changed = clone(short).set_params(discriminator__r1=3.0, optimizer__weight_decay=0.1)
    assert repr(changed.discriminator) == "Discriminator('mlp', r1=3.0)"
    assert repr(changed.optimizer) == "Optimizer('adam', momentum=0.5, weight_decay=0.1)"
    assert VAEGAN().optimizer.weight_decay == 0.0
    assert clone(changed).discriminator.r1 == 3.0


def test_learning_rates_by_network(digits):
    start = VAEGAN(**FAST, learning_rate=0.0).fit(digits)
    model = VAEGAN(**FAST, learning_rate={"D": 0.0, "E.head": 0.0}).fit(digits)

    def same(name):
        one, other = (dict(m.networks_[name].named_parameters()) for m in (start, model))
        return {key for key in one if bool((one[key] == other[key]).all())}

    assert same("D") == set(dict(model.networks_["D"].named_parameters()))
    assert same("E") == {"head.weight", "head.bias"}
    with pytest.raises(ValueError, match="learning_rate has a rate for 'F'"):
        VAEGAN(**FAST, learning_rate={"F": 0.1}).fit(digits)


def test_fitted_attributes_appear_together(digits):
    seen = []

    def fail(x):
        seen.append(x)
        if len(seen) == 8:  # in the second epoch
            raise RuntimeError("enough")
        return x

    model = VAEGAN(**FAST, augment=fail)
    with pytest.raises(RuntimeError, match="enough"):
        model.fit(digits)
    assert not [k for k in vars(model) if k.endswith("_")]
    model.set_params(augment=None).fit(digits)
    seen.clear()
    before = {k: v for k, v in vars(model).items() if k.endswith("_")}
    with pytest.raises(RuntimeError, match="enough"):
        model.set_params(augment=fail).fit(digits[:200])
    after = {k: v for k, v in vars(model).items() if k.endswith("_")}
    assert after.keys() == before.keys()
    assert all(after[k] is v for k, v in before.items())
