"""Pairs of domains: what the benchmarks on tables of features share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from torch import nn

from benchmarks import peers
from benchmarks.methods import accuracies, methods, together
from benchmarks.peers import Trainer
from benchmarks.runner import Case
from repkit import DANN
from repkit.dann import AdaptationSearch, MarginalizedDenoiser, Selection


class Pair(NamedTuple):
    """Labeled source rows, unlabeled target rows, and what the accuracy is taken on."""

    X_source: np.ndarray
    y_source: np.ndarray
    X_target: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    source_domain: np.ndarray | None = None  # ids from 1 up, where there are several sources


Method = Callable[[Pair, int], Mapping[str, float]]
Load = Callable[[Any, Any], Pair]
GUARD = Selection(guard=True)
# The rows that read denoised features, where there are any.
DENOISED = (
    "source only, denoised",
    "whole recipe",
    "whole recipe, guarded",
    "whole recipe, no adversary",
    "whole recipe + adversary",
)


def over_pairs(
    pairs: Sequence[tuple[Any, Any]],
    load: Load,
    method: Method,
    left_out: Sequence[str] = (),
) -> Callable[[int], dict[str | tuple[str, str], float]]:
    """``seed -> {metric: mean over the pairs, (pair, metric): value}``.

    ``left_out``: pairs without which a second mean, ``metric, untouched pairs``, is given.
    """

    def run(seed: int) -> dict[str | tuple[str, str], float]:
        found: dict[str, dict[str, float]] = {}
        for source, target in pairs:
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


def on_target(pair: Pair) -> Pair:
    """The target's labels in the source's place: half of its rows to train on, half to test."""
    halves = train_test_split(pair.X_test, pair.y_test, test_size=0.5, random_state=0)
    X_train, X_test, y_train, y_test = halves
    return Pair(X_train, y_train, X_train, X_test, y_test)


def denoised(load: Load, noise: float, length: float) -> Load:
    """The same pairs, each row denoised, without its domain's mean, and as long as rows were.

    mSDA of three layers, fitted to the training rows of both domains, whichever is the source. What
    comes out lies about another point in each domain, and a classifier of one then has a threshold
    that is wrong for the other: hence the means.

    Parameters
    ----------
    load : callable
    noise : float
    length : float
        Mean length of the rows that the denoiser reads.
    """
    fitted: dict[frozenset[Any], MarginalizedDenoiser] = {}

    @cache
    def found(source: Any, target: Any) -> Pair:
        pair, key = load(source, target), frozenset((source, target))
        before = float(np.linalg.norm(np.vstack([pair.X_source, pair.X_target]), axis=1).mean())
        if key not in fitted:
            rows = np.vstack([pair.X_source, pair.X_target]) * (length / before)
            fitted[key] = MarginalizedDenoiser(noise).fit(rows)

        given = pair.X_source, pair.X_target, pair.X_test
        parts = [fitted[key].transform(x * (length / before)) for x in given]
        means = [parts[k].mean(0) for k in (0, 1, 1)]  # the test rows are of the target
        parts = [h - mean for h, mean in zip(parts, means, strict=True)]
        parts = [before * h / np.linalg.norm(h, axis=1, keepdims=True) for h in parts]
        source, target_rows, test = (h.astype(np.float32) for h in parts)
        return pair._replace(X_source=source, X_target=target_rows, X_test=test)

    return found


# -------------------------------------------------------------------- methods


def dann(settings: Mapping[str, Any], device: str) -> Method:
    """Our DANN, of whose settings `accuracies` tells."""

    def method(pair: Pair, seed: int) -> dict[str, float]:
        options = dict(settings)
        if "on" not in options and "then" not in options:
            options.setdefault("select", "infomax")
        return accuracies(
            options,
            (pair.X_source, pair.y_source),
            pair.X_target,
            (pair.X_test, pair.y_test),
            device=device,
            seed=seed,
            domain_source=pair.source_domain,
        )

    return method


def searched(settings: Mapping[str, Any], device: str) -> Method:
    """Our search between ways of adapting, with DANN's settings; its choice needs no label."""

    def method(pair: Pair, seed: int) -> dict[str, float]:
        source = pair.X_source, pair.y_source
        X, y, domain = together(source, pair.X_target, pair.source_domain)
        search = AdaptationSearch(DANN(**settings, device=device, random_state=seed))
        search.fit(X, y, sample_domain=domain)

        def correct(model: Any) -> float:
            return float(np.mean(model.predict(pair.X_test) == pair.y_test))

        none = search.estimators_["no adaptation"]
        return {
            "accuracy_last": correct(search),
            "accuracy_unadapted": correct(none),
            "guarded": float(search.best_estimator_ is none),
        }

    return method


def logistic(C: float) -> Method:
    """The linear baseline on the source rows, with scikit-learn's regularization C."""

    def method(pair: Pair, seed: int) -> dict[str, float]:
        model = LogisticRegression(C=C, max_iter=2000).fit(pair.X_source, pair.y_source)
        return {"accuracy_last": float(model.score(pair.X_test, pair.y_test))}

    return method


def peer(train: Trainer, base: Mapping[str, Any], device: str) -> Method:
    """A peer's method with the same network, steps and learning rate."""
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
            head=base.get("heads", nn.Linear),
        )
        return {"accuracy_last": float(np.mean(predict(pair.X_test) == pair.y_test))}

    return method


def shallow(make: Callable[..., Any], components: int, C: float) -> Method:
    """A shallow method of skada before a logistic regression."""

    def method(pair: Pair, seed: int) -> dict[str, float]:
        rows = (pair.X_source, pair.y_source, pair.X_target, pair.X_test)
        found = peers.shallow_predict(make(components), *rows, C)
        return {"accuracy_last": float(np.mean(found == pair.y_test))}

    return method


# -------------------------------------------------------------------- rows


def alone(augment: Mapping[str, Any], radius: float) -> dict[str, dict[str, Any]]:
    """The source by itself, and each method by itself; ``radius`` is that of smoothness."""
    return {
        "source only": {"on": "source"},
        "source only + augment": {"on": "source", **augment},
        "source only + augment + SHOT": {"on": "source", **augment, "then": "shot"},
        **methods(radius),
    }


def whole(recipe: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The whole recipe, with and without guard, and with or without the adversary."""
    rows = {
        "whole recipe": dict(recipe),
        "whole recipe, guarded": {**recipe, "select": GUARD},
        "joint, guarded": {"select": GUARD},
    }
    if recipe.get("divergence", "adversarial") is None:
        rows["whole recipe + adversary"] = {**recipe, "divergence": "adversarial"}
    else:
        none = {"divergence": None, "conditional": False}
        rows["whole recipe, no adversary"] = {**recipe, **none}
    return rows


def table(
    task: str,
    pairs: Sequence[tuple[Any, Any]],
    load: Load,
    device: str,
    *,
    base: Mapping[str, Any],
    variants: Mapping[str, Mapping[str, Any]],
    loads: Mapping[str, Load] | None = None,
    C: float,
    components: int = 80,
    without: Sequence[str] = (),
    left_out: Sequence[str] = (),
    published: Mapping[tuple[str, str], Mapping[str, tuple[float, str]]] | None = None,
) -> list[Case]:
    """The cases of a table over pairs: ours, the class's default, the baseline, the peers.

    Parameters
    ----------
    task : str
    pairs : sequence of (source, target)
    load : callable
        ``(source, target) -> Pair``.
    device : str
    base : mapping
        DANN's settings that all variants share; ``backbone`` must be a callable, for the peers.
    variants : mapping of str to mapping
        What each variant adds to the base.
    loads : mapping of str to callable, optional
        Other rows for some of the variants.
    C : float
        Regularization of the logistic regressions.
    components : int
        Of skada's subspaces.
    without : sequence of str
        Shallow methods that take too long on rows of this number.
    left_out : sequence of str
        Pairs that have chosen something.
    published : mapping, optional
        Figures of the same method on the same task, by system and variant.
    """
    methods = {
        ("DANN", name): dann({**base, **settings}, device) for name, settings in variants.items()
    }
    methods["DANN", "the class's default"] = dann({"select": None}, device)
    methods["AdaptationSearch", "nothing set"] = searched({}, device)
    recipe = {**base, **variants["whole recipe"]}
    methods["AdaptationSearch", "whole recipe"] = searched(recipe, device)
    methods["LogisticRegression", "source only"] = logistic(C)
    once = [("LogisticRegression", "source only")]
    for name, make in peers.shallow().items():
        if name not in without:
            methods["skada", name] = shallow(make, components, C)
            once.append(("skada", name))
    for (system, name), train in peers.methods().items():
        methods[system, f"{name}, same network and steps"] = peer(train, base, device)
    return [
        Case(
            task,
            system,
            variant,
            over_pairs(pairs, (loads or {}).get(variant, load), method, left_out),
            (published or {}).get((system, variant), {}),
            seeds=1 if (system, variant) in once else None,
        )
        for (system, variant), method in methods.items()
    ]
