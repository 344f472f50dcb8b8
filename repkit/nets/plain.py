"""Networks for features: fully connected and convolutional."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


def mlp(
    shape_in: tuple[int, ...],
    dim_out: int,
    hidden: Sequence[int] = (128,),
    *,
    dropout: float = 0.0,
    input_dropout: float = 0.0,
) -> nn.Sequential:
    """Fully connected layers with ReLU between them: ``(n, *shape_in) -> (n, dim_out)``.

    Parameters
    ----------
    shape_in : tuple of int
        Flattened to ``prod(shape_in)`` inputs.
    dim_out : int
        Outputs; no activation after them.
    hidden : sequence of int
        Widths of the hidden layers.
    dropout, input_dropout : float
        Chance of dropping a hidden unit, or an input.
    """
    layers: list[nn.Module] = [nn.Flatten()] if len(shape_in) > 1 else []
    if input_dropout:
        layers.append(nn.Dropout(input_dropout))
    width = math.prod(shape_in)
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = size
    return nn.Sequential(*layers, nn.Linear(width, dim_out))


def conv(shape_in: tuple[int, ...], dim_out: int, width: int = 32) -> nn.Sequential:
    """Convolutions for images: ``(n, channels, height, width) -> (n, dim_out)``.

    3x3 convolutions with batch norm and ReLU, each followed by a halving, until the sides are 4 or
    less; the width doubles from one to the next, up to four times the first.

    Parameters
    ----------
    shape_in : tuple of int
        (channels, height, width), both sides at least 4; or (height, width).
    dim_out : int
        Outputs; no activation after them.
    width : int
        Channels of the first convolution.
    """
    layers: list[nn.Module] = []
    if len(shape_in) == 2:
        layers.append(nn.Unflatten(1, (1, shape_in[0])))
        shape_in = (1, *shape_in)
    if len(shape_in) != 3 or min(shape_in[1:]) < 4:
        raise ValueError(
            f"the 'conv' network takes images (channels, height, width) of at least 4x4, not rows "
            f"of shape {shape_in}; use 'mlp' for tables"
        )
    channels, *sides = shape_in
    size = width
    while True:
        layers += [
            nn.Conv2d(channels, size, 3, padding=1, bias=False),
            nn.BatchNorm2d(size),
            nn.ReLU(),
        ]
        if max(sides) <= 4:
            break
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
        sides = [-(-side // 2) for side in sides]
        channels, size = size, min(2 * size, 4 * width)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(size * math.prod(sides), dim_out))


class Standardize(nn.Module):
    """Each sample to mean 0 and deviation 1 over all its values; no parameters."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[1:])
