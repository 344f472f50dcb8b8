"""Every gradient of the algorithm against the formula of the paper, differentiated by hand."""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from repkit.base.parts import Consistency
from repkit.dann import Entropy, Objective, Updates, dann
from repkit.engine.batches import Batches
from repkit.engine.engine import Engine
from repkit.engine.rng import Kind, seed_of
from repkit.losses import estimate_shares, virtual_adversarial
from repkit.nets import DomainNorm, set_rows

CPU = torch.device("cpu")
LABELED, TARGET, CLASSES, WIDTH, RATE = 8, 8, 3, 5, 0.2
N = 40  # of each domain


pytestmark = pytest.mark.usefixtures("seeded")


def data(target_labels=-1):
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, 2 * N)
    x = rng.normal(size=(2 * N, 4)) + y[:, None]
    x[N:] += 1.5
    y[N:] = target_labels
    return Batches(
        {
            "x": torch.tensor(x, dtype=torch.float32),
            "y": torch.tensor(y),
            "domain": torch.tensor(np.repeat([0, 1], N)),
        },
        [(np.arange(N), LABELED), (np.arange(N, 2 * N), TARGET)],
        seed=0,
        device=CPU,
    )


def networks(conditional=False, with_d=True, norm=None):
    middle = [] if norm is None else [norm]
    nets = {
        "F": nn.Sequential(nn.Linear(4, WIDTH), *middle, nn.Tanh()),
        "C": nn.Sequential(nn.Linear(WIDTH, 6), nn.Tanh(), nn.Linear(6, CLASSES)),
    }
    if with_d:
        width = WIDTH * CLASSES if conditional else WIDTH
        nets["D"] = nn.Sequential(nn.Linear(width, 6), nn.Tanh(), nn.Linear(6, 2))
    return nets


def sources():
    rows = data()
    return Batches(rows.stores, [(np.arange(N), LABELED)], seed=0, device=CPU)


LAYOUT = [(LABELED, 0), (TARGET, 1)]


def make(nets, *, lam=0.7, ema=0.0, batches=None, layout=LAYOUT, **objective):
    told = {k: objective.pop(k) for k in ("prior", "target_rows") if k in objective}
    objective = Objective(lam=lam, **objective)
    system = dann(nets, labeled=LABELED, layout=layout, objective=objective, **told)
    engine = Engine(
        system,
        batches or data(),
        optimizer=lambda p: torch.optim.SGD(p, RATE),
        total_steps=100,
        seed=0,
        ema=ema,
    )
    engine.train_mode()
    return engine


def gradients(networks):
    return {k: [p.grad for p in m.parameters()] for k, m in networks.items()}


def grad(loss, network):
    return list(torch.autograd.grad(loss, list(network.parameters()), retain_graph=True))


def descend(network, gradient):
    with torch.no_grad():
        for p, g in zip(network.parameters(), gradient, strict=True):
            p -= RATE * g


def assert_close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def label_loss(n, b, f):
    """The cross-entropy of the labeled rows, written out."""
    log_p = n.C(f[:LABELED]).log_softmax(1)
    return -torch.stack([log_p[i, b.y[i]] for i in range(LABELED)]).mean()


def domain_loss(n, b, f, conditional):
    p = n.C(f).softmax(1).detach()
    seen = torch.stack([torch.outer(a, q).flatten() for a, q in zip(f, p, strict=True)])
    log_d = n.D(seen if conditional else f).log_softmax(1)
    rows = -torch.stack([log_d[i, b.domain[i]] for i in range(len(f))])
    weight = torch.ones(len(f))
    if conditional == "entropy":
        weight = 1 + torch.exp((p * p.log()).sum(1))
    return (weight * rows).sum() / weight.sum()


@pytest.mark.parametrize("conditional", [False, True, "entropy"])
@pytest.mark.parametrize("lam", [0.7, 0.0, 2.0])
def test_joint_gradients(conditional, lam):
    nets = networks(conditional)
    engine = make(nets, lam=lam, conditional=conditional)
    n = SimpleNamespace(**copy.deepcopy(nets))
    b = engine.batches.at(0)
    engine.step()
    f = n.F(b.x)
    label, domain = label_loss(n, b, f), domain_loss(n, b, f, conditional)
    found = gradients(nets)
    assert_close(found["D"], grad(domain, n.D))
    assert_close(found["C"], grad(label, n.C))
    from_label, from_domain = grad(label, n.F), grad(domain, n.F)
    assert max(g.abs().max() for g in from_domain) > 1e-3
    expected = [a - lam * d for a, d in zip(from_label, from_domain, strict=True)]
    assert_close(found["F"], expected)
    means, _ = engine.read()
    assert means["label_loss"] == pytest.approx(label.item(), rel=1e-5)
    assert means["domain_loss"] == pytest.approx(domain.item(), rel=1e-5)


@pytest.mark.parametrize("conditional", [False, True, "entropy"])
@pytest.mark.parametrize("d_steps", [1, 3])
def test_alternating_gradients(conditional, d_steps):
    nets = networks(conditional)
    engine = make(nets, updates=Updates("alternating", d_steps=d_steps), conditional=conditional)
    n = SimpleNamespace(**copy.deepcopy(nets))
    b = engine.batches.at(0)
    engine.step()
    found = gradients(nets)
    f = n.F(b.x)
    for _ in range(d_steps):  # D first, F and C at rest
        expected = grad(domain_loss(n, b, f, conditional), n.D)
        descend(n.D, expected)
    assert_close(found["D"], expected)
    expected = grad(label_loss(n, b, f), n.C)  # then C
    assert_close(found["C"], expected)
    descend(n.C, expected)
    label, domain = label_loss(n, b, f), domain_loss(n, b, f, conditional)
    expected = [a - 0.7 * d for a, d in zip(grad(label, n.F), grad(domain, n.F), strict=True)]
    assert_close(found["F"], expected)
    descend(n.F, expected)
    for name, network in nets.items():
        assert_close(list(network.parameters()), list(getattr(n, name).parameters()))


@pytest.mark.parametrize("updates", ["joint", "alternating"])
def test_the_information_term(updates):
    nets = networks()
    engine = make(nets, updates=updates, entropy=0.6)
    n = SimpleNamespace(**copy.deepcopy(nets))
    engine.position = 10  # of 100: the weight follows the paper's ramp
    weight = 0.6 * (2 / (1 + math.exp(-10 * 0.1)) - 1)
    b = engine.batches.at(10)
    engine.step()

    def losses():
        p = n.C(f[LABELED:]).softmax(1)
        term = (p.mean(0) * p.mean(0).log()).sum() - (p * p.log()).sum(1).mean()
        return label_loss(n, b, f) + weight * term, term

    f = n.F(b.x)
    found = gradients(nets)
    expected = grad(losses()[0], n.C)
    assert_close(found["C"], expected)
    domain = domain_loss(n, b, f, False)
    assert_close(found["D"], grad(domain, n.D))
    if updates == "alternating":
        descend(n.D, grad(domain, n.D))
        descend(n.C, expected)
    label, domain = losses()[0], domain_loss(n, b, f, False)
    expected = [a - 0.7 * d for a, d in zip(grad(label, n.F), grad(domain, n.F), strict=True)]
    assert_close(found["F"], expected)
    assert engine.read()[0]["information_loss"] == pytest.approx(losses()[1].item(), rel=1e-4)


@pytest.mark.parametrize("updates", ["joint", "alternating"])
def test_the_confusion_term_and_a_prior(updates):
    nets = networks()
    prior = torch.tensor([0.6, 0.3, 0.1])
    terms = Entropy(0.6, confusion=0.4)
    engine = make(nets, updates=updates, lam=0.0, entropy=terms, prior=prior)
    n = SimpleNamespace(**copy.deepcopy(nets))
    engine.position = 10
    ramp = 2 / (1 + math.exp(-10 * 0.1)) - 1
    b = engine.batches.at(10)
    engine.step()

    def loss():
        f = n.F(b.x)
        p, soft = (n.C(f[LABELED:]).div(t).softmax(1) for t in (1.0, 2.5))
        mean = p.mean(0)
        certain = (mean * (mean / prior).log()).sum() - (p * p.log()).sum(1).mean()
        weight = 1 + torch.exp((soft * soft.log()).sum(1)).detach()
        pairs = torch.einsum("i,ij,ik->jk", weight, soft, soft)
        confusion = 1 - (pairs / pairs.sum(1, keepdim=True)).trace() / CLASSES
        return label_loss(n, b, f) + ramp * (0.6 * certain + 0.4 * confusion)

    found = gradients(nets)
    expected = grad(loss(), n.C)
    assert_close(found["C"], expected)
    if updates == "alternating":
        descend(n.C, expected)
    assert_close(found["F"], grad(loss(), n.F))


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_prior_that_is_estimated(ema):
    """At the start of an epoch, by the averaged networks if there are any, in evaluation mode."""
    nets = networks(norm=nn.BatchNorm1d(WIDTH))
    shares, x = torch.tensor([0.5, 0.3, 0.2]), torch.randn(30, 4)
    given = {"prior": shares.clone(), "target_rows": lambda: (x, [(30, 1)])}
    engine = make(nets, entropy=0.5, ema=ema, **given)
    engine.begin_epoch()
    for _ in range(3):
        engine.step()
    engine.begin_epoch()
    used = engine.averaged if ema else nets
    modes = [m.training for m in used["F"].modules()]
    used["F"].eval()
    p = used["C"](used["F"](x)).softmax(1).detach()
    wanted = 0.9 * estimate_shares(p, shares) + 0.1 / 3
    torch.testing.assert_close(given["prior"], wanted)
    assert not torch.allclose(wanted, shares, atol=1e-3)
    assert all(modes) == (not ema)


@pytest.mark.parametrize("updates", ["joint", "alternating"])
def test_the_pseudo_label_term(updates):
    """The averaged networks label what they see; the trained ones learn it on another view."""
    nets = networks()
    engine = make(
        nets,
        updates=updates,
        consistency=Consistency(0.6, threshold=0.505, start=0.2),
        augment=lambda x: x - 0.2,
        strong_augment=lambda x: 1.3 * x,
        ema=0.9,
    )
    for _ in range(2):
        engine.step()  # now the averages differ from the weights
    engine.position = 30  # of 100: the weight is half of what it will be
    n = SimpleNamespace(**copy.deepcopy(nets))
    teacher = SimpleNamespace(**copy.deepcopy(engine.averaged))
    b = engine.batches.at(30)
    engine.begin_epoch()
    engine.step()

    certainty, guess = teacher.C(teacher.F(b.x[LABELED:] - 0.2)).softmax(1).max(1)
    certain = certainty >= 0.505
    assert 0 < certain.sum() < TARGET

    def losses():
        log_p = n.C(f[LABELED:]).log_softmax(1)
        rows = [-log_p[i, guess[i]] for i in range(TARGET) if certain[i]]
        term = torch.stack(rows).sum() / TARGET
        return label_loss(n, b, f) + 0.6 * 0.5 * term, term

    f = n.F(1.3 * b.x)
    found = gradients(nets)
    label = losses()[0]
    expected = grad(label, n.C)
    assert_close(found["C"], expected)
    domain = domain_loss(n, b, f, False)
    if updates == "alternating":
        descend(n.D, grad(domain, n.D))
        descend(n.C, expected)
    label, domain = losses()[0], domain_loss(n, b, f, False)
    expected = [a - 0.7 * d for a, d in zip(grad(label, n.F), grad(domain, n.F), strict=True)]
    assert_close(found["F"], expected)
    assert engine.read()[0]["pseudo_loss"] == pytest.approx(losses()[1].item(), rel=1e-4)
    assert all(p.grad is None for m in engine.averaged.values() for p in m.parameters())


@pytest.mark.parametrize("updates", ["joint", "alternating"])
def test_the_smoothness_term(updates):
    nets = networks()
    engine = make(nets, updates=updates, entropy=Entropy(smoothness=0.5))
    n = SimpleNamespace(**copy.deepcopy(nets))
    engine.position = 10
    b = engine.batches.at(10)
    engine.begin_epoch()
    engine.step()
    weight = 2 / (1 + math.exp(-10 * 0.1)) - 1
    torch.manual_seed(seed_of(0, Kind.GLOBAL, 10))  # as at the start of an epoch there

    def loss():
        term = virtual_adversarial(lambda x: n.C(n.F(x)), b.x[LABELED:], 0.5)
        return label_loss(n, b, n.F(b.x)) + weight * term

    found = gradients(nets)
    label, domain = loss(), domain_loss(n, b, n.F(b.x), False)
    assert_close(found["C"], grad(label, n.C))
    assert_close(found["D"], grad(domain, n.D))
    if updates == "alternating":  # C's phase has drawn its direction, and C and D have moved
        descend(n.D, grad(domain, n.D))
        descend(n.C, grad(label, n.C))
        label, domain = loss(), domain_loss(n, b, n.F(b.x), False)
    expected = [a - 0.7 * d for a, d in zip(grad(label, n.F), grad(domain, n.F), strict=True)]
    assert_close(found["F"], expected)


def test_the_smoothness_term_leaves_modes_and_statistics_alone():
    found = []
    for smoothness in (0.0, 0.5):
        torch.manual_seed(0)
        nets = networks(norm=DomainNorm(nn.BatchNorm1d(WIDTH), 2))
        layout = [(LABELED, 0), (TARGET, 1)]
        engine = make(nets, layout=layout, entropy=Entropy(smoothness=smoothness))
        engine.step()
        assert all(m.training for network in nets.values() for m in network.modules())
        found.append((nets["F"][1].running_mean, nets["F"][1].running_var))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


@pytest.mark.parametrize("updates", ["joint", "alternating"])
@pytest.mark.parametrize("conditional", [False, "entropy"])
def test_without_lambda_the_features_are_those_of_the_label_loss(updates, conditional):
    def features(nets, **options):
        torch.manual_seed(4)
        for name in "FC":
            for layer in nets[name]:
                if isinstance(layer, nn.Linear):
                    layer.reset_parameters()
        engine = make(nets, **options)
        for _ in range(6):
            engine.step()
        return [list(nets[name].parameters()) for name in "FC"]

    with_d = features(networks(conditional), lam=0.0, updates=updates, conditional=conditional)
    if updates == "joint":
        without = features(networks(with_d=False), divergence=None)
        # Some processors take another kernel for another number of rows.
        torch.testing.assert_close(with_d, without, rtol=1e-5, atol=1e-7)
        return
    # In alternation C has moved before F; a loop of the two on their own.
    torch.manual_seed(4)
    nets = networks(with_d=False)
    torch.manual_seed(4)
    for name in "FC":
        for layer in nets[name]:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
    n = SimpleNamespace(**nets)
    batches = data()
    for step in range(6):
        b = batches.at(step)
        f = n.F(b.x)
        descend(n.C, grad(label_loss(n, b, f), n.C))
        descend(n.F, grad(label_loss(n, b, f), n.F))
    assert_close(with_d, [list(n.F.parameters()), list(n.C.parameters())])


@pytest.mark.parametrize("updates", ["joint", "alternating"])
@pytest.mark.parametrize("conditional", [False, True, "entropy"])
def test_the_domain_classifier_alone_learns(updates, conditional):
    nets = networks(conditional)
    for name in "FC":
        nets[name].requires_grad_(False)
    before = copy.deepcopy({k: nets[k].state_dict() for k in "FC"})
    engine = make(nets, updates=updates, conditional=conditional)
    losses = []
    for _ in range(12):
        engine.begin_epoch()
        for _ in range(10):
            engine.step()
        losses.append(engine.read()[0]["domain_loss"])
    assert losses[-1] < 0.8 * losses[0]
    torch.testing.assert_close({k: nets[k].state_dict() for k in "FC"}, before, rtol=0, atol=0)


def test_the_features_work_against_a_fixed_domain_classifier():
    nets = networks()
    nets["C"].requires_grad_(False)
    make(nets).step()
    trained = make(nets, lam=0.0)
    for _ in range(60):  # a D that has learned
        trained.step()
    nets["D"].requires_grad_(False)
    engine = make(nets, lam=3.0)
    losses = []
    for _ in range(4):
        engine.begin_epoch()
        for _ in range(5):
            engine.step()
        losses.append(engine.read()[0]["domain_loss"])
    assert losses == sorted(losses)
    assert losses[-1] > losses[0] + 0.1


@pytest.mark.parametrize("updates", ["joint", "alternating"])
def test_no_label_of_a_target_row_is_read(updates):
    found = []
    for labels in (-1, 0, 2, 10**6):
        torch.manual_seed(0)
        nets = networks("entropy")
        engine = make(
            nets,
            updates=updates,
            conditional="entropy",
            entropy=0.5,
            consistency=Consistency(0.5, threshold=0.3),
            ema=0.9,
            batches=data(labels),
        )
        for _ in range(4):
            engine.step()
        found.append([list(m.parameters()) for m in nets.values()])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=0)


@pytest.mark.parametrize("updates", ["joint", "alternating"])
def test_statistics_of_each_domain(updates):
    nets = networks(norm=DomainNorm(nn.BatchNorm1d(WIDTH), 2))
    layout = [(LABELED, 0), (TARGET, 1)]
    consistency = Consistency(0.5, threshold=0.0)
    engine = make(nets, updates=updates, layout=layout, consistency=consistency, ema=0.9)
    first, norm = copy.deepcopy(nets["F"]), nets["F"][1]
    b = engine.batches.at(0)
    engine.step()
    hidden = first[0](b.x)
    for domain, rows in enumerate(hidden.split([LABELED, TARGET])):
        assert_close(norm.running_mean[domain], 0.1 * rows.mean(0))
        assert_close(norm.running_var[domain], 0.9 + 0.1 * rows.var(0))
    # The teacher has only target rows before it, and uses the target's statistics.
    teacher = copy.deepcopy(engine.averaged)
    b = engine.batches.at(1)
    probe = SimpleNamespace(**vars(b))
    with torch.no_grad():
        engine.system.forward(engine.networks, probe)
        set_rows(teacher["F"], [(TARGET, 1)])
        seen = teacher["C"](teacher["F"](b.x[LABELED:])).softmax(1).max(1)
    assert_close(probe.certainty, seen.values)
    assert torch.equal(probe.guess, seen.indices)


def test_without_a_target_it_is_supervised():
    nets = networks(with_d=False)
    engine = make(nets, entropy=0.5, consistency=0.5, ema=0.9, layout=LAYOUT[:1], batches=sources())
    n = SimpleNamespace(**copy.deepcopy(nets))
    b = engine.batches.at(0)
    engine.step()
    label = label_loss(n, b, n.F(b.x))
    assert_close(gradients(nets)["F"], grad(label, n.F))
    assert_close(gradients(nets)["C"], grad(label, n.C))
    assert set(engine.read()[0]) == {"loss_net", "label_loss"}
