"""`TripleGAN`: a classifier from few labels, with a generator and a discriminator."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from repkit import nets
from repkit.base.generative import Generative, judge_discriminator
from repkit.base.labels import partial_labels
from repkit.base.parameters import check_choice, check_integer, check_number
from repkit.engine.training import Callback
from repkit.nets.trunks import Encoder, spectral_norms
from repkit.triplegan.algorithm import Objective, triplegan
from repkit.triplegan.networks import ProjectionDiscriminator


class TripleGAN(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, Generative):
    r"""Triple-GAN: semi-supervised classification, and generation by class.

    A classifier C labels samples, a generator G makes samples of labels, and a discriminator D
    tells their pairs of sample and label from true ones,

    .. math:: \min_{C, G} \max_D \; \mathbb{E}_p \log D(x, y)
              + \alpha \mathbb{E}_c \log(1 - D(x, y)) + (1 - \alpha) \mathbb{E}_g \log(1 - D(x, y))

    (Li et al. 2017, equation 2). C also has its labels, the entropy and balance terms of the
    authors' code, a consistency term and, once G makes what it is asked for, G's samples.

    Parameters
    ----------
    latent_dim : int, default=64
        Length of the generator's noise.
    classifier : {"auto", "mlp", "conv"}, nn.Module or callable, default="auto"
        The hidden part of C, from samples to feature rows, on which a linear layer to the classes
        is set. "auto" is "conv" for images of at least 12x12. A callable gets
        ``(shape_in, n_features)``.
    generator : {"auto", "mlp", "conv"}, nn.Module, callable or None, default="auto"
        G without its last sigmoid, from rows (z, one-hot class). A callable gets
        ``(latent_dim + n_classes, shape_out)``. None: C is trained alone, with every term that
        needs neither G nor D.
    discriminator : {"auto", "mlp", "conv"}, nn.Module or callable, default="auto"
        The body of D, from samples to feature rows, on which the projection on classes is set. A
        named one is spectrally normalized.
    n_features : int, default=256
        Width of the named networks.
    alpha : float, default=0.5
        :math:`\alpha`, between 0 and 1.
    adversarial : {"exact", "argmax"}, default="exact"
        The mean over C's labels: over all of them, or the likeliest alone as in the authors' code.
    entropy : float, default=0.3
        Weight of the entropy of C's predictions for unlabeled samples.
    balance : float, default=0.1
        Weight of the cross-entropy of C's mean prediction against equal shares of the classes.
    consistency : float, default=1.0
        Weight of the cross-entropy of C's prediction for a strongly augmented view against the
        label of the plain one (FixMatch, Sohn et al. 2020).
    threshold : float, default=0.95
        Probability from which on that label counts.
    pseudo : float, default=0.1
        Weight of C's cross-entropy on generated samples, the pseudo-discriminative loss.
    gate : float, default=0.9
        It counts in the steps in which C agrees with at least this share of G's labels.
    pretraining : float, default=0.3
        Share of the training before C heeds G and D.
    augment, view_augment : callable, optional
        Float batch to float batch: the plain views of all samples, and the strong ones of
        unlabeled samples; None of the second: the first. See `repkit.augment`.
    labeled_batch_size : int, default=32
        Labeled rows of a batch.
    ema : float, default=0.99
        Decay of the averaged weights, above 0: they predict, and label the unlabeled.
    learning_rate : float, default=2e-3
        Of Adam, for C.
    adversary_learning_rate : float, default=5e-4
        For G and D.
    beta1 : float, default=0.5
        Of Adam.
    learning_rate_schedule : {"constant", "half", "dann", "cosine"} or callable, default="cosine"
        Factor of the learning rates, a function of progress.
    weight_decay : float, default=0.0
        Decoupled from the gradient.
    data_range : (low, high), optional
        Range of X, mapped to [0, 1] for the networks. None: X as it is if it lies in [0, 1], uint8
        images by 255, other images by their least and greatest value, tables column by column.
    max_epochs : int, default=50
    steps_per_epoch : int, optional
        Default: as many as show every row once.
    batch_size : int, default=128
        Unlabeled rows of a batch.
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
    classes_ : ndarray
        Those that have a label. A class without any cannot be predicted.
    networks_ : dict
        ``C``, ``G`` and ``D``.
    history_ : DataFrame
        For each epoch: loss_C, loss_G, loss_D, the terms of C, d_real and d_fake (share of true and
        of generated pairs called true), generator_accuracy (share of generated samples with which C
        agrees), heed (whether C heeds G and D), seconds.
    n_iter_ : int
    input_shape_ : tuple of int
    device_ : torch.device

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from repkit import TripleGAN
    >>> X, y = load_digits(return_X_y=True)
    >>> few = np.where(np.arange(len(y)) < 100, y, -1)  # -1: no label
    >>> model = TripleGAN(n_features=64, max_epochs=2, random_state=0).fit(X / 16, few)
    >>> model.predict_proba(X / 16).shape, model.sample(2, y=[3, 8]).shape
    ((1797, 10), (2, 64))
    """

    _fitted: ClassVar = (*Generative._fitted, "classes_")
    _code: ClassVar = ("classifier", "generator", "discriminator")

    classes_: np.ndarray

    def __init__(
        self,
        latent_dim: int = 64,
        *,
        classifier: nets.Spec = "auto",
        generator: nets.Spec | None = "auto",
        discriminator: nets.Spec = "auto",
        n_features: int = 256,
        alpha: float = 0.5,
        adversarial: str = "exact",
        entropy: float = 0.3,
        balance: float = 0.1,
        consistency: float = 1.0,
        threshold: float = 0.95,
        pseudo: float = 0.1,
        gate: float = 0.9,
        pretraining: float = 0.3,
        augment: Callable[[Tensor], Tensor] | None = None,
        view_augment: Callable[[Tensor], Tensor] | None = None,
        labeled_batch_size: int = 32,
        ema: float = 0.99,
        learning_rate: float = 2e-3,
        adversary_learning_rate: float = 5e-4,
        beta1: float = 0.5,
        learning_rate_schedule: str | Callable[[float], float] = "cosine",
        weight_decay: float = 0.0,
        data_range: tuple[float, float] | None = None,
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
        self.classifier = classifier
        self.generator = generator
        self.discriminator = discriminator
        self.n_features = n_features
        self.alpha = alpha
        self.adversarial = adversarial
        self.entropy = entropy
        self.balance = balance
        self.consistency = consistency
        self.threshold = threshold
        self.pseudo = pseudo
        self.gate = gate
        self.pretraining = pretraining
        self.augment = augment
        self.view_augment = view_augment
        self.labeled_batch_size = labeled_batch_size
        self.ema = ema
        self.learning_rate = learning_rate
        self.adversary_learning_rate = adversary_learning_rate
        self.beta1 = beta1
        self.learning_rate_schedule = learning_rate_schedule
        self.weight_decay = weight_decay
        self.data_range = data_range
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

    def fit(self, X: Any, y: Any) -> Self:
        """Train classifier, generator and discriminator.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            Floats, or uint8 images. Arrays, memory maps, tensors, data frames.
        y : array-like of shape (n,)
            Labels of any kind; -1 (or "-1" among strings) where there is none. Labeled rows also
            serve as unlabeled ones, so that every row may be labeled. Where the values are -1 and
            1 and no others, both are classes: one labeled class would teach nothing.

        Raises
        ------
        ValueError
            Among others: no label at all, or labels of one class only; NaN in X, a parameter out of
            its range, a network that does not fit the data.

        Warns
        -----
        ConvergenceWarning
            If a loss is not finite, or the discriminator has won.
        """
        self._check_parameters()
        X = self._check_X(X, reset=True)
        self.classes_, place = partial_labels(self, X, y)
        self._learn_range(X)
        with self._training((X, place)) as (device, seed, checkpoints):
            networks = self._start(seed)
            labeled = np.flatnonzero(place >= 0)
            n_labeled = min(self.labeled_batch_size, len(labeled))
            system = triplegan(
                networks,
                n_labeled=n_labeled,
                n_classes=len(self.classes_),
                latent_dim=self.latent_dim,
                objective=self._objective(),
                prepare=self._scaler(device),
            )
            engine = self._engine(
                system,
                X,
                # Labeled rows are unlabeled ones too.
                [(labeled, n_labeled), (np.arange(len(X)), min(self.batch_size, len(X)))],
                device,
                seed,
                dict.fromkeys(set(system.groups) - {"C"}, self.adversary_learning_rate),
                y=torch.from_numpy(place),
            )
            self.device_ = device
            self._train(engine, checkpoints=checkpoints, evaluate=dict)
            self.use("last")
        if self.generator is not None:
            judge_discriminator(self.history_)
        return self

    def _objective(self) -> Objective:
        return Objective(
            alpha=self.alpha,
            adversarial=self.adversarial,
            entropy=self.entropy,
            balance=self.balance,
            consistency=self.consistency,
            threshold=self.threshold,
            pseudo=self.pseudo,
            gate=self.gate,
            augment=self.augment,
            view_augment=self.view_augment,
            pretraining=self.pretraining,
        )

    def _check_parameters(self) -> None:
        self._check_common()
        check_choice(self, adversarial=("exact", "argmax"))
        check_integer(self, latent_dim=1, labeled_batch_size=1)
        shares = ("alpha", "threshold", "gate", "pretraining")
        weights = ("entropy", "balance", "consistency", "pseudo", "adversary_learning_rate")
        check_number(self, **dict.fromkeys(shares, (0, 1)), **dict.fromkeys(weights, (0, np.inf)))
        if not 0 < self.ema < 1:
            raise ValueError(
                f"ema must be between 0 and 1, not {self.ema!r}: the averaged classifier labels "
                "the unlabeled rows"
            )

    def _networks(self) -> dict[str, nn.Module]:
        n_classes = len(self.classes_)
        features, width = nets.build_features(
            self.classifier, self.input_shape_, self.n_features, name="classifier"
        )
        networks: dict[str, nn.Module] = {"C": Encoder(features, width, n_classes, bounded=False)}
        if self.generator is not None:
            networks["G"] = nets.build_generator(
                self.generator, self.latent_dim + n_classes, self.input_shape_, self.n_features
            )
            body, width = nets.build_hidden(
                self.discriminator,
                self.input_shape_,
                self.n_features,
                name="discriminator",
                norm=False,
            )
            D = ProjectionDiscriminator(body, width, n_classes)
            named = isinstance(self.discriminator, str)
            networks["D"] = spectral_norms(D) if named else D
        return networks

    def _probe(self, X: np.ndarray) -> None:
        self.predict_proba(X)
        if self.generator is not None:
            self.sample(1, y=self.classes_[:1])

    # ---------------------------------------------------------------- use

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of ``classes_``, ``(n, classes)``."""
        X = self._check_X(X, reset=False)
        C = self.networks_["C"]
        return self._like(self._map(X, lambda x: C(x).float().softmax(1)), X)

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each row."""
        likeliest = self.predict_proba(X).argmax(1)
        return self.classes_[likeliest]

    def transform(self, X: Any) -> np.ndarray:
        """C's last hidden layer, ``(n, width)``."""
        X = self._check_X(X, reset=False)
        return self._like(self._map(X, self.networks_["C"].hidden), X)  # type: ignore[arg-type]

    def sample(self, n: int | None = None, y: Any = None, random_state: Any = None) -> np.ndarray:
        """Generated samples, in the shape, range and type of the data.

        Parameters
        ----------
        n : int, optional
            How many; default: as many as y has labels, or 1.
        y : label or array-like of shape (n,), optional
            The class of all of them, or of each. None: drawn evenly from ``classes_``.
        random_state : int, RandomState or None
        """
        check_is_fitted(self)
        if self.generator is None:
            raise ValueError("generator=None: this classifier was trained without a generator")
        labels = None if y is None else np.atleast_1d(y)
        if n is None:
            n = 1 if labels is None else len(labels)
        latents = self._draw(n, random_state)
        if labels is not None:
            unknown = [label for label in np.unique(labels) if label not in self.classes_]
            if unknown or labels.shape not in ((1,), (n,)):
                raise ValueError(
                    f"y must be a class or n={n} classes of {self.classes_.tolist()}, not {y!r}"
                )
            place = np.searchsorted(self.classes_, np.broadcast_to(labels, n))
            latents[:, self.latent_dim :] = np.eye(len(self.classes_), dtype=np.float32)[place]
        return self._generate(latents)

    def _latents(self, n: int, rng: np.random.Generator) -> np.ndarray:
        n_classes = len(self.classes_)
        z = rng.normal(size=(n, self.latent_dim))
        codes = np.eye(n_classes)[rng.integers(n_classes, size=n)]
        return np.concatenate([z, codes], 1).astype(np.float32)

    @property
    def _n_features_out(self) -> int:
        return self.networks_["C"].head.in_features  # type: ignore[union-attr, return-value]
