"""MNIST to MNIST-M, MNIST to USPS and USPS to MNIST, on the full official splits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from torch import nn

from benchmarks import peers
from benchmarks.recipes import (
    COLOR,
    DIGITS,
    PAPER,
    PSEUDO,
    PSEUDO_COLOR,
    STROKES,
    TEXTURE,
    digit_net,
)
from benchmarks.runner import Case
from repkit import DANN
from repkit.datasets import load_mnist, load_mnist_m, load_usps

# Of the same method on the same split: no other row has a published figure beside it.
GANIN = "Ganin et al. 2016, table 2 (read)"
PUBLISHED = {
    ("MNIST->MNIST-M", "source only"): (0.5225, GANIN),
    ("MNIST->MNIST-M", "joint"): (0.7666, GANIN),
    ("MNIST->MNIST-M", "train on target"): (0.9596, GANIN),
}
AUGMENT = {"MNIST->MNIST-M": TEXTURE, "MNIST->USPS": STROKES, "USPS->MNIST": STROKES}


@cache
def load(task: str) -> dict[str, np.ndarray]:
    """Source and target as uint8 images of one shape; the target's test part."""
    mnist = load_mnist()
    parts = {"m": [mnist.x_train[:, None], mnist.y_train, mnist.x_test[:, None], mnist.y_test]}
    if task == "MNIST->MNIST-M":
        target = load_mnist_m()
        parts["m"][0] = np.repeat(parts["m"][0], 3, axis=1)
        parts["t"] = [target.x_train, target.y_train, target.x_test, target.y_test]
        source, target = parts["m"], parts["t"]
    else:
        usps = load_usps(size=28)
        parts["u"] = [
            np.rint(255 * usps.x_train[:, None]).astype(np.uint8),
            usps.y_train,
            np.rint(255 * usps.x_test[:, None]).astype(np.uint8),
            usps.y_test,
        ]
        source, target = parts["m"], parts["u"]
        if task == "USPS->MNIST":
            source, target = target, source
    names = ("X_source", "y_source", "X_target", "y_target", "X_test", "y_test")
    return dict(zip(names, [*source[:2], *target], strict=True))


def variants(task: str) -> dict[str, dict[str, Any]]:
    """DANN's settings by name, from the source alone to the whole recipe."""
    augment = {"strong_augment": AUGMENT[task]}
    pseudo = PSEUDO_COLOR if task == "MNIST->MNIST-M" else PSEUDO
    return {
        "source only": {"lam": None},
        "source only + augment": {"lam": None, **augment},
        "joint": {},
        "alternating": {"updates": "alternating"},
        "conditional": {"conditional": True},
        "joint + augment": augment,
        "augment + pseudo, no adversary": {"lam": 0.0, **augment, **pseudo},
        "joint + augment + pseudo": {**augment, **pseudo},
        "alternating + augment + pseudo": {"updates": "alternating", **augment, **pseudo},
        "conditional + augment + pseudo": {"conditional": True, **augment, **pseudo},
        # What bfloat16, the choice of precision="auto" for convolutions, costs.
        "joint + augment + pseudo, fp32": {**augment, **pseudo, "precision": "fp32"},
        "train on target": {"on_target": True},
    }


def fit(task: str, settings: Mapping[str, Any], base: dict, device: str, seed: int) -> dict:
    """Accuracy on the target's test part, of the last epoch and of the one `infomax` selects."""
    data, settings = load(task), dict(settings)
    supervised = "on_target" in settings or settings.get("lam", 0) is None
    if supervised:
        which = "target" if settings.pop("on_target", False) else "source"
        settings.pop("lam", None)
        X, y = data[f"X_{which}"], data[f"y_{which}"]
        # One domain: its statistics are all there are.
        settings |= {"domain_norm": "shared"}
        domain = None
    else:
        settings["select"] = "infomax"
        X = np.concatenate([data["X_source"], data["X_target"]])
        # Not the target's labels: there is nothing to leak.
        y = np.concatenate([data["y_source"], np.full(len(data["X_target"]), -1)])
        domain = np.repeat([1, -2], [len(data["X_source"]), len(data["X_target"])])
    model = DANN(**{**base, **settings, "device": device, "random_state": seed})
    model.fit(X, y, sample_domain=domain)
    found = {}
    for which in model.weights_:
        model.use(which)
        found[f"accuracy_{which}"] = np.mean(model.predict(data["X_test"]) == data["y_test"])
    return found


def cases(preset: str, device: str) -> list[Case]:
    """All variants of all tasks, and the peers."""
    listed = []
    for task in AUGMENT:
        base = COLOR if task == "MNIST->MNIST-M" else DIGITS
        if preset == "paper":
            base = {**base, **PAPER}
        steps = base["steps_per_epoch"] * base["max_epochs"]
        for name, settings in variants(task).items():
            figure = PUBLISHED.get((task, name))
            listed.append(
                Case(
                    task,
                    "DANN",
                    name,
                    lambda seed, t=task, s=settings, b=base: fit(t, s, b, device, seed),
                    {"accuracy_last": figure} if figure else {},
                )
            )
        for name, train in peers.available().items():
            listed.append(
                Case(
                    task,
                    name,
                    "DANN, same network and steps",
                    lambda seed, t=task, f=train, n=steps: {
                        "accuracy_last": peer_accuracy(t, f, n, device, seed)
                    },
                )
            )
    return listed


def peer_accuracy(task: str, train: peers.Trainer, steps: int, device: str, seed: int) -> float:
    """A peer's DANN on the same data and network."""
    data = load(task)
    predict = train(
        data["X_source"].astype(np.float32) / 255,
        data["y_source"],
        data["X_target"].astype(np.float32) / 255,
        features=lambda: nn.Sequential(digit_net(data["X_source"].shape[1:], 128)),
        n_features=128,
        steps=steps,
        batch_size=64,
        learning_rate=2e-3,
        seed=seed,
        device=device,
    )
    found = [
        predict(data["X_test"][k : k + 1000].astype(np.float32) / 255)
        for k in range(0, len(data["X_test"]), 1000)
    ]
    return float(np.mean(np.concatenate(found) == data["y_test"]))
