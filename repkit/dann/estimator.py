"""Internal. `DANN`: domain-adversarial training as a scikit-learn classifier and transformer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from repkit import nets
from repkit.base.estimator import Estimator, Problem, as_shares
from repkit.base.labels import accuracy
from repkit.base.parameters import (
    MOST_ROWS,
    MOST_UNITS,
    anything,
    choice,
    filled,
    fitted,
    flag,
    integer,
    network,
    number,
    parameters,
    part,
)
from repkit.base.weighting import class_weight_rule, row_weights
from repkit.dann.algorithm import Objective, dann
from repkit.dann.monitor import SCORES, Monitor, judge_adversary, scored
from repkit.dann.networks import build_networks
from repkit.dann.parts import Heads
from repkit.dann.rows import (
    Domains,
    as_domain_ids,
    batch_parts,
    check_domains,
    check_labels,
    hold_back,
    signed_ids,
)
from repkit.engine.batches import Batches, to_device
from repkit.losses import multilinear

__all__ = ["DANN", "NoTargetWarning"]


class NoTargetWarning(UserWarning):
    """A domain-adaptation fit was given no target rows."""


@dataclass
class Rows:
    """Validated input: samples, class places (-1 where none may be read), domains."""

    X: Any  # array, memory map or sparse table
    codes: np.ndarray
    domains: Domains
    weights: np.ndarray | None


def _select(name: str, value: Any) -> Any:
    if value is None or callable(value) or (isinstance(value, str) and value in SCORES):
        return value
    raise ValueError(f"{name} must be None, a scorer or one of {list(SCORES)}, not {value!r}")


@parameters
class DANN(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, Objective, Estimator
):
    r"""Domain-adversarial neural network.

    Learns a classifier from labeled source rows so that it works on unlabeled target rows: the
    features :math:`f = F(x)` serve the label predictor C and are kept from the domain classifier D,

    .. math:: \min_{F, C} \max_D \; L_y(C(f), y) - \lambda L_d(D(f), d)

    (Ganin et al. 2016, equation 9), by gradient reversal or in alternation. With ``conditional``
    it is CDAN (Long et al. 2018).

    Parameters
    ----------
    backbone : {"auto", "mlp", "conv", "dcgan"}, nn.Module or callable, default="auto"
        F. "auto" is "conv" for images of at least 12x12, else "mlp". A callable gets
        ``(shape_in, width)``. A module is copied in `fit` and may have any number of outputs, which
        are flattened to a row each. Networks given by name end in a ReLU.
    heads : Heads, nn.Module or callable, optional
        C and D, from feature rows to logits; a module or a callable alone is C. See
        `repkit.dann.Heads`.
    domain_norm : {"shared", "separate"}, default="shared"
        Whether batch norm in the backbone has one set of statistics, or one for each domain.
    target_labels : bool, default=False
        Whether to use the labels of target rows that have one (-1, None and NaN are none). By
        default no target label is ever read.
    select : {None, "entropy", "infomax", "snd"} or callable, default=None
        Keep the epoch with the greatest label-free score. A callable is a scorer
        ``(estimator, X, y, sample_domain) -> float`` as in `repkit.metrics`; it is given held-back
        source rows, and target rows with masked labels. Its ``sample_domain`` is at least 0 for a
        source and below 0 for a target: the ids of `fit` where these are so, else numbers that
        stand for them, which the methods take, too. Without target rows it does nothing.
    validation_fraction : float, default=0.1
        Share of the source rows that is held back from training when ``select`` is a callable.
    class_weight : {"balanced", None} or dict, default=None
        Weights of the classes in the label loss, by label. "balanced" lets the rows of every class
        weigh the same in sum.
    width : int, default=128
        Outputs of a backbone that is given by name or made by a callable: the number of features.
    ema : float, default=0.0
        Decay of the averaged weights, from 0 to below 1. Above 0, the averaged weights are the
        ones that are used.
    updates : {"joint", "alternating"} or Updates, default="joint"
        One step of all networks through the gradient reversal; or in every step D, then C, then F.
        See `repkit.dann.Updates`.
    conditional : {False, True, "entropy"}, default=False
        Whether D reads the multilinear map of features and predicted probabilities (CDAN);
        "entropy" also weights its rows by ``1 + exp(-H)``.
    lam : "ramp", float or callable, default="ramp"
        :math:`\lambda`: ``2 / (1 + exp(-10 p)) - 1`` of the progress p from 0 to 1, or a constant,
        or a function of p.
    entropy : float or Entropy, default=0.0
        Weight of certain and balanced predictions on target rows. See `repkit.dann.Entropy`.
    consistency : float or Consistency, default=0.0
        Weight of the pseudo-labels that the averaged network gives to target rows; it needs
        ``ema``. See `repkit.Consistency`.
    augment : callable, optional
        Maps a float batch to one of the same shape, labels kept. Source and target rows go through
        it while training, and the target rows of which pseudo-labels are made. See
        `repkit.augment`.
    strong_augment : callable, optional
        Takes the place of ``augment`` for all rows but those of which pseudo-labels are made.
    max_epochs : int, default=50
        Length of the training.
    steps_per_epoch : int, optional
        Steps in an epoch. By default, as many as show every row once.
    batch_size : int, default=64
        Rows in a step.
    learning_rate : float or dict, default=1e-3
        Learning rate. A dict gives rates by the name of a network, or of a module inside one:
        ``{"F": 1e-4, "F.0": 1e-5}``. The longest name that fits counts, and what has none
        keeps the default.
    learning_rate_schedule : {"constant", "half", "dann", "cosine"} or callable, default="constant"
        Factor of the learning rate, as a function of the progress p from 0 to 1. "half" is 1, and
        from p = 1/2 on an exponential fall to 0.01; "dann" is ``(1 + 10 p) ** -0.75``; "cosine" is
        a rise over the first twentieth, then a half cosine down to 0.
    optimizer : {"adam", "sgd"}, callable or Optimizer, default="adam"
        How gradients become steps; see `repkit.Optimizer`.
    device : str or torch.device, default="auto"
        Where to train. "auto" is CUDA if there is one, else MPS, else the CPU.
    precision : {"auto", "fp32", "bf16"}, default="auto"
        Precision of the training. "auto" takes bf16 for convolutions where the hardware multiplies
        it.
    compile : bool, default=False
        Whether to compile the networks with ``torch.compile``.
    checkpoint : path, optional
        A folder. A checkpoint is written there after every epoch, and a later fit of the same data
        and parameters goes on from it. A fit with a larger ``max_epochs`` goes on from the longest
        that was shorter, and warns if something depends on the progress of training: such a
        schedule continues at the progress of the new length.
    warm_start : bool, default=False
        Whether to start from the networks of the fit before.
    callbacks : callable or iterable of callable, optional
        Called after every epoch with its row of ``history_`` as a dict. A true answer stops the
        training.
    verbose : int, default=0
        Above 0, a line an epoch goes to the logger "repkit".
    random_state : int, RandomState, Generator or None, default=None
        Seed of everything random. With an int, every fit gives the same model.

    Attributes
    ----------
    classes_ : ndarray of shape (classes,)
        The labels.
    domains_ : ndarray of shape (domains,)
        The domains, sources first.
    n_source_domains_ : int
        How many of them are sources.
    networks_ : dict of str to nn.Module
        The trained networks, in evaluation mode: ``F``, ``C`` and, if there was a target, ``D``.
    weights_ : dict
        The weights of the "last" epoch and, with ``select``, of the "selected" one; see `use`.
    history_ : DataFrame
        One row an epoch: label_loss, domain_loss, domain_accuracy and domain_chance, lam, the
        scores entropy, infomax and snd on target rows (greater is better), seconds.
    selected_epoch_ : int
        The epoch that ``select`` chose.
    n_iter_ : int
        Epochs trained.
    input_shape_ : tuple of int
        Shape of one sample.
    device_ : torch.device
        Where it was trained; after unpickling or loading, the CPU.

    See Also
    --------
    repkit.metrics : Scorers and scores that need no target labels.

    Notes
    -----
    How to read ``history_``: domain_accuracy near domain_chance with a domain_loss that moves is
    an adversary in balance. At 1 it has won: raise ``lam``, or give D less. A domain_loss that
    never moves is a dead one. None of the losses says which epoch is best; the scores do better,
    and can still be wrong (see each scorer).

    Examples
    --------
    >>> from repkit import DANN
    >>> from repkit.datasets import make_domains
    >>> data = make_domains(random_state=0)
    >>> model = DANN(random_state=0).fit(data.X, data.y, sample_domain=data.sample_domain)
    >>> model.predict(data.X[data.sample_domain < 0]).shape
    (300,)
    """

    # Metadata routing, as skada does: the domain travels to each method that can use it.
    __metadata_request__fit: ClassVar = {"sample_domain": True, "source": True}
    __metadata_request__predict: ClassVar = {"sample_domain": True}
    __metadata_request__predict_proba: ClassVar = {"sample_domain": True}
    __metadata_request__score: ClassVar = {"sample_domain": True}
    __metadata_request__transform: ClassVar = {"sample_domain": True}

    backbone: nets.Spec = network(default="auto", kw_only=False)
    heads: Any = part(Heads, default=None)
    domain_norm: str = choice("shared", "separate", default="shared")
    target_labels: bool = flag(default=False)
    select: str | Callable[..., float] | None = anything(_select, default=None)
    validation_fraction: float = number(0.0, 0.9, default=0.1)
    class_weight: str | Mapping[Any, float] | None = anything(class_weight_rule, default=None)
    width: int = integer(1, MOST_UNITS, default=128)
    ema: float = number(0.0, 0.999999, default=0.0)
    batch_size: int = integer(1, MOST_ROWS, default=64)

    _fitted: ClassVar = (*Estimator._fitted, "classes_", "domains_", "n_source_domains_")

    classes_: np.ndarray = fitted()
    domains_: np.ndarray = fitted()
    n_source_domains_: int = fitted()

    # ---------------------------------------------------------------- fit

    def fit(
        self,
        X: Any,
        y: Any,
        sample_domain: Any = None,
        source: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Train on labeled source rows and unlabeled target rows.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            Floats, or uint8 images, which are scaled to [0, 1]. Arrays, memory maps, tensors, data
            frames.
        y : array-like of shape (n,)
            Labels of the source rows. What stands at target rows is never read, unless
            ``target_labels``.
        sample_domain : array-like of shape (n,), optional
            The domain of each row: an integer, at least 0 for a source and below 0 for a target, as
            in skada; 1 and -1 are two domains. Names are taken too, together with ``source``. By
            default all rows are one source, and training is plainly supervised.
        source : scalar or list, optional
            The domains that are sources, all others being targets: ``source="north"``.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows in the label loss, at least 0. Their scale does not matter.

        Returns
        -------
        DANN
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, a network does not fit the data, X has NaN, there is
            no source row, a single class, or fewer than two rows of a domain.

        Warns
        -----
        NoTargetWarning
            If there is no target row.
        ConvergenceWarning
            If a loss is not finite, or the domain classifier is dead or has won.
        """
        return self._fit(X, y, sample_domain, source, sample_weight)

    def fit_transform(
        self,
        X: Any,
        y: Any = None,
        sample_domain: Any = None,
        source: Any = None,
        sample_weight: Any = None,
    ) -> np.ndarray:
        """Fit, then give the adapted features of the same rows.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            Source and target rows.
        y : array-like of shape (n,)
            Labels of the source rows.
        sample_domain : array-like of shape (n,), optional
            The domain of each row: at least 0 for a source, below 0 for a target, or a name.
        source : scalar or list, optional
            The domains that are sources, all others being targets.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows in the label loss, at least 0.

        Returns
        -------
        ndarray of shape (n, features)
            Outputs of the backbone, float64 if X is, else float32.
        """
        fit = self.fit(
            X, y, sample_domain=sample_domain, source=source, sample_weight=sample_weight
        )
        return fit.transform(X, sample_domain)

    def _check_together(self) -> None:
        if self.consistency.weight and not self.ema:
            raise ValueError(
                "consistency > 0 needs ema > 0 (0.99, say): the averaged network gives the labels"
            )

    def _read(self, X: Any, y: Any, sample_domain: Any, source: Any, sample_weight: Any) -> Rows:
        X = self._check_X(X, reset=True)
        domains = check_domains(sample_domain, X.shape[0], source)
        self.classes_, codes = check_labels(
            y, domains, target_labels=self.target_labels, name=type(self).__name__
        )
        self.domains_, self.n_source_domains_ = domains.ids, domains.n_source
        if not self._is_adapting():
            warnings.warn(
                "no target rows (sample_domain < 0): training on the source rows only",
                NoTargetWarning,
                stacklevel=5,
            )
        weights = row_weights(sample_weight, self.class_weight, self.classes_, codes)
        return Rows(X, codes, domains, weights)

    def _is_adapting(self) -> bool:
        return len(self.domains_) > self.n_source_domains_

    def _networks(self) -> dict[str, nn.Module]:
        return build_networks(
            self.backbone,
            self.heads.label,
            self.heads.domain,
            shape=self.input_shape_,
            width=self.width,
            n_classes=len(self.classes_),
            n_domains=len(self.domains_),
            conditional=bool(self.conditional),
            separate=self.domain_norm == "separate",
            adapting=self._is_adapting(),
        )

    def _problem(
        self, data: Rows, networks: dict[str, nn.Module], device: torch.device, seed: int
    ) -> Problem:
        X, codes, domains = data.X, data.codes, data.domains
        adapting, scorer = self._is_adapting(), callable(self.select)
        held_back = np.empty(0, dtype=np.int64)
        if scorer and adapting:
            held_back = hold_back(codes, domains, self.validation_fraction, seed)
        train_codes = codes.copy()
        train_codes[held_back] = -1
        streams, layout, labeled = batch_parts(train_codes, domains, self.batch_size)
        if self.domain_norm == "separate" and min(count for count, _ in layout) < 2:
            raise ValueError(
                f"batch_size={self.batch_size} leaves 1 row of a domain in a step, of which "
                "domain_norm='separate' can take no statistics; give batch_size of at least "
                f"{2 * max(domains.n_source, len(domains.ids) - domains.n_source)}"
            )
        stores = {"x": self._stored(X, device), "y": to_device(train_codes, device)}
        if data.weights is not None:
            stores["weight"] = to_device(data.weights, device)
        batches = Batches(
            stores,
            streams,
            seed=seed,
            device=device,
            steps_per_epoch=self.steps_per_epoch,
            constants={"domain": torch.tensor([k for n, k in layout for _ in range(n)])},
        )
        system = dann(
            networks,
            layout=layout if self.domain_norm == "separate" else None,
            labeled=labeled,
            objective=filled(Objective, vars(self)),
        )
        if not adapting:
            # Without a target there is nothing to score, and the last epoch is the one.
            return Problem(system, batches)
        monitor = Monitor(
            self._look,
            lambda rows: self._scaler(device)(to_device(self._converted(X[rows]), device)),
            domains,
            device=device,
            seed=seed,
            score=self._scored_on(data, held_back) if scorer else None,
        )
        column: Any = "score" if scorer else self.select
        return Problem(system, batches, evaluate=monitor, select=column)

    def _scored_on(self, data: Rows, held_back: np.ndarray) -> Callable[[], float]:
        """What the scorer ``select`` says of the model as it is."""
        domains = data.domains
        rows = np.concatenate([held_back if len(held_back) else domains.source, domains.target])
        # A target row carries the first class, whatever its label: scorers do not read it.
        labels = self.classes_[np.maximum(data.codes[rows], 0)]
        labels[np.isin(rows, domains.target)] = self.classes_[0]
        X, sample_domain = data.X[rows], domains.signed[rows]
        select: Any = self.select
        return partial(scored, select, self, X, labels, sample_domain)

    def _judge(self) -> None:
        if self._is_adapting():
            judge_adversary(self.history_)

    def _probe(self, X: np.ndarray) -> None:
        self.predict(X, np.repeat(self.domains_[-1:], len(X)))

    # ---------------------------------------------------------------- use

    def _look(self, x: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Features, class logits and domain logits of float samples."""
        features = self._features(x, rows)
        logits = self.networks_["C"](features).float()
        return features, logits, self._domain_logits(features, logits)

    def _features(self, x: Tensor, rows: np.ndarray) -> Tensor:
        """F in evaluation mode; ``rows`` is each row's place in ``domains_``."""
        network = self.networks_["F"]
        if self._built.domain_norm == "shared":
            return network(x)
        out: Tensor | None = None
        for domain in np.unique(rows):
            chosen = torch.as_tensor(np.flatnonzero(rows == domain), device=x.device)
            nets.set_rows(network, [(len(chosen), int(domain))])
            part = network(x[chosen])
            if out is None:
                out = part.new_empty(len(x), part.shape[1])
            out[chosen] = part
        assert out is not None
        return out

    def _domain_logits(self, features: Tensor, logits: Tensor) -> Tensor:
        D = self.networks_["D"]
        if self._built.conditional:
            features = multilinear(features.float(), torch.softmax(logits, 1))
        return D(features).float()

    def _run(self, X: Any, sample_domain: Any, head: Callable[[Tensor], Tensor]) -> np.ndarray:
        X = self._check_X(X, reset=False)
        rows = self._places(sample_domain, X.shape[0])
        with torch.no_grad():
            return self._like(self._apply(lambda x, r: head(self._features(x, r)), X, rows), X)

    def _places(self, sample_domain: Any, n: int) -> np.ndarray:
        """Each row's place in ``domains_``; without ``sample_domain``, the first target's."""
        n_targets = len(self.domains_) - self.n_source_domains_
        default = self.n_source_domains_ if n_targets else 0
        if sample_domain is not None:
            ids = as_domain_ids(sample_domain, n, names=self.domains_.dtype.kind == "U")
        if sample_domain is None or self._built.domain_norm == "shared":
            if self._built.domain_norm == "separate" and n_targets > 1:
                raise ValueError(
                    "domain_norm='separate' with several targets: give sample_domain, so that each "
                    "row is normalized by its own domain's statistics"
                )
            return np.full(n, default)
        known = self.domains_
        stand_ins = signed_ids(known, self.n_source_domains_)
        if ids.dtype.kind == "i" and np.isin(ids, stand_ins).all():
            known = stand_ins  # what a scorer is given
        unknown = sorted(set(ids.tolist()) - set(known.tolist()))
        if unknown:
            raise ValueError(
                f"sample_domain has {unknown}, not seen in fit; known are {self.domains_.tolist()}"
            )
        return np.argmax(ids[:, None] == known[None], axis=1)

    def predict_proba(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        sample_domain : array-like of shape (n,), optional
            The domain of each row, one of ``domains_``. It matters with ``domain_norm="separate"``
            alone. By default, the rows are taken to be target rows.

        Returns
        -------
        ndarray of shape (n, classes)
            Columns as in ``classes_``.

        Raises
        ------
        ValueError
            If X is of another shape, or a domain is not one of ``domains_``.
        """
        check_is_fitted(self)
        C = self.networks_["C"]
        return as_shares(self._run(X, sample_domain, lambda f: torch.softmax(C(f).float(), 1)))

    def predict(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """The most probable label of each row.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        sample_domain : array-like of shape (n,), optional
            The domain of each row; see `predict_proba`.

        Returns
        -------
        ndarray of shape (n,)
            Values of ``classes_``.
        """
        proba = self.predict_proba(X, sample_domain)
        return self.classes_[proba.argmax(1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None, sample_domain: Any = None) -> float:
        """Accuracy of `predict`.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        y : array-like of shape (n,)
            True labels.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.
        sample_domain : array-like of shape (n,), optional
            The domain of each row; see `predict_proba`.

        Returns
        -------
        float
            From 0 to 1.
        """
        return accuracy(y, self.predict(X, sample_domain), sample_weight)

    def transform(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """Compute the adapted features F(x).

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        sample_domain : array-like of shape (n,), optional
            The domain of each row; see `predict_proba`.

        Returns
        -------
        ndarray of shape (n, features)
            Outputs of the backbone, float64 if X is, else float32.
        """
        check_is_fitted(self)
        return self._run(X, sample_domain, lambda f: f)

    def predict_domain(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """The domain that D takes each row for.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        sample_domain : array-like of shape (n,), optional
            The domain by whose statistics a row is normalized; see `predict_proba`.

        Returns
        -------
        ndarray of shape (n,)
            Values of ``domains_``.

        Raises
        ------
        ValueError
            If there was no target in `fit`, so that there is no domain classifier.
        """
        check_is_fitted(self)
        if "D" not in self.networks_:
            raise ValueError("fit had no target rows, so there is no domain classifier")
        C = self.networks_["C"]
        out = self._run(X, sample_domain, lambda f: self._domain_logits(f, C(f).float()))
        return self.domains_[out.argmax(1)]

    @property
    def _n_features_out(self) -> int:
        return nets.width_out(self.networks_["F"], self.input_shape_, name="backbone")
