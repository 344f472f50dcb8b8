"""From fitted attributes to a header and back; weights into networks."""

import copy
import json

import pytest
import torch
from torch import nn

from repkit.base import saving
from repkit.base.model_file import load
from repkit.base.parameters import Part, anything, integer, network, part
from repkit.base.parameters import parameters as make_parameters

pytestmark = pytest.mark.usefixtures("seeded")


@make_parameters
class Head(Part):
    net: object = network(default="auto", kw_only=False)
    depth: int = integer(default=1)


@make_parameters
class Model:
    head: object = part(Head, default="auto")
    backbone: object = network(default="mlp")
    callbacks: object = anything(default=None)
    sizes: object = anything(default=(1, 2))


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


# -------------------------------------------------------------------- headers


def test_parameters_that_are_code_are_named_and_not_written(tmp_path):
    params = {
        "head": Head(nn.Linear, depth=2),
        "backbone": len,
        "callbacks": [print],
        "sizes": (3, 4),
    }
    weights = {"last": {"F": net().state_dict()}, "selected": {"F": net().state_dict()}}
    saving.write(tmp_path / "m", "Model", params, {"n_iter_": 3}, [{"epoch": 1}], weights)
    header, tensors = load(tmp_path / "m")
    assert header["code"] == ["head", "backbone", "callbacks"]
    assert header["params"] == {"sizes": [3, 4]}
    assert (header["class"], header["fitted"], header["history"]) == (
        "Model",
        {"n_iter_": 3},
        [{"epoch": 1}],
    )
    assert_same(saving.read_weights(tensors), weights)


def test_parts_and_tuples_come_back(tmp_path):
    params = {"head": Head("mlp", depth=2), "backbone": "conv", "sizes": (3, 4)}
    saving.write(tmp_path / "m", "Model", params, {}, [], {})
    found = saving.read_parameters(Model, load(tmp_path / "m")[0]["params"])
    assert found["sizes"] == (3, 4)
    assert type(found["head"]) is Head
    assert found["head"].get_params() == {"net": "mlp", "depth": 2}
    assert Model(**found).backbone == "conv"


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"sizes": {"part": "Head", "params": {}}}, ValueError),
        ({"head": {"part": "Model", "params": {}}}, ValueError),
        ({"head": {"part": "Head", "params": [1]}}, ValueError),
        ({"head": {"part": "Head", "params": {"width": 1}}}, TypeError),
    ],
)
def test_a_part_where_it_does_not_belong(params, error):
    with pytest.raises(error):
        saving.read_parameters(Model, json.loads(json.dumps(params)))


def test_networks_are_built_from_these_parameters():
    assert saving.code_parameters(Model) == ("head", "backbone")


# -------------------------------------------------------------------- weights


def test_networks_hold_the_very_tensors():
    state = {"F": {k: v.clone() for k, v in net().state_dict().items()}}
    with torch.device("meta"):
        networks = {"F": net()}
    found = saving.put_weights(networks, state)
    assert found["F"] is networks["F"]
    assert not found["F"].training
    for name, tensor in found["F"].state_dict().items():
        assert tensor.data_ptr() == state["F"][name].data_ptr()
    assert found["F"][0].weight.requires_grad


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("0.bias"), "0.bias is missing, not"),
        (lambda s: s.update(more=torch.zeros(1)), "more is .*, not wanted"),
        (lambda s: s.update({"0.bias": torch.zeros(5)}), r"0.bias is .*5.*, not .*4"),
        (lambda s: s.update({"0.bias": torch.zeros(4).double()}), "0.bias is .*float64.*float32"),
    ],
)
def test_weights_of_another_form_are_refused(change, words):
    given = net()
    before = copy.deepcopy(given.state_dict())
    state = dict(net().state_dict())
    change(state)
    with pytest.raises(ValueError, match=words):
        saving.put_weights({"F": given}, {"F": state})
    assert_same(given.state_dict(), before)
    with pytest.raises(KeyError):
        saving.put_weights({"F": given}, {})


def test_the_fit_before_lends_its_weights():
    """A copy of them, to the networks of the same name."""
    old, new = {"F": net(), "D": net()}, {"F": net(), "C": net()}
    kept = copy.deepcopy(new["C"].state_dict())
    saving.take_weights(new, old)
    assert_same(new["F"].state_dict(), old["F"].state_dict())
    assert new["F"][0].weight.data_ptr() != old["F"][0].weight.data_ptr()
    assert_same(new["C"].state_dict(), kept)
    with pytest.raises(ValueError, match=r"warm_start=True needs data .*: F does"):
        saving.take_weights({"F": nn.Linear(3, 4)}, old)
