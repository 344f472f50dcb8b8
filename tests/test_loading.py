"""`load`: what a model file gives back, and what is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import repkit
from repkit import DANN, Consistency, Discriminator, Optimizer
from repkit.base import model_file
from repkit.base.model_file import ModelFileError, encode
from repkit.dann import Entropy, Updates


def forge(path, text, weights):
    """A whole safetensors file with any text as the header, and a digest that is right."""
    own = {k: v.contiguous() for k, v in weights.items()}
    save_file(own, path, metadata={"repkit": model_file.sealed(text, own)})


pytestmark = pytest.mark.filterwarnings("ignore:domain_norm='separate' changes nothing")


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    y = np.array(["no", "yes"])[rng.integers(0, 2, 40)]
    X = rng.normal(size=(40, 4)) + 2 * (y == "yes")[:, None]
    return X, y, np.repeat([0, -1], 20)


def fit(problem, **options):
    X, y, sample_domain = problem
    options = {"max_epochs": 2, "device": "cpu", "random_state": 0} | options
    return DANN(**options).fit(X, y, sample_domain=sample_domain)


@pytest.fixture(scope="module")
def model(problem):
    return fit(problem, width=8, select="infomax", ema=0.9, domain_norm="separate")


@pytest.fixture
def saved(model, tmp_path):
    model.save(tmp_path / "model")
    return tmp_path / "model"


def change(path, edit):
    """Write the model file again, after ``edit(header, tensors)``."""
    header, weights = model_file.load(path)
    edit(header, weights)
    forge(path, json.dumps(header, default=encode), weights)


@pytest.mark.parametrize(
    "options",
    [
        {"width": 8},
        {"select": "infomax", "ema": 0.9, "updates": "alternating"},
        {"conditional": "entropy", "lam": 0.3},
    ],
)
def test_a_model_comes_back_whole(problem, tmp_path, options):
    model = fit(problem, **options)
    model.save(tmp_path / "m")
    again = repkit.load(tmp_path / "m")
    X = problem[0]
    for method in ("predict", "predict_proba", "transform", "predict_domain"):
        assert np.array_equal(getattr(again, method)(X), getattr(model, method)(X))
    assert again.get_params() == model.get_params()
    assert again.classes_.tolist() == ["no", "yes"]
    assert again.input_shape_ == (4,)
    assert again.n_features_in_ == 4
    assert again.history_.equals(model.history_)
    torch.testing.assert_close(again.weights_, model.weights_, rtol=0, atol=0)
    again.save(tmp_path / "n")
    assert (tmp_path / "n").read_bytes() == (tmp_path / "m").read_bytes()


PARTS = {
    "updates": Updates("alternating", d_steps=3),
    "entropy": Entropy(0.2, smoothness=0.1),
    "consistency": Consistency(0.5, threshold=0.8, start=0.1),
    "optimizer": Optimizer("sgd", momentum=0.5),
    "learning_rate": {"F": 1e-3, "D": 1e-2},
    "ema": 0.9,
}


def test_parts_come_back(problem, tmp_path):
    model = fit(problem, **PARTS)
    model.save(tmp_path / "m")
    assert model_file.load(tmp_path / "m")[0]["code"] == []
    again = repkit.load(tmp_path / "m")
    assert repr(again) == repr(model)
    for name in ("updates", "entropy", "consistency", "optimizer"):
        assert type(getattr(again, name)) is type(PARTS[name])
        assert getattr(again, name).get_params() == PARTS[name].get_params()
    assert again.learning_rate == PARTS["learning_rate"]
    assert np.array_equal(again.predict_proba(problem[0]), model.predict_proba(problem[0]))
    again.save(tmp_path / "n")
    assert (tmp_path / "n").read_bytes() == (tmp_path / "m").read_bytes()


class Pairs(nn.Module):
    def __init__(self, shape_in, latent_dim):
        super().__init__()
        self.net = nn.Linear(*shape_in, 1)

    def forward(self, x, z):
        return self.net(x) + z.sum(1, keepdim=True)


@pytest.mark.filterwarnings("ignore:the encoder is not linked")
def test_a_part_with_a_network_of_the_users_own(problem, tmp_path):
    """It is code as a whole: the file does not hold half of a part."""
    options = {"latent_dim": 2, "width": 8, "max_epochs": 1, "random_state": 0, "device": "cpu"}
    model = repkit.BiGAN(discriminator=Discriminator(Pairs, r1=0.1), **options).fit(problem[0])
    model.save(tmp_path / "m")
    assert model_file.load(tmp_path / "m")[0]["code"] == ["discriminator"]
    with pytest.raises(ModelFileError, match=r"code of its own for \['discriminator'\]"):
        repkit.load(tmp_path / "m")
    again = repkit.load(tmp_path / "m", discriminator=Pairs)
    assert np.array_equal(again.transform(problem[0]), model.transform(problem[0]))


def test_an_optimizer_of_the_users_own_is_not_needed_to_predict(problem, tmp_path):
    model = fit(problem, optimizer=torch.optim.RAdam)
    model.save(tmp_path / "m")
    assert model_file.load(tmp_path / "m")[0]["code"] == ["optimizer"]
    again = repkit.load(tmp_path / "m")
    assert again.optimizer == "adam"
    assert np.array_equal(again.predict_proba(problem[0]), model.predict_proba(problem[0]))


def network(shape_in, dim_out):
    return nn.Linear(*shape_in, dim_out)


def double(progress):
    return 2 * progress


def test_parameters_that_are_code(problem, tmp_path):
    model = fit(problem, backbone=network, lam=double)
    model.save(tmp_path / "m")
    header, _ = model_file.load(tmp_path / "m")
    assert header["code"] == ["backbone", "lam"]
    assert not {"backbone", "lam"} & header["params"].keys()
    with pytest.raises(
        ModelFileError, match=r"code of its own for \['backbone'\].*backbone=\.\.\."
    ):
        repkit.load(tmp_path / "m")
    again = repkit.load(tmp_path / "m", backbone=network)
    assert again.lam == "ramp"  # only matters for another fit
    assert np.array_equal(again.predict_proba(problem[0]), model.predict_proba(problem[0]))
    assert repkit.load(tmp_path / "m", backbone=network, lam=double).lam is double
    with pytest.raises(TypeError, match="DANN has no parameter 'bakbone'"):
        repkit.load(tmp_path / "m", backbone=network, bakbone=network)
    with pytest.raises(TypeError, match=r"width is held by .*m' itself; call set_params\(width="):
        repkit.load(tmp_path / "m", backbone=network, width=7)
    with pytest.raises(ModelFileError, match="does not hold the DANN"):
        repkit.load(tmp_path / "m", backbone=lambda s, d: nn.Linear(*s, d + 1))


def drop(name):
    return lambda header, weights: weights.pop(name)


def put(name, tensor):
    return lambda header, weights: weights.update({name: tensor})


def header_of(**values):
    return lambda header, weights: header.update(values)


def param(**values):
    return lambda header, weights: header["params"].update(values)


def part(name, **values):
    return {"part": name, "params": values}


def fitted(**values):
    return lambda header, weights: header["fitted"].update(values)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (header_of(**{"class": "Popen"}), "holds a 'Popen'; this version of repkit knows"),
        (header_of(**{"class": None}), "its header must hold a str in"),
        (param(shell=True), r"has parameters that DANN does not: \['shell'\]"),
        (lambda h, w: h.pop("params"), "incomplete repkit header"),
        (lambda h, w: h.pop("fitted"), "incomplete repkit header"),
        (fitted(__class__=1), r"unknown fitted attributes \['__class__'\]"),
        (fitted(predict=1), r"unknown fitted attributes \['predict'\]"),
        (lambda h, w: h["fitted"].pop("classes_"), "does not hold the DANN"),
        (fitted(classes_=5), "does not hold the DANN"),
        (fitted(input_shape_=5), "does not hold the DANN"),
        (fitted(input_shape_=[3]), "does not hold the DANN"),
        (param(width=9), "does not hold the DANN"),
        (param(width=-1), "does not hold the DANN"),
        (param(width="8"), "does not hold the DANN"),
        (param(width=10**30), "does not hold the DANN"),
        (param(backbone="resnet"), "does not hold the DANN"),
        (param(updates=part("Updates", order="both")), "does not hold the DANN"),
        (param(updates=part("Updates", rounds=2)), "has parameters that DANN does not"),
        (param(updates=part("Popen", order="joint")), "has parameters that DANN does not"),
        (param(updates=part("Optimizer", kind="sgd")), "has parameters that DANN does not"),
        (param(width=part("Updates", order="joint")), "has parameters that DANN does not"),
        (param(updates={"part": "Updates", "params": 5}), "has parameters that DANN does not"),
        (param(updates={"part": ["Updates"], "params": {}}), "has parameters that DANN does not"),
        (param(updates={"part": "Updates", "params": {"1": 2}}), "parameters that DANN does not"),
        (param(backbone=5), "does not hold the DANN"),
        (drop("last/F/0.0.weight"), "does not hold the DANN"),
        (drop("last/C/bias"), "does not hold the DANN"),
        (
            lambda h, w: [w.pop(k) for k in list(w) if k.startswith("last/C")],
            "does not hold the DANN",
        ),
        (lambda h, w: w.clear(), "does not hold the DANN"),
        (put("last/C/bias", torch.zeros(7)), "does not hold the DANN"),
        (put("last/C/extra", torch.zeros(7)), "does not hold the DANN"),
        (put("strange", torch.zeros(7)), "does not hold the DANN"),
        (put("last/F/0.0.weight", torch.zeros(4, 8)), "does not hold the DANN"),
        (put("last/F/0.0.weight", torch.zeros(8, 4, dtype=torch.int64)), "does not hold the DANN"),
    ],
)
def test_models_that_are_refused(saved, edit, words):
    change(saved, edit)
    with pytest.raises(ModelFileError, match=words):
        repkit.load(saved)


@pytest.mark.parametrize(
    "edit",
    [
        put("selected/C/bias", torch.zeros(7)),
        drop("selected/C/bias"),
        header_of(fitted=5),
        header_of(params=["lam"]),
        header_of(history=5),
        header_of(**{"class": ["DANN"]}),
    ],
)
def test_models_that_should_be_refused_clearly(saved, edit):
    change(saved, edit)
    with pytest.raises(ModelFileError):
        repkit.load(saved)


class Largest(TorchDispatchMode):
    """Notes the most elements of a tensor that took memory."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else [out]:
            if isinstance(value, torch.Tensor) and value.device.type != "meta":
                self.elements = max(self.elements, value.numel())
        return out


@pytest.mark.parametrize(
    "edit",
    [
        param(width=10**6),
        param(width=10**12),
        fitted(input_shape_=[10**6]),
        fitted(input_shape_=[10**5, 10**5]),
        param(backbone="conv", width=10**6),
    ],
)
def test_sizes_in_the_header_take_no_memory(saved, edit):
    change(saved, edit)
    with Largest() as watch, pytest.raises(ModelFileError, match="does not hold the DANN"):
        repkit.load(saved)
    assert watch.elements < 10**5


def test_the_watch_sees_memory():
    with Largest() as watch:
        nn.Linear(1000, 100)
    assert watch.elements == 10**5


def test_every_truncation_of_a_model(saved):
    whole = saved.read_bytes()
    for kept in np.linspace(0, len(whole) - 1, 25).astype(int):
        saved.write_bytes(whole[:kept])
        with pytest.raises(ModelFileError):
            repkit.load(saved)


# -------------------------------------------------------------------- devices


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "auto"])
def test_the_device_it_is_opened_on(model, saved, problem, device):
    again = repkit.load(saved, device=device)
    wanted = repkit.base.rules.device_rule("device", device)
    assert again.device_ == again._where() == wanted
    assert again.device == model.device  # the parameter is that of the fit
    np.testing.assert_allclose(again.predict_proba(problem[0]), model.predict_proba(problem[0]))


@pytest.mark.parametrize("device", ["junk", "cuda:77", 1.5, None])
def test_a_device_that_there_is_not(saved, device):
    with pytest.raises(ValueError, match="device must be 'auto', 'cpu' or another torch device"):
        repkit.load(saved, device=device)


def test_a_model_moves_to_another_device_as_a_whole(saved):
    """On a device that is always there, and computes nothing."""
    model = repkit.load(saved)
    model._move(torch.device("meta"))
    assert model.device_ == torch.device("meta")
    assert set(model.weights_) == {"last", "selected"}
    for states in model.weights_.values():
        assert all(v.is_meta for state in states.values() for v in state.values())
    for name, network in model.networks_.items():
        for key, value in network.state_dict().items():
            assert value is model.weights_["selected"][name][key] or value.is_meta


class Shifted(nn.Linear):
    """With a constant that no state dict holds."""

    def __init__(self, shape_in, dim_out):
        super().__init__(*shape_in, dim_out)
        self.register_buffer("offset", torch.full((dim_out,), 0.5), persistent=False)


def test_what_no_file_holds_moves_too(problem, tmp_path):
    fit(problem, backbone=Shifted).save(tmp_path / "m")
    model = repkit.load(tmp_path / "m", backbone=Shifted)
    model._move(torch.device("meta"))
    for network in model.networks_.values():
        assert all(value.is_meta for value in [*network.buffers(), *network.parameters()])


def test_a_model_of_named_columns_loads_without_a_warning(problem, tmp_path):
    """Warnings are errors here; scikit-learn gives one for columns whose names are gone."""
    import pandas as pd

    X, y, sample_domain = problem
    frame = pd.DataFrame(X, columns=list("abcd"))
    fitted = fit((frame, y, sample_domain), width=8)
    fitted.save(tmp_path / "model")
    again = repkit.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(frame), fitted.predict(frame))
    change(tmp_path / "model", lambda h, _: h["fitted"].update(feature_names_in_=np.array(["a"])))
    with pytest.raises(ModelFileError):
        repkit.load(tmp_path / "model")
