"""A class that no source row has: how probable its rows are taken to be of the others.

Digits 0 to 8 of scikit-learn's set are labeled, all ten are in the turned target. *known* is the
accuracy on the nine; *greatest* the mean of the greatest probability, of rows of the tenth digit
and of the others; *AUROC* how well that probability tells the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.methods import methods
from benchmarks.runner import Case
from repkit import DANN
from repkit.datasets import load_digits_domains

UNKNOWN = 9
ROWS: dict[str, dict[str, Any]] = {
    "no adaptation": {"divergence": None},
    **{name: methods(0.0)[name] for name in ("joint", "confusion")},
}


def measured(settings: Mapping[str, Any], device: str, seed: int) -> dict[str, float]:
    """Of one fit without the class in the source."""
    data = load_digits_domains("rotated", random_state=0)
    target = data.sample_domain < 0
    kept = target | (data.y != UNKNOWN)
    model = DANN(max_epochs=30, steps_per_epoch=30, device=device, random_state=seed)
    y = np.where(target, -1, data.y)
    model.set_params(**settings).fit(data.X[kept], y[kept], sample_domain=data.sample_domain[kept])
    greatest = model.predict_proba(data.X[target]).max(1)
    new, right = data.y[target] == UNKNOWN, model.predict(data.X[target]) == data.y[target]
    return {
        "known": float(right[~new].mean()),
        "greatest, unknown": float(greatest[new].mean()),
        "greatest, known": float(greatest[~new].mean()),
        "AUROC": float(roc_auc_score(new, -greatest)),
    }


def cases(preset: str, device: str) -> list[Case]:
    """Without adaptation, and with two methods."""
    return [
        Case("turned digits", "DANN", name, partial(measured, settings, device), seeds=3)
        for name, settings in ROWS.items()
    ]
