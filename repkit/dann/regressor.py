"""Internal. `DANNRegressor`: domain-adversarial training for numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils import Tags, _safe_indexing, check_array
from sklearn.utils.validation import _num_samples, check_is_fitted
from torch import Tensor

from repkit._arguments import named
from repkit.base.labels import as_plain, check_count, checked_weight
from repkit.base.parameters import fitted, parameters
from repkit.base.weighting import row_weights
from repkit.dann.base import DomainAdaptation, Rows
from repkit.dann.rows import Domains

__all__ = ["DANNRegressor"]

FAR = 1e100  # of a number of y: squares are numbers up to here


@parameters
class DANNRegressor(RegressorMixin, DomainAdaptation):
    r"""Domain-adversarial neural network for numbers, one or several.

    As `repkit.DANN`, with the mean squared error of standardized outputs as the label loss: it
    learns a regression from source rows so that it works on target rows, whose numbers are not
    known. A divergence that reads predictions reads the standardized outputs.

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
    select : {None, "entropy", "infomax", "snd", "bnm", "mano"}, callable or Selection, default=None
        Keep the epoch with the greatest label-free score. A callable is a scorer of
        `repkit.metrics`, or one of your own. See `repkit.dann.Selection`. The named scores are of
        classes, so that a regression takes callables alone.
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
    y_mean_ : float64 ndarray of shape () or (outputs,)
        Mean of each output over the source rows, by their weights.
    y_scale_ : float64 ndarray of shape () or (outputs,)
        Standard deviation of each output, 1 where it is 0.
    domains_ : ndarray of shape (domains,)
        The domains, sources first.
    n_source_domains_ : int
        How many of them are sources.
    networks_ : dict of str to nn.Module
        The trained networks, in evaluation mode: ``F``, ``C`` and, if there was a target, ``D``.
    weights_ : dict
        The weights of the "last" epoch and, with ``select``, of the "selected" one; see `use`.
    history_ : DataFrame
        One row an epoch: label_loss, domain_loss, domain_accuracy and domain_chance (or divergence,
        where it is another one), lam, seconds.
    selected_epoch_ : int
        The epoch that ``select`` chose.
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
    >>> from repkit import DANNRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> domain = np.repeat([0, -1], 100)  # the second half is the target
    >>> model = DANNRegressor(max_epochs=5, random_state=0)
    >>> model.fit(X, X[:, 0], sample_domain=domain).predict(X[100:]).shape
    (100,)
    """

    _fitted: ClassVar = (*DomainAdaptation._fitted, "y_mean_", "y_scale_")

    y_mean_: np.ndarray = fitted()
    y_scale_: np.ndarray = fitted()

    # ---------------------------------------------------------------- fit

    def _check_together(self) -> None:
        super()._check_together()
        if self.select.guard:
            raise ValueError(
                "select__guard=True compares classes, which a regression lacks; give False"
            )
        if isinstance(self.select.score, str):
            raise ValueError(
                f"select={self.select.score!r} is a score of classes; give a callable, or None"
            )

    def _read_y(self, y: Any, domains: Domains, sample_weight: Any) -> dict[str, Any]:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        source, target = domains.source, domains.target
        with named("y", "numbers, one or several for each row"):
            y = as_plain(y)
            _num_samples(y)
        check_count(y, len(domains.rows), "y")
        known = _numbers(_safe_indexing(y, source), "y at source rows", missing=False)
        values = np.zeros((len(domains.rows), *known.shape[1:]))
        values[source] = known
        codes = np.where(np.isin(np.arange(len(values)), source), 0, -1)
        if self.target_labels and len(target):
            given = _numbers(_safe_indexing(y, target), "y at target rows", missing=True)
            given = given.reshape(len(target), *known.shape[1:])
            there = ~np.isnan(given.reshape(len(target), -1)).any(1)
            values[target[there]], codes[target[there]] = given[there], 0
        weights = row_weights(sample_weight, None, np.array([0]), codes)
        share = None if weights is None else weights[source]
        self.y_mean_ = np.asarray(np.average(known, axis=0, weights=share))
        variance = np.asarray(np.average((known - self.y_mean_) ** 2, axis=0, weights=share))
        self.y_scale_ = np.where(variance > 0.0, np.sqrt(variance), 1.0)
        standard = (values - self.y_mean_) / self.y_scale_
        standard[codes < 0] = 0.0
        return {
            "codes": codes,
            "weights": weights,
            "y": standard.reshape(len(values), -1).astype(np.float32),
        }

    def _head(self) -> tuple[int, str]:
        return int(np.size(self.y_mean_)), "outputs"

    def _labels(self, data: Rows, rows: np.ndarray) -> np.ndarray:
        assert data.y is not None
        labels = self._in_units(data.y[rows])
        labels[np.isin(rows, data.domains.target)] = self.y_mean_
        return labels

    def _in_units(self, standard: np.ndarray) -> np.ndarray:
        """Standardized outputs (n, outputs) in the unit and the shape of y."""
        shaped = standard.reshape(len(standard), *np.shape(self.y_mean_))
        return shaped.astype(np.float64) * self.y_scale_ + self.y_mean_

    def _probe(self, X: np.ndarray) -> None:
        if np.shape(self.y_scale_) != np.shape(self.y_mean_):
            raise ValueError(
                f"y_scale_ must have the shape {np.shape(self.y_mean_)} of y_mean_, not "
                f"{np.shape(self.y_scale_)}"
            )
        super()._probe(X)

    # ---------------------------------------------------------------- use

    def predict(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """Predict the numbers of each row.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        sample_domain : array-like of shape (n,), optional
            The domain of each row, one of ``domains_``. It matters with ``domain_norm="separate"``
            alone. By default, the rows are taken to be target rows.

        Returns
        -------
        float64 ndarray of shape (n,) or (n, outputs)
            In the unit of y, and of its shape.
        """
        check_is_fitted(self)
        C = self.networks_["C"]
        return self._in_units(self._run(X, sample_domain, lambda f: C(f).float()))

    def _functions(self) -> dict[str, tuple[str, Callable[[Tensor], Tensor]]]:
        scale, mean = (torch.as_tensor(v).float() for v in (self.y_scale_, self.y_mean_))

        def predict(x: Tensor) -> Tensor:
            out: Tensor = self.networks_["C"](self.networks_["F"](x))
            return out.float().reshape(-1, *mean.shape) * scale + mean

        return {"predict": ("FC", predict), **super()._functions()}

    def score(self, X: Any, y: Any, sample_weight: Any = None, sample_domain: Any = None) -> float:
        """Coefficient of determination of `predict`.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        y : array-like of shape (n,) or (n, outputs)
            True numbers.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.
        sample_domain : array-like of shape (n,), optional
            The domain of each row; see `predict`.

        Returns
        -------
        float
            1 at best; the mean over outputs.
        """
        from sklearn.metrics import r2_score

        found = self.predict(X, sample_domain)
        y = _numbers(y, "y", missing=False)
        check_count(y, len(found), "y")
        sample_weight = checked_weight(sample_weight, found)
        with named("y", "numbers of the shape that fit saw"):
            return float(r2_score(y, found, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _numbers(y: Any, name: str, *, missing: bool) -> np.ndarray:
    """Finite float64 numbers (n,) or (n, outputs); NaN too where they may be missing."""
    with named(name, "finite numbers"):
        found = check_array(
            np.asarray(y, dtype=object if missing else None),
            dtype=np.float64,
            ensure_2d=False,
            ensure_all_finite="allow-nan" if missing else True,
            input_name=name,
        )
    if found.ndim > 2:
        raise ValueError(f"{name} must be of shape (n,) or (n, outputs), not {found.shape}")
    if (greatest := np.nanmax(np.abs(found), initial=0.0)) > FAR:
        raise ValueError(f"{name} must lie within {FAR:g}, not reach {greatest:.3g}: scale it")
    return found
