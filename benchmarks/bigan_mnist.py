"""BiGAN on MNIST and on scikit-learn's digits: an encoder that is alive, and what it is worth.

1-NN accuracy never stands alone: an encoder that was never trained passes it. Beside it stand a
linear probe and r, the reconstruction ratio ``|x - G(E(x))| / |x' - G(E(x))|`` on test images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from benchmarks.autoencoders import Autoencoder
from benchmarks.encoders import judge
from benchmarks.gan_recipes import (
    BIGAN_ABLATIONS,
    BIGAN_DIGITS,
    BIGAN_MNIST,
    BIGAN_PAPER,
    BIGAN_TWIN,
)
from benchmarks.runner import Case
from repkit import BiGAN
from repkit.datasets import load_mnist
from repkit.metrics import reconstruction_ratio

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@cache
def load(task: str) -> Split:
    """Training images and labels, test images and labels."""
    if task == "MNIST":
        data = load_mnist()
        return data.x_train[:, None], data.y_train, data.x_test[:, None], data.y_test
    digits = load_digits()
    images = (digits.images[:, None] / 16).astype(np.float32)
    X, X_test, y, y_test = train_test_split(
        images, digits.target, test_size=397, stratify=digits.target, random_state=0
    )
    return X, y, X_test, y_test


def fit(task: str, settings: Mapping[str, Any], device: str, seed: int) -> BiGAN:
    model = BiGAN(**{"output": "hidden", **settings, "device": device, "random_state": seed})
    return model.fit(load(task)[0])


def bigan(task: str, settings: Mapping[str, Any], device: str, seed: int) -> dict[str, float]:
    """The figures of a BiGAN that is fitted here, and the seconds of the fit."""
    started = time.perf_counter()
    model = fit(task, settings, device, seed)
    seconds = time.perf_counter() - started
    return {**judge_bigan(task, model, device), "seconds of fit": seconds}


def judge_bigan(task: str, model: BiGAN, device: str) -> dict[str, float]:
    """A fitted BiGAN's figures on the test images."""
    X, y, X_test, y_test = load(task)
    model.set_params(output="hidden")
    found = judge((model.transform(X), model.transform(X_test)), y, y_test, device)
    model.set_params(output="latent")
    codes = judge((model.transform(X), model.transform(X_test)), y, y_test, device)
    return {
        **found,
        "1-NN of the code": codes["1-NN"],
        "r": reconstruction_ratio(X_test, model.reconstruct(X_test)),
    }


def trained_autoencoder(
    task: str, options: Mapping[str, Any], device: str, seed: int
) -> Autoencoder:
    """An auto-encoder or a VAE of the networks of the BiGAN."""
    X = load(task)[0]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = {"augment": None, **options}
        training = {k: options.pop(k) for k in ("steps", "bf16", "augment")}
        return Autoencoder(X.shape[1:], **options).fit(X, seed=seed, device=device, **training)


def autoencoder(task: str, options: Mapping[str, Any], device: str, seed: int) -> dict[str, float]:
    """The figures of one, as those of a BiGAN."""
    X, y, X_test, y_test = load(task)
    started = time.perf_counter()
    model = trained_autoencoder(task, options, device, seed)
    seconds = time.perf_counter() - started
    found = judge((model.hidden(X), model.hidden(X_test)), y, y_test, device)
    codes = judge((model.latent(X), model.latent(X_test)), y, y_test, device)
    scale = 255.0 if X.dtype == np.uint8 else 1.0
    return {
        **found,
        "1-NN of the code": codes["1-NN"],
        "r": reconstruction_ratio(X_test / scale, model.reconstruct(X_test)),
        "seconds of fit": seconds,
    }


def raw(task: str, device: str) -> dict[str, float]:
    X, y, X_test, y_test = load(task)
    flat = [a.reshape(len(a), -1).astype(np.float32) for a in (X, X_test)]
    return judge((flat[0], flat[1]), y, y_test, device)


def pca(task: str, device: str) -> dict[str, float]:
    """As many components as the code has numbers."""
    X, y, X_test, y_test = load(task)
    flat = [a.reshape(len(a), -1).astype(np.float32) for a in (X, X_test)]
    model = PCA(min(50, flat[0].shape[1] // 2), random_state=0).fit(flat[0])
    codes = [model.transform(a) for a in flat]
    found = judge((codes[0], codes[1]), y, y_test, device)
    return {**found, "r": reconstruction_ratio(flat[1], model.inverse_transform(codes[1]))}


def cases(preset: str, device: str) -> list[Case]:
    """BiGAN with its ablations, and what it is compared with."""
    listed = []
    for task, base in (("digits", BIGAN_DIGITS), ("MNIST", BIGAN_MNIST)):
        if preset == "paper" and task == "MNIST":
            base = BIGAN_PAPER
        variants: dict[str, dict[str, Any]] = {"recipe": {}}
        if preset == "cpu":
            variants |= BIGAN_ABLATIONS.get(task, {})
        variants["untrained"] = {"max_epochs": 1, "steps_per_epoch": 1, "learning_rate": 0.0}
        for name, change in variants.items():
            listed.append(
                Case(
                    task,
                    "BiGAN",
                    name,
                    lambda seed, t=task, s={**base, **change}: bigan(t, s, device, seed),
                )
            )
        for name, beta, augment in (
            ("auto-encoder", None, None),
            ("auto-encoder", None, base.get("augment")),
            ("VAE", 1.0, None),
        ):
            options = {**BIGAN_TWIN[task], "beta": beta, "augment": augment}
            same = "networks and time" if augment is None else "networks, time and augmentation"
            if any(case.name == f"{task}/{name}/same {same}" for case in listed):
                continue  # a recipe without augmentation
            listed.append(
                Case(
                    task,
                    name,
                    f"same {same}",
                    lambda seed, t=task, o=options: autoencoder(t, o, device, seed),
                )
            )
        baselines: dict[str, Callable[[str, str], dict[str, float]]] = {"pixels": raw, "PCA": pca}
        for name, run in baselines.items():
            listed.append(
                Case(
                    task,
                    name,
                    "50 components" if name == "PCA" and task == "MNIST" else "",
                    lambda seed, t=task, f=run: f(t, device),
                    seeds=1,
                )
            )
    return listed
