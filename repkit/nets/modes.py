"""How networks are run: evaluation mode for a moment, running statistics and who sets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
    """Let batches be normalised by their own statistics, and the running ones stand still.

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
def recalibrate(
    network: nn.Module, run: Callable[[Tensor], Any], batches: Iterable[Tensor]
) -> None:
    """Set the running statistics of batch norm to the mean over the given batches.

    Exponential averages of a training in which the weights moved and several kinds of samples
    passed are replaced by the statistics of the weights at hand.

    Parameters
    ----------
    network : nn.Module
    run : callable
        Passes a batch through the network.
    batches : iterable of Tensor
        Each of at least two rows.
    """
    layers = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not layers:
        return
    modes = [(module, module.training) for module in network.modules()]
    momenta = [layer.momentum for layer in layers]
    for module, _ in modes:
        module.training = False
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over the batches
        layer.training = True
    try:
        for batch in batches:
            run(batch)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, mode in modes:
            module.training = mode
