"""`InfoGAN`: codes that provably change the output, as a scikit-learn transformer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from repkit import nets
from repkit.base.generative import judge_discriminator
from repkit.base.parameters import check_choice, check_integer, check_number
from repkit.base.saving import take_weights
from repkit.engine.batches import mix
from repkit.engine.training import Callback
from repkit.infogan.algorithm import Objective, infogan
from repkit.infogan.codes import Coded, check_categorical
from repkit.infogan.monitor import CodeMonitor, judge_codes
from repkit.infogan.networks import PairFeatures, code_head
from repkit.losses import ADVERSARIAL
from repkit.nets.trunks import small_weights, spectral_norms


class InfoGAN(Coded):
    r"""Information-maximizing GAN: a generator with codes, and a network that reads them.

    The generator makes a sample of noise z and codes c, some of them categories, some numbers on
    [-1, 1]; Q reads the codes off the sample. With the bound :math:`L_I(G, Q) = H(c) +
    \mathbb{E} \log Q(c \mid G(z, c))` on their mutual information,

    .. math:: \min_{G, Q} \max_D \; V(D, G) - \lambda L_I(G, Q)

    (Chen et al. 2016, equation 6). Codes come from the prior; on data without labels Q is then a
    clustering (`predict`) and a set of continuous factors (`transform`).

    Parameters
    ----------
    categorical : tuple of int, default=(10,)
        Values of each categorical code.
    continuous : int, default=2
        Number of continuous codes.
    noise_dim : int, default=62
        Length of z.
    variance : {"fixed", "learned"}, default="fixed"
        Of Q's Gaussians for the continuous codes: 1, or Q's own.
    generator : {"auto", "mlp", "conv"}, nn.Module or callable, default="auto"
        G without its last sigmoid, from rows (z, one-hot codes, continuous codes). "auto" is "conv"
        for images of at least 12x12. A callable gets ``(latent_dim, shape_out)``.
    discriminator : {"auto", "mlp", "conv"}, nn.Module or callable, default="auto"
        The body, from samples to feature rows, that the heads D and Q share. A callable gets
        ``(shape_in, n_features)``.
    n_features : int, default=1024
        Width of the named networks.
    discriminator_norm : {"batch", "spectral"}, default="batch"
        Batch norm in the named body and in Q, or spectral normalization of body and D.
    loss : {"logistic", "hinge"}, default="logistic"
    lam_categorical, lam_continuous : float, default=1.0
        :math:`\lambda` for each kind of code.
    updates : {"alternating", "simultaneous"}, default="alternating"
        D's step and then G's on new noise, as in the authors' code, or both from one forward pass.
    r1 : float, default=0.0
        Weight of the gradient penalty of D on data, at every 16th step and 16 times as much.
    contrastive : float, default=0.0
        Weight of the contrastive regularizer of InfoGAN-CR (Lin et al. 2020): a network finds which
        continuous code a pair of samples has in common.
    invariance : float, default=0.0
        Weight of the mutual information between the categories of two views of each row of X (IIC,
        Ji et al. 2019): a row's category is to survive ``view_augment``.
    augment : callable, optional
        Float batch to float batch, with a gradient; real and generated samples go through it on
        their way to the discriminator, so that no code is spent on it. See `repkit.augment`.
    view_augment : callable, optional
        Makes the second view for ``invariance``; None: ``augment``.
    ema : float, default=0.0
        Decay of the averaged weights. Above 0, they are the ones that are used.
    recalibrate : bool, default=True
        Take the running statistics of the batch norms anew at the end, over X and over the prior.
    n_init : int, default=1
        Whole trainings from different seeds; the one with the greatest ``score`` is kept.
    learning_rate : float, default=2e-4
        Of Adam, for the discriminator with its heads.
    generator_learning_rate : float, default=1e-3
    beta1 : float, default=0.5
        Of Adam.
    learning_rate_schedule : {"constant", "half", "dann", "cosine"} or callable, default="constant"
        Factor of the learning rates, a function of progress.
    weight_decay : float, default=0.0
        Decoupled from the gradient.
    data_range : (low, high), optional
        Range of X, mapped to [0, 1] for the networks. None: X as it is if it lies in [0, 1], uint8
        images by 255, other images by their least and greatest value, tables column by column.
    validation_fraction : float, default=0.05
        Part of X, at most 1000 rows, that is not trained on, for ``history_``.
    max_epochs : int, default=50
    steps_per_epoch : int, optional
        Default: as many as show every row once.
    batch_size : int, default=128
    device : str, default="auto"
        A torch device; "auto" is cuda, else mps, else cpu.
    precision : {"auto", "fp32", "bf16"}, default="auto"
        "auto" takes bf16 for convolutions where the hardware multiplies it.
    compile : bool, default=False
        Use ``torch.compile``.
    checkpoint : path, optional
        A folder: a checkpoint is written after every epoch, and a fit of the same data and
        parameters goes on from it.
    warm_start : bool, default=False
        Start from the networks of the fit before.
    callbacks : iterable of callable, optional
        Each gets the epoch's row of ``history_`` as a dict; a true answer stops.
    verbose : int, default=0
        Above 0, a line an epoch on the logger "repkit".
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    networks_ : dict
        ``G``, the body ``B``, and the heads ``D`` and ``Q``.
    labels_ : ndarray of int
        `predict` of the data of `fit`, if there is a categorical code.
    history_ : DataFrame
        For each epoch the losses, d_real and d_fake (share of samples called real), and in
        evaluation mode, for each code: ``information_<code>``, the bound on the mutual information
        of generated samples, in nats; ``accuracy_<code>``, the share of generated samples whose
        category is read rightly, for continuous codes :math:`R^2`; ``usage_<code>``, the entropy of
        the categories of held-back data over its greatest value. ``score``: the information that
        held-back data give about their categories, H(mean Q) - mean H(Q); without a categorical
        code, minus the squared error of the continuous ones on generated samples.
    scores_ : ndarray of shape (n_init,)
        The last ``score`` of each training.
    n_iter_ : int
    input_shape_ : tuple of int
    device_ : torch.device

    Notes
    -----
    Which category is which class is arbitrary: see `match_labels`. A code that G ignores is named
    in a `ConvergenceWarning`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from repkit import InfoGAN
    >>> X = load_digits().images / 16
    >>> model = InfoGAN(noise_dim=8, n_features=64, max_epochs=2, random_state=0).fit(X)
    >>> model.transform(X).shape, model.traverse("continuous0", [-1, 0, 1], n_rows=4).shape
    ((1797, 12), (4, 3, 8, 8))
    """

    _code: ClassVar = ("generator", "discriminator")

    scores_: np.ndarray

    def __init__(
        self,
        categorical: tuple[int, ...] = (10,),
        continuous: int = 2,
        noise_dim: int = 62,
        *,
        variance: str = "fixed",
        generator: nets.Spec = "auto",
        discriminator: nets.Spec = "auto",
        n_features: int = 1024,
        discriminator_norm: str = "batch",
        loss: str = "logistic",
        lam_categorical: float = 1.0,
        lam_continuous: float = 1.0,
        updates: str = "alternating",
        r1: float = 0.0,
        contrastive: float = 0.0,
        invariance: float = 0.0,
        augment: Callable[[Tensor], Tensor] | None = None,
        view_augment: Callable[[Tensor], Tensor] | None = None,
        ema: float = 0.0,
        recalibrate: bool = True,
        n_init: int = 1,
        learning_rate: float = 2e-4,
        generator_learning_rate: float = 1e-3,
        beta1: float = 0.5,
        learning_rate_schedule: str | Callable[[float], float] = "constant",
        weight_decay: float = 0.0,
        data_range: tuple[float, float] | None = None,
        validation_fraction: float = 0.05,
        max_epochs: int = 50,
        steps_per_epoch: int | None = None,
        batch_size: int = 128,
        device: str = "auto",
        precision: str = "auto",
        compile: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        warm_start: bool = False,
        callbacks: Iterable[Callback] | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.categorical = categorical
        self.continuous = continuous
        self.noise_dim = noise_dim
        self.variance = variance
        self.generator = generator
        self.discriminator = discriminator
        self.n_features = n_features
        self.discriminator_norm = discriminator_norm
        self.loss = loss
        self.lam_categorical = lam_categorical
        self.lam_continuous = lam_continuous
        self.updates = updates
        self.r1 = r1
        self.contrastive = contrastive
        self.invariance = invariance
        self.augment = augment
        self.view_augment = view_augment
        self.ema = ema
        self.recalibrate = recalibrate
        self.n_init = n_init
        self.learning_rate = learning_rate
        self.generator_learning_rate = generator_learning_rate
        self.beta1 = beta1
        self.learning_rate_schedule = learning_rate_schedule
        self.weight_decay = weight_decay
        self.data_range = data_range
        self.validation_fraction = validation_fraction
        self.max_epochs = max_epochs
        self.steps_per_epoch = steps_per_epoch
        self.batch_size = batch_size
        self.device = device
        self.precision = precision
        self.compile = compile
        self.checkpoint = checkpoint
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.verbose = verbose
        self.random_state = random_state

    # ---------------------------------------------------------------- fit

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train generator, discriminator and code reader. No label is used.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            Floats, or uint8 images. Arrays, memory maps, tensors, data frames.
        y : ignored

        Raises
        ------
        ValueError
            Among others: NaN in X, fewer than two rows, a parameter out of its range, a network
            that does not fit the data.

        Warns
        -----
        ConvergenceWarning
            If a loss is not finite, the discriminator has won, or the generator ignores a code.
        """
        self._check_parameters()
        X = self._check_X(X, reset=True)
        self._learn_range(X)
        start = getattr(self, "networks_", {}) if self.warm_start else {}
        best: dict[str, Any] = {}
        scores = []
        for part in range(self.n_init):
            self._fit_once(X, part, start)
            # A training that failed comes last, whatever it had reached.
            failed = "failed_step" in self.history_
            scores.append(-np.inf if failed else float(self.history_["score"].iloc[-1]))
            if len(scores) == 1 or scores[-1] > max(scores[:-1]):
                best = {k: v for k, v in vars(self).items() if k.endswith("_")}
        for name, value in best.items():
            setattr(self, name, value)
        self.scores_ = np.array(scores)
        if self.categorical:
            self.labels_ = self._categories(X)
        judge_discriminator(self.history_)
        judge_codes(self.history_, self._codes())
        return self

    def _fit_once(self, X: np.ndarray, part: int, start: Mapping[str, nn.Module]) -> None:
        with self._training((X,), part) as (device, seed, checkpoints):
            torch.manual_seed(mix(seed, 0))
            networks = self._networks()
            take_weights(networks, start)
            rows, held_back = self._split(len(X), seed)
            scale = self._scaler(device)
            system = infogan(
                networks,
                codes=self._codes(),
                objective=Objective(
                    loss=self.loss,
                    lam_categorical=self.lam_categorical,
                    lam_continuous=self.lam_continuous,
                    alternating=self.updates == "alternating",
                    r1=self.r1,
                    contrastive=self.contrastive,
                    invariance=self.invariance,
                    augment=self.augment,
                    view_augment=self.view_augment,
                ),
                prepare=scale,
            )
            rates = dict.fromkeys(set(system.groups) - {"D"}, self.generator_learning_rate)
            engine = self._engine(system, X, self._stream(rows), device, seed, rates)
            self.device_ = device
            self.networks_ = engine.averaged or dict(networks)
            monitor = CodeMonitor(self, np.array(X[held_back]), seed)
            self._train(engine, checkpoints=checkpoints, evaluate=monitor)
            self.use("last")
            if self.recalibrate and "failed_step" not in self.history_:
                reader = nn.Sequential(self.networks_["B"], self.networks_["Q"])
                self._recalibrate(reader, X, rows, seed)

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """`fit`, and the category of each row."""
        check_categorical(self)
        return self.fit(X).labels_

    def _check_parameters(self) -> None:
        self._check_common()
        self._check_held_back()
        check_choice(
            self,
            variance=("fixed", "learned"),
            discriminator_norm=("batch", "spectral"),
            loss=tuple(ADVERSARIAL),
            updates=("alternating", "simultaneous"),
        )
        check_integer(self, continuous=0, noise_dim=0, n_init=1)
        check_number(
            self,
            lam_categorical=(0, np.inf),
            lam_continuous=(0, np.inf),
            r1=(0, np.inf),
            contrastive=(0, np.inf),
            invariance=(0, np.inf),
            generator_learning_rate=(0, np.inf),
        )
        sizes = self.categorical
        if not isinstance(sizes, tuple | list) or not all(
            isinstance(n, int | np.integer) and n >= 2 for n in sizes
        ):
            raise ValueError(
                f"categorical must be a tuple of integers of at least 2, not {sizes!r}"
            )
        if not len(sizes) + self.continuous:
            raise ValueError("InfoGAN needs a code: give categorical or continuous")
        if self.invariance and not sizes:
            raise ValueError("invariance > 0 is about categories: it needs a categorical code")
        if self.invariance and self.augment is None and self.view_augment is None:
            raise ValueError("invariance > 0 needs augment or view_augment, to make two views")
        if self.contrastive and self.continuous < 2:
            raise ValueError("contrastive > 0 tells continuous codes apart: it needs two or more")

    def _networks(self) -> dict[str, nn.Module]:
        codes, spectral = self._codes(), self.discriminator_norm == "spectral"
        body, width = nets.build_hidden(
            self.discriminator,
            self.input_shape_,
            self.n_features,
            name="discriminator",
            norm=not spectral,
        )
        networks: dict[str, nn.Module] = {
            "G": nets.build_generator(
                self.generator, codes.latent_dim, self.input_shape_, self.n_features
            ),
            "B": body,
            "D": nn.Linear(width, 1),
            "Q": code_head(width, codes.q_dim, norm=not spectral),
        }
        if self.contrastive:
            networks["H"] = PairFeatures(self.input_shape_, self.n_features, codes.continuous)
        for name, spec in (("G", self.generator), ("B", self.discriminator)):
            if isinstance(spec, str):
                small_weights(networks[name])
        if spectral:
            spectral_norms(body)
            spectral_norms(networks["D"])
        return networks
