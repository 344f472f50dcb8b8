"""Results in the place of operands: the same numbers, and nothing lost that is read later."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from repkit.engine.reuse import LEAST, in_place, writing
from repkit.engine.tape import Tape, Writer, function

aten = torch.ops.aten
N = LEAST


def written(act, *wanted):
    """The operations of a step, what it gives, and the step that gives it."""
    with Writer() as writer:
        out = act()
    values = list(out) if isinstance(out, tuple) else [out]
    names = [writer.name(x) for x in values]
    calls = in_place(writer.calls, {*writer.given, *names}, writer.places())
    assert len(calls) == len(writer.calls)
    return calls, [x.clone() for x in values], function(calls, writer.given, names)


def over(calls):
    """The operations that write over something, by their names."""
    return [call.func.name() for call in calls if call.func._schema.is_mutable]


def check(act, expected):
    """The step gives what it gave, and these operations write over an operand."""
    calls, values, step = written(act)
    for _ in range(2):
        for a, b in zip(step(), values, strict=True):
            assert torch.equal(a, b)
            assert a.stride() == b.stride()
    assert over(calls) == expected


def test_a_chain_is_in_one_place():
    x = torch.randn(N)
    check(
        lambda: x.mul(2.0).exp().add(x).neg(), ["aten::exp.out", "aten::add.out", "aten::neg.out"]
    )


def test_gradients_are_written_over_gradients():
    x = torch.randn(4, N, requires_grad=True)

    def act():
        h = F.leaky_relu(torch.tanh(x * 2.0), 0.2)
        return torch.autograd.grad(F.softplus(h).sum(), x)[0]

    calls, _, step = written(act)
    names = over(calls)
    assert "aten::leaky_relu_backward.grad_input" in names
    assert "aten::tanh_backward.grad_input" in names
    assert torch.equal(step()[0], act())


def test_what_was_there_before_is_left_alone():
    x, y = torch.randn(N), torch.randn(N)
    kept = x.clone(), y.clone()
    check(lambda: x.neg() + y, ["aten::add.out"])
    check(lambda: x + y, [])
    check(lambda: x.view(2, -1).exp(), [])
    assert torch.equal(x, kept[0])
    assert torch.equal(y, kept[1])


def test_what_is_wanted_is_left_alone():
    x = torch.randn(N)

    def act():
        first = x * 2.0
        return first, first.exp(), first.view(2, -1).neg()

    check(act, [])


def test_what_is_read_later_is_left_alone():
    x = torch.randn(N)

    def act():
        h = x * 2.0
        return h.exp() + h.tanh() * h  # the last product is the last to read it

    check(act, ["aten::mul.out", "aten::add.out"])


def test_a_view_that_is_read_later_keeps_its_memory():
    x = torch.randn(2, N)

    def act():
        h = x * 2.0
        half = h[1]
        return h.exp().sum(), half.sum()

    check(act, [])


def test_views_of_a_result_are_views_of_its_place():
    x = torch.randn(2, N)

    def act():
        left, right = (x * 2.0).exp().unbind(0)
        return left.neg().sum(), right.view(2, -1).t().tanh().sum()

    calls, values, step = written(act)
    assert [a.tolist() for a in step()] == [b.tolist() for b in values]
    assert over(calls)[0] == "aten::exp.out"


def test_an_operand_that_is_there_twice():
    x = torch.randn(64, 64)
    check(lambda: (lambda h: h * h)(x + 1.0), ["aten::mul.out"])
    check(lambda: (lambda h: h * h.t())(x + 1.0), [])
    check(lambda: (lambda h: h + h[:1])(x + 1.0), [])


@pytest.mark.parametrize(
    "act",
    [
        lambda x: (x + 1.0) > 0,  # of another type
        lambda x: (x + 1.0).to(torch.bfloat16),
        lambda x: (x[:, :1] * 2.0).expand(-1, 4) * x[:, :4],  # of another shape
        lambda x: (x * 2.0).t() @ x,
        lambda x: (x[:4, :4] * 2.0).exp(),  # small
        lambda x: (x * 2.0).sum(1),
        lambda x: (x * 2.0).softmax(1),
        lambda x: (x * 2.0).clone(),
        lambda x: (x * 2.0).cumsum(1),
    ],
)  # fmt: skip
def test_what_does_not_fit(act):
    x = torch.randn(64, 64)
    check(lambda: act(x), [])


def test_other_strides_do_not_fit():
    x = torch.randn(64, 64)
    check(lambda: x.t().mul(2.0) + x, ["aten::add.out"])  # laid out as the first operand
    check(lambda: (x + 0.5).div(x.t().mul(2.0)), ["aten::div.out"])
    images = torch.randn(4, 8, 16, 16)
    last = images.contiguous(memory_format=torch.channels_last)

    def mixed():  # the gradient lies otherwise than what it is masked by, and than the result
        return aten.threshold_backward(images * 2.0, last, 0)

    calls, values, step = written(mixed)
    assert torch.equal(step()[0], values[0])
    assert (over(calls) == []) == (values[0].stride() != images.stride())


def test_a_part_of_a_larger_tensor_is_not_its_beginning():
    x = torch.randn(4, N)

    def act():
        part = (x * 2.0)[2]
        return part.exp().as_strided((8,), (1,), 3)

    check(act, [])


def test_random_numbers_are_drawn_as_before():
    assert writing(aten.bernoulli.p) is None
    assert writing(aten.native_dropout.default) is None


def test_what_torch_makes_of_a_copy_is_not_used():
    assert writing(aten.relu.default) == (aten.relu_.default, None)
    assert writing(aten.clone.default) is None
    assert writing(aten.mul.Scalar) is None
    assert writing(aten.where.self) == (aten.where.self_out, "out")
    assert writing(aten.mm.default) is None
    assert writing(aten.leaky_relu_backward.default)[1] == "grad_input"


POINTWISE = [
    F.relu, F.gelu, F.silu, F.elu, F.hardtanh, F.softplus, F.leaky_relu, torch.sigmoid, torch.tanh,
    torch.exp, torch.square, torch.abs, F.hardswish, F.mish, F.logsigmoid, torch.expm1, torch.sin,
    lambda h: h.clamp(-0.5, 0.5), lambda h: h.clamp_min(0.0), lambda h: h.pow(3), lambda h: h / 3,
    lambda h: torch.where(h > 0, h, -h), lambda h: torch.lerp(h, h * 2, 0.3), lambda h: 1 - h,
    lambda h: h.sub(h.mean(), alpha=2), lambda h: torch.addcmul(h, h, h), lambda h: h.div(h.norm()),
    lambda h: h.masked_fill(h > 1, 0.0), lambda h: torch.maximum(h, -h), torch.rsqrt, torch.round,
]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(64, 96), (3, 8, 15, 16)])
@pytest.mark.parametrize("f", POINTWISE)
def test_every_activation_and_its_gradient(f, shape, dtype):
    torch.manual_seed(0)
    x = torch.rand(shape).to(dtype)
    if x.ndim == 4:
        x = x.to(memory_format=torch.channels_last)
    x.requires_grad_()

    def act():
        h = x * 1.5
        return torch.autograd.grad(f(f(h)).square().sum(), x)[0]

    calls, values, step = written(act)
    for _ in range(2):
        assert torch.equal(step()[0].nan_to_num(7.0), values[0].nan_to_num(7.0))
    assert over(calls)


def test_numbers_are_rounded_as_before():
    x = torch.rand(N).to(torch.bfloat16)
    check(lambda: aten.mul.Scalar(x.neg(), 0.7), [])  # ``mul_`` rounds 0.7 to bf16


def test_a_tape_does_so():
    net = nn.Sequential(nn.Linear(8, N), nn.ReLU(), nn.Linear(N, 2))
    x = torch.randn(4, 8)
    tape = Tape()

    def act():
        loss = net(x).square().sum()
        torch.autograd.grad(loss, list(net.parameters()))
        return [(0, ("loss",), loss.detach())]

    found = [tape.record(act), tape.replay(), tape.replay()]
    assert len({value.item() for [(*_, value)] in found}) == 1
    assert any(x is torch.relu_ for x in tape._again.__globals__.values())
