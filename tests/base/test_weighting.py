"""Weights of rows from those of samples and of classes, as scikit-learn counts them."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.class_weight import compute_sample_weight

from repkit import DANN, TripleGAN
from repkit.base.weighting import class_weight_rule, row_weights

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CLASSES = np.array(["a", "b", "c"])
CODES = np.array([0, 0, 0, 0, 1, 1, 2, -1, -1])
KNOWN = CODES >= 0


def weights(sample_weight=None, class_weight=None):
    return row_weights(sample_weight, class_weight, CLASSES, CODES)


def test_without_weights_there_are_none():
    assert weights() is None


@pytest.mark.parametrize("scale", [1.0, 7.0, 1e-6, 1e-300, 1e307])
def test_labeled_rows_have_a_mean_weight_of_1(scale):
    given = np.arange(1.0, 10.0)
    found = weights(scale * given)
    assert found.dtype == np.float32
    assert found[KNOWN].mean() == pytest.approx(1)
    np.testing.assert_allclose(found, given / given[KNOWN].mean(), rtol=1e-6)


@pytest.mark.parametrize("class_weight", ["balanced", {"a": 1, "b": 3, "c": 0.5}, {"b": 2.0}])
@pytest.mark.parametrize("sample_weight", [None, np.arange(1.0, 10.0)])
def test_classes_weigh_as_in_scikit_learn(class_weight, sample_weight):
    y = CLASSES[CODES[KNOWN]]
    every = class_weight
    if isinstance(class_weight, dict):
        every = {**dict.fromkeys("abc", 1), **class_weight}
    expected = compute_sample_weight(every, y)
    if sample_weight is not None:
        expected = expected * sample_weight[KNOWN]
    found = weights(sample_weight, class_weight)[KNOWN]
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-6)


def test_the_given_array_is_left_alone():
    given = np.ones(9)
    weights(given, "balanced")
    assert (given == 1).all()


@pytest.mark.parametrize(
    ("sample_weight", "class_weight", "words"),
    [
        (np.where(KNOWN, 0.0, 1.0), None, "zero for all labeled rows"),
        (np.r_[-1.0, np.ones(8)], None, "Negative values"),
        (np.r_[np.nan, np.ones(8)], None, "NaN"),
        (np.r_[np.inf, np.ones(8)], None, "infinity"),
        (np.ones(4), None, "sample_weight.shape"),
        (np.ones((9, 1)), None, "1D"),
        (None, {"a": 0, "b": 0, "c": 0.0}, "^class_weight is zero for all labeled rows"),
        (None, {"d": 1.0}, r"class_weight must name classes, of \['a', 'b', 'c'\], not \['d'\]"),
    ],
)
def test_weights_that_are_refused(sample_weight, class_weight, words):
    with pytest.raises(ValueError, match=words):
        weights(sample_weight, class_weight)


def test_the_rule():
    for allowed in (None, "balanced", {1: 2.0}):
        assert class_weight_rule("class_weight", allowed) is allowed
    for wrong, error in (
        (-1.0, ValueError),
        (np.nan, ValueError),
        (np.inf, ValueError),
        ("2", TypeError),
        (None, TypeError),
        (True, TypeError),
    ):
        with pytest.raises(
            error, match=r"class_weight\['a'\] must be a .*number of at least 0, not"
        ):
            class_weight_rule("class_weight", {"b": 1.0, "a": wrong})
    for wrong in ("even", 2, [1, 2]):
        with pytest.raises(ValueError, match="class_weight must be 'balanced', a dict of weights"):
            class_weight_rule("class_weight", wrong)


# -------------------------------------------------------------------- in a fit

N = 60
RNG = np.random.default_rng(0)
X = RNG.random((N, 3)).astype(np.float32)
Y = np.array(["a", "b", "b"])[np.arange(N) % 3]  # two of three rows are of b
DOMAIN = np.where(np.arange(N) < 40, 1, -1)
HAS = np.arange(N) < 40  # rows with a label, in both classes
COMMON = {"width": 8, "max_epochs": 2, "steps_per_epoch": 4, "random_state": 0}
MODELS = {
    "DANN": DANN("mlp", batch_size=16, **COMMON),
    "TripleGAN": TripleGAN(2, generator=None, batch_size=(16, 16), **COMMON),
}
every_model = pytest.mark.parametrize("name", MODELS)


def fitted(name, sample_weight=None, y=Y, **params):
    model = clone(MODELS[name]).set_params(**params)
    if name == "DANN":
        return model.fit(X, y, DOMAIN, sample_weight=sample_weight)
    return model.fit(X, np.where(HAS, y, "-1"), sample_weight=sample_weight)


def proba(name, sample_weight=None, **params):
    return fitted(name, sample_weight, **params).predict_proba(X)


PLAIN: dict = {}


def plain(name):
    if name not in PLAIN:
        PLAIN[name] = proba(name)
    return PLAIN[name]


@every_model
def test_even_weights_are_none(name):
    for weight in (np.ones(N), np.full(N, 7.0), 3.0):
        np.testing.assert_allclose(proba(name, weight), plain(name), atol=1e-6)
    np.testing.assert_allclose(proba(name, class_weight={"a": 2, "b": 2}), plain(name), atol=1e-6)
    np.testing.assert_array_equal(proba(name, class_weight=None), plain(name))


@every_model
def test_a_weight_draws_predictions_to_its_class(name):
    longer = {"max_epochs": 10}
    before = proba(name, **longer)[:, 0].mean()
    for heavy in (
        proba(name, np.where(Y == "a", 20.0, 1.0), **longer),
        proba(name, class_weight={"a": 20.0}, **longer),
        proba(name, class_weight="balanced", **longer),
    ):
        assert heavy[:, 0].mean() > before + 0.05
    assert proba(name, class_weight={"b": 20.0}, **longer)[:, 0].mean() < before - 0.05


@every_model
def test_samples_and_classes_alone_and_together(name):
    of_class = np.where(Y == "a", 3.0, 0.5)
    wanted = proba(name, of_class)
    np.testing.assert_allclose(proba(name, class_weight={"a": 3.0, "b": 0.5}), wanted, atol=1e-6)
    own = 1.0 + np.arange(N) % 4
    together = proba(name, own, class_weight={"a": 3.0, "b": 0.5})
    np.testing.assert_allclose(together, proba(name, own * of_class), atol=1e-6)
    assert abs(together - wanted).max() > 1e-4
    assert abs(wanted - plain(name)).max() > 1e-3


@every_model
def test_balanced_counts_the_labeled_rows(name):
    rows = Y[HAS]
    by_hand = {label: len(rows) / (2 * (rows == label).sum()) for label in ("a", "b")}
    np.testing.assert_allclose(
        proba(name, class_weight="balanced"), proba(name, class_weight=by_hand), atol=1e-6
    )


@every_model
@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_only_proportions_count(name, scale):
    weight = 1.0 + np.arange(N) % 5
    np.testing.assert_allclose(proba(name, scale * weight), proba(name, weight), atol=1e-6)


@every_model
def test_a_row_of_no_weight_may_have_any_label(name):
    weight = np.where(np.isin(np.arange(N), [2, 4, 7, 30]), 0.0, 1.0)
    other = np.where(weight == 0.0, np.where(Y == "a", "b", "a"), Y)
    np.testing.assert_array_equal(proba(name, weight), proba(name, weight, y=other))
    assert abs(proba(name) - proba(name, y=other)).max() > 1e-4


@every_model
def test_weights_of_rows_without_a_label_do_nothing(name):
    weight = 1.0 + np.arange(N) % 3
    for elsewhere in (0.0, 50.0):
        given = np.where(HAS, weight, elsewhere)
        np.testing.assert_array_equal(proba(name, given), proba(name, weight))


def test_weights_beside_a_generator():
    """The label loss has weights, the game has none."""
    heavy = fitted("TripleGAN", 1.0 + 10.0 * (Y == "a"), generator="mlp", max_epochs=1)
    even = fitted("TripleGAN", generator="mlp", max_epochs=1)
    assert abs(heavy.predict_proba(X) - even.predict_proba(X)).max() > 1e-4
    once = {"generator": "mlp", "max_epochs": 1, "steps_per_epoch": 1, "learning_rate": 0.0}
    a, b = (fitted("TripleGAN", w, **once).history_ for w in (None, 1.0 + 10.0 * (Y == "a")))
    assert a["label_loss"][0] != b["label_loss"][0]
    assert a["loss_D"][0] == b["loss_D"][0]


def test_target_rows_with_a_label_count():
    weight = np.where(DOMAIN < 0, 30.0, 1.0)
    a = proba("DANN", weight, target_labels=True)
    b = proba("DANN", np.ones(N), target_labels=True)
    assert abs(a - b).max() > 1e-3


def test_the_domain_loss_is_not_weighted():
    """The first step's losses: networks are as the seed makes them."""
    one = {"max_epochs": 1, "steps_per_epoch": 1, "learning_rate": 0.0}
    a, b = (fitted("DANN", w, **one).history_ for w in (None, 1.0 + 10.0 * (Y == "a")))
    assert a["domain_loss"][0] == b["domain_loss"][0]
    assert a["label_loss"][0] != b["label_loss"][0]


@every_model
@pytest.mark.parametrize(
    ("sample_weight", "class_weight", "error", "words"),
    [
        (np.r_[-1.0, np.ones(N - 1)], None, ValueError, "Negative values .*sample_weight"),
        (np.r_[np.nan, np.ones(N - 1)], None, ValueError, "sample_weight contains NaN"),
        (np.where(HAS, 0.0, 1.0), None, ValueError, "sample_weight is zero for all labeled rows"),
        (np.ones(N - 1), None, ValueError, "sample_weight"),
        (None, {"c": 1.0}, ValueError, r"class_weight must name classes, of \['a', 'b'\]"),
        (None, {"a": -1.0}, ValueError, r"class_weight\['a'\] must be a finite number"),
        (None, "even", ValueError, "class_weight must be 'balanced', a dict"),
        (np.where(Y == "a", 1.0, 0.0), {"a": 0.0}, ValueError, "zero for all labeled rows"),
    ],
)
def test_weights_that_are_refused_in_a_fit(name, sample_weight, class_weight, error, words):
    with pytest.raises(error, match=words):
        fitted(name, sample_weight, class_weight=class_weight)
