"""A step that is written down: done again, it is the step."""

import copy
import gc
import os
import re
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils.checkpoint import checkpoint

from repkit.engine.optim import Adam
from repkit.engine.tape import Tape, Writer, function, memory


def of(act):
    """A step without values for the history."""

    def step():
        act()
        return []

    return step


def again(writer, *values):
    """What does it again."""
    return function(writer.calls, writer.given, [writer.name(x) for x in values])


class Training:
    """Gradients, buffers, random numbers and an optimizer."""

    def __init__(self):
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(),
            nn.Linear(96, 8), nn.Tanh(), nn.Linear(8, 3),
        )  # fmt: skip
        self.x, self.y = torch.randn(10, 2, 6, 6), torch.arange(10) % 3
        self.noise, self.generator = torch.empty(10, 2, 6, 6), torch.Generator().manual_seed(1)
        self.parameters = list(self.net.parameters())
        for p in self.parameters:
            p.grad = torch.zeros_like(p)
        self.adam = Adam(self.parameters, torch.tensor(0.01, dtype=torch.float64))

    def __call__(self):
        self.noise.normal_(generator=self.generator)
        first, second = self.net(self.x + 0.1 * self.noise).split([4, 6])
        loss = F.cross_entropy(torch.cat([first, second]), self.y)
        penalty = sum(p.pow(2).sum() for p in self.parameters)
        found = torch.autograd.grad(loss + 0.01 * penalty, self.parameters)
        torch._foreach_copy_([p.grad for p in self.parameters], found)
        self.adam.step()
        return [(0, ("loss", "penalty"), torch.stack([loss.detach(), penalty.detach()]))]

    def state(self):
        return [*self.net.state_dict().values(), self.noise, *self.adam.state[0].values()]


def test_steps_of_a_tape_are_the_steps():
    expected, one = Training(), Training()
    torch.manual_seed(2)
    losses = [expected() for _ in range(6)]
    torch.manual_seed(2)
    tape = Tape()
    found = [one(), tape.record(one), *(tape.replay() for _ in range(4))]
    assert tape.obstacle is None
    for [(number, names, values)], [(other, others, again)] in zip(losses, found, strict=True):
        assert (number, names) == (other, others)
        assert torch.equal(values, again)
    for a, b in zip(expected.state(), one.state(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(torch.rand(3), torch.rand(3)) is False  # the global generator is alive
    assert len({values.data_ptr() for [(*_, values)] in found}) == 6  # each step has its own


def test_numbers_in_tensors_are_read_at_every_step():
    x, rate, total = torch.ones(3), torch.tensor(1.0), torch.zeros(3)
    tape = Tape()
    tape.record(of(lambda: total.add_(x * rate)))
    rate.fill_(10.0)
    x.fill_(2.0)
    tape.replay()
    assert total.tolist() == [21.0] * 3


def test_a_value_that_was_there_before_is_kept_apart():
    total = torch.zeros(())
    tape = Tape()
    tape.record(lambda: [(0, ("total",), total.add_(1.0))])
    found = [tape.replay()[0][2] for _ in range(3)]
    assert [x.item() for x in found] == [2.0, 3.0, 4.0]


def test_it_holds_nothing_that_the_step_makes():
    x, watched = torch.ones(1000), []

    def act():
        made = (x * 2).exp()
        watched.append(StorageWeakRef(made.untyped_storage()))
        return [(0, ("sum",), made.sum())]

    tape = Tape()
    tape.record(act)
    gc.collect()
    assert watched[0].expired()
    assert [memory(k) for k in tape.given.values()] == [memory(x)]


def test_memory_is_let_go_of_after_its_last_use():
    x = torch.ones(4)
    with Writer() as writer:
        twice = x * 2
        more = twice + twice.t()
        out = more.exp()
        del twice, more
    step = again(writer, out)
    assert len(writer.calls) == 3  # the transpose of a vector is the vector
    assert step()[0].tolist() == out.tolist()
    names = step.__code__.co_varnames
    assert len(names) == 3
    gone = [i for i in step.__code__.co_code[::2] if i == DELETE]
    assert len(gone) == 2


DELETE = __import__("dis").opmap["DELETE_FAST"]


def test_views_of_what_was_there_are_made_once():
    weight, x = torch.randn(3, 2), torch.randn(5, 2)
    with Writer() as writer:
        out = F.linear(x, weight)
    assert len(writer.calls) == 1
    step = again(writer, out)
    weight.mul_(3.0)
    assert torch.allclose(step()[0], 3.0 * out)


def test_views_of_what_is_made_are_made_at_every_step():
    x = torch.arange(6.0)
    with Writer() as writer:
        left, right = (x + 1).view(2, 3).unbind(1)[::2]
        right.mul_(2.0)
        out = left + right
    step = again(writer, out, right)
    x.neg_()
    assert [v.tolist() for v in step()] == [[0.0 + 1 - 2 * 1, -3.0 + 1 - 2 * 4], [-2.0, -8.0]]


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.split([1, 2, 1]),
        lambda x: x[:0],
        lambda x: x.clone()[None].unbind(0),
        lambda x: (x[:, None] + x).t() * x,
        lambda x: x.clone().unsqueeze_(0),
        lambda x: x.max(0),
        lambda x: torch.complex(x, x).conj() + 1j,
        lambda x: torch.where(x > 1, x, torch.inf),
        lambda x: x.to(torch.bfloat16).float(),
        lambda x: torch.nn.functional.pad(x, (1, 1), value=float("nan")),
        lambda x: torch.stack([x, x], -1).sum((0, 1)),
        lambda x: torch.empty(2, dtype=torch.int64).random_(5, generator=GENERATOR.manual_seed(0)),
    ],
)  # fmt: skip
def test_operations_of_all_kinds(make):
    x = torch.arange(4.0)
    with Writer() as writer:
        out = make(x)
    values = list(out) if isinstance(out, tuple) else [out]
    expected = copy.deepcopy(values)
    assert writer.obstacle is None
    step = again(writer, *values)
    GENERATOR.manual_seed(0)
    for a, b in zip(step(), expected, strict=True):
        assert torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0))
        assert (a.dtype, a.stride()) == (b.dtype, b.stride())


GENERATOR = torch.Generator()
SPARSE = torch.eye(2).to_sparse()


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (lambda x: x.sum().item(), "the host waits for _local_scalar_dense"),
        (lambda x: bool((x > 0).all()), "the host waits for _local_scalar_dense"),
        (lambda x: x * torch.tensor(2.0), "the host waits for lift_fresh"),
        (lambda x: x[x > 0], "the host waits for nonzero"),
        (lambda x: torch.equal(x, x), "the host waits for equal"),
        (lambda x: x.to_sparse() * 2, "aten._to_sparse.default cannot be recorded"),
        (lambda x: SPARSE.sum(), "aten.sum.default cannot be recorded"),
    ],
)  # fmt: skip
def test_what_cannot_be_written(act, why):
    x, taken = torch.arange(4.0), []
    tape = Tape()

    def step():
        taken.append(act(x))
        return []

    assert tape.record(step) == []
    assert len(taken) == 1  # the step was taken
    assert tape.obstacle == why
    same = Tape()
    same.record(of(lambda: x + 1))
    assert tape.against(same) == same.against(tape) == why


def test_a_mask_that_is_a_tensor_like_any_other():
    known, few = torch.tensor([True, False, True]), torch.tensor([0, 1])
    assert differ(lambda: known[few]) is None


def test_memory_that_is_looked_at_behind_its_back():
    x = torch.arange(4.0)
    with Writer() as writer:
        made = x + 1
        strange = torch.empty(0)
        with torch._C._DisableTorchDispatch():
            strange = made.as_strided((2,), (2,), 1)
        out = strange * 2
    assert out.tolist() == [4.0, 8.0]
    assert "no operation" in writer.obstacle


def differ(act):
    """What stands between two steps."""
    one, other = Tape(), Tape()
    one.record(of(act))
    other.record(of(act))
    return one.against(other)


def test_what_two_steps_have_to_have_in_common():
    x, count = torch.arange(4.0), iter(range(1, 100))
    places = torch.randn(8, 3).split(4)

    def same():
        return x.mul(2.0).add_(torch.rand(4, generator=GENERATOR)).clamp(max=float("nan"))

    def number():
        return x.mul(0.1 * next(count))

    def address():
        return places[next(count) % 2].add(1.0)

    def shape():
        return places[0][: next(count) % 3 + 1].add(1.0)

    def created():
        return torch.zeros(2 + next(count)).add(1.0)

    def more():
        return [x.add(1.0) for _ in range(next(count))]

    def replaced():
        kept[0] = kept[0] + 1

    def numbers():
        x.add_(1.0)
        x.copy_(torch.rand(4, generator=GENERATOR) * x)

    kept = [x]
    assert differ(same) is None
    assert differ(number) == "mul is given something else at every step"
    assert differ(address) == "add is given something else at every step"
    assert re.fullmatch(r"a step has \d operations, the next \d, or others", differ(more))
    assert differ(shape) == "add is given something else at every step"
    assert differ(created) == "zeros is given something else at every step"
    assert differ(replaced) == "add is given something else at every step"
    assert differ(numbers) is None


COMPILER = """
import sys, torch
from repkit import DANN
from repkit.engine.tape import Tape
x = torch.ones(2, requires_grad=True)
tape = Tape()
tape.record(lambda: [(0, ("a",), torch.autograd.grad(x.exp().sum(), x)[0].detach())])
tape.replay()
for kind in ("adam", "sgd"):
    model = DANN("mlp", optimizer=kind, width=4, max_epochs=1, steps_per_epoch=5, device="cpu")
    model.fit(torch.eye(8).numpy(), [0, 1] * 4, sample_domain=[1] * 4 + [-1] * 4)
print([m for m in ("torch._dynamo", "torch._inductor", "sympy") if m in sys.modules])
"""


def test_the_compiler_is_not_imported():
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run(
        [sys.executable, "-c", COMPILER], env=env, capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("way", ["watch", "prove"])
def test_a_step_that_is_watched_is_taken_once(way):
    """Weights, statistics, optimizer, noise and both generators: as without."""
    expected, one = Training(), Training()
    torch.manual_seed(2)
    losses = [expected() for _ in range(4)]
    torch.manual_seed(2)
    tape = Tape()
    found = [one(), getattr(tape, way)(one), one(), one()]
    assert tape.obstacle is None
    for [(*_, values)], [(*_, others)] in zip(losses, found, strict=True):
        assert torch.equal(values, others)
    for a, b in zip(expected.state(), one.state(), strict=True):
        assert torch.equal(a, b)


def test_also_if_it_cannot_be_recorded():
    x, y = torch.ones(3), torch.zeros(2)

    def act():
        x.mul_(2.0)
        if x.sum().item() > 0:
            y.add_(1.0)  # what comes after the obstacle, too
        return []

    for way in ("watch", "prove"):
        tape = Tape()
        getattr(tape, way)(act)
        assert "_local_scalar_dense" in tape.obstacle
    assert x.tolist() == [4.0] * 3
    assert y.tolist() == [2.0] * 2


def other_masks():
    """Memory is saved by taking the forward pass twice, with the same masks of dropout."""
    net = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), nn.Tanh(), nn.Linear(6, 1))
    x = torch.randn(8, 6)

    def act():
        loss = checkpoint(net, x, use_reentrant=False).square().sum()
        torch._foreach_sub_(
            [p.data for p in net.parameters()], torch.autograd.grad(loss, [*net.parameters()])
        )
        return [(0, ("loss",), loss.detach())]

    return act


def another_way():
    """As torch's gradient of ``prod``, which takes another where operations are watched."""
    x = torch.zeros(4)

    def act():
        watched = _get_current_dispatch_mode() is not None
        x.add_(torch.full((4,), 0.1)) if watched else x.add_(0.1000001)
        return [(0, ("x",), x.sum())]

    return act


def other_state():
    """Something that no operation does."""
    x, noise = torch.zeros(4), torch.Generator()

    def act():
        noise.manual_seed(noise.initial_seed() + 1)
        x.add_(torch.rand(4, generator=noise))
        return [(0, ("x",), x.clone())]

    return act


@pytest.mark.parametrize("make", [other_masks, another_way, other_state])
def test_what_is_not_the_same_when_it_is_done_again(make):
    torch.manual_seed(3)
    act = make()
    act()  # as in a training: an older torch loads its compiler at the first checkpoint
    tape = Tape()
    tape.prove(act)
    assert tape.obstacle == "done again it has other last digits"


def test_a_value_that_is_no_number_is_the_same():
    x, tape = torch.full((2,), float("nan")), Tape()
    tape.prove(lambda: [(0, ("x",), x.mul_(2.0).sum())])
    assert tape.obstacle is None


def test_a_step_holds_its_data_no_longer_than_itself():
    def step_of(x):
        tape = Tape()
        tape.prove(lambda: [(0, ("x",), x.add_(1.0).sum())])
        return tape

    x = torch.ones(1000)
    tape, held = step_of(x), StorageWeakRef(x.untyped_storage())
    gc.disable()
    try:
        del x
        assert not held.expired()
        del tape
        assert held.expired()
    finally:
        gc.enable()
