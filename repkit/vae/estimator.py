"""`VAE`: a variational auto-encoder as a scikit-learn transformer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor, nn

from repkit import nets
from repkit.base.autoencoder import Autoencoding
from repkit.base.parameters import check_choice, check_number
from repkit.engine.system import System
from repkit.engine.training import Callback
from repkit.losses import LIKELIHOODS
from repkit.nets.trunks import Encoder
from repkit.vae.algorithm import vae


class VAE(Autoencoding):
    r"""Variational auto-encoder: codes with a known law, and a decoder for them.

    Encoder and decoder minimize the negative evidence lower bound

    .. math:: -\mathbb{E}_{q(z|x)} \log p(x|z) + \beta \, KL(q(z|x) \| N(0, I))

    (Kingma and Welling 2014, equation 3; :math:`\beta` of Higgins et al. 2017). Its reconstructions
    are blurred, since a pixel's likelihood asks for the mean of what it may be; `VAEGAN` is the
    answer to that.

    Parameters
    ----------
    latent_dim : int, default=32
        Length of z.
    beta : float, default=1.0
        Weight of the divergence, which grows to it over the first tenth of the training.
    likelihood : {"bernoulli", "gaussian"}, default="bernoulli"
        Of a pixel, brought into [0, 1]; "gaussian" has variance 1.
    encoder : {"auto", "mlp", "conv"}, nn.Module or callable, default="auto"
        The hidden part of E, from samples to feature rows, on which a linear layer to means and log
        variances is set. "auto" is "conv" for images of at least 12x12. A callable gets
        ``(shape_in, n_features)``.
    generator : {"auto", "mlp", "conv"}, nn.Module or callable, default="auto"
        G, the decoder, without its last sigmoid. A callable gets ``(latent_dim, shape_out)``.
    n_features : int, default=512
        Width of the named networks.
    augment : callable, optional
        Float batch to float batch, applied to X while training: see `repkit.augment`.
    ema : float, default=0.0
        Decay of the averaged weights. Above 0, they are the ones that are used.
    recalibrate : bool, default=False
        Take the running statistics of the batch norms anew at the end: E's over X, G's over the
        prior.
    learning_rate : float, default=1e-3
        Of Adam, for all networks.
    beta1 : float, default=0.9
        Of Adam.
    learning_rate_schedule : {"constant", "half", "dann", "cosine"} or callable, default="cosine"
        Factor of the learning rate, a function of progress.
    weight_decay : float, default=0.0
        Decoupled from the gradient.
    data_range : (low, high), optional
        Range of X, mapped to [0, 1] for the networks. None: X as it is if it lies in [0, 1], uint8
        images by 255, other images by their least and greatest value, tables column by column.
    validation_fraction : float, default=0.05
        Part of X, at most 1000 rows, that is not trained on, for the ``reconstruction_ratio``.
    max_epochs : int, default=50
    steps_per_epoch : int, optional
        Default: as many as show every row once.
    batch_size : int, default=64
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
        ``E`` and ``G``.
    history_ : DataFrame
        For each epoch: loss_EG, reconstruction_loss and kl in nats, kl_weight (of kl beside beta),
        reconstruction_ratio, seconds.
    reconstruction_ratio_ : float
        ``|x - G(E(x))| / |x' - G(E(x))|`` over held-back samples x, x' another of them.
    n_iter_ : int
    input_shape_ : tuple of int
    device_ : torch.device

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from repkit import VAE
    >>> X = load_digits().images / 16
    >>> model = VAE(latent_dim=8, n_features=64, max_epochs=2, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(5).shape
    ((1797, 8), (5, 8, 8))
    """

    _code: ClassVar = ("encoder", "generator")

    def __init__(
        self,
        latent_dim: int = 32,
        *,
        beta: float = 1.0,
        likelihood: str = "bernoulli",
        encoder: nets.Spec = "auto",
        generator: nets.Spec = "auto",
        n_features: int = 512,
        augment: Callable[[Tensor], Tensor] | None = None,
        ema: float = 0.0,
        recalibrate: bool = False,
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        learning_rate_schedule: str | Callable[[float], float] = "cosine",
        weight_decay: float = 0.0,
        data_range: tuple[float, float] | None = None,
        validation_fraction: float = 0.05,
        max_epochs: int = 50,
        steps_per_epoch: int | None = None,
        batch_size: int = 64,
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
        self.beta = beta
        self.likelihood = likelihood
        self.encoder = encoder
        self.generator = generator
        self.n_features = n_features
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

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train encoder and decoder. No label is used.

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
            If a loss is not finite.
        """
        return self._fit(X)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice(self, likelihood=tuple(LIKELIHOODS))
        check_number(self, beta=(0, np.inf))

    def _networks(self) -> dict[str, nn.Module]:
        features, width = nets.build_hidden(
            self.encoder, self.input_shape_, self.n_features, name="encoder"
        )
        return {
            "E": Encoder(features, width, 2 * self.latent_dim, bounded=False),
            "G": nets.build_generator(
                self.generator, self.latent_dim, self.input_shape_, self.n_features
            ),
        }

    def _system(
        self, networks: Mapping[str, nn.Module], prepare: Callable[[Tensor], Tensor]
    ) -> System:
        return vae(
            networks,
            latent_dim=self.latent_dim,
            beta=self.beta,
            likelihood=self.likelihood,
            augment=self.augment,
            prepare=prepare,
        )
