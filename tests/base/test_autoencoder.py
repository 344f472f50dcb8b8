"""Codes and the way back, for the estimators with an encoder and a decoder of the same codes."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from torch import nn

from repkit import VAE, VAEGAN, BiGAN
from repkit.base.generative import rng_of
from repkit.engine.modes import norms
from repkit.engine.rng import drawn_seed
from repkit.metrics import reconstruction_ratio

# A few steps link no encoder, and the estimators say so.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

COMMON = {"latent_dim": 16, "width": 128, "steps_per_epoch": 60, "random_state": 0}
MODELS = {
    "BiGAN": BiGAN(max_epochs=8, learning_rate=1e-3, ema=0.98, data_cycle=1.0, **COMMON),
    "VAE": VAE(max_epochs=10, **COMMON),
    "VAEGAN": VAEGAN(max_epochs=6, **COMMON),
}
PRIORS = {"BiGAN": 1 / 3}  # its variance; else 1
SHORT = {"max_epochs": 2, "steps_per_epoch": 4, "batch_size": 16, "width": 32}


@pytest.fixture(scope="module")
def digits():
    return (load_digits().images / 16).astype(np.float32)


@pytest.fixture(scope="module", params=MODELS)
def fitted(request, digits):
    return clone(MODELS[request.param]).fit(digits)


@pytest.fixture
def short(fitted):
    return clone(fitted).set_params(**SHORT)


def test_learns_to_reconstruct_digits(fitted, digits):
    assert fitted.reconstruction_ratio_ < 0.7
    assert fitted.history_["reconstruction_ratio"].iloc[-1] == pytest.approx(
        fitted.reconstruction_ratio_
    )
    own = np.square(fitted.reconstruct(digits) - digits).mean()
    assert own < 0.7 * np.square(digits.mean(0) - digits).mean()


def test_the_ratio_is_of_rows_that_were_held_back(short, digits):
    X = digits[:300]
    short.set_params(validation_fraction=0.2, steps_per_epoch=60, learning_rate=1e-2).fit(X)
    seen, held_back = short._split(300, drawn_seed(0), 0.2)
    of_seen, of_held_back = (
        reconstruction_ratio(X[r], short.reconstruct(X[r])) for r in (seen, held_back)
    )
    assert short.reconstruction_ratio_ == pytest.approx(of_held_back, rel=1e-4)
    assert short.reconstruction_ratio_ != pytest.approx(of_seen, rel=1e-3)


def test_a_ratio_without_distances(fitted, monkeypatch):
    """Samples that are all alike and come back; two that come back as each other."""
    model, two = copy.copy(fitted), torch.stack([torch.zeros(8, 8), torch.ones(8, 8)])

    def ratio(x, back):
        monkeypatch.setattr(model, "_codes", lambda x: x)
        monkeypatch.setattr(model, "networks_", {"G": lambda x: back})
        return model._ratio(x)

    assert ratio(two[:1].expand(5, 8, 8), torch.zeros(5, 8, 8)) == 0.0
    assert ratio(two, two) == 0.0
    assert ratio(two, two.flip(0)) == math.inf
    assert ratio(two, torch.full((2, 8, 8), 0.5)) == pytest.approx(1.0)


def test_the_ratio_of_an_epoch_is_that_of_the_averaged_weights(short, digits):
    short.set_params(ema=0.9, steps_per_epoch=20, learning_rate=1e-2).fit(digits[:300])
    last = short.history_["reconstruction_ratio"].iloc[-1]
    assert last == pytest.approx(short.reconstruction_ratio_, rel=1e-6)
    plain = clone(short).set_params(ema=0.0).fit(digits[:300])
    assert plain.reconstruction_ratio_ != pytest.approx(last, rel=1e-3)


def test_transform_gives_the_mean_and_never_a_draw(fitted, digits):
    x = digits[:64]
    codes = fitted.transform(x)
    np.testing.assert_array_equal(codes, fitted.transform(x))
    with torch.no_grad():
        given = fitted.networks_["E"](torch.from_numpy(x))
    np.testing.assert_allclose(codes, given[:, :16], atol=1e-6)
    assert list(fitted.get_feature_names_out())[1] == f"{type(fitted).__name__.lower()}1"


def test_codes_are_of_the_prior_s_size(fitted, digits):
    """Over the data: means that spread, and variances, if E gives any, that fill the rest."""
    with torch.no_grad():
        mean, log_variance = fitted.networks_["E"](torch.from_numpy(digits)).tensor_split([16], 1)
    variance = mean.var(0).mean() + log_variance.exp().mean(0).sum() / 16
    wanted = PRIORS.get(type(fitted).__name__, 1)
    assert 0.3 * wanted < variance < 3 * wanted
    latents = fitted._latents(4000, np.random.default_rng(0))
    assert latents.shape == (4000, 16)
    assert np.abs(latents.mean(0)).max() < 0.1
    assert latents.var() == pytest.approx(wanted, rel=0.04)


def test_reconstruction_is_the_way_there_and_back(fitted, digits):
    back = fitted.inverse_transform(fitted.transform(digits[:64]))
    np.testing.assert_allclose(fitted.reconstruct(digits[:64]), back, atol=1e-5)
    with torch.no_grad():
        codes = torch.from_numpy(fitted.transform(digits[:64]))
        np.testing.assert_allclose(back, fitted.networks_["G"](codes), atol=1e-5)
    with pytest.raises(ValueError, match="Z must have latent_dim=16 columns, not 5"):
        fitted.inverse_transform(np.zeros((1, 5)))
    with pytest.raises(ValueError, match="NaN"):
        fitted.inverse_transform(np.full((1, 16), np.nan))


def test_samples_come_from_the_prior(fitted):
    latents = fitted._latents(5, rng_of(3))
    np.testing.assert_array_equal(
        fitted.sample(5, random_state=3), fitted.inverse_transform(latents)
    )


# -------------------------------------------------------------------- from one sample to another


def test_interpolation_starts_and_ends_with_reconstructions(fitted, digits):
    start, end = digits[:5], digits[5:10]
    path = fitted.interpolate(start, end, n_steps=5)
    assert path.shape == (5, 5, 8, 8)
    assert path.dtype == np.float32
    np.testing.assert_allclose(path[:, 0], fitted.reconstruct(start), atol=1e-5)
    np.testing.assert_allclose(path[:, -1], fitted.reconstruct(end), atol=1e-5)
    codes = 0.75 * fitted.transform(start) + 0.25 * fitted.transform(end)
    np.testing.assert_allclose(path[:, 1], fitted.inverse_transform(codes), atol=1e-5)
    assert fitted.interpolate(start, end).shape == (5, 8, 8, 8)
    # No jump: a step changes less than the whole way does.
    steps = np.square(np.diff(path, axis=1)).mean((2, 3))
    assert (steps.max(1) < np.square(path[:, 0] - path[:, -1]).mean((1, 2))).all()


def test_interpolation_of_what_does_not_fit(fitted, digits):
    with pytest.raises(ValueError, match="X_end must have as many samples as X_start"):
        fitted.interpolate(digits[:2], digits[:3])
    with pytest.raises(ValueError, match=r"samples of shape \(8, 7\)"):
        fitted.interpolate(digits[:2], digits[:2, :, :7])
    for n_steps in (1, 2.5, "3"):
        with pytest.raises(
            (TypeError, ValueError), match="n_steps must be an integer of at least 2"
        ):
            fitted.interpolate(digits[:2], digits[:2], n_steps)


# -------------------------------------------------------------------- attributes


def test_an_attribute_is_the_difference_of_mean_codes(fitted, digits):
    y = digits[:, 4, 4] > 0.5
    codes = fitted.transform(digits)
    found = fitted.attribute_vector(digits, y)
    assert found.shape == (16,)
    np.testing.assert_allclose(found, codes[y].mean(0) - codes[~y].mean(0), atol=1e-6)
    np.testing.assert_allclose(fitted.attribute_vector(digits, y.astype(int)), found)
    np.testing.assert_allclose(fitted.attribute_vector(digits, ~y), -found, atol=1e-6)
    several = np.c_[y, digits[:, 2, 2] > 0.5]
    both = fitted.attribute_vector(digits, several)
    assert both.shape == (2, 16)
    np.testing.assert_allclose(both[0], found)
    np.testing.assert_allclose(both[1], fitted.attribute_vector(digits, several[:, 1]))
    assert fitted.attribute_vector(digits.astype(np.float64), y).dtype == np.float64


def test_adding_an_attribute_gives_it(fitted, digits):
    """Samples without ink in the middle get some, and lose it on the way back."""
    y = digits[:, 4, 4] > 0.5
    vector = fitted.attribute_vector(digits, y)
    for rows, sign in ((~y, 1), (y, -1)):
        codes = fitted.transform(digits[rows])
        before, after = (fitted.inverse_transform(codes + k * vector) for k in (0, sign))
        change = (after - before).mean(0)
        assert sign * change[4, 4] > 0.2
        # Nowhere is there more of a change than there.
        assert sign * change[4, 4] == pytest.approx(np.abs(change).max(), rel=0.3)


def test_attributes_that_are_none(fitted, digits):
    for y, message in (
        (np.zeros(50), "with the attribute and samples without it"),
        (np.ones(50), "with the attribute and samples without it"),
        (np.c_[np.arange(50) % 2, np.ones(50)], "with the attribute and samples without it"),
        (np.arange(50) % 3, "y must say of each sample whether it has the attribute: 0 or 1"),
        (np.array(["yes", "no"] * 25), "0 or 1"),
        (np.full(50, np.nan), "y contains NaN"),
        (np.arange(9) % 2, "inconsistent numbers of samples"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.attribute_vector(digits[:50], y)


# -------------------------------------------------------------------- training


@pytest.mark.parametrize("kind", ["uint8", "table", "frame"])
def test_what_comes_back_is_in_the_range_and_type_of_the_data(short, digits, kind):
    short.set_params(learning_rate=1e-2, steps_per_epoch=20)
    X = {
        "uint8": np.rint(digits[:100] * 255).astype(np.uint8),
        "table": digits[:100].reshape(100, 64).astype(np.float64) * 50 - 20,
        "frame": pd.DataFrame(digits[:100].reshape(100, 64) * 50 - 20).add_prefix("p"),
    }[kind]
    short.fit(X)
    values = np.asarray(X)
    for out in (short.reconstruct(X), short.interpolate(X[:2], X[:2], 2)[:, 0], short.sample(9)):
        assert out.dtype == values.dtype
        assert values.min() - 1e-3 <= out.min() < out.max() <= values.max() + 1e-3
        assert np.ptp(out) > 0.1 * np.ptp(values)


def test_recalibration_takes_the_statistics_of_the_data(short, digits):
    short.set_params(validation_fraction=0.0, batch_size=100)
    plain = clone(short).fit(digits[:200])
    model = clone(short).set_params(recalibrate=True).fit(digits[:200])
    (norm,), (old,) = (norms(m.networks_["E"]) for m in (model, plain))
    seen = []
    for linear in (m for m in model.networks_["E"].modules() if isinstance(m, nn.Linear)):
        if linear.bias is None:
            linear.register_forward_hook(lambda m, inputs, out: seen.append(out))
    with torch.no_grad():
        model.networks_["E"](torch.from_numpy(digits[:200]))
    torch.testing.assert_close(norm.running_mean, seen[0].mean(0), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(old.running_mean, norm.running_mean, atol=1e-4)
    assert torch.equal(model.weights_["last"]["E"]["features.2.running_mean"], norm.running_mean)


def test_few_rows_are_all_trained_on(short, digits):
    short.fit(digits[:3])
    assert short.transform(digits[:3]).shape == (3, 16)


def test_before_the_fit(short, digits):
    for use in (
        lambda: short.transform(digits),
        lambda: short.inverse_transform(np.zeros((1, 16))),
        lambda: short.reconstruct(digits),
        lambda: short.sample(),
        lambda: short.interpolate(digits, digits),
        lambda: short.attribute_vector(digits, np.zeros(len(digits))),
        lambda: short.save("never.safetensors"),
    ):
        with pytest.raises(NotFittedError):
            use()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be an integer of at least 1, not 0"),
        ({"latent_dim": 2.0}, "latent_dim must be an integer of at least 1, not 2.0"),
    ],
)
def test_bad_parameters(short, digits, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        short.set_params(**options).fit(digits[:50])
