"""Makers of networks in a model file: repkit's own by name, and nothing else."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from repkit import DANN, TripleGAN, load, nets, recipes
from repkit.augment import RandomAffine
from repkit.base.named_code import is_name, name_of, named
from repkit.recipes.speech import _Given

FEW = {"max_epochs": 1, "steps_per_epoch": 1, "device": "cpu", "random_state": 0}
X = np.random.default_rng(0).random((12, 1, 16, 16)).astype(np.float32)


@pytest.mark.parametrize(
    "maker",
    [recipes.digit_net, nets.conv, nets.Cosine, partial(recipes.digit_net, width=4)],
    ids=["of a recipe", "of nets", "a class", "with an argument"],
)
def test_a_name_leads_back(maker):
    entry = name_of(maker)
    assert is_name(entry)
    back = named(entry)
    if isinstance(maker, partial):
        assert (back.func, back.keywords) == (maker.func, maker.keywords)
    else:
        assert back is maker


def mine(shape_in, dim_out):
    return nn.Linear(shape_in[0], dim_out)


def conv(shape_in, dim_out):
    """Another one of that name, which says that it is of the package."""


conv.__module__ = "repkit.nets.trunks"


@pytest.mark.parametrize(
    "value",
    [
        mine,
        conv,
        lambda shape_in, dim_out: mine(shape_in, dim_out),
        RandomAffine(),
        _Given,
        nn.Linear,
        partial(nets.conv, 4),
        partial(nets.conv, width=mine),
        partial(mine, dim_out=3),
        nn.Linear(2, 2),
    ],
)
def test_other_code_has_no_name(value):
    assert name_of(value) is None


@pytest.mark.parametrize(
    ("maker", "arguments"),
    [
        ("os.system", {}),
        ("nets.nn", {}),
        ("nets._optional", {}),
        ("nets.trunks.conv", {}),
        ("engine.train", {}),
        ("recipes", {}),
        (".conv", {}),
        (3, {}),
        ("nets.conv", {"width": 10**9}),
        ("nets.conv", {"width": [[10**9]]}),
        ("nets.conv", {"width": {"a": 1}}),
        ("nets.conv", [4]),
    ],
)
def test_no_other_name_leads_anywhere(maker, arguments):
    with pytest.raises(ValueError, match="maker of networks"):
        named({"maker": maker, "arguments": arguments})


def test_a_model_is_read_back_with_its_networks(tmp_path):
    y, domain = np.arange(12) % 3, np.repeat([1, -1], 6)
    model = DANN(recipes.digit_net, heads=nets.Cosine, width=8, **FEW).fit(X, y, domain)
    model.save(tmp_path / "m.pt")
    back = load(tmp_path / "m.pt")
    assert back.backbone is recipes.digit_net
    assert back.heads is nets.Cosine
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))
    # A convolution of one channel has strides of its own, by which some processors take a kernel.
    for name, network in model.networks_.items():
        own, read = network.state_dict(), back.networks_[name].state_dict()
        assert {k: t.stride() for k, t in read.items()} == {k: t.stride() for k, t in own.items()}
    # As files of earlier versions were read.
    again = load(tmp_path / "m.pt", backbone=recipes.digit_net)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_bound_arguments_are_read_back(tmp_path):
    torch.manual_seed(0)
    model = TripleGAN(classifier=partial(nets.conv, width=4), width=8, **FEW)
    model.fit(X, np.arange(12) % 2).save(tmp_path / "m.pt")
    back = load(tmp_path / "m.pt")
    assert back.classifier.keywords == {"width": 4}
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))
