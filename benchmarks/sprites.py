"""Disentanglement on sprites of known shape, scale, orientation and position.

The scores are computed on 15 000 images drawn apart from the 40 000 to train on, but from the same
737 280, so that one in twenty was seen in training. FactorVAE and BetaVAE votes take their batches
from them; with the preset `paper` from new images, drawn for the factors that the published
protocol asks for, and DCI uses its published gradient boosting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA

from benchmarks.autoencoders import Autoencoder
from benchmarks.gan_recipes import SPRITES, SPRITES_ABLATIONS, SPRITES_PAPER, SPRITES_TWIN
from benchmarks.runner import Case
from benchmarks.sprite_nets import StampGenerator
from repkit import InfoGAN
from repkit.datasets import Sprites, make_sprites
from repkit.metrics import disentanglement_scores

TASK = "sprites, 64 px"
N_TRAIN, N_TEST = 40_000, 15_000
Encode = Callable[[np.ndarray], np.ndarray]


@cache
def load(n: int = N_TRAIN) -> np.ndarray:
    """Random sprites; all of them where as many are asked for."""
    if n == len(Sprites()):
        return np.concatenate([Sprites()[k : k + 4096] for k in range(0, n, 4096)])
    return make_sprites(n, random_state=0).X


@cache
def test() -> tuple[np.ndarray, np.ndarray]:
    data = make_sprites(N_TEST, random_state=1)
    return data.X, data.factors


def judge(encode: Encode, *, full: bool) -> dict[str, float]:
    """The scores of codes; ``full``: by the published protocol to the letter, which takes long."""
    images, factors = test()
    found = disentanglement_scores(
        encode(images),
        factors,
        scores=("mig", "dci", "sap", "factor_vae", "beta_vae", "modularity_explicitness"),
        model="gradient_boosting" if full else "random_forest",
        encode=(lambda rows: encode(make_sprites(factors=rows).X)) if full else None,
        random_state=0,
    )
    return {
        "FactorVAE": found["factor_vae"],
        "BetaVAE": found["beta_vae"],
        "MIG": found["mig"],
        "SAP": found["sap"],
        "DCI": found["dci_disentanglement"],
        "modularity": found["modularity"],
    }


def infogan(settings: Mapping[str, Any], device: str, full: bool, seed: int) -> dict[str, float]:
    settings = dict(settings)
    images = load(settings.pop("n_train", N_TRAIN))
    started = time.perf_counter()
    model = InfoGAN(**settings, device=device, random_state=seed).fit(images)
    seconds = time.perf_counter() - started
    return {**judge(model.transform, full=full), "seconds of fit": seconds}


def vae(options: Mapping[str, Any], device: str, full: bool, seed: int) -> dict[str, float]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = dict(options)
        training = {k: options.pop(k) for k in ("steps", "bf16", "batch_size", "learning_rate")}
        started = time.perf_counter()
        images = load()
        model = Autoencoder(images.shape[1:], **options)
        model.fit(images, seed=seed, device=device, **training)
        seconds = time.perf_counter() - started
    return {**judge(model.latent, full=full), "seconds of fit": seconds}


def pca(full: bool) -> dict[str, float]:
    flat = load().reshape(N_TRAIN, -1).astype(np.float32) / 255
    model = PCA(10, random_state=0).fit(flat)
    return judge(
        lambda x: model.transform(x.reshape(len(x), -1).astype(np.float32) / 255), full=full
    )


def cases(preset: str, device: str) -> list[Case]:
    """InfoGAN with its ablations; VAEs of the same size and time; an untrained network; PCA."""
    full = preset == "paper"
    base = SPRITES_PAPER if full else SPRITES
    variants: dict[str, dict[str, Any]] = {"recipe": {}}
    if not full:
        variants |= SPRITES_ABLATIONS
    variants["untrained"] = {
        "max_epochs": 1,
        "steps_per_epoch": 1,
        "learning_rate": 0.0,
    }
    listed = [
        Case(
            TASK,
            "InfoGAN",
            name,
            lambda seed, s={**base, **change}: infogan(s, device, full, seed),
        )
        for name, change in variants.items()
    ]
    for beta, generator in ((1.0, None), (4.0, None), (4.0, StampGenerator)):
        options = {**SPRITES_TWIN, "beta": beta, "generator": generator}
        name = "VAE" if beta == 1.0 else f"VAE, beta {beta:g}"
        variant = "plain generator" if generator is None else "same generator"
        listed.append(
            Case(TASK, name, f"{variant}, same time", partial(vae, options, device, full))
        )
    listed.append(Case(TASK, "PCA", "10 components", lambda seed: pca(full), seeds=1))
    return listed
