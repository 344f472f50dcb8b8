"""What a user gets who sets nothing but ``random_state``, beside the recipe and an untrained net.

Encoders are judged by a linear probe of `transform` and by r, the reconstruction ratio; InfoGAN by
its categories; Triple-GAN by its accuracy from few labels; DANN by its accuracy on the target.
Meters: encoders are trained on power meters and judged on water meters, which no meter shares. The
table are responses of gas sensors: rows of one month, a part held out; for DANN one month to the
next. Images of 28 pixels and more, with nothing set, take a CPU up to an hour, as a warning says
early in the fit. *Minutes of a processor* are those to come, by 25 steps; no such fit was ended.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from benchmarks import bigan_mnist, gas_drift, meter_digits, triplegan_mnist, vaegan_mnist
from benchmarks.gan_recipes import BIGAN_DIGITS, BIGAN_MNIST, INFOGAN_DIGITS, INFOGAN_MNIST
from benchmarks.images import Data
from benchmarks.quick import domains
from benchmarks.recipes import METER_PSEUDO, METERS, PRINT
from benchmarks.runner import Case
from repkit import DANN, VAE, VAEGAN, BiGAN, InfoGAN, TripleGAN, recipes
from repkit.dann import PlainImagesWarning, Selection, ShareWarning
from repkit.datasets import load_digits_domains, load_mnist, load_mnist_m
from repkit.metrics import linear_probe, reconstruction_ratio

MNIST, METER = "MNIST, 10 000 images", "meters"
TABLE = "gas sensors"
TELLING = (ConvergenceWarning, ShareWarning, PlainImagesWarning)  # of a fit that may be no good
TASKS = ("digits", TABLE, MNIST, METER)
LABELS = {"digits": 50, TABLE: 60, MNIST: 100, METER: 100}
BATCH = 6  # 2 300 rows of 128 columns, six gases
ENCODERS = {"BiGAN": BiGAN, "VAE": VAE, "VAEGAN": VAEGAN}
CLASSES = {**ENCODERS, "InfoGAN": InfoGAN, "TripleGAN": TripleGAN}
SPENT = "seconds of a processor"
UNTRAINED = {"max_epochs": 1, "steps_per_epoch": 1, "learning_rate": 0.0}
# By system and task; meters have none of their own for a single domain.
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "BiGAN": {"digits": BIGAN_DIGITS, MNIST: BIGAN_MNIST},
    "InfoGAN": {"digits": INFOGAN_DIGITS, MNIST: INFOGAN_MNIST},
    "VAE": {"digits": vaegan_mnist.SETTINGS["digits"]["VAE"]},
    "VAEGAN": {"digits": vaegan_mnist.SETTINGS["digits"]["VAEGAN"]},
    "TripleGAN": {"digits": triplegan_mnist.DIGITS, MNIST: triplegan_mnist.MNIST},
}
Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@cache
def load(task: str, part: str = "test") -> Split:
    """Training images and labels, and those to judge on; "validation" is of the training part."""
    if task == METER:
        X, y = meter_digits.pictures("power")
        other = meter_digits.load_meter_digits("watermeter" if part == "test" else "gasmeter")
        return X, y, other.data, other.target
    if task == MNIST:
        data = load_mnist()
        X, y = data.x_train[:, None], data.y_train
        test = (data.x_test[:, None], data.y_test) if part == "test" else (X[-10_000:], y[-10_000:])
        return X[:10_000], y[:10_000], *test
    if task == TABLE:
        X, y = gas_drift.logs(BATCH)
        X, X_test, y, y_test = train_test_split(X, y, test_size=0.4, stratify=y, random_state=0)
        mean, std = X.mean(0), X.std(0)
        X, X_test = ((a - mean) / std for a in (X, X_test))
    else:
        X, y, X_test, y_test = bigan_mnist.load("digits")
    if part == "test":
        return X, y, X_test, y_test
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    return X, y, X_test, y_test


def timed(model: Any, *given: Any, **named: Any) -> dict[str, float]:
    """Fit; the seconds of a processor that it takes, and whether it warned of how it went."""
    started = time.process_time()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(*given, **named)
    warned = any(issubclass(w.category, TELLING) for w in told)
    return {SPENT: time.process_time() - started, "warned": float(warned)}


def encoder(
    system: str, task: str, settings: Mapping[str, Any], seed: int, part: str = "test"
) -> dict[str, float]:
    """Linear probe and r of an encoder."""
    X, y, X_test, y_test = load(task, part)
    model = ENCODERS[system](**{**settings, "random_state": seed})
    found = timed(model, X)
    codes = linear_probe(model.transform(X), y, model.transform(X_test), y_test)
    ratio = reconstruction_ratio(X_test, model.reconstruct(X_test))
    return {"linear probe": codes["accuracy"], "r": ratio, **found}


def pixels(task: str, seed: int) -> dict[str, float]:
    X, y, X_test, y_test = load(task)
    flat = [a.reshape(len(a), -1).astype(np.float32) for a in (X, X_test)]
    return {"linear probe": linear_probe(flat[0], y, flat[1], y_test)["accuracy"]}


def infogan(
    task: str, settings: Mapping[str, Any], seed: int, part: str = "test"
) -> dict[str, float]:
    """Share of images whose category is their digit, named on the training images."""
    X, y, X_test, y_test = load(task, part)
    model = InfoGAN(**{**settings, "random_state": seed})
    found = timed(model, X)
    named = model.match_labels(y)
    return {"accuracy": float(np.mean(named[model.predict(X_test)] == y_test)), **found}


def triplegan(
    task: str, settings: Mapping[str, Any], seed: int, part: str = "test"
) -> dict[str, float]:
    """Accuracy from few labels, as many of each class, drawn anew for each seed."""
    X, y, X_test, y_test = load(task, part)
    rng, few = np.random.default_rng(seed), np.full(len(y), -1)
    classes = np.unique(y)
    for label in classes:
        count = LABELS[task] // len(classes)
        few[rng.choice(np.flatnonzero(y == label), count, replace=False)] = label
    model = TripleGAN(**{**settings, "random_state": seed})
    found = timed(model, X, few)
    return {"accuracy": model.score(X_test, y_test), **found}


@cache
def adapted(task: str, seed: int) -> Data:
    """Source and target of a task of adaptation."""
    if task == TABLE:
        pair = gas_drift.load(1, 2)
        return Data(
            pair.X_source, pair.y_source, pair.X_target, pair.y_test, pair.X_test, pair.y_test
        )
    if task == METER:
        return meter_digits.load("power->water")
    if task == MNIST:
        data, target = load_mnist(), load_mnist_m()
        gray = np.repeat(data.x_train[:10_000, None], 3, axis=1)
        rows = slice(10_000)
        return Data(gray, data.y_train[rows], target.x_train[rows], target.y_train[rows],
                    target.x_test, target.y_test)  # fmt: skip
    data = load_digits_domains(random_state=seed)
    source = data.sample_domain >= 0
    return Data(
        data.X[source], data.y[source], data.X[~source], data.y[~source], data.X_test, data.y_test
    )


def dann(task: str, settings: Mapping[str, Any], seed: int, adapt: bool = True) -> dict[str, float]:
    """Accuracy on the target, of whose labels none is shown."""
    data = adapted(task, seed)
    model = DANN(**{**settings, "random_state": seed})
    if not adapt:
        found = timed(model, data.X_source, data.y_source)
    else:
        domain = np.repeat([1, -2], [len(data.X_source), len(data.X_target)])
        labels = np.concatenate([data.y_source, np.full(len(data.X_target), -1)])
        rows = np.concatenate([data.X_source, data.X_target])
        found = timed(model, rows, labels, sample_domain=domain)
    return {"accuracy": model.score(data.X_test, data.y_test), **found}


def pace(system: str, task: str, settings: Mapping[str, Any], seed: int) -> dict[str, float]:
    """Minutes of a processor that a fit would take, from the difference of 25 steps and 5."""
    X, y, *_ = load(task)
    few = np.where(np.arange(len(y)) < LABELS[task], y, -1)
    spent, rows = {}, X[:2000]
    for steps in (5, 5, 25):  # the first fit of a process takes longer, and does not count
        model = CLASSES[system](
            **{**settings, "max_epochs": 1, "steps_per_epoch": steps, "random_state": seed}
        )
        spent[steps] = timed(model, rows, *([few[:2000]] if system == "TripleGAN" else []))
    whole = CLASSES[system]()
    batch = whole.batch_size[1] if isinstance(whole.batch_size, tuple) else whole.batch_size
    of = whole.max_epochs * math.ceil(len(X) / batch)
    step = (spent[25][SPENT] - spent[5][SPENT]) / 20
    return {"minutes of a processor": of * step / 60}


ADAPTATION: dict[str, dict[str, Any]] = {
    TABLE: recipes.dann("sensors"),
    "digits": {**domains.BASE[domains.TASKS[1]], **domains.RECIPE},
    METER: {**METERS, **METER_PSEUDO, "strong_augment": PRINT},
}


def cases(preset: str, device: str) -> list[Case]:
    """Defaults, recipe and untrained net of every system."""
    listed = []
    for task in TASKS:
        for system in (*ENCODERS, "InfoGAN", "TripleGAN"):
            run = {"InfoGAN": infogan, "TripleGAN": triplegan}.get(system)
            run = partial(encoder, system) if run is None else run
            variants: dict[str, dict[str, Any]] = {}
            if task in (MNIST, METER) and device == "cpu":
                forecast = partial(pace, system, task, {"device": device})
                listed.append(Case(task, system, "defaults, forecast", forecast, seeds=1))
            else:
                variants["defaults"] = {}
            if task in RECIPES.get(system, {}):
                variants["recipe"] = RECIPES[system][task]
            variants["untrained"] = UNTRAINED
            for name, settings in variants.items():
                settings = {**settings, "device": device}
                listed.append(
                    Case(task, system, name, lambda seed, r=run, t=task, s=settings: r(t, s, seed))
                )
        listed.append(Case(task, "pixels", "", partial(pixels, task), seeds=1))
        variants = {"defaults": {}, "guard alone": {"select": Selection(guard=True)}}
        if task in ADAPTATION:
            variants["recipe"] = ADAPTATION[task]
        for name, settings in {**variants, "source only": {}}.items():
            run = partial(dann, task, {**settings, "device": device}, adapt=name != "source only")
            listed.append(Case(task, "DANN", name, run))
    return listed
