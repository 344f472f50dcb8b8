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

from benchmarks.bigan_mnist import load
from benchmarks.gan_recipes import (
    INFOGAN_ABLATIONS,
    INFOGAN_DIGITS,
    INFOGAN_MNIST,
    INFOGAN_PAPER,
)
from benchmarks.runner import Case
from benchmarks.strokes import correlations
from repkit import InfoGAN

PUBLISHED = {"category accuracy": (0.95, "Chen et al. 2016, section 7.2")}


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


def kmeans(task: str, seed: int) -> dict[str, float]:
    """K-means on the pixels, matched alike."""
    X, y, X_test, y_test = load(task)
    flat = [a.reshape(len(a), -1).astype(np.float32) for a in (X, X_test)]
    model = KMeans(10, n_init=10, random_state=seed).fit(flat[0])
    digits = matched(model.labels_, y)
    return {"category accuracy": np.mean(digits[model.predict(flat[1])] == y_test)}


def matched(found: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The digit of each cluster, by the most agreement."""
    from scipy.optimize import linear_sum_assignment

    counts = np.zeros((10, 10), dtype=int)
    np.add.at(counts, (found, y), 1)
    return linear_sum_assignment(counts, maximize=True)[1]


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
                    PUBLISHED if task == "MNIST" else {},
                    seeds=5,
                )
            )
        listed.append(
            Case(task, "k-means", "pixels", lambda seed, t=task: kmeans(t, seed), seeds=5)
        )
    return listed
