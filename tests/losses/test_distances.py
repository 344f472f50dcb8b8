"""Distances of features against numpy's loops, and where their gradients go."""

import numpy as np
import pytest
import torch
from torch import nn

from repkit.losses import (
    coral,
    discrepancy,
    joint_mmd,
    mmd,
    multilinear,
    slope_penalty,
    wasserstein,
)

pytestmark = pytest.mark.usefixtures("seeded")


def samples(n=6, m=4, d=3, shift=1.0):
    x, y = torch.randn(n, d), 1.5 * torch.randn(m, d) + shift
    return x.requires_grad_(), y.requires_grad_()


def kernel(a, b, scale, bandwidths):
    return np.mean([np.exp(-((a - b) ** 2).sum() / (h * scale)) for h in bandwidths])


def means(k, n):
    return k[:n, :n].mean() + k[n:, n:].mean() - 2 * k[:n, n:].mean()


def test_coral_by_hand():
    x, y = samples()
    a, b = (np.cov(v.detach().numpy(), rowvar=False) for v in (x, y))
    assert coral(x, y).item() == pytest.approx(((a - b) ** 2).sum() / (4 * 3**2), rel=1e-5)
    assert coral(x, x + 5.0).item() == pytest.approx(0.0, abs=1e-6)  # it is blind to means
    one = torch.tensor([[0.0], [2.0]])  # variances 2 and 8
    assert coral(one, 2 * one).item() == pytest.approx(9.0)


@pytest.mark.parametrize("bandwidths", [(0.25, 0.5, 1.0, 2.0, 4.0), (1.0,), [0.3, 3.0]])
def test_mmd_by_hand(bandwidths):
    x, y = samples()
    z = torch.cat([x, y]).detach().double().numpy()
    n = len(z)
    scale = sum(((a - b) ** 2).sum() for a in z for b in z) / (n * (n - 1))
    k = np.array([[kernel(a, b, scale, bandwidths) for b in z] for a in z])
    found = mmd(x, y, bandwidths)
    assert found.item() == pytest.approx(means(k, len(x)), rel=1e-4)
    assert mmd(x, x, bandwidths).item() == pytest.approx(0.0, abs=1e-6)
    assert mmd(x, x + 1e4, (0.01,)).item() == pytest.approx(2.0, abs=1e-3)  # the most there is


def test_mmd_of_two_points():
    found = mmd(torch.zeros(1, 1), torch.full((1, 1), 3.0), bandwidths=(2.0,))
    assert found.item() == pytest.approx(2 - 2 * np.exp(-0.5))


def test_joint_mmd_by_hand():
    x, y = samples()
    p, q = torch.rand(6, 2).softmax(1), torch.rand(4, 2).softmax(1)
    z, r = (torch.cat(v).detach().double().numpy() for v in ((x, y), (p, q)))
    n = len(z)
    scale = sum(((a - b) ** 2).sum() for a in z for b in z) / (n * (n - 1))
    k = np.array(
        [
            [
                kernel(z[i], z[j], scale, (0.5, 2.0)) * np.exp(-((r[i] - r[j]) ** 2).sum() / 1.68)
                for j in range(n)
            ]
            for i in range(n)
        ]
    )
    assert joint_mmd(x, y, p, q, (0.5, 2.0)).item() == pytest.approx(means(k, len(x)), rel=1e-4)
    same = torch.full((6, 2), 0.5)
    found = joint_mmd(x, y, same, same[:4]).item()
    assert found == pytest.approx(mmd(x, y).item(), rel=1e-5)


def test_joint_mmd_sees_labels_that_are_swapped():
    """The features of both domains are alike, and so are the predictions, but not together."""
    x = torch.tensor([[0.0], [1.0]]).repeat(5, 1)
    p = torch.eye(2).repeat(5, 1)
    assert joint_mmd(x, x, p, p).item() == pytest.approx(0.0, abs=1e-6)
    assert joint_mmd(x, x, p, p.flip(1)).item() > 0.1


def joint(x, y):
    return joint_mmd(x, y, x.softmax(1), y.softmax(1))


@pytest.mark.parametrize("distance", [coral, mmd, joint])
def test_descending_a_distance_makes_it_small(distance):
    x, y = samples(8, 8)
    before = distance(x, y).item()
    for _ in range(200):
        a, b = torch.autograd.grad(distance(x, y), (x, y))
        assert a.isfinite().all()
        x, y = (x - 20 * a).detach().requires_grad_(), (y - 20 * b).detach().requires_grad_()
    assert distance(x, y).item() < 0.3 * before


@pytest.mark.parametrize("distance", [coral, mmd])
def test_distances_of_equal_rows_have_a_finite_gradient(distance):
    x = torch.ones(4, 3, requires_grad=True)
    value = distance(x, torch.ones(5, 3))
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    assert torch.autograd.grad(value, x)[0].isfinite().all()


@pytest.mark.parametrize("distance", [coral, mmd, joint])
def test_autocast_leaves_distances_in_float32(distance):
    x, y = samples(20, 20, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = distance(x, y)
    assert half.dtype == torch.float32
    assert torch.equal(half, distance(x, y))


def test_wasserstein_by_hand():
    assert wasserstein(torch.tensor([3.0, 5.0]), torch.tensor([1.0])).item() == 3.0


def test_the_slope_penalty_of_a_linear_critic():
    """Its slope is the same everywhere."""
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    x, y = torch.randn(5, 2, requires_grad=True), torch.randn(3, 2, requires_grad=True)
    found = slope_penalty(lambda f: f @ w, x, y)
    assert found.item() == pytest.approx((5 - 1) ** 2)
    (slope,) = torch.autograd.grad(found, w, retain_graph=True)
    torch.testing.assert_close(slope, 2 * (5 - 1) * w.detach() / 5)  # d|w| = w / |w|
    assert torch.autograd.grad(found, (x, y), allow_unused=True) == (None, None)
    assert slope_penalty(lambda f: f @ torch.zeros(2), x, y).item() == pytest.approx(1.0, abs=1e-4)


def test_where_the_slope_penalty_is_taken():
    """At every row of both, and between row i of one and row i of the other."""
    seen = []

    def critic(f):
        seen.append(f.detach())
        return f.square().sum(1)

    x, y = torch.zeros(4, 2), torch.ones(2, 2) * torch.tensor([[1.0], [2.0]])
    found = slope_penalty(critic, x, y)
    (points,) = seen
    torch.testing.assert_close(points[:6], torch.cat([x, y]))
    ends = y[[0, 1, 0, 1]]
    share = points[6:, 0] / ends[:, 0]
    torch.testing.assert_close(points[6:], share[:, None] * ends)
    assert ((share >= 0) & (share <= 1)).all()
    assert len(set(share.tolist())) == 4
    expected = ((2 * points.norm(dim=1) - 1) ** 2).mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_critic_with_the_penalty_finds_the_distance():
    """Of two points that are 2 apart: 2, for a slope of at most 1."""
    critic = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    steps = torch.optim.Adam(critic.parameters(), 1e-2)
    x, y = torch.zeros(16, 4), torch.ones(16, 4)
    for _ in range(300):
        gap = wasserstein(critic(x)[:, 0], critic(y)[:, 0])
        steps.zero_grad()
        (50 * slope_penalty(lambda f: critic(f)[:, 0], x, y) - gap).backward()
        steps.step()
    assert gap.item() == pytest.approx(2.0, abs=0.3)


def test_discrepancy_by_hand():
    p, q = torch.tensor([[0.2, 0.8], [1.0, 0.0]]), torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    assert discrepancy(p, q).item() == pytest.approx((0.3 + 0.3 + 1 + 1) / 4)
    assert discrepancy(p, p).item() == 0


def test_multilinear():
    logits = torch.randn(5, 3, dtype=torch.float64)
    features = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    p = logits.softmax(1)
    out = multilinear(features, p)
    assert out.shape == (5, 12)
    for i in range(5):
        assert torch.equal(out[i], torch.outer(features[i], p[i]).flatten())
    inputs = features.requires_grad_(), p.detach().requires_grad_()
    assert torch.autograd.gradcheck(multilinear, inputs)


def test_the_multilinear_map_stays_in_float32_under_autocast():
    f, p = torch.randn(5, 4), torch.randn(5, 3).softmax(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = multilinear(f, p)
    assert torch.equal(found, multilinear(f, p))
