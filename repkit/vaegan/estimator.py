"""Internal. `VAEGAN`: a VAE whose likelihood is a discriminator's, a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from torch import Tensor, nn

from repkit import nets
from repkit.base.autoencoder import Autoencoder
from repkit.base.generative import judge_discriminator
from repkit.base.parameters import choice, filled, network, parameters, part, schedule
from repkit.base.parts import Optimizer
from repkit.engine.system import System
from repkit.nets.trunks import Encoder, spectral_norms
from repkit.schedules import RATES
from repkit.vaegan.algorithm import Objective, vaegan
from repkit.vaegan.networks import FeatureDiscriminator

__all__ = ["VAEGAN"]

LOGITS = {"two_way": 1, "three_way": 3}  # of D, by its kind


@parameters
class VAEGAN(Objective, Autoencoder):
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
        Length of the code z.
    encoder : {"auto", "mlp", "conv", "dcgan"}, nn.Module or callable, default="auto"
        Hidden part of E, from samples to feature rows; a linear layer to means and log variances
        follows. "auto" is "dcgan" for images of at least 12x12, else "mlp". A callable gets
        ``(shape_in, width)``.
    generator : {"auto", "mlp", "dcgan"}, nn.Module or callable, default="auto"
        G, the decoder, without its last sigmoid. "auto" is "dcgan" for images of at least 12x12,
        else "mlp". A callable gets ``(latent_dim, shape_out)``.
    discriminator_norm : {"spectral", "batch"}, default="spectral"
        Spectral normalization of D but for its last layer, or batch norm in its body, over real and
        over fake samples apart ("mlp", of one layer, has none). A body that is not given by name is
        left as it is.
    discriminator_kind : {"two_way", "three_way"}, default="two_way"
        D tells real samples from fakes, generated and reconstructed ones alike; or real, generated
        and reconstructed ones apart by a softmax. The generator wants both of its kinds called
        real.
    discriminator : str, nn.Module, callable or Discriminator, default="auto"
        The body of D, from samples to the hidden layer :math:`D_l`, feature rows, on which two
        linear layers follow; the loss of D, if it is two-way, and its gradient penalty: see
        `repkit.Discriminator`. "auto" is "dcgan" for images of at least 12x12, else "mlp". A
        callable gets ``(shape_in, width)``.
    beta : float, default=1.0
        Weight of :math:`\mathcal{L}_{prior}`. It is reached over the first tenth of the training.
    gamma : float, default=5.0
        Weight of :math:`\mathcal{L}_{like}`, as a mean over the features of :math:`D_l`, in the
        generator.
    pixel : float, default=0.0
        Weight of half the squared error of pixels beside :math:`\mathcal{L}_{like}`.
    balanced_steps : bool, default=False
        The rule of the authors' code: D does not step while one of its two costs is below .33 nats,
        nor G while one is above 1.03; both do where neither would. The steps of ``r1`` are not
        concerned. It is for a two-way discriminator: a guess among three costs 1.10, and G would
        never step. With an optimizer other than "adam", the device is waited for at every step.
    augment : callable, optional
        Maps a float batch to one of the same shape; applied to X while training. See
        `repkit.augment`.
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
    learning_rate_schedule : {"constant", "half", "dann", "cosine"} or callable, default="cosine"
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
        The trained networks, in evaluation mode: ``E``, ``G`` and ``D``.
    weights_ : dict
        The weights of the "last" epoch, by network.
    history_ : DataFrame
        One row an epoch: loss_E, loss_G, loss_D, kl in nats, kl_weight (a factor of beta),
        similarity_loss, adversarial_loss, d_real, d_fake and d_reconstructed (share of real,
        generated and reconstructed samples called real), with ``balanced_steps`` skip_D and skip_G
        (share of the steps in which D or G did not step), reconstruction_ratio, seconds.
    reconstruction_ratio_ : float
        ``|x - G(E(x))| / |x' - G(E(x))|`` over held-back samples x, where x' is another of them.
    n_iter_ : int
        Epochs trained.
    input_shape_ : tuple of int
        Shape of one sample.
    device_ : torch.device
        Where it was trained; after unpickling or loading, the CPU.
    precision_ : str
        The precision of the training, "fp32" or "bf16".

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from repkit import VAEGAN
    >>> X = load_digits().images / 16
    >>> model = VAEGAN(latent_dim=8, width=64, max_epochs=2, random_state=0).fit(X)
    >>> model.reconstruct(X).shape, model.interpolate(X[:3], X[3:6]).shape
    ((1797, 8, 8), (3, 8, 8, 8))
    """

    encoder: nets.Spec = network(default="auto")
    generator: nets.Spec = network(default="auto")
    discriminator_norm: str = choice("spectral", "batch", default="spectral")
    learning_rate_schedule: str | Callable[[float], float] = schedule(RATES, default="cosine")
    optimizer: str | Callable[..., Any] | Optimizer = part(
        Optimizer, default=Optimizer("adam", momentum=0.5)
    )

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train encoder, generator and discriminator. No label is used.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            Floats, or uint8 images. Arrays, memory maps, tensors, data frames.
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        VAEGAN
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, a network does not fit the data, X has NaN or fewer
            than two rows.

        Warns
        -----
        ConvergenceWarning
            If a loss is not finite, or the discriminator has won.
        """
        return self._fit(X)

    def _judge(self) -> None:
        judge_discriminator(self.history_)

    def _check_together(self) -> None:
        kind, loss = self.discriminator_kind, self.discriminator.loss
        if kind == "three_way" and loss != "logistic":
            raise ValueError(
                "discriminator_kind='three_way' is a softmax: it needs "
                f"discriminator__loss='logistic', not {loss!r}"
            )
        if self.balanced_steps and loss != "logistic":
            raise ValueError(
                "balanced_steps=True compares costs in nats: it needs "
                f"discriminator__loss='logistic', not {loss!r}"
            )
        if self.balanced_steps and kind != "two_way":
            raise ValueError(
                "balanced_steps=True has the bounds of a two-way discriminator, of which a guess "
                f"costs ln 2: it needs discriminator_kind='two_way', not {kind!r}"
            )

    def _networks(self) -> dict[str, nn.Module]:
        shape, body = self.input_shape_, self.discriminator.network
        features, width = nets.build_hidden(self.encoder, shape, self.width, name="encoder")
        networks: dict[str, nn.Module] = {
            "E": Encoder(features, width, 2 * self.latent_dim, bounded=False),
            "G": nets.build_generator(self.generator, self.latent_dim, shape, self.width),
        }
        spectral = self.discriminator_norm == "spectral"
        D_l, width = nets.build_body(
            body, shape, self.width, name="discriminator", norm=not spectral
        )
        D = FeatureDiscriminator(D_l, width, self.width, LOGITS[self.discriminator_kind])
        if spectral:
            # The last layer sets how sure D can be, and so how strong what it teaches is.
            named = isinstance(body, str)
            spectral_norms(nn.Sequential(D.body, D.judge[:-1]) if named else D.judge[:-1])
        return {**networks, "D": D}

    def _system(
        self, networks: Mapping[str, nn.Module], prepare: Callable[[Tensor], Tensor]
    ) -> System:
        return vaegan(
            networks,
            latent_dim=self.latent_dim,
            objective=filled(Objective, vars(self)),
            prepare=prepare,
        )
