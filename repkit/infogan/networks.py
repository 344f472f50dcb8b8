"""Internal. The networks that read the codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from repkit.nets.build import width_out
from repkit.nets.trunks import LEAK, Reshape, Shape, as_image, dcgan, hidden_layer


class PairFeatures(nn.Module):
    """Logits from two samples side by side, for the contrastive term of InfoGAN-CR.

    Parameters
    ----------
    shape_in : tuple of int
        Of one sample.
    width : int
        Of the hidden layers.
    dim_out : int
        Number of logits.
    """

    def __init__(self, shape_in: Shape, width: int, dim_out: int) -> None:
        super().__init__()
        image = len(shape_in) > 1 and min(shape_in[-2:]) >= 4
        channels, *sides = as_image(shape_in) if image else (math.prod(shape_in),)
        self.pair = Reshape((channels, *sides))
        shape = (2 * channels, *sides)
        trunk = (dcgan if image else hidden_layer)(shape, width, norm=False)
        outputs = width_out(trunk, shape, name="trunk")
        self.network = nn.Sequential(
            *trunk, nn.Linear(outputs, width), nn.LeakyReLU(LEAK), nn.Linear(width, dim_out)
        )

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Logits ``(n, dim_out)``."""
        return self.network(torch.cat([self.pair(x), self.pair(other)], 1))


def code_head(width: int, dim_out: int, *, norm: bool = True, n_hidden: int = 128) -> nn.Sequential:
    """Q of Chen et al. 2016: from the body's features to what is said of the codes."""
    return nn.Sequential(
        nn.Linear(width, n_hidden, bias=not norm),
        *([nn.BatchNorm1d(n_hidden)] if norm else []),
        nn.LeakyReLU(LEAK),
        nn.Linear(n_hidden, dim_out),
    )
