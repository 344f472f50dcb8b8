"""Algorithm 1 of the paper, differentiated by hand, signs included."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from repkit.base.parts import Discriminator
from repkit.engine.engine import Engine
from repkit.engine.optim import Adam
from repkit.nets.trunks import spectral_norms
from repkit.vaegan import Objective, vaegan
from repkit.vaegan.algorithm import who_steps

from ..updates import (
    BATCH,
    LATENT,
    ROWS,
    WIDTH,
    assert_close,
    assert_counted,
    assert_modes,
    assert_resumes,
    assert_same,
    bend,
    data,
    descend,
    drawn,
    engine_of,
    gradients,
    net,
    seen_by,
    twins,
    weights,
)

HIDDEN = (2, 3)
HINGE = Discriminator(loss="hinge")
OPTIONS = {
    "logistic": {},
    "hinge": {"discriminator": HINGE},
    "three way": {"discriminator_kind": "three_way"},
    "weights": {"beta": 3.0, "gamma": 7.0},
    "pixel": {"pixel": 0.8},
    "augment": {"augment": bend},
    "batch norm": {"normed": True},
    "three way, batch norm": {"discriminator_kind": "three_way", "normed": True},
    "everything": {
        "discriminator_kind": "three_way",
        "normed": True,
        "beta": 0.4,
        "gamma": 3.0,
        "pixel": 0.6,
        "augment": bend,
    },
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
kinds = pytest.mark.parametrize(
    "options", [OPTIONS[k] for k in ("logistic", "hinge", "three way")], ids=str
)


pytestmark = pytest.mark.usefixtures("seeded")


class Judge(nn.Module):
    """D, with a hidden layer that is no row of numbers, times a scale that its judgment undoes."""

    def __init__(self, columns=1, normed=False):
        super().__init__()
        body = [nn.Linear(WIDTH, 6), *([nn.BatchNorm1d(6)] if normed else []), nn.Tanh()]
        self.body = nn.Sequential(*body, nn.Unflatten(1, HIDDEN))
        self.judge = nn.Sequential(nn.Flatten(), nn.Linear(6, columns))
        self.scale = 1.0
        self.offset = {}

    def forward(self, x):
        hidden = self.scale * self.body(x)
        return hidden, self.judge(hidden / self.scale) + self.offset.get(len(x), 0.0)


def networks(kind="two_way", normed=False):
    return {
        "E": net(WIDTH, 2 * LATENT),
        "G": net(LATENT, WIDTH),
        "D": Judge(3 if kind == "three_way" else 1, normed),
    }


def make(
    position=50,
    nets=None,
    batches=None,
    normed=False,
    rate=0.1,
    precision="fp32",
    r1_every=16,
    **options,
):
    nets = nets or networks(options.get("discriminator_kind", "two_way"), normed)
    system = vaegan(nets, latent_dim=LATENT, objective=Objective(**options), r1_every=r1_every)
    return engine_of(system, batches, rate, precision, position=position)


def losses(
    n,
    x,
    b,
    weight=1.0,
    discriminator_kind="two_way",
    discriminator=None,
    beta=1.0,
    gamma=5.0,
    pixel=0.0,
    augment=None,
    **_,
):
    """What E, G and D minimize, written out, and what is logged."""
    x = augment(x) if augment else x
    mean, log_variance = n.E(x).split(LATENT, 1)
    posterior = Normal(mean, (log_variance / 2).exp())
    prior = kl_divergence(posterior, Normal(0.0, 1.0)).sum() / BATCH
    out = n.G(torch.cat([mean + posterior.stddev * b.noise, b.z]))
    back = out[:BATCH]
    (h, real), (h_fakes, of_fakes) = n.D(x), n.D(out)
    h_back, of_back, of_sample = h_fakes[:BATCH], of_fakes[:BATCH], of_fakes[BATCH:]
    variance = h.detach().flatten(1).var(0, correction=0).mean()
    like = (h - h_back).square().sum() / (2 * BATCH * variance)
    if discriminator_kind == "three_way":
        p, p_sample, p_back = (t.softmax(1) for t in (real, of_sample, of_back))
        d = -(p[:, 0].log() + (p_sample[:, 1].log() + p_back[:, 2].log()) / 2)
        g = -(p_sample[:, 0].log() + p_back[:, 0].log()) / 2
    elif discriminator is not HINGE:
        p, p_sample, p_back = (torch.sigmoid(t) for t in (real, of_sample, of_back))
        d = -(p.log() + ((1 - p_sample).log() + (1 - p_back).log()) / 2)
        g = -(p_sample.log() + p_back.log()) / 2
    else:
        d = (1 - real).clamp(min=0)
        d = d + ((1 + of_sample).clamp(min=0) + (1 + of_back).clamp(min=0)) / 2
        g = -(of_sample + of_back) / 2
    d, g = d.sum() / BATCH, g.sum() / BATCH
    error = (x - back).square().sum() / (2 * BATCH)
    logs = {"kl": prior, "similarity_loss": like, "adversarial_loss": g}
    return {
        "E": beta * weight * prior + like + pixel * error,
        "G": gamma * like / 6 + g + pixel / WIDTH * error,
        "D": d,
    }, logs


# -------------------------------------------------------------------- gradients


@pytest.mark.parametrize(("position", "weight"), [(0, 0.0), (4, 0.4), (50, 1.0)])
@every_option
def test_gradients_are_those_of_the_paper(options, position, weight):
    """All three from one forward pass: no network has moved when another is differentiated."""
    engine = make(position, **options)
    n, x, b = twins(engine), engine.batches.at(position).x, drawn(engine)
    engine.step()
    expected, logs = losses(n, x, b, weight, **options)
    wanted = descend(n, expected)
    assert min(max(g.abs().max() for g in network) for network in wanted.values()) > 1e-2
    assert_close(gradients(engine), wanted)
    assert_close(weights(engine.system.networks), weights(n))
    means, _ = engine.read()
    for name, value in expected.items():
        assert means[f"loss_{name}"] == pytest.approx(value.item(), rel=1e-4)
    for name, value in logs.items():
        assert means[name] == pytest.approx(value.item(), rel=1e-4)


@pytest.mark.parametrize(
    "options", [{}, OPTIONS["three way"], OPTIONS["augment"]], ids=["plain", "three way", "augment"]
)
def test_the_gradient_penalty(options):
    """Of D's logit of "real" at the data, after the step of all, times the steps between two."""
    engine = make(51, discriminator=Discriminator(r1=0.7), r1_every=3, **options)
    n, x, b = twins(engine), engine.batches.at(51).x, drawn(engine)
    engine.step()
    first = descend(n, losses(n, x, b, **options)[0])
    x = (options["augment"](x) if "augment" in options else x).clone().requires_grad_()
    logits = n.D(x)[1]
    if logits.shape[1] == 3:
        p = logits.softmax(1)[:, 0]
        logits = (p / (1 - p)).log()
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    r1 = slope.square().sum() / (2 * BATCH)
    wanted = descend(n, {"D": 0.7 * 3 * r1})
    assert max(g.abs().max() for g in wanted["D"]) > 1e-2
    assert_close(gradients(engine), first | wanted)
    assert_close(weights(engine.system.networks), weights(n))
    assert engine.read()[0]["r1"] == pytest.approx(r1.item(), rel=1e-4)


def test_the_gradient_penalty_comes_at_every_so_many_steps():
    engine = make(0, discriminator=Discriminator(r1=0.7), r1_every=3)
    for step in range(7):
        engine.begin_epoch()
        engine.step()
        assert ("r1" in engine.read()[0]) == (step in (0, 3, 6))
    assert len(make().system.phases) == 1


@kinds
def test_the_shares_that_are_called_real(options):
    torch.manual_seed(10)
    engine = make(normed=True, **options)
    with torch.no_grad():  # or all are on one side of even odds
        bias = engine.system.networks["D"].judge[1].bias.zero_()
        bias[0] = float(np.log(max(len(bias) - 1, 1)))
    n, x, b = twins(engine), engine.batches.at(50).x, drawn(engine)
    engine.step()
    mean, log_variance = n.E(x).split(LATENT, 1)
    out = n.G(torch.cat([mean + (log_variance / 2).exp() * b.noise, b.z]))
    means, _ = engine.read()
    shares = []
    of_back, of_sample = n.D(out)[1].chunk(2)
    for logits in (n.D(x)[1], of_sample, of_back):
        p = logits.softmax(1)[:, 0] if logits.shape[1] == 3 else torch.sigmoid(logits[:, 0])
        shares.append((p > 0.5).sum().item() / BATCH)
    assert [means[k] for k in ("d_real", "d_fake", "d_reconstructed")] == shares
    assert len(set(shares)) == 3


# -------------------------------------------------------------------- who works against whom


@kinds
@pytest.mark.parametrize("name", ["D", "G"])
def test_which_way_a_step_pushes_the_logits(options, name):
    """D pushes fakes of both kinds away from "real", G pushes both towards it."""
    nets = networks(options.get("discriminator_kind", "two_way"))
    for other in set(nets) - {name}:
        nets[other].requires_grad_(False)
    engine = make(nets=nets, gamma=0.0, rate=1e-2, **options)
    n, x, b = twins(engine), engine.batches.at(50).x, drawn(engine)

    @torch.no_grad()
    def reality(n):
        """Of real samples, reconstructions and samples."""
        mean, log_variance = n.E(x).split(LATENT, 1)
        out = n.G(torch.cat([mean + (log_variance / 2).exp() * b.noise, b.z]))
        logits = [n.D(t)[1] for t in (x, out[:BATCH], out[BATCH:])]
        if logits[0].shape[1] == 3:
            logits = [t.log_softmax(1)[:, :1] for t in logits]
        return torch.stack([t.mean() for t in logits])

    before = reality(n)
    engine.step()
    real, back, sample = (reality(twins(engine)) - before).tolist()
    if name == "D":
        assert real > max(back, sample) + 1e-5
    else:
        assert real == 0
        assert back + sample > 1e-5


@kinds
def test_each_player_lowers_its_own_loss(options):
    """With the others held still, and against the signs of the library that has them wrong."""
    for name in "EGD":
        nets = networks(options.get("discriminator_kind", "two_way"))
        for other in set("EGD") - {name}:
            nets[other].requires_grad_(False)
        engine = make(nets=nets, rate=0.2 if name != "E" else 0.02, **options)
        values = []
        for _ in range(4):
            engine.begin_epoch()
            for _ in range(10):
                engine.step()
            values.append(engine.read()[0][f"loss_{name}"])
        assert values[-1] < values[0] - 0.02


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


def first_gradients(change=lambda nets: None, **options):
    torch.manual_seed(7)
    normed = options.pop("normed", False)
    nets = networks(options.get("discriminator_kind", "two_way"), normed)
    with torch.no_grad():
        change(nets)
    engine = make(nets=nets, **options)
    engine.step()
    return gradients(engine) | {"read": engine.read()[0]}


@kinds
@pytest.mark.parametrize(
    ("term", "moved"),
    [({"beta": 5.0}, "E"), ({"gamma": 25.0}, "G"), ({"pixel": 5.0}, "EG")],
    ids=str,
)
def test_a_term_has_a_gradient_in_its_own_networks_alone(options, term, moved):
    without, found = first_gradients(**options), first_gradients(**options, **term)
    for name in "EGD":
        if name in moved:
            assert not torch.equal(found[name][0], without[name][0])
        else:
            assert_same(found[name], without[name])


@kinds
def test_the_verdict_of_d_does_not_reach_the_encoder(options):
    """Another judge on the same features is another game for G and D, none for E."""

    def turn(nets):
        nets["D"].judge[1].weight.mul_(-3.0)

    without, found = first_gradients(**options), first_gradients(turn, **options)
    assert_same(found["E"], without["E"])
    for name in "GD":
        assert not torch.equal(found[name][0], without[name][0])


@pytest.mark.parametrize("factor", [1e-3, 30.0])
def test_the_scale_of_the_features_does_not_change_the_similarity(factor):
    def rescale(nets):
        nets["D"].scale = factor

    without, found = first_gradients(), first_gradients(rescale)
    assert found["read"]["similarity_loss"] == pytest.approx(without["read"]["similarity_loss"])
    for name in "EGD":
        assert_close(found[name], without[name])


def test_features_that_are_all_the_same_are_no_division_by_zero():
    def deafen(nets):
        nets["D"].body[0].weight.zero_()

    found = first_gradients(deafen)
    assert found["read"]["similarity_loss"] == 0
    assert all(g.isfinite().all() for name in "EGD" for g in found[name])


# -------------------------------------------------------------------- the balance rule


@pytest.mark.parametrize(
    ("real", "fake", "d_steps", "g_steps"),
    [
        (0.0, 0.0, True, True),  # costs of .69: nobody has won
        (3.0, 0.0, False, True),  # .05 for real samples: D is too good at them
        (0.0, -3.0, False, True),  # or at fakes
        (-2.0, 0.0, True, False),  # 2.1 for real samples: D is fooled
        (0.0, 2.0, True, False),
        (3.0, 2.0, True, True),  # both rules say stop: none does
    ],
)
def test_the_balance_rule(real, fake, d_steps, g_steps):
    """Who does not step stands still, though momentum and weight decay would move it."""
    found = []
    for balanced in (False, True):
        torch.manual_seed(7)
        nets = networks()
        system = vaegan(nets, latent_dim=LATENT, objective=Objective(balanced_steps=balanced))
        engine = Engine(
            system,
            data(),
            optimizer=lambda p: Adam(p, 0.01, weight_decay=0.1),
            total_steps=100,
            seed=0,
        )
        nets["D"].judge[1].weight.data.mul_(0.01)
        nets["D"].offset = {}
        engine.step()  # from here on there is momentum
        nets["D"].offset = {BATCH: real, 2 * BATCH: fake}
        engine.begin_epoch()
        before = engine.state_dict()
        engine.step()
        found.append((before, engine.state_dict(), engine.read()[0]))
    (_, plain, plain_means), (before, after, means) = found
    assert_same(found[0][0]["networks"], before["networks"])
    for name, steps in (("E", True), ("D", d_steps), ("G", g_steps)):
        assert_same(after["optimizers"][name], (plain if steps else before)["optimizers"][name])
        for key, _ in nets[name].named_parameters():
            old, new = (state["networks"][name][key] for state in (before, after))
            assert torch.equal(new, plain["networks"][name][key]) == steps
            assert torch.equal(new, old) != steps
    assert {k: v for k, v in means.items() if "skip" not in k} == plain_means
    assert (means["skip_D"], means["skip_G"]) == (not d_steps, not g_steps)


@pytest.mark.parametrize(
    ("costs", "steps"),
    [
        ((0.34, 1.02), (1, 1)),
        ((0.32, 1.02), (0, 1)),
        ((1.02, 0.32), (0, 1)),
        ((0.34, 1.04), (1, 0)),
        ((1.04, 0.34), (1, 0)),
        ((0.32, 1.04), (1, 1)),
    ],
)
def test_the_bounds_of_the_balance_rule(costs, steps):
    found = who_steps(*(torch.tensor(c, requires_grad=True) for c in costs))
    assert tuple(t.item() for t in found) == steps
    assert all(t.dtype == torch.bool for t in found)


# -------------------------------------------------------------------- passes and statistics


def test_d_sees_real_and_fake_samples_apart():
    engine = make()
    n, x, b = twins(engine), engine.batches.at(50).x, drawn(engine)
    seen = {name: seen_by(engine.system.networks[name]) for name in "GD"}
    engine.step()
    mean, log_variance = n.E(x).split(LATENT, 1)
    latents = torch.cat([mean + (log_variance / 2).exp() * b.noise, b.z])
    assert_close(seen["G"], [latents])
    assert_close(seen["D"], [x, n.G(latents)])


def test_real_and_fake_samples_meet_the_same_spectral_norm():
    """In training mode every use of the weight is a step of its power iteration."""
    nets = networks()
    spectral_norms(nets["D"])
    used = seen_by(nets["D"].body[0].parametrizations.weight[0])
    make(nets=nets).step()
    assert len(used) == 1


@pytest.mark.parametrize(
    "options",
    [{}, {"normed": True, "discriminator": Discriminator(r1=0.5), "r1_every": 5}],
    ids=str,
)
def test_running_statistics(options):
    """E's are of data, G's of both kinds of latents, each batch counted once."""
    engine = make(**options)
    n, x, b = twins(engine), engine.batches.at(50).x, drawn(engine)
    engine.step()
    nets = engine.system.networks
    mean, log_variance = n.E(x).split(LATENT, 1)
    latents = torch.cat([mean + (log_variance / 2).exp() * b.noise, b.z])
    assert_counted(nets["E"][1], [n.E[0](x)])
    assert_counted(nets["G"][1], [n.G[0](latents)])
    assert_modes(nets)


# -------------------------------------------------------------------- data and state


def test_images_of_bytes_are_scaled():
    nets = networks()
    nets["E"] = nn.Sequential(nn.Flatten(), nn.Linear(12, 2 * LATENT))
    nets["G"] = nn.Sequential(nn.Linear(LATENT, 12), nn.Unflatten(1, (3, 2, 2)))
    nets["D"].body[0] = nn.Sequential(nn.Flatten(), nn.Linear(12, 6))
    images = torch.randint(0, 256, (ROWS, 3, 2, 2), dtype=torch.uint8)
    batches = data(images.to(memory_format=torch.channels_last))
    engine = make(0, nets, batches, discriminator=Discriminator(r1=1.0))
    seen = {name: seen_by(nets[name]) for name in "ED"}
    engine.step()
    x = engine.batches.at(0).x.float() / 255
    assert_same(seen["E"], [x])
    assert_same(seen["D"][0], x)
    assert_same(seen["D"][2], x)  # of the penalty


@pytest.mark.parametrize("r1_every", [1, 4])
def test_a_run_goes_on_from_an_epoch_s_end_bit_by_bit(r1_every):
    options = OPTIONS["everything"] | {"augment": lambda x: x + 0.1 * torch.randn_like(x)}
    options |= {"discriminator": Discriminator(r1=0.5), "balanced_steps": True}
    assert_resumes(lambda: make(0, r1_every=r1_every, **options))


def test_bf16():
    options = {"discriminator": Discriminator(r1=0.5), "balanced_steps": True}
    engine = make(0, precision="bf16", r1_every=2, **options, **OPTIONS["everything"])
    for _ in range(4):
        engine.step()
    means, bad = engine.read()
    assert bad is None
    assert {"loss_E", "loss_G", "loss_D", "r1", "kl", "similarity_loss"} <= set(means)
    assert engine.broken() is None


def test_the_noise_is_normal_and_apart_for_both_kinds():
    noise = make().system.noise
    assert {name: (n.shape, n.kind) for name, n in noise.items()} == {
        "noise": ((LATENT,), "normal"),
        "z": ((LATENT,), "normal"),
    }
