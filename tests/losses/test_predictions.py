import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from repkit.losses import (
    class_confusion,
    entropy,
    estimate_shares,
    information,
    paired_information,
    virtual_adversarial,
)


@pytest.fixture
def logits():
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


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


@pytest.mark.parametrize(
    "function",
    [
        lambda z: entropy(z).sum(),
        information,
        lambda z: information(z, torch.tensor([0.5, 0.3, 0.2])),
        lambda z: paired_information(z, 2 * z.flip(0)),
        lambda z: paired_information(torch.eye(5, 3), z),
    ],
)
def test_gradients_equal_differences(logits, function):
    # They compute in float32, so gradcheck's own tolerances are out of reach.
    z = logits.float().requires_grad_()
    (found,) = torch.autograd.grad(function(z), z)
    for place in np.ndindex(*z.shape):
        step = torch.zeros_like(z)
        step[place] = 0.02
        slope = (function(z + step) - function(z - step)) / 0.04
        assert found[place].item() == pytest.approx(slope.item(), abs=2e-4)


@pytest.mark.parametrize(
    "function", [lambda z: entropy(z).sum(), information, lambda z: paired_information(z, z)]
)
@pytest.mark.parametrize("rows", [(0, 1, 2), (0, 0, 0)])
def test_certain_predictions_have_a_finite_gradient(function, rows):
    certain = (torch.eye(3)[list(rows)] * 1000).requires_grad_()
    assert torch.autograd.grad(function(certain), certain)[0].isfinite().all()


def test_paired_information_by_hand(logits):
    other = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p, q = (np.exp(z.numpy()) / np.exp(z.numpy()).sum(1, keepdims=True) for z in (logits, other))
    joint = sum(np.outer(p[i], q[i]) + np.outer(q[i], p[i]) for i in range(5)) / 10
    margin = joint.sum(0)
    mutual = sum(
        joint[a, b] * np.log(joint[a, b] / (margin[a] * margin[b]))
        for a in range(3)
        for b in range(3)
    )
    assert mutual > 0.005
    assert paired_information(logits, other).item() == pytest.approx(-mutual, abs=1e-6)
    assert paired_information(other, logits).item() == pytest.approx(-mutual, abs=1e-6)
    assert paired_information(logits.bfloat16(), other.bfloat16()).dtype == torch.float32


def test_paired_information_of_views_that_agree_and_of_views_that_do_not():
    certain = torch.eye(4).repeat(2, 1) * 1000
    assert paired_information(certain, certain).item() == pytest.approx(-math.log(4))
    # Each category beside every other one as often: a view tells nothing of the other.
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    one, other = (torch.eye(4)[pairs[:, k]] * 1000 for k in (0, 1))
    assert paired_information(one, other).item() == pytest.approx(0, abs=1e-6)
    for useless in (torch.zeros(8, 4), torch.tensor([[1000.0, 0, 0, 0]] * 8)):
        assert paired_information(useless, useless).item() == pytest.approx(0, abs=1e-6)
    # Views that always differ, in the same way, tell all: the joint is what counts, not equality.
    swapped = certain[:, [1, 0, 3, 2]]
    assert paired_information(certain, swapped).item() == pytest.approx(-math.log(4))


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


@pytest.mark.parametrize("gap", [0.0, 5.0, 40.0, 90.0, 200.0])
@pytest.mark.parametrize("loss", [information, lambda t: paired_information(t, t), entropy])
def test_no_gradient_of_sure_predictions_explodes(loss, gap):
    """Against the same in double precision, where nothing underflows."""
    torch.manual_seed(0)
    rows = torch.randn(6, 4) + gap * F.one_hot(torch.arange(6) % 3, 4)
    slopes = []
    for dtype in (torch.float32, torch.float64):
        t = rows.to(dtype).requires_grad_()
        slopes.append(torch.autograd.grad(loss(t).sum(), t)[0].double())
    assert slopes[0].isfinite().all()
    torch.testing.assert_close(*slopes, rtol=1e-3, atol=1e-6)


def test_information_with_a_prior(logits):
    p = np.exp(logits.numpy())
    p /= p.sum(1, keepdims=True)
    prior = np.array([0.5, 0.3, 0.2])
    mean = p.mean(0)
    wanted = -(p * np.log(p)).sum(1).mean() + (mean * np.log(mean / prior)).sum()
    assert information(logits, torch.tensor(prior)).item() == pytest.approx(wanted, rel=1e-5)
    sure = torch.eye(3)[[0] * 5 + [1] * 3 + [2] * 2] * 1000  # as the prior says
    assert information(sure, torch.tensor(prior)).item() == pytest.approx(0.0, abs=1e-6)
    equal = torch.full((3,), 1 / 3)
    expected = information(logits).item() + math.log(3)
    assert information(logits, equal).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_class_confusion_by_hand(logits, temperature):
    p = np.exp(logits.numpy() / temperature)
    p /= p.sum(1, keepdims=True)
    weight = 1 + np.exp((p * np.log(p)).sum(1))
    weight *= len(p) / weight.sum()
    confusion = sum(w * np.outer(row, row) for w, row in zip(weight, p, strict=True))
    confusion /= confusion.sum(1, keepdims=True)
    wanted = (confusion.sum() - np.trace(confusion)) / p.shape[1]
    found = class_confusion(logits, temperature)
    assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_class_confusion_at_its_ends():
    sure = torch.eye(4) * 1000
    assert class_confusion(sure).item() == pytest.approx(0.0, abs=1e-6)
    assert class_confusion(torch.zeros(6, 4)).item() == pytest.approx(0.75)
    collapsed = (torch.eye(4)[[0, 0, 0]] * 1000).requires_grad_()
    assert torch.autograd.grad(class_confusion(collapsed), collapsed)[0].isfinite().all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = class_confusion(logits_of(20))
    assert torch.equal(half, class_confusion(logits_of(20)))


def logits_of(n):
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(1))


def test_the_weights_of_class_confusion_have_no_gradient(logits):
    """The slope is that of the formula with the weights as numbers."""
    z = logits.float().requires_grad_()
    (found,) = torch.autograd.grad(class_confusion(z), z)
    weight = 1 + torch.exp(-entropy(z.detach() / 2.5))
    p = (z / 2.5).softmax(1)
    confusion = torch.einsum("i,ij,ik->jk", weight, p, p)
    confusion = confusion / confusion.sum(1, keepdim=True)
    (expected,) = torch.autograd.grad(1 - confusion.trace() / 3, z)
    torch.testing.assert_close(found, expected)


def test_shares_are_found_from_predictions_of_other_shares():
    """Two Gaussian classes, their exact posterior for equal shares, and a sample of 0.8 to 0.2."""
    rng = np.random.default_rng(0)
    y = rng.random(20_000) < 0.2
    x = torch.tensor(rng.normal(size=len(y)) + 1.5 * y)
    p = torch.sigmoid(1.5 * (x - 0.75))
    found = estimate_shares(torch.stack([1 - p, p], 1), torch.tensor([0.5, 0.5]))
    assert found.tolist() == pytest.approx([0.8, 0.2], abs=0.015)
    assert abs(p.mean().item() - 0.2) > 0.08  # what the mean prediction says
    unbalanced = torch.stack([0.9 * (1 - p), 0.1 * p], 1)  # of a model that learned from 0.9 to 0.1
    unbalanced /= unbalanced.sum(1, keepdim=True)
    again = estimate_shares(unbalanced, torch.tensor([0.9, 0.1]))
    torch.testing.assert_close(again, found, rtol=0, atol=1e-3)


def test_shares_of_predictions_that_say_nothing_are_those_learned():
    shares = torch.tensor([0.7, 0.3])
    torch.testing.assert_close(estimate_shares(shares.repeat(5, 1), shares), shares)
    none = estimate_shares(torch.eye(3)[[0, 0, 1]], torch.tensor([0.5, 0.5, 0.0]))
    torch.testing.assert_close(none, torch.tensor([2 / 3, 1 / 3, 0.0]))
