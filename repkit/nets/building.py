"""How a user's choice of a network becomes a module."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from repkit.nets.domains import DomainNorm, set_rows
from repkit.nets.modes import evaluating
from repkit.nets.plain import conv, mlp

Spec = str | nn.Module | Callable[..., nn.Module]
NETWORKS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {"mlp": mlp, "conv": conv}


def build(
    spec: Spec,
    *arguments: Any,
    name: str,
    named: Mapping[str, Callable[..., nn.Module]] = NETWORKS,
) -> nn.Module:
    """The module that a user's choice stands for.

    Parameters
    ----------
    spec : str, nn.Module or callable
        A module is deep-copied, so that the one given never changes; a callable gets the
        arguments.
    *arguments
        ``(shape_in, dim_out)``: the shape of one sample and the number of outputs, unless the
        place of this network has others.
    name : str
        The parameter's name, for errors.
    named : mapping of str to callable
        What a string stands for; by default "mlp" and "conv".

    Raises
    ------
    ValueError, TypeError
        If ``spec`` is none of these, or a callable does not return a module.
    """
    if isinstance(spec, nn.Module):
        return copy.deepcopy(spec).cpu().float()
    if isinstance(spec, str):
        if spec not in named:
            raise ValueError(
                f"{name}={spec!r} is not known; give one of {sorted(named)}, a callable that "
                "returns an nn.Module, or an nn.Module"
            )
        return named[spec](*arguments)
    if not callable(spec):
        raise TypeError(
            f"{name} must be a string, a callable that returns an nn.Module, or an nn.Module, not "
            f"{type(spec).__name__}"
        )
    network = spec(*arguments)
    if not isinstance(network, nn.Module):
        raise TypeError(f"{name} returned {type(network).__name__}, not an nn.Module")
    return network


def build_features(
    spec: Spec, shape_in: tuple[int, ...], n_features: int, *, name: str
) -> tuple[nn.Module, int]:
    """The hidden part of a classifier, ``x -> (n, width)``, and its width.

    A named network ends in a ReLU; the outputs of any other are flattened. See `build`.
    """
    body = build(spec, shape_in, n_features, name=name)
    features = nn.Sequential(body, nn.ReLU() if isinstance(spec, str) else nn.Flatten())
    return features, width_out(features, shape_in, name=name)


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
