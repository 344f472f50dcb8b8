"""Losses of class predictions."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from repkit._arguments import integer, number, shown
from repkit.losses._checks import check_tensor

__all__ = [
    "class_confusion",
    "entropy",
    "estimate_shares",
    "information",
    "paired_information",
    "virtual_adversarial",
    "weighted_cross_entropy",
    "weighted_squared_error",
]


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
    check_tensor(logits, "logits", 2)
    log_p = F.log_softmax(logits.float(), 1)
    return -(log_p.exp() * log_p).sum(1)


def _p_log_p(p: Tensor) -> Tensor:
    """Give ``sum p log p``, with a finite gradient where p is 0 (that of xlogy is not)."""
    return (p * p.clamp_min(torch.finfo(p.dtype).tiny).log()).sum()


def information(logits: Tensor, prior: Tensor | None = None) -> Tensor:
    """Compute minus the mutual information between inputs and predicted classes.

    The mean entropy of the rows minus the entropy of the mean prediction (RIM; Krause et al.
    2010). Minimizing it makes predictions certain and uses all classes evenly, or as a prior says:
    the second term is then ``KL(mean prediction || prior)``.

    Parameters
    ----------
    logits : Tensor of shape (n, classes)
        Unnormalized log probabilities of a batch.
    prior : Tensor of shape (classes,), optional
        Shares that the classes should have, above 0, with a sum of 1. By default equal ones.

    Returns
    -------
    loss : Tensor of shape (), float32
        In nats, from -log(classes) to 0; with a prior, at least 0.
    """
    check_tensor(logits, "logits", 2)
    if prior is not None:
        check_tensor(prior, "prior", 1, rows=logits.shape[1])
    mean = F.softmax(logits.float(), 1).mean(0)
    loss = entropy(logits).mean() + _p_log_p(mean)
    return loss if prior is None else loss - (mean * prior.log()).sum()


def class_confusion(logits: Tensor, temperature: float = 2.5) -> Tensor:
    """Measure how much predictions confuse pairs of classes.

    Minimum class confusion (Jin et al. 2020, equations 3 to 7). With P the softmax of
    ``logits / temperature``, and rows weighted by ``1 + exp(-entropy)`` with a mean of 1, the
    confusion of two classes is ``sum_i w_i P_ij P_ik``, divided by its sum over k; the loss is the
    mean over j of what is not on the diagonal.

    Parameters
    ----------
    logits : Tensor of shape (n, classes)
        Unnormalized log probabilities of a batch of target rows.
    temperature : float, default=2.5
        Softens the predictions.

    Returns
    -------
    loss : Tensor of shape (), float32
        From 0, each row one class, to ``1 - 1 / classes``. The rows' weights have no gradient.
    """
    check_tensor(logits, "logits", 2)
    scaled = logits.float() / number(temperature, "temperature", above=True)
    with torch.autocast(scaled.device.type, enabled=False):
        p = F.softmax(scaled, 1)
        weight = 1.0 + torch.exp(-entropy(scaled.detach()))
        confusion = (p * (weight / weight.mean())[:, None]).T @ p
        confusion = confusion / confusion.sum(1, keepdim=True).clamp_min(torch.finfo(p.dtype).tiny)
        return 1.0 - confusion.diagonal().mean()


@torch.no_grad()
def estimate_shares(proba: Tensor, shares: Tensor, n_steps: int = 100) -> Tensor:
    """Estimate the shares of the classes among rows from predictions for them.

    Expectation maximization (Saerens et al. 2002, equation 2.9): predictions of a model that
    learned from other shares are reweighted by the ratio of the shares, and their mean is the next
    estimate. It needs calibrated probabilities, and rows that differ from the learned ones in the
    shares alone.

    Parameters
    ----------
    proba : Tensor of shape (n, classes)
        Predicted probabilities.
    shares : Tensor of shape (classes,)
        Shares of the classes among the rows that the model learned from.
    n_steps : int, default=100
        Steps of the expectation maximization.

    Returns
    -------
    estimate : Tensor of shape (classes,), float32
        Shares, with a sum of 1.

    Examples
    --------
    >>> proba = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    >>> estimate_shares(proba, torch.tensor([0.5, 0.5]))
    tensor([0.8125, 0.1875])
    """
    check_tensor(proba, "proba", 2)
    check_tensor(shares, "shares", 1, rows=proba.shape[1])
    n_steps = integer(n_steps, "n_steps", 0, 10**6)
    tiny = torch.finfo(torch.float32).tiny
    proba, shares = proba.float(), shares.float().clamp_min(tiny)
    found = shares
    for _ in range(n_steps):
        weighted = proba * (found / shares)
        found = (weighted / weighted.sum(1, keepdim=True).clamp_min(tiny)).mean(0)
    return found / found.sum()


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
    check_tensor(logits, "logits", 2)
    check_tensor(other, "other", like=logits)
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
    check_tensor(x, "x")
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
    check_tensor(logits, "logits", 2)
    check_tensor(y, "y", 1, rows=len(logits))
    if y.dtype != torch.int64:
        raise TypeError(f"y must hold classes as int64, not {y.dtype}")
    if weight is None:
        return F.cross_entropy(logits, y)
    _check_weight(weight, len(y))
    return (F.cross_entropy(logits, y, reduction="none") * weight[: len(y)]).mean()


def weighted_squared_error(found: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
    """Mean squared error over rows, each counting as much as its weight.

    Parameters
    ----------
    found : Tensor of shape (n, outputs)
        Predictions.
    y : Tensor of shape (n, outputs)
        What they should be.
    weight : Tensor of shape (>= n,), optional
        Weights of the rows, at least 0; the first n are used. With None, all rows count alike.

    Returns
    -------
    Tensor of shape ()
        ``sum_i w_i |found_i - y_i|^2 / (n outputs)``.
    """
    check_tensor(found, "found", 2)
    check_tensor(y, "y", like=found)
    if weight is not None:
        _check_weight(weight, len(y))
    errors = (found.float() - y).square().mean(1)
    return errors.mean() if weight is None else (errors * weight[: len(y)]).mean()


def _check_weight(weight: Tensor, n: int) -> None:
    check_tensor(weight, "weight", 1)
    if len(weight) < n:
        raise ValueError(f"weight must have at least {n} entries, not {len(weight)}")
