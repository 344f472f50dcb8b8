"""Internal. A step as a list of operations: written down once, then done again, on a CPU.

Of a step of small networks most is not arithmetic: Python calls modules, modules call operations,
autograd builds a graph and walks it back. What reaches the kernels is the same list of operations
at every step. `Tape` writes that list down as the lines of a function, gradients and optimizers
included, and calls it instead: the same kernels on the same numbers. Memory is let go of where it
was last used, as autograd does. While a step is watched torch can take other ways (the gradient of
``prod``), and code can do what is no operation (set the state of a generator). So a step that is
watched is taken back, and taken as it is; a tape is used if it then did the same, bit for bit.

Two tapes also tell whether two steps do the same, before a graph of CUDA is made; see `replay`.

torch's ``make_fx`` finds the same list, but imports torch's compiler for it (1.4 s, once), and
takes 0.09 s to trace a step of DANN on a table. A fit of 320 steps took 0.53 s with what it makes,
0.28 s with tapes, and 0.41 s with neither (two cores, by hand).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from repkit.engine.bindings import quickest
from repkit.engine.calls import Call, Name, Places, Watch, leaves
from repkit.engine.folding import constant, is_small, needed
from repkit.engine.reuse import in_place

Step = Callable[[], list[Tensor]]
# Operations for which the host needs numbers of the device, or the device numbers of the host.
WAITS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
MASKS = {torch.bool, torch.uint8}  # types of an index that is one
LOOKS = {"equal", "is_nonzero", "lift_fresh", "repeat_interleave"}
STATISTICS = {"running_mean", "running_var"}  # are written to, though batch norm does not say so
CHANGES = "{} is given something else at every step"


class Tape:
    """The operations of a step.

    Attributes
    ----------
    calls : list of Call
        The operations.
    given : dict of Name to Tensor
        What was there before.
    wanted : list of Name
        What the step has for the history.
    obstacle : str or None
        Why the recorded step cannot be done again, if it cannot.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.given: dict[Name, Tensor] = {}
        self.wanted: list[Name] = []
        self.obstacle: str | None = None
        self._constants: dict[Name, Tensor] = {}
        self._places: Places = {}
        self._heads: list[tuple[int, tuple[str, ...]]] = []
        self._again: Step | None = None
        self._no_grad = torch.no_grad()

    def record(self, act: Callable[[], list[Any]], before: Before | None = None) -> list[Any]:
        """Take a step, and write it down; what it changes is kept as it was, if that is wanted."""
        with Writer(before) as writer:
            found = act()
        self._heads = [(number, names) for number, names, _ in found]
        self.wanted = [writer.name(values) for *_, values in found]
        self.calls, self.given, self.obstacle = writer.calls, writer.given, writer.obstacle
        self._constants, self._places = writer.constants, writer.places()
        return found

    def watch(self, act: Callable[[], list[Any]]) -> list[Any]:
        """Write a step down, take it back, and take it as it is."""
        before = Before()
        self.record(act, before)
        before.restore()
        return act()

    def prove(self, act: Callable[[], list[Any]]) -> list[Any]:
        """The same, but take it again in between: what does other things then is an obstacle."""
        before = Before()
        self.record(act, before)
        before.restore()
        if self.obstacle is not None:
            return act()
        again = self.replay()
        after = before.now()
        before.restore()
        found = act()
        if not (after.lasts() and all(map(_same, again, found))):
            self.obstacle = "done again it has other last digits"
        return found

    def replay(self) -> list[Any]:
        """Take the step again."""
        if self._again is None:
            known = self.given | self._constants
            calls = needed(self.calls, self._constants, self.wanted)
            calls = in_place(calls, {*known, *self.wanted}, self._places)
            self._again = function(calls, known, self.wanted)
        with self._no_grad:
            values = self._again()
        return [(*head, value) for head, value in zip(self._heads, values, strict=True)]

    def against(self, other: Tape) -> str | None:
        """Why this step and the one after it cannot be one, if they cannot."""
        if (reason := self.obstacle or other.obstacle) is not None:
            return reason
        if [call.func for call in self.calls] != [call.func for call in other.calls]:
            sizes = len(self.calls), len(other.calls)
            return "a step has {} operations, the next {}, or others".format(*sizes)
        for a, b in zip(self.calls, other.calls, strict=True):
            if _numbers(a) != _numbers(b):
                return CHANGES.format(a.func.overloadpacket.__name__)
        for name, x in self.given.items():
            y = other.given[name]
            if (x.data_ptr(), layout(x)) != (y.data_ptr(), layout(y)):
                users = [call for call in self.calls if name in call.used()]
                return CHANGES.format(users[0].func.overloadpacket.__name__ if users else "a step")
        return None


def _numbers(call: Call) -> list[str]:
    """What an operation is given, tensors by their names."""
    found = leaves((call.args, *call.kwargs.values(), call.results))
    return ["generator" if isinstance(x, torch.Generator) else repr(x) for x in found]


class Before:
    """What memory and generators were at some time."""

    def __init__(self) -> None:
        self._memory: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self._generators: dict[torch.Generator, Tensor] = {}

    def add(self, x: Tensor | torch.Generator) -> None:
        """Keep what a tensor's memory or a generator is, if it is not kept yet."""
        if isinstance(x, torch.Generator):
            if x not in self._generators:
                self._generators[x] = x.get_state()
        elif memory(x) not in self._memory and memory(x) != 0:
            place = x.untyped_storage()
            self._memory[memory(x)] = place, place.clone()

    def restore(self) -> None:
        """Put it back."""
        for place, kept in self._memory.values():
            place.copy_(kept)
        for generator, state in self._generators.items():
            generator.set_state(state)

    def now(self) -> Before:
        """The same memory and generators as they are now."""
        found = Before()
        found._memory = {k: (place, place.clone()) for k, (place, _) in self._memory.items()}
        found._generators = {x: x.get_state() for x in self._generators}
        return found

    def lasts(self) -> bool:
        """Whether they are still the same, bit by bit."""
        states = ((x.get_state(), state) for x, state in self._generators.items())
        places = ((_bytes(place), _bytes(kept)) for place, kept in self._memory.values())
        return all(torch.equal(x, kept) for x, kept in (*states, *places))


def _bytes(x: torch.UntypedStorage) -> Tensor:
    return torch.empty(0, dtype=torch.uint8, device=x.device).set_(x)


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two phases have the same values."""
    return torch.allclose(one[2], other[2], rtol=0.0, atol=0.0, equal_nan=True)


@cache
def written(func: Any) -> list[tuple[int, str]]:
    """Places and names of the arguments that an operation writes to."""
    return [
        (k, argument.name)
        for k, argument in enumerate(func._schema.arguments)
        if (argument.alias_info is not None and argument.alias_info.is_write)
        or argument.name in STATISTICS
    ]


class Writer(Watch):
    """Writes down each operation.

    A tensor is known by its place: the memory, and which numbers of it. Views of what was there
    before are made once, while it is written.

    Parameters
    ----------
    before : Before, optional
        Gets what the step writes to, and generators, as they were.

    Attributes
    ----------
    calls : list of Call
        The operations, but for those that only look at memory which has a name already.
    given : dict of Name to Tensor
        What was there before.
    constants : dict of Name to Tensor
        What operations made that is the same at every step, if it is small.
    obstacle : str or None
        What cannot be written, if anything.
    """

    def __init__(self, before: Before | None = None) -> None:
        super().__init__()
        self.before = before
        if before is not None:
            before.add(torch.default_generator)
        self.calls: list[Call] = []
        self.given: dict[Name, Tensor] = {}
        self.constants: dict[Name, Tensor] = {}
        self.obstacle: str | None = None
        self._names: dict[tuple[Any, ...], Name] = {}  # by place
        self._made: dict[int, StorageWeakRef] = {}  # keeps the number from another, not the memory

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.before is not None:
            self._keep(self.before, func, args, kwargs)
        before = {memory(x) for x in leaves((args, *kwargs.values())) if isinstance(x, Tensor)}
        if self.obstacle is None and (name := look(func, args)) is not None:
            self.obstacle = f"the host waits for {name}"
        elif 0 in before:
            self.obstacle = self.obstacle or f"{func} cannot be recorded"
        if self.obstacle is not None:
            return func(*args, **kwargs)
        own_args, own_kwargs = self._named(args), {k: self._named(x) for k, x in kwargs.items()}
        out = func(*args, **kwargs)
        found = leaves(out)
        if any(isinstance(x, Tensor) and memory(x) == 0 for x in found):
            self.obstacle = f"{func} cannot be recorded"
        elif not self._is_known(func, found, before):
            results = [self._result(x, before) for x in found]
            many = isinstance(out, tuple | list)
            call = Call(func, own_args, own_kwargs, results, many)
            self.calls.append(call)
            self._fold(call, found, before)
        return out

    def _keep(
        self, before: Before, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        """Keep what an operation is going to write to, and generators."""
        for place, name in written(func):
            given = args[place] if place < len(args) else kwargs.get(name)
            for x in leaves(given):
                if isinstance(x, Tensor) and memory(x) not in self._made:
                    before.add(x)
        if isinstance(generator := kwargs.get("generator"), torch.Generator):
            before.add(generator)

    def _fold(self, call: Call, found: list[Any], before: set[int]) -> None:
        """Keep results that are the same at every step, until something may be written to them."""
        if call.func._schema.is_mutable:
            for name in [x for x, kept in self.constants.items() if memory(kept) in before]:
                del self.constants[name]
        elif constant(call, self.constants) and all(map(is_small, found)):
            made = zip(call.results, found, strict=True)
            self.constants |= {name: x.detach() for name, x in made if name is not None}

    def _named(self, x: Any) -> Any:
        """An argument, with names in the place of tensors."""
        if isinstance(x, Tensor):
            return self.name(x)
        return type(x)(map(self._named, x)) if type(x) in (list, tuple) else x

    def name(self, x: Tensor) -> Name:
        """The name of a tensor, which is kept if no operation made it."""
        key = place(x)
        if key not in self._names:
            if memory(x) in self._made:
                self.obstacle = "memory is looked at in a way that no operation has"
            name = self._names[key] = Name(f"k{len(self._names)}")
            self.given[name] = x.detach()
        return self._names[key]

    def places(self) -> Places:
        """Where each variable is, by `place`."""
        return {name: where for where, name in self._names.items()}

    def _is_known(self, func: Any, found: list[Any], before: set[int]) -> bool:
        """Whether an operation only looks at memory, in a way that needs no line."""
        if not found or func._schema.is_mutable:
            return False
        for x in found:
            if not isinstance(x, Tensor) or memory(x) not in before:
                return False
            if memory(x) in self._made and place(x) not in self._names:
                return False
        for x in found:
            self.name(x)
        return True

    def _result(self, x: Any, before: set[int]) -> Name | None:
        """The name of something that an operation gave, if it has none yet."""
        if not isinstance(x, Tensor) or place(x) in self._names:
            return None
        if memory(x) not in before:
            self._made[memory(x)] = StorageWeakRef(x.untyped_storage())
        name = self._names[place(x)] = Name(f"v{len(self._names)}")
        return name


def function(calls: Sequence[Call], given: Mapping[Name, Tensor], wanted: Sequence[Name]) -> Step:
    """What does the operations again, and gives anew what these variables are.

    Memory is let go of after its last use. What was there before is copied: it changes later.
    """
    scope: dict[str, Any] = dict(given.items())
    last = {name: k for k, call in enumerate(calls) for name in call.used()}
    gone: dict[int, list[str]] = {}
    for name, k in last.items():
        if name not in given and name not in wanted:
            gone.setdefault(k, []).append(name)
    body: list[str] = []
    for k, call in enumerate(calls):
        texts = [_text(x, scope) for x in call.args]
        texts += [f"{name}={_text(x, scope)}" for name, x in call.kwargs.items()]
        line = f"{_text(quickest(call), scope)}({', '.join(texts)})"
        if any(call.results):
            results = ", ".join(x or "_" for x in call.results)
            line = f"{results}{',' if call.many else ''} = {line}"
        body += [line, f"del {', '.join(gone[k])}"] if k in gone else [line]
    found = ", ".join(f"{x}.clone()" if x in given else x for x in wanted)
    source = "\n    ".join(["def step():", *body, f"return [{found}]"])
    exec(compile(source, "<a recorded step>", "exec"), scope)
    step: Step = scope.pop("step")  # else it would hold itself, and the data with it
    return step


def _text(x: Any, scope: dict[str, Any]) -> str:
    """An argument as it is written, by a name in ``scope`` where it has no other."""
    if isinstance(x, Name):
        return x
    if isinstance(x, list | tuple):
        inner = "".join(f"{_text(y, scope)}, " for y in x)
        return f"[{inner}]" if isinstance(x, list) else f"({inner})"
    if x is None or isinstance(x, int):
        return repr(x)
    name = f"c{id(x)}"
    scope[name] = x
    return name


def look(func: Any, args: tuple[Any, ...]) -> str | None:
    """What the host waits for, if it does for this operation."""
    name = str(func.overloadpacket.__name__)
    if name in ("index", "index_put_"):
        masks = [x for x in leaves(args[1]) if isinstance(x, Tensor) and x.dtype in MASKS]
        return "nonzero" if masks else None
    return name if name in LOOKS or WAITS & {*func.tags} else None


def memory(x: Tensor) -> int:
    """The number of a tensor's memory, as long as somebody holds or watches it; 0 for none."""
    return int(x.untyped_storage()._cdata) if x.layout is torch.strided else 0


def place(x: Tensor) -> tuple[Any, ...]:
    """What two tensors have in common that are the same numbers in the same memory."""
    return memory(x), x.storage_offset(), *layout(x)


def layout(x: Tensor) -> tuple[Any, ...]:
    """Which numbers a tensor has, from where it begins on, and how they are read."""
    return tuple(x.shape), x.stride(), x.dtype, x.is_conj(), x.is_neg()
