"""How networks are run: evaluation mode for a moment, running statistics and who sets them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


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
