"""TripleGAN: labels of every kind and number, prediction, and samples by class."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from torch import nn

from repkit import Consistency, TripleGAN, load
from repkit.base.generative import rng_of
from repkit.engine.modes import norms
from repkit.triplegan import AdversarialTerm, PseudoDiscriminative

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
FAST = {
    "latent_dim": 6,
    "width": 32,
    "max_epochs": 3,
    "steps_per_epoch": 6,
    "batch_size": (32, 16),
    "random_state": 0,
}
QUICK = {**FAST, "max_epochs": 1, "steps_per_epoch": 3}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32), y


@pytest.fixture(scope="module")
def few(digits):
    """Five labels of each class."""
    _, y = digits
    order = np.random.default_rng(0).permutation(len(y))
    rows = np.concatenate([order[y[order] == k][:5] for k in range(10)])
    return np.where(np.isin(np.arange(len(y)), rows), y, -1)


@pytest.fixture(scope="module")
def fitted(digits, few):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TripleGAN(**FAST).fit(digits[0], few)


@pytest.fixture(scope="module")
def trained(digits, few):
    model = TripleGAN(
        16,
        width=128,
        max_epochs=5,
        steps_per_epoch=80,
        balance=0.5,
        strong_augment=lambda x: x + 0.3 * torch.randn_like(x),
        random_state=0,
    )
    return model.fit(digits[0], few)


# -------------------------------------------------------------------- what it learns


def test_fifty_labels_teach_it_more_than_a_regression(trained, digits, few):
    X, y = digits
    rest = few == -1
    baseline = LogisticRegression(max_iter=500).fit(X[~rest], few[~rest])
    assert trained.score(X[rest], y[rest]) > baseline.score(X[rest], y[rest]) + 0.02
    assert (trained.predict(X[~rest]) == few[~rest]).mean() > 0.97


def test_samples_are_of_the_class_that_was_asked_for(trained, digits):
    """Judged by a classifier that has seen all labels."""
    judge = LogisticRegression(max_iter=500).fit(*digits)
    wanted = np.arange(300) % 10
    samples = trained.sample(y=wanted, random_state=0)
    assert np.mean(judge.predict(samples) == wanted) > 0.7
    assert np.mean(trained.predict(samples) == wanted) > 0.7
    only = trained.sample(100, y=0, random_state=0)
    assert np.mean(judge.predict(only) == 0) > 0.7
    assert only.std(0).max() > 0.05  # and they differ


def test_the_columns_of_the_history(fitted):
    assert set(fitted.history_) == {
        "epoch",
        "step",
        "loss_C",
        "loss_G",
        "loss_D",
        "label_loss",
        "consistency_loss",
        "certain",
        "entropy",
        "balance_loss",
        "adversarial_loss",
        "pseudo_discriminative_loss",
        "consistency_weight",
        "generator_accuracy",
        "d_real",
        "d_fake",
        "heed",
        "seconds",
    }
    assert list(fitted.networks_) == ["C", "G", "D"]
    assert list(fitted.history_["heed"]) == [0, 1, 1]


def test_networks_have_rates_of_their_own(digits, few):
    def moved(rates):
        still = clone(TripleGAN(**FAST)).set_params(learning_rate=0.0)
        start, end = still.fit(digits[0], few), clone(still).set_params(learning_rate=rates)
        end.fit(digits[0], few)
        return {
            name
            for name, network in end.networks_.items()
            for old, new in zip(
                start.networks_[name].parameters(), network.parameters(), strict=True
            )
            if not torch.equal(old, new)
        }

    assert moved({"C": 1e-3, "G": 0.0, "D": 0.0}) == {"C"}
    assert moved({"C": 0.0}) == {"G", "D"}
    assert moved({"C.features": 0.0, "D": 0.0}) == {"C", "G"}


def test_the_default_rates(digits, few):
    model = TripleGAN(**FAST).fit(digits[0], few)
    same = TripleGAN(**FAST, learning_rate={"C": 2e-3, "G": 5e-4, "D": 5e-4}).fit(digits[0], few)
    other = TripleGAN(**FAST, learning_rate={"G": 6e-4}).fit(digits[0], few)
    np.testing.assert_array_equal(same.sample(3, 1, 0), model.sample(3, 1, 0))
    assert (other.sample(3, 1, 0) != model.sample(3, 1, 0)).any()


def test_pseudo_labels_from_a_progress_on(digits, few):
    start = Consistency(1.0, threshold=0.0, start=0.35)
    model = TripleGAN(**FAST, consistency=start).fit(digits[0], few)
    # The last steps of the epochs are the 6th, the 12th and the 18th of 18.
    np.testing.assert_allclose(
        model.history_["consistency_weight"], [0, 11 / 18 / 0.35 - 1, 1], atol=1e-6
    )
    whole = TripleGAN(**FAST).set_params(consistency__threshold=0.0).fit(digits[0], few)
    assert (whole.history_["consistency_weight"] == 1).all()
    none = TripleGAN(**FAST, consistency=0.0).fit(digits[0], few)
    assert not {"consistency_weight", "consistency_loss", "certain"} & set(none.history_)
    loss = [m.history_["loss_C"].iloc[0] for m in (model, whole, none)]
    assert loss[0] == pytest.approx(loss[2], rel=1e-5)
    assert loss[0] < loss[1] - 0.1


# -------------------------------------------------------------------- prediction


def test_probabilities_and_features(fitted, digits):
    X = digits[0][:64]
    C = fitted.networks_["C"]
    proba = fitted.predict_proba(X)
    with torch.no_grad():
        np.testing.assert_allclose(proba, C(torch.from_numpy(X)).softmax(1), atol=1e-6)
        hidden = C.hidden(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(proba.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[proba.argmax(1)])
    np.testing.assert_allclose(fitted.transform(X), hidden, atol=1e-6)
    assert fitted.transform(X.astype(np.float64)).dtype == np.float64
    assert fitted.predict_proba(X.astype(np.float64)).dtype == np.float64
    assert list(fitted.get_feature_names_out())[:2] == ["triplegan0", "triplegan1"]
    assert len(fitted.get_feature_names_out()) == 32
    frame = clone(fitted).set_output(transform="pandas").fit(X, digits[1][:64]).transform(X)
    assert frame.shape == (64, 32)


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8)])
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_images(digits, few, shape, dtype):
    X = digits[0].reshape(-1, *shape).astype(np.float64)
    X = np.rint(255 * X).astype(np.uint8) if dtype == "uint8" else X * 4 - 2
    model = TripleGAN(**QUICK).fit(X, few)
    assert model.predict_proba(X[:9]).shape == (9, 10)
    samples = model.sample(5, y=3)
    assert samples.shape == (5, *shape)
    assert samples.dtype == X.dtype
    assert X.min() <= samples.min() < samples.max() <= X.max()


# -------------------------------------------------------------------- labels


NAMES = np.array(["zero", "one", "two"])
THREE = np.arange(60) % 3
PART = np.where(np.arange(60) < 12, THREE, -1)
LABELS = {
    "integers": (PART, [0, 1, 2]),
    "other integers": (np.where(PART < 0, -1, 10 * PART - 30), [-30, -20, -10]),
    "int8": (PART.astype(np.int8), [0, 1, 2]),
    "floats": (PART.astype(float), [0, 1, 2]),
    "strings": (np.where(PART < 0, "-1", NAMES[PART]), ["one", "two", "zero"]),
    "objects": (np.where(PART < 0, -1, NAMES.astype(object)[PART]), ["one", "two", "zero"]),
    "NaN": (np.where(PART < 0, np.nan, PART), [0, 1, 2]),
    "None": ([None if k < 0 else str(NAMES[k]) for k in PART], ["one", "two", "zero"]),
    "a list": ([-1 if k < 0 else int(k) for k in PART], [0, 1, 2]),
    "a column of a frame": (pd.Series(PART, name="y"), [0, 1, 2]),
    "a column of strings": (pd.Series(np.where(PART < 0, "-1", NAMES[PART])), sorted(NAMES)),
    "all labeled": (THREE, [0, 1, 2]),
    "one of each": (np.where(np.arange(60) < 3, THREE, -1), [0, 1, 2]),
    "minus one and one": (np.where(THREE == 1, 1, -1), [-1, 1]),
    "minus one and one, floats": (np.where(THREE == 1, 1.0, -1.0), [-1, 1]),
    "a class without a label": (np.where(PART == 1, -1, PART), [0, 2]),
    "one class, all labeled": (np.zeros(60, dtype=int), [0]),
}


@pytest.mark.parametrize(("y", "classes"), LABELS.values(), ids=LABELS)
def test_labels_of_every_kind(digits, tmp_path, y, classes):
    X = digits[0][:60]
    model = TripleGAN(**QUICK).fit(X, y)
    assert model.classes_.tolist() == classes
    assert model.predict_proba(X).shape == (60, len(classes))
    predicted = model.predict(X)
    assert set(predicted) <= set(classes)
    assert predicted.dtype == model.classes_.dtype
    assert model.sample(2, y=classes[-1]).shape == (2, 64)
    model.save(tmp_path / "m.safetensors")
    for found in (pickle.loads(pickle.dumps(model)), load(tmp_path / "m.safetensors")):
        np.testing.assert_array_equal(found.predict(X), predicted)
        assert found.classes_.dtype == model.classes_.dtype


def test_the_kind_of_the_labels_changes_nothing_else(digits):
    """The order of the classes is their sorted one: here that of the integers."""
    X, names = digits[0][:60], np.array(["a", "b", "c"])
    expected = TripleGAN(**FAST).fit(X, PART)
    for kind in (str, object):
        y = np.where(PART < 0, -1 if kind is object else "-1", names.astype(kind)[PART])
        found = TripleGAN(**FAST).fit(X, y)
        np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "TripleGAN requires y to be passed, but the target y is None"),
        (np.full(60, -1), "y has no label at all: every value is -1"),
        (np.full(60, "-1"), "y has no label at all"),
        (np.where(PART == 2, 2, -1), "y has labels of one class only, 2: unlabeled rows"),
        (np.where(PART == 2, "two", "-1"), "y has labels of one class only, 'two': unlabeled rows"),
        (PART[:50], "inconsistent numbers of samples"),
        (PART + 0.5, "Unknown label type: continuous"),
        (np.c_[PART, PART], "y should be a 1d array"),
        (np.where(PART < 0, b"-1", NAMES.astype("S")[PART]), "labels represented as bytes"),
    ],
    ids=str,
)
def test_labels_that_do_not_do(digits, y, message):
    with pytest.raises((ValueError, TypeError), match=message):
        TripleGAN(**FAST).fit(digits[0][:60], y)


def test_labels_of_unlabeled_rows_are_not_needed(digits):
    """Rows without a label are learned from: other rows, another classifier."""
    X, y = digits[0][:120], np.r_[PART, np.full(60, -1)]
    model = TripleGAN(**FAST).fit(X, y)
    assert np.abs(model.predict_proba(X) - TripleGAN(**FAST).fit(1 - X, y).predict_proba(X)).max()
    other = X.copy()
    other[60:] = 1 - other[60:]
    found = TripleGAN(**FAST).fit(other, y)
    assert np.abs(model.predict_proba(X) - found.predict_proba(X)).max() > 1e-4


@pytest.mark.parametrize("sizes", [(1, 16), (999, 16), (8, 1), (8, 999), [8, 16]], ids=str)
def test_batches_of_few_rows_and_of_more_than_there_are(digits, sizes):
    model = TripleGAN(**{**FAST, "batch_size": sizes}).fit(digits[0][:60], PART)
    assert np.isfinite(model.history_["label_loss"]).all()


# -------------------------------------------------------------------- samples


def test_samples_by_class(fitted):
    latents = fitted._latents(50, np.random.default_rng(0))
    codes = latents[:, 6:]
    assert codes.shape == (50, 10)
    assert (codes.sum(1) == 1).all()
    assert set(np.unique(codes)) == {0, 1}
    assert codes.sum(0).max() < 20
    drawn = fitted._latents(4, rng_of(0))
    for y in (7, [7, 2, 2, 0], np.array([9])):
        expected = drawn.copy()
        expected[:, 6:] = np.eye(10)[np.broadcast_to(y, 4)]
        found = fitted.sample(4, y=y, random_state=0)
        np.testing.assert_array_equal(found, fitted._generate(expected))
    assert fitted.sample().shape == (1, 64)
    assert fitted.sample(y=[1, 2, 3]).shape == (3, 64)
    assert fitted.sample(y=1).shape == (1, 64)


def test_classes_that_cannot_be_sampled(fitted, digits):
    for n, y in ((3, 10), (3, [1, 2]), (2, "one"), (2, -1), (1, [1, 2]), (2, [[1], [2]])):
        with pytest.raises(ValueError, match=r"y must be a class or n=\d classes of \[0, 1"):
            fitted.sample(n, y=y)
    with pytest.raises(NotFittedError):
        TripleGAN().sample(2)
    alone = TripleGAN(**FAST, generator=None).fit(digits[0][:60], PART)
    with pytest.raises(ValueError, match="generator=None: this classifier was trained without"):
        alone.sample(2)


# -------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.9},
        {"alpha": AdversarialTerm(expectation="argmax")},
        {"entropy": 3.0},
        {"balance": 3.0},
        {"consistency": Consistency(1.0, threshold=0.0)},
        {"consistency": Consistency(1.0, threshold=0.0, start=0.2)},
        {"pseudo_discriminative": PseudoDiscriminative(3.0, gate=0.0)},
        {"adversary_start": 0.0},
        {"augment": lambda x: x.roll(1, -1)},
        {"strong_augment": lambda x: x.roll(1, -1), "consistency": Consistency(threshold=0.0)},
        {"batch_size": (8, 16)},
        {"learning_rate": {"C.features": 1e-3}},
        {"ema": 0.2},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_train(digits, options):
    X, few = digits[0][:60], PART
    model = TripleGAN(**{**FAST, **options}).fit(X, few)
    assert np.isfinite(model.history_.to_numpy(dtype=float)).all()
    name = next(iter(options))
    plain = clone(model).set_params(**{name: TripleGAN().get_params()[name]}).fit(X, few)
    assert np.abs(model.predict_proba(X) - plain.predict_proba(X)).max() > 1e-6


def test_the_classifier_alone(digits, few, tmp_path):
    X, fast = digits[0][:300], {**FAST, "max_epochs": 4}
    few = few[:300]
    model = TripleGAN(**fast, generator=None).fit(X, few)
    assert list(model.networks_) == ["C"]
    assert not {"loss_G", "loss_D", "adversarial_loss", "d_real", "heed"} & set(model.history_)
    assert {"loss_C", "label_loss", "entropy"} <= set(model.history_)
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "m.safetensors").predict(X), model.predict(X))
    # G and D leave it alone until the adversary starts.
    beside = TripleGAN(**fast, adversary_start=1.0).fit(X, few)
    np.testing.assert_allclose(beside.predict_proba(X), model.predict_proba(X), atol=1e-5)


def test_the_running_statistics_of_c_are_of_data(digits, few):
    def body(shape_in, width):
        return nn.Sequential(nn.Linear(64, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU())

    X = digits[0]
    model = TripleGAN(**{**FAST, "steps_per_epoch": 25}, classifier=body)
    model.set_params(pseudo_discriminative=PseudoDiscriminative(1.0, gate=0.0)).fit(X, few)
    (norm,) = norms(model.networks_["C"])
    with torch.no_grad():
        hidden = model.networks_["C"].features[0][0](torch.from_numpy(X))
    torch.testing.assert_close(norm.running_mean, hidden.mean(0), atol=0.15, rtol=0)


def test_the_score_weighs_rows(fitted, digits):
    X, y = digits
    right = fitted.predict(X) == y
    assert 0 < right.mean() < 1
    weight = np.random.default_rng(0).random(len(y))
    assert fitted.score(X, y) == pytest.approx(right.mean())
    assert fitted.score(X, y, weight) == pytest.approx(np.average(right, weights=weight))


# -------------------------------------------------------------------- in company


def test_in_the_place_of_self_training(digits, few):
    """The same y, in a pipeline and in a search, through `clone` and `score`."""
    X, y = digits
    peer = SelfTrainingClassifier(LogisticRegression(max_iter=200))
    models = [TripleGAN(**FAST), peer]
    for model in models:
        pipeline = make_pipeline(StandardScaler(), model).fit(X, few)
        np.testing.assert_array_equal(pipeline.classes_, np.arange(10))
        assert pipeline.predict_proba(X).shape == (len(X), 10)
        assert 0 < pipeline.score(X, y) <= 1
    pipeline = make_pipeline(StandardScaler(), TripleGAN(**FAST))
    grid = {"triplegan__entropy": [0.0, 0.3], "triplegan__alpha": [0.5]}
    grid["triplegan__pseudo_discriminative__gate"] = [0.8]
    scoring = lambda model, X, y: model.score(X[y >= 0], y[y >= 0])
    search = GridSearchCV(pipeline, grid, cv=2, scoring=scoring, error_score="raise").fit(X, few)
    assert search.predict(X).shape == y.shape
    assert search.best_params_["triplegan__alpha"] == 0.5
    assert search.best_estimator_[-1].pseudo_discriminative.gate == 0.8
    assert search.best_estimator_[-1].random_state == 0


@pytest.mark.parametrize("through", ["pickle", "joblib", "deepcopy", "file"])
def test_copies_predict_and_sample_the_same(fitted, digits, tmp_path, through):
    X = digits[0]
    if through == "file":
        fitted.save(tmp_path / "m.safetensors")
        found = load(tmp_path / "m.safetensors")
    elif through == "joblib":
        joblib.dump(fitted, tmp_path / "m")
        found = joblib.load(tmp_path / "m")
    else:
        found = (
            copy.deepcopy(fitted) if through == "deepcopy" else pickle.loads(pickle.dumps(fitted))
        )
    np.testing.assert_array_equal(found.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(found.sample(3, 4, 0), fitted.sample(3, 4, 0))
    for name, network in fitted.networks_.items():
        other = found.networks_[name].state_dict()
        assert all(torch.equal(v, other[k]) for k, v in network.state_dict().items())
    assert not clone(found).__dict__.keys() & {"networks_", "classes_"}


def test_other_labels_are_another_run(digits, few, tmp_path):
    model = TripleGAN(**FAST, checkpoint=tmp_path / "run").fit(digits[0], few)
    again = clone(model).fit(digits[0], few)
    np.testing.assert_array_equal(again.predict_proba(digits[0]), model.predict_proba(digits[0]))
    other = np.where(few == 3, 4, few)
    other[few == 4] = 3
    found = clone(model).fit(digits[0], other)
    fresh = TripleGAN(**FAST).fit(digits[0], other)
    np.testing.assert_array_equal(found.predict_proba(digits[0]), fresh.predict_proba(digits[0]))


def test_warm_start_goes_on_with_the_same_classes(digits):
    X = digits[0][:60]
    model = TripleGAN(**FAST, warm_start=True).fit(X, PART)
    before = model.predict_proba(X)
    model.set_params(learning_rate=0.0).fit(X, PART)
    np.testing.assert_allclose(model.predict_proba(X), before, atol=1e-6)
    with pytest.raises(
        ValueError, match="warm_start=True needs data of the same shape and classes"
    ):
        model.fit(X, np.where(np.arange(60) < 12, np.arange(60) % 4, -1))


def test_networks_of_the_users_own(digits, tmp_path):
    X = digits[0][:60]

    def generator(latent_dim, shape_out):
        assert (latent_dim, shape_out) == (9, (64,))
        return nn.Sequential(nn.Linear(9, 40), nn.ReLU(), nn.Linear(40, 64))

    plane = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 3, 4, 2), nn.ReLU())
    before = plane[1].weight.clone()
    own = {"classifier": plane, "discriminator": plane, "generator": generator}
    model = TripleGAN(**FAST, **own).fit(X, PART)
    assert model.transform(X).shape == (60, 27)
    assert torch.equal(plane[1].weight, before)
    assert not any(hasattr(m, "parametrizations") for m in model.networks_["D"].modules())
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(TripleGAN(**FAST, classifier=plane).fit(X, PART))).predict(X),
        TripleGAN(**FAST, classifier=plane).fit(X, PART).predict(X),
    )
    model.save(tmp_path / "m.safetensors")
    found = load(tmp_path / "m.safetensors", **own)
    np.testing.assert_array_equal(found.sample(2, 1, 0), model.sample(2, 1, 0))
    for options, message in (
        ({"discriminator": nn.Linear(3, 4)}, "discriminator does not take samples"),
        ({"classifier": nn.Linear(3, 4)}, "classifier does not take samples"),
        ({"generator": lambda z, s: nn.Linear(z, 63)}, r"of shape \(64,\), 64 numbers, from rows"),
    ):
        with pytest.raises(ValueError, match=message):
            TripleGAN(**FAST, **options).fit(X, PART)


def test_the_named_discriminator_is_spectrally_normalized(fitted):
    D = fitted.networks_["D"]
    linear = [m for m in D.modules() if isinstance(m, nn.Linear)]
    assert len(linear) >= 4
    assert all(hasattr(m, "parametrizations") for m in linear)
    assert not norms(D)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": AdversarialTerm(expectation="x")}, "alpha__expectation must be one of"),
        ({"latent_dim": 0}, "latent_dim must be an integer of at least 1, not 0"),
        ({"batch_size": (0, 8)}, r"batch_size must be a tuple of 2 integers of at least 1, not"),
        ({"batch_size": 64}, r"batch_size must be a tuple of 2 integers of at least 1, not 64"),
        ({"alpha": 1.5}, "alpha must be a number of at least 0 and at most 1, not 1.5"),
        ({"adversary_start": 2}, "adversary_start must be a number of at least 0 and at most 1"),
        ({"entropy": -1}, "entropy must be a number of at least 0, not -1"),
        ({"balance": "much"}, "balance must be a number of at least 0, not 'much'"),
        ({"consistency": -1}, "consistency must be a number of at least 0, not -1"),
        (
            {"consistency": Consistency(1.0, threshold=-0.1)},
            "consistency__threshold must be a number of at least 0 and at most 1, not -0.1",
        ),
        ({"consistency": None}, "consistency must be a number of at least 0, not None"),
        (
            {"pseudo_discriminative": float("nan")},
            "pseudo_discriminative must be a number of at least 0, not nan",
        ),
        (
            {"pseudo_discriminative": PseudoDiscriminative(gate=2)},
            "pseudo_discriminative__gate must be a number of at least 0 and at most 1, not 2",
        ),
        ({"learning_rate": {"G": -1}}, r"learning_rate\['G'\] must be a number of at least 0"),
        ({"learning_rate": {"E": 1e-3}}, "learning_rate has a rate for 'E'"),
        ({"ema": 0.0}, "ema must be a number above 0 and at most 0.999999, not 0.0"),
        ({"ema": 1.0}, "ema must be a number above 0 and at most 0.999999, not 1.0"),
        ({"classifier": None}, "classifier must be a string, a callable that returns"),
    ],
    ids=str,
)
def test_bad_parameters(digits, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        TripleGAN(**{**FAST, **options}).fit(digits[0][:60], PART)
