"""Every gradient of the algorithm against the formula of the paper, differentiated by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from repkit.base.parts import Discriminator
from repkit.bigan.algorithm import Objective, bigan

from ..updates import (
    BATCH,
    LATENT,
    WIDTH,
    assert_close,
    assert_counted,
    assert_modes,
    assert_same,
    bend,
    descend,
    drawn,
    engine_of,
    gradients,
    net,
    twins,
    weights,
)

OPTIONS = {
    "logistic": {},
    "hinge": {"loss": "hinge"},
    "unary": {"columns": 3},
    "unary hinge": {"columns": 3, "loss": "hinge"},
    "normal": {"prior": "normal"},
    "stochastic": {"stochastic": True, "prior": "normal"},
    "latent cycle": {"latent_cycle": 0.7},
    "data cycle": {"data_cycle": 0.6},
    "augment": {"augment": bend},
    "everything": {
        "columns": 3,
        "loss": "hinge",
        "stochastic": True,
        "prior": "normal",
        "latent_cycle": 0.7,
        "data_cycle": 0.6,
        "augment": bend,
    },
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


pytestmark = pytest.mark.usefixtures("seeded")


class Judge(nn.Module):
    """D of pairs."""

    def __init__(self, columns, width=WIDTH):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width + LATENT, 6), nn.Tanh(), nn.Linear(6, columns))

    def forward(self, x, z):
        return self.net(torch.cat([x.flatten(1), z], 1))


def networks(columns=1, stochastic=False):
    return {
        "E": net(WIDTH, LATENT * (1 + stochastic)),
        "G": net(LATENT, WIDTH),
        "D": Judge(columns),
    }


def make(
    columns=1,
    prior="uniform",
    nets=None,
    batches=None,
    rate=0.1,
    precision="fp32",
    loss="logistic",
    r1=0.0,
    r1_every=16,
    **o,
):
    nets = nets or networks(columns, o.get("stochastic", False))
    o.setdefault("data_cycle", 0.0)  # as in the paper
    objective = Objective(discriminator=Discriminator(loss=loss, r1=r1), **o)
    system = bigan(nets, latent_dim=LATENT, prior=prior, objective=objective, r1_every=r1_every)
    return engine_of(system, batches, rate, precision)


def real_pair(n, x, b, stochastic=False, augment=None, **_):
    x = augment(x) if augment else x
    e = n.E(x)
    if stochastic:
        e = e[:, :LATENT] + e[:, LATENT:].exp().sqrt() * b.noise
    return x, e


def losses(n, x, b, loss="logistic", latent_cycle=0.0, data_cycle=0.0, **options):
    """What D, E and G minimize, written out."""
    x, e = real_pair(n, x, b, **options)
    g = n.G(b.z)
    real, fake = n.D(x, e), n.D(g, b.z)
    if loss == "logistic":
        p_real, p_fake = 1 / (1 + (-real).exp()), 1 / (1 + (-fake).exp())
        d = -(p_real.log() + (1 - p_fake).log()) / 2
        ge = -((1 - p_real).log() + p_fake.log()) / 2
    else:
        d = ((1 - real).clamp(min=0) + (1 + fake).clamp(min=0)) / 2
        ge = (real - fake) / 2
    d, ge = d.sum() / BATCH, ge.sum() / BATCH
    latent = ((b.z - n.E(g)[:, :LATENT]) ** 2).sum() / (BATCH * LATENT)
    back = ((x - n.G(e)) ** 2).sum() / (BATCH * WIDTH)
    both = ge + data_cycle * back
    logs = {"adversarial_loss": ge, "latent_cycle_loss": latent, "data_cycle_loss": back}
    return {"D": d, "E": both + latent_cycle * latent, "G": both}, logs


# -------------------------------------------------------------------- gradients


@every_option
def test_gradients_are_those_of_the_paper(options):
    """All three from one forward pass: D has not moved when G and E are differentiated."""
    engine = make(**options)
    n, x, b = twins(engine), engine.batches.at(0).x, drawn(engine)
    engine.step()
    expected, logs = losses(n, x, b, **options)
    wanted = descend(n, expected)
    assert min(max(g.abs().max() for g in network) for network in wanted.values()) > 5e-3
    assert_close(gradients(engine), wanted)
    assert_close(weights(engine.system.networks), weights(n))
    means, _ = engine.read()
    assert means["loss_D"] == pytest.approx(expected["D"].item(), rel=1e-4)
    for name in logs.keys() & means.keys():
        assert means[name] == pytest.approx(logs[name].item(), rel=1e-4)
    assert ("latent_cycle_loss" in means) == ("latent_cycle" in options)
    assert ("data_cycle_loss" in means) == ("data_cycle" in options)


def test_the_shares_that_are_called_real():
    engine = make(columns=3)
    n, x, b = twins(engine), engine.batches.at(0).x, drawn(engine)
    engine.step()
    real, fake = n.D(x, n.E(x))[:, 0], n.D(n.G(b.z), b.z)[:, 0]
    means, _ = engine.read()
    assert means["d_real"] == sum(t > 0 for t in real.tolist()) / BATCH
    assert means["d_fake"] == sum(t > 0 for t in fake.tolist()) / BATCH
    assert means["d_real"] != means["d_fake"]


@pytest.mark.parametrize("options", [{}, {"columns": 3}, OPTIONS["stochastic"], OPTIONS["augment"]])
def test_the_gradient_penalty(options):
    """Of D at the real pairs as they are after the step of all, times the steps between two."""
    engine = make(r1=0.7, r1_every=3, **options)
    n, x, b = twins(engine), engine.batches.at(0).x, drawn(engine)
    engine.step()
    first = descend(n, losses(n, x, b, **options)[0])
    x, e = (t.detach().requires_grad_() for t in real_pair(n, x, b, **options))
    at_x, at_e = torch.autograd.grad(n.D(x, e).sum(), (x, e), create_graph=True)
    r1 = ((at_x**2).sum() + (at_e**2).sum()) / (2 * BATCH)
    wanted = descend(n, {"D": 0.7 * 3 * r1})
    assert max(g.abs().max() for g in wanted["D"]) > 1e-2
    assert_close(gradients(engine), first | wanted)
    assert_close(weights(engine.system.networks), weights(n))
    assert engine.read()[0]["r1"] == pytest.approx(r1.item(), rel=1e-4)


# -------------------------------------------------------------------- who works against whom


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
@pytest.mark.parametrize(("name", "real", "fake"), [("D", 1, -1), ("E", -1, 0), ("G", 0, 1)])
def test_which_way_a_step_of_each_network_pushes_the_logits(loss, name, real, fake):
    """D pushes D(x, E(x)) up and D(G(z), z) down; E the former down, G the latter up."""
    nets = networks()
    for other in set(nets) - {name}:
        nets[other].requires_grad_(False)
    engine = make(nets=nets, loss=loss, rate=1e-2)
    n, x, b = twins(engine), engine.batches.at(0).x, drawn(engine)

    def logits(n):
        return n.D(x, n.E(x)).mean().item(), n.D(n.G(b.z), b.z).mean().item()

    before = logits(n)
    engine.step()
    after = logits(twins(engine))
    for sign, old, new in zip((real, fake), before, after, strict=True):
        assert np.sign(round(new - old, 6)) == sign


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
@pytest.mark.parametrize("columns", [1, 3])
def test_each_player_lowers_its_own_loss(loss, columns):
    for group, frozen in {"D": "EG", "GE": "D"}.items():
        nets = networks(columns)
        for name in frozen:
            nets[name].requires_grad_(False)
        before = weights({k: nets[k] for k in frozen})
        engine = make(nets=nets, loss=loss, rate=0.5)
        values = []
        for _ in range(4):
            engine.begin_epoch()
            for _ in range(10):
                engine.step()
            values.append(engine.read()[0][f"loss_{group}"])
        assert values[-1] < values[0] - 0.02
        for name in frozen:
            assert_same(weights(nets)[name], before[name])


# -------------------------------------------------------------------- what a term must not touch


def first_gradients(**options):
    torch.manual_seed(7)
    engine = make(**options)
    engine.step()
    return gradients(engine)


def test_the_latent_cycle_has_a_gradient_in_the_encoder_alone():
    without, found = first_gradients(), first_gradients(latent_cycle=5.0)
    assert_same([found["G"], found["D"]], [without["G"], without["D"]])
    assert not torch.equal(found["E"][0], without["E"][0])


def test_the_data_cycle_has_a_gradient_in_encoder_and_generator():
    without, found = first_gradients(), first_gradients(data_cycle=5.0)
    assert_same(found["D"], without["D"])
    for name in "EG":
        assert not torch.equal(found[name][0], without[name][0])


@pytest.mark.parametrize("options", [{}, OPTIONS["everything"] | {"r1": 1.0, "r1_every": 1}])
def test_running_statistics(options):
    """E's are of real samples, G's of draws from the prior, each batch counted once."""
    engine = make(**options)
    n, x, b = twins(engine), engine.batches.at(0).x, drawn(engine)
    x = options["augment"](x) if options else x
    engine.step()
    nets = engine.system.networks
    assert_counted(nets["E"][1], [n.E[0](x)])
    assert_counted(nets["G"][1], [n.G[0](b.z)])
    assert_modes(nets)


# -------------------------------------------------------------------- data, noise, state


@pytest.mark.parametrize("prior", ["uniform", "normal"])
@pytest.mark.parametrize("stochastic", [False, True])
def test_the_noise_that_is_asked_for(prior, stochastic):
    objective = Objective(stochastic=stochastic)
    noise = bigan(networks(), latent_dim=LATENT, prior=prior, objective=objective).noise
    expected = {"z": ((LATENT,), prior)} | ({"noise": ((LATENT,), "normal")} if stochastic else {})
    assert {name: (n.shape, n.kind) for name, n in noise.items()} == expected
