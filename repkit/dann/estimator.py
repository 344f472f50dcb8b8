"""`DANN`: domain-adversarial training as a scikit-learn classifier and transformer."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from repkit import nets
from repkit.base.estimator import Estimator
from repkit.base.parameters import (
    check_choice,
    check_integer,
    check_number,
    optimizer_of,
)
from repkit.dann.algorithm import Objective, dann
from repkit.dann.monitor import SCORES, Monitor, judge_adversary
from repkit.dann.networks import build_networks
from repkit.dann.rows import (
    as_domain_ids,
    batch_parts,
    check_domains,
    check_labels,
    hold_back,
)
from repkit.engine.batches import Batches, to_device
from repkit.engine.training import Callback
from repkit.losses import multilinear
from repkit.schedules import dann_ramp


class NoTargetWarning(UserWarning):
    """A domain-adaptation fit was given no target rows."""


class DANN(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, Estimator):
    r"""Domain-adversarial neural network.

    Learns a classifier from labeled source rows so that it works on unlabeled target rows: the
    features :math:`f = F(x)` serve the label predictor C and are kept from the domain classifier D,

    .. math:: \min_{F, C} \max_D \; L_y(C(f), y) - \lambda L_d(D(f), d)

    (Ganin et al. 2016, equation 9), by gradient reversal or in alternation. With ``conditional``
    it is CDAN (Long et al. 2018).

    Parameters
    ----------
    backbone : {"mlp", "conv"}, nn.Module or callable, default="mlp"
        F. A callable gets ``(shape_in, dim_out)``; a module, copied in `fit`, may have any number
        of outputs, flattened to a row each. The named ones end in a ReLU.
    n_features : int, default=128
        Outputs of a named or called backbone.
    label_head, domain_head : callable or nn.Module, optional
        C and D: plain networks from feature rows to logits; the reversal is not theirs. Default:
        one linear layer, and one hidden layer of 128.
    training : {"joint", "alternating"}, default="joint"
        One step of all three through the reversal, or in every step D, then C, then F.
    d_steps : int, default=1
        Steps of D in each step of an alternating training.
    conditional : {False, True, "entropy"}, default=False
        D reads the multilinear map of features and predicted probabilities; "entropy" also
        weights its rows by ``1 + exp(-H)``.
    lam : "ramp", float or callable, default="ramp"
        :math:`\lambda`: ``2 / (1 + exp(-10 p)) - 1`` of the progress p in [0, 1], or a constant, or
        a function of p.
    domain_norm : {"shared", "separate"}, default="shared"
        Batch norm of the backbone over the whole batch, or statistics for each domain apart.
    target_labels : bool, default=False
        Use the labels of target rows that have one (-1, None and NaN have none). By default no
        target label is ever read.
    entropy : float, default=0.0
        Weight of the information term on target predictions: certain for each row, balanced
        overall. It grows along the ramp of ``lam="ramp"``.
    pseudo : float, default=0.0
        Weight of the pseudo-labels that the averaged network gives to target rows (needs ``ema``).
    pseudo_threshold : float, default=0.9
        Least probability of a pseudo-label.
    smoothness : float, default=0.0
        Radius, in the unit of X, within which the prediction on target rows is made to change
        little (virtual adversarial training, Miyato et al. 2018); with ``entropy`` it is VADA (Shu
        et al. 2018). Its weight is 1, along the ramp.
    late : float, default=0.2
        Progress at which the weight ``pseudo`` begins to grow; it is whole at twice that.
    augment : callable, optional
        Float batch to float batch, labels kept; applied to source and target while training. See
        `repkit.augment`.
    teacher_augment : callable, optional
        The same for the target rows from which pseudo-labels are made; None: as they are.
    ema : float, default=0.0
        Decay of the averaged weights. Above 0, they are the ones that predict.
    optimizer : {"adam", "sgd"}, default="adam"
        SGD has momentum 0.9.
    learning_rate : float, default=1e-3
    learning_rate_schedule : {"constant", "dann", "cosine"} or callable, default="constant"
        Factor of the learning rate: 1, or ``(1 + 10 p) ** -0.75``, or a rise over the first
        twentieth and a half cosine down to 0, or a function of p.
    weight_decay : float, default=0.0
        Decoupled from the gradient for Adam.
    select : {None, "entropy", "infomax", "snd"} or callable, default=None
        Keep the epoch with the greatest label-free score. A callable is a scorer
        ``(estimator, X, y, sample_domain) -> float`` as in `repkit.metrics`; it is given held-back
        source rows, and target rows with masked labels. Without target rows it does nothing.
    validation_fraction : float, default=0.1
        Of the source rows, held back from training when ``select`` is a callable.
    max_epochs : int, default=50
    steps_per_epoch : int, optional
        Default: as many as show every row of every domain at least once.
    batch_size : int, default=64
        Source rows in a step; as many target rows join them. Several domains of a side share them.
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
        The labels.
    domains_ : ndarray of int
        Domain ids, sources first.
    networks_ : dict
        ``F``, ``C`` and, if there was a target, ``D``.
    history_ : DataFrame
        For each epoch: label_loss, domain_loss, domain_accuracy and domain_chance, lam, the scores
        entropy, infomax and snd on target rows (greater is better), seconds.
    selected_epoch_ : int
        Of ``select``.
    n_iter_ : int
    input_shape_ : tuple of int
    device_ : torch.device

    See Also
    --------
    repkit.metrics : scorers and scores that need no target labels.

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
    __metadata_request__fit: ClassVar = {"sample_domain": True}
    __metadata_request__predict: ClassVar = {"sample_domain": True}
    __metadata_request__predict_proba: ClassVar = {"sample_domain": True}
    __metadata_request__transform: ClassVar = {"sample_domain": True}

    _fitted: ClassVar = (
        "classes_",
        "domains_",
        "input_shape_",
        "n_features_in_",
        "feature_names_in_",
        "n_iter_",
        "selected_epoch_",
    )
    _code: ClassVar = ("backbone", "label_head", "domain_head")

    def __init__(
        self,
        backbone: nets.Spec = "mlp",
        *,
        n_features: int = 128,
        label_head: nets.Spec | None = None,
        domain_head: nets.Spec | None = None,
        training: str = "joint",
        d_steps: int = 1,
        conditional: bool | str = False,
        lam: str | float | Callable[[float], float] = "ramp",
        domain_norm: str = "shared",
        target_labels: bool = False,
        entropy: float = 0.0,
        pseudo: float = 0.0,
        pseudo_threshold: float = 0.9,
        smoothness: float = 0.0,
        late: float = 0.2,
        augment: Callable[[Tensor], Tensor] | None = None,
        teacher_augment: Callable[[Tensor], Tensor] | None = None,
        ema: float = 0.0,
        optimizer: str = "adam",
        learning_rate: float = 1e-3,
        learning_rate_schedule: str | Callable[[float], float] = "constant",
        weight_decay: float = 0.0,
        select: str | Callable[..., float] | None = None,
        validation_fraction: float = 0.1,
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
        self.backbone = backbone
        self.n_features = n_features
        self.label_head = label_head
        self.domain_head = domain_head
        self.training = training
        self.d_steps = d_steps
        self.conditional = conditional
        self.lam = lam
        self.domain_norm = domain_norm
        self.target_labels = target_labels
        self.entropy = entropy
        self.pseudo = pseudo
        self.pseudo_threshold = pseudo_threshold
        self.smoothness = smoothness
        self.late = late
        self.augment = augment
        self.teacher_augment = teacher_augment
        self.ema = ema
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.weight_decay = weight_decay
        self.select = select
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

    def fit(self, X: Any, y: Any, sample_domain: Any = None) -> Self:
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
            The domain of each row: an integer >= 0 for a source, < 0 for a target, as in skada.
            None: all rows are one source, and training is plainly supervised.

        Raises
        ------
        ValueError
            Among others: no source row, a single class, fewer than two rows of a domain, one id
            (but for its sign) for a source and a target.

        Warns
        -----
        NoTargetWarning
            If there is no target row.
        ConvergenceWarning
            If a loss is not finite, or the domain classifier is dead or has won.
        """
        self._check_parameters()
        X = self._check_X(X, reset=True)
        if y is not None:
            check_consistent_length(X, y)
        domains = check_domains(sample_domain, len(X))
        self.classes_, codes = check_labels(
            y, domains, target_labels=self.target_labels, name=type(self).__name__
        )
        self.domains_ = domains.ids
        adapting = len(domains.target) > 0
        if not adapting:
            warnings.warn(
                "no target rows (sample_domain < 0): training on the source rows only",
                NoTargetWarning,
                stacklevel=2,
            )
        with self._training((X, codes, domains.rows)) as (device, seed, checkpoints):
            held_back = np.empty(0, dtype=np.int64)
            if callable(self.select) and adapting:
                held_back = hold_back(domains.source, self.validation_fraction, seed)
            train_codes = codes.copy()
            train_codes[held_back] = -1
            streams, layout, labeled = batch_parts(train_codes, domains, self.batch_size)
            batches = Batches(
                {"x": to_device(X, device), "y": to_device(train_codes, device)},
                streams,
                seed=seed,
                device=device,
                steps_per_epoch=self.steps_per_epoch,
                constants={"domain": torch.tensor([k for n, k in layout for _ in range(n)])},
            )
            networks = self._start(seed)
            system = dann(
                networks,
                layout=layout if self.domain_norm == "separate" else None,
                labeled=labeled,
                lam=self._lam(),
                late=self._late,
                training=self.training,
                d_steps=self.d_steps,
                objective=Objective(
                    self.conditional,
                    self.entropy,
                    self.pseudo,
                    self.pseudo_threshold,
                    self.smoothness,
                    self.augment,
                    self.teacher_augment,
                ),
            )
            engine = self._engine_of(system, batches, seed, optimizer_of(self), self.ema)
            self.device_ = device
            self.networks_ = engine.averaged or dict(networks)
            monitor = Monitor(self, X, codes, domains, held_back, seed) if adapting else dict
            # Without a target there is nothing to score, and the last epoch is the one.
            column = self._column() if adapting else None
            self._train(engine, checkpoints=checkpoints, evaluate=monitor, select=column)
            self.use("selected" if "selected" in self.weights_ else "last")
        if adapting:
            judge_adversary(self.history_)
        return self

    def fit_transform(self, X: Any, y: Any = None, sample_domain: Any = None) -> np.ndarray:
        """`fit`, then `transform` of the same rows."""
        return self.fit(X, y, sample_domain=sample_domain).transform(X, sample_domain)

    def _check_parameters(self) -> None:
        check_choice(
            self,
            training=("joint", "alternating"),
            conditional=(False, True, "entropy"),
            domain_norm=("shared", "separate"),
            optimizer=("adam", "sgd"),
            target_labels=(False, True),
        )
        check_integer(self, n_features=1, d_steps=1, max_epochs=1, batch_size=1)
        if self.steps_per_epoch is not None:
            check_integer(self, steps_per_epoch=1)
        check_number(
            self,
            entropy=(0, np.inf),
            pseudo=(0, np.inf),
            pseudo_threshold=(0, 1),
            smoothness=(0, np.inf),
            late=(0, 0.5),
            ema=(0, 1),
            learning_rate=(0, np.inf),
            weight_decay=(0, np.inf),
            validation_fraction=(0, 0.9),
        )
        if self.pseudo and not self.ema:
            raise ValueError("pseudo > 0 needs ema > 0: the averaged network gives the labels")
        if isinstance(self.select, str) and self.select not in SCORES:
            raise ValueError(f"select must be None, a scorer or one of {SCORES}")

    def _lam(self) -> Callable[[float], float]:
        if isinstance(self.lam, str):
            check_choice(self, lam=("ramp",))
            return dann_ramp
        if callable(self.lam):
            return self.lam
        check_number(self, lam=(0, np.inf))
        constant = float(self.lam)
        return lambda progress: constant

    def _late(self, progress: float) -> float:
        if progress < self.late:
            return 0.0
        return min(1.0, (progress - self.late) / self.late) if self.late else 1.0

    def _networks(self) -> dict[str, nn.Module]:
        return build_networks(self)

    def _is_adapting(self) -> bool:
        return bool((self.domains_ < 0).any())

    def _probe(self, X: np.ndarray) -> None:
        self.predict(X, np.repeat(self.domains_[-1:], len(X)))

    def _column(self) -> str | None:
        return "score" if callable(self.select) else self.select

    # ---------------------------------------------------------------- use

    def _features(self, x: Tensor, rows: np.ndarray) -> Tensor:
        """F in evaluation mode; ``rows`` is each row's place in ``domains_``."""
        network = self.networks_["F"]
        if self.domain_norm == "shared":
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
        if self.conditional:
            features = multilinear(features.float(), torch.softmax(logits, 1))
        return D(features).float()

    def _run(self, X: Any, sample_domain: Any, head: Callable[[Tensor], Tensor]) -> np.ndarray:
        X = self._check_X(X, reset=False)
        rows = self._places(sample_domain, len(X))
        with torch.no_grad():
            return self._like(self._apply(lambda x, r: head(self._features(x, r)), X, rows), X)

    def _places(self, sample_domain: Any, n: int) -> np.ndarray:
        """Each row's place in ``domains_``; without ``sample_domain``, the first target's."""
        targets = np.flatnonzero(self.domains_ < 0)
        default = int(targets[0]) if len(targets) else 0
        if sample_domain is None or self.domain_norm == "shared":
            if self.domain_norm == "separate" and len(targets) > 1:
                raise ValueError(
                    "domain_norm='separate' with several targets: give sample_domain, so that each "
                    "row is normalized by its own domain's statistics"
                )
            return np.full(n, default)
        ids = as_domain_ids(sample_domain, n)
        unknown = sorted(set(ids.tolist()) - set(self.domains_.tolist()))
        if unknown:
            raise ValueError(
                f"sample_domain has {unknown}, not seen in fit; known are {self.domains_.tolist()}"
            )
        return np.argmax(ids[:, None] == self.domains_[None], axis=1)

    def predict_proba(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """Class probabilities ``(n, classes)``, columns as in ``classes_``.

        ``sample_domain`` only matters with ``domain_norm="separate"``; by default the rows are
        taken to be target rows.
        """
        check_is_fitted(self)
        C = self.networks_["C"]
        return self._run(X, sample_domain, lambda f: torch.softmax(C(f).float(), 1))

    def predict(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """The most probable label of each row, ``(n,)``."""
        proba = self.predict_proba(X, sample_domain)
        return self.classes_[proba.argmax(1)]

    def transform(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """The adapted features F(x), ``(n, features)``."""
        check_is_fitted(self)
        return self._run(X, sample_domain, lambda f: f)

    def predict_domain(self, X: Any) -> np.ndarray:
        """The domain id, one of ``domains_``, that D takes each row for, ``(n,)``.

        Raises
        ------
        ValueError
            If there was no target in `fit`, so that there is no domain classifier.
        """
        check_is_fitted(self)
        if "D" not in self.networks_:
            raise ValueError("fit had no target rows, so there is no domain classifier")
        C = self.networks_["C"]
        out = self._run(X, None, lambda f: self._domain_logits(f, C(f).float()))
        return self.domains_[out.argmax(1)]

    @property
    def _n_features_out(self) -> int:
        return nets.width_out(self.networks_["F"], self.input_shape_, name="backbone")
