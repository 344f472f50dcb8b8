"""Paired times in one process: our step against a hand-written loop, our fit against the peers'.

A figure is a ratio, ours to theirs (below 1: ours is quicker), or a number of times quicker; both
sides take turns, so that a machine's other work falls on both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import nn

from benchmarks import busy, loops, peers
from benchmarks.recipes import digit_net
from benchmarks.runner import Case
from repkit import DANN, VAEGAN, BiGAN, InfoGAN

ROUNDS = 7


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


def step_ratio(model: Any, fit: Callable[[Any], Any], loop: loops.Loop, device: str) -> float:
    """Median of ours over theirs: an epoch of the model and as many steps of the loop, in turn."""
    steps = model.steps_per_epoch
    loop(steps)
    ours: list[float] = []
    theirs: list[float] = []
    mark = 0.0

    def turn(row: dict[str, float]) -> None:
        nonlocal mark
        synchronize(device)
        ours.append(time.perf_counter() - mark)
        start = time.perf_counter()
        loop(steps)
        synchronize(device)
        theirs.append(time.perf_counter() - start)
        mark = time.perf_counter()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few steps link no encoder
        fit(model.set_params(max_epochs=ROUNDS + 1, callbacks=[turn], device=device))
    return statistics.median(ours[1:]) / statistics.median(theirs[1:])  # the first warms up


def dann_ratio(kind: str, device: str, precision: str, fused: bool) -> float:
    X, y, domain = tables() if kind == "MLP" else images()
    network = mlp if kind == "MLP" else digit_net
    model = DANN(
        network,
        steps_per_epoch=400 if kind == "MLP" else 20,
        batch_size=64,
        precision=precision,
        random_state=0,
    )
    loop = loops.dann(X, y, network, device, fused)
    return step_ratio(model, lambda m: m.fit(X, y, sample_domain=domain), loop, device)


def gan_ratio(kind: str, device: str, precision: str, fused: bool) -> float:
    X = images()[0]
    common = {"width": 512, "batch_size": 128, "precision": precision, "random_state": 0}
    common["validation_fraction"] = 0.0
    if kind == "BiGAN":
        names = dict.fromkeys(("encoder", "generator", "discriminator"), "mlp")
        model: Any = BiGAN(**names, **common, steps_per_epoch=20)
        loop = loops.bigan(X, 512, device, fused)
    else:
        model = InfoGAN(**common, recalibrate=False, steps_per_epoch=10)
        loop = loops.infogan(X, 512, device, fused)
    return step_ratio(model, lambda m: m.fit(X), loop, device)


def pythae_ratio(kind: str, device: str, precision: str) -> float:
    """How many times quicker a step of the VAE-GAN is than pythae's on the same networks."""
    from benchmarks import pythae_loop

    X = images()[0]
    model = VAEGAN(
        encoder=kind,
        generator=kind,
        discriminator=kind,
        discriminator_norm="batch",
        precision=precision,
        device=device,
        validation_fraction=0.0,
        max_epochs=1,
        steps_per_epoch=1,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        networks = clone(model).fit(X).networks_
    loop = pythae_loop.vaegan(networks, X, model.latent_dim, device)
    model.set_params(steps_per_epoch=len(X) // 64)
    return 1.0 / step_ratio(model, lambda m: m.fit(X), loop, device)


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
                "time ratio": dann_ratio(k, device, p, o == "fused")
            },
        )
        for kind in ("MLP", "convolutions")
        for precision in (("fp32",) if kind == "MLP" else ("fp32", "bf16"))
        for optimizer in ("default", "fused")
    ]
    listed += [
        Case(
            f"step, {what}",
            system,
            f"{precision}, against a hand-written fp32 loop with fused Adam",
            lambda seed, k=system, p=precision: {"time ratio": gan_ratio(k, device, p, True)},
        )
        for system, what in (("BiGAN", "MLP 784-512, batch 128"), ("InfoGAN", "28 px, batch 128"))
        for precision in ("fp32", "bf16")
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
    if find_spec("pythae"):
        listed += [
            Case(
                f"step, {what}, 28 px, batch 64",
                "VAEGAN",
                f"{precision}, against pythae's fp32",
                lambda seed, k=kind, p=precision: {"times quicker": pythae_ratio(k, device, p)},
            )
            for kind, what, precision in (
                ("mlp", "MLP", "fp32"),
                ("dcgan", "convolutions", "fp32"),
                ("dcgan", "convolutions", "bf16"),
            )
        ]
    for statement in ("import repkit", "from repkit import DANN"):
        listed.append(
            Case(
                "import, over torch and sklearn.base",
                "repkit",
                statement,
                lambda seed, s=statement: {"time ratio": import_ratio(s)},
                seeds=5,  # one repetition is uncertain by more than the package takes
            )
        )
    return listed + busy.cases()
