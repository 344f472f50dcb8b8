import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from repkit.losses import (
    GradientReversal,
    dann_decay,
    dann_ramp,
    entropy,
    information,
    multilinear,
    reverse,
    virtual_adversarial,
    warm_cosine,
)


@pytest.fixture
def logits():
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("tensor", [False, True])
def test_reverse(dtype, lam, tensor):
    x = torch.arange(6.0, dtype=dtype).view(2, 3).requires_grad_()
    factor = torch.tensor(lam, requires_grad=True) if tensor else lam
    out = reverse(x, factor)
    assert torch.equal(out, x)
    assert out.dtype == dtype
    weight = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]], dtype=dtype)
    (out * weight).sum().backward()
    assert x.grad.dtype == dtype
    torch.testing.assert_close(x.grad, -lam * weight)
    if tensor:
        assert factor.grad is None


def test_reverse_by_default_is_minus_the_gradient():
    x = torch.ones(3, requires_grad=True)
    reverse(x).sum().backward()
    assert x.grad.tolist() == [-1, -1, -1]


def test_the_layer():
    layer = GradientReversal(0.5)
    net = nn.Sequential(nn.Linear(2, 2), layer)
    assert "1.lam" in net.state_dict()
    x = torch.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.tolist() == [[-0.5, -0.5]]
    layer.lam.fill_(2)
    x.grad = None
    layer(x).sum().backward()
    assert x.grad.tolist() == [[-2, -2]]


def test_entropy_by_hand(logits):
    for row, value in zip(logits.tolist(), entropy(logits).tolist(), strict=True):
        p = np.exp(row) / np.exp(row).sum()
        assert value == pytest.approx(-(p * np.log(p)).sum(), rel=1e-5)
    assert entropy(torch.zeros(2, 4)).tolist() == pytest.approx([math.log(4)] * 2)
    assert entropy(torch.tensor([[1000.0, 0, -1000]])).tolist() == [0]  # certain, and finite
    assert entropy(logits.bfloat16()).dtype == torch.float32


def test_information_by_hand(logits):
    p = np.exp(logits.numpy())
    p /= p.sum(1, keepdims=True)
    mutual = sum(
        p[i, k] / len(p) * np.log(p[i, k] / p[:, k].mean())
        for i in range(len(p))
        for k in range(p.shape[1])
    )
    assert mutual > 0.01
    assert information(logits).item() == pytest.approx(-mutual, rel=1e-5)
    balanced = torch.eye(3) * 1000
    assert information(balanced).item() == pytest.approx(-math.log(3))  # the least there is
    collapsed = torch.tensor([[1000.0, 0, 0]] * 3)
    assert information(collapsed).item() == 0


@pytest.mark.parametrize("function", [lambda z: entropy(z).sum(), information])
def test_gradients_equal_differences(logits, function):
    # They compute in float32, so gradcheck's own tolerances are out of reach.
    z = logits.float().requires_grad_()
    (found,) = torch.autograd.grad(function(z), z)
    for place in np.ndindex(*z.shape):
        step = torch.zeros_like(z)
        step[place] = 0.02
        slope = (function(z + step) - function(z - step)) / 0.04
        assert found[place].item() == pytest.approx(slope.item(), abs=2e-4)
    certain = (torch.eye(3) * 1000).requires_grad_()
    assert torch.autograd.grad(function(certain), certain)[0].isfinite().all()


def test_multilinear(logits):
    features = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    p = logits.softmax(1)
    out = multilinear(features, p)
    assert out.shape == (5, 12)
    for i in range(5):
        assert torch.equal(out[i], torch.outer(features[i], p[i]).flatten())
    inputs = features.requires_grad_(), p.detach().requires_grad_()
    assert torch.autograd.gradcheck(multilinear, inputs)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (dann_ramp, (0, 0.9866142981514303, 0.9999092042625951)),
        (dann_decay, (1, 6**-0.75, 11**-0.75)),
        (warm_cosine, (0, 0.5 * (1 + math.cos(math.pi * 0.45 / 0.95)), 0)),
    ],
)
def test_schedules(schedule, values):
    assert [schedule(p) for p in (0, 0.5, 1)] == pytest.approx(values, abs=1e-12)


def test_warm_cosine_rises_then_falls():
    values = [warm_cosine(p / 100) for p in range(101)]
    assert values[5] == 1
    assert values[:6] == sorted(values[:6])
    assert values[5:] == sorted(values[5:], reverse=True)
    assert values[1] == pytest.approx(0.2)
    assert warm_cosine(0.1, warm=0.2) == pytest.approx(0.5)


def test_virtual_adversarial_finds_the_worst_direction():
    """For a linear classifier of two classes that is the normal of its boundary."""
    torch.manual_seed(0)
    weight = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    x = torch.randn(50, 3)
    radius = 0.3

    def logits(rows):
        return rows @ weight.T

    found = virtual_adversarial(logits, x, radius)
    log_p = F.log_softmax(logits(x), 1)
    worst = torch.tensor([0.6, 0.8, 0.0]) * radius
    ahead, back = (
        (log_p.exp() * (log_p - F.log_softmax(logits(x + sign * worst), 1))).sum(1)
        for sign in (1, -1)
    )
    # Each row goes one way or the other along the normal; none can do better than the worse.
    assert found <= torch.maximum(ahead, back).mean() + 1e-6
    assert found >= torch.minimum(ahead, back).mean() - 1e-6
    assert torch.minimum(ahead, back).mean() > 0.01  # across the normal it would be 0


def test_virtual_adversarial_has_the_gradient_of_the_moved_prediction_only():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4))
    x = torch.randn(20, 3)
    torch.manual_seed(1)
    (given,) = torch.autograd.grad(virtual_adversarial(net, x, 0.5), net[0].weight)
    # The same by hand: the direction by autograd from the same random start.
    torch.manual_seed(1)
    start = torch.randn_like(x)
    start = (0.1 * start / start.norm(dim=1, keepdim=True)).requires_grad_()
    p = net(x).softmax(1).detach()

    def kl(r):
        return (p * (p.log() - net(x + r).log_softmax(1))).sum() / len(x)

    (direction,) = torch.autograd.grad(kl(start), start)
    r = 0.5 * direction / direction.norm(dim=1, keepdim=True)
    (expected,) = torch.autograd.grad(kl(r), net[0].weight)
    torch.testing.assert_close(given, expected)
    assert expected.abs().max() > 0
