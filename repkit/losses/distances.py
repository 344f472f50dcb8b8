"""Distances between the features of two domains, which a feature extractor makes small.

Each is computed in float32, also under autocast: they are differences of nearly equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from repkit._arguments import number, shown
from repkit.losses._checks import check_tensor

__all__ = [
    "BANDWIDTHS",
    "coral",
    "discrepancy",
    "joint_mmd",
    "mmd",
    "multilinear",
    "slope_penalty",
    "wasserstein",
]

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
PREDICTION_BANDWIDTH = 1.68  # of JAN's kernel on predicted probabilities, as in its authors' code


def coral(x: Tensor, y: Tensor) -> Tensor:
    """Measure how far the covariances of two samples are apart: ``|C_x - C_y|_F^2 / (4 d^2)``.

    Deep CORAL (Sun and Saenko 2016, equations 1 to 3).

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Features of one domain, at least 2 rows.
    y : Tensor of shape (m, d)
        Features of the other, at least 2 rows.

    Returns
    -------
    distance : Tensor of shape (), float32
        At least 0; it does not see a difference of the means.
    """
    _check_features(x, y, 2)
    with torch.autocast(x.device.type, enabled=False):
        gap = _covariance(x.float()) - _covariance(y.float())
        return gap.square().sum() / (4.0 * x.shape[1] ** 2)


def _covariance(x: Tensor) -> Tensor:
    x = x - x.mean(0)
    return x.T @ x / (len(x) - 1)


def mmd(x: Tensor, y: Tensor, bandwidths: Sequence[float] = BANDWIDTHS) -> Tensor:
    """Estimate the squared maximum mean discrepancy of two samples.

    ``mean k(x, x') + mean k(y, y') - 2 mean k(x, y)`` with the means over all pairs (Gretton et al.
    2012, equation 5). The kernel is the mean of Gaussian ones, as in deep adaptation networks
    (Long et al. 2015, equations 1 to 3), ``exp(-|a - b|^2 / (h s))``: h runs over the bandwidths,
    and s is the mean squared distance between two rows of the batch.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Features of one domain.
    y : Tensor of shape (m, d)
        Features of the other.
    bandwidths : sequence of float, default=(0.25, 0.5, 1.0, 2.0, 4.0)
        Widths of the kernels, as multiples of the mean squared distance.

    Returns
    -------
    distance : Tensor of shape (), float32
        From 0 to 2. The mean squared distance is taken as a number, without a gradient.
    """
    _check_features(x, y)
    widths = _checked_widths(bandwidths)
    with torch.autocast(x.device.type, enabled=False):
        return _discrepancy_of_means(_kernel(torch.cat([x, y]).float(), widths), len(x))


def joint_mmd(
    x: Tensor, y: Tensor, p: Tensor, q: Tensor, bandwidths: Sequence[float] = BANDWIDTHS
) -> Tensor:
    """Estimate the squared maximum mean discrepancy of features and predictions together.

    The joint maximum mean discrepancy of JAN (Long et al. 2017, equations 8 and 9): as `mmd`, with
    the product of a kernel on features and one on predicted probabilities,
    ``exp(-|p - q|^2 / 1.68)`` as in the authors' code.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Features of one domain.
    y : Tensor of shape (m, d)
        Features of the other.
    p : Tensor of shape (n, classes)
        Predictions for the rows of x: class probabilities.
    q : Tensor of shape (m, classes)
        Predictions for the rows of y.
    bandwidths : sequence of float, default=(0.25, 0.5, 1.0, 2.0, 4.0)
        Widths of the kernels on features, as multiples of the mean squared distance.

    Returns
    -------
    distance : Tensor of shape (), float32
        From 0 to 2. Its gradient reaches features and predictions.
    """
    _check_features(x, y)
    check_tensor(p, "p", 2, rows=len(x))
    check_tensor(q, "q", 2, rows=len(y))
    if q.shape[1] != p.shape[1]:
        raise ValueError(f"q must have {p.shape[1]} columns as p has, not {q.shape[1]}")
    widths = _checked_widths(bandwidths)
    with torch.autocast(x.device.type, enabled=False):
        features = _kernel(torch.cat([x, y]).float(), widths)
        predictions = (-_squares(torch.cat([p, q]).float()) / PREDICTION_BANDWIDTH).exp()
        return _discrepancy_of_means(features * predictions, len(x))


def _check_features(x: Tensor, y: Tensor, least: int = 1) -> None:
    for rows, name in ((x, "x"), (y, "y")):
        check_tensor(rows, name, 2)
        if len(rows) < least:
            raise ValueError(f"{name} must have at least {least} rows, not {len(rows)}")
    if y.shape[1] != x.shape[1]:
        raise ValueError(f"y must have {x.shape[1]} columns as x has, not {y.shape[1]}")


def _checked_widths(bandwidths: Sequence[float]) -> list[float]:
    several = isinstance(bandwidths, tuple | list | np.ndarray) and np.ndim(bandwidths) == 1
    if not several or not len(bandwidths):
        raise TypeError(f"bandwidths must be a sequence of numbers, not {shown(bandwidths)}")
    return [number(width, "bandwidths", above=True) for width in bandwidths]


def _squares(z: Tensor) -> Tensor:
    """Squared distances between all rows."""
    z = z - z.detach().mean(0)  # small numbers lose less in the differences below
    norms = z.square().sum(1)
    return (norms[:, None] + norms[None] - 2.0 * z @ z.T).clamp_min(0.0)


def _kernel(z: Tensor, bandwidths: Sequence[float]) -> Tensor:
    squares = _squares(z)
    n = len(z)
    scale = (squares.detach().sum() / (n * (n - 1))).clamp_min(torch.finfo(z.dtype).tiny)
    kernels = [(squares / (-width * scale)).exp() for width in bandwidths]
    return torch.stack(kernels).mean(0)


def _discrepancy_of_means(kernel: Tensor, n: int) -> Tensor:
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2.0 * kernel[:n, n:].mean()


def wasserstein(x: Tensor, y: Tensor) -> Tensor:
    """Estimate the Wasserstein distance from what a critic says of two samples.

    ``mean f(x) - mean f(y)`` (WDGRL; Shen et al. 2018, equation 3), a lower bound as long as the
    critic's slope is at most 1; see `slope_penalty`.

    Parameters
    ----------
    x : Tensor of shape (n,)
        The critic's numbers for the features of one domain.
    y : Tensor of shape (m,)
        Those for the features of the other.

    Returns
    -------
    distance : Tensor of shape (), float32
        Greater for a better critic, smaller for domains that are nearer.
    """
    for numbers, name in ((x, "x"), (y, "y")):
        check_tensor(numbers, name, 1)
        if not len(numbers):
            raise ValueError(f"{name} must have a number for at least 1 row, not none")
    return x.float().mean() - y.float().mean()


def slope_penalty(critic: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Penalize slopes of a critic that are not 1: ``mean (|grad f| - 1)^2``.

    Taken at the features of both domains and at random points on straight lines between them
    (WDGRL; Shen et al. 2018, equation 4). Its gradient reaches the critic alone.

    Parameters
    ----------
    critic : callable
        Maps features (n, d) to numbers (n,).
    x : Tensor of shape (n, d)
        Features of one domain.
    y : Tensor of shape (m, d)
        Features of the other. Where they are fewer, they are paired again from the first.

    Returns
    -------
    penalty : Tensor of shape (), float32
        Mean over all points.
    """
    if not callable(critic):
        raise TypeError(f"critic must be a function of features, not {shown(critic)}")
    _check_features(x, y)
    x, y = x.detach().float(), y.detach().float()
    rows = torch.arange(max(len(x), len(y)), device=x.device)
    share = torch.rand(len(rows), 1, device=x.device)
    between = y[rows % len(y)] + share * (x[rows % len(x)] - y[rows % len(y)])
    points = torch.cat([x, y, between]).requires_grad_()
    (slope,) = torch.autograd.grad(critic(points).float().sum(), points, create_graph=True)
    steep = (slope.float().square().sum(1) + 1e-12).sqrt()
    return (steep - 1.0).square().mean()


def discrepancy(p: Tensor, q: Tensor) -> Tensor:
    """Measure how far two predictors disagree: the mean of ``|p - q|``.

    The discrepancy of two classifiers (MCD; Saito et al. 2018, equation 2).

    Parameters
    ----------
    p : Tensor of shape (n, classes)
        Predictions of one: class probabilities.
    q : Tensor of shape (n, classes)
        Predictions of the other for the same rows.

    Returns
    -------
    distance : Tensor of shape (), float32
        Mean over rows and classes, from 0 to 2 / classes for probabilities.
    """
    check_tensor(p, "p", 2)
    check_tensor(q, "q", like=p)
    return F.l1_loss(p.float(), q.float())


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
    check_tensor(features, "features", 2)
    check_tensor(probabilities, "probabilities", 2, rows=len(features))
    with torch.autocast(features.device.type, enabled=False):
        return torch.bmm(features.unsqueeze(2), probabilities.unsqueeze(1)).flatten(1)
