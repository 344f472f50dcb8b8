"""Internal. What a run is: a fingerprint of parameters and data, the code among them included."""

from __future__ import annotations

import functools
import types
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import joblib
import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from repkit.base.parameters import Part

DEPTH = 12  # of objects in objects; what is deeper cannot be compared


class Incomparable(Exception):
    """An object of which nothing tells whether another one does the same."""


def fingerprint(*things: Any) -> tuple[str, str | None]:
    """Hash what was given.

    Parameters
    ----------
    *things
        Parameters, data, weights: of any type.

    Returns
    -------
    run : str
        32 hexadecimal digits: the same for the same things, in this and in any other process. If
        something cannot be compared, one that never comes again.
    reason : str or None
        What could not be compared.
    """
    try:
        described = [described_as(thing) for thing in things]
    except Incomparable as error:
        return uuid.uuid4().hex, str(error)
    return str(joblib.hash(described)), None


def described_as(value: Any, depth: int = DEPTH) -> Any:
    """Plain data that stand for a value: equal for values that do the same."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return value
    if depth == 0:
        raise Incomparable(f"objects nested too deeply, in {type(value).__name__}")
    below = functools.partial(described_as, depth=depth - 1)
    if isinstance(value, Tensor):
        return "tensor", str(value.dtype), _numbers(value)
    if isinstance(value, np.ndarray | np.generic) or sparse.issparse(value):
        return value
    if isinstance(value, Part):
        return type(value).__name__, below(value.get_params())
    if isinstance(value, nn.Module):
        state = {k: _numbers(v) for k, v in value.state_dict().items()}
        code = {name: below(type(m).forward) for name, m in value.named_modules()}
        return repr(value), state, code
    if isinstance(value, Mapping):
        return [(below(k), below(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return [below(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted(repr(below(v)) for v in value)
    if isinstance(value, torch.dtype | torch.device | type | types.ModuleType | range | slice):
        return repr(value)
    if callable(value):
        return _code(value, below)
    return _object(value, below)


def _numbers(x: Tensor) -> Any:
    x = x.detach().cpu()
    return x.float().numpy() if x.dtype == torch.bfloat16 else x.numpy()


def _code(value: Any, below: Callable[[Any], Any]) -> Any:
    """What stands for a callable: its code, and all that is bound to it."""
    if isinstance(value, functools.partial):
        return "partial", below(value.func), below(value.args), below(value.keywords)
    if isinstance(value, types.MethodType):
        return "method", below(value.__func__), below(value.__self__)
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        # A function that refers to itself would have no end.
        bound = [c for c in cells if c is not value]
        return (
            value.__qualname__,
            _bytecode(value.__code__),
            below(value.__defaults__),
            below(value.__kwdefaults__),
            below(bound),
            [(n, _global(value, n, below)) for n in value.__code__.co_names],
        )
    if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType | np.ufunc):
        owner = getattr(value, "__self__", None)
        if owner is None or isinstance(owner, types.ModuleType):
            return repr(value).partition(" at 0x")[0]
        return value.__name__, below(owner)
    return _object(value, below)


def _global(function: types.FunctionType, name: str, below: Callable[[Any], Any]) -> Any:
    """A global that a function reads, where it is data; code by its name alone."""
    found = function.__globals__.get(name)
    plain = int | float | str | tuple | list | dict | np.ndarray | Tensor
    return below(found) if isinstance(found, plain) else getattr(found, "__qualname__", None)


def _bytecode(code: types.CodeType) -> Any:
    constants = [_bytecode(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return code.co_code, constants, code.co_names


def _object(value: Any, below: Callable[[Any], Any]) -> Any:
    """What stands for any object: its class, its code and its attributes."""
    cls = type(value)
    attributes = dict(getattr(value, "__dict__", {}))
    for owner in cls.__mro__:
        for name in getattr(owner, "__slots__", ()):
            if hasattr(value, name):
                attributes[name] = getattr(value, name)
    code = {
        name: _bytecode(f.__code__)
        for owner in cls.__mro__
        for name, f in vars(owner).items()
        if isinstance(f, types.FunctionType)
    }
    if not code and not attributes:
        raise Incomparable(f"an object of {cls.__module__}.{cls.__qualname__}")
    return f"{cls.__module__}.{cls.__qualname__}", below(attributes), code
