"""Internal. `TripleGAN`: a classifier from few labels, with a generator and a discriminator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from repkit import nets
from repkit._arguments import named
from repkit.base.estimator import Problem, as_shares
from repkit.base.generative import Generative, judge_discriminator
from repkit.base.labels import accuracy, read_labels
from repkit.base.parameters import (
    MOST_ROWS,
    MOST_UNITS,
    anything,
    filled,
    fitted,
    integer,
    network,
    number,
    parameters,
    part,
    per_group,
    schedule,
    sizes,
)
from repkit.base.parts import Optimizer
from repkit.base.plain_images import tell_of_plain_images
from repkit.base.weighting import class_weight_rule, row_weights
from repkit.engine.ranks import here
from repkit.nets.trunks import Encoder, spectral_norms
from repkit.schedules import RATES
from repkit.triplegan.algorithm import Objective, triplegan
from repkit.triplegan.networks import ProjectionDiscriminator

__all__ = ["TripleGAN"]


@parameters
class TripleGAN(
    Objective, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, Generative
):
    r"""Triple-GAN: semi-supervised classification, and generation by class.

    A classifier C labels samples, a generator G makes samples of labels, and a discriminator D
    tells their pairs of sample and label from true ones,

    .. math:: \min_{C, G} \max_D \; \mathbb{E}_p \log D(x, y)
              + \alpha \mathbb{E}_c \log(1 - D(x, y)) + (1 - \alpha) \mathbb{E}_g \log(1 - D(x, y))

    (Li et al. 2017, equation 2). C also learns from the labels, from the entropy and balance terms
    of the authors' code, from a consistency term and, once G makes what it is asked for, from G's
    samples. The averaged classifier predicts, and labels the unlabeled samples for D and for C.

    Parameters
    ----------
    latent_dim : int, default=64
        Length of the generator's noise.
    classifier : {"auto", "mlp", "conv", "dcgan"}, nn.Module or callable, default="auto"
        Hidden part of C, from samples to feature rows; a linear layer to the classes follows.
        "auto" is "conv" for images of at least 12x12, else "mlp". A callable gets
        ``(shape_in, width)``.
    generator : {"auto", "mlp", "dcgan"}, nn.Module, callable or None, default="auto"
        G without its last sigmoid, from rows of noise and one-hot class. "auto" is "dcgan" for
        images of at least 12x12, else "mlp". A callable gets
        ``(latent_dim + n_classes, shape_out)``. With None, C is trained alone, with every term that
        needs neither G nor D.
    discriminator : {"auto", "mlp", "conv", "dcgan"}, nn.Module or callable, default="auto"
        Hidden part of D, from samples to feature rows, without batch norm; the projection on the
        classes (Miyato and Koyama 2018) follows. "auto" is "dcgan" for images of at least 12x12,
        else "mlp". A network that is given by name is spectrally normalized. A callable gets
        ``(shape_in, width)``.
    class_weight : {"balanced", None} or dict, default=None
        Weights of the classes in the label loss, by label. "balanced" lets the rows of every class
        weigh the same in sum.
    alpha : float or AdversarialTerm, default=0.5
        :math:`\alpha`, from 0 to 1: share of the classifier's pairs among D's fakes. See
        `repkit.triplegan.AdversarialTerm`.
    entropy : float, default=0.3
        Weight of the entropy of C's predictions for unlabeled samples.
    balance : float, default=0.1
        Weight of the cross-entropy of C's mean prediction against equal shares of the classes.
    consistency : float or Consistency, default=1.0
        Weight of the cross-entropy of C's predictions for strongly augmented samples against the
        labels that the averaged classifier gives the plain ones (FixMatch, Sohn et al. 2020). See
        `repkit.Consistency`: only labels with a probability of at least 0.95 count by default.
    pseudo_discriminative : float or PseudoDiscriminative, default=0.1
        Weight of C's cross-entropy on generated samples, the pseudo-discriminative loss. See
        `repkit.triplegan.PseudoDiscriminative`: by default it counts in the steps in which the
        averaged classifier agrees with at least 0.9 of G's labels.
    adversary_start : float, default=0.3
        Progress, from 0 to 1, before which C heeds neither G nor D.
    augment : callable, optional
        Maps a float batch to one of the same shape; applied to X while training. See
        `repkit.augment`.
    strong_augment : callable, optional
        Maps a float batch to one of the same shape; applied to the unlabeled samples that C learns
        from. By default they are augmented as the others.
    width : int, default=256
        Width of the fully connected layers of networks that are given by name.
    ema : float, default=0.99
        Decay of the averaged weights, from 0 to below 1. Above 0, the averaged weights are the
        ones that are used. It must be above 0 here: the averaged classifier labels the unlabeled
        samples.
    data_range : (low, high), optional
        Range of X, which is mapped to [0, 1] for the networks. By default X is taken as it is if it
        lies in [0, 1], uint8 images are divided by 255, other images are mapped by their least and
        greatest value, and tables column by column.
    max_epochs : int, default=50
        Length of the training.
    steps_per_epoch : int, optional
        Steps in an epoch. By default, as many as show every row once.
    batch_size : (int, int), default=(32, 128)
        Labeled and unlabeled rows in a step, at most as many as X has. Labeled rows are among the
        unlabeled ones too.
    learning_rate : float or dict, optional
        Learning rate. A dict gives rates by the name of a network, or of a module inside one:
        ``{"C": 1e-4, "C.features": 1e-5}``. The longest name that matches wins, and modules
        without one keep the default. By default 2e-3 for C, and 5e-4 for G and D.
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
    classes_ : ndarray
        The classes that have a label, sorted. A class without any cannot be predicted.
    networks_ : dict of str to nn.Module
        The trained networks, in evaluation mode: ``C`` and, unless ``generator`` is None, ``G`` and
        ``D``.
    weights_ : dict
        The weights of the "last" epoch, by network.
    history_ : DataFrame
        One row an epoch: loss_C, loss_G, loss_D, the terms of C, certain (share of unlabeled
        samples whose label counts), d_real and d_fake (share of true and of generated pairs called
        true), generator_accuracy (share of generated samples with which the averaged classifier
        agrees), consistency_weight (a factor of the weight of consistency), heed (whether C heeds G
        and D), seconds.
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
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from repkit import TripleGAN
    >>> X, y = load_digits(return_X_y=True)
    >>> few = np.where(np.arange(len(y)) < 100, y, -1)  # -1: no label
    >>> model = TripleGAN(width=64, max_epochs=2, random_state=0).fit(X / 16, few)
    >>> model.predict_proba(X / 16).shape, model.sample(2, y=[3, 8]).shape
    ((1797, 10), (2, 64))
    """

    classifier: nets.Spec = network(default="auto")
    generator: nets.Spec | None = network(default="auto", optional=True)
    discriminator: nets.Spec = network(default="auto")
    class_weight: str | Mapping[Any, float] | None = anything(class_weight_rule, default=None)
    latent_dim: int = integer(1, MOST_UNITS, default=64, kw_only=False)
    width: int = integer(1, MOST_UNITS, default=256)
    ema: float = number(0.0, 0.999999, above=True, default=0.99)
    batch_size: Any = sizes(1, MOST_ROWS, length=2, default=(32, 128))
    learning_rate: float | Mapping[str, float] | None = per_group(default=None)
    learning_rate_schedule: str | Callable[[float], float] = schedule(RATES, default="cosine")
    optimizer: Any = part(Optimizer, default=Optimizer("adam", momentum=0.5))

    _fitted: ClassVar = (*Generative._fitted, "classes_")
    _rates: ClassVar = {"C": 2e-3, "": 5e-4}

    classes_: np.ndarray = fitted()

    # ---------------------------------------------------------------- fit

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train classifier, generator and discriminator.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            Floats, or uint8 images. Arrays, memory maps, tensors, data frames.
        y : array-like of shape (n,)
            Labels of any kind; -1 (or "-1" among strings) where there is none. Labeled rows also
            serve as unlabeled ones, so that every row may be labeled. Where the values are -1 and
            1 and no others, both are classes: one labeled class would teach nothing.
        sample_weight : array-like of shape (n,), optional
            Weights of the labeled rows in the label loss, at least 0. Their scale does not matter.

        Returns
        -------
        TripleGAN
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, a network does not fit the data, X has NaN or fewer
            than two rows, y has no label at all, or unlabeled rows beside labels of one class.

        Warns
        -----
        ConvergenceWarning
            If a loss is not finite, or the discriminator has won.
        PlainImagesWarning
            If consistency is asked of unlabeled images that nothing changes.
        """
        return self._fit(X, y, sample_weight)

    def _judge(self) -> None:
        if self.generator is not None:
            judge_discriminator(self.history_)

    def _read(
        self, X: Any, y: Any, sample_weight: Any
    ) -> tuple[Any, np.ndarray, np.ndarray | None]:
        X = self._check_X(X, reset=True)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: give "
                "labels, and -1 where there is none"
            )
        labels = read_labels(y, X.shape[0])
        self.classes_, place = labels.classes, labels.codes
        if not len(self.classes_):
            raise ValueError("y has no label at all: every value is -1, None or NaN")
        if len(self.classes_) == 1 and not labels.known.all():
            raise ValueError(
                f"y has labels of one class only, {self.classes_.tolist()[0]!r}: unlabeled rows "
                "can only be told apart with labels of at least two classes"
            )
        self._learn_range(X)
        if self.consistency.weight and not labels.known.all():
            tell_of_plain_images(
                self,
                "consistency adds next to nothing on images; if changed images keep their classes, "
                "repkit.recipes.triplegan has changes, and networks, for them (small digits from "
                "50 labels: .98, and .89 with nothing set); else consistency=0 saves its time",
            )
        weights = row_weights(sample_weight, self.class_weight, self.classes_, place)
        return X, place, weights

    def _networks(self) -> dict[str, nn.Module]:
        shape, n_classes = self.input_shape_, len(self.classes_)
        features, width = nets.build_features(self.classifier, shape, self.width, name="classifier")
        networks: dict[str, nn.Module] = {"C": Encoder(features, width, n_classes, bounded=False)}
        if self.generator is None:
            return networks
        networks["G"] = nets.build_generator(
            self.generator, self.latent_dim + n_classes, shape, self.width
        )
        body, width = nets.build_hidden(
            self.discriminator, shape, self.width, name="discriminator", norm=False
        )
        D = ProjectionDiscriminator(body, width, n_classes)
        networks["D"] = spectral_norms(D) if isinstance(self.discriminator, str) else D
        return networks

    def _problem(
        self,
        data: tuple[Any, np.ndarray, np.ndarray | None],
        networks: dict[str, nn.Module],
        device: torch.device,
        seed: int,
    ) -> Problem:
        X, place, weights = data
        labeled, rows = np.flatnonzero(place >= 0), np.arange(X.shape[0])
        n_labeled, n_unlabeled = (
            min(n, len(of)) for n, of in zip(self.batch_size, (labeled, rows), strict=True)
        )
        system = triplegan(
            networks,
            n_labeled=here().share(n_labeled),
            n_classes=len(self.classes_),
            latent_dim=self.latent_dim,
            objective=filled(Objective, vars(self)),
            prepare=self._scaler(device),
        )
        streams = [(labeled, n_labeled), (rows, n_unlabeled)]
        stores = {"y": torch.from_numpy(place)}
        if weights is not None:
            stores["weight"] = torch.from_numpy(weights)
        return Problem(system, self._batches(X, streams, device, seed, **stores))

    def _probe(self, X: np.ndarray) -> None:
        self.predict_proba(X)
        if self.generator is not None:
            self.sample(1, y=self.classes_[:1])

    # ---------------------------------------------------------------- use

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that was fitted.

        Returns
        -------
        ndarray of shape (n, n_classes)
            A column for each of ``classes_``.
        """
        X = self._check_X(X, reset=False)
        return as_shares(self._like(self._map(X, self._probabilities), X))

    def _probabilities(self, x: Tensor) -> Tensor:
        return self.networks_["C"](x).float().softmax(1)

    def _features(self, x: Tensor) -> Tensor:
        features: Tensor = self.networks_["C"].hidden(x)  # type: ignore[operator]
        return features

    def _functions(self) -> dict[str, tuple[str, Callable[[Tensor], Tensor]]]:
        return {"predict_proba": ("C", self._probabilities), "transform": ("C", self._features)}

    def predict(self, X: Any) -> np.ndarray:
        """Predict the likeliest class of each sample.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that was fitted.

        Returns
        -------
        ndarray of shape (n,)
            Values of ``classes_``.
        """
        likeliest = self.predict_proba(X).argmax(1)
        return self.classes_[likeliest]

    def transform(self, X: Any) -> np.ndarray:
        """Give C's last hidden layer.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that was fitted.

        Returns
        -------
        ndarray of shape (n, features)
            As many features as ``width`` for a classifier that is given by name.
        """
        X = self._check_X(X, reset=False)
        return self._like(self._map(X, self._features), X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of `predict`.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        y : array-like of shape (n,)
            True labels. Rows without one (None, NaN or -1) are left out.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.

        Returns
        -------
        float
            From 0 to 1.

        Raises
        ------
        ValueError
            If no row has a label.
        """
        return accuracy(y, self.predict(X), sample_weight, self.classes_)

    def sample(self, n: int | None = None, y: Any = None, random_state: Any = None) -> np.ndarray:
        """Generate samples.

        Parameters
        ----------
        n : int, optional
            Number of samples; by default, as many as y has labels, or 1.
        y : label or array-like of shape (n,), optional
            The class of all samples, or of each. By default, classes are drawn evenly from
            ``classes_``.
        random_state : int, RandomState, Generator or None, default=None
            Seed of the noise, and of the classes if they are drawn.

        Returns
        -------
        ndarray of shape (n, ...)
            Samples in the shape, range and type of the data.

        Raises
        ------
        ValueError
            If y has other values than ``classes_`` or another length than n, or the classifier was
            trained without a generator.
        """
        check_is_fitted(self)
        if self._built.generator is None:
            raise ValueError("generator=None: this classifier was trained without a generator")
        with named("y", f"a class, or classes, of {self.classes_.tolist()}"):
            labels = None if y is None else np.atleast_1d(y)
        if n is None:
            n = 1 if labels is None else len(labels)
        latents = self._draw(n, random_state)
        if labels is not None:
            unknown = [label for label in labels.ravel() if label not in self.classes_]
            if unknown or labels.shape not in ((1,), (n,)):
                raise ValueError(
                    f"y must be a class or n={n} classes of {self.classes_.tolist()}, not {y!r}"
                )
            place = np.searchsorted(self.classes_, np.broadcast_to(labels, n))
            latents[:, self._built.latent_dim :] = np.eye(len(self.classes_), dtype=np.float32)[
                place
            ]
        return self._generate(latents)

    def _latents(self, n: int, rng: np.random.Generator) -> np.ndarray:
        n_classes = len(self.classes_)
        z = rng.normal(size=(n, self._built.latent_dim))
        codes = np.eye(n_classes)[rng.integers(n_classes, size=n)]
        return np.concatenate([z, codes], 1).astype(np.float32)

    @property
    def _n_features_out(self) -> int:
        return self.networks_["C"].head.in_features  # type: ignore[union-attr, return-value]
