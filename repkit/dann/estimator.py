"""Internal. `DANN`: domain-adversarial training as a scikit-learn classifier and transformer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from repkit.base.estimator import as_shares
from repkit.base.parameters import Constant, anything, fitted, parameters
from repkit.base.plain_images import tell_of_plain_images
from repkit.base.weighting import class_weight_rule, row_weights
from repkit.dann.algorithm import Objective
from repkit.dann.base import PRIOR_ROWS, DomainAdaptation, Rows
from repkit.dann.by_domain import Classifying
from repkit.dann.guard import Guarded
from repkit.dann.rows import Domains, check_labels
from repkit.dann.source_free import SourceFree
from repkit.engine.rng import Kind, generator_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DANN"]

LEAST_SHARE = 1e-4  # of a class in a prior, for its logarithm


@parameters
class DANN(Classifying, SourceFree, Guarded, Objective, DomainAdaptation):
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
    class_weight : {"balanced", None} or dict, default=None
        Weights of the classes in the label loss, by label. "balanced" lets the rows of every class
        weigh the same in sum.
    conditional : {False, True, "entropy"}, default=False
        Whether D reads the multilinear map of features and predicted probabilities (CDAN);
        "entropy" also weights its rows by ``1 + exp(-H)``.
    entropy : float or Entropy, default=0.0
        Weight of certain and balanced predictions on target rows; the part also has their
        smoothness, the confusion of pairs of classes, and the shares of the classes that are aimed
        at. See `repkit.dann.Entropy`.
    consistency : float or Consistency, default=0.0
        Weight of the pseudo-labels that the averaged network gives to target rows; it needs
        ``ema``. See `repkit.Consistency`.
    heads : Heads, nn.Module or callable, optional
        C and D, from feature rows to logits; a module or a callable alone is C. See
        `repkit.dann.Heads`.
    domain_norm : {"shared", "separate"}, default="shared"
        Whether batch norm in the backbone has one set of statistics, or one for each domain.
    target_labels : bool, default=False
        Whether to use the labels of target rows that have one (-1, None and NaN are none). By
        default no target label is ever read.
    select : {None, "entropy", "infomax", "snd", "bnm", "mano"}, callable or Selection, default=None
        Keep the epoch with the greatest label-free score. A callable is a scorer of
        `repkit.metrics`, or one of your own. See `repkit.dann.Selection`.
    width : int, default=128
        Outputs of a backbone that is given by name or made by a callable: the number of features.
    ema : float, default=0.0
        Decay of the averaged weights, from 0 to below 1. Above 0, the averaged weights are the
        ones that are used.
    updates : {"joint", "alternating"} or Updates, default="joint"
        One step of all networks through the gradient reversal; or in every step D, then C, then F.
        See `repkit.dann.Updates`.
    divergence : str, Divergence or None, default="adversarial"
        What pulls the features of the domains together: the domain classifier of the paper
        ("adversarial"); in its place a distance ("coral", "mmd", "joint_mmd"), a critic
        ("wasserstein") or a second label predictor ("discrepancy"); or nothing (None). See
        `repkit.dann.Divergence`.
    lam : "ramp", float or callable, default="ramp"
        :math:`\lambda`, the weight of the divergence in F: ``2 / (1 + exp(-10 p)) - 1`` of the
        progress p from 0 to 1, or a constant, or a function of p. The distances "coral" and "mmd"
        are small numbers, and constants from 1 to 100 are usual.
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
        ``{"F": 1e-4, "F.0": 1e-5}``. The longest name that matches wins, and modules
        without one keep the default.
    learning_rate_schedule : {"constant", "half", "dann", "cosine"} or callable, default="constant"
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
    classes_ : ndarray of shape (classes,)
        The labels.
    domains_ : ndarray of shape (domains,)
        The domains, sources first.
    n_source_domains_ : int
        How many of them are sources.
    networks_ : dict of str to nn.Module
        The trained networks, in evaluation mode: ``F``, ``C`` and, if there was a target, ``D``.
    weights_ : dict
        The weights of the "last" epoch, with ``select`` of the "selected" one, with
        ``select__guard`` those of the twin without adaptation, "source", and after `adapt` the
        "adapted" ones; see `use`.
    history_ : DataFrame
        One row an epoch: label_loss, domain_loss, domain_accuracy and domain_chance (or divergence,
        where it is another one), lam, the scores entropy, infomax, snd, bnm and mano on target rows
        (greater is better), share_distance (of the predicted shares of the classes on target rows
        from those of the source: half the sum of their differences), share_chance (how far a sample
        of as many rows would be from equal shares), seconds.
    adaptation_ : DataFrame
        One row an epoch of `adapt`. Model files do not hold it.
    selected_epoch_ : int
        The epoch that ``select`` chose.
    guarded_ : bool
        With ``select__guard``: whether the twin without adaptation is in use.
    n_iter_ : int
        Epochs trained.
    input_shape_ : tuple of int
        Shape of one sample.
    device_ : torch.device
        Where it was trained; after unpickling or loading, the CPU.
    precision_ : str
        The precision of the training, "fp32" or "bf16".

    See Also
    --------
    repkit.metrics : Scorers and scores that need no target labels.

    Notes
    -----
    How to read ``history_``: domain_accuracy near domain_chance with a domain_loss that moves is
    an adversary in balance. At 1 it has won: raise ``lam``, or give D less. A domain_loss that
    never moves is a dead one. None of the losses says which epoch is best; the scores do better,
    and can still be wrong (see each scorer).

    A target may have other shares of the classes, or lack some. The adversary and the distances
    match the features of the domains as wholes, and the balance term of ``entropy`` matches equal
    shares: both then pull rows of frequent classes to rare ones. ``entropy__prior`` names the
    shares, or estimates them. Where predicted shares part from those of the source rows by more
    than 0.2 after four epochs or more of an alignment without a guard, by more than 0.4 otherwise,
    and by more than twice what chance does (``share_distance`` and ``share_chance`` of
    ``history_``), `fit` warns. A class that no source row has is never predicted: its rows get the
    label of a class that is near, often with a high probability, since the terms on target rows
    ask for certain predictions. With a tenth class in turned digits the greatest probability was
    .67 for its rows without adaptation, .83 with it, and .997 with ``Entropy(confusion=1.0)``, as
    for all other rows: nothing tells such rows apart.

    Examples
    --------
    >>> from repkit import DANN
    >>> from repkit.datasets import make_domains
    >>> data = make_domains(random_state=0)
    >>> model = DANN(random_state=0).fit(data.X, data.y, sample_domain=data.sample_domain)
    >>> model.predict(data.X[data.sample_domain < 0]).shape
    (300,)
    """

    class_weight: str | Mapping[Any, float] | None = anything(class_weight_rule, default=None)

    _fitted: ClassVar = (*DomainAdaptation._fitted, "classes_", "guarded_")

    classes_: np.ndarray = fitted()
    adaptation_: pd.DataFrame = fitted()

    # ---------------------------------------------------------------- fit

    def _check_together(self) -> None:
        super()._check_together()
        if self.consistency.weight and not self.ema:
            raise ValueError(
                "consistency > 0 needs ema > 0 (0.99, say): the averaged network gives the labels"
            )
        if self.entropy.prior is not None and not self.entropy.weight:
            raise ValueError(
                "entropy__prior holds the shares to which the information term balances; give "
                "entropy__weight above 0"
            )

    def _read_y(self, y: Any, domains: Domains, sample_weight: Any) -> dict[str, Any]:
        self.classes_, codes = check_labels(
            y, domains, target_labels=self.target_labels, name=type(self).__name__
        )
        prior = self.entropy.prior
        if isinstance(prior, np.ndarray) and len(prior) != len(self.classes_):
            raise ValueError(
                f"entropy__prior must have a share for each of the {len(self.classes_)} classes, "
                f"not {len(prior)}"
            )
        weights = row_weights(sample_weight, self.class_weight, self.classes_, codes)
        return {"codes": codes, "weights": weights}

    def _head(self) -> tuple[int, str]:
        return len(self.classes_), "classes"

    def _labels(self, data: Rows, rows: np.ndarray) -> np.ndarray:
        # A target row carries the first class, whatever its label: scorers do not read it.
        labels = self.classes_[np.maximum(data.codes[rows], 0)]
        labels[np.isin(rows, data.domains.target)] = self.classes_[0]
        return labels

    def _shares(self, codes: np.ndarray, weights: np.ndarray | None, streams: Any) -> np.ndarray:
        total = np.zeros(len(self.classes_))
        for rows, count in streams:
            weight = None if weights is None else weights[rows]
            own = np.bincount(codes[rows], weights=weight, minlength=len(total))
            total += count * own / len(rows)
        return total / total.sum()

    def _tell_of_plain_images(self) -> None:
        aligned = self.divergence.kind is not None and self.lam != Constant(0.0)
        certain = self.entropy
        terms = (certain.weight, certain.smoothness, certain.confusion, self.consistency.weight)
        if not self._is_adapting() or not (aligned or any(terms)):
            return
        tell_of_plain_images(
            self,
            "images are adapted to as they are, which is far from what can be had (small digits: "
            ".70, and .88 with the changes, terms and network of a recipe); if changed images keep "
            "their classes, give augment, or see repkit.recipes.dann; if none may be changed, "
            "augment=torch.nn.Identity() says so",
        )

    def _prior(
        self,
        shares: np.ndarray | None,
        domains: Domains,
        take: Callable[[np.ndarray], Tensor],
        device: torch.device,
        seed: int,
    ) -> Mapping[str, Any]:
        prior = self.entropy.prior
        if prior is None:
            return {}
        if isinstance(prior, np.ndarray):
            given = np.maximum(prior, LEAST_SHARE)
            return {"prior": torch.tensor(given / given.sum(), device=device).float()}
        rng = generator_of(seed, Kind.PRIOR)
        rows = np.sort(rng.permutation(domains.target)[:PRIOR_ROWS])
        rows = rows[np.argsort(domains.rows[rows], kind="stable")]
        places, counts = np.unique(domains.rows[rows], return_counts=True)
        layout = list(zip(counts.tolist(), places.tolist(), strict=True))
        x = take(rows)
        return {
            "prior": torch.tensor(shares, device=device).float(),
            "target_rows": lambda: (x, layout),
        }

    # ---------------------------------------------------------------- use

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
        return as_shares(self._run(X, sample_domain, self._probabilities))

    def _probabilities(self, f: Tensor) -> Tensor:
        return torch.softmax(self.networks_["C"](f).float(), 1)

    def _functions(self) -> dict[str, tuple[str, Callable[[Tensor], Tensor]]]:
        def proba(x: Tensor) -> Tensor:
            return self._probabilities(self.networks_["F"](x))

        return {"predict_proba": ("FC", proba), **super()._functions()}
