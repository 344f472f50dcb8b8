"""What keeps an adaptation from doing harm gives and takes: the guard, and the search.

Each method is trained with ``select__guard=True`` on 23 pairs of domains on which the guard's
threshold was chosen, with target labels, and on 26 others. Both weights of a fit are tested on the
target rows. `AdaptationSearch`, whose margin was chosen on the same 23 pairs, has its candidates by
default; *adapted* is the plain adversary then.

- *gain*: accuracy less that of the twin, mean of the pairs;
- *worst*: the smallest gain;
- *bad*: share of the pairs on which it is under -2 points.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.choosing import amazon, digits, drawn, gas, office, pacs, standardized
from benchmarks.methods import methods
from benchmarks.runner import Case
from repkit import DANN
from repkit.dann import AdaptationSearch, Selection
from repkit.datasets import load_gas_drift

Domains = list[tuple[np.ndarray, np.ndarray]]

BASE: dict[str, Any] = {
    "width": 64,
    "batch_size": 64,
    "steps_per_epoch": 50,
    "max_epochs": 6,
    "learning_rate": 3e-3,
    "precision": "fp32",
}
METHODS: dict[str, dict[str, Any]] = {
    **{name: methods(0.0)[name] for name in ("joint", "conditional", "CORAL", "confusion")},
    "information": {"divergence": None, "entropy": 1.0},
}
METHODS["CORAL"]["lam"] = 100.0  # as in the choosing of the threshold


def gas_alone(source: int, target: int) -> Domains:
    """Batches in signed logarithms, each standardized by itself."""
    data = [load_gas_drift(batch) for batch in (source, target)]
    return [(standardized(np.sign(d.data) * np.log1p(np.abs(d.data))), d.target) for d in data]


NAMES = {"p": "photo", "a": "art_painting", "c": "cartoon", "s": "sketch"}
STORES = {"b": "books", "d": "dvd", "e": "electronics", "k": "kitchen"}
PLACES = {"a": "amazon", "c": "caltech", "d": "dslr", "w": "webcam"}


def listed(
    alone: tuple[int, ...],
    by_source: tuple[int, ...],
    pictures: tuple[str, ...],
    objects: tuple[str, ...],
    reviews: tuple[str, ...],
    shifts: tuple[str, ...],
) -> dict[str, Callable[[], Domains]]:
    """Pairs of domains by name, from short forms: the later batches, the letters of both."""
    return {
        **{f"gas drift alone, 1->{k}": partial(gas_alone, 1, k) for k in alone},
        **{f"gas drift, 1->{k}": partial(gas, 1, k) for k in by_source},
        **{f"PACS, {s}->{t}": partial(pacs, NAMES[s], NAMES[t]) for s, t in pictures},
        **{f"Office, {s}->{t}": partial(office, PLACES[s], PLACES[t]) for s, t in objects},
        **{f"Amazon, {s}->{t}": partial(amazon, STORES[s], STORES[t]) for s, t in reviews},
        **{f"digits, {shift}": partial(digits, shift) for shift in shifts},
    }


GROUPS = {
    "pairs that chose": listed(
        (2, 4, 6, 9),
        (2, 6, 9),
        ("pa", "as", "sp", "ca", "cs", "ps"),
        ("ca", "wd", "aw", "dc"),
        ("be", "kd", "db"),
        ("textured", "inverted", "rotated"),
    ),
    "other pairs": listed(
        (3, 5, 8),
        (3, 4, 5, 8),
        ("ap", "ac", "pc", "cp", "sa", "sc"),
        ("ac", "ad", "cw", "cd", "da", "dw", "wa", "wc"),
        ("bk", "de", "ek", "kb"),
        ("blurred",),
    ),
}


@cache
def both(group: str, method: str, name: str, seed: int) -> tuple[float, float, bool]:
    """Accuracy with and without adaptation on a pair, and whether the guard stepped in."""
    task = drawn(GROUPS[group][name](), seed)
    target = task.part == 2
    model = DANN(**BASE, **METHODS[method], select=Selection(guard=True), device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.set_params(random_state=seed).fit(
            task.X, np.where(target, -1, task.y), sample_domain=np.where(target, -2, 1)
        )
    guarded = model.guarded_
    found = [
        float(np.mean(model.use(which).predict(task.X[target]) == task.y[target]))
        for which in ("last", "source")
    ]
    return found[0], found[1], guarded


@cache
def found_of(group: str, name: str, seed: int) -> tuple[float, float, float, bool]:
    """Accuracy as given, without adaptation, and of the search; whether it takes none."""
    task = drawn(GROUPS[group][name](), seed)
    target = task.part == 2
    search = AdaptationSearch(DANN(**BASE, device="cpu", random_state=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(task.X, np.where(target, -1, task.y), sample_domain=np.where(target, -2, 1))
    models = [search.estimators_["as given"], search.estimators_["no adaptation"], search]
    found = [float(np.mean(m.predict(task.X[target]) == task.y[target])) for m in models]
    return found[0], found[1], found[2], search.best_candidate_ == "no adaptation"


def gains(group: str, method: str, seed: int) -> Mapping[str, float]:
    """Of the adapted weights, and of those that the guard leaves in use."""
    rows = [both(group, method, name, seed) for name in GROUPS[group]]
    used = [(a, s, s if guarded else a, guarded) for a, s, guarded in rows]
    return summed(used)


def searched(group: str, seed: int) -> Mapping[str, float]:
    """Of the plain adversary, and of what the search takes."""
    return summed([found_of(group, name, seed) for name in GROUPS[group]])


def summed(rows: Sequence[tuple[float, float, float, bool]]) -> Mapping[str, float]:
    """Of accuracies adapted, without adaptation and as used, and whether there is no adaptation."""
    adapted = np.array([a - s for a, s, _, _ in rows])
    used = np.array([u - s for _, s, u, _ in rows])
    return {
        **{f"{which} gain": float(g.mean()) for which, g in (("adapted", adapted), ("used", used))},
        **{f"{which} worst": float(g.min()) for which, g in (("adapted", adapted), ("used", used))},
        "adapted bad": float(np.mean(adapted < -0.02)),
        "used bad": float(np.mean(used < -0.02)),
        "guarded": float(np.mean([guarded for *_, guarded in rows])),
    }


def cases(preset: str, device: str) -> list[Case]:
    """Each method on each group of pairs."""
    return [
        Case(group, "DANN", method, partial(gains, group, method), seeds=2)
        for group in GROUPS
        for method in METHODS
    ] + [
        Case(group, "AdaptationSearch", "candidates by default", partial(searched, group), seeds=2)
        for group in GROUPS
    ]
