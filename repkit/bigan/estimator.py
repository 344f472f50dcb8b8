"""Internal. `BiGAN`: an encoder trained against a generator, as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from repkit import nets
from repkit.base.autoencoder import Autoencoder
from repkit.base.generative import judge_discriminator
from repkit.base.parameters import (
    MOST_ROWS,
    MOST_UNITS,
    choice,
    filled,
    flag,
    integer,
    network,
    number,
    parameters,
    part,
    per_group,
    schedule,
)
from repkit.base.parts import Optimizer
from repkit.bigan.algorithm import Objective, bigan
from repkit.bigan.networks import PairDiscriminator
from repkit.engine.system import System
from repkit.nets.trunks import Encoder, small_weights
from repkit.schedules import RATES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BiGAN"]

LINKED = 0.9  # a reconstruction ratio above this is that of an encoder linked to nothing
# Above this, of one linked loosely: without data_cycle .85 on MNIST and .86 on digits in the time
# in which data_cycle=10 reaches .41 and .36.
FIRMLY = 0.7


@parameters
class BiGAN(Objective, Autoencoder):
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
        Length of the code z.
    output : {"latent", "hidden"}, default="latent"
        What `transform` gives: E(x), or the last hidden layer of E, which the paper's
        nearest-neighbor figures use.
    prior : {"uniform", "normal"}, default="uniform"
        Law of z: uniform on [-1, 1], or N(0, 1).
    encoder : {"auto", "mlp", "conv", "dcgan"}, nn.Module or callable, default="auto"
        Hidden part of E, from samples to feature rows; a linear layer to z follows. "auto" is
        "dcgan" for images of at least 12x12, else "mlp". A callable gets ``(shape_in, width)``.
    generator : {"auto", "mlp", "dcgan"}, nn.Module or callable, default="auto"
        G without its last sigmoid. "auto" is "dcgan" for images of at least 12x12, else "mlp". A
        callable gets ``(latent_dim, shape_out)``.
    unary : bool, default=False
        Whether D also judges x and z alone (BigBiGAN, Donahue and Simonyan 2019). For networks of D
        that are given by name.
    discriminator : str, nn.Module, callable or Discriminator, default="auto"
        D, its loss and its gradient penalty; see `repkit.Discriminator`. A string ("auto", "mlp",
        "conv", "dcgan") is the network on x, to which z is added as in the paper. Anything else is
        the whole of D: a module that is called with ``(x, z)`` and gives logits ``(n, judgments)``,
        where greater means that x is real, or a callable of ``(shape_in, latent_dim)`` that makes
        one.
    stochastic : bool, default=False
        Whether E gives a mean and a variance, and z is drawn from them (ALI). It needs
        ``prior="normal"``. `transform` gives the mean.
    latent_cycle : float, default=0.0
        Weight of ``|z - E(G(z))|^2`` in E.
    data_cycle : float, default=10.0
        Weight of ``|x - G(E(x))|^2`` in G and E (ALICE, Li et al. 2017). 0 is the objective of the
        BiGAN paper, which links E to G in hours rather than minutes.
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
    ema : float, default=0.99
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
    learning_rate : float or dict, default=5e-4
        Learning rate. A dict gives rates by the name of a network, or of a module inside one:
        ``{"E": 1e-4, "E.features": 1e-5}``. The longest name that matches wins, and modules
        without one keep the default.
    learning_rate_schedule : {"constant", "half", "dann", "cosine"} or callable, default="half"
        Factor of the learning rate, as a function of the progress p from 0 to 1. "half" is 1, and
        from p = 1/2 on an exponential fall to 0.01; "dann" is ``(1 + 10 p) ** -0.75``; "cosine" is
        a rise over the first twentieth, then a half cosine down to 0.
    optimizer : {"adam", "sgd"}, callable or Optimizer, default=Optimizer("adam", momentum=0.5)
        How gradients become steps; see `repkit.Optimizer`. The default also has
        ``weight_decay=2.5e-5``.
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
        One row an epoch: loss_D, loss_GE, adversarial_loss, d_real and d_fake (share of real pairs
        called real, and of generated ones), reconstruction_ratio, seconds.
    reconstruction_ratio_ : float
        The reconstruction ratio of the networks as they are used; see the notes.
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
    The reconstruction ratio is ``|x - G(E(x))| / |x' - G(E(x))|`` over held-back samples x, x'
    another of them. At 1 the encoder is linked to nothing, however good the samples look, and the
    fit ends in a `ConvergenceWarning`; a nearest-neighbor score, which an untrained encoder
    passes too, does not show it. Above 0.7 the link is loose, and a warning says so too.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from repkit import BiGAN
    >>> X = load_digits().images / 16
    >>> model = BiGAN(
    ...     latent_dim=16,
    ...     width=64,
    ...     max_epochs=5,
    ...     batch_size=64,
    ...     learning_rate=2e-3,
    ...     random_state=0,
    ... ).fit(X)
    >>> model.transform(X).shape, model.sample(5).shape
    ((1797, 16), (5, 8, 8))
    """

    _live = ("output",)

    output: str = choice("latent", "hidden", default="latent")
    prior: str = choice("uniform", "normal", default="uniform")
    encoder: nets.Spec = network(default="auto")
    generator: nets.Spec = network(default="auto")
    unary: bool = flag(default=False)
    latent_dim: int = integer(1, MOST_UNITS, default=50, kw_only=False)
    width: int = integer(1, MOST_UNITS, default=512)
    batch_size: int = integer(2, MOST_ROWS, default=128)
    ema: float = number(0.0, 0.999999, default=0.99)
    learning_rate: float | Mapping[str, float] = per_group(default=5e-4)
    learning_rate_schedule: str | Callable[[float], float] = schedule(RATES, default="half")
    optimizer: Any = part(Optimizer, default=Optimizer("adam", momentum=0.5, weight_decay=2.5e-5))

    # ---------------------------------------------------------------- fit

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
        BiGAN
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, a network does not fit the data, X has NaN or fewer
            than two rows.

        Warns
        -----
        ConvergenceWarning
            If a loss is not finite, the discriminator has won, or the encoder ends linked to
            nothing, or loosely.
        """
        return self._fit(X)

    def _judge(self) -> None:
        judge_discriminator(self.history_)
        judge_link(self.history_, self.reconstruction_ratio_, self.data_cycle)

    def _check_together(self) -> None:
        if self.stochastic and self.prior != "normal":
            raise ValueError(
                f"stochastic=True needs prior='normal', not {self.prior!r}: its codes are Gaussian"
            )
        if self.unary and not isinstance(self.discriminator.network, str):
            raise ValueError(
                "unary=True is for a discriminator that is given by name, not "
                f"{self.discriminator.network!r}: yours has its own columns"
            )

    def _networks(self) -> dict[str, nn.Module]:
        shape, latent_dim, D = self.input_shape_, self.latent_dim, self.discriminator.network
        features, width = nets.build_hidden(self.encoder, shape, self.width, name="encoder")
        networks = {
            "E": Encoder(
                features, width, latent_dim * (1 + self.stochastic), self.prior == "uniform"
            ),
            "G": nets.build_generator(self.generator, latent_dim, shape, self.width),
        }
        if isinstance(D, str):
            trunk, width = nets.build_body(D, shape, self.width, name="discriminator")
            networks["D"] = PairDiscriminator(trunk, width, latent_dim, self.width, self.unary)
        else:
            networks["D"] = nets.build(D, shape, latent_dim, name="discriminator")
            nets.width_out(networks["D"], shape, (latent_dim,), name="discriminator")
        for name, spec in (("G", self.generator), ("D", D), ("E", self.encoder)):
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
            objective=filled(Objective, vars(self)),
            prepare=prepare,
        )

    # ---------------------------------------------------------------- use

    def transform(self, X: Any) -> np.ndarray:
        """Encode samples.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.

        Returns
        -------
        ndarray of shape (n, latent_dim) or (n, width)
            Codes E(x) or, with ``output="hidden"``, the last hidden layer of E. float64 if X
            is, else float32.

        Raises
        ------
        ValueError
            If X is of another shape.
        """
        if self.output == "latent":
            return super().transform(X)
        X = self._check_X(X, reset=False)
        return self._like(self._map(X, self._hidden), X)

    def _hidden(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.networks_["E"].hidden(x)  # type: ignore[operator]
        return hidden

    def _functions(self) -> dict[str, tuple[str, Callable[[Tensor], Tensor]]]:
        return {"transform": ("E", self._codes if self.output == "latent" else self._hidden)}

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
            If Z has another number of columns, or with ``output="hidden"``: from the hidden
            layer there is no way back.
        """
        if self.output == "hidden":
            raise ValueError(
                "output='hidden' cannot be inverted; call set_params(output='latent') first"
            )
        return super().inverse_transform(Z)

    def _latents(self, n: int, rng: np.random.Generator) -> np.ndarray:
        if self._built.prior == "normal":
            return super()._latents(n, rng)
        return rng.uniform(-1, 1, (n, self._built.latent_dim)).astype(np.float32)

    @property
    def _n_features_out(self) -> int:
        check_is_fitted(self)
        if self.output == "latent":
            return self._built.latent_dim
        return self.networks_["E"].head.in_features  # type: ignore[union-attr, return-value]


def judge_link(history: pd.DataFrame, ratio: float, data_cycle: float) -> None:
    """Warn of an encoder that the generator does not know, or hardly."""
    if "failed_step" in history or ratio < FIRMLY:
        return
    loosely = ratio < LINKED  # NaN is no link at all
    remedies = ["train longer (max_epochs)"]
    if data_cycle < Objective.data_cycle:
        remedies.insert(0, f"set data_cycle={Objective.data_cycle:g} rather than {data_cycle:g}")
    if not loosely:
        remedies += [
            "add latent_cycle=1",
            "with a discriminator of your own, use batch norm where x and z meet",
        ]
    warnings.warn(
        f"the encoder is {'loosely' if loosely else 'not'} linked to the generator: the "
        f"reconstruction ratio is {ratio:.2f}, and 1 is what random codes give; "
        f"{', or '.join(remedies)}",
        ConvergenceWarning,
        stacklevel=6,
    )
