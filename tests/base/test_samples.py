"""Samples in every form, and what their numbers mean."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from repkit.base.samples import (
    as_samples,
    check_layout,
    dense,
    extremes,
    pixels_of,
    with_meaning,
)

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 3, 6, 5)).astype(np.uint8)


def assert_array(found, expected):
    assert isinstance(found, np.ndarray)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_arrays_and_frames_are_left_as_they_are():
    for X in (IMAGES, pd.DataFrame({"a": [1, 2]}), sparse.csr_array(np.eye(2)), [[1, 2], [3, 4]]):
        assert as_samples(X) is X


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8, torch.int64])
def test_tensors(dtype):
    X = torch.arange(6).reshape(3, 2).to(dtype)
    assert_array(as_samples(X), X.numpy())
    assert_array(as_samples(X.to_sparse()), X.numpy())
    assert_array(as_samples(X.t().contiguous().t()), X.numpy())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_becomes_float32(dtype):
    X = torch.rand(3, 2).to(dtype).requires_grad_()
    assert_array(as_samples(X), X.detach().float().numpy())


@pytest.mark.parametrize("kind", [list, tuple, lambda x: objects(list(x))])
@pytest.mark.parametrize("sample", [np.asarray, torch.from_numpy])
def test_lists_of_samples_are_stacked(kind, sample):
    assert_array(as_samples(kind(sample(x) for x in IMAGES)), IMAGES)


def objects(samples):
    found = np.empty(len(samples), dtype=object)
    found[:] = samples
    return found


def test_images_of_pil():
    image = pytest.importorskip("PIL.Image")
    colors = [image.fromarray(x.transpose(1, 2, 0)) for x in IMAGES]
    assert_array(as_samples(colors), IMAGES)
    gray = [image.fromarray(x[0]) for x in IMAGES]
    assert_array(as_samples(gray), IMAGES[:, 0])
    with pytest.raises(ValueError, match="image of mode 'RGBA'; call"):
        as_samples([colors[0].convert("RGBA")])
    with pytest.raises(ValueError, match="X is one image; give a list"):
        as_samples(colors[0])


def test_samples_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"X\[1\] has shape \(3, 2\) and X\[0\] has \(2, 3\)"):
        as_samples([np.zeros((2, 3)), np.zeros((3, 2))])
    data = torch.utils.data.TensorDataset(torch.zeros(3, 2))
    for X in (data, torch.utils.data.DataLoader(data)):
        with pytest.raises(TypeError, match="says nothing about what its items are"):
            as_samples(X)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2, 1, 2, 3, 4), "X has 5 dimensions"),
        ((2, 0), "empty dimension"),
        ((2, 28, 28, 3), r"channels last; give .*X.transpose\(0, 3, 1, 2\)"),
        ((2, 5, 9, 1), "channels last"),
    ],
)
def test_layouts_that_are_refused(shape, words):
    with pytest.raises(ValueError, match=words):
        check_layout(np.zeros(shape))


@pytest.mark.parametrize("shape", [(2, 3), (2, 8, 3), (2, 3, 28, 28), (2, 4, 8, 3), (2, 3, 4, 4)])
def test_layouts_that_are_not(shape):
    check_layout(np.zeros(shape))


@pytest.mark.parametrize(
    ("X", "pixels"),
    [
        (np.zeros((2, 3)), "raw"),
        (np.zeros((2, 3), np.uint8), "raw"),  # of tables, bytes are numbers
        (IMAGES, "bytes"),
        (IMAGES / 255, "unit"),
        (IMAGES / 255 - 0.1, "raw"),
        (IMAGES.astype(float), "raw"),
    ],
)
def test_what_numbers_mean(X, pixels):
    assert pixels_of(X) == pixels


def test_the_meaning_is_that_of_the_fit():
    unit = IMAGES / 255
    assert with_meaning(IMAGES, "bytes") is IMAGES
    assert with_meaning(unit, "bytes") is unit
    assert with_meaning(IMAGES, "unit") is IMAGES  # bytes are scaled later
    assert with_meaning(unit, "raw") is unit
    assert_array(with_meaning(IMAGES, "raw"), IMAGES.astype(np.float32))
    table = np.array([[300.0]])
    assert with_meaning(table, "raw") is table
    with pytest.raises(ValueError, match="floats from 0 to 255, but fit saw bytes"):
        with_meaning(np.array([[[0.0, 255.0]]]), "bytes")


def test_sparse_tables():
    X = np.array([[0.0, 2.0], [-1.0, 0.0]])
    assert_array(dense(sparse.csr_array(X)), X)
    assert dense(X) is X
    for table in (X, sparse.csr_array(X)):
        low, high = extremes(table)
        assert (low.tolist(), high.tolist()) == ([-1, 0], [0, 2])
    low, high = extremes(IMAGES)
    assert (low, high) == (IMAGES.min(), IMAGES.max())
