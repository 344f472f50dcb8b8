"""Internal. `VAE`: a variational auto-encoder as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from torch import Tensor, nn

from repkit import nets
from repkit.base.autoencoder import Autoencoder
from repkit.base.parameters import filled, network, parameters, schedule
from repkit.engine.system import System
from repkit.nets.trunks import Encoder
from repkit.schedules import RATES
from repkit.vae.algorithm import Objective, vae

__all__ = ["VAE"]


@parameters
class VAE(Objective, Autoencoder):
    r"""Variational auto-encoder: codes with a known law, and a decoder for them.

    Encoder and decoder minimize the negative evidence lower bound

    .. math:: -\mathbb{E}_{q(z|x)} \log p(x|z) + \beta \, KL(q(z|x) \| N(0, I))

    (Kingma and Welling 2014, equation 3; :math:`\beta` of Higgins et al. 2017). Its reconstructions
    are blurred, since the likelihood of a pixel asks for the mean of what it may be. `VAEGAN` is
    the answer to that.

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
    beta : float, default=1.0
        Weight of the divergence. It is reached over the first tenth of the training.
    likelihood : {"bernoulli", "gaussian"}, default="bernoulli"
        Law of a pixel, brought into [0, 1]; "gaussian" has variance 1.
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
        The trained networks, in evaluation mode: ``E`` and ``G``.
    weights_ : dict
        The weights of the "last" epoch, by network.
    history_ : DataFrame
        One row an epoch: loss_EG, reconstruction_loss and kl in nats, kl_weight (a factor of beta),
        reconstruction_ratio, seconds.
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
    >>> from repkit import VAE
    >>> X = load_digits().images / 16
    >>> model = VAE(latent_dim=8, width=64, max_epochs=2, random_state=0).fit(X)
    >>> model.transform(X).shape, model.reconstruct(X[:3]).shape
    ((1797, 8), (3, 8, 8))
    """

    encoder: nets.Spec = network(default="auto")
    generator: nets.Spec = network(default="auto")
    learning_rate_schedule: str | Callable[[float], float] = schedule(RATES, default="cosine")

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train encoder and decoder. No label is used.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            Floats, or uint8 images. Arrays, memory maps, tensors, data frames.
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        VAE
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, a network does not fit the data, X has NaN or fewer
            than two rows.

        Warns
        -----
        ConvergenceWarning
            If a loss is not finite.
        """
        return self._fit(X)

    def _networks(self) -> dict[str, nn.Module]:
        features, width = nets.build_hidden(
            self.encoder, self.input_shape_, self.width, name="encoder"
        )
        return {
            "E": Encoder(features, width, 2 * self.latent_dim, bounded=False),
            "G": nets.build_generator(
                self.generator, self.latent_dim, self.input_shape_, self.width
            ),
        }

    def _system(
        self, networks: Mapping[str, nn.Module], prepare: Callable[[Tensor], Tensor]
    ) -> System:
        return vae(
            networks,
            latent_dim=self.latent_dim,
            objective=filled(Objective, vars(self)),
            prepare=prepare,
        )
