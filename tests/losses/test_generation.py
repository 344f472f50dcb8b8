import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from repkit.losses import (
    ADVERSARIAL,
    HINGE,
    LIKELIHOODS,
    LOGISTIC,
    bounded,
    code_loss,
    draw,
    gradient_penalty,
    half_squared_error,
    kl_from_standard,
)

# -------------------------------------------------------------------- adversarial losses


def test_logistic_losses_by_hand():
    rows = torch.tensor([[0.3], [-1.2], [2.0]])
    says_real = [1 / (1 + math.exp(-t)) for (t,) in rows.tolist()]
    real = -np.mean([math.log(p) for p in says_real])
    fake = -np.mean([math.log(1 - p) for p in says_real])
    found = [loss(rows).item() for loss in LOGISTIC]
    assert found == pytest.approx([real, fake, real, fake], rel=1e-6)  # with the inverse labels
    assert LOGISTIC.real(torch.zeros(5, 1)).item() == pytest.approx(math.log(2))
    far = torch.tensor([[1000.0], [-1000.0]], requires_grad=True)
    for loss in LOGISTIC:
        assert loss(far).item() == 500
        assert torch.autograd.grad(loss(far), far)[0].abs().tolist() in ([[0], [0.5]], [[0.5], [0]])


def test_hinge_losses_by_hand():
    rows = torch.tensor([[0.3], [-1.2], [2.0], [-3.0]])
    found = [loss(rows).item() for loss in HINGE]
    expected = [0.7 + 2.2 + 0 + 4, 1.3 + 0 + 3 + 0, 1.9, -1.9]
    assert found == pytest.approx([total / 4 for total in expected], rel=1e-6)


def test_the_hinge_stops_at_the_margin_for_the_discriminator_alone():
    rows = torch.tensor([[0.9], [1.1], [-0.9], [-1.1]], requires_grad=True)
    slopes = [torch.autograd.grad(4 * loss(rows), rows)[0].flatten().tolist() for loss in HINGE]
    assert slopes == [[-1, 0, -1, -1], [1, 1, 1, 0], [-1] * 4, [1] * 4]


@pytest.mark.parametrize("name", ["logistic", "hinge"])
def test_adversarial_losses_are_means_over_rows_and_sums_over_columns(name):
    rows = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    for loss in ADVERSARIAL[name]:
        columns = sum(loss(rows[:, k : k + 1]) for k in range(3))
        torch.testing.assert_close(loss(rows), columns)
        torch.testing.assert_close(loss(rows.repeat(2, 1)), columns)
        assert loss(rows.bfloat16()).dtype == torch.float32


# -------------------------------------------------------------------- gradient penalty


def test_the_gradient_penalty_of_a_linear_judge():
    w = torch.tensor([[3.0], [-4.0]], requires_grad=True)
    v = torch.tensor([[12.0]], requires_grad=True)
    x, z = torch.randn(7, 2), torch.randn(7, 1)
    penalty = gradient_penalty(lambda x, z: x @ w + z @ v, x, z)
    assert penalty.item() == pytest.approx((9 + 16 + 144) / 2)
    torch.testing.assert_close(torch.autograd.grad(penalty, (w, v)), (w.detach(), v.detach()))
    assert gradient_penalty(lambda x: x @ w, x).item() == pytest.approx(12.5)
    both = gradient_penalty(lambda x: torch.cat([x @ w, 2 * x @ w], 1), x)  # of the columns' sum
    assert both.item() == pytest.approx(9 * 12.5)


def test_the_gradient_penalty_is_a_mean_over_rows_of_any_shape():
    x = torch.randn(5, 2, 3)
    penalty = gradient_penalty(lambda x: (x**2).flatten(1).sum(1, keepdim=True), x)
    assert penalty.item() == pytest.approx(2 * x.square().sum().item() / 5, rel=1e-6)


def test_the_gradient_penalty_equals_differences():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    x = torch.randn(4, 3, dtype=torch.float64)

    def penalty():
        total = 0.0
        for row in x:
            for k in range(3):
                step = 1e-5 * torch.eye(3, dtype=torch.float64)[k]
                total += ((net(row + step) - net(row - step)) / 2e-5).square().item()
        return total / 8

    found = gradient_penalty(net, x)
    assert found.item() == pytest.approx(penalty(), rel=1e-5)
    (slope,) = torch.autograd.grad(found, net[0].weight)
    with torch.no_grad():
        values = []
        for step in (1e-4, -2e-4):
            net[0].weight[1, 2] += step
            values.append(penalty())
    assert slope[1, 2].item() == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-3)


def test_the_gradient_penalty_has_no_gradient_in_what_made_its_inputs():
    made = torch.ones(3, 2, requires_grad=True)
    w = torch.ones(2, 1, requires_grad=True)
    penalty = gradient_penalty(lambda x: (x**2) @ w, 2 * made)
    assert torch.autograd.grad(penalty, made, retain_graph=True, allow_unused=True) == (None,)
    assert torch.autograd.grad(penalty, w)[0].abs().min() > 0


# -------------------------------------------------------------------- codes


@pytest.mark.parametrize("sizes", [(), (3,), (4, 2)])
@pytest.mark.parametrize("k", [0, 1, 3])
@pytest.mark.parametrize("learned", [False, True])
def test_code_loss_is_the_negative_log_likelihood(sizes, k, learned):
    if not sizes and not k:
        return
    torch.manual_seed(0)
    logits = [torch.randn(6, n, requires_grad=True) for n in sizes]
    drawn = [torch.randint(n, (6,)) for n in sizes]
    means, values = torch.randn(6, k, requires_grad=True), torch.rand(6, k)
    log_variances = torch.randn(6, k, requires_grad=True) if learned else None
    codes = [F.one_hot(d, n).float() for d, n in zip(drawn, sizes, strict=True)]
    found = code_loss(logits, codes, means, values, log_variances)
    expected = [
        -Categorical(logits=q).log_prob(d).mean() for q, d in zip(logits, drawn, strict=True)
    ]
    deviation = torch.ones(6, k) if log_variances is None else (log_variances / 2).exp()
    expected += (-Normal(means, deviation).log_prob(values)).mean(0).unbind()
    assert found.shape == (len(sizes) + k,)
    torch.testing.assert_close(found, torch.stack(expected))
    inputs = [*logits, *([means] if k else []), *([log_variances] if learned and k else [])]
    weight = torch.arange(1.0, len(found) + 1)
    for one, other in zip(
        torch.autograd.grad((weight * found).sum(), inputs),
        torch.autograd.grad((weight * torch.stack(expected)).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_code_loss_of_certainty():
    codes = torch.eye(3)
    found = code_loss([1000 * codes], [codes], torch.zeros(3, 1), torch.zeros(3, 1))
    assert found.tolist() == pytest.approx([0, 0.5 * math.log(2 * math.pi)])
    wrong = code_loss([1000 * codes.flip(0)], [codes], torch.ones(3, 1), torch.zeros(3, 1))
    assert wrong.tolist() == pytest.approx([2000 / 3, 0.5 + 0.5 * math.log(2 * math.pi)])
    assert code_loss([codes.bfloat16()], [codes], codes.bfloat16(), codes).dtype == torch.float32


# -------------------------------------------------------------------- variational


def test_the_divergence_of_a_posterior_from_the_prior():
    torch.manual_seed(0)
    posterior = torch.randn(7, 6, requires_grad=True)
    mean, log_variance = posterior[:, :3], posterior[:, 3:]
    wanted = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()
    found = kl_from_standard(posterior)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(*(torch.autograd.grad(v, posterior)[0] for v in (found, wanted)))
    assert kl_from_standard(torch.zeros(2, 8)) == 0
    # By hand: (m^2 + s^2 - 1 - ln s^2) / 2 of m = 2, s = 1 and of m = 0, s^2 = e.
    row = torch.tensor([[2.0, 0.0, 0.0, 1.0]])
    assert kl_from_standard(row).item() == pytest.approx(2 + (math.e - 2) / 2)
    assert kl_from_standard(row.repeat(5, 1)).item() == pytest.approx(2 + (math.e - 2) / 2)
    assert kl_from_standard(row.bfloat16()).dtype == torch.float32


def test_log_variances_beyond_ten_are_taken_for_ten():
    row = torch.tensor([[0.0, 0.0, 99.0, -99.0]], requires_grad=True)
    value = kl_from_standard(row)
    assert value.item() == pytest.approx(0.5 * (math.exp(10) - 11 + math.exp(-10) + 9), rel=1e-5)
    z = draw(row, torch.ones(1, 2))
    assert z.tolist()[0] == pytest.approx([math.exp(5), math.exp(-5)])
    # Back to where they count, but no further away.
    (slope,) = torch.autograd.grad(value + z.sum(), row)
    back = [(math.exp(10) - 1 + math.exp(5)) / 2, (math.exp(-10) - 1) / 2]
    assert slope.tolist()[0] == pytest.approx([1.0, 1.0, *back], rel=1e-5)
    (slope,) = torch.autograd.grad(-kl_from_standard(row), row)
    assert slope.tolist()[0] == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods(name):
    torch.manual_seed(0)
    logits, x = torch.randn(6, 2, 3, requires_grad=True), torch.rand(6, 2, 3)
    made = torch.sigmoid(logits)
    law = Bernoulli(logits=logits, validate_args=False) if name == "bernoulli" else Normal(made, 1)
    constant = 0.0 if name == "bernoulli" else 3 * math.log(2 * math.pi)  # of 6 pixels
    wanted = -law.log_prob(x).flatten(1).sum(1).mean() - constant
    found = LIKELIHOODS[name](logits, x)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(*(torch.autograd.grad(v, logits)[0] for v in (found, wanted)))
    assert LIKELIHOODS[name](logits.bfloat16(), x).dtype == torch.float32


@pytest.mark.parametrize("size", [0.0, 1.0, 10.0, 17.0, 20.0, 40.0, 88.0, 500.0])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("x", [0.0, 0.25, 1.0])
def test_a_confident_wrong_pixel_is_told(size, sign, x):
    logit = torch.tensor([[sign * size]], requires_grad=True)
    found = LIKELIHOODS["bernoulli"](logit, torch.tensor([[x]]))
    exact = logit.detach().double()
    assert found.item() == pytest.approx((F.softplus(exact) - x * exact).item(), rel=1e-5, abs=1e-5)
    (slope,) = torch.autograd.grad(found, logit)
    assert slope.item() == pytest.approx(torch.sigmoid(exact).item() - x, abs=1e-6)


def test_no_cost_under_autocast_is_in_bf16():
    logits, x = torch.full((2, 3), 40.0).bfloat16(), torch.zeros(2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert LIKELIHOODS["bernoulli"](logits, x).item() == 120.0
        assert LIKELIHOODS["gaussian"](logits, x).dtype == torch.float32


def test_half_the_squared_error():
    found = half_squared_error(torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.zeros(2, 2))
    assert found.item() == 2.5


@pytest.mark.parametrize(
    ("x", "up", "passes"),
    [(0.0, 1, 1), (0.0, -1, 1), (5.0, 1, 1), (5.0, -1, 0), (-5.0, 1, 0), (-5.0, -1, 1)],
)
def test_bounded_numbers_can_come_back(x, up, passes):
    value = torch.tensor(x, requires_grad=True)
    out = bounded(value, -2.0, 1.0)
    assert out.item() == max(min(x, 1.0), -2.0)
    (slope,) = torch.autograd.grad(up * 3 * out, value)
    assert slope.item() == up * 3 * passes
