"""All ordered pairs of a set of domains: what the tabular benchmarks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from torch import nn

from benchmarks.peers import Trainer
from repkit import DANN


class Pair(NamedTuple):
    """Labeled source rows, unlabeled target rows, and what the accuracy is taken on."""

    X_source: np.ndarray
    y_source: np.ndarray
    X_target: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


Method = Callable[[Pair, int], Mapping[str, float]]


def over_pairs(
    domains: tuple[str, ...],
    load: Callable[[str, str], Pair],
    method: Method,
    left_out: tuple[str, ...] = (),
) -> Callable[[int], dict[str | tuple[str, str], float]]:
    """``seed -> {metric: mean over the pairs, (pair, metric): value}``.

    ``left_out``: pairs without which a second mean, ``metric (untouched pairs)``, is given.
    """

    def run(seed: int) -> dict[str | tuple[str, str], float]:
        found: dict[str, dict[str, float]] = {}
        for source, target in permutations(domains, 2):
            pair = f"{source}->{target}"
            for metric, value in method(load(source, target), seed).items():
                found.setdefault(metric, {})[pair] = value
        rows: dict[str | tuple[str, str], float] = {}
        for metric, values in found.items():
            rows[metric] = float(np.mean(list(values.values())))
            if left_out:
                rest = [v for pair, v in values.items() if pair not in left_out]
                rows[f"{metric}, untouched pairs"] = float(np.mean(rest))
        for metric, values in found.items():
            rows |= {(pair, metric): value for pair, value in values.items()}
        return rows

    return run


def dann(settings: Mapping[str, Any], device: str) -> Method:
    """Our DANN; ``lam=None`` in the settings trains on the source only."""

    def method(pair: Pair, seed: int) -> dict[str, float]:
        options = dict(settings)
        X, y, domain = pair.X_source, pair.y_source, None
        if options.get("lam", 0) is None:
            del options["lam"]
        else:
            options["select"] = "infomax"
            X = np.concatenate([X, pair.X_target])
            y = np.concatenate([y, np.full(len(pair.X_target), -1)])
            domain = np.repeat([1, -2], [len(pair.X_source), len(pair.X_target)])
        model = DANN(**options, device=device, random_state=seed).fit(X, y, sample_domain=domain)
        found = {}
        for which in model.weights_:
            model.use(which)
            found[f"accuracy_{which}"] = float(np.mean(model.predict(pair.X_test) == pair.y_test))
        return found

    return method


def logistic(C: float) -> Method:
    """The linear baseline on the source rows, with scikit-learn's regularization C."""

    def method(pair: Pair, seed: int) -> dict[str, float]:
        model = LogisticRegression(C=C, max_iter=2000).fit(pair.X_source, pair.y_source)
        return {"accuracy_last": model.score(pair.X_test, pair.y_test)}

    return method


def peer(train: Trainer, base: Mapping[str, Any], device: str) -> Method:
    """A peer's DANN with the same network, steps and learning rate."""
    outputs = base["width"]

    def method(pair: Pair, seed: int) -> dict[str, float]:
        width = pair.X_source.shape[1]
        predict = train(
            pair.X_source,
            pair.y_source,
            pair.X_target,
            features=lambda: nn.Sequential(base["backbone"]((width,), outputs)),
            n_features=outputs,
            steps=base["steps_per_epoch"] * base["max_epochs"],
            batch_size=base["batch_size"],
            learning_rate=base["learning_rate"],
            seed=seed,
            device=device,
        )
        return {"accuracy_last": float(np.mean(predict(pair.X_test) == pair.y_test))}

    return method
