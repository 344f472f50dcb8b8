"""Internal. `InfoGAN`: codes that provably change the output, as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from repkit import nets
from repkit.base.estimator import Problem
from repkit.base.generative import judge_discriminator
from repkit.base.parameters import (
    MOST_ROWS,
    MOST_UNITS,
    choice,
    filled,
    fitted,
    integer,
    network,
    parameters,
    part,
    per_group,
)
from repkit.base.parts import Optimizer
from repkit.engine.batches import rows_of, to_device
from repkit.engine.rng import Kind, generator_of
from repkit.infogan.algorithm import Codes, Objective, infogan
from repkit.infogan.codes import Coded, check_categorical
from repkit.infogan.monitor import ROWS, judge_codes, watch_codes
from repkit.infogan.networks import PairFeatures, code_head
from repkit.nets.trunks import small_weights, spectral_norms

__all__ = ["InfoGAN"]


@parameters
class InfoGAN(Objective, Coded):
    r"""Information-maximizing GAN: a generator with codes, and a network that reads them.

    The generator makes a sample of noise z and codes c, some of them categories, some numbers on
    [-1, 1]; Q reads the codes off the sample. With the bound :math:`L_I(G, Q) = H(c) +
    \mathbb{E} \log Q(c \mid G(z, c))` on their mutual information,

    .. math:: \min_{G, Q} \max_D \; V(D, G) - \lambda L_I(G, Q)

    (Chen et al. 2016, equation 6). Codes come from the prior; on data without labels Q is then a
    clustering (`predict`) and a set of continuous factors (`transform`).

    Parameters
    ----------
    categorical : tuple of int or Categorical, default=(10,)
        Number of values of each categorical code; the weight of their information, and their
        invariance: see `repkit.infogan.Categorical`.
    continuous : int or Continuous, default=2
        Number of continuous codes; the weight of their information, their variance, and the
        contrastive term: see `repkit.infogan.Continuous`.
    latent_dim : int, default=62
        Length of the noise z, uniform on [-1, 1]; 0 is none.
    generator : {"auto", "mlp", "dcgan"}, nn.Module or callable, default="auto"
        G without its last sigmoid, from rows (z, one-hot codes, continuous codes). "auto" is
        "dcgan" for images of at least 12x12, else "mlp". A callable gets ``(columns, shape_out)``,
        the first the length of those rows.
    discriminator_norm : {"batch", "spectral"}, default="batch"
        Batch norm in a body that is given by name and in Q, or spectral normalization of body and
        D.
    n_init : int, default=1
        Whole trainings from different seeds. The one with the greatest last ``score`` is kept.
    discriminator : str, nn.Module, callable or Discriminator, default="auto"
        The body B, from samples to feature rows, that the heads D and Q share; D's loss and its
        gradient penalty: see `repkit.Discriminator`. "auto" is "dcgan" for images of at least
        12x12, else "mlp". A callable gets ``(shape_in, width)``.
    updates : {"alternating", "joint"}, default="alternating"
        D's step and then G's on new noise, as in the authors' code; or both from one forward pass.
    augment : callable, optional
        Maps a float batch to one of the same shape, with a gradient; real and generated samples go
        through it on their way to the discriminator, so that no code is spent on it. See
        `repkit.augment`.
    strong_augment : callable, optional
        Makes the second view for ``categorical__invariance``. By default it is ``augment``.
    recalibrate : bool, default=True
        Whether to take the running statistics of batch norm anew at the end: those of the encoder
        over X, those of the generator over the prior. The encoder is here B with Q.
    validation_fraction : float, default=0.05
        Share of X, at most 1000 rows, that is held back from training. The scores of an epoch are
        taken over it.
    width : int, default=1024
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
    batch_size : int, default=128
        Rows in a step.
    learning_rate : float or dict, optional
        Learning rate. A dict gives rates by the name of a network, or of a module inside one:
        ``{"B": 1e-4, "B.0": 1e-5}``. The longest name that matches wins, and modules
        without one keep the default. By default 2e-4 for D, its body B and Q, and 1e-3 for G and H.
    learning_rate_schedule : {"constant", "half", "dann", "cosine"} or callable, default="constant"
        Factor of the learning rate, as a function of the progress p from 0 to 1. "half" is 1, and
        from p = 1/2 on an exponential fall to 0.01; "dann" is ``(1 + 10 p) ** -0.75``; "cosine" is
        a rise over the first twentieth, then a half cosine down to 0.
    optimizer : {"adam", "sgd"}, callable or Optimizer, default=Optimizer("adam", momentum=0.5)
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
        The trained networks, in evaluation mode: ``G``, the body ``B``, its heads ``D`` and ``Q``
        and, for the contrastive term, ``H``.
    weights_ : dict
        The weights of the "last" epoch, by network.
    labels_ : ndarray of int
        `predict` of the data of `fit`, if there is a categorical code. A model file does not hold
        it.
    scores_ : ndarray of shape (n_init,)
        The last ``score`` of each training; minus infinity of one that failed. A model file does
        not hold it.
    history_ : DataFrame
        One row an epoch: loss_D, loss_G, adversarial_loss, information_loss, d_real and d_fake
        (share of samples called real) and, in evaluation mode, for each code:
        ``information_<code>``, the bound on the mutual information of generated samples, in nats;
        ``accuracy_<code>``, the share of generated samples whose category is read rightly, for
        continuous codes :math:`R^2`; ``usage_<code>``, the entropy of the categories of held-back
        data over its greatest value; ``score``, the information that held-back data give about
        their categories, H(mean Q) - mean H(Q), or, without a categorical code, minus the squared
        error of the continuous ones on generated samples; seconds.
    n_iter_ : int
        Epochs trained.
    input_shape_ : tuple of int
        Shape of one sample.
    device_ : torch.device
        Where it was trained; after unpickling or loading, the CPU.
    precision_ : str
        The precision of the training, "fp32" or "bf16".

    Notes
    -----
    Which category is which class is arbitrary: see `match_labels`. A code that G ignores is named
    in a `ConvergenceWarning`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from repkit import InfoGAN
    >>> X = load_digits().images / 16
    >>> model = InfoGAN(
    ...     latent_dim=8, width=64, discriminator_norm="spectral", max_epochs=10, random_state=0
    ... ).fit(X)
    >>> model.transform(X).shape, model.traverse("continuous0", [-1, 0, 1], n_rows=4).shape
    ((1797, 12), (4, 3, 8, 8))
    """

    latent_dim: int = integer(0, MOST_UNITS, default=62, kw_only=False)
    generator: nets.Spec = network(default="auto")
    discriminator_norm: str = choice("batch", "spectral", default="batch")
    n_init: int = integer(1, 1000, default=1)
    width: int = integer(1, MOST_UNITS, default=1024)
    batch_size: int = integer(2, MOST_ROWS, default=128)
    learning_rate: float | Mapping[str, float] | None = per_group(default=None)
    optimizer: str | Callable[..., Any] | Optimizer = part(
        Optimizer, default=Optimizer("adam", momentum=0.5)
    )

    # The players' own rates, as in the authors' code.
    _rates: ClassVar[Mapping[str, float]] = {"": 2e-4, "G": 1e-3, "H": 1e-3}

    scores_: np.ndarray = fitted()

    # ---------------------------------------------------------------- fit

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train generator, discriminator and code reader. No label is used.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            Floats, or uint8 images. Arrays, memory maps, tensors, data frames.
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        InfoGAN
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, a network does not fit the data, X has NaN or fewer
            than two rows.

        Warns
        -----
        ConvergenceWarning
            If a loss is not finite, the discriminator has won, or the generator ignores a code.
        """
        return self._fit(X)

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit, and read the first categorical code off each row.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            As for `fit`.
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        ndarray of int of shape (n,)
            ``labels_``.

        Raises
        ------
        ValueError
            If there is no categorical code; else as `fit`.
        """
        check_categorical(self._codes())
        return self.fit(X).labels_

    def _check_together(self) -> None:
        sizes, invariance = self.categorical.sizes, self.categorical.invariance
        n, contrastive = self.continuous.n, self.continuous.contrastive
        if not sizes and not n:
            raise ValueError(
                "categorical=() and continuous=0 leave no code; InfoGAN needs one of either kind"
            )
        if invariance and not sizes:
            raise ValueError(
                f"categorical__invariance={invariance:g} needs a categorical code; give "
                "categorical__sizes=(10,), say"
            )
        if invariance and self.augment is None and self.strong_augment is None:
            raise ValueError(
                f"categorical__invariance={invariance:g} compares two views of a row; give augment "
                "or strong_augment"
            )
        if contrastive and n < 2:
            raise ValueError(
                f"continuous__contrastive={contrastive:g} tells continuous codes apart: it needs "
                f"continuous__n of at least 2, not {n}"
            )

    def _codes(self) -> Codes:
        own = self._built
        return Codes.of(own.categorical, own.continuous, own.latent_dim)

    def _read(self, X: Any) -> np.ndarray:
        X = self._check_X(X, reset=True)
        self._learn_range(X)
        return X

    def _networks(self) -> dict[str, nn.Module]:
        codes, shape, body = self._codes(), self.input_shape_, self.discriminator.network
        spectral = self.discriminator_norm == "spectral"
        B, width = nets.build_hidden(
            body, shape, self.width, name="discriminator", norm=not spectral
        )
        networks: dict[str, nn.Module] = {
            "G": nets.build_generator(self.generator, codes.input_dim, shape, self.width),
            "B": B,
            "D": nn.Linear(width, 1),
            "Q": code_head(width, codes.q_dim, norm=not spectral),
        }
        if self.continuous.contrastive:
            networks["H"] = PairFeatures(shape, self.width, codes.n_continuous)
        for name, spec in (("G", self.generator), ("B", body)):
            if isinstance(spec, str):
                small_weights(networks[name])
        if spectral:
            spectral_norms(B)
            spectral_norms(networks["D"])
        return networks

    def _problem(
        self, data: np.ndarray, networks: dict[str, nn.Module], device: torch.device, seed: int
    ) -> Problem:
        rows, held_back = self._split(data.shape[0], seed, self.validation_fraction)
        x = to_device(self._converted(rows_of(data, held_back)), device)
        inputs = self._latents(ROWS, generator_of(seed, Kind.MONITOR))
        shown, codes, scale = (
            torch.from_numpy(inputs).to(device),
            self._codes(),
            self._scaler(device),
        )

        def finish() -> None:
            if self.recalibrate:
                reader = nn.Sequential(self.networks_["B"], self.networks_["Q"])
                self._recalibrate(reader, data, rows, seed)

        return Problem(
            infogan(
                networks,
                latent_dim=self.latent_dim,
                objective=filled(Objective, vars(self)),
                prepare=scale,
            ),
            self._batches(data, self._stream(rows), device, seed),
            evaluate=lambda: watch_codes(self.networks_, codes, shown, scale(x)),
            finish=finish,
        )

    def _trainings(self) -> int:
        return self.n_init

    def _score(self) -> float:
        return float(self.history_["score"].iloc[-1])

    def _conclude(self, data: np.ndarray, scores: np.ndarray) -> None:
        self.scores_ = scores
        if self._codes().sizes:
            self.labels_ = self._categories(data)

    def _judge(self) -> None:
        judge_discriminator(self.history_)
        judge_codes(self.history_, self._codes())
