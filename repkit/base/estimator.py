"""What every estimator shares: its training parameters, the fit, the device, persistence."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from scipy import sparse
from sklearn import get_config
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from repkit._arguments import named
from repkit.base import reporting, saving
from repkit.base.applying import Applying
from repkit.base.exporting import Exporting
from repkit.base.fingerprint import fingerprint
from repkit.base.forecast import Forecast, is_wanted
from repkit.base.html import learned
from repkit.base.keeping import Kept
from repkit.base.parameters import (
    MOST_EPOCHS,
    MOST_ROWS,
    Part,
    anything,
    check_parameters,
    choice,
    fitted,
    flag,
    integer,
    into_parts,
    parameters,
    part,
    per_group,
    schedule,
    with_new_names,
)
from repkit.base.parts import Optimizer
from repkit.base.precision import precision_of
from repkit.base.rules import (
    OnDevice,
    callbacks_rule,
    device_rule,
    folder_rule,
    probe_change,
    rates_of,
)
from repkit.base.samples import (
    as_samples,
    check_finite,
    check_layout,
    check_range,
    dense,
    pixels_of,
    with_meaning,
    worked_type,
)
from repkit.base.surroundings import in_settled
from repkit.engine.batches import BatchSource, HostRows, Store, to_device, to_float
from repkit.engine.checkpoint import Checkpoints
from repkit.engine.engine import Engine
from repkit.engine.memory import keeping_memory
from repkit.engine.ranks import here, joined
from repkit.engine.rng import Kind, drawn_seed, isolated_rng, seed_of
from repkit.engine.system import System
from repkit.engine.threads import giving_way
from repkit.engine.training import Callback, train
from repkit.schedules import RATES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Estimator", "Problem", "as_shares", "fitted_attributes"]

Start = Mapping[str, nn.Module]  # networks of which a training takes the weights over
# Parameters that do not change what a step learns, so that a run may be resumed with others.
NEUTRAL = {"checkpoint", "callbacks", "verbose", "device", "random_state", "max_epochs"}


@dataclass
class Problem:
    """What an estimator trains.

    Parameters
    ----------
    system : System
        Networks, losses and the order of the steps.
    batches : BatchSource
        What each step is taken over.
    evaluate : callable, optional
        ``() -> dict``: more columns of an epoch's row, from the networks as they are then.
    select : str, optional
        The column by which an epoch is selected; greater is better.
    finish : callable, optional
        ``() -> None``, called when the training has ended well, with the weights in place.
    momentum : mapping of str to float
        The optimizer's momentum in groups where it is another.
    """

    system: System
    batches: BatchSource
    evaluate: Callable[[], dict[str, float]] = dict
    select: str | None = None
    finish: Callable[[], None] | None = None
    momentum: Mapping[str, float] = field(default_factory=dict)


@parameters
class Estimator(Kept, Applying, Exporting, reporting.CallbackSupportMixin, BaseEstimator):
    """Base of the estimators.

    A subclass is a class of `parameters`. It has ``_read`` (from what ``fit`` is given to validated
    data), ``_networks`` and ``_problem``; `_fit` is the same for all. It works on a copy whose
    parameters are checked and resolved, so that an estimator is fitted as a whole or not at all.

    Parameters
    ----------
    max_epochs : int, default=50
        Length of the training.
    steps_per_epoch : int, optional
        Steps in an epoch. By default, as many as show every row once.
    batch_size : int, default=64
        Rows in a step.
    learning_rate : float or dict, default=1e-3
        Learning rate. A dict gives rates by the name of a network, or of a module inside one:
        ``{"E": 1e-4, "E.features": 1e-5}``. The longest name that matches wins, and modules
        without one keep the default.
    learning_rate_schedule : {"constant", "half", "dann", "cosine"} or callable, default="constant"
        Factor of the learning rate, as a function of the progress p from 0 to 1. "half" is 1, and
        from p = 1/2 on an exponential fall to 0.01; "dann" is ``(1 + 10 p) ** -0.75``; "cosine" is
        a rise over the first twentieth, then a half cosine down to 0.
    optimizer : {"adam", "sgd"}, callable or Optimizer, default="adam"
        How gradients become steps; see `repkit.Optimizer`.
    device : str or torch.device, default="auto"
        Where to train. "auto" is CUDA if there is one that works, else the CPU.
    precision : {"auto", "fp32", "bf16"}, default="auto"
        Precision of the training. "auto" takes bf16 for convolutions where that is quicker: on a
        GPU by its generation, on a CPU by a few steps of either, which the first fit of such
        networks and batches takes on copies. What they show is kept for the machine.
    compile : bool, default=False
        Whether to compile the networks with ``torch.compile``, which takes seconds to minutes in
        the first steps. On a CPU it has never paid. On a GPU small networks gain up to a quarter
        by it, large ones may lose.
    checkpoint : path, optional
        A folder. A checkpoint is written there after every epoch, and a later fit of the same data
        and parameters goes on from it. A fit with a larger ``max_epochs`` goes on from the longest
        shorter run; schedules then follow the new length, of which a warning tells.
    warm_start : bool, default=False
        Whether to start from the networks of the fit before.
    callbacks : callable or iterable of callable, optional
        Called after every epoch with its row of ``history_`` as a dict. Training stops
        if one returns a true value. Ready ones are in `repkit.callbacks`.
    verbose : int or bool, default=0
        Above 0, a bar is shown on a terminal or in a notebook; elsewhere a line an epoch, by the
        logger "repkit" if it has a handler, else on standard output. At 0, a fit on a CPU whose
        ``max_epochs``, ``steps_per_epoch``, ``callbacks`` and ``checkpoint`` are left as they are
        warns early if it will take more than ten minutes.
    random_state : int, RandomState, Generator or None, default=None
        Seed of everything random. With an int, every fit gives the same model.

    Attributes
    ----------
    networks_ : dict of str to nn.Module
        The trained networks, in evaluation mode.
    weights_ : dict
        The weights of the ``"last"`` epoch and, with ``select``, of the ``"selected"`` one. Those
        in use are the tensors of ``networks_``.
    used_weights_ : str
        Which of them ``networks_`` has.
    history_ : DataFrame
        One row an epoch: epoch, step, a column for every term, seconds.
    n_iter_ : int
        Epochs trained.
    input_shape_ : tuple of int
        Shape of one sample.
    pixels_ : str
        What the numbers of images mean: "bytes" are divided by 255, "unit" lie in [0, 1], "raw"
        are taken as they are.
    device_ : torch.device
        Where it was trained; after unpickling or loading, the CPU.
    precision_ : str
        The precision of the training, "fp32" or "bf16".
    seed_ : int
        From which everything random was drawn.
    fitted_params_ : dict
        The parameters as they were in `fit`. What is set later counts from the next fit on.
    """

    max_epochs: int = integer(1, MOST_EPOCHS, default=50)
    steps_per_epoch: int | None = integer(1, MOST_EPOCHS, default=None, optional=True)
    batch_size: Any = integer(2, MOST_ROWS, default=64)
    learning_rate: float | Mapping[str, float] | None = per_group(default=1e-3)
    learning_rate_schedule: str | Callable[[float], float] = schedule(RATES, default="constant")
    optimizer: str | Callable[..., Any] | Optimizer = part(Optimizer, default="adam")
    device: str | torch.device = anything(device_rule, default="auto")
    precision: str = choice("auto", "fp32", "bf16", default="auto")
    compile: bool = flag(default=False)
    checkpoint: str | os.PathLike[str] | None = anything(folder_rule, default=None)
    warm_start: bool = flag(default=False)
    callbacks: Callback | Iterable[Callback] | None = anything(callbacks_rule, default=None)
    verbose: int = integer(0, default=0, truth=True)
    random_state: Any = anything(default=None)

    _fitted: ClassVar[tuple[str, ...]] = (
        "input_shape_",
        "pixels_",
        "n_features_in_",
        "feature_names_in_",
    )
    # Learning rates where the parameter's default is None, by network; "" is all others.
    _rates: ClassVar[Mapping[str, float]] = {}
    # Parameters that can be set after the fit, with an effect at once.
    _live: ClassVar[tuple[str, ...]] = ()

    networks_: dict[str, nn.Module] = fitted()
    weights_: saving.Weights = fitted()
    used_weights_: str = fitted()
    history_: pd.DataFrame = fitted()
    n_iter_: int = fitted()
    selected_epoch_: int = fitted()
    input_shape_: tuple[int, ...] = fitted()
    pixels_: str = fitted()
    device_: torch.device = fitted()
    precision_: str = fitted()
    seed_: int = fitted()
    fitted_params_: dict[str, Any] = fitted()

    # ---------------------------------------------------------------- what a subclass has

    def _read(self, *given: Any, **named: Any) -> Any:
        """Validate what ``fit`` is given, learn shapes and classes from it, and return it."""
        raise NotImplementedError

    def _problem(
        self, data: Any, networks: dict[str, nn.Module], device: torch.device, seed: int
    ) -> Problem:
        """What is trained on the data."""
        raise NotImplementedError

    def _check_together(self) -> None:
        """Raise a ValueError if parameters, each allowed, do not go together."""

    def _judge(self) -> None:
        """Warn of a training that ended badly."""

    def _trainings(self) -> int:
        """How many trainings the fit is the best of."""
        return 1

    # ---------------------------------------------------------------- parameters

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, those of a part as ``part__name``.

        Parameters
        ----------
        **params
            New values.

        Returns
        -------
        estimator
            Itself.

        Raises
        ------
        ValueError
            If there is no parameter of a name.
        """
        names = [f.name for f in fields(self)]
        params = with_new_names(params, names, type(self).__name__)
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        params = into_parts(type(self), params, own)
        return super().set_params(**params)

    def _resolved(self) -> Self:
        """A copy with parameters checked: parts are parts there, and schedules functions."""
        own = check_parameters(self)
        own._check_together()
        return own

    # ---------------------------------------------------------------- input

    def _check_X(self, X: Any, *, reset: bool) -> Any:
        """Validated samples ``(n, ...)``; an array of any numbers is neither copied nor read.

        Numbers are converted where rows are taken; see `_converted`. A sparse table becomes a CSR
        array, anything else an array of float32 or float64. What the numbers of images mean is
        learned in `fit`, and holds for all that is given after.
        """
        if not reset:
            check_is_fitted(self)
        with named("X", "an array of numbers, a row for each sample"):
            return self._read_X(X, reset)

    def _read_X(self, X: Any, reset: bool) -> Any:
        given = X = as_samples(X)
        images = getattr(X, "ndim", 2) > 2
        if images:
            self._check_images(X, reset)
        numbers = isinstance(X, np.ndarray) and X.dtype.kind in "fiu"
        mapped = isinstance(given, np.memmap) and numbers
        kinds = worked_type(X) if hasattr(X, "dtype") else [np.float64, np.float32]
        X = validate_data(
            self,
            X,
            dtype=None if numbers else kinds,
            accept_sparse="csr",
            allow_nd=True,
            reset=reset,
            ensure_min_samples=2 if reset else 1,
            # A memory map is looked through in blocks, of which one is in memory at a time.
            ensure_all_finite=not mapped,
        )
        if mapped:
            X = given
            check_finite(X)
        if sparse.issparse(X):
            X = sparse.csr_array(X)
        if reset:
            check_layout(X)
            self.input_shape_, self.pixels_ = X.shape[1:], pixels_of(X)
        return X if reset else with_meaning(X, self.pixels_)

    def _check_images(self, X: Any, reset: bool) -> None:
        """Speak of images as images, before scikit-learn speaks of features."""
        if reset:
            check_layout(X)
        elif X.shape[1:] != self.input_shape_:
            raise ValueError(
                f"X has samples of shape {tuple(X.shape[1:])}, but {type(self).__name__} was "
                f"fitted on samples of shape {self.input_shape_}"
            )

    def _converted(self, rows: Any) -> np.ndarray:
        """Rows of X as the device stores them: bytes of images as they are, all else float32."""
        rows = dense(rows, self.pixels_)
        return rows if rows.dtype == np.uint8 else rows.astype(np.float32, copy=False)

    def _checked(self, rows: Any) -> np.ndarray:
        """Rows as the device stores them, none of them beyond float32."""
        with np.errstate(over="ignore", invalid="ignore"):
            stored = self._converted(rows)
        # What nothing has changed was looked at when it was given, unless scikit-learn was told
        # not to.
        looked_at = stored is rows and not get_config()["assume_finite"]
        return stored if looked_at else check_range(stored)

    def _scaler(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """Stored rows to what the networks see."""
        return to_float

    def _stored(self, X: Any, device: torch.device) -> Store:
        """X for batches: on the device, unless it is on the disk or sparse."""
        if isinstance(X, np.memmap) or sparse.issparse(X):
            return HostRows(X, self._checked)
        return to_device(self._checked(X), device)

    # ---------------------------------------------------------------- fit

    @in_settled
    def _fit(self, *given: Any, fits: int = 1, **named: Any) -> Self:
        """Train, and become what came of it; on any error, stay as before.

        ``fits`` is how many there will be from this one on, or 0 if it follows others; unless it is
        the only one, what is to be said of it at the end is left to who fits several.
        """
        fresh = self._resolved()
        for name in fitted_attributes(fresh):
            del fresh.__dict__[name]
        fresh.fitted_params_ = {
            k: clone(v) if isinstance(v, Part) else v
            for k, v in self.get_params(deep=False).items()
            if k not in self._live
        }
        start = getattr(self, "networks_", {}) if self.warm_start else {}
        data = fresh._read(*given, **named)
        before = fitted_attributes(self)
        told = None
        with joined(fresh.device) as ranks:  # type: ignore[arg-type]
            try:
                if not ranks.rank and reporting.is_asked_for(self):
                    epochs = self._trainings() * int(self.max_epochs)
                    told = reporting.Told(self, given, epochs, lambda: fitted_attributes(self))
                    fresh.callbacks = (*fresh.callbacks, told)  # type: ignore[misc]
                failure = fresh._train_all(data, start, shown_on=self, fits=fits)
                self._wear(fitted_attributes(fresh))
                if told is not None:
                    told.end()
            except BaseException:
                self._wear(before)  # wherever Ctrl-C has come: inside a callback, say
                raise
            finally:
                reporting.tear_down(self)
        if ranks.rank or fits != 1:
            return self  # rank 0 says what there is to say
        if failure:
            warnings.warn(failure, ConvergenceWarning, stacklevel=4)
        else:
            self._judge()
        return self

    def _train_all(self, data: Any, start: Start, *, shown_on: Self, fits: int) -> str | None:
        """Every training; become the best. Returns what went wrong with that, if anything."""
        best: dict[str, Any] = {}
        failure: str | None = None
        scores: list[float] = []
        for number in range(self._trainings()):
            forecast = self._trainings() * fits if number == 0 else 0
            failed = self._train(data, number, start, shown_on=shown_on, forecast=forecast)
            # A training that failed comes last, whatever it had reached.
            scores.append(-np.inf if failed else self._score())
            if number == 0 or scores[-1] > max(scores[:-1]):
                best, failure = fitted_attributes(self), failed
        self.__dict__.update(best)
        self._conclude(data, np.array(scores))
        return self._afterwards(data, start, failure, shown_on=shown_on)

    def _score(self) -> float:
        """By which the best of several trainings is kept."""
        return 0.0

    def _conclude(self, data: Any, scores: np.ndarray) -> None:
        """Fitted attributes that need the trained networks."""

    def _afterwards(
        self, data: Any, start: Start, failure: str | None, *, shown_on: Self
    ) -> str | None:
        """Another training beside the one of the parameters. Returns what went wrong by then."""
        return failure

    def _train(
        self, data: Any, number: int, start: Start, *, shown_on: Self, forecast: int = 0
    ) -> str | None:
        """One training, on a copy with checked parameters. Returns what went wrong, if anything."""
        device: torch.device = self.device  # type: ignore[assignment]
        seed = drawn_seed(self.random_state)
        if number:
            seed = seed_of(seed, Kind.TRAINING, number)
        checkpoints: Checkpoints | None = None
        with ExitStack() as stack:

            def begin() -> int:
                nonlocal checkpoints
                if (found := shown_on._checkpoints(data, number)) is None:
                    return seed
                checkpoints = stack.enter_context(found)
                # Without a fixed random_state the seed of the run in the folder is taken over.
                state = checkpoints.load()
                own: int = seed if state is None else state["seed"]
                checkpoints.extra["seed"] = own
                return own

            seed = self.seed_ = here().first(begin)
            stack.enter_context(isolated_rng(device))
            for name in ("augment", "strong_augment"):
                change = getattr(self, name, None)
                # Of several trainings of a fit, the first has seen to it.
                if change is not None and not isinstance(change, OnDevice):
                    probe_change(name, change, self.input_shape_, device)
                    setattr(self, name, OnDevice(change, device))
            networks = self._new_networks()
            saving.take_weights(networks, start)
            self.device_ = device
            problem = self._problem(data, networks, device, seed)
            engine = self._engine(problem, seed)
            self.precision_ = engine.precision
            self.networks_ = engine.averaged or dict(problem.system.networks)

            @contextmanager
            def show(history: list[dict[str, Any]]) -> Iterator[None]:
                self._tell(history)
                self._hold_last()
                before = fitted_attributes(shown_on)
                try:
                    shown_on._wear(fitted_attributes(self))
                    yield
                finally:
                    shown_on._wear(before)

            callbacks = reporting.bound(self.callbacks, shown_on)  # type: ignore[arg-type]
            told: Any = callbacks
            if forecast and is_wanted(self):
                told = (*callbacks, Forecast(self, forecast))
            with giving_way(), keeping_memory(), self._telling(engine, checkpoints):
                result = train(
                    engine,
                    max_epochs=self.max_epochs,
                    checkpoints=checkpoints,
                    callbacks=told,
                    evaluate=problem.evaluate,
                    show=show,
                    select=problem.select or reporting.selection(callbacks),
                    verbose=self.verbose,
                )
            engine.release()
            self._tell(result.history)
            self._hold_last()
            if problem.finish is not None and result.failure is None:
                problem.finish()
                states = saving.states_of(self.networks_).values()
                here().spread_(x for state in states for x in state.values())
            if result.best is not None:
                self.selected_epoch_ = result.best_epoch
                self.weights_["selected"] = result.best
                self.use("selected")
        return result.failure

    @contextmanager
    def _telling(self, engine: Engine, checkpoints: Checkpoints | None) -> Iterator[None]:
        """Add to whatever ends a training early what has become of it, in one line."""
        try:
            yield
        except BaseException as error:
            if self.checkpoint is None:
                then = "the next one starts anew; with checkpoint=<folder> it would go on"
            elif checkpoints is None:
                folder = str(self.checkpoint)
                then = f"the next one goes on from the last whole epoch, if any, in {folder!r}"
            elif (epoch := checkpoints.epoch()) == 0:
                then = "the next one starts anew: no epoch was finished"
            else:
                folder = str(self.checkpoint)
                then = f"the next one goes on from epoch {epoch}, in checkpoint={folder!r}"
            done = engine.position // engine.batches.steps_per_epoch
            error.add_note(
                f"fit was broken off after {done} of {self.max_epochs} epochs; the estimator is as "
                f"it was before; {then}"
            )
            raise

    def _hold_last(self) -> None:
        self.weights_, self.used_weights_ = {"last": saving.states_of(self.networks_)}, "last"

    def _wear(self, fitted: Mapping[str, Any]) -> None:
        """Have these fitted attributes and no others."""
        own = fitted_attributes(self)
        # At one stroke: Ctrl-C may come between any two.
        self.__dict__ = {k: v for k, v in vars(self).items() if k not in own} | {**fitted}

    def _engine(self, problem: Problem, seed: int) -> Engine:
        system, batches = problem.system, problem.batches
        factory: Optimizer = self.optimizer  # type: ignore[assignment]
        make = partial(
            Engine,
            batches=batches,
            optimizer={g: factory._factory(0.0, problem.momentum.get(g)) for g in system.groups},
            rates=rates_of(self.learning_rate, type(self), system.networks),
            total_steps=self.max_epochs * batches.steps_per_epoch,
            seed=seed,
            ema=getattr(self, "ema", 0.0),
            learning_rate_schedule=self.learning_rate_schedule,  # type: ignore[arg-type]
            compile=self.compile,
            changes=self._changes(),
        )
        asked = self._precision(batches.device)
        return make(system, precision=precision_of(asked, system, batches, make))

    def _changes(self) -> list[Callable[..., Any]]:
        """Code of the user's own that steps run, beside networks."""
        given = (getattr(self, name, None) for name in ("augment", "strong_augment", "perturb"))
        return [getattr(change, "change", change) for change in given if callable(change)]

    def _precision(self, device: torch.device) -> str:
        """The precision that is asked for; of "auto", `precision_of` decides."""
        return self.precision

    def _checkpoints(self, data: Any, number: int) -> Checkpoints | None:
        """Where the run is kept; each of several trainings is a run."""
        if self.checkpoint is None:
            return None
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in NEUTRAL}
        if isinstance(self.random_state, int | np.integer):
            params["random_state"] = int(self.random_state)
        start = self.weights_ if self.warm_start and hasattr(self, "weights_") else None
        content = vars(data) if is_dataclass(data) else data
        run, unknown = fingerprint(type(self).__name__, params, content, start, number)
        if unknown is not None:
            warnings.warn(
                f"checkpoint: {unknown} cannot be compared with what it was in an earlier run, so "
                "this fit starts afresh, and no later one will go on from it",
                stacklevel=9,
            )
        return Checkpoints(self.checkpoint, run, int(self.max_epochs))

    def _html_repr(self) -> str:
        """Parameters as scikit-learn shows them in a notebook, and below them what was learned."""
        return f"{super()._html_repr()}{learned(self)}"

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.sparse = True
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


# ---------------------------------------------------------------- helpers


def as_shares(proba: np.ndarray) -> np.ndarray:
    """Divide rows of probabilities by their sums, which rounding has moved off 1.

    Parameters
    ----------
    proba : ndarray of shape (n, classes)
        Probabilities.

    Returns
    -------
    ndarray of shape (n, classes)
        The same in the same precision; each row sums to 1.
    """
    shares: np.ndarray = proba / proba.sum(1, keepdims=True)
    return shares


def fitted_attributes(estimator: Estimator) -> dict[str, Any]:
    """Collect the fitted attributes, those whose names end in an underscore.

    Parameters
    ----------
    estimator : Estimator
        Fitted or not.

    Returns
    -------
    dict
        Attributes by name; empty before a fit.
    """
    return {k: v for k, v in vars(estimator).items() if k.endswith("_") and not k.startswith("_")}
