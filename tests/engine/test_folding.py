"""What need not be done again in a recorded step: it is known, or nobody reads it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from repkit.engine.folding import LIKE, MOST, needed, pure
from repkit.engine.reuse import LEAST
from repkit.engine.tape import Tape, Writer, function
from repkit.nets.convolutions import Conv2d, ConvTranspose2d

aten = torch.ops.aten


def written(act):
    """The names of the operations that are left of a step, and the step."""
    with Writer() as writer:
        out = act()
    wanted = [writer.name(x) for x in (out if isinstance(out, tuple) else (out,))]
    calls = needed(writer.calls, writer.constants, wanted)
    names = [call.func.overloadpacket.__name__ for call in calls]
    return names, function(calls, writer.given | writer.constants, wanted)


def test_what_autograd_begins_with_is_known():
    x = torch.randn(6, 3, requires_grad=True)

    def act():
        return torch.autograd.grad(-(x * x).mean(), x)[0]

    names, step = written(act)
    assert names == ["mul", "mul", "add"]  # without the product, its mean, and -1/18 spread over it
    for _ in range(2):
        assert torch.equal(step()[0], act())


def test_constants_of_numbers():
    x = torch.randn(5, 4)

    def act():
        steps = torch.arange(4) * 2 + torch.zeros(4)
        return x + steps, torch.where(torch.ones_like(x) > 0, x, torch.full((), 3.0)).neg()

    names, step = written(act)
    assert names == ["add", "where", "neg"]
    for found, expected in zip(step(), act(), strict=True):
        assert torch.equal(found, expected)


def test_of_a_tensor_only_the_shape_is_taken():
    """Nothing else that they are given can be a tensor."""
    for name in LIKE:
        packet = getattr(aten, name)
        for func in (getattr(packet, overload) for overload in packet.overloads()):
            tensors = [a.name for a in func._schema.arguments if str(a.type) == "Tensor"]
            assert [x for x in tensors if x not in ("self", "out")] == [], func


def test_numbers_from_tensors_are_no_constants():
    end = torch.tensor(1.0)
    names, step = written(lambda: torch.linspace(end, 3.0, 3) * 2.0)
    assert names == ["linspace", "mul"]
    end.fill_(2.0)
    assert step()[0].tolist() == [4.0, 5.0, 6.0]
    names, _ = written(lambda: torch.linspace(1.0, 3.0, 3) * 2.0)
    assert names == []


def test_what_is_written_to_is_made_again():
    x = torch.tensor([1.0, 2.0])

    def act():
        total = torch.zeros(2)
        before = total + 1.0  # known: nothing was written yet
        part = total[:1]
        total.add_(x)
        return before * x, total, part * 2.0, total * 3.0

    names, step = written(act)
    assert names == ["zeros", "slice", "add_", "mul", "mul", "mul"]
    for _ in range(3):
        for found, expected in zip(step(), act(), strict=True):
            assert torch.equal(found, expected)
        x += 1.0


def test_what_is_written_to_by_way_of_a_view_of_any_kind():
    x = torch.tensor([1.0, 2.0])

    def act():
        total = torch.zeros(3)
        total.as_strided((2,), (1,), 1).copy_(x)
        first, rest = total.split([1, 2])
        return rest * 2.0, first * x

    _, step = written(act)
    for _ in range(2):
        for found, expected in zip(step(), act(), strict=True):
            assert torch.equal(found, expected)
        x += 1.0


def test_a_constant_that_is_wanted_is_another_one_at_every_step():
    names, step = written(lambda: torch.ones(3))
    assert names == []
    step()[0].zero_()
    assert step()[0].tolist() == [1.0, 1.0, 1.0]


def test_random_numbers_are_drawn_though_nobody_reads_them():
    names, step = written(lambda: (torch.rand(3), torch.ones(2).bernoulli(), torch.zeros(1))[2])
    assert names == ["rand", "bernoulli"]
    before = torch.random.get_rng_state()
    step()
    assert not torch.equal(torch.random.get_rng_state(), before)


def test_numbers_drawn_for_a_constant_are_not_one():
    names, step = written(lambda: F.dropout(torch.ones(64), 0.5) * 2.0)
    assert "ones" not in names
    assert not torch.equal(step()[0], step()[0])


def test_statistics_are_taken_though_nobody_reads_the_result():
    norm, x = nn.BatchNorm1d(3), torch.randn(8, 3)

    def act():
        norm(x)
        return x.sum()

    names, step = written(act)
    assert "native_batch_norm" in names
    assert "empty" not in names
    before = norm.running_mean.clone()
    step()
    assert not torch.equal(norm.running_mean, before)


def test_what_nobody_reads():
    x, y = torch.randn(4, 3, requires_grad=True), torch.randn(3, 2)

    def act():
        loss = (torch.tanh(x) @ y).sum()
        torch.exp(x).t().mul(3.0)
        return torch.autograd.grad(loss, x)[0]

    names, step = written(act)
    assert "exp" not in names
    assert "mul" not in names
    assert torch.equal(step()[0], act())


@pytest.mark.parametrize(
    ("layer", "shape", "of_the_image"),
    [
        # Its gradient of the image is a product of matrices, added up.
        (Conv2d(1, 8, 4, 2, 1), (2, 1, 8, 8), ["mm", "col2im"]),
        (ConvTranspose2d(8, 1, 4, 2, 1), (2, 8, 4, 4), ["convolution_backward"]),
    ],
)
def test_gradients_that_nobody_asked_for(layer, shape, of_the_image):
    """A function in Python has them all the same."""
    x = torch.randn(shape, requires_grad=True)

    def gradients(of):
        before, _ = written(lambda: layer(x))

        def act():
            return torch.autograd.grad(layer(x).square().sum(), of)

        names, step = written(act)
        for found, expected in zip(step(), act(), strict=True):
            assert torch.equal(found, expected)
        products = {"mm", "col2im", "convolution_backward"}
        return [name for name in names[len(before) :] if name in products]

    assert gradients([layer.weight]) == ["convolution_backward"]
    assert gradients([x]) == of_the_image
    both = gradients([x, layer.weight])
    assert sorted(both) == sorted([*of_the_image, "convolution_backward"])


def test_a_large_constant_does_not_stay_in_memory():
    x = torch.ones(())
    names, step = written(lambda: torch.zeros(MOST // 4 + 1) + x)
    assert names == ["zeros", "add"]
    assert step()[0].eq(1.0).all()
    names, _ = written(lambda: torch.zeros(MOST // 4) + x)
    assert names == ["add"]
    # Spread out it is no larger.
    names, _ = written(lambda: torch.zeros(1).expand(MOST) + x)
    assert names == ["add"]


@pytest.mark.parametrize(
    ("func", "expected"),
    [
        (aten.mul.Tensor, True),
        (aten.expand.default, True),
        (aten.empty.memory_format, True),
        (aten.convolution_backward.default, True),
        (aten.mul_.Tensor, False),
        (aten.mul.out, False),
        (aten.bernoulli.p, False),
        (aten.rrelu.default, False),  # on each number by itself, but drawn
        (aten.rand_like.default, False),
        (aten.native_batch_norm.default, False),  # writes to the running statistics
        (aten._fused_adamw_.default, False),
        (aten._local_scalar_dense.default, False),
    ],
)
def test_what_does_nothing_but_give(func, expected):
    assert pure(func) is expected


def test_nothing_takes_the_place_of_a_constant():
    x, tape = torch.randn(LEAST), Tape()

    def act():
        return [(0, ("loss",), (torch.full_like(x, 3.0) * x).sum())]

    found = [tape.record(act), tape.replay(), tape.replay()]
    assert len({value.item() for [(*_, value)] in found}) == 1


def test_a_tape_does_so():
    w, x = torch.randn(3, requires_grad=True), torch.randn(4, 3)
    tape = Tape()

    def act():
        loss = (x @ w).mean()
        (gradient,) = torch.autograd.grad(loss, w)
        w.data.sub_(gradient)
        return [(0, ("loss",), loss.detach())]

    start = w.detach().clone()
    found = [tape.record(act), tape.replay(), tape.replay()]
    one = w.detach().clone()
    w.data.copy_(start)
    for expected, [(*_, value)] in zip([act(), act(), act()], found, strict=True):
        assert torch.equal(expected[0][2], value)
    assert torch.equal(w, one)
    assert not any(x is torch.ones_like for x in tape._again.__globals__.values())
