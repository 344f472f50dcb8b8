import tracemalloc

import numpy as np
import pytest

from repkit.datasets import Sprites, make_sprites

SIZES = (3, 6, 40, 32, 32)
# Areas of the shapes that fit in a circle of radius 1 about their center of mass. For the heart of
# a square [-1, 1]^2 that center is 0.3133 on either axis, and the tip sqrt(2) * 1.3133 away.
AREAS = np.array([2, np.pi / 2, (4 + np.pi) / (2 * 1.3133**2)])


def draw(*rows, size=64):
    """Images as shares of white, and their areas, for rows of class indices."""
    X = make_sprites(factors=rows, size=size).X / 255
    return X, X.sum(axis=(1, 2))


def centroids(X):
    """Centers of mass (n, 2), x to the right and y down, in pixels from the upper left corner."""
    grid = np.arange(X.shape[1]) + 0.5
    return (
        np.stack([X.sum(axis=1) @ grid, X.sum(axis=2) @ grid], axis=1) / X.sum(axis=(1, 2))[:, None]
    )


def axes(X):
    """Directions (n,) of the long axis modulo pi, from x towards y."""
    grid = np.arange(X.shape[1]) + 0.5
    x, y = np.meshgrid(grid, grid)
    c = centroids(X)
    x, y = x - c[:, :1, None], y - c[:, 1:, None]
    xy, difference = (X * x * y).sum((1, 2)), (X * (x**2 - y**2)).sum((1, 2))
    return np.arctan2(2 * xy, difference) / 2 % np.pi


def test_layout_and_factors():
    data = make_sprites(4000, size=16, random_state=0)
    assert data.X.shape == (4000, 16, 16)
    assert data.X.dtype == np.uint8
    assert data.factors.dtype == np.int64
    assert data.factor_values.dtype == np.float64
    assert data.factor_names == ("shape", "scale", "orientation", "x", "y")
    assert data.factor_sizes == SIZES
    for j, n in enumerate(SIZES):
        # every value occurs, about equally often
        assert set(data.factors[:, j]) == set(range(n))
        assert np.bincount(data.factors[:, j]).min() > 4000 / n * 0.6
    corners = make_sprites(factors=[[0, 0, 0, 0, 0], [2, 5, 39, 31, 31], [1, 1, 10, 1, 0]], size=16)
    np.testing.assert_allclose(
        corners.factor_values,
        [[0, 0.5, 0, 0, 0], [2, 1, 2 * np.pi * 39 / 40, 1, 1], [1, 0.6, np.pi / 2, 1 / 31, 0]],
    )
    assert corners.factors.tolist() == [[0, 0, 0, 0, 0], [2, 5, 39, 31, 31], [1, 1, 10, 1, 0]]
    # the factors drawn are independent
    assert np.abs(np.corrcoef(data.factors.T) - np.eye(5)).max() < 0.06


@pytest.mark.parametrize("size", [16, 23, 64, 150])
def test_area_is_that_of_the_shape(size):
    rows = [[k, s, o, x, 7] for k in range(3) for s in range(6) for o in (0, 3, 26) for x in (2, 9)]
    _, area = draw(*rows, size=size)
    shape, scale = np.array(rows)[:, :2].T
    radius = 7 / 32 * size * (0.5 + 0.1 * scale)
    np.testing.assert_allclose(area, AREAS[shape] * radius**2, rtol=0.01)


def inside(shape, u, v):
    """Which points belong to the shape in a circle of radius 1, by its definition."""
    if shape == 0:
        return np.maximum(abs(u), abs(v)) < np.sqrt(0.5)
    if shape == 1:
        return u**2 + 4 * v**2 < 1
    # the heart upright (v is down), its square in units of half a side
    p, q = np.sqrt(2) * 1.3133 * np.array([u - v, -u - v]) / np.sqrt(2) + 0.3133
    discs = np.minimum((p - 1) ** 2 + q**2, p**2 + (q - 1) ** 2) < 1
    return (np.maximum(abs(p), abs(q)) < 1) | discs


@pytest.mark.parametrize("shape", range(3))
@pytest.mark.parametrize("size", [16, 64, 128])
def test_coverage_is_that_of_many_points(shape, size):
    angle, center = 2 * np.pi * 7 / 40, size * (0.25 + 0.5 * np.array([3, 28]) / 31)
    X, _ = draw([shape, 2, 7, 3, 28], size=size)
    fine = 1024 // size
    grid = (np.arange(size * fine) + 0.5) / fine
    x, y = np.meshgrid(*(grid - c for c in center))
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    points = inside(shape, *(w / (7 / 32 * size * 0.7) for w in (u, v)))
    cover = points.reshape(size, fine, size, fine).mean(axis=(1, 3))
    edge = (cover > 0) & (cover < 1)
    difference = np.abs(X[0] - cover)
    assert difference[edge].mean() < 0.03
    assert difference.max() < 0.16  # at a corner
    assert difference[cover == 0].max() < 0.13


def test_the_gray_of_a_pixel_is_the_share_covered():
    # an upright square has straight edges along the pixels: each shows the share it covers
    X, _ = draw([0, 0, 0, 5, 20])
    half = 7 / np.sqrt(2)
    pixels = np.arange(64)

    def covered(center):
        low, high = np.maximum(pixels, center - half), np.minimum(pixels + 1, center + half)
        return np.clip(high - low, 0, 1)

    wanted = np.outer(covered(16 + 32 * 20 / 31), covered(16 + 32 * 5 / 31))
    corners = np.outer(*[covered(16 + 32 * k / 31) % 1 > 0 for k in (20, 5)])
    assert corners.sum() == 4
    np.testing.assert_allclose(X[0][~corners], wanted[~corners], atol=0.01)
    np.testing.assert_allclose(X[0][corners], wanted[corners], atol=0.1)


@pytest.mark.parametrize("shape", range(3))
@pytest.mark.parametrize("size", [16, 64])
def test_position_is_the_center_of_mass(shape, size):
    rows = [
        [shape, s, o, x, y] for s in (0, 5) for o in (0, 13) for x in (0, 9, 31) for y in (4, 30)
    ]
    X, _ = draw(*rows, size=size)
    wanted = size * (0.25 + 0.5 * np.array(rows)[:, 3:] / 31)
    # a pixel covered in part counts with its middle, which is off by less in larger images
    np.testing.assert_allclose(centroids(X), wanted, atol=0.06 if size == 16 else 0.03)


def test_ellipse_turns_from_x_towards_y():
    X, _ = draw(*[[1, 5, o, 16, 16] for o in range(20)])
    np.testing.assert_allclose((axes(X) - np.arange(20) * np.pi / 20 + 0.1) % np.pi, 0.1, atol=0.01)
    # twice as long as wide
    x = (X[0].sum(axis=0) > 0.5).sum()
    y = (X[0].sum(axis=1) > 0.5).sum()
    assert x == pytest.approx(2 * y, abs=1)


def test_heart_stands_upright_and_turns_like_the_ellipse():
    X, _ = draw([2, 5, 0, 16, 16], [2, 5, 10, 16, 16], [2, 5, 20, 16, 16])
    grid = np.arange(64) + 0.5
    center = 16 + 32 * 16 / 31
    third = [(X.sum(axis=axis) * (grid - center) ** 3).sum(axis=1) for axis in (1, 2)]
    # the tip, the farthest point, is below (y down) at first, and a quarter turn puts it left
    np.testing.assert_allclose(third[0] / third[1][0], [0, -1, 0], atol=0.02)
    np.testing.assert_allclose(third[1] / third[1][0], [1, 0, -1], atol=0.02)
    upright = X[0]
    rows = np.flatnonzero(upright.sum(axis=1) > 0.5)
    middle = int(center)
    # a notch: the middle column starts below the lobes beside it
    assert upright[rows[0] + 1, middle] < 0.1
    assert upright[rows[0] + 1, [middle - 6, middle + 6]].min() > 0.4


def test_symmetries():
    # several positions side by side: rounding might spoil a few
    rows = [[k, 4, o, x, 20] for k in range(3) for o in range(40) for x in range(0, 32, 4)]
    X = make_sprites(factors=rows).X.reshape(3, 40, -1)
    # the square shows 10 orientations, the ellipse 20, the heart all
    for shape, n in enumerate((10, 20, 40)):
        assert len(np.unique(X[shape], axis=0)) == n
        np.testing.assert_array_equal(X[shape], np.concatenate([X[shape][:n]] * (40 // n)))
    assert not np.array_equal(X[0, 0], X[1, 0])


@pytest.mark.parametrize("size", [16, 17, 64])
def test_nothing_is_cut(size):
    rows = [[k, 5, o, x, y] for k in range(3) for o in range(40) for x in (0, 31) for y in (0, 31)]
    X, area = draw(*rows, size=size)
    edge = np.concatenate([X[:, [0, -1]].ravel(), X[:, :, [0, -1]].ravel()])
    assert edge.max() < 0.6  # at 16 pixels a tip may reach into the outermost pixel
    shape = np.array(rows)[:, 0]
    np.testing.assert_allclose(area, AREAS[shape] * (7 / 32 * size) ** 2, rtol=0.01)
    if size == 64:
        assert edge.max() == 0


def test_black_white_and_gray():
    X = make_sprites(200, random_state=1).X
    assert X.min() == 0
    assert X.max() == 255
    gray = (X > 0) & (X < 255)
    assert 0.01 < gray.mean() < 0.05
    assert len(np.unique(X)) > 200


def test_seeds():
    before = np.random.get_state()[1].copy()
    one, two, other = (make_sprites(50, random_state=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(one.X, two.X)
    np.testing.assert_array_equal(one.factors, two.factors)
    assert not np.array_equal(one.factors, other.factors)
    assert not np.array_equal(make_sprites(50).factors, make_sprites(50).factors)
    again = make_sprites(50, random_state=np.random.default_rng(3))
    np.testing.assert_array_equal(one.X, again.X)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize("size", [16, 64])
def test_lazy_equals_direct(size):
    sprites = Sprites(size)
    assert len(sprites) == 737280
    assert sprites.shape == (737280, size, size)
    assert sprites.dtype == np.uint8
    rows = np.random.default_rng(0).integers(0, 737280, 300)
    data = make_sprites(factors=sprites.factors(rows), size=size)
    np.testing.assert_array_equal(sprites[rows], data.X)
    # alone, from the end, in a list, a slice and a mask
    np.testing.assert_array_equal(sprites[int(rows[7])], data.X[7])
    np.testing.assert_array_equal(sprites[int(rows[7]) - 737280], data.X[7])
    np.testing.assert_array_equal(sprites[rows[:2].tolist()], data.X[:2])
    start = int(rows[0])
    np.testing.assert_array_equal(
        sprites[start : start + 9 : 4], sprites[start + np.arange(0, 9, 4)]
    )
    mask = np.zeros(737280, dtype=bool)
    mask[rows] = True
    np.testing.assert_array_equal(sprites[mask], sprites[np.unique(rows)])
    assert sprites[[]].shape == (0, size, size)
    np.testing.assert_array_equal(sprites[np.uint8(200)], sprites[200])
    assert sprites[5:5].shape == (0, size, size)


def test_order_of_the_rows():
    sprites = Sprites()
    assert sprites.factors(0).tolist() == [0, 0, 0, 0, 0]
    assert sprites.factors(1).tolist() == [0, 0, 0, 0, 1]
    assert sprites.factors([32, 1024, 40960, 245760, -1]).tolist() == [
        [0, 0, 0, 1, 0],
        [0, 0, 1, 0, 0],
        [0, 1, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [2, 5, 39, 31, 31],
    ]
    assert sprites.factor_sizes == SIZES


def test_a_memory_map_is_filled_in_bounded_memory(tmp_path):
    sprites = Sprites(16)
    rows = 6000  # 1.5 MB
    out = np.lib.format.open_memmap(tmp_path / "s.npy", "w+", np.uint8, (rows, 16, 16))
    tracemalloc.start()
    for start in range(0, rows, 100):
        out[start : start + 100] = sprites[start : start + 100]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # a block of 64 images in fine pixels, whatever the number of rows
    assert peak < 64 * 8 * 64**2 * 4 * 1.5
    np.testing.assert_array_equal(out[[0, 5999]], sprites[[0, 5999]])


def test_a_slice_from_the_front_draws_no_more():
    tracemalloc.start()
    sprites = Sprites()
    sprites[:10]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6  # the numbers of all rows would take 5.9e6


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer of at least 1, not 0"),
        ({"size": 15}, "size must be an integer of at least 16, not 15"),
        ({"size": 64.0}, r"size must be an integer of at least 16, not 64\.0"),
        (
            {"factors": [[0, 0, 0, 0]]},
            r"factors must have shape \(n, 5\), one column for each, not \(1",
        ),
        (
            {"factors": [0, 0, 0, 0, 0]},
            r"factors must have shape \(n, 5\), one column for each, not",
        ),
        (
            {"factors": [[0, 0.5, 0, 0, 0]]},
            "factors must hold class indices, which are integers, not dtype",
        ),
        (
            {"factors": [[0, 0, 40, 0, 0]]},
            r"factors\[:, 2\] \(orientation\) must run from 0 to 39, not from",
        ),
        (
            {"factors": [[0, 0, 0, -1, 0]]},
            r"factors\[:, 3\] \(x\) must run from 0 to 31, not from -1 to -1",
        ),
    ],
)
def test_refuses(kwargs, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make_sprites(**kwargs)


@pytest.mark.parametrize("rows", [737280, -737281, [0, 737280], 0.5, [True, False], [[1, 2]]])
def test_refuses_rows(rows):
    with pytest.raises(IndexError, match="rows"):
        Sprites()[rows]


def test_iteration_ends():
    assert sum(1 for _ in zip(Sprites(16), range(3), strict=False)) == 3
    with pytest.raises(ValueError, match="size must be an integer of at least 16, not 8"):
        Sprites(8)
