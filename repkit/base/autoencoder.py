"""What estimators with an encoder and a generator of the same codes can do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from repkit._arguments import integer as integer_of
from repkit._arguments import named
from repkit._random import generator
from repkit.base.estimator import Problem
from repkit.base.generative import Generative
from repkit.base.labels import check_count
from repkit.base.parameters import MOST_UNITS, fitted, flag, integer, number, parameters
from repkit.engine.batches import rows_of, sent, to_device
from repkit.engine.system import System

__all__ = ["Autoencoder"]

MOST_POINTS = 10**4  # on a line between two codes


@parameters
class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Generative):
    """Base of the estimators with networks E and G, from samples to codes and back.

    Parameters
    ----------
    latent_dim : int, default=32
        Length of the code z.
    recalibrate : bool, default=False
        Whether to take the running statistics of batch norm anew at the end: those of the encoder
        over X, those of the generator over the prior.
    validation_fraction : float, default=0.05
        Share of X, at most 1000 rows, that is held back from training. The scores of an epoch are
        taken over it.
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
    reconstruction_ratio_ : float
        The reconstruction ratio of the networks as they are used, over the rows held back.
    """

    latent_dim: int = integer(1, MOST_UNITS, default=32, kw_only=False)
    recalibrate: bool = flag(default=False)
    validation_fraction: float = number(0.0, 0.9, default=0.05)

    _fitted: ClassVar = (*Generative._fitted, "reconstruction_ratio_")

    reconstruction_ratio_: float = fitted()

    # ---------------------------------------------------------------- fit

    def _read(self, X: Any) -> Any:
        X = self._check_X(X, reset=True)
        self._learn_range(X)
        return X

    def _tell(self, history: list[dict[str, Any]]) -> None:
        super()._tell(history)
        # Of the history: a run that had ended evaluates nothing when it is gone on from.
        found = [row["reconstruction_ratio"] for row in history if "reconstruction_ratio" in row]
        self.reconstruction_ratio_ = float(found[-1]) if found else math.nan

    def _problem(
        self, data: Any, networks: dict[str, nn.Module], device: torch.device, seed: int
    ) -> Problem:
        rows, held_back = self._split(data.shape[0], seed, self.validation_fraction)
        x = to_device(self._converted(rows_of(data, held_back)), device)

        def evaluate() -> dict[str, float]:
            return {"reconstruction_ratio": self._ratio(x)}

        def finish() -> None:
            if self.recalibrate:
                self._recalibrate(self.networks_["E"], data, rows, seed)
                self.reconstruction_ratio_ = self._ratio(x)

        return Problem(
            self._system(networks, self._scaler(device)),
            self._batches(data, self._stream(rows), device, seed),
            evaluate=evaluate,
            finish=finish,
        )

    def _system(
        self, networks: Mapping[str, nn.Module], prepare: Callable[[Tensor], Tensor]
    ) -> System:
        """What is trained."""
        raise NotImplementedError

    @torch.no_grad()
    def _ratio(self, x: Tensor) -> float:
        """`repkit.metrics.reconstruction_ratio` of a few stored samples, on their device."""
        x = self._scaler(x.device)(x)
        back = self.networks_["G"](self._codes(x)).flatten(1)
        x, order = x.flatten(1), sent(torch.from_numpy(generator(0).permutation(len(x))), x.device)
        apart = torch.stack([x - back, x[order.roll(1)] - back[order]])
        own, other = torch.linalg.vector_norm(apart, dim=2).mean(1).tolist()
        # Of data that are all the same, and are given back, there is no ratio.
        return own / other if other else (math.inf if own else 0.0)

    # ---------------------------------------------------------------- use

    def _codes(self, x: Tensor) -> Tensor:
        """Codes of scaled samples: the first columns that E gives are their means."""
        return self.networks_["E"](x)[:, : self._built.latent_dim]

    def transform(self, X: Any) -> np.ndarray:
        """Encode samples.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.

        Returns
        -------
        ndarray of shape (n, latent_dim)
            Codes E(x): means, never random draws. float64 if X is, else float32.

        Raises
        ------
        ValueError
            If X is of another shape.
        """
        X = self._check_X(X, reset=False)
        return self._like(self._map(X, self._codes), X)

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Decode codes.

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim)
            Codes.

        Returns
        -------
        ndarray of shape (n, ...)
            Samples G(z), in the shape, range and type of the data.

        Raises
        ------
        ValueError
            If Z has another number of columns.
        """
        check_is_fitted(self)
        with named("Z", "an array of numbers, a row for each code"):
            if np.ma.is_masked(Z):
                raise ValueError("Z must not be masked; fill or drop what its mask hides")
            if np.asarray(Z).dtype.kind in "USmM":
                raise ValueError(f"Z must hold numbers, not dtype {np.asarray(Z).dtype}")
            Z = check_array(Z, dtype=np.float32, input_name="Z")
        if Z.shape[1] != self._built.latent_dim:
            raise ValueError(
                f"Z must have latent_dim={self._built.latent_dim} columns, not {Z.shape[1]}"
            )
        return self._generate(Z)

    def reconstruct(self, X: Any) -> np.ndarray:
        """Encode samples and decode their codes.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.

        Returns
        -------
        ndarray of shape (n, ...)
            G(E(x)) of each sample, in the shape, range and type of the data.

        Raises
        ------
        ValueError
            If X is of another shape.
        """
        X = self._check_X(X, reset=False)
        return self._generate(self._map(X, self._codes))

    def sample(self, n: int = 1, random_state: Any = None) -> np.ndarray:
        """Generate samples.

        Parameters
        ----------
        n : int, default=1
            How many.
        random_state : int, RandomState, Generator or None, default=None
            Seed of the codes that are drawn from the prior.

        Returns
        -------
        ndarray of shape (n, ...)
            Samples G(z), in the shape, range and type of the data.

        Raises
        ------
        ValueError
            If n is not an integer of at least 1.
        """
        return self._generate(self._draw(n, random_state))

    def interpolate(self, X_start: Any, X_end: Any, n_steps: int = 8) -> np.ndarray:
        """Decode points on the straight line between the codes of two samples.

        Parameters
        ----------
        X_start, X_end : array-like of shape (n, ...)
            Samples at the two ends of n lines.
        n_steps : int, default=8
            Points on each line, at least 2. The first and the last are the reconstructions of
            the two ends.

        Returns
        -------
        ndarray of shape (n, n_steps, ...)
            Samples, in the shape, range and type of the data.

        Raises
        ------
        ValueError
            If n_steps is less than 2, or X_start and X_end differ in number.
        """
        integer_of(n_steps, "n_steps", 2, MOST_POINTS)
        ends = []
        for X, name in ((X_start, "X_start"), (X_end, "X_end")):
            with named(name, "samples of the shape that fit saw"):
                X = self._check_X(X, reset=False)
                ends.append(self._map(X, self._codes))
        if len(ends[0]) != len(ends[1]):
            raise ValueError(
                f"X_end must have as many samples as X_start, {len(ends[0])}, not {len(ends[1])}"
            )
        share = np.linspace(0, 1, n_steps, dtype=np.float32)[:, None]
        path = ends[0][:, None] * (1 - share) + ends[1][:, None] * share
        samples = self._generate(path.reshape(-1, self._built.latent_dim))
        return samples.reshape(len(ends[0]), n_steps, *self.input_shape_)

    def attribute_vector(self, X: Any, y: Any) -> np.ndarray:
        """Find the direction of an attribute in the space of codes.

        Larsen et al. 2016, section 4.2.1.

        The mean code of the samples that have it minus that of those that do not. Added to codes
        and decoded, it gives them the attribute:
        ``model.inverse_transform(model.transform(X) + model.attribute_vector(X, y))``.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        y : array-like of shape (n,) or (n, attributes)
            True or 1 where a sample has the attribute, False or 0 where it does not.

        Returns
        -------
        ndarray of shape (latent_dim,) or (attributes, latent_dim)
            The direction, or one for each column of y.

        Raises
        ------
        ValueError
            If y has other values, or an attribute that all samples have, or none.
        """
        X = self._check_X(X, reset=False)
        with named("y", "0 or 1 for each sample"):
            y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
        check_count(y, X.shape[0], "y")
        if not np.isin(y, (0, 1)).all():
            raise ValueError("y must say of each sample whether it has the attribute: 0 or 1")
        has = y.reshape(len(y), -1).astype(bool).T
        if not (has.any(1) & ~has.all(1)).all():
            raise ValueError("y needs samples with the attribute and samples without it")
        codes = self._map(X, self._codes)
        vectors = np.stack([codes[rows].mean(0) - codes[~rows].mean(0) for rows in has])
        return self._like(vectors if y.ndim > 1 else vectors[0], X)

    def _probe(self, X: np.ndarray) -> None:
        self.reconstruct(X)

    def _functions(self) -> dict[str, tuple[str, Callable[[Tensor], Tensor]]]:
        return {"transform": ("E", self._codes)}

    def _latents(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(size=(n, self._built.latent_dim)).astype(np.float32)

    @property
    def _n_features_out(self) -> int:
        check_is_fitted(self)
        return self._built.latent_dim
