"""Internal. What a model gives of samples, by the names that --output takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import numpy as np

Output = Callable[[Any, Any], tuple[np.ndarray, list[str]]]


def _transformed(**params: Any) -> Output:
    def give(model: Any, X: Any) -> tuple[np.ndarray, list[str]]:
        model.set_params(**params)
        return model.transform(X), [str(name) for name in model.get_feature_names_out()]

    return give


def _probabilities(model: Any, X: Any) -> tuple[np.ndarray, list[str]]:
    return model.predict_proba(X), [f"proba_{label}" for label in model.classes_.tolist()]


def _called(method: str, name: str) -> Output:
    def give(model: Any, X: Any) -> tuple[np.ndarray, list[str]]:
        found = getattr(model, method)(X)
        found = found.reshape(len(found), -1)
        return found, [name] if found.shape[1] == 1 else [
            f"{name}{k}" for k in range(found.shape[1])
        ]

    return give


_LABELS = {"proba": _probabilities, "label": _called("predict", "label")}
# By class; the first is the default.
OUTPUTS: dict[str, dict[str, Output]] = {
    "DANN": {"features": _transformed(), **_LABELS, "domain": _called("predict_domain", "domain")},
    "DANNRegressor": {"features": _transformed(), "prediction": _called("predict", "prediction")},
    "BiGAN": {name: _transformed(output=name) for name in ("latent", "hidden")},
    "InfoGAN": {"codes": _transformed(), "cluster": _called("predict", "cluster")},
    "VAE": {"latent": _transformed()},
    "VAEGAN": {"latent": _transformed()},
    "TripleGAN": {"features": _transformed(), **_LABELS},
    "SpeechAutoencoder": {
        name: _transformed(output=name, on_error="raise")
        for name in ("both", "phonetic", "speaker")
    },
}
ALL = sorted({name for outputs in OUTPUTS.values() for name in outputs})


def output_of(cls: str, name: str | None) -> tuple[str, Output]:
    """An output of a class; a UsageError lists those that there are."""
    known = OUTPUTS[cls]
    if name is None:
        name = next(iter(known))
    if name not in known:
        raise click.UsageError(f"--output {name}: a {cls} gives {', '.join(known)}")
    return name, known[name]
