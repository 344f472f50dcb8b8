"""Internal. Operations of a step that need not be done again: constants, and what nobody reads.

Autograd begins at a tensor of ones, divides it by the size of a batch and spreads it over the rows;
batch norm makes a tensor that only some processors need; a function of ours in Python has gradients
of weights where a player asks for that of an image alone. When a step is recorded it is known what
is read, and what such operations gave that is the same at every step.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from repkit.engine.calls import Call, Name

# Of a tensor that they are given they take the shape alone.
LIKE = {"full_like", "new_full", "new_ones", "new_zeros", "ones_like", "zeros_like"}
# Of what is neither on each number by itself nor a view, what says all it does by what it gives.
OTHERS = {
    "_to_copy",
    "_unsafe_view",
    "addmm",
    "arange",
    "argmax",
    "cat",
    "clone",
    "col2im",
    "convolution",
    "convolution_backward",
    "empty",
    "eye",
    "full",
    "im2col",
    "linspace",
    "mean",
    "mm",
    "ones",
    "repeat",
    "scalar_tensor",
    "stack",
    "sum",
    "zeros",
}
MOST = 2**16  # bytes of a constant, which stays in memory


@cache
def pure(func: Any) -> bool:
    """Whether an operation does nothing but give something, the same for the same arguments."""
    if func._schema.is_mutable or torch.Tag.nondeterministic_seeded in func.tags:
        return False
    if torch.Tag.pointwise in func.tags or func.overloadpacket.__name__ in LIKE | OTHERS:
        return True
    returns = func._schema.returns
    return bool(returns) and all(value.alias_info is not None for value in returns)  # a view


def constant(call: Call, constants: Collection[Name]) -> bool:
    """Whether what an operation gives is the same at every step, given what is."""
    if not pure(call.func):
        return False
    like = call.func.overloadpacket.__name__ in LIKE
    return like or all(x in constants for x in call.given())


def is_small(x: Any) -> bool:
    """Whether something is a tensor that may stay in memory."""
    return isinstance(x, Tensor) and x.untyped_storage().nbytes() <= MOST


def needed(
    calls: Sequence[Call], constants: Collection[Name], wanted: Collection[Name]
) -> list[Call]:
    """The operations whose results are read, and are not known.

    Parameters
    ----------
    calls : sequence of Call
    constants : collection of Name
        Variables that are the same at every step.
    wanted : collection of Name
        What is read after the step.

    Returns
    -------
    list of Call
        In the same order.
    """
    read, found = set(wanted), []
    for call in reversed(calls):
        idle = read.isdisjoint(call.results) or all(x in constants for x in call.results)
        if not (idle and pure(call.func)):
            read.update(call.given())
            found.append(call)
    return found[::-1]
