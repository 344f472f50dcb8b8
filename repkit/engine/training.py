"""Internal. The loop over epochs: history, checkpoints, selection of an epoch, recovery."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from repkit._arguments import Misused
from repkit._caller import outside
from repkit._progress import Epochs, can_show
from repkit.engine.checkpoint import Checkpoints
from repkit.engine.engine import Engine, copy_state

log = logging.getLogger("repkit")

Row = dict[str, Any]
Callback = Callable[[Row], bool | None]


@dataclass
class Training:
    """What a training leaves.

    Parameters
    ----------
    history : list of dict
        One row an epoch.
    best_epoch : int, default=0
        The selected epoch, from 1; 0 if there was no column to select by.
    best_score : float, default=-inf
        The selected epoch's value of that column.
    best : dict, optional
        The selected epoch's weights.
    failure : str, optional
        What went wrong, if a term, a gradient or a weight was not finite.
    """

    history: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = float("-inf")
    best: dict[str, Any] | None = None
    failure: str | None = None


def train(
    engine: Engine,
    *,
    max_epochs: int,
    checkpoints: Checkpoints | None = None,
    callbacks: Iterable[Callback] = (),
    evaluate: Callable[[], Row] | None = None,
    show: Callable[[list[Row]], AbstractContextManager[Any]] = nullcontext,
    select: str | Callable[[Row], float] | None = None,
    verbose: int = 0,
) -> Training:
    """Train to ``max_epochs``, from the newest checkpoint if there is one.

    Parameters
    ----------
    engine : Engine
        What takes the steps.
    max_epochs : int
        Length of the training, epochs before the checkpoint included.
    checkpoints : Checkpoints, optional
        One is written at the end of every epoch.
    callbacks : iterable of callable
        Each is called with the epoch's row, which it may add to; a true answer ends the training.
        What has a method ``on_step`` is told ``on_step(done, of)`` after each step: how many of an
        epoch's steps are taken, as the host counts them; it need not be callable.
    evaluate : callable, optional
        Gives more columns of the row; run with the networks in evaluation mode.
    show : callable, optional
        ``(history) -> context`` in which the callbacks are called, the networks in evaluation
        mode.
    select : str or callable, optional
        The column, or what makes a number of a row (greater is better), whose best epoch's weights
        are kept in ``Training.best``.
    verbose : int, default=0
        Above 0, a line an epoch goes to the logger ``repkit``. If nobody listens to that, there is
        a bar on a terminal or in a notebook, and else a line on standard output.

    Returns
    -------
    Training
        When something is not finite, the networks have the weights from just before that step, and
        the history's last row has the columns ``failed_step`` and ``failed_term``.
    """
    result = Training()
    state, lengthened = engine.ranks.first(partial(_found, checkpoints))
    if state is not None:
        engine.load_state_dict(state["engine"])
        result = Training(**state["training"])
        if lengthened:
            _lengthen(engine, result, state["length"])
    callbacks = list(callbacks)
    if verbose <= 0 or engine.ranks.rank:
        return _epochs(engine, result, max_epochs, callbacks, checkpoints, evaluate, show, select)
    tell = partial(_tell, max_epochs=max_epochs)
    with Epochs(max_epochs, line=tell, shown=not _is_heard() and can_show()) as bar:
        bar.resumed(len(result.history))
        return _epochs(
            engine, result, max_epochs, [*callbacks, bar], checkpoints, evaluate, show, select
        )


def _found(checkpoints: Checkpoints | None) -> tuple[dict[str, Any] | None, bool]:
    """What a training goes on from, and whether that is of a shorter one."""
    if checkpoints is None or (state := checkpoints.load()) is None:
        return None, False
    return state, state["length"] != checkpoints.length


def _epochs(
    engine: Engine,
    result: Training,
    max_epochs: int,
    callbacks: list[Callback],
    checkpoints: Checkpoints | None,
    evaluate: Callable[[], Row] | None,
    show: Callable[[list[Row]], AbstractContextManager[Any]],
    select: str | Callable[[Row], float] | None,
) -> Training:
    """The epochs that are missing from ``result``."""
    engine.train_mode()
    while len(result.history) < max_epochs and not _stopped(result):
        start, started = engine.state_dict(), time.perf_counter()
        _advance(engine, engine.position + engine.batches.steps_per_epoch, callbacks)
        row, bad = engine.read()
        if engine.ranks.same(bad is not None or engine.broken() is not None):
            _recover(engine, start, bad, row, result)
            break
        epoch = len(result.history) + 1
        row = {"epoch": epoch, "step": engine.position, **row, **engine.scheduled()}
        engine.eval_mode()
        earlier = result.history[-1]["seconds"] if result.history else 0.0
        watched = partial(
            _watched, row, result.history, earlier - started, callbacks, evaluate, show, select
        )
        row, score = engine.ranks.first(watched)
        engine.train_mode()
        result.history.append(row)
        if score is not None and score > result.best_score:
            result.best_epoch, result.best_score = epoch, score
            result.best = weights(engine)
        if checkpoints is not None:
            try:
                checkpoints.save(epoch, {"engine": engine.state_dict(), "training": vars(result)})
            except OSError as error:
                checkpoints = None
                warnings.warn(
                    f"no checkpoint of epoch {epoch} could be written ({error}); the training goes "
                    "on without checkpoints, the last one is intact",
                    stacklevel=2,
                )
    engine.eval_mode()
    return result


def _watched(
    row: Row,
    history: list[Row],
    since: float,
    callbacks: list[Callback],
    evaluate: Callable[[], Row] | None,
    show: Callable[[list[Row]], AbstractContextManager[Any]],
    select: str | Callable[[Row], float] | None,
) -> tuple[Row, float | None]:
    """The whole row of an epoch, and its score, if epochs are selected by one."""
    if evaluate is not None:
        row |= evaluate()
    row["seconds"] = since + time.perf_counter()
    called = [c for c in callbacks if callable(c)]
    with show([*history, row]) if called else nullcontext():
        for callback in called:
            try:
                stop = callback(row)
            except Misused:
                raise
            except Exception as error:
                _leave_out(callback, callbacks, error)
            else:
                if stop is not None and bool(stop):
                    row["stopped"] = True
    # Plain numbers only: the history goes into checkpoints, which hold no other objects.
    row = {str(k): _plain(v) for k, v in row.items()}
    if select is None:
        return row, None
    return row, float(select(row) if callable(select) else row[select])


def _leave_out(callback: Callback, callbacks: list[Callback], error: Exception) -> None:
    """Go on without a callback: the training in memory is worth more."""
    callbacks.remove(callback)
    name = getattr(callback, "__qualname__", type(callback).__qualname__)
    warnings.warn(
        f"a callback raised {type(error).__name__}: {error}; the training goes on without it "
        f"({name})",
        stacklevel=outside(),
    )


def _plain(value: Any) -> Any:
    """A number, a text or a list of them, of what a callback may put into a row."""
    if hasattr(value, "tolist"):
        return value.tolist()  # of arrays and tensors, and of numpy's numbers
    return value if isinstance(value, int | float | str | list | None) else repr(value)


def _is_heard() -> bool:
    """Whether somebody listens to the logger."""
    return log.hasHandlers() and log.isEnabledFor(logging.INFO)


def _tell(row: Row, said: str, max_epochs: int) -> None:
    """A line for an epoch: to the logger, if somebody listens to it, else to standard output."""
    shown = {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items() if k != "epoch"}
    line = "  ".join(
        [f"epoch {row['epoch']}/{max_epochs}", *(f"{k} {v}" for k, v in shown.items())]
    )
    if _is_heard():
        log.info(line)
    else:
        print(line, flush=True)


def weights(engine: Engine) -> dict[str, Any]:
    """A copy of what prediction needs: the averaged networks where there are any."""
    networks = engine.averaged or engine.system.networks
    return copy_state({name: network.state_dict() for name, network in networks.items()})


def _lengthen(engine: Engine, result: Training, length: int) -> None:
    """Go on from a run of fewer epochs, even if a callback had stopped that one.

    Warns where the steps that were taken are not those of one run of the whole length.
    """
    if result.history:
        result.history[-1].pop("stopped", None)
    total = length * engine.batches.steps_per_epoch
    schedules: dict[str, Callable[[float], float]] = dict(engine.system.schedules)
    if engine.learning_rate_schedule is not None:
        schedules["learning_rate_schedule"] = engine.learning_rate_schedule
    steps = range(0, engine.position, max(1, engine.position // 1000))
    other = [
        name
        for name, value in schedules.items()
        if any(value(step / total) != value(step / engine.total_steps) for step in steps)
    ]
    if engine.system.refresh is not None:
        other.append("prototypes")
    if other:
        warnings.warn(
            f"checkpoint: the training goes on from epoch {len(result.history)} of a run of "
            f"{length} epochs; what depends on the progress of training ({', '.join(other)}) "
            "continues at that of the new length, so the result is not that of one run of the "
            "whole length",
            stacklevel=8,
        )


def _stopped(result: Training) -> bool:
    return bool(result.history and result.history[-1].get("stopped"))


def _advance(engine: Engine, to: int, callbacks: list[Callback] | None = None) -> None:
    """Take the steps of an epoch, and tell those callbacks of each that want to know."""
    engine.begin_epoch()
    watching = [c for c in callbacks or () if hasattr(c, "on_step")]
    if engine.ranks.rank:
        watching = []
    first, of = engine.position, to - engine.position
    while engine.position < to:
        engine.step()
        for callback in [*watching]:
            try:
                callback.on_step(engine.position - first, of)
            except Exception as error:
                watching.remove(callback)
                _leave_out(callback, callbacks or [], error)


def _recover(
    engine: Engine,
    start: dict[str, Any],
    bad: tuple[int, str] | None,
    row: Row,
    result: Training,
) -> None:
    """Go back to the last good weights, by replaying the epoch up to the step that went wrong."""
    step, term = (engine.position, "a weight") if bad is None else bad
    engine.load_state_dict(start)
    engine.begin_epoch()
    while engine.position < step:
        engine.step()
        # A finite loss can have an infinite gradient: then it is that step which is to be undone.
        if (group := engine.ranks.same(engine.broken())) is not None:
            step, term = engine.position - 1, f"gradient of loss_{group}"
            engine.load_state_dict(start)
            _advance(engine, step)
    failed: dict[str, Any] = {
        "epoch": len(result.history) + 1,
        "step": engine.position,
        "failed_step": step,
        "failed_term": term,
    }
    result.history.append({**row, **failed, "seconds": float("nan")})
    result.failure = (
        f"training stopped at step {step}: {term} is not finite; the weights from before that "
        "step are kept; lower learning_rate, or look for extreme values in X"
    )
