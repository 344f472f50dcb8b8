"""Pure tensor functions that the systems' phases are written with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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


def _p_log_p(p: Tensor) -> Tensor:
    """``sum p log p``, with a gradient also where p is 0, which that of xlogy is not."""
    return (p * p.clamp_min(torch.finfo(p.dtype).tiny).log()).sum()


def information(logits: Tensor) -> Tensor:
    """Mean entropy of the rows minus the entropy of the mean prediction (RIM; Krause et al. 2010).

    Minimized, it makes predictions certain and the classes evenly used: the negative of the mutual
    information between input and prediction. ``(n, classes) -> ()``.
    """
    mean = F.softmax(logits.float(), 1).mean(0)
    return entropy(logits).mean() + _p_log_p(mean)


def paired_information(logits: Tensor, other: Tensor) -> Tensor:
    """Minus the mutual information of two views' predictions (IIC; Ji et al. 2019, equation 3).

    With the joint distribution P of the categories of the two views, averaged over the batch and
    made symmetric, ``-sum P log(P / (p p'))``: minimized, a sample's category is the same in every
    view and all categories are used. ``(n, classes), (n, classes) -> ()``
    """
    p, q = F.softmax(logits.float(), 1), F.softmax(other.float(), 1)
    joint = (p[:, :, None] * q[:, None, :]).mean(0)
    joint = 0.5 * (joint + joint.T)
    margin = joint.sum(0)
    return 2.0 * _p_log_p(margin) - _p_log_p(joint)


def virtual_adversarial(
    logits: Callable[[Tensor], Tensor], x: Tensor, radius: float, *, reach: float = 0.2
) -> Tensor:
    """How much the prediction changes in the direction in which it changes most.

    ``KL(p(x) || p(x + r))`` for the r of length ``radius`` that one step of power iteration finds,
    started ``reach * radius`` away at random (Miyato et al. 2018, equations 5 to 12). It has a
    gradient in the network's parameters, through p(x + r) only.

    Parameters
    ----------
    logits : callable
        ``(n, ...) -> (n, classes)``, the same in every call: no dropout, fixed batch statistics.
    x : Tensor of shape (n, ...)
    radius : float
        In the unit of a whole sample: its Euclidean length.
    """

    def divergence(r: Tensor) -> Tensor:
        return F.kl_div(F.log_softmax(logits(x + r).float(), 1), p, reduction="batchmean")

    def unit(r: Tensor) -> Tensor:
        return F.normalize(r.flatten(1), dim=1).view_as(r)

    with torch.no_grad():
        p = F.softmax(logits(x).float(), 1)
    start = (reach * radius * unit(torch.randn_like(x))).requires_grad_()
    (direction,) = torch.autograd.grad(divergence(start), start)
    return divergence(radius * unit(direction))


def weighted_cross_entropy(logits: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
    """Mean cross-entropy over rows, each counting as much as its weight.

    Parameters
    ----------
    logits : Tensor of shape (n, classes)
        Unnormalized log probabilities.
    y : int64 Tensor of shape (n,)
        Classes.
    weight : Tensor of shape (>= n,), optional
        Of the rows, at least 0; the first n are used. By default, all alike.

    Returns
    -------
    Tensor of shape ()
        ``sum_i w_i CE_i / n``: weights with a mean of 1 over all rows leave the scale of the loss.
    """
    if weight is None:
        return F.cross_entropy(logits, y)
    return (F.cross_entropy(logits, y, reduction="none") * weight[: len(y)]).mean()


def multilinear(features: Tensor, probabilities: Tensor) -> Tensor:
    """The multilinear map of Long et al. 2018 (CDAN), equation 6: ``f (x) g``, flattened.

    ``(n, d), (n, classes) -> (n, d * classes)``.
    """
    return torch.bmm(features.unsqueeze(2), probabilities.unsqueeze(1)).flatten(1)


class Adversarial(NamedTuple):
    """A discriminator's loss and its opponents', on logits: means over rows, sums over columns.

    Greater logits say "real". ``real`` and ``fake`` are what the discriminator pays for a row of
    that kind, ``seem_real`` and ``seem_fake`` what an opponent pays who wants the row judged so.
    Several columns are several judgments of a row, each with its loss.
    """

    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]
    seem_real: Callable[[Tensor], Tensor]
    seem_fake: Callable[[Tensor], Tensor]


def _over_rows(cost: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda logits: cost(logits.float()).flatten(1).mean(0).sum()


# Goodfellow et al. 2014 with the inverse labels that they recommend: softplus(l) = -log(1 - D).
LOGISTIC = Adversarial(
    real=_over_rows(lambda t: F.softplus(-t)),
    fake=_over_rows(lambda t: F.softplus(t)),
    seem_real=_over_rows(lambda t: F.softplus(-t)),
    seem_fake=_over_rows(lambda t: F.softplus(t)),
)
# Lim and Ye 2017; Donahue and Simonyan 2019, equations 1 and 2.
HINGE = Adversarial(
    real=_over_rows(lambda t: F.relu(1.0 - t)),
    fake=_over_rows(lambda t: F.relu(1.0 + t)),
    seem_real=_over_rows(lambda t: -t),
    seem_fake=_over_rows(lambda t: t),
)
ADVERSARIAL = {"logistic": LOGISTIC, "hinge": HINGE}


def gradient_penalty(logits: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """``1/2 E |grad D|^2`` at the given inputs, jointly (R1; Mescheder et al. 2018, equation 9).

    It has a gradient in the parameters of D alone. Batch norm ties the rows of a batch together:
    a row's gradient is then that of the sum over the batch.

    Parameters
    ----------
    logits : callable
        ``(*inputs) -> (n, ...)``.
    *inputs : Tensor of shape (n, ...)
    """
    inputs = tuple(x.detach().requires_grad_() for x in inputs)
    gradients = torch.autograd.grad(logits(*inputs).float().sum(), inputs, create_graph=True)
    return 0.5 * torch.cat([g.float().flatten(1) for g in gradients], 1).square().sum(1).mean()


def code_loss(
    logits: Sequence[Tensor],
    codes: Sequence[Tensor],
    means: Tensor,
    values: Tensor,
    log_variances: Tensor | None = None,
) -> Tensor:
    """``-E log Q(c | x)`` of each code: the bound of Chen et al. 2016, equation 5, less H(c).

    Cross-entropy for the categorical codes, the Gaussian negative log-likelihood for the
    continuous ones: ``1/2 log(2 pi s^2) + (c - mu)^2 / (2 s^2)``, with s = 1 where no variance is
    given.

    Parameters
    ----------
    logits : sequence of Tensor of shape (n, categories)
        What Q says of each categorical code.
    codes : sequence of Tensor of shape (n, categories)
        One-hot.
    means, values : Tensor of shape (n, k)
        What Q says of the continuous codes, and what they are.
    log_variances : Tensor of shape (n, k), optional

    Returns
    -------
    Tensor of shape (len(logits) + k,)
        The mean over the batch for each code, categorical ones first.
    """
    terms = [
        -(code * F.log_softmax(q.float(), 1)).sum(1).mean()
        for q, code in zip(logits, codes, strict=True)
    ]
    error = (values - means.float()).square()
    if log_variances is not None:
        error = error * torch.exp(-log_variances.float()) + log_variances.float()
    gaussian = 0.5 * (error + math.log(2.0 * math.pi)).mean(0)
    return torch.cat([torch.stack(terms), gaussian]) if terms else gaussian


def draw(posterior: Tensor, noise: Tensor) -> Tensor:
    """``mu + sigma * noise`` from rows of means and log variances.

    Kingma and Welling 2014, equation 10. ``(n, 2 d), (n, d) -> (n, d)``
    """
    mean, log_variance = _statistics(posterior)
    return mean + torch.exp(0.5 * log_variance) * noise


def kl_from_standard(posterior: Tensor) -> Tensor:
    """``KL(N(mu, sigma^2) || N(0, I))``, a sum over components, a mean over rows.

    Kingma and Welling 2014, appendix B; of rows of means and log variances. ``(n, 2 d) -> ()``
    """
    mean, log_variance = _statistics(posterior)
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1).mean()


def _statistics(posterior: Tensor) -> tuple[Tensor, Tensor]:
    """Means and log variances, these between the bounds at which fp32 still tells them apart."""
    mean, log_variance = posterior.float().chunk(2, 1)
    return mean, log_variance.clamp(-10.0, 10.0)


def _bernoulli(p: Tensor, x: Tensor) -> Tensor:
    # torch's binary_cross_entropy refuses to run under autocast.
    p = p.float().clamp(1e-7, 1.0 - 1e-7)
    return -(x * p.log() + (1.0 - x) * torch.log1p(-p)).flatten(1).sum(1).mean()


def _gaussian(mean: Tensor, x: Tensor) -> Tensor:
    return 0.5 * (mean.float() - x).square().flatten(1).sum(1).mean()


# -log p(x | what is decoded), constants left out: sums over pixels in [0, 1], means over rows.
LIKELIHOODS = {"bernoulli": _bernoulli, "gaussian": _gaussian}
