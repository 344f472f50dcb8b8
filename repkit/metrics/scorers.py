"""Scikit-learn scorers that choose an adapted model without target labels.

All have the signature ``scorer(estimator, X, y=None, sample_domain=None) -> float``, **greater is
better**, and follow skada's convention: source rows have ``sample_domain >= 0``, target rows
``< 0``. An estimator that was told which domains are its sources (``source=`` of
:class:`~repkit.DANN`) is asked instead, so that names of domains work, too. Methods of the
estimator that take `sample_domain` get it, for source and target rows alike. Labels of target rows
are never read and may hold anything. Within ``cross_val_score`` or ``GridSearchCV``,
`sample_domain` reaches the scorer by metadata routing::

    sklearn.set_config(enable_metadata_routing=True)
    GridSearchCV(model, grid, scoring=InfoMaxScorer()).fit(X, y, sample_domain=sample_domain)

The score is that of the rows given: use few, large folds. What no candidate of a search could be
scored with (no `sample_domain`, a fold without target rows, a bad parameter of the scorer) stops
the search by a :class:`ScorerError`.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from repkit import _arguments
from repkit.metrics import selection
from repkit.metrics._arrays import as_numpy, label_vector, probability_matrix
from repkit.metrics._domains import (
    Domains,
    are_sources,
    call,
    check_method,
    domain_ids,
    n_rows,
    take,
)

__all__ = [
    "DomainScorer",
    "EntropyScorer",
    "InfoMaxScorer",
    "SNDScorer",
    "ScorerError",
]


class ScorerError(BaseException):
    """A scorer cannot score any model on such data.

    It is not an ``Exception``, for scikit-learn's searches turn those into scores of NaN and then
    choose the first candidate. This error stops the search instead. Outside of a search, errors of
    arguments are plain ``ValueError`` and ``TypeError``.

    Examples
    --------
    >>> issubclass(ScorerError, Exception)
    False
    """


class DomainScorer(BaseEstimator):
    """Base of the scorers, which splits rows by domain.

    A scorer is a scikit-learn object: it prints its parameters and can be cloned. It requests
    `sample_domain` by itself; ``set_score_request(sample_domain="name")`` gives that another name.
    """

    # the routing of scikit-learn goes by the name `score`; `estimator` is no metadata
    __metadata_request__score: ClassVar = {"sample_domain": True, "estimator": UNUSED}
    _needs_labels = False
    _methods: ClassVar[tuple[str, ...]] = ("predict_proba",)

    def __call__(self, estimator: Any, X: Any, y: Any = None, sample_domain: Any = None) -> float:
        """Score a fitted estimator; see :meth:`score`.

        Raises
        ------
        ScorerError
            Instead of other errors of arguments, if a search of scikit-learn calls.
        """
        try:
            rows = self._checked(estimator, X, y, sample_domain)
        except (TypeError, ValueError) as error:
            if sys._getframe(1).f_globals.get("__name__", "").startswith("sklearn."):
                raise ScorerError(str(error)) from error
            raise
        return float(self._score(estimator, rows))

    def score(self, estimator: Any, X: Any, y: Any = None, sample_domain: Any = None) -> float:
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : object
            Fitted model with the methods that the scorer names.
        X : array, DataFrame, tensor or list of n_samples samples
            Source and target rows.
        y : array of shape (n_samples,), optional
            Labels. Only some scorers read them, and only those of source rows.
        sample_domain : array of shape (n_samples,)
            Domain ids, at least 0 for source rows and below 0 for target rows, or as in the
            estimator's `fit`, if that was told which are sources.

        Returns
        -------
        score : float
            Greater is better.

        Raises
        ------
        ValueError
            If there are no target rows, or not the source rows or labels that the scorer needs.
        TypeError
            If the estimator lacks a method.
        """
        return float(self._score(estimator, self._checked(estimator, X, y, sample_domain)))

    def _score(self, estimator: Any, rows: Domains) -> float:
        raise NotImplementedError

    def _check_parameters(self) -> None:
        """Raise an error that names a parameter which no model could be scored with."""

    def _checked(self, estimator: Any, X: Any, y: Any, sample_domain: Any) -> Domains:
        """Check all that does not depend on what the model predicts, and part the rows."""
        self._check_parameters()
        for method in self._methods:
            check_method(self, estimator, method)
        return self._part(estimator, X, y, sample_domain)

    def _on_target(self, estimator: Any, rows: Domains) -> Any:
        return call(estimator, "predict_proba", rows.X_target, rows.domain_target)

    def _part(self, estimator: Any, X: Any, y: Any, sample_domain: Any) -> Domains:
        name = type(self).__name__
        if sample_domain is None:
            raise ValueError(
                f"{name} needs sample_domain (source >= 0, target < 0), not None: pass it, "
                "which in GridSearchCV or cross_val_score takes "
                "sklearn.set_config(enable_metadata_routing=True)"
            )
        n_samples = n_rows(X, "X")
        domain = domain_ids(sample_domain, n_samples)
        is_source = are_sources(estimator, domain)
        source, target = np.flatnonzero(is_source), np.flatnonzero(~is_source)
        if len(target) == 0:
            raise ValueError(
                f"{name} found no target rows (sample_domain < 0) among {n_samples}: give "
                "target rows a negative id, and check that every fold has some"
            )
        y_source = None
        if self._needs_labels:
            if y is None:
                raise ValueError(f"{name} needs y, the labels of the source rows, not None")
            if len(source) < 4:
                raise ValueError(
                    f"{name} needs at least 4 source rows (sample_domain >= 0), which it splits "
                    f"in two, not {len(source)} among {n_samples}"
                )
            if not isinstance(y, list | tuple) and not hasattr(y, "iloc"):
                y = np.atleast_1d(as_numpy(y, "y"))
            if len(y) != n_samples:
                raise ValueError(
                    f"y has {len(y)} entries for {n_samples} rows of X: pass one label for each row"
                )
            # target labels go no further than this line
            y_source = label_vector(take(y, source), "y of the source rows", len(source))
        return Domains(take(X, source), take(X, target), y_source, domain[source], domain[target])


class EntropyScorer(DomainScorer):
    """Minus the mean entropy of the predictions on target rows (Morerio et al. 2018).

    Needs ``predict_proba``. See :func:`~repkit.metrics.prediction_entropy`.

    *When it misleads*: it rewards confidence, right or wrong. A model that gives every target row
    to one class with probability 1 has the best possible score, which :class:`InfoMaxScorer`
    avoids. Longer training or larger logits improve the score even if predictions stay the same.
    """

    def _score(self, estimator: Any, rows: Domains) -> float:
        return -selection.prediction_entropy(self._on_target(estimator, rows))


class InfoMaxScorer(DomainScorer):
    """Mutual information between target rows and their predicted classes (Shi and Sha 2012).

    Needs ``predict_proba``. See :func:`~repkit.metrics.information_maximization`.

    *When it misleads*: it assumes that the target's classes are balanced, and so prefers a model
    that spreads its predictions evenly to one that follows a truly uneven target. Like the entropy,
    it cannot see confident mistakes: swapping two classes everywhere does not change it.
    """

    def _score(self, estimator: Any, rows: Domains) -> float:
        return selection.information_maximization(self._on_target(estimator, rows))


class SNDScorer(DomainScorer):
    """Soft neighborhood density of the target predictions (Saito et al. 2021).

    Needs ``predict_proba``. See :func:`~repkit.metrics.soft_neighborhood_density`.

    *When it misleads*: a single dense blob is the densest neighborhood of all, so that a model that
    predicts the same for every row reaches the upper bound log(n - 1). The authors advise to
    compare only models with reasonable source accuracy. Compare scores over equally many target
    rows only.

    Parameters
    ----------
    temperature : float, default=0.05
        Temperature of the similarities.
    """

    def __init__(self, temperature: float = 0.05) -> None:
        self.temperature = temperature

    def _check_parameters(self) -> None:
        _arguments.number(self.temperature, "temperature", above=True)

    def _score(self, estimator: Any, rows: Domains) -> float:
        proba = self._on_target(estimator, rows)
        return selection.soft_neighborhood_density(
            probability_matrix(proba),
            temperature=self.temperature,
            device=getattr(estimator, "device_", "auto"),
        )
