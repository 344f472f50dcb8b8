"""BiGAN: what is its own beside codes and reconstructions."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from repkit import BiGAN, Discriminator
from repkit.bigan.estimator import judge_link

FAST = {
    "latent_dim": 6,
    "width": 32,
    "max_epochs": 3,
    "steps_per_epoch": 4,
    "batch_size": 16,
    "random_state": 0,
}
# A few steps link no encoder, and the estimator says so.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def digits():
    return (load_digits().images / 16).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(digits):
    return BiGAN(**FAST).fit(digits[:300])


def test_the_columns_of_the_history(fitted):
    assert set(fitted.history_) == {
        "epoch",
        "step",
        "loss_D",
        "loss_GE",
        "adversarial_loss",
        "data_cycle_loss",
        "d_real",
        "d_fake",
        "reconstruction_ratio",
        "seconds",
    }
    assert list(fitted.networks_) == ["E", "G", "D"]


def test_transform_gives_the_code_or_the_hidden_layer(fitted, digits):
    X, E = digits[:64], fitted.networks_["E"]
    with torch.no_grad():
        x = torch.from_numpy(X)
        np.testing.assert_allclose(fitted.transform(X), E(x).numpy(), atol=1e-6)
        hidden = clone(fitted)
        vars(hidden).update(vars(fitted))
        hidden.output = "hidden"
        np.testing.assert_allclose(hidden.transform(X), E.hidden(x).numpy(), atol=1e-6)
    assert hidden.transform(X).shape == (64, 32)
    assert list(hidden.get_feature_names_out())[:2] == ["bigan0", "bigan1"]
    assert len(hidden.get_feature_names_out()) == 32
    with pytest.raises(ValueError, match="output='hidden' cannot be inverted"):
        hidden.inverse_transform(np.zeros((1, 32)))


def test_codes_lie_where_the_prior_does(fitted, digits):
    assert np.abs(fitted.transform(digits)).max() <= 1
    assert np.abs(fitted._latents(4000, np.random.default_rng(0))).max() <= 1
    normal = BiGAN(**FAST, prior="normal").fit(digits[:300])
    assert not normal.networks_["E"].bounded
    latents = normal._latents(4000, np.random.default_rng(0))
    assert latents.std() == pytest.approx(1, rel=0.02)
    assert latents.mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    "options",
    [
        {"stochastic": True, "prior": "normal"},
        {"unary": True, "discriminator": Discriminator(loss="hinge")},
        {"latent_cycle": 1.0, "data_cycle": 0.5},
        {"discriminator": Discriminator("mlp", r1=1.0)},
        {"augment": nn.Dropout(0.1)},
    ],
    ids=str,
)
def test_options_train(digits, options):
    model = BiGAN(**{**FAST, "steps_per_epoch": 17}, **options).fit(digits[:300])
    plain = BiGAN(**{**FAST, "steps_per_epoch": 17}, prior=options.get("prior", "uniform"))
    plain.fit(digits[:300])
    assert model.transform(digits).shape == (1797, 6)
    assert np.isfinite(model.history_.to_numpy(dtype=float)).all()
    assert np.abs(model.transform(digits) - plain.transform(digits)).max() > 1e-6


def test_a_stochastic_encoder_gives_its_mean(digits):
    model = BiGAN(**FAST, stochastic=True, prior="normal").fit(digits[:300])
    np.testing.assert_array_equal(model.transform(digits), model.transform(digits))
    with torch.no_grad():
        statistics = model.networks_["E"](torch.from_numpy(digits[:64]))
    assert statistics.shape == (64, 12)
    np.testing.assert_allclose(model.transform(digits[:64]), statistics[:, :6], atol=1e-6)


class Deaf(nn.Module):
    """A discriminator that does not hear of z."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x, z):
        return self.net(x)


def test_an_encoder_linked_to_nothing_is_told(digits):
    with pytest.warns(ConvergenceWarning, match="the encoder is not linked to the generator"):
        model = BiGAN(**FAST, discriminator=Deaf()).fit(digits)
    assert model.reconstruction_ratio_ == pytest.approx(1, abs=0.1)


def test_a_loose_link_is_told():
    history = pd.DataFrame({"epoch": [1, 2]})
    with pytest.warns(ConvergenceWarning, match=r"loosely linked .* 0\.80, .* longer") as told:
        judge_link(history, 0.8, 10.0)
    assert "data_cycle" not in str(told[0].message)
    with pytest.warns(ConvergenceWarning, match="; set data_cycle=10 rather than 0.5, or train"):
        judge_link(history, 0.8, 0.5)
    with pytest.warns(ConvergenceWarning, match=r"is not linked to the generator.*latent_cycle=1"):
        judge_link(history, float("nan"), 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge_link(history, 0.69, 0.0)
        judge_link(history.assign(failed_step=3.0), 0.95, 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "both"}, "output must be one of"),
        ({"prior": "cauchy"}, "prior must be one of"),
        ({"stochastic": True}, "stochastic=True needs prior='normal'"),
        (
            {"unary": True, "discriminator": Deaf()},
            "unary=True is for a discriminator that is given by name",
        ),
        ({"latent_cycle": -1}, "latent_cycle must be a number of at least 0"),
        ({"data_cycle": "much"}, "data_cycle must be a number"),
    ],
)
def test_bad_parameters(digits, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        BiGAN(**{**FAST, **options}).fit(digits[:50])
