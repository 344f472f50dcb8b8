"""Domain adaptation on two moons and on scikit-learn's digits."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from benchmarks.quick.table import Figures, Part, Picture, against, seconds_of, to_plane
from benchmarks.recipes import STROKES
from benchmarks.runner import Case
from repkit import DANN, Consistency, EmbeddingDisplay
from repkit.datasets import load_digits_domains, make_domains
from repkit.nets import Standardize

TASKS = ("two moons, turned by 35 degrees", "digits, turned and blurred")
ALONE, ADAPTED, CEILING = "labeled domain alone", "DANN", "labels of both (a ceiling)"
PLAIN = "the same without adversary"


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


BASE: dict[str, dict[str, Any]] = {
    TASKS[0]: {"steps_per_epoch": 20, "max_epochs": 30, "learning_rate": 3e-3},
    TASKS[1]: {
        "backbone": small_net,
        "domain_norm": "separate",
        "steps_per_epoch": 20,
        "max_epochs": 10,
        # The paper's optimizer: with Adam the last epoch is a matter of luck.
        "optimizer": "sgd",
        "learning_rate": 0.02,
        "learning_rate_schedule": "dann",
        "ema": 0.98,
    },
}
RECIPE: dict[str, Any] = {
    "strong_augment": STROKES,
    "consistency": Consistency(1.0, threshold=0.9, start=0.2),
}
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    TASKS[0]: {
        ALONE: {"lam": None},
        ADAPTED: {"updates": "alternating"},
        CEILING: {"on_target": True},
    },
    TASKS[1]: {
        ALONE: {"lam": None, "strong_augment": STROKES},
        PLAIN: {**RECIPE, "divergence": None},
        ADAPTED: RECIPE,
        CEILING: {"on_target": True},
    },
}


@cache
def load(task: str, seed: int) -> dict[str, np.ndarray]:
    """Rows with their domains, and target rows to test on."""
    if task == TASKS[0]:
        data, test = make_domains(random_state=seed), make_domains(random_state=1000 + seed)
        target = test.sample_domain < 0
        return {**data, "X_test": test.X[target], "y_test": test.y[target]}
    return dict(load_digits_domains(random_state=seed))


@cache
def train(task: str, variant: str, device: str, seed: int) -> DANN:
    """A fitted model; the target's labels are not handed to it, but for the ceiling."""
    data, settings = load(task, seed), dict(VARIANTS[task][variant])
    source = data["sample_domain"] >= 0
    rows, domain = np.ones(len(source), dtype=bool), data["sample_domain"]
    y = np.where(source, data["y"], -1)
    if settings.get("lam", 0) is None:
        del settings["lam"]
        rows, domain = source, None
        settings["domain_norm"] = "shared"
    elif settings.pop("on_target", False):
        domain, y = None, data["y"]
        settings["domain_norm"] = "shared"
    else:
        settings["select"] = "infomax"
    model = DANN(**{**BASE[task], **settings, "device": device, "random_state": seed})
    return model.fit(
        data["X"][rows], y[rows], sample_domain=None if domain is None else domain[rows]
    )


def run(task: str, variant: str, device: str, seed: int) -> dict[str, float]:
    """Accuracy on the target, of the epoch that is selected without its labels."""
    model, data = train(task, variant, device, seed), load(task, seed)
    return {"accuracy": model.score(data["X_test"], data["y_test"]), **seconds_of(model)}


def cases(device: str) -> list[Case]:
    """DANN, and what it is compared with, on both tasks."""
    return [
        Case(task, "DANN", name, lambda seed, t=task, v=name: run(t, v, device, seed))
        for task, variants in VARIANTS.items()
        for name in variants
    ]


def sentence(found: Figures) -> str:
    (moons, alone), (digits, plain) = (
        (found(task, ADAPTED, "accuracy"), found(task, other, "accuracy"))
        for task, other in ((TASKS[0], ALONE), (TASKS[1], PLAIN))
    )
    return (
        f"Without a label of the new domain, DANN reads {moons:.0%} of the turned moons, which is "
        f"{against(moons, alone, 0.01)} training on the labeled domain alone ({alone:.0%}). On "
        f"digits its recipe reads {digits:.0%}, where the labeled domain alone gives "
        f"{found(TASKS[1], ALONE, 'accuracy'):.0%}; with the adversary it is "
        f"{against(digits, plain, 0.01)} without ({plain:.0%})."
    )


def pictures(out: Path, device: str) -> list[Picture]:
    """The moons' boundaries, and features of digits in the plane."""
    paths = [out / "quick-moons.png", out / "quick-dann.png"]
    _boundaries(device).savefig(paths[0], dpi=110)
    data, model = load(TASKS[1], 0), train(TASKS[1], ADAPTED, device, 0)
    rows = np.random.default_rng(0).permutation(len(data["y"]))[:600]
    domain = data["sample_domain"][rows]
    features = model.transform(data["X"][rows], domain)
    display = EmbeddingDisplay(to_plane(features), data["y"][rows], domain).plot()
    display.figure_.savefig(paths[1], dpi=110)
    return [
        Picture(
            paths[0],
            "The boundary between the classes, and rows of the domain without labels in the color "
            "of their true class: alone (left) and with DANN (right).",
        ),
        Picture(
            paths[1],
            "Features of digits: by class (left), they are apart; by domain (right), both domains "
            "lie together.",
        ),
    ]


def _boundaries(device: str) -> Any:
    import matplotlib.pyplot as plt

    data = load(TASKS[0], 0)
    X, y = data["X_test"], data["y_test"]
    low, high = X.min(0) - 0.4, X.max(0) + 0.4
    grid = np.stack(
        np.meshgrid(*(np.linspace(a, b, 150) for a, b in zip(low, high, strict=True))), -1
    )
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    for ax, name in zip(axes, (ALONE, ADAPTED), strict=True):
        model = train(TASKS[0], name, device, 0)
        shares = model.predict_proba(grid.reshape(-1, 2))[:, 1].reshape(grid.shape[:2])
        ax.contourf(
            grid[..., 0], grid[..., 1], shares, levels=11, cmap="RdBu_r", alpha=0.5, vmin=0, vmax=1
        )
        ax.scatter(*X.T, c=y, cmap="RdBu_r", s=14, edgecolors="black", linewidths=0.3)
        ax.set(title=f"{name}: {model.score(X, y):.0%} right", xticks=[], yticks=[])
    return figure


PART = Part(
    "DANN",
    "labels of one domain, predictions for another",
    cases,
    {"accuracy": "right in the domain without labels"},
    sentence,
    pictures,
)
