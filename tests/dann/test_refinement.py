"""Adaptation to target rows alone: every gradient against the formula."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from repkit.dann.refinement import dirt_t, nearest_centroids, shot
from repkit.engine.batches import Batches
from repkit.losses import virtual_adversarial

from ..updates import CPU, assert_close, descend, engine_of, gradients, twins

pytestmark = pytest.mark.usefixtures("seeded")
N, BATCH, CLASSES = 20, 8, 3
LAYOUT = [(BATCH, 0)]


def networks():
    return {
        "F": nn.Sequential(nn.Linear(4, 5), nn.Tanh()),
        "C": nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, CLASSES)),
    }


def rows():
    x = torch.tensor(np.random.default_rng(0).normal(size=(N, 4)), dtype=torch.float32)
    guess = torch.zeros(N, dtype=torch.int64)
    batches = Batches({"x": x, "guess": guess}, [(np.arange(N), BATCH)], seed=0, device=CPU)
    return x, guess, batches


def both(nets, x):
    f = nets["F"](x).detach()
    return f, nets["C"](f).softmax(1).detach()


def test_shot():
    nets, (x, guess, batches) = networks(), rows()
    system = shot(
        nets,
        everything=lambda: both(nets, x),
        guess=guess,
        beta=0.3,
        layout=LAYOUT,
        augment=lambda x: 1.2 * x,
    )
    engine = engine_of(system, batches)
    torch.testing.assert_close(guess, nearest_centroids(*both(nets, x)))  # as an epoch begins
    n, before = twins(engine), copy.deepcopy(nets["C"].state_dict())
    b = batches.at(0)
    assert torch.equal(b.guess, guess[batches.rows(0)])
    engine.step()
    log_p = n.C(n.F(1.2 * b.x)).log_softmax(1)
    p = log_p.exp()
    mean = p.mean(0)
    certain = -(p * log_p).sum(1).mean() + (mean * mean.log()).sum()
    pseudo = -torch.stack([log_p[i, b.guess[i]] for i in range(BATCH)]).mean()
    expected = descend(n, {"F": certain + 0.3 * pseudo})
    assert_close(gradients_of(nets["F"]), expected["F"])
    assert_close(list(nets["F"].parameters()), list(n.F.parameters()))
    for key, value in before.items():  # the hypothesis stays
        assert torch.equal(nets["C"].state_dict()[key], value)


def gradients_of(network):
    return [p.grad for p in network.parameters()]


def test_nearest_centroids_by_hand():
    f = np.random.default_rng(0).normal(size=(12, 3)) + 2 * np.eye(3)[np.arange(12) % 3]
    p = np.random.default_rng(1).random((12, 4))
    p[:, 3] = 0.01  # nobody's first choice
    p /= p.sum(1, keepdims=True)
    g = np.c_[f, np.ones(12)]
    g /= np.linalg.norm(g, axis=1, keepdims=True)
    weight = p
    for _ in range(2):
        c = np.array(
            [(weight[:, k, None] * g).sum(0) / max(weight[:, k].sum(), 1e-8) for k in range(4)]
        )
        near = [[row @ c[k] / max(np.linalg.norm(c[k]), 1e-12) for k in range(3)] for row in g]
        found = np.argmax(near, 1)
        weight = np.eye(4)[found]
    assert nearest_centroids(torch.tensor(f), torch.tensor(p)).tolist() == found.tolist()
    assert len(set(found.tolist())) == 3


def test_centroids_correct_a_wrong_prediction():
    """A row of the one class that is predicted to be of the other, if only just."""
    f = torch.tensor([[1.0, 0.0]] * 4 + [[0.0, 1.0]] * 4)
    p = torch.tensor([[0.9, 0.1]] * 3 + [[0.45, 0.55]] + [[0.1, 0.9]] * 4)
    assert nearest_centroids(f, p).tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize("smoothness", [0.0, 0.5])
def test_dirt_t(smoothness):
    nets, (_, _, batches) = networks(), rows()
    system = dirt_t(nets, smoothness=smoothness, layout=LAYOUT, augment=lambda x: 1.2 * x)
    engine = engine_of(system, batches)
    teacher = SimpleNamespace(**copy.deepcopy(nets))  # as they were when the epoch began
    engine.step()
    engine.position = 1
    n = twins(engine)
    b = batches.at(1)
    state = torch.get_rng_state()
    engine.step()
    torch.set_rng_state(state)
    log_p = n.C(n.F(1.2 * b.x)).log_softmax(1)
    q = teacher.C(teacher.F(b.x)).softmax(1).detach()
    loss = -(log_p.exp() * log_p).sum(1).mean() + (q * (q.log() - log_p)).sum(1).mean()
    if smoothness:
        loss = loss + virtual_adversarial(lambda x: n.C(n.F(x)), b.x, smoothness)
    found = gradients(engine)
    for name in "FC":
        network = getattr(n, name)
        expected = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        assert_close(found[name], list(expected))
    assert max(g.abs().max() for g in found["C"]) > 1e-3
    assert F.kl_div(log_p, q, reduction="batchmean").item() > 0  # the networks have moved


def test_dirt_t_stays_near_the_networks_of_the_epoch_before():
    """At the start of every epoch the networks are where they are to stay: no gradient of that."""
    nets, (_, _, batches) = networks(), rows()
    engine = engine_of(dirt_t(nets, smoothness=0.0, layout=LAYOUT), batches)
    for _ in range(batches.steps_per_epoch):
        engine.step()
    engine.begin_epoch()
    n, b = twins(engine), batches.at(engine.position)
    log_p = n.C(n.F(b.x)).log_softmax(1)
    loss = -(log_p.exp() * log_p).sum(1).mean()
    engine.step()
    found = gradients(engine)
    for name in "FC":
        expected = torch.autograd.grad(loss, list(getattr(n, name).parameters()), retain_graph=True)
        assert_close(found[name], list(expected))
