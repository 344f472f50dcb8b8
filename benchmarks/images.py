"""What the benchmarks of adapted images share: the rows of their tables, and one run of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from benchmarks import peers
from benchmarks.runner import Case
from repkit import DANN
from repkit.dann import Entropy, Selection, Updates


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

# Each method of the literature alone: no augmentation, no pseudo-labels. Weights and radii are
# those of their papers, or the first that was tried; no label chose them.
METHODS: dict[str, dict[str, Any]] = {
    "joint": {},
    "alternating": {"updates": "alternating"},
    "conditional": {"conditional": True},
    "CORAL": {"divergence": "coral", "lam": 10.0},
    "MMD": {"divergence": "mmd", "lam": 1.0},
    "joint MMD": {"divergence": "joint_mmd", "lam": 1.0},
    "Wasserstein": {
        "divergence": "wasserstein",
        "updates": Updates("alternating", d_steps=5),
        "lam": 0.1,
    },
    "discrepancy": {"divergence": "discrepancy", "updates": "alternating", "lam": 1.0},
    "confusion": {"divergence": None, "entropy": Entropy(confusion=1.0)},
    "joint + entropy + smoothness": {"entropy": Entropy(0.1, smoothness=3.0)},
    "joint + entropy + smoothness, DIRT-T": {
        "entropy": Entropy(0.1, smoothness=3.0),
        "then": "dirt_t",
    },
}


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
        Parameters of `DANN`, and three keys that are none: "on", the only rows that are trained on;
        "then", the method of `DANN.adapt` after the fit; "plain", nothing but ``random_state``.
    """
    augment = {"strong_augment": strong}
    whole = {**augment, **recipe}
    return {
        "source only": {"on": "source"},
        "source only + augment": {"on": "source", **augment},
        # One network for both, with batch norm statistics of the target's own.
        "augment, no adversary": {"divergence": None, **augment},
        **METHODS,
        "source only + augment, SHOT": {"on": "source", **augment, "then": "shot"},
        "joint + augment": augment,
        "augment + pseudo, no adversary": {"divergence": None, **whole},
        "joint + augment + pseudo": whole,
        "joint + augment + pseudo, guarded": {**whole, "select": Selection("infomax", guard=True)},
        "alternating + augment + pseudo": {"updates": "alternating", **whole},
        "conditional + augment + pseudo": {"conditional": True, **whole},
        "discrepancy + augment + pseudo": {**METHODS["discrepancy"], **whole},
        "the class's defaults": {"plain": True},
        "train on target": {"on": "target"},
        "train on target + augment": {"on": "target", **augment},
    }


def fit(
    load: Load, settings: Mapping[str, Any], base: Mapping[str, Any], device: str, seed: int
) -> dict[str, float]:
    """Accuracy on the test rows, of the last epoch and of the one that is selected.

    Where the fitted model is then adapted, the last epoch is that of the adaptation, and "before"
    the last of the fit.
    """
    data, settings = load(), dict(settings)
    only, then = settings.pop("on", None), settings.pop("then", None)
    if settings.pop("plain", False):
        base = {}
    else:
        settings = {**base, **settings}
    if only is not None:
        X, y = (data.X_target, data.y_target) if only == "target" else (data[0], data[1])
        # One domain: its statistics are all there are.
        settings |= {"domain_norm": "shared"}
        domain = None
    else:
        if base:
            settings.setdefault("select", "infomax")
        X = np.concatenate([data.X_source, data.X_target])
        # Not the target's labels: there is nothing to leak.
        y = np.concatenate([data.y_source, np.full(len(data.X_target), -1)])
        domain = np.concatenate(
            [
                np.full(len(data.X_source), 1) if data.domain_source is None else data[6],
                np.full(len(data.X_target), -2) if data.domain_target is None else data[7],
            ]
        )
    model = DANN(**settings, device=device, random_state=seed)
    model.fit(X, y, sample_domain=domain)
    if then:
        model.use("last").adapt(data.X_target, method=then)
    names = {"last": "before", "adapted": "last"} if then else {}
    found = {}
    if hasattr(model, "guarded_"):
        correct = float(np.mean(model.predict(data.X_test) == data.y_test))
        return {"accuracy_last": correct, "guarded": float(model.guarded_)}
    for which in model.weights_:
        model.use(which)
        correct = float(np.mean(model.predict(data.X_test) == data.y_test))
        found[f"accuracy_{names.get(which, which)}"] = correct
    return found


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
