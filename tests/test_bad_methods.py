"""A table of every public method by every kind of bad input: refused by name, nothing changed."""

import inspect
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import repkit
from repkit import (
    DANN,
    VAE,
    VAEGAN,
    AdaptationSearch,
    BiGAN,
    DANNRegressor,
    InfoGAN,
    SpeechAutoencoder,
    TripleGAN,
    load,
)
from repkit.datasets import make_speech

from .hostile import Anything, Case, faults, shown

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:no candidate agrees:repkit.dann.GuardWarning"),
]

RNG = np.random.default_rng(0)
N = 24
X = RNG.random((N, 6))
Y, DOMAIN = np.arange(N) % 3, np.where(np.arange(N) < N // 2, 1, -1)
Z = X[:, 0] - X[:, 1]
SPEECH = make_speech(3, 2, 2, random_state=0)
ADAPTING = ("DANN", "DANNRegressor", "AdaptationSearch")
SMALL = {"width": 12, "max_epochs": 1, "steps_per_epoch": 1, "random_state": 0}
MODELS = {
    "DANN": lambda: DANN("mlp", **SMALL),
    "AdaptationSearch": lambda: AdaptationSearch(DANN("mlp", **SMALL), [{}]),
    "DANNRegressor": lambda: DANNRegressor("mlp", **SMALL),
    "VAE": lambda: VAE(2, **SMALL),
    "VAEGAN": lambda: VAEGAN(2, **SMALL),
    "BiGAN": lambda: BiGAN(2, **SMALL),
    "InfoGAN": lambda: InfoGAN((3,), 1, 2, recalibrate=False, **SMALL),
    "TripleGAN": lambda: TripleGAN(2, batch_size=(6, 12), **SMALL),
    "SpeechAutoencoder": lambda: SpeechAutoencoder(
        4, 2, n_mels=20, sample_rate=8000, batch_size=(2, 2), prototypes=(3,), **SMALL
    ),
}
DATA = {
    "DANN": (X, Y, DOMAIN),
    "AdaptationSearch": (X, Y, DOMAIN),
    "DANNRegressor": (X, Z, DOMAIN),
    "TripleGAN": (X, Y),
    "SpeechAutoencoder": (SPEECH.data, SPEECH.speaker),
}


def with_one(X, value):
    X = X.copy()
    X[3, 0] = value
    return X


def tables(X, *, after):
    """Whatever is no table of numbers; ``after`` a fit, of its width."""
    wrong = [
        None, 3.0, "junk", b"junk", {"a": 1}, Anything(), set("ab"), (row for row in X), int,
        np.array(1.0), X[:, 0], [], X[:0], X[:, :0], np.ones((len(X), 1, 2, 2, 2)),
        np.full(X.shape, "a"), np.full(X.shape, "1.5"), [["a", "b"]] * len(X),
        np.array([[{}] * X.shape[1]] * len(X)), X.astype(complex), [[1.0], [1.0, 2.0]] * 3,
        np.full(X.shape, np.datetime64("2020-01-01")), pd.DataFrame({"a": ["x"] * len(X)}),
        with_one(X, np.nan), with_one(X, np.inf), torch.full(X.shape, np.nan),
        [[None] * 2] * len(X), np.ma.masked_array(X, X > 0.5),
        torch.utils.data.TensorDataset(torch.tensor(X)),
    ]  # fmt: skip
    return (
        [*wrong, X[:, :2], np.concatenate([X, X], 1), np.full(X.shape, 1e300)] if after else wrong
    )


def labels(y):
    """Whatever is not one label a row."""
    return [
        3, "junk", {"a": 1}, Anything(), np.stack([y, y], 1), y[:-1], np.append(y, 0), [],
        [[1], [1, 2]] * (len(y) // 2), ["a", 1] * (len(y) // 2), [{}] * len(y), set(y.tolist()),
        y.astype(complex), y + 0.5, np.full(len(y), np.inf),
    ]  # fmt: skip


def outputs(y):
    """Whatever is not one number a row, nor several."""
    return [
        None, 3, "junk", {"a": 1}, Anything(), y[:-1], np.append(y, 0), [], np.full(len(y), "a"),
        [[1], [1, 2]] * (len(y) // 2), [{}] * len(y), set(y.tolist()), y.astype(complex),
        np.full(len(y), np.nan), np.full(len(y), np.inf), np.full(len(y), 1e200),
        np.ones((len(y), 2, 2)), sparse.csr_array(y[None]), [None] * len(y),
    ]  # fmt: skip


def weights():
    w = np.ones(N)
    return [
        "junk", {"a": 1}, ["a"] * N, np.stack([w, w], 1), w[:-1], [], np.full(N, np.nan),
        np.full(N, np.inf), w.astype(complex), -w, w * 0, [[1.0], [1.0, 2.0]] * (N // 2),
    ]  # fmt: skip


def domains():
    d = DOMAIN
    return [
        3, "junk", {"a": 1}, Anything(), np.stack([d, d], 1), d[:-1], np.append(d, 1), [], d * 0.5,
        np.full(N, np.nan), [None] * N, [[1], [1, 2]] * (N // 2), ["a", 1] * (N // 2),
        [{}] * N, set("ab"),
    ]  # fmt: skip


def utterances():
    one = np.ones(4000)
    return [
        None, 3.0, "nowhere", [], [np.zeros(0)] * 3, [one * np.nan] * 3, [one + np.inf] * 3,
        [np.full(80, "a")] * 3, [one.astype(complex)] * 3, [np.ones((2, 2, 2))] * 3, [None] * 3,
        [3] * 3, {"a": one}, Anything(), [{}] * 3, [one, "a.wav"], set("ab"), b"junk",
        torch.utils.data.TensorDataset(torch.ones(3, 800)), sparse.csr_array(np.ones((3, 800))),
        np.full((3, 800), np.datetime64("2020-01-01")), np.array([{}] * 3, dtype=object),
    ]  # fmt: skip


INTEGERS = [0, -1, 1.5, np.nan, np.inf, "junk", "3", [1], (1, 2), {}, 1j, True, Anything(),
            np.array([1, 2]), b"3", abs, None, 10**12, 10**30]  # fmt: skip
SEEDS = ["junk", -1, 1.5, np.nan, {}, Anything(), 10**30, True, [1, 2], 1j]
NUMBERS = [-1.0, -1e-9, np.nan, np.inf, "junk", "1", [1], (1, 2), {}, 1j, True, Anything(),
           np.array([1, 2]), b"3", abs]  # fmt: skip
WORDS = ["junk", "", None, 3, [], {}, 1.5, np.nan, True, Anything(), ("a",), np.array([1, 2])]


def refused_fit(name, *given, **named):
    model = MODELS[name]()
    try:
        model.fit(*given, **named)
    finally:
        assert not [k for k in vars(model) if k.endswith("_")], "half fitted"


def refused_adapt(model, *given, **named):
    before = model.used_weights_
    try:
        model.adapt(*given, **named)
    finally:
        assert not hasattr(model, "adaptation_")
        assert (model.used_weights_, list(model.weights_)) == (before, ["last"])


def fits(name):
    speech = name == "SpeechAutoencoder"
    rest = DATA.get(name, (X,))[1:]
    for value in utterances() if speech else tables(X, after=False):
        yield "fit", "X", value, lambda v: refused_fit(name, v, *rest)
    if rest:
        wrong = labels(SPEECH.speaker if speech else Y)
        for value in outputs(Z) if name == "DANNRegressor" else wrong:
            yield "fit", "y", value, lambda v: refused_fit(name, DATA[name][0], v)
    if name in (*ADAPTING, "TripleGAN"):
        y = DATA[name][1]
        for value in weights():
            yield "fit", "sample_weight", value, lambda v: refused_fit(name, X, y, sample_weight=v)
    if name in ADAPTING:
        for value in domains():
            yield "fit", "sample_domain", value, lambda v: refused_fit(name, X, y, v)
        for value in ("junk", 1.5, [7], [None], {}, Anything(), [], np.nan, np.ones((2, 2))):
            yield "fit", "source", value, lambda v: refused_fit(name, X, y, DOMAIN, v)
    if speech:
        for value in ("junk", 3, [(0, 99)], [(0, 1, 2)], {}, [("a", "b")], [(0.5, 1.5)], [(-1, 0)]):
            yield "fit", "pairs", value, lambda v: refused_fit(name, SPEECH.data, pairs=v)


def reads(model):
    """Methods that read samples."""
    speech = isinstance(model, SpeechAutoencoder)
    several = utterances() if speech else tables(X, after=True)
    for method in (
        "transform", "predict", "predict_proba", "predict_domain", "reconstruct",
        "transform_phonetic", "transform_speaker",
    ):  # fmt: skip
        if hasattr(model, method):
            for value in several:
                yield method, "X", value, getattr(model, method)
    if hasattr(model, "score"):
        y, wrong = Y, [*labels(Y)[:-2], None, [None] * N, Y * np.nan]
        if isinstance(model, DANNRegressor):
            y, wrong = Z, [*outputs(Z), np.stack([Z, Z], 1)]
        for value in several:
            yield "score", "X", value, lambda v: model.score(v, y)
        for value in wrong:
            yield "score", "y", value, lambda v: model.score(X, v)
        for value in weights():
            yield "score", "sample_weight", value, lambda v: model.score(X, y, sample_weight=v)
    if isinstance(model, DANN | DANNRegressor | AdaptationSearch):
        for method in ("transform", "predict", "predict_proba", "predict_domain", "adapt"):
            for value in domains() if hasattr(model, method) else []:
                use = getattr(model, method)
                yield method, "sample_domain", value, lambda v, use=use: use(X, sample_domain=v)
    if hasattr(model, "adapt"):
        for value in [*several, X[:1]]:
            yield "adapt", "X", value, lambda v: refused_adapt(model, v)
        given = {
            "method": WORDS,
            "max_epochs": INTEGERS,
            "learning_rate": NUMBERS,
            "beta": [None, *NUMBERS],
        }
        for name, values in given.items():
            for value in values:
                yield (
                    "adapt",
                    name,
                    value,
                    lambda v, name=name: refused_adapt(model, X, **{name: v}),
                )
    if speech:
        for value in [*utterances(), SPEECH.data[:2]]:
            yield "convert", "reference", value, lambda v: model.convert(SPEECH.data[:3], v)
        frames = [None, 3.0, "junk", {"a": 1}, Anything(), np.ones(20), np.ones((4, 3)),
                  np.ones((0, 20)),
                  np.full((4, 20), np.nan), np.full((4, 20), "a"), np.ones((4, 20), complex),
                  [[1.0], [1.0, 2.0]]]  # fmt: skip
        for value in frames:
            yield "to_waveform", "frames", value, model.to_waveform
        for value in INTEGERS:
            yield (
                "to_waveform",
                "n_iter",
                value,
                lambda v: model.to_waveform(np.ones((4, 20)), n_iter=v),
            )


def makes(model):
    """Methods that make samples, and those of codes."""
    if hasattr(model, "sample"):
        for value in INTEGERS:
            if value is not None or not isinstance(model, TripleGAN):
                yield "sample", "n", value, lambda v: model.sample(v)
        for value in SEEDS:
            yield "sample", "random_state", value, lambda v: model.sample(2, random_state=v)
    if hasattr(model, "interpolate"):
        for value in tables(X, after=True):
            yield "interpolate", "X_start", value, lambda v: model.interpolate(v, X)
            yield "interpolate", "X_end", value, lambda v: model.interpolate(X, v)
        for value in [1, *INTEGERS]:
            yield "interpolate", "n_steps", value, lambda v: model.interpolate(X, X, v)
        for value in tables(X[:, :2], after=True)[:-3]:
            yield "inverse_transform", "Z", value, model.inverse_transform
        for value in [None, *labels(np.arange(N) % 2)[:4], np.zeros(N), np.ones(N), Y, Y[:-1], []]:
            yield "attribute_vector", "y", value, lambda v: model.attribute_vector(X, v)
    if isinstance(model, TripleGAN):
        for value in ("junk", [9], [np.nan], [[0, 1]], [0, 1], {}, Anything(), ["a"], [None]):
            yield "sample", "y", value, lambda v: model.sample(3, y=v)
    if isinstance(model, InfoGAN):
        for value in ("junk", 3, {"x": 1}, {"category0": 7}, {"category0": 0.5}, [1], {1: 2},
                      {"continuous0": np.nan}, {"continuous0": 1j}, {"category0": "a"},
                      {"continuous0": [0, 1]}, {"category0": None}):  # fmt: skip
            yield (
                "sample",
                ("codes", "code", "category0", "continuous0"),
                value,
                lambda v: model.sample(3, codes=v),
            )
        for value in WORDS:
            yield "traverse", "code", value, model.traverse
        for value in ("junk", [np.nan], ["a"], [], [np.inf], {}, [1j], Anything(), [None]):
            yield "traverse", "values", value, lambda v: model.traverse("continuous0", v)
        for value in INTEGERS:
            yield "traverse", "n_rows", value, lambda v: model.traverse("continuous0", n_rows=v)
        for value in labels(Y)[:-3]:
            yield "match_labels", ("y", "labels"), value, lambda v: model.match_labels(v, X)
    if isinstance(model, AdaptationSearch):
        return  # the rest is that of its `best_estimator_`
    for value in WORDS:
        yield "use", "which", value, model.use


def as_cases(name, rows):
    for method, names, value, call in rows:
        names = (names,) if isinstance(names, str) else names
        label = f"{name}.{method}({names[0]}={shown(value)})"
        yield Case(label, names, lambda call=call, value=value: call(value))


@pytest.fixture(scope="module")
def fitted():
    return {name: make().fit(*DATA.get(name, (X,))) for name, make in MODELS.items()}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_what_fit_is_given(name):
    faults(as_cases(name, [next(fits(name))]))  # what is imported late is imported now
    count, found = faults(as_cases(name, fits(name)))
    assert count >= 25
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", MODELS)
def test_what_methods_are_given(name, fitted):
    model = fitted[name]
    count, found = faults(as_cases(name, [*reads(model), *makes(model)]))
    assert count >= 100
    assert not found, "\n".join(found)


def test_paths(fitted, tmp_path):
    (tmp_path / "file").write_bytes(b"no model")
    wrong = [None, 3, "", tmp_path, tmp_path / "no" / "m", ["a"], Anything(), "a\0b", "x" * 5000,
             tmp_path / "file" / "m"]  # fmt: skip
    models = [SimpleNamespace(save=load), *(m for m in fitted.values() if hasattr(m, "save"))]
    rows = [("save or load", ("path", str(v)), v, m.save) for m in models for v in wrong]
    rows += [("load", str(tmp_path / "file"), tmp_path / "file", load)]
    for value in (3, ["a"], tmp_path / "file", "a\0b", "x" * 5000, Anything(), b"a"):
        name = ("checkpoint", str(value))
        rows += [("fit", name, value, lambda v: VAE(2, checkpoint=v, **SMALL).fit(X))]
    count, found = faults(as_cases("", rows))
    assert count >= 80
    assert not found, "\n".join(found)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", MODELS)
def test_before_the_fit(name):
    cls, rows = type(MODELS[name]()), []
    for method, function in inspect.getmembers(cls, inspect.isfunction):
        if method.startswith(("_", "fit", "make", "set_", "get_params", "get_metadata")):
            continue
        p = inspect.signature(function).parameters.values()
        given = [X] * (
            sum(q.default is q.empty and q.kind is q.POSITIONAL_OR_KEYWORD for q in p) - 1
        )
        rows.append(
            (method, "not fitted yet", method, lambda m, g=given: getattr(MODELS[name](), m)(*g))
        )
    count, found = faults(as_cases(name, rows))
    assert count >= 4
    assert not found, "\n".join(found)


def test_every_estimator_is_in_the_table():
    assert set(MODELS) == {n for n in repkit.__all__ if hasattr(getattr(repkit, n), "fit")}
