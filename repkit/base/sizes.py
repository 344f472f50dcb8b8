"""Internal. Networks of which only the sizes count: no memory, no random numbers, no arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    F.normalize,
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

    The first arithmetic there loads torch's compiler, 900 modules in seconds. So what the layers of
    our networks do, and most others, is told by their shapes here; other code is left to torch.
    Such networks can take the tensors of a file, and then are whole.
    """
    with torch.device("meta"), _Shapes():
        yield


class _Shapes(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.ones, torch.rand, torch.randn, torch.zeros):
            return torch.empty(*args, **kwargs)
        x = args[0] if args else kwargs.get("tensor")
        if isinstance(x, Tensor) and x.is_meta:
            if func in ALIKE or func in FILLS:
                return x
            if func in SHAPES and (shape := SHAPES[func](*args, **kwargs)) is not None:
                return x.new_empty(shape)
        return func(*args, **kwargs)


# Each gives a shape, or None for what torch shall see to: an error, above all.


def _linear(x: Tensor, weight: Tensor, bias: Any = None) -> tuple[int, ...] | None:
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        return None
    return *x.shape[:-1], weight.shape[0]


def _mv(x: Tensor, vector: Tensor) -> tuple[int, ...] | None:
    return x.shape[:1] if x.ndim == 2 and vector.shape == x.shape[1:] else None


def _vdot(x: Tensor, other: Tensor) -> tuple[int, ...] | None:
    return () if x.ndim == 1 and x.shape == other.shape else None


def _ratio(x: Tensor, other: Any) -> tuple[int, ...] | None:
    known = isinstance(other, Tensor) and other.dtype == x.dtype and other.ndim == 0
    return x.shape if known and x.is_floating_point() else None


def _pair(value: Any) -> tuple[int, int] | None:
    if isinstance(value, int):
        return value, value
    if isinstance(value, tuple | list) and all(isinstance(v, int) for v in value):
        return (value[0], value[-1]) if len(value) in (1, 2) else None
    return None


def _windows(
    sides: Sequence[int],
    kernel: Sequence[int],
    steps: Sequence[int],
    room: Sequence[int],
    gaps: Sequence[int],
    whole: bool = False,
) -> list[int]:
    """How many windows there are along each side; ``whole`` counts one that reaches beyond it."""
    found = []
    for side, k, s, p, d in zip(sides, kernel, steps, room, gaps, strict=True):
        n = (side + 2 * p - d * (k - 1) - 1 + (s - 1) * whole) // s + 1
        # Even that one begins within the image or the padding before it.
        found.append(n - (whole and (n - 1) * s >= side + p))
    return found


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
    sides = _windows(x.shape[2:], weight.shape[2:], steps, room, gaps)
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


def _max_pool2d(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[int, ...] | None:
    kernel, room, gaps = _pair(kernel_size), _pair(padding), _pair(dilation)
    steps = kernel if stride is None else _pair(stride)
    if x.ndim not in (3, 4) or None in (kernel, steps, room, gaps) or return_indices:
        return None
    assert kernel and steps and room and gaps  # noqa: PT018
    sides = _windows(x.shape[-2:], kernel, steps, room, gaps, ceil_mode)
    legal = all(2 * p <= k for p, k in zip(room, kernel, strict=True))
    return (*x.shape[:-2], *sides) if legal and min(sides) > 0 else None


SHAPES: dict[Any, Callable[..., tuple[int, ...] | None]] = {
    F.linear: _linear,
    F.max_pool2d: _max_pool2d,
    torch.conv2d: _conv2d,
    torch.conv_transpose2d: _deconv2d,
    torch.mv: _mv,
    torch.vdot: _vdot,
    Tensor.div: _ratio,
}
