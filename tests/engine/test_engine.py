"""The engine against gradients taken by hand and loops written out."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from repkit.engine.batches import Batches, to_device, to_float
from repkit.engine.engine import Engine, copy_state
from repkit.engine.optim import SGD, Adam
from repkit.engine.rng import Kind, seed_of
from repkit.engine.system import Noise, Phase, System

CPU = torch.device("cpu")
ROWS, BATCH, LATENT = 48, 16, 3


pytestmark = pytest.mark.usefixtures("seeded")


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.1, momentum=0.9)


def adam(parameters):
    return torch.optim.Adam(parameters, 0.01, fused=True)


def data(dtype=np.float32, shape=(4,), device=CPU, seed=5):
    rng = np.random.default_rng(0)
    x = (
        rng.integers(0, 256, (ROWS, *shape))
        if dtype == np.uint8
        else rng.normal(size=(ROWS, *shape))
    )
    return Batches(
        {"x": to_device(x.astype(dtype), device)},
        [(np.arange(ROWS), BATCH)],
        seed=seed,
        device=device,
    )


def small(inputs, outputs):
    """No bias before batch norm: its gradient is rounding, which Adam would blow up."""
    return nn.Sequential(
        nn.Linear(inputs, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, outputs)
    )


def d_loss(real, fake):
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def g_loss(fake):
    return F.softplus(-fake).mean()


def gan(how="shared", **options):
    """A generative adversarial network: one forward pass for both losses, or a phase for each."""
    networks = {"G": small(LATENT, 4), "D": small(4, 1)}

    def forward(n, b):
        b.fake = n.G(b.z)

    def both(n, b):
        real, fake = n.D(b.x), n.D(b.fake)
        return {"D": d_loss(real, fake), "G": g_loss(fake), "margin": (real - fake).mean()}

    def discriminator(n, b):
        return {"D": d_loss(n.D(b.x), n.D(n.G(b.z)))}

    def generator(n, b):
        return {"G": g_loss(n.D(n.G(b.z)))}

    if how == "shared":
        options = {"phases": (Phase(both),), "forward": forward, **options}
    else:
        options = {"phases": (Phase(discriminator, ("D",)), Phase(generator, ("G",))), **options}
    return System(networks, {"D": ("D",), "G": ("G",)}, noise={"z": Noise((LATENT,))}, **options)


def autoencoder():
    """Two groups whose losses overlap: the encoder's also goes through the decoder."""
    networks = {"E": small(4, 2), "G": small(2, 4)}

    def forward(n, b):
        b.z = n.E(b.x)
        b.back = n.G(b.z)

    def losses(n, b):
        error = F.mse_loss(b.back, b.x)
        return {"E": error + 0.1 * b.z.square().mean(), "G": 3.0 * error}

    return System(networks, {"E": ("E",), "G": ("G",)}, (Phase(losses),), forward=forward)


def make(system, optimizer=sgd, batches=None, **options):
    batches = batches or data()
    engine = Engine(system, batches, optimizer=optimizer, total_steps=10, seed=1, **options)
    engine.train_mode()
    return engine


def weights(networks):
    return copy_state({k: m.state_dict() for k, m in networks.items()})


def assert_same(a, b, **tolerance):
    torch.testing.assert_close(a, b, **({"rtol": 0, "atol": 0} | tolerance))


def noise_of(seed, position, draws=1):
    """The noise of the first ``draws`` draws since an epoch began."""
    generator = torch.Generator().manual_seed(seed_of(seed, Kind.NOISE, position))
    return [torch.empty(BATCH, LATENT).normal_(generator=generator) for _ in range(draws)]


# -------------------------------------------------------------------- gradients


@pytest.mark.parametrize("phases", ["shared", "apart"])
def test_each_group_gets_the_gradient_of_its_own_loss(phases):
    system = gan(phases)
    engine = make(system)
    twin = SimpleNamespace(**copy.deepcopy(dict(system.networks)))
    x, (z,) = engine.batches.at(0).x, noise_of(1, 0)
    engine.step()

    d = d_loss(twin.D(x), twin.D(twin.G(z)))
    expected = torch.autograd.grad(d, list(twin.D.parameters()))
    assert_same([p.grad for p in system.networks["D"].parameters()], list(expected), atol=1e-6)

    if phases == "apart":  # D has moved before the generator's turn
        with torch.no_grad():
            for p, g in zip(twin.D.parameters(), expected, strict=True):
                p -= 0.1 * g
    expected = torch.autograd.grad(g_loss(twin.D(twin.G(z))), list(twin.G.parameters()))
    assert any(g.abs().max() > 1e-3 for g in expected)
    assert_same([p.grad for p in system.networks["G"].parameters()], list(expected), atol=1e-6)


def test_overlapping_losses_of_one_pass():
    system = autoencoder()
    engine = make(system)
    twin = SimpleNamespace(**copy.deepcopy(dict(system.networks)))
    x = engine.batches.at(0).x
    engine.step()
    z = twin.E(x)
    error = F.mse_loss(twin.G(z), x)
    for name, loss in {"E": error + 0.1 * z.square().mean(), "G": 3.0 * error}.items():
        expected = torch.autograd.grad(
            loss, list(getattr(twin, name).parameters()), retain_graph=True
        )
        found = [p.grad for p in system.networks[name].parameters()]
        assert_same(found, list(expected), atol=1e-6)


def test_a_group_of_two_networks_has_one_optimizer():
    system = autoencoder()
    system = System(
        system.networks,
        {"net": ("E", "G")},
        (Phase(lambda n, b: {"net": F.mse_loss(b.back, b.x)}),),
        forward=system.forward,
    )
    engine = make(system)
    before = weights(system.networks)
    engine.step()
    assert list(engine.optimizers) == ["net"]
    for name, network in system.networks.items():
        assert not torch.equal(before[name]["0.weight"], network[0].weight)


def test_all_groups_move_from_the_same_point():
    """Simultaneous updates: neither group sees the other's step."""
    networks = {"a": nn.Linear(1, 1, bias=False), "b": nn.Linear(1, 1, bias=False)}

    def product(n, b):
        value = (n.a.weight * n.b.weight).sum()
        return {"a": value, "b": -value}

    system = System(networks, {"a": ("a",), "b": ("b",)}, (Phase(product),))
    a, b = (networks[k].weight.item() for k in "ab")
    make(system, lambda p: torch.optim.SGD(p, 0.1)).step()
    assert networks["a"].weight.item() == pytest.approx(a - 0.1 * b, rel=1e-6)
    assert networks["b"].weight.item() == pytest.approx(b + 0.1 * a, rel=1e-6)


# -------------------------------------------------------------------- whole steps


@pytest.mark.parametrize("optimizer", [sgd, adam, {"D": sgd, "G": adam}])
def test_steps_equal_a_loop_written_out(optimizer):
    """Plain descent to the last bit; Adam's kernel rounds short tensors in another way."""
    system = gan("shared")
    engine = make(system, optimizer)
    G, D = (copy.deepcopy(system.networks[k]) for k in "GD")
    makers = optimizer if isinstance(optimizer, dict) else dict.fromkeys("DG", optimizer)
    to_d, to_g = makers["D"](D.parameters()), makers["G"](G.parameters())
    for step, z in enumerate(noise_of(1, 0, draws=6)):
        engine.step()
        x = data().at(step).x
        fake = G(z)
        real, wrong = D(x), D(fake)
        d = torch.autograd.grad(d_loss(real, wrong), list(D.parameters()), retain_graph=True)
        g = torch.autograd.grad(g_loss(wrong), list(G.parameters()))
        for network, gradient in ((D, d), (G, g)):
            for p, value in zip(network.parameters(), gradient, strict=True):
                p.grad = value
        to_d.step()
        to_g.step()
    tolerance = {} if optimizer is sgd else {"rtol": 1e-5, "atol": 1e-6}
    assert_same(weights(system.networks), weights({"G": G, "D": D}), **tolerance)


def test_alternating_steps_equal_a_loop_written_out():
    """With every and times: D twice a step with fresh noise, G at every second step."""
    system = gan("apart")
    discriminator, generator = system.phases
    system = gan(
        "apart",
        phases=(
            Phase(discriminator.loss, ("D",), times=2),
            Phase(generator.loss, ("G",), every=2),
        ),
    )
    engine = make(system)
    G, D = (copy.deepcopy(system.networks[k]) for k in "GD")
    to_d, to_g = sgd(D.parameters()), sgd(G.parameters())

    def frozen(network):
        """The same weights; statistics that move here are thrown away."""
        return copy.deepcopy(network)

    noise = iter(noise_of(1, 0, draws=10))
    for step in range(5):
        engine.step()
        x = data().at(step).x
        for _ in range(2):
            z = next(noise)
            fake = frozen(G)(z)
            to_d.zero_grad()
            d_loss(D(x), D(fake.detach())).backward()
            to_d.step()
        if step % 2 == 0:
            to_g.zero_grad()
            g_loss(frozen(D)(G(z))).backward()
            to_g.step()
    assert_same(weights(system.networks), weights({"G": G, "D": D}), atol=1e-6)


# -------------------------------------------------------------------- what must not move


def test_a_phase_moves_its_own_groups_only():
    system = gan("apart")
    for phase, moving, still in zip(system.phases, "DG", "GD", strict=True):
        engine = make(gan("apart", phases=(phase,)))
        before = weights(engine.system.networks)
        for _ in range(3):
            engine.step()
        after = weights(engine.system.networks)
        assert_same(after[still], before[still])  # weights and running statistics
        assert all(
            not torch.equal(after[moving][k], before[moving][k])
            for k in ("0.weight", "1.running_mean", "1.running_var", "1.num_batches_tracked")
        )
        assert not any(p.grad.any() for p in engine.system.networks[still].parameters())


def test_a_shared_forward_moves_only_what_this_step_trains():
    def forward(n, b):
        b.fake = n.G(b.z)

    system = gan(
        "apart",
        forward=forward,
        phases=(
            Phase(lambda n, b: {"D": d_loss(n.D(b.x), n.D(b.fake))}, ("D",)),
            Phase(lambda n, b: {"G": g_loss(n.D(b.fake))}, ("G",), every=2),
        ),
    )
    engine = make(system)
    engine.step()
    before = weights(system.networks)
    assert before["G"]["1.num_batches_tracked"] == 1
    engine.step()  # without the generator's phase
    after = weights(system.networks)
    assert_same(after["G"], before["G"])
    assert not torch.equal(after["D"]["1.running_mean"], before["D"]["1.running_mean"])
    engine.step()
    assert system.networks["G"][1].num_batches_tracked == 2


def test_a_network_outside_the_groups_stays_as_it_is():
    networks = {"fixed": small(4, 4), "net": small(4, 4)}

    def forward(n, b):
        b.target = n.fixed(b.x)

    def loss(n, b):
        return {"net": F.mse_loss(n.net(b.x), b.target) + 0 * n.fixed(b.x).sum()}

    before = weights(networks)
    engine = make(System(networks, {"net": ("net",)}, (Phase(loss),), forward=forward))
    engine.step()
    assert_same(weights(networks)["fixed"], before["fixed"])


def test_statistics_move_again_after_a_phase_that_raised():
    def broken(n, b):
        raise KeyError("mine")

    system = gan("apart", phases=(Phase(broken, ("D",)),))
    with pytest.raises(KeyError, match="mine"):
        make(system).step()
    assert all(
        norm.track_running_stats for norm in (system.networks["G"][1], system.networks["D"][1])
    )


def test_frozen_parameters_stay():
    system = autoencoder()
    frozen = system.networks["E"][0].weight.requires_grad_(False)
    before = frozen.clone()
    engine = make(system)
    engine.step()
    assert_same(frozen, before)
    system = autoencoder()
    system.networks["E"].requires_grad_(False)
    engine = make(system)
    engine.step()  # a group without anything to train
    assert list(engine.optimizers) == ["G"]


def test_statistics_of_a_frozen_part_stand_still():
    """In training mode it works as in use: with its running statistics, which do not move."""
    trunk = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)).requires_grad_(False)
    trunk[1].running_mean.fill_(0.3)
    net = nn.Sequential(trunk, nn.BatchNorm1d(6), nn.Linear(6, 4))
    seen = []
    net[1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    phase = Phase(lambda n, b: {"net": F.mse_loss(n.net(b.x), b.x)})
    engine = make(System({"net": net}, {"net": ("net",)}, (phase,)), ema=0.9)
    before = copy.deepcopy(trunk.state_dict())
    for _ in range(3):
        engine.step()
        engine.eval_mode()
        engine.train_mode()
    assert_same(trunk.state_dict(), before)
    assert net[1].num_batches_tracked == 3  # what is trained has moving ones
    assert trunk[2].training  # dropout is not a statistic
    expected = copy.deepcopy(trunk).eval()(engine.batches.at(0).x)
    kept = seen[0] != 0
    assert_same(seen[0][kept], (2 * expected)[kept], atol=1e-6)
    assert 0.2 < kept.float().mean() < 0.8
    assert_same(engine.averaged["net"][0].state_dict(), before)


def test_a_loss_that_reaches_none_of_its_parameters():
    """That of G, say, against a D that does not look at what it judges."""
    system = autoencoder()
    before = [p.clone() for p in system.networks["E"].parameters()]

    def step(n, b):
        loss = sum(p.square().sum() for p in n.G.parameters())
        return {"E": loss, "G": loss}

    engine = make(replace(system, phases=(Phase(step),)))
    engine.step()
    for old, new in zip(before, system.networks["E"].parameters(), strict=True):
        assert_same(new, old)


@pytest.mark.parametrize(
    "optimizer",
    [
        *(lambda p, d=d: Adam(p, 0.01, weight_decay=d) for d in (0.0, 0.5)),
        *(lambda p, d=d: SGD(p, 0.1, momentum=0.9, weight_decay=d) for d in (0.0, 0.5)),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.5, fused=True),
        lambda p: torch.optim.RAdam(p, 0.01, weight_decay=0.5),
        lambda p: torch.optim.Rprop(p, 0.01),
    ],
    ids=["adam", "adam, decay", "sgd", "sgd, decay", "torch's sgd", "RAdam", "Rprop"],
)
@pytest.mark.parametrize("first", [True, False])
def test_no_gradient_means_no_step(optimizer, first):
    """Of parameters that a loss does not reach: no momentum, no decay; as if they had none."""

    def run(all_the_time):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1))

        def loss(n, b):
            return {"net": (n.net if all_the_time else n.net[0])(b.x).square().mean()}

        engine = make(System({"net": net}, {"net": ("net",)}, (Phase(loss),)), optimizer)
        return engine, net

    engine, net = run(False)
    if not first:  # moments of both layers, then a loss of one
        engine, net = run(True)
        engine.step()
        engine.step()
        (phase,) = engine.system.phases
        object.__setattr__(phase, "loss", lambda n, b: {"net": n.net[0](b.x).square().mean()})
    before = [p.clone() for p in net.parameters()]
    for _ in range(2):
        engine.step()
        moved = [not torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True)]
        assert moved == [True, True, False, False]
    # Nor does it come later, from moments that have been built up meanwhile.
    object.__setattr__(
        engine.system.phases[0], "loss", lambda n, b: {"net": 0.0 * n.net(b.x).mean()}
    )
    if first and "momentum" in repr(engine.optimizers["net"]).lower():
        for group in engine.optimizers["net"].param_groups:
            group["weight_decay"] = 0.0
        engine.step()
        assert torch.equal(net[1].weight, before[2])


# -------------------------------------------------------------------- terms


def test_terms_that_are_no_group_are_only_logged():
    def run(logs):
        torch.manual_seed(3)
        networks = {"net": small(4, 4)}

        def loss(n, b):
            error = F.mse_loss(n.net(b.x), b.x)
            return {"tenfold": 10 * error, "net": error} if logs else {"net": error}

        engine = make(System(networks, {"net": ("net",)}, (Phase(loss),)))
        losses = []
        for _ in range(3):
            engine.step()
            losses.append(engine._records[0][-1][2][-1].item())
        return weights(networks), engine.read(), np.mean(losses)

    trained, (means, bad), mean = run(logs=True)
    assert bad is None
    assert means == pytest.approx({"tenfold": 10 * mean, "loss_net": mean}, rel=1e-6)
    assert_same(trained, run(logs=False)[0])


def test_an_epoch_begins_with_empty_records():
    engine = make(autoencoder())
    engine.step()
    engine.begin_epoch()
    assert engine.read() == ({}, None)


def test_a_system_is_refreshed_at_the_start_of_every_epoch():
    """With the weights and the step of that moment, before any step, and not when it is made."""
    seen = []

    def refresh(n, step):
        seen.append((step, n.net[0].weight.detach().clone()))

    net = small(4, 1)
    phase = Phase(lambda n, b: {"net": n.net(b.x).square().mean()})
    engine = make(System({"net": net}, {"net": ("net",)}, (phase,), refresh=refresh))
    assert seen == []
    for _ in range(2):
        engine.begin_epoch()
        assert_same(seen[-1][1], net[0].weight.detach())
        engine.step()
    assert [step for step, _ in seen] == [0, 1]
    assert not torch.equal(seen[0][1], seen[1][1])


def test_read_names_the_first_bad_step_and_term():
    def loss(n, b):
        value = n.net(b.x).mean()
        return {"net": value, "log": torch.where(b.progress > 0.35, torch.nan, value.detach())}

    system = System(
        {"net": small(4, 1)}, {"net": ("net",)}, (Phase(loss),), schedules={"progress": lambda p: p}
    )
    engine = make(system)
    for _ in range(4):
        engine.step()
    assert engine.read()[1] is None
    engine.step()
    engine.step()
    assert engine.read()[1] == (4, "log")


def test_a_phase_that_returns_losses_of_other_groups():
    net = {"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)}
    loss = lambda n, b: {"a": n.a(b.x[:, :1]).mean()}
    engine = make(System(net, {"a": ("a",), "b": ("b",)}, (Phase(loss, ("b",)),)))
    before = weights(net)
    with pytest.raises(ValueError, match=r"groups \('b',\) returned losses for \('a',\)"):
        engine.step()
    assert_same(weights(net), before)


# -------------------------------------------------------------------- averages, rates, schedules


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_ema_equals_the_formula(decay):
    system = autoencoder()
    engine = make(system, ema=decay)
    mean = weights(system.networks)
    for step in range(8):
        engine.step()
        d = min(decay, (1 + step) / (10 + step))
        for name, network in system.networks.items():
            for key, value in network.state_dict().items():
                if value.is_floating_point():
                    mean[name][key] = d * mean[name][key] + (1 - d) * value
    for name, network in engine.averaged.items():
        assert not network.training
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                assert_same(value, mean[name][key], atol=1e-6)
        assert engine.networks.ema.__dict__[name] is network


def test_ema_of_spectral_norm():
    """The mean of unit vectors that turn is shorter than they are, and no singular vector."""
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2))
    loss = lambda n, b: {"net": n.net(b.x[:, :2]).mean()}
    engine = make(System({"net": layer}, {"net": ("net",)}, (Phase(loss),)), ema=0.99)
    for step in range(30):
        angle = torch.tensor(0.2 * step)
        turn = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()]).view(2, 2)
        with torch.no_grad():
            layer.parametrizations.weight.original.copy_(
                turn.T @ torch.diag(torch.tensor([1, 0.7])) @ turn
            )
        engine.step()
    found = torch.linalg.matrix_norm(engine.averaged["net"].weight, 2).item()
    assert found == pytest.approx(1, abs=0.25)


def test_ema_of_a_tied_weight():
    layer = nn.Linear(4, 4)
    networks = {"net": nn.Sequential(layer, nn.ReLU(), layer)}
    system = System(networks, {"net": ("net",)}, (Phase(lambda n, b: {"net": n.net(b.x).mean()}),))
    before = layer.weight.detach().clone()
    engine = make(system, ema=0.9)
    engine.step()
    expected = 0.1 * before + 0.9 * layer.weight
    assert_same(engine.averaged["net"][0].weight, expected, atol=1e-6)


def test_the_averaged_networks_get_no_gradient():
    networks = {"net": nn.Linear(4, 4)}
    loss = lambda n, b: {"net": F.mse_loss(n.net(b.x), n.ema.net(b.x) + 1)}
    engine = make(System(networks, {"net": ("net",)}, (Phase(loss),)), ema=0.9)
    engine.step()
    assert all(p.grad is None for p in engine.averaged["net"].parameters())
    assert not make(autoencoder()).averaged


def test_learning_rate_schedule_scales_every_group():
    engine = make(gan(), learning_rate_schedule=lambda progress: 1 - progress)
    for step in range(3):
        engine.step()
        rates = [o.param_groups[0]["lr"] for o in engine.optimizers.values()]
        assert rates == pytest.approx([0.1 * (1 - step / 10)] * 2)
    state = engine.state_dict()
    engine.load_state_dict(state)  # the factor must not be applied to a loaded rate
    engine.step()
    assert engine.optimizers["D"].param_groups[0]["lr"] == pytest.approx(0.07)


def test_every_group_has_a_rate_of_its_own():
    rates = {"D": 0.2, "G": 0.05}
    engine = make(
        gan(),
        {name: lambda p, rate=rate: torch.optim.SGD(p, rate) for name, rate in rates.items()},
        learning_rate_schedule=lambda progress: 1 - progress,
    )
    for step in range(3):
        engine.step()
        found = {name: o.param_groups[0]["lr"] for name, o in engine.optimizers.items()}
        assert found == pytest.approx({k: rate * (1 - step / 10) for k, rate in rates.items()})


RATES = {"A.0": 0.2, "A.1": 0.0, "A": 0.05, "B": 0.01}  # the longest name that fits counts


def rate_of(name):
    while name not in RATES:
        name = name.rpartition(".")[0]
    return RATES[name]


def several_rates(**options):
    """Two networks in one group, with four rates in them."""
    torch.manual_seed(4)
    networks = {
        "A": nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)),
        "B": nn.Linear(3, 4),
    }
    phase = Phase(lambda n, b: {"net": F.mse_loss(n.B(n.A(b.x)), b.x)})
    system = System(networks, {"net": ("A", "B")}, (phase,))
    return make(system, rates=rate_of, **options)


@pytest.mark.parametrize("factor", [None, lambda progress: 1 - progress])
def test_parameters_have_rates_by_name(factor):
    """Bit by bit those of torch's optimizer on parameter groups, over a schedule too."""
    engine = several_rates(learning_rate_schedule=factor)
    twin = SimpleNamespace(**copy.deepcopy(dict(engine.system.networks)))
    named = [(f"{k}.{name}", p) for k in "AB" for name, p in vars(twin)[k].named_parameters()]
    rates = [rate_of(name) for name, _ in named]
    assert sorted(set(rates)) == [0.0, 0.01, 0.05, 0.2]
    optimizer = sgd([{"params": [p], "lr": rate_of(name)} for name, p in named])
    before = copy.deepcopy(engine.system.networks["A"][1].state_dict())
    for step in range(5):
        engine.step()
        x = data().at(step).x
        loss = F.mse_loss(twin.B(twin.A(x)), x)
        gradients = torch.autograd.grad(loss, [p for _, p in named])
        for options, rate in zip(optimizer.param_groups, rates, strict=True):
            options["lr"] = rate * (1 if factor is None else factor(step / 10))
        for (_, p), g in zip(named, gradients, strict=True):
            p.grad = g
        optimizer.step()
        assert_same(weights(engine.system.networks), weights(vars(twin)))
    assert_same(engine.system.networks["A"][1].weight, before["weight"])  # at a rate of 0
    assert not torch.equal(engine.system.networks["A"][1].running_mean, before["running_mean"])


def test_the_average_of_parameters_with_several_rates():
    engine = several_rates(ema=0.6)
    mean = weights(engine.system.networks)
    for step in range(6):
        engine.step()
        d = min(0.6, (1 + step) / (10 + step))
        for name, network in engine.system.networks.items():
            for key, value in network.state_dict().items():
                if value.is_floating_point():
                    mean[name][key] = d * mean[name][key] + (1 - d) * value
    for name, network in engine.averaged.items():
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                assert_same(value, mean[name][key], atol=1e-6)


def test_a_run_with_several_rates_is_restored():
    engine = several_rates(ema=0.6, optimizer=lambda p: Adam(p, 0.3))
    for _ in range(3):
        engine.step()
    state = engine.state_dict()
    other = several_rates(ema=0.6, optimizer=lambda p: Adam(p, 0.3))
    other.load_state_dict(state)
    for one in (engine, other):
        one.begin_epoch()
        for _ in range(3):
            one.step()
    assert_same(other.state_dict(), engine.state_dict())


def test_released_networks_hold_no_more_than_themselves():
    """A vector is no longer behind them, so a copy of one network is not one of all."""
    engine = several_rates(ema=0.6)
    engine.step()
    before = engine.state_dict()
    engine.release()
    assert_same(engine.state_dict(), before)
    for networks in (engine.system.networks, engine.averaged):
        for network in networks.values():
            for p in network.parameters():
                assert p.grad is None
                assert p.untyped_storage().nbytes() == p.element_size() * p.numel()


def test_schedules_arrive_as_scalars_on_the_device():
    seen = []

    def loss(n, b):
        assert b.lam.shape == ()
        assert b.lam.dtype == torch.float32
        assert b.lam.device == CPU
        seen.append(b.lam.clone())
        return {"net": b.lam * n.net(b.x).mean()}

    system = System(
        {"net": small(4, 1)}, {"net": ("net",)}, (Phase(loss),), schedules={"lam": lambda p: 4 * p}
    )
    engine = make(system)
    for _ in range(3):
        engine.step()
    assert torch.stack(seen).tolist() == pytest.approx([0, 0.4, 0.8])
    assert engine.scheduled() == pytest.approx({"lam": 0.8})


# -------------------------------------------------------------------- noise


@pytest.mark.parametrize("kind", ["normal", "uniform", "onehot"])
def test_noise_depends_on_the_seed_and_the_step_only(kind):
    def drawn(seed, start=0, disturb=False):
        seen = []

        def loss(n, b):
            seen.append(b.z.clone())
            if disturb:
                torch.rand(7)
            return {"net": n.net(b.z).mean()}

        system = System(
            {"net": small(LATENT, 1)},
            {"net": ("net",)},
            (Phase(loss),),
            noise={"z": Noise((LATENT,), kind)},
        )
        engine = Engine(system, data(), optimizer=sgd, total_steps=10, seed=seed)
        engine.train_mode()
        engine.position = start
        engine.begin_epoch()
        for _ in range(3):
            engine.step()
        return torch.stack(seen)

    first = drawn(1)
    assert first.shape == (3, BATCH, LATENT)
    assert_same(drawn(1, disturb=True), first)
    assert not torch.equal(drawn(2), first)
    assert not torch.equal(drawn(1, start=3), first)
    assert not torch.equal(first[0], first[1])
    if kind == "uniform":
        assert first.abs().max() <= 1
        assert first.min() < -0.9
        assert first.max() > 0.9
    elif kind == "onehot":
        assert first.unique().tolist() == [0, 1]
        assert (first.sum(2) == 1).all()
        assert (first.mean((0, 1)) - 1 / LATENT).abs().max() < 0.2
    else:
        assert first.abs().max() > 1.5
        assert abs(first.std() - 1) < 0.15


def test_every_epoch_has_random_numbers_of_its_own():
    engine, seen = make(gan()), []
    for position in (0, 4, 8, 4):
        engine.position = position
        engine.begin_epoch()
        seen.append((torch.rand(3).tolist(), np.random.rand(), engine._generator.initial_seed()))
    assert seen[1] == seen[3]
    for draws in zip(*seen[:3], strict=True):
        assert len({str(draw) for draw in draws}) == 3


def test_every_repeat_of_a_phase_draws_fresh_noise_on_the_same_rows():
    seen = []

    def loss(n, b):
        seen.append((b.x.clone(), b.z.clone()))
        return {"D": d_loss(n.D(b.x), n.D(n.G(b.z)))}

    make(gan("apart", phases=(Phase(loss, ("D",), times=3),))).step()
    assert len(seen) == 3
    for (x, z), expected in zip(seen, noise_of(1, 0, draws=3), strict=True):
        assert_same(x, seen[0][0])
        assert_same(z, expected)


@pytest.mark.parametrize(
    ("phases", "draws"),
    [
        ([{}, {}], [0, 0]),
        ([{}, {"fresh": True}], [0, 1]),
        ([{"fresh": True}, {}, {"fresh": True}], [1, 1, 2]),
        ([{}, {"fresh": True, "times": 2}, {"times": 2}], [0, 1, 2, 2, 3]),
    ],
)
def test_a_fresh_phase_draws_noise_of_its_own_on_the_same_rows(phases, draws):
    seen = []

    def loss(n, b):
        seen.append((b.x.clone(), b.z.clone()))
        return {"D": d_loss(n.D(b.x), n.D(n.G(b.z)))}

    system = gan("apart", phases=tuple(Phase(loss, ("D",), **options) for options in phases))
    engine = make(system)
    engine.step()
    noise = noise_of(1, 0, draws=max(draws) + 3)
    assert_same([z for _, z in seen], [noise[k] for k in draws])
    for x, _ in seen:
        assert_same(x, seen[0][0])
    engine.step()
    first = seen[len(draws)][1]
    assert_same(first, noise[max(draws) + 1 + phases[0].get("fresh", False)])


# -------------------------------------------------------------------- device and precision


class NoSync(TorchDispatchMode):
    """Fails on whatever makes the host wait for a value: item, bool, float, nonzero, ..."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        assert not any(
            k in name for k in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal.")
        ), name
        return func(*args, **(kwargs or {}))


def test_the_guard_sees_a_sync():
    with NoSync(), pytest.raises(AssertionError, match="_local_scalar_dense"):
        bool(torch.ones(()) > 0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("system", [gan, lambda: gan("apart"), autoencoder])
def test_no_step_waits_for_the_device(system, precision):
    engine = make(
        system(), adam, precision=precision, ema=0.9, learning_rate_schedule=lambda p: 1 - p
    )
    with NoSync():
        for _ in range(5):  # over an epoch's end
            engine.step()


def test_bf16_keeps_float32_weights():
    dtypes = []

    def loss(n, b):
        out = n.net(b.x)
        dtypes.append(out.dtype)
        return {"net": F.mse_loss(out.float(), b.x)}

    system = System({"net": small(4, 4)}, {"net": ("net",)}, (Phase(loss),))
    engine = make(system, adam, precision="bf16", ema=0.9)
    for _ in range(30):
        engine.step()
    assert set(dtypes) == {torch.bfloat16}
    for value in (*system.networks["net"].parameters(), *engine.averaged["net"].parameters()):
        assert value.dtype == torch.float32
    assert engine.broken() is None
    losses = torch.stack([row for _, _, row in engine._records[0]])[:, 0]
    assert losses[-3:].mean() < losses[:3].mean()


def test_uint8_images_stay_uint8():
    seen = []

    def loss(n, b):
        seen.append(b.x)
        return {"net": n.net(to_float(b.x)).square().mean()}

    batches = data(np.uint8, (3, 8, 8))
    system = System({"net": nn.Conv2d(3, 2, 3)}, {"net": ("net",)}, (Phase(loss),))
    make(system, batches=batches).step()
    assert batches.stores["x"].dtype == torch.uint8
    assert seen[0].dtype == torch.uint8
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert to_float(seen[0]).max() <= 1
    assert system.networks["net"].weight.is_contiguous(memory_format=torch.channels_last)


# -------------------------------------------------------------------- state


def test_the_state_is_a_copy_and_restores_everything():
    engine = make(gan(), adam, ema=0.9)
    for _ in range(3):
        engine.step()
    state = engine.state_dict()
    kept = copy_state(state)
    engine.begin_epoch()
    for _ in range(3):
        engine.step()
    after = engine.state_dict()
    assert_same(state, kept)  # not an alias of what has moved on
    assert not torch.equal(after["networks"]["G"]["0.weight"], state["networks"]["G"]["0.weight"])

    other = make(gan(), adam, ema=0.9)
    other.load_state_dict(state)
    assert other.position == 3
    other.begin_epoch()
    for _ in range(3):
        other.step()
    assert_same(other.state_dict(), after)
    assert_same(state, kept)


def test_broken_names_the_group():
    engine = make(gan())
    assert engine.broken() is None
    with torch.no_grad():
        engine.system.networks["G"][1].running_var[0] = torch.inf
    assert engine.broken() == "G"

    engine = make(gan())
    with torch.no_grad():
        engine.system.networks["D"][0].weight[0, 0] = torch.nan
    assert engine.broken() == "D"


def test_a_groups_first_phase_names_its_loss():
    net = small(LATENT, 1)
    phases = (
        Phase(lambda n, b: {"net": n.net(b.z).mean() * 0 + 3.0}),
        Phase(lambda n, b: {"net": n.net(b.z).mean() * 0 + 5.0, "extra": b.z.mean()}, every=2),
    )
    system = System({"net": net}, {"net": ("net",)}, phases, noise={"z": Noise((LATENT,))})
    engine = make(system)
    for _ in range(4):
        engine.step()
    means, _ = engine.read()
    assert means["loss_net"] == 3.0
    assert list(means) == ["loss_net", "extra"]
