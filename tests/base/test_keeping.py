"""Pickles, copies and model files do what the fitted model does, whatever its networks hold."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch import nn

from repkit import (
    DANN,
    VAE,
    VAEGAN,
    BiGAN,
    InfoGAN,
    SpeechAutoencoder,
    TripleGAN,
    load,
    nets,
    recipes,
)
from repkit.base.model_file import ModelFileError
from repkit.dann import Heads

from .small import DOMAIN, SPEECH, N, X, Y, models

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

COMMON = {"width": 12, "max_epochs": 2, "steps_per_epoch": 2, "random_state": 0}


class Attribute(nn.Module):
    """A network with a constant that is an attribute: no state dict holds it."""

    def __init__(self, shape, width):
        super().__init__()
        self.linear = nn.Linear(*shape, width)
        self.offset = torch.full(shape, 0.5)

    def forward(self, x):
        return torch.relu(self.linear(x - self.offset))


class Hidden(Attribute):
    """With one that is a buffer, not of the state dict."""

    def __init__(self, shape, width):
        super().__init__(shape, width)
        del self.offset
        self.register_buffer("offset", torch.full(shape, 0.5), persistent=False)


class Drawn(Attribute):
    """With one that is drawn when the network is made."""

    def __init__(self, shape, width):
        super().__init__(shape, width)
        self.offset = torch.rand(shape)


class Spectral(nn.Sequential):
    """Which torch cannot pickle."""

    def __init__(self, shape, width):
        linear = nn.utils.parametrizations.spectral_norm(nn.Linear(*shape, width))
        super().__init__(linear, nn.BatchNorm1d(width), nn.ReLU())


MODELS = models(COMMON, TripleGAN={"generator": None}, InfoGAN={"recalibrate": False})
# The parameter that is the network which reads samples.
READERS = {"DANN": "backbone", "TripleGAN": "classifier"} | dict.fromkeys(
    ("VAE", "BiGAN", "VAEGAN"), "encoder"
)
every_model = pytest.mark.parametrize("name", MODELS)
with_own = pytest.mark.parametrize("name", READERS)


def fit(name, **params):
    model, given = MODELS[name]
    return clone(model).set_params(**params).fit(*given)


PLAIN: dict = {}


def plain(name):
    if name not in PLAIN:
        PLAIN[name] = fit(name)
    return copy.deepcopy(PLAIN[name])


def outputs(model, data):
    found = [model.transform(data)]
    if hasattr(model, "predict_proba"):
        found.append(model.predict_proba(data))
    if hasattr(model, "sample") and getattr(model, "generator", True) is not None:
        found.append(model.sample(3, random_state=0))
    return found


def copies_of(model, folder, **code):
    """Ways to keep a model, alone and one after the other."""
    model.save(folder / "m")
    opened = load(folder / "m", **code)
    unpickled = pickle.loads(pickle.dumps(model))
    yield "file", opened
    yield "pickle", unpickled
    yield "deepcopy", copy.deepcopy(model)
    opened.save(folder / "n")
    yield "file of a file", load(folder / "n", **code)
    unpickled.save(folder / "o")
    yield "file of a pickle", load(folder / "o", **code)
    yield "pickle of a file", pickle.loads(pickle.dumps(opened))


def assert_kept(model, folder, data, **code):
    wanted = outputs(model, data)
    torch.rand(1)  # the caller's random numbers have gone on since the fit
    for how, kept in copies_of(model, folder, **code):
        for a, b in zip(outputs(kept, data), wanted, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=how)
        assert (kept.n_iter_, kept.seed_) == (model.n_iter_, model.seed_)
        assert kept.history_.equals(model.history_), how
        held = kept.weights_[kept.used_weights_]
        for name, network in kept.networks_.items():
            for key, value in network.state_dict().items():
                assert held[name][key].data_ptr() == value.data_ptr(), (how, key)
            for module in network.modules():  # sizes alone are nowhere left
                own = [*vars(module).values(), *module._buffers.values()]
                assert not any(isinstance(x, torch.Tensor) and x.is_meta for x in own), how


# -------------------------------------------------------------------- what networks hold


@every_model
def test_a_model_is_kept(name, tmp_path):
    assert_kept(plain(name), tmp_path, MODELS[name][1][0])


@pytest.mark.parametrize("net", [Attribute, Hidden, Drawn, Spectral])
@with_own
def test_networks_with_constants(name, net, tmp_path):
    reader = READERS[name]
    model = fit(name, **{reader: net}, max_epochs=1)
    assert_kept(model, tmp_path, X, **{reader: net})
    for network in model.networks_.values():  # the constant does count
        for module in network.modules():
            if isinstance(module, Attribute):
                before = model.transform(X)
                module.offset = torch.zeros(4)
                assert abs(model.transform(X) - before).max() > 1e-4


def test_a_module_that_is_given_whole(tmp_path):
    body = Hidden((4,), 12)
    body.offset += 0.25
    model = fit("DANN", backbone=body)
    assert_kept(model, tmp_path, X, backbone=body)


def test_a_file_needs_the_code_it_was_saved_with(tmp_path):
    heads = Heads(label=lambda shape, classes: nn.Sequential(nn.Linear(*shape, classes)))
    model = fit("DANN", heads=heads, backbone=Hidden)
    model.save(tmp_path / "m")
    found = load(tmp_path / "m", heads=heads, backbone=Hidden)
    np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))
    with pytest.raises(ModelFileError, match=r"was saved with code of its own for .*'heads'"):
        load(tmp_path / "m")
    with pytest.raises(ModelFileError, match="does not hold the DANN that its header describes"):
        load(tmp_path / "m", heads=heads, backbone=Spectral)


# -------------------------------------------------------------------- parameters of the next fit

NEXT = {
    "DANN": {"width": 24, "backbone": "conv", "domain_norm": "separate"},
    "DANNRegressor": {"width": 24, "backbone": "conv", "domain_norm": "separate"},
    "TripleGAN": {"width": 24, "latent_dim": 5, "generator": "mlp", "classifier": "conv"},
    "VAE": {"width": 24, "latent_dim": 7, "data_range": (0, 1), "encoder": "conv"},
    "BiGAN": {"width": 24, "latent_dim": 7, "ema": 0.5},
    "VAEGAN": {"width": 24, "latent_dim": 7, "discriminator": "mlp"},
    "InfoGAN": {"width": 24, "categorical": (5, 2), "continuous": 3, "latent_dim": 9},
    "SpeechAutoencoder": {"phonetic_dim": 9, "speaker_dim": 5, "sample_rate": 16000, "n_mels": 40},
}


@every_model
def test_a_parameter_set_for_the_next_fit_changes_nothing_now(name, tmp_path):
    model, data = plain(name), MODELS[name][1][0]
    wanted, before = model.transform(data), model.get_params()
    model.set_params(**NEXT[name], device="cuda:77")
    np.testing.assert_array_equal(model.transform(data), wanted)
    model.save(tmp_path / "m")
    opened, unpickled = load(tmp_path / "m"), pickle.loads(pickle.dumps(model))
    for kept in (opened, unpickled, copy.deepcopy(model)):
        np.testing.assert_array_equal(kept.transform(data), wanted)
    # A pickle remembers both, a file the parameters of the fit.
    for key, value in NEXT[name].items():
        assert unpickled.get_params()[key] == value
        assert opened.get_params()[key] == before[key]


def test_wrong_parameters_set_after_the_fit_change_nothing():
    model = plain("VAE").set_params(latent_dim=-3)
    wanted = plain("VAE").transform(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(X), wanted)
    with pytest.raises(ValueError, match="latent_dim"):
        model.fit(X)
    np.testing.assert_array_equal(model.transform(X), wanted)


@every_model
def test_a_fit_on_a_device_that_is_not_here(name, tmp_path):
    """As it comes from a machine that has it."""
    model, data = plain(name), MODELS[name][1][0]
    wanted = model.transform(data)
    model.device = model.fitted_params_["device"] = "cuda:77"
    model.save(tmp_path / "m")
    for kept in (load(tmp_path / "m"), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(kept.transform(data), wanted)
        assert kept.device_.type == "cpu"


# -------------------------------------------------------------------- weights in use


class Falling:
    """A scorer by which the first epoch is the best."""

    calls = 0

    def __call__(self, model, X, y, sample_domain):
        self.calls += 1
        return -float(self.calls)


@pytest.fixture(scope="module")
def selected():
    """Trained past the epoch that it selects: two weights."""
    return fit("DANN", max_epochs=3, select=Falling())


def test_use(selected, tmp_path):
    assert (selected.selected_epoch_, selected.used_weights_) == (1, "selected")
    first = selected.predict_proba(X)
    last = copy.deepcopy(selected).use("last").predict_proba(X)
    assert abs(first - last).max() > 1e-5
    for which, wanted in (("last", last), ("selected", first)):
        model = copy.deepcopy(selected)
        held = copy.deepcopy(model.weights_)
        assert model.use(which) is model
        np.testing.assert_array_equal(model.predict_proba(X), wanted)
        assert not any(network.training for network in model.networks_.values())
        for how, kept in copies_of(model, tmp_path):
            assert set(kept.weights_) == {"last", "selected"}
            if "file" not in how:  # which has the selected ones in use
                assert kept.used_weights_ == which
                np.testing.assert_array_equal(kept.predict_proba(X), wanted)
            np.testing.assert_array_equal(kept.use("last").predict_proba(X), last)
            np.testing.assert_array_equal(kept.use("selected").predict_proba(X), first)
        for epoch, networks in held.items():
            for name, state in networks.items():
                for key, value in state.items():
                    assert torch.equal(model.weights_[epoch][name][key], value)


@pytest.mark.parametrize(
    ("ours", "code", "times"),
    [
        ({}, {}, 1),
        ({"backbone": recipes.dropout_mlp, "heads": Heads(label=nets.Cosine)}, {}, 1),
        ({}, {"backbone": Drawn}, 2),
        ({}, {"heads": Heads(label=Drawn)}, 2),
    ],
    ids=["by default", "ours by name", "a backbone", "a head"],
)
def test_our_networks_are_made_once_and_without_numbers(ours, code, times, tmp_path, monkeypatch):
    """Others are made again, from the seed."""
    model = fit("DANN", max_epochs=3, select=Falling(), **ours, **code)
    model.save(tmp_path / "m")
    made, networks = [], DANN._networks

    def counted(self):
        made.append(networks(self))
        return made[-1]

    monkeypatch.setattr(DANN, "_networks", counted)
    found = load(tmp_path / "m", **code)
    assert len(made) == times * len(found.weights_) == 2 * times
    assert found.used_weights_ == "selected"
    np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))
    made.clear()
    back = pickle.loads(pickle.dumps(model))
    assert len(made) == 1
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))


IMAGES = X[:, :, None].repeat(36, 2).reshape(N, 1, 12, 12)
OPTIONS = {
    "digits": (DANN(recipes.digit_net, **COMMON), (IMAGES, Y, DOMAIN)),
    "dropout": (DANN(recipes.dropout_mlp, **COMMON), (X, Y, DOMAIN)),
    "cosines": (DANN(heads=Heads(label=nets.Cosine), **COMMON), (X, Y, DOMAIN)),
    "separate": (DANN("conv", domain_norm="separate", **COMMON), (IMAGES, Y, DOMAIN)),
    "VAEGAN": (VAEGAN(2, **COMMON), (IMAGES,)),
    "TripleGAN": (TripleGAN(2, **COMMON), (IMAGES, Y)),
    "InfoGAN": (InfoGAN((3,), 1, 2, **COMMON), (IMAGES,)),
    "BiGAN": (BiGAN(2, **COMMON), (IMAGES,)),
    **{
        encoder: (
            SpeechAutoencoder(4, 4, encoder=encoder, sample_rate=8000, n_mels=20, **COMMON),
            (SPEECH.data, SPEECH.speaker),
        )
        for encoder in ("gru", "transformer")
    },
}


@pytest.mark.parametrize("name", OPTIONS)
def test_networks_of_ours(name, tmp_path):
    model, given = OPTIONS[name]
    assert_kept(clone(model).fit(*given), tmp_path, given[0])


def test_uses_that_there_are_not(selected):
    with pytest.raises(
        ValueError, match=r"which must be one of \['last', 'selected'\], not 'best'"
    ):
        selected.use("best")
    with pytest.raises(ValueError, match=r"which must be one of \['last'\], not 'selected'"):
        plain("VAE").use("selected")
    with pytest.raises(NotFittedError):
        VAE(2).use("last")


# -------------------------------------------------------------------- files and sizes


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    model = plain("VAE")
    with pytest.raises(OSError):
        model.save(tmp_path / "none" / "m")
    with pytest.raises(NotFittedError):
        VAE(2).save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
    model.save(tmp_path / "m")
    model.save(tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_file_is_about_as_large_as_the_weights(tmp_path):
    model = fit("VAE", width=256)
    states = [network.state_dict() for network in model.networks_.values()]
    weights = sum(value.nbytes for state in states for value in state.values())
    model.save(tmp_path / "m")
    assert weights < (tmp_path / "m").stat().st_size < weights + 20_000
    assert weights < len(pickle.dumps(model)) < weights + 40_000


def test_keeping_leaves_the_callers_generators_alone(tmp_path):
    torch.manual_seed(3)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    assert len(list(copies_of(plain("TripleGAN"), tmp_path))) == 6
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)


def test_a_copy_is_another_model():
    model = plain("VAE")
    wanted = model.transform(X)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        with torch.no_grad():
            for network in other.networks_.values():
                for value in network.parameters():
                    value.zero_()
        np.testing.assert_array_equal(model.transform(X), wanted)
