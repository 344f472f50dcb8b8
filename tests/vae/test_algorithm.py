"""The bound of the paper, differentiated by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from repkit.nets import Generator, UnitInterval
from repkit.schedules import early_rise
from repkit.vae.algorithm import Objective, vae

from ..updates import (
    BATCH,
    LATENT,
    ROWS,
    WIDTH,
    assert_close,
    assert_counted,
    assert_modes,
    bend,
    data,
    descend,
    drawn,
    engine_of,
    gradients,
    net,
    table,
    twins,
    weights,
)

OPTIONS = {
    "bernoulli": {},
    "gaussian": {"likelihood": "gaussian"},
    "beta": {"beta": 3.0},
    "no divergence": {"beta": 0.0},
    "augment": {"augment": lambda x: x.square()},
    "everything": {"likelihood": "gaussian", "beta": 0.3, "augment": bend},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


pytestmark = pytest.mark.usefixtures("seeded")


def make(position=50, nets=None, batches=None, precision="fp32", **options):
    nets = nets or {
        "E": net(WIDTH, 2 * LATENT),
        "G": Generator(net(LATENT, WIDTH), UnitInterval()),
    }
    system = vae(nets, latent_dim=LATENT, objective=Objective(**options))
    batches = batches or data(torch.sigmoid(table()))
    return engine_of(system, batches, precision=precision, position=position)


def bound(n, x, noise, weight=1.0, beta=1.0, likelihood="bernoulli", augment=None):
    """``-log p(x|z) + beta KL``, from torch's own distributions."""
    x = augment(x) if augment else x
    mean, log_variance = n.E(x).split(LATENT, 1)
    posterior = Normal(mean, (log_variance / 2).exp())
    kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum() / BATCH
    out = n.G(mean + posterior.stddev * noise)
    if likelihood == "gaussian":
        constant = WIDTH * np.log(2 * np.pi) / 2
        likely = -Normal(out, 1.0).log_prob(x).sum() / BATCH - constant
    else:
        likely = -Bernoulli(out, validate_args=False).log_prob(x).sum() / BATCH
    return likely + weight * beta * kl, {"reconstruction_loss": likely, "kl": kl}


@pytest.mark.parametrize(("position", "weight"), [(0, 0.0), (4, 0.4), (50, 1.0)])
@every_option
def test_the_gradient_is_that_of_the_bound(options, position, weight):
    engine = make(position, **options)
    n, x = twins(engine), engine.batches.at(position).x
    noise = drawn(engine).noise
    engine.step()
    expected, logs = bound(n, x, noise, weight, **options)
    wanted = descend(n, {"E": expected, "G": expected})
    assert min(max(g.abs().max() for g in network) for network in wanted.values()) > 1e-3
    assert_close(gradients(engine), wanted)
    assert_close(weights(engine.system.networks), weights(n))
    means, _ = engine.read()
    assert means["loss_EG"] == pytest.approx(expected.item(), rel=1e-4)
    for name, value in logs.items():
        assert means[name] == pytest.approx(value.item(), rel=1e-4)


@pytest.mark.parametrize("logit", [20.0, 40.0, -40.0])
def test_a_decoder_that_is_sure_and_wrong_learns(logit):
    nets = {"E": net(WIDTH, 2 * LATENT), "G": Generator(nn.Linear(LATENT, WIDTH), UnitInterval())}
    nn.init.zeros_(nets["G"][0].weight)
    nn.init.constant_(nets["G"][0].bias, logit)
    wrong = torch.full((ROWS, WIDTH), float(logit < 0))
    engine = make(0, nets, data(wrong))
    engine.step()
    slopes = gradients(engine)
    bias = [g for network in slopes.values() for g in network if g.shape == (WIDTH,)][-1]
    torch.testing.assert_close(bias, torch.full((WIDTH,), math.copysign(1.0, logit)))
    means, _ = engine.read()
    assert means["reconstruction_loss"] == pytest.approx(WIDTH * abs(logit), rel=1e-5)


def test_the_divergence_counts_fully_after_a_tenth():
    assert [early_rise(p) for p in (0.0, 0.05, 0.1, 0.5, 1.0)] == pytest.approx([0, 0.5, 1, 1, 1])


def test_running_statistics():
    engine = make()
    n, x = twins(engine), engine.batches.at(50).x
    noise = drawn(engine).noise
    engine.step()
    nets = engine.system.networks
    assert_counted(nets["E"][1], [n.E[0](x)])
    mean, log_variance = n.E(x).split(LATENT, 1)
    assert_counted(nets["G"][0][1], [n.G[0][0](mean + (log_variance / 2).exp() * noise)])
    assert_modes(nets)
