"""MNIST, USPS and MNIST-M."""

from __future__ import annotations

import bz2
import hashlib
import shutil

import numpy as np
import pytest

from repkit.datasets import (
    DataCorruptedError,
    DataNotFoundError,
    load_mnist,
    load_mnist_m,
    load_usps,
    make_mnist_m,
)
from repkit.datasets._sources import SOURCES, Source
from repkit.datasets.digits import _resize


def counts(y):
    assert y.dtype == np.int64
    return np.bincount(y).tolist()


def test_mnist(real_data):
    data = load_mnist()
    assert data.x_train.shape == (60000, 28, 28)
    assert data.x_test.shape == (10000, 28, 28)
    assert data.x_train.dtype == data.x_test.dtype == np.uint8
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert counts(data.y_train) == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert counts(data.y_test) == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    scaled = data.x_train[:, ::2, ::2] / 255
    assert scaled.mean() == pytest.approx(0.1307, abs=0.002)


def test_mnist_torn_file(real_data, folders):
    root, _ = folders
    (root / "mnist").mkdir()
    whole = (real_data / "mnist/mnist.npz").read_bytes()
    (root / "mnist/mnist.npz").write_bytes(whole[:-1000])
    with pytest.raises(DataCorruptedError, match=r"mnist\.npz"):
        load_mnist()


def test_usps(real_data):
    data = load_usps()
    assert data.x_train.shape == (7291, 16, 16)
    assert data.x_test.shape == (2007, 16, 16)
    assert data.x_train.dtype == np.float32
    assert (data.x_train.min(), data.x_train.max()) == (0, 1)
    assert counts(data.y_train) == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert counts(data.y_test) == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]
    with np.load(real_data / "usps/usps.npz") as packed:
        assert np.abs(data.x_test - packed["x_test"]).max() <= 0.00025
    # The file's rounding to float16 is undone: all values are on the source's grid again.
    on_grid = data.x_test.astype(np.float64) * 2000
    np.testing.assert_allclose(on_grid, on_grid.round(), atol=1e-3)


def test_usps_resized(real_data):
    small, large = load_usps(), load_usps(size=28)
    assert large.x_train.shape == (7291, 28, 28)
    assert large.x_train.dtype == np.float32
    assert large.x_train.min() >= 0
    assert large.x_train.max() <= 1
    np.testing.assert_array_equal(large.y_test, small.y_test)
    np.testing.assert_allclose(large.x_test.mean((1, 2)), small.x_test.mean((1, 2)), atol=0.02)


def test_usps_on_the_other_split(real_data):
    official, made = load_usps(), load_usps(split="cogan")
    assert made.x_train.shape == (7438, 16, 16)
    assert made.x_test.shape == (1860, 16, 16)
    places = np.concatenate([made.index_train, made.index_test])
    np.testing.assert_array_equal(np.sort(places), np.arange(9298))
    # About a fifth of what was the test part is in the test part again, and of every digit.
    assert 350 < (made.index_test >= 7291).sum() < 450
    assert min(counts(made.y_test)) > 100
    for part in ("train", "test"):
        for key in "xy":
            every = np.concatenate([official[f"{key}_train"], official[f"{key}_test"]])
            np.testing.assert_array_equal(made[f"{key}_{part}"], every[made[f"index_{part}"]])
    again, other = (load_usps(28, "cogan", random_state=seed) for seed in (0, 1))
    np.testing.assert_array_equal(again.index_test, made.index_test)
    assert again.x_test.shape == (1860, 28, 28)
    assert (other.index_test != made.index_test).any()


def test_usps_split():
    with pytest.raises(ValueError, match=r"split must be one of \['official', 'cogan'\], not"):
        load_usps(split="random")


def test_usps_from_the_public_files(folders, monkeypatch, serve):
    grid = np.random.default_rng(0).integers(0, 2001, size=(20, 16, 16))
    labels = np.arange(20) % 10
    for part, file in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        text = "".join(
            f"{y + 1} {' '.join(f'{i}:{v:.3f}' for i, v in enumerate(x.ravel() / 1000 - 1, 1))}\n"
            for x, y in zip(grid, labels, strict=True)
        )
        raw = bz2.compress(text.encode())
        assert SOURCES[f"usps/{part}"][1].path == f"usps/{file}"
        source = Source(f"usps/{file}", (f"md5:{hashlib.md5(raw).hexdigest()}",), serve(file, raw))
        monkeypatch.setitem(SOURCES, f"usps/{part}", (source,))
    data = load_usps()
    for part in ("train", "test"):
        np.testing.assert_array_equal(data[f"x_{part}"], (grid / 2000).astype(np.float32))
        np.testing.assert_array_equal(data[f"y_{part}"], labels)


@pytest.mark.parametrize("size", [15, 28.0, "28"])
def test_usps_size(size):
    with pytest.raises((TypeError, ValueError), match="size must be an integer of at least 16"):
        load_usps(size=size)


def test_resize_is_bilinear():
    ramp = np.tile(np.arange(16, dtype=np.float32), (2, 16, 1))
    wide = _resize(ramp, 32)
    # Centers of the new pixels in old ones: -1/4, 1/4, 3/4, ...; beyond the edge it is repeated.
    expected = np.clip((np.arange(32) + 0.5) / 2 - 0.5, 0, 15)
    np.testing.assert_allclose(wide, np.broadcast_to(expected, (2, 32, 32)), atol=1e-5)
    np.testing.assert_allclose(_resize(ramp.transpose(0, 2, 1), 32), wide.transpose(0, 2, 1))


def test_mnist_m(real_data):
    data = load_mnist_m()
    mnist = load_mnist()
    assert data.x_train.shape == (30000, 3, 28, 28)
    assert data.x_test.shape == (10000, 3, 28, 28)
    assert data.x_train.dtype == np.uint8
    assert data.x_train.flags.c_contiguous
    assert counts(data.y_train) == [2994, 3352, 2990, 3100, 2914, 2683, 2908, 3154, 2944, 2961]
    assert (np.diff(data.index_train) > 0).all()
    np.testing.assert_array_equal(data.y_train, mnist.y_train[data.index_train])
    np.testing.assert_array_equal(data.index_test, np.arange(10000))
    np.testing.assert_array_equal(data.y_test, mnist.y_test)
    means = data.x_train[::10].mean((0, 2, 3))
    np.testing.assert_allclose(means, [117.4, 118.4, 106.6], atol=2)
    # Inverting the ink gives back the smooth photograph, if index and channels are right.
    assert roughness(data.x_train[:500], mnist.x_train[data.index_train[:500]]) < 12
    assert roughness(data.x_train[:500], mnist.x_train[data.index_train[1:501]]) > 30


def roughness(pictures, digits):
    ink = digits[:, None] > 0
    restored = np.where(ink, 255 - pictures, pictures).astype(int)
    edge = np.broadcast_to(ink[..., 1:] != ink[..., :-1], restored[..., 1:].shape)
    return np.abs(np.diff(restored, axis=3))[edge].mean()


def test_mnist_m_with_one_training_file(real_data, folders):
    root, _ = folders
    (root / "mnist_m").mkdir()
    for file in ("mnist_m_train_1.npz", "mnist_m_test.npz"):
        shutil.copy(real_data / "mnist_m" / file, root / "mnist_m" / file)
    data = load_mnist_m(train_parts=[1])
    assert data.x_train.shape == (15000, 3, 28, 28)
    with pytest.raises(DataNotFoundError, match="mnist_m_train_0"):
        load_mnist_m()


def test_mnist_m_published(real_data):
    data = load_mnist_m(published=True)
    mnist = load_mnist()
    assert data.x_test.shape == (6000, 3, 28, 28)
    assert counts(data.y_test) == [1000] * 6
    np.testing.assert_array_equal(data.y_test, mnist.y_train[data["index"]])
    assert roughness(data.x_test[:500], mnist.x_train[data["index"][:500]]) < 12


@pytest.mark.parametrize("parts", [(), (2,), (0, 1, 2)])
def test_mnist_m_parts(parts):
    with pytest.raises(ValueError, match="train_parts"):
        load_mnist_m(train_parts=parts)


@pytest.fixture
def material():
    rng = np.random.default_rng(0)
    digits = rng.integers(0, 256, (40, 6, 5), dtype=np.uint8) * rng.integers(
        0, 2, (40, 6, 5), dtype=np.uint8
    )
    # Every value occurs once in a photograph's red channel: a crop tells where it is from.
    reds = [np.arange(8 * 9).reshape(8, 9), 100 + np.arange(6 * 5).reshape(6, 5)]
    return digits, [np.stack([red, red + 1, red + 2], axis=2).astype(np.uint8) for red in reds]


def test_make_mnist_m_is_the_recipe(material):
    digits, photographs = material
    made = make_mnist_m(digits, photographs, 0)
    assert made.shape == (40, 3, 6, 5)
    assert made.dtype == np.uint8
    ink = digits[:, None] > 0
    crops = np.where(ink, 255 - made, made)
    corners = set()
    for crop in crops:
        first = int(crop[0, 0, 0])
        photograph = photographs[first >= 100]
        top, left = np.argwhere(photograph[..., 0] == first)[0]
        corners.add((first >= 100, int(top), int(left)))
        expected = photograph[top : top + 6, left : left + 5].transpose(2, 0, 1)
        np.testing.assert_array_equal(crop, expected)
    # All corners that fit occur: 3 x 5 in the first picture and the only one of the second.
    assert {top for _, top, _ in corners} == {0, 1, 2}
    assert {left for _, _, left in corners} == {0, 1, 2, 3, 4}
    assert (True, 0, 0) in corners


def test_make_mnist_m_seed(material):
    before = np.random.get_state()[1].copy()
    one, two = (make_mnist_m(*material, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, make_mnist_m(*material, np.random.default_rng(3)))
    assert (one != make_mnist_m(*material, 4)).any()
    legacy = [make_mnist_m(*material, np.random.RandomState(s)) for s in (1, 1, 2)]
    np.testing.assert_array_equal(legacy[0], legacy[1])
    assert (legacy[0] != legacy[2]).any()
    make_mnist_m(*material)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_make_mnist_m_refuses(material):
    digits, photographs = material
    with pytest.raises(
        ValueError, match=r"images must have shape \(n, height, width\), not \(6, 5\)"
    ):
        make_mnist_m(digits[0], photographs)
    with pytest.raises(ValueError, match="photographs must hold at least one picture to crop from"):
        make_mnist_m(digits, [])
    with pytest.raises(
        ValueError, match=r"photographs\[1\] must be uint8 of shape \(rows, columns, 3\)"
    ):
        make_mnist_m(digits, [photographs[0], photographs[1] / 255])
    with pytest.raises(
        ValueError, match=r"photographs\[0\] must be as large as the digits, 6 x 5 pixels"
    ):
        make_mnist_m(digits, [photographs[0][:5]])
