"""VAE-GAN against a VAE of the same encoder and decoder, after as many epochs.

Samples, as many as test images, and reconstructions of the test images are compared with the test
images in the features of a small classifier (`benchmarks.referee`): Frechet distance, precision and
recall, and whether the classifier still reads the right digit off a reconstruction. Beside that
stand the linear probe of the codes and r, the reconstruction ratio of pixels.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from benchmarks.bigan_mnist import load
from benchmarks.referee import accuracy, distance
from benchmarks.runner import Case
from repkit import VAE, VAEGAN, Discriminator, recipes
from repkit.metrics import linear_probe, reconstruction_ratio

SYSTEMS = {"VAE": VAE, "VAEGAN": VAEGAN}

SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    task: {"VAE": recipes.vae(task.lower()), "VAEGAN": recipes.vaegan(task.lower())}
    for task in ("MNIST", "digits")
}
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "VAE": {"Bernoulli": {}, "Gaussian": {"likelihood": "gaussian", "beta": 0.03}},
    "VAEGAN": {"two-way": {}, "three-way": {"discriminator_kind": "three_way"}},
}
ABLATIONS: dict[str, dict[str, Any]] = {
    "three-way, batch norm in D": {
        "discriminator_kind": "three_way",
        "discriminator_norm": "batch",
    },
    "two-way, hinge": {"discriminator": Discriminator(loss="hinge")},
    "two-way, balance rule": {"balanced_steps": True},
}
# The networks and the number of epochs of an H200's minutes.
PAPER: dict[str, Any] = {"width": 1024, "max_epochs": 60, "ema": 0.999}


def fit(
    task: str, system: str, settings: Mapping[str, Any], device: str, seed: int
) -> VAE | VAEGAN:
    return SYSTEMS[system](**{**settings, "device": device, "random_state": seed}).fit(
        load(task)[0]
    )


def run(
    task: str, system: str, settings: Mapping[str, Any], device: str, seed: int
) -> dict[str, float]:
    """The figures of a model that is fitted here, and the seconds of the fit."""
    started = time.perf_counter()
    model = fit(task, system, settings, device, seed)
    seconds = time.perf_counter() - started
    return {**judge(task, model, device), "seconds of fit": seconds}


def judge(task: str, model: VAE | VAEGAN, device: str) -> dict[str, float]:
    """A fitted model's figures."""
    X, y, X_test, y_test = load(task)
    samples = distance(task, model.sample(len(X_test), random_state=0), device)
    codes = linear_probe(model.transform(X), y, model.transform(X_test), y_test)
    return {
        "Frechet, samples": samples["Frechet"],
        "precision": samples["precision"],
        "recall": samples["recall"],
        **judge_images(task, model.reconstruct(X_test), device),
        "linear probe": codes["accuracy"],
    }


def judge_images(task: str, images: np.ndarray, device: str) -> dict[str, float]:
    """The figures of reconstructions of the test images."""
    X_test = load(task)[2]
    return {
        "Frechet, reconstructions": distance(task, images, device)["Frechet"],
        "read rightly": accuracy(task, images, device),
        "r": reconstruction_ratio(X_test, images),
    }


def pca(task: str, n_components: int, device: str) -> dict[str, float]:
    """Reconstructions from as many components as the codes have numbers."""
    X, y, X_test, y_test = load(task)
    high = 255.0 if X.dtype == np.uint8 else 1.0
    flat = [a.reshape(len(a), -1).astype(np.float32) / high for a in (X, X_test)]
    model = PCA(n_components, random_state=0).fit(flat[0])
    codes = [model.transform(a) for a in flat]
    back = model.inverse_transform(codes[1]).clip(0, 1).reshape(X_test.shape) * high
    found = linear_probe(codes[0], y, codes[1], y_test)
    return {
        **judge_images(task, back.astype(X.dtype), device),
        "linear probe": found["accuracy"],
    }


def real(task: str, device: str) -> dict[str, float]:
    """What no generator is expected to beat: training images; the test images themselves."""
    X, _, X_test, _ = load(task)
    rows = np.random.default_rng(0).choice(len(X), min(len(X_test), len(X)), replace=False)
    found = distance(task, X[rows], device)
    return {
        "Frechet, samples": found["Frechet"],
        "precision": found["precision"],
        "recall": found["recall"],
        "read rightly": accuracy(task, X_test, device),
    }


def cases(preset: str, device: str) -> list[Case]:
    """VAE and VAE-GAN, ablations, and what needs no training."""
    listed = []
    for task, settings in SETTINGS.items():
        for system, base in settings.items():
            if preset == "paper" and task == "MNIST":
                base = {**base, **PAPER}
            variants = dict(VARIANTS[system])
            if preset == "cpu" and system == "VAEGAN" and task == "digits":
                variants |= ABLATIONS
            if system == "VAE":
                variants["untrained"] = {
                    "max_epochs": 1,
                    "steps_per_epoch": 1,
                    "learning_rate": 0.0,
                }
            for name, change in variants.items():
                listed.append(
                    Case(
                        task,
                        system,
                        name,
                        lambda seed, t=task, m=system, s={**base, **change}: run(
                            t, m, s, device, seed
                        ),
                    )
                )
        n = settings["VAE"]["latent_dim"]
        listed.append(
            Case(
                task,
                "PCA",
                f"{n} components",
                lambda seed, t=task, n=n: pca(t, n, device),
                seeds=1,
            )
        )
        listed.append(
            Case(task, "training images", "", lambda seed, t=task: real(t, device), seeds=1)
        )
    return listed
