"""Losses of networks that generate, and of what judges or encodes what they make."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from repkit._arguments import number, shown
from repkit.losses._checks import check_tensor

__all__ = [
    "ADVERSARIAL",
    "HINGE",
    "LIKELIHOODS",
    "LOGISTIC",
    "Adversarial",
    "bounded",
    "code_loss",
    "draw",
    "gradient_penalty",
    "half_squared_error",
    "kl_from_standard",
]


class Adversarial(NamedTuple):
    """The losses of a discriminator and of its opponents, as functions of logits.

    Greater logits say "real". Each function maps logits (n, k) to a number: the mean over rows,
    and the sum over columns, where several columns are several judgments of a row.

    Parameters
    ----------
    real : callable
        The discriminator's loss on real rows.
    fake : callable
        The discriminator's loss on generated rows.
    seem_real : callable
        The loss of an opponent who wants rows to be judged real.
    seem_fake : callable
        The loss of an opponent who wants rows to be judged generated.
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
    """Penalize the slope of a discriminator at its inputs: ``1/2 E |grad D|^2``.

    The R1 penalty (Mescheder et al. 2018, equation 9), of all inputs together. Its gradient reaches
    the parameters of D alone. Batch norm ties the rows of a batch together: a row's slope is then
    that of the sum over the batch.

    Parameters
    ----------
    logits : callable
        The discriminator. Maps ``*inputs`` to logits (n, ...).
    *inputs : Tensor of shape (n, ...)
        What the discriminator reads, usually real samples.

    Returns
    -------
    penalty : Tensor of shape ()
        Mean over rows.
    """
    if not callable(logits):
        raise TypeError(f"logits must be a function of samples, not {shown(logits)}")
    for i, x in enumerate(inputs):
        check_tensor(x, f"inputs[{i}]")
        if not x.is_floating_point():
            raise TypeError(f"inputs[{i}] must hold floats, which have a gradient, not {x.dtype}")
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
    """Compute the negative log likelihood of the codes of a generated sample, ``-E log Q(c | x)``.

    The bound of InfoGAN (Chen et al. 2016, equation 5) less H(c). Categorical codes have the
    cross-entropy. Continuous codes have ``1/2 log(2 pi s^2) + (c - mu)^2 / (2 s^2)``, with s = 1
    where no variance is given.

    Parameters
    ----------
    logits : sequence of Tensor of shape (n, categories)
        Predictions of Q for each categorical code.
    codes : sequence of Tensor of shape (n, categories)
        True categories, one-hot.
    means : Tensor of shape (n, k)
        Predictions of Q for the k continuous codes.
    values : Tensor of shape (n, k)
        True continuous codes.
    log_variances : Tensor of shape (n, k), optional
        Log variances that Q gives its predictions. Default: variances of 1.

    Returns
    -------
    losses : Tensor of shape (len(logits) + k,), float32
        Mean over the batch for each code in nats, categorical codes first.
    """
    check_tensor(means, "means", 2)
    check_tensor(values, "values", like=means)
    if log_variances is not None:
        check_tensor(log_variances, "log_variances", like=means)
    for given, name in ((logits, "logits"), (codes, "codes")):
        if not isinstance(given, tuple | list):
            raise TypeError(f"{name} must be a list of tensors, not {shown(given)}")
    if len(codes) != len(logits):
        raise ValueError(f"codes must be as many as logits, {len(logits)}, not {len(codes)}")
    for q, code in zip(logits, codes, strict=True):
        check_tensor(q, "each of logits", 2)
        check_tensor(code, "each of codes", like=q)
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
    """Draw from a diagonal Gaussian by reparametrization: ``mu + sigma * noise``.

    Kingma and Welling 2014, equation 10.

    Parameters
    ----------
    posterior : Tensor of shape (n, 2 d)
        The d means of each row, then its d log variances.
    noise : Tensor of shape (n, d)
        Draws from a standard normal distribution.

    Returns
    -------
    z : Tensor of shape (n, d), float32
        A draw for each row.
    """
    mean, log_variance = _statistics(posterior)
    check_tensor(noise, "noise", like=mean)
    return mean + torch.exp(0.5 * log_variance) * noise


def kl_from_standard(posterior: Tensor) -> Tensor:
    """Compute the divergence of diagonal Gaussians from the standard normal distribution.

    ``KL(N(mu, sigma^2) || N(0, I))`` (Kingma and Welling 2014, appendix B).

    Parameters
    ----------
    posterior : Tensor of shape (n, 2 d)
        The d means of each row, then its d log variances.

    Returns
    -------
    divergence : Tensor of shape (), float32
        Sum over components and mean over rows, in nats.

    Examples
    --------
    >>> kl_from_standard(torch.zeros(3, 4))  # means 0 and variances 1
    tensor(0.)
    """
    mean, log_variance = _statistics(posterior)
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1).mean()


def _statistics(posterior: Tensor) -> tuple[Tensor, Tensor]:
    """Split means and log variances, the latter kept where fp32 still tells them apart."""
    check_tensor(posterior, "posterior", 2)
    if posterior.shape[1] % 2:
        raise ValueError(f"posterior must have 2 d columns, not {posterior.shape[1]}")
    mean, log_variance = posterior.float().chunk(2, 1)
    return mean, bounded(log_variance, -10.0, 10.0)


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, least: float, greatest: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bounds = least, greatest
        return x.clamp(least, greatest)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        least, greatest = ctx.bounds
        outwards = ((x > greatest) & (grad < 0)) | ((x < least) & (grad > 0))
        return grad.masked_fill(outwards, 0.0), None, None


def bounded(x: Tensor, least: float, greatest: float) -> Tensor:
    """Clamp numbers, but let a gradient through that leads back to the bounds.

    ``torch.clamp`` has no gradient beyond its bounds: a network that once gives more can never be
    told to give less.

    Parameters
    ----------
    x : Tensor of any shape
        Numbers.
    least, greatest : float
        The bounds.

    Returns
    -------
    x : Tensor
        From `least` to `greatest`. Beyond a bound, the gradient of a loss passes where descent
        goes towards the bound, and is 0 where it goes away.
    """
    check_tensor(x, "x")
    low, high = number(least, "least", -math.inf), number(greatest, "greatest", -math.inf)
    if not low <= high:
        raise ValueError(f"least must be at most greatest={high:g}, not {low:g}")
    return _Bounded.apply(x, low, high)


def half_squared_error(found: Tensor, x: Tensor) -> Tensor:
    """Half the squared error, a sum over the numbers of a sample and a mean over samples.

    Parameters
    ----------
    found : Tensor of shape (n, ...)
        Samples in question.
    x : Tensor of shape (n, ...)
        What they should be.

    Returns
    -------
    error : Tensor of shape (), float32
        Sum over the values of a sample, mean over samples.
    """
    check_tensor(found, "found")
    check_tensor(x, "x", like=found)
    return 0.5 * (found.float() - x).square().flatten(1).sum(1).mean()


def _bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    # From logits: a probability of 1 in fp32 does not tell its logit, and passes no gradient.
    cost = F.binary_cross_entropy_with_logits(logits.float(), x.float(), reduction="none")
    return cost.flatten(1).sum(1).mean()


def _gaussian(logits: Tensor, x: Tensor) -> Tensor:
    return half_squared_error(torch.sigmoid(logits.float()), x)


# -log p(x | logits of decoded x) without constants: sums over pixels in [0, 1], means over rows.
LIKELIHOODS = {"bernoulli": _bernoulli, "gaussian": _gaussian}
