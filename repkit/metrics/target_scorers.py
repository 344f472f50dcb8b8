"""Scorers that look at how target rows are laid out: clusters, mixtures, norms, ensembles.

They share the convention and the signature of :mod:`repkit.metrics.scorers`. None reads a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from repkit import _arguments
from repkit._random import check_seed, legacy_generator
from repkit.metrics import structure
from repkit.metrics._arrays import as_numpy, label_vector
from repkit.metrics._domains import Domains, call, mixed, model_of, take
from repkit.metrics._feature_scorer import FeatureScorer
from repkit.metrics.scorers import DomainScorer, ScorerError

__all__ = [
    "BNMScorer",
    "ClassAMIScorer",
    "EnsVScorer",
    "MaNoScorer",
    "MixValScorer",
    "ScorerError",
    "TransferScorer",
]


class BNMScorer(DomainScorer):
    """Nuclear norm of the predictions on target rows (Cui et al. 2020; Musgrave et al. 2022).

    Needs ``predict_proba``. See :func:`~repkit.metrics.batch_nuclear_norm`.

    *When it misleads*: like :class:`InfoMaxScorer` it wants certain predictions of all classes, so
    it prefers balanced classes to a truly uneven target, and cannot see confident mistakes.
    """

    def _score(self, estimator: Any, rows: Domains) -> float:
        return structure.batch_nuclear_norm(self._on_target(estimator, rows))


class MaNoScorer(DomainScorer):
    """MaNo, a norm of the normalized logits on target rows (Xie et al. 2024).

    Needs ``predict_proba``. See :func:`~repkit.metrics.logit_matrix_norm`.

    *When it misleads*: it rewards confidence, right or wrong, and a model that gives every row to
    one class has the best possible score. It was made to tell how accurate one model is on several
    targets, where models of one target differ in their training.

    Parameters
    ----------
    p : float, default=4.0
        Order of the norm.
    threshold : float, default=5.0
        Above it, predictions count as certain and the softmax is taken. 0 always takes it.
    """

    def __init__(self, p: float = 4.0, threshold: float = 5.0) -> None:
        self.p = p
        self.threshold = threshold

    def _check_parameters(self) -> None:
        _arguments.number(self.p, "p", 0.0, structure.MOST_ORDER, above=True)
        _arguments.number(self.threshold, "threshold")

    def _score(self, estimator: Any, rows: Domains) -> float:
        proba = self._on_target(estimator, rows)
        return structure.logit_matrix_norm(proba, self.p, self.threshold)


class ClassAMIScorer(FeatureScorer):
    """Agreement of predicted classes with clusters of the target's features (Musgrave et al. 2022).

    Needs ``predict``, ``transform`` and ``classes_``, of which there are as many clusters. See
    :func:`~repkit.metrics.class_cluster_information`.

    *When it misleads*: k-means looks for round clusters of one size. Features that were squeezed
    into clusters agree with the classifier whatever the clusters hold, right or wrong.

    Parameters
    ----------
    features : {"transform", "input"} or callable, default="transform"
        Space of the clusters, in numbers. "transform": ``estimator.transform(X)``. "input": `X` as
        the estimator sees it, or the last step of a Pipeline. A callable maps (estimator, X) to
        features; it is given `sample_domain`, too, if it has an argument of that name.
    n_init : int, default=10
        Starts of k-means, of which the best counts.
    random_state : int, RandomState, Generator or None, default=0
        Draws the starts.

    Raises
    ------
    ScorerError
        When a score is asked for, if the features are not numbers: a text column, say.
    """

    _methods = ("predict", "classes_")

    def __init__(
        self, features: Any = "transform", n_init: int = 10, random_state: Any = 0
    ) -> None:
        self.features = features
        self.n_init = n_init
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        _arguments.integer(self.n_init, "n_init", 1, structure.MOST_STARTS)
        check_seed(self.random_state)

    def _score(self, estimator: Any, rows: Domains) -> float:
        X, domain = rows.X_target, rows.domain_target
        return structure.class_cluster_information(
            self._embed(estimator, X, domain),
            as_numpy(call(estimator, "predict", X, domain)),
            min(len(model_of(estimator).classes_), len(domain)),
            n_init=self.n_init,
            random_state=self.random_state,
        )


class TransferScorer(FeatureScorer):
    """Transfer Score: even classifier weights, clustered features, information (Yang et al. 2024).

    Needs ``predict_proba`` and ``transform``. See :func:`~repkit.metrics.transfer_score`.

    *When it misleads*: all three terms can be had without the right classes. The clusters' term
    grows with the number of features and shrinks with noise in them, so compare models with equally
    many features. With few target rows it rests on few distances.

    Parameters
    ----------
    features : {"transform", "input"} or callable, default="transform"
        The features on which the classifier is linear, in numbers. "transform":
        ``estimator.transform(X)``. "input": `X` as the estimator sees it, or the last step of a
        Pipeline. A callable maps (estimator, X) to features; it is given `sample_domain`, too, if
        it has an argument of that name.
    share : float, default=0.05
        Share of the target rows whose distances are taken for the clusters' term.
    random_state : int, RandomState, Generator or None, default=0
        Draws these rows.

    Raises
    ------
    ScorerError
        When a score is asked for, if the features are not numbers: a text column, say.
    """

    def __init__(
        self, features: Any = "transform", share: float = 0.05, random_state: Any = 0
    ) -> None:
        self.features = features
        self.share = share
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        _arguments.number(self.share, "share", 0.0, 1.0, above=True)
        check_seed(self.random_state)

    def _score(self, estimator: Any, rows: Domains) -> float:
        features = self._embed(estimator, rows.X_target, rows.domain_target)
        proba = self._on_target(estimator, rows)
        return structure.transfer_score(features, proba, self.share, self.random_state)


class MixValScorer(DomainScorer):
    r"""Consistency of the predictions between target rows (MixVal, Hu et al. 2023).

    Pairs of target rows are mixed, :math:`\lambda x_i + (1-\lambda) x_j`, and a mixture should be
    predicted as the row that has the greater part. The score is the mean of the shares of mixtures
    for which that holds, one over pairs of one predicted class (are classes dense?) and one over
    pairs of two (is the boundary in a gap?). The authors add up the ranks of the two shares among
    all candidates; a scorer sees one candidate at a time.

    Needs ``predict`` and rows of numbers. Only rows of one domain are mixed. A model that predicts
    a single class has no pairs of two, and 0 in their place.

    *When it misleads*: it asks for a simple boundary, not for the right one. Rows whose mixtures
    mean nothing, such as categories, are scored all the same.

    Parameters
    ----------
    mix : float, default=0.55
        The greater part :math:`\lambda`, above 0.5 and below 1.
    random_state : int, RandomState, Generator or None, default=0
        Draws the pairs.

    Raises
    ------
    ScorerError
        When a score is asked for, if the rows are not numbers.
    """

    _methods = ("predict",)

    def __init__(self, mix: float = 0.55, random_state: Any = 0) -> None:
        self.mix = mix
        self.random_state = random_state

    def _check_parameters(self) -> None:
        _arguments.number(self.mix, "mix", 0.5, 1.0, above=True, below=True)
        check_seed(self.random_state)

    def _checked(self, estimator: Any, X: Any, y: Any, sample_domain: Any) -> Domains:
        rows = super()._checked(estimator, X, y, sample_domain)
        if np.unique(rows.domain_target, return_counts=True)[1].max() < 2:
            raise ValueError(
                "sample_domain must have at least 2 target rows of a domain to mix, not 1"
            )
        return rows

    def _score(self, estimator: Any, rows: Domains) -> float:
        X, domain = rows.X_target, rows.domain_target
        first, second = self._pairs(domain)
        labels = label_vector(call(estimator, "predict", X, domain), "predictions", len(domain))
        try:
            mixtures = mixed(take(X, first), take(X, second), self.mix)
        except (TypeError, ValueError) as error:
            raise ScorerError(
                f"X must hold numbers for MixValScorer, which mixes rows ({error}): encode text "
                "columns before the estimator, or take another scorer"
            ) from None
        found = as_numpy(call(estimator, "predict", mixtures, domain[first]))
        kept, alike = found == labels[first], labels[first] == labels[second]
        within = kept[alike].mean() if alike.any() else kept[~alike].mean()
        between = kept[~alike].mean() if not alike.all() else 0.0
        return float(within + between) / 2

    def _pairs(self, domain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each row and another one of its domain."""
        rng = legacy_generator(self.random_state)
        pairs = []
        for one in np.unique(domain):
            order = rng.permutation(np.flatnonzero(domain == one))
            if len(order) > 1:
                pairs.append(np.stack([order, np.roll(order, 1)]))
        first, second = np.concatenate(pairs, axis=1)
        return first, second


class EnsVScorer(DomainScorer):
    """Agreement with the ensemble of all candidates on target rows (EnsV, Hu et al. 2024).

    Needs ``predict_proba``. See :func:`~repkit.metrics.ensemble_agreement`. Unlike other scorers it
    compares fitted candidates with each other, so it is given all of them at once, by :meth:`rank`
    or :meth:`scores`. To choose among epochs, collect what the model predicts for the target rows
    in a callback and pass the list to :func:`~repkit.metrics.ensemble_agreement`.

    *When it misleads*: it avoids the worst candidate only if most are better than that one. A
    search in which most candidates fail in the same way has an ensemble that fails so, too. The
    mean can be no more than a little better than the best candidate.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from repkit.datasets import make_domains
    >>> data = make_domains(random_state=0)
    >>> models = [LogisticRegression(C=C).fit(data.X, data.y) for C in (1e-6, 0.1, 1.0)]
    >>> order = EnsVScorer().rank(models, data.X, sample_domain=data.sample_domain)
    >>> best = models[order[0]]
    """

    def scores(
        self, estimators: Sequence[Any], X: Any, y: Any = None, sample_domain: Any = None
    ) -> np.ndarray:
        """Score fitted candidates.

        Parameters
        ----------
        estimators : sequence of n_candidates estimators
            Fitted models of the same classes.
        X : array, DataFrame, tensor or list of n_samples samples
            Source and target rows, of which only the target rows are read.
        y : array of shape (n_samples,), optional
            Not read.
        sample_domain : array of shape (n_samples,)
            Domain ids, at least 0 for source rows and below 0 for target rows, or as in the
            estimators' `fit`, if these were told which are sources.

        Returns
        -------
        scores : ndarray of shape (n_candidates,)
            From 0 to 1; greater is better.

        Raises
        ------
        ValueError
            If there are no candidates or no target rows, or classes differ.
        TypeError
            If an estimator lacks ``predict_proba``.
        """
        if not isinstance(estimators, list | tuple | np.ndarray):
            shown = _arguments.shown(estimators)
            raise TypeError(f"estimators must be a list of fitted models, not {shown}")
        if not len(estimators):
            raise ValueError("estimators must hold at least one candidate, not none")
        probas, first = [], None
        for estimator in estimators:
            rows = super()._checked(estimator, X, None, sample_domain)
            probas.append(self._on_target(estimator, rows))
            classes = np.asarray(getattr(model_of(estimator), "classes_", ())).tolist()
            first = classes if first is None else first
            if classes != first:
                raise ValueError(
                    f"estimators must have the same classes_, not {first} and {classes}: fit all "
                    "on the same source rows"
                )
        return structure.ensemble_agreement(probas)

    def rank(
        self,
        estimators: Sequence[Any],
        X: Any,
        y: Any = None,
        sample_domain: Any = None,
        *,
        baseline: int | None = None,
        margin: float = 0.1,
    ) -> np.ndarray:
        """Order fitted candidates, the best first.

        Parameters
        ----------
        estimators : sequence of n_candidates estimators
            Fitted models of the same classes.
        X : array, DataFrame, tensor or list of n_samples samples
            Source and target rows, of which only the target rows are read.
        y : array of shape (n_samples,), optional
            Not read.
        sample_domain : array of shape (n_samples,)
            Domain ids, at least 0 for source rows and below 0 for target rows, or as in the
            estimators' `fit`, if these were told which are sources.
        baseline : int, optional
            The place of the candidate without adaptation. Candidates come before it only if they
            agree with the ensemble by more than `margin` more than it does.
        margin : float, default=0.1
            From 0 to below 1. See :class:`~repkit.AdaptationSearch` for where it is from.

        Returns
        -------
        order : ndarray of int of shape (n_candidates,)
            Places in `estimators`. Of equals, the first comes first.

        Raises
        ------
        ValueError
            If there are no candidates or no target rows, classes differ, or `baseline` is not the
            place of a candidate.
        TypeError
            If an estimator lacks ``predict_proba``.
        """
        scores = self.scores(estimators, X, y, sample_domain)
        return structure.ensemble_order(scores, baseline=baseline, margin=margin)

    def _checked(self, estimator: Any, X: Any, y: Any, sample_domain: Any) -> Domains:
        raise TypeError(
            "EnsVScorer must be given all candidates at once and cannot score one alone, as a "
            "search would have it: fit the candidates, then call rank(estimators, X, "
            "sample_domain=...)"
        )
