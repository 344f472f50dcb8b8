"""Internal. Generators: from a latent row to the logits of a sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from repkit.nets.convolutions import Conv2d, ConvTranspose2d
from repkit.nets.trunks import Reshape, Shape, as_image, halvings


def generator_mlp(latent_dim: int, shape_out: Shape, width: int) -> nn.Sequential:
    """Two hidden layers with batch norm and ReLU (Donahue et al. 2017): logits of a sample."""
    return nn.Sequential(
        nn.Linear(latent_dim, width, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, math.prod(shape_out)),
        Reshape(shape_out),
    )


def generator_dcgan(latent_dim: int, shape_out: Shape, width: int) -> nn.Sequential:
    """Two fully connected layers and doubling 4x4 deconvolutions (Chen et al. 2016): logits."""
    channels, *sides = as_image(shape_out)
    sizes = halvings(*sides)[::-1]
    first = max(width // 16, 4)
    widths = [min(first * 2**k, max(width // 4, first)) for k in range(len(sizes) - 1)][::-1]
    widths = widths or [first]
    start = (widths[0], *sizes[0])
    layers: list[nn.Module] = [
        nn.Linear(latent_dim, width, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, math.prod(start), bias=False),
        nn.BatchNorm1d(math.prod(start)),
        nn.ReLU(),
        Reshape(start),
    ]
    for depth, (small, large) in enumerate(pairwise(sizes)):
        odd = (large[0] - 2 * small[0], large[1] - 2 * small[1])
        last = depth == len(sizes) - 2
        size = channels if last else widths[depth + 1]
        layers.append(ConvTranspose2d(widths[depth], size, 4, 2, 1, output_padding=odd, bias=last))
        layers += [] if last else [nn.BatchNorm2d(size), nn.ReLU()]
    if len(sizes) == 1:
        layers.append(Conv2d(widths[0], channels, 3, padding=1))
    return nn.Sequential(*layers, Reshape(shape_out))


class UnitInterval(nn.Module):
    """Sigmoid in fp32: next to 1, bf16 knows no number above .996.

    Parameters
    ----------
    *args : object
        None: as those of ``nn.Module``.
    **kwargs : object
        None: as those of ``nn.Module``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the sigmoid.

        Parameters
        ----------
        x : Tensor
            Logits.

        Returns
        -------
        Tensor
            Numbers in [0, 1], float32, of the same shape.
        """
        return torch.sigmoid(x.float())


class Generator(nn.Sequential):
    """Layers of which the last is a sigmoid: rows of codes to samples in (0, 1), or their logits.

    Next to 1, fp32 knows no number between 1 - 6e-8 and 1, so that a sample does not tell its
    logit any more. What needs that asks for it: ``generator(z, logits=True)``.

    Parameters
    ----------
    *args : nn.Module
        The layers, in order; the last is a `UnitInterval`.
    """

    def forward(self, z: Tensor, *, logits: bool = False) -> Tensor:
        """Decode codes.

        Parameters
        ----------
        z : Tensor of shape (n, latent_dim)
            Codes.
        logits : bool, default=False
            Whether to leave out the last sigmoid.

        Returns
        -------
        Tensor of shape (n, ...)
            Samples in [0, 1], or their logits, float32.
        """
        *layers, sigmoid = self
        for layer in layers:
            z = layer(z)
        return z.float() if logits else sigmoid(z)


GENERATORS: dict[str, Callable[..., nn.Sequential]] = {
    "mlp": generator_mlp,
    "dcgan": generator_dcgan,
}
