"""What the benchmarks of adapted images share: the rows of their tables, and one run of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from benchmarks import peers
from benchmarks.methods import accuracies, methods
from benchmarks.runner import Case
from repkit.dann import Selection


class Data(NamedTuple):
    """Labeled source rows, target rows whose labels train one row of the table, and the test."""

    X_source: np.ndarray
    y_source: np.ndarray
    X_target: np.ndarray
    y_target: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    domain_source: np.ndarray | None = None  # where the source is more than one domain
    domain_target: np.ndarray | None = None


Load = Callable[[], Data]


def variants(strong: nn.Module, recipe: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings by name, from the source alone to the whole recipe.

    Parameters
    ----------
    strong : nn.Module
        The augmentation, the same in all rows that have one.
    recipe : mapping
        What the whole recipe adds to it: pseudo-labels and terms on target rows.

    Returns
    -------
    dict of str to dict
        Settings of `accuracies`; with "plain" nothing but ``random_state``.
    """
    augment = {"strong_augment": strong}
    whole = {**augment, **recipe}
    return {
        "source only": {"on": "source"},
        "source only + augment": {"on": "source", **augment},
        # One network for both, with batch norm statistics of the target's own.
        "augment, no adversary": {"divergence": None, **augment},
        **methods(radius=3.0),
        "source only + augment, SHOT": {"on": "source", **augment, "then": "shot"},
        "joint + augment": augment,
        "augment + pseudo, no adversary": {"divergence": None, **whole},
        "joint + augment + pseudo": whole,
        "joint + augment + pseudo, guarded": {**whole, "select": Selection("infomax", guard=True)},
        "alternating + augment + pseudo": {"updates": "alternating", **whole},
        "conditional + augment + pseudo": {"conditional": True, **whole},
        "discrepancy + augment + pseudo": {**methods(3.0)["discrepancy"], **whole},
        "the class's defaults": {"plain": True},
        "train on target": {"on": "target"},
        "train on target + augment": {"on": "target", **augment},
    }


def fit(
    load: Load, settings: Mapping[str, Any], base: Mapping[str, Any], device: str, seed: int
) -> dict[str, float]:
    """Accuracy on the test rows; see `accuracies`."""
    data, settings = load(), dict(settings)
    plain = settings.pop("plain", False)
    if not plain:
        settings = {**base, **settings}
    if "on" in settings:
        # One domain: its statistics are all there are.
        settings |= {"domain_norm": "shared"}
    elif not plain:
        settings.setdefault("select", "infomax")
    labeled = data[2:4] if settings.get("on") == "target" else data[:2]
    return accuracies(
        settings,
        labeled,
        data.X_target,
        (data.X_test, data.y_test),
        device=device,
        seed=seed,
        domain_source=None if "on" in settings else data.domain_source,
        domain_target=data.domain_target,
    )


def peer(
    load: Load, train: peers.Trainer, base: Mapping[str, Any], device: str, seed: int
) -> dict[str, float]:
    """A peer's method on the same data, network and steps."""
    data, width = load(), 128
    scale = 255 if data.X_source.dtype == np.uint8 else 1
    predict = train(
        data.X_source.astype(np.float32) / scale,
        data.y_source,
        data.X_target.astype(np.float32) / scale,
        features=lambda: nn.Sequential(base["backbone"](data.X_source.shape[1:], width)),
        n_features=width,
        steps=base["steps_per_epoch"] * base["max_epochs"],
        batch_size=base["batch_size"],
        learning_rate=base["learning_rate"],
        seed=seed,
        device=device,
    )
    found = [
        predict(data.X_test[k : k + 1000].astype(np.float32) / scale)
        for k in range(0, len(data.X_test), 1000)
    ]
    return {"accuracy_last": float(np.mean(np.concatenate(found) == data.y_test))}


def cases(
    task: str,
    load: Load,
    rows: Mapping[str, Mapping[str, Any]],
    base: Mapping[str, Any],
    device: str,
    published: Mapping[str, tuple[float, str]] | None = None,
) -> list[Case]:
    """The rows of a task, and those of the peers that are installed."""
    ours = [
        Case(
            task,
            "DANN",
            name,
            lambda seed, s=settings: fit(load, s, base, device, seed),
            {"accuracy_last": published[name]} if published and name in published else {},
        )
        for name, settings in rows.items()
    ]
    theirs = [
        Case(
            task,
            name,
            "DANN, same network and steps",
            lambda seed, t=train: peer(load, t, base, device, seed),
        )
        for name, train in peers.available().items()
    ]
    return ours + theirs
