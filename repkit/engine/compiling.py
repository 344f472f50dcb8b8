"""Internal. Networks compiled by ``torch.compile``, as the phases of a system call them.

The network's own call is compiled, for each way in which it is called; a method of it runs as it
is. What is trained, kept and given to the user is the network itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

log = logging.getLogger("repkit")

BACKEND = "inductor"
# Ways to call the networks of one class, all those of a process: with 8, torch's own number, the
# second fit or the third would go on without the compiler.
MOST_WAYS = 64


def compiled(
    networks: Mapping[str, nn.Module], device: torch.device
) -> dict[str, Callable[..., Any]]:
    """The networks, each to be compiled when it is called, and a line in the log that says so.

    Raises
    ------
    ValueError
        If nothing can be compiled for this device.
    """
    log.info(
        "compile=True: torch.compile works on the networks %s in the first steps, for seconds to "
        "minutes",
        ", ".join(networks),
    )
    _try(device)
    return {name: torch.compile(network, backend=_backend) for name, network in networks.items()}


@cache
def _try(device: torch.device) -> None:
    """Compile something small: a compiler of C++ may be missing, or Triton on a GPU."""
    ways, buffers = _settings()
    try:
        with ways, buffers:
            torch.compile(torch.sin, backend=_backend)(torch.zeros(1, device=device))
    except Exception as error:
        raise ValueError(
            f"compile=True: torch.compile does not work here for device {str(device)!r} "
            f"({_reason(error)}); install what it lacks, or set compile=False"
        ) from error


def _reason(error: BaseException) -> str:
    """Its first line, or that of the backend's own error."""
    error = getattr(error, "inner_exception", error)
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
    """Torch's own, by another name: else it would take what was compiled without `calling`."""
    from torch._dynamo import lookup_backend  # slow to import

    found: Callable[..., Any] = lookup_backend(BACKEND)(graph, inputs)
    return found


def plain(network: Callable[..., Any]) -> Callable[..., Any]:
    """A network as it was before `compiled`, after which it has no second derivative.

    To penalize a slope is to differentiate it once more.
    """
    found: Callable[..., Any] = getattr(network, "_orig_mod", network)
    return found


@contextmanager
def calling() -> Iterator[None]:
    """Where compiled networks are called and differentiated, by several losses through one call.

    By default the first gradient takes the memory of the forward pass for its own numbers. Torch's
    settings hold in one thread, so gradients must be taken in that one, on a GPU as well.

    Raises
    ------
    ValueError
        If torch cannot compile a network.
    """
    ways, buffers = _settings()
    with ways, buffers, torch.autograd.set_multithreading_enabled(False):
        try:
            yield
        except torch._dynamo.exc.TorchDynamoException as error:
            raise ValueError(
                f"compile=True: torch.compile does not work on one of the networks "
                f"({_reason(error)}); set compile=False"
            ) from error


@cache
def _settings() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Made once: each is a class and a context variable, which are never freed."""
    return (
        torch._dynamo.config.patch(cache_size_limit=MOST_WAYS),
        torch._functorch.config.patch(donated_buffer=False),
    )
