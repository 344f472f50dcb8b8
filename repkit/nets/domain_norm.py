"""Internal. Batch norm with statistics of its own for every domain."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class DomainNorm(nn.Module):
    """Batch norm with statistics of its own for every domain, and a shared scale and shift.

    A batch is split into its (count, domain) parts, see `set_rows`, and each is normalized by its
    domain's statistics: the part's own in training, the running ones in evaluation. Relatives:
    AutoDIAL (Carlucci et al. 2017), domain-specific batch norm (Chang et al. 2019).

    Parameters
    ----------
    norm : BatchNorm1d, 2d or 3d
        What to replace; its parameters are taken over and its statistics copied.
    n_domains : int
        Number of domains, each with its own statistics.
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
        """Normalize each part of a batch by the statistics of its domain.

        Parameters
        ----------
        x : Tensor of shape (n, channels, ...)
            The batch, laid out as `set_rows` was told.

        Returns
        -------
        Tensor of shape (n, channels, ...)
            The normalized batch, scaled and shifted.

        Raises
        ------
        ValueError
            If the batch has another number of rows than its layout.
        """
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
    """Replace every batch norm in a network by a `DomainNorm`.

    Parameters
    ----------
    network : nn.Module
        Changed in place.
    n_domains : int
        Number of domains.

    Returns
    -------
    nn.Module
        The network itself, or its replacement if it is a batch norm.
    """
    if isinstance(network, _BatchNorm):
        return DomainNorm(network, n_domains)
    for name, child in network.named_children():
        setattr(network, name, separate_domains(child, n_domains))
    return network


def has_domains(network: nn.Module) -> bool:
    """Whether there is a `DomainNorm` in a network."""
    return any(isinstance(module, DomainNorm) for module in network.modules())


class OneDomain(nn.Module):
    """Batch norm by the running statistics of one domain.

    Parameters
    ----------
    norm : DomainNorm
        Of several domains.
    domain : int
        Its number.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: DomainNorm, domain: int) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.register_buffer("running_mean", norm.running_mean[domain].clone())
        self.register_buffer("running_var", norm.running_var[domain].clone())

    def forward(self, x: Tensor) -> Tensor:
        """Normalize rows of the domain.

        Parameters
        ----------
        x : Tensor of shape (n, channels, ...)
            The batch.

        Returns
        -------
        Tensor of shape (n, channels, ...)
            The normalized batch, scaled and shifted.
        """
        mean, variance = self.running_mean, self.running_var
        return F.batch_norm(x, mean, variance, self.weight, self.bias, False, 0.0, self.eps)


def of_one_domain(network: nn.Module, domain: int) -> nn.Module:
    """Replace every `DomainNorm` in a network by the `OneDomain` of a domain.

    Parameters
    ----------
    network : nn.Module
        Changed in place.
    domain : int
        Its number.

    Returns
    -------
    nn.Module
        The network itself, or its replacement if it is such a layer.
    """
    if isinstance(network, DomainNorm):
        return OneDomain(network, domain)
    for name, child in network.named_children():
        setattr(network, name, of_one_domain(child, domain))
    return network


def set_rows(network: nn.Module, rows: Sequence[tuple[int, int]]) -> None:
    """Tell every `DomainNorm` in a network the layout of a batch.

    Parameters
    ----------
    network : nn.Module
        With any number of such layers, or none.
    rows : sequence of (count, domain)
        How many rows each part of the batch has, and its domain, from 0, in order.
    """
    for module in network.modules():
        if isinstance(module, DomainNorm):
            module.rows = tuple(rows)
