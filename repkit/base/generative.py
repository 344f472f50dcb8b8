"""What the generative estimators share: the range of the data, samples, batches."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from repkit._arguments import integer as integer_of
from repkit.base.estimator import Estimator
from repkit.base.exporting import Scaling
from repkit.base.parameters import MOST_UNITS, anything, fitted, integer, number, parameters
from repkit.base.samples import dense, extremes, worked_type
from repkit.engine.batches import Batches, rows_of, to_device, to_float
from repkit.engine.modes import renew_statistics
from repkit.engine.rng import Kind, drawn_seed, generator_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Generative", "judge_discriminator", "rng_of"]

MOST_SAMPLES = 10**7  # of one call
HELD_BACK = 1000  # rows of the monitored slice, at most
RECALIBRATION = 4096  # rows, at most, from which running statistics are taken anew


def _data_range(name: str, value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        low, high = (float(v) for v in value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be (low, high) or None, not {value!r}") from None
    if not low < high or not math.isfinite(high - low):
        raise ValueError(f"{name} must have finite low < high, not {value!r}")
    return low, high


@parameters
class Generative(Estimator):
    """Base of the estimators with a generator.

    Their networks see samples in [0, 1]. With ``data_range`` None, data that lie there already are
    taken as they are, bytes of images are divided by 255, and anything else is mapped there by its
    least and greatest value: of all pixels of images, of each column of a table. What is generated
    is mapped back. The offset is taken out in the data's own precision.

    Parameters
    ----------
    width : int, default=512
        Width of the fully connected layers of networks that are given by name.
    ema : float, default=0.0
        Decay of the averaged weights, from 0 to below 1. Above 0, the averaged weights are the
        ones that are used.
    data_range : (low, high), optional
        Range of X, which is mapped to [0, 1] for the networks. By default X is taken as it is if it
        lies in [0, 1], uint8 images are divided by 255, other images are mapped by their least and
        greatest value, and tables column by column.
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
    low_, span_ : ndarray
        ``(x - low_) / span_`` is what the networks see of x; 0 where the span is 0.
    dtype_ : str
        Of the data, and so of what is generated.
    """

    width: int = integer(1, MOST_UNITS, default=512)
    ema: float = number(0.0, 0.999999, default=0.0)
    data_range: tuple[float, float] | None = anything(_data_range, default=None)

    _fitted: ClassVar[tuple[str, ...]] = (*Estimator._fitted, "low_", "span_", "dtype_")

    low_: np.ndarray = fitted()
    span_: np.ndarray = fitted()
    dtype_: str = fitted()

    # ---------------------------------------------------------------- the range of the data

    def _learn_range(self, X: Any) -> None:
        self.dtype_ = str(worked_type(X))
        low, high = (0.0, 255.0) if self.pixels_ == "bytes" else (0.0, 1.0)
        if self.data_range is not None or self.pixels_ == "raw":
            low, high = self._range_of(X)
        self.low_ = np.asarray(low, dtype=np.float64)
        self.span_ = np.asarray(high, dtype=np.float64) - self.low_

    def _range_of(self, X: Any) -> tuple[Any, Any]:
        lows, highs = extremes(X)
        low, high = lows.min(), highs.max()
        if self.data_range is not None:
            least, greatest = self.data_range
            if low < least or high > greatest:
                raise ValueError(
                    f"X must lie in data_range={self.data_range!r}, not have values from {low:g} "
                    f"to {high:g}"
                )
            return least, greatest
        return (0.0, 1.0) if low >= 0.0 and high <= 1.0 else (lows, highs)

    def _converted(self, rows: Any) -> np.ndarray:
        """Rows as the device stores them: bytes as they are, floats already in [0, 1]."""
        rows = dense(rows, self.pixels_)
        low, span = self.low_, self.span_
        if rows.dtype == np.uint8:
            if self.pixels_ == "bytes" or (low == 0.0 and span == 1.0):
                return rows
            rows = rows / 255.0  # bytes, given after a fit of floats in [0, 1] that have a range
        if self.pixels_ == "bytes":  # floats in [0, 1], given after a fit of bytes
            rows = 255.0 * rows
        if low.ndim == 0 and low == 0.0 and span == 1.0:
            return rows.astype(np.float32, copy=False)
        factor = np.divide(1.0, span, out=np.zeros_like(span), where=span > 0.0)
        return ((rows.astype(np.float64) - low) * factor).astype(np.float32)

    def _scaler(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """Stored rows to what the networks see."""
        if self.pixels_ != "bytes" or (self.low_ == 0.0 and self.span_ == 255.0):
            return to_float
        low = float(self.low_) / 255.0
        factor = 255.0 / float(self.span_)

        def scale(x: Tensor) -> Tensor:
            return (to_float(x) - low) * factor if x.dtype == torch.uint8 else to_float(x)

        return scale

    def _input_type(self) -> str:
        return self.dtype_

    def _span(self) -> tuple[Any, Any]:
        return self.low_, self.span_

    def _scaling(self, dtype: str) -> Scaling:
        low, span = self.low_, self.span_
        factor = np.divide(1.0, span, out=np.zeros_like(span), where=span > 0.0)
        images = len(self.input_shape_) > 1
        if dtype == "uint8" and images and self.pixels_ == "unit":
            low, factor = 255.0 * low, factor / 255.0
        if dtype != "uint8" and self.pixels_ == "bytes":  # floats in [0, 1]
            low, factor = low / 255.0, 255.0 * factor
        return Scaling(low, factor)

    def _as_data(self, x: np.ndarray) -> np.ndarray:
        """What the generator gives, in the range and type of the data."""
        values = x.astype(np.float64) * self.span_ + self.low_
        if self.dtype_ == "uint8":
            return np.rint(values).clip(0, 255).astype(np.uint8)
        return values.astype(self.dtype_)

    # ---------------------------------------------------------------- training

    def _split(self, n: int, seed: int, fraction: float) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on, and the held-back slice; all rows are both where there are few."""
        held = min(int(n * fraction), HELD_BACK)
        if held < 2 or n - held < 2:
            return np.arange(n), np.arange(min(n, HELD_BACK))
        order = generator_of(seed, Kind.HELD_BACK).permutation(n)
        return np.sort(order[held:]), np.sort(order[:held])

    def _batches(
        self,
        X: Any,
        streams: Sequence[tuple[np.ndarray, int]],
        device: torch.device,
        seed: int,
        **stores: Tensor,
    ) -> Batches:
        """Batches of so many rows of each stream, with more of them than X."""
        return Batches(
            {"x": self._stored(X, device), **{k: v.to(device) for k, v in stores.items()}},
            streams,
            seed=seed,
            device=device,
            steps_per_epoch=self.steps_per_epoch,
        )

    def _stream(self, rows: np.ndarray) -> list[tuple[np.ndarray, int]]:
        """Batches of ``batch_size`` of these rows."""
        return [(rows, min(self.batch_size, len(rows)))]

    def _real_batches(self, X: np.ndarray, rows: np.ndarray) -> Iterator[Tensor]:
        """Scaled samples, a few thousand, for running statistics."""
        scale, size = self._scaler(self.device_), min(self.batch_size, len(rows))
        for k in range(0, min(len(rows), max(RECALIBRATION, size)) - size + 1, size):
            yield scale(to_device(self._converted(rows_of(X, rows[k : k + size])), self.device_))

    def _latent_batches(self, seed: int) -> Iterator[Tensor]:
        """Inputs of the generator, as many."""
        rng = generator_of(seed, Kind.STATISTICS)
        for _ in range(max(RECALIBRATION // self.batch_size, 1)):
            yield torch.from_numpy(self._latents(self.batch_size, rng)).to(self.device_)

    def _latents(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Inputs of the generator, ``(n, latent_dim)``."""
        raise NotImplementedError

    def _recalibrate(self, reader: nn.Module, X: np.ndarray, rows: np.ndarray, seed: int) -> None:
        """Running statistics of what reads samples, over X, and of G, over the prior."""
        for network, batches in (
            (reader, self._real_batches(X, rows)),
            (self.networks_["G"], self._latent_batches(seed)),
        ):
            renew_statistics(network, batches)
        self._hold_last()

    # ---------------------------------------------------------------- use

    def _generate(self, latent: np.ndarray) -> np.ndarray:
        """Samples, in the data's range, from rows that the generator takes."""
        G = self.networks_["G"]
        out = self._apply(lambda z, _: G(z), latent, np.zeros(len(latent)), np.asarray)
        return self._as_data(out)

    def _map(self, X: Any, function: Callable[[Tensor], Tensor]) -> np.ndarray:
        """``function`` of scaled samples, over the rows of X."""
        return self._apply(lambda x, _: function(x), X, np.zeros(X.shape[0]))

    def _draw(self, n: Any, random_state: Any, name: str = "n") -> np.ndarray:
        """Inputs of the generator for ``n`` samples that a user asks for."""
        check_is_fitted(self)
        return self._latents(integer_of(n, name, 1, MOST_SAMPLES), rng_of(random_state))


def rng_of(random_state: Any) -> np.random.Generator:
    """Make numpy's generator from what a user gives as ``random_state``.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        A Generator is used as it is. With None, every call gives another one.

    Returns
    -------
    numpy.random.Generator
        The source of random numbers.

    Raises
    ------
    ValueError
        If ``random_state`` is none of these.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    return np.random.default_rng(drawn_seed(random_state))


def judge_discriminator(history: pd.DataFrame) -> None:
    """Warn of a discriminator that nothing could fool through the last quarter of the training.

    Parameters
    ----------
    history : DataFrame
        One row an epoch, with the columns ``d_real`` and ``d_fake``: shares of real and of
        generated samples that D calls real.

    Warns
    -----
    ConvergenceWarning
        If D has won. A training of fewer than four epochs, or one that failed, is not judged.
    """
    if "failed_step" in history or len(history) < 4:
        return
    late = history.tail(len(history) // 4)
    if (late["d_real"] > 0.99).all() and (late["d_fake"] < 0.01).all():
        warnings.warn(
            "the discriminator has won: it tells real from generated without fail, and what it "
            "teaches is worth little; lower learning_rate, or add augment or r1",
            ConvergenceWarning,
            stacklevel=6,
        )
