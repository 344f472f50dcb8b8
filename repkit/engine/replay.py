"""Internal. Steps that are recorded once, and then replayed: graphs of CUDA, tapes on a CPU.

A step of small networks is some hundred kernels, each of which the host takes longer to launch than
the device to run. A graph is launched at once, a tape (`tape`) calls nothing but kernels; but both
do on every replay the very operations on the very addresses that were recorded. So steps are
recorded only if two over batches of one shape were found to be the same, but for the numbers in
tensors that the engine fills; else training goes on operation by operation, and a line in the log
says why. Each shape of batches is recorded for itself.

Code that is not known, a network, a hook or a change of the user's own, could do other things at a
later step; so with it nothing is recorded, unless the environment has ``REPKIT_GRAPHS=1``. With
``REPKIT_GRAPHS=0`` nothing is at all. Before a tape is used, a step is taken by it and without it
from the same weights: what is not the same bit for bit is not recorded.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor

from repkit.engine.inspection import foreign, settings_of
from repkit.engine.tape import Tape

log = logging.getLogger("repkit")

WARM = 3  # steps of a kind before two are compared: state is made, kernels are chosen
# On a CPU a recorded step saves a tenth to a third, and recording takes as long as five to ten: so
# nothing is recorded in short trainings, nor batches of a shape that hardly ever comes.
FEW = 200  # steps of a training
ONCE, OFTEN = 1, 16  # batches of another shape before it is recorded: on a GPU, on a CPU
WARM_CPU = 1  # there are no kernels to choose from
PATIENCE = 20  # steps to wait for a batch of the shape of the one that was looked at
MOST = 64  # graphs of a training


def wanted() -> bool:
    """Whether the environment lets steps be recorded."""
    return os.environ.get("REPKIT_GRAPHS") != "0"


Values = list[Any]  # of a step for the history: (number of the phase, names, Tensor)


class Graph(Protocol):
    """A recorded step.

    Attributes
    ----------
    obstacle : str or None
        Why it cannot be replayed, if it cannot.
    """

    obstacle: str | None

    def record(self, act: Callable[[], Values]) -> Values:
        """Take a step, and keep what it does."""

    def replay(self) -> Values:
        """Take it again."""


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
        self.obstacle: str | None = None
        self._found: Values = []
        for generator in generators:
            self.graph.register_generator_state(generator)

    def record(self, act: Callable[[], Values]) -> Values:
        """Record the step, of which nothing is run meanwhile, and launch it."""
        try:
            with torch.cuda.graph(self.graph, pool=self.pool, stream=self.stream):
                self._found = act()
        except RuntimeError as error:
            self.obstacle = str(error).splitlines()[0]
            return act()
        return self.replay()

    def replay(self) -> Values:
        """Launch the graph."""
        self.graph.replay()
        # The graph writes to the same place at every replay.
        return [(number, names, values.clone()) for number, names, values in self._found]


Shapes = tuple[tuple[int, ...], ...]  # of the tensors of a batch
Kind = tuple[Any, ...]  # steps of one kind are the same, but for numbers and shapes


class Graphs:
    """Steps of one training, each kind and shape as a graph of its own.

    Parameters
    ----------
    make : callable, optional
        ``Graph or None -> Graph``: a new one, given any other that is in use. By default, tapes.
    stream : callable
        ``() -> context`` in which steps are taken before they are recorded.
    warm : int, optional
        Steps of a kind before two are compared. By default, ``WARM``.
    often : int
        Batches of another shape before it is recorded, too.
    level : int
        Of the line in the log that says why steps are not recorded.
    """

    def __init__(
        self,
        make: Callable[[Any], Graph] | None = None,
        stream: Callable[[], AbstractContextManager[Any]] = nullcontext,
        warm: int | None = None,
        often: int = ONCE,
        level: int = logging.INFO,
    ) -> None:
        self.make, self.stream, self.often, self.level = make, stream, often, level
        self.warm = WARM if warm is None else warm
        self.given_up: str | None = None
        self._settings: list[Any] = []
        self._taken: dict[Kind, int] = {}
        self._seen: dict[Kind, tuple[int, Shapes, Tape]] = {}  # at a step
        self._met: dict[Kind, Counter[Shapes]] = {}  # of kinds that may be recorded
        self._graphs: dict[tuple[Kind, Shapes], Graph] = {}
        self._inputs: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def forget(self) -> None:
        """Record anew: optimizers have other tensors than before."""
        for found in (self._taken, self._seen, self._met, self._graphs):
            found.clear()

    def look(self, code: Iterable[Any], changed: Any = True) -> None:
        """Record anew if code has changed since the last look, or something else has.

        And not at all if some of it is not known.

        Parameters
        ----------
        code : iterable
            Networks and functions that a step calls.
        changed : object
            True if something else has.
        """
        before, self._settings = self._settings, settings_of(code)
        if changed or self._settings != before:
            self.forget()
            if (stranger := foreign(code)) is not None:
                self.give_up(f"{stranger} may do other things at every step")

    def give_up(self, reason: str) -> None:
        """Take all further steps one operation after the other."""
        self.forget()
        self.given_up = reason
        log.log(self.level, "the steps of this training are not recorded: %s", reason)

    def place(self, batch: Any) -> Shapes:
        """Have the tensors of a batch where those of the first batch of their shape are.

        One that has other numbers of the host is of another shape.
        """
        shapes: list[tuple[int, ...]] = []
        for name, value in vars(batch).items():
            if isinstance(value, int):
                shapes.append((value,))
            if not isinstance(value, Tensor):
                continue
            key = name, tuple(value.shape)
            shapes.append(key[1])
            own = self._inputs.get(key)
            if own is None:
                self._inputs[key] = value
            elif own is not value:
                own.copy_(value)
                setattr(batch, name, own)
        return tuple(shapes)

    def recorded(self, kind: Kind, shapes: Shapes) -> Graph | None:
        """What takes a step of this kind, if it is recorded."""
        return self._graphs.get((kind, shapes))

    def take(
        self,
        kind: Kind,
        shapes: Shapes,
        act: Callable[[], Values],
        plain: Callable[[], Values] | None = None,
    ) -> Values:
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
        if (graph := self.recorded(kind, shapes)) is not None:
            return graph.replay()
        taken = self._taken[kind] = self._taken.get(kind, 0) + 1
        met = self._met.get(kind)
        if met is None and taken > self.warm:
            return self._looked_at(kind, shapes, taken, act, plain)
        if met is None or met[shapes] < self.often or len(self._graphs) == MOST:
            if met is not None:
                met[shapes] += 1
            with self.stream():
                return act()
        if self.make is None:
            made: Graph = (tape := Tape())
            found = tape.prove(act)
        else:
            made = self.make(next(iter(self._graphs.values()), None))
            found = made.record(act)
        if made.obstacle is not None:
            self.give_up(made.obstacle)
        else:
            self._graphs[kind, shapes] = made
        return found

    def _looked_at(
        self,
        kind: Kind,
        shapes: Shapes,
        taken: int,
        act: Callable[[], Values],
        plain: Callable[[], Values] | None,
    ) -> Values:
        """A step that is compared with the one before of this shape, or waits for the next."""
        at, before, one = self._seen.get(kind, (taken, None, None))
        if before is not None and before != shapes and taken - at < PATIENCE:
            with self.stream():
                return act()
        tape = Tape()
        take = tape.record if self.make is not None else tape.watch if one is None else tape.prove
        with self.stream():
            found = take(plain or act)
        if before != shapes or one is None:
            self._seen[kind] = taken, shapes, tape
        elif (reason := tape.obstacle or one.against(tape)) is not None:
            self.give_up(reason)
        else:
            del self._seen[kind]
            # What is compiled for these shapes, if anything is, was not called just now.
            self._met[kind] = Counter({shapes: self.often} if plain is None else {})
            if self.make is None:
                self._graphs[kind, shapes] = tape
        return found


def graphs_of(
    device: torch.device, generators: Iterable[torch.Generator], steps: int, compiled: bool
) -> Graphs | None:
    """What steps on a device are recorded by, if they are.

    Parameters
    ----------
    device : torch.device
    generators : iterable of torch.Generator
        Those of the device, beside the global one, from which random numbers are drawn.
    steps : int
        Of the training.
    compiled : bool
        Whether the networks are. On a CPU what a compiler has made cannot be seen.
    """
    if not wanted():
        return None
    if device.type == "cuda":
        return cuda_graphs(device, generators)
    if device.type != "cpu" or compiled or steps < FEW:
        return None
    return Graphs(warm=WARM_CPU, often=OFTEN, level=logging.DEBUG)


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
