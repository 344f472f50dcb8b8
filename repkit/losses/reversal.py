"""The gradient reversal of domain-adversarial training (Ganin et al. 2016)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from repkit._arguments import number
from repkit.losses._checks import check_tensor

__all__ = [
    "GradientReversal",
    "reverse",
]


class _Reverse(torch.autograd.Function):
    # The older form of an autograd function, with ctx in forward: the newer one, setup_context,
    # inspects signatures at every call, which costs more than the reversal.
    @staticmethod
    def forward(ctx: Any, x: Tensor, lam: Tensor) -> Tensor:
        ctx.save_for_backward(lam)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (lam,) = ctx.saved_tensors
        return grad * -lam.to(grad.dtype), None


def reverse(x: Tensor, lam: Tensor | float = 1.0) -> Tensor:
    """Reverse the gradient: the identity forward, ``-lam`` times the gradient backward.

    Ganin et al. 2016, equations 16 and 17.

    Parameters
    ----------
    x : Tensor of any shape
        What is passed on unchanged.
    lam : float or Tensor of shape (), default=1.0
        Factor of the reversed gradient. A tensor can change between steps without recompiling. It
        gets no gradient itself.

    Returns
    -------
    x : Tensor
        Equal to the input.

    Examples
    --------
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> reverse(x, 0.5).sum().backward()
    >>> x.grad
    tensor([-0.5000, -0.5000])
    """
    check_tensor(x, "x")
    if not isinstance(lam, Tensor):
        lam = torch.tensor(number(lam, "lam", -math.inf), device=x.device)
    elif lam.numel() != 1:
        raise ValueError(f"lam must be one number, not a tensor of shape {tuple(lam.shape)}")
    return _Reverse.apply(x, lam)


class GradientReversal(nn.Module):
    """A layer that reverses the gradient (see `reverse`), for networks of your own.

    Parameters
    ----------
    lam : float, default=1.0
        Factor of the reversed gradient. It is kept as a buffer: ``layer.lam.fill_(value)``
        changes it.
    """

    lam: Tensor

    def __init__(self, lam: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("lam", torch.tensor(number(lam, "lam", -math.inf)))

    def forward(self, x: Tensor) -> Tensor:
        """Pass a tensor on, to be met by a reversed gradient.

        Parameters
        ----------
        x : Tensor of any shape
            Input of the layer.

        Returns
        -------
        x : Tensor
            Equal to the input.
        """
        return reverse(x, self.lam)
