"""Internal. Layers of torch, with what a CPU does quicker in the place of what torch does there.

Weights, their names and the mathematics are those of torch's layers of the same names; sums are
taken in another order. Only float32 on a CPU goes another way, and gradients of rows in any
precision. Of the times of torch's layers, on one thread of an Intel with AVX-512:

- From 32 maps to an image of one channel and twice the size, transposed convolution, which is also
  the gradient of the image, takes 0.3 (three channels 0.5 to 0.9): oneDNN fills vectors with
  channels, of which there are few. As a product of matrices, whose columns add up, it is full.
- Convolution over time takes 0.7 to 0.8, with its gradients 0.7 to 0.9: as one over images of
  height one, oneDNN has its quickest kernels for it, which want the channels last. The weights are
  laid out for it anew, 0.1 ms: more than it saves for one recording alone.
- A gradient that comes from a row of numbers lies as those do. Brought back to the channels last at
  once, by one copy, it is read quicker by what comes before: 0.3 to 1, in bf16 0.1.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOST = 20  # columns for a number of the image: with more of them it is slower than oneDNN
Pair = tuple[int, int]


def is_run(x: Tensor) -> bool:
    """Whether it is on a CPU, and run now: not made into code of another kind."""
    return (
        x.device.type == "cpu" and not torch.compiler.is_compiling() and not torch.jit.is_tracing()
    )


def quick(x: Tensor, weight: Tensor) -> bool:
    """Whether it is float32, too."""
    float32 = x.dtype == weight.dtype == torch.float32
    return float32 and not torch.is_autocast_enabled("cpu") and is_run(x)


def is_few(layer: nn.Conv2d | nn.ConvTranspose2d, channels: int) -> bool:
    """Whether images of so many channels are better added up from columns."""
    plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    columns = channels * math.prod(layer.kernel_size) / math.prod(layer.stride)
    return plain and not isinstance(layer.padding, str) and columns <= MOST


class ToImage(torch.autograd.Function):
    """Transposed convolution to few channels: columns by one product, added up where they overlap.

    ``apply(x, weight, bias, stride, padding, size) -> (n, channels, *size)``; ``weight`` has the
    shape of ``nn.ConvTranspose2d``.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, size: Pair
    ) -> Tensor:
        columns = torch.matmul(weight.flatten(1).t(), x.flatten(2))
        image = F.fold(columns, size, weight.shape[2:], 1, padding, stride)
        return image if bias is None else image.add_(bias[:, None, None])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, bias, *ctx.given, size = inputs
        ctx.save_for_backward(x, weight)
        ctx.biases = None if bias is None else [len(bias)]
        ctx.odd = odd_sizes(x, weight, ctx.given[0], ctx.given[1], size)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """As torch has it, which does not depend on how few channels there are.

        By itself that of the image, which some players alone want: what nobody reads is left out of
        a recorded step.
        """
        (grad,), (x, weight), (stride, padding) = grads, ctx.saved_tensors, ctx.given
        given = grad, x, weight, ctx.biases, stride, padding, [1, 1], True, ctx.odd, 1
        back, (wanted, *others) = torch.ops.aten.convolution_backward, ctx.needs_input_grad[:3]
        image, _, _ = back(*given, output_mask=[wanted, False, False])
        _, *found = back(*given, output_mask=[False, *others])
        return (image, *found, None, None, None)


class FromImage(torch.autograd.Function):
    """Convolution of few channels, whose gradient is an image of few channels, by `ToImage`.

    ``apply(x, weight, bias, stride, padding) -> (n, channels, ...)``
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
    ) -> Tensor:
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, bias, *ctx.given = inputs
        ctx.save_for_backward(x, weight)
        ctx.biases = None if bias is None else [len(bias)]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        (grad,), (x, weight), (stride, padding) = grads, ctx.saved_tensors, ctx.given
        _, *found = torch.ops.aten.convolution_backward(
            *(grad, x, weight, ctx.biases, stride, padding, [1, 1], False, [0, 0], 1),
            output_mask=[False, *ctx.needs_input_grad[1:3]],
        )
        image = ToImage.apply(grad, weight, None, stride, padding, x.shape[2:])
        return (image, *found, None, None)


def odd_sizes(x: Tensor, weight: Tensor, stride: Any, padding: Any, size: Any) -> list[int]:
    """``output_padding``: what sides of that size have more than the least."""
    sides = zip(size, x.shape[2:], weight.shape[2:], stride, padding, strict=True)
    return [side - ((n - 1) * step - 2 * room + k) for side, n, k, step, room in sides]


class Conv2d(nn.Conv2d):
    """Convolution over images; of few channels, the gradient of the image by `FromImage`."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x.requires_grad and x.dim() == 4 and is_few(self, x.shape[1]) and quick(x, weight):
            given = self.stride, self.padding
            out: Tensor = FromImage.apply(x, weight, bias, *given)
            return out
        return super()._conv_forward(x, weight, bias)


class ConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution; to few channels by `ToImage`."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        few = x.dim() == 4 and is_few(self, self.out_channels) and quick(x, self.weight)
        if not few or output_size is not None:
            return super().forward(x, output_size)
        given = self.stride, self.padding
        least = odd_sizes(x, self.weight, *given, (0, 0))
        size = [odd - side for odd, side in zip(self.output_padding, least, strict=True)]
        out: Tensor = ToImage.apply(x, self.weight, self.bias, *given, size)
        return out


class Conv1d(nn.Conv1d):
    """Convolution over time; float32 on a CPU as one over images of height one."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode != "zeros" or isinstance(self.padding, str) or not quick(x, weight):
            return super()._conv_forward(x, weight, bias)
        flat = weight[:, :, None].contiguous(memory_format=torch.channels_last)
        step, room, gap = (1, *self.stride), (0, *self.padding), (1, *self.dilation)
        return F.conv2d(x[..., None, :], flat, bias, step, room, gap, self.groups)[..., 0, :]


class Laid(torch.autograd.Function):
    """The gradient with the channels last: ``apply(x) -> x``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0].contiguous(memory_format=torch.channels_last)


class Flatten(nn.Flatten):
    """Images to rows; gradients come back with the channels last."""

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad and x.dim() == 4 and is_run(x):
            x = Laid.apply(x)
        return super().forward(x)
