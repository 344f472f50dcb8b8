"""A table of every constructor parameter by every kind of bad value: refused at `fit`, by name."""

import dataclasses
import inspect
import math

import numpy as np
import pytest
import torch
from torch import nn

import repkit
from repkit import (
    DANN,
    VAE,
    VAEGAN,
    BiGAN,
    DANNRegressor,
    InfoGAN,
    SpeechAutoencoder,
    TripleGAN,
)
from repkit.base.parameters import Part
from repkit.datasets import make_speech

from .hostile import Anything, Case, faults, shown

RNG = np.random.default_rng(0)
N = 24
X = RNG.random((N, 6)).astype(np.float32)
Y, DOMAIN = np.arange(N) % 3, np.where(np.arange(N) < N // 2, 1, -1)
SPEECH = make_speech(3, 2, 2, random_state=0)
SMALL = {"width": 12, "max_epochs": 1, "steps_per_epoch": 1, "random_state": 0}
MODELS = {
    "DANN": (DANN, {"backbone": "mlp"}, (X, Y, DOMAIN)),
    "DANNRegressor": (DANNRegressor, {"backbone": "mlp"}, (X, Y / 3, DOMAIN)),
    "VAE": (VAE, {"latent_dim": 2}, (X,)),
    "VAEGAN": (VAEGAN, {"latent_dim": 2}, (X,)),
    "BiGAN": (BiGAN, {"latent_dim": 2}, (X,)),
    "InfoGAN": (InfoGAN, {"categorical": (3,), "continuous": 1, "latent_dim": 2}, (X,)),
    "TripleGAN": (TripleGAN, {"latent_dim": 2, "batch_size": (6, 12)}, (X, Y)),
    "SpeechAutoencoder": (
        SpeechAutoencoder,
        {"phonetic_dim": 4, "speaker_dim": 2, "sample_rate": 8000, "batch_size": (2, 2)},
        (SPEECH.data, SPEECH.speaker),
    ),
}
BAD = [
    Anything(),
    1j,
    "junk",
    -1.5,
    math.nan,
    -math.inf,
    np.array([1.0, 2.0]),
    b"x",
    {1: 2},
    (-1,),
    torch.tensor(math.nan),
]
ALLOWED = {
    "checkpoint": ["'junk'"],
    "class_weight": ["{1: 2}"],
    "divergence__bandwidths": ["array([1., 2.])"],
}
ABSURD = [10**10, 10**30]


def raises(*given, **named):
    raise ZeroDivisionError("division by zero")


def nothing(*given, **named):
    return None


NETWORKS = [raises, nothing, nn.Linear, nn.Linear(3, 3), lambda: None, int]
FUNCTIONS = {
    "augment": [raises, nothing, nn.Linear(3, 3), lambda x: x[:1]],
    "strong_augment": [raises, nothing, lambda x: x.numpy()],
    "optimizer": [raises, nothing, nn.Linear, int],
    "learning_rate_schedule": [raises, nothing, lambda p: math.nan, lambda p: "a"],
    "lam": [raises, nothing, lambda p: math.inf],
    "select": [raises, nothing, lambda *a, **k: "best", lambda X: 1.0],
    "perturb": [raises, nothing, lambda x, length, y: (x[:1], length)],
}


def refused(name, parameter, value, **set_later):
    """Fit with one bad value; a fit that is refused leaves nothing."""
    cls, given, data = MODELS[name]
    model = cls(**{**SMALL, **given, parameter: value} if parameter else {**SMALL, **given})
    model.set_params(**set_later)
    try:
        model.fit(*data)
    finally:
        assert not [k for k in vars(model) if k.endswith("_")], "half fitted"


def case(name, parameter, value):
    label = f"{name}({parameter}={shown(value)})"
    names = (parameter, f"{parameter}__label")  # of DANN's heads, both are given at once
    return Case(label, names, lambda: refused(name, parameter, value))


def parameters_of(name):
    return inspect.signature(MODELS[name][0]).parameters.values()


def of_values(name):
    for p in parameters_of(name):
        whole = type(p.default) is int
        for value in [*BAD, *(ABSURD if whole and p.name != "verbose" else [])]:
            if shown(value) not in ALLOWED.get(p.name, []):
                yield case(name, p.name, value)


def of_functions(name):
    for p in parameters_of(name):
        values = FUNCTIONS.get(p.name, [])
        if p.name in ("backbone", "heads", "encoder", "generator", "discriminator", "classifier"):
            values = NETWORKS
        yield from (case(name, p.name, value) for value in values)


def of_parts(name):
    cls = MODELS[name][0]
    for f in dataclasses.fields(cls):
        kind = f.metadata.get("part")
        for inner in dataclasses.fields(kind)[1:] if kind else []:
            full = f"{f.name}__{inner.name}"
            for value in BAD:
                if shown(value) in ALLOWED.get(full, []):
                    continue
                label = f"{name}({full}={shown(value)})"
                yield Case(
                    label, (full,), lambda v=value, k=full: refused(name, None, None, **{k: v})
                )


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused_first = Case("", ("width",), lambda: refused("VAE", "width", 0))
    faults([refused_first])  # what is imported late is imported now


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_by_every_bad_value(name):
    count, found = faults(of_values(name))
    assert count >= 250
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", MODELS)
def test_functions_and_networks_of_the_user(name):
    count, found = faults(of_functions(name))
    assert count >= 12
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_of_parts(name):
    count, found = faults(of_parts(name))
    assert count >= 20
    assert not found, "\n".join(found)


def test_a_discriminator_of_pairs_is_tried_before_the_training():
    class OneInput(nn.Module):
        def forward(self, x):
            return x

    with pytest.raises(
        ValueError, match=r"discriminator does not take samples of shape \(6,\) and"
    ):
        BiGAN(2, discriminator=OneInput(), **SMALL).fit(X)


def test_every_estimator_and_part_is_in_the_table():
    assert set(MODELS) <= set(repkit.__all__)
    parts = {
        f.metadata["part"]
        for cls, _, _ in MODELS.values()
        for f in dataclasses.fields(cls)
        if "part" in f.metadata
    }
    assert parts == {c for c in all_subclasses(Part) if c.__module__.startswith("repkit.")}


def all_subclasses(cls):
    return {cls_ for sub in cls.__subclasses__() for cls_ in (sub, *all_subclasses(sub))}
