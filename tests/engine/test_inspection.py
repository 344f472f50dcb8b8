"""Whose code networks and callables are, and what of them changes between epochs."""

import copy
import math
import random
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as of_torch
from torch.nn.utils import parametrizations

from repkit.augment import RandomAffine
from repkit.engine.inspection import foreign, settings_of
from repkit.losses import kl_from_standard


def stranger(x, *_):
    return x


class Own(nn.Linear):
    """Of somebody's own code."""


class Holder(nn.Module):
    def __init__(self, held):
        super().__init__()
        self.held = held

    def method(self, x):
        return x


Holder.__module__ = Holder.method.__module__ = "repkit.tests"


def hooked(name):
    layer = nn.Linear(2, 2)
    getattr(layer, name)(stranger)
    return layer


def forward_of_its_own():
    layer = nn.Linear(2, 2)
    layer.forward = stranger
    return layer


def on_a_gradient():
    layer = nn.Linear(2, 2)
    layer.weight.register_hook(stranger)
    return layer


STRANGE = {
    "a layer": lambda: nn.Sequential(nn.ReLU(), Own(2, 2)),
    "a function": lambda: stranger,
    "a part of one": lambda: partial(stranger, 1),
    "what a known one is given": lambda: partial(F.relu, inplace=stranger),
    "of the standard library": lambda: random.choice,
    "built in": lambda: math.floor,
    "an attribute": lambda: Holder(stranger),
    "in a list": lambda: Holder([F.relu, [stranger]]),
    "in a dict": lambda: Holder({"a": stranger}),
    "a class": lambda: Holder(Own),
    "an activation": lambda: nn.TransformerEncoderLayer(4, 2, 8, activation=stranger),
    "under a parametrization": lambda: parametrizations.weight_norm(Own(2, 2)),
    "a forward of its own": forward_of_its_own,
    "a hook on a gradient": on_a_gradient,
    "compiled": lambda: torch.compile(nn.Linear(2, 2), backend="eager"),
    **{
        name: partial(hooked, name)
        for name in (
            "register_forward_hook",
            "register_forward_pre_hook",
            "register_full_backward_hook",
            "register_full_backward_pre_hook",
        )
    },
}


@pytest.mark.parametrize("name", STRANGE)
def test_code_of_somebody(name, monkeypatch):
    monkeypatch.delenv("REPKIT_GRAPHS", raising=False)
    part = STRANGE[name]()
    assert foreign([nn.ReLU(), part])
    assert foreign([Holder(part)])
    monkeypatch.setenv("REPKIT_GRAPHS", "1")
    assert foreign([part]) is None


@pytest.mark.parametrize(
    "part",
    [
        nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.LSTM(2, 2)),
        RandomAffine(),
        kl_from_standard,
        F.gelu,
        torch.tanh,
        torch.Tensor.relu,
        partial(F.leaky_relu, negative_slope=0.1),
        Holder([F.relu, nn.Linear, partial(nn.Linear, 2), {"a": (1, "b", None)}]),
        Holder(None).method,
        parametrizations.spectral_norm(nn.Linear(3, 3)),
        nn.utils.spectral_norm(nn.Linear(3, 3)),
        nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 1),
    ],
    ids=lambda x: type(x).__name__,
)
def test_code_that_is_known(part, monkeypatch):
    monkeypatch.delenv("REPKIT_GRAPHS", raising=False)
    assert foreign([part]) is None


def test_a_module_that_was_compiled_in_place(monkeypatch):
    monkeypatch.delenv("REPKIT_GRAPHS", raising=False)
    layer = nn.Linear(2, 2)
    layer.compile(backend="eager")
    assert foreign([nn.Sequential(layer)]) == "what torch.compile made of Linear"


def test_hooks_on_all_modules(monkeypatch):
    monkeypatch.delenv("REPKIT_GRAPHS", raising=False)
    before = settings_of([])
    handle = of_torch.register_module_forward_hook(stranger)
    try:
        assert foreign([]).endswith("stranger")
        assert settings_of([]) != before
    finally:
        handle.remove()
    assert foreign([]) is None
    assert settings_of([]) == before


def net():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Tanh(), nn.Flatten()
    )


def set_buffer(m):
    m[1].running_mean = torch.ones(2)


CHANGES = {
    "a number": lambda m: setattr(m[2], "p", 0.1),
    "of another type": lambda m: setattr(m[2], "p", np.float32(0.25)),
    "a tuple": lambda m: setattr(m[0], "dilation", (2, 2)),
    "a layer": lambda m: m.__setitem__(3, nn.Sigmoid()),
    "one more": lambda m: m.append(nn.ReLU()),
    "a class": lambda m: setattr(m[3], "__class__", nn.Sigmoid),
    "a buffer": set_buffer,
    "a parameter": lambda m: setattr(m[0], "bias", nn.Parameter(torch.ones(2))),
    "a frozen one": lambda m: m[0].weight.requires_grad_(False),
    "a hook": lambda m: m[3].register_forward_hook(stranger),
    "a hook on a gradient": lambda m: m[0].weight.register_hook(stranger),
    "a parametrization": lambda m: parametrizations.weight_norm(m[0]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes(name):
    network = net()
    before = settings_of([network])
    network(torch.randn(4, 1, 5, 5)).sum().backward()
    with torch.no_grad():
        network[0].weight.mul_(2.0)
    assert settings_of([network]) == before
    CHANGES[name](network)
    assert settings_of([network]) != before


def test_settings_of_a_callable():
    class Louder:
        def __init__(self):
            self.by = 2.0

    louder = Louder()
    before = settings_of([louder, stranger])
    assert settings_of([copy.copy(louder), stranger]) == before
    louder.by = 3.0
    assert settings_of([louder, stranger]) != before
