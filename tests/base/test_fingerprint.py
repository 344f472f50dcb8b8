"""The same run has the same fingerprint, another one has another."""

import functools
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from repkit import Consistency
from repkit.base.fingerprint import fingerprint

SCALE = 2.0


def of(thing):
    run, reason = fingerprint(thing)
    assert reason is None
    assert len(run) == 32
    int(run, 16)
    return run


def net(seed=0, layer=nn.ReLU):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 2), layer())


def makes(factor, offset=0):
    return lambda x: factor * x + offset


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * x

    def method(self, x):
        return self.factor * x


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


def plus(x, y=1):
    return x + y


def global_scale(x):
    return SCALE * x


EQUAL = {
    "numbers": lambda: (1, 2.5, "x", None, True, b"y"),
    "array": lambda: np.arange(5.0),
    "tensor": lambda: torch.arange(5.0, dtype=torch.bfloat16),
    "sparse": lambda: sparse.csr_array(np.eye(3)),
    "module": net,
    "part": lambda: Consistency(0.5, start=0.1),
    "dict": lambda: {"a": [1, 2], "b": {3, 4}},
    "lambda": lambda: makes(2),
    "partial": lambda: functools.partial(plus, y=2),
    "object": lambda: Scaled(2),
    "method": lambda: Scaled(2).method,
    "slots": lambda: Slotted(2),
    "builtin": lambda: len,
    "ufunc": lambda: np.tanh,
    "class": lambda: nn.Linear,
}


@pytest.mark.parametrize("make", EQUAL.values(), ids=EQUAL)
def test_equal_things(make):
    assert of(make()) == of(make())


DIFFERENT = {
    "numbers": (1, 2),
    "types": (1, 1.5),
    "array": (np.arange(5.0), np.arange(1, 6.0)),
    "array types": (np.arange(5), np.arange(5.0)),
    "tensor": (torch.zeros(2), torch.ones(2)),
    "tensor types": (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
    "weights": (net(0), net(1)),
    "layers": (net(layer=nn.ReLU), net(layer=nn.Tanh)),
    "part": (Consistency(0.5), Consistency(0.5, threshold=0.5)),
    "closures": (makes(2), makes(3)),
    "code": (lambda x: x + 1, lambda x: x + 2),
    "defaults": (lambda x, y=1: x, lambda x, y=2: x),
    "partials": (functools.partial(plus, y=2), functools.partial(plus, y=3)),
    "objects": (Scaled(2), Scaled(3)),
    "methods": (Scaled(2).method, Scaled(3).method),
    "slots": (Slotted(2), Slotted(3)),
    "builtins": (len, sum),
    "classes": (nn.Linear, nn.Bilinear),
    "order": ([1, 2], [2, 1]),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_different_things(one, other):
    assert of(one) != of(other)


def test_a_global_that_is_data_counts(monkeypatch):
    before = of(global_scale)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert of(global_scale) != before


def test_the_forward_of_a_module_counts():
    def other(self, x):
        return -x

    changed = net()
    before = of(changed)
    cls = type("Linear", (nn.Linear,), {"forward": other, "__module__": nn.Linear.__module__})
    changed[0].__class__ = cls
    assert of(changed) != before


def test_several_things_are_one_run():
    assert fingerprint("A", [1])[0] == fingerprint("A", [1])[0] != fingerprint("A", [2])[0]


def test_another_process_finds_the_same():
    code = """
import numpy as np
from repkit import Consistency
from repkit.base.fingerprint import fingerprint
def plus(x, y=1):
    return x + y
print(fingerprint({"a": np.arange(3), "f": plus, "p": Consistency(0.5), "s": {"x", "y"}})[0])
"""
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    }
    assert len(runs) == 1


@pytest.mark.parametrize("thing", [object(), [object()], {"a": iter([1])}])
def test_what_cannot_be_compared_is_never_the_same(thing):
    first, reason = fingerprint(thing)
    second, _ = fingerprint(thing)
    assert first != second
    assert reason.startswith("an object of builtins.")
    deep = [1]
    for _ in range(20):
        deep = [deep]
    assert "nested too deeply" in fingerprint(deep)[1]
