"""Internal. How a user's choice of a network becomes a module."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from repkit._random import lent_generators
from repkit.engine.modes import evaluating
from repkit.nets.domain_norm import DomainNorm, set_rows
from repkit.nets.generators import GENERATORS, Generator, UnitInterval
from repkit.nets.trunks import Reshape, conv, dcgan, features_of, hidden_layer, mlp

Spec = str | nn.Module | Callable[..., nn.Module]
SIDE = 12  # the shortest side of an image for which "auto" takes convolutions

# What a string stands for, in a classifier and in a network that plays against a generator: "conv"
# and "dcgan" are the same trunk in both, "mlp" has the activation that each kind is used to.
CLASSIFIERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": mlp,
    "conv": conv,
    "dcgan": lambda shape_in, dim_out: _linear_on(dcgan(shape_in, dim_out), shape_in, dim_out),
}
BODIES: dict[str, Callable[..., nn.Module]] = {
    "mlp": hidden_layer,
    # What reads a body is linear, so it ends in an activation, as the others do.
    "conv": lambda shape_in, width, norm: nn.Sequential(
        conv(shape_in, width, norm=norm), nn.ReLU()
    ),
    "dcgan": dcgan,
}


def auto(spec: Any, shape: tuple[int, ...], images: str) -> Any:
    """What "auto" stands for: ``images`` for images of at least 12x12, else "mlp"."""
    if isinstance(spec, str) and spec == "auto":
        return images if len(shape) > 1 and min(shape[-2:]) >= SIDE else "mlp"
    return spec


def build(
    spec: Spec,
    *arguments: Any,
    name: str,
    named: Mapping[str, Callable[..., nn.Module]] = CLASSIFIERS,
) -> nn.Module:
    """Build the module that a user's choice stands for.

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
        What a string stands for; by default the networks of a classifier.

    Returns
    -------
    nn.Module
        A network of its own, on the CPU where a module was given.

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
    try:
        network = spec(*arguments)
    except Exception as error:
        raise ValueError(
            f"{name} must make an nn.Module of {', '.join(map(str, arguments))}, but "
            f"{getattr(spec, '__name__', type(spec).__name__)} fails: {error}"
        ) from error
    if not isinstance(network, nn.Module):
        raise TypeError(f"{name} must return an nn.Module, not {type(network).__name__}")
    return network


def build_features(
    spec: Spec, shape_in: tuple[int, ...], n_features: int, *, name: str
) -> tuple[nn.Module, int]:
    """Build the hidden part of a classifier.

    Parameters
    ----------
    spec : str, nn.Module or callable
        "auto", "mlp", "conv" or "dcgan"; "auto" is "conv" for images of at least 12x12, else
        "mlp". A module is copied; a callable gets ``(shape_in, n_features)``.
    shape_in : tuple of int
        Shape of one sample.
    n_features : int
        Outputs of a named network.
    name : str
        The parameter's name, for errors.

    Returns
    -------
    features : nn.Module
        ``x -> (n, width)``. A named network ends in a ReLU; the outputs of any other are
        flattened.
    width : int
        Number of outputs a row.

    Raises
    ------
    ValueError, TypeError
        If ``spec`` is none of these, a callable does not return a module, or the network does
        not take the samples.
    """
    spec = auto(spec, shape_in, "conv")
    body = build(spec, shape_in, n_features, name=name)
    features = nn.Sequential(body, nn.ReLU() if isinstance(spec, str) else nn.Flatten())
    return features, width_out(features, shape_in, name=name)


def build_body(
    spec: Spec, shape_in: tuple[int, ...], width: int, *, name: str, norm: bool = True
) -> tuple[nn.Module, int]:
    """Build what reads samples beside a generator.

    Parameters
    ----------
    spec : str, nn.Module or callable
        "auto", "mlp", "conv" or "dcgan"; "auto" is "dcgan" for images of at least 12x12, else
        "mlp". A module is copied; a callable gets ``(shape_in, width)``.
    shape_in : tuple of int
        Shape of one sample.
    width : int
        Width of a named network.
    name : str
        The parameter's name, for errors.
    norm : bool, default=True
        Whether a named network has batch norm.

    Returns
    -------
    body : nn.Module
        ``x -> (n, outputs)``. The outputs of a network that is not named are flattened.
    outputs : int
        Number of outputs a row.

    Raises
    ------
    ValueError, TypeError
        If ``spec`` is none of these, a callable does not return a module, or the network does
        not take the samples.
    """
    spec = auto(spec, shape_in, "dcgan")
    named = {k: partial(f, norm=norm) for k, f in BODIES.items()}
    body = build(spec, shape_in, width, name=name, named=named)
    body = body if isinstance(spec, str) else nn.Sequential(body, nn.Flatten())
    return body, width_out(body, shape_in, name=name)


def build_hidden(
    spec: Spec, shape_in: tuple[int, ...], width: int, *, name: str, norm: bool = True
) -> tuple[nn.Module, int]:
    """Build what reads samples, with one more fully connected layer behind a named network.

    Parameters
    ----------
    spec : str, nn.Module or callable
        "auto", "mlp", "conv" or "dcgan"; "auto" is "dcgan" for images of at least 12x12, else
        "mlp". A module is copied; a callable gets ``(shape_in, width)``.
    shape_in : tuple of int
        Shape of one sample.
    width : int
        Width of a named network and of the layer behind it.
    name : str
        The parameter's name, for errors.
    norm : bool, default=True
        Whether a named network has batch norm.

    Returns
    -------
    body : nn.Module
        ``x -> (n, outputs)``. The outputs of a network that is not named are flattened.
    outputs : int
        Number of outputs a row; ``width`` for a named network.

    Raises
    ------
    ValueError, TypeError
        If ``spec`` is none of these, a callable does not return a module, or the network does
        not take the samples.
    """
    body, outputs = build_body(spec, shape_in, width, name=name, norm=norm)
    if isinstance(spec, str):
        return features_of(body, outputs, width, norm=norm), width
    return body, outputs


def build_generator(
    spec: Spec, latent_dim: int, shape_out: tuple[int, ...], width: int
) -> Generator:
    """Build a generator.

    Parameters
    ----------
    spec : str, nn.Module or callable
        "auto", "mlp" or "dcgan"; "auto" is "dcgan" for images of at least 12x12, else "mlp". A
        module is copied; a callable gets ``(latent_dim, shape_out)``.
    latent_dim : int
        Columns of its input.
    shape_out : tuple of int
        Shape of one sample.
    width : int
        Width of a named network.

    Returns
    -------
    Generator
        ``(n, latent_dim) -> (n, *shape_out)``, in (0, 1): a sigmoid follows what ``spec``
        stands for. It gives the logits, too.

    Raises
    ------
    ValueError, TypeError
        If ``spec`` is none of these, a callable does not return a module, or the network gives
        another number of outputs.
    """
    named = {k: partial(f, width=width) for k, f in GENERATORS.items()}
    spec = auto(spec, shape_out, "dcgan")
    network = build(spec, latent_dim, shape_out, name="generator", named=named)
    found = width_out(network, (latent_dim,), name="generator")
    if found != math.prod(shape_out):
        raise ValueError(
            f"generator must give samples of shape {shape_out}, {math.prod(shape_out)} numbers, "
            f"from rows of {latent_dim}; it gives {found}"
        )
    return Generator(network, Reshape(shape_out), UnitInterval())


def width_out(network: nn.Module, *shapes: tuple[int, ...], name: str) -> int:
    """Count the outputs of a network for a row, by passing two rows of zeros through.

    Parameters
    ----------
    network : nn.Module
        Its mode, its statistics and the global generators stay as they are.
    *shapes : tuple of int
        Shape of one sample, of each input.
    name : str
        The parameter's name, for errors.

    Returns
    -------
    int
        Outputs a row.

    Raises
    ------
    ValueError
        If the network does not take rows of this shape, or gives something other than a row each.
    """
    layouts = {m: m.rows for m in network.modules() if isinstance(m, DomainNorm)}
    set_rows(network, [(2, 0)])
    try:
        weight = next(network.parameters(), torch.empty(0))
        with torch.no_grad(), lent_generators(weight.device), evaluating(network):
            out = network(*(torch.zeros(2, *shape, device=weight.device) for shape in shapes))
    except Exception as error:
        taken = " and ".join(map(str, shapes))
        raise ValueError(f"{name} does not take samples of shape {taken}: {error}") from error
    finally:
        for norm, rows in layouts.items():
            norm.rows = rows
    if not isinstance(out, Tensor) or out.ndim < 2 or len(out) != 2:
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(f"{name} must give one row a sample; for 2 samples it gave {shape}")
    return math.prod(out.shape[1:])


def _linear_on(trunk: nn.Module, shape_in: tuple[int, ...], dim_out: int) -> nn.Module:
    width = width_out(trunk, shape_in, name="dcgan")
    return nn.Sequential(trunk, nn.Linear(width, dim_out))
