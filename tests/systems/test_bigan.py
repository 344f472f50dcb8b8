"""Every gradient of the algorithm against the formula of the paper, differentiated by hand."""

import copy
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from repkit.data import Batches, mix
from repkit.engine import Engine
from repkit.rng import isolated_rng
from repkit.systems.bigan import Objective, bigan, draw

CPU = torch.device("cpu")
ROWS, BATCH, WIDTH, LATENT, RATE = 40, 8, 4, 3, 0.1


def bend(x):
    """Batch norm would take a linear map away."""
    return x + 0.5 * x.sin()


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


@pytest.fixture(autouse=True)
def _seeded():
    with isolated_rng(CPU):
        torch.manual_seed(0)
        yield


class Judge(nn.Module):
    """D of pairs."""

    def __init__(self, columns):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(WIDTH + LATENT, 6), nn.Tanh(), nn.Linear(6, columns))

    def forward(self, x, z):
        return self.net(torch.cat([x, z], 1))


def networks(columns=1, stochastic=False):
    def net(inputs, outputs):
        return nn.Sequential(
            nn.Linear(inputs, 6, bias=False), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, outputs)
        )

    return {
        "E": net(WIDTH, LATENT * (1 + stochastic)),
        "G": net(LATENT, WIDTH),
        "D": Judge(columns),
    }


def data():
    x = np.random.default_rng(0).normal(size=(ROWS, WIDTH)) * [1, 2, 0.5, 1] + [0, 1, 2, 3]
    return Batches(
        {"x": torch.tensor(x, dtype=torch.float32)}, [(np.arange(ROWS), BATCH)], seed=0, device=CPU
    )


def make(
    columns=1,
    prior="uniform",
    nets=None,
    batches=None,
    rate=RATE,
    phases=None,
    precision="fp32",
    **objective,
):
    nets = nets or networks(columns, objective.get("stochastic", False))
    system = bigan(nets, latent_dim=LATENT, prior=prior, objective=Objective(**objective))
    if phases is not None:
        system = dataclasses.replace(system, phases=system.phases[phases])
    engine = Engine(
        system,
        batches or data(),
        optimizer=lambda p: torch.optim.SGD(p, rate),
        total_steps=100,
        seed=0,
        precision=precision,
    )
    engine.train_mode()
    return engine


def twins(engine):
    return SimpleNamespace(**copy.deepcopy(dict(engine.system.networks)))


def drawn(prior="uniform"):
    """The first step's z and noise."""
    generator = torch.Generator().manual_seed(mix(0, 1, 0))
    z = torch.empty(BATCH, LATENT)
    if prior == "uniform":
        z.uniform_(-1, 1, generator=generator)
    else:
        z.normal_(generator=generator)
    return z, torch.empty(BATCH, LATENT).normal_(generator=generator)


def gradients(networks):
    return {k: [p.grad for p in m.parameters()] for k, m in networks.items()}


def grad(loss, network):
    """With zeros for what the loss does not reach."""
    parameters = list(network.parameters())
    return list(torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True))


def descend(n, losses):
    """The gradients of each network's own loss, and a step along all of them."""
    found = {name: grad(loss, getattr(n, name)) for name, loss in losses.items()}
    with torch.no_grad():
        for name, gradient in found.items():
            for p, g in zip(getattr(n, name).parameters(), gradient, strict=True):
                p -= RATE * g
    return found


def assert_close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-6)


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def weights(networks):
    return {k: [p.detach().clone() for p in m.parameters()] for k, m in networks.items()}


def states(networks):
    return copy.deepcopy({k: m.state_dict() for k, m in networks.items()})


def real_pair(n, x, noise, stochastic=False, augment=None, **_):
    x = augment(x) if augment else x
    e = n.E(x)
    if stochastic:
        e = e[:, :LATENT] + e[:, LATENT:].exp().sqrt() * noise
    return x, e


def losses(n, x, z, noise, loss="logistic", latent_cycle=0.0, data_cycle=0.0, **options):
    """What D, E and G minimise, written out."""
    x, e = real_pair(n, x, noise, **options)
    g = n.G(z)
    real, fake = n.D(x, e), n.D(g, z)
    if loss == "logistic":
        p_real, p_fake = 1 / (1 + (-real).exp()), 1 / (1 + (-fake).exp())
        d = -(p_real.log() + (1 - p_fake).log()) / 2
        ge = -((1 - p_real).log() + p_fake.log()) / 2
    else:
        d = ((1 - real).clamp(min=0) + (1 + fake).clamp(min=0)) / 2
        ge = (real - fake) / 2
    d, ge = d.sum() / BATCH, ge.sum() / BATCH
    latent = ((z - n.E(g)[:, :LATENT]) ** 2).sum() / (BATCH * LATENT)
    back = ((x - n.G(e)) ** 2).sum() / (BATCH * WIDTH)
    both = ge + data_cycle * back
    logs = {"adversarial_loss": ge, "latent_cycle_loss": latent, "data_cycle_loss": back}
    return {"D": d, "E": both + latent_cycle * latent, "G": both}, logs


# -------------------------------------------------------------------- gradients


@every_option
def test_gradients_are_those_of_the_paper(options):
    """All three from one forward pass: D has not moved when G and E are differentiated."""
    engine = make(**options)
    n, x = twins(engine), engine.batches.at(0).x
    z, noise = drawn(options.get("prior", "uniform"))
    engine.step()
    expected, logs = losses(n, x, z, noise, **options)
    wanted = descend(n, expected)
    assert min(max(g.abs().max() for g in network) for network in wanted.values()) > 1e-2
    assert_close(gradients(engine.system.networks), wanted)
    assert_close(weights(engine.system.networks), weights(vars(n)))
    means, _ = engine.read()
    assert means["loss_D"] == pytest.approx(expected["D"].item(), rel=1e-4)
    for name in logs.keys() & means.keys():
        assert means[name] == pytest.approx(logs[name].item(), rel=1e-4)
    assert ("latent_cycle_loss" in means) == ("latent_cycle" in options)
    assert ("data_cycle_loss" in means) == ("data_cycle" in options)


def test_the_shares_that_are_called_real():
    engine = make(columns=3)
    n, x = twins(engine), engine.batches.at(0).x
    z, _ = drawn()
    engine.step()
    real, fake = n.D(x, n.E(x))[:, 0], n.D(n.G(z), z)[:, 0]
    means, _ = engine.read()
    assert means["d_real"] == sum(t > 0 for t in real.tolist()) / BATCH
    assert means["d_fake"] == sum(t > 0 for t in fake.tolist()) / BATCH
    assert means["d_real"] != means["d_fake"]


@pytest.mark.parametrize("options", [{}, {"columns": 3}, OPTIONS["stochastic"], OPTIONS["augment"]])
def test_the_gradient_penalty(options):
    """Of D at the real pairs as they are after the step of all, times the steps between two."""
    engine = make(r1=0.7, r1_every=3, **options)
    n, x = twins(engine), engine.batches.at(0).x
    z, noise = drawn(options.get("prior", "uniform"))
    engine.step()
    first = descend(n, losses(n, x, z, noise, **options)[0])
    x, e = (t.detach().requires_grad_() for t in real_pair(n, x, noise, **options))
    at_x, at_e = torch.autograd.grad(n.D(x, e).sum(), (x, e), create_graph=True)
    r1 = ((at_x**2).sum() + (at_e**2).sum()) / (2 * BATCH)
    wanted = descend(n, {"D": 0.7 * 3 * r1})
    assert max(g.abs().max() for g in wanted["D"]) > 1e-2
    assert_close(gradients(engine.system.networks), first | wanted)
    assert_close(weights(engine.system.networks), weights(vars(n)))
    assert engine.read()[0]["r1"] == pytest.approx(r1.item(), rel=1e-4)


def test_the_gradient_penalty_comes_at_every_so_many_steps():
    engine = make(r1=0.7, r1_every=3)
    for step in range(7):
        engine.begin_epoch()
        engine.step()
        assert ("r1" in engine.read()[0]) == (step in (0, 3, 6))


def test_the_gradient_penalty_moves_only_d():
    engine = make(r1=0.7, r1_every=1, phases=slice(1, None), **OPTIONS["stochastic"])
    before = states(engine.system.networks)
    values = []
    for _ in range(30):
        engine.begin_epoch()
        engine.step()
        values.append(engine.read()[0]["r1"])
    after = states(engine.system.networks)
    assert_same([after["E"], after["G"]], [before["E"], before["G"]])
    assert not torch.equal(after["D"]["net.0.weight"], before["D"]["net.0.weight"])
    assert values[-1] < 0.5 * values[0]


# -------------------------------------------------------------------- who works against whom


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
@pytest.mark.parametrize(("name", "real", "fake"), [("D", 1, -1), ("E", -1, 0), ("G", 0, 1)])
def test_which_way_a_step_of_each_network_pushes_the_logits(loss, name, real, fake):
    """D pushes D(x, E(x)) up and D(G(z), z) down; E the former down, G the latter up."""
    nets = networks()
    for other in set(nets) - {name}:
        nets[other].requires_grad_(False)
    engine = make(nets=nets, loss=loss, rate=1e-2)
    n, x = twins(engine), engine.batches.at(0).x
    z, _ = drawn()

    def logits(n):
        return n.D(x, n.E(x)).mean().item(), n.D(n.G(z), z).mean().item()

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


@every_option
def test_every_weight_moves_in_a_step(options):
    engine = make(**options)
    before = weights(engine.system.networks)
    engine.step()
    for name, moved in weights(engine.system.networks).items():
        for old, new in zip(before[name], moved, strict=True):
            # The halves of the hinge loss cancel in the last bias of D.
            assert new.ndim < 2 or not torch.equal(new, old)


# -------------------------------------------------------------------- what a term must not touch


def first_gradients(**options):
    torch.manual_seed(7)
    engine = make(**options)
    engine.step()
    return copy.deepcopy(gradients(engine.system.networks))


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
    nets, first = engine.system.networks, twins(engine)
    x = engine.batches.at(0).x
    x = options["augment"](x) if options else x
    z, _ = drawn(options.get("prior", "uniform"))
    engine.step()
    for name, seen in {"E": x, "G": z}.items():
        hidden, norm = getattr(first, name)[0](seen), nets[name][1]
        assert_close(norm.running_mean, 0.1 * hidden.mean(0))
        assert_close(norm.running_var, 0.9 + 0.1 * hidden.var(0))
        assert norm.num_batches_tracked == 1
    for network in nets.values():
        assert all(m.training for m in network.modules())
        assert all(getattr(m, "track_running_stats", True) for m in network.modules())


# -------------------------------------------------------------------- data, noise, state


def test_images_of_bytes_are_scaled():
    nets = networks()
    nets["E"] = nn.Sequential(nn.Flatten(), nn.Linear(12, LATENT))
    nets["G"] = nn.Sequential(nn.Linear(LATENT, 12), nn.Unflatten(1, (3, 2, 2)))
    batches, seen = data(), []
    images = torch.randint(0, 256, (ROWS, 3, 2, 2), dtype=torch.uint8)
    batches.stores["x"] = images.to(memory_format=torch.channels_last)

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x, z):
            seen.append(x.detach().clone())
            return self.scale * (x.flatten(1).sum(1, keepdim=True) + z.sum(1, keepdim=True))

    make(nets={**nets, "D": Spy()}, batches=batches).step()
    assert_same(seen[0], batches.at(0).x.float() / 255)


def test_a_draw_has_the_mean_and_the_variance_that_were_given():
    statistics = torch.tensor([[1.0, -2.0, 0.0, 2.0]])
    noise = torch.randn(20000, 2)
    z = draw(statistics.expand(20000, 4), noise)
    assert_close(z[:, 0], 1 + noise[:, 0])
    assert_close(z[:, 1], -2 + np.e * noise[:, 1])


def test_log_variances_are_clipped():
    statistics = torch.tensor([[0.0, 0, 0, 12, -12, 3]], requires_grad=True)
    z = draw(statistics, torch.ones(1, 3))
    assert z.tolist()[0] == pytest.approx([np.exp(5), np.exp(-5), np.exp(1.5)], rel=1e-5)
    (found,) = torch.autograd.grad(z.sum(), statistics)
    assert found.tolist()[0] == pytest.approx([1, 1, 1, 0, 0, 0.5 * np.exp(1.5)], rel=1e-5)


@pytest.mark.parametrize("r1_every", [1, 4])
def test_a_run_goes_on_from_an_epoch_s_end_bit_by_bit(r1_every):
    options = OPTIONS["everything"] | {
        "augment": lambda x: x + 0.1 * torch.randn_like(x),
        "r1": 0.5,
        "r1_every": r1_every,
    }

    def train(engine, epochs):
        for _ in range(epochs):
            engine.begin_epoch()
            for _ in range(engine.batches.steps_per_epoch):
                engine.step()

    whole = make(**options)
    train(whole, 2)
    state = whole.state_dict()
    train(whole, 2)
    torch.manual_seed(99)
    resumed = make(**options)
    resumed.load_state_dict(state)
    train(resumed, 2)
    assert resumed.position == 4 * -(-ROWS // BATCH)
    assert_same(resumed.state_dict(), whole.state_dict())


def test_bf16():
    engine = make(**OPTIONS["everything"], r1=0.5, r1_every=2, precision="bf16")
    for _ in range(4):
        engine.step()
    means, bad = engine.read()
    assert bad is None
    assert {"loss_D", "loss_GE", "r1", "latent_cycle_loss", "data_cycle_loss"} <= set(means)
    assert engine.broken() is None


@pytest.mark.parametrize("prior", ["uniform", "normal"])
@pytest.mark.parametrize("stochastic", [False, True])
def test_the_noise_that_is_asked_for(prior, stochastic):
    objective = Objective(stochastic=stochastic)
    noise = bigan(networks(), latent_dim=LATENT, prior=prior, objective=objective).noise
    expected = {"z": ((LATENT,), prior)} | ({"noise": ((LATENT,), "normal")} if stochastic else {})
    assert {name: (n.shape, n.kind) for name, n in noise.items()} == expected
