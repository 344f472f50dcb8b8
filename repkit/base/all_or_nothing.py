"""Internal. A fit that fails or is interrupted leaves the estimator as it was."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


def all_or_nothing(
    fit: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], R]:
    """Decorate a method that learns: its attributes are those of before unless it comes to its end.

    Of those who learn in one go. Estimators with epochs keep the last good ones; see `keeping`.
    """

    @functools.wraps(fit)
    def inner(self: S, *given: P.args, **named: P.kwargs) -> R:
        attributes: dict[str, Any] = self.__dict__
        before = dict(attributes)
        try:
            return fit(self, *given, **named)
        except BaseException:
            attributes.clear()
            attributes.update(before)
            raise

    return inner
