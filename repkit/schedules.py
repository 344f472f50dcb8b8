"""Schedules: functions of the progress of training, which runs from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Callable

from repkit._arguments import number

__all__ = [
    "LAMBDAS",
    "RATES",
    "constant",
    "dann_decay",
    "dann_ramp",
    "early_rise",
    "half_decay",
    "rise",
    "warm_cosine",
]


def constant(progress: float) -> float:
    """Give 1 throughout.

    Parameters
    ----------
    progress : float
        Share of the training steps that are done, in [0, 1].

    Returns
    -------
    factor : float
        1.0 at any progress.
    """
    number(progress, "progress", -math.inf)
    return 1.0


def dann_ramp(progress: float) -> float:
    """Ramp up the weight of an adversary: ``2 / (1 + exp(-10 p)) - 1``.

    The lambda of Ganin et al. 2016, section 5.2.2.

    Parameters
    ----------
    progress : float
        Share of the training steps that are done, in [0, 1].

    Returns
    -------
    weight : float
        From 0 at the start to 0.9999 at the end.

    Examples
    --------
    >>> dann_ramp(0.0), round(dann_ramp(0.5), 3)
    (0.0, 0.987)
    """
    progress = number(progress, "progress", -70.0)  # below, the exponential overflows
    return 2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0


def dann_decay(progress: float) -> float:
    """Decay the learning rate by a power: ``(1 + 10 p) ** -0.75``.

    The schedule of Ganin et al. 2016, section 5.2.2.

    Parameters
    ----------
    progress : float
        Share of the training steps that are done, in [0, 1].

    Returns
    -------
    factor : float
        Multiplies the learning rate: 1 at the start, 0.166 at the end.
    """
    return (1.0 + 10.0 * number(progress, "progress")) ** -0.75


def warm_cosine(progress: float, warm: float = 0.05) -> float:
    """Warm the learning rate up in a straight line, then lower it along half a cosine.

    Parameters
    ----------
    progress : float
        Share of the training steps that are done, in [0, 1].
    warm : float, default=0.05
        Share of the steps that warm up, in [0, 1).

    Returns
    -------
    factor : float
        Multiplies the learning rate: 0 at the start, 1 after the warm-up, 0 at the end.
    """
    progress = number(progress, "progress", -math.inf)
    warm = number(warm, "warm", 0.0, 1.0, below=True)
    if progress < warm:
        return progress / warm
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warm) / (1.0 - warm)))


def half_decay(progress: float) -> float:
    """Hold the learning rate for the first half, then lower it exponentially to a hundredth.

    The schedule of Donahue et al. 2017.

    Parameters
    ----------
    progress : float
        Share of the training steps that are done, in [0, 1].

    Returns
    -------
    factor : float
        Multiplies the learning rate: 1 up to the middle, 0.01 at the end.
    """
    return 0.01 ** max(0.0, 2.0 * number(progress, "progress", -math.inf) - 1.0)


def rise(start: float) -> Callable[[float], float]:
    """Make a schedule that is 0 up to ``start``, then grows to 1, reached at twice ``start``.

    Parameters
    ----------
    start : float
        Progress, from 0 to 1. With 0 the schedule is 1 throughout.

    Returns
    -------
    schedule : callable
        ``progress -> factor``.
    """
    start = number(start, "start", 0.0, 1.0)
    if start == 0.0:
        return constant
    return lambda progress: min(max(progress / start - 1.0, 0.0), 1.0)


# What the values of ``learning_rate_schedule`` and of ``lam`` stand for.
RATES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "half": half_decay,
    "dann": dann_decay,
    "cosine": warm_cosine,
}
LAMBDAS: dict[str, Callable[[float], float]] = {"ramp": dann_ramp}


def early_rise(progress: float, until: float = 0.1) -> float:
    """Grow from 0 to 1 over the first tenth, so that codes that say nothing do not settle early.

    Parameters
    ----------
    progress : float
        Share of the training steps that are done, in [0, 1].
    until : float, default=0.1
        Progress at which 1 is reached.

    Returns
    -------
    factor : float
        0 at the start, 1 from ``until`` on.
    """
    progress = number(progress, "progress", -math.inf)
    return min(1.0, progress / number(until, "until", above=True))
