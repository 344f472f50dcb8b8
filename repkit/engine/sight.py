"""Internal. What a step does, operation by operation: whether the next one does the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Operations for which the host needs numbers of the device, or the device numbers of the host.
LOOKS = {
    "_local_scalar_dense",
    "equal",
    "is_nonzero",
    "lift_fresh",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "_unique2",
    "unique_consecutive",
    "unique_dim",
}
OTHERS = "a step has {} operations, the next {}, or others"
CHANGES = "{} is given something else at every step"


class Watching(TorchDispatchMode):
    """A mode that is never compiled: torch then need not import its compiler, which takes 1.3 s."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class Sight(Watching):
    """Notes every operation with the numbers and the addresses that a graph would keep.

    Attributes
    ----------
    log : list of (str, tuple)
        The name of each operation, and what it was given: tensors that were there before by their
        address, those made inside by which operation made them.
    look : str or None
        An operation for which the host waits, if there was one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[str, tuple[Any, ...]]] = []
        self.look: str | None = None
        self._made: dict[int, int] = {}
        # Keeps the number of a memory from another, but not the memory.
        self._watched: list[StorageWeakRef] = []

    def record(self, act: Callable[[], Any]) -> Any:
        """Take a step, and note it."""
        with self:
            return act()

    def against(self, other: Sight) -> str | None:
        """Why this step and the one after it cannot be one graph, if they cannot."""
        if self.look is not None:
            return f"the host waits for {self.look}"
        if [name for name, _ in self.log] != [name for name, _ in other.log]:
            return OTHERS.format(len(self.log), len(other.log))
        for (name, before), (_, after) in zip(self.log, other.log, strict=True):
            if before != after:
                return CHANGES.format(name)
        return None

    def _place(self, x: Any) -> Any:
        if isinstance(x, Tensor):
            if x.layout is not torch.strided:
                return str(x.layout)
            key = memory(x)
            where = ("made", self._made[key]) if key in self._made else ("there", x.data_ptr())
            return *where, tuple(x.shape), x.stride(), str(x.dtype)
        return "generator" if isinstance(x, torch.Generator) else repr(x)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves = tree_leaves((args, kwargs or {}))
        known = {memory(x) for x in leaves if isinstance(x, Tensor)}
        self.log.append((func.overloadpacket.__name__, tuple(self._place(x) for x in leaves)))
        self.look = self.look or look(func, args)
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            key = memory(x) if isinstance(x, Tensor) else None
            if key == 0:
                self.look = self.look or str(func)
            elif key is not None and key not in known:
                self._made[key] = len(self.log)
                self._watched.append(StorageWeakRef(x.untyped_storage()))
        return out


def look(func: Any, args: tuple[Any, ...]) -> str | None:
    """What the host waits for, if it does for this operation."""
    name = str(func.overloadpacket.__name__)
    if name in ("index", "index_put_") and any(
        isinstance(x, Tensor) and x.dtype == torch.bool for x in tree_leaves(args[1])
    ):
        return "nonzero"  # of a mask
    return name if name in LOOKS else None


def memory(x: Tensor) -> int:
    """The number of a tensor's memory, as long as somebody holds or watches it; 0 for none."""
    return int(x.untyped_storage()._cdata) if x.layout is torch.strided else 0
