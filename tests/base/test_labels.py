"""One rule for a missing label, whatever holds the labels; types come back as they were given."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from repkit import DANN, SpeechAutoencoder, TripleGAN
from repkit.base.labels import as_label_array, missing, read_labels

from .small import DOMAIN, SPEECH, N, X

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NONE = {"None": None, "nan": np.nan, "float nan": float("nan"), "NA": pd.NA, "-1": -1}
BIG = 2**60  # floats have no such numbers


def objects(values):
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def codes_of(y, n=4):
    found = read_labels(y, n)
    return found.classes.tolist(), found.codes.tolist()


# -------------------------------------------------------------------- the rule


@pytest.mark.parametrize("none", NONE.values(), ids=NONE)
@pytest.mark.parametrize("holder", [list, tuple, objects, lambda v: pd.Series(v, dtype=object)])
@pytest.mark.parametrize(
    ("first", "second"),
    [("cat", "dog"), (3, 7), (False, True), (BIG, BIG + 1), (0, 1), (np.str_("a"), np.str_("b"))],
)
def test_what_is_no_label(none, holder, first, second):
    classes, codes = codes_of(holder([second, none, first, second]))
    assert classes == [first, second]
    assert [type(c) for c in classes] == [type(np.array(first).item())] * 2 or classes == ["a", "b"]
    assert codes == [1, -1, 0, 1]


SERIES = {
    "Int64": (pd.array([5, None, 3, 5], dtype="Int64"), [3, 5], int),
    "UInt8": (pd.array([5, None, 3, 5], dtype="UInt8"), [3, 5], int),
    "large Int64": (pd.array([BIG + 1, None, BIG, BIG + 1], dtype="Int64"), [BIG, BIG + 1], int),
    "boolean": (pd.array([True, None, False, True], dtype="boolean"), [False, True], bool),
    "string": (pd.array(["b", None, "a", "b"], dtype="string"), ["a", "b"], str),
    "object": (pd.Series(["b", None, "a", "b"], dtype=object), ["a", "b"], str),
    "categories": (pd.Categorical(["b", None, "a", "b"]), ["a", "b"], str),
    "categories in another order": (
        pd.Categorical(["b", None, "a", "b"], categories=["b", "z", "a"]),
        ["a", "b"],
        str,
    ),
    "whole numbers as categories": (pd.Categorical([5, None, 3, 5]), [3, 5], int),
    "booleans as categories": (pd.Categorical([True, None, False, True]), [False, True], bool),
    "float": (pd.Series([5.0, np.nan, 3.0, 5.0]), [3.0, 5.0], float),
}


@pytest.mark.parametrize(("y", "classes", "kind"), SERIES.values(), ids=SERIES)
@pytest.mark.parametrize("index", [None, [9, 3, 5, 7]])
def test_series_and_categoricals(y, classes, kind, index):
    series = pd.Series(y)
    if index is not None:
        series.index = index
    for given in (y, series):
        found, codes = codes_of(given)
        assert found == classes
        assert {type(label) for label in found} == {kind}
        assert codes == [1, -1, 0, 1]


@pytest.mark.parametrize(
    ("y", "classes", "codes"),
    [
        (np.array([5.0, np.nan, 3.0, -1.0]), [3.0, 5.0], [1, -1, 0, -1]),
        (np.array([5, -1, 3, 5], dtype=np.int8), [3, 5], [1, -1, 0, 1]),
        (np.array([5, 255, 3, 5], dtype=np.uint8), [3, 5, 255], [1, 2, 0, 1]),
        (np.array([True, False, True, True]), [False, True], [1, 0, 1, 1]),
        (np.array(["b", "-1", "a", "b"]), ["a", "b"], [1, -1, 0, 1]),
        (["b", "-1", "a", "b"], ["a", "b"], [1, -1, 0, 1]),
        (objects(["b", "-1", "a", None]), ["a", "b"], [1, -1, 0, -1]),
        (["b", "nan", "None", ""], ["", "None", "b", "nan"], [2, 3, 1, 0]),  # words like others
        (torch.tensor([5, -1, 3, 5]), [3, 5], [1, -1, 0, 1]),
        (torch.tensor([5.0, float("nan"), 3.0, 5.0], requires_grad=True), [3, 5], [1, -1, 0, 1]),
        (torch.tensor([5.0, -1.0, 3.0, 5.0]).bfloat16(), [3, 5], [1, -1, 0, 1]),
        (pd.Index([5, -1, 3, 5]), [3, 5], [1, -1, 0, 1]),
        (np.ma.array([5, 9, 3, 5], mask=[0, 1, 0, 0]), [3, 5], [1, -1, 0, 1]),
        (np.array(["2020-01-02", "NaT", "2020-01-01", "2020-01-02"], "M8[D]"), 2, [1, -1, 0, 1]),
        ([None, np.nan, -1, pd.NA], [], [-1, -1, -1, -1]),
        ([-1, -1, -1, -1], [], [-1, -1, -1, -1]),
    ],
)
def test_labels_of_one_holder(y, classes, codes):
    found = read_labels(y, 4)
    assert found.codes.tolist() == codes
    assert found.known.tolist() == [code >= 0 for code in codes]
    assert len(found.classes) == classes if isinstance(classes, int) else True
    assert isinstance(classes, int) or found.classes.tolist() == classes


@pytest.mark.parametrize("kind", [list, np.array, lambda v: np.array(v, float), torch.tensor])
def test_minus_one_beside_one_alone_is_a_class(kind):
    assert codes_of(kind([1, -1, -1, 1])) == ([-1, 1], [1, 0, 0, 1])
    assert codes_of(kind([1, -1, -1, 2])) == ([1, 2], [0, -1, -1, 1])
    assert codes_of(kind([0, -1, -1, 1])) == ([0, 1], [0, -1, -1, 1])
    assert codes_of(kind([3, -1, -1, 3])) == ([3], [0, -1, -1, 0])


@pytest.mark.parametrize("none", [None, np.nan, pd.NA])
def test_minus_one_beside_one_and_a_missing_label(none):
    assert codes_of([1, -1, none, 1]) == ([-1, 1], [1, 0, -1, 1])
    assert codes_of(objects([1, -1, none, 1])) == ([-1, 1], [1, 0, -1, 1])


def test_minus_one_beside_one_in_series():
    assert codes_of(pd.Series([1, -1, None, 1], dtype="Int64")) == ([-1, 1], [1, 0, -1, 1])
    assert codes_of(pd.Categorical([1, -1, None, 1])) == ([-1, 1], [1, 0, -1, 1])


def test_minus_one_is_no_class_beside_true_or_a_word():
    assert codes_of([True, -1, -1, True]) == ([True], [0, -1, -1, 0])
    assert codes_of(["1", "-1", "-1", "1"]) == (["1"], [0, -1, -1, 0])
    assert codes_of([True, -1, False, True]) == ([False, True], [1, -1, 0, 1])


@pytest.mark.parametrize("values", [[1, -1, 0], [1.0, -1.0, np.nan], ["a", "-1", "b"]])
def test_who_knows_better_says_what_minus_one_is(values):
    values = np.array(values)
    assert missing(values, minus_one=True)[1]
    assert not missing(values, minus_one=False)[1]


# -------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("y", "error", "words"),
    [
        ([1, "a", 2, "a"], TypeError, r"speaker must have labels of one kind.*\['int', 'str'\]"),
        (objects(["a", None, 2, "a"]), TypeError, r"labels of one kind, not of \['int', 'str'\]"),
        (["a", True, -1, "a"], TypeError, r"labels of one kind, not of \['bool', 'str'\]"),
        (["a", 0.5, None, "a"], TypeError, r"labels of one kind, not of \['float', 'str'\]"),
        ([0.5, 1.5, 2.5, 0.5], ValueError, "continuous"),
        ([0.0, 1.0, np.inf, 0.0], ValueError, "speaker contains infinity; give labels"),
        ([1j, 2.0, 3.0, 4.0], ValueError, "(?i)complex data not supported"),
        (
            [0, 1, 0],
            ValueError,
            "speaker must have one label for each of the 4 rows of X; it has 3",
        ),
        (np.zeros((4, 2)), ValueError, "1d array"),
        (3, ValueError, "1d array"),
    ],
)
def test_what_are_no_labels(y, error, words):
    with pytest.raises(error, match=words):
        read_labels(y, 4, name="speaker")


def test_a_column_is_read_with_a_warning():
    with pytest.warns(UserWarning, match="column-vector"):
        assert codes_of(np.array([[3], [-1], [2], [3]])) == ([2, 3], [1, -1, 0, 1])


def test_what_is_given_is_not_changed():
    y = objects(["b", None, "a", -1])
    read_labels(y, 4)
    assert y.tolist() == ["b", None, "a", -1]
    masked = np.ma.array([5, 9, 3, 5], mask=[0, 1, 0, 0])
    as_label_array(masked, "y")
    assert masked.data.tolist() == [5, 9, 3, 5]


# -------------------------------------------------------------------- in the estimators

PLACE = np.arange(N) % 2
GONE = np.isin(np.arange(N), [13, 16, 20])
COMMON = {"width": 8, "max_epochs": 1, "steps_per_epoch": 2, "random_state": 0}
MODELS = {
    "DANN": (DANN("mlp", target_labels=True, **COMMON), X, (DOMAIN,)),
    "TripleGAN": (TripleGAN(2, generator=None, batch_size=(6, 12), **COMMON), X, ()),
    "SpeechAutoencoder": (
        SpeechAutoencoder(
            4, 4, sample_rate=8000, n_mels=20, prototypes=None, **{**COMMON, "width": 12}
        ),
        SPEECH.data[:N],
        (),
    ),
}
PAIRS = [("cat", "dog"), (3, 7), (False, True), (-1, 1)]
HOLDERS = {
    "list": list,
    "object array": objects,
    "Series": lambda y: pd.Series(list(y), index=np.arange(N)[::-1], dtype=object),
    "categorical": pd.Categorical,
}
PLAIN: dict = {}


def labels_of(model):
    return model.speakers_ if hasattr(model, "speakers_") else model.classes_


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_in_a_fit_they_are_the_same_labels(name, pair, holder):
    """The same model as with 0, 1 and -1, whatever labels are called and what holds them."""
    model, data, more = MODELS[name]
    if name not in PLAIN:
        PLAIN[name] = clone(model).fit(data, np.where(GONE, -1, PLACE), *more).transform(data)
    none = {"list": None, "object array": np.nan, "Series": pd.NA, "categorical": None}[holder]
    y = HOLDERS[holder]([none if gone else pair[k] for k, gone in zip(PLACE, GONE, strict=True)])
    found = clone(model).fit(data, y, *more)
    assert labels_of(found).tolist() == list(pair)
    assert [type(label) for label in labels_of(found).tolist()] == [type(pair[0])] * 2
    np.testing.assert_array_equal(found.transform(data), PLAIN[name])
    if hasattr(found, "predict"):
        assert set(found.predict(data).tolist()) <= set(pair)


@pytest.mark.parametrize("name", MODELS)
def test_labels_of_two_kinds_in_a_fit(name):
    model, data, more = MODELS[name]
    y = objects(["a", 2] * (N // 2))
    with pytest.raises(TypeError, match=r"y must have labels of one kind, not of \['int', 'str'\]"):
        clone(model).fit(data, y, *more)


@pytest.mark.parametrize("none", NONE.values(), ids=NONE)
def test_a_source_row_needs_a_label(none):
    model, data, more = MODELS["DANN"]
    y = objects([3 if k else 7 for k in PLACE])
    y[[4, 9]] = none
    words = r"y has no label at 2 source rows \(-1, None or NaN\), the first of them row 4"
    for target_labels in (False, True):
        with pytest.raises(ValueError, match=words):
            clone(model).set_params(target_labels=target_labels).fit(data, y, *more)


def test_source_labels_tell_whether_minus_one_is_a_class():
    model, data, more = MODELS["DANN"]
    y = np.where(PLACE, 1, -1)
    all_known = clone(model).fit(data, y, *more)
    zero_one = clone(model).fit(data, PLACE, *more)
    np.testing.assert_array_equal(all_known.transform(data), zero_one.transform(data))
    # All targets of the class -1: labels still, not missing ones.
    y[12:] = -1
    codes = np.where(y < 0, 0, 1)
    np.testing.assert_array_equal(
        clone(model).fit(data, y, *more).transform(data),
        clone(model).fit(data, codes, *more).transform(data),
    )


@pytest.mark.parametrize("name", ["TripleGAN", "SpeechAutoencoder"])
def test_unknown_is_no_class_of_its_own(name):
    model, data, more = MODELS[name]
    for none in NONE.values():
        y = objects([f"s{k}" for k in PLACE])
        y[GONE] = none
        assert list(labels_of(clone(model).fit(data, y, *more))) == ["s0", "s1"]


def test_no_label_at_all():
    model, data, more = MODELS["TripleGAN"]
    with pytest.raises(ValueError, match="y has no label at all"):
        clone(model).fit(data, [None] * N, *more)
    model, data, more = MODELS["SpeechAutoencoder"]
    with pytest.warns(UserWarning, match="no utterance is of known speaker"):
        assert len(clone(model).fit(data, [None] * N).speakers_) == 0


@pytest.mark.parametrize("name", ["TripleGAN", "DANN"])
def test_rows_without_a_label_are_left_out_of_the_score(name):
    model, data, more = MODELS[name]
    rng = np.random.default_rng(0)
    for labels, gone in (([0, 1], -1), ([0, 1], None), ([0.0, 1.0], np.nan), (["aa", "b"], "-1")):
        y = np.resize(np.array(labels, object if gone is None else None), N)
        fitted = clone(model).fit(data, y, *more)
        some, weight = y.copy(), rng.random(N)
        some[::3] = gone
        there = np.arange(N) % 3 > 0
        expected = np.average(fitted.predict(data)[there] == y[there], weights=weight[there])
        assert fitted.score(data, some, weight) == pytest.approx(expected)
        with pytest.raises(ValueError, match=rf"y has no label in {N} rows"):
            fitted.score(data, np.resize(np.array([gone], y.dtype), N))


def test_minus_one_is_scored_where_it_is_a_class():
    model, data, more = MODELS["TripleGAN"]
    y = np.resize([-1, 1], N)
    fitted = clone(model).fit(data, y, *more)
    assert fitted.score(data, y) == (fitted.predict(data) == y).mean()
    assert fitted.score(data, np.full(N, -1)) == (fitted.predict(data) == -1).mean()
