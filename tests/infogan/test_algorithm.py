"""Every gradient of the algorithm against the formula of the paper, differentiated by hand."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import distributions, nn
from torch.distributions import Normal

from repkit.base.parts import Discriminator
from repkit.engine.batches import Batch
from repkit.infogan import Categorical, Codes, Continuous, Objective, infogan

from ..updates import (
    BATCH,
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

HINGE = Discriminator(loss="hinge")
OPTIONS = {
    "logistic": {},
    "hinge": {"discriminator": HINGE},
    "weights": {
        "categorical": Categorical((3,), weight=0.3),
        "continuous": Continuous(2, weight=2.5),
    },
    "learned variance": {"continuous": Continuous(2, variance="learned")},
    "several categories": {
        "categorical": Categorical((3, 2, 4), weight=0.4),
        "continuous": 1,
        "latent_dim": 2,
    },
    "no categories": {
        "categorical": (),
        "continuous": Continuous(2, variance="learned"),
        "latent_dim": 3,
    },
    "no numbers": {"continuous": Continuous(0, variance="learned"), "latent_dim": 3},
    "no noise": {"latent_dim": 0},
    "augment": {"augment": bend},
    "contrastive": {"continuous": Continuous(2, contrastive=0.7)},
    "contrastive, no noise": {
        "categorical": (),
        "continuous": Continuous(3, contrastive=0.7),
        "latent_dim": 0,
    },
    "invariance": {"categorical": Categorical((3,), invariance=0.8), "augment": bend},
    "everything": {
        "categorical": Categorical((3, 2), weight=0.3, invariance=0.8),
        "continuous": Continuous(2, weight=2.5, variance="learned", contrastive=0.7),
        "discriminator": HINGE,
        "augment": bend,
        "strong_augment": torch.tanh,
    },
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
both_updates = pytest.mark.parametrize("updates", ["alternating", "joint"])


pytestmark = pytest.mark.usefixtures("seeded")


class Pairs(nn.Module):
    """H, of two samples."""

    def __init__(self, continuous):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2 * WIDTH, 6), nn.Tanh(), nn.Linear(6, continuous))

    def forward(self, x, other):
        return self.net(torch.cat([x, other], 1))


SMALL = {"categorical": (3,), "continuous": 2, "latent_dim": 4}


def parts_of(options):
    """The two parts, and the layout of the codes."""
    given = {**SMALL, **options}
    categorical, continuous = given["categorical"], given["continuous"]
    codes = Codes.of(categorical, continuous, given["latent_dim"])
    return Categorical.of(categorical), Continuous.of(continuous), codes


CODES = parts_of({})[2]


def networks(**options):
    _, continuous, codes = parts_of(options)
    nets = {
        "G": net(codes.input_dim, WIDTH),
        "B": nn.Sequential(nn.Linear(WIDTH, 5, bias=False), nn.BatchNorm1d(5), nn.Tanh()),
        "D": nn.Linear(5, 1),
        "Q": net(5, codes.q_dim),
    }
    return nets | ({"H": Pairs(continuous.n)} if continuous.contrastive else {})


def make(nets=None, batches=None, rate=0.1, precision="fp32", r1_every=16, **options):
    nets = nets or networks(**options)
    objective = {**SMALL, **options}
    latent_dim = objective.pop("latent_dim")
    system = infogan(
        nets, latent_dim=latent_dim, objective=Objective(**objective), r1_every=r1_every
    )
    return engine_of(system, batches, rate, precision)


def inputs_of(codes, b, suffix=""):
    names = ["z"] * (codes.latent_dim > 0)
    names += [f"c{k}" for k in range(len(codes.sizes))]
    names += ["u"] * (codes.n_continuous > 0)
    return torch.cat([vars(b)[name + suffix] for name in names], 1)


# -------------------------------------------------------------------- the losses, written out


def information_loss(options, q, b):
    categorical, continuous, codes = parts_of(options)
    total, start = torch.zeros(()), 0
    for k, size in enumerate(codes.sizes):
        category = vars(b)[f"c{k}"].argmax(1)
        log_p = distributions.Categorical(logits=q[:, start : start + size]).log_prob(category)
        total, start = total - categorical.weight * log_p.mean(), start + size
    for k in range(continuous.n):
        deviation = torch.ones(BATCH)
        if continuous.variance == "learned":
            deviation = q[:, start + continuous.n + k].clamp(-6, 2).exp().sqrt()
        log_p = Normal(q[:, start + k], deviation).log_prob(b.u[:, k])
        total = total - continuous.weight * log_p.mean()
    return total


def invariance_loss(codes, q, other):
    """Minus the mutual information of each category and itself in the other view."""
    total, start = torch.zeros(()), 0
    for size in codes.sizes:
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


def losses(n, x, b, **options):
    """What each network minimizes, and what is logged."""
    categorical, continuous, codes = parts_of(options)
    view = options.get("augment") or (lambda t: t)
    sample = n.G(inputs_of(codes, b))
    real, features = n.B(view(x)), n.B(view(sample))
    says, fake = n.D(real), n.D(features)
    if options.get("discriminator") is HINGE:
        d = ((1 - says).clamp(min=0) + (1 + fake).clamp(min=0)).mean()
        seem = -fake.mean()
    else:
        d = -(torch.sigmoid(says).log() + (1 - torch.sigmoid(fake)).log()).mean()
        seem = -torch.sigmoid(fake).log().mean()
    information = information_loss(options, n.Q(features), b)
    logs = {"adversarial_loss": seem, "information_loss": information}
    body, g = d + information, seem + information
    if categorical.invariance:
        other = (options.get("strong_augment") or view)(x)
        logs["invariance_loss"] = invariance_loss(codes, n.Q(real), n.Q(n.B(other)))
        body = body + categorical.invariance * logs["invariance_loss"]
    found = {"B": body, "D": d, "Q": body, "G": g}
    if continuous.contrastive:
        shared = b.common.argmax(1)
        b.u_other = b.u_other.clone()
        for i in range(BATCH):
            b.u_other[i, shared[i]] = b.u[i, shared[i]]
        log_p = n.H(sample, n.G(inputs_of(codes, b, "_other"))).log_softmax(1)
        found["H"] = -sum(log_p[i, shared[i]] for i in range(BATCH)) / BATCH
        found["G"] = g + continuous.contrastive * found["H"]
    return found, logs


# -------------------------------------------------------------------- gradients


@both_updates
@every_option
def test_gradients_are_those_of_the_paper(options, updates):
    """Alternating: G's turn comes after D's step, on noise of its own."""
    engine = make(**options, updates=updates)
    n, x = twins(engine), engine.batches.at(0).x
    b, fresh = draws(engine, 2)
    engine.step()
    names = set(engine.system.networks)
    if updates == "alternating":
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
    categorical, continuous, _ = parts_of(options)
    assert ("invariance_loss" in means) == (categorical.invariance > 0)
    assert ("contrastive_loss" in means) == (continuous.contrastive > 0)
    if continuous.contrastive:
        assert means["contrastive_loss"] == pytest.approx(expected["H"].item(), rel=1e-4)


@both_updates
@pytest.mark.parametrize("options", [{}, OPTIONS["augment"], OPTIONS["no numbers"]])
def test_the_gradient_penalty(options, updates):
    """Of B and D at the real samples as they are after D's step, times the steps between two."""
    engine = make(discriminator=Discriminator(r1=0.7), r1_every=3, updates=updates, **options)
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
def test_the_gradient_penalty_comes_at_every_so_many_steps(updates):
    engine = make(discriminator=Discriminator(r1=0.7), r1_every=3, updates=updates)
    for step in range(7):
        engine.begin_epoch()
        engine.step()
        assert ("r1" in engine.read()[0]) == (step in (0, 3, 6))


@both_updates
def test_the_shares_that_are_called_real(updates):
    torch.manual_seed(1)
    engine = make(updates=updates)
    n, x, b = twins(engine), engine.batches.at(0).x, drawn(engine)
    engine.step()
    real, fake = n.D(n.B(x)), n.D(n.B(n.G(inputs_of(CODES, b))))
    means, _ = engine.read()
    assert means["d_real"] == sum(t > 0 for (t,) in real.tolist()) / BATCH
    assert means["d_fake"] == sum(t > 0 for (t,) in fake.tolist()) / BATCH
    assert means["d_real"] != means["d_fake"]


# -------------------------------------------------------------------- who works against whom


@both_updates
@pytest.mark.parametrize("loss", ["logistic", "hinge"])
@pytest.mark.parametrize("name", ["D", "G"])
def test_which_way_a_step_of_each_player_pushes_the_logits(loss, name, updates):
    nets = networks()
    nets["Q"].apply(silence)
    for other in set(nets) - {name}:
        nets[other].requires_grad_(False)
    engine = make(nets=nets, discriminator=Discriminator(loss=loss), rate=1e-2, updates=updates)
    n, x = twins(engine), engine.batches.at(0).x
    b = draws(engine, 2)[updates == "alternating" and name == "G"]

    def logits(n):
        return n.D(n.B(x)).mean().item(), n.D(n.B(n.G(inputs_of(CODES, b)))).mean().item()

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
def test_each_of_both_players_makes_the_codes_readable(name, updates):
    """The information is in G's loss, too, and reaches it through the sample."""
    nets = networks()
    nets["D"].apply(silence)
    for other in set(nets) - {name}:
        nets[other].requires_grad_(False)
    engine = make(nets=nets, rate=0.3, updates=updates)
    values = []
    for _ in range(3):
        engine.begin_epoch()
        for _ in range(15):
            engine.step()
        values.append(engine.read()[0]["information_loss"])
    assert values[-1] < values[0] - 0.05


@both_updates
@every_option
def test_every_weight_moves_in_a_step(options, updates):
    engine = make(**options, updates=updates)
    before = weights(engine.system.networks)
    engine.step()
    for name, moved in weights(engine.system.networks).items():
        for old, new in zip(before[name], moved, strict=True):
            # The halves of the hinge loss cancel in the last bias of D.
            assert new.ndim < 2 or not torch.equal(new, old)


# -------------------------------------------------------------------- what a term must not touch


def first_gradients(**options):
    torch.manual_seed(7)
    engine = make(updates="joint", **options)
    engine.step()
    return gradients(engine)


@pytest.mark.parametrize(
    ("term", "moved"),
    [
        ({"categorical": Categorical((3,), weight=5.0)}, "GBQ"),
        ({"continuous": Continuous(2, weight=5.0)}, "GBQ"),
        ({"continuous": Continuous(2, contrastive=5.0)}, "G"),
        (
            {"categorical": Categorical((3,), invariance=5.0), "strong_augment": torch.tanh},
            "BQ",
        ),
    ],
    ids=["categories", "numbers", "contrastive", "invariance"],
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
def test_running_statistics(options, updates):
    """Those of B and Q are of real samples; each batch counts once."""
    engine = make(updates=updates, **options)
    nets, n = engine.system.networks, twins(engine)
    x = engine.batches.at(0).x
    x = options["augment"](x) if "augment" in options else x
    batches = draws(engine, 2)
    engine.step()
    assert_counted(nets["B"][1], [n.B[0](x)])
    assert_counted(nets["Q"][1], [n.Q[0](n.B(x))])
    b = batches[updates == "alternating"]  # G's are those of its own turn
    latents = [inputs_of(CODES, b)]
    if parts_of(options)[1].contrastive:
        b.u_other = torch.where(b.common > 0, b.u, b.u_other)
        latents.append(inputs_of(CODES, b, "_other"))
    assert_counted(nets["G"][1], [n.G[0](latent) for latent in latents])
    assert_modes(nets)


@both_updates
def test_running_statistics_know_nothing_of_the_other_kind_of_sample(updates):
    def buffers(disturb):
        torch.manual_seed(0)
        given = OPTIONS["everything"] | {"discriminator": Discriminator(loss="hinge", r1=1.0)}
        nets = networks(**given)
        engine = make(nets=nets, rate=0.0, updates=updates, r1_every=2, **given)
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
    engine = make(batches=data(table(600), 600), categorical=(3, 2), latent_dim=2)
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
    wanted = [inputs_of(CODES, b) for b in draws(engine, 2)]
    seen = seen_by(engine.system.networks["G"])
    engine.step()
    assert_same(seen, wanted)
    engine = make(updates="joint")
    seen = seen_by(engine.system.networks["G"])
    engine.step()
    assert len(seen) == 1


@both_updates
def test_two_samples_of_a_pair_share_one_number_and_nothing_else(updates):
    engine = make(
        batches=data(table(600), 600),
        continuous=Continuous(4, contrastive=1.0),
        latent_dim=2,
        updates=updates,
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
    assert (codes.input_dim, codes.code_dim, codes.q_dim) == (14, 9, 13)
    assert dataclasses.replace(codes, learned_variance=False).q_dim == 9
    assert Codes((), 1, 0).input_dim == Codes((), 1, 0).q_dim == 1
    assert Codes((3,), 0, 2, True).q_dim == 3
    o = Objective()  # of the paper, for digits
    assert Codes.of(o.categorical, o.continuous, 62) == Codes((10,), 2, 62)
    learned = Continuous(1, variance="learned")
    assert Codes.of(Categorical([np.int64(3), 2]), learned, 4) == Codes((3, 2), 1, 4, True)
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
    inputs = codes.inputs(b)
    assert_same(inputs, torch.cat([b.z, b.c0, b.u], 1))
    right = codes.loss(torch.cat([1000 * b.c0, b.u], 1), inputs)
    assert_close(right, torch.tensor([0.0, *[0.5 * np.log(2 * np.pi)] * 2]).float())


def test_learned_log_variances_are_clipped():
    """Beyond it the likelihood stays what it is there, and the gradient leads back alone."""
    codes = Codes((), 4, 0, True)
    at = torch.tensor([[-9.0, 5.0, -5.9, 1.9]])
    q = torch.cat([torch.full((1, 4), 0.1), at], 1).requires_grad_()
    values = torch.full((1, 4), 0.4)
    found = codes.loss(q, values)
    deviation = torch.tensor([-6.0, 2.0, -5.9, 1.9]).exp().sqrt()
    assert_close(found, -Normal(0.1, deviation).log_prob(values)[0])
    (slope,) = torch.autograd.grad(found.sum(), q)
    wanted = 0.5 - 0.045 * torch.tensor([6.0, -2.0]).exp()  # of what is given at the bounds
    assert_close(slope[0, 4:6], wanted)
    (away,) = torch.autograd.grad(-codes.loss(q, values).sum(), q)
    assert away[0, 4:6].tolist() == [0, 0]
    assert (slope[0, 6:].abs() > 0.1).all()
    assert (slope[0, :4] < 0).all()


# -------------------------------------------------------------------- data and state


def test_images_of_bytes_are_scaled():
    nets = networks()
    nets["G"] = nn.Sequential(nn.Linear(CODES.input_dim, 12), nn.Unflatten(1, (3, 2, 2)))
    nets["B"] = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    images = torch.randint(0, 256, (ROWS, 3, 2, 2), dtype=torch.uint8)
    engine = make(nets=nets, batches=data(images.to(memory_format=torch.channels_last)))
    seen = seen_by(nets["B"])
    engine.step()
    assert_same(seen[1], engine.batches.at(0).x.float() / 255)


@both_updates
def test_a_run_goes_on_from_an_epoch_s_end_bit_by_bit(updates):
    options = OPTIONS["everything"] | {
        "augment": lambda x: x + 0.1 * torch.randn_like(x),
        "discriminator": Discriminator(loss="hinge", r1=0.5),
        "r1_every": 4,
        "updates": updates,
    }
    assert_resumes(lambda: make(**options))


@both_updates
def test_bf16(updates):
    options = OPTIONS["everything"] | {"discriminator": Discriminator(loss="hinge", r1=0.5)}
    engine = make(**options, updates=updates, precision="bf16", r1_every=2)
    for _ in range(4):
        engine.step()
    means, bad = engine.read()
    assert bad is None
    assert {"loss_D", "loss_G", "loss_H", "r1", "invariance_loss"} <= set(means)
    assert engine.broken() is None


def test_the_groups():
    assert set(make().groups) == {"D", "G"}
    assert set(make(**OPTIONS["contrastive"]).groups) == {"D", "G", "H"}
