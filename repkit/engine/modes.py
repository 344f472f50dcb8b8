"""Internal. How networks are run: evaluation mode for a moment, and who sets running statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


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


def frozen(*networks: nn.Module) -> list[nn.Module]:
    """The layers with running statistics in parts whose parameters are all frozen.

    A part is the nearest module around the layer that has parameters; it is frozen if none of them
    asks for a gradient.
    """

    def below(module: nn.Module, still: bool) -> Iterator[nn.Module]:
        own = list(module.parameters())
        if own:
            still = not any(p.requires_grad for p in own)
        if still and getattr(module, "track_running_stats", False):
            yield module
        for child in module.children():
            yield from below(child, still)

    return [layer for network in networks for layer in below(network, False)]


def norms(*networks: nn.Module) -> list[Any]:
    """The layers that keep running statistics."""
    return [
        module
        for network in networks
        for module in network.modules()
        if getattr(module, "track_running_stats", False)
    ]


@contextmanager
def still(layers: Iterable[Any]) -> Iterator[None]:
    """Let batches be normalized by their own statistics, and the running ones stand still.

    Parameters
    ----------
    layers : iterable of modules
        See `norms`.
    """
    layers = list(layers)
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


@torch.no_grad()
def renew_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Take the running statistics of batch norm anew: the mean of those of the given batches.

    As ``torch.optim.swa_utils.update_bn``, but for layers in frozen parts, which stay as they are.

    Parameters
    ----------
    network : nn.Module
        Left in evaluation mode.
    batches : iterable of Tensor
        Inputs of the network.
    """
    fixed = frozen(network)
    layers = [m for m in network.modules() if isinstance(m, _BatchNorm) and m not in fixed]
    if not layers:
        network.eval()
        return
    momenta = [layer.momentum for layer in layers]
    network.train()
    for layer in fixed:
        layer.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    for batch in batches:
        network(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.eval()
