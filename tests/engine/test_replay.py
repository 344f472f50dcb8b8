"""Steps that are recorded and done again: when they may be, and that they are then the same."""

import logging
import re
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import repkit.base.estimator as estimator
from repkit.augment import RandomAffine
from repkit.engine import Engine, replay
from repkit.engine.replay import WARM, Graphs, Sight, foreign, obstacle

from .. import test_accelerator
from ..test_accelerator import Brighter, cases, fitted

# All systems whose batches are of one shape.
FITS = (
    "DANN entropy",
    "DANN all",
    "DANN wasserstein",
    "DANNRegressor",
    "VAE",
    "VAEGAN",
    "BiGAN",
    "InfoGAN",
    "InfoGAN joint",
    "TripleGAN",
    "TripleGAN argmax",
    "Speech",
)


class Tape(TorchDispatchMode):
    """What a CUDA graph does, on the CPU: the same operations on the same memory again."""

    made = []

    def __init__(self):
        super().__init__()
        self.done, self.fresh, self.replays = [], True, 0
        Tape.made.append(self)

    def recording(self):
        return self

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.done.append((func, args, kwargs or {}, out))
        return out

    def replay(self):
        if self.fresh:  # other than a GPU, it has run what it recorded
            self.fresh = False
            return
        self.replays += 1
        with torch.no_grad():
            for func, args, kwargs, out in self.done:
                given = {x.untyped_storage().data_ptr() for x in tensors((args, kwargs))}
                now = func(*args, **kwargs)
                for old, new in zip(tensors(out), tensors(now), strict=True):
                    if old.untyped_storage().data_ptr() not in given:
                        old.copy_(new)


def tensors(tree):
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


@pytest.fixture
def graphs(monkeypatch):
    """All engines of estimators take steps as graphs; gives these."""
    made = []

    class Recorded(Engine):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            made.append(Graphs(Tape))
            self.use_graphs(made[-1])

    def on(warm=1):
        made.clear()
        monkeypatch.setattr(replay, "WARM", warm)
        monkeypatch.setattr(estimator, "Engine", Recorded)
        return made

    Tape.made = []
    return on


@pytest.fixture(scope="module", autouse=True)
def _own_code():
    """The tests' own networks and changes do the same at every step."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in (Brighter,):
            patch.setattr(kind, "__module__", "repkit.tests")
        yield


@pytest.mark.parametrize("case", [c for c in cases() if c[0] in FITS], ids=lambda c: c[0])
def test_a_fit_of_replayed_steps_is_the_fit(case, graphs, monkeypatch):
    name, *what = case
    # A system that is refreshed at every epoch is recorded anew; else a graph outlives it.
    monkeypatch.setattr(test_accelerator, "STEPS", 5 if name in ("DANN all", "Speech") else 3)
    monkeypatch.setattr(test_accelerator, "EPOCHS", 2)
    graphs(warm=1000)
    expected = fitted(*what, "cpu", "fp32")
    assert not Tape.made
    made = graphs()
    found = fitted(*what, "cpu", "fp32")
    if name == "DANN entropy":  # SGD
        assert "the optimizer SGD" in made[0].given_up
    elif name == "Speech":  # batches are of many shapes, unless all utterances are long
        assert made[0].given_up is None or "batches differ in the shape of" in made[0].given_up
    else:
        assert made[0].given_up is None
        assert sum(tape.replays for tape in Tape.made) >= 1  # the first step may be of another kind
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


# -------------------------------------------------------------------- what may be recorded


def seen(act):
    with Sight() as sight:
        act()
    return sight


def twice(act):
    """What is found of two steps."""
    return obstacle(seen(act), seen(act))


def test_steps_that_differ_in_numbers_of_tensors_alone():
    x, rate, out = torch.randn(4, 3), torch.tensor(0.1), torch.zeros(4, 3)

    def act():
        rate.add_(0.1)
        noise = torch.empty(4, 3).normal_()
        out.copy_((x + noise).relu() * rate)

    assert twice(act) is None


def test_what_stands_in_the_way():
    x, count = torch.randn(4, 3), iter(range(100))
    rows = torch.randn(8, 3)

    def look():
        return x.sum().item()

    def mask():
        return x[x > 0]

    def address():
        return rows[2 * (next(count) % 2) :][:2].add(1.0)

    def number():
        return x.mul(0.1 * next(count))

    def shape():
        return torch.zeros(2 + next(count)).add(1.0)

    def more():
        return [x.add(1.0) for _ in range(1 + next(count))]

    assert twice(look) == "the host waits for _local_scalar_dense"
    assert "the host waits for nonzero" in twice(mask)
    assert twice(address) == "slice is given something else at every step"
    assert twice(number) == "mul is given something else at every step"
    assert "is given something else at every step" in twice(shape)
    assert re.fullmatch(r"a step has \d+ operations, the next \d+, or others", twice(more))
    # A mask that is a tensor like any other is no look.
    known = torch.tensor([True, False, True])
    few = torch.tensor([0, 1])
    assert twice(lambda: known[few]) is None


def test_code_that_may_be_recorded():
    assert foreign([nn.Sequential(nn.Linear(2, 2), nn.Dropout()), RandomAffine()]) is None
    assert foreign([nn.Sequential(nn.Linear(2, 2), Strange())]).endswith("Strange")
    assert foreign([seen]).endswith("seen")
    assert foreign([nn.functional.relu]) is None


class Strange(nn.Module):
    pass


def test_a_step_that_cannot_be_recorded_is_taken_as_it_is(caplog):
    class Broken(Tape):
        @contextmanager
        def recording(self):
            yield
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    made, taken = Graphs(Broken, nullcontext), []

    def act():
        taken.append(torch.ones(1))
        return [(0, ("loss",), taken[-1])]

    with caplog.at_level(logging.INFO, "repkit"):
        for _ in range(WARM + 4):
            if made.given_up is None:
                (found,) = made.take((0,), act)
                assert found[2].item() == 1
    assert made.given_up == "operation not permitted when stream is capturing"
    (line,) = caplog.messages
    assert line.startswith("the steps of this training are not a CUDA graph: operation not")


def test_values_of_replays_are_kept_apart():
    made, x = Graphs(Tape), torch.zeros(1)

    def act():
        return [(0, ("loss",), x.add_(1.0).clone())]

    found = [made.take((0,), act)[0][2] for _ in range(WARM + 5)]
    assert [v.item() for v in found] == list(range(1, WARM + 6))
    made.forget()  # after a resume: from the start
    assert made.take((0,), act)[0][2].item() == WARM + 6


def test_batches_come_to_one_place():
    made = Graphs(Tape)
    constant = torch.arange(3)
    batches = [SimpleNamespace(x=torch.full((2,), float(k)), y=constant, n=k) for k in range(3)]
    places = set()
    for k, batch in enumerate(batches):
        made.place(batch)
        assert batch.x.tolist() == [k, k]
        assert batch.y.tolist() == [0, 1, 2]
        places.add((batch.x.data_ptr(), batch.y.data_ptr()))
    assert len(places) == 1
    made.place(SimpleNamespace(x=torch.zeros(3), y=constant))
    assert made.given_up == "batches differ in the shape of x"


@pytest.mark.parametrize(("value", "wanted"), [(None, False), ("0", False), ("1", True)])
def test_graphs_are_taken_where_they_are_asked_for(value, wanted, monkeypatch):
    monkeypatch.delenv("REPKIT_CUDA_GRAPHS", raising=False)
    if value is not None:
        monkeypatch.setenv("REPKIT_CUDA_GRAPHS", value)
    assert replay.asked_for() == wanted
