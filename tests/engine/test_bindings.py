"""The short way to an operation: it leads there and nowhere else."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from repkit.engine import bindings, replay, reuse, tape
from repkit.engine.bindings import _leads, quickest
from repkit.engine.calls import Call, Name
from repkit.engine.tape import function

from .. import test_accelerator
from ..test_accelerator import cases, fitted

aten = torch.ops.aten
X, Y = Name("x"), Name("y")


@pytest.fixture(autouse=True)
def _nothing_found_yet(monkeypatch):
    monkeypatch.setattr(bindings, "_found", {})


def call(func, *args, **kwargs):
    return Call(func, args, kwargs, [Name("z")], False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (call(aten.mul.Tensor, X, Y), torch.mul),
        (call(aten.mul.Tensor, X, 2.0), torch.mul),
        (call(aten.mul.out, X, Y, out=X), torch.mul),
        (call(aten.sum.dim_IntList, X, [0], True), torch.sum),
        (call(aten.add.Tensor, X, Y, alpha=2), torch.add),
        (call(aten.cat.default, [X, Y], 1), torch.cat),
        (call(aten.view.default, X, [2, -1]), torch.Tensor.view),
        (call(aten.add_.Tensor, X, 1), torch.Tensor.add_),
        (call(aten.gelu.default, X, approximate="tanh"), torch._C._nn.gelu),
    ],
)
def test_what_is_short(given, expected):
    assert quickest(given) is expected


@pytest.mark.parametrize(
    "given",
    [
        call(aten.mul.Scalar, X, 2.0),  # ``torch.mul`` makes a tensor of the number
        call(aten.threshold_backward.default, X, Y, 0),  # not in Python
        call(aten.slice.Tensor, X, 0, 1, 2),
        call(aten.square.default, X),  # ``torch.square`` is what this is made of: pow
        call(aten._to_copy.default, X, dtype=torch.float64),
    ],
)
def test_what_has_no_short_way(given):
    assert quickest(given) is given.func._op


def test_arguments_of_another_type_are_another_case():
    first, second = call(aten.pow.Tensor_Scalar, X, 2), call(aten.pow.Tensor_Tensor, X, Y)
    assert quickest(first) is quickest(second) is torch.pow
    swapped = call(aten.pow.Scalar, 2, X)
    assert quickest(swapped) is torch.pow
    other = call(aten.pow.Tensor_Scalar, X, Y)  # ``torch.pow`` would go to another
    assert quickest(other) is other.func._op


def test_what_is_given_has_to_arrive_as_it_is():
    given = call(aten.add.Tensor, X, Y, alpha=2)
    ways = [
        torch.add,
        lambda x, y, alpha: torch.add(y, x, alpha=alpha),
        lambda x, y, alpha: torch.add(x, y),
        lambda x, y, alpha: torch.add(x, y, alpha=float(alpha)),
        lambda x, y, alpha: torch.mul(x, y),
        lambda x, y, alpha: x,
        lambda x, y: torch.add(x, y, alpha=2),
    ]
    assert [_leads(way, given) for way in ways] == [True] + [False] * 6


def test_nothing_is_done_to_find_it():
    generator = torch.Generator().manual_seed(0)
    before = torch.random.get_rng_state(), generator.get_state()
    quickest(call(aten.uniform_.default, X, 0.25, 0.5))
    quickest(call(aten.normal_.default, X, 0.0, 3.0, generator=generator))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.equal(generator.get_state(), before[1])


def test_in_a_place_for_new_tensors():
    with torch.device("meta"):
        assert quickest(call(aten.maximum.default, X, Y)) is torch.maximum


class Listing(TorchDispatchMode):
    """Lists the operations that are done."""

    def __init__(self):
        super().__init__()
        self.funcs = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.funcs.append(func)
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("case", [*cases()], ids=lambda c: c[0])
def test_the_operations_of_fits_are_those_that_were_recorded(case, monkeypatch):
    done = []

    def watched(calls, given, wanted):
        step = function(calls, given, wanted)

        def once():
            with Listing() as listing:
                found = step()
            expected = [call.func for call in calls]
            expected += [aten.clone.default for name in wanted if name in given]
            done.append(listing.funcs == expected)
            return found

        return once

    name, *what = case
    monkeypatch.setenv("REPKIT_GRAPHS", "1")
    monkeypatch.setattr(tape, "function", watched)
    monkeypatch.setattr(replay, "FEW", 0)
    monkeypatch.setattr(replay, "OFTEN", 1)
    monkeypatch.setattr(reuse, "LEAST", 1)
    monkeypatch.setattr(test_accelerator, "STEPS", 5)
    fitted(*what, "cpu", "fp32")
    assert all(done)
    assert done or name == "DANN entropy"  # SGD is not recorded
