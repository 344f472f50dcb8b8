"""Training loops as a careful user would write them: data on the device, no work done twice.

Each takes the steps of one of our systems with the same networks, the same losses and the same
number of passes through each network, a fused Adam for each player, and nothing else: no history,
no schedule of the learning rate, no check. Players that a system lets move from the same point do
so here too, each by the gradient of its own loss.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import cached

from benchmarks import peers
from repkit.nets import convolutions

Loop = Callable[[int], None]  # takes so many steps
Networks = Mapping[str, nn.Module]


def with_layers_of_torch(loop: Loop) -> Loop:
    """The loop on a copy of our networks, whose layers do on a CPU what those of torch do."""

    def run(steps: int) -> None:
        with patch.object(convolutions, "quick", lambda *_: False):
            loop(steps)

    return run


class Reverse(torch.autograd.Function):
    """The reversal as everybody writes it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, lam: float) -> Tensor:  # type: ignore[override]
        ctx.lam = lam
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return -ctx.lam * grad, None


class Player:
    """Networks that descend a loss by themselves alone."""

    def __init__(
        self,
        *networks: nn.Module,
        lr: float = 1e-3,
        beta1: float = 0.5,
        decay: float = 0.0,
        fused: bool = True,
    ) -> None:
        self.parameters = [p for network in networks for p in network.parameters()]
        maker = torch.optim.AdamW if decay else torch.optim.Adam
        self.adam = maker(
            self.parameters, lr, (beta1, 0.999), weight_decay=decay, fused=fused or None
        )


def descend(*moves: tuple[Player, Tensor]) -> None:
    """All gradients of one graph, then all steps."""
    for k, (player, loss) in enumerate(moves, 1):
        player.adam.zero_grad()
        loss.backward(inputs=player.parameters, retain_graph=k < len(moves))
    for player, _ in moves:
        player.adam.step()


def shuffled(x: Tensor, size: int) -> Iterator[Tensor]:
    """The rows of batches: of an endless sequence of permutations."""
    while True:
        order = torch.randperm(len(x), device=x.device)
        yield from order[: len(x) // size * size].view(-1, size)


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
    player = Player(features, head, domain, beta1=0.9, fused=fused)
    which = torch.arange(2, device=device).repeat_interleave(64)
    source, target = shuffled(x[:n], 64), shuffled(x[n:], 64)
    progress = 0.0

    def run(steps: int) -> None:
        nonlocal progress
        for _ in range(steps):
            rows = next(source)
            xb, yb = x[torch.cat([rows, n + next(target)])], label[rows]
            lam = 2 / (1 + np.exp(-10 * progress)) - 1
            progress = min(1.0, progress + 1e-4)
            f = features(xb)
            loss = F.cross_entropy(head(f[:64]), yb)
            descend((player, loss + F.cross_entropy(domain(Reverse.apply(f, lam)), which)))

    return run


def bigan(n: Networks, X: np.ndarray, latent_dim: int, size: int, device: str) -> Loop:
    """D, and G and E, from one forward pass."""
    E, G, D = n["E"], n["G"], n["D"]
    x = torch.from_numpy(X).to(peers.resolve(device))
    rows, d, ge = shuffled(x, size), Player(D), Player(G, E)

    def run(steps: int) -> None:
        for _ in range(steps):
            xb = x[next(rows)]
            z = 2 * torch.rand(size, latent_dim, device=x.device) - 1
            real, fake = D(xb, E(xb)), D(G(z), z)
            d_loss = 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())
            ge_loss = 0.5 * (F.softplus(real).mean() + F.softplus(-fake).mean())
            descend((d, d_loss), (ge, ge_loss))

    return run


def infogan(n: Networks, X: np.ndarray, latent_dim: int, size: int, device: str) -> Loop:
    """The step of B, D and Q, then that of G on a new sample; 10 categories, 2 numbers."""
    B, D, Q, G = n["B"], n["D"], n["Q"], n["G"]
    x = torch.from_numpy(X).to(peers.resolve(device))
    rows, d, g = shuffled(x, size), Player(B, D, Q), Player(G)

    def draw() -> tuple[Tensor, Tensor, Tensor]:
        category = torch.randint(10, (size,), device=x.device)
        rest = 2 * torch.rand(size, latent_dim + 2, device=x.device) - 1
        code = F.one_hot(category, 10).float()
        latent = torch.cat([rest[:, :latent_dim], code, rest[:, latent_dim:]], 1)
        return latent, category, rest[:, latent_dim:]

    def information(q: Tensor, category: Tensor, values: Tensor) -> Tensor:
        gaussian = 0.5 * (q[:, 10:] - values).square().sum(1).mean()
        return F.cross_entropy(q[:, :10], category) + gaussian

    def run(steps: int) -> None:
        for _ in range(steps):
            latent, *codes = draw()
            with torch.no_grad():
                sample = G(latent)
            f = B(sample)
            loss = F.softplus(-D(B(x[next(rows)]))).mean() + F.softplus(D(f)).mean()
            descend((d, loss + information(Q(f), *codes)))
            latent, *codes = draw()
            f = B(G(latent))
            descend((g, F.softplus(-D(f)).mean() + information(Q(f), *codes)))

    return run


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """From the standard normal distribution."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def drawn(codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means and log variances, and a code of each law."""
    mean, log_variance = codes.chunk(2, 1)
    log_variance = log_variance.clamp(-10, 10)
    return mean, log_variance, mean + (0.5 * log_variance).exp() * torch.randn_like(mean)


def vae(n: Networks, X: np.ndarray, latent_dim: int, size: int, device: str) -> Loop:
    """Bernoulli's likelihood, of logits."""
    E, G = n["E"], n["G"][:-1]  # type: ignore[index]
    x = torch.from_numpy(X).to(peers.resolve(device))
    rows, player = shuffled(x, size), Player(E, G, beta1=0.9)

    def run(steps: int) -> None:
        for _ in range(steps):
            xb = x[next(rows)]
            mean, log_variance, z = drawn(E(xb))
            error = F.binary_cross_entropy_with_logits(G(z), xb, reduction="sum") / size
            descend((player, error + divergence(mean, log_variance)))

    return run


def vaegan(n: Networks, X: np.ndarray, latent_dim: int, size: int, device: str) -> Loop:
    """Larsen et al., algorithm 1, with gamma = 5 over the number of features."""
    E, G, D = n["E"], n["G"], n["D"]
    x = torch.from_numpy(X).to(peers.resolve(device))
    rows, players = shuffled(x, size), (Player(E), Player(G), Player(D))

    def run(steps: int) -> None:
        for _ in range(steps):
            xb = x[next(rows)]
            mean, log_variance, z = drawn(E(xb))
            fakes = G(torch.cat([z, torch.randn_like(mean)]))
            with cached():
                (wanted, real), (hidden, fake) = D(xb), D(fakes)
            variance = (wanted - wanted.mean(0)).square().mean()
            like = 0.5 * (hidden[:size] - wanted).square().sum(1).mean() / variance
            e_loss = divergence(mean, log_variance) + like
            g_loss = 5 / wanted.shape[1] * like + F.softplus(-fake).mean()
            d_loss = F.softplus(-real).mean() + F.softplus(fake).mean()
            descend(*zip(players, (e_loss, g_loss, d_loss), strict=True))

    return run


def triplegan(
    n: Networks,
    X: np.ndarray,
    y: np.ndarray,
    latent_dim: int,
    sizes: tuple[int, int],
    device: str,
) -> Loop:
    """All terms of C count: its average labels, its opponent judges, and G's samples teach it."""
    C, G, D = n["C"], n["G"], n["D"]
    device = peers.resolve(device)
    x, label = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    known, (few, many) = torch.from_numpy(np.flatnonzero(y >= 0)).to(device), sizes
    labeled, unlabeled = shuffled(known, few), shuffled(x, many)
    c, g, d = Player(C, lr=2e-3), Player(G, lr=5e-4), Player(D, lr=5e-4)
    average = {network: copy.deepcopy(network).eval().requires_grad_(False) for network in (C, G)}
    pairs = [
        pair
        for network, twin in average.items()
        for pair in zip(twin.state_dict().values(), network.state_dict().values(), strict=True)
        if pair[0].is_floating_point()
    ]
    teacher = average[C]

    def run(steps: int) -> None:
        for _ in range(steps):
            taken = known[next(labeled)]
            xb, yb = x[torch.cat([taken, next(unlabeled)])], label[taken]
            with torch.no_grad():
                guess = teacher(xb[few:]).softmax(1)
            sure, told = guess.max(1)
            logits = C(xb)
            free = logits[few:]
            log_p = F.log_softmax(free, 1)
            p = log_p.exp()
            c_loss = F.cross_entropy(logits[:few], yb)
            c_loss = c_loss + (F.nll_loss(log_p, told, reduction="none") * (sure >= 0.95)).mean()
            c_loss = c_loss - 0.3 * (p * log_p).sum(1).mean() - 0.1 * p.mean(0).log().mean()

            wanted = torch.randint(10, (few + many,), device=device)
            z = torch.randn(few + many, latent_dim, device=device)
            fake = G(torch.cat([z, F.one_hot(wanted, 10).float()], 1))
            with cached():
                real, generated = D(xb), D(fake)
            generated = generated.gather(1, wanted[:, None])
            true = real.gather(1, torch.cat([yb, told])[:, None])
            d_loss = F.softplus(-true).mean() + 0.5 * F.softplus(generated).mean()
            d_loss = d_loss + 0.5 * (guess * F.softplus(real[few:])).sum(1).mean()
            c_loss = c_loss + 0.5 * (p * F.softplus(-real[few:])).sum(1).mean()
            with torch.no_grad():
                agreed = (teacher(fake).argmax(1) == wanted).float().mean() >= 0.0
            c_loss = c_loss + 0.1 * agreed * F.cross_entropy(C(fake), wanted)
            descend((c, c_loss), (g, 0.5 * F.softplus(-generated).mean()), (d, d_loss))
            torch._foreach_lerp_([a for a, _ in pairs], [b for _, b in pairs], 0.01)

    return run


def speech(
    n: Networks,
    batches: Sequence[tuple[Tensor, ...]],
    scale: tuple[Tensor, Tensor],
    perturb: nn.Module,
) -> Loop:
    """Swapped reconstruction, speakers by a margin, and two steps of a classifier of speakers.

    Parameters
    ----------
    n : mapping of str to nn.Module
    batches : sequence of (x, length, y, partner)
        Ready on the device.
    scale : (Tensor, Tensor)
        Mean and inverse deviation of the columns.
    perturb : nn.Module
        Of what the phonetic encoder reads.
    """
    Ep, Es, R, D = n["Ep"], n["Es"], n["R"], n["D"]
    a, d = (
        Player(Ep, Es, R, lr=2e-3, beta1=0.9, decay=1e-4),
        Player(D, lr=2e-3, decay=1e-4),
    )
    mean, inverse = scale
    taken = 0

    def mask(length: Tensor, time: int) -> Tensor:
        return (torch.arange(time, device=length.device) < length[:, None]).float()[..., None]

    def run(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            x, length, y, partner = batches[taken % len(batches)]
            taken += 1
            time = x.shape[1]
            inside = mask(length, time)
            frames = (x - mean) * inverse * inside
            s = Es(frames, length)
            other, changed = perturb(x, length, y)
            p = Ep((other - mean) * inverse * mask(changed, other.shape[1]), changed)
            descend((d, F.cross_entropy(D(p.detach()), y)))

            rebuilt = R(p, s[partner], length, time)
            error = ((rebuilt - frames).square() * inside).sum() / (length.sum() * x.shape[2])
            square = (s[:, None] - s).square().sum(2)
            same = (y[:, None] == y).float()
            near, far = same - torch.eye(len(y), device=x.device), 1 - same
            short = F.relu(1 - (square + 1e-8).sqrt()).square()
            apart = (square * near).sum() / near.sum() + (short * far).sum() / far.sum()
            d_loss = F.cross_entropy(D(p), y)
            descend((a, error + apart - 0.3 * d_loss), (d, d_loss))

    return run
