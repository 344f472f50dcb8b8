"""Internal. Parts of `DANN`: heads, updates, divergence, certain predictions, and selection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from repkit import _arguments
from repkit._arguments import shown
from repkit.base.parameters import (
    MOST_SIZES,
    Part,
    anything,
    choice,
    flag,
    integer,
    network,
    number,
    parameters,
)
from repkit.losses.distances import BANDWIDTHS

__all__ = ["Divergence", "Entropy", "Heads", "Selection", "Updates"]

SCORES = ("entropy", "infomax", "snd", "bnm", "mano")  # columns of history_, greater is better
WITH_D = ("adversarial", "wasserstein", "discrepancy")  # kinds of divergence with a network D


@parameters
class Updates(Part):
    """In which order the networks step.

    Parameters
    ----------
    order : {"joint", "alternating"}, default="joint"
        One step of all networks through the gradient reversal; or in every step D (the domain
        classifier, critic or second predictor), then the label predictor, then the feature
        extractor.
    d_steps : int, default=1
        Steps of D in every step of an alternating training.
    """

    order: str = choice("joint", "alternating", default="joint", kw_only=False)
    d_steps: int = integer(1, 1000, default=1)


def _widths(name: str, value: Any) -> tuple[float, ...]:
    several = isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.ndim == 1)
    if not several or not 0 < len(value) <= MOST_SIZES:
        raise ValueError(
            f"{name} must be a tuple of numbers above 0, 1 to {MOST_SIZES}, not {shown(value)}"
        )
    wanted = f"a tuple of numbers above 0, not {shown(value)}"
    with _arguments.named(name, wanted):
        return tuple(_arguments.number(v, "each", 0.0, above=True) for v in value)


@parameters
class Divergence(Part):
    """What pulls the features of the domains together, with the weight ``lam`` in F.

    With more than two domains, all pairs of domains count alike.

    Parameters
    ----------
    kind : str or None, default="adversarial"
        "adversarial" is a domain classifier that F works against (Ganin et al. 2016). "coral" is
        the distance of the covariances (Sun and Saenko 2016), "mmd" the maximum mean discrepancy
        (Long et al. 2015), "joint_mmd" that of features and predictions together (Long et al.
        2017), which C makes small, too. "wasserstein" is a critic's estimate of the Wasserstein
        distance (Shen et al. 2018); five steps of the critic are usual, ``updates=Updates(
        "alternating", d_steps=5)``. "discrepancy" is a second predictor D that learns the labels as
        C does, and on target rows C and D part while F brings them together (Saito et al. 2018).
        With None nothing pulls, and the target rows count in ``entropy`` and ``consistency`` alone.
    bandwidths : tuple of float, default=(0.25, 0.5, 1.0, 2.0, 4.0)
        Widths of the kernels of "mmd" and "joint_mmd", as multiples of the mean squared distance of
        two rows of a batch.
    penalty : float, default=10.0
        Weight of the penalty on the slope of the critic of "wasserstein".
    """

    kind: str | None = choice(
        "adversarial",
        "coral",
        "mmd",
        "joint_mmd",
        "wasserstein",
        "discrepancy",
        None,
        default="adversarial",
        kw_only=False,
    )
    bandwidths: tuple[float, ...] = anything(_widths, default=BANDWIDTHS)
    penalty: float = number(default=10.0)


def _prior(name: str, value: Any) -> Any:
    if value is None or (isinstance(value, str) and value == "estimate"):
        return value
    wanted = "None, 'estimate' or a share for each class"
    with _arguments.named(name, wanted):
        shares = np.asarray(value)
    if shares.ndim != 1 or shares.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be {wanted}, not {shown(value)}")
    shares = shares.astype(np.float64)
    if not (np.isfinite(shares).all() and (shares >= 0).all() and 0 < shares.sum() < np.inf):
        raise ValueError(
            f"{name} must have a share of at least 0 for each class, not all 0; it has "
            f"{shown(value)}"
        )
    return shares / shares.sum()


@parameters
class Entropy(Part):
    """Certain and balanced predictions on target rows.

    Parameters
    ----------
    weight : float, default=0.0
        Weight of the information term on target predictions: certain for each row, balanced over
        all (Krause et al. 2010). It grows along the ramp of ``lam="ramp"``.
    smoothness : float, default=0.0
        Radius, in the unit of X, within which the prediction on a target row is made to change
        little (virtual adversarial training, Miyato et al. 2018). With a weight above 0 it is VADA
        (Shu et al. 2018). The weight of this term is 1, along the same ramp.
    confusion : float, default=0.0
        Weight of the minimum class confusion of target predictions (Jin et al. 2020), along the
        same ramp.
    prior : {"estimate", None} or array-like of shape (classes,), default=None
        Shares of the classes among target rows, to which the information term balances, in the
        order of ``classes_``. None is equal shares. "estimate" takes them anew at the start of
        every epoch from the predictions of the averaged network, or of the network itself without
        ``ema``, by expectation maximization (Saerens et al. 2002); each class keeps at least a
        tenth of an equal share.
    """

    weight: float = number(default=0.0, kw_only=False)
    smoothness: float = number(default=0.0)
    confusion: float = number(default=0.0)
    prior: Any = anything(_prior, default=None)


@parameters
class Heads(Part):
    """The two networks on the features.

    Parameters
    ----------
    label : nn.Module or callable, optional
        C, from feature rows to logits of the classes, or to the outputs of a regression. A callable
        gets ``(shape_in, n_classes)``. By default one linear layer.
    domain : nn.Module or callable, optional
        D, from feature rows to logits of the domains; the gradient reversal is not its business. A
        callable gets ``(shape_in, n_domains)``. By default one hidden layer of 128. With
        ``divergence="wasserstein"`` it has an output for each pair of domains, with "discrepancy"
        the outputs of C.
    """

    label: str | nn.Module | Callable[..., nn.Module] | None = network(
        default=None, optional=True, kw_only=False
    )
    domain: str | nn.Module | Callable[..., nn.Module] | None = network(default=None, optional=True)


def _score(name: str, value: Any) -> Any:
    if value is None or callable(value) or (isinstance(value, str) and value in SCORES):
        return value
    raise ValueError(f"{name} must be None, a scorer or one of {list(SCORES)}, not {shown(value)}")


@parameters
class Selection(Part):
    """Which weights are used in the end: of which epoch, and whether those that were adapted.

    None of it needs target labels.

    Parameters
    ----------
    score : {None, "entropy", "infomax", "snd", "bnm", "mano"} or callable, default=None
        Keep the epoch with the greatest label-free score; with None, the last one. A callable is a
        scorer ``(estimator, X, y, sample_domain) -> float`` as in `repkit.metrics`; it is given
        held-back source rows, and target rows with masked labels. Its ``sample_domain`` is at least
        0 for a source and below 0 for a target: the ids of `fit` where these are so, else numbers
        that stand for them, which the methods take, too. Without target rows it does nothing.
    validation_fraction : float, default=0.1
        Share of the source rows that is held back from training when ``score`` is a callable.
    guard : bool, default=False
        Whether `fit` also trains a twin without adaptation, on the source rows alone, with the
        same networks, augmentation and number of steps, which takes up to as long again. Where the
        target rows do not speak for the adapted weights, those of the twin are used: ``guarded_``
        is then True, and a `GuardWarning` says so. Both stay in ``weights_``; see `use`. The rows
        speak where neighbors in X, and clusters of X, agree with the adapted classes more than with
        the twin's. On tables of features this keeps most harm away, and costs gains; on images,
        whose pixels say little of classes, it keeps gains away, too. For classes only.
    """

    score: str | Callable[..., float] | None = anything(_score, default=None, kw_only=False)
    validation_fraction: float = number(0.0, 0.9, default=0.1)
    guard: bool = flag(default=False)
