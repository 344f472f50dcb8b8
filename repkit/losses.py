"""Pure tensor functions that the systems' phases are written with."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
    """Gradient reversal: the identity forward, ``-lam`` times the gradient backward.

    Ganin et al. 2016, equations 16 and 17.

    Parameters
    ----------
    x : Tensor
        Any shape.
    lam : Tensor of shape () or float
        The factor. A tensor may change between steps without a recompilation; it gets no gradient.
    """
    if not isinstance(lam, Tensor):
        lam = torch.tensor(float(lam), device=x.device)
    return _Reverse.apply(x, lam)


class GradientReversal(nn.Module):
    """`reverse` as a layer, for networks of your own.

    Parameters
    ----------
    lam : float, default=1.0
        The factor. It is a buffer: ``layer.lam.fill_(value)`` changes it.
    """

    lam: Tensor

    def __init__(self, lam: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("lam", torch.tensor(float(lam)))

    def forward(self, x: Tensor) -> Tensor:
        return reverse(x, self.lam)


def entropy(logits: Tensor) -> Tensor:
    """Shannon entropy of each row's softmax, in nats: ``(n, classes) -> (n,)``."""
    log_p = F.log_softmax(logits.float(), 1)
    return -(log_p.exp() * log_p).sum(1)


def information(logits: Tensor) -> Tensor:
    """Mean entropy of the rows minus the entropy of the mean prediction (RIM; Krause et al. 2010).

    Minimised, it makes predictions certain and the classes evenly used: the negative of the mutual
    information between input and prediction. ``(n, classes) -> ()``.
    """
    mean = F.softmax(logits.float(), 1).mean(0)
    return entropy(logits).mean() + torch.special.xlogy(mean, mean).sum()


def multilinear(features: Tensor, probabilities: Tensor) -> Tensor:
    """The multilinear map of Long et al. 2018 (CDAN), equation 6: ``f (x) g``, flattened.

    ``(n, d), (n, classes) -> (n, d * classes)``.
    """
    return torch.bmm(features.unsqueeze(2), probabilities.unsqueeze(1)).flatten(1)


def dann_ramp(progress: float) -> float:
    """The lambda of Ganin et al. 2016, section 5.2.2: ``2 / (1 + exp(-10 p)) - 1``."""
    return 2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0


def dann_decay(progress: float) -> float:
    """The learning-rate factor of Ganin et al. 2016, section 5.2.2: ``(1 + 10 p) ** -0.75``."""
    return (1.0 + 10.0 * progress) ** -0.75


def warm_cosine(progress: float, warm: float = 0.05) -> float:
    """A learning-rate factor that rises from 0 to 1 up to ``warm``, then falls as a half cosine."""
    if progress < warm:
        return progress / warm
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warm) / (1.0 - warm)))
