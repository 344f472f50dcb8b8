"""Internal. Networks of which only the sizes count: no memory, no random numbers, no arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# What gives a tensor of the shape of its first argument.
ALIKE = {
    F.batch_norm,
    F.dropout,
    F.elu,
    F.gelu,
    F.layer_norm,
    F.leaky_relu,
    F.relu,
    F.silu,
    torch.batch_norm,
    torch.layer_norm,
    torch.relu,
    torch.sigmoid,
    torch.tanh,
    Tensor.float,
    Tensor.normal_,
    Tensor.uniform_,
    torch._C._nn.gelu,
    torch._C._nn.leaky_relu,
}


FILLS = {
    nn.init.constant_,
    nn.init.kaiming_normal_,
    nn.init.kaiming_uniform_,
    nn.init.normal_,
    nn.init.ones_,
    nn.init.uniform_,
    nn.init.xavier_normal_,
    nn.init.xavier_uniform_,
    nn.init.zeros_,
}


@contextmanager
def sizes_alone() -> Iterator[None]:
    """Make and run networks on torch's device "meta", whose tensors have sizes and no numbers.

    The first arithmetic there loads torch's compiler, 900 modules in a second. So what most
    layers do is told by their shapes here; pooling, spectral norm and other code is left to torch.
    """
    with torch.device("meta"), _Shapes():
        yield


class _Shapes(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.rand, torch.randn):
            return torch.empty(*args, **kwargs)
        x = args[0] if args else kwargs.get("tensor")
        if isinstance(x, Tensor) and x.is_meta:
            if func in ALIKE or func in FILLS:
                return x
            if func is F.linear and (shape := _linear(*args, **kwargs)):
                return x.new_empty(shape)
            if func is torch.conv2d and (shape := _conv2d(*args, **kwargs)):
                return x.new_empty(shape)
            if func is torch.conv_transpose2d and (shape := _deconv2d(*args, **kwargs)):
                return x.new_empty(shape)
        return func(*args, **kwargs)


# Each gives a shape, or None for what torch shall see to: an error, above all.


def _linear(x: Tensor, weight: Tensor, bias: Any = None) -> tuple[int, ...] | None:
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        return None
    return *x.shape[:-1], weight.shape[0]


def _pair(value: Any) -> tuple[int, int] | None:
    if isinstance(value, int):
        return value, value
    if isinstance(value, tuple | list) and all(isinstance(v, int) for v in value):
        return (value[0], value[-1]) if len(value) in (1, 2) else None
    return None


def _conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[int, ...] | None:
    steps, room, gaps = _pair(stride), _pair(padding), _pair(dilation)
    if x.ndim != 4 or None in (steps, room, gaps) or x.shape[1] != weight.shape[1] * groups:
        return None
    assert steps and room and gaps  # noqa: PT018
    sides = [
        (side + 2 * p - d * (k - 1) - 1) // s + 1
        for side, k, s, p, d in zip(x.shape[2:], weight.shape[2:], steps, room, gaps, strict=True)
    ]
    if min(sides) <= 0:  # torch 2.6 lets it pass on "meta"
        raise RuntimeError(f"a kernel {(*weight.shape[2:],)} is larger than its padded input")
    return x.shape[0], weight.shape[0], *sides


def _deconv2d(
    x: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> tuple[int, ...] | None:
    steps, room, more, gaps = (_pair(v) for v in (stride, padding, output_padding, dilation))
    if x.ndim != 4 or None in (steps, room, more, gaps) or x.shape[1] != weight.shape[0]:
        return None
    assert steps and room and more and gaps  # noqa: PT018
    sides = [
        (side - 1) * s - 2 * p + d * (k - 1) + o + 1
        for side, k, s, p, o, d in zip(
            x.shape[2:], weight.shape[2:], steps, room, more, gaps, strict=True
        )
    ]
    return (x.shape[0], weight.shape[1] * groups, *sides) if min(sides) > 0 else None
