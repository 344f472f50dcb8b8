"""Parameters that every estimator has: checked in ``fit``, with the name in the error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from repkit.engine.engine import Optimizer, OptimizerFactory
from repkit.engine.optim import Adam
from repkit.schedules import dann_decay, half_decay, warm_cosine

RATES: dict[str, Callable[[float], float] | None] = {
    "constant": None,
    "half": half_decay,
    "dann": dann_decay,
    "cosine": warm_cosine,
}


def check_choice(estimator: Any, **choices: tuple[Any, ...]) -> None:
    """Raise a ValueError unless each named parameter is one of the values given for it."""
    for name, allowed in choices.items():
        value = getattr(estimator, name)
        if not any(value is a or (type(value) is type(a) and value == a) for a in allowed):
            raise ValueError(f"{name} must be one of {list(allowed)}, not {value!r}")


def check_number(estimator: Any, **ranges: tuple[float, float]) -> None:
    """Raise a TypeError or ValueError unless each named parameter is a number in its range."""
    for name, (low, high) in ranges.items():
        value = getattr(estimator, name)
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise TypeError(f"{name} must be a number, not {value!r}")
        if not low <= value <= high:
            raise ValueError(f"{name} must be between {low:g} and {high:g}, not {value!r}")


def check_integer(estimator: Any, **lowest: int) -> None:
    """Raise a ValueError unless each named parameter is an integer of at least so much."""
    for name, low in lowest.items():
        value = getattr(estimator, name)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
            raise ValueError(f"{name} must be an integer of at least {low}, not {value!r}")


def rate_of(estimator: Any) -> Callable[[float], float] | None:
    """The function that ``learning_rate_schedule`` stands for."""
    if callable(estimator.learning_rate_schedule):
        return estimator.learning_rate_schedule
    check_choice(estimator, learning_rate_schedule=tuple(RATES))
    return RATES[estimator.learning_rate_schedule]


def optimizer_of(estimator: Any) -> OptimizerFactory:
    """What ``optimizer``, ``learning_rate`` and ``weight_decay`` stand for."""

    def make(parameters: list[nn.Parameter]) -> Optimizer:
        rate, decay = estimator.learning_rate, estimator.weight_decay
        if estimator.optimizer == "adam":
            return Adam(parameters, rate, weight_decay=decay)
        return torch.optim.SGD(parameters, rate, momentum=0.9, weight_decay=decay, fused=True)

    return make
