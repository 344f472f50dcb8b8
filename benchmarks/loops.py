"""Training loops as a careful user would write them: data on the device, no work done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import peers
from repkit.bigan.networks import PairDiscriminator
from repkit.infogan.networks import code_head
from repkit.nets.generators import generator_dcgan, generator_mlp
from repkit.nets.trunks import Encoder, dcgan, features_of, hidden_layer

Loop = Callable[[int], None]  # takes so many steps


class Reverse(torch.autograd.Function):
    """The reversal as everybody writes it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, lam: float) -> Tensor:  # type: ignore[override]
        ctx.lam = lam
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return -ctx.lam * grad, None


def dann(
    X: np.ndarray, y: np.ndarray, network: Callable[..., nn.Module], device: str, fused: bool
) -> Loop:
    """One forward for both domains."""
    device = peers.resolve(device)
    x, label = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    n = len(x) // 2
    features = network(X.shape[1:], 128).to(device)
    head, domain = (
        nn.Linear(128, 10).to(device),
        nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2)).to(device),
    )
    parameters = [*features.parameters(), *head.parameters(), *domain.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3, fused=fused or None)
    which = torch.arange(2, device=device).repeat_interleave(64)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            source = torch.randperm(n, device=device)
            target = n + torch.randperm(n, device=device)
            for k in range(0, n - 63, 64):
                rows = torch.cat([source[k : k + 64], target[k : k + 64]])
                yield x[rows], label[rows[:64]]

    stream = batches()
    progress = 0.0

    def run(steps: int) -> None:
        nonlocal progress
        for _ in range(steps):
            xb, yb = next(stream)
            lam = 2 / (1 + np.exp(-10 * progress)) - 1
            progress = min(1.0, progress + 1e-4)
            f = features(xb)
            loss = F.cross_entropy(head(f[:64]), yb)
            loss = loss + F.cross_entropy(domain(Reverse.apply(f, lam)), which)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def shuffled(x: Tensor, size: int) -> Iterator[Tensor]:
    """Batches of an endless sequence of permutations."""
    while True:
        order = torch.randperm(len(x), device=x.device)
        for k in range(0, len(x) - size + 1, size):
            yield x[order[k : k + size]]


def bigan(X: np.ndarray, n_features: int, device: str, fused: bool) -> Loop:
    """D's step on detached pairs, then that of G and E."""
    device = peers.resolve(device)
    shape = X.shape[1:]
    E = Encoder(
        features_of(hidden_layer(shape, n_features), n_features, n_features), n_features, 50, True
    ).to(device)
    G = nn.Sequential(generator_mlp(50, shape, n_features), nn.Sigmoid()).to(device)
    D = PairDiscriminator(hidden_layer(shape, n_features), n_features, 50, n_features).to(device)
    options = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": fused or None}
    d_optimizer = torch.optim.Adam(D.parameters(), **options)
    ge_optimizer = torch.optim.Adam([*E.parameters(), *G.parameters()], **options)
    stream = shuffled(torch.from_numpy(X).to(device), 128)

    def run(steps: int) -> None:
        for _ in range(steps):
            x, z = next(stream), 2 * torch.rand(128, 50, device=device) - 1
            e, g = E(x), G(z)
            real, fake = D(x, e.detach()), D(g.detach(), z)
            loss = F.softplus(-real).mean() + F.softplus(fake).mean()
            d_optimizer.zero_grad()
            loss.backward()
            d_optimizer.step()
            real, fake = D(x, e), D(g, z)
            loss = F.softplus(real).mean() + F.softplus(-fake).mean()
            ge_optimizer.zero_grad()
            loss.backward()
            ge_optimizer.step()

    return run


def infogan(X: np.ndarray, n_features: int, device: str, fused: bool) -> Loop:
    """The step of B, D and Q on a detached sample, then that of G on a new one."""
    device = peers.resolve(device)
    shape = X.shape[1:]
    trunk = dcgan(shape, n_features)
    with torch.no_grad():
        width = trunk(torch.zeros(2, *shape)).shape[1]
    B = features_of(trunk, width, n_features).to(device)
    D, Q = nn.Linear(n_features, 1).to(device), code_head(n_features, 12).to(device)
    G = nn.Sequential(generator_dcgan(74, shape, n_features), nn.Sigmoid()).to(device)
    for module in (B, G):
        module.to(memory_format=torch.channels_last)
    options: dict[str, Any] = {"betas": (0.5, 0.999), "fused": fused or None}
    d_parameters = [*B.parameters(), *D.parameters(), *Q.parameters()]
    d_optimizer = torch.optim.Adam(d_parameters, 2e-4, **options)
    g_optimizer = torch.optim.Adam(G.parameters(), 1e-3, **options)
    stream = shuffled(torch.from_numpy(X).to(device), 128)

    def draw() -> tuple[Tensor, Tensor, Tensor]:
        category = torch.randint(10, (128,), device=device)
        rest = 2 * torch.rand(128, 64, device=device) - 1
        return torch.cat([rest, F.one_hot(category, 10).float()], 1), category, rest[:, :2]

    def information(q: Tensor, category: Tensor, values: Tensor) -> Tensor:
        gaussian = 0.5 * (q[:, 10:] - values).square().sum(1).mean()
        return F.cross_entropy(q[:, :10], category) + gaussian

    def run(steps: int) -> None:
        for _ in range(steps):
            latent, *codes = draw()
            with torch.no_grad():
                sample = G(latent)
            f = B(sample)
            loss = F.softplus(-D(B(next(stream)))).mean() + F.softplus(D(f)).mean()
            d_optimizer.zero_grad()
            (loss + information(Q(f), *codes)).backward()
            d_optimizer.step()
            latent, *codes = draw()
            f = B(G(latent))
            g_optimizer.zero_grad()
            (F.softplus(-D(f)).mean() + information(Q(f), *codes)).backward()
            g_optimizer.step()

    return run
