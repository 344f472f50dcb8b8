"""Augmentations: shapes, ranges, what is left alone, and each by its definition."""

import pytest
import torch
from torch import nn

from repkit.augment import (
    RandomAffine,
    RandomInvert,
    RandomMasks,
    RandomTexture,
    RandomThickness,
)
from repkit.datasets import load_digits_domains

ALL = [
    RandomAffine(),
    RandomThickness(p=1.0),
    RandomTexture(p=1.0),
    RandomInvert(p=0.5),
    RandomMasks(),
]


@pytest.fixture
def digits():
    return torch.from_numpy(load_digits_domains(random_state=0).X[:200])


@pytest.mark.parametrize("augment", ALL, ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_range_and_randomness(digits, augment, channels):
    x = digits.expand(-1, channels, -1, -1)
    before = x.clone()
    torch.manual_seed(0)
    first = augment(x)
    second = augment(x)
    torch.manual_seed(0)
    assert torch.equal(first, augment(x))
    assert first.shape == x.shape
    assert first.dtype == x.dtype
    assert torch.equal(x, before)
    assert not torch.equal(first, second)
    assert first.min() >= -1e-6
    assert first.max() <= 1 + 1e-6
    changed = (first != x).flatten(1).any(1).float().mean()
    assert changed > (0.3 if isinstance(augment, RandomInvert | RandomMasks) else 0.9)
    assert type(augment).__name__ in repr(nn.Sequential(augment))


@pytest.mark.parametrize(
    "augment", [RandomThickness(0.0), RandomTexture(0.0), RandomInvert(0.0), RandomMasks(0.0, 0.0)]
)
def test_a_chance_of_zero_changes_nothing(digits, augment):
    torch.testing.assert_close(augment(digits), digits, rtol=0, atol=0)


def test_affine_with_no_range_is_the_identity(digits):
    same = RandomAffine(degrees=0, zoom=0, stretch=0, shear=0, shift=0)
    torch.testing.assert_close(same(digits), digits, rtol=0, atol=1e-5)


def test_affine_moves_by_the_given_share_of_the_side():
    x = torch.zeros(500, 1, 40, 40)
    x[:, :, 20, 20] = 1
    torch.manual_seed(0)
    moved = RandomAffine(degrees=0, zoom=0, stretch=0, shear=0, shift=0.1)(x)
    place = moved.flatten(1).argmax(1)
    offset = torch.stack([place // 40, place % 40], 1) - 20
    assert offset.abs().max() == 4  # a tenth of 40
    assert (offset.float().std(0) > 1.5).all()


def test_affine_turns_by_the_given_degrees():
    x = torch.zeros(300, 1, 41, 41)
    x[:, :, 20, 36] = 1
    torch.manual_seed(0)
    turned = RandomAffine(degrees=30, zoom=0, stretch=0, shear=0, shift=0)(x)
    place = turned.flatten(1).argmax(1)
    angle = torch.atan2((place // 41 - 20).float(), (place % 41 - 20).float()).rad2deg()
    assert 25 < angle.abs().max() <= 32
    assert angle.min() < -20
    assert angle.max() > 20


def test_thickness_is_a_blend_with_maximum_minimum_or_mean(digits):
    torch.manual_seed(0)
    out = RandomThickness(p=1.0)(digits)
    padded = nn.functional.pad(digits, (1, 1, 1, 1), mode="replicate")
    maximum = nn.functional.max_pool2d(padded, 3, 1)
    minimum = -nn.functional.max_pool2d(-padded, 3, 1)
    mean = nn.functional.avg_pool2d(padded, 3, 1)
    on_a_line = torch.zeros(len(digits), 3, dtype=torch.bool)
    for k, other in enumerate((maximum, minimum, mean)):
        step, way = (out - digits).flatten(1), (other - digits).flatten(1)
        amount = (step * way).sum(1) / way.square().sum(1)
        on_a_line[:, k] = (step - amount[:, None] * way).abs().amax(1) < 1e-5
        assert on_a_line[:, k].float().mean() > 0.2
    assert on_a_line.any(1).all()


def test_texture_is_the_difference_from_a_smooth_field():
    torch.manual_seed(0)
    out = RandomTexture(p=1.0)(torch.zeros(100, 3, 28, 28))  # nothing but the field
    assert ((out - 0.5).abs() <= 0.5).all()
    neighbors = (out[..., 1:] - out[..., :-1]).abs().mean((1, 2, 3))
    spread = out.std((1, 2, 3))
    assert (neighbors < spread).float().mean() > 0.95
    gray = (out.amax(1) - out.amin(1)).amax((1, 2))
    assert gray.max() > 0.3


def test_invert():
    x = torch.rand(1000, 1, 2, 2)
    torch.manual_seed(0)
    out = RandomInvert(0.3)(x)
    inverted = (out == 1 - x).flatten(1).all(1)
    assert ((out == x).flatten(1).all(1) | inverted).all()
    assert 0.25 < inverted.float().mean() < 0.35


def test_masks_cover_bands():
    torch.manual_seed(0)
    out = RandomMasks(0.4, 0.5)(torch.ones(400, 1, 10, 12))
    hidden = 1 - out[:, 0]
    rows, columns = hidden.amin(2), hidden.amin(1)  # those that are hidden whole
    assert torch.equal(hidden, torch.maximum(rows[:, :, None], columns[:, None]))
    for band, most in ((rows, 4), (columns, 6)):
        assert band.sum(1).max() == most
        assert band.sum(1).float().mean() == pytest.approx(most / 2, rel=0.1)
        # In one piece, and anywhere.
        edges = band.diff(dim=1).abs().sum(1) + band[:, 0] + band[:, -1]
        assert set(edges.tolist()) <= {0.0, 2.0}
        assert (band.sum(0) > 0).all()
    only = RandomMasks(0.4, 0.0)(torch.ones(9, 1, 10, 12))
    assert torch.equal(only.amin(3), only.amax(3))
    with pytest.raises(ValueError, match="columns must be"):
        RandomMasks(columns=1.5)
