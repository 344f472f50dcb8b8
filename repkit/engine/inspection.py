"""Internal. What networks and callables are made of: whose code, and settings outside of tensors.

A step is recorded where all code that it calls is known to do the same at every step, and recorded
anew where something about that code was changed since.
"""

from __future__ import annotations

import os
import re
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.modules import module as of_torch

# Transforms of torchvision choose on the host; what the user has compiled cannot be seen.
KNOWN = re.compile(r"(torch(?!\._dynamo\.)|torchaudio|torchvision(?!\.transforms\.)|repkit)\.")
HOOKS = (
    "_backward_hooks",
    "_backward_pre_hooks",
    "_forward_hooks",
    "_forward_pre_hooks",
)
PLAIN = (bool, int, float, str, tuple, np.generic, type(None))


def trusted() -> bool:
    """Whether the environment says that unknown code does the same at every step."""
    return os.environ.get("REPKIT_GRAPHS") == "1"


def foreign(code: Iterable[Any]) -> str | None:
    """The name of a module, hook or function that is not of a known package, if there is any.

    It could draw random numbers on the host, which a recorded step would repeat.
    """
    if trusted():
        return None
    return next((name for part in _callables(code) if (name := _stranger(part))), None)


def _stranger(part: Any) -> str | None:
    """The name of a callable that is not known, or that somebody has compiled."""
    if getattr(part, "_compiled_call_impl", None) is not None:
        return f"what torch.compile made of {type(part).__name__}"
    if not isinstance(part, type) and hasattr(part, "__qualname__"):  # a function
        place = getattr(getattr(part, "__objclass__", part), "__module__", None) or ""
        return None if KNOWN.match(f"{place}.") else f"{place}.{part.__qualname__}"
    for kind in (part if isinstance(part, type) else type(part)).__mro__:
        standard = kind.__module__.partition(".")[0] in sys.stdlib_module_names
        if not standard and not KNOWN.match(f"{kind.__module__}."):
            return f"{kind.__module__}.{kind.__qualname__}"
    return None


def _callables(code: Iterable[Any]) -> Iterator[Any]:
    """Networks and functions, and all that they hold: layers, hooks, functions in attributes."""
    waiting, seen = [*code, *_hooks_of_all()], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, Tensor | weakref.ref | str):
            continue
        seen.add(id(part))
        if isinstance(part, Mapping):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set):
            waiting.extend(part)
        elif isinstance(part, partial):
            waiting.extend([part.func, *part.args, *part.keywords.values()])
        elif isinstance(part, MethodType):
            waiting.append(part.__func__)
            waiting.extend([part.__self__] if isinstance(part.__self__, nn.Module) else [])
        elif callable(part):
            yield part
            if not isinstance(part, type | FunctionType):
                waiting.extend(getattr(part, "__dict__", {}).values())
            if isinstance(part, nn.Module):
                waiting.extend(_hooks_of_tensors(part))


def _hooks_of_all() -> list[dict[Any, Any]]:
    """Hooks that torch calls for every module."""
    return [getattr(of_torch, f"_global{name}", {}) for name in HOOKS]


def _hooks_of_tensors(module: nn.Module) -> list[dict[Any, Any]]:
    """Hooks on the gradients of a module's own parameters."""
    own = module._parameters.values()
    hooks: list[dict[Any, Any]] = [p._backward_hooks or {} for p in own if p is not None]
    return hooks


def settings_of(code: Iterable[Any]) -> list[Any]:
    """What of networks and callables is not in tensors, and a callback may change.

    A share of dropout, say, or which layers, parameters and hooks there are, and which parameters
    are trained. Of two such lists it matters only whether they are equal.
    """
    found: list[Any] = [id(hook) for hooks in _hooks_of_all() for hook in hooks.values()]
    for part in code:
        for module in part.modules() if isinstance(part, nn.Module) else [part]:
            own = getattr(module, "__dict__", {})
            found += [
                type(module),
                {k: v for k, v in own.items() if isinstance(v, PLAIN) and _is_plain(v)},
            ]
            if isinstance(module, nn.Module):
                held = own["_modules"], own["_parameters"], own["_buffers"]
                found += [id(x) for some in held for x in some.values()]
                hooks = *(own[name] for name in HOOKS), *_hooks_of_tensors(module)
                found += [id(hook) for some in hooks for hook in some.values()]
                found += [p.requires_grad for p in module.parameters(recurse=False)]
    return found


def _is_plain(x: Any) -> bool:
    """Whether something can be compared as a whole."""
    return not isinstance(x, tuple) or all(isinstance(y, PLAIN) and _is_plain(y) for y in x)
