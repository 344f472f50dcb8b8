"""Networks and layers, and how a user's choice of one becomes a module."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Spec = str | nn.Module | Callable[[tuple[int, ...], int], nn.Module]


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


class DomainNorm(nn.Module):
    """Batch norm with statistics of its own for every domain, and a shared scale and shift.

    A batch is split into its (count, domain) parts, see `set_rows`, and each is normalised by its
    domain's statistics: the part's own in training, the running ones in evaluation. Relatives:
    AutoDIAL (Carlucci et al. 2017), domain-specific batch norm (Chang et al. 2019).

    Parameters
    ----------
    norm : BatchNorm1d, 2d or 3d
        What to replace; its parameters are taken over and its statistics copied.
    n_domains : int
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: _BatchNorm, n_domains: int) -> None:
        super().__init__()
        if norm.running_mean is None or norm.running_var is None:
            raise ValueError("batch norm without running statistics needs no domains")
        self.weight, self.bias = norm.weight, norm.bias
        self.eps = norm.eps
        self.momentum = 0.1 if norm.momentum is None else norm.momentum
        self.register_buffer("running_mean", norm.running_mean.repeat(n_domains, 1))
        self.register_buffer("running_var", norm.running_var.repeat(n_domains, 1))
        self.rows: tuple[tuple[int, int], ...] = ()
        self.track_running_stats = True

    def forward(self, x: Tensor) -> Tensor:
        if sum(count for count, _ in self.rows) != len(x):
            raise ValueError(f"{len(x)} rows do not match the layout {self.rows}; call set_rows")
        parts = x.split([count for count, _ in self.rows])
        domains = [domain for _, domain in self.rows]
        return torch.cat([self._norm(p, d) for p, d in zip(parts, domains, strict=True)])

    def _norm(self, x: Tensor, domain: int) -> Tensor:
        track = not self.training or self.track_running_stats
        return F.batch_norm(
            x,
            self.running_mean[domain] if track else None,
            self.running_var[domain] if track else None,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )


def separate_domains(network: nn.Module, n_domains: int) -> nn.Module:
    """The network with every batch norm inside it replaced by a `DomainNorm`."""
    if isinstance(network, _BatchNorm):
        return DomainNorm(network, n_domains)
    for name, child in network.named_children():
        setattr(network, name, separate_domains(child, n_domains))
    return network


def set_rows(network: nn.Module, rows: Sequence[tuple[int, int]]) -> None:
    """Tell every `DomainNorm` the layout of a batch: (count, domain) of each part, in order."""
    for module in network.modules():
        if isinstance(module, DomainNorm):
            module.rows = tuple(rows)


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, each module's own mode after."""
    modes = [(module, module.training) for network in networks for module in network.modules()]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


NETWORKS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {"mlp": mlp, "conv": conv}


def build(spec: Spec, shape_in: tuple[int, ...], dim_out: int, *, name: str) -> nn.Module:
    """The module that a user's choice stands for.

    Parameters
    ----------
    spec : {"mlp", "conv"}, nn.Module or callable
        A module is deep-copied, so that the one given never changes; a callable gets
        ``(shape_in, dim_out)``.
    shape_in : tuple of int
        Of one sample.
    dim_out : int
    name : str
        The parameter's name, for errors.

    Raises
    ------
    ValueError, TypeError
        If ``spec`` is none of these, or a callable does not return a module.
    """
    if isinstance(spec, nn.Module):
        return copy.deepcopy(spec).cpu().float()
    if isinstance(spec, str):
        if spec not in NETWORKS:
            raise ValueError(
                f"{name}={spec!r} is not known; give one of {sorted(NETWORKS)}, a callable "
                "(shape_in, dim_out) -> nn.Module, or an nn.Module"
            )
        return NETWORKS[spec](shape_in, dim_out)
    if not callable(spec):
        raise TypeError(
            f"{name} must be a string, a callable (shape_in, dim_out) -> nn.Module, or an "
            f"nn.Module, not {type(spec).__name__}"
        )
    network = spec(shape_in, dim_out)
    if not isinstance(network, nn.Module):
        raise TypeError(f"{name} returned {type(network).__name__}, not an nn.Module")
    return network


def width_out(network: nn.Module, shape_in: tuple[int, ...], *, name: str) -> int:
    """Number of outputs a row, found by passing two rows of zeros through.

    Raises
    ------
    ValueError
        If the network does not take rows of this shape, or gives something other than a row each.
    """
    layouts = {m: m.rows for m in network.modules() if isinstance(m, DomainNorm)}
    set_rows(network, [(2, 0)])
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), evaluating(network):
            weight = next(network.parameters(), torch.empty(0))
            out = network(torch.zeros(2, *shape_in, device=weight.device))
    except Exception as error:
        raise ValueError(f"{name} does not take samples of shape {shape_in}: {error}") from error
    finally:
        for norm, rows in layouts.items():
            norm.rows = rows
    if not isinstance(out, Tensor) or out.ndim < 2 or len(out) != 2:
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(f"{name} must give one row a sample; for 2 samples it gave {shape}")
    return math.prod(out.shape[1:])
