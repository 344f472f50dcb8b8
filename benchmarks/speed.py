"""Paired times in one process: our step against a hand-written loop, our fit against the peers'.

A figure is a ratio, ours to theirs (below 1: ours is quicker), or a number of times quicker; both
sides take turns, so that a machine's other work falls on both.
"""

from __future__ import annotations

import statistics
import time
import warnings
from importlib.util import find_spec

from sklearn.base import clone

from benchmarks import busy, growth, outside, peers, several, steps, using
from benchmarks.runner import Case
from benchmarks.steps import images, mlp, step_ratio, tables
from repkit import DANN, VAEGAN


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
    return 1.0 / step_ratio(model, lambda m: m.fit(X), loop, device, len(X) // 64)["time ratio"]


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


def cases(preset: str, device: str) -> list[Case]:
    """Steps, fits, what is done with a fitted model, metrics. The seeds are repetitions."""
    listed = steps.cases(device)
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
    listed += [*outside.cases(), *several.cases()] if peers.resolve(device) == "cpu" else []
    return [*listed, *using.cases(device), *growth.cases(device), *busy.cases()]
