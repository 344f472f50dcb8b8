"""Internal. A step as a CUDA graph: recorded once, then launched as a whole.

A step of small networks is some hundred kernels, each of which the host takes longer to launch than
the GPU to run. A graph is launched at once; but on every replay it does the very operations on the
very addresses that were recorded. So steps are recorded only if two over batches of one shape were
found to be the same, but for the numbers in tensors that the engine fills; else training goes on
operation by operation, and a line in the log says why. Each shape of batches has a graph of its
own.

Code that is not known, a network or a change of the user's own, could do other things at a later
step; so with it there are no graphs, unless the environment has ``REPKIT_CUDA_GRAPHS=1``. With
``REPKIT_CUDA_GRAPHS=0`` there are none at all.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

log = logging.getLogger("repkit")

WARM = 3  # steps of a kind before two are compared: state is made, kernels are chosen
PATIENCE = 20  # steps to wait for a batch of the shape of the one that was looked at
KNOWN = re.compile(r"(torch|torchaudio|torchvision|repkit)\.")
MOST = 64  # graphs of a training
# Operations for which the host needs numbers of the device.
LOOKS = {
    "_local_scalar_dense",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "_unique2",
    "unique_consecutive",
    "unique_dim",
}


def wanted() -> bool:
    """Whether the environment leaves graphs on."""
    return os.environ.get("REPKIT_CUDA_GRAPHS") != "0"


def trusted() -> bool:
    """Whether the environment says that unknown code does the same at every step."""
    return os.environ.get("REPKIT_CUDA_GRAPHS") == "1"


class Graph(Protocol):
    """What has recorded a step."""

    def recording(self) -> AbstractContextManager[Any]:
        """Record what is done inside; on a GPU nothing of it is run."""

    def replay(self) -> None:
        """Do it."""


class CudaGraph:
    """A graph of CUDA.

    Parameters
    ----------
    generators : iterable of torch.Generator
        Those of the device, beside the global one, from which random numbers are drawn.
    stream : torch.cuda.Stream
        On which it is recorded.
    other : CudaGraph, optional
        Another of the same training, whose memory it shares: one runs at a time.
    """

    def __init__(
        self,
        generators: Iterable[torch.Generator],
        stream: torch.cuda.Stream,
        other: CudaGraph | None = None,
    ) -> None:
        self.graph = torch.cuda.CUDAGraph()
        self.stream, self.pool = stream, None if other is None else other.graph.pool()
        for generator in generators:
            self.graph.register_generator_state(generator)

    def recording(self) -> AbstractContextManager[Any]:
        """Record what is done inside."""
        found: AbstractContextManager[Any] = torch.cuda.graph(
            self.graph, pool=self.pool, stream=self.stream
        )
        return found

    def replay(self) -> None:
        """Launch the graph."""
        self.graph.replay()


class Sight(TorchDispatchMode):
    """Notes every operation with the numbers and the addresses that a graph would keep.

    Attributes
    ----------
    log : list of (str, tuple)
        The name of each operation, and what it was given: tensors that were there before by their
        address, those made inside by which operation made them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[str, tuple[Any, ...]]] = []
        self._made: dict[int, int] = {}
        # Lest an address be given to another. Of tensors, autograd's nodes would be kept as well,
        # which belong to a stream.
        self._kept: list[torch.UntypedStorage] = []

    def _place(self, x: Any) -> Any:
        if isinstance(x, Tensor):
            key = x.untyped_storage().data_ptr()
            where = ("made", self._made[key]) if key in self._made else ("there", x.data_ptr())
            return *where, tuple(x.shape), x.stride(), str(x.dtype)
        return "generator" if isinstance(x, torch.Generator) else repr(x)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves = tree_leaves((args, kwargs or {}))
        known = {x.untyped_storage().data_ptr() for x in leaves if isinstance(x, Tensor)}
        name = func.overloadpacket.__name__
        self.log.append((name, tuple(self._place(x) for x in leaves)))
        if name in ("index", "index_put_") and any(
            isinstance(x, Tensor) and x.dtype == torch.bool for x in tree_leaves(args[1])
        ):
            self.log.append(("nonzero", ()))  # of a mask
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, Tensor) and (key := x.untyped_storage().data_ptr()) not in known:
                self._made[key] = len(self.log)
                self._kept.append(x.untyped_storage())
        return out


def obstacle(one: Sight, other: Sight) -> str | None:
    """Why two steps in a row cannot be one graph, if they cannot."""
    for name, _ in one.log:
        if name in LOOKS:
            return f"the host waits for {name}"
    if [name for name, _ in one.log] != [name for name, _ in other.log]:
        return f"a step has {len(one.log)} operations, the next {len(other.log)}, or others"
    for (name, before), (_, after) in zip(one.log, other.log, strict=True):
        if before != after:
            return f"{name} is given something else at every step"
    return None


def foreign(code: Iterable[Any]) -> str | None:
    """The name of a module or function that is not of a known package, if there is any.

    It could draw random numbers on the host, which a graph would repeat.
    """
    if trusted():
        return None
    for part in code:
        for inner in part.modules() if isinstance(part, nn.Module) else [part]:
            named = inner if hasattr(inner, "__qualname__") else type(inner)
            if not KNOWN.match(f"{named.__module__}."):
                return f"{named.__module__}.{named.__qualname__}"
    return None


Shapes = tuple[tuple[int, ...], ...]  # of the tensors of a batch
Kind = tuple[Any, ...]  # steps of one kind are the same, but for numbers and shapes


class Graphs:
    """Steps of one training, each kind and shape as a graph of its own.

    Parameters
    ----------
    make : callable
        ``Graph or None -> Graph``: a new one, given any other that is in use.
    stream : callable
        ``() -> context`` in which steps are taken before they are recorded.
    """

    def __init__(
        self,
        make: Callable[[Any], Graph],
        stream: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.make, self.stream = make, stream
        self.given_up: str | None = None
        self._taken: dict[Kind, int] = {}
        self._seen: dict[Kind, tuple[int, Shapes, Sight]] = {}  # at a step
        self._met: dict[Kind, set[Shapes]] = {}  # of kinds that may be recorded
        self._graphs: dict[tuple[Kind, Shapes], tuple[Graph, list[Any]]] = {}
        self._inputs: dict[tuple[str, tuple[int, ...]], Tensor] = {}
        self._given: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def forget(self) -> None:
        """Record anew: optimizers have other tensors than before."""
        for found in (self._taken, self._seen, self._met, self._graphs):
            found.clear()

    def give_up(self, reason: str) -> None:
        """Take all further steps one operation after the other."""
        self.forget()
        self.given_up = reason
        log.info("the steps of this training are not a CUDA graph: %s", reason)

    def place(self, batch: Any) -> Shapes:
        """Have the tensors of a batch where those of the last batch of their shape were."""
        shapes = []
        for name, value in vars(batch).items():
            if not isinstance(value, Tensor):
                continue
            key = name, tuple(value.shape)
            shapes.append(key[1])
            own = self._inputs.get(key)
            if own is None:
                own = self._inputs[key] = value.clone(memory_format=torch.preserve_format)
            elif self._given[key] is not value:
                own.copy_(value)
            self._given[key] = value
            setattr(batch, name, own)
        return tuple(shapes)

    def take(
        self,
        kind: Kind,
        shapes: Shapes,
        act: Callable[[], list[Any]],
        plain: Callable[[], list[Any]] | None = None,
    ) -> list[Any]:
        """Take a step: the values that it has for the history.

        Parameters
        ----------
        kind : tuple
        shapes : tuple of tuple of int
            What `place` gave.
        act : callable
            ``() -> list of (number, names, Tensor)``: the step's operations.
        plain : callable, optional
            The same one by one, where ``act`` calls what a compiler has made of them, of which
            not every operation can be seen.

        Returns
        -------
        list of (number, names, Tensor)
        """
        taken = self._taken[kind] = self._taken.get(kind, 0) + 1
        met = self._met.get(kind)
        if (kind, shapes) in self._graphs:
            graph, found = self._graphs[kind, shapes]
        elif met is None and taken > WARM:
            return self._looked_at(kind, shapes, taken, act, plain)
        elif met is None or shapes not in met or len(self._graphs) == MOST:
            if met is not None:
                met.add(shapes)
            with self.stream():
                return act()
        else:
            graph = self.make(next((other for other, _ in self._graphs.values()), None))
            try:
                with graph.recording():
                    found = act()
            except RuntimeError as error:
                self.give_up(str(error).splitlines()[0])
                return act()
            self._graphs[kind, shapes] = graph, found
        graph.replay()
        # The graph writes to the same place at every replay.
        return [(number, names, values.clone()) for number, names, values in found]

    def _looked_at(
        self,
        kind: Kind,
        shapes: Shapes,
        taken: int,
        act: Callable[[], list[Any]],
        plain: Callable[[], list[Any]] | None,
    ) -> list[Any]:
        """A step that is compared with the one before of this shape, or waits for the next."""
        at, before, one = self._seen.get(kind, (taken, None, None))
        if before is not None and before != shapes and taken - at < PATIENCE:
            with self.stream():
                return act()
        with self.stream(), Sight() as sight:
            found = (plain or act)()
        if before != shapes or one is None:
            self._seen[kind] = taken, shapes, sight
        elif (reason := obstacle(one, sight)) is not None:
            self.give_up(reason)
        else:
            del self._seen[kind]
            # What is compiled for these shapes, if anything is, was not called just now.
            self._met[kind] = {shapes} if plain is None else set()
        return found


def cuda_graphs(device: torch.device, generators: Iterable[torch.Generator]) -> Graphs:
    """Graphs of CUDA; steps before them are taken on their stream, as CUDA wants it."""
    stream, generators = torch.cuda.Stream(device), list(generators)

    @contextmanager
    def beside() -> Iterator[None]:
        current = torch.cuda.current_stream(device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            yield
        current.wait_stream(stream)

    return Graphs(lambda other: CudaGraph(generators, stream, other), beside)
