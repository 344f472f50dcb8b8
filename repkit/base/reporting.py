"""Internal. What is told while an estimator is fitted: its callbacks, and those of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from repkit.engine.training import Callback, Row

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: scikit-learn has no callbacks yet."""

    def with_callbacks(method: Any) -> Any:
        """A method as it is."""
        return method


def bound(callbacks: Iterable[Callback], estimator: Any) -> tuple[Callback, ...]:
    """Callbacks of one training: what has a method ``bound_to`` gives the one that is called."""
    return tuple(c.bound_to(estimator) if hasattr(c, "bound_to") else c for c in callbacks)


def selection(callbacks: Iterable[Callback]) -> Callable[[Row], float] | None:
    """What makes a number of a row, by which an epoch is selected, if a callback has such a one."""
    found = (getattr(c, "select", None) for c in callbacks)
    return next((select for select in found if select is not None), None)


@with_callbacks
def tear_down(estimator: Any) -> None:
    """Let go of scikit-learn's callbacks, if any were set up: what the decorator does at the end.

    The fit itself is not decorated: warnings would name another line than the user's.
    """


class Told:
    """A callback that tells scikit-learn's callbacks of each epoch.

    Parameters
    ----------
    estimator : estimator
        Which is fitted.
    given : sequence
        What its ``fit`` was given: X, and then y if there is one.
    epochs : int, optional
        How many there are at most, of all trainings; None if that is not known.
    state : callable
        Gives the fitted attributes of this moment.
    """

    def __init__(
        self,
        estimator: Any,
        given: tuple[Any, ...],
        epochs: int | None,
        state: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.estimator, self.state = estimator, state
        self.data = {"X": given[0], "y": given[1] if len(given) > 1 else None}
        self.root = estimator._init_callback_context(max_subtasks=epochs)
        self.root.call_on_fit_task_begin(estimator=estimator, **self.data)
        self.epoch: Any = None

    def on_step(self, done: int, of: int) -> None:
        """Of the first step of an epoch, say that it has begun."""
        if self.epoch is None:
            self.epoch = self.root.subcontext(task_name="epoch")
            self.epoch.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def __call__(self, row: Row) -> bool:
        """Say that the epoch has ended; whether the training is to stop."""
        epoch, self.epoch = self.epoch, None
        stop: bool = epoch.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=self.state, **self.data
        )
        return stop

    def end(self) -> None:
        """Say that the fit has ended."""
        self.root.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=self.state, **self.data
        )


def is_asked_for(estimator: Any) -> bool:
    """Whether scikit-learn's callbacks want to be told of a fit."""
    return bool(getattr(estimator, "_skl_callbacks", ())) or hasattr(
        estimator, "_parent_callback_ctx"
    )
