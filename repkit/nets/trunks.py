"""Internal. Trunks: from a sample to features.

``width`` is the width of the fully connected layers. The image trunk "dcgan" starts with
``width / 16`` channels (64 for 1024, as in Chen et al. 2016), twice as many after each halving.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from repkit.nets.convolutions import Conv2d, Flatten

LEAK = 0.2
Shape = tuple[int, ...]


def mlp(
    shape_in: tuple[int, ...],
    dim_out: int,
    hidden: Sequence[int] = (128,),
    *,
    dropout: float = 0.0,
    input_dropout: float = 0.0,
) -> nn.Sequential:
    """Make fully connected layers with ReLU between them.

    Parameters
    ----------
    shape_in : tuple of int
        Flattened to ``prod(shape_in)`` inputs.
    dim_out : int
        Outputs; no activation after them.
    hidden : sequence of int, default=(128,)
        Widths of the hidden layers.
    dropout : float, default=0.0
        Chance of dropping a hidden unit.
    input_dropout : float, default=0.0
        Chance of dropping an input.

    Returns
    -------
    nn.Sequential
        ``(n, *shape_in) -> (n, dim_out)``.
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


def conv(
    shape_in: tuple[int, ...], dim_out: int, width: int = 32, *, norm: bool = True
) -> nn.Sequential:
    """Make convolutions for images.

    3x3 convolutions with batch norm and ReLU, each followed by a halving, until the sides are 4 or
    less; the width doubles from one to the next, up to four times the first.

    Parameters
    ----------
    shape_in : tuple of int
        (channels, height, width), both sides at least 4; or (height, width).
    dim_out : int
        Outputs; no activation after them.
    width : int, default=32
        Channels of the first convolution.
    norm : bool, default=True
        Whether there is batch norm.

    Returns
    -------
    nn.Sequential
        ``(n, *shape_in) -> (n, dim_out)``.

    Raises
    ------
    ValueError
        If samples are not images of at least 4x4.
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
            Conv2d(channels, size, 3, padding=1, bias=not norm),
            *([nn.BatchNorm2d(size)] if norm else []),
            nn.ReLU(),
        ]
        if max(sides) <= 4:
            break
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
        sides = [-(-side // 2) for side in sides]
        channels, size = size, min(2 * size, 4 * width)
    return nn.Sequential(*layers, Flatten(), nn.Linear(size * math.prod(sides), dim_out))


class Standardize(nn.Module):
    """Layer that brings each sample to mean 0 and deviation 1 over all its values.

    Parameters
    ----------
    *args : object
        None: as those of ``nn.Module``.
    **kwargs : object
        None: as those of ``nn.Module``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Standardize each sample.

        Parameters
        ----------
        x : Tensor of shape (n, ...)
            Samples.

        Returns
        -------
        Tensor of shape (n, ...)
            Standardized samples.
        """
        return F.layer_norm(x, x.shape[1:])


class Cosine(nn.Module):
    """Layer of cosines: how near the direction of a row is to that of each class.

    As a label predictor, ``heads=Cosine``, it reads nothing of the length of the features, which
    differs between domains, and gives no class more room than another. On frozen features it can be
    worth more than a method of adaptation, above all with ``entropy``'s confusion of classes.

    Parameters
    ----------
    shape_in : int or tuple of int
        Number of features; a tuple is multiplied out.
    dim_out : int
        Number of classes.
    scale : float, default=16.0
        Factor of the cosines, which lie between -1 and 1, so that they can be logits.

    References
    ----------
    Gidaris and Komodakis, "Dynamic few-shot visual learning without forgetting", CVPR 2018; Saito
    et al., "Semi-supervised domain adaptation via minimax entropy", ICCV 2019.
    """

    def __init__(self, shape_in: int | Shape, dim_out: int, scale: float = 16.0) -> None:
        super().__init__()
        width = shape_in if isinstance(shape_in, int) else math.prod(shape_in)
        self.scale = scale
        self.weight = nn.Parameter(torch.randn(dim_out, width) / math.sqrt(width))

    def forward(self, f: Tensor) -> Tensor:
        """Compare rows with the classes.

        Parameters
        ----------
        f : Tensor of shape (n, features)
            Feature rows.

        Returns
        -------
        Tensor of shape (n, classes)
            Cosines, times the scale.
        """
        return self.scale * F.linear(F.normalize(f, dim=1), F.normalize(self.weight, dim=1))


class Reshape(nn.Module):
    """Each row to the given shape."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.shape)

    def extra_repr(self) -> str:
        return f"{self.shape}"


def as_image(shape: Sequence[int]) -> tuple[int, int, int]:
    """(channels, height, width) of a sample's shape.

    Raises
    ------
    ValueError
        If it is not an image of at least 4x4.
    """
    channels, *sides = (1, *shape) if len(shape) == 2 else shape
    if len(sides) != 2 or min(sides) < 4:
        raise ValueError(
            "the 'dcgan' network is for images of at least 4x4, (channels, height, width) or "
            f"(height, width), not for samples of shape {tuple(shape)}; use 'mlp'"
        )
    return channels, sides[0], sides[1]


def halvings(height: int, width: int) -> list[tuple[int, int]]:
    """Sizes of an image as it is halved, until its longer side is 7 or less."""
    sizes = [(height, width)]
    while max(sizes[-1]) > 7 and min(sizes[-1]) > 1:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def hidden_layer(shape_in: Shape, width: int, *, norm: bool = True) -> nn.Sequential:
    """One hidden layer with leaky ReLU, without batch norm."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape_in), width), nn.LeakyReLU(LEAK))


def dcgan(shape_in: Shape, width: int, *, norm: bool = True) -> nn.Sequential:
    """Make halving 4x4 convolutions with leaky ReLU, as in DCGAN (Radford et al. 2016).

    Parameters
    ----------
    shape_in : tuple of int
        (channels, height, width), both sides at least 4; or (height, width).
    width : int
        The first convolution has ``width / 16`` channels, and each after it twice as many, up
        to ``width / 4``.
    norm : bool, default=True
        Whether there is batch norm, from the second convolution on.

    Returns
    -------
    nn.Sequential
        ``(n, *shape_in) -> (n, outputs)``, flattened.

    Raises
    ------
    ValueError
        If samples are not images of at least 4x4.
    """
    channels, *sides = as_image(shape_in)
    sizes = halvings(*sides)
    layers: list[nn.Module] = [Reshape((channels, *sides))] if len(shape_in) == 2 else []
    size = max(width // 16, 4)
    for depth in range(max(len(sizes) - 1, 1)):
        kernel = (4, 2, 1) if len(sizes) > 1 else (3, 1, 1)
        normed = norm and depth > 0
        layers.append(Conv2d(channels, size, *kernel, bias=not normed))
        layers += [nn.BatchNorm2d(size)] if normed else []
        layers.append(nn.LeakyReLU(LEAK))
        channels, size = size, min(2 * size, max(width // 4, size))
    return nn.Sequential(*layers, Flatten())


def features_of(trunk: nn.Module, outputs: int, width: int, *, norm: bool = True) -> nn.Module:
    """A trunk, and a fully connected layer with batch norm and leaky ReLU on its outputs."""
    return nn.Sequential(
        trunk,
        nn.Linear(outputs, width, bias=not norm),
        *([nn.BatchNorm1d(width)] if norm else []),
        nn.LeakyReLU(LEAK),
    )


class Encoder(nn.Module):
    """Features of a sample, and a linear map from them to its latent variables.

    Parameters
    ----------
    features : nn.Module
        ``x -> (n, width)``; see `hidden`.
    width, dim_out : int
    bounded : bool
        The outputs are brought into (-1, 1): the support of a uniform prior.
    """

    def __init__(self, features: nn.Module, width: int, dim_out: int, bounded: bool) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Linear(width, dim_out)
        self.bounded = bounded

    def hidden(self, x: Tensor) -> Tensor:
        return self.features(x)

    def forward(self, x: Tensor) -> Tensor:
        z = self.head(self.features(x))
        return torch.tanh(z) if self.bounded else z


def spectral_norms(network: nn.Module) -> nn.Module:
    """The network with every linear and convolutional weight divided by its spectral norm.

    Miyato et al. 2018. Batch norm would undo it.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            spectral_norm(module)
    return network


def small_weights(network: nn.Module, deviation: float = 0.02) -> nn.Module:
    """Weights from N(0, deviation), biases 0: the start of most published recipes."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, deviation)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
