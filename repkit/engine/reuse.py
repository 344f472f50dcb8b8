"""Internal. Results that are written where an operand was that nothing reads any more.

Of what an operation on each number costs, most is memory: two numbers are read and one is written.
Where an operand of a recorded step is read for the last time, and the result is laid out as it is,
the result takes its place. It is the same, bit for bit, and less memory is touched.

This is what ``inplace=True`` of torch's modules does, but for gradients and sums, too, and only
where nothing is lost by it. Steps of convolutions take 0.92 to 0.99 of the time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from repkit.engine.calls import Call, Name, Places

# On each number by itself, though torch does not say so.
POINTWISE = {"elu_backward", "hardtanh_backward", "leaky_relu_backward", "softplus_backward"}
LEAST = 4096  # numbers: fewer stay in the processor's cache


def in_place(calls: Sequence[Call], kept: set[Name], places: Places) -> list[Call]:
    """The operations of a step, some of which write over an operand.

    Parameters
    ----------
    calls : sequence of Call
    kept : set of Name
        What is there before the step, or is wanted after it: its memory is left alone.
    places : mapping of Name to tuple

    Returns
    -------
    list of Call
        The same number, which give each variable what those before did.
    """
    last = {places[name][0]: k for k, call in enumerate(calls) for name in call.used()}
    last |= {places[name][0]: len(calls) for name in kept}
    found = []
    for k, call in enumerate(calls):
        operands = dict.fromkeys(x for x in call.args if isinstance(x, Name))
        free = [x for x in operands if last[places[x][0]] == k and _fits(x, call, places)]
        found.append(next(filter(None, (_over(call, x) for x in free)), call))
    return found


def _fits(name: Name, call: Call, places: Places) -> bool:
    """Whether the only result is laid out as this operand, whose memory is read in no other way."""
    if len(call.results) != 1 or call.results[0] is None:
        return False
    (where, *lies), (_, *wanted) = places[name], places[call.results[0]]
    alone = all(x == name for x in call.used() if places[x][0] == where)
    return alone and lies == wanted and torch.Size(lies[1]).numel() >= LEAST


def _over(call: Call, name: Name) -> Call | None:
    """The operation that writes over this operand, if torch has one."""
    found = writing(call.func)
    if found is None:
        return None
    func, argument = found
    more = {} if argument is None else {argument: name}
    return dataclasses.replace(call, func=func, kwargs={**call.kwargs, **more})


@cache
def writing(func: Any) -> tuple[Any, str | None] | None:
    """What does the same written to an argument, whose name follows; None for the only operand.

    ``out=`` is the same kernel. Operations that end in ``_`` are not always: ``mul_`` by a number
    rounds that to bf16 first.
    """
    packet = func.overloadpacket
    if func is torch.ops.aten.relu.default:  # has no ``out`` of its own
        return torch.ops.aten.relu_.default, None
    if torch.Tag.pointwise not in func.tags and packet.__name__ not in POINTWISE:
        return None
    for other in (getattr(packet, overload) for overload in packet.overloads()):
        if isinstance(other, torch._ops.OpOverload) and torch.Tag.generated not in other.tags:
            outs = [a.name for a in other._schema.arguments if a.is_out]
            if len(outs) == 1 and _given(other) == _given(func):
                return other, outs[0]
    return None


def _given(func: Any) -> list[tuple[str, str]]:
    """Names and types of what it is given, but for where it writes to."""
    return [(a.name, str(a.type)) for a in func._schema.arguments if not a.is_out]
