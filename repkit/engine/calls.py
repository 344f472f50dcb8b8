"""Internal. Operations as they are written down: what they are given and give, by names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Watch(TorchDispatchMode):
    """Sees operations, and is never compiled itself."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say so: else torch imports its compiler, which takes 1.3 s."""
        return False


class Name(str):
    """The variable that a tensor is in."""


@dataclass
class Call:
    """An operation, what it is given, and what it gives.

    Parameters
    ----------
    func : OpOverload
    args, kwargs : list or tuple, dict
        Names in the place of tensors.
    results : list of Name or None
        None for what is there already, or is no tensor.
    many : bool
        Whether it gives several.
    """

    func: Any
    args: Any
    kwargs: Any
    results: list[Name | None]
    many: bool

    def given(self) -> list[Name]:
        """The variables that it reads or writes to."""
        found = leaves((self.args, *self.kwargs.values()))
        return [x for x in found if isinstance(x, Name)]

    def used(self) -> Iterator[Name]:
        """The variables that it reads, writes to or makes."""
        yield from self.given()
        yield from (x for x in self.results if x is not None)


# Of variables: the number of the memory, where in it they begin, shape, strides, type, and flags.
Places = Mapping[Name, tuple[Any, ...]]


def leaves(x: Any) -> list[Any]:
    """What is in nested lists and tuples; recordings took 1.7 times as long by ``tree_leaves``."""
    if type(x) not in (list, tuple):
        return [x]
    return [y for part in x for y in (leaves(part) if type(part) in (list, tuple) else [part])]
