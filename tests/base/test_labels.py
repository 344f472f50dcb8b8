"""One rule for labels of which some are missing."""

import numpy as np
import pandas as pd
import pytest
import torch

from repkit.base.labels import as_label_array, missing, read_labels

NAN, NA = np.nan, pd.NA


@pytest.mark.parametrize(
    ("y", "classes", "codes"),
    [
        ([3, 5, 3], [3, 5], [0, 1, 0]),
        ([3, -1, 5], [3, 5], [0, -1, 1]),
        ([0, -1, 1, -1], [0, 1], [0, -1, 1, -1]),
        ([1, -1, 1], [-1, 1], [1, 0, 1]),  # of nothing but -1 and 1: two classes
        ([1, -1, NAN], [-1, 1], [1, 0, -1]),
        ([1, -1, None], [-1, 1], [1, 0, -1]),
        ([1.0, -1.0], [-1.0, 1.0], [1, 0]),
        (["b", "-1", "a"], ["a", "b"], [1, -1, 0]),
        (["1", "-1", "1"], ["1"], [0, -1, 0]),  # of strings, it is none
        (["b", None, "a"], ["a", "b"], [1, -1, 0]),
        (["b", NAN, "a"], ["a", "b"], [1, -1, 0]),
        ([2, None, 7], [2, 7], [0, -1, 1]),
        ([2, NA, 7], [2, 7], [0, -1, 1]),
        ([NAN, 2.0], [2.0], [-1, 0]),
        ([True, False], [False, True], [1, 0]),
        (pd.Series(["x", None, "y"]), ["x", "y"], [0, -1, 1]),
        (pd.Series([1, None, 2], dtype="Int64"), [1, 2], [0, -1, 1]),
        (pd.Categorical(["x", None, "y"]), ["x", "y"], [0, -1, 1]),
        (torch.tensor([4, -1, 9]), [4, 9], [0, -1, 1]),
        ([-1, -1], [], [-1, -1]),
        ([None, None], [], [-1, -1]),
    ],
)
def test_labels(y, classes, codes):
    found = read_labels(y, len(codes))
    assert found.classes.tolist() == classes
    assert found.codes.tolist() == codes
    assert found.known.tolist() == [c >= 0 for c in codes]


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, object, "U3"])
def test_classes_are_of_the_type_given(dtype):
    found = read_labels(np.array([3, 5, 3]).astype(dtype), 3)
    assert found.classes.dtype == (np.int64 if dtype is object else np.dtype(dtype))


@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_a_column_is_a_row():
    assert read_labels(np.array([[3], [5]]), 2).codes.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("y", "error", "words"),
    [
        ([1, 2], ValueError, r"speaker must have one label for each of the 3 rows of X; it has 2"),
        ([0.5, 1.5, 2.5], ValueError, "Unknown label type"),
        ([1.0, np.inf, 2.0], ValueError, "speaker contains infinity"),
        ([1j, 2j, 3j], ValueError, "[Cc]omplex data not supported"),
        (np.zeros((3, 2)), ValueError, "y should be a 1d array"),
        ([1, "a", None], TypeError, r"labels of one kind, not of \['int', 'str'\]"),
    ],
)
def test_what_are_no_labels(y, error, words):
    with pytest.raises(error, match=words):
        read_labels(y, 3, name="speaker")


@pytest.mark.parametrize(("minus_one", "expected"), [(True, [1, 0, 1]), (False, [0, 0, 1])])
def test_what_minus_one_is_may_be_said(minus_one, expected):
    values = as_label_array([-1, 1, None], "y")
    assert missing(values, minus_one=minus_one).tolist() == [bool(e) for e in expected]
