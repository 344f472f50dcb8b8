"""Ready callbacks for ``callbacks=``, and how to write one.

A callback is any callable. After every epoch it is given the epoch's row of ``history_`` as a dict,
may add to it, and ends the training by a true answer. Networks are in evaluation mode meanwhile,
and whatever it draws from a random generator does not change the training. What has a method
``on_step(done, of)`` is also told, after each step, how many of an epoch's steps are taken; nothing
is read from the device for that. It is for bars, not for changes: those of a network count from the
next epoch on. What has a method ``bound_to(estimator)`` is asked at the start of
each training for the callable that is to be used.

Columns of ``history_`` go to other tools in three lines each. To TensorBoard::

    from torch.utils.tensorboard import SummaryWriter
    writer = SummaryWriter("runs/vae")
    log = lambda row: [writer.add_scalar(k, v, row["epoch"]) for k, v in row.items()] and None

to MLflow::

    import mlflow
    mlflow.start_run()
    log = lambda row: mlflow.log_metrics(dict(row), step=row["epoch"])

and to Weights & Biases::

    import wandb
    run = wandb.init(project="vae")
    log = lambda row: run.log(dict(row), step=row["epoch"])

then ``VAE(callbacks=log)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from repkit._arguments import Misused, function, integer, number, shown
from repkit._random import generator
from repkit.metrics import linear_probe

__all__ = ["EarlyStopping", "Probe"]

Row = dict[str, Any]


class _PerTraining:
    """What each training binds anew, and is not called itself."""

    def __call__(self, row: Row) -> bool | None:
        """Raise an error: a training asks for a callback of its own.

        Parameters
        ----------
        row : dict
            An epoch's row.

        Returns
        -------
        bool or None
            Never.

        Raises
        ------
        TypeError
            Always.
        """
        name = type(self).__name__
        raise TypeError(f"{name} must be bound to an estimator: bound_to(estimator)")


class EarlyStopping(_PerTraining):
    """Stop a training when a column of its history no longer gets better.

    Parameters
    ----------
    column : str
        A column of ``history_``, also one that an earlier callback has added, such as a `Probe`.
    patience : int, default=10
        Epochs without a better value, after which the training ends.
    min_delta : float, default=0.0
        By how much a value must be better to count.
    greater : bool, default=False
        Whether greater values are better.
    keep : {"best", "last"}, default="best"
        Which epoch's weights the estimator ends with. "best" has them as
        ``weights_["selected"]``, unless the estimator selects an epoch by a parameter of its own.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as described.

    Examples
    --------
    >>> from repkit import VAE
    >>> from repkit.callbacks import EarlyStopping, Probe
    >>> stop = EarlyStopping("probe", patience=5, greater=True)
    >>> model = VAE(callbacks=[Probe(X_held_out, y_held_out), stop])  # doctest: +SKIP
    """

    def __init__(
        self,
        column: str,
        patience: int = 10,
        min_delta: float = 0.0,
        *,
        greater: bool = False,
        keep: str = "best",
    ) -> None:
        if not isinstance(column, str):
            raise TypeError(f"column must be the name of a column, not {shown(column)}")
        if keep not in ("best", "last"):
            raise ValueError(f"keep must be 'best' or 'last', not {shown(keep)}")
        self.column, self.greater, self.keep = column, bool(greater), keep
        self.patience = integer(patience, "patience")
        self.min_delta = number(min_delta, "min_delta", 0.0)

    def bound_to(self, estimator: Any) -> Callable[[Row], bool]:
        """Give the callback of one training.

        Parameters
        ----------
        estimator : estimator
            What is fitted.

        Returns
        -------
        callable
            It counts anew; of a run that goes on from a checkpoint, epochs before count too.
        """
        return _Patience(self, estimator)


class _Patience:
    """An `EarlyStopping` in one training."""

    def __init__(self, rule: EarlyStopping, estimator: Any) -> None:
        self.rule, self.estimator = rule, estimator
        self.sign = 1.0 if rule.greater else -1.0
        self.best, self.waited = -math.inf, -1  # -1: no epoch was seen
        self.select = self._value if rule.keep == "best" else None

    def _value(self, row: Row) -> float:
        """Greater is better; a value that is missing is the worst."""
        value = float(row.get(self.rule.column, math.nan))
        return -math.inf if math.isnan(value) else self.sign * value

    def _see(self, row: Row) -> None:
        value = self._value(row)
        if value > self.best + (self.rule.min_delta if math.isfinite(self.best) else 0.0):
            self.best, self.waited = value, 0
        else:
            self.waited += 1

    def __call__(self, row: Row) -> bool:
        if self.rule.column not in row:
            raise Misused(
                f"column must be one of {', '.join(map(str, row))}, not {self.rule.column!r}; a "
                "callback that adds it has to stand before EarlyStopping"
            )
        if self.waited < 0:
            self.waited = 0
            for before in self.estimator.history_.to_dict("records")[:-1]:
                self._see(before)
        self._see(row)
        return self.waited >= self.rule.patience


class Probe(_PerTraining):
    """Measure what is learned on held-out rows, while it is learned.

    It adds a column to ``history_``. It sees networks in evaluation mode, with averaged weights
    where there are any, and leaves dropout, batch norm and all random generators as they were: a
    fit with it gives the same weights as one without.

    Parameters
    ----------
    X : array-like
        Held-out samples, as ``transform`` of the estimator takes them.
    y : array-like of shape (n,)
        Their labels.
    score : callable, optional
        ``score(estimator, X, y) -> float``, such as one of scikit-learn's scorers. By default, the
        accuracy of a linear classifier of ``estimator.transform(X)`` that learns on a random half
        of the rows and is tested on the other.
    name : str, default="probe"
        Name of the column.
    every : int, default=1
        Epochs from one measurement to the next; between them the column has the last value.
    random_state : int, RandomState, Generator or None, default=0
        Draws the halves.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as described.

    Examples
    --------
    A classifier's accuracy on held-out rows:

    >>> from repkit.callbacks import Probe
    >>> accuracy = lambda model, X, y: model.score(X, y)
    >>> probe = Probe([[0.0, 1.0], [1.0, 0.0]], [0, 1], accuracy, "held_out")
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        score: Callable[[Any, Any, Any], float] | None = None,
        name: str = "probe",
        *,
        every: int = 1,
        random_state: Any = 0,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name must be the name of a column, not {shown(name)}")
        self.X, self.y, self.name = X, np.asarray(y), name
        if self.y.ndim != 1:
            raise ValueError(f"y must have one label for each row, not the shape {self.y.shape}")
        self.score = function(score, "score", "of an estimator, X and y")
        self.every = integer(every, "every")
        order = generator(random_state).permutation(len(self.y))
        self._halves = order[: len(order) // 2], order[len(order) // 2 :]

    def bound_to(self, estimator: Any) -> Callable[[Row], None]:
        """Give the callback of one training.

        Parameters
        ----------
        estimator : estimator
            What is fitted.

        Returns
        -------
        callable
            It adds the column to a row.
        """
        last = math.nan

        def add(row: Row) -> None:
            nonlocal last
            if row["epoch"] % self.every == 0 or math.isnan(last):
                last = self.measure(estimator)
            row[self.name] = last

        return add

    def measure(self, estimator: Any) -> float:
        """Measure an estimator as it is.

        Parameters
        ----------
        estimator : fitted estimator
            What to measure.

        Returns
        -------
        float
            The score.
        """
        if self.score is not None:
            return float(self.score(estimator, self.X, self.y))
        codes = np.asarray(estimator.transform(self.X))
        train, test = self._halves
        return float(
            linear_probe(codes[train], self.y[train], codes[test], self.y[test])["accuracy"]
        )
