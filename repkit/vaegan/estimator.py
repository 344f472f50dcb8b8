"""`VAEGAN`: a VAE whose likelihood is a discriminator's, as a scikit-learn transformer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor, nn

from repkit import nets
from repkit.base.autoencoder import Autoencoding
from repkit.base.generative import judge_discriminator
from repkit.base.parameters import check_choice, check_number
from repkit.engine.system import System
from repkit.engine.training import Callback
from repkit.losses import ADVERSARIAL
from repkit.nets.trunks import Encoder, spectral_norms
from repkit.vaegan.algorithm import Objective, vaegan
from repkit.vaegan.networks import FeatureDiscriminator

KINDS = {"two_way": 1, "three_way": 3}  # logits of D


class VAEGAN(Autoencoding):
    r"""VAE-GAN: an auto-encoder that compares samples as a discriminator sees them.

    With :math:`D_l` a hidden layer of a discriminator of real and fake samples, encoder, generator
    and discriminator descend

    .. math:: \mathcal{L}_{prior} + \mathcal{L}_{like}, \quad
              \gamma \mathcal{L}_{like} - \mathcal{L}_{GAN}, \quad \mathcal{L}_{GAN}, \quad
              \mathcal{L}_{like} = \tfrac12 \|D_l(x) - D_l(G(z))\|^2

    (Larsen et al. 2016, algorithm 1), each by its own parameters alone: no gradient of the
    likelihood reaches the discriminator, and none of the discriminator's verdict the encoder.

    Parameters
    ----------
    latent_dim : int, default=32
        Length of z.
    discriminator : {"two_way", "three_way"}, default="two_way"
        Real against fake, generated and reconstructed samples alike; or a softmax over real,
        generated and reconstructed. The generator wants both its kinds called real.
    beta : float, default=1.0
        Weight of :math:`\mathcal{L}_{prior}`, to which it grows over the first tenth of the
        training.
    gamma : float, default=5.0
        Weight of :math:`\mathcal{L}_{like}`, as a mean over the features of :math:`D_l`, in the
        generator.
    pixel : float, default=0.0
        Weight of half the squared error of pixels beside :math:`\mathcal{L}_{like}`.
    encoder : {"auto", "mlp", "conv"}, nn.Module or callable, default="auto"
        The hidden part of E, from samples to feature rows, on which a linear layer to means and log
        variances is set. "auto" is "conv" for images of at least 12x12. A callable gets
        ``(shape_in, n_features)``.
    generator : {"auto", "mlp", "conv"}, nn.Module or callable, default="auto"
        G, the decoder, without its last sigmoid. A callable gets ``(latent_dim, shape_out)``.
    discriminator_body : {"auto", "mlp", "conv"}, nn.Module or callable, default="auto"
        D from samples to the hidden layer :math:`D_l`, feature rows; two linear layers follow. A
        callable gets ``(shape_in, n_features)``.
    n_features : int, default=512
        Width of the named networks.
    discriminator_norm : {"spectral", "batch"}, default="spectral"
        Spectral normalization of D but for its last layer, or batch norm in its body, over real and
        over fake samples apart ("mlp", of one layer, has none). A body of your own is left as it
        is.
    loss : {"logistic", "hinge"}, default="logistic"
        Of the two-way discriminator.
    balance : bool, default=False
        The rule of the authors' code: D stands still while one of its two costs is below .33 nats,
        G while one is above 1.03. (A loss of 0, so that Adam coasts.) Of the two-way discriminator:
        a guess among three costs 1.10, and G would never move.
    r1 : float, default=0.0
        Weight of the gradient penalty of D on data, at every 16th step and 16 times as much.
    augment : callable, optional
        Float batch to float batch, applied to X while training: see `repkit.augment`.
    ema : float, default=0.0
        Decay of the averaged weights. Above 0, they are the ones that are used.
    recalibrate : bool, default=False
        Take the running statistics of the batch norms anew at the end: E's over X, G's over the
        prior.
    learning_rate : float, default=1e-3
        Of Adam, for all networks.
    beta1 : float, default=0.5
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
        ``E``, ``G`` and ``D``.
    history_ : DataFrame
        For each epoch: loss_E, loss_G, loss_D, kl, kl_weight (of kl beside beta), similarity_loss,
        adversarial_loss, d_real, d_fake and d_reconstructed (share of real, generated and
        reconstructed samples called real), reconstruction_ratio, seconds.
    reconstruction_ratio_ : float
        ``|x - G(E(x))| / |x' - G(E(x))|`` over held-back samples x, x' another of them.
    n_iter_ : int
    input_shape_ : tuple of int
    device_ : torch.device

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from repkit import VAEGAN
    >>> X = load_digits().images / 16
    >>> model = VAEGAN(latent_dim=8, n_features=64, max_epochs=2, random_state=0).fit(X)
    >>> model.reconstruct(X).shape, model.interpolate(X[:3], X[3:6]).shape
    ((1797, 8, 8), (3, 8, 8, 8))
    """

    _code: ClassVar = ("encoder", "generator", "discriminator_body")

    def __init__(
        self,
        latent_dim: int = 32,
        *,
        discriminator: str = "two_way",
        beta: float = 1.0,
        gamma: float = 5.0,
        pixel: float = 0.0,
        encoder: nets.Spec = "auto",
        generator: nets.Spec = "auto",
        discriminator_body: nets.Spec = "auto",
        n_features: int = 512,
        discriminator_norm: str = "spectral",
        loss: str = "logistic",
        balance: bool = False,
        r1: float = 0.0,
        augment: Callable[[Tensor], Tensor] | None = None,
        ema: float = 0.0,
        recalibrate: bool = False,
        learning_rate: float = 1e-3,
        beta1: float = 0.5,
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
        self.discriminator = discriminator
        self.beta = beta
        self.gamma = gamma
        self.pixel = pixel
        self.encoder = encoder
        self.generator = generator
        self.discriminator_body = discriminator_body
        self.n_features = n_features
        self.discriminator_norm = discriminator_norm
        self.loss = loss
        self.balance = balance
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
            If a loss is not finite, or the discriminator has won.
        """
        self._fit(X)
        judge_discriminator(self.history_)
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice(
            self,
            discriminator=tuple(KINDS),
            discriminator_norm=("spectral", "batch"),
            loss=tuple(ADVERSARIAL),
            balance=(False, True),
        )
        check_number(self, beta=(0, np.inf), gamma=(0, np.inf), pixel=(0, np.inf), r1=(0, np.inf))
        if self.discriminator == "three_way" and self.loss != "logistic":
            raise ValueError("discriminator='three_way' is a softmax: it needs loss='logistic'")
        if self.balance and self.loss != "logistic":
            raise ValueError("balance=True compares costs in nats: it needs loss='logistic'")
        if self.balance and self.discriminator != "two_way":
            raise ValueError(
                "balance=True has the bounds of a two-way discriminator, of which a guess costs "
                "ln 2: it needs discriminator='two_way'"
            )

    def _networks(self) -> dict[str, nn.Module]:
        features, width = nets.build_hidden(
            self.encoder, self.input_shape_, self.n_features, name="encoder"
        )
        networks: dict[str, nn.Module] = {
            "E": Encoder(features, width, 2 * self.latent_dim, bounded=False),
            "G": nets.build_generator(
                self.generator, self.latent_dim, self.input_shape_, self.n_features
            ),
        }
        named = isinstance(self.discriminator_body, str)
        spectral = self.discriminator_norm == "spectral"
        body, width = nets.build_body(
            self.discriminator_body,
            self.input_shape_,
            self.n_features,
            name="discriminator_body",
            norm=not spectral,
        )
        D = FeatureDiscriminator(body, width, self.n_features, KINDS[self.discriminator])
        if spectral:
            # The last layer sets how sure D can be, and so how strong what it teaches is.
            spectral_norms(nn.Sequential(D.body, D.judge[:-1]) if named else D.judge[:-1])
        networks["D"] = D
        return networks

    def _system(
        self, networks: Mapping[str, nn.Module], prepare: Callable[[Tensor], Tensor]
    ) -> System:
        return vaegan(
            networks,
            latent_dim=self.latent_dim,
            objective=Objective(
                discriminator=self.discriminator,
                loss=self.loss,
                beta=self.beta,
                gamma=self.gamma,
                pixel=self.pixel,
                r1=self.r1,
                balance=self.balance,
                augment=self.augment,
            ),
            prepare=prepare,
        )
