"""Internal. What a run is: a fingerprint of parameters and data, the code among them included."""

from __future__ import annotations

import copyreg
import dis
import logging
import os
import sys
import sysconfig
import types
import uuid
import warnings
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Any

import joblib
import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from repkit.base.parameters import Part
from repkit.engine.batches import passes

DEPTH = 50  # of objects in objects; what is deeper cannot be compared
# Of this environment, and of those on the path that it builds on.
LIBRARIES = tuple(
    os.path.realpath(path) + os.sep
    for path in {
        *(sysconfig.get_path(k) for k in ("stdlib", "platstdlib", "purelib", "platlib")),
        *(p for p in sys.path if os.path.basename(p) in ("site-packages", "dist-packages")),
    }
)
DESCRIPTORS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)


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
        return str(joblib.hash(_Describer().of(things))), None
    except Incomparable as error:
        return uuid.uuid4().hex, str(error)
    except Exception as error:  # whatever a foreign object raises when it is looked at
        return uuid.uuid4().hex, f"an object that cannot be read ({type(error).__name__}: {error})"


class _Describer:
    """Plain data that stand for values: equal for values that do the same.

    A user's code counts with all that it reads: what is bound to it, globals, its class. Code of a
    library counts by its name and the library's version.
    """

    def __init__(self) -> None:
        self.above: list[int] = []  # what is being described: a value may refer to itself
        self.known: dict[int, tuple[Any, str]] = {}  # the value, which so stays alive; its digest

    def of(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return (
                value if type(value).__module__ == "builtins" else (repr(type(value)), str(value))
            )
        if id(value) in self.known:
            return self.known[id(value)][1]
        if id(value) in self.above:
            return "itself", len(self.above) - self.above.index(id(value))
        if len(self.above) >= DEPTH:
            raise Incomparable(f"objects nested too deeply, in {type(value).__name__}")
        self.above.append(id(value))
        try:
            found = self._container(value)
        finally:
            self.above.pop()
        if isinstance(value, type | types.FunctionType | nn.Module):
            found = str(joblib.hash(found))  # once, however often it is met
            self.known[id(value)] = value, found
        return found

    def _container(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return "tensor", str(value.dtype), _numbers(value)
        if isinstance(value, np.ndarray) and value.dtype.hasobject:
            return "objects", value.shape, self.of(value.tolist())
        if isinstance(value, np.memmap):
            blocks = [str(joblib.hash(np.ascontiguousarray(block))) for block in passes(value)]
            return "mapped", value.shape, value.dtype.str, blocks
        if isinstance(value, np.ndarray | np.generic):
            return value
        if sparse.issparse(value):
            table = sparse.csr_array(value)
            return "sparse", table.shape, table.data, table.indices, table.indptr
        if isinstance(value, Part):
            return type(value).__name__, self.of(value.get_params())
        if isinstance(value, nn.Module):
            return self._module(value)
        if isinstance(value, dict | list | tuple | set | frozenset):
            items: Any
            if isinstance(value, dict):
                items = [(self.of(k), self.of(v)) for k, v in value.items()]
            elif isinstance(value, list | tuple):
                items = [self.of(v) for v in value]
            else:
                items = sorted(repr(self.of(v)) for v in value)
            if _is_library(type(value).__module__):
                return items
            return items, self._object(value)
        if isinstance(value, torch.dtype | torch.device | types.ModuleType | range | slice):
            return repr(value)
        if isinstance(value, os.PathLike):
            return "path", os.fspath(value)
        if isinstance(value, logging.Logger):
            return "logger", value.name
        if str(type(value).__module__).partition(".")[0] == "pandas":
            return str(joblib.hash(value))
        if isinstance(value, type):
            return self._class(value)
        return self._code(value) if callable(value) else self._object(value)

    # ---------------------------------------------------------------- code

    def _code(self, value: Any) -> Any:
        """What stands for a callable: its code, and all that is bound to it."""
        if isinstance(value, partial):
            return "partial", self.of(value.func), self.of(value.args), self.of(value.keywords)
        if isinstance(value, types.MethodType):
            return "method", self.of(value.__func__), self.of(value.__self__)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, DESCRIPTORS):
            return repr(value)
        if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType | np.ufunc):
            owner = getattr(value, "__self__", None)
            if owner is None or isinstance(owner, types.ModuleType):
                return repr(value).partition(" at 0x")[0]
            return value.__name__, self.of(owner)
        return self._object(value)

    def _function(self, value: types.FunctionType) -> Any:
        code = value.__code__
        library = os.path.realpath(code.co_filename).startswith(LIBRARIES)
        library = library or _is_library(value.__module__)
        if library and "<locals>" not in code.co_qualname:
            return value.__module__, value.__qualname__, _version(value.__module__)
        return (
            value.__qualname__,
            _bytecode(code),
            self.of(value.__defaults__),
            self.of(value.__kwdefaults__),
            [self.of(_content(cell)) for cell in value.__closure__ or ()],
            self.of(dict(vars(value))),
            [] if library else self._globals(value, code),
        )

    def _globals(self, function: types.FunctionType, code: types.CodeType) -> list[Any]:
        """The globals that a function reads, and those of functions and comprehensions in it."""
        found, module = [], None
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                value = function.__globals__.get(step.argval, _content)
            elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and module is not None:
                value = getattr(module, step.argval, _content)
            else:
                module = None
                continue
            module = None
            if value is _content:  # a builtin
                continue
            if isinstance(value, types.ModuleType):
                # Of a user's module, what is read of it; a library's by its name.
                module = None if _is_library(value.__name__) else value
                found.append((step.argval, value.__name__))
            else:
                found.append((step.argval, self.of(value)))
        for inner in code.co_consts:
            if isinstance(inner, types.CodeType):
                found += self._globals(function, inner)
        return found

    def _class(self, cls: type) -> Any:
        """A class: its name, its functions, and of a user's class its values, too."""
        found: list[Any] = []
        for owner in cls.__mro__[:-1]:
            found.append(f"{owner.__module__}.{owner.__qualname__}")
            if _is_library(owner.__module__):
                found.append(_version(owner.__module__))
                continue
            for name, value in sorted(vars(owner).items()):
                functions = _functions(value)
                hidden = name == "_abc_impl" or (name.startswith("__") and name.endswith("__"))
                if functions:
                    found.append((name, [self.of(function) for function in functions]))
                elif not hidden and not isinstance(value, DESCRIPTORS):
                    found.append((name, self.of(value)))
        return found

    # ---------------------------------------------------------------- objects

    def _module(self, value: nn.Module) -> Any:
        """A network: its class, its tensors, and whatever else it holds."""
        held = dict(vars(value))
        tensors = {**held.pop("_parameters"), **held.pop("_buffers")}
        children = held.pop("_modules")
        hooks = {k: list(held.pop(k).values()) for k in list(held) if "_hooks" in k and held[k]}
        held = {k: v for k, v in held.items() if "_hooks" not in k and k != "_compiled_call_impl"}
        return (
            self.of(type(value)),
            [(k, v is not None and v.requires_grad, self.of(v)) for k, v in tensors.items()],
            [(k, self.of(v)) for k, v in children.items()],
            self.of(held),
            self.of(hooks),
        )

    def _object(self, value: Any) -> Any:
        """What stands for any object: its class, its attributes, and what a pickle would hold."""
        cls = type(value)
        name = f"{cls.__module__}.{cls.__qualname__}"
        if cls.__module__ == "builtins":
            raise Incomparable(f"an object of {name}")
        attributes = {**getattr(value, "__dict__", {}), **dict(_slots(value))}
        own = cls in copyreg.dispatch_table or any(
            getattr(cls, k, None) is not getattr(object, k) for k in ("__reduce__", "__reduce_ex__")
        )
        if own and not isinstance(value, dict | list | tuple | set | frozenset):
            attributes = {"": attributes, "reduced": _reduced(value, attributes)}
        elif not attributes and not any(
            _functions(v) for c in cls.__mro__ for v in vars(c).values()
        ):
            raise Incomparable(f"an object of {name}")
        return self.of(cls), self.of(attributes)


# ---------------------------------------------------------------- helpers


def _numbers(x: Tensor) -> Any:
    try:
        x = x.detach().cpu()
        x = x.to_dense() if x.layout != torch.strided else x
        return x.float().numpy() if x.dtype == torch.bfloat16 else x.numpy()
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise Incomparable(f"a tensor of {type(x).__name__}") from error


def _is_library(module: str | None) -> bool:
    """Whether a module is installed, rather than a user's own; this package is, too."""
    top = str(module).partition(".")[0]
    if top == "repkit":
        return True
    if top == "__main__":
        return False
    file = getattr(sys.modules.get(str(module)) or sys.modules.get(top), "__file__", None)
    if file is None:
        return top in sys.stdlib_module_names or top == "builtins"
    return os.path.realpath(file).startswith(LIBRARIES)


def _version(module: str | None) -> str:
    """Of the package that a module is in."""
    return str(getattr(sys.modules.get(str(module).partition(".")[0]), "__version__", ""))


def _bytecode(code: types.CodeType) -> Any:
    constants = [_constant(c) for c in code.co_consts]
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _bytecode(value)
    if isinstance(value, frozenset):  # its order is another one in each process
        return sorted(repr(v) for v in value)
    return [_constant(v) for v in value] if isinstance(value, tuple) else repr(value)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "empty"


def _functions(value: Any) -> list[types.FunctionType]:
    """The functions of what stands in a class: of itself, a property, a class method."""
    if isinstance(value, property):
        inner = [value.fget, value.fset, value.fdel]
    elif isinstance(value, cached_property):
        inner = [value.func]
    else:
        inner = [value.__func__ if isinstance(value, staticmethod | classmethod) else value]
    return [f for f in inner if isinstance(f, types.FunctionType)]


def _slots(value: Any) -> Iterator[tuple[str, Any]]:
    for owner in type(value).__mro__:
        slots = vars(owner).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{owner.__name__.lstrip('_')}{name}"
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                yield name, getattr(value, name)


def _reduced(value: Any, attributes: Mapping[str, Any]) -> Any:
    """What a pickle would hold of an object that says so itself."""
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = value.__reduce_ex__(2) if reduce is None else reduce(value)
    except Exception as error:
        if attributes:
            return None
        raise Incomparable(
            f"an object of {type(value).__module__}.{type(value).__qualname__}"
        ) from error
    if isinstance(found, str):
        return found
    return [list(v) if isinstance(v, Iterator) else v for v in found]
