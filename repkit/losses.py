"""Losses, as pure functions of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit._arguments import number, shown

__all__ = [
    "ADVERSARIAL",
    "HINGE",
    "LIKELIHOODS",
    "LOGISTIC",
    "Adversarial",
    "GradientReversal",
    "bounded",
    "code_loss",
    "draw",
    "entropy",
    "gradient_penalty",
    "half_squared_error",
    "information",
    "kl_from_standard",
    "multilinear",
    "paired_information",
    "reverse",
    "virtual_adversarial",
    "weighted_cross_entropy",
]


def _check(
    x: Any,
    name: str,
    ndim: int | None = None,
    *,
    like: Tensor | None = None,
    rows: int | None = None,
) -> None:
    """Raise an error that names the argument unless it is a real tensor of that shape."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a tensor, not {shown(x)}")
    if x.is_complex():
        raise TypeError(f"{name} must be a tensor of real numbers, not of {x.dtype}")
    if ndim is not None and x.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, not the shape {tuple(x.shape)}")
    if like is not None and x.shape != like.shape:
        raise ValueError(f"{name} must have the shape {tuple(like.shape)}, not {tuple(x.shape)}")
    if rows is not None and (not x.ndim or len(x) != rows):
        raise ValueError(f"{name} must have {rows} rows, not the shape {tuple(x.shape)}")


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
    _check(x, "x")
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


def entropy(logits: Tensor) -> Tensor:
    """Compute the Shannon entropy of each row's softmax.

    Parameters
    ----------
    logits : Tensor of shape (n, classes)
        Unnormalized log probabilities.

    Returns
    -------
    entropy : Tensor of shape (n,), float32
        In nats, from 0 to log(classes).
    """
    _check(logits, "logits", 2)
    log_p = F.log_softmax(logits.float(), 1)
    return -(log_p.exp() * log_p).sum(1)


def _p_log_p(p: Tensor) -> Tensor:
    """Give ``sum p log p``, with a finite gradient where p is 0 (that of xlogy is not)."""
    return (p * p.clamp_min(torch.finfo(p.dtype).tiny).log()).sum()


def information(logits: Tensor) -> Tensor:
    """Compute minus the mutual information between inputs and predicted classes.

    The mean entropy of the rows minus the entropy of the mean prediction (RIM; Krause et al.
    2010). Minimizing it makes predictions certain and uses all classes evenly.

    Parameters
    ----------
    logits : Tensor of shape (n, classes)
        Unnormalized log probabilities of a batch.

    Returns
    -------
    loss : Tensor of shape (), float32
        In nats, from -log(classes) to 0.
    """
    _check(logits, "logits", 2)
    mean = F.softmax(logits.float(), 1).mean(0)
    return entropy(logits).mean() + _p_log_p(mean)


def paired_information(logits: Tensor, other: Tensor) -> Tensor:
    """Compute minus the mutual information between the predictions for two views.

    ``-sum P log(P / (p p'))``, with P the joint distribution of the categories of the two views,
    averaged over the batch and made symmetric (IIC; Ji et al. 2019, equation 3). Minimizing it
    gives a sample the same category in every view and uses all categories.

    Parameters
    ----------
    logits : Tensor of shape (n, classes)
        Unnormalized log probabilities of the first views.
    other : Tensor of shape (n, classes)
        Unnormalized log probabilities of the second views, in the same order.

    Returns
    -------
    loss : Tensor of shape (), float32
        In nats, from -log(classes) to 0.
    """
    _check(logits, "logits", 2)
    _check(other, "other", like=logits)
    p, q = F.softmax(logits.float(), 1), F.softmax(other.float(), 1)
    joint = (p[:, :, None] * q[:, None, :]).mean(0)
    joint = 0.5 * (joint + joint.T)
    margin = joint.sum(0)
    return 2.0 * _p_log_p(margin) - _p_log_p(joint)


def virtual_adversarial(
    logits: Callable[[Tensor], Tensor], x: Tensor, radius: float, *, reach: float = 0.2
) -> Tensor:
    """Measure how far predictions change in the direction in which they change most.

    ``KL(p(x) || p(x + r))`` for the r of length `radius` that one step of power iteration finds
    (Miyato et al. 2018, equations 5 to 12). Its gradient reaches the network's parameters through
    p(x + r) only.

    Parameters
    ----------
    logits : callable
        Maps samples (n, ...) to logits (n, classes). It must be the same function in every call:
        no dropout, fixed batch statistics.
    x : Tensor of shape (n, ...)
        Samples.
    radius : float
        Euclidean length of the change to a whole sample.
    reach : float, default=0.2
        The power iteration starts at random, at a distance of ``reach * radius``.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over the batch, in nats.
    """
    if not callable(logits):
        raise TypeError(f"logits must be a function of samples, not {shown(logits)}")
    _check(x, "x")
    radius, reach = number(radius, "radius"), number(reach, "reach", above=True)

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
        Weights of the rows, at least 0; the first n are used. With None, all rows count alike.

    Returns
    -------
    Tensor of shape ()
        ``sum_i w_i CE_i / n``: weights with a mean of 1 over all rows leave the scale of the loss.
    """
    _check(logits, "logits", 2)
    _check(y, "y", 1, rows=len(logits))
    if y.dtype != torch.int64:
        raise TypeError(f"y must hold classes as int64, not {y.dtype}")
    if weight is None:
        return F.cross_entropy(logits, y)
    _check(weight, "weight", 1)
    if len(weight) < len(y):
        raise ValueError(f"weight must have at least {len(y)} entries, not {len(weight)}")
    return (F.cross_entropy(logits, y, reduction="none") * weight[: len(y)]).mean()


def multilinear(features: Tensor, probabilities: Tensor) -> Tensor:
    """Multiply features by class probabilities: the outer product of each row, flattened.

    The multilinear map of CDAN (Long et al. 2018, equation 6).

    Parameters
    ----------
    features : Tensor of shape (n, d)
        Features of a batch.
    probabilities : Tensor of shape (n, classes)
        Class probabilities of the same rows.

    Returns
    -------
    product : Tensor of shape (n, d * classes)
        Entry ``i * classes + c`` of a row is feature i times the probability of class c.
    """
    _check(features, "features", 2)
    _check(probabilities, "probabilities", 2, rows=len(features))
    return torch.bmm(features.unsqueeze(2), probabilities.unsqueeze(1)).flatten(1)


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
    _check(noise, "noise", like=mean)
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
    _check(posterior, "posterior", 2)
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
    _check(x, "x")
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
    _check(found, "found")
    _check(x, "x", like=found)
    return 0.5 * (found.float() - x).square().flatten(1).sum(1).mean()


def _bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    # From logits: a probability of 1 in fp32 does not tell its logit, and passes no gradient.
    cost = F.binary_cross_entropy_with_logits(logits.float(), x.float(), reduction="none")
    return cost.flatten(1).sum(1).mean()


def _gaussian(logits: Tensor, x: Tensor) -> Tensor:
    return half_squared_error(torch.sigmoid(logits.float()), x)


# -log p(x | logits of decoded x) without constants: sums over pixels in [0, 1], means over rows.
LIKELIHOODS = {"bernoulli": _bernoulli, "gaussian": _gaussian}
