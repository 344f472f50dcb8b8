"""Internal. The short way to an operation, which is the Python function that torch has for it.

``torch.ops.aten.mul.Tensor`` compares what it is given with a schema at every call; ``torch.mul``
has that compiled into it, and takes 2 to 4 microseconds less, of the 5 to 14 of a small operation.
But it chooses among several operations by what it is given. So it is asked once, with arguments of
the same types, to which operation it goes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any

import torch
from torch import Tensor

from repkit.engine.calls import Call, Name, Watch, leaves

Function = Callable[..., Any]
BUILT_IN = BuiltinFunctionType, MethodDescriptorType  # functions in Python are no shorter
_found: dict[tuple[Any, ...], Function] = {}


class Arrived(Exception):
    """An operation was reached."""


class Arrival(Watch):
    """Takes down the first operation that is reached, and does not do it.

    Attributes
    ----------
    call : tuple or None
        The operation and what it was given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.call: tuple[Any, Any, Any] | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.call = func, args, kwargs or {}
        raise Arrived


def quickest(call: Call) -> Function:
    """The function that does an operation, called as the operation is.

    Parameters
    ----------
    call : Call

    Returns
    -------
    callable
        Torch's function or method, if it goes to this very operation for arguments of these types.
    """
    key = call.func, _kinds(call.args), tuple((k, _kinds(x)) for k, x in call.kwargs.items())
    if key not in _found:
        name = call.func.overloadpacket.__name__
        ways = [getattr(place, name, None) for place in (torch, torch._C._nn, Tensor)]
        leading = (way for way in ways if isinstance(way, BUILT_IN) and _leads(way, call))
        _found[key] = next(leading, call.func._op)
    return _found[key]


def _kinds(x: Any) -> Any:
    """What decides where a Python function goes: types of arguments, in lists, too."""
    return (type(x), *map(_kinds, x)) if isinstance(x, list | tuple) else type(x)


def _leads(way: Function, call: Call) -> bool:
    """Whether a function goes to an operation, and with what it was given."""
    # A tensor of no dimension can be taken for a number.
    return all(
        _arrives(way, call, partial(torch.empty, shape, dtype=dtype))
        for shape, dtype in (((1,), None), ((), None), ((), torch.int64))
    )


def _arrives(way: Function, call: Call, make: Callable[[], Tensor]) -> bool:
    """Whether it does with such tensors."""
    args = _filled(call.args, make)
    kwargs = {name: _filled(x, make) for name, x in call.kwargs.items()}
    # Whatever else it raises: this is not the way.
    with torch.no_grad(), Arrival() as arrival, suppress(Exception):
        way(*args, **kwargs)
    if arrival.call is None:
        return False
    func, given, named = arrival.call
    return bool(
        func is call.func
        and _same(given, args)
        and named.keys() == kwargs.keys()
        and all(_same(named[k], x) for k, x in kwargs.items())
    )


def _filled(x: Any, make: Callable[[], Tensor]) -> Any:
    """An argument with a tensor for every name."""
    if isinstance(x, Name):
        return make()
    return type(x)(_filled(y, make) for y in x) if isinstance(x, list | tuple) else x


def _same(x: Any, y: Any) -> bool:
    """Whether two arguments are the same tensors and numbers."""
    first, second = leaves(x), leaves(y)
    return len(first) == len(second) and all(
        a is b or (not isinstance(a, Tensor) and type(a) is type(b) and a == b)
        for a, b in zip(first, second, strict=True)
    )
