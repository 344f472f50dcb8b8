"""Every gradient of the algorithm against the formula of the paper, differentiated by hand."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Normal

from repkit.engine.batches import Batch
from repkit.engine.rng import isolated_rng
from repkit.infogan.algorithm import Codes, Objective, infogan

from ..updates import (
    BATCH,
    CPU,
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
    draws,
    engine_of,
    gradients,
    net,
    seen_by,
    table,
    twins,
    weights,
)

OPTIONS = {
    "logistic": {},
    "hinge": {"loss": "hinge"},
    "weights": {"lam_categorical": 0.3, "lam_continuous": 2.5},
    "learned variance": {"codes": Codes((3,), 2, 4, True)},
    "several categories": {"codes": Codes((3, 2, 4), 1, 2), "lam_categorical": 0.4},
    "no categories": {"codes": Codes((), 2, 3, True)},
    "no numbers": {"codes": Codes((3,), 0, 3, True)},
    "no noise": {"codes": Codes((3,), 2, 0)},
    "augment": {"augment": bend},
    "contrastive": {"contrastive": 0.7},
    "contrastive, no noise": {"contrastive": 0.7, "codes": Codes((), 3, 0)},
    "invariance": {"invariance": 0.8, "augment": bend},
    "everything": {
        "codes": Codes((3, 2), 2, 4, True),
        "loss": "hinge",
        "lam_categorical": 0.3,
        "lam_continuous": 2.5,
        "augment": bend,
        "contrastive": 0.7,
        "invariance": 0.8,
        "view_augment": torch.tanh,
    },
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
both_updates = pytest.mark.parametrize("alternating", [True, False])


@pytest.fixture(autouse=True)
def _seeded():
    with isolated_rng(CPU):
        torch.manual_seed(0)
        yield


class Pairs(nn.Module):
    """H, of two samples."""

    def __init__(self, continuous):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2 * WIDTH, 6), nn.Tanh(), nn.Linear(6, continuous))

    def forward(self, x, other):
        return self.net(torch.cat([x, other], 1))


def networks(codes, contrastive=0.0):
    nets = {
        "G": net(codes.latent_dim, WIDTH),
        "B": nn.Sequential(nn.Linear(WIDTH, 5, bias=False), nn.BatchNorm1d(5), nn.Tanh()),
        "D": nn.Linear(5, 1),
        "Q": net(5, codes.q_dim),
    }
    return nets | ({"H": Pairs(codes.continuous)} if contrastive else {})


CODES = Codes((3,), 2, 4)


def make(codes=CODES, nets=None, batches=None, rate=0.1, precision="fp32", **objective):
    nets = nets or networks(codes, objective.get("contrastive", 0.0))
    system = infogan(nets, codes=codes, objective=Objective(**objective))
    return engine_of(system, batches, rate, precision)


def latent_of(codes, b, suffix=""):
    names = ["z"] * (codes.noise_dim > 0)
    names += [f"c{k}" for k in range(len(codes.categorical))]
    names += ["u"] * (codes.continuous > 0)
    return torch.cat([vars(b)[name + suffix] for name in names], 1)


# -------------------------------------------------------------------- the losses, written out


def information_loss(codes, q, b, lam_categorical=1.0, lam_continuous=1.0, **_):
    total, start = torch.zeros(()), 0
    for k, size in enumerate(codes.categorical):
        category = vars(b)[f"c{k}"].argmax(1)
        log_p = Categorical(logits=q[:, start : start + size]).log_prob(category)
        total, start = total - lam_categorical * log_p.mean(), start + size
    for k in range(codes.continuous):
        deviation = torch.ones(BATCH)
        if codes.learned_variance:
            deviation = q[:, start + codes.continuous + k].clamp(-6, 2).exp().sqrt()
        log_p = Normal(q[:, start + k], deviation).log_prob(b.u[:, k])
        total = total - lam_continuous * log_p.mean()
    return total


def invariance_loss(codes, q, other):
    """Minus the mutual information of each category and itself in the other view."""
    total, start = torch.zeros(()), 0
    for size in codes.categorical:
        p, p_other = (t[:, start : start + size].softmax(1) for t in (q, other))
        joint = [
            [
                sum(p[i, a] * p_other[i, b] + p[i, b] * p_other[i, a] for i in range(BATCH))
                / (2 * BATCH)
                for b in range(size)
            ]
            for a in range(size)
        ]
        for a in range(size):
            for b in range(size):
                margins = sum(joint[a]) * sum(row[b] for row in joint)
                total = total - joint[a][b] * (joint[a][b] / margins).log()
        start += size
    return total


def losses(n, x, b, codes=CODES, loss="logistic", contrastive=0.0, invariance=0.0, **options):
    """What each network minimizes, and what is logged."""
    view = options.get("augment") or (lambda t: t)
    sample = n.G(latent_of(codes, b))
    real, features = n.B(view(x)), n.B(view(sample))
    says, fake = n.D(real), n.D(features)
    if loss == "logistic":
        d = -(torch.sigmoid(says).log() + (1 - torch.sigmoid(fake)).log()).mean()
        seem = -torch.sigmoid(fake).log().mean()
    else:
        d = ((1 - says).clamp(min=0) + (1 + fake).clamp(min=0)).mean()
        seem = -fake.mean()
    information = information_loss(codes, n.Q(features), b, **options)
    logs = {"adversarial_loss": seem, "information_loss": information}
    body, g = d + information, seem + information
    if invariance:
        other = (options.get("view_augment") or view)(x)
        logs["invariance_loss"] = invariance_loss(codes, n.Q(real), n.Q(n.B(other)))
        body = body + invariance * logs["invariance_loss"]
    found = {"B": body, "D": d, "Q": body, "G": g}
    if contrastive:
        shared = b.common.argmax(1)
        b.u_other = b.u_other.clone()
        for i in range(BATCH):
            b.u_other[i, shared[i]] = b.u[i, shared[i]]
        log_p = n.H(sample, n.G(latent_of(codes, b, "_other"))).log_softmax(1)
        found["H"] = -sum(log_p[i, shared[i]] for i in range(BATCH)) / BATCH
        found["G"] = g + contrastive * found["H"]
    return found, logs


# -------------------------------------------------------------------- gradients


@both_updates
@every_option
def test_gradients_are_those_of_the_paper(options, alternating):
    """Alternating: G's turn comes after D's step, on noise of its own."""
    engine = make(**options, alternating=alternating)
    n, x = twins(engine), engine.batches.at(0).x
    b, fresh = draws(engine, 2)
    engine.step()
    names = set(engine.system.networks)
    if alternating:
        expected, logs = losses(n, x, b, **options)
        wanted = descend(n, {name: expected[name] for name in "BDQ"})
        later, later_logs = losses(n, x, fresh, **options)
        wanted |= descend(n, {name: later[name] for name in names - set("BDQ")})
        expected |= {name: later[name] for name in "GH" if name in later}
        # What is logged in both phases is named once, so here it is that of G's.
        logs = later_logs | {k: v for k, v in logs.items() if k != "adversarial_loss"}
    else:
        expected, logs = losses(n, x, b, **options)
        wanted = descend(n, {name: expected[name] for name in names})
    for name in names:
        assert max(g.abs().max() for g in wanted[name]) > 1e-3
    found = gradients(engine)
    assert_close(found, wanted)
    assert_close(weights(engine.system.networks), weights(n))
    means, _ = engine.read()
    assert means["loss_D"] == pytest.approx(expected["B"].item(), rel=1e-4)
    assert means["loss_G"] == pytest.approx(expected["G"].item(), rel=1e-4)
    for name in logs:
        assert means[name] == pytest.approx(logs[name].item(), rel=1e-4, abs=1e-6)
    for name in ("contrastive", "invariance"):
        assert (f"{name}_loss" in means) == (name in options)
    if "contrastive" in options:
        assert means["contrastive_loss"] == pytest.approx(expected["H"].item(), rel=1e-4)


@both_updates
@pytest.mark.parametrize("options", [{}, OPTIONS["augment"], OPTIONS["no numbers"]])
def test_the_gradient_penalty(options, alternating):
    """Of B and D at the real samples as they are after D's step, times the steps between two."""
    engine = make(r1=0.7, r1_every=3, alternating=alternating, **options)
    n, x, b = twins(engine), engine.batches.at(0).x, drawn(engine)
    engine.step()
    expected, _ = losses(n, x, b, **options)
    descend(n, {name: expected[name] for name in "BDQ"})

    x = options["augment"](x) if "augment" in options else x
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(n.D(n.B(x)).sum(), x, create_graph=True)
    r1 = (slope**2).sum() / (2 * BATCH)
    wanted = descend(n, dict.fromkeys("BDQ", 0.7 * 3 * r1))
    assert max(g.abs().max() for g in wanted["B"]) > 1e-3
    assert not any(g.any() for g in wanted["Q"])
    found = gradients(engine)
    assert_close({name: found[name] for name in "BDQ"}, wanted)
    assert engine.read()[0]["r1"] == pytest.approx(r1.item(), rel=1e-4)
    found = weights(engine.system.networks)
    for name in "BDQ":
        assert_close(found[name], weights(n)[name])


@both_updates
def test_the_gradient_penalty_comes_at_every_so_many_steps(alternating):
    engine = make(r1=0.7, r1_every=3, alternating=alternating)
    for step in range(7):
        engine.begin_epoch()
        engine.step()
        assert ("r1" in engine.read()[0]) == (step in (0, 3, 6))


@both_updates
def test_the_shares_that_are_called_real(alternating):
    torch.manual_seed(1)
    engine = make(alternating=alternating)
    n, x, b = twins(engine), engine.batches.at(0).x, drawn(engine)
    engine.step()
    real, fake = n.D(n.B(x)), n.D(n.B(n.G(latent_of(CODES, b))))
    means, _ = engine.read()
    assert means["d_real"] == sum(t > 0 for (t,) in real.tolist()) / BATCH
    assert means["d_fake"] == sum(t > 0 for (t,) in fake.tolist()) / BATCH
    assert means["d_real"] != means["d_fake"]


# -------------------------------------------------------------------- who works against whom


@both_updates
@pytest.mark.parametrize("loss", ["logistic", "hinge"])
@pytest.mark.parametrize("name", ["D", "G"])
def test_which_way_a_step_of_each_player_pushes_the_logits(loss, name, alternating):
    nets = networks(CODES)
    nets["Q"].apply(silence)
    for other in set(nets) - {name}:
        nets[other].requires_grad_(False)
    engine = make(nets=nets, loss=loss, rate=1e-2, alternating=alternating)
    n, x = twins(engine), engine.batches.at(0).x
    b = draws(engine, 2)[alternating and name == "G"]

    def logits(n):
        return n.D(n.B(x)).mean().item(), n.D(n.B(n.G(latent_of(CODES, b)))).mean().item()

    real, fake = logits(n)
    engine.step()
    real_after, fake_after = logits(twins(engine))
    if name == "D":
        assert real_after - fake_after > real - fake + 1e-5
    else:
        assert fake_after > fake + 1e-5


@torch.no_grad()
def silence(layer):
    if isinstance(layer, nn.Linear):
        layer.weight.zero_()


@both_updates
@pytest.mark.parametrize("name", ["G", "B", "Q"])
def test_each_of_both_players_makes_the_codes_readable(name, alternating):
    """The information is in G's loss, too, and reaches it through the sample."""
    nets = networks(CODES)
    nets["D"].apply(silence)
    for other in set(nets) - {name}:
        nets[other].requires_grad_(False)
    engine = make(nets=nets, rate=0.3, alternating=alternating)
    values = []
    for _ in range(3):
        engine.begin_epoch()
        for _ in range(15):
            engine.step()
        values.append(engine.read()[0]["information_loss"])
    assert values[-1] < values[0] - 0.05


@both_updates
@every_option
def test_every_weight_moves_in_a_step(options, alternating):
    engine = make(**options, alternating=alternating)
    before = weights(engine.system.networks)
    engine.step()
    for name, moved in weights(engine.system.networks).items():
        for old, new in zip(before[name], moved, strict=True):
            # The halves of the hinge loss cancel in the last bias of D.
            assert new.ndim < 2 or not torch.equal(new, old)


# -------------------------------------------------------------------- what a term must not touch


def first_gradients(**options):
    torch.manual_seed(7)
    engine = make(alternating=False, **options)
    engine.step()
    return gradients(engine)


@pytest.mark.parametrize(
    ("term", "moved"),
    [
        ({"lam_categorical": 5.0}, "GBQ"),
        ({"lam_continuous": 5.0}, "GBQ"),
        ({"contrastive": 5.0}, "G"),
        ({"invariance": 5.0, "view_augment": torch.tanh}, "BQ"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_term_has_a_gradient_in_its_own_networks_alone(term, moved):
    without, found = first_gradients(), first_gradients(**term)
    for name in "GBDQ":
        if name in moved:
            assert not torch.equal(found[name][0], without[name][0])
        else:
            assert_same(found[name], without[name])


@both_updates
@pytest.mark.parametrize("options", [{}, OPTIONS["contrastive"], OPTIONS["augment"]])
def test_running_statistics(options, alternating):
    """Those of B and Q are of real samples; each batch counts once."""
    engine = make(alternating=alternating, **options)
    nets, n = engine.system.networks, twins(engine)
    x = engine.batches.at(0).x
    x = options["augment"](x) if "augment" in options else x
    batches = draws(engine, 2)
    engine.step()
    assert_counted(nets["B"][1], [n.B[0](x)])
    assert_counted(nets["Q"][1], [n.Q[0](n.B(x))])
    b = batches[alternating]  # G's are those of its own turn
    latents = [latent_of(CODES, b)]
    if "contrastive" in options:
        b.u_other = torch.where(b.common > 0, b.u, b.u_other)
        latents.append(latent_of(CODES, b, "_other"))
    assert_counted(nets["G"][1], [n.G[0](latent) for latent in latents])
    assert_modes(nets)


@both_updates
def test_running_statistics_know_nothing_of_the_other_kind_of_sample(alternating):
    def buffers(disturb, **options):
        torch.manual_seed(0)
        nets = networks(OPTIONS["everything"]["codes"], 1.0)
        engine = make(
            nets=nets,
            rate=0.0,
            alternating=alternating,
            r1=1.0,
            r1_every=2,
            **OPTIONS["everything"],
            **options,
        )
        disturb(engine)
        for _ in range(3):
            engine.step()
        return [
            [b.clone() for name in names for b in nets[name].buffers()] for names in ("BQ", "G")
        ]

    def other_samples(engine):
        with torch.no_grad():
            engine.system.networks["G"][-1].weight.mul_(3.0)

    def other_data(engine):
        engine.batches.stores["x"].add_(2.0)

    body, generator = buffers(lambda engine: None)
    assert_same(buffers(other_samples)[0], body)
    found = buffers(other_data)
    assert_same(found[1], generator)
    assert not torch.equal(found[0][0], body[0])


# -------------------------------------------------------------------- codes


def test_the_codes_are_the_prior_s():
    engine = make(Codes((3, 2), 2, 2), batches=data(table(600), 600))
    seen = seen_by(engine.system.networks["G"])
    for _ in range(2):
        engine.step()
    latents = torch.cat(seen)
    assert latents.shape == (2400, 9)
    noise, first, second, numbers = latents.split([2, 3, 2, 2], 1)
    for onehot in (first, second):
        assert onehot.unique().tolist() == [0, 1]
        assert (onehot.sum(1) == 1).all()
        share = 1 / onehot.shape[1]
        assert (onehot.mean(0) - share).abs().max() < 4 * (share * (1 - share) / 2400) ** 0.5
    agree = (first[:, :2] * second).sum(1).mean()
    assert abs(agree - 1 / 3) < 0.05  # the codes are independent
    for uniform in (noise, numbers):
        assert uniform.abs().max() <= 1
        assert uniform.min() < -0.99
        assert uniform.max() > 0.99
        assert (uniform.mean(0)).abs().max() < 0.05
        assert (uniform.var(0) - 1 / 3).abs().max() < 0.03
    assert torch.corrcoef(torch.cat([noise, numbers], 1).T).triu(1).abs().max() < 0.09


def test_the_players_have_noise_of_their_own_when_they_take_turns():
    engine = make()
    wanted = [latent_of(CODES, b) for b in draws(engine, 2)]
    seen = seen_by(engine.system.networks["G"])
    engine.step()
    assert_same(seen, wanted)
    engine = make(alternating=False)
    seen = seen_by(engine.system.networks["G"])
    engine.step()
    assert len(seen) == 1


@both_updates
def test_two_samples_of_a_pair_share_one_number_and_nothing_else(alternating):
    engine = make(
        Codes((3,), 4, 2), batches=data(table(600), 600), contrastive=1.0, alternating=alternating
    )
    nets = engine.system.networks
    latents, pairs = seen_by(nets["G"]), seen_by(nets["H"].net)
    samples = twins(engine).G
    engine.step()
    z, other = latents[-2:]
    assert_close(pairs, [torch.cat([samples(z), samples(other)], 1)])
    common = z == other
    assert (common[:, 5:].sum(1) == 1).all()
    assert (common[:, 5:].float().mean(0) - 0.25).abs().max() < 0.06
    assert not common[:, :2].any()
    assert abs((z[:, 2:5] * other[:, 2:5]).sum(1).mean() - 1 / 3) < 0.06


def test_sizes_of_the_codes():
    codes = Codes((3, 2), 4, 5, True)
    assert (codes.latent_dim, codes.width, codes.q_dim) == (14, 9, 13)
    assert dataclasses.replace(codes, learned_variance=False).q_dim == 9
    assert Codes((), 1, 0).latent_dim == Codes((), 1, 0).q_dim == 1
    assert Codes((3,), 0, 2, True).q_dim == 3
    assert Codes() == Codes((10,), 2, 62)  # of the paper, for digits
    assert {k: (n.shape, n.kind) for k, n in codes.noise("_other").items()} == {
        "c0_other": ((3,), "onehot"),
        "c1_other": ((2,), "onehot"),
        "u_other": ((4,), "uniform"),
        "z_other": ((5,), "uniform"),
    }
    assert list(Codes((), 2, 0).noise()) == ["u"]
    assert list(Codes((3,), 0, 0).noise()) == ["c0"]


def test_what_q_says_is_split_into_codes():
    codes = Codes((3, 2), 2, 5, True)
    q = torch.arange(18.0).view(2, 9) / 9
    logits, means, log_variances = codes.split(q)
    assert_same(logits, [q[:, :3], q[:, 3:5]])
    assert_same(means, q[:, 5:7])
    assert_same(log_variances, q[:, 7:])
    logits, means, log_variances = codes.split(q[:, :7])  # a latent has no variances
    assert_same(means, q[:, 5:7])
    assert log_variances is None
    assert dataclasses.replace(codes, learned_variance=False).split(q[:, :7])[2] is None


def test_the_loss_of_the_codes_reads_them_behind_the_noise():
    codes = Codes((3,), 2, 4)
    b = Batch(z=torch.rand(6, 4), c0=torch.eye(3).repeat(2, 1), u=torch.rand(6, 2) * 2 - 1)
    latent = codes.latent(b)
    assert_same(latent, torch.cat([b.z, b.c0, b.u], 1))
    right = codes.loss(torch.cat([1000 * b.c0, b.u], 1), latent)
    assert_close(right, torch.tensor([0.0, *[0.5 * np.log(2 * np.pi)] * 2]).float())


def test_learned_log_variances_are_clipped():
    """Beyond the clip there is no gradient, and the likelihood stays what it is at the clip."""
    codes = Codes((), 4, 0, True)
    at = torch.tensor([[-9.0, 5.0, -5.9, 1.9]])
    q = torch.cat([torch.full((1, 4), 0.1), at], 1).requires_grad_()
    values = torch.full((1, 4), 0.4)
    found = codes.loss(q, values)
    deviation = torch.tensor([-6.0, 2.0, -5.9, 1.9]).exp().sqrt()
    assert_close(found, -Normal(0.1, deviation).log_prob(values)[0])
    (slope,) = torch.autograd.grad(found.sum(), q)
    assert slope[0, 4:6].tolist() == [0, 0]
    assert (slope[0, 6:].abs() > 0.1).all()
    assert (slope[0, :4] < 0).all()


# -------------------------------------------------------------------- data and state


def test_images_of_bytes_are_scaled():
    nets = networks(CODES)
    nets["G"] = nn.Sequential(nn.Linear(CODES.latent_dim, 12), nn.Unflatten(1, (3, 2, 2)))
    nets["B"] = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    images = torch.randint(0, 256, (ROWS, 3, 2, 2), dtype=torch.uint8)
    engine = make(nets=nets, batches=data(images.to(memory_format=torch.channels_last)))
    seen = seen_by(nets["B"])
    engine.step()
    assert_same(seen[1], engine.batches.at(0).x.float() / 255)


@both_updates
def test_a_run_goes_on_from_an_epoch_s_end_bit_by_bit(alternating):
    options = OPTIONS["everything"] | {
        "augment": lambda x: x + 0.1 * torch.randn_like(x),
        "r1": 0.5,
        "r1_every": 4,
        "alternating": alternating,
    }
    assert_resumes(lambda: make(**options))


@both_updates
def test_bf16(alternating):
    options = OPTIONS["everything"] | {"r1": 0.5, "r1_every": 2}
    engine = make(**options, alternating=alternating, precision="bf16")
    for _ in range(4):
        engine.step()
    means, bad = engine.read()
    assert bad is None
    assert {"loss_D", "loss_G", "loss_H", "r1", "invariance_loss"} <= set(means)
    assert engine.broken() is None


def test_the_groups():
    assert set(make().groups) == {"D", "G"}
    assert set(make(contrastive=1.0).groups) == {"D", "G", "H"}
