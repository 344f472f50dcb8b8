"""Paired times in one process: our step against a hand-written loop, our fit against the peers'.

A figure is a ratio, ours to theirs (below 1: ours is quicker), or a number of times quicker; both
sides take turns, so that a machine's other work falls on both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import peers
from benchmarks.recipes import digit_net
from benchmarks.runner import Case
from repkit import DANN

ROUNDS = 7


class Reverse(torch.autograd.Function):
    """The reversal as everybody writes it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, lam: float) -> Tensor:  # type: ignore[override]
        ctx.lam = lam
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return -ctx.lam * grad, None


def mlp(shape_in: tuple[int, ...], dim_out: int) -> nn.Module:
    """20-128-128, the shape that the libraries were compared with before."""
    return nn.Sequential(nn.Linear(shape_in[0], 128), nn.ReLU(), nn.Linear(128, dim_out), nn.ReLU())


def tables(n: int = 2048) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2 * n, 20)).astype(np.float32)
    y = rng.integers(0, 10, 2 * n)
    return X, y, np.repeat([1, -2], n)


def images(n: int = 1024) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.random((2 * n, 1, 28, 28), dtype=np.float32)
    return X, rng.integers(0, 10, 2 * n), np.repeat([1, -2], n)


def hand_written(
    X: np.ndarray, y: np.ndarray, network: Callable[..., nn.Module], device: str, fused: bool
) -> Callable[[int], None]:
    """A loop as a careful user would write it: data on the device, one forward for both domains."""
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


def step_ratio(kind: str, device: str, precision: str, fused: bool) -> float:
    """Median of ours over theirs: an epoch of ours and as many steps of theirs, in turn."""
    X, y, domain = tables() if kind == "MLP" else images()
    network = mlp if kind == "MLP" else digit_net
    steps = 400 if kind == "MLP" else 20
    other = hand_written(X, y, network, device, fused)
    other(5)
    ours: list[float] = []
    theirs: list[float] = []
    mark = 0.0

    def turn(row: dict[str, float]) -> None:
        nonlocal mark
        synchronize(device)
        ours.append(time.perf_counter() - mark)
        start = time.perf_counter()
        other(steps)
        synchronize(device)
        theirs.append(time.perf_counter() - start)
        mark = time.perf_counter()

    model = DANN(
        network,
        max_epochs=ROUNDS + 1,
        steps_per_epoch=steps,
        batch_size=64,
        device=device,
        precision=precision,
        callbacks=[turn],
        random_state=0,
    )
    model.fit(X, y, sample_domain=domain)
    return statistics.median(ours[1:]) / statistics.median(theirs[1:])  # the first warms up


def synchronize(device: str) -> None:
    if peers.resolve(device) == "cuda":
        torch.cuda.synchronize()


def fit_ratio(train: peers.Trainer, device: str, seed: int) -> float:
    """How many times quicker our whole fit is, set-up included, over rounds in turn."""
    X, y, domain = tables()
    n, steps = len(X) // 2, 320
    ours, theirs = [], []
    for _ in range(5):
        start = time.perf_counter()
        DANN(mlp, max_epochs=steps // 32, batch_size=64, device=device, random_state=seed).fit(
            X, y, sample_domain=domain
        )
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        train(
            X[:n],
            y[:n],
            X[n:],
            features=lambda: mlp((20,), 128),
            n_features=128,
            steps=steps,
            batch_size=64,
            learning_rate=1e-3,
            seed=seed,
            device=device,
        )
        theirs.append(time.perf_counter() - start)
    return statistics.median(theirs) / statistics.median(ours)


def import_ratio(statement: str) -> float:
    """Seconds of ``statement`` after torch and sklearn.base, over theirs; fresh processes."""

    def seconds(code: str) -> float:
        timed = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
        return float(subprocess.check_output([sys.executable, "-c", timed], text=True))

    base = "import torch, sklearn.base"
    turns = [(seconds(base), seconds(f"{base}; {statement}")) for _ in range(5)]
    return statistics.median(b for _, b in turns) / statistics.median(a for a, _ in turns)


def cases(preset: str, device: str) -> list[Case]:
    """Steps, fits, imports. The seeds are repetitions."""
    listed = [
        Case(
            f"step, {kind}",
            "DANN",
            f"{precision}, against a hand-written fp32 loop with {optimizer} Adam",
            lambda seed, k=kind, p=precision, o=optimizer: {
                "time ratio": step_ratio(k, device, p, o == "fused")
            },
        )
        for kind in ("MLP", "convolutions")
        for precision in (("fp32",) if kind == "MLP" else ("fp32", "bf16"))
        for optimizer in ("default", "fused")
    ]
    for name, train in peers.available().items():
        listed.append(
            Case(
                "fit, MLP 20-128-128, 320 steps of 64 + 64",
                "DANN",
                f"against {name}",
                lambda seed, f=train: {"times quicker": fit_ratio(f, device, seed)},
            )
        )
    for statement in ("import repkit", "from repkit import DANN"):
        listed.append(
            Case(
                "import, over torch and sklearn.base",
                "repkit",
                statement,
                lambda seed, s=statement: {"time ratio": import_ratio(s)},
                seeds=1,
            )
        )
    return listed
