"""Weights of rows from those of samples and of classes, as scikit-learn counts them."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from repkit.base.weighting import class_weight_rule, row_weights

CLASSES = np.array(["a", "b", "c"])
CODES = np.array([0, 0, 0, 0, 1, 1, 2, -1, -1])
KNOWN = CODES >= 0


def weights(sample_weight=None, class_weight=None):
    return row_weights(sample_weight, class_weight, CLASSES, CODES)


def test_without_weights_there_are_none():
    assert weights() is None


@pytest.mark.parametrize("scale", [1.0, 7.0, 1e-6])
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
        (np.ones(4), None, "sample_weight.shape"),
        (None, {"d": 1.0}, r"class_weight must name classes, of \['a', 'b', 'c'\], not \['d'\]"),
    ],
)
def test_weights_that_are_refused(sample_weight, class_weight, words):
    with pytest.raises(ValueError, match=words):
        weights(sample_weight, class_weight)


def test_the_rule():
    for allowed in (None, "balanced", {1: 2.0}):
        assert class_weight_rule("class_weight", allowed) is allowed
    for wrong in ("even", 2, [1, 2]):
        with pytest.raises(ValueError, match="class_weight must be 'balanced', a dict of weights"):
            class_weight_rule("class_weight", wrong)
