"""What tests of algorithms share: small networks and data, an engine, gradients taken apart."""

import copy
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from repkit.engine.batches import Batch, Batches
from repkit.engine.engine import Engine
from repkit.engine.rng import Kind, seed_of

CPU = torch.device("cpu")
ROWS, BATCH, WIDTH, LATENT, RATE = 40, 8, 4, 3, 0.1


def bend(x):
    """Batch norm would take a linear map away."""
    return x + 0.5 * x.sin()


def net(inputs, outputs):
    return nn.Sequential(
        nn.Linear(inputs, 6, bias=False), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, outputs)
    )


def table(rows=ROWS):
    x = np.random.default_rng(0).normal(size=(rows, WIDTH)) * [1, 2, 0.5, 1] + [0, 1, 2, 3]
    return torch.tensor(x, dtype=torch.float32)


def data(x=None, batch=BATCH):
    x = table() if x is None else x
    return Batches({"x": x}, [(np.arange(len(x)), batch)], seed=0, device=CPU)


def engine_of(system, batches=None, rate=RATE, precision="fp32", ema=0.0, position=0):
    """Plain gradient descent of a hundred steps, about to take the given one."""
    engine = Engine(
        system,
        batches or data(),
        optimizer=lambda p: torch.optim.SGD(p, rate),
        total_steps=100,
        seed=0,
        precision=precision,
        ema=ema,
    )
    engine.train_mode()
    engine.position = position
    engine.begin_epoch()
    return engine


def twins(engine):
    """Copies of the networks as they are."""
    found = SimpleNamespace(**copy.deepcopy(dict(engine.system.networks)))
    found.ema = SimpleNamespace(**copy.deepcopy(engine.averaged))
    return found


def draws(engine, times):
    """The noise of the step that comes next, if it is the first of an epoch: of each draw."""
    generator = torch.Generator().manual_seed(seed_of(engine.seed, Kind.NOISE, engine.position))
    batches = [Batch() for _ in range(times)]
    for batch in batches:
        for name, noise in engine.system.noise.items():
            buffer = torch.empty(engine.batches.size, *noise.shape)
            noise.fill(buffer, generator)
            setattr(batch, name, buffer)
    return batches


def drawn(engine):
    """The first of them."""
    return draws(engine, 1)[0]


def seen_by(network):
    """The inputs of the network from now on."""
    inputs = []
    network.register_forward_pre_hook(lambda _, given: inputs.append(given[0].detach().clone()))
    return inputs


def gradients(engine):
    return {k: [p.grad.clone() for p in m.parameters()] for k, m in engine.system.networks.items()}


def weights(networks):
    """Of an engine's networks, or of their twins."""
    modules = vars(networks) if isinstance(networks, SimpleNamespace) else networks
    return {
        k: [p.detach().clone() for p in m.parameters()]
        for k, m in modules.items()
        if isinstance(m, nn.Module)
    }


def descend(n, losses):
    """The gradient of each network's own loss, and a step along all of them."""
    found = {
        name: list(
            torch.autograd.grad(
                loss, list(getattr(n, name).parameters()), retain_graph=True, materialize_grads=True
            )
        )
        for name, loss in losses.items()
    }
    with torch.no_grad():
        for name, gradient in found.items():
            for p, g in zip(getattr(n, name).parameters(), gradient, strict=True):
                p -= RATE * g
    return found


def assert_close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-6)


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def assert_counted(norm, batches):
    """The running statistics are those of these batches, one after the other."""
    mean, variance = torch.zeros(()), torch.ones(())
    for hidden in batches:
        mean, variance = 0.9 * mean + 0.1 * hidden.mean(0), 0.9 * variance + 0.1 * hidden.var(0)
    assert_close(norm.running_mean, mean)
    assert_close(norm.running_var, variance)
    assert norm.num_batches_tracked == len(batches)


def assert_modes(networks):
    """A step leaves training mode as it was, and running statistics running."""
    for network in networks.values():
        assert all(m.training for m in network.modules())
        assert all(getattr(m, "track_running_stats", True) for m in network.modules())


def assert_resumes(make):
    """Two epochs, a state, two more: the same as from the state in a new engine."""

    def train(engine):
        for _ in range(2):
            engine.begin_epoch()
            for _ in range(engine.batches.steps_per_epoch):
                engine.step()

    whole = make()
    train(whole)
    state = whole.state_dict()
    train(whole)
    torch.manual_seed(99)
    resumed = make()
    resumed.load_state_dict(state)
    train(resumed)
    assert resumed.position == 4 * resumed.batches.steps_per_epoch
    assert_same(resumed.state_dict(), whole.state_dict())
