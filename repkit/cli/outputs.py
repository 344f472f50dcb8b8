"""Internal. What a model gives of samples, by the names that --output takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import click
import numpy as np


class Found(NamedTuple):
    """Columns of rows, their names, and how many rows each sample has, if that is not one."""

    values: np.ndarray
    names: list[str]
    counts: np.ndarray | None = None


Output = Callable[[Any, Any], Found]


def _transformed(**params: Any) -> Output:
    def give(model: Any, X: Any) -> Found:
        model.set_params(**params)
        return Found(model.transform(X), [str(name) for name in model.get_feature_names_out()])

    return give


def _probabilities(model: Any, X: Any) -> Found:
    return Found(model.predict_proba(X), [f"proba_{label}" for label in model.classes_.tolist()])


def _called(method: str, name: str) -> Output:
    def give(model: Any, X: Any) -> Found:
        found = getattr(model, method)(X)
        found = found.reshape(len(found), -1)
        several = [f"{name}{k}" for k in range(found.shape[1])]
        return Found(found, [name] if found.shape[1] == 1 else several)

    return give


def _frames(model: Any, X: Any) -> Found:
    """A row for every vector of frames, with its time in seconds."""
    model.set_params(on_error="raise")
    vectors, times = model.transform_frames(X, return_times=True)
    rows = [np.column_stack([t.astype(np.float32), v]) for t, v in zip(times, vectors, strict=True)]
    names = ["time", *(f"phonetic{k}" for k in range(vectors[0].shape[1]))]
    return Found(np.concatenate(rows), names, np.array([len(v) for v in vectors]))


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
        **{
            name: _transformed(output=name, on_error="raise")
            for name in ("both", "phonetic", "speaker")
        },
        "frames": _frames,
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
