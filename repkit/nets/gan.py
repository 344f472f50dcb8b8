"""Networks of adversarial systems: features of a sample, a sample from a code, a judge of pairs.

``n_features`` is the width of the fully connected layers. Images get ``n_features / 16`` channels
at first (64 for 1024, as in Chen et al. 2016), twice as many after each halving.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from repkit.nets.building import width_out

LEAK = 0.2
Shape = tuple[int, ...]


class Reshape(nn.Module):
    """Each row to the given shape."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.shape)

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
            "the 'conv' network is for images of at least 4x4, (channels, height, width) or "
            f"(height, width), not for samples of shape {tuple(shape)}; use 'mlp'"
        )
    return channels, sides[0], sides[1]


def halvings(height: int, width: int) -> list[tuple[int, int]]:
    """Sizes of an image as it is halved, until its longer side is 7 or less."""
    sizes = [(height, width)]
    while max(sizes[-1]) > 7 and min(sizes[-1]) > 1:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def trunk_mlp(shape_in: Shape, n_features: int, *, norm: bool = True) -> nn.Sequential:
    """One hidden layer with leaky ReLU, without batch norm."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(math.prod(shape_in), n_features), nn.LeakyReLU(LEAK)
    )


def trunk_conv(shape_in: Shape, n_features: int, *, norm: bool = True) -> nn.Sequential:
    """Halving 4x4 convolutions with leaky ReLU, batch norm from the second on; flattened."""
    channels, *sides = as_image(shape_in)
    sizes = halvings(*sides)
    layers: list[nn.Module] = [Reshape((channels, *sides))] if len(shape_in) == 2 else []
    size = max(n_features // 16, 4)
    for depth in range(max(len(sizes) - 1, 1)):
        kernel = (4, 2, 1) if len(sizes) > 1 else (3, 1, 1)
        normed = norm and depth > 0
        layers.append(nn.Conv2d(channels, size, *kernel, bias=not normed))
        layers += [nn.BatchNorm2d(size)] if normed else []
        layers.append(nn.LeakyReLU(LEAK))
        channels, size = size, min(2 * size, max(n_features // 4, size))
    return nn.Sequential(*layers, nn.Flatten())


def features_of(trunk: nn.Module, width: int, n_features: int, *, norm: bool = True) -> nn.Module:
    """A trunk, and a fully connected layer with batch norm and leaky ReLU on its outputs."""
    return nn.Sequential(
        trunk,
        nn.Linear(width, n_features, bias=not norm),
        *([nn.BatchNorm1d(n_features)] if norm else []),
        nn.LeakyReLU(LEAK),
    )


def generator_mlp(latent_dim: int, shape_out: Shape, n_features: int) -> nn.Sequential:
    """Two hidden layers with batch norm and ReLU (Donahue et al. 2017): logits of a sample."""
    return nn.Sequential(
        nn.Linear(latent_dim, n_features, bias=False),
        nn.BatchNorm1d(n_features),
        nn.ReLU(),
        nn.Linear(n_features, n_features, bias=False),
        nn.BatchNorm1d(n_features),
        nn.ReLU(),
        nn.Linear(n_features, math.prod(shape_out)),
        Reshape(shape_out),
    )


def generator_conv(latent_dim: int, shape_out: Shape, n_features: int) -> nn.Sequential:
    """Two fully connected layers and doubling 4x4 deconvolutions (Chen et al. 2016): logits."""
    channels, *sides = as_image(shape_out)
    sizes = halvings(*sides)[::-1]
    first = max(n_features // 16, 4)
    widths = [min(first * 2**k, max(n_features // 4, first)) for k in range(len(sizes) - 1)][::-1]
    widths = widths or [first]
    start = (widths[0], *sizes[0])
    layers: list[nn.Module] = [
        nn.Linear(latent_dim, n_features, bias=False),
        nn.BatchNorm1d(n_features),
        nn.ReLU(),
        nn.Linear(n_features, math.prod(start), bias=False),
        nn.BatchNorm1d(math.prod(start)),
        nn.ReLU(),
        Reshape(start),
    ]
    for depth, (small, large) in enumerate(pairwise(sizes)):
        odd = (large[0] - 2 * small[0], large[1] - 2 * small[1])
        last = depth == len(sizes) - 2
        size = channels if last else widths[depth + 1]
        layers.append(
            nn.ConvTranspose2d(widths[depth], size, 4, 2, 1, output_padding=odd, bias=last)
        )
        layers += [] if last else [nn.BatchNorm2d(size), nn.ReLU()]
    if len(sizes) == 1:
        layers.append(nn.Conv2d(widths[0], channels, 3, padding=1))
    return nn.Sequential(*layers, Reshape(shape_out))


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


class PairDiscriminator(nn.Module):
    """Judges pairs (x, z): a greater logit says that x is the real half.

    The outputs of a trunk on x are mapped to a hidden layer, to which a linear map of z is added
    before batch norm: z enters as a bias that depends on the pair (Donahue et al. 2017). That batch
    norm, over real and over generated pairs apart (a call each), tied E to G in short trials on
    8x8 digits, where networks without it gave samples as good and an encoder linked to nothing.

    Parameters
    ----------
    trunk : nn.Module
        ``x -> (n, width)``.
    width : int
    latent_dim : int
    n_hidden : int
    unary : bool, default=False
        Two more columns: judgements of x alone and of z alone (Donahue and Simonyan 2019).
    """

    def __init__(
        self, trunk: nn.Module, width: int, latent_dim: int, n_hidden: int, unary: bool = False
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.from_x = nn.Linear(width, n_hidden, bias=False)
        self.from_z = nn.Linear(latent_dim, n_hidden, bias=False)
        self.joint = nn.Sequential(
            nn.BatchNorm1d(n_hidden), nn.LeakyReLU(LEAK), nn.Linear(n_hidden, 1)
        )
        self.judge_x = nn.Linear(width, 1) if unary else None
        self.judge_z = (
            nn.Sequential(
                nn.Linear(latent_dim, n_hidden), nn.LeakyReLU(LEAK), nn.Linear(n_hidden, 1)
            )
            if unary
            else None
        )

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Logits of shape (n, 1), or (n, 3): joint, of x, of z."""
        f = self.trunk(x)
        logits = [self.joint(self.from_x(f) + self.from_z(z))]
        if self.judge_x is not None and self.judge_z is not None:
            logits += [self.judge_x(f), self.judge_z(z)]
        return torch.cat(logits, 1)


class FeatureDiscriminator(nn.Module):
    """Judges samples, and shows the hidden layer D_l in which they can be compared.

    Parameters
    ----------
    body : nn.Module
        ``x -> (n, width)``, up to D_l.
    width, n_hidden, dim_out : int
        Two linear layers follow.
    """

    def __init__(self, body: nn.Module, width: int, n_hidden: int, dim_out: int) -> None:
        super().__init__()
        self.body = body
        self.judge = nn.Sequential(
            nn.Linear(width, n_hidden), nn.LeakyReLU(LEAK), nn.Linear(n_hidden, dim_out)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """D_l, ``(n, width)``, and logits, ``(n, dim_out)``."""
        hidden = self.body(x)
        return hidden, self.judge(hidden)


class ProjectionDiscriminator(nn.Module):
    """Judges the pairs of a sample with every class at once.

    ``l(x, k) = v_k . h(x) + psi(h(x))`` (Miyato and Koyama 2018, equation 3): one pass for all k.

    Parameters
    ----------
    body : nn.Module
        h, ``x -> (n, width)``.
    width, n_classes : int
    """

    def __init__(self, body: nn.Module, width: int, n_classes: int) -> None:
        super().__init__()
        self.body = body
        self.psi = nn.Linear(width, 1)
        self.v = nn.Linear(width, n_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pairs, ``(n, classes)``."""
        h = self.body(x)
        return self.psi(h) + self.v(h)


class UnitInterval(nn.Module):
    """A sigmoid in fp32: next to 1, bf16 knows no number above .996."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x.float())


class PairFeatures(nn.Module):
    """Logits from two samples side by side, for the contrastive term of InfoGAN-CR."""

    def __init__(self, shape_in: Shape, n_features: int, dim_out: int) -> None:
        super().__init__()
        image = len(shape_in) > 1 and min(shape_in[-2:]) >= 4
        channels, *sides = as_image(shape_in) if image else (math.prod(shape_in),)
        self.pair = Reshape((channels, *sides))
        shape = (2 * channels, *sides)
        trunk = (trunk_conv if image else trunk_mlp)(shape, n_features, norm=False)
        width = width_out(trunk, shape, name="trunk")
        self.network = nn.Sequential(
            *trunk, nn.Linear(width, n_features), nn.LeakyReLU(LEAK), nn.Linear(n_features, dim_out)
        )

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        return self.network(torch.cat([self.pair(x), self.pair(other)], 1))


def code_head(width: int, dim_out: int, *, norm: bool = True, n_hidden: int = 128) -> nn.Sequential:
    """Q of Chen et al. 2016: from the body's features to what is said of the codes."""
    return nn.Sequential(
        nn.Linear(width, n_hidden, bias=not norm),
        *([nn.BatchNorm1d(n_hidden)] if norm else []),
        nn.LeakyReLU(LEAK),
        nn.Linear(n_hidden, dim_out),
    )


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


TRUNKS: dict[str, Callable[..., nn.Sequential]] = {"mlp": trunk_mlp, "conv": trunk_conv}
GENERATORS: dict[str, Callable[..., nn.Sequential]] = {
    "mlp": generator_mlp,
    "conv": generator_conv,
}
