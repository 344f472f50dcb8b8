"""Schedules: functions of the progress of a training, from 0 to 1."""

from __future__ import annotations

import math


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


def half_decay(progress: float) -> float:
    """The learning-rate factor of Donahue et al. 2017: 1, then down to 0.01 as an exponential."""
    return 0.01 ** max(0.0, 2.0 * progress - 1.0)
