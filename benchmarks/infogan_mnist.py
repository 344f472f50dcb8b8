"""InfoGAN on MNIST and on scikit-learn's digits: are the categories digits, without a label?

Categories are named after digits on the training images (Hungarian); the accuracy is that on the
test images. Slant and width: the greatest rank correlation of a continuous code with either.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from benchmarks.bigan_mnist import load, trained_autoencoder
from benchmarks.gan_recipes import (
    BIGAN_TWIN,
    INFOGAN_ABLATIONS,
    INFOGAN_DIGITS,
    INFOGAN_MNIST,
    INFOGAN_PAPER,
)
from benchmarks.runner import Case
from benchmarks.strokes import correlations
from repkit import InfoGAN
from repkit.metrics import match_clusters

# Of the paper's own method alone.
CHEN = "Chen et al. 2016, section 7.2 (from memory)"
PUBLISHED = {("MNIST", "no augmentation, no invariance"): {"category accuracy": (0.95, CHEN)}}


def fit(task: str, settings: Mapping[str, Any], device: str, seed: int) -> InfoGAN:
    return InfoGAN(**{**settings, "device": device, "random_state": seed}).fit(load(task)[0])


def infogan(task: str, settings: Mapping[str, Any], device: str, seed: int) -> dict[str, float]:
    """The figures of an InfoGAN that is fitted here, and the seconds of the fit."""
    started = time.perf_counter()
    model = fit(task, settings, device, seed)
    seconds = time.perf_counter() - started
    return {**judge_infogan(task, model), "seconds of fit": seconds}


def judge_infogan(task: str, model: InfoGAN) -> dict[str, float]:
    """A fitted InfoGAN's figures."""
    _, y, X_test, y_test = load(task)
    digits = model.match_labels(y)
    codes = model.transform(X_test)
    last = model.history_.iloc[-1]
    found = {
        "category accuracy": np.mean(digits[codes[:, :10].argmax(1)] == y_test),
        "codes read off samples": last["accuracy_category0"],
        "score": last["score"],
    }
    if task == "MNIST":  # on 8 px there is no width to speak of
        found |= correlations(codes[:, 10:], X_test)
    return found


def kmeans(task: str, features: str, device: str, seed: int) -> dict[str, float]:
    """K-means on pixels or on the codes of another encoder, matched alike."""
    _, y, _, y_test = load(task)
    train, test = codes(task, features, device, seed)
    model = KMeans(10, n_init=10, random_state=seed).fit(train)
    digits = match_clusters(model.labels_, y, 10)
    return {"category accuracy": np.mean(digits[model.predict(test)] == y_test)}


def codes(task: str, features: str, device: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What k-means sees of the training and of the test images."""
    X, _, X_test, _ = load(task)
    flat = [a.reshape(len(a), -1).astype(np.float32) for a in (X, X_test)]
    if features == "pixels":
        return flat[0], flat[1]
    if features == "PCA":
        pca = PCA(min(50, flat[0].shape[1] // 2), random_state=0).fit(flat[0])
        return pca.transform(flat[0]), pca.transform(flat[1])
    options = dict(BIGAN_TWIN[task], beta=1.0 if features == "VAE" else None)
    if features == "untrained":
        options["steps"] = 0
    model = trained_autoencoder(task, options, device, seed)
    return model.latent(X), model.latent(X_test)


def cases(preset: str, device: str) -> list[Case]:
    """InfoGAN with its ablations, five seeds, and k-means."""
    listed = []
    for task, base in (("digits", INFOGAN_DIGITS), ("MNIST", INFOGAN_MNIST)):
        if preset == "paper" and task == "MNIST":
            base = INFOGAN_PAPER
        variants: dict[str, dict[str, Any]] = {"recipe": {}}
        if preset == "cpu":
            variants |= INFOGAN_ABLATIONS.get(task, {})
        for name, change in variants.items():
            listed.append(
                Case(
                    task,
                    "InfoGAN",
                    name,
                    lambda seed, t=task, s={**base, **change}: infogan(t, s, device, seed),
                    PUBLISHED.get((task, name), {}),
                    seeds=5,
                )
            )
        for features in ("pixels", "PCA", "untrained", "auto-encoder", "VAE"):
            listed.append(
                Case(
                    task,
                    "k-means",
                    features,
                    lambda seed, t=task, f=features: kmeans(t, f, device, seed),
                    seeds=5 if task == "digits" or features == "pixels" else None,
                )
            )
    return listed
