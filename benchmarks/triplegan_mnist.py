"""Triple-GAN: digits from few labels, and what generator and discriminator add to the classifier.

The labeled images are drawn anew for each seed, as many of each digit; all other training images
are unlabeled. Beside the whole stands the same classifier with every other term and no generator
or discriminator, for as many seconds; then the same on its labels alone, and what scikit-learn
has.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from benchmarks.bigan_mnist import load
from benchmarks.referee import referee
from benchmarks.runner import Case
from repkit import TripleGAN, recipes
from repkit.triplegan import AdversarialTerm

LABELS = {"digits": (50,), "MNIST": (100, 20, 50, 200)}
MAIN = {"digits": 50, "MNIST": 100}  # labels; five seeds, and the rows beyond the curve
ABLATED = ("labels, entropy and balance",)

MNIST, DIGITS = (recipes.triplegan(name) for name in ("mnist", "digits"))
SETTINGS = {"MNIST": MNIST, "digits": DIGITS}
# A step without G and D takes about half the time: what is left out is given back as steps.
ALONE: dict[str, dict[str, Any]] = {
    "MNIST": {"generator": None, "max_epochs": 10},
    "digits": {"generator": None, "max_epochs": 16},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "classifier alone, equal time": {},
    "labels alone": {"consistency": 0.0, "entropy": 0.0, "balance": 0.0, "batch_size": (32, 2)},
    "labels, entropy and balance": {"consistency": 0.0, "entropy": 0.3, "balance": 0.3},
}
ABLATIONS: dict[str, dict[str, Any]] = {
    "argmax": {"alpha": AdversarialTerm(expectation="argmax")},
    "no pseudo-discriminative term": {"pseudo_discriminative": 0.0},
    "alpha 0": {"alpha": 0.0},
    "entropy and balance, no consistency": {"consistency": 0.0, "entropy": 0.3, "balance": 0.3},
}
PAPER: dict[str, Any] = {"width": 512, "max_epochs": 100, "batch_size": (32, 256)}


def few_labels(task: str, n_labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training images, and labels of as many of each digit; -1 for the others."""
    X, y, _, _ = load(task)
    rng = np.random.default_rng(seed)
    few = np.full(len(y), -1)
    for digit in range(10):
        few[rng.choice(np.flatnonzero(y == digit), n_labels // 10, replace=False)] = digit
    return X, few


def fit(task: str, n_labels: int, settings: Mapping[str, Any], device: str, seed: int) -> TripleGAN:
    X, y = few_labels(task, n_labels, seed)
    return TripleGAN(**{**settings, "device": device, "random_state": seed}).fit(X, y)


def triplegan(
    task: str, n_labels: int, settings: Mapping[str, Any], device: str, seed: int
) -> dict[str, float]:
    """Test error, and how well G makes what it is asked for, by the referee's eye."""
    started = time.perf_counter()
    model = fit(task, n_labels, settings, device, seed)
    seconds = time.perf_counter() - started
    return {**judge(task, model, device), "seconds of fit": seconds}


def judge(task: str, model: TripleGAN, device: str) -> dict[str, float]:
    """A fitted model's figures."""
    _, _, X_test, y_test = load(task)
    found = {"error": float(np.mean(model.predict(X_test) != y_test))}
    if model.generator is not None:
        wanted = np.arange(1000) % 10
        samples = model.sample(y=wanted, random_state=0)
        read = referee(task, device).predict(samples)
        found["samples of the class asked for"] = float(np.mean(read == wanted))
    return found


def shallow(task: str, n_labels: int, model: ClassifierMixin, seed: int) -> dict[str, float]:
    """The error of one of scikit-learn's classifiers on 50 principal components of all images."""
    X, y = few_labels(task, n_labels, seed)
    _, _, X_test, y_test = load(task)
    pca = PCA(min(50, X[0].size // 2), random_state=0)
    Z = pca.fit_transform(X.reshape(len(X), -1).astype(np.float32))
    Z_test = pca.transform(X_test.reshape(len(X_test), -1).astype(np.float32))
    model = clone(model)
    if not isinstance(model, LabelSpreading | SelfTrainingClassifier):
        Z, y = Z[y >= 0], y[y >= 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(Z, y)
    return {"error": float(np.mean(model.predict(Z_test) != y_test))}


LOGISTIC = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
SHALLOW: dict[tuple[str, str], ClassifierMixin] = {
    ("LabelSpreading", "10 neighbors"): LabelSpreading("knn", n_neighbors=10),
    ("SelfTraining", "logistic regression"): SelfTrainingClassifier(LOGISTIC, threshold=0.9),
    ("logistic regression", "labels alone"): LOGISTIC,
    ("1-NN", "labels alone"): KNeighborsClassifier(1),
}


def cases(preset: str, device: str) -> list[Case]:
    """Triple-GAN and its classifier by numbers of labels, and scikit-learn's."""
    listed = []
    for task, counts in LABELS.items():
        base = SETTINGS[task]
        if preset == "paper" and task == "MNIST":
            base = {**base, **PAPER}
        for n in counts:
            title = f"{task}, {n} labels"
            variants: dict[str, dict[str, Any]] = {"recipe": base}
            for name, change in VARIANTS.items():
                variants[name] = {**base, **ALONE[task], **change}
            if preset == "cpu" and task == "digits":
                variants |= {name: {**base, **change} for name, change in ABLATIONS.items()}
            for name, settings in variants.items():
                if name in ABLATED and n != MAIN[task]:
                    continue
                listed.append(
                    Case(
                        title,
                        "TripleGAN",
                        name,
                        lambda seed, t=task, n=n, s=settings: triplegan(t, n, s, device, seed),
                        seeds=5 if n == MAIN[task] else None,
                    )
                )
            for (system, name), model in SHALLOW.items():
                listed.append(
                    Case(
                        title,
                        system,
                        name,
                        lambda seed, t=task, n=n, m=model: shallow(t, n, m, seed),
                        seeds=5,
                    )
                )
    return listed
