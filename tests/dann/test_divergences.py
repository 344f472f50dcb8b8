"""Every gradient of every divergence against its formula, differentiated by hand."""

import copy
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from repkit.dann import Divergence, Objective, Updates, dann
from repkit.engine.batches import Batches
from repkit.engine.engine import Engine
from repkit.engine.rng import Kind, seed_of

CPU = torch.device("cpu")
CLASSES, WIDTH, RATE, LAM, N = 3, 4, 0.2, 0.7, 30
# One source and one target; two sources, one of them with labels of a target beside, two targets.
LAYOUTS = {2: ([(8, 0), (8, 1)], 8), 4: ([(4, 0), (4, 1), (3, 2), (4, 2), (4, 3)], 11)}
WITHOUT_D = ["coral", "mmd", "joint_mmd"]
WITH_D = ["wasserstein", "discrepancy"]

pytestmark = pytest.mark.usefixtures("seeded")
each_kind = pytest.mark.parametrize("kind", [*WITHOUT_D, *WITH_D])
each_order = pytest.mark.parametrize("order", ["joint", "alternating"])


def data(layout):
    rng = np.random.default_rng(0)
    n_domains = 1 + max(k for _, k in layout)
    y = rng.integers(0, CLASSES, n_domains * N)
    domain = np.repeat(np.arange(n_domains), N)
    x = rng.normal(size=(len(y), 4)) * (1 + domain[:, None]) + y[:, None] + 1.5 * domain[:, None]
    return Batches(
        {
            "x": torch.tensor(x, dtype=torch.float32),
            "y": torch.tensor(y),
            "domain": torch.tensor(domain),
            "weight": torch.rand(len(y)) + 0.5,
        },
        [(np.arange(N) + N * k, count) for count, k in layout],
        seed=0,
        device=CPU,
    )


def networks(kind, n_domains=2):
    nets = {
        "F": nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, WIDTH)),
        "C": nn.Sequential(nn.Linear(WIDTH, 6), nn.Tanh(), nn.Linear(6, CLASSES)),
    }
    if kind in WITH_D:
        outputs = {"wasserstein": n_domains * (n_domains - 1) // 2, "discrepancy": CLASSES}[kind]
        nets["D"] = nn.Sequential(nn.Linear(WIDTH, 6), nn.Tanh(), nn.Linear(6, outputs))
    return nets


def make(kind, nets, n_domains=2, *, order="joint", d_steps=1, lam=LAM, **options):
    layout, labeled = LAYOUTS[n_domains]
    system = dann(
        nets,
        labeled=labeled,
        layout=layout,
        objective=Objective(
            divergence=Divergence(kind, **options),
            updates=Updates(order, d_steps=d_steps),
            lam=lam,
        ),
    )
    engine = Engine(
        system,
        data(layout),
        optimizer=lambda p: torch.optim.SGD(p, RATE),
        total_steps=100,
        seed=0,
    )
    engine.train_mode()
    engine.begin_epoch()
    return engine


# -------------------------------------------------------------------- the formulas


def covariance(x):
    return sum(torch.outer(r, r) for r in x - x.mean(0)) / (len(x) - 1)


def kernels(z, widths, p=None):
    squares = torch.stack([torch.stack([(a - b).square().sum() for b in z]) for a in z])
    scale = squares.detach().sum() / (len(z) * (len(z) - 1))
    k = torch.stack([torch.exp(-squares / (w * scale)) for w in widths]).mean(0)
    if p is not None:
        gaps = torch.stack([torch.stack([(a - b).square().sum() for b in p]) for a in p])
        k = k * torch.exp(-gaps / 1.68)
    return k


def between(k, n):
    return k[:n, :n].mean() + k[n:, n:].mean() - 2 * k[:n, n:].mean()


def gap_of(kind, n, b, f, layout, labeled, widths):
    """The divergence: the mean over pairs of domains."""
    domain = b.domain
    pairs = list(combinations(range(1 + max(k for _, k in layout)), 2))
    if kind == "discrepancy":
        p, q = n.C(f[labeled:]).softmax(1), n.D(f[labeled:]).softmax(1)
        return (p - q).abs().mean()
    found = []
    for place, (i, j) in enumerate(pairs):
        x, y = f[domain == i], f[domain == j]
        if kind == "coral":
            gap = (covariance(x) - covariance(y)).square().sum() / (4 * WIDTH**2)
        elif kind == "wasserstein":
            gap = n.D(x)[:, place].mean() - n.D(y)[:, place].mean()
        else:
            p = n.C(torch.cat([x, y])).softmax(1) if kind == "joint_mmd" else None
            gap = between(kernels(torch.cat([x, y]), widths, p), len(x))
        found.append(gap)
    return torch.stack(found).mean()


def slopes(n, b, f, layout):
    """The penalty on slopes, its random points drawn as the step draws them."""
    pairs = combinations(range(1 + max(k for _, k in layout)), 2)
    found = []
    for place, (i, j) in enumerate(pairs):
        x, y = f[b.domain == i].detach(), f[b.domain == j].detach()
        rows = range(max(len(x), len(y)))
        share = torch.rand(len(rows), 1)
        middle = [y[r % len(y)] + share[r] * (x[r % len(x)] - y[r % len(y)]) for r in rows]
        points = torch.cat([x, y, torch.stack(middle)]).requires_grad_()
        (slope,) = torch.autograd.grad(n.D(points)[:, place].sum(), points, create_graph=True)
        found.append((slope.norm(dim=1) - 1).square().mean())
    return 10 * torch.stack(found).mean()


def label_loss(network, b, f, labeled):
    log_p = network(f[:labeled]).log_softmax(1)
    return -torch.stack([b.weight[i] * log_p[i, b.y[i]] for i in range(labeled)]).mean()


def grad(loss, network):
    parameters = list(network.parameters())
    return list(torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True))


def descend(network, gradient):
    with torch.no_grad():
        for p, g in zip(network.parameters(), gradient, strict=True):
            p -= RATE * g


def gradients(nets):
    return {k: [p.grad for p in m.parameters()] for k, m in nets.items()}


def assert_close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-6)


def losses(kind, n, b, layout, labeled, widths):
    """What D, C and F minimize, from the weights as they are; random points are drawn anew."""
    f = n.F(b.x)
    gap = gap_of(kind, n, b, f, layout, labeled, widths)
    label = label_loss(n.C, b, f, labeled)
    own = {"D": label, "C": label, "F": label + LAM * gap}
    if kind == "joint_mmd":
        own["C"] = label + LAM * gap
    if kind == "wasserstein":
        own["D"] = slopes(n, b, f, layout) - gap
    if kind == "discrepancy":
        second = label_loss(n.D, b, f, labeled)
        own = {"D": second - gap, "C": label - gap, "F": label + second + LAM * gap}
    return own, gap


# -------------------------------------------------------------------- one step


@each_kind
@pytest.mark.parametrize("n_domains", LAYOUTS)
def test_joint_gradients(kind, n_domains):
    nets = networks(kind, n_domains)
    widths = (0.5, 3.0)
    engine = make(kind, nets, n_domains, bandwidths=widths)
    n = SimpleNamespace(**copy.deepcopy(nets))
    b = engine.batches.at(0)
    engine.step()
    torch.manual_seed(seed_of(0, Kind.GLOBAL, 0))
    own, gap = losses(kind, n, b, *LAYOUTS[n_domains], widths)
    found = gradients(nets)
    assert max(g.abs().max() for g in grad(gap, n.F)) > 1e-3  # it is alive
    for name in nets:
        assert_close(found[name], grad(own[name], getattr(n, name)))
    assert engine.read()[0]["divergence"] == pytest.approx(gap.item(), rel=1e-4)


@each_kind
@pytest.mark.parametrize("n_domains", LAYOUTS)
def test_alternating_gradients(kind, n_domains):
    nets = networks(kind, n_domains)
    widths = (0.25, 0.5, 1.0, 2.0, 4.0)
    engine = make(kind, nets, n_domains, order="alternating", d_steps=2)
    n = SimpleNamespace(**copy.deepcopy(nets))
    b = engine.batches.at(0)
    engine.step()
    found = gradients(nets)
    torch.manual_seed(seed_of(0, Kind.GLOBAL, 0))
    order = ["D", "D", "C", "F"] if kind in WITH_D else ["C", "F"]
    expected = {}
    for name in order:  # each on its own, and from where those before it have gone
        state = torch.get_rng_state()
        own, gap = losses(kind, n, b, *LAYOUTS[n_domains], widths)
        if name != "D":
            torch.set_rng_state(state)
        expected[name] = grad(own[name], getattr(n, name))
        descend(getattr(n, name), expected[name])
    for name, network in nets.items():
        assert_close(found[name], expected[name])
        assert_close(list(network.parameters()), list(getattr(n, name).parameters()))
    assert engine.read()[0]["divergence"] == pytest.approx(gap.item(), rel=1e-4)


# -------------------------------------------------------------------- many steps


def train(engine, epochs=8, steps=10):
    found = []
    for _ in range(epochs):
        engine.begin_epoch()
        for _ in range(steps):
            engine.step()
        found.append(engine.read()[0]["divergence"])
    return found


def with_rate(engine, rate):
    for optimizer in engine.optimizers.values():
        for options in optimizer.param_groups:
            options["lr"] = rate
    return engine


@each_order
@each_kind
def test_features_make_it_small(kind, order):
    """Against a D at rest that has learned; without lam it stays."""
    rows = make(kind, networks(kind)).batches.stores
    b = SimpleNamespace(x=rows["x"], domain=rows["domain"])
    end = {}
    for lam in (0.0, 20.0):
        torch.manual_seed(0)
        nets = networks(kind)
        if kind in WITH_D:
            train(with_rate(make(kind, nets, lam=0.0), 0.1), 6)
            nets["D"].requires_grad_(False)
            nets["C"].requires_grad_(False)
        train(with_rate(make(kind, nets, order=order, lam=lam), 0.05))
        n = SimpleNamespace(**nets)
        with torch.no_grad():
            gap = gap_of(kind, n, b, n.F(b.x), [(N, 0), (N, 1)], N, (0.25, 0.5, 1.0, 2.0, 4.0))
        end[lam] = gap.item()
    # What a critic says may be below 0, where it has not found the way yet.
    assert end[20.0] < end[0.0] - 0.5 * abs(end[0.0]), end


@each_order
@pytest.mark.parametrize("kind", WITH_D)
def test_d_makes_it_great(kind, order):
    nets = networks(kind)
    for name in "FC":
        nets[name].requires_grad_(False)
    before = copy.deepcopy({k: nets[k].state_dict() for k in "FC"})
    found = train(with_rate(make(kind, nets, order=order), 0.1), 12, 20)
    assert found[-1] > found[0] + 0.02
    torch.testing.assert_close({k: nets[k].state_dict() for k in "FC"}, before, rtol=0, atol=0)


@each_kind
def test_no_label_of_a_target_row_is_read(kind):
    found = []
    for wrong in (0, 2, 10**6):
        torch.manual_seed(0)
        nets = networks(kind)
        engine = make(kind, nets)
        engine.batches.stores["y"][N:] = wrong
        train(engine, 1, 4)
        found.append([list(m.parameters()) for m in nets.values()])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=0)


def test_without_a_divergence_nothing_pulls():
    nets = networks(None)
    _, labeled = LAYOUTS[2]
    engine = make(None, nets)
    n = SimpleNamespace(**copy.deepcopy(nets))
    b = engine.batches.at(0)
    engine.step()
    loss = label_loss(n.C, b, n.F(b.x), labeled)
    found = gradients(nets)
    assert_close(found["F"], grad(loss, n.F))
    assert_close(found["C"], grad(loss, n.C))
    assert set(engine.read()[0]) == {"loss_net", "label_loss"}
