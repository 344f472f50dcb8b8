"""Schedules: functions of the progress of a training, from 0 at its start to 1 at its end."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = [
    "LAMBDAS",
    "RATES",
    "constant",
    "dann_decay",
    "dann_ramp",
    "half_decay",
    "rise",
    "warm_cosine",
]


def constant(progress: float) -> float:
    """Give 1 throughout.

    Parameters
    ----------
    progress : float
        From 0 to 1.

    Returns
    -------
    float
    """
    return 1.0


def dann_ramp(progress: float) -> float:
    """Rise from 0 to nearly 1: lambda of Ganin et al. 2016, section 5.2.2.

    Parameters
    ----------
    progress : float
        The p of the paper, from 0 to 1.

    Returns
    -------
    float
        ``2 / (1 + exp(-10 p)) - 1``.
    """
    return 2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0


def dann_decay(progress: float) -> float:
    """Fall from 1 to 0.17: the learning-rate factor of Ganin et al. 2016, section 5.2.2.

    Parameters
    ----------
    progress : float
        The p of the paper, from 0 to 1.

    Returns
    -------
    float
        ``(1 + 10 p) ** -0.75``.
    """
    return (1.0 + 10.0 * progress) ** -0.75


def warm_cosine(progress: float, warm: float = 0.05) -> float:
    """Rise from 0 to 1, then fall to 0 as a half cosine.

    Parameters
    ----------
    progress : float
        From 0 to 1.
    warm : float, default=0.05
        Progress at which the rise ends.

    Returns
    -------
    float
    """
    if progress < warm:
        return progress / warm
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warm) / (1.0 - warm)))


def half_decay(progress: float) -> float:
    """Stay at 1 for the first half, then fall to 0.01: the factor of Donahue et al. 2017.

    Parameters
    ----------
    progress : float
        From 0 to 1.

    Returns
    -------
    float
    """
    return 0.01 ** max(0.0, 2.0 * progress - 1.0)


def rise(start: float) -> Callable[[float], float]:
    """Make a schedule that is 0 up to ``start``, then grows to 1, reached at twice ``start``.

    Parameters
    ----------
    start : float
        Progress, from 0 to 1. With 0 the schedule is 1 throughout.

    Returns
    -------
    callable
    """
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
