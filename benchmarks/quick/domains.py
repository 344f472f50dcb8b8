"""Domain adaptation on two moons and on scikit-learn's digits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from benchmarks.recipes import STROKES
from benchmarks.runner import Case
from repkit import DANN, Consistency, EmbeddingDisplay, HistoryDisplay
from repkit.dann import Updates
from repkit.datasets import load_digits_domains, make_domains
from repkit.metrics import proxy_a_distance
from repkit.nets import Standardize

TASKS = ("two moons, turned", "digits, shifted")


def small_net(shape_in: tuple[int, ...], dim_out: int) -> nn.Module:
    """Two convolutions for 8 px digits."""
    return nn.Sequential(
        Standardize(),
        nn.Conv2d(shape_in[0], 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, dim_out),
        nn.ReLU(),
    )


MOONS: dict[str, Any] = {"steps_per_epoch": 20, "max_epochs": 30, "learning_rate": 3e-3}
DIGITS: dict[str, Any] = {
    "backbone": small_net,
    "domain_norm": "separate",
    "steps_per_epoch": 20,
    "max_epochs": 15,
    # The paper's optimizer: with Adam the last epoch is a matter of luck.
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "learning_rate_schedule": "dann",
    "ema": 0.98,
}
RECIPE: dict[str, Any] = {
    "strong_augment": STROKES,
    "consistency": Consistency(1.0, threshold=0.9, start=0.2),
}


@cache
def load(task: str, seed: int) -> dict[str, np.ndarray]:
    """Rows with their domains, and target rows to test on."""
    if task == TASKS[0]:
        data, test = make_domains(random_state=seed), make_domains(random_state=1000 + seed)
        target = test.sample_domain < 0
        return {**data, "X_test": test.X[target], "y_test": test.y[target]}
    return dict(load_digits_domains(random_state=seed))


def train(task: str, settings: Mapping[str, Any], device: str, seed: int) -> DANN:
    """A fitted model; the target's labels are not handed to it."""
    data, settings = load(task, seed), dict(settings)
    source = data["sample_domain"] >= 0
    rows, domain = np.ones(len(source), dtype=bool), data["sample_domain"]
    y = np.where(source, data["y"], -1)
    if settings.get("lam", 0) is None:
        del settings["lam"]
        rows, domain = source, None
        settings["domain_norm"] = "shared"
    elif settings.pop("on_target", False):
        rows, domain, y = ~source, None, data["y"]
        settings["domain_norm"] = "shared"
    else:
        settings["select"] = "infomax"
    base = MOONS if task == TASKS[0] else DIGITS
    model = DANN(**{**base, **settings, "device": device, "random_state": seed})
    return model.fit(
        data["X"][rows], y[rows], sample_domain=None if domain is None else domain[rows]
    )


def run(task: str, settings: Mapping[str, Any], device: str, seed: int) -> dict[str, float]:
    """Accuracy on the target, of the last epoch and of the one that `infomax` selects."""
    model, data = train(task, settings, device, seed), load(task, seed)
    found = {}
    for which in model.weights_:
        model.use(which)
        found[f"accuracy_{which}"] = model.score(data["X_test"], data["y_test"])
    return found


# A strong adversary on few features: what it takes for a *new* classifier to confuse the domains.
STRONG: dict[str, Any] = {
    "width": 16,
    "updates": Updates("alternating", d_steps=5),
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "learning_rate_schedule": "dann",
    "steps_per_epoch": 40,
    "max_epochs": 15,
}


def distance(lam: float | str, device: str, seed: int) -> dict[str, float]:
    """Proxy A-distance between the domains' features of an MLP, and the target's accuracy."""
    data = load(TASKS[1], seed)
    X, source = data["X"].reshape(len(data["X"]), -1), data["sample_domain"] >= 0
    model = DANN(lam=lam, device=device, random_state=seed, **STRONG)
    features = model.fit(X, data["y"], sample_domain=data["sample_domain"]).transform(X)
    X_test = data["X_test"].reshape(len(data["X_test"]), -1)
    return {
        "accuracy_last": model.score(X_test, data["y_test"]),
        "proxy A-distance": proxy_a_distance(features[source], features[~source]),
    }


def cases(device: str) -> list[Case]:
    """DANN's variants on both tasks."""
    variants: dict[str, dict[str, Any]] = {
        "source only": {"lam": None},
        "joint": {},
        "alternating": {"updates": "alternating"},
        "conditional": {"conditional": True},
        "joint + augment + pseudo": RECIPE,
        "train on target": {"on_target": True},
    }
    listed = [
        Case(task, "DANN", name, lambda seed, t=task, s=settings: run(t, s, device, seed))
        for task in TASKS
        for name, settings in variants.items()
        if "strong_augment" not in settings or task == TASKS[1]
    ]
    for name, lam in (("lam=0", 0.0), ("lam ramp", "ramp")):
        listed.append(
            Case(
                f"{TASKS[1]}, MLP",
                "DANN",
                f"alternating, 5 D steps, SGD, {name}",
                lambda seed, value=lam: distance(value, device, seed),
            )
        )
    return listed


def figures(out: Path, device: str) -> list[Path]:
    """Features of source only and of DANN in the plane, and DANN's history."""
    data = load(TASKS[1], 0)
    paths = []
    source = train(TASKS[1], {"lam": None}, device, 0)
    adapted = train(TASKS[1], RECIPE, device, 0)
    for name, model, domain in (
        ("source_only", source, None),
        ("dann", adapted, data["sample_domain"]),
    ):
        features = model.transform(data["X"], domain)
        display = EmbeddingDisplay.from_embedding(
            features, data["y"], data["sample_domain"], random_state=0
        )
        paths.append(out / f"quick-{name}.png")
        display.figure_.savefig(paths[-1], dpi=110)
    paths.append(out / "quick-history.png")
    HistoryDisplay.from_estimator(adapted).figure_.savefig(paths[-1], dpi=110)
    return paths
