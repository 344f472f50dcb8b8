"""What all tables of adaptation share: the methods of the literature, and one run of DANN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from repkit import DANN
from repkit.dann import Entropy, Updates

Rows = tuple[np.ndarray, np.ndarray]  # samples and labels


def methods(radius: float) -> dict[str, dict[str, Any]]:
    """Each method alone: no augmentation, no pseudo-labels.

    Weights are those of the papers, or the first that was tried; no label chose them. ``radius`` is
    that of smoothness. For "then" see `accuracies`.
    """
    vada = {"entropy": Entropy(0.1, smoothness=radius)}
    return {
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
        "joint + entropy + smoothness": vada,
        "joint + entropy + smoothness, DIRT-T": {**vada, "then": "dirt_t"},
    }


def together(
    source: Rows,
    target: np.ndarray,
    domain_source: np.ndarray | None = None,
    domain_target: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of both sides, labels of which the target has none, and the domain of each row."""
    X, y = source
    own = np.full(len(X), 1) if domain_source is None else domain_source
    other = np.full(len(target), -9) if domain_target is None else domain_target
    # Not the target's labels: there is nothing to leak.
    y = np.concatenate([y, np.full(len(target), -1)])
    return np.concatenate([X, target]), y, np.concatenate([own, other])


def accuracies(
    settings: Mapping[str, Any],
    source: Rows,
    target: np.ndarray,
    test: Rows,
    *,
    device: str,
    seed: int,
    domain_source: np.ndarray | None = None,
    domain_target: np.ndarray | None = None,
) -> dict[str, float]:
    """Fit DANN, and test it: the last epoch, and the one that is selected.

    Of the settings, two are no parameters: with "on" it is trained on the source rows alone; "then"
    names a method of `DANN.adapt` that follows. The last epoch is then that of the adaptation, and
    "before" the last of the fit. With a guard, "last" are the weights that it leaves in use, and
    "guarded" is whether it stepped in.
    """
    options = dict(settings)
    alone, then = "on" in options, options.pop("then", None)
    options.pop("on", None)
    (X, y), domain = source, domain_source
    if not alone:
        X, y, domain = together(source, target, domain_source, domain_target)
    model = DANN(**options, device=device, random_state=seed).fit(X, y, sample_domain=domain)

    def correct() -> float:
        return float(np.mean(model.predict(test[0]) == test[1]))

    if hasattr(model, "guarded_"):
        return {"accuracy_last": correct(), "guarded": float(model.guarded_)}
    if then is not None:
        model.use("last").adapt(target, method=then)
    names = {"last": "before", "adapted": "last"} if then else {}
    found = {}
    for which in model.weights_:
        model.use(which)
        found[f"accuracy_{names.get(which, which)}"] = correct()
    return found
