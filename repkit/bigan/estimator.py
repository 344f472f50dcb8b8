"""`BiGAN`: an encoder trained against a generator, as a scikit-learn transformer."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from repkit import nets
from repkit.base.autoencoder import Autoencoding
from repkit.base.generative import judge_discriminator
from repkit.base.parameters import check_choice, check_number
from repkit.bigan.algorithm import Objective, bigan
from repkit.bigan.networks import PairDiscriminator
from repkit.engine.system import System
from repkit.engine.training import Callback
from repkit.losses import ADVERSARIAL
from repkit.nets.trunks import Encoder, small_weights

if TYPE_CHECKING:
    import pandas as pd

LINKED = 0.9  # a reconstruction ratio above this is that of an encoder linked to nothing


class BiGAN(Autoencoding):
    r"""Bidirectional GAN: an encoder that inverts a generator which it never sees work.

    A discriminator tells pairs of a sample and its code from pairs of a generated sample and the
    code it was made of,

    .. math:: \min_{G, E} \max_D \; \mathbb{E}_x \log D(x, E(x))
              + \mathbb{E}_z \log(1 - D(G(z), z))

    (Donahue et al. 2017, equation 3; ALI, Dumoulin et al. 2017). G and E, both trained with the
    inverse labels, can only win by inverting each other.

    Parameters
    ----------
    latent_dim : int, default=50
        Length of z.
    features : {"latent", "hidden"}, default="latent"
        What `transform` gives: E(x), or the last hidden layer of E, which the paper's
        nearest-neighbor figures use.
    prior : {"uniform", "normal"}, default="uniform"
        The law of z: on [-1, 1], or N(0, 1).
    stochastic : bool, default=False
        E gives a mean and a variance, and z is drawn from them (ALI); needs ``prior="normal"``.
        `transform` gives the mean.
    encoder : {"auto", "mlp", "conv"}, nn.Module or callable, default="auto"
        The hidden part of E, from samples to feature rows, on which a linear layer to z is set.
        "auto" is "conv" for images of at least 12x12. A callable gets ``(shape_in, n_features)``.
    generator : {"auto", "mlp", "conv"}, nn.Module or callable, default="auto"
        G without its last sigmoid. A callable gets ``(latent_dim, shape_out)``.
    discriminator : {"auto", "mlp", "conv"}, nn.Module or callable, default="auto"
        A string: the network on x, to which z is added as in the paper. Else the whole of D, a
        module called with ``(x, z)`` that gives logits ``(n, judgments)``; greater means that x is
        real. A callable gets ``(shape_in, latent_dim)``.
    n_features : int, default=1024
        Width of the named networks.
    loss : {"logistic", "hinge"}, default="logistic"
        Either without saturation.
    unary : bool, default=False
        D also judges x and z alone (BigBiGAN, Donahue and Simonyan 2019); of named discriminators.
    latent_cycle : float, default=0.0
        Weight of ``|z - E(G(z))|^2`` in E.
    data_cycle : float, default=0.0
        Weight of ``|x - G(E(x))|^2`` in G and E (ALICE, Li et al. 2017).
    r1 : float, default=0.0
        Weight of the gradient penalty of D on real pairs, at every 16th step and 16 times as much.
    augment : callable, optional
        Float batch to float batch, applied to X while training: see `repkit.augment`.
    ema : float, default=0.0
        Decay of the averaged weights. Above 0, they are the ones that are used.
    recalibrate : bool, default=False
        Take the running statistics of the batch norms anew at the end: E's over X, G's over the
        prior.
    learning_rate : float, default=2e-4
        Of Adam, for D and for G and E.
    beta1 : float, default=0.5
        Of Adam.
    learning_rate_schedule : {"constant", "half", "dann", "cosine"} or callable, default="half"
        Factor of the learning rate. "half": 1 for the first half, then an exponential down to 0.01,
        as in the paper.
    weight_decay : float, default=2.5e-5
        Decoupled from the gradient.
    data_range : (low, high), optional
        Range of X, mapped to [0, 1] for the networks. None: X as it is if it lies in [0, 1], uint8
        images by 255, other images by their least and greatest value, tables column by column.
    validation_fraction : float, default=0.05
        Part of X, at most 1000 rows, that is not trained on, for the ``reconstruction_ratio``.
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
        ``E``, ``G`` and ``D``.
    history_ : DataFrame
        For each epoch: loss_D, loss_GE, adversarial_loss, d_real and d_fake (share of real pairs
        called real, and of generated ones), reconstruction_ratio, seconds.
    reconstruction_ratio_ : float
        At the end, of the networks as they are used.
    n_iter_ : int
    input_shape_ : tuple of int
    device_ : torch.device

    Notes
    -----
    The reconstruction ratio is ``|x - G(E(x))| / |x' - G(E(x))|`` over held-back samples x, x'
    another of them. At 1 the encoder is linked to nothing, however good the samples look, and the
    fit ends in a `ConvergenceWarning`; a nearest-neighbor score, which an untrained encoder
    passes too, does not show it.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from repkit import BiGAN
    >>> X = load_digits().images / 16
    >>> model = BiGAN(latent_dim=16, n_features=64, max_epochs=2, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(5).shape
    ((1797, 16), (5, 8, 8))
    """

    _code: ClassVar = ("encoder", "generator", "discriminator")

    def __init__(
        self,
        latent_dim: int = 50,
        *,
        features: str = "latent",
        prior: str = "uniform",
        stochastic: bool = False,
        encoder: nets.Spec = "auto",
        generator: nets.Spec = "auto",
        discriminator: nets.Spec = "auto",
        n_features: int = 1024,
        loss: str = "logistic",
        unary: bool = False,
        latent_cycle: float = 0.0,
        data_cycle: float = 0.0,
        r1: float = 0.0,
        augment: Callable[[Tensor], Tensor] | None = None,
        ema: float = 0.0,
        recalibrate: bool = False,
        learning_rate: float = 2e-4,
        beta1: float = 0.5,
        learning_rate_schedule: str | Callable[[float], float] = "half",
        weight_decay: float = 2.5e-5,
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
        self.latent_dim = latent_dim
        self.features = features
        self.prior = prior
        self.stochastic = stochastic
        self.encoder = encoder
        self.generator = generator
        self.discriminator = discriminator
        self.n_features = n_features
        self.loss = loss
        self.unary = unary
        self.latent_cycle = latent_cycle
        self.data_cycle = data_cycle
        self.r1 = r1
        self.augment = augment
        self.ema = ema
        self.recalibrate = recalibrate
        self.learning_rate = learning_rate
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
        """Train encoder, generator and discriminator. No label is used.

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
            If a loss is not finite, the discriminator has won, or the encoder ends linked to
            nothing.
        """
        self._fit(X)
        judge_discriminator(self.history_)
        judge_link(self.history_, self.reconstruction_ratio_)
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice(
            self,
            features=("latent", "hidden"),
            prior=("uniform", "normal"),
            loss=tuple(ADVERSARIAL),
            stochastic=(False, True),
            unary=(False, True),
        )
        check_number(self, latent_cycle=(0, np.inf), data_cycle=(0, np.inf), r1=(0, np.inf))
        if self.stochastic and self.prior != "normal":
            raise ValueError("stochastic=True needs prior='normal': its codes are Gaussian")
        if self.unary and not isinstance(self.discriminator, str):
            raise ValueError("unary=True is for a named discriminator; yours has its own columns")

    def _networks(self) -> dict[str, nn.Module]:
        shape, latent_dim = self.input_shape_, self.latent_dim
        features, width = nets.build_hidden(
            self.encoder, self.input_shape_, self.n_features, name="encoder"
        )
        networks = {
            "E": Encoder(
                features, width, latent_dim * (1 + self.stochastic), self.prior == "uniform"
            ),
            "G": nets.build_generator(
                self.generator, latent_dim, self.input_shape_, self.n_features
            ),
        }
        if isinstance(self.discriminator, str):
            trunk, width = nets.build_body(
                self.discriminator, self.input_shape_, self.n_features, name="discriminator"
            )
            networks["D"] = PairDiscriminator(trunk, width, latent_dim, self.n_features, self.unary)
        else:
            networks["D"] = nets.build(self.discriminator, shape, latent_dim, name="discriminator")
        for name, spec in (("G", self.generator), ("D", self.discriminator), ("E", self.encoder)):
            if isinstance(spec, str):
                small_weights(networks[name])
        return networks

    def _system(
        self, networks: Mapping[str, nn.Module], prepare: Callable[[Tensor], Tensor]
    ) -> System:
        return bigan(
            networks,
            latent_dim=self.latent_dim,
            prior=self.prior,
            objective=Objective(
                loss=self.loss,
                stochastic=self.stochastic,
                latent_cycle=self.latent_cycle,
                data_cycle=self.data_cycle,
                r1=self.r1,
                augment=self.augment,
            ),
            prepare=prepare,
        )

    # ---------------------------------------------------------------- use

    def transform(self, X: Any) -> np.ndarray:
        """The codes E(x), ``(n, latent_dim)``, or the hidden layer, ``(n, width)``."""
        if self.features == "latent":
            return super().transform(X)
        X = self._check_X(X, reset=False)
        E = self.networks_["E"]
        return self._like(self._map(X, E.hidden), X)  # type: ignore[arg-type]

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Samples G(z) of codes ``(n, latent_dim)``, in the range and type of the data.

        Raises
        ------
        ValueError
            With ``features="hidden"``: from the hidden layer there is no way back.
        """
        if self.features == "hidden":
            raise ValueError(
                "features='hidden' cannot be inverted; set_params(features='latent') first"
            )
        return super().inverse_transform(Z)

    def _latents(self, n: int, rng: np.random.Generator) -> np.ndarray:
        if self.prior == "normal":
            return super()._latents(n, rng)
        return rng.uniform(-1, 1, (n, self.latent_dim)).astype(np.float32)

    @property
    def _n_features_out(self) -> int:
        if self.features == "latent":
            return self.latent_dim
        return self.networks_["E"].head.in_features  # type: ignore[union-attr, return-value]


def judge_link(history: pd.DataFrame, ratio: float) -> None:
    """Warn of an encoder that the generator does not know."""
    if "failed_step" not in history and not ratio < LINKED:
        warnings.warn(
            f"the encoder is not linked to the generator: the reconstruction ratio is {ratio:.2f}, "
            "and 1 is what random codes give. Train longer (max_epochs), add latent_cycle=1, or, "
            "with a discriminator of your own, use batch norm where x and z meet.",
            ConvergenceWarning,
            stacklevel=3,
        )
