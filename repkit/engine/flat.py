"""Internal. The parameters of a group as one vector: one step and one average for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

# Every parameter starts at a multiple of so many numbers. A kernel's vector loop then never ends
# inside one, and its rounding does not depend on what else is in the group.
ALIGN = 64
LONG = 2**16  # numbers from which copying a gradient takes longer than a kernel of its own

# Of a vector, from where to where, and what the optimizer takes there in the place of its gradient.
Piece = tuple[int, int, Tensor]


def flatten(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Move the parameters into one vector, of which each then is a view. They keep their layout.

    Returns
    -------
    Tensor of shape (total,)
        Zero between the parameters.
    """
    parameters = list(parameters)
    if not parameters:
        return torch.empty(0)
    vector = parameters[0].data.new_zeros(sum(_room(p) for p in parameters))
    for parameter, view in zip(parameters, views(vector, parameters), strict=True):
        parameter.data = view.copy_(parameter.data)
    return vector


def chunk_of(parameters: Sequence[nn.Parameter]) -> Tensor | None:
    """The vector that the parameters are views of already, or None.

    cuDNN wants the weights of a recurrent layer in one piece, from the start of its memory, in an
    order of its own; torch has put them there when the layer came to the GPU.
    """
    places = {p.untyped_storage().data_ptr() for p in parameters}
    if len(parameters) < 2 or len(places) > 1:
        return None
    first = parameters[0].data
    whole = first.new_empty(0).set_(first.untyped_storage())
    return whole if sum(p.numel() for p in parameters) <= whole.numel() else None


def recurrent(networks: Iterable[nn.Module]) -> list[nn.RNNBase]:
    """Layers whose weights belong in one piece."""
    return [m for network in networks for m in network.modules() if isinstance(m, nn.RNNBase)]


def mirrored(vector: Tensor, parameters: Iterable[Tensor]) -> list[Tensor]:
    """Views of a vector, each where the parameter is in the vector that all are views of."""
    return [vector.as_strided(p.shape, p.stride(), p.storage_offset()) for p in parameters]


def views(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of consecutive parts of the vector, each of the shape and layout of a tensor."""
    parts = vector.split([_room(t) for t in like]) if like else ()
    return [_shaped(part[: t.numel()], t) for part, t in zip(parts, like, strict=True)]


def _room(t: Tensor) -> int:
    return -(-t.numel() // ALIGN) * ALIGN


def _shaped(part: Tensor, t: Tensor) -> Tensor:
    if t.ndim == 4 and t.is_contiguous(memory_format=torch.channels_last):
        return part.view(t.shape[0], *t.shape[2:], t.shape[1]).permute(0, 3, 1, 2)
    return part.view(t.shape)


class Group:
    """Parameters that step together.

    Parameters
    ----------
    parameters : iterable of nn.Parameter
    rates : iterable of float, optional
        The learning rate of each; parameters of one rate make up one vector.
    chunks : iterable of sequence of nn.Parameter
        Parameters that stay in the one vector that they may be views of; see `chunk_of`.

    Attributes
    ----------
    parameters : list of nn.Parameter
        Each once, also where two networks share it; those of one vector side by side.
    vectors : list of nn.Parameter
        What the optimizer sees.
    rates : list of float or None
        The learning rate of each vector; None: the optimizer's own.
    counts : list of int
        How many of the parameters make up each vector.
    lends : bool
        Whether long gradients stay where they are, for an optimizer that takes ``lent``.
    lent : list of list of (int, int, Tensor)
        For each vector, the parts whose gradient is not in its ``grad``, in order.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        rates: Iterable[float] | None = None,
        chunks: Iterable[Sequence[nn.Parameter]] = (),
    ) -> None:
        parameters = list(parameters)
        rate_of: dict[int, float | None] = {id(p): None for p in parameters}
        if rates is not None:
            # A parameter that two networks share has the rate of the first.
            for p, rate in reversed(list(zip(parameters, rates, strict=True))):
                rate_of[id(p)] = rate
        unique = {id(p): p for p in parameters}
        whole: dict[int, Tensor] = {}  # by the first parameter of a chunk
        chunk: dict[int, int] = {}
        for some in chunks:
            found = chunk_of(some) if all(id(p) in unique for p in some) else None
            if found is not None:
                whole[id(some[0])] = found
                chunk |= {id(p): id(some[0]) for p in some}
        kinds = list(dict.fromkeys((rate_of[k], chunk.get(k)) for k in unique))
        parts = [[p for k, p in unique.items() if (rate_of[k], chunk.get(k)) == x] for x in kinds]
        self.rates = [rate for rate, _ in kinds]
        self.parameters = [p for part in parts for p in part]
        self.vectors = [
            nn.Parameter(flatten(part) if place is None else whole[place])
            for part, (_, place) in zip(parts, kinds, strict=True)
        ]
        self.counts = [len(part) for part in parts]
        self._gradients: list[Tensor] = []
        for vector, part in zip(self.vectors, parts, strict=True):
            vector.grad = torch.zeros_like(vector)
            self._gradients += mirrored(vector.grad, part)
        for parameter, gradient in zip(self.parameters, self._gradients, strict=True):
            parameter.grad = gradient
        self.lends = False
        self.lent: list[list[Piece]] = [[] for _ in self.vectors]
        # Long parameters that end where the next begins, so that no kernel ends between the two:
        # their vectors.
        owners = [k for k, count in enumerate(self.counts) for _ in range(count)]
        self._long = {
            k: owner
            for k, (p, owner) in enumerate(zip(self.parameters, owners, strict=True))
            if p.numel() >= LONG and p.numel() % ALIGN == 0 and kinds[owner][1] is None
        }

    def set_gradients(self, gradients: Sequence[Tensor | None]) -> list[int]:
        """Hand the gradients to the optimizer; a parameter that the loss does not reach has 0.

        They are copied into the vectors' ``grad``, but for those that are ``lent``.

        Returns
        -------
        list of int
            The places of those parameters, which shall not move: see `holding`.
        """
        unreached = [k for k, g in enumerate(gradients) if g is None]
        if unreached:
            for vector in self.vectors:
                if vector.grad is not None:
                    vector.grad.zero_()
        lent = self._lend(gradients) if self.lends else set()
        reached = [
            (place, g)
            for k, (place, g) in enumerate(zip(self._gradients, gradients, strict=True))
            if g is not None and k not in lent
        ]
        if reached:
            torch._foreach_copy_([place for place, _ in reached], [g for _, g in reached])
        return unreached

    def _lend(self, gradients: Sequence[Tensor | None]) -> set[int]:
        """The parameters whose gradients are left where they are."""
        self.drop()
        found = set()
        for k, owner in self._long.items():
            parameter, place, g = self.parameters[k], self._gradients[k], gradients[k]
            if g is not None and g.stride() == place.stride() and g.dtype == place.dtype:
                start, n = int(place.storage_offset()), int(place.numel())
                flat = g.as_strided((n,), (1,), g.storage_offset())
                self.lent[owner].append((start, start + n, flat))
                parameter.grad = g
                found.add(k)
            else:
                parameter.grad = place
        return found

    def drop(self) -> None:
        """Let go of what was lent, so that the next gradients find the memory free."""
        for k in self._long if any(self.lent) else ():
            self.parameters[k].grad = None
        self.lent = [[] for _ in self.vectors]

    @contextmanager
    def holding(
        self, places: Sequence[int], states: Callable[[], Sequence[Mapping[str, Any]]]
    ) -> Iterator[None]:
        """Let the optimizer step, but not these parameters, nor what it remembers of them.

        A gradient of 0 is not none: momentum and weight decay would move them.

        Parameters
        ----------
        places : sequence of int
            Among ``parameters``.
        states : callable
            Gives what the optimizer has for each vector.
        """
        if not places:
            yield
            return
        held = {k: t.clone() for k, t in self._of(places, states()).items()}
        yield
        for key, now in self._of(places, states()).items():
            if key in held:
                now.copy_(held[key])
            elif key[1] != "step_size":  # Rprop's does not start at 0
                now.zero_()

    def _of(
        self, places: Sequence[int], states: Sequence[Mapping[str, Any]]
    ) -> dict[tuple[int, str], Tensor]:
        """Those parameters, and what an optimizer has for each, by place and name."""
        found = {(k, ""): self.parameters[k].data for k in places}
        start = 0
        for vector, count, state in zip(self.vectors, self.counts, states, strict=True):
            inside = [k for k in places if start <= k < start + count]
            for name, value in state.items():
                if inside and isinstance(value, Tensor) and value.shape == vector.shape:
                    parts = mirrored(value, self.parameters[start : start + count])
                    found |= {(k, name): parts[k - start] for k in inside}
            start += count
        return found

    def release(self) -> None:
        """Give each parameter memory of its own again."""
        self.lent = [[] for _ in self.vectors]
        for parameter in self.parameters:
            parameter.grad = None
            parameter.data = parameter.data.clone(memory_format=torch.preserve_format)
